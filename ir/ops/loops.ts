/** Plain loops that the reference evaluation of several ops shares. Floats live in Float64Array here, integers in the host array of their dtype. */
import { type Bindings, evalShape } from '../dim.js';
import { type DType, hostArray, isFloat } from '../dtype.js';
import type { TensorType } from '../graph.js';
import { sizeOf, stridesOf, type TensorData } from '../tensor-data.js';

/** Zeros. Integer arrays wrap what is stored to their width. */
export function allocate(dtype: DType, shape: readonly number[]): TensorData {
  const n = sizeOf(shape);
  return { dtype, shape: [...shape], data: isFloat(dtype) ? new Float64Array(n) : hostArray(dtype, n) };
}

export const allocateFor = (t: TensorType, bindings: Bindings): TensorData => allocate(t.dtype, evalShape(t.shape, bindings));

/** Element i is f(i). */
export function fill(out: TensorData, f: (i: number) => number): TensorData {
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
export function stridedRead(x: TensorData, shape: readonly number[], offset: number, strides: readonly number[]): TensorData {
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
export function permute(x: TensorData, perm: readonly number[]): TensorData {
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

/** The float16 nearest to x. */
export function roundToHalf(x: number): number {
  if (x === 0 || !Number.isFinite(x)) return x;
  const a = Math.abs(x);
  let e = Math.floor(Math.log2(a));
  if (2 ** e > a) e--;
  const unit = 2 ** (Math.max(e, -14) - 10);
  const r = roundEven(a / unit) * unit;
  return Math.sign(x) * (r > 65504 ? Infinity : r);
}
