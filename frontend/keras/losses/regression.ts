/** Losses of numbers and distributions beside squared and absolute errors: one value for each sample, as in `tf.keras.losses`. */
import { epsilon } from '../backend/fuzz.js';
import * as ops from '../backend/ops.js';
import type { SymbolicTensor } from '../backend/trace.js';
import type { Semantics } from '../utils/serialization.js';

type S = SymbolicTensor;
const asFloat = (x: S): S => ops.cast(x, 'float32');
const mean = (x: S): S => ops.mean(x, [x.rank - 1]);
const sum = (x: S): S => ops.sum(x, [x.rank - 1]);
const between = (x: S, low: number, high: number): S => ops.minimum(ops.maximum(x, low), high);

/** 100 |t - p| / max(|t|, epsilon). */
export function meanAbsolutePercentageError(target: S, prediction: S): S {
  const t = asFloat(target);
  return ops.multiply(mean(ops.abs(ops.divide(ops.subtract(t, prediction), ops.maximum(ops.abs(t), epsilon())))), 100);
}

/** (log(t + 1) - log(p + 1))², both at least epsilon. */
export function meanSquaredLogarithmicError(target: S, prediction: S): S {
  const log = (x: S) => ops.log(ops.add(ops.maximum(x, epsilon()), 1));
  return mean(ops.square(ops.subtract(log(prediction), log(asFloat(target)))));
}

/** Half the square of errors up to delta, delta (|e| - delta / 2) beyond. */
export function huber(target: S, prediction: S, options: { readonly delta?: number } = {}): S {
  const delta = options.delta ?? 1;
  const error = ops.subtract(prediction, asFloat(target));
  const size = ops.abs(error);
  const far = ops.subtract(ops.multiply(size, delta), 0.5 * delta * delta);
  return mean(ops.where(ops.lessEqual(size, delta), ops.multiply(ops.square(error), 0.5), far));
}

/** log(cosh(p - t)), as e + softplus(-2 e) - log 2. */
export function logCosh(target: S, prediction: S): S {
  const error = ops.subtract(prediction, asFloat(target));
  const x = ops.multiply(error, -2);
  const softplus = ops.add(ops.maximum(x, 0), ops.log1p(ops.exp(ops.negative(ops.abs(x)))));
  return mean(ops.subtract(ops.add(error, softplus), Math.LN2));
}

/** p - t log(p). */
export function poisson(target: S, prediction: S): S {
  return mean(ops.subtract(prediction, ops.multiply(asFloat(target), ops.log(ops.add(prediction, epsilon())))));
}

/** The sum of t log(t / p). */
export function klDivergence(target: S, prediction: S): S {
  const [t, p] = [between(asFloat(target), epsilon(), 1), between(prediction, epsilon(), 1)];
  return sum(ops.multiply(t, ops.log(ops.divide(t, p))));
}

/** Minus the cosine of the angle between both, along an axis (default -1). */
export function cosineSimilarity(target: S, prediction: S, options: { readonly axis?: number; readonly semantics?: Semantics } = {}): S {
  const axis = [ops.axisOf(prediction, options.axis ?? -1)];
  // the least norm is 1e-6 in Keras 2 and 1e-7 in Keras 3: seen where a vector is zero
  const unit = (x: S) => ops.l2Normalize(x, axis, options.semantics === 'keras3' ? 1e-14 : 1e-12);
  return ops.negative(ops.sum(ops.multiply(unit(asFloat(target)), unit(prediction)), axis));
}
