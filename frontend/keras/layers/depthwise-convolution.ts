/** DepthwiseConv1D/2D (a kernel for each input channel) and SeparableConv1D/2D (the same, then a 1×1 convolution over the channels). */
import * as ops from '../backend/ops.js';
import type { SymbolicTensor, Tensors } from '../backend/trace.js';
import type { Variable } from '../backend/variable.js';
import type { ConstraintIdentifier } from '../constraints.js';
import type { InitializerIdentifier } from '../initializers/index.js';
import type { RegularizerIdentifier } from '../regularizers.js';
import { type Callable, callable } from '../utils/callable.js';
import { positiveInteger, resolveOptions } from '../utils/options.js';
import type { JsonObject } from '../utils/serialization.js';
import { BaseConv, type ConvOptions, channelAxis, convDefaults, kernelDefaults, spatialAxes } from './convolutional.js';
import { type InputShape, single } from './layer.js';
import { regularizerJson, type WeightFields, weightConfig, weightFields } from './weight-fields.js';

interface DepthwiseOptions extends ConvOptions {
  kernelSize: number | readonly number[];
  /** Outputs for each input channel; default 1. */
  depthMultiplier?: number;
  depthwiseInitializer?: InitializerIdentifier;
  depthwiseRegularizer?: RegularizerIdentifier | null;
  depthwiseConstraint?: ConstraintIdentifier | null;
}

const depthwiseDefaults = { depthMultiplier: 1, depthwiseInitializer: 'glorot_uniform', depthwiseRegularizer: null, depthwiseConstraint: null } as const;

/** A depthwise kernel (…space, in, multiplier): output channel c·multiplier + m comes from input channel c. */
abstract class Depthwise extends BaseConv {
  readonly depthMultiplier: number;
  protected readonly depthwiseFields: WeightFields;
  constructor(rank: number, o: DepthwiseOptions) {
    super(rank, o.kernelSize, o);
    this.depthMultiplier = positiveInteger(this.className, 'depthMultiplier', o.depthMultiplier);
    this.depthwiseFields = weightFields(o, 'depthwise');
  }
  /** As a grouped convolution: (…space, in, multiplier) is read as (…space, 1, in · multiplier). */
  protected depthwise(x: SymbolicTensor, kernel: Variable): SymbolicTensor {
    const channels = kernel.shape[this.rank]!;
    return this.convolution(x, ops.reshape(kernel, [...this.kernelSize, 1, channels * this.depthMultiplier], x.trace), channels);
  }
}

export type DepthwiseConvConfig = DepthwiseOptions;

abstract class DepthwiseConv extends Depthwise {
  kernel!: Variable;
  override build(inputShape: InputShape): void {
    const channels = this.channels(inputShape);
    const name = this.semantics === 'keras2' ? 'depthwise_kernel' : 'kernel';
    this.kernel = this.addWeight(name, [...this.kernelSize, channels, this.depthMultiplier], this.depthwiseFields);
    if (this.useBias) this.bias = this.addWeight('bias', [channels * this.depthMultiplier], this.biasFields);
  }
  protected override get allowsCausal(): boolean {
    return false;
  }
  override call(inputs: Tensors): Tensors {
    return this.finish(this.depthwise(single(inputs, this), this.kernel));
  }
  override getConfig(): JsonObject {
    // Keras 2 writes groups, Keras 3 refuses to read them here.
    const { groups, ...conv } = this.convConfig();
    return {
      ...super.getConfig(),
      ...conv,
      ...(this.configFor === 'keras2' ? { groups } : {}),
      depth_multiplier: this.depthMultiplier,
      ...weightConfig({ depthwise: this.depthwiseFields, bias: this.biasFields }),
      activity_regularizer: regularizerJson(this.activityRegularizer),
    };
  }
}

export type DepthwiseConvConstructor = new (
  kernelSize: number | readonly number[] | DepthwiseConvConfig,
  options?: Omit<DepthwiseConvConfig, 'kernelSize'>,
) => DepthwiseConv;

function depthwiseConvClass(rank: number): DepthwiseConvConstructor {
  const className = `DepthwiseConv${rank}D`;
  return class extends DepthwiseConv {
    static override readonly className = className;
    constructor(kernelSize: number | readonly number[] | DepthwiseConvConfig, options?: Omit<DepthwiseConvConfig, 'kernelSize'>) {
      super(rank, resolveOptions<DepthwiseConvConfig>(className, [kernelSize, options], ['kernelSize'], { ...convDefaults, ...depthwiseDefaults }));
    }
  };
}

export interface SeparableConvConfig extends DepthwiseOptions {
  /** Number of output channels. */
  filters: number;
  pointwiseInitializer?: InitializerIdentifier;
  pointwiseRegularizer?: RegularizerIdentifier | null;
  pointwiseConstraint?: ConstraintIdentifier | null;
  /** Written by Keras 2, without effect. */
  kernelInitializer?: InitializerIdentifier;
  kernelRegularizer?: RegularizerIdentifier | null;
  kernelConstraint?: ConstraintIdentifier | null;
}

const pointwiseDefaults = { pointwiseInitializer: 'glorot_uniform', pointwiseRegularizer: null, pointwiseConstraint: null } as const;

abstract class SeparableConv extends Depthwise {
  readonly filters: number;
  private readonly pointwiseFields: WeightFields;
  private readonly unusedFields: WeightFields;
  depthwiseKernel!: Variable;
  pointwiseKernel!: Variable;
  constructor(rank: number, o: SeparableConvConfig) {
    super(rank, o);
    this.filters = positiveInteger(this.className, 'filters', o.filters);
    this.pointwiseFields = weightFields(o, 'pointwise');
    this.unusedFields = weightFields(o, 'kernel');
  }
  override build(inputShape: InputShape): void {
    const channels = this.channels(inputShape);
    const ones = this.kernelSize.map(() => 1);
    this.depthwiseKernel = this.addWeight('depthwise_kernel', [...this.kernelSize, channels, this.depthMultiplier], this.depthwiseFields);
    this.pointwiseKernel = this.addWeight('pointwise_kernel', [...ones, channels * this.depthMultiplier, this.filters], this.pointwiseFields);
    if (this.useBias) this.bias = this.addWeight('bias', [this.filters], this.biasFields);
  }
  override call(inputs: Tensors): Tensors {
    const x = this.depthwise(single(inputs, this), this.depthwiseKernel);
    const axes = { batch: 0, feature: channelAxis(this.dataFormat, this.rank), spatial: spatialAxes(this.dataFormat, this.rank) };
    const ones = this.kernelSize.map(() => 1);
    const y = ops.conv(x, this.pointwiseKernel, {
      strides: ones,
      padding: ones.map(() => [0, 0]),
      inputDilation: ones,
      kernelDilation: ones,
      groups: 1,
      batchGroups: 1,
      dims: { input: axes, kernel: { input: this.rank, output: this.rank + 1, spatial: ones.map((_, i) => i) }, output: axes },
    });
    return this.finish(y);
  }
  override getConfig(): JsonObject {
    const { groups, ...conv } = this.convConfig();
    const keras2 = this.configFor === 'keras2';
    return {
      ...super.getConfig(),
      filters: this.filters,
      ...conv,
      ...(keras2 ? { groups, ...weightConfig({ kernel: this.unusedFields }) } : {}),
      depth_multiplier: this.depthMultiplier,
      ...weightConfig({ depthwise: this.depthwiseFields, pointwise: this.pointwiseFields, bias: this.biasFields }),
      activity_regularizer: regularizerJson(this.activityRegularizer),
    };
  }
}

export type SeparableConvConstructor = new (
  filters: number | SeparableConvConfig,
  kernelSize?: number | readonly number[],
  options?: Omit<SeparableConvConfig, 'filters' | 'kernelSize'>,
) => SeparableConv;

function separableConvClass(rank: number): SeparableConvConstructor {
  const className = `SeparableConv${rank}D`;
  const defaults = { ...convDefaults, ...depthwiseDefaults, ...pointwiseDefaults, ...kernelDefaults };
  return class extends SeparableConv {
    static override readonly className = className;
    constructor(filters: number | SeparableConvConfig, kernelSize?: number | readonly number[], options?: Omit<SeparableConvConfig, 'filters' | 'kernelSize'>) {
      super(rank, resolveOptions<SeparableConvConfig>(className, [filters, kernelSize, options], ['filters', 'kernelSize'], defaults));
    }
  };
}

/** One convolution for each channel. Input (batch, …space, in), output (batch, …space', in · depthMultiplier); weight `depthwise_kernel` (`kernel` in Keras 3). */
export const DepthwiseConv1DClass = depthwiseConvClass(1);
export const DepthwiseConv2DClass = depthwiseConvClass(2);
/** Depthwise, then pointwise convolution. Output (batch, …space', filters); weights depthwise_kernel, pointwise_kernel, bias. */
export const SeparableConv1DClass = separableConvClass(1);
export const SeparableConv2DClass = separableConvClass(2);

export const DepthwiseConv1D: Callable<DepthwiseConvConstructor> = callable(DepthwiseConv1DClass);
export const DepthwiseConv2D: Callable<DepthwiseConvConstructor> = callable(DepthwiseConv2DClass);
export const SeparableConv1D: Callable<SeparableConvConstructor> = callable(SeparableConv1DClass);
export const SeparableConv2D: Callable<SeparableConvConstructor> = callable(SeparableConv2DClass);
export { SeparableConv1D as SeparableConvolution1D, SeparableConv2D as SeparableConvolution2D };
