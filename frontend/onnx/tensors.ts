/** TensorProto in every encoding to host tensors, exact; and back. Sizes are checked before anything is allocated. */
import { type HostArray, hostArray } from '../../ir/dtype.js';
import { UnsupportedError } from '../../ir/errors.js';
import { sizeOf, type TensorData } from '../../ir/tensor-data.js';
import { dtypeOf, elementBits, elementName, elementType } from './element-types.js';
import { bigOf, FormatError, intOf } from './schema/codec.js';
import type { Int64, SparseTensorProto, TensorProto } from './schema/types.js';
import { decodeSmall, markData, smallInteger } from './small-types.js';

/** Largest number of elements of one tensor: what a typed array can index with 32-bit arithmetic. */
const maxElements = 2 ** 31 - 1;

/** The dimensions as numbers; throws FormatError for negative ones and for sizes that overflow. */
export function dimsOf(dims: readonly Int64[] | null | undefined, where: string): number[] {
  const shape = (dims ?? []).map(intOf);
  let size = 1;
  for (const d of shape) {
    if (!Number.isSafeInteger(d) || d < 0) throw new FormatError(`${where}: dimension ${d} in [${shape.join(',')}] is not a size`);
    if (d > 0) size *= d;
    if (size > maxElements) throw new FormatError(`${where}: shape [${shape.join(',')}] has more than ${maxElements} elements`);
  }
  return shape;
}

const half = (h: number): number => {
  const e = (h >> 10) & 31;
  const m = h & 1023;
  const v = e === 0 ? m * 2 ** -24 : e === 31 ? (m ? Number.NaN : Infinity) : (1 + m / 1024) * 2 ** (e - 15);
  return h & 0x8000 ? -v : v;
};

const halfScratch = new Float32Array(1);
const halfBits = new Uint32Array(halfScratch.buffer);
/** The bits of the float16 nearest to x, halves to even. */
export function halfOf(x: number): number {
  halfScratch[0] = x;
  const f = halfBits[0]!;
  const sign = (f >>> 16) & 0x8000;
  const a = f & 0x7fffffff;
  if (a >= 0x7f800000) return sign | (a > 0x7f800000 ? 0x7e00 : 0x7c00);
  const mag = Math.abs(halfScratch[0]);
  if (mag >= 65520) return sign | 0x7c00;
  const unit = mag < 2 ** -14 ? 2 ** -24 : 2 ** (Math.floor(Math.log2(mag)) - 10);
  const q = mag / unit;
  let r = Math.round(q);
  if (q % 1 === 0.5 && r % 2 !== 0) r--;
  const value = r * unit;
  if (value < 2 ** -14) return sign | Math.round(value * 2 ** 24);
  let e = Math.floor(Math.log2(value));
  if (2 ** e > value) e--;
  return sign | ((e + 15) << 10) | Math.round((value / 2 ** e - 1) * 1024);
}

/** bfloat16 is the upper half of a float32. */
const brain = (bits: Uint16Array): Float32Array => new Float32Array(Uint32Array.from(bits, (h) => h << 16).buffer);

/** Packed elements of 2 or 4 bits, the first in the lowest bits. */
function unpack(bytes: Uint8Array, n: number, bits: 2 | 4, signed: boolean): number[] {
  const per = 8 / bits;
  const out = new Array<number>(n);
  for (let i = 0; i < n; i++) {
    const v = (bytes[Math.floor(i / per)]! >> ((i % per) * bits)) & ((1 << bits) - 1);
    out[i] = signed && v >= 1 << (bits - 1) ? v - (1 << bits) : v;
  }
  return out;
}

/** Little-endian bytes to the host array of an element type. */
function fromRaw(type: number, n: number, raw: Uint8Array): HostArray | null {
  const copy = (): ArrayBuffer => {
    const b = new ArrayBuffer(raw.byteLength);
    new Uint8Array(b).set(raw);
    return b;
  };
  switch (type) {
    case elementType.float:
      return new Float32Array(copy());
    case elementType.double:
      return new Float64Array(copy());
    case elementType.int32:
      return new Int32Array(copy());
    case elementType.uint32:
      return new Uint32Array(copy());
    case elementType.int8:
      return new Int8Array(copy());
    case elementType.uint8:
      return new Uint8Array(copy());
    case elementType.bool:
      return Uint8Array.from(raw, (x) => (x ? 1 : 0));
    case elementType.float16:
      return Float32Array.from(new Uint16Array(copy()), half);
    case elementType.bfloat16:
      return brain(new Uint16Array(copy()));
    case elementType.int64:
      return new BigInt64Array(copy());
    case 17:
    case 18:
    case 19:
    case 20:
    case 24:
      return Float32Array.from(raw, (code) => decodeSmall(type, code));
    case 23:
      return Float32Array.from(unpack(raw, n, 4, false), (code) => decodeSmall(type, code));
    case 21:
    case 22:
    case 25:
    case 26: {
      const { bits, signed } = smallInteger(type)!;
      const values = unpack(raw, n, bits, signed);
      return signed ? Int8Array.from(values) : Uint8Array.from(values);
    }
    case elementType.uint16:
      return new Uint16Array(copy());
    case elementType.int16:
      return new Int16Array(copy());
    case 13:
      return new BigUint64Array(copy());
    default:
      return null;
  }
}

/** Values from the field that the element type uses. */
function fromField(type: number, n: number, t: TensorProto, where: string): HostArray | null {
  const need = (list: readonly unknown[] | null | undefined, field: string, count = n): void => {
    if ((list ?? []).length !== count) throw new FormatError(`${where}: ${field} holds ${(list ?? []).length} values, the shape wants ${count}`);
  };
  switch (type) {
    case elementType.float:
      need(t.float_data, 'float_data');
      return Float32Array.from(t.float_data ?? []);
    case elementType.double:
      need(t.double_data, 'double_data');
      return Float64Array.from(t.double_data ?? []);
    case elementType.int64:
      need(t.int64_data, 'int64_data');
      return BigInt64Array.from(t.int64_data ?? [], bigOf);
    case 13:
      need(t.uint64_data, 'uint64_data');
      return BigUint64Array.from(t.uint64_data ?? [], bigOf);
    case elementType.uint32:
      need(t.uint64_data, 'uint64_data');
      return Uint32Array.from(t.uint64_data ?? [], intOf);
    case 17:
    case 18:
    case 19:
    case 20:
    case 21:
    case 22:
    case 23:
    case 24:
    case 25:
    case 26: {
      const per = 8 / elementBits(type);
      need(t.int32_data, 'int32_data', Math.ceil(n / per));
      return fromRaw(type, n, Uint8Array.from(t.int32_data ?? []));
    }
    default: {
      if (elementBits(type) === 0 || elementBits(type) > 32) return null;
      need(t.int32_data, 'int32_data');
      const list = t.int32_data ?? [];
      switch (type) {
        case elementType.int32:
          return Int32Array.from(list);
        case elementType.int8:
          return Int8Array.from(list);
        case elementType.uint8:
          return Uint8Array.from(list);
        case elementType.bool:
          return Uint8Array.from(list, (x) => (x ? 1 : 0));
        case elementType.float16:
          return Float32Array.from(list, half);
        case elementType.bfloat16:
          return brain(Uint16Array.from(list));
        case elementType.uint16:
          return Uint16Array.from(list);
        case elementType.int16:
          return Int16Array.from(list);
        default:
          return null;
      }
    }
  }
}

/** A tensor as host data. `where` names it in errors. External data must have been put into raw_data (read.ts). */
export function readTensor(t: TensorProto, where: string): TensorData {
  const type = t.data_type ?? 0;
  const shape = dimsOf(t.dims, where);
  const n = sizeOf(shape);
  if (t.segment) throw new UnsupportedError(`${where}: tensors in segments are not supported`);
  if (t.data_location === 1) throw new FormatError(`${where}: its data is in an external file that was not given`);
  const dtype = dtypeOf(type, where);
  let data: HostArray | null;
  if (t.raw_data && t.raw_data.length > 0) {
    const bytes = Math.ceil((n * elementBits(type)) / 8);
    if (t.raw_data.length !== bytes)
      throw new FormatError(`${where}: raw_data holds ${t.raw_data.length} bytes, ${elementName(type)}[${shape.join(',')}] wants ${bytes}`);
    data = fromRaw(type, n, t.raw_data);
  } else data = fromField(type, n, t, where);
  if (!data) throw new UnsupportedError(`${where}: tensors of ${elementName(type)} are not supported`);
  return markData({ dtype, shape, data }, type);
}

/** A sparse tensor (COO) as dense data. */
export function readSparse(s: SparseTensorProto, where: string): TensorData {
  const shape = dimsOf(s.dims, where);
  const values = readTensor(s.values ?? {}, `${where}, values`);
  const indices = readTensor(s.indices ?? {}, `${where}, indices`);
  const count = values.shape[0] ?? 0;
  const n = sizeOf(shape);
  const linear = indices.shape.length === 1;
  if (
    values.shape.length !== 1 ||
    (linear ? indices.shape[0] !== count : indices.shape.length !== 2 || indices.shape[0] !== count || indices.shape[1] !== shape.length)
  )
    throw new FormatError(`${where}: ${count} values of shape [${values.shape.join(',')}] and indices of shape [${indices.shape.join(',')}] do not fit`);
  const data = hostArray(values.dtype, n);
  for (let i = 0; i < count; i++) {
    let at = 0;
    if (linear) at = Number(indices.data[i]);
    else
      for (const [a, d] of shape.entries()) {
        const k = Number(indices.data[i * shape.length + a]);
        if (k < 0 || k >= d) throw new FormatError(`${where}: index ${k} is outside of axis ${a} of size ${d}`);
        at = at * d + k;
      }
    if (at < 0 || at >= n) throw new FormatError(`${where}: index ${at} is outside of ${n} elements`);
    data[at] = values.data[i]!;
  }
  return markData({ dtype: values.dtype, shape, data }, s.values?.data_type ?? 0);
}
