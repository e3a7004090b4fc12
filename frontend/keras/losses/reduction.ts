/** From the values of a loss to the number that is minimized: sample weights, masks and the mean. */
import { equalDim } from '../../../ir/dim.js';
import { ShapeError } from '../../../ir/errors.js';
import * as ops from '../backend/ops.js';
import { kerasShape, kerasShapeText, type SymbolicTensor } from '../backend/trace.js';
import type { Semantics } from '../utils/serialization.js';

export type Reduction = 'sum_over_batch_size' | 'sum' | 'none' | 'mean' | 'mean_with_sample_weight' | 'auto';

/** Makes two ranks that differ by one equal: a last axis of size 1 is dropped or added. Keras 3 adds it to vectors, Keras 2 drops it from the other. */
export function squeezeOrExpand(a: SymbolicTensor, b: SymbolicTensor, semantics: Semantics): [SymbolicTensor, SymbolicTensor] {
  const narrower = (wide: SymbolicTensor, narrow: SymbolicTensor): [SymbolicTensor, SymbolicTensor] => {
    if (wide.shape.at(-1) !== 1) return [wide, narrow];
    if (semantics === 'keras3' && narrow.rank === 1) return [wide, ops.expandDims(narrow, -1)];
    return [ops.squeeze(wide, -1), narrow];
  };
  if (a.rank === b.rank + 1) return narrower(a, b);
  if (b.rank === a.rank + 1) {
    const [wide, narrow] = narrower(b, a);
    return [narrow, wide];
  }
  return [a, b];
}

/** Values times weights, and the weights. Weights of lower rank get axes at the end, a superfluous last axis of size 1 is dropped. */
export function weighted(
  values: SymbolicTensor,
  weights: SymbolicTensor,
  semantics: Semantics,
): { readonly values: SymbolicTensor; readonly weights: SymbolicTensor } {
  let w = ops.cast(weights, 'float32');
  let v = values;
  if (semantics === 'keras3') [v, w] = squeezeOrExpand(v, w, 'keras3');
  if (w.rank > 0) {
    if (w.rank === v.rank + 1 && w.shape.at(-1) === 1) w = ops.squeeze(w, -1);
    if (w.rank === v.rank - 1) w = ops.expandDims(w, -1);
  }
  const fits = w.rank === 0 || (w.rank === v.rank && w.shape.every((d, i) => d === 1 || equalDim(d, v.shape[i]!)));
  if (!fits) {
    const [a, b] = [values, weights].map((x) => kerasShapeText(kerasShape(x.shape)));
    throw new ShapeError(`the sample weights have shape ${b}, the values of the loss ${a}: expected one weight for each sample or for each value`);
  }
  return { values: ops.multiply(v, w), weights: w };
}

/** One number, or the values themselves with `none`. The mean divides by the number of values; only `mean_with_sample_weight` divides by the sum of the weights. */
export function reduced(values: SymbolicTensor, reduction: Reduction, weights: SymbolicTensor | null): SymbolicTensor {
  if (values.rank === 0) return values;
  switch (reduction) {
    case 'none':
      return values;
    case 'sum':
      return ops.sum(values);
    case 'mean_with_sample_weight':
      return weights ? ops.divideNoNan(ops.sum(values), ops.sum(weights)) : ops.mean(values);
    default:
      return ops.mean(values);
  }
}

/** Weights that give masked values 0 and keep the mean a mean over the others: total / valid where the mask holds. */
export function maskWeights(mask: SymbolicTensor, reduction: Reduction): SymbolicTensor {
  const m = ops.cast(mask, 'float32');
  if (reduction === 'sum' || reduction === 'none') return m;
  const factor = ops.divide(ops.count(m), ops.maximum(ops.sum(m), 1e-7));
  return ops.multiply(m, factor);
}
