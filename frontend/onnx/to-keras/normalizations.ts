/** Normalizations as layers. */

import type { Value } from '../../../ir/graph.js';
import { BatchNormalization, LayerNormalization } from '../../keras/layers/normalization.js';
import { GroupNormalization, RMSNormalization, UnitNormalization } from '../../keras/layers/scaling-norms.js';
import type { Call } from '../import.js';
import { axisOf, type ConversionContext, channelsLast, filled, int, type LayerMaker } from './context.js';
import type { CallGraph } from './graph.js';
import type { Held } from './tensors.js';

const epsilonOf = (call: Call): number => call.attributes.epsilon as number;

export const batchNormalization: LayerMaker = (c, call) => {
  const x = c.in(call, 0);
  if (int(call, 'training_mode')) c.refuse('training_mode');
  if (call.outputs.slice(1).some((o) => c.graph.isUsed(o))) c.refuse('the statistics of the batch are used');
  const order = x.shape.length > 2 ? channelsLast(x.shape.length) : [0, 1];
  const layer = BatchNormalization({ epsilon: epsilonOf(call), momentum: call.attributes.momentum as number, name: c.layerName(call, 1) });
  const weights = [1, 2, 3, 4].map((i) => c.known(call, i).values);
  return { tensor: c.apply(layer, c.tensors.get(x, order), weights), axes: order };
};

/** Axes from `axis` on are normalized: they go last. */
function trailing(c: ConversionContext, call: Call) {
  const x = c.in(call, 0);
  const rank = x.shape.length;
  const from = axisOf(int(call, 'axis'), rank);
  const normalized = Array.from({ length: rank - from }, (_, i) => from + i);
  const order = c.tensors.order(x, ...normalized);
  if (order[0] !== c.tensors.batchAxis(x)) c.refuse('the batch is normalized');
  return {
    x,
    order,
    axis: normalized.length === 1 ? -1 : normalized.map((_, i) => i - normalized.length),
    size: normalized.reduce((n, a) => n * c.size(x, a), 1),
  };
}
/** A weight over the normalized axes, or one number for all. */
function spread(c: ConversionContext, call: Call, i: number, size: number): ArrayLike<number> {
  const { values } = c.known(call, i);
  return values.length === size
    ? values
    : values.length === 1
      ? filled(size, values[0]!)
      : c.refuse(`weights of ${values.length} elements for ${size} features`);
}

export const layerNormalization: LayerMaker = (c, call) => {
  if (call.outputs.slice(1).some((o) => c.graph.isUsed(o))) c.refuse('mean or deviation are used');
  const { x, order, axis, size } = trailing(c, call);
  const center = Boolean(call.inputs[2]);
  const layer = LayerNormalization({ axis, epsilon: epsilonOf(call), center, name: c.layerName(call, 1) });
  const weights = [spread(c, call, 1, size), ...(center ? [spread(c, call, 2, size)] : [])];
  return { tensor: c.apply(layer, c.tensors.get(x, order), weights), axes: order };
};

export const rmsNormalization: LayerMaker = (c, call) => {
  const { x, order, axis, size } = trailing(c, call);
  const layer = RMSNormalization({ axis, epsilon: epsilonOf(call), name: c.layerName(call, 1) });
  return { tensor: c.apply(layer, c.tensors.get(x, order), [spread(c, call, 1, size)]), axes: order };
};

/** Scale and bias of groups (before opset 21) are those of each channel in it. */
export const groupNormalization: LayerMaker = (c, call) => {
  const x = c.in(call, 0);
  const channels = c.size(x, 1);
  const groups = call.op === 'InstanceNormalization' ? channels : int(call, 'num_groups');
  const order = channelsLast(x.shape.length);
  const weights = [1, 2].map((i) => {
    const { values } = c.known(call, i);
    return Float32Array.from({ length: channels }, (_, k) => values[values.length === channels ? k : Math.floor((k * groups) / channels)]!);
  });
  const layer = GroupNormalization({ groups, epsilon: epsilonOf(call), name: c.layerName(call, 1) });
  return { tensor: c.apply(layer, c.tensors.get(x, order), weights), axes: order };
};

export const lpNormalization: LayerMaker = (c, call) => {
  const x = c.in(call, 0);
  if (int(call, 'p') !== 2) c.refuse(`p = ${int(call, 'p')}`);
  const axis = axisOf(int(call, 'axis'), x.shape.length);
  const order = c.tensors.order(x, axis);
  return { tensor: c.apply(UnitNormalization({ axis: -1, name: c.layerName(call) }), c.tensors.get(x, order)), axes: order };
};

/** What a normalization that is written as several ops takes and needs. */
interface Composed {
  readonly x: Value;
  readonly axes: readonly number[];
  readonly epsilon: number;
  readonly centred: boolean;
}

/** x, or x - mean(x), divided by the root of the mean of its squares; before opset 17 that is how layer normalization is written. */
function standardized(g: CallGraph, v: Value): Composed | null {
  const call = g.producerOf(v);
  let d: Value | null | undefined;
  let root: Call | undefined;
  if (call?.op === 'Div') {
    d = call.inputs[0];
    root = g.producerOf(call.inputs[1]!);
  } else if (call?.op === 'Mul') {
    for (const [a, b] of [
      [0, 1],
      [1, 0],
    ] as const) {
      const inverse = g.producerOf(call.inputs[b]!);
      const one = inverse?.op === 'Div' && g.number(inverse.inputs[0]!) === 1 ? inverse.inputs[1] : inverse?.op === 'Reciprocal' ? inverse.inputs[0] : null;
      if (!one) continue;
      d = call.inputs[a];
      root = g.producerOf(one);
    }
  }
  if (!d || (root?.op !== 'Sqrt' && !(root?.op === 'Pow' && g.number(root.inputs[1]!) === 0.5))) return null;
  const sum = g.producerOf(root.inputs[0]!);
  if (sum?.op !== 'Add') return null;
  const at = g.isDynamic(sum.inputs[0]!) ? 0 : 1;
  const epsilon = g.number(sum.inputs[1 - at]!);
  const mean = g.producerOf(sum.inputs[at]!);
  const square = mean?.op === 'ReduceMean' ? g.producerOf(mean.inputs[0]!) : undefined;
  const squared = square && ((square.op === 'Pow' && g.number(square.inputs[1]!) === 2) || (square.op === 'Mul' && square.inputs[0] === square.inputs[1]));
  if (epsilon === null || !mean || !squared || square.inputs[0] !== d) return null;
  const axes = reducedAxes(g, mean);
  if (!axes) return null;
  const centre = g.producerOf(d);
  const mid = centre?.op === 'Sub' ? g.producerOf(centre.inputs[1]!) : undefined;
  const isCentred = mid?.op === 'ReduceMean' && mid.inputs[0] === centre!.inputs[0] && reducedAxes(g, mid)?.join() === axes.join();
  return { x: isCentred ? mid.inputs[0]! : d, axes, epsilon, centred: isCentred };
}

/** The axes that a ReduceMean keeps with size 1; null where it drops them. */
function reducedAxes(g: CallGraph, call: Call): readonly number[] | null {
  if (!int(call, 'keepdims')) return null;
  const given = call.inputs[1] ? g.contents(call.inputs[1]) : null;
  const axes = given ? Array.from(given.values) : (call.attributes.axes as readonly number[] | null);
  const rank = call.inputs[0]!.shape.length;
  return axes && axes.length > 0 ? axes.map((a) => axisOf(a, rank)).sort((a, b) => a - b) : null;
}

/** A sum or product of something with a tensor that is known. */
function withKnown(g: CallGraph, v: Value, op: 'Add' | 'Mul'): { readonly inner: Value; readonly known: Value } | null {
  const call = g.producerOf(v);
  if (call?.op !== op) return null;
  const [a, b] = call.inputs as readonly [Value, Value];
  if (g.isDynamic(a) !== g.isDynamic(b)) return g.isDynamic(a) ? { inner: a, known: b } : { inner: b, known: a };
  return null;
}

/** The layer or RMS normalization whose last step gives a value. */
export function composedNormalization(g: CallGraph, v: Value): { readonly x: Value; readonly make: (c: ConversionContext, call: Call) => Held } | null {
  const sum = withKnown(g, v, 'Add');
  const product = withKnown(g, sum?.inner ?? v, 'Mul');
  const core = standardized(g, product?.inner ?? sum?.inner ?? v);
  if (!core || (!core.centred && (sum || !product))) return null;
  const { x, axes, epsilon } = core;
  const rank = x.shape.length;
  /** The contents over the normalized axes alone. */
  const weight = (k: Value | undefined, c: ConversionContext): ArrayLike<number> | null => {
    if (!k) return null;
    const { shape, values } = g.contents(k) ?? c.refuse('a weight that is computed');
    const wide = [...new Array<number>(Math.max(rank - shape.length, 0)).fill(1), ...shape];
    if (wide.length !== rank || wide.some((n, i) => n !== (axes.includes(i) ? x.shape[i] : 1))) c.refuse(`a weight of shape [${shape.join(', ')}]`);
    return values;
  };
  return {
    x,
    make: (c, call) => {
      const order = c.tensors.order(x, ...axes);
      if (order[0] !== c.tensors.batchAxis(x)) c.refuse('the batch is normalized');
      const [gamma, beta] = [weight(product?.known, c), weight(sum?.known, c)];
      const options = { axis: axes.length === 1 ? -1 : axes.map((_, i) => i - axes.length), epsilon, name: c.layerName(call) };
      const layer = core.centred ? LayerNormalization({ ...options, scale: gamma !== null, center: beta !== null }) : RMSNormalization(options);
      const weights = [gamma, beta].filter((w) => w !== null);
      return { tensor: c.apply(layer, c.tensors.get(x, order), weights), axes: order };
    },
  };
}
