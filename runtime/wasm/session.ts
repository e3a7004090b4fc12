/**
 * A session on WASM. In its memory: the plans' state buffers (shared by name), arenas (shared by position, as large as the largest plan needs), and per plan its prepared, constant and io
 * buffers, argument blocks and scratch memory. Nothing is allocated by a run after a program's first one with the same symbols.
 */
import type { Device, HostArray, ResidentArray, Session } from '../device.js';
import { ArgumentError, DisposedError, LimitError, ModelFormatError } from '../errors.js';
import type { CompiledPlan, Plan, PlanDType, PlanState } from '../plan.js';
import { checkUpload, elementsOf, forEachDispatch, quoted } from '../program.js';
import { decode, encodeInto, hostTypeName, isHostArray, type StoredType, storageBytes, storedBytesOf } from '../storage.js';
import { validateCompiled } from '../validate.js';
import type { WasmDevice } from './device.js';
import type { Engine, LoadedModule } from './engine.js';
import type { Block } from './heap.js';
import { WasmPlan } from './loaded-plan.js';
import { WasmResident } from './resident.js';

interface Slot {
  readonly name: string;
  readonly dtype: PlanDType;
  readonly stored?: PlanDType | undefined;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly memory: Block;
  readonly bufferName: string;
}

const usesThreads = (plan: Plan): boolean => {
  let any = false;
  for (const p of plan.programs) for (const steps of [p.prepare, p.steps]) forEachDispatch(steps, (d) => (any ||= d.parallel));
  return any && plan.wasm?.threads === true;
};

export class WasmSession implements Session {
  readonly device: Device;
  private readonly states = new Map<string, Block>();
  private readonly stateBytes = new Map<string, number>();
  private readonly slots = new Map<string, Slot>();
  private readonly arenas: Block[] = [];
  private readonly residents = new Set<WasmResident>();
  private readonly plans = new Set<WasmPlan>();
  /** The program whose results lie in the arena. */
  arenaUser: object | null = null;
  private disposed = false;
  private loading = 0;

  constructor(
    readonly owner: WasmDevice,
    readonly engine: Engine,
    /** `idle`: nothing uses the engine any more. */
    private readonly onDispose: (idle: boolean) => void,
  ) {
    this.device = owner;
  }

  check(): void {
    if (this.disposed) throw new DisposedError('the session was disposed');
    this.owner.check();
  }

  /** Memory filled with zeros. */
  memory(bytes: number, what: string): Block {
    this.owner.counters.buffersCreated++;
    return this.engine.heap.allocate(bytes, what);
  }

  async load(compiled: CompiledPlan): Promise<WasmPlan> {
    this.check();
    validateCompiled(compiled);
    const { plan } = compiled;
    if (plan.target !== 'wasm' || !compiled.wasm) throw new ArgumentError(`plan '${plan.name}' was compiled for ${plan.target}; this session is on wasm`);
    if (plan.wasm?.relaxedSimd && !this.owner.relaxedSimd)
      throw new LimitError(`plan '${plan.name}' was compiled for relaxed SIMD, which this WebAssembly engine does not have: compile it without`);
    this.checkState(plan);
    const module = await this.moduleOf(plan, compiled.wasm);
    this.check();
    // Another load may have brought the same state meanwhile.
    const owned: Block[] = [];
    const newStates: string[] = [];
    const newSlots: PlanState[] = [];
    try {
      this.checkState(plan);
      let arena = 0;
      const memories = plan.buffers.map((b): Block | null => {
        if (b.kind === 'input') return null;
        if (b.kind === 'arena') return this.arena(arena++, b.bytes);
        const what = `${b.kind} buffer '${b.name}' of plan '${plan.name}'`;
        if (b.kind === 'state') {
          let m = this.states.get(b.name);
          if (!m) {
            m = this.memory(b.bytes, what);
            this.states.set(b.name, m);
            this.stateBytes.set(b.name, b.bytes);
            newStates.push(b.name);
          }
          return m;
        }
        const m = this.memory(b.bytes, what);
        owned.push(m);
        return m;
      });
      const { bytes } = this.engine.heap;
      for (const s of plan.state) {
        if (this.slots.has(s.name)) continue;
        const memory = memories[s.buffer]!;
        this.slots.set(s.name, {
          name: s.name,
          dtype: s.dtype,
          stored: s.stored,
          shape: s.shape,
          offset: s.offset,
          memory,
          bufferName: plan.buffers[s.buffer]!.name,
        });
        newSlots.push(s);
        if (s.initial !== null) bytes.set(compiled.blob.subarray(s.initial, s.initial + elementsOf(s.shape) * storedBytesOf(s)), memory.address + s.offset);
      }
      plan.buffers.forEach((b, i) => {
        if (b.kind === 'constant') bytes.set(compiled.blob.subarray(b.blobOffset!, b.blobOffset! + b.bytes), memories[i]!.address);
      });
      const loaded = new WasmPlan(this, compiled, module, memories, owned);
      this.plans.add(loaded);
      this.owner.counters.pipelinesCreated += plan.kernels.length;
      return loaded;
    } catch (e) {
      for (const m of owned) this.engine.heap.release(m);
      for (const s of newSlots) this.slots.delete(s.name);
      for (const name of newStates) {
        this.engine.heap.release(this.states.get(name)!);
        this.states.delete(name);
      }
      this.engine.unload(module);
      throw e;
    }
  }

  private async moduleOf(plan: Plan, bytes: Uint8Array): Promise<LoadedModule> {
    this.loading++;
    try {
      return await this.engine.load(bytes, plan.wasm?.scratchBytes ?? 0, usesThreads(plan));
    } catch (e) {
      if (e instanceof WebAssembly.CompileError || e instanceof WebAssembly.LinkError)
        throw new ModelFormatError(`the module of plan '${plan.name}' does not fit this host: ${e.message}`, { cause: e });
      throw e;
    } finally {
      this.loading--;
    }
  }

  private checkState(plan: Plan): void {
    const describe = (s: { dtype: PlanDType; stored?: PlanDType; shape: readonly number[]; offset: number; bufferName: string }) =>
      `${s.dtype}${s.stored ? ` stored as ${s.stored}` : ''}[${s.shape.join(',')}] at byte ${s.offset} of buffer '${s.bufferName}'`;
    for (const s of plan.state) {
      const mine = this.slots.get(s.name);
      const theirs = describe({ ...s, bufferName: plan.buffers[s.buffer]!.name });
      if (mine && describe(mine) !== theirs)
        throw new ModelFormatError(
          `plan '${plan.name}' has state '${s.name}' as ${theirs}; this session holds it as ${describe(mine)}: compile both plans together`,
        );
    }
    for (const b of plan.buffers) {
      const mine = b.kind === 'state' ? this.stateBytes.get(b.name) : undefined;
      if (mine !== undefined && this.states.has(b.name) && mine !== b.bytes)
        throw new ModelFormatError(`plan '${plan.name}' has a state buffer '${b.name}' of ${b.bytes} bytes; this session holds one of ${mine}`);
    }
  }

  /** The arena at a position, grown where the plan needs more. Its contents survive, so that outputs can still be read. */
  private arena(position: number, bytes: number): Block {
    const old = this.arenas[position];
    if (old && old.bytes >= bytes) return old;
    const grown = this.memory(bytes, 'the arena');
    if (old) {
      this.engine.heap.bytes.copyWithin(grown.address, old.address, old.address + old.bytes);
      for (const p of this.plans) p.replace(old, grown);
      this.engine.heap.release(old);
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
    this.write(s.memory.address + s.offset + offset * storedBytesOf(s), s, data);
    s.memory.version++;
  }

  private write(address: number, type: StoredType, data: HostArray): void {
    encodeInto(type, data, this.engine.heap.bytes.subarray(address, address + data.length * storedBytesOf(type)));
    this.owner.counters.uploads++;
  }

  async readState(name: string): Promise<HostArray> {
    this.check();
    const s = this.slot(name);
    return this.readBlock(s.memory, s.offset, s, elementsOf(s.shape));
  }

  /** A copy of elements. */
  readBlock(block: Block, offset: number, type: StoredType, length: number): HostArray {
    this.owner.counters.readbacks++;
    return decode(type, this.engine.heap.bytes.subarray(block.address + offset), length);
  }

  upload(dtype: PlanDType, shape: readonly number[], data: HostArray): WasmResident {
    this.check();
    checkUpload('upload', dtype, shape, data);
    const memory = this.memory(data.length * storageBytes[dtype], `a data set ${dtype}[${shape.join(',')}]`);
    this.write(memory.address, { dtype }, data);
    const resident = new WasmResident(this, dtype, [...shape], memory, (r) => this.release(r));
    this.residents.add(resident);
    return resident;
  }

  rewrite(data: ResidentArray, contents: HostArray): void {
    this.check();
    if (!(data instanceof WasmResident) || data.owner !== this || data.disposed)
      throw new ArgumentError('rewrite: the data set is not one of this session, or was disposed');
    checkUpload('rewrite', data.dtype, data.shape, contents);
    this.write(data.memory.address, { dtype: data.dtype }, contents);
  }

  private release(resident: WasmResident): void {
    this.residents.delete(resident);
    for (const p of this.plans) p.replace(resident.memory, null);
    this.engine.heap.release(resident.memory);
  }

  async finish(): Promise<void> {
    this.check();
  }

  remove(plan: WasmPlan): void {
    this.plans.delete(plan);
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    for (const p of [...this.plans]) p.dispose();
    for (const r of [...this.residents]) r.dispose();
    this.states.clear();
    this.slots.clear();
    this.arenas.length = 0;
    this.onDispose(this.loading === 0);
  }
}
