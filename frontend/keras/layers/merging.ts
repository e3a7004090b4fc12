/** Add, Subtract, Multiply, Average, Maximum, Minimum, Concatenate, Dot, and their functional forms. */
import { equalDim } from '../../../ir/dim.js';
import { ShapeError, ValueError } from '../../../ir/errors.js';
import * as ops from '../backend/ops.js';
import { kerasShape, kerasShapeText, listOf, type SymbolicTensor, type Tensors } from '../backend/trace.js';
import { type Callable, callable } from '../utils/callable.js';
import { resolveOptions } from '../utils/options.js';
import type { Json, JsonObject } from '../utils/serialization.js';
import { type CallArguments, Layer, type LayerOptions, layerDefaults } from './layer.js';

type Mask = SymbolicTensor | null;

/** The inputs of a merging layer: a list of at least `least`. */
function several(inputs: Tensors, layer: Layer, least: number): readonly SymbolicTensor[] {
  const list = listOf(inputs);
  if (!Array.isArray(inputs))
    throw new ValueError(`${layer.name}: ${layer.className} takes a list of inputs, got one tensor of shape ${kerasShapeText(kerasShape(list[0]!.shape))}`);
  if (list.length < least) throw new ValueError(`${layer.name}: ${layer.className} takes a list of at least ${least} inputs, got ${list.length}`);
  return list;
}

const shapesText = (list: readonly SymbolicTensor[]): string => list.map((x) => kerasShapeText(kerasShape(x.shape))).join(', ');

/** Merges its inputs element by element, with NumPy broadcasting. Inputs of lower rank get axes of size 1 after the batch axis. */
abstract class Merge extends Layer {
  constructor(options: LayerOptions) {
    super(options);
    this.supportsMasking = true;
  }
  protected abstract merge(list: readonly SymbolicTensor[], masks: readonly Mask[]): SymbolicTensor;

  override call(inputs: Tensors, args: CallArguments): Tensors {
    const list = several(inputs, this, 1);
    const rank = Math.max(...list.map((x) => x.rank));
    const even = list.map((x) => ops.reshape(x, [x.shape[0]!, ...new Array<number>(rank - x.rank).fill(1), ...x.shape.slice(1)]));
    const masks = Array.isArray(args.mask) ? (args.mask as readonly Mask[]) : [];
    try {
      return this.merge(even, masks);
    } catch (e) {
      if (e instanceof ShapeError) throw new ShapeError(`${this.name}: inputs of shapes ${shapesText(list)} cannot be merged: ${e.message}`);
      throw e;
    }
  }

  /** Keras 2: steps that all masks given keep. Keras 3: steps that any of the masks keeps, where every input has one. */
  override computeMask(_inputs: Tensors, mask: CallArguments['mask']): CallArguments['mask'] {
    if (!mask || !Array.isArray(mask)) return null;
    const given = (mask as readonly Mask[]).filter((m): m is SymbolicTensor => m !== null);
    if (given.length === 0) return null;
    if (this.semantics === 'keras2') return given.reduce((a, b) => ops.logicalAnd(a, b));
    return given.length === mask.length ? given.reduce((a, b) => ops.logicalOr(a, b)) : null;
  }
}

/** A merging layer without options of its own. */
type MergeConstructor = new (options?: LayerOptions) => Merge;

function mergeClass(className: string, merge: (list: readonly SymbolicTensor[], masks: readonly Mask[], layer: Layer) => SymbolicTensor): MergeConstructor {
  return class extends Merge {
    static override readonly className = className;
    constructor(options?: LayerOptions) {
      super(resolveOptions<LayerOptions>(className, [options], [], layerDefaults));
    }
    protected merge(list: readonly SymbolicTensor[], masks: readonly Mask[]): SymbolicTensor {
      return merge(list, masks, this);
    }
  };
}

const fold =
  (fn: (a: SymbolicTensor, b: SymbolicTensor) => SymbolicTensor) =>
  (list: readonly SymbolicTensor[]): SymbolicTensor =>
    list.reduce((a, b) => fn(a, b));

/** Sum of the inputs. */
export const AddClass = mergeClass('Add', fold(ops.add));
/** First minus second input: exactly two. */
export const SubtractClass = mergeClass('Subtract', (list, _, layer) => {
  if (list.length !== 2) throw new ValueError(`${layer.name}: Subtract takes exactly two inputs, got ${list.length}`);
  return ops.subtract(list[0]!, list[1]!);
});
/** Product of the inputs. In Keras 3 a masked step of one input counts as 1, and as 0 where it is masked in all. */
export const MultiplyClass = mergeClass('Multiply', (list, masks, layer) =>
  layer.semantics === 'keras3' && masks.some((m) => m !== null) ? maskedProduct(list, masks) : fold(ops.multiply)(list),
);
/** Mean of the inputs. */
export const AverageClass = mergeClass('Average', (list) => ops.divide(fold(ops.add)(list), list.length));
/** Largest of the inputs, element by element. */
export const MaximumClass = mergeClass('Maximum', fold(ops.maximum));
/** Smallest of the inputs, element by element. */
export const MinimumClass = mergeClass('Minimum', fold(ops.minimum));

function maskedProduct(list: readonly SymbolicTensor[], masks: readonly Mask[]): SymbolicTensor {
  const full = list.map((x, i) => {
    const m = masks[i];
    return m ? ops.broadcastTo(ops.reshape(m, [...m.shape, ...new Array<number>(x.rank - m.rank).fill(1)]), x.shape) : null;
  });
  const product = list.map((x, i) => (full[i] ? ops.where(full[i], x, 1) : x)).reduce((a, b) => ops.multiply(a, b));
  const given = full.filter((m): m is SymbolicTensor => m !== null);
  return given.length === list.length
    ? ops.where(
        given.reduce((a, b) => ops.logicalOr(a, b)),
        product,
        0,
      )
    : product;
}

export interface ConcatenateConfig extends LayerOptions {
  /** Default -1. */
  axis?: number;
}

/** Joins the inputs along an axis; the other sizes must agree. */
export class ConcatenateClass extends Layer {
  static override readonly className = 'Concatenate';
  readonly axis: number;
  constructor(options?: ConcatenateConfig) {
    const o = resolveOptions<ConcatenateConfig>('Concatenate', [options], [], { ...layerDefaults, axis: -1 });
    super(o);
    this.axis = o.axis ?? -1;
    this.supportsMasking = true;
  }
  override call(inputs: Tensors): Tensors {
    const list = several(inputs, this, 1);
    const axis = ops.axisOf(list[0]!, this.axis);
    for (const x of list) {
      if (x.rank !== list[0]!.rank || x.shape.some((d, i) => i !== axis && !equalDim(d, list[0]!.shape[i]!)))
        throw new ShapeError(`${this.name}: the inputs must agree on all axes but axis ${this.axis}, got ${shapesText(list)}`);
    }
    return ops.concatenate(list, axis);
  }
  override computeMask(inputs: Tensors, mask: CallArguments['mask']): CallArguments['mask'] {
    if (!mask || !Array.isArray(mask)) return null;
    const list = listOf(inputs);
    const masks = list.map((x, i) => {
      const m = (mask as readonly Mask[])[i];
      if (!m) return ops.full(x, x.shape, 1, 'bool');
      return ops.broadcastTo(ops.reshape(m, [...m.shape, ...new Array<number>(x.rank - m.rank).fill(1)]), x.shape);
    });
    return ops.all(ops.concatenate(masks, ops.axisOf(list[0]!, this.axis)), [-1]);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), axis: this.axis };
  }
}

export interface DotConfig extends LayerOptions {
  /** The axis to contract, or one for each input; the batch axis is 0. */
  axes: number | readonly [number, number];
  /** Divides both inputs by their norms along the axes first: cosine similarity. Default false. */
  normalize?: boolean;
}

/** Contracts one axis of each of two inputs, sample by sample: (b, i, k) and (b, j, k) with axes 2 give (b, i, j); vectors give (b, 1). */
export class DotClass extends Layer {
  static override readonly className = 'Dot';
  readonly axes: number | readonly [number, number];
  readonly normalize: boolean;
  constructor(axes: number | readonly [number, number] | DotConfig, options?: Omit<DotConfig, 'axes'>) {
    const o = resolveOptions<DotConfig>('Dot', [axes, options], ['axes'], { ...layerDefaults, normalize: false });
    super(o);
    const list = typeof o.axes === 'number' ? [o.axes, o.axes] : o.axes;
    if (!Array.isArray(list) || list.length !== 2 || !list.every(Number.isInteger))
      throw new ValueError(`Dot: 'axes' must be an integer or a list of two, got ${JSON.stringify(o.axes)}`);
    this.axes = o.axes;
    this.normalize = o.normalize ?? false;
    this.supportsMasking = true;
  }
  override call(inputs: Tensors): Tensors {
    const list = listOf(inputs);
    if (list.length !== 2) throw new ValueError(`${this.name}: Dot takes exactly two inputs, got ${list.length}`);
    const given = typeof this.axes === 'number' ? [this.axes, this.axes] : this.axes;
    const at = list.map((x, i) => ops.axisOf(x, given[i]!));
    const [a, b] = list.map((x, i) => (this.normalize ? ops.l2Normalize(x, [at[i]!]) : x)) as [SymbolicTensor, SymbolicTensor];
    if (at.includes(0)) throw new ShapeError(`${this.name}: axis 0 is the batch axis and cannot be contracted`);
    if (!equalDim(a.shape[at[0]!]!, b.shape[at[1]!]!)) throw new ShapeError(`${this.name}: axes [${at}] of inputs ${shapesText(list)} have different sizes`);
    const y = ops.dot(a, b, { batchLeft: [0], batchRight: [0], contractLeft: [at[0]!], contractRight: [at[1]!] });
    return y.rank === 1 ? ops.expandDims(y, 1) : y;
  }
  override computeMask(): null {
    return null;
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), axes: this.axes as Json, normalize: this.normalize };
  }
}

export const Add: Callable<MergeConstructor> = callable(AddClass);
export const Subtract: Callable<MergeConstructor> = callable(SubtractClass);
export const Multiply: Callable<MergeConstructor> = callable(MultiplyClass);
export const Average: Callable<MergeConstructor> = callable(AverageClass);
export const Maximum: Callable<MergeConstructor> = callable(MaximumClass);
export const Minimum: Callable<MergeConstructor> = callable(MinimumClass);
export const Concatenate = callable(ConcatenateClass);
export const Dot = callable(DotClass);

type Inputs = Parameters<Layer['apply']>[0];
type Outputs = ReturnType<Layer['apply']>;
const functional =
  (cls: MergeConstructor) =>
  (inputs: Inputs, options?: LayerOptions): Outputs =>
    new cls(options).apply(inputs);

/** `add([a, b])` and the like: the functional forms of the layers. */
export const add = functional(AddClass);
export const subtract = functional(SubtractClass);
export const multiply = functional(MultiplyClass);
export const average = functional(AverageClass);
export const maximum = functional(MaximumClass);
export const minimum = functional(MinimumClass);
export const concatenate = (inputs: Inputs, options?: ConcatenateConfig): Outputs => new ConcatenateClass(options).apply(inputs);
export const dot = (inputs: Inputs, axes: DotConfig['axes'], options?: Omit<DotConfig, 'axes'>): Outputs => new DotClass(axes, options).apply(inputs);
