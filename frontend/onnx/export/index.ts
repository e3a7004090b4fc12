/** Keras models as ONNX models: `exportModel` gives the message, `model.export('m.onnx')` writes the file. */
import { GraphBuilder } from '../../../ir/builder.js';
import { isStatic } from '../../../ir/dim.js';
import { UnsupportedError, ValueError } from '../../../ir/errors.js';
import type { Value } from '../../../ir/graph.js';
import type { TensorData } from '../../../ir/tensor-data.js';
import { listOf, separateLayout, type Tensors, Trace } from '../../keras/backend/trace.js';
import type { Variable } from '../../keras/backend/variable.js';
import { symbolicInputs } from '../../keras/layers/layer.js';
import type { ModelBase } from '../../keras/models/base.js';
import type { ModelProto, TensorProto, ValueInfoProto } from '../schema/types.js';
import { writeActivation } from './activations.js';
import { writeLayer } from './layers/index.js';
import { CallRecorder } from './observer.js';
import { writePrimitive } from './primitives/index.js';
import { irVersionOf, opsets, tensorProto, valueInfo } from './proto.js';
import { Writer } from './writer.js';

export interface ExportOptions {
  /** Version of the default domain: 13 to 28; default 17, which every runtime of the last years reads. */
  readonly opset?: number;
  /** Name of the graph; default: the model's. */
  readonly name?: string;
  /** Free entries of the file's metadata. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/**
 * The model's inference as an ONNX model. Batch and other open sizes are named dimensions; inputs, outputs and weights keep their names. States that a stateful layer keeps
 * between runs become inputs with their present contents as defaults, and outputs named `…/next`. Throws UnsupportedError with the layer and op that ONNX cannot say.
 */
export async function exportModel(model: ModelBase, options: ExportOptions = {}): Promise<ModelProto> {
  const opset = options.opset ?? opsets.usual;
  if (!Number.isInteger(opset)) throw new ValueError(`export: 'opset' must be a whole number from ${opsets.lowest} to ${opsets.highest}, got ${String(opset)}`);
  const irVersion = irVersionOf(opset);
  if (!model.hasInputs)
    throw new ValueError(`export: the input shape of model '${model.name}' is not known yet: call it on data, or call build(inputShape), before`);
  // what the device has trained comes to the host
  await model.getWeights();
  const { specs, b, recorder } = traced(model);
  const graph = b.build();

  const variables = new Map<string, Variable>([...model.weights, ...model.allState].map((v) => [v.path, v]));
  const changed = new Map(graph.updates.map((u) => [u.slot, u.value]));
  const weights = new Map<Value, { readonly name: string; readonly data: TensorData }>();
  const states: { readonly name: string; readonly variable: Variable; readonly value: Value }[] = [];
  for (const slot of graph.state) {
    const variable = variables.get(slot.name);
    if (!variable)
      throw new UnsupportedError(
        `export: model '${model.name}' uses the state '${slot.name}' in inference, which is no weight: random numbers cannot be written as ONNX`,
      );
    if (changed.has(slot.name)) states.push({ name: slot.name, variable, value: slot.value });
    else weights.set(slot.value, { name: slot.name, data: { dtype: variable.dtype, shape: variable.shape, data: variable.value } });
  }

  const initializers: TensorProto[] = [];
  const names = new Set<string>();
  const lowering = { layer: writeLayer, activation: writeActivation, primitive: writePrimitive };
  const w = new Writer({ lowering, opset, recorder, weights, names, initializers, initializerNames: new Map(), done: new Set(), statics: new Map() }, graph);
  const input: ValueInfoProto[] = [];
  const takeInput = (name: string, v: Value): void => {
    const own = w.unique(name);
    w.define(v, own);
    input.push(valueInfo(own, v.dtype, v.shape));
  };
  graph.inputs.forEach((i, at) => takeInput(specs[at]!.name, i.value));
  for (const s of states) {
    takeInput(s.name, s.value);
    initializers.push(tensorProto(input.at(-1)!.name!, s.variable.dtype, s.variable.shape, s.variable.value));
  }
  const results = [
    ...graph.outputs.map((o) => ({ name: o.name, value: o.value })),
    ...states.map((s) => ({ name: `${s.name}/next`, value: changed.get(s.name)! })),
  ].map((r) => ({ ...r, name: w.unique(r.name) }));
  for (const r of results) w.want(r.value, r.name);
  for (const r of results) {
    const name = w.name(r.value);
    if (name !== r.name) w.nodes.push({ input: [name], output: [r.name], name: `${r.name}/Identity`, op_type: 'Identity', attribute: [] });
  }
  const outer = new Set([...input.map((i) => i.name), ...results.map((r) => r.name)]);
  return {
    ir_version: irVersion,
    producer_name: 'tenon',
    opset_import: [{ domain: '', version: opset }],
    graph: {
      name: options.name ?? model.name,
      node: w.nodes,
      initializer: initializers,
      input,
      output: results.map((r) => valueInfo(r.name, r.value.dtype, r.value.shape)),
      value_info: w.infos.filter((i) => !outer.has(i.name)),
    },
    metadata_props: Object.entries(options.metadata ?? {}).map(([key, value]) => ({ key, value })),
  };
}

/** Inference as a graph, and which values are results of which layers. */
function traced(model: ModelBase) {
  const recorder = new CallRecorder();
  const b = new GraphBuilder(model.name);
  const trace = new Trace(b, { training: false, layout: separateLayout, observer: recorder });
  const specs = model.feeds;
  const x = symbolicInputs(
    trace,
    specs.map((s) => s.shape),
    specs.map((s) => s.dtype),
  );
  for (const v of x) for (const d of v.shape) if (!isStatic(d)) b.declareSymbol(String(d), 1 << 10);
  const out = listOf(model.invoke(trace, x.length === 1 ? x[0]! : x, { training: false, mask: null }) as Tensors);
  out.forEach((o, i) => {
    b.output(model.outputNames[i]!, o.value);
  });
  return { specs, b, recorder };
}
