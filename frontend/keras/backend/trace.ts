/**
 * Tracing: layers, losses, metrics and optimizers are written against symbolic tensors; running them once records a graph. A trace holds the graph builder, the mode, and what the
 * layers leave beside their outputs (losses, new values of variables).
 */
import type { GraphBuilder } from '../../../ir/builder.js';
import { type Dim, isStatic, type Shape, shapeToString, sizeDim } from '../../../ir/dim.js';
import { type DType, numbersOf, type TypedArray } from '../../../ir/dtype.js';
import { invariant, UnsupportedError, ValueError } from '../../../ir/errors.js';
import type { StateView, Value } from '../../../ir/graph.js';
import type { TensorData } from '../../../ir/tensor-data.js';
import { Tensor } from '../tensor.js';
import { EagerBuilder } from './eager.js';
import type { Variable } from './variable.js';

/** The error for JavaScript that wants the value of a tensor while there is none. */
const noValue = (use: string, x: SymbolicTensor): UnsupportedError =>
  new UnsupportedError(
    `${use} needs the value of ${String(x)}, which has none while the model is traced. Decide on values with ops.where, ops.cond or ops.whileLoop; compile with runEagerly: true to look at them`,
  );

/** A value while a layer's `call` is traced: shape and dtype are known, the contents are not. */
export class SymbolicTensor {
  /** Which time steps count (bool), as layers pass it on: Keras' `_keras_mask`. */
  mask: SymbolicTensor | null = null;
  constructor(
    readonly trace: Trace,
    readonly value: Value,
  ) {}
  get shape(): Shape {
    return this.value.shape;
  }
  get dtype(): DType {
    return this.value.dtype;
  }
  get rank(): number {
    return this.value.shape.length;
  }
  toString(): string {
    return `SymbolicTensor(${this.dtype}${shapeToString(this.shape)})`;
  }

  // ---- values: with runEagerly only

  private concrete(use: string): { readonly dtype: DType; readonly shape: readonly number[]; readonly data: TypedArray } {
    const { b } = this.trace;
    if (!(b instanceof EagerBuilder)) throw noValue(use, this);
    const { dtype, shape, data } = b.data(this.value);
    return { dtype, shape, data: numbersOf(data) };
  }
  /** The elements, row by row. Throws UnsupportedError unless the model runs eagerly. */
  data(): Promise<TypedArray> {
    return Promise.resolve(this.concrete('data()').data);
  }
  /** The elements as nested arrays; a number for a scalar. Throws as `data`. */
  array(): Promise<ReturnType<Tensor['array']>> {
    return Promise.resolve(this.toTensor('array()').array());
  }
  /** Prints the elements. Throws as `data`. */
  print(): void {
    this.toTensor('print()').print();
  }
  /** The value as a tensor of the host. Throws as `data`. */
  toTensor(use = 'toTensor()'): Tensor {
    const { data, shape, dtype } = this.concrete(use);
    return new Tensor(data, shape, dtype);
  }
  /** `x > 0`, `+x` and the like: the number where a scalar has a value, else an error. In texts a description. */
  [Symbol.toPrimitive](hint: string): number | string {
    if (hint === 'string') return this.toString();
    const { data } = this.concrete('arithmetic or a comparison in JavaScript');
    if (data.length !== 1) throw new ValueError(`${this.toString()} has ${data.length} elements: only one element is a number`);
    return data[0]!;
  }
  [Symbol.iterator](): never {
    throw new UnsupportedError(
      `${this.toString()} cannot be iterated: take its parts with ops.split or ops.unstack; repeat a step with ops.scan or ops.whileLoop`,
    );
  }
}

/** One tensor or several, as layers take and give them. */
export type Tensors = SymbolicTensor | readonly SymbolicTensor[];
/** The same, or an object of tensors by names: what a call of one's own may take and give. */
export type TensorStructure = Tensors | Readonly<Record<string, SymbolicTensor>>;
export const listOf = (x: Tensors): readonly SymbolicTensor[] => (x instanceof SymbolicTensor ? [x] : x);

/** Where a variable lies in the state of the graph. */
export interface Place {
  readonly slot: string;
  /** Of a flat slot that several variables share: offset in elements, size of the slot, and its parts. */
  readonly flat: { readonly offset: number; readonly size: number; readonly views: readonly StateView[] } | null;
}

/** Decides where variables lie. */
export interface Layout {
  place(variable: Variable): Place;
}

/** Every variable in a slot of its own. */
export const separateLayout: Layout = { place: (v) => ({ slot: v.path, flat: null }) };

/** Is told what a trace computes in terms of layers; exporters write layers as ops of their format. */
export interface TraceObserver {
  /** A layer was called; `args.mask` is the mask that it was given. */
  called(layer: object, inputs: readonly SymbolicTensor[], args: Readonly<Record<string, unknown>>, outputs: readonly SymbolicTensor[]): void;
  /** A named activation was applied. */
  activated(name: string, x: SymbolicTensor, y: SymbolicTensor): void;
}

export type Mode = 'train' | 'evaluate' | 'predict';

export interface TraceOptions {
  readonly training: boolean;
  readonly layout: Layout;
  /** Whether metrics that layers keep are updated: in training and evaluation. Default false. */
  readonly metrics?: boolean;
  readonly observer?: TraceObserver | null;
  /** Only shapes are wanted, nothing is run: what a layer has yet to learn may be left out. Default false. */
  readonly shapesOnly?: boolean;
}

export class Trace {
  readonly training: boolean;
  /** Null in sub-graphs. */
  readonly observer: TraceObserver | null;
  readonly layout: Layout;
  readonly metrics: boolean;
  readonly shapesOnly: boolean;
  /** Activity regularization and losses that layers added, in order. */
  readonly losses: SymbolicTensor[] = [];
  /** Shapes of what each layer gave at its last call. */
  readonly shapes = new Map<object, KerasShape[]>();
  /** Logits behind an output that went through softmax or sigmoid: crossentropy goes back to them. */
  readonly logits = new Map<Value, SymbolicTensor>();
  /** Rows that a layer reads of a table (Embedding): sparse optimizers update only these. */
  readonly sparseReads = new Map<Variable, SymbolicTensor[]>();
  /** Variables of flat slots that were assigned. */
  readonly replaced = new Set<Variable>();
  /** Optimizers that have updated their variables in this step. */
  readonly optimized = new Set<object>();
  private readonly reads = new Map<Variable, Value>();
  private readonly current = new Map<Variable, Value>();
  private randomOps = 0;

  constructor(
    readonly b: GraphBuilder,
    options: TraceOptions,
  ) {
    this.training = options.training;
    this.layout = options.layout;
    this.metrics = options.metrics ?? false;
    this.observer = options.observer ?? null;
    this.shapesOnly = options.shapesOnly ?? false;
  }

  /** The builder where values are computed at once; null where the graph is compiled. */
  get eager(): EagerBuilder | null {
    return this.b instanceof EagerBuilder ? this.b : null;
  }
  /** How many sub-graphs this one is inside of. */
  get depth(): number {
    return 0;
  }
  /** A tensor of this trace, or of one around it, as one of this trace. */
  capture(x: SymbolicTensor): SymbolicTensor {
    invariant(x.trace === this, 'tensors of two traces meet in one operation');
    return x;
  }
  /** An array of the host as a constant of the graph. */
  constant(x: TensorData): SymbolicTensor {
    return this.tensor(this.b.constant({ dtype: x.dtype, shape: x.shape, data: x.data }));
  }

  tensor(value: Value): SymbolicTensor {
    return new SymbolicTensor(this, value);
  }

  /** Where a variable lies; a slot of its own is numbered where another variable has its name (layers of nested models may have one name). */
  private placeOf(v: Variable): Place {
    const place = this.layout.place(v);
    if (place.flat) return place;
    let { slot } = place;
    for (let n = 1; (this.slots.get(slot) ?? v) !== v; n++) slot = `${place.slot}_${n}`;
    this.slots.set(slot, v);
    return { slot, flat: null };
  }
  private readonly slots = new Map<string, Variable>();

  /** The value of a variable at this point of the run. */
  read(v: Variable): SymbolicTensor {
    let value = this.current.get(v);
    if (!value) {
      value = this.b.withExactOrigin(v.path, () => {
        const place = this.placeOf(v);
        if (!place.flat) return this.b.stateSlot(place.slot, v.dtype, v.shape, { trainable: v.trainable });
        const { offset, size, views } = place.flat;
        const all = this.b.stateSlot(place.slot, v.dtype, [size], { trainable: v.trainable, views });
        return this.b.reshape(this.b.slice(all, [offset], [offset + v.size]), v.shape);
      });
      this.current.set(v, value);
      this.reads.set(v, value);
    }
    return this.tensor(value);
  }

  /** What `read` gave first: gradients are taken with respect to it. Null when nothing read the variable. */
  firstRead(v: Variable): Value | null {
    return this.reads.get(v) ?? null;
  }

  /**
   * Gives a variable a new value. Later reads in this trace see it. A variable that the optimizer updates (one in a flat slot) is not written here: the optimizer starts from
   * the new value, with the gradient with respect to it.
   */
  assign(v: Variable, x: SymbolicTensor): void {
    const place = this.placeOf(v);
    this.read(v);
    if (place.flat) this.replaced.add(v);
    else this.b.update(place.slot, x.value);
    this.current.set(v, x.value);
  }

  /**
   * uint32 key of the next random op: its bits depend on the seed, the step, and the op's place among the random ops of the model (not on names, which are numbered through the
   * process, so that a seed gives the same bits for each new model).
   */
  randomKey(seed: number | null): Value {
    const { b } = this;
    const salt = hashText(`random op ${this.randomOps++}`);
    const model = b.stateSlot(seedSlot, 'uint32', []);
    const first = seed === null ? b.binary('xor', model, salt) : b.scalar((salt ^ seed) >>> 0, 'uint32');
    const step = b.bitcast(b.stateSlot(iterationSlot, 'int32', []), 'uint32');
    return b.concat([b.reshape(first, [1]), b.reshape(step, [1])], 0);
  }
}

/** State: number of training steps done. */
export const iterationSlot = 'iteration';
/** State: the model's random seed. */
export const seedSlot = 'seed';

/** FNV-1a. */
export function hashText(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return h;
}

/** A dimension as Keras shows it: symbols are null. */
export type KerasDim = number | null;
export type KerasShape = readonly KerasDim[];
export const kerasShape = (s: Shape): KerasDim[] => s.map((d) => (isStatic(d) ? d : null));
export const kerasShapeText = (s: KerasShape): string => `(${s.map((d) => (d === null ? 'None' : d)).join(', ')}${s.length === 1 ? ',' : ''})`;

/** The number of elements of all axes but the first, which must be known. */
export function featureSize(what: string, shape: Shape): number {
  const n: Dim = sizeDim(shape.slice(1));
  if (!isStatic(n)) throw new ValueError(`${what}: all dimensions but the first must be known, got ${kerasShapeText(kerasShape(shape))}`);
  return n;
}
