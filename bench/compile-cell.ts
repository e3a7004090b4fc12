/**
 * One cold measurement of compilation, in a process of its own: node --import tsx bench/compile-cell.ts KIND NAME FILE. Prints one JSON line. Modules are loaded before the clock starts; what counts is
 * from tracing (or from the file) to the plan that is ready on the WASM device (for ONNX: to the first output).
 */
import { readFileSync } from 'node:fs';
import { compile } from '../codegen/compile.js';
import { targetOf } from '../codegen/target.js';
import { modelFromConfig } from '../frontend/keras/index.js';
import type { SerializedObject } from '../frontend/keras/utils/serialization.js';
import { load } from '../frontend/onnx/index.js';
import type { Graph } from '../ir/graph.js';
import { openWasmDevice } from '../runtime/wasm/device.js';
import { activationBytes, type CompileCell } from './compile.js';
import { inputFor, sample } from './compile-inputs.js';
import { modelOf, tracedGraph } from './figures.js';
import { workloads } from './workloads.js';

const [kind, name, file] = process.argv.slice(2) as [CompileCell['kind'], string, string];
const device = () => openWasmDevice({ threads: 2, relaxedSimd: 'off' });
const since = (t: number): number => Math.round(performance.now() - t);

/** Milliseconds of tracing, compiling and loading, with the plan's memory. */
async function planned(trace: () => Graph): Promise<Partial<CompileCell>> {
  const session = (await device()).createSession();
  const start = performance.now();
  const graph = trace();
  const compiled = compile({ main: graph }, { target: targetOf((await device()).info) });
  await session.load(compiled);
  const { arena, sum } = compiled.plan.memory.main!;
  return { ms: since(start), kernels: compiled.plan.programs[0]!.steps.length, arena, stored: sum };
}

async function measure(): Promise<Partial<CompileCell>> {
  if (kind === 'onnx') {
    const start = performance.now();
    const model = await load(file, { device: await device() });
    const loaded = since(start);
    const inputs = model.inputs.map((i) => inputFor(i));
    const out = await model.run(Object.fromEntries(inputs.map((i) => [i.name, i])));
    return {
      ms: since(start),
      build: loaded,
      inputs: inputs.map(({ name, dtype, shape }) => ({ name, dtype, shape })),
      check: sample(Object.values(out)[0]!.data),
    };
  }
  if (kind === 'workload') {
    const work = workloads.find((w) => w.id === name)!;
    const model = modelOf(work);
    return planned(() => tracedGraph(work, model));
  }
  const start = performance.now();
  const model = modelFromConfig(JSON.parse(readFileSync(file, 'utf8')) as SerializedObject);
  const build = since(start);
  return { ...(await planned(() => model.programs({ batchSize: 1, only: ['predict'] }).predict!)), build, activations: activationBytes(model) };
}

let line: Partial<CompileCell>;
try {
  line = await measure();
} catch (e) {
  line = { error: e instanceof Error ? `${e.name}: ${e.message}`.split('\n')[0]! : String(e) };
}
process.stdout.write(`${JSON.stringify({ kind, name, ...line })}\n`, () => process.exit(0));
