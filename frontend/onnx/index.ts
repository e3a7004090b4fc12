/** ONNX models: `load` a file, `run` it. */
export { FormatError } from './schema/codec.js';
export { load, type LoadOptions, type OnnxDevice, type OnnxInput, OnnxModel, type TensorInfo } from './model.js';
export { type OnnxSource, type ReadOptions, readModel } from './read.js';
export { float, floats, int, ints, op, type OpEntry, opt, text, texts } from './registry.js';
