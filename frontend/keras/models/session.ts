/** A model on a device: its state, its programs, and the way of weights between host and device. */
import { type DType, hostArray, numbersOf, type TypedArray } from '../../../ir/dtype.js';
import type { Graph } from '../../../ir/graph.js';
import { sizeOf } from '../../../ir/tensor-data.js';
import type { CompiledPlan } from '../../../runtime/plan.js';
import { iterationSlot, seedSlot } from '../backend/trace.js';
import type { Variable, VariableHome } from '../backend/variable.js';
import type { Optimizer } from '../optimizers/index.js';
import type { Executor, Program } from './executor.js';
import type { ModelLayout } from './layout.js';
import type { Shortcut } from './predict.js';
import { compiledGraph, type ProgramGraph } from './programs.js';

/** Contents that a state slot starts with; null: zeros. */
export function initialContents(slot: string, layout: ModelLayout, optimizers: readonly Optimizer[], seed: number): TypedArray | null {
  if (slot === layout.flat.slot) return layout.gather();
  if (slot === seedSlot) return Uint32Array.of(seed);
  if (slot === iterationSlot) return Int32Array.of(0);
  for (const optimizer of optimizers) {
    if (slot === optimizer.rateSlot) return Float32Array.of(optimizer.learningRate);
    const scalar = Object.entries(optimizer.scalarSlots()).find(([s]) => optimizer.stateName(s) === slot);
    if (scalar) return Float32Array.of(scalar[1]);
    const name = optimizer.allSlots().find((s) => optimizer.stateName(s) === slot);
    if (name !== undefined) return optimizer.initialSlot(name, layout.gather(optimizer.part));
  }
  const variable = layout.separate.find((v) => layout.place(v).slot === slot);
  return variable ? variable.value : null;
}

export class ModelSession implements VariableHome {
  private readonly programs = new Map<string, Program>();
  private readonly initialized = new Set<string>();
  /** For a prediction like the last one (predict.ts). */
  shortcut: Shortcut | null = null;
  private readonly writtenRates = new Map<Optimizer, number>();
  /** The device may hold newer weights than the host. */
  private deviceIsNewer = false;

  constructor(
    readonly executor: Executor,
    readonly layout: ModelLayout,
    /** The one that the model was compiled with first, if any. */
    private readonly optimizers: readonly Optimizer[],
    private readonly seed: number,
    private readonly release: () => void,
    /** Contents of slots that a file held; each is taken when its slot is made. */
    private readonly restored: Map<string, TypedArray>,
  ) {
    for (const v of [...layout.flat.parts.map((p) => p.variable), ...layout.separate]) v.home = this;
  }

  get newer(): boolean {
    return this.deviceIsNewer;
  }

  /** The program of this key, made at first use. New state starts with its first contents. */
  async program(key: string, name: string, build: () => ProgramGraph): Promise<Program> {
    const old = this.programs.get(key);
    if (old) return old;
    const program = this.executor.loadEager
      ? this.executor.loadEager(build, (slot, dtype, shape) => this.firstContents(slot, dtype, shape))
      : await this.compiledProgram(name, compiledGraph(build()));
    this.programs.set(key, program);
    return program;
  }

  private async compiledProgram(name: string, graph: Graph): Promise<Program> {
    const program = await this.executor.load(name, graph);
    for (const s of graph.state) {
      if (this.initialized.has(s.name)) continue;
      this.executor.writeState(s.name, this.firstContents(s.name, s.value.dtype, s.value.shape as readonly number[]));
    }
    return program;
  }

  /** What a state slot starts with; it counts as being there from now on. */
  private firstContents(slot: string, dtype: DType, shape: readonly number[]): TypedArray {
    this.initialized.add(slot);
    const rated = this.optimizers.find((o) => o.rateSlot === slot);
    if (rated) this.writtenRates.set(rated, rated.learningRate);
    const kept = this.restored.get(slot);
    this.restored.delete(slot);
    return kept ?? initialContents(slot, this.layout, this.optimizers, this.seed) ?? numbersOf(hostArray(dtype, sizeOf(shape)));
  }

  /** The plans of the programs made so far, the last of each name: train, evaluate, predict. */
  get plans(): Record<string, CompiledPlan> {
    const plans = [...this.programs.values()].flatMap((p) => (p.compiled ? [p.compiled] : []));
    return Object.fromEntries(plans.map((c) => [c.plan.programs[0]!.name, c]));
  }

  /** Brings learning rates that were set on the host to the device. */
  syncLearningRate(): void {
    for (const o of this.optimizers) {
      if (o.learningRate === this.writtenRates.get(o) || !this.initialized.has(o.rateSlot)) continue;
      this.writtenRates.set(o, o.learningRate);
      this.executor.writeState(o.rateSlot, Float32Array.of(o.learningRate));
    }
  }

  /** Sets slots to zero, such as the accumulators of metrics at the start of an epoch. */
  zero(slots: readonly { readonly name: string; readonly dtype: Variable['dtype']; readonly size: number }[]): void {
    for (const s of slots) if (this.initialized.has(s.name)) this.executor.writeState(s.name, numbersOf(hostArray(s.dtype, s.size)));
  }
  zeroVariables(variables: readonly Variable[]): void {
    this.zero(variables.map((v) => ({ name: this.layout.place(v).slot, dtype: v.dtype, size: v.size })));
  }

  read(variable: Variable): Promise<TypedArray> {
    return this.executor.readState(this.layout.place(variable).slot);
  }
  has(variable: Variable): boolean {
    return this.initialized.has(this.layout.place(variable).slot);
  }

  /** Programs that change weights call this. */
  markTrained(): void {
    this.deviceIsNewer = true;
  }

  /** Weights become their moving average, as Keras leaves them after `fit` with an optimizer that keeps one. */
  async finalizeAverage(): Promise<void> {
    const averaging = this.optimizers.filter((o) => o.useEma && this.initialized.has(o.stateName('average')));
    if (averaging.length === 0) return;
    const { flat } = this.layout;
    const all = (await this.executor.readState(flat.slot)).slice();
    for (const o of averaging) {
      const average = await this.executor.readState(o.stateName('average'));
      let at = 0;
      for (const { variable, offset } of flat.parts) {
        if (o.part && !o.part.includes(variable)) continue;
        all.set(average.subarray(at, at + variable.size), offset);
        at += variable.size;
      }
    }
    this.executor.writeState(flat.slot, all);
  }

  /** Contents of all slots that are not weights or states of layers (optimizer, counters, metrics); the learning rate is the optimizer's own. */
  async exportSlots(): Promise<Map<string, TypedArray>> {
    const own = new Set([this.layout.flat.slot, ...this.layout.separate.map((v) => this.layout.place(v).slot)]);
    for (const o of this.optimizers) own.add(o.rateSlot);
    const out = new Map(this.restored);
    for (const name of this.initialized) if (!own.has(name)) out.set(name, await this.executor.readState(name));
    return out;
  }
  /** Gives slots contents: now where they are, otherwise when they are made. */
  restoreSlots(slots: ReadonlyMap<string, TypedArray>): void {
    for (const [name, contents] of slots) {
      if (this.initialized.has(name)) this.executor.writeState(name, contents);
      else this.restored.set(name, contents);
    }
  }

  /** Device to host: all weights and states. */
  async pull(): Promise<void> {
    if (!this.deviceIsNewer) return;
    this.deviceIsNewer = false;
    const { flat } = this.layout;
    if (flat.size > 0 && this.initialized.has(flat.slot)) {
      const all = await this.executor.readState(flat.slot);
      for (const { variable, offset } of flat.parts) variable.assign(all.subarray(offset, offset + variable.size));
    }
    for (const v of this.layout.separate) if (this.has(v)) v.assign(await this.read(v));
  }

  /** Host to device: all weights and states. */
  push(): void {
    this.deviceIsNewer = false;
    const { flat } = this.layout;
    if (flat.size > 0 && this.initialized.has(flat.slot)) this.executor.writeState(flat.slot, this.layout.gather());
    for (const v of this.layout.separate) if (this.has(v)) this.executor.writeState(this.layout.place(v).slot, v.value);
  }

  dispose(): void {
    for (const p of this.programs.values()) p.dispose();
    this.programs.clear();
    this.executor.dispose();
    this.release();
  }
}
