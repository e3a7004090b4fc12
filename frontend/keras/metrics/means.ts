/** Metrics that are the mean of a function of target and prediction: accuracies, errors, crossentropies, hinges, similarities. */
import type { TypedArray } from '../../../ir/dtype.js';
import { ShapeError } from '../../../ir/errors.js';
import { epsilon } from '../backend/fuzz.js';
import * as ops from '../backend/ops.js';
import type { SymbolicTensor } from '../backend/trace.js';
import * as lossFunctions from '../losses/functions.js';
import * as margins from '../losses/margins.js';
import { squeezeOrExpand } from '../losses/reduction.js';
import * as regression from '../losses/regression.js';
import { resolveOptions, toSnake } from '../utils/options.js';
import type { Json, JsonObject, Semantics } from '../utils/serialization.js';
import { MeanClass, type MetricOptions, maskedWeights, metricDefaults, shapeText } from './metric.js';

type S = SymbolicTensor;

/** Options of the function beside the metric's own: numbers, flags, null. */
type Extra = Readonly<Record<string, number | boolean | null>>;
/** The function's options and the generation of Keras. */
export type ValueContext<X extends Extra> = { readonly semantics: Semantics } & X;
export type ValueFunction<X extends Extra = Extra> = (target: S, prediction: S, options: ValueContext<X>) => S;

export type MeanOptions<X extends Extra> = MetricOptions & Partial<X>;

/** A class of such metrics. `squeezes`: whether a column against a vector is brought to one rank first. */
export function meanOf<X extends Extra = Record<never, never>>(
  className: string,
  name: string,
  fn: ValueFunction<X>,
  how: { readonly squeezes?: boolean; readonly extra?: X } = {},
): new (
  options?: MeanOptions<X>,
) => MeanClass {
  const defaults = (how.extra ?? {}) as X;
  return class extends MeanClass {
    static override readonly className: string = className;
    private readonly extra: X;
    constructor(options?: MeanOptions<X>) {
      const o = resolveOptions<MeanOptions<X>>(className, [options], [], { ...metricDefaults, ...defaults } as Partial<MeanOptions<X>>);
      const own = Object.fromEntries(Object.entries(o).filter(([key]) => !(key in defaults)));
      super(own, name);
      this.extra = Object.fromEntries(Object.keys(defaults).map((key) => [key, o[key as keyof MeanOptions<X>]])) as unknown as X;
    }
    override update(target: S, prediction: S, sampleWeight: S | null): void {
      const [p, t] = (how.squeezes ?? true) ? squeezeOrExpand(prediction, target, this.semantics) : [prediction, target];
      const values = fn(t, p, { semantics: this.semantics, ...this.extra });
      const weight = maskedWeights(prediction, sampleWeight);
      this.updateValues(values, values.mask ? maskedWeights(values, weight) : weight);
    }
    override getConfig(): JsonObject {
      return { ...super.getConfig(), ...Object.fromEntries(Object.entries(this.extra).map(([k, v]) => [toSnake(k), v as Json])) };
    }
  };
}

const asFloat = (x: S): S => ops.cast(x, 'float32');

/** Targets of classes in a column lose it; Keras 2 gives the hits the target's shape, which weights then have to fit. */
function byClasses(target: S, prediction: S, semantics: Semantics, hitsOf: (classes: S) => S): S {
  const column = target.rank === prediction.rank && target.shape.at(-1) === 1;
  const hits = asFloat(hitsOf(ops.cast(column ? ops.squeeze(target, -1) : target, 'int32')));
  return column && semantics === 'keras2' ? ops.expandDims(hits, -1) : hits;
}

/** Whether fewer than k predictions are larger than that of the class, as TensorFlow's in_top_k says. */
function inTopK(classes: S, prediction: S, k: number): S {
  const axis = prediction.rank - 1;
  const here = ops.equal(ops.iota(prediction, prediction.shape, axis), ops.broadcastTo(ops.expandDims(classes, -1), prediction.shape));
  const own = ops.max(ops.where(here, prediction, -Infinity), [axis], true);
  const larger = ops.sum(asFloat(ops.greater(prediction, own)), [axis]);
  return ops.logicalAnd(ops.less(larger, k), ops.any(here, [axis]));
}

const topK = { k: 5 };

/** Share of classes or values in which target and prediction agree, for each sample; as `tf.keras.metrics.binary_accuracy`. */
export const binaryAccuracy = (target: S, prediction: S, options: { readonly threshold?: number } = {}): S =>
  ops.mean(asFloat(ops.equal(asFloat(target), asFloat(ops.greater(prediction, options.threshold ?? 0.5)))), [prediction.rank - 1]);
/** 1 for each sample whose largest prediction is the largest target. */
export const categoricalAccuracy = (target: S, prediction: S): S => asFloat(ops.equal(ops.argmax(asFloat(target)), ops.argmax(prediction)));
/** 1 for each sample whose largest prediction is the target class. */
export const sparseCategoricalAccuracy = (target: S, prediction: S): S =>
  byClasses(target, prediction, 'keras3', (classes) => ops.equal(classes, ops.argmax(prediction)));
/** 1 for each sample whose largest target is among the k (default 5) largest predictions. */
export const topKCategoricalAccuracy = (target: S, prediction: S, options: { readonly k?: number } = {}): S =>
  asFloat(inTopK(ops.argmax(asFloat(target)), prediction, options.k ?? 5));
/** 1 for each sample whose target class is among the k (default 5) largest predictions. */
export const sparseTopKCategoricalAccuracy = (target: S, prediction: S, options: { readonly k?: number } = {}): S =>
  byClasses(target, prediction, 'keras3', (classes) => inTopK(classes, prediction, options.k ?? 5));

export const AccuracyClass = meanOf('Accuracy', 'accuracy', (t, p) => asFloat(ops.equal(asFloat(t), asFloat(p))));
export const BinaryAccuracyClass = meanOf(
  'BinaryAccuracy',
  'binary_accuracy',
  (t, p, o) => asFloat(ops.equal(asFloat(t), asFloat(ops.greater(p, o.threshold)))),
  {
    extra: { threshold: 0.5 },
  },
);
export const CategoricalAccuracyClass = meanOf('CategoricalAccuracy', 'categorical_accuracy', (t, p) =>
  asFloat(ops.equal(ops.argmax(asFloat(t)), ops.argmax(p))),
);
export const SparseCategoricalAccuracyClass = meanOf(
  'SparseCategoricalAccuracy',
  'sparse_categorical_accuracy',
  (t, p, o) => byClasses(t, p, o.semantics, (classes) => ops.equal(classes, ops.argmax(p))),
  { squeezes: false },
);
export const TopKCategoricalAccuracyClass = meanOf(
  'TopKCategoricalAccuracy',
  'top_k_categorical_accuracy',
  (t, p, o) => asFloat(inTopK(ops.argmax(asFloat(t)), p, o.k)),
  { extra: topK },
);
export const SparseTopKCategoricalAccuracyClass = meanOf(
  'SparseTopKCategoricalAccuracy',
  'sparse_top_k_categorical_accuracy',
  (t, p, o) => byClasses(t, p, o.semantics, (classes) => inTopK(classes, p, o.k)),
  { squeezes: false, extra: topK },
);
export const MeanSquaredErrorClass = meanOf('MeanSquaredError', 'mean_squared_error', lossFunctions.meanSquaredError);
export const MeanAbsoluteErrorClass = meanOf('MeanAbsoluteError', 'mean_absolute_error', lossFunctions.meanAbsoluteError);
export const MeanAbsolutePercentageErrorClass = meanOf('MeanAbsolutePercentageError', 'mean_absolute_percentage_error', regression.meanAbsolutePercentageError);
export const MeanSquaredLogarithmicErrorClass = meanOf('MeanSquaredLogarithmicError', 'mean_squared_logarithmic_error', regression.meanSquaredLogarithmicError);
export const LogCoshErrorClass = meanOf('LogCoshError', 'logcosh', regression.logCosh);
export const PoissonClass = meanOf('Poisson', 'poisson', regression.poisson);
export const KLDivergenceClass = meanOf('KLDivergence', 'kl_divergence', regression.klDivergence);
export const HingeClass = meanOf('Hinge', 'hinge', margins.hinge);
export const SquaredHingeClass = meanOf('SquaredHinge', 'squared_hinge', margins.squaredHinge);
export const CategoricalHingeClass = meanOf('CategoricalHinge', 'categorical_hinge', margins.categoricalHinge);
export const CosineSimilarityClass = meanOf('CosineSimilarity', 'cosine_similarity', (t, p, o) => ops.negative(regression.cosineSimilarity(t, p, o)), {
  extra: { axis: -1 },
});
export const BinaryCrossentropyClass = meanOf('BinaryCrossentropy', 'binary_crossentropy', lossFunctions.binaryCrossentropy, {
  extra: { fromLogits: false, labelSmoothing: 0 },
});
export const CategoricalCrossentropyClass = meanOf('CategoricalCrossentropy', 'categorical_crossentropy', lossFunctions.categoricalCrossentropy, {
  extra: { fromLogits: false, labelSmoothing: 0, axis: -1 },
});
export const SparseCategoricalCrossentropyClass = meanOf(
  'SparseCategoricalCrossentropy',
  'sparse_categorical_crossentropy',
  lossFunctions.sparseCategoricalCrossentropy,
  {
    squeezes: false,
    extra: { fromLogits: false, ignoreClass: null as number | null, axis: -1 },
  },
);

/** Differences from the mean along an axis. */
const centred = (x: S, axis: readonly number[]): S => ops.subtract(x, ops.mean(x, axis, true));

export const PearsonCorrelationClass = meanOf(
  'PearsonCorrelation',
  'pearson_correlation',
  (t, p, o) => {
    const axis = [ops.axisOf(p, o.axis)];
    const unit = (x: S) => {
      const d = centred(asFloat(x), axis);
      return ops.divide(d, ops.sqrt(ops.mean(ops.square(centred(d, axis)), axis, true)));
    };
    return ops.mean(ops.multiply(unit(t), unit(p)), axis);
  },
  { extra: { axis: -1 } },
);
/** The covariance as Keras 3 writes it: targets are compared with the mean of the predictions. */
export const ConcordanceCorrelationClass = meanOf(
  'ConcordanceCorrelation',
  'concordance_correlation',
  (target, p, o) => {
    const axis = [ops.axisOf(p, o.axis)];
    const t = asFloat(target);
    const [meanT, meanP] = [ops.mean(t, axis, true), ops.mean(p, axis, true)];
    const variance = (x: S) => ops.mean(ops.square(centred(centred(x, axis), axis)), axis, true);
    const covariance = ops.multiply(ops.subtract(t, meanP), ops.subtract(p, meanP));
    const norm = ops.add(ops.add(variance(t), variance(p)), ops.square(ops.subtract(meanT, meanP)));
    return ops.mean(ops.divide(ops.multiply(covariance, 2), ops.add(norm, epsilon())), axis);
  },
  { extra: { axis: -1 } },
);

/** The root of the mean of squared errors. */
export class RootMeanSquaredErrorClass extends MeanClass {
  static override readonly className: string = 'RootMeanSquaredError';
  constructor(options?: MetricOptions) {
    super(resolveOptions<MetricOptions>('RootMeanSquaredError', [options], [], metricDefaults), 'root_mean_squared_error');
  }
  override update(target: S, prediction: S, sampleWeight: S | null): void {
    const [p, t] = squeezeOrExpand(prediction, target, this.semantics);
    this.updateValues(ops.square(ops.subtract(p, asFloat(t))), maskedWeights(prediction, sampleWeight));
  }
  override resultOf(state: readonly TypedArray[]): number {
    return Math.sqrt(super.resultOf(state));
  }
}

export interface MeanRelativeErrorOptions extends MetricOptions {
  /** Numbers as many as the last axis of predictions has, or one for each sample of a vector. */
  readonly normalizer: readonly number[];
}

/** The mean of errors divided by given numbers; 0 where the number is 0. */
export class MeanRelativeErrorClass extends MeanClass {
  static override readonly className: string = 'MeanRelativeError';
  private readonly normalizer: readonly number[];
  constructor(normalizer: readonly number[] | MeanRelativeErrorOptions, options?: MetricOptions) {
    const { normalizer: given, ...o } = resolveOptions<MeanRelativeErrorOptions>('MeanRelativeError', [normalizer, options], ['normalizer'], metricDefaults);
    super(o, 'mean_relative_error');
    if (!Array.isArray(given) || !given.every((x) => typeof x === 'number')) throw new ShapeError("MeanRelativeError: 'normalizer' must be a list of numbers");
    this.normalizer = [...(given as readonly number[])];
  }
  override update(target: S, prediction: S, sampleWeight: S | null): void {
    const [p, t] = squeezeOrExpand(prediction, target, this.semantics);
    const n = this.normalizer;
    const size = p.shape.at(-1);
    if (typeof size === 'number' && size !== n.length && n.length !== 1)
      throw new ShapeError(`${this.name}: the normalizer has ${n.length} numbers, the predictions have shape ${shapeText(p.shape)}`);
    const by = p.trace.constant({ dtype: 'float32', shape: [n.length], data: Float32Array.from(n) });
    this.updateValues(ops.divideNoNan(ops.abs(ops.subtract(asFloat(t), p)), ops.broadcastTo(by, p.shape)), maskedWeights(prediction, sampleWeight));
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), normalizer: [...this.normalizer] };
  }
}
