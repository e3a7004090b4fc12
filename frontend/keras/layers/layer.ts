/**
 * Base class of layers. A layer has weights (made in `build`), a `call` that computes on symbolic tensors, and a configuration. Instances are functions: `layer(x)` on a
 * tensor of a functional model records a node; on a tensor of a running trace it computes.
 */
import { GraphBuilder } from '../../../ir/builder.js';
import { symbol } from '../../../ir/dim.js';
import type { DType } from '../../../ir/dtype.js';
import { UnsupportedError, ValueError } from '../../../ir/errors.js';
import { runningLayer, runningTrace, within } from '../backend/context.js';
import * as ops from '../backend/ops.js';
import { concrete, runEagerly } from '../backend/run-eagerly.js';
import { type KerasShape, kerasShape, listOf, SymbolicTensor, separateLayout, type TensorStructure, type Tensors, Trace } from '../backend/trace.js';
import { Variable } from '../backend/variable.js';
import { MeanClass, Metric } from '../metrics/index.js';
import { Tensor, toTensor } from '../tensor.js';
import { describe, isPlainObject } from '../utils/options.js';
import type { Json, JsonObject, SerializedObject } from '../utils/serialization.js';
import { layerOptions } from './config-options.js';
import { LayerBase } from './layer-base.js';
import type { AddedLoss, CallArguments, InputShape, LayerData } from './layer-types.js';
import { type KerasDType, KerasTensor, type KerasTensors, LayerNode } from './node.js';
import { tracked, unique } from './tracking.js';

export { checkRank, knownDim, single, singleShape } from './layer-checks.js';
export * from './layer-types.js';

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: gives instances their call signatures
export abstract class Layer extends LayerBase {
  private readonly lossFunctions: (() => SymbolicTensor)[] = [];
  private readonly addedMetrics = new Map<string, MeanClass>();
  /** Losses of the last call on arrays. */
  private lastLosses: readonly Tensor[] = [];

  // ---- to override

  /** Makes the weights. `inputShape` is a list of shapes for several inputs. */
  build(_inputShape: InputShape): void {
    // most layers without weights have nothing to make
  }

  /** Computes the outputs; inputs and outputs may be objects of tensors by names. With `runEagerly` it may be asynchronous, and read values. */
  abstract call(inputs: TensorStructure, args: CallArguments): TensorStructure | Promise<TensorStructure>;

  /** Names of inputs that are given as an object, in the order in which `call` takes them where it takes a list; null: as in the object, sorted. */
  protected get namesOfInputs(): readonly string[] | null {
    return null;
  }

  /** The mask of the outputs. */
  computeMask(_inputs: Tensors, mask: CallArguments['mask'], _outputs: Tensors): CallArguments['mask'] {
    return this.supportsMasking ? mask : null;
  }

  /** Shape of the output for a shape of the input, both with the batch axis; a list of them where there are several. Builds the layer. */
  computeOutputShape(inputShape: InputShape): InputShape {
    const several = Array.isArray(inputShape[0]);
    const shapes = (several ? inputShape : [inputShape]) as readonly KerasShape[];
    const xs = symbolicInputs(new Trace(new GraphBuilder(this.name), { training: false, layout: separateLayout, shapesOnly: true }), shapes);
    const out = this.compute(several ? xs : xs[0]!);
    return out instanceof SymbolicTensor ? kerasShape(out.shape) : out.map((o) => kerasShape(o.shape));
  }

  /** The name of the class in configurations. */
  get writtenClassName(): string {
    return this.className;
  }

  /** How a call is written in the configuration of a functional model; null: as for all layers. */
  writeCall(_node: LayerNode, _reference: (t: KerasTensor) => Json): Json | null {
    return null;
  }
  /** What is written for the layer in the place of its class and configuration; null: these. */
  get writtenForm(): SerializedObject | null {
    return null;
  }

  getConfig(): JsonObject {
    const config: Record<string, Json> = { name: this.name, trainable: this.trainable, dtype: this.mixedPolicy ?? this.dtype };
    if (this.batchInputShape && this.configFor === 'keras2') config.batch_input_shape = this.batchInputShape;
    return config;
  }

  /** A layer from what `getConfig` gave: the constructor gets one options object with camelCase names. A class whose constructor wants something else overrides it. */
  static fromConfig(config: JsonObject): Layer {
    // biome-ignore lint/complexity/noThisInStatic: the class that the method was called on
    const cls = this as unknown as (new (options: object) => Layer) & { readonly className: string; readonly prototype: object };
    return new cls(layerOptions(cls, cls.className, config));
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
    const byName = isPlainObject(inputs) && !('data' in inputs && 'shape' in inputs) ? (inputs as Readonly<Record<string, never>>) : null;
    if (!byName) {
      this.inputKeys = null;
      return this.named(this.applyTo(inputs, args));
    }
    const keys = this.namesOfInputs ?? Object.keys(byName).sort();
    const missing = keys.find((k) => byName[k] === undefined);
    if (missing !== undefined)
      throw new ValueError(`layer '${this.name}' (${this.className}): the input '${missing}' is missing, got ${Object.keys(byName).join(', ')}`);
    this.inputKeys = keys;
    return this.named(
      this.applyTo(
        keys.map((k) => byName[k]!),
        args,
      ),
    );
  }
  /** Outputs by their names, where the call gave an object. */
  private named(out: LayerData): LayerData {
    const keys = this.outputKeys;
    if (out instanceof Promise) return out.then((o: LayerData) => this.named(o)) as unknown as LayerData;
    return keys ? Object.fromEntries((Array.isArray(out) ? out : [out]).map((o: Tensor, i) => [keys[i]!, o])) : out;
  }

  private applyTo(inputs: LayerData, args: CallArguments): LayerData {
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
    const t = new Trace(new GraphBuilder(this.name), { training: false, layout: separateLayout, shapesOnly: true });
    const traced = symbolicInputs(
      t,
      list.map((k) => k.shape),
      numericTypes(
        `layer '${this.name}' (${this.className})`,
        list.map((k) => k.dtype),
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
    return this.run(inputs, args, this.activityRegularizer);
  }
  /** As `compute`, for a layer that another one runs as a part of itself, as Keras 3 does by `layer.call`: no regularization of the output. */
  computeWithin(inputs: Tensors, args: CallArguments = {}): Tensors {
    return this.run(inputs, args, null);
  }
  private run(inputs: Tensors, args: CallArguments, activityRegularizer: Layer['activityRegularizer']): Tensors {
    const list = listOf(inputs);
    const { trace } = list[0]!;
    this.ensureBuilt(inputs instanceof SymbolicTensor ? kerasShape(inputs.shape) : list.map((x) => kerasShape(x.shape)));
    const masks = list.map((x) => x.mask);
    const mask = args.mask !== undefined ? args.mask : masks.every((m) => m === null) ? null : inputs instanceof SymbolicTensor ? masks[0]! : masks;
    const finish = (raw: Tensors): Tensors => {
      const outputs = raw instanceof SymbolicTensor ? trace.tensor(raw.value) : this.checked(raw).map((o) => trace.tensor(o.value));
      trace.observer?.called(this, list, { ...args, mask }, listOf(outputs));
      const outMask = this.computeMask(inputs, mask, outputs);
      listOf(outputs).forEach((o, i) => {
        o.mask = outMask instanceof SymbolicTensor ? (i === 0 ? outMask : null) : (outMask?.[i] ?? null);
        if (activityRegularizer) trace.losses.push(ops.divide(activityRegularizer.call(o), ops.size(o, o.shape[0]!)));
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
    const raw = within(trace, this, () => this.call(this.packed(inputs), args));
    if (raw instanceof Promise && !trace.eager) {
      raw.catch(() => undefined);
      throw new UnsupportedError(
        `the call of '${this.name}' (${this.className}) is asynchronous: values can be awaited with compile({ runEagerly: true }) only. Decide on values with ops.cond or ops.whileLoop`,
      );
    }
    return raw instanceof Promise ? raw.then((r) => this.unpacked(r)) : this.unpacked(raw);
  }
  /** Inputs as `call` takes them. */
  protected packed(inputs: Tensors): TensorStructure {
    const keys = this.inputKeys;
    const list = listOf(inputs);
    return keys && keys.length === list.length ? Object.fromEntries(list.map((x, i) => [keys[i]!, x])) : inputs;
  }
  /** What `call` gave, as one tensor or a list. */
  protected unpacked(given: TensorStructure): Tensors {
    if (given instanceof SymbolicTensor || !isPlainObject(given)) {
      this.outputKeys = null;
      return given as Tensors;
    }
    const byName = given as Readonly<Record<string, SymbolicTensor>>;
    this.outputKeys = Object.keys(byName).sort();
    return this.checked(this.outputKeys.map((k) => byName[k]!));
  }

  private checked(raw: unknown): readonly SymbolicTensor[] {
    if (Array.isArray(raw) && raw.length > 0 && raw.every((o) => o instanceof SymbolicTensor)) return raw;
    throw new ValueError(`'${this.name}' (${this.className}): call must give a tensor or a list of tensors, it gave ${describe(raw)}`);
  }
}

export interface Layer {
  (inputs: KerasTensor, args?: CallArguments): KerasTensor;
  (inputs: readonly KerasTensor[], args?: CallArguments): KerasTensor;
  (inputs: SymbolicTensor, args?: CallArguments): SymbolicTensor;
  (inputs: readonly SymbolicTensor[], args?: CallArguments): SymbolicTensor;
  (inputs: Readonly<Record<string, KerasTensor>>, args?: CallArguments): KerasTensor;
  (inputs: Readonly<Record<string, SymbolicTensor>>, args?: CallArguments): SymbolicTensor;
  /** On arrays of the host: computed at once, op by op. */
  (inputs: Tensor, args?: CallArguments): Tensor;
  (inputs: readonly Tensor[], args?: CallArguments): Tensor;
  (inputs: Readonly<Record<string, Tensor>>, args?: CallArguments): Tensor;
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

/** The dtypes of what a layer takes in a graph: no strings. */
export function numericTypes(what: string, types: readonly KerasDType[]): DType[] {
  return types.map((d) => {
    if (d !== 'string') return d;
    throw new UnsupportedError(
      `${what} cannot take strings: StringLookup, TextVectorization, Hashing and HashedCrossing do, directly on the inputs of the model that is run; a model inside another one takes numbers`,
    );
  });
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
