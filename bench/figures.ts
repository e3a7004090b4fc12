/**
 * npm run figures [-- --json] [--workload i1*,t2*]: what one step of each benchmark model costs on WebGPU, read off its plan. Training is one step of `fit`, inference one
 * batch of `predict`. JSON is keyed by workload id: { "t1-mlp-b128": { "kernels": n, ... } }.
 */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compile } from '../codegen/compile.js';
import { webgpuTarget } from '../codegen/target.js';
import type { Model } from '../frontend/keras/index.js';
import { ModelLayout } from '../frontend/keras/models/layout.js';
import { compiledGraph, trainGraph } from '../frontend/keras/models/programs.js';
import * as optimizers from '../frontend/keras/optimizers/index.js';
import type { Graph } from '../ir/graph.js';
import type { CompiledPlan } from '../runtime/plan.js';
import { gpus } from './gpus.js';
import { benchmarkModel } from './models.js';
import { type StepFigures, stepFigures } from './plan-figures.js';
import { adam, type Workload, workloads } from './workloads.js';

export interface WorkloadFigures extends StepFigures {
  /** Kernel codes that half the batch needs and the full batch does not. */
  readonly pipelinesOfSecondBatch: number;
}

/** Samples of the data set that a training step gathers its batch from. */
const samples = 10_000;

/** The model of a workload, ready to be traced. */
export function modelOf(w: Workload): Model {
  const model = benchmarkModel(w.model);
  if (w.kind === 'train') model.compile({ optimizer: optimizers.Adam(adam), loss: 'categorical_crossentropy', metrics: ['accuracy'] });
  return model;
}

/** The graph that `fit` (with its data set on the device) or `predict` runs at each step. */
export function graphOf(w: Workload): { program: 'train' | 'predict'; graph: Graph } {
  return { program: w.kind === 'train' ? 'train' : 'predict', graph: tracedGraph(w, modelOf(w)) };
}

export function tracedGraph(w: Workload, model: Model): Graph {
  if (w.kind === 'infer') return model.programs({ batchSize: w.batch, only: ['predict'] }).predict!;
  const trainable = new Set(model.trainableWeights);
  const layout = new ModelLayout(
    [...trainable],
    model.weights.filter((v) => !trainable.has(v)),
  );
  const x = model.feeds.map((s) => ({ dtype: s.dtype, shape: s.shape.slice(1) as number[] }));
  const y = model.outputShapes().map((shape) => ({ dtype: 'float32' as const, shape: shape as number[] }));
  return compiledGraph(trainGraph(model, layout, model.compiled, { x, y, weights: [null] }, { batch: w.batch, samples }));
}

/** The plan of a workload: compiled for WebGPU's default limits, memory planned for its batch. */
export function planOf(w: Workload): { compiled: CompiledPlan; program: 'train' | 'predict' } {
  const { program, graph } = graphOf(w);
  return { compiled: compile({ [program]: graph }, { target: webgpuTarget, name: w.id }), program };
}

export function figuresOf(w: Workload): WorkloadFigures {
  const { compiled, program } = planOf(w);
  const symbols = (batch: number) => Object.fromEntries(compiled.plan.symbols.map((s) => [s.name, s.name === 'batch' ? batch : s.max]));
  // Loss and metrics stay on the device until a progress update; predictions are read back.
  const readbacks = program === 'train' ? 0 : compiled.plan.programs.find((p) => p.name === program)!.outputs.length;
  const full = stepFigures(compiled, program, symbols(w.batch), readbacks);
  const half = stepFigures(compiled, program, symbols(Math.max(1, w.batch >> 1)), readbacks);
  return { ...full, pipelinesOfSecondBatch: Math.max(0, half.pipelines - full.pipelines) };
}

const mega = (n: number, digits = 2) => (n / 1e6).toFixed(digits);

function table(all: Readonly<Record<string, WorkloadFigures>>): string {
  const head = [
    'workload',
    'kernels',
    'MB read',
    'MB written',
    'MFLOP',
    'arena MB',
    'sum MB',
    'bound MB',
    'pipelines',
    'uploads',
    'read-backs',
    ...gpus.map((g) => `${g.id} us`),
  ];
  const lines = Object.entries(all).map(([id, f]) => [
    id,
    f.kernels,
    mega(f.bytesRead),
    mega(f.bytesWritten),
    mega(f.flops, 1),
    mega(f.arena),
    mega(f.sum),
    mega(f.lowerBound),
    f.pipelines,
    f.uploads,
    f.readbacks,
    ...gpus.map((g) => f.modelledMicroseconds[g.id]),
  ]);
  const text = [head, ...lines].map((l) => l.map(String));
  const widths = head.map((_, i) => Math.max(...text.map((l) => l[i]!.length)));
  return [
    ...text.map((l) => l.map((c, i) => (i === 0 ? c.padEnd(widths[i]!) : c.padStart(widths[i]!))).join('  ')),
    '',
    ...gpus.map(
      (g) =>
        `${g.id}: ${g.name}, modelled: ${(g.peak / 1e12).toFixed(1)} TFLOP/s, ${(g.bandwidth / 1e9).toFixed(0)} GB/s, ${(g.launch * 1e6).toFixed(0)} us a launch (${g.source})`,
    ),
  ].join('\n');
}

function main(): void {
  const { values: args } = parseArgs({ options: { json: { type: 'boolean', default: false }, workload: { type: 'string' } } });
  const wanted = (id: string) =>
    args.workload === undefined || args.workload.split(',').some((p) => id === p || (p.endsWith('*') && id.startsWith(p.slice(0, -1))));
  const all: Record<string, WorkloadFigures> = {};
  for (const w of workloads) if (wanted(w.id)) all[w.id] = figuresOf(w);
  console.log(args.json ? JSON.stringify(all, null, 2) : table(all));
}

if (process.argv[1] && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) main();
