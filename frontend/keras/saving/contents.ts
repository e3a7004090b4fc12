/** What is written of a live model: the opposite of `apply.ts`. */
import { ShapeError } from '../../../ir/errors.js';
import { sizeOf } from '../../../ir/tensor-data.js';
import { runEagerly } from '../backend/run-eagerly.js';
import { iterationSlot } from '../backend/trace.js';
import type { Variable } from '../backend/variable.js';
import type { Layer } from '../layers/layer.js';
import type { ModelBase, ModelState } from '../models/base.js';
import type { OptimizerApi } from '../optimizers/index.js';
import { type Json, type JsonObject, type Semantics, type SerializedObject, writtenWithAssets } from '../utils/serialization.js';
import { idfOf, innerIdfOf, vocabulariesOf } from './assets.js';
import { objectsOf, ownWeightsOf } from './objects.js';
import { optimizerVariables } from './optimizer-variables.js';
import type { ArrayContents, ModelContents, OptimizerContents, TrackedContents } from './saved-model.js';
import { type TrackedObject, trackedObjects } from './tracked.js';
import { optimizerConfig, trainingOf } from './training-config.js';

export interface ContentsOptions {
  readonly generation: Semantics;
  readonly includeOptimizer: boolean;
  /** Whether learned vocabularies lie beside the configuration. */
  readonly assets: boolean;
}

type ContentsOf = (v: Variable) => ArrayContents;

/** One object for each weight. */
function remembering(): ContentsOf {
  const known = new Map<Variable, ArrayContents>();
  return (v) => {
    const found = known.get(v) ?? { name: v.path, shape: v.shape, data: v.value };
    known.set(v, found);
    return found;
  };
}

function trackedContents(model: ModelBase, contentsOf: ContentsOf): TrackedContents {
  const known = new Map<TrackedObject, TrackedContents>();
  const of = (o: TrackedObject): TrackedContents => {
    const found = known.get(o) ?? { children: o.children.map(([name, c]) => [name, of(c)] as const), array: o.variable ? contentsOf(o.variable) : null };
    known.set(o, found);
    return found;
  };
  return of(trackedObjects(model));
}

/** Brings everything to the host and arranges it for a file. */
export async function contentsOfModel(model: ModelBase, o: ContentsOptions): Promise<ModelContents> {
  if (!model.hasInputs)
    throw new ShapeError(`model '${model.name}' cannot be saved before its input shape is known: call buildFor(shape), or fit or predict once`);
  const state = await model.exportState();
  const contentsOf = remembering();
  const { optimizer, covered } = o.includeOptimizer ? optimizerOf(model, state, o.generation, contentsOf) : { optimizer: null, covered: new Set<string>() };
  const training = o.includeOptimizer ? trainingOf(model, o.generation) : null;
  const ordered = (layer: Layer): Variable[] => [...layer.trainableWeights, ...layer.nonTrainableWeights];
  const slots = [...state.slots].filter(([name]) => o.includeOptimizer && !covered.has(name));
  const states = model.allState;
  const json: JsonObject = {
    version: 1,
    semantics: model.semantics,
    seed: state.seed,
    shuffle: state.shuffle as unknown as Json,
    slots: slots.map(([name]) => name),
    states: states.length,
  };
  const objects = objectsOf(model, o.generation);
  return {
    name: model.name,
    generation: o.generation,
    config: o.assets ? writtenWithAssets(() => model.serialized(o.generation)) : model.serialized(o.generation),
    training,
    layers: model.layers.map((l) => ({ name: l.name, weights: ordered(l).map(contentsOf) })),
    ownWeights: ownWeightsOf(model).map(contentsOf),
    objects: objects.flatMap((x) => [{ path: x.path, title: x.title, variables: x.variables.map(contentsOf), named: idfOf(x) }, ...innerIdfOf(x)]),
    weights: model.weights.map(contentsOf),
    tracked: trackedContents(model, contentsOf),
    optimizer,
    vocabularies: o.assets ? vocabulariesOf(objects) : [],
    extra: {
      json,
      arrays: [
        ...slots.map(([, data], i): ArrayContents => ({ name: `slot_${i}`, shape: [data.length], data })),
        ...states.map((v, i): ArrayContents => ({ name: `state_${i}`, shape: v.shape, data: v.value })),
      ],
    },
  };
}

/** The optimizer's variables; null where the optimizer has not made any yet. */
function optimizerOf(
  model: ModelBase,
  state: ModelState,
  generation: Semantics,
  contentsOf: ContentsOf,
): { optimizer: OptimizerContents | null; covered: Set<string> } {
  const o = model.optimizer;
  const covered = new Set<string>();
  const iteration = state.slots.get(iterationSlot);
  if (!o || !iteration) return { optimizer: null, covered };
  const api: OptimizerApi = o.api === 'legacy' && generation === 'keras2' ? 'legacy' : generation;
  const weights = model.trainableWeights;
  const inOrder = state.layout.flat.parts.map((p) => p.variable);
  const none = { slot: null, weight: null, of: null };
  const variables = optimizerVariables(o, api, weights).map((v): OptimizerContents['variables'][number] => {
    if (v.kind === 'iteration') {
      covered.add(iterationSlot);
      return { name: v.name, shape: [], data: BigInt64Array.of(BigInt(iteration[0]!)), ...none };
    }
    if (v.kind === 'learningRate') return { name: v.name, shape: [], data: Float32Array.of(o.learningRate), ...none };
    if (v.kind === 'scalar') {
      if (v.slot === null) return { name: v.name, shape: [], data: Float32Array.of(0), ...none };
      covered.add(o.stateName(v.slot));
      return { name: v.name, shape: [], data: state.slots.get(o.stateName(v.slot)) ?? Float32Array.of(o.scalarSlots()[v.slot]!), ...none };
    }
    const w = weights[v.weight]!;
    const slot = o.stateName(v.slot);
    covered.add(slot);
    const { offset, shape } = o.slotLayout(v.slot, inOrder).parts.find((p) => p.variable === w)!;
    const size = sizeOf(shape);
    const all = state.slots.get(slot) ?? o.initialSlot(v.slot, state.layout.gather());
    const data = all ? all.subarray(offset, offset + size) : new Float32Array(size);
    return { name: v.name, shape, data, slot: v.kerasSlot, weight: w.path, of: contentsOf(w) };
  });
  const { schedule } = o;
  const step = Float32Array.of(iteration[0]!);
  const learningRate = schedule
    ? runEagerly('schedule', false, (t) => Number(schedule.call(t.tensor(t.b.constant({ dtype: 'float32', shape: [], data: step }))).toTensor().data[0]))
    : o.learningRate;
  return { optimizer: { config: optimizerConfig(o, generation), legacy: api === 'legacy', learningRate, scheduled: schedule !== null, variables }, covered };
}

/** Layers of a configuration without the keys that came with Keras 2.13, as legacy H5 files have them. */
export function withoutModules(serialized: SerializedObject): SerializedObject {
  const { module: _, registered_name: __, build_config: ___, compile_config: ____, ...rest } = serialized as SerializedObject & Record<string, Json>;
  const layers = (rest.config as JsonObject)?.layers;
  if (!Array.isArray(layers)) return rest as unknown as SerializedObject;
  const stripped = (layers as unknown as SerializedObject[]).map(withoutModules) as unknown as Json;
  return { ...rest, config: { ...(rest.config as JsonObject), layers: stripped } } as unknown as SerializedObject;
}
