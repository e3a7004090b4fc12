/** Layers around another layer: TimeDistributed and Bidirectional. */
import { type Dim, mulDim } from '../../../ir/dim.js';
import { ShapeError, UnsupportedError, ValueError } from '../../../ir/errors.js';
import * as ops from '../backend/ops.js';
import { type KerasShape, kerasShapeText, listOf, SymbolicTensor, type Tensors } from '../backend/trace.js';
import { callable } from '../utils/callable.js';
import { describe, resolveOptions } from '../utils/options.js';
import type { Json, JsonObject, SerializedObject } from '../utils/serialization.js';
import { type CallArguments, type InputShape, Layer, type LayerOptions, layerDefaults, single, singleShape } from './layer.js';
import { RecurrentLayer } from './recurrent/rnn.js';
import { deserialize, isSerializedLayer, serialize } from './registry.js';

export interface WrapperOptions extends LayerOptions {
  layer: Layer | SerializedObject;
}

/** A layer, or one from its configuration. */
export function layerOf(what: string, x: unknown, semantics: Layer['semantics']): Layer {
  const layer = isSerializedLayer(x) ? deserialize(x, { semantics }) : x;
  if (!(layer instanceof Layer)) throw new ValueError(`${what}: expected a layer such as Dense(8), got ${describe(x)}`);
  return layer;
}

/** A layer that holds another. In Keras 2 the inner weights are named as if they were the wrapper's own. */
export abstract class Wrapper extends Layer {
  readonly layer: Layer;
  constructor(o: WrapperOptions) {
    super(o);
    const layer = layerOf(this.className, o.layer, this.semantics);
    this.layer = this.hold(layer, this.semantics === 'keras2' ? '' : `/${layer.name}`);
  }
  override get trackedLayers(): Readonly<Record<string, Layer | readonly Layer[]>> {
    return { layer: this.layer };
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), layer: serialize(this.layer) as unknown as Json };
  }
}

export type TimeDistributedConfig = WrapperOptions;

/** Applies a layer to every step: input (batch, time, …). Steps count as samples of one large batch, so that one call of the layer does it. */
export class TimeDistributedClass extends Wrapper {
  static override readonly className = 'TimeDistributed';
  constructor(layer: Layer | TimeDistributedConfig, options?: LayerOptions) {
    // a layer is a function, not an options object
    super(resolveOptions<WrapperOptions>('TimeDistributed', [layer, options], ['layer'], layerDefaults));
    this.supportsMasking = true;
  }
  override build(inputShape: InputShape): void {
    const shape = singleShape(inputShape, this);
    if (shape.length < 3) throw new ShapeError(`${this.name}: TimeDistributed expects an input (batch, time, …), got shape ${kerasShapeText(shape)}`);
    const merged = shape[0] === null || shape[1] === null ? null : shape[0]! * shape[1]!;
    this.layer.ensureBuilt([merged, ...shape.slice(2)]);
  }
  /** Batch and time as one axis. */
  private merged(x: SymbolicTensor): SymbolicTensor {
    return ops.reshape(x, [mulDim(x.shape[0]!, x.shape[1]!), ...x.shape.slice(2)]);
  }
  override call(inputs: Tensors, args: CallArguments): Tensors {
    const x = single(inputs, this);
    const [batch, time] = x.shape as readonly [Dim, Dim];
    const training = args.training ?? false;
    // Keras 3 calls the layer once for each step: what it learns from a batch (moving statistics) it learns step by step
    if (this.semantics === 'keras3' && training && typeof time === 'number' && this.layer.weights.some((w) => !w.trainable)) {
      const step = (y: SymbolicTensor, t: number) => ops.squeeze(ops.sliceAxis(y, 1, t, t + 1), 1);
      const each = Array.from({ length: time }, (_, t) => {
        const mask = args.mask instanceof SymbolicTensor ? step(args.mask, t) : null;
        return listOf(this.layer.computeWithin(step(x, t), { training, mask })).map((y) => ops.expandDims(y, 1));
      });
      const joined = each[0]!.map((_, i) =>
        ops.concatenate(
          each.map((ys) => ys[i]!),
          1,
        ),
      );
      return joined.length === 1 ? joined[0]! : joined;
    }
    const mask = args.mask instanceof SymbolicTensor && args.mask.rank > 2 ? this.merged(args.mask) : null;
    const given = { training, mask };
    // Keras 3 adds no activity regularization of the layer inside
    const out = this.semantics === 'keras3' ? this.layer.computeWithin(this.merged(x), given) : this.layer.compute(this.merged(x), given);
    const split = (y: SymbolicTensor) => ops.reshape(y, [batch, time, ...y.shape.slice(1)]);
    return out instanceof SymbolicTensor ? split(out) : out.map(split);
  }
  /** Which steps count; further axes of the mask are the inner layer's. */
  override computeMask(_inputs: Tensors, mask: CallArguments['mask']): CallArguments['mask'] {
    if (!(mask instanceof SymbolicTensor)) return null;
    return mask.rank > 2
      ? ops.any(
          mask,
          mask.shape.slice(2).map((_, i) => i + 2),
        )
      : mask;
  }
}

export type MergeMode = 'sum' | 'mul' | 'concat' | 'ave' | null;

export interface BidirectionalConfig extends WrapperOptions {
  /** How the outputs of the two directions are joined; null gives both. Default concat. */
  mergeMode?: MergeMode;
  /** The layer for the way back; default: a copy of the first. */
  backwardLayer?: Layer | SerializedObject | null;
}

const merges: Readonly<Record<Exclude<MergeMode, null>, (a: SymbolicTensor, b: SymbolicTensor) => SymbolicTensor>> = {
  sum: ops.add,
  mul: ops.multiply,
  concat: (a, b) => ops.concatenate([a, b], -1),
  ave: (a, b) => ops.divide(ops.add(a, b), 2),
};

/** Runs a recurrent layer forwards and another backwards, and joins their outputs. With returnState the states of both follow the output. */
export class BidirectionalClass extends Layer {
  static override readonly className = 'Bidirectional';
  readonly forwardLayer: RecurrentLayer;
  readonly backwardLayer: RecurrentLayer;
  readonly mergeMode: MergeMode;
  private readonly given: { readonly layer: RecurrentLayer; readonly backward: RecurrentLayer | null };

  constructor(layer: Layer | BidirectionalConfig, options?: Omit<BidirectionalConfig, 'layer'>) {
    const o = resolveOptions<BidirectionalConfig>('Bidirectional', [layer, options], ['layer'], {
      ...layerDefaults,
      mergeMode: 'concat',
      backwardLayer: null,
    });
    super(o);
    const mode = o.mergeMode ?? null;
    if (mode !== null && !Object.hasOwn(merges, mode))
      throw new ValueError(`Bidirectional: 'mergeMode' must be 'sum', 'mul', 'concat', 'ave' or null, got ${describe(mode)}`);
    this.mergeMode = mode;
    const first = this.recurrent(layerOf('Bidirectional', o.layer, this.semantics));
    const second = o.backwardLayer ? this.recurrent(layerOf('Bidirectional', o.backwardLayer, this.semantics)) : null;
    this.given = { layer: first, backward: second };
    this.forwardLayer = this.hold(this.renamed(first, 'forward', first.goBackwards));
    this.backwardLayer = this.hold(second ? this.renamed(second, 'backward', second.goBackwards, true) : this.renamed(first, 'backward', !first.goBackwards));
    const [f, b] = [this.forwardLayer, this.backwardLayer];
    if (f.goBackwards === b.goBackwards) throw new ValueError('Bidirectional: the two layers must run in opposite directions (goBackwards)');
    for (const key of ['stateful', 'returnSequences', 'returnState'] as const) {
      if (f[key] !== b[key]) throw new ValueError(`Bidirectional: the two layers must agree on '${key}', got ${f[key]} and ${b[key]}`);
    }
    this.supportsMasking = true;
  }

  override get trackedLayers(): Readonly<Record<string, Layer | readonly Layer[]>> {
    return { forward_layer: this.forwardLayer, backward_layer: this.backwardLayer };
  }
  private recurrent(layer: Layer): RecurrentLayer {
    if (layer instanceof RecurrentLayer) return layer;
    throw new UnsupportedError(`Bidirectional: the layer must be recurrent, such as LSTM(8), got ${layer.className}`);
  }
  /** A copy with the direction before its name. In Keras 3, whose files hold the two layers with these names, a name is not lengthened twice, and a given second layer keeps its own. */
  private renamed(layer: RecurrentLayer, direction: string, goBackwards: boolean, given = false): RecurrentLayer {
    const { class_name, config } = serialize(layer);
    const keras3 = this.semantics === 'keras3';
    const name = keras3 && given ? layer.name : `${direction}_${keras3 ? layer.name.replace(/^forward_/, '') : layer.name}`;
    // as Keras does it: sequences are 0 at masked steps, whatever the layer alone would give
    const changed = { ...config, name, go_backwards: goBackwards, zero_output_for_mask: layer.returnSequences };
    return deserialize({ class_name, config: changed }, { semantics: layer.semantics }) as RecurrentLayer;
  }

  override build(inputShape: InputShape): void {
    const shape = (Array.isArray(inputShape[0]) ? inputShape[0] : inputShape) as KerasShape;
    this.forwardLayer.ensureBuilt(shape);
    this.backwardLayer.ensureBuilt(shape);
  }
  override call(inputs: Tensors, args: CallArguments): Tensors {
    const [x, ...states] = listOf(inputs);
    const given = states.length > 0 ? states : ((args.initialState ?? []) as readonly SymbolicTensor[]);
    if (given.length % 2 !== 0)
      throw new ValueError(`${this.name}: Bidirectional takes the same number of initial states for both layers, got ${given.length} in all`);
    const mask = args.mask instanceof SymbolicTensor ? args.mask : ((args.mask?.[0] as SymbolicTensor | null | undefined) ?? null);
    const run = (layer: RecurrentLayer, initial: readonly SymbolicTensor[]) =>
      listOf(layer.compute(x!, { training: args.training ?? false, mask, ...(initial.length > 0 ? { initialState: initial } : {}) }));
    const [y, ...forward] = run(this.forwardLayer, given.slice(0, given.length / 2));
    const [reversed, ...backward] = run(this.backwardLayer, given.slice(given.length / 2));
    const z = this.forwardLayer.returnSequences ? ops.reverse(reversed!, [this.forwardLayer.timeMajor ? 0 : 1]) : reversed!;
    const outputs = this.mergeMode === null ? [y!, z] : [merges[this.mergeMode](y!, z)];
    const all = [...outputs, ...forward, ...backward];
    return all.length === 1 ? all[0]! : all;
  }
  override computeMask(_inputs: Tensors, mask: CallArguments['mask'], outputs: Tensors): CallArguments['mask'] {
    const own = mask instanceof SymbolicTensor ? mask : ((mask?.[0] as SymbolicTensor | null | undefined) ?? null);
    if (!this.forwardLayer.returnSequences || !own) return null;
    const sequences = this.mergeMode === null ? 2 : 1;
    return outputs instanceof SymbolicTensor ? own : outputs.map((_, i) => (i < sequences ? own : null));
  }
  /** Sets the states of stateful layers back to zero; use the model's `resetStates` once a model runs. */
  resetStates(): void {
    this.forwardLayer.resetStates();
    this.backwardLayer.resetStates();
  }
  override getConfig(): JsonObject {
    const keras3 = this.configFor === 'keras3';
    const layer = serialize(keras3 ? this.forwardLayer : this.given.layer);
    const second = keras3 ? this.backwardLayer : this.given.backward;
    const backward = second && serialize(second);
    return {
      ...super.getConfig(),
      layer: layer as unknown as Json,
      merge_mode: this.mergeMode,
      ...(backward ? { backward_layer: backward as unknown as Json } : {}),
    };
  }
}

export const TimeDistributed = callable(TimeDistributedClass);
export const Bidirectional = callable(BidirectionalClass);
