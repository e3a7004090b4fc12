/** `tenon compile`: a module that exports a model becomes a folder that runs without the compiler. */
import { readFile } from 'node:fs/promises';
import { compile } from '../../codegen/compile.js';
import { hostArray } from '../../ir/dtype.js';
import type { Graph } from '../../ir/graph.js';
import type { HostArray } from '../../runtime/device.js';
import { messageOf } from '../../runtime/errors.js';
import { openDevice } from '../../runtime/open.js';
import { artefactFiles, type GivenWeights, writeFolder } from '../artefact.js';
import { bytesText, type CliIo, table, UsageError } from '../io.js';
import { loadModel, loadPrograms } from '../model.js';
import { listOf, positiveInteger, type TargetName, targetInfo, targetName } from '../targets.js';
import { type Tuned, tune } from '../tune.js';
import { bisectPrograms } from './bisect.js';

export interface CompileFlags {
  readonly output?: string;
  readonly weights?: string;
  readonly target: string;
  readonly programs?: string;
  readonly batchSize?: string;
  readonly verify?: boolean;
  readonly tune?: boolean;
  readonly tuneSeconds: string;
  readonly bisect?: boolean;
  readonly json?: boolean;
}

export async function compileCommand(file: string, flags: CompileFlags, io: CliIo): Promise<void> {
  const targets = listOf(flags.target).map(targetName);
  const { output } = flags;
  if (output === undefined && !flags.bisect) throw new UsageError("required option '-o, --output <folder>' not specified");
  const seconds = positiveInteger(flags.tuneSeconds, '--tune-seconds');
  if (targets.length === 0) throw new UsageError('--target names no target');
  const names = flags.programs === undefined ? undefined : listOf(flags.programs);
  const batchSize = flags.batchSize === undefined ? undefined : positiveInteger(flags.batchSize, '--batch-size');
  let weights: GivenWeights | null = null;
  if (flags.weights !== undefined) {
    try {
      weights = { file: await readFile(flags.weights), source: flags.weights };
    } catch (e) {
      throw new UsageError(`--weights: ${messageOf(e)}`);
    }
  }
  const model = await loadModel(file);
  const programs = await loadPrograms(model, batchSize, names);
  if (flags.bisect || output === undefined) return bisectPrograms(programs, targets.map(targetInfo), flags.json ?? false, io);
  const began = performance.now();
  const tuned = flags.tune ? await tunePlans(programs, targets, model.name, seconds) : null;
  const plans = tuned
    ? tuned.map((t) => t.compiled)
    : targets.map((t) => compile(programs, { target: targetInfo(t), name: model.name, verify: flags.verify ?? false }));
  const milliseconds = Math.round(performance.now() - began);
  const initial = Object.entries(model.initialState?.(programs) ?? {}).map(([slot, t]) => [slot, hostArray(t.dtype, t.data) as HostArray] as const);
  const files = artefactFiles(plans, weights, Object.fromEntries(initial));
  await writeFolder(output, files);
  const arena = Object.fromEntries(plans.map((p) => [p.plan.target, Math.max(0, ...Object.values(p.plan.memory).map((m) => m.arena))]));
  if (flags.json) {
    const list = Object.fromEntries([...files].map(([name, bytes]) => [name, bytes.byteLength]));
    io.out(
      `${JSON.stringify({ model: model.name, folder: output, programs: Object.keys(programs), targets, milliseconds, arena, files: list, ...(tuned ? { tuned: tuned.map(({ compiled, ...t }) => ({ target: compiled.plan.target, ...t })) } : {}) })}\n`,
    );
    return;
  }
  io.out(`${model.name}: ${Object.keys(programs).join(', ')} for ${targets.join(' and ')} in ${milliseconds} ms\n`);
  for (const p of plans) io.out(`  ${p.plan.target}: ${p.plan.kernels.length} kernels, peak of intermediates ${bytesText(arena[p.plan.target]!)}\n`);
  for (const t of tuned ?? []) {
    io.out(`  ${t.compiled.plan.target}: tuned ${t.tried} of ${t.regions} kernels, ${t.changed.length} have another schedule\n`);
    for (const c of t.changed) io.out(`    ${c.origin || c.key}: ${c.before.toFixed(3)} ms to ${c.after.toFixed(3)} ms: ${c.to}\n`);
  }
  const shown = [...files].filter(([name]) => !name.startsWith('kernels.webgpu/'));
  const wgsl = [...files].filter(([name]) => name.startsWith('kernels.webgpu/'));
  const rows = shown.map(([name, bytes]) => [`${output}/${name}`, bytesText(bytes.byteLength)]);
  if (wgsl.length > 0) rows.push([`${output}/kernels.webgpu/ (${wgsl.length} files)`, bytesText(wgsl.reduce((a, [, b]) => a + b.byteLength, 0))]);
  for (const line of table(rows, [1])) io.out(`  ${line}\n`);
}

async function tunePlans(programs: Readonly<Record<string, Graph>>, targets: readonly TargetName[], name: string, seconds: number): Promise<Tuned[]> {
  const done: Tuned[] = [];
  for (const t of targets) {
    const device = await openDevice(t);
    try {
      done.push(await tune(programs, device, { target: targetInfo(t), name, seconds }));
    } finally {
      device.dispose();
    }
  }
  return done;
}
