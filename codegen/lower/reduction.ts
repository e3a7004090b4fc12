/** Steps of reductions: identities, how two partial results combine, and argmax. */
import { type DType, limitsOf } from '../../ir/dtype.js';
import { InternalError } from '../../ir/errors.js';
import type { ReduceFunction } from '../../ir/op-attrs.js';
import { add, and, compare, constant, type Expr, i32, isFloatScalar, max, min, mul, or, select, truth, unary, variable } from '../kernel/expr.js';
import { assign, type Stmt } from '../kernel/ir.js';
import { scalarOf } from './scalar.js';

/** Initial value of a reduction's accumulator. */
export function identityOf(fn: ReduceFunction | 'max' | 'min', t: DType): Expr {
  const s = scalarOf(t);
  switch (fn) {
    case 'sum':
    case 'any':
      return constant(0, s);
    case 'prod':
    case 'all':
      return constant(1, s);
    case 'max':
      return constant(limitsOf(t).lowest, s);
    case 'min':
      return constant(limitsOf(t).highest, s);
  }
}

/** What a float reduction starts with. Another constant is a partial result. */
const floatIdentity: Readonly<Record<ReduceFunction, number>> = {
  sum: 0,
  any: 0,
  prod: 1,
  all: 1,
  max: Number.NEGATIVE_INFINITY,
  min: Number.POSITIVE_INFINITY,
};

/** One step of a reduction; an accumulator that is still the constant identity is left out. */
export function combine(fn: ReduceFunction, acc: Expr, x: Expr): Expr {
  if (acc.kind === 'const' && isFloatScalar(acc.scalar) && acc.value === floatIdentity[fn]) return x;
  switch (fn) {
    case 'sum':
      return add(acc, x);
    case 'prod':
      return mul(acc, x);
    case 'max':
      return acc.scalar === 'bool' ? or(acc, x) : max(acc, x);
    case 'min':
      return acc.scalar === 'bool' ? and(acc, x) : min(acc, x);
    case 'any':
      return or(acc, x);
    case 'all':
      return and(acc, x);
  }
}

/** Whether `e` beats `best` in an argmax or argmin: NaN is the extreme. With positions, the first of equals wins; a negative position is that of no element. */
export function beats(fn: 'argmax' | 'argmin', e: Expr, best: Expr, positions?: { readonly e: Expr; readonly best: Expr }): Expr {
  const floats = isFloatScalar(e.scalar);
  const [nan, bestNan] = floats ? [unary('is_nan', e), unary('is_nan', best)] : [truth(false), truth(false)];
  const better = or(compare(fn === 'argmax' ? 'gt' : 'lt', e, best), and(nan, unary('not', bestNan)));
  if (!positions) return better;
  const same = or(compare('eq', e, best), and(nan, bestNan));
  // where the best is NaN, no comparison with it holds
  const first = and(same, compare('lt', positions.e, positions.best));
  return and(compare('ge', positions.e, i32(0)), or(compare('lt', positions.best, i32(0)), or(better, first)));
}

/** One step of an argmax/argmin over mutable best value and position: the first extreme wins, NaN is the extreme. */
export function argStep(fn: 'argmax' | 'argmin', best: Expr, where: Expr, e: Expr, k: Expr): Stmt[] {
  const take = variable('take', 'let', 'bool');
  const [b, w] = [best, where];
  if (b.kind !== 'var' || w.kind !== 'var') throw new InternalError('argStep wants variables');
  return [{ kind: 'let', v: take, value: beats(fn, e, best) }, assign(w, select(take, k, w)), assign(b, select(take, e, b))];
}
