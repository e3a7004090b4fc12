/** tf.keras.optimizers: the classic ones, and the way from names and configurations to all. */
import { ValueError } from '../../../ir/errors.js';
import * as ops from '../backend/ops.js';
import type { SymbolicTensor } from '../backend/trace.js';
import { callable, isClassOf } from '../utils/callable.js';
import { describe, numberBetween, resolveOptions, truth } from '../utils/options.js';
import { classNamed, isSerialized, type JsonObject, optionsOfConfig, type Registry, type SerializedObject, serializeObject } from '../utils/serialization.js';
import {
  AdadeltaClass,
  type AdadeltaOptions,
  FtrlClass,
  type FtrlOptions,
  LionClass,
  NadamClass,
  type NadamOptions,
  ScheduleFreeAdamWClass,
} from './adaptive.js';
import { inertOptimizerOptions, Optimizer, type OptimizerApi, type OptimizerOptions, optimizerDefaults, rateFirst, type UpdateContext } from './optimizer.js';
import { AdafactorClass, LambClass, MuonClass } from './per-weight.js';
import * as schedules from './schedules.js';

export interface SGDOptions extends OptimizerOptions {
  /** Default 0. */
  readonly momentum?: number;
  readonly nesterov?: boolean;
}

/** Stochastic gradient descent, with momentum. Default learning rate 0.01. */
class SGDClass extends Optimizer {
  static override readonly className = 'SGD';
  readonly momentum: number;
  readonly nesterov: boolean;
  constructor(learningRate?: SGDOptions['learningRate'] | SGDOptions, options?: SGDOptions) {
    const o = resolveOptions<SGDOptions>('SGD', rateFirst(learningRate, options), [], {
      ...optimizerDefaults,
      name: 'sgd',
      learningRate: 0.01,
      momentum: 0,
      nesterov: false,
    });
    super('sgd', o);
    this.momentum = numberBetween('SGD', 'momentum', o.momentum ?? 0, 0, 1);
    this.nesterov = truth('SGD', 'nesterov', o.nesterov ?? false);
  }
  // the SGD of Keras 2 keeps its momentum vectors even when momentum is 0
  slotNames(): readonly string[] {
    return this.momentum > 0 || this.api === 'keras2' ? ['momentum'] : [];
  }
  override get updatesTouchedRowsOnly(): boolean {
    return this.api === 'legacy' && this.momentum > 0;
  }
  protected update(u: UpdateContext): SymbolicTensor {
    const step = ops.multiply(u.gradient, u.learningRate);
    if (this.slotNames().length === 0) return ops.subtract(u.parameters, step);
    const old = u.slot('momentum');
    const next = ops.subtract(ops.multiply(old, this.momentum), step);
    const m = u.touched ? ops.where(u.touched, next, old) : next;
    u.setSlot('momentum', m);
    const move = this.nesterov ? ops.subtract(ops.multiply(next, this.momentum), step) : next;
    const value = ops.add(u.parameters, move);
    return u.touched ? ops.where(u.touched, value, u.parameters) : value;
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), momentum: this.momentum, nesterov: this.nesterov };
  }
}

export interface RMSpropOptions extends OptimizerOptions {
  /** Decay of the mean of squared gradients; default 0.9. */
  readonly rho?: number;
  readonly momentum?: number;
  readonly epsilon?: number;
  /** Subtracts the squared mean of gradients. */
  readonly centered?: boolean;
}

/** Gradients divided by the root of the mean of their squares. Default learning rate 0.001. */
class RMSpropClass extends Optimizer {
  static override readonly className = 'RMSprop';
  readonly rho: number;
  readonly momentum: number;
  readonly epsilon: number;
  readonly centered: boolean;
  constructor(learningRate?: RMSpropOptions['learningRate'] | RMSpropOptions, options?: RMSpropOptions) {
    const o = resolveOptions<RMSpropOptions>('RMSprop', rateFirst(learningRate, options), [], {
      ...optimizerDefaults,
      name: 'rmsprop',
      learningRate: 0.001,
      rho: 0.9,
      momentum: 0,
      epsilon: 1e-7,
      centered: false,
    });
    super('rmsprop', o);
    this.rho = numberBetween('RMSprop', 'rho', o.rho, 0, 1);
    this.momentum = numberBetween('RMSprop', 'momentum', o.momentum, 0, 1);
    this.epsilon = numberBetween('RMSprop', 'epsilon', o.epsilon, 0, Infinity);
    this.centered = truth('RMSprop', 'centered', o.centered);
  }
  slotNames(): readonly string[] {
    return ['velocity', ...(this.momentum > 0 ? ['momentum'] : []), ...(this.centered ? ['average_gradient'] : [])];
  }
  override get updatesTouchedRowsOnly(): boolean {
    return this.api === 'legacy' && this.momentum > 0;
  }
  protected update(u: UpdateContext): SymbolicTensor {
    const g = u.gradient;
    const keep = (name: string, value: SymbolicTensor) => {
      u.setSlot(name, u.touched ? ops.where(u.touched, value, u.slot(name)) : value);
      return value;
    };
    const mix = (name: string, x: SymbolicTensor) => keep(name, ops.add(ops.multiply(u.slot(name), this.rho), ops.multiply(x, 1 - this.rho)));
    const velocity = mix('velocity', ops.square(g));
    const denominator = this.centered ? ops.subtract(velocity, ops.square(mix('average_gradient', g))) : velocity;
    const scaled = ops.multiply(g, u.learningRate);
    // legacy RMSprop without momentum adds epsilon outside the root
    const outside = this.api === 'legacy' && this.momentum === 0;
    let move = outside ? ops.divide(scaled, ops.add(ops.sqrt(denominator), this.epsilon)) : ops.multiply(scaled, ops.rsqrt(ops.add(denominator, this.epsilon)));
    if (this.momentum > 0) move = keep('momentum', ops.add(ops.multiply(u.slot('momentum'), this.momentum), move));
    const value = ops.subtract(u.parameters, move);
    return u.touched ? ops.where(u.touched, value, u.parameters) : value;
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), rho: this.rho, momentum: this.momentum, epsilon: this.epsilon, centered: this.centered };
  }
}

export interface AdamOptions extends OptimizerOptions {
  /** Decay of the first moment; default 0.9. */
  readonly beta1?: number;
  /** Decay of the second moment; default 0.999. */
  readonly beta2?: number;
  readonly epsilon?: number;
  /** Divides by the largest second moment so far. */
  readonly amsgrad?: boolean;
}

/** Adaptive moments: learningRate * sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + epsilon). Default learning rate 0.001. */
class AdamClass extends Optimizer {
  static override readonly className: string = 'Adam';
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly amsgrad: boolean;
  constructor(learningRate?: AdamOptions['learningRate'] | AdamOptions, options?: AdamOptions) {
    const o = resolveOptions<AdamOptions>('Adam', rateFirst(learningRate, options), [], {
      ...optimizerDefaults,
      name: 'adam',
      learningRate: 0.001,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-7,
      amsgrad: false,
    });
    super('adam', o);
    this.beta1 = numberBetween('Adam', 'beta1', o.beta1, 0, 1, true);
    this.beta2 = numberBetween('Adam', 'beta2', o.beta2, 0, 1, true);
    this.epsilon = numberBetween('Adam', 'epsilon', o.epsilon, 0, Infinity);
    this.amsgrad = truth('Adam', 'amsgrad', o.amsgrad);
  }
  slotNames(): readonly string[] {
    return this.amsgrad ? ['m', 'v', 'vhat'] : ['m', 'v'];
  }
  protected update(u: UpdateContext): SymbolicTensor {
    const correction = ops.divide(ops.sqrt(ops.subtract(1, ops.power(this.beta2, u.step))), ops.subtract(1, ops.power(this.beta1, u.step)));
    const rate = ops.multiply(u.learningRate, correction);
    const toward = (old: SymbolicTensor, x: SymbolicTensor, beta: number) => ops.add(old, ops.multiply(ops.subtract(x, old), 1 - beta));
    const m = toward(u.slot('m'), u.gradient, this.beta1);
    let v = toward(u.slot('v'), ops.square(u.gradient), this.beta2);
    u.setSlot('m', m);
    u.setSlot('v', v);
    if (this.amsgrad) {
      v = ops.maximum(u.slot('vhat'), v);
      u.setSlot('vhat', v);
    }
    return ops.subtract(u.parameters, ops.divide(ops.multiply(m, rate), ops.add(ops.sqrt(v), this.epsilon)));
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), beta_1: this.beta1, beta_2: this.beta2, epsilon: this.epsilon, amsgrad: this.amsgrad };
  }
}

/** Adam with weight decay, 0.004 by default. */
class AdamWClass extends AdamClass {
  static override readonly className: string = 'AdamW';
  constructor(learningRate?: AdamOptions['learningRate'] | AdamOptions, options?: AdamOptions) {
    super({ weightDecay: 0.004, name: 'adamw', ...(rateFirst(learningRate, options)[0] as AdamOptions | undefined) });
  }
}

export interface AdagradOptions extends OptimizerOptions {
  /** Start of the sums of squared gradients; default 0.1. */
  readonly initialAccumulatorValue?: number;
  readonly epsilon?: number;
}

/** Gradients divided by the root of the sum of their squares. Default learning rate 0.001. */
class AdagradClass extends Optimizer {
  static override readonly className = 'Adagrad';
  readonly initialAccumulatorValue: number;
  readonly epsilon: number;
  constructor(learningRate?: AdagradOptions['learningRate'] | AdagradOptions, options?: AdagradOptions) {
    const o = resolveOptions<AdagradOptions>('Adagrad', rateFirst(learningRate, options), [], {
      ...optimizerDefaults,
      name: 'adagrad',
      learningRate: 0.001,
      initialAccumulatorValue: 0.1,
      epsilon: 1e-7,
    });
    super('adagrad', o);
    this.initialAccumulatorValue = numberBetween('Adagrad', 'initialAccumulatorValue', o.initialAccumulatorValue, 0, Infinity);
    this.epsilon = numberBetween('Adagrad', 'epsilon', o.epsilon, 0, Infinity);
  }
  slotNames(): readonly string[] {
    return ['accumulator'];
  }
  override initialSlot(slot: string, parameters: Float32Array): Float32Array | null {
    return slot === 'accumulator' ? new Float32Array(parameters.length).fill(this.initialAccumulatorValue) : super.initialSlot(slot, parameters);
  }
  protected update(u: UpdateContext): SymbolicTensor {
    const sum = ops.add(u.slot('accumulator'), ops.square(u.gradient));
    u.setSlot('accumulator', sum);
    const scaled = ops.multiply(u.gradient, u.learningRate);
    // the legacy optimizer adds epsilon outside the root
    const move = this.api === 'legacy' ? ops.divide(scaled, ops.add(ops.sqrt(sum), this.epsilon)) : ops.multiply(scaled, ops.rsqrt(ops.add(sum, this.epsilon)));
    return ops.subtract(u.parameters, move);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), initial_accumulator_value: this.initialAccumulatorValue, epsilon: this.epsilon };
  }
}

export type AdamaxOptions = Omit<AdamOptions, 'amsgrad'>;

/** Adam with the infinity norm: learningRate / (1 - beta1^t) * m / (u + epsilon). Default learning rate 0.001. */
class AdamaxClass extends Optimizer {
  static override readonly className = 'Adamax';
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  constructor(learningRate?: AdamaxOptions['learningRate'] | AdamaxOptions, options?: AdamaxOptions) {
    const o = resolveOptions<AdamaxOptions>('Adamax', rateFirst(learningRate, options), [], {
      ...optimizerDefaults,
      name: 'adamax',
      learningRate: 0.001,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-7,
    });
    super('adamax', o);
    this.beta1 = numberBetween('Adamax', 'beta1', o.beta1, 0, 1, true);
    this.beta2 = numberBetween('Adamax', 'beta2', o.beta2, 0, 1, true);
    this.epsilon = numberBetween('Adamax', 'epsilon', o.epsilon, 0, Infinity);
  }
  slotNames(): readonly string[] {
    return ['m', 'u'];
  }
  override get updatesTouchedRowsOnly(): boolean {
    return this.api === 'legacy';
  }
  protected update(u: UpdateContext): SymbolicTensor {
    const keep = (name: string, value: SymbolicTensor) => {
      u.setSlot(name, u.touched ? ops.where(u.touched, value, u.slot(name)) : value);
      return value;
    };
    const m = keep('m', ops.add(u.slot('m'), ops.multiply(ops.subtract(u.gradient, u.slot('m')), 1 - this.beta1)));
    const norm = keep('u', ops.maximum(ops.multiply(u.slot('u'), this.beta2), ops.abs(u.gradient)));
    const rate = ops.divide(u.learningRate, ops.subtract(1, ops.power(this.beta1, u.step)));
    const value = ops.subtract(u.parameters, ops.divide(ops.multiply(m, rate), ops.add(norm, this.epsilon)));
    return u.touched ? ops.where(u.touched, value, u.parameters) : value;
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), beta_1: this.beta1, beta_2: this.beta2, epsilon: this.epsilon };
  }
}

export const SGD = callable(SGDClass);
export const RMSprop = callable(RMSpropClass);
export const Adam = callable(AdamClass);
export const AdamW = callable(AdamWClass);
export const Adagrad = callable(AdagradClass);
export const Adamax = callable(AdamaxClass);
export const Adadelta = callable(AdadeltaClass);
export const Nadam = callable(NadamClass);
export const Ftrl = callable(FtrlClass);
export const Lion = callable(LionClass);
export const Adafactor = callable(AdafactorClass);
export const Lamb = callable(LambClass);
export const ScheduleFreeAdamW = callable(ScheduleFreeAdamWClass);
export const Muon = callable(MuonClass);

/** The optimizers of `tf.keras.optimizers.legacy`: `optimizers.legacy.Adam(0.01, { decay: 1e-4 })`. */
const old =
  <O extends OptimizerOptions>(make: (options: O) => Optimizer) =>
  (learningRate?: O['learningRate'] | O, options?: O): Optimizer =>
    make({ ...(rateFirst(learningRate, options)[0] as O), api: 'legacy' });
export const legacy = {
  Optimizer,
  SGD: old<SGDOptions>(SGD),
  RMSprop: old<RMSpropOptions>(RMSprop),
  Adam: old<AdamOptions>(Adam),
  Adagrad: old<AdagradOptions>(Adagrad),
  Adamax: old<AdamaxOptions>(Adamax),
  Adadelta: old<AdadeltaOptions>(Adadelta),
  Nadam: old<NadamOptions>(Nadam),
  Ftrl: old<FtrlOptions>(Ftrl),
} as const;

const registry: Registry<Optimizer> = {
  what: 'optimizer',
  classes: {
    SGD: (o) => SGD(o),
    RMSprop: (o) => RMSprop(o),
    Adam: (o) => Adam(o),
    AdamW: (o) => AdamW(o),
    Adagrad: (o) => Adagrad(o),
    Adamax: (o) => Adamax(o),
    Adadelta: (o) => Adadelta(o),
    Nadam: (o) => Nadam(o),
    Ftrl: (o) => Ftrl(o),
    Lion: (o) => Lion(o),
    Adafactor: (o) => Adafactor(o),
    Lamb: (o) => Lamb(o),
    ScheduleFreeAdamW: (o) => ScheduleFreeAdamW(o),
    Muon: (o) => Muon(o),
  },
  aliases: { rms_prop: 'RMSprop', RMSProp: 'RMSprop' },
};

export type OptimizerIdentifier = string | Optimizer | SerializedObject;

/** The optimizer that a name, a config or an instance stands for. */
export function get(id: OptimizerIdentifier, api: OptimizerApi = 'keras3'): Optimizer {
  if (id instanceof Optimizer) return id;
  if (typeof id === 'string') return registry.classes[classNamed(registry, id)]!({ api }, 'keras3');
  // numbers of 32 bits need no scaled losses: what is scaled is the optimizer inside
  if (isSerialized(id) && /^LossScaleOptimizer/.test(id.class_name) && isSerialized(id.config?.inner_optimizer)) return get(id.config.inner_optimizer, api);
  if (isSerialized(id)) {
    const o = optionsOfConfig(id.config ?? {});
    for (const name of inertOptimizerOptions) delete o[name];
    const found = id.module?.includes('legacy') ? 'legacy' : api;
    return registry.classes[classNamed(registry, id.class_name)]!({ ...o, api: found }, 'keras3');
  }
  if (isClassOf(id, Optimizer)) return get(Reflect.construct(id, [{ api }]) as Optimizer, api);
  throw new ValueError(`an optimizer must be a name, a config or an instance, got ${describe(id)}`);
}

export const serialize = (o: Optimizer): SerializedObject => serializeObject('keras.optimizers', o.className, o);
export const deserialize = (config: SerializedObject, api: OptimizerApi = 'keras3'): Optimizer => get(config, api);
export { Optimizer, type OptimizerApi, type OptimizerOptions, schedules };
