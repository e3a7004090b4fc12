/** Element types of tensors, and what is true of each. */

export const dtypes = ['float32', 'float16', 'bfloat16', 'float64', 'int32', 'uint32', 'int64', 'uint64', 'int16', 'uint16', 'int8', 'uint8', 'bool'] as const;

/** Element type of a tensor. `bool` is 0 or 1. */
export type DType = (typeof dtypes)[number];

/** Host arrays whose elements are numbers. */
export type TypedArray = Float32Array | Float64Array | Int32Array | Uint32Array | Int16Array | Uint16Array | Int8Array | Uint8Array;

/** Host arrays of every dtype: int64 and uint64 are exact there, as bigints. */
export type HostArray = TypedArray | BigInt64Array | BigUint64Array;

/** Bytes of one stored element. bool is stored as a 32-bit 0 or 1, since WGSL has no bool in storage buffers. */
export const storageBytes: Record<DType, number> = {
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

export const isFloat = (t: DType): boolean => t === 'float32' || t === 'float16' || t === 'bfloat16' || t === 'float64';
export const isUnsigned = (t: DType): boolean => t === 'uint32' || t === 'uint8' || t === 'uint16' || t === 'uint64';
export const isInteger = (t: DType): boolean => !isFloat(t) && t !== 'bool';
/** Integers whose values are not all numbers of JavaScript: the host holds them as bigints. */
export const isWide = (t: DType): t is 'int64' | 'uint64' => t === 'int64' || t === 'uint64';

/** Significant bits of a float. */
export const floatPrecision: Partial<Record<DType, number>> = { bfloat16: 8, float16: 11, float32: 24, float64: 53 };

/** Smallest and largest value; for floats the infinities. The identities of max and min reductions. Those of int64 and uint64 are the nearest numbers. */
export function limitsOf(t: DType): { lowest: number; highest: number } {
  if (isFloat(t)) return { lowest: -Infinity, highest: Infinity };
  if (t === 'bool') return { lowest: 0, highest: 1 };
  const bits = 8 * storageBytes[t];
  return isUnsigned(t) ? { lowest: 0, highest: 2 ** bits - 1 } : { lowest: -(2 ** (bits - 1)), highest: 2 ** (bits - 1) - 1 };
}

const wideLimits = { int64: [-(2n ** 63n), 2n ** 63n - 1n], uint64: [0n, 2n ** 64n - 1n] } as const;

/** Smallest and largest value of a 64-bit integer type. */
export const wideLimitsOf = (t: 'int64' | 'uint64'): readonly [lowest: bigint, highest: bigint] => wideLimits[t];

/** A number as a 64-bit integer: truncated toward zero, saturated; NaN is 0. */
export function toWide(t: 'int64' | 'uint64', x: number): bigint {
  const [lowest, highest] = wideLimits[t];
  if (Number.isNaN(x)) return 0n;
  if (x >= Number(highest)) return highest;
  return x <= Number(lowest) ? lowest : BigInt(Math.trunc(x));
}

/** The host array of `n` zeros for a dtype with number elements. */
function numberArray(t: Exclude<DType, 'int64' | 'uint64'>, n: number): TypedArray {
  switch (t) {
    case 'float32':
    case 'float16':
    case 'bfloat16':
      return new Float32Array(n);
    case 'float64':
      return new Float64Array(n);
    case 'int32':
      return new Int32Array(n);
    case 'uint32':
      return new Uint32Array(n);
    case 'int16':
      return new Int16Array(n);
    case 'uint16':
      return new Uint16Array(n);
    case 'int8':
      return new Int8Array(n);
    case 'uint8':
    case 'bool':
      return new Uint8Array(n);
  }
}

/** Whether the elements of a host array are bigints. */
export const isBigArray = (data: HostArray): data is BigInt64Array | BigUint64Array => data instanceof BigInt64Array || data instanceof BigUint64Array;

/**
 * The typed array that holds elements of `t` on the host, with the given contents or that many zeros. float16 and bfloat16 are held as float32 there, bool as bytes.
 * Numbers become 64-bit integers by truncation and saturation.
 */
export function hostArray<T extends DType>(
  t: T,
  data: number | ArrayLike<number> | ArrayLike<bigint>,
): T extends 'int64' | 'uint64' ? BigInt64Array | BigUint64Array : T extends Exclude<DType, 'int64' | 'uint64'> ? TypedArray : never;
export function hostArray(t: DType, data: number | ArrayLike<number> | ArrayLike<bigint>): HostArray {
  const n = typeof data === 'number' ? data : data.length;
  if (isWide(t)) {
    const out = t === 'int64' ? new BigInt64Array(n) : new BigUint64Array(n);
    if (typeof data !== 'number') {
      for (let i = 0; i < n; i++) {
        const x = data[i]!;
        out[i] = typeof x === 'bigint' ? x : toWide(t, x);
      }
    }
    return out;
  }
  const out = numberArray(t, n);
  if (typeof data === 'number' || n === 0) return out;
  if (typeof data[0] === 'number') out.set(data as ArrayLike<number>);
  else for (let i = 0; i < n; i++) out[i] = Number(data[i]!);
  return out;
}

/** Copies elements between host arrays of one dtype. */
export function copyElements(to: HostArray, from: HostArray, at = 0): void {
  if (isBigArray(to) !== isBigArray(from)) throw new TypeError('arrays of numbers and of bigints do not mix');
  // Both are of the same kind, so either signature of set will do.
  (to as Float64Array).set(from as Float64Array, at);
}

/** The elements as numbers. 64-bit integers beyond 2^53 lose their lowest bits. */
export const numbersOf = (data: HostArray): TypedArray => (isBigArray(data) ? Float64Array.from(data, Number) : data);

/** Element i as a number. */
export const numberAt = (data: HostArray, i: number): number => Number(data[i]!);
