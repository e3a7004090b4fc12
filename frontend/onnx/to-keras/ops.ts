/** Which layers the ops of ONNX are. Ops that are not here are no layers. */
import { between, celu, clip, elu, gelu, hardSigmoid, leakyRelu, named, prelu, selu, shrink, softmax, swish, thresholdedRelu } from './activations.js';
import type { LayerMaker } from './context.js';
import { batchNormalization, groupNormalization, layerNormalization, lpNormalization, rmsNormalization } from './normalizations.js';
import { arithmetic, einsum, gather, gemm, matMul, negative, power } from './products.js';
import { recurrent } from './recurrent.js';
import { cast, concat, depthToSpace, expand, pad, pick, reduction, reshape, slice, spaceToDepth, split, transpose } from './shapes.js';
import { averagePooling, convolution, globalAverage, globalMax, maxPooling, resize, transposedConvolution } from './windows.js';

/** A lookup in a known table is an Embedding, one known entry of an axis is cut out. */
const lookup: LayerMaker = (c, call, bias) => (c.isKnown(call.inputs[0]) ? gather(c, call, bias) : pick(c, call, bias));

/** Max and Min with a number are activations. */
const bound =
  (op: 'Max' | 'Min'): LayerMaker =>
  (c, call, bias) => {
    const known = call.inputs.findIndex((v) => c.isKnown(v));
    if (known < 0 || call.inputs.length !== 2) return arithmetic(c, call, bias);
    const number = c.graph.number(call.inputs[known]!) ?? c.refuse('a constant beside computed tensors');
    return between(c, call, c.in(call, 1 - known), op === 'Max' ? number : null, op === 'Max' ? null : number);
  };

export const layerMakers: Readonly<Record<string, LayerMaker>> = {
  Conv: convolution,
  ConvTranspose: transposedConvolution,
  MaxPool: maxPooling,
  AveragePool: averagePooling,
  GlobalAveragePool: globalAverage,
  GlobalMaxPool: globalMax,
  Resize: resize,
  Upsample: resize,
  MatMul: matMul,
  Gemm: gemm,
  Einsum: einsum,
  Gather: lookup,
  Add: arithmetic,
  Sum: arithmetic,
  Sub: arithmetic,
  Mul: arithmetic,
  Div: arithmetic,
  Mean: arithmetic,
  Max: bound('Max'),
  Min: bound('Min'),
  Neg: negative,
  Pow: power,
  BatchNormalization: batchNormalization,
  InstanceNormalization: groupNormalization,
  GroupNormalization: groupNormalization,
  LayerNormalization: layerNormalization,
  'com.microsoft.LayerNormalization': layerNormalization,
  RMSNormalization: rmsNormalization,
  SimplifiedLayerNormalization: rmsNormalization,
  LpNormalization: lpNormalization,
  RNN: recurrent,
  GRU: recurrent,
  LSTM: recurrent,
  Transpose: transpose,
  Reshape: reshape,
  Flatten: reshape,
  Squeeze: reshape,
  Unsqueeze: reshape,
  Cast: cast,
  CastLike: cast,
  Concat: concat,
  Split: split,
  Slice: slice,
  Pad: pad,
  Expand: expand,
  Tile: expand,
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
  ReduceMean: reduction('mean'),
  ReduceMax: reduction('max'),
  ReduceSum: reduction('sum'),
  Relu: named('relu'),
  Sigmoid: named('sigmoid'),
  Tanh: named('tanh'),
  Exp: named('exponential'),
  Softplus: named('softplus'),
  Softsign: named('softsign'),
  HardSwish: named('hard_silu'),
  Mish: named('mish'),
  Softmax: softmax,
  LogSoftmax: softmax,
  LeakyRelu: leakyRelu,
  Elu: elu,
  Selu: selu,
  Celu: celu,
  Gelu: gelu,
  'com.microsoft.Gelu': gelu,
  Swish: swish,
  Shrink: shrink,
  ThresholdedRelu: thresholdedRelu,
  HardSigmoid: hardSigmoid,
  Clip: clip,
  PRelu: prelu,
};
