/**
 * A program on WASM. Its steps are laid out flat (loops unrolled) as a list of dispatches in memory, with an argument block each; list and blocks are written once for all, when symbols or
 * bound data sets change. A run is one call of the module's driver with the list and the number of repetitions. The prepare steps lie before the steps in the same list.
 */
import { BaseProgram } from '../common/program.js';
import type { HostArray } from '../device.js';
import { DeviceError, messageOf, RuntimeInternalError } from '../errors.js';
import { evalSize, type PlanDispatch, type PlanProgram, type PlanStep, type SizeExpr } from '../plan.js';
import { encodeInto } from '../storage.js';
import { mostChunks, mostPhases } from './control.js';
import type { Block } from './heap.js';
import type { WasmPlan } from './loaded-plan.js';

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

export class WasmProgram extends BaseProgram<Block, WasmPlan> {
  /** Argument blocks. Entries name them by word index until their address is known. */
  private readonly blocks = new Words();
  private readonly entries = new Words();
  private memory: Block | null = null;
  private table = 0;
  private prepareEntries = 0;
  private stepEntries = 0;
  /** Microseconds of work that threads can share, in one run of the steps. */
  private splitWork = 0;

  constructor(plan: WasmPlan, program: PlanProgram) {
    super(plan, program);
    this.encodeAtLoad();
  }

  protected hasPrepare(): boolean {
    return this.prepareEntries > 0;
  }

  protected writeInput(index: number, data: HostArray): void {
    const { session } = this.plan;
    const input = this.info.program.inputs[index]!;
    encodeInto(input, data, session.engine.heap.bytes.subarray(this.memoryOf(input.buffer).address + input.offset));
    session.owner.counters.uploads++;
  }

  protected submit(repeat: number, stale: boolean): void {
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
    if (module.threads) pool!.select(module.index, stale || this.splitWork * repeat >= worthWaking);
    if (stale && this.preparesEach) run(true, repeat);
    else {
      if (stale) run(true, 1);
      run(false, stale ? repeat - 1 : repeat);
    }
    pool?.check();
  }

  // ---- the list

  protected encode(): void {
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
  }

  /** `loops`: symbols of the loops around, which make a block differ between iterations. `known`: blocks of the dispatches that do not depend on them. */
  private flatten(steps: readonly PlanStep[], scope: Record<string, number>, loops: readonly string[], known: Map<PlanDispatch, number>): void {
    for (const s of steps) {
      if (s.kind === 'dispatch') {
        this.flattenDispatch(s, scope, loops, known);
        continue;
      }
      const count = evalSize(s.count, scope);
      for (let i = 0; i < count; i++) {
        scope[s.symbol] = s.reverse ? count - 1 - i : i;
        this.flatten(s.body, scope, [...loops, s.symbol], known);
      }
      delete scope[s.symbol];
    }
  }

  private flattenDispatch(d: PlanDispatch, scope: Readonly<Record<string, number>>, loops: readonly string[], known: Map<PlanDispatch, number>): void {
    const kernel = this.plan.compiled.plan.kernels[d.kernel]!;
    const groups = d.groups.map((g) => evalSize(g, scope));
    const total = groups.reduce((a, g) => a * Math.max(0, g), 1);
    if (total === 0) return;
    if (total > 0x7fffffff)
      throw new RuntimeInternalError(`kernel '${kernel.name}' (${d.label}) is dispatched with ${groups.join(' x ')} groups, which is more than WASM counts`);
    const varies = kernel.symbols.some((s) => loops.includes(s)) || d.groups.some((g) => mentions(g, loops));
    let block = varies ? undefined : known.get(d);
    if (block === undefined) {
      block = this.blocks.length;
      kernel.args.forEach((a, i) => this.blocks.push(this.memoryOf(d.buffers[a.binding]!).address + d.offsets[i]!));
      for (const s of kernel.symbols) this.blocks.push(scope[s]!);
      for (const g of groups) this.blocks.push(g);
      known.set(d, block);
    }
    const { threads } = this.plan.session.engine;
    const chunk = Math.ceil(total / Math.min(threads * chunksPerThread, mostChunks));
    const shared = this.plan.module.threads;
    const inPhases = shared && d.phase !== undefined && d.phase > 1 && total % d.phase === 0 && total / d.phase <= mostPhases;
    const split = shared && d.parallel && chunk < total;
    if (split || inPhases) this.splitWork += microseconds(d, scope);
    for (const w of [kernel.code, block, total, inPhases ? -d.phase! : split ? chunk : 0]) this.entries.push(w);
  }

  dispose(): void {
    if (this.memory) this.plan.session.engine.heap.release(this.memory);
    this.memory = null;
  }
}
