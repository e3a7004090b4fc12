/** tf.keras.losses: loss objects with a reduction, and what `compile({ loss })` takes. */
import { UnsupportedError, ValueError } from '../../../ir/errors.js';
import * as ops from '../backend/ops.js';
import { runEagerly } from '../backend/run-eagerly.js';
import { SymbolicTensor, type Trace } from '../backend/trace.js';
import { type ArrayLikeInput, Tensor, toTensor } from '../tensor.js';
import { CallableObject, callable, isClassOf } from '../utils/callable.js';
import { describe, numberBetween, oneOf, resolveOptions } from '../utils/options.js';
import {
  classNamed,
  configOfOptions,
  isSerialized,
  type Json,
  type JsonObject,
  optionsOfConfig,
  type Registry,
  type Semantics,
  type SerializedObject,
  serializeObject,
} from '../utils/serialization.js';
import * as functions from './functions.js';
import * as margins from './margins.js';
import { maskWeights, type Reduction, reduced, squeezeOrExpand, weighted } from './reduction.js';
import * as regression from './regression.js';

export interface LossOptions {
  /** Default sum_over_batch_size: the mean over all values. */
  readonly reduction?: Reduction;
  readonly name?: string;
  readonly semantics?: Semantics;
}

const lossDefaults: LossOptions = { reduction: 'sum_over_batch_size', semantics: 'keras3' };

/** Base class: `call` gives the values, one for each sample. Instances are functions: `loss(target, prediction, sampleWeight)` gives the reduced loss. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: gives instances their call signatures
export abstract class Loss extends CallableObject {
  static readonly className: string = '';
  declare readonly name: string;
  readonly reduction: Reduction;
  readonly semantics: Semantics;
  constructor(name: string, options: LossOptions = {}) {
    super();
    Object.defineProperty(this, 'name', { value: options.name ?? name, enumerable: true });
    this.reduction = oneOf(this.className, 'reduction', options.reduction ?? 'sum_over_batch_size', [
      'sum_over_batch_size',
      'sum',
      'none',
      'mean',
      'mean_with_sample_weight',
      'auto',
    ]);
    const { labelSmoothing } = options as { readonly labelSmoothing?: unknown };
    if (labelSmoothing !== undefined) numberBetween(this.className, 'labelSmoothing', labelSmoothing, 0, 1);
    this.semantics = options.semantics ?? 'keras3';
  }
  get className(): string {
    const cls = this.constructor as typeof Loss;
    return cls.className || cls.name;
  }
  abstract call(target: SymbolicTensor, prediction: SymbolicTensor): SymbolicTensor;

  /** The reduced loss. A mask on the prediction leaves values out of the mean. */
  compute(target: SymbolicTensor, prediction: SymbolicTensor, sampleWeight: SymbolicTensor | null = null): SymbolicTensor {
    const inMask = prediction.mask;
    const [p, t] = this.squeezes ? squeezeOrExpand(prediction, target, this.semantics) : [prediction, target];
    let values = this.call(t, p);
    const masks = [inMask, values.mask].filter((m): m is SymbolicTensor => m !== null);
    let weights: SymbolicTensor | null = null;
    for (const w of [...(sampleWeight ? [sampleWeight] : []), ...masks.map((m) => maskWeights(m, this.reduction))]) {
      const scaled = weighted(values, w, this.semantics);
      values = scaled.values;
      weights = weights ? ops.multiply(weights, scaled.weights) : scaled.weights;
    }
    return reduced(values, this.reduction, weights);
  }

  /** What calling the loss does: within a call or a step on its tensors, else at once on arrays. */
  apply(target: LossInput, prediction: LossInput, sampleWeight: LossInput | null = null): SymbolicTensor | Tensor {
    const given = [target, prediction, sampleWeight];
    const inner = given.find((x) => x instanceof SymbolicTensor);
    const bring = (t: Trace) => (x: LossInput | null) => (x === null || x instanceof SymbolicTensor ? x : t.constant(float32Of(x)));
    const run = (t: Trace) => {
      const [y, p, w] = given.map(bring(t));
      return this.compute(y!, p!, w ?? null);
    };
    return inner ? run(inner.trace) : runEagerly(this.name, false, (t) => run(t).toTensor());
  }

  /** Whether a column against a vector is brought to one rank first. */
  protected readonly squeezes: boolean = true;

  getConfig(): JsonObject {
    return { name: this.name, reduction: this.reduction };
  }
}

export interface Loss {
  (target: LossInput, prediction: SymbolicTensor, sampleWeight?: LossInput | null): SymbolicTensor;
  (target: ArrayLikeInput, prediction: ArrayLikeInput, sampleWeight?: ArrayLikeInput | null): Tensor;
}

type LossInput = SymbolicTensor | ArrayLikeInput;
function float32Of(x: ArrayLikeInput): Tensor {
  const t = toTensor('a loss', x);
  return t.dtype === 'float64' ? new Tensor(Float32Array.from(t.data), t.shape) : t;
}

/** A loss made of a function without options. */
function simple(
  className: string,
  name: string,
  fn: (target: SymbolicTensor, prediction: SymbolicTensor, semantics: Semantics) => SymbolicTensor,
): new (
  options?: LossOptions,
) => Loss {
  return class extends Loss {
    static override readonly className: string = className;
    constructor(options?: LossOptions) {
      super(name, resolveOptions<LossOptions>(className, [options], [], { ...lossDefaults, name }));
    }
    override call(target: SymbolicTensor, prediction: SymbolicTensor): SymbolicTensor {
      return fn(target, prediction, this.semantics);
    }
  };
}

class BinaryCrossentropyClass extends Loss {
  static override readonly className = 'BinaryCrossentropy';
  private readonly options: { readonly fromLogits: boolean; readonly labelSmoothing: number; readonly axis: number };
  /** Targets 0 and 1 of the prediction's shape. */
  constructor(options?: LossOptions & { fromLogits?: boolean; labelSmoothing?: number; axis?: number }) {
    const o = resolveOptions<LossOptions & { fromLogits: boolean; labelSmoothing: number; axis: number }>('BinaryCrossentropy', [options], [], {
      ...lossDefaults,
      name: 'binary_crossentropy',
      fromLogits: false,
      labelSmoothing: 0,
      axis: -1,
    });
    super('binary_crossentropy', o);
    this.options = o;
  }
  override call(target: SymbolicTensor, prediction: SymbolicTensor): SymbolicTensor {
    return functions.binaryCrossentropy(target, prediction, { ...this.options, semantics: this.semantics });
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), from_logits: this.options.fromLogits, label_smoothing: this.options.labelSmoothing, axis: this.options.axis };
  }
}

class CategoricalCrossentropyClass extends Loss {
  static override readonly className = 'CategoricalCrossentropy';
  private readonly options: { readonly fromLogits: boolean; readonly labelSmoothing: number; readonly axis: number };
  /** Targets are probabilities (one-hot) of the prediction's shape. */
  constructor(options?: LossOptions & { fromLogits?: boolean; labelSmoothing?: number; axis?: number }) {
    const o = resolveOptions<LossOptions & { fromLogits: boolean; labelSmoothing: number; axis: number }>('CategoricalCrossentropy', [options], [], {
      ...lossDefaults,
      name: 'categorical_crossentropy',
      fromLogits: false,
      labelSmoothing: 0,
      axis: -1,
    });
    super('categorical_crossentropy', o);
    this.options = o;
  }
  override call(target: SymbolicTensor, prediction: SymbolicTensor): SymbolicTensor {
    return functions.categoricalCrossentropy(target, prediction, { ...this.options, semantics: this.semantics });
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), from_logits: this.options.fromLogits, label_smoothing: this.options.labelSmoothing, axis: this.options.axis };
  }
}

class SparseCategoricalCrossentropyClass extends Loss {
  static override readonly className = 'SparseCategoricalCrossentropy';
  protected override readonly squeezes = false;
  private readonly options: { readonly fromLogits: boolean; readonly ignoreClass: number | null; readonly axis: number };
  /** Targets are class numbers. */
  constructor(options?: LossOptions & { fromLogits?: boolean; ignoreClass?: number | null; axis?: number }) {
    const o = resolveOptions<LossOptions & { fromLogits: boolean; ignoreClass: number | null; axis: number }>('SparseCategoricalCrossentropy', [options], [], {
      ...lossDefaults,
      name: 'sparse_categorical_crossentropy',
      fromLogits: false,
      ignoreClass: null,
      axis: -1,
    });
    super('sparse_categorical_crossentropy', o);
    this.options = o;
  }
  override call(target: SymbolicTensor, prediction: SymbolicTensor): SymbolicTensor {
    return functions.sparseCategoricalCrossentropy(target, prediction, this.options);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), from_logits: this.options.fromLogits, ignore_class: this.options.ignoreClass as Json };
  }
}

/** A loss made of a function with options beside those of all losses. */
function withOptions<O extends object>(
  className: string,
  name: string,
  defaults: O,
  fn: (target: SymbolicTensor, prediction: SymbolicTensor, options: O & { readonly semantics: Semantics }) => SymbolicTensor,
): new (
  options?: LossOptions & Partial<O>,
) => Loss {
  return class extends Loss {
    static override readonly className: string = className;
    private readonly options: O;
    constructor(options?: LossOptions & Partial<O>) {
      const o = resolveOptions<LossOptions & O>(className, [options], [], { ...lossDefaults, name, ...defaults } as Partial<LossOptions & O>);
      super(name, o);
      this.options = Object.fromEntries(Object.keys(defaults).map((k) => [k, (o as Record<string, unknown>)[k]])) as O;
    }
    override call(target: SymbolicTensor, prediction: SymbolicTensor): SymbolicTensor {
      return fn(target, prediction, { ...this.options, semantics: this.semantics });
    }
    override getConfig(): JsonObject {
      return { ...super.getConfig(), ...configOfOptions(this.options as Record<string, Json>) };
    }
  };
}

const focalDefaults = { gamma: 2, fromLogits: false, labelSmoothing: 0, axis: -1 };
const overlapAxis: { axis: readonly number[] | number | null } = { axis: null };

export const MeanSquaredError = callable(simple('MeanSquaredError', 'mean_squared_error', functions.meanSquaredError));
export const MeanAbsoluteError = callable(simple('MeanAbsoluteError', 'mean_absolute_error', functions.meanAbsoluteError));
export const BinaryCrossentropy = callable(BinaryCrossentropyClass);
export const CategoricalCrossentropy = callable(CategoricalCrossentropyClass);
export const SparseCategoricalCrossentropy = callable(SparseCategoricalCrossentropyClass);
export const MeanAbsolutePercentageError = callable(
  simple('MeanAbsolutePercentageError', 'mean_absolute_percentage_error', regression.meanAbsolutePercentageError),
);
export const MeanSquaredLogarithmicError = callable(
  simple('MeanSquaredLogarithmicError', 'mean_squared_logarithmic_error', regression.meanSquaredLogarithmicError),
);
/** `delta` (default 1): where squares end and lines begin. */
export const Huber = callable(withOptions('Huber', 'huber_loss', { delta: 1 }, regression.huber));
export const LogCosh = callable(simple('LogCosh', 'log_cosh', regression.logCosh));
export const Poisson = callable(simple('Poisson', 'poisson', regression.poisson));
export const KLDivergence = callable(simple('KLDivergence', 'kl_divergence', regression.klDivergence));
export const CosineSimilarity = callable(withOptions('CosineSimilarity', 'cosine_similarity', { axis: -1 }, regression.cosineSimilarity));
export const Hinge = callable(simple('Hinge', 'hinge', margins.hinge));
export const SquaredHinge = callable(simple('SquaredHinge', 'squared_hinge', margins.squaredHinge));
export const CategoricalHinge = callable(simple('CategoricalHinge', 'categorical_hinge', margins.categoricalHinge));
export const BinaryFocalCrossentropy = callable(
  withOptions(
    'BinaryFocalCrossentropy',
    'binary_focal_crossentropy',
    { applyClassBalancing: false, alpha: 0.25, ...focalDefaults },
    margins.binaryFocalCrossentropy,
  ),
);
export const CategoricalFocalCrossentropy = callable(
  withOptions('CategoricalFocalCrossentropy', 'categorical_focal_crossentropy', { alpha: 0.25, ...focalDefaults }, margins.categoricalFocalCrossentropy),
);
/** Of Keras 3: one value for all samples, or over `axis`. */
export const Dice = callable(withOptions('Dice', 'dice', overlapAxis, margins.dice));
export const Tversky = callable(withOptions('Tversky', 'tversky', { alpha: 0.5, beta: 0.5, ...overlapAxis }, margins.tversky));

/** A function of (target, prediction) that gives one value for each sample. */
export type LossFunction = (target: SymbolicTensor, prediction: SymbolicTensor) => SymbolicTensor;

class FunctionLoss extends Loss {
  static override readonly className = 'FunctionLoss';
  constructor(private readonly fn: LossFunction) {
    super(fn.name || 'loss');
  }
  override call(target: SymbolicTensor, prediction: SymbolicTensor): SymbolicTensor {
    const y: unknown = this.fn(target, prediction);
    if (!(y instanceof SymbolicTensor))
      throw new ValueError(`the loss function '${this.name}' must return a tensor made by functions of ops, got ${describe(y)}`);
    return y.rank === 0 ? ops.reshape(y, [1]) : y;
  }
}

const withoutFunction = (o: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(o).filter(([k]) => k !== 'fn' && k !== 'dtype'));

const registry: Registry<Loss> = {
  what: 'loss',
  classes: {
    MeanSquaredError: (o, semantics) => MeanSquaredError({ ...withoutFunction(o), semantics }),
    MeanAbsoluteError: (o, semantics) => MeanAbsoluteError({ ...withoutFunction(o), semantics }),
    BinaryCrossentropy: (o, semantics) => BinaryCrossentropy({ ...withoutFunction(o), semantics }),
    CategoricalCrossentropy: (o, semantics) => CategoricalCrossentropy({ ...withoutFunction(o), semantics }),
    SparseCategoricalCrossentropy: (o, semantics) => SparseCategoricalCrossentropy({ ...withoutFunction(o), semantics }),
    ...Object.fromEntries(
      Object.entries({
        MeanAbsolutePercentageError,
        MeanSquaredLogarithmicError,
        Huber,
        LogCosh,
        Poisson,
        KLDivergence,
        CosineSimilarity,
        Hinge,
        SquaredHinge,
        CategoricalHinge,
        BinaryFocalCrossentropy,
        CategoricalFocalCrossentropy,
        Dice,
        Tversky,
      }).map(([name, cls]) => [name, (o: Record<string, unknown>, semantics: Semantics) => cls({ ...withoutFunction(o), semantics })]),
    ),
  },
  aliases: {
    mse: 'MeanSquaredError',
    mae: 'MeanAbsoluteError',
    bce: 'BinaryCrossentropy',
    mape: 'MeanAbsolutePercentageError',
    msle: 'MeanSquaredLogarithmicError',
    kld: 'KLDivergence',
    kl_divergence: 'KLDivergence',
    kullback_leibler_divergence: 'KLDivergence',
    logcosh: 'LogCosh',
    log_cosh: 'LogCosh',
    huber_loss: 'Huber',
    cosine_similarity: 'CosineSimilarity',
  },
};

export type LossIdentifier = string | Loss | LossFunction | SerializedObject;

/** The loss that a name, a config, a function or an instance stands for. */
export function get(id: LossIdentifier, semantics: Semantics = 'keras3'): Loss {
  if (id instanceof Loss) return id;
  if (isClassOf(id, Loss)) return Reflect.construct(id, [{ semantics }]) as Loss;
  if (typeof id === 'function') return new FunctionLoss(id);
  if (typeof id === 'string') return registry.classes[classNamed(registry, id)]!({}, semantics);
  if (isSerialized(id)) return registry.classes[classNamed(registry, id.class_name)]!(optionsOfConfig(id.config ?? {}), semantics);
  throw new ValueError(`a loss must be a name, a function or a Loss, got ${describe(id)}`);
}

export function serialize(loss: Loss): SerializedObject {
  if (loss instanceof FunctionLoss)
    throw new UnsupportedError(`the loss function '${loss.name}' cannot be written to a configuration: make it a named Loss class`);
  return serializeObject('keras.losses', loss.className, loss);
}
export const deserialize = (config: SerializedObject, semantics: Semantics = 'keras3'): Loss => get(config, semantics);

export type { Reduction };
export const { meanSquaredError, meanAbsoluteError, binaryCrossentropy, categoricalCrossentropy, sparseCategoricalCrossentropy } = functions;
export * from './margins.js';
export * from './regression.js';
export {
  klDivergence as KLD,
  klDivergence as kld,
  klDivergence as kullbackLeiblerDivergence,
  logCosh as logcosh,
  meanAbsolutePercentageError as MAPE,
  meanAbsolutePercentageError as mape,
  meanSquaredLogarithmicError as MSLE,
  meanSquaredLogarithmicError as msle,
} from './regression.js';
export { meanAbsoluteError as MAE, meanAbsoluteError as mae, meanSquaredError as MSE, meanSquaredError as mse };
