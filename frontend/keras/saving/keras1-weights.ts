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

/** (output, input, rows, columns) to (rows, columns, input, output). */
function channelsLast(a: SavedArray): SavedArray {
  const [o, i, h, w] = a.shape as [number, number, number, number];
  return {
    name: a.name,
    shape: [h, w, i, o],
    async read() {
      const data = await a.read();
      const out = new Float32Array(data.length);
      for (let y = 0; y < h; y++)
        for (let x = 0; x < w; x++)
          for (let c = 0; c < i; c++) for (let f = 0; f < o; f++) out[((y * w + x) * i + c) * o + f] = data[((f * i + c) * h + y) * w + x]!;
      return out;
    },
  };
}

/** A kernel with an axis of size 1, without it. */
const squeezed = (a: SavedArray, shape: readonly number[]): SavedArray => ({ ...a, shape, read: () => a.read() });

/** The arrays of a layer as Keras 2 has them; arrays of Keras 2 come back as they are. */
export function keras1Weights(layer: Layer, variables: readonly Variable[], arrays: readonly SavedArray[]): readonly SavedArray[] {
  // gates came one after the other, each with kernel, recurrent kernel and bias
  const gates = layer.className === 'LSTM' && arrays.length === 12 ? [0, 2, 1, 3] : layer.className === 'GRU' && arrays.length === 9 ? [0, 1, 2] : null;
  if (gates && variables.length === 3)
    return [0, 1, 2].map((part) =>
      concatenated(
        variables[part]!.path,
        gates.map((g) => arrays[3 * g + part]!),
      ),
    );
  const first = arrays[0];
  const kernel = variables[0];
  if (!first || !kernel || arrays.length !== variables.length || first.shape.join() === kernel.shape.join()) return arrays;
  if (layer.className === 'Conv2D' && first.shape.length === 4) {
    const turned = channelsLast(first);
    if (turned.shape.join() === kernel.shape.join()) return [turned, ...arrays.slice(1)];
  }
  // a one-dimensional convolution was two-dimensional inside: (length, 1, input, output)
  if (layer.className === 'Conv1D' && first.shape.length === 4 && first.shape[1] === 1)
    return [squeezed(first, [first.shape[0]!, first.shape[2]!, first.shape[3]!]), ...arrays.slice(1)];
  return arrays;
}
