/** GPU memory of a session: buffers that bind groups name by id. */
import type { DeviceMemory } from '../common/resident.js';

/** GPUBufferUsage, which Node has no global for. */
export const usage = { mapRead: 1, copySource: 4, copyTarget: 8, uniform: 64, storage: 128 } as const;

export interface Memory extends DeviceMemory {
  readonly id: number;
  readonly buffer: GPUBuffer;
}
