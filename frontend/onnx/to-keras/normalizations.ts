/** Normalizations as layers. */
import { BatchNormalization, LayerNormalization } from '../../keras/layers/normalization.js';
import { GroupNormalization, RMSNormalization, UnitNormalization } from '../../keras/layers/scaling-norms.js';
import type { Call } from '../import.js';
import { axisOf, type ConversionContext, channelsLast, filled, int, type LayerMaker } from './context.js';

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
