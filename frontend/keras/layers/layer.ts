/**
 * Base class of layers. A layer has weights (made in `build`), a `call` that computes on symbolic tensors, and a configuration. Instances are functions: `layer(x)` on a
 * tensor of a functional model records a node; on a tensor of a running trace it computes.
 */
import { GraphBuilder } from '../../../ir/builder.js';
import { symbol } from '../../../ir/dim.js';
import { type DType, dtypes } from '../../../ir/dtype.js';
import { ShapeError, UnsupportedError, ValueError } from '../../../ir/errors.js';
import { sizeOf } from '../../../ir/tensor-data.js';
import { runningLayer, runningTrace, within } from '../backend/context.js';
import * as ops from '../backend/ops.js';
import { concrete, runEagerly } from '../backend/run-eagerly.js';
import { type KerasShape, kerasShape, kerasShapeText, listOf, SymbolicTensor, separateLayout, type Tensors, Trace } from '../backend/trace.js';
import { Variable } from '../backend/variable.js';
import * as constraints from '../constraints.js';
import * as initializers from '../initializers/index.js';
import { MeanClass, Metric } from '../metrics/index.js';
import * as regularizers from '../regularizers.js';
import { Tensor, toTensor } from '../tensor.js';
import { autoName } from '../utils/naming.js';
import { describe } from '../utils/options.js';
import { type Json, type JsonObject, optionsOfConfig, type Semantics, writtenGeneration } from '../utils/serialization.js';
import { checkCommonOptions } from './layer-options.js';
import { KerasTensor, type KerasTensors, LayerNode } from './node.js';
import { isVariable, tracked, unique } from './tracking.js';

export { checkRank, knownDim, single, singleShape } from './layer-checks.js';

export type InputShape = KerasShape | readonly KerasShape[];

/** Arguments of a layer call beside the inputs. */
export interface CallArguments {
  readonly training?: boolean | null;
  readonly mask?: SymbolicTensor | null | readonly (SymbolicTensor | null)[];
  /** Recurrent layers: the states to start from. */
  readonly initialState?: readonly SymbolicTensor[] | readonly KerasTensor[];
  /** Attention: which keys (last axis) each query may look at; (batch, queries, keys). */
  readonly attentionMask?: SymbolicTensor | KerasTensor | null;
  /** Multi-head attention called on the query alone: the value, and the key where it is another tensor. */
  readonly value?: SymbolicTensor | KerasTensor;
  readonly key?: SymbolicTensor | KerasTensor;
  /** Attention: no query looks at a key after it. */
  readonly useCausalMask?: boolean;
  /** Attention: the weights after the output. */
  readonly returnAttentionScores?: boolean;
  /** CategoryEncoding: what each input counts. */
  readonly countWeights?: SymbolicTensor | KerasTensor | null;
  /** Arguments of a layer of one's own. */
  readonly [argument: string]: unknown;
}

/** Options that every layer takes. */
export interface LayerOptions {
  /** Default: the class in snake_case, numbered. */
  readonly name?: string | null;
  /** Default true. */
  readonly trainable?: boolean;
  /** float32. */
  readonly dtype?: string | null | object;
  /** Shape of one sample, for the first layer of a Sequential. */
  readonly inputShape?: KerasShape | null;
  /** Shape with the batch axis. */
  readonly batchInputShape?: KerasShape | null;
  readonly activityRegularizer?: regularizers.RegularizerIdentifier | null;
  /** Which generation of Keras decides where the two differ: default keras3; files of Keras 2 set keras2. */
  readonly semantics?: Semantics;
}

export const layerDefaults: LayerOptions = {
  name: null,
  trainable: true,
  dtype: null,
  inputShape: null,
  batchInputShape: null,
  activityRegularizer: null,
  semantics: 'keras3',
};

export interface WeightOptions {
  /** Default glorot_uniform, as in Keras. */
  readonly initializer?: initializers.InitializerIdentifier;
  readonly regularizer?: regularizers.RegularizerIdentifier | null;
  readonly constraint?: constraints.ConstraintIdentifier | null;
  readonly trainable?: boolean;
  readonly dtype?: DType;
}

/** A weight as `addWeight({ … })` takes it. */
export interface NamedWeight extends WeightOptions {
  /** Default `variable`. */
  readonly name?: string;
  /** Default a scalar. */
  readonly shape?: KerasShape;
}

/** A loss in a call: one tensor (its sum counts), or a function of weights that gives one. */
export type AddedLoss = SymbolicTensor | (() => SymbolicTensor);

/** What a layer is called on, and what it gives. */
export type LayerData = KerasTensors | Tensors | Tensor | readonly Tensor[];

/** An object that is a function: calling it calls `apply`. */
class CallableObject {
  constructor() {
    const self = ((inputs: never, args?: CallArguments) => (self as unknown as Layer).apply(inputs, args)) as unknown as this;
    Object.setPrototypeOf(self, new.target.prototype as object);
    // biome-ignore lint/correctness/noConstructorReturn: an instance is a function
    return self;
  }
}

/** The dtype that an option stands for: a name, or a policy of a Keras file. */
export function dtypeOf(what: string, dtype: unknown): DType {
  if (dtype === null || dtype === undefined) return 'float32';
  if (typeof dtype === 'string' && (dtypes as readonly string[]).includes(dtype)) return dtype as DType;
  if (dtype === 'int64') return 'int32';
  if (typeof dtype === 'object') return dtypeOf(what, (dtype as { config?: { name?: unknown } }).config?.name ?? null);
  throw new ValueError(`${what}: unknown dtype ${describe(dtype)}. Known: ${dtypes.join(', ')}`);
}

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: gives instances their call signatures
export abstract class Layer extends CallableObject {
  /** The class in configurations; default: the JavaScript name of the class. */
  static readonly className: string = '';
  name: string;
  built = false;
  /** Whether a mask of the input is passed on. */
  supportsMasking = false;
  readonly semantics: Semantics;
  readonly dtype: DType;
  readonly batchInputShape: KerasShape | null;
  readonly activityRegularizer: regularizers.Regularizer | null;
  /** Calls on tensors of functional models, in order. */
  readonly inboundNodes: LayerNode[] = [];
  /** Layers inside this one that it was given by `hold`. */
  protected readonly held: Layer[] = [];
  private isTrainable = true;
  private readonly lossFunctions: (() => SymbolicTensor)[] = [];
  private readonly addedMetrics = new Map<string, MeanClass>();
  /** Losses of the last call on arrays. */
  private lastLosses: readonly Tensor[] = [];
  /** Own weights, in the order of `addWeight`. */
  protected readonly ownWeights: Variable[] = [];
  /** State that is not a weight, such as the states of a stateful recurrent layer. */
  readonly stateVariables: Variable[] = [];

  constructor(options: LayerOptions = {}) {
    super();
    const { className } = this;
    const name = options.name ?? autoName(className);
    if (typeof name !== 'string' || name === '') throw new ValueError(`${className}: 'name' must be a non-empty string, got ${describe(name)}`);
    Object.defineProperty(this, 'name', { value: name, writable: true, enumerable: true, configurable: true });
    this.name = name;
    checkCommonOptions(className, options);
    // `build` may be called by hand, and must not run twice then
    Object.defineProperty(this, 'build', { value: (shape: InputShape) => this.ensureBuilt(shape), writable: true, configurable: true });
    this.isTrainable = options.trainable ?? true;
    this.semantics = options.semantics ?? 'keras3';
    this.dtype = dtypeOf(className, options.dtype);
    this.batchInputShape = options.batchInputShape ?? (options.inputShape ? [null, ...options.inputShape] : null);
    this.activityRegularizer = regularizers.get(options.activityRegularizer);
  }

  get className(): string {
    const cls = this.constructor as typeof Layer;
    return cls.className || cls.name || 'Layer';
  }

  /** What Keras calls the inputs after the first, where it takes them as arguments and not as a list. */
  get inputNames(): readonly string[] | null {
    return null;
  }

  /** The generation of Keras that `getConfig` writes for. */
  protected get configFor(): Semantics {
    return writtenGeneration(this.semantics);
  }

  /**
   * The layers inside under the attributes that Keras keeps them in, as `.keras` files and checkpoints name their paths. A list stands for an attribute that is a list of layers.
   * Default: none.
   */
  get trackedLayers(): Readonly<Record<string, Layer | readonly Layer[]>> {
    return {};
  }

  /**
   * Own weights as Keras tracks them: by the path of the object inside this layer that has them (`''` for the layer itself, `_query_dense` for a dense layer that Keras keeps inside
   * where this class has weights of its own), each in Keras' order.
   */
  get trackedWeights(): Readonly<Record<string, readonly Variable[]>> {
    return { '': [...this.ownVariables.filter((w) => w.trainable), ...this.ownVariables.filter((w) => !w.trainable)] };
  }

  // ---- to override

  /** Makes the weights. `inputShape` is a list of shapes for several inputs. */
  build(_inputShape: InputShape): void {
    // most layers without weights have nothing to make
  }

  /** Computes the outputs. With `runEagerly` it may be asynchronous, and read values. */
  abstract call(inputs: Tensors, args: CallArguments): Tensors | Promise<Tensors>;

  /** The mask of the outputs. */
  computeMask(_inputs: Tensors, mask: CallArguments['mask'], _outputs: Tensors): CallArguments['mask'] {
    return this.supportsMasking ? mask : null;
  }

  /** Shape of the output for a shape of the input, both with the batch axis; a list of them where there are several. Builds the layer. */
  computeOutputShape(inputShape: InputShape): InputShape {
    const several = Array.isArray(inputShape[0]);
    const shapes = (several ? inputShape : [inputShape]) as readonly KerasShape[];
    const xs = symbolicInputs(new Trace(new GraphBuilder(this.name), { training: false, layout: separateLayout }), shapes);
    const out = this.compute(several ? xs : xs[0]!);
    return out instanceof SymbolicTensor ? kerasShape(out.shape) : out.map((o) => kerasShape(o.shape));
  }

  getConfig(): JsonObject {
    const config: Record<string, Json> = { name: this.name, trainable: this.trainable, dtype: this.dtype };
    if (this.batchInputShape && this.configFor === 'keras2') config.batch_input_shape = this.batchInputShape;
    return config;
  }

  /** A layer from what `getConfig` gave: the constructor gets one options object with camelCase names. A class whose constructor wants something else overrides it. */
  static fromConfig(config: JsonObject): Layer {
    // biome-ignore lint/complexity/noThisInStatic: the class that the method was called on
    return new (this as unknown as new (options: object) => Layer)(optionsOfConfig(config));
  }

  // ---- weights

  /** Where the weights' paths start: the name, below the paths of the layers that hold this one. */
  get scope(): string {
    return this.holder ? `${this.holder.layer.scope}${this.holder.suffix}` : this.name;
  }
  private holder: { readonly layer: Layer; readonly suffix: string } | null = null;
  /** Whether the weights of layers in fields are named below this layer. */
  protected get namesInnerWeights(): boolean {
    return true;
  }

  /** Takes a layer into this one: its weights are among this layer's, with paths below this layer's path and `suffix`. Call it before the inner layer is built. */
  protected hold<L extends Layer>(layer: L, suffix: string = `/${layer.name}`): L {
    if (!this.held.includes(layer)) this.held.push(layer);
    (layer as Layer).holder = { layer: this, suffix };
    return layer;
  }

  /** Layers inside this one, for weights and losses: those in its fields (also in arrays, maps and plain objects), in the order in which the fields were set. */
  get sublayers(): readonly Layer[] {
    return unique([...this.held, ...tracked(this, isLayer)]);
  }
  /** This layer and all inside it. */
  get allLayers(): Layer[] {
    return unique([this as Layer, ...this.sublayers.flatMap((l) => l.allLayers)]);
  }

  /** False: the weights are not trained, and batch normalization uses its moving statistics. Setting it sets the layers inside, too. Set it before `compile`. */
  get trainable(): boolean {
    return this.isTrainable;
  }
  set trainable(value: boolean) {
    this.isTrainable = value;
    for (const l of this.sublayers) l.trainable = value;
  }

  /** Makes a weight; call it in `build`. The initializer defaults to glorot_uniform. */
  addWeight(options: NamedWeight): Variable;
  addWeight(name: string, shape: KerasShape, options?: WeightOptions): Variable;
  addWeight(given: string | NamedWeight, shapeGiven?: KerasShape, optionsGiven: WeightOptions = {}): Variable {
    const options = typeof given === 'string' ? optionsGiven : given;
    const name = typeof given === 'string' ? given : (given.name ?? `variable${this.ownWeights.length === 0 ? '' : `_${this.ownWeights.length}`}`);
    const shape = (typeof given === 'string' ? shapeGiven : given.shape) ?? [];
    const path = `${this.scope}/${name}`;
    const v = new Variable({
      path,
      shape: shape.map((d) => {
        if (d === null || !(Number.isInteger(d) && d >= 0))
          throw new ShapeError(`${path}: the weight's shape ${kerasShapeText(shape)} has a dimension that is ${d === null ? 'unknown' : 'no whole number'}`);
        return d;
      }),
      dtype: options.dtype ?? 'float32',
      trainable: options.trainable ?? true,
      initializer: initializers.get(options.initializer ?? 'glorot_uniform'),
      regularizer: regularizers.get(options.regularizer),
      constraint: constraints.get(options.constraint),
    });
    this.ownWeights.push(v);
    return v;
  }

  /** Makes state that is kept between runs and is not a weight. */
  addState(name: string, shape: readonly number[], dtype: DType = 'float32'): Variable {
    const v = new Variable({ path: `${this.scope}/${name}`, shape, dtype, trainable: false });
    this.stateVariables.push(v);
    return v;
  }

  /** Weights that are this layer's own, those made by hand in fields included. */
  protected get ownVariables(): Variable[] {
    const inFields = tracked(this, isVariable);
    const others = inFields.length > 0 ? new Set([...this.stateVariables, ...this.sublayers.flatMap((l) => [...l.weights, ...l.allState])]) : null;
    return unique([...this.ownWeights, ...inFields.filter((v) => !others?.has(v))]);
  }
  get trainableWeights(): Variable[] {
    if (!this.trainable) return [];
    return unique([...this.ownVariables.filter((w) => w.trainable), ...this.sublayers.flatMap((l) => l.trainableWeights)]);
  }
  get nonTrainableWeights(): Variable[] {
    const { ownVariables: own } = this;
    if (!this.trainable) return unique([...own.filter((w) => w.trainable), ...own.filter((w) => !w.trainable), ...this.sublayers.flatMap((l) => l.weights)]);
    return unique([...own.filter((w) => !w.trainable), ...this.sublayers.flatMap((l) => l.nonTrainableWeights)]);
  }
  /** All weights. Keras 2: trainable ones first. Keras 3: its own, then those of each layer inside. */
  get weights(): Variable[] {
    if (this.semantics === 'keras2') return unique([...this.trainableWeights, ...this.nonTrainableWeights]);
    const { ownVariables: own } = this;
    return unique([...own.filter((w) => w.trainable), ...own.filter((w) => !w.trainable), ...this.sublayers.flatMap((l) => l.weights)]);
  }
  /** State that is kept between runs and is not a weight, of this layer and those inside. */
  get allState(): Variable[] {
    return unique([...this.stateVariables, ...this.sublayers.flatMap((l) => l.allState)]);
  }
  /** Number of elements of all weights. */
  countParams(): number {
    if (!this.built) throw new ValueError(`'${this.name}' (${this.className}) has no weights yet: call it on data, or call build(inputShape)`);
    return this.weights.reduce((n, w) => n + w.size, 0);
  }

  // ---- losses and metrics of one's own

  /** In a call: adds a loss of this batch to what is trained. A function of weights may be added anywhere, and is computed with each batch. */
  addLoss(loss: AddedLoss | readonly AddedLoss[]): void {
    for (const l of Array.isArray(loss) ? (loss as readonly AddedLoss[]) : [loss as AddedLoss]) {
      if (l instanceof SymbolicTensor) l.trace.losses.push(l.rank === 0 ? l : ops.sum(l));
      else if (typeof l === 'function') this.lossFunctions.push(l);
      else throw new ValueError(`${this.name}: addLoss takes a tensor of the running call or a function without arguments, got ${describe(l)}`);
    }
  }
  /** Losses that are functions of weights, of this layer and those inside: added functions and weight regularizers. */
  weightLosses(trace: Trace): SymbolicTensor[] {
    const penalized = this.semantics === 'keras3' ? this.trainableWeights : this.weights;
    const penalties = penalized.flatMap((w) => (w.regularizer ? [trace.b.withOrigin(w.path, () => w.regularizer!.call(trace.read(w)))] : []));
    const added = this.allLayers.flatMap((layer) =>
      layer.lossFunctions.map((f) =>
        trace.b.withOrigin(layer.name, () => {
          const l = within(trace, layer, f);
          return l.rank === 0 ? l : ops.sum(l);
        }),
      ),
    );
    return [...penalties, ...added];
  }
  /** Within a call: all losses so far. Outside: weight regularization as the weights are now, and what the last call on arrays added. */
  get losses(): readonly (SymbolicTensor | Tensor)[] {
    const trace = runningTrace();
    if (trace) return [...trace.losses, ...this.weightLosses(trace)];
    return [...this.lastLosses, ...runEagerly(this.name, false, (t) => this.weightLosses(t).map((l) => l.toTensor()))];
  }

  /** In a call: the mean of the values over an epoch is shown under this name. */
  addMetric(value: SymbolicTensor, options: { readonly name: string }): void {
    let metric = this.addedMetrics.get(options.name);
    if (!metric) {
      metric = new MeanClass({ name: options.name, semantics: this.semantics });
      this.addedMetrics.set(options.name, metric);
    }
    metric.updateState(value);
  }
  /** Metrics in fields and those of `addMetric`, of this layer and those inside. */
  get layerMetrics(): Metric[] {
    return unique(this.allLayers.flatMap((l) => [...tracked(l, isMetric), ...l.addedMetrics.values()]));
  }

  // ---- calling

  /** `layer(inputs)`: records a node of a functional model, computes within a trace, or computes on arrays at once. */
  apply(inputs: LayerData, args: CallArguments = {}): LayerData {
    const list = (Array.isArray(inputs) ? inputs : [inputs]) as readonly unknown[];
    if (list.length > 0 && list.every((x) => x instanceof KerasTensor)) return this.record(inputs as KerasTensors, args);
    const trace = list.find((x) => x instanceof SymbolicTensor)?.trace ?? (list.every(isArray) ? runningTrace() : null);
    if (trace && list.every((x) => x instanceof SymbolicTensor || isArray(x))) {
      const xs = list.map((x) => inTrace(trace, x));
      return this.compute(
        Array.isArray(inputs) ? xs : xs[0]!,
        Object.fromEntries(Object.entries(args).map(([k, v]) => [k, isArray(v) ? inTrace(trace, v) : v])),
      );
    }
    if (list.length > 0 && list.every(isArray)) return this.computeOnArrays(list, !Array.isArray(inputs), args);
    const bad = list.find((x) => !(x instanceof KerasTensor || x instanceof SymbolicTensor || isArray(x)));
    throw new ValueError(
      `layer '${this.name}' (${this.className}) was called on ${list.length === 0 ? 'nothing' : describe(bad ?? list[0])}: expected the output of Input or of another layer, or a tensor`,
    );
  }

  private computeOnArrays(list: readonly unknown[], one: boolean, args: CallArguments): Tensor | readonly Tensor[] {
    return runEagerly(this.name, args.training ?? false, (t) => {
      const xs = list.map((x) => inTrace(t, x));
      const given = Object.fromEntries(Object.entries(args).map(([k, v]) => [k, isArray(v) ? inTrace(t, v) : v]));
      const out: unknown = this.compute(one ? xs[0]! : xs, given);
      const finish = (o: unknown) => {
        this.lastLosses = t.losses.map((l) => l.toTensor());
        return concrete(o) as Tensor | readonly Tensor[];
      };
      return (out instanceof Promise ? out.then(finish) : finish(out)) as Tensor | readonly Tensor[];
    });
  }

  private record(inputs: KerasTensors, args: CallArguments): KerasTensors {
    const states = (args.initialState ?? []) as readonly KerasTensor[];
    const { initialState: _, ...plain } = args;
    const named = Object.entries(plain).filter((e): e is [string, KerasTensor] => e[1] instanceof KerasTensor);
    const rest = Object.fromEntries(Object.entries(plain).filter(([, v]) => !(v instanceof KerasTensor))) as CallArguments;
    const list = [...(inputs instanceof KerasTensor ? [inputs] : inputs), ...states, ...named.map(([, k]) => k)];
    const single = inputs instanceof KerasTensor && states.length === 0;
    const t = new Trace(new GraphBuilder(this.name), { training: false, layout: separateLayout });
    const traced = symbolicInputs(
      t,
      list.map((k) => k.shape),
      list.map((k) => k.dtype),
    );
    const names = named.map(([name]) => name);
    const node = new LayerNode(this, list, single, rest, states.length, names);
    const given = node.split(traced);
    const out = this.compute(single ? traced[0]! : given.inputs, { ...rest, ...given.named });
    const outputs = listOf(out).map(
      (o, i) => new KerasTensor(kerasShape(o.shape), o.dtype, `${this.name}/${this.inboundNodes.length}:${i}`, { node, index: i }),
    );
    node.finish(outputs, out instanceof SymbolicTensor);
    this.inboundNodes.push(node);
    return node.singleOutput ? outputs[0]! : outputs;
  }

  /** Builds where needed. */
  ensureBuilt(inputShape: InputShape): void {
    if (this.built) return;
    const outer = runningLayer();
    if (outer instanceof Layer && outer !== this && !this.holder && outer.namesInnerWeights) this.holder = { layer: outer, suffix: `/${this.name}` };
    try {
      // the method of the class: the one of the instance comes here
      within(null, this, () => (Object.getPrototypeOf(this) as Layer).build.call(this, inputShape));
    } catch (e) {
      throw located(e, this.name);
    }
    this.built = true;
  }

  /** Runs `call` within a trace: masks, losses and origins are taken care of. In eager mode an asynchronous `call` makes the result a promise. */
  compute(inputs: Tensors, args: CallArguments = {}): Tensors {
    const list = listOf(inputs);
    const { trace } = list[0]!;
    this.ensureBuilt(inputs instanceof SymbolicTensor ? kerasShape(inputs.shape) : list.map((x) => kerasShape(x.shape)));
    const masks = list.map((x) => x.mask);
    const mask = args.mask !== undefined ? args.mask : masks.every((m) => m === null) ? null : inputs instanceof SymbolicTensor ? masks[0]! : masks;
    const finish = (raw: Tensors): Tensors => {
      const outputs = raw instanceof SymbolicTensor ? trace.tensor(raw.value) : this.checked(raw).map((o) => trace.tensor(o.value));
      const outMask = this.computeMask(inputs, mask, outputs);
      listOf(outputs).forEach((o, i) => {
        o.mask = outMask instanceof SymbolicTensor ? (i === 0 ? outMask : null) : (outMask?.[i] ?? null);
        if (this.activityRegularizer) trace.losses.push(ops.divide(this.activityRegularizer.call(o), ops.size(o, o.shape[0]!)));
      });
      trace.shapes.set(
        this,
        listOf(outputs).map((o) => kerasShape(o.shape)),
      );
      return outputs;
    };
    return trace.b.withOrigin(this.name, () => {
      try {
        const raw = this.invoke(trace, inputs, { ...args, training: args.training ?? trace.training, mask });
        return raw instanceof Promise ? (raw.then(finish) as unknown as Tensors) : finish(raw);
      } catch (e) {
        throw located(e, this.name);
      }
    });
  }

  /** `call`, as the running layer. Only eager traces take a promise. */
  invoke(trace: Trace, inputs: Tensors, args: CallArguments): Tensors | Promise<Tensors> {
    const raw = within(trace, this, () => this.call(inputs, args));
    if (raw instanceof Promise && !trace.eager) {
      raw.catch(() => undefined);
      throw new UnsupportedError(
        `the call of '${this.name}' (${this.className}) is asynchronous: values can be awaited with compile({ runEagerly: true }) only. Decide on values with ops.cond or ops.whileLoop`,
      );
    }
    return raw;
  }

  private checked(raw: unknown): readonly SymbolicTensor[] {
    if (Array.isArray(raw) && raw.length > 0 && raw.every((o) => o instanceof SymbolicTensor)) return raw;
    throw new ValueError(`'${this.name}' (${this.className}): call must give a tensor or a list of tensors, it gave ${describe(raw)}`);
  }

  /** Values of all weights, in the order of `weights`; brought from the device where a model trains them. */
  async getWeights(): Promise<Tensor[]> {
    for (const home of new Set(this.weights.map((w) => w.home))) await home?.pull();
    return this.weights.map((w) => new Tensor(w.value.slice(), w.shape, w.dtype));
  }

  /** Sets the values of all weights, in the order of `weights`. */
  assignWeights(values: readonly ArrayLike<number>[]): void {
    const { weights } = this;
    if (values.length !== weights.length) throw new ValueError(`'${this.name}' has ${weights.length} weights, got ${values.length} arrays`);
    weights.forEach((w, i) => {
      if (values[i]!.length !== sizeOf(w.shape)) throw new ShapeError(`${w.path}: expected shape [${w.shape.join(',')}], got ${values[i]!.length} elements`);
    });
    weights.forEach((w, i) => w.assign(values[i]!));
  }
}

export interface Layer {
  (inputs: KerasTensor, args?: CallArguments): KerasTensor;
  (inputs: readonly KerasTensor[], args?: CallArguments): KerasTensor;
  (inputs: SymbolicTensor, args?: CallArguments): SymbolicTensor;
  (inputs: readonly SymbolicTensor[], args?: CallArguments): SymbolicTensor;
  /** On arrays of the host: computed at once, op by op. */
  (inputs: Tensor, args?: CallArguments): Tensor;
  (inputs: readonly Tensor[], args?: CallArguments): Tensor;
}

export const isLayer = (x: unknown): x is Layer => x instanceof Layer;
const isMetric = (x: unknown): x is Metric => x instanceof Metric;
const isArray = (x: unknown): x is Tensor | Variable => x instanceof Tensor || x instanceof Variable;

/** A tensor of the trace from what a call was given. */
function inTrace(trace: Trace, x: unknown): SymbolicTensor {
  if (x instanceof SymbolicTensor) return x;
  if (x instanceof Variable) return trace.read(x);
  const t = toTensor('a layer call', x);
  // what is computed with is float32
  return trace.constant(t.dtype === 'float64' ? new Tensor(Float32Array.from(t.data), t.shape) : t);
}

/** Inputs of a trace of these shapes. */
export function symbolicInputs(t: Trace, shapes: readonly KerasShape[], dtypes: readonly DType[] = []): SymbolicTensor[] {
  return shapes.map((shape, i) =>
    t.tensor(
      t.b.input(
        `x${i}`,
        dtypes[i] ?? 'float32',
        shape.map((d, axis) => d ?? symbolOfAxis(axis)),
      ),
    ),
  );
}

/** The symbol that stands for an unknown size on an axis: `batch` on the first. */
export const symbolOfAxis = (axis: number) => symbol(axis === 0 ? 'batch' : `axis${axis}`);

/** Puts the layer's name in front of a message that lacks it. */
function located(e: unknown, name: string): unknown {
  if (e instanceof Error && !e.message.includes(name)) e.message = `${name}: ${e.message}`;
  return e;
}
