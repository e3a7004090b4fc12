/**
 * Widens loops to vectors of 4 lanes (SIMD on WASM).
 *
 * A loop over v from begin to end becomes a loop over q with v = begin + 4*q + lane, and a scalar loop for the rest (none where the trip count is a multiple of 4). Indices are
 * compared lane by lane: four equal ones make a splat, four consecutive ones a 4-lane load or store, others four scalar accesses. Arithmetic, select, compare and cast are
 * lane-wise; integer division is done per lane and assembled. Loops marked `parallel` qualify, and reductions: innermost loops that store nothing and only combine values into
 * variables from outside (acc = acc op e). Those get a vector of partial results, combined after the loop; so sums are also more accurate.
 */
import {
  add,
  type BinaryFn,
  binary,
  constant,
  div,
  type Expr,
  extract,
  i32,
  isFloatScalar,
  isInt,
  isWideScalar,
  load,
  mul,
  type Scalar,
  splat,
  sub,
  substitute,
  type VarExpr,
  variable,
  varsOf,
  vector,
  withArgs,
} from './expr.js';
import { inlineIndexLets } from './hoist.js';
import { assign, blocksOf, exprsOf, type Kernel, mutable, type Stmt, store } from './ir.js';
import { effectsOf, type ForStmt, freeVars, hintOf, loadsOf, renameBound, tripCount, visitExprs, visitStmts } from './walk.js';

export interface VectorizeOptions {
  readonly width: 2 | 4;
}

/** Vectorizes every loop that allows it, inner loops first. */
export function vectorizeLoops(kernel: Kernel, options: VectorizeOptions = { width: 4 }): Kernel {
  return { ...kernel, body: vectorizeBlock(kernel.body, options.width) };
}

const hasLoop = (stmts: readonly Stmt[], which: (s: Stmt) => boolean): boolean => stmts.some((s) => which(s) || blocksOf(s).some((b) => hasLoop(b, which)));

function vectorizeBlock(stmts: readonly Stmt[], width: 2 | 4): Stmt[] {
  return stmts.flatMap((s): Stmt[] => {
    if (s.kind === 'for') {
      const innermost = s.parallel
        ? !hasLoop(s.body, (t) => t.kind === 'for' && t.parallel === true)
        : !hasLoop(s.body, (t) => t.kind === 'for' || t.kind === 'while');
      const wide = innermost ? vectorizeFor(s, width) : null;
      return wide ?? [{ ...s, body: vectorizeBlock(s.body, width) }];
    }
    if (s.kind === 'while') return [{ ...s, body: vectorizeBlock(s.body, width) }];
    if (s.kind === 'if') return [{ ...s, then: vectorizeBlock(s.then, width), else: vectorizeBlock(s.else, width) }];
    return [s];
  });
}

/** Scalars of 8 bytes have no vectors. */
function hasWideScalars(body: readonly Stmt[]): boolean {
  let found = false;
  visitExprs(body, (e) => {
    if (isWideScalar(e.scalar)) found = true;
  });
  return found;
}

/** A loop as a vector loop and a scalar rest; null when it is not possible or does not pay. */
export function vectorizeFor(s: ForStmt, width: 2 | 4): Stmt[] | null {
  const trips = tripCount(s);
  if (hasWideScalars(s.body)) return null;
  if (s.step !== 1 || (trips !== null && trips < width)) return null;
  const span = sub(s.end, s.begin);
  const count = div(span, i32(width));
  /** A loop over `vectors` times `ways` vectors from `from` on, each way with accumulators of its own. */
  const loop = (from: Expr, vectors: Expr, ways: number): { main: Stmt; parts: Widened[] } | null => {
    const q = variable(hintOf(s.v), 'loop', 'i32', [0, Math.max(0, vectors.hi - 1)]);
    const parts: Widened[] = [];
    for (let w = 0; w < ways; w++) {
      const part = vectorize(s.body, s.v, width, add(add(from, mul(q, i32(width * ways))), i32(w * width)), s.parallel === true);
      if (!part) return null;
      parts.push(part);
    }
    return { main: { kind: 'for', v: q, begin: i32(0), end: vectors, step: 1, body: parts.flatMap((p) => p.body) }, parts };
  };
  const loops: { main: Stmt; parts: Widened[] }[] = [];
  const single = loop(s.begin, count, 1);
  if (!single) return null;
  if (isLightReduction(s, single.parts[0]!)) {
    const fours = div(count, i32(4));
    const done = mul(fours, i32(4));
    const main = loop(s.begin, fours, 4);
    const left = sub(count, done);
    const rest = left === i32(0) ? null : loop(add(s.begin, mul(done, i32(width))), left, 1);
    loops.push(...[main, rest].flatMap((l) => l ?? []));
  } else loops.push(single);
  const parts = loops.flatMap((l) => l.parts);
  const before = parts.flatMap((p) => p.accumulators.map((a) => mutable(a.wide, constant(identity(a.fn, a.of.scalar), a.of.scalar, width))));
  const after = parts[0]!.accumulators.map(({ of, fn }, i) =>
    assign(
      of,
      binary(
        fn,
        of,
        horizontal(
          fn,
          combined(
            fn,
            parts.map((p) => p.accumulators[i]!.wide),
          ),
        ),
      ),
    ),
  );
  const rest = mul(count, i32(width));
  const tail: Stmt[] = sub(span, rest) === i32(0) ? [] : [{ ...s, parallel: undefined, begin: add(s.begin, rest) }];
  return [...before, ...loops.map((l) => l.main), ...after, ...tail];
}

/** A reduction over many elements that does little with each: it waits for its accumulators, so that four of them make it faster. */
function isLightReduction(s: ForStmt, w: Widened): boolean {
  if (s.parallel || w.accumulators.length === 0 || w.accumulators.length > 2 || sub(s.end, s.begin).hi < 64) return false;
  let nodes = 0;
  let plain = !hasLoop(s.body, (t) => t.kind !== 'let' && t.kind !== 'assign');
  visitExprs(s.body, (e) => {
    if (isFloatScalar(e.scalar)) nodes++;
    if ((e.kind === 'unary' || e.kind === 'binary') && costly.has(e.fn)) plain = false;
  });
  return plain && nodes <= 12;
}

/** Pairwise, so that few steps depend on each other. */
function combined(fn: ReduceFn, xs: readonly Expr[]): Expr {
  if (xs.length === 1) return xs[0]!;
  const half = Math.ceil(xs.length / 2);
  return binary(fn, combined(fn, xs.slice(0, half)), combined(fn, xs.slice(half)));
}

function horizontal(fn: ReduceFn, wide: Expr): Expr {
  const [a, b, c, d] = Array.from({ length: wide.lanes }, (_, l) => extract(wide, l)) as [Expr, Expr, Expr | undefined, Expr | undefined];
  return c && d ? binary(fn, binary(fn, a, c), binary(fn, b, d)) : binary(fn, a, b);
}

export interface Widened {
  readonly body: Stmt[];
  /** Variables from outside into which the loop combines values, with the vector that stands for each. */
  readonly accumulators: readonly { readonly of: VarExpr; readonly wide: VarExpr; readonly fn: ReduceFn }[];
}

/**
 * The body of a loop over `v`, done for `width` values of v from `start` on at once. `independent`: iterations do not see each other's stores. Returns null when that is not
 * possible or costs more than it gains. `vectors`: scalar variables of the body whose value in each lane is known as a vector.
 */
export function vectorize(
  body: readonly Stmt[],
  v: VarExpr,
  width: 2 | 4,
  start: Expr,
  independent: boolean,
  vectors: ReadonlyMap<VarExpr, VarExpr> = new Map(),
): Widened | null {
  const own = renameBound(inlineIndexLets(body));
  const effects = effectsOf(own);
  if (effects.barrier || (!independent && effects.stored.size > 0)) return null;
  const free = freeVars(own);
  const outer = [...effects.assigned].filter((x) => free.has(x));
  if (!independent && outer.length === 0) return null;
  const w = new Widener(v, width, start);
  for (const [of, wide] of vectors) w.vars.set(of, wide);
  const accumulators: { of: VarExpr; wide: VarExpr; fn: ReduceFn }[] = [];
  for (const acc of outer) {
    const fn = reductionOf(own, acc);
    if (!fn || acc.lanes !== 1) return null;
    const wide = variable(hintOf(acc), 'mutable', acc.scalar, undefined, width);
    w.vars.set(acc, wide);
    accumulators.push({ of: acc, wide, fn });
  }
  try {
    const wideBody = w.statements(own);
    return w.gain > 0 ? { body: wideBody, accumulators } : null;
  } catch (e) {
    if (e instanceof NotPossible) return null;
    throw e;
  }
}

class NotPossible extends Error {}

type ReduceFn = 'add' | 'mul' | 'min' | 'max';

function identity(fn: ReduceFn, s: Scalar): number {
  if (fn === 'add') return 0;
  if (fn === 'mul') return 1;
  const float = isFloatScalar(s);
  if (fn === 'min') return float ? Number.POSITIVE_INFINITY : s === 'u32' ? 4294967295 : 2147483647;
  return float ? Number.NEGATIVE_INFINITY : s === 'u32' ? 0 : -2147483648;
}

/** The operation by which all assignments to `acc` combine it with values that do not depend on it; null when there is another use of it. */
function reductionOf(stmts: readonly Stmt[], acc: VarExpr): ReduceFn | null {
  let fn: ReduceFn | null = null;
  let good = true;
  const uses = (e: Expr): boolean => varsOf(e).has(acc);
  const combine = (f: ReduceFn): void => {
    good &&= fn === null || fn === f;
    fn = f;
  };
  /** `e` is acc combined with other values. */
  const matches = (e: Expr): boolean => {
    if (e === acc) return true;
    if (e.kind === 'mad') {
      combine('add');
      return !uses(e.args[0]!) && !uses(e.args[1]!) && matches(e.args[2]!);
    }
    if (e.kind !== 'binary') return false;
    const [a, b] = e.args as readonly [Expr, Expr];
    if (e.fn === 'sub') {
      combine('add');
      return !uses(b) && matches(a);
    }
    if (e.fn !== 'add' && e.fn !== 'mul' && e.fn !== 'min' && e.fn !== 'max') return false;
    combine(e.fn);
    return uses(a) ? !uses(b) && matches(a) : matches(b);
  };
  visitStmts(stmts, (s) => {
    if (s.kind === 'assign' && s.v === acc) good &&= matches(s.value);
    else if (exprsOf(s).some(uses)) good = false;
  });
  return good ? fn : null;
}

/** Functions that are one instruction a lane at best and many where a target has to expand them. */
export const costly: ReadonlySet<string> = new Set([
  'exp',
  'expm1',
  'log',
  'log1p',
  'sin',
  'cos',
  'tan',
  'asin',
  'acos',
  'atan',
  'sinh',
  'cosh',
  'tanh',
  'asinh',
  'acosh',
  'atanh',
  'sigmoid',
  'erf',
  'pow',
  'atan2',
]);

class Widener {
  /** Scalar variables with their vector. */
  readonly vars = new Map<VarExpr, VarExpr>();
  /** Instructions saved, roughly. */
  gain = 0;
  private readonly memo = new Map<Expr, Expr>();
  private readonly laneMaps: { map: Map<Expr, Expr>; memo: Map<Expr, Expr> }[];

  constructor(
    private readonly v: VarExpr,
    private readonly width: 2 | 4,
    start: Expr,
  ) {
    this.laneMaps = Array.from({ length: width }, (_, l) => ({ map: new Map([[v, add(start, i32(l))]]), memo: new Map() }));
  }

  statements(stmts: readonly Stmt[]): Stmt[] {
    return stmts.flatMap((s) => this.statement(s));
  }

  private statement(s: Stmt): Stmt[] {
    switch (s.kind) {
      case 'comment':
        return [s];
      case 'let': {
        if (s.v.lanes !== 1) throw new NotPossible();
        if (!this.varies(s.value)) return [s];
        const wide = variable(hintOf(s.v), 'let', s.v.scalar, undefined, this.width);
        const value = this.widen(s.value);
        this.vars.set(s.v, wide);
        return [{ kind: 'let', v: wide, value }];
      }
      case 'mutable': {
        if (s.v.lanes !== 1) throw new NotPossible();
        const wide = variable(hintOf(s.v), 'mutable', s.v.scalar, undefined, this.width);
        const init = this.widen(s.init);
        this.vars.set(s.v, wide);
        return [mutable(wide, init)];
      }
      case 'assign': {
        const wide = this.vars.get(s.v);
        if (!wide) throw new NotPossible();
        // Widened expressions that read it must be built anew only by name: the vector variable is the same, so that the memo stays right.
        return [assign(wide, this.widen(s.value))];
      }
      case 'store':
        return this.store(s);
      case 'for': {
        if (this.varies(s.begin) || this.varies(s.end)) throw new NotPossible();
        return [{ ...s, parallel: undefined, body: this.statements(s.body) }];
      }
      case 'if': {
        if (this.varies(s.cond)) throw new NotPossible();
        return [{ ...s, then: this.statements(s.then), else: this.statements(s.else) }];
      }
      case 'while':
      case 'barrier':
        throw new NotPossible();
    }
  }

  private store(s: Extract<Stmt, { kind: 'store' }>): Stmt[] {
    if (s.value.lanes !== 1) throw new NotPossible();
    const value = this.widen(s.value);
    const at = this.indices(s.index);
    if (at.step === 1) {
      this.gain += this.width - 1;
      return [store(s.memory, at.lanes[0]!, value)];
    }
    if (at.step === 0) throw new NotPossible();
    this.gain -= this.width;
    const whole = variable('v', 'let', value.scalar, undefined, this.width);
    return [{ kind: 'let', v: whole, value }, ...at.lanes.map((i, l) => store(s.memory, i, extract(whole, l)))];
  }

  private varies(e: Expr): boolean {
    for (const x of varsOf(e)) if (x === this.v || this.vars.has(x)) return true;
    return false;
  }

  /** Depends on the loop variable through index arithmetic alone, so that each lane's value is an expression of its own. */
  private perLane(e: Expr): boolean {
    if (loadsOf(e).size > 0) return false;
    for (const x of varsOf(e)) if (this.vars.has(x)) return false;
    return true;
  }

  private lanesOf(e: Expr): Expr[] {
    return this.laneMaps.map(({ map, memo }) => substitute(e, map, memo));
  }

  /** The index of each lane, and the constant difference from lane to lane where there is one. */
  private indices(e: Expr): { lanes: Expr[]; step: number | null } {
    if (!this.varies(e)) return { lanes: this.laneMaps.map(() => e), step: 0 };
    if (!this.perLane(e)) {
      const wide = this.widen(e);
      return { lanes: this.laneMaps.map((_, l) => extract(wide, l)), step: null };
    }
    const lanes = this.lanesOf(e);
    return { lanes, step: stepOf(lanes) };
  }

  widen(e: Expr): Expr {
    if (e.lanes !== 1) throw new NotPossible();
    if (!this.varies(e)) return splat(e, this.width);
    if (e.kind === 'var') {
      const wide = this.vars.get(e);
      if (wide) return wide;
    }
    const done = this.memo.get(e);
    if (done) return done;
    const out = this.widenNode(e);
    this.memo.set(e, out);
    return out;
  }

  private widenNode(e: Expr): Expr {
    const { width } = this;
    if (e.kind === 'load') {
      const at = this.indices(e.args[0]!);
      if (at.step === 0) return splat(load(e.memory, at.lanes[0]!), width);
      if (at.step === 1) {
        this.gain += width - 1;
        return load(e.memory, at.lanes[0]!, width);
      }
      this.gain -= width;
      return vector(at.lanes.map((i) => load(e.memory, i)));
    }
    if (e.scalar === 'i32' && this.perLane(e)) {
      const lanes = this.lanesOf(e);
      const step = stepOf(lanes);
      if (step === 0) return splat(lanes[0]!, width);
      if (step !== null) {
        const ramp = vector(lanes.map((_, l) => i32(step * l)));
        return binary('add', splat(lanes[0]!, width), ramp);
      }
      if (e.kind === 'var' || isDivision(e)) {
        this.gain -= width;
        return vector(lanes);
      }
    }
    if (e.kind === 'binary' && isInt(e.scalar) && isDivision(e)) {
      const [a, b] = e.args.map((x) => this.widen(x)) as [Expr, Expr];
      this.gain -= 2 * width;
      return vector(this.laneMaps.map((_, l) => binary(e.fn as BinaryFn, extract(a, l), extract(b, l))));
    }
    if (e.kind === 'unary' || e.kind === 'binary') this.gain += (costly.has(e.fn) ? 10 : 1) * (width - 1);
    else if (e.kind === 'mad') this.gain += 2 * (width - 1);
    else this.gain += width - 1;
    return withArgs(
      e,
      e.args.map((a) => this.widen(a)),
    );
  }
}

const isDivision = (e: Expr): boolean => e.kind === 'binary' && (e.fn === 'div' || e.fn === 'rem');

function stepOf(lanes: readonly Expr[]): number | null {
  const second = sub(lanes[1]!, lanes[0]!);
  if (second.kind !== 'const') return null;
  return lanes.every((x, l) => sub(x, lanes[0]!) === i32(second.value * l)) ? second.value : null;
}
