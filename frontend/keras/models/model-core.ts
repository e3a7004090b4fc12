/** What lies below the calls of a model: inputs and outputs, what `compile` was given, the session on its device, and the state that training keeps. */
import type { DType, TypedArray } from '../../../ir/dtype.js';
import { UnsupportedError, ValueError } from '../../../ir/errors.js';
import type { CompiledPlan } from '../../../runtime/plan.js';
import type { KerasShape } from '../backend/trace.js';
import { type InputShape, Layer, type LayerOptions, numericTypes } from '../layers/layer.js';
import type { KerasDType } from '../layers/node.js';
import { tracked, unique } from '../layers/tracking.js';
import * as optimizers from '../optimizers/index.js';
import type { HostArray } from '../strings.js';
import { autoName } from '../utils/naming.js';
import { positiveInteger, resolveOptions, truth } from '../utils/options.js';
import { nextSeed, type RandomState, RandomStream } from '../utils/random.js';
import { Compiled, type CompileOptions, compileDefaults } from './compiled.js';
import { type DeviceOption, openExecutor } from './device-option.js';
import { EagerExecutor } from './eager-executor.js';
import { ModelLayout } from './layout.js';
import { ModelSession } from './session.js';

/** An input of a model; the shape has the batch axis. */
export interface InputSpec {
  readonly name: string;
  readonly shape: KerasShape;
  readonly dtype: KerasDType;
}

/** What a program takes in the place of an input. */
export interface Feed {
  readonly name: string;
  readonly shape: KerasShape;
  readonly dtype: DType;
  /** Makes it of the model's inputs on the host; null: the input as it is. */
  readonly compute: ((inputs: readonly HostArray[]) => HostArray) | null;
}

/** What of a model changes in training beside its weights. */
export interface ModelState {
  /** Contents of state slots by name: optimizer, step counter, learning rate, metrics. */
  readonly slots: ReadonlyMap<string, TypedArray>;
  readonly layout: ModelLayout;
  /** Of dropout and noise. */
  readonly seed: number;
  /** Of the order of samples; null before the first `fit`. */
  readonly shuffle: RandomState | null;
}

export abstract class ModelCore extends Layer {
  /** Set to true, by a callback or elsewhere, to end `fit` after the running epoch. */
  stopTraining = false;
  protected compiledWith: Compiled | null = null;
  /** Given to `compile` before the outputs were known. */
  private compileLater: (() => Compiled) | null = null;
  /** Ops run one by one, and a call may read values. */
  runEagerly = false;
  private device: DeviceOption = 'auto';
  protected current: ModelSession | null = null;
  /** A session whose weights have to come back before the next one starts. */
  protected retired: ModelSession | null = null;
  private seed: number | null = null;
  private shuffle: RandomStream | null = null;
  /** Contents of state slots from a file, until a session makes the slots. */
  private restored = new Map<string, TypedArray>();

  constructor(options: LayerOptions, defaultName: string) {
    super({ ...options, name: options.name ?? autoName(defaultName) });
  }

  // No member is abstract, since classes of users extend what `Model` is, and have a call alone.
  get inputSpecs(): readonly InputSpec[] {
    throw this.lacks('inputs');
  }
  /** What the programs take: the inputs, or what layers on the host make of them. */
  get feeds(): readonly Feed[] {
    return this.inputSpecs.map((s) => ({ ...s, dtype: numericTypes(`model '${this.name}'`, [s.dtype])[0]!, compute: null }));
  }
  get outputNames(): readonly string[] {
    throw this.lacks('outputs');
  }
  protected lacks(what: string): UnsupportedError {
    return new UnsupportedError(`the model class ${this.className} has no ${what}`);
  }
  /** Whether the input shapes are known. */
  get hasInputs(): boolean {
    return true;
  }
  /** The layers, in order. */
  get layers(): readonly Layer[] {
    return this.sublayers;
  }
  getLayer(nameOrIndex: string | number): Layer {
    const layer = typeof nameOrIndex === 'number' ? this.layers[nameOrIndex] : this.layers.find((l) => l.name === nameOrIndex);
    if (!layer) throw new ValueError(`model '${this.name}' has no layer ${JSON.stringify(nameOrIndex)}. Layers: ${this.layers.map((l) => l.name).join(', ')}`);
    return layer;
  }

  /** In the order of the layers; within a layer, trainable weights first. */
  override get weights() {
    return unique(this.sublayers.flatMap((l) => l.weights));
  }
  override get trainableWeights() {
    return this.trainable ? unique(this.sublayers.flatMap((l) => l.trainableWeights)) : [];
  }
  override get nonTrainableWeights() {
    const trainable = new Set(this.trainableWeights);
    return this.weights.filter((w) => !trainable.has(w));
  }

  /** The optimizer that `compile` was given. */
  get optimizer(): optimizers.Optimizer | null {
    return this.compiledWith?.optimizer ?? null;
  }
  /** That one, then those in fields, which a `trainStep` of one's own may use. */
  get optimizers(): readonly optimizers.Optimizer[] {
    const isOptimizer = (x: unknown): x is optimizers.Optimizer => x instanceof optimizers.Optimizer;
    const all = unique([...(this.optimizer ? [this.optimizer] : []), ...tracked(this, isOptimizer)]);
    all.forEach((o, i) => {
      o.scope = i === 0 && o === this.optimizer ? '' : `optimizer_${i}/`;
    });
    return all;
  }
  /** Names of what `evaluate` and `trainOnBatch` return in lists; known after the first batch. */
  get metricsNames(): readonly string[] {
    return this.compiledWith?.listed ?? ['loss'];
  }
  /** What `compile` was given, resolved; throws when the model is not compiled. */
  get compiled(): Compiled {
    if (this.compileLater && this.hasInputs) {
      this.compiledWith = this.compileLater();
      this.compileLater = null;
    }
    if (!this.compiledWith) throw new ValueError(`model '${this.name}' is not compiled: call compile({ optimizer, loss }) first`);
    return this.compiledWith;
  }

  /** Sets optimizer, loss and metrics. Weights stay as they are; the optimizer starts anew. */
  compile(options: CompileOptions = {}): void {
    const o = resolveOptions<Required<CompileOptions>>('compile', [options], [], compileDefaults);
    positiveInteger('compile', 'stepsPerExecution', o.stepsPerExecution);
    truth('compile', 'runEagerly', o.runEagerly);
    const optimizer = optimizers.get(o.optimizer, this.semantics === 'keras2' ? 'keras2' : 'keras3');
    const resolve = (names: readonly string[]) => new Compiled(optimizer, o, names, this.semantics);
    this.compiledWith = resolve(this.hasInputs ? this.outputNames : this.impliedOutputNames(o.loss));
    // a model that was never called may turn out to have several outputs
    this.compileLater = this.hasInputs ? null : () => resolve(this.outputNames);
    this.runEagerly = o.runEagerly;
    this.restored = new Map();
    this.retire();
    this.device = o.device;
  }

  /** Builds the model for this input shape (with the batch axis), where no layer says it. */
  buildFor(shape: InputShape): void {
    this.ensureBuilt(shape);
  }

  /** Names of the outputs as far as they are known before the model is built. */
  protected impliedOutputNames(_loss: CompileOptions['loss']): readonly string[] {
    return [this.layers.at(-1)?.name ?? this.name];
  }
  /** Builds a model for data whose inputs cannot be told from their shapes alone; false where nothing was done. */
  buildOnData(_what: string, _x: unknown): boolean {
    return false;
  }
  /** Before data is used: what cannot be done at once. */
  protected prepare(_what: string, _x: unknown): Promise<void> {
    return Promise.resolve();
  }

  // ---- running

  /** The layers have become others: what was compiled of them is made anew, and the optimizer starts anew. */
  protected layersChanged(): void {
    if (this.compiledWith) this.compile(this.compiledWith.given);
    else this.retire();
  }

  private retire(): void {
    if (!this.current) return;
    this.retired?.dispose();
    this.retired = this.current;
    this.current = null;
  }

  protected async settle(): Promise<void> {
    if (!this.retired) return;
    const old = this.retired;
    this.retired = null;
    await old.pull();
    old.dispose();
  }

  protected layout(): ModelLayout {
    const trainable = this.trainableWeights;
    const own = new Set(trainable);
    return new ModelLayout(trainable, [...this.weights.filter((w) => !own.has(w)), ...this.allState]);
  }

  protected randomSeed(): number {
    this.seed ??= nextSeed();
    return this.seed;
  }

  /** The model on its device; opened at first use. */
  async session(): Promise<ModelSession> {
    await this.settle();
    if (!this.current) {
      const { executor, release } = this.runEagerly ? { executor: new EagerExecutor(), release: () => undefined } : await openExecutor(this.device);
      this.current = new ModelSession(executor, this.layout(), this.optimizers, this.randomSeed(), release, this.restored);
    }
    return this.current;
  }

  /** The same where it is open and nothing has to settle; else null. */
  get readySession(): ModelSession | null {
    return this.retired ? null : this.current;
  }

  /** The order of samples in `fit`: one stream for the life of the model, so that training in several calls, or after a file, goes on as one call would. */
  get shuffleStream(): RandomStream {
    this.shuffle ??= new RandomStream(nextSeed());
    return this.shuffle;
  }

  /** What training needs beside weights to go on exactly. Weights and states of layers are brought to the host. */
  async exportState(): Promise<ModelState> {
    await this.settle();
    await this.current?.pull();
    const slots = this.current ? await this.current.exportSlots() : new Map(this.restored);
    return { slots, layout: this.layout(), seed: this.randomSeed(), shuffle: this.shuffle?.state ?? null };
  }
  /** Goes on from a state that `exportState` gave; weights and states of layers are taken from the host. Missing parts stay as they are. */
  restoreState(state: Partial<Omit<ModelState, 'layout'>>): void {
    if (state.seed !== undefined) this.seed = state.seed;
    if (state.shuffle) this.shuffle = new RandomStream(state.shuffle);
    if (this.current) {
      this.current.push();
      this.current.restoreSlots(state.slots ?? new Map());
    } else for (const [name, contents] of state.slots ?? []) this.restored.set(name, contents);
  }
  /** The parameters in the order in which optimizer slots hold them, for files. */
  get parameterLayout(): ModelLayout {
    return this.layout();
  }

  /** One line about the device that the model runs on; null before it runs. */
  get deviceDescription(): string | null {
    return this.current?.executor.description ?? null;
  }
  /** Whether the device was chosen for the user, who wants to know which. */
  get deviceWasChosen(): boolean {
    return this.device === 'auto';
  }

  /** The plans that the model runs, by program (train, evaluate, predict), as far as they were made: for reports. */
  get plans(): Readonly<Record<string, CompiledPlan>> {
    return this.current?.plans ?? {};
  }
}
