/** Arithmetic, comparisons, reductions and running sums of `keras.ops`, with NumPy's broadcasting. */
import { isFloat } from '../../../ir/dtype.js';
import type { BinaryFunction, UnaryFunction } from '../../../ir/op-attrs.js';
import * as base from '../backend/ops.js';
import { type Axis, axesOf, binary, type Result, run, type S, type TensorLike, unary, withOptions } from './lift.js';

const primitive = (name: string, fn: UnaryFunction) => unary(name, (x) => x.trace.tensor(x.trace.b.unary(fn, x.value)));
const primitive2 = (name: string, fn: BinaryFunction) => binary(name, (a, b) => a.trace.tensor(a.trace.b.binary(fn, a.value, b.value)));
/** Integers become floats where a function has no integer results. */
const floating = (x: S): S => (isFloat(x.dtype) ? x : base.cast(x, 'float32'));
const float = (name: string, fn: UnaryFunction) => unary(name, (x) => floating(x).trace.tensor(x.trace.b.unary(fn, floating(x).value)));

export type { Axis };

// ---- one tensor

export const abs = primitive('abs', 'abs');
export const absolute = abs;
export const negative = primitive('negative', 'neg');
export const sign = primitive('sign', 'sign');
export const floor = float('floor', 'floor');
export const ceil = float('ceil', 'ceil');
/** Toward zero. */
export const trunc = unary('trunc', (x) => base.multiply(base.sign(x), base.floor(base.abs(x))));
/** To `decimals` digits; halves go to the even number. */
export const round = withOptions('round', (x, decimals?: number) =>
  decimals ? base.divide(base.round(base.multiply(x, 10 ** decimals)), 10 ** decimals) : base.round(x),
);
export const reciprocal = float('reciprocal', 'reciprocal');
export const square = unary('square', base.square);
export const sqrt = float('sqrt', 'sqrt');
export const rsqrt = float('rsqrt', 'rsqrt');
export const exp = float('exp', 'exp');
export const exp2 = unary('exp2', (x) => base.exp(base.multiply(floating(x), Math.LN2)));
export const expm1 = float('expm1', 'expm1');
export const log = float('log', 'log');
export const log1p = float('log1p', 'log1p');
export const log2 = unary('log2', (x) => base.divide(base.log(floating(x)), Math.LN2));
export const log10 = unary('log10', (x) => base.divide(base.log(floating(x)), Math.LN10));
export const sin = float('sin', 'sin');
export const cos = float('cos', 'cos');
export const tan = float('tan', 'tan');
export const arcsin = float('arcsin', 'asin');
export const arccos = float('arccos', 'acos');
export const arctan = float('arctan', 'atan');
export const sinh = float('sinh', 'sinh');
export const cosh = float('cosh', 'cosh');
export const tanh = float('tanh', 'tanh');
export const arcsinh = float('arcsinh', 'asinh');
export const arccosh = float('arccosh', 'acosh');
export const arctanh = float('arctanh', 'atanh');
export const erf = float('erf', 'erf');
export const isnan = float('isnan', 'is_nan');
export const isinf = float('isinf', 'is_inf');
export const isfinite = unary('isfinite', (x) => {
  const { b } = x.trace;
  const v = floating(x).value;
  return x.trace.tensor(b.not(b.or(b.unary('is_nan', v), b.unary('is_inf', v))));
});
/** NaN becomes `nan`, infinities the largest numbers unless given. */
export const nanToNum = withOptions('nanToNum', (x, nan?: number, posinf?: number, neginf?: number) => {
  const largest = 3.4028234663852886e38;
  const { b } = x.trace;
  const t = (v: Parameters<typeof b.not>[0]) => x.trace.tensor(v);
  const bounded = base.where(t(b.unary('is_inf', x.value)), base.where(base.greater(x, 0), base.full(x, [], posinf ?? largest), neginf ?? -largest), x);
  return base.where(t(b.unary('is_nan', x.value)), nan ?? 0, bounded);
});
export const logicalNot = unary('logicalNot', (x) => base.logicalNot(base.cast(x, 'bool')));
/** Within [low, high]; the gradient is 1 from low to high. */
export const clip = withOptions('clip', (x, low: number, high: number) => base.minimum(base.maximum(x, low), high));
/** x; no gradient flows back through it. */
export const stopGradient = unary('stopGradient', base.stopGradient);

// ---- two tensors

export const add = primitive2('add', 'add');
export const subtract = primitive2('subtract', 'sub');
export const multiply = primitive2('multiply', 'mul');
/** True division: integers become floats. */
export const divide = binary('divide', (a, b) => base.divide(floating(a), floating(b)));
export const trueDivide = divide;
/** a / b, and 0 where b is 0. */
export const divideNoNan = binary('divideNoNan', (a, b) => base.divideNoNan(floating(a), floating(b)));
export const floorDivide = binary('floorDivide', (a, b) =>
  isFloat(a.dtype) ? base.floor(base.divide(a, b)) : base.cast(base.floor(base.divide(floating(a), floating(b))), a.dtype),
);
/** The remainder with the sign of the divisor, as in Python. */
export const mod = binary('mod', (a, b) => {
  const r = base.mod(a, b);
  return base.where(base.logicalAnd(base.notEqual(r, 0), base.notEqual(base.less(r, 0), base.less(b, 0))), base.add(r, b), r);
});
export const power = primitive2('power', 'pow');
export const maximum = primitive2('maximum', 'max');
export const minimum = primitive2('minimum', 'min');
export const arctan2 = primitive2('arctan2', 'atan2');
export const hypot = binary('hypot', (a, b) => base.sqrt(base.add(base.square(a), base.square(b))));
export const squaredDifference = binary('squaredDifference', (a, b) => base.square(base.subtract(a, b)));
/** log(exp(a) + exp(b)). */
export const logaddexp = binary('logaddexp', (a, b) => base.add(base.maximum(a, b), base.log1p(base.exp(base.negative(base.abs(base.subtract(a, b)))))));
export const equal = binary('equal', base.equal);
export const notEqual = binary('notEqual', base.notEqual);
export const less = binary('less', base.less);
export const lessEqual = binary('lessEqual', base.lessEqual);
export const greater = binary('greater', base.greater);
export const greaterEqual = binary('greaterEqual', base.greaterEqual);
const bool = (x: S) => base.cast(x, 'bool');
export const logicalAnd = binary('logicalAnd', (a, b) => base.logicalAnd(bool(a), bool(b)));
export const logicalOr = binary('logicalOr', (a, b) => base.logicalOr(bool(a), bool(b)));
export const logicalXor = binary('logicalXor', (a, b) => base.notEqual(bool(a), bool(b)));
/** |a - b| <= atol + rtol |b|. */
export const isclose = <A extends TensorLike, B extends TensorLike>(a: A, b: B, rtol = 1e-5, atol = 1e-8): Result<A | B> =>
  run('isclose', [a, b], ([s, u]) => base.lessEqual(base.abs(base.subtract(s!, u!)), base.add(base.multiply(base.abs(u!), rtol), atol))) as Result<A | B>;

/** condition ? a : b, element by element. */
export const where = <C extends TensorLike, A extends TensorLike, B extends TensorLike>(condition: C, a: A, b: B): Result<C | A | B> =>
  run('where', [a, b, condition], ([s, u, c]) => base.where(bool(c!), s!, u!)) as Result<C | A | B>;

// ---- reductions: axis null or absent is all axes

const reduction = (name: string, fn: (x: S, axes?: readonly number[], keepdims?: boolean) => S) =>
  withOptions(name, (x, axis?: Axis, keepdims?: boolean) => fn(x, axesOf(axis), keepdims ?? false));

export const sum = reduction('sum', base.sum);
export const prod = reduction('prod', base.prod);
export const max = reduction('max', base.max);
export const min = reduction('min', base.min);
export const amax = max;
export const amin = min;
export const mean = reduction('mean', (x, axes, keep) => base.mean(floating(x), axes, keep));
export const any = reduction('any', (x, axes, keep) => base.any(bool(x), axes, keep));
export const all = reduction('all', (x, axes, keep) => base.all(bool(x), axes, keep));
const varianceOf = (x: S, axes?: readonly number[], keep?: boolean) => base.mean(base.square(base.subtract(x, base.mean(x, axes, true))), axes, keep);
/** Of the population: divided by the number of elements. */
export const variance = reduction('variance', (x, axes, keep) => varianceOf(floating(x), axes, keep));
const standardDeviation = reduction('std', (x, axes, keep) => base.sqrt(varianceOf(floating(x), axes, keep)));

export { standardDeviation as std, variance as var };
export const logsumexp = reduction('logsumexp', (x, axes, keep) => {
  const top = base.stopGradient(base.max(x, axes, true));
  const sums = base.add(base.log(base.sum(base.exp(base.subtract(x, top)), axes, true)), top);
  return keep ? sums : base.reshape(sums, base.max(x, axes).shape);
});
/** int32. */
export const countNonzero = withOptions('countNonzero', (x, axis?: Axis) => base.sum(base.cast(base.notEqual(x, 0), 'int32'), axesOf(axis)));
const argReduce = (name: string, fn: 'argmax' | 'argmin') =>
  withOptions(name, (x, axis?: number | null, keepdims?: boolean) => {
    const flat = axis === null || axis === undefined ? base.reshape(x, [-1]) : x;
    const at = base.axisOf(flat, axis ?? 0);
    const found = x.trace.tensor(x.trace.b.emit('arg_reduce', [flat.value], { fn, axis: at }));
    return keepdims ? base.reshape(found, axis === null || axis === undefined ? x.shape.map(() => 1) : x.shape.map((d, i) => (i === at ? 1 : d))) : found;
  });
/** int32 index of the first largest element; axis null: of the flattened tensor. */
export const argmax = argReduce('argmax', 'argmax');
export const argmin = argReduce('argmin', 'argmin');
/** Mean, weighted where weights are given (of the shape of x, or of its axis). */
export const average = <X extends TensorLike>(x: X, axis: Axis = null, weights: TensorLike | null = null): Result<X> =>
  run('average', weights === null ? [x] : [x, weights], ([s, w]) => {
    if (!w) return base.mean(floating(s!), axesOf(axis));
    const at = axesOf(axis);
    const whole =
      w.rank === s!.rank || at === undefined
        ? w
        : base.reshape(
            w,
            s!.shape.map((d, i) => (i === base.axisOf(s!, at[0]!) ? d : 1)),
          );
    const full = base.broadcastTo(whole, s!.shape);
    return base.divide(base.sum(base.multiply(s!, full), at), base.sum(full, at));
  }) as Result<X>;

const running = (name: string, fn: 'sum' | 'prod' | 'max' | 'min') =>
  withOptions(name, (x, axis?: number | null) => {
    const flat = axis === null || axis === undefined ? base.reshape(x, [-1]) : x;
    return x.trace.tensor(x.trace.b.emit('cumulative', [flat.value], { fn, axis: base.axisOf(flat, axis ?? 0), exclusive: false, reverse: false }));
  });
export const cumsum = running('cumsum', 'sum');
export const cumprod = running('cumprod', 'prod');
/** Differences of neighbours along the axis, `n` times. */
export const diff = withOptions('diff', (x, n?: number, axis?: number) => {
  let y = x;
  for (let i = 0; i < (n ?? 1); i++) {
    const at = base.axisOf(y, axis ?? -1);
    const size = y.shape[at]! as number;
    y = base.subtract(base.sliceAxis(y, at, 1, size), base.sliceAxis(y, at, 0, size - 1));
  }
  return y;
});
