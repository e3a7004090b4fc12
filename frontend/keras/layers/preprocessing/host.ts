/**
 * Layers that compute on the host, since strings never reach a device: StringLookup, TextVectorization, Hashing, HashedCrossing. They are called on arrays, or on inputs of a model (or on
 * what such a layer gives); the model then computes them before its plan runs, and the plan begins with the numbers.
 */
import { UnsupportedError, ValueError } from '../../../../ir/errors.js';
import type { KerasShape, Tensors } from '../../backend/trace.js';
import { type HostArray, StringTensor, toHostArray } from '../../strings.js';
import { Tensor } from '../../tensor.js';
import { describe } from '../../utils/options.js';
import { type CallArguments, Layer, type LayerData } from '../layer.js';
import { type KerasDType, KerasTensor, LayerNode } from '../node.js';

/** Shape (with the batch axis) and dtype of a host layer's input or output. */
export interface HostSpec {
  readonly shape: KerasShape;
  readonly dtype: KerasDType;
}

/** A layer that computes arrays of the host. */
export interface HostLayer {
  (inputs: KerasTensor, args?: CallArguments): KerasTensor;
  (inputs: readonly KerasTensor[], args?: CallArguments): KerasTensor;
  /** Strings, or whole numbers: nested arrays or tensors. */
  (inputs: HostInput): HostArray;
}
export type HostInput = HostArray | string | number | readonly unknown[];

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: gives instances their call signatures
export abstract class HostLayer extends Layer {
  /** Computes the output. */
  abstract onHost(inputs: readonly HostArray[]): HostArray;
  /** What the output will be for inputs of a model. */
  abstract hostSpec(inputs: readonly HostSpec[]): HostSpec;
  /** How many inputs there are: one, or a list. */
  protected get takesList(): boolean {
    return false;
  }

  override apply(inputs: LayerData | HostInput): LayerData {
    const list = (Array.isArray(inputs) ? inputs : [inputs]) as readonly unknown[];
    if (list.length > 0 && list.every((x) => x instanceof KerasTensor)) return this.recordOnHost(list as readonly KerasTensor[], !Array.isArray(inputs));
    const arrays = this.takesList ? list.map((x, i) => toHostArray(`${this.name}: input ${i}`, x)) : [toHostArray(this.name, inputs)];
    return this.onHost(arrays) as Tensor;
  }

  private recordOnHost(list: readonly KerasTensor[], single: boolean): KerasTensor {
    if (!this.takesList && list.length !== 1) throw new ValueError(`${this.name}: ${this.className} takes one input, got ${list.length}`);
    const bad = list.find((k) => !isHostTensor(k));
    if (bad)
      throw new UnsupportedError(
        `${this.name}: ${this.className} works on the host, before the model's plan: it takes inputs of the model, got the output of ${describeSource(bad)}`,
      );
    const { shape, dtype } = this.hostSpec(list);
    const node = new LayerNode(this, list, single, {});
    const output = new KerasTensor(shape, dtype, `${this.name}/${this.inboundNodes.length}:0`, { node, index: 0 });
    node.finish([output], true);
    this.inboundNodes.push(node);
    this.built = true;
    return output;
  }
  override call(_inputs: Tensors): Tensors {
    throw new UnsupportedError(
      `${this.name}: ${this.className} works on the host and has no place inside a compiled call: put it first in a functional model or Sequential, directly on the inputs, or call it on the data`,
    );
  }
}

const describeSource = (k: KerasTensor): string => `'${k.history.node.layer.name}' (${k.history.node.layer.className})`;

/** Whether a tensor of a functional model is there before the plan runs. */
export const isHostTensor = (k: KerasTensor): boolean => k.history.node.inputs.length === 0 || k.history.node.layer instanceof HostLayer;

/** A tensor of the model from its inputs, by the host layers between. */
export function computeOnHost(k: KerasTensor, inputs: ReadonlyMap<KerasTensor, HostArray>, done: Map<KerasTensor, HostArray> = new Map(inputs)): HostArray {
  const known = done.get(k);
  if (known) return known;
  const { layer, inputs: from } = k.history.node;
  if (!(layer instanceof HostLayer)) throw new ValueError(`'${k.name}' does not come from the model's inputs`);
  const out = layer.onHost(from.map((f) => computeOnHost(f, inputs, done)));
  done.set(k, out);
  return out;
}

/** The data for adapt, in batches of rows as Keras takes them. */
export function* batchesOf(what: string, data: unknown, batchSize: number): Generator<HostArray> {
  const all = toHostArray(what, data);
  if (all.rank === 0 || all.size === 0) throw new ValueError(`${what}: adapt needs an array of data, got ${describe(data)}`);
  for (let at = 0; at < all.shape[0]!; at += batchSize) yield all.rows(at, Math.min(all.shape[0]!, at + batchSize));
}

/** Rows of numbers from ids on the host, as Keras encodes categories; ids outside [0, depth) count nowhere. */
export function encodeOnHost(
  ids: Int32Array,
  shape: readonly number[],
  depth: number,
  mode: 'one_hot' | 'multi_hot' | 'count' | 'tf_idf',
  weights: Float32Array | null,
): Tensor {
  const each = mode === 'one_hot' && shape.at(-1) !== 1;
  const perRow = each ? 1 : (shape.at(-1) ?? 1);
  const rows = perRow === 0 ? shape.slice(0, -1).reduce((a, b) => a * b, 1) : ids.length / perRow;
  const out = new Float32Array(rows * depth);
  ids.forEach((id, i) => {
    if (id < 0 || id >= depth) return;
    const at = Math.floor(i / perRow) * depth + id;
    out[at] = mode === 'count' || mode === 'tf_idf' ? out[at]! + 1 : 1;
  });
  if (weights) out.forEach((v, i) => (out[i] = v * weights[i % depth]!));
  return new Tensor(out, [...(each ? shape : shape.slice(0, -1)), depth]);
}

/** The shape that `encodeOnHost` gives. */
export const encodedShape = (shape: KerasShape, depth: number, mode: string): KerasShape =>
  mode === 'int' ? shape : [...(mode === 'one_hot' && shape.at(-1) !== 1 ? shape : shape.slice(0, -1)), depth];

export const asStrings = (layer: Layer, x: HostArray): StringTensor => {
  if (x instanceof StringTensor) return x;
  throw new ValueError(`${layer.name}: ${layer.className} takes strings, got numbers`);
};
export const asNumbers = (layer: Layer, x: HostArray): Tensor => {
  if (x instanceof Tensor) return x;
  throw new ValueError(`${layer.name}: ${layer.className} takes whole numbers here, got strings`);
};
