/**
 * Functional models: the layers and calls between some inputs and outputs. Layers are ordered as Keras orders them (by depth, then in the order in which they are met from the outputs),
 * since the order of weights in files follows from it.
 */
import type { DType } from '../../../ir/dtype.js';
import { UnsupportedError, ValueError } from '../../../ir/errors.js';
import { listOf, type SymbolicTensor, type TensorStructure, type Tensors } from '../backend/trace.js';
import { InputLayerClass } from '../layers/core.js';
import type { AddedLoss, CallArguments, Layer, LayerOptions } from '../layers/layer.js';
import { KerasTensor, type KerasTensors, type LayerNode } from '../layers/node.js';
import { computeOnHost, HostLayer, isHostTensor } from '../layers/preprocessing/host.js';
import { serialize } from '../layers/serialization.js';
import { describe, isPlainObject, resolveOptions, toSnake } from '../utils/options.js';
import { drive } from '../utils/promises.js';
import type { Json, JsonObject, Semantics } from '../utils/serialization.js';
import { type Feed, type InputSpec, ModelBase } from './base.js';
import type { Form } from './programs.js';
import { SubclassedClass } from './subclassed.js';
import { functionalRows, type SummaryRow } from './summary.js';

interface Topology {
  readonly layers: readonly Layer[];
  /** In the order of computation. */
  readonly nodes: readonly LayerNode[];
}

/** Orders the calls between inputs and outputs. Throws when an output does not depend on the inputs alone. */
function topology(inputs: readonly KerasTensor[], outputs: readonly KerasTensor[]): Topology {
  const given = new Set(inputs.map((t) => t.history.node));
  const order = new Map<Layer, number>();
  const done = new Set<LayerNode>();
  const sorted: LayerNode[] = [];
  const visit = (t: KerasTensor): void => {
    const { node } = t.history;
    if (done.has(node)) return;
    if (!order.has(node.layer)) order.set(node.layer, order.size);
    if (node.inputs.length === 0 && !given.has(node))
      throw new ValueError(
        `the output depends on the input '${node.layer.name}', which is not among the model's inputs (${inputs.map((i) => `'${i.name}'`).join(', ')})`,
      );
    if (!given.has(node)) for (const i of node.inputs) visit(i);
    done.add(node);
    sorted.push(node);
  };
  for (const t of outputs) visit(t);

  const depths = new Map<LayerNode, number>();
  const layerDepths = new Map<Layer, number>();
  for (const node of [...sorted].reverse()) {
    const depth = Math.max(depths.get(node) ?? 0, layerDepths.get(node.layer) ?? 0);
    depths.set(node, depth);
    layerDepths.set(node.layer, depth);
    if (given.has(node)) continue;
    for (const i of node.inputs) depths.set(i.history.node, Math.max(depth + 1, depths.get(i.history.node) ?? 0));
  }
  for (const t of inputs) {
    if (!layerDepths.has(t.history.node.layer)) {
      layerDepths.set(t.history.node.layer, 0);
      order.set(t.history.node.layer, -1);
      depths.set(t.history.node, 0);
      sorted.push(t.history.node);
    }
  }
  const byDepth = <T>(list: readonly T[], depth: (x: T) => number, index: (x: T) => number): T[] =>
    [...list].sort((a, b) => depth(b) - depth(a) || index(a) - index(b));
  const position = new Map(sorted.map((n, i) => [n, i]));
  return {
    layers: byDepth(
      [...layerDepths.keys()],
      (l) => layerDepths.get(l)!,
      (l) => order.get(l)!,
    ),
    nodes: byDepth(
      sorted,
      (n) => depths.get(n)!,
      (n) => position.get(n)!,
    ),
  };
}

/** Nodes that Keras counts before the calls of a model inside a model: the one from its own inputs to its outputs. In Keras 3 a Sequential has none. */
export const ownNodes = (layer: Layer, semantics: Semantics): number =>
  layer instanceof FunctionalClass || (semantics === 'keras2' && layer instanceof ModelBase && layer.hasInputs) ? 1 : 0;

export interface ModelConfig extends LayerOptions {
  /** One, a list, or an object by names, which data may then be given by. */
  inputs: KerasTensors | Readonly<Record<string, KerasTensor>>;
  outputs: KerasTensors | Readonly<Record<string, KerasTensor>>;
}

/** Keys of an object of tensors, in the order of Keras. */
const keysOf = (x: unknown): readonly string[] | null => (isPlainObject(x) ? Object.keys(x).sort() : null);

const tensorList = (what: string, x: unknown): readonly KerasTensor[] => {
  const list = (Array.isArray(x) ? x : (keysOf(x)?.map((k) => (x as Record<string, unknown>)[k]) ?? [x])) as unknown[];
  const bad = list.length === 0 ? [x] : list.filter((t) => !(t instanceof KerasTensor));
  if (bad.length > 0) throw new ValueError(`Model: '${what}' must be one or more outputs of Input or of layers, got ${describe(bad[0])}`);
  return list as KerasTensor[];
};

/** A model from inputs to outputs: `Model({ inputs, outputs })`. */
export class FunctionalClass extends ModelBase {
  static override readonly className = 'Functional';
  readonly inputs: readonly KerasTensor[];
  readonly outputs: readonly KerasTensor[];
  readonly nodes: readonly LayerNode[];
  private readonly singleOutput: boolean;
  /** Names that the inputs were given by. */
  readonly givenKeys: readonly string[] | null;
  /** What losses and metrics were added of, and the calls that lead there beside those to the outputs. */
  private readonly added: { readonly tensor: KerasTensor; readonly metric: string | null }[] = [];
  private addedNodes: readonly LayerNode[] = [];
  /** What the plan begins with: the inputs, or what host layers make of them. */
  private readonly begins: readonly KerasTensor[];

  constructor(config: ModelConfig) {
    const o = resolveOptions<ModelConfig>('Model', [config], [], {
      inputs: undefined,
      outputs: undefined,
      name: null,
      trainable: true,
      dtype: null,
      semantics: 'keras3',
    } as Partial<ModelConfig>);
    super({ name: o.name ?? null, trainable: o.trainable, semantics: o.semantics }, 'model');
    this.inputs = tensorList('inputs', o.inputs);
    this.outputs = tensorList('outputs', o.outputs);
    this.singleOutput = o.outputs instanceof KerasTensor;
    this.inputKeys = keysOf(o.inputs);
    this.outputKeys = keysOf(o.outputs);
    this.givenKeys = this.inputKeys;
    for (const t of this.inputs) {
      if (!(t.history.node.layer instanceof InputLayerClass)) throw new ValueError(`Model: the input '${t.name}' must come from Input(…)`);
    }
    const { layers, nodes } = topology(this.inputs, this.outputs);
    const names = new Map<string, Layer>();
    for (const layer of layers) {
      const other = names.get(layer.name);
      if (other && other !== layer) throw new ValueError(`the model has two layers named '${layer.name}': names must be unique`);
      names.set(layer.name, layer);
    }
    this.held.push(...layers);
    if (o.trainable === false) this.trainable = false;
    this.nodes = nodes;
    const inPlan = nodes.filter((n) => n.inputs.length > 0 && !(n.layer instanceof HostLayer));
    const used = new Set([...inPlan.flatMap((n) => n.inputs), ...this.outputs].filter(isHostTensor));
    const text = nodes.some((n) => n.layer instanceof HostLayer);
    this.begins = text ? [...this.inputs.filter((t) => used.has(t)), ...[...used].filter((t) => !this.inputs.includes(t))] : this.inputs;
    const strings = this.begins.find((t) => t.dtype === 'string');
    if (strings)
      throw new UnsupportedError(
        `model '${this.name}': '${strings.name}' is made of strings, which no plan takes or gives: a model takes strings through StringLookup, TextVectorization, Hashing or HashedCrossing, and gives numbers`,
      );
    this.built = true;
  }

  override get inputSpecs(): readonly InputSpec[] {
    return this.inputs.map((t, i) => ({ name: this.givenKeys?.[i] ?? t.name, shape: t.shape, dtype: t.dtype }));
  }
  protected override get namesOfInputs(): readonly string[] {
    return this.inputSpecs.map((s) => s.name);
  }
  protected override packed(inputs: Tensors): Tensors {
    return inputs;
  }
  protected override unpacked(given: TensorStructure): Tensors {
    return given as Tensors;
  }
  override get inputForm(): Form {
    return this.givenKeys ?? super.inputForm;
  }
  override get feeds(): readonly Feed[] {
    if (this.begins === this.inputs) return super.feeds;
    return this.begins.map((k) => ({
      name: k.name,
      shape: k.shape,
      dtype: k.dtype as DType,
      compute: (inputs) => computeOnHost(k, new Map(this.inputs.map((t, i) => [t, inputs[i]!]))),
    }));
  }
  override get outputNames(): readonly string[] {
    if (this.outputKeys) return this.outputKeys;
    const taken = new Set<string>();
    return this.outputs.map((t) => {
      const { name } = t.history.node.layer;
      let own = name;
      for (let n = 1; taken.has(own); n++) own = `${name}_${n}`;
      taken.add(own);
      return own;
    });
  }

  override get sublayers(): readonly Layer[] {
    return this.held;
  }
  protected override get namesInnerWeights(): boolean {
    return false;
  }

  /** Also of tensors between the model's inputs and layers: they count in training and evaluation. Files do not keep them. */
  override addLoss(loss: AddedLoss | KerasTensor | readonly (AddedLoss | KerasTensor)[]): void {
    for (const l of Array.isArray(loss) ? (loss as readonly (AddedLoss | KerasTensor)[]) : [loss as AddedLoss | KerasTensor]) {
      if (l instanceof KerasTensor) this.addOf(l, null);
      else super.addLoss(l);
    }
  }
  /** The same for a metric: the mean of the tensor. */
  override addMetric(value: SymbolicTensor | KerasTensor, options: { readonly name: string }): void {
    if (value instanceof KerasTensor) this.addOf(value, options.name);
    else super.addMetric(value, options);
  }
  private addOf(tensor: KerasTensor, metric: string | null): void {
    const all = [...this.outputs, ...this.added.map((a) => a.tensor), tensor];
    const { nodes, layers } = topology(this.inputs, all);
    this.held.push(...layers.filter((l) => !this.held.includes(l) && l.weights.length > 0));
    this.added.push({ tensor, metric });
    this.addedNodes = nodes.filter((n) => !this.nodes.includes(n));
  }

  override call(inputs: Tensors, args: CallArguments): Tensors | Promise<Tensors> {
    return drive(this.steps(inputs, args));
  }
  private *steps(inputs: Tensors, args: CallArguments): Generator<Tensors, Tensors, Tensors> {
    const values = new Map<KerasTensor, SymbolicTensor>();
    const list = listOf(inputs);
    const { begins } = this;
    if (list.length !== begins.length) throw new ValueError(`model '${this.name}' takes ${begins.length} inputs, got ${list.length}`);
    begins.forEach((k, i) => {
      values.set(k, list[i]!);
    });
    for (const node of [...this.nodes, ...this.addedNodes]) {
      if (node.outputs.every((o) => values.has(o)) || node.inputs.length === 0 || node.layer instanceof HostLayer) continue;
      const given = node.inputs.map((k) => values.get(k)!);
      const { inputs: own, named } = node.split(given);
      const out = listOf(yield node.layer.compute(node.singleInput ? own[0]! : own, { training: args.training, ...node.args, ...named }));
      node.outputs.forEach((k, i) => {
        values.set(k, out[i]!);
      });
    }
    for (const { tensor, metric } of this.added) {
      if (metric === null) super.addLoss(values.get(tensor)!);
      else super.addMetric(values.get(tensor)!, { name: metric });
    }
    const results = this.outputs.map((k) => values.get(k)!);
    return this.singleOutput ? results[0]! : results;
  }

  protected override summaryRows(): SummaryRow[] {
    const inModel = new Set(this.nodes);
    return functionalRows(
      this.layers,
      (l) => l.inboundNodes.filter((n) => inModel.has(n)),
      (n) => ownNodes(n.layer, this.semantics) + n.layer.inboundNodes.indexOf(n),
    );
  }

  override getConfig(): JsonObject {
    const inModel = new Set(this.nodes);
    const keras2 = this.configFor === 'keras2';
    const nodeIndex = (node: LayerNode): number => ownNodes(node.layer, this.configFor) + node.layer.inboundNodes.filter((n) => inModel.has(n)).indexOf(node);
    const history = (t: KerasTensor): Json[] => [t.history.node.layer.name, nodeIndex(t.history.node), t.history.index];
    // Keras 3 counts a model's own node in output_layers alone, not in calls
    const inCall = (t: KerasTensor): Json[] => [
      t.history.node.layer.name,
      nodeIndex(t.history.node) - ownNodes(t.history.node.layer, 'keras3'),
      t.history.index,
    ];
    const reference = (t: KerasTensor): Json =>
      keras2 ? history(t) : { class_name: '__keras_tensor__', config: { shape: t.shape, dtype: t.dtype, keras_history: inCall(t) } };
    const inbound = (node: LayerNode): Json => {
      const own = node.layer.writeCall(node, reference);
      if (own !== null) return own;
      const plain = Object.entries(node.args).filter(([, v]) => typeof v === 'boolean');
      const { inputs: list, named } = node.split(node.inputs);
      const [all, states] = [list.slice(0, list.length - node.states), list.slice(list.length - node.states)];
      // attention takes its inputs as arguments by name, other layers a list
      const names = node.layer.inputNames;
      const given = names ? all.slice(0, 1) : all;
      const tensors = [...all.slice(given.length).map((t, i) => [names![i]!, t] as const), ...Object.entries(named)];
      const kwargs: JsonObject = Object.fromEntries(
        [...plain, ...tensors.map(([name, t]) => [name, reference(t)] as const)].map(([k, v]) => [toSnake(k), v as Json]),
      );
      if (keras2) return (names ? given : list).map((t) => [...history(t), kwargs]);
      const single = node.singleInput || names !== null || (node.states > 0 && given.length === 1);
      const refs = given.map(reference);
      return { args: single ? refs : [refs], kwargs: { ...kwargs, ...(states.length > 0 ? { initial_state: states.map(reference) } : {}) } };
    };
    return {
      name: this.name,
      trainable: this.trainable,
      layers: this.sublayers.map((layer) => ({
        ...(serialize(layer) as unknown as JsonObject),
        name: layer.name,
        inbound_nodes: layer.inboundNodes.filter((n) => inModel.has(n) && n.inputs.length > 0).map(inbound),
      })),
      input_layers: byKeys(this.givenKeys, this.inputs.map(history)),
      output_layers: byKeys(this.outputKeys, this.outputs.map(history)),
    };
  }
}

const byKeys = (keys: readonly string[] | null, list: Json[]): Json => (keys ? Object.fromEntries(keys.map((k, i) => [k, list[i]!])) : list);

export interface ModelConstructor {
  /** A functional model: `Model({ inputs, outputs })`, or `Model(inputs, outputs, { name })`. */
  (config: ModelConfig): FunctionalClass;
  (inputs: ModelConfig['inputs'], outputs: ModelConfig['outputs'], options?: Omit<ModelConfig, 'inputs' | 'outputs'>): FunctionalClass;
  /** With `new`, as a functional model; as a base class with `super({ name })`, for models with a `call` of their own. */
  new (config?: ModelConfig | LayerOptions): ModelBase;
  readonly prototype: ModelBase;
  readonly className: string;
}

const isFunctional = (config: unknown): config is ModelConfig => isPlainObject(config) && 'inputs' in config && 'outputs' in config;

/** What `Model` was called with, as one object. */
function configOf(args: readonly unknown[]): ModelConfig {
  const [first, outputs, options] = args;
  if (outputs === undefined && (isPlainObject(first) || first === undefined)) return (first ?? {}) as unknown as ModelConfig;
  if (options !== undefined && !isPlainObject(options))
    throw new ValueError(`Model: the options must be an object such as { name: 'x' }, got ${describe(options)}`);
  return { ...(options as Partial<ModelConfig>), inputs: first, outputs } as ModelConfig;
}

/** As Keras does it: a class of one's own that is given inputs and outputs becomes a functional model. */
function injectFunctional(cls: { readonly prototype: object }): void {
  let at: object = cls.prototype;
  while (Object.getPrototypeOf(at) !== SubclassedClass.prototype) {
    at = Object.getPrototypeOf(at) as object;
    if (at === null || at === FunctionalClass.prototype) return;
  }
  Object.setPrototypeOf(at, FunctionalClass.prototype);
}

/** The class `Model`: a functional model where it has inputs and outputs, the base of subclassed models elsewhere. Every model is an instance of it. */
export const Model: ModelConstructor = new Proxy(SubclassedClass, {
  apply: (_target, _self, args: readonly unknown[]) => new FunctionalClass(configOf(args)),
  construct: (target, args: readonly unknown[], newTarget: { readonly prototype: object }) => {
    if (newTarget === Model) return new FunctionalClass(configOf(args));
    if (!isFunctional(args[0])) return Reflect.construct(target, args, newTarget as never) as SubclassedClass;
    injectFunctional(newTarget);
    return Reflect.construct(FunctionalClass, args, newTarget as never) as FunctionalClass;
  },
  get: (target, key, receiver) =>
    key === Symbol.hasInstance && receiver === Model ? (x: unknown) => x instanceof ModelBase : (Reflect.get(target, key, receiver) as unknown),
}) as unknown as ModelConstructor;
export type Model = ModelBase;
