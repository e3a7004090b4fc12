/** Activation layers with options. */
import type { ELUClass, LeakyReLUClass, PReLUClass, ThresholdedReLUClass } from '../../../keras/layers/activation-layers.js';
import type { ReLUClass } from '../../../keras/layers/core.js';
import { unaryOp } from '../activations.js';
import type { LayerCall } from '../observer.js';
import { real } from '../proto.js';
import { transposed, type Writer } from '../writer.js';

const ends = (call: LayerCall) => ({ x: call.inputs[0]!, y: call.outputs[0]! });

export function reluLayer(w: Writer, call: LayerCall): boolean {
  const layer = call.layer as ReLUClass;
  const { x, y } = ends(call);
  if ((layer.threshold ?? 0) !== 0) return false;
  const slope = layer.negativeSlope ?? 0;
  const most = layer.maxValue ?? null;
  if (slope !== 0 && most !== null) return false;
  if (slope !== 0) unaryOp(w, y, 'LeakyRelu', x, { alpha: real(slope) });
  else if (most !== null) unaryOp(w, y, 'Clip', x, {}, [w.scalar(0, 'float32'), w.scalar(most, 'float32')]);
  else unaryOp(w, y, 'Relu', x);
  return true;
}

export function leakyReluLayer(w: Writer, call: LayerCall): boolean {
  const { x, y } = ends(call);
  unaryOp(w, y, 'LeakyRelu', x, { alpha: real((call.layer as LeakyReLUClass).negativeSlope) });
  return true;
}

export function eluLayer(w: Writer, call: LayerCall): boolean {
  const { x, y } = ends(call);
  unaryOp(w, y, 'Elu', x, { alpha: real((call.layer as ELUClass).alpha) });
  return true;
}

export function thresholdedReluLayer(w: Writer, call: LayerCall): boolean {
  const { x, y } = ends(call);
  unaryOp(w, y, 'ThresholdedRelu', x, { alpha: real((call.layer as ThresholdedReLUClass).theta) });
  return true;
}

export function preluLayer(w: Writer, call: LayerCall): boolean {
  const { x, y } = ends(call);
  const rank = x.shape.length;
  const form = rank < 3 ? 'plain' : w.formOf(x);
  const slope = w.weight((call.layer as PReLUClass).alpha);
  const moved = form === 'plain' ? slope : transposed(slope, [rank - 2, ...Array.from({ length: rank - 2 }, (_, i) => i)]);
  w.emit(y, 'PRelu', [w.name(x, form), w.initializer(moved)], {}, form);
  return true;
}
