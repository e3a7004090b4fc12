/**
 * What a step does with a batch: the loss and the metrics that `compile` was given, and steps of one's own (`trainStep`, `testStep`, `predictStep`), as in Keras' guide "Customizing what happens
 * in fit". A step is traced once, and is one graph whatever it does.
 */
import { gradients } from '../../../ir/autodiff.js';
import type { Dim } from '../../../ir/dim.js';
import { ShapeError, ValueError } from '../../../ir/errors.js';
import { runningTrace, within } from '../backend/context.js';
import * as ops from '../backend/ops.js';
import { SymbolicTensor, type Tensors, type Trace } from '../backend/trace.js';
import { LastClass, Metric, MetricResult } from '../metrics/index.js';
import { describe, isPlainObject } from '../utils/options.js';
import { after } from '../utils/promises.js';
import type { ModelBase } from './base.js';
import type { Compiled, ResolvedMetrics } from './compiled.js';
import type { Batch, DataSpec, Form } from './programs.js';

/** Tensors as the user gave arrays: one, a list, or an object by names. */
export type StepTensor = Tensors | Readonly<Record<string, SymbolicTensor>>;

/** A batch, as a step of one's own gets it. */
export interface StepData<X = SymbolicTensor, Y = SymbolicTensor, W = SymbolicTensor | null> {
  readonly x: X;
  /** null where `fit` was given none. */
  readonly y: Y;
  readonly sampleWeight: W;
}
export type AnyStepData = StepData<StepTensor, StepTensor | null, StepTensor | null>;

/** What a step gives for the logs, by name: a metric (or its `result()`), or a scalar, of which the last batch's is shown. A list of metrics has their names. */
export type StepLogs = Readonly<Record<string, Metric | MetricResult | SymbolicTensor>> | readonly Metric[];
/** Tensors among them. */
export type StepTensors = readonly (readonly [name: string, value: SymbolicTensor])[];

export interface LossArguments {
  readonly y?: StepTensor | null;
  readonly yPred: StepTensor;
  readonly sampleWeight?: StepTensor | null;
  readonly x?: StepTensor | null;
}

/** All losses of a batch: total, and of each output. Metrics are updated on the way. */
export function lossAndMetrics(t: Trace, model: ModelBase, compiled: Compiled, batch: Batch, predictions: readonly SymbolicTensor[]): SymbolicTensor {
  return resolving(model, compiled, batch, predictions, (resolved) => {
    const total = totalLoss(t, model, compiled, batch, predictions, resolved);
    t.b.withOrigin('metrics', () => {
      resolved.loss.updateValues(total, ops.size(total, batch.size));
      updateMetrics(batch, predictions, resolved);
    });
    return total;
  });
}

/** With the metrics for these targets and predictions. */
function resolving<R>(model: ModelBase, compiled: Compiled, batch: Batch, predictions: readonly SymbolicTensor[], body: (resolved: ResolvedMetrics) => R): R {
  const known = compiled.resolved !== null;
  const resolved = compiled.resolve(
    batch.y.map((y) => y?.shape ?? null),
    predictions.map((p) => p.shape),
    model.layerMetrics,
  );
  try {
    return body(resolved);
  } catch (e) {
    // what was resolved for targets that do not fit must not stay
    if (!known) compiled.forget();
    throw e;
  }
}

/** The losses of the outputs, those that layers added, and those of the weights. */
function totalLoss(
  t: Trace,
  model: ModelBase,
  compiled: Compiled,
  batch: Batch,
  predictions: readonly SymbolicTensor[],
  resolved: ResolvedMetrics,
): SymbolicTensor {
  const { b } = t;
  const parts: SymbolicTensor[] = [];
  b.withOrigin('loss', () => {
    compiled.losses.forEach((loss, i) => {
      const y = batch.y[i];
      if (!loss || !y) return;
      const value = b.withOrigin(loss.name, () => loss.compute(y, predictions[i]!, batch.weights[i] ?? null));
      const scalar = value.rank === 0 ? value : ops.mean(value);
      trackOutputLoss(model, resolved, i, scalar, batch.size);
      parts.push(compiled.lossWeights[i] === 1 ? scalar : ops.multiply(scalar, compiled.lossWeights[i]!));
    });
    if (parts.length === 0 && t.losses.length === 0) throw new ValueError(`model '${model.name}' has no loss: give one to compile, or targets to fit`);
    parts.push(...t.losses, ...model.weightLosses(t));
  });
  return parts.reduce((a, x) => ops.add(a, x));
}

function updateMetrics(batch: Batch, predictions: readonly SymbolicTensor[], resolved: ResolvedMetrics): void {
  for (const { metric, output, weighted } of resolved.metrics) {
    const y = batch.y[output];
    if (y) y.trace.b.withOrigin(metric.name, () => metric.update(y, predictions[output]!, weighted ? (batch.weights[output] ?? null) : null));
  }
}

/** Keras 2 weighs the batches' losses by their sizes, Keras 3 does not. */
function trackOutputLoss(model: ModelBase, resolved: ResolvedMetrics, output: number, value: SymbolicTensor, size: Dim): void {
  resolved.outputLosses[output]?.updateValues(value, model.semantics === 'keras2' ? ops.size(value, size) : null);
}

// ---- steps of one's own

/** The tensors in a form: as they are in lists, or in the order of an object's keys. */
const flattened = (x: StepTensor | null | undefined, keys: readonly string[] | null): (SymbolicTensor | null)[] => {
  if (x === null || x === undefined) return [];
  if (x instanceof SymbolicTensor) return [x];
  if (Array.isArray(x)) return [...(x as readonly SymbolicTensor[])];
  const byName = x as Readonly<Record<string, SymbolicTensor>>;
  return (keys?.some((k) => k in byName) ? keys : Object.keys(byName)).map((k) => byName[k] ?? null);
};

function formed(list: readonly (SymbolicTensor | null)[], form: Form | undefined): StepTensor | null {
  if (list.every((x) => x === null)) return null;
  if (Array.isArray(form)) return Object.fromEntries(form.map((key: string, i) => [key, list[i]!]));
  return form === 'one' || (form === undefined && list.length === 1) ? list[0]! : (list as readonly SymbolicTensor[]);
}

function inStep(what: string): Trace {
  const t = runningTrace();
  if (!t) throw new ValueError(`${what} belongs into trainStep or testStep, where there is a batch`);
  return t;
}

/** Arguments of the loss as a batch. */
function batchOf(model: ModelBase, given: LossArguments): { readonly batch: Batch; readonly predictions: readonly SymbolicTensor[] } {
  const { outputNames: names } = model;
  const predictions = flattened(given.yPred, names).flatMap((p) => (p ? [p] : []));
  if (predictions.length !== names.length)
    throw new ShapeError(`${model.name}: the loss is of ${names.length} outputs (${names.join(', ')}), got ${predictions.length} predictions`);
  const y = flattened(given.y, names);
  const w = flattened(given.sampleWeight, names);
  const size: Dim = predictions[0]!.shape[0] ?? 1;
  const weights = names.map((_, i) => (w.length === 1 ? w[0]! : (w[i] ?? null)));
  return { batch: { x: [], y: names.map((_, i) => y[i] ?? null), weights, size }, predictions };
}

/** `model.computeLoss`. */
export function computeLoss(model: ModelBase, given: LossArguments): SymbolicTensor {
  const t = inStep('computeLoss');
  const { batch, predictions } = batchOf(model, given);
  return resolving(model, model.compiled, batch, predictions, (resolved) => totalLoss(t, model, model.compiled, batch, predictions, resolved));
}

/** `model.computeMetrics`. */
export function computeMetrics(model: ModelBase, given: LossArguments): Readonly<Record<string, Metric>> {
  inStep('computeMetrics');
  const { batch, predictions } = batchOf(model, given);
  return resolving(model, model.compiled, batch, predictions, (resolved) => {
    updateMetrics(batch, predictions, resolved);
    return Object.fromEntries(model.metrics.map((m) => [m.name, m]));
  });
}

/** What `trainStep` and `testStep` do by default, for `super.trainStep(data)`. */
export function defaultStep(model: ModelBase, mode: 'train' | 'evaluate', data: AnyStepData): StepLogs | Promise<StepLogs> {
  const t = inStep(mode === 'train' ? 'trainStep' : 'testStep');
  const inputs = flattened(
    data.x,
    model.inputSpecs.map((s) => s.name),
  ) as SymbolicTensor[];
  const out = model.invoke(t, inputs.length === 1 ? inputs[0]! : inputs, { training: t.training, mask: null });
  return after(out, (yPred): StepLogs => {
    const { batch, predictions } = batchOf(model, { y: data.y, yPred, sampleWeight: data.sampleWeight });
    const total = lossAndMetrics(t, model, model.compiled, batch, predictions);
    const weights = model.trainableWeights;
    if (mode === 'train' && weights.length > 0) {
      const found = gradients(
        t.b,
        total.value,
        weights.map((w) => t.read(w).value),
      );
      model.compiled.optimizer.applyGradients(weights.map((w, i) => [t.tensor(found[i]!), w] as const));
    }
    return model.compiled.resolved!.all;
  });
}

/** Runs the model's own step; its logs are known to the model from then on. */
export function ownStep(
  t: Trace,
  model: ModelBase,
  compiled: Compiled,
  mode: 'train' | 'evaluate',
  spec: DataSpec,
  batch: Batch,
): StepTensors | Promise<StepTensors> {
  const what = mode === 'train' ? 'trainStep' : 'testStep';
  const data: AnyStepData = { x: formed(batch.x, spec.forms?.x)!, y: formed(batch.y, spec.forms?.y), sampleWeight: formed(batch.weights, spec.forms?.weights) };
  const given = within(t, model, () => (mode === 'train' ? model.trainStep(data) : model.testStep(data)));
  return after(given, (logs) => {
    const metrics = new Map<string, Metric>();
    const tensors: [string, SymbolicTensor][] = [];
    const entries = Array.isArray(logs) ? logs.map((m: Metric) => [m.name, m] as const) : isPlainObject(logs) ? Object.entries(logs) : null;
    if (!entries || entries.length === 0)
      throw new ValueError(`${model.name}: ${what} must give an object of metrics or scalars by name, it gave ${describe(logs)}`);
    for (const [name, value] of entries) {
      if (value instanceof Metric) metrics.set(name, value);
      else if (value instanceof MetricResult) metrics.set(name, value.metric);
      else if (value instanceof SymbolicTensor && value.rank === 0) {
        const last = compiled.lastOf(mode, name, () => new LastClass(name));
        last.update(value);
        metrics.set(name, last);
        tensors.push([name, value]);
      } else
        throw new ValueError(
          `${model.name}: ${what}: '${name}' must be a metric or a scalar tensor, got ${value instanceof SymbolicTensor ? String(value) : describe(value)}`,
        );
    }
    compiled.setLogs(mode, metrics);
    return tensors;
  });
}

/** Runs the model's own `predictStep`; the names of its outputs are known to the model from then on. */
export function ownPrediction(t: Trace, model: ModelBase, given: Batch): StepTensors | Promise<StepTensors> {
  const data: AnyStepData = { x: formed(given.x, model.inputForm)!, y: null, sampleWeight: null };
  return after(
    within(t, model, () => model.predictStep(data)),
    (out): StepTensors => {
      const list = flattened(out, null) as SymbolicTensor[];
      const named = out instanceof SymbolicTensor || Array.isArray(out) ? list.map((_, i) => `output_${i + 1}`) : Object.keys(out);
      const names = model.hasInputs && model.outputNames.length === list.length && !isPlainObject(out) ? model.outputNames : named;
      model.predictedNames = names;
      return list.map((x, i) => [names[i]!, x] as const);
    },
  );
}
