/** Normalizations. Statistics of float16 inputs are computed in float32, as stash_type says. */
import type { DType } from '../../../ir/dtype.js';
import type { Value } from '../../../ir/graph.js';
import type { NodeContext } from '../context.js';
import { perChannel } from '../lib/broadcast.js';
import { float, int, ints, type OpEntry, op, opt } from '../registry.js';

const range = (from: number, to: number): number[] => Array.from({ length: Math.max(to - from, 0) }, (_, i) => from + i);

/** (x - mean) / sqrt(variance + epsilon) over the axes; also mean and the factor. */
export function standardized(c: NodeContext, x: Value, axes: readonly number[], epsilon: number): { y: Value; mean: Value; factor: Value } {
  const { b } = c;
  const mean = b.mean(x, axes, true);
  const centred = b.sub(x, mean);
  const factor = b.rsqrt(b.add(b.mean(b.square(centred), axes, true), epsilon));
  return { y: b.mul(centred, factor), mean, factor };
}

/** The type that statistics are computed in. */
const stash = (c: NodeContext, type: number, x: Value): DType => (x.dtype === 'float16' ? c.dtype(type) : x.dtype);

export function layerNormalization(
  c: NodeContext,
  x: Value,
  scale: Value | null,
  bias: Value | null,
  axis: number,
  epsilon: number,
  stashType: number,
): Value[] {
  const { b } = c;
  const dtype = stash(c, stashType, x);
  const axes = range(axis, x.shape.length);
  const { y, mean, factor } = standardized(c, b.cast(x, dtype), axes, epsilon);
  let z = b.cast(y, x.dtype);
  if (scale) z = b.mul(z, scale);
  if (bias) z = b.add(z, bias);
  return [z, mean, factor];
}

export const normalizationOps: readonly OpEntry[] = [
  op(
    'BatchNormalization',
    [1, 6, 7, 9, 14, 15],
    {
      epsilon: float(Math.fround(1e-5)),
      momentum: float(Math.fround(0.9)),
      training_mode: int(0),
      is_test: int(0),
      spatial: int(1),
      consumed_inputs: opt.ints,
    },
    (c, a) => {
      const { b } = c;
      const [x, scale, bias, mean, variance] = [c.in(0), c.in(1), c.in(2), c.in(3), c.in(4)];
      const rank = x.shape.length;
      // spatial 0 (before opset 9): statistics for every position, not for every channel.
      const along = (v: Value): Value => b.cast(a.spatial === 0 && c.version < 9 ? v : perChannel(c, v, rank), x.dtype);
      const apply = (m: Value, v: Value): Value =>
        b.add(b.mul(b.sub(x, along(m)), along(b.mul(b.cast(scale, v.dtype), b.rsqrt(b.add(v, a.epsilon))))), along(bias));
      const embedding = c.importer.embedding;
      const trains = embedding?.training ?? false;
      if ((c.version >= 14 && a.training_mode) || trains) {
        const axes = [0, ...range(2, rank)];
        const wide = b.cast(x, mean.dtype);
        const m = b.mean(wide, axes);
        const v = b.mean(b.square(b.sub(wide, perChannel(c, m, rank))), axes);
        const blend = (old: Value, now: Value): Value => b.add(b.mul(old, a.momentum), b.mul(now, 1 - a.momentum));
        const moved = [blend(mean, m), blend(variance, v)] as const;
        if (trains) {
          embedding!.move(mean, moved[0]);
          embedding!.move(variance, moved[1]);
        }
        return [apply(m, v), ...moved].slice(0, Math.max(c.outputCount, 1));
      }
      if (c.version < 7 && !a.is_test && c.outputCount > 1) return c.unsupported('batch normalization in training mode of opset 6 or before');
      return apply(mean, variance);
    },
  ),
  op('InstanceNormalization', [1, 6, 22], { epsilon: float(Math.fround(1e-5)), consumed_inputs: opt.ints }, (c, a) => {
    const x = c.in(0);
    const rank = x.shape.length;
    const { y } = standardized(c, x, range(2, rank), a.epsilon);
    return c.b.add(c.b.mul(y, perChannel(c, c.in(1), rank)), perChannel(c, c.in(2), rank));
  }),
  op('LayerNormalization', [17], { axis: int(-1), epsilon: float(Math.fround(1e-5)), stash_type: int(1) }, (c, a) => {
    const x = c.in(0);
    return layerNormalization(c, x, c.in(1), c.opt(2), c.axis(a.axis, x.shape.length), a.epsilon, a.stash_type);
  }),
  op('RMSNormalization', [23], { axis: int(-1), epsilon: float(Math.fround(1e-5)), stash_type: int(1) }, (c, a) => {
    const { b } = c;
    const x = c.in(0);
    const wide = b.cast(x, stash(c, a.stash_type, x));
    const axes = range(c.axis(a.axis, x.shape.length), x.shape.length);
    const y = b.mul(wide, b.rsqrt(b.add(b.mean(b.square(wide), axes, true), a.epsilon)));
    return b.mul(b.cast(y, x.dtype), c.in(1));
  }),
  op('GroupNormalization', [18, 21], { num_groups: int(), epsilon: float(Math.fround(1e-5)), stash_type: int(1) }, (c, a) => {
    const { b } = c;
    const x = c.in(0);
    const [n, ch, ...rest] = x.shape;
    const channels = c.size(ch!);
    const g = a.num_groups;
    if (channels % g !== 0) c.failShape(`${channels} channels are not a multiple of num_groups ${g}`);
    const grouped = b.reshape(b.cast(x, stash(c, a.stash_type, x)), [n!, g, channels / g, ...rest]);
    const y = b.cast(standardized(c, grouped, range(2, grouped.shape.length), a.epsilon).y, x.dtype);
    const ones = rest.map(() => 1);
    // Before opset 21 scale and bias are for groups, since then for channels.
    if (c.version < 21) return b.reshape(b.add(b.mul(y, b.reshape(c.in(1), [g, 1, ...ones])), b.reshape(c.in(2), [g, 1, ...ones])), x.shape);
    return b.add(b.mul(b.reshape(y, x.shape), perChannel(c, c.in(1), x.shape.length)), perChannel(c, c.in(2), x.shape.length));
  }),
  op('MeanVarianceNormalization', [1, 9, 13], { axes: ints([0, 2, 3]), across_channels: int(0), normalize_variance: int(1) }, (c, a) => {
    const { b } = c;
    const x = c.in(0);
    const old = c.version < 9;
    const axes = old ? (a.across_channels ? range(1, x.shape.length) : range(2, x.shape.length)) : c.axes(a.axes, x.shape.length);
    const centred = b.sub(x, b.mean(x, axes, true));
    if (old && !a.normalize_variance) return centred;
    return b.div(centred, b.add(b.sqrt(b.mean(b.square(centred), axes, true)), 1e-9));
  }),
  op('LRN', [1, 13], { alpha: float(Math.fround(1e-4)), beta: float(0.75), bias: float(1), size: int() }, (c, a) => {
    const { b } = c;
    const x = c.in(0);
    const ones = x.shape.map(() => 1);
    const before = Math.floor((a.size - 1) / 2);
    const total = b.emit('reduce_window', [b.square(x)], {
      fn: 'sum',
      window: ones.map((_, i) => (i === 1 ? a.size : 1)),
      strides: ones,
      padding: ones.map((_, i) => (i === 1 ? ([before, a.size - 1 - before] as const) : ([0, 0] as const))),
      baseDilation: ones,
      windowDilation: ones,
    });
    return b.div(x, b.pow(b.add(b.mul(total, a.alpha / a.size), a.bias), a.beta));
  }),
  op('LpNormalization', [1, 22], { axis: int(-1), p: int(2) }, (c, a) => {
    const { b } = c;
    const x = c.in(0);
    const axis = [c.axis(a.axis, x.shape.length)];
    if (a.p !== 1 && a.p !== 2) c.fail(`p ${a.p}, expected 1 or 2`);
    const norm = a.p === 1 ? b.sum(b.unary('abs', x), axis, true) : b.sqrt(b.sum(b.square(x), axis, true));
    return b.select(b.broadcastTo(b.compare('eq', norm, 0), x.shape), 0, b.div(x, norm));
  }),
];
