/** Cases of ops: shapes, indices and order. */
import { ops } from '../../../frontend/keras/index.js';
import { m, type OpCases } from './operands.js';

export const shapesCases: OpCases = {
  reshape: [[m], (x) => ops.reshape(x, [3, -1]), [1, 2, 3, 4, -5, 6]],
  transpose: [[m], (x) => ops.transpose(x), [1, 4, 2, -5, 3, 6]],
  swapaxes: [[m], (x) => ops.swapaxes(x, 0, 1), [1, 4, 2, -5, 3, 6]],
  moveaxis: [[m], (x) => ops.moveaxis(x, 0, -1), [1, 4, 2, -5, 3, 6]],
  tile: [[[1, 2]], (x) => ops.tile(x, [2, 2]), [1, 2, 1, 2, 1, 2, 1, 2]],
  repeat: [[[1, 2]], (x) => ops.repeat(x, 2, 0), [1, 1, 2, 2]],
  flip: [[m], (x) => ops.flip(x, 1), [3, 2, 1, 6, -5, 4]],
  roll: [[[1, 2, 3, 4]], (x) => ops.roll(x, 1), [4, 1, 2, 3]],
  pad: [[[1, 2, 3]], (x) => ops.pad(x, [[2, 1]], 'reflect'), [3, 2, 1, 2, 3, 2]],
  'pad symmetric': [[[1, 2, 3]], (x) => ops.pad(x, [[2, 1]], 'symmetric'), [2, 1, 1, 2, 3, 3]],
  concatenate: [[m, m], (x, y) => ops.concatenate([x, y], 1), [1, 2, 3, 1, 2, 3, 4, -5, 6, 4, -5, 6]],
  stack: [
    [
      [1, 2],
      [3, 4],
    ],
    (x, y) => ops.stack([x, y], 1),
    [1, 3, 2, 4],
  ],
  split: [[[1, 2, 3, 4]], (x) => ops.split(x, [1, 3])[1]!, [2, 3]],
  unstack: [[m], (x) => ops.unstack(x, 0)[1]!, [4, -5, 6]],
  take: [[m, [1, -1]], (x, i) => ops.take(x, i, 1), [2, 3, -5, 6]],
  takeAlongAxis: [[m, [[2], [0]]], (x, i) => ops.takeAlongAxis(x, i, 1), [3, 4]],
  slice: [[m], (x) => ops.slice(x, [0, 1], [2, -1]), [2, 3, -5, 6]],
  oneHot: [[[2, 0]], (x) => ops.oneHot(x, 3), [0, 0, 1, 1, 0, 0]],
  sort: [
    [
      [
        [3, 1, 2],
        [1, 1, 0],
      ],
    ],
    (x) => ops.sort(x),
    [1, 2, 3, 0, 1, 1],
  ],
  argsort: [
    [
      [
        [3, 1, 2],
        [1, 1, 0],
      ],
    ],
    (x) => ops.argsort(x),
    [1, 2, 0, 2, 0, 1],
  ],
  topK: [[[3, 1, 5]], (x) => ops.topK(x, 2).values, [5, 3]],
  'topK indices': [[[3, 1, 5]], (x) => ops.topK(x, 2).indices, [2, 0]],
  inTopK: [
    [
      [0, 1],
      [
        [0.5, 0.3, 0.2],
        [0.6, 0.1, 0.3],
      ],
    ],
    (t, p) => ops.inTopK(t, p, 2),
    [1, 0],
  ],
  segmentSum: [
    [
      [1, 2, 3],
      [0, 2, 0],
    ],
    (x, i) => ops.segmentSum(x, i, 3),
    [4, 0, 2],
  ],
  segmentMax: [
    [
      [1, 2, 3],
      [0, 1, 0],
    ],
    (x, i) => ops.segmentMax(x, i, 2),
    [3, 2],
  ],
  tril: [[m], (x) => ops.tril(x), [1, 0, 0, 4, -5, 0]],
  triu: [[m], (x) => ops.triu(x, 1), [0, 2, 3, 0, 0, 6]],
  diagonal: [[m], ops.diagonal, [1, -5]],
  diag: [[[1, 2]], ops.diag, [1, 0, 0, 2]],
  trace: [[m], ops.trace, -4],
};
