/**
 * A session on WASM: all memory is ranges of the engine's one memory. Nothing is allocated by a run after a program's first one with the same symbols.
 */
import { BaseSession, type TakenMemory } from '../common/session.js';
import type { Device, HostArray } from '../device.js';
import { ArgumentError, LimitError, ModelFormatError } from '../errors.js';
import type { CompiledPlan, Plan, PlanDType } from '../plan.js';
import { forEachDispatch } from '../program.js';
import { decode, encodeInto, type StoredType, storedBytesOf } from '../storage.js';
import { validateCompiled } from '../validate.js';
import type { WasmDevice } from './device.js';
import type { Engine, LoadedModule } from './engine.js';
import type { Block } from './heap.js';
import { WasmPlan } from './loaded-plan.js';

const usesThreads = (plan: Plan): boolean => {
  let any = false;
  for (const p of plan.programs) for (const steps of [p.prepare, p.steps]) forEachDispatch(steps, (d) => (any ||= d.parallel || d.phase !== undefined));
  return any && plan.wasm?.threads === true;
};

export class WasmSession extends BaseSession<Block, WasmPlan> {
  readonly device: Device;
  private loading = 0;

  constructor(
    readonly owner: WasmDevice,
    readonly engine: Engine,
    /** `idle`: nothing uses the engine any more. */
    private readonly onDispose: (idle: boolean) => void,
  ) {
    super();
    this.device = owner;
  }

  protected checkDevice(): void {
    this.owner.check();
  }

  /** Memory filled with zeros. */
  memory(bytes: number, what: string): Block {
    this.owner.counters.buffersCreated++;
    return this.engine.heap.allocate(bytes, what);
  }

  protected allocate(bytes: number, _label: string, what: string): Block {
    return this.memory(bytes, what);
  }

  protected free(memory: Block): void {
    this.engine.heap.release(memory);
  }

  protected copy(from: Block, to: Block): void {
    this.engine.heap.bytes.copyWithin(to.address, from.address, from.address + from.bytes);
  }

  protected writeBytes(memory: Block, offset: number, bytes: Uint8Array): void {
    this.engine.heap.bytes.set(bytes, memory.address + offset);
  }

  protected write(memory: Block, offset: number, type: StoredType, data: HostArray): void {
    const address = memory.address + offset;
    encodeInto(type, data, this.engine.heap.bytes.subarray(address, address + data.length * storedBytesOf(type)));
    this.owner.counters.uploads++;
  }

  protected residentType(dtype: PlanDType): StoredType {
    return { dtype };
  }

  /** Any part of a slot can be written. */
  protected checkPart(): void {}

  async load(compiled: CompiledPlan): Promise<WasmPlan> {
    this.check();
    validateCompiled(compiled);
    const { plan } = compiled;
    this.checkTarget(plan, 'wasm');
    if (!compiled.wasm) throw new ArgumentError(`plan '${plan.name}' comes without its module`);
    if (plan.wasm?.relaxedSimd && !this.owner.relaxedSimd)
      throw new LimitError(`plan '${plan.name}' was compiled for relaxed SIMD, which this WebAssembly engine does not have: compile it without`);
    this.checkState(plan);
    const module = await this.moduleOf(plan, compiled.wasm);
    this.check();
    const taken: TakenMemory<Block> = { memories: [], owned: [], newStates: [], newSlots: [] };
    try {
      // Another load may have brought the same state meanwhile.
      this.checkState(plan);
      this.take(plan, taken);
      this.fill(compiled, taken);
      const loaded = new WasmPlan(this, compiled, module, taken.memories, taken.owned);
      this.plans.add(loaded);
      this.owner.counters.pipelinesCreated += plan.kernels.length;
      return loaded;
    } catch (e) {
      this.giveBack(taken);
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

  protected async readMemory(memory: Block, offset: number, type: StoredType, length: number): Promise<HostArray> {
    return this.readBlock(memory, offset, type, length);
  }

  /** A copy of elements. */
  readBlock(block: Block, offset: number, type: StoredType, length: number): HostArray {
    this.owner.counters.readbacks++;
    return decode(type, this.engine.heap.bytes.subarray(block.address + offset), length);
  }

  async finish(): Promise<void> {
    this.check();
  }

  /** The engine's memory goes as a whole. */
  protected disposeMemory(): void {
    this.onDispose(this.loading === 0);
  }
}
