/**
 * An ONNX graph as a Keras model of layers. From the outputs backwards it is decided what each value is: a node, a product with its bias, an activation that is written as several nodes; then the
 * layers are made in the order of the nodes. Images get their channels last, with the weights rearranged; transpositions stay at the borders alone.
 */
import { InternalError, TenonError, UnsupportedError } from '../../../ir/errors.js';
import type { Value } from '../../../ir/graph.js';
import { Activation, Input } from '../../keras/layers/core.js';
import type { KerasTensor } from '../../keras/layers/node.js';
import type { ModelBase } from '../../keras/models/base.js';
import { FunctionalClass } from '../../keras/models/functional.js';
import type { Call } from '../import.js';
import type { ModelData } from '../model-data.js';
import { ConversionContext, plainName } from './context.js';
import { CallGraph, type PortInfo } from './graph.js';
import { composedNormalization } from './normalizations.js';
import { layerMakers } from './ops.js';
import { Templates } from './templates.js';
import type { Held } from './tensors.js';

export interface KerasOptions {
  /** Name of the model; default: the graph's. */
  readonly name?: string;
}

/** What becomes layers at once: the call that gives the result, and the values that it needs. */
interface Job {
  readonly call: Call;
  readonly needs: readonly Value[];
  readonly run: (c: ConversionContext) => Held | null;
}

const makerOf = (call: Call) => layerMakers[call.domain === '' ? call.op : `${call.domain}.${call.op}`];

/** Products and convolutions that take a bias, and the axis of the result along which it lies. */
const biased: Readonly<Record<string, (call: Call, rank: number) => number>> = {
  MatMul: (_, rank) => rank - 1,
  Gemm: () => 1,
  Einsum: (_, rank) => rank - 1,
  Conv: () => 1,
  ConvTranspose: () => 1,
};

/** A sum of a product without a bias, which is used here alone, and a known vector along its features. */
function withBias(graph: CallGraph, call: Call): Job | null {
  if (call.op !== 'Add') return null;
  for (const [at, other] of [
    [0, 1],
    [1, 0],
  ] as const) {
    const [x, k] = [call.inputs[at], call.inputs[other]];
    const inner = x && graph.producerOf(x);
    if (!x || !k || !inner || graph.isDynamic(k) || !graph.usedOnce(x) || !Object.hasOwn(biased, inner.op) || inner.domain !== '') continue;
    if ((inner.op === 'Gemm' || inner.op.startsWith('Conv')) && inner.inputs[2]) continue;
    if (inner.op === 'MatMul' && graph.isDynamic(inner.inputs[1]!)) continue;
    const rank = x.shape.length;
    const axis = biased[inner.op]!(inner, rank);
    const c = graph.contents(k);
    const wide = c && [...new Array<number>(Math.max(rank - c.shape.length, 0)).fill(1), ...c.shape];
    if (!c || wide!.length !== rank || wide!.some((d, i) => d !== (i === axis ? x.shape[i] : 1))) continue;
    const maker = makerOf(inner)!;
    return {
      call,
      needs: inner.inputs.filter((v): v is Value => v !== null && graph.isDynamic(v)),
      run: (context) => maker(context, inner, Float32Array.from(c.values)),
    };
  }
  return null;
}

/** Ops that the last step of a composed activation may be. */
const lastSteps = new Set(['Mul', 'Div', 'Add', 'Sub', 'Neg', 'Where', 'Clip', 'Max', 'Min', 'Sum', 'Log']);

function jobOf(graph: CallGraph, templates: Templates, v: Value, call: Call): Job {
  const sum = withBias(graph, call);
  if (sum) return sum;
  const norm = ['Add', 'Mul', 'Div'].includes(call.op) ? composedNormalization(graph, v) : null;
  if (norm) return { call, needs: [norm.x], run: (c) => norm.make(c, call) };
  const found = lastSteps.has(call.op) ? templates.find(v) : null;
  if (found) return { call, needs: [found.x], run: (c) => c.map(found.x, Activation(found.name, { name: c.layerName(call) })) };
  return {
    call,
    needs: call.inputs.filter((i): i is Value => i !== null && graph.isDynamic(i)),
    run: (c) => (makerOf(call) ?? c.refuse('it is no layer'))(c, call, null),
  };
}

/** The jobs that the outputs need. */
function jobsFor(graph: CallGraph): ReadonlyMap<Call, Job> {
  const templates = new Templates(graph);
  const jobs = new Map<Call, Job>();
  const open: Value[] = [...graph.outputs];
  for (let v = open.pop(); v; v = open.pop()) {
    const call = graph.producerOf(v);
    if (!call || jobs.has(call)) continue;
    const job = jobOf(graph, templates, v, call);
    jobs.set(call, job);
    open.push(...job.needs);
  }
  return jobs;
}

/** Throws UnsupportedError with every node that is no layer. */
export function kerasModel(data: ModelData, inputs: readonly PortInfo[], outputs: readonly PortInfo[], options: KerasOptions = {}): ModelBase {
  const graph = new CallGraph(data, inputs);
  const jobs = jobsFor(graph);
  // which layer gives an output is known when all are made; a second time it gets the output's name
  const first = layersOf(graph, jobs, inputs, outputs, new Map());
  const names = new Map<number, string>();
  first.ys.forEach((y, i) => {
    const at = first.asked.indexOf(y.history.node.layer.name);
    if (at >= first.xs.length && !names.has(at)) names.set(at, plainName(outputs[i]!.name));
  });
  const { xs, ys } = layersOf(graph, jobs, inputs, outputs, names);
  return new FunctionalClass({ inputs: xs, outputs: ys.length === 1 ? ys[0]! : ys, name: plainName(options.name ?? (data.graph.name || 'onnx')) });
}

function layersOf(
  graph: CallGraph,
  jobs: ReadonlyMap<Call, Job>,
  inputs: readonly PortInfo[],
  outputs: readonly PortInfo[],
  names: ReadonlyMap<number, string>,
): { readonly xs: readonly KerasTensor[]; readonly ys: readonly KerasTensor[]; readonly asked: readonly string[] } {
  const c = new ConversionContext(graph, names);
  const xs = inputs.map((i, at): KerasTensor => {
    const shape = i.shape!.map((d) => (typeof d === 'number' ? d : null));
    if (shape.length === 0) throw new UnsupportedError(`input '${i.name}' has no batch axis: it cannot be an Input of Keras`);
    if (i.dtype !== 'float32' && i.dtype !== 'int32' && i.dtype !== 'int64')
      throw new UnsupportedError(`input '${i.name}' is ${i.dtype}; layers take float32 and integers`);
    const x = Input({ batchShape: shape, dtype: i.dtype === 'float32' ? 'float32' : 'int32', name: c.unique(i.name) });
    c.tensors.define(graph.inputs[at]!, x);
    return x;
  });
  const problems: string[] = [];
  const broken = new Set<Value>();
  const fail = (where: string, e: unknown): void => {
    if (!(e instanceof TenonError) || e instanceof InternalError) throw e;
    problems.push(`${where}: ${e.message}`);
  };
  for (const call of graph.all) {
    const job = jobs.get(call);
    if (!job) continue;
    const results = call.outputs.filter((o): o is Value => o !== null);
    if (job.needs.some((v) => broken.has(v))) {
      for (const o of results) broken.add(o);
      continue;
    }
    c.begin(call.outputNames.find((o) => o !== '') ?? call.op);
    try {
      const held = job.run(c);
      if (held) c.tensors.define(call.outputs[0]!, held.tensor, held.axes);
    } catch (e) {
      fail(call.where, e);
      for (const o of results) broken.add(o);
    }
  }
  const used = new Set<string>();
  const ys = graph.outputs.map((v, i): KerasTensor | null => {
    const { name } = outputs[i]!;
    if (broken.has(v)) return null;
    try {
      if (!graph.isDynamic(v)) return c.refuse('it is a constant');
      c.begin(name);
      const y = c.tensors.plain(v);
      const { layer } = y.history.node;
      // inputs that are outputs, and tensors that are two outputs
      const again = used.has(layer.name) || xs.includes(y);
      used.add(layer.name);
      return again && y.history.node.outputs.length === 1 ? c.apply(Activation('linear', { name: c.unique(name) }), y) : y;
    } catch (e) {
      fail(`output '${name}'`, e);
      return null;
    }
  });
  if (problems.length > 0)
    throw new UnsupportedError(
      `the graph is not made of Keras layers; ${problems.length} node${problems.length === 1 ? '' : 's'}:\n${problems.map((p) => `  ${p}`).join('\n')}`,
    );
  return { xs, ys: ys as readonly KerasTensor[], asked: c.asked };
}
