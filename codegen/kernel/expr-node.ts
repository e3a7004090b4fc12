/** Nodes of Kernel IR's expressions: their type, the table that makes equal expressions one object, leaves (constants and variables), and which variables an expression reads. */
import type { Memory } from './ir.js';

/** i64 and u64 are data only: indices are i32. They have no vectors. */
export type Scalar = 'f32' | 'f64' | 'f16' | 'i32' | 'u32' | 'i64' | 'u64' | 'bool';
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
  /** What has been found out about it, kept here since a look-up in a weak map costs more than all else: its variables, its loads, its linear form. */
  vars?: ReadonlySet<VarExpr>;
  loads?: ReadonlySet<LoadExpr>;
  linear?: Linear;
}

/** Integer expression as constant + sum of coefficient * atom; atoms are not sums nor products with constants. */
export interface Linear {
  readonly constant: number;
  readonly terms: ReadonlyMap<Expr, number>;
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

// Strong references until `resetNodes`: were entries collected, ids (which order the terms of sums) would depend on when.
/** Constants and operations by a hash of their fields; the next free number where two hashes are the same. */
const table = new Map<number, Expr>();
const variables = new Map<string, Expr>();
let nextId = 1;

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

/** Small numbers for the words in a node, for its hash. */
const codes = new Map<string, number>();
const codeOf = (word: string): number => {
  let c = codes.get(word);
  if (c === undefined) {
    c = codes.size + 1;
    codes.set(word, c);
  }
  return c;
};
const float = new Float64Array(1);
const bits = new Int32Array(float.buffer);
const mix = (h: number, x: number): number => Math.imul(h ^ x, 0x5bd1e995) ^ (h >>> 15);

function hashOf(f: Fields, args: readonly Expr[]): number {
  let h = mix(codeOf(f.kind), codeOf(f.scalar) * 8 + f.lanes);
  if (f.fn !== undefined) h = mix(h, codeOf(f.fn));
  if (f.value !== undefined) {
    float[0] = f.value;
    h = mix(mix(h, bits[0]!), bits[1]!);
  }
  if (f.lane !== undefined) h = mix(h, f.lane);
  for (const a of args) h = mix(h, a.id);
  return h;
}

function isSame(e: Expr, f: Fields, args: readonly Expr[]): boolean {
  const old = e as Expr & Fields;
  if (old.kind !== f.kind || old.fn !== f.fn || old.scalar !== f.scalar || old.lanes !== f.lanes || old.memory !== f.memory || old.lane !== f.lane)
    return false;
  if (!Object.is(old.value, f.value) || e.args.length !== args.length) return false;
  for (let i = 0; i < args.length; i++) if (e.args[i] !== args[i]) return false;
  return true;
}

/** The expression with these fields, which is the one made before where there is one. Nothing is simplified: the constructors in expr.ts do that. */
export function make(f: Fields): Expr {
  const args = f.args ?? noArgs;
  if (f.name !== undefined) {
    // A variable's range is part of it: 'group0' of two kernels, or a symbol with two maxima, are different variables.
    const key = `${f.scalar}${f.lanes}|${f.name}|${f.role}:${f.lo}:${f.hi}`;
    let v = variables.get(key);
    if (!v) {
      v = node(f, args);
      variables.set(key, v);
    }
    return v;
  }
  let h = hashOf(f, args);
  for (let old = table.get(h); old; old = table.get(++h)) if (isSame(old, f, args)) return old;
  const e = node(f, args);
  table.set(h, e);
  return e;
}

const node = (f: Fields, args: readonly Expr[]): Expr =>
  ({
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
    vars: undefined,
    loads: undefined,
    linear: undefined,
  }) as unknown as Expr;

/** Forgets interned expressions (between compilations, so that memory and names do not grow). Expressions made before must not be mixed with later ones. */
export function resetExpressions(): void {
  table.clear();
  variables.clear();
  nextVar = 0;
}

/** Integers of 32 bits, which have ranges. */
export const isInt = (s: Scalar): boolean => s === 'i32' || s === 'u32';
export const isWideInt = (s: Scalar): boolean => s === 'i64' || s === 'u64';
/** Scalars of 8 bytes, which have no vectors. */
export const isWideScalar = (s: Scalar): boolean => s === 'f64' || isWideInt(s);
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

// ---- variables

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
  e.vars ??= e.kind === 'var' ? new Set([e]) : e.args.reduce((all: ReadonlySet<VarExpr>, a) => union(all, varsOf(a)), noVars);
  return e.vars;
}
export const dependsOn = (e: Expr, x: Expr): boolean => e === x || (x.kind === 'var' ? varsOf(e).has(x) : e.args.some((a) => dependsOn(a, x)));
