/** GPU memory of a session: buffers that bind groups name by id, and data sets in them. */
import type { ResidentArray } from '../device.js';
import type { PlanDType } from '../plan.js';

/** GPUBufferUsage, which Node has no global for. */
export const usage = { mapRead: 1, copySource: 4, copyTarget: 8, uniform: 64, storage: 128 } as const;

export interface Memory {
  readonly id: number;
  readonly buffer: GPUBuffer;
  readonly bytes: number;
  /** Grows with every write that programs with prepared memory must notice. */
  version: number;
}

export class WebGpuResident implements ResidentArray {
  disposed = false;
  constructor(
    /** The session that uploaded it. */
    readonly owner: object,
    readonly dtype: PlanDType,
    readonly shape: readonly number[],
    readonly memory: Memory,
    private readonly release: (r: WebGpuResident) => void,
  ) {}
  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.release(this);
  }
}
