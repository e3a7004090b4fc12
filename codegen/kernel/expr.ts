/**
 * Expressions of Kernel IR: an interned DAG of typed scalars and short vectors. Equal expressions are the same object. The constructors simplify: integer
 * index arithmetic is kept as a linear form over atoms (sum of coefficient * atom + constant), and divisions and remainders by constants cancel where the
 * ranges of variables allow. Floating-point arithmetic is never reassociated.
 */
import { InternalError, invariant } from '../../ir/errors.js';
import type { Memory } from './ir.js';

export type Scalar = 'f32' | 'f64' | 'f16' | 'i32' | 'u32' | 'bool';
export type Lanes = 1 | 2 | 4;

/** exp, log, tanh and so on exist here; `legalize` expands them where a target has no such instruction. */
export type UnaryFn =
  | 'neg'
  | 'abs'
  | 'floor'
  | 'ceil'
  | 'round'
  | 'trunc'
  | 'sqrt'
  | 'rsqrt'
  | 'exp'
  | 'expm1'
  | 'log'
  | 'log1p'
  | 'sin'
  | 'cos'
  | 'tan'
  | 'asin'
  | 'acos'
  | 'atan'
  | 'sinh'
  | 'cosh'
  | 'tanh'
  | 'asinh'
  | 'acosh'
  | 'atanh'
  | 'sigmoid'
  | 'erf'
  | 'sign'
  | 'not'
  | 'bitnot'
  | 'is_nan'
  | 'is_inf';
/** Integer div and rem truncate. shr is arithmetic on i32, logical on u32. min and max on floats propagate NaN. */
export type BinaryFn = 'add' | 'sub' | 'mul' | 'div' | 'rem' | 'pow' | 'min' | 'max' | 'atan2' | 'and' | 'or' | 'xor' | 'shl' | 'shr';
export type CompareFn = 'eq' | 'ne' | 'lt' | 'le' | 'gt' | 'ge';

interface Base {
  readonly id: number;
  readonly scalar: Scalar;
  readonly lanes: Lanes;
  /** Inclusive range of an integer expression (each lane); ±Infinity when unknown. */
  readonly lo: number;
  readonly hi: number;
  readonly args: readonly Expr[];
}

export type Expr =
  | (Base & { readonly kind: 'const'; readonly value: number })
  /** A loop variable, `let`, mutable variable, symbol or builtin (group and local ids). */
  | (Base & { readonly kind: 'var'; readonly name: string; readonly role: VarRole })
  | (Base & { readonly kind: 'unary'; readonly fn: UnaryFn })
  | (Base & { readonly kind: 'binary'; readonly fn: BinaryFn })
  | (Base & { readonly kind: 'compare'; readonly fn: CompareFn })
  /** args: condition (bool, same lanes), then, else. Both sides are evaluated. */
  | (Base & { readonly kind: 'select' })
  /** a * b + c; the product may or may not be rounded. */
  | (Base & { readonly kind: 'mad' })
  | (Base & { readonly kind: 'cast' })
  | (Base & { readonly kind: 'bitcast' })
  /** `lanes` consecutive elements from index args[0]. */
  | (Base & { readonly kind: 'load'; readonly memory: Memory })
  | (Base & { readonly kind: 'splat' })
  | (Base & { readonly kind: 'vector' })
  | (Base & { readonly kind: 'extract'; readonly lane: number });

/** symbol: a plan symbol by name. group/local: builtin ids, names are 'group0'… and 'local0'…. mutable: assigned by statements, so never moved. */
export type VarRole = 'loop' | 'let' | 'mutable' | 'symbol' | 'group' | 'local';
export type VarExpr = Extract<Expr, { kind: 'var' }>;
export type LoadExpr = Extract<Expr, { kind: 'load' }>;

// Strong references until `resetExpressions`: were entries collected, ids (which order the terms of sums) would depend on when.
const table = new Map<string, Expr>();
let nextId = 1;
let memoryIds = new WeakMap<Memory, number>();
let nextMemory = 1;
const memoryId = (m: Memory): number => {
  let id = memoryIds.get(m);
  if (id === undefined) {
    id = nextMemory++;
    memoryIds.set(m, id);
  }
  return id;
};

type Fields = {
  kind: Expr['kind'];
  scalar: Scalar;
  lanes: Lanes;
  args?: readonly Expr[];
  lo?: number;
  hi?: number;
  value?: number;
  name?: string;
  role?: VarRole;
  fn?: string;
  memory?: Memory;
  lane?: number;
};

const noArgs: readonly Expr[] = [];

function make(f: Fields): Expr {
  const args = f.args ?? noArgs;
  let key = `${f.kind}|${f.scalar}${f.lanes}`;
  if (f.value !== undefined) key += Object.is(f.value, -0) ? '|-0' : `|${f.value}`;
  if (f.fn !== undefined) key += `|${f.fn}`;
  // A variable's range is part of it: 'group0' of two kernels, or a symbol with two maxima, are different variables.
  if (f.name !== undefined) key += `|${f.name}|${f.role}:${f.lo}:${f.hi}`;
  if (f.lane !== undefined) key += `|${f.lane}`;
  if (f.memory) key += `|${memoryId(f.memory)}`;
  for (const a of args) key += `,${a.id}`;
  const old = table.get(key);
  if (old) return old;
  const e = {
    kind: f.kind,
    scalar: f.scalar,
    lanes: f.lanes,
    args,
    id: nextId++,
    lo: f.lo ?? Number.NEGATIVE_INFINITY,
    hi: f.hi ?? Number.POSITIVE_INFINITY,
    value: f.value,
    fn: f.fn,
    name: f.name,
    role: f.role,
    memory: f.memory,
    lane: f.lane,
  } as unknown as Expr;
  table.set(key, e);
  return e;
}

/** Forgets interned expressions (between compilations, so that memory and names do not grow). Expressions made before must not be mixed with later ones. */
export function resetExpressions(): void {
  table.clear();
  sums.clear();
  memoryIds = new WeakMap();
  nextVar = 0;
}

export const isInt = (s: Scalar): boolean => s === 'i32' || s === 'u32';
export const isFloatScalar = (s: Scalar): boolean => s === 'f32' || s === 'f64' || s === 'f16';

// ---- leaves

/** Modulo 2^32, exact for any finite number. */
const wrap32 = (v: number): number => (Math.abs(v) < 9007199254740992 || !Number.isFinite(v) ? v | 0 : Number(BigInt.asIntN(32, BigInt(Math.trunc(v)))));

export const constant = (value: number, scalar: Scalar = 'i32', lanes: Lanes = 1): Expr => {
  const v =
    scalar === 'i32' ? wrap32(value) : scalar === 'u32' ? value >>> 0 : scalar === 'f32' ? Math.fround(value) : scalar === 'bool' ? (value ? 1 : 0) : value;
  return make({ kind: 'const', scalar, lanes, value: v, lo: isInt(scalar) ? v : undefined, hi: isInt(scalar) ? v : undefined });
};
export const i32 = (v: number): Expr => constant(v, 'i32');
export const f32 = (v: number): Expr => constant(v, 'f32');
export const truth = (v: boolean): Expr => constant(v ? 1 : 0, 'bool');

let nextVar = 0;
/** A new variable with a unique name. Loop variables take their inclusive range. */
export function variable(hint: string, role: VarRole, scalar: Scalar = 'i32', range?: readonly [number, number], lanes: Lanes = 1): VarExpr {
  const name = role === 'symbol' || role === 'group' || role === 'local' ? hint : `${hint}_${nextVar++}`;
  return make({ kind: 'var', scalar, lanes, name, role, lo: range?.[0], hi: range?.[1] }) as VarExpr;
}
/** A plan symbol; it is at least 1 and at most `max`. */
export const symbolVar = (name: string, max: number): VarExpr => variable(name, 'symbol', 'i32', [0, max]);

// ---- linear forms of i32 scalars

/** Integer expression as constant + sum of coefficient * atom; atoms are not sums nor products with constants. */
export interface Linear {
  readonly constant: number;
  readonly terms: ReadonlyMap<Expr, number>;
}

const linearOf = new WeakMap<Expr, Linear>();
/** Sums by their coefficients. */
const sums = new Map<string, Expr>();

export function linear(e: Expr): Linear {
  if (e.kind === 'const') return { constant: e.value, terms: new Map() };
  return linearOf.get(e) ?? { constant: 0, terms: new Map([[e, 1]]) };
}

/** coefficient of atom `x` in `e`; null when `e` depends on x in another way too. */
export function coefficient(e: Expr, x: Expr): number | null {
  const l = linear(e);
  for (const atom of l.terms.keys()) if (atom !== x && dependsOn(atom, x)) return null;
  return l.terms.get(x) ?? 0;
}

function fromLinear(scalar: Scalar, constantIn: number, termMap: Map<Expr, number>): Expr {
  const constantPart = constantIn + recombine(termMap);
  // Arithmetic is modulo 2^32: coefficients beyond that (integer data, not indices) wrap, and say nothing about ranges.
  for (const [a, c] of termMap) if (c !== (c | 0)) return wrapped(scalar, a, c, constantPart, termMap);
  const terms = [...termMap].filter(([, c]) => c !== 0).sort(([a], [b]) => a.id - b.id);
  if (terms.length === 0) return constant(constantPart, scalar);
  if (constantPart === 0 && terms.length === 1 && terms[0]![1] === 1) return terms[0]![0];
  let key = `${scalar}${constantPart}`;
  for (const [a, c] of terms) key += `|${c}*${a.id}`;
  const known = sums.get(key);
  if (known) return known;
  let e: Expr | null = null;
  let partial = new Map<Expr, number>();
  const note = (x: Expr, c: number, t: ReadonlyMap<Expr, number>): Expr => {
    if (!linearOf.has(x)) linearOf.set(x, { constant: c, terms: t });
    return x;
  };
  for (const [atom, c] of terms) {
    const term =
      c === 1
        ? atom
        : note(make({ kind: 'binary', fn: 'mul', scalar, lanes: 1, args: [atom, constant(c, scalar)], ...rangeOf([[atom, c]], 0) }), 0, new Map([[atom, c]]));
    partial = new Map(partial).set(atom, c);
    e = e === null ? term : note(make({ kind: 'binary', fn: 'add', scalar, lanes: 1, args: [e, term], ...rangeOf([...partial], 0) }), 0, partial);
  }
  if (constantPart !== 0)
    e = note(
      make({ kind: 'binary', fn: 'add', scalar, lanes: 1, args: [e!, constant(constantPart, scalar)], ...rangeOf(terms, constantPart) }),
      constantPart,
      partial,
    );
  sums.set(key, e!);
  return e!;
}

/** A sum with a coefficient outside 32 bits: the same sum modulo 2^32, with the oversized product as an opaque atom. */
function wrapped(scalar: Scalar, atom: Expr, c: number, constantPart: number, terms: ReadonlyMap<Expr, number>): Expr {
  const rest = new Map(terms);
  rest.delete(atom);
  const product = make({ kind: 'binary', fn: 'mul', scalar, lanes: 1, args: [atom, constant(Number(BigInt.asIntN(32, BigInt(c))), scalar)] });
  return fromLinear(scalar, constantPart, rest.set(product, (rest.get(product) ?? 0) + 1));
}

function rangeOf(terms: readonly (readonly [Expr, number])[], c0: number): { lo: number; hi: number } {
  let [lo, hi] = [c0, c0];
  for (const [a, c] of terms) {
    lo += c > 0 ? c * a.lo : c * a.hi;
    hi += c > 0 ? c * a.hi : c * a.lo;
  }
  return { lo, hi };
}

const isDivOf = (e: Expr): { x: Expr; c: number } | null =>
  e.kind === 'binary' && e.fn === 'div' && e.args[1]!.kind === 'const' ? { x: e.args[0]!, c: e.args[1]!.value } : null;
const isRemOf = (e: Expr): { x: Expr; c: number } | null =>
  e.kind === 'binary' && e.fn === 'rem' && e.args[1]!.kind === 'const' ? { x: e.args[0]!, c: e.args[1]!.value } : null;

/** k*(x rem c) + k*c*(x div c) = k*x, and k*(x rem a) + k*a*((x div a) rem b) = k*(x rem a*b). Changes `terms`; returns what is to be added to the constant. */
function recombine(terms: Map<Expr, number>): number {
  let extra = 0;
  for (let found = recombination(terms); found; found = recombination(terms)) {
    terms.delete(found.atom);
    terms.delete(found.other);
    const l = linear(found.sum);
    extra += found.k * l.constant;
    for (const [a, c] of l.terms) terms.set(a, (terms.get(a) ?? 0) + c * found.k);
  }
  return extra;
}

function recombination(terms: ReadonlyMap<Expr, number>): { atom: Expr; other: Expr; k: number; sum: Expr } | null {
  if (terms.size < 2) return null;
  for (const [atom, k] of terms) {
    const rem = isRemOf(atom);
    if (!rem || k === 0) continue;
    const quotient = divInt(rem.x, rem.c);
    for (const [other, k2] of terms) {
      if (k2 !== k * rem.c || other === atom) continue;
      if (other === quotient) return { atom, other, k, sum: rem.x };
      const outer = isRemOf(other);
      if (outer && outer.x === quotient) return { atom, other, k, sum: remInt(rem.x, rem.c * outer.c) };
    }
  }
  return null;
}

function addLinear(scalar: Scalar, a: Expr, b: Expr, sign: number): Expr {
  const la = linear(a);
  const lb = linear(b);
  const terms = new Map(la.terms);
  for (const [x, c] of lb.terms) terms.set(x, (terms.get(x) ?? 0) + sign * c);
  return fromLinear(scalar, la.constant + sign * lb.constant, terms);
}

/** a * b; where a double cannot hold it, a number that is equal modulo 2^32 and also outside 32 bits. */
function times(a: number, b: number): number {
  const p = a * b;
  if (Math.abs(p) <= Number.MAX_SAFE_INTEGER) return p;
  const low = Number(BigInt.asIntN(32, BigInt(a) * BigInt(b)));
  return low < 0 ? low - 4294967296 : low + 4294967296;
}

function scaleLinear(scalar: Scalar, a: Expr, k: number): Expr {
  if (k === 0) return constant(0, scalar);
  const l = linear(a);
  return fromLinear(scalar, times(l.constant, k), new Map([...l.terms].map(([x, c]) => [x, times(c, k)])));
}

/** Splits e = c*q + r with r's coefficients in (-c/2, c) chosen so that they are not multiples of c. */
function splitBy(e: Expr, c: number): { q: Expr; r: Expr } {
  const l = linear(e);
  const q = new Map<Expr, number>();
  const r = new Map<Expr, number>();
  for (const [x, k] of l.terms) (k % c === 0 ? q : r).set(x, k % c === 0 ? k / c : k);
  const qc = Math.floor(l.constant / c);
  return { q: fromLinear('i32', qc, q), r: fromLinear('i32', l.constant - qc * c, r) };
}

/** x = g*y + r with 0 <= r < g for g > 1, the greatest common divisor of c and all coefficients of x; null when there is none or y may be negative. */
function commonFactor(x: Expr, c: number): { g: number; y: Expr; r: number } | null {
  const l = linear(x);
  let g = c;
  for (const k of l.terms.values()) for (let a = Math.abs(k); a; ) [g, a] = [a, g % a];
  if (g <= 1) return null;
  const q = Math.floor(l.constant / g);
  const y = fromLinear('i32', q, new Map([...l.terms].map(([t, k]) => [t, k / g])));
  return y.lo >= 0 ? { g, y, r: l.constant - q * g } : null;
}

const isZero = (e: Expr): boolean => e.kind === 'const' && e.value === 0;

/** x div c for c > 0. Simplifies where x >= 0 (indices). */
function divInt(x: Expr, c: number): Expr {
  if (c === 1) return x;
  if (x.kind === 'const') return i32(Math.trunc(x.value / c));
  if (x.lo >= 0) {
    if (x.hi < c) return i32(0);
    const factor = commonFactor(x, c);
    if (factor) return divInt(factor.y, c / factor.g);
    const { q, r } = splitBy(x, c);
    if (r.lo >= 0 && r.hi < c) return q;
    if (r.lo >= 0 && q.lo >= 0 && !isZero(q)) return add(q, divInt(r, c));
    const inner = isDivOf(x);
    if (inner && inner.c * c <= 2147483647) return divInt(inner.x, inner.c * c);
    // (y rem (c*m)) div c = (y div c) rem m
    const rem = isRemOf(x);
    if (rem && rem.c % c === 0 && rem.x.lo >= 0) return remInt(divInt(rem.x, c), rem.c / c);
  }
  return make({ kind: 'binary', fn: 'div', scalar: 'i32', lanes: 1, args: [x, i32(c)], lo: Math.trunc(x.lo / c), hi: Math.trunc(x.hi / c) });
}

/** x rem c for c > 0. */
function remInt(x: Expr, c: number): Expr {
  if (c === 1) return i32(0);
  if (x.kind === 'const') return i32(x.value % c);
  if (x.lo >= 0) {
    if (x.hi < c) return x;
    const factor = commonFactor(x, c);
    if (factor) return add(scaleLinear('i32', remInt(factor.y, c / factor.g), factor.g), i32(factor.r));
    const { q, r } = splitBy(x, c);
    if (r.lo >= 0 && q.lo >= 0 && r !== x) return remInt(r, c);
    const inner = isRemOf(x);
    if (inner && inner.c % c === 0) return remInt(inner.x, c);
    return make({ kind: 'binary', fn: 'rem', scalar: 'i32', lanes: 1, args: [x, i32(c)], lo: 0, hi: c - 1 });
  }
  return make({ kind: 'binary', fn: 'rem', scalar: 'i32', lanes: 1, args: [x, i32(c)], lo: 1 - c, hi: c - 1 });
}

// ---- arithmetic

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
      return make({ kind: 'binary', fn, scalar, lanes, args: [x, y], lo: Math.min(...c), hi: Math.max(...c) });
    }
    if ((fn === 'div' || fn === 'rem') && b.kind === 'const' && b.value > 0) return fn === 'div' ? divInt(a, b.value) : remInt(a, b.value);
    if (fn === 'div' && a.lo >= 0 && b.lo >= 1) return make({ kind: 'binary', fn, scalar, lanes, args: [a, b], lo: 0, hi: a.hi });
    if (fn === 'rem' && a.lo >= 0 && b.lo >= 0) return make({ kind: 'binary', fn, scalar, lanes, args: [a, b], lo: 0, hi: Math.min(a.hi, b.hi) });
    if (fn === 'min' || fn === 'max') {
      if (a === b) return a;
      if (fn === 'min') {
        if (a.hi <= b.lo) return a;
        if (b.hi <= a.lo) return b;
      } else {
        if (a.lo >= b.hi) return a;
        if (b.lo >= a.hi) return b;
      }
      return make({ kind: 'binary', fn, scalar, lanes, args: [a, b], lo: numeric[fn](a.lo, b.lo), hi: numeric[fn](a.hi, b.hi) });
    }
  }
  if (a.kind === 'const' && b.kind === 'const' && scalar !== 'bool' && fn in numeric && !(isInt(scalar) && fn === 'div')) {
    const exact = isInt(scalar) && fn === 'mul' ? Math.imul(a.value, b.value) : numeric[fn as keyof typeof numeric](a.value, b.value);
    return constant(exact, scalar, lanes);
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
  return make({ kind: 'binary', fn, scalar, lanes, args: [a, b], ...(scalar === 'u32' && lanes === 1 ? { lo: 0, hi: 4294967295 } : {}) });
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
  return make({ kind: 'unary', fn, scalar, lanes: a.lanes, args: [a] });
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
  return make({ kind: 'compare', fn, scalar: 'bool', lanes: a.lanes, args: [a, b] });
}

export function select(c: Expr, a: Expr, b: Expr): Expr {
  invariant(c.scalar === 'bool' && a.scalar === b.scalar, `select of ${c.scalar}, ${a.scalar}, ${b.scalar}`);
  if (c.kind === 'const') return c.value ? a : b;
  if (a === b) return a;
  const lanes = Math.max(c.lanes, a.lanes, b.lanes) as Lanes;
  const w = (x: Expr): Expr => (x.lanes === lanes ? x : splat(x, lanes));
  return make({ kind: 'select', scalar: a.scalar, lanes, args: [w(c), w(a), w(b)], lo: Math.min(a.lo, b.lo), hi: Math.max(a.hi, b.hi) });
}

/** a * b + c, fused or not as the target likes. */
export function mad(a: Expr, b: Expr, c: Expr): Expr {
  if (!isFloatScalar(a.scalar)) return add(mul(a, b), c);
  const lanes = Math.max(a.lanes, b.lanes, c.lanes) as Lanes;
  const w = (x: Expr): Expr => (x.lanes === lanes ? x : splat(x, lanes));
  return make({ kind: 'mad', scalar: a.scalar, lanes, args: [w(a), w(b), w(c)] });
}

/** Value conversion. Floats to integers truncate and saturate; to bool is != 0; bool to number is 0 or 1. */
export function cast(a: Expr, scalar: Scalar): Expr {
  if (a.scalar === scalar) return a;
  if (a.kind === 'const' && isInt(a.scalar)) return constant(a.value, scalar, a.lanes);
  if (a.kind === 'const' && a.scalar === 'bool') return constant(a.value, scalar, a.lanes);
  const keep = isInt(scalar) && isInt(a.scalar) && a.lo >= 0 && a.hi <= 2147483647;
  return make({ kind: 'cast', scalar, lanes: a.lanes, args: [a], lo: keep ? a.lo : undefined, hi: keep ? a.hi : undefined });
}
export const bitcast = (a: Expr, scalar: Scalar): Expr => (a.scalar === scalar ? a : make({ kind: 'bitcast', scalar, lanes: a.lanes, args: [a] }));

export const load = (memory: Memory, index: Expr, lanes: Lanes = 1): Expr => make({ kind: 'load', memory, scalar: memory.scalar, lanes, args: [index] });
export const splat = (a: Expr, lanes: Lanes): Expr =>
  lanes === a.lanes
    ? a
    : a.kind === 'const'
      ? constant(a.value, a.scalar, lanes)
      : make({ kind: 'splat', scalar: a.scalar, lanes, args: [a], lo: a.lo, hi: a.hi });
export function vector(xs: readonly Expr[]): Expr {
  const [first] = xs as readonly [Expr];
  const lanes = xs.length as Lanes;
  if (xs.every((x) => x === first)) return splat(first, lanes);
  const whole = first.kind === 'extract' ? first.args[0]! : null;
  if (whole && whole.lanes === lanes && xs.every((x, i) => x.kind === 'extract' && x.lane === i && x.args[0] === whole)) return whole;
  return make({ kind: 'vector', scalar: first.scalar, lanes, args: xs });
}
export function extract(a: Expr, lane: number): Expr {
  if (a.lanes === 1) return a;
  if (a.kind === 'const') return constant(a.value, a.scalar);
  if (a.kind === 'splat') return a.args[0]!;
  if (a.kind === 'vector') return a.args[lane]!;
  return make({ kind: 'extract', scalar: a.scalar, lanes: 1, args: [a], lane });
}

// ---- walking

const freeVars = new WeakMap<Expr, ReadonlySet<VarExpr>>();
const noVars: ReadonlySet<VarExpr> = new Set();

/** The union, which is one of the sets where the other adds nothing. */
function union(a: ReadonlySet<VarExpr>, b: ReadonlySet<VarExpr>): ReadonlySet<VarExpr> {
  const [big, small] = a.size >= b.size ? [a, b] : [b, a];
  let out: Set<VarExpr> | null = null;
  for (const v of small) if (!big.has(v)) out = (out ?? new Set(big)).add(v);
  return out ?? big;
}

/** The variables in an expression. */
export function varsOf(e: Expr): ReadonlySet<VarExpr> {
  let s = freeVars.get(e);
  if (!s) {
    if (e.kind === 'var') s = new Set([e]);
    else s = e.args.reduce((all: ReadonlySet<VarExpr>, a) => union(all, varsOf(a)), noVars);
    freeVars.set(e, s);
  }
  return s;
}
export const dependsOn = (e: Expr, x: Expr): boolean => e === x || (x.kind === 'var' ? varsOf(e).has(x) : e.args.some((a) => dependsOn(a, x)));

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
