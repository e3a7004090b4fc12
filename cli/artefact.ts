/**
 * Writes compiled plans as a folder that runtime/load.ts runs (docs/plan-format.md). The folder appears whole or not at all: it is written under another name beside its place, flushed, and
 * renamed.
 */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { HostArray } from '../runtime/device.js';
import type { ArtefactFile } from '../runtime/load.js';
import type { CompiledPlan, PlanState } from '../runtime/plan.js';
import { elementsOf } from '../runtime/program.js';
import { type NamedTensor, readSafetensors, tensorAs, writeSafetensors } from '../runtime/safetensors.js';
import { decode } from '../runtime/storage.js';
import { statePartsOf } from '../runtime/weights.js';
import { UsageError } from './io.js';

export const weightsFile = 'model.weights.safetensors';

/** Weights that replace a model's own: a safetensors file. */
export interface GivenWeights {
  readonly file: Uint8Array;
  /** Named in errors. */
  readonly source: string;
}

/**
 * Initial contents of the state, by part: `initial` by slot, or the plan's own; those of `given` in their place. Slots without initial contents are zeros and left out, unless given.
 */
export function initialWeights(compiled: CompiledPlan, initial: Readonly<Record<string, HostArray>>, weights: GivenWeights | null): NamedTensor[] {
  const { file: given = null, source = '' } = weights ?? {};
  const contents = new Map<string, HostArray>(Object.entries(initial));
  for (const s of compiled.plan.state)
    if (s.initial !== null && !contents.has(s.name)) contents.set(s.name, decode(s, compiled.blob.subarray(s.initial), elementsOf(s.shape)));
  const parts = statePartsOf(compiled.plan.state);
  const file = given ? readSafetensors(given, source).tensors : new Map<string, never>();
  const names = new Set(parts.map((p) => p.name));
  for (const name of file.keys())
    if (!names.has(name))
      throw new UsageError(`${source}: tensor '${name}' is no weight of the model; it has ${[...names].slice(0, 8).join(', ')}${names.size > 8 ? ', …' : ''}`);
  if (given) {
    const missing = parts.filter((p) => p.slot.trainable && !file.has(p.name)).map((p) => p.name);
    if (missing.length > 0)
      throw new UsageError(`${source}: weights are missing: ${missing.slice(0, 8).join(', ')}${missing.length > 8 ? ` and ${missing.length - 8} more` : ''}`);
  }
  const tensors: NamedTensor[] = [];
  for (const p of parts) {
    const entry = file.get(p.name);
    if (entry) {
      if (entry.shape.join() !== p.shape.join())
        throw new UsageError(`${source}, '${p.name}': expected shape [${p.shape.join(',')}], the file holds [${entry.shape.join(',')}]`);
      tensors.push({ name: p.name, dtype: p.slot.dtype, shape: p.shape, data: tensorAs(entry, p.slot.dtype, `${source}, '${p.name}'`) });
    } else if (contents.has(p.slot.name)) {
      const all = contents.get(p.slot.name)!;
      tensors.push({ name: p.name, dtype: p.slot.dtype, shape: p.shape, data: all.slice(p.offset, p.offset + elementsOf(p.shape)) });
    }
  }
  return tensors;
}

/** The plan without initial contents of state (they are in the weights file), its blob with constants only. */
function withoutWeights(compiled: CompiledPlan): CompiledPlan {
  const { plan, blob } = compiled;
  let at = 0;
  const pieces: [number, Uint8Array][] = [];
  const buffers = plan.buffers.map((b) => {
    if (b.kind !== 'constant') return b;
    const blobOffset = at;
    pieces.push([at, blob.subarray(b.blobOffset!, b.blobOffset! + b.bytes)]);
    at += Math.ceil(b.bytes / 16) * 16;
    return { ...b, blobOffset };
  });
  const constants = new Uint8Array(at);
  for (const [offset, bytes] of pieces) constants.set(bytes, offset);
  const state = plan.state.map((s): PlanState => ({ ...s, initial: null }));
  return { ...compiled, plan: { ...plan, buffers, state }, blob: constants };
}

/** File names for kernels: readable, unique whatever the case, fit for any file system. */
function kernelFiles(compiled: CompiledPlan): string[] {
  const taken = new Set<string>();
  return compiled.wgsl.map((_, code) => {
    const kernel = compiled.plan.kernels.find((k) => k.code === code);
    const base =
      (kernel?.name ?? `kernel_${code}`)
        .replace(/[^\w-]+/g, '_')
        .replace(/^_+|_+$/g, '')
        .slice(0, 80) || `kernel_${code}`;
    let name = base;
    for (let i = 2; taken.has(name.toLowerCase()); i++) name = `${base}_${i}`;
    taken.add(name.toLowerCase());
    return `kernels.webgpu/${name}.wgsl`;
  });
}

/** The files of an artefact, by name. `initial`: contents of state slots that the plans do not hold. */
export function artefactFiles(
  plans: readonly CompiledPlan[],
  given: GivenWeights | null,
  initial: Readonly<Record<string, HostArray>> = {},
): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  const utf8 = new TextEncoder();
  for (const compiled of plans) {
    const { target } = compiled.plan;
    const tensors = initialWeights(compiled, initial, given);
    let weights: string | null = null;
    if (tensors.length > 0) {
      const bytes = writeSafetensors(tensors, { format: 'tenon', model: compiled.plan.name });
      const shared = files.get(weightsFile);
      // Targets share the file unless they lay weights out differently.
      weights = shared === undefined || Buffer.compare(shared, bytes) === 0 ? weightsFile : `model.weights.${target}.safetensors`;
      files.set(weights, bytes);
    }
    const bare = withoutWeights(compiled);
    const constants = `constants.${target}.bin`;
    files.set(constants, bare.blob);
    const kernels = target === 'webgpu' ? kernelFiles(bare) : ['kernels.wasm'];
    if (target === 'webgpu') bare.wgsl.forEach((source, i) => files.set(kernels[i]!, utf8.encode(source)));
    else if (bare.wasm) files.set('kernels.wasm', bare.wasm);
    const used = [...kernels, constants, ...(weights === null ? [] : [weights])];
    const hashes = Object.fromEntries(used.map((f) => [f, createHash('sha256').update(files.get(f)!).digest('hex')]));
    const manifest: ArtefactFile = { format: 'tenon-artefact', version: 1, plan: bare.plan, kernels, constants, weights, hashes };
    files.set(`plan.${target}.json`, utf8.encode(`${JSON.stringify(manifest, null, 1)}\n`));
  }
  return files;
}

async function writeFlushed(file: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(file, 'wx');
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Whether a folder may be replaced: it is empty or an artefact. */
async function isReplaceable(folder: string): Promise<boolean> {
  const names = await readdir(folder);
  return names.length === 0 || names.some((n) => /^plan\.(webgpu|wasm)\.json$/.test(n));
}

/** Writes the files as one folder, in place of an older artefact there. */
export async function writeFolder(folder: string, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  const target = path.resolve(folder);
  if (existsSync(target) && !(await isReplaceable(target)))
    throw new UsageError(`${folder} exists and holds other files than a compiled model: choose a new folder`);
  await mkdir(path.dirname(target), { recursive: true });
  const tag = randomBytes(4).toString('hex');
  const [fresh, old] = [`${target}.new-${tag}`, `${target}.old-${tag}`];
  try {
    await mkdir(fresh);
    for (const [name, bytes] of files) {
      await mkdir(path.join(fresh, path.dirname(name)), { recursive: true });
      await writeFlushed(path.join(fresh, name), bytes);
    }
    const had = existsSync(target);
    if (had) await rename(target, old);
    try {
      await rename(fresh, target);
    } catch (e) {
      if (had) await rename(old, target);
      throw e;
    }
    await rm(old, { recursive: true, force: true });
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}
