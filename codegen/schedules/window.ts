/**
 * window: direct convolutions on WASM whose sums have few terms (depthwise, or of images with few channels), where the last axis of the output is the channel. A group owns rows of the output. Positions whose window
 * lies inside the image need no guards: rows are split in left border, interior and right border, and each row of the image is treated as inside or not. The variables' ranges say so,
 * and the guards vanish when expressions are built. In the interior a few neighbouring positions are computed together, four channels at a time: weights are read once for all of
 * them, and what their windows share of the image too.
 */
import { evalDim, isStatic } from '../../ir/dim.js';
import type { Node } from '../../ir/graph.js';
import type { Region } from '../../passes/regions.js';
import { add, and, compare, type Expr, i32, min, mul, type VarExpr, variable } from '../kernel/expr.js';
import { forLoop, ifThen, letVar, type Stmt, storeAll } from '../kernel/ir.js';
import { Frame, type LowerContext, type LoweredKernel } from '../lower/frame.js';
import { delinearize, exprSize, linearize, sizeCeilDiv } from '../lower/space.js';
import { windowRows } from '../schedule-families.js';

/** Elements that one group computes, about. */
const chunk = 8192;
/** Most taps of a window that is written out. */
const mostTaps = 32;

/** First and last position, along an axis of the output, whose windows lie inside; by axis of the output. */
type Interior = ReadonlyMap<number, readonly [number, number]>;

function interiorOf(n: Node): { readonly interior: Interior; readonly taps: number } | null {
  const interior = new Map<number, readonly [number, number]>();
  const note = (axis: number, size: unknown, out: unknown, window: number, stride: number, before: number, dilation: number): boolean => {
    if (typeof size !== 'number' || typeof out !== 'number') return false;
    // padding may be negative: the image's edge is left out, and the first position lies inside
    const first = Math.max(0, Math.ceil(before / stride));
    const last = Math.min(out - 1, Math.floor((size - 1 + before - (window - 1) * dilation) / stride));
    if (last >= first) interior.set(axis, [first, last]);
    return true;
  };
  const [x, w] = [n.inputs[0]!, n.inputs[1]];
  const shape = n.outputs[0]!.shape;
  if (n.op === 'conv') {
    const { dims, strides, padding, inputDilation, kernelDilation, groups, batchGroups } = n.attrs;
    const perGroup = w!.shape[dims.kernel.input];
    if (inputDilation.some((d) => d !== 1) || batchGroups !== 1 || (perGroup !== 1 && groups !== 1) || dims.output.feature !== shape.length - 1) return null;
    const terms = [...dims.kernel.spatial, dims.kernel.input].map((k) => w!.shape[k]!);
    if (!terms.every(isStatic)) return null;
    const taps = terms.reduce((a, b) => a * b, 1);
    const fine = dims.output.spatial.every((axis, i) =>
      note(axis, x.shape[dims.input.spatial[i]!], shape[axis], w!.shape[dims.kernel.spatial[i]!] as number, strides[i]!, padding[i]![0], kernelDilation[i]!),
    );
    return fine ? { interior, taps } : null;
  }
  return null;
}

/** Null where the region is no such window. */
export function lowerWindow(region: Region, ctx: LowerContext): LoweredKernel | null {
  const hero = region.hero;
  const window = hero && interiorOf(hero);
  const domain = hero?.outputs[0]?.shape;
  if (!window || !domain || ctx.target.kind !== 'wasm' || window.taps > mostTaps || domain.length < 3) return null;
  if (region.outputs.some((v) => v.shape.length !== domain.length || v.shape.some((d, i) => String(d) !== String(domain[i])))) return null;
  const f = new Frame(region, ctx);
  const last = domain.length - 1;
  const across = last - 1;
  const channels = domain[last]!;
  const width = domain[across]!;
  if (!isStatic(channels) || !isStatic(width) || channels < 4) return null;
  const outer = domain.slice(0, across).map((d) => f.dim(d));
  const rowElements = channels * width;
  const [inFirst, inLast] = window.interior.get(across) ?? [0, -1];
  const interior = Math.max(0, inLast - inFirst + 1);
  const { rows, together } = f.schedule(
    windowRows,
    () => ({ rows: Math.max(1, Math.floor(chunk / rowElements)), together: interior >= 8 ? 4 : interior >= 2 ? 2 : 1 }),
    (p) => (p.together <= Math.max(1, interior) ? null : `${interior} positions lie inside`),
  );
  const group = variable('group0', 'group', 'i32', [0, 2147483646]);
  const count = outer.reduce<Expr>((a, e) => mul(a, e), i32(1));
  const row = variable('row', 'loop', 'i32', [0, Math.max(0, count.hi - 1)]);

  /** Channels at `xs`, positions next to each other. */
  const points = (before: readonly Expr[], xs: readonly Expr[]): Stmt => {
    const c = variable('c', 'loop', 'i32', [0, channels - 1]);
    const body: Stmt[] = [];
    f.em.within(body, () => {
      const stores = xs.flatMap((x) => {
        const index = [...before, x, c];
        return region.outputs.map((v) => ({
          memory: f.memoryOf(v),
          index: add(f.baseOf(v), linearize(index, v.shape, ctx.symbols)),
          value: f.em.value(v, index),
        }));
      });
      body.push(...storeAll(stores));
    });
    return forLoop(c, i32(0), i32(channels), body, { parallel: true });
  };
  const span = (from: number, to: number): VarExpr => variable('x', 'loop', 'i32', [from, to]);
  /** A whole row of positions. */
  const line = (before: readonly Expr[]): Stmt[] => {
    const out: Stmt[] = [];
    const one = (from: number, to: number): void => {
      if (to < from) return;
      const x = span(from, to);
      out.push(forLoop(x, i32(from), i32(to + 1), [points(before, [x])]));
    };
    if (inLast < inFirst) {
      one(0, width - 1);
      return out;
    }
    const whole = Math.floor((inLast - inFirst + 1) / together);
    one(0, inFirst - 1);
    const q = variable('x', 'loop', 'i32', [0, whole - 1]);
    out.push(
      forLoop(q, i32(0), i32(whole), [
        points(
          before,
          Array.from({ length: together }, (_, j) => add(mul(q, i32(together)), i32(inFirst + j))),
        ),
      ]),
    );
    one(inFirst + whole * together, inLast);
    one(inLast + 1, width - 1);
    return out;
  };
  const at = delinearize(row, outer);
  const names = at.map((_, i) => variable('at', 'let', 'i32', [0, Math.max(0, evalDim(domain[i]!, ctx.symbols) - 1)]));
  const bounds = [...window.interior].filter(([axis]) => axis < across);
  const inside = new Map(bounds.map(([axis, [first, to]]) => [axis, variable('in', 'let', 'i32', [first, to])]));
  const test = bounds
    .map(([axis, [first, to]]) => and(compare('ge', names[axis]!, i32(first)), compare('le', names[axis]!, i32(to))))
    .reduce<Expr>((a, b) => and(a, b), compare('ge', i32(0), i32(0)));
  const fast: Stmt[] = [...[...inside].map(([axis, v]) => letVar(v, names[axis]!)), ...line(names.map((n, i) => inside.get(i) ?? n))];
  const begin = mul(group, i32(rows));
  const body: Stmt[] = [...names.map((n, i) => letVar(n, at[i]!)), ...(bounds.length > 0 ? ifThen(test, fast, line(names)) : line(names))];
  return f.finish([forLoop(row, begin, min(add(begin, i32(rows)), count), body)], {
    grid: [sizeCeilDiv(exprSize(count), rows), 1, 1],
  });
}
