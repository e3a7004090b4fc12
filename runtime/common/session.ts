/**
 * What a session on every device does: it owns the memory of state (shared by name between plans), of arenas (shared by position, as large as the largest plan needs) and of data
 * sets, and checks what is asked of it. Targets say how memory is made, written, copied and freed.
 */
import type { Device, HostArray, LoadedPlan, ResidentArray, Session } from '../device.js';
import { ArgumentError, DisposedError, ModelFormatError } from '../errors.js';
import type { CompiledPlan, Plan, PlanBuffer, PlanDType, PlanState } from '../plan.js';
import { checkUpload, elementsOf, quoted } from '../program.js';
import { hostTypeName, isHostArray, type StoredType, storedBytesOf } from '../storage.js';
import { type DeviceMemory, Resident } from './resident.js';

interface Slot<M> {
  readonly name: string;
  readonly dtype: PlanDType;
  readonly stored?: PlanDType | undefined;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly memory: M;
  readonly bufferName: string;
}

/** Memory for a plan's buffers, taken while it is loaded. */
export interface TakenMemory<M> {
  /** By Plan.buffers index; null for inputs. */
  readonly memories: (M | null)[];
  /** Of the plan alone. */
  readonly owned: M[];
  readonly newStates: string[];
  readonly newSlots: PlanState[];
}

interface SessionPlan<M> extends LoadedPlan {
  replace(old: M, grown: M): void;
  forget(memory: M): void;
}

export abstract class BaseSession<M extends DeviceMemory, P extends SessionPlan<M>> implements Session {
  /** The program whose results lie in the arena. */
  arenaUser: object | null = null;
  /** State buffers, and their bytes by the plans (memory may be larger). */
  protected readonly states = new Map<string, { readonly memory: M; readonly bytes: number }>();
  protected readonly plans = new Set<P>();
  protected readonly arenas: M[] = [];
  protected disposed = false;
  private readonly slots = new Map<string, Slot<M>>();
  private readonly residents = new Map<ResidentArray, Resident<M>>();

  abstract readonly device: Device;
  abstract load(compiled: CompiledPlan): Promise<LoadedPlan>;
  abstract finish(): Promise<void>;
  protected abstract checkDevice(): void;
  /** Memory filled with zeros. `label` names it to tools, `what` in errors. */
  protected abstract allocate(bytes: number, label: string, what: string): M;
  protected abstract free(memory: M): void;
  protected abstract copy(from: M, to: M): void;
  /** Writes stored bytes. */
  protected abstract writeBytes(memory: M, offset: number, bytes: Uint8Array): void;
  /** Writes host data as it is stored. */
  protected abstract write(memory: M, offset: number, type: StoredType, data: HostArray): void;
  protected abstract readMemory(memory: M, offset: number, type: StoredType, length: number): Promise<HostArray>;
  /** How a data set's elements are stored. */
  protected abstract residentType(dtype: PlanDType): StoredType;
  /** Throws where a part of a slot cannot be written on its own. */
  protected abstract checkPart(name: string, type: StoredType, offset: number, length: number, elements: number): void;
  /** Frees what is left when plans and data sets are gone. */
  protected abstract disposeMemory(): void;

  check(): void {
    if (this.disposed) throw new DisposedError('the session was disposed');
    this.checkDevice();
  }

  // ---- loading

  protected checkTarget(plan: Plan, target: Plan['target']): void {
    if (plan.target !== target) throw new ArgumentError(`plan '${plan.name}' was compiled for ${plan.target}; this session is on ${target}`);
  }

  /** Throws where a plan and the plans before do not agree about state. */
  protected checkState(plan: Plan): void {
    const describe = (s: { dtype: PlanDType; stored?: PlanDType | undefined; shape: readonly number[]; offset: number; bufferName: string }): string =>
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
      const mine = b.kind === 'state' ? this.states.get(b.name) : undefined;
      if (mine && mine.bytes !== b.bytes)
        throw new ModelFormatError(`plan '${plan.name}' has a state buffer '${b.name}' of ${b.bytes} bytes; this session holds one of ${mine.bytes}`);
    }
  }

  /** Takes memory for a plan's buffers and names its state into `taken`, which `giveBack` undoes. */
  protected take(plan: Plan, taken: TakenMemory<M>): void {
    let arena = 0;
    for (const b of plan.buffers)
      taken.memories.push(b.kind === 'input' ? null : b.kind === 'arena' ? this.arena(arena++, b.bytes) : this.takeBuffer(plan, b, taken));
    for (const s of plan.state) {
      if (this.slots.has(s.name)) continue;
      const { name, dtype, stored, shape, offset } = s;
      this.slots.set(name, { name, dtype, stored, shape, offset, memory: taken.memories[s.buffer]!, bufferName: plan.buffers[s.buffer]!.name });
      taken.newSlots.push(s);
    }
  }

  private takeBuffer(plan: Plan, b: PlanBuffer, taken: TakenMemory<M>): M {
    const what = `${b.kind} buffer '${b.name}' of plan '${plan.name}'${largestPart(plan, b)}`;
    if (b.kind !== 'state') {
      const memory = this.allocate(b.bytes, `${plan.name}/${b.name}`, what);
      taken.owned.push(memory);
      return memory;
    }
    const old = this.states.get(b.name);
    if (old) return old.memory;
    const memory = this.allocate(b.bytes, b.name, what);
    this.states.set(b.name, { memory, bytes: b.bytes });
    taken.newStates.push(b.name);
    return memory;
  }

  /** Writes constants, and the initial contents of state that the plan brought. */
  protected fill({ plan, blob }: CompiledPlan, taken: TakenMemory<M>): void {
    for (const s of taken.newSlots) {
      if (s.initial === null) continue;
      this.writeBytes(taken.memories[s.buffer]!, s.offset, blob.subarray(s.initial, s.initial + elementsOf(s.shape) * storedBytesOf(s)));
    }
    plan.buffers.forEach((b, i) => {
      if (b.kind === 'constant') this.writeBytes(taken.memories[i]!, 0, blob.subarray(b.blobOffset!, b.blobOffset! + b.bytes));
    });
  }

  /** After a load that failed. */
  protected giveBack(taken: TakenMemory<M>): void {
    for (const m of taken.owned) this.free(m);
    for (const s of taken.newSlots) this.slots.delete(s.name);
    for (const name of taken.newStates) {
      const state = this.states.get(name);
      if (state) this.free(state.memory);
      this.states.delete(name);
    }
  }

  /** The arena at a position, grown where the plan needs more. Its contents survive, so that outputs can still be read. */
  private arena(position: number, bytes: number): M {
    const old = this.arenas[position];
    if (old && old.bytes >= bytes) return old;
    const grown = this.allocate(bytes, `arena ${position}`, 'the arena');
    if (old) {
      this.copy(old, grown);
      for (const p of this.plans) p.replace(old, grown);
      this.free(old);
    }
    this.arenas[position] = grown;
    return grown;
  }

  remove(plan: P): void {
    this.plans.delete(plan);
  }

  // ---- state

  hasState(name: string): boolean {
    return this.slots.has(name);
  }

  private slot(name: string): Slot<M> {
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
    this.checkPart(name, s, offset, data.length, n);
    this.write(s.memory, s.offset + offset * storedBytesOf(s), s, data);
    s.memory.version++;
  }

  async readState(name: string): Promise<HostArray> {
    this.check();
    const s = this.slot(name);
    return this.readMemory(s.memory, s.offset, s, elementsOf(s.shape));
  }

  // ---- data sets

  upload(dtype: PlanDType, shape: readonly number[], data: HostArray): Resident<M> {
    this.check();
    checkUpload('upload', dtype, shape, data);
    const type = this.residentType(dtype);
    const described = `${dtype}[${shape.join(',')}]`;
    const memory = this.allocate(data.length * storedBytesOf(type), `data ${described}`, `a data set ${described}`);
    this.write(memory, 0, type, data);
    const resident = new Resident(this, dtype, [...shape], memory, (r) => {
      this.residents.delete(r);
      for (const p of this.plans) p.forget(memory);
      this.free(memory);
    });
    this.residents.set(resident, resident);
    return resident;
  }

  residentOf(data: ResidentArray): Resident<M> | undefined {
    return this.residents.get(data);
  }

  rewrite(data: ResidentArray, contents: HostArray): void {
    this.check();
    const resident = this.residentOf(data);
    if (!resident) throw new ArgumentError('rewrite: the data set is not one of this session, or was disposed');
    checkUpload('rewrite', resident.dtype, resident.shape, contents);
    this.write(resident.memory, 0, this.residentType(resident.dtype), contents);
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    for (const p of [...this.plans]) p.dispose();
    for (const r of [...this.residents.values()]) r.dispose();
    this.disposeMemory();
    this.states.clear();
    this.slots.clear();
    this.arenas.length = 0;
  }
}

/** The largest weight in a buffer of state, for messages. */
function largestPart(plan: Plan, b: PlanBuffer): string {
  const parts = plan.state.flatMap((s) => (plan.buffers[s.buffer] === b ? s.views.map((v) => ({ ...v, size: elementsOf(v.shape) })) : []));
  const [first] = parts.sort((x, y) => y.size - x.size);
  return first && parts.length > 0 ? ` (its largest part is '${first.name}' of shape [${first.shape.join(',')}])` : '';
}
