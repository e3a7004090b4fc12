/**
 * How elements lie in device memory, and the way between that and host arrays: float16 and bfloat16 as 2 bytes (Float32Array on the host), bool as a 32-bit 0 or 1
 * (Uint8Array on the host), all others as they are.
 */
import type { HostArray } from './device.js';
import { ArgumentError } from './errors.js';
import type { PlanDType } from './plan.js';

const hostTypes = {
  float32: Float32Array,
  float16: Float32Array,
  bfloat16: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const satisfies Record<PlanDType, unknown>;

export const planDTypes = Object.keys(hostTypes) as readonly PlanDType[];

/** Bytes of one stored element. */
export const storageBytes: Readonly<Record<PlanDType, number>> = {
  float32: 4,
  float16: 2,
  bfloat16: 2,
  float64: 8,
  int32: 4,
  uint32: 4,
  int64: 8,
  uint64: 8,
  int16: 2,
  uint16: 2,
  int8: 1,
  uint8: 1,
  bool: 4,
};

/** Name of the array class that holds elements of a dtype on the host. */
export const hostTypeName = (dtype: PlanDType): string => hostTypes[dtype].name;
export const isHostArray = (dtype: PlanDType, data: unknown): data is HostArray => data instanceof hostTypes[dtype];
export const makeHostArray = (dtype: PlanDType, length: number): HostArray => new hostTypes[dtype](length);

const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

/** Bits of the nearest float16 (ties to even; overflow to infinity). */
export function toFloat16Bits(value: number): number {
  f32[0] = value;
  const bits = u32[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x7f800000) return sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00);
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) {
    // Normal: move the exponent's bias and round the 13 bits that fall off.
    const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1) - 0x38000000;
    return sign | (rounded >>> 13);
  }
  // Subnormal (or zero): a multiple of 2^-24. Adding 2^23 in units of 2^-24 rounds to even in float64's place.
  const scaled = Math.abs(f32[0]!) * 2 ** 24;
  const floor = Math.floor(scaled);
  const rest = scaled - floor;
  return sign | (floor + (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? 1 : 0));
}

/** Bits of the nearest bfloat16 (ties to even; overflow to infinity). */
export function toBfloat16Bits(value: number): number {
  f32[0] = value;
  const bits = u32[0]!;
  if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fc0 | ((bits >>> 16) & 0x8000);
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

export function fromBfloat16Bits(bits: number): number {
  u32[0] = bits << 16;
  return f32[0]!;
}

const roundShort = { float16: (v: number) => fromFloat16Bits(toFloat16Bits(v)), bfloat16: (v: number) => fromBfloat16Bits(toBfloat16Bits(v)) } as const;

export function fromFloat16Bits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const bytesOf = (a: ArrayBufferView): Uint8Array => new Uint8Array(a.buffer, a.byteOffset, a.byteLength);

/** Whether a host array already has the bytes of device memory. */
export const isStoredAsIs = ({ dtype, stored = dtype }: StoredType): boolean =>
  stored === dtype && dtype !== 'float16' && dtype !== 'bfloat16' && dtype !== 'bool';

/** A tensor's type on the host and in memory. `name`, for errors. */
export interface StoredType {
  readonly name?: string;
  readonly dtype: PlanDType;
  readonly stored?: PlanDType;
}

const narrowed: Readonly<Partial<Record<PlanDType, PlanDType>>> = { int64: 'int32', uint64: 'uint32', float64: 'float32' };

/** What a data set of a dtype is stored as on WebGPU, which has no 64-bit types; undefined: as it is. */
export const residentType = (dtype: PlanDType): PlanDType | undefined => narrowed[dtype];

/** Bytes of one element in device memory. */
export const storedBytesOf = (t: StoredType): number => storageBytes[t.stored ?? t.dtype];

/** Elements of one type as another that holds them. Throws ArgumentError for 64-bit integers that the other does not hold. */
function convertInto(t: StoredType, data: HostArray, out: HostArray): void {
  const checked = (t.dtype === 'int64' || t.dtype === 'uint64') && !isBig(out);
  const [low, high] = t.stored === 'int32' ? [-(2n ** 31n), 2n ** 31n - 1n] : [0n, 2n ** 32n - 1n];
  const short = t.dtype === 'float16' || t.dtype === 'bfloat16' ? roundShort[t.dtype] : null;
  for (let i = 0; i < data.length; i++) {
    const v = data[i]!;
    if (checked && (v < low || v > high))
      throw new ArgumentError(`${t.dtype} value ${v} of '${t.name ?? 'the data'}' does not fit 32 bits on webgpu; use the wasm device`);
    if (isBig(out)) out[i] = BigInt(v);
    else out[i] = short ? short(Number(v)) : Number(v);
  }
}

const isBig = (a: HostArray): a is BigInt64Array | BigUint64Array => a instanceof BigInt64Array || a instanceof BigUint64Array;

/** Writes the stored form of `data` into `target` (at least data.length elements long; 4-byte aligned). */
export function encodeInto(type: StoredType, data: HostArray, target: Uint8Array): void {
  const { dtype, stored } = type;
  if (stored !== undefined && stored !== dtype) {
    const as = makeHostArray(stored, data.length);
    convertInto(type, data, as);
    encodeInto({ dtype: stored }, as, target);
    return;
  }
  if (dtype === 'bool') {
    const words = new Uint32Array(target.buffer, target.byteOffset, data.length);
    for (let i = 0; i < data.length; i++) words[i] = data[i] ? 1 : 0;
  } else if (dtype === 'float16' || dtype === 'bfloat16') {
    const halves = new Uint16Array(target.buffer, target.byteOffset, data.length);
    const bits = dtype === 'float16' ? toFloat16Bits : toBfloat16Bits;
    for (let i = 0; i < data.length; i++) halves[i] = bits(Number(data[i]!));
  } else target.set(bytesOf(data));
}

/** The stored form of host data: a view of it where the two are the same. */
export function encode(type: StoredType, data: HostArray): Uint8Array {
  if (isStoredAsIs(type)) return bytesOf(data);
  const out = new Uint8Array(data.length * storedBytesOf(type));
  encodeInto(type, data, out);
  return out;
}

/** A new host array of `length` elements from stored bytes. */
export function decode(type: StoredType, bytes: Uint8Array, length: number): HostArray {
  const { dtype, stored } = type;
  const out = makeHostArray(dtype, length);
  if (stored !== undefined && stored !== dtype) {
    convertInto({ dtype: stored }, decode({ dtype: stored }, bytes, length), out);
    return out;
  }
  const used = bytes.subarray(0, length * storageBytes[dtype]);
  if (isStoredAsIs(type)) {
    bytesOf(out).set(used);
    return out;
  }
  // Not slice(), which in a Buffer is no copy.
  const aligned = used.byteOffset % 4 === 0 ? used : new Uint8Array(used);
  if (dtype === 'bool') {
    const words = new Uint32Array(aligned.buffer, aligned.byteOffset, length);
    for (let i = 0; i < length; i++) out[i] = words[i] ? 1 : 0;
  } else {
    const halves = new Uint16Array(aligned.buffer, aligned.byteOffset, length);
    const value = dtype === 'float16' ? fromFloat16Bits : fromBfloat16Bits;
    for (let i = 0; i < length; i++) out[i] = value(halves[i]!);
  }
  return out;
}
