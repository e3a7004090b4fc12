/**
 * matmul on WebGPU adapters that run on the CPU, where workgroup memory is memory like any other and a barrier switches contexts: nothing is staged. A thread keeps 4 x 8 (4 x 4, or all rows where
 * they are few) accumulators in registers and loads its rows and columns straight from global memory, four neighbours at a time where they lie side by side.
 */
import { add, compare, constant, div, type Expr, extract, i32, mad, mul, splat, variable } from '../kernel/expr.js';
import { assign, forLoop, ifThen, letVar, mutable, type Stmt } from '../kernel/ir.js';
import type { Frame, LoweredKernel } from '../lower/frame.js';
import { delinearize, dimExpr, exprSize, maxSize, sizeCeilDiv, sizeMul } from '../lower/space.js';
import { matmulDirect } from '../schedule-families.js';
import type { ContractionSpec } from './contraction-spec.js';
import { groupThreads, linearGrid } from './grid.js';
import { firstIndex, joinLoads, letOf, type Product, storeFour } from './product.js';

export function lowerGemmDirect(f: Frame, s: ContractionSpec, p: Product): LoweredKernel {
  const { rows, columns, threads } = f.schedule(matmulDirect, () => ({ rows: Math.min(4, p.m), columns: p.n > 4 ? 8 : 4, threads: groupThreads }));
  const nTiles = Math.ceil(p.n / columns);
  const mTiles = Math.ceil(p.m / rows);
  const mTilesExpr = p.mTotal.kind === 'const' ? i32(mTiles) : div(add(p.mTotal, i32(rows - 1)), i32(rows));
  const batchSize = s.batch.map((d) => exprSize(dimExpr(d, p.max))).reduce((a, b) => sizeMul(a, b), 1);
  const tiles = sizeMul(sizeMul(sizeCeilDiv(exprSize(p.mTotal), rows), nTiles), batchSize);
  const most = mTiles * nTiles * maxSize(s.batch, p.max);
  const { grid, id } = linearGrid(sizeCeilDiv(tiles, threads), Math.ceil(most / threads), f.ctx.target);
  const raw = add(mul(id, i32(threads)), variable('local0', 'local', 'i32', [0, threads - 1]));
  const tile = letOf('tile', most);
  const dims = p.dims(s.batch);
  const count = [...dims, mTilesExpr].reduce<Expr>((a, e) => mul(a, e), i32(nTiles));
  const ids = delinearize(tile, [...dims, mTilesExpr, i32(nTiles)]);
  const block: Stmt[] = [letVar(tile, raw), ...p.batch.map((v, i) => letVar(v, ids[i]!))];
  const [m0, n0] = [letOf('m0', mTiles * rows), letOf('n0', nTiles * columns)];
  block.push(letVar(m0, mul(ids.at(-2)!, i32(rows))), letVar(n0, mul(ids.at(-1)!, i32(columns))));
  const starts = Array.from({ length: columns / 4 }, (_, c) => add(n0, i32(4 * c)));
  const ms = Array.from({ length: rows }, (_, r) => add(m0, i32(r)));
  const accs = ms.map(() => starts.map(() => variable('acc', 'mutable', 'f32', undefined, 4)));
  for (const acc of accs.flat()) block.push(mutable(acc, constant(0, 'f32', 4)));
  const left = (m: Expr, k: Expr): Expr => p.left(p.clamp(m, p.mTotal, rows), k);
  /** One k: the row's elements, each on four lanes, times the columns' elements. */
  const step = (body: Stmt[], as: readonly Expr[], k: Expr): void => {
    const bs = starts.map((start) => {
      const b = variable('b', 'let', 'f32', undefined, 4);
      body.push(letVar(b, p.rightFours(k, start, columns)));
      return b;
    });
    as.forEach((a, r) => bs.forEach((b, c) => body.push(assign(accs[r]![c]!, mad(splat(a, 4), b, accs[r]![c]!)))));
  };
  const four = p.kTotal.kind === 'const' && p.k % 4 === 0;
  const probe = variable('k', 'loop', 'i32', [0, Math.max(0, p.k / 4 - 1)]);
  const [here, next] = [0, 1].map((j) => firstIndex(f.em.within([], () => left(ms[0]!, add(mul(probe, i32(4)), i32(j))))));
  const body: Stmt[] = [];
  if (four && here && next === add(here, i32(1))) {
    const quad = variable('k', 'loop', 'i32', [0, Math.max(0, p.k / 4 - 1)]);
    f.em.within(body, () => {
      const ks = [0, 1, 2, 3].map((j) => add(mul(quad, i32(4)), i32(j)));
      const as = ms.map((m) => {
        const a = variable('a', 'let', 'f32', undefined, 4);
        body.push(letVar(a, joinLoads(ks.map((k) => left(m, k)))));
        return a;
      });
      for (const [j, k] of ks.entries()) {
        const elements = as.map((a) => extract(a, j));
        step(body, elements, k);
      }
    });
    block.push(forLoop(quad, i32(0), i32(p.k / 4), body));
  } else {
    const k = variable('k', 'loop', 'i32', [0, Math.max(0, p.k - 1)]);
    f.em.within(body, () => {
      const as = ms.map((m) => {
        const a = variable('a', 'let', 'f32');
        body.push(letVar(a, left(m, k)));
        return a;
      });
      step(body, as, k);
    });
    block.push(forLoop(k, i32(0), p.kTotal, body));
  }
  ms.forEach((m, r) => {
    const stores = starts.flatMap((start, c) => storeFour(p, m, start, accs[r]![c]!, columns));
    block.push(...ifThen(p.guard(m, p.mTotal, rows), stores));
  });
  return f.finish(ifThen(compare('lt', raw, count), block), { grid, workgroupSize: [threads, 1, 1] });
}
