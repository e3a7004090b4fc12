/** TensorFlow checkpoints of models, the format: how they are recognized and named. What is in them (checkpoint-files.ts) is loaded with the first one, protobuf with it. */
import { type FileSource, isNode, type OpenFile, openSource } from '../../formats/source.js';
import { isTable } from '../../formats/tensorflow/table.js';
import type { ModelFormat } from './saved-model.js';

export const checkpointFormat: ModelFormat = {
  name: 'checkpoint',
  extensions: ['.index', '.ckpt'],
  parts: ['weights'],
  recognizes: (_, __, tail) => isTable(tail),
  read: async (file) => (await import('./checkpoint-files.js')).readCheckpoint(file),
  write: async (m, target) => (await import('./checkpoint-files.js')).writeCheckpoint(m, target),
  mainName: (name) => `${name.replace(/\.index$/, '')}.index`,
  defaultGeneration: 'keras2',
};

/** A prefix, which is no file itself. */
export async function resolvePrefix(source: FileSource): Promise<{ readonly format: ModelFormat; readonly file: OpenFile } | null> {
  if (typeof source !== 'string' || !isNode() || /^(https?|blob|data|file):/.test(source)) return null;
  const { existsSync, statSync } = await import('node:fs');
  const index = `${source}.index`;
  if ((existsSync(source) && statSync(source).isFile()) || !existsSync(index)) return null;
  return { format: checkpointFormat, file: await openSource(index) };
}
