/** Random tensors: the same bits on every target, from the seed of the node. Other runtimes draw other numbers from the same seed. */
import type { Value } from '../../../ir/graph.js';
import { normal, uniform } from '../../../ir/math.js';
import type { NodeContext } from '../context.js';
import { keyOf } from '../lib/random.js';
import { float, int, ints, type OpEntry, op, opt } from '../registry.js';

const scaled = (c: NodeContext, x: Value, factor: number, shift: number, elementType: number): Value =>
  c.b.cast(c.b.add(c.b.mul(x, factor), shift), c.dtype(elementType));

export const randomOps: readonly OpEntry[] = [
  op('RandomNormal', [1, 22], { dtype: int(1), mean: float(0), scale: float(1), seed: opt.float, shape: ints() }, (c, a) =>
    scaled(c, normal(c.b, keyOf(c, a.seed), a.shape), a.scale, a.mean, a.dtype),
  ),
  op('RandomUniform', [1, 22], { dtype: int(1), high: float(1), low: float(0), seed: opt.float, shape: ints() }, (c, a) =>
    scaled(c, uniform(c.b, keyOf(c, a.seed), a.shape), a.high - a.low, a.low, a.dtype),
  ),
  op('RandomNormalLike', [1, 22], { dtype: opt.int, mean: float(0), scale: float(1), seed: opt.float }, (c, a) => {
    const y = c.b.add(c.b.mul(normal(c.b, keyOf(c, a.seed), c.in(0).shape), a.scale), a.mean);
    return c.b.cast(y, a.dtype === null ? c.in(0).dtype : c.dtype(a.dtype));
  }),
  op('RandomUniformLike', [1, 22], { dtype: opt.int, high: float(1), low: float(0), seed: opt.float }, (c, a) => {
    const y = c.b.add(c.b.mul(uniform(c.b, keyOf(c, a.seed), c.in(0).shape), a.high - a.low), a.low);
    return c.b.cast(y, a.dtype === null ? c.in(0).dtype : c.dtype(a.dtype));
  }),
  op('Bernoulli', [15, 22], { dtype: opt.int, seed: opt.float }, (c, a) => {
    const x = c.in(0);
    const u = uniform(c.b, keyOf(c, a.seed), x.shape);
    return c.b.cast(c.b.compare('lt', u, c.b.cast(x, 'float32')), a.dtype === null ? x.dtype : c.dtype(a.dtype));
  }),
  op('Multinomial', [7, 22], { dtype: int(6), sample_size: int(1), seed: opt.float }, (c, a) => {
    // The largest of the log probabilities with Gumbel noise.
    const { b } = c;
    const x = c.in(0);
    const [n, classes] = [x.shape[0]!, x.shape[1]!];
    const shape = [n, a.sample_size, classes];
    const u = uniform(b, keyOf(c, a.seed), shape);
    const noise = b.neg(b.log(b.neg(b.log(b.max(u, 2 ** -25)))));
    const noisy = b.add(b.broadcast(b.cast(x, 'float32'), shape, [0, 2]), noise);
    return b.cast(b.emit('arg_reduce', [noisy], { fn: 'argmax', axis: 2 }), c.dtype(a.dtype));
  }),
];
