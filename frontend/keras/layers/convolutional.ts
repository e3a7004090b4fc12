/** Conv2D and DepthwiseConv2D. Both are one general convolution of the graph; bias and activation follow. */
import { isStatic } from '../../../ir/dim.js';
import { ShapeError, ValueError } from '../../../ir/errors.js';
import type { ConvDims, Pair } from '../../../ir/op-attrs.js';
import * as activations from '../activations.js';
import * as ops from '../backend/ops.js';
import { kerasShape, kerasShapeText, type SymbolicTensor, type Tensors } from '../backend/trace.js';
import type { Variable } from '../backend/variable.js';
import type { ConstraintIdentifier } from '../constraints.js';
import type { InitializerIdentifier } from '../initializers/index.js';
import type { RegularizerIdentifier } from '../regularizers.js';
import { callable } from '../utils/callable.js';
import { integerList, oneOf, positiveInteger, resolveOptions } from '../utils/options.js';
import type { JsonObject } from '../utils/serialization.js';
import { type DataFormat, dataFormatOf } from './core.js';
import { checkRank, type InputShape, knownDim, Layer, type LayerOptions, layerDefaults, single, singleShape } from './layer.js';
import { regularizerJson, type WeightFields, weightConfig, weightFields } from './weight-fields.js';

export type Padding = 'valid' | 'same';

/** Options of all convolutions. */
export interface ConvOptions extends LayerOptions {
  strides?: number | readonly number[];
  padding?: Padding;
  dataFormat?: DataFormat | null;
  dilationRate?: number | readonly number[];
  groups?: number;
  activation?: activations.ActivationIdentifier | null;
  useBias?: boolean;
  biasInitializer?: InitializerIdentifier;
  biasRegularizer?: RegularizerIdentifier | null;
  biasConstraint?: ConstraintIdentifier | null;
}

const convDefaults: ConvOptions = {
  ...layerDefaults,
  strides: 1,
  padding: 'valid',
  dataFormat: null,
  dilationRate: 1,
  groups: 1,
  activation: null,
  useBias: true,
  biasInitializer: 'zeros',
  biasRegularizer: null,
  biasConstraint: null,
};

/** Padding of one axis: `same` gives ceil(size / stride) windows, the odd element at the end. */
export function paddingOf(padding: Padding, size: number, window: number, stride: number, dilation: number): Pair {
  if (padding === 'valid') return [0, 0];
  const extent = (window - 1) * dilation + 1;
  const total = Math.max(0, (Math.ceil(size / stride) - 1) * stride + extent - size);
  return [Math.floor(total / 2), total - Math.floor(total / 2)];
}

/** Which axes of images are space: after the batch, or after the channels. */
export const spatialAxes = (format: DataFormat, rank: number): number[] => Array.from({ length: rank }, (_, i) => i + (format === 'channels_last' ? 1 : 2));
export const channelAxis = (format: DataFormat, rank: number): number => (format === 'channels_last' ? rank + 1 : 1);

/** Known sizes of the spatial axes. */
export function spatialSizes(layer: Layer, x: SymbolicTensor, axes: readonly number[]): number[] {
  return axes.map((a) => {
    const d = x.shape[a]!;
    if (!isStatic(d)) throw new ShapeError(`${layer.name}: the spatial sizes of the input must be known, got shape ${kerasShapeText(kerasShape(x.shape))}`);
    return d;
  });
}

abstract class BaseConv extends Layer {
  readonly rank: number;
  readonly kernelSize: readonly number[];
  readonly strides: readonly number[];
  readonly padding: Padding;
  readonly dataFormat: DataFormat;
  readonly dilationRate: readonly number[];
  readonly groups: number;
  readonly activation: activations.Activation;
  readonly useBias: boolean;
  protected readonly biasFields: WeightFields;
  bias: Variable | null = null;

  constructor(rank: number, kernelSize: unknown, o: ConvOptions) {
    super(o);
    const what = this.className;
    this.rank = rank;
    this.kernelSize = integerList(what, 'kernelSize', kernelSize, rank);
    this.strides = integerList(what, 'strides', o.strides, rank);
    this.padding = oneOf(what, 'padding', o.padding, ['valid', 'same']);
    this.dataFormat = dataFormatOf(what, o.dataFormat);
    this.dilationRate = integerList(what, 'dilationRate', o.dilationRate, rank);
    this.groups = positiveInteger(what, 'groups', o.groups);
    this.activation = activations.get(o.activation, this.semantics);
    this.useBias = o.useBias ?? true;
    this.biasFields = weightFields(o, 'bias');
    if (this.strides.some((s) => s > 1) && this.dilationRate.some((d) => d > 1)) {
      throw new ValueError(
        `${this.name}: strides > 1 and dilationRate > 1 do not go together, got strides [${this.strides}] and dilationRate [${this.dilationRate}]`,
      );
    }
  }

  /** The input's channels; checks its rank. */
  protected channels(inputShape: InputShape): number {
    const shape = singleShape(inputShape, this);
    const last = this.dataFormat === 'channels_last';
    checkRank(this, shape, this.rank + 2, last ? '(batch, …space, channels)' : '(batch, channels, …space)');
    return knownDim(this, shape, last ? -1 : 1);
  }

  /** The convolution with a kernel (…space, in / groups, out), then bias and activation. */
  protected convolve(x: SymbolicTensor, kernel: Variable | SymbolicTensor, groups: number): SymbolicTensor {
    if (x.dtype !== 'float32') x = ops.cast(x, 'float32');
    const spatial = spatialAxes(this.dataFormat, this.rank);
    const feature = channelAxis(this.dataFormat, this.rank);
    const sizes = spatialSizes(this, x, spatial);
    const io: ConvDims['input'] = { batch: 0, feature, spatial };
    const y = ops.conv(x, kernel, {
      strides: this.strides,
      padding: sizes.map((n, i) => {
        const pair = paddingOf(this.padding, n, this.kernelSize[i]!, this.strides[i]!, this.dilationRate[i]!);
        const extent = (this.kernelSize[i]! - 1) * this.dilationRate[i]! + 1;
        if (n + pair[0] + pair[1] < extent)
          throw new ShapeError(
            `${this.name}: the kernel of size [${this.kernelSize}] does not fit into an input of size [${sizes}] with padding '${this.padding}'`,
          );
        return pair;
      }),
      inputDilation: spatial.map(() => 1),
      kernelDilation: this.dilationRate,
      groups,
      batchGroups: 1,
      dims: { input: io, kernel: { input: this.rank, output: this.rank + 1, spatial: spatial.map((_, i) => i) }, output: io },
    });
    if (!this.bias) return this.activation.apply(y);
    const bias = this.dataFormat === 'channels_last' ? this.bias : ops.reshape(this.bias, [this.bias.size, ...spatial.map(() => 1)], x.trace);
    return this.activation.apply(ops.add(y, bias));
  }

  /** Config entries that come before the weights. */
  protected convConfig(): JsonObject {
    return {
      kernel_size: this.kernelSize,
      strides: this.strides,
      padding: this.padding,
      data_format: this.dataFormat,
      dilation_rate: this.dilationRate,
      groups: this.groups,
      activation: this.activation.name,
      use_bias: this.useBias,
    };
  }
}

export interface Conv2DConfig extends ConvOptions {
  /** Number of output channels. */
  filters: number;
  kernelSize: number | readonly number[];
  kernelInitializer?: InitializerIdentifier;
  kernelRegularizer?: RegularizerIdentifier | null;
  kernelConstraint?: ConstraintIdentifier | null;
}

const kernelDefaults = { kernelInitializer: 'glorot_uniform', kernelRegularizer: null, kernelConstraint: null } as const;

/** Convolution with a kernel (…space, in / groups, filters). */
abstract class Conv extends BaseConv {
  readonly filters: number;
  private readonly kernelFields: WeightFields;
  kernel!: Variable;
  constructor(rank: number, o: Conv2DConfig) {
    super(rank, o.kernelSize, o);
    this.filters = positiveInteger(this.className, 'filters', o.filters);
    if (this.filters % this.groups !== 0) throw new ValueError(`${this.name}: 'filters' (${this.filters}) must be a multiple of 'groups' (${this.groups})`);
    this.kernelFields = weightFields(o, 'kernel');
  }
  override build(inputShape: InputShape): void {
    const channels = this.channels(inputShape);
    if (channels % this.groups !== 0) throw new ShapeError(`${this.name}: the ${channels} input channels must be a multiple of 'groups' (${this.groups})`);
    this.kernel = this.addWeight('kernel', [...this.kernelSize, channels / this.groups, this.filters], this.kernelFields);
    if (this.useBias) this.bias = this.addWeight('bias', [this.filters], this.biasFields);
  }
  override call(inputs: Tensors): Tensors {
    return this.convolve(single(inputs, this), this.kernel, this.groups);
  }
  override getConfig(): JsonObject {
    return {
      ...super.getConfig(),
      filters: this.filters,
      ...this.convConfig(),
      ...weightConfig({ kernel: this.kernelFields, bias: this.biasFields }),
      activity_regularizer: regularizerJson(this.activityRegularizer),
    };
  }
}

/**
 * 2-D convolution. Input (batch, h, w, in), output (batch, h', w', filters); with dataFormat channels_first the channels come second.
 * Defaults: strides 1, padding valid, dilationRate 1, groups 1, kernel glorot_uniform, bias zeros.
 */
export class Conv2DClass extends Conv {
  static override readonly className = 'Conv2D';
  constructor(filters: number | Conv2DConfig, kernelSize?: number | readonly number[], options?: Omit<Conv2DConfig, 'filters' | 'kernelSize'>) {
    super(2, resolveOptions<Conv2DConfig>('Conv2D', [filters, kernelSize, options], ['filters', 'kernelSize'], { ...convDefaults, ...kernelDefaults }));
  }
}

export interface DepthwiseConv2DConfig extends ConvOptions {
  kernelSize: number | readonly number[];
  /** Outputs for each input channel; default 1. */
  depthMultiplier?: number;
  depthwiseInitializer?: InitializerIdentifier;
  depthwiseRegularizer?: RegularizerIdentifier | null;
  depthwiseConstraint?: ConstraintIdentifier | null;
}

/** One convolution for each channel, with a kernel (h, w, in, multiplier). Output channel c·multiplier + m comes from input channel c. */
export class DepthwiseConv2DClass extends BaseConv {
  static override readonly className = 'DepthwiseConv2D';
  readonly depthMultiplier: number;
  private readonly kernelFields: WeightFields;
  kernel!: Variable;
  constructor(kernelSize: number | readonly number[] | DepthwiseConv2DConfig, options?: Omit<DepthwiseConv2DConfig, 'kernelSize'>) {
    const o = resolveOptions<DepthwiseConv2DConfig>('DepthwiseConv2D', [kernelSize, options], ['kernelSize'], {
      ...convDefaults,
      depthMultiplier: 1,
      depthwiseInitializer: 'glorot_uniform',
      depthwiseRegularizer: null,
      depthwiseConstraint: null,
    });
    super(2, o.kernelSize, o);
    this.depthMultiplier = positiveInteger('DepthwiseConv2D', 'depthMultiplier', o.depthMultiplier);
    this.kernelFields = weightFields(o, 'depthwise');
  }
  override build(inputShape: InputShape): void {
    const channels = this.channels(inputShape);
    const name = this.semantics === 'keras2' ? 'depthwise_kernel' : 'kernel';
    this.kernel = this.addWeight(name, [...this.kernelSize, channels, this.depthMultiplier], this.kernelFields);
    if (this.useBias) this.bias = this.addWeight('bias', [channels * this.depthMultiplier], this.biasFields);
  }
  override call(inputs: Tensors): Tensors {
    const x = single(inputs, this);
    const channels = this.kernel.shape[this.rank]!;
    // as a grouped convolution: (…space, in, multiplier) is read as (…space, 1, in * multiplier)
    const kernel = ops.reshape(this.kernel, [...this.kernelSize, 1, channels * this.depthMultiplier], x.trace);
    return this.convolve(x, kernel, channels);
  }
  override getConfig(): JsonObject {
    // Keras 2 writes groups, Keras 3 refuses to read them here.
    const { groups, ...conv } = this.convConfig();
    return {
      ...super.getConfig(),
      ...conv,
      ...(this.semantics === 'keras2' ? { groups } : {}),
      depth_multiplier: this.depthMultiplier,
      ...weightConfig({ depthwise: this.kernelFields, bias: this.biasFields }),
      activity_regularizer: regularizerJson(this.activityRegularizer),
    };
  }
}

export const Conv2D = callable(Conv2DClass);
export const DepthwiseConv2D = callable(DepthwiseConv2DClass);
