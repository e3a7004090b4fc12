/**
 * Base class of layers. A layer has weights (made in `build`), a `call` that computes on symbolic tensors, and a configuration. Instances are functions: `layer(x)` on a
 * tensor of a functional model records a node; on a tensor of a running trace it computes.
 */
import { GraphBuilder } from '../../../ir/builder.js';
import { symbol } from '../../../ir/dim.js';
import { type DType, dtypes } from '../../../ir/dtype.js';
import { ShapeError, ValueError } from '../../../ir/errors.js';
import { sizeOf } from '../../../ir/tensor-data.js';
import * as ops from '../backend/ops.js';
import { type KerasDim, type KerasShape, kerasShape, kerasShapeText, listOf, SymbolicTensor, separateLayout, type Tensors, Trace } from '../backend/trace.js';
import { Variable } from '../backend/variable.js';
import * as constraints from '../constraints.js';
import * as initializers from '../initializers/index.js';
import * as regularizers from '../regularizers.js';
import { autoName } from '../utils/naming.js';
import { describe } from '../utils/options.js';
import type { Json, JsonObject, Semantics } from '../utils/serialization.js';
import { KerasTensor, type KerasTensors, LayerNode } from './node.js';

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
  readonly initializer?: initializers.InitializerIdentifier;
  readonly regularizer?: regularizers.RegularizerIdentifier | null;
  readonly constraint?: constraints.ConstraintIdentifier | null;
  readonly trainable?: boolean;
  readonly dtype?: DType;
}

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
  /** False: the weights are not trained. Set before `compile`. */
  trainable: boolean;
  built = false;
  /** Whether a mask of the input is passed on. */
  supportsMasking = false;
  readonly semantics: Semantics;
  readonly dtype: DType;
  readonly batchInputShape: KerasShape | null;
  readonly activityRegularizer: regularizers.Regularizer | null;
  /** Calls on tensors of functional models, in order. */
  readonly inboundNodes: LayerNode[] = [];
  /** Layers inside this one, for weights and losses. */
  readonly sublayers: Layer[] = [];
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
    this.trainable = options.trainable ?? true;
    this.semantics = options.semantics ?? 'keras3';
    this.dtype = dtypeOf(className, options.dtype);
    this.batchInputShape = options.batchInputShape ?? (options.inputShape ? [null, ...options.inputShape] : null);
    this.activityRegularizer = regularizers.get(options.activityRegularizer);
  }

  get className(): string {
    const cls = this.constructor as typeof Layer;
    return cls.className || cls.name;
  }

  /** What Keras calls the inputs after the first, where it takes them as arguments and not as a list. */
  get inputNames(): readonly string[] | null {
    return null;
  }

  // ---- to override

  /** Makes the weights. `inputShape` is a list of shapes for several inputs. */
  build(_inputShape: InputShape): void {
    // most layers without weights have nothing to make
  }

  /** Computes the outputs. */
  abstract call(inputs: Tensors, args: CallArguments): Tensors;

  /** The mask of the outputs. */
  computeMask(_inputs: Tensors, mask: CallArguments['mask'], _outputs: Tensors): CallArguments['mask'] {
    return this.supportsMasking ? mask : null;
  }

  getConfig(): JsonObject {
    const config: Record<string, Json> = { name: this.name, trainable: this.trainable, dtype: this.dtype };
    if (this.batchInputShape && this.semantics === 'keras2') config.batch_input_shape = this.batchInputShape;
    return config;
  }

  // ---- weights

  /** Where the weights' paths start: the name, below the paths of the layers that hold this one. */
  get scope(): string {
    return this.holder ? `${this.holder.layer.scope}${this.holder.suffix}` : this.name;
  }
  private holder: { readonly layer: Layer; readonly suffix: string } | null = null;

  /** Takes a layer into this one: its weights are among this layer's, with paths below this layer's path and `suffix`. Call it before the inner layer is built. */
  protected hold<L extends Layer>(layer: L, suffix: string = `/${layer.name}`): L {
    if (!this.sublayers.includes(layer)) this.sublayers.push(layer);
    (layer as Layer).holder = { layer: this, suffix };
    return layer;
  }

  /** Makes a weight; call it in `build`. The initializer defaults to glorot_uniform. */
  addWeight(name: string, shape: KerasShape, options: WeightOptions = {}): Variable {
    const path = `${this.scope}/${name}`;
    const v = new Variable({
      path,
      shape: shape.map((d) => {
        if (d === null) throw new ShapeError(`${path}: the weight's shape ${kerasShapeText(shape)} has an unknown dimension`);
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

  get trainableWeights(): Variable[] {
    if (!this.trainable) return [];
    return [...this.ownWeights.filter((w) => w.trainable), ...this.sublayers.flatMap((l) => l.trainableWeights)];
  }
  get nonTrainableWeights(): Variable[] {
    if (!this.trainable)
      return [...this.ownWeights.filter((w) => w.trainable), ...this.ownWeights.filter((w) => !w.trainable), ...this.sublayers.flatMap((l) => l.weights)];
    return [...this.ownWeights.filter((w) => !w.trainable), ...this.sublayers.flatMap((l) => l.nonTrainableWeights)];
  }
  /** All weights: trainable ones first. */
  get weights(): Variable[] {
    return [...this.trainableWeights, ...this.nonTrainableWeights];
  }
  /** State that is kept between runs and is not a weight, of this layer and those inside. */
  get allState(): Variable[] {
    return [...this.stateVariables, ...this.sublayers.flatMap((l) => l.allState)];
  }
  countParams(): number {
    return this.weights.reduce((n, w) => n + w.size, 0);
  }

  // ---- calling

  /** `layer(inputs)`: records a node of a functional model, or computes within a trace. */
  apply(inputs: KerasTensors | Tensors, args: CallArguments = {}): KerasTensors | Tensors {
    const list = (Array.isArray(inputs) ? inputs : [inputs]) as readonly unknown[];
    if (list.length > 0 && list.every((x) => x instanceof KerasTensor)) return this.record(inputs as KerasTensors, args);
    if (list.length > 0 && list.every((x) => x instanceof SymbolicTensor)) return this.compute(inputs as Tensors, args);
    throw new ValueError(
      `layer '${this.name}' (${this.className}) was called on ${describe(list.find((x) => !(x instanceof KerasTensor)) ?? 'nothing')}: expected the output of Input or of another layer`,
    );
  }

  private record(inputs: KerasTensors, args: CallArguments): KerasTensors {
    const states = (args.initialState ?? []) as readonly KerasTensor[];
    const { initialState: _, ...plain } = args;
    const named = Object.entries(plain).filter((e): e is [keyof CallArguments, KerasTensor] => e[1] instanceof KerasTensor);
    const rest = Object.fromEntries(Object.entries(plain).filter(([, v]) => !(v instanceof KerasTensor))) as CallArguments;
    const list = [...(inputs instanceof KerasTensor ? [inputs] : inputs), ...states, ...named.map(([, k]) => k)];
    const single = inputs instanceof KerasTensor && states.length === 0;
    const t = new Trace(new GraphBuilder(this.name), { training: false, layout: separateLayout });
    const traced = list.map((k, i) =>
      t.tensor(
        t.b.input(
          `x${i}`,
          k.dtype,
          k.shape.map((d, axis) => d ?? symbolOfAxis(axis)),
        ),
      ),
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
    try {
      this.build(inputShape);
    } catch (e) {
      throw located(e, this.name);
    }
    this.built = true;
  }

  /** Runs `call` within a trace: masks, losses and origins are taken care of. */
  compute(inputs: Tensors, args: CallArguments = {}): Tensors {
    const list = listOf(inputs);
    const { trace } = list[0]!;
    this.ensureBuilt(inputs instanceof SymbolicTensor ? kerasShape(inputs.shape) : list.map((x) => kerasShape(x.shape)));
    const masks = list.map((x) => x.mask);
    const mask = args.mask !== undefined ? args.mask : masks.every((m) => m === null) ? null : inputs instanceof SymbolicTensor ? masks[0]! : masks;
    return trace.b.withOrigin(this.name, () => {
      try {
        const raw = this.call(inputs, { ...args, training: args.training ?? trace.training, mask });
        const outputs = raw instanceof SymbolicTensor ? trace.tensor(raw.value) : raw.map((o) => trace.tensor(o.value));
        const outMask = this.computeMask(inputs, mask, outputs);
        listOf(outputs).forEach((o, i) => {
          o.mask = outMask instanceof SymbolicTensor ? (i === 0 ? outMask : null) : (outMask?.[i] ?? null);
          if (this.activityRegularizer) trace.losses.push(ops.divide(this.activityRegularizer.call(o), ops.size(o, o.shape[0]!)));
        });
        return outputs;
      } catch (e) {
        throw located(e, this.name);
      }
    });
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
}

/** The symbol that stands for an unknown size on an axis: `batch` on the first. */
export const symbolOfAxis = (axis: number) => symbol(axis === 0 ? 'batch' : `axis${axis}`);

/** Puts the layer's name in front of a message that lacks it. */
function located(e: unknown, name: string): unknown {
  if (e instanceof Error && !e.message.includes(name)) e.message = `${name}: ${e.message}`;
  return e;
}

/** The single tensor that a layer with one input wants. */
export function single(inputs: Tensors, layer: Layer): SymbolicTensor {
  const list = listOf(inputs);
  if (list.length !== 1) throw new ValueError(`${layer.name}: ${layer.className} takes one input, got ${list.length}`);
  return list[0]!;
}

/** The shape of a layer with one input. */
export function singleShape(shape: InputShape, layer: Layer): KerasShape {
  if (shape.length > 0 && Array.isArray(shape[0])) {
    if (shape.length !== 1) throw new ValueError(`${layer.name}: ${layer.className} takes one input, got ${shape.length}`);
    return shape[0] as KerasShape;
  }
  return shape as KerasShape;
}

/** A dimension that must be known, such as the number of features. */
export function knownDim(layer: Layer, shape: KerasShape, axis: number): number {
  const d: KerasDim | undefined = shape.at(axis);
  if (d === undefined || d === null) throw new ShapeError(`${layer.name}: axis ${axis} of the input must be known, got shape ${kerasShapeText(shape)}`);
  return d;
}

/** The input must have this rank. */
export function checkRank(layer: Layer, shape: KerasShape, rank: number, wanted: string): void {
  if (shape.length !== rank)
    throw new ShapeError(`${layer.name}: ${layer.className} expects an input of rank ${rank} ${wanted}, got shape ${kerasShapeText(shape)}`);
}
