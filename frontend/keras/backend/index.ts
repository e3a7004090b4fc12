/**
 * `tf.keras.backend` in camelCase, upon `ops`. Functions that need a graph or a session of TensorFlow 1 are not here. `floatx` is float32, and layers are given their `dataFormat`,
 * so that setting others is an error.
 */
import type { Dim } from '../../../ir/dim.js';
import type { DType } from '../../../ir/dtype.js';
import { UnsupportedError } from '../../../ir/errors.js';
import * as initializers from '../initializers/index.js';
import { type KerasDType, KerasTensor } from '../layers/node.js';
import * as ops from '../ops/index.js';
import { type Result, type Results, run, type TensorLike } from '../ops/lift.js';
import { type ArrayLikeInput, Tensor, toTensor } from '../tensor.js';
import { clearSession, resetNames, uniqueNumber } from '../utils/naming.js';
import { describe } from '../utils/options.js';
import * as base from './ops.js';
import { scan as baseScan } from './scan.js';
import { SymbolicTensor } from './trace.js';
import { Variable } from './variable.js';

export {
  abs,
  arange,
  argmax,
  argmin,
  cast,
  clip,
  concatenate,
  cos,
  cumprod,
  cumsum,
  elu,
  equal,
  exp,
  expandDims,
  eye,
  gradients,
  greater,
  greaterEqual,
  hardSigmoid,
  inTopK,
  isTensor,
  less,
  lessEqual,
  log,
  logsumexp,
  maximum,
  minimum,
  notEqual,
  oneHot,
  onesLike,
  repeat as repeatElements,
  reshape,
  round,
  sigmoid,
  sign,
  sin,
  softmax,
  softplus,
  softsign,
  sqrt,
  square,
  squeeze,
  stack,
  stopGradient,
  tanh,
  tile,
  zerosLike,
} from '../ops/index.js';
export { clearSession };

// ---- settings

export { epsilon, setEpsilon } from './fuzz.js';
export const floatx = (): 'float32' => 'float32';
export function setFloatx(value: string): void {
  if (value !== 'float32') throw new UnsupportedError(`backend.setFloatx: computing in ${describe(value)} is not supported, float32 only`);
}
export const imageDataFormat = (): 'channels_last' => 'channels_last';
export function setImageDataFormat(value: string): void {
  if (value !== 'channels_last')
    throw new UnsupportedError(`backend.setImageDataFormat: ${describe(value)} is given to each layer as dataFormat, not for all of them`);
}
/** The next number for a prefix: 1, 2, … */
export const getUid = (prefix = ''): number => uniqueNumber(prefix);
/** Automatic names and numbers begin anew. */
export const resetUids = (): void => resetNames();

// ---- variables and constants

/** A variable with this value. */
export function variable(value: ArrayLikeInput, options: { readonly dtype?: DType; readonly name?: string; readonly trainable?: boolean } = {}): Variable {
  const t = typeof value === 'number' ? new Tensor([value], []) : toTensor('backend.variable', value);
  const v = new Variable({
    path: options.name ?? `variable_${getUid('variable')}`,
    shape: t.shape,
    dtype: options.dtype ?? t.dtype,
    trainable: options.trainable ?? true,
  });
  v.assign(t.data);
  return v;
}
const filled =
  (id: string) =>
  (shape: readonly number[], options: { readonly dtype?: DType; readonly name?: string } = {}): Variable => {
    const v = new Variable({
      path: options.name ?? `variable_${getUid('variable')}`,
      shape,
      dtype: options.dtype ?? 'float32',
      initializer: initializers.get(id),
    });
    return v;
  };
/** A variable of zeros, as in tf.keras.backend. */
export const zeros = filled('zeros');
export const ones = filled('ones');
export const constant = (value: ArrayLikeInput, dtype?: DType, shape?: readonly number[]): Tensor => {
  const t = typeof value === 'number' ? new Tensor([value], []) : ops.convertToTensor(value);
  const data = shape && t.size === 1 ? new Float32Array(shape.reduce((a, d) => a * d, 1)).fill(t.data[0]!) : t.data;
  return ops.cast(new Tensor(data, shape ?? t.shape, t.size === 1 && shape ? 'float32' : t.dtype), dtype ?? 'float32');
};
/** The value of a variable on the host. */
export const getValue = (x: Variable): Tensor => ops.convertToTensor(x);
export const setValue = (x: Variable, value: ArrayLikeInput): void => x.assign(typeof value === 'number' ? value : toTensor('backend.setValue', value).data);
export const batchGetValue = (xs: readonly Variable[]): Tensor[] => xs.map(getValue);
export const batchSetValue = (pairs: readonly (readonly [Variable, ArrayLikeInput])[]): void => {
  for (const [x, value] of pairs) setValue(x, value);
};
export const update = (x: Variable, value: SymbolicTensor | number): void => x.assign(value);
export const updateAdd = (x: Variable, by: SymbolicTensor | number): void => x.assignAdd(by);
export const updateSub = (x: Variable, by: SymbolicTensor | number): void => x.assignSub(by);

// ---- looking

type Shaped = SymbolicTensor | KerasTensor | Tensor | Variable;
/** The sizes of the axes; null where unknown. */
export const intShape = (x: Shaped): (number | null)[] => x.shape.map((d: Dim | null) => (typeof d === 'number' ? d : null));
export const shape = (x: SymbolicTensor): readonly Dim[] => x.shape;
export const ndim = (x: Shaped): number => x.shape.length;
export const dtype = (x: Shaped): KerasDType => x.dtype;
export const countParams = (x: Shaped): number => intShape(x).reduce<number>((a, d) => a * (d ?? 1), 1);
export const isKerasTensor = (x: unknown): x is KerasTensor => x instanceof KerasTensor;

// ---- Keras' order of arguments

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
export const pow = <X extends TensorLike>(x: X, a: number) => ops.power(x, a);
export const relu = <X extends TensorLike>(x: X, alpha = 0, maxValue: number | null = null, threshold = 0): Result<X> =>
  run('relu', [x], ([s]) => {
    const kept = base.where(base.greaterEqual(s!, threshold), s!, base.multiply(base.subtract(s!, threshold), alpha));
    const positive = threshold === 0 && alpha === 0 ? ops.relu(s!) : kept;
    return maxValue === null ? positive : base.minimum(positive, maxValue);
  }) as Result<X>;
/** The last axis of x with the last but one of y. */
export const dot = <A extends TensorLike, B extends TensorLike>(x: A, y: B) => ops.dot(x, y);
/** Products sample by sample over one axis of each; default: the last of x, the last but one of y (the last for rank 2). */
export const batchDot = <A extends TensorLike, B extends TensorLike>(x: A, y: B, axes?: number | readonly [number, number]): Result<A | B> =>
  run('batchDot', [x, y], ([a, b]) => {
    const [i, j] = axes === undefined ? [a!.rank - 1, b!.rank > 2 ? b!.rank - 2 : b!.rank - 1] : typeof axes === 'number' ? [axes, axes] : axes;
    const out = base.dot(a!, b!, { batchLeft: [0], batchRight: [0], contractLeft: [base.axisOf(a!, i)], contractRight: [base.axisOf(b!, j)] });
    return out.rank === 1 ? base.expandDims(out, 1) : out;
  }) as Result<A | B>;
export const transpose = <X extends TensorLike>(x: X) => ops.transpose(x);
export const permuteDimensions = <X extends TensorLike>(x: X, pattern: readonly number[]) => ops.transpose(x, pattern);
/** Rows of `reference` at the indices. */
export const gather = <X extends TensorLike, I extends TensorLike>(reference: X, indices: I) => ops.take(reference, indices, 0);
/** (samples, size) to (samples, n, size). */
export const repeat = <X extends TensorLike>(x: X, n: number) => ops.repeat(ops.expandDims(x, 1), n, 1);
export const flatten = <X extends TensorLike>(x: X) => ops.ravel(x);
export const batchFlatten = <X extends TensorLike>(x: X): Result<X> => run('batchFlatten', [x], ([s]) => base.reshape(s!, [s!.shape[0]!, -1])) as Result<X>;
export const reverse = <X extends TensorLike>(x: X, axes: number | readonly number[]) => ops.flip(x, axes);
export const slice = <X extends TensorLike>(x: X, start: readonly number[], size: readonly number[]) => ops.slice(x, start, size);
export const temporalPadding = <X extends TensorLike>(x: X, padding: readonly [number, number] = [1, 1]) => ops.pad(x, [[0, 0], padding, [0, 0]]);
export const spatial2dPadding = <X extends TensorLike>(
  x: X,
  padding: readonly [readonly [number, number], readonly [number, number]] = [
    [1, 1],
    [1, 1],
  ],
) => ops.pad(x, [[0, 0], padding[0], padding[1], [0, 0]]);
/** Zeros around the three spatial axes of (batch, depth, height, width, channels); default one on each side. */
export const spatial3dPadding = <X extends TensorLike>(
  x: X,
  padding: readonly [readonly [number, number], readonly [number, number], readonly [number, number]] = [
    [1, 1],
    [1, 1],
    [1, 1],
  ],
) => ops.pad(x, [[0, 0], ...padding, [0, 0]]);
export const castToFloatx = <X extends TensorLike>(x: X) => ops.cast(x, 'float32');
/** Always false: there are no sparse tensors. */
export const isSparse = (_: Shaped): boolean => false;
export const biasAdd = <X extends TensorLike, B extends TensorLike>(x: X, bias: B) => ops.add(x, bias);
export const l2Normalize = <X extends TensorLike>(x: X, axis: Axes = null) => ops.l2Normalize(x, axis);
export const categoricalCrossentropy = <T extends TensorLike, O extends TensorLike>(target: T, output: O, fromLogits = false) =>
  ops.categoricalCrossentropy(target, output, { fromLogits });
export const sparseCategoricalCrossentropy = <T extends TensorLike, O extends TensorLike>(target: T, output: O, fromLogits = false) =>
  ops.sparseCategoricalCrossentropy(target, output, { fromLogits });
export const binaryCrossentropy = <T extends TensorLike, O extends TensorLike>(target: T, output: O, fromLogits = false) =>
  ops.binaryCrossentropy(target, output, { fromLogits });
export const conv1d = <X extends TensorLike, K extends TensorLike>(x: X, kernel: K, strides = 1, padding: 'valid' | 'same' = 'valid') =>
  ops.conv(x, kernel, { strides, padding });
export const conv2d = <X extends TensorLike, K extends TensorLike>(
  x: X,
  kernel: K,
  strides: readonly [number, number] = [1, 1],
  padding: 'valid' | 'same' = 'valid',
) => ops.conv(x, kernel, { strides, padding });
export const conv3d = <X extends TensorLike, K extends TensorLike>(
  x: X,
  kernel: K,
  strides: readonly [number, number, number] = [1, 1, 1],
  padding: 'valid' | 'same' = 'valid',
) => ops.conv(x, kernel, { strides, padding });
/** (x - mean) / sqrt(variance + epsilon) * gamma + beta. Arguments of rank 1 lie along `axis` (default the last); others broadcast against x. */
export const batchNormalization = <X extends TensorLike>(
  x: X,
  mean: TensorLike,
  variance: TensorLike,
  beta: TensorLike,
  gamma: TensorLike,
  axis = -1,
  fuzz = 1e-3,
): Result<X> =>
  run('batchNormalization', [x, mean, variance, beta, gamma], ([s, ...rest]) => {
    const at = base.axisOf(s!, axis);
    const along = (v: SymbolicTensor) => (v.rank === 1 ? base.reshape(v, [v.shape[0]!, ...s!.shape.slice(at + 1).map(() => 1)]) : v);
    const [m, v, b, g] = rest.map(along) as [SymbolicTensor, SymbolicTensor, SymbolicTensor, SymbolicTensor];
    return base.add(base.multiply(base.multiply(base.subtract(s!, m), base.rsqrt(base.add(v, fuzz))), g), b);
  }) as Result<X>;
export const randomNormal = (shape: readonly Dim[], mean = 0, stddev = 1, seed: number | null = null): SymbolicTensor =>
  ops.random.normal(shape, { mean, stddev, seed });
export const randomUniform = (shape: readonly Dim[], minval = 0, maxval = 1, seed: number | null = null): SymbolicTensor =>
  ops.random.uniform(shape, { minval, maxval, seed });
export const randomBernoulli = (shape: readonly Dim[], p = 0, seed: number | null = null): SymbolicTensor => ops.random.binomial(shape, p, { seed });
export const dropout = <X extends TensorLike>(x: X, level: number, seed: number | null = null) => ops.random.dropout(x, level, { seed });

// ---- control

/** thenExpression where the scalar is true, else elseExpression; each a tensor or a function that gives one. */
const switchOf = <C extends TensorLike>(
  condition: C,
  thenExpression: SymbolicTensor | (() => SymbolicTensor),
  elseExpression: SymbolicTensor | (() => SymbolicTensor),
): Result<C> => ops.cond(condition, asFunction(thenExpression), asFunction(elseExpression)) as Result<C>;

export { switchOf as switch };

const asFunction = <T>(x: T | (() => T)): (() => T) => (typeof x === 'function' && !(x instanceof SymbolicTensor) ? (x as () => T) : () => x as T);
/** x while training, alt otherwise; `training` is the argument of the call. */
export const inTrainPhase = <T>(x: T | (() => T), alt: T | (() => T), training: boolean | null = false): T => asFunction(training ? x : alt)();
export const inTestPhase = <T>(x: T | (() => T), alt: T | (() => T), training: boolean | null = false): T => inTrainPhase(alt, x, training);

export interface RnnOptions {
  readonly goBackwards?: boolean;
  /** (samples, time): false steps keep states and output. */
  readonly mask?: SymbolicTensor | null;
}
/** Steps through axis 1 of `inputs`: `step(x, states)` gives [output, new states]. */
export const rnn = <X extends TensorLike>(
  step: (x: SymbolicTensor, states: readonly SymbolicTensor[]) => readonly [SymbolicTensor, readonly SymbolicTensor[]],
  inputs: X,
  initialStates: readonly TensorLike[],
  options: RnnOptions = {},
): { readonly lastOutput: Result<X>; readonly outputs: Result<X>; readonly states: Results<X> } => {
  const found = run('rnn', [inputs, ...initialStates, ...(options.mask ? [options.mask] : [])], (xs, t) => {
    const [x, ...rest] = xs as [SymbolicTensor, ...SymbolicTensor[]];
    const states = rest.slice(0, initialStates.length);
    const timeFirst = (v: SymbolicTensor) => base.transpose(v, [1, 0, ...v.shape.slice(2).map((_, i) => i + 2)]);
    const mask = options.mask ? timeFirst(base.cast(rest.at(-1)!, 'bool')) : null;
    const steps = [timeFirst(x), ...(mask ? [mask] : [])].map((v) => (options.goBackwards ? base.reverse(v, [0]) : v));
    // the output before the first step is zeros of the output's shape, which a first step tells
    const [first] = step(base.squeeze(base.sliceAxis(steps[0]!, 0, 0, 1), 0), states);
    const r = baseScan(t, {
      name: 'rnn',
      carries: [base.zeros(first, first.shape, first.dtype), ...states],
      xs: steps,
      constants: [],
      length: x.shape[1]!,
      reverse: false,
      step: ([last, ...carried], [now, keep]) => {
        const [y, next] = step(now!, carried);
        if (!keep) return { carries: [y, ...next], ys: [y] };
        const choose = (a: SymbolicTensor, b: SymbolicTensor) => {
          const wide = base.reshape(keep, [keep.shape[0]!, ...a.shape.slice(1).map(() => 1)]);
          return base.where(base.broadcastTo(wide, a.shape), a, b);
        };
        const out = choose(y, last!);
        return { carries: [out, ...next.map((n, i) => choose(n, carried[i]!))], ys: [out] };
      },
    });
    return [r.carries[0]!, timeFirst(r.ys[0]!), ...r.carries.slice(1)];
  }) as Results<X>;
  return { lastOutput: found[0]!, outputs: found[1]!, states: found.slice(2) };
};
export const map = ops.map;
