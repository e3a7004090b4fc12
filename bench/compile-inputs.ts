/** Inputs of the ONNX models whose compile times are compared, and a few numbers of an output by which runtimes are seen to agree. */
import type { HostArray } from '../ir/dtype.js';
import { uniform } from './workloads.js';

export interface CompileInput {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
}

/** Data for an input; free dimensions are 1. float32: seeded values in [-1, 1]. int32: bytes that repeat. */
export function inputFor(i: { readonly name: string; readonly dtype: string; readonly shape: readonly (number | string | null)[] | null }): CompileInput & {
  readonly data: Float32Array | Int32Array;
} {
  const shape = (i.shape ?? []).map((d) => (typeof d === 'number' ? d : 1));
  const n = shape.reduce((a, d) => a * d, 1);
  if (i.dtype !== 'float32' && i.dtype !== 'int32') throw new Error(`input '${i.name}' is ${i.dtype}; expected float32 or int32`);
  return { name: i.name, dtype: i.dtype, shape, data: i.dtype === 'float32' ? uniform(n, 7) : Int32Array.from({ length: n }, (_, j) => (j * 37) % 256) };
}

/** The first numbers of an output. */
export const sample = (data: HostArray | ArrayLike<number>): number[] =>
  Array.from({ length: Math.min(8, data.length) }, (_, i) => Number(Number(data[i]).toPrecision(5)));
