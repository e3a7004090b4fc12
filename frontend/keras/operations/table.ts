/**
 * What operations of files compute, by the names of `keras.ops` in snake_case. TensorFlow's functions of other names and other defaults come here through names.ts. Sources: the documentation
 * of tf.* (2.16) and keras.ops (3).
 */
import { type Dim, isStatic, mulDim } from '../../../ir/dim.js';
import { type DType, isFloat } from '../../../ir/dtype.js';
import { ShapeError, UnsupportedError, ValueError } from '../../../ir/errors.js';
import * as activations from '../activations.js';
import * as images from '../backend/functions/images.js';
import * as base from '../backend/ops.js';
import { type Interpolation, interpolations, resize } from '../backend/resize.js';
import type { SymbolicTensor } from '../backend/trace.js';
import * as ops from '../ops/index.js';
import { oneOf } from '../utils/options.js';
import { type Arguments, dtypeNamed, type Result, Sizes, same } from './arguments.js';
import { getItem } from './slicing.js';

type S = SymbolicTensor;
export type Run = (a: Arguments) => Result;

const one =
  (f: (x: S) => S): Run =>
  (a) =>
    f(a.first);
const two =
  (f: (x: S, y: S) => S): Run =>
  (a) =>
    f(...a.pair());
const each = (f: (g: (x: S) => S) => Run, table: Readonly<Record<string, (x: S) => S>>): Record<string, Run> =>
  Object.fromEntries(Object.entries(table).map(([name, g]) => [name, f(g)]));
const axisNames = ['axis', 'dim', 'dims', 'reduction_indices'] as const;
const keepNames = ['keepdims', 'keep_dims'] as const;
const reduced =
  (f: (x: S, axis: number | readonly number[] | null, keep: boolean) => S): Run =>
  (a) =>
    f(a.first, a.axes(...axisNames), a.flag(false, ...keepNames));
/** One axis, with the default of the function. */
const axisOf = (a: Arguments, fallback: number): number => a.integer(fallback, ...axisNames);
/** One axis; null where all elements count. */
const axisOrNull = (a: Arguments): number | null => {
  const axis = a.axes(...axisNames);
  if (Array.isArray(axis)) throw new UnsupportedError(`axis must be one axis, got [${axis.join(', ')}]`);
  return axis as number | null;
};
const format = (a: Arguments): images.DataFormat => {
  const given = a.text('channels_last', 'data_format');
  return /^(channels_first|NC[DHW]+)$/.test(given) ? 'channels_first' : 'channels_last';
};
const padding = (a: Arguments): 'valid' | 'same' => {
  const given = a.get(-1, 'padding') ?? 'valid';
  if (typeof given !== 'string') throw new UnsupportedError('padding given as a list of sizes is not supported');
  return oneOf<'valid' | 'same'>('the operation', 'padding', given.toLowerCase() as 'valid' | 'same', ['valid', 'same']);
};
/** Sizes of the spatial axes: a number, one for each, or one for each axis of the tensor. */
const spatial = (a: Arguments, x: S, fallback: number | readonly number[], ...names: readonly string[]): number | readonly number[] => {
  const given = a.sizes(-1, ...names);
  if (given === null) return fallback;
  const list = a.integers(-1, ...names);
  if (list.length === x.rank) return format(a) === 'channels_first' ? list.slice(2) : list.slice(1, -1);
  return list.length === 1 ? list[0]! : list;
};
const pooled =
  (mode: 'max' | 'avg'): Run =>
  (a) => {
    const x = a.first;
    const size = spatial(a, x, 2, 'pool_size', 'ksize');
    const strides = spatial(a, x, size, 'strides');
    if (x.rank === 5) return images.pool3d(x, size, strides, padding(a), format(a), mode);
    if (x.rank === 4) return images.pool2d(x, size, strides, padding(a), format(a), mode);
    // one spatial axis: as images of height 1
    if (x.rank !== 3) throw new ShapeError(`pooling takes tensors of rank 3 to 5, got ${x.rank}`);
    const at = format(a) === 'channels_first' ? 2 : 1;
    const wide = (n: number | readonly number[]): readonly number[] => [1, typeof n === 'number' ? n : n[0]!];
    return base.squeeze(images.pool2d(base.expandDims(x, at), wide(size), wide(strides), padding(a), format(a), mode), at);
  };
const convolved =
  (f: (x: S, k: S, strides: number | readonly number[], dilation: number | readonly number[], a: Arguments) => S): Run =>
  (a) => {
    const [x, k] = same(a.first, a.tensor(1, 'kernel', 'filters', 'filter'));
    return f(x, k, spatial(a, x, 1, 'strides', 'stride'), spatial(a, x, 1, 'dilation_rate', 'dilations'), a);
  };
const known = (d: Dim, what: string): number => {
  if (!isStatic(d)) throw new UnsupportedError(`${what}: the size ${String(d)} must be known when the model is compiled`);
  return d;
};
/** A shape with at most one -1, which the sizes that are left make up. */
const reshaped: Run = (a) => {
  const x = a.first;
  const to = a.sizes(1, 'shape', 'newshape', 'new_shape', 'target_shape');
  if (to === null) throw new ValueError('the argument shape is missing');
  return ops.reshape(x, to.list);
};
const blocks =
  (deeper: boolean): Run =>
  (a) => {
    const x = a.first;
    if (format(a) === 'channels_first') throw new UnsupportedError('channels first are not supported');
    const n = a.integer(2, 'block_size');
    const [batch, h, w, c] = x.shape as readonly [Dim, Dim, Dim, Dim];
    const [rows, columns, depth] = [known(h, 'height'), known(w, 'width'), known(c, 'depth')];
    if (deeper) {
      const parts = base.reshape(x, [batch, rows / n, n, columns / n, n, depth]);
      return base.reshape(base.transpose(parts, [0, 1, 3, 2, 4, 5]), [batch, rows / n, columns / n, depth * n * n]);
    }
    const parts = base.reshape(x, [batch, rows, columns, n, n, depth / (n * n)]);
    return base.reshape(base.transpose(parts, [0, 1, 3, 2, 4, 5]), [batch, rows * n, columns * n, depth / (n * n)]);
  };
const squeezed: Run = (a) => {
  const x = a.first;
  const axes = a.axes('axis', 'squeeze_dims');
  if (axes === null) return ops.squeeze(x);
  const list = (typeof axes === 'number' ? [axes] : axes).map((i) => base.axisOf(x, i)).sort((p, q) => q - p);
  return list.reduce<S>((y, i) => ops.squeeze(y, i), x);
};
type PadMode = 'constant' | 'reflect' | 'symmetric';
const padded: Run = (a) => {
  const x = a.first;
  const given = a.get(1, 'pad_width', 'paddings');
  const widths = (Array.isArray(given) ? given : []).map((p: unknown): readonly [number, number] =>
    Array.isArray(p) ? [Number(p[0]), Number(p[1])] : [Number.NaN, Number.NaN],
  );
  if (widths.length !== x.rank || widths.some((w) => !w.every(Number.isInteger)))
    throw new ValueError(`paddings must be a pair of whole numbers for each of ${x.rank} axes`);
  const value = a.get(2, 'constant_values') ?? 0;
  if (typeof value !== 'number') throw new UnsupportedError('constant_values must be a number');
  return ops.pad(
    x,
    widths,
    oneOf<PadMode>('the operation', 'mode', a.text('constant', 'mode').toLowerCase() as PadMode, ['constant', 'reflect', 'symmetric']),
    value,
  );
};
const resized: Run = (a) => {
  const x = a.first;
  const [rows, columns] = a.integers(1, 'size');
  for (const name of ['crop_to_aspect_ratio', 'pad_to_aspect_ratio', 'preserve_aspect_ratio']) a.refuse(name, false);
  const method = oneOf<Interpolation>('the operation', 'method', a.text('bilinear', 'interpolation', 'method') as Interpolation, interpolations);
  const at = format(a) === 'channels_first' ? x.rank - 2 : x.rank - 3;
  return resize(base.cast(x, 'float32'), [at, at + 1], [rows!, columns!], method, a.flag(false, 'antialias'));
};
const running =
  (f: typeof ops.cumsum): Run =>
  (a) => {
    a.refuse('exclusive', false);
    a.refuse('reverse', false);
    return f(a.first, axisOrNull(a));
  };
/** How many parts, or where they are split. */
const split: Run = (a) => {
  const at = a.sizes(1, 'indices_or_sections');
  if (at === null) throw new ValueError('the argument indices_or_sections is missing');
  const list = a.integers(1, 'indices_or_sections');
  return ops.split(a.first, Array.isArray(at.value) ? list : list[0]!, axisOf(a, 0));
};
const where: Run = (a) => {
  const [x, y] = [a.get(1, 'x', 'x1'), a.get(2, 'y', 'x2')];
  if (x === undefined || y === undefined) throw new UnsupportedError('where with a condition alone gives as many places as there are, which no plan knows');
  const lifted = [a.lift(x, 'float32'), a.lift(y, 'float32')] as const;
  // numbers take the dtype of the tensor beside them
  const like = typeof x === 'object' && !Array.isArray(x) ? lifted[0].dtype : typeof y === 'object' && !Array.isArray(y) ? lifted[1].dtype : 'float32';
  return ops.where(a.tensor(0, 'condition'), ...same(a.lift(x, like), a.lift(y, like)));
};
const multiplied: Run = (a) => {
  const [x, y] = a.pair();
  for (const name of ['a_is_sparse', 'b_is_sparse', 'adjoint_a', 'adjoint_b']) a.refuse(name, false);
  const turned = (t: S, yes: boolean): S => (yes ? ops.swapaxes(t, -1, -2) : t);
  return ops.matmul(turned(x, a.flag(false, 'transpose_a')), turned(y, a.flag(false, 'transpose_b')));
};
const taken: Run = (a) => {
  a.refuse('batch_dims', 0);
  const indices = a.lift(a.get(1, 'indices'), 'int32');
  return ops.take(a.first, base.cast(indices, 'int32'), axisOrNull(a));
};
const normalized: Run = (a) => {
  const axes = a.axes(...axisNames);
  return base.l2Normalize(a.first, axes === null ? undefined : typeof axes === 'number' ? [axes] : axes, a.number(1e-12, 'epsilon'));
};
const typed = (a: Arguments, fallback: DType, at = 1): DType => {
  const given = a.get(at, 'dtype', 'output_type', 'out_type');
  return given === undefined ? fallback : dtypeNamed(given);
};
const crossentropy =
  (f: typeof ops.categoricalCrossentropy): Run =>
  (a) =>
    f(a.tensor(0, 'target'), a.tensor(1, 'output'), { fromLogits: a.flag(false, 'from_logits') });
const rounded = (x: S): S => (isFloat(x.dtype) ? ops.round(x) : x);
const identity = (x: S): S => base.reshape(x, x.shape);

export const operations: Readonly<Record<string, Run>> = {
  ...each(one, {
    abs: ops.abs,
    absolute: ops.abs,
    arccos: ops.arccos,
    arccosh: ops.arccosh,
    arcsin: ops.arcsin,
    arcsinh: ops.arcsinh,
    arctan: ops.arctan,
    arctanh: ops.arctanh,
    cbrt: ops.cbrt,
    ceil: ops.ceil,
    conj: identity,
    cos: ops.cos,
    cosh: ops.cosh,
    deg2rad: ops.deg2rad,
    diagonal: ops.diagonal,
    erf: ops.erf,
    erfc: ops.erfc,
    exp: ops.exp,
    exp2: ops.exp2,
    exponential: ops.exp,
    expm1: ops.expm1,
    floor: ops.floor,
    hard_sigmoid: ops.hardSigmoid,
    hard_silu: ops.hardSilu,
    hard_tanh: ops.hardTanh,
    identity,
    isfinite: ops.isfinite,
    isinf: ops.isinf,
    isnan: ops.isnan,
    linear: identity,
    log: ops.log,
    log10: ops.log10,
    log1p: ops.log1p,
    log2: ops.log2,
    log_sigmoid: ops.logSigmoid,
    logical_not: ops.logicalNot,
    mish: ops.mish,
    negative: ops.negative,
    rad2deg: ops.rad2deg,
    ravel: ops.ravel,
    reciprocal: ops.reciprocal,
    relu6: ops.relu6,
    rint: rounded,
    rsqrt: ops.rsqrt,
    selu: ops.selu,
    sigmoid: ops.sigmoid,
    sign: ops.sign,
    silu: ops.silu,
    sin: ops.sin,
    sinc: ops.sinc,
    sinh: ops.sinh,
    softplus: ops.softplus,
    softsign: ops.softsign,
    sparse_plus: activations.sparsePlus,
    sqrt: ops.sqrt,
    square: ops.square,
    stop_gradient: ops.stopGradient,
    tan: ops.tan,
    tanh: ops.tanh,
    tanh_shrink: ops.tanhShrink,
    trace: ops.trace,
    trunc: ops.trunc,
  }),
  ...Object.fromEntries(
    Object.entries({
      add: ops.add,
      arctan2: ops.arctan2,
      cross: ops.cross,
      divide: ops.divide,
      divide_no_nan: ops.divideNoNan,
      dot: ops.dot,
      equal: ops.equal,
      floor_divide: ops.floorDivide,
      greater: ops.greater,
      greater_equal: ops.greaterEqual,
      hypot: ops.hypot,
      inner: ops.inner,
      less: ops.less,
      less_equal: ops.lessEqual,
      logaddexp: ops.logaddexp,
      logical_and: ops.logicalAnd,
      logical_or: ops.logicalOr,
      logical_xor: ops.logicalXor,
      maximum: ops.maximum,
      minimum: ops.minimum,
      mod: ops.mod,
      multiply: ops.multiply,
      not_equal: ops.notEqual,
      outer: ops.outer,
      power: ops.power,
      squared_difference: ops.squaredDifference,
      subtract: ops.subtract,
      true_divide: ops.divide,
      vdot: ops.vdot,
    } as Readonly<Record<string, (x: S, y: S) => S>>).map(([name, f]) => [name, two(f)]),
  ),
  ...Object.fromEntries(
    Object.entries({
      all: ops.all,
      amax: ops.max,
      amin: ops.min,
      any: ops.any,
      logsumexp: ops.logsumexp,
      max: ops.max,
      mean: ops.mean,
      min: ops.min,
      prod: ops.prod,
      std: ops.std,
      sum: ops.sum,
      var: ops.variance,
    } as Readonly<Record<string, (x: S, axis: number | readonly number[] | null, keep: boolean) => S>>).map(([name, f]) => [name, reduced(f)]),
  ),
  argmax: (a) => ops.argmax(a.first, axisOrNull(a), a.flag(false, 'keepdims')),
  argmin: (a) => ops.argmin(a.first, axisOrNull(a), a.flag(false, 'keepdims')),
  argsort: (a) => ops.argsort(a.first, axisOf(a, -1)),
  average_pool: pooled('avg'),
  bias_add: (a) => images.biasAdd(a.first, a.tensor(1, 'bias'), format(a)),
  binary_crossentropy: crossentropy(ops.binaryCrossentropy),
  bitwise_and: two(ops.bitwiseAnd),
  bitwise_or: two(ops.bitwiseOr),
  bitwise_xor: two(ops.bitwiseXor),
  broadcast_to: (a) => ops.broadcastTo(a.first, a.sizes(1, 'shape')?.list ?? []),
  cast: (a) => ops.cast(a.first, typed(a, 'float32')),
  categorical_crossentropy: crossentropy(ops.categoricalCrossentropy),
  celu: (a) => ops.celu(a.first, a.number(1, 'alpha')),
  clip: (a) => {
    const x = a.first;
    const [low, high] = [a.get(1, 'x_min', 'clip_value_min', 'min_value'), a.get(2, 'x_max', 'clip_value_max', 'max_value')];
    const bound = (y: S, limit: unknown, f: typeof ops.maximum): S => (limit === undefined ? y : (f(...same(y, a.lift(limit, y.dtype))) as S));
    return bound(bound(x, low, ops.maximum), high, ops.minimum);
  },
  concatenate: (a) => ops.concatenate(a.tensors(0, 'xs', 'values', 'arrays', 'tensors'), axisOf(a, 0)) as S,
  conv: convolved((x, k, strides, dilation, a) =>
    x.rank === 3
      ? images.conv1d(x, k, strides, padding(a), format(a), dilation)
      : x.rank === 5
        ? images.conv3d(x, k, strides, padding(a), format(a), dilation)
        : images.conv2d(x, k, strides, padding(a), format(a), dilation),
  ),
  cumprod: running(ops.cumprod),
  cumsum: running(ops.cumsum),
  depth_to_space: blocks(false),
  depthwise_conv: convolved((x, k, strides, dilation, a) => images.depthwiseConv2d(x, k, strides, padding(a), format(a), dilation)),
  diff: (a) => ops.diff(a.first, a.integer(1, 'n'), axisOf(a, -1)),
  einsum: (a) => {
    const [equation, from] = typeof a.positional[0] === 'string' ? [a.positional[0], 1] : [a.text('', 'subscripts', 'equation'), 0];
    const operands = a.positional.slice(from).flatMap((x) => (Array.isArray(x) ? x : [x]));
    if (operands.length === 0)
      throw new UnsupportedError(
        'the file names no operands: Keras does not write those of tf.einsum. Write it as tf.matmul, or use layers.EinsumDense or layers.Dot',
      );
    return ops.einsum(equation, ...operands.map((x) => a.lift(x))) as S;
  },
  elu: (a) => ops.elu(a.first, a.number(1, 'alpha')),
  expand_dims: (a) => {
    const axes = a.axes('axis', 'dim') ?? a.integers(1, 'axis');
    return (typeof axes === 'number' ? [axes] : axes).reduce<S>((x, i) => ops.expandDims(x, i), a.first);
  },
  flatten: (a) => base.reshape(a.first, [a.first.shape[0]!, a.first.shape.slice(1).reduce<Dim>((n, d) => mulDim(n, d), 1)]),
  flip: (a) => ops.flip(a.first, a.axes('axis')),
  full_like: (a) => ops.fullLike(a.first, Number(a.get(1, 'fill_value')), typed(a, a.first.dtype, 2)),
  gelu: (a) => ops.gelu(a.first, a.flag(true, 'approximate')),
  get_item: (a) => getItem(a),
  glu: (a) => ops.glu(a.first, axisOf(a, -1)),
  l2_normalize: normalized,
  leaky_relu: (a) => ops.leakyRelu(a.first, a.number(0.2, 'negative_slope', 'alpha')),
  log_softmax: (a) => ops.logSoftmax(a.first, axisOf(a, -1)),
  matmul: multiplied,
  max_pool: pooled('max'),
  moments: (a) => {
    const { mean, variance } = ops.moments(a.first, a.axes('axes') ?? null, a.flag(false, ...keepNames));
    return [mean, variance];
  },
  moveaxis: (a) => {
    const [from, to] = [a.integers(1, 'source'), a.integers(2, 'destination')];
    if (from.length !== 1 || to.length !== 1) throw new UnsupportedError('moveaxis of several axes is not supported: use transpose');
    return ops.moveaxis(a.first, from[0]!, to[0]!);
  },
  nan_to_num: (a) => ops.nanToNum(a.first, a.number(0, 'nan')),
  norm: (a) => {
    const order = a.get(1, 'ord');
    const axis = a.axes(...axisNames);
    if (
      (order !== undefined && typeof order !== 'number' && order !== 'euclidean' && order !== 'fro') ||
      (Array.isArray(axis) && axis.length > 1 && order !== undefined && order !== 'fro' && order !== 'euclidean')
    )
      throw new UnsupportedError(`the norm ${JSON.stringify(order)} is not supported`);
    return ops.norm(a.first, order === 'euclidean' ? 2 : (order as number | 'fro' | undefined), axis, a.flag(false, ...keepNames));
  },
  normalize: (a) => ops.normalize(a.first, axisOf(a, -1), a.number(2, 'order')),
  one_hot: (a) => {
    for (const [name, value] of [
      ['on_value', 1],
      ['off_value', 0],
    ] as const)
      a.refuse(name, value);
    a.refuse('sparse', false);
    return ops.oneHot(a.first, a.integers(1, 'num_classes', 'depth')[0]!, axisOf(a, -1), typed(a, 'float32', -1));
  },
  ones_like: (a) => ops.onesLike(a.first, typed(a, a.first.dtype)),
  pad: padded,
  relu: (a) =>
    activations.relu(a.first, {
      negativeSlope: a.number(0, 'negative_slope', 'alpha'),
      maxValue: a.get(-1, 'max_value') as number | undefined,
      threshold: a.number(0, 'threshold'),
    }),
  repeat: (a) => ops.repeat(a.first, a.integers(1, 'repeats')[0]!, axisOrNull(a)),
  reshape: reshaped,
  resize: resized,
  roll: (a) => ops.roll(a.first, a.integers(1, 'shift')[0]!, axisOrNull(a)),
  round: (a) => (isFloat(a.first.dtype) ? ops.round(a.first, a.integer(0, 'decimals')) : a.first),
  shape: (a) => new Sizes(a.first.shape),
  size: (a) => ops.size(a.first),
  slice: (a) => ops.slice(a.first, a.sizes(1, 'begin', 'start_indices')?.list ?? [], a.sizes(2, 'size', 'shape')?.list ?? []),
  softmax: (a) => {
    const axis = a.axes(...axisNames) ?? -1;
    return ops.softmax(a.first, axis);
  },
  sort: (a) => {
    const sorted = ops.sort(a.first, axisOf(a, -1));
    return a.text('ASCENDING', 'direction').toUpperCase() === 'DESCENDING' ? ops.flip(sorted, axisOf(a, -1)) : sorted;
  },
  space_to_depth: blocks(true),
  sparse_categorical_crossentropy: (a) =>
    ops.sparseCategoricalCrossentropy(a.tensor(0, 'target'), a.tensor(1, 'output'), { fromLogits: a.flag(false, 'from_logits') }),
  split,
  squeeze: squeezed,
  stack: (a) => ops.stack(a.tensors(0, 'xs', 'values', 'arrays', 'x'), axisOf(a, 0)) as S,
  swapaxes: (a) => ops.swapaxes(a.first, a.integers(1, 'axis1')[0]!, a.integers(2, 'axis2')[0]!),
  take: taken,
  take_along_axis: (a) => ops.takeAlongAxis(a.first, a.lift(a.get(1, 'indices'), 'int32'), axisOrNull(a) ?? -1),
  tensordot: (a) => {
    const axes = a.get(2, 'axes') ?? 2;
    const lists = Array.isArray(axes) ? axes.map((x: unknown) => (Array.isArray(x) ? x.map(Number) : [Number(x)])) : null;
    return ops.tensordot(...a.pair(), lists ? [lists[0]!, lists[1]!] : Number(axes));
  },
  tile: (a) => ops.tile(a.first, a.integers(1, 'repeats', 'multiples')),
  top_k: (a) => {
    const { values, indices } = ops.topK(a.first, a.integers(1, 'k')[0]!);
    return [values, indices];
  },
  transpose: (a) => {
    a.refuse('conjugate', false);
    const axes = a.sizes(1, 'axes', 'perm', 'pattern');
    return ops.transpose(a.first, axes === null ? null : a.integers(1, 'axes', 'perm', 'pattern'));
  },
  tril: (a) => ops.tril(a.first, a.integer(0, 'k')),
  triu: (a) => ops.triu(a.first, a.integer(0, 'k')),
  unstack: (a) => ops.unstack(a.first, axisOf(a, 0)),
  where,
  zeros_like: (a) => ops.zerosLike(a.first, typed(a, a.first.dtype)),
};
