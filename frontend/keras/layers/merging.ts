/** Add and Concatenate. */
import { equalDim } from '../../../ir/dim.js';
import { ShapeError, ValueError } from '../../../ir/errors.js';
import * as ops from '../backend/ops.js';
import { kerasShape, kerasShapeText, listOf, type SymbolicTensor, type Tensors } from '../backend/trace.js';
import { callable } from '../utils/callable.js';
import { resolveOptions } from '../utils/options.js';
import type { JsonObject } from '../utils/serialization.js';
import { type CallArguments, Layer, type LayerOptions, layerDefaults } from './layer.js';

/** The inputs of a merging layer: at least `least`. */
function several(inputs: Tensors, layer: Layer, least: number): readonly SymbolicTensor[] {
  const list = listOf(inputs);
  if (list.length < least) throw new ValueError(`${layer.name}: ${layer.className} takes a list of at least ${least} inputs, got ${list.length}`);
  return list;
}

/** Sum of the inputs, with NumPy broadcasting. Inputs of lower rank get axes after the batch axis. */
export class AddClass extends Layer {
  static override readonly className = 'Add';
  constructor(options?: LayerOptions) {
    super(resolveOptions<LayerOptions>('Add', [options], [], layerDefaults));
    this.supportsMasking = true;
  }
  override call(inputs: Tensors): Tensors {
    const list = several(inputs, this, 1);
    const rank = Math.max(...list.map((x) => x.rank));
    return list.map((x) => ops.reshape(x, [x.shape[0]!, ...new Array<number>(rank - x.rank).fill(1), ...x.shape.slice(1)])).reduce((a, b) => ops.add(a, b));
  }
  override computeMask(_inputs: Tensors, mask: CallArguments['mask']): CallArguments['mask'] {
    if (!mask || !Array.isArray(mask)) return null;
    const given = (mask as readonly (SymbolicTensor | null)[]).filter((m): m is SymbolicTensor => m !== null);
    return given.length === mask.length ? given.reduce((a, b) => ops.logicalAnd(a, b)) : null;
  }
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
      if (x.rank !== list[0]!.rank || x.shape.some((d, i) => i !== axis && !equalDim(d, list[0]!.shape[i]!))) {
        throw new ShapeError(
          `${this.name}: the inputs must agree on all axes but axis ${this.axis}, got ${list.map((y) => kerasShapeText(kerasShape(y.shape))).join(', ')}`,
        );
      }
    }
    return ops.concatenate(list, axis);
  }
  override computeMask(inputs: Tensors, mask: CallArguments['mask']): CallArguments['mask'] {
    if (!mask || !Array.isArray(mask)) return null;
    const list = listOf(inputs);
    const masks = list.map((x, i) => {
      const m = (mask as readonly (SymbolicTensor | null)[])[i];
      const full = x.shape.map((d) => d);
      if (!m) return ops.full(x, full, 1, 'bool');
      return ops.broadcastTo(ops.reshape(m, [...m.shape, ...new Array<number>(x.rank - m.rank).fill(1)]), full);
    });
    return ops.all(ops.concatenate(masks, ops.axisOf(list[0]!, this.axis)), [-1]);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), axis: this.axis };
  }
}

export const Add = callable(AddClass);
export const Concatenate = callable(ConcatenateClass);
/** `add([a, b])`: the functional form of Add. */
export const add = (inputs: Parameters<AddClass['apply']>[0], options?: LayerOptions): ReturnType<AddClass['apply']> => new AddClass(options).apply(inputs);
/** `concatenate([a, b])`: the functional form of Concatenate. */
export const concatenate = (inputs: Parameters<AddClass['apply']>[0], options?: ConcatenateConfig): ReturnType<AddClass['apply']> =>
  new ConcatenateClass(options).apply(inputs);
