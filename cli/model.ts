/** Loads the module that a command is given and finds the model that it exports. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { didYouMean } from '../ir/errors.js';
import type { Graph } from '../ir/graph.js';
import type { TensorData } from '../ir/tensor-data.js';
import { UsageError } from './io.js';

/** What can be compiled: Keras models have this method, and so may any object. */
export interface Compilable {
  readonly name: string;
  /** The model's graphs by program name; they share state by slot name. `batchSize`: the largest batch that memory is planned for. */
  programs(options: { readonly batchSize?: number }): Readonly<Record<string, Graph>> | Promise<Readonly<Record<string, Graph>>>;
  /** First contents of state slots by name, where the graphs do not hold them: a model's weights. */
  initialState?(graphs: Readonly<Record<string, Graph>>): Readonly<Record<string, TensorData>>;
}

/** Keras models can be called, so they may be functions. */
const isObject = (v: unknown): v is Record<string, unknown> => (typeof v === 'object' && v !== null) || typeof v === 'function';
const isCompilable = (v: unknown): v is Compilable => isObject(v) && typeof v.programs === 'function';

/** Node runs TypeScript by itself from 22.18 on; before that tsx does, where it is installed. */
async function importModule(file: string): Promise<Record<string, unknown>> {
  const url = pathToFileURL(file).href;
  try {
    return (await import(url)) as Record<string, unknown>;
  } catch (e) {
    if ((e as { code?: string }).code !== 'ERR_UNKNOWN_FILE_EXTENSION') throw e;
  }
  const specifier = 'tsx/esm/api';
  let tsx: { tsImport(specifier: string, parent: string): Promise<Record<string, unknown>> };
  try {
    tsx = (await import(specifier)) as typeof tsx;
  } catch {
    throw new UsageError(`${file}: this Node (${process.version}) does not run TypeScript: use Node 22.18 or later, or npm install tsx, or give a .js file`);
  }
  return tsx.tsImport(url, import.meta.url);
}

/** The model that a module exports: its default export, or the export `model`; or what that function returns. */
export async function loadModel(file: string): Promise<Compilable> {
  const full = path.resolve(file);
  if (!existsSync(full)) throw new UsageError(`${file}: there is no such file`);
  const module = await importModule(full);
  const exported = module.default ?? module.model;
  const found: unknown = typeof exported === 'function' && !isCompilable(exported) ? await (exported as () => unknown)() : await exported;
  if (isCompilable(found)) return found;
  // A module in CommonJS has its exports under default.
  if (isObject(found)) for (const inner of [found.default, found.model]) if (isCompilable(inner)) return inner;
  throw new UsageError(
    `${file}: expected a model as the default export or as the export 'model' (or a function that returns one); the module exports ${Object.keys(module).join(', ') || 'nothing'}`,
  );
}

/** The model's graphs, or those that are named. */
export async function loadPrograms(model: Compilable, batchSize: number | undefined, names: readonly string[] | undefined): Promise<Record<string, Graph>> {
  const all = await model.programs({ batchSize });
  const known = Object.keys(all);
  for (const n of names ?? [])
    if (!known.includes(n)) throw new UsageError(`model '${model.name}' has no program '${n}'; it has ${known.join(', ') || 'none'}.${didYouMean(n, known)}`);
  return Object.fromEntries((names ?? known).map((n) => [n, all[n]!]));
}
