/**
 * winograd-gradient: convolutions with a result of 3x3 positions and a large window on WASM, which is what the gradient for the kernel of a 3x3 convolution is: the window is the gradient
 * of the result. It is the transpose of F(2x2, 3x3) (winograd-tiles.ts): the tiles of the image and the 2x2 positions of the window that belong to them are transformed to 16 matrices each; their
 * products, summed over all tiles of all images, are transformed back to 3x3 once, at the end. A group owns channels and features and sums over all tiles, block by block.
 */
import { evalDim, isStatic } from '../../ir/dim.js';
import { add, and, compare, constant, div, type Expr, i32, load, mad, min, mul, select, splat, sub, truth, variable } from '../kernel/expr.js';
import { assign, forLoop, letVar, type Memory, mutable, type Stmt, store, storeAll } from '../kernel/ir.js';
import type { Frame, LoweredKernel } from '../lower/frame.js';
import { delinearize, dimExpr, linearize } from '../lower/space.js';
import { winogradSums } from '../schedule-families.js';
import { type ContractionSpec, contractionSpec } from './contraction-spec.js';
import { loopVar } from './gemm-pack.js';
import {
  both,
  type Four,
  insideTiles,
  matrix,
  mostTiles,
  placeOf,
  plainConvolution,
  rows,
  type Tiles,
  tapOf,
  transformImage,
  width,
  worth,
} from './winograd-tiles.js';

/** Elements of scratch memory for the sums of a group. */
const mostSums = 65536;
/** Work of the transforms for one element, in multiply-adds of the products: image, window. */
const transformCost = { image: 23, window: 12 } as const;

interface Cut {
  readonly across: readonly [number, number];
  readonly inside: Tiles['inside'];
  /** Positions of the window. */
  readonly size: readonly [number, number];
  readonly channels: number;
  readonly features: number;
  readonly cBlock: number;
  readonly nBlock: number;
  /** Tiles of a block. */
  readonly block: number;
}

function cutOf(f: Frame, s: ContractionSpec): Cut | null {
  const n = s.node;
  const attrs = plainConvolution(n);
  if (!attrs) return null;
  const { dims, padding } = attrs;
  const shape = s.output.shape;
  if (dims.output.spatial.some((a) => shape[a] !== 3)) return null;
  const [x, w] = [n.inputs[0]!.shape, n.inputs[1]!.shape];
  const size = dims.kernel.spatial.map((a) => w[a]!) as [unknown, unknown];
  const [channels, features] = [shape[dims.output.batch]!, shape[dims.output.feature]!];
  if (typeof size[0] !== 'number' || typeof size[1] !== 'number' || !isStatic(channels) || !isStatic(features)) return null;
  if (channels < 8 || features < 8 || channels % rows !== 0 || features % width !== 0) return null;
  const across = [Math.ceil(size[0] / 2), Math.ceil(size[1] / 2)] as const;
  const images = evalDim(s.k[2]!, f.ctx.symbols);
  const tiles = images * across[0] * across[1];
  let [cBlock, nBlock] = [channels, features];
  const groups = (): number => (channels / cBlock) * (features / nBlock);
  const wanted = f.ctx.target.threads > 1 ? f.ctx.target.threads * 2 : 1;
  while (groups() < wanted || 16 * cBlock * nBlock > mostSums) {
    const [canC, canN] = [cBlock % (2 * rows) === 0, nBlock % (2 * width) === 0];
    if (canN && (nBlock >= cBlock || !canC)) nBlock /= 2;
    else if (canC) cBlock /= 2;
    else break;
  }
  const products = 16 * tiles * channels * features;
  const transforms = tiles * groups() * (cBlock * transformCost.image + nBlock * transformCost.window);
  if (tiles < 64 || products + transforms > worth * 9 * images * size[0] * size[1] * channels * features) return null;
  const block = Math.max(8, Math.min(64, Math.floor(mostTiles / (16 * (cBlock + nBlock)))));
  const inside = dims.input.spatial.map((axis, i) => insideTiles(x[axis] as number, padding[i]![0], across[i]!));
  return { across, inside, size: [size[0], size[1]], channels, features, cBlock, nBlock, block };
}

/** A of a column of positions. */
const windowColumn = ([a, b]: readonly Expr[]): Four => [a!, add(a!, b!), sub(a!, b!), sub(constant(0, 'f32'), b!)];
/** G^T of a column of sums. */
const sumColumn = ([a, b, c, d]: Four): readonly Expr[] => {
  const half = constant(0.5, 'f32');
  const even = mul(add(b, c), half);
  return [add(a, even), mul(sub(b, c), half), add(even, d)];
};

/** Null where the convolution is not of this kind. */
export function lowerWinogradGradient(f: Frame): LoweredKernel | null {
  const node = f.region.hero;
  const s = node?.op === 'conv' ? contractionSpec(f, node) : null;
  const chosen = s && cutOf(f, s);
  if (!s || !chosen) return null;
  const { cBlock, nBlock, block } = f.schedule(
    winogradSums,
    () => chosen,
    (p) =>
      chosen.channels % p.cBlock !== 0 || chosen.features % p.nBlock !== 0
        ? `${chosen.channels} channels and ${chosen.features} features are no multiples of split(m) and split(n)`
        : null,
  );
  const cut = { ...chosen, cBlock, nBlock, block };
  const total = mul(dimExpr(s.k[2]!, f.ctx.symbols), i32(cut.across[0] * cut.across[1]));
  const [imageStride, windowStride, sumStride] = [block * cBlock + 16, block * nBlock + 16, cBlock * nBlock + 16];
  const image = f.local('image', 'private', 'f32', 16 * imageStride);
  const window = f.local('window', 'private', 'f32', 16 * windowStride);
  const sums = f.local('sums', 'private', 'f32', 16 * sumStride);
  const group = variable('group0', 'group', 'i32', [0, 2147483646]);
  const [nBlocks, cBlocks] = [cut.features / nBlock, cut.channels / cBlock];
  const [nGroup, cGroup] = delinearize(group, [i32(nBlocks), i32(cBlocks)]) as [Expr, Expr];
  const n0 = variable('n0', 'let', 'i32', [0, cut.features - nBlock]);
  const c0 = variable('c0', 'let', 'i32', [0, cut.channels - cBlock]);
  const blocks = total.kind === 'const' ? i32(Math.ceil(total.value / block)) : div(add(total, i32(block - 1)), i32(block));
  const mb = loopVar('mb', Math.max(1, blocks.hi));
  const t0 = variable('t0', 'let', 'i32', [0, Math.max(0, total.hi - 1)]);
  const count = min(i32(block), sub(total, t0));
  const tiles: Tiles = {
    across: cut.across,
    inside: cut.inside,
    total,
    element: (b, y, x, c) => {
      const [[dy, i], [dx, j]] = [tapOf(y.at), tapOf(x.at)];
      return s.left([], [add(c0, c), i, j], [add(mul(y.tile, i32(2)), dy), add(mul(x.tile, i32(2)), dx), b]);
    },
  };
  const z = loopVar('z', 16 * sumStride);
  const body = [
    letVar(n0, mul(nGroup, i32(nBlock))),
    letVar(c0, mul(cGroup, i32(cBlock))),
    forLoop(z, i32(0), i32(16 * sumStride), [store(sums, z, constant(0, 'f32'))], { parallel: true }),
    forLoop(mb, i32(0), blocks, [
      letVar(t0, mul(mb, i32(block))),
      ...transformImage(f, tiles, { image, stride: imageStride, block, channels: cBlock, t0, count, fill: false }),
      ...transformWindow(f, s, cut, { window, stride: windowStride, t0, n0, count }),
      ...products(cut, { image, imageStride, window, windowStride, sums, sumStride, count }),
    ]),
    ...transformSums(f, s, cut, { sums, stride: sumStride, c0, n0 }),
  ];
  return f.finish(body, {
    grid: [nBlocks * cBlocks, 1, 1],
    parallel: true,
  });
}

/** window[16][tile][feature]. Positions past the window's end count as zero. */
function transformWindow(f: Frame, s: ContractionSpec, cut: Cut, o: { window: Memory; stride: number; t0: Expr; n0: Expr; count: Expr }): Stmt[] {
  const [t, n] = [loopVar('t', cut.block), loopVar('n', cut.nBlock)];
  const at = placeOf(add(o.t0, t), cut);
  const names = at.map((e, i) => variable('at', 'let', 'i32', [0, i === 0 ? e.hi : cut.across[i - 1]! - 1]));
  const body: Stmt[] = [];
  f.em.within(body, () => {
    const d = matrix(2, (i, j) => {
      let there: Expr = truth(true);
      const position = [i, j].map((d, axis) => {
        const e = add(mul(names[axis + 1]!, i32(2)), i32(d));
        const last = i32(cut.size[axis]! - 1);
        if (e.hi <= cut.size[axis]! - 1) return e;
        there = and(there, compare('le', e, last));
        return min(e, last);
      });
      const e = s.right([], [add(o.n0, n)], [...position, names[0]!]);
      return there.kind === 'const' ? e : select(there, e, constant(0, 'f32'));
    });
    both(d, windowColumn).forEach((row, i) =>
      row.forEach((e, j) => body.push(store(o.window, add(i32((4 * i + j) * o.stride), add(mul(t, i32(cut.nBlock)), n)), e))),
    );
  });
  return [forLoop(t, i32(0), o.count, [...names.map((v, i) => letVar(v, at[i]!)), forLoop(n, i32(0), i32(cut.nBlock), body, { parallel: true })])];
}

/** sums[16][channel][feature] += image^T window. Each block is summed on its own, so that error does not grow with the number of tiles. */
function products(
  cut: Cut,
  o: { image: Memory; imageStride: number; window: Memory; windowStride: number; sums: Memory; sumStride: number; count: Expr },
): Stmt[] {
  const [xi, p, mi, t] = [loopVar('xi', 16), loopVar('p', cut.nBlock / width), loopVar('mi', cut.cBlock / rows), loopVar('t', cut.block)];
  const accs = Array.from({ length: rows }, () => [0, 4].map(() => variable('acc', 'mutable', 'f32', undefined, 4)));
  const bs = [0, 4].map(() => variable('b', 'let', 'f32', undefined, 4));
  const columnOf = (j: number): Expr => add(mul(p, i32(width)), i32(4 * j));
  const step: Stmt[] = bs.map((b, j) => letVar(b, load(o.window, add(mul(xi, i32(o.windowStride)), add(mul(t, i32(cut.nBlock)), columnOf(j))), 4)));
  accs.forEach((row, r) => {
    const a = variable('a', 'let', 'f32');
    step.push(letVar(a, load(o.image, add(mul(xi, i32(o.imageStride)), add(mul(t, i32(cut.cBlock)), add(mul(mi, i32(rows)), i32(r)))))));
    row.forEach((acc, j) => step.push(assign(acc, mad(splat(a, 4), bs[j]!, acc))));
  });
  const tile: Stmt[] = [
    ...accs.flat().map((acc) => mutable(acc, constant(0, 'f32', 4))),
    forLoop(t, i32(0), o.count, step),
    ...accs.flatMap((row, r) =>
      row.map((acc, j) => {
        const at = add(mul(xi, i32(o.sumStride)), add(mul(add(mul(mi, i32(rows)), i32(r)), i32(cut.nBlock)), columnOf(j)));
        return store(o.sums, at, add(load(o.sums, at, 4), acc));
      }),
    ),
  ];
  return [forLoop(xi, i32(0), i32(16), [forLoop(p, i32(0), i32(cut.nBlock / width), [forLoop(mi, i32(0), i32(cut.cBlock / rows), tile)])])];
}

/** The 3x3 results of each channel and feature, and the epilogue there. */
function transformSums(f: Frame, s: ContractionSpec, cut: Cut, o: { sums: Memory; stride: number; c0: Expr; n0: Expr }): Stmt[] {
  const { em, ctx, region } = f;
  const [c, n] = [loopVar('c', cut.cBlock), loopVar('n', cut.nBlock)];
  const body: Stmt[] = [];
  const u = matrix(4, (i, j) => load(o.sums, add(i32((4 * i + j) * o.stride), add(mul(c, i32(cut.nBlock)), n))));
  const values = both(u, sumColumn).map((row) => row.map((e) => ({ v: variable('y', 'let', 'f32'), e })));
  for (const row of values) for (const { v, e } of row) body.push(letVar(v, e));
  values.forEach((row, i) =>
    row.forEach(({ v }, j) => {
      const index = s.out([], [add(o.c0, c), i32(i), i32(j)], [add(o.n0, n)]);
      em.bind(s.output, () => v);
      em.within(body, () => {
        body.push(
          ...storeAll(
            region.outputs.map((out) => ({
              memory: f.memoryOf(out),
              index: add(f.baseOf(out), linearize(index, out.shape, ctx.symbols)),
              value: em.value(out, index),
            })),
          ),
        );
      });
      em.unbind(s.output);
    }),
  );
  return [forLoop(c, i32(0), i32(cut.cBlock), [forLoop(n, i32(0), i32(cut.nBlock), body, { parallel: true })])];
}
