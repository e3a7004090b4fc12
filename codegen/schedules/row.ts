/**
 * row: reductions over the same axes of one domain, with what produces and consumes them. The reductions of one level (none depends on another) are computed in one
 * pass over the row; each later level, and each output over the whole domain that needs a finished reduction, takes another pass over the same row.
 *
 * Forms. rows: the last axis is reduced; a row is walked by one thread (WASM with four partial results; WebGPU for short rows: row in registers) or by a
 * workgroup that meets in workgroup memory (row in workgroup). columns: the last axis is kept; neighbouring columns are reduced side by side. Long reductions take two steps
 * (split-reduce.ts).
 */
import { InternalError } from '../../ir/errors.js';
import type { Node, Value } from '../../ir/graph.js';
import type { Region } from '../../passes/regions.js';
import { add, compare, type Expr, i32, load, max, min, mul, type Scalar, select, sub, type VarExpr, variable } from '../kernel/expr.js';
import { assign, barrier, forLoop, ifThen, letVar, type Memory, mutable, type Stmt, store, storeAll } from '../kernel/ir.js';
import { substituteStmts } from '../kernel/walk.js';
import { Frame, type LowerContext, type LoweredKernel } from '../lower/frame.js';
import { argStep, beats, combine, identityOf } from '../lower/reduction.js';
import { scalarOf } from '../lower/scalar.js';
import { type Axis, delinearize, exprSize, linearize, sizeCeilDiv, sizeMul } from '../lower/space.js';
import { rowColumns, rowColumnTiles, rowThread, rowWalk, rowWorkgroup } from '../schedule-families.js';
import { groupThreads, linearGrid, mergeAxes } from './grid.js';
import { axesOf } from './map.js';

/** What a row schedule needs of its surroundings: a frame, or a region inside a kernel of several. */
export type RowEnv = Pick<Frame, 'region' | 'em' | 'ctx' | 'memoryOf' | 'baseOf' | 'local' | 'dim'>;

export type Reduction = Extract<Node, { op: 'reduce' | 'arg_reduce' }>;

export interface RowPlan {
  readonly domain: readonly Axis[];
  readonly kept: readonly number[];
  readonly reduced: readonly number[];
  /** Reductions by level; level 0 needs none. */
  readonly levels: readonly Reduction[][];
  /** Outputs over the whole domain, by the number of levels that must be done before. */
  readonly full: readonly Value[][];
  /** Outputs per row. */
  readonly rowOutputs: readonly Value[];
}

const isReduction = (n: Node): n is Reduction => n.op === 'reduce' || n.op === 'arg_reduce';

export function planRow(f: RowEnv): RowPlan {
  const { region } = f;
  const hero = region.hero;
  if (!hero || !isReduction(hero)) throw new InternalError('a row region has no reduction');
  const shape = hero.inputs[0]!.shape;
  const reduced = hero.op === 'reduce' ? [...hero.attrs.axes] : [hero.attrs.axis];
  const kept = shape.map((_, i) => i).filter((i) => !reduced.includes(i));
  const memo = new Map<Value, number>();
  const inputs = new Set(region.inputs);
  /** Levels that must be finished before `v` can be computed. */
  const level = (v: Value): number => {
    const known = memo.get(v);
    if (known !== undefined) return known;
    let l = 0;
    if (!inputs.has(v) && v.producer) {
      for (const i of v.producer.inputs) l = Math.max(l, level(i));
      if (isReduction(v.producer) && region.nodes.includes(v.producer)) l += 1;
    }
    memo.set(v, l);
    return l;
  };
  const levels: Reduction[][] = [];
  for (const n of region.nodes) {
    if (!isReduction(n)) continue;
    const l = level(n.outputs[0]!) - 1;
    levels[l] = [...(levels[l] ?? []), n];
  }
  const full: Value[][] = Array.from({ length: levels.length + 1 }, () => []);
  const rowOutputs: Value[] = [];
  const isFull = (v: Value): boolean => v.shape.length === shape.length && v.shape.every((d, i) => String(d) === String(shape[i]));
  const rowsOnly = kept.length === shape.length;
  for (const v of region.outputs) {
    if (isFull(v) && !(v.producer && isReduction(v.producer)) && !rowsOnly && !isRowValue(v, region)) full[level(v)]!.push(v);
    else rowOutputs.push(v);
  }
  return { domain: axesOf(shape, f), kept, reduced, levels, full, rowOutputs };

  function isRowValue(v: Value, r: Region): boolean {
    // a domain whose reduced axes all have size 1 has rows of the same shape as the whole
    return reduced.every((a) => shape[a] === 1) && level(v) > 0 && r.nodes.some((n) => isReduction(n) && n.outputs[0] === v);
  }
}

/** Accumulators of one reduction: one, or value and position. */
interface Accumulator {
  readonly node: Reduction;
  readonly scalar: Scalar;
  readonly identity: Expr;
}

const accumulatorOf = (n: Reduction): Accumulator => {
  const dtype = n.op === 'reduce' ? n.outputs[0]!.dtype : n.inputs[0]!.dtype;
  return {
    node: n,
    scalar: scalarOf(dtype),
    identity: n.op === 'reduce' ? identityOf(n.attrs.fn, dtype) : identityOf(n.attrs.fn === 'argmax' ? 'max' : 'min', dtype),
  };
};

export const maxOf = (e: Expr): number => Math.max(0, e.hi);
export const product = (axes: readonly Axis[]): Expr => axes.reduce<Expr>((a, x) => mul(a, x.extent), i32(1));

export function lowerRow(region: Region, ctx: LowerContext): LoweredKernel {
  const f = new Frame(region, ctx);
  const p = planRow(f);
  const last = p.domain.length - 1;
  const columns = !p.reduced.includes(last) && p.levels.length === 1 && p.full.slice(1).every((x) => x.length === 0) && maxOf(p.domain[last]!.extent) > 1;
  if (columns) return ctx.target.kind === 'wasm' ? columnsOnWasm(f, p) : columnsOnGpu(f, p);
  return ctx.target.kind === 'wasm' ? rowsOnWasm(f, p) : rowsOnGpu(f, p);
}

export const indexOf = (p: RowPlan): Expr[] => p.domain.map((a) => a.v);

/** Stores of values at one index each. */
function storesAt(f: RowEnv, items: readonly { readonly v: Value; readonly index: readonly Expr[] }[]): Stmt[] {
  const values = items.map((x) => f.em.value(x.v, x.index));
  return storeAll(
    items.map((x, i) => ({ memory: f.memoryOf(x.v), index: add(f.baseOf(x.v), linearize(x.index, x.v.shape, f.ctx.symbols)), value: values[i]! })),
  );
}

/** Stores row outputs; every reduction is bound to its result. */
export function storeRow(f: RowEnv, p: RowPlan, block: Stmt[]): void {
  const isOne = (a: Axis): boolean => a.extent.kind === 'const' && a.extent.value === 1;
  const kept = p.kept.filter((a) => !isOne(p.domain[a]!)).map((a): Expr => p.domain[a]!.v);
  f.em.within(block, () => {
    const items = p.rowOutputs.map((v) => {
      let k = 0;
      return { v, index: v.shape.map((d) => (d === 1 ? i32(0) : kept[k++]!)) };
    });
    block.push(...storesAt(f, items));
  });
}

export function storeFull(f: RowEnv, p: RowPlan, level: number, block: Stmt[]): void {
  block.push(
    ...storesAt(
      f,
      (p.full[level] ?? []).map((v) => ({ v, index: indexOf(p) })),
    ),
  );
}

/** Declares accumulators of a level and gives the statements of one step and the finished values. */
export function declare(level: readonly Reduction[], block: Stmt[]): { acc: Accumulator; value: VarExpr; position: VarExpr | null }[] {
  return level.map((node) => {
    const acc = accumulatorOf(node);
    const value = variable('acc', 'mutable', acc.scalar);
    block.push(mutable(value, acc.identity));
    const position = node.op === 'arg_reduce' ? variable('at', 'mutable', 'i32') : null;
    if (position) block.push(mutable(position, i32(-1)));
    return { acc, value, position };
  });
}

/** One element of the row into the accumulators of a level. */
export function step(f: RowEnv, p: RowPlan, accs: ReturnType<typeof declare>, block: Stmt[]): void {
  for (const a of accs) {
    const n = a.acc.node;
    const e = f.em.value(n.inputs[0]!, indexOf(p));
    if (n.op === 'reduce') block.push(assign(a.value, combine(n.attrs.fn, a.value, e)));
    else {
      const k = p.domain[n.attrs.axis]!.v;
      const first = compare('lt', a.position!, i32(0));
      const start = variable('start', 'let', a.value.scalar);
      // the first element always wins over the identity, also when it equals it
      block.push(letVar(start, e), ...ifThen(first, [assign(a.position!, k), assign(a.value, start)], argStep(n.attrs.fn, a.value, a.position!, start, k)));
    }
  }
}

function bindFinished(f: RowEnv, accs: ReturnType<typeof declare>): void {
  for (const a of accs) f.em.bind(a.acc.node.outputs[0]!, () => a.position ?? a.value);
}

/** Functions that cost more than a store and a load. */
const costly = new Set<string>(['exp', 'expm1', 'log', 'log1p', 'sin', 'cos', 'tan', 'tanh', 'sigmoid', 'erf']);

/** Costly values of the whole domain that more than one pass needs, by the first pass that does. */
function keptValues(f: RowEnv, p: RowPlan): Map<number, Value[]> {
  const shape = p.domain.length;
  const needs = Array.from({ length: p.levels.length + 1 }, (_, l): Set<Value> => {
    const seen = new Set<Value>();
    const stack = [...(p.levels[l] ?? []).map((n) => n.inputs[0]!), ...(p.full[l] ?? [])];
    for (let v = stack.pop(); v; v = stack.pop()) {
      if (seen.has(v)) continue;
      seen.add(v);
      const n = v.producer;
      if (n && !isReduction(n) && f.region.nodes.includes(n)) stack.push(...n.inputs);
    }
    return seen;
  });
  const out = new Map<number, Value[]>();
  for (const n of f.region.nodes) {
    const [v] = n.outputs;
    if (n.op !== 'unary' || !costly.has(n.attrs.fn) || v?.dtype !== 'float32' || v.shape.length !== shape) continue;
    const passes = needs.flatMap((set, l) => (set.has(v) ? [l] : []));
    if (passes.length > 1) out.set(passes[0]!, [...(out.get(passes[0]!) ?? []), v]);
  }
  return out;
}

/** Longest row whose costly values are kept. */
const keptLength = 8192;

/**
 * All passes over one row, walked by one thread. `keep`: costly values that several passes need (the exponentials of a softmax) are computed once, in a loop of their own, and wait in
 * scratch memory.
 */
function walkRow(f: RowEnv, p: RowPlan, block: Stmt[], loop: (body: readonly Stmt[], parallel?: boolean) => readonly Stmt[], keep = false): void {
  const length = product(p.reduced.map((a) => (p.domain[a]!.extent.kind === 'const' ? p.domain[a]! : { ...p.domain[a]!, extent: i32(keptLength + 1) })));
  const kept = keep && maxOf(length) <= keptLength ? keptValues(f, p) : new Map<number, Value[]>();
  for (let l = 0; l <= p.levels.length; l++) {
    const level = p.levels[l] ?? [];
    const full = p.full[l] ?? [];
    if (level.length === 0 && full.length === 0) continue;
    for (const v of kept.get(l) ?? []) {
      const memory = f.local(`kept${v.id}`, 'private', 'f32', maxOf(length));
      const place = (index: readonly Expr[]): Expr => p.reduced.reduce<Expr>((e, a) => add(mul(e, p.domain[a]!.extent), index[a]!), i32(0));
      const body: Stmt[] = [];
      f.em.within(body, () => {
        body.push(store(memory, place(indexOf(p)), f.em.value(v, indexOf(p))));
      });
      block.push(...loop(body, true));
      f.em.bind(v, (index) => load(memory, place(index)));
    }
    const accs = declare(level, block);
    const body: Stmt[] = [];
    f.em.within(body, () => {
      step(f, p, accs, body);
      storeFull(f, p, l, body);
    });
    block.push(...loop(body));
    bindFinished(f, accs);
  }
  storeRow(f, p, block);
}

/** The statements with the axes' variables replaced by the parts of a linear index. */
export function at(axes: readonly Axis[], linear: Expr, body: readonly Stmt[]): Stmt[] {
  const parts = delinearize(
    linear,
    axes.map((a) => a.extent),
  );
  return substituteStmts(body, new Map<Expr, Expr>(axes.map((a, i) => [a.v, parts[i]!])));
}

/** A loop nest over the reduced axes, merged where possible. Every nest has variables of its own. */
function reducedLoops(p: RowPlan, body: readonly Stmt[], parallel = false): readonly Stmt[] {
  const merged = mergeAxes(
    p.reduced.map((a) => p.domain[a]!),
    body,
  );
  const fresh = merged.axes.map((a) => ({ ...a, v: variable('k', 'loop', 'i32', [0, Math.max(0, maxOf(a.extent) - 1)]) }));
  const inner = substituteStmts(merged.stmts, new Map<Expr, Expr>(merged.axes.map((a, i) => [a.v, fresh[i]!.v])));
  return [...fresh].reverse().reduce<readonly Stmt[]>((b, a, i) => [forLoop(a.v, i32(0), a.extent, b, { parallel: parallel && i === 0 })], inner);
}

function rowsOnWasm(f: Frame, p: RowPlan): LoweredKernel {
  const keptAxes = p.kept.map((a) => p.domain[a]!);
  const count = product(keptAxes);
  const length = product(p.reduced.map((a) => p.domain[a]!));
  const { rows } = f.schedule(rowWalk, () => ({ rows: Math.max(1, Math.floor(8192 / Math.max(1, maxOf(length)))) }));
  const group = variable('group0', 'group', 'i32', [0, 2147483646]);
  const row = variable('row', 'loop', 'i32', [0, Math.max(0, maxOf(count) - 1)]);
  const block: Stmt[] = [];
  walkRow(f, p, block, (body, parallel) => reducedLoops(p, body, parallel), true);
  const rowAt = delinearize(
    row,
    keptAxes.map((a) => a.extent),
  );
  const named = keptAxes.map((a, i) => letVar(a.v, rowAt[i]!));
  const begin = mul(group, i32(rows));
  return f.finish([forLoop(row, begin, min(add(begin, i32(rows)), count), [...named, ...block])], {
    grid: [sizeCeilDiv(exprSize(count), rows), 1, 1],
  });
}

/** A part of the reduced range instead of the whole: the last factor of the grid. */
export interface ColumnsPart {
  /** Columns of a block. */
  readonly block: number;
  readonly parts: Expr;
  /** The reduced elements of a part, around `body`. */
  readonly loops: (part: Expr, body: readonly Stmt[]) => readonly Stmt[];
  /** Stores the results of a part; `column` is the index over all kept axes. */
  readonly store: (part: Expr, column: Expr, values: readonly Expr[]) => readonly Stmt[];
}

/** Columns are cut in blocks: for threads where rows are few, and so that the accumulators stay in cache. */
export function columnBlock(f: RowEnv, p: RowPlan): number {
  const lastReduced = Math.max(...p.reduced);
  const axes = (which: (a: number) => boolean): number => Math.max(1, maxOf(product(p.kept.filter(which).map((a) => p.domain[a]!))));
  const [width, count] = [axes((a) => a > lastReduced), maxOf(product(p.kept.filter((a) => a < lastReduced).map((a) => p.domain[a]!)))];
  const work = count * width * maxOf(product(p.reduced.map((a) => p.domain[a]!)));
  return Math.min(width, count < 4 && work > 60000 ? Math.max(16, Math.ceil(width / f.ctx.target.threads / 16) * 16) : 2048);
}

export function columnsOnWasm(f: Frame, p: RowPlan, split: ColumnsPart | null = null): LoweredKernel {
  const lastReduced = Math.max(...p.reduced);
  const outer = p.kept.filter((a) => a < lastReduced).map((a) => p.domain[a]!);
  const inner = p.kept.filter((a) => a > lastReduced).map((a) => p.domain[a]!);
  const level = p.levels[0]!;
  const accs = level.map(accumulatorOf);
  const extents = product(inner);
  const width = Math.max(1, maxOf(extents));
  const count = product(outer);
  const blockWidth = Math.min(width, split?.block ?? f.schedule(rowColumns, () => ({ block: columnBlock(f, p) })).block);
  const blocks = Math.ceil(width / blockWidth);
  const memories = accs.map((a, i) => ({
    value: f.local(`acc${i}`, 'private', a.scalar, blockWidth),
    position: a.node.op === 'arg_reduce' ? f.local(`at${i}`, 'private', 'i32', blockWidth) : null,
  }));
  const group = variable('group0', 'group', 'i32', [0, 2147483646]);
  const start = variable('first', 'let', 'i32', [0, width - 1]);
  const size = variable('width', 'let', 'i32', [0, blockWidth]);
  const whole = extents.kind === 'const' && width % blockWidth === 0;
  const column = (): VarExpr => variable('c', 'loop', 'i32', [0, blockWidth - 1]);
  const block: Stmt[] = [];
  const [id, part] = split ? (delinearize(group, [i32(1), split.parts]) as [Expr, Expr]) : [group, i32(0)];
  const line = blocks === 1 ? id : divBy(id, blocks);
  const outerAt = delinearize(
    line,
    outer.map((a) => a.extent),
  );
  block.push(...outer.map((a, i) => letVar(a.v, outerAt[i]!)));
  block.push(letVar(start, blocks === 1 ? i32(0) : mul(remBy(id, blocks), i32(blockWidth))));
  if (!whole) block.push(letVar(size, max(i32(0), min(i32(blockWidth), sub(extents, start)))));
  const extent: Expr = whole ? i32(blockWidth) : size;
  const over = (c: VarExpr, body: readonly Stmt[]): Stmt => {
    return forLoop(c, i32(0), extent, at(inner, add(start, c), body), { parallel: true });
  };
  {
    const c = column();
    block.push(
      forLoop(
        c,
        i32(0),
        extent,
        accs.flatMap((a, i) => [store(memories[i]!.value, c, a.identity), ...(memories[i]!.position ? [store(memories[i]!.position!, c, i32(-1))] : [])]),
        { parallel: true },
      ),
    );
  }
  {
    const c = column();
    const body: Stmt[] = [];
    f.em.within(body, () => {
      level.forEach((n, i) => {
        const m = memories[i]!;
        const e = f.em.value(n.inputs[0]!, indexOf(p));
        if (n.op === 'reduce') body.push(store(m.value, c, combine(n.attrs.fn, load(m.value, c), e)));
        else body.push(...argStore(n, m.value, m.position!, c, e, p));
      });
      storeFull(f, p, 0, body);
    });
    block.push(...(split ? split.loops(part, [over(c, body)]) : reducedLoops(p, [over(c, body)])));
  }
  if (split) {
    const c = column();
    block.push(
      forLoop(
        c,
        i32(0),
        extent,
        split.store(
          part,
          add(mul(line, extents), add(start, c)),
          memories.map((m) => load(m.value, c)),
        ),
        { parallel: true },
      ),
    );
  } else {
    const c = column();
    const body: Stmt[] = [];
    level.forEach((n, i) => {
      const m = memories[i]!;
      f.em.bind(n.outputs[0]!, () => load(m.position ?? m.value, c));
    });
    storeRow(f, p, body);
    block.push(over(c, body));
  }
  const groups = sizeMul(exprSize(count), sizeMul(blocks, split ? exprSize(split.parts) : 1));
  return f.finish(block, { grid: [groups, 1, 1] });
}

const divBy = (e: Expr, n: number): Expr => delinearize(e, [i32(1), i32(n)])[0]!;
const remBy = (e: Expr, n: number): Expr => delinearize(e, [i32(1), i32(n)])[1]!;

function argStore(n: Extract<Node, { op: 'arg_reduce' }>, best: Memory, where: Memory, c: Expr, e: Expr, p: RowPlan): Stmt[] {
  const k = p.domain[n.attrs.axis]!.v;
  const v = variable('e', 'let', best.scalar);
  const b = variable('b', 'let', best.scalar);
  const w = variable('w', 'let', 'i32');
  const take = variable('take', 'let', 'bool');
  return [
    letVar(v, e),
    letVar(b, load(best, c)),
    letVar(w, load(where, c)),
    letVar(take, combine('any', beats(n.attrs.fn, v, b), compare('lt', w, i32(0)))),
    store(best, c, select(take, v, b)),
    store(where, c, select(take, k, w)),
  ];
}

// ---- WebGPU

function rowsOnGpu(f: Frame, p: RowPlan): LoweredKernel {
  const keptAxes = p.kept.map((a) => p.domain[a]!);
  const count = product(keptAxes);
  const length = product(p.reduced.map((a) => p.domain[a]!));
  if (maxOf(length) <= 32) {
    // row in registers: a thread walks its row
    const { threads: size } = f.schedule(rowThread, () => ({ threads: groupThreads }));
    const { grid, id } = linearGrid(sizeCeilDiv(exprSize(count), size), Math.ceil(maxOf(count) / size), f.ctx.target);
    const local = variable('local0', 'local', 'i32', [0, size - 1]);
    const row = variable('row', 'let', 'i32', [0, Math.max(0, maxOf(count) - 1)]);
    const block: Stmt[] = [];
    walkRow(f, p, block, (body) => reducedLoops(p, body));
    const rowAt = delinearize(
      row,
      keptAxes.map((a) => a.extent),
    );
    // The guard asks the unbounded expression: the variable's range holds only behind the guard.
    const raw = add(mul(id, i32(size)), local);
    return f.finish([letVar(row, raw), ...ifThen(compare('lt', raw, count), [...keptAxes.map((a, i) => letVar(a.v, rowAt[i]!)), ...block])], {
      grid,
      workgroupSize: [size, 1, 1],
    });
  }
  // row in a workgroup
  const { threads } = f.schedule(rowWorkgroup, () => ({ threads: groupThreads }));
  const { grid, id } = linearGrid(exprSize(count), maxOf(count), f.ctx.target);
  const local = variable('local0', 'local', 'i32', [0, threads - 1]);
  // a folded grid has a few groups too many: they repeat the last row
  const row = grid[1] === 1 ? id : min(id, sub(count, i32(1)));
  return f.finish(rowInWorkgroup(f, p, row, local, threads), { grid, workgroupSize: [threads, 1, 1] });
}

/** One row (given by its linear index over the kept axes) on all threads of a workgroup. */
function rowInWorkgroup(f: RowEnv, p: RowPlan, rowIndex: Expr, local: Expr, threads: number): Stmt[] {
  const keptAxes = p.kept.map((a) => p.domain[a]!);
  const count = product(keptAxes);
  const length = product(p.reduced.map((a) => p.domain[a]!));
  const row = variable('row', 'let', 'i32', [0, Math.max(0, maxOf(count) - 1)]);
  const rowAt = delinearize(
    row,
    keptAxes.map((a) => a.extent),
  );
  const block: Stmt[] = [letVar(row, rowIndex), ...keptAxes.map((a, i) => letVar(a.v, rowAt[i]!))];
  const shared = new Map<string, Memory>();
  const sharedOf: Shared = (name, s) => {
    const old = shared.get(name);
    if (old) return old;
    const m = f.local(`shared_${name}`, 'workgroup', s, threads);
    shared.set(name, m);
    return m;
  };
  for (let l = 0; l <= p.levels.length; l++) {
    const level = p.levels[l] ?? [];
    const full = p.full[l] ?? [];
    if (level.length === 0 && full.length === 0) continue;
    const accs = declare(level, block);
    const body: Stmt[] = [];
    f.em.within(body, () => {
      step(f, p, accs, body);
      storeFull(f, p, l, body);
    });
    const element = variable('k', 'loop', 'i32', [0, Math.max(0, maxOf(length) - 1)]);
    block.push(
      forLoop(
        element,
        local,
        length,
        at(
          p.reduced.map((a) => p.domain[a]!),
          element,
          body,
        ),
        { step: threads },
      ),
    );
    for (const a of accs) {
      const value = treeReduce(a, sharedOf, local, threads, block);
      f.em.bind(a.acc.node.outputs[0]!, () => value);
    }
  }
  const rowBlock: Stmt[] = [];
  storeRow(f, p, rowBlock);
  block.push(...ifThen(compare('eq', local, i32(0)), rowBlock));
  return block;
}

/** The statements of a row region for one row of its leading axis, on all threads of a workgroup. */
export const rowStatements = (f: RowEnv, row: Expr, local: Expr, threads: number): Stmt[] => rowInWorkgroup(f, planRow(f), row, local, threads);

/** A workgroup array of one element a thread, by name. */
export type Shared = (name: string, s: Scalar) => Memory;

/** All threads' accumulators into one value that every thread then has. */
export function treeReduce(a: ReturnType<typeof declare>[number], sharedOf: Shared, local: Expr, threads: number, block: Stmt[]): Expr {
  const values = sharedOf(a.value.scalar, a.value.scalar);
  const n = a.acc.node;
  const out = variable('total', 'let', a.position ? 'i32' : a.value.scalar);
  block.push(store(values, local, a.value));
  const positions = a.position ? sharedOf('position', 'i32') : null;
  if (positions) block.push(store(positions, local, a.position!));
  block.push(barrier);
  for (let s = threads / 2; s >= 1; s = Math.floor(s / 2)) {
    const other = add(local, i32(s));
    const mine = load(values, local);
    const theirs = load(values, other);
    const body: Stmt[] = [];
    if (n.op === 'reduce') body.push(store(values, local, combine(n.attrs.fn, mine, theirs)));
    else {
      const [mp, tp] = [load(positions!, local), load(positions!, other)];
      const take = variable('take', 'let', 'bool');
      const [v1, p1] = [variable('v', 'let', values.scalar), variable('p', 'let', 'i32')];
      body.push(
        letVar(take, beats(n.attrs.fn, theirs, mine, { e: tp, best: mp })),
        letVar(v1, select(take, theirs, mine)),
        letVar(p1, select(take, tp, mp)),
        store(values, local, v1),
        store(positions!, local, p1),
      );
    }
    block.push(...ifThen(compare('lt', local, i32(s)), body), barrier);
  }
  block.push(letVar(out, load(positions ?? values, i32(0))), barrier);
  return out;
}
const andExpr = (a: Expr, b: Expr): Expr => combine('all', a, b);

function columnsOnGpu(f: Frame, p: RowPlan): LoweredKernel {
  const keptAxes = p.kept.map((a) => p.domain[a]!);
  const count = product(keptAxes);
  const length = product(p.reduced.map((a) => p.domain[a]!));
  const { wide, slices } = f.schedule(rowColumnTiles, () => (maxOf(length) >= 64 ? { wide: groupThreads / 4, slices: 4 } : { wide: groupThreads, slices: 1 }));
  const { grid, id } = linearGrid(sizeCeilDiv(exprSize(count), wide), Math.ceil(maxOf(count) / wide), f.ctx.target);
  const lx = variable('local0', 'local', 'i32', [0, wide - 1]);
  const ly = variable('local1', 'local', 'i32', [0, slices - 1]);
  const column = variable('column', 'let', 'i32', [0, Math.max(0, maxOf(count) - 1)]);
  const rowAt = delinearize(
    column,
    keptAxes.map((a) => a.extent),
  );
  // The guard asks the unbounded expression: the variable's range holds only behind the guard.
  const raw = add(mul(id, i32(wide)), lx);
  const block: Stmt[] = [letVar(column, raw), ...keptAxes.map((a, i) => letVar(a.v, rowAt[i]!))];
  const accs = declare(p.levels[0]!, block);
  const body: Stmt[] = [];
  f.em.within(body, () => {
    step(f, p, accs, body);
    storeFull(f, p, 0, body);
  });
  const element = variable('k', 'loop', 'i32', [0, Math.max(0, maxOf(length) - 1)]);
  const inside = compare('lt', raw, count);
  block.push(
    ...ifThen(inside, [
      forLoop(
        element,
        slices === 1 ? i32(0) : ly,
        length,
        at(
          p.reduced.map((a) => p.domain[a]!),
          element,
          body,
        ),
        { step: slices },
      ),
    ]),
  );
  if (slices > 1) {
    for (const a of accs) {
      const m = f.local(`shared${block.length}`, 'workgroup', a.value.scalar, wide * slices);
      const mp = a.position ? f.local(`positions${block.length}`, 'workgroup', 'i32', wide * slices) : null;
      const slot = add(mul(ly, i32(wide)), lx);
      block.push(store(m, slot, a.value), ...(mp ? [store(mp, slot, a.position!)] : []), barrier);
      const s = variable('s', 'loop', 'i32', [1, slices - 1]);
      const from = add(mul(s, i32(wide)), lx);
      const n = a.acc.node;
      const more: Stmt[] = [];
      if (n.op === 'reduce') more.push(assign(a.value, combine(n.attrs.fn, a.value, load(m, from))));
      else {
        const [theirs, tp] = [load(m, from), load(mp!, from)];
        const take = variable('take', 'let', 'bool');
        more.push(
          letVar(take, beats(n.attrs.fn, theirs, a.value, { e: tp, best: a.position! })),
          assign(a.value, select(take, theirs, a.value)),
          assign(a.position!, select(take, tp, a.position!)),
        );
      }
      block.push(...ifThen(compare('eq', ly, i32(0)), [forLoop(s, i32(1), i32(slices), more)]));
    }
  }
  bindFinished(f, accs);
  const rowBlock: Stmt[] = [];
  storeRow(f, p, rowBlock);
  const mine = slices === 1 ? inside : andExpr(inside, compare('eq', ly, i32(0)));
  block.push(...ifThen(mine, rowBlock));
  return f.finish(block, { grid, workgroupSize: [wide, slices, 1] });
}
