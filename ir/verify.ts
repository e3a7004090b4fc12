/**
 * Checks every invariant of a graph, and that it holds only what may exist at a stage. A stage's specification is the list of what it forbids, on top of the
 * stages before it; so the lists below say what each pass promises.
 */
import { equalShape, type Shape, sizeDim, symbolsOf } from './dim.js';
import { InternalError } from './errors.js';
import { type Graph, type Node, type TensorType, typeToString, type Value } from './graph.js';
import type { OpAttrs, OpName } from './op-attrs.js';
import { opDef } from './ops/index.js';
import { sizeOf } from './tensor-data.js';
import { subgraphsOf } from './transform.js';

/** In order: each stage keeps what the ones before it promise. */
export const stages = ['traced', 'decomposed', 'simplified', 'laid-out'] as const;
export type Stage = (typeof stages)[number];

interface Forbidden {
  readonly what: string;
  readonly found: (node: Node) => boolean;
}

const producedBy = (v: Value | undefined, op: OpName): boolean => v?.producer?.op === op;
const inOrder = (xs: readonly number[]): boolean => xs.every((x, i) => x === i);

/** What may not exist from each stage on. */
const forbidden: Record<Stage, readonly Forbidden[]> = {
  traced: [],
  decomposed: [
    { what: 'a composite', found: (n) => n.op === 'composite' },
    { what: 'an if', found: (n) => n.op === 'if' },
  ],
  simplified: [
    { what: 'a transpose that moves nothing', found: (n) => n.op === 'transpose' && inOrder(n.attrs.perm) },
    { what: 'a transpose of a transpose', found: (n) => n.op === 'transpose' && producedBy(n.inputs[0], 'transpose') },
    { what: 'a reshape that changes nothing', found: (n) => n.op === 'reshape' && equalShape(n.attrs.shape, n.inputs[0]!.shape) },
    { what: 'a reshape of a reshape', found: (n) => n.op === 'reshape' && producedBy(n.inputs[0], 'reshape') },
    { what: 'a broadcast of a broadcast', found: (n) => n.op === 'broadcast' && producedBy(n.inputs[0], 'broadcast') },
    { what: 'a cast to the same dtype', found: (n) => n.op === 'cast' && n.attrs.dtype === n.inputs[0]!.dtype },
    { what: 'a concat of one', found: (n) => n.op === 'concat' && n.inputs.length === 1 },
    { what: 'a reduction over no axis', found: (n) => n.op === 'reduce' && n.attrs.axes.length === 0 },
    {
      what: 'a double negation',
      found: (n) => n.op === 'unary' && n.attrs.fn === 'neg' && n.inputs[0]!.producer?.op === 'unary' && n.inputs[0]!.producer.attrs.fn === 'neg',
    },
  ],
  'laid-out': [
    {
      what: 'a convolution whose output channels are not last',
      found: (n) => n.op === 'conv' && n.attrs.dims.output.feature !== n.outputs[0]!.shape.length - 1,
    },
  ],
};

/** Throws an InternalError that names graph, node and fault. `stage` defaults to `traced`: every op may exist. */
export function verify(graph: Graph, stage: Stage = 'traced'): void {
  const rules = stages.slice(0, stages.indexOf(stage) + 1).flatMap((s) => forbidden[s].map((f) => ({ ...f, since: s })));
  new Verifier(graph, stage, rules, null).run();
}

class Verifier {
  private readonly defined = new Set<Value>();
  private readonly ids = new Set<number>();

  constructor(
    private readonly graph: Graph,
    private readonly stage: Stage,
    private readonly rules: readonly (Forbidden & { since: Stage })[],
    /** Symbols of the graph around this one; null at the top. */
    private readonly outerSymbols: ReadonlySet<string> | null,
  ) {}

  private fail(message: string): never {
    throw new InternalError(`graph '${this.graph.name}' at stage '${this.stage}': ${message}`);
  }

  private label(n: Node): string {
    return `${n.op} %${n.outputs[0]?.id ?? '?'}${n.origin ? ` (${n.origin})` : ''}`;
  }

  private define(v: Value, where: string): void {
    if (this.ids.has(v.id)) this.fail(`id ${v.id} of ${where} is taken`);
    this.ids.add(v.id);
    this.defined.add(v);
  }

  private symbols(shape: Shape, declared: ReadonlySet<string>, where: string): void {
    for (const s of symbolsOf(shape)) if (!declared.has(s)) this.fail(`symbol '${s}' of ${where} is not declared`);
  }

  run(): void {
    const { graph } = this;
    const declared = new Set(graph.symbols.map((s) => s.name));
    for (const s of graph.symbols) {
      if (!Number.isInteger(s.max) || s.max < 1) this.fail(`symbol '${s.name}' has the largest value ${s.max}, expected at least 1`);
      if (this.outerSymbols && !this.outerSymbols.has(s.name)) this.fail(`symbol '${s.name}' is not declared by the graph around it`);
    }
    this.ports(declared);
    for (const n of graph.nodes) this.node(n, declared);
    const names = new Set<string>();
    for (const o of graph.outputs) {
      if (!this.defined.has(o.value)) this.fail(`output '${o.name}' is not made in the graph`);
      if (names.has(o.name)) this.fail(`two outputs are named '${o.name}'`);
      names.add(o.name);
    }
    this.updates();
  }

  private ports(declared: ReadonlySet<string>): void {
    const names = new Set<string>();
    for (const i of this.graph.inputs) {
      if (names.has(i.name)) this.fail(`two inputs are named '${i.name}'`);
      names.add(i.name);
      if (i.value.producer) this.fail(`input '${i.name}' has a producer`);
      this.define(i.value, `input '${i.name}'`);
      this.symbols(i.value.shape, declared, `input '${i.name}'`);
    }
    const slots = new Set<string>();
    for (const s of this.graph.state) {
      if (slots.has(s.name)) this.fail(`two state slots are named '${s.name}'`);
      slots.add(s.name);
      if (s.value.producer) this.fail(`state '${s.name}' has a producer`);
      this.define(s.value, `state '${s.name}'`);
      const size = sizeDim(s.value.shape);
      if (typeof size !== 'number') this.fail(`state '${s.name}' is ${typeToString(s.value)}; the shape of state is static`);
      if (s.initial && (s.initial.dtype !== s.value.dtype || !equalShape(s.initial.shape, s.value.shape)))
        this.fail(`state '${s.name}' is ${typeToString(s.value)}, its initial value ${typeToString(s.initial)}`);
      for (const v of s.views)
        if (v.offset < 0 || v.offset + sizeOf(v.shape) > size) this.fail(`view '${v.name}' is not inside state '${s.name}' of ${size} elements`);
    }
  }

  private updates(): void {
    const slots = new Set<string>();
    for (const u of this.graph.updates) {
      const slot = this.graph.state.find((s) => s.name === u.slot);
      if (!slot) this.fail(`update of unknown state '${u.slot}'`);
      if (slots.has(u.slot)) this.fail(`state '${u.slot}' is updated twice`);
      slots.add(u.slot);
      if (!this.defined.has(u.value)) this.fail(`the update of state '${u.slot}' is not made in the graph`);
      if (typeToString(u.value) !== typeToString(slot.value))
        this.fail(`state '${u.slot}' is ${typeToString(slot.value)}, its update ${typeToString(u.value)}`);
    }
  }

  private node(n: Node, declared: ReadonlySet<string>): void {
    for (const v of n.inputs) if (!this.defined.has(v)) this.fail(`${this.label(n)} uses value %${v.id}, which is not made before it`);
    const types = this.infer(n);
    if (types.length !== n.outputs.length) this.fail(`${this.label(n)} has ${n.outputs.length} outputs, inference gives ${types.length}`);
    n.outputs.forEach((o, i) => {
      if (typeToString(o) !== typeToString(types[i]!))
        this.fail(`output ${i} of ${this.label(n)} is ${typeToString(o)}, inference gives ${typeToString(types[i]!)}`);
      if (o.producer !== n || o.index !== i) this.fail(`output ${i} of ${this.label(n)} names another producer`);
      this.define(o, this.label(n));
      this.symbols(o.shape, declared, this.label(n));
    });
    for (const r of this.rules) if (r.found(n)) this.fail(`${this.label(n)} is ${r.what}, which no graph holds from stage '${r.since}' on`);
    for (const g of subgraphsOf(n)) {
      if (g.state.length > 0 || g.updates.length > 0) this.fail(`sub-graph '${g.name}' of ${this.label(n)} holds state`);
      new Verifier(g, this.stage, this.rules, declared).run();
    }
  }

  private infer(n: Node): TensorType[] {
    try {
      return inferNode(n);
    } catch (e) {
      return this.fail(`${this.label(n)}: ${e instanceof Error ? e.message : String(e)}`);
    }
  }
}

function inferNode<K extends OpName>(n: Node & { readonly op: K }): TensorType[] {
  return opDef<K>(n.op).infer(n.inputs, n.attrs as OpAttrs[K]);
}
