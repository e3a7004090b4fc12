/** Reductions, products and shapes of `tf.keras.backend`: `ops` with the order of arguments and the defaults of Keras 2. */
import type { DType } from '../../../../ir/dtype.js';
import * as activations from '../../activations.js';
import * as ops from '../../ops/index.js';
import { type Result, type Results, run, type TensorLike } from '../../ops/lift.js';
import * as base from '../ops.js';
import type { SymbolicTensor } from '../trace.js';

type Axes = number | readonly number[] | null;
export const sum = <X extends TensorLike>(x: X, axis: Axes = null, keepdims = false) => ops.sum(x, axis, keepdims);
export const mean = <X extends TensorLike>(x: X, axis: Axes = null, keepdims = false) => ops.mean(x, axis, keepdims);
export const max = <X extends TensorLike>(x: X, axis: Axes = null, keepdims = false) => ops.max(x, axis, keepdims);
export const min = <X extends TensorLike>(x: X, axis: Axes = null, keepdims = false) => ops.min(x, axis, keepdims);
export const prod = <X extends TensorLike>(x: X, axis: Axes = null, keepdims = false) => ops.prod(x, axis, keepdims);
export const std = <X extends TensorLike>(x: X, axis: Axes = null, keepdims = false) => ops.std(x, axis, keepdims);
const variance = <X extends TensorLike>(x: X, axis: Axes = null, keepdims = false) => ops.variance(x, axis, keepdims);

export { variance as var };
export const any = <X extends TensorLike>(x: X, axis: Axes = null, keepdims = false) => ops.any(x, axis, keepdims);
export const all = <X extends TensorLike>(x: X, axis: Axes = null, keepdims = false) => ops.all(x, axis, keepdims);
export const argmax = <X extends TensorLike>(x: X, axis = -1) => ops.argmax(x, axis);
export const argmin = <X extends TensorLike>(x: X, axis = -1) => ops.argmin(x, axis);
export const cumsum = <X extends TensorLike>(x: X, axis = 0) => ops.cumsum(x, axis);
export const cumprod = <X extends TensorLike>(x: X, axis = 0) => ops.cumprod(x, axis);
export const pow = <X extends TensorLike>(x: X, a: number) => ops.power(x, a);
/** Square root; of negative numbers 0. */
export const sqrt = <X extends TensorLike>(x: X) => ops.sqrt(ops.maximum(x, 0)) as Result<X>;
/** Within [low, high]; null is no bound. */
export const clip = <X extends TensorLike>(x: X, low: number | null, high: number | null) =>
  ops.clip(x, low ?? -Infinity, Math.max(high ?? Infinity, low ?? -Infinity));
/** clip(0.2 x + 0.5, 0, 1). */
export const hardSigmoid = <X extends TensorLike>(x: X): Result<X> => run('hardSigmoid', [x], ([s]) => activations.hardSigmoidKeras2(s!)) as Result<X>;
export const relu = <X extends TensorLike>(x: X, alpha = 0, maxValue: number | null = null, threshold = 0): Result<X> =>
  run('relu', [x], ([s]) => {
    const kept = base.where(base.greater(s!, threshold), s!, base.multiply(base.subtract(s!, threshold), alpha));
    const positive = threshold === 0 && alpha === 0 ? ops.relu(s!) : kept;
    return maxValue === null ? positive : base.minimum(positive, maxValue);
  }) as Result<X>;
export const l2Normalize = <X extends TensorLike>(x: X, axis: Axes = null) => ops.l2Normalize(x, axis);

// ---- products

/** The last axis of x with the last but one of y. */
export const dot = <A extends TensorLike, B extends TensorLike>(x: A, y: B) => ops.dot(x, y);
/** Products sample by sample over one axis of each; default: the last of x, the last but one of y (the last for rank 2). */
export const batchDot = <A extends TensorLike, B extends TensorLike>(x: A, y: B, axes?: number | readonly [number, number]): Result<A | B> =>
  run('batchDot', [x, y], ([a, b]) => {
    const [i, j] = axes === undefined ? [a!.rank - 1, b!.rank > 2 ? b!.rank - 2 : b!.rank - 1] : typeof axes === 'number' ? [axes, axes] : axes;
    const out = base.dot(a!, b!, { batchLeft: [0], batchRight: [0], contractLeft: [base.axisOf(a!, i)], contractRight: [base.axisOf(b!, j)] });
    return out.rank === 1 ? base.expandDims(out, 1) : out;
  }) as Result<A | B>;

// ---- shapes

type Item<L> = L extends readonly (infer E)[] ? E : never;
/** Joins tensors along an axis, the last by default. */
export const concatenate = <L extends readonly TensorLike[]>(xs: L, axis = -1): Result<Item<L>> => ops.concatenate(xs, axis);
export const expandDims = <X extends TensorLike>(x: X, axis = -1) => ops.expandDims(x, axis);
export const transpose = <X extends TensorLike>(x: X) => ops.transpose(x);
export const permuteDimensions = <X extends TensorLike>(x: X, pattern: readonly number[]) => ops.transpose(x, pattern);
/** Rows of `reference` at the indices. */
export const gather = <X extends TensorLike, I extends TensorLike>(reference: X, indices: I) => ops.take(reference, indices, 0);
/** (samples, size) to (samples, n, size). */
export const repeat = <X extends TensorLike>(x: X, n: number) => ops.repeat(ops.expandDims(x, 1), n, 1);
/** Each element so many times along the axis. */
export const repeatElements = <X extends TensorLike>(x: X, times: number, axis: number) => ops.repeat(x, times, axis);
export const flatten = <X extends TensorLike>(x: X) => ops.ravel(x);
export const batchFlatten = <X extends TensorLike>(x: X): Result<X> => run('batchFlatten', [x], ([s]) => base.reshape(s!, [s!.shape[0]!, -1])) as Result<X>;
export const reverse = <X extends TensorLike>(x: X, axes: number | readonly number[]) => ops.flip(x, axes);
export const slice = <X extends TensorLike>(x: X, start: readonly number[], size: readonly number[]) => ops.slice(x, start, size);
export const castToFloatx = <X extends TensorLike>(x: X) => ops.cast(x, 'float32');
export const onesLike = <X extends TensorLike>(x: X, dtype?: DType) => (dtype ? ops.cast(ops.onesLike(x), dtype) : ops.onesLike(x)) as Result<X>;
export const zerosLike = <X extends TensorLike>(x: X, dtype?: DType) => (dtype ? ops.cast(ops.zerosLike(x), dtype) : ops.zerosLike(x)) as Result<X>;
/** Whether each target class is among the k largest predictions of its row. */
export const inTopK = <P extends TensorLike, T extends TensorLike>(predictions: P, targets: T, k: number): Result<T | P> => ops.inTopK(targets, predictions, k);

// ---- normalization

/** v (of rank 1) along axis `at` of x, or v as it is. */
const along = (x: SymbolicTensor, v: SymbolicTensor, at: number): SymbolicTensor =>
  v.rank === 1 ? base.reshape(v, [v.shape[0]!, ...x.shape.slice(at + 1).map(() => 1)]) : v;

/** (x - mean) / sqrt(variance + epsilon) * gamma + beta. Arguments of rank 1 lie along `axis` (default the last); others broadcast against x. gamma and beta may be null. */
export const batchNormalization = <X extends TensorLike>(
  x: X,
  mean: TensorLike,
  variance: TensorLike,
  beta: TensorLike | null,
  gamma: TensorLike | null,
  axis = -1,
  fuzz = 1e-3,
): Result<X> =>
  run('batchNormalization', [x, mean, variance, beta ?? 0, gamma ?? 1], ([s, ...rest]) => {
    const at = base.axisOf(s!, axis);
    const [m, v, b, g] = rest.map((r) => along(s!, r, at)) as [SymbolicTensor, SymbolicTensor, SymbolicTensor, SymbolicTensor];
    return base.add(base.multiply(base.multiply(base.subtract(s!, m), base.rsqrt(base.add(v, fuzz))), g), b);
  }) as Result<X>;

/**
 * [x normalized by its own mean and variance over the axes, mean, variance]. As in Keras, for images (rank 4, all axes but the last) the variance that is given back is divided by one
 * less than the number of elements.
 */
export const normalizeBatchInTraining = <X extends TensorLike>(
  x: X,
  gamma: TensorLike | null,
  beta: TensorLike | null,
  reductionAxes: readonly number[],
  fuzz = 1e-3,
): Results<X> =>
  run('normalizeBatchInTraining', [x, gamma ?? 1, beta ?? 0], ([s, g, b]) => {
    const axes = reductionAxes.map((a) => base.axisOf(s!, a)).sort((p, q) => p - q);
    const wide = s!.shape.map((d, i) => (axes.includes(i) ? 1 : d));
    const spread = (v: SymbolicTensor) => (v.rank === 0 ? v : base.reshape(v, wide));
    const centred = base.subtract(s!, base.mean(s!, axes, true));
    const variance = base.mean(base.square(centred), axes, true);
    const y = base.add(base.multiply(base.multiply(centred, base.rsqrt(base.add(variance, fuzz))), spread(g!)), spread(b!));
    const flat = base.mean(base.square(centred), axes);
    const images = s!.rank === 4 && axes.join() === '0,1,2';
    const n = axes.reduce<SymbolicTensor>((k, a) => base.multiply(k, base.size(s!, s!.shape[a]!)), base.full(s!, [], 1));
    return [y, base.mean(s!, axes), images ? base.multiply(flat, base.divide(n, base.subtract(n, 1))) : flat];
  }) as Results<X>;
