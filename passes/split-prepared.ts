/**
 * Splits an inference graph into what depends on state alone (folded and packed weights), which runs once after the state was written, and the rest. The values that pass
 * from one to the other are outputs `prepared:i` of the first and inputs of the second.
 */
import type { Graph, Node, Value } from '../ir/graph.js';
import { rootsOf } from '../ir/graph.js';
import { isFree } from './regions.js';

export interface PreparedSplit {
  readonly prepare: Graph | null;
  readonly main: Graph;
}

export function splitPrepared(graph: Graph): PreparedSplit {
  const updated = new Set(graph.updates.map((u) => u.slot));
  const fixed = new Set<Value>(graph.state.filter((s) => !updated.has(s.name)).map((s) => s.value));
  const early = new Set<Node>();
  const stateful = new Set<Value>(fixed);
  for (const n of graph.nodes) {
    if (n.op === 'scan' || n.op === 'while' || n.op === 'random_bits') continue;
    const constantOnly = n.inputs.length === 0 && (n.op === 'constant' || n.op === 'iota');
    if (!constantOnly && !n.inputs.every((v) => fixed.has(v))) continue;
    for (const v of n.outputs) fixed.add(v);
    if (n.inputs.some((v) => stateful.has(v))) {
      for (const v of n.outputs) stateful.add(v);
      early.add(n);
    }
  }
  // worth it: something computes, not only reshapes or slices
  const computes = new Set<Value>();
  for (const n of early) if (!isFree(n) || n.inputs.some((v) => computes.has(v))) for (const v of n.outputs) computes.add(v);
  const crossing = new Set<Value>();
  const late = graph.nodes.filter((n) => !early.has(n) || !n.outputs.some((v) => computes.has(v)));
  const lateSet = new Set(late);
  for (const n of late) for (const v of n.inputs) if (v.producer && !lateSet.has(v.producer) && computes.has(v)) crossing.add(v);
  for (const v of rootsOf(graph)) if (computes.has(v)) crossing.add(v);
  if (crossing.size === 0) return { prepare: null, main: graph };
  const names = new Map([...crossing].map((v, i) => [v, `prepared:${i}`] as const));
  const prepareNodes = neededFor([...crossing], graph.nodes);
  const usedState = new Set(prepareNodes.flatMap((n) => n.inputs));
  const prepare: Graph = {
    ...graph, name: `${graph.name}/prepare`, inputs: [], nodes: prepareNodes, state: graph.state.filter((s) => usedState.has(s.value)),
    outputs: [...names].map(([value, name]) => ({ name, value })), updates: [],
  };
  // in the main graph the crossing values are inputs
  const stand = new Map<Value, Value>([...crossing].map((v) => [v, { ...v, producer: null, index: 0 }]));
  const swap = new Map<Value, Value>(stand);
  const at = (v: Value): Value => swap.get(v) ?? v;
  const nodes: Node[] = [];
  for (const n of late) {
    if (!n.inputs.some((v) => swap.has(v))) {
      nodes.push(n);
      continue;
    }
    const outputs: Value[] = [];
    const node = { ...n, inputs: n.inputs.map(at), outputs } as Node;
    for (const v of n.outputs) {
      const w: Value = { ...v, producer: node };
      outputs.push(w);
      swap.set(v, w);
    }
    nodes.push(node);
  }
  const live = neededFor([...graph.outputs, ...graph.updates].map((r) => at(r.value)), nodes);
  const used = new Set(live.flatMap((n) => n.inputs));
  const main: Graph = {
    ...graph, nodes: live,
    inputs: [...graph.inputs, ...[...names].map(([v, name]) => ({ name, value: stand.get(v)!, resident: false })).filter((i) => used.has(i.value) || [...graph.outputs, ...graph.updates].some((r) => at(r.value) === i.value))],
    outputs: graph.outputs.map((o) => ({ ...o, value: at(o.value) })),
    updates: graph.updates.map((u) => ({ ...u, value: at(u.value) })),
  };
  return { prepare, main };
}

/** The nodes that the wanted values need, in order. */
function neededFor(wanted: readonly Value[], nodes: readonly Node[]): Node[] {
  const needed = new Set<Node>();
  const stack = wanted.flatMap((v) => (v.producer ? [v.producer] : []));
  for (let n = stack.pop(); n; n = stack.pop()) {
    if (needed.has(n)) continue;
    needed.add(n);
    for (const v of n.inputs) if (v.producer) stack.push(v.producer);
  }
  return nodes.filter((n) => needed.has(n));
}
