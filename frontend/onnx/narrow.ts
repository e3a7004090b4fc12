/** The same graph with float64 computed in float32, for devices without float64. Only where the caller asks for it: results have fewer digits. */
import { GraphBuilder } from '../../ir/builder.js';
import { type DType, hostArray } from '../../ir/dtype.js';
import { UnsupportedError } from '../../ir/errors.js';
import type { Graph, Node, Value } from '../../ir/graph.js';
import type { OpAttrs } from '../../ir/op-attrs.js';
import type { TensorData } from '../../ir/tensor-data.js';

const narrowType = (t: DType): DType => (t === 'float64' ? 'float32' : t);
const narrowData = (t: TensorData): TensorData => (t.dtype === 'float64' ? { ...t, dtype: 'float32', data: hostArray('float32', t.data as Float64Array) } : t);

function narrowAttrs(n: Node): Node['attrs'] {
  switch (n.op) {
    case 'constant':
      return { value: narrowData(n.attrs.value) };
    case 'iota':
    case 'cast':
      return { ...n.attrs, dtype: narrowType(n.attrs.dtype) };
    case 'bitcast':
      if (n.attrs.dtype === 'float64' || n.inputs[0]!.dtype === 'float64') throw new UnsupportedError(`${n.origin}: the bits of float64 are lost in float32`);
      return n.attrs;
    case 'scan':
      return { ...n.attrs, body: narrowFloat64(n.attrs.body) };
    case 'while':
      return { ...n.attrs, cond: narrowFloat64(n.attrs.cond), body: narrowFloat64(n.attrs.body) };
    case 'if':
      return { then: narrowFloat64(n.attrs.then), else: narrowFloat64(n.attrs.else) };
    case 'composite':
      return { ...n.attrs, body: narrowFloat64(n.attrs.body) };
    default:
      return n.attrs;
  }
}

const holdsFloat64 = (g: Graph): boolean =>
  [...g.inputs.map((i) => i.value), ...g.state.map((s) => s.value), ...g.nodes.flatMap((n) => n.outputs)].some((v) => v.dtype === 'float64') ||
  g.nodes.some((n) => n.op === 'scan' || n.op === 'while' || n.op === 'if' || n.op === 'composite');

export function narrowFloat64(graph: Graph): Graph {
  if (!holdsFloat64(graph)) return graph;
  const b = new GraphBuilder(graph.name);
  for (const s of graph.symbols) b.declareSymbol(s.name, s.max);
  const map = new Map<Value, Value>();
  for (const i of graph.inputs) map.set(i.value, b.input(i.name, narrowType(i.value.dtype), i.value.shape, { resident: i.resident }));
  for (const s of graph.state)
    map.set(s.value, b.stateSlot(s.name, narrowType(s.value.dtype), s.value.shape as readonly number[], { ...s, initial: s.initial && narrowData(s.initial) }));
  for (const n of graph.nodes) {
    const inputs = n.inputs.map((v) => map.get(v)!);
    const outputs = b.withExactOrigin(n.origin, () => b.emitAll(n.op, inputs, narrowAttrs(n) as OpAttrs[typeof n.op]));
    for (const [i, v] of n.outputs.entries()) map.set(v, outputs[i]!);
  }
  for (const o of graph.outputs) b.output(o.name, map.get(o.value)!);
  for (const u of graph.updates) b.update(u.slot, map.get(u.value)!);
  return b.build();
}
