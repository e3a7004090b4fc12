/**
 * Calls of operations as configurations have them: the arguments of TensorFlow's functions (Keras 2: `[[name, node, index, kwargs]]`, constants as `["_CONSTANT_VALUE", -1, value]`) and of
 * Keras 3's operations (`{ args, kwargs }` with `__keras_tensor__`), read to a tree and written again.
 */
import { ValueError } from '../../../ir/errors.js';
import { isPlainObject } from '../utils/options.js';
import type { Json, JsonObject } from '../utils/serialization.js';

/** A tensor in a configuration: layer, call, output. */
export type Reference = readonly [layer: string, node: number, index: number];

/** Which Keras wrote the operation: 2 has TFOpLambda layers, 3 operations of `keras.ops`. */
export type Written = 'keras2' | 'keras3';

/** The arguments of one call: positional ones and those by name; tensors are `TensorAt`. */
export interface Call {
  readonly written: Written;
  readonly args: readonly Json[];
  readonly kwargs: JsonObject;
  /** As it was read. */
  readonly node: Json;
}

const isReference = (x: Json): x is [string, number, number] =>
  Array.isArray(x) && x.length >= 3 && typeof x[0] === 'string' && Number.isInteger(x[1]) && Number.isInteger(x[2]);

/** The tensor that this part of an argument stands for. */
export function referenceOf(x: Json, written: Written): Reference | null {
  if (written === 'keras2') return isReference(x) && x.length === 3 ? [x[0], x[1], x[2]] : null;
  if (!isPlainObject(x) || (x as JsonObject).class_name !== '__keras_tensor__') return null;
  const history = ((x as JsonObject).config as JsonObject | undefined)?.keras_history;
  if (history === undefined || !isReference(history)) throw new ValueError('a tensor among the arguments has no keras_history');
  return [history[0], history[1], history[2]];
}

/** The same tree with each tensor replaced. */
export function mapTensors<T>(x: Json, written: Written, f: (r: Reference) => T): Json | T {
  const r = referenceOf(x, written);
  if (r) return f(r);
  if (Array.isArray(x)) return x.map((e) => mapTensors(e as Json, written, f)) as Json;
  if (!isPlainObject(x)) return x;
  return Object.fromEntries(Object.entries(x as JsonObject).map(([k, v]) => [k, mapTensors(v, written, f)])) as Json;
}

/** The tensors of a call, in their order, each as often as it occurs. */
export function tensorsOf(call: Call): Reference[] {
  const found: Reference[] = [];
  for (const x of [...call.args, call.kwargs]) mapTensors(x, call.written, (r) => found.push(r));
  return found;
}

/** A node of a configuration as a call. */
export function readCall(layer: string, node: Json, written: Written): Call {
  const bad = () => new ValueError(`the layer '${layer}' of the model's config has a call that is none: ${(JSON.stringify(node) ?? 'nothing').slice(0, 200)}`);
  if (written === 'keras3') {
    const { args, kwargs } = (isPlainObject(node) ? node : {}) as { readonly args?: Json; readonly kwargs?: Json };
    if (!Array.isArray(args) || !(kwargs === undefined || kwargs === null || isPlainObject(kwargs))) throw bad();
    return { written, args, kwargs: (kwargs ?? {}) as JsonObject, node };
  }
  if (!Array.isArray(node) || node.length === 0) throw bad();
  // a tree of tensors and constants, each with all arguments by name
  let kwargs: Json;
  const isLeaf = (e: Json): e is readonly Json[] => Array.isArray(e) && e.length >= 3 && typeof e[0] === 'string';
  const read = (e: Json): Json => {
    if (isLeaf(e)) {
      kwargs ??= e[3] ?? {};
      return e[0] === '_CONSTANT_VALUE' && e[1] === -1 ? (e[2] as Json) : ([e[0], e[1], e[2]] as Json);
    }
    if (!Array.isArray(e)) throw bad();
    return e.map(read) as Json;
  };
  const first = read(node as Json);
  if (!isPlainObject(kwargs)) throw bad();
  return { written, args: [first], kwargs: kwargs as JsonObject, node };
}

/** A call as a node of a configuration; `reference` gives the tensors' places in turn, as the configuration has them. */
export function writeCall(call: Call, reference: () => Json): Json {
  const args = call.args.map((x) => mapTensors(x, call.written, reference) as Json);
  const kwargs = mapTensors(call.kwargs, call.written, reference) as Json;
  if (call.written === 'keras3') return { args, kwargs };
  const rewritten = (given: Json, now: Json): Json => {
    const leaf = given as readonly Json[];
    if (typeof leaf[0] === 'string') return leaf[0] === '_CONSTANT_VALUE' ? [leaf[0], leaf[1], now, kwargs] : [...(now as readonly Json[]), kwargs];
    return leaf.map((g, i) => rewritten(g, (now as readonly Json[])[i]!)) as Json;
  };
  return rewritten(call.node, args[0]!);
}
