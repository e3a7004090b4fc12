/** tf.keras.optimizers.schedules: learning rates that follow from the step. They are computed in the graph, from the step counter on the device. */
import { ValueError } from '../../../ir/errors.js';
import * as ops from '../backend/ops.js';
import type { SymbolicTensor } from '../backend/trace.js';
import { callable } from '../utils/callable.js';
import { describe, finiteNumber, resolveOptions } from '../utils/options.js';
import { configOfOptions, getFrom, type Json, type JsonObject, type Registry, type SerializedObject, serializeObject } from '../utils/serialization.js';

/** Base class: `call` gives the rate for a float32 step, counted from 0. */
export abstract class LearningRateSchedule {
  abstract readonly className: string;
  constructor(protected readonly options: Readonly<Record<string, Json>>) {}
  abstract call(step: SymbolicTensor): SymbolicTensor;
  getConfig(): JsonObject {
    // Keras 3 does not read a name that is None
    return configOfOptions(Object.fromEntries(Object.entries(this.options).filter(([key, value]) => key !== 'name' || value !== null)));
  }
}

/** Numbers must be numbers, and a decay takes some steps. */
function checked<T extends object>(what: string, o: T): T {
  for (const [name, x] of Object.entries(o)) {
    if (name === 'name' || typeof x === 'boolean' || (x === null && name === 'warmupTarget')) continue;
    finiteNumber(what, name, x);
    if (name === 'decaySteps' && !(x > 0)) throw new ValueError(`${what}: 'decaySteps' must be above 0, got ${x}`);
  }
  return o;
}

interface DecayOptions {
  initialLearningRate: number;
  decaySteps: number;
  decayRate: number;
  staircase?: boolean;
  name?: string | null;
}

const decayNames = ['initialLearningRate', 'decaySteps', 'decayRate'] as const;

/** Steps done in units of decaySteps, whole ones with staircase. */
const progress = (step: SymbolicTensor, o: Pick<DecayOptions, 'decaySteps' | 'staircase'>): SymbolicTensor => {
  if (!o.staircase) return ops.divide(step, o.decaySteps);
  // Steps are whole numbers; the half keeps the quotient off the whole numbers, where a GPU's division may err to either side.
  return Number.isInteger(o.decaySteps) ? ops.floor(ops.divide(ops.add(step, 0.5), o.decaySteps)) : ops.floor(ops.divide(step, o.decaySteps));
};

class ExponentialDecayClass extends LearningRateSchedule {
  readonly className = 'ExponentialDecay';
  private readonly o: DecayOptions;
  /** initialLearningRate * decayRate ^ (step / decaySteps). */
  constructor(initialLearningRate: number | DecayOptions, decaySteps?: number, decayRate?: number, options?: { staircase?: boolean; name?: string | null }) {
    const o = resolveOptions<DecayOptions>('ExponentialDecay', [initialLearningRate, decaySteps, decayRate, options], decayNames, {
      staircase: false,
      name: null,
    });
    checked('ExponentialDecay', o);
    super({ ...o });
    this.o = o;
  }
  call(step: SymbolicTensor): SymbolicTensor {
    return ops.multiply(ops.power(this.o.decayRate, progress(step, this.o)), this.o.initialLearningRate);
  }
}

class InverseTimeDecayClass extends LearningRateSchedule {
  readonly className = 'InverseTimeDecay';
  private readonly o: DecayOptions;
  /** initialLearningRate / (1 + decayRate * step / decaySteps). */
  constructor(initialLearningRate: number | DecayOptions, decaySteps?: number, decayRate?: number, options?: { staircase?: boolean; name?: string | null }) {
    const o = resolveOptions<DecayOptions>('InverseTimeDecay', [initialLearningRate, decaySteps, decayRate, options], decayNames, {
      staircase: false,
      name: null,
    });
    checked('InverseTimeDecay', o);
    super({ ...o });
    this.o = o;
  }
  call(step: SymbolicTensor): SymbolicTensor {
    return ops.divide(this.o.initialLearningRate, ops.add(ops.multiply(progress(step, this.o), this.o.decayRate), 1));
  }
}

interface PiecewiseOptions {
  boundaries: readonly number[];
  values: readonly number[];
  name?: string | null;
}

class PiecewiseConstantDecayClass extends LearningRateSchedule {
  readonly className = 'PiecewiseConstantDecay';
  private readonly o: PiecewiseOptions;
  /** values[0] up to and including step boundaries[0], and so on. */
  constructor(boundaries: readonly number[] | PiecewiseOptions, values?: readonly number[], options?: { name?: string | null }) {
    const o = resolveOptions<PiecewiseOptions>('PiecewiseConstantDecay', [boundaries, values, options], ['boundaries', 'values'], { name: null });
    for (const [name, list] of [
      ['boundaries', o.boundaries],
      ['values', o.values],
    ] as const) {
      if (!Array.isArray(list)) throw new ValueError(`PiecewiseConstantDecay: '${name}' must be a list of numbers, got ${describe(list)}`);
      list.forEach((x, i) => finiteNumber('PiecewiseConstantDecay', `${name}[${i}]`, x));
    }
    if (o.boundaries.some((b, i) => i > 0 && b <= o.boundaries[i - 1]!))
      throw new ValueError(`PiecewiseConstantDecay: 'boundaries' must ascend, got [${o.boundaries.join(', ')}]`);
    if (o.values.length !== o.boundaries.length + 1)
      throw new ValueError(
        `PiecewiseConstantDecay: expected one value more than boundaries, got ${o.values.length} values and ${o.boundaries.length} boundaries`,
      );
    super({ ...o });
    this.o = o;
  }
  call(step: SymbolicTensor): SymbolicTensor {
    const last = ops.full(step, [], this.o.values.at(-1)!);
    return this.o.boundaries.reduceRight((rate, bound, i) => ops.where(ops.lessEqual(step, bound), this.o.values[i]!, rate), last);
  }
}

interface PolynomialOptions {
  initialLearningRate: number;
  decaySteps: number;
  endLearningRate?: number;
  power?: number;
  cycle?: boolean;
  name?: string | null;
}

class PolynomialDecayClass extends LearningRateSchedule {
  readonly className = 'PolynomialDecay';
  private readonly o: Required<PolynomialOptions>;
  /** From initialLearningRate to endLearningRate (default 1e-4) in decaySteps, with a power (default 1). `cycle` stretches decaySteps again and again. */
  constructor(initialLearningRate: number | PolynomialOptions, decaySteps?: number, options?: Omit<PolynomialOptions, 'initialLearningRate' | 'decaySteps'>) {
    const o = resolveOptions<PolynomialOptions>('PolynomialDecay', [initialLearningRate, decaySteps, options], ['initialLearningRate', 'decaySteps'], {
      endLearningRate: 1e-4,
      power: 1,
      cycle: false,
      name: null,
    });
    checked('PolynomialDecay', o);
    super({ ...o });
    this.o = o as Required<PolynomialOptions>;
  }
  call(step: SymbolicTensor): SymbolicTensor {
    const { initialLearningRate: start, endLearningRate: end, decaySteps, power, cycle } = this.o;
    let p: SymbolicTensor;
    if (cycle) {
      // ceil(step / decaySteps), at least 1; the half as in `progress`
      const cycles = ops.maximum(1, ops.add(ops.floor(ops.divide(ops.subtract(step, 0.5), decaySteps)), 1));
      p = ops.divide(step, ops.multiply(cycles, decaySteps));
    } else {
      p = ops.divide(ops.minimum(step, decaySteps), decaySteps);
    }
    return ops.add(ops.multiply(ops.power(ops.subtract(1, p), power), start - end), end);
  }
}

interface CosineOptions {
  initialLearningRate: number;
  decaySteps: number;
  alpha?: number;
  warmupTarget?: number | null;
  warmupSteps?: number;
  name?: string | null;
}

class CosineDecayClass extends LearningRateSchedule {
  readonly className = 'CosineDecay';
  private readonly o: Required<CosineOptions>;
  /** Half a cosine wave down to alpha (default 0) times the initial rate, after an optional linear warm-up. */
  constructor(initialLearningRate: number | CosineOptions, decaySteps?: number, options?: Omit<CosineOptions, 'initialLearningRate' | 'decaySteps'>) {
    const o = resolveOptions<CosineOptions>('CosineDecay', [initialLearningRate, decaySteps, options], ['initialLearningRate', 'decaySteps'], {
      alpha: 0,
      warmupTarget: null,
      warmupSteps: 0,
      name: null,
    });
    checked('CosineDecay', o);
    super({ ...o });
    this.o = o as Required<CosineOptions>;
  }
  private decay(step: SymbolicTensor, from: number): SymbolicTensor {
    const { alpha, decaySteps } = this.o;
    const p = ops.divide(ops.minimum(step, decaySteps), decaySteps);
    const cosine = ops.multiply(ops.add(ops.cos(ops.multiply(p, Math.PI)), 1), 0.5);
    return ops.multiply(ops.add(ops.multiply(cosine, 1 - alpha), alpha), from);
  }
  call(step: SymbolicTensor): SymbolicTensor {
    const { initialLearningRate: start, warmupTarget, warmupSteps } = this.o;
    if (warmupTarget === null) return this.decay(step, start);
    const warm = ops.add(ops.multiply(ops.divide(step, warmupSteps), warmupTarget - start), start);
    return ops.where(ops.less(step, warmupSteps), warm, this.decay(ops.maximum(ops.subtract(step, warmupSteps), 0), warmupTarget));
  }
}

interface RestartOptions {
  initialLearningRate: number;
  firstDecaySteps: number;
  tMul?: number;
  mMul?: number;
  alpha?: number;
  name?: string | null;
}

class CosineDecayRestartsClass extends LearningRateSchedule {
  readonly className = 'CosineDecayRestarts';
  private readonly o: Required<RestartOptions>;
  /** Half a cosine wave again and again (Loshchilov and Hutter 2016): the first takes firstDecaySteps, each next one tMul (default 2) times as long, from mMul (default 1) times the rate. */
  constructor(
    initialLearningRate: number | RestartOptions,
    firstDecaySteps?: number,
    options?: Omit<RestartOptions, 'initialLearningRate' | 'firstDecaySteps'>,
  ) {
    const o = resolveOptions<RestartOptions>(
      'CosineDecayRestarts',
      [initialLearningRate, firstDecaySteps, options],
      ['initialLearningRate', 'firstDecaySteps'],
      { tMul: 2, mMul: 1, alpha: 0, name: null },
    );
    checked('CosineDecayRestarts', o);
    for (const name of ['firstDecaySteps', 'tMul'] as const)
      if (!(o[name]! > 0)) throw new ValueError(`CosineDecayRestarts: '${name}' must be above 0, got ${o[name]}`);
    super({ ...o });
    this.o = o as Required<RestartOptions>;
  }
  call(step: SymbolicTensor): SymbolicTensor {
    const { initialLearningRate: start, firstDecaySteps, tMul, mMul, alpha } = this.o;
    const done = ops.divide(step, firstDecaySteps);
    const whole = tMul === 1;
    /** The restart of a number, in units of firstDecaySteps. */
    const begin = (n: SymbolicTensor) => ops.divide(ops.subtract(1, ops.power(tMul, n)), 1 - tMul);
    const latest = (): SymbolicTensor => {
      // the logarithm may err to either side of a whole number, just where a period begins: the step itself decides
      const near = ops.round(ops.divide(ops.log(ops.subtract(1, ops.multiply(done, 1 - tMul))), Math.log(tMul)));
      const begun = ops.lessEqual(ops.multiply(begin(near), firstDecaySteps), ops.add(ops.multiply(step, 1 + 2e-6), 1e-3));
      return ops.where(begun, near, ops.subtract(near, 1));
    };
    const restarts = whole ? progress(step, { decaySteps: firstDecaySteps, staircase: true }) : latest();
    const length = ops.power(tMul, restarts);
    const part = whole ? ops.subtract(done, restarts) : ops.divide(ops.subtract(done, begin(restarts)), length);
    const wave = ops.multiply(ops.add(ops.cos(ops.multiply(part, Math.PI)), 1), ops.multiply(ops.power(mMul, restarts), 0.5));
    return ops.multiply(ops.add(ops.multiply(wave, 1 - alpha), alpha), start);
  }
}

export const ExponentialDecay = callable(ExponentialDecayClass);
export const InverseTimeDecay = callable(InverseTimeDecayClass);
export const PiecewiseConstantDecay = callable(PiecewiseConstantDecayClass);
export const PolynomialDecay = callable(PolynomialDecayClass);
export const CosineDecay = callable(CosineDecayClass);
export const CosineDecayRestarts = callable(CosineDecayRestartsClass);

const registry: Registry<LearningRateSchedule> = {
  what: 'learning rate schedule',
  classes: {
    ExponentialDecay: (o) => ExponentialDecay(o as unknown as DecayOptions),
    InverseTimeDecay: (o) => InverseTimeDecay(o as unknown as DecayOptions),
    PiecewiseConstantDecay: (o) => PiecewiseConstantDecay(o as unknown as PiecewiseOptions),
    PolynomialDecay: (o) => PolynomialDecay(o as unknown as PolynomialOptions),
    CosineDecay: (o) => CosineDecay(o as unknown as CosineOptions),
    CosineDecayRestarts: (o) => CosineDecayRestarts(o as unknown as RestartOptions),
  },
  aliases: {},
};

export const deserialize = (config: SerializedObject): LearningRateSchedule =>
  getFrom(registry, config, (x): x is LearningRateSchedule => x instanceof LearningRateSchedule, 'keras3');
export const serialize = (s: LearningRateSchedule): SerializedObject => serializeObject('keras.optimizers.schedules', s.className, s);
