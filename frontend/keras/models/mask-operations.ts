/**
 * Keras 3 writes the masks that Embedding and Masking give into the graph of a functional model: operations (NotEqual, Any, …) whose tensors later layers take as the argument `mask`.
 * Here layers hand masks on by themselves, so that these operations and arguments go. What a model does with operations of its own stays as it is.
 */
import { isPlainObject } from '../utils/options.js';
import type { Json, JsonObject, SerializedObject } from '../utils/serialization.js';

type Entry = SerializedObject & { readonly name?: string; readonly inbound_nodes?: readonly Json[] };

/** Tensors in a tree of arguments, as `layer:call:output`. */
function tensorsIn(x: Json): string[] {
  if (Array.isArray(x)) return x.flatMap(tensorsIn);
  if (!isPlainObject(x)) return [];
  const o = x as JsonObject;
  if (o.class_name === '__keras_tensor__') {
    const history = (o.config as JsonObject | undefined)?.keras_history;
    return Array.isArray(history) ? [history.join(':')] : [];
  }
  return Object.values(o).flatMap(tensorsIn);
}
const layerOf = (tensor: string): string => tensor.split(':').slice(0, -2).join(':');

/** H5 files have no module beside the class. */
const bareOperations = ['NotEqual', 'Any', 'All', 'LogicalAnd', 'LogicalOr'];
const isOperation = (e: Entry): boolean =>
  typeof e.module === 'string' ? e.module.startsWith('keras.src.ops.') : bareOperations.includes(e.class_name) && Array.isArray(e.inbound_nodes);
const masks = (e: Entry): boolean => e.class_name === 'Masking' || (e.class_name === 'Embedding' && (e.config as JsonObject | undefined)?.mask_zero === true);
const nameOf = (e: Entry): string => String(e.name ?? (e.config as JsonObject | undefined)?.name);
const nodesOf = (e: Entry): readonly JsonObject[] => (Array.isArray(e.inbound_nodes) ? e.inbound_nodes.filter((n): n is JsonObject => isPlainObject(n)) : []);

/** A node's arguments, without the mask. */
function withoutMask(node: JsonObject): JsonObject {
  const { mask: _, ...kwargs } = (isPlainObject(node.kwargs) ? node.kwargs : {}) as JsonObject;
  return { ...node, kwargs };
}

/** Names of the operations whose tensors are masks and nothing else, made of what Embedding and Masking are given. */
function maskOperations(entries: readonly Entry[], outputs: readonly string[]): ReadonlySet<string> {
  const operations = new Map(entries.filter(isOperation).map((e) => [nameOf(e), e]));
  const used = new Set(outputs.filter((n) => operations.has(n)));
  for (const e of entries) {
    if (isOperation(e)) continue;
    for (const t of nodesOf(e).flatMap((n) => tensorsIn(withoutMask(n)))) used.add(layerOf(t));
  }
  const queue = [...used];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    const e = operations.get(name);
    for (const t of e ? nodesOf(e).flatMap((n) => tensorsIn(n)) : []) {
      if (used.has(layerOf(t))) continue;
      used.add(layerOf(t));
      queue.push(layerOf(t));
    }
  }
  const left = new Set([...operations.keys()].filter((n) => !used.has(n)));
  const given = new Set(entries.filter(masks).flatMap((e) => nodesOf(e).flatMap((n) => tensorsIn(n))));
  const roots = [...left].flatMap((n) => nodesOf(operations.get(n)!).flatMap((x) => tensorsIn(x))).filter((t) => !left.has(layerOf(t)));
  return roots.every((t) => given.has(t)) ? left : new Set();
}

/** The configuration of a model, and of models in it, without the operations that compute masks. */
export function withoutMaskOperations(model: SerializedObject): SerializedObject {
  const config = model.config as JsonObject | undefined;
  if (!Array.isArray(config?.layers)) return model;
  const entries = config.layers as unknown as readonly Entry[];
  if (!entries.some((e) => isPlainObject(e) && (isOperation(e) || Array.isArray((e.config as JsonObject | undefined)?.layers)))) return model;
  const outputs = JSON.stringify(config.output_layers ?? []);
  const dropped = maskOperations(
    entries.filter((e) => isPlainObject(e)),
    entries
      .filter((e) => isPlainObject(e))
      .map(nameOf)
      .filter((n) => outputs.includes(JSON.stringify(n))),
  );
  const layers = entries
    .filter((e) => !isPlainObject(e) || !dropped.has(nameOf(e)))
    .map((e) => {
      if (!isPlainObject(e)) return e;
      const inner = withoutMaskOperations(e) as Entry;
      if (!Array.isArray(inner.inbound_nodes)) return inner;
      const nodes = inner.inbound_nodes.map((n) => {
        const mask = isPlainObject(n) && isPlainObject(n.kwargs) ? tensorsIn((n.kwargs as JsonObject).mask) : [];
        return mask.length > 0 && mask.every((t) => dropped.has(layerOf(t))) ? withoutMask(n as JsonObject) : n;
      });
      return { ...inner, inbound_nodes: nodes };
    });
  return { ...model, config: { ...config, layers: layers as unknown as Json } };
}
