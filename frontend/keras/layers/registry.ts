/** Layers from their configurations. The classes are entered by `serialization.ts`; layers that hold others (wrappers, RNN) read them here. */
import { didYouMean, TenonError, UnsupportedError } from '../../../ir/errors.js';
import { layerForms } from '../activations.js';
import { getRegisteredName, getRegisteredObject } from '../utils/custom-objects.js';
import { isPlainObject } from '../utils/options.js';
import { type Json, type Semantics, type SerializedObject, serializeObject, writtenGeneration } from '../utils/serialization.js';
import { layerOptions } from './config-options.js';
import { Layer } from './layer.js';

/** A class whose instances are made from one options object. */
export type LayerConstructor = new (options: never) => Layer;

/** All layer classes by the names of Keras. */
export const layerClasses: Record<string, LayerConstructor> = {};

/** Models as inner layers (`TimeDistributed(model)`): the classes are entered by models/serialization.ts. */
export const modelReaders: Record<string, (serialized: SerializedObject, options: DeserializeOptions) => Layer> = {};

export interface DeserializeOptions {
  /** Default keras3, or keras2 where the config says so. */
  readonly semantics?: Semantics;
  /** Further classes by name. */
  readonly customObjects?: Readonly<Record<string, LayerConstructor>>;
}

const bareName = (name: string): string => name.slice(name.indexOf('>') + 1);

/** The class that a configuration names: a custom one (given, of a scope, registered) before Keras' own; null for unknown names. */
export function classOf(
  serialized: SerializedObject,
  customObjects: DeserializeOptions['customObjects'] = {},
): { readonly cls: LayerConstructor; readonly custom: boolean } | null {
  const custom =
    getRegisteredObject(serialized.registered_name ?? serialized.class_name, customObjects) ?? getRegisteredObject(serialized.class_name, customObjects);
  const name = bareName(serialized.class_name);
  if (typeof custom === 'function') return { cls: custom as LayerConstructor, custom: true };
  return Object.hasOwn(layerClasses, name) ? { cls: layerClasses[name]!, custom: false } : null;
}

/** A layer from `{ class_name, config }`. A custom class with a `fromConfig` of its own gets the configuration as it is. Throws UnsupportedError for classes that do not exist here. */
export function deserialize(serialized: SerializedObject, options: DeserializeOptions = {}): Layer {
  const found = classOf(serialized, options.customObjects);
  const name = bareName(serialized.class_name);
  if (!found && Object.hasOwn(modelReaders, name)) return modelReaders[name]!(serialized, options);
  if (!found) {
    const known = Object.keys(layerClasses);
    const layer = typeof serialized.config?.name === 'string' ? `layer '${serialized.config.name}': ` : '';
    throw new UnsupportedError(
      `${layer}unknown layer class '${name}'.${didYouMean(name, known)} Known: ${known.join(', ')}. Classes of one's own are given in 'customObjects' or registered with utils.registerKerasSerializable`,
    );
  }
  if (name === 'Lambda' && !found.custom)
    throw new UnsupportedError(
      `layer '${String(serialized.config?.name ?? 'lambda')}': a Lambda layer of a file holds Python code, which is never run: give a class named Lambda in 'customObjects'`,
    );
  const cls = found.cls as unknown as typeof Layer;
  const config = serialized.config ?? {};
  if (found.custom && cls.fromConfig !== undefined && cls.fromConfig !== Layer.fromConfig) return cls.fromConfig(config);
  try {
    return new (cls as unknown as new (o: object) => Layer)({ ...layerOptions(cls, name, config), semantics: options.semantics ?? 'keras3' });
  } catch (e) {
    if (e instanceof TenonError && typeof config.name === 'string' && !e.message.includes(`'${config.name}'`))
      e.message = `layer '${config.name}' (${name}): ${e.message}`;
    throw e;
  }
}

/** `{ module, class_name, config, registered_name }`. Classes that are not Keras' own have no module, and the name that they were registered under. */
export function serialize(layer: Layer): SerializedObject {
  const own = layer.writtenForm;
  if (own !== null) return own;
  const registered = getRegisteredName(layer.constructor);
  if (registered === null && layer.className === 'Sequential') return serializeObject('keras', 'Sequential', layer);
  if (registered === null && layer.className === 'Functional') {
    const module = writtenGeneration(layer.semantics) === 'keras2' ? 'keras.src.engine.functional' : 'keras.src.models.functional';
    return { ...serializeObject(module, 'Functional', layer), registered_name: 'Functional' };
  }
  if (registered === null && Object.hasOwn(layerClasses, layer.className)) return serializeObject('keras.layers', layer.writtenClassName, layer);
  const name = registered ?? layer.className;
  return {
    module: null,
    class_name: writtenGeneration(layer.semantics) === 'keras2' ? name : layer.className,
    config: layer.getConfig(),
    registered_name: name,
  };
}

layerForms.read = (serialized, semantics) => (classOf(serialized) ? deserialize(serialized, { semantics }) : null);
layerForms.write = (layer) => serialize(layer as unknown as Layer) as unknown as Json;

export const isSerializedLayer = (x: unknown): x is SerializedObject => isPlainObject(x) && typeof x.class_name === 'string' && isPlainObject(x.config);
