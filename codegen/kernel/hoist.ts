/**
 * Common subexpressions and loop-invariant code motion.
 *
 * Pass 1 walks the program with a stack of scopes (blocks). Every non-trivial expression becomes a `let`, keyed by its value: in the outermost scope, just outside a loop, to
 * which it can move, else before the statement that asks first. Whatever is evaluated again while that `let` holds refers to it. An expression can leave a scope when its variables
 * exist outside, nothing in the scope assigns or stores what it reads, and it cannot fault where it would not have run: loads need to run in any case or have an index
 * in range. Reads of mutable variables and written memory are forgotten at assignments, stores and barriers. Sums of indices are built from the outermost invariant part inwards, the
 * constant last: i*K + k with k innermost becomes row = i*K outside and row + k inside.
 * Pass 2 puts lets back that are used once and left no loop, so that only what is shared or moved keeps a name.
 */
import { add, constant, type Expr, isInt, isWideInt, type Linear, linear, mul, sub, substitute, type VarExpr, variable, varsOf, withArgs } from './expr.js';
import { blocksOf, exprsOf, type Kernel, type Memory, type Stmt } from './ir.js';
import { type Effects, effectsOf, hintOf, loadsOf, mapExpr, mapStmts, visitStmts } from './walk.js';

export interface HoistOptions {
  /** Loads out of range are harmless (WebGPU clamps them): they may move out of branches and loops that run zero times. */
  readonly safeLoads?: boolean;
  /** Memories that are views of one: stores to one are seen by loads of another. */
  readonly aliases?: ReadonlyMap<Memory, Memory>;
}

export function hoist(kernel: Kernel, options: HoistOptions = {}): Kernel {
  return { ...kernel, body: new Hoister(kernel.body, options).run() };
}

interface Scope {
  readonly loop: boolean;
  /** Runs whenever its parent reaches it. */
  readonly certain: boolean;
  readonly effects: Effects;
  readonly out: Stmt[];
  /** Values that are at hand: an expression and what to use for it. */
  readonly known: Map<Expr, Expr>;
  /** Keys of `known` that read mutable variables or written memory. */
  readonly volatile: Set<Expr>;
}

const nothing: Effects = { assigned: new Set(), stored: new Set(), barrier: false };

const isSum = (e: Expr): Linear | null => {
  if (e.kind !== 'binary' || e.scalar !== 'i32' || e.lanes !== 1) return null;
  const l = linear(e);
  return l.terms.size === 1 && l.terms.get(e) === 1 ? null : l;
};

/** Costs nothing, or an addressing mode takes it: not worth a name. */
function isTrivial(e: Expr): boolean {
  if (e.kind === 'const' || e.kind === 'var') return true;
  if (e.kind === 'extract') return isTrivial(e.args[0]!);
  if (e.kind === 'splat' || e.kind === 'vector') return e.args.every((a) => a.kind === 'const');
  if (e.kind === 'compare') return e.args.every((a) => a.kind === 'const' || a.kind === 'var');
  const l = isSum(e);
  return l !== null && l.terms.size <= 1 && [...l.terms].every(([x, c]) => c === 1 && x.kind === 'var');
}

class Hoister {
  private readonly scopes: Scope[] = [];
  private readonly depths = new Map<VarExpr, number>();
  private readonly written = new Set<Memory>();
  private readonly hints = new Map<Expr, string>();
  /** Lets of the input with what stands for them. */
  private readonly replaced = new Map<Expr, Expr>();
  /** Lets that pass 2 may put back. */
  private readonly candidates = new Set<VarExpr>();
  /** Scope in which no `let` can be placed now: that of a `while`, for its condition. */
  private blocked = -1;

  constructor(
    private readonly body: readonly Stmt[],
    private readonly options: HoistOptions,
  ) {
    visitStmts(body, (s) => {
      if (s.kind === 'store') this.written.add(this.root(s.memory));
    });
  }

  run(): Stmt[] {
    const scope = this.block(inlineIndexLets(this.body, this.hints), { loop: false, certain: true, effects: nothing });
    return putBack(scope, this.candidates);
  }

  private root(m: Memory): Memory {
    return this.options.aliases?.get(m) ?? m;
  }

  private block(stmts: readonly Stmt[], about: Pick<Scope, 'loop' | 'certain' | 'effects'>, loopVar?: VarExpr): Stmt[] {
    const scope: Scope = { ...about, out: [], known: new Map(), volatile: new Set() };
    this.scopes.push(scope);
    if (loopVar) this.depths.set(loopVar, this.depth);
    for (const s of stmts) this.statement(s, scope.out);
    this.scopes.pop();
    return scope.out;
  }

  private get depth(): number {
    return this.scopes.length - 1;
  }

  private statement(s: Stmt, out: Stmt[]): void {
    switch (s.kind) {
      case 'comment':
        out.push(s);
        return;
      case 'barrier':
        out.push(s);
        this.forget({ assigned: new Set(), stored: new Set(), barrier: true });
        return;
      case 'let': {
        if (!isTrivial(s.value)) this.hints.set(s.value, hintOf(s.v));
        const value = this.place(s.value);
        if (this.isVolatile(value)) {
          // It reads something that changes: it stays here, under its own name.
          out.push({ ...s, value });
          this.depths.set(s.v, this.depth);
          return;
        }
        this.replaced.set(s.v, value);
        if (value.kind === 'var' && (loadsOf(s.value).size > 0 || this.isVolatile(s.value))) this.candidates.delete(value);
        return;
      }
      case 'mutable': {
        const init = this.place(s.init, true);
        this.depths.set(s.v, this.depth);
        out.push({ ...s, init });
        this.forget({ assigned: new Set([s.v]), stored: new Set(), barrier: false });
        return;
      }
      case 'assign': {
        out.push({ ...s, value: this.place(s.value, true) });
        this.forget({ assigned: new Set([s.v]), stored: new Set(), barrier: false });
        return;
      }
      case 'store': {
        const index = this.place(s.index);
        out.push({ ...s, index, value: this.place(s.value, true) });
        this.forget({ assigned: new Set(), stored: new Set([s.memory]), barrier: false });
        return;
      }
      case 'for': {
        const begin = this.place(s.begin);
        const end = this.place(s.end);
        const effects = effectsOf(s.body);
        this.forget(effects);
        const certain = sub(s.end, s.begin).lo >= 1;
        out.push({ ...s, begin, end, body: this.block(s.body, { loop: true, certain, effects }, s.v) });
        this.forget(effects);
        return;
      }
      case 'while': {
        const effects = effectsOf(s.body);
        this.forget(effects);
        const cond = this.conditionOf(s.cond, effects);
        out.push({ ...s, cond, body: this.block(s.body, { loop: true, certain: false, effects }) });
        this.forget(effects);
        return;
      }
      case 'if': {
        const cond = this.place(s.cond);
        const [then, otherwise] = [s.then, s.else].map((b) => this.block(b, { loop: false, certain: false, effects: effectsOf(b) }));
        out.push({ ...s, cond, then: then!, else: otherwise! });
        return;
      }
    }
  }

  /** A condition that is evaluated again and again: invariant parts move out, the rest stays in place. */
  private conditionOf(cond: Expr, effects: Effects): Expr {
    this.scopes.push({ loop: true, certain: true, effects, out: [], known: new Map(), volatile: new Set() });
    const outer = this.blocked;
    this.blocked = this.depth;
    const out = this.place(cond);
    this.blocked = outer;
    this.scopes.pop();
    return out;
  }

  private isVolatile(e: Expr): boolean {
    for (const v of varsOf(e)) if (v.role === 'mutable') return true;
    for (const l of loadsOf(e)) if (this.written.has(this.root(l.memory))) return true;
    return false;
  }

  private touches(e: Expr, effects: Effects): boolean {
    for (const v of varsOf(e)) if (effects.assigned.has(v)) return true;
    for (const l of loadsOf(e)) {
      const m = this.root(l.memory);
      if (!this.written.has(m)) continue;
      if (effects.barrier) return true;
      for (const s of effects.stored) if (this.root(s) === m) return true;
    }
    return false;
  }

  private forget(effects: Effects): void {
    for (const scope of this.scopes) {
      for (const e of scope.volatile) {
        if (!this.touches(e, effects)) continue;
        scope.known.delete(e);
        scope.volatile.delete(e);
      }
    }
  }

  private know(depth: number, e: Expr, result: Expr): void {
    const scope = this.scopes[depth]!;
    scope.known.set(e, result);
    if (this.isVolatile(e)) scope.volatile.add(e);
  }

  private recall(e: Expr): Expr | undefined {
    for (let d = this.depth; d >= 0; d--) {
      const found = this.scopes[d]!.known.get(e);
      if (found) return found;
    }
    return undefined;
  }

  /** The expression to use for `e` in the current statement. `root`: it is all that the statement stores, so that it needs no name for its own sake. */
  private place(e: Expr, root = false): Expr {
    if (e.kind === 'const') return e;
    if (e.kind === 'var') return this.replaced.get(e) ?? e;
    const found = this.recall(e);
    if (found) return found;
    const sum = isSum(e);
    const rebuilt = sum
      ? this.placeSum(sum)
      : withArgs(
          e,
          e.args.map((a) => this.place(a)),
        );
    const result = this.name(rebuilt, e, root);
    if (!root || result.kind === 'var') this.know(this.depth, e, result);
    return result;
  }

  /** Adds up the terms from those of the outermost home inwards. */
  private placeSum(l: Linear): Expr {
    const groups = new Map<number, Expr>();
    for (const [x, c] of l.terms) {
      const term = mul(this.place(x), constant(c));
      const home = this.home(term);
      const old = groups.get(home);
      groups.set(home, old ? add(old, term) : term);
    }
    const sums = [...groups].sort(([a], [b]) => a - b).map(([, g]) => g);
    let acc = sums[0]!;
    for (const g of sums.slice(1)) acc = add(this.name(acc, acc, false), g);
    return l.constant === 0 ? acc : add(this.name(acc, acc, false), constant(l.constant));
  }

  /** Outermost depth, just outside a loop, to which `e` can move; the current depth when it can leave no loop. */
  private home(e: Expr): number {
    let best = this.depth;
    for (let d = this.depth; d > 0 && this.canLeave(e, d); d--) if (this.scopes[d]!.loop) best = d - 1;
    return best;
  }

  private canLeave(e: Expr, d: number): boolean {
    const scope = this.scopes[d]!;
    for (const v of varsOf(e)) if ((this.depths.get(v) ?? 0) >= d) return false;
    return !this.touches(e, scope.effects) && (scope.certain || !this.mayFault(e));
  }

  private mayFault(e: Expr): boolean {
    if (e.kind === 'load') {
      const i = e.args[0]!;
      if (!this.options.safeLoads && !(i.lo >= 0 && i.hi + e.lanes <= e.memory.size)) return true;
    }
    if (e.kind === 'binary' && (e.fn === 'div' || e.fn === 'rem') && (isInt(e.scalar) || isWideInt(e.scalar)) && !(e.args[1]!.lo > 0)) return true;
    return e.args.some((a) => this.mayFault(a));
  }

  /** Gives `e`, whose parts are placed, a name where it may be worth one. `from`: what it was in the input. */
  private name(e: Expr, from: Expr, root: boolean): Expr {
    if (isTrivial(e)) return e;
    const found = this.recall(e);
    if (found) return found;
    const sum = isSum(e);
    // The constant of a sum stays outside: it is free in an address.
    if (sum && sum.constant !== 0) return add(this.name(add(e, constant(-sum.constant)), from, false), constant(sum.constant));
    const home = this.home(e);
    if (home === this.depth && (home === this.blocked || e.kind === 'splat' || (root && this.isVolatile(e)))) return e;
    const v = variable(this.hints.get(from) ?? this.hints.get(e) ?? defaultHint(e), 'let', e.scalar, [e.lo, e.hi], e.lanes);
    this.scopes[home]!.out.push({ kind: 'let', v, value: e });
    this.depths.set(v, home);
    this.candidates.add(v);
    this.know(home, e, v);
    return v;
  }
}

const defaultHint = (e: Expr): string =>
  e.kind === 'load' ? `${e.memory.name}_` : e.scalar === 'bool' ? 'c' : isInt(e.scalar) ? (isSum(e) ? 'at' : 'n') : 't';

/** Replaces lets of pure integer scalars by their values, so that index arithmetic is seen as a whole. */
export function inlineIndexLets(stmts: readonly Stmt[], hints: Map<Expr, string> = new Map()): Stmt[] {
  const values = new Map<Expr, Expr>();
  const memo = new Map<Expr, Expr>();
  const inlined = (e: Expr): Expr => mapExpr(e, (x) => values.get(x) ?? x, memo);
  return mapStmts(stmts, {
    expr: inlined,
    stmt: (s) => {
      if (s.kind !== 'let' || s.v.scalar !== 'i32' || s.v.lanes !== 1 || loadsOf(s.value).size > 0 || [...varsOf(s.value)].some((v) => v.role === 'mutable'))
        return [s];
      values.set(s.v, s.value);
      if (!isTrivial(s.value)) hints.set(s.value, hintOf(s.v));
      return [];
    },
  });
}

/** Pass 2: substitutes candidates that are used once, in the loop where they are bound, or not worth a name. */
function putBack(stmts: readonly Stmt[], candidates: ReadonlySet<VarExpr>): Stmt[] {
  const boundIn = new Map<VarExpr, Stmt | null>();
  const uses = new Map<VarExpr, number>();
  const values = new Map<VarExpr, Expr>();
  const count = (list: readonly Stmt[], loop: Stmt | null): void => {
    for (const s of list) {
      if (s.kind === 'let' && candidates.has(s.v)) {
        boundIn.set(s.v, loop);
        values.set(s.v, s.value);
      }
      const go = (e: Expr, where: Stmt | null): void => {
        if (e.kind === 'var') {
          if (values.has(e)) uses.set(e, (uses.get(e) ?? 0) + (boundIn.get(e) === where ? 1 : 2));
        } else for (const a of e.args) go(a, where);
      };
      for (const e of exprsOf(s)) go(e, s.kind === 'while' ? s : loop);
      for (const b of blocksOf(s)) count(b, s.kind === 'for' || s.kind === 'while' ? s : loop);
    }
  };
  count(stmts, null);
  const map = new Map<Expr, Expr>();
  for (const [v, value] of values) {
    const n = uses.get(v) ?? 0;
    if (n <= 1) map.set(v, substitute(value, map));
  }
  const memo = new Map<Expr, Expr>();
  return mapStmts(stmts, { expr: (e) => substitute(e, map, memo), stmt: (s) => (s.kind === 'let' && map.has(s.v) ? [] : [s]) });
}
