/**
 * Functions that several frontends need, as compositions of primitives. Those with a name that exporters and gradient rules know are composites
 * (rules in ir/composites.ts). Axes may be negative.
 */
import type { GraphBuilder } from './builder.js';
import { softmaxParts } from './composites.js';
import { addDim, type Dim, divDimExact, isStatic, type Shape, shapeToString, subDim } from './dim.js';
import type { DType } from './dtype.js';
import { ShapeError, ValueError } from './errors.js';
import type { Value } from './graph.js';
import type { Pair } from './op-attrs.js';
import { composite } from './subgraph.js';

/** The non-negative form of an axis; throws ShapeError where there is no such axis. */
export function normalizeAxis(axis: number, rank: number): number {
  const a = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || a < 0 || a >= rank) throw new ShapeError(`axis ${axis} is not an axis of a tensor of rank ${rank}`);
  return a;
}

// ---- normalized exponentials and cross entropies

export function softmax(b: GraphBuilder, x: Value, axis = -1): Value {
  const a = normalizeAxis(axis, x.shape.length);
  return composite(b, 'softmax', [x], { axis: a }, (s, [v]) => {
    const { exponentials, total } = softmaxParts(s, v!, a);
    return s.div(exponentials, total);
  });
}

export function logSoftmax(b: GraphBuilder, x: Value, axis = -1): Value {
  const a = normalizeAxis(axis, x.shape.length);
  return composite(b, 'log_softmax', [x], { axis: a }, (s, [v]) => {
    const { shifted, total } = softmaxParts(s, v!, a);
    return s.sub(shifted, s.log(total));
  });
}

/** log(sum(exp(x))) over one axis, which is removed. */
export function logsumexp(b: GraphBuilder, x: Value, axis = -1): Value {
  const a = normalizeAxis(axis, x.shape.length);
  return composite(b, 'logsumexp', [x], { axis: a }, (s, [v]) => {
    const { total } = softmaxParts(s, v!, a);
    return s.add(s.squeeze(s.log(total), [a]), s.reduce('max', v!, [a]));
  });
}

/** -sum(labels * log_softmax(logits)) over the axis, which is removed. Labels are probabilities; the gradient is softmax(logits) - labels, as in TensorFlow. */
export function softmaxCrossEntropy(b: GraphBuilder, logits: Value, labels: Value, axis = -1): Value {
  const a = normalizeAxis(axis, logits.shape.length);
  return composite(b, 'softmax_cross_entropy', [logits, labels], { axis: a }, (s, [x, y]) => {
    const { shifted, total } = softmaxParts(s, x!, a);
    return s.neg(s.sum(s.mul(y!, s.sub(shifted, s.log(total))), [a]));
  });
}

/** Cross entropy with int32 class indices, shaped as the logits without the axis. A class out of range counts as a label of zeros. */
export function sparseSoftmaxCrossEntropy(b: GraphBuilder, logits: Value, classes: Value, axis = -1): Value {
  const a = normalizeAxis(axis, logits.shape.length);
  return composite(b, 'sparse_softmax_cross_entropy', [logits, classes], { axis: a }, (s, [x, y]) => {
    const { shifted, total } = softmaxParts(s, x!, a);
    const hit = s.compare('eq', s.iota(x!.shape, a), s.expandDims(y!, a));
    return s.sub(s.squeeze(s.log(total), [a]), s.sum(s.select(hit, shifted, 0), [a]));
  });
}

/** max(x, 0) - x*y + log(1 + exp(-|x|)), elementwise; the gradient is sigmoid(x) - y. */
export function sigmoidCrossEntropy(b: GraphBuilder, logits: Value, labels: Value): Value {
  return composite(b, 'sigmoid_cross_entropy', [logits, labels], {}, (s, [x, y]) =>
    s.add(s.sub(s.relu(x!), s.mul(x!, y!)), s.unary('log1p', s.exp(s.neg(s.unary('abs', x!))))),
  );
}

// ---- activations and elementwise helpers

/** x * Φ(x); `approximate` uses tanh instead of erf. */
export function gelu(b: GraphBuilder, x: Value, approximate = false): Value {
  return composite(b, 'gelu', [x], { approximate }, (s, [v]) => {
    const half = s.mul(v!, 0.5);
    if (!approximate) return s.mul(half, s.add(s.unary('erf', s.mul(v!, Math.SQRT1_2)), 1));
    const inner = s.mul(s.add(v!, s.mul(s.mul(s.square(v!), v!), 0.044715)), Math.sqrt(2 / Math.PI));
    return s.mul(half, s.add(s.tanh(inner), 1));
  });
}

/** min(max(x, 0), 6); the gradient is 0 at 0 and 6, as in TensorFlow. */
export const relu6 = (b: GraphBuilder, x: Value): Value => composite(b, 'relu6', [x], {}, (s, [v]) => s.min(s.max(v!, 0), 6));

/** x limited to [low, high]. The gradient is 1 from low to high, both included, as in TensorFlow's clip_by_value. */
export const clip = (b: GraphBuilder, x: Value, low: number, high: number): Value => b.max(b.min(x, high), low);

/** x; no gradient flows back through it. */
export const stopGradient = (b: GraphBuilder, x: Value): Value => composite(b, 'stop_gradient', [x], {}, (_s, [v]) => v!);

/** 1 at the index, 0 elsewhere, along a new axis (default: last). Indices out of range give zeros. */
export function oneHot(b: GraphBuilder, indices: Value, depth: number, options: { axis?: number; dtype?: DType } = {}): Value {
  const axis = normalizeAxis(options.axis ?? -1, indices.shape.length + 1);
  const shape = [...indices.shape.slice(0, axis), depth, ...indices.shape.slice(axis)];
  return b.cast(b.compare('eq', b.iota(shape, axis, indices.dtype), b.expandDims(indices, axis)), options.dtype ?? 'float32');
}

/** int32 index of the first maximum along one axis, which is removed. */
export const argmax = (b: GraphBuilder, x: Value, axis = -1): Value => b.emit('arg_reduce', [x], { fn: 'argmax', axis: normalizeAxis(axis, x.shape.length) });
export const argmin = (b: GraphBuilder, x: Value, axis = -1): Value => b.emit('arg_reduce', [x], { fn: 'argmin', axis: normalizeAxis(axis, x.shape.length) });

// ---- random numbers: functions of a uint32[2] key

/** A new key from a key and a number (a step counter, the index of an op): one block of Threefry with the number mixed into the key. */
export function foldKey(b: GraphBuilder, key: Value, data: Value | number): Value {
  const word = typeof data === 'number' ? b.scalar(data >>> 0, 'uint32') : b.cast(data, 'uint32');
  const mixed = b.binary('xor', b.sliceAxis(key, 0, 1, 2), b.reshape(word, [1]));
  return b.emit('random_bits', [b.concat([b.sliceAxis(key, 0, 0, 1), mixed], 0)], { shape: [2] });
}

/** Uniform in [0, 1): the high 24 bits of each word times 2^-24, so the same float32 numbers everywhere. */
export function uniform(b: GraphBuilder, key: Value, shape: Shape): Value {
  const bits = b.emit('random_bits', [key], { shape });
  return b.mul(b.cast(b.binary('shift_right', bits, 8), 'float32'), 2 ** -24);
}

/** Standard normal by Box-Muller, from two uniform numbers for each element. */
export function normal(b: GraphBuilder, key: Value, shape: Shape): Value {
  const u = uniform(b, key, [2, ...shape]);
  const half = (i: number): Value => b.squeeze(b.sliceAxis(u, 0, i, i + 1), [0]);
  const radius = b.sqrt(b.mul(b.unary('log1p', b.neg(half(0))), -2));
  return b.mul(radius, b.unary('cos', b.mul(half(1), 2 * Math.PI)));
}

// ---- convolution

export interface ConvolutionOptions {
  /** One number for all spatial axes, or one each. Default 1. */
  readonly strides?: number | readonly number[];
  /** `same`: TensorFlow's (output size = ceil(size / stride), the odd one at the end); `valid`: none; or explicit [low, high] pairs. Default valid. */
  readonly padding?: 'same' | 'valid' | readonly Pair[];
  readonly dilation?: number | readonly number[];
  readonly groups?: number;
}

/** TensorFlow's `same` padding of one axis. With a symbolic size the stride must divide it. Throws ValueError where it does not. */
export function samePadding(size: Dim, window: number, stride: number, dilation: number): Pair {
  const span = (window - 1) * dilation + 1;
  const last = isStatic(size) ? (Math.ceil(size / stride) - 1) * stride : divDimExact(size, stride) && subDim(size, stride);
  if (last === null) throw new ValueError(`padding 'same' with stride ${stride} on an axis of symbolic size ${size} depends on that size; pad explicitly`);
  const total = subDim(addDim(last, span), size);
  if (!isStatic(total)) throw new ValueError(`padding 'same' on an axis of size ${size} is not a number`);
  const n = Math.max(total, 0);
  return [Math.floor(n / 2), n - Math.floor(n / 2)];
}

const perAxis = (name: string, value: number | readonly number[], n: number): readonly number[] => {
  const list = typeof value === 'number' ? Array.from({ length: n }, () => value) : value;
  if (list.length !== n) throw new ShapeError(`convolution: ${name} [${list.join(',')}] needs ${n} entries, one for each spatial axis`);
  return list;
};

/** Channels-last convolution of any rank: x [batch, ...spatial, channels], kernel [...window, channels / groups, filters]. */
export function convolution(b: GraphBuilder, x: Value, kernel: Value, options: ConvolutionOptions = {}): Value {
  const n = x.shape.length - 2;
  if (n < 1 || kernel.shape.length !== n + 2)
    throw new ShapeError(`convolution: x ${shapeToString(x.shape)} and kernel ${shapeToString(kernel.shape)} must have the same rank of at least 3`);
  const strides = perAxis('strides', options.strides ?? 1, n);
  const kernelDilation = perAxis('dilation', options.dilation ?? 1, n);
  const { padding = 'valid' } = options;
  if (typeof padding !== 'string' && padding.length !== n)
    throw new ShapeError(`convolution: padding has ${padding.length} pairs, expected ${n}, one for each spatial axis`);
  const spatial = Array.from({ length: n }, (_, i) => i + 1);
  const pairs = spatial.map((axis, i): Pair => {
    if (padding === 'valid') return [0, 0];
    if (padding !== 'same') return padding[i]!;
    const window = kernel.shape[i]!;
    if (!isStatic(window)) throw new ShapeError(`convolution: padding 'same' needs a static window, found ${window}`);
    return samePadding(x.shape[axis]!, window, strides[i]!, kernelDilation[i]!);
  });
  const roles = { batch: 0, feature: n + 1, spatial };
  return b.emit('conv', [x, kernel], {
    strides,
    padding: pairs,
    inputDilation: spatial.map(() => 1),
    kernelDilation,
    groups: options.groups ?? 1,
    batchGroups: 1,
    dims: { input: roles, kernel: { input: n, output: n + 1, spatial: spatial.map((a) => a - 1) }, output: roles },
  });
}
