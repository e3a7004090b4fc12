/** Family `training`: whole models through fit, evaluate and predict. */

import * as callbacks from '../../frontend/keras/callbacks/index.js';
import * as losses from '../../frontend/keras/losses/index.js';
import * as metrics from '../../frontend/keras/metrics/index.js';
import type { CompileOptions } from '../../frontend/keras/models/compiled.js';
import type { FitOptions } from '../../frontend/keras/models/loops.js';
import { modelFromConfig } from '../../frontend/keras/models/serialization.js';
import * as optimizers from '../../frontend/keras/optimizers/index.js';
import { Tensor } from '../../frontend/keras/tensor.js';
import { isSerialized, type JsonObject, type Semantics, type SerializedObject } from '../../frontend/keras/utils/serialization.js';
import { UnsupportedError } from '../../ir/errors.js';
import { type ArrayRef, available, type CaseHeader, type Checker, finite, type Target } from './cases.js';

interface Compile {
  readonly optimizer: string | (SerializedObject & { readonly api: string });
  readonly loss: unknown;
  readonly loss_weights?: Readonly<Record<string, number>> | readonly number[];
  readonly metrics?: unknown;
  readonly weighted_metrics?: unknown;
}

interface TrainingCase extends CaseHeader {
  readonly model: SerializedObject;
  readonly compile: Compile;
  readonly fit: {
    readonly epochs: number;
    readonly batch_size: number;
    readonly validation_split?: number;
    readonly class_weight?: Readonly<Record<number, number>>;
  };
  readonly callbacks: readonly { readonly class_name: string; readonly attributes: JsonObject }[];
  readonly data: Readonly<Record<'x' | 'y' | 'sample_weight' | 'validation_x' | 'validation_y', readonly ArrayRef[] | null | undefined>>;
  readonly weights: readonly ArrayRef[];
  readonly final_weights: readonly ArrayRef[];
  readonly history: Readonly<Record<string, readonly (number | string)[]>>;
  readonly epochs: readonly number[];
  readonly learning_rate_at_epoch_end: readonly number[];
  readonly evaluated_on: string;
  /** The loss, then metrics. */
  readonly evaluate: readonly (number | string)[];
  readonly evaluate_by_name: Readonly<Record<string, number | string>>;
  readonly predict: readonly ArrayRef[];
}

/** Every serialized object in a tree of lists and objects by name, made into what it stands for. */
function mapped(x: unknown, make: (s: SerializedObject) => unknown): unknown {
  if (isSerialized(x)) return make(x);
  if (Array.isArray(x)) return x.map((v) => mapped(v, make));
  if (typeof x === 'object' && x !== null) return Object.fromEntries(Object.entries(x).map(([k, v]) => [k, mapped(v, make)]));
  return x;
}

/** Names of losses, to find unknown ones before the model runs. */
const leaves = (x: unknown): unknown[] =>
  Array.isArray(x)
    ? x.flatMap(leaves)
    : typeof x === 'object' && x !== null && !isSerialized(x)
      ? Object.values(x).flatMap(leaves)
      : x === null || x === undefined
        ? []
        : [x];

function compileOptions(c: TrainingCase, semantics: Semantics): CompileOptions {
  const o = c.compile.optimizer;
  const api: optimizers.OptimizerApi = typeof o === 'object' && o.api.includes('legacy') ? 'legacy' : semantics;
  const names = [...leaves(c.compile.metrics), ...leaves(c.compile.weighted_metrics)];
  for (const n of names) metrics.get(n as metrics.MetricIdentifier, [1, 2], [1, 2], semantics);
  for (const n of leaves(c.compile.loss)) losses.get(n as losses.LossIdentifier, semantics);
  const metric = (x: unknown) => (x === undefined ? null : (mapped(x, (s) => metrics.deserialize(s, semantics)) as CompileOptions['metrics']));
  return {
    optimizer: optimizers.get(o, api),
    loss: mapped(c.compile.loss, (s) => losses.deserialize(s, semantics)) as CompileOptions['loss'],
    lossWeights: c.compile.loss_weights ?? null,
    metrics: metric(c.compile.metrics),
    weightedMetrics: metric(c.compile.weighted_metrics),
  };
}

function callbackOf({ class_name, attributes: a }: TrainingCase['callbacks'][number]): callbacks.Callback {
  switch (class_name) {
    case 'EarlyStopping':
      return callbacks.EarlyStopping({
        monitor: a.monitor as string,
        patience: a.patience as number,
        minDelta: Math.abs(a.min_delta as number),
        baseline: a.baseline as number | null,
        restoreBestWeights: a.restore_best_weights as boolean,
        startFromEpoch: a.start_from_epoch as number,
      });
    case 'LearningRateScheduler':
      return callbacks.LearningRateScheduler((epoch, rate) => (epoch >= 2 ? rate * 0.5 : rate));
    case 'ReduceLROnPlateau':
      return callbacks.ReduceLROnPlateau({
        monitor: a.monitor as string,
        factor: a.factor as number,
        patience: a.patience as number,
        minDelta: a.min_delta as number,
        cooldown: a.cooldown as number,
        minLr: a.min_lr as number,
      });
    default:
      throw new UnsupportedError(`unknown callback '${class_name}'`);
  }
}

export async function runTrainingCase(json: CaseHeader, check: Checker, target: Target): Promise<void> {
  const c = json as TrainingCase;
  const { model, options, list } = available(() => ({
    model: modelFromConfig(c.model, { semantics: c.semantics }),
    options: compileOptions(c, c.semantics),
    list: c.callbacks.map(callbackOf),
  }));
  const arrays = (refs: readonly ArrayRef[] | null | undefined) =>
    refs?.map((r) => {
      const t = check.array(r);
      return new Tensor(t.data, t.shape, t.dtype);
    });
  const argument = (refs: readonly ArrayRef[] | null | undefined) => {
    const list = arrays(refs);
    return list && (list.length === 1 ? list[0]! : list);
  };
  check.truth(
    'shapes of weights',
    model.weights.map((w) => w.shape),
    c.weights.map((w) => w.shape),
  );
  model.setWeights(arrays(c.weights)!);
  model.compile({ ...options, device: target.device });
  // the optimizer was serialized after training: callbacks have changed its rate
  if (c.callbacks.some((cb) => cb.class_name === 'LearningRateScheduler' || cb.class_name === 'ReduceLROnPlateau'))
    model.optimizer!.learningRate = c.learning_rate_at_epoch_end[0]!;
  const rates: number[] = [];
  const observer = { onEpochEnd: () => void rates.push(model.optimizer!.schedule ? Number.NaN : model.optimizer!.learningRate) };
  const x = argument(c.data.x)!;
  const y = argument(c.data.y)!;
  const validation = c.data.validation_x ? ([argument(c.data.validation_x)!, argument(c.data.validation_y)!] as const) : null;
  const fit: FitOptions = {
    epochs: c.fit.epochs,
    batchSize: c.fit.batch_size,
    shuffle: false,
    verbose: 0,
    callbacks: [...list, observer],
    validationSplit: c.fit.validation_split ?? 0,
    classWeight: c.fit.class_weight ?? null,
    sampleWeight: argument(c.data.sample_weight) ?? null,
    validationData: validation,
  };
  try {
    const history = await model.fit(x, y, fit);
    const named = Object.fromEntries(Object.entries(history.history).map(([k, v]) => [k === 'learning_rate' && 'lr' in c.history ? 'lr' : k, v]));
    check.truth('epochs', history.epoch, c.epochs);
    check.truth('names in the history', Object.keys(named).sort(), Object.keys(c.history).sort());
    for (const [name, values] of Object.entries(c.history)) check.numbers(`history of ${name}`, named[name] ?? [], values.map(finite));
    if (!model.optimizer!.schedule) check.numbers('learning rates', rates, c.learning_rate_at_epoch_end);
    const weights = await model.getWeights();
    c.final_weights.forEach((ref, i) => {
      check.equal(`final ${model.weights[i]?.path}`, weights[i] ?? null, ref);
    });
    const on = c.evaluated_on === 'validation' && validation ? validation : ([x, y] as const);
    // the generator evaluated twice, which shows in the states of stateful layers
    const evaluated = { batchSize: c.fit.batch_size, verbose: 0 } as const;
    const list = [await model.evaluate(on[0], on[1], evaluated)].flat();
    // Keras 3 repeats values of metrics that are there with and without weights: of such lists the loss alone is compared
    const repeated = c.evaluate.length > Object.keys(c.evaluate_by_name).length;
    check.numbers('evaluate', repeated ? list.slice(0, 1) : list, c.evaluate.slice(0, repeated ? 1 : undefined).map(finite));
    const results = await model.evaluate(on[0], on[1], { ...evaluated, returnDict: true });
    for (const [name, value] of Object.entries(c.evaluate_by_name)) check.numbers(`evaluate: ${name}`, [results[name] ?? Number.NaN], [finite(value)]);
    const outputs = await model.predictAll(on[0], { batchSize: c.fit.batch_size });
    c.predict.forEach((ref, i) => {
      check.equal(`prediction ${i}`, outputs[i] ?? null, ref);
    });
  } finally {
    model.dispose();
  }
}
