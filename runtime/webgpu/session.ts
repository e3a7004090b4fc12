/**
 * A session on WebGPU. Device memory: one buffer for each of the plans' state buffers (shared by name), arenas (shared by position, as large as the largest plan needs), and per plan its prepared, constant and
 * io buffers. Nothing is created by a run after a program's first one.
 */
import type { Device, HostArray, ResidentArray, Session } from '../device.js';
import { ArgumentError, DisposedError, LimitError, ModelFormatError } from '../errors.js';
import type { CompiledPlan, Plan, PlanDType, PlanState } from '../plan.js';
import { checkUpload, elementsOf, quoted } from '../program.js';
import { decode, encode, hostTypeName, isHostArray, residentType, type StoredType, storedBytesOf } from '../storage.js';
import { validateCompiled } from '../validate.js';
import type { WebGpuDevice } from './device.js';
import { WebGpuPlan } from './loaded-plan.js';
import { type Memory, usage, WebGpuResident } from './memory.js';

interface Slot {
  readonly name: string;
  readonly dtype: PlanDType;
  readonly stored?: PlanDType | undefined;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly memory: Memory;
  readonly bufferName: string;
}

/** Staging buffers kept for reads; more are destroyed after use. */
const keptStaging = 4;

/** How the elements of a data set lie in its buffer. */
const residentStorage = (dtype: PlanDType): StoredType => ({ name: 'data', dtype, stored: residentType(dtype) });

export class WebGpuSession implements Session {
  readonly device: Device;
  private readonly states = new Map<string, Memory>();
  private readonly slots = new Map<string, Slot>();
  readonly arenas: Memory[] = [];
  private readonly residents = new Set<WebGpuResident>();
  private readonly plans = new Set<WebGpuPlan>();
  private readonly staging: GPUBuffer[] = [];
  /** The program whose results lie in the arena. */
  arenaUser: object | null = null;
  private nextId = 0;
  private disposed = false;

  constructor(
    readonly owner: WebGpuDevice,
    private readonly onDispose: () => void,
  ) {
    this.device = owner;
  }

  check(): void {
    if (this.disposed) throw new DisposedError('the session was disposed');
    this.owner.check();
  }

  memory(label: string, bytes: number, flags?: number): Memory {
    return { id: this.nextId++, buffer: this.owner.allocate(label, bytes, flags), bytes, version: 0 };
  }

  async load(compiled: CompiledPlan): Promise<WebGpuPlan> {
    this.check();
    validateCompiled(compiled);
    const { plan } = compiled;
    if (plan.target !== 'webgpu') throw new ArgumentError(`plan '${plan.name}' was compiled for ${plan.target}; this session is on webgpu`);
    this.checkLimits(plan);
    this.checkState(plan);
    const newStates: string[] = [];
    const newSlots: PlanState[] = [];
    const owned: Memory[] = [];
    try {
      const pipelines = Promise.all(plan.kernels.map((k) => this.owner.pipeline(k, compiled.wgsl[k.code]!)));
      // A failed allocation below must not leave an unhandled rejection of the pipelines behind.
      pipelines.catch(() => undefined);
      let arena = 0;
      const memories = plan.buffers.map((b): Memory | null => {
        if (b.kind === 'input') return null;
        if (b.kind === 'arena') return this.arena(arena++, b.bytes);
        if (b.kind === 'state') {
          let m = this.states.get(b.name);
          if (!m) {
            m = this.memory(b.name, b.bytes);
            this.states.set(b.name, m);
            newStates.push(b.name);
          }
          return m;
        }
        const m = this.memory(`${plan.name}/${b.name}`, b.bytes);
        owned.push(m);
        return m;
      });
      for (const s of plan.state) {
        if (this.slots.has(s.name)) continue;
        this.slots.set(s.name, {
          name: s.name,
          dtype: s.dtype,
          stored: s.stored,
          shape: s.shape,
          offset: s.offset,
          memory: memories[s.buffer]!,
          bufferName: plan.buffers[s.buffer]!.name,
        });
        newSlots.push(s);
      }
      const ready = await pipelines;
      await this.owner.settle();
      this.check();
      for (const s of newSlots) {
        if (s.initial !== null)
          this.owner.write(memories[s.buffer]!.buffer, s.offset, compiled.blob.subarray(s.initial, s.initial + elementsOf(s.shape) * storedBytesOf(s)));
      }
      plan.buffers.forEach((b, i) => {
        if (b.kind === 'constant') this.owner.write(memories[i]!.buffer, 0, compiled.blob.subarray(b.blobOffset!, b.blobOffset! + b.bytes));
      });
      const loaded = new WebGpuPlan(this, compiled, ready, memories, owned);
      this.plans.add(loaded);
      return loaded;
    } catch (e) {
      for (const m of owned) m.buffer.destroy();
      for (const s of newSlots) this.slots.delete(s.name);
      for (const name of newStates) {
        this.states.get(name)?.buffer.destroy();
        this.states.delete(name);
      }
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

  private checkState(plan: Plan): void {
    const describe = (s: { dtype: PlanDType; shape: readonly number[]; offset: number; bufferName: string }) =>
      `${s.dtype}[${s.shape.join(',')}] at byte ${s.offset} of buffer '${s.bufferName}'`;
    for (const s of plan.state) {
      const mine = this.slots.get(s.name);
      const theirs = describe({ ...s, bufferName: plan.buffers[s.buffer]!.name });
      if (mine && describe(mine) !== theirs)
        throw new ModelFormatError(
          `plan '${plan.name}' has state '${s.name}' as ${theirs}; this session holds it as ${describe(mine)}: compile both plans together`,
        );
    }
    for (const b of plan.buffers) {
      const mine = b.kind === 'state' ? this.states.get(b.name) : undefined;
      if (mine && mine.bytes !== b.bytes)
        throw new ModelFormatError(`plan '${plan.name}' has a state buffer '${b.name}' of ${b.bytes} bytes; this session holds one of ${mine.bytes}`);
    }
  }

  /** The arena at a position, grown where the plan needs more. Its contents survive, so that outputs can still be read. */
  private arena(position: number, bytes: number): Memory {
    const old = this.arenas[position];
    if (old && old.bytes >= bytes) return old;
    const grown = this.memory(`arena ${position}`, bytes);
    if (old) {
      const encoder = this.owner.gpu.createCommandEncoder();
      encoder.copyBufferToBuffer(old.buffer, 0, grown.buffer, 0, old.buffer.size);
      this.owner.gpu.queue.submit([encoder.finish()]);
      for (const p of this.plans) p.replace(old, grown);
      old.buffer.destroy();
    }
    this.arenas[position] = grown;
    return grown;
  }

  hasState(name: string): boolean {
    return this.slots.has(name);
  }

  private slot(name: string): Slot {
    const s = this.slots.get(name);
    if (!s) throw new ArgumentError(`the session has no state '${name}'; it has ${quoted([...this.slots.keys()])}`);
    return s;
  }

  writeState(name: string, data: HostArray, offset = 0): void {
    this.check();
    const s = this.slot(name);
    if (!isHostArray(s.dtype, data))
      throw new ArgumentError(
        `state '${name}': ${s.dtype} data must be a ${hostTypeName(s.dtype)}, found ${(data as object)?.constructor?.name ?? typeof data}`,
      );
    const n = elementsOf(s.shape);
    if (!Number.isInteger(offset) || offset < 0 || offset + data.length > n)
      throw new ArgumentError(`state '${name}' has ${n} elements; ${data.length} from element ${offset} on do not fit`);
    const unit = storedBytesOf(s);
    if ((offset * unit) % 4 !== 0 || ((data.length * unit) % 4 !== 0 && offset + data.length !== n))
      throw new ArgumentError(`state '${name}': a part of a ${s.dtype} slot must begin and end at a multiple of ${4 / unit} elements`);
    this.owner.write(s.memory.buffer, s.offset + offset * unit, encode(s, data));
    s.memory.version++;
  }

  async readState(name: string): Promise<HostArray> {
    this.check();
    const s = this.slot(name);
    return this.readBuffer(s.memory.buffer, s.offset, s, elementsOf(s.shape));
  }

  upload(dtype: PlanDType, shape: readonly number[], data: HostArray): WebGpuResident {
    this.check();
    checkUpload('upload', dtype, shape, data);
    const type = residentStorage(dtype);
    const bytes = data.length * storedBytesOf(type);
    const memory = this.memory(`data ${dtype}[${shape.join(',')}]`, bytes);
    this.owner.write(memory.buffer, 0, encode(type, data));
    const resident = new WebGpuResident(this, dtype, [...shape], memory, (r) => this.release(r));
    this.residents.add(resident);
    return resident;
  }

  rewrite(data: ResidentArray, contents: HostArray): void {
    this.check();
    if (!(data instanceof WebGpuResident) || data.owner !== this || data.disposed)
      throw new ArgumentError('rewrite: the data set is not one of this session, or was disposed');
    checkUpload('rewrite', data.dtype, data.shape, contents);
    this.owner.write(data.memory.buffer, 0, encode(residentStorage(data.dtype), contents));
  }

  private release(resident: WebGpuResident): void {
    this.residents.delete(resident);
    for (const p of this.plans) p.forget(resident.memory);
    resident.memory.buffer.destroy();
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

  remove(plan: WebGpuPlan): void {
    this.plans.delete(plan);
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    for (const p of [...this.plans]) p.dispose();
    for (const r of [...this.residents]) r.dispose();
    for (const m of [...this.states.values(), ...this.arenas]) m.buffer.destroy();
    for (const b of this.staging) b.destroy();
    this.states.clear();
    this.slots.clear();
    this.staging.length = 0;
    this.arenas.length = 0;
    this.onDispose();
  }
}
