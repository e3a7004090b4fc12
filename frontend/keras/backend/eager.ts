/**
 * Eager mode: a graph builder that evaluates each node with the reference evaluation as soon as it is emitted. What is traced into it has values at once; gradients are those of the
 * graph that came about.
 */
import { GraphBuilder, type StateOptions } from '../../../ir/builder.js';
import { type Bindings, evalShape, type Shape } from '../../../ir/dim.js';
import type { DType } from '../../../ir/dtype.js';
import { invariant, ValueError } from '../../../ir/errors.js';
import { evaluateContext, evaluateNode, toFloat64, toHost } from '../../../ir/evaluate.js';
import type { Graph, Node, NodeOf, Value } from '../../../ir/graph.js';
import type { EvaluateContext } from '../../../ir/op.js';
import type { OpAttrs, OpName } from '../../../ir/op-attrs.js';
import type { TensorData } from '../../../ir/tensor-data.js';

export interface EagerSources {
  /** Contents of a state slot. */
  readonly state: (slot: string, dtype: DType, shape: readonly number[]) => TensorData;
  /** Data of the graph's inputs, by name. */
  readonly inputs?: Readonly<Record<string, TensorData>>;
  /** Values of symbols: shapes are made of numbers where they are known. */
  readonly symbols?: Bindings;
}

/** One run of a program in eager mode: the first builder asked for while it is the current one belongs to it. */
export interface EagerRun extends EagerSources {
  builder: EagerBuilder | null;
}

let current: EagerRun | null = null;

/** Starts `body`, whose graph is evaluated as it is built. */
export function startEagerly<T>(run: EagerRun, body: () => T): T {
  current = run;
  try {
    return body();
  } finally {
    current = null;
  }
}

/** The builder for a program's graph: an eager one where a run asks for it. */
export function programBuilder(name: string): GraphBuilder {
  const run = current;
  if (!run) return new GraphBuilder(name);
  current = null;
  run.builder = new EagerBuilder(name, run);
  return run.builder;
}

export class EagerBuilder extends GraphBuilder {
  private readonly results = new Map<Value, TensorData>();
  private readonly context: EvaluateContext;

  constructor(
    name: string,
    private readonly sources: EagerSources,
  ) {
    super(name);
    this.context = evaluateContext(sources.symbols ?? {});
  }

  /** Values of the symbols. */
  get symbols(): Bindings {
    return this.sources.symbols ?? {};
  }

  /** What was computed, floats in float64. */
  private resultOf(v: Value): TensorData {
    const t = this.results.get(v);
    invariant(t, `value %${v.id} has no data`);
    return t;
  }
  /** What was computed, as an array of the host. */
  data(v: Value): TensorData {
    return toHost(this.resultOf(v));
  }

  override input(name: string, dtype: DType, shape: Shape, options: { resident?: boolean } = {}): Value {
    const data = this.sources.inputs?.[name];
    if (!data) throw new ValueError(`no data for the input '${name}'`);
    const v = super.input(name, dtype, evalShape(shape, this.symbols), options);
    this.results.set(v, toFloat64(data));
    return v;
  }

  override stateSlot(name: string, dtype: DType, shape: readonly number[], options: StateOptions = {}): Value {
    const v = super.stateSlot(name, dtype, shape, options);
    if (!this.results.has(v)) this.results.set(v, toFloat64(this.sources.state(name, dtype, shape)));
    return v;
  }

  private evaluate(node: Node): void {
    const results = evaluateNode(
      node,
      node.inputs.map((v) => this.resultOf(v)),
      this.context,
    );
    node.outputs.forEach((o, i) => {
      this.results.set(o, results[i]!);
    });
  }

  override emitAll<K extends OpName>(op: K, inputs: readonly Value[], attrs: OpAttrs[K]): readonly Value[] {
    const outputs = super.emitAll(op, inputs, attrs);
    this.evaluate(this.nodes.at(-1)!);
    return outputs;
  }

  override extendScan(node: NodeOf<'scan'>, body: Graph): readonly Value[] {
    const added = super.extendScan(node, body);
    this.evaluate(this.nodes.find((n) => n === node)!);
    return added;
  }

  /** New contents of the state slots that were written. */
  newState(): [slot: string, data: TensorData][] {
    return this.updates.map((u) => [u.slot, this.data(u.value)]);
  }
}
