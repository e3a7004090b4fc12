/** Optimizers whose steps depend on norms or products of whole weights: Adafactor, Lamb and Muon. What is elementwise is still done for all weights at once. */

import { ValueError } from '../../../ir/errors.js';
import * as ops from '../backend/ops.js';
import type { SymbolicTensor } from '../backend/trace.js';
import type { Variable } from '../backend/variable.js';
import { finiteNumber, numberBetween, positiveInteger, resolveOptions, truth } from '../utils/options.js';
import type { JsonObject } from '../utils/serialization.js';
import { Optimizer, type OptimizerOptions, optimizerDefaults, rateFirst, type UpdateContext } from './optimizer.js';

type S = SymbolicTensor;
type Rate = OptimizerOptions['learningRate'];

const toward = (old: S, x: S, beta: number): S => ops.add(old, ops.multiply(ops.subtract(x, old), 1 - beta));
const rms = (x: S): S => ops.sqrt(ops.mean(ops.square(x)));

export interface AdafactorOptions extends OptimizerOptions {
  /** Power of the step in the decay of the means; default -0.8. */
  readonly beta2Decay?: number;
  /** Added to squared gradients; default 1e-30. */
  readonly epsilon1?: number;
  /** The least size that weights count with; default 1e-3. */
  readonly epsilon2?: number;
  /** Largest root mean square of an update; default 1. */
  readonly clipThreshold?: number;
  /** A learning rate that is a number falls with the root of the step; default true. */
  readonly relativeStep?: boolean;
}

/** Means of squared gradients, kept by rows and columns for weights of two dimensions or more (Shazeer and Stern 2018). Default learning rate 0.001. */
export class AdafactorClass extends Optimizer {
  static override readonly className = 'Adafactor';
  readonly beta2Decay: number;
  readonly epsilon1: number;
  readonly epsilon2: number;
  readonly clipThreshold: number;
  readonly relativeStep: boolean;
  constructor(learningRate?: Rate | AdafactorOptions, options?: AdafactorOptions) {
    const o = resolveOptions<AdafactorOptions>('Adafactor', rateFirst(learningRate, options), [], {
      ...optimizerDefaults,
      name: 'adafactor',
      learningRate: 0.001,
      beta2Decay: -0.8,
      epsilon1: 1e-30,
      epsilon2: 1e-3,
      clipThreshold: 1,
      relativeStep: true,
    });
    super('adafactor', o);
    this.beta2Decay = finiteNumber('Adafactor', 'beta2Decay', o.beta2Decay);
    this.epsilon1 = numberBetween('Adafactor', 'epsilon1', o.epsilon1, 0, Infinity);
    this.epsilon2 = numberBetween('Adafactor', 'epsilon2', o.epsilon2, 0, Infinity);
    this.clipThreshold = numberBetween('Adafactor', 'clipThreshold', o.clipThreshold, 0, Infinity);
    this.relativeStep = truth('Adafactor', 'relativeStep', o.relativeStep);
  }
  slotNames(): readonly string[] {
    return ['r', 'c', 'v'];
  }
  override slotShape(slot: string, { shape }: Variable): readonly number[] | null {
    if (slot !== 'r' && slot !== 'c') return shape;
    if (shape.length < 2) return null;
    return slot === 'r' ? shape.slice(0, -1) : [...shape.slice(0, -2), shape.at(-1)!];
  }
  protected update(u: UpdateContext): S {
    const root = ops.rsqrt(u.step);
    const rho = ops.minimum(u.learningRate, root);
    const decay = ops.subtract(1, ops.power(u.step, this.beta2Decay));
    const fresh = ops.subtract(1, decay);
    const mixed = (old: S, x: S) => ops.add(ops.multiply(old, decay), ops.multiply(x, fresh));
    const [weights, gradients] = [u.split(u.parameters), u.split(u.gradient)];
    const [rows, columns, means] = (['r', 'c', 'v'] as const).map((slot) => u.split(u.slot(slot), slot)) as [(S | null)[], (S | null)[], (S | null)[]];
    const moved = u.weights.map((_, i) => {
      const [w, g] = [weights[i]!, gradients[i]!];
      const squares = ops.add(ops.square(g), this.epsilon1);
      if (rows[i] && columns[i]) {
        const r = mixed(rows[i], ops.mean(squares, [-1]));
        const c = mixed(columns[i], ops.mean(squares, [-2]));
        rows[i] = r;
        columns[i] = c;
        means[i] = ops.multiply(ops.expandDims(ops.divide(r, ops.mean(r, [-1], true)), -1), ops.expandDims(c, -2));
      } else means[i] = mixed(means[i]!, squares);
      const step = ops.multiply(g, ops.rsqrt(means[i]!));
      const bounded = ops.divide(step, ops.maximum(ops.divide(rms(step), this.clipThreshold), 1));
      return ops.subtract(w, ops.multiply(bounded, ops.multiply(ops.maximum(rms(w), this.epsilon2), rho)));
    });
    const some = (parts: readonly (S | null)[]) => parts.some((p) => p !== null);
    if (some(rows)) u.setSlot('r', u.join(rows));
    if (some(columns)) u.setSlot('c', u.join(columns));
    u.setSlot('v', u.join(means));
    return u.join(moved);
  }
  override getConfig(): JsonObject {
    return {
      ...super.getConfig(),
      beta_2_decay: this.beta2Decay,
      epsilon_1: this.epsilon1,
      epsilon_2: this.epsilon2,
      clip_threshold: this.clipThreshold,
      relative_step: this.relativeStep,
    };
  }
}

export interface LambOptions extends OptimizerOptions {
  /** Decay of the first moment; default 0.9. */
  readonly beta1?: number;
  /** Decay of the second moment; default 0.999. */
  readonly beta2?: number;
  readonly epsilon?: number;
}

/** Adam whose steps are as long, in each weight, as the weight is large (You et al. 2019; Keras 3). Default learning rate 0.001. */
export class LambClass extends Optimizer {
  static override readonly className = 'Lamb';
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  constructor(learningRate?: Rate | LambOptions, options?: LambOptions) {
    const o = resolveOptions<LambOptions>('Lamb', rateFirst(learningRate, options), [], {
      ...optimizerDefaults,
      name: 'lamb',
      learningRate: 0.001,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-7,
    });
    super('lamb', o);
    this.beta1 = numberBetween('Lamb', 'beta1', o.beta1, 0, 1, true);
    this.beta2 = numberBetween('Lamb', 'beta2', o.beta2, 0, 1, true);
    this.epsilon = numberBetween('Lamb', 'epsilon', o.epsilon, 0, Infinity);
  }
  slotNames(): readonly string[] {
    return ['m', 'v'];
  }
  protected update(u: UpdateContext): S {
    const m = toward(u.slot('m'), u.gradient, this.beta1);
    const v = toward(u.slot('v'), ops.square(u.gradient), this.beta2);
    u.setSlot('m', m);
    u.setSlot('v', v);
    const corrected = (x: S, beta: number) => ops.divide(x, ops.subtract(1, ops.power(beta, u.step)));
    const step = ops.divide(corrected(m, this.beta1), ops.add(ops.sqrt(corrected(v, this.beta2)), this.epsilon));
    const norm = (x: S) => ops.sqrt(ops.sum(ops.square(x)));
    const [weights, steps] = [u.split(u.parameters), u.split(step)];
    const ratios = u.weights.map(({ shape }, i) => {
      const [large, long] = [norm(weights[i]!), norm(steps[i]!)];
      const known = ops.logicalAnd(ops.greater(large, 0), ops.greater(long, 0));
      return ops.broadcastTo(ops.where(known, ops.divide(large, ops.where(known, long, 1)), 1), shape);
    });
    return ops.subtract(u.parameters, ops.multiply(ops.multiply(u.join(ratios), u.learningRate), step));
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), beta_1: this.beta1, beta_2: this.beta2, epsilon: this.epsilon };
  }
}

export interface MuonOptions extends OptimizerOptions {
  readonly adamBeta1?: number;
  readonly adamBeta2?: number;
  /** Weight decay of the weights that AdamW updates; default 0.004. */
  readonly adamWeightDecay?: number | null;
  readonly epsilon?: number;
  /** Weights whose path matches one of these regular expressions are updated by AdamW. */
  readonly excludeLayers?: readonly string[] | null;
  /** Weights of embeddings are updated by AdamW; default true. */
  readonly excludeEmbeddings?: boolean;
  /** Coefficients of the Newton-Schulz iteration; defaults 3.4445, -4.775, 2.0315. */
  readonly muonA?: number;
  readonly muonB?: number;
  readonly muonC?: number;
  /** Learning rate of AdamW over the learning rate; default 1. */
  readonly adamLrRatio?: number;
  /** Default 0.95. */
  readonly momentum?: number;
  /** Newton-Schulz iterations; default 5. */
  readonly nsSteps?: number;
  readonly nesterov?: boolean;
  /** Size of updates; null: as they are. Default 0.2. */
  readonly rmsRate?: number | null;
}

/** Matrices move by their orthogonalized momentum, all other weights by AdamW (Jordan 2024, Liu et al. 2025; Keras 3). Default learning rate 0.001, weight decay 0.004. */
export class MuonClass extends Optimizer {
  static override readonly className = 'Muon';
  private readonly o: Required<Omit<MuonOptions, keyof OptimizerOptions>>;
  private readonly excluded: readonly RegExp[];
  constructor(learningRate?: Rate | MuonOptions, options?: MuonOptions) {
    const o = resolveOptions<MuonOptions>('Muon', rateFirst(learningRate, options), [], {
      ...optimizerDefaults,
      name: 'muon',
      learningRate: 0.001,
      weightDecay: 0.004,
      adamBeta1: 0.9,
      adamBeta2: 0.999,
      adamWeightDecay: 0.004,
      epsilon: 1e-7,
      excludeLayers: [],
      excludeEmbeddings: true,
      muonA: 3.4445,
      muonB: -4.775,
      muonC: 2.0315,
      adamLrRatio: 1,
      momentum: 0.95,
      nsSteps: 5,
      nesterov: true,
      rmsRate: 0.2,
    });
    super('muon', o);
    for (const name of ['adamBeta1', 'adamBeta2', 'momentum'] as const) numberBetween('Muon', name, o[name], 0, 1, true);
    for (const name of ['muonA', 'muonB', 'muonC', 'adamLrRatio', 'epsilon'] as const) finiteNumber('Muon', name, o[name]);
    for (const name of ['adamWeightDecay', 'rmsRate'] as const) if (o[name] !== null) finiteNumber('Muon', name, o[name]);
    positiveInteger('Muon', 'nsSteps', o.nsSteps);
    const layers = o.excludeLayers ?? [];
    if (!Array.isArray(layers) || layers.some((x) => typeof x !== 'string')) throw new ValueError("Muon: 'excludeLayers' must be a list of texts");
    this.excluded = layers.map(pattern);
    this.o = { ...(o as Required<MuonOptions>), excludeLayers: layers };
  }
  private byAdam(w: Variable): boolean {
    return w.shape.length !== 2 || (this.o.excludeEmbeddings && w.path.toLowerCase().includes('embedding')) || this.excluded.some((r) => r.test(w.path));
  }
  slotNames(): readonly string[] {
    return ['m', 'v'];
  }
  override slotShape(slot: string, weight: Variable): readonly number[] | null {
    return slot === 'v' && !this.byAdam(weight) ? null : weight.shape;
  }
  protected override decayOf(weight: Variable): number | null {
    return this.byAdam(weight) ? this.o.adamWeightDecay : this.weightDecay;
  }
  protected update(u: UpdateContext): S {
    const { o } = this;
    const [weights, gradients, momenta] = [u.split(u.parameters), u.split(u.gradient), u.split(u.slot('m'), 'm')];
    const some = u.weights.some((w) => this.byAdam(w));
    const squares = some ? u.split(u.slot('v'), 'v') : [];
    const correction = ops.divide(ops.sqrt(ops.subtract(1, ops.power(o.adamBeta2, u.step))), ops.subtract(1, ops.power(o.adamBeta1, u.step)));
    const alpha = ops.multiply(ops.multiply(u.learningRate, o.adamLrRatio), correction);
    const moved = u.weights.map((weight, i) => {
      const [w, g] = [weights[i]!, gradients[i]!];
      if (this.byAdam(weight)) {
        const m = toward(momenta[i]!, g, o.adamBeta1);
        const v = toward(squares[i]!, ops.square(g), o.adamBeta2);
        momenta[i] = m;
        squares[i] = v;
        return ops.subtract(w, ops.divide(ops.multiply(m, alpha), ops.add(ops.sqrt(v), o.epsilon)));
      }
      const m = ops.add(g, ops.multiply(momenta[i]!, o.momentum));
      momenta[i] = m;
      const [rows, columns] = weight.shape as [number, number];
      const direction = this.orthogonal(o.nesterov ? ops.add(g, ops.multiply(m, o.momentum)) : m, rows > columns);
      const size = o.rmsRate === null ? 1 : Math.sqrt(Math.max(rows, columns)) * o.rmsRate;
      return ops.subtract(w, ops.multiply(direction, ops.multiply(u.learningRate, size)));
    });
    u.setSlot('m', u.join(momenta));
    if (some) u.setSlot('v', u.join(squares));
    return u.join(moved);
  }
  /** Near U V^T of the singular value decomposition U S V^T, by Newton-Schulz iterations of degree 5. */
  private orthogonal(matrix: S, tall: boolean): S {
    const { muonA, muonB, muonC, nsSteps } = this.o;
    const turned = (x: S) => (tall ? ops.transpose(x, [1, 0]) : x);
    let x = turned(matrix);
    x = ops.divide(x, ops.add(ops.sqrt(ops.sum(ops.square(x))), 1e-7));
    for (let i = 0; i < nsSteps; i++) {
      const a = ops.matmul(x, ops.transpose(x, [1, 0]));
      const b = ops.add(ops.multiply(a, muonB), ops.matmul(ops.multiply(a, muonC), a));
      x = ops.add(ops.multiply(x, muonA), ops.matmul(b, x));
    }
    return turned(x);
  }
  override getConfig(): JsonObject {
    const { o } = this;
    return {
      ...super.getConfig(),
      adam_beta_1: o.adamBeta1,
      adam_beta_2: o.adamBeta2,
      epsilon: o.epsilon,
      exclude_layers: o.excludeLayers,
      muon_a: o.muonA,
      muon_b: o.muonB,
      muon_c: o.muonC,
      adam_lr_ratio: o.adamLrRatio,
      momentum: o.momentum,
      ns_steps: o.nsSteps,
      nesterov: o.nesterov,
      exclude_embeddings: o.excludeEmbeddings,
      adam_weight_decay: o.adamWeightDecay,
      rms_rate: o.rmsRate,
    };
  }
}

function pattern(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch {
    throw new ValueError(`Muon: 'excludeLayers' has '${text}', which is no regular expression`);
  }
}
