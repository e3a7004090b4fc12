/** Initial values of weights, computed on the host. Shapes, fans and defaults as in `tf.keras.initializers`. */
import { ValueError } from '../../../ir/errors.js';
import { sizeOf } from '../../../ir/tensor-data.js';
import { type Callable, callable } from '../utils/callable.js';
import { getRegisteredObject } from '../utils/custom-objects.js';
import { finiteNumber, oneOf, resolveOptions } from '../utils/options.js';
import { nextSeed, RandomStream } from '../utils/random.js';
import { classNamed, getFrom, type JsonObject, type Registry, type SerializedObject, serializeObject } from '../utils/serialization.js';

/** Base class. A subclass gives values for a shape. */
export abstract class Initializer {
  abstract readonly className: string;
  /** Values for a weight of the shape, row-major. */
  abstract values(shape: readonly number[]): Float32Array;
  getConfig(): JsonObject {
    return {};
  }
}

/** A function from shape to values may stand for an initializer. */
class FunctionInitializer extends Initializer {
  readonly className = 'Function';
  constructor(private readonly fn: (shape: readonly number[]) => ArrayLike<number>) {
    super();
  }
  values(shape: readonly number[]): Float32Array {
    const v = Float32Array.from(this.fn(shape));
    if (v.length !== sizeOf(shape)) throw new ValueError(`initializer: the function gave ${v.length} values for shape [${shape.join(', ')}]`);
    return v;
  }
}

interface SeedOptions {
  seed: number | null;
}

abstract class RandomInitializer extends Initializer {
  readonly seed: number | null;
  private readonly stream: RandomStream;
  constructor(seed: number | null) {
    super();
    this.seed = seed;
    this.stream = new RandomStream(seed ?? nextSeed());
  }
  protected draw(shape: readonly number[], one: (r: RandomStream) => number): Float32Array {
    // A seeded initializer gives the same values at every call, as in Keras.
    const stream = this.seed === null ? this.stream : new RandomStream(this.seed);
    return Float32Array.from({ length: sizeOf(shape) }, () => one(stream));
  }
}

class ZerosClass extends Initializer {
  readonly className = 'Zeros';
  values(shape: readonly number[]): Float32Array {
    return new Float32Array(sizeOf(shape));
  }
}

class OnesClass extends Initializer {
  readonly className = 'Ones';
  values(shape: readonly number[]): Float32Array {
    return new Float32Array(sizeOf(shape)).fill(1);
  }
}

class ConstantClass extends Initializer {
  readonly className = 'Constant';
  readonly value: number;
  constructor(value: number | { value?: number } = 0) {
    super();
    this.value = resolveOptions<{ value: number }>('Constant', [value], ['value'], { value: 0 }).value;
  }
  values(shape: readonly number[]): Float32Array {
    return new Float32Array(sizeOf(shape)).fill(this.value);
  }
  override getConfig(): JsonObject {
    return { value: this.value };
  }
}

class RandomUniformClass extends RandomInitializer {
  readonly className = 'RandomUniform';
  readonly minval: number;
  readonly maxval: number;
  /** Uniform in [minval, maxval); defaults -0.05 and 0.05. */
  constructor(options?: Partial<{ minval: number; maxval: number } & SeedOptions>) {
    const o = resolveOptions<{ minval: number; maxval: number } & SeedOptions>('RandomUniform', [options], [], { minval: -0.05, maxval: 0.05, seed: null });
    for (const name of ['minval', 'maxval'] as const) finiteNumber('RandomUniform', name, o[name]);
    super(o.seed);
    this.minval = o.minval;
    this.maxval = o.maxval;
  }
  values(shape: readonly number[]): Float32Array {
    return this.draw(shape, (r) => this.minval + (this.maxval - this.minval) * r.uniform());
  }
  override getConfig(): JsonObject {
    return { minval: this.minval, maxval: this.maxval, seed: this.seed };
  }
}

interface NormalOptions extends SeedOptions {
  mean: number;
  stddev: number;
}

class RandomNormalClass extends RandomInitializer {
  readonly className: string = 'RandomNormal';
  readonly mean: number;
  readonly stddev: number;
  /** Normal with mean 0 and standard deviation 0.05 by default. */
  constructor(options?: Partial<NormalOptions>) {
    const o = resolveOptions<NormalOptions>('RandomNormal', [options], [], { mean: 0, stddev: 0.05, seed: null });
    for (const name of ['mean', 'stddev'] as const) finiteNumber('RandomNormal', name, o[name]);
    super(o.seed);
    this.mean = o.mean;
    this.stddev = o.stddev;
  }
  values(shape: readonly number[]): Float32Array {
    return this.draw(shape, (r) => this.mean + this.stddev * r.normal());
  }
  override getConfig(): JsonObject {
    return { mean: this.mean, stddev: this.stddev, seed: this.seed };
  }
}

class TruncatedNormalClass extends RandomNormalClass {
  override readonly className = 'TruncatedNormal';
  override values(shape: readonly number[]): Float32Array {
    return this.draw(shape, (r) => this.mean + this.stddev * r.truncatedNormal());
  }
}

/** Fan-in and fan-out of a weight: dense kernels (in, out), convolution kernels (…space, in, out). */
export function fans(shape: readonly number[]): { fanIn: number; fanOut: number } {
  if (shape.length === 0) return { fanIn: 1, fanOut: 1 };
  if (shape.length === 1) return { fanIn: shape[0]!, fanOut: shape[0]! };
  const field = sizeOf(shape.slice(0, -2));
  return { fanIn: shape.at(-2)! * field, fanOut: shape.at(-1)! * field };
}

interface VarianceScalingOptions extends SeedOptions {
  scale: number;
  mode: 'fan_in' | 'fan_out' | 'fan_avg';
  distribution: 'truncated_normal' | 'untruncated_normal' | 'uniform' | 'normal';
}

class VarianceScalingClass extends RandomInitializer {
  readonly className: string = 'VarianceScaling';
  readonly scale: number;
  readonly mode: VarianceScalingOptions['mode'];
  readonly distribution: VarianceScalingOptions['distribution'];
  constructor(options?: Partial<VarianceScalingOptions>) {
    const o = resolveOptions<VarianceScalingOptions>('VarianceScaling', [options], [], {
      scale: 1,
      mode: 'fan_in',
      distribution: 'truncated_normal',
      seed: null,
    });
    super(o.seed);
    if (!(o.scale > 0)) throw new ValueError(`VarianceScaling: 'scale' must be positive, got ${o.scale}`);
    this.scale = o.scale;
    this.mode = oneOf('VarianceScaling', 'mode', o.mode, ['fan_in', 'fan_out', 'fan_avg']);
    this.distribution = oneOf('VarianceScaling', 'distribution', o.distribution, ['truncated_normal', 'untruncated_normal', 'uniform', 'normal']);
  }
  values(shape: readonly number[]): Float32Array {
    const { fanIn, fanOut } = fans(shape);
    const n = this.mode === 'fan_in' ? fanIn : this.mode === 'fan_out' ? fanOut : (fanIn + fanOut) / 2;
    const variance = this.scale / Math.max(1, n);
    if (this.distribution === 'uniform') {
      const limit = Math.sqrt(3 * variance);
      return this.draw(shape, (r) => (2 * r.uniform() - 1) * limit);
    }
    if (this.distribution === 'untruncated_normal') return this.draw(shape, (r) => r.normal() * Math.sqrt(variance));
    // 0.8796… is the standard deviation of the standard normal distribution truncated to [-2, 2].
    const stddev = Math.sqrt(variance) / 0.87962566103423978;
    return this.draw(shape, (r) => r.truncatedNormal() * stddev);
  }
  override getConfig(): JsonObject {
    return { scale: this.scale, mode: this.mode, distribution: this.distribution, seed: this.seed };
  }
}

/** A named member of the variance scaling family, which has a seed only. */
function scaled(className: string, fixed: Omit<VarianceScalingOptions, 'seed'>) {
  return class extends VarianceScalingClass {
    override readonly className = className;
    constructor(options?: Partial<SeedOptions>) {
      super({ ...fixed, seed: resolveOptions<SeedOptions>(className, [options], [], { seed: null }).seed });
    }
    override getConfig(): JsonObject {
      return { seed: this.seed };
    }
  };
}

class OrthogonalClass extends RandomInitializer {
  readonly className = 'Orthogonal';
  readonly gain: number;
  constructor(options?: Partial<{ gain: number } & SeedOptions>) {
    const o = resolveOptions<{ gain: number } & SeedOptions>('Orthogonal', [options], [], { gain: 1, seed: null });
    super(o.seed);
    this.gain = o.gain;
  }
  values(shape: readonly number[]): Float32Array {
    if (shape.length < 2) throw new ValueError(`Orthogonal: the weight must have at least two dimensions, got shape [${shape.join(', ')}]`);
    const cols = shape.at(-1)!;
    const rows = sizeOf(shape) / cols;
    const [n, m] = rows < cols ? [rows, cols] : [cols, rows];
    const q = orthonormalRows(n, m, Float64Array.from(this.draw([n * m], (r) => r.normal())));
    const out = new Float32Array(rows * cols);
    for (let i = 0; i < n; i++) for (let j = 0; j < m; j++) out[rows < cols ? i * cols + j : j * cols + i] = this.gain * q[i * m + j]!;
    return out;
  }
  override getConfig(): JsonObject {
    return { gain: this.gain, seed: this.seed };
  }
}

/** Makes n rows of length m (n ≤ m) orthonormal: modified Gram-Schmidt, twice for accuracy. */
function orthonormalRows(n: number, m: number, a: Float64Array): Float64Array {
  for (let i = 0; i < n; i++) {
    for (let pass = 0; pass < 2; pass++) {
      for (let k = 0; k < i; k++) {
        let dot = 0;
        for (let j = 0; j < m; j++) dot += a[i * m + j]! * a[k * m + j]!;
        for (let j = 0; j < m; j++) a[i * m + j]! -= dot * a[k * m + j]!;
      }
    }
    let norm = 0;
    for (let j = 0; j < m; j++) norm += a[i * m + j]! ** 2;
    norm = Math.sqrt(norm);
    for (let j = 0; j < m; j++) a[i * m + j]! /= norm;
  }
  return a;
}

class IdentityClass extends Initializer {
  readonly className = 'Identity';
  readonly gain: number;
  constructor(options?: Partial<{ gain: number }>) {
    super();
    this.gain = resolveOptions<{ gain: number }>('Identity', [options], [], { gain: 1 }).gain;
  }
  values(shape: readonly number[]): Float32Array {
    if (shape.length !== 2) throw new ValueError(`Identity: the weight must have two dimensions, got shape [${shape.join(', ')}]`);
    const out = new Float32Array(sizeOf(shape));
    for (let i = 0; i < Math.min(shape[0]!, shape[1]!); i++) out[i * shape[1]! + i] = this.gain;
    return out;
  }
  override getConfig(): JsonObject {
    return { gain: this.gain };
  }
}

export const Zeros = callable(ZerosClass);
export const Ones = callable(OnesClass);
export const Constant = callable(ConstantClass);
export const RandomUniform = callable(RandomUniformClass);
export const RandomNormal = callable(RandomNormalClass);
export const TruncatedNormal = callable(TruncatedNormalClass);
export const VarianceScaling = callable(VarianceScalingClass);
export const Orthogonal = callable(OrthogonalClass);
export const Identity = callable(IdentityClass);
type Scaled = Callable<new (options?: Partial<SeedOptions>) => VarianceScalingClass>;
export const GlorotUniform: Scaled = callable(scaled('GlorotUniform', { scale: 1, mode: 'fan_avg', distribution: 'uniform' }));
export const GlorotNormal: Scaled = callable(scaled('GlorotNormal', { scale: 1, mode: 'fan_avg', distribution: 'truncated_normal' }));
export const HeUniform: Scaled = callable(scaled('HeUniform', { scale: 2, mode: 'fan_in', distribution: 'uniform' }));
export const HeNormal: Scaled = callable(scaled('HeNormal', { scale: 2, mode: 'fan_in', distribution: 'truncated_normal' }));
export const LecunUniform: Scaled = callable(scaled('LecunUniform', { scale: 1, mode: 'fan_in', distribution: 'uniform' }));
export const LecunNormal: Scaled = callable(scaled('LecunNormal', { scale: 1, mode: 'fan_in', distribution: 'truncated_normal' }));

/** The names of Keras' functions. */
export {
  Constant as constant,
  GlorotNormal as glorotNormal,
  GlorotUniform as glorotUniform,
  HeNormal as heNormal,
  HeUniform as heUniform,
  Identity as identity,
  LecunNormal as lecunNormal,
  LecunUniform as lecunUniform,
  Ones as ones,
  Orthogonal as orthogonal,
  RandomNormal as randomNormal,
  RandomUniform as randomUniform,
  TruncatedNormal as truncatedNormal,
  VarianceScaling as varianceScaling,
  Zeros as zeros,
};

/** What a layer takes for an initializer: a name, an instance, a config, or a function from shape to values. */
export type InitializerIdentifier = string | Initializer | SerializedObject | ((shape: readonly number[]) => ArrayLike<number>);

const seedOnly = (o: Record<string, unknown>): Partial<SeedOptions> => ({ seed: (o.seed as number | null | undefined) ?? null });

const registry: Registry<Initializer> = {
  what: 'initializer',
  classes: {
    Zeros: () => Zeros(),
    Ones: () => Ones(),
    Constant: (o) => Constant(o),
    RandomUniform: (o) => RandomUniform(o),
    RandomNormal: (o) => RandomNormal(o),
    TruncatedNormal: (o) => TruncatedNormal(o),
    VarianceScaling: (o) => VarianceScaling(withoutAxes(o)),
    Orthogonal: (o) => Orthogonal(o),
    Identity: (o) => Identity(o),
    // Keras 3 adds input_axes and output_axes, null in every layer of Keras.
    GlorotUniform: (o) => GlorotUniform(seedOnly(o)),
    GlorotNormal: (o) => GlorotNormal(seedOnly(o)),
    HeUniform: (o) => HeUniform(seedOnly(o)),
    HeNormal: (o) => HeNormal(seedOnly(o)),
    LecunUniform: (o) => LecunUniform(seedOnly(o)),
    LecunNormal: (o) => LecunNormal(seedOnly(o)),
  },
  aliases: {
    zero: 'Zeros',
    one: 'Ones',
    uniform: 'RandomUniform',
    normal: 'RandomNormal',
    identity: 'Identity',
    eye: 'Identity',
    IdentityInitializer: 'Identity',
    OrthogonalInitializer: 'Orthogonal',
  },
};

function withoutAxes(o: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(o).filter(([k, v]) => v !== null || (k !== 'inputAxes' && k !== 'outputAxes')));
}

/** The initializer that an identifier stands for. */
export function get(id: InitializerIdentifier): Initializer {
  if (typeof id === 'function' && !(id instanceof Initializer)) return new FunctionInitializer(id as (shape: readonly number[]) => ArrayLike<number>);
  return getFrom(registry, id, (x): x is Initializer => x instanceof Initializer, 'keras3');
}

/** Throws for what `get` would not take. Makes nothing, so that no seed is drawn. */
export function checkIdentifier(id: unknown): void {
  if (typeof id === 'string' && getRegisteredObject(id) === null) classNamed(registry, id);
  if (typeof id === 'number' || typeof id === 'boolean')
    throw new ValueError(`an initializer must be a name, an instance or a config with class_name and config, got ${String(id)}`);
}

export const serialize = (initializer: Initializer): SerializedObject => serializeObject('keras.initializers', initializer.className, initializer);
export const deserialize = (config: SerializedObject): Initializer => get(config);
