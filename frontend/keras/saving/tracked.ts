/**
 * A model as TensorFlow's checkpoints see it: objects that hold others by the names of their attributes, down to variables. Layers of a model are `layer-2` and, where they have weights,
 * `layer_with_weights-1`; entries of a list `0`, `1`, …; the rest are attributes: `cell`, `forward_layer`, `kernel`. Source: the object graph of TensorFlow checkpoints
 * (trackable_object_graph.proto) and the names that tf.keras gives.
 */
import type { Variable } from '../backend/variable.js';
import type { Layer } from '../layers/layer.js';
import type { ModelBase } from '../models/base.js';
import { FunctionalClass } from '../models/functional.js';
import { SequentialClass } from '../models/sequential.js';

export interface TrackedObject {
  /** A name may lead to an object that another name leads to as well. */
  readonly children: readonly (readonly [string, TrackedObject])[];
  readonly variable: Variable | null;
  readonly weighted: boolean;
}

/** Attributes whose names are not those of the weights. */
const attributes: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  Normalization: { mean: 'adapt_mean', variance: 'adapt_variance' },
};

type Held = Layer | readonly Layer[];

/** The model and all in it. */
export function trackedObjects(model: ModelBase): TrackedObject {
  const known = new Map<Layer | Variable, TrackedObject>();
  const object = (children: readonly (readonly [string, TrackedObject])[]): TrackedObject => ({
    children,
    variable: null,
    weighted: children.some(([, c]) => c.weighted),
  });
  const leaf = (variable: Variable): TrackedObject => {
    const found = known.get(variable) ?? { children: [], variable, weighted: true };
    known.set(variable, found);
    return found;
  };
  const held = ([name, x]: [string, Held]): [string, TrackedObject] => [
    name,
    // a layer is a function; a list of layers is an array
    Array.isArray(x) ? object((x as readonly Layer[]).map((l, i) => [String(i), visit(l)])) : visit(x as Layer),
  ];
  const inModel = (layers: readonly Layer[]): TrackedObject => {
    let weighted = 0;
    return object(
      layers.flatMap((layer, i): [string, TrackedObject][] => {
        const o = visit(layer);
        return o.weighted
          ? [
              [`layer_with_weights-${weighted++}`, o],
              [`layer-${i}`, o],
            ]
          : [[`layer-${i}`, o]];
      }),
    );
  };
  const inLayer = (layer: Layer): TrackedObject => {
    const names = attributes[layer.className] ?? {};
    const named = (variables: readonly Variable[]): [string, TrackedObject][] => variables.map((v) => [names[v.name] ?? v.name, leaf(v)]);
    const own = Object.entries(layer.trackedWeights).flatMap(([inner, variables]): [string, TrackedObject][] =>
      inner === '' ? named(variables) : [[inner, object(named(variables))]],
    );
    return object([...own, ...(Object.entries(layer.trackedLayers) as [string, Held][]).map(held)]);
  };
  const visit = (layer: Layer): TrackedObject => {
    const found = known.get(layer);
    if (found) return found;
    const listed = layer instanceof SequentialClass || layer instanceof FunctionalClass;
    const made = listed ? inModel((layer as ModelBase).layers) : inLayer(layer);
    known.set(layer, made);
    return made;
  };
  return visit(model);
}
