/** Tenon's Keras API: `tf.keras` in TypeScript, camelCase, compiled. */
export * as activations from './activations.js';
export * as backend from './backend/index.js';
export { type KerasShape, SymbolicTensor } from './backend/trace.js';
export { Variable } from './backend/variable.js';
export * as callbacks from './callbacks/index.js';
export * as constraints from './constraints.js';
export * as initializers from './initializers/index.js';
export * as layers from './layers/index.js';
export { type CallArguments, Input, type InputShape, KerasTensor, Layer, type LayerOptions } from './layers/index.js';
export * as losses from './losses/index.js';
export * as metrics from './metrics/index.js';
export * as models from './models/index.js';
export { type DeviceName, type DeviceOption, Model, ModelBase, modelFromConfig, Sequential } from './models/index.js';
export * as ops from './ops/index.js';
export * as optimizers from './optimizers/index.js';
export * as regularizers from './regularizers.js';
export { Tensor, tensor } from './tensor.js';
export * as utils from './utils/index.js';
