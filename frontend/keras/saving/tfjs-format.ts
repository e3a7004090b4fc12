/**
 * Layers models of TensorFlow.js: `model.json` with the configuration of Keras 2 and a manifest of weights, whose bytes lie one after the other in shards beside it. Shards may hold
 * weights with fewer bits (quantized by the converter), which are widened when they are read. Source: tfjs-core io/types (WeightsManifestConfig) and the converter's format.
 */
import type { DType, TypedArray } from '../../../ir/dtype.js';
import { ModelFormatError } from '../../../ir/errors.js';
import { bytesOf, bytesOfShape, elementsOf, writtenType } from '../../formats/elements.js';
import { besideTarget, type FileTarget, writeFiles } from '../../formats/sink.js';
import { isNode, type OpenFile, readAll } from '../../formats/source.js';
import { parseJson } from '../../formats/text.js';
import { uniqueNames } from '../utils/naming.js';
import { isPlainObject } from '../utils/options.js';
import type { Json, JsonObject, SerializedObject } from '../utils/serialization.js';
import { withoutModules } from './contents.js';
import { trainingForH5, trainingOfH5 } from './file-training.js';
import { kerasVersion } from './h5-format.js';
import type { ArrayContents, ModelContents, ModelFormat, SavedArray, SavedModel } from './saved-model.js';

const largest = 256 << 20;
/** Bytes of a shard that is written. */
const shardBytes = 4 << 20;

/** Whether JSON begins as such a model does: a configuration of Keras has other keys. */
export const isTfjs = (head: Uint8Array): boolean =>
  /^\uFEFF?\s*\{\s*"(?:format|modelTopology|weightsManifest|generatedBy|convertedBy|userDefinedMetadata|trainingConfig)"\s*:/.test(
    new TextDecoder().decode(head),
  );

// ---- reading

/** The shards of a group, as one row of bytes. Each is opened when it is first needed. */
class Shards {
  private readonly opened = new Map<string, Promise<OpenFile>>();
  constructor(
    private readonly main: OpenFile,
    private readonly paths: readonly string[],
  ) {}
  async read(where: string, offset: number, length: number): Promise<Uint8Array> {
    // what lies before is known only from the sizes of the files
    const pieces: Uint8Array[] = [];
    let start = 0;
    let need = length;
    for (const path of this.paths) {
      if (need === 0) break;
      const file = await this.open(path);
      const from = Math.max(0, offset + (length - need) - start);
      const n = Math.min(need, Math.max(0, file.size - from));
      if (n > 0 && from < file.size) {
        pieces.push(await file.read(from, n));
        need -= n;
      }
      start += file.size;
    }
    if (need > 0) throw new ModelFormatError(`${where}: lies at bytes ${offset} to ${offset + length} of its shards, which have ${start}`);
    if (pieces.length === 1) return pieces[0]!;
    const out = new Uint8Array(length);
    let at = 0;
    for (const p of pieces) {
      out.set(p, at);
      at += p.byteLength;
    }
    return out;
  }
  /** All bytes of the group. */
  async size(): Promise<number> {
    let n = 0;
    for (const path of this.paths) n += (await this.open(path)).size;
    return n;
  }
  private open(path: string): Promise<OpenFile> {
    const found = this.opened.get(path) ?? this.main.beside(path);
    this.opened.set(path, found);
    return found;
  }
  async close(): Promise<void> {
    for (const f of await Promise.allSettled(this.opened.values())) if (f.status === 'fulfilled') await f.value.close();
  }
}

interface Quantization {
  readonly dtype: DType;
  readonly scale: number;
  readonly min: number;
}

function quantizationOf(where: string, q: unknown): Quantization | null {
  if (q === undefined || q === null) return null;
  const { dtype, scale, min } = (isPlainObject(q) ? q : {}) as { dtype?: unknown; scale?: unknown; min?: unknown };
  if (dtype === 'float16') return { dtype, scale: 1, min: 0 };
  if ((dtype !== 'uint8' && dtype !== 'uint16') || typeof scale !== 'number' || typeof min !== 'number')
    throw new ModelFormatError(`${where}: its quantization is not one of float16, or of uint8 and uint16 with scale and min`);
  return { dtype, scale, min };
}

const readTypes: readonly DType[] = ['float32', 'int32', 'bool', 'uint8', 'float16'];

function weightOf(file: OpenFile, shards: Shards, w: JsonObject, offset: number): [SavedArray, number] {
  const { name, shape, dtype, quantization } = w as { name?: unknown; shape?: unknown; dtype?: unknown; quantization?: unknown };
  if (typeof name !== 'string') throw new ModelFormatError(`${file.name}: a weight of its manifest has no name`);
  const where = `${file.name}: weight ${JSON.stringify(name.slice(0, 200))}`;
  const type = readTypes.find((t) => t === dtype);
  if (!type) throw new ModelFormatError(`${where}: has the type ${JSON.stringify(dtype)}, which is not read (${readTypes.join(', ')})`);
  if (!Array.isArray(shape)) throw new ModelFormatError(`${where}: has no shape`);
  const q = quantizationOf(where, quantization);
  const size = bytesOfShape(where, q?.dtype ?? type, shape);
  const read = async (): Promise<TypedArray> => {
    const data = elementsOf(where, q?.dtype ?? type, await shards.read(where, offset, size));
    if (!q || q.dtype === 'float16') return data;
    const wide = Float32Array.from(data, (v) => v * q.scale + q.min);
    return type === 'int32' ? Int32Array.from(wide, Math.round) : wide;
  };
  return [{ name, shape: shape as number[], read }, size];
}

async function read(file: OpenFile): Promise<SavedModel> {
  const json = parseJson(file.name, await readAll(file, largest));
  if (!isPlainObject(json)) throw new ModelFormatError(`${file.name}: is not an object`);
  const { format, modelTopology: topology, weightsManifest: manifest, trainingConfig } = json as JsonObject;
  if (format === 'graph-model')
    throw new ModelFormatError(`${file.name}: is a graph model of TensorFlow.js: it has operations, not layers; convert the original model as a layers model`);
  if (!isPlainObject(topology)) throw new ModelFormatError(`${file.name}: has no modelTopology`);
  const t = topology as JsonObject;
  const config = isPlainObject(t.model_config) ? t.model_config : t;
  const groups: Shards[] = [];
  const arrays = new Map<string, SavedArray>();
  const places = new Map<Shards, number>();
  if (manifest !== undefined && !Array.isArray(manifest)) throw new ModelFormatError(`${file.name}: weightsManifest is not a list`);
  for (const group of (manifest ?? []) as Json[]) {
    const { paths, weights } = (isPlainObject(group) ? group : {}) as { paths?: unknown; weights?: unknown };
    if (!Array.isArray(paths) || !paths.every((p) => typeof p === 'string') || !Array.isArray(weights))
      throw new ModelFormatError(`${file.name}: a group of its manifest has no list of paths and of weights`);
    const shards = new Shards(file, paths as string[]);
    groups.push(shards);
    let offset = 0;
    for (const w of weights) {
      if (!isPlainObject(w)) throw new ModelFormatError(`${file.name}: a weight of its manifest is not an object`);
      const [array, size] = weightOf(file, shards, w as JsonObject, offset);
      offset += size;
      if (!Number.isSafeInteger(offset)) throw new ModelFormatError(`${file.name}: its weights are larger than any file`);
      // optimizers' variables of TensorFlow.js are not those of Keras
      if ((w as JsonObject).group === 'optimizer') continue;
      if (arrays.has(array.name)) throw new ModelFormatError(`${file.name}: the weight ${JSON.stringify(array.name)} occurs twice`);
      arrays.set(array.name, array);
    }
    places.set(shards, offset);
  }
  const close = async (): Promise<void> => {
    for (const g of groups) await g.close();
  };
  try {
    for (const [shards, expected] of places) {
      const found = await shards.size();
      if (found !== expected) throw new ModelFormatError(`${file.name}: its manifest lists ${expected} bytes of weights, the shards have ${found}`);
    }
    const training = t.training_config ?? trainingConfig ?? null;
    const version = typeof t.keras_version === 'string' && /^\d/.test(t.keras_version) ? t.keras_version : '2.15.0';
    return {
      source: file.name,
      generation: 'keras2',
      config: typeof (config as JsonObject).class_name === 'string' ? ({ keras_version: version, ...(config as object) } as unknown as SerializedObject) : null,
      weights: arrays.size > 0 ? { kind: 'names', arrays, inOrder: true } : null,
      training: isPlainObject(training) ? trainingOfH5(`${file.name}: training_config`, training, 'keras2') : null,
      optimizer: null,
      extra: null,
      close,
    };
  } catch (e) {
    await close();
    throw e;
  }
}

// ---- writing

/** What TensorFlow.js reads: 32-bit numbers, bytes as bool. */
function readable(a: ArrayContents): ArrayContents {
  const type = writtenType(a.data);
  if (type === 'float32' || type === 'int32') return a;
  return { ...a, data: type === 'float64' ? Float32Array.from(a.data as Float64Array) : Int32Array.from(a.data as Int32Array) };
}

async function write(m: ModelContents, target: FileTarget): Promise<void> {
  const names = uniqueNames(m.layers.flatMap((l) => l.weights.map((w) => w.name)));
  const weights = m.layers.flatMap((l) => l.weights).map((w, i) => readable({ ...w, name: names[i]! }));
  const total = weights.reduce((n, w) => n + w.data.byteLength, 0);
  const count = Math.max(1, Math.ceil(total / shardBytes));
  const { old, stamp } = await before(target);
  const paths = Array.from({ length: count }, (_, i) => `group1-shard${i + 1}of${count}${stamp}.bin`);
  const training = trainingForH5(m);
  const topology = {
    keras_version: kerasVersion(m.generation),
    backend: 'tensorflow',
    model_config: withoutModules(m.config),
    ...(training ? { training_config: training } : {}),
  };
  const model = {
    format: 'layers-model',
    generatedBy: `keras v${kerasVersion(m.generation)}`,
    convertedBy: 'Tenon',
    modelTopology: topology,
    weightsManifest: weights.length === 0 ? [] : [{ paths, weights: weights.map((w) => ({ name: w.name, shape: w.shape, dtype: writtenType(w.data) })) }],
  };
  const shards = await Promise.all((weights.length === 0 ? [] : paths).map((p) => besideTarget(target, p)));
  await writeFiles([
    ...shards.map((shard, i) => ({
      target: shard,
      body: async (sink: { write(bytes: Uint8Array, at: number): void; readonly size: number }) => {
        // the part of each weight that lies in this shard
        let start = 0;
        for (const w of weights) {
          const bytes = bytesOf(w.data);
          const from = Math.max(0, i * shardBytes - start);
          const to = Math.min(bytes.byteLength, (i + 1) * shardBytes - start);
          if (from < to) sink.write(bytes.subarray(from, to), sink.size);
          start += bytes.byteLength;
        }
      },
    })),
    { target, body: async (sink) => sink.write(new TextEncoder().encode(JSON.stringify(model)), 0) },
  ]);
  if (old.length > 0) {
    const { rmSync } = await import('node:fs');
    for (const path of old) rmSync(path, { force: true });
  }
}

/**
 * Shards that lie beside the target already, and what makes the new names differ from theirs: the old model stays whole until the new model.json is in place. Only shards that the old
 * model.json names are counted as its own, and removed after that.
 */
async function before(target: FileTarget): Promise<{ readonly old: readonly string[]; readonly stamp: string }> {
  if (typeof target !== 'string' || !isNode()) return { old: [], stamp: '' };
  const { existsSync, readdirSync, readFileSync } = await import('node:fs');
  const { dirname, join } = await import('node:path');
  const folder = dirname(target);
  const there = existsSync(folder) ? readdirSync(folder).filter((f) => /^group1-shard\d+of\d+(?:-\d+)?\.bin$/.test(f)) : [];
  const numbers = there.map((f) => Number(/-(\d+)\.bin$/.exec(f)?.[1] ?? 1));
  const text = existsSync(target) ? readFileSync(target, 'utf8') : '';
  return {
    old: there.filter((f) => text.includes(JSON.stringify(f))).map((f) => join(folder, f)),
    stamp: there.length === 0 ? '' : `-${Math.max(...numbers) + 1}`,
  };
}

export const tfjsFormat: ModelFormat = {
  name: 'tfjs',
  extensions: ['/model.json', '.tfjs.json'],
  parts: ['model', 'weights'],
  recognizes: isTfjs,
  read,
  write,
  defaultGeneration: 'keras2',
};
