/** tf.keras.models. */

export type { DeviceName } from '../../../runtime/open.js';
export { type InputSpec, ModelBase, type ProgramsOptions } from './base.js';
export { type CloneOptions, cloneModel } from './clone.js';
export type { CompileOptions } from './compiled.js';
export type { DeviceOption } from './device-option.js';
export { Model } from './functional.js';
export { loadModel, modelFromJson, modelFromYaml, saveModel } from './loading.js';
export type { EvaluateOptions, FitOptions } from './loops.js';
export type { PredictOptions } from './predict.js';
export { Sequential } from './sequential.js';
export { modelFromConfig } from './serialization.js';
export type { AnyStepData, LossArguments, StepData, StepLogs, StepTensor } from './steps.js';
