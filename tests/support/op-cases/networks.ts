/** Cases of ops: activations, convolutions, pools, normalization and losses. */
import { ops } from '../../../frontend/keras/index.js';
import { a, each, m, type OpCases, sigmoid } from './operands.js';

export const networksCases: OpCases = {
  multiHot: [
    [
      [
        [0, 2],
        [1, 1],
      ],
    ],
    (x) => ops.multiHot(x, 3),
    [1, 0, 1, 0, 1, 0],
  ],
  relu6: [[[-1, 2, 8]], ops.relu6, [0, 2, 6]],
  logSigmoid: [[a], ops.logSigmoid, each((x) => -Math.log1p(Math.exp(-x)))],
  hardSigmoid: [[[-4, -1.5, 0, 1.5, 4]], ops.hardSigmoid, [0, 0.25, 0.5, 0.75, 1]],
  hardSilu: [[[-4, 1.5, 4]], ops.hardSilu, [0, 1.125, 4]],
  hardSwish: [[[-4, 1.5, 4]], ops.hardSwish, [0, 1.125, 4]],
  hardTanh: [[a], ops.hardTanh, [0.5, -1, 1, 1]],
  swish: [[a], ops.swish, each((x) => x * sigmoid(x))],
  selu: [[a], ops.selu, each((x) => 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * Math.expm1(x)))],
  softsign: [[a], ops.softsign, each((x) => x / (1 + Math.abs(x)))],
  mish: [[a], ops.mish, each((x) => x * Math.tanh(Math.log1p(Math.exp(x))))],
  tanhShrink: [[a], ops.tanhShrink, each((x) => x - Math.tanh(x))],
  celu: [[a], (x) => ops.celu(x, 2), each((x) => (x > 0 ? x : 2 * Math.expm1(x / 2)))],
  glu: [[[1, 2, 0, Math.log(3)]], (x) => ops.glu(x), [0.5, 1.5]],
  gelu: [[a], (x) => ops.gelu(x), each((x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))))],
  'gelu, exact': [[[1, -1]], (x) => ops.gelu(x, false), [0.8413447460685429, -0.15865525393145707]],
  biasAdd: [[m, [1, 2, 3]], (x, v) => ops.biasAdd(x, v), [2, 4, 6, 5, -3, 9]],
  // one query, two keys, size 1: weights 1/4 and 3/4
  dotProductAttention: [[[[[[1]]]], [[[[0]], [[Math.log(3)]]]], [[[[4]], [[8]]]]], (q, k, v) => ops.dotProductAttention(q, k, v), [7]],
  'dotProductAttention, masked': [
    [[[[[1]]]], [[[[0]], [[Math.log(3)]]]], [[[[4]], [[8]]]], [[[[1, 0]]]]],
    (q, k, v, mask) => ops.dotProductAttention(q, k, v, mask),
    [4],
  ],
  relu: [[a], ops.relu, each((x) => Math.max(x, 0))],
  sigmoid: [[a], ops.sigmoid, each(sigmoid)],
  softmax: [[[0, Math.log(3)]], (x) => ops.softmax(x), [0.25, 0.75]],
  logSoftmax: [[[0, Math.log(3)]], (x) => ops.logSoftmax(x), [Math.log(0.25), Math.log(0.75)]],
  softplus: [[a], ops.softplus, each((x) => Math.log1p(Math.exp(x)))],
  silu: [[a], ops.silu, each((x) => x * sigmoid(x))],
  elu: [[a], (x) => ops.elu(x), each((x) => (x > 0 ? x : Math.expm1(x)))],
  leakyRelu: [[a], (x) => ops.leakyRelu(x), each((x) => (x > 0 ? x : 0.2 * x))],
  moments: [[m], (x) => ops.moments(x, [0]).variance, [2.25, 12.25, 2.25]],
  normalize: [[[3, 4]], (x) => ops.normalize(x), [0.6, 0.8]],
  binaryCrossentropy: [
    [
      [1, 0],
      [0.8, 0.4],
    ],
    (t, p) => ops.binaryCrossentropy(t, p),
    [-Math.log(0.8), -Math.log(0.6)],
  ],
  categoricalCrossentropy: [[[[0, 1]], [[0.3, 0.7]]], (t, p) => ops.categoricalCrossentropy(t, p), [-Math.log(0.7)]],
  sparseCategoricalCrossentropy: [[[1], [[0.3, 0.7]]], (t, p) => ops.sparseCategoricalCrossentropy(t, p), [-Math.log(0.7)]],
  conv: [[[[[1], [2], [3]]], [[[1]], [[-1]]]], (x, k) => ops.conv(x, k), [-1, -1]],
};
