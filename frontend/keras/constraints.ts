/** Projections of weights after each update, as in `tf.keras.constraints`. */
import * as ops from './backend/ops.js';
import type { SymbolicTensor } from './backend/trace.js';
import { callable } from './utils/callable.js';
import { resolveOptions } from './utils/options.js';
import { getFrom, type JsonObject, type Registry, type SerializedObject, serializeObject } from './utils/serialization.js';

const epsilon = 1e-7;
type Axis = number | readonly number[];
const axesOf = (axis: Axis): readonly number[] => (typeof axis === 'number' ? [axis] : axis);
const norm = (w: SymbolicTensor, axis: Axis): SymbolicTensor => ops.sqrt(ops.sum(ops.square(w), axesOf(axis), true));

/** Base class: `call` gives the projected weight. */
export abstract class Constraint {
  abstract readonly className: string;
  abstract call(w: SymbolicTensor): SymbolicTensor;
  getConfig(): JsonObject {
    return {};
  }
}

class MaxNormClass extends Constraint {
  readonly className = 'MaxNorm';
  readonly maxValue: number;
  readonly axis: Axis;
  /** Norms along `axis` (default 0) are at most `maxValue` (default 2). */
  constructor(options?: { maxValue?: number; axis?: Axis }) {
    super();
    const o = resolveOptions<{ maxValue: number; axis: Axis }>('MaxNorm', [options], [], { maxValue: 2, axis: 0 });
    this.maxValue = o.maxValue;
    this.axis = o.axis;
  }
  call(w: SymbolicTensor): SymbolicTensor {
    const n = norm(w, this.axis);
    return ops.multiply(w, ops.divide(ops.clip(n, 0, this.maxValue), ops.add(n, epsilon)));
  }
  override getConfig(): JsonObject {
    return { max_value: this.maxValue, axis: this.axis as number };
  }
}

class MinMaxNormClass extends Constraint {
  readonly className = 'MinMaxNorm';
  readonly minValue: number;
  readonly maxValue: number;
  readonly rate: number;
  readonly axis: Axis;
  constructor(options?: { minValue?: number; maxValue?: number; rate?: number; axis?: Axis }) {
    super();
    const o = resolveOptions<{ minValue: number; maxValue: number; rate: number; axis: Axis }>('MinMaxNorm', [options], [], {
      minValue: 0,
      maxValue: 1,
      rate: 1,
      axis: 0,
    });
    this.minValue = o.minValue;
    this.maxValue = o.maxValue;
    this.rate = o.rate;
    this.axis = o.axis;
  }
  call(w: SymbolicTensor): SymbolicTensor {
    const n = norm(w, this.axis);
    const wanted = ops.add(ops.multiply(ops.clip(n, this.minValue, this.maxValue), this.rate), ops.multiply(n, 1 - this.rate));
    return ops.multiply(w, ops.divide(wanted, ops.add(n, epsilon)));
  }
  override getConfig(): JsonObject {
    return { min_value: this.minValue, max_value: this.maxValue, rate: this.rate, axis: this.axis as number };
  }
}

class UnitNormClass extends Constraint {
  readonly className = 'UnitNorm';
  readonly axis: Axis;
  constructor(options?: { axis?: Axis }) {
    super();
    this.axis = resolveOptions<{ axis: Axis }>('UnitNorm', [options], [], { axis: 0 }).axis;
  }
  call(w: SymbolicTensor): SymbolicTensor {
    return ops.divide(w, ops.add(norm(w, this.axis), epsilon));
  }
  override getConfig(): JsonObject {
    return { axis: this.axis as number };
  }
}

class NonNegClass extends Constraint {
  readonly className = 'NonNeg';
  call(w: SymbolicTensor): SymbolicTensor {
    return ops.maximum(w, 0);
  }
}

export const MaxNorm = callable(MaxNormClass);
export const MinMaxNorm = callable(MinMaxNormClass);
export const UnitNorm = callable(UnitNormClass);
export const NonNeg = callable(NonNegClass);

export type ConstraintIdentifier = string | Constraint | SerializedObject;

const registry: Registry<Constraint> = {
  what: 'constraint',
  classes: { MaxNorm: (o) => MaxNorm(o), MinMaxNorm: (o) => MinMaxNorm(o), UnitNorm: (o) => UnitNorm(o), NonNeg: () => NonNeg() },
  aliases: {},
};

export function get(id: ConstraintIdentifier | null | undefined): Constraint | null {
  return id === null || id === undefined ? null : getFrom(registry, id, (x): x is Constraint => x instanceof Constraint, 'keras3');
}
export const serialize = (c: Constraint): SerializedObject => serializeObject('keras.constraints', c.className, c);
export const deserialize = (config: SerializedObject): Constraint | null => get(config);
