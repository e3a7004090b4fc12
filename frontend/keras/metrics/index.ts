/** tf.keras.metrics: state on the device, updated by the train and evaluate graphs; results are computed on the host from the state. */
import { equalDim, type Shape } from '../../../ir/dim.js';
import type { TypedArray } from '../../../ir/dtype.js';
import { ShapeError, UnsupportedError, ValueError } from '../../../ir/errors.js';
import * as ops from '../backend/ops.js';
import { runEagerly } from '../backend/run-eagerly.js';
import { kerasShape, kerasShapeText, SymbolicTensor, type Trace } from '../backend/trace.js';
import { Variable } from '../backend/variable.js';
import * as lossFunctions from '../losses/functions.js';
import { squeezeOrExpand } from '../losses/reduction.js';
import { type ArrayLikeInput, Tensor, toTensor } from '../tensor.js';
import { callable, isClassOf } from '../utils/callable.js';
import { autoName } from '../utils/naming.js';
import { describe, resolveOptions } from '../utils/options.js';
import {
  classNamed,
  isSerialized,
  type JsonObject,
  optionsOfConfig,
  type Registry,
  type Semantics,
  type SerializedObject,
  serializeObject,
} from '../utils/serialization.js';

export interface MetricOptions {
  readonly name?: string | null;
  readonly dtype?: string | null | object;
  readonly semantics?: Semantics;
}

const metricDefaults: MetricOptions = { name: null, dtype: null, semantics: 'keras3' };

/** What a metric is given: a tensor of the call, or an array of the host. */
export type MetricInput = SymbolicTensor | ArrayLikeInput;

/** A result of a metric: a number, or numbers. */
export class MetricResult {
  constructor(readonly metric: Metric) {}
  /** As the host knows it. */
  get value(): number {
    return this.metric.resultOf(this.metric.variables.map((v) => v.value));
  }
  valueOf(): number {
    return this.value;
  }
  toString(): string {
    return String(this.value);
  }
}

/** The other arguments beside a tensor of a call. */
const inCall = (beside: SymbolicTensor, x: MetricInput): SymbolicTensor => (x instanceof SymbolicTensor ? x : hostTensor(beside.trace, x));
function hostTensor(t: Trace, x: MetricInput): SymbolicTensor {
  const h = typeof x === 'number' ? new Tensor([x], []) : toTensor('updateState', x);
  return t.constant({ dtype: h.dtype === 'float64' ? 'float32' : h.dtype, shape: h.shape, data: h.dtype === 'float64' ? Float32Array.from(h.data) : h.data });
}

/** Base class. A metric has variables, an update that is traced into the graph, and a result computed on the host. */
export abstract class Metric {
  static readonly className: string = '';
  name: string;
  readonly semantics: Semantics;
  readonly variables: Variable[] = [];
  constructor(options: MetricOptions = {}, defaultName?: string) {
    this.name = options.name ?? defaultName ?? autoName(this.className);
    this.semantics = options.semantics ?? 'keras3';
  }
  get className(): string {
    const cls = this.constructor as typeof Metric;
    return cls.className || cls.name;
  }
  /** Makes a float32 variable that starts at 0 and is reset to 0. */
  protected addVariable(name: string, shape: readonly number[] = []): Variable {
    const v = new Variable({ path: `metrics/${this.name}/${name}`, shape, trainable: false });
    this.variables.push(v);
    return v;
  }
  /** Adds a batch to the state. */
  abstract update(target: SymbolicTensor, prediction: SymbolicTensor, sampleWeight: SymbolicTensor | null): void;
  /**
   * Adds values (Mean, Sum; then perhaps weights), or targets and predictions (then perhaps weights). In a call: counts in training and evaluation, not in prediction. On arrays of the host: at once.
   */
  updateState(values: MetricInput, prediction: MetricInput = values, sampleWeight: MetricInput | null = null): void {
    if (values instanceof SymbolicTensor) {
      if (values.trace.metrics) this.update(values, inCall(values, prediction), sampleWeight === null ? null : inCall(values, sampleWeight));
      return;
    }
    runEagerly(this.name, false, (t) => {
      const [y, p, w] = [values, prediction, sampleWeight].map((x) => (x === null ? null : hostTensor(t, x)));
      this.update(y!, prediction === values ? y! : p!, w!);
    });
  }
  /** The result so far. In `trainStep` and `testStep` it stands for the result at the time when the logs are read. */
  result(): MetricResult {
    return new MetricResult(this);
  }
  /** Begins anew. */
  resetState(): void {
    for (const v of this.variables) v.assign(0);
  }
  /** The result for the variables' values. */
  abstract resultOf(state: readonly TypedArray[]): number;
  getConfig(): JsonObject {
    return { name: this.name, dtype: 'float32' };
  }
}

const shapeText = (s: Shape): string => kerasShapeText(kerasShape(s));

/**
 * Values times weights, and the weights, as Keras brings them together. Keras 3 reduces both to one number for each sample; Keras 2 repeats the weights over the values, and
 * reduces values only where weights lack more than one axis.
 */
function weightedValues(
  metric: { readonly name: string; readonly semantics: Semantics },
  values: SymbolicTensor,
  sampleWeight: SymbolicTensor | null,
  reduce: (x: SymbolicTensor, axes: readonly number[]) => SymbolicTensor,
): { readonly values: SymbolicTensor; readonly weights: SymbolicTensor | null } {
  const keras3 = metric.semantics === 'keras3';
  const over = (x: SymbolicTensor, from: number) =>
    x.rank > from
      ? reduce(
          x,
          Array.from({ length: x.rank - from }, (_, i) => from + i),
        )
      : x;
  let v = ops.cast(values, 'float32');
  if (!sampleWeight) return { values: keras3 ? over(v, 1) : v, weights: null };
  let w = ops.cast(sampleWeight, 'float32');
  if (keras3) [v, w] = squeezeOrExpand(v, w, 'keras3');
  else if (w.rank === v.rank + 1 && w.shape.at(-1) === 1) w = ops.squeeze(w, -1);
  else if (w.rank > 0 && w.rank === v.rank - 1) w = ops.expandDims(w, -1);
  if (w.rank < v.rank && (keras3 || w.rank > 0)) v = over(v, w.rank);
  if (v.rank > 0 && w.rank > 0 && !(w.rank === v.rank && w.shape.every((d, i) => d === 1 || equalDim(d, v.shape[i]!)))) {
    throw new ShapeError(`${metric.name}: the sample weights have shape ${shapeText(sampleWeight.shape)}, the values ${shapeText(values.shape)}`);
  }
  if (v.rank === 0) v = ops.broadcastTo(v, w.shape);
  else w = ops.broadcastTo(w, v.shape);
  v = ops.multiply(v, w);
  return keras3 ? { values: over(v, 1), weights: over(w, 1) } : { values: v, weights: w };
}

/** Weighted mean of values: total and count. */
export class MeanClass extends Metric {
  static override readonly className: string = 'Mean';
  protected readonly total: Variable;
  protected readonly count: Variable;
  constructor(options?: MetricOptions, defaultName = 'mean') {
    const o = resolveOptions<MetricOptions>('Mean', [options], [], metricDefaults);
    super(o, defaultName);
    this.total = this.addVariable('total');
    this.count = this.addVariable('count');
  }
  /** Adds values with weights. Weights of lower rank weigh whole samples. */
  updateValues(values: SymbolicTensor, sampleWeight: SymbolicTensor | null): void {
    const { values: v, weights: w } = weightedValues(this, values, sampleWeight, ops.mean);
    const t = v.trace;
    const samples = () => (v.rank > 0 ? ops.size(v, v.shape[0]!) : ops.full(v, [], 1));
    const n = w ? ops.sum(w) : this.semantics === 'keras3' ? samples() : ops.count(v);
    t.assign(this.total, ops.add(t.read(this.total), ops.sum(v)));
    t.assign(this.count, ops.add(t.read(this.count), n));
  }
  override update(values: SymbolicTensor, prediction: SymbolicTensor, sampleWeight: SymbolicTensor | null): void {
    // weights follow the values where there is nothing to predict
    this.updateValues(values, sampleWeight ?? (prediction === values ? null : prediction));
  }
  override resultOf([total, count]: readonly TypedArray[]): number {
    return count![0] === 0 ? 0 : total![0]! / count![0]!;
  }
}

/** Sum of values. */
class SumClass extends Metric {
  static override readonly className = 'Sum';
  private readonly total: Variable;
  constructor(options?: MetricOptions) {
    const o = resolveOptions<MetricOptions>('Sum', [options], [], metricDefaults);
    super(o, 'sum');
    this.total = this.addVariable('total');
  }
  override update(values: SymbolicTensor, prediction: SymbolicTensor, sampleWeight: SymbolicTensor | null): void {
    const { values: v } = weightedValues(this, values, sampleWeight ?? (prediction === values ? null : prediction), ops.sum);
    v.trace.assign(this.total, ops.add(v.trace.read(this.total), ops.sum(v)));
  }
  override resultOf([total]: readonly TypedArray[]): number {
    return total![0]!;
  }
}

/** The last scalar that it was given: what a step of one's own shows of a tensor. */
export class LastClass extends Metric {
  static override readonly className = 'Last';
  private readonly last: Variable;
  constructor(name: string) {
    super({ name });
    this.last = this.addVariable('last');
  }
  override update(value: SymbolicTensor): void {
    value.trace.assign(this.last, ops.cast(value, 'float32'));
  }
  override resultOf([last]: readonly TypedArray[]): number {
    return last![0]!;
  }
}

type ValueFunction = (
  target: SymbolicTensor,
  prediction: SymbolicTensor,
  metric: { readonly semantics: Semantics; readonly threshold: number; readonly fromLogits: boolean; readonly labelSmoothing: number },
) => SymbolicTensor;

interface FunctionMetricOptions extends MetricOptions {
  readonly threshold?: number;
  readonly fromLogits?: boolean;
  readonly labelSmoothing?: number;
}

/** A mean of a function of target and prediction. */
abstract class MeanOfFunction extends MeanClass {
  protected abstract readonly fn: ValueFunction;
  /** Whether a column against a vector is brought to one rank first. */
  protected readonly squeezes: boolean = true;
  protected threshold = 0.5;
  protected fromLogits = false;
  protected labelSmoothing = 0;
  override update(target: SymbolicTensor, prediction: SymbolicTensor, sampleWeight: SymbolicTensor | null): void {
    const [p, t] = this.squeezes ? squeezeOrExpand(prediction, target, this.semantics) : [prediction, target];
    let weight = sampleWeight;
    const values = this.fn(t, p, { semantics: this.semantics, threshold: this.threshold, fromLogits: this.fromLogits, labelSmoothing: this.labelSmoothing });
    if (prediction.mask) {
      let m = ops.cast(prediction.mask, 'float32');
      if (weight) {
        if (weight.rank < m.rank) weight = ops.reshape(weight, [...weight.shape, ...new Array<number>(m.rank - weight.rank).fill(1)]);
        m = ops.multiply(m, ops.cast(weight, 'float32'));
      }
      weight = m;
    }
    this.updateValues(values, weight);
  }
}

function meanOf(
  className: string,
  name: string,
  fn: ValueFunction,
  options: { squeezes?: boolean; extra?: Partial<FunctionMetricOptions> } = {},
): new (
  options?: FunctionMetricOptions,
) => MeanClass {
  return class extends MeanOfFunction {
    static override readonly className: string = className;
    protected readonly fn = fn;
    protected override readonly squeezes = options.squeezes ?? true;
    constructor(given?: FunctionMetricOptions) {
      const { threshold, fromLogits, labelSmoothing, ...o } = resolveOptions<FunctionMetricOptions>(className, [given], [], {
        ...metricDefaults,
        ...options.extra,
      });
      super(o, name);
      if (threshold !== undefined) this.threshold = threshold;
      if (fromLogits !== undefined) this.fromLogits = fromLogits;
      if (labelSmoothing !== undefined) this.labelSmoothing = labelSmoothing;
    }
    override getConfig(): JsonObject {
      return {
        ...super.getConfig(),
        ...(options.extra?.threshold === undefined ? {} : { threshold: this.threshold }),
        ...(options.extra?.fromLogits === undefined ? {} : { from_logits: this.fromLogits }),
        ...(options.extra?.labelSmoothing === undefined ? {} : { label_smoothing: this.labelSmoothing }),
      };
    }
  };
}

const asFloat = (condition: SymbolicTensor): SymbolicTensor => ops.cast(condition, 'float32');

export const Mean = callable(MeanClass);
export const Sum = callable(SumClass);
/** Share of predictions that equal the target. */
export const Accuracy = callable(meanOf('Accuracy', 'accuracy', (t, p) => asFloat(ops.equal(ops.cast(t, 'float32'), ops.cast(p, 'float32')))));
/** Share of predictions on the same side of the threshold as the target. */
export const BinaryAccuracy = callable(
  meanOf('BinaryAccuracy', 'binary_accuracy', (t, p, m) => asFloat(ops.equal(ops.cast(t, 'float32'), asFloat(ops.greater(p, m.threshold)))), {
    extra: { threshold: 0.5 },
  }),
);
/** Share of samples whose largest prediction is the largest target. */
export const CategoricalAccuracy = callable(
  meanOf('CategoricalAccuracy', 'categorical_accuracy', (t, p) => asFloat(ops.equal(ops.argmax(ops.cast(t, 'float32')), ops.argmax(p)))),
);
/** Share of samples whose largest prediction is the target class. */
export const SparseCategoricalAccuracy = callable(
  meanOf(
    'SparseCategoricalAccuracy',
    'sparse_categorical_accuracy',
    (t, p, m) => {
      const column = t.rank === p.rank && t.shape.at(-1) === 1;
      const hits = asFloat(ops.equal(ops.cast(column ? ops.squeeze(t, -1) : t, 'int32'), ops.argmax(p)));
      // Keras 2 gives the hits the target's shape, which weights then have to fit
      return column && m.semantics === 'keras2' ? ops.expandDims(hits, -1) : hits;
    },
    { squeezes: false },
  ),
);
export const MeanSquaredError = callable(meanOf('MeanSquaredError', 'mean_squared_error', lossFunctions.meanSquaredError));
export const MeanAbsoluteError = callable(meanOf('MeanAbsoluteError', 'mean_absolute_error', lossFunctions.meanAbsoluteError));
export const BinaryCrossentropy = callable(
  meanOf('BinaryCrossentropy', 'binary_crossentropy', (t, p, m) => lossFunctions.binaryCrossentropy(t, p, m), {
    extra: { fromLogits: false, labelSmoothing: 0 },
  }),
);
export const CategoricalCrossentropy = callable(
  meanOf('CategoricalCrossentropy', 'categorical_crossentropy', (t, p, m) => lossFunctions.categoricalCrossentropy(t, p, m), {
    extra: { fromLogits: false, labelSmoothing: 0 },
  }),
);
export const SparseCategoricalCrossentropy = callable(
  meanOf('SparseCategoricalCrossentropy', 'sparse_categorical_crossentropy', (t, p, m) => lossFunctions.sparseCategoricalCrossentropy(t, p, m), {
    squeezes: false,
    extra: { fromLogits: false },
  }),
);

const make = (cls: (o: never) => Metric) => (o: Record<string, unknown>, semantics: Semantics) =>
  cls({
    ...Object.fromEntries(Object.entries(o).filter(([k, v]) => k !== 'fn' && !(k === 'axis' && v === -1) && !(k === 'ignoreClass' && v === null))),
    semantics,
  } as never);

const registry: Registry<Metric> = {
  what: 'metric',
  classes: {
    Mean: make(Mean),
    Sum: make(Sum),
    Accuracy: make(Accuracy),
    BinaryAccuracy: make(BinaryAccuracy),
    CategoricalAccuracy: make(CategoricalAccuracy),
    SparseCategoricalAccuracy: make(SparseCategoricalAccuracy),
    MeanSquaredError: make(MeanSquaredError),
    MeanAbsoluteError: make(MeanAbsoluteError),
    BinaryCrossentropy: make(BinaryCrossentropy),
    CategoricalCrossentropy: make(CategoricalCrossentropy),
    SparseCategoricalCrossentropy: make(SparseCategoricalCrossentropy),
  },
  aliases: { mse: 'MeanSquaredError', mae: 'MeanAbsoluteError', bce: 'BinaryCrossentropy' },
};

/** A function of (target, prediction) whose mean is reported. */
export type MetricFunction = (target: SymbolicTensor, prediction: SymbolicTensor) => SymbolicTensor;
export type MetricIdentifier = string | Metric | MetricFunction | SerializedObject;

/** Which kind of accuracy or crossentropy `accuracy` and `crossentropy` mean, by the shapes of target and prediction. */
function resolved(kind: 'Accuracy' | 'Crossentropy', target: Shape, prediction: Shape): string {
  const last = prediction.at(-1);
  if (last === 1) return `Binary${kind}`;
  if (target.length < prediction.length || (target.at(-1) === 1 && last !== 1)) return `SparseCategorical${kind}`;
  return `Categorical${kind}`;
}

/**
 * The metric that an identifier stands for, named as Keras names it in logs. `accuracy` and `crossentropy` are resolved by the shapes.
 * A metric given by name keeps the name as it was written.
 */
export function get(id: MetricIdentifier, target: Shape, prediction: Shape, semantics: Semantics = 'keras3'): Metric {
  if (id instanceof Metric) return id;
  if (isClassOf(id, Metric)) return Reflect.construct(id, [{ semantics }]) as Metric;
  if (typeof id === 'function') {
    const cls = meanOf(id.name || 'Metric', id.name || 'metric', (t, p) => {
      const y: unknown = id(t, p);
      if (!(y instanceof SymbolicTensor))
        throw new ValueError(`the metric function '${id.name}' must return a tensor made by functions of ops, got ${describe(y)}`);
      return y;
    });
    return new cls({ semantics });
  }
  if (typeof id === 'string') {
    const lower = id.toLowerCase();
    const kind = lower === 'accuracy' || lower === 'acc' ? 'Accuracy' : lower === 'crossentropy' || lower === 'ce' ? 'Crossentropy' : null;
    const metric = registry.classes[kind ? resolved(kind, target, prediction) : classNamed(registry, id)]!({}, semantics);
    // Keras 2 gives a metric named by its class the class's own name
    return semantics === 'keras2' && Object.hasOwn(registry.classes, id) && !kind ? metric : named(metric, id);
  }
  if (isSerialized(id)) return registry.classes[classNamed(registry, id.class_name)]!(optionsOfConfig(id.config ?? {}), semantics);
  throw new ValueError(`a metric must be a name, a function or a Metric, got ${describe(id)}`);
}

/** Gives a metric and its variables another name. */
export function named(metric: Metric, name: string): Metric {
  metric.name = name;
  for (const v of metric.variables) v.path = `metrics/${name}/${v.name}`;
  return metric;
}

/** A metric from its configuration. */
export function deserialize(config: SerializedObject, semantics: Semantics = 'keras3'): Metric {
  if (!isSerialized(config)) throw new UnsupportedError(`not the configuration of a metric: ${describe(config)}`);
  return get(config, [], [], semantics);
}
export const serialize = (metric: Metric): SerializedObject => serializeObject('keras.metrics', metric.className, metric);
