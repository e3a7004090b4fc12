/** Rows whose last axis is reduced: walked by one thread (WASM, short rows on WebGPU) or by a workgroup that meets in workgroup memory. */
import type { Value } from '../../ir/graph.js';
import { add, compare, type Expr, i32, load, min, mul, type Scalar, select, sub, variable } from '../kernel/expr.js';
import { assign, barrier, forLoop, ifThen, letVar, type Memory, type Stmt, store } from '../kernel/ir.js';
import type { Frame, LoweredKernel } from '../lower/frame.js';
import { beats, combine } from '../lower/reduction.js';
import { delinearize, exprSize, sizeCeilDiv } from '../lower/space.js';
import { rowThread, rowWalk, rowWorkgroup } from '../schedule-families.js';
import { groupThreads, linearGrid } from './grid.js';
import {
  at,
  type Blocks,
  bindFinished,
  declare,
  indexOf,
  isReduction,
  maxOf,
  planRow,
  product,
  type RowEnv,
  type RowPlan,
  reducedLoops,
  step,
  storeFull,
  storeRow,
} from './row-plan.js';

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

/** Elements of a long row that are added up before a thread goes on with new sums, so that rounding does not grow with the length. */
const walkedBlock = 256;

/** Longest row whose costly values are kept. */
const keptLength = 8192;

/**
 * All passes over one row, walked by one thread. `keep`: costly values that several passes need (the exponentials of a softmax) are computed once, in a loop of their own, and wait in
 * scratch memory.
 */
function walkRow(
  f: RowEnv,
  p: RowPlan,
  block: Stmt[],
  loop: (body: readonly Stmt[], parallel?: boolean, blocks?: Blocks) => readonly Stmt[],
  keep = false,
): void {
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
    const sums = level.flatMap((n) => (n.op === 'reduce' ? [n] : []));
    const long = maxOf(p.domain[Math.max(...p.reduced)]!.extent) >= 4 * walkedBlock;
    if (long && sums.length === level.length && sums.some((n) => n.attrs.fn === 'sum')) {
      const partial: Stmt[] = [];
      const parts = declare(level, partial);
      const body = stepOf(parts, l);
      const blocks: Blocks = (range, part) => {
        const from = variable('block', 'loop', 'i32', [0, maxOf(range)]);
        const added = sums.map((n, i) => assign(accs[i]!.value, combine(n.attrs.fn, accs[i]!.value, parts[i]!.value)));
        return [forLoop(from, i32(0), range, [...partial, part(from, min(add(from, i32(walkedBlock)), range)), ...added], { step: walkedBlock })];
      };
      block.push(...loop(body, false, blocks));
    } else block.push(...loop(stepOf(accs, l)));
    bindFinished(f, accs);
  }
  storeRow(f, p, block);

  function stepOf(accs: ReturnType<typeof declare>, l: number): Stmt[] {
    const body: Stmt[] = [];
    f.em.within(body, () => {
      step(f, p, accs, body);
      storeFull(f, p, l, body);
    });
    return body;
  }
}

export function rowsOnWasm(f: Frame, p: RowPlan): LoweredKernel {
  const keptAxes = p.kept.map((a) => p.domain[a]!);
  const count = product(keptAxes);
  const length = product(p.reduced.map((a) => p.domain[a]!));
  const { rows } = f.schedule(rowWalk, () => ({ rows: Math.max(1, Math.floor(8192 / Math.max(1, maxOf(length)))) }));
  const group = variable('group0', 'group', 'i32', [0, 2147483646]);
  const row = variable('row', 'loop', 'i32', [0, Math.max(0, maxOf(count) - 1)]);
  const block: Stmt[] = [];
  walkRow(f, p, block, (body, parallel, blocks) => reducedLoops(p, body, parallel, blocks), true);
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

// ---- WebGPU

export function rowsOnGpu(f: Frame, p: RowPlan): LoweredKernel {
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
