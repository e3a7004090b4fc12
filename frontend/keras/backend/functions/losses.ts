/** Crossentropies of `tf.keras.backend`, one for each element or row, by the formulas of Keras 2. */
import * as losses from '../../losses/functions.js';
import { categoricalFocalCrossentropy as focalOfClasses } from '../../losses/margins.js';
import { type Result, run, type TensorLike } from '../../ops/lift.js';
import { epsilon } from '../fuzz.js';
import * as nn from '../nn.js';
import * as base from '../ops.js';
import type { SymbolicTensor } from '../trace.js';

function binary(y: SymbolicTensor, o: SymbolicTensor, fromLogits: boolean): SymbolicTensor {
  const logits = o.trace.logits.get(o.value) ?? (fromLogits ? o : null);
  if (logits) return nn.sigmoidCrossEntropy(logits, y);
  const p = base.clip(o, epsilon(), 1 - epsilon());
  const log = (x: SymbolicTensor) => base.log(base.add(x, epsilon()));
  return base.negative(base.add(base.multiply(y, log(p)), base.multiply(base.subtract(1, y), log(base.subtract(1, p)))));
}

/** For each element. */
export const binaryCrossentropy = <T extends TensorLike, O extends TensorLike>(target: T, output: O, fromLogits = false): Result<T | O> =>
  run('binaryCrossentropy', [output, target], ([o, t]) => binary(base.cast(t!, 'float32'), o!, fromLogits)) as Result<T | O>;

/** The same times (1 - p)^gamma, p being the probability of the true class; `applyClassBalancing`: times alpha for ones, 1 - alpha for zeros. */
export const binaryFocalCrossentropy = <T extends TensorLike, O extends TensorLike>(
  target: T,
  output: O,
  applyClassBalancing = false,
  alpha = 0.25,
  gamma = 2,
  fromLogits = false,
): Result<T | O> =>
  run('binaryFocalCrossentropy', [output, target], ([o, t]) => {
    const y = base.cast(t!, 'float32');
    const either = (one: SymbolicTensor | number, zero: SymbolicTensor | number) => base.add(base.multiply(y, one), base.multiply(base.subtract(1, y), zero));
    const p = fromLogits ? base.sigmoid(o!) : o!;
    const factor = base.power(base.subtract(1, either(p, base.subtract(1, p))), gamma);
    const focal = base.multiply(factor, binary(y, o!, fromLogits));
    return applyClassBalancing ? base.multiply(either(alpha, 1 - alpha), focal) : focal;
  }) as Result<T | O>;

/** For each row; targets are probabilities along the axis. */
export const categoricalCrossentropy = <T extends TensorLike, O extends TensorLike>(target: T, output: O, fromLogits = false, axis = -1): Result<T | O> =>
  run('categoricalCrossentropy', [output, target], ([o, t]) =>
    losses.categoricalCrossentropy(base.cast(t!, 'float32'), o!, { fromLogits, axis, semantics: 'keras2' }),
  ) as Result<T | O>;

/** For each row: alpha (1 - p)^gamma times the crossentropy of each class. */
export const categoricalFocalCrossentropy = <T extends TensorLike, O extends TensorLike>(
  target: T,
  output: O,
  alpha = 0.25,
  gamma = 2,
  fromLogits = false,
  axis = -1,
): Result<T | O> =>
  run('categoricalFocalCrossentropy', [output, target], ([o, t]) =>
    focalOfClasses(base.cast(t!, 'float32'), o!, { alpha, gamma, fromLogits, axis, semantics: 'keras2' }),
  ) as Result<T | O>;

/** For each row; targets are class numbers, and rows of `ignoreClass` give 0. */
export const sparseCategoricalCrossentropy = <T extends TensorLike, O extends TensorLike>(
  target: T,
  output: O,
  fromLogits = false,
  axis = -1,
  ignoreClass: number | null = null,
): Result<T | O> =>
  run('sparseCategoricalCrossentropy', [output, target], ([o, t]) =>
    losses.sparseCategoricalCrossentropy(base.cast(t!, 'int32'), o!, { fromLogits, axis, ignoreClass }),
  ) as Result<T | O>;
