/** Classes and functions of one's own that configurations may name: registered for the whole process, or known within a scope. */
import { ValueError } from '../../../ir/errors.js';
import { describe } from './options.js';
import { withOn } from './scope.js';

/** Classes or functions by name. */
export type CustomObjects = Readonly<Record<string, unknown>>;

const registered = new Map<string, unknown>();
const names = new Map<unknown, string>();
const scopes: CustomObjects[] = [];

/**
 * Registers a class or function under `package>name`, as Keras' decorator does; use it on the class or as its decorator: `registerKerasSerializable('my')(Scale)`.
 * The name defaults to that of the class, the package to Custom. Throws ValueError when the name stands for something else.
 */
export function registerKerasSerializable(packageName = 'Custom', name?: string): <C extends object>(object: C, context?: unknown) => C {
  return (object) => {
    const own = name ?? (object as { readonly className?: string }).className ?? '';
    const key = `${packageName}>${own || (object as { readonly name?: string }).name}`;
    const other = registered.get(key);
    if (other !== undefined && other !== object) throw new ValueError(`registerKerasSerializable: '${key}' is registered already, for another class`);
    registered.set(key, object);
    names.set(object, key);
    // the class inside, where it may be called without new
    const inner = (object as { readonly prototype?: { readonly constructor?: unknown } }).prototype?.constructor;
    if (inner) names.set(inner, key);
    return object;
  };
}

/** `package>name` of a registered class or function; null for others. */
export const getRegisteredName = (object: unknown): string | null => names.get(object) ?? null;

/** What a name stands for: given objects, those of the scopes around, registered ones; null when there is none. The package may be left out. */
export function getRegisteredObject(name: string, customObjects: CustomObjects = {}): unknown {
  if (typeof (name as unknown) !== 'string') throw new ValueError(`the name of a class or function must be text, got ${describe(name)}`);
  const bare = name.slice(name.indexOf('>') + 1);
  for (const objects of [customObjects, ...[...scopes].reverse()]) for (const n of [name, bare]) if (Object.hasOwn(objects, n)) return objects[n];
  if (registered.has(name)) return registered.get(name);
  if (name !== bare) return null;
  const found = [...registered].filter(([key]) => key.slice(key.indexOf('>') + 1) === bare);
  return found.length === 1 ? found[0]![1] : null;
}

/** All registered objects, by `package>name`. */
export const getCustomObjects = (): CustomObjects => Object.fromEntries(registered);

/** Runs `body`, which may be asynchronous, where these names are known. */
export const customObjectScope = <T>(objects: CustomObjects, body: () => T): T => withOn(scopes, objects, body);
