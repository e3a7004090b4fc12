/** Loss functions: one value per sample (the mean or sum over the last axis), as in `tf.keras.losses`. Keras 2 and 3 differ where noted. */
import { equalDim, equalShape, isStatic } from '../../../ir/dim.js';
import { ShapeError } from '../../../ir/errors.js';
import { epsilon } from '../backend/fuzz.js';
import * as nn from '../backend/nn.js';
import * as ops from '../backend/ops.js';
import { kerasShape, kerasShapeText, type SymbolicTensor } from '../backend/trace.js';
import type { Semantics } from '../utils/serialization.js';

const lastAxis = (x: SymbolicTensor): number[] => [x.rank - 1];
const asFloat = (x: SymbolicTensor): SymbolicTensor => ops.cast(x, 'float32');

function refuse(what: string, target: SymbolicTensor, prediction: SymbolicTensor, hint = ''): never {
  const [t, p] = [target, prediction].map((x) => kerasShapeText(kerasShape(x.shape)));
  throw new ShapeError(`${what}: the target has shape ${t}, the output of the model ${p}${hint}`);
}

/** Targets may have other sizes where one of the two is 1, as in NumPy. */
function requireBroadcastable(what: string, target: SymbolicTensor, prediction: SymbolicTensor): void {
  const [t, p] = [[...target.shape].reverse(), [...prediction.shape].reverse()];
  if (t.some((d, i) => i < p.length && d !== 1 && p[i] !== 1 && !equalDim(d, p[i]!))) refuse(what, target, prediction);
}

export const meanSquaredError = (target: SymbolicTensor, prediction: SymbolicTensor): SymbolicTensor => {
  requireBroadcastable('mean_squared_error', target, prediction);
  const d = ops.subtract(prediction, asFloat(target));
  return ops.mean(ops.square(d), lastAxis(d));
};

export const meanAbsoluteError = (target: SymbolicTensor, prediction: SymbolicTensor): SymbolicTensor => {
  requireBroadcastable('mean_absolute_error', target, prediction);
  const d = ops.abs(ops.subtract(prediction, asFloat(target)));
  return ops.mean(d, lastAxis(d));
};

export interface CrossentropyOptions {
  readonly fromLogits?: boolean;
  readonly labelSmoothing?: number;
  readonly axis?: number;
  readonly semantics?: Semantics;
}

/** The logits behind a prediction that went through sigmoid or softmax, whichever loss asks: Keras goes back to them in all three crossentropies, and ignores fromLogits then. */
const logitsOf = (prediction: SymbolicTensor, fromLogits: boolean | undefined): SymbolicTensor | null =>
  prediction.trace.logits.get(prediction.value) ?? (fromLogits ? prediction : null);

function requireEqualShapes(what: string, target: SymbolicTensor, prediction: SymbolicTensor): void {
  if (!equalShape(target.shape, prediction.shape)) {
    refuse(what, target, prediction, what === 'categorical_crossentropy' ? '; for integer class labels use sparse_categorical_crossentropy' : '');
  }
}

export function binaryCrossentropy(target: SymbolicTensor, prediction: SymbolicTensor, options: CrossentropyOptions = {}): SymbolicTensor {
  let y = asFloat(target);
  requireEqualShapes('binary_crossentropy', y, prediction);
  const axis = [ops.axisOf(prediction, options.axis ?? -1)];
  const smoothing = options.labelSmoothing ?? 0;
  if (smoothing > 0) y = ops.add(ops.multiply(y, 1 - smoothing), 0.5 * smoothing);
  const logits = logitsOf(prediction, options.fromLogits);
  if (logits) {
    return ops.mean(nn.sigmoidCrossEntropy(logits, y), axis);
  }
  const p = ops.clip(prediction, epsilon(), 1 - epsilon());
  // Keras 2 adds epsilon once more inside the logarithm
  const log = (x: SymbolicTensor) => ops.log(options.semantics === 'keras2' ? ops.add(x, epsilon()) : x);
  const z = ops.negative(ops.add(ops.multiply(y, log(p)), ops.multiply(ops.subtract(1, y), log(ops.subtract(1, p)))));
  return ops.mean(z, axis);
}

export function categoricalCrossentropy(target: SymbolicTensor, prediction: SymbolicTensor, options: CrossentropyOptions = {}): SymbolicTensor {
  let y = asFloat(target);
  requireEqualShapes('categorical_crossentropy', y, prediction);
  const axis = ops.axisOf(prediction, options.axis ?? -1);
  const smoothing = options.labelSmoothing ?? 0;
  if (smoothing > 0) {
    const classes = prediction.shape[axis]!;
    y = ops.add(ops.multiply(y, 1 - smoothing), isStatic(classes) ? smoothing / classes : ops.divide(smoothing, ops.size(y, classes)));
  }
  const logits = logitsOf(prediction, options.fromLogits);
  if (logits) return nn.softmaxCrossEntropy(logits, y, axis);
  const p = ops.clip(ops.divide(prediction, ops.sum(prediction, [axis], true)), epsilon(), 1 - epsilon());
  return ops.negative(ops.sum(ops.multiply(y, ops.log(p)), [axis]));
}

export interface SparseOptions {
  readonly fromLogits?: boolean;
  readonly axis?: number;
  /** Samples of this class count nothing. */
  readonly ignoreClass?: number | null;
}

export function sparseCategoricalCrossentropy(target: SymbolicTensor, prediction: SymbolicTensor, options: SparseOptions = {}): SymbolicTensor {
  const axis = ops.axisOf(prediction, options.axis ?? -1);
  let classes = ops.cast(target, 'int32');
  if (classes.rank === prediction.rank && classes.shape.at(-1) === 1) classes = ops.squeeze(classes, -1);
  if (classes.rank !== prediction.rank - 1) {
    refuse(
      'sparse_categorical_crossentropy',
      target,
      prediction,
      ': expected one class number for each sample; for one-hot targets use categorical_crossentropy',
    );
  }
  const logits = logitsOf(prediction, options.fromLogits);
  // Keras takes the logarithm of clipped probabilities as logits, which normalizes them
  const scores = logits ?? ops.log(ops.clip(prediction, epsilon(), 1 - epsilon()));
  const ignore = options.ignoreClass ?? null;
  if (ignore === null) return nn.sparseSoftmaxCrossEntropy(scores, classes, axis);
  const counts = ops.notEqual(classes, ignore);
  const loss = ops.where(counts, nn.sparseSoftmaxCrossEntropy(scores, ops.where(counts, classes, 0), axis), 0);
  loss.mask = counts;
  return loss;
}
