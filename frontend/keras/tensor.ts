/** Arrays on the host: what users give (nested arrays, typed arrays with a shape, tensors) and what they get. */
import { type DType, dtypes, hostArray, isInteger, numbersOf, type TypedArray } from '../../ir/dtype.js';
import { didYouMean, ShapeError, ValueError } from '../../ir/errors.js';
import { sizeOf } from '../../ir/tensor-data.js';
import { describe } from './utils/options.js';

/** Nested arrays of numbers or booleans. */
export type NestedArray = number | boolean | readonly NestedArray[];

/** Anything that holds a dense array: `{ data, shape }`. */
export interface ArrayWithShape {
  readonly data: TypedArray | readonly number[];
  readonly shape: readonly number[];
  readonly dtype?: DType;
}

export type ArrayLikeInput = Tensor | ArrayWithShape | TypedArray | NestedArray;

/** A dense array on the host. */
export class Tensor {
  /** Row-major elements; bool as 0 and 1. */
  readonly data: TypedArray;
  readonly shape: readonly number[];
  readonly dtype: DType;
  constructor(data: TypedArray | readonly number[], shape: readonly number[], dtype?: DType) {
    if (!Array.isArray(shape) || !shape.every((d) => Number.isInteger(d) && d >= 0))
      throw new ShapeError(`a tensor's shape must be a list of whole numbers, got ${Array.isArray(shape) ? `[${shape.join(', ')}]` : describe(shape)}`);
    if (dtype !== undefined && !dtypes.includes(dtype))
      throw new ValueError(`unknown dtype '${String(dtype)}'.${didYouMean(String(dtype), dtypes)} Known: ${dtypes.join(', ')}`);
    this.dtype = dtype ?? dtypeOfArray(data);
    if (data.length !== sizeOf(shape))
      throw new ShapeError(`a tensor of shape [${shape.join(', ')}] has ${sizeOf(shape)} elements, the data has ${data.length}`);
    this.data = Array.isArray(data) ? numbersOf(hostArray(this.dtype, data)) : (data as TypedArray);
    this.shape = [...shape];
  }
  get size(): number {
    return this.data.length;
  }
  get rank(): number {
    return this.shape.length;
  }
  /** The elements as nested arrays; a number for a scalar. */
  array(): NestedArray {
    const at = (axis: number, offset: number, stride: number): NestedArray => {
      if (axis === this.shape.length) return this.dtype === 'bool' ? this.data[offset] !== 0 : this.data[offset]!;
      const step = stride / this.shape[axis]!;
      return Array.from({ length: this.shape[axis]! }, (_, i) => at(axis + 1, offset + i * step, step));
    };
    return at(0, 0, this.data.length);
  }
  /** Rows [start, end) of the first axis, without a copy. */
  rows(start: number, end: number): Tensor {
    if (!(Number.isInteger(start) && Number.isInteger(end) && start >= 0 && start <= end && end <= (this.shape[0] ?? 0)))
      throw new ShapeError(`rows: [${start}, ${end}) is not inside the ${this.shape[0] ?? 0} rows of a tensor of shape [${this.shape.join(', ')}]`);
    const row = sizeOf(this.shape.slice(1));
    return new Tensor(this.data.subarray(start * row, end * row), [end - start, ...this.shape.slice(1)], this.dtype);
  }
  reshape(shape: readonly number[]): Tensor {
    return new Tensor(this.data, shape, this.dtype);
  }
  /** The elements as text, long axes shortened. */
  toString(): string {
    const text = (x: NestedArray, depth: number): string => {
      if (!Array.isArray(x)) return typeof x === 'number' && !isInteger(this.dtype) ? Number(x.toPrecision(6)).toString() : String(x);
      const items = x.length > 8 ? [...x.slice(0, 3), null, ...x.slice(-3)] : x;
      const inner = items.map((i) => (i === null ? '…' : text(i as NestedArray, depth + 1)));
      return `[${inner.join(Array.isArray(x[0]) ? `,\n${' '.repeat(depth + 1)}` : ', ')}]`;
    };
    return `Tensor(shape=[${this.shape.join(', ')}], dtype=${this.dtype})\n${text(this.array(), 0)}`;
  }
  /** Prints the elements. */
  print(): void {
    console.log(this.toString());
  }
}

/** A tensor from nested arrays, a typed array (with its shape), or `{ data, shape }`. Numbers become float32. */
export function tensor(data: ArrayLikeInput, shape?: readonly number[], dtype?: DType): Tensor {
  const t = toTensor('tensor', data);
  const d = dtype && dtype !== t.dtype && dtypes.includes(dtype) ? numbersOf(hostArray(dtype, t.data)) : t.data;
  return new Tensor(d, shape ?? t.shape, dtype ?? t.dtype);
}

function dtypeOfArray(data: TypedArray | readonly number[]): DType {
  if (data instanceof Float64Array) return 'float64';
  if (data instanceof Int32Array) return 'int32';
  if (data instanceof Uint32Array) return 'uint32';
  if (data instanceof Int8Array) return 'int8';
  if (data instanceof Uint8Array || data instanceof Uint8ClampedArray) return 'uint8';
  if (data instanceof Int16Array) return 'int16';
  if (data instanceof Uint16Array) return 'uint16';
  return 'float32';
}

const isTyped = (x: unknown): x is TypedArray => ArrayBuffer.isView(x) && !(x instanceof DataView);

/** What the user gave as a tensor. `what` names the argument in messages. */
export function toTensor(what: string, x: unknown): Tensor {
  if (x instanceof Tensor) return x;
  if (isTyped(x)) {
    if (x instanceof BigInt64Array || x instanceof BigUint64Array) throw new ValueError(`${what}: arrays of 64-bit integers are not supported; use Int32Array`);
    return new Tensor(x, [x.length]);
  }
  if (Array.isArray(x)) return nested(what, x as readonly NestedArray[]);
  if (typeof x === 'object' && x !== null && 'data' in x && 'shape' in x) {
    const { data, shape, dtype } = x as ArrayWithShape;
    if (!(isTyped(data) || Array.isArray(data)) || !Array.isArray(shape))
      throw new ValueError(`${what}: expected data as an array and shape as a list of numbers`);
    return new Tensor(data, shape, dtype);
  }
  throw new ValueError(`${what}: expected a nested array, a typed array, a Tensor or { data, shape }, got ${describe(x)}`);
}

function nested(what: string, x: readonly NestedArray[]): Tensor {
  const shape: number[] = [];
  for (let at: unknown = x; Array.isArray(at) || isTyped(at); at = at[0]) {
    shape.push(at.length);
    if (at.length === 0 || isTyped(at)) break;
  }
  const out = new Float32Array(sizeOf(shape));
  let n = 0;
  const walk = (v: unknown, axis: number): void => {
    if (axis === shape.length) {
      if (typeof v === 'string')
        throw new ValueError(
          `${what}: expected numbers, got the string ${describe(v)}: strings go to an input with dtype 'string', and from there to StringLookup or TextVectorization`,
        );
      if (typeof v !== 'number' && typeof v !== 'boolean') throw new ValueError(`${what}: expected numbers, got ${describe(v)}`);
      out[n++] = Number(v);
      return;
    }
    if (!(Array.isArray(v) || isTyped(v)) || v.length !== shape[axis]) {
      throw new ShapeError(
        `${what}: the nested array is ragged: expected ${shape[axis]} elements at depth ${axis + 1}, got ${Array.isArray(v) || isTyped(v) ? v.length : describe(v)}`,
      );
    }
    if (isTyped(v)) {
      out.set(v, n);
      n += v.length;
    } else for (const e of v) walk(e, axis + 1);
  };
  walk(x, 0);
  return new Tensor(out, shape);
}

/** Index of the first value that is NaN or infinite, or -1. */
export function firstNonFinite(data: TypedArray): number {
  if (!(data instanceof Float32Array || data instanceof Float64Array)) return -1;
  // A sum is finite unless a term is not (or it overflows): the slow search is rarely needed.
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum += data[i]! * 0;
  return sum === 0 ? -1 : data.findIndex((v) => !Number.isFinite(v));
}
