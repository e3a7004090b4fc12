/**
 * Gives every output and update a value of its own: a root that is an input or state, that another root has already, or (strict) that a free node makes, is
 * copied by a cast to its own dtype. So that each root can be written straight to where it belongs.
 */
import type { Graph, Value } from '../ir/graph.js';
import { isFree } from './regions.js';

export function isolateRoots(graph: Graph, strict = false): Graph {
  const seen = new Set<Value>();
  const must = (v: Value): boolean => {
    if (strict && v.producer && isFree(v.producer)) return true;
    // a reshape is a view: it stands for the value behind it
    let base = v;
    while (base.producer?.op === 'reshape') base = base.producer.inputs[0]!;
    const copy = seen.has(base) || !base.producer || base.producer.op === 'constant' || base.producer.op === 'slice' || (base !== v && isFree(base.producer));
    if (!copy) seen.add(base);
    return copy;
  };
  const outputs = graph.outputs.map((o) => must(o.value));
  const updates = graph.updates.map((u) => must(u.value));
  if (![...outputs, ...updates].includes(true)) return graph;
  const nodes = [...graph.nodes];
  let id =
    Math.max(0, ...graph.nodes.flatMap((n) => n.outputs.map((v) => v.id)), ...graph.inputs.map((i) => i.value.id), ...graph.state.map((s) => s.value.id)) + 1;
  const copy = (v: Value): Value => {
    const made: Value[] = [];
    const node = { op: 'cast', attrs: { dtype: v.dtype }, inputs: [v], outputs: made, origin: v.producer?.origin ?? '' } as const;
    made.push({ id: id++, dtype: v.dtype, shape: v.shape, producer: node, index: 0 });
    nodes.push(node);
    return made[0]!;
  };
  return {
    ...graph,
    outputs: graph.outputs.map((o, i) => (outputs[i] ? { ...o, value: copy(o.value) } : o)),
    updates: graph.updates.map((u, i) => (updates[i] ? { ...u, value: copy(u.value) } : u)),
    nodes,
  };
}
