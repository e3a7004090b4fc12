/** `ops` and `backend`: against plain numbers on arrays of the host, the same functions on WebAssembly within a model, and their gradients. */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { backend, Input, KerasTensor, Layer, layers, Model, ops, type SymbolicTensor, Tensor, tensor } from '../../frontend/keras/index.js';

type Operand = SymbolicTensor | Tensor;
type Op = (...xs: Operand[]) => Operand;
const flat = (x: unknown): number[] => (Array.isArray(x) ? x.flatMap(flat) : [Number(x)]);

const a = [0.5, -1.5, 2, 3];
const b = [2, -0.5, 2, -4];
const m = [
  [1, 2, 3],
  [4, -5, 6],
];
const n = [
  [1, -1],
  [0, 2],
  [3, 1],
];
const spd = [
  [0, 2, 1, 3],
  [5, 1, 4, 2],
  [3, 6, 2, 1],
  [9, 4, 7, 8],
];
const each = (f: (x: number) => number, xs: readonly number[] = a) => xs.map(f);
const pair = (f: (x: number, y: number) => number) => a.map((x, i) => f(x, b[i]!));
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

/** Name: arguments, the call, what it gives. */
const cases: Readonly<Record<string, readonly [inputs: readonly unknown[], op: Op, expected: unknown]>> = {
  abs: [[a], ops.abs, each(Math.abs)],
  negative: [[a], ops.negative, each((x) => -x)],
  sign: [[a], ops.sign, each(Math.sign)],
  floor: [[a], ops.floor, each(Math.floor)],
  ceil: [[a], ops.ceil, each(Math.ceil)],
  trunc: [[a], ops.trunc, each(Math.trunc)],
  round: [[[0.125, 1.5, 2.5]], (x) => ops.round(x, 2), [0.12, 1.5, 2.5]],
  reciprocal: [[a], ops.reciprocal, each((x) => 1 / x)],
  square: [[a], ops.square, each((x) => x * x)],
  sqrt: [[[4, 9]], ops.sqrt, [2, 3]],
  rsqrt: [[[4, 16]], ops.rsqrt, [0.5, 0.25]],
  exp: [[a], ops.exp, each(Math.exp)],
  exp2: [[a], ops.exp2, each((x) => 2 ** x)],
  expm1: [[a], ops.expm1, each(Math.expm1)],
  log: [[[1, 2, 5]], ops.log, [1, 2, 5].map(Math.log)],
  log1p: [[[1, 2, 5]], ops.log1p, [1, 2, 5].map(Math.log1p)],
  log2: [[[1, 2, 8]], ops.log2, [0, 1, 3]],
  log10: [[[1, 10, 1000]], ops.log10, [0, 1, 3]],
  sin: [[a], ops.sin, each(Math.sin)],
  cos: [[a], ops.cos, each(Math.cos)],
  tan: [[a], ops.tan, each(Math.tan)],
  arcsin: [[[0.5, -0.2]], ops.arcsin, [0.5, -0.2].map(Math.asin)],
  arccos: [[[0.5, -0.2]], ops.arccos, [0.5, -0.2].map(Math.acos)],
  arctan: [[a], ops.arctan, each(Math.atan)],
  sinh: [[a], ops.sinh, each(Math.sinh)],
  cosh: [[a], ops.cosh, each(Math.cosh)],
  tanh: [[a], ops.tanh, each(Math.tanh)],
  arcsinh: [[a], ops.arcsinh, each(Math.asinh)],
  arccosh: [[[1.5, 3]], ops.arccosh, [1.5, 3].map(Math.acosh)],
  arctanh: [[[0.5, -0.2]], ops.arctanh, [0.5, -0.2].map(Math.atanh)],
  erf: [[[0, 1]], ops.erf, [0, 0.8427007929]],
  clip: [[a], (x) => ops.clip(x, -1, 2), [0.5, -1, 2, 2]],
  add: [[a, b], ops.add, pair((x, y) => x + y)],
  subtract: [[a, b], ops.subtract, pair((x, y) => x - y)],
  multiply: [[a, b], ops.multiply, pair((x, y) => x * y)],
  divide: [[a, b], ops.divide, pair((x, y) => x / y)],
  divideNoNan: [
    [
      [1, 2],
      [0, 4],
    ],
    ops.divideNoNan,
    [0, 0.5],
  ],
  floorDivide: [[a, b], ops.floorDivide, pair((x, y) => Math.floor(x / y))],
  mod: [
    [
      [5, -5, 5, -5],
      [3, 3, -3, -3],
    ],
    ops.mod,
    [2, 1, -1, -2],
  ],
  power: [
    [
      [2, 3],
      [3, 2],
    ],
    ops.power,
    [8, 9],
  ],
  maximum: [[a, b], ops.maximum, pair(Math.max)],
  minimum: [[a, b], ops.minimum, pair(Math.min)],
  arctan2: [[a, b], ops.arctan2, pair(Math.atan2)],
  hypot: [[a, b], ops.hypot, pair(Math.hypot)],
  squaredDifference: [[a, b], ops.squaredDifference, pair((x, y) => (x - y) ** 2)],
  logaddexp: [[a, b], ops.logaddexp, pair((x, y) => Math.log(Math.exp(x) + Math.exp(y)))],
  equal: [[a, b], ops.equal, [0, 0, 1, 0]],
  notEqual: [[a, b], ops.notEqual, [1, 1, 0, 1]],
  less: [[a, b], ops.less, [1, 1, 0, 0]],
  lessEqual: [[a, b], ops.lessEqual, [1, 1, 1, 0]],
  greater: [[a, b], ops.greater, [0, 0, 0, 1]],
  greaterEqual: [[a, b], ops.greaterEqual, [0, 0, 1, 1]],
  logicalAnd: [
    [
      [1, 1, 0],
      [1, 0, 0],
    ],
    ops.logicalAnd,
    [1, 0, 0],
  ],
  logicalOr: [
    [
      [1, 1, 0],
      [1, 0, 0],
    ],
    ops.logicalOr,
    [1, 1, 0],
  ],
  logicalXor: [
    [
      [1, 1, 0],
      [1, 0, 0],
    ],
    ops.logicalXor,
    [0, 1, 0],
  ],
  logicalNot: [[[1, 0]], ops.logicalNot, [0, 1]],
  isclose: [
    [
      [1, 2],
      [1.000001, 2.1],
    ],
    (x, y) => ops.isclose(x, y),
    [1, 0],
  ],
  where: [[[1, 0, 0, 1], a, b], ops.where, [0.5, -0.5, 2, 3]],
  sum: [[m], (x) => ops.sum(x, 0), [5, -3, 9]],
  prod: [[m], (x) => ops.prod(x, -1), [6, -120]],
  max: [[m], (x) => ops.max(x, 1, true), [[3], [6]]],
  min: [[m], (x) => ops.min(x), -5],
  mean: [[m], (x) => ops.mean(x, 1), [2, 5 / 3]],
  any: [
    [
      [
        [0, 0],
        [0, 2],
      ],
    ],
    (x) => ops.any(x, 1),
    [0, 1],
  ],
  all: [
    [
      [
        [1, 0],
        [1, 2],
      ],
    ],
    (x) => ops.all(x, 1),
    [0, 1],
  ],
  variance: [[m], (x) => ops.variance(x, 1), [2 / 3, 77 / 3 - 25 / 9]],
  std: [[[1, 3]], (x) => ops.std(x), 1],
  logsumexp: [[m], (x) => ops.logsumexp(x, 0), [1 + Math.log1p(Math.exp(3)), 2 + Math.log1p(Math.exp(-7)), 3 + Math.log1p(Math.exp(3))]],
  countNonzero: [
    [
      [
        [0, 1],
        [2, 3],
      ],
    ],
    (x) => ops.countNonzero(x, 0),
    [1, 2],
  ],
  argmax: [[m], (x) => ops.argmax(x, 1), [2, 2]],
  argmin: [[m], (x) => ops.argmin(x), 4],
  average: [
    [
      [1, 2, 3],
      [3, 1, 0],
    ],
    (x, w) => ops.average(x, 0, w),
    1.25,
  ],
  cumsum: [[m], (x) => ops.cumsum(x, 1), [1, 3, 6, 4, -1, 5]],
  cumprod: [[[1, 2, 3]], (x) => ops.cumprod(x), [1, 2, 6]],
  diff: [[[1, 4, 9]], (x) => ops.diff(x), [3, 5]],
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
  matmul: [[m, n], ops.matmul, [10, 6, 22, -8]],
  dot: [[m, [1, 0, 1]], ops.dot, [4, 10]],
  inner: [[m, m], ops.inner, [14, 12, 12, 77]],
  outer: [
    [
      [1, 2],
      [3, 4],
    ],
    ops.outer,
    [3, 4, 6, 8],
  ],
  vdot: [
    [
      [1, 2],
      [3, 4],
    ],
    ops.vdot,
    11,
  ],
  tensordot: [[m, n], (x, y) => ops.tensordot(x, y, 1), [10, 6, 22, -8]],
  einsum: [[m, n], (x, y) => ops.einsum('ij,jk->ki', x, y), [10, 22, 6, -8]],
  'einsum of one': [[m], (x) => ops.einsum('ij->j', x), [5, -3, 9]],
  'einsum of three': [[m, n, [1, 2]], (x, y, z) => ops.einsum('ij,jk,k->i', x, y, z), [22, 6]],
  norm: [[m], (x) => ops.norm(x, null, 1), [Math.sqrt(14), Math.sqrt(77)]],
  'norm 1': [[m], (x) => ops.norm(x, 1, 1), [6, 15]],
  cross: [
    [
      [1, 0, 0],
      [0, 1, 0],
    ],
    ops.cross,
    [0, 0, 1],
  ],
  det: [
    [
      [
        [2, 1, 0],
        [1, 3, 1],
        [0, 1, 4],
      ],
    ],
    ops.det,
    18,
  ],
  'det of 4 rows': [[spd], ops.det, 142],
  cholesky: [
    [
      [
        [4, 2],
        [2, 5],
      ],
    ],
    ops.cholesky,
    [2, 0, 1, 2],
  ],
  inv: [
    [
      [
        [0, 2],
        [4, 6],
      ],
    ],
    ops.inv,
    [-0.75, 0.25, 0.5, 0],
  ],
  solve: [
    [
      [
        [0, 2],
        [4, 6],
      ],
      [2, 10],
    ],
    (x, y) => ops.solve(x, y),
    [1, 1],
  ],
  slogdet: [
    [
      [
        [0, 2],
        [4, 6],
      ],
    ],
    (x) => ops.stack(ops.slogdet(x) as unknown as Tensor[]),
    [-1, Math.log(8)],
  ],
  logdet: [
    [
      [
        [2, 0],
        [0, 3],
      ],
    ],
    ops.logdet,
    Math.log(6),
  ],
  quantile: [[[[3, 1, 2, 10]]], (x) => ops.quantile(x, 0.25, 1), [1.75]],
  median: [[m], (x) => ops.median(x), 2.5],
  searchsorted: [
    [
      [1, 3, 5],
      [
        [0, 3],
        [4, 9],
      ],
    ],
    (x, v) => ops.searchsorted(x, v),
    [0, 1, 2, 3],
  ],
  'searchsorted, right': [[[1, 3, 5], [3]], (x, v) => ops.searchsorted(x, v, 'right'), [2]],
  bincount: [[[1, 0, 1, 3]], (x) => ops.bincount(x, 4), [1, 2, 0, 1]],
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
  l2Normalize: [
    [
      [
        [3, 4],
        [0, 2],
      ],
    ],
    (x) => ops.l2Normalize(x, 1),
    [0.6, 0.8, 0, 1],
  ],
  biasAdd: [[m, [1, 2, 3]], (x, v) => ops.biasAdd(x, v), [2, 4, 6, 5, -3, 9]],
  vectorizedMap: [[m], (x) => ops.vectorizedMap((r) => ops.sum(r), x), [6, 5]],
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
  cond: [
    [[3], [1, 2]],
    (x, y) =>
      ops.cond(
        ops.greater(ops.sum(x), 2),
        () => ops.multiply(y, 10) as SymbolicTensor,
        () => ops.negative(y) as SymbolicTensor,
      ),
    [10, 20],
  ],
  whileLoop: [
    [[1]],
    (x) =>
      ops.whileLoop(
        (v) => ops.less(ops.sum(v), 100),
        (v) => [ops.multiply(v, 3)],
        [x],
      )[0]!,
    [243],
  ],
  'whileLoop, limited': [
    [[1]],
    (x) =>
      ops.whileLoop(
        () => ops.greater(ops.sum(x as SymbolicTensor), 0),
        (v) => [ops.add(v, 1)],
        [x],
        { maximumIterations: 4 },
      )[0]!,
    [5],
  ],
  scan: [[[0], [[1], [2], [3]]], (c, x) => ops.scan((s, v) => [ops.add(s, v), ops.multiply(s, 2)], c, x).ys, [0, 2, 6]],
  foriLoop: [[[1]], (x) => ops.foriLoop(1, 5, (i, v) => ops.multiply(v, ops.cast(i, 'float32')), x), [24]],
  map: [[m], (x) => ops.map((row) => ops.max(row), x), [3, 6]],
  switchCase: [
    [[1], [5]],
    (i, x) => ops.switchCase(ops.squeeze(ops.cast(i, 'int32')), [() => ops.add(x, 1), () => ops.add(x, 2), () => ops.add(x, 3)] as never),
    [7],
  ],
  'backend batchDot': [[[[1, 2]], [[3, 4]]], (x, y) => backend.batchDot(x, y), [11]],
  'backend relu': [[a], (x) => backend.relu(x, 0.1, 2, 0), [0.5, -0.15, 2, 2]],
  'backend batchFlatten': [[[m]], (x) => backend.batchFlatten(x), [1, 2, 3, 4, -5, 6]],
  'backend repeat': [[m], (x) => backend.repeat(x, 2), [1, 2, 3, 1, 2, 3, 4, -5, 6, 4, -5, 6]],
  'backend permuteDimensions': [[m], (x) => backend.permuteDimensions(x, [1, 0]), [1, 4, 2, -5, 3, 6]],
  'backend rnn': [[[[[1], [2], [3]]], [[0]]], (x, s) => backend.rnn((v, [h]) => [ops.add(v, h!), [ops.add(v, h!)]], x, [s]).outputs, [1, 3, 6]],
  'backend switch': [
    [[1], [2]],
    (x, y) =>
      backend.switch(
        ops.greater(ops.sum(x), 0),
        () => ops.multiply(y, 2) as SymbolicTensor,
        () => y as SymbolicTensor,
      ),
    [4],
  ],
};

const close = (found: ArrayLike<number>, expected: readonly number[], what: string, tolerance = 1e-5) => {
  assert.is(found.length, expected.length, `${what}: number of elements`);
  expected.forEach((e, i) => assert.ok(Math.abs(found[i]! - e) <= tolerance * Math.max(1, Math.abs(e)), `${what}: element ${i} is ${found[i]}, expected ${e}`));
};

test('each op on arrays of the host', () => {
  for (const [name, [inputs, op, expected]] of Object.entries(cases)) {
    const out = op(...inputs.map((x) => tensor(x as number[])));
    assert.instance(out, Tensor, name);
    close((out as Tensor).data, flat(expected), name);
  }
});

test('each op on WebAssembly, as the call of a model', async () => {
  const all = Object.entries(cases);
  const inputs = all.flatMap(([, [xs]]) => xs.map((x) => tensor(x as number[])));
  class Every extends Model {
    override call(xs: readonly SymbolicTensor[]): SymbolicTensor[] {
      let at = 0;
      return all.map(([, [given, op]]) => {
        const own = given.map((x) => {
          const { shape } = tensor(x as number[]);
          return ops.reshape(ops.slice(xs[at++]!, [0, ...shape.map(() => 0)], [1, ...shape]), shape);
        });
        return ops.cast(ops.reshape(op(...own) as SymbolicTensor, [1, -1]), 'float32');
      });
    }
  }
  const model = new Every();
  model.compile({ device: 'wasm' });
  const out = await model.predictAll(
    inputs.map((t) => t.reshape([1, ...t.shape])),
    { batchSize: 1 },
  );
  out.forEach((o, i) => close(o.data, flat(all[i]![1][2]), `${all[i]![0]} on WebAssembly`, 1e-4));
  model.dispose();
});

test('every function of ops has a case, or is tested below', () => {
  const elsewhere = [
    'absolute',
    'amax',
    'amin',
    'trueDivide',
    'var',
    'stopGradient',
    'isnan',
    'isinf',
    'isfinite',
    'nanToNum',
    'shape',
    'ndim',
    'size',
    'cast',
    'ravel',
    'expandDims',
    'squeeze',
    'broadcastTo',
    'gradients',
  ];
  const made = [
    'full',
    'zeros',
    'ones',
    'zerosLike',
    'onesLike',
    'fullLike',
    'eye',
    'identity',
    'arange',
    'linspace',
    'logspace',
    'convertToTensor',
    'convertToNumpy',
    'isTensor',
  ];
  const known = new Set([...Object.keys(cases), ...elsewhere, ...made, 'random']);
  assert.equal(
    Object.keys(ops).filter((n) => !known.has(n)),
    [],
  );
});

test('ops that look, make and mark', () => {
  const t = tensor([
    [1, Number.NaN],
    [Infinity, -Infinity],
  ]);
  close(ops.isnan(t).data, [0, 1, 0, 0], 'isnan');
  close(ops.isinf(t).data, [0, 0, 1, 1], 'isinf');
  close(ops.isfinite(t).data, [1, 0, 0, 0], 'isfinite');
  close(ops.nanToNum(t, 5, 6, 7).data, [1, 5, 6, 7], 'nanToNum');
  assert.equal(ops.shape(t), [2, 2]);
  assert.is(ops.ndim(t), 2);
  close(ops.size(t).data, [4], 'size');
  assert.equal(ops.cast(tensor([1.7]), 'int32').data, Int32Array.of(1));
  assert.equal(ops.expandDims(t, -1).shape, [2, 2, 1]);
  assert.equal(ops.squeeze(tensor([[1], [2]]), 1).shape, [2]);
  assert.equal(ops.broadcastTo(tensor([1, 2]), [3, 2]).shape, [3, 2]);
  assert.equal([...ops.arange(2, 8, 3).data], [2, 5]);
  assert.is(ops.arange(3).dtype, 'int32');
  close(ops.linspace(0, 1, 5).data, [0, 0.25, 0.5, 0.75, 1], 'linspace');
  close(ops.logspace(0, 2, 3).data, [1, 10, 100], 'logspace');
  close(ops.eye(2, 3, 1).data, [0, 1, 0, 0, 0, 1], 'eye');
  close(ops.identity(2).data, [1, 0, 0, 1], 'identity');
  close(ops.full([2], 3).data, [3, 3], 'full');
  close(
    [...ops.zeros([1]).data, ...ops.ones([1]).data, ...ops.zerosLike(t).data, ...ops.onesLike(tensor([5])).data, ...ops.fullLike(tensor([5]), 7).data],
    [0, 1, 0, 0, 0, 0, 1, 7],
    'likes',
  );
  assert.ok(ops.isTensor(t) && !ops.isTensor(3));
  assert.is(ops.convertToNumpy(ops.convertToTensor([1, 2])).length, 2);
  const k = ops.add(Input([3]), 1);
  assert.instance(k, KerasTensor);
  assert.equal(k.shape, [null, 3]);
});

test('ops against plain numbers for random arrays', () => {
  const numbers = fc.array(fc.integer({ min: -8, max: 8 }), { minLength: 1, maxLength: 9 });
  fc.assert(
    fc.property(numbers, (xs) => {
      const t = tensor(xs);
      close(
        ops.sort(t).data,
        [...xs].sort((x, y) => x - y),
        'sort',
      );
      const order = [...ops.argsort(t).data];
      assert.equal(
        order,
        xs.map((_, i) => i).sort((i, j) => xs[i]! - xs[j]! || i - j),
      );
      close(
        ops.cumsum(t).data,
        xs.map((_, i) => xs.slice(0, i + 1).reduce((p, q) => p + q, 0)),
        'cumsum',
      );
      close(ops.flip(ops.roll(t, 2)).data, [...xs.map((_, i) => xs[(((i - 2) % xs.length) + xs.length) % xs.length]!)].reverse(), 'roll');
      close(ops.take(t, tensor(Int32Array.of(0, -1))).data, [xs[0]!, xs.at(-1)!], 'take');
    }),
    { numRuns: 40, seed: 7 },
  );
});

test('gradients of a sample of ops against finite differences', () => {
  const point = [0.7, -1.2, 2.1, 0.4];
  const sample: Readonly<Record<string, (x: SymbolicTensor) => SymbolicTensor>> = {
    softmax: (x) => ops.softmax(x),
    sort: (x) => ops.sort(x),
    logsumexp: (x) => ops.logsumexp(x),
    takeAlongAxis: (x) => ops.takeAlongAxis(x, tensor(Int32Array.of(3, 0, 0, 1)), 0),
    scan: (x) => ops.scan((c, v) => [ops.multiply(c, ops.sin(v)), c], ops.sum(x), x).carry,
    cond: (x) =>
      ops.cond(
        ops.greater(ops.sum(x), 0),
        () => ops.square(x),
        () => x,
      ),
    foriLoop: (x) => ops.foriLoop(0, 3, (_, v) => ops.sin(v), x),
    norm: (x) => ops.norm(x),
    einsum: (x) => ops.einsum('i,j->ij', x, x),
  };
  for (const [name, f] of Object.entries(sample)) {
    const weighted = (x: SymbolicTensor) => {
      const y = ops.reshape(f(x), [-1]);
      return ops.sum(ops.multiply(y, ops.add(ops.cast(ops.cumsum(ops.onesLike(y)), 'float32'), 0.5)));
    };
    class Value extends Layer {
      override call(x: SymbolicTensor): SymbolicTensor {
        return weighted(x);
      }
    }
    class Gradient extends Layer {
      override call(x: SymbolicTensor): SymbolicTensor {
        return ops.gradients(weighted(x), [x])[0]!;
      }
    }
    const found = new Gradient()(tensor(point)).data;
    const value = new Value();
    const numeric = point.map((_, i) => {
      const at = (d: number) => value(tensor(point.map((p, j) => (j === i ? p + d : p)))).data[0]!;
      return (at(1e-2) - at(-1e-2)) / 2e-2;
    });
    close(found, numeric, `gradient of ${name}`, 5e-3);
  }
  assert.is(
    new (class extends Layer {
      override call(x: SymbolicTensor): SymbolicTensor {
        return ops.gradients(ops.sum(ops.stopGradient(ops.square(x))), [x])[0]!;
      }
    })()(tensor([3])).data[0],
    0,
  );
});

test('backend: settings, variables, uids', () => {
  assert.is(backend.epsilon(), 1e-7);
  backend.setEpsilon(1e-5);
  assert.is(backend.epsilon(), 1e-5);
  backend.setEpsilon(1e-7);
  assert.throws(() => backend.setFloatx('float64'), /setFloatx: computing in 'float64' is not supported/);
  assert.throws(() => backend.setImageDataFormat('channels_first'), /given to each layer as dataFormat/);
  backend.resetUids();
  assert.equal([backend.getUid('x'), backend.getUid('x'), backend.getUid('y')], [1, 2, 1]);
  const v = backend.variable([[1, 2]]);
  backend.updateAdd(v, 1);
  close(backend.getValue(v).data, [2, 3], 'variable');
  backend.batchSetValue([[v, [[5, 6]]]]);
  close(backend.batchGetValue([v])[0]!.data, [5, 6], 'batchSetValue');
  assert.equal(backend.intShape(Input([3])), [null, 3]);
  assert.is(backend.countParams(v), 2);
  close(backend.constant(2, 'float32', [2]).data, [2, 2], 'constant');
  assert.is(backend.inTrainPhase(1, 2, true), 1);
  assert.is(backend.inTestPhase(1, 2, true), 2);
});

test('ops refuse what they cannot do, with their name', () => {
  const t = tensor(m);
  const wrong: readonly [() => unknown, RegExp][] = [
    [() => ops.add(undefined as never, 1), /ops\.add: argument 0 must be a tensor, an array or a number, got undefined/],
    [() => ops.add('a' as never, 1), /ops\.add: argument 0 .* got 'a'/],
    [() => ops.squeeze(t, 0), /ops\.squeeze: axis 0 has size 2/],
    [() => ops.topK(t, 4), /ops\.topK: k must be a whole number from 1 to 3, got 4/],
    [() => ops.sum(t, 2), /axis 2 is out of range/],
    [() => ops.einsum('ij,jk', t, t), /ops\.einsum: the equation 'ij,jk' does not fit/],
    [
      () =>
        ops.cond(
          t,
          () => 1,
          () => 2,
        ),
      /ops\.cond: the condition must be a scalar, got shape \[2, 3\]/,
    ],
    [() => ops.pad(t, [[1, 1]]), /ops\.pad: expected a pair for each of 2 axes, got 1/],
    [() => ops.det(tensor([1, 2])), /ops\.det: expected square matrices/],
    [() => ops.random.normal([2]), /ops\.random\.normal: random tensors are made in a call/],
    [() => layers.Dense(3)('x' as never), /was called on 'x'/],
  ];
  for (const [run, pattern] of wrong) assert.throws(run, pattern);
});

test('random numbers: moments, bounds, seeds; within a repeated step they are refused', async () => {
  class Draw extends Model {
    override call(x: SymbolicTensor): SymbolicTensor[] {
      const shape = [20000];
      const r = ops.random;
      const one = (y: SymbolicTensor) => ops.add(ops.reshape(ops.cast(y, 'float32'), [1, -1]), ops.multiply(ops.sum(x), 0)) as SymbolicTensor;
      return [
        one(r.normal(shape, { mean: 2, stddev: 3 })),
        one(r.uniform(shape, { minval: -1, maxval: 3 })),
        one(r.randint(shape, 2, 6)),
        one(r.binomial(shape, 0.3)),
        one(r.categorical(ops.zeros([1, 1]), 8) as unknown as SymbolicTensor),
        one(r.dropout(ops.add(ops.zeros(shape), ops.sum(x)) as SymbolicTensor, 0.25)),
        one(r.normal([4], { seed: 7 })),
        one(r.normal([4], { seed: 7 })),
      ];
    }
  }
  const model = new Draw();
  model.compile({ device: 'wasm' });
  const out = await model.predictAll(tensor([[1]]), { batchSize: 1 });
  const mean = (d: ArrayLike<number>) => Array.from(d).reduce((p, q) => p + q, 0) / d.length;
  const deviation = (d: ArrayLike<number>) => {
    const middle = mean(d);
    return Math.sqrt(mean(Array.from(d, (v) => (v - middle) ** 2)));
  };
  const [normal, uniform, whole, coin, , dropped, first, second] = out.map((t) => t.data);
  close([mean(normal!), deviation(normal!)], [2, 3], 'normal', 0.05);
  close([mean(uniform!), deviation(uniform!)], [1, 4 / Math.sqrt(12)], 'uniform', 0.05);
  assert.ok(Math.min(...uniform!) >= -1 && Math.max(...uniform!) < 3);
  assert.equal([...new Set(whole!)].sort(), [2, 3, 4, 5]);
  close([mean(coin!)], [0.3], 'binomial', 0.02);
  close([mean(dropped!)], [1], 'dropout keeps the mean', 0.05);
  assert.equal([...new Set(dropped!)].length, 2);
  assert.is.not([...first!].join(), [...second!].join(), 'two draws of one seed in a call differ by their place');
  model.dispose();
  class Inside extends Layer {
    override call(x: SymbolicTensor): SymbolicTensor {
      return ops.scan((c, v) => [ops.add(c, ops.random.normal([])), v], ops.sum(x), x).carry;
    }
  }
  assert.throws(() => new Inside()(tensor([1, 2])), /random numbers cannot be drawn within a repeated step or a branch: draw them before it/);
  class Assigns extends Layer {
    count = this.addWeight({ name: 'count', trainable: false, initializer: 'zeros' });
    override call(x: SymbolicTensor): SymbolicTensor {
      return ops.cond(
        ops.greater(ops.sum(x), 0),
        () => {
          this.count.assign(1);
          return x;
        },
        () => x,
      );
    }
  }
  assert.throws(() => new Assigns()(tensor([1, 2])), /count' cannot be assigned within a repeated step or a branch/);
});

test.run();
