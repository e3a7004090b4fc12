/** Dead code: drops every node that no output or update needs, in sub-graphs too. Inputs, state and symbols stay: they are the graph's interface. */
import type { Graph } from '../ir/graph.js';
import { mapSubgraphs, rebuild, removeDead, subgraphsOf } from '../ir/transform.js';

export function dce(graph: Graph): Graph {
  const live = removeDead(graph);
  if (!live.nodes.some((n) => subgraphsOf(n).length > 0)) return live;
  let changed = false;
  const attrs = new Map(
    live.nodes.map((n) => {
      const a = mapSubgraphs(n, dce);
      changed ||= a !== null;
      return [n, a];
    }),
  );
  if (!changed) return live;
  return rebuild(live, (n, r) => {
    const a = attrs.get(n);
    if (a) r.copy(n, a);
    return Boolean(a);
  });
}
