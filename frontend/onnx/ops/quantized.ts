/** Quantized ops: linear quantization of tensors, axes and blocks, and products and convolutions of integers. */
import { type DType, isFloat, limitsOf } from '../../../ir/dtype.js';
import type { Value } from '../../../ir/graph.js';
import type { NodeContext } from '../context.js';
import { dtypeOf, elementName, elementType, elementTypeOf } from '../element-types.js';
import { roundedTo } from '../lib/cast.js';
import { matmul } from '../lib/matmul.js';
import { windowAttributes } from '../lib/window.js';
import { int, type OpEntry, op } from '../registry.js';
import { isSmallType, smallFloat, smallInteger, smallLimits } from '../small-types.js';
import { centred, convolve } from './convolution.js';

/** A scale or zero point shaped to broadcast with a tensor of `shape`: a scalar, along one axis, or repeated over blocks of one axis. */
function along(c: NodeContext, v: Value, x: Value, axis: number, block: number): Value {
  const { b } = c;
  const rank = x.shape.length;
  if (v.shape.length === 0 || (v.shape.length === 1 && v.shape[0] === 1)) return b.reshape(v, []);
  if (block > 0) {
    const at = c.axis(axis, rank);
    const shape = v.shape.flatMap((d, i) => (i === at ? [d, block] : [d]));
    const wide = b.broadcast(
      v,
      shape,
      v.shape.map((_, i) => (i > at ? i + 1 : i)),
    );
    const long = b.reshape(
      wide,
      v.shape.map((d, i) => (i === at ? c.size(d) * block : d)),
    );
    return c.size(long.shape[at]!) === c.size(x.shape[at]!) ? long : b.sliceAxis(long, at, 0, x.shape[at]!);
  }
  return b.broadcast(v, x.shape, [c.axis(axis, rank)]);
}

/** Rounds half to even, adds the zero point and saturates. */
function saturated(c: NodeContext, scaled: Value, zero: Value | null, dtype: DType): Value {
  const { b } = c;
  const rounded = b.unary('round', scaled);
  const moved = zero ? b.add(rounded, b.cast(zero, rounded.dtype)) : rounded;
  const { lowest, highest } = limitsOf(dtype);
  return b.cast(b.max(b.min(moved, highest), lowest), dtype);
}

/** The quotients as elements of a small type. Floats are rounded once, and saturate where `saturate` says so. */
function quantizedSmall(c: NodeContext, scaled: Value, zero: Value | null, type: number, saturate: boolean): Value {
  const { b } = c;
  const float = smallFloat(type);
  const integer = smallInteger(type);
  if (!float && !integer) c.unsupported(`results of ${elementName(type)}`);
  const x = b.cast(scaled, 'float32');
  const z = zero && b.cast(zero, 'float32');
  if (float) return c.ofSmallType(roundedTo(c, z ? b.add(x, z) : x, float, saturate), type);
  const { lowest, highest } = smallLimits(integer!);
  const moved = z ? b.add(b.unary('round', x), z) : b.unary('round', x);
  return c.ofSmallType(b.cast(b.max(b.min(moved, highest), lowest), dtypeOf(type, c.where)), type);
}

const wide = (c: NodeContext, v: Value): Value => (v.dtype === 'float16' || v.dtype === 'bfloat16' ? c.b.cast(v, 'float32') : v);

function quantizedMatMul(c: NodeContext): Value {
  const { b } = c;
  const [x, xs, xz, y, ys, yz, os, oz] = c.all() as [Value, Value, Value, Value, Value, Value, Value, Value];
  // A vector along the rows of the left operand stands before its columns.
  const rows = (v: Value): Value => (v.shape.length === 1 && v.shape[0] !== 1 ? b.reshape(v, [v.shape[0]!, 1]) : v.shape.length <= 1 ? b.reshape(v, []) : v);
  const columns = (v: Value): Value => (v.shape.length === 1 && v.shape[0] === 1 ? b.reshape(v, []) : v);
  const product = matmul(c, b.sub(b.cast(x, 'int32'), b.cast(rows(xz), 'int32')), b.sub(b.cast(y, 'int32'), b.cast(columns(yz), 'int32')));
  const factor = b.div(b.mul(wide(c, rows(xs)), wide(c, columns(ys))), wide(c, rows(os)));
  return saturated(c, b.mul(b.cast(product, factor.dtype), factor), rows(oz), oz.dtype);
}

export const quantizedOps: readonly OpEntry[] = [
  op(
    'QuantizeLinear',
    [10, 13, 19, 21, 23, 24, 25, 28],
    { axis: int(1), block_size: int(0), output_dtype: int(0), precision: int(0), saturate: int(1) },
    (c, a) => {
      const { b } = c;
      const [x, scale, zero] = [c.in(0), c.in(1), c.opt(2)];
      const type = zero ? (c.smallType(zero) ?? elementTypeOf(zero.dtype)) : a.output_dtype || elementType.uint8;
      if (a.output_dtype && a.output_dtype !== type) c.fail(`output_dtype is ${elementName(a.output_dtype)}, its zero point is ${elementName(type)}`);
      const compute = a.precision ? c.dtype(a.precision) : isFloat(x.dtype) ? wide(c, x).dtype : wide(c, scale).dtype;
      const s = along(c, b.cast(scale, compute), x, a.axis, a.block_size);
      const z = zero && along(c, b.cast(zero, compute), x, a.axis, a.block_size);
      const scaled = b.div(b.cast(x, compute), s);
      return isSmallType(type) ? quantizedSmall(c, scaled, z, type, a.saturate !== 0) : saturated(c, scaled, z, c.dtype(type));
    },
  ),
  op('DequantizeLinear', [10, 13, 19, 21, 23, 24, 25, 28], { axis: int(1), block_size: int(0), output_dtype: int(0) }, (c, a) => {
    const { b } = c;
    const [x, scale, zero] = [c.in(0), c.in(1), c.opt(2)];
    const dtype = a.output_dtype ? c.dtype(a.output_dtype) : scale.dtype;
    // Elements of float8 and float4 are numbers already.
    const integer = isFloat(x.dtype) ? x : b.cast(x, 'int32');
    const moved = zero ? b.sub(integer, along(c, b.cast(zero, integer.dtype), x, a.axis, a.block_size)) : integer;
    const compute = wide(c, scale).dtype;
    return b.cast(b.mul(b.cast(moved, compute), along(c, b.cast(scale, compute), x, a.axis, a.block_size)), dtype);
  }),
  op('DynamicQuantizeLinear', [11], {}, (c) => {
    const { b } = c;
    const x = c.in(0);
    const high = b.max(b.reduce('max', x), 0);
    const low = b.min(b.reduce('min', x), 0);
    const scale = b.div(b.sub(high, low), 255);
    const zero = saturated(c, b.div(b.neg(low), scale), null, 'uint8');
    return [saturated(c, b.div(x, scale), zero, 'uint8'), scale, zero];
  }),
  op('MatMulInteger', [10], {}, (c) => {
    const { b } = c;
    const [x, y, xz, yz] = [c.in(0), c.in(1), c.opt(2), c.opt(3)];
    const rows = xz && xz.shape.length === 1 && xz.shape[0] !== 1 ? b.reshape(xz, [xz.shape[0]!, 1]) : xz;
    const less = (v: Value, z: Value | null): Value => (z ? b.sub(b.cast(v, 'int32'), b.cast(z, 'int32')) : b.cast(v, 'int32'));
    return matmul(c, less(x, rows), less(y, yz));
  }),
  op('QLinearMatMul', [10, 21], {}, quantizedMatMul),
  op('QLinearConv', [10], { ...windowAttributes, group: int(1) }, (c, a) => {
    const { b } = c;
    const [x, xs, xz, w, ws, wz, ys, yz] = Array.from({ length: 8 }, (_, i) => c.in(i)) as [Value, Value, Value, Value, Value, Value, Value, Value];
    const bias = c.opt(8);
    const sums = convolve(c, centred(c, x, xz, 1), centred(c, w, wz, 0), a);
    const channel = (v: Value): Value => (v.shape.length === 0 || v.shape[0] === 1 ? b.reshape(v, []) : b.broadcast(v, sums.shape, [1]));
    const total = bias ? b.add(sums, channel(bias)) : sums;
    const factor = b.div(b.mul(b.reshape(xs, []), channel(ws)), b.reshape(ys, []));
    return saturated(c, b.mul(b.cast(total, 'float32'), factor), b.reshape(yz, []), yz.dtype);
  }),
];
