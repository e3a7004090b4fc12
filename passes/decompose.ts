/**
 * Opens composites (nested ones too, and in the bodies of scan and while), and turns every `if` into both branches and a select of each result:
 * graphs are pure, so running the branch that is not taken has no effect. Leaves no composite and no `if`.
 */
import type { Graph, Node } from '../ir/graph.js';
import { inlineGraph, mapSubgraphs, type Rebuilder, rebuild, subgraphsOf } from '../ir/transform.js';

export function decompose(graph: Graph): Graph {
  if (!graph.nodes.some((n) => subgraphsOf(n).length > 0)) return graph;
  return rebuild(graph, open);
}

function open(node: Node, r: Rebuilder): boolean {
  const { b } = r;
  if (node.op === 'composite') {
    r.setAll(
      node,
      r.at(node, () => inlineGraph(b, decompose(node.attrs.body), r.all(node.inputs))),
    );
    return true;
  }
  if (node.op === 'if') {
    const [condition, ...operands] = r.all(node.inputs);
    r.at(node, () => {
      const yes = inlineGraph(b, decompose(node.attrs.then), operands);
      const no = inlineGraph(b, decompose(node.attrs.else), operands);
      r.setAll(
        node,
        yes.map((y, i) => b.select(condition!, y, no[i]!)),
      );
    });
    return true;
  }
  const attrs = mapSubgraphs(node, decompose);
  if (attrs) r.copy(node, attrs);
  return attrs !== null;
}
