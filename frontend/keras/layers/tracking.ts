/** What a layer holds in its fields: layers, weights and metrics, also within arrays, maps, sets and plain objects, in the order in which the fields were set, as Keras tracks them. */
import { Variable } from '../backend/variable.js';
import { isPlainObject, toSnake } from '../utils/options.js';

/** Fields of the base classes, which hold layers and weights for other purposes. */
const internal = new Set(['sublayers', 'held', 'holder', 'ownWeights', 'stateVariables', 'inboundNodes', 'addedMetrics', 'lossFunctions', 'nodes', 'shapes']);

/** Stands for a layer in a field: an activation that is one. */
export class StandsFor<L extends object> {
  constructor(readonly layer: L) {}
}

/** Calls `found` with each object in the fields of `owner` that `wanted` accepts, once. */
export function tracked<T extends object>(owner: object, wanted: (x: unknown) => x is T): T[] {
  const out = new Set<T>();
  const seen = new Set<object>();
  const visit = (x: unknown): void => {
    if ((typeof x !== 'object' && typeof x !== 'function') || x === null || seen.has(x)) return;
    seen.add(x);
    if (wanted(x)) out.add(x);
    else if (x instanceof StandsFor) visit(x.layer);
    else if (Array.isArray(x) || x instanceof Set) for (const e of x) visit(e);
    else if (x instanceof Map) for (const e of x.values()) visit(e);
    else if (isPlainObject(x)) for (const e of Object.values(x)) visit(e);
  };
  seen.add(owner);
  // most fields are numbers and texts, and this runs for every layer again and again
  for (const key of Object.keys(owner)) {
    const value: unknown = (owner as Readonly<Record<string, unknown>>)[key];
    if (typeof value === 'object' ? value !== null && !internal.has(key) : typeof value === 'function' && !internal.has(key)) visit(value);
  }
  return [...out];
}

/** What the fields of `owner` hold that `wanted` accepts, by the field's name as Python spells it: one object, or the list of those in an array, map, set or plain object. */
export function trackedByField<T extends object>(owner: object, wanted: (x: unknown) => x is T): Record<string, T | readonly T[]> {
  const out: Record<string, T | readonly T[]> = {};
  for (const [key, field] of Object.entries(owner)) {
    if (internal.has(key)) continue;
    const value: unknown = field instanceof StandsFor ? field.layer : field;
    const found = wanted(value) ? value : tracked({ value }, wanted);
    if (!Array.isArray(found) || found.length > 0) out[toSnake(key)] = found;
  }
  return out;
}

export const isVariable = (x: unknown): x is Variable => x instanceof Variable;

/** Without repetitions, in order. */
export const unique = <T>(list: readonly T[]): T[] => [...new Set(list)];
