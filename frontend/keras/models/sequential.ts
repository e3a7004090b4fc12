/** Sequential: a stack of layers with one input and one output each. */

import { GraphBuilder } from '../../../ir/builder.js';
import { ShapeError, ValueError } from '../../../ir/errors.js';
import { type KerasShape, kerasShape, kerasShapeText, SymbolicTensor, separateLayout, type Tensors, Trace } from '../backend/trace.js';
import { InputLayerClass } from '../layers/core.js';
import { type CallArguments, type InputShape, Layer, numericTypes, singleShape, symbolOfAxis } from '../layers/layer.js';
import { KerasTensor } from '../layers/node.js';
import { HostLayer } from '../layers/preprocessing/host.js';
import { serialize } from '../layers/serialization.js';
import { callable } from '../utils/callable.js';
import { describe, isPlainObject, resolveOptions } from '../utils/options.js';
import { drive } from '../utils/promises.js';
import type { JsonObject, Semantics } from '../utils/serialization.js';
import { type Feed, type InputSpec, ModelBase } from './base.js';
import type { SummaryRow } from './summary.js';

export interface SequentialConfig {
  layers?: readonly (Layer | KerasTensor)[];
  name?: string | null;
  trainable?: boolean;
  semantics?: Semantics;
}

/** `Sequential([Input({ shape }), Dense(10), …])`. Without an input shape the model is built at its first use. */
export class SequentialClass extends ModelBase {
  static override readonly className = 'Sequential';
  private input: InputSpec | null = null;
  private inputLayer: InputLayerClass | null = null;

  constructor(layers?: readonly (Layer | KerasTensor)[] | SequentialConfig, options?: Omit<SequentialConfig, 'layers'>) {
    const args = isPlainObject(layers) ? [layers] : [{ layers, ...options }];
    const o = resolveOptions<SequentialConfig>('Sequential', args, [], { layers: [], name: null, trainable: true, semantics: 'keras3' });
    super({ name: o.name, trainable: o.trainable, semantics: o.semantics }, 'sequential');
    if (!Array.isArray(o.layers)) throw new ValueError(`Sequential: expected a list of layers, got ${describe(o.layers)}`);
    for (const layer of o.layers as (Layer | KerasTensor)[]) this.add(layer);
    if (o.trainable === false) this.trainable = false;
  }

  /** Adds a layer at the end. */
  add(layer: Layer | KerasTensor): void {
    const added = layer instanceof KerasTensor ? layer.history.node.layer : layer;
    if (!(added instanceof Layer)) throw new ValueError(`Sequential: expected a layer, got ${describe(added)}`);
    if (layer instanceof KerasTensor && !(added instanceof InputLayerClass))
      throw new ValueError(`Sequential: expected a layer, got the output of '${added.name}': pass the layer itself, without calling it`);
    if (added instanceof InputLayerClass) {
      if (this.sublayers.length > 0 || this.inputLayer) throw new ValueError(`Sequential: the input '${added.name}' must come first`);
      this.inputLayer = added;
      this.input = { name: added.name, shape: added.batchShape, dtype: added.inputDtype };
      return;
    }
    if (this.sublayers.some((l) => l.name === added.name))
      throw new ValueError(`Sequential: there is already a layer named '${added.name}': names must be unique`);
    const shape = this.sublayers.length === 0 && !this.input ? shapeOfFirst(added) : null;
    this.held.push(added);
    if (shape) this.input = { name: `${added.name}_input`, shape, dtype: textLayer(added) ? 'string' : added.className === 'Embedding' ? 'int32' : 'float32' };
    this.built = false;
    if (this.input) this.ensureBuilt(this.input.shape);
    this.layersChanged();
  }

  /** Takes the last layer away and gives it back. A compiled model keeps what `compile` was given; its optimizer starts anew. Throws ValueError where there is no layer. */
  pop(): Layer {
    const last = this.held.at(-1);
    if (!last) throw new ValueError(`model '${this.name}' has no layers to pop`);
    this.held.pop();
    this.shapes.delete(last);
    if (this.held.length === 0 && !this.inputLayer) this.input = null;
    this.built = false;
    if (this.input && this.held.length > 0) this.ensureBuilt(this.input.shape);
    this.layersChanged();
    return last;
  }

  override get inputSpecs(): readonly InputSpec[] {
    if (!this.input)
      throw new ValueError(`model '${this.name}' has no input shape yet: give the first layer inputShape, put Input first, or call build(shape)`);
    return [this.input];
  }
  /** Layers in front that work on the host. */
  private get hostLayers(): readonly HostLayer[] {
    const at = this.sublayers.findIndex((l) => !(l instanceof HostLayer));
    return (at < 0 ? this.sublayers : this.sublayers.slice(0, at)) as readonly HostLayer[];
  }
  /** The name, shape and dtype of what the first layer of the plan takes. */
  private get begin(): InputSpec {
    return this.hostLayers.reduce<InputSpec>((s, l) => ({ name: `${l.name}/0:0`, ...l.hostSpec([s]) }), this.inputSpecs[0]!);
  }
  override get feeds(): readonly Feed[] {
    const layers = this.hostLayers;
    if (layers.length === 0) return super.feeds;
    const s = this.begin;
    const [dtype] = numericTypes(`model '${this.name}'`, [s.dtype]);
    return [{ ...s, dtype: dtype!, compute: (inputs) => layers.reduce((x, l) => l.onHost([x]), inputs[0]!) }];
  }
  override get hasInputs(): boolean {
    return this.input !== null;
  }
  override get outputNames(): readonly string[] {
    return [this.sublayers.at(-1)?.name ?? this.name];
  }

  /** Builds all layers by tracing them once. */
  override build(inputShape: InputShape): void {
    const shape = singleShape(inputShape, this);
    const dtype0 = textLayer(this.sublayers[0]) ? 'string' : 'float32';
    this.input ??= { name: `${this.sublayers[0]?.name ?? this.name}_input`, shape: [null, ...shape.slice(1)], dtype: dtype0 };
    const t = new Trace(new GraphBuilder(this.name), { training: false, layout: separateLayout, shapesOnly: true });
    const host = this.hostLayers;
    if (host.length > 0 && host.length === this.sublayers.length) return;
    const first = this.begin;
    const [dtype] = numericTypes(`layer '${this.sublayers[0]?.name ?? this.name}'`, [first.dtype]);
    let x: Tensors = t.tensor(
      t.b.input(
        'x',
        dtype!,
        first.shape.map((d, i) => d ?? symbolOfAxis(i)),
      ),
    );
    for (const layer of this.sublayers.slice(host.length)) {
      x = layer.compute(x, {});
      if (!(x instanceof SymbolicTensor)) throw new ShapeError(`Sequential: layer '${layer.name}' gives ${x.length} outputs; use a functional model`);
      this.shapes.set(layer, kerasShape(x.shape));
    }
  }
  private readonly shapes = new Map<Layer, KerasShape>();

  /** Shape of the output; null before the model is built. */
  get outputShape(): KerasShape | null {
    const last = this.sublayers.at(-1);
    return (last && this.shapes.get(last)) ?? this.input?.shape ?? null;
  }
  protected override summaryRows(): SummaryRow[] {
    return this.sublayers.map((layer) => {
      const shape = this.shapes.get(layer);
      return { layer, outputShape: shape ? kerasShapeText(shape) : '?', connectedTo: [] };
    });
  }

  override get sublayers(): readonly Layer[] {
    return this.held;
  }
  protected override get namesInnerWeights(): boolean {
    return false;
  }

  override call(inputs: Tensors, args: CallArguments): Tensors | Promise<Tensors> {
    return drive(this.steps(inputs, args));
  }
  private *steps(inputs: Tensors, args: CallArguments): Generator<Tensors, Tensors, Tensors> {
    let x = inputs;
    for (const layer of this.sublayers.slice(this.hostLayers.length)) x = yield layer.compute(x, { training: args.training });
    return x;
  }

  override getConfig(): JsonObject {
    const first =
      this.inputLayer ??
      (this.input ? new InputLayerClass({ batchShape: this.input.shape, dtype: this.input.dtype, name: this.input.name, semantics: this.configFor }) : null);
    return {
      name: this.name,
      ...(this.configFor === 'keras3' ? { trainable: this.trainable, dtype: 'float32' } : {}),
      layers: [...(first ? [first as Layer] : []), ...this.sublayers].map((l) => serialize(l) as unknown as JsonObject),
      ...(this.input ? { build_input_shape: this.input.shape } : {}),
    };
  }
}

/** Whether a first layer takes strings where nothing else is said. */
const textLayer = (l: Layer | undefined): boolean => l?.className === 'StringLookup' || l?.className === 'TextVectorization';

/** The input shape that a first layer was given. */
function shapeOfFirst(layer: Layer): KerasShape | null {
  if (layer.batchInputShape) return layer.batchInputShape;
  return layer instanceof ModelBase && layer.hasInputs ? layer.inputSpecs[0]!.shape : null;
}

export const Sequential = callable(SequentialClass);
export type Sequential = SequentialClass;
