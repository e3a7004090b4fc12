/** Regions as text, with the value names that ir/text.ts prints: `row max, sub, exp, sum, div: reads %6, writes %13`. */
import type { Node, Value } from '../ir/graph.js';
import type { FusedGraph } from './regions.js';

/** What a node computes: the function of elementwise ops and reductions, else the op. */
export const nodeName = (n: Node): string =>
  n.op === 'unary' || n.op === 'binary' || n.op === 'compare' || n.op === 'reduce' || n.op === 'arg_reduce' ? n.attrs.fn : n.op;

/** One line a region, in order, then the aliases. */
export function printRegions(fused: FusedGraph): string {
  const names = new Map<Value, string>();
  const define = (v: Value): void => void names.set(v, `%${names.size}`);
  for (const i of fused.graph.inputs) define(i.value);
  for (const s of fused.graph.state) define(s.value);
  for (const n of fused.graph.nodes) n.outputs.forEach(define);
  const list = (vs: readonly Value[]): string => (vs.length === 0 ? 'nothing' : vs.map((v) => names.get(v)).join(' '));
  const lines = fused.regions.map((r) => `${r.kind} ${r.nodes.map(nodeName).join(', ')}: reads ${list(r.inputs)}, writes ${list(r.outputs)}`);
  for (const [v, a] of fused.aliases) lines.push(`${names.get(v)} is ${names.get(a.of)} from element ${a.offset}`);
  return lines.join('\n');
}
