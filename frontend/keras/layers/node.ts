/** Tensors and nodes of functional models: what `Input` and `layer(x)` give before anything runs. */
import type { DType } from '../../../ir/dtype.js';
import { type KerasShape, kerasShapeText } from '../backend/trace.js';
import type { CallArguments, Layer } from './layer.js';

export interface KerasHistory {
  readonly node: LayerNode;
  /** Which output of the node. */
  readonly index: number;
}

/** The dtype of a model's input: strings are turned into numbers on the host. */
export type KerasDType = DType | 'string';

/** A tensor of a functional model: shape (null where unknown), dtype, and the layer call that gives it. */
export class KerasTensor {
  constructor(
    readonly shape: KerasShape,
    readonly dtype: KerasDType,
    readonly name: string,
    readonly history: KerasHistory,
  ) {}
  toString(): string {
    return `KerasTensor(shape=${kerasShapeText(this.shape)}, dtype=${this.dtype}, name='${this.name}')`;
  }
}

export type KerasTensors = KerasTensor | readonly KerasTensor[];

/** One call of a layer. Input layers have a node without inputs. */
export class LayerNode {
  outputs: readonly KerasTensor[] = [];
  singleOutput = true;
  constructor(
    readonly layer: Layer,
    readonly inputs: readonly KerasTensor[],
    /** The layer was called on one tensor, not on a list. */
    readonly singleInput: boolean,
    readonly args: CallArguments,
    /** So many of the inputs, the last ones, are the initial states of a recurrent layer. */
    readonly states = 0,
    /** Arguments that are tensors: they follow all other inputs. */
    readonly named: readonly string[] = [],
  ) {}
  /** The inputs and the arguments of the call, from values for `inputs`. */
  split<T>(values: readonly T[]): { readonly inputs: readonly T[]; readonly named: Readonly<Record<string, T>> } {
    const at = values.length - this.named.length;
    return { inputs: values.slice(0, at), named: Object.fromEntries(this.named.map((name, i) => [name, values[at + i]!])) };
  }
  finish(outputs: readonly KerasTensor[], single: boolean): void {
    this.outputs = outputs;
    this.singleOutput = single;
  }
}
