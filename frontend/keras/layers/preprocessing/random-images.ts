/** RandomCrop, RandomContrast, RandomBrightness, RandomHeight and RandomWidth: images cut, coloured and resized while training. */
import { UnsupportedError, ValueError } from '../../../../ir/errors.js';
import * as ops from '../../backend/ops.js';
import { type Interpolation, interpolations, resize } from '../../backend/resize.js';
import type { SymbolicTensor } from '../../backend/trace.js';
import { callable } from '../../utils/callable.js';
import { oneOf, positiveInteger, resolveOptions } from '../../utils/options.js';
import type { JsonObject } from '../../utils/serialization.js';
import { AugmentationLayer, type AugmentationOptions, augmentationDefaults, type Factor, factorJson, type Range, rangeOf } from './augmentation.js';
import { croppedTo } from './image.js';

export interface RandomCropConfig extends AugmentationOptions {
  height: number;
  width: number;
}

/**
 * A part of this size, at a random place (one for the whole batch) while training. Where an image is too small, its largest middle part is resized. In inference Keras 2 takes that middle
 * part, too; Keras 3 passes the images on as they are, whatever their size.
 */
export class RandomCropClass extends AugmentationLayer {
  static override readonly className = 'RandomCrop';
  readonly height: number;
  readonly width: number;
  constructor(height: number | RandomCropConfig, width?: number, options?: Omit<RandomCropConfig, 'height' | 'width'>) {
    const o = resolveOptions<RandomCropConfig>('RandomCrop', [height, width, options], ['height', 'width'], augmentationDefaults);
    super(o);
    this.height = positiveInteger('RandomCrop', 'height', o.height);
    this.width = positiveInteger('RandomCrop', 'width', o.width);
  }
  protected vary(x: SymbolicTensor): SymbolicTensor {
    const [height, width] = [x.shape[1] as number, x.shape[2] as number];
    const keras3 = this.semantics === 'keras3';
    if (keras3 ? height <= this.height || width <= this.width : height < this.height || width < this.width) return keras3 ? this.corner(x) : this.middle(x);
    const part = (y: SymbolicTensor, axis: number, size: number, to: number) => {
      const start = ops.cast(ops.floor(this.random(y, { low: 0, high: size - to + 1 }, [1])), 'int32');
      return size === to ? y : ops.take(y, ops.add(ops.iota(y, [to], 0), start), axis);
    };
    return part(part(x, 1, height, this.height), 2, width, this.width);
  }
  protected override still(x: SymbolicTensor): SymbolicTensor {
    // the shape that Keras 3 plans with is that of training
    return this.semantics === 'keras3' && !x.trace.shapesOnly ? x : this.asImages(x, (images) => this.middle(images));
  }
  /** What Keras 3 takes of images that are too small: from where the middle part of the right aspect ratio begins. */
  private corner(x: SymbolicTensor): SymbolicTensor {
    const to = [this.height, this.width] as const;
    const size = [x.shape[1] as number, x.shape[2] as number] as const;
    const part = [0, 1].reduce((y, i) => {
      const wanted = Math.max(1, Math.min(size[i]!, Math.trunc((size[1 - i]! * to[i]!) / to[1 - i]!)));
      const start = Math.trunc((size[i]! - wanted) / 2);
      return ops.sliceAxis(y, i + 1, start, Math.min(size[i]!, start + to[i]!));
    }, x);
    return resize(part, [1, 2], to, 'bilinear');
  }
  private middle(x: SymbolicTensor): SymbolicTensor {
    return croppedTo(x, [1, 2], [this.height, this.width], 'bilinear');
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), height: this.height, width: this.width };
  }
}

export interface RandomContrastConfig extends AugmentationOptions {
  /** Keras 2: f for [1 - f, 1 + f]; the bounds (l, u) for [1 - l, 1 + u]. */
  factor: Factor;
  /** Keras 3: what the result is clipped to; default [0, 255]. */
  valueRange?: readonly [number, number];
}

function valueRangeOf(what: string, range: unknown): readonly [number, number] {
  if (!Array.isArray(range) || range.length !== 2 || !range.every((v) => typeof v === 'number' && Number.isFinite(v)))
    throw new ValueError(`${what}: 'valueRange' must be a list of two numbers, got ${JSON.stringify(range)}`);
  const [a, b] = range as [number, number];
  return a <= b ? [a, b] : [b, a];
}

/**
 * Multiplies the distance of each pixel from the mean of its image and channel by a random factor while training, and clips the result to the value range. Keras 2 draws one factor for the
 * batch, Keras 3 one for each image.
 */
export class RandomContrastClass extends AugmentationLayer {
  static override readonly className = 'RandomContrast';
  readonly factor: Factor;
  readonly valueRange: readonly [number, number];
  private readonly range: Range;
  constructor(factor: Factor | RandomContrastConfig, options?: Omit<RandomContrastConfig, 'factor'>) {
    const o = resolveOptions<RandomContrastConfig>('RandomContrast', [factor, options], ['factor'], { ...augmentationDefaults, valueRange: [0, 255] });
    super(o);
    const keras3 = this.semantics === 'keras3';
    this.range = rangeOf('RandomContrast', 'factor', o.factor, { low: 0, high: keras3 ? 1 : Infinity }, (f) => ({ low: keras3 ? 0 : f, high: f }));
    this.factor = o.factor;
    this.valueRange = valueRangeOf('RandomContrast', o.valueRange);
  }
  protected vary(x: SymbolicTensor): SymbolicTensor {
    const bounds = { low: 1 - this.range.low, high: 1 + this.range.high };
    const factor = this.random(x, bounds, this.semantics === 'keras2' ? [1, 1, 1, 1] : [x.shape[0]!, 1, 1, 1]);
    const mean = ops.mean(x, [1, 2], true);
    return ops.clip(ops.add(ops.multiply(ops.subtract(x, mean), factor), mean), this.valueRange[0], this.valueRange[1]);
  }
  override getConfig(): JsonObject {
    if (this.configFor === 'keras2') return { ...super.getConfig(), factor: factorJson(this.factor) };
    return { ...super.getConfig(), factor: [this.range.low, this.range.high], value_range: this.valueRange };
  }
}

export interface RandomBrightnessConfig extends AugmentationOptions {
  /** f for [-f, f], or the bounds, in [-1, 1]: fraction of the value range. */
  factor: Factor;
  /** Of the pixels; default [0, 255]. The result is clipped to it. */
  valueRange?: readonly [number, number];
}

/** Adds a random number to each image while training. */
export class RandomBrightnessClass extends AugmentationLayer {
  static override readonly className = 'RandomBrightness';
  readonly valueRange: readonly [number, number];
  private readonly range: Range;
  constructor(factor: Factor | RandomBrightnessConfig, options?: Omit<RandomBrightnessConfig, 'factor'>) {
    const o = resolveOptions<RandomBrightnessConfig>('RandomBrightness', [factor, options], ['factor'], { ...augmentationDefaults, valueRange: [0, 255] });
    super(o);
    const sorted = Array.isArray(o.factor) && o.factor.length === 2 && o.factor[0] > o.factor[1] ? ([o.factor[1], o.factor[0]] as const) : o.factor;
    this.range = rangeOf('RandomBrightness', 'factor', sorted, { low: -1, high: 1 }, (f) => ({ low: -Math.abs(f), high: Math.abs(f) }));
    this.valueRange = valueRangeOf('RandomBrightness', o.valueRange);
  }
  protected vary(x: SymbolicTensor): SymbolicTensor {
    const [low, high] = this.valueRange;
    const shift = ops.multiply(this.random(x, this.range, [x.shape[0]!, 1, 1, 1]), high - low);
    return ops.clip(ops.add(x, shift), low, high);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), factor: [this.range.low, this.range.high], value_range: this.valueRange };
  }
}

export interface RandomSizeConfig extends AugmentationOptions {
  /** f for [-f, f], or the bounds: by which fraction the size changes. */
  factor: Factor;
  /** Default bilinear. */
  interpolation?: Interpolation;
}

/** Another height or width for each batch while training. */
abstract class RandomSize extends AugmentationLayer {
  readonly factor: Factor;
  readonly interpolation: Interpolation;
  private readonly range: Range;
  constructor(
    className: string,
    args: readonly unknown[],
    private readonly axis: 1 | 2,
  ) {
    const o = resolveOptions<RandomSizeConfig>(className, args, ['factor'], { ...augmentationDefaults, interpolation: 'bilinear' });
    super(o);
    this.range = rangeOf(className, 'factor', o.factor, { low: -1, high: Infinity });
    this.factor = o.factor;
    this.interpolation = oneOf(className, 'interpolation', o.interpolation, interpolations);
  }
  protected vary(x: SymbolicTensor): SymbolicTensor {
    if (!x.trace.eager)
      throw new UnsupportedError(
        `${this.name}: ${this.className} gives images of another size at each training step, which a compiled plan cannot: train with compile({ runEagerly: true }), or use RandomZoom`,
      );
    const factor = this.random(x, { low: 1 + this.range.low, high: 1 + this.range.high }, []);
    const size = Math.max(1, Math.trunc(Number(factor) * (x.shape[this.axis] as number)));
    return resize(x, [this.axis], [size], this.interpolation);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), factor: factorJson(this.factor), interpolation: this.interpolation };
  }
}

/** Resizes the height by a random factor while training; needs `runEagerly` there. Keras 2 only. */
export class RandomHeightClass extends RandomSize {
  static override readonly className = 'RandomHeight';
  constructor(factor: Factor | RandomSizeConfig, options?: Omit<RandomSizeConfig, 'factor'>) {
    super('RandomHeight', [factor, options], 1);
  }
}

/** Resizes the width by a random factor while training; needs `runEagerly` there. Keras 2 only. */
export class RandomWidthClass extends RandomSize {
  static override readonly className = 'RandomWidth';
  constructor(factor: Factor | RandomSizeConfig, options?: Omit<RandomSizeConfig, 'factor'>) {
    super('RandomWidth', [factor, options], 2);
  }
}

export const RandomCrop = callable(RandomCropClass);
export const RandomContrast = callable(RandomContrastClass);
export const RandomBrightness = callable(RandomBrightnessClass);
export const RandomHeight = callable(RandomHeightClass);
export const RandomWidth = callable(RandomWidthClass);
