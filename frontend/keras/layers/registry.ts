/** Layers from their configurations. The classes are entered by `serialization.ts`; layers that hold others (wrappers, RNN) read them here. */
import { didYouMean, UnsupportedError } from '../../../ir/errors.js';
import { isPlainObject } from '../utils/options.js';
import { type JsonObject, optionsOfConfig, type Semantics, type SerializedObject, serializeObject } from '../utils/serialization.js';
import type { Layer } from './layer.js';

/** A class whose instances are made from one options object. */
export type LayerConstructor = new (options: never) => Layer;

/** All layer classes by the names of Keras. */
export const layerClasses: Record<string, LayerConstructor> = {};

export interface DeserializeOptions {
  /** Default keras3, or keras2 where the config says so. */
  readonly semantics?: Semantics;
  /** Further classes by name. */
  readonly customObjects?: Readonly<Record<string, LayerConstructor>>;
}

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
  renorm: [false],
  renorm_clipping: [null],
  renorm_momentum: 'any',
  synchronized: [false],
  virtual_batch_size: [null],
  fused: 'any',
  rms_scaling: [false],
};

/** A layer from `{ class_name, config }`. Throws UnsupportedError for classes that do not exist here. */
export function deserialize(serialized: SerializedObject, options: DeserializeOptions = {}): Layer {
  const name = serialized.class_name.slice(serialized.class_name.indexOf('>') + 1);
  const custom = options.customObjects && Object.hasOwn(options.customObjects, name) ? options.customObjects[name] : undefined;
  const cls = custom ?? (Object.hasOwn(layerClasses, name) ? layerClasses[name] : undefined);
  if (!cls) {
    const known = Object.keys(layerClasses);
    throw new UnsupportedError(`unknown layer class '${name}'.${didYouMean(name, known)} Known: ${known.join(', ')}`);
  }
  if (name === 'Lambda' && !custom)
    throw new UnsupportedError("a Lambda layer of a file holds Python code, which cannot run here: give a class named Lambda in 'customObjects'");
  return new (cls as new (o: object) => Layer)(layerOptions(name, serialized.config ?? {}, options.semantics ?? 'keras3'));
}

function layerOptions(className: string, config: JsonObject, semantics: Semantics): Record<string, unknown> {
  const kept = Object.entries(config).filter(([key, value]) => {
    const allowed = inert[key];
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
  return { ...o, semantics };
}

/** `{ module, class_name, config, registered_name }`. */
export const serialize = (layer: Layer): SerializedObject => serializeObject('keras.layers', layer.className, layer);

export const isSerializedLayer = (x: unknown): x is SerializedObject => isPlainObject(x) && typeof x.class_name === 'string' && isPlainObject(x.config);
