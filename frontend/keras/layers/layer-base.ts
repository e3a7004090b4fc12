/** What a layer is beside its call: name, options, weights, and the layers inside it. */
import type { DType } from '../../../ir/dtype.js';
import { ShapeError, ValueError } from '../../../ir/errors.js';
import { sizeOf } from '../../../ir/tensor-data.js';
import { type KerasShape, kerasShapeText } from '../backend/trace.js';
import { Variable } from '../backend/variable.js';
import * as constraints from '../constraints.js';
import * as initializers from '../initializers/index.js';
import * as regularizers from '../regularizers.js';
import { Tensor } from '../tensor.js';
import { CallableObject } from '../utils/callable.js';
import { autoName } from '../utils/naming.js';
import { describe } from '../utils/options.js';
import { type Semantics, writtenGeneration } from '../utils/serialization.js';
import type { Layer } from './layer.js';
import { checkCommonOptions } from './layer-options.js';
import { dtypeOf, type InputShape, type LayerOptions, mixedPolicyOf, type NamedWeight, type WeightOptions } from './layer-types.js';
import type { LayerNode } from './node.js';
import { isVariable, tracked, trackedByField, unique } from './tracking.js';

export abstract class LayerBase extends CallableObject {
  /** The class in configurations; default: the JavaScript name of the class. */
  static readonly className: string = '';
  name: string;
  /** Tells layers from functions, which they are too. */
  get isLayer(): true {
    return true;
  }
  built = false;
  /** Whether a mask of the input is passed on. */
  supportsMasking = false;
  readonly semantics: Semantics;
  readonly dtype: DType;
  /** The policy of mixed precision that a configuration gave, which computes with float32 here. */
  readonly mixedPolicy: string | null;
  readonly batchInputShape: KerasShape | null;
  readonly activityRegularizer: regularizers.Regularizer | null;
  /** Calls on tensors of functional models, in order. */
  readonly inboundNodes: LayerNode[] = [];
  /** Layers inside this one that it was given by `hold`. */
  protected readonly held: Layer[] = [];
  private isTrainable = true;
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
    this.mixedPolicy = mixedPolicyOf(options.dtype);
    for (const name of ['inputShape', 'batchInputShape'] as const) {
      const shape: unknown = options[name] ?? [];
      if (!Array.isArray(shape)) throw new ValueError(`${this.className}: '${name}' must be a list such as [28, 28, 1], got ${describe(shape)}`);
    }
    this.batchInputShape = options.batchInputShape ?? (options.inputShape ? [null, ...options.inputShape] : null);
    this.activityRegularizer = regularizers.get(options.activityRegularizer);
  }

  get className(): string {
    const cls = this.constructor as typeof LayerBase;
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
   * Default: the layers in fields, by the fields' names in snake_case (`innerDense` is Python's `inner_dense`).
   */
  get trackedLayers(): Readonly<Record<string, Layer | readonly Layer[]>> {
    return trackedByField(this, isLayer);
  }

  /**
   * Own weights as Keras tracks them: by the path of the object inside this layer that has them (`''` for the layer itself, `_query_dense` for a dense layer that Keras keeps inside
   * where this class has weights of its own), each in Keras' order.
   */
  get trackedWeights(): Readonly<Record<string, readonly Variable[]>> {
    return { '': [...this.ownVariables.filter((w) => w.trainable), ...this.ownVariables.filter((w) => !w.trainable)] };
  }

  /** Names of the inputs where the last call was given them as an object, in the order in which they are handed on; and of the outputs where `call` gave an object. */
  inputKeys: readonly string[] | null = null;
  outputKeys: readonly string[] | null = null;

  /** Builds where needed. */
  abstract ensureBuilt(inputShape: InputShape): void;

  // ---- weights

  /** Where the weights' paths start: the name, below the paths of the layers that hold this one. */
  get scope(): string {
    return this.holder ? `${this.holder.layer.scope}${this.holder.suffix}` : this.name;
  }
  protected holder: { readonly layer: Layer; readonly suffix: string } | null = null;
  /** Whether the weights of layers in fields are named below this layer. */
  protected get namesInnerWeights(): boolean {
    return true;
  }

  /** Takes a layer into this one: its weights are among this layer's, with paths below this layer's path and `suffix`. Call it before the inner layer is built. */
  protected hold<L extends Layer>(layer: L, suffix: string = `/${layer.name}`): L {
    if (!this.held.includes(layer)) this.held.push(layer);
    (layer as LayerBase).holder = { layer: this as unknown as Layer, suffix };
    return layer;
  }

  /** Layers inside this one, for weights and losses: those in its fields (also in arrays, maps and plain objects), in the order in which the fields were set. */
  get sublayers(): readonly Layer[] {
    return unique([...this.held, ...tracked(this, isLayer)]);
  }
  /** This layer and all inside it. */
  get allLayers(): Layer[] {
    return unique([this as unknown as Layer, ...this.sublayers.flatMap((l) => l.allLayers)]);
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

const isLayer = (x: unknown): x is Layer => x instanceof LayerBase;
