/** Reductions that keep the last axis: neighbouring columns are reduced side by side, on WASM in blocks that stay in cache, on WebGPU by tiles of threads. */
import type { Node } from '../../ir/graph.js';
import { add, compare, type Expr, i32, isFloatScalar, load, max, min, mul, select, sub, type VarExpr, variable } from '../kernel/expr.js';
import { assign, barrier, forLoop, ifThen, letVar, type Memory, type Stmt, store } from '../kernel/ir.js';
import type { Frame, LoweredKernel } from '../lower/frame.js';
import { beats, combine } from '../lower/reduction.js';
import { delinearize, exprSize, sizeCeilDiv, sizeMul } from '../lower/space.js';
import { rowColumns, rowColumnTiles } from '../schedule-families.js';
import { groupThreads, linearGrid } from './grid.js';
import {
  type Accumulator,
  accumulatorOf,
  at,
  type Blocks,
  bindFinished,
  declare,
  indexOf,
  maxOf,
  product,
  type RowEnv,
  type RowPlan,
  reducedLoops,
  step,
  storeFull,
  storeRow,
} from './row-plan.js';

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

/** Elements that a float sum adds up before it goes on with a new one, so that rounding does not grow with the length. */
const sumBlock = 32;
const sums = (a: Accumulator): boolean => a.node.op === 'reduce' && a.node.attrs.fn === 'sum' && isFloatScalar(a.scalar);

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
  const columnBlocks = Math.ceil(width / blockWidth);
  // What a part adds up is short enough.
  const inBlocks = split === null && accs.some(sums) && maxOf(p.domain[lastReduced]!.extent) >= 2 * sumBlock;
  const memories = accs.map((a, i) => ({
    value: f.local(`acc${i}`, 'private', a.scalar, blockWidth),
    position: a.node.op === 'arg_reduce' ? f.local(`at${i}`, 'private', 'i32', blockWidth) : null,
    total: inBlocks && sums(a) ? f.local(`total${i}`, 'private', a.scalar, blockWidth) : null,
  }));
  const group = variable('group0', 'group', 'i32', [0, 2147483646]);
  const start = variable('first', 'let', 'i32', [0, width - 1]);
  const size = variable('width', 'let', 'i32', [0, blockWidth]);
  const whole = extents.kind === 'const' && width % blockWidth === 0;
  const column = (): VarExpr => variable('c', 'loop', 'i32', [0, blockWidth - 1]);
  const block: Stmt[] = [];
  const [id, part] = split ? (delinearize(group, [i32(1), split.parts]) as [Expr, Expr]) : [group, i32(0)];
  const line = columnBlocks === 1 ? id : divBy(id, columnBlocks);
  const outerAt = delinearize(
    line,
    outer.map((a) => a.extent),
  );
  block.push(...outer.map((a, i) => letVar(a.v, outerAt[i]!)));
  block.push(letVar(start, columnBlocks === 1 ? i32(0) : mul(remBy(id, columnBlocks), i32(blockWidth))));
  if (!whole) block.push(letVar(size, max(i32(0), min(i32(blockWidth), sub(extents, start)))));
  const extent: Expr = whole ? i32(blockWidth) : size;
  const over = (c: VarExpr, body: readonly Stmt[]): Stmt => {
    return forLoop(c, i32(0), extent, at(inner, add(start, c), body), { parallel: true });
  };
  /** The accumulators (or the sums of the blocks) as they are before the first element. */
  const cleared = (which: (m: (typeof memories)[number]) => Memory | null): Stmt => {
    const c = column();
    const body = memories.flatMap((m, i) => {
      const target = which(m);
      return target ? [store(target, c, accs[i]!.identity), ...(m.position ? [store(m.position, c, i32(-1))] : [])] : [];
    });
    return forLoop(c, i32(0), extent, body, { parallel: true });
  };
  block.push(cleared((m) => m.total ?? m.value));
  const blocks: Blocks = (range, loop) => {
    const from = variable('block', 'loop', 'i32', [0, maxOf(range)]);
    const c = column();
    const added = memories.flatMap((m) => (m.total ? [store(m.total, c, add(load(m.total, c), load(m.value, c)))] : []));
    const body = [
      cleared((m) => (m.total ? m.value : null)),
      loop(from, min(add(from, i32(sumBlock)), range)),
      forLoop(c, i32(0), extent, added, { parallel: true }),
    ];
    return [forLoop(from, i32(0), range, body, { step: sumBlock })];
  };
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
    block.push(...(split ? split.loops(part, [over(c, body)]) : reducedLoops(p, [over(c, body)], false, inBlocks ? blocks : undefined)));
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
      f.em.bind(n.outputs[0]!, () => load(m.position ?? m.total ?? m.value, c));
    });
    storeRow(f, p, body);
    block.push(over(c, body));
  }
  const groups = sizeMul(exprSize(count), sizeMul(columnBlocks, split ? exprSize(split.parts) : 1));
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

export function columnsOnGpu(f: Frame, p: RowPlan): LoweredKernel {
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
  const inside = compare('lt', raw, count);
  /** A loop over the elements of this thread from `from` on into the accumulators `to`. */
  const walk = (to: typeof accs, from: Expr, end: Expr): Stmt => {
    const body: Stmt[] = [];
    f.em.within(body, () => {
      step(f, p, to, body);
      storeFull(f, p, 0, body);
    });
    const element = variable('k', 'loop', 'i32', [0, Math.max(0, maxOf(length) - 1)]);
    const reduced = p.reduced.map((a) => p.domain[a]!);
    return forLoop(element, slices === 1 ? from : add(from, ly), end, at(reduced, element, body), { step: slices });
  };
  const inBlocks = accs.every((a) => a.acc.node.op === 'reduce') && accs.some((a) => sums(a.acc)) && maxOf(length) >= 2 * sumBlock * slices;
  if (inBlocks) {
    const from = variable('block', 'loop', 'i32', [0, maxOf(length)]);
    const body: Stmt[] = [];
    const parts = declare(p.levels[0]!, body);
    body.push(walk(parts, from, min(add(from, i32(sumBlock * slices)), length)));
    accs.forEach(({ acc: { node }, value }, i) => {
      if (node.op === 'reduce') body.push(assign(value, combine(node.attrs.fn, value, parts[i]!.value)));
    });
    block.push(...ifThen(inside, [forLoop(from, i32(0), length, body, { step: sumBlock * slices })]));
  } else block.push(...ifThen(inside, [walk(accs, i32(0), length)]));
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
  const mine = slices === 1 ? inside : combine('all', inside, compare('eq', ly, i32(0)));
  block.push(...ifThen(mine, rowBlock));
  return f.finish(block, { grid, workgroupSize: [wide, slices, 1] });
}
