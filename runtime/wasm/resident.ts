/** A data set in WASM memory. */
import type { ResidentArray } from '../device.js';
import type { PlanDType } from '../plan.js';
import type { Block } from './heap.js';

export class WasmResident implements ResidentArray {
  disposed = false;

  constructor(
    /** The session it belongs to. */
    readonly owner: object,
    readonly dtype: PlanDType,
    readonly shape: readonly number[],
    readonly memory: Block,
    private readonly release: (r: WasmResident) => void,
  ) {}

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.release(this);
  }
}
