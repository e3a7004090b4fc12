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

// Strong references until `resetExpressions`: were entries collected, ids (which order the terms of sums) would depend on when.
/** Constants and operations, in the slot of the hash of their fields or the next free one. A power of two of slots, at most half of them taken. */
const fewest = 1 << 13;
let slots = new Array<Expr | undefined>(fewest).fill(undefined);
/** The hash of what is in a slot. */
let hashes = new Int32Array(fewest);
let taken = 0;
const variables = new Map<string, Expr>();
/** Integers that occur everywhere. */
const smallest = -16;
const small = new Array<Expr | undefined>(16 + 1024).fill(undefined);
let nextId = 1;

const noArgs: readonly Expr[] = [];
const float = new Float64Array(1);
const bits = new Int32Array(float.buffer);
const mix = (h: number, x: number): number => Math.imul(h ^ x, 0x5bd1e995) ^ (h >>> 15);
/** Tells most words apart; those that it does not share a slot's neighbourhood. */
const wordHash = (w: string): number => Math.imul(w.charCodeAt(0) + (w.charCodeAt(1) << 5) + (w.charCodeAt(2) << 10) + w.length, 0x2545f491);

/** What some kinds have beside arguments. */
interface Extra {
  readonly value?: number;
  readonly fn?: string;
  readonly memory?: Memory;
  readonly lane?: number;
}

function hashOf(
  kind: string,
  scalar: Scalar,
  lanes: Lanes,
  args: readonly Expr[],
  fn: string | undefined,
  value: number | undefined,
  memory: Memory | undefined,
  lane: number | undefined,
): number {
  let h = mix(wordHash(kind), (wordHash(scalar) << 3) + lanes);
  if (fn !== undefined) h = mix(h, wordHash(fn));
  if (value !== undefined) {
    float[0] = value;
    h = mix(mix(h, bits[0]!), bits[1]!);
  }
  if (lane !== undefined) h = mix(h, lane);
  if (memory !== undefined) h = mix(h, memory.size);
  for (let i = 0; i < args.length; i++) h = mix(h, args[i]!.id);
  return h ^ (h >>> 13);
}

/**
 * The expression with these fields, which is the one made before where there is one; its range (integers alone have one) follows from the rest. Nothing is simplified: the constructors in
 * expr.ts do that. This runs more often than all else in a compilation, hence plain arguments and a table of our own.
 */
export function make(
  kind: Expr['kind'],
  scalar: Scalar,
  lanes: Lanes,
  args: readonly Expr[],
  fn?: string,
  lo = Number.NEGATIVE_INFINITY,
  hi = Number.POSITIVE_INFINITY,
  value?: number,
  memory?: Memory,
  lane?: number,
): Expr {
  const hash = hashOf(kind, scalar, lanes, args, fn, value, memory, lane);
  const mask = slots.length - 1;
  let at = hash & mask;
  search: for (let old = slots[at]; old !== undefined; at = (at + 1) & mask, old = slots[at]) {
    if (hashes[at] !== hash || old.args.length !== args.length || old.kind !== kind) continue;
    for (let i = 0; i < args.length; i++) if (old.args[i] !== args[i]) continue search;
    const { fn: f, value: v, memory: m, lane: l } = old as Extra;
    if (f === fn && old.scalar === scalar && old.lanes === lanes && m === memory && l === lane && Object.is(v, value)) return old;
  }
  const e = node(kind, scalar, lanes, args, fn, lo, hi, value, memory, lane, undefined, undefined);
  slots[at] = e;
  hashes[at] = hash;
  if (++taken * 2 > slots.length) grow();
  return e;
}

/** Four times the slots. */
function grow(): void {
  const [old, oldHashes] = [slots, hashes];
  slots = new Array<Expr | undefined>(old.length * 4).fill(undefined);
  hashes = new Int32Array(slots.length);
  const mask = slots.length - 1;
  for (let i = 0; i < old.length; i++) {
    if (old[i] === undefined) continue;
    const hash = oldHashes[i]!;
    let at = hash & mask;
    while (slots[at] !== undefined) at = (at + 1) & mask;
    slots[at] = old[i];
    hashes[at] = hash;
  }
}

const node = (
  kind: Expr['kind'],
  scalar: Scalar,
  lanes: Lanes,
  args: readonly Expr[],
  fn: string | undefined,
  lo: number,
  hi: number,
  value: number | undefined,
  memory: Memory | undefined,
  lane: number | undefined,
  name: string | undefined,
  role: VarRole | undefined,
): Expr =>
  ({
    kind,
    scalar,
    lanes,
    args,
    id: nextId++,
    lo,
    hi,
    value,
    fn,
    name,
    role,
    memory,
    lane,
    vars: undefined,
    loads: undefined,
    linear: undefined,
  }) as unknown as Expr;

/** Forgets interned expressions (between compilations, so that memory and names do not grow). Expressions made before must not be mixed with later ones. */
export function resetExpressions(): void {
  if (slots.length > fewest) {
    slots = new Array<Expr | undefined>(fewest).fill(undefined);
    hashes = new Int32Array(fewest);
  } else if (taken > 0) slots.fill(undefined);
  taken = 0;
  small.fill(undefined);
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
  if (scalar === 'i32' && lanes === 1) {
    const v = value >= -2147483648 && value <= 2147483647 ? value | 0 : wrap32(value);
    const slot = v - smallest;
    if (slot < 0 || slot >= small.length) return make('const', 'i32', 1, noArgs, undefined, v, v, v);
    const known = small[slot];
    if (known) return known;
    const made = make('const', 'i32', 1, noArgs, undefined, v, v, v);
    small[slot] = made;
    return made;
  }
  const v =
    scalar === 'i32' ? wrap32(value) : scalar === 'u32' ? value >>> 0 : scalar === 'f32' ? Math.fround(value) : scalar === 'bool' ? (value ? 1 : 0) : value;
  return isInt(scalar) ? make('const', scalar, lanes, noArgs, undefined, v, v, v) : make('const', scalar, lanes, noArgs, undefined, undefined, undefined, v);
};
export const i32 = (v: number): Expr => constant(v, 'i32');
export const f32 = (v: number): Expr => constant(v, 'f32');
export const truth = (v: boolean): Expr => constant(v ? 1 : 0, 'bool');

let nextVar = 0;
/** A new variable with a unique name. Loop variables take their inclusive range. */
export function variable(hint: string, role: VarRole, scalar: Scalar = 'i32', range?: readonly [number, number], lanes: Lanes = 1): VarExpr {
  const name = role === 'symbol' || role === 'group' || role === 'local' ? hint : `${hint}_${nextVar++}`;
  const [lo, hi] = range ?? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  // A variable's range is part of it: 'group0' of two kernels, or a symbol with two maxima, are different variables.
  const key = `${scalar}${lanes}|${name}|${role}:${lo}:${hi}`;
  let v = variables.get(key);
  if (!v) {
    v = node('var', scalar, lanes, noArgs, undefined, lo, hi, undefined, undefined, undefined, name, role);
    variables.set(key, v);
  }
  return v as VarExpr;
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
