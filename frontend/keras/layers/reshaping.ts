/** Permute, RepeatVector, Cropping1D/2D/3D, ZeroPadding1D/2D/3D. */
import { addDim, isStatic } from '../../../ir/dim.js';
import { ShapeError, ValueError } from '../../../ir/errors.js';
import * as ops from '../backend/ops.js';
import { kerasShape, kerasShapeText, type Tensors } from '../backend/trace.js';
import { type Callable, callable } from '../utils/callable.js';
import { describe, positiveInteger, resolveOptions } from '../utils/options.js';
import type { Json, JsonObject } from '../utils/serialization.js';
import { spatialAxes } from './convolutional.js';
import { type DataFormat, dataFormatOf } from './core.js';
import { checkRank, type InputShape, Layer, type LayerOptions, layerDefaults, single, singleShape } from './layer.js';

export interface PermuteConfig extends LayerOptions {
  /** For each axis of a sample, which axis it was; they count from 1. */
  dims: readonly number[];
}

/** Reorders the axes of each sample: dims [2, 1] turns (batch, a, b) into (batch, b, a). */
export class PermuteClass extends Layer {
  static override readonly className = 'Permute';
  readonly dims: readonly number[];
  constructor(dims: readonly number[] | PermuteConfig, options?: LayerOptions) {
    const o = resolveOptions<PermuteConfig>('Permute', [dims, options], ['dims'], layerDefaults);
    super(o);
    if (!Array.isArray(o.dims) || [...(o.dims as number[])].sort((a, b) => a - b).some((d, i) => d !== i + 1))
      throw new ValueError(`Permute: 'dims' must be a permutation of 1, 2, …, got ${JSON.stringify(o.dims)}`);
    this.dims = o.dims;
  }
  override build(inputShape: InputShape): void {
    checkRank(this, singleShape(inputShape, this), this.dims.length + 1, `(batch and ${this.dims.length} axes, as in dims)`);
  }
  override call(inputs: Tensors): Tensors {
    return ops.transpose(single(inputs, this), [0, ...this.dims]);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), dims: this.dims };
  }
}

export interface RepeatVectorConfig extends LayerOptions {
  n: number;
}

/** (batch, features) to (batch, n, features). */
export class RepeatVectorClass extends Layer {
  static override readonly className = 'RepeatVector';
  readonly n: number;
  constructor(n: number | RepeatVectorConfig, options?: LayerOptions) {
    const o = resolveOptions<RepeatVectorConfig>('RepeatVector', [n, options], ['n'], layerDefaults);
    super(o);
    this.n = positiveInteger('RepeatVector', 'n', o.n);
  }
  override build(inputShape: InputShape): void {
    checkRank(this, singleShape(inputShape, this), 2, '(batch, features)');
  }
  override call(inputs: Tensors): Tensors {
    const x = single(inputs, this);
    return ops.broadcastTo(ops.expandDims(x, 1), [x.shape[0]!, this.n, x.shape[1]!]);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), n: this.n };
  }
}

type Pair = readonly [number, number];
/** A number for all sides, a number for both sides of each axis, or [before, after] for each axis. For 1-D, [before, after]. */
export type Amounts = number | readonly number[] | readonly Pair[];

const isAmount = (x: unknown): x is number => typeof x === 'number' && Number.isInteger(x) && x >= 0;

function pairs(what: string, name: string, x: unknown, rank: number): Pair[] {
  const fail = (): never => {
    const form = rank === 1 ? 'a non-negative integer or [before, after]' : `a non-negative integer, ${rank} of them, or ${rank} pairs [before, after]`;
    throw new ValueError(`${what}: '${name}' must be ${form}, got ${Array.isArray(x) ? JSON.stringify(x) : describe(x)}`);
  };
  if (isAmount(x)) return new Array<Pair>(rank).fill([x, x]);
  if (!Array.isArray(x)) return fail();
  if (rank === 1) return x.length === 2 && x.every(isAmount) ? [[x[0] as number, x[1] as number]] : fail();
  if (x.length !== rank) return fail();
  return x.map((p: unknown): Pair => {
    if (isAmount(p)) return [p, p];
    return Array.isArray(p) && p.length === 2 && p.every(isAmount) ? [p[0] as number, p[1] as number] : fail();
  });
}

export interface CroppingConfig extends LayerOptions {
  /** What to remove at both ends of each spatial axis; default 1 (1-D) or 0. */
  cropping?: Amounts;
  dataFormat?: DataFormat | null;
}

export interface ZeroPaddingConfig extends LayerOptions {
  /** How many zeros to put at both ends of each spatial axis; default 1. */
  padding?: Amounts;
  dataFormat?: DataFormat | null;
}

/** A layer with pairs of amounts for each spatial axis. */
abstract class Edges extends Layer {
  readonly amounts: readonly Pair[];
  readonly dataFormat: DataFormat;
  constructor(
    readonly rank: number,
    private readonly option: 'cropping' | 'padding',
    o: LayerOptions & { dataFormat?: DataFormat | null },
    amounts: unknown,
  ) {
    super(o);
    this.amounts = pairs(this.className, option, amounts, rank);
    this.dataFormat = dataFormatOf(this.className, o.dataFormat);
  }
  override build(inputShape: InputShape): void {
    const form = this.dataFormat === 'channels_last' ? '(batch, …space, channels)' : '(batch, channels, …space)';
    checkRank(this, singleShape(inputShape, this), this.rank + 2, form);
  }
  override getConfig(): JsonObject {
    const amounts = this.rank === 1 ? this.amounts[0]! : this.amounts;
    // of the layers in one dimension only Keras 3's padding has one
    const format = this.rank === 1 && (this.configFor === 'keras2' || this.option === 'cropping') ? {} : { data_format: this.dataFormat };
    return { ...super.getConfig(), [this.option]: amounts as Json, ...format };
  }
}

/** `Cropping2D(1)`, `Cropping2D([[1, 0], [2, 1]])`, `Cropping2D({ cropping: 1 })`, `Cropping2D()`. */
export type CroppingConstructor = new (cropping?: Amounts | CroppingConfig, options?: Omit<CroppingConfig, 'cropping'>) => Edges;
export type ZeroPaddingConstructor = new (padding?: Amounts | ZeroPaddingConfig, options?: Omit<ZeroPaddingConfig, 'padding'>) => Edges;

/** The first argument may be left out, or be the options. */
const optionalFirst = (name: string, value: unknown, first: unknown, options: unknown): unknown[] =>
  first === undefined
    ? [value, options]
    : typeof first === 'object' && first !== null && !Array.isArray(first)
      ? [{ [name]: value, ...first }]
      : [first, options];

function croppingClass(rank: number): CroppingConstructor {
  const className = `Cropping${rank}D`;
  const initial: Amounts = rank === 2 ? 0 : 1;
  return class extends Edges {
    static override readonly className = className;
    constructor(cropping?: Amounts | CroppingConfig, options?: Omit<CroppingConfig, 'cropping'>) {
      const args = optionalFirst('cropping', initial, cropping, options);
      const o = resolveOptions<CroppingConfig>(className, args, ['cropping'], { ...layerDefaults, dataFormat: null });
      super(rank, 'cropping', o, o.cropping);
    }
    override call(inputs: Tensors): Tensors {
      let x = single(inputs, this);
      const shape = kerasShapeText(kerasShape(x.shape));
      spatialAxes(this.dataFormat, rank).forEach((axis, i) => {
        const [low, high] = this.amounts[i]!;
        const size = x.shape[axis]!;
        if (isStatic(size) && size <= low + high)
          throw new ShapeError(`${this.name}: cropping ${JSON.stringify(this.amounts)} leaves nothing of axis ${axis} of an input of shape ${shape}`);
        if (low + high > 0) x = ops.sliceAxis(x, axis, low, addDim(size, -high));
      });
      return x;
    }
  };
}

function zeroPaddingClass(rank: number): ZeroPaddingConstructor {
  const className = `ZeroPadding${rank}D`;
  return class extends Edges {
    static override readonly className = className;
    constructor(padding?: Amounts | ZeroPaddingConfig, options?: Omit<ZeroPaddingConfig, 'padding'>) {
      const args = optionalFirst('padding', 1, padding, options);
      const o = resolveOptions<ZeroPaddingConfig>(className, args, ['padding'], { ...layerDefaults, dataFormat: null });
      super(rank, 'padding', o, o.padding);
    }
    override call(inputs: Tensors): Tensors {
      const x = single(inputs, this);
      const axes = spatialAxes(this.dataFormat, rank);
      const at = (side: 0 | 1) => x.shape.map((_, a) => this.amounts[axes.indexOf(a)]?.[side] ?? 0);
      return ops.pad(x, at(0), at(1));
    }
  };
}

/** Removes rows at both ends of the spatial axes. */
export const Cropping1DClass = croppingClass(1);
export const Cropping2DClass = croppingClass(2);
export const Cropping3DClass = croppingClass(3);
/** Adds zeros at both ends of the spatial axes. */
export const ZeroPadding1DClass = zeroPaddingClass(1);
export const ZeroPadding2DClass = zeroPaddingClass(2);
export const ZeroPadding3DClass = zeroPaddingClass(3);

export const Permute = callable(PermuteClass);
export const RepeatVector = callable(RepeatVectorClass);
export const Cropping1D: Callable<CroppingConstructor> = callable(Cropping1DClass);
export const Cropping2D: Callable<CroppingConstructor> = callable(Cropping2DClass);
export const Cropping3D: Callable<CroppingConstructor> = callable(Cropping3DClass);
export const ZeroPadding1D: Callable<ZeroPaddingConstructor> = callable(ZeroPadding1DClass);
export const ZeroPadding2D: Callable<ZeroPaddingConstructor> = callable(ZeroPadding2DClass);
export const ZeroPadding3D: Callable<ZeroPaddingConstructor> = callable(ZeroPadding3DClass);
