/** Convolutions, pooling and resizing as layers with the channels last. */
import { isStatic } from '../../../ir/dim.js';
import type { Value } from '../../../ir/graph.js';
import type { Pair } from '../../../ir/op-attrs.js';
import { Conv1D, Conv2D, Conv3D } from '../../keras/layers/convolutional.js';
import { DepthwiseConv1D, DepthwiseConv2D } from '../../keras/layers/depthwise-convolution.js';
import type { Layer } from '../../keras/layers/layer.js';
import type { KerasTensor } from '../../keras/layers/node.js';
import {
  AveragePooling1D,
  AveragePooling2D,
  AveragePooling3D,
  GlobalAveragePooling1D,
  GlobalAveragePooling2D,
  GlobalAveragePooling3D,
  GlobalMaxPooling1D,
  GlobalMaxPooling2D,
  GlobalMaxPooling3D,
  MaxPooling1D,
  MaxPooling2D,
  MaxPooling3D,
} from '../../keras/layers/pooling.js';
import { Rescaling, Resizing } from '../../keras/layers/preprocessing/image.js';
import { Cropping1D, Cropping2D, Cropping3D, ZeroPadding1D, ZeroPadding2D, ZeroPadding3D } from '../../keras/layers/reshaping.js';
import { Conv1DTranspose, Conv2DTranspose, Conv3DTranspose } from '../../keras/layers/transposed-convolution.js';
import { UpSampling1D, UpSampling2D, UpSampling3D } from '../../keras/layers/up-sampling.js';
import type { Call } from '../import.js';
import { type ConversionContext, channelsLast, int, ints, type LayerMaker, permuted } from './context.js';
import type { Held } from './tensors.js';

type Make = (options: never) => Layer;
const byRank = (...list: readonly unknown[]): readonly Make[] => list as readonly Make[];
const convs = byRank(Conv1D, Conv2D, Conv3D);
const transposedConvs = byRank(Conv1DTranspose, Conv2DTranspose, Conv3DTranspose);
const depthwise = byRank(DepthwiseConv1D, DepthwiseConv2D);
const maxPools = byRank(MaxPooling1D, MaxPooling2D, MaxPooling3D);
const averagePools = byRank(AveragePooling1D, AveragePooling2D, AveragePooling3D);
const globalAverages = byRank(GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalAveragePooling3D);
const globalMaxima = byRank(GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D);
const paddings = byRank(ZeroPadding1D, ZeroPadding2D, ZeroPadding3D);
const croppings = byRank(Cropping1D, Cropping2D, Cropping3D);
const upSamplings = byRank(UpSampling1D, UpSampling2D, UpSampling3D);
/** The layer of a family for a number of spatial axes. */
const make = (family: readonly Make[], rank: number, options: object): Layer => (family[rank - 1] as unknown as (o: object) => Layer)(options);

const amounts = (pairs: readonly Pair[]): Pair | readonly Pair[] => (pairs.length === 1 ? pairs[0]! : pairs);
export const paddingLayer = (pairs: readonly Pair[], name: string): Layer => make(paddings, pairs.length, { padding: amounts(pairs), name });
const zeroPadded = (c: ConversionContext, x: KerasTensor, pairs: readonly Pair[], name: string): KerasTensor =>
  pairs.every(([a, b]) => a === 0 && b === 0) ? x : c.apply(paddingLayer(pairs, c.unique(`${name}_pad`)), x);
export const cropped = (c: ConversionContext, x: KerasTensor, pairs: readonly Pair[], name: string): KerasTensor =>
  pairs.every(([a, b]) => a === 0 && b === 0) ? x : c.apply(make(croppings, pairs.length, { cropping: amounts(pairs), name }), x);

interface Window {
  readonly rank: number;
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** 'same' and 'valid' are what Keras calls so; 'explicit': these numbers. */
  readonly padding: 'same' | 'valid' | 'explicit';
  readonly pads: readonly Pair[];
}

/** The window of a node over x (batch, channels, space…); `y` is its result. */
function windowOf(c: ConversionContext, call: Call, x: Value, y: Value, kernel: readonly number[]): Window {
  const rank = x.shape.length - 2;
  if (rank < 1 || rank > 3) c.refuse(`${rank} spatial axes; layers have 1 to 3`);
  const list = (name: string): readonly number[] => ints(call, name) ?? kernel.map(() => 1);
  const [strides, dilations] = [list('strides'), list('dilations')];
  const auto = String(call.attributes.auto_pad ?? 'NOTSET');
  if (auto === 'VALID') return { rank, kernel, strides, dilations, padding: 'valid', pads: kernel.map(() => [0, 0] as const) };
  const given = ints(call, 'pads') ?? new Array<number>(2 * rank).fill(0);
  const open = x.shape.slice(2).some((d) => !isStatic(d));
  const same = kernel.map((k, i): Pair | null => {
    const size = x.shape[i + 2]!;
    const span = (k - 1) * dilations[i]! + 1;
    if (!isStatic(size)) return strides[i] === 1 ? [Math.floor((span - 1) / 2), Math.ceil((span - 1) / 2)] : null;
    const total = Math.max((Math.ceil(size / strides[i]!) - 1) * strides[i]! + span - size, 0);
    return [Math.floor(total / 2), Math.ceil(total / 2)];
  });
  if (auto === 'SAME_UPPER') return { rank, kernel, strides, dilations, padding: 'same', pads: same.map((p) => p ?? [0, 0]) };
  const pads = kernel.map((k, i): Pair => {
    if (auto === 'SAME_LOWER') {
      const s = same[i] ?? c.refuse('SAME_LOWER of an open size');
      return [s[1], s[0]];
    }
    const [low, high] = [given[i]!, given[i + rank]!];
    const [size, out] = [x.shape[i + 2]!, y.shape[i + 2]!];
    // ceil_mode reads behind the end
    const more = isStatic(size) && isStatic(out) ? (out - 1) * strides[i]! + (k - 1) * dilations[i]! + 1 - size - low : 0;
    if (int(call, 'ceil_mode') && open) c.refuse('ceil_mode of an open size');
    return [low, Math.max(high, more)];
  });
  const none = pads.every(([a, b]) => a === 0 && b === 0);
  const isSame = pads.every((p, i) => same[i] !== null && p[0] === same[i]![0] && p[1] === same[i]![1]);
  return { rank, kernel, strides, dilations, padding: none ? 'valid' : isSame ? 'same' : 'explicit', pads };
}

export const convolution: LayerMaker = (c, call, added) => {
  const x = c.in(call, 0);
  const w = c.known(call, 1);
  const own = c.knownOrNull(call, 2);
  const [filters, perGroup, ...kernel] = w.shape as [number, number, ...number[]];
  const groups = int(call, 'group');
  const win = windowOf(c, call, x, call.outputs[0]!, kernel);
  const order = channelsLast(x.shape.length);
  const name = c.layerName(call, 1);
  const bias = own ? Float32Array.from(own.values) : added;
  const causal =
    win.rank === 1 && win.strides[0] === 1 && win.padding === 'explicit' && win.pads[0]![1] === 0 && win.pads[0]![0] === (kernel[0]! - 1) * win.dilations[0]!;
  let input = c.tensors.get(x, order);
  if (win.padding === 'explicit' && !causal) input = zeroPadded(c, input, win.pads, name);
  const options = {
    kernelSize: kernel,
    strides: win.strides,
    dilationRate: win.dilations,
    padding: causal ? 'causal' : win.padding === 'explicit' ? 'valid' : win.padding,
    useBias: bias !== null,
    name,
  };
  const space = kernel.map((_, i) => i + 2);
  const isDepthwise = groups > 1 && perGroup === 1 && groups === x.shape[1] && win.rank <= 2 && win.strides.every((s) => s === win.strides[0]);
  const weights = bias ? [bias] : [];
  // (groups · m, 1, space…) as (space…, groups, m), or (filters, in, space…) as (space…, in, filters)
  const layer = isDepthwise
    ? make(depthwise, win.rank, { ...options, depthMultiplier: filters / groups })
    : make(convs, win.rank, { ...options, filters, groups });
  const arranged = isDepthwise ? permuted({ shape: [groups, filters / groups, ...kernel], values: w.values }, [...space, 0, 1]) : permuted(w, [...space, 1, 0]);
  return { tensor: c.apply(layer, input, [arranged.values, ...weights]), axes: order };
};

/** Without explicit output paddings: the result of `valid`, cut by the pads. */
export const transposedConvolution: LayerMaker = (c, call, added) => {
  const x = c.in(call, 0);
  const w = c.known(call, 1);
  const own = c.knownOrNull(call, 2);
  if (int(call, 'group') !== 1) c.refuse('a transposed convolution with groups');
  const [, filters, ...kernel] = w.shape as [number, number, ...number[]];
  const rank = kernel.length;
  const y = call.outputs[0]!;
  const strides = ints(call, 'strides') ?? kernel.map(() => 1);
  const dilations = ints(call, 'dilations') ?? kernel.map(() => 1);
  const order = channelsLast(x.shape.length);
  const name = c.layerName(call, 1);
  const bias = own ? Float32Array.from(own.values) : added;
  // how much of the full result is cut on either side
  const p = findConv(y);
  if (!p) return c.refuse('its paddings are not known');
  const span = kernel.map((k, i) => (k - 1) * dilations[i]! + 1);
  const cut = p.padding.map(([low, high], i): Pair => [span[i]! - 1 - low, span[i]! - 1 - high]);
  const space = kernel.map((_, i) => i + 2);
  const weights = [permuted(w, [...space, 1, 0]).values, ...(bias ? [bias] : [])];
  // 'same' is x · stride long: cut in all is span - stride, the smaller half first
  const same = cut.every(([low, high], i) => {
    const total = Math.max(span[i]! - strides[i]!, 0);
    return span[i]! >= strides[i]! && low === Math.floor(total / 2) && high === total - low;
  });
  const options = { filters, kernelSize: kernel, strides, dilationRate: dilations, useBias: bias !== null };
  if (same) return { tensor: c.apply(make(transposedConvs, rank, { ...options, padding: 'same', name }), c.tensors.get(x, order), weights), axes: order };
  // Keras' 'valid' is at least as long as the stride for every element
  const beyond = span.map((s, i) => Math.max(strides[i]! - s, 0));
  const pairs = cut.map(([low, high], i): Pair => [low, high + beyond[i]!]);
  if (pairs.every(([a, b]) => a === 0 && b === 0))
    return { tensor: c.apply(make(transposedConvs, rank, { ...options, padding: 'valid', name }), c.tensors.get(x, order), weights), axes: order };
  if (pairs.some(([a, b]) => a < 0 || b < 0)) c.refuse('its output is longer than that of a layer');
  const inner = c.unique(`${name}_valid`);
  const full = c.apply(make(transposedConvs, rank, { ...options, padding: 'valid', name: inner }), c.tensors.get(x, order), weights);
  return { tensor: cropped(c, full, pairs, name), axes: order };
};

/** The convolution that a transposed one was imported as. */
function findConv(y: Value): { readonly padding: readonly Pair[] } | null {
  const p = y.producer;
  if (p?.op === 'conv') return p.attrs;
  if (p?.op === 'binary') return findConv(p.inputs[0]!);
  return null;
}

/** Whether no element can be below 0. */
function nonNegative(c: ConversionContext, v: Value): boolean {
  const call = c.graph.producerOf(v);
  if (!call) return false;
  if (['Relu', 'Sigmoid', 'Softmax', 'HardSigmoid', 'Softplus', 'Exp'].includes(call.op)) return true;
  if (call.op === 'Clip') {
    const least = call.version < 11 ? (call.attributes.min as number | null) : call.inputs[1] ? c.graph.number(call.inputs[1]) : null;
    return least !== null && least >= 0;
  }
  if (['MaxPool', 'AveragePool', 'Transpose', 'Reshape', 'Concat', 'LRN', 'Dropout', 'Identity', 'GlobalAveragePool', 'GlobalMaxPool'].includes(call.op))
    return call.inputs.every((i, k) => i === null || (k > 0 && call.op !== 'Concat') || nonNegative(c, i));
  return false;
}

export const maxPooling: LayerMaker = (c, call) => {
  if (c.graph.isUsed(call.outputs[1])) c.refuse('the indices of the maxima are used');
  const x = c.in(call, 0);
  const win = windowOf(c, call, x, call.outputs[0]!, ints(call, 'kernel_shape') ?? []);
  if (win.dilations.some((d) => d !== 1)) c.refuse('pooling with dilations');
  if (win.padding === 'explicit' && !nonNegative(c, x))
    c.refuse(`pads [${win.pads.join('; ')}] that are not those of 'same', around values that may be negative`);
  return pooled(c, call, x, win, maxPools);
};

export const averagePooling: LayerMaker = (c, call) => {
  const x = c.in(call, 0);
  const win = windowOf(c, call, x, call.outputs[0]!, ints(call, 'kernel_shape') ?? []);
  if (win.dilations.some((d) => d !== 1)) c.refuse('pooling with dilations');
  const counts = int(call, 'count_include_pad') !== 0;
  if (win.padding === 'explicit' && (!counts || int(call, 'ceil_mode')))
    c.refuse(`pads [${win.pads.join('; ')}] that are not counted and are not those of 'same'`);
  // the padding of 'same' does not count in Keras
  return pooled(c, call, x, counts && win.padding === 'same' ? { ...win, padding: 'explicit' } : win, averagePools);
};

function pooled(c: ConversionContext, call: Call, x: Value, win: Window, family: readonly Make[]): Held {
  const order = channelsLast(x.shape.length);
  const name = c.layerName(call);
  let input = c.tensors.get(x, order);
  if (win.padding === 'explicit') input = zeroPadded(c, input, win.pads, name);
  const padding = win.padding === 'same' ? 'same' : 'valid';
  return { tensor: c.apply(make(family, win.rank, { poolSize: win.kernel, strides: win.strides, padding, name }), input), axes: order };
}

/** The mean or maximum over some axes. `sum`: of the mean, times how many there are. */
export function reduced(c: ConversionContext, call: Call, axes: readonly number[], keep: boolean, fn: 'mean' | 'max' | 'sum'): Held {
  const x = c.in(call, 0);
  const batch = c.tensors.batchAxis(x);
  if (axes.includes(batch)) c.refuse('a reduction over the batch');
  const rest = x.shape.map((_, i) => i).filter((i) => i !== batch && !axes.includes(i));
  const long = axes.filter((a) => x.shape[a] !== 1);
  const name = c.layerName(call);
  // where each axis of x is in y
  const at = (i: number): number => (keep ? i : i - axes.filter((a) => a < i).length);
  const many = rest.filter((i) => x.shape[i] !== 1);
  const family = fn === 'max' ? globalMaxima : globalAverages;
  let tensor: KerasTensor;
  let own: number[];
  const last = fn === 'sum' ? c.unique(`${name}_mean`) : name;
  if (many.length <= 1 && long.length >= 1 && long.length <= 3) {
    own = [batch, ...many];
    tensor = c.tensors.get(x, [batch, ...long, ...(many.length === 1 ? many : [-1])]);
    tensor = c.apply(make(family, long.length, { name: last }), tensor);
  } else {
    own = [batch, ...rest];
    const sizes = (list: readonly number[]): number => list.reduce((n, a) => n * c.size(x, a), 1);
    tensor = c.tensors.reshape(c.tensors.get(x, [batch, ...axes, ...rest]), [sizes(axes), sizes(rest)]);
    tensor = c.apply(make(family, 1, { name: rest.length > 1 && fn !== 'sum' ? c.unique(`${name}_flat`) : last }), tensor);
    if (rest.length !== 1)
      tensor = c.tensors.reshape(
        tensor,
        rest.map((i) => x.shape[i]!),
        fn === 'sum' ? undefined : name,
      );
  }
  if (fn === 'sum') tensor = c.apply(Rescaling({ scale: axes.reduce((n, a) => n * c.size(x, a), 1), name }), tensor);
  const mapped = own.map(at);
  // a mean over everything has one column that y lacks
  return { tensor, axes: tensor.shape.length > mapped.length ? [...mapped, -1] : mapped };
}

const spatial = (v: Value): number[] => v.shape.flatMap((_, i) => (i < 2 ? [] : [i]));
export const globalAverage: LayerMaker = (c, call) => reduced(c, call, spatial(c.in(call, 0)), true, 'mean');
export const globalMax: LayerMaker = (c, call) => reduced(c, call, spatial(c.in(call, 0)), true, 'max');

export const resize: LayerMaker = (c, call) => {
  const x = c.in(call, 0);
  const y = call.outputs[0]!;
  const a = call.attributes;
  const rank = x.shape.length - 2;
  if (rank < 1 || rank > 3 || y.shape[0] !== x.shape[0] || y.shape[1] !== x.shape[1]) c.refuse('axes beside the spatial ones change');
  const mode = String(a.mode).replace('bilinear', 'linear');
  const simple = call.op === 'Upsample' || call.version < 11;
  const positions = simple ? 'asymmetric' : String(a.coordinate_transformation_mode);
  const rounding = simple ? 'floor' : String(a.nearest_mode);
  const before = x.shape.slice(2).map((_, i) => c.size(x, i + 2));
  const after = y.shape.slice(2).map((_, i) => c.size(y, i + 2));
  const factors = after.map((n, i) => n / before[i]!);
  const whole = factors.every(Number.isInteger);
  const order = channelsLast(x.shape.length);
  const name = c.layerName(call);
  const t = c.tensors.get(x, order);
  if (int(call, 'antialias')) c.refuse('antialias');
  const half = positions === 'half_pixel' || (positions === 'pytorch_half_pixel' && after.every((n) => n > 1));
  if (mode === 'nearest') {
    // with whole factors every centre lies in the element that is repeated
    if (whole && (half ? rounding.startsWith('round') : positions === 'asymmetric' && rounding === 'floor'))
      return { tensor: c.apply(make(upSamplings, rank, { size: rank === 1 ? factors[0] : factors, name }), t), axes: order };
    if (rank === 2 && half && rounding === 'round_prefer_ceil')
      return { tensor: c.apply(Resizing(after[0]!, after[1]!, { interpolation: 'nearest', name }), t), axes: order };
    return c.refuse(`nearest neighbours at ${positions} positions, rounded by ${rounding}`);
  }
  if (rank !== 2 || !half) c.refuse(`mode '${mode}' at ${positions} positions over ${rank} axes`);
  const kept =
    mode === 'linear'
      ? 'bilinear'
      : Number(a.cubic_coeff_a) === -0.5 && int(call, 'exclude_outside') === 1
        ? 'bicubic'
        : c.refuse(`mode '${mode}' with these coefficients`);
  const layer = whole ? UpSampling2D({ size: factors, interpolation: kept, name }) : Resizing(after[0]!, after[1]!, { interpolation: kept, name });
  return { tensor: c.apply(layer, t), axes: order };
};
