/** Files of arrays by name: safetensors, and `.npz` of NumPy. They hold weights alone, by their paths (`dense/kernel`); `numpy.savez(file, *model.get_weights())` is read, too. */

import { ModelFormatError } from '../../../ir/errors.js';
import { ModelFormatError as RuntimeFormatError } from '../../../runtime/errors.js';
import { planType, readSafetensorsHeader, safetensorsHead, safetensorsHeaderBytes } from '../../../runtime/safetensors.js';
import { bytesOf, elementsOf, writtenType } from '../../formats/elements.js';
import { openNpz, writeNpz } from '../../formats/npz.js';
import { writeFile } from '../../formats/sink.js';
import type { OpenFile } from '../../formats/source.js';
import { uniqueNames } from '../utils/naming.js';
import type { ArrayContents, ModelContents, ModelFormat, SavedArray, SavedModel, SavedWeights } from './saved-model.js';

function weightsAlone(source: string, weights: SavedWeights): SavedModel {
  return { source, generation: null, config: null, weights, training: null, optimizer: null, extra: null, close: async () => undefined };
}

function named(m: ModelContents): ArrayContents[] {
  const names = uniqueNames(m.weights.map((w) => w.name));
  return m.weights.map((w, i) => ({ ...w, name: names[i]! }));
}

async function readSafetensorsFile(file: OpenFile): Promise<SavedModel> {
  try {
    const headerBytes = safetensorsHeaderBytes(await file.read(0, 8), file.size, file.name);
    const at = 8 + headerBytes;
    const { places } = readSafetensorsHeader(await file.read(8, headerBytes), file.size - at, file.name);
    const arrays = new Map<string, SavedArray>();
    for (const [name, p] of places) {
      const read = async () => elementsOf(`${file.name}: '${name}'`, planType[p.dtype]!, await file.read(at + p.begin, p.end - p.begin), !file.lendsBytes);
      arrays.set(name, { name, shape: p.shape, read });
    }
    return weightsAlone(file.name, { kind: 'names', arrays });
  } catch (e) {
    // the runtime, which reads such files without the compiler, has an error class of its own
    if (e instanceof RuntimeFormatError) throw new ModelFormatError(e.message);
    throw e;
  }
}

export const safetensorsFormat: ModelFormat = {
  name: 'safetensors',
  extensions: ['.safetensors'],
  parts: ['weights'],
  recognizes: (head, file) => {
    if (head.byteLength < 9 || head[8] !== 0x7b) return false;
    const n = Number(new DataView(head.buffer, head.byteOffset, 8).getBigUint64(0, true));
    return n + 8 <= file.size;
  },
  read: readSafetensorsFile,
  write: (m, target) =>
    writeFile(target, async (sink) => {
      const tensors = named(m).map((a) => ({ ...a, dtype: writtenType(a.data) }));
      const { head, ordered } = safetensorsHead(tensors);
      sink.write(head, 0);
      for (const t of ordered) sink.write(bytesOf(t.data), sink.size);
    }),
  defaultGeneration: 'own',
};

/** Names that numpy.savez gives to arrays without names, and like ones. */
const numbered = /^(?:arr|weight|w)_?(\d+)$/;

export const npzFormat: ModelFormat = {
  name: 'npz',
  extensions: ['.npz'],
  parts: ['weights'],
  // a zip file whose first entry is an array; a long name is not seen whole
  recognizes: (head) => {
    if (head[0] !== 0x50 || head[1] !== 0x4b || head[2] !== 3 || head.byteLength < 31) return false;
    const length = head[26]! | (head[27]! << 8);
    const name = new TextDecoder().decode(head.subarray(30, 30 + length));
    return length > head.byteLength - 30 ? !/^(?:metadata\.json|config\.json|model\.weights\.h5|assets\/)/.test(name) : name.endsWith('.npy');
  },
  async read(file, options) {
    const arrays = await openNpz(file, options.maxBytes === undefined ? {} : { maxBytes: options.maxBytes });
    const list = [...arrays.values()];
    if (list.length === 0 || !list.every((a) => numbered.test(a.name))) return weightsAlone(file.name, { kind: 'names', arrays });
    const number = (a: { readonly name: string }): number => Number(numbered.exec(a.name)![1]);
    return weightsAlone(file.name, { kind: 'ordered', arrays: list.sort((a, b) => number(a) - number(b)) });
  },
  write: (m, target) => writeFile(target, (sink) => writeNpz(sink, named(m))),
  defaultGeneration: 'own',
};
