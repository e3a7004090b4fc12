/** tf.keras.callbacks: the protocol, and the callbacks that training here needs. */
import { didYouMean, ValueError } from '../../../ir/errors.js';
import type { Tensor } from '../tensor.js';
import { callable } from '../utils/callable.js';
import { describe, isPlainObject, numberBetween, oneOf, resolveOptions } from '../utils/options.js';
import type { Semantics } from '../utils/serialization.js';

export type Logs = Readonly<Record<string, number>>;

/** What `fit` tells callbacks. */
export interface CallbackParams {
  readonly epochs: number;
  readonly steps: number | null;
  readonly verbose: number;
}

/** What callbacks may do with the model. */
export interface CallbackModel {
  stopTraining: boolean;
  /** Which generation of Keras decides where the two differ. */
  readonly semantics: Semantics;
  readonly optimizer: { learningRate: number } | null;
  getWeights(): Promise<Tensor[]>;
  setWeights(weights: readonly Tensor[]): void;
}

type Result = void | Promise<void>;

/** Base class: override what you need. Methods may be async. Batch methods make `fit` run and report every batch by itself. */
export class CallbackClass {
  protected model!: CallbackModel;
  protected params!: CallbackParams;
  setModel(model: CallbackModel): void {
    this.model = model;
  }
  setParams(params: CallbackParams): void {
    this.params = params;
  }
  onTrainBegin?(logs: Logs): Result;
  onTrainEnd?(logs: Logs): Result;
  onEpochBegin?(epoch: number, logs: Logs): Result;
  onEpochEnd?(epoch: number, logs: Logs & Record<string, number>): Result;
  onTrainBatchBegin?(batch: number, logs: Logs): Result;
  onTrainBatchEnd?(batch: number, logs: Logs): Result;
  onTestBegin?(logs: Logs): Result;
  onTestEnd?(logs: Logs): Result;
  onTestBatchBegin?(batch: number, logs: Logs): Result;
  onTestBatchEnd?(batch: number, logs: Logs): Result;
  onPredictBegin?(logs: Logs): Result;
  onPredictEnd?(logs: Logs): Result;
  onPredictBatchBegin?(batch: number, logs: Logs): Result;
  onPredictBatchEnd?(batch: number, logs: Logs): Result;
}
export const Callback = callable(CallbackClass);
export type Callback = CallbackClass;

/** Events and the arguments before the logs. */
export type CallbackEvent = Exclude<{ [K in keyof CallbackClass]: K extends `on${string}` ? K : never }[keyof CallbackClass], undefined>;

/** Names of the events. */
const callbackEvents: readonly string[] = [
  'onTrainBegin',
  'onTrainEnd',
  'onEpochBegin',
  'onEpochEnd',
  'onTrainBatchBegin',
  'onTrainBatchEnd',
  'onTestBegin',
  'onTestEnd',
  'onTestBatchBegin',
  'onTestBatchEnd',
  'onPredictBegin',
  'onPredictEnd',
  'onPredictBatchBegin',
  'onPredictBatchEnd',
] satisfies readonly CallbackEvent[];

/** Records the logs of each epoch; what `fit` returns. */
export class History extends CallbackClass {
  readonly epoch: number[] = [];
  readonly history: Record<string, number[]> = {};
  override onEpochEnd(epoch: number, logs: Logs): void {
    this.epoch.push(epoch);
    for (const [name, value] of Object.entries(logs)) {
      this.history[name] ??= [];
      this.history[name].push(value);
    }
  }
}

/** Several callbacks as one; plain objects with some of the methods are callbacks too. */
export class CallbackList {
  readonly list: readonly CallbackClass[];
  constructor(callbacks: readonly (CallbackClass | Partial<CallbackClass>)[], model: CallbackModel, params: CallbackParams) {
    if (!Array.isArray(callbacks)) throw new ValueError(`'callbacks' must be a list of Callbacks, got ${describe(callbacks)}`);
    this.list = callbacks.map((c: CallbackClass | Partial<CallbackClass>, i) => {
      if (typeof c !== 'object' || c === null) throw new ValueError(`callbacks[${i}] must be a Callback, got ${describe(c)}`);
      for (const name of isPlainObject(c) ? Object.keys(c) : [])
        if (/^on[A-Z_]/.test(name) && !callbackEvents.includes(name))
          throw new ValueError(`callbacks[${i}]: there is no event '${name}'.${didYouMean(name, callbackEvents)} Events: ${callbackEvents.join(', ')}`);
      return c instanceof CallbackClass ? c : Object.assign(new CallbackClass(), c);
    });
    for (const c of this.list) {
      c.setModel(model);
      c.setParams(params);
    }
  }
  /** Whether some callback listens to one of the events. */
  has(...events: CallbackEvent[]): boolean {
    return this.list.some((c) => events.some((e) => c[e] !== undefined));
  }
  async emit(event: CallbackEvent, ...args: readonly unknown[]): Promise<void> {
    for (const c of this.list) await (c[event] as ((...a: unknown[]) => Result) | undefined)?.apply(c, [...args]);
  }
}

interface EarlyStoppingOptions {
  monitor?: string;
  minDelta?: number;
  patience?: number;
  verbose?: number;
  mode?: 'auto' | 'min' | 'max';
  baseline?: number | null;
  restoreBestWeights?: boolean;
  startFromEpoch?: number;
}

/** Whether smaller values of a metric are better: all but accuracies and the like. */
const smallerIsBetter = (mode: string | undefined, monitor: string): boolean =>
  mode === 'min' ? true : mode === 'max' ? false : !/acc$|accuracy$|auc$|precision|recall|f1/i.test(monitor);

/** Stops when a monitored value (default val_loss) has stopped getting better. */
class EarlyStoppingClass extends CallbackClass {
  private readonly options: Required<EarlyStoppingOptions>;
  private wait = 0;
  private best = Number.NaN;
  private bestEpoch = 0;
  private bestWeights: Tensor[] | null = null;
  stoppedEpoch = 0;
  constructor(options?: EarlyStoppingOptions) {
    super();
    this.options = resolveOptions<EarlyStoppingOptions>('EarlyStopping', [options], [], {
      monitor: 'val_loss',
      minDelta: 0,
      patience: 0,
      verbose: 0,
      mode: 'auto',
      baseline: null,
      restoreBestWeights: false,
      startFromEpoch: 0,
    }) as Required<EarlyStoppingOptions>;
    oneOf('EarlyStopping', 'mode', this.options.mode, ['auto', 'min', 'max']);
    for (const name of ['minDelta', 'patience', 'startFromEpoch'] as const) numberBetween('EarlyStopping', name, this.options[name], 0, Infinity);
  }
  private better(value: number, than: number): boolean {
    const { minDelta, mode, monitor } = this.options;
    return smallerIsBetter(mode, monitor) ? value < than - Math.abs(minDelta) : value > than + Math.abs(minDelta);
  }
  override onTrainBegin(): void {
    this.wait = 0;
    this.stoppedEpoch = 0;
    this.bestWeights = null;
    this.bestEpoch = 0;
    this.best = smallerIsBetter(this.options.mode, this.options.monitor) ? Infinity : -Infinity;
  }
  override async onEpochEnd(epoch: number, logs: Logs): Promise<void> {
    const { monitor, patience, baseline, restoreBestWeights, startFromEpoch } = this.options;
    const value = logs[monitor];
    if (value === undefined) {
      console.warn(`EarlyStopping: '${monitor}' is not among the logs (${Object.keys(logs).join(', ')})`);
      return;
    }
    if (epoch < startFromEpoch) return;
    if (restoreBestWeights && this.bestWeights === null) this.bestWeights = await this.model.getWeights();
    this.wait++;
    if (this.better(value, this.best)) {
      this.best = value;
      this.bestEpoch = epoch;
      if (restoreBestWeights) this.bestWeights = await this.model.getWeights();
      if (baseline === null || this.better(value, baseline)) this.wait = 0;
      return;
    }
    if (this.wait >= patience && epoch > 0) {
      this.stoppedEpoch = epoch;
      this.model.stopTraining = true;
    }
  }
  override onTrainEnd(): void {
    const { restoreBestWeights, verbose } = this.options;
    const stopped = this.stoppedEpoch > 0;
    if (stopped && verbose > 0) console.log(`Epoch ${this.stoppedEpoch + 1}: early stopping`);
    // Keras 3 restores the best weights even when training ran to its end
    if (!restoreBestWeights || !this.bestWeights || !(stopped || this.model.semantics === 'keras3')) return;
    if (verbose > 0) console.log(`Restoring model weights from the end of the best epoch: ${this.bestEpoch + 1}.`);
    this.model.setWeights(this.bestWeights);
  }
}

/** Sets the learning rate at the start of each epoch: `schedule(epoch, rate)`. */
class LearningRateSchedulerClass extends CallbackClass {
  constructor(
    private readonly schedule: (epoch: number, learningRate: number) => number,
    private readonly options: { verbose?: number } = {},
  ) {
    super();
    if (typeof schedule !== 'function') throw new ValueError(`LearningRateScheduler: 'schedule' must be a function, got ${describe(schedule)}`);
  }
  override onEpochBegin(epoch: number): void {
    const { optimizer } = this.model;
    if (!optimizer) throw new ValueError('LearningRateScheduler: the model is not compiled');
    const rate = this.schedule(epoch, optimizer.learningRate);
    if (typeof rate !== 'number' || !Number.isFinite(rate))
      throw new ValueError(`LearningRateScheduler: the schedule gave ${describe(rate)} for epoch ${epoch}, expected a number`);
    optimizer.learningRate = rate;
    if ((this.options.verbose ?? 0) > 0) console.log(`Epoch ${epoch + 1}: LearningRateScheduler setting learning rate to ${rate}.`);
  }
  override onEpochEnd(_epoch: number, logs: Record<string, number>): void {
    logs.learning_rate = this.model.optimizer!.learningRate;
  }
}

interface ReduceLROnPlateauOptions {
  monitor?: string;
  factor?: number;
  patience?: number;
  verbose?: number;
  mode?: 'auto' | 'min' | 'max';
  minDelta?: number;
  cooldown?: number;
  minLr?: number;
}

/** Multiplies the learning rate by `factor` (0.1) when a value has not got better for `patience` (10) epochs. */
class ReduceLROnPlateauClass extends CallbackClass {
  private readonly options: Required<ReduceLROnPlateauOptions>;
  private best = Infinity;
  private wait = 0;
  private cooling = 0;
  constructor(options?: ReduceLROnPlateauOptions) {
    super();
    this.options = resolveOptions<ReduceLROnPlateauOptions>('ReduceLROnPlateau', [options], [], {
      monitor: 'val_loss',
      factor: 0.1,
      patience: 10,
      verbose: 0,
      mode: 'auto',
      minDelta: 1e-4,
      cooldown: 0,
      minLr: 0,
    }) as Required<ReduceLROnPlateauOptions>;
    oneOf('ReduceLROnPlateau', 'mode', this.options.mode, ['auto', 'min', 'max']);
    for (const name of ['factor', 'patience', 'minDelta', 'cooldown', 'minLr'] as const)
      numberBetween('ReduceLROnPlateau', name, this.options[name], 0, Infinity);
    if (this.options.factor >= 1) throw new ValueError(`ReduceLROnPlateau: 'factor' must be below 1, got ${this.options.factor}`);
  }
  private get down(): boolean {
    return smallerIsBetter(this.options.mode, this.options.monitor);
  }
  override onTrainBegin(): void {
    this.best = this.down ? Infinity : -Infinity;
    this.wait = 0;
    this.cooling = 0;
  }
  override onEpochEnd(epoch: number, logs: Record<string, number>): void {
    const { monitor, factor, patience, minDelta, cooldown, minLr, verbose } = this.options;
    const optimizer = this.model.optimizer!;
    logs.learning_rate = optimizer.learningRate;
    const value = logs[monitor];
    if (value === undefined) {
      console.warn(`ReduceLROnPlateau: '${monitor}' is not among the logs (${Object.keys(logs).join(', ')})`);
      return;
    }
    if (this.cooling > 0) {
      this.cooling--;
      this.wait = 0;
    }
    if (this.down ? value < this.best - minDelta : value > this.best + minDelta) {
      this.best = value;
      this.wait = 0;
    } else if (this.cooling === 0) {
      this.wait++;
      if (this.wait >= patience && optimizer.learningRate > Math.fround(minLr)) {
        optimizer.learningRate = Math.max(optimizer.learningRate * factor, minLr);
        if (verbose > 0) console.log(`Epoch ${epoch + 1}: ReduceLROnPlateau reducing learning rate to ${optimizer.learningRate}.`);
        this.cooling = cooldown;
        this.wait = 0;
      }
    }
  }
}

export const EarlyStopping = callable(EarlyStoppingClass);
export const LearningRateScheduler = callable(LearningRateSchedulerClass);
export const ReduceLROnPlateau = callable(ReduceLROnPlateauClass);
