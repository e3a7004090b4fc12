/**
 * Prepares large concats along a contiguous axis (the flat gradient of all parameters) for writing in place: an operand that no kernel could write there (a transposed view,
 * an input, a value that is used twice) gets a copy of its own, by a cast to its own dtype. Otherwise the whole concat would be a chain of selections.
 */
import { isStatic } from '../ir/dim.js';
import type { Graph, Node, Value } from '../ir/graph.js';
import type { OpAttrs } from '../ir/op-attrs.js';
import { sizeOf } from '../ir/tensor-data.js';
import { rebuild } from '../ir/transform.js';
import { isFree } from './regions.js';

/** Fewest elements of a concat that is worth copies. */
const worthwhile = 1024;

const isPlaceable = (n: Node): boolean => {
  const out = n.outputs[0]!;
  return (
    n.op === 'concat' && out.shape.slice(0, n.attrs.axis).every((d) => d === 1) && out.shape.every(isStatic) && sizeOf(out.shape as number[]) >= worthwhile
  );
};

export function copyIntoConcat(graph: Graph): Graph {
  if (!graph.nodes.some(isPlaceable)) return graph;
  const taken = new Set<Value>(graph.outputs.map((o) => o.value).concat(graph.updates.map((u) => u.value)));
  return rebuild(graph, (n, r) => {
    if (!isPlaceable(n)) return false;
    const inputs = n.inputs.map((v) => {
      let base = v;
      while (base.producer?.op === 'reshape') base = base.producer.inputs[0]!;
      const p = base.producer;
      if (p && !isFree(p) && p.op !== 'constant' && p.op !== 'concat' && !taken.has(base)) {
        taken.add(base);
        return r.value(v);
      }
      return r.at(n, () => r.b.emit('cast', [r.value(v)], { dtype: v.dtype }));
    });
    r.setAll(
      n,
      r.at(n, () => r.b.emitAll('concat', inputs, n.attrs as OpAttrs['concat'])),
    );
    return true;
  });
}
