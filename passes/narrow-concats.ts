/**
 * Splits a concat that reads more device buffers than a kernel may bind (many graph inputs or state slots, which have a buffer each) into concats of concats: the inner
 * ones land in the arena, which is one buffer.
 */
import type { Graph, Value } from '../ir/graph.js';
import type { OpAttrs } from '../ir/op-attrs.js';
import { rebuild } from '../ir/transform.js';
import { traceBack } from './axis-trace.js';

export function narrowConcats(graph: Graph, maxBuffers: number): Graph {
  // one for the result, one for the arena
  const most = Math.max(2, maxBuffers - 2);
  const buffers = (vs: readonly Value[]): number => new Set(vs.flatMap((v) => traceBack(v, null)).map((r) => (r.value.producer ? 'arena' : r.value))).size;
  if (!graph.nodes.some((n) => n.op === 'concat' && buffers(n.inputs) > most)) return graph;
  return rebuild(graph, (n, r) => {
    if (n.op !== 'concat' || buffers(n.inputs) <= most) return false;
    let parts = r.all(n.inputs);
    r.at(n, () => {
      while (buffers(parts) > most) {
        const next: Value[] = [];
        for (let i = 0; i < parts.length; i += most) next.push(r.b.concat(parts.slice(i, i + most), (n.attrs as OpAttrs['concat']).axis));
        parts = next;
      }
      r.setAll(n, r.b.emitAll('concat', parts, n.attrs as OpAttrs['concat']));
    });
    return true;
  });
}
