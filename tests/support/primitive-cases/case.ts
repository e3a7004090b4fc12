/** What a case is, and what the families make theirs of: seeded shapes, special and ordinary values of every dtype. */

import type { GraphBuilder } from '../../../ir/builder.js';
import { type Shape, symbol } from '../../../ir/dim.js';
import { type DType, hostArray, isFloat } from '../../../ir/dtype.js';
import type { Value } from '../../../ir/graph.js';
import type { OpName } from '../../../ir/op-attrs.js';
import { type TensorData, tensorData } from '../../../ir/tensor-data.js';
import type { Random } from '../random-graph.js';

/** Largest and bound value of the symbol. */
export const batchMax = 5;
export const batchNow = 3;

/** -1 in a shape stands for the symbol batch. */
export interface CaseInput {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: (i: number) => number;
}

export interface PrimitiveCase {
  readonly op: OpName;
  readonly name: string;
  readonly inputs: readonly CaseInput[];
  readonly build: (b: GraphBuilder, inputs: readonly Value[]) => Value | readonly Value[];
  readonly rtol: number;
  readonly atol: number;
}

export const pick = <T>(r: Random, xs: readonly T[]): T => xs[Math.floor(r() * xs.length)]!;
export const int = (r: Random, low: number, high: number): number => low + Math.floor(r() * (high - low + 1));
export const shuffled = (r: Random, n: number): number[] =>
  Array.from({ length: n }, (_, i) => [r(), i] as const)
    .sort((a, b) => a[0] - b[0])
    .map(([, i]) => i);
export const dimsOf = (shape: readonly number[]): Shape => shape.map((d) => (d === -1 ? symbol('batch') : d));
export const sizesOf = (shape: readonly number[]): number[] => shape.map((d) => (d === -1 ? batchNow : d));
export const valuesOf = (x: CaseInput): TensorData => {
  const shape = sizesOf(x.shape);
  const data = hostArray(
    x.dtype,
    shape.reduce((a, d) => a * d, 1),
  );
  for (let i = 0; i < data.length; i++) data[i] = x.data(i);
  return tensorData(x.dtype, shape, data);
};

export const inf = Number.POSITIVE_INFINITY;
/** No denormals: GPUs may flush them. */
export const specialFloats = [
  0,
  -0,
  1,
  -1,
  0.5,
  -0.5,
  1.5,
  2.5,
  -2.5,
  3.5,
  1e-7,
  -1e-7,
  1e-30,
  0.7,
  -0.3,
  20,
  -20,
  87,
  -87,
  90,
  -90,
  1e10,
  -1e10,
  3e38,
  -3e38,
  inf,
  -inf,
  Number.NaN,
];
export const specialInts = [0, 1, -1, 2, -2, 3, 7, -7, 31, 100, -100, 65535, 65537, 1 << 30, 2147483647, -2147483647, -2147483648];
export const specialUints = [0, 1, 2, 3, 7, 31, 100, 255, 65535, 65537, 2147483647, 2147483648, 4294967295, 4294967294];

/** Values of a dtype: a scrambled walk through its special values, or ordinary ones. */
export const special = (t: DType, step = 1): ((i: number) => number) => {
  const list =
    t === 'float32'
      ? specialFloats
      : t === 'uint32'
        ? specialUints
        : t === 'bool'
          ? [0, 1, 1]
          : t === 'uint8'
            ? [0, 1, 2, 127, 128, 255]
            : t === 'int8'
              ? [0, 1, -1, 127, -128, 5]
              : specialInts;
  return (i) => list[(i * step + Math.floor(i / list.length)) % list.length]!;
};
export const ordinary =
  (t: DType, seed = 1): ((i: number) => number) =>
  (i) => {
    const x = Math.sin(i * 12.9898 + seed * 78.233) * 43758.5453;
    const u = x - Math.floor(x);
    return isFloat(t) ? Math.fround(u * 4 - 2) : t === 'bool' ? (u < 0.6 ? 1 : 0) : t === 'int32' || t === 'int8' ? Math.floor(u * 17) - 8 : Math.floor(u * 17);
  };
export const input = (dtype: DType, shape: readonly number[], data = ordinary(dtype)): CaseInput => ({ dtype, shape, data });

/** A shape of rank 1 to 4, sometimes with the symbol, at most about a thousand elements. */
export function someShape(r: Random, rank = int(r, 1, 4), least = 1): number[] {
  const sizes = rank <= 1 ? [3, 8, 33, 130, 300] : rank === 2 ? [1, 3, 4, 8, 17, 40] : [1, 2, 3, 4, 7];
  const s = Array.from({ length: rank }, () => Math.max(least, pick(r, sizes)));
  if (rank > 0 && r() < 0.6) s[int(r, 0, rank - 1)] = -1;
  return s;
}
