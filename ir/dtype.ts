/** Element types of tensors, and what is true of each. */

export const dtypes = ['float32', 'float16', 'float64', 'int32', 'uint32', 'int8', 'uint8', 'bool'] as const;

/** Element type of a tensor. `bool` is 0 or 1. */
export type DType = (typeof dtypes)[number];

export type TypedArray = Float32Array | Float64Array | Int32Array | Uint32Array | Int8Array | Uint8Array | Uint16Array;

/** Bytes of one stored element. bool is stored as a 32-bit 0 or 1, since WGSL has no bool in storage buffers. */
export const storageBytes: Record<DType, number> = { float32: 4, float16: 2, float64: 8, int32: 4, uint32: 4, int8: 1, uint8: 1, bool: 4 };

export const isFloat = (t: DType): boolean => t === 'float32' || t === 'float16' || t === 'float64';
export const isInteger = (t: DType): boolean => t === 'int32' || t === 'uint32' || t === 'int8' || t === 'uint8';
export const isUnsigned = (t: DType): boolean => t === 'uint32' || t === 'uint8';

/** Smallest and largest value; for floats the infinities. The identities of max and min reductions. */
export function limitsOf(t: DType): { lowest: number; highest: number } {
  switch (t) {
    case 'float32':
    case 'float16':
    case 'float64':
      return { lowest: -Infinity, highest: Infinity };
    case 'int32':
      return { lowest: -2147483648, highest: 2147483647 };
    case 'uint32':
      return { lowest: 0, highest: 4294967295 };
    case 'int8':
      return { lowest: -128, highest: 127 };
    case 'uint8':
      return { lowest: 0, highest: 255 };
    case 'bool':
      return { lowest: 0, highest: 1 };
  }
}

/** The typed array that holds elements of `t` on the host. float16 is held as float32 there, bool as bytes. */
export function hostArray(t: DType, data: number | ArrayLike<number>): TypedArray {
  const make = (): TypedArray => {
    const n = typeof data === 'number' ? data : data.length;
    switch (t) {
      case 'float32':
      case 'float16':
        return new Float32Array(n);
      case 'float64':
        return new Float64Array(n);
      case 'int32':
        return new Int32Array(n);
      case 'uint32':
        return new Uint32Array(n);
      case 'int8':
        return new Int8Array(n);
      case 'uint8':
      case 'bool':
        return new Uint8Array(n);
    }
  };
  const out = make();
  if (typeof data !== 'number') out.set(data);
  return out;
}
