/** A plan loaded on WebGPU: its memory, its bind groups (made at load; again only for memory that is bound or replaced later), and its programs. */
import type { HostArray, LoadedPlan, RunOptions } from '../device.js';
import { ArgumentError, DisposedError } from '../errors.js';
import type { CompiledPlan, PlanDispatch, PlanDType } from '../plan.js';
import { elementsOf, quoted, unknownProgram } from '../program.js';
import type { Pipeline } from './device.js';
import type { Memory } from './memory.js';
import { WebGpuProgram } from './program.js';
import type { WebGpuSession } from './session.js';

export class WebGpuPlan implements LoadedPlan {
  private readonly programs = new Map<string, WebGpuProgram>();
  private readonly groups = new Map<string, { readonly group: GPUBindGroup; readonly memories: readonly Memory[] }>();
  private disposed = false;

  constructor(
    readonly session: WebGpuSession,
    readonly compiled: CompiledPlan,
    readonly pipelines: readonly Pipeline[],
    /** By Plan.buffers index; null for inputs, which each run binds. */
    readonly memories: (Memory | null)[],
    private readonly owned: readonly Memory[],
  ) {
    for (const p of compiled.plan.programs) this.programs.set(p.name, new WebGpuProgram(this, p));
  }

  private program(name: string): WebGpuProgram {
    if (this.disposed) throw new DisposedError(`plan '${this.compiled.plan.name}' was disposed`);
    this.session.check();
    const p = this.programs.get(name);
    if (!p) throw unknownProgram(this.compiled.plan, name);
    return p;
  }

  run(program: string, options?: RunOptions): void {
    this.program(program).run(options);
  }

  async read(program: string, output: string): Promise<{ readonly dtype: PlanDType; readonly shape: number[]; readonly data: HostArray }> {
    const p = this.program(program);
    const index = p.info.program.outputs.findIndex((o) => o.name === output);
    if (index < 0) throw new ArgumentError(`program '${program}' has no output '${output}'; it has ${quoted(p.info.program.outputs.map((o) => o.name))}`);
    const tensor = p.info.program.outputs[index]!;
    const shape = p.outputShape(index);
    if (this.compiled.plan.buffers[tensor.buffer]!.kind === 'arena' && this.session.arenaUser !== p)
      throw new ArgumentError(
        `output '${output}' of program '${program}' lay in shared memory that another program has used since: read it before running the next program`,
      );
    const memory = p.memoryOf(tensor.buffer);
    const data = await this.session.readBuffer(memory.buffer, tensor.offset, tensor, elementsOf(shape));
    return { dtype: tensor.dtype, shape, data };
  }

  /**
   * Where each binding of a dispatch begins in its buffer. That is 0, except in a buffer above the device's binding limit: it is bound from the first argument on (the planner keeps the
   * arguments of a kernel within reach of each other).
   */
  windows(d: PlanDispatch, memories: readonly Memory[]): number[] {
    const max = this.session.owner.limits.maxStorageBufferBindingSize;
    const { args } = this.compiled.plan.kernels[d.kernel]!;
    return memories.map((m, binding) => (m.bytes <= max ? 0 : Math.floor(Math.min(...d.offsets.filter((_, i) => args[i]!.binding === binding)) / 256) * 256));
  }

  bindGroup(pipeline: Pipeline, memories: readonly Memory[], windows: readonly number[], blocks: Memory): GPUBindGroup {
    const key = `${pipeline.layoutId}:${blocks.id},${memories.map((m, i) => `${m.id}+${windows[i]}`).join()}`;
    let made = this.groups.get(key);
    if (!made) {
      const { gpu, limits } = this.session.owner;
      const max = Math.floor(limits.maxStorageBufferBindingSize / 16) * 16;
      const entries: GPUBindGroupEntry[] = memories.map((m, binding) => ({
        binding,
        resource: { buffer: m.buffer, offset: windows[binding]!, size: Math.min(m.buffer.size - windows[binding]!, max) },
      }));
      entries.push({ binding: entries.length, resource: { buffer: blocks.buffer, size: pipeline.blockBytes } });
      made = { group: gpu.createBindGroup({ layout: pipeline.layout, entries }), memories: [...memories, blocks] };
      this.groups.set(key, made);
    }
    return made.group;
  }

  /** Drops bind groups of memory that goes away. */
  forget(memory: Memory): void {
    for (const [key, g] of this.groups) if (g.memories.includes(memory)) this.groups.delete(key);
    for (const p of this.programs.values()) p.forget(memory);
  }

  /** Memory of this plan was replaced by a larger one. */
  replace(old: Memory, grown: Memory): void {
    this.memories.forEach((m, i) => {
      if (m === old) this.memories[i] = grown;
    });
    this.forget(old);
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    for (const p of this.programs.values()) p.dispose();
    for (const m of this.owned) m.buffer.destroy();
    this.groups.clear();
    this.session.remove(this);
  }
}
