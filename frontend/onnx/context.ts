/** What the lowering of one node sees: its inputs as IR values, the builder, the version of the op, compile-time contents, and errors that name the node. */
import type { GraphBuilder } from '../../ir/builder.js';
import { type Dim, isStatic, type Shape } from '../../ir/dim.js';
import { type DType, type HostArray, hostArray, numbersOf } from '../../ir/dtype.js';
import { ShapeError, UnsupportedError, ValueError } from '../../ir/errors.js';
import type { Value } from '../../ir/graph.js';
import { sizeOf, type TensorData } from '../../ir/tensor-data.js';
import { dtypeOf, elementName } from './element-types.js';
import type { Importer } from './import.js';
import { type Item, isValue, Nothing, Sequence } from './registry.js';
import type { NodeProto } from './schema/types.js';
import type { Scope } from './scope.js';
import { isSmallType } from './small-types.js';

/** A value whose axis is longer than its data: only the first `count` (int32 scalar) entries along `axis` count. */
export interface Padding {
  readonly axis: number;
  readonly count: Value;
}

/** Elements of one constant that the importer computes. */
const maxComputed = 2 ** 26;

export class NodeContext {
  constructor(
    readonly importer: Importer,
    readonly scope: Scope,
    readonly node: NodeProto,
    /** The version of the op that the model's opset selects. */
    readonly version: number,
    readonly inputs: readonly (Item | null)[],
    /** Names the node in errors. */
    readonly where: string,
    private readonly takesPadded: boolean,
  ) {}

  get b(): GraphBuilder {
    return this.scope.builder;
  }
  get inputCount(): number {
    return this.inputs.length;
  }
  get outputCount(): number {
    return this.node.output?.length ?? 0;
  }
  /** Whether output i has a name. */
  wants(i: number): boolean {
    return Boolean(this.node.output?.[i]);
  }

  /** Input i, or null where it is absent. */
  opt(i: number): Value | null {
    const x = this.inputs[i] ?? null;
    if (x === null) return null;
    if (!isValue(x)) return this.unsupported(`input ${i} is ${x instanceof Sequence ? 'a sequence' : 'an empty optional'}, expected a tensor`);
    if (!this.takesPadded && this.importer.padding.has(x))
      return this.unsupported(`input ${i} has a size that depends on the data; this op cannot follow such a tensor`);
    return x;
  }
  /** Input i. */
  in(i: number): Value {
    return this.opt(i) ?? this.fail(`input ${i} is missing`);
  }
  /** All inputs as tensors. */
  all(): Value[] {
    return this.inputs.map((_, i) => this.in(i));
  }
  sequence(i: number): Sequence {
    const x = this.inputs[i];
    return x instanceof Sequence ? x : this.unsupported(`input ${i} must be a sequence that is known at import`);
  }
  item(i: number): Item {
    return this.inputs[i] ?? new Nothing();
  }

  rank(i: number): number {
    return this.in(i).shape.length;
  }
  /** The non-negative form of an axis of a tensor of the given rank. */
  axis(axis: number, rank: number): number {
    const a = axis < 0 ? axis + rank : axis;
    if (!Number.isInteger(a) || a < 0 || a >= rank) this.fail(`axis ${axis} is not an axis of a tensor of rank ${rank}`);
    return a;
  }
  axes(axes: readonly number[], rank: number): number[] {
    const list = axes.map((a) => this.axis(a, rank));
    if (new Set(list).size !== list.length) this.fail(`axes [${axes.join(',')}] name an axis twice`);
    return list;
  }
  /** The sizes of a value as numbers; refuses symbolic ones. */
  shape(v: Value): number[] {
    return v.shape.map((d) => (isStatic(d) ? d : this.unsupported(`axis of symbolic size ${d} where a number is needed`)));
  }
  size(d: Dim): number {
    return isStatic(d) ? d : this.unsupported(`symbolic size ${d} where a number is needed`);
  }

  /** The contents of a value at compile time. */
  data(v: Value): TensorData {
    return this.importer.statics.data(v);
  }
  /** The contents as numbers. */
  numbers(v: Value): number[] {
    return Array.from(numbersOf(this.data(v).data));
  }
  number(v: Value): number {
    const list = this.numbers(v);
    if (list.length !== 1) this.fail(`expected one number, found a tensor of shape [${v.shape.join(',')}]`);
    return list[0]!;
  }
  /** Integers that may be symbolic. */
  dims(v: Value): readonly Dim[] {
    return this.importer.statics.dims(v);
  }
  /** Whether the contents are known now; never asks for the contents of inputs. */
  known(v: Value): TensorData | null {
    return this.importer.tryData(v);
  }

  padding(v: Value): Padding | undefined {
    return this.importer.padding.get(v);
  }
  /** Marks a result as padded. */
  padded(v: Value, axis: number, count: Value): Value {
    this.importer.padding.set(v, { axis, count });
    return v;
  }

  /** ONNX's number of the small type that a value is of, undefined where its type is one of the IR. */
  smallType(v: Value): number | undefined {
    return this.importer.smallType(v);
  }
  /** Marks a result as one of a small type, whose values its elements are. */
  ofSmallType(v: Value, elementType: number): Value {
    this.importer.smallTypes.set(v, elementType);
    return v;
  }

  /** The type of Tenon for an ONNX element type; refuses the small ones, which only casts and quantization make. */
  dtype(elementType: number): DType {
    if (isSmallType(elementType)) this.unsupported(`results of ${elementName(elementType)}`);
    return dtypeOf(elementType, this.where);
  }
  constant(dtype: DType, shape: readonly number[], values: ArrayLike<number>): Value {
    if (values.length !== sizeOf(shape)) this.fail(`internal: ${values.length} values for shape [${shape.join(',')}]`);
    return this.b.constant({ dtype, shape: [...shape], data: hostArray(dtype, values) as HostArray });
  }
  /** A number of elements that is computed at import, within reason. */
  countable(n: number): number {
    return Number.isInteger(n) && n >= 0 && n <= maxComputed ? n : this.unsupported(`${n} elements; up to ${maxComputed} can be made at import`);
  }
  /** An int64 result from dimensions: a vector, or a scalar. */
  dimensions(dims: readonly Dim[], scalar = false): Value {
    const { b } = this;
    const dtype = dtypeOf(7, this.where);
    if (dims.every(isStatic)) return this.constant(dtype, scalar ? [] : [dims.length], dims as number[]);
    const parts = dims.map((d) => b.dimSize(d, dtype));
    return scalar
      ? parts[0]!
      : b.concat(
          parts.map((p) => b.reshape(p, [1])),
          0,
        );
  }
  /** Indices for gather and scatter. */
  index(v: Value): Value {
    return this.b.cast(v, 'int32');
  }

  fail(message: string): never {
    throw new ValueError(`${this.where}: ${message}`);
  }
  failShape(message: string): never {
    throw new ShapeError(`${this.where}: ${message}`);
  }
  unsupported(message: string): never {
    throw new UnsupportedError(`${this.where}: ${message}`);
  }
}

export const shapeText = (s: Shape): string => `[${s.join(',')}]`;
