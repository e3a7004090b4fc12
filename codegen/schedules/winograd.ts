/**
 * winograd: convolutions by 3x3 windows with stride 1 on WASM, as F(2x2, 3x3) (winograd-tiles.ts). A tile is 2x2 positions of the
 * output. Its 4x4 elements of the image are transformed, channel by channel, to 16 others; the weights too; 16 products of matrices (tiles x channels by channels x features) follow,
 * and the inverse transform gives the tile: 16 multiplications for 36. A group transforms the weights of its features once and walks blocks of tiles, everything in scratch memory that
 * fits the second-level cache. Prologue and epilogue are expressions, as in any contraction: the gradient for a convolution's input takes this way too.
 */
import { evalDim, isStatic } from '../../ir/dim.js';
import { add, compare, constant, div, type Expr, i32, load, mad, min, mul, splat, sub, variable } from '../kernel/expr.js';
import { assign, forLoop, ifThen, letVar, type Memory, mutable, type Stmt, store, storeAll } from '../kernel/ir.js';
import type { Frame, LoweredKernel } from '../lower/frame.js';
import { delinearize, dimExpr, exprSize, linearize, sizeCeilDiv, sizeMul } from '../lower/space.js';
import { winogradBlocks } from '../schedule-families.js';
import { type ContractionSpec, contractionSpec } from './contraction-spec.js';
import { loopVar } from './gemm-pack.js';
import {
  both,
  insideTiles,
  matrix,
  mostTiles,
  placeOf,
  plainConvolution,
  resultColumn,
  rows,
  type Tiles,
  tapOf,
  transformImage,
  weightColumn,
  width,
  worth,
} from './winograd-tiles.js';

/** Elements of scratch memory for the weights of a group. */
const mostWeights = 65536;
/** Work of the transforms for one element, in multiply-adds of the products: image, result, weights. */
const transformCost = { image: 23, result: 16, weights: 44 } as const;

interface Cut {
  /** Tiles along both spatial axes. */
  readonly across: readonly [number, number];
  readonly inside: Tiles['inside'];
  readonly channels: number;
  readonly features: number;
  /** Features of a group. */
  readonly nBlock: number;
  /** Tiles of a block, and blocks of a group. */
  readonly block: number;
  readonly several: number;
}

/** How the convolution is cut; null where it is none of this kind, or where the transforms would cost more than they save. */
function cutOf(f: Frame, s: ContractionSpec): Cut | null {
  const n = s.node;
  const attrs = plainConvolution(n);
  if (!attrs) return null;
  const { dims, padding } = attrs;
  const w = n.inputs[1]!.shape;
  if (dims.kernel.spatial.some((a) => w[a] !== 3)) return null;
  const shape = s.output.shape;
  const [height, breadth] = dims.output.spatial.map((a) => shape[a]!) as [unknown, unknown];
  const [channels, features] = [w[dims.kernel.input]!, w[dims.kernel.output]!];
  if (typeof height !== 'number' || typeof breadth !== 'number' || !isStatic(channels) || !isStatic(features)) return null;
  if (channels < 16 || features < 16 || features % width !== 0) return null;
  const across = [Math.ceil(height / 2), Math.ceil(breadth / 2)] as const;
  const images = evalDim(shape[dims.output.batch]!, f.ctx.symbols);
  const tiles = images * across[0] * across[1];
  let nBlock = features;
  while (16 * channels * nBlock > mostWeights && nBlock % (2 * width) === 0) nBlock /= 2;
  if (16 * channels * nBlock > 2 * mostWeights) return null;
  const nBlocks = features / nBlock;
  const block = Math.max(rows, Math.min(64, Math.floor(mostTiles / (16 * (channels + nBlock)) / rows) * rows, Math.ceil(tiles / rows) * rows));
  const blocks = Math.ceil(tiles / block);
  const { threads } = f.ctx.target;
  const several = Math.max(1, Math.min(32, Math.floor((blocks * nBlocks) / (threads * 4))));
  const groups = Math.ceil(blocks / several);
  const products = 16 * tiles * channels * features;
  const transforms =
    tiles * (channels * nBlocks * transformCost.image + features * transformCost.result) + groups * channels * features * transformCost.weights;
  if (products + transforms > worth * 9 * images * height * breadth * channels * features) return null;
  const inside = dims.input.spatial.map((axis, i) => insideTiles(n.inputs[0]!.shape[axis] as number, padding[i]![0], across[i]!));
  return { across, inside, channels, features, nBlock, block, several };
}

function scratchFits(channels: number, p: { readonly nBlock: number; readonly block: number }): string | null {
  const most = 4 * (2 * mostWeights + mostTiles + 64 * 16 * rows);
  return 16 * (channels * p.nBlock + p.block * (channels + p.nBlock)) > most ? `more than ${most} elements of scratch memory` : null;
}

/** Null where the convolution is not of this kind. */
export function lowerWinograd(f: Frame): LoweredKernel | null {
  const node = f.region.hero;
  const s = node?.op === 'conv' ? contractionSpec(f, node) : null;
  const chosen = s && cutOf(f, s);
  if (!s || !chosen) return null;
  const { nBlock, block, several } = f.schedule(
    winogradBlocks,
    () => chosen,
    (p) => (chosen.features % p.nBlock !== 0 ? `${chosen.features} features are no multiple of split(n)` : scratchFits(chosen.channels, p)),
  );
  const cut = { ...chosen, nBlock, block, several };
  const { across, channels } = cut;
  const { em } = f;
  const max = f.ctx.symbols;
  const nBlocks = cut.features / nBlock;
  const panels = nBlock / width;
  const images = dimExpr(s.m[0]!, max);
  const tiles = mul(images, i32(across[0] * across[1]));
  // distances between the 16 matrices that are no power of two, so that their elements do not meet in the same lines of the cache
  const [imageStride, resultStride, weightStride] = [block * channels + 16, block * nBlock + 16, panels * channels * width];
  const image = f.local('image', 'private', 'f32', 16 * imageStride);
  const weights = f.local('weights', 'private', 'f32', 16 * weightStride);
  const result = f.local('result', 'private', 'f32', 16 * resultStride);
  const group = variable('group0', 'group', 'i32', [0, 2147483646]);
  const perGroup = block * several;
  const groupsOfTiles = tiles.kind === 'const' ? i32(Math.ceil(tiles.value / perGroup)) : div(add(tiles, i32(perGroup - 1)), i32(perGroup));
  const [nGroup, tGroup] = delinearize(group, [i32(nBlocks), groupsOfTiles]) as [Expr, Expr];
  const n0 = variable('n0', 'let', 'i32', [0, cut.features - nBlock]);
  const first = variable('first', 'let', 'i32', [0, Math.max(0, tiles.hi - 1)]);
  const t0 = variable('t0', 'let', 'i32', [0, Math.max(0, tiles.hi - 1)]);
  const mb = loopVar('mb', several);
  const blocksLeft = min(i32(several), div(add(sub(tiles, first), i32(block - 1)), i32(block)));
  const count = min(i32(block), sub(tiles, t0));
  const body = [
    ...transformImage(f, tilesOf(s, cut, tiles), { image, stride: imageStride, block, channels, t0, count, fill: true }),
    ...products({ image, imageStride, weights, result, resultStride, panels, channels, nBlock, count }),
    ...transformResult(f, s, cut, { result, stride: resultStride, t0, n0, count }),
  ];
  const out = em.within([], () => [
    letVar(n0, mul(nGroup, i32(nBlock))),
    letVar(first, mul(tGroup, i32(perGroup))),
    ...transformWeights(f, s, { weights, panels, channels, n0 }),
    forLoop(mb, i32(0), blocksLeft, [letVar(t0, add(first, mul(mb, i32(block)))), ...body]),
  ]);
  return f.finish(out, {
    grid: [sizeMul(nBlocks, sizeCeilDiv(exprSize(tiles), perGroup)), 1, 1],
    parallel: true,
  });
}

function tilesOf(s: ContractionSpec, cut: Cut, total: Expr): Tiles {
  return {
    across: cut.across,
    inside: cut.inside,
    total,
    element: (image, y, x, c) => {
      const [[dy, i], [dx, j]] = [tapOf(y.at), tapOf(x.at)];
      return s.left([], [image, add(mul(y.tile, i32(2)), dy), add(mul(x.tile, i32(2)), dx)], [i, j, c]);
    },
  };
}

/** weights[16][panel][channel][width] */
function transformWeights(f: Frame, s: ContractionSpec, o: { weights: Memory; panels: number; channels: number; n0: Expr }): Stmt[] {
  const [p, c, n] = [loopVar('p', o.panels), loopVar('c', o.channels), loopVar('n', width)];
  const body: Stmt[] = [];
  f.em.within(body, () => {
    const g = matrix(3, (i, j) => s.right([], [add(o.n0, add(mul(p, i32(width)), n))], [i32(i), i32(j), c]));
    const u = both(g, weightColumn);
    const at = add(mul(add(mul(p, i32(o.channels)), c), i32(width)), n);
    u.forEach((row, i) => row.forEach((e, j) => body.push(store(o.weights, add(i32((4 * i + j) * o.panels * o.channels * width), at), e))));
  });
  return [forLoop(p, i32(0), i32(o.panels), [forLoop(c, i32(0), i32(o.channels), [forLoop(n, i32(0), i32(width), body, { parallel: true })])])];
}

/** result[16][tile][feature]: 16 matrix products. */
function products(o: {
  image: Memory;
  imageStride: number;
  weights: Memory;
  result: Memory;
  resultStride: number;
  panels: number;
  channels: number;
  nBlock: number;
  count: Expr;
}): Stmt[] {
  const [xi, p, mi, k] = [loopVar('xi', 16), loopVar('p', o.panels), loopVar('mi', Math.ceil((o.count.hi || 1) / rows)), loopVar('k', o.channels)];
  const accs = Array.from({ length: rows }, () => [0, 4].map(() => variable('acc', 'mutable', 'f32', undefined, 4)));
  const bs = [0, 4].map(() => variable('b', 'let', 'f32', undefined, 4));
  const weightAt = mul(add(mul(add(mul(xi, i32(o.panels)), p), i32(o.channels)), k), i32(width));
  const rowOf = (r: number): Expr => add(mul(mi, i32(rows)), i32(r));
  const step: Stmt[] = bs.map((b, j) => letVar(b, load(o.weights, add(weightAt, i32(4 * j)), 4)));
  accs.forEach((row, r) => {
    const a = variable('a', 'let', 'f32');
    step.push(letVar(a, load(o.image, add(mul(xi, i32(o.imageStride)), add(mul(rowOf(r), i32(o.channels)), k)))));
    row.forEach((acc, j) => step.push(assign(acc, mad(splat(a, 4), bs[j]!, acc))));
  });
  const tile: Stmt[] = [
    ...accs.flat().map((acc) => mutable(acc, constant(0, 'f32', 4))),
    forLoop(k, i32(0), i32(o.channels), step),
    ...accs.flatMap((row, r) =>
      row.map((acc, j) => store(o.result, add(mul(xi, i32(o.resultStride)), add(mul(rowOf(r), i32(o.nBlock)), add(mul(p, i32(width)), i32(4 * j)))), acc)),
    ),
  ];
  const tilesOfRows = o.count.kind === 'const' ? i32(Math.ceil(o.count.value / rows)) : div(add(o.count, i32(rows - 1)), i32(rows));
  return [forLoop(xi, i32(0), i32(16), [forLoop(p, i32(0), i32(o.panels), [forLoop(mi, i32(0), tilesOfRows, tile)])])];
}

/** The four positions of each tile, and the epilogue there. */
function transformResult(f: Frame, s: ContractionSpec, cut: Cut, o: { result: Memory; stride: number; t0: Expr; n0: Expr; count: Expr }): Stmt[] {
  const { em, ctx, region } = f;
  const t = loopVar('t', cut.block);
  const at = placeOf(add(o.t0, t), cut);
  const images = evalDim(s.m[0]!, ctx.symbols);
  const limits = [Math.max(0, images - 1), cut.across[0] - 1, cut.across[1] - 1];
  const names = limits.map((most) => variable('at', 'let', 'i32', [0, most]));
  const [height, breadth] = [s.m[1] as number, s.m[2] as number];
  /** Stores of the positions (0, 0) up to (ys - 1, xs - 1) of the tile. */
  const positions = (ys: number, xs: number): Stmt => {
    const n = loopVar('n', cut.nBlock);
    const body: Stmt[] = [];
    const m = matrix(4, (i, j) => load(o.result, add(i32((4 * i + j) * o.stride), add(mul(t, i32(cut.nBlock)), n))));
    const y = both(m, resultColumn);
    // all of the tile's values first: they are sums of the same 16
    const values = y.slice(0, ys).map((row) => row.slice(0, xs).map((e) => ({ v: variable('y', 'let', 'f32'), e })));
    for (const row of values) for (const { v, e } of row) body.push(letVar(v, e));
    values.forEach((row, dy) =>
      row.forEach(({ v }, dx) => {
        const here = [add(mul(names[1]!, i32(2)), i32(dy)), add(mul(names[2]!, i32(2)), i32(dx))].map((e, i) => {
          const most = (i === 0 ? height : breadth) - 1;
          return e.hi > most ? min(e, i32(most)) : e;
        });
        const index = s.out([], [names[0]!, ...here], [add(o.n0, n)]);
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
    return forLoop(n, i32(0), i32(cut.nBlock), body, { parallel: true });
  };
  // the last tiles of an odd axis have one position
  const [oddY, oddX] = [height % 2 === 1, breadth % 2 === 1];
  const last = (axis: number): Expr => compare('eq', names[axis]!, i32(limits[axis]!));
  const row = (ys: number): Stmt[] => (oddX ? ifThen(last(2), [positions(ys, 1)], [positions(ys, 2)]) : [positions(ys, 2)]);
  const all = oddY ? ifThen(last(1), row(1), row(2)) : row(2);
  return [forLoop(t, i32(0), o.count, [...names.map((v, i) => letVar(v, at[i]!)), ...all])];
}
