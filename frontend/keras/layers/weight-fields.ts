/** Initializer, regularizer and constraint of one weight of a layer: `kernelInitializer`, `kernelRegularizer`, `kernelConstraint` and their places in the config. */
import * as constraints from '../constraints.js';
import * as initializers from '../initializers/index.js';
import * as regularizers from '../regularizers.js';
import type { Json } from '../utils/serialization.js';

export interface WeightFields {
  readonly initializer: initializers.Initializer;
  readonly regularizer: regularizers.Regularizer | null;
  readonly constraint: constraints.Constraint | null;
}

/** Reads the three options of `prefix` (`kernel`, `bias`, …). */
export function weightFields(options: object, prefix: string): WeightFields {
  const o = options as Record<string, unknown>;
  return {
    initializer: initializers.get(o[`${prefix}Initializer`] as initializers.InitializerIdentifier),
    regularizer: regularizers.get(o[`${prefix}Regularizer`] as regularizers.RegularizerIdentifier | null),
    constraint: constraints.get(o[`${prefix}Constraint`] as constraints.ConstraintIdentifier | null),
  };
}

/** The config entries of several weights, in the order of Keras: all initializers, then regularizers, then constraints. */
export function weightConfig(fields: Readonly<Record<string, WeightFields>>): Record<string, Json> {
  const names = Object.entries(fields);
  const json = (x: object | null): Json => x as Json;
  return Object.fromEntries([
    ...names.map(([n, f]) => [`${n}_initializer`, json(initializers.serialize(f.initializer))]),
    ...names.map(([n, f]) => [`${n}_regularizer`, json(f.regularizer && regularizers.serialize(f.regularizer))]),
    ...names.map(([n, f]) => [`${n}_constraint`, json(f.constraint && constraints.serialize(f.constraint))]),
  ]) as Record<string, Json>;
}

/** Config entry of the activity regularizer. */
export const regularizerJson = (r: regularizers.Regularizer | null): Json => (r && regularizers.serialize(r)) as unknown as Json;
