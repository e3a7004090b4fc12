/**
 * Repeats the bodies of loops marked `unroll`, with the loop variable replaced by constants, and turns private arrays whose indices are then all constant into mutable
 * variables, which live in registers on every target.
 */
import { constant, type Expr, extract, type Lanes, type VarExpr, variable, varsOf, vector } from './expr.js';
import { type Kernel, type Memory, mutable, type Stmt } from './ir.js';
import { freeVars, mapExpr, mapStmts, renameBound, substituteStmts, tripCount, visitExprs, visitStmts } from './walk.js';

/** Inner loops first. A loop whose trip count is not constant keeps its mark and stays. */
export function unrollLoops(kernel: Kernel): Kernel {
  return { ...kernel, body: unrolled(kernel.body) };
}

function unrolled(stmts: readonly Stmt[]): Stmt[] {
  return mapStmts(stmts, {
    stmt: (s) => {
      if (s.kind !== 'for' || !s.unroll || s.begin.kind !== 'const') return [s];
      const n = tripCount(s);
      if (n === null) return [s];
      const first = s.begin.value;
      return Array.from({ length: n }, (_, i) => {
        const at = new Map<Expr, Expr>([[s.v, constant(first + i * s.step)]]);
        return i === 0 ? substituteStmts(s.body, at) : renameBound(s.body, at);
      }).flat();
    },
  });
}

/** Private arrays that are only accessed at constant indices become variables: one for each element, or for each group of 2 or 4 when all accesses are such groups. */
export function promotePrivate(kernel: Kernel): Kernel {
  const widths = new Map<Memory, Lanes | null>();
  const see = (m: Memory, index: Expr, lanes: Lanes): void => {
    if (m.space !== 'private') return;
    const fits = index.kind === 'const' && index.value % lanes === 0 && index.value >= 0 && index.value + lanes <= m.size;
    const old = widths.get(m);
    if (index.kind !== 'const' || old === null) widths.set(m, null);
    else widths.set(m, fits && (old === undefined || old === lanes) ? lanes : 1);
  };
  visitExprs(kernel.body, (e) => {
    if (e.kind === 'load') see(e.memory, e.args[0]!, e.lanes);
  });
  visitStmts(kernel.body, (s) => {
    if (s.kind === 'store') see(s.memory, s.index, s.value.lanes);
  });
  const parts = new Map<Memory, { width: Lanes; vars: VarExpr[] }>();
  for (const m of kernel.locals) {
    const width = widths.get(m);
    if (!width || m.size > 1024) continue;
    parts.set(m, {
      width,
      vars: Array.from({ length: Math.ceil(m.size / width) }, (_, i) => variable(`${m.name}${i}`, 'mutable', m.scalar, undefined, width)),
    });
  }
  if (parts.size === 0) return kernel;
  const memo = new Map<Expr, Expr>();
  const lanesFrom = (p: { width: Lanes; vars: VarExpr[] }, index: Expr, lanes: Lanes): Expr[] => {
    const at = index.kind === 'const' ? index.value : 0;
    return p.width === lanes ? [p.vars[at / lanes]!] : Array.from({ length: lanes }, (_, l) => p.vars[at + l]!);
  };
  const replace = (e: Expr): Expr => {
    const p = e.kind === 'load' ? parts.get(e.memory) : undefined;
    if (!p || e.kind !== 'load') return e;
    const xs = lanesFrom(p, e.args[0]!, e.lanes);
    return xs.length === 1 ? xs[0]! : vector(xs);
  };
  const body = mapStmts(kernel.body, {
    expr: (e) => mapExpr(e, replace, memo),
    stmt: (s) => {
      const p = s.kind === 'store' ? parts.get(s.memory) : undefined;
      if (!p || s.kind !== 'store') return [s];
      const xs = lanesFrom(p, s.index, s.value.lanes);
      if (xs.length === 1) return [{ kind: 'assign', v: xs[0] as VarExpr, value: s.value }];
      // The value may read what is assigned: all lanes are taken first.
      const whole = variable('v', 'let', s.value.scalar, undefined, s.value.lanes);
      return [{ kind: 'let', v: whole, value: s.value }, ...xs.map((x, l): Stmt => ({ kind: 'assign', v: x as VarExpr, value: extract(whole, l) }))];
    },
  });
  return {
    ...kernel,
    locals: kernel.locals.filter((m) => !parts.has(m)),
    body: declare(
      [...parts.values()].flatMap((p) => p.vars),
      body,
    ),
  };
}

/** Declares each variable where the top level first assigns it, if nothing reads it before, else at the start. Variables that nothing mentions vanish. */
function declare(vars: readonly VarExpr[], body: readonly Stmt[]): Stmt[] {
  const open = new Set(vars);
  const early: Stmt[] = [];
  const out: Stmt[] = [];
  for (const s of body) {
    const mentioned = freeVars([s]);
    if (s.kind === 'assign' && open.has(s.v) && !varsOf(s.value).has(s.v)) {
      open.delete(s.v);
      mentioned.delete(s.v);
      out.push(mutable(s.v, s.value));
    } else out.push(s);
    for (const v of mentioned) if (open.delete(v)) early.push(mutable(v, constant(0, v.scalar, v.lanes)));
  }
  return [...early, ...out];
}
