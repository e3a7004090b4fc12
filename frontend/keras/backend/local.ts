/** Convolutions with a kernel of its own at each place of the output: one batched product over the places. */
import type { DataFormat } from '../layers/core.js';
import * as ops from './ops.js';
import type { SymbolicTensor } from './trace.js';

/** All positions in a window, the last axis fastest. */
export const offsets = (sizes: readonly number[]): number[][] =>
  sizes.reduce<number[][]>((all, n) => all.flatMap((o) => Array.from({ length: n }, (_, i) => [...o, i])), [[]]);

export interface Places {
  readonly kernelSize: readonly number[];
  readonly strides: readonly number[];
  /** Spatial sizes of the output. */
  readonly out: readonly number[];
  readonly dataFormat: DataFormat;
}

/** A kernel (places, window · in, filters) on (batch, …space, in); windows are flattened with the channels last, or first where they are so in x. */
export function productsOfPlaces(x: SymbolicTensor, kernel: SymbolicTensor, { kernelSize, strides, out, dataFormat }: Places): SymbolicTensor {
  const last = dataFormat === 'channels_last';
  const spatial = out.map((_, i) => i + (last ? 1 : 2));
  const count = out.reduce((a, n) => a * n, 1);
  const channels = x.shape[last ? out.length + 1 : 1]!;
  // for each element of the window the input at all places: (batch, places, 1, channels)
  const parts = offsets(kernelSize).map((offset) => {
    const start = x.shape.map((_, a) => offset[spatial.indexOf(a)] ?? 0);
    const limit = x.shape.map((d, a) => {
      const i = spatial.indexOf(a);
      return i < 0 ? d : offset[i]! + (out[i]! - 1) * strides[i]! + 1;
    });
    const stride = x.shape.map((_, a) => strides[spatial.indexOf(a)] ?? 1);
    const part = x.trace.tensor(x.trace.b.slice(x.value, start, limit, stride));
    const moved = last ? part : ops.transpose(part, [0, ...spatial, 1]);
    return ops.reshape(moved, [x.shape[0]!, count, ...(last ? [1, channels] : [channels, 1])]);
  });
  const windows = ops.reshape(ops.concatenate(parts, last ? 2 : 3), [x.shape[0]!, count, kernel.shape[1]!]);
  const product = ops.dot(windows, kernel, { batchLeft: [1], batchRight: [0], contractLeft: [2], contractRight: [1] });
  const y = ops.reshape(ops.transpose(product, [1, 0, 2]), [x.shape[0]!, ...out, kernel.shape[2]!]);
  return last ? y : ops.transpose(y, [0, out.length + 1, ...spatial.map((a) => a - 1)]);
}
