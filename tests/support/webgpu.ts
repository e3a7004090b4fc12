/** The software WebGPU device for tests: SwiftShader by Dawn for Node. Where there is none, tests say what is missing and check nothing. */
import { openWebGpuDevice, type WebGpuDevice, type WebGpuOptions } from '../../runtime/webgpu/device.js';

let reported = false;

/** A new software device, or null (after one line that says why) where the machine has none. */
export async function openSoftwareDevice(options: WebGpuOptions = {}): Promise<WebGpuDevice | null> {
  try {
    return await openWebGpuDevice({ software: true, ...options });
  } catch (e) {
    if (!reported) console.log(`WebGPU is not tested here: ${e instanceof Error ? e.message : String(e)}`);
    reported = true;
    return null;
  }
}

/** Counts from here on the buffers of a device that were made and not destroyed. */
export function buffersAlive(gpu: GPUDevice): () => number {
  const alive = new Set<GPUBuffer>();
  const create = gpu.createBuffer.bind(gpu);
  gpu.createBuffer = (descriptor) => {
    const buffer = create(descriptor);
    const destroy = buffer.destroy.bind(buffer);
    alive.add(buffer);
    buffer.destroy = () => {
      alive.delete(buffer);
      return destroy();
    };
    return buffer;
  };
  return () => alive.size;
}
