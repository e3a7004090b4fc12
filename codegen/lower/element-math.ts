/** One element of elementwise ops and of random bits, from the elements of the operands. */
import { type DType, isFloat, limitsOf } from '../../ir/dtype.js';
import type { NodeOf } from '../../ir/graph.js';
import {
  and,
  type BinaryFn,
  binary,
  cast,
  compare,
  constant,
  div,
  type Expr,
  i32,
  isInt,
  isWideInt,
  max,
  min,
  or,
  rem,
  select,
  sub,
  type UnaryFn,
  unary,
} from '../kernel/expr.js';
import type { Emission } from './emission.js';
import { integerPower, integerQuotient, wrapSmall } from './integers.js';
import { scalarOf } from './scalar.js';
import { linearize } from './space.js';
import { threefry } from './threefry.js';

export function unaryOp(n: NodeOf<'unary'>, x: Expr): Expr {
  const { fn } = n.attrs;
  if (fn === 'reciprocal') return div(constant(1, x.scalar), x);
  // Targets have these for signed numbers only.
  if (x.scalar === 'u32' || x.scalar === 'u64') {
    if (fn === 'neg') return sub(constant(0, x.scalar), x);
    if (fn === 'sign') return min(x, constant(1, x.scalar));
    if (fn === 'abs') return x;
  }
  if (fn === 'bitwise_not') return unary('bitnot', x);
  return unary(fn as UnaryFn, x);
}

export function binaryOp(n: NodeOf<'binary'>, a: Expr, b: Expr): Expr {
  const { fn } = n.attrs;
  const names: Record<typeof fn, BinaryFn> = {
    add: 'add',
    sub: 'sub',
    mul: 'mul',
    div: 'div',
    rem: 'rem',
    pow: 'pow',
    max: 'max',
    min: 'min',
    atan2: 'atan2',
    and: 'and',
    or: 'or',
    xor: 'xor',
    shift_left: 'shl',
    shift_right: 'shr',
  };
  if (a.scalar === 'bool' && (fn === 'max' || fn === 'add')) return or(a, b);
  if (a.scalar === 'bool' && (fn === 'min' || fn === 'mul')) return and(a, b);
  const integers = isInt(a.scalar) || isWideInt(a.scalar);
  const e = integers && (fn === 'div' || fn === 'rem') ? integerQuotient(fn, a, b) : integers && fn === 'pow' ? integerPower(a, b) : binary(names[fn], a, b);
  return wrapSmall(e, n.outputs[0]!.dtype);
}

export function convertTo(x: Expr, from: DType, to: DType): Expr {
  if (to === 'int8' || to === 'uint8') {
    const wide = to === 'int8' ? 'i32' : 'u32';
    if (!isFloat(from)) return wrapSmall(cast(x, wide), to);
    const { lowest, highest } = limitsOf(to);
    return cast(min(max(x, constant(lowest, x.scalar)), constant(highest, x.scalar)), wide);
  }
  return cast(x, scalarOf(to));
}

export function randomBits(em: Emission, n: NodeOf<'random_bits'>, index: readonly Expr[]): Expr {
  const key = n.inputs[0]!;
  const i = linearize(index, n.attrs.shape, em.symbols);
  const [w0, w1] = threefry(em.value(key, [i32(0)]), em.value(key, [i32(1)]), cast(div(i, i32(2)), 'u32'), constant(0, 'u32'));
  return select(compare('eq', rem(i, i32(2)), i32(0)), w0, w1);
}
