/** What the conversion of one node sees: its values as Keras tensors, its constants, and how to add a layer. */
import { isStatic } from '../../../ir/dim.js';
import { UnsupportedError } from '../../../ir/errors.js';
import type { Value } from '../../../ir/graph.js';
import type { Layer } from '../../keras/layers/layer.js';
import type { KerasTensor } from '../../keras/layers/node.js';
import { Rescaling } from '../../keras/layers/preprocessing/image.js';
import type { Call } from '../import.js';
import type { CallGraph, Contents } from './graph.js';
import { type Held, Tensors } from './tensors.js';

/** Names as Keras and its files take them. */
export const plainName = (name: string): string => name.replace(/[^\w.-]+/g, '_').replace(/^[^A-Za-z0-9.]+/, '') || 'layer';

/** How a node becomes layers: gives its first output, or defines its outputs itself and gives null. `bias` is known and added to the result along its last axis here. */
export type LayerMaker = (c: ConversionContext, call: Call, bias: Float32Array | null) => Held | null;

export class ConversionContext {
  readonly tensors: Tensors;
  private readonly names = new Set<string>();
  /** The layers' names in the order in which they were asked for. */
  readonly asked: string[] = [];
  private current = '';

  /** `given`: names by the order in which names are asked for: those of the layers that give the model's outputs. */
  constructor(
    readonly graph: CallGraph,
    private readonly given: ReadonlyMap<number, string>,
  ) {
    for (const name of given.values()) this.names.add(name);
    this.tensors = new Tensors((hint) => this.unique(this.current ? `${this.current}_${hint}` : hint));
  }

  // ---- names

  unique(name: string): string {
    const kept = this.given.get(this.asked.length);
    const base = plainName(name);
    let result = kept ?? base;
    if (kept === undefined) for (let i = 1; this.names.has(result); i++) result = `${base}_${i}`;
    this.names.add(result);
    this.asked.push(result);
    return result;
  }
  /** Layers are named after this result from now on. */
  begin(result: string): void {
    this.current = plainName(result.replace(/\/[^/]*_output_\d+$/, ''));
  }
  /** The name of the layer that a node becomes: that of its weights (`dense/kernel`, `fc.weight`), or of its result. */
  layerName(call: Call, weight: number | null = null): string {
    const of = weight === null ? undefined : call.inputNames[weight];
    const stem = of && /^(.+?)[/.](?:kernel|weight|gamma|embeddings|alpha|scale|W|w)(?::0)?(?:_\d+)?$/.exec(of)?.[1];
    return this.unique(stem || this.current);
  }

  // ---- values

  in(call: Call, i: number): Value {
    const v = call.inputs[i];
    if (!v) throw new UnsupportedError(`input ${i} is missing or is no tensor`);
    return v;
  }
  isKnown(v: Value | null | undefined): boolean {
    return v !== null && v !== undefined && !this.graph.isDynamic(v);
  }
  /** The contents of an input that must be known. */
  known(call: Call, i: number): Contents {
    const v = this.in(call, i);
    return this.graph.contents(v) ?? this.refuse(`its input ${i} is computed by the model; a layer has a weight there`);
  }
  knownOrNull(call: Call, i: number): Contents | null {
    return call.inputs[i] ? this.known(call, i) : null;
  }
  numbers(call: Call, i: number): number[] {
    return Array.from(this.known(call, i).values);
  }
  refuse(why: string): never {
    throw new UnsupportedError(why);
  }
  size(v: Value, axis: number): number {
    const d = v.shape[axis]!;
    return isStatic(d) ? d : this.refuse(`axis ${axis} has an open size where a layer needs a number`);
  }

  // ---- layers

  /** Calls a layer and gives it its weights, in the order in which it has them. */
  apply(layer: Layer, x: KerasTensor | readonly KerasTensor[], weights: readonly ArrayLike<number>[] = []): KerasTensor {
    const y = this.applyAll(layer, x, weights);
    return y[0]!;
  }
  applyAll(layer: Layer, x: KerasTensor | readonly KerasTensor[], weights: readonly ArrayLike<number>[] = [], args: object = {}): readonly KerasTensor[] {
    const y = (layer as unknown as (x: unknown, args: object) => KerasTensor | readonly KerasTensor[])(x, args);
    const own = layer.weights;
    if (own.length !== weights.length) this.refuse(`internal: layer '${layer.name}' has ${own.length} weights, the node gives ${weights.length}`);
    own.forEach((w, i) => {
      const given = weights[i]!;
      if (given.length !== w.size) this.refuse(`its weights have ${given.length} elements, ${w.path} has ${w.size}`);
      w.assign(Float32Array.from(given));
    });
    return Array.isArray(y) ? (y as readonly KerasTensor[]) : [y as KerasTensor];
  }
  /** Undoes `sign · (x - from)`. */
  rescaling(sign: number, from: number, name: string): Layer {
    return Rescaling({ scale: sign, offset: from, name });
  }
  /** A layer on a value as it lies there; the axes stay. */
  map(x: Value, layer: Layer): Held {
    const { tensor, axes } = this.tensors.first(x);
    return { tensor: this.apply(layer, tensor), axes };
  }
}

/** Contents with their axes in another order. */
export function permuted(c: Contents, perm: readonly number[]): Contents {
  const shape = perm.map((p) => c.shape[p]!);
  const strides = c.shape.map((_, i) => c.shape.slice(i + 1).reduce((a, d) => a * d, 1));
  const steps = perm.map((p) => strides[p]!);
  const values = new Float32Array(c.values.length);
  const index = shape.map(() => 0);
  let from = 0;
  for (let i = 0; i < values.length; i++) {
    values[i] = c.values[from]!;
    for (let a = shape.length - 1; a >= 0; a--) {
      from += steps[a]!;
      if (++index[a]! < shape[a]!) break;
      from -= steps[a]! * shape[a]!;
      index[a] = 0;
    }
  }
  return { shape, values };
}

/** (batch, channels, space…) as Keras has it: the channels last. */
export const channelsLast = (rank: number): number[] => [0, ...Array.from({ length: rank - 2 }, (_, i) => i + 2), 1];
export const filled = (n: number, value: number): Float32Array => new Float32Array(n).fill(value);
export const int = (call: Call, name: string): number => call.attributes[name] as number;
export const ints = (call: Call, name: string): readonly number[] | null => call.attributes[name] as readonly number[] | null;
export const axisOf = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);
