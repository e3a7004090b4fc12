/**
 * Operations on symbolic tensors, in the spirit of `keras.ops`: what a layer's `call` is written with. Numbers and variables may stand for tensors. Binary operations
 * broadcast as NumPy does.
 */
import { type Dim, isStatic, type Shape } from '../../../ir/dim.js';
import type { DType } from '../../../ir/dtype.js';
import { ShapeError } from '../../../ir/errors.js';
import type { Value } from '../../../ir/graph.js';
import * as math from '../../../ir/math.js';
import type { BinaryFunction, CompareFunction, OpAttrs, ReduceFunction, UnaryFunction } from '../../../ir/op-attrs.js';
import { runningTrace } from './context.js';
import { SymbolicTensor, type Trace } from './trace.js';
import { Variable } from './variable.js';

export type TensorLike = SymbolicTensor | Variable | number;

function traceOf(args: readonly TensorLike[]): Trace {
  let found: Trace | null = null;
  // within a sub-graph its own tensors meet those from outside
  for (const a of args) if (a instanceof SymbolicTensor && (found === null || a.trace.depth > found.depth)) found = a.trace;
  found ??= runningTrace();
  if (found) return found;
  throw new ShapeError("an operation needs at least one symbolic tensor among its arguments: use it inside a layer's call");
}

/** The IR value of an argument, in a trace. Numbers take the dtype of `like`. */
function valueIn(t: Trace, x: TensorLike, like: DType): Value {
  if (typeof x === 'number') return t.b.scalar(x, like);
  if (x instanceof Variable) return t.read(x).value;
  return t.capture(x).value;
}

const dtypeOf = (args: readonly TensorLike[]): DType => {
  const x = args.find((a) => typeof a !== 'number');
  return typeof x === 'object' ? x.dtype : 'float32';
};

const unary =
  (fn: UnaryFunction) =>
  (x: SymbolicTensor): SymbolicTensor =>
    x.trace.tensor(x.trace.b.unary(fn, x.value));

const binary =
  (fn: BinaryFunction) =>
  (a: TensorLike, b: TensorLike): SymbolicTensor => {
    const t = traceOf([a, b]);
    const dtype = dtypeOf([a, b]);
    return t.tensor(t.b.binary(fn, valueIn(t, a, dtype), valueIn(t, b, dtype)));
  };

const compare =
  (fn: CompareFunction) =>
  (a: TensorLike, b: TensorLike): SymbolicTensor => {
    const t = traceOf([a, b]);
    const dtype = dtypeOf([a, b]);
    return t.tensor(t.b.compare(fn, valueIn(t, a, dtype), valueIn(t, b, dtype)));
  };

export const add = binary('add');
export const subtract = binary('sub');
export const multiply = binary('mul');
export const divide = binary('div');
export const power = binary('pow');
export const maximum = binary('max');
export const minimum = binary('min');
export const mod = binary('rem');
export const logicalAnd = binary('and');
export const logicalOr = binary('or');
export const negative = unary('neg');
export const abs = unary('abs');
export const sign = unary('sign');
export const floor = unary('floor');
export const round = unary('round');
export const exp = unary('exp');
export const expm1 = unary('expm1');
export const log = unary('log');
export const log1p = unary('log1p');
export const sqrt = unary('sqrt');
export const rsqrt = unary('rsqrt');
export const cos = unary('cos');
export const sin = unary('sin');
export const tanh = unary('tanh');
export const sigmoid = unary('sigmoid');
export const erf = unary('erf');
export const logicalNot = unary('not');
export const equal = compare('eq');
export const notEqual = compare('ne');
export const less = compare('lt');
export const lessEqual = compare('le');
export const greater = compare('gt');
export const greaterEqual = compare('ge');

export const square = (x: SymbolicTensor): SymbolicTensor => multiply(x, x);
export const clip = (x: SymbolicTensor, low: number, high: number): SymbolicTensor => minimum(maximum(x, low), high);

/** condition ? a : b, element by element. */
export function where(condition: SymbolicTensor, a: TensorLike, b: TensorLike): SymbolicTensor {
  const t = traceOf([condition, a, b]);
  const dtype = dtypeOf([a, b]);
  return t.tensor(t.b.select(valueIn(t, condition, 'bool'), valueIn(t, a, dtype), valueIn(t, b, dtype)));
}

export const cast = (x: TensorLike & object, dtype: DType): SymbolicTensor => {
  const t = traceOf([x]);
  return t.tensor(t.b.cast(valueIn(t, x, dtype), dtype));
};

/** An axis that may count from the end. */
export function axisOf(x: { readonly shape: Shape }, axis: number): number {
  const a = axis < 0 ? axis + x.shape.length : axis;
  if (!Number.isInteger(a) || a < 0 || a >= x.shape.length) throw new ShapeError(`axis ${axis} is out of range for a tensor of rank ${x.shape.length}`);
  return a;
}

/** One dimension may be -1. */
export const reshape = (x: TensorLike & object, shape: Shape, t = traceOf([x])): SymbolicTensor => t.tensor(t.b.reshape(valueIn(t, x, 'float32'), shape));
export const transpose = (x: SymbolicTensor, perm: readonly number[]): SymbolicTensor => x.trace.tensor(x.trace.b.transpose(x.value, perm));
export const expandDims = (x: SymbolicTensor, axis: number): SymbolicTensor =>
  x.trace.tensor(x.trace.b.expandDims(x.value, axis < 0 ? axis + x.rank + 1 : axis));
export const squeeze = (x: SymbolicTensor, axis: number): SymbolicTensor => x.trace.tensor(x.trace.b.squeeze(x.value, [axisOf(x, axis)]));
export const broadcastTo = (x: SymbolicTensor, shape: Shape): SymbolicTensor => x.trace.tensor(x.trace.b.broadcastTo(x.value, shape));
export const reverse = (x: SymbolicTensor, axes: readonly number[]): SymbolicTensor => x.trace.tensor(x.trace.b.reverse(x.value, axes));

/** Elements [start, limit) of one axis. */
export const sliceAxis = (x: SymbolicTensor, axis: number, start: Dim, limit: Dim): SymbolicTensor =>
  x.trace.tensor(x.trace.b.sliceAxis(x.value, axisOf(x, axis), start, limit));

/** Equal parts along an axis. */
export function split(x: SymbolicTensor, parts: number, axis: number): SymbolicTensor[] {
  const a = axisOf(x, axis);
  const n = x.shape[a]!;
  if (!isStatic(n) || n % parts !== 0) throw new ShapeError(`cannot split axis ${axis} of size ${n} into ${parts} equal parts`);
  return Array.from({ length: parts }, (_, i) => sliceAxis(x, a, (i * n) / parts, ((i + 1) * n) / parts));
}

export function concatenate(xs: readonly SymbolicTensor[], axis: number): SymbolicTensor {
  const t = traceOf(xs);
  return t.tensor(
    t.b.concat(
      xs.map((x) => valueIn(t, x, 'float32')),
      axisOf(xs[0]!, axis),
    ),
  );
}

/** Rows of `x` along `axis` at int32 indices. */
export function take(x: TensorLike & object, indices: SymbolicTensor, axis = 0): SymbolicTensor {
  const t = traceOf([x, indices]);
  return t.tensor(t.b.gather(valueIn(t, x, 'float32'), valueIn(t, indices, 'int32'), axis));
}

const reduction =
  (fn: ReduceFunction) =>
  (x: SymbolicTensor, axes?: readonly number[], keepdims = false): SymbolicTensor =>
    x.trace.tensor(
      x.trace.b.reduce(
        fn,
        x.value,
        axes?.map((a) => axisOf(x, a)),
        keepdims,
      ),
    );

export const sum = reduction('sum');
export const max = reduction('max');
export const min = reduction('min');
export const prod = reduction('prod');
export const any = reduction('any');
export const all = reduction('all');
export const mean = (x: SymbolicTensor, axes?: readonly number[], keepdims = false): SymbolicTensor =>
  x.trace.tensor(
    x.trace.b.mean(
      x.value,
      axes?.map((a) => axisOf(x, a)),
      keepdims,
    ),
  );

/** int32 index of the first largest value along an axis. */
export const argmax = (x: SymbolicTensor, axis = -1): SymbolicTensor =>
  x.trace.tensor(x.trace.b.emit('arg_reduce', [x.value], { fn: 'argmax', axis: axisOf(x, axis) }));

/** Contracts the last axis of `a` with the first of `b`. */
export function matmul(a: SymbolicTensor, b: TensorLike & object): SymbolicTensor {
  const t = traceOf([a, b]);
  return t.tensor(t.b.matmul(valueIn(t, a, a.dtype), valueIn(t, b, a.dtype)));
}

export function dot(a: SymbolicTensor, b: TensorLike & object, attrs: OpAttrs['dot']): SymbolicTensor {
  const t = traceOf([a, b]);
  return t.tensor(t.b.dot(valueIn(t, a, a.dtype), valueIn(t, b, a.dtype), attrs));
}

export function conv(x: SymbolicTensor, kernel: TensorLike & object, attrs: OpAttrs['conv']): SymbolicTensor {
  const t = x.trace;
  return t.tensor(t.b.emit('conv', [x.value, valueIn(t, kernel, x.dtype)], attrs));
}

export const reduceWindow = (x: SymbolicTensor, attrs: OpAttrs['reduce_window']): SymbolicTensor =>
  x.trace.tensor(x.trace.b.emit('reduce_window', [x.value], attrs));

/** Elements are added at both ends of each axis. */
export const pad = (x: SymbolicTensor, low: readonly number[], high: readonly number[], value = 0): SymbolicTensor =>
  x.trace.tensor(x.trace.b.pad(x.value, low, high, value));

/** A constant of the trace of `like`. */
export const full = (like: SymbolicTensor, shape: Shape, value: number, dtype: DType = 'float32'): SymbolicTensor =>
  like.trace.tensor(like.trace.b.full(shape, value, dtype));
export const zeros = (like: SymbolicTensor, shape: Shape, dtype: DType = 'float32'): SymbolicTensor => full(like, shape, 0, dtype);
export const iota = (like: SymbolicTensor, shape: Shape, axis: number, dtype: DType = 'int32'): SymbolicTensor =>
  like.trace.tensor(like.trace.b.iota(shape, axis, dtype));
/** The size of a dimension as a scalar. */
export const size = (like: SymbolicTensor, d: Dim, dtype: DType = 'float32'): SymbolicTensor => like.trace.tensor(like.trace.b.dimSize(d, dtype));

/** The number of elements as a float32 scalar. */
export const count = (x: SymbolicTensor): SymbolicTensor => x.shape.reduce<SymbolicTensor>((n, d) => multiply(n, size(x, d)), full(x, [], 1));

/** a / b, and 0 where b is 0. */
export function divideNoNan(a: SymbolicTensor, b: SymbolicTensor): SymbolicTensor {
  const zero = equal(b, 0);
  return where(zero, 0, divide(a, where(zero, 1, b)));
}

/** True with probability 1 - rate; other bits at each step and each call. */
export function keepMask(like: SymbolicTensor, shape: Shape, rate: number, seed: number | null): SymbolicTensor {
  const t = like.trace;
  const bits = t.b.emit('random_bits', [t.randomKey(seed)], { shape });
  return t.tensor(t.b.compare('ge', bits, Math.min(4294967295, Math.floor(rate * 4294967296))));
}

/** Numbers in [low, high); others at each step and each call. */
export const randomUniform = (like: SymbolicTensor, shape: Shape, low: number, high: number, seed: number | null): SymbolicTensor =>
  add(multiply(like.trace.tensor(math.uniform(like.trace.b, like.trace.randomKey(seed), shape)), high - low), low);

/** Standard normal numbers; others at each step and each call. */
export const randomNormal = (like: SymbolicTensor, shape: Shape, seed: number | null): SymbolicTensor =>
  like.trace.tensor(math.normal(like.trace.b, like.trace.randomKey(seed), shape));

/** x divided by its Euclidean norm along the axes; norms whose square is below `least` count as its root (1e-6). */
export const l2Normalize = (x: SymbolicTensor, axes?: readonly number[], least = 1e-12): SymbolicTensor =>
  multiply(x, rsqrt(maximum(sum(square(x), axes, true), least)));

/** x; no gradient flows back through it. */
export const stopGradient = (x: SymbolicTensor): SymbolicTensor => x.trace.tensor(math.stopGradient(x.trace.b, x.value));
