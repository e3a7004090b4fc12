/** Pieces of networks for tests of passes, written with the graph builder alone. */
import type { GraphBuilder } from '../../ir/builder.js';
import type { Value } from '../../ir/graph.js';
import type { ConvDims, Pair } from '../../ir/op-attrs.js';

export const nhwc: ConvDims = {
  input: { batch: 0, feature: 3, spatial: [1, 2] },
  kernel: { spatial: [0, 1], input: 2, output: 3 },
  output: { batch: 0, feature: 3, spatial: [1, 2] },
};
export const nchw: ConvDims = {
  input: { batch: 0, feature: 1, spatial: [2, 3] },
  kernel: { output: 0, input: 1, spatial: [2, 3] },
  output: { batch: 0, feature: 1, spatial: [2, 3] },
};

export interface ConvOptions {
  readonly strides?: readonly number[];
  readonly padding?: readonly Pair[];
  readonly inputDilation?: readonly number[];
  readonly groups?: number;
}

export const conv = (b: GraphBuilder, x: Value, k: Value, dims: ConvDims, o: ConvOptions = {}): Value =>
  b.emit('conv', [x, k], {
    strides: o.strides ?? [1, 1],
    padding: o.padding ?? [
      [0, 0],
      [0, 0],
    ],
    inputDilation: o.inputDilation ?? [1, 1],
    kernelDilation: [1, 1],
    groups: o.groups ?? 1,
    batchGroups: 1,
    dims,
  });

export const relu = (b: GraphBuilder, x: Value): Value => b.max(x, 0);
