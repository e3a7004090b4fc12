/** Settings, names and switches of `tf.keras.backend`. `floatx` is float32, and layers are given their `dataFormat`, so that setting others is an error. */
import { UnsupportedError } from '../../../../ir/errors.js';
import { clearSession, uniqueNumber } from '../../utils/naming.js';
import { describe } from '../../utils/options.js';
import { runningTrace } from '../context.js';

export { epsilon, setEpsilon } from '../fuzz.js';
export { clearSession };

/** The name of what computes: 'tenon'. */
export const backend = (): 'tenon' => 'tenon';
export const floatx = (): 'float32' => 'float32';
export function setFloatx(value: string): void {
  if (value !== 'float32') throw new UnsupportedError(`backend.setFloatx: computing in ${describe(value)} is not supported, float32 only`);
}
export const imageDataFormat = (): 'channels_last' => 'channels_last';
export function setImageDataFormat(value: string): void {
  if (value !== 'channels_last')
    throw new UnsupportedError(`backend.setImageDataFormat: ${describe(value)} is given to each layer as dataFormat, not for all of them`);
}
/** The next number for a prefix: 1, 2, … */
export const getUid = (prefix = ''): number => uniqueNumber(prefix);
/** Automatic names and numbers begin anew. */
export const resetUids = (): void => clearSession();

/** Runs `body`; what it computes in a call stands below this name in errors, plans and `tenon inspect`. */
export function nameScope<T>(name: string, body: () => T): T {
  const trace = runningTrace();
  return trace ? trace.b.withOrigin(name, body) : body();
}
