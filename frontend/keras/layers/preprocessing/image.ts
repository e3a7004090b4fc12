/** Rescaling, Resizing and CenterCrop. Images are (…, height, width, channels), or (…, channels, height, width). */
import { isStatic } from '../../../../ir/dim.js';
import { ShapeError, ValueError } from '../../../../ir/errors.js';
import * as ops from '../../backend/ops.js';
import { type Interpolation, interpolations, resize } from '../../backend/resize.js';
import { kerasShape, kerasShapeText, type SymbolicTensor, type Tensors } from '../../backend/trace.js';
import { callable } from '../../utils/callable.js';
import { finiteNumber, oneOf, positiveInteger, resolveOptions } from '../../utils/options.js';
import type { JsonObject } from '../../utils/serialization.js';
import { type DataFormat, dataFormatOf } from '../core.js';
import { Layer, type LayerOptions, layerDefaults, single } from '../layer.js';

export interface RescalingConfig extends LayerOptions {
  /** One factor, or one for each channel. */
  scale: number | readonly number[];
  /** Default 0. */
  offset?: number | readonly number[];
}

const floats = (x: SymbolicTensor): SymbolicTensor => (x.dtype === 'float32' ? x : ops.cast(x, 'float32'));

/** A number, or a list along the last axis. */
const along = (like: SymbolicTensor, v: number | readonly number[]): SymbolicTensor | number =>
  typeof v === 'number' ? v : like.trace.tensor(like.trace.b.constant({ dtype: 'float32', shape: [v.length], data: Float32Array.from(v) }));

/** x * scale + offset. */
export class RescalingClass extends Layer {
  static override readonly className = 'Rescaling';
  readonly scale: number | readonly number[];
  readonly offset: number | readonly number[];
  constructor(scale: number | readonly number[] | RescalingConfig, options?: Omit<RescalingConfig, 'scale'>) {
    const o = resolveOptions<RescalingConfig>('Rescaling', [scale, options], ['scale'], { ...layerDefaults, offset: 0 });
    super(o);
    this.scale = o.scale;
    this.offset = o.offset ?? 0;
    for (const [name, v] of [
      ['scale', this.scale],
      ['offset', this.offset],
    ] as const)
      for (const n of Array.isArray(v) ? v : [v]) finiteNumber('Rescaling', name, n);
    this.supportsMasking = true;
  }
  override call(inputs: Tensors): Tensors {
    const x = floats(single(inputs, this));
    return ops.add(ops.multiply(x, along(x, this.scale)), along(x, this.offset));
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), scale: this.scale, offset: this.offset };
  }
}

interface SizeConfig extends LayerOptions {
  height: number;
  width: number;
  dataFormat?: DataFormat | null;
}

abstract class ToSize extends Layer {
  readonly height: number;
  readonly width: number;
  readonly dataFormat: DataFormat;
  constructor(o: SizeConfig) {
    super(o);
    this.height = positiveInteger(this.className, 'height', o.height);
    this.width = positiveInteger(this.className, 'width', o.width);
    this.dataFormat = dataFormatOf(this.className, o.dataFormat);
  }
  /** Axes of height and width, and their sizes. */
  protected space(x: SymbolicTensor): { axes: [number, number]; sizes: [number, number] } {
    const text = kerasShapeText(kerasShape(x.shape));
    if (x.rank !== 3 && x.rank !== 4)
      throw new ShapeError(`${this.name}: ${this.className} expects images (batch, height, width, channels) or one of them, got shape ${text}`);
    const axes: [number, number] = this.dataFormat === 'channels_last' ? [x.rank - 3, x.rank - 2] : [x.rank - 2, x.rank - 1];
    const sizes = axes.map((a) => x.shape[a]!);
    if (!sizes.every(isStatic)) throw new ShapeError(`${this.name}: the height and width of the input must be known, got shape ${text}`);
    return { axes, sizes: sizes as [number, number] };
  }
  /** The largest middle part with the aspect ratio of the target, in the target's size. */
  protected cropped(x: SymbolicTensor, method: Interpolation, antialias = false): SymbolicTensor {
    return croppedTo(x, this.space(x).axes, [this.height, this.width], method, antialias);
  }
  override getConfig(): JsonObject {
    const format = this.configFor === 'keras3' ? { data_format: this.dataFormat } : {};
    return { ...super.getConfig(), height: this.height, width: this.width, ...format };
  }
}

/** The largest middle part of images with the aspect ratio of `to`, in that size. The sizes of the axes are known. */
export function croppedTo(
  x: SymbolicTensor,
  axes: readonly [number, number],
  to: readonly [number, number],
  method: Interpolation,
  antialias = false,
): SymbolicTensor {
  const [h, w] = axes.map((a) => x.shape[a] as number) as [number, number];
  const wanted = [Math.max(1, Math.min(h, Math.trunc((w * to[0]) / to[1]))), Math.max(1, Math.min(w, Math.trunc((h * to[1]) / to[0])))];
  const part = axes.reduce((y, axis, i) => middle(y, axis, wanted[i]!), x);
  return resize(part, axes, to, method, antialias);
}

/** The middle of an axis. */
function middle(x: SymbolicTensor, axis: number, size: number): SymbolicTensor {
  const all = x.shape[axis] as number;
  const start = Math.trunc((all - size) / 2);
  return size === all ? x : ops.sliceAxis(x, axis, start, start + size);
}

export interface ResizingConfig extends SizeConfig {
  /** Default bilinear. */
  interpolation?: Interpolation;
  /** Cuts the sides off instead of changing the aspect ratio. */
  cropToAspectRatio?: boolean;
  /** Keras 3: adds borders instead of changing the aspect ratio. */
  padToAspectRatio?: boolean;
  /** Keras 3: only constant. */
  fillMode?: 'constant';
  /** Keras 3: of the borders; default 0. */
  fillValue?: number;
  /** Keras 3: smaller images are made of all pixels of the larger one. Default false. */
  antialias?: boolean;
}

/** Images of another size: output (…, height, width, channels), float32. Half-pixel centres. */
export class ResizingClass extends ToSize {
  static override readonly className = 'Resizing';
  readonly interpolation: Interpolation;
  readonly cropToAspectRatio: boolean;
  readonly padToAspectRatio: boolean;
  readonly fillValue: number;
  readonly antialias: boolean;
  constructor(height: number | ResizingConfig, width?: number, options?: Omit<ResizingConfig, 'height' | 'width'>) {
    const o = resolveOptions<ResizingConfig>('Resizing', [height, width, options], ['height', 'width'], {
      ...layerDefaults,
      dataFormat: null,
      interpolation: 'bilinear',
      cropToAspectRatio: false,
      padToAspectRatio: false,
      fillMode: 'constant',
      fillValue: 0,
      antialias: false,
    });
    super(o);
    this.interpolation = oneOf('Resizing', 'interpolation', o.interpolation, interpolations);
    this.cropToAspectRatio = o.cropToAspectRatio ?? false;
    this.padToAspectRatio = o.padToAspectRatio ?? false;
    this.fillValue = finiteNumber('Resizing', 'fillValue', o.fillValue);
    oneOf('Resizing', 'fillMode', o.fillMode, ['constant']);
    this.antialias = o.antialias ?? false;
    if (this.cropToAspectRatio && this.padToAspectRatio) throw new ValueError('Resizing: cropToAspectRatio and padToAspectRatio do not go together');
  }
  override call(inputs: Tensors): Tensors {
    const x = floats(single(inputs, this));
    if (this.cropToAspectRatio) return this.cropped(x, this.interpolation, this.antialias);
    const { axes } = this.space(x);
    return resize(this.padToAspectRatio ? this.padded(x) : x, axes, [this.height, this.width], this.interpolation, this.antialias);
  }
  private padded(x: SymbolicTensor): SymbolicTensor {
    const { axes, sizes } = this.space(x);
    const [h, w] = sizes;
    const wanted = [Math.max(h, Math.trunc((w * this.height) / this.width)), Math.max(w, Math.trunc((h * this.width) / this.height))];
    const border = (axis: number) => {
      const i = axes.indexOf(axis);
      return i < 0 ? 0 : wanted[i]! - sizes[i]!;
    };
    // as Keras does it: the same on both sides, so that an odd border loses a row
    const both = x.shape.map((_, a) => Math.trunc(border(a) / 2));
    return ops.pad(x, both, both, this.fillValue);
  }
  override getConfig(): JsonObject {
    const keras3: JsonObject =
      this.configFor === 'keras3'
        ? { pad_to_aspect_ratio: this.padToAspectRatio, fill_mode: 'constant', fill_value: this.fillValue, antialias: this.antialias }
        : {};
    return { ...super.getConfig(), interpolation: this.interpolation, crop_to_aspect_ratio: this.cropToAspectRatio, ...keras3 };
  }
}

export type CenterCropConfig = SizeConfig;

/** The middle of each image; smaller images are resized. */
export class CenterCropClass extends ToSize {
  static override readonly className = 'CenterCrop';
  constructor(height: number | CenterCropConfig, width?: number, options?: Omit<CenterCropConfig, 'height' | 'width'>) {
    super(resolveOptions<CenterCropConfig>('CenterCrop', [height, width, options], ['height', 'width'], { ...layerDefaults, dataFormat: null }));
  }
  override call(inputs: Tensors): Tensors {
    const x = floats(single(inputs, this));
    const { axes, sizes } = this.space(x);
    const target = [this.height, this.width] as const;
    if (sizes.some((n, i) => n < target[i]!)) return this.cropped(x, 'bilinear');
    return axes.reduce((y, axis, i) => middle(y, axis, target[i]!), x);
  }
}

export const Rescaling = callable(RescalingClass);
export const Resizing = callable(ResizingClass);
export const CenterCrop = callable(CenterCropClass);
