/** Dense tensors on the host: constants of a graph, arguments and results of the reference evaluation. */
import { type DType, type HostArray, hostArray, isBigArray, isWide, type TypedArray } from './dtype.js';
import { InternalError, ShapeError } from './errors.js';

/** Row-major dense data. `data` is the host array of the dtype (dtype.ts), or Float64Array for floats inside the reference evaluation. */
export interface TensorData {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: HostArray;
}

/** Data of a dtype with number elements: all but int64 and uint64. */
export interface NumberData extends TensorData {
  readonly data: TypedArray;
}

export const isNumberData = (t: TensorData): t is NumberData => !isWide(t.dtype);

/** The same tensor, known to hold numbers. */
export function numberData(t: TensorData): NumberData {
  if (!isNumberData(t)) throw new InternalError(`${t.dtype} data where numbers are expected`);
  return t;
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((a, d) => a * d, 1);

/** Numbers given for 64-bit integers are converted. */
const fitting = (dtype: DType, data: HostArray): HostArray => (isWide(dtype) === isBigArray(data) ? data : hostArray(dtype, data));

/** Data whose elements are known to be numbers where the dtype says so. */
export type TensorDataOf<T extends DType> = T extends 'int64' | 'uint64' ? TensorData : NumberData;

export function tensorData<T extends DType>(dtype: T, shape: readonly number[], data: HostArray | readonly number[] | readonly bigint[]): TensorDataOf<T>;
export function tensorData(dtype: DType, shape: readonly number[], data: HostArray | readonly number[] | readonly bigint[]): TensorData {
  if (data.length !== sizeOf(shape)) throw new ShapeError(`a tensor of shape [${shape.join(',')}] has ${sizeOf(shape)} elements, the data has ${data.length}`);
  return { dtype, shape: [...shape], data: Array.isArray(data) ? hostArray(dtype, data) : fitting(dtype, data as HostArray) };
}

export const scalarData = (dtype: DType, value: number | bigint): TensorData =>
  tensorData(dtype, [], hostArray(dtype, typeof value === 'bigint' ? [value] : [value]));

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
