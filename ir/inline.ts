/**
 * Copies a graph's nodes into a builder: how sub-graphs are opened. Apart from transform.ts, since the builder needs the op records, and the gradient rules
 * of control flow need this.
 */
import type { GraphBuilder } from './builder.js';
import { invariant } from './errors.js';
import type { Graph, Node, Value } from './graph.js';

/** The origin of a node of a sub-graph once it is part of the graph around it. */
export function joinOrigin(outer: string, inner: string): string {
  if (!inner || inner === outer) return outer;
  return !outer || inner.startsWith(`${outer}/`) ? inner : `${outer}/${inner}`;
}

/**
 * Copies a graph's nodes into a builder, with `inputs` for its inputs, and gives its outputs. State slots become slots of the same name; updates are not taken over.
 * Origins lie below the builder's current one.
 */
export function inlineGraph(b: GraphBuilder, graph: Graph, inputs: readonly Value[]): Value[] {
  return inlineValues(
    b,
    graph,
    inputs,
    graph.outputs.map((o) => o.value),
  );
}

/** As inlineGraph, and gives any of the graph's values. */
export function inlineValues(b: GraphBuilder, graph: Graph, inputs: readonly Value[], wanted: readonly Value[]): Value[] {
  invariant(inputs.length === graph.inputs.length, `graph '${graph.name}' has ${graph.inputs.length} inputs, ${inputs.length} were given`);
  const map = new Map<Value, Value>();
  graph.inputs.forEach((p, i) => map.set(p.value, inputs[i]!));
  for (const s of graph.state) map.set(s.value, b.stateSlot(s.name, s.value.dtype, s.value.shape as readonly number[], s));
  const live = liveNodes(graph.nodes, wanted);
  const outer = b.origin;
  for (const n of graph.nodes) {
    if (!live.has(n)) continue;
    const outputs = b.withExactOrigin(joinOrigin(outer, n.origin), () =>
      b.emitAll(
        n.op,
        n.inputs.map((v) => map.get(v)!),
        n.attrs,
      ),
    );
    n.outputs.forEach((o, i) => map.set(o, outputs[i]!));
  }
  return wanted.map((v) => map.get(v)!);
}

/** The nodes among `nodes` (in order) that the values need. */
export function liveNodes(nodes: readonly Node[], wanted: Iterable<Value>): Set<Node> {
  const values = new Set<Value>(wanted);
  const live = new Set<Node>();
  for (let i = nodes.length - 1; i >= 0; i--) {
    const n = nodes[i]!;
    if (!n.outputs.some((o) => values.has(o))) continue;
    live.add(n);
    for (const v of n.inputs) values.add(v);
  }
  return live;
}
