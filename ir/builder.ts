/**
 * Builds graphs. `emit` adds any op; the other methods are conveniences with implicit (NumPy) broadcasting. Constants and symbolic sizes are
 * made here too. `build` freezes the graph.
 */

import { type Dim, divDimExact, equalDim, equalShape, isStatic, mulDim, type Shape, shapeToString, sizeDim, symbolsOf } from './dim.js';
import type { DType } from './dtype.js';
import { isFloat } from './dtype.js';
import { invariant, ShapeError } from './errors.js';
import type { Graph, GraphInput, Node, NodeOf, Port, StateSlot, StateView, SymbolDecl, TensorType, Update, Value } from './graph.js';
import type { BinaryFunction, CompareFunction, OpAttrs, OpName, ReduceFunction, UnaryFunction } from './op-attrs.js';
import { opDef } from './ops/index.js';
import { scalarData, type TensorData } from './tensor-data.js';

export interface StateOptions {
  readonly trainable?: boolean;
  readonly initial?: TensorData | null;
  readonly views?: readonly StateView[];
}

/** A value or a number that becomes a constant of the other operand's dtype. */
export type Operand = Value | number;

export class GraphBuilder {
  readonly nodes: Node[] = [];
  readonly inputs: GraphInput[] = [];
  readonly state: StateSlot[] = [];
  readonly outputs: Port[] = [];
  readonly updates: Update[] = [];
  private readonly symbolMax = new Map<string, number>();
  private readonly originStack: string[] = [];
  private nextId = 0;

  constructor(readonly name = 'graph') {}

  // ---- structure

  /** A builder for a sub-graph: it knows this builder's symbols. */
  child(name: string): GraphBuilder {
    const sub = new GraphBuilder(name);
    for (const [s, max] of this.symbolMax) sub.declareSymbol(s, max);
    return sub;
  }

  /** Declares a symbol and the largest value that memory is planned for. */
  declareSymbol(name: string, max: number): void {
    this.symbolMax.set(name, Math.max(max, this.symbolMax.get(name) ?? 0));
  }

  private value(type: TensorType, producer: Node | null, index: number): Value {
    return { id: this.nextId++, dtype: type.dtype, shape: [...type.shape], producer, index };
  }

  input(name: string, dtype: DType, shape: Shape, options: { resident?: boolean } = {}): Value {
    invariant(!this.inputs.some((i) => i.name === name), `the graph has two inputs named '${name}'`);
    const value = this.value({ dtype, shape }, null, 0);
    this.inputs.push({ name, value, resident: options.resident ?? false });
    return value;
  }

  /** A state slot; the value is its contents at the start of the run. The same name gives the same slot. */
  stateSlot(name: string, dtype: DType, shape: readonly number[], options: StateOptions = {}): Value {
    const old = this.state.find((s) => s.name === name);
    if (old) {
      if (old.value.dtype !== dtype || !equalShape(old.value.shape, shape))
        throw new ShapeError(`state '${name}' is ${old.value.dtype}${shapeToString(old.value.shape)}, asked for as ${dtype}${shapeToString(shape)}`);
      return old.value;
    }
    const value = this.value({ dtype, shape }, null, 0);
    this.state.push({ name, value, trainable: options.trainable ?? false, initial: options.initial ?? null, views: options.views ?? [] });
    return value;
  }

  output(name: string, value: Value): void {
    this.outputs.push({ name, value });
  }

  update(slot: string, value: Value): void {
    const s = this.state.find((x) => x.name === slot);
    invariant(s, `update of unknown state '${slot}'`);
    if (s.value.dtype !== value.dtype || !equalShape(s.value.shape, value.shape))
      throw new ShapeError(`state '${slot}' is ${s.value.dtype}${shapeToString(s.value.shape)}, its update ${value.dtype}${shapeToString(value.shape)}`);
    const i = this.updates.findIndex((u) => u.slot === slot);
    if (i >= 0) this.updates[i] = { slot, value };
    else this.updates.push({ slot, value });
  }

  /** Nodes made while `body` runs carry this origin (a path below the current one). */
  withOrigin<T>(origin: string, body: () => T): T {
    const top = this.originStack.at(-1);
    this.originStack.push(top ? `${top}/${origin}` : origin);
    try {
      return body();
    } finally {
      this.originStack.pop();
    }
  }

  /** Makes nodes with exactly this origin (passes that copy nodes). */
  withExactOrigin<T>(origin: string, body: () => T): T {
    this.originStack.push(origin);
    try {
      return body();
    } finally {
      this.originStack.pop();
    }
  }

  get origin(): string {
    return this.originStack.at(-1) ?? '';
  }

  /** Adds a node and gives all its outputs. */
  emitAll<K extends OpName>(op: K, inputs: readonly Value[], attrs: OpAttrs[K]): readonly Value[] {
    const origin = this.origin;
    let types: TensorType[];
    try {
      types = opDef(op).infer(inputs, attrs);
    } catch (e) {
      if (e instanceof Error && origin && !e.message.startsWith(`${origin}: `)) e.message = `${origin}: ${e.message}`;
      throw e;
    }
    const outputs: Value[] = [];
    const node = { op, attrs, inputs: [...inputs], outputs, origin } as unknown as Node;
    types.forEach((t, i) => outputs.push(this.value(t, node, i)));
    this.nodes.push(node);
    return outputs;
  }

  /** Adds a node with one output. */
  emit<K extends OpName>(op: K, inputs: readonly Value[], attrs: OpAttrs[K]): Value {
    const outputs = this.emitAll(op, inputs, attrs);
    invariant(outputs.length === 1, `${op} has ${outputs.length} outputs, one was expected`);
    return outputs[0]!;
  }

  /**
   * Gives a scan of this builder a body with more outputs at its end, which become more stacked results. The one change to a node once made (autodiff saves what a
   * step computed): values that exist keep their meaning. Gives the new values.
   */
  extendScan(node: NodeOf<'scan'>, body: Graph): readonly Value[] {
    const scan = this.nodes.find((n) => n === node);
    invariant(scan?.op === 'scan', 'extendScan of a node that is not in this builder');
    const attrs = { ...node.attrs, body };
    const first = node.outputs.length;
    const types = opDef('scan').infer(node.inputs, attrs);
    const added = types.slice(first).map((t, i) => this.value(t, scan, first + i));
    Object.assign(scan, { attrs, outputs: [...node.outputs, ...added] });
    return added;
  }

  build(): Graph {
    const used = new Set<string>();
    const note = (s: Shape) => {
      for (const n of symbolsOf(s)) used.add(n);
    };
    for (const i of this.inputs) note(i.value.shape);
    for (const n of this.nodes) for (const v of n.outputs) note(v.shape);
    const symbols: SymbolDecl[] = [...new Set([...used, ...this.symbolMax.keys()])].map((name) => ({ name, max: this.symbolMax.get(name) ?? 1 }));
    return {
      name: this.name,
      symbols,
      inputs: [...this.inputs],
      state: [...this.state],
      nodes: [...this.nodes],
      outputs: [...this.outputs],
      updates: [...this.updates],
    };
  }

  // ---- sources

  constant(value: TensorData): Value {
    return this.emit('constant', [], { value });
  }
  scalar(value: number | bigint, dtype: DType = 'float32'): Value {
    return this.constant(scalarData(dtype, value));
  }
  /** A constant of the given shape, all elements equal. */
  full(shape: Shape, value: number, dtype: DType = 'float32'): Value {
    return this.broadcastTo(this.scalar(value, dtype), shape);
  }
  iota(shape: Shape, axis: number, dtype: DType = 'int32'): Value {
    return this.emit('iota', [], { shape, axis, dtype });
  }
  /** A dimension as a scalar of `dtype`. */
  dimSize(dim: Dim, dtype: DType = 'int32'): Value {
    if (isStatic(dim)) return this.scalar(dim, dtype);
    return this.cast(this.emit('dim_size', [], { dim }), dtype);
  }

  // ---- broadcasting

  broadcast(x: Value, shape: Shape, axes: readonly number[]): Value {
    if (equalShape(x.shape, shape) && axes.every((a, i) => a === i)) return x;
    return this.emit('broadcast', [x], { shape: [...shape], axes: [...axes] });
  }
  /** NumPy broadcasting to `shape`: axes are aligned at the end. */
  broadcastTo(x: Value, shape: Shape): Value {
    const off = shape.length - x.shape.length;
    if (off < 0) throw new ShapeError(`cannot broadcast ${shapeToString(x.shape)} to ${shapeToString(shape)}`);
    return this.broadcast(
      x,
      shape,
      x.shape.map((_, i) => i + off),
    );
  }
  broadcastShapes(a: Shape, b: Shape): Shape {
    const n = Math.max(a.length, b.length);
    return Array.from({ length: n }, (_, i) => {
      const x = a[i - n + a.length] ?? 1;
      const y = b[i - n + b.length] ?? 1;
      if (equalDim(x, y) || y === 1) return x;
      if (x === 1) return y;
      throw new ShapeError(`shapes ${shapeToString(a)} and ${shapeToString(b)} cannot be broadcast together`);
    });
  }
  private pair(a: Operand, b: Operand): [Value, Value] {
    const dtype = typeof a === 'number' ? (b as Value).dtype : a.dtype;
    const x = typeof a === 'number' ? this.scalar(a, dtype) : a;
    const y = typeof b === 'number' ? this.scalar(b, dtype) : b;
    if (x.dtype !== y.dtype) throw new ShapeError(`operands have dtypes ${x.dtype} and ${y.dtype}; cast one of them`);
    const shape = this.broadcastShapes(x.shape, y.shape);
    return [this.broadcastTo(x, shape), this.broadcastTo(y, shape)];
  }

  // ---- elementwise

  unary(fn: UnaryFunction, x: Value): Value {
    return this.emit('unary', [x], { fn });
  }
  binary(fn: BinaryFunction, a: Operand, b: Operand): Value {
    return this.emit('binary', this.pair(a, b), { fn });
  }
  compare(fn: CompareFunction, a: Operand, b: Operand): Value {
    return this.emit('compare', this.pair(a, b), { fn });
  }
  add = (a: Operand, b: Operand): Value => this.binary('add', a, b);
  sub = (a: Operand, b: Operand): Value => this.binary('sub', a, b);
  mul = (a: Operand, b: Operand): Value => this.binary('mul', a, b);
  div = (a: Operand, b: Operand): Value => this.binary('div', a, b);
  pow = (a: Operand, b: Operand): Value => this.binary('pow', a, b);
  max = (a: Operand, b: Operand): Value => this.binary('max', a, b);
  min = (a: Operand, b: Operand): Value => this.binary('min', a, b);
  and = (a: Value, b: Value): Value => this.binary('and', a, b);
  or = (a: Value, b: Value): Value => this.binary('or', a, b);
  neg = (x: Value): Value => this.unary('neg', x);
  exp = (x: Value): Value => this.unary('exp', x);
  log = (x: Value): Value => this.unary('log', x);
  sqrt = (x: Value): Value => this.unary('sqrt', x);
  rsqrt = (x: Value): Value => this.unary('rsqrt', x);
  tanh = (x: Value): Value => this.unary('tanh', x);
  sigmoid = (x: Value): Value => this.unary('sigmoid', x);
  /** max(x, 0), written as a select so that the gradient at 0 is 0, as in TensorFlow; NaN stays NaN. Its gradient needs the result only. */
  relu = (x: Value): Value => this.select(this.compare('le', x, 0), 0, x);
  square = (x: Value): Value => this.mul(x, x);
  not = (x: Value): Value => this.unary('not', x);
  /** condition ? a : b, broadcast. */
  select(condition: Value, a: Operand, b: Operand): Value {
    const [x, y] = this.pair(a, b);
    const shape = this.broadcastShapes(condition.shape, x.shape);
    return this.emit('select', [this.broadcastTo(condition, shape), this.broadcastTo(x, shape), this.broadcastTo(y, shape)], {});
  }
  cast(x: Value, dtype: DType): Value {
    return x.dtype === dtype ? x : this.emit('cast', [x], { dtype });
  }
  bitcast(x: Value, dtype: DType): Value {
    return x.dtype === dtype ? x : this.emit('bitcast', [x], { dtype });
  }

  // ---- shape

  /** One dimension may be -1: it is computed. */
  reshape(x: Value, shape: Shape): Value {
    const at = shape.indexOf(-1);
    let to = shape;
    if (at >= 0) {
      const rest = sizeDim(shape.filter((_, i) => i !== at));
      to = shape.map((d, i) => (i === at ? inferDim(x.shape, rest) : d));
    }
    return equalShape(x.shape, to) ? x : this.emit('reshape', [x], { shape: to });
  }
  transpose(x: Value, perm: readonly number[]): Value {
    return perm.every((p, i) => p === i) ? x : this.emit('transpose', [x], { perm });
  }
  /** Slices axes 0..; missing limits are the whole axis. */
  slice(x: Value, start: readonly Dim[], limit: readonly Dim[], stride?: readonly number[]): Value {
    return this.emit('slice', [x], { start, limit, stride: stride ?? start.map(() => 1) });
  }
  /** Elements [start, limit) of one axis. */
  sliceAxis(x: Value, axis: number, start: Dim, limit: Dim, stride = 1): Value {
    return this.slice(
      x,
      x.shape.map((_, i) => (i === axis ? start : 0)),
      x.shape.map((d, i) => (i === axis ? limit : d)),
      x.shape.map((_, i) => (i === axis ? stride : 1)),
    );
  }
  pad(x: Value, low: readonly number[], high: readonly number[], value = 0, interior?: readonly number[]): Value {
    return this.emit('pad', [x], { low, high, interior: interior ?? low.map(() => 0), value });
  }
  concat(xs: readonly Value[], axis: number): Value {
    return xs.length === 1 ? xs[0]! : this.emit('concat', xs, { axis });
  }
  reverse(x: Value, axes: readonly number[]): Value {
    return this.emit('reverse', [x], { axes });
  }
  expandDims(x: Value, axis: number): Value {
    return this.reshape(x, [...x.shape.slice(0, axis), 1, ...x.shape.slice(axis)]);
  }
  squeeze(x: Value, axes: readonly number[]): Value {
    return this.reshape(
      x,
      x.shape.filter((_, i) => !axes.includes(i)),
    );
  }
  gather(x: Value, indices: Value, axis = 0): Value {
    return this.emit('gather', [x, indices], { axis });
  }

  // ---- reductions

  /** Axes default to all. keepDims keeps reduced axes with size 1. */
  reduce(fn: ReduceFunction, x: Value, axes: readonly number[] = x.shape.map((_, i) => i), keepDims = false): Value {
    if (axes.length === 0) return x;
    const sorted = [...axes].sort((a, b) => a - b);
    const y = this.emit('reduce', [x], { fn, axes: sorted });
    return keepDims
      ? this.reshape(
          y,
          x.shape.map((d, i) => (sorted.includes(i) ? 1 : d)),
        )
      : y;
  }
  sum = (x: Value, axes?: readonly number[], keepDims = false): Value => this.reduce('sum', x, axes, keepDims);
  /** The mean divides by the real (symbolic) size. */
  mean(x: Value, axes: readonly number[] = x.shape.map((_, i) => i), keepDims = false): Value {
    invariant(isFloat(x.dtype), `mean of ${x.dtype}`);
    const n = axes.reduce((acc, a) => this.mul(acc, this.dimSize(x.shape[a]!, x.dtype)), this.scalar(1, x.dtype));
    const s = this.sum(x, axes, keepDims);
    return this.div(s, n);
  }

  // ---- contractions

  dot(a: Value, b: Value, attrs: OpAttrs['dot']): Value {
    return this.emit('dot', [a, b], attrs);
  }
  /** a[..., k] times b[k, n], contracting a's last with b's first axis. */
  matmul(a: Value, b: Value): Value {
    return this.dot(a, b, { batchLeft: [], batchRight: [], contractLeft: [a.shape.length - 1], contractRight: [0] });
  }
}

/** size(shape) / rest as a dimension: divides symbolic by numeric factors, cancels equal symbolic factors. */
function inferDim(shape: Shape, rest: Dim): Dim {
  const dynamic = shape.filter((d) => !isStatic(d));
  const fixed = shape.reduce<number>((a, d) => (isStatic(d) ? a * d : a), 1);
  if (isStatic(rest)) {
    if (rest !== 0 && fixed % rest === 0) return sizeDim([...dynamic, fixed / rest]);
    // a factor of the symbol may be what is missing: 3·batch rows of 6 in rows of 9
    const whole = dynamic.length === 1 ? divDimExact(mulDim(dynamic[0]!, fixed), rest) : null;
    if (whole !== null) return whole;
    throw new ShapeError(`cannot reshape ${shapeToString(shape)}: its size is not a multiple of ${rest}`);
  }
  for (const d of dynamic) {
    if (isStatic(d)) continue;
    const unit = d.terms[0]![1];
    const k = !isStatic(rest) && rest.terms.length === d.terms.length ? rest.terms[0]![1] / unit : Number.NaN;
    if (Number.isInteger(k) && k > 0 && fixed % k === 0 && equalDim(rest, sizeDim([d, k]))) return sizeDim([...dynamic.filter((x) => x !== d), fixed / k]);
  }
  throw new ShapeError(`cannot reshape ${shapeToString(shape)}: its size divided by ${rest} is not a dimension`);
}
