/** Activations and softmax. */
import { isStatic } from '../../../ir/dim.js';
import type { Value } from '../../../ir/graph.js';
import { gelu, logSoftmax, softmax, uniform } from '../../../ir/math.js';
import type { NodeContext } from '../context.js';
import { keyOf } from '../lib/random.js';
import { float, int, type OpEntry, op, opt, text } from '../registry.js';

/** log(1 + exp(x)), without overflow. */
export const softplus = (c: NodeContext, x: Value): Value => c.b.add(c.b.max(x, 0), c.b.unary('log1p', c.b.exp(c.b.neg(c.b.unary('abs', x)))));

/** alpha * (exp(min(x, 0) * rate) - 1) for x < 0, else x. */
const exponentialTail = (c: NodeContext, x: Value, alpha: number, rate = 1): Value => c.b.mul(c.b.unary('expm1', c.b.mul(c.b.min(x, 0), rate)), alpha);

/** Applies `f` over the axis; before opset 13 over all axes from it on, as one. */
function overAxis(c: NodeContext, axis: number | null, f: (x: Value, axis: number) => Value): Value {
  const x = c.in(0);
  const rank = x.shape.length;
  if (c.version >= 13) return f(x, c.axis(axis ?? -1, rank));
  const at = axis === rank ? rank : c.axis(axis ?? 1, rank);
  const tail = x.shape.slice(at);
  if (tail.length === 1) return f(x, at);
  const n = tail.reduce<number>((p, d) => p * (isStatic(d) ? d : c.size(d)), 1);
  return c.b.reshape(f(c.b.reshape(x, [...x.shape.slice(0, at), n]), at), x.shape);
}

/** Slope of PRelu beside x: before opset 7 one value for each channel. */
function slopeOf(c: NodeContext, x: Value, slope: Value): Value {
  if (c.version >= 7 || slope.shape.length !== 1 || x.shape.length < 2) return slope;
  return c.b.reshape(slope, [slope.shape[0]!, ...x.shape.slice(2).map(() => 1)]);
}

const legacy = { consumed_inputs: opt.ints } as const;

export const activationOps: readonly OpEntry[] = [
  op('Relu', [1, 6, 13, 14], legacy, (c) => c.b.relu(c.in(0))),
  op('LeakyRelu', [1, 6, 16], { alpha: float(Math.fround(0.01)), ...legacy }, (c, a) => {
    const x = c.in(0);
    return c.b.select(c.b.compare('lt', x, 0), c.b.mul(x, a.alpha), x);
  }),
  op('PRelu', [1, 6, 7, 9, 16], legacy, (c) => {
    const x = c.in(0);
    return c.b.select(c.b.compare('lt', x, 0), c.b.mul(x, slopeOf(c, x, c.in(1))), x);
  }),
  op('Elu', [1, 6, 22], { alpha: float(1), ...legacy }, (c, a) => {
    const x = c.in(0);
    return c.b.select(c.b.compare('lt', x, 0), exponentialTail(c, x, a.alpha), x);
  }),
  op('Selu', [1, 6, 22], { alpha: float(1.6732631921768188), gamma: float(1.0507010221481323), ...legacy }, (c, a) => {
    const x = c.in(0);
    // Before opset 6 the defaults were rounded to four digits; models of that time state them.
    return c.b.mul(c.b.select(c.b.compare('le', x, 0), exponentialTail(c, x, a.alpha), x), a.gamma);
  }),
  op('Celu', [12, 28], { alpha: float(1) }, (c, a) => c.b.add(c.b.max(c.in(0), 0), exponentialTail(c, c.in(0), a.alpha, 1 / a.alpha))),
  op('ThresholdedRelu', [10, 22], { alpha: float(1) }, (c, a) => c.b.select(c.b.compare('gt', c.in(0), a.alpha), c.in(0), 0)),
  op('HardSigmoid', [1, 6, 22], { alpha: float(Math.fround(0.2)), beta: float(0.5), ...legacy }, (c, a) =>
    c.b.max(c.b.min(c.b.add(c.b.mul(c.in(0), a.alpha), a.beta), 1), 0),
  ),
  op('HardSwish', [14, 22], {}, (c) => c.b.mul(c.in(0), c.b.max(c.b.min(c.b.add(c.b.mul(c.in(0), 1 / 6), 0.5), 1), 0))),
  op('Softplus', [1, 22], {}, (c) => softplus(c, c.in(0))),
  op('Softsign', [1, 22], {}, (c) => c.b.div(c.in(0), c.b.add(c.b.unary('abs', c.in(0)), 1))),
  op('Mish', [18, 22], {}, (c) => c.b.mul(c.in(0), c.b.tanh(softplus(c, c.in(0))))),
  op('Swish', [24], { alpha: float(1) }, (c, a) => c.b.mul(c.in(0), c.b.sigmoid(c.b.mul(c.in(0), a.alpha)))),
  op('SwiGLU', [28], { alpha: float(1) }, (c, a) => c.b.mul(c.b.mul(c.in(0), c.b.sigmoid(c.b.mul(c.in(0), a.alpha))), c.in(1))),
  op('Gelu', [20], { approximate: text('none') }, (c, a) => gelu(c.b, c.in(0), a.approximate === 'tanh')),
  op('Shrink', [9], { lambd: float(0.5), bias: float(0) }, (c, a) => {
    const { b } = c;
    const given = c.in(0);
    const x = given.dtype.startsWith('float') ? given : b.cast(given, 'float32');
    const y = b.select(b.compare('lt', x, -a.lambd), b.add(x, a.bias), b.select(b.compare('gt', x, a.lambd), b.sub(x, a.bias), 0));
    return b.cast(y, given.dtype);
  }),
  op('Softmax', [1, 11, 13], { axis: opt.int }, (c, a) => overAxis(c, a.axis, (x, axis) => softmax(c.b, x, axis))),
  op('LogSoftmax', [1, 11, 13], { axis: opt.int }, (c, a) => overAxis(c, a.axis, (x, axis) => logSoftmax(c.b, x, axis))),
  op('Hardmax', [1, 11, 13], { axis: opt.int }, (c, a) =>
    overAxis(c, a.axis, (x, axis) => {
      const { b } = c;
      const first = b.expandDims(b.emit('arg_reduce', [x], { fn: 'argmax', axis }), axis);
      return b.cast(b.compare('eq', b.iota(x.shape, axis), first), x.dtype);
    }),
  ),
  op('Dropout', [1, 6, 7, 10, 12, 13, 22], { ratio: float(0.5), is_test: int(0), seed: opt.int, ...legacy }, (c, a) => {
    const { b } = c;
    const x = c.in(0);
    const training = c.version >= 12 && c.opt(2) ? c.data(c.in(2)).data[0] : 0;
    const ratio = c.version >= 12 && c.opt(1) ? c.number(c.in(1)) : 0.5;
    if (training && ratio > 0) {
      const keep = b.compare('ge', uniform(b, keyOf(c, a.seed), x.shape), ratio);
      return [b.select(keep, b.mul(x, 1 / (1 - ratio)), 0), c.wants(1) ? keep : null];
    }
    const mask = c.wants(1) ? b.full(x.shape, 1, c.version < 10 ? x.dtype : 'bool') : null;
    return [x, mask];
  }),
];
