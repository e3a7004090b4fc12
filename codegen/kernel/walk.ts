/** Walks over Kernel IR: maps over expressions and statements, free variables, what statements assign and store, work counted statically. */
import { type Expr, isFloatScalar, type LoadExpr, sub, substitute, type VarExpr, variable, varsOf, withArgs } from './expr.js';
import { blocksOf, exprsOf, ifThen, type Kernel, type Memory, type Stmt } from './ir.js';

export type ForStmt = Extract<Stmt, { kind: 'for' }>;

/** Rebuilds an expression from its leaves up: `f` sees every node once, with its arguments already mapped. */
export function mapExpr(e: Expr, f: (e: Expr) => Expr, memo: Map<Expr, Expr> = new Map()): Expr {
  const done = memo.get(e);
  if (done) return done;
  // New arguments from the first that changes: most do not.
  let args: Expr[] | null = null;
  for (let i = 0; i < e.args.length; i++) {
    const old = e.args[i]!;
    const mapped = mapExpr(old, f, memo);
    if (mapped !== old) args ??= e.args.slice();
    if (args) args[i] = mapped;
  }
  const out = f(args ? withArgs(e, args) : e);
  memo.set(e, out);
  return out;
}

export interface StmtMapper {
  /** Replaces a whole expression of a statement. */
  readonly expr?: (e: Expr) => Expr;
  /** Renames a variable where it is bound or assigned. */
  readonly bind?: (v: VarExpr) => VarExpr;
  /** Replaces a statement whose parts are already mapped. */
  readonly stmt?: (s: Stmt) => readonly Stmt[];
}

/** Rebuilds statements. An `if` whose condition becomes constant is replaced by the branch taken. */
export function mapStmts(stmts: readonly Stmt[], m: StmtMapper): Stmt[] {
  const x = m.expr ?? ((e: Expr) => e);
  const b = m.bind ?? ((v: VarExpr) => v);
  // What does not change stays the same object: most statements, in most walks.
  const rebuilt = (s: Stmt): Stmt | readonly Stmt[] => {
    switch (s.kind) {
      case 'for':
        return { ...s, v: b(s.v), begin: x(s.begin), end: x(s.end), body: mapStmts(s.body, m) };
      case 'if':
        return ifThen(x(s.cond), mapStmts(s.then, m), mapStmts(s.else, m));
      case 'while':
        return { ...s, cond: x(s.cond), body: mapStmts(s.body, m) };
      case 'let':
      case 'assign': {
        const [v, value] = [b(s.v), x(s.value)];
        return v === s.v && value === s.value ? s : { kind: s.kind, v, value };
      }
      case 'mutable': {
        const [v, init] = [b(s.v), x(s.init)];
        return v === s.v && init === s.init ? s : { kind: 'mutable', v, init };
      }
      case 'store': {
        const [index, value] = [x(s.index), x(s.value)];
        return index === s.index && value === s.value ? s : { kind: 'store', memory: s.memory, index, value };
      }
      case 'barrier':
      case 'comment':
        return s;
    }
  };
  const out: Stmt[] = [];
  const take = (s: Stmt): void => {
    if (m.stmt) for (const t of m.stmt(s)) out.push(t);
    else out.push(s);
  };
  for (const s of stmts) {
    const r = rebuilt(s);
    if (isList(r)) r.forEach(take);
    else take(r);
  }
  return out;
}

const isList = (s: Stmt | readonly Stmt[]): s is readonly Stmt[] => Array.isArray(s);

/** Maps every node of every expression. */
export function mapExprs(stmts: readonly Stmt[], f: (e: Expr) => Expr): Stmt[] {
  const memo = new Map<Expr, Expr>();
  return mapStmts(stmts, { expr: (e) => mapExpr(e, f, memo) });
}

/** Replaces expressions (usually variables) in all expressions of the statements; variables that the statements bind must not be among them. */
export function substituteStmts(stmts: readonly Stmt[], map: ReadonlyMap<Expr, Expr>): Stmt[] {
  const memo = new Map<Expr, Expr>();
  return mapStmts(stmts, { expr: (e) => substitute(e, map, memo) });
}

/** Every statement, outer before inner. */
export function visitStmts(stmts: readonly Stmt[], f: (s: Stmt) => void): void {
  for (const s of stmts) {
    f(s);
    for (const b of blocksOf(s)) visitStmts(b, f);
  }
}

/** Every distinct expression node of the statements, arguments first. */
export function visitExprs(stmts: readonly Stmt[], f: (e: Expr) => void): void {
  const seen = new Set<Expr>();
  const go = (e: Expr): void => {
    if (seen.has(e)) return;
    seen.add(e);
    e.args.forEach(go);
    f(e);
  };
  visitStmts(stmts, (s) => exprsOf(s).forEach(go));
}

const variableOf = (s: Stmt): VarExpr | null => (s.kind === 'for' || s.kind === 'let' || s.kind === 'mutable' ? s.v : null);

/** Variables bound by the statements (loop variables, lets, mutables), at any depth. */
export function boundVars(stmts: readonly Stmt[]): Set<VarExpr> {
  const out = new Set<VarExpr>();
  visitStmts(stmts, (s) => {
    const v = variableOf(s);
    if (v) out.add(v);
  });
  return out;
}

/** Variables that the statements read or assign and do not bind. */
export function freeVars(stmts: readonly Stmt[]): Set<VarExpr> {
  const bound = boundVars(stmts);
  const out = new Set<VarExpr>();
  visitStmts(stmts, (s) => {
    for (const e of exprsOf(s)) for (const v of varsOf(e)) if (!bound.has(v)) out.add(v);
    if (s.kind === 'assign' && !bound.has(s.v)) out.add(s.v);
  });
  return out;
}

/** What running the statements may change. */
export interface Effects {
  readonly assigned: ReadonlySet<VarExpr>;
  readonly stored: ReadonlySet<Memory>;
  readonly barrier: boolean;
}

export function effectsOf(stmts: readonly Stmt[]): Effects {
  const assigned = new Set<VarExpr>();
  const stored = new Set<Memory>();
  let barrier = false;
  visitStmts(stmts, (s) => {
    if (s.kind === 'assign' || s.kind === 'mutable') assigned.add(s.v);
    else if (s.kind === 'store') stored.add(s.memory);
    else if (s.kind === 'barrier') barrier = true;
  });
  return { assigned, stored, barrier };
}

const none: ReadonlySet<LoadExpr> = new Set();
/** The loads inside an expression. */
export function loadsOf(e: Expr): ReadonlySet<LoadExpr> {
  if (!e.loads) {
    let out: ReadonlySet<LoadExpr> = none;
    for (const a of e.args) {
      const part = loadsOf(a);
      if (part.size > 0 && part !== out) out = out.size === 0 ? part : new Set([...out, ...part]);
    }
    e.loads = e.kind === 'load' ? new Set([...out, e]) : out;
  }
  return e.loads;
}

/** The name of a variable without the number that makes it unique. */
export const hintOf = (v: VarExpr): string => v.name.replace(/_\d+$/, '');
/** A new variable like `v`. */
export const freshVar = (v: VarExpr): VarExpr => variable(hintOf(v), v.role, v.scalar, [v.lo, v.hi], v.lanes);

/** A copy of a block in which everything it binds has new names, so that it can stand beside the original. */
export function renameBound(stmts: readonly Stmt[], also: ReadonlyMap<Expr, Expr> = new Map()): Stmt[] {
  const names = new Map<VarExpr, VarExpr>();
  for (const v of boundVars(stmts)) names.set(v, freshVar(v));
  const map = new Map<Expr, Expr>([...names, ...also]);
  const memo = new Map<Expr, Expr>();
  return mapStmts(stmts, { expr: (e) => substitute(e, map, memo), bind: (v) => names.get(v) ?? v });
}

/** Iterations of a loop, or null when they are not constant. */
export function tripCount(s: ForStmt): number | null {
  const span = sub(s.end, s.begin);
  return span.kind === 'const' ? Math.max(0, Math.ceil(span.value / s.step)) : null;
}

export interface Work {
  /** Floating-point operations; a multiply-add is two, a transcendental function is one. */
  flops: number;
  /** Elements loaded and stored, by memory. */
  readonly loads: Map<Memory, number>;
  readonly stores: Map<Memory, number>;
}

/**
 * Work of one thread, counted statically: each distinct expression of a statement once, loops by their trip count (the largest possible where it is not constant; once where
 * that is unknown), both sides of an `if`.
 */
export function countWork(body: readonly Stmt[] | Kernel): Work {
  const w: Work = { flops: 0, loads: new Map(), stores: new Map() };
  const bump = (m: Map<Memory, number>, memory: Memory, n: number): void => void m.set(memory, (m.get(memory) ?? 0) + n);
  const go = (stmts: readonly Stmt[], times: number): void => {
    for (const s of stmts) {
      const seen = new Set<Expr>();
      const count = (e: Expr): void => {
        if (seen.has(e)) return;
        seen.add(e);
        e.args.forEach(count);
        if (e.kind === 'load') bump(w.loads, e.memory, e.lanes * times);
        else if (isFloatScalar(e.scalar) && (e.kind === 'unary' || e.kind === 'binary')) w.flops += e.lanes * times;
        else if (e.kind === 'mad') w.flops += 2 * e.lanes * times;
      };
      exprsOf(s).forEach(count);
      if (s.kind === 'store') bump(w.stores, s.memory, s.value.lanes * times);
      let inner = times;
      if (s.kind === 'for') {
        const most = Math.max(0, Math.ceil(sub(s.end, s.begin).hi / s.step));
        inner = times * (Number.isFinite(most) ? most : 1);
      }
      for (const b of blocksOf(s)) go(b, inner);
    }
  };
  go('body' in body ? body.body : body, 1);
  return w;
}
