/**
 * npm run golden -- DIR [--device reference|wasm|webgpu|webgpu-as-gpu] [--only PATTERN] [--family NAME]: runs golden cases against a target. DIR is the folder of all families or of one.
 * `webgpu-as-gpu`: a software adapter runs the kernels that GPUs get, which stage operands in workgroup memory. Prints failures and skips with their reasons, and ends with `N passed, N failed, N skipped`; exits with 1 when a case failed.
 */
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { CompiledExecutor } from '../../frontend/keras/models/compiled-executor.js';
import { ReferenceExecutor } from '../../frontend/keras/models/reference-executor.js';
import { openDevice } from '../../runtime/open.js';
import { openWebGpuDevice } from '../../runtime/webgpu/device.js';
import { runArchitectureCase } from './architectures.js';
import { arraysOf, type CaseHeader, Checker, casesOf, Skip, type Target } from './cases.js';
import { runFormatCase } from './formats.js';
import { runActivationCase, runConstraintCase, runInitializerCase, runRegularizerCase, runScheduleCase } from './functions.js';
import { runLayerCase } from './layers.js';
import { runLossCase } from './losses.js';
import { runMetricCase } from './metrics.js';
import { runOptimizerCase } from './optimizers.js';
import { runPreprocessingCase } from './preprocessing.js';
import { runTrainingCase } from './training.js';

/** `folder` is that of the case's family. */
type Runner = (json: CaseHeader, check: Checker, target: Target, folder: string) => Promise<void>;

export const families: Readonly<Record<string, Runner>> = {
  training: runTrainingCase,
  layers: runLayerCase,
  losses: runLossCase,
  optimizers: runOptimizerCase,
  metrics: runMetricCase,
  activations: runActivationCase,
  initializers: runInitializerCase,
  regularizers: runRegularizerCase,
  constraints: runConstraintCase,
  schedules: runScheduleCase,
  architectures: runArchitectureCase,
  formats: runFormatCase,
  preprocessing: runPreprocessingCase,
};

/** What cases run on. */
export async function openTarget(name: string): Promise<{ readonly target: Target; readonly description: string; readonly close: () => void }> {
  if (name === 'reference')
    return { target: { device: 'reference', executor: () => new ReferenceExecutor() }, description: 'reference evaluation', close: () => undefined };
  if (name !== 'wasm' && name !== 'webgpu' && name !== 'webgpu-as-gpu')
    throw new Error(`unknown device '${name}': expected reference, wasm, webgpu or webgpu-as-gpu`);
  const device = name === 'webgpu-as-gpu' ? await openWebGpuDevice({ asGpu: true }) : await openDevice(name);
  return { target: { device, executor: () => new CompiledExecutor(device) }, description: device.info.description, close: () => device.dispose() };
}

export interface Outcome {
  readonly name: string;
  readonly result: 'passed' | 'failed' | 'skipped';
  readonly notes: readonly string[];
}

/** Runs the cases of one family's folder. */
export async function* runFamily(dir: string, target: Target, only: RegExp | null): AsyncGenerator<Outcome> {
  for (const c of casesOf(dir, only)) {
    const name = `${c.json.family}/${c.json.name}`;
    const check = new Checker(arraysOf(c), c.json.tolerance);
    try {
      await families[c.json.family]!(c.json, check, target, dir);
      yield {
        name,
        result: check.problems.length === 0 && check.compared > 0 ? 'passed' : 'failed',
        notes: check.compared === 0 ? ['nothing was compared'] : check.problems,
      };
    } catch (e) {
      if (e instanceof Skip) yield { name, result: 'skipped', notes: [e.message] };
      else yield { name, result: 'failed', notes: [e instanceof Error ? (e.stack ?? e.message) : String(e)] };
    }
  }
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      device: { type: 'string', default: 'wasm' },
      only: { type: 'string' },
      family: { type: 'string' },
      verbose: { type: 'boolean', default: false },
    },
  });
  const [dir] = positionals;
  if (dir === undefined || !existsSync(dir) || !statSync(dir).isDirectory()) {
    console.error('usage: npm run golden -- DIR [--device reference|wasm|webgpu|webgpu-as-gpu] [--only PATTERN] [--family NAME] [--verbose]');
    process.exit(2);
  }
  const one = Object.keys(families).find((f) => path.basename(path.resolve(dir)) === f);
  const folders = one
    ? [path.resolve(dir)]
    : Object.keys(families)
        .filter((f) => (!values.family || f === values.family) && existsSync(path.join(dir, f)))
        .map((f) => path.join(dir, f));
  if (folders.length === 0) {
    console.error(`no golden families in ${dir}${values.family ? ` named ${values.family}` : ''}: expected ${Object.keys(families).join(', ')}`);
    process.exit(2);
  }
  const { target, description, close } = await openTarget(values.device);
  console.log(`golden cases on ${description}`);
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const skips = new Map<string, string[]>();
  for (const folder of folders) {
    for await (const o of runFamily(folder, target, values.only ? new RegExp(values.only) : null)) {
      counts[o.result]++;
      if (o.result === 'failed')
        console.log(
          `FAIL ${o.name}\n${o.notes
            .slice(0, 6)
            .map((n) => `  ${n.split('\n').slice(0, 8).join('\n  ')}`)
            .join('\n')}`,
        );
      if (o.result === 'skipped') skips.set(o.notes[0]!, [...(skips.get(o.notes[0]!) ?? []), o.name]);
      if (o.result === 'passed' && values.verbose) console.log(`ok   ${o.name}`);
    }
  }
  for (const [reason, names] of [...skips].sort(([a], [b]) => (a < b ? -1 : 1))) console.log(`skip ${reason}: ${names.join(', ')}`);
  console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  close();
  process.exit(counts.failed > 0 ? 1 : 0);
}

if (process.argv[1] && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) await main();
