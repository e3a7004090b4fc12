/**
 * matmul on WASM. A group owns a block of rows and columns. Per block of the contracted axes it packs the right operand into panels of a few vectors (and, where its rows
 * are not contiguous along k or it has a prologue or padding, the left operand too) in the thread's scratch memory, and runs a register tile over them: rows x vectors of
 * accumulators, one splat and a few multiply-adds a step (docs/wasm-codegen.md has the measured shapes). Convolutions differ only in the expressions of
 * their operands (implicit GEMM). Long contractions are cut in blocks that fit the caches; the block of the result then waits in scratch memory.
 * The epilogue runs on each finished tile while it is in the first-level cache.
 */
import { evalDim } from '../../ir/dim.js';
import { add, coefficient, compare, constant, div, type Expr, i32, linear, load, mad, min, mul, splat, sub, varsOf, type VarExpr, variable } from '../kernel/expr.js';
import { assign, forLoop, ifThen, letVar, type Memory, mutable, type Stmt, store } from '../kernel/ir.js';
import type { Frame, LoweredKernel } from '../lower/frame.js';
import { type Axis, delinearize, dimExpr, exprSize, linearize, maxSize, sizeCeilDiv, sizeMul } from '../lower/space.js';
import type { ContractionSpec } from './contraction-spec.js';
import { mergeAxes } from './grid.js';
import type { SizeExpr } from '../../runtime/plan.js';

/** Longest block of the contracted axes. */
const maxDepth = 1024;

const loopVar = (hint: string, most: number): VarExpr => variable(hint, 'loop', 'i32', [0, Math.max(0, most - 1)]);

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

function cutDepth(f: Frame, s: ContractionSpec): Depth {
  const sizes = s.k.map((d) => evalDim(d, f.ctx.symbols));
  let from = sizes.length;
  let size = 1;
  while (from > 0 && size * sizes[from - 1]! <= maxDepth) size *= sizes[--from]!;
  if (from === sizes.length && from > 0) {
    // the last axis alone is too long: cut it
    const last = sizes[from - 1]!;
    let chunk = 512;
    for (const c of [512, 448, 576, 384, 640, 768, 1024, 256]) {
      if (last % c === 0) {
        chunk = c;
        break;
      }
    }
    const total = f.dim(s.k[from - 1]!);
    const blocks = Math.ceil(last / chunk);
    const block: Axis = { v: loopVar('kb', blocks), extent: total.kind === 'const' ? i32(blocks) : div(add(total, i32(chunk - 1)), i32(chunk)) };
    const outer = s.k.slice(0, from - 1).map((d): Axis => ({ v: loopVar('ko', evalDim(d, f.ctx.symbols)), extent: f.dim(d) }));
    const count = total.kind === 'const' && last % chunk === 0 ? i32(chunk) : min(i32(chunk), sub(total, mul(block.v, i32(chunk))));
    return {
      outer: [...outer, block], size: chunk, count, inner: [{ v: loopVar('k', chunk), extent: count }],
      index: (inner) => [...outer.map((a) => a.v), add(mul(block.v, i32(chunk)), inner[0]!)],
    };
  }
  const outer = s.k.slice(0, from).map((d): Axis => ({ v: loopVar('ko', evalDim(d, f.ctx.symbols)), extent: f.dim(d) }));
  const inner = s.k.slice(from).map((d): Axis => ({ v: loopVar('k', evalDim(d, f.ctx.symbols)), extent: f.dim(d) }));
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
function chooseBlocks(m: number, n: number, k: number, batch: number, threads: number, packLeft: boolean): Blocks {
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
  while (groups() < wanted && mBlock > 32) mBlock = Math.max(32, Math.ceil(mBlock / 2 / rows) * rows);
  while (groups() < wanted && nBlock > width * 2) nBlock = Math.max(width, Math.ceil(nBlock / 2 / width) * width);
  return { rows, vectors, mBlock, nBlock };
}

export function lowerGemmWasm(f: Frame, s: ContractionSpec): LoweredKernel {
  const max = f.ctx.symbols;
  const [mMax, nMax, kMax] = [maxSize(s.m, max), maxSize(s.n, max), maxSize(s.k, max)];
  const batchMax = maxSize(s.batch, max);
  const depth = cutDepth(f, s);
  const k = loopVar('k', depth.size);
  const kIndex = depth.index(delinearize(k, depth.inner.map((a) => a.extent)));
  const dims = (ds: ContractionSpec['m']): Expr[] => ds.map((d) => dimExpr(d, max));
  const total = (ds: ContractionSpec['m']): Expr => dims(ds).reduce<Expr>((a, e) => mul(a, e), i32(1));
  const [mTotal, nTotal] = [total(s.m), total(s.n)];
  const batchVars = s.batch.map((d) => loopVar('b', evalDim(d, max)));
  const mProbe = loopVar('m', mMax);
  const nProbe = loopVar('n', nMax);
  const at = (e: Expr, ds: ContractionSpec['m']): Expr[] => delinearize(e, dims(ds));
  const probe = f.em.within([], () => ({ left: s.left(batchVars, at(mProbe, s.m), kIndex), right: s.right(batchVars, at(nProbe, s.n), kIndex) }));
  const leftStride = strideOf(probe.left, k);
  const rightN = probe.right.kind === 'load' ? coefficient(probe.right.args[0]!, nProbe) : null;
  const rightStride = strideOf(probe.right, k);
  const packLeft = !(leftStride === 1 || (leftStride !== null && (depth.size < 8 || mMax <= 4)));
  const blocks = chooseBlocks(mMax, nMax, depth.size, batchMax, f.ctx.target.threads, packLeft);
  const { rows, vectors, mBlock, nBlock } = blocks;
  const width = vectors * 4;
  const packRight = !(rightN === 1 && rightStride !== null && (mMax <= 8 || rightStride === width));
  // k-major packing where neighbours along m are contiguous
  const leftM = probe.left.kind === 'load' ? coefficient(probe.left.args[0]!, mProbe) : null;
  const kMajor = leftM === 1 || (leftStride !== 1 && mInnermostContiguous(probe.left, mProbe));
  const cut = depth.outer.length > 0;
  const mBlocks = typeof exprSize(mTotal) === 'number' ? Math.ceil(mMax / mBlock) : null;
  const nBlocks = Math.ceil(nMax / nBlock);

  const group = variable('group0', 'group', 'i32', [0, 2147483646]);
  const groupAt = delinearize(group, [...s.batch.map((d) => dimExpr(d, max)), i32(nBlocks), mBlocks === null ? div(add(mTotal, i32(mBlock - 1)), i32(mBlock)) : i32(mBlocks)]);
  const block: Stmt[] = batchVars.map((v, i) => letVar(v, groupAt[i]!));
  const m0 = variable('m0', 'let', 'i32', [0, Math.max(0, mMax - 1)]);
  const n0 = variable('n0', 'let', 'i32', [0, Math.max(0, nMax - 1)]);
  block.push(letVar(m0, mul(groupAt.at(-1)!, i32(mBlock))), letVar(n0, mul(groupAt.at(-2)!, i32(nBlock))));
  const mEven = mTotal.kind === 'const' && mTotal.value % mBlock === 0;
  const mCount: Expr = mEven ? i32(mBlock) : min(i32(mBlock), sub(mTotal, m0));
  const nCount: Expr = nMax % nBlock === 0 ? i32(nBlock) : min(i32(nBlock), sub(nTotal, n0));
  const lastRow = sub(mTotal, i32(1));

  const left = packLeft ? f.local('left', 'private', 'f32', mBlock * depth.size) : null;
  const right = packRight ? f.local('right', 'private', 'f32', depth.size * width) : null;
  const partial = cut ? f.local('partial', 'private', 'f32', mBlock * nBlock) : null;
  const tile = cut ? null : f.local('tile', 'private', 'f32', rows * width);

  const clampRow = (m: Expr): Expr => (mEven ? m : min(m, lastRow));

  /** Statements that run the epilogue for one row and `count` columns from column n (absolute). */
  const finish = (row: Expr, column: Expr, count: Expr, value: (lane: Expr) => Expr, most: number): Stmt => {
    const lane = loopVar('n', most);
    const body: Stmt[] = [];
    const index = s.out(batchVars, at(row, s.m), at(add(column, lane), s.n));
    f.em.bind(s.output, () => value(lane));
    f.em.within(body, () => {
      for (const v of f.region.outputs) body.push(store(f.memoryOf(v), add(f.baseOf(v), linearize(index, v.shape, max)), f.em.value(v, index)));
    });
    f.em.unbind(s.output);
    return forLoop(lane, i32(0), count, body, { parallel: true });
  };

  const inside: Stmt[] = [];
  if (left) inside.push(...packLeftStmts(f, s, depth, left, kMajor, { m0, mCount, mBlock, batch: batchVars, at }));

  /** The register tile at rows from `mi` and columns from `n` of the block, `lanes` wide vectors. */
  const micro = (mi: Expr, ni: Expr, lanes: readonly (1 | 4)[]): Stmt[] => {
    const out: Stmt[] = [];
    const offsets = lanes.map((_, j) => lanes.slice(0, j).reduce<number>((a, b) => a + b, 0));
    const span = lanes.reduce<number>((a, b) => a + b, 0);
    const accs = Array.from({ length: rows }, () => lanes.map((l) => variable('acc', 'mutable', 'f32', undefined, l)));
    const rowOf = (r: number): Expr => add(mi, i32(r));
    for (let r = 0; r < rows; r++) {
      lanes.forEach((l, j) => out.push(mutable(accs[r]![j]!, partial ? load(partial, add(mul(rowOf(r), i32(nBlock)), add(ni, i32(offsets[j]!))), l) : constant(0, 'f32', l))));
    }
    const body: Stmt[] = [];
    const bs = lanes.map((l, j) => {
      const b = variable('b', 'let', 'f32', undefined, l);
      const column = add(n0, add(ni, i32(offsets[j]!)));
      if (right) body.push(letVar(b, load(right, add(mul(k, i32(width)), i32(offsets[j]!)), l)));
      else {
        const e = f.em.within(body, () => s.right(batchVars, at(column, s.n), kIndex));
        body.push(letVar(b, l === 1 || e.kind !== 'load' ? e : load(e.memory, e.args[0]!, l)));
      }
      return b;
    });
    for (let r = 0; r < rows; r++) {
      const a = variable('a', 'let', 'f32');
      const e = left
        ? load(left, kMajor ? add(mul(k, i32(mBlock)), rowOf(r)) : add(mul(rowOf(r), i32(depth.size)), k))
        : f.em.within(body, () => s.left(batchVars, at(clampRow(add(m0, rowOf(r))), s.m), kIndex));
      body.push(letVar(a, e));
      bs.forEach((b, j) => {
        const acc = accs[r]![j]!;
        body.push(assign(acc, mad(b.lanes === 1 ? a : splat(a, b.lanes), b, acc)));
      });
    }
    out.push(forLoop(k, i32(0), depth.count, body));
    for (let r = 0; r < rows; r++) {
      if (partial) {
        lanes.forEach((_, j) => out.push(store(partial, add(mul(rowOf(r), i32(nBlock)), add(ni, i32(offsets[j]!))), accs[r]![j]!)));
        continue;
      }
      lanes.forEach((_, j) => out.push(store(tile!, i32(r * width + offsets[j]!), accs[r]![j]!)));
    }
    if (!partial) {
      for (let r = 0; r < rows; r++) {
        const done = finish(add(m0, rowOf(r)), add(n0, ni), i32(span), (lane) => load(tile!, add(i32(r * width), lane)), span);
        out.push(...(mEven && mBlock % rows === 0 ? [done] : ifThen(compare('lt', rowOf(r), mCount), [done])));
      }
    }
    return out;
  };

  /** One panel of columns: pack, then all rows. */
  const panel = (ni: Expr, lanes: readonly (1 | 4)[]): Stmt[] => {
    const span = lanes.reduce<number>((a, b) => a + b, 0);
    const out: Stmt[] = [];
    if (right) out.push(...packRightStmts(f, s, depth, right, width, span, { column: add(n0, ni), batch: batchVars, at, contiguous: rightN === 1 }));
    const mi = loopVar('mi', Math.ceil(mBlock / rows));
    const count = mCount.kind === 'const' ? i32(Math.ceil(mCount.value / rows)) : div(add(mCount, i32(rows - 1)), i32(rows));
    out.push(forLoop(mi, i32(0), count, micro(mul(mi, i32(rows)), ni, lanes)));
    return out;
  };

  const tail = nMax % width;
  const p = loopVar('p', Math.ceil(nBlock / width));
  const full: Expr = nCount.kind === 'const' && tail === 0 ? i32(nCount.value / width) : div(nCount, i32(width));
  const lanesOf = (w: number): (1 | 4)[] => [...Array<4>(Math.floor(w / 4)).fill(4), ...Array<1>(w % 4).fill(1)];
  if (nMax >= width) inside.push(forLoop(p, i32(0), full, panel(mul(p, i32(width)), lanesOf(width))));
  if (tail > 0) {
    const start = i32(((nMax % nBlock || nBlock) - tail));
    const last = panel(start, lanesOf(tail));
    inside.push(...(nBlocks === 1 ? last : ifThen(compare('eq', groupAt.at(-2)!, i32(nBlocks - 1)), last)));
  }
  if (partial) {
    const c = loopVar('c', mBlock * nBlock);
    block.push(forLoop(c, i32(0), i32(mBlock * nBlock), [store(partial, c, constant(0, 'f32'))], { parallel: true }));
    block.push(...nest(depth.outer, inside, false));
    const r = loopVar('r', mBlock);
    block.push(forLoop(r, i32(0), mCount, [finish(add(m0, r), n0, nCount, (lane) => load(partial, add(mul(r, i32(nBlock)), lane)), nBlock)]));
  } else block.push(...inside);

  const groups: SizeExpr = sizeMul(sizeMul(s.batch.map((d) => exprSize(dimExpr(d, max))).reduce((a, b) => sizeMul(a, b), 1), nBlocks), sizeCeilDiv(exprSize(mTotal), mBlock));
  return f.finish(block, {
    grid: [groups, 1, 1], parallel: mMax * nMax * kMax * batchMax > 150000,
    schedule: `matmul block(${mBlock}x${nBlock}x${depth.size}) tile(${rows}x${width})${left ? ` pack-left(${kMajor ? 'km' : 'mk'})` : ''}${right ? ' pack-right' : ''}${cut ? ' cut-k' : ''}`,
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

interface PackLeft {
  readonly m0: Expr;
  readonly mCount: Expr;
  readonly mBlock: number;
  readonly batch: readonly Expr[];
  readonly at: (e: Expr, dims: ContractionSpec['m']) => Expr[];
}

/** left[m][k] or left[k][m] for the block's rows. */
function packLeftStmts(f: Frame, s: ContractionSpec, depth: Depth, left: Memory, kMajor: boolean, o: PackLeft): Stmt[] {
  const r = loopVar('r', o.mBlock);
  const axes = depth.inner.map((a) => ({ v: loopVar('k', Math.max(1, a.extent.hi)), extent: a.extent }));
  const flat = axes.reduce<Expr>((acc, a) => add(mul(acc, a.extent), a.v), i32(0));
  const body: Stmt[] = [];
  f.em.within(body, () => {
    const e = s.left(o.batch, o.at(add(o.m0, r), s.m), depth.index(axes.map((a) => a.v)));
    body.push(store(left, kMajor ? add(mul(flat, i32(o.mBlock)), r) : add(mul(r, i32(depth.size)), flat), e));
  });
  const merged = mergeAxes(axes, body);
  if (kMajor) return [...nest(merged.axes, [forLoop(r, i32(0), o.mCount, merged.stmts, { parallel: true })], false)];
  return [forLoop(r, i32(0), o.mCount, nest(merged.axes, merged.stmts, true))];
}

/** Loops over axes, outermost first. */
const nest = (axes: readonly Axis[], body: readonly Stmt[], parallelInner: boolean): readonly Stmt[] =>
  [...axes].reverse().reduce<readonly Stmt[]>((b, a, i) => [forLoop(a.v, i32(0), a.extent, b, { parallel: parallelInner && i === 0 })], body);

interface PackRight {
  readonly column: Expr;
  readonly batch: readonly Expr[];
  readonly at: (e: Expr, dims: ContractionSpec['m']) => Expr[];
  readonly contiguous: boolean;
}

/** right[k][width] for one panel. */
function packRightStmts(f: Frame, s: ContractionSpec, depth: Depth, right: Memory, width: number, span: number, o: PackRight): Stmt[] {
  const n = loopVar('n', span);
  const axes = depth.inner.map((a) => ({ v: loopVar('k', Math.max(1, a.extent.hi)), extent: a.extent }));
  const flat = axes.reduce<Expr>((acc, a) => add(mul(acc, a.extent), a.v), i32(0));
  const body: Stmt[] = [];
  f.em.within(body, () => {
    const e = s.right(o.batch, o.at(add(o.column, n), s.n), depth.index(axes.map((a) => a.v)));
    body.push(store(right, add(mul(flat, i32(width)), n), e));
  });
  const merged = mergeAxes(axes, body);
  if (o.contiguous) return [...nest(merged.axes, [forLoop(n, i32(0), i32(span), merged.stmts, { parallel: true })], false)];
  return [forLoop(n, i32(0), i32(span), nest(merged.axes, merged.stmts, true))];
}
