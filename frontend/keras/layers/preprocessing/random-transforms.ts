/** RandomFlip, RandomRotation, RandomZoom and RandomTranslation: images moved about while training. */
import * as ops from '../../backend/ops.js';
import { type AffineMap, type FillMode, fillModes, type PixelInterpolation, pixelInterpolations, projective } from '../../backend/projective.js';
import type { SymbolicTensor } from '../../backend/trace.js';
import { callable } from '../../utils/callable.js';
import { finiteNumber, oneOf, resolveOptions } from '../../utils/options.js';
import type { JsonObject } from '../../utils/serialization.js';
import { AugmentationLayer, type AugmentationOptions, augmentationDefaults, type Factor, factorJson, type Range, rangeOf } from './augmentation.js';

export interface RandomFlipConfig extends AugmentationOptions {
  /** horizontal (left and right), vertical (top and bottom), or horizontal_and_vertical (the default). */
  mode?: 'horizontal' | 'vertical' | 'horizontal_and_vertical';
}

/** Mirrors each image with probability 1/2, in each direction that `mode` names, while training. */
export class RandomFlipClass extends AugmentationLayer {
  static override readonly className = 'RandomFlip';
  readonly mode: 'horizontal' | 'vertical' | 'horizontal_and_vertical';
  constructor(mode?: RandomFlipConfig['mode'] | RandomFlipConfig, options?: Omit<RandomFlipConfig, 'mode'>) {
    const args = typeof mode === 'string' ? [{ ...options, mode }] : [mode ?? options];
    const o = resolveOptions<RandomFlipConfig>('RandomFlip', args, [], { ...augmentationDefaults, mode: 'horizontal_and_vertical' });
    super(o);
    this.mode = oneOf('RandomFlip', 'mode', o.mode, ['horizontal', 'vertical', 'horizontal_and_vertical']);
  }
  protected vary(x: SymbolicTensor): SymbolicTensor {
    const flip = (y: SymbolicTensor, axis: number) => {
      const chosen = ops.less(this.random(y, { low: 0, high: 1 }, [y.shape[0]!, 1, 1, 1]), 0.5);
      return ops.where(chosen, ops.reverse(y, [axis]), y);
    };
    const across = this.mode === 'vertical' ? x : flip(x, 2);
    return this.mode === 'horizontal' ? across : flip(across, 1);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), mode: this.mode };
  }
}

interface MovedOptions extends AugmentationOptions {
  /** What fills the outside: reflect (the default), wrap, constant or nearest. */
  fillMode?: FillMode;
  /** bilinear (the default) or nearest. */
  interpolation?: PixelInterpolation;
  /** Of fillMode constant; default 0. */
  fillValue?: number;
}

const movedDefaults: MovedOptions = { ...augmentationDefaults, fillMode: 'reflect', interpolation: 'bilinear', fillValue: 0 };

/** Images under a random map. */
abstract class MovedImages extends AugmentationLayer {
  readonly fillMode: FillMode;
  readonly interpolation: PixelInterpolation;
  readonly fillValue: number;
  constructor(o: MovedOptions) {
    super(o);
    this.fillMode = oneOf(this.className, 'fillMode', o.fillMode, fillModes);
    this.interpolation = oneOf(this.className, 'interpolation', o.interpolation, pixelInterpolations);
    this.fillValue = finiteNumber(this.className, 'fillValue', o.fillValue);
  }
  protected abstract map(x: SymbolicTensor, height: number, width: number): AffineMap;
  protected vary(x: SymbolicTensor): SymbolicTensor {
    return projective(x, this.map(x, x.shape[1] as number, x.shape[2] as number), this);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), fill_mode: this.fillMode, fill_value: this.fillValue, interpolation: this.interpolation };
  }
}

export interface RandomRotationConfig extends MovedOptions {
  /** Fraction of a full turn: f for [-f, f], or the bounds. Positive turns counter-clockwise. */
  factor: Factor;
}

/** Rotates each image about its middle by a random angle while training. */
export class RandomRotationClass extends MovedImages {
  static override readonly className = 'RandomRotation';
  readonly factor: Factor;
  private readonly range: Range;
  constructor(factor: Factor | RandomRotationConfig, options?: Omit<RandomRotationConfig, 'factor'>) {
    const o = resolveOptions<RandomRotationConfig>('RandomRotation', [factor, options], ['factor'], movedDefaults);
    super(o);
    this.range = rangeOf('RandomRotation', 'factor', o.factor, { low: -Infinity, high: Infinity });
    this.factor = o.factor;
  }
  protected map(x: SymbolicTensor, height: number, width: number): AffineMap {
    const turn = 2 * Math.PI;
    const angle = this.random(x, { low: this.range.low * turn, high: this.range.high * turn });
    const [cos, sin] = [ops.cos(angle), ops.sin(angle)];
    const [right, bottom] = [width - 1, height - 1];
    const columns = ops.divide(ops.subtract(right, ops.subtract(ops.multiply(cos, right), ops.multiply(sin, bottom))), 2);
    const rows = ops.divide(ops.subtract(bottom, ops.add(ops.multiply(sin, right), ops.multiply(cos, bottom))), 2);
    return [cos, ops.negative(sin), columns, sin, cos, rows];
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), factor: this.configFor === 'keras3' ? [this.range.low, this.range.high] : factorJson(this.factor) };
  }
}

export interface RandomZoomConfig extends MovedOptions {
  /** f for [-f, f], or the bounds, in [-1, 1]: positive shows more of the image (zooms out), negative less. */
  heightFactor: Factor;
  /** Default: the height's, so that the aspect ratio is kept. */
  widthFactor?: Factor | null;
}

/** Zooms each image about its middle by a random factor while training. */
export class RandomZoomClass extends MovedImages {
  static override readonly className = 'RandomZoom';
  readonly heightFactor: Factor;
  readonly widthFactor: Factor | null;
  private readonly height: Range;
  private readonly width: Range | null;
  constructor(heightFactor: Factor | RandomZoomConfig, options?: Omit<RandomZoomConfig, 'heightFactor'>) {
    const o = resolveOptions<RandomZoomConfig>('RandomZoom', [heightFactor, options], ['heightFactor'], { ...movedDefaults, widthFactor: null });
    super(o);
    this.height = rangeOf('RandomZoom', 'heightFactor', o.heightFactor, { low: -1, high: 1 });
    this.heightFactor = o.heightFactor;
    this.widthFactor = o.widthFactor ?? null;
    this.width = this.widthFactor === null ? null : rangeOf('RandomZoom', 'widthFactor', this.widthFactor, { low: -1, high: Infinity });
  }
  protected map(x: SymbolicTensor, height: number, width: number): AffineMap {
    const zoom = (r: Range) => this.random(x, { low: 1 + r.low, high: 1 + r.high });
    const down = zoom(this.height);
    const across = this.width ? zoom(this.width) : down;
    const offset = (z: SymbolicTensor, size: number) => ops.multiply(ops.subtract(1, z), (size - 1) / 2);
    return [across, 0, offset(across, width), 0, down, offset(down, height)];
  }
  override getConfig(): JsonObject {
    return {
      ...super.getConfig(),
      height_factor: factorJson(this.heightFactor),
      width_factor: this.widthFactor === null ? null : factorJson(this.widthFactor),
    };
  }
}

export interface RandomTranslationConfig extends MovedOptions {
  /** Fraction of the height: f for [-f, f], or the bounds, in [-1, 1]; positive moves down. */
  heightFactor: Factor;
  /** Fraction of the width; positive moves right. */
  widthFactor: Factor;
}

/** Shifts each image by a random distance while training. */
export class RandomTranslationClass extends MovedImages {
  static override readonly className = 'RandomTranslation';
  readonly heightFactor: Factor;
  readonly widthFactor: Factor;
  private readonly height: Range;
  private readonly width: Range;
  constructor(heightFactor: Factor | RandomTranslationConfig, widthFactor?: Factor, options?: Omit<RandomTranslationConfig, 'heightFactor' | 'widthFactor'>) {
    const o = resolveOptions<RandomTranslationConfig>(
      'RandomTranslation',
      [heightFactor, widthFactor, options],
      ['heightFactor', 'widthFactor'],
      movedDefaults,
    );
    super(o);
    this.height = rangeOf('RandomTranslation', 'heightFactor', o.heightFactor, { low: -1, high: 1 });
    this.width = rangeOf('RandomTranslation', 'widthFactor', o.widthFactor, { low: -1, high: 1 });
    this.heightFactor = o.heightFactor;
    this.widthFactor = o.widthFactor;
  }
  protected map(x: SymbolicTensor, height: number, width: number): AffineMap {
    const down = ops.multiply(this.random(x, this.height), height);
    const across = ops.multiply(this.random(x, this.width), width);
    return [1, 0, ops.negative(across), 0, 1, ops.negative(down)];
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), height_factor: factorJson(this.heightFactor), width_factor: factorJson(this.widthFactor) };
  }
}

export const RandomFlip = callable(RandomFlipClass);
export const RandomRotation = callable(RandomRotationClass);
export const RandomZoom = callable(RandomZoomClass);
export const RandomTranslation = callable(RandomTranslationClass);
