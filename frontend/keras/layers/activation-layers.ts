/** LeakyReLU, PReLU, ELU, ThresholdedReLU, Softmax: activation functions as layers, with their parameters. */
import { ShapeError, ValueError } from '../../../ir/errors.js';
import * as activations from '../activations.js';
import * as ops from '../backend/ops.js';
import { SymbolicTensor, type Tensors } from '../backend/trace.js';
import type { Variable } from '../backend/variable.js';
import type { ConstraintIdentifier } from '../constraints.js';
import type { InitializerIdentifier } from '../initializers/index.js';
import type { RegularizerIdentifier } from '../regularizers.js';
import { callable } from '../utils/callable.js';
import { finiteNumber, resolveOptions } from '../utils/options.js';
import type { Json, JsonObject, Semantics } from '../utils/serialization.js';
import { type CallArguments, type InputShape, knownDim, Layer, type LayerOptions, layerDefaults, single, singleShape } from './layer.js';
import { type WeightFields, weightConfig, weightFields } from './weight-fields.js';

export interface LeakyReLUConfig extends LayerOptions {
  /** Slope below 0; default 0.3. */
  negativeSlope?: number | null;
  /** The name of `negativeSlope` in Keras 2. */
  alpha?: number | null;
}

/** x where positive, else negativeSlope * x. */
export class LeakyReLUClass extends Layer {
  static override readonly className = 'LeakyReLU';
  readonly negativeSlope: number;
  constructor(options?: LeakyReLUConfig) {
    const o = resolveOptions<LeakyReLUConfig>('LeakyReLU', [options], [], { ...layerDefaults, negativeSlope: null, alpha: null });
    super(o);
    this.negativeSlope = finiteNumber('LeakyReLU', 'negativeSlope', o.negativeSlope ?? o.alpha ?? 0.3);
    if (this.negativeSlope < 0) throw new ValueError(`LeakyReLU: 'negativeSlope' must not be negative, got ${this.negativeSlope}`);
    this.supportsMasking = true;
  }
  override call(inputs: Tensors): Tensors {
    return activations.leakyRelu(single(inputs, this), this.negativeSlope);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), [this.configFor === 'keras2' ? 'alpha' : 'negative_slope']: this.negativeSlope };
  }
}

export interface PReLUConfig extends LayerOptions {
  /** Default zeros. */
  alphaInitializer?: InitializerIdentifier;
  alphaRegularizer?: RegularizerIdentifier | null;
  alphaConstraint?: ConstraintIdentifier | null;
  /** Axes (the batch axis is 0) along which the slope is shared, such as [1, 2] after a convolution. */
  sharedAxes?: number | readonly number[] | null;
}

/** x where positive, else alpha * x with a trained alpha for each feature: weight `alpha`, shaped as one sample with size 1 on the shared axes. */
export class PReLUClass extends Layer {
  static override readonly className = 'PReLU';
  readonly sharedAxes: readonly number[] | null;
  private readonly fields: { readonly alpha: WeightFields };
  alpha!: Variable;
  constructor(options?: PReLUConfig) {
    const o = resolveOptions<PReLUConfig>('PReLU', [options], [], {
      ...layerDefaults,
      alphaInitializer: 'zeros',
      alphaRegularizer: null,
      alphaConstraint: null,
      sharedAxes: null,
    });
    super(o);
    this.sharedAxes = o.sharedAxes === null || o.sharedAxes === undefined ? null : typeof o.sharedAxes === 'number' ? [o.sharedAxes] : o.sharedAxes;
    this.fields = { alpha: weightFields(o, 'alpha') };
    this.supportsMasking = true;
  }
  override build(inputShape: InputShape): void {
    const shape = singleShape(inputShape, this);
    const shared = (this.sharedAxes ?? []).map((a) => (a < 0 ? a + shape.length : a));
    const bad = shared.findIndex((a) => !Number.isInteger(a) || a < 1 || a >= shape.length);
    if (bad >= 0)
      throw new ShapeError(`${this.name}: shared axis ${this.sharedAxes![bad]} is not an axis of a sample of rank ${shape.length - 1} (they start at 1)`);
    const dims = shape.slice(1).map((_, i) => (shared.includes(i + 1) ? 1 : knownDim(this, shape, i + 1)));
    this.alpha = this.addWeight('alpha', dims, this.fields.alpha);
  }
  override call(inputs: Tensors): Tensors {
    const x = single(inputs, this);
    return ops.where(ops.greater(x, 0), x, ops.multiply(x, this.alpha));
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), ...weightConfig(this.fields), shared_axes: this.sharedAxes as Json };
  }
}

export interface ELUConfig extends LayerOptions {
  /** Default 1. */
  alpha?: number;
}

/** x where positive, else alpha * (exp(x) - 1). */
export class ELUClass extends Layer {
  static override readonly className = 'ELU';
  readonly alpha: number;
  constructor(options?: ELUConfig) {
    const o = resolveOptions<ELUConfig>('ELU', [options], [], { ...layerDefaults, alpha: 1 });
    super(o);
    this.alpha = finiteNumber('ELU', 'alpha', o.alpha);
    this.supportsMasking = true;
  }
  override call(inputs: Tensors): Tensors {
    return activations.elu(single(inputs, this), this.alpha);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), alpha: this.alpha };
  }
}

export interface ThresholdedReLUConfig extends LayerOptions {
  /** Default 1. */
  theta?: number;
}

/** x where x > theta, else 0 (Keras 2). */
export class ThresholdedReLUClass extends Layer {
  static override readonly className = 'ThresholdedReLU';
  readonly theta: number;
  constructor(options?: ThresholdedReLUConfig) {
    const o = resolveOptions<ThresholdedReLUConfig>('ThresholdedReLU', [options], [], { ...layerDefaults, theta: 1 });
    super(o);
    this.theta = finiteNumber('ThresholdedReLU', 'theta', o.theta);
    if (this.theta < 0) throw new ValueError(`ThresholdedReLU: 'theta' must not be negative, got ${this.theta}`);
    this.supportsMasking = true;
  }
  override call(inputs: Tensors): Tensors {
    const x = single(inputs, this);
    return ops.where(ops.greater(x, this.theta), x, 0);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), theta: this.theta };
  }
}

export interface SoftmaxConfig extends LayerOptions {
  /** One axis or several; default -1. */
  axis?: number | readonly number[];
  /** Keras 2: masked values are replaced by -1e9, instead of lowered by it. Default false. */
  robustMasking?: boolean;
}

/** softmax over one axis, or over several together. Where a mask of the input's shape is false, the output is 0. */
export class SoftmaxClass extends Layer {
  static override readonly className = 'Softmax';
  readonly axis: number | readonly number[];
  readonly robustMasking: boolean;
  constructor(options?: SoftmaxConfig) {
    const o = resolveOptions<SoftmaxConfig>('Softmax', [options], [], { ...layerDefaults, axis: -1, robustMasking: false });
    super(o);
    this.axis = o.axis ?? -1;
    this.robustMasking = o.robustMasking ?? false;
    this.supportsMasking = true;
  }
  override call(inputs: Tensors, args: CallArguments): Tensors {
    const x = single(inputs, this);
    return maskedSoftmax(x, args.mask instanceof SymbolicTensor ? args.mask : null, maskingOf(this.semantics, this.robustMasking), this.axis);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), axis: this.axis as Json, ...(this.configFor === 'keras2' && this.robustMasking ? { robust_masking: true } : {}) };
  }
}

/** Scores with -1e9 added where the mask is false: softmax gives 0 there, and an even distribution over a row without a true element stays finite. */
export const maskedScores = (scores: SymbolicTensor, mask: SymbolicTensor): SymbolicTensor =>
  ops.add(scores, ops.multiply(ops.subtract(1, ops.cast(mask, 'float32')), -1e9));

/** How a mask reaches a softmax: scores are lowered (Keras 2), replaced (its robust masking), or replaced and the results blanked, so that a row without a true element is 0 (Keras 3). */
export type Masking = 'lower' | 'replace' | 'blank';
export const maskingOf = (semantics: Semantics, robust: boolean): Masking => (semantics === 'keras3' ? 'blank' : robust ? 'replace' : 'lower');

/** softmax of the scores where the mask is true. */
export function maskedSoftmax(scores: SymbolicTensor, mask: SymbolicTensor | null, masking: Masking, axis: number | readonly number[] = -1): SymbolicTensor {
  if (!mask) return activations.softmax(scores, axis);
  if (masking === 'lower') return activations.softmax(maskedScores(scores, mask), axis);
  const seen = ops.broadcastTo(mask.dtype === 'bool' ? mask : ops.greater(mask, 0.5), scores.shape);
  const y = activations.softmax(ops.where(seen, scores, -1e9), axis);
  return masking === 'blank' ? ops.where(seen, y, 0) : y;
}

export const LeakyReLU = callable(LeakyReLUClass);
export const PReLU = callable(PReLUClass);
export const ELU = callable(ELUClass);
export const ThresholdedReLU = callable(ThresholdedReLUClass);
export const Softmax = callable(SoftmaxClass);
