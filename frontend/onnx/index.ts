/** ONNX models: `load` a file, `run` it. */

export { type ExportOptions, exportModel } from './export/index.js';
export { type LoadOptions, load, type OnnxDevice, type OnnxInput, OnnxModel, type TensorInfo } from './model.js';
export { type OnnxSource, type ReadOptions, readModel } from './read.js';
export { float, floats, int, ints, type OpEntry, op, opt, text, texts } from './registry.js';
export { type SaveOptions, save } from './save.js';
export { FormatError } from './schema/codec.js';
export type { KerasOptions } from './to-keras/index.js';
export type { TrainableOptions } from './trainable.js';
