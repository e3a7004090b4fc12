/** Penalties on weights and activations, as in `tf.keras.regularizers`. */
import { ShapeError, ValueError } from '../../ir/errors.js';
import * as ops from './backend/ops.js';
import type { SymbolicTensor } from './backend/trace.js';
import { callable } from './utils/callable.js';
import { oneOf, resolveOptions } from './utils/options.js';
import { getFrom, type JsonObject, type Registry, type SerializedObject, serializeObject } from './utils/serialization.js';

/** Base class: `call` gives a scalar. */
export abstract class Regularizer {
  abstract readonly className: string;
  abstract call(x: SymbolicTensor): SymbolicTensor;
  abstract getConfig(): JsonObject;
}

function checked(what: string, name: string, x: unknown): number {
  if (typeof x !== 'number' || !Number.isFinite(x)) throw new ValueError(`${what}: '${name}' must be a finite number, got ${x}`);
  return x;
}

class L1L2Class extends Regularizer {
  readonly className: string = 'L1L2';
  readonly l1: number;
  readonly l2: number;
  /** l1 * sum |x| + l2 * sum x². Both default to 0. */
  constructor(options?: { l1?: number; l2?: number }) {
    super();
    const o = resolveOptions<{ l1: number; l2: number }>('L1L2', [options], [], { l1: 0, l2: 0 });
    this.l1 = checked('L1L2', 'l1', o.l1 ?? 0);
    this.l2 = checked('L1L2', 'l2', o.l2 ?? 0);
  }
  call(x: SymbolicTensor): SymbolicTensor {
    const parts: SymbolicTensor[] = [];
    if (this.l1 !== 0) parts.push(ops.multiply(ops.sum(ops.abs(x)), this.l1));
    if (this.l2 !== 0) parts.push(ops.multiply(ops.sum(ops.square(x)), this.l2));
    return parts.length === 0 ? ops.full(x, [], 0) : parts.reduce(ops.add);
  }
  getConfig(): JsonObject {
    return { l1: this.l1, l2: this.l2 };
  }
}

class L1Class extends L1L2Class {
  override readonly className = 'L1';
  /** Default 0.01. */
  constructor(l1: number | { l1?: number } = 0.01) {
    super({ l1: resolveOptions<{ l1: number }>('L1', [l1], ['l1'], {}).l1 });
  }
  override getConfig(): JsonObject {
    return { l1: this.l1 };
  }
}

class L2Class extends L1L2Class {
  override readonly className = 'L2';
  /** Default 0.01. */
  constructor(l2: number | { l2?: number } = 0.01) {
    super({ l2: resolveOptions<{ l2: number }>('L2', [l2], ['l2'], {}).l2 });
  }
  override getConfig(): JsonObject {
    return { l2: this.l2 };
  }
}

class OrthogonalRegularizerClass extends Regularizer {
  readonly className = 'OrthogonalRegularizer';
  readonly factor: number;
  readonly mode: 'rows' | 'columns';
  /** factor * the mean of |cosine| over all pairs of rows (or columns) of a matrix. Defaults 0.01, rows. */
  constructor(options?: { factor?: number; mode?: 'rows' | 'columns' }) {
    super();
    const o = resolveOptions<{ factor: number; mode: string }>('OrthogonalRegularizer', [options], [], { factor: 0.01, mode: 'rows' });
    this.factor = checked('OrthogonalRegularizer', 'factor', o.factor);
    this.mode = oneOf('OrthogonalRegularizer', 'mode', o.mode, ['rows', 'columns']);
  }
  call(x: SymbolicTensor): SymbolicTensor {
    if (x.rank !== 2) throw new ShapeError(`OrthogonalRegularizer: the weight must have rank 2, got ${x}`);
    const [own, other] = this.mode === 'rows' ? [0, 1] : [1, 0];
    const unit = ops.l2Normalize(x, [other]);
    const size = x.shape[own] as number;
    const products = ops.dot(unit, unit, { batchLeft: [], batchRight: [], contractLeft: [other], contractRight: [other] });
    const apart = ops.notEqual(ops.iota(x, [size, size], 0), ops.iota(x, [size, size], 1));
    const pairs = (size * (size - 1)) / 2;
    return ops.multiply(ops.sum(ops.where(apart, ops.abs(products), 0)), (0.5 * this.factor) / pairs);
  }
  getConfig(): JsonObject {
    return { factor: this.factor, mode: this.mode };
  }
}

export const OrthogonalRegularizer = callable(OrthogonalRegularizerClass);
export const orthogonalRegularizer = OrthogonalRegularizer;
export const L1L2 = callable(L1L2Class);
export const L1 = callable(L1Class);
export const L2 = callable(L2Class);
export const l1 = L1;
export const l2 = L2;
/** Keras' function `l1_l2`: both default to 0.01. */
export const l1L2 = (options: { l1?: number; l2?: number } = {}): Regularizer => L1L2({ l1: options.l1 ?? 0.01, l2: options.l2 ?? 0.01 });

export type RegularizerIdentifier = string | Regularizer | SerializedObject;

const registry: Registry<Regularizer> = {
  what: 'regularizer',
  classes: {
    L1: (o) => L1({ l1: 0.01, ...o }),
    L2: (o) => L2({ l2: 0.01, ...o }),
    OrthogonalRegularizer: (o) => OrthogonalRegularizer(o),
    L1L2: (o) => (Object.keys(o).length ? L1L2(o) : L1L2({ l1: 0.01, l2: 0.01 })),
  },
  aliases: { l1: 'L1', l2: 'L2', l1_l2: 'L1L2', l1l2: 'L1L2' },
};

export function get(id: RegularizerIdentifier | null | undefined): Regularizer | null {
  return id === null || id === undefined ? null : getFrom(registry, id, (x): x is Regularizer => x instanceof Regularizer, 'keras3');
}
export const serialize = (r: Regularizer): SerializedObject => serializeObject('keras.regularizers', r.className, r);
export const deserialize = (config: SerializedObject): Regularizer | null => get(config);
