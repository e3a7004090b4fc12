/** Functions of `keras.ops.numpy` that are compositions of the others: NaN-aware reductions, stacking and turning, polynomials, histograms and correlation. */
import { ShapeError, ValueError } from '../../../ir/errors.js';
import * as base from '../backend/ops.js';
import type { Tensor } from '../tensor.js';
import { type Axis, axesOf, binary, type Result, type Results, run, type S, type TensorLike, unary, withOptions } from './lift.js';
import { ceil, erf, exp2, floor, isnan, log2, maximum, mean, minimum, trunc } from './math.js';
import { concatenate, diag, flip, logspace, ravel, stack, transpose } from './shape.js';
import { quantile } from './statistics.js';

type Item<L extends readonly TensorLike[]> = Result<L[number]>;
const known = (name: string, x: S, axis: number): number => {
  const n = x.shape[base.axisOf(x, axis)];
  if (typeof n !== 'number') throw new ShapeError(`ops.${name}: the size of axis ${axis} must be known, got shape [${x.shape.map(String).join(', ')}]`);
  return n;
};
const float = (x: S): S => (x.dtype.startsWith('float') ? x : base.cast(x, 'float32'));

// ---- one tensor

/** Cube root. */
export const cbrt = unary('cbrt', (x) => base.multiply(base.sign(x), base.power(base.abs(float(x)), 1 / 3)));
export const fabs = unary('fabs', (x) => base.abs(float(x)));
export const deg2rad = unary('deg2rad', (x) => base.multiply(float(x), Math.PI / 180));
export const rad2deg = unary('rad2deg', (x) => base.multiply(float(x), 180 / Math.PI));
/** 1 - erf(x). */
export const erfc = unary('erfc', (x) => base.subtract(1, erf(x)));
/** sin(πx) / (πx), 1 at 0. */
export const sinc = unary('sinc', (x) => {
  const at = base.multiply(float(x), Math.PI);
  const zero = base.equal(at, 0);
  const b = x.trace.b;
  return base.where(zero, 1, base.divide(x.trace.tensor(b.unary('sin', at.value)), base.where(zero, 1, at)));
});
export const isposinf = unary('isposinf', (x) => base.equal(float(x), Infinity));
export const isneginf = unary('isneginf', (x) => base.equal(float(x), -Infinity));
/** Largest less smallest along the axes. */
export const ptp = withOptions('ptp', (x, axis?: Axis, keepdims?: boolean) =>
  base.subtract(base.max(x, axesOf(axis), keepdims ?? false), base.min(x, axesOf(axis), keepdims ?? false)),
);
/** As `quantile`, of 100. */
export const percentile = withOptions('percentile', (x, q: number, axis?: number | null, keepdims?: boolean) => quantile(x, q / 100, axis, keepdims));

// ---- two tensors

/** The larger; where one is NaN, the other. */
export const fmax = binary('fmax', (a, b) => base.where(isnan(a), b, base.where(isnan(b), a, maximum(a, b))));
/** The smaller; where one is NaN, the other. */
export const fmin = binary('fmin', (a, b) => base.where(isnan(a), b, base.where(isnan(b), a, minimum(a, b))));
/** The rest of a division toward zero, with the sign of the first. */
export const fmod = binary('fmod', (a, b) => base.subtract(a, base.multiply(trunc(base.divide(a, b)), b)));
/** 0 below 0, 1 above, the second argument at 0. */
export const heaviside = binary('heaviside', (x, at) => base.where(base.less(x, 0), 0, base.where(base.greater(x, 0), 1, at)));
/** x · 2^n. */
export const ldexp = binary('ldexp', (x, n) => base.multiply(x, exp2(n)));
/** log2(2^a + 2^b). */
export const logaddexp2 = binary('logaddexp2', (a, b) => {
  const top = maximum(a, b);
  return base.add(top, log2(base.add(1, exp2(base.negative(base.abs(base.subtract(a, b)))))));
});
/** Whether all elements are within atol + rtol · |b|: a scalar. */
export const allclose = <A extends TensorLike, B extends TensorLike>(a: A, b: B, rtol = 1e-5, atol = 1e-8): Result<A | B> =>
  run('allclose', [a, b], ([s, u]) => base.all(base.lessEqual(base.abs(base.subtract(s!, u!)), base.add(base.multiply(base.abs(u!), rtol), atol)))) as Result<
    A | B
  >;
/** Which elements of x are among those of the second. */
export const isin = binary('isin', (x, among) => base.any(base.equal(base.expandDims(x, -1), base.reshape(among, [-1])), [x.rank]));
/** The Kronecker product of two matrices. */
export const kron = binary('kron', (a, b) => {
  if (a.rank !== 2 || b.rank !== 2) throw new ShapeError(`ops.kron: expected two matrices, got ranks ${a.rank} and ${b.rank}`);
  const [m, n, p, q] = [known('kron', a, 0), known('kron', a, 1), known('kron', b, 0), known('kron', b, 1)];
  return base.reshape(base.multiply(base.reshape(a, [m, 1, n, 1]), base.reshape(b, [1, p, 1, q])), [m * p, n * q]);
});
/** The correlation of two vectors: sum of x[k + n] · v[n]; `valid` (the default) where they overlap whole, `full` everywhere, `same` as long as the longer. */
export const correlate = <A extends TensorLike, B extends TensorLike>(x: A, v: B, mode: 'valid' | 'same' | 'full' = 'valid'): Result<A | B> =>
  run('correlate', [x, v], ([s, u]) => {
    if (s!.rank !== 1 || u!.rank !== 1) throw new ShapeError(`ops.correlate: expected two vectors, got ranks ${s!.rank} and ${u!.rank}`);
    const [n, m] = [known('correlate', s!, 0), known('correlate', u!, 0)];
    const padded = base.pad(s!, [m - 1], [m - 1], 0);
    // windows (n + m - 1, m) of the padded vector
    const places = base.add(base.iota(s!, [n + m - 1, m], 0), base.iota(s!, [n + m - 1, m], 1));
    const full = base.sum(base.multiply(base.take(padded, places, 0), u!), [1]);
    const [long, short] = [Math.max(n, m), Math.min(n, m)];
    if (mode === 'full') return full;
    if (mode === 'valid') return base.sliceAxis(full, 0, short - 1, long);
    const from = Math.floor((short - 1) / 2) + (m > n && short % 2 === 0 ? 1 : 0);
    return base.sliceAxis(full, 0, from, from + long);
  }) as Result<A | B>;

// ---- reductions that leave NaN out

const present = (x: S): S => base.equal(x, x);
const filled = (x: S, value: number): S => base.where(present(x), x, value);
const reduction = (name: string, body: (x: S, axes: readonly number[] | undefined, keepdims: boolean) => S) =>
  withOptions(name, (x, axis?: Axis, keepdims?: boolean) => body(float(x), axesOf(axis), keepdims ?? false));
export const nansum = reduction('nansum', (x, axes, keep) => base.sum(filled(x, 0), axes, keep));
export const nanprod = reduction('nanprod', (x, axes, keep) => base.prod(filled(x, 1), axes, keep));
export const nanmax = reduction('nanmax', (x, axes, keep) => base.max(filled(x, -Infinity), axes, keep));
export const nanmin = reduction('nanmin', (x, axes, keep) => base.min(filled(x, Infinity), axes, keep));
const counted = (x: S, axes: readonly number[] | undefined, keep: boolean): S => base.sum(base.cast(present(x), 'float32'), axes, keep);
const meanOf = (x: S, axes: readonly number[] | undefined, keep: boolean): S => base.divide(base.sum(filled(x, 0), axes, keep), counted(x, axes, keep));
export const nanmean = reduction('nanmean', meanOf);
const varianceOf = (x: S, axes: readonly number[] | undefined, keep: boolean): S => meanOf(base.square(base.subtract(x, meanOf(x, axes, true))), axes, keep);
export const nanvar = reduction('nanvar', varianceOf);
export const nanstd = reduction('nanstd', (x, axes, keep) => base.sqrt(varianceOf(x, axes, keep)));

// ---- shapes

const atLeast = (x: S, rank: 1 | 2): S => (x.rank >= rank ? x : base.reshape(x, [1, ...(x.rank === 0 && rank === 2 ? [1] : x.shape)]));
/** Beside each other: along the second axis, vectors along the first. */
export const hstack = <L extends readonly TensorLike[]>(xs: L): Item<L> =>
  run('hstack', xs, (s) =>
    base.concatenate(
      s.map((x) => atLeast(x, 1)),
      s[0]!.rank <= 1 ? 0 : 1,
    ),
  ) as Item<L>;
/** Above each other; vectors are rows. */
export const vstack = <L extends readonly TensorLike[]>(xs: L): Item<L> =>
  run('vstack', xs, (s) =>
    base.concatenate(
      s.map((x) => atLeast(x, 2)),
      0,
    ),
  ) as Item<L>;
/** Along a third axis. */
export const dstack = <L extends readonly TensorLike[]>(xs: L): Item<L> =>
  run('dstack', xs, (s) =>
    base.concatenate(
      s.map((x) => (x.rank >= 3 ? x : base.expandDims(atLeast(x, 2), -1))),
      2,
    ),
  ) as Item<L>;
/** Both along an axis; without one, flat. */
export const append = <A extends TensorLike, B extends TensorLike>(x: A, values: B, axis: number | null = null): Result<A | B> =>
  run('append', [x, values], ([s, u]) => (axis === null ? concatenate([ravel(s!), ravel(u!)]) : concatenate([s!, u!], axis))) as Result<A | B>;
export const fliplr = unary('fliplr', (x) => flip(x, 1));
export const flipud = unary('flipud', (x) => flip(x, 0));
/** Turns by k quarters, from the first of two axes to the second. */
export const rot90 = withOptions('rot90', (x, k?: number, axes?: readonly [number, number]) => {
  const [a, b] = (axes ?? [0, 1]).map((i) => base.axisOf(x, i)) as [number, number];
  const swapped = (y: S) =>
    transpose(
      y,
      y.shape.map((_, i) => (i === a ? b : i === b ? a : i)),
    );
  const turns = (((k ?? 1) % 4) + 4) % 4;
  if (turns === 0) return x;
  if (turns === 2) return flip(flip(x, a), b);
  return turns === 1 ? flip(swapped(x), a) : swapped(flip(x, a));
});
/** The elements of a vector (or of anything, flat) on the diagonal of a matrix. */
export const diagflat = unary('diagflat', (x) => diag(ravel(x)));
/** For each vector a tensor of the shape of all, `xy` (the default) with the first two axes exchanged, or `ij`. */
export const meshgrid = <L extends readonly TensorLike[]>(xs: L, indexing: 'xy' | 'ij' = 'xy'): Results<L[number]> =>
  run('meshgrid', xs, (s) => {
    const order = s.map((_, i) => (indexing === 'xy' && s.length > 1 && i < 2 ? 1 - i : i));
    const shape = order.map((i) => s[i]!.shape[0]!);
    return s.map((x, i) => {
      const at = order.indexOf(i);
      return base.broadcastTo(
        base.reshape(
          x,
          shape.map((_, a) => (a === at ? x.shape[0]! : 1)),
        ),
        shape,
      );
    });
  }) as Results<L[number]>;
/** Powers of a vector's elements as columns, the highest first unless `increasing`. */
export const vander = withOptions('vander', (x, n?: number | null, increasing?: boolean) => {
  const columns = n ?? known('vander', x, 0);
  const powers = Array.from({ length: columns }, (_, i) => (increasing ? i : columns - 1 - i));
  return stack(
    powers.map((p) => base.power(float(x), p)),
    1,
  );
});
/** The area below samples by trapezoids of width dx. */
export const trapezoid = withOptions('trapezoid', (y, dx?: number, axis?: number) => {
  const at = base.axisOf(y, axis ?? -1);
  const n = known('trapezoid', y, at);
  const pairs = base.add(base.sliceAxis(y, at, 1, n), base.sliceAxis(y, at, 0, n - 1));
  return base.multiply(base.sum(pairs, [at]), (dx ?? 1) / 2);
});
/** Numbers whose logarithms have equal distances. */
export const geomspace = (start: number, stop: number, num = 50): Tensor => {
  if (!(start > 0 && stop > 0)) throw new ValueError(`ops.geomspace: 'start' and 'stop' must be positive, got ${start} and ${stop}`);
  return logspace(Math.log10(start), Math.log10(stop), num);
};

// ---- counting and places

/** Which of the bins, given by increasing boundaries, each element lies in: int32, 0 below the first. */
export const digitize = binary('digitize', (x, bins) => base.sum(base.cast(base.lessEqual(bins, base.expandDims(x, -1)), 'int32'), [x.rank]));
/** Counts of the elements in bins of equal width, and their edges; the last bin holds its upper edge. `range` defaults to the smallest and largest element. */
export const histogram = <X extends TensorLike>(
  x: X,
  bins = 10,
  range: readonly [number, number] | null = null,
): { readonly counts: Result<X>; readonly edges: Result<X> } => {
  if (!(Number.isInteger(bins) && bins > 0)) throw new ValueError(`ops.histogram: 'bins' must be a positive integer, got ${bins}`);
  const [counts, edges] = run('histogram', [x], ([s]) => {
    const flat = base.reshape(float(s!), [-1]);
    const low = range ? base.full(flat, [], range[0]) : base.min(flat);
    const high = range ? base.full(flat, [], range[1]) : base.max(flat);
    const width = base.divide(base.subtract(high, low), bins);
    const place = floor(base.divide(base.subtract(flat, low), width));
    const inside = base.logicalAnd(base.greaterEqual(flat, low), base.lessEqual(flat, high));
    const bin = base.where(inside, minimum(place, base.full(flat, place.shape, bins - 1)), -1);
    const hits = base.equal(base.expandDims(bin, -1), base.cast(base.iota(flat, [...flat.shape, bins], 1), 'float32'));
    const steps = base.cast(base.iota(flat, [bins + 1], 0), 'float32');
    return [base.sum(base.cast(hits, 'int32'), [0]), base.add(low, base.multiply(steps, width))];
  }) as Results<X>;
  return { counts: counts!, edges: edges! };
};
/** Places of flat indices in a tensor of a shape: one tensor of indices for each axis. */
export const unravelIndex = <X extends TensorLike>(indices: X, shape: readonly number[]): Results<X> =>
  run('unravelIndex', [indices], ([s]) => {
    let rest = base.cast(s!, 'float32');
    const strides = shape.map((_, i) => shape.slice(i + 1).reduce((a, d) => a * d, 1));
    return strides.map((stride) => {
      const at = floor(base.divide(rest, stride));
      rest = base.subtract(rest, base.multiply(at, stride));
      return base.cast(at, 'int32');
    });
  }) as Results<X>;
/** Correlation coefficients of the rows of a matrix. */
export const corrcoef = unary('corrcoef', (x) => {
  const centred = base.subtract(float(x), mean(float(x), -1, true));
  const covariance = base.matmul(centred, transpose(centred, [1, 0]));
  const deviation = base.sqrt(base.sum(base.square(centred), [1]));
  return base.divide(covariance, base.multiply(base.expandDims(deviation, 1), base.expandDims(deviation, 0)));
});
/** Cast to integers of so many bits; values outside of their range become the nearest. */
export const saturateCast = withOptions('saturateCast', (x, dtype: 'int32' | 'uint8' | 'int8') => {
  const [low, high] = dtype === 'uint8' ? [0, 255] : dtype === 'int8' ? [-128, 127] : [-2147483648, 2147483520];
  return base.cast(base.where(base.less(x, 0), ceil(base.clip(x, low, high)), floor(base.clip(x, low, high))), dtype);
});
