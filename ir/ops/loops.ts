/** Plain loops that the reference evaluation of several ops shares. Floats live in Float64Array here, integers in the host array of their dtype. */
import { type Bindings, evalShape } from '../dim.js';
import { type DType, hostArray, isFloat, isWide } from '../dtype.js';
import { InternalError } from '../errors.js';
import type { TensorType } from '../graph.js';
import { type NumberData, sizeOf, stridesOf, type TensorData } from '../tensor-data.js';

/** Zeros. Integer arrays wrap what is stored to their width. Not for int64 and uint64 (wide.ts). */
export function allocate(dtype: DType, shape: readonly number[]): NumberData {
  const n = sizeOf(shape);
  if (isWide(dtype)) throw new InternalError(`a loop over numbers is asked for ${dtype}`);
  return { dtype, shape: [...shape], data: isFloat(dtype) ? new Float64Array(n) : hostArray(dtype, n) };
}

export const allocateFor = (t: TensorType, bindings: Bindings): NumberData => allocate(t.dtype, evalShape(t.shape, bindings));

/** Zeros of any dtype. */
export function allocateAny(t: TensorType, bindings: Bindings): TensorData {
  const shape = evalShape(t.shape, bindings);
  return isWide(t.dtype) ? { dtype: t.dtype, shape, data: hostArray(t.dtype, sizeOf(shape)) } : allocate(t.dtype, shape);
}

/** Element i is f(i). */
export function fill(out: NumberData, f: (i: number) => number): NumberData {
  const { data } = out;
  for (let i = 0; i < data.length; i++) data[i] = f(i);
  return out;
}

/** Calls `visit` for every index in row-major order. The index array is reused. */
export function forEachIndex(shape: readonly number[], visit: (index: readonly number[], flat: number) => void): void {
  const n = sizeOf(shape);
  const index = shape.map(() => 0);
  for (let flat = 0; flat < n; flat++) {
    visit(index, flat);
    for (let a = shape.length - 1; a >= 0; a--) {
      if (++index[a]! < shape[a]!) break;
      index[a] = 0;
    }
  }
}

/** out[i0, i1, …] = x[offset + i0*strides[0] + i1*strides[1] + …]. */
export function stridedRead(x: NumberData, shape: readonly number[], offset: number, strides: readonly number[]): NumberData {
  const out = allocate(x.dtype, shape);
  const last = shape.length - 1;
  if (last < 0) {
    out.data[0] = x.data[offset]!;
    return out;
  }
  const [inner, step] = [shape[last]!, strides[last]!];
  forEachIndex(shape.slice(0, last), (index, row) => {
    let from = offset;
    for (let a = 0; a < last; a++) from += index[a]! * strides[a]!;
    for (let i = 0, to = row * inner; i < inner; i++, to++, from += step) out.data[to] = x.data[from]!;
  });
  return out;
}

/** Transposition; output axis i is input axis perm[i]. */
export function permute(x: NumberData, perm: readonly number[]): NumberData {
  const strides = stridesOf(x.shape);
  return stridedRead(
    x,
    perm.map((p) => x.shape[p]!),
    0,
    perm.map((p) => strides[p]!),
  );
}

export const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((s, x, i) => s + x * b[i]!, 0);

/** Rounds to the nearest integer, halves to even. */
export function roundEven(x: number): number {
  const r = Math.round(x);
  return Math.abs(x % 1) === 0.5 && r % 2 !== 0 ? r - 1 : r;
}

/** The nearest number with `bits` significant bits, exponents from `least` on and magnitudes up to `most`; halves to even. */
function roundToFloat(x: number, bits: number, least: number, most: number): number {
  if (x === 0 || !Number.isFinite(x)) return x;
  const a = Math.abs(x);
  let e = Math.floor(Math.log2(a));
  if (2 ** e > a) e--;
  const unit = 2 ** (Math.max(e, least) - bits + 1);
  const r = roundEven(a / unit) * unit;
  return Math.sign(x) * (r > most ? Infinity : r);
}

/** The float16 nearest to x. */
export const roundToHalf = (x: number): number => roundToFloat(x, 11, -14, 65504);
/** The bfloat16 nearest to x. */
export const roundToBfloat = (x: number): number => roundToFloat(x, 8, -126, 2 ** 128 - 2 ** 120);

/** The nearest value of a float type. */
export function roundFloat(dtype: DType, x: number): number {
  switch (dtype) {
    case 'float16':
      return roundToHalf(x);
    case 'bfloat16':
      return roundToBfloat(x);
    case 'float32':
      return Math.fround(x);
    default:
      return x;
  }
}

const scratch = new DataView(new ArrayBuffer(8));

/** Bits of a float16 or bfloat16 value (already rounded). */
export function halfBits(dtype: 'float16' | 'bfloat16', x: number): number {
  scratch.setFloat32(0, x);
  const bits = scratch.getUint32(0);
  if (dtype === 'bfloat16') return Number.isNaN(x) ? 0x7fc0 : bits >>> 16;
  const sign = (bits >>> 16) & 0x8000;
  const a = Math.abs(x);
  if (Number.isNaN(x)) return 0x7e00;
  if (a === Infinity) return sign | 0x7c00;
  return sign | (a < 2 ** -14 ? a * 2 ** 24 : ((bits & 0x7fffffff) - 0x38000000) >>> 13);
}

/** The value of the bits of a float16 or bfloat16. */
export function fromHalfBits(dtype: 'float16' | 'bfloat16', bits: number): number {
  if (dtype === 'bfloat16') {
    scratch.setUint32(0, bits << 16);
    return scratch.getFloat32(0);
  }
  const sign = bits & 0x8000 ? -1 : 1;
  const [exponent, fraction] = [(bits >>> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? Number.NaN : sign * Infinity;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}
