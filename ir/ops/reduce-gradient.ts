/** Gradients of reductions and running reductions. */
import type { GraphBuilder } from '../builder.js';
import type { Value } from '../graph.js';
import type { GradientContext } from '../op.js';
import { scan } from '../subgraph.js';

type Flow = (Value | null)[];

export function reduceGradient({ b, node, grads }: GradientContext<'reduce'>): Flow {
  const x = node.inputs[0]!;
  const { fn, axes } = node.attrs;
  const kept = x.shape.map((_, i) => i).filter((i) => !axes.includes(i));
  const spread = (v: Value): Value => b.broadcast(v, x.shape, kept);
  switch (fn) {
    case 'sum':
      return [spread(grads[0]!)];
    case 'max':
    case 'min': {
      // Elements that equal the extreme share its cotangent evenly, as in TensorFlow.
      const hit = b.cast(b.compare('eq', x, spread(node.outputs[0]!)), x.dtype);
      return [b.mul(hit, spread(b.div(grads[0]!, b.sum(hit, axes))))];
    }
    case 'prod':
      return [b.mul(spread(grads[0]!), productOfOthers(b, x, kept, axes))];
    case 'any':
    case 'all':
      return [null];
  }
}

/** For each element the product of the others over `axes`, exact where elements are 0: running products from both ends. */
function productOfOthers(b: GraphBuilder, x: Value, kept: readonly number[], axes: readonly number[]): Value {
  const order = [...kept, ...axes];
  const moved = b.transpose(x, order);
  const rows = b.reshape(moved, [...kept.map((a) => x.shape[a]!), -1]);
  const axis = kept.length;
  const running = (reverse: boolean): Value => b.emit('cumulative', [rows], { fn: 'prod', axis, exclusive: true, reverse });
  return b.transpose(
    b.reshape(b.mul(running(false), running(true)), moved.shape),
    order.map((_, i) => order.indexOf(i)),
  );
}

/** S[i] = g[i] + a[i+1] * S[i+1] along an axis (from the other end with `reverse`). */
function recurrence(b: GraphBuilder, a: Value, g: Value, axis: number, reverse: boolean): Value {
  const order = [axis, ...a.shape.map((_, i) => i).filter((i) => i !== axis)];
  const [xs, ys] = [b.transpose(a, order), b.transpose(g, order)];
  const start = b.full(xs.shape.slice(1), 0, g.dtype);
  const { ys: out } = scan(b, { name: 'recurrence', carries: [start], xs: [xs, ys], length: xs.shape[0]!, reverse: !reverse }, (sub, [carry], [at, gt]) => {
    const s = sub.add(gt!, carry!);
    return { carries: [sub.mul(at!, s)], ys: [s] };
  });
  return b.transpose(
    out[0]!,
    order.map((_, i) => order.indexOf(i)),
  );
}

export function cumulativeGradient({ b, node, grads }: GradientContext<'cumulative'>): Flow {
  const x = node.inputs[0]!;
  const { fn, axis, exclusive, reverse } = node.attrs;
  if (fn === 'sum') return [b.emit('cumulative', [grads[0]!], { fn, axis, exclusive, reverse: !reverse })];
  // An exclusive result is the inclusive one moved by one place: move its cotangent back.
  const shift = x.shape.map((_, i) => (i === axis ? (reverse ? 1 : -1) : 0));
  const g = exclusive
    ? b.pad(
        grads[0]!,
        shift,
        shift.map((s) => 0 - s),
      )
    : grads[0]!;
  const before = b.emit('cumulative', [x], { fn, axis, exclusive: true, reverse });
  if (fn === 'prod') return [b.mul(before, recurrence(b, x, g, axis, reverse))];
  // max, min: the cotangents since an element became the extreme, up to the next new extreme.
  const fresh = b.compare(fn === 'max' ? 'gt' : 'lt', x, before);
  return [b.select(fresh, recurrence(b, b.cast(b.not(fresh), x.dtype), g, axis, reverse), 0)];
}
