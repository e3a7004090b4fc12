/** Loads the folder that `tenon compile` writes (docs/plan-format.md) and runs it: needs nothing but this runtime and a device. */
import type { Device, LoadedPlan, Session } from './device.js';
import { ArgumentError, ModelFormatError, messageOf } from './errors.js';
import type { CompiledPlan } from './plan.js';
import { writeSafetensors } from './safetensors.js';
import { validatePlan } from './validate.js';
import { readWeights, writeWeights } from './weights.js';

/** Gives the bytes of a file of the artefact by its name, such as `plan.wasm.json`. */
export type ArtefactReader = (file: string) => Promise<Uint8Array>;

/** What `plan.<target>.json` holds. */
export interface ArtefactFile {
  readonly format: 'tenon-artefact';
  readonly version: 1;
  readonly plan: CompiledPlan['plan'];
  /** webgpu: one .wgsl file per distinct kernel, in the order of PlanKernel.code. wasm: the module. */
  readonly kernels: readonly string[];
  readonly constants: string;
  /** null: the model has no weights. */
  readonly weights: string | null;
  /** SHA-256 of every file, in hexadecimal. */
  readonly hashes: Readonly<Record<string, string>>;
}

export interface LoadOptions {
  /** Weights to use instead of the artefact's own: a safetensors file with the same names and shapes. */
  readonly weights?: Uint8Array;
}

export interface LoadedArtefact {
  readonly device: Device;
  readonly session: Session;
  readonly plan: LoadedPlan;
  /** All state (weights, optimizer slots, counters) as a safetensors file, for LoadOptions.weights. */
  saveWeights(): Promise<Uint8Array>;
  /** Frees the session; the device stays. */
  dispose(): void;
}

const isNode = (): boolean => (globalThis as { process?: { versions?: { node?: string } } }).process?.versions?.node !== undefined;

/** The specifiers are not literals, so that bundlers of web apps leave them alone. */
async function readFile(folder: string, file: string): Promise<Uint8Array> {
  const [fs, path] = ['node:fs/promises', 'node:path'];
  const { readFile: read } = (await import(/* @vite-ignore */ /* webpackIgnore: true */ fs)) as { readFile(path: string): Promise<Uint8Array> };
  const { join } = (await import(/* @vite-ignore */ /* webpackIgnore: true */ path)) as { join(...parts: string[]): string };
  return read(join(folder, file));
}

async function pathOf(url: URL): Promise<string> {
  const specifier = 'node:url';
  const { fileURLToPath } = (await import(/* @vite-ignore */ /* webpackIgnore: true */ specifier)) as { fileURLToPath(url: URL): string };
  return fileURLToPath(url);
}

function urlReader(base: URL): ArtefactReader {
  const folder = base.pathname.endsWith('/') ? base : new URL(`${base.pathname}/${base.search}`, base);
  return async (file) => {
    const url = new URL(file, folder);
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${url.href}: ${response.status} ${response.statusText}`);
    return new Uint8Array(await response.arrayBuffer());
  };
}

async function readerOf(source: string | URL | ArtefactReader): Promise<ArtefactReader> {
  if (typeof source === 'function') return source;
  if (typeof source === 'string' && isNode() && !/^(https?|file):/.test(source)) return (file) => readFile(source, file);
  const url = typeof source === 'string' ? new URL(source, (globalThis as { location?: { href: string } }).location?.href) : source;
  if (url.protocol !== 'file:') return urlReader(url);
  const folder = await pathOf(url);
  return (file) => readFile(folder, file);
}

/** A file name inside the artefact's folder, and nothing else. */
function fileName(v: unknown, where: string): string {
  if (typeof v !== 'string' || !/^[\w-][\w.-]*(\/[\w-][\w.-]*)*$/.test(v) || v.length > 400)
    throw new ModelFormatError(`${where}: expected the name of a file in the artefact's folder, found ${JSON.stringify(v)?.slice(0, 80) ?? 'nothing'}`);
  return v;
}

function artefactFile(json: unknown, where: string): ArtefactFile {
  const a = json as Partial<Record<keyof ArtefactFile, unknown>> | null;
  if (typeof a !== 'object' || a === null || a.format !== 'tenon-artefact')
    throw new ModelFormatError(`${where}: format is not 'tenon-artefact': this is not the plan of a compiled model`);
  if (a.version !== 1)
    throw new ModelFormatError(`${where}: version ${String(a.version)} is not known (expected 1): compile the model again with this version of Tenon`);
  if (!Array.isArray(a.kernels)) throw new ModelFormatError(`${where}: kernels are missing`);
  a.kernels.forEach((k, i) => fileName(k, `${where}: kernels[${i}]`));
  fileName(a.constants, `${where}: constants`);
  if (a.weights !== null) fileName(a.weights, `${where}: weights`);
  if (typeof a.hashes !== 'object' || a.hashes === null) throw new ModelFormatError(`${where}: hashes are missing`);
  return json as ArtefactFile;
}

async function sha256(bytes: Uint8Array): Promise<string | null> {
  // Only secure contexts have it; elsewhere transport cannot be trusted anyway.
  const subtle = (globalThis as { crypto?: { subtle?: SubtleCrypto } }).crypto?.subtle;
  if (!subtle) return null;
  const digest = new Uint8Array(await subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));
  return [...digest].map((b) => b.toString(16).padStart(2, '0')).join('');
}

/**
 * Loads a compiled model for a device. `source`: the folder's path (Node), its URL, or a function that reads its files. Every file is checked against its hash. The caller disposes
 * the result and the device. Throws ModelFormatError for a malformed or inconsistent artefact, LimitError where the device is too small.
 */
export async function loadArtefact(source: string | URL | ArtefactReader, device: Device, options: LoadOptions = {}): Promise<LoadedArtefact> {
  const reader = await readerOf(source);
  const read = async (file: string): Promise<Uint8Array> => {
    try {
      return await reader(file);
    } catch (e) {
      throw new ArgumentError(`the artefact's file ${file} cannot be read: ${messageOf(e)}`);
    }
  };
  const name = `plan.${device.info.kind}.json`;
  let json: unknown;
  const text = new TextDecoder().decode(await read(name));
  try {
    json = JSON.parse(text);
  } catch (e) {
    throw new ModelFormatError(`${name} is not JSON: ${messageOf(e)}`);
  }
  const artefact = artefactFile(json, name);
  const checked = async (file: string): Promise<Uint8Array> => {
    const bytes = await read(file);
    const expected = Object.hasOwn(artefact.hashes, file) ? artefact.hashes[file] : undefined;
    const found = await sha256(bytes);
    if (expected === undefined || (found !== null && found !== expected))
      throw new ModelFormatError(
        `${file} does not belong to ${name}: its SHA-256 is ${found}, expected ${expected ?? 'none'}. Compile the model again, or pass other weights in options.weights`,
      );
    return bytes;
  };
  const plan = validatePlan(artefact.plan);
  if (plan.target !== device.info.kind) throw new ModelFormatError(`${name} holds a plan for ${plan.target}`);
  const [blob, weights, ...kernels] = await Promise.all([
    checked(artefact.constants),
    options.weights ?? (artefact.weights === null ? null : checked(artefact.weights)),
    ...artefact.kernels.map(checked),
  ]);
  const decoder = new TextDecoder();
  const compiled: CompiledPlan =
    plan.target === 'webgpu' ? { plan, wgsl: kernels.map((k) => decoder.decode(k)), wasm: null, blob } : { plan, wgsl: [], wasm: kernels[0] ?? null, blob };
  const session = device.createSession();
  try {
    const loaded = await session.load(compiled);
    if (weights) writeWeights(session, plan.state, weights, options.weights ? 'options.weights' : artefact.weights!);
    return {
      device,
      session,
      plan: loaded,
      saveWeights: async () => writeSafetensors(await readWeights(session, plan.state)),
      dispose: () => session.dispose(),
    };
  } catch (e) {
    session.dispose();
    throw e;
  }
}
