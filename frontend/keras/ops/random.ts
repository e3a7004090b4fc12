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
/** Coefficients of Giles' polynomial for the inverse of erf (2012, "Approximating the erfinv function"), which holds for -log(1 - x²) < 5: up to x = 0.9966. */
const inverse = [2.81022636e-8, 3.43273939e-7, -3.5233877e-6, -4.39150654e-6, 0.00021858087, -0.00125372503, -0.00417768164, 0.246640727, 1.50140941];
/** erf(√2), the share of normal numbers within two standard deviations. */
const within2 = 0.9544997361036416;
/** Normal numbers of which none is farther than two standard deviations from the mean: the inverse of their distribution at uniform numbers. */
export function truncatedNormal(shape: Shape, options: RandomOptions & { readonly mean?: number; readonly stddev?: number } = {}): SymbolicTensor {
  const t = inCall('truncatedNormal');
  // the middle of each of the 2^24 steps, so that 0 and 1 are not met
  const u = base.add(t.tensor(irMath.uniform(t.b, t.randomKey(options.seed ?? null), shape)), 2 ** -25);
  const x = base.multiply(base.subtract(base.multiply(u, 2), 1), within2);
  const w = base.subtract(base.negative(base.log1p(base.negative(base.square(x)))), 2.5);
  const [first, ...rest] = inverse as [number, ...number[]];
  const p = rest.reduce<SymbolicTensor>((y, c) => base.add(base.multiply(y, w), c), base.full(x, x.shape, first));
  return base.add(base.multiply(base.multiply(x, p), Math.SQRT2 * (options.stddev ?? 1)), options.mean ?? 0);
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
