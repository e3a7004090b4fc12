/** From the data that users give to programs: checks, batch sizes, and data sets on the device. */
import { ValueError } from '../../../ir/errors.js';
import { isText, toStringTensor } from '../strings.js';
import type { Tensor } from '../tensor.js';
import { positiveInteger } from '../utils/options.js';
import type { ModelBase } from './base.js';
import { checkEmbeddingIds, type DataSet, dataSpec, feedArrays, formOf, inputArrays, partNames, targetArrays, weightArrays } from './data.js';
import type { Program, ResidentData } from './executor.js';
import { evaluateGraph, type Form, inputName, trainGraph } from './programs.js';
import type { ModelSession } from './session.js';
import { DataStream, samplesAtOnce } from './streaming.js';

/** Checked data for the model. A model without an input shape is built for the data. */
export function dataSet(
  what: string,
  model: ModelBase,
  x: unknown,
  y: unknown,
  sampleWeight: unknown,
  classWeight: Readonly<Record<number, number>> | null,
  mode: 'train' | 'evaluate',
): DataSet {
  buildFrom(what, model, x);
  const inputs = feedArrays(what, x, model);
  checkEmbeddingIds(what, inputs, model.embeddingTables());
  const count = inputs[0]!.shape[0]!;
  if (model.hasOwn(mode === 'train' ? 'trainStep' : 'testStep')) {
    // the step knows what its targets are
    const forms = { x: model.inputForm, y: formOf(y), weights: formOf(sampleWeight) };
    const specsOf = (given: unknown, form: Form) => {
      const names = partNames(given, form);
      return { outputNames: names, losses: names.map(() => null), classes: names.map(() => null) };
    };
    const targets = targetArrays(what, y, specsOf(y, forms.y), count);
    const weights = weightArrays(what, sampleWeight, classWeight, targets, specsOf(sampleWeight, forms.weights), count);
    return { count, x: inputs, y: targets, weights, forms };
  }
  const specs = { outputNames: model.outputNames, losses: model.compiled.losses, classes: model.outputShapes().map((s) => s.at(-1) ?? null) };
  const targets = targetArrays(what, y, specs, count);
  return { count, x: inputs, y: targets, weights: weightArrays(what, sampleWeight, classWeight, targets, specs, count) };
}

export function buildFrom(what: string, model: ModelBase, x: unknown): void {
  if (model.hasInputs || x === null || x === undefined || model.buildOnData(what, x)) return;
  if (isText(x)) {
    model.buildFor([null, ...toStringTensor(what, x).shape.slice(1)]);
    return;
  }
  const [t] = inputArrays(what, x, [{ name: 'x', shape: shapeOf(x), dtype: 'float32' }]);
  model.buildFor([null, ...t!.shape.slice(1)]);
}

/** Any shape of the right rank. */
function shapeOf(x: unknown): null[] {
  let rank = 0;
  if (typeof x === 'object' && x !== null && 'shape' in x) rank = (x.shape as readonly number[]).length;
  else for (let at = x; Array.isArray(at) || ArrayBuffer.isView(at); at = (at as ArrayLike<unknown>)[0]) rank++;
  return new Array<null>(rank).fill(null);
}

/** Symbols of a data set: sizes that the model leaves open. */
export function openSizes(model: ModelBase, d: Pick<DataSet, 'x'>): Record<string, number> {
  const sizes: Record<string, number> = {};
  model.feeds.forEach((s, i) => {
    s.shape.forEach((dim, axis) => {
      if (dim === null && axis > 0) sizes[`axis${axis}`] = d.x[i]!.shape[axis]!;
    });
  });
  return sizes;
}

/** The batch size that a run uses: that of the model where it is fixed. */
export function batchFor(what: string, model: ModelBase, wanted: number | undefined, count: number, option = 'batchSize'): number {
  const fixed = model.inputSpecs[0]!.shape[0] ?? null;
  const batch = wanted === undefined ? (fixed ?? 32) : positiveInteger(what, option, wanted);
  if (fixed === null) return Math.min(batch, count);
  if (batch !== fixed) throw new ValueError(`${what}: the model has the fixed batch size ${fixed}, got ${option} ${batch}`);
  if (count % fixed !== 0)
    throw new ValueError(`${what}: the model has the fixed batch size ${fixed}: the number of samples (${count}) must be a multiple of it`);
  return batch;
}

/** A data set on the device, or streamed to it, with the program that reads it. */
export interface Loaded {
  readonly program: Program;
  readonly count: number;
  readonly batch: number;
  readonly symbols: Readonly<Record<string, number>>;
  readonly resident: Record<string, ResidentData>;
  /** Not all of it fits: it is brought in pieces. */
  readonly stream: DataStream | null;
}

/** The arrays of a data set by the names of the programs' inputs. */
function namedArrays(d: DataSet): [string, Tensor][] {
  const named = (kind: 'x' | 'y' | 'sample_weight', list: readonly (Tensor | null)[]): [string, Tensor][] =>
    list.flatMap((t, i): [string, Tensor][] => (t ? [[inputName(kind, i, list.length, true), t]] : []));
  return [...named('x', d.x), ...named('y', d.y), ...named('sample_weight', d.weights)];
}

/** `residentBytes`: larger sets are streamed; null: what the device holds. */
export async function loadData(
  session: ModelSession,
  model: ModelBase,
  mode: 'train' | 'evaluate',
  d: DataSet,
  batch: number,
  residentBytes: number | null,
): Promise<Loaded> {
  const spec = dataSpec(d);
  const arrays = namedArrays(d);
  const { executor } = session;
  const samples = samplesAtOnce(arrays, d.count, batch, executor.residentLimit, residentBytes);
  const key = `${mode} ${JSON.stringify(spec)} ${batch} ${samples}`;
  const build = mode === 'train' ? trainGraph : evaluateGraph;
  const program = await session.program(key, mode, () => build(model, session.layout, model.compiled, spec, { batch, samples }));
  const streamed = samples < d.count;
  const resident: Record<string, ResidentData> = {};
  if (!streamed) for (const [name, t] of arrays) resident[name] = executor.upload(t.dtype, t.shape, t.data);
  const stream = streamed ? new DataStream(executor, arrays, d.count, samples, mode === 'train') : null;
  return { program, count: d.count, batch, symbols: { samples, ...openSizes(model, d) }, resident, stream };
}

export function release(loaded: Loaded | null): void {
  for (const r of Object.values(loaded?.resident ?? {})) r.dispose();
  loaded?.stream?.dispose();
}
