/**
 * What a program on every device does beside encoding and running its dispatches: it checks a call's arguments, binds symbols and data sets, knows when its list of dispatches
 * must be written anew and when prepared memory is stale.
 */
import type { HostArray, ResidentArray, RunOptions } from '../device.js';
import { ArgumentError, DisposedError, RuntimeInternalError } from '../errors.js';
import type { CompiledPlan, PlanProgram } from '../plan.js';
import { analyse, bindSymbols, checkNames, hostInput, type ProgramInfo, residentInput, shapeOf, symbolRecord } from '../program.js';
import { type DeviceMemory, Resident } from './resident.js';

/** What a program needs of its plan. */
export interface ProgramHost<M extends DeviceMemory> {
  readonly compiled: CompiledPlan;
  /** By Plan.buffers index; null for inputs, which each run binds. */
  readonly memories: readonly (M | null)[];
  readonly session: {
    /** The program whose results lie in the arena. */
    arenaUser: object | null;
    /** The data set behind a handle; undefined for those of other sessions and for disposed ones. */
    residentOf(data: ResidentArray): Resident<M> | undefined;
  };
}

export const same = (a: readonly unknown[], b: readonly unknown[]): boolean => {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
};

export abstract class BaseProgram<M extends DeviceMemory, P extends ProgramHost<M>> {
  readonly info: ProgramInfo;
  /** Values of the symbols by name, of the last run. */
  protected symbols: Record<string, number>;
  /** The list of dispatches is that of the current symbols and data sets. */
  protected encoded = false;
  /** The steps write state that the prepare steps read: every repetition prepares anew. */
  protected readonly preparesEach: boolean;
  private values: number[];
  private readonly next: number[] = [];
  private inputShapes: number[][] = [];
  private outputShapes: number[][] = [];
  private residents: (Resident<M> | null)[];
  private ran = false;
  private preparedFor: readonly number[] | null = null;

  constructor(
    protected readonly plan: P,
    program: PlanProgram,
  ) {
    this.info = analyse(plan.compiled.plan, program);
    this.residents = program.inputs.map(() => null);
    this.preparesEach = this.info.statePrepared.some((b) => this.info.stateWritten.includes(b));
    this.values = [...this.info.symbolMax];
    this.symbols = symbolRecord(this.info, this.values);
  }

  /** Writes the list of dispatches for the current symbols and data sets. */
  protected abstract encode(): void;
  protected abstract writeInput(index: number, data: HostArray): void;
  /** Runs the list so many times, with the prepare steps where `stale`. */
  protected abstract submit(repeat: number, stale: boolean): void;
  /** Whether the list has prepare steps. */
  protected abstract hasPrepare(): boolean;
  abstract dispose(): void;

  /** Called at the end of a constructor: where no data set is bound, the list is written at load, for the largest sizes. */
  protected encodeAtLoad(): void {
    if (this.info.resident.length > 0) return;
    this.encode();
    this.encoded = true;
  }

  run(options: RunOptions | undefined): void {
    const { info } = this;
    const data = this.bind(options);
    if (!this.encoded) {
      this.encode();
      this.encoded = true;
    }
    for (let i = 0; i < data.length; i++) {
      const d = data[i];
      if (d) this.writeInput(i, d);
    }
    const stale = this.isStale();
    this.submit(options?.repeat ?? 1, stale);
    if (stale) this.preparedFor = this.prepareState();
    for (const b of info.stateWritten) this.plan.memories[b]!.version++;
    this.ran = true;
    this.plan.session.arenaUser = this;
  }

  /** Takes a call's arguments. Everything is checked before anything changes, so that a refused call leaves the program usable. The data of host inputs, by index. */
  private bind(options: RunOptions | undefined): readonly (HostArray | null)[] {
    const { info } = this;
    const { program } = info;
    checkNames(info, options);
    bindSymbols(info, options?.symbols, this.next);
    const sameSymbols = same(this.next, this.values);
    const changed = !this.ran || !sameSymbols;
    const symbols = changed ? symbolRecord(info, this.next) : this.symbols;
    const shapes = changed ? program.inputs.map((i) => shapeOf(i, symbols)) : this.inputShapes;
    const data = program.inputs.map((input, i) => (input.resident ? null : hostInput(program, input, shapes[i]!, options)));
    if (info.resident.length > 0) {
      const residents = program.inputs.map((input, i) => (input.resident ? this.checkResident(options, i, shapes[i]!) : null));
      if (!same(residents, this.residents)) this.encoded = false;
      this.residents = residents;
    }
    if (!sameSymbols) {
      this.encoded = false;
      this.values = [...this.next];
      this.symbols = symbols;
    }
    if (changed) {
      this.inputShapes = shapes;
      this.outputShapes = program.outputs.map((o) => shapeOf(o, symbols));
    }
    return data;
  }

  private checkResident(options: RunOptions | undefined, i: number, shape: readonly number[]): Resident<M> {
    const input = this.info.program.inputs[i]!;
    const data = residentInput(this.info.program, input, shape, options);
    const { session } = this.plan;
    if (data instanceof Resident && data.owner === session && data.disposed) throw new DisposedError(`resident input '${input.name}' was disposed`);
    const resident = session.residentOf(data);
    if (!resident) throw new ArgumentError(`resident input '${input.name}' was not uploaded by this session`);
    return resident;
  }

  /** Whether prepared memory is out of date. */
  private isStale(): boolean {
    if (!this.hasPrepare()) return false;
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

  /** The memory behind a plan buffer, for the current run. */
  memoryOf(buffer: number): M {
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
  forget(memory: M): void {
    this.encoded = false;
    this.residents = this.residents.map((r) => (r?.memory === memory ? null : r));
  }
}
