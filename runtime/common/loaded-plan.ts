/** What a loaded plan on every device does: it finds programs and outputs by name, and follows memory that is replaced. */
import type { LoadedPlan, OutputArray, RunOptions } from '../device.js';
import { ArgumentError, DisposedError } from '../errors.js';
import type { CompiledPlan, PlanTensor } from '../plan.js';
import { quoted, unknownProgram } from '../program.js';
import type { BaseProgram, ProgramHost } from './program.js';
import type { DeviceMemory } from './resident.js';

/** What a plan needs of its session. */
export type PlanSession<M extends DeviceMemory> = ProgramHost<M>['session'] & { check(): void };

export abstract class BasePlan<M extends DeviceMemory, S extends PlanSession<M>> implements LoadedPlan {
  /** Filled by the constructors of the targets. */
  protected readonly programs = new Map<string, BaseProgram<M, ProgramHost<M>>>();
  protected disposed = false;

  constructor(
    readonly session: S,
    readonly compiled: CompiledPlan,
    /** By Plan.buffers index; null for inputs, which each run binds. */
    readonly memories: (M | null)[],
    protected readonly owned: readonly M[],
  ) {}

  abstract read(program: string, output: string): Promise<OutputArray>;
  /** Frees what the plan owns; once. */
  protected abstract free(): void;

  private program(name: string): BaseProgram<M, ProgramHost<M>> {
    if (this.disposed) throw new DisposedError(`plan '${this.compiled.plan.name}' was disposed`);
    this.session.check();
    const p = this.programs.get(name);
    if (!p) throw unknownProgram(this.compiled.plan, name);
    return p;
  }

  run(program: string, options?: RunOptions): void {
    this.program(program).run(options);
  }

  /** Where an output of a program's last run lies. */
  protected outputOf(program: string, output: string): { readonly tensor: PlanTensor; readonly shape: number[]; readonly memory: M } {
    const p = this.program(program);
    const index = p.info.program.outputs.findIndex((o) => o.name === output);
    if (index < 0) throw new ArgumentError(`program '${program}' has no output '${output}'; it has ${quoted(p.info.program.outputs.map((o) => o.name))}`);
    const tensor = p.info.program.outputs[index]!;
    const shape = p.outputShape(index);
    if (this.compiled.plan.buffers[tensor.buffer]!.kind === 'arena' && this.session.arenaUser !== p)
      throw new ArgumentError(
        `output '${output}' of program '${program}' lay in shared memory that another program has used since: read it before running the next program`,
      );
    return { tensor, shape, memory: p.memoryOf(tensor.buffer) };
  }

  /** Memory of this plan was replaced by a larger one. */
  replace(old: M, grown: M): void {
    this.memories.forEach((m, i) => {
      if (m === old) this.memories[i] = grown;
    });
    this.forget(old);
  }

  /** Memory goes away. */
  forget(memory: M): void {
    for (const p of this.programs.values()) p.forget(memory);
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    for (const p of this.programs.values()) p.dispose();
    this.free();
  }
}
