/** Text on the host: arrays of strings that users give, and dense tensors of them. They never reach a device; layers such as StringLookup turn them into numbers first. */
import { ShapeError, ValueError } from '../../ir/errors.js';
import { sizeOf } from '../../ir/tensor-data.js';
import { Tensor, toTensor } from './tensor.js';
import { describe } from './utils/options.js';

/** Nested arrays of strings. */
export type NestedStrings = string | readonly NestedStrings[];

/** A dense array of strings. */
export class StringTensor {
  readonly dtype = 'string';
  readonly shape: readonly number[];
  constructor(
    /** Row by row. */
    readonly data: readonly string[],
    shape: readonly number[] = [data.length],
  ) {
    if (data.length !== sizeOf(shape))
      throw new ShapeError(`a tensor of shape [${shape.join(', ')}] has ${sizeOf(shape)} strings, the data has ${data.length}`);
    const bad = data.find((s) => typeof s !== 'string');
    if (bad !== undefined) throw new ValueError(`a tensor of strings holds strings alone, got ${describe(bad)}`);
    this.shape = [...shape];
  }
  get size(): number {
    return this.data.length;
  }
  get rank(): number {
    return this.shape.length;
  }
  /** The strings as nested arrays; a string for a scalar. */
  array(): NestedStrings {
    const at = (axis: number, offset: number, stride: number): NestedStrings => {
      if (axis === this.shape.length) return this.data[offset]!;
      const step = stride / this.shape[axis]!;
      return Array.from({ length: this.shape[axis]! }, (_, i) => at(axis + 1, offset + i * step, step));
    };
    return at(0, 0, this.data.length);
  }
  /** Rows [start, end) of the first axis. */
  rows(start: number, end: number): StringTensor {
    const row = sizeOf(this.shape.slice(1));
    return new StringTensor(this.data.slice(start * row, end * row), [end - start, ...this.shape.slice(1)]);
  }
  reshape(shape: readonly number[]): StringTensor {
    return new StringTensor(this.data, shape);
  }
  toString(): string {
    return `StringTensor(shape=[${this.shape.join(', ')}])\n${JSON.stringify(this.array())}`;
  }
}

/** What layers compute with on the host. */
export type HostArray = Tensor | StringTensor;

/** Whether a value is made of strings. */
export function isText(x: unknown): boolean {
  if (x instanceof StringTensor) return true;
  let at = x;
  if (typeof at === 'object' && at !== null && 'data' in at && 'shape' in at) at = at.data;
  while (Array.isArray(at) && at.length > 0) at = at[0];
  return typeof at === 'string';
}

/** Strings that the user gave: nested arrays, or `{ data, shape }`. `what` names the argument in messages. */
export function toStringTensor(what: string, x: unknown): StringTensor {
  if (x instanceof StringTensor) return x;
  if (typeof x === 'string') return new StringTensor([x], []);
  if (typeof x === 'object' && x !== null && 'data' in x && 'shape' in x && Array.isArray(x.data) && Array.isArray(x.shape))
    return new StringTensor(x.data as string[], x.shape as number[]);
  if (!Array.isArray(x)) throw new ValueError(`${what}: expected strings (nested arrays of them, or { data, shape }), got ${describe(x)}`);
  const shape: number[] = [];
  for (let at: unknown = x; Array.isArray(at); at = at[0]) {
    shape.push(at.length);
    if (at.length === 0) break;
  }
  const out: string[] = [];
  const walk = (v: unknown, axis: number): void => {
    if (axis === shape.length) {
      if (typeof v !== 'string') throw new ValueError(`${what}: expected strings, got ${describe(v)}`);
      out.push(v);
      return;
    }
    if (!Array.isArray(v) || v.length !== shape[axis])
      throw new ShapeError(
        `${what}: the nested array is ragged: expected ${shape[axis]} elements at depth ${axis + 1}, got ${Array.isArray(v) ? v.length : describe(v)}`,
      );
    for (const e of v) walk(e, axis + 1);
  };
  walk(x, 0);
  return new StringTensor(out, shape);
}

/** Strings or numbers that the user gave. Whole numbers in arrays become int32, as ids are. */
export function toHostArray(what: string, x: unknown): HostArray {
  if (isText(x)) return toStringTensor(what, x);
  const t = toTensor(what, typeof x === 'number' ? new Tensor([x], []) : x);
  return t.dtype === 'float32' && !(x instanceof Tensor) && t.data.every(Number.isInteger) ? new Tensor(Int32Array.from(t.data), t.shape) : t;
}

const encoder = new TextEncoder();
/** UTF-8. */
export const bytesOf = (text: string): Uint8Array => encoder.encode(text);

/** Order by code points, which is that of the UTF-8 bytes. */
export function compareText(a: string, b: string): number {
  const [x, y] = [bytesOf(a), bytesOf(b)];
  const n = Math.min(x.length, y.length);
  for (let i = 0; i < n; i++) if (x[i] !== y[i]) return x[i]! - y[i]!;
  return x.length - y.length;
}
