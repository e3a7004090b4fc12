/** Layers that have an op of their own in ONNX, by class. A layer without an entry, or a call that the entry does not know how to write, is written as its primitives. */
import { layerClasses } from '../../../keras/layers/registry.js';
import type { LayerCall } from '../observer.js';
import type { Writer } from '../writer.js';
import { eluLayer, leakyReluLayer, preluLayer, reluLayer, thresholdedReluLayer } from './activation.js';
import { batchNormalization, groupNormalization, layerNormalization, rmsNormalization, unitNormalization } from './normalization.js';
import { averagePooling, globalPooling, resizing, upSampling } from './pooling.js';
import { bidirectional, recurrentLayer } from './recurrent.js';

/** Writes what the call computes and defines its outputs; false, with nothing written, where it cannot. */
export type LayerWriter = (w: Writer, call: LayerCall) => boolean;

const table: Readonly<Record<string, LayerWriter>> = {
  ReLU: reluLayer,
  LeakyReLU: leakyReluLayer,
  ELU: eluLayer,
  PReLU: preluLayer,
  ThresholdedReLU: thresholdedReluLayer,
  BatchNormalization: batchNormalization,
  SyncBatchNormalization: batchNormalization,
  LayerNormalization: layerNormalization,
  RMSNormalization: rmsNormalization,
  UnitNormalization: unitNormalization,
  GroupNormalization: groupNormalization,
  Bidirectional: bidirectional,
  Resizing: resizing,
  AveragePooling1D: averagePooling,
  AveragePooling2D: averagePooling,
  AveragePooling3D: averagePooling,
  GlobalAveragePooling1D: globalPooling,
  GlobalAveragePooling2D: globalPooling,
  GlobalAveragePooling3D: globalPooling,
  GlobalMaxPooling1D: globalPooling,
  GlobalMaxPooling2D: globalPooling,
  GlobalMaxPooling3D: globalPooling,
  UpSampling1D: upSampling,
  UpSampling2D: upSampling,
  UpSampling3D: upSampling,
  LSTM: recurrentLayer,
  GRU: recurrentLayer,
  SimpleRNN: recurrentLayer,
};

/** A class of one's own that extends a layer computes something else: it is written as its primitives. */
const isOwn = (call: LayerCall): boolean => {
  const { className } = call.layer;
  const known = Object.hasOwn(layerClasses, className) ? (layerClasses[className] as { readonly prototype?: object }) : undefined;
  return known?.prototype === Object.getPrototypeOf(call.layer);
};

export function writeLayer(w: Writer, call: LayerCall): boolean {
  const { className } = call.layer;
  const write = Object.hasOwn(table, className) ? table[className] : undefined;
  return write !== undefined && isOwn(call) && call.outputs.every((o) => o.dtype === 'float32') && call.inputs[0]!.dtype === 'float32' && write(w, call);
}
