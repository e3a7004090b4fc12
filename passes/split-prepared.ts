/**
 * Splits a graph into what depends on state alone (folded, turned and packed weights), which runs once after the state was written, and the rest. The values that pass from one to
 * the other are outputs `prepared:i` of the first and inputs of the second. Broadcasts, reshapes and slices of them belong to the rest: only what is small and dense is kept.
 */
import { GraphBuilder } from '../ir/builder.js';
import type { Graph, Node, Value } from '../ir/graph.js';
import { rootsOf } from '../ir/graph.js';
import { liveNodes, Rebuilder } from '../ir/transform.js';
import { isCheap, stateOnlyNodes } from './prepare.js';

export interface PreparedSplit {
  readonly prepare: Graph | null;
  readonly main: Graph;
}

export function splitPrepared(graph: Graph): PreparedSplit {
  const early = stateOnlyNodes(graph);
  const late = new Set<Node>();
  const crossing = new Set<Value>();
  const stack = rootsOf(graph);
  for (let v = stack.pop(); v; v = stack.pop()) {
    const n = v.producer;
    if (!n || late.has(n)) continue;
    if (early.has(n) && !isCheap(n)) crossing.add(v);
    else {
      late.add(n);
      stack.push(...n.inputs);
    }
  }
  if (crossing.size === 0) return { prepare: null, main: graph };
  const ordered = graph.nodes.flatMap((n) => n.outputs.filter((o) => crossing.has(o)));
  const names = new Map(ordered.map((v, i) => [v, `prepared:${i}`]));

  const needed = liveNodes(graph.nodes, ordered);
  const read = new Set([...needed].flatMap((n) => n.inputs));
  const first = new Rebuilder({ ...graph, inputs: [], state: graph.state.filter((s) => read.has(s.value)) }, new GraphBuilder(`${graph.name}/prepare`));
  for (const n of graph.nodes) if (needed.has(n)) first.copy(n);
  for (const [v, name] of names) first.b.output(name, first.value(v));

  const rest = new Rebuilder(graph);
  for (const [v, name] of names) rest.set(v, rest.b.input(name, v.dtype, v.shape));
  for (const n of graph.nodes) if (late.has(n)) rest.copy(n);
  return { prepare: first.b.build(), main: rest.finish() };
}
