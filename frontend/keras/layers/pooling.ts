/** Max and average pooling over windows, and over all of space: 1-D, 2-D, 3-D. One class for each rank, made by a function of the rank. */
import { ShapeError } from '../../../ir/errors.js';
import type { OpAttrs } from '../../../ir/op-attrs.js';
import * as ops from '../backend/ops.js';
import { SymbolicTensor, type Tensors } from '../backend/trace.js';
import { type Callable, callable } from '../utils/callable.js';
import { integerList, oneOf, resolveOptions } from '../utils/options.js';
import type { JsonObject } from '../utils/serialization.js';
import { type Padding, paddingOf, spatialAxes, spatialSizes } from './convolutional.js';
import { type DataFormat, dataFormatOf } from './core.js';
import { type CallArguments, checkRank, type InputShape, Layer, type LayerOptions, layerDefaults, single, singleShape } from './layer.js';

export interface PoolingConfig extends LayerOptions {
  /** Default 2. */
  poolSize?: number | readonly number[];
  /** Default: the pool size. */
  strides?: number | readonly number[] | null;
  padding?: Padding;
  dataFormat?: DataFormat | null;
}

const poolingDefaults: PoolingConfig = { ...layerDefaults, poolSize: 2, strides: null, padding: 'valid', dataFormat: null };
const formText = (format: DataFormat): string => (format === 'channels_last' ? '(batch, …space, channels)' : '(batch, channels, …space)');

abstract class Pooling extends Layer {
  readonly rank: number;
  readonly poolSize: readonly number[];
  readonly strides: readonly number[];
  readonly padding: Padding;
  readonly dataFormat: DataFormat;
  constructor(rank: number, o: PoolingConfig) {
    super(o);
    this.rank = rank;
    this.poolSize = integerList(this.className, 'poolSize', o.poolSize, rank);
    this.strides = integerList(this.className, 'strides', o.strides ?? o.poolSize, rank);
    this.padding = oneOf(this.className, 'padding', o.padding, ['valid', 'same']);
    this.dataFormat = dataFormatOf(this.className, o.dataFormat);
  }
  override build(inputShape: InputShape): void {
    checkRank(this, singleShape(inputShape, this), this.rank + 2, formText(this.dataFormat));
  }
  /** The window over all axes of the input. */
  protected window(x: SymbolicTensor): Omit<OpAttrs['reduce_window'], 'fn'> {
    const axes = spatialAxes(this.dataFormat, this.rank);
    const sizes = spatialSizes(this, x, axes);
    const ones = x.shape.map(() => 1);
    const at = (axis: number) => axes.indexOf(axis);
    return {
      window: ones.map((_, a) => this.poolSize[at(a)] ?? 1),
      strides: ones.map((_, a) => this.strides[at(a)] ?? 1),
      padding: ones.map((_, a) => {
        const i = at(a);
        if (i < 0) return [0, 0] as const;
        const pair = paddingOf(this.padding, sizes[i]!, this.poolSize[i]!, this.strides[i]!, 1);
        if (sizes[i]! + pair[0] + pair[1] < this.poolSize[i]!)
          throw new ShapeError(`${this.name}: the pool of size [${this.poolSize}] does not fit into an input of size [${sizes}]`);
        return pair;
      }),
      baseDilation: ones,
      windowDilation: ones,
    };
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), pool_size: this.poolSize, padding: this.padding, strides: this.strides, data_format: this.dataFormat };
  }
}

/** `pool(2)`, `pool({ poolSize: 2 })`, `pool()` and `pool(2, { strides: 1 })`. */
const poolArguments = (first: unknown, options: unknown): unknown[] =>
  first === undefined
    ? [poolingDefaults.poolSize, options]
    : typeof first === 'object' && !Array.isArray(first)
      ? [{ poolSize: poolingDefaults.poolSize, ...first }]
      : [first, options];

export type PoolingConstructor = new (poolSize?: PoolingConfig['poolSize'] | PoolingConfig, options?: Omit<PoolingConfig, 'poolSize'>) => Pooling;

function maxPoolingClass(rank: number): PoolingConstructor {
  const className = `MaxPooling${rank}D`;
  return class extends Pooling {
    static override readonly className = className;
    constructor(poolSize?: PoolingConfig['poolSize'] | PoolingConfig, options?: Omit<PoolingConfig, 'poolSize'>) {
      super(rank, resolveOptions<PoolingConfig>(className, poolArguments(poolSize, options), ['poolSize'], poolingDefaults));
    }
    override call(inputs: Tensors): Tensors {
      const x = single(inputs, this);
      return ops.reduceWindow(x, { fn: 'max', ...this.window(x) });
    }
  };
}

function averagePoolingClass(rank: number): PoolingConstructor {
  const className = `AveragePooling${rank}D`;
  return class extends Pooling {
    static override readonly className = className;
    constructor(poolSize?: PoolingConfig['poolSize'] | PoolingConfig, options?: Omit<PoolingConfig, 'poolSize'>) {
      super(rank, resolveOptions<PoolingConfig>(className, poolArguments(poolSize, options), ['poolSize'], poolingDefaults));
    }
    override call(inputs: Tensors): Tensors {
      const x = single(inputs, this);
      const window = this.window(x);
      const total = ops.reduceWindow(x, { fn: 'sum', ...window });
      const area = this.poolSize.reduce((a, n) => a * n, 1);
      if (window.padding.every(([low, high]) => low === 0 && high === 0)) return ops.multiply(total, 1 / area);
      const axes = spatialAxes(this.dataFormat, this.rank);
      const one = ops.full(
        x,
        x.shape.map((d, a) => (axes.includes(a) ? d : 1)),
        1,
      );
      return ops.divide(total, ops.reduceWindow(one, { fn: 'sum', ...window }));
    }
  };
}

export interface GlobalPoolingConfig extends LayerOptions {
  dataFormat?: DataFormat | null;
  /** Keeps the spatial axes with size 1; default false. */
  keepdims?: boolean;
}

abstract class GlobalPooling extends Layer {
  readonly dataFormat: DataFormat;
  readonly keepdims: boolean;
  constructor(
    readonly rank: number,
    o: GlobalPoolingConfig,
  ) {
    super(o);
    this.dataFormat = dataFormatOf(this.className, o.dataFormat);
    this.keepdims = o.keepdims ?? false;
  }
  override build(inputShape: InputShape): void {
    checkRank(this, singleShape(inputShape, this), this.rank + 2, formText(this.dataFormat));
  }
  protected get axes(): number[] {
    return spatialAxes(this.dataFormat, this.rank);
  }
  override computeMask(): null {
    return null;
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), data_format: this.dataFormat, keepdims: this.keepdims };
  }
}

export type GlobalPoolingConstructor = new (options?: GlobalPoolingConfig) => GlobalPooling;

function globalPoolingClass(kind: 'Max' | 'Average', rank: number): GlobalPoolingConstructor {
  const className = `Global${kind}Pooling${rank}D`;
  return class extends GlobalPooling {
    static override readonly className = className;
    constructor(options?: GlobalPoolingConfig) {
      super(rank, resolveOptions<GlobalPoolingConfig>(className, [options], [], { ...layerDefaults, dataFormat: null, keepdims: false }));
    }
    override call(inputs: Tensors, args: CallArguments): Tensors {
      const x = single(inputs, this);
      if (kind === 'Max') return ops.max(x, this.axes, this.keepdims);
      return rank === 1 && args.mask instanceof SymbolicTensor ? this.maskedMean(x, args.mask) : ops.mean(x, this.axes, this.keepdims);
    }
    /** The mean of the steps that the mask (batch, steps) keeps. */
    private maskedMean(x: SymbolicTensor, mask: SymbolicTensor): SymbolicTensor {
      const weights = ops.expandDims(ops.cast(mask, 'float32'), this.dataFormat === 'channels_last' ? 2 : 1);
      return ops.divide(ops.sum(ops.multiply(x, weights), this.axes, this.keepdims), ops.sum(weights, this.axes, this.keepdims));
    }
  };
}

/** Largest value of each window. Input (batch, …space, channels); poolSize 2, strides poolSize, padding valid by default. */
export const MaxPooling1DClass = maxPoolingClass(1);
export const MaxPooling2DClass = maxPoolingClass(2);
export const MaxPooling3DClass = maxPoolingClass(3);
/** Mean of each window; padding is not counted. */
export const AveragePooling1DClass = averagePoolingClass(1);
export const AveragePooling2DClass = averagePoolingClass(2);
export const AveragePooling3DClass = averagePoolingClass(3);
/** Largest value over all of space: (batch, …space, channels) to (batch, channels). */
export const GlobalMaxPooling1DClass = globalPoolingClass('Max', 1);
export const GlobalMaxPooling2DClass = globalPoolingClass('Max', 2);
export const GlobalMaxPooling3DClass = globalPoolingClass('Max', 3);
/** Mean over all of space; the 1-D one over the steps that a mask keeps. */
export const GlobalAveragePooling1DClass = globalPoolingClass('Average', 1);
export const GlobalAveragePooling2DClass = globalPoolingClass('Average', 2);
export const GlobalAveragePooling3DClass = globalPoolingClass('Average', 3);

export const MaxPooling1D: Callable<PoolingConstructor> = callable(MaxPooling1DClass);
export const MaxPooling2D: Callable<PoolingConstructor> = callable(MaxPooling2DClass);
export const MaxPooling3D: Callable<PoolingConstructor> = callable(MaxPooling3DClass);
export const AveragePooling1D: Callable<PoolingConstructor> = callable(AveragePooling1DClass);
export const AveragePooling2D: Callable<PoolingConstructor> = callable(AveragePooling2DClass);
export const AveragePooling3D: Callable<PoolingConstructor> = callable(AveragePooling3DClass);
export const GlobalMaxPooling1D: Callable<GlobalPoolingConstructor> = callable(GlobalMaxPooling1DClass);
export const GlobalMaxPooling2D: Callable<GlobalPoolingConstructor> = callable(GlobalMaxPooling2DClass);
export const GlobalMaxPooling3D: Callable<GlobalPoolingConstructor> = callable(GlobalMaxPooling3DClass);
export const GlobalAveragePooling1D: Callable<GlobalPoolingConstructor> = callable(GlobalAveragePooling1DClass);
export const GlobalAveragePooling2D: Callable<GlobalPoolingConstructor> = callable(GlobalAveragePooling2DClass);
export const GlobalAveragePooling3D: Callable<GlobalPoolingConstructor> = callable(GlobalAveragePooling3DClass);
export {
  AveragePooling1D as AvgPool1D,
  AveragePooling2D as AvgPool2D,
  AveragePooling3D as AvgPool3D,
  GlobalAveragePooling1D as GlobalAvgPool1D,
  GlobalAveragePooling2D as GlobalAvgPool2D,
  GlobalAveragePooling3D as GlobalAvgPool3D,
  GlobalMaxPooling1D as GlobalMaxPool1D,
  GlobalMaxPooling2D as GlobalMaxPool2D,
  GlobalMaxPooling3D as GlobalMaxPool3D,
  MaxPooling1D as MaxPool1D,
  MaxPooling2D as MaxPool2D,
  MaxPooling3D as MaxPool3D,
};
