/** Opens the device that a name stands for. */
import type { Device } from './device.js';
import { ArgumentError, DeviceError, messageOf } from './errors.js';
import { openWasmDevice } from './wasm/device.js';
import { openWebGpuDevice } from './webgpu/device.js';

export const deviceNames = ['auto', 'webgpu', 'wasm'] as const;
/** `auto`: WebGPU on a real GPU, else WebAssembly. `webgpu`: a GPU, or the software adapter where there is none. `wasm`: WebAssembly with threads where the host allows. */
export type DeviceName = (typeof deviceNames)[number];

export async function openDevice(name: DeviceName = 'auto'): Promise<Device> {
  switch (name) {
    case 'webgpu':
      return openWebGpuDevice();
    case 'wasm':
      return openWasmDevice();
    case 'auto':
      break;
    default:
      throw new ArgumentError(`unknown device '${String(name)}'; expected one of ${deviceNames.join(', ')}`);
  }
  let why: unknown;
  try {
    return await openWebGpuDevice({ software: false });
  } catch (e) {
    why = e;
  }
  try {
    return await openWasmDevice();
  } catch (e) {
    throw new DeviceError(`no device: ${messageOf(why)}; and ${messageOf(e)}`);
  }
}
