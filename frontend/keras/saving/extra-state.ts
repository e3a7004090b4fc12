/** What Tenon keeps in files beside what Keras reads: as JSON with the names of arrays, and the arrays. */
import { ModelFormatError } from '../../../ir/errors.js';
import { parseJson } from '../../formats/text.js';
import { isPlainObject } from '../utils/options.js';
import type { RandomState } from '../utils/random.js';
import type { Json, JsonObject } from '../utils/serialization.js';
import type { ExtraState, SavedArray } from './saved-model.js';

/** `array`: the array of this name in the file; throws where there is none. */
export function readExtra(what: string, text: string | Uint8Array, array: (name: string) => SavedArray): ExtraState {
  const state = parseJson(`${what}: the state that Tenon keeps`, text) as JsonObject;
  const names = state.slots;
  const { seed, shuffle, semantics, states } = state as { seed?: unknown; shuffle?: Json; semantics?: unknown; states?: unknown };
  if (
    !Array.isArray(names) ||
    typeof seed !== 'number' ||
    (semantics !== 'keras2' && semantics !== 'keras3') ||
    typeof states !== 'number' ||
    !(states >= 0 && states < 1e6)
  )
    throw new ModelFormatError(`${what}: the state that Tenon keeps in the file is damaged`);
  const stream = isPlainObject(shuffle) && typeof shuffle.seed === 'number' && typeof shuffle.counter === 'number' ? (shuffle as unknown as RandomState) : null;
  return {
    semantics,
    seed,
    shuffle: stream,
    slots: new Map(names.map((name, i) => [String(name), array(`slot_${i}`)])),
    states: Array.from({ length: states }, (_, i) => array(`state_${i}`)),
  };
}
