/**
 * Base class of optimizers. All trainable weights lie in one flat vector, and so do their gradients and each optimizer slot: an update rule is a few elementwise
 * operations on flat vectors, one kernel whatever the number of layers. What is per variable (clipping by norm, constraints) is composed around it.
 */
import { ValueError } from '../../../ir/errors.js';
import type { StateView, Value } from '../../../ir/graph.js';
import { sizeOf } from '../../../ir/tensor-data.js';
import * as ops from '../backend/ops.js';
import { iterationSlot, type SymbolicTensor, type Trace } from '../backend/trace.js';
import type { Variable } from '../backend/variable.js';
import { describe, finiteNumber, isPlainObject, numberBetween, positiveInteger } from '../utils/options.js';
import { isSerialized, type Json, type JsonObject, type SerializedObject } from '../utils/serialization.js';
import * as schedules from './schedules.js';

/** Which generation of optimizers: `legacy` is tf.keras.optimizers.legacy. */
export type OptimizerApi = 'keras3' | 'keras2' | 'legacy';

export type LearningRate = number | schedules.LearningRateSchedule | SerializedObject;

export interface OptimizerOptions {
  readonly learningRate?: LearningRate;
  readonly name?: string;
  /** Shrinks weights by learningRate * weightDecay at each step. */
  readonly weightDecay?: number | null;
  /** Largest norm of each variable's gradient. */
  readonly clipnorm?: number | null;
  /** Largest absolute value of gradients. */
  readonly clipvalue?: number | null;
  /** Largest norm of all gradients together. */
  readonly globalClipnorm?: number | null;
  /** Keeps an exponential moving average of the weights. */
  readonly useEma?: boolean;
  readonly emaMomentum?: number;
  /** Every so many steps the weights become the average. */
  readonly emaOverwriteFrequency?: number | null;
  /** Legacy optimizers: learningRate / (1 + decay * step). */
  readonly decay?: number;
  /** Keras 3: weights change after every so many steps, by the mean of their gradients; null or 1: after each. */
  readonly gradientAccumulationSteps?: number | null;
  readonly api?: OptimizerApi;
}

export const optimizerDefaults = {
  weightDecay: null,
  clipnorm: null,
  clipvalue: null,
  globalClipnorm: null,
  useEma: false,
  emaMomentum: 0.99,
  emaOverwriteFrequency: null,
  decay: 0,
  gradientAccumulationSteps: null,
  api: 'keras3',
} as const satisfies OptimizerOptions;

/** Entries of Keras' configs without meaning here. */
export const inertOptimizerOptions = ['jitCompile', 'isLegacyOptimizer', 'lossScaleFactor'] as const;

/** The flat vector of trainable weights. */
export interface FlatParameters {
  readonly slot: string;
  readonly size: number;
  readonly parts: readonly { readonly variable: Variable; readonly offset: number }[];
  readonly views: readonly StateView[];
}

/** Where the parts of the weights lie in a slot. */
export interface SlotLayout {
  readonly size: number;
  readonly parts: readonly { readonly variable: Variable; readonly offset: number; readonly shape: readonly number[] }[];
}

/** What an update rule sees; all vectors are flat. */
export interface UpdateContext {
  readonly parameters: SymbolicTensor;
  readonly gradient: SymbolicTensor;
  /** float32 scalar. */
  readonly learningRate: SymbolicTensor;
  /** Steps done, float32 scalar; and that plus one. */
  readonly iteration: SymbolicTensor;
  readonly step: SymbolicTensor;
  /** Rows that a sparse gradient touches (bool), null when all are. */
  readonly touched: SymbolicTensor | null;
  /** The value of a slot, and its next value. */
  slot(name: string): SymbolicTensor;
  setSlot(name: string, value: SymbolicTensor): void;
  /** Whether the learning rate follows a schedule. */
  readonly scheduled: boolean;
  readonly weights: readonly Variable[];
  /** The parts of the weights in a vector, or in a slot; null for weights that have none there. */
  split(vector: SymbolicTensor, slot?: string): (SymbolicTensor | null)[];
  /** Parts as one vector. */
  join(parts: readonly (SymbolicTensor | null)[]): SymbolicTensor;
}

/** State: the learning rate, where it is a number. */
export const learningRateSlot = 'learning_rate';

export abstract class Optimizer {
  static readonly className: string = '';
  readonly name: string;
  readonly schedule: schedules.LearningRateSchedule | null;
  readonly api: OptimizerApi;
  readonly weightDecay: number | null;
  readonly clipnorm: number | null;
  readonly clipvalue: number | null;
  readonly globalClipnorm: number | null;
  readonly useEma: boolean;
  readonly emaMomentum: number;
  readonly emaOverwriteFrequency: number | null;
  readonly decay: number;
  readonly gradientAccumulationSteps: number | null;
  private rate: number;

  constructor(defaultName: string, options: OptimizerOptions) {
    const positive = (name: 'clipnorm' | 'clipvalue' | 'globalClipnorm'): number | null => {
      const x = options[name] ?? null;
      if (x !== null && !(typeof x === 'number' && x > 0)) throw new ValueError(`${this.className}: '${name}' must be a positive number, got ${describe(x)}`);
      return x;
    };
    this.name = options.name ?? defaultName;
    const rate = options.learningRate ?? 0.001;
    this.schedule = rate instanceof schedules.LearningRateSchedule ? rate : isSerialized(rate) ? schedules.deserialize(rate) : null;
    this.rate = this.schedule ? 0 : checkedRate(this.className, rate);
    this.api = options.api ?? 'keras3';
    this.weightDecay = finiteNumber(this.className, 'weightDecay', options.weightDecay ?? 0) || null;
    this.clipnorm = positive('clipnorm');
    this.clipvalue = positive('clipvalue');
    this.globalClipnorm = positive('globalClipnorm');
    if ([this.clipnorm, this.clipvalue, this.globalClipnorm].filter((x) => x !== null).length > 1)
      throw new ValueError(`${this.className}: only one of clipnorm, clipvalue and globalClipnorm may be given`);
    this.useEma = options.useEma ?? false;
    this.emaMomentum = numberBetween(this.className, 'emaMomentum', options.emaMomentum ?? 0.99, 0, 1);
    const frequency = options.emaOverwriteFrequency ?? null;
    this.emaOverwriteFrequency = this.useEma && frequency !== null ? positiveInteger(this.className, 'emaOverwriteFrequency', frequency) : null;
    this.decay = numberBetween(this.className, 'decay', options.decay ?? 0, 0, Infinity);
    const steps = options.gradientAccumulationSteps ?? null;
    this.gradientAccumulationSteps = steps !== null && positiveInteger(this.className, 'gradientAccumulationSteps', steps) > 1 ? steps : null;
    if (this.gradientAccumulationSteps && this.api !== 'keras3')
      throw new ValueError(`${this.className}: 'gradientAccumulationSteps' belongs to the optimizers of Keras 3, this is one of ${this.api}`);
  }

  get className(): string {
    const cls = this.constructor as typeof Optimizer;
    return cls.className || cls.name;
  }

  /** The learning rate that is set (not that of a schedule). A model that trains takes a new one over at the next run. */
  get learningRate(): number {
    return this.rate;
  }
  set learningRate(rate: number) {
    if (this.schedule) throw new ValueError(`${this.className}: the learning rate follows a schedule and cannot be set`);
    this.rate = checkedRate(this.className, rate);
  }

  /** Names of the slots, each a vector as long as all weights. */
  abstract slotNames(): readonly string[];
  /** The new weights; slots are set through the context. */
  protected abstract update(u: UpdateContext): SymbolicTensor;
  /** Whether slots of rows that a sparse gradient does not touch stay as they are. */
  get updatesTouchedRowsOnly(): boolean {
    return false;
  }

  /** The state slot of an optimizer slot. */
  stateName(slot: string): string {
    return `${this.scope}${this.name}/${slot}`;
  }

  /** All slots, with those of the moving average and of gradients that wait. */
  allSlots(): readonly string[] {
    return [...this.slotNames(), ...(this.useEma ? ['average'] : []), ...(this.gradientAccumulationSteps ? ['gradient_accumulator'] : [])];
  }

  /** Shape of a weight's part of a slot; null where it has none. */
  slotShape(_slot: string, weight: Variable): readonly number[] | null {
    return weight.shape;
  }

  /** Numbers that are one for all weights, as they are after so many steps. */
  scalarSlots(_steps = 0): Readonly<Record<string, number>> {
    return {};
  }

  /** Where the parts of these weights, in this order, lie in a slot. */
  slotLayout(slot: string, weights: readonly Variable[]): SlotLayout {
    let size = 0;
    const parts = weights.flatMap((variable) => {
      const shape = this.slotShape(slot, variable);
      if (!shape) return [];
      const offset = size;
      size += sizeOf(shape);
      return [{ variable, offset, shape }];
    });
    return { size, parts };
  }

  /** The number of elements of the state for these weights, with the step counter and the learning rate. */
  stateSize(weights: readonly Variable[]): number {
    return this.allSlots().reduce((n, slot) => n + this.slotLayout(slot, weights).size, Object.keys(this.scalarSlots()).length + 2);
  }

  /** First contents of a slot, where it does not start at 0. */
  initialSlot(slot: string, parameters: Float32Array): Float32Array | null {
    return slot === 'average' && this.api !== 'keras3' ? parameters : null;
  }

  /** Adds the whole update to the graph: clipping, decay, rule, constraints, average, step counter. */
  apply(t: Trace, flat: FlatParameters, gradients: readonly Value[], touchedRows: ReadonlyMap<Variable, SymbolicTensor> = new Map()): void {
    const { b } = t;
    b.withOrigin('optimizer', () => {
      const iteration = this.count(t);
      if (flat.size === 0) return;
      const slot = b.stateSlot(flat.slot, 'float32', [flat.size], { trainable: true, views: flat.views });
      const current = () => flat.parts.map((p) => b.reshape(t.read(p.variable).value, [p.variable.size]));
      const old = t.tensor(t.replaced.size === 0 ? slot : b.concat(current(), 0));
      b.update(flat.slot, this.updated(t, flat, old, iteration, gradients, touchedRows).value);
    });
  }

  /**
   * In a step of one's own (`trainStep`): updates the variables by their gradients, as `ops.gradients` gives them. Once for each optimizer and step; reads that follow see the new values.
   * Throws ValueError for a variable that the model does not train, and for a second update in one step.
   */
  applyGradients(gradientsAndVariables: Iterable<readonly [SymbolicTensor, Variable]>): void {
    const pairs = [...gradientsAndVariables];
    const t = pairs[0]?.[0].trace;
    if (!t) throw new ValueError(`${this.className}.applyGradients: no gradients were given`);
    if (t.optimized.has(this))
      throw new ValueError(`${this.className}.applyGradients: this optimizer has updated variables in this step already: give it all of them at once`);
    t.optimized.add(this);
    const sorted = pairs
      .map(([gradient, variable]) => {
        const place = t.layout.place(variable).flat;
        if (!place) throw new ValueError(`${this.className}.applyGradients: the model does not train '${variable.path}'`);
        return { gradient, variable, place };
      })
      .sort((a, b) => a.place.offset - b.place.offset);
    const { place } = sorted[0]!;
    let size = 0;
    const parts = sorted.map(({ variable }) => {
      const offset = size;
      size += variable.size;
      return { variable, offset };
    });
    const all = size === place.size;
    const views = all ? place.views : parts.map(({ variable, offset }) => ({ name: variable.path, offset, shape: variable.shape }));
    const flat: FlatParameters = { slot: t.layout.place(sorted[0]!.variable).slot, size, parts, views };
    this.part = all ? null : parts.map((p) => p.variable);
    const { b } = t;
    b.withOrigin(this.name, () => {
      const iteration = this.count(t);
      const old = b.concat(
        parts.map((p) => b.reshape(t.read(p.variable).value, [p.variable.size])),
        0,
      );
      const gradients = sorted.map((s) => t.capture(s.gradient).value);
      const value = this.updated(t, flat, t.tensor(old), iteration, gradients, new Map()).value;
      for (const { variable, offset } of parts) t.assign(variable, t.tensor(b.reshape(b.slice(value, [offset], [offset + variable.size]), variable.shape)));
      if (!all) return;
      b.update(flat.slot, value);
      t.replaced.clear();
    });
  }

  /** What the names of the state begin with: set by a model for optimizers beside the one that it was compiled with. */
  scope = '';
  /** The variables that are updated, in the order of the slots; null: all of the model. */
  part: readonly Variable[] | null = null;
  /** State: the learning rate, where it is a number. */
  get rateSlot(): string {
    return `${this.scope}${learningRateSlot}`;
  }
  /** State: steps done. */
  get counterSlot(): string {
    return `${this.scope}${iterationSlot}`;
  }

  /** Counts a step; gives the number of those before. */
  private count(t: Trace): SymbolicTensor {
    const { b } = t;
    const counter = b.stateSlot(this.counterSlot, 'int32', []);
    b.update(this.counterSlot, b.add(counter, 1));
    return t.tensor(counter);
  }

  /** The new parameters. */
  private updated(
    t: Trace,
    flat: FlatParameters,
    old: SymbolicTensor,
    counter: SymbolicTensor,
    gradients: readonly Value[],
    touchedRows: ReadonlyMap<Variable, SymbolicTensor>,
  ): SymbolicTensor {
    const { b } = t;
    const counted = ops.cast(counter, 'float32');
    const learningRate = this.learningRateAt(t, counted);
    const waiting = this.gradientAccumulationSteps;
    const iteration = waiting ? ops.cast(t.tensor(b.div(counter.value, waiting)), 'float32') : counted;
    // parts that are not taken over in this step, while gradients gather
    const due = waiting ? ops.equal(ops.mod(ops.add(counter, 1), waiting), 0) : null;
    const kept = (value: SymbolicTensor, before: SymbolicTensor) => (due ? ops.where(due, value, before) : value);
    const weights = flat.parts.map((p) => p.variable);
    const vector = (name: string) => this.readSlot(t, name, flat);
    let given = gradients;
    if (due) {
      const gathered = vector('gradient_accumulator');
      const sum = ops.add(gathered, joined(t, gradients));
      b.update(this.stateName('gradient_accumulator'), ops.where(due, 0, sum).value);
      const mean = ops.divide(sum, waiting!);
      given = flat.parts.map(({ variable, offset }) => b.reshape(b.slice(mean.value, [offset], [offset + variable.size]), variable.shape));
    }
    const gradient = this.clipped(t, flat, given);
    const decayed = this.decayed(t, flat, old, learningRate);
    const updated = this.update({
      parameters: decayed,
      gradient,
      learningRate,
      iteration,
      step: ops.add(iteration, 1),
      touched: this.updatesTouchedRowsOnly ? flatTouched(t, flat, touchedRows) : null,
      slot: vector,
      setSlot: (name, x) => b.update(this.stateName(name), kept(x, vector(name)).value),
      scheduled: this.schedule !== null,
      weights,
      split: (x, slot) => {
        const { parts } = slot === undefined ? { parts: flat.parts.map((p) => ({ ...p, shape: p.variable.shape })) } : this.slotLayout(slot, weights);
        const found = new Map(parts.map((p) => [p.variable, p]));
        return weights.map((w) => {
          const p = found.get(w);
          return p ? t.tensor(b.reshape(b.slice(x.value, [p.offset], [p.offset + sizeOf(p.shape)]), p.shape)) : null;
        });
      },
      join: (parts) =>
        joined(
          t,
          parts.flatMap((p) => (p ? [p.value] : [])),
        ),
    });
    let value = kept(updated, old);
    // Keras 3 averages before constraints, Keras 2 too; both overwrite before them
    if (this.useEma) value = this.averaged(t, value, vector('average'), iteration);
    return this.constrained(t, flat, value);
  }

  /** Weight decay of a weight. */
  protected decayOf(_weight: Variable): number | null {
    return this.weightDecay;
  }

  private decayed(t: Trace, flat: FlatParameters, old: SymbolicTensor, learningRate: SymbolicTensor): SymbolicTensor {
    const decays = flat.parts.map((p) => this.decayOf(p.variable) ?? 0);
    if (decays.every((d) => d === 0)) return old;
    const same = decays.every((d) => d === decays[0]);
    const decay = same
      ? decays[0]!
      : joined(
          t,
          flat.parts.map((p, i) => t.b.full([p.variable.size], decays[i]!)),
        );
    return ops.subtract(old, ops.multiply(ops.multiply(old, decay), learningRate));
  }

  /** The value of a slot. */
  private readSlot(t: Trace, name: string, flat: FlatParameters): SymbolicTensor {
    const { b } = t;
    if (name in this.scalarSlots()) return t.tensor(b.stateSlot(this.stateName(name), 'float32', []));
    const { size, parts } = this.slotLayout(
      name,
      flat.parts.map((p) => p.variable),
    );
    const same = parts.length === flat.parts.length && parts.every((p, i) => p.offset === flat.parts[i]!.offset);
    const names = new Map(flat.parts.map((p, i) => [p.variable, flat.views[i]!.name]));
    const views = same && size === flat.size ? flat.views : parts.map((p) => ({ name: names.get(p.variable)!, offset: p.offset, shape: p.shape }));
    return t.tensor(b.stateSlot(this.stateName(name), 'float32', [size], { views }));
  }

  private learningRateAt(t: Trace, iteration: SymbolicTensor): SymbolicTensor {
    const rate = this.schedule ? this.schedule.call(iteration) : t.tensor(t.b.stateSlot(this.rateSlot, 'float32', []));
    return this.rateDecay > 0 ? ops.divide(rate, ops.add(ops.multiply(iteration, this.rateDecay), 1)) : rate;
  }
  /** What `decay` does to the learning rate. */
  protected get rateDecay(): number {
    return this.decay;
  }

  /** The flat gradient, clipped. */
  private clipped(t: Trace, flat: FlatParameters, gradients: readonly Value[]): SymbolicTensor {
    const { b } = t;
    let parts = gradients.map((g, i) => t.tensor(b.reshape(g, [flat.parts[i]!.variable.size])));
    const limit = this.clipnorm;
    if (limit !== null) {
      parts = parts.map((g) => ops.multiply(g, ops.divide(limit, ops.maximum(ops.sqrt(ops.sum(ops.square(g))), limit))));
    }
    const g = t.tensor(
      b.concat(
        parts.map((p) => p.value),
        0,
      ),
    );
    if (this.clipvalue !== null) return ops.clip(g, -this.clipvalue, this.clipvalue);
    if (this.globalClipnorm === null) return g;
    const norm = ops.sqrt(ops.sum(ops.square(g)));
    return ops.multiply(g, ops.divide(this.globalClipnorm, ops.maximum(norm, this.globalClipnorm)));
  }

  private averaged(t: Trace, value: SymbolicTensor, average: SymbolicTensor, iteration: SymbolicTensor): SymbolicTensor {
    // Keras 3 starts the average at the weights after the first step
    const momentum =
      this.api === 'keras3' ? ops.where(ops.equal(iteration, 0), 0, ops.full(iteration, [], this.emaMomentum)) : ops.full(iteration, [], this.emaMomentum);
    const next = ops.add(ops.multiply(average, momentum), ops.multiply(value, ops.subtract(1, momentum)));
    t.b.update(this.stateName('average'), next.value);
    if (this.emaOverwriteFrequency === null) return value;
    const due = ops.equal(ops.mod(ops.add(iteration, 1), this.emaOverwriteFrequency), 0);
    return ops.where(due, next, value);
  }

  private constrained(t: Trace, flat: FlatParameters, value: SymbolicTensor): SymbolicTensor {
    if (flat.parts.every(({ variable }) => !variable.constraint)) return value;
    const parts = flat.parts.map(({ variable, offset }) => {
      const part = ops.sliceAxis(value, 0, offset, offset + variable.size);
      return variable.constraint ? ops.reshape(variable.constraint.call(ops.reshape(part, variable.shape)), [variable.size]) : part;
    });
    return t.tensor(
      t.b.concat(
        parts.map((p) => p.value),
        0,
      ),
    );
  }

  getConfig(): JsonObject {
    const rate: Json = this.schedule ? (schedules.serialize(this.schedule) as unknown as Json) : this.rate;
    if (this.api === 'legacy') {
      const clip = { clipnorm: this.clipnorm, clipvalue: this.clipvalue, global_clipnorm: this.globalClipnorm };
      return { name: this.name, ...Object.fromEntries(Object.entries(clip).filter(([, v]) => v !== null)), learning_rate: rate, decay: this.decay };
    }
    return {
      name: this.name,
      learning_rate: rate,
      weight_decay: this.weightDecay,
      clipnorm: this.clipnorm,
      global_clipnorm: this.globalClipnorm,
      clipvalue: this.clipvalue,
      use_ema: this.useEma,
      ema_momentum: this.emaMomentum,
      ema_overwrite_frequency: this.emaOverwriteFrequency,
      ...(this.gradientAccumulationSteps ? { gradient_accumulation_steps: this.gradientAccumulationSteps } : {}),
    };
  }
}

/** `Adam(0.01)`, `Adam(0.01, { beta1: 0.8 })`, `Adam({ learningRate: 0.01 })`: the options. */
export function rateFirst(rate: unknown, options: OptimizerOptions | undefined): [object | undefined] {
  const isRate = typeof rate === 'number' || rate instanceof schedules.LearningRateSchedule;
  if (options !== undefined && !isPlainObject(options))
    throw new ValueError(`an optimizer's second argument must be an options object such as { momentum: 0.9 }, got ${describe(options)}`);
  if (!isRate && rate !== undefined && options !== undefined)
    throw new ValueError(`an optimizer's first argument must be the learning rate or an options object, got ${describe(rate)}`);
  return [isRate ? { learningRate: rate, ...options } : ((rate as object | undefined) ?? options)];
}

/** Values of any shapes as one vector. */
const joined = (t: Trace, values: readonly Value[]): SymbolicTensor =>
  t.tensor(
    t.b.concat(
      values.map((v) => t.b.reshape(v, [-1])),
      0,
    ),
  );

function checkedRate(what: string, x: unknown): number {
  if (typeof x !== 'number' || !Number.isFinite(x) || x < 0)
    throw new ValueError(`${what}: 'learningRate' must be a number of at least 0 or a schedule, got ${describe(x)}`);
  return x;
}

/** Which elements of the flat vector lie in touched rows. */
function flatTouched(t: Trace, flat: FlatParameters, rows: ReadonlyMap<Variable, SymbolicTensor>): SymbolicTensor | null {
  if (rows.size === 0) return null;
  const parts = flat.parts.map(({ variable }) => {
    const r = rows.get(variable);
    if (!r) return t.b.full([variable.size], 1, 'bool');
    const [n, ...rest] = variable.shape;
    return t.b.reshape(t.b.broadcastTo(t.b.reshape(r.value, [n!, ...rest.map(() => 1)]), variable.shape), [variable.size]);
  });
  return t.tensor(t.b.concat(parts, 0));
}
