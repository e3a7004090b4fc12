/** Convolutions: plain, transposed, of integers, and column blocks to images. */
import { isStatic } from '../../../ir/dim.js';
import type { Value } from '../../../ir/graph.js';
import type { Pair } from '../../../ir/op-attrs.js';
import type { NodeContext } from '../context.js';
import { perChannel } from '../lib/broadcast.js';
import { listOf, type WindowOptions, windowAttributes, windowsOf } from '../lib/window.js';
import { int, type OpEntry, op, opt } from '../registry.js';

interface ConvOptions extends WindowOptions {
  readonly group: number;
  readonly kernel_shape: readonly number[] | null;
}

/** Channels-first convolution of x [N, C, ...] with w [M, C / group, ...]. */
export function convolve(c: NodeContext, x: Value, w: Value, a: ConvOptions): Value {
  const n = x.shape.length - 2;
  if (n < 1 || w.shape.length !== n + 2)
    c.failShape(`input of rank ${x.shape.length} and weights of rank ${w.shape.length}, expected the same rank of at least 3`);
  const kernel = w.shape.slice(2).map((d) => c.size(d));
  if (a.kernel_shape && a.kernel_shape.join() !== kernel.join())
    c.failShape(`kernel_shape [${a.kernel_shape.join(',')}], the weights have [${kernel.join(',')}]`);
  const win = windowsOf(c, a, x.shape.slice(2), kernel);
  const spatial = kernel.map((_, i) => i + 2);
  const roles = { batch: 0, feature: 1, spatial };
  return c.b.emit('conv', [x, w], {
    strides: win.strides,
    padding: win.pads,
    inputDilation: kernel.map(() => 1),
    kernelDilation: win.dilations,
    groups: a.group,
    batchGroups: 1,
    dims: { input: roles, kernel: { output: 0, input: 1, spatial }, output: roles },
  });
}

export const addBias = (c: NodeContext, y: Value, bias: Value | null): Value => (bias ? c.b.add(y, perChannel(c, bias, y.shape.length)) : y);

const transposeAttributes = { ...windowAttributes, group: int(1), output_padding: opt.ints, output_shape: opt.ints } as const;

/** The convolution of x with holes between its elements and the flipped kernel. */
function transposed(
  c: NodeContext,
  a: ConvOptions & { readonly output_padding: readonly number[] | null; readonly output_shape: readonly number[] | null },
): Value {
  const { b } = c;
  const [x, w] = [c.in(0), c.in(1)];
  const n = x.shape.length - 2;
  if (n < 1 || w.shape.length !== n + 2) c.failShape(`input of rank ${x.shape.length} and weights of rank ${w.shape.length}`);
  const kernel = w.shape.slice(2).map((d) => c.size(d));
  const strides = listOf(c, 'strides', a.strides, n, 1, 1);
  const dilations = listOf(c, 'dilations', a.dilations, n, 1, 1);
  const extra = listOf(c, 'output_padding', a.output_padding, n, 0, 0);
  const given = listOf(c, 'pads', a.pads, 2 * n, 0, Number.NEGATIVE_INFINITY);
  const same = a.auto_pad.startsWith('SAME');
  const wanted = a.output_shape?.slice(-n) ?? null;
  const padding = kernel.map((k, i): Pair => {
    const span = (k - 1) * dilations[i]! + 1;
    let [low, high] = [given[i]!, given[i + n]!];
    if (wanted || same) {
      const size = c.size(x.shape[i + 2]!);
      const out = wanted?.[i] ?? size * strides[i]!;
      const total = strides[i]! * (size - 1) + extra[i]! + span - out;
      const half = Math.floor(Math.max(total, 0) / 2);
      [low, high] = a.auto_pad === 'SAME_UPPER' ? [half, total - half] : [total - half, half];
      if (total < 0) [low, high] = [0, total];
    } else if (a.auto_pad === 'VALID') [low, high] = [0, 0];
    return [span - 1 - low, span - 1 - high + extra[i]!];
  });
  const spatial = kernel.map((_, i) => i + 2);
  const [channels, perGroup] = [c.size(w.shape[0]!), c.size(w.shape[1]!)];
  const g = a.group;
  if (channels % g !== 0) c.failShape(`${channels} channels are not a multiple of group ${g}`);
  let k = b.reverse(w, spatial);
  if (g > 1) {
    // [C, M/g] with the group outermost in C becomes [C/g, M].
    const split = b.transpose(b.reshape(k, [g, channels / g, perGroup, ...kernel]), [1, 0, 2, ...kernel.map((_, i) => i + 3)]);
    k = b.reshape(split, [channels / g, g * perGroup, ...kernel]);
  }
  const roles = { batch: 0, feature: 1, spatial };
  return b.emit('conv', [x, k], {
    strides: kernel.map(() => 1),
    padding,
    inputDilation: strides,
    kernelDilation: dilations,
    groups: g,
    batchGroups: 1,
    dims: { input: roles, kernel: { output: 1, input: 0, spatial }, output: roles },
  });
}

/** Integer operand minus its zero point, as int32. The zero point is a scalar, or a vector along `axis`. */
export function centred(c: NodeContext, x: Value, zero: Value | null, axis: number): Value {
  const { b } = c;
  const wide = b.cast(x, 'int32');
  if (!zero) return wide;
  const z = b.cast(zero, 'int32');
  const size = z.shape.reduce<number>((p, d) => p * (isStatic(d) ? d : 2), 1);
  if (size === 1) return b.sub(wide, b.reshape(z, []));
  return b.sub(wide, z.shape.length > 1 ? z : b.broadcast(z, x.shape, [axis]));
}

export const convolutionOps: readonly OpEntry[] = [
  op('Conv', [1, 11, 22], { ...windowAttributes, group: int(1) }, (c, a) => addBias(c, convolve(c, c.in(0), c.in(1), a), c.opt(2))),
  op('ConvTranspose', [1, 11, 22], transposeAttributes, (c, a) => addBias(c, transposed(c, a), c.opt(2))),
  op('ConvInteger', [10], { ...windowAttributes, group: int(1) }, (c, a) => convolve(c, centred(c, c.in(0), c.opt(2), 1), centred(c, c.in(1), c.opt(3), 0), a)),
  op('Col2Im', [18], { dilations: opt.ints, pads: opt.ints, strides: opt.ints }, (c, a) => {
    // Each column block is a window; adding them up is a scatter of every element to its place in the padded image.
    const { b } = c;
    const x = c.in(0);
    const [image, block] = [c.numbers(c.in(1)), c.numbers(c.in(2))];
    const n = image.length;
    const win = windowsOf(c, { auto_pad: 'NOTSET', dilations: a.dilations, pads: a.pads, strides: a.strides }, image, block);
    const [batch, rows, columns] = c.shape(x) as [number, number, number];
    const blockSize = block.reduce((p, d) => p * d, 1);
    const places = win.counts as readonly number[];
    if (places.reduce((p, d) => p * d, 1) !== columns || rows % blockSize !== 0)
      c.failShape(`input [${batch},${rows},${columns}] does not fit image [${image.join(',')}] and block [${block.join(',')}]`);
    c.countable(blockSize * columns);
    const at: number[] = [];
    const size = image.reduce((p, d) => p * d, 1);
    for (let k = 0; k < blockSize; k++) {
      for (let p = 0; p < columns; p++) {
        let [flat, restK, restP, unit] = [0, k, p, 1];
        for (let i = n - 1; i >= 0; i--) {
          const pos = (restP % places[i]!) * win.strides[i]! - win.pads[i]![0] + (restK % block[i]!) * win.dilations[i]!;
          restK = Math.floor(restK / block[i]!);
          restP = Math.floor(restP / places[i]!);
          if (pos < 0 || pos >= image[i]!) flat = Number.NaN;
          flat += pos * unit;
          unit *= image[i]!;
        }
        at.push(Number.isNaN(flat) ? -1 : flat);
      }
    }
    const channels = rows / blockSize;
    const flat = b.reshape(x, [batch, channels, blockSize * columns]);
    const y = b.emit('scatter', [b.full([batch, channels, size], 0, x.dtype), c.constant('int32', [at.length], at), flat], { axis: 2, fn: 'add' });
    return b.reshape(y, [batch, channels, ...image]);
  }),
];
