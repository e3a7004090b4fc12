/**
 * The objects of a model by their paths in `.keras` and `.weights.h5` files: `layers/dense`, `layers/functional/layers/dense_1`, `layers/bidirectional/forward_layer/cell`. Layers in
 * a list are named by class and order, not by their names; inner layers by the attribute that holds them. A model that is a class has both: its fields, and the list of its layers
 * under the name `layers`. Keras 3 visits attributes in the order of the alphabet, Keras 2 in the opposite one, and whichever comes first names the layer.
 */
import type { Variable } from '../backend/variable.js';
import type { Layer } from '../layers/layer.js';
import { ModelBase } from '../models/base.js';
import { SubclassedClass } from '../models/subclassed.js';
import { type Semantics, snakeOfClass } from '../utils/serialization.js';
import type { SavedWeights } from './saved-model.js';

export interface ModelObject {
  readonly path: string;
  readonly title: string;
  readonly variables: readonly Variable[];
  /** The layer that it is; null for the parts that a layer is made of. */
  readonly layer: Layer | null;
}

/** Keras 3 visits public attributes first, and since 3.4 the dense layers of MultiHeadAttention have public names, too: `query_dense` beside `_query_dense`. */
const innerName = (layer: Layer, inner: string, generation: Semantics): string =>
  generation === 'keras3' && layer.className === 'MultiHeadAttention' ? inner.replace(/^_/, '') : inner;

const join = (a: string, b: string): string => (a === '' ? b : `${a}/${b}`);

/** Attributes in the order in which Keras visits them: private ones last, or first. */
function visited<T>(attributes: Readonly<Record<string, T>>, generation: Semantics): (readonly [string, T])[] {
  const key = (name: string): string => (name.startsWith('_') && generation === 'keras3' ? `~${name}` : name);
  const sorted = Object.entries(attributes).sort(([a], [b]) => (key(a) < key(b) ? -1 : 1));
  return generation === 'keras3' ? sorted : sorted.reverse();
}

/** The objects in the order in which Keras meets them; each layer once. */
export function objectsOf(model: ModelBase, generation: Semantics): ModelObject[] {
  const out: ModelObject[] = [];
  const seen = new Set<Layer>();
  const list = (layers: readonly Layer[], at: string): void => {
    const used = new Map<string, number>();
    for (const layer of layers) {
      if (generation === 'keras2' && seen.has(layer)) continue;
      const base = snakeOfClass(layer.className.replace(/\W+/g, ''));
      const n = used.get(base);
      used.set(base, n === undefined ? 0 : n + 1);
      visit(layer, join(at, n === undefined ? base : `${base}_${n + 1}`));
    }
  };
  const visit = (layer: Layer, path: string): void => {
    if (seen.has(layer)) return;
    seen.add(layer);
    if (layer instanceof ModelBase && !(layer instanceof SubclassedClass)) {
      out.push({ path, title: layer.name, variables: [], layer });
      list(layer.layers, join(path, 'layers'));
      return;
    }
    for (const [inner, variables] of Object.entries({ '': [], ...layer.trackedWeights })) {
      out.push({
        path: inner === '' ? path : join(path, innerName(layer, inner, generation)),
        title: inner === '' ? layer.name : inner.replace(/^_|_dense$/g, ''),
        variables,
        layer: inner === '' ? layer : null,
      });
    }
    const attributes: Record<string, Layer | readonly Layer[]> =
      layer instanceof ModelBase ? { ...layer.trackedLayers, layers: layer.layers } : layer.trackedLayers;
    for (const [attribute, inner] of visited(attributes, generation)) {
      // a layer is a function; a list of layers is an array
      if (Array.isArray(inner)) list(inner as readonly Layer[], join(path, attribute));
      else visit(inner as Layer, join(path, attribute));
    }
  };
  visit(model, '');
  return out;
}

/** Weights that a model has beside those of its layers: classes may. */
export const ownWeightsOf = (model: ModelBase): readonly Variable[] => (model instanceof SubclassedClass ? (model.trackedWeights[''] ?? []) : []);

/** The model's objects under the paths that the file has: those of Keras 2 and 3 differ for models that are classes. */
export function objectsFor(model: ModelBase, saved: Extract<SavedWeights, { kind: 'objects' }>): readonly ModelObject[] {
  const choices = (['keras3', 'keras2'] as const).map((g) => objectsOf(model, g));
  return choices.find((c) => c.every((x) => x.variables.length === 0 || saved.objects.has(x.path))) ?? choices[model.semantics === 'keras3' ? 0 : 1]!;
}
