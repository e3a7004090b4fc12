/**
 * What can be computed once at load instead of in every run: nodes that depend only on constants and on state that the graph does not update (folded weights, transposed or packed
 * kernels). The host runs them again after it writes state.
 */
import type { Graph, Node, Value } from '../ir/graph.js';

/** Computed from the index where it is read, or another view of memory: not worth memory of its own. Such nodes are computed again where the run reads them. */
export const isCheap = (n: Node): boolean =>
  n.op === 'broadcast' || n.op === 'reshape' || n.op === 'iota' || n.op === 'constant' || n.op === 'dim_size' || n.op === 'slice' || isUnpacking(n);

/** The inverse of a packing (pack-weights.ts): the packed memory is what the run wants. */
const isUnpacking = (n: Node): boolean => n.op === 'transpose' && n.inputs[0]!.producer?.op === 'transpose';

/** Values that are the same in every run until the host writes state: state that no run changes, constants, and what follows from them alone. Symbolic shapes differ from run to run. */
export function fixedValues(graph: Graph): Set<Value> {
  const updated = new Set(graph.updates.map((u) => u.slot));
  const fixed = new Set(graph.state.filter((s) => !updated.has(s.name)).map((s) => s.value));
  for (const n of graph.nodes) {
    if (n.op === 'dim_size' || n.op === 'scan' || n.op === 'while' || n.op === 'random_bits' || !n.inputs.every((v) => fixed.has(v))) continue;
    if (n.outputs.every((o) => o.shape.every((d) => typeof d === 'number'))) for (const o of n.outputs) fixed.add(o);
  }
  return fixed;
}

/**
 * The nodes to run at load: fixed ones that read memory (state, constants of more than one element); masks and positions made of indices alone are computed in place. A cheap
 * node is among them only where another of them needs it; the run may need it too and then computes it again.
 */
export function stateOnlyNodes(graph: Graph): Set<Node> {
  const fixed = fixedValues(graph);
  const readsMemory = new Set<Value>(graph.state.map((s) => s.value));
  for (const n of graph.nodes) {
    const reads = n.op === 'constant' ? n.attrs.value.data.length > 1 : n.inputs.some((v) => readsMemory.has(v));
    if (reads) for (const o of n.outputs) readsMemory.add(o);
  }
  const chosen = new Set<Node>();
  const needed = new Set<Value>();
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const n = graph.nodes[i]!;
    if (!n.outputs.every((o) => fixed.has(o))) continue;
    const wanted = n.outputs.some((o) => needed.has(o));
    if (!wanted && (isCheap(n) || !n.outputs.some((o) => readsMemory.has(o)))) continue;
    chosen.add(n);
    for (const v of n.inputs) needed.add(v);
  }
  return chosen;
}
