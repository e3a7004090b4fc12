/** Gradients of gather and scatter. Gather clamps indices and scatter drops those out of range, so each rule restores what the other lacks. */
import type { GraphBuilder } from '../builder.js';
import type { Dim, Shape } from '../dim.js';
import type { Value } from '../graph.js';
import type { GradientContext } from '../op.js';

type Flow = (Value | null)[];

export function gatherGradient({ b, node, grads, wanted }: GradientContext<'gather'>): Flow {
  const [x, indices] = node.inputs as [Value, Value];
  const { axis } = node.attrs;
  if (!wanted[0]) return [null, null];
  const last = b.sub(b.dimSize(x.shape[axis]!), 1);
  const clamped = b.max(b.min(indices, last), 0);
  return [b.emit('scatter', [b.full(x.shape, 0, x.dtype), clamped, grads[0]!], { axis, fn: 'add' }), null];
}

/** A value shaped like the indices, repeated over the other axes of updates. */
const overUpdates = (b: GraphBuilder, v: Value, shape: Shape, axis: number): Value =>
  b.broadcast(
    v,
    shape,
    v.shape.map((_, i) => axis + i),
  );

const inRange = (b: GraphBuilder, indices: Value, size: Dim): Value => b.and(b.compare('ge', indices, 0), b.compare('lt', indices, b.dimSize(size)));

/** True for the last update of each place. */
function lastWins(b: GraphBuilder, indices: Value, size: Dim): Value {
  const flat = b.reshape(indices, [-1]);
  const order = b.iota(flat.shape, 0);
  const winner = b.emit('scatter', [b.full([size], -1, 'int32'), flat, order], { axis: 0, fn: 'set' });
  return b.reshape(b.compare('eq', b.gather(winner, flat), order), indices.shape);
}

export function scatterGradient({ b, node, grads, wanted }: GradientContext<'scatter'>): Flow {
  const g = grads[0]!;
  const [x, indices, updates] = node.inputs as [Value, Value, Value];
  const y = node.outputs[0]!;
  const { axis, fn } = node.attrs;
  const size = x.shape[axis]!;
  const scatter = (operand: Value, values: Value, f: typeof fn): Value => b.emit('scatter', [operand, indices, values], { axis, fn: f });
  const zeros = (v: Value): Value => b.full(v.shape, 0, v.dtype);
  const spread = (v: Value): Value => overUpdates(b, v, updates.shape, axis);
  const valid = (): Value => spread(inRange(b, indices, size));
  switch (fn) {
    case 'add':
      return [g, null, wanted[2] ? b.select(valid(), b.gather(g, indices, axis), 0) : null];
    case 'set': {
      const wins = (): Value => spread(b.and(inRange(b, indices, size), lastWins(b, indices, size)));
      return [wanted[0] ? scatter(g, zeros(updates), 'set') : null, null, wanted[2] ? b.select(wins(), b.gather(g, indices, axis), 0) : null];
    }
    case 'mul': {
      // The product of the other factors of a place is its result divided by the factor itself: a factor of 0 gives NaN.
      const factors = (): Value => scatter(b.full(x.shape, 1, x.dtype), updates, 'mul');
      return [wanted[0] ? b.mul(g, factors()) : null, null, wanted[2] ? b.select(valid(), b.div(b.gather(b.mul(g, y), indices, axis), updates), 0) : null];
    }
    case 'max':
    case 'min': {
      // As for reduce: operand and updates that equal the result share its cotangent evenly.
      const own = b.cast(b.compare('eq', x, y), x.dtype);
      const theirs = b.select(b.and(valid(), b.compare('eq', updates, b.gather(y, indices, axis))), b.full(updates.shape, 1, x.dtype), 0);
      const share = b.div(g, scatter(own, theirs, 'add'));
      return [b.mul(own, share), null, wanted[2] ? b.mul(theirs, b.gather(share, indices, axis)) : null];
    }
  }
}
