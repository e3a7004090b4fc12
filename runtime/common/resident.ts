/** Device memory as sessions of every target see it, and data sets in it. */
import type { ResidentArray } from '../device.js';
import type { PlanDType } from '../plan.js';

export interface DeviceMemory {
  readonly bytes: number;
  /** Counts changes of state, so that prepared memory knows when it is stale. */
  version: number;
}

/** A data set on the device. */
export class Resident<M extends DeviceMemory> implements ResidentArray {
  disposed = false;

  constructor(
    /** The session that uploaded it. */
    readonly owner: object,
    readonly dtype: PlanDType,
    readonly shape: readonly number[],
    readonly memory: M,
    private readonly release: (r: Resident<M>) => void,
  ) {}

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.release(this);
  }
}
