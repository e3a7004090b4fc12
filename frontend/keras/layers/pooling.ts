/** MaxPooling2D, AveragePooling2D, GlobalAveragePooling2D. */
import { ShapeError } from '../../../ir/errors.js';
import type { OpAttrs } from '../../../ir/op-attrs.js';
import * as ops from '../backend/ops.js';
import type { SymbolicTensor, Tensors } from '../backend/trace.js';
import { callable } from '../utils/callable.js';
import { integerList, oneOf, resolveOptions } from '../utils/options.js';
import type { JsonObject } from '../utils/serialization.js';
import { type Padding, paddingOf, spatialAxes, spatialSizes } from './convolutional.js';
import { type DataFormat, dataFormatOf } from './core.js';
import { checkRank, type InputShape, Layer, type LayerOptions, layerDefaults, single, singleShape } from './layer.js';

export interface PoolingConfig extends LayerOptions {
  /** Default 2. */
  poolSize?: number | readonly number[];
  /** Default: the pool size. */
  strides?: number | readonly number[] | null;
  padding?: Padding;
  dataFormat?: DataFormat | null;
}

const poolingDefaults: PoolingConfig = { ...layerDefaults, poolSize: 2, strides: null, padding: 'valid', dataFormat: null };

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
    checkRank(
      this,
      singleShape(inputShape, this),
      this.rank + 2,
      this.dataFormat === 'channels_last' ? '(batch, …space, channels)' : '(batch, channels, …space)',
    );
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

/** Largest value of each window. Input (batch, h, w, c); poolSize 2, strides poolSize, padding valid by default. */
export class MaxPooling2DClass extends Pooling {
  static override readonly className = 'MaxPooling2D';
  constructor(poolSize?: PoolingConfig['poolSize'] | PoolingConfig, options?: Omit<PoolingConfig, 'poolSize'>) {
    super(2, resolveOptions<PoolingConfig>('MaxPooling2D', poolArguments(poolSize, options), ['poolSize'], poolingDefaults));
  }
  override call(inputs: Tensors): Tensors {
    const x = single(inputs, this);
    return ops.reduceWindow(x, { fn: 'max', ...this.window(x) });
  }
}

/** Mean of each window; padding is not counted. Input (batch, h, w, c). */
export class AveragePooling2DClass extends Pooling {
  static override readonly className = 'AveragePooling2D';
  constructor(poolSize?: PoolingConfig['poolSize'] | PoolingConfig, options?: Omit<PoolingConfig, 'poolSize'>) {
    super(2, resolveOptions<PoolingConfig>('AveragePooling2D', poolArguments(poolSize, options), ['poolSize'], poolingDefaults));
  }
  override call(inputs: Tensors): Tensors {
    const x = single(inputs, this);
    const window = this.window(x);
    const total = ops.reduceWindow(x, { fn: 'sum', ...window });
    const area = this.poolSize.reduce((a, n) => a * n, 1);
    if (window.padding.every(([low, high]) => low === 0 && high === 0)) return ops.multiply(total, 1 / area);
    const one = ops.full(
      x,
      x.shape.map((d, a) => (spatialAxes(this.dataFormat, this.rank).includes(a) ? d : 1)),
      1,
    );
    return ops.divide(total, ops.reduceWindow(one, { fn: 'sum', ...window }));
  }
}

/** `pool(2)`, `pool({ poolSize: 2 })`, `pool()` and `pool(2, { strides: 1 })`. */
const poolArguments = (first: unknown, options: unknown): unknown[] =>
  first === undefined
    ? [poolingDefaults.poolSize, options]
    : typeof first === 'object' && !Array.isArray(first)
      ? [{ poolSize: poolingDefaults.poolSize, ...first }]
      : [first, options];

export interface GlobalPoolingConfig extends LayerOptions {
  dataFormat?: DataFormat | null;
  /** Keeps the spatial axes with size 1. */
  keepdims?: boolean;
}

/** Mean over the spatial axes: (batch, h, w, c) to (batch, c). */
export class GlobalAveragePooling2DClass extends Layer {
  static override readonly className = 'GlobalAveragePooling2D';
  readonly dataFormat: DataFormat;
  readonly keepdims: boolean;
  constructor(options?: GlobalPoolingConfig) {
    const o = resolveOptions<GlobalPoolingConfig>('GlobalAveragePooling2D', [options], [], { ...layerDefaults, dataFormat: null, keepdims: false });
    super(o);
    this.dataFormat = dataFormatOf(this.className, o.dataFormat);
    this.keepdims = o.keepdims ?? false;
  }
  override build(inputShape: InputShape): void {
    checkRank(this, singleShape(inputShape, this), 4, '(batch, h, w, channels)');
  }
  override call(inputs: Tensors): Tensors {
    return ops.mean(single(inputs, this), spatialAxes(this.dataFormat, 2), this.keepdims);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), data_format: this.dataFormat, keepdims: this.keepdims };
  }
}

export const MaxPooling2D = callable(MaxPooling2DClass);
export const MaxPool2D = MaxPooling2D;
export const AveragePooling2D = callable(AveragePooling2DClass);
export const AvgPool2D = AveragePooling2D;
export const GlobalAveragePooling2D = callable(GlobalAveragePooling2DClass);
export const GlobalAvgPool2D = GlobalAveragePooling2D;
