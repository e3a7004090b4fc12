/** Projections of weights after each update, as in `tf.keras.constraints`. */
import { ShapeError } from '../../ir/errors.js';
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

class RadialConstraintClass extends Constraint {
  readonly className = 'RadialConstraint';
  /** Makes square convolution kernels (n, n, in, out) the same on each ring around the centre: the values are taken from the diagonal, where Keras takes them. */
  call(w: SymbolicTensor): SymbolicTensor {
    const [n, width] = w.shape;
    if (w.rank !== 4 || n !== width || typeof n !== 'number')
      throw new ShapeError(`RadialConstraint: the weight must be a square kernel (n, n, in, out), got ${w}`);
    if (n === 1) return w;
    const start = Math.floor(n / 2);
    const centre = (n - 1) / 2;
    const source = (i: number, j: number): number => {
      const ring = Math.floor(Math.max(Math.abs(i - centre), Math.abs(j - centre)));
      return ring === 0 ? start - 1 : start + ring - (n % 2);
    };
    const indices = Int32Array.from({ length: n * n }, (_, k) => source(Math.floor(k / n), k % n) * (n + 1));
    const rows = ops.reshape(w, [n * n, w.shape[2]!, w.shape[3]!]);
    const at = w.trace.tensor(w.trace.b.constant({ dtype: 'int32', shape: [n * n], data: indices }));
    return ops.reshape(ops.take(rows, at), w.shape);
  }
}

export const RadialConstraint = callable(RadialConstraintClass);
export const radialConstraint = RadialConstraint;
export const MaxNorm = callable(MaxNormClass);
export const MinMaxNorm = callable(MinMaxNormClass);
export const UnitNorm = callable(UnitNormClass);
export const NonNeg = callable(NonNegClass);

export const maxNorm = MaxNorm;
export const minMaxNorm = MinMaxNorm;
export const unitNorm = UnitNorm;
export const nonNeg = NonNeg;

export type ConstraintIdentifier = string | Constraint | SerializedObject;

const registry: Registry<Constraint> = {
  what: 'constraint',
  classes: {
    MaxNorm: (o) => MaxNorm(o),
    MinMaxNorm: (o) => MinMaxNorm(o),
    UnitNorm: (o) => UnitNorm(o),
    NonNeg: () => NonNeg(),
    RadialConstraint: () => RadialConstraint(),
  },
  aliases: {},
};

export function get(id: ConstraintIdentifier | null | undefined): Constraint | null {
  return id === null || id === undefined ? null : getFrom(registry, id, (x): x is Constraint => x instanceof Constraint, 'keras3');
}
export const serialize = (c: Constraint): SerializedObject => serializeObject('keras.constraints', c.className, c);
export const deserialize = (config: SerializedObject): Constraint | null => get(config);
