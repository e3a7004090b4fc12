/** What ships inside applications: devices, plans, and the loader of compiled models. Imports nothing of ours outside this folder. */
export type { Device, DeviceCounters, DeviceInfo, HostArray, LoadedPlan, ResidentArray, RunOptions, Session } from './device.js';
export * from './errors.js';
export { type ArtefactFile, type ArtefactReader, type LoadedArtefact, type LoadOptions, loadArtefact } from './load.js';
export { type DeviceName, deviceNames, openDevice } from './open.js';
export type { CompiledPlan, Plan, PlanDType, PlanInput, PlanProgram, PlanState, PlanTensor, SizeExpr } from './plan.js';
export {
  type NamedTensor,
  readSafetensors,
  type Safetensors,
  type SafetensorsEntry,
  type SafetensorsLimits,
  tensorAs,
  writeSafetensors,
} from './safetensors.js';
export { validateCompiled, validatePlan } from './validate.js';
export { openWasmDevice, type WasmDevice, type WasmDeviceOptions } from './wasm/device.js';
export { openWebGpuDevice, type WebGpuDevice, type WebGpuOptions } from './webgpu/device.js';
export { readWeights, type StatePart, statePartsOf, writeWeights } from './weights.js';
