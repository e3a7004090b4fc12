/** Configurations as Keras writes them: `{ module, class_name, config, registered_name }` with snake_case keys. */
import { didYouMean, UnsupportedError, ValueError } from '../../../ir/errors.js';
import { getRegisteredObject } from './custom-objects.js';
import { describe, isPlainObject, toCamel, toSnake } from './options.js';

/** Which generation of Keras decides where the two differ. */
export type Semantics = 'keras2' | 'keras3';

let writing: Semantics | null = null;

/** Runs `body` while configurations are written for this generation of Keras, whatever a layer's own is. */
export function writtenFor<T>(generation: Semantics, body: () => T): T {
  const before = writing;
  writing = generation;
  try {
    return body();
  } finally {
    writing = before;
  }
}
let assets = false;

/** Runs `body` while configurations are written that have a file beside them for what layers have learned. */
export function writtenWithAssets<T>(body: () => T): T {
  const before = assets;
  assets = true;
  try {
    return body();
  } finally {
    assets = before;
  }
}
/** Whether what is being written has files beside the configuration. */
export const writesAssets = (): boolean => assets;

/** The generation that configurations are written for: the one that was asked for, or the object's own. */
export const writtenGeneration = (own: Semantics): Semantics => writing ?? own;

/** JSON that Keras writes. */
export type Json = null | boolean | number | string | undefined | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

/** A serialized object. */
export interface SerializedObject {
  readonly module?: string | null;
  readonly class_name: string;
  readonly config: JsonObject;
  readonly registered_name?: string | null;
}

export interface Configurable {
  getConfig(): JsonObject;
}

export const isSerialized = (x: unknown): x is SerializedObject =>
  isPlainObject(x) && typeof x.class_name === 'string' && (isPlainObject(x.config) || x.config === undefined || x.config === null);

/** Serializes an object of a Keras module. */
export function serializeObject(module: string, className: string, object: Configurable): SerializedObject {
  return { module, class_name: className, config: object.getConfig(), registered_name: null };
}

/** snake_case config to camelCase options; nested configs stay as they are (the `get` functions read them). */
export const optionsOfConfig = (config: JsonObject): Record<string, unknown> => Object.fromEntries(Object.entries(config).map(([k, v]) => [toCamel(k), v]));
/** camelCase values to a snake_case config. */
export const configOfOptions = (options: Readonly<Record<string, Json>>): JsonObject =>
  Object.fromEntries(Object.entries(options).map(([k, v]) => [toSnake(k), v]));

/** Keras names classes in CamelCase, and accepts snake_case: `GlorotUniform` is `glorot_uniform`. */
export const snakeOfClass = (name: string): string =>
  name
    .replace(/(.)([A-Z][a-z]+)/g, '$1_$2')
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase();

/** How a module of Keras makes an object from a name or a config. */
export interface Registry<T> {
  /** For messages: `initializer`. */
  readonly what: string;
  /** By class name; `options` are camelCase. */
  readonly classes: Readonly<Record<string, (options: Record<string, unknown>, semantics: Semantics) => T>>;
  /** Further names. */
  readonly aliases: Readonly<Record<string, string>>;
}

/** Looks a name up: class name, snake_case name or alias. */
export function classNamed<T>(registry: Registry<T>, name: string): string {
  const bare = name.includes('>') ? name.slice(name.indexOf('>') + 1) : name;
  if (registry.classes[bare]) return bare;
  const alias = registry.aliases[bare] ?? registry.aliases[bare.toLowerCase()];
  if (alias) return alias;
  // as people write them: `Glorot uniform`, `he-normal`
  const squashed = (n: string) => n.replace(/[\s_-]/g, '').toLowerCase();
  const found = Object.keys(registry.classes).find((c) => snakeOfClass(c) === bare || squashed(c) === squashed(bare));
  if (found) return found;
  const known = [...new Set([...Object.keys(registry.classes).map(snakeOfClass), ...Object.keys(registry.aliases)])];
  throw new UnsupportedError(`unknown ${registry.what} '${name}'.${didYouMean(name, [...known, ...Object.keys(registry.classes)])} Known: ${known.join(', ')}`);
}

/** An object from its name, its config, or itself. */
export function getFrom<T extends object>(registry: Registry<T>, id: unknown, isInstance: (x: unknown) => x is T, semantics: Semantics): T {
  if (isInstance(id)) return id;
  const name = typeof id === 'string' ? id : isSerialized(id) ? (id.registered_name ?? id.class_name) : null;
  const custom = name === null ? null : getRegisteredObject(name);
  if (isInstance(custom)) return custom;
  if (typeof custom === 'function') {
    const made: unknown = Reflect.construct(custom, [optionsOfConfig(isSerialized(id) ? (id.config ?? {}) : {})]);
    if (isInstance(made)) return made;
  }
  if (typeof id === 'string') return registry.classes[classNamed(registry, id)]!({}, semantics);
  if (isSerialized(id)) return registry.classes[classNamed(registry, id.class_name)]!(optionsOfConfig(id.config ?? {}), semantics);
  throw new ValueError(`an ${registry.what} must be a name, an instance or a config with class_name and config, got ${describe(id)}`);
}
