/**
 * Expressions of Kernel IR: an interned DAG of typed scalars and short vectors. Equal expressions are the same object. The constructors simplify: integer
 * index arithmetic is kept as a linear form over atoms (linear.ts), and divisions and remainders by constants cancel where the
 * ranges of variables allow. Floating-point arithmetic is never reassociated.
 */
import { InternalError, invariant } from '../../ir/errors.js';
import {
  type BinaryFn,
  type CompareFn,
  constant,
  type Expr,
  isFloatScalar,
  isInt,
  isWideInt,
  type Lanes,
  make,
  type Scalar,
  truth,
  type UnaryFn,
} from './expr-node.js';
import type { Memory } from './ir.js';
import { addLinear, divInt, remInt, scaleLinear } from './linear.js';

export * from './expr-node.js';
export { coefficient, isMultiple, linear } from './linear.js';

const numeric: Record<'add' | 'sub' | 'mul' | 'div' | 'min' | 'max', (a: number, b: number) => number> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  min: (a, b) => (Number.isNaN(a) || Number.isNaN(b) ? Number.NaN : Math.min(a, b)),
  max: (a, b) => (Number.isNaN(a) || Number.isNaN(b) ? Number.NaN : Math.max(a, b)),
};

export function binary(fn: BinaryFn, a: Expr, b: Expr): Expr {
  if (a.lanes !== b.lanes) {
    if (a.lanes === 1) return binary(fn, splat(a, b.lanes), b);
    if (b.lanes === 1) return binary(fn, a, splat(b, a.lanes));
  }
  if ((a.scalar !== b.scalar && fn !== 'shl' && fn !== 'shr') || a.lanes !== b.lanes)
    throw new InternalError(`${fn} of ${a.scalar}x${a.lanes} and ${b.scalar}x${b.lanes}`);
  const { scalar, lanes } = a;
  if (scalar === 'i32' && lanes === 1) {
    if (fn === 'add') return addLinear('i32', a, b, 1);
    if (fn === 'sub') return addLinear('i32', a, b, -1);
    if (fn === 'mul') {
      if (b.kind === 'const') return scaleLinear('i32', a, b.value);
      if (a.kind === 'const') return scaleLinear('i32', b, a.value);
      const [x, y] = a.id <= b.id ? [a, b] : [b, a];
      const c = [x.lo * y.lo, x.lo * y.hi, x.hi * y.lo, x.hi * y.hi].map((v) => (Number.isNaN(v) ? 0 : v));
      return make('binary', scalar, lanes, [x, y], fn, Math.min(...c), Math.max(...c));
    }
    if ((fn === 'div' || fn === 'rem') && b.kind === 'const' && b.value > 0) return fn === 'div' ? divInt(a, b.value) : remInt(a, b.value);
    if (fn === 'div' && a.lo >= 0 && b.lo >= 1) return make('binary', scalar, lanes, [a, b], fn, 0, a.hi);
    if (fn === 'rem' && a.lo >= 0 && b.lo >= 0) return make('binary', scalar, lanes, [a, b], fn, 0, Math.min(a.hi, b.hi));
    if (fn === 'min' || fn === 'max') {
      if (a === b) return a;
      if (fn === 'min') {
        if (a.hi <= b.lo) return a;
        if (b.hi <= a.lo) return b;
      } else {
        if (a.lo >= b.hi) return a;
        if (b.lo >= a.hi) return b;
      }
      return make('binary', scalar, lanes, [a, b], fn, numeric[fn](a.lo, b.lo), numeric[fn](a.hi, b.hi));
    }
  }
  if (a.kind === 'const' && b.kind === 'const' && scalar !== 'bool' && fn in numeric && !((isInt(scalar) || isWideInt(scalar)) && fn === 'div')) {
    const exact = isInt(scalar) && fn === 'mul' ? Math.imul(a.value, b.value) : numeric[fn as keyof typeof numeric](a.value, b.value);
    if (!isWideInt(scalar) || (Number.isSafeInteger(exact) && (scalar === 'i64' || exact >= 0))) return constant(exact, scalar, lanes);
  }
  if (scalar === 'bool' && (fn === 'and' || fn === 'or')) {
    for (const [x, y] of [
      [a, b],
      [b, a],
    ] as const) {
      if (x.kind === 'const') return fn === 'and' ? (x.value ? y : x) : x.value ? x : y;
    }
    if (a === b) return a;
  }
  if (isFloatScalar(scalar)) {
    if (fn === 'mul') {
      if (b.kind === 'const' && b.value === 1) return a;
      if (a.kind === 'const' && a.value === 1) return b;
    }
    if ((fn === 'add' || fn === 'sub') && b.kind === 'const' && Object.is(b.value, fn === 'add' ? -0 : 0)) return a;
    if (fn === 'div' && b.kind === 'const' && b.value === 1) return a;
  }
  return scalar === 'u32' && lanes === 1 ? make('binary', scalar, lanes, [a, b], fn, 0, 4294967295) : make('binary', scalar, lanes, [a, b], fn);
}

export const add = (a: Expr, b: Expr): Expr => binary('add', a, b);
export const sub = (a: Expr, b: Expr): Expr => binary('sub', a, b);
export const mul = (a: Expr, b: Expr): Expr => binary('mul', a, b);
export const div = (a: Expr, b: Expr): Expr => binary('div', a, b);
export const rem = (a: Expr, b: Expr): Expr => binary('rem', a, b);
export const min = (a: Expr, b: Expr): Expr => binary('min', a, b);
export const max = (a: Expr, b: Expr): Expr => binary('max', a, b);
export const and = (a: Expr, b: Expr): Expr => binary('and', a, b);
export const or = (a: Expr, b: Expr): Expr => binary('or', a, b);
export const sum = (...xs: Expr[]): Expr => xs.reduce(add);

export function unary(fn: UnaryFn, a: Expr): Expr {
  if (fn === 'neg' && a.scalar === 'i32' && a.lanes === 1) return scaleLinear('i32', a, -1);
  if (fn === 'not' && a.kind === 'const') return constant(a.value ? 0 : 1, 'bool', a.lanes);
  const scalar: Scalar = fn === 'is_nan' || fn === 'is_inf' ? 'bool' : a.scalar;
  return make('unary', scalar, a.lanes, [a], fn);
}

export function compare(fn: CompareFn, a: Expr, b: Expr): Expr {
  if (a.lanes !== b.lanes) return a.lanes === 1 ? compare(fn, splat(a, b.lanes), b) : compare(fn, a, splat(b, a.lanes));
  if (a.scalar !== b.scalar) throw new InternalError(`${fn} of ${a.scalar} and ${b.scalar}`);
  if (a.scalar === 'i32' && a.lanes === 1) {
    const d = sub(a, b);
    const known = (yes: boolean, no: boolean): Expr | null => (yes ? truth(true) : no ? truth(false) : null);
    const r =
      fn === 'lt'
        ? known(d.hi < 0, d.lo >= 0)
        : fn === 'le'
          ? known(d.hi <= 0, d.lo > 0)
          : fn === 'gt'
            ? known(d.lo > 0, d.hi <= 0)
            : fn === 'ge'
              ? known(d.lo >= 0, d.hi < 0)
              : fn === 'eq'
                ? known(d.lo === 0 && d.hi === 0, d.lo > 0 || d.hi < 0)
                : known(d.lo > 0 || d.hi < 0, d.lo === 0 && d.hi === 0);
    if (r) return r;
  }
  return make('compare', 'bool', a.lanes, [a, b], fn);
}

export function select(c: Expr, a: Expr, b: Expr): Expr {
  invariant(c.scalar === 'bool' && a.scalar === b.scalar, `select of ${c.scalar}, ${a.scalar}, ${b.scalar}`);
  if (c.kind === 'const') return c.value ? a : b;
  if (a === b) return a;
  const lanes = Math.max(c.lanes, a.lanes, b.lanes) as Lanes;
  const w = (x: Expr): Expr => (x.lanes === lanes ? x : splat(x, lanes));
  return make('select', a.scalar, lanes, [w(c), w(a), w(b)], undefined, Math.min(a.lo, b.lo), Math.max(a.hi, b.hi));
}

/** a * b + c, fused or not as the target likes. */
export function mad(a: Expr, b: Expr, c: Expr): Expr {
  if (!isFloatScalar(a.scalar)) return add(mul(a, b), c);
  const lanes = Math.max(a.lanes, b.lanes, c.lanes) as Lanes;
  const w = (x: Expr): Expr => (x.lanes === lanes ? x : splat(x, lanes));
  return make('mad', a.scalar, lanes, [w(a), w(b), w(c)]);
}

/** Value conversion. Floats to integers truncate and saturate; to bool is != 0; bool to number is 0 or 1. */
export function cast(a: Expr, scalar: Scalar): Expr {
  if (a.scalar === scalar) return a;
  if (a.kind === 'const' && isInt(a.scalar)) return constant(a.value, scalar, a.lanes);
  if (a.kind === 'const' && a.scalar === 'bool') return constant(a.value, scalar, a.lanes);
  const keep = isInt(scalar) && isInt(a.scalar) && a.lo >= 0 && a.hi <= 2147483647;
  return keep ? make('cast', scalar, a.lanes, [a], undefined, a.lo, a.hi) : make('cast', scalar, a.lanes, [a]);
}
export const bitcast = (a: Expr, scalar: Scalar): Expr => (a.scalar === scalar ? a : make('bitcast', scalar, a.lanes, [a]));

export const load = (memory: Memory, index: Expr, lanes: Lanes = 1): Expr =>
  make('load', memory.scalar, lanes, [index], undefined, undefined, undefined, undefined, memory);
export const splat = (a: Expr, lanes: Lanes): Expr =>
  lanes === a.lanes ? a : a.kind === 'const' ? constant(a.value, a.scalar, lanes) : make('splat', a.scalar, lanes, [a], undefined, a.lo, a.hi);
export function vector(xs: readonly Expr[]): Expr {
  const [first] = xs as readonly [Expr];
  const lanes = xs.length as Lanes;
  if (xs.every((x) => x === first)) return splat(first, lanes);
  const whole = first.kind === 'extract' ? first.args[0]! : null;
  if (whole && whole.lanes === lanes && xs.every((x, i) => x.kind === 'extract' && x.lane === i && x.args[0] === whole)) return whole;
  return make('vector', first.scalar, lanes, xs);
}
export function extract(a: Expr, lane: number): Expr {
  if (a.lanes === 1) return a;
  if (a.kind === 'const') return constant(a.value, a.scalar);
  if (a.kind === 'splat') return a.args[0]!;
  if (a.kind === 'vector') return a.args[lane]!;
  return make('extract', a.scalar, 1, [a], undefined, undefined, undefined, undefined, undefined, lane);
}

// ---- rebuilding

/** Rebuilds `e` with new arguments (simplifying again). */
export function withArgs(e: Expr, args: readonly Expr[]): Expr {
  switch (e.kind) {
    case 'const':
    case 'var':
      return e;
    case 'unary':
      return unary(e.fn, args[0]!);
    case 'binary':
      return binary(e.fn, args[0]!, args[1]!);
    case 'compare':
      return compare(e.fn, args[0]!, args[1]!);
    case 'select':
      return select(args[0]!, args[1]!, args[2]!);
    case 'mad':
      return mad(args[0]!, args[1]!, args[2]!);
    case 'cast':
      return cast(args[0]!, e.scalar);
    case 'bitcast':
      return bitcast(args[0]!, e.scalar);
    case 'load':
      return load(e.memory, args[0]!, e.lanes);
    case 'splat':
      return splat(args[0]!, e.lanes);
    case 'vector':
      return vector(args);
    case 'extract':
      return extract(args[0]!, e.lane);
  }
}

/** Replaces expressions (usually variables) by others, everywhere. */
export function substitute(e: Expr, map: ReadonlyMap<Expr, Expr>, memo = new Map<Expr, Expr>()): Expr {
  const direct = map.get(e);
  if (direct) return direct;
  if (e.args.length === 0) return e;
  const done = memo.get(e);
  if (done) return done;
  let args: Expr[] | null = null;
  for (let i = 0; i < e.args.length; i++) {
    const old = e.args[i]!;
    const mapped = substitute(old, map, memo);
    if (mapped !== old) args ??= e.args.slice();
    if (args) args[i] = mapped;
  }
  const out = args ? withArgs(e, args) : e;
  memo.set(e, out);
  return out;
}
