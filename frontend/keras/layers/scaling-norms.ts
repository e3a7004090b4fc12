/** GroupNormalization, UnitNormalization, RMSNormalization, SpectralNormalization. */
import { ShapeError, ValueError } from '../../../ir/errors.js';
import * as ops from '../backend/ops.js';
import { type KerasShape, kerasShape, kerasShapeText, type SymbolicTensor, type Tensors } from '../backend/trace.js';
import type { Variable } from '../backend/variable.js';
import { callable } from '../utils/callable.js';
import { finiteNumber, positiveInteger, resolveOptions } from '../utils/options.js';
import type { Json, JsonObject, SerializedObject } from '../utils/serialization.js';
import { type CallArguments, type InputShape, knownDim, Layer, type LayerOptions, layerDefaults, single, singleShape } from './layer.js';
import { type AffineOptions, affineDefaults, alongAxes, axesIn } from './normalization.js';
import { type WeightFields, weightConfig, weightFields } from './weight-fields.js';
import { Wrapper, type WrapperOptions } from './wrappers.js';

export interface GroupNormalizationConfig extends Omit<AffineOptions, 'axis'> {
  /** Number of groups of channels; -1: each channel by itself. Default 32. */
  groups?: number;
  /** The axis of the channels; default -1. */
  axis?: number;
}

/** Normalizes each sample and each group of channels over space, then gamma and beta for each channel. */
export class GroupNormalizationClass extends Layer {
  static override readonly className = 'GroupNormalization';
  groups: number;
  readonly axis: number;
  readonly epsilon: number;
  readonly center: boolean;
  readonly scale: boolean;
  private readonly fields: { readonly beta: WeightFields; readonly gamma: WeightFields };
  gamma: Variable | null = null;
  beta: Variable | null = null;
  constructor(options?: GroupNormalizationConfig) {
    const o = resolveOptions<GroupNormalizationConfig>('GroupNormalization', [options], [], { ...affineDefaults, axis: -1, groups: 32 });
    super(o);
    this.groups = o.groups === -1 ? -1 : positiveInteger('GroupNormalization', 'groups', o.groups);
    this.axis = o.axis ?? -1;
    this.epsilon = finiteNumber('GroupNormalization', 'epsilon', o.epsilon);
    this.center = o.center ?? true;
    this.scale = o.scale ?? true;
    this.fields = { beta: weightFields(o, 'beta'), gamma: weightFields(o, 'gamma') };
    this.supportsMasking = true;
  }
  override build(inputShape: InputShape): void {
    const shape = singleShape(inputShape, this);
    const channels = knownDim(this, shape, axesIn(this, this.axis, shape)[0]!);
    if (this.groups === -1) this.groups = channels;
    if (channels % this.groups !== 0) throw new ValueError(`${this.name}: 'groups' (${this.groups}) must divide the ${channels} channels`);
    if (this.scale) this.gamma = this.addWeight('gamma', [channels], this.fields.gamma);
    if (this.center) this.beta = this.addWeight('beta', [channels], this.fields.beta);
  }
  override call(inputs: Tensors): Tensors {
    const x = single(inputs, this);
    const axes = axesIn(this, this.axis, x.shape as KerasShape);
    const at = axes[0]!;
    const each = (x.shape[at] as number) / this.groups;
    const grouped = ops.reshape(x, [...x.shape.slice(0, at), this.groups, each, ...x.shape.slice(at + 1)]);
    const over = grouped.shape.map((_, i) => i).filter((i) => i !== 0 && i !== at);
    const centred = ops.subtract(grouped, ops.mean(grouped, over, true));
    const variance = ops.mean(ops.square(centred), over, true);
    let y = ops.reshape(ops.multiply(centred, ops.rsqrt(ops.add(variance, this.epsilon))), x.shape);
    if (this.gamma) y = ops.multiply(y, alongAxes(this.gamma, x, axes));
    return this.beta ? ops.add(y, alongAxes(this.beta, x, axes)) : y;
  }
  override getConfig(): JsonObject {
    const { groups, axis, epsilon, center, scale } = this;
    return { ...super.getConfig(), groups, axis, epsilon, center, scale, ...weightConfig(this.fields) };
  }
}

export interface UnitNormalizationConfig extends LayerOptions {
  /** Default -1. */
  axis?: number | readonly number[];
}

/** Divides by the Euclidean norm along the axis. */
export class UnitNormalizationClass extends Layer {
  static override readonly className = 'UnitNormalization';
  readonly axis: number | readonly number[];
  constructor(options?: UnitNormalizationConfig) {
    const o = resolveOptions<UnitNormalizationConfig>('UnitNormalization', [options], [], { ...layerDefaults, axis: -1 });
    super(o);
    this.axis = o.axis ?? -1;
    this.supportsMasking = true;
  }
  override call(inputs: Tensors): Tensors {
    const x = single(inputs, this);
    return ops.l2Normalize(x, axesIn(this, this.axis, x.shape as KerasShape));
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), axis: this.axis as Json };
  }
}

export interface RMSNormalizationConfig extends LayerOptions {
  /** Default -1. */
  axis?: number | readonly number[];
  /** Default 1e-6. */
  epsilon?: number;
}

/** x / sqrt(mean(x²) + epsilon) along the axis, times the weight `scale` (Keras 3). */
export class RMSNormalizationClass extends Layer {
  static override readonly className = 'RMSNormalization';
  readonly axis: number | readonly number[];
  readonly epsilon: number;
  scale!: Variable;
  constructor(options?: RMSNormalizationConfig) {
    const o = resolveOptions<RMSNormalizationConfig>('RMSNormalization', [options], [], { ...layerDefaults, axis: -1, epsilon: 1e-6 });
    super(o);
    this.axis = o.axis ?? -1;
    this.epsilon = finiteNumber('RMSNormalization', 'epsilon', o.epsilon);
    this.supportsMasking = true;
  }
  override build(inputShape: InputShape): void {
    const shape = singleShape(inputShape, this);
    const dims = axesIn(this, this.axis, shape).map((a) => knownDim(this, shape, a));
    this.scale = this.addWeight('scale', dims, { initializer: 'ones' });
  }
  override call(inputs: Tensors): Tensors {
    const x = single(inputs, this);
    const axes = axesIn(this, this.axis, x.shape as KerasShape);
    const y = ops.multiply(x, ops.rsqrt(ops.add(ops.mean(ops.square(x), axes, true), this.epsilon)));
    // as Keras does it: the scale lies along the last axes, whichever axes are normalized
    const last = x.shape.slice(-axes.length);
    if (this.scale.shape.some((d, i) => d !== 1 && d !== last[i]))
      throw new ShapeError(
        `${this.name}: as in Keras, the scale of shape [${this.scale.shape}] is multiplied with the last axes, which does not fit an input of shape ${kerasShapeText(kerasShape(x.shape))}`,
      );
    return ops.multiply(y, this.scale);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), axis: this.axis as Json, epsilon: this.epsilon };
  }
}

export interface SpectralNormalizationConfig extends WrapperOptions {
  /** Default 1. */
  powerIterations?: number;
}

/**
 * Keeps the largest singular value of a layer's kernel at 1: while training, the kernel is divided by its estimate from the power method before each call. Weight `vector_u`
 * (1, outputs) holds the method's state.
 */
export class SpectralNormalizationClass extends Wrapper {
  static override readonly className = 'SpectralNormalization';
  readonly powerIterations: number;
  vectorU!: Variable;
  constructor(layer: Layer | SpectralNormalizationConfig, options?: LayerOptions & { powerIterations?: number }) {
    const defaults = { ...layerDefaults, powerIterations: 1 };
    const o = resolveOptions<SpectralNormalizationConfig>('SpectralNormalization', [layer, options], ['layer'], defaults);
    super(o);
    this.powerIterations = positiveInteger('SpectralNormalization', 'powerIterations', o.powerIterations);
  }
  /** The weight that is normalized. */
  private get kernel(): Variable {
    const { kernel, embeddings } = this.layer as Layer & { kernel?: Variable; embeddings?: Variable };
    const weight = kernel ?? embeddings;
    if (!weight) throw new ValueError(`${this.name}: ${this.layer.className} has neither a kernel nor embeddings to normalize`);
    return weight;
  }
  override build(inputShape: InputShape): void {
    this.layer.ensureBuilt(inputShape);
    const initializer: SerializedObject = { class_name: 'TruncatedNormal', config: { stddev: 0.02 } };
    this.vectorU = this.addWeight('vector_u', [1, this.kernel.shape.at(-1)!], { initializer, trainable: false });
  }
  override get trackedWeights(): Readonly<Record<string, readonly Variable[]>> {
    return this.semantics === 'keras3' && this.built ? { '': [this.kernel, this.vectorU] } : super.trackedWeights;
  }
  /** Keras 3 counts the kernel as this layer's own, before vector_u. */
  override get weights(): Variable[] {
    const rest = this.layer.weights.filter((w) => w !== this.kernel);
    return this.semantics === 'keras3' ? [this.kernel, this.vectorU, ...rest] : super.weights;
  }
  override call(inputs: Tensors, args: CallArguments): Tensors {
    const x = single(inputs, this);
    if (args.training) this.normalize(x);
    return this.layer.compute(x, { training: args.training ?? false });
  }
  private normalize(x: SymbolicTensor): void {
    const { trace } = x;
    const { kernel } = this;
    const w = trace.read(kernel);
    const matrix = ops.reshape(w, [-1, kernel.shape.at(-1)!]);
    const transposed = ops.transpose(matrix, [1, 0]);
    let u = trace.read(this.vectorU);
    let v: SymbolicTensor = u;
    for (let i = 0; i < this.powerIterations; i++) {
      v = ops.l2Normalize(ops.matmul(u, transposed));
      u = ops.l2Normalize(ops.matmul(v, matrix));
    }
    const sigma = ops.sum(ops.multiply(ops.matmul(v, matrix), u));
    // a kernel of zeros stays as it is
    const nonzero = ops.any(ops.notEqual(w, 0));
    trace.assign(this.vectorU, ops.where(nonzero, u, trace.read(this.vectorU)));
    const next = ops.where(nonzero, ops.divide(w, ops.where(nonzero, sigma, 1)), w);
    // an assignment carries no gradient back: that of the loss is the kernel's own, as in Keras
    trace.assign(kernel, ops.add(w, ops.stopGradient(ops.subtract(next, w))));
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), power_iterations: this.powerIterations };
  }
}

export const GroupNormalization = callable(GroupNormalizationClass);
export const UnitNormalization = callable(UnitNormalizationClass);
export const RMSNormalization = callable(RMSNormalizationClass);
export const SpectralNormalization = callable(SpectralNormalizationClass);
