/** BatchNormalization and LayerNormalization. */
import { isStatic, mulDim } from '../../../ir/dim.js';
import { ValueError } from '../../../ir/errors.js';
import * as ops from '../backend/ops.js';
import type { KerasShape, SymbolicTensor, Tensors } from '../backend/trace.js';
import type { Variable } from '../backend/variable.js';
import type { ConstraintIdentifier } from '../constraints.js';
import * as initializers from '../initializers/index.js';
import type { RegularizerIdentifier } from '../regularizers.js';
import { callable } from '../utils/callable.js';
import { isPlainObject, numberBetween, resolveOptions, truth } from '../utils/options.js';
import type { Json, JsonObject } from '../utils/serialization.js';
import { type CallArguments, type InputShape, knownDim, Layer, type LayerOptions, layerDefaults, single, singleShape } from './layer.js';
import { type WeightFields, weightConfig, weightFields } from './weight-fields.js';

export interface AffineOptions extends LayerOptions {
  /** Axis or axes of the features; default -1. */
  axis?: number | readonly number[];
  /** Added to the variance; default 1e-3. */
  epsilon?: number;
  /** Adds beta; default true. */
  center?: boolean;
  /** Multiplies by gamma; default true. */
  scale?: boolean;
  betaInitializer?: initializers.InitializerIdentifier;
  gammaInitializer?: initializers.InitializerIdentifier;
  betaRegularizer?: RegularizerIdentifier | null;
  gammaRegularizer?: RegularizerIdentifier | null;
  betaConstraint?: ConstraintIdentifier | null;
  gammaConstraint?: ConstraintIdentifier | null;
}

export const affineDefaults: AffineOptions = {
  ...layerDefaults,
  axis: -1,
  epsilon: 1e-3,
  center: true,
  scale: true,
  betaInitializer: 'zeros',
  gammaInitializer: 'ones',
  betaRegularizer: null,
  gammaRegularizer: null,
  betaConstraint: null,
  gammaConstraint: null,
};

/** Axes in ascending order, none negative. */
export function axesIn(layer: Layer, axis: number | readonly number[], shape: KerasShape): number[] {
  return (typeof axis === 'number' ? [axis] : axis)
    .map((a) => {
      const at = a < 0 ? a + shape.length : a;
      if (!Number.isInteger(at) || at < 0 || at >= shape.length)
        throw new ValueError(`${layer.name}: axis ${a} is out of range for an input of rank ${shape.length}`);
      return at;
    })
    .sort((a, b) => a - b);
}

/** A weight over some axes of `x`, in the rank of `x`. */
export function alongAxes(weight: Variable | SymbolicTensor, x: SymbolicTensor, axes: readonly number[]): SymbolicTensor {
  return ops.reshape(
    weight,
    x.shape.map((d, i) => (axes.includes(i) ? d : 1)),
    x.trace,
  );
}

export interface BatchNormalizationConfig extends AffineOptions {
  /** Of the moving averages; default 0.99. */
  momentum?: number;
  movingMeanInitializer?: initializers.InitializerIdentifier;
  movingVarianceInitializer?: initializers.InitializerIdentifier;
  /** There is one device. In Keras 2 it also means that the moving variance is that of the population for all ranks. */
  synchronized?: boolean;
  /** Batch renormalization (Ioffe 2017): while training the normalized values are brought near those of inference. Default false. */
  renorm?: boolean;
  /** Bounds of its corrections: r within [rmin, rmax], d within [-dmax, dmax]; default none. */
  renormClipping?: RenormClipping | null;
  /** Of the averages that it corrects by; default 0.99. */
  renormMomentum?: number;
}
export interface RenormClipping {
  readonly rmin?: number;
  readonly rmax?: number;
  readonly dmax?: number;
}

function clippingOf(layer: Layer, given: unknown): RenormClipping {
  const o = given ?? {};
  const bad = !isPlainObject(o) || Object.entries(o).some(([k, v]) => !['rmin', 'rmax', 'dmax'].includes(k) || !(typeof v === 'number' && Number.isFinite(v)));
  const { rmin, rmax, dmax } = (bad ? {} : o) as RenormClipping;
  if (bad || (rmin !== undefined && rmax !== undefined && rmax < rmin) || (dmax ?? 0) < 0)
    throw new ValueError(
      `${layer.className}: 'renormClipping' must be numbers { rmin, rmax, dmax } with rmin <= rmax and dmax >= 0, got ${JSON.stringify(given)}`,
    );
  return o as RenormClipping;
}

/**
 * Normalizes over all axes but `axis`: with the batch's mean and variance while training, else with moving averages of them. In Keras 2, inputs of rank 4 and 5
 * take TensorFlow's fused path, whose moving variance is that of the sample (n / (n - 1)).
 */
export class BatchNormalizationClass extends Layer {
  static override readonly className: string = 'BatchNormalization';
  readonly axis: number | readonly number[];
  readonly momentum: number;
  readonly epsilon: number;
  readonly center: boolean;
  readonly scale: boolean;
  readonly synchronized: boolean;
  private readonly fields: { readonly beta: WeightFields; readonly gamma: WeightFields };
  private readonly meanInitializer: initializers.Initializer;
  private readonly varianceInitializer: initializers.Initializer;
  gamma: Variable | null = null;
  beta: Variable | null = null;
  movingMean!: Variable;
  movingVariance!: Variable;
  readonly renorm: boolean;
  readonly renormClipping: RenormClipping;
  readonly renormMomentum: number;
  /** Averages of renormalization: of the deviation for inference, and of mean and deviation that batches are corrected by. */
  private averages: { readonly movingStddev: Variable; readonly mean: Variable; readonly stddev: Variable } | null = null;

  constructor(options?: BatchNormalizationConfig, what = 'BatchNormalization') {
    const o = resolveOptions<BatchNormalizationConfig>(what, [options], [], {
      ...affineDefaults,
      momentum: 0.99,
      movingMeanInitializer: 'zeros',
      movingVarianceInitializer: 'ones',
      synchronized: false,
      renorm: false,
      renormClipping: null,
      renormMomentum: 0.99,
    });
    super(o);
    this.renorm = truth(this.className, 'renorm', o.renorm);
    this.renormClipping = clippingOf(this, o.renormClipping);
    this.renormMomentum = numberBetween(this.className, 'renormMomentum', o.renormMomentum, 0, 1);
    this.synchronized = o.synchronized ?? false;
    this.axis = o.axis!;
    this.momentum = numberBetween(this.className, 'momentum', o.momentum, 0, 1);
    this.epsilon = numberBetween(this.className, 'epsilon', o.epsilon, 0, Infinity);
    this.center = o.center!;
    this.scale = o.scale!;
    this.fields = { beta: weightFields(o, 'beta'), gamma: weightFields(o, 'gamma') };
    this.meanInitializer = initializers.get(o.movingMeanInitializer!);
    this.varianceInitializer = initializers.get(o.movingVarianceInitializer!);
    this.supportsMasking = true;
  }
  override build(inputShape: InputShape): void {
    const shape = singleShape(inputShape, this);
    const axes = axesIn(this, this.axis, shape);
    // Keras 2 gives weights over several axes the rank of the input
    const dims =
      this.semantics === 'keras2' && axes.length > 1
        ? shape.map((_, a) => (axes.includes(a) ? knownDim(this, shape, a) : 1))
        : axes.map((a) => knownDim(this, shape, a));
    if (this.scale) this.gamma = this.addWeight('gamma', dims, this.fields.gamma);
    if (this.center) this.beta = this.addWeight('beta', dims, this.fields.beta);
    this.movingMean = this.addWeight('moving_mean', dims, { initializer: this.meanInitializer, trainable: false });
    this.movingVariance = this.addWeight('moving_variance', dims, { initializer: this.varianceInitializer, trainable: false });
    if (!this.renorm) return;
    const deviation = { initializer: (of: readonly number[]) => this.varianceInitializer.values(of).map(Math.sqrt), trainable: false };
    this.averages = {
      movingStddev: this.addWeight('moving_stddev', dims, deviation),
      mean: this.addWeight('renorm_mean', dims, { initializer: this.meanInitializer, trainable: false }),
      stddev: this.addWeight('renorm_stddev', dims, deviation),
    };
  }
  override call(inputs: Tensors, args: CallArguments): Tensors {
    let x = single(inputs, this);
    if (x.dtype !== 'float32') x = ops.cast(x, 'float32');
    const axes = axesIn(this, this.axis, x.shape as KerasShape);
    const others = x.shape.map((_, i) => i).filter((i) => !axes.includes(i));
    let mean: SymbolicTensor;
    let variance: SymbolicTensor;
    let correction: { readonly r: SymbolicTensor; readonly d: SymbolicTensor } | null = null;
    if (args.training && this.trainable) {
      // the fused path of Keras 2 ignores masks
      const mask = args.mask && !Array.isArray(args.mask) && !this.isFused(x, axes) ? (args.mask as SymbolicTensor) : null;
      const m = mask ? maskedMoments(x, mask, others, this.semantics === 'keras3' ? 1e-7 : 0) : { mean: ops.mean(x, others, true), variance: null };
      mean = m.mean;
      variance = m.variance ?? ops.mean(ops.square(ops.subtract(x, mean)), others, true);
      correction = this.renormalized(x, mean, variance, axes);
      this.move(x, this.movingMean, mean, 1);
      if (!correction) this.move(x, this.movingVariance, variance, this.besselCorrection(x, axes, others));
    } else {
      mean = alongAxes(this.movingMean, x, axes);
      variance = alongAxes(this.movingVariance, x, axes);
    }
    let factor = ops.rsqrt(ops.add(variance, this.epsilon));
    const gamma = this.gamma ? alongAxes(this.gamma, x, axes) : null;
    if (gamma) factor = ops.multiply(factor, gamma);
    if (correction) factor = ops.multiply(factor, correction.r);
    let y = ops.multiply(ops.subtract(x, mean), factor);
    if (correction) y = ops.add(y, gamma ? ops.multiply(correction.d, gamma) : correction.d);
    return this.beta ? ops.add(y, alongAxes(this.beta, x, axes)) : y;
  }

  /** Moves the averages of renormalization; the corrections by what they were before, through which no gradient flows. The moving variance follows the moving deviation. */
  private renormalized(
    x: SymbolicTensor,
    mean: SymbolicTensor,
    variance: SymbolicTensor,
    axes: readonly number[],
  ): { readonly r: SymbolicTensor; readonly d: SymbolicTensor } | null {
    if (!this.averages) return null;
    const { movingStddev, ...own } = this.averages;
    const { rmin, rmax, dmax } = this.renormClipping;
    const deviation = ops.sqrt(ops.add(variance, this.epsilon));
    const usual = ops.maximum(alongAxes(own.stddev, x, axes), Math.sqrt(this.epsilon));
    let r = ops.divide(deviation, usual);
    if (rmin !== undefined) r = ops.maximum(r, rmin);
    if (rmax !== undefined) r = ops.minimum(r, rmax);
    let d = ops.divide(ops.subtract(mean, alongAxes(own.mean, x, axes)), usual);
    if (dmax !== undefined) d = ops.clip(d, -dmax, dmax);
    this.move(x, own.mean, mean, 1, this.renormMomentum);
    this.move(x, own.stddev, deviation, 1, this.renormMomentum);
    this.move(x, movingStddev, deviation, 1);
    const moved = x.trace.read(movingStddev);
    x.trace.assign(this.movingVariance, ops.maximum(ops.subtract(ops.square(moved), this.epsilon), 0));
    return { r: ops.stopGradient(r), d: ops.stopGradient(d) };
  }

  /** moving = momentum * moving + (1 - momentum) * batch. */
  private move(x: SymbolicTensor, variable: Variable, batch: SymbolicTensor, correction: SymbolicTensor | number, momentum = this.momentum): void {
    const old = x.trace.read(variable);
    const value = ops.reshape(batch, variable.shape);
    const corrected = correction === 1 ? value : ops.multiply(value, correction);
    x.trace.assign(variable, ops.add(ops.multiply(old, momentum), ops.multiply(corrected, 1 - momentum)));
  }

  /** Whether Keras 2 takes TensorFlow's fused kernel. */
  private isFused(x: SymbolicTensor, axes: readonly number[]): boolean {
    return (
      this.semantics === 'keras2' &&
      !this.synchronized &&
      !this.renorm &&
      (x.rank === 4 || x.rank === 5) &&
      axes.length === 1 &&
      (axes[0] === 1 || axes[0] === x.rank - 1)
    );
  }

  /** n / (n - 1) in the fused path of Keras 2, else 1. */
  private besselCorrection(x: SymbolicTensor, axes: readonly number[], others: readonly number[]): SymbolicTensor | number {
    if (!this.isFused(x, axes)) return 1;
    const n = others.map((a) => x.shape[a]!).reduce(mulDim, 1);
    if (isStatic(n)) return n / Math.max(1, n - 1);
    const count = ops.size(x, n);
    return ops.divide(count, ops.maximum(ops.subtract(count, 1), 1));
  }

  override getConfig(): JsonObject {
    const w = weightConfig(this.fields);
    const { beta_initializer, gamma_initializer, ...rest } = w;
    return {
      ...super.getConfig(),
      axis: this.axis as Json,
      momentum: this.momentum,
      epsilon: this.epsilon,
      center: this.center,
      scale: this.scale,
      beta_initializer,
      gamma_initializer,
      moving_mean_initializer: initializers.serialize(this.meanInitializer) as unknown as Json,
      moving_variance_initializer: initializers.serialize(this.varianceInitializer) as unknown as Json,
      ...rest,
      ...(this.configFor === 'keras3' || this.renorm
        ? {
            renorm: this.renorm,
            renorm_clipping: this.renorm ? ({ ...this.renormClipping } as JsonObject) : null,
            renorm_momentum: this.renormMomentum,
          }
        : {}),
      ...(this.configFor === 'keras3' ? { synchronized: this.synchronized } : {}),
    };
  }
}

/** BatchNormalization with `synchronized`, under the name that it has in Keras 2's `layers.experimental`; in files for Keras 3 it is that. */
export class SyncBatchNormalizationClass extends BatchNormalizationClass {
  static override readonly className: string = 'SyncBatchNormalization';
  constructor(options?: Omit<BatchNormalizationConfig, 'synchronized'>) {
    super({ ...options, synchronized: true }, 'SyncBatchNormalization');
  }
  override get writtenClassName(): string {
    return this.configFor === 'keras3' ? 'BatchNormalization' : this.className;
  }
}

/** Mean and variance over the steps that a mask keeps. `slack` is added to their number, against division by 0. */
function maskedMoments(
  x: SymbolicTensor,
  mask: SymbolicTensor,
  others: readonly number[],
  slack: number,
): { readonly mean: SymbolicTensor; readonly variance: SymbolicTensor } {
  const weights = ops.reshape(ops.cast(mask, 'float32'), [...mask.shape, ...new Array<number>(x.rank - mask.rank).fill(1)]);
  const counted = ops.broadcastTo(
    weights,
    x.shape.map((d, i) => (others.includes(i) ? d : 1)),
  );
  const total = ops.add(ops.sum(counted, others, true), slack);
  const weighted = (values: SymbolicTensor) => ops.divide(ops.sum(ops.multiply(values, weights), others, true), total);
  const mean = weighted(x);
  return { mean, variance: weighted(ops.square(ops.subtract(x, mean))) };
}

export type LayerNormalizationConfig = AffineOptions;

/** Normalizes each sample over `axis` (default: the last), then gamma and beta over the same axes. */
export class LayerNormalizationClass extends Layer {
  static override readonly className = 'LayerNormalization';
  readonly axis: number | readonly number[];
  readonly epsilon: number;
  readonly center: boolean;
  readonly scale: boolean;
  private readonly fields: { readonly beta: WeightFields; readonly gamma: WeightFields };
  gamma: Variable | null = null;
  beta: Variable | null = null;

  constructor(options?: LayerNormalizationConfig) {
    const o = resolveOptions<LayerNormalizationConfig>('LayerNormalization', [options], [], affineDefaults);
    super(o);
    this.axis = o.axis!;
    this.epsilon = numberBetween(this.className, 'epsilon', o.epsilon, 0, Infinity);
    this.center = o.center!;
    this.scale = o.scale!;
    this.fields = { beta: weightFields(o, 'beta'), gamma: weightFields(o, 'gamma') };
    this.supportsMasking = true;
  }
  override build(inputShape: InputShape): void {
    const shape = singleShape(inputShape, this);
    const dims = axesIn(this, this.axis, shape).map((a) => knownDim(this, shape, a));
    if (this.scale) this.gamma = this.addWeight('gamma', dims, this.fields.gamma);
    if (this.center) this.beta = this.addWeight('beta', dims, this.fields.beta);
  }
  override call(inputs: Tensors): Tensors {
    const x = single(inputs, this);
    const axes = axesIn(this, this.axis, x.shape as KerasShape);
    const centred = ops.subtract(x, ops.mean(x, axes, true));
    const variance = ops.mean(ops.square(centred), axes, true);
    let y = ops.multiply(centred, ops.rsqrt(ops.add(variance, this.epsilon)));
    if (this.gamma) y = ops.multiply(y, alongAxes(this.gamma, x, axes));
    return this.beta ? ops.add(y, alongAxes(this.beta, x, axes)) : y;
  }
  override getConfig(): JsonObject {
    const rms = this.configFor === 'keras3' ? { rms_scaling: false } : {};
    return {
      ...super.getConfig(),
      axis: this.axis as Json,
      epsilon: this.epsilon,
      center: this.center,
      scale: this.scale,
      ...rms,
      ...weightConfig(this.fields),
    };
  }
}

export const BatchNormalization = callable(BatchNormalizationClass);
export const SyncBatchNormalization = callable(SyncBatchNormalizationClass);
export const LayerNormalization = callable(LayerNormalizationClass);
