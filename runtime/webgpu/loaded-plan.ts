/** A plan loaded on WebGPU: its memory, its bind groups (made at load; again only for memory that is bound or replaced later), and its programs. */
import { BasePlan } from '../common/loaded-plan.js';
import type { OutputArray } from '../device.js';
import type { CompiledPlan, PlanDispatch } from '../plan.js';
import { elementsOf } from '../program.js';
import type { Pipeline } from './device.js';
import type { Memory } from './memory.js';
import { WebGpuProgram } from './program.js';
import type { WebGpuSession } from './session.js';

export class WebGpuPlan extends BasePlan<Memory, WebGpuSession> {
  private readonly groups = new Map<string, { readonly group: GPUBindGroup; readonly memories: readonly Memory[] }>();

  constructor(
    session: WebGpuSession,
    compiled: CompiledPlan,
    readonly pipelines: readonly Pipeline[],
    memories: (Memory | null)[],
    owned: readonly Memory[],
  ) {
    super(session, compiled, memories, owned);
    for (const p of compiled.plan.programs) this.programs.set(p.name, new WebGpuProgram(this, p));
  }

  async read(program: string, output: string): Promise<OutputArray> {
    const { tensor, shape, memory } = this.outputOf(program, output);
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

  /** Drops bind groups of memory that goes away, too. */
  override forget(memory: Memory): void {
    for (const [key, g] of this.groups) if (g.memories.includes(memory)) this.groups.delete(key);
    super.forget(memory);
  }

  protected free(): void {
    for (const m of this.owned) m.buffer.destroy();
    this.groups.clear();
    this.session.remove(this);
  }
}
