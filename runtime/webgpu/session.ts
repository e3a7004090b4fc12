/**
 * A session on WebGPU: each piece of memory is a buffer of its own. Nothing is created by a run after a program's first one.
 */
import { BaseSession, type TakenMemory } from '../common/session.js';
import type { Device, HostArray } from '../device.js';
import { ArgumentError, LimitError } from '../errors.js';
import type { CompiledPlan, Plan, PlanDType } from '../plan.js';
import { decode, encode, residentType, type StoredType, storedBytesOf } from '../storage.js';
import { validateCompiled } from '../validate.js';
import type { WebGpuDevice } from './device.js';
import { WebGpuPlan } from './loaded-plan.js';
import { type Memory, usage } from './memory.js';

/** Staging buffers kept for reads; more are destroyed after use. */
const keptStaging = 4;

export class WebGpuSession extends BaseSession<Memory, WebGpuPlan> {
  readonly device: Device;
  private readonly staging: GPUBuffer[] = [];
  private nextId = 0;

  constructor(
    readonly owner: WebGpuDevice,
    private readonly onDispose: () => void,
  ) {
    super();
    this.device = owner;
  }

  protected checkDevice(): void {
    this.owner.check();
  }

  memory(label: string, bytes: number, flags?: number): Memory {
    return { id: this.nextId++, buffer: this.owner.allocate(label, bytes, flags), bytes, version: 0 };
  }

  protected allocate(bytes: number, label: string): Memory {
    return this.memory(label, bytes);
  }

  protected free(memory: Memory): void {
    memory.buffer.destroy();
  }

  protected copy(from: Memory, to: Memory): void {
    const encoder = this.owner.gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(from.buffer, 0, to.buffer, 0, from.buffer.size);
    this.owner.gpu.queue.submit([encoder.finish()]);
  }

  protected writeBytes(memory: Memory, offset: number, bytes: Uint8Array): void {
    this.owner.write(memory.buffer, offset, bytes);
  }

  protected write(memory: Memory, offset: number, type: StoredType, data: HostArray): void {
    this.owner.write(memory.buffer, offset, encode(type, data));
  }

  protected residentType(dtype: PlanDType): StoredType {
    return { name: 'data', dtype, stored: residentType(dtype) };
  }

  /** Writes are of whole words. */
  protected checkPart(name: string, type: StoredType, offset: number, length: number, elements: number): void {
    const unit = storedBytesOf(type);
    if ((offset * unit) % 4 !== 0 || ((length * unit) % 4 !== 0 && offset + length !== elements))
      throw new ArgumentError(`state '${name}': a part of a ${type.dtype} slot must begin and end at a multiple of ${4 / unit} elements`);
  }

  async load(compiled: CompiledPlan): Promise<WebGpuPlan> {
    this.check();
    validateCompiled(compiled);
    const { plan } = compiled;
    this.checkTarget(plan, 'webgpu');
    this.checkLimits(plan);
    this.checkState(plan);
    const taken: TakenMemory<Memory> = { memories: [], owned: [], newStates: [], newSlots: [] };
    try {
      const pipelines = Promise.all(plan.kernels.map((k) => this.owner.pipeline(k, compiled.wgsl[k.code]!)));
      // A failed allocation below must not leave an unhandled rejection of the pipelines behind.
      pipelines.catch(() => undefined);
      this.take(plan, taken);
      const ready = await pipelines;
      await this.owner.settle();
      this.check();
      this.fill(compiled, taken);
      const loaded = new WebGpuPlan(this, compiled, ready, taken.memories, taken.owned);
      this.plans.add(loaded);
      return loaded;
    } catch (e) {
      this.giveBack(taken);
      throw e;
    }
  }

  /** Fails before anything is uploaded, naming what takes most. */
  private checkLimits(plan: Plan): void {
    const limits = this.owner.limits as unknown as Record<string, number>;
    for (const [name, value] of Object.entries(plan.requiredLimits)) {
      if ((limits[name] ?? 0) < value)
        throw new LimitError(
          `plan '${plan.name}' needs ${name} ${value}, this device was opened with ${limits[name] ?? 'none'}: open it with { requiredLimits: plan.requiredLimits }`,
        );
    }
    const max = this.owner.limits.maxBufferSize;
    const largest = plan.buffers.filter((b) => b.kind !== 'input').sort((a, b) => b.bytes - a.bytes);
    if (largest.length > 0 && largest[0]!.bytes > max) {
      const names = largest.slice(0, 3).map((b) => `'${b.name}' (${b.kind}, ${b.bytes} bytes)`);
      throw new LimitError(
        `plan '${plan.name}' needs larger buffers than this device's maxBufferSize of ${max} bytes; the largest are ${names.join(', ')}: use a smaller batch, or open the device with requiredLimits: { maxBufferSize }`,
      );
    }
  }

  protected readMemory(memory: Memory, offset: number, type: StoredType, length: number): Promise<HostArray> {
    return this.readBuffer(memory.buffer, offset, type, length);
  }

  /** Copies elements to the host: everything queued before is in them. */
  async readBuffer(source: GPUBuffer, offset: number, type: StoredType, length: number): Promise<HostArray> {
    const bytes = Math.ceil((length * storedBytesOf(type)) / 4) * 4;
    if (bytes === 0) return decode(type, new Uint8Array(0), 0);
    const gpu = this.owner.gpu;
    const at = this.staging.findIndex((b) => b.size >= bytes);
    const staging = at >= 0 ? this.staging.splice(at, 1)[0]! : this.owner.allocate('staging', bytes, usage.mapRead | usage.copyTarget);
    const encoder = gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(source, offset, staging, 0, bytes);
    gpu.queue.submit([encoder.finish()]);
    this.owner.counters.readbacks++;
    try {
      await staging.mapAsync(1, 0, bytes);
    } catch (e) {
      staging.destroy();
      throw await this.owner.explain(e);
    }
    const data = decode(type, new Uint8Array(staging.getMappedRange(0, bytes)), length);
    staging.unmap();
    if (this.disposed) staging.destroy();
    else {
      this.staging.push(staging);
      // The smallest go first: the largest serves every read.
      this.staging.sort((a, b) => a.size - b.size);
      if (this.staging.length > keptStaging) this.staging.shift()!.destroy();
    }
    await this.owner.settle();
    return data;
  }

  async finish(): Promise<void> {
    this.check();
    try {
      await this.owner.gpu.queue.onSubmittedWorkDone();
    } catch (e) {
      throw await this.owner.explain(e);
    }
    await this.owner.settle();
  }

  protected disposeMemory(): void {
    for (const m of [...[...this.states.values()].map((x) => x.memory), ...this.arenas]) m.buffer.destroy();
    for (const b of this.staging) b.destroy();
    this.staging.length = 0;
    this.onDispose();
  }
}
