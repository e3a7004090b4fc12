/** From the data that users give to programs: checks, batch sizes, and data sets on the device. */
import { ValueError } from '../../../ir/errors.js';
import type { Tensor } from '../tensor.js';
import { positiveInteger } from '../utils/options.js';
import type { ModelBase } from './base.js';
import { checkEmbeddingIds, type DataSet, dataSpec, inputArrays, targetArrays, weightArrays } from './data.js';
import type { Program, ResidentData } from './executor.js';
import { evaluateGraph, inputName, trainGraph } from './programs.js';
import type { ModelSession } from './session.js';

/** Checked data for the model. A model without an input shape is built for the data. */
export function dataSet(
  what: string,
  model: ModelBase,
  x: unknown,
  y: unknown,
  sampleWeight: unknown,
  classWeight: Readonly<Record<number, number>> | null,
): DataSet {
  buildFrom(what, model, x);
  const inputs = inputArrays(what, x, model.inputSpecs);
  checkEmbeddingIds(what, inputs, model.embeddingTables());
  const count = inputs[0]!.shape[0]!;
  const specs = { outputNames: model.outputNames, losses: model.compiled.losses, classes: model.outputShapes().map((s) => s.at(-1) ?? null) };
  const targets = targetArrays(what, y, specs, count);
  return { count, x: inputs, y: targets, weights: weightArrays(what, sampleWeight, classWeight, targets, specs, count) };
}

export function buildFrom(what: string, model: ModelBase, x: unknown): void {
  if (model.hasInputs || x === null || x === undefined || model.buildOnData(what, x)) return;
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
  model.inputSpecs.forEach((s, i) => {
    s.shape.forEach((dim, axis) => {
      if (dim === null && axis > 0) sizes[`axis${axis}`] = d.x[i]!.shape[axis]!;
    });
  });
  return sizes;
}

/** The batch size that a run uses: that of the model where it is fixed. */
export function batchFor(what: string, model: ModelBase, wanted: number | undefined, count: number): number {
  const fixed = model.inputSpecs[0]!.shape[0] ?? null;
  const batch = wanted === undefined ? (fixed ?? 32) : positiveInteger(what, 'batchSize', wanted);
  if (fixed === null) return Math.min(batch, count);
  if (batch !== fixed) throw new ValueError(`${what}: the model has the fixed batch size ${fixed}, got batchSize ${batch}`);
  if (count % fixed !== 0)
    throw new ValueError(`${what}: the model has the fixed batch size ${fixed}: the number of samples (${count}) must be a multiple of it`);
  return batch;
}

/** A data set on the device, with the program that reads it. */
export interface Loaded {
  readonly program: Program;
  readonly count: number;
  readonly batch: number;
  readonly symbols: Readonly<Record<string, number>>;
  readonly resident: Record<string, ResidentData>;
}

export async function loadData(session: ModelSession, model: ModelBase, mode: 'train' | 'evaluate', d: DataSet, batch: number): Promise<Loaded> {
  const spec = dataSpec(d);
  const key = `${mode} ${JSON.stringify(spec)} ${batch} ${d.count}`;
  const build = mode === 'train' ? trainGraph : evaluateGraph;
  const program = await session.program(key, mode, () => build(model, session.layout, model.compiled, spec, { batch, samples: d.count }));
  const resident: Record<string, ResidentData> = {};
  const upload = (kind: 'x' | 'y' | 'sample_weight', list: readonly (Tensor | null)[]) => {
    list.forEach((t, i) => {
      if (t) resident[inputName(kind, i, list.length, true)] = session.executor.upload(t.dtype, t.shape, t.data);
    });
  };
  upload('x', d.x);
  upload('y', d.y);
  upload('sample_weight', d.weights);
  return { program, count: d.count, batch, symbols: { samples: d.count, ...openSizes(model, d) }, resident };
}

export function release(loaded: Loaded | null): void {
  for (const r of Object.values(loaded?.resident ?? {})) r.dispose();
}
