/** Casts as ONNX defines them, to the types of the IR and to the smaller ones that are carried by them. */
import type { DType } from '../../../ir/dtype.js';
import type { Value } from '../../../ir/graph.js';
import type { NodeContext } from '../context.js';
import { dtypeOf } from '../element-types.js';
import { powerType, type SmallFloat, type SmallInteger, smallFloat, smallInteger, smallLimits } from '../small-types.js';

export interface Rounding {
  /** Numbers beyond a float8's range, and infinities, become its largest ones; otherwise what the type has for them. */
  readonly saturate: boolean;
  /** To float8e8m0: 'up', 'down' or 'nearest'. */
  readonly mode: string;
}

/** x in another type: floats to integers truncate toward zero; to bool: whether it is not 0. `type` is ONNX's number. */
export function castTo(c: NodeContext, x: Value, type: number, rounding: Rounding): Value {
  const { b } = c;
  const dtype: DType = dtypeOf(type, c.where);
  const float = smallFloat(type);
  if (float) return c.ofSmallType(roundedTo(c, b.cast(x, 'float32'), float, rounding.saturate), type);
  if (type === powerType) return c.ofSmallType(powerOfTwo(c, b.cast(x, 'float32'), rounding), type);
  const integer = smallInteger(type);
  if (integer) return c.ofSmallType(wrappedTo(c, b.cast(x, 'int32'), integer, dtype), type);
  // A value of its own, where the carrier has the type already: what is remembered of x does not hold for it.
  return c.smallType(x) !== undefined && x.dtype === dtype ? b.emit('cast', [x], { dtype }) : b.cast(x, dtype);
}

/** float32 numbers rounded to a small float type, to nearest even, as float32. */
export function roundedTo(c: NodeContext, x: Value, t: SmallFloat, saturate: boolean): Value {
  const { b } = c;
  const drop = 23 - t.mantissa;
  const whole = (n: number, shape = x.shape): Value => b.full(shape, n, 'uint32');
  const bits = b.bitcast(x, 'uint32');
  const odd = b.binary('and', b.binary('shift_right', bits, whole(drop)), whole(1));
  const near = b.bitcast(b.binary('and', b.add(b.add(bits, whole(2 ** (drop - 1) - 1)), odd), whole(2 ** 32 - 2 ** drop)), 'float32');
  const least = 2 ** (1 - t.bias);
  const step = least * 2 ** -t.mantissa;
  const subnormal = b.mul(b.unary('round', b.mul(x, 1 / step)), step);
  const finite = b.select(b.compare('lt', b.unary('abs', x), least), subnormal, near);
  const signed = (size: number): Value => b.select(b.compare('gt', x, 0), b.full(x.shape, size), -size);
  const top = saturate || t.beyond === 'max' ? signed(t.max) : t.beyond === 'infinity' ? signed(Infinity) : b.full(x.shape, Number.NaN);
  const bounded = b.select(b.compare('gt', b.unary('abs', finite), t.max), top, finite);
  const zeroed = t.unsignedZero ? b.select(b.compare('eq', bounded, 0), 0, bounded) : bounded;
  // A type without NaN has -0 for it, as ml_dtypes does; ONNX leaves it open.
  return b.select(b.unary('is_nan', x), t.beyond === 'max' ? b.full(x.shape, -0) : x, zeroed);
}

/** The power of two at, above or below |x|; NaN for NaN and infinities. Zero gives the smallest one. */
function powerOfTwo(c: NodeContext, x: Value, { saturate, mode }: Rounding): Value {
  const { b } = c;
  if (!['up', 'down', 'nearest'].includes(mode)) c.fail(`round_mode '${mode}', expected up, down or nearest`);
  const whole = (n: number): Value => b.full(x.shape, n, 'uint32');
  const bits = b.binary('and', b.bitcast(x, 'uint32'), whole(0x7fffffff));
  const exponent = b.binary('shift_right', bits, whole(23));
  const fraction = b.binary('and', bits, whole(0x7fffff));
  // Halves go up, but for those of the lowest exponent, whose last bit is even.
  const half = b.select(b.compare('gt', exponent, 0), whole(0x400000), 0x400001);
  const raised = mode === 'down' ? exponent : b.add(exponent, b.cast(b.compare('ge', fraction, mode === 'up' ? whole(1) : half), 'uint32'));
  const bounded = saturate ? b.min(raised, whole(254)) : raised;
  const power = b.bitcast(b.select(b.compare('eq', bounded, 0), whole(0x400000), b.binary('shift_left', bounded, whole(23))), 'float32');
  return b.select(b.binary('or', b.compare('eq', exponent, 255), b.compare('eq', bounded, 255)), b.full(x.shape, Number.NaN), power);
}

/** int32 numbers modulo the range of a small type. */
function wrappedTo(c: NodeContext, x: Value, t: SmallInteger, dtype: DType): Value {
  const { b } = c;
  const low = b.binary('and', x, b.full(x.shape, 2 ** t.bits - 1, 'int32'));
  const { highest } = smallLimits(t);
  return b.cast(t.signed ? b.select(b.compare('gt', low, highest), b.sub(low, 2 ** t.bits), low) : low, dtype);
}
