/** Ops that move elements, as layers: transpositions and reshapes where a layer needs them, cropping, padding, joining. */
import { equalDim, isStatic } from '../../../ir/dim.js';
import type { Value } from '../../../ir/graph.js';
import type { Pair } from '../../../ir/op-attrs.js';
import { Concatenate } from '../../keras/layers/merging.js';
import { Permute, RepeatVector } from '../../keras/layers/reshaping.js';
import type { Call } from '../import.js';
import { axisOf, type ConversionContext, channelsLast, int, ints, type LayerMaker } from './context.js';
import type { Held } from './tensors.js';
import { cropped, paddingLayer, reduced } from './windows.js';

export const transpose: LayerMaker = (c, call) => {
  const x = c.in(call, 0);
  c.tensors.transpose(x, call.outputs[0]!, ints(call, 'perm') ?? x.shape.map((_, i) => x.shape.length - 1 - i));
  return null;
};

export const reshape: LayerMaker = (c, call) => {
  c.tensors.reshaped(c.in(call, 0), call.outputs[0]!);
  return null;
};

/** The same values: float types and integers are not told apart. */
export const cast: LayerMaker = (c, call) => {
  const [x, y] = [c.in(call, 0), call.outputs[0]!];
  const kind = (v: Value): string => (v.dtype.startsWith('float') ? 'float' : v.dtype === 'bool' ? 'bool' : 'int');
  if (kind(x) !== kind(y)) c.refuse(`a conversion from ${x.dtype} to ${y.dtype}`);
  return c.tensors.first(x);
};

export const concat: LayerMaker = (c, call) => {
  const y = call.outputs[0]!;
  const xs = call.inputs.map((_, i) => c.in(call, i));
  if (xs.some((x) => c.isKnown(x))) c.refuse('a constant is joined to computed tensors');
  const axis = axisOf((call.attributes.axis as number | null) ?? 1, y.shape.length);
  const axes = c.tensors.order(xs[0]!).filter((a, i) => i === 0 || a === axis || y.shape[a] !== 1);
  const at = axes.indexOf(axis);
  if (at === 0) c.refuse('batches are joined');
  const layer = Concatenate({ axis: at === axes.length - 1 ? -1 : at, name: c.layerName(call) });
  return {
    tensor: c.apply(
      layer,
      xs.map((x) => c.tensors.get(x, axes)),
    ),
    axes,
  };
};

/** Elements added (positive) or cut on both sides of the axes of x, by one Cropping or ZeroPadding layer over at most three axes at once. */
function edges(c: ConversionContext, x: Value, y: Value, changes: ReadonlyMap<number, Pair>, name: string): Held {
  const axes = [...changes.keys()].sort((a, b) => a - b);
  const batch = c.tensors.batchAxis(x);
  if (changes.has(batch)) c.refuse('the batch is cut or padded');
  const pads = [...changes.values()].some(([a, b]) => a > 0 || b > 0);
  const cuts = [...changes.values()].some(([a, b]) => a < 0 || b < 0);
  if (pads && cuts) c.refuse('one tensor is padded and cut at once');
  const apply = (t: Held['tensor'], pairs: readonly Pair[], own: string): Held['tensor'] =>
    pads
      ? c.apply(paddingLayer(pairs, own), t)
      : cropped(
          c,
          t,
          pairs.map(([a, b]): Pair => [-a, -b]),
          own,
        );
  const rest = x.shape.map((_, i) => i).filter((i) => i !== batch && !axes.includes(i));
  const long = rest.filter((i) => x.shape[i] !== 1);
  if (axes.length <= 3 && long.length <= 1) {
    const order = [batch, ...axes, ...(long.length === 1 ? long : [-1])];
    const tensor = apply(
      c.tensors.get(x, order),
      axes.map((a) => changes.get(a)!),
      name,
    );
    return { tensor, axes: order };
  }
  // all axes of an image or a volume
  const full = c.tensors.order(x);
  const space = full.slice(1, -1);
  if (space.length <= 3 && axes.every((a) => space.includes(a))) {
    const tensor = apply(
      c.tensors.get(x, full),
      space.map((a) => changes.get(a) ?? [0, 0]),
      name,
    );
    return { tensor, axes: full };
  }
  if (axes.length !== 1) c.refuse(`the axes ${axes.join(', ')} of a tensor of rank ${x.shape.length} are cut or padded`);
  const [axis] = axes as [number];
  const others = c.tensors.order(x, axis).slice(1, -1);
  const order = [batch, axis, ...others];
  const size = others.reduce((n, a) => n * c.size(x, a), 1);
  const flat = apply(c.tensors.reshape(c.tensors.get(x, order), [x.shape[axis]!, size]), [changes.get(axis)!], c.unique(`${name}_flat`));
  return {
    tensor: c.tensors.reshape(
      flat,
      order.slice(1).map((a) => y.shape[a]!),
      name,
    ),
    axes: order,
  };
}

/** The part of x that a slice of step 1 takes. */
export function sliced(c: ConversionContext, x: Value, y: Value, name: string): void {
  const p = y.producer;
  if (p?.op === 'reverse' && p.inputs[0] === x && p.attrs.axes.length === 1) {
    const back = c.tensors.reversedOf(x);
    if (!back || back.axis !== p.attrs.axes[0]) c.refuse('a sequence is reversed');
    else c.tensors.define(y, back.held.tensor, back.held.axes);
    return;
  }
  if (p?.op !== 'slice' || p.inputs[0] !== x || p.attrs.stride.some((s) => s !== 1)) {
    c.refuse('elements are taken with a step, or in another order');
    return;
  }
  const changes = new Map<number, Pair>();
  x.shape.forEach((d, a) => {
    const [from, to] = [p.attrs.start[a]!, p.attrs.limit[a]!];
    if (from === 0 && equalDim(to, d)) return;
    if (!isStatic(from) || !isStatic(to) || !isStatic(d)) c.refuse(`axis ${a} of open size is cut`);
    changes.set(a, [-(from as number), -((d as number) - (to as number))]);
  });
  const h = changes.size === 0 ? c.tensors.first(x) : edges(c, x, y, changes, name);
  c.tensors.define(y, h.tensor, h.axes);
}

export const slice: LayerMaker = (c, call) => {
  sliced(c, c.in(call, 0), call.outputs[0]!, c.layerName(call));
  return null;
};

export const split: LayerMaker = (c, call) => {
  const x = c.in(call, 0);
  call.outputs.forEach((y, i) => {
    if (y && c.graph.isUsed(y) && !c.tensors.has(y)) sliced(c, x, y, c.unique(call.outputNames[i] ?? call.op));
  });
  return null;
};

/** One entry of an axis: `x[:, -1]` of an exporter. */
export const pick: LayerMaker = (c, call) => {
  const [x, y] = [c.in(call, 0), call.outputs[0]!];
  const axis = axisOf(int(call, 'axis'), x.shape.length);
  const ids = c.known(call, 1);
  if (ids.values.length !== 1) c.refuse(`${ids.values.length} entries of an axis are taken`);
  const n = c.size(x, axis);
  const at = axisOf(ids.values[0]!, n);
  const name = c.layerName(call);
  const kept = ids.shape.length;
  const h = edges(c, x, { ...y, shape: x.shape.map((d, a) => (a === axis ? 1 : d)) } as Value, new Map([[axis, [-at, -(n - 1 - at)]]]), name);
  c.tensors.define(
    y,
    h.tensor,
    h.axes.map((a) => (a === axis ? (kept === 1 ? axis : -1) : a > axis ? a - 1 + kept : a)),
  );
  return null;
};

export const pad: LayerMaker = (c, call) => {
  const [x, y] = [c.in(call, 0), call.outputs[0]!];
  if (String(call.attributes.mode) !== 'constant') c.refuse(`mode '${String(call.attributes.mode)}'`);
  const value = call.version < 11 ? ((call.attributes.value as number | null) ?? 0) : call.inputs[2] ? c.graph.number(call.inputs[2]) : 0;
  if (value !== 0) c.refuse(`it pads with ${value ?? 'a computed value'}; layers pad with 0`);
  const rank = x.shape.length;
  const pads = call.version < 11 ? (ints(call, 'pads') ?? ints(call, 'paddings') ?? []) : c.numbers(call, 1);
  const axes = call.inputs[3] ? c.numbers(call, 3).map((a) => axisOf(a, rank)) : x.shape.map((_, i) => i);
  const changes = new Map(axes.flatMap((a, i) => (pads[i] || pads[i + axes.length] ? [[a, [pads[i]!, pads[i + axes.length]!] as Pair] as const] : [])));
  return changes.size === 0 ? c.tensors.first(x) : edges(c, x, y, changes, c.layerName(call));
};

/** One axis of size 1 repeated. */
export const expand: LayerMaker = (c, call) => {
  const [x, y] = [c.in(call, 0), call.outputs[0]!];
  const shift = y.shape.length - x.shape.length;
  const grown = y.shape.flatMap((d, i) => (i < shift || !equalDim(x.shape[i - shift]!, d) ? (d === 1 ? [] : [i]) : []));
  if (grown.length === 0) {
    c.tensors.reshaped(x, y);
    return null;
  }
  const batch = c.tensors.batchAxis(x) + shift;
  if (grown.length > 1 || (grown[0]! >= shift && x.shape[grown[0]! - shift] !== 1) || grown[0] === batch) c.refuse('more than one axis is repeated');
  const [axis] = grown as [number];
  const rest = y.shape.map((_, i) => i).filter((i) => i !== axis && i !== batch && y.shape[i] !== 1);
  const name = c.layerName(call);
  const row = c.tensors.get(x, [batch - shift, ...(rest.length > 0 ? rest.map((i) => i - shift) : [-1])]);
  const flat = rest.length > 1 ? c.tensors.reshape(row, [rest.reduce((n, i) => n * c.size(y, i), 1)]) : row;
  const repeated = c.apply(RepeatVector(c.size(y, axis), { name: rest.length > 1 ? c.unique(`${name}_flat`) : name }), flat);
  const axes = [batch, axis, ...rest];
  if (rest.length <= 1) return { tensor: repeated, axes: rest.length === 1 ? axes : [...axes, -1] };
  return {
    tensor: c.tensors.reshape(
      repeated,
      axes.slice(1).map((a) => y.shape[a]!),
      name,
    ),
    axes,
  };
};

/** Blocks of channels to space, and back. */
const blocks =
  (toSpace: boolean): LayerMaker =>
  (c, call) => {
    const x = c.in(call, 0);
    const b = int(call, 'blocksize');
    const [, ch, h, w] = [0, 1, 2, 3].map((a) => (a === 0 ? 0 : c.size(x, a))) as [number, number, number, number];
    const order = channelsLast(4);
    const name = c.layerName(call);
    const crd = String(call.attributes.mode) === 'CRD';
    const depth = toSpace ? ch / (b * b) : ch;
    const wide = toSpace ? (crd ? [h, w, depth, b, b] : [h, w, b, b, depth]) : [h / b, b, w / b, b, ch];
    const dims = toSpace ? (crd ? [1, 4, 2, 5, 3] : [1, 3, 2, 4, 5]) : [1, 3, 2, 4, 5];
    const moved = c.apply(Permute(dims, { name: c.unique(`${name}_permute`) }), c.tensors.reshape(c.tensors.get(x, order), wide));
    return { tensor: c.tensors.reshape(moved, toSpace ? [h * b, w * b, depth] : [h / b, w / b, ch * b * b], name), axes: order };
  };
export const depthToSpace = blocks(true);
export const spaceToDepth = blocks(false);

/** ReduceMean, ReduceMax, ReduceSum with axes as attribute or input. */
export const reduction =
  (fn: 'mean' | 'max' | 'sum'): LayerMaker =>
  (c, call: Call) => {
    const x = c.in(call, 0);
    const given = call.inputs[1] ? c.numbers(call, 1) : ints(call, 'axes');
    if ((!given || given.length === 0) && int(call, 'noop_with_empty_axes')) return c.tensors.first(x);
    const axes = given && given.length > 0 ? given.map((a) => axisOf(a, x.shape.length)) : x.shape.map((_, i) => i);
    return reduced(c, call, axes, int(call, 'keepdims') !== 0, fn);
  };
