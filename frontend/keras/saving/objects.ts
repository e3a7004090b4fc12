/**
 * The objects of a model by their paths in `.keras` and `.weights.h5` files: `layers/dense`, `layers/functional/layers/dense_1`, `layers/bidirectional/forward_layer/cell`. Layers in
 * a list are named by class and order, not by their names; inner layers by the attribute that holds them.
 */
import type { Variable } from '../backend/variable.js';
import type { Layer } from '../layers/layer.js';
import { ModelBase } from '../models/base.js';
import { snakeOfClass } from '../utils/serialization.js';

export interface ModelObject {
  readonly path: string;
  readonly title: string;
  readonly variables: readonly Variable[];
}

const join = (a: string, b: string): string => (a === '' ? b : `${a}/${b}`);

/** The objects in the order in which Keras meets them; each layer once. */
export function objectsOf(model: ModelBase): ModelObject[] {
  const out: ModelObject[] = [];
  const seen = new Set<Layer>();
  const list = (layers: readonly Layer[], at: string): void => {
    const used = new Map<string, number>();
    for (const layer of layers) {
      const base = snakeOfClass(layer.className.replace(/\W+/g, ''));
      const n = used.get(base);
      used.set(base, n === undefined ? 0 : n + 1);
      visit(layer, join(at, n === undefined ? base : `${base}_${n + 1}`));
    }
  };
  const visit = (layer: Layer, path: string): void => {
    if (seen.has(layer)) return;
    seen.add(layer);
    if (layer instanceof ModelBase) {
      out.push({ path, title: layer.name, variables: [] });
      list(layer.layers, join(path, 'layers'));
      return;
    }
    for (const [inner, variables] of Object.entries({ '': [], ...layer.trackedWeights })) {
      out.push({ path: inner === '' ? path : join(path, inner), title: inner === '' ? layer.name : inner.replace(/^_|_dense$/g, ''), variables });
    }
    for (const [attribute, inner] of Object.entries(layer.trackedLayers)) {
      // a layer is a function; a list of layers is an array
      if (Array.isArray(inner)) list(inner as readonly Layer[], join(path, attribute));
      else visit(inner as Layer, join(path, attribute));
    }
  };
  visit(model, '');
  return out;
}
