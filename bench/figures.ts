/**
 * npm run figures [-- --json] [--workload i1*,t2*]: what one step of each benchmark model costs on WebGPU, read off its plan. Training is one step of `fit`, inference one
 * batch of `predict`. JSON is keyed by workload id: { "t1-mlp-b128": { "kernels": n, ... } }.
 */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compile } from '../codegen/compile.js';
import { webgpuTarget } from '../codegen/target.js';
import * as optimizers from '../frontend/keras/optimizers/index.js';
import type { CompiledPlan } from '../runtime/plan.js';
import { gpus } from './gpus.js';
import { benchmarkModel } from './models.js';
import { type StepFigures, stepFigures } from './plan-figures.js';
import { adam, type Workload, workloads } from './workloads.js';

export interface WorkloadFigures extends StepFigures {
  /** Kernel codes that half the batch needs and the full batch does not. */
  readonly pipelinesOfSecondBatch: number;
}

/** The plan of a workload: compiled for WebGPU's default limits, memory planned for its batch. */
export async function planOf(w: Workload): Promise<{ compiled: CompiledPlan; program: 'train' | 'predict' }> {
  const model = benchmarkModel(w.model);
  const program = w.kind === 'train' ? 'train' : 'predict';
  if (w.kind === 'train') model.compile({ optimizer: optimizers.Adam(adam), loss: 'categorical_crossentropy', metrics: ['accuracy'] });
  const programs = await model.programs({ batchSize: w.batch });
  const graph = programs[program];
  if (!graph) throw new Error(`${w.id}: the model has no program '${program}', only ${Object.keys(programs).join(', ')}`);
  return { compiled: compile({ [program]: graph }, { target: webgpuTarget, name: w.id }), program };
}

export async function figuresOf(w: Workload): Promise<WorkloadFigures> {
  const { compiled, program } = await planOf(w);
  const symbols = (batch: number) => Object.fromEntries(compiled.plan.symbols.map((s) => [s.name, Math.min(batch, s.max)]));
  // Loss and metrics stay on the device until a progress update; predictions are read back.
  const readbacks = program === 'train' ? 0 : compiled.plan.programs.find((p) => p.name === program)!.outputs.length;
  const full = stepFigures(compiled, program, symbols(w.batch), readbacks);
  const half = stepFigures(compiled, program, symbols(Math.max(1, w.batch >> 1)), readbacks);
  return { ...full, pipelinesOfSecondBatch: Math.max(0, half.pipelines - full.pipelines) };
}

const mega = (n: number, digits = 2) => (n / 1e6).toFixed(digits);

function table(all: Readonly<Record<string, WorkloadFigures>>): string {
  const head = ['workload', 'kernels', 'MB read', 'MB written', 'MFLOP', 'arena MB', 'sum MB', 'bound MB', 'pipelines', 'uploads', 'read-backs', ...gpus.map((g) => `${g.id} us`)];
  const lines = Object.entries(all).map(([id, f]) => [
    id, f.kernels, mega(f.bytesRead), mega(f.bytesWritten), mega(f.flops, 1), mega(f.arena), mega(f.sum), mega(f.lowerBound), f.pipelines, f.uploads, f.readbacks, ...gpus.map((g) => f.modelledMicroseconds[g.id]),
  ]);
  const text = [head, ...lines].map((l) => l.map(String));
  const widths = head.map((_, i) => Math.max(...text.map((l) => l[i]!.length)));
  return [
    ...text.map((l) => l.map((c, i) => (i === 0 ? c.padEnd(widths[i]!) : c.padStart(widths[i]!))).join('  ')),
    '',
    ...gpus.map((g) => `${g.id}: ${g.name}, modelled: ${(g.peak / 1e12).toFixed(1)} TFLOP/s, ${(g.bandwidth / 1e9).toFixed(0)} GB/s, ${(g.launch * 1e6).toFixed(0)} us a launch (${g.source})`),
  ].join('\n');
}

async function main(): Promise<void> {
  const { values: args } = parseArgs({ options: { json: { type: 'boolean', default: false }, workload: { type: 'string' } } });
  const wanted = (id: string) => args.workload === undefined || args.workload.split(',').some((p) => id === p || (p.endsWith('*') && id.startsWith(p.slice(0, -1))));
  const all: Record<string, WorkloadFigures> = {};
  for (const w of workloads) if (wanted(w.id)) all[w.id] = await figuresOf(w);
  console.log(args.json ? JSON.stringify(all, null, 2) : table(all));
}

if (process.argv[1] && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) await main();
