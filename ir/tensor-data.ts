/** Dense tensors on the host: constants of a graph, arguments and results of the reference evaluation. */
import { type DType, hostArray, type TypedArray } from './dtype.js';
import { ShapeError } from './errors.js';

/** Row-major dense data. `data` is the host array of the dtype (dtype.ts), or Float64Array for floats inside the reference evaluation. */
export interface TensorData {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: TypedArray;
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((a, d) => a * d, 1);

export function tensorData(dtype: DType, shape: readonly number[], data: TypedArray | readonly number[]): TensorData {
  if (data.length !== sizeOf(shape)) throw new ShapeError(`a tensor of shape [${shape.join(',')}] has ${sizeOf(shape)} elements, the data has ${data.length}`);
  return { dtype, shape: [...shape], data: Array.isArray(data) ? hostArray(dtype, data) : (data as TypedArray) };
}

export const scalarData = (dtype: DType, value: number): TensorData => tensorData(dtype, [], [value]);

/** Row-major strides in elements. */
export function stridesOf(shape: readonly number[]): number[] {
  const s = new Array<number>(shape.length);
  let n = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    s[i] = n;
    n *= shape[i]!;
  }
  return s;
}
