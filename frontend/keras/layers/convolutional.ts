/** The base of all convolutions, and Conv1D/2D/3D. Each is one general convolution of the graph; bias and activation follow. */
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
import { type Callable, callable } from '../utils/callable.js';
import { integerList, oneOf, positiveInteger, resolveOptions } from '../utils/options.js';
import type { JsonObject } from '../utils/serialization.js';
import { type DataFormat, dataFormatOf } from './core.js';
import { checkRank, type InputShape, knownDim, Layer, type LayerOptions, layerDefaults, single, singleShape } from './layer.js';
import { regularizerJson, type WeightFields, weightConfig, weightFields } from './weight-fields.js';

export type Padding = 'valid' | 'same';
/** `causal` (1-D): an output depends on its own and earlier steps only. */
export type ConvPadding = Padding | 'causal';

/** Options of all convolutions. */
export interface ConvOptions extends LayerOptions {
  strides?: number | readonly number[];
  padding?: ConvPadding;
  dataFormat?: DataFormat | null;
  dilationRate?: number | readonly number[];
  groups?: number;
  activation?: activations.ActivationIdentifier | null;
  useBias?: boolean;
  biasInitializer?: InitializerIdentifier;
  biasRegularizer?: RegularizerIdentifier | null;
  biasConstraint?: ConstraintIdentifier | null;
}

export const convDefaults: ConvOptions = {
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
export function paddingOf(padding: ConvPadding, size: number, window: number, stride: number, dilation: number): Pair {
  if (padding === 'valid') return [0, 0];
  const extent = (window - 1) * dilation + 1;
  if (padding === 'causal') return [extent - 1, 0];
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

export abstract class BaseConv extends Layer {
  readonly rank: number;
  readonly kernelSize: readonly number[];
  readonly strides: readonly number[];
  readonly padding: ConvPadding;
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
    this.padding = oneOf<ConvPadding>(what, 'padding', o.padding, rank === 1 && this.allowsCausal ? ['valid', 'same', 'causal'] : ['valid', 'same']);
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

  /** Whether the 1-D form takes the padding `causal`. */
  protected get allowsCausal(): boolean {
    return true;
  }

  /** The input's channels; checks its rank. */
  protected channels(inputShape: InputShape): number {
    const shape = singleShape(inputShape, this);
    const last = this.dataFormat === 'channels_last';
    checkRank(this, shape, this.rank + 2, last ? '(batch, …space, channels)' : '(batch, channels, …space)');
    return knownDim(this, shape, last ? -1 : 1);
  }

  /** The convolution with a kernel (…space, in / groups, out). */
  protected convolution(x: SymbolicTensor, kernel: Variable | SymbolicTensor, groups: number): SymbolicTensor {
    if (x.dtype !== 'float32') x = ops.cast(x, 'float32');
    const spatial = spatialAxes(this.dataFormat, this.rank);
    const feature = channelAxis(this.dataFormat, this.rank);
    const sizes = spatialSizes(this, x, spatial);
    const io: ConvDims['input'] = { batch: 0, feature, spatial };
    return ops.conv(x, kernel, {
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
  }

  /** Bias and activation. */
  protected finish(y: SymbolicTensor): SymbolicTensor {
    if (!this.bias) return this.activation.apply(y);
    const ones = new Array<number>(this.rank).fill(1);
    const bias = this.dataFormat === 'channels_last' ? this.bias : ops.reshape(this.bias, [this.bias.size, ...ones], y.trace);
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
      activation: activations.activationJson(this.activation),
      use_bias: this.useBias,
    };
  }
}

export interface ConvConfig extends ConvOptions {
  /** Number of output channels. */
  filters: number;
  kernelSize: number | readonly number[];
  kernelInitializer?: InitializerIdentifier;
  kernelRegularizer?: RegularizerIdentifier | null;
  kernelConstraint?: ConstraintIdentifier | null;
}

export const kernelDefaults = { kernelInitializer: 'glorot_uniform', kernelRegularizer: null, kernelConstraint: null } as const;

/** Convolution with a kernel (…space, in / groups, filters). */
export abstract class Conv extends BaseConv {
  readonly filters: number;
  protected readonly kernelFields: WeightFields;
  kernel!: Variable;
  constructor(rank: number, o: ConvConfig) {
    super(rank, o.kernelSize, o);
    this.filters = positiveInteger(this.className, 'filters', o.filters);
    if (this.filters % this.groups !== 0) throw new ValueError(`${this.name}: 'filters' (${this.filters}) must be a multiple of 'groups' (${this.groups})`);
    this.kernelFields = weightFields(o, 'kernel');
  }
  /** The kernel's shape for so many input channels. */
  protected kernelShape(channels: number): number[] {
    if (channels % this.groups !== 0) throw new ShapeError(`${this.name}: the ${channels} input channels must be a multiple of 'groups' (${this.groups})`);
    return [...this.kernelSize, channels / this.groups, this.filters];
  }
  override build(inputShape: InputShape): void {
    this.kernel = this.addWeight('kernel', this.kernelShape(this.channels(inputShape)), this.kernelFields);
    if (this.useBias) this.bias = this.addWeight('bias', [this.filters], this.biasFields);
  }
  override call(inputs: Tensors): Tensors {
    return this.finish(this.convolution(single(inputs, this), this.kernel, this.groups));
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

export type ConvConstructor = new (
  filters: number | ConvConfig,
  kernelSize?: number | readonly number[],
  options?: Omit<ConvConfig, 'filters' | 'kernelSize'>,
) => Conv;

function convClass(rank: number): ConvConstructor {
  const className = `Conv${rank}D`;
  return class extends Conv {
    static override readonly className = className;
    constructor(filters: number | ConvConfig, kernelSize?: number | readonly number[], options?: Omit<ConvConfig, 'filters' | 'kernelSize'>) {
      super(rank, resolveOptions<ConvConfig>(className, [filters, kernelSize, options], ['filters', 'kernelSize'], { ...convDefaults, ...kernelDefaults }));
    }
  };
}

/**
 * N-D convolution. Input (batch, …space, in), output (batch, …space', filters); with dataFormat channels_first the channels come second.
 * Defaults: strides 1, padding valid, dilationRate 1, groups 1, kernel glorot_uniform, bias zeros.
 */
export const Conv1DClass = convClass(1);
export const Conv2DClass = convClass(2);
export const Conv3DClass = convClass(3);

export const Conv1D: Callable<ConvConstructor> = callable(Conv1DClass);
export const Conv2D: Callable<ConvConstructor> = callable(Conv2DClass);
export const Conv3D: Callable<ConvConstructor> = callable(Conv3DClass);
export { Conv1D as Convolution1D, Conv2D as Convolution2D, Conv3D as Convolution3D };
