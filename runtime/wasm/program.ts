/**
 * A program on WASM. Its steps are laid out flat (loops unrolled) as a list of dispatches in memory, with an argument block each; list and blocks are written once for all, when symbols or
 * bound data sets change. A run is one call of the module's driver with the list and the number of repetitions. The prepare steps lie before the steps in the same list.
 */
import type { RunOptions } from '../device.js';
import { ArgumentError, DeviceError, DisposedError, messageOf, RuntimeInternalError } from '../errors.js';
import { evalSize, type PlanDispatch, type PlanProgram, type PlanStep, type SizeExpr } from '../plan.js';
import { analyse, bindSymbols, checkNames, hostInput, type ProgramInfo, residentInput, shapeOf, symbolRecord } from '../program.js';
import { encodeInto } from '../storage.js';
import { mostChunks } from './control.js';
import type { Block } from './heap.js';
import type { WasmPlan } from './loaded-plan.js';
import { WasmResident } from './resident.js';

const entryWords = 4;
/** Chunks that each thread takes on average: more even out threads of different speed, fewer cost less. */
const chunksPerThread = 4;

/**
 * Microseconds of one thread that must be there to share before sleeping workers are woken: waking takes 10 to 40 of them. Shorter runs (one sample through a small model) use workers only while they are
 * awake.
 */
const worthWaking = 100;
/** A rough time on one thread, from operations and bytes written, in microseconds. */
const microseconds = (d: PlanDispatch, scope: Readonly<Record<string, number>>): number =>
  Math.max(evalSize(d.figures.flops, scope) / 40000, evalSize(d.figures.bytesWritten, scope) / 10000);

const same = (a: readonly unknown[], b: readonly unknown[]): boolean => {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
};

function mentions(e: SizeExpr, symbols: readonly string[]): boolean {
  if (typeof e === 'number') return false;
  return 'symbol' in e ? symbols.includes(e.symbol) : e.args.some((a) => mentions(a, symbols));
}

/** Words that are built up and copied to the device's memory at once. */
class Words {
  data = new Uint32Array(256);
  length = 0;

  push(word: number): void {
    if (this.length === this.data.length) {
      const more = new Uint32Array(this.data.length * 2);
      more.set(this.data);
      this.data = more;
    }
    this.data[this.length++] = word;
  }
}

export class WasmProgram {
  readonly info: ProgramInfo;
  private values: number[] = [];
  private readonly next: number[] = [];
  private symbols: Record<string, number> = {};
  private inputShapes: number[][] = [];
  private outputShapes: number[][] = [];
  private residents: (WasmResident | null)[];
  private ran = false;
  private encoded = false;
  /** Argument blocks. Entries name them by word index until their address is known. */
  private readonly blocks = new Words();
  private readonly entries = new Words();
  private memory: Block | null = null;
  private table = 0;
  private prepareEntries = 0;
  private stepEntries = 0;
  /** Microseconds of work that threads can share, in one run of the steps. */
  private splitWork = 0;
  private preparedFor: readonly number[] | null = null;
  /** The steps write state that the prepare steps read: every repetition prepares anew. */
  private readonly preparesEach: boolean;

  constructor(
    private readonly plan: WasmPlan,
    program: PlanProgram,
  ) {
    this.info = analyse(plan.compiled.plan, program);
    this.residents = program.inputs.map(() => null);
    this.preparesEach = this.info.statePrepared.some((b) => this.info.stateWritten.includes(b));
    // Memory for the list is taken at load, for the largest sizes.
    this.values = [...this.info.symbolMax];
    this.symbols = symbolRecord(this.info, this.values);
    if (program.inputs.every((i) => !i.resident)) this.encode();
  }

  run(options: RunOptions | undefined): void {
    const { info } = this;
    const { program } = info;
    // Everything is checked before anything changes, so that a refused call leaves the program usable.
    checkNames(info, options);
    bindSymbols(info, options?.symbols, this.next);
    const sameSymbols = same(this.next, this.values);
    const changed = !this.ran || !sameSymbols;
    const symbols = changed ? symbolRecord(info, this.next) : this.symbols;
    const shapes = changed ? program.inputs.map((i) => shapeOf(i, symbols)) : this.inputShapes;
    const data = program.inputs.map((input, i) =>
      input.resident ? this.checkResident(options, i, shapes[i]!) : hostInput(program, input, shapes[i]!, options),
    );
    if (!sameSymbols) {
      this.encoded = false;
      this.values = [...this.next];
      this.symbols = symbols;
    }
    if (info.resident.length > 0) {
      const residents = data.map((d) => (d instanceof WasmResident ? d : null));
      if (!same(residents, this.residents)) this.encoded = false;
      this.residents = residents;
    }
    if (changed) {
      this.inputShapes = shapes;
      this.outputShapes = program.outputs.map((o) => shapeOf(o, symbols));
    }
    if (!this.encoded) this.encode();
    const { session } = this.plan;
    const { heap } = session.engine;
    for (let i = 0; i < data.length; i++) {
      const d = data[i]!;
      if (d instanceof WasmResident) continue;
      const input = program.inputs[i]!;
      encodeInto(input, d, heap.bytes.subarray(this.memoryOf(input.buffer).address + input.offset));
      session.owner.counters.uploads++;
    }
    this.call(options?.repeat ?? 1);
    for (const b of info.stateWritten) this.plan.memories[b]!.version++;
    this.ran = true;
    session.arenaUser = this;
  }

  private call(repeat: number): void {
    const { module, session } = this.plan;
    const { counters } = session.owner;
    const { pool } = session.engine;
    const run = (withPrepare: boolean, times: number): void => {
      if (times === 0) return;
      const first = withPrepare ? 0 : this.prepareEntries;
      const count = this.prepareEntries + this.stepEntries - first;
      try {
        module.run(this.table + first * entryWords * 4, count, times);
      } catch (cause) {
        throw new DeviceError(
          `a kernel of program '${this.info.program.name}' failed: ${messageOf(cause)}; its results and the state it writes are undefined`,
          { cause },
        );
      }
      counters.submits++;
      counters.dispatches += count * times;
    };
    const stale = this.isStale();
    if (module.threads) pool!.select(module.index, stale || this.splitWork * repeat >= worthWaking);
    if (stale && this.preparesEach) run(true, repeat);
    else {
      if (stale) run(true, 1);
      run(false, stale ? repeat - 1 : repeat);
    }
    if (stale) this.preparedFor = this.prepareState();
    pool?.check();
  }

  /** Whether prepared memory is out of date. */
  private isStale(): boolean {
    if (this.prepareEntries === 0) return false;
    const old = this.preparedFor;
    if (old === null) return true;
    const { prepareSymbols, statePrepared } = this.info;
    for (let i = 0; i < prepareSymbols.length; i++) if (old[i] !== this.symbols[prepareSymbols[i]!]) return true;
    for (let i = 0; i < statePrepared.length; i++) if (old[prepareSymbols.length + i] !== this.plan.memories[statePrepared[i]!]!.version) return true;
    return false;
  }

  /** What prepared memory depends on: the values of its symbols and the versions of the state it was made of. */
  private prepareState(): readonly number[] {
    return [...this.info.prepareSymbols.map((s) => this.symbols[s]!), ...this.info.statePrepared.map((b) => this.plan.memories[b]!.version)];
  }

  private checkResident(options: RunOptions | undefined, i: number, shape: readonly number[]): WasmResident {
    const input = this.info.program.inputs[i]!;
    const data = residentInput(this.info.program, input, shape, options);
    if (!(data instanceof WasmResident) || data.owner !== this.plan.session)
      throw new ArgumentError(`resident input '${input.name}' was not uploaded by this session`);
    if (data.disposed) throw new DisposedError(`resident input '${input.name}' was disposed`);
    return data;
  }

  // ---- the list

  private encode(): void {
    const { program } = this.info;
    const { heap } = this.plan.session.engine;
    const scope = { ...this.symbols };
    this.blocks.length = 0;
    this.entries.length = 0;
    this.flatten(program.prepare, scope, [], new Map());
    this.prepareEntries = this.entries.length / entryWords;
    this.splitWork = 0;
    this.flatten(program.steps, scope, [], new Map());
    this.stepEntries = this.entries.length / entryWords - this.prepareEntries;
    const bytes = 4 * (this.entries.length + this.blocks.length);
    if (!this.memory || this.memory.bytes < bytes) {
      if (this.memory) heap.release(this.memory);
      this.memory = this.plan.session.memory(bytes, `the argument blocks of '${this.plan.compiled.plan.name}/${program.name}'`);
    }
    this.table = this.memory.address;
    const firstBlock = this.table + 4 * this.entries.length;
    for (let e = 1; e < this.entries.length; e += entryWords) this.entries.data[e] = firstBlock + 4 * this.entries.data[e]!;
    heap.words.set(this.entries.data.subarray(0, this.entries.length), this.table / 4);
    heap.words.set(this.blocks.data.subarray(0, this.blocks.length), firstBlock / 4);
    this.encoded = true;
  }

  /** `loops`: symbols of the loops around, which make a block differ between iterations. `shared`: blocks of the dispatches that do not depend on them. */
  private flatten(steps: readonly PlanStep[], scope: Record<string, number>, loops: readonly string[], shared: Map<PlanDispatch, number>): void {
    for (const s of steps) {
      if (s.kind === 'dispatch') {
        this.flattenDispatch(s, scope, loops, shared);
        continue;
      }
      const count = evalSize(s.count, scope);
      for (let i = 0; i < count; i++) {
        scope[s.symbol] = s.reverse ? count - 1 - i : i;
        this.flatten(s.body, scope, [...loops, s.symbol], shared);
      }
      delete scope[s.symbol];
    }
  }

  private flattenDispatch(d: PlanDispatch, scope: Readonly<Record<string, number>>, loops: readonly string[], shared: Map<PlanDispatch, number>): void {
    const kernel = this.plan.compiled.plan.kernels[d.kernel]!;
    const groups = d.groups.map((g) => evalSize(g, scope));
    const total = groups.reduce((a, g) => a * Math.max(0, g), 1);
    if (total === 0) return;
    if (total > 0x7fffffff)
      throw new RuntimeInternalError(`kernel '${kernel.name}' (${d.label}) is dispatched with ${groups.join(' x ')} groups, which is more than WASM counts`);
    const varies = kernel.symbols.some((s) => loops.includes(s)) || d.groups.some((g) => mentions(g, loops));
    let block = varies ? undefined : shared.get(d);
    if (block === undefined) {
      block = this.blocks.length;
      kernel.args.forEach((a, i) => this.blocks.push(this.memoryOf(d.buffers[a.binding]!).address + d.offsets[i]!));
      for (const s of kernel.symbols) this.blocks.push(scope[s]!);
      for (const g of groups) this.blocks.push(g);
      shared.set(d, block);
    }
    const { threads } = this.plan.session.engine;
    const chunk = Math.ceil(total / Math.min(threads * chunksPerThread, mostChunks));
    const split = d.parallel && this.plan.module.threads && chunk < total;
    if (split) this.splitWork += microseconds(d, scope);
    for (const w of [kernel.code, block, total, split ? chunk : 0]) this.entries.push(w);
  }

  /** The memory behind a plan buffer, for the current run. */
  memoryOf(buffer: number): Block {
    const own = this.plan.memories[buffer];
    if (own) return own;
    const i = this.info.program.inputs.findIndex((x) => x.resident && x.buffer === buffer);
    const resident = this.residents[i];
    if (!resident) throw new RuntimeInternalError(`buffer '${this.plan.compiled.plan.buffers[buffer]!.name}' is bound to no data`);
    if (resident.disposed) throw new DisposedError(`resident input '${this.info.program.inputs[i]!.name}' was disposed`);
    return resident.memory;
  }

  outputShape(index: number): number[] {
    if (!this.ran) throw new ArgumentError(`program '${this.info.program.name}' has not run yet`);
    return [...this.outputShapes[index]!];
  }

  /** Memory moved or went away: the list is written anew before the next run. */
  forget(memory: Block): void {
    this.encoded = false;
    this.residents = this.residents.map((r) => (r?.memory === memory ? null : r));
  }

  dispose(): void {
    if (this.memory) this.plan.session.engine.heap.release(this.memory);
    this.memory = null;
  }
}
