/** UpSampling1D/2D/3D: rows repeated, or interpolated (2-D). */
import { mulDim } from '../../../ir/dim.js';
import { UnsupportedError } from '../../../ir/errors.js';
import * as ops from '../backend/ops.js';
import { type Interpolation, interpolations, resize } from '../backend/resize.js';
import type { SymbolicTensor, Tensors } from '../backend/trace.js';
import { type Callable, callable } from '../utils/callable.js';
import { integerList, oneOf, resolveOptions } from '../utils/options.js';
import type { Json, JsonObject } from '../utils/serialization.js';
import { spatialAxes, spatialSizes } from './convolutional.js';
import { type DataFormat, dataFormatOf } from './core.js';
import { checkRank, type InputShape, Layer, type LayerOptions, layerDefaults, single, singleShape } from './layer.js';

export interface UpSamplingConfig extends LayerOptions {
  /** Factor for each spatial axis; default 2. */
  size?: number | readonly number[];
  dataFormat?: DataFormat | null;
  /** 2-D: nearest (the default), bilinear, bicubic and others. */
  interpolation?: Interpolation;
}

abstract class UpSampling extends Layer {
  readonly size: readonly number[];
  readonly dataFormat: DataFormat;
  readonly interpolation: Interpolation;
  constructor(
    readonly rank: number,
    o: UpSamplingConfig,
  ) {
    super(o);
    this.size = integerList(this.className, 'size', o.size, rank);
    this.dataFormat = dataFormatOf(this.className, o.dataFormat);
    this.interpolation = oneOf(this.className, 'interpolation', o.interpolation, interpolations);
    if (rank !== 2 && this.interpolation !== 'nearest') throw new UnsupportedError(`${this.className}: only UpSampling2D interpolates`);
  }
  override build(inputShape: InputShape): void {
    const form = this.dataFormat === 'channels_last' ? '(batch, …space, channels)' : '(batch, channels, …space)';
    checkRank(this, singleShape(inputShape, this), this.rank + 2, form);
  }
  override call(inputs: Tensors): Tensors {
    const x = single(inputs, this);
    const axes = spatialAxes(this.dataFormat, this.rank);
    if (this.interpolation === 'nearest') return axes.reduce((y, axis, i) => repeated(y, axis, this.size[i]!), x);
    const sizes = spatialSizes(this, x, axes);
    return resize(
      x,
      axes,
      sizes.map((n, i) => n * this.size[i]!),
      this.interpolation,
    );
  }
  override getConfig(): JsonObject {
    const more: Readonly<Record<number, JsonObject>> = {
      1: {},
      2: { data_format: this.dataFormat, interpolation: this.interpolation },
      3: { data_format: this.dataFormat },
    };
    return { ...super.getConfig(), size: (this.rank === 1 ? this.size[0]! : this.size) as Json, ...more[this.rank] };
  }
}

/** Every row along the axis so many times. */
function repeated(x: SymbolicTensor, axis: number, times: number): SymbolicTensor {
  if (times === 1) return x;
  const wide = ops.expandDims(x, axis + 1);
  const shape = wide.shape.map((d, a) => (a === axis + 1 ? times : d));
  return ops.reshape(
    ops.broadcastTo(wide, shape),
    x.shape.map((d, a) => (a === axis ? mulDim(d, times) : d)),
  );
}

export type UpSamplingConstructor = new (size?: UpSamplingConfig['size'] | UpSamplingConfig, options?: Omit<UpSamplingConfig, 'size'>) => UpSampling;

function upSamplingClass(rank: number): UpSamplingConstructor {
  const className = `UpSampling${rank}D`;
  return class extends UpSampling {
    static override readonly className = className;
    constructor(size?: UpSamplingConfig['size'] | UpSamplingConfig, options?: Omit<UpSamplingConfig, 'size'>) {
      const alone = typeof size === 'object' && !Array.isArray(size);
      const args = size === undefined ? [2, options] : alone ? [{ size: 2, ...size }] : [size, options];
      super(rank, resolveOptions<UpSamplingConfig>(className, args, ['size'], { ...layerDefaults, dataFormat: null, interpolation: 'nearest' }));
    }
  };
}

/** Input (batch, …space, channels), output (batch, …space · size, channels). */
export const UpSampling1DClass = upSamplingClass(1);
export const UpSampling2DClass = upSamplingClass(2);
export const UpSampling3DClass = upSamplingClass(3);

export const UpSampling1D: Callable<UpSamplingConstructor> = callable(UpSampling1DClass);
export const UpSampling2D: Callable<UpSamplingConstructor> = callable(UpSampling2DClass);
export const UpSampling3D: Callable<UpSamplingConstructor> = callable(UpSampling3DClass);
