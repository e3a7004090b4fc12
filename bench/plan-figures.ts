/** What one run of a program costs, read off its plan: no device is asked, so no machine's noise can touch the numbers. */
import { type CompiledPlan, evalSize, type PlanStep } from '../runtime/plan.js';
import { gpus, modelledSeconds, type Work } from './gpus.js';

export interface StepFigures {
  /** Dispatches: the bodies of loops count as often as they run. */
  readonly kernels: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Multiply-adds count two. */
  readonly flops: number;
  /** Bytes of intermediates: as planned, without sharing, and the least that any plan needs. */
  readonly arena: number;
  readonly sum: number;
  readonly lowerBound: number;
  /** Distinct kernel codes. */
  readonly pipelines: number;
  /** Host inputs that travel at each step, and outputs read back. */
  readonly uploads: number;
  readonly readbacks: number;
  /** Dispatches that write trainable state: the optimizer's update. */
  readonly optimizerKernels: number;
  /** Modelled microseconds by GPU id. */
  readonly modelledMicroseconds: Readonly<Record<string, number>>;
}

interface Dispatch extends Work {
  readonly updates: boolean;
  readonly code: number;
  readonly read: number;
  readonly written: number;
}

/** Whether a place in a buffer is where a trainable state slot lies. */
const isTrainable = (compiled: CompiledPlan, buffer: number, offset: number): boolean =>
  compiled.plan.state.some((s) => s.trainable && s.buffer === buffer && offset >= s.offset && offset < s.offset + 4 * s.shape.reduce((a, b) => a * b, 1));

function* dispatches(compiled: CompiledPlan, steps: readonly PlanStep[], symbols: Readonly<Record<string, number>>): Generator<Dispatch> {
  for (const step of steps) {
    if (step.kind === 'loop') {
      const count = evalSize(step.count, symbols);
      for (let i = 0; i < count; i++) yield* dispatches(compiled, step.body, { ...symbols, [step.symbol]: step.reverse ? count - 1 - i : i });
      continue;
    }
    const kernel = compiled.plan.kernels[step.kernel]!;
    const [read, written] = [evalSize(step.figures.bytesRead, symbols), evalSize(step.figures.bytesWritten, symbols)];
    const updates = kernel.args.some((a, i) => a.access !== 'read' && isTrainable(compiled, step.buffers[a.binding]!, step.offsets[i]!));
    yield { updates, code: kernel.code, read, written, bytes: read + written, flops: evalSize(step.figures.flops, symbols) };
  }
}

/** Figures of one run of `program` with the symbols bound. `readbacks`: how many outputs the host reads after each run. */
export function stepFigures(compiled: CompiledPlan, program: string, symbols: Readonly<Record<string, number>>, readbacks: number): StepFigures {
  const p = compiled.plan.programs.find((x) => x.name === program);
  if (!p) throw new Error(`the plan has no program '${program}', only ${compiled.plan.programs.map((x) => x.name).join(', ')}`);
  const all = [...dispatches(compiled, p.steps, symbols)];
  const total = (f: (d: Dispatch) => number) => all.reduce((sum, d) => sum + f(d), 0);
  const memory = compiled.plan.memory[program]!;
  return {
    kernels: all.length,
    bytesRead: total((d) => d.read),
    bytesWritten: total((d) => d.written),
    flops: total((d) => d.flops),
    arena: memory.arena,
    sum: memory.sum,
    lowerBound: memory.lowerBound,
    pipelines: new Set(all.map((d) => d.code)).size,
    uploads: p.inputs.filter((i) => !i.resident).length,
    readbacks,
    optimizerKernels: all.filter((d) => d.updates).length,
    modelledMicroseconds: Object.fromEntries(gpus.map((g) => [g.id, Math.round(modelledSeconds(g, all) * 1e7) / 10])),
  };
}
