/**
 * Tensor constants inside loops become operands of the loops, innermost first: a loop that runs inside one kernel reads memory that the kernel is given, and only the outermost graph's constants have
 * a place in the plan. Single numbers stay where they are: they are part of the code. Needs decomposed graphs.
 */
import { invariant } from '../ir/errors.js';
import type { Graph, Node, NodeOf, Value } from '../ir/graph.js';
import type { TensorData } from '../ir/tensor-data.js';
import { mapSubgraphs, Rebuilder, rebuild, subgraphsOf } from '../ir/transform.js';

const isLifted = (n: Node): n is NodeOf<'constant'> => n.op === 'constant' && n.attrs.value.data.length > 1;

const constantsOf = (g: Graph): TensorData[] => g.nodes.flatMap((n) => (isLifted(n) ? [n.attrs.value] : []));

/** The graph with inputs for all of `constants` at the end, and its own constants read from them. */
function withOperands(graph: Graph, constants: readonly TensorData[]): Graph {
  const r = new Rebuilder(graph);
  const names = new Set(graph.inputs.map((i) => i.name));
  const operands = constants.map((t, i): Value => {
    let name = `constant${i}`;
    while (names.has(name)) name += '_';
    names.add(name);
    return r.b.input(name, t.dtype, t.shape);
  });
  for (const n of graph.nodes) {
    if (isLifted(n)) r.setAll(n, [operands[constants.indexOf(n.attrs.value)]!]);
    else r.copy(n);
  }
  return r.finish();
}

export function liftConstants(graph: Graph): Graph {
  if (!graph.nodes.some((n) => subgraphsOf(n).length > 0)) return graph;
  return rebuild(graph, (old, r) => {
    const inner = mapSubgraphs(old, liftConstants);
    const node = (inner ? { ...old, attrs: inner } : old) as Node;
    const constants = node.op === 'scan' || node.op === 'while' ? [...new Set(subgraphsOf(node).flatMap(constantsOf))] : [];
    if (constants.length === 0) {
      if (inner) r.copy(old, inner);
      return inner !== null;
    }
    const attrs = mapSubgraphs(node, (g) => withOperands(g, constants));
    invariant(attrs && (node.op === 'scan' || node.op === 'while'), 'a loop without sub-graphs');
    r.setAll(
      old,
      r.at(old, () => r.b.emitAll(node.op, [...r.all(old.inputs), ...constants.map((t) => r.b.constant(t))], attrs as typeof node.attrs)),
    );
    return true;
  });
}
