/** Elementwise arithmetic, comparison, logic and bits. */
import { isFloat, isInteger, isUnsigned, storageBytes } from '../../../ir/dtype.js';
import type { Value } from '../../../ir/graph.js';
import type { BinaryFunction, CompareFunction, UnaryFunction } from '../../../ir/op-attrs.js';
import type { NodeContext, Padding } from '../context.js';
import { elementTypeOf } from '../element-types.js';
import { legacyBroadcast, operands } from '../lib/broadcast.js';
import { castTo } from '../lib/cast.js';
import { int, type OpEntry, op, opt, text } from '../registry.js';

/** Carries the padding of an operand over to the result, where the other operands do not run along the padded axis. */
export function follow(c: NodeContext, result: Value, inputs: readonly Value[]): Value {
  let found: Padding | undefined;
  for (const v of inputs) {
    const p = c.padding(v);
    if (!p) continue;
    const axis = p.axis + result.shape.length - v.shape.length;
    if (found && (found.axis !== axis || found.count !== p.count)) c.unsupported('its operands have sizes that depend on the data in different ways');
    found = { axis, count: p.count };
  }
  if (!found) return result;
  for (const v of inputs) {
    const at = found.axis - (result.shape.length - v.shape.length);
    if (!c.padding(v) && at >= 0 && v.shape[at] !== 1) c.unsupported('an operand has a fixed size where another has one that depends on the data');
  }
  return c.padded(result, found.axis, found.count);
}

const unary = (name: string, versions: readonly number[], fn: UnaryFunction): OpEntry =>
  op(name, versions, { consumed_inputs: opt.ints }, (c) => follow(c, c.b.unary(fn, c.in(0)), [c.in(0)]), { padded: true });

/** An op on two operands, with the broadcasting of its version. */
const pairwise = (name: string, versions: readonly number[], result: (c: NodeContext, x: Value, y: Value) => Value): OpEntry =>
  op(
    name,
    versions,
    legacyBroadcast,
    (c, a) => {
      const [x, y] = operands(c, a);
      return follow(c, result(c, x, y), [x, y]);
    },
    { padded: true },
  );

const binary = (name: string, versions: readonly number[], fn: BinaryFunction): OpEntry => pairwise(name, versions, (c, x, y) => c.b.binary(fn, x, y));
const compare = (name: string, versions: readonly number[], fn: CompareFunction): OpEntry => pairwise(name, versions, (c, x, y) => c.b.compare(fn, x, y));

/** Any number of operands, folded from the left. */
const variadic = (name: string, versions: readonly number[], finish: (c: NodeContext, xs: Value[]) => Value): OpEntry =>
  op(name, versions, { consumed_inputs: opt.ints }, (c) => {
    const xs = c.all();
    if (xs.length === 0) c.fail('it needs at least one input');
    return finish(c, xs);
  });
const fold =
  (fn: BinaryFunction) =>
  (c: NodeContext, xs: Value[]): Value =>
    xs.reduce((x, y) => c.b.binary(fn, x, y));

/** Remainder with the sign of the divisor. */
function flooredMod(c: NodeContext, x: Value, y: Value): Value {
  const { b } = c;
  const r = b.binary('rem', x, y);
  if (isUnsigned(x.dtype)) return r;
  const wrong = b.and(b.compare('ne', r, 0), b.binary('xor', b.compare('lt', r, 0), b.broadcastTo(b.compare('lt', y, 0), r.shape)));
  return b.select(wrong, b.add(r, y), r);
}

/** x to the power y in the type of x. With an integer base and a float exponent the power is exact where it is an integer, as far as float32 is. */
function power(c: NodeContext, x: Value, y: Value): Value {
  const { b } = c;
  if (x.dtype === y.dtype) return b.pow(x, y);
  if (isFloat(x.dtype)) return b.pow(x, b.cast(y, x.dtype));
  if (!isFloat(y.dtype)) return b.pow(x, b.cast(y, x.dtype));
  const p = b.pow(b.cast(x, y.dtype), y);
  const r = b.unary('round', p);
  const near = b.compare('le', b.unary('abs', b.sub(p, r)), b.mul(b.unary('abs', p), 2 ** -20));
  return b.cast(b.select(near, r, p), x.dtype);
}

const logical = (name: 'And' | 'Or' | 'Xor'): OpEntry => binary(name, [1, 7], name.toLowerCase() as BinaryFunction);

export const elementwiseOps: readonly OpEntry[] = [
  unary('Abs', [1, 6, 13], 'abs'),
  unary('Neg', [1, 6, 13], 'neg'),
  unary('Sign', [9, 13], 'sign'),
  unary('Ceil', [1, 6, 13], 'ceil'),
  unary('Floor', [1, 6, 13], 'floor'),
  unary('Round', [11, 22], 'round'),
  unary('Exp', [1, 6, 13], 'exp'),
  unary('Log', [1, 6, 13], 'log'),
  unary('Sqrt', [1, 6, 13], 'sqrt'),
  unary('Reciprocal', [1, 6, 13], 'reciprocal'),
  unary('Sin', [7, 22], 'sin'),
  unary('Cos', [7, 22], 'cos'),
  unary('Tan', [7, 22], 'tan'),
  unary('Asin', [7, 22], 'asin'),
  unary('Acos', [7, 22], 'acos'),
  unary('Atan', [7, 22], 'atan'),
  unary('Sinh', [9, 22], 'sinh'),
  unary('Cosh', [9, 22], 'cosh'),
  unary('Tanh', [1, 6, 13], 'tanh'),
  unary('Asinh', [9, 22], 'asinh'),
  unary('Acosh', [9, 22], 'acosh'),
  unary('Atanh', [9, 22], 'atanh'),
  unary('Sigmoid', [1, 6, 13], 'sigmoid'),
  unary('Erf', [9, 13], 'erf'),
  unary('Not', [1], 'not'),
  unary('BitwiseNot', [18], 'bitwise_not'),
  unary('IsNaN', [9, 13, 20], 'is_nan'),
  op('IsInf', [10, 20], { detect_negative: int(1), detect_positive: int(1) }, (c, a) => {
    const { b } = c;
    const x = c.in(0);
    const inf = b.unary('is_inf', x);
    if (a.detect_negative && a.detect_positive) return inf;
    if (!a.detect_negative && !a.detect_positive) return b.full(x.shape, 0, 'bool');
    return b.and(inf, b.compare(a.detect_positive ? 'gt' : 'lt', x, 0));
  }),
  binary('Add', [1, 6, 7, 13, 14], 'add'),
  binary('Sub', [1, 6, 7, 13, 14], 'sub'),
  binary('Mul', [1, 6, 7, 13, 14], 'mul'),
  binary('Div', [1, 6, 7, 13, 14], 'div'),
  logical('And'),
  logical('Or'),
  logical('Xor'),
  binary('BitwiseAnd', [18], 'and'),
  binary('BitwiseOr', [18], 'or'),
  binary('BitwiseXor', [18], 'xor'),
  op('BitShift', [11, 28], { direction: text() }, (c, a) => {
    const { b } = c;
    const [x, y] = [c.in(0), c.in(1)];
    if (a.direction !== 'LEFT' && a.direction !== 'RIGHT') c.fail(`direction '${a.direction}', expected LEFT or RIGHT`);
    // A shift by the width of the type or more gives 0, or all sign bits; a negative one counts as such.
    const bits = storageBytes[x.dtype] * 8;
    const large = b.compare('ge', y, bits);
    const far = isUnsigned(y.dtype) ? large : b.or(large, b.compare('lt', y, 0));
    const within = b.select(far, 0, y);
    if (a.direction === 'LEFT') return b.select(far, 0, b.binary('shift_left', x, within));
    const shifted = b.binary('shift_right', x, within);
    return b.select(far, isUnsigned(x.dtype) ? 0 : b.binary('shift_right', x, bits - 1), shifted);
  }),
  op('Mod', [10, 13, 28], { fmod: int(0) }, (c, a) => {
    const [x, y] = [c.in(0), c.in(1)];
    if (a.fmod) return c.b.binary('rem', x, y);
    return flooredMod(c, x, y);
  }),
  op('Pow', [1, 7, 12, 13, 15], legacyBroadcast, (c, a) => {
    const [x, y] = operands(c, a);
    return power(c, x, y);
  }),
  compare('Equal', [1, 7, 11, 13, 19], 'eq'),
  compare('Greater', [1, 7, 9, 13], 'gt'),
  compare('Less', [1, 7, 9, 13], 'lt'),
  compare('GreaterOrEqual', [12, 16], 'ge'),
  compare('LessOrEqual', [12, 16], 'le'),
  variadic('Max', [1, 6, 8, 12, 13], fold('max')),
  variadic('Min', [1, 6, 8, 12, 13], fold('min')),
  variadic('Sum', [1, 6, 8, 13], fold('add')),
  variadic('Mean', [1, 6, 8, 13], (c, xs) => c.b.div(fold('add')(c, xs), xs.length)),
  op('Where', [9, 16], {}, (c) => {
    const { b } = c;
    const [k, x, y] = [c.in(0), c.in(1), c.in(2)];
    const shape = b.broadcastShapes(b.broadcastShapes(k.shape, x.shape), y.shape);
    return b.select(b.broadcastTo(k, shape), b.broadcastTo(x, shape), b.broadcastTo(y, shape));
  }),
  op('Clip', [1, 6, 11, 12, 13], { min: opt.float, max: opt.float, consumed_inputs: opt.ints }, (c, a) => {
    const { b } = c;
    const x = c.in(0);
    if (c.version < 11) {
      const low = a.min === null ? x : b.max(x, a.min);
      return a.max === null ? low : b.min(low, a.max);
    }
    const [lo, hi] = [c.opt(1), c.opt(2)];
    const low = lo ? b.max(x, b.reshape(lo, [])) : x;
    return hi ? b.min(low, b.reshape(hi, [])) : low;
  }),
  op(
    'Cast',
    [1, 6, 9, 13, 19, 21, 23, 24, 25, 28],
    { to: int(), saturate: int(1), round_mode: text('up') },
    (c, a) => follow(c, castTo(c, c.in(0), a.to, { saturate: a.saturate !== 0, mode: a.round_mode }), [c.in(0)]),
    { padded: true },
  ),
  op('CastLike', [15, 19, 21, 23, 24, 25], { saturate: int(1), round_mode: text('up') }, (c, a) =>
    castTo(c, c.in(0), c.smallType(c.in(1)) ?? elementTypeOf(c.in(1).dtype), { saturate: a.saturate !== 0, mode: a.round_mode }),
  ),
  op('BitCast', [26], { to: int() }, (c, a) => {
    const { b } = c;
    const to = c.dtype(a.to);
    const x = c.in(0);
    // bool is one byte in ONNX.
    if (x.dtype === 'bool' && to !== 'bool') return isInteger(to) ? b.bitcast(b.cast(x, 'uint8'), to) : c.unsupported(`bits of bool as ${to}`);
    if (to === 'bool' && x.dtype !== 'bool') return b.compare('ne', x, 0);
    return b.bitcast(x, to);
  }),
];
