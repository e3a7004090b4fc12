/**
 * Writes a traced graph as ONNX nodes. Values are written when they are asked for, from the outputs backwards: what a known layer computes becomes that layer's ops
 * (layers/), named activations theirs, all else what the primitives say (primitives/). A value of rank 3 or more may be there in two forms: as it is, and channels first
 * (the last axis second), which is how ONNX convolves and pools; ops between convolutions stay in the form of their inputs, so that transposes stand at the borders only.
 */
import { type Dim, equalDim, isStatic, type Shape } from '../../../ir/dim.js';
import { type DType, type HostArray, hostArray } from '../../../ir/dtype.js';
import { UnsupportedError } from '../../../ir/errors.js';
import { type Graph, type Node, usersOf, type Value } from '../../../ir/graph.js';
import { sizeOf, type TensorData } from '../../../ir/tensor-data.js';
import type { Variable } from '../../keras/backend/variable.js';
import type { NodeProto, TensorProto, ValueInfoProto } from '../schema/types.js';
import type { ActivationCall, CallRecorder, LayerCall } from './observer.js';
import { type AttrGiven, attributes, tensorProto, valueInfo } from './proto.js';
import { evaluateStatic, type Static } from './static.js';

export type Form = 'plain' | 'channelsFirst';
export type Attrs = Readonly<Record<string, AttrGiven | null>>;

/** Where each axis of a channels-first tensor comes from. */
export const channelsFirstPerm = (rank: number): number[] => [0, rank - 1, ...Array.from({ length: Math.max(rank - 2, 0) }, (_, i) => i + 1)];
export const channelsLastPerm = (rank: number): number[] => [0, ...Array.from({ length: Math.max(rank - 2, 0) }, (_, i) => i + 2), 1];
/** Where an axis of the plain form lies in this form. */
export const axisIn = (form: Form, axis: number, rank: number): number => (form === 'plain' || axis === 0 ? axis : axis === rank - 1 ? 1 : axis + 1);
const reordered = (shape: Shape, perm: readonly number[]): Dim[] => perm.map((p) => shape[p]!);
export const shapeIn = (form: Form, shape: Shape): Shape => (form === 'plain' ? shape : reordered(shape, channelsFirstPerm(shape.length)));

/** How layers, activations and primitives are written. The first two say whether they did. */
export interface Lowering {
  readonly layer: (w: Writer, call: LayerCall) => boolean;
  readonly activation: (w: Writer, call: ActivationCall, y: Value) => boolean;
  readonly primitive: (w: Writer, node: Node) => void;
}

/** What all writers of a model share. */
export interface ModelContext {
  readonly lowering: Lowering;
  readonly opset: number;
  readonly recorder: CallRecorder;
  /** Contents of state slots that no run changes, by value: weights. */
  readonly weights: ReadonlyMap<Value, { readonly name: string; readonly data: TensorData }>;
  readonly names: Set<string>;
  readonly initializers: TensorProto[];
  readonly initializerNames: Map<string, string>;
  readonly done: Set<LayerCall>;
  readonly statics: Map<Value, Static | null>;
}

interface Names {
  plain: string | null;
  channelsFirst: string | null;
}

export class Writer {
  readonly nodes: NodeProto[] = [];
  readonly infos: ValueInfoProto[] = [];
  private readonly values = new Map<Value, Names>();
  /** Values that stand for others: inputs of opened bodies. */
  private readonly aliases = new Map<Value, Value>();
  /** Values that are there from the last element to the first along an axis. */
  private readonly backwards = new Map<Value, { readonly name: string; readonly axis: number }>();
  /** Names that values should get: the outputs of the graph. */
  private readonly wanted = new Map<Value, string>();
  private readonly shapes = new Map<string, string>();
  private readonly users: Map<Value, (Node | null)[]>;
  private readonly symbols = new Map<string, { readonly value: Value; readonly axis: number }>();

  constructor(
    readonly model: ModelContext,
    readonly graph: Graph,
    readonly parent: Writer | null = null,
  ) {
    this.users = usersOf(graph);
    for (const { value } of graph.inputs)
      value.shape.forEach((d, axis) => {
        if (!isStatic(d) && /^[A-Za-z_]\w*$/.test(String(d)) && !this.symbols.has(String(d))) this.symbols.set(String(d), { value, axis });
      });
  }

  get opset(): number {
    return this.model.opset;
  }

  // ---- names

  unique(hint: string): string {
    const base = hint === '' ? 'value' : hint;
    let name = base;
    for (let i = 1; this.model.names.has(name); i++) name = `${base}_${i}`;
    this.model.names.add(name);
    return name;
  }
  want(v: Value, name: string): void {
    if (!this.wanted.has(v)) this.wanted.set(v, name);
  }
  /** Says that a value has this name already. */
  define(v: Value, name: string, form: Form = 'plain'): void {
    const n = this.values.get(v) ?? { plain: null, channelsFirst: null };
    n[form] = name;
    this.values.set(v, n);
  }
  defineBackwards(v: Value, name: string, axis: number): void {
    this.backwards.set(v, { name, axis });
  }
  /** Says that a value is the same as another. */
  alias(v: Value, other: Value): void {
    this.aliases.set(v, other);
    const wanted = this.wanted.get(v);
    if (wanted === undefined) return;
    this.wanted.delete(v);
    this.want(this.original(other), wanted);
  }
  private original(v: Value): Value {
    let at = v;
    for (let next = this.aliases.get(at); next; next = this.aliases.get(at)) at = next;
    return at;
  }
  backwardsOf(v: Value): { readonly name: string; readonly axis: number } | undefined {
    return this.backwards.get(this.original(v));
  }

  /** Whether nothing but one node uses the value. */
  usedOnce(v: Value): boolean {
    return (this.users.get(v)?.length ?? 0) === 1 && !this.wanted.has(v);
  }
  usersOf(v: Value): readonly (Node | null)[] {
    return this.users.get(v) ?? [];
  }
  isDefined(v: Value): boolean {
    const o = this.original(v);
    return this.values.has(o) || this.backwards.has(o);
  }

  // ---- values

  /** The form in which a value is there, or will be once it is written. */
  formOf(v: Value): Form {
    const o = this.written(v);
    const n = this.values.get(o);
    return n && n.plain === null && n.channelsFirst !== null ? 'channelsFirst' : 'plain';
  }

  /** The name of a value in a form; it is written where it is not there yet. */
  name(v: Value, form: Form = 'plain'): string {
    const o = this.written(v);
    const back = this.backwards.get(o);
    if (back && !this.values.has(o)) this.define(o, this.reversed(back.name, [back.axis], o));
    const n = this.values.get(o)!;
    const there = n[form];
    if (there !== null) return there;
    const rank = o.shape.length;
    const other: Form = form === 'plain' ? 'channelsFirst' : 'plain';
    const constant = form === 'channelsFirst' ? this.static(o) : null;
    if (constant) {
      const name = this.initializer(transposed(constant, channelsFirstPerm(rank)));
      this.define(o, name, form);
      return name;
    }
    const perm = form === 'plain' ? channelsLastPerm(rank) : channelsFirstPerm(rank);
    const [name] = this.node(
      'Transpose',
      [n[other]!],
      { perm },
      { hint: `${n[other]!}/${form === 'plain' ? 'channels_last' : 'channels_first'}`, value: o, form },
    );
    this.define(o, name!, form);
    return name!;
  }

  /** What the value stands for, once that is written. */
  private written(v: Value): Value {
    for (;;) {
      const o = this.original(v);
      this.write(o);
      if (!this.aliases.has(o)) return o;
    }
  }

  private write(v: Value): void {
    if (this.values.has(v) || this.backwards.has(v)) return;
    const known = this.static(v);
    if (known) {
      this.define(v, this.initializer(known));
      return;
    }
    const { recorder, done } = this.model;
    const call = this.parent ? undefined : recorder.calls.get(v);
    if (call && !done.has(call)) {
      done.add(call);
      this.model.lowering.layer(this, call);
      if (this.values.has(v) || this.backwards.has(v) || this.aliases.has(v)) return;
    }
    const activation = this.parent ? undefined : recorder.activations.get(v);
    if (activation && this.model.lowering.activation(this, activation, v)) return;
    if (!v.producer) throw new UnsupportedError('internal: a value without a producer has no name in the ONNX graph');
    this.model.lowering.primitive(this, v.producer);
    if (!this.values.has(v) && !this.backwards.has(v) && !this.aliases.has(v)) throw new UnsupportedError(`internal: ${v.producer.op} wrote nothing`);
  }

  /** Contents that are known now. */
  static(v: Value): Static | null {
    return evaluateStatic(v, this.model, (x) => this.original(x));
  }
  /** The one number that a value holds everywhere. */
  number(v: Value): number | null {
    const o = this.original(v);
    const p = o.producer;
    if (p?.op === 'broadcast') return this.number(p.inputs[0]!);
    const s = this.static(o);
    return s && s.data.length === 1 ? Number(s.data[0]) : null;
  }
  /** What a value stands for where it is an input of an opened body. */
  resolve(v: Value): Value {
    return this.original(v);
  }

  // ---- nodes

  /** Adds a node; gives the names of its outputs. `value`: what the first output is, for its name and shape. */
  node(
    op: string,
    inputs: readonly string[],
    attrs: Attrs = {},
    o: { readonly hint?: string; readonly value?: Value; readonly form?: Form; readonly outputs?: number; readonly keep?: readonly boolean[] } = {},
  ): string[] {
    const count = o.outputs ?? 1;
    const wanted = o.value && (o.form ?? 'plain') === 'plain' ? this.wanted.get(o.value) : undefined;
    const hint = o.hint ?? o.value?.producer?.origin ?? op.toLowerCase();
    const named = o.hint === undefined && o.value ? hint || op.toLowerCase() : hint;
    const names = Array.from({ length: count }, (_, i) => {
      if (o.keep && !o.keep[i]) return '';
      if (i === 0 && wanted !== undefined && !this.values.get(o.value!)?.plain) {
        this.wanted.delete(o.value!);
        return wanted;
      }
      return this.unique(i === 0 ? named : `${named}/${i}`);
    });
    const trimmed = [...inputs];
    while (trimmed.at(-1) === '') trimmed.pop();
    this.nodes.push({ input: trimmed, output: names, name: `${names.find((n) => n !== '')}/${op}`, op_type: op, attribute: attributes(attrs) });
    if (o.value && names[0] !== '') this.infos.push(valueInfo(names[0]!, o.value.dtype, shapeIn(o.form ?? 'plain', o.value.shape)));
    return names;
  }
  /** Adds a node whose one output is this value. */
  emit(v: Value, op: string, inputs: readonly string[], attrs: Attrs = {}, form: Form = 'plain'): void {
    const [name] = this.node(op, inputs, attrs, { value: v, form });
    this.define(v, name!, form);
  }

  // ---- constants

  /** The contents of a layer's weight. */
  weight(v: Variable): Static {
    const { path: name, dtype, shape } = v;
    return { name, key: `weight ${name}`, dtype, shape, data: v.value };
  }
  initializer(s: Static): string {
    const { initializers, initializerNames } = this.model;
    const old = initializerNames.get(s.key);
    if (old !== undefined) return old;
    const name = this.unique(s.name);
    initializers.push(tensorProto(name, s.dtype, s.shape, s.data));
    initializerNames.set(s.key, name);
    return name;
  }
  /** A constant by its numbers. */
  constant(dtype: DType, shape: readonly number[], values: ArrayLike<number | bigint>, hint = 'const'): string {
    const data = hostArray(dtype, values as ArrayLike<number>) as HostArray;
    const text = Array.from(data as ArrayLike<number | bigint>, String).join(',');
    return this.initializer({ name: hint, key: `${dtype}[${shape.join(',')}]=${text}`, dtype, shape, data });
  }
  int64(values: readonly number[], hint = 'shape'): string {
    return this.constant('int64', [values.length], values, hint);
  }
  scalar(value: number, dtype: DType): string {
    return this.constant(dtype, [], [value]);
  }

  // ---- shapes

  private symbol(name: string): string | null {
    const at = this.symbols.get(name);
    if (!at) return this.parent ? this.parent.symbol(name) : null;
    const key = `symbol ${name}`;
    const old = this.shapes.get(key);
    if (old !== undefined) return old;
    const [shape] = this.node('Shape', [this.name(at.value)], {}, { hint: `${name}/shape` });
    const [size] = this.node('Gather', [shape!, this.int64([at.axis], 'axis')], { axis: 0 }, { hint: `${name}/size` });
    this.shapes.set(key, size!);
    return size!;
  }
  /** A dimension as an int64 vector of length 1. */
  dim(d: Dim): string {
    if (isStatic(d)) return this.int64([d]);
    const key = `dim ${d}`;
    const old = this.shapes.get(key);
    if (old !== undefined) return old;
    let sum: string | null = d.offset === 0 ? null : this.int64([d.offset]);
    for (const [name, factor] of d.terms) {
      let term = this.symbol(name);
      if (term === null) throw new UnsupportedError(`the size '${name}' is not a size of an input of the ONNX graph`);
      if (factor !== 1) [term] = this.node('Mul', [term, this.int64([factor])], {}, { hint: `${name}/times` }) as [string];
      sum = sum === null ? term : this.node('Add', [sum, term], {}, { hint: `${name}/plus` })[0]!;
    }
    this.shapes.set(key, sum!);
    return sum!;
  }
  /** A shape as an int64 vector. */
  shape(shape: Shape): string {
    if (shape.every(isStatic)) return this.int64(shape as number[]);
    const key = `shape ${shape.join(',')}`;
    const old = this.shapes.get(key);
    if (old !== undefined) return old;
    const [name] = this.node(
      'Concat',
      shape.map((d) => this.dim(d)),
      { axis: 0 },
      { hint: 'shape' },
    );
    this.shapes.set(key, name!);
    return name!;
  }
  /** The target of a Reshape from one shape to another: 0 keeps a size, one -1 is worked out. */
  reshapeTarget(from: Shape, to: Shape): string {
    let open = 0;
    const target = to.map((d, i) => {
      if (isStatic(d)) return d;
      if (i < from.length && equalDim(from[i]!, d)) return 0;
      open++;
      return -1;
    });
    // a 0 that is a size would be read as 'keep'
    return open > 1 || to.some((d) => d === 0) ? this.shape(to) : this.int64(target);
  }

  reshaped(name: string, from: Shape, to: Shape, hint: string): string {
    return this.node('Reshape', [name, this.reshapeTarget(from, to)], {}, { hint })[0]!;
  }
  reversed(name: string, axes: readonly number[], value: Value): string {
    const all = (x: number | bigint) => axes.map(() => x);
    const low = this.constant('int64', [axes.length], all(-(2n ** 63n)), 'end');
    return this.node(
      'Slice',
      [name, this.int64(all(-1) as number[], 'start'), low, this.int64(axes, 'axes'), this.int64(all(-1) as number[], 'steps')],
      {},
      { value },
    )[0]!;
  }

  /** A writer for the body of a Loop, Scan or If: names from here are seen there. */
  child(graph: Graph): Writer {
    return new Writer(this.model, graph, this);
  }
}

/** Contents with their axes in another order. */
export function transposed(s: Static, perm: readonly number[]): Static {
  if (perm.every((p, i) => p === i)) return s;
  const shape = perm.map((p) => s.shape[p]!);
  const strides = s.shape.map((_, i) => sizeOf(s.shape.slice(i + 1)));
  const steps = perm.map((p) => strides[p]!);
  const data = hostArray(s.dtype, sizeOf(shape)) as HostArray;
  const index = new Array<number>(shape.length).fill(0);
  let from = 0;
  for (let i = 0; i < data.length; i++) {
    data[i] = s.data[from]!;
    for (let a = shape.length - 1; a >= 0; a--) {
      from += steps[a]!;
      if (++index[a]! < shape[a]!) break;
      from -= steps[a]! * shape[a]!;
      index[a] = 0;
    }
  }
  return { ...s, shape, data, key: `${s.key} transposed ${perm.join(',')}` };
}
