/**
 * `.keras` archives: a zip file of `metadata.json`, `config.json` (with what `compile` was given), `model.weights.h5` (with the optimizer's variables), and learned vocabularies in
 * `assets/`.
 */
import { ModelFormatError } from '../../../ir/errors.js';
import { type H5File, openH5 } from '../../formats/h5-reader.js';
import { writeFile } from '../../formats/sink.js';
import { type OpenFile, openSource } from '../../formats/source.js';
import { parseJson } from '../../formats/text.js';
import { openZip, type ZipFile, ZipWriter } from '../../formats/zip.js';
import { isPlainObject } from '../utils/options.js';
import type { JsonObject, SerializedObject } from '../utils/serialization.js';
import { extraIn, kerasVersion, objectsIn, optimizerIn, readWeightsAhead, writeH5, writeObjects } from './h5-format.js';
import type { ModelFormat, ReadOptions, SavedModel, SavedWeights, TrainingConfig } from './saved-model.js';

const weightsName = 'model.weights.h5';
/** Configurations and vocabularies: how much larger than the file a packed one may be. Read, they take some times their size. */
const textBeyondFile = 8 << 20;

async function textIn(file: OpenFile, zip: ZipFile, name: string): Promise<Uint8Array> {
  const size = zip.entries.get(name)?.size ?? 0;
  const most = file.size + textBeyondFile;
  if (size > most) throw new ModelFormatError(`${file.name}: ${name} has ${size} bytes, more than the limit of ${most}`);
  return zip.read(name);
}

async function jsonIn(file: OpenFile, zip: ZipFile, name: string): Promise<JsonObject> {
  const value = parseJson(`${file.name}: ${name}`, await textIn(file, zip, name));
  if (!isPlainObject(value)) throw new ModelFormatError(`${file.name}: ${name} is not an object`);
  return value as JsonObject;
}

/** The weights: where they lie in the archive, or unpacked where they are compressed. */
async function weightsIn(file: OpenFile, zip: ZipFile, options: ReadOptions): Promise<H5File> {
  if (!zip.entries.has(weightsName))
    throw new ModelFormatError(`${file.name}: has no ${weightsName}; it has ${[...zip.entries.keys()].slice(0, 20).join(', ')}`);
  const place = await zip.place(weightsName);
  if (place) return openH5(file, options, place);
  return openH5(await openSource(await zip.read(weightsName), `${file.name}: ${weightsName}`), options);
}

/** The vocabularies of layers, by the path of their objects. */
function vocabulariesIn(file: OpenFile, zip: ZipFile): Map<string, () => Promise<string>> {
  const out = new Map<string, () => Promise<string>>();
  for (const name of zip.entries.keys()) {
    const path = /^assets\/(.+)\/vocabulary\.txt$/.exec(name)?.[1];
    if (path !== undefined) out.set(path, async () => new TextDecoder().decode(await textIn(file, zip, name)));
  }
  return out;
}

function trainingIn(config: JsonObject): TrainingConfig | null {
  const t = config.compile_config;
  if (!isPlainObject(t) || !('optimizer' in t)) return null;
  const c = t as JsonObject;
  const optimizer = (c.optimizer ?? null) as unknown as SerializedObject | string | null;
  return {
    optimizer,
    legacyOptimizer: isPlainObject(optimizer) && String(optimizer.module ?? '').includes('legacy'),
    loss: c.loss,
    lossWeights: c.loss_weights ?? null,
    metrics: c.metrics ?? null,
    weightedMetrics: c.weighted_metrics ?? null,
  };
}

async function read(file: OpenFile, options: ReadOptions): Promise<SavedModel> {
  const zip = await openZip(file, options);
  const metadata = zip.entries.has('metadata.json') ? await jsonIn(file, zip, 'metadata.json') : {};
  const config = await jsonIn(file, zip, 'config.json');
  const version = typeof metadata.keras_version === 'string' ? metadata.keras_version : null;
  const h5 = await weightsIn(file, zip, options);
  try {
    const objects = objectsIn(h5);
    const weights: SavedWeights = { kind: 'objects', objects };
    return {
      source: file.name,
      generation: version === null ? null : version.startsWith('2') ? 'keras2' : 'keras3',
      config: { ...(version === null ? {} : { keras_version: version }), ...config } as unknown as SerializedObject,
      weights,
      training: trainingIn(config),
      optimizer: optimizerIn(objects),
      extra: extraIn(h5),
      vocabularies: vocabulariesIn(file, zip),
      readAhead: () => readWeightsAhead(h5, weights),
      close: () => h5.close(),
    };
  } catch (e) {
    await h5.close();
    throw e;
  }
}

const two = (n: number): string => String(n).padStart(2, '0');
const saved = (d: Date): string =>
  `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}@${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;

export const kerasFormat: ModelFormat = {
  name: 'keras',
  extensions: ['.keras'],
  parts: ['model'],
  recognizes: (head) => head[0] === 0x50 && head[1] === 0x4b && (head[2] === 3 || head[2] === 5),
  read,
  write: (m, target) =>
    writeFile(target, async (sink) => {
      const zip = new ZipWriter(sink);
      const text = (x: object): Uint8Array => new TextEncoder().encode(JSON.stringify(x));
      const compile = m.training ? { ...m.training, run_eagerly: false, steps_per_execution: 1, jit_compile: false } : null;
      await zip.add('metadata.json', text({ keras_version: kerasVersion(m.generation), date_saved: saved(new Date()) }));
      await zip.add('config.json', text({ ...m.config, ...(compile ? { compile_config: compile } : {}) }));
      await zip.stream(weightsName, (s, base) => writeH5(s, base, m, (w) => writeObjects(w, m)));
      for (const [at, asset] of m.vocabularies) await zip.add(`assets/${at}/vocabulary.txt`, new TextEncoder().encode(asset));
      zip.finish();
    }),
  defaultGeneration: 'own',
  hasAssets: true,
};
