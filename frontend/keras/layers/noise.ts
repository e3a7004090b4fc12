/** Layers that act while training only: SpatialDropout1D/2D/3D, GaussianNoise, GaussianDropout, AlphaDropout; and ActivityRegularization. */
import { ValueError } from '../../../ir/errors.js';
import * as ops from '../backend/ops.js';
import type { KerasShape, SymbolicTensor, Tensors } from '../backend/trace.js';
import * as regularizers from '../regularizers.js';
import { type Callable, callable } from '../utils/callable.js';
import { describe, finiteNumber, resolveOptions } from '../utils/options.js';
import type { Json, JsonObject } from '../utils/serialization.js';
import { type DataFormat, dataFormatOf, dropout } from './core.js';
import { type CallArguments, checkRank, type InputShape, Layer, type LayerOptions, layerDefaults, single, singleShape } from './layer.js';

interface RateConfig extends LayerOptions {
  /** Fraction to drop, in [0, 1]. */
  rate: number;
  seed?: number | null;
}

function checkedRate(what: string, rate: unknown): number {
  if (typeof rate !== 'number' || !(rate >= 0 && rate <= 1)) throw new ValueError(`${what}: 'rate' must be between 0 and 1, got ${describe(rate)}`);
  return rate;
}

/** A layer that changes its input while training. */
abstract class TrainingOnly extends Layer {
  constructor(
    o: LayerOptions,
    readonly seed: number | null,
  ) {
    super(o);
    this.supportsMasking = true;
  }
  protected abstract disturb(x: SymbolicTensor): SymbolicTensor;
  override call(inputs: Tensors, args: CallArguments): Tensors {
    const x = single(inputs, this);
    return args.training ? this.disturb(x) : x;
  }
}

export interface SpatialDropoutConfig extends RateConfig {
  dataFormat?: DataFormat | null;
  /** As Keras 2 writes it; has no effect. */
  noiseShape?: KerasShape | null;
}

export type SpatialDropoutConstructor = new (rate: number | SpatialDropoutConfig, options?: Omit<SpatialDropoutConfig, 'rate'>) => TrainingOnly;

function spatialDropoutClass(rank: number): SpatialDropoutConstructor {
  const className = `SpatialDropout${rank}D`;
  return class extends TrainingOnly {
    static override readonly className = className;
    readonly rate: number;
    readonly dataFormat: DataFormat;
    constructor(rate: number | SpatialDropoutConfig, options?: Omit<SpatialDropoutConfig, 'rate'>) {
      const defaults = { ...layerDefaults, seed: null, dataFormat: null, noiseShape: null };
      const o = resolveOptions<SpatialDropoutConfig>(className, [rate, options], ['rate'], defaults);
      super(o, o.seed ?? null);
      this.rate = checkedRate(className, o.rate);
      this.dataFormat = dataFormatOf(className, o.dataFormat);
    }
    override build(inputShape: InputShape): void {
      checkRank(this, singleShape(inputShape, this), rank + 2, '(batch, …space, channels)');
    }
    protected disturb(x: SymbolicTensor): SymbolicTensor {
      if (this.rate === 0) return x;
      const ones = new Array<number>(rank).fill(1);
      return dropout(x, this.rate, this.name, this.seed, this.dataFormat === 'channels_last' ? [null, ...ones, null] : [null, null, ...ones]);
    }
    override getConfig(): JsonObject {
      const more: JsonObject = this.configFor === 'keras2' ? { noise_shape: null } : rank === 1 ? {} : { data_format: this.dataFormat };
      const { trainable, ...common } = super.getConfig();
      // Keras 3 leaves 'trainable' out of these
      const base: JsonObject = this.configFor === 'keras2' ? { ...common, trainable: trainable! } : common;
      return { ...base, rate: this.rate, seed: this.seed, ...more };
    }
  };
}

export interface GaussianNoiseConfig extends LayerOptions {
  stddev: number;
  seed?: number | null;
}

/** Adds normal noise with mean 0 and the given deviation while training. */
export class GaussianNoiseClass extends TrainingOnly {
  static override readonly className = 'GaussianNoise';
  readonly stddev: number;
  constructor(stddev: number | GaussianNoiseConfig, options?: Omit<GaussianNoiseConfig, 'stddev'>) {
    const o = resolveOptions<GaussianNoiseConfig>('GaussianNoise', [stddev, options], ['stddev'], { ...layerDefaults, seed: null });
    super(o, o.seed ?? null);
    this.stddev = finiteNumber('GaussianNoise', 'stddev', o.stddev);
    if (this.stddev < 0) throw new ValueError(`GaussianNoise: 'stddev' must not be negative, got ${this.stddev}`);
  }
  protected disturb(x: SymbolicTensor): SymbolicTensor {
    return ops.add(x, ops.multiply(ops.randomNormal(x, x.shape, this.seed), this.stddev));
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), stddev: this.stddev, seed: this.seed };
  }
}

/** Multiplies by normal noise with mean 1 and deviation sqrt(rate / (1 - rate)) while training. */
export class GaussianDropoutClass extends TrainingOnly {
  static override readonly className = 'GaussianDropout';
  readonly rate: number;
  constructor(rate: number | RateConfig, options?: Omit<RateConfig, 'rate'>) {
    const o = resolveOptions<RateConfig>('GaussianDropout', [rate, options], ['rate'], { ...layerDefaults, seed: null });
    super(o, o.seed ?? null);
    this.rate = checkedRate('GaussianDropout', o.rate);
  }
  protected disturb(x: SymbolicTensor): SymbolicTensor {
    if (this.rate === 0 || this.rate === 1) return x;
    const stddev = Math.sqrt(this.rate / (1 - this.rate));
    return ops.multiply(x, ops.add(ops.multiply(ops.randomNormal(x, x.shape, this.seed), stddev), 1));
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), rate: this.rate, seed: this.seed };
  }
}

export interface AlphaDropoutConfig extends RateConfig {
  /** Shape of the mask: null keeps the input's size, 1 shares the mask along an axis. */
  noiseShape?: KerasShape | null;
}

/** Dropout that keeps mean and variance of selu activations: dropped values become selu's negative limit, then all are scaled and shifted. */
export class AlphaDropoutClass extends TrainingOnly {
  static override readonly className = 'AlphaDropout';
  readonly rate: number;
  readonly noiseShape: KerasShape | null;
  constructor(rate: number | AlphaDropoutConfig, options?: Omit<AlphaDropoutConfig, 'rate'>) {
    const o = resolveOptions<AlphaDropoutConfig>('AlphaDropout', [rate, options], ['rate'], { ...layerDefaults, seed: null, noiseShape: null });
    super(o, o.seed ?? null);
    this.rate = checkedRate('AlphaDropout', o.rate);
    this.noiseShape = o.noiseShape ?? null;
  }
  protected disturb(x: SymbolicTensor): SymbolicTensor {
    if (this.rate === 0 || this.rate === 1) return x;
    // -selu's scale times its alpha
    const limit = -1.7580993408473766;
    const a = ((1 - this.rate) * (1 + this.rate * limit * limit)) ** -0.5;
    const shape = this.noiseShape ? this.noiseShape.map((d, i) => d ?? x.shape[i]!) : x.shape;
    const kept = ops.where(ops.keepMask(x, shape, this.rate, this.seed), x, limit);
    return ops.add(ops.multiply(kept, a), -a * limit * this.rate);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), rate: this.rate, seed: this.seed, ...(this.configFor === 'keras3' ? { noise_shape: this.noiseShape as Json } : {}) };
  }
}

export interface ActivityRegularizationConfig extends LayerOptions {
  /** Default 0. */
  l1?: number;
  /** Default 0. */
  l2?: number;
}

/** Passes its input on and adds l1 * sum |x| + l2 * sum x², divided by the batch size, to the loss. */
export class ActivityRegularizationClass extends Layer {
  static override readonly className = 'ActivityRegularization';
  readonly l1: number;
  readonly l2: number;
  constructor(options?: ActivityRegularizationConfig) {
    const { l1, l2, ...o } = resolveOptions<ActivityRegularizationConfig>('ActivityRegularization', [options], [], { ...layerDefaults, l1: 0, l2: 0 });
    const [a, b] = [finiteNumber('ActivityRegularization', 'l1', l1 ?? 0), finiteNumber('ActivityRegularization', 'l2', l2 ?? 0)];
    super({ ...o, activityRegularizer: regularizers.L1L2({ l1: a, l2: b }) });
    this.l1 = a;
    this.l2 = b;
    this.supportsMasking = true;
  }
  override call(inputs: Tensors): Tensors {
    return single(inputs, this);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), l1: this.l1, l2: this.l2 };
  }
}

/** Drops whole channels while training. */
export const SpatialDropout1DClass = spatialDropoutClass(1);
export const SpatialDropout2DClass = spatialDropoutClass(2);
export const SpatialDropout3DClass = spatialDropoutClass(3);

export const SpatialDropout1D: Callable<SpatialDropoutConstructor> = callable(SpatialDropout1DClass);
export const SpatialDropout2D: Callable<SpatialDropoutConstructor> = callable(SpatialDropout2DClass);
export const SpatialDropout3D: Callable<SpatialDropoutConstructor> = callable(SpatialDropout3DClass);
export const GaussianNoise = callable(GaussianNoiseClass);
export const GaussianDropout = callable(GaussianDropoutClass);
export const AlphaDropout = callable(AlphaDropoutClass);
export const ActivityRegularization = callable(ActivityRegularizationClass);
