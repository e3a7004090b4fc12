/**
 * A model's graph to the graph IR: names to values, functions inlined, subgraphs to sub-graphs with their captured values as operands, every node carrying its ONNX name. Nodes that are
 * not supported are gathered and reported together. Shapes of inputs, and contents where shapes depend on them, are given (model.ts asks again with more contents on NeedsValue).
 */
import { GraphBuilder } from '../../ir/builder.js';
import { isStatic, type Shape, sizeAt } from '../../ir/dim.js';
import { isFloat } from '../../ir/dtype.js';
import { TenonError, UnsupportedError, ValueError } from '../../ir/errors.js';
import { type Graph, maxBindings, type Value } from '../../ir/graph.js';
import { sizeOf, type TensorData } from '../../ir/tensor-data.js';
import { NodeContext, type Padding } from './context.js';
import { dtypeOf, elementName, elementTypeOf } from './element-types.js';
import { domainOf, functionKey, type ModelData, opsetsOf } from './model-data.js';
import { nodeName, readAttributes, resolveAttribute, resolveOp, unsupportedNodes } from './nodes.js';
import { type Item, isValue, Nothing, type OpEntry } from './registry.js';
import { FormatError } from './schema/codec.js';
import type { AttributeProto, FunctionProto, GraphProto, NodeProto, SparseTensorProto, TensorProto } from './schema/types.js';
import { Broken, Scope, Skipped } from './scope.js';
import { isSmallType, smallTypeOfData } from './small-types.js';
import { NeedsValue, type Source, StaticEvaluator } from './static.js';

/** What a graph input is bound to: a shape, or its contents. */
export interface InputBinding {
  readonly shape: Shape;
  readonly data?: TensorData;
}

export interface ImportOptions {
  readonly inputs: Readonly<Record<string, InputBinding>>;
  /** Largest values of the symbols in the shapes. */
  readonly symbols?: Readonly<Record<string, number>>;
  /** Puts the model into a graph that is being built, for training. */
  readonly embed?: Embedding;
  /** Declares the functions of domains that are not built in. */
  readonly customOps?: readonly OpEntry[];
  /** Is told each node of the graph (those of functions and of branches that are taken at import, too) with the values that it became. */
  readonly onCall?: (call: Call) => void;
}

/** A node as it was lowered. Inputs and outputs that are no tensors are null. */
export interface Call {
  readonly op: string;
  readonly domain: string;
  /** The version of the op that the model's opset selects. */
  readonly version: number;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly inputs: readonly (Value | null)[];
  readonly outputs: readonly (Value | null)[];
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /** For messages: `Conv 'first'`. */
  readonly where: string;
}
const valuesOf = (items: readonly (Item | null)[]): (Value | null)[] => items.map((i) => (isValue(i) ? i : null));

/** The graph that a model becomes a part of. */
export interface Embedding {
  readonly builder: GraphBuilder;
  readonly inputs: ReadonlyMap<string, Value>;
  /** The value of an initializer that is a weight there; null: a constant. */
  readonly weight: (name: string) => Value | null;
  /** Batch normalizations use the statistics of the batch. */
  readonly training: boolean;
  /** A moving average gets a new value. */
  readonly move: (old: Value, now: Value) => void;
}

export interface ImportedOutput {
  readonly name: string;
  /** The graph outputs of a padded result: axis and the output that holds the count. */
  readonly padding: { readonly axis: number; readonly count: string } | null;
}

export interface Imported {
  readonly graph: Graph;
  readonly outputs: readonly ImportedOutput[];
}

/** Ops that take values of small types (small-types.ts), which they move or read. The first kind gives values of the type of its first input. */
const movers: ReadonlySet<string> = new Set([
  'Identity',
  'Reshape',
  'Flatten',
  'Transpose',
  'Squeeze',
  'Unsqueeze',
  'Slice',
  'Gather',
  'Concat',
  'Expand',
  'Split',
  'ConstantOfShape',
]);
const readers: ReadonlySet<string> = new Set(['Cast', 'CastLike', 'QuantizeLinear', 'DequantizeLinear', 'Shape', 'Size', 'If']);

export class Importer {
  /** Values whose axis is longer than their data. */
  readonly padding = new Map<Value, Padding>();
  /** Inputs of sub-graphs and the values outside that they stand for. */
  readonly outerOf = new Map<Value, Value>();
  /** Values of the element types that others carry, by ONNX's number; see smallType. */
  readonly smallTypes = new WeakMap<Value, number>();
  readonly statics: StaticEvaluator;
  private readonly inputNames = new Map<Value, string>();
  private readonly slots = new Map<Value, TensorData>();
  private readonly problems: string[] = [];
  private readonly needed = new Set<string>();
  /** The builder of the graph itself, not of a body. */
  private main: GraphBuilder | null = null;

  constructor(
    readonly model: ModelData,
    private readonly options: ImportOptions,
  ) {
    this.statics = new StaticEvaluator((v) => this.source(v));
  }

  private source(v: Value): Source {
    const name = this.inputNames.get(v);
    if (name !== undefined) return { kind: 'input', name };
    const data = this.slots.get(v);
    if (data) return { kind: 'data', data };
    const outer = this.outerOf.get(v);
    if (outer) return { kind: 'outer', value: outer };
    return { kind: 'step', what: 'the step of a loop' };
  }

  /** ONNX's number of the small type that a value is of. */
  smallType(v: Value): number | undefined {
    const own = this.smallTypes.get(v) ?? (v.producer?.op === 'constant' ? smallTypeOfData(v.producer.attrs.value) : undefined);
    const outer = this.outerOf.get(v);
    return own ?? (outer && this.smallType(outer));
  }

  tryData(v: Value): TensorData | null {
    try {
      return this.statics.data(v);
    } catch (e) {
      if (e instanceof NeedsValue || e instanceof UnsupportedError) return null;
      throw e;
    }
  }

  /** What the model becomes a part of; null: a graph of its own. */
  get embedding(): Embedding | null {
    return this.options.embed ?? null;
  }

  run(): Imported {
    const b = new GraphBuilder(this.model.graph.name || 'onnx');
    const outputs = this.lowerGraph(b);
    const result: ImportedOutput[] = [];
    for (const { name, item } of outputs) {
      if (item === undefined) throw new FormatError(`ONNX model: output '${name}' is not computed by any node`);
      if (item instanceof Broken || !isValue(item))
        throw new UnsupportedError(`ONNX model: output '${name}' is a sequence or an optional; only tensors can be outputs`);
      const declared = this.model.graph.output?.find((o) => o.name === name)?.type?.tensor_type?.elem_type ?? 0;
      const found = this.smallType(item);
      if ((found !== undefined || isSmallType(declared)) && found !== declared)
        throw new FormatError(`ONNX model: output '${name}' is declared as ${elementName(declared)} and is ${elementName(found ?? elementTypeOf(item.dtype))}`);
      const pad = this.padding.get(item);
      b.output(name, item);
      if (pad) b.output(`${name}#count`, pad.count);
      result.push({ name, padding: pad ? { axis: pad.axis, count: `${name}#count` } : null });
    }
    const graph = b.build();
    checkSizes(graph);
    return { graph, outputs: result };
  }

  /** The outputs within a builder, for `embed`. Throws UnsupportedError where one is no tensor of known size. */
  values(): Value[] {
    return this.lowerGraph(this.embedding!.builder).map(({ name, item }) => {
      if (!isValue(item instanceof Broken ? undefined : item)) throw new UnsupportedError(`ONNX model: output '${name}' is no tensor`);
      if (this.padding.has(item as Value)) throw new UnsupportedError(`ONNX model: output '${name}' has a size that depends on the data; it cannot be trained`);
      return item as Value;
    });
  }

  private lowerGraph(b: GraphBuilder): { name: string; item: Item | Broken | undefined }[] {
    const { model } = this;
    this.main = b;
    for (const [s, max] of Object.entries(this.options.symbols ?? {})) b.declareSymbol(s, max);
    const scope = new Scope(this, b, null, model.opsets, null, []);
    for (const info of model.graph.input ?? []) {
      const name = info.name ?? '';
      // the default of an input that is given does not count
      if (model.initializers.has(name) && !Object.hasOwn(this.options.inputs, name)) continue;
      const given = this.embedding?.inputs.get(name);
      if (given) {
        this.inputNames.set(given, name);
        scope.define(name, given, `input '${name}'`);
        continue;
      }
      const binding = this.options.inputs[name];
      if (!binding) throw new ValueError(`ONNX model: no shape for input '${name}'`);
      const type = info.type?.tensor_type?.elem_type ?? 0;
      if (binding.data) {
        const v = b.constant(binding.data);
        if (isSmallType(type)) this.smallTypes.set(v, type);
        scope.define(name, v, `input '${name}'`);
      } else {
        const v = b.input(name, dtypeOf(type, `input '${name}'`), binding.shape);
        if (isSmallType(type)) this.smallTypes.set(v, type);
        this.inputNames.set(v, name);
        scope.define(name, v, `input '${name}'`);
      }
    }
    for (const [name, t] of model.initializers)
      if (!Object.hasOwn(this.options.inputs, name)) scope.define(name, this.initializer(b, name, t), `initializer '${name}'`);
    this.lowerNodes(model.graph.node ?? [], scope);
    const outputs = (model.graph.output ?? []).map((o) => ({ name: o.name ?? '', item: scope.find(o.name ?? '') }));
    this.report();
    return outputs;
  }

  /** Tries a lowering; where it meets something that is not supported, what it reported is taken back and the result is null. */
  attempt<T>(f: () => T | null): T | null {
    const mark = this.problems.length;
    let result: T | null = null;
    try {
      result = f();
    } catch (e) {
      if (!(e instanceof Skipped) && !(e instanceof UnsupportedError)) throw e;
    }
    if (this.problems.length === mark && result !== null) return result;
    this.problems.length = mark;
    return null;
  }

  private report(): void {
    if (this.needed.size > 0) throw new NeedsValue([...this.needed]);
    if (this.problems.length > 0) throw unsupportedNodes(this.problems);
  }

  private initializer(b: GraphBuilder, name: string, t: TensorProto | SparseTensorProto): Value {
    const data = this.model.tensor(t, `initializer '${name}'`);
    if (smallTypeOfData(data) !== undefined) return b.constant(data);
    if (this.embedding) return this.embedding.weight(name) ?? b.constant(data);
    if (!isFloat(data.dtype) || data.data.length === 0 || sizeOf(data.shape) === 1) return b.constant(data);
    const v = b.stateSlot(name, data.dtype, data.shape, { initial: data });
    this.slots.set(v, data);
    return v;
  }

  lowerNodes(nodes: readonly NodeProto[], scope: Scope): void {
    for (const [i, node] of nodes.entries()) {
      const where = nodeName(node);
      let results: readonly (Item | Broken | null)[];
      try {
        results = scope.builder.withOrigin(node.name || node.output?.find((o) => o) || `${node.op_type}_${i}`, () => this.lowerNode(node, scope, nodes));
      } catch (e) {
        if (e instanceof NeedsValue) for (const n of e.inputs) this.needed.add(n);
        else if (e instanceof UnsupportedError) this.problems.push(e.message.startsWith(where) ? e.message : `${where}: ${e.message}`);
        else if (e instanceof RangeError) throw new ValueError(`${where}: a size is out of range (${e.message})`);
        else if (!(e instanceof Skipped)) {
          if (e instanceof TenonError && !e.message.includes(where)) e.message = `${where}: ${e.message}`;
          throw e;
        }
        results = (node.output ?? []).map(() => new Broken());
      }
      for (const [o, name] of (node.output ?? []).entries()) {
        if (name === '') continue;
        const item = results[o];
        if (item === undefined || item === null) throw new FormatError(`${where}: output ${o} ('${name}') is not an output of this op`);
        scope.define(name, item, where);
      }
    }
  }

  private lowerNode(node: NodeProto, scope: Scope, siblings: readonly NodeProto[]): readonly (Item | null)[] {
    const where = nodeName(node);
    const inputs = (node.input ?? []).map((name): Item | null => {
      if (name === '') return null;
      const item = scope.find(name);
      if (item === undefined) {
        const later = siblings.some((n) => n.output?.includes(name));
        throw new FormatError(
          `${where}: its input '${name}' ${later ? 'is computed by a later node: the nodes form a cycle or are not sorted' : 'is not defined'}`,
        );
      }
      if (item instanceof Broken) throw new Skipped();
      return item;
    });
    const body = this.model.functionOf(node);
    if (body) return this.call(body, node, inputs, scope);
    const { entry, version } = resolveOp(node, scope.opsets, this.model.customOps);
    const c = new NodeContext(this, scope, node, version, inputs, where, entry.padded);
    const attributes = readAttributes(entry, node, scope, where);
    const small = inputs.map((x) => (isValue(x) ? this.smallType(x) : undefined));
    const type = small.find((t) => t !== undefined);
    if (type !== undefined && (entry.domain !== '' || !(movers.has(entry.name) || readers.has(entry.name))))
      throw new UnsupportedError(`${where}: inputs of ${elementName(type)} are not supported`);
    const result = entry.lower(c, attributes);
    const outputs = Array.isArray(result) ? (result as readonly (Item | null)[]) : [result as Item];
    if (movers.has(entry.name)) {
      if (entry.name === 'Concat' && new Set(small).size > 1) throw new ValueError(`${where}: its inputs are of different element types`);
      for (const v of valuesOf(outputs)) if (v && small[0] !== undefined) this.smallTypes.set(v, small[0]);
    }
    if (this.options.onCall && scope.builder === this.main)
      this.options.onCall({
        op: entry.name,
        domain: entry.domain,
        version,
        attributes,
        inputs: valuesOf(inputs),
        outputs: valuesOf(outputs),
        inputNames: node.input ?? [],
        outputNames: node.output ?? [],
        where,
      });
    return outputs;
  }

  /** Inlines a function of the model. */
  private call(f: FunctionProto, node: NodeProto, inputs: readonly (Item | null)[], scope: Scope): readonly (Item | null)[] {
    const where = nodeName(node);
    const key = functionKey(domainOf(f.domain), f.name ?? '', f.overload ?? '');
    if (scope.calls.includes(key)) throw new FormatError(`${where}: the function '${f.name}' calls itself`);
    if (scope.calls.length >= 64) throw new FormatError(`${where}: functions are nested deeper than 64`);
    const given = new Map<string, AttributeProto>();
    for (const a of f.attribute_proto ?? []) given.set(a.name ?? '', a);
    for (const a of node.attribute ?? []) {
      const resolved = resolveAttribute(a, scope);
      if (resolved) given.set(a.name ?? '', resolved);
    }
    const inner = new Scope(this, scope.builder, null, opsetsOf(f.opset_import, `function '${f.name}'`), given, [...scope.calls, key]);
    if (inputs.length > (f.input ?? []).length) throw new FormatError(`${where}: ${inputs.length} inputs, the function takes ${(f.input ?? []).length}`);
    for (const [i, name] of (f.input ?? []).entries()) inner.define(name, inputs[i] ?? new Nothing(), where);
    this.lowerNodes(f.node ?? [], inner);
    return (f.output ?? []).map((name) => {
      const item = inner.find(name);
      if (item === undefined) throw new FormatError(`${where}: output '${name}' of the function '${f.name}' is not computed`);
      if (item instanceof Broken) throw new Skipped();
      return item;
    });
  }

  /** Lowers a subgraph into a scope, with `inputs` for its inputs; gives its outputs. */
  lowerBody(graph: GraphProto, scope: Scope, inputs: readonly Item[], where: string): Item[] {
    const names = (graph.input ?? []).map((i) => i.name ?? '');
    if (names.length !== inputs.length)
      throw new FormatError(`${where}: its subgraph '${graph.name ?? ''}' takes ${names.length} inputs, ${inputs.length} are given`);
    for (const [i, name] of names.entries()) scope.define(name, inputs[i]!, where);
    for (const t of graph.initializer ?? []) scope.define(t.name ?? '', scope.builder.constant(this.model.tensor(t, `initializer '${t.name}'`)), where);
    for (const s of graph.sparse_initializer ?? [])
      scope.define(s.values?.name ?? '', scope.builder.constant(this.model.tensor(s, `initializer '${s.values?.name}'`)), where);
    this.lowerNodes(graph.node ?? [], scope);
    return (graph.output ?? []).map((o) => {
      const item = scope.find(o.name ?? '');
      if (item === undefined) throw new FormatError(`${where}: output '${o.name}' of its subgraph is not computed`);
      if (item instanceof Broken) throw new Skipped();
      return item;
    });
  }
}

/** Largest tensor that may occur in a graph, in elements. */
const maxElements = 2 ** 31 - 1;

/** Refuses graphs with tensors that no device can index. */
function checkSizes(graph: Graph): void {
  const bindings = maxBindings(graph);
  for (const n of graph.nodes)
    for (const v of n.outputs) {
      const size = sizeAt(v.shape, bindings);
      if (!(size <= maxElements))
        throw new UnsupportedError(`${n.origin || n.op}: a tensor of shape [${v.shape.join(',')}] has more than ${maxElements} elements`);
    }
}

/** Whether every dimension is a number. */
export const isStaticShape = (s: Shape): s is readonly number[] => s.every(isStatic);
