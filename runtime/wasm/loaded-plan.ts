/** A plan loaded on WASM: its module, its memory and its programs. */
import type { LoadedPlan, OutputArray, RunOptions } from '../device.js';
import { ArgumentError, DisposedError } from '../errors.js';
import type { CompiledPlan } from '../plan.js';
import { elementsOf, quoted, unknownProgram } from '../program.js';
import type { LoadedModule } from './engine.js';
import type { Block } from './heap.js';
import { WasmProgram } from './program.js';
import type { WasmSession } from './session.js';

export class WasmPlan implements LoadedPlan {
  private readonly programs = new Map<string, WasmProgram>();
  private disposed = false;

  constructor(
    readonly session: WasmSession,
    readonly compiled: CompiledPlan,
    readonly module: LoadedModule,
    /** By Plan.buffers index; null for inputs, which each run binds. */
    readonly memories: (Block | null)[],
    private readonly owned: readonly Block[],
  ) {
    for (const p of compiled.plan.programs) this.programs.set(p.name, new WasmProgram(this, p));
  }

  private program(name: string): WasmProgram {
    if (this.disposed) throw new DisposedError(`plan '${this.compiled.plan.name}' was disposed`);
    this.session.check();
    const p = this.programs.get(name);
    if (!p) throw unknownProgram(this.compiled.plan, name);
    return p;
  }

  run(program: string, options?: RunOptions): void {
    this.program(program).run(options);
  }

  async read(program: string, output: string): Promise<OutputArray> {
    return this.readNow(program, output);
  }

  readNow(program: string, output: string): OutputArray {
    const p = this.program(program);
    const index = p.info.program.outputs.findIndex((o) => o.name === output);
    if (index < 0) throw new ArgumentError(`program '${program}' has no output '${output}'; it has ${quoted(p.info.program.outputs.map((o) => o.name))}`);
    const tensor = p.info.program.outputs[index]!;
    const shape = p.outputShape(index);
    if (this.compiled.plan.buffers[tensor.buffer]!.kind === 'arena' && this.session.arenaUser !== p)
      throw new ArgumentError(
        `output '${output}' of program '${program}' lay in shared memory that another program has used since: read it before running the next program`,
      );
    const data = this.session.readBlock(p.memoryOf(tensor.buffer), tensor.offset, tensor, elementsOf(shape));
    return { dtype: tensor.dtype, shape, data };
  }

  /** Memory of this plan was replaced by a larger one, or a data set went away. */
  replace(old: Block, grown: Block | null): void {
    if (grown) {
      this.memories.forEach((m, i) => {
        if (m === old) this.memories[i] = grown;
      });
    }
    for (const p of this.programs.values()) p.forget(old);
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    for (const p of this.programs.values()) p.dispose();
    for (const m of this.owned) this.session.engine.heap.release(m);
    this.session.engine.unload(this.module);
    this.session.remove(this);
  }
}
