/**
 * Weights of Keras 1 files in the form of Keras 2: recurrent layers had an array for each gate, convolutions of Theano had channels first. Source: the conversions that Keras 2 itself
 * documents for files of version 1.
 */
import type { TypedArray } from '../../../ir/dtype.js';
import type { Variable } from '../backend/variable.js';
import type { Layer } from '../layers/layer.js';
import type { SavedArray } from './saved-model.js';

/** Arrays side by side along the last axis. */
function concatenated(name: string, parts: readonly SavedArray[]): SavedArray {
  const rows = parts[0]!.shape.slice(0, -1).reduce((a, d) => a * d, 1);
  const widths = parts.map((p) => p.shape.at(-1) ?? 1);
  const width = widths.reduce((a, b) => a + b, 0);
  return {
    name,
    shape: [...parts[0]!.shape.slice(0, -1), width],
    async read() {
      const out = new Float32Array(rows * width);
      let at = 0;
      for (const [i, p] of parts.entries()) {
        const data: TypedArray = await p.read();
        for (let r = 0; r < rows; r++) out.set(data.subarray(r * widths[i]!, (r + 1) * widths[i]!), r * width + at);
        at += widths[i]!;
      }
      return out;
    },
  };
}

/** The axes in another order, and some of them turned around. */
function rearranged(a: SavedArray, order: readonly number[], turned = 0): SavedArray {
  const shape = order.map((axis) => a.shape[axis]!);
  if (a.shape.length !== order.length) return a;
  return {
    name: a.name,
    shape,
    async read() {
      const data = await a.read();
      const out = new Float32Array(data.length);
      const strides = order.map((axis) => a.shape.slice(axis + 1).reduce((n, d) => n * d, 1));
      const at = new Array<number>(shape.length).fill(0);
      for (let i = 0; i < out.length; i++) {
        let from = 0;
        for (let k = 0; k < at.length; k++) from += (k < turned ? shape[k]! - 1 - at[k]! : at[k]!) * strides[k]!;
        out[i] = data[from]!;
        for (let k = at.length - 1; k >= 0 && ++at[k]! === shape[k]; k--) at[k] = 0;
      }
      return out;
    },
  };
}

/** A kernel with an axis of size 1, without it. */
const squeezed = (a: SavedArray, shape: readonly number[]): SavedArray => ({ ...a, shape, read: () => a.read() });

/** What a file says of who wrote it. */
export interface WrittenBy {
  readonly keras1: boolean;
  /** Theano turned the kernels of convolutions around. */
  readonly theano: boolean;
}

/** How many spatial axes a convolution has. */
const convolutions: Readonly<Record<string, number>> = { Conv1D: 1, Conv2D: 2, Conv3D: 3, Conv2DTranspose: 2, ConvLSTM2D: 2 };

/** Recurrent layers: how many arrays, and which gates make one array. */
const gatesOf: Readonly<Record<string, readonly number[]>> = { LSTM: [0, 2, 1, 3], ConvLSTM2D: [0, 2, 1, 3], GRU: [0, 1, 2] };

function convolutionOfKeras1(className: string, channelsFirst: boolean, kernel: SavedArray, wanted: readonly number[]): SavedArray {
  const { shape } = kernel;
  // a one-dimensional convolution was two-dimensional inside: (length, 1, input, output), or of Theano (output, input, length, 1)
  if (className === 'Conv1D' && shape.length === 4) {
    const last = shape[1] === 1 && shape[0] === wanted[0] && shape[3] === wanted[2] ? kernel : rearranged(kernel, [2, 3, 1, 0]);
    return squeezed(last, [last.shape[0]!, last.shape[2]!, last.shape[3]!]);
  }
  if (className === 'Conv2D' && channelsFirst) return rearranged(kernel, [2, 3, 1, 0]);
  if (className === 'Conv3D' && channelsFirst) return rearranged(kernel, [2, 3, 4, 1, 0]);
  if (className === 'Conv2DTranspose') return rearranged(kernel, channelsFirst ? [2, 3, 0, 1] : [0, 1, 3, 2]);
  return kernel;
}

/** The arrays of a layer as Keras 2 has them on TensorFlow; arrays that are so already come back as they are. */
export function keras1Weights(layer: Layer, variables: readonly Variable[], arrays: readonly SavedArray[], by: WrittenBy): readonly SavedArray[] {
  const inner = (layer as { readonly layer?: Layer }).layer;
  if (layer.className === 'TimeDistributed' && inner) return keras1Weights(inner, variables, arrays, by);
  const forward = (layer as { readonly forwardLayer?: Layer }).forwardLayer;
  if (layer.className === 'Bidirectional' && forward) {
    const [v, a] = [variables.length / 2, arrays.length / 2];
    if (!Number.isInteger(v) || !Number.isInteger(a)) return arrays;
    return [...keras1Weights(forward, variables.slice(0, v), arrays.slice(0, a), by), ...keras1Weights(forward, variables.slice(v), arrays.slice(a), by)];
  }
  const { className } = layer;
  let now = arrays;
  // gates came one after the other, each with kernel, recurrent kernel and bias
  const gates = gatesOf[className];
  if (gates && variables.length === 3 && arrays.length === 3 * gates.length)
    now = [0, 1, 2].map((part) =>
      concatenated(
        variables[part]!.path,
        gates.map((g) => arrays[3 * g + part]!),
      ),
    );
  const spatial = convolutions[className];
  const [first, kernel] = [now[0], variables[0]];
  if (spatial === undefined || !first || !kernel || now.length !== variables.length) return now;
  const channelsFirst = (layer as { readonly dataFormat?: unknown }).dataFormat === 'channels_first';
  let turned = by.keras1 ? convolutionOfKeras1(className, channelsFirst, first, kernel.shape) : first;
  // files of Theano say so by their shape, too
  if (className === 'Conv2D' && turned.shape.length === 4 && turned.shape.join() !== kernel.shape.join()) {
    const last = rearranged(first, [2, 3, 1, 0]);
    if (last.shape.join() === kernel.shape.join()) turned = last;
  }
  if (className === 'Conv1D' && turned.shape.length === 4) turned = convolutionOfKeras1(className, channelsFirst, first, kernel.shape);
  now = [turned, ...now.slice(1)];
  if (!by.theano) return now;
  return now.map((a, i) =>
    i === 0 || (i === 1 && className === 'ConvLSTM2D')
      ? rearranged(
          a,
          a.shape.map((_, k) => k),
          spatial,
        )
      : a,
  );
}
