/**
 * A program on WebGPU. Its steps are flattened (loops unrolled) into a list of dispatches for the current symbol values: pipeline, bind group, argument block, group counts. The argument
 * blocks lie 256 bytes apart in one uniform buffer with dynamic offsets; they are written once for all, when symbols or bound data sets change. A run encodes the list
 * `repeat` times into one compute pass and submits once.
 */
import { BaseProgram } from '../common/program.js';
import type { HostArray } from '../device.js';
import { RuntimeInternalError } from '../errors.js';
import { evalSize, type PlanDispatch, type PlanProgram, type PlanStep } from '../plan.js';
import { encodeInto, isStoredAsIs, storageBytes, storedBytesOf } from '../storage.js';
import type { Pipeline } from './device.js';
import type { WebGpuPlan } from './loaded-plan.js';
import { type Memory, usage } from './memory.js';

const blockStride = 256;
const maxGroups = 65535;

/** One dispatch with everything bound but its bind group. */
interface Flat {
  readonly pipeline: Pipeline;
  readonly memories: readonly Memory[];
  readonly windows: readonly number[];
  /** Index of the argument block. */
  readonly block: number;
  readonly x: number;
  readonly y: number;
  readonly z: number;
}

/** One dispatch, ready to encode. */
interface Encoded {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly block: number;
  readonly x: number;
  readonly y: number;
  readonly z: number;
}

export class WebGpuProgram extends BaseProgram<Memory, WebGpuPlan> {
  private prepare: Encoded[] = [];
  private steps: Encoded[] = [];
  /** Argument blocks, on the host and on the device. */
  private words = new Uint32Array(0);
  private blocks: Memory | null = null;
  private blockCount = 0;
  private offsets = new Uint32Array(0);
  /** Buffers that hold converted inputs before they are written. */
  private readonly scratch: (Uint8Array | null)[];

  constructor(plan: WebGpuPlan, program: PlanProgram) {
    super(plan, program);
    this.scratch = program.inputs.map(() => null);
    // Where no data set is bound, argument blocks and bind groups are made now.
    this.encodeAtLoad();
  }

  protected hasPrepare(): boolean {
    return this.prepare.length > 0;
  }

  protected writeInput(i: number, data: HostArray): void {
    const input = this.info.program.inputs[i]!;
    const device = this.plan.session.owner;
    const target = this.memoryOf(input.buffer).buffer;
    if (isStoredAsIs(input) && data.byteLength % 4 === 0) {
      device.write(target, input.offset, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      return;
    }
    const bytes = Math.ceil((data.length * storedBytesOf(input)) / 4) * 4;
    let scratch = this.scratch[i] ?? null;
    if (!scratch || scratch.length < bytes) {
      scratch = new Uint8Array(bytes);
      this.scratch[i] = scratch;
    }
    const part = scratch.subarray(0, bytes);
    encodeInto(input, data, part);
    device.write(target, input.offset, part);
  }

  /** Encodes the dispatches into one pass. */
  protected submit(repeat: number, stale: boolean): void {
    const { gpu, counters } = this.plan.session.owner;
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let r = 0; r < repeat; r++) {
      if (stale && (r === 0 || this.preparesEach)) counters.dispatches += this.encodeList(pass, this.prepare);
      counters.dispatches += this.encodeList(pass, this.steps);
    }
    pass.end();
    gpu.queue.submit([encoder.finish()]);
    counters.submits++;
  }

  private encodeList(pass: GPUComputePassEncoder, list: readonly Encoded[]): number {
    let pipeline: GPUComputePipeline | null = null;
    for (const e of list) {
      if (e.pipeline !== pipeline) {
        pass.setPipeline(e.pipeline);
        pipeline = e.pipeline;
      }
      pass.setBindGroup(0, e.group, this.offsets, e.block, 1);
      pass.dispatchWorkgroups(e.x, e.y, e.z);
    }
    return list.length;
  }

  /** Builds the lists of dispatches for the current symbols and bound data, and writes the argument blocks. */
  protected encode(): void {
    const { program } = this.info;
    const device = this.plan.session.owner;
    const scope = { ...this.symbols };
    this.blockCount = 0;
    const prepare: Flat[] = [];
    this.flatten(program.prepare, scope, [], new Map(), prepare);
    const steps: Flat[] = [];
    this.flatten(program.steps, scope, [], new Map(), steps);
    const blocks = this.reserve();
    if (this.blockCount > 0) device.write(blocks.buffer, 0, new Uint8Array(this.words.buffer, 0, this.blockCount * blockStride));
    const bind = (f: Flat): Encoded => ({
      pipeline: f.pipeline.pipeline,
      group: this.plan.bindGroup(f.pipeline, f.memories, f.windows, blocks),
      block: f.block,
      x: f.x,
      y: f.y,
      z: f.z,
    });
    this.prepare = prepare.map(bind);
    this.steps = steps.map(bind);
  }

  /** Device memory for the argument blocks; it grows only when a loop runs longer than ever before. */
  private reserve(): Memory {
    const bytes = Math.max(1, this.blockCount) * blockStride;
    if (this.blocks && this.blocks.bytes >= bytes) return this.blocks;
    if (this.blocks) {
      this.plan.forget(this.blocks);
      this.blocks.buffer.destroy();
    }
    this.offsets = Uint32Array.from({ length: bytes / blockStride }, (_, i) => i * blockStride);
    this.blocks = this.plan.session.memory(`${this.plan.compiled.plan.name}/${this.info.program.name}/arguments`, bytes, usage.uniform | usage.copyTarget);
    return this.blocks;
  }

  /** `loops`: symbols of the loops around, which make a block differ between iterations. `shared`: blocks of the dispatches that do not depend on them. */
  private flatten(steps: readonly PlanStep[], scope: Record<string, number>, loops: readonly string[], shared: Map<PlanDispatch, number>, out: Flat[]): void {
    for (const s of steps) {
      if (s.kind === 'dispatch') {
        this.flattenDispatch(s, scope, loops, shared, out);
        continue;
      }
      const count = evalSize(s.count, scope);
      for (let i = 0; i < count; i++) {
        scope[s.symbol] = s.reverse ? count - 1 - i : i;
        this.flatten(s.body, scope, [...loops, s.symbol], shared, out);
      }
      delete scope[s.symbol];
    }
  }

  private flattenDispatch(
    d: PlanDispatch,
    scope: Readonly<Record<string, number>>,
    loops: readonly string[],
    shared: Map<PlanDispatch, number>,
    out: Flat[],
  ): void {
    const kernel = this.plan.compiled.plan.kernels[d.kernel]!;
    const [x, y, z] = [evalSize(d.groups[0], scope), evalSize(d.groups[1], scope), evalSize(d.groups[2], scope)];
    if (x > maxGroups || y > maxGroups || z > maxGroups)
      throw new RuntimeInternalError(
        `kernel '${kernel.name}' (${d.label}) is dispatched with ${x} x ${y} x ${z} groups, WebGPU takes ${maxGroups} a dimension`,
      );
    if (x <= 0 || y <= 0 || z <= 0) return;
    const memories = d.buffers.map((b) => this.memoryOf(b));
    const windows = this.plan.windows(d, memories);
    const varies = kernel.symbols.some((s) => loops.includes(s));
    let block = varies ? undefined : shared.get(d);
    if (block === undefined) {
      block = this.blockCount++;
      this.writeBlock(d, windows, scope, block);
      shared.set(d, block);
    }
    out.push({ pipeline: this.plan.pipelines[d.kernel]!, memories, windows, block, x, y, z });
  }

  private writeBlock(d: PlanDispatch, windows: readonly number[], scope: Readonly<Record<string, number>>, block: number): void {
    const kernel = this.plan.compiled.plan.kernels[d.kernel]!;
    const at = (block * blockStride) / 4;
    if (this.words.length < at + blockStride / 4) {
      const more = new Uint32Array(Math.max(1024, this.words.length * 2));
      more.set(this.words);
      this.words = more;
    }
    kernel.args.forEach((a, i) => {
      this.words[at + i] = (d.offsets[i]! - windows[a.binding]!) / storageBytes[a.dtype];
    });
    kernel.symbols.forEach((s, i) => {
      this.words[at + kernel.args.length + i] = scope[s]!;
    });
  }

  override forget(memory: Memory): void {
    if (memory !== this.blocks) super.forget(memory);
  }

  dispose(): void {
    this.blocks?.buffer.destroy();
    this.blocks = null;
    this.prepare = [];
    this.steps = [];
  }
}
