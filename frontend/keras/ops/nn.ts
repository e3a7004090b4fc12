/** Activations, normalizations, crossentropies, convolution and pooling, of `keras.ops` (and `keras.ops.nn`). */
import { convolution } from '../../../ir/math.js';
import * as activations from '../activations.js';
import { epsilon } from '../backend/fuzz.js';
import * as nn from '../backend/nn.js';
import * as base from '../backend/ops.js';
import * as losses from '../losses/functions.js';
import { type Axis, axesOf, binary, type Result, type Results, run, type TensorLike, unary, withOptions } from './lift.js';

export const relu = unary('relu', (x) => activations.relu(x));
export const relu6 = unary('relu6', activations.relu6);
export const sigmoid = unary('sigmoid', base.sigmoid);
export const logSigmoid = unary('logSigmoid', activations.logSigmoid);
export const hardSigmoid = unary('hardSigmoid', activations.hardSigmoid);
export const hardSilu = unary('hardSilu', activations.hardSilu);
export const hardSwish = hardSilu;
export const hardTanh = unary('hardTanh', activations.hardTanh);
export const silu = unary('silu', activations.silu);
export const swish = silu;
export const selu = unary('selu', activations.selu);
export const softplus = unary('softplus', activations.softplus);
export const softsign = unary('softsign', activations.softsign);
export const mish = unary('mish', activations.mish);
export const tanhShrink = unary('tanhShrink', activations.tanhShrink);
export const elu = withOptions('elu', (x, alpha?: number) => activations.elu(x, alpha ?? 1));
export const celu = withOptions('celu', (x, alpha?: number) => activations.celu(x, alpha ?? 1));
export const glu = withOptions('glu', (x, axis?: number) => activations.glu(x, axis ?? -1));
/** Keras 3's function: the default slope is 0.2. */
export const leakyRelu = withOptions('leakyRelu', (x, negativeSlope?: number) => activations.leakyRelu(x, negativeSlope ?? 0.2));
/** The approximate form is the default, as in keras.ops. */
export const gelu = withOptions('gelu', (x, approximate?: boolean) => activations.gelu(x, approximate ?? true));
export const softmax = withOptions('softmax', (x, axis?: number | readonly number[]) =>
  typeof axis === 'object' ? activations.softmax(x, axis) : nn.softmax(x, base.axisOf(x, axis ?? -1)),
);
export const logSoftmax = withOptions('logSoftmax', (x, axis?: number) => activations.logSoftmax(x, axis ?? -1));

/** Mean and variance along the axes. */
export const moments = <X extends TensorLike>(x: X, axes: Axis, keepdims = false): { readonly mean: Result<X>; readonly variance: Result<X> } => {
  const [mean, variance] = run('moments', [x], ([s]) => {
    const m = base.mean(s!, axesOf(axes), true);
    return [base.mean(s!, axesOf(axes), keepdims), base.mean(base.square(base.subtract(s!, m)), axesOf(axes), keepdims)];
  }) as Results<X>;
  return { mean: mean!, variance: variance! };
};
/** x divided by its norm of this order along the axis; norms below 1e-7 count as that. */
export const normalize = withOptions('normalize', (x, axis?: number, order?: number) => {
  if ((order ?? 2) === 2) return base.l2Normalize(x, [axis ?? -1], 1e-14);
  const p = order!;
  return base.divide(x, base.maximum(base.power(base.sum(base.power(base.abs(x), p), [axis ?? -1], true), 1 / p), 1e-7));
});
/** Indices to vectors with a 1 at each of them; the last axis of the indices goes. */
export const multiHot = withOptions('multiHot', (x, numClasses: number) => {
  const hot = base.equal(base.expandDims(base.cast(x, 'int32'), -1), base.iota(x, [...x.shape, numClasses], x.rank));
  return base.cast(base.any(hot, [-2]), 'float32');
});

export interface CrossentropyForm {
  /** The outputs are logits; default false: probabilities. */
  readonly fromLogits?: boolean;
}
/** One loss for each element. */
export const binaryCrossentropy = <T extends TensorLike, O extends TensorLike>(target: T, output: O, options: CrossentropyForm = {}): Result<T | O> =>
  run('binaryCrossentropy', [output, target], ([o, t]) => {
    const y = base.cast(t!, 'float32');
    if (options.fromLogits) return base.add(base.subtract(base.maximum(o!, 0), base.multiply(o!, y)), base.log1p(base.exp(base.negative(base.abs(o!)))));
    const p = base.clip(o!, epsilon(), 1 - epsilon());
    return base.negative(base.add(base.multiply(y, base.log(p)), base.multiply(base.subtract(1, y), base.log(base.subtract(1, p)))));
  }) as Result<T | O>;
/** One loss for each row; targets are probabilities along the last axis. */
export const categoricalCrossentropy = <T extends TensorLike, O extends TensorLike>(target: T, output: O, options: CrossentropyForm = {}): Result<T | O> =>
  run('categoricalCrossentropy', [output, target], ([o, t]) => losses.categoricalCrossentropy(base.cast(t!, 'float32'), o!, options)) as Result<T | O>;
/** One loss for each row; targets are class numbers. */
export const sparseCategoricalCrossentropy = <T extends TensorLike, O extends TensorLike>(
  target: T,
  output: O,
  options: CrossentropyForm = {},
): Result<T | O> =>
  run('sparseCategoricalCrossentropy', [output, target], ([o, t]) => losses.sparseCategoricalCrossentropy(base.cast(t!, 'int32'), o!, options)) as Result<
    T | O
  >;

export interface ConvForm {
  readonly strides?: number | readonly number[];
  readonly padding?: 'valid' | 'same';
  readonly dilationRate?: number | readonly number[];
}
/** Convolution of (batch, …, channels) with a kernel (…, in, out). */
export const conv = <X extends TensorLike, K extends TensorLike>(x: X, kernel: K, options: ConvForm = {}): Result<X | K> =>
  run('conv', [x, kernel], ([s, k]) =>
    s!.trace.tensor(convolution(s!.trace.b, s!.value, k!.value, { strides: options.strides, padding: options.padding, dilation: options.dilationRate })),
  ) as Result<X | K>;

/** softmax(q kᵀ / sqrt(d)) v of (batch, length, heads, size), as keras.ops.dotProductAttention; `mask` is true where a query may look. */
export const dotProductAttention = <Q extends TensorLike>(query: Q, key: Q, value: Q, mask: TensorLike | null = null): Result<Q> =>
  run('dotProductAttention', mask === null ? [query, key, value] : [query, key, value, mask], ([q, k, v, m]) => {
    const scores = base.dot(q!, k!, { batchLeft: [0, 2], batchRight: [0, 2], contractLeft: [3], contractRight: [3] });
    const scaled = base.multiply(scores, 1 / Math.sqrt(q!.shape[3] as number));
    const weights = activations.softmax(m ? base.where(base.broadcastTo(base.cast(m, 'bool'), scaled.shape), scaled, -1e9) : scaled, -1);
    // (batch, heads, queries, size)
    const mixed = base.dot(weights, v!, { batchLeft: [0, 1], batchRight: [0, 2], contractLeft: [3], contractRight: [1] });
    return base.transpose(mixed, [0, 2, 1, 3]);
  }) as Result<Q>;
export const biasAdd = binary('biasAdd', base.add);
