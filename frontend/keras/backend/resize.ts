/**
 * Resizing of images as TensorFlow's `tf.image.resize` does it: half-pixel centres. Each axis in turn is a weighted sum of a few rows (taps), which are
 * gathered by constant indices.
 */
import { isStatic } from '../../../ir/dim.js';
import { ShapeError } from '../../../ir/errors.js';
import * as ops from './ops.js';
import type { SymbolicTensor } from './trace.js';

export const interpolations = ['nearest', 'bilinear', 'bicubic', 'area', 'lanczos3', 'lanczos5', 'gaussian', 'mitchellcubic'] as const;
export type Interpolation = (typeof interpolations)[number];

/** For each output row the input rows it is made of, with their weights. */
type Taps = readonly (readonly { readonly index: number; readonly weight: number }[])[];

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

/** Kernels with their radius, for the methods that sample one. */
const kernels: Readonly<
  Record<'bilinear' | 'bicubic' | 'lanczos3' | 'lanczos5' | 'gaussian' | 'mitchellcubic', { readonly radius: number; readonly at: (x: number) => number }>
> = {
  bilinear: { radius: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: {
    radius: 2,
    at: (x) => {
      const a = Math.abs(x);
      if (a < 1) return (1.5 * a - 2.5) * a * a + 1;
      return a < 2 ? ((-0.5 * a + 2.5) * a - 4) * a + 2 : 0;
    },
  },
  lanczos3: { radius: 3, at: (x) => sinc(x) * sinc(x / 3) },
  lanczos5: { radius: 5, at: (x) => sinc(x) * sinc(x / 5) },
  gaussian: { radius: 1.5, at: (x) => (Math.abs(x) < 1.5 ? Math.exp((-x * x) / (2 * 0.5 ** 2)) : 0) },
  mitchellcubic: {
    radius: 2,
    at: (x) => {
      const a = Math.abs(x);
      if (a < 1) return ((7 * a - 12) * a * a + 16 / 3) / 6;
      return a < 2 ? (((-7 / 3) * a + 12) * a * a - 20 * a + 32 / 3) / 6 : 0;
    },
  },
};

/** Keys' cubic with a = -0.5, at offsets that TensorFlow rounds to 1/1024. */
function cubicTaps(position: number, size: number): { index: number; weight: number }[] {
  const base = Math.floor(position);
  const t = Math.round((position - base) * 1024) / 1024;
  const near = (x: number) => (1.5 * x - 2.5) * x * x + 1;
  const far = (x: number) => ((-0.5 * x + 2.5) * x - 4) * x + 2;
  const all = [far(t + 1), near(t), near(1 - t), far(2 - t)].map((weight, i) => ({ index: base - 1 + i, weight }));
  return normalized(all.filter(({ index }) => index >= 0 && index < size));
}

function normalized(taps: { index: number; weight: number }[]): { index: number; weight: number }[] {
  const total = taps.reduce((a, t) => a + t.weight, 0);
  return taps.map((t) => ({ index: t.index, weight: t.weight / total }));
}

function tapsOf(method: Interpolation, size: number, to: number, antialias: boolean): Taps {
  const scale = size / to;
  const clamped = (i: number) => Math.min(Math.max(i, 0), size - 1);
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale;
    // rounded where TensorFlow rounds, which decides at the edge between two rows
    if (method === 'nearest') return [{ index: clamped(Math.floor(Math.fround((i + 0.5) * Math.fround(scale)))), weight: 1 }];
    if (method === 'bilinear' && !antialias) {
      const position = centre - 0.5;
      const low = Math.floor(position);
      return [
        { index: clamped(low), weight: 1 - (position - low) },
        { index: clamped(low + 1), weight: position - low },
      ];
    }
    if (method === 'bicubic' && !antialias) return cubicTaps(centre - 0.5, size);
    if (method === 'area') {
      const [from, end] = [i * scale, (i + 1) * scale];
      const rows = Array.from({ length: Math.ceil(end) - Math.floor(from) }, (__, k) => Math.floor(from) + k);
      return normalized(rows.map((r) => ({ index: clamped(r), weight: Math.min(r + 1, end) - Math.max(r, from) })));
    }
    const { radius, at } = kernels[method];
    // a wider kernel for smaller images: each of their pixels is made of all that it covers
    const wider = antialias ? Math.max(scale, 1) : 1;
    const first = Math.max(Math.ceil(centre - radius * wider - 0.5), 0);
    const last = Math.min(Math.floor(centre + radius * wider - 0.5), size - 1);
    const rows = Array.from({ length: last - first + 1 }, (__, k) => first + k);
    return normalized(rows.map((r) => ({ index: r, weight: at((r + 0.5 - centre) / wider) })));
  });
}

/** Resizes one axis. */
function resizeAxis(x: SymbolicTensor, axis: number, to: number, method: Interpolation, antialias: boolean): SymbolicTensor {
  const size = x.shape[axis]!;
  if (!isStatic(size)) throw new ShapeError(`the size of axis ${axis} must be known to resize it`);
  if (size === to && method !== 'gaussian' && method !== 'mitchellcubic') return x;
  const taps = tapsOf(method, size, to, antialias);
  const count = Math.max(...taps.map((t) => t.length));
  const { trace } = x;
  const each = <A>(value: (tap: Taps[number][number] | undefined, first: Taps[number][number]) => A): A[] =>
    Array.from({ length: count }, (_, k) => taps.map((t) => value(t[k], t[0]!))).flat();
  const indices = Int32Array.from(each((tap, first) => (tap ?? first).index));
  const constant = (data: Int32Array | Float32Array, shape: readonly number[]) =>
    trace.tensor(trace.b.constant({ dtype: data instanceof Int32Array ? 'int32' : 'float32', shape, data }));
  if (method === 'nearest') return ops.take(x, constant(indices, [to]), axis);
  // (…, taps, to, …), weighted and summed over the taps
  const rows = ops.take(x, constant(indices, [count, to]), axis);
  const weights = Float32Array.from(each((tap) => tap?.weight ?? 0));
  return ops.sum(ops.multiply(rows, constant(weights, [count, to, ...new Array<number>(x.rank - axis - 1).fill(1)])), [axis]);
}

/** Gives the axes new sizes. `antialias` widens the kernels where images become smaller; nearest and area have none. */
export function resize(x: SymbolicTensor, axes: readonly number[], sizes: readonly number[], method: Interpolation, antialias = false): SymbolicTensor {
  return axes.reduce((y, axis, i) => resizeAxis(y, axis, sizes[i]!, method, antialias), x);
}
