/**
 * matmul on WebGPU. A workgroup of 16 x 16 threads owns a tile of the product (64 x 64, or 32 x 32 where the product is small). Step by step along k it stages a
 * slice of both operands in workgroup memory, the left one transposed, so that a thread then reads its rows and columns as vectors: every element loaded from global memory serves 64
 * (32) multiply-adds. A thread keeps 4 x 4 (2 x 2) accumulators in registers. The staged slices have 8 elements of padding after every fourth k: of 32 neighbouring threads that store a
 * row's elements along k, eight rows by four quads of k, each then hits a bank of its own, and vectors stay aligned. Convolutions and fused prologues differ only in the expressions of the operands; guards appear only where sizes do not divide. Few rows (batch 1): 16 slices of k
 * per workgroup, combined in workgroup memory.
 */
import { evalDim } from '../../ir/dim.js';
import {
  add,
  and,
  compare,
  constant,
  div,
  type Expr,
  extract,
  i32,
  type Lanes,
  load,
  mad,
  min,
  mul,
  rem,
  select,
  splat,
  truth,
  type VarExpr,
  variable,
  vector,
} from '../kernel/expr.js';
import { assign, barrier, forLoop, ifThen, letVar, type Memory, mutable, type Stmt, store, storeAll } from '../kernel/ir.js';
import { vectorize } from '../kernel/vectorize.js';
import type { Frame, LoweredKernel } from '../lower/frame.js';
import { delinearize, dimExpr, exprSize, linearize, maxSize, sizeCeilDiv, sizeMul } from '../lower/space.js';
import { matmulFewRows, matmulTiles } from '../schedule-families.js';
import type { ContractionSpec } from './contraction-spec.js';
import { linearGrid } from './grid.js';

const letOf = (hint: string, most: number, lanes: Lanes = 1): VarExpr => variable(hint, 'let', 'i32', [0, Math.max(0, most - 1)], lanes);

/** Everything that both forms need. */
class Product {
  readonly max;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly mTotal: Expr;
  readonly nTotal: Expr;
  readonly kTotal: Expr;
  readonly batch: VarExpr[];

  constructor(
    readonly f: Frame,
    readonly s: ContractionSpec,
  ) {
    this.max = f.ctx.symbols;
    [this.m, this.n, this.k] = [maxSize(s.m, this.max), maxSize(s.n, this.max), maxSize(s.k, this.max)];
    const total = (ds: ContractionSpec['m']): Expr => this.dims(ds).reduce<Expr>((a, e) => mul(a, e), i32(1));
    [this.mTotal, this.nTotal, this.kTotal] = [total(s.m), total(s.n), total(s.k)];
    this.batch = s.batch.map((d) => letOf('b', evalDim(d, this.max)));
  }

  dims(ds: ContractionSpec['m']): Expr[] {
    return ds.map((d) => dimExpr(d, this.max));
  }
  at(e: Expr, ds: ContractionSpec['m']): Expr[] {
    return delinearize(e, this.dims(ds));
  }
  left(m: Expr, k: Expr): Expr {
    return this.s.left(this.batch, this.at(m, this.s.m), this.at(k, this.s.k));
  }
  right(k: Expr, n: Expr): Expr {
    return this.s.right(this.batch, this.at(n, this.s.n), this.at(k, this.s.k));
  }

  /** Stores of the region's outputs at (m, n), with the product's element bound to `value`. */
  epilogue(m: Expr, n: Expr, value: Expr): Stmt[] {
    const body: Stmt[] = [];
    const index = this.s.out(this.batch, this.at(m, this.s.m), this.at(n, this.s.n));
    this.f.em.bind(this.s.output, () => value);
    this.f.em.within(body, () => {
      body.push(
        ...storeAll(
          this.f.region.outputs.map((v) => ({
            memory: this.f.memoryOf(v),
            index: add(this.f.baseOf(v), linearize(index, v.shape, this.max)),
            value: this.f.em.value(v, index),
          })),
        ),
      );
    });
    this.f.em.unbind(this.s.output);
    return body;
  }

  /** True for all indices below the tile when the size is a multiple of it. */
  guard(index: Expr, total: Expr, tile: number): Expr {
    return total.kind === 'const' && total.value % tile === 0 ? truth(true) : compare('lt', index, total);
  }
  /** An index that is in range even where the guard fails. */
  clamp(index: Expr, total: Expr, tile: number): Expr {
    return total.kind === 'const' && total.value % tile === 0 ? index : min(index, add(total, i32(-1)));
  }
}

const zero = constant(0, 'f32');

/** The index of the first load of global memory in an expression. */
function firstIndex(e: Expr): Expr | null {
  if (e.kind === 'load' && e.memory.space === 'global') return e.args[0]!;
  for (const a of e.args) {
    const found = firstIndex(a);
    if (found) return found;
  }
  return null;
}

export function lowerGemmWebGpu(f: Frame, s: ContractionSpec): LoweredKernel {
  const p = new Product(f, s);
  return p.m <= 8 ? fewRows(f, s, p) : tiled(f, s, p);
}

function tiled(f: Frame, s: ContractionSpec, p: Product): LoweredKernel {
  const groups64 = Math.ceil(p.m / 64) * Math.ceil(p.n / 64) * maxSize(s.batch, p.max);
  const { mTile: tile, depth } = f.schedule(matmulTiles, () => {
    const size = p.m > 32 && p.n > 32 && groups64 >= 8 ? 64 : 32;
    return { mTile: size, nTile: size, depth: 16, mThreads: 16, nThreads: 16 };
  });
  const per = tile / 16;
  const left = f.local('left_tile', 'workgroup', 'f32', (depth / 4) * quadStride(tile));
  const right = f.local('right_tile', 'workgroup', 'f32', (depth / 4) * quadStride(tile));
  const tx = variable('local0', 'local', 'i32', [0, 15]);
  const ty = variable('local1', 'local', 'i32', [0, 15]);
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
  const thread = letOf('thread', 256);
  block.push(letVar(thread, add(mul(ty, i32(16)), tx)));
  const accs = Array.from({ length: per }, () => variable('acc', 'mutable', 'f32', undefined, per as Lanes));
  for (const a of accs) block.push(mutable(a, constant(0, 'f32', per as Lanes)));
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
    const a = variable('a', 'let', 'f32', undefined, per as Lanes);
    const b = variable('b', 'let', 'f32', undefined, per as Lanes);
    const slice = add(mul(kk, i32(quadStride(tile) / 4)), i32(j * tile));
    inner.push(letVar(a, load(left, add(slice, mul(ty, i32(per))), per as Lanes)), letVar(b, load(right, add(slice, mul(tx, i32(per))), per as Lanes)));
    accs.forEach((acc, i) => inner.push(assign(acc, mad(splat(extract(a, i), per as Lanes), b, acc))));
  }
  body.push(forLoop(kk, i32(0), i32(depth), inner, { step: 4 }), barrier);
  block.push(forLoop(slice0, i32(0), slices, body));
  for (let i = 0; i < per; i++) {
    const m = add(m0, add(mul(ty, i32(per)), i32(i)));
    const n = add(n0, mul(tx, i32(per)));
    const stores =
      fourStores(p, m, n, accs[i]!, tile) ??
      Array.from({ length: per }, (_, j) => ifThen(p.guard(add(n, i32(j)), p.nTotal, tile), p.epilogue(m, add(n, i32(j)), extract(accs[i]!, j)))).flat();
    block.push(...ifThen(p.guard(m, p.mTotal, tile), stores));
  }
  return f.finish(block, {
    grid,
    workgroupSize: [16, 16, 1],
  });
}

/** Elements of workgroup memory from one quad of k to the next. */
const quadStride = (tile: number): number => 4 * tile + 8;

/** The epilogue of four neighbouring columns at once; null where it is not all the same for them. */
function fourStores(p: Product, m: Expr, n: Expr, acc: VarExpr, tile: number): Stmt[] | null {
  if (acc.lanes !== 4 || p.nTotal.kind !== 'const' || p.nTotal.value % 4 !== 0) return null;
  const lane = variable('lane', 'loop', 'i32', [0, 3]);
  const one = variable('sum', 'let', 'f32');
  const wide = vectorize(p.epilogue(m, add(n, lane), one), lane, 4, i32(0), true, new Map([[one, acc]]));
  return wide && ifThen(p.guard(n, p.nTotal, tile), wide.body);
}

interface Stage {
  readonly tile: number;
  readonly depth: number;
  readonly thread: Expr;
  readonly base: Expr;
  readonly k0: Expr;
}

/** Loads a slice [depth][tile] of one operand: memory[(k div 4) * quadStride + (k rem 4) * tile + i]. A thread takes four neighbours in the direction in which the operand is contiguous. */
function stage(f: Frame, p: Product, body: Stmt[], memory: Memory, side: 'left' | 'right', o: Stage): void {
  const total = side === 'left' ? p.mTotal : p.nTotal;
  const element = (k: Expr, i: Expr): Expr => (side === 'left' ? p.left(i, k) : p.right(k, i));
  // four neighbours from a multiple of four on: the channels of one tap of a convolution are, though k runs over taps too
  const probe = variable('k', 'loop', 'i32', [0, Math.max(0, Math.ceil(p.k / 4) - 1)]);
  const probeI = variable('i', 'loop', 'i32', [0, Math.max(0, (side === 'left' ? p.m : p.n) - 1)]);
  const [here, next] = [0, 1].map((j) => firstIndex(f.em.within([], () => element(add(mul(probe, i32(4)), i32(j)), probeI))));
  const alongK = Boolean(here && next) && next === add(here!, i32(1));
  const quads = (o.tile * o.depth) / 4;
  const rounds = Math.ceil(quads / 256);
  for (let round = 0; round < rounds; round++) {
    const quad = add(o.thread, i32(round * 256));
    // along k: consecutive threads take consecutive quads of a row; along i: consecutive threads take consecutive quads of one k
    const [row, part] = alongK ? [div(quad, i32(o.depth / 4)), rem(quad, i32(o.depth / 4))] : [div(quad, i32(o.tile / 4)), rem(quad, i32(o.tile / 4))];
    const [rowVar, partVar] = [letOf('row', alongK ? o.tile : o.depth), letOf('part', (alongK ? o.depth : o.tile) / 4)];
    const quarterVar = mul(partVar, i32(4));
    const load4: Stmt[] = [letVar(rowVar, row), letVar(partVar, part)];
    const values: Expr[] = [];
    for (let j = 0; j < 4; j++) {
      const lane = add(quarterVar, i32(j));
      const [kk, ii] = alongK ? [lane, rowVar] : [rowVar, lane];
      const k = add(o.k0, kk);
      const i = add(o.base, ii);
      const inside = and(p.guard(k, p.kTotal, o.depth), p.guard(i, total, o.tile));
      const e = f.em.within(load4, () => element(p.clamp(k, p.kTotal, o.depth), p.clamp(i, total, o.tile)));
      values.push(select(inside, e, zero));
    }
    const joined = joinLoads(values);
    const v = variable('v', 'let', 'f32', undefined, 4);
    load4.push(letVar(v, joined));
    if (alongK) for (let j = 0; j < 4; j++) load4.push(store(memory, add(add(mul(partVar, i32(quadStride(o.tile))), i32(j * o.tile)), rowVar), extract(v, j)));
    else load4.push(store(memory, add(add(mul(div(rowVar, i32(4)), i32(quadStride(o.tile))), mul(rem(rowVar, i32(4)), i32(o.tile))), quarterVar), v));
    body.push(...(quads % 256 !== 0 && round === rounds - 1 ? ifThen(compare('lt', quad, i32(quads)), load4) : load4));
  }
}

/** Four loads of consecutive elements as one vector load, also where all are guarded by one condition; else a vector of the four. */
function joinLoads(xs: readonly Expr[]): Expr {
  const first = xs[0]!;
  if (first.kind === 'select' && xs.every((x) => x.kind === 'select' && x.args[0] === first.args[0] && x.args[2]!.kind === 'const' && x.args[2]!.value === 0)) {
    const joined = joinLoads(xs.map((x) => x.args[1]!));
    return joined.kind === 'load' || joined.kind === 'select' ? select(splat(first.args[0]!, 4), joined, splat(zero, 4)) : vector(xs);
  }
  if (first.kind === 'load' && first.memory.space === 'global') {
    const base = first.args[0]!;
    if (xs.every((x, j) => x.kind === 'load' && x.memory === first.memory && x.args[0] === add(base, i32(j)))) return load(first.memory, base, 4);
  }
  return vector(xs);
}

/** m <= 8: a thread owns one column and one sixteenth of k; partial sums meet in workgroup memory. */
function fewRows(f: Frame, s: ContractionSpec, p: Product): LoweredKernel {
  const { columns, slices } = f.schedule(matmulFewRows, () => ({ columns: 16, slices: 16 }));
  const shared = f.local('partial', 'workgroup', 'f32', columns * slices);
  const tx = variable('local0', 'local', 'i32', [0, columns - 1]);
  const ty = variable('local1', 'local', 'i32', [0, slices - 1]);
  const nTiles = Math.ceil(p.n / columns);
  const batchSize = s.batch.map((d) => exprSize(dimExpr(d, p.max))).reduce((a, b) => sizeMul(a, b), 1);
  const { grid, id } = linearGrid(sizeMul(sizeMul(exprSize(p.mTotal), nTiles), batchSize), p.m * nTiles * maxSize(s.batch, p.max), f.ctx.target);
  const ids = delinearize(id, [...p.dims(s.batch), p.mTotal, i32(nTiles)]);
  const block: Stmt[] = p.batch.map((v, i) => letVar(v, ids[i]!));
  const m = letOf('m', p.m);
  const n = letOf('n', nTiles * columns);
  block.push(letVar(m, ids.at(-2)!), letVar(n, add(mul(ids.at(-1)!, i32(columns)), tx)));
  const acc = variable('acc', 'mutable', 'f32');
  block.push(mutable(acc, zero));
  const k = variable('k', 'loop', 'i32', [0, Math.max(0, p.k - 1)]);
  const body: Stmt[] = [];
  f.em.within(body, () => {
    const column = p.clamp(n, p.nTotal, columns);
    body.push(assign(acc, mad(p.left(m, k), p.right(k, column), acc)));
  });
  block.push(forLoop(k, ty, p.kTotal, body, { step: slices }));
  block.push(store(shared, add(mul(ty, i32(columns)), tx), acc), barrier);
  const sum = variable('sum', 'mutable', 'f32');
  const sl = variable('s', 'loop', 'i32', [1, slices - 1]);
  const finish: Stmt[] = [mutable(sum, acc), forLoop(sl, i32(1), i32(slices), [assign(sum, add(sum, load(shared, add(mul(sl, i32(columns)), tx))))])];
  finish.push(...p.epilogue(m, n, sum));
  block.push(...ifThen(and(compare('eq', ty, i32(0)), p.guard(n, p.nTotal, columns)), finish));
  return f.finish(block, { grid, workgroupSize: [columns, slices, 1] });
}
