/** What layers that vary images while training have in common: their options, the axes of the images, and the random factors. */
import { type Dim, isStatic } from '../../../../ir/dim.js';
import { ShapeError, ValueError } from '../../../../ir/errors.js';
import * as ops from '../../backend/ops.js';
import { kerasShape, kerasShapeText, type SymbolicTensor, type Tensors } from '../../backend/trace.js';
import { describe } from '../../utils/options.js';
import type { Json, JsonObject } from '../../utils/serialization.js';
import { type DataFormat, dataFormatOf } from '../core.js';
import { type CallArguments, Layer, type LayerOptions, layerDefaults, single } from '../layer.js';

export interface AugmentationOptions extends LayerOptions {
  /** The same seed gives the same numbers on every device; default: the model's seed. */
  readonly seed?: number | null;
  /** Keras 3; default channels_last. */
  readonly dataFormat?: DataFormat | null;
  /** As Keras 2 writes it; has no effect. */
  readonly rngType?: string | null;
}

export const augmentationDefaults: AugmentationOptions = { ...layerDefaults, seed: null, dataFormat: null, rngType: null };

/** A number, or the bounds of a range. */
export type Factor = number | readonly [number, number];
export interface Range {
  readonly low: number;
  readonly high: number;
}

/** A factor as a range: a number f is [-f, f] unless `of` says otherwise. */
export function rangeOf(
  what: string,
  name: string,
  factor: unknown,
  limits: { readonly low: number; readonly high: number },
  of = (f: number): Range => ({ low: -f, high: f }),
): Range {
  const numbers = (Array.isArray(factor) ? factor : [factor]) as unknown[];
  const fits = numbers.every((f) => typeof f === 'number' && Number.isFinite(f)) && (!Array.isArray(factor) || factor.length === 2);
  const shown = Array.isArray(factor) ? JSON.stringify(factor) : describe(factor);
  if (!fits) throw new ValueError(`${what}: '${name}' must be a number or a list of two numbers, got ${shown}`);
  const range = Array.isArray(factor) ? { low: numbers[0] as number, high: numbers[1] as number } : of(numbers[0] as number);
  if (range.high < range.low) throw new ValueError(`${what}: the upper bound of '${name}' must not be below the lower one, got ${shown}`);
  if (range.low < limits.low || range.high > limits.high)
    throw new ValueError(
      `${what}: '${name}' must lie ${limits.high === Infinity ? `above ${limits.low}` : `between ${limits.low} and ${limits.high}`}, got ${shown}`,
    );
  return range;
}

/** A range as Keras 3 writes it, a given factor as Keras 2 does. */
export const factorJson = (factor: Factor): Json => (typeof factor === 'number' ? factor : [...factor]);

/** Images (batch, height, width, channels) or one image (height, width, channels). Changes them while training, passes them on else. Output float32. */
export abstract class AugmentationLayer extends Layer {
  readonly seed: number | null;
  readonly dataFormat: DataFormat;
  constructor(options: AugmentationOptions) {
    super(options);
    this.seed = options.seed ?? null;
    this.dataFormat = dataFormatOf(this.className, options.dataFormat);
  }
  /** Varies images that are (batch, height, width, channels); height and width are known. */
  protected abstract vary(x: SymbolicTensor): SymbolicTensor;

  override call(inputs: Tensors, args: CallArguments): Tensors {
    const x = single(inputs, this);
    if (x.rank !== 3 && x.rank !== 4)
      throw new ShapeError(`${this.name}: ${this.className} expects images (batch, height, width, channels), got shape ${kerasShapeText(kerasShape(x.shape))}`);
    const images = x.dtype === 'float32' ? x : ops.cast(x, 'float32');
    return args.training ? this.asImages(images, (batch) => this.vary(batch)) : this.still(images);
  }
  /** What inference gives. */
  protected still(x: SymbolicTensor): SymbolicTensor {
    return x;
  }
  /** Applies `body` to the images as (batch, height, width, channels), and brings its result into the form of the input. */
  protected asImages(x: SymbolicTensor, body: (x: SymbolicTensor) => SymbolicTensor): SymbolicTensor {
    const batched = x.rank === 3 ? ops.expandDims(x, 0) : x;
    const first = this.dataFormat === 'channels_first';
    const last = first ? ops.transpose(batched, [0, 2, 3, 1]) : batched;
    if (!isStatic(last.shape[1]!) || !isStatic(last.shape[2]!))
      throw new ShapeError(`${this.name}: the height and width of the images must be known, got shape ${kerasShapeText(kerasShape(x.shape))}`);
    const y = body(last);
    const back = first ? ops.transpose(y, [0, 3, 1, 2]) : y;
    return x.rank === 3 ? ops.squeeze(back, 0) : back;
  }
  /** A random number for each image, or of another shape. */
  protected random(x: SymbolicTensor, range: Range, shape: readonly Dim[] = [x.shape[0]!]): SymbolicTensor {
    return ops.randomUniform(x, shape, range.low, range.high, this.seed);
  }
  override getConfig(): JsonObject {
    const own: JsonObject = this.configFor === 'keras2' ? { rng_type: 'stateful' } : { data_format: this.dataFormat };
    return { ...super.getConfig(), ...own, seed: this.seed };
  }
}
