/** A plan loaded on WASM: its module, its memory and its programs. */
import { BasePlan } from '../common/loaded-plan.js';
import type { OutputArray } from '../device.js';
import type { CompiledPlan } from '../plan.js';
import { elementsOf } from '../program.js';
import type { LoadedModule } from './engine.js';
import type { Block } from './heap.js';
import { WasmProgram } from './program.js';
import type { WasmSession } from './session.js';

export class WasmPlan extends BasePlan<Block, WasmSession> {
  constructor(
    session: WasmSession,
    compiled: CompiledPlan,
    readonly module: LoadedModule,
    memories: (Block | null)[],
    owned: readonly Block[],
  ) {
    super(session, compiled, memories, owned);
    for (const p of compiled.plan.programs) this.programs.set(p.name, new WasmProgram(this, p));
  }

  async read(program: string, output: string): Promise<OutputArray> {
    return this.readNow(program, output);
  }

  readNow(program: string, output: string): OutputArray {
    const { tensor, shape, memory } = this.outputOf(program, output);
    const data = this.session.readBlock(memory, tensor.offset, tensor, elementsOf(shape));
    return { dtype: tensor.dtype, shape, data };
  }

  protected free(): void {
    for (const m of this.owned) this.session.engine.heap.release(m);
    this.session.engine.unload(this.module);
    this.session.remove(this);
  }
}
