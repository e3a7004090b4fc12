/** An ONNX graph as its conversion to layers reads it: nodes with the values that they take and give, which of them are known, and what their contents are. */
import { isStatic, type Shape, symbol } from '../../../ir/dim.js';
import { numbersOf } from '../../../ir/dtype.js';
import { UnsupportedError } from '../../../ir/errors.js';
import type { Graph, Value } from '../../../ir/graph.js';
import { type Call, Importer } from '../import.js';
import type { ModelData } from '../model-data.js';
import { NeedsValue } from '../static.js';

/** What the model says of an input or output. */
export interface PortInfo {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly (number | string | null)[] | null;
}

/** Contents that are known: weights and constants. */
export interface Contents {
  readonly shape: readonly number[];
  readonly values: ArrayLike<number>;
}

export class CallGraph {
  private readonly calls: Call[] = [];
  private readonly producers = new Map<Value, Call>();
  private readonly uses = new Map<Value, Call[]>();
  private readonly dynamic = new Set<Value>();
  private readonly importer: Importer;
  private readonly graph: Graph;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];

  constructor(data: ModelData, inputs: readonly PortInfo[]) {
    const shapes = inputs.map((i): Shape => {
      if (!i.shape) throw new UnsupportedError(`input '${i.name}' has no known rank: it cannot be an Input of Keras`);
      return i.shape.map((d, axis) =>
        typeof d === 'number' ? d : symbol(typeof d === 'string' ? `s_${d.replace(/\W/g, '_')}` : `${i.name.replace(/\W/g, '_')}_${axis}`),
      );
    });
    const symbols = new Set(shapes.flatMap((s) => s.flatMap((d) => (isStatic(d) ? [] : d.terms.map(([n]) => n)))));
    this.importer = new Importer(data, {
      inputs: Object.fromEntries(inputs.map((i, at) => [i.name, { shape: shapes[at]! }])),
      // nothing runs: the largest size is only a bound for checks
      symbols: Object.fromEntries([...symbols].map((s) => [s, 4])),
      onCall: (c) => this.calls.push(c),
    });
    let imported: ReturnType<Importer['run']>;
    try {
      imported = this.importer.run();
    } catch (e) {
      if (!(e instanceof NeedsValue)) throw e;
      throw new UnsupportedError(`shapes depend on the contents of ${e.inputs.map((n) => `'${n}'`).join(', ')}: such a graph is not made of layers`);
    }
    this.graph = imported.graph;
    const named = new Map(this.graph.inputs.map((i) => [i.name, i.value]));
    this.inputs = inputs.map((i) => named.get(i.name)!);
    const results = new Map(this.graph.outputs.map((o) => [o.name, o.value]));
    this.outputs = imported.outputs.map((o) => {
      if (o.padding) throw new UnsupportedError(`output '${o.name}' has a size that depends on the data: no layer gives such a tensor`);
      return results.get(o.name)!;
    });
    for (const v of named.values()) this.dynamic.add(v);
    for (const n of this.graph.nodes) if (n.inputs.some((i) => this.dynamic.has(i))) for (const o of n.outputs) this.dynamic.add(o);
    for (const c of this.calls)
      for (const o of c.outputs) if (o && this.dynamic.has(o) && !this.producers.has(o) && !this.inputs.includes(o)) this.producers.set(o, c);
    for (const c of this.calls) {
      if (!c.outputs.some((o) => o && this.producers.get(o) === c)) continue;
      for (const i of new Set(c.inputs)) if (i) this.uses.set(i, [...(this.uses.get(i) ?? []), c]);
    }
  }

  /** The nodes that compute something from the inputs, in order. */
  get all(): readonly Call[] {
    return this.calls;
  }
  /** Whether a value depends on an input. */
  isDynamic(v: Value): boolean {
    return this.dynamic.has(v);
  }
  producerOf(v: Value): Call | undefined {
    return this.producers.get(v);
  }
  isUsed(v: Value | null | undefined): boolean {
    return v !== null && v !== undefined && ((this.uses.get(v)?.length ?? 0) > 0 || this.outputs.includes(v));
  }
  /** Whether one node alone uses the value. */
  usedOnce(v: Value): boolean {
    return this.uses.get(v)?.length === 1 && !this.outputs.includes(v);
  }
  usersOf(v: Value): readonly Call[] {
    return this.uses.get(v) ?? [];
  }

  /** The contents of a value that depends on no input; null for others. */
  contents(v: Value): Contents | null {
    if (this.dynamic.has(v)) return null;
    const data = this.importer.tryData(v);
    return data && { shape: data.shape, values: numbersOf(data.data) };
  }
  /** The one number that all elements of a value are; null where there is none. */
  number(v: Value): number | null {
    if (this.dynamic.has(v)) return null;
    const p = v.producer;
    if (p?.op === 'broadcast' || p?.op === 'reshape' || p?.op === 'transpose' || p?.op === 'slice') return this.number(p.inputs[0]!);
    const c = this.contents(v);
    if (!c || c.values.length === 0) return null;
    const first = c.values[0]!;
    for (let i = 1; i < c.values.length; i++) if (c.values[i] !== first) return null;
    return first;
  }
}
