/** The elements of arrays in files: packed, little endian, row by row. */
import { type DType, storageBytes, type TypedArray } from '../../ir/dtype.js';
import { ModelFormatError } from '../../ir/errors.js';

/** Bytes of one element in files: bool has one, where computations use 32 bits. */
export const fileBytes = (t: DType): number => (t === 'bool' ? 1 : storageBytes[t]);

function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 31;
  const fraction = bits & 0x3ff;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

/** bfloat16: the upper half of a float32. */
function brain(bits: Uint16Array): Float32Array {
  const out = new Float32Array(bits.length);
  const words = new Uint32Array(out.buffer);
  for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16;
  return out;
}

/** 64-bit integers as 32-bit ones. */
function narrow(where: string, wide: BigInt64Array | BigUint64Array): Int32Array {
  const out = new Int32Array(wide.length);
  for (let i = 0; i < wide.length; i++) {
    const v = wide[i]!;
    if (v !== BigInt.asIntN(32, v)) throw new ModelFormatError(`${where}: ${v} does not fit into 32 bits`);
    out[i] = Number(v);
  }
  return out;
}

/**
 * Bytes of a file as numbers; the array belongs to the caller. 16-bit floats come as float32, 64-bit integers as 32-bit ones, checked. `fresh`: nobody else has these bytes, and they
 * need not be copied.
 */
export function elementsOf(where: string, dtype: DType, bytes: Uint8Array, fresh = false): TypedArray {
  const item = fileBytes(dtype);
  if (bytes.byteLength % item !== 0) throw new ModelFormatError(`${where}: ${bytes.byteLength} bytes are no whole number of elements of ${dtype}`);
  const own = fresh && bytes.byteOffset % item === 0 ? bytes : bytes.slice();
  const at = [own.buffer as ArrayBuffer, own.byteOffset, own.byteLength / item] as const;
  switch (dtype) {
    case 'float32':
      return new Float32Array(...at);
    case 'float64':
      return new Float64Array(...at);
    case 'float16':
      return Float32Array.from(new Uint16Array(...at), half);
    case 'bfloat16':
      return brain(new Uint16Array(...at));
    case 'int64':
      return narrow(where, new BigInt64Array(...at));
    case 'uint64':
      return narrow(where, new BigUint64Array(...at));
    case 'int32':
      return new Int32Array(...at);
    case 'uint32':
      return new Uint32Array(...at);
    case 'int16':
      return new Int16Array(...at);
    case 'uint16':
      return new Uint16Array(...at);
    case 'int8':
      return new Int8Array(...at);
    default:
      return new Uint8Array(...at);
  }
}

/** Bytes that an array of this shape has; throws where a dimension is no size, or all together are more than a file can hold. */
export function bytesOfShape(where: string, dtype: DType, shape: readonly unknown[]): number {
  let n = fileBytes(dtype);
  if (shape.length > 32) throw new ModelFormatError(`${where}: has ${shape.length} dimensions`);
  for (const d of shape) {
    if (typeof d !== 'number' || !Number.isSafeInteger(d) || d < 0) throw new ModelFormatError(`${where}: the shape [${shape.join(',')}] is none`);
    n *= d;
  }
  if (!Number.isSafeInteger(n)) throw new ModelFormatError(`${where}: the shape [${shape.join(',')}] is larger than any file`);
  return n;
}

const typeOf: readonly (readonly [new (n: number) => object, DType])[] = [
  [Float32Array, 'float32'],
  [Float64Array, 'float64'],
  [Int32Array, 'int32'],
  [Uint32Array, 'uint32'],
  [Int16Array, 'int16'],
  [Uint16Array, 'uint16'],
  [Int8Array, 'int8'],
  [Uint8Array, 'uint8'],
  [BigInt64Array, 'int64'],
];

/** How an array lies in a file when it is written as it is. */
export function writtenType(data: TypedArray | BigInt64Array): DType {
  return typeOf.find(([c]) => data instanceof c)![1];
}

/** A view of an array's bytes. */
export const bytesOf = (data: TypedArray | BigInt64Array): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
