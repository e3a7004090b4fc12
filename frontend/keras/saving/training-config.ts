/** What `compile` was given, as Keras writes it into files, and back. */
import { ModelFormatError, UnsupportedError, ValueError } from '../../../ir/errors.js';
import * as losses from '../losses/index.js';
import * as metrics from '../metrics/index.js';
import type { ModelBase } from '../models/base.js';
import type { CompileOptions } from '../models/compiled.js';
import * as optimizers from '../optimizers/index.js';
import { type CustomObjects, getRegisteredObject } from '../utils/custom-objects.js';
import { isPlainObject } from '../utils/options.js';
import { isSerialized, type Json, type JsonObject, type Semantics, type SerializedObject } from '../utils/serialization.js';
import type { TrainingConfig } from './saved-model.js';

/** A loss, metric or function of the user's own, or null. */
const custom = (objects: CustomObjects, name: string): unknown => getRegisteredObject(name, objects);

/** Losses and metrics in lists and objects, each written. */
function written(x: unknown, write: (v: object) => SerializedObject): Json {
  if (x === null || x === undefined || typeof x === 'string' || typeof x === 'number') return x;
  if (typeof x === 'function' && !(x instanceof losses.Loss) && !(x instanceof metrics.Metric)) {
    if (!x.name) throw new UnsupportedError('a loss or metric that is a function without a name cannot be saved: give it a name');
    return x.name;
  }
  if (Array.isArray(x)) return x.map((v) => written(v, write));
  if (isSerialized(x)) return x as unknown as Json;
  if (isPlainObject(x)) return Object.fromEntries(Object.entries(x).map(([k, v]) => [k, written(v, write)]));
  return write(x as object) as unknown as Json;
}

/** Keras 2 and 3 have other keys in an optimizer's config. */
export function optimizerConfig(o: optimizers.Optimizer, generation: Semantics): SerializedObject {
  const { class_name, config } = optimizers.serialize(o);
  if (generation === 'keras3') {
    if (o.decay > 0) throw new UnsupportedError(`the option decay of the legacy ${class_name} does not exist in Keras 3: save for Keras 2`);
    const { decay: _, ...given } = config;
    // Keras 3 wants a momentum that is a float, which 0 in JSON is not; it is the default
    const { momentum, ...others } = given;
    const rest = class_name === 'SGD' && momentum === 0 ? others : given;
    return { module: 'keras.optimizers', class_name, config: { loss_scale_factor: null, gradient_accumulation_steps: null, ...rest }, registered_name: null };
  }
  if (o.gradientAccumulationSteps)
    throw new UnsupportedError(`the option gradientAccumulationSteps of ${class_name} does not exist in Keras 2: save for Keras 3`);
  if (o.api === 'legacy') return { module: 'keras.optimizers.legacy', class_name, config, registered_name: null };
  return { module: 'keras.optimizers', class_name, config: { jit_compile: false, is_legacy_optimizer: false, ...config }, registered_name: null };
}

/** The parts of `compile` in a file, or null when the model is not compiled. */
export function trainingOf(model: ModelBase, generation: Semantics): JsonObject | null {
  if (!model.optimizer) return null;
  const given = model.compiled.given;
  return {
    optimizer: optimizerConfig(model.optimizer, generation) as unknown as Json,
    loss: written(given.loss, (x) => losses.serialize(x as losses.Loss)),
    metrics: written(given.metrics, (x) => metrics.serialize(x as metrics.Metric)),
    loss_weights: given.lossWeights as Json,
    weighted_metrics: written(given.weightedMetrics, (x) => metrics.serialize(x as metrics.Metric)),
  };
}

/** Names of losses as objects: Keras 3 does not read short names such as `mse` back from its H5 files. */
export const lossObjects = (x: Json): Json =>
  typeof x === 'string'
    ? knownLoss(x)
    : Array.isArray(x)
      ? x.map(lossObjects)
      : isPlainObject(x) && !isSerialized(x)
        ? Object.fromEntries(Object.entries(x).map(([k, v]) => [k, lossObjects(v as Json)]))
        : x;

function knownLoss(name: string): Json {
  try {
    return losses.serialize(losses.get(name)) as unknown as Json;
  } catch (e) {
    // a function of the user's own is known by its name alone
    if (e instanceof UnsupportedError) return name;
    throw e;
  }
}

/** A function that a file names: `{ class_name: 'function', config: name }`, or the name alone. */
function functionName(x: unknown): string | null {
  if (typeof x === 'string') return x;
  return isPlainObject(x) && x.class_name === 'function' && typeof x.config === 'string' ? x.config : null;
}

function map(x: Json, read: (v: Json) => unknown): unknown {
  if (x === null || x === undefined) return null;
  if (Array.isArray(x)) return x.map((v) => map(v, read));
  if (isPlainObject(x) && typeof x.class_name !== 'string') return Object.fromEntries(Object.entries(x).map(([k, v]) => [k, map(v as Json, read)]));
  return read(x);
}

function lossOf(x: Json, semantics: Semantics, objects: CustomObjects): unknown {
  const name = functionName(x);
  if (name !== null) return custom(objects, name) ?? name;
  const s = serialized(x);
  const own = custom(objects, s.class_name);
  if (own) return Reflect.construct(own as new () => unknown, [s.config]);
  // tf_keras wraps functions: { class_name: 'LossFunctionWrapper', config: { fn } }
  const fn = functionName(s.config?.fn);
  if (s.class_name === 'LossFunctionWrapper' && fn !== null) return custom(objects, fn) ?? fn;
  return losses.get(s, semantics);
}

/** A loss or metric that is no name. */
function serialized(x: Json): SerializedObject {
  if (isPlainObject(x) && typeof x.class_name === 'string') return x as unknown as SerializedObject;
  throw new ModelFormatError(`a loss or metric of the file is neither a name nor an object with class_name: ${(JSON.stringify(x) ?? 'nothing').slice(0, 200)}`);
}

function metricOf(x: Json, semantics: Semantics, objects: CustomObjects): unknown {
  const name = functionName(x);
  if (name !== null) return custom(objects, name) ?? name;
  const s = serialized(x);
  const own = custom(objects, s.class_name);
  if (own) return Reflect.construct(own as new () => unknown, [s.config]);
  if (s.class_name !== 'MeanMetricWrapper') return metrics.deserialize(s, semantics);
  const fn = functionName(s.config?.fn);
  if (fn === null) throw new UnsupportedError('a metric of the file wraps a function that has no name');
  const known = custom(objects, fn);
  if (known) return known;
  const { name: own2, dtype: _, fn: __, ...rest } = s.config ?? {};
  const metric = metrics.deserialize({ class_name: fn, config: rest }, semantics);
  return metrics.named(metric, String(own2 ?? fn));
}

/** What `compile` is to be given. */
export function compileOptions(t: TrainingConfig, semantics: Semantics, objects: CustomObjects): CompileOptions {
  if (t.optimizer === null) throw new ValueError('the file has no optimizer');
  const api = t.legacyOptimizer ? 'legacy' : semantics;
  const given = typeof t.optimizer === 'string' ? t.optimizer : modernOptimizer(t.optimizer);
  return {
    optimizer: optimizers.get(given, api),
    loss: map(t.loss, (x) => lossOf(x, semantics, objects)) as CompileOptions['loss'],
    lossWeights: (t.lossWeights ?? null) as CompileOptions['lossWeights'],
    metrics: map(t.metrics, (x) => metricOf(x, semantics, objects)) as CompileOptions['metrics'],
    weightedMetrics: map(t.weightedMetrics, (x) => metricOf(x, semantics, objects)) as CompileOptions['metrics'],
  };
}

/** Keras before 2.3 wrote `lr`. */
function modernOptimizer(o: SerializedObject): SerializedObject {
  const { lr, epsilon, ...rest } = (o.config ?? {}) as JsonObject;
  const config: Record<string, Json> = { ...rest, ...(epsilon !== undefined && epsilon !== null ? { epsilon } : {}) };
  if (lr !== undefined && config.learning_rate === undefined) config.learning_rate = lr;
  return { ...o, config };
}
