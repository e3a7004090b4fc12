/** Integer arithmetic on data, which targets leave undefined or lack: division by zero is 0 (as the reference evaluation says), the smallest integer by -1 wraps, powers are products. */
import { binary, cast, compare, constant, type Expr, isWideInt, mul, type Scalar, select, sub } from '../kernel/expr.js';

const like = (e: Expr, v: number): Expr => constant(v, e.scalar);

const isUnsignedScalar = (s: Scalar): boolean => s === 'u32' || s === 'u64';

/** A 64-bit constant: numbers hold it in halves. */
export function wideConstant(value: bigint, scalar: Scalar): Expr {
  if (BigInt(Number(value)) === value && Number.isSafeInteger(Number(value))) return constant(Number(value), scalar);
  const part = (from: bigint, as: Scalar): Expr => cast(constant(Number(BigInt.asIntN(32, value >> from)), as), scalar);
  return binary('or', binary('shl', part(32n, 'i32'), constant(32, scalar)), part(0n, 'u32'));
}

/** div or rem that truncates; 0 where b is 0. */
export function integerQuotient(fn: 'div' | 'rem', a: Expr, b: Expr): Expr {
  if (b.kind === 'const') {
    if (b.value === 0) return like(a, 0);
    if (b.value === -1 && !isUnsignedScalar(a.scalar)) return fn === 'div' ? sub(like(a, 0), a) : like(a, 0);
    return binary(fn, a, b);
  }
  const zero = compare('eq', b, like(b, 0));
  const one = like(b, 1);
  if (isUnsignedScalar(a.scalar)) return select(zero, like(a, 0), binary(fn, a, select(zero, one, b)));
  // a divisor of 0 or -1 becomes 1: -2147483648 / -1 has no quotient
  const minus = compare('eq', b, like(b, -1));
  const safe = binary(fn, a, select(minus, one, select(zero, one, b)));
  const whole = fn === 'div' ? select(minus, sub(like(a, 0), a), safe) : safe;
  return select(zero, like(a, 0), whole);
}

/** a to the power of b by squaring, modulo the size of the type; negative exponents truncate toward zero. */
export function integerPower(a: Expr, b: Expr): Expr {
  const known = b.kind === 'const' && (!isWideInt(b.scalar) || (b.value >= 0 && b.value < 2 ** 31)) ? b.value : null;
  const bits = known !== null ? 32 - Math.clz32(known) : isWideInt(b.scalar) ? 64 : 32;
  let result = like(a, 1);
  let square = a;
  for (let i = 0; i < bits; i++) {
    if (known === null)
      result = select(compare('ne', binary('and', b, like(b, i === 63 && b.scalar === 'i64' ? -(2 ** 63) : 2 ** i)), like(b, 0)), mul(result, square), result);
    else if ((known >>> i) & 1) result = mul(result, square);
    if (i + 1 < bits) square = mul(square, square);
  }
  if (isUnsignedScalar(b.scalar) || (known !== null && known >= 0)) return result;
  const odd = compare('ne', binary('and', b, like(b, 1)), like(b, 0));
  const inverse = select(compare('eq', a, like(a, 1)), a, select(compare('eq', a, like(a, -1)), select(odd, a, like(a, 1)), like(a, 0)));
  return select(compare('lt', b, like(b, 0)), inverse, result);
}

/** A value of int8 or uint8, held in 32 bits, after arithmetic. */
export function wrapSmall(e: Expr, t: string): Expr {
  if (t === 'uint8') return binary('and', e, constant(255, 'u32'));
  if (t === 'int8') return binary('shr', binary('shl', e, constant(24, 'i32')), constant(24, 'i32'));
  return e;
}
