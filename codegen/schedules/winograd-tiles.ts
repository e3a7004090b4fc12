/**
 * What Winograd's schedules share: the transforms of F(2x2, 3x3) (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015) as expressions, and the statements that bring
 * tiles of the image, 4x4 elements that begin every 2, into scratch memory.
 */
import type { Contraction } from '../../passes/regions.js';
import { add, and, compare, constant, div, type Expr, i32, load, min, mul, sub, variable } from '../kernel/expr.js';
import { forLoop, ifThen, letVar, type Memory, type Stmt, store } from '../kernel/ir.js';
import type { Frame } from '../lower/frame.js';
import { delinearize } from '../lower/space.js';
import { loopVar } from './gemm-pack.js';

/** Columns and rows of the register tile. */
export const width = 8;
export const rows = 4;

/** Elements of scratch memory for a block of tiles, before and after the products. */
export const mostTiles = 49152;
/** Winograd's way must save this much of the work. */
export const worth = 0.8;

/** The attributes of a two-dimensional convolution with no strides and no dilation; null for others. */
export function plainConvolution(n: Contraction): Extract<Contraction, { op: 'conv' }>['attrs'] | null {
  if (n.op !== 'conv') return null;
  const { dims, strides, inputDilation, kernelDilation } = n.attrs;
  return dims.output.spatial.length === 2 && [...strides, ...inputDilation, ...kernelDilation].every((x) => x === 1) ? n.attrs : null;
}

export type Four = readonly [Expr, Expr, Expr, Expr];

/** B^T of a column of the image. */
const imageColumn = ([a, b, c, d]: Four): Four => [sub(a, c), add(b, c), sub(c, b), sub(b, d)];
/** G of a column of weights. */
export const weightColumn = ([a, b, c]: readonly Expr[]): Four => {
  const half = constant(0.5, 'f32');
  const outer = mul(add(a!, c!), half);
  const inner = mul(b!, half);
  return [a!, add(outer, inner), sub(outer, inner), c!];
};
/** A^T of a column of products. */
export const resultColumn = ([a, b, c, d]: Four): readonly [Expr, Expr] => [add(add(a, b), c), sub(sub(b, c), d)];

const transpose = (m: readonly (readonly Expr[])[]): Expr[][] => m[0]!.map((_, j) => m.map((row) => row[j]!));
/** T m T^T, for a transform T of columns. */
export const both = (m: readonly (readonly Expr[])[], column: (c: never) => readonly Expr[]): Expr[][] => {
  const once = transpose(transpose(m).map((c) => [...column(c as never)]));
  return once.map((row) => [...column(row as never)]);
};

export const matrix = (n: number, at: (i: number, j: number) => Expr): Expr[][] =>
  Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => at(i, j)));

/** Output positions of a convolution in tiles of 2x2. */
export interface Tiles {
  /** Tiles along both spatial axes. */
  readonly across: readonly [number, number];
  /** First and last tile along both axes whose elements all lie in the image. */
  readonly inside: readonly (readonly [number, number])[];
  /** All tiles of all images. */
  readonly total: Expr;
  /** Element of the image, padding included: image, position (without padding), channel of the block. */
  readonly element: (image: Expr, y: { tile: Expr; at: Expr }, x: { tile: Expr; at: Expr }, channel: Expr) => Expr;
}

/** Tiles along an axis of `size` elements that all lie in it, of `count`. */
export const insideTiles = (size: number, before: number, count: number): readonly [number, number] => [
  Math.max(0, Math.ceil(before / 2)),
  Math.min(count - 1, Math.floor((size - 4 + before) / 2)),
];

/** Image, row and column of a tile. */
export const placeOf = (t: Expr, tiles: Pick<Tiles, 'across'>): Expr[] => delinearize(t, [i32(1), i32(tiles.across[0]), i32(tiles.across[1])]);

/** image[16][tile][channel] for `count` tiles from t0. `fill`: the rows that fill up the last register tile are copies of the last tile. */
export function transformImage(
  f: Frame,
  tiles: Tiles,
  o: { image: Memory; stride: number; block: number; channels: number; t0: Expr; count: Expr; fill: boolean },
): Stmt[] {
  const [t, c] = [loopVar('t', o.block), loopVar('c', o.channels)];
  const filled = o.fill ? mul(div(add(o.count, i32(rows - 1)), i32(rows)), i32(rows)) : o.count;
  const at = placeOf(o.fill ? min(add(o.t0, t), sub(tiles.total, i32(1))) : add(o.t0, t), tiles);
  const names = at.map((e, i) => variable('at', 'let', 'i32', [0, i === 0 ? e.hi : tiles.across[i - 1]! - 1]));
  /** Transforms a tile, channel by channel. */
  const transform = (from: (i: number, j: number, channel: Expr) => Expr): Stmt => {
    const body: Stmt[] = [];
    f.em.within(body, () => {
      both(
        matrix(4, (i, j) => from(i, j, c)),
        imageColumn,
      ).forEach((row, i) => row.forEach((e, j) => body.push(store(o.image, add(i32((4 * i + j) * o.stride), add(mul(t, i32(o.channels)), c)), e))));
    });
    return forLoop(c, i32(0), i32(o.channels), body, { parallel: true });
  };
  const direct = ([image, y, x]: readonly Expr[]): Stmt =>
    transform((i, j, ch) => tiles.element(image!, { tile: y!, at: i32(i) }, { tile: x!, at: i32(j) }, ch));
  const lets = names.map((v, i) => letVar(v, at[i]!));
  const everywhere = tiles.inside.every(([from, to], i) => from === 0 && to === tiles.across[i]! - 1);
  if (everywhere) return [forLoop(t, i32(0), filled, [...lets, direct(names)])];
  // Tiles at the border are copied first, with guards: 16 elements with guards of their own would be a lot of code.
  const patch = f.local('patch', 'private', 'f32', 16 * o.channels);
  const [i, j, ch] = [loopVar('i', 4), loopVar('j', 4), loopVar('c', o.channels)];
  const fill: Stmt[] = [];
  f.em.within(fill, () => {
    const e = tiles.element(names[0]!, { tile: names[1]!, at: i }, { tile: names[2]!, at: j }, ch);
    fill.push(store(patch, add(mul(add(mul(i, i32(4)), j), i32(o.channels)), ch), e));
  });
  const copied = [
    forLoop(i, i32(0), i32(4), [forLoop(j, i32(0), i32(4), [forLoop(ch, i32(0), i32(o.channels), fill, { parallel: true })])]),
    transform((r, q, channel) => load(patch, add(i32((4 * r + q) * o.channels), channel))),
  ];
  if (tiles.inside.some(([from, to]) => to < from)) return [forLoop(t, i32(0), filled, [...lets, ...copied])];
  // Tiles inside the image need no guards: the variables' ranges say so.
  const inner = tiles.inside.map((range) => variable('in', 'let', 'i32', range));
  const test = tiles.inside
    .map(([from, to], axis) => and(compare('ge', names[axis + 1]!, i32(from)), compare('le', names[axis + 1]!, i32(to))))
    .reduce((x, y) => and(x, y));
  const fast = [...inner.map((v, axis) => letVar(v, names[axis + 1]!)), direct([names[0]!, ...inner])];
  return [forLoop(t, i32(0), filled, [...lets, ...ifThen(test, fast, copied)])];
}

/** Element `at` (0 to 3) of a tile as a position of the convolution's result, 0 or 1 from the tile's first, and a tap of its window. */
export const tapOf = (at: Expr): readonly [Expr, Expr] => {
  const second = div(at, i32(3));
  return [second, sub(at, second)];
};
