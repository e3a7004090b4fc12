/**
 * The arguments of an operation while it is traced: tensors of the trace, sizes of tensors (what `tf.shape` gives, which shapes are made of), and plain values. Names differ between
 * TensorFlow and Keras: a look-up takes all names that one argument has.
 */
import { type Dim, isStatic } from '../../../ir/dim.js';
import { type DType, dtypes, isFloat } from '../../../ir/dtype.js';
import { ShapeError, UnsupportedError, ValueError } from '../../../ir/errors.js';
import * as base from '../backend/ops.js';
import { SymbolicTensor, type Trace } from '../backend/trace.js';
import { Tensor, tensor, toTensor } from '../tensor.js';
import { isPlainObject } from '../utils/options.js';
import type { JsonObject } from '../utils/serialization.js';

type S = SymbolicTensor;

/** Whole numbers that are known when a plan is made, but for symbols such as the batch size: one, or a vector. */
export class Sizes {
  constructor(readonly value: Dim | readonly Dim[]) {}
  get list(): readonly Dim[] {
    return Array.isArray(this.value) ? (this.value as readonly Dim[]) : [this.value as Dim];
  }
}

/** A value of an argument: a tensor, sizes, or what JSON holds (with tensors in lists). */
export type Operand = unknown;
export type Result = S | Sizes | readonly (S | Sizes)[];

/** The dtype of a name in a configuration: `float32`, `tf.float32`, or a policy. */
export function dtypeNamed(x: unknown): DType {
  const name = isPlainObject(x) ? (x as { config?: { name?: unknown; dtype?: unknown } }).config?.name : x;
  if (typeof name === 'string') {
    const bare = name.replace(/^tf\./, '');
    if ((dtypes as readonly string[]).includes(bare)) return bare as DType;
  }
  throw new UnsupportedError(`the dtype ${JSON.stringify(x)} is not known here`);
}

/** Constants of Keras 3 (`__numpy__`, `__tensor__`) and lists of numbers as tensors of the host. */
function constant(x: unknown, like: DType): Tensor {
  if (x instanceof Tensor) return x;
  if (isPlainObject(x)) {
    const { value, dtype } = ((x as JsonObject).config ?? {}) as { value?: unknown; dtype?: unknown };
    const type = dtypeNamed(dtype);
    return tensor(
      typeof value === 'number' || typeof value === 'boolean' ? toTensor('a constant', { data: [Number(value)], shape: [] }) : (value as never),
      undefined,
      type === 'float64' ? 'float32' : type,
    );
  }
  const t = toTensor('a constant', x);
  return tensor(t, undefined, !isFloat(like) && t.data.every(Number.isInteger) ? like : 'float32');
}
export const isConstant = (x: unknown): boolean =>
  Array.isArray(x)
    ? x.length > 0 && x.every(isConstant)
    : typeof x === 'number' || typeof x === 'boolean' || (isPlainObject(x) && ['__numpy__', '__tensor__'].includes(String((x as JsonObject).class_name)));

export class Arguments {
  /** The dtype of the first tensor: constants take it. */
  readonly like: DType;
  constructor(
    readonly trace: Trace,
    readonly positional: readonly Operand[],
    readonly named: Readonly<Record<string, Operand>>,
  ) {
    const first = (x: Operand): S | undefined => (x instanceof SymbolicTensor ? x : Array.isArray(x) ? x.map(first).find((s) => s !== undefined) : undefined);
    this.like = first([...positional, ...Object.values(named)])?.dtype ?? 'float32';
  }

  /** The argument at a position, or by one of its names; undefined where it is absent or null. */
  get(at: number, ...names: readonly string[]): Operand {
    const own = at >= 0 ? this.positional[at] : undefined;
    if (own !== undefined && own !== null) return own;
    for (const n of names) if (Object.hasOwn(this.named, n) && this.named[n] !== null && this.named[n] !== undefined) return this.named[n];
    return undefined;
  }
  /** Throws where an argument that changes the results has a value that is not read. */
  refuse(name: string, ...allowed: readonly unknown[]): void {
    const given = this.named[name];
    if (given !== undefined && given !== null && !allowed.includes(given)) throw new UnsupportedError(`${name}=${JSON.stringify(given)} is not supported`);
  }

  /** Anything as a tensor of the trace. */
  lift(x: Operand, dtype = this.like): S {
    if (x instanceof SymbolicTensor) return x;
    const { b } = this.trace;
    if (x instanceof Sizes) {
      const scalar = (d: Dim): S => this.trace.tensor(b.dimSize(d, 'int32'));
      return Array.isArray(x.value)
        ? base.concatenate(
            x.list.map((d) => base.reshape(scalar(d), [1])),
            0,
          )
        : scalar(x.value as Dim);
    }
    if (typeof x === 'number' || typeof x === 'boolean')
      return this.trace.tensor(b.scalar(Number(x), Number.isInteger(Number(x)) ? dtype : isFloat(dtype) ? dtype : 'float32'));
    if (Array.isArray(x) && x.length > 0 && !isConstant(x))
      return base.concatenate(
        x.map((e) => base.expandDims(this.lift(e, dtype), 0)),
        0,
      );
    if (!isConstant(x)) throw new ValueError(`expected a tensor among the arguments, got ${JSON.stringify(x)?.slice(0, 100)}`);
    return this.trace.constant(constant(x, dtype));
  }
  /** The first argument, whatever its name. */
  get first(): S {
    return this.tensor(0, ...firstNames);
  }
  tensor(at: number, ...names: readonly string[]): S {
    const x = this.get(at, ...names);
    if (x === undefined) throw new ValueError(`the argument ${names[0]} is missing`);
    return this.lift(x);
  }
  /** A list of tensors; a tensor alone is a list of one. */
  tensors(at: number, ...names: readonly string[]): S[] {
    const x = this.get(at, ...names);
    return (Array.isArray(x) ? x : [x]).map((e) => this.lift(e));
  }
  /** Two operands of one dtype: bool takes the other's, whole numbers beside floats become floats. */
  pair(): readonly [S, S] {
    const [a, b] = [this.get(0, ...firstNames), this.get(1, ...secondNames)];
    if (a === undefined || b === undefined) throw new ValueError(`the argument ${a === undefined ? 'x' : 'y'} is missing`);
    return same(this.lift(a), this.lift(b));
  }

  number(fallback: number, ...names: readonly string[]): number {
    const x = this.get(-1, ...names) ?? fallback;
    if (typeof x !== 'number') throw new ValueError(`${names[0]} must be a number, got ${JSON.stringify(x)}`);
    return x;
  }
  flag(fallback: boolean, ...names: readonly string[]): boolean {
    return Boolean(this.get(-1, ...names) ?? fallback);
  }
  text(fallback: string, ...names: readonly string[]): string {
    const x = this.get(-1, ...names) ?? fallback;
    if (typeof x !== 'string') throw new ValueError(`${names[0]} must be text, got ${JSON.stringify(x)}`);
    return x;
  }
  /** One axis or several; null: all. */
  axes(...names: readonly string[]): number | readonly number[] | null {
    const x = this.sizes(-1, ...names);
    if (x === null) return null;
    const list = x.list.map((d) => wholeNumber(d, names[0]!));
    return Array.isArray(x.value) ? list : list[0]!;
  }
  /** Whole numbers, of the configuration or of shapes; null where absent. */
  sizes(at: number, ...names: readonly string[]): Sizes | null {
    const x = this.get(at, ...names);
    return x === undefined ? null : sizesOf(x, names[0]!);
  }
  /** Whole numbers that must be there and known. */
  integers(at: number, ...names: readonly string[]): readonly number[] {
    const x = this.sizes(at, ...names);
    if (x === null) throw new ValueError(`the argument ${names[0]} is missing`);
    return x.list.map((d) => wholeNumber(d, names[0]!));
  }
  integer(fallback: number, ...names: readonly string[]): number {
    const x = this.sizes(-1, ...names);
    return x === null ? fallback : wholeNumber(x.list[0]!, names[0]!);
  }
}

export const firstNames = [
  'x',
  'x1',
  'input',
  'tensor',
  'input_tensor',
  'features',
  'logits',
  'value',
  'values',
  'a',
  'params',
  'inputs',
  'condition',
  't',
  'image',
  'images',
  'labels',
  'indices',
] as const;
export const secondNames = ['y', 'x2', 'b', 'other'] as const;

export function same(a: S, b: S): readonly [S, S] {
  if (a.dtype === b.dtype) return [a, b];
  if (a.dtype === 'bool') return [base.cast(a, b.dtype), b];
  if (b.dtype === 'bool') return [a, base.cast(b, a.dtype)];
  return isFloat(a.dtype) ? [a, base.cast(b, a.dtype)] : [base.cast(a, b.dtype), b];
}

/** Sizes from numbers, sizes, and lists of both; null stands for a size that follows from the others (-1). */
export function sizesOf(x: Operand, name: string): Sizes {
  if (x instanceof Sizes) return x;
  if (typeof x === 'number' && Number.isInteger(x)) return new Sizes(x);
  if (isPlainObject(x) && isConstant(x)) return sizesOf([...constant(x, 'int32').data].map(Number), name);
  if (Array.isArray(x))
    return new Sizes(
      x.map((e: Operand) => {
        const one = e === null ? new Sizes(-1) : sizesOf(e, name);
        if (Array.isArray(one.value)) throw new ShapeError(`${name} must be a list of whole numbers`);
        return one.value as Dim;
      }),
    );
  if (x instanceof SymbolicTensor) throw new UnsupportedError(`${name} is computed by the model from values: shapes must be known when it is compiled`);
  throw new ValueError(`${name} must be a whole number or a list of them, got ${JSON.stringify(x)}`);
}

export function wholeNumber(d: Dim, name: string): number {
  if (!isStatic(d)) throw new UnsupportedError(`${name} depends on the size ${String(d)}, which is not known when the model is compiled`);
  return d;
}
