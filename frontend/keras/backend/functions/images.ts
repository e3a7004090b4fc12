/** Convolutions, pooling, padding and resizing of `tf.keras.backend`, by general convolutions and windows of the graph. */
import { type Dim, isStatic, mulDim } from '../../../../ir/dim.js';
import { ShapeError, UnsupportedError } from '../../../../ir/errors.js';
import { samePadding } from '../../../../ir/math.js';
import type { ConvDims, Pair } from '../../../../ir/op-attrs.js';
import * as ops from '../../ops/index.js';
import { type Result, run, type S, type TensorLike } from '../../ops/lift.js';
import { integerList, oneOf } from '../../utils/options.js';
import { productsOfPlaces } from '../local.js';
import * as base from '../ops.js';
import { type Interpolation, interpolations, resize } from '../resize.js';

export type DataFormat = 'channels_last' | 'channels_first';
type Padding = 'valid' | 'same';
type Sizes = number | readonly number[];

interface Layout {
  readonly format: DataFormat;
  readonly rank: number;
  readonly spatial: readonly number[];
  readonly axes: ConvDims['input'];
}
function layoutOf(what: string, x: S, rank: number, dataFormat: DataFormat | null): Layout {
  const format = oneOf<DataFormat>(`backend.${what}`, 'dataFormat', dataFormat ?? 'channels_last', ['channels_last', 'channels_first']);
  if (x.rank !== rank + 2)
    throw new ShapeError(`backend.${what}: expected an input of rank ${rank + 2} (${format}), got shape [${x.shape.map(String).join(', ')}]`);
  const spatial = Array.from({ length: rank }, (_, i) => i + (format === 'channels_last' ? 1 : 2));
  return { format, rank, spatial, axes: { batch: 0, feature: format === 'channels_last' ? rank + 1 : 1, spatial } };
}
const ones = (rank: number): number[] => new Array<number>(rank).fill(1);

interface ConvForm {
  readonly strides: Sizes;
  readonly padding: string;
  readonly dataFormat: DataFormat | null;
  readonly dilationRate: Sizes;
  readonly groups?: number;
}
function pairs(what: string, x: S, at: Layout, window: readonly number[], strides: readonly number[], dilation: readonly number[], padding: string): Pair[] {
  if (padding === 'causal' && at.rank === 1) return [[(window[0]! - 1) * dilation[0]!, 0]];
  const same = oneOf<Padding>(`backend.${what}`, 'padding', padding as Padding, ['valid', 'same']) === 'same';
  return at.spatial.map((a, i) => (same ? samePadding(x.shape[a]!, window[i]!, strides[i]!, dilation[i]!) : [0, 0]));
}
function windowOf(what: string, k: S, rank: number): number[] {
  return k.shape.slice(0, rank).map((d) => {
    if (!isStatic(d)) throw new ShapeError(`backend.${what}: the sizes of the kernel must be known, got [${k.shape.map(String).join(', ')}]`);
    return d;
  });
}
/** A kernel (…window, in / groups, out). */
function convolve(what: string, x: S, k: S, rank: number, form: ConvForm): S {
  const at = layoutOf(what, x, rank, form.dataFormat);
  if (k.rank !== rank + 2) throw new ShapeError(`backend.${what}: expected a kernel of rank ${rank + 2}, got shape [${k.shape.map(String).join(', ')}]`);
  const strides = integerList(`backend.${what}`, 'strides', form.strides, rank);
  const kernelDilation = integerList(`backend.${what}`, 'dilationRate', form.dilationRate, rank);
  return base.conv(x, k, {
    strides,
    padding: pairs(what, x, at, windowOf(what, k, rank), strides, kernelDilation, form.padding),
    inputDilation: ones(rank),
    kernelDilation,
    groups: form.groups ?? 1,
    batchGroups: 1,
    dims: { input: at.axes, kernel: { input: rank, output: rank + 1, spatial: at.spatial.map((_, i) => i) }, output: at.axes },
  });
}
const conv =
  <P extends string>(what: string, rank: number) =>
  <X extends TensorLike, K extends TensorLike>(
    x: X,
    kernel: K,
    strides: Sizes = 1,
    padding: P | Padding = 'valid',
    dataFormat: DataFormat | null = null,
    dilationRate: Sizes = 1,
  ): Result<X | K> =>
    run(what, [x, kernel], ([s, k]) => convolve(what, s!, k!, rank, { strides, padding, dataFormat, dilationRate })) as Result<X | K>;

/** Convolution of (batch, steps, in) with a kernel (size, in, out). */
export const conv1d = conv<'causal'>('conv1d', 1);
/** Convolution of (batch, height, width, in) with a kernel (height, width, in, out). */
export const conv2d = conv<Padding>('conv2d', 2);
export const conv3d = conv<Padding>('conv3d', 3);

/** The transpose of a convolution, to a given shape of the output; kernel (height, width, out, in). The batch size in `outputShape` is not looked at. */
export const conv2dTranspose = <X extends TensorLike, K extends TensorLike>(
  x: X,
  kernel: K,
  outputShape: readonly (Dim | null)[],
  strides: Sizes = 1,
  padding: Padding = 'valid',
  dataFormat: DataFormat | null = null,
  dilationRate: Sizes = 1,
): Result<X | K> =>
  run('conv2dTranspose', [x, kernel], ([s, k]) => {
    const what = 'conv2dTranspose';
    const at = layoutOf(what, s!, 2, dataFormat);
    const window = windowOf(what, k!, 2);
    const steps = integerList(`backend.${what}`, 'strides', strides, 2);
    const dilation = integerList(`backend.${what}`, 'dilationRate', dilationRate, 2);
    const same = oneOf<Padding>(`backend.${what}`, 'padding', padding, ['valid', 'same']) === 'same';
    const sides = at.spatial.map((a, i): Pair => {
      const [size, out] = [s!.shape[a]!, outputShape[a]];
      if (!isStatic(size) || typeof out !== 'number') throw new ShapeError(`backend.${what}: the sizes of input and output must be known`);
      const extent = (window[i]! - 1) * dilation[i]! + 1;
      const fits = same ? Math.ceil(out / steps[i]!) : Math.floor((out - extent) / steps[i]!) + 1;
      if (fits !== size)
        throw new ShapeError(`backend.${what}: a convolution of an output of size ${out} (axis ${a}) gives ${fits} places, the input has ${size}`);
      const front = same ? Math.floor(Math.max((size - 1) * steps[i]! + extent - out, 0) / 2) : 0;
      const low = extent - 1 - front;
      return [low, out + extent - 1 - ((size - 1) * steps[i]! + 1) - low];
    });
    return base.conv(s!, base.reverse(k!, [0, 1]), {
      strides: ones(2),
      padding: sides,
      inputDilation: steps,
      kernelDilation: dilation,
      groups: 1,
      batchGroups: 1,
      dims: { input: at.axes, kernel: { input: 3, output: 2, spatial: [0, 1] }, output: at.axes },
    });
  }) as Result<X | K>;

function depthwise(what: string, x: S, k: S, rank: number, form: ConvForm): S {
  const [channels, multiplier] = [k.shape[rank], k.shape[rank + 1]];
  if (k.rank !== rank + 2 || !isStatic(channels!) || !isStatic(multiplier!))
    throw new ShapeError(`backend.${what}: expected a depthwise kernel (…window, in, multiplier), got shape [${k.shape.map(String).join(', ')}]`);
  return convolve(what, x, base.reshape(k, [...k.shape.slice(0, rank), 1, channels * multiplier]), rank, { ...form, groups: channels });
}
/** A convolution for each channel; kernel (height, width, in, multiplier). */
export const depthwiseConv2d = <X extends TensorLike, K extends TensorLike>(
  x: X,
  depthwiseKernel: K,
  strides: Sizes = 1,
  padding: Padding = 'valid',
  dataFormat: DataFormat | null = null,
  dilationRate: Sizes = 1,
): Result<X | K> =>
  run('depthwiseConv2d', [x, depthwiseKernel], ([s, k]) => depthwise('depthwiseConv2d', s!, k!, 2, { strides, padding, dataFormat, dilationRate })) as Result<
    X | K
  >;

/** Depthwise, then a convolution of size 1 over the channels; kernels (height, width, in, multiplier) and (1, 1, in · multiplier, out). */
export const separableConv2d = <X extends TensorLike, K extends TensorLike, P extends TensorLike>(
  x: X,
  depthwiseKernel: K,
  pointwiseKernel: P,
  strides: Sizes = 1,
  padding: Padding = 'valid',
  dataFormat: DataFormat | null = null,
  dilationRate: Sizes = 1,
): Result<X | K | P> =>
  run('separableConv2d', [x, depthwiseKernel, pointwiseKernel], ([s, k, p]) => {
    const each = depthwise('separableConv2d', s!, k!, 2, { strides, padding, dataFormat, dilationRate });
    return convolve('separableConv2d', each, p!, 2, { strides: 1, padding: 'valid', dataFormat, dilationRate: 1 });
  }) as Result<X | K | P>;

function pool(what: string, x: S, rank: number, poolSize: Sizes, strides: Sizes, padding: Padding, dataFormat: DataFormat | null, mode: string): S {
  const at = layoutOf(what, x, rank, dataFormat);
  const sizes = integerList(`backend.${what}`, 'poolSize', poolSize, rank);
  const steps = integerList(`backend.${what}`, 'strides', strides, rank);
  const average = oneOf<'max' | 'avg'>(`backend.${what}`, 'poolMode', mode as 'max' | 'avg', ['max', 'avg']) === 'avg';
  const around = pairs(what, x, at, sizes, steps, ones(rank), padding);
  const per = <T>(list: readonly T[], other: T) => x.shape.map((_, a) => list[at.spatial.indexOf(a)] ?? other);
  const window = {
    window: per(sizes, 1),
    strides: per(steps, 1),
    padding: per<Pair>(around, [0, 0]),
    baseDilation: ones(rank + 2),
    windowDilation: ones(rank + 2),
  };
  if (!average) return base.reduceWindow(x, { fn: 'max', ...window });
  const one = base.full(x, per(at.spatial.map((a) => x.shape[a]!) as Dim[], 1), 1);
  return base.divide(base.reduceWindow(x, { fn: 'sum', ...window }), base.reduceWindow(one, { fn: 'sum', ...window }));
}
/** The largest value (poolMode max) or the mean (avg; padding is not counted) of windows. Strides are 1 by default. */
export const pool2d = <X extends TensorLike>(
  x: X,
  poolSize: Sizes,
  strides: Sizes = 1,
  padding: Padding = 'valid',
  dataFormat: DataFormat | null = null,
  poolMode: 'max' | 'avg' = 'max',
): Result<X> => run('pool2d', [x], ([s]) => pool('pool2d', s!, 2, poolSize, strides, padding, dataFormat, poolMode)) as Result<X>;
export const pool3d = <X extends TensorLike>(
  x: X,
  poolSize: Sizes,
  strides: Sizes = 1,
  padding: Padding = 'valid',
  dataFormat: DataFormat | null = null,
  poolMode: 'max' | 'avg' = 'max',
): Result<X> => run('pool3d', [x], ([s]) => pool('pool3d', s!, 3, poolSize, strides, padding, dataFormat, poolMode)) as Result<X>;

function local(what: string, x: S, k: S, kernelSize: Sizes, strides: Sizes, outputShape: readonly number[], dataFormat: DataFormat | null): S {
  const rank = outputShape.length;
  const at = layoutOf(what, x, rank, dataFormat);
  return productsOfPlaces(x, k, {
    kernelSize: integerList(`backend.${what}`, 'kernelSize', kernelSize, rank),
    strides: integerList(`backend.${what}`, 'strides', strides, rank),
    out: outputShape,
    dataFormat: at.format,
  });
}
/** A kernel of its own for each place: (places, size · in, out). */
export const localConv1d = <X extends TensorLike, K extends TensorLike>(
  x: X,
  kernel: K,
  kernelSize: Sizes,
  strides: Sizes,
  dataFormat: DataFormat | null = null,
): Result<X | K> =>
  run('localConv1d', [x, kernel], ([s, k]) => local('localConv1d', s!, k!, kernelSize, strides, [k!.shape[0] as number], dataFormat)) as Result<X | K>;
/** The same for (places, height · width · in, out), whose places are rows and columns of the output. */
export const localConv2d = <X extends TensorLike, K extends TensorLike>(
  x: X,
  kernel: K,
  kernelSize: Sizes,
  strides: Sizes,
  outputShape: readonly [number, number],
  dataFormat: DataFormat | null = null,
): Result<X | K> => run('localConv2d', [x, kernel], ([s, k]) => local('localConv2d', s!, k!, kernelSize, strides, outputShape, dataFormat)) as Result<X | K>;

// ---- padding, bias, sizes

type Sides = readonly [number, number];
/** Zeros before and after the steps of (batch, steps, …). */
export const temporalPadding = <X extends TensorLike>(x: X, padding: Sides = [1, 1]) => ops.pad(x, [[0, 0], padding, [0, 0]]);
const spatialPadding = <X extends TensorLike>(x: X, padding: readonly Sides[], dataFormat: DataFormat | null) =>
  ops.pad(x, dataFormat === 'channels_first' ? [[0, 0], [0, 0], ...padding] : [[0, 0], ...padding, [0, 0]]);
const one: Sides = [1, 1];
/** Zeros around the spatial axes; default one on each side. */
export const spatial2dPadding = <X extends TensorLike>(x: X, padding: readonly [Sides, Sides] = [one, one], dataFormat: DataFormat | null = null) =>
  spatialPadding(x, padding, dataFormat);
export const spatial3dPadding = <X extends TensorLike>(x: X, padding: readonly [Sides, Sides, Sides] = [one, one, one], dataFormat: DataFormat | null = null) =>
  spatialPadding(x, padding, dataFormat);

/** Adds a bias (channels), or one for each place (…space, channels), also where x has its channels first. */
export const biasAdd = <X extends TensorLike, B extends TensorLike>(x: X, bias: B, dataFormat: DataFormat | null = null): Result<X | B> =>
  run('biasAdd', [x, bias], ([s, b]) => {
    if (b!.rank !== 1 && b!.rank !== s!.rank - 1)
      throw new ShapeError(`backend.biasAdd: a bias has 1 or ${s!.rank - 1} axes for an input of rank ${s!.rank}, got ${b!.rank}`);
    if (dataFormat !== 'channels_first') return base.add(s!, b!);
    const space = b!.rank === 1 ? s!.shape.slice(2).map(() => 1) : b!.shape.slice(0, -1);
    // as Keras does: the elements in their order, with the channels' size in front
    return base.add(s!, base.reshape(b!, [b!.shape.at(-1)!, ...space]));
  }) as Result<X | B>;

/** Images with their height and width times whole factors. */
export const resizeImages = <X extends TensorLike>(
  x: X,
  heightFactor: number,
  widthFactor: number,
  dataFormat: DataFormat,
  interpolation: Interpolation = 'nearest',
): Result<X> =>
  run('resizeImages', [x], ([s]) => {
    const at = layoutOf('resizeImages', s!, 2, dataFormat);
    oneOf<Interpolation>('backend.resizeImages', 'interpolation', interpolation, interpolations);
    const factors = [heightFactor, widthFactor];
    const sizes = at.spatial.map((a, i) => {
      const d = mulDim(s!.shape[a]!, factors[i]!);
      if (!isStatic(d)) throw new UnsupportedError('backend.resizeImages: the sizes of the images must be known');
      return d;
    });
    return resize(s!, at.spatial, sizes, interpolation);
  }) as Result<X>;
/** Each element of the three spatial axes so many times. */
export const resizeVolumes = <X extends TensorLike>(x: X, depthFactor: number, heightFactor: number, widthFactor: number, dataFormat: DataFormat): Result<X> =>
  run('resizeVolumes', [x], ([s]) => {
    const at = layoutOf('resizeVolumes', s!, 3, dataFormat);
    return at.spatial.reduce<S>((y, a, i) => ops.repeat(y, [depthFactor, heightFactor, widthFactor][i]!, a), s!);
  }) as Result<X>;
