/** Optimizers beside the classic ones whose rules are elementwise: Adadelta, Nadam, Ftrl, Lion, and Adam without a schedule. One kernel updates all weights. */
import { ValueError } from '../../../ir/errors.js';
import * as ops from '../backend/ops.js';
import type { SymbolicTensor } from '../backend/trace.js';
import { numberBetween, resolveOptions } from '../utils/options.js';
import type { JsonObject } from '../utils/serialization.js';
import { Optimizer, type OptimizerOptions, optimizerDefaults, rateFirst, type UpdateContext } from './optimizer.js';

type S = SymbolicTensor;
type Rate = OptimizerOptions['learningRate'];

/** old + (x - old) (1 - beta): a moving average. */
const toward = (old: S, x: S, beta: number): S => ops.add(old, ops.multiply(ops.subtract(x, old), 1 - beta));
/** Rows that a sparse gradient does not touch stay as they are. */
const untouched = (u: UpdateContext, value: S, before: S): S => (u.touched ? ops.where(u.touched, value, before) : value);

export interface AdadeltaOptions extends OptimizerOptions {
  /** Decay of the means of squares; default 0.95. */
  readonly rho?: number;
  readonly epsilon?: number;
}

/** Steps in the ratio of the means of past steps and past gradients (Zeiler 2012). Default learning rate 0.001; the paper has 1. */
export class AdadeltaClass extends Optimizer {
  static override readonly className = 'Adadelta';
  readonly rho: number;
  readonly epsilon: number;
  constructor(learningRate?: Rate | AdadeltaOptions, options?: AdadeltaOptions) {
    const o = resolveOptions<AdadeltaOptions>('Adadelta', rateFirst(learningRate, options), [], {
      ...optimizerDefaults,
      name: 'adadelta',
      learningRate: 0.001,
      rho: 0.95,
      epsilon: 1e-7,
    });
    super('adadelta', o);
    this.rho = numberBetween('Adadelta', 'rho', o.rho, 0, 1);
    this.epsilon = numberBetween('Adadelta', 'epsilon', o.epsilon, 0, Infinity);
  }
  slotNames(): readonly string[] {
    return ['accumulated_grad', 'accumulated_delta_var'];
  }
  override get updatesTouchedRowsOnly(): boolean {
    return this.api === 'legacy';
  }
  protected update(u: UpdateContext): S {
    const mixed = (old: S, x: S) => ops.add(ops.multiply(old, this.rho), ops.multiply(ops.square(x), 1 - this.rho));
    const rms = (x: S) => ops.sqrt(ops.add(x, this.epsilon));
    const [oldGrads, oldDeltas] = [u.slot('accumulated_grad'), u.slot('accumulated_delta_var')];
    const grads = mixed(oldGrads, u.gradient);
    const delta = ops.divide(ops.multiply(rms(oldDeltas), u.gradient), rms(grads));
    u.setSlot('accumulated_grad', untouched(u, grads, oldGrads));
    u.setSlot('accumulated_delta_var', untouched(u, mixed(oldDeltas, delta), oldDeltas));
    return untouched(u, ops.subtract(u.parameters, ops.multiply(delta, u.learningRate)), u.parameters);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), rho: this.rho, epsilon: this.epsilon };
  }
}

export interface NadamOptions extends OptimizerOptions {
  /** Decay of the first moment; default 0.9. */
  readonly beta1?: number;
  /** Decay of the second moment; default 0.999. */
  readonly beta2?: number;
  readonly epsilon?: number;
  /** Legacy optimizer: how fast the momentum rises; default 0.004. */
  readonly scheduleDecay?: number;
}

/**
 * Adam with Nesterov's momentum (Dozat 2015). Default learning rate 0.001. The momentum of step i is beta1 (1 - 0.96^(i d) / 2), d being 1, and `scheduleDecay` (0.004) of the legacy optimizer; the
 * product of all of them is a slot. (Compiled steps of tf_keras 2 multiply it once for each weight: this does what its eager steps do.)
 */
export class NadamClass extends Optimizer {
  static override readonly className = 'Nadam';
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  constructor(learningRate?: Rate | NadamOptions, options?: NadamOptions) {
    const given = resolveOptions<NadamOptions>('Nadam', rateFirst(learningRate, options), [], {
      ...optimizerDefaults,
      name: 'nadam',
      learningRate: 0.001,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-7,
      scheduleDecay: 0.004,
    });
    const legacy = given.api === 'legacy';
    // as in Keras, whose legacy Nadam takes no other decay
    super('nadam', legacy ? { ...given, decay: numberBetween('Nadam', 'scheduleDecay', given.scheduleDecay, 0, Infinity) } : given);
    if (legacy && this.schedule) throw new ValueError('Nadam: the legacy optimizer takes no schedule as its learning rate');
    this.beta1 = numberBetween('Nadam', 'beta1', given.beta1, 0, 1, true);
    this.beta2 = numberBetween('Nadam', 'beta2', given.beta2, 0, 1, true);
    this.epsilon = numberBetween('Nadam', 'epsilon', given.epsilon, 0, Infinity);
  }
  /** The legacy optimizer's `decay` is that of the momentum. */
  protected override get rateDecay(): number {
    return this.api === 'legacy' ? 0 : this.decay;
  }
  private get momentumDecay(): number {
    return this.api === 'legacy' ? this.decay : 1;
  }
  slotNames(): readonly string[] {
    return ['m', 'v'];
  }
  override scalarSlots(steps = 0): Readonly<Record<string, number>> {
    let product = 1;
    for (let i = 1; i <= steps && product > 0; i++) product = Math.fround(product * this.beta1 * (1 - 0.5 * 0.96 ** (i * this.momentumDecay)));
    return { u_product: product };
  }
  override get updatesTouchedRowsOnly(): boolean {
    return this.api === 'legacy';
  }
  protected update(u: UpdateContext): S {
    const momentum = (step: S) => ops.multiply(ops.subtract(1, ops.multiply(ops.power(0.96, ops.multiply(step, this.momentumDecay)), 0.5)), this.beta1);
    const [now, next] = [momentum(u.step), momentum(ops.add(u.step, 1))];
    const product = ops.multiply(u.slot('u_product'), now);
    u.setSlot('u_product', product);
    const m = toward(u.slot('m'), u.gradient, this.beta1);
    const v = toward(u.slot('v'), ops.square(u.gradient), this.beta2);
    u.setSlot('m', m);
    u.setSlot('v', v);
    const ahead = ops.divide(next, ops.subtract(1, ops.multiply(product, next)));
    const fresh = ops.divide(ops.subtract(1, now), ops.subtract(1, product));
    const mean = ops.add(ops.multiply(m, ahead), ops.multiply(u.gradient, fresh));
    const spread = ops.divide(v, ops.subtract(1, ops.power(this.beta2, u.step)));
    const value = ops.subtract(u.parameters, ops.divide(ops.multiply(mean, u.learningRate), ops.add(ops.sqrt(spread), this.epsilon)));
    return untouched(u, value, u.parameters);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), beta_1: this.beta1, beta_2: this.beta2, epsilon: this.epsilon };
  }
}

export interface FtrlOptions extends OptimizerOptions {
  /** At most 0; default -0.5. */
  readonly learningRatePower?: number;
  /** Start of the sums of squared gradients; default 0.1. */
  readonly initialAccumulatorValue?: number;
  readonly l1RegularizationStrength?: number;
  readonly l2RegularizationStrength?: number;
  readonly l2ShrinkageRegularizationStrength?: number;
  readonly beta?: number;
}

/** Follow the regularized leader (McMahan et al. 2013): many weights become exactly 0. Default learning rate 0.001. */
export class FtrlClass extends Optimizer {
  static override readonly className = 'Ftrl';
  readonly learningRatePower: number;
  readonly initialAccumulatorValue: number;
  readonly l1RegularizationStrength: number;
  readonly l2RegularizationStrength: number;
  readonly l2ShrinkageRegularizationStrength: number;
  readonly beta: number;
  constructor(learningRate?: Rate | FtrlOptions, options?: FtrlOptions) {
    const o = resolveOptions<FtrlOptions>('Ftrl', rateFirst(learningRate, options), [], {
      ...optimizerDefaults,
      name: 'ftrl',
      learningRate: 0.001,
      learningRatePower: -0.5,
      initialAccumulatorValue: 0.1,
      l1RegularizationStrength: 0,
      l2RegularizationStrength: 0,
      l2ShrinkageRegularizationStrength: 0,
      beta: 0,
    });
    super('ftrl', o);
    this.learningRatePower = numberBetween('Ftrl', 'learningRatePower', o.learningRatePower, -Infinity, 0);
    this.initialAccumulatorValue = numberBetween('Ftrl', 'initialAccumulatorValue', o.initialAccumulatorValue, 0, Infinity);
    this.l1RegularizationStrength = numberBetween('Ftrl', 'l1RegularizationStrength', o.l1RegularizationStrength, 0, Infinity);
    this.l2RegularizationStrength = numberBetween('Ftrl', 'l2RegularizationStrength', o.l2RegularizationStrength, 0, Infinity);
    this.l2ShrinkageRegularizationStrength = numberBetween('Ftrl', 'l2ShrinkageRegularizationStrength', o.l2ShrinkageRegularizationStrength, 0, Infinity);
    this.beta = numberBetween('Ftrl', 'beta', o.beta, 0, Infinity);
  }
  slotNames(): readonly string[] {
    return ['accumulator', 'linear'];
  }
  override initialSlot(slot: string, parameters: Float32Array): Float32Array | null {
    return slot === 'accumulator' ? new Float32Array(parameters.length).fill(this.initialAccumulatorValue) : super.initialSlot(slot, parameters);
  }
  override get updatesTouchedRowsOnly(): boolean {
    return this.api === 'legacy';
  }
  protected update(u: UpdateContext): S {
    const { parameters: w, gradient: g, learningRate: rate } = u;
    const power = (x: S) =>
      this.learningRatePower === -0.5 ? ops.sqrt(x) : this.learningRatePower === 0 ? ops.full(x, [], 1) : ops.power(x, -this.learningRatePower);
    const [oldSum, oldLinear] = [u.slot('accumulator'), u.slot('linear')];
    const sum = ops.add(oldSum, ops.square(g));
    const shrunk = ops.add(g, ops.multiply(w, 2 * this.l2ShrinkageRegularizationStrength));
    const sigma = ops.divide(ops.subtract(power(sum), power(oldSum)), rate);
    const linear = ops.add(oldLinear, ops.subtract(shrunk, ops.multiply(sigma, w)));
    const l2 = ops.add(ops.divide(this.beta, rate), 2 * this.l2RegularizationStrength);
    const quadratic = ops.add(ops.divide(power(sum), rate), l2);
    const l1 = this.l1RegularizationStrength;
    const value = ops.divide(ops.subtract(ops.clip(linear, -l1, l1), linear), quadratic);
    u.setSlot('accumulator', untouched(u, sum, oldSum));
    u.setSlot('linear', untouched(u, linear, oldLinear));
    return untouched(u, value, w);
  }
  override getConfig(): JsonObject {
    return {
      ...super.getConfig(),
      learning_rate_power: this.learningRatePower,
      initial_accumulator_value: this.initialAccumulatorValue,
      l1_regularization_strength: this.l1RegularizationStrength,
      l2_regularization_strength: this.l2RegularizationStrength,
      l2_shrinkage_regularization_strength: this.l2ShrinkageRegularizationStrength,
      beta: this.beta,
    };
  }
}

export interface LionOptions extends OptimizerOptions {
  /** Share of the old momentum in the step; default 0.9. */
  readonly beta1?: number;
  /** Decay of the momentum; default 0.99. */
  readonly beta2?: number;
}

/** Steps by the sign of a momentum (Chen et al. 2023). Default learning rate 0.001 in Keras 3, 0.0001 in Keras 2. */
export class LionClass extends Optimizer {
  static override readonly className = 'Lion';
  readonly beta1: number;
  readonly beta2: number;
  constructor(learningRate?: Rate | LionOptions, options?: LionOptions) {
    const [given] = rateFirst(learningRate, options) as [LionOptions | undefined];
    const o = resolveOptions<LionOptions>('Lion', [given], [], {
      ...optimizerDefaults,
      name: 'lion',
      learningRate: given?.api === 'keras2' ? 0.0001 : 0.001,
      beta1: 0.9,
      beta2: 0.99,
    });
    super('lion', o);
    this.beta1 = numberBetween('Lion', 'beta1', o.beta1, 0, 1, true);
    this.beta2 = numberBetween('Lion', 'beta2', o.beta2, 0, 1, true);
  }
  slotNames(): readonly string[] {
    return ['m'];
  }
  protected update(u: UpdateContext): S {
    const m = u.slot('m');
    const mixed = (beta: number) => ops.add(ops.multiply(m, beta), ops.multiply(u.gradient, 1 - beta));
    u.setSlot('m', mixed(this.beta2));
    return ops.subtract(u.parameters, ops.multiply(ops.sign(mixed(this.beta1)), u.learningRate));
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), beta_1: this.beta1, beta_2: this.beta2 };
  }
}

export interface ScheduleFreeAdamWOptions extends OptimizerOptions {
  /** Share of the average in the weights that gradients are taken at; default 0.9. */
  readonly beta1?: number;
  readonly beta2?: number;
  readonly epsilon?: number;
  /** Steps in which the learning rate rises; default 0. */
  readonly warmupSteps?: number;
}

/**
 * AdamW that averages its weights in place of following a schedule (Defazio et al. 2024; Keras 3). Default learning rate 0.0025. Numbers are those of Keras 3.15 on TensorFlow, which takes the
 * momentum after its update where the average is found again (the paper, and Keras on JAX: the one before).
 */
export class ScheduleFreeAdamWClass extends Optimizer {
  static override readonly className = 'ScheduleFreeAdamW';
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly warmupSteps: number;
  constructor(learningRate?: Rate | ScheduleFreeAdamWOptions, options?: ScheduleFreeAdamWOptions) {
    const o = resolveOptions<ScheduleFreeAdamWOptions>('ScheduleFreeAdamW', rateFirst(learningRate, options), [], {
      ...optimizerDefaults,
      name: 'schedule_free_adam_w',
      learningRate: 0.0025,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      warmupSteps: 0,
    });
    super('schedule_free_adam_w', o);
    this.beta1 = numberBetween('ScheduleFreeAdamW', 'beta1', o.beta1, 0, 1, true);
    if (this.beta1 === 0) throw new ValueError("ScheduleFreeAdamW: 'beta1' must be above 0, got 0");
    this.beta2 = numberBetween('ScheduleFreeAdamW', 'beta2', o.beta2, 0, 1, true);
    this.epsilon = numberBetween('ScheduleFreeAdamW', 'epsilon', o.epsilon, 0, Infinity);
    this.warmupSteps = numberBetween('ScheduleFreeAdamW', 'warmupSteps', o.warmupSteps, 0, Infinity);
  }
  slotNames(): readonly string[] {
    return ['m', 'v'];
  }
  override initialSlot(slot: string, parameters: Float32Array): Float32Array | null {
    return slot === 'm' ? parameters : super.initialSlot(slot, parameters);
  }
  protected update(u: UpdateContext): S {
    const rate = this.warmupSteps > 0 ? ops.multiply(u.learningRate, ops.minimum(ops.divide(u.step, this.warmupSteps), 1)) : u.learningRate;
    const v = toward(u.slot('v'), ops.square(u.gradient), this.beta2);
    const spread = ops.add(ops.sqrt(ops.divide(v, ops.subtract(1, ops.power(this.beta2, u.step)))), this.epsilon);
    const old = u.slot('m');
    const m = ops.subtract(old, ops.divide(ops.multiply(u.gradient, rate), spread));
    const mean = ops.divide(ops.subtract(u.parameters, ops.multiply(m, 1 - this.beta1)), this.beta1);
    const share = ops.divide(1, u.step);
    const next = ops.add(ops.multiply(mean, ops.subtract(1, share)), ops.multiply(m, share));
    u.setSlot('m', m);
    u.setSlot('v', v);
    return ops.add(ops.multiply(m, 1 - this.beta1), ops.multiply(next, this.beta1));
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), beta_1: this.beta1, beta_2: this.beta2, epsilon: this.epsilon, warmup_steps: this.warmupSteps };
  }
}
