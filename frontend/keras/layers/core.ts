/** InputLayer, Dense, Activation, ReLU, Flatten, Reshape, Dropout. */
import type { DType } from '../../../ir/dtype.js';
import { ShapeError, ValueError } from '../../../ir/errors.js';
import * as activations from '../activations.js';
import * as ops from '../backend/ops.js';
import { featureSize, type KerasShape, kerasShape, kerasShapeText, type SymbolicTensor, type Tensors } from '../backend/trace.js';
import type { Variable } from '../backend/variable.js';
import type { ConstraintIdentifier } from '../constraints.js';
import type { InitializerIdentifier } from '../initializers/index.js';
import type { RegularizerIdentifier } from '../regularizers.js';
import { callable } from '../utils/callable.js';
import { describe, isPlainObject, oneOf, positiveInteger, resolveOptions } from '../utils/options.js';
import type { Json, JsonObject } from '../utils/serialization.js';
import { type CallArguments, dtypeOf, type InputShape, knownDim, Layer, type LayerOptions, layerDefaults, single, singleShape } from './layer.js';
import { type KerasDType, KerasTensor, LayerNode } from './node.js';
import { regularizerJson, type WeightFields, weightConfig, weightFields } from './weight-fields.js';

export interface InputOptions {
  /** Shape of one sample; null where a size is unknown. */
  readonly shape?: KerasShape | null;
  /** Shape with the batch axis, instead of `shape`. */
  readonly batchShape?: KerasShape | null;
  readonly batchInputShape?: KerasShape | null;
  readonly batchSize?: number | null;
  /** Default float32; `string` for layers such as TextVectorization. Data of small integers stays small on the device and is cast in the graph. */
  readonly dtype?: DType | string | null;
  readonly name?: string | null;
  readonly semantics?: LayerOptions['semantics'];
}

const inputDefaults: InputOptions = { shape: null, batchShape: null, batchInputShape: null, batchSize: null, dtype: null, name: null, semantics: 'keras3' };

export class InputLayerClass extends Layer {
  static override readonly className = 'InputLayer';
  readonly batchShape: KerasShape;
  /** Strings go to layers that compute on the host. */
  readonly inputDtype: KerasDType;
  readonly output: KerasTensor;
  constructor(options: InputOptions = {}) {
    const o = resolveOptions<InputOptions>('InputLayer', [options], [], inputDefaults);
    const given = o.batchShape ?? o.batchInputShape ?? o.shape;
    if (given !== null && given !== undefined && !Array.isArray(given))
      throw new ValueError(`InputLayer: 'shape' must be a list of sizes, got ${describe(given)}`);
    const batchShape = o.batchShape ?? o.batchInputShape ?? (o.shape ? [o.batchSize ?? null, ...o.shape] : null);
    if (!batchShape || !Array.isArray(batchShape)) throw new ValueError('Input: the shape is required, such as Input({ shape: [28, 28, 1] })');
    batchShape.forEach((d, i) => {
      if (d !== null && !(Number.isInteger(d) && d > 0))
        throw new ValueError(`Input: dimension ${i} of the shape must be a positive integer or null, got ${describe(d)}`);
    });
    super({ name: o.name ?? null, semantics: o.semantics ?? 'keras3', dtype: o.dtype === 'string' ? null : dtypeOf('Input', o.dtype) });
    this.batchShape = batchShape;
    this.inputDtype = o.dtype === 'string' ? 'string' : this.dtype;
    this.built = true;
    const node = new LayerNode(this, [], true, {});
    this.output = new KerasTensor(batchShape, this.inputDtype, this.name, { node, index: 0 });
    node.finish([this.output], true);
    this.inboundNodes.push(node);
  }
  override call(inputs: Tensors): Tensors {
    return inputs;
  }
  override getConfig(): JsonObject {
    const shape = this.configFor === 'keras2' ? { batch_input_shape: this.batchShape } : { batch_shape: this.batchShape };
    return { ...shape, dtype: this.inputDtype, sparse: false, ragged: false, name: this.name, optional: false };
  }
}

/** An input of a functional model. `Input([28, 28, 1])` and `Input({ shape: [28, 28, 1] })` are the same. */
export function Input(shape: KerasShape | InputOptions, options: InputOptions = {}): KerasTensor {
  if (shape !== undefined && !Array.isArray(shape) && !isPlainObject(shape))
    throw new ValueError(`Input: expected a shape such as [28, 28, 1], or { shape }, got ${describe(shape)}`);
  return new InputLayerClass(Array.isArray(shape) ? { ...options, shape: shape as KerasShape } : (shape as InputOptions)).output;
}

export interface DenseConfig extends LayerOptions {
  /** Size of the output. */
  units: number;
  activation?: activations.ActivationIdentifier | null;
  useBias?: boolean;
  kernelInitializer?: InitializerIdentifier;
  biasInitializer?: InitializerIdentifier;
  kernelRegularizer?: RegularizerIdentifier | null;
  biasRegularizer?: RegularizerIdentifier | null;
  kernelConstraint?: ConstraintIdentifier | null;
  biasConstraint?: ConstraintIdentifier | null;
}

const kernelAndBias = {
  kernelInitializer: 'glorot_uniform',
  biasInitializer: 'zeros',
  kernelRegularizer: null,
  biasRegularizer: null,
  kernelConstraint: null,
  biasConstraint: null,
} as const;

/**
 * `activation(x · kernel + bias)` over the last axis. Input (batch, …, n), output (batch, …, units).
 * kernel (n, units) starts glorot_uniform, bias (units) starts zeros.
 */
export class DenseClass extends Layer {
  static override readonly className = 'Dense';
  readonly units: number;
  readonly activation: activations.Activation;
  readonly useBias: boolean;
  private readonly fields: { readonly kernel: WeightFields; readonly bias: WeightFields };
  kernel!: Variable;
  bias: Variable | null = null;

  constructor(units: number | DenseConfig, options?: Omit<DenseConfig, 'units'>) {
    const o = resolveOptions<DenseConfig>('Dense', [units, options], ['units'], { ...layerDefaults, activation: null, useBias: true, ...kernelAndBias });
    super(o);
    this.units = positiveInteger('Dense', 'units', o.units);
    this.activation = activations.get(o.activation, this.semantics);
    this.useBias = o.useBias ?? true;
    this.fields = { kernel: weightFields(o, 'kernel'), bias: weightFields(o, 'bias') };
    this.supportsMasking = true;
  }
  override build(inputShape: InputShape): void {
    const shape = singleShape(inputShape, this);
    if (shape.length < 2) throw new ShapeError(`${this.name}: Dense expects an input of rank 2 or more, got shape ${kerasShapeText(shape)}`);
    this.kernel = this.addWeight('kernel', [knownDim(this, shape, -1), this.units], this.fields.kernel);
    if (this.useBias) this.bias = this.addWeight('bias', [this.units], this.fields.bias);
  }
  override call(inputs: Tensors): Tensors {
    let x = single(inputs, this);
    if (x.dtype !== 'float32') x = ops.cast(x, 'float32');
    const n = x.shape.at(-1);
    if (n !== this.kernel.shape[0])
      throw new ShapeError(`${this.name}: expected ${this.kernel.shape[0]} features on the last axis, got shape ${kerasShapeText(kerasShape(x.shape))}`);
    const y = ops.matmul(x, this.kernel);
    return this.activation.apply(this.bias ? ops.add(y, this.bias) : y);
  }
  override getConfig(): JsonObject {
    return {
      ...super.getConfig(),
      units: this.units,
      activation: activations.activationJson(this.activation),
      use_bias: this.useBias,
      ...weightConfig(this.fields),
      ...(this.activityRegularizer || this.configFor === 'keras2' ? { activity_regularizer: regularizerJson(this.activityRegularizer) } : {}),
    };
  }
}

export interface ActivationConfig extends LayerOptions {
  activation: activations.ActivationIdentifier;
}

/** Applies an activation function. */
export class ActivationClass extends Layer {
  static override readonly className = 'Activation';
  readonly activation: activations.Activation;
  constructor(activation: activations.ActivationIdentifier | ActivationConfig, options?: LayerOptions) {
    const o = resolveOptions<ActivationConfig>('Activation', [activation, options], ['activation'], layerDefaults);
    super(o);
    this.activation = activations.get(o.activation, this.semantics);
    this.supportsMasking = true;
  }
  override call(inputs: Tensors): Tensors {
    return this.activation.apply(single(inputs, this));
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), activation: activations.activationJson(this.activation) };
  }
}

export interface ReLUConfig extends LayerOptions {
  /** Largest output; null: no limit. */
  maxValue?: number | null;
  /** Slope below the threshold; default 0. */
  negativeSlope?: number | null;
  /** Default 0. */
  threshold?: number | null;
}

/** max(x, 0), with an optional upper limit, slope and threshold. */
export class ReLUClass extends Layer {
  static override readonly className = 'ReLU';
  readonly maxValue: number | null;
  readonly negativeSlope: number;
  readonly threshold: number;
  constructor(options?: ReLUConfig) {
    const o = resolveOptions<ReLUConfig>('ReLU', [options], [], { ...layerDefaults, maxValue: null, negativeSlope: 0, threshold: 0 });
    super(o);
    this.maxValue = o.maxValue ?? null;
    this.negativeSlope = o.negativeSlope ?? 0;
    this.threshold = o.threshold ?? 0;
    for (const name of ['negativeSlope', 'threshold'] as const)
      if (this[name] < 0) throw new ValueError(`ReLU: '${name}' must not be negative, got ${this[name]}`);
    if (this.maxValue !== null && this.maxValue < 0) throw new ValueError(`ReLU: 'maxValue' must not be negative, got ${this.maxValue}`);
    this.supportsMasking = true;
  }
  override call(inputs: Tensors): Tensors {
    return activations.relu(single(inputs, this), this);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), max_value: this.maxValue, negative_slope: this.negativeSlope, threshold: this.threshold };
  }
}

export type DataFormat = 'channels_last' | 'channels_first';
export const dataFormatOf = (what: string, x: unknown): DataFormat =>
  x === null || x === undefined ? 'channels_last' : oneOf(what, 'dataFormat', x, ['channels_last', 'channels_first']);

export interface FlattenConfig extends LayerOptions {
  dataFormat?: DataFormat | null;
}

/** (batch, a, b, …) to (batch, a·b·…). */
export class FlattenClass extends Layer {
  static override readonly className = 'Flatten';
  readonly dataFormat: DataFormat;
  constructor(options?: FlattenConfig) {
    const o = resolveOptions<FlattenConfig>('Flatten', [options], [], { ...layerDefaults, dataFormat: null });
    super(o);
    this.dataFormat = dataFormatOf('Flatten', o.dataFormat);
  }
  override call(inputs: Tensors): Tensors {
    let x = single(inputs, this);
    const size = featureSize(this.name, x.shape);
    // channels_first is flattened in the order of channels_last
    if (this.dataFormat === 'channels_first' && x.rank > 2) x = ops.transpose(x, [0, ...Array.from({ length: x.rank - 2 }, (_, i) => i + 2), 1]);
    return ops.reshape(x, [x.shape[0]!, size]);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), data_format: this.dataFormat };
  }
}

export interface ReshapeConfig extends LayerOptions {
  /** Shape of one sample; one dimension may be -1. */
  targetShape: readonly number[];
}

/** Gives each sample another shape with the same number of elements. */
export class ReshapeClass extends Layer {
  static override readonly className = 'Reshape';
  readonly targetShape: readonly number[];
  constructor(targetShape: readonly number[] | ReshapeConfig, options?: LayerOptions) {
    const o = resolveOptions<ReshapeConfig>('Reshape', [targetShape, options], ['targetShape'], layerDefaults);
    super(o);
    if (!Array.isArray(o.targetShape) || o.targetShape.filter((d) => d === -1).length > 1)
      throw new ValueError(`Reshape: 'targetShape' must be a list with at most one -1, got ${JSON.stringify(o.targetShape)}`);
    this.targetShape = o.targetShape;
  }
  override call(inputs: Tensors): Tensors {
    const x = single(inputs, this);
    const size = featureSize(this.name, x.shape);
    const known = this.targetShape.reduce((n, d) => (d === -1 ? n : n * d), 1);
    const shape = this.targetShape.map((d) => (d === -1 ? size / known : d));
    if (!shape.every(Number.isInteger) || shape.reduce((a, d) => a * d, 1) !== size) {
      throw new ShapeError(
        `${this.name}: cannot reshape samples of shape ${kerasShapeText(kerasShape(x.shape).slice(1))} (${size} elements) to [${this.targetShape.join(', ')}]`,
      );
    }
    return ops.reshape(x, [x.shape[0]!, ...shape]);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), target_shape: this.targetShape as Json };
  }
}

export interface DropoutConfig extends LayerOptions {
  /** Fraction to drop, in [0, 1). */
  rate: number;
  /** Shape of the mask: null keeps the input's size, 1 shares the mask along an axis. */
  noiseShape?: KerasShape | null;
  seed?: number | null;
}

/** Sets a fraction of the inputs to 0 while training, and scales the others by 1 / (1 - rate). */
export class DropoutClass extends Layer {
  static override readonly className = 'Dropout';
  readonly rate: number;
  readonly noiseShape: KerasShape | null;
  readonly seed: number | null;
  constructor(rate: number | DropoutConfig, options?: Omit<DropoutConfig, 'rate'>) {
    const o = resolveOptions<DropoutConfig>('Dropout', [rate, options], ['rate'], { ...layerDefaults, noiseShape: null, seed: null });
    super(o);
    if (typeof o.rate !== 'number' || !(o.rate >= 0 && o.rate <= 1)) throw new ValueError(`Dropout: 'rate' must be between 0 and 1, got ${describe(o.rate)}`);
    this.rate = o.rate;
    this.noiseShape = o.noiseShape ?? null;
    this.seed = o.seed ?? null;
    this.supportsMasking = true;
  }
  override call(inputs: Tensors, args: CallArguments): Tensors {
    const x = single(inputs, this);
    if (!args.training || this.rate === 0) return x;
    return dropout(x, this.rate, this.name, this.seed, this.noiseShape);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), rate: this.rate, seed: this.seed, noise_shape: this.noiseShape as Json };
  }
}

/** Inverted dropout with a mask of `noiseShape` (null entries are the input's sizes). */
export function dropout(x: SymbolicTensor, rate: number, name: string, seed: number | null, noiseShape: KerasShape | null = null): SymbolicTensor {
  if (rate >= 1) return ops.multiply(x, 0);
  if (noiseShape && noiseShape.length !== x.rank)
    throw new ShapeError(`${name}: the noise shape ${kerasShapeText(noiseShape)} must have the rank of the input ${kerasShapeText(kerasShape(x.shape))}`);
  const shape = noiseShape ? noiseShape.map((d, i) => d ?? x.shape[i]!) : x.shape;
  const keep = ops.keepMask(x, shape, rate, seed);
  return ops.where(keep, ops.multiply(x, 1 / (1 - rate)), 0);
}

export const InputLayer = callable(InputLayerClass);
export const Dense = callable(DenseClass);
export const Activation = callable(ActivationClass);
export const ReLU = callable(ReLUClass);
export const Flatten = callable(FlattenClass);
export const Reshape = callable(ReshapeClass);
export const Dropout = callable(DropoutClass);
