/** tf.keras.metrics: all classes, and the way from names, functions and configurations to them. */
import type { Shape } from '../../../ir/dim.js';
import { UnsupportedError, ValueError } from '../../../ir/errors.js';
import { SymbolicTensor } from '../backend/trace.js';
import { callable, isClassOf } from '../utils/callable.js';
import { describe } from '../utils/options.js';
import { classNamed, isSerialized, optionsOfConfig, type Registry, type Semantics, type SerializedObject, serializeObject } from '../utils/serialization.js';
import * as confusion from './confusion.js';
import * as means from './means.js';
import * as base from './metric.js';
import { Metric } from './metric.js';
import * as scores from './scores.js';

export {
  binaryCrossentropy,
  binaryFocalCrossentropy,
  categoricalCrossentropy,
  categoricalFocalCrossentropy,
  hinge,
  KLD,
  klDivergence,
  kld,
  kullbackLeiblerDivergence,
  logCosh,
  logcosh,
  MAE,
  MAPE,
  MSE,
  MSLE,
  mae,
  mape,
  meanAbsoluteError,
  meanAbsolutePercentageError,
  meanSquaredError,
  meanSquaredLogarithmicError,
  mse,
  msle,
  poisson,
  sparseCategoricalCrossentropy,
  squaredHinge,
} from '../losses/index.js';
export { binaryAccuracy, categoricalAccuracy, sparseCategoricalAccuracy, sparseTopKCategoricalAccuracy, topKCategoricalAccuracy } from './means.js';
export { LastClass, MeanClass, Metric, type MetricInput, type MetricOptions, MetricResult } from './metric.js';

export const Mean = callable(base.MeanClass);
export const Sum = callable(base.SumClass);
export const MeanTensor = callable(base.MeanTensorClass);
/** Share of predictions that equal the target. */
export const Accuracy = callable(means.AccuracyClass);
/** Share of predictions on the same side of the threshold as the target. */
export const BinaryAccuracy = callable(means.BinaryAccuracyClass);
/** Share of samples whose largest prediction is the largest target. */
export const CategoricalAccuracy = callable(means.CategoricalAccuracyClass);
/** Share of samples whose largest prediction is the target class. */
export const SparseCategoricalAccuracy = callable(means.SparseCategoricalAccuracyClass);
/** Share of samples whose largest target is among the k (default 5) largest predictions. */
export const TopKCategoricalAccuracy = callable(means.TopKCategoricalAccuracyClass);
/** Share of samples whose target class is among the k (default 5) largest predictions. */
export const SparseTopKCategoricalAccuracy = callable(means.SparseTopKCategoricalAccuracyClass);
export const MeanSquaredError = callable(means.MeanSquaredErrorClass);
export const MeanAbsoluteError = callable(means.MeanAbsoluteErrorClass);
export const MeanAbsolutePercentageError = callable(means.MeanAbsolutePercentageErrorClass);
export const MeanSquaredLogarithmicError = callable(means.MeanSquaredLogarithmicErrorClass);
export const RootMeanSquaredError = callable(means.RootMeanSquaredErrorClass);
export const MeanRelativeError = callable(means.MeanRelativeErrorClass);
export const LogCoshError = callable(means.LogCoshErrorClass);
export const Poisson = callable(means.PoissonClass);
export const KLDivergence = callable(means.KLDivergenceClass);
/** Mean cosine of the angle between target and prediction. */
export const CosineSimilarity = callable(means.CosineSimilarityClass);
export const PearsonCorrelation = callable(means.PearsonCorrelationClass);
export const ConcordanceCorrelation = callable(means.ConcordanceCorrelationClass);
export const Hinge = callable(means.HingeClass);
export const SquaredHinge = callable(means.SquaredHingeClass);
export const CategoricalHinge = callable(means.CategoricalHingeClass);
export const BinaryCrossentropy = callable(means.BinaryCrossentropyClass);
export const CategoricalCrossentropy = callable(means.CategoricalCrossentropyClass);
export const SparseCategoricalCrossentropy = callable(means.SparseCategoricalCrossentropyClass);
export const TruePositives = callable(confusion.TruePositivesClass);
export const FalsePositives = callable(confusion.FalsePositivesClass);
export const TrueNegatives = callable(confusion.TrueNegativesClass);
export const FalseNegatives = callable(confusion.FalseNegativesClass);
export const Precision = callable(confusion.PrecisionClass);
export const Recall = callable(confusion.RecallClass);
export const SensitivityAtSpecificity = callable(confusion.SensitivityAtSpecificityClass);
export const SpecificityAtSensitivity = callable(confusion.SpecificityAtSensitivityClass);
export const PrecisionAtRecall = callable(confusion.PrecisionAtRecallClass);
export const RecallAtPrecision = callable(confusion.RecallAtPrecisionClass);
export const AUC = callable(confusion.AUCClass);
export const IoU = callable(scores.IoUClass);
export const MeanIoU = callable(scores.MeanIoUClass);
export const BinaryIoU = callable(scores.BinaryIoUClass);
export const OneHotIoU = callable(scores.OneHotIoUClass);
export const OneHotMeanIoU = callable(scores.OneHotMeanIoUClass);
export const F1Score = callable(scores.F1ScoreClass);
export const FBetaScore = callable(scores.FBetaScoreClass);
export const R2Score = callable(scores.R2ScoreClass);

/** Lists that Keras 3 and tf_keras write as arrays: `{ class_name: '__numpy__' or '__tensor__', config: { value } }`. */
const plain = (x: unknown): unknown => (isSerialized(x) && /^__(numpy|tensor)__$/.test(x.class_name) ? x.config?.value : x);

const make = (cls: (o: never) => Metric) => (o: Record<string, unknown>, semantics: Semantics) =>
  cls({ ...Object.fromEntries(Object.entries(o).flatMap(([k, v]) => (k === 'fn' ? [] : [[k, plain(v)]]))), semantics } as never);

const registry: Registry<Metric> = {
  what: 'metric',
  classes: {
    Mean: make(Mean),
    Sum: make(Sum),
    MeanTensor: make(MeanTensor),
    Accuracy: make(Accuracy),
    BinaryAccuracy: make(BinaryAccuracy),
    CategoricalAccuracy: make(CategoricalAccuracy),
    SparseCategoricalAccuracy: make(SparseCategoricalAccuracy),
    TopKCategoricalAccuracy: make(TopKCategoricalAccuracy),
    SparseTopKCategoricalAccuracy: make(SparseTopKCategoricalAccuracy),
    MeanSquaredError: make(MeanSquaredError),
    MeanAbsoluteError: make(MeanAbsoluteError),
    MeanAbsolutePercentageError: make(MeanAbsolutePercentageError),
    MeanSquaredLogarithmicError: make(MeanSquaredLogarithmicError),
    RootMeanSquaredError: make(RootMeanSquaredError),
    MeanRelativeError: make(MeanRelativeError),
    LogCoshError: make(LogCoshError),
    Poisson: make(Poisson),
    KLDivergence: make(KLDivergence),
    CosineSimilarity: make(CosineSimilarity),
    PearsonCorrelation: make(PearsonCorrelation),
    ConcordanceCorrelation: make(ConcordanceCorrelation),
    Hinge: make(Hinge),
    SquaredHinge: make(SquaredHinge),
    CategoricalHinge: make(CategoricalHinge),
    BinaryCrossentropy: make(BinaryCrossentropy),
    CategoricalCrossentropy: make(CategoricalCrossentropy),
    SparseCategoricalCrossentropy: make(SparseCategoricalCrossentropy),
    TruePositives: make(TruePositives),
    FalsePositives: make(FalsePositives),
    TrueNegatives: make(TrueNegatives),
    FalseNegatives: make(FalseNegatives),
    Precision: make(Precision),
    Recall: make(Recall),
    SensitivityAtSpecificity: make(SensitivityAtSpecificity),
    SpecificityAtSensitivity: make(SpecificityAtSensitivity),
    PrecisionAtRecall: make(PrecisionAtRecall),
    RecallAtPrecision: make(RecallAtPrecision),
    AUC: make(AUC),
    IoU: make(IoU),
    MeanIoU: make(MeanIoU),
    BinaryIoU: make(BinaryIoU),
    OneHotIoU: make(OneHotIoU),
    OneHotMeanIoU: make(OneHotMeanIoU),
    F1Score: make(F1Score),
    FBetaScore: make(FBetaScore),
    R2Score: make(R2Score),
  },
  aliases: {
    mse: 'MeanSquaredError',
    mae: 'MeanAbsoluteError',
    mape: 'MeanAbsolutePercentageError',
    msle: 'MeanSquaredLogarithmicError',
    bce: 'BinaryCrossentropy',
    kld: 'KLDivergence',
    kullback_leibler_divergence: 'KLDivergence',
    kl_divergence: 'KLDivergence',
    log_cosh: 'LogCoshError',
    logcosh: 'LogCoshError',
    cosine_proximity: 'CosineSimilarity',
    top_k_categorical_accuracy: 'TopKCategoricalAccuracy',
    sparse_top_k_categorical_accuracy: 'SparseTopKCategoricalAccuracy',
  },
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
    const cls = means.meanOf(id.name || 'Metric', id.name || 'metric', (t, p) => {
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
