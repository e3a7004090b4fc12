/** Normalizations by their ops where the opset has them, else by means. */
import type { Variable } from '../../../keras/backend/variable.js';
import type { BatchNormalizationClass, LayerNormalizationClass } from '../../../keras/layers/normalization.js';
import type { GroupNormalizationClass, RMSNormalizationClass, UnitNormalizationClass } from '../../../keras/layers/scaling-norms.js';
import type { LayerCall } from '../observer.js';
import { real } from '../proto.js';
import type { Writer } from '../writer.js';

const axesOf = (axis: number | readonly number[], rank: number): number[] => (typeof axis === 'number' ? [axis] : [...axis]).map((a) => (a < 0 ? a + rank : a));

/** A weight over the features, or one number for all of them. */
function features(w: Writer, v: Variable | null, shape: readonly number[], otherwise: number): string {
  return v ? w.initializer(w.weight(v)) : w.constant('float32', shape, new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(otherwise));
}

/** The momentum is written, too: whoever trains the model on goes on with the same moving averages. */
export function batchNormalization(w: Writer, call: LayerCall): boolean {
  const layer = call.layer as BatchNormalizationClass;
  const [x, y] = [call.inputs[0]!, call.outputs[0]!];
  const rank = x.shape.length;
  const axes = axesOf(layer.axis, rank);
  if (axes.length !== 1) return false;
  const [axis] = axes as [number];
  const form = axis === 1 ? 'plain' : axis === rank - 1 && rank >= 3 ? 'channelsFirst' : null;
  if (form === null) return false;
  const shape = layer.movingMean.shape;
  const inputs = [
    w.name(x, form),
    features(w, layer.gamma, shape, 1),
    features(w, layer.beta, shape, 0),
    w.initializer(w.weight(layer.movingMean)),
    w.initializer(w.weight(layer.movingVariance)),
  ];
  w.emit(y, 'BatchNormalization', inputs, { epsilon: real(layer.epsilon), momentum: real(layer.momentum) }, form);
  return true;
}

/** The mean along axes that stay with size 1. */
function meanOf(w: Writer, x: string, axes: readonly number[], hint: string): string {
  const [name] = w.opset < 18 ? w.node('ReduceMean', [x], { axes }, { hint }) : w.node('ReduceMean', [x, w.int64(axes, 'axes')], {}, { hint });
  return name!;
}
const isTrailing = (axes: readonly number[], rank: number): boolean => axes.every((a, i) => a === rank - axes.length + i);
/** A weight over some axes, as it spreads over all. */
function spread(w: Writer, v: Variable, axes: readonly number[], rank: number): string {
  const s = w.weight(v);
  if (isTrailing(axes, rank)) return w.initializer(s);
  const from = Math.min(...axes);
  const shape = Array.from({ length: rank - from }, (_, i) => (axes.includes(from + i) ? s.shape[axes.indexOf(from + i)]! : 1));
  return w.initializer({ ...s, shape, key: `${s.key} as ${shape.join()}` });
}
/** x divided by the root of the mean of its squares, by the ops that every opset has. */
function scaled(w: Writer, x: string, axes: readonly number[], epsilon: number, hint: string): string {
  const [square] = w.node('Mul', [x, x], {}, { hint: `${hint}/square` });
  const [sum] = w.node('Add', [meanOf(w, square!, axes, `${hint}/variance`), w.scalar(epsilon, 'float32')], {}, { hint: `${hint}/stable` });
  const [root] = w.node('Sqrt', [sum!], {}, { hint: `${hint}/deviation` });
  return w.node('Div', [x, root!], {}, { hint: `${hint}/normalized` })[0]!;
}

export function layerNormalization(w: Writer, call: LayerCall): boolean {
  const layer = call.layer as LayerNormalizationClass;
  const [x, y] = [call.inputs[0]!, call.outputs[0]!];
  const rank = x.shape.length;
  const axes = axesOf(layer.axis, rank).sort((a, b) => a - b);
  if (w.opset >= 17 && isTrailing(axes, rank)) {
    const shape = axes.map((a) => x.shape[a] as number);
    const inputs = [w.name(x), features(w, layer.gamma, shape, 1), ...(layer.beta ? [w.initializer(w.weight(layer.beta))] : [])];
    w.emit(y, 'LayerNormalization', inputs, { axis: axes[0]! - rank, epsilon: real(layer.epsilon) });
    return true;
  }
  if (!layer.gamma && !layer.beta) return false;
  const hint = layer.name;
  const [centred] = w.node('Sub', [w.name(x), meanOf(w, w.name(x), axes, `${hint}/mean`)], {}, { hint: `${hint}/centred` });
  let at = scaled(w, centred!, axes, layer.epsilon, hint);
  if (layer.gamma) {
    const inputs = [at, spread(w, layer.gamma, axes, rank)];
    if (!layer.beta) {
      w.emit(y, 'Mul', inputs);
      return true;
    }
    [at] = w.node('Mul', inputs, {}, { hint: `${hint}/scaled` }) as [string];
  }
  w.emit(y, 'Add', [at, spread(w, layer.beta!, axes, rank)]);
  return true;
}

/** RMSNormalization came with opset 23. */
export function rmsNormalization(w: Writer, call: LayerCall): boolean {
  const layer = call.layer as RMSNormalizationClass;
  const [x, y] = [call.inputs[0]!, call.outputs[0]!];
  const rank = x.shape.length;
  const axes = axesOf(layer.axis, rank).sort((a, b) => a - b);
  if (w.opset >= 23 && isTrailing(axes, rank))
    w.emit(y, 'RMSNormalization', [w.name(x), w.initializer(w.weight(layer.scale))], { axis: axes[0]! - rank, epsilon: real(layer.epsilon) });
  else w.emit(y, 'Mul', [scaled(w, w.name(x), axes, layer.epsilon, layer.name), spread(w, layer.scale, axes, rank)]);
  return true;
}

export function unitNormalization(w: Writer, call: LayerCall): boolean {
  const { axis } = call.layer as UnitNormalizationClass;
  const [x, y] = [call.inputs[0]!, call.outputs[0]!];
  const axes = axesOf(axis, x.shape.length);
  if (axes.length !== 1) return false;
  w.emit(y, 'LpNormalization', [w.name(x)], { axis: axes[0]!, p: 2 });
  return true;
}

/** With a scale for every channel: since opset 21. */
export function groupNormalization(w: Writer, call: LayerCall): boolean {
  const layer = call.layer as GroupNormalizationClass;
  const [x, y] = [call.inputs[0]!, call.outputs[0]!];
  const rank = x.shape.length;
  const [axis] = axesOf(layer.axis, rank) as [number];
  if (w.opset < 21 || rank < 3 || (axis !== 1 && axis !== rank - 1)) return false;
  const form = axis === 1 ? 'plain' : 'channelsFirst';
  const shape = [x.shape[axis] as number];
  const inputs = [w.name(x, form), features(w, layer.gamma, shape, 1), features(w, layer.beta, shape, 0)];
  w.emit(y, 'GroupNormalization', inputs, { num_groups: layer.groups === -1 ? shape[0]! : layer.groups, epsilon: real(layer.epsilon) }, form);
  return true;
}
