/**
 * What passes share: a graph is rebuilt node by node through a GraphBuilder, with a map from old to new values. Names, symbols, inputs, state,
 * outputs, updates and origins are kept.
 */
import { GraphBuilder } from './builder.js';
import { invariant } from './errors.js';
import { type Graph, type Node, rootsOf, type Value } from './graph.js';
import type { OpAttrs, OpName } from './op-attrs.js';

/** Rebuilds one graph. Inputs and state are there from the start; every node's outputs must be set before they are used. */
export class Rebuilder {
  readonly values = new Map<Value, Value>();

  constructor(
    readonly graph: Graph,
    readonly b: GraphBuilder = new GraphBuilder(graph.name),
  ) {
    for (const s of graph.symbols) b.declareSymbol(s.name, s.max);
    for (const i of graph.inputs) this.values.set(i.value, b.input(i.name, i.value.dtype, i.value.shape, { resident: i.resident }));
    for (const s of graph.state) this.values.set(s.value, b.stateSlot(s.name, s.value.dtype, s.value.shape as readonly number[], s));
  }

  /** The new value that stands for an old one. */
  value(old: Value): Value {
    const v = this.values.get(old);
    invariant(v, `value %${old.id}${old.producer ? ` of ${old.producer.op}` : ''} is used before it is made (graph '${this.graph.name}')`);
    return v;
  }

  all(old: readonly Value[]): Value[] {
    return old.map((v) => this.value(v));
  }

  set(old: Value, now: Value): void {
    this.values.set(old, now);
  }

  setAll(node: Node, now: readonly Value[]): void {
    invariant(now.length === node.outputs.length, `${node.op} has ${node.outputs.length} outputs, ${now.length} were given`);
    node.outputs.forEach((o, i) => this.values.set(o, now[i]!));
  }

  /** Copies a node, with other attributes if given. */
  copy<K extends OpName>(node: Node & { readonly op: K }, attrs: OpAttrs[K] = node.attrs as OpAttrs[K]): void {
    this.setAll(
      node,
      this.at(node, () => this.b.emitAll<K>(node.op, this.all(node.inputs), attrs)),
    );
  }

  /** Nodes made by `body` carry the node's origin. */
  at<T>(node: Node, body: () => T): T {
    return this.b.withExactOrigin(node.origin, body);
  }

  /** Sets outputs and updates and freezes the graph; nodes that nothing uses are dropped. */
  finish(): Graph {
    for (const o of this.graph.outputs) this.b.output(o.name, this.value(o.value));
    for (const u of this.graph.updates) this.b.update(u.slot, this.value(u.value));
    return removeDead(this.b.build());
  }
}

/** Rebuilds a graph. `visit` gives true where it set the node's outputs itself; other nodes are copied. */
export function rebuild(graph: Graph, visit: (node: Node, r: Rebuilder) => boolean, b?: GraphBuilder): Graph {
  const r = new Rebuilder(graph, b);
  for (const node of graph.nodes) if (!visit(node, r)) r.copy(node);
  return r.finish();
}

/** The graph with each use of a key replaced by its value. Replacements belong to the graph and are made before the uses; chains are followed. */
export function replaceValues(graph: Graph, replacements: ReadonlyMap<Value, Value>): Graph {
  if (replacements.size === 0) return graph;
  const r = new Rebuilder(graph);
  const resolve = (v: Value): Value => {
    for (let next = replacements.get(v); next; next = replacements.get(v)) v = next;
    return v;
  };
  for (const [old, now] of replacements) if (!old.producer) r.set(old, r.value(resolve(now)));
  for (const node of graph.nodes) {
    r.copy(node);
    for (const o of node.outputs) {
      const to = resolve(o);
      if (to !== o) r.set(o, r.value(to));
    }
  }
  return r.finish();
}

/** The graph without nodes that no output or update needs. Values are shared with the given graph. */
export function removeDead(graph: Graph): Graph {
  const live = new Set<Value>(rootsOf(graph));
  const keep: Node[] = [];
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const n = graph.nodes[i]!;
    if (!n.outputs.some((o) => live.has(o))) continue;
    keep.push(n);
    for (const v of n.inputs) live.add(v);
  }
  return keep.length === graph.nodes.length ? graph : { ...graph, nodes: keep.reverse() };
}

export { inlineGraph, inlineValues, joinOrigin, liveNodes } from './inline.js';

/** The sub-graphs of a node, in a fixed order. */
export function subgraphsOf(node: Node): readonly Graph[] {
  switch (node.op) {
    case 'scan':
    case 'composite':
      return [node.attrs.body];
    case 'if':
      return [node.attrs.then, node.attrs.else];
    case 'while':
      return [node.attrs.cond, node.attrs.body];
    default:
      return [];
  }
}

/** The node's attributes with every sub-graph mapped; null where the node has none or nothing changed. */
export function mapSubgraphs(node: Node, f: (g: Graph) => Graph): OpAttrs[OpName] | null {
  const old = subgraphsOf(node);
  if (old.length === 0) return null;
  const now = old.map(f);
  if (now.every((g, i) => g === old[i])) return null;
  switch (node.op) {
    case 'scan':
    case 'composite':
      return { ...node.attrs, body: now[0]! };
    case 'if':
      return { then: now[0]!, else: now[1]! };
    case 'while':
      return { ...node.attrs, cond: now[0]!, body: now[1]! };
    default:
      return null;
  }
}
