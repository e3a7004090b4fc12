/**
 * What can be computed once at load instead of in every run: nodes that depend only on constants and on state that the graph does not update (folded weights, transposed or packed
 * kernels). The host runs them again after it writes state.
 */
import type { Graph, Node, Value } from '../ir/graph.js';

/** Computed from the index where it is read: no memory is worth it. */
const cheap = (n: Node): boolean => n.op === 'broadcast' || n.op === 'reshape' || n.op === 'iota' || n.op === 'constant' || n.op === 'dim_size' || n.op === 'slice';

/** State slots that no run of this graph changes, as values. */
export function frozenState(graph: Graph): Set<Value> {
  const updated = new Set(graph.updates.map((u) => u.slot));
  return new Set(graph.state.filter((s) => !updated.has(s.name)).map((s) => s.value));
}

/** Values that are the same in every run until the host writes state: frozen state, constants, and what follows from them alone. Symbolic shapes differ from run to run. */
export function fixedValues(graph: Graph): Set<Value> {
  const fixed = frozenState(graph);
  for (const n of graph.nodes) {
    if (n.op === 'dim_size' || !n.inputs.every((v) => fixed.has(v))) continue;
    if (n.outputs.every((o) => o.shape.every((d) => typeof d === 'number'))) for (const o of n.outputs) fixed.add(o);
  }
  return fixed;
}

/**
 * The nodes to run at load. A cheap node (broadcast, reshape, slice, iota) is among them only where another of them needs it; it may be read by the run too and is then simply
 * computed there again.
 */
export function stateOnlyNodes(graph: Graph): Set<Node> {
  const fixed = fixedValues(graph);
  const chosen = new Set<Node>();
  const needed = new Set<Value>();
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const n = graph.nodes[i]!;
    if (!n.outputs.every((o) => fixed.has(o))) continue;
    if (cheap(n) && !n.outputs.some((o) => needed.has(o))) continue;
    chosen.add(n);
    for (const v of n.inputs) needed.add(v);
  }
  return chosen;
}
