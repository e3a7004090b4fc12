/** Index spaces: dimensions as expressions, row-major linearization, loops over axes, and merging of axes that every access treats as one. */
import { type Dim, evalDim, isStatic, type Shape } from '../../ir/dim.js';
import { InternalError } from '../../ir/errors.js';
import type { SizeExpr } from '../../runtime/plan.js';
import { add, coefficient, div, type Expr, i32, mul, rem, sum, symbolVar, type VarExpr, varsOf } from '../kernel/expr.js';

/** Largest values of the symbols; ranges of index expressions come from it. */
export type SymbolMax = Readonly<Record<string, number>>;

/** A dimension as an index expression. */
export function dimExpr(d: Dim, max: SymbolMax): Expr {
  if (isStatic(d)) return i32(d);
  return sum(i32(d.offset), ...d.terms.map(([s, c]) => mul(symbolVar(s, max[s] ?? 2147483647), i32(c))));
}

/** A dimension as a size of the plan. */
export function dimSize(d: Dim): SizeExpr {
  if (isStatic(d)) return d;
  return d.terms.map(([s, c]): SizeExpr => (c === 1 ? { symbol: s } : sizeMul({ symbol: s }, c))).reduce((a, b) => sizeAdd(a, b), d.offset as SizeExpr);
}
export const sizeAdd = (a: SizeExpr, b: SizeExpr): SizeExpr =>
  typeof a === 'number' && typeof b === 'number' ? a + b : a === 0 ? b : b === 0 ? a : { op: 'add', args: [a, b] };
export const sizeMul = (a: SizeExpr, b: SizeExpr): SizeExpr =>
  typeof a === 'number' && typeof b === 'number' ? a * b : a === 1 ? b : b === 1 ? a : { op: 'mul', args: [a, b] };
export const sizeCeilDiv = (a: SizeExpr, b: number): SizeExpr => (typeof a === 'number' ? Math.ceil(a / b) : b === 1 ? a : { op: 'ceildiv', args: [a, b] });
export const sizeMin = (a: SizeExpr, b: SizeExpr): SizeExpr => (typeof a === 'number' && typeof b === 'number' ? Math.min(a, b) : { op: 'min', args: [a, b] });
/** Number of elements of a shape. */
export const shapeSize = (s: Shape): SizeExpr => s.reduce<SizeExpr>((a, d) => sizeMul(a, dimSize(d)), 1);
export const maxSize = (s: Shape, max: SymbolMax): number => s.reduce<number>((a, d) => a * evalDim(d, max), 1);

/** An index expression over symbols only, as a size of the plan. */
export function exprSize(e: Expr): SizeExpr {
  if (e.kind === 'const') return e.value;
  if (e.kind === 'var' && e.role === 'symbol') return { symbol: e.name };
  if (e.kind === 'binary' && (e.fn === 'add' || e.fn === 'mul' || e.fn === 'div')) {
    const [a, b] = e.args.map(exprSize) as [SizeExpr, SizeExpr];
    return e.fn === 'add' ? sizeAdd(a, b) : e.fn === 'mul' ? sizeMul(a, b) : { op: 'floordiv', args: [a, b] };
  }
  throw new InternalError(`${e.kind} in a size`);
}

/** The same size as a sum of products, one term for each combination of symbols: long sums of figures stay short. */
export function collectSize(e: SizeExpr): SizeExpr {
  const terms = new Map<string, { factors: SizeExpr[]; k: number }>();
  const multiply = (x: SizeExpr): { factors: SizeExpr[]; k: number }[] => {
    if (typeof x === 'number') return [{ factors: [], k: x }];
    if ('op' in x && x.op === 'add') return [...multiply(x.args[0]), ...multiply(x.args[1])];
    if ('op' in x && x.op === 'mul') {
      const right = multiply(x.args[1]);
      return multiply(x.args[0]).flatMap((a) => right.map((b) => ({ factors: [...a.factors, ...b.factors], k: a.k * b.k })));
    }
    return [{ factors: [x], k: 1 }];
  };
  for (const t of multiply(e)) {
    const key = t.factors
      .map((f) => JSON.stringify(f))
      .sort()
      .join('*');
    const old = terms.get(key);
    if (old) old.k += t.k;
    else terms.set(key, t);
  }
  return [...terms.values()]
    .filter((t) => t.k !== 0)
    .map((t) => t.factors.reduce<SizeExpr>((a, f) => sizeMul(a, f), t.k))
    .reduce<SizeExpr>((a, b) => sizeAdd(a, b), 0);
}

/** Row-major linear index. */
export function linearize(index: readonly Expr[], shape: Shape, max: SymbolMax): Expr {
  let e: Expr = i32(0);
  for (let i = 0; i < shape.length; i++) e = add(mul(e, dimExpr(shape[i]!, max)), index[i]!);
  return e;
}

/** Inverse of linearize. The first axis takes what is left, so its size is not needed. */
export function delinearize(e: Expr, extents: readonly Expr[]): Expr[] {
  const out = new Array<Expr>(extents.length);
  let rest = e;
  for (let i = extents.length - 1; i >= 0; i--) {
    if (i === 0) out[0] = rest;
    else {
      out[i] = rem(rest, extents[i]!);
      rest = div(rest, extents[i]!);
    }
  }
  return out;
}

/** A loop axis: its variable and extent. */
export interface Axis {
  readonly v: VarExpr;
  readonly extent: Expr;
}

/** All load indices in an expression (through the indices of gathers, too). */
export function loadIndices(e: Expr, out = new Set<Expr>(), seen = new Set<Expr>()): Set<Expr> {
  if (seen.has(e)) return out;
  seen.add(e);
  if (e.kind === 'load') out.add(e.args[0]!);
  for (const a of e.args) loadIndices(a, out, seen);
  return out;
}

/**
 * Whether the axes a (outer) and b (inner) can be one axis of extent Ea*Eb: in all index expressions they occur as a*Eb + b only, and nowhere else.
 */
export function mergeable(indices: Iterable<Expr>, others: Iterable<Expr>, a: Axis, b: Axis): boolean {
  if (b.extent.kind !== 'const') return false;
  const eb = b.extent.value;
  for (const e of indices) {
    const ca = coefficient(e, a.v);
    const cb = coefficient(e, b.v);
    if (ca === null || cb === null || ca !== cb * eb) return false;
  }
  for (const e of others) if (varsOf(e).has(a.v) || varsOf(e).has(b.v)) return false;
  return true;
}

/** Non-index uses of variables: everything outside load indices. */
export function valueUses(e: Expr, out = new Set<Expr>(), seen = new Set<Expr>()): Set<Expr> {
  if (seen.has(e)) return out;
  seen.add(e);
  if (e.kind === 'load') return out;
  if (e.kind === 'var') out.add(e);
  for (const a of e.args) valueUses(a, out, seen);
  return out;
}
