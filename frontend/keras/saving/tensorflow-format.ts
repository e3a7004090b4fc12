/** SavedModels, the format: how they are recognized. What is in them (tensorflow-model.ts) is loaded with the first one. */
import { type FileSource, isNode, type OpenFile, openSource } from '../../formats/source.js';
import type { ModelFormat } from './saved-model.js';

const main = 'saved_model.pb';
const isMain = (name: string): boolean => (name.split(/[\\/]/).at(-1) ?? '') === main;

export const savedModelFormat: ModelFormat = {
  name: 'savedmodel',
  extensions: [`/${main}`],
  parts: ['model', 'weights'],
  recognizes: (_, file) => isMain(file.name),
  read: async (file) => (await import('./tensorflow-model.js')).readSavedModel(file),
  write: null,
  defaultGeneration: 'keras2',
};

/** The folder of a SavedModel. */
export async function resolveSavedModel(source: FileSource): Promise<{ readonly format: ModelFormat; readonly file: OpenFile } | null> {
  if (typeof source !== 'string' || !isNode() || /^(https?|blob|data|file):/.test(source)) return null;
  const { existsSync } = await import('node:fs');
  const { join } = await import('node:path');
  const inside = join(source, main);
  return existsSync(inside) ? { format: savedModelFormat, file: await openSource(inside) } : null;
}
