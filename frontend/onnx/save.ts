/**
 * Models to files. A file takes its place whole (frontend/formats/sink.ts). Tensors beyond what one message may hold go to a second file beside it, `NAME.data`, which is
 * written first, so that the model never names data that is not there.
 */
import { UnsupportedError, ValueError } from '../../ir/errors.js';
import { type FileTarget, writeFile } from '../formats/sink.js';
import { encodeModel } from './schema/codec.js';
import type { ModelProto, TensorProto } from './schema/types.js';

export interface SaveOptions {
  /** Where tensors go: into the file (`inside`), those of 1 kB or more into `NAME.data` beside it (`beside`), or by size (`auto`, the default): beside from 1.9 GB on. */
  readonly externalData?: 'auto' | 'inside' | 'beside';
  /** Bytes from which on `auto` puts tensors beside the file; default 1.9e9. */
  readonly externalFrom?: number;
}

/** Tensors begin at multiples of this, so that runtimes can map them. */
const alignment = 4096;
const smallest = 1024;

/** Writes an imported model again: names, metadata, functions and everything else as they were read. */
export const save = (model: { readonly data: { readonly proto: ModelProto } }, target: FileTarget, options: SaveOptions = {}): Promise<void> =>
  saveProto(model.data.proto, target, options);

/** Writes a model. Throws ValueError for a target that is no path where a second file is needed. */
export async function saveProto(model: ModelProto, target: FileTarget, options: SaveOptions = {}): Promise<void> {
  const tensors = model.graph?.initializer ?? [];
  const total = tensors.reduce((n, t) => n + (t.raw_data?.byteLength ?? 0), 0);
  const mode = options.externalData ?? 'auto';
  if (!['auto', 'inside', 'beside'].includes(mode)) throw new ValueError(`onnx: 'externalData' must be 'auto', 'inside' or 'beside', got ${String(mode)}`);
  if (mode === 'inside' && total >= 2 ** 31)
    throw new UnsupportedError(`onnx: ${total} bytes of tensors do not fit into one file (2 GiB): use externalData 'beside'`);
  const beside = mode === 'beside' || (mode === 'auto' && total >= (options.externalFrom ?? 1.9e9));
  if (!beside) {
    const bytes = encodeModel(model);
    await writeFile(target, async (sink) => sink.write(bytes, 0));
    return;
  }
  if (typeof target !== 'string') throw new ValueError(`onnx: a model with external data is two files: give a path, not '${target.name}'`);
  const location = `${target.slice(Math.max(target.lastIndexOf('/'), target.lastIndexOf('\\')) + 1)}.data`;
  const moved = new Map<TensorProto, TensorProto>();
  await writeFile(`${target}.data`, async (sink) => {
    let at = 0;
    for (const t of tensors) {
      const { raw_data: raw, ...rest } = t;
      if (!raw || raw.byteLength < smallest || t.data_type === 8) continue;
      at = Math.ceil(at / alignment) * alignment;
      sink.write(raw, at);
      const entries = { location, offset: String(at), length: String(raw.byteLength) };
      moved.set(t, { ...rest, data_location: 1, external_data: Object.entries(entries).map(([key, value]) => ({ key, value })) });
      at += raw.byteLength;
    }
  });
  const bytes = encodeModel(replaced(model, moved));
  await writeFile(target, async (sink) => sink.write(bytes, 0));
}

/** The model with other tensors among its initializers. */
function replaced(model: ModelProto, moved: ReadonlyMap<TensorProto, TensorProto>): ModelProto {
  const { graph } = model;
  return { ...model, graph: { ...graph, initializer: (graph?.initializer ?? []).map((t) => moved.get(t) ?? t) } };
}
