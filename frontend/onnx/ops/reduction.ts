/** Reductions, index of the extreme, running sums and products. */
import { isFloat } from '../../../ir/dtype.js';
import type { Value } from '../../../ir/graph.js';
import { normalizeAxis } from '../../../ir/math.js';
import type { NodeContext } from '../context.js';
import { axesOf } from '../lib/axes.js';
import { int, type OpEntry, op, opt } from '../registry.js';

type Body = (c: NodeContext, x: Value, axes: readonly number[], keep: boolean) => Value;

const versions = [1, 11, 13, 18] as const;

function reducing(name: string, since: readonly number[], sinceInput: number, body: Body, none: (c: NodeContext, x: Value) => Value = (_c, x) => x): OpEntry {
  return op(name, since, { axes: opt.ints, keepdims: int(1), noop_with_empty_axes: int(0) }, (c, a) => {
    const x = c.in(0);
    const rank = x.shape.length;
    const given = axesOf(c, a.axes, 1, sinceInput);
    if ((given === null || given.length === 0) && a.noop_with_empty_axes) return none(c, x);
    const axes = given === null || given.length === 0 ? x.shape.map((_, i) => i) : c.axes(given, rank);
    return body(c, x, axes, a.keepdims !== 0);
  });
}

const sum: Body = (c, x, axes, keep) => c.b.sum(x, axes, keep);
const absolute = (c: NodeContext, x: Value): Value => c.b.unary('abs', x);

/** max and min also take bool, as any and all. */
const extreme =
  (fn: 'max' | 'min'): Body =>
  (c, x, axes, keep) =>
    c.b.reduce(x.dtype === 'bool' ? (fn === 'max' ? 'any' : 'all') : fn, x, axes, keep);

/** The sum of x over the axes divided by their size; integers divide as integers. */
const mean: Body = (c, x, axes, keep) => {
  if (isFloat(x.dtype)) return c.b.mean(x, axes, keep);
  const n = axes.reduce((p, a) => p * c.size(x.shape[a]!), 1);
  return c.b.div(c.b.sum(x, axes, keep), n);
};

const logSumExp: Body = (c, x, axes, keep) => {
  const { b } = c;
  const y = isFloat(x.dtype) ? x : b.cast(x, 'float32');
  const top = b.reduce('max', y, axes, true);
  // An infinite maximum is not subtracted: inf - inf would be NaN.
  const shift = b.select(b.unary('is_inf', top), 0, top);
  const total = b.sum(b.exp(b.sub(y, shift)), axes, true);
  const r = b.add(b.log(total), shift);
  return b.cast(keep ? r : b.squeeze(r, axes), x.dtype);
};

const sqrt = (c: NodeContext, x: Value): Value => (isFloat(x.dtype) ? c.b.sqrt(x) : c.b.cast(c.b.sqrt(c.b.cast(x, 'float32')), x.dtype));
const log = (c: NodeContext, x: Value): Value => (isFloat(x.dtype) ? c.b.log(x) : c.b.cast(c.b.log(c.b.cast(x, 'float32')), x.dtype));

const arg = (name: string, fn: 'argmax' | 'argmin'): OpEntry =>
  op(name, [1, 11, 12, 13], { axis: int(0), keepdims: int(1), select_last_index: int(0) }, (c, a) => {
    const { b } = c;
    const x = c.in(0);
    const axis = c.axis(a.axis, x.shape.length);
    const n = x.shape[axis]!;
    const found = b.emit('arg_reduce', [a.select_last_index ? b.reverse(x, [axis]) : x], { fn, axis });
    const at = a.select_last_index ? b.sub(b.sub(b.dimSize(n), 1), found) : found;
    const index = b.cast(at, c.dtype(7));
    return a.keepdims ? b.expandDims(index, axis) : index;
  });

const running = (name: string, since: readonly number[], fn: 'sum' | 'prod'): OpEntry =>
  op(name, since, { exclusive: int(0), reverse: int(0) }, (c, a) => {
    const x = c.in(0);
    const axis = normalizeAxis(c.number(c.in(1)), x.shape.length);
    return c.b.emit('cumulative', [x], { fn, axis, exclusive: a.exclusive !== 0, reverse: a.reverse !== 0 });
  });

export const reductionOps: readonly OpEntry[] = [
  reducing('ReduceSum', [1, 11, 13], 13, sum),
  reducing('ReduceMean', versions, 18, mean),
  reducing('ReduceProd', versions, 18, (c, x, axes, keep) => c.b.reduce('prod', x, axes, keep)),
  reducing('ReduceMax', [1, 11, 12, 13, 18, 20], 18, extreme('max')),
  reducing('ReduceMin', [1, 11, 12, 13, 18, 20], 18, extreme('min')),
  reducing('ReduceL1', versions, 18, (c, x, axes, keep) => sum(c, absolute(c, x), axes, keep), absolute),
  reducing('ReduceL2', versions, 18, (c, x, axes, keep) => sqrt(c, sum(c, c.b.square(x), axes, keep)), absolute),
  reducing(
    'ReduceSumSquare',
    versions,
    18,
    (c, x, axes, keep) => sum(c, c.b.square(x), axes, keep),
    (c, x) => c.b.square(x),
  ),
  reducing('ReduceLogSum', [...versions, 28], 18, (c, x, axes, keep) => log(c, sum(c, x, axes, keep)), log),
  reducing('ReduceLogSumExp', [...versions, 28], 18, logSumExp),
  arg('ArgMax', 'argmax'),
  arg('ArgMin', 'argmin'),
  running('CumSum', [11, 14], 'sum'),
  running('CumProd', [26], 'prod'),
];
