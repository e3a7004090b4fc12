/** BatchNormalization (opset 9 on) and LayerNormalization (opset 17 on). */
import type { Variable } from '../../../keras/backend/variable.js';
import type { BatchNormalizationClass, LayerNormalizationClass } from '../../../keras/layers/normalization.js';
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

export function layerNormalization(w: Writer, call: LayerCall): boolean {
  const layer = call.layer as LayerNormalizationClass;
  const [x, y] = [call.inputs[0]!, call.outputs[0]!];
  const rank = x.shape.length;
  const axes = axesOf(layer.axis, rank).sort((a, b) => a - b);
  if (w.opset < 17 || axes.some((a, i) => a !== rank - axes.length + i)) return false;
  const shape = axes.map((a) => x.shape[a] as number);
  const inputs = [w.name(x), features(w, layer.gamma, shape, 1), ...(layer.beta ? [w.initializer(w.weight(layer.beta))] : [])];
  w.emit(y, 'LayerNormalization', inputs, { axis: axes[0]! - rank, epsilon: real(layer.epsilon) });
  return true;
}
