/**
 * Reductions in two steps, where one would be too long or its groups too few to fill the device: groups reduce chunks of the reduced range to partial results in scratch memory,
 * then a second kernel reduces those and computes what follows per row. Chunks have a fixed size, so the result does not depend on the device, and sums are nested (chunks of blocks
 * of lanes), so that their error does not grow with the length.
 */
import type { Region } from '../../passes/regions.js';
import type { SizeExpr } from '../../runtime/plan.js';
import { add, compare, div, type Expr, i32, load, min, mul, sub, variable } from '../kernel/expr.js';
import { assign, forLoop, ifThen, letVar, type Memory, type Stmt, store } from '../kernel/ir.js';
import { Frame, figuresOf, type LowerContext, type LoweredKernel, type Temp } from '../lower/frame.js';
import { combine } from '../lower/reduction.js';
import type { LoweredRegion } from '../lower/region.js';
import { delinearize, exprSize, shapeSize, sizeAdd, sizeCeilDiv, sizeMul } from '../lower/space.js';
import { twoStepColumns, twoStepColumnTiles, twoStepRows, twoStepRowTiles } from '../schedule-families.js';
import { groupThreads, linearGrid, mergeAxes } from './grid.js';
import { columnBlock, columnsOnWasm } from './row-columns.js';
import { at, declare, indexOf, maxOf, planRow, product, type Reduction, type RowPlan, storeFull, storeRow } from './row-plan.js';
import { treeReduce } from './row-whole.js';

interface Split {
  readonly p: RowPlan;
  /** The last axis is kept. */
  readonly columns: boolean;
  /** Reduced elements in a chunk. */
  readonly chunk: number;
  /** WASM: elements (of rows) that a lane loop adds up before it goes on with a new sum, or columns of a block. WebGPU: threads of the first step, along the kept and the reduced axes. */
  readonly block: number;
  readonly wide: number;
  readonly slices: number;
  /** Rows (WASM) or threads (WebGPU) of a group of the second step. */
  readonly finish: number;
  readonly temps: readonly Temp[];
}

type Sum = Extract<Reduction, { op: 'reduce' }>;

/** Whether and how a row region is split. */
function choose(f: Frame, region: Region, ctx: LowerContext): Split | null {
  const p = planRow(f);
  const reductions = p.levels[0] ?? [];
  if (p.levels.length !== 1 || p.full.slice(1).some((x) => x.length > 0) || !reductions.every((n): n is Sum => n.op === 'reduce')) return null;
  const last = p.domain.length - 1;
  const columns = !p.reduced.includes(last) && maxOf(p.domain[last]!.extent) > 1;
  const count = maxOf(product(p.kept.map((a) => p.domain[a]!)));
  const length = maxOf(product(p.reduced.map((a) => p.domain[a]!)));
  const gpu = ctx.target.kind === 'webgpu';
  if (gpu && region.inputs.length + region.outputs.length + 1 > ctx.target.maxStorageBuffers) return null;
  let chunk: number;
  if (gpu) {
    const few = columns ? Math.ceil(count / 32) < 128 && length >= 1024 && length * count >= 65536 : count < 64 && length >= 16384;
    if (!few && length < 65536) return null;
    chunk = columns ? (groupThreads / tileWidth(count)) * 64 : 2048;
  } else {
    if (length < (columns ? 4096 : 16384)) return null;
    chunk = columns ? 128 : 16384;
  }
  if (count === 0 || length <= chunk) return null;
  const s = parameters(f, p, columns, chunk, count, length);
  const temps = reductions.map((n, i): Temp => ({ name: `partial${i}`, dtype: n.outputs[0]!.dtype, shape: [Math.ceil(length / s.chunk), count] }));
  return { p, columns, ...s, temps };
}

/** The schedule's parameters, by whatever family fits target and form. */
function parameters(f: Frame, p: RowPlan, columns: boolean, chunk: number, count: number, length: number): Omit<Split, 'p' | 'columns' | 'temps'> {
  const fits = (s: { readonly chunk: number }): string | null => (s.chunk < length ? null : `split must be less than the ${length} elements`);
  const rows = (): number => Math.max(1, Math.floor(8192 / Math.ceil(length / chunk)));
  const wide = tileWidth(count);
  if (f.ctx.target.kind === 'wasm') {
    const s = columns
      ? f.schedule(twoStepColumns, () => ({ chunk, block: columnBlock(f, p), finish: rows() }), fits)
      : f.schedule(twoStepRows, () => ({ chunk, block: 512, finish: rows() }), fits);
    return { ...s, wide: 1, slices: 1 };
  }
  if (columns) return { ...f.schedule(twoStepColumnTiles, () => ({ chunk, wide, slices: groupThreads / wide, finish: groupThreads }), fits), block: 0 };
  const s = f.schedule(twoStepRowTiles, () => ({ chunk, threads: groupThreads, finish: groupThreads }), fits);
  return { ...s, block: 0, wide: 1, slices: s.threads };
}

/** Columns that a workgroup takes side by side. */
const tileWidth = (count: number): number => {
  let w = 1;
  while (w < count && w < 32) w *= 2;
  return w;
};

export function splitReduce(region: Region, ctx: LowerContext): LoweredRegion | null {
  const probe = choose(new Frame(region, ctx), region, ctx);
  if (!probe) return null;
  const gpu = ctx.target.kind === 'webgpu';
  const first = new Frame(region, ctx, { writes: probe.temps });
  choose(first, region, ctx);
  const split = { ...probe, p: planRow(first) };
  const partial = split.columns
    ? gpu
      ? columnChunksOnGpu(first, split)
      : columnChunksOnWasm(first, split)
    : gpu
      ? rowChunksOnGpu(first, split)
      : rowChunksOnWasm(first, split);
  const second = new Frame(region, ctx, { reads: probe.temps });
  choose(second, region, ctx);
  const final = finish(second, { ...probe, p: planRow(second) });
  // each kernel's own figures: together those of the region and the partial results twice
  const whole = figuresOf(region);
  const scratch = probe.temps.map((t) => sizeMul(shapeSize(t.shape), 4)).reduce<SizeExpr>((a, b) => sizeAdd(a, b), 0);
  const kernels: LoweredKernel[] = [
    { ...partial, figures: { ...whole, bytesWritten: scratch } },
    {
      ...final,
      kernel: { ...final.kernel, name: `${final.kernel.name}_finish` },
      figures: { flops: sizeCeilDiv(scratch, 4), bytesRead: scratch, bytesWritten: whole.bytesWritten },
    },
  ];
  return { steps: kernels.map((kernel) => ({ kind: 'kernel', kernel })), temps: probe.temps };
}

const keptOf = (p: RowPlan): typeof p.domain => p.kept.map((a) => p.domain[a]!);
const reducedOf = (p: RowPlan): typeof p.domain => p.reduced.map((a) => p.domain[a]!);
const sums = (p: RowPlan): Sum[] => p.levels[0]!.filter((n): n is Sum => n.op === 'reduce');
const chunksOf = (s: Split): Expr => div(add(product(reducedOf(s.p)), i32(s.chunk - 1)), i32(s.chunk));
/** Where a partial result lies. */
const slot = (s: Split, chunk: Expr, kept: Expr): Expr => add(mul(chunk, i32(s.temps[0]!.shape[1] as number)), kept);

/** Adds one element of the reduced range to the accumulators. */
function accumulate(f: Frame, p: RowPlan, accs: ReturnType<typeof declare>): Stmt[] {
  const body: Stmt[] = [];
  f.em.within(body, () => {
    sums(p).forEach((n, i) => body.push(assign(accs[i]!.value, combine(n.attrs.fn, accs[i]!.value, f.em.value(n.inputs[0]!, indexOf(p))))));
    storeFull(f, p, 0, body);
  });
  return body;
}

/** A loop over part of the reduced range, by its linear index; axes that lie one after the other in memory are one. */
function overRange(p: RowPlan, begin: Expr, end: Expr, body: readonly Stmt[], step = 1): Stmt {
  const merged = mergeAxes(reducedOf(p), body);
  const k = variable('k', 'loop', 'i32', [0, Math.max(0, maxOf(product(reducedOf(p))) - 1)]);
  return forLoop(k, begin, end, at(merged.axes, k, merged.stmts), { step });
}

const named = (p: RowPlan, kept: Expr): Stmt[] => {
  const parts = delinearize(
    kept,
    keptOf(p).map((a) => a.extent),
  );
  return keptOf(p).map((a, i) => letVar(a.v, parts[i]!));
};

/** The range of a chunk. */
function range(s: Split, chunk: Expr): { begin: Expr; end: Expr; lets: Stmt[] } {
  const most = maxOf(product(reducedOf(s.p)));
  const begin = variable('begin', 'let', 'i32', [0, most]);
  const end = variable('end', 'let', 'i32', [0, most]);
  return { begin, end, lets: [letVar(begin, mul(chunk, i32(s.chunk))), letVar(end, min(add(begin, i32(s.chunk)), product(reducedOf(s.p))))] };
}

/** Loops over `begin` to `end` in blocks of `length`, each with sums of its own that are then added to the whole. */
function inBlocks(
  reductions: readonly Sum[],
  begin: Expr,
  end: Expr,
  most: number,
  length: number,
  inner: (accs: ReturnType<typeof declare>, from: Expr, to: Expr) => readonly Stmt[],
): { stmts: Stmt[]; totals: Expr[] } {
  const stmts: Stmt[] = [];
  const totals = declare(reductions, stmts);
  const b = variable('block', 'loop', 'i32', [0, most]);
  const body: Stmt[] = [];
  const accs = declare(reductions, body);
  body.push(...inner(accs, b, min(add(b, i32(length)), end)));
  reductions.forEach((n, i) => body.push(assign(totals[i]!.value, combine(n.attrs.fn, totals[i]!.value, accs[i]!.value))));
  stmts.push(forLoop(b, begin, end, body, { step: length }));
  return { stmts, totals: totals.map((t) => t.value) };
}

const storePartials = (f: Frame, s: Split, index: Expr, values: readonly Expr[]): Stmt[] => s.temps.map((t, i) => store(f.memoryOf(t), index, values[i]!));

function rowChunksOnWasm(f: Frame, s: Split): LoweredKernel {
  const { p } = s;
  const group = variable('group0', 'group', 'i32', [0, 2147483646]);
  const [row, chunk] = delinearize(group, [i32(1), chunksOf(s)]) as [Expr, Expr];
  const r = range(s, chunk);
  const blocks = inBlocks(sums(p), r.begin, r.end, maxOf(product(reducedOf(p))), s.block, (accs, from, to) => [overRange(p, from, to, accumulate(f, p, accs))]);
  return f.finish([...named(p, row), ...r.lets, ...blocks.stmts, ...storePartials(f, s, slot(s, chunk, row), blocks.totals)], {
    grid: [exprSize(mul(product(keptOf(p)), chunksOf(s))), 1, 1],
  });
}

function columnChunksOnWasm(f: Frame, s: Split): LoweredKernel {
  return columnsOnWasm(f, s.p, {
    block: s.block,
    parts: chunksOf(s),
    loops: (chunk, body) => {
      const r = range(s, chunk);
      return [...r.lets, overRange(s.p, r.begin, r.end, body)];
    },
    store: (chunk, column, values) => storePartials(f, s, slot(s, chunk, column), values),
  });
}

/** A named workgroup array of one element a thread. */
function sharedArrays(f: Frame, size: number): (name: string, scalar: Memory['scalar']) => Memory {
  const known = new Map<string, Memory>();
  return (name, scalar) => {
    const m = known.get(name) ?? f.local(`shared_${name}`, 'workgroup', scalar, size);
    known.set(name, m);
    return m;
  };
}

function rowChunksOnGpu(f: Frame, s: Split): LoweredKernel {
  const { p } = s;
  const threads = s.slices;
  const total = mul(product(keptOf(p)), chunksOf(s));
  const { grid, id } = linearGrid(exprSize(total), maxOf(total), f.ctx.target);
  const local = variable('local0', 'local', 'i32', [0, threads - 1]);
  // a folded grid has a few groups too many: they repeat the last
  const which = grid[1] === 1 ? id : min(id, sub(total, i32(1)));
  const [row, chunk] = delinearize(which, [i32(1), chunksOf(s)]) as [Expr, Expr];
  const r = range(s, chunk);
  const body: Stmt[] = [...named(p, row), ...r.lets];
  const accs = declare(p.levels[0]!, body);
  body.push(overRange(p, add(r.begin, local), r.end, accumulate(f, p, accs), threads));
  const shared = sharedArrays(f, threads);
  const values = accs.map((a) => treeReduce(a, shared, local, threads, body));
  body.push(...ifThen(compare('eq', local, i32(0)), storePartials(f, s, slot(s, chunk, row), values)));
  return f.finish(body, { grid, workgroupSize: [threads, 1, 1] });
}

function columnChunksOnGpu(f: Frame, s: Split): LoweredKernel {
  const { p } = s;
  const count = product(keptOf(p));
  const { wide, slices } = s;
  const tiles = div(add(count, i32(wide - 1)), i32(wide));
  const total = mul(tiles, chunksOf(s));
  const { grid, id } = linearGrid(exprSize(total), maxOf(total), f.ctx.target);
  const which = grid[1] === 1 ? id : min(id, sub(total, i32(1)));
  const [tile, chunk] = delinearize(which, [i32(1), chunksOf(s)]) as [Expr, Expr];
  const lx = variable('local0', 'local', 'i32', [0, wide - 1]);
  const ly = variable('local1', 'local', 'i32', [0, slices - 1]);
  const column = variable('column', 'let', 'i32', [0, Math.max(0, maxOf(count) - 1)]);
  // The guard asks the unbounded expression: the variable's range holds only behind the guard.
  const raw = add(mul(tile, i32(wide)), lx);
  const inside = compare('lt', raw, count);
  const r = range(s, chunk);
  const body: Stmt[] = [letVar(column, raw), ...named(p, column), ...r.lets];
  const accs = declare(p.levels[0]!, body);
  body.push(...ifThen(inside, [overRange(p, add(r.begin, ly), r.end, accumulate(f, p, accs), slices)]));
  const own = add(mul(ly, i32(wide)), lx);
  const values = sums(p).map((n, i) => {
    const m = f.local(`shared${i}`, 'workgroup', accs[i]!.acc.scalar, wide * slices);
    body.push(store(m, own, accs[i]!.value), { kind: 'barrier' });
    for (let half = slices / 2; half >= 1; half /= 2)
      body.push(...ifThen(compare('lt', ly, i32(half)), [store(m, own, combine(n.attrs.fn, load(m, own), load(m, add(own, i32(half * wide)))))]), {
        kind: 'barrier',
      });
    return load(m, lx);
  });
  body.push(...ifThen(compare('eq', ly, i32(0)), ifThen(inside, storePartials(f, s, slot(s, chunk, column), values))));
  return f.finish(body, { grid, workgroupSize: [wide, slices, 1] });
}

/** The second step: partial results to results, and what is computed of them per row. */
function finish(f: Frame, s: Split): LoweredKernel {
  const { p } = s;
  const count = product(keptOf(p));
  const chunks = chunksOf(s);
  const reductions = sums(p);
  const row = variable('row', f.ctx.target.kind === 'webgpu' ? 'let' : 'loop', 'i32', [0, Math.max(0, maxOf(count) - 1)]);
  const k = variable('k', 'loop', 'i32', [0, Math.max(0, maxOf(chunks) - 1)]);
  const add1 = (accs: ReturnType<typeof declare>): Stmt[] =>
    reductions.map((n, i) => assign(accs[i]!.value, combine(n.attrs.fn, accs[i]!.value, load(f.memoryOf(s.temps[i]!), slot(s, k, row)))));
  const results = (values: readonly Expr[]): Stmt[] => {
    const out: Stmt[] = [];
    reductions.forEach((n, i) => f.em.bind(n.outputs[0]!, () => values[i]!));
    storeRow(f, p, out);
    return out;
  };
  if (f.ctx.target.kind === 'wasm') {
    const group = variable('group0', 'group', 'i32', [0, 2147483646]);
    const rows = s.finish;
    const blocks = inBlocks(reductions, i32(0), chunks, maxOf(chunks), 32, (accs, from, to) => [forLoop(k, from, to, add1(accs))]);
    const begin = mul(group, i32(rows));
    const body = [...named(p, row), ...blocks.stmts, ...results(blocks.totals)];
    return f.finish([forLoop(row, begin, min(add(begin, i32(rows)), count), body)], {
      grid: [sizeCeilDiv(exprSize(count), rows), 1, 1],
      parallel: maxOf(count) * maxOf(chunks) > 60000,
    });
  }
  const threads = s.finish;
  const { grid, id } = linearGrid(exprSize(count), maxOf(count), f.ctx.target);
  const local = variable('local0', 'local', 'i32', [0, threads - 1]);
  const body: Stmt[] = [letVar(row, grid[1] === 1 ? id : min(id, sub(count, i32(1)))), ...named(p, row)];
  const accs = declare(p.levels[0]!, body);
  body.push(forLoop(k, local, chunks, add1(accs), { step: threads }));
  const shared = sharedArrays(f, threads);
  const values = accs.map((a) => treeReduce(a, shared, local, threads, body));
  body.push(...ifThen(compare('eq', local, i32(0)), results(values)));
  return f.finish(body, { grid, workgroupSize: [threads, 1, 1] });
}
