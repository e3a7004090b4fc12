/**
 * Non-maximum suppression. One step for each box that a class may keep: the best box that is left is chosen, and what overlaps it too much is dropped, for all batches and classes at
 * once. The chosen triples are then moved together; their number is a result.
 */
import type { Value } from '../../../ir/graph.js';
import { scan } from '../../../ir/subgraph.js';
import type { NodeContext } from '../context.js';
import { selected } from './indexing.js';

/** Corners and area of boxes [B, N, 4], each [B, 1, N]. */
function corners(c: NodeContext, boxes: Value, centred: boolean): Value[] {
  const { b } = c;
  const [batch, n] = [boxes.shape[0]!, boxes.shape[1]!];
  const part = (i: number): Value => b.reshape(b.sliceAxis(boxes, 2, i, i + 1), [batch, 1, n]);
  const [p, q, r, s] = [part(0), part(1), part(2), part(3)] as const;
  let [y1, x1, y2, x2] = [b.min(p, r), b.min(q, s), b.max(p, r), b.max(q, s)];
  if (centred) {
    // [x, y, width, height]
    const [hw, hh] = [b.mul(r, 0.5), b.mul(s, 0.5)];
    [y1, x1, y2, x2] = [b.sub(q, hh), b.sub(p, hw), b.add(q, hh), b.add(p, hw)];
  }
  return [y1, x1, y2, x2, b.mul(b.sub(y2, y1), b.sub(x2, x1))];
}

export function nonMaxSuppression(c: NodeContext, centred: boolean): Value {
  const { b } = c;
  const [boxes, scores] = [c.in(0), c.in(1)];
  const [batch, classes, n] = c.shape(scores) as [number, number, number];
  const most = c.opt(2) ? c.number(c.in(2)) : 0;
  const steps = Math.min(most, n);
  const long = c.dtype(7);
  if (steps <= 0) return c.constant(long, [0, 3], []);
  const limit = (i: number, fallback: number): Value => (c.opt(i) ? b.reshape(c.in(i), []) : b.scalar(fallback, 'float32'));
  const iouLimit = limit(3, 0);
  const shape = [batch, classes, n];
  const alive = c.opt(4) ? b.compare('gt', scores, b.broadcastTo(limit(4, 0), shape)) : b.full(shape, 1, 'bool');
  const sides = corners(c, boxes, centred);
  const result = scan(
    b,
    { name: 'suppress', carries: [b.cast(alive, 'int32')], xs: [], length: steps, constants: [scores, iouLimit, ...sides] },
    (s, [left], _xs, constants) => {
      const [score, most, y1, x1, y2, x2, area] = constants as [Value, Value, Value, Value, Value, Value, Value];
      const live = s.compare('ne', left!, 0);
      const best = s.emit('arg_reduce', [s.select(live, score, Number.NEGATIVE_INFINITY)], { fn: 'argmax', axis: 2 });
      const any = s.reduce('any', live, [2]);
      const chosen = s.compare('eq', s.iota(shape, 2), s.expandDims(best, 2));
      const of = (v: Value): Value => s.sum(s.select(chosen, s.broadcastTo(v, shape), 0), [2], true);
      const overlap = (low1: Value, high1: Value): Value => s.max(s.sub(s.min(of(high1), high1), s.max(of(low1), low1)), 0);
      const shared = s.mul(overlap(y1, y2), overlap(x1, x2));
      const union = s.sub(s.add(of(area), area), shared);
      // A union of 0 has no overlap.
      const iou = s.select(s.compare('gt', union, 0), s.div(shared, union), 0);
      const dropped = s.or(chosen, s.compare('gt', iou, s.broadcastTo(most, shape)));
      return { carries: [s.select(dropped, 0, left!)], ys: [best, s.cast(any, 'int32')] };
    },
  );
  const [index, valid] = result.ys.map((y) => b.reshape(b.transpose(y, [1, 2, 0]), [batch * classes * steps])) as [Value, Value];
  const { positions, count } = selected(c, b.compare('ne', valid, 0));
  const total = batch * classes * steps;
  const column = (v: Value): Value => b.reshape(v, [total, 1]);
  const triples = b.concat(
    [column(b.div(positions, classes * steps)), column(b.binary('rem', b.div(positions, steps), classes)), column(b.gather(index, positions, 0))],
    1,
  );
  return c.padded(b.cast(triples, long), 0, count);
}
