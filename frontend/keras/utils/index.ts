/** tf.keras.utils. */
import { ValueError } from '../../../ir/errors.js';
import { type ArrayLikeInput, Tensor, toTensor } from '../tensor.js';

export { callable } from './callable.js';
export {
  type CustomObjects,
  customObjectScope,
  getCustomObjects,
  getRegisteredName,
  getRegisteredObject,
  registerKerasSerializable,
} from './custom-objects.js';
export { clearSession } from './naming.js';
export { setRandomSeed } from './random.js';

/** Class numbers to one-hot rows. `numClasses` defaults to the largest class plus one. */
export function toCategorical(x: ArrayLikeInput, numClasses?: number): Tensor {
  const t = toTensor('toCategorical', x);
  const shape = t.rank > 1 && t.shape.at(-1) === 1 ? t.shape.slice(0, -1) : t.shape;
  const classes = numClasses ?? Array.from(t.data).reduce((m, v) => Math.max(m, v), 0) + 1;
  const out = new Float32Array(t.size * classes);
  t.data.forEach((c, i) => {
    if (!Number.isInteger(c) || c < 0 || c >= classes)
      throw new ValueError(`toCategorical: element ${i} is ${c}, expected a whole number from 0 to ${classes - 1}`);
    out[i * classes + c] = 1;
  });
  return new Tensor(out, [...shape, classes]);
}
