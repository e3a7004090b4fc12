/** Random numbers in calls, of `keras.random`: others at each step, the same for the same seed. */
import { type DType, isFloat } from '../../../ir/dtype.js';
import { ValueError } from '../../../ir/errors.js';
import * as irMath from '../../../ir/math.js';
import { runningTrace } from '../backend/context.js';
import * as base from '../backend/ops.js';
import type { SymbolicTensor, Trace } from '../backend/trace.js';
import { type Result, run, type S, type Shape, type TensorLike } from './lift.js';

export interface RandomOptions {
  /** Default: the model's seed. */
  readonly seed?: number | null;
}

function inCall(name: string): Trace {
  const t = runningTrace();
  if (!t)
    throw new ValueError(
      `ops.random.${name}: random tensors are made in a call of a layer or model; on the host use initializers, such as initializers.RandomNormal`,
    );
  return t;
}

/** Uniform in [minval, maxval). */
export function uniform(shape: Shape, options: RandomOptions & { readonly minval?: number; readonly maxval?: number } = {}): SymbolicTensor {
  const t = inCall('uniform');
  const [low, high] = [options.minval ?? 0, options.maxval ?? 1];
  return base.add(base.multiply(t.tensor(irMath.uniform(t.b, t.randomKey(options.seed ?? null), shape)), high - low), low);
}
/** Normal with this mean and standard deviation. */
export function normal(shape: Shape, options: RandomOptions & { readonly mean?: number; readonly stddev?: number } = {}): SymbolicTensor {
  const t = inCall('normal');
  return base.add(base.multiply(t.tensor(irMath.normal(t.b, t.randomKey(options.seed ?? null), shape)), options.stddev ?? 1), options.mean ?? 0);
}
/** Whole numbers in [minval, maxval). */
export function randint(shape: Shape, minval: number, maxval: number, options: RandomOptions = {}): SymbolicTensor {
  return base.cast(base.floor(uniform(shape, { ...options, minval, maxval })), 'int32');
}
/** 1 with probability p, else 0. */
export function binomial(shape: Shape, p: number, options: RandomOptions = {}): SymbolicTensor {
  return base.cast(base.less(uniform(shape, options), p), 'float32');
}
/** Classes drawn with probabilities softmax(logits): (batch, classes) to (batch, numSamples), int32. */
export const categorical = <X extends TensorLike>(logits: X, numSamples: number, options: RandomOptions = {}): Result<X> =>
  run('random.categorical', [logits], ([x]) => {
    const u = uniform([x!.shape[0]!, numSamples, x!.shape[1]!], options);
    // the largest of logits with Gumbel noise is so distributed
    const noise = base.negative(base.log(base.negative(base.log(base.clip(u, 1e-20, 1)))));
    return base.argmax(base.add(base.expandDims(x!, 1), noise), -1);
  }) as Result<X>;
/** Each element is 0 with this probability, others are scaled up. */
export const dropout = <X extends TensorLike>(x: X, rate: number, options: RandomOptions = {}): Result<X> =>
  run('random.dropout', [x], ([s]) => dropped(s!, rate, options.seed ?? null)) as Result<X>;

function dropped(x: S, rate: number, seed: number | null): S {
  return base.where(base.keepMask(x, x.shape, rate, seed), base.divide(x, 1 - rate), base.zeros(x, x.shape, floatType(x.dtype)));
}
const floatType = (d: DType): DType => (isFloat(d) ? d : 'float32');
