/** From configurations of Keras to options of layers: entries that change nothing here are left out, others get the names of options. */
import { UnsupportedError } from '../../../ir/errors.js';
import { type JsonObject, optionsOfConfig } from '../utils/serialization.js';

/**
 * Entries of Keras configs that change nothing here: read only with the values listed (`any` where results do not depend on it).
 * sparse and ragged inputs, quantization and the like are refused.
 */
const inert: Readonly<Record<string, readonly unknown[] | 'any'>> = {
  sparse: [false],
  ragged: [false],
  optional: [false],
  quantization_config: [null],
  lora_rank: [null],
  lora_alpha: [null],
  virtual_batch_size: [null],
  fused: 'any',
  rms_scaling: [false],
  has_input_vocabulary: 'any',
  rng_type: 'any',
};

/** Keras' own classes, entered by `serialization.ts`. */
export const kerasClasses = new WeakSet<object>();
interface ClassLike {
  readonly prototype: object;
}
/** Whether the class is one of Keras' or extends one: its configuration holds what Keras writes. */
function isKeras(cls: ClassLike): boolean {
  for (let p: object | null = cls.prototype; p !== null; p = Object.getPrototypeOf(p) as object | null) if (kerasClasses.has(p.constructor)) return true;
  return false;
}

/** The options that a class is made from for a configuration. Throws UnsupportedError for what is refused. */
export function layerOptions(cls: ClassLike, className: string, config: JsonObject): Record<string, unknown> {
  if (typeof config.vocabulary === 'string')
    throw new UnsupportedError(
      `${className}: the configuration names the vocabulary file ${JSON.stringify(config.vocabulary)}: files that a configuration names are not read. Put the tokens into it as a list`,
    );
  const keras = isKeras(cls);
  const kept = Object.entries(config).filter(([key, value]) => {
    const allowed = keras ? inert[key] : undefined;
    if (allowed === undefined) return true;
    if (allowed !== 'any' && !allowed.includes(value ?? null))
      throw new UnsupportedError(`${className}: the option ${key}=${JSON.stringify(value)} is not supported`);
    return false;
  });
  const o = optionsOfConfig(Object.fromEntries(kept));
  // Keras 3 writes batch_shape where Keras 2 has batch_input_shape
  if (className !== 'InputLayer' && 'batchShape' in o) {
    o.batchInputShape = o.batchShape;
    delete o.batchShape;
  }
  return o;
}
