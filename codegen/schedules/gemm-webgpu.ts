/**
 * matmul on WebGPU. A workgroup of 8 x 8 threads owns a tile of the product: 64 x 64, or 32 x 32 where the product is small. Step by step along k it stages a
 * slice of both operands in workgroup memory, the left one transposed, so that a thread then reads its rows and columns as vectors: every element loaded from global memory serves 64
 * (32) multiply-adds. A thread keeps 8 x 8 (4 x 4) accumulators in registers: blocks of 4 x 4, 32 rows and columns apart, so that neighbouring threads read neighbouring vectors. The staged slices have
 * 8 elements of padding after every fourth k: of 32 neighbouring threads that store a row's elements along k, eight rows by four quads of k, each then hits a bank of its own, and vectors stay
 * aligned. Convolutions and fused prologues differ only in the expressions of the operands; guards appear only where sizes do not divide. Few rows (batch 1): a thread keeps all rows of
 * four columns over every eighth k; the partial sums of a workgroup meet in workgroup memory.
 */
import { add, and, compare, constant, div, type Expr, extract, i32, load, mad, mul, rem, select, splat, type VarExpr, variable } from '../kernel/expr.js';
import { assign, barrier, forLoop, ifThen, letVar, type Memory, mutable, type Stmt, store } from '../kernel/ir.js';
import type { Frame, LoweredKernel } from '../lower/frame.js';
import { delinearize, dimExpr, exprSize, maxSize, sizeCeilDiv, sizeMul } from '../lower/space.js';
import { matmulFewRows, matmulTiles, tileBytes } from '../schedule-families.js';
import type { ContractionSpec } from './contraction-spec.js';
import { lowerGemmDirect } from './gemm-direct.js';
import { groupThreads, linearGrid } from './grid.js';
import { firstIndex, joinLoads, letOf, Product, storeFour, zero } from './product.js';

export function lowerGemmWebGpu(f: Frame, s: ContractionSpec): LoweredKernel {
  const p = new Product(f, s);
  if (!f.ctx.target.stages) return lowerGemmDirect(f, s, p);
  return p.m <= 8 ? fewRows(f, s, p) : tiled(f, s, p);
}

/** Threads of a workgroup along each axis. */
const side = 8;
const threads = groupThreads;

function tiled(f: Frame, s: ContractionSpec, p: Product): LoweredKernel {
  const groups64 = Math.ceil(p.m / 64) * Math.ceil(p.n / 64) * maxSize(s.batch, p.max);
  const { mTile: tile, depth } = f.schedule(matmulTiles, () => {
    const depth = 16;
    const large = p.m > 32 && p.n > 32 && groups64 >= 64 && tileBytes(64, depth) <= f.ctx.target.maxWorkgroupStorage;
    const size = large ? 64 : 32;
    return { mTile: size, nTile: size, depth, mThreads: side, nThreads: side };
  });
  const span = 4 * side;
  const left = f.local('left_tile', 'workgroup', 'f32', (depth / 4) * quadStride(tile, depth));
  const right = f.local('right_tile', 'workgroup', 'f32', (depth / 4) * quadStride(tile, depth));
  const tx = variable('local0', 'local', 'i32', [0, side - 1]);
  const ty = variable('local1', 'local', 'i32', [0, side - 1]);
  const nTiles = Math.ceil(p.n / tile);
  const mTiles = sizeCeilDiv(exprSize(p.mTotal), tile);
  const batchSize = s.batch.map((d) => exprSize(dimExpr(d, p.max))).reduce((a, b) => sizeMul(a, b), 1);
  const { grid, id } = linearGrid(sizeMul(sizeMul(mTiles, nTiles), batchSize), Math.ceil(p.m / tile) * nTiles * maxSize(s.batch, p.max), f.ctx.target);
  const mTilesExpr = p.mTotal.kind === 'const' ? i32(Math.ceil(p.mTotal.value / tile)) : div(add(p.mTotal, i32(tile - 1)), i32(tile));
  const ids = delinearize(id, [...p.dims(s.batch), mTilesExpr, i32(nTiles)]);
  const block: Stmt[] = p.batch.map((v, i) => letVar(v, ids[i]!));
  // the tiles are named, not where they begin: an index is then seen to be a multiple of the tile and more
  const [mTileVar, nTileVar] = [letOf('mt', Math.ceil(p.m / tile)), letOf('nt', nTiles)];
  block.push(letVar(mTileVar, ids.at(-2)!), letVar(nTileVar, ids.at(-1)!));
  const [m0, n0] = [mul(mTileVar, i32(tile)), mul(nTileVar, i32(tile))];
  const thread = letOf('thread', threads);
  block.push(letVar(thread, add(mul(ty, i32(side)), tx)));
  // where a thread's blocks of four rows and of four columns begin
  const starts = Array.from({ length: tile / span }, (_, i) => i32(i * span));
  const rows = starts.flatMap((start) => [0, 1, 2, 3].map((i) => ({ start, i, accs: starts.map(() => variable('acc', 'mutable', 'f32', undefined, 4)) })));
  for (const row of rows) for (const acc of row.accs) block.push(mutable(acc, constant(0, 'f32', 4)));
  // steps are counted, so that k is seen to be a multiple of the depth and more
  const slices = div(add(p.kTotal, i32(depth - 1)), i32(depth));
  const slice0 = variable('slice', 'loop', 'i32', [0, Math.max(0, Math.ceil(p.k / depth) - 1)]);
  const k0 = mul(slice0, i32(depth));
  const body: Stmt[] = [];
  stage(f, p, body, left, 'left', { tile, depth, thread, base: m0, k0 });
  stage(f, p, body, right, 'right', { tile, depth, thread, base: n0, k0 });
  body.push(barrier);
  const kk = variable('k', 'loop', 'i32', [0, depth - 4]);
  const inner: Stmt[] = [];
  for (let j = 0; j < 4; j++) {
    const slice = add(mul(kk, i32(quadStride(tile, depth) / 4)), i32(j * tile));
    const fours = (memory: Memory, hint: string, at: Expr): VarExpr[] =>
      starts.map((start) => {
        const v = variable(hint, 'let', 'f32', undefined, 4);
        inner.push(letVar(v, load(memory, add(slice, add(start, mul(at, i32(4)))), 4)));
        return v;
      });
    const a = fours(left, 'a', ty);
    const b = fours(right, 'b', tx);
    rows.forEach((row, r) => {
      const x = splat(extract(a[Math.floor(r / 4)]!, row.i), 4);
      row.accs.forEach((acc, c) => inner.push(assign(acc, mad(x, b[c]!, acc))));
    });
  }
  body.push(forLoop(kk, i32(0), i32(depth), inner, { step: 4 }), barrier);
  block.push(forLoop(slice0, i32(0), slices, body));
  for (const row of rows) {
    const m = add(m0, add(row.start, add(mul(ty, i32(4)), i32(row.i))));
    const stores = row.accs.flatMap((acc, c) => storeFour(p, m, add(n0, add(starts[c]!, mul(tx, i32(4)))), acc, tile));
    block.push(...ifThen(p.guard(m, p.mTotal, tile), stores));
  }
  return f.finish(block, {
    grid,
    workgroupSize: [side, side, 1],
  });
}

/** Elements of workgroup memory from one quad of k to the next: the quads of a row start 32 / (depth / 4) banks apart. */
const quadStride = (tile: number, depth: number): number => 4 * tile + 128 / depth;

interface Stage {
  readonly tile: number;
  readonly depth: number;
  readonly thread: Expr;
  readonly base: Expr;
  readonly k0: Expr;
}

/** Loads a slice [depth][tile] of one operand: memory[(k div 4) * quadStride + (k rem 4) * tile + i]. A thread takes four neighbours in the direction in which the operand is contiguous. */
function stage(f: Frame, p: Product, body: Stmt[], memory: Memory, side: 'left' | 'right', o: Stage): void {
  const { depth } = o;
  const total = side === 'left' ? p.mTotal : p.nTotal;
  const element = (k: Expr, i: Expr): Expr => (side === 'left' ? p.left(i, k) : p.right(k, i));
  // four neighbours from a multiple of four on: the channels of one tap of a convolution are, though k runs over taps too
  const probe = variable('k', 'loop', 'i32', [0, Math.max(0, Math.ceil(p.k / 4) - 1)]);
  const probeI = variable('i', 'loop', 'i32', [0, Math.max(0, (side === 'left' ? p.m : p.n) - 1)]);
  const [here, next] = [0, 1].map((j) => firstIndex(f.em.within([], () => element(add(mul(probe, i32(4)), i32(j)), probeI))));
  const alongK = Boolean(here && next) && next === add(here!, i32(1));
  const quads = (o.tile * depth) / 4;
  const rounds = Math.ceil(quads / threads);
  for (let round = 0; round < rounds; round++) {
    const quad = add(o.thread, i32(round * threads));
    // along k: consecutive threads take consecutive quads of a row; along i: consecutive threads take consecutive quads of one k
    const [row, part] = alongK ? [div(quad, i32(depth / 4)), rem(quad, i32(depth / 4))] : [div(quad, i32(o.tile / 4)), rem(quad, i32(o.tile / 4))];
    const [rowVar, partVar] = [letOf('row', alongK ? o.tile : depth), letOf('part', (alongK ? depth : o.tile) / 4)];
    const quarterVar = mul(partVar, i32(4));
    const load4: Stmt[] = [letVar(rowVar, row), letVar(partVar, part)];
    const values: Expr[] = [];
    for (let j = 0; j < 4; j++) {
      const lane = add(quarterVar, i32(j));
      const [kk, ii] = alongK ? [lane, rowVar] : [rowVar, lane];
      const k = add(o.k0, kk);
      const i = add(o.base, ii);
      const inside = and(p.guard(k, p.kTotal, depth), p.guard(i, total, o.tile));
      const e = f.em.within(load4, () => element(p.clamp(k, p.kTotal, depth), p.clamp(i, total, o.tile)));
      values.push(select(inside, e, zero));
    }
    const joined = joinLoads(values);
    const v = variable('v', 'let', 'f32', undefined, 4);
    load4.push(letVar(v, joined));
    if (alongK)
      for (let j = 0; j < 4; j++) load4.push(store(memory, add(add(mul(partVar, i32(quadStride(o.tile, depth))), i32(j * o.tile)), rowVar), extract(v, j)));
    else load4.push(store(memory, add(add(mul(div(rowVar, i32(4)), i32(quadStride(o.tile, depth))), mul(rem(rowVar, i32(4)), i32(o.tile))), quarterVar), v));
    body.push(...(quads % threads !== 0 && round === rounds - 1 ? ifThen(compare('lt', quad, i32(quads)), load4) : load4));
  }
}

/** m <= 8: a thread owns all rows of four columns and one eighth of k, and so reads each weight once; partial sums meet in workgroup memory, where a thread per column adds them. */
function fewRows(f: Frame, s: ContractionSpec, p: Product): LoweredKernel {
  const { columns: quads, slices } = f.schedule(
    matmulFewRows,
    () => ({ columns: side, slices: side }),
    (c) => (16 * p.m * c.columns * c.slices <= f.ctx.target.maxWorkgroupStorage ? null : `the partial sums of ${p.m} rows do not fit in workgroup memory`),
  );
  const columns = 4 * quads;
  const shared = f.local('partial', 'workgroup', 'f32', p.m * slices * columns);
  const tx = variable('local0', 'local', 'i32', [0, quads - 1]);
  const ty = variable('local1', 'local', 'i32', [0, slices - 1]);
  const nTiles = Math.ceil(p.n / columns);
  const batchSize = s.batch.map((d) => exprSize(dimExpr(d, p.max))).reduce((a, b) => sizeMul(a, b), 1);
  const { grid, id } = linearGrid(sizeMul(nTiles, batchSize), nTiles * maxSize(s.batch, p.max), f.ctx.target);
  const ids = delinearize(id, [...p.dims(s.batch), i32(nTiles)]);
  const block: Stmt[] = p.batch.map((v, i) => letVar(v, ids[i]!));
  const n0 = letOf('n0', p.n);
  block.push(letVar(n0, mul(ids.at(-1)!, i32(columns))));
  const rows = Array.from({ length: p.m }, (_, i) => i32(i));
  const accs = rows.map(() => variable('acc', 'mutable', 'f32', undefined, 4));
  for (const acc of accs) block.push(mutable(acc, constant(0, 'f32', 4)));
  const k = variable('k', 'loop', 'i32', [0, Math.max(0, p.k - 1)]);
  const body: Stmt[] = [];
  f.em.within(body, () => {
    const first = add(n0, mul(tx, i32(4)));
    const b = variable('b', 'let', 'f32', undefined, 4);
    body.push(letVar(b, p.rightFours(k, first, columns)));
    rows.forEach((m, i) => body.push(assign(accs[i]!, mad(splat(p.left(p.clamp(m, p.mTotal, 1), k), 4), b, accs[i]!))));
  });
  block.push(forLoop(k, ty, p.kTotal, body, { step: slices }));
  rows.forEach((m, i) => block.push(store(shared, add(mul(add(mul(m, i32(slices)), ty), i32(columns)), mul(tx, i32(4))), accs[i]!)));
  block.push(barrier);
  const thread = letOf('thread', quads * slices);
  block.push(letVar(thread, add(mul(ty, i32(quads)), tx)));
  // results in order, one a thread and turn
  const turns = Math.ceil((p.m * columns) / (quads * slices));
  const turn = variable('turn', 'loop', 'i32', [0, turns - 1]);
  const result = add(mul(turn, i32(quads * slices)), thread);
  const column = rem(result, i32(columns));
  const m = letOf('m', Math.ceil((turns * quads * slices) / columns));
  const n = letOf('n', nTiles * columns);
  const sum = variable('sum', 'mutable', 'f32');
  const slice = variable('s', 'loop', 'i32', [0, slices - 1]);
  const partial = load(shared, add(mul(add(mul(m, i32(slices)), slice), i32(columns)), column));
  const finish: Stmt[] = [mutable(sum, zero), forLoop(slice, i32(0), i32(slices), [assign(sum, add(sum, partial))]), ...p.epilogue(m, n, sum)];
  const inside = and(compare('lt', m, p.mTotal), p.guard(n, p.nTotal, columns));
  block.push(forLoop(turn, i32(0), i32(turns), [letVar(m, div(result, i32(columns))), letVar(n, add(n0, column)), ...ifThen(inside, finish)]));
  return f.finish(block, { grid, workgroupSize: [quads, slices, 1] });
}
