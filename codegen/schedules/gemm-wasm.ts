/**
 * matmul on WASM. A group owns a block of rows and columns. Per block of the contracted axes it packs the right operand into panels of a few vectors (and, where its rows
 * are not contiguous along k or it has a prologue or padding, the left operand too) in the thread's scratch memory, and runs a register tile over them: rows x vectors of
 * accumulators, one splat and a few multiply-adds a step (docs/wasm-codegen.md has the measured shapes). Convolutions differ only in the expressions of
 * their operands (implicit GEMM). Long contractions are cut in blocks that fit the caches; the block of the result then waits in scratch memory.
 * The epilogue runs on each finished tile while it is in the first-level cache.
 */
import { evalDim } from '../../ir/dim.js';
import type { SizeExpr } from '../../runtime/plan.js';
import {
  add,
  coefficient,
  compare,
  constant,
  div,
  type Expr,
  i32,
  isMultiple,
  linear,
  load,
  mad,
  min,
  mul,
  splat,
  sub,
  type VarExpr,
  variable,
  varsOf,
} from '../kernel/expr.js';
import { assign, forLoop, ifThen, letVar, type Memory, mutable, type Stmt, store } from '../kernel/ir.js';
import type { Frame, LoweredKernel } from '../lower/frame.js';
import { type Axis, delinearize, dimExpr, exprSize, maxSize, sizeCeilDiv, sizeMul } from '../lower/space.js';
import type { ParametersOf } from '../schedule.js';
import { matmulBlocks } from '../schedule-families.js';
import type { ContractionSpec } from './contraction-spec.js';
import { epilogueOfRegisters, epilogueStmt, type GemmEnv } from './gemm-epilogue.js';
import { dimsOf, leftIndex, loopVar, nest, packLeftStmts, packRightStmts, packWholeRight, tileStride } from './gemm-pack.js';
import { liesInPanels, lowerPanels, readsPanels } from './gemm-panel.js';
import { rowTimesMatrix } from './gemm-row.js';

/** Longest block of the contracted axes: with 1024, a panel of the right operand alone fills the first-level cache (measured: 33 GFLOP/s against 46). */
const maxDepth = 960;
/** Where the contracted axes are cut anyway: a panel of the right operand then lies in the first-level cache. */
const preferredDepth = 512;

/** The contracted axes cut in outer loops and one inner flat axis. */
interface Depth {
  readonly outer: readonly Axis[];
  /** Extent of the inner flat axis: constant size for layout, and the trip count. */
  readonly size: number;
  readonly count: Expr;
  /** Axes of the inner part, for staging loops. */
  readonly inner: readonly Axis[];
  /** Index of the contracted axes from the outer variables and inner index. */
  readonly index: (inner: readonly Expr[]) => Expr[];
}

/** How many elements of the contracted axes a block takes at most: whole axes, or a part of one that is too long. */
function chooseDepth(sizes: readonly number[]): number {
  let from = sizes.length;
  let size = 1;
  while (from > 0 && size * sizes[from - 1]! <= (from === 1 || from === sizes.length ? maxDepth : preferredDepth)) size *= sizes[--from]!;
  if (from === sizes.length && from > 0) return [512, 448, 576, 384, 640, 768, 1024, 256].find((c) => sizes[from - 1]! % c === 0) ?? 512;
  const part = from > 0 ? Math.floor(preferredDepth / Math.max(1, size)) : 0;
  if (part < 2) return Math.max(1, size);
  // a part of the next axis, cut evenly
  const whole = sizes[from - 1]!;
  return Math.max(1, size * Math.ceil(whole / Math.ceil(whole / part)));
}

/** The contracted axes cut so that a block takes at most `most` elements. */
function cutDepth(f: GemmEnv, s: ContractionSpec, most: number): Depth {
  const dim = (d: ContractionSpec['k'][number]): Expr => dimExpr(d, f.ctx.symbols);
  const sizes = s.k.map((d) => evalDim(d, f.ctx.symbols));
  let from = sizes.length;
  let size = 1;
  while (from > 0 && size * sizes[from - 1]! <= most) size *= sizes[--from]!;
  if (from === sizes.length && from > 0) {
    // the last axis alone is too long: cut it
    const last = sizes[from - 1]!;
    const chunk = most;
    const total = dim(s.k[from - 1]!);
    const blocks = Math.ceil(last / chunk);
    const block: Axis = { v: loopVar('kb', blocks), extent: total.kind === 'const' ? i32(blocks) : div(add(total, i32(chunk - 1)), i32(chunk)) };
    const outer = s.k.slice(0, from - 1).map((d): Axis => ({ v: loopVar('ko', evalDim(d, f.ctx.symbols)), extent: dim(d) }));
    const count = total.kind === 'const' && last % chunk === 0 ? i32(chunk) : min(i32(chunk), sub(total, mul(block.v, i32(chunk))));
    return {
      outer: [...outer, block],
      size: chunk,
      count,
      inner: [{ v: loopVar('k', chunk), extent: count }],
      index: (inner) => [...outer.map((a) => a.v), add(mul(block.v, i32(chunk)), inner[0]!)],
    };
  }
  const inner = s.k.slice(from).map((d): Axis => ({ v: loopVar('k', evalDim(d, f.ctx.symbols)), extent: dim(d) }));
  const part = from > 0 ? Math.floor(most / size) : 0;
  if (part >= 2) {
    // a part of the next axis belongs to the inner ones
    const whole = sizes[from - 1]!;
    const blocks = Math.ceil(whole / part);
    const each = Math.ceil(whole / blocks);
    const total = dim(s.k[from - 1]!);
    const block: Axis = { v: loopVar('kb', blocks), extent: total.kind === 'const' ? i32(blocks) : div(add(total, i32(each - 1)), i32(each)) };
    const outer = s.k.slice(0, from - 1).map((d): Axis => ({ v: loopVar('ko', evalDim(d, f.ctx.symbols)), extent: dim(d) }));
    const extent = total.kind === 'const' && whole % each === 0 ? i32(each) : min(i32(each), sub(total, mul(block.v, i32(each))));
    const axes = [{ v: loopVar('k', each), extent }, ...inner];
    return {
      outer: [...outer, block],
      size: size * each,
      count: axes.reduce<Expr>((a, x) => mul(a, x.extent), i32(1)),
      inner: axes,
      index: (ix) => [...outer.map((a) => a.v), add(mul(block.v, i32(each)), ix[0]!), ...ix.slice(1)],
    };
  }
  const outer = s.k.slice(0, from).map((d): Axis => ({ v: loopVar('ko', evalDim(d, f.ctx.symbols)), extent: dim(d) }));
  const count = inner.reduce<Expr>((a, x) => mul(a, x.extent), i32(1));
  return { outer, size, count, inner, index: (ix) => [...outer.map((a) => a.v), ...ix] };
}

/** A plain load of float32 whose index is linear in `k`; null otherwise. */
function strideOf(e: Expr, k: VarExpr): number | null {
  if (e.kind !== 'load' || e.memory.space !== 'global') return null;
  return coefficient(e.args[0]!, k);
}

interface Blocks {
  readonly rows: number;
  readonly vectors: number;
  readonly mBlock: number;
  readonly nBlock: number;
}

/** Register tile and block sizes from the sizes of the product. */
function chooseBlocks(m: number, n: number, k: number, batch: number, threads: number, packLeft: boolean, unit: number): Blocks {
  if (m === 1 && n >= 32) {
    // one row times a matrix: long pieces of the matrix's rows, one or two for each thread
    const parts = n * k < 30000 ? 1 : n >= 256 * threads ? 2 * threads : threads;
    // the row of sums and the packed operands share a group's 4 MiB
    const most = Math.max(8, Math.floor(((1 << 20) - 9 * k) / 8) * 8);
    return { rows: 1, vectors: 2, mBlock: 1, nBlock: Math.min(most, Math.ceil(n / parts / 8) * 8) };
  }
  const rows = m >= 3 ? 4 : m;
  const vectors = Math.max(1, Math.min(8 / (rows === 3 ? 4 : rows), Math.ceil(n / 4)));
  const width = vectors * 4;
  const work = m * n * k * batch;
  // enough groups for the threads to share, while packed operands are used often
  const wanted = work > 200000 ? threads * 3 : 1;
  let mBlock = Math.min(Math.ceil(m / rows) * rows, 128);
  if (packLeft) mBlock = Math.min(mBlock, Math.max(rows, Math.floor(48000 / k / rows) * rows));
  let nBlock = Math.min(Math.ceil(n / width) * width, 512);
  const groups = (): number => batch * Math.ceil(m / mBlock) * Math.ceil(n / nBlock);
  // what is packed once for a group is packed again by the groups beside it: the axis of the other operand is cut first
  if (!packLeft) while (groups() < wanted && nBlock > 64) nBlock = Math.max(64, Math.ceil(nBlock / 2 / width) * width);
  while (groups() < wanted && mBlock > 32) mBlock = Math.max(32, Math.ceil(mBlock / 2 / rows) * rows);
  while (groups() < wanted && nBlock > width * 2) nBlock = Math.max(width, Math.ceil(nBlock / 2 / width) * width);
  // packing copies whole units: runs of rows that are neighbours in memory
  if (unit > 1 && mBlock > unit && unit % rows === 0) mBlock = Math.floor(mBlock / unit) * unit;
  else if (unit > 1 && unit < 32 && unit % rows !== 0) mBlock = Math.ceil(mBlock / (unit * rows)) * unit * rows;
  else if (unit > mBlock) while (unit % mBlock !== 0 && mBlock > rows) mBlock -= rows;
  return { rows, vectors, mBlock, nBlock };
}

/** What is decided about a product before its statements are made. */
export interface GemmShape {
  readonly env: GemmEnv;
  readonly s: ContractionSpec;
  readonly depth: Depth;
  readonly k: VarExpr;
  readonly kIndex: readonly Expr[];
  readonly batch: readonly VarExpr[];
  readonly mMax: number;
  readonly nMax: number;
  readonly mTotal: Expr;
  readonly nTotal: Expr;
  readonly leftStride: number | null;
  /** Neighbours along n of the right operand are neighbours in memory. */
  readonly rightContiguous: boolean;
  readonly rightStride: number | null;
  readonly kMajor: boolean;
  readonly packLeft: boolean;
}

const totalOf = (ds: ContractionSpec['m'], env: GemmEnv): Expr => dimsOf(ds, env).reduce<Expr>((a, e) => mul(a, e), i32(1));

/** `depth`: elements of the contracted axes in a block, at most. */
export function analyseGemm(env: GemmEnv, s: ContractionSpec, wanted: number | null = null): GemmShape {
  const max = env.ctx.symbols;
  const [mMax, nMax] = [maxSize(s.m, max), maxSize(s.n, max)];
  const depth = cutDepth(env, s, wanted ?? chooseDepth(s.k.map((d) => evalDim(d, max))));
  const k = loopVar('k', depth.size);
  const kIndex = depth.index(
    delinearize(
      k,
      depth.inner.map((a) => a.extent),
    ),
  );
  const batch = s.batch.map((d) => loopVar('b', evalDim(d, max)));
  const [mProbe, nProbe] = [loopVar('m', mMax), loopVar('n', nMax)];
  const at = (e: Expr, ds: ContractionSpec['m']): Expr[] => delinearize(e, dimsOf(ds, env));
  const probe = env.em.within([], () => ({ left: s.left(batch, at(mProbe, s.m), kIndex), right: s.right(batch, at(nProbe, s.n), kIndex) }));
  const leftStride = strideOf(probe.left, k);
  const leftM = probe.left.kind === 'load' ? coefficient(probe.left.args[0]!, mProbe) : null;
  return {
    env,
    s,
    depth,
    k,
    kIndex,
    batch,
    mMax,
    nMax,
    mTotal: totalOf(s.m, env),
    nTotal: totalOf(s.n, env),
    leftStride,
    rightContiguous: probe.right.kind === 'load' && coefficient(probe.right.args[0]!, nProbe) === 1,
    rightStride: strideOf(probe.right, k),
    // k-major packing where neighbours along m are contiguous
    kMajor: leftM === 1 || (leftStride !== 1 && mInnermostContiguous(probe.left, mProbe)),
    // rows that are contiguous, but at irregular distances, are packed for many columns: the tile then has one pointer, not one for each row
    packLeft: !((leftStride === 1 && (leftM !== null || nMax < 64)) || (leftStride !== null && (depth.size < 8 || mMax <= 4))),
  };
}

/** Where a block of the product lies, and how it is cut. */
export interface GemmBlock {
  readonly m0: Expr;
  readonly mCount: Expr;
  readonly mBlock: number;
  readonly n0: Expr;
  readonly nCount: Expr;
  readonly nBlock: number;
  readonly rows: number;
  readonly vectors: number;
  /** All rows of every register tile exist. */
  readonly mEven: boolean;
  /** Condition that this block is the one that holds the last, incomplete panel; null: it always is. */
  readonly lastPanel: Expr | null;
  /** The whole right operand packed before, panel by panel: `[panel][k][width]`. */
  readonly packedRight: Memory | null;
}

/** Statements that compute one block of the product, epilogue included. */
export function emitGemmBlock(g: GemmShape, o: GemmBlock): Stmt[] {
  const { env, s, depth, k, kIndex, batch } = g;
  const { rows, mBlock, nBlock, m0, n0, mCount, nCount } = o;
  const width = o.vectors * 4;
  const cut = depth.outer.length > 0;
  const oneRow = rows === 1 && g.rightContiguous && !o.packedRight && g.nMax >= 32;
  const at = (e: Expr, ds: ContractionSpec['m']): Expr[] => delinearize(e, dimsOf(ds, env));
  const directRight = (g.rightContiguous && g.rightStride !== null && (g.mMax <= 8 || g.rightStride === width)) || liesInPanels(env, s, width);
  const left = g.packLeft && !oneRow ? env.local('left', 'f32', g.kMajor ? Math.ceil(mBlock / rows) * tileStride(g, rows) : mBlock * depth.size) : null;
  // Few contracted elements: all panels are packed first and a row tile meets them one after the other, so that rows of the result are written in order.
  const panels = Math.ceil(nBlock / width);
  const allPanels = !cut && !o.packedRight && panels > 1 && depth.size <= 64 && panels * width * depth.size <= 32768;
  const right = o.packedRight || directRight || oneRow ? null : env.local('right', 'f32', depth.size * width * (allPanels ? panels : 1));
  const partial = cut || oneRow ? env.local('partial', 'f32', mBlock * nBlock) : null;
  const tile = env.local('tile', 'f32', rows * width);
  const lastRow = sub(g.mTotal, i32(1));
  const clampRow = (m: Expr): Expr => (o.mEven ? m : min(m, lastRow));

  const finish = (row: Expr, column: Expr, count: Expr, value: (lane: Expr) => Expr, most: number): Stmt =>
    epilogueStmt(env, s, batch, row, column, count, most, value);

  if (oneRow) return [...rowTimesMatrix(g, o, partial!), finish(m0, n0, nCount, (lane) => load(partial!, lane), nBlock)];

  const inside: Stmt[] = [];
  if (left) inside.push(...packLeftStmts(g, left, o));

  /** The register tile at rows from `mi` and columns from `ni` of the block, in vectors of the given widths. */
  const micro = (mi: Expr, ni: Expr, lanes: readonly (1 | 4)[]): Stmt[] => {
    const out: Stmt[] = [];
    const offsets = lanes.map((_, j) => lanes.slice(0, j).reduce<number>((a, b) => a + b, 0));
    const span = lanes.reduce<number>((a, b) => a + b, 0);
    const accs = Array.from({ length: rows }, () => lanes.map((l) => variable('acc', 'mutable', 'f32', undefined, l)));
    const rowOf = (r: number): Expr => add(mi, i32(r));
    const partialAt = (r: number, j: number): Expr => add(mul(rowOf(r), i32(nBlock)), add(ni, i32(offsets[j]!)));
    accs.forEach((row, r) => lanes.forEach((l, j) => out.push(mutable(row[j]!, partial ? load(partial, partialAt(r, j), l) : constant(0, 'f32', l)))));
    const body: Stmt[] = [];
    const bs = lanes.map((l, j) => {
      const b = variable('b', 'let', 'f32', undefined, l);
      const column = add(ni, i32(offsets[j]!));
      if (o.packedRight) body.push(letVar(b, load(o.packedRight, add(mul(add(n0, ni), i32(depth.size)), add(mul(k, i32(width)), i32(offsets[j]!))), l)));
      else if (right) body.push(letVar(b, load(right, add(allPanels ? mul(ni, i32(depth.size)) : i32(0), add(mul(k, i32(width)), i32(offsets[j]!))), l)));
      else {
        const e = env.em.within(body, () => s.right(batch, at(add(n0, column), s.n), kIndex));
        body.push(letVar(b, l === 1 || e.kind !== 'load' ? e : load(e.memory, e.args[0]!, l)));
      }
      return b;
    });
    accs.forEach((row, r) => {
      const a = variable('a', 'let', 'f32');
      const e = left ? load(left, leftIndex(g, rows, rowOf(r), k)) : env.em.within(body, () => s.left(batch, at(clampRow(add(m0, rowOf(r))), s.m), kIndex));
      body.push(letVar(a, e));
      bs.forEach((b, j) => body.push(assign(row[j]!, mad(b.lanes === 1 ? a : splat(a, b.lanes), b, row[j]!))));
    });
    out.push(forLoop(k, i32(0), depth.count, body));
    if (partial) {
      accs.forEach((row, r) => row.forEach((acc, j) => out.push(store(partial, partialAt(r, j), acc))));
      return out;
    }
    const direct = accs.map((row, r) => epilogueOfRegisters(env, s, batch, add(m0, rowOf(r)), add(n0, ni), row));
    if (direct.every((d) => d !== null)) {
      direct.forEach((d, r) => out.push(...(o.mEven ? d : ifThen(compare('lt', rowOf(r), mCount), d))));
      return out;
    }
    accs.forEach((row, r) => row.forEach((acc, j) => out.push(store(tile, i32(r * width + offsets[j]!), acc))));
    const r = loopVar('r', rows);
    const count = o.mEven ? i32(rows) : min(i32(rows), sub(mCount, mi));
    const row = add(mi, r);
    const sums = lanes.map((l) => variable('sum', 'let', 'f32', undefined, l));
    const wide = lanes.every((l) => l === 4) ? epilogueOfRegisters(env, s, batch, add(m0, row), add(n0, ni), sums, true) : null;
    const each = wide
      ? [...sums.map((v, j) => letVar(v, load(tile, add(mul(r, i32(width)), i32(offsets[j]!)), 4))), ...wide]
      : [finish(add(m0, row), add(n0, ni), i32(span), (lane) => load(tile, add(mul(r, i32(width)), lane)), span)];
    out.push(forLoop(r, i32(0), count, each));
    return out;
  };

  const tail = g.nMax % width;
  const full: Expr = nCount.kind === 'const' ? i32(Math.floor(nCount.value / width)) : div(nCount, i32(width));
  /** All panels of columns: `body` for the whole ones, and for the incomplete one where this block has it. */
  const overPanels = (body: (ni: Expr, lanes: readonly (1 | 4)[]) => Stmt[]): Stmt[] => {
    const out: Stmt[] = [];
    const p = loopVar('p', panels);
    if (g.nMax >= width) out.push(forLoop(p, i32(0), full, body(mul(p, i32(width)), lanesOf(width))));
    if (tail === 0) return out;
    const last = body(i32((g.nMax % nBlock || nBlock) - tail), lanesOf(tail));
    return [...out, ...(o.lastPanel ? ifThen(o.lastPanel, last) : last)];
  };
  const spanOf = (lanes: readonly (1 | 4)[]): number => lanes.reduce<number>((x, y) => x + y, 0);
  const pack = (ni: Expr, lanes: readonly (1 | 4)[]): Stmt[] =>
    right ? packRightStmts(g, right, width, spanOf(lanes), add(n0, ni), allPanels ? mul(ni, i32(depth.size)) : i32(0)) : [];
  const overRows = (body: (mi: Expr) => Stmt[]): Stmt => {
    const mi = loopVar('mi', Math.ceil(mBlock / rows));
    const count = mCount.kind === 'const' ? i32(Math.ceil(mCount.value / rows)) : div(add(mCount, i32(rows - 1)), i32(rows));
    return forLoop(mi, i32(0), count, body(mul(mi, i32(rows))));
  };
  if (allPanels)
    inside.push(
      ...overPanels(pack),
      overRows((mi) => overPanels((ni, lanes) => micro(mi, ni, lanes))),
    );
  else inside.push(...overPanels((ni, lanes) => [...pack(ni, lanes), overRows((mi) => micro(mi, ni, lanes))]));
  if (!partial) return inside;
  const c = loopVar('c', mBlock * nBlock);
  const r = loopVar('r', mBlock);
  return [
    forLoop(c, i32(0), i32(mBlock * nBlock), [store(partial, c, constant(0, 'f32'))], { parallel: true }),
    ...nest(depth.outer, inside, false),
    forLoop(r, i32(0), mCount, [finish(add(m0, r), n0, nCount, (lane) => load(partial, add(mul(r, i32(nBlock)), lane)), nBlock)]),
  ];
}

const lanesOf = (w: number): (1 | 4)[] => [...Array<4>(Math.floor(w / 4)).fill(4), ...Array<1>(w % 4).fill(1)];

type GemmParameters = ParametersOf<typeof matmulBlocks.slots>;

/** Elements of the right operand, packed in panels. */
const wholeRight = (g: GemmShape, width: number): number => Math.ceil(g.nMax / width) * width * g.depth.size;

/** The default schedule of a product. */
function chooseGemm(g: GemmShape, batch: number, threads: number): GemmParameters {
  const unit = g.packLeft && g.kMajor ? evalDim(g.s.m.at(-1) ?? 1, g.env.ctx.symbols) : 1;
  const { rows, vectors, mBlock, nBlock } = chooseBlocks(Math.max(1, g.mMax), Math.max(1, g.nMax), Math.max(1, g.depth.size), batch, threads, g.packLeft, unit);
  const width = vectors * 4;
  // Where the right operand is small and rows are many, a group packs all of it once and computes several blocks of rows with it.
  const several =
    g.depth.outer.length === 0 && g.nMax <= nBlock && rows > 1 && wholeRight(g, width) <= 32768
      ? Math.max(1, Math.min(16, Math.floor((Math.ceil(g.mMax / mBlock) * batch) / (threads * 4))))
      : 1;
  const left = !g.packLeft ? 'direct' : g.kMajor ? 'tiles' : 'rows';
  return { mBlock, nBlock, depth: Math.max(1, g.depth.size), rows, width, left, several };
}

function gemmFits(g: GemmShape, p: GemmParameters): string | null {
  // a single row is walked in pieces of two vectors
  const unit = p.rows === 1 && g.rightContiguous && g.nMax >= 32 ? 8 : p.width;
  if (p.nBlock % unit !== 0) return `split(n) must be a multiple of ${unit}, found ${p.nBlock}`;
  if (p.left === 'direct' && g.leftStride === null) return 'stage(left): the operand does not lie in memory at one stride, so it must be packed';
  if (p.several > 1 && (g.depth.outer.length > 0 || g.nMax > p.nBlock || p.rows === 1))
    return 'group(m) needs a right operand that is packed whole, and more than one row at a time';
  return p.several > 1 && wholeRight(g, p.width) > 1048576 ? 'group(m): the right operand is too large to pack whole' : null;
}

export function lowerGemmWasm(f: Frame, s: ContractionSpec): LoweredKernel {
  const max = f.ctx.symbols;
  const env: GemmEnv = {
    em: f.em,
    ctx: f.ctx,
    outputs: f.region.outputs,
    memoryOf: (v) => f.memoryOf(v),
    baseOf: (v) => f.baseOf(v),
    local: (name, scalar, size) => f.local(name, 'private', scalar, size),
  };
  if (readsPanels(env, s)) return lowerPanels(f, env, s);
  const kMax = maxSize(s.k, max);
  const batchMax = maxSize(s.batch, max);
  const parameters = f.schedule(
    matmulBlocks,
    () => chooseGemm(analyseGemm(env, s), batchMax, f.ctx.target.threads),
    (p) => gemmFits(analyseGemm(env, s, p.depth), p),
  );
  const { rows, mBlock, nBlock, width, several } = parameters;
  const vectors = width / 4;
  const g: GemmShape = {
    ...analyseGemm(env, s, parameters.depth),
    packLeft: parameters.left !== 'direct',
    kMajor: parameters.left === 'tiles',
  };
  const nBlocks = Math.ceil(g.nMax / nBlock);
  const whole = wholeRight(g, width);
  const step = mBlock * several;
  const groupsOfRows = typeof exprSize(g.mTotal) === 'number' ? i32(Math.ceil(g.mMax / step)) : div(add(g.mTotal, i32(step - 1)), i32(step));
  const group = variable('group0', 'group', 'i32', [0, 2147483646]);
  const groupAt = delinearize(group, [...dimsOf(s.batch, env), i32(nBlocks), groupsOfRows]);
  const block: Stmt[] = g.batch.map((v, i) => letVar(v, groupAt[i]!));
  // Blocks are named by their numbers, whose ranges are known: that they begin at multiples of their size takes divisions out of the operands' indices, so that the vectors of a tile share a pointer.
  const nb = variable('nb', 'let', 'i32', [0, Math.max(0, nBlocks - 1)]);
  const mb = variable('mb', 'let', 'i32', [0, Math.max(0, Math.ceil(g.mMax / step) - 1)]);
  block.push(letVar(nb, groupAt.at(-2)!), letVar(mb, groupAt.at(-1)!));
  const n0 = nBlocks === 1 ? i32(0) : mul(nb, i32(nBlock));
  // with a symbolic batch, too, the number of rows may be a multiple of the tile's or the block's (tokens, pixels)
  const mEven = mBlock % rows === 0 && isMultiple(g.mTotal, rows);
  const at = (m0: Expr, packedRight: Memory | null): Stmt[] =>
    emitGemmBlock(g, {
      m0,
      n0,
      mBlock,
      nBlock,
      rows,
      vectors,
      mEven,
      packedRight,
      mCount: isMultiple(g.mTotal, mBlock) ? i32(mBlock) : min(i32(mBlock), sub(g.mTotal, m0)),
      nCount: g.nMax % nBlock === 0 ? i32(nBlock) : min(i32(nBlock), sub(g.nTotal, n0)),
      lastPanel: nBlocks === 1 ? null : compare('eq', nb, i32(nBlocks - 1)),
    });
  if (several > 1) {
    const packed = liesInPanels(env, s, width) ? null : env.local('right', 'f32', whole);
    const first = mul(mb, i32(step));
    const each = loopVar('each', several);
    const left = min(i32(several), div(add(sub(g.mTotal, first), i32(mBlock - 1)), i32(mBlock)));
    block.push(...(packed ? packWholeRight(g, packed, width) : []), forLoop(each, i32(0), left, at(add(first, mul(each, i32(mBlock))), packed)));
  } else block.push(...at(mul(mb, i32(mBlock)), null));
  const groups: SizeExpr = sizeMul(
    sizeMul(
      dimsOf(s.batch, env)
        .map(exprSize)
        .reduce((a, b) => sizeMul(a, b), 1),
      nBlocks,
    ),
    sizeCeilDiv(exprSize(g.mTotal), step),
  );
  return f.finish(block, {
    grid: [groups, 1, 1],
    parallel: g.mMax * g.nMax * kMax * batchMax > 150000,
  });
}

/** Whether some load in `e` moves by one element with m (through a select or a prologue). */
function mInnermostContiguous(e: Expr, m: VarExpr): boolean {
  const seen = new Set<Expr>();
  let found = false;
  const walk = (x: Expr): void => {
    if (seen.has(x) || found) return;
    seen.add(x);
    if (x.kind === 'load') {
      const l = linear(x.args[0]!);
      for (const [atom, c] of l.terms) if (c === 1 && (atom === m || (atom.kind === 'binary' && atom.fn === 'rem' && varsOf(atom).has(m)))) found = true;
    }
    for (const a of x.args) walk(a);
  };
  walk(e);
  return found;
}
