/** The scalar functions of elementwise ops and reductions, in float64 and in wrapping integers. The store into a typed array does the final wrap. */
import { type DType, isFloat, isInteger, isUnsigned, limitsOf } from '../dtype.js';
import type { BinaryFunction, CompareFunction, ReduceFunction, UnaryFunction } from '../op-attrs.js';
import { roundEven, roundFloat } from './loops.js';

/** Series of positive terms: 2/sqrt(pi) exp(-x²) sum (2^n x^(2n+1)) / (1·3·…·(2n+1)). */
function erf(x: number): number {
  const a = Math.abs(x);
  if (Number.isNaN(x) || a > 6) return Number.isNaN(x) ? x : Math.sign(x);
  let term = a;
  let sum = a;
  for (let n = 1; term > sum * 1e-17; n++) {
    term *= (2 * a * a) / (2 * n + 1);
    sum += term;
  }
  return Math.sign(x) * (2 / Math.sqrt(Math.PI)) * Math.exp(-a * a) * sum;
}

export const unaryScalar: Record<UnaryFunction, (x: number) => number> = {
  neg: (x) => -x,
  abs: Math.abs,
  sign: Math.sign,
  floor: Math.floor,
  ceil: Math.ceil,
  round: roundEven,
  exp: Math.exp,
  expm1: Math.expm1,
  log: Math.log,
  log1p: Math.log1p,
  sqrt: Math.sqrt,
  rsqrt: (x) => 1 / Math.sqrt(x),
  reciprocal: (x) => 1 / x,
  sin: Math.sin,
  cos: Math.cos,
  tan: Math.tan,
  asin: Math.asin,
  acos: Math.acos,
  atan: Math.atan,
  sinh: Math.sinh,
  cosh: Math.cosh,
  tanh: Math.tanh,
  asinh: Math.asinh,
  acosh: Math.acosh,
  atanh: Math.atanh,
  sigmoid: (x) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x))),
  erf,
  not: (x) => (x ? 0 : 1),
  bitwise_not: (x) => ~x,
  is_nan: (x) => (Number.isNaN(x) ? 1 : 0),
  is_inf: (x) => (Math.abs(x) === Infinity ? 1 : 0),
};

/** Wrapping power; negative exponents truncate toward zero. */
function intPow(base: number, exponent: number): number {
  if (exponent < 0) return base === 1 ? 1 : base === -1 ? (exponent % 2 === 0 ? 1 : -1) : 0;
  let result = 1;
  for (let b = base, e = exponent; e > 0; e = Math.floor(e / 2), b = Math.imul(b, b)) if (e % 2 === 1) result = Math.imul(result, b);
  return result;
}

export function binaryScalar(fn: BinaryFunction, dtype: DType): (a: number, b: number) => number {
  const integer = isInteger(dtype);
  switch (fn) {
    case 'add':
      return (a, b) => a + b;
    case 'sub':
      return (a, b) => a - b;
    case 'mul':
      return integer ? Math.imul : (a, b) => a * b;
    case 'div':
      return integer ? (a, b) => Math.trunc(a / b) : (a, b) => a / b;
    case 'rem':
      return (a, b) => a % b;
    case 'pow':
      return integer ? intPow : (a, b) => (a === 1 || b === 0 ? 1 : a ** b);
    case 'max':
      return Math.max;
    case 'min':
      return Math.min;
    case 'atan2':
      return Math.atan2;
    case 'and':
      return (a, b) => a & b;
    case 'or':
      return (a, b) => a | b;
    case 'xor':
      return (a, b) => a ^ b;
    case 'shift_left':
      return (a, b) => a << b;
    case 'shift_right':
      return isUnsigned(dtype) ? (a, b) => a >>> b : (a, b) => a >> b;
  }
}

export const compareScalar: Record<CompareFunction, (a: number, b: number) => boolean> = {
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  lt: (a, b) => a < b,
  le: (a, b) => a <= b,
  gt: (a, b) => a > b,
  ge: (a, b) => a >= b,
};

/** Floats to integers truncate toward zero and saturate, NaN becomes 0; integers to integers wrap; 16-bit floats are rounded to nearest even (float32 is not, so that finite differences work). */
export function castScalar(from: DType, to: DType): (x: number) => number {
  if (to === 'bool') return (x) => (x !== 0 ? 1 : 0);
  if (to === 'float16' || to === 'bfloat16') return (x) => roundFloat(to, x);
  if (!isFloat(from) || isFloat(to)) return (x) => x;
  const { lowest, highest } = limitsOf(to);
  return (x) => (Number.isNaN(x) ? 0 : Math.min(Math.max(Math.trunc(x), lowest), highest));
}

/** Identity and merge function of a reduction. */
export function reduction(fn: ReduceFunction, dtype: DType): { identity: number; merge: (a: number, b: number) => number } {
  const { lowest, highest } = limitsOf(dtype);
  switch (fn) {
    case 'sum':
      return { identity: 0, merge: (a, b) => a + b };
    case 'prod':
      return { identity: 1, merge: binaryScalar('mul', dtype) };
    case 'max':
      return { identity: lowest, merge: Math.max };
    case 'min':
      return { identity: highest, merge: Math.min };
    case 'any':
      return { identity: 0, merge: (a, b) => a | b };
    case 'all':
      return { identity: 1, merge: (a, b) => a & b };
  }
}

// ---- 64-bit integers, exact; the store wraps

export const wideUnary: Partial<Record<UnaryFunction, (x: bigint) => bigint>> = {
  neg: (x) => -x,
  abs: (x) => (x < 0n ? -x : x),
  sign: (x) => (x > 0n ? 1n : x < 0n ? -1n : 0n),
  bitwise_not: (x) => ~x,
};

/** Wrapping power; negative exponents truncate toward zero. */
function widePow(base: bigint, exponent: bigint): bigint {
  if (exponent < 0n) return base === 1n ? 1n : base === -1n ? (exponent % 2n === 0n ? 1n : -1n) : 0n;
  let result = 1n;
  for (let b = base, e = exponent; e > 0n; e >>= 1n, b = BigInt.asIntN(64, b * b)) if (e & 1n) result = BigInt.asIntN(64, result * b);
  return result;
}

/** Division by zero gives 0, as in the narrower integers. Shifts use the low 6 bits of the amount. */
export const wideBinary: Partial<Record<BinaryFunction, (a: bigint, b: bigint) => bigint>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => (b === 0n ? 0n : a / b),
  rem: (a, b) => (b === 0n ? 0n : a % b),
  pow: widePow,
  max: (a, b) => (a > b ? a : b),
  min: (a, b) => (a < b ? a : b),
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  shift_left: (a, b) => a << (b & 63n),
  shift_right: (a, b) => a >> (b & 63n),
};

export const wideCompare: Record<CompareFunction, (a: bigint, b: bigint) => boolean> = {
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  lt: (a, b) => a < b,
  le: (a, b) => a <= b,
  gt: (a, b) => a > b,
  ge: (a, b) => a >= b,
};
