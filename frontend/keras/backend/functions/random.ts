/** Random numbers in calls, of `tf.keras.backend`: others at each step, the same for the same seed on every target. */
import type { Dim } from '../../../../ir/dim.js';
import * as ops from '../../ops/index.js';
import { type Result, run, type TensorLike } from '../../ops/lift.js';
import * as base from '../ops.js';
import type { SymbolicTensor } from '../trace.js';

type Sizes = readonly Dim[];
export const randomNormal = (shape: Sizes, mean = 0, stddev = 1, seed: number | null = null): SymbolicTensor =>
  ops.random.normal(shape, { mean, stddev, seed });
export const randomUniform = (shape: Sizes, minval = 0, maxval = 1, seed: number | null = null): SymbolicTensor =>
  ops.random.uniform(shape, { minval, maxval, seed });
/** 1 with probability p, else 0. */
export const randomBernoulli = (shape: Sizes, p = 0, seed: number | null = null): SymbolicTensor => ops.random.binomial(shape, p, { seed });
/** The same, by its old name. */
export const randomBinomial = randomBernoulli;
/** Normal numbers without those farther than two standard deviations from the mean. */
export const truncatedNormal = (shape: Sizes, mean = 0, stddev = 1, seed: number | null = null): SymbolicTensor =>
  ops.random.truncatedNormal(shape, { mean, stddev, seed });
/** Each element is 0 with probability `level`, others are scaled up. `noiseShape` (sizes of 1 broadcast) says what is dropped together. */
export const dropout = <X extends TensorLike>(x: X, level: number, noiseShape: Sizes | null = null, seed: number | null = null): Result<X> =>
  noiseShape === null
    ? ops.random.dropout(x, level, { seed })
    : (run('dropout', [x], ([s]) => {
        const keep = base.broadcastTo(base.keepMask(s!, noiseShape, level, seed), s!.shape);
        return base.where(keep, base.divide(s!, 1 - level), base.zeros(s!, s!.shape));
      }) as Result<X>);
