/** Evaluates kernel expressions on the host, in the precision of their types (64-bit integers as numbers: exact to 2^53). Serves the interpreter and the tests of legalized functions. */
import { toWide } from '../../ir/dtype.js';
import { InternalError } from '../../ir/errors.js';
import { type BinaryFn, type CompareFn, type Expr, isInt, isWideInt, type Scalar, type UnaryFn } from './expr.js';

/** A scalar, or the lanes of a vector. bool is 0 or 1. */
export type Value = number | readonly number[];

const words = new DataView(new ArrayBuffer(8));

/** Nearest half-precision number, ties to even. */
export function roundHalf(x: number): number {
  const a = Math.abs(x);
  if (!(a < 65520)) return Number.isNaN(x) ? x : x < 0 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  // Adding and taking away 2^10 quanta rounds to a multiple of the quantum: 2^-24 for subnormals.
  const quantum = 2 ** (Math.max(-14, Math.floor(Math.log2(a || 1e-30))) - 10);
  const n = a / quantum;
  const r = roundEven(n) * quantum;
  return x < 0 || Object.is(x, -0) ? -r : r;
}

/** Half-precision bits of a number and back. */
export function halfBits(x: number): number {
  const v = roundHalf(x);
  const sign = v < 0 || Object.is(v, -0) ? 0x8000 : 0;
  const a = Math.abs(v);
  if (Number.isNaN(v)) return 0x7e00;
  if (a === Number.POSITIVE_INFINITY) return sign | 0x7c00;
  if (a < 2 ** -14) return sign | (a * 2 ** 24);
  let e = Math.floor(Math.log2(a));
  if (2 ** e > a) e--;
  return sign | ((e + 15) << 10) | (a / 2 ** (e - 10) - 1024);
}
export function halfValue(bits: number): number {
  const e = (bits >> 10) & 31;
  const m = bits & 1023;
  const a = e === 31 ? (m ? Number.NaN : Number.POSITIVE_INFINITY) : e === 0 ? m * 2 ** -24 : (1024 + m) * 2 ** (e - 25);
  return bits & 0x8000 ? -a : a;
}

const roundEven = (x: number): number => {
  const r = Math.round(x);
  return r - x === 0.5 && r % 2 !== 0 ? r - 1 : Object.is(r, 0) && x < 0 ? -0 : r;
};

/** The nearest value of a type. */
export function toScalar(x: number, s: Scalar): number {
  switch (s) {
    case 'f32':
      return Math.fround(x);
    case 'f64':
      return x;
    case 'f16':
      return roundHalf(x);
    case 'i32':
      return x | 0;
    case 'u32':
      return x >>> 0;
    case 'i64':
    case 'u64':
      return Math.trunc(x);
    case 'bool':
      return x ? 1 : 0;
  }
}

/** erf by its series, beyond 3 by a continued fraction. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (Number.isNaN(x)) return x;
  if (a > 6) return Math.sign(x);
  if (a < 3) {
    let term = x;
    let total = x;
    for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(total); n++) {
      term *= (-x * x) / n;
      total += term / (2 * n + 1);
    }
    return total * 1.1283791670955126;
  }
  let f = 0;
  for (let k = 60; k >= 1; k--) f = k / 2 / (a + f);
  return Math.sign(x) * (1 - Math.exp(-a * a) / ((a + f) * 1.772453850905516));
}

/** pow as in C: 1 to any power and any number to the power 0 are 1. */
export const power = (x: number, y: number): number => (x === 1 || y === 0 ? 1 : x === -1 && Math.abs(y) === Number.POSITIVE_INFINITY ? 1 : x ** y);

const unaries: Record<UnaryFn, (x: number) => number> = {
  neg: (x) => -x,
  abs: Math.abs,
  floor: Math.floor,
  ceil: Math.ceil,
  round: roundEven,
  trunc: Math.trunc,
  sqrt: Math.sqrt,
  rsqrt: (x) => 1 / Math.sqrt(x),
  exp: Math.exp,
  expm1: Math.expm1,
  log: Math.log,
  log1p: Math.log1p,
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
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  erf,
  sign: Math.sign,
  not: (x) => (x ? 0 : 1),
  bitnot: (x) => -x - 1,
  is_nan: (x) => (Number.isNaN(x) ? 1 : 0),
  is_inf: (x) => (Math.abs(x) === Number.POSITIVE_INFINITY ? 1 : 0),
};

const anyNaN = (a: number, b: number): boolean => Number.isNaN(a) || Number.isNaN(b);

const wide = (s: Scalar, a: number, b: number, f: (x: bigint, y: bigint) => bigint): number =>
  Number((s === 'u64' ? BigInt.asUintN : BigInt.asIntN)(64, f(BigInt(a), BigInt(b))));

const binaries: Record<BinaryFn, (a: number, b: number, s: Scalar) => number> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b, s) => (s === 'i32' || s === 'u32' ? Math.imul(a, b) : a * b),
  div: (a, b, s) => (isInt(s) || isWideInt(s) ? (b === 0 ? 0 : Math.trunc(a / b)) : a / b),
  rem: (a, b, s) => ((isInt(s) || isWideInt(s)) && b === 0 ? 0 : a % b),
  pow: power,
  min: (a, b) => (anyNaN(a, b) ? Number.NaN : Math.min(a, b)),
  max: (a, b) => (anyNaN(a, b) ? Number.NaN : Math.max(a, b)),
  atan2: Math.atan2,
  and: (a, b, s) => (isWideInt(s) ? wide(s, a, b, (x, y) => x & y) : a & b),
  or: (a, b, s) => (isWideInt(s) ? wide(s, a, b, (x, y) => x | y) : a | b),
  xor: (a, b, s) => (isWideInt(s) ? wide(s, a, b, (x, y) => x ^ y) : a ^ b),
  shl: (a, b, s) => (isWideInt(s) ? wide(s, a, b, (x, y) => x << (y & 63n)) : a << b),
  shr: (a, b, s) => (isWideInt(s) ? wide(s, a, b, (x, y) => x >> (y & 63n)) : s === 'u32' ? a >>> b : a >> b),
};

const compares: Record<CompareFn, (a: number, b: number) => boolean> = {
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  lt: (a, b) => a < b,
  le: (a, b) => a <= b,
  gt: (a, b) => a > b,
  ge: (a, b) => a >= b,
};

function castValue(x: number, from: Scalar, to: Scalar): number {
  if (to === 'bool') return x !== 0 ? 1 : 0;
  if (from === 'bool' || isInt(from) || (isWideInt(from) && !isInt(to))) return toScalar(x, to);
  if (isWideInt(from)) return toScalar(Number(BigInt.asIntN(32, BigInt(x))), to);
  if (isWideInt(to)) return Number.isNaN(x) ? 0 : Number(toWide(to === 'i64' ? 'int64' : 'uint64', x));
  if (to === 'i32') return Number.isNaN(x) ? 0 : Math.max(-2147483648, Math.min(2147483647, Math.trunc(x))) | 0;
  if (to === 'u32') return Number.isNaN(x) ? 0 : Math.max(0, Math.min(4294967295, Math.trunc(x))) >>> 0;
  return toScalar(x, to);
}

function bits(x: number, from: Scalar, to: Scalar): number {
  if (from === 'f32') words.setFloat32(0, x);
  else if (from === 'i32' || from === 'u32') words.setUint32(0, x >>> 0);
  else if (from === 'f64') words.setFloat64(0, x);
  else if (isWideInt(from)) words.setBigInt64(0, BigInt(x));
  else throw new InternalError(`bitcast from ${from}`);
  if (to === 'f64') return words.getFloat64(0);
  if (isWideInt(to)) return Number(to === 'i64' ? words.getBigInt64(0) : words.getBigUint64(0));
  if (to === 'f32') return words.getFloat32(0);
  return to === 'i32' ? words.getInt32(0) : words.getUint32(0);
}

/** The operation of an expression on one lane of its arguments. */
function laneOp(e: Expr): (a: number, b: number, c: number) => number {
  const s = e.scalar;
  switch (e.kind) {
    case 'unary': {
      const f = unaries[e.fn];
      return (a) => toScalar(f(a), s);
    }
    case 'binary': {
      const f = binaries[e.fn];
      return (a, b) => toScalar(f(a, b, s), s);
    }
    case 'compare': {
      const f = compares[e.fn];
      return (a, b) => (f(a, b) ? 1 : 0);
    }
    case 'select':
      return (c, a, b) => (c ? a : b);
    case 'mad':
      return (a, b, c) => toScalar(a * b + c, s);
    case 'cast': {
      const from = e.args[0]!.scalar;
      return (a) => castValue(a, from, s);
    }
    case 'bitcast': {
      const from = e.args[0]!.scalar;
      return (a) => bits(a, from, s);
    }
    default:
      throw new InternalError(`no lane operation for ${e.kind}`);
  }
}

/** The operation of a node that is neither constant, variable nor load, as a function of its arguments' values. */
export function operation(e: Expr): (args: readonly Value[]) => Value {
  switch (e.kind) {
    case 'splat':
      return ([a]) => new Array<number>(e.lanes).fill(a as number);
    case 'vector':
      return (args) => [...(args as readonly number[])];
    case 'extract':
      return ([a]) => (a as readonly number[])[e.lane]!;
    default: {
      const f = laneOp(e);
      if (e.lanes === 1) return (a) => f(a[0] as number, a[1] as number, a[2] as number);
      return (args) => {
        const [a, b, c] = args as readonly (readonly number[] | undefined)[];
        return a!.map((x, i) => f(x, b?.[i] ?? 0, c?.[i] ?? 0));
      };
    }
  }
}

/** An expression as a list of operations in order, each node once. */
export interface Tape {
  readonly nodes: readonly { readonly e: Expr; readonly args: readonly number[]; readonly op: ((args: readonly Value[]) => Value) | null }[];
}

export function tapeOf(root: Expr): Tape {
  const at = new Map<Expr, number>();
  const nodes: { e: Expr; args: readonly number[]; op: ((args: readonly Value[]) => Value) | null }[] = [];
  const go = (e: Expr): number => {
    const old = at.get(e);
    if (old !== undefined) return old;
    const args = e.args.map(go);
    const leaf = e.kind === 'const' || e.kind === 'var' || e.kind === 'load';
    nodes.push({ e, args, op: leaf ? null : operation(e) });
    at.set(e, nodes.length - 1);
    return nodes.length - 1;
  };
  go(root);
  return { nodes };
}

/** Runs a tape; `leaf` gives the values of variables and loads (with the load's index). */
export function runTape(tape: Tape, leaf: (e: Expr, index: number) => Value, check?: (e: Expr, args: readonly Value[]) => void): Value {
  const regs: Value[] = new Array<Value>(tape.nodes.length);
  for (let i = 0; i < tape.nodes.length; i++) {
    const { e, args, op } = tape.nodes[i]!;
    if (op) {
      const values = args.map((a) => regs[a]!);
      check?.(e, values);
      regs[i] = op(values);
    } else if (e.kind === 'const') regs[i] = e.lanes === 1 ? e.value : new Array<number>(e.lanes).fill(e.value);
    else regs[i] = leaf(e, e.kind === 'load' ? (regs[args[0]!] as number) : 0);
  }
  return regs[regs.length - 1]!;
}

/** The value of an expression without loads. */
export function evaluate(e: Expr, vars: ReadonlyMap<Expr, Value> = new Map()): Value {
  return runTape(tapeOf(e), (x) => {
    const v = vars.get(x);
    if (v === undefined) throw new InternalError(`no value for ${x.kind === 'var' ? x.name : x.kind}`);
    return v;
  });
}
