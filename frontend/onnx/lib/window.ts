/** Sizes and paddings of windows, for convolutions and pools. */
import { type Dim, isStatic } from '../../../ir/dim.js';
import { samePadding } from '../../../ir/math.js';
import type { Pair } from '../../../ir/op-attrs.js';
import type { NodeContext } from '../context.js';
import { int, opt, text } from '../registry.js';

export const windowAttributes = {
  auto_pad: text('NOTSET'),
  dilations: opt.ints,
  kernel_shape: opt.ints,
  pads: opt.ints,
  strides: opt.ints,
} as const;
export const poolAttributes = { ...windowAttributes, ceil_mode: int(0) } as const;

export interface WindowOptions {
  readonly auto_pad: string;
  readonly dilations: readonly number[] | null;
  readonly pads: readonly number[] | null;
  readonly strides: readonly number[] | null;
  readonly ceil_mode?: number;
}

export interface Windows {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** As the node says them. */
  readonly pads: readonly Pair[];
  /** So that the windows come out exactly: more (or less) at the end for ceil mode. */
  readonly exact: readonly Pair[];
  /** Number of windows; null where the size is symbolic. */
  readonly counts: readonly (number | null)[];
}

export function listOf(c: NodeContext, name: string, list: readonly number[] | null, n: number, fallback: number, lowest: number): readonly number[] {
  const found = list ?? Array.from({ length: n }, () => fallback);
  if (found.length !== n || found.some((x) => !Number.isSafeInteger(x) || x < lowest || x > 2 ** 31))
    c.fail(`${name} [${found.join(',')}] must be ${n} integers of at least ${lowest}`);
  return found;
}

/** Strides, dilations and paddings of windows over axes of the given sizes. */
export function windowsOf(c: NodeContext, a: WindowOptions, sizes: readonly Dim[], kernel: readonly number[]): Windows {
  const n = sizes.length;
  listOf(c, 'kernel_shape', kernel, n, 1, 1);
  const strides = listOf(c, 'strides', a.strides, n, 1, 1);
  const dilations = listOf(c, 'dilations', a.dilations, n, 1, 1);
  const given = listOf(c, 'pads', a.pads, 2 * n, 0, Number.NEGATIVE_INFINITY);
  const pads = sizes.map((size, i): Pair => {
    switch (a.auto_pad) {
      case 'NOTSET':
      case '':
        return [given[i]!, given[i + n]!];
      case 'VALID':
        return [0, 0];
      case 'SAME_UPPER':
      case 'SAME_LOWER': {
        const [low, high] = samePadding(size, kernel[i]!, strides[i]!, dilations[i]!);
        return a.auto_pad === 'SAME_UPPER' ? [low, high] : [high, low];
      }
      default:
        return c.fail(`auto_pad '${a.auto_pad}', expected NOTSET, SAME_UPPER, SAME_LOWER or VALID`);
    }
  });
  const counts: (number | null)[] = [];
  const exact = sizes.map((size, i): Pair => {
    const [low, high] = pads[i]!;
    if (!isStatic(size)) {
      if (a.ceil_mode && strides[i] !== 1) c.unsupported(`ceil_mode with stride ${strides[i]} on an axis of symbolic size ${size}`);
      counts.push(null);
      return [low, high];
    }
    const span = (kernel[i]! - 1) * dilations[i]! + 1;
    const room = size + low + high - span;
    const s = strides[i]!;
    const same = a.auto_pad.startsWith('SAME');
    let count = (a.ceil_mode && !same ? Math.ceil(room / s) : Math.floor(room / s)) + 1;
    // A window that would start in the padding after the end is left out.
    if (a.ceil_mode && (count - 1) * s >= size + low) count--;
    counts.push(Math.max(count, 0));
    return [low, a.ceil_mode && count > 0 ? (count - 1) * s + span - size - low : high];
  });
  return { kernel, strides, dilations, pads, exact, counts };
}
