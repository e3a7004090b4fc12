/** Flat positions for gathers and scatters, ranks by counting, and compaction of what a mask selects. */
import { type Shape, sizeDim } from '../../../ir/dim.js';
import type { Value } from '../../../ir/graph.js';
import { stridesOf } from '../../../ir/tensor-data.js';
import type { NodeContext } from '../context.js';

/** Indices as int32, negative ones counted from the end of an axis of size n. */
export function wrapped(c: NodeContext, indices: Value, n: number): Value {
  const { b } = c;
  const i = c.index(indices);
  return b.select(b.compare('lt', i, 0), b.add(i, n), i);
}

/** All elements in one row. */
export const flatten = (c: NodeContext, x: Value): Value => c.b.reshape(x, [sizeDim(x.shape)]);

/**
 * Flat positions in a tensor of `shape` for indices along one axis: element (i0, i1, …) of the indices names (i0, …, index, …). `indices` has the rank of the tensor.
 */
export function elementPositions(c: NodeContext, indices: Value, shape: readonly number[], axis: number): Value {
  const { b } = c;
  const strides = stridesOf(shape);
  let at = b.mul(indices, strides[axis]!);
  for (const [i, s] of strides.entries()) if (i !== axis && shape[i] !== 1) at = b.add(at, b.mul(b.iota(indices.shape, i), s));
  return at;
}

/** Flat row positions for index tuples [..., k] into the first k axes (after `batch` leading ones) of a tensor of `shape`. */
export function tuplePositions(c: NodeContext, indices: Value, shape: readonly number[], batch: number): Value {
  const { b } = c;
  const rank = indices.shape.length;
  const k = c.size(indices.shape[rank - 1]!);
  const strides = stridesOf(shape.slice(0, batch + k));
  const place: Shape = indices.shape.slice(0, -1);
  let at: Value = b.full(place, 0, 'int32');
  for (let j = 0; j < k; j++) {
    const column = b.squeeze(b.sliceAxis(indices, rank - 1, j, j + 1), [rank - 1]);
    at = b.add(at, b.mul(wrapped(c, column, shape[batch + j]!), strides[batch + j]!));
  }
  for (let j = 0; j < batch; j++) at = b.add(at, b.mul(b.iota(place, j), strides[j]!));
  return at;
}

/** Element by element: x at the given index of one axis. */
export function takeAlong(c: NodeContext, x: Value, indices: Value, axis: number): Value {
  return c.b.gather(flatten(c, x), elementPositions(c, indices, c.shape(x), axis), 0);
}

/** How many elements of the last axis come before each one: the place it gets when sorted. Equal elements keep their order. */
export function ranksOf(c: NodeContext, x: Value, descending: boolean): Value {
  const { b } = c;
  const axis = x.shape.length;
  const [mine, other] = [b.expandDims(x, axis), b.expandDims(x, axis - 1)];
  const square = b.broadcastShapes(mine.shape, other.shape);
  const ahead = b.compare(descending ? 'gt' : 'lt', b.broadcastTo(other, square), b.broadcastTo(mine, square));
  const earlier = b.compare('lt', b.iota(square, axis), b.iota(square, axis - 1));
  const before = b.or(ahead, b.and(b.compare('eq', b.broadcastTo(other, square), b.broadcastTo(mine, square)), earlier));
  return b.sum(b.cast(before, 'int32'), [axis]);
}

/** For ranks along the last axis: which element has each of the first k ranks. */
export function atRanks(c: NodeContext, ranks: Value, k: number): Value {
  const { b } = c;
  const last = ranks.shape.length - 1;
  const shape = [...ranks.shape.slice(0, -1), k, ranks.shape[last]!];
  const hit = b.compare('eq', b.broadcastTo(b.expandDims(ranks, last), shape), b.iota(shape, last));
  return b.sum(b.select(hit, b.iota(shape, last + 1), 0), [last + 1]);
}

/** The positions that a flat mask selects, first to last, with zeros after them; and their number. */
export function selected(c: NodeContext, mask: Value): { positions: Value; count: Value } {
  const { b } = c;
  const n = c.size(mask.shape[0]!);
  const ones = b.cast(mask, 'int32');
  const place = b.emit('cumulative', [ones], { fn: 'sum', axis: 0, exclusive: true, reverse: false });
  const to = b.select(mask, place, -1);
  const positions = b.emit('scatter', [b.full([n], 0, 'int32'), to, b.iota([n], 0)], { axis: 0, fn: 'set' });
  return { positions, count: b.sum(ones) };
}
