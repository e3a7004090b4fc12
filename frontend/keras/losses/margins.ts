/** Losses of classes by margins, focus and overlap: hinges, focal crossentropies, Dice and Tversky, as in `tf.keras.losses` and `keras.losses`. */
import { epsilon } from '../backend/fuzz.js';
import * as nn from '../backend/nn.js';
import * as ops from '../backend/ops.js';
import type { SymbolicTensor } from '../backend/trace.js';
import type { Semantics } from '../utils/serialization.js';

type S = SymbolicTensor;
const asFloat = (x: S): S => ops.cast(x, 'float32');
const mean = (x: S): S => ops.mean(x, [x.rank - 1]);

/** Targets of 0 and 1 alone become -1 and 1. */
function signed(target: S): S {
  const t = asFloat(target);
  const binary = ops.all(ops.logicalOr(ops.equal(t, 0), ops.equal(t, 1)));
  return ops.where(ops.broadcastTo(binary, t.shape), ops.subtract(ops.multiply(t, 2), 1), t);
}
const margin = (target: S, prediction: S): S => ops.maximum(ops.subtract(1, ops.multiply(signed(target), prediction)), 0);

/** max(1 - t p, 0) for targets -1 and 1 (or 0 and 1). */
export const hinge = (target: S, prediction: S): S => mean(margin(target, prediction));
/** Its square. */
export const squaredHinge = (target: S, prediction: S): S => mean(ops.square(margin(target, prediction)));

/** max(1 + largest prediction of a wrong class - that of the right one, 0); targets are one-hot. */
export function categoricalHinge(target: S, prediction: S): S {
  const t = asFloat(target);
  const last = [prediction.rank - 1];
  const right = ops.sum(ops.multiply(t, prediction), last);
  const wrong = ops.max(ops.multiply(ops.subtract(1, t), prediction), last);
  return ops.maximum(ops.add(ops.subtract(wrong, right), 1), 0);
}

export interface FocalOptions {
  /** Power of the factor that takes weight from what is right already; default 2. */
  readonly gamma?: number;
  /** Weight of class 1 (binary), or of all (categorical); default 0.25. */
  readonly alpha?: number;
  readonly fromLogits?: boolean;
  readonly labelSmoothing?: number;
  readonly axis?: number;
  readonly semantics?: Semantics;
}

/** (1 - p_t)^gamma times the binary crossentropy, p_t being the probability of what is true (Lin et al. 2017). */
export function binaryFocalCrossentropy(target: S, prediction: S, options: FocalOptions & { readonly applyClassBalancing?: boolean } = {}): S {
  const smoothing = options.labelSmoothing ?? 0;
  const y = smoothing > 0 ? ops.add(ops.multiply(asFloat(target), 1 - smoothing), 0.5 * smoothing) : asFloat(target);
  const either = (one: S | number, zero: S | number) => ops.add(ops.multiply(y, one), ops.multiply(ops.subtract(1, y), zero));
  const p = options.fromLogits ? ops.sigmoid(prediction) : prediction;
  const factor = ops.power(ops.subtract(1, either(p, ops.subtract(1, p))), options.gamma ?? 2);
  const clipped = ops.clip(p, epsilon(), 1 - epsilon());
  const log = (x: S) => ops.log(options.semantics === 'keras2' ? ops.add(x, epsilon()) : x);
  const crossentropy = options.fromLogits
    ? nn.sigmoidCrossEntropy(prediction, y)
    : ops.negative(ops.add(ops.multiply(y, log(clipped)), ops.multiply(ops.subtract(1, y), log(ops.subtract(1, clipped)))));
  const focal = ops.multiply(factor, crossentropy);
  const alpha = options.alpha ?? 0.25;
  const values = options.applyClassBalancing ? ops.multiply(either(alpha, 1 - alpha), focal) : focal;
  return ops.mean(values, [ops.axisOf(values, options.axis ?? -1)]);
}

/** The same for one-hot targets: alpha (1 - p)^gamma times the crossentropy of each class. */
export function categoricalFocalCrossentropy(target: S, prediction: S, options: FocalOptions = {}): S {
  const axis = ops.axisOf(prediction, options.axis ?? -1);
  const smoothing = options.labelSmoothing ?? 0;
  const t = asFloat(target);
  const y = smoothing > 0 ? ops.add(ops.multiply(t, 1 - smoothing), ops.divide(smoothing, ops.size(t, prediction.shape[axis]!))) : t;
  const given = options.fromLogits ? nn.softmax(prediction, axis) : prediction;
  const p = ops.clip(ops.divide(given, ops.sum(given, [axis], true)), epsilon(), 1 - epsilon());
  const crossentropy = ops.negative(ops.multiply(y, ops.log(p)));
  const weight = ops.multiply(ops.power(ops.subtract(1, p), options.gamma ?? 2), options.alpha ?? 0.25);
  return ops.sum(ops.multiply(weight, crossentropy), [axis]);
}

/** 1 - 2 |t p| / (|t| + |p|) over the axes (default: all). */
export function dice(target: S, prediction: S, options: { readonly axis?: readonly number[] | number | null } = {}): S {
  const t = asFloat(target);
  const axes = axesOf(options.axis);
  const both = ops.sum(ops.multiply(t, prediction), axes);
  const sizes = ops.add(ops.sum(t, axes), ops.sum(prediction, axes));
  return ops.subtract(1, ops.divide(ops.add(ops.multiply(both, 2), epsilon()), ops.add(sizes, epsilon())));
}
const axesOf = (axis: readonly number[] | number | null | undefined): readonly number[] | undefined =>
  axis === null || axis === undefined ? undefined : typeof axis === 'number' ? [axis] : axis;

/** 1 - |t p| / (|t p| + alpha |t (1 - p)| + beta |(1 - t) p|): as Keras computes it, alpha weighs what is missed. */
export function tversky(
  target: S,
  prediction: S,
  options: { readonly alpha?: number; readonly beta?: number; readonly axis?: readonly number[] | number | null } = {},
): S {
  const t = asFloat(target);
  const axes = axesOf(options.axis);
  const both = ops.sum(ops.multiply(t, prediction), axes);
  const falsePositive = ops.multiply(ops.sum(ops.multiply(ops.subtract(1, t), prediction), axes), options.beta ?? 0.5);
  const falseNegative = ops.multiply(ops.sum(ops.multiply(t, ops.subtract(1, prediction)), axes), options.alpha ?? 0.5);
  const all = ops.add(ops.add(both, falsePositive), falseNegative);
  return ops.subtract(1, ops.divide(ops.add(both, epsilon()), ops.add(all, epsilon())));
}
