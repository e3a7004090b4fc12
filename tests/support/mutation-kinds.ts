/**
 * The kinds of files that Tenon reads, for tests that damage them: good files to start from (written here, and by the real Keras where the golden files are), how one is changed, and how it
 * is loaded.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32c, masked } from '../../frontend/formats/crc32.js';
import { openSource } from '../../frontend/formats/source.js';
import { tensorflow } from '../../frontend/formats/tensorflow/generated.js';
import { openZip } from '../../frontend/formats/zip.js';
import { Input, inMemory, layers, loadModel, type ModelBase, Sequential, utils } from '../../frontend/keras/index.js';
import type { RandomStream } from '../../frontend/keras/utils/random.js';
import { mutated, withLie, withOtherEntry, withOtherNumber, withOtherValue } from './mutate.js';
import { Scale } from './scale-layer.js';

export type Files = ReadonlyMap<string, Uint8Array>;
type Change = (bytes: Uint8Array, r: RandomStream) => Uint8Array | Promise<Uint8Array>;

/** A good file, or the files that make one. */
export interface Base {
  readonly files: Files;
  /** What is given to the reader: a name among `files`, or the prefix of several. */
  readonly main: string;
  /** Weights go into this model; null where the file is a model. */
  readonly model: ModelBase | null;
}

export interface Kind {
  readonly bases: () => Promise<readonly Base[]>;
  /** Which files are changed and how, the first one most often. */
  readonly changes: (base: Base) => readonly (readonly [file: string, change: Change])[];
  /** The file is given as a Blob, which the HDF5 library reads in its worker. */
  readonly asBlob?: boolean;
}

const shared = path.join(process.env.TENON_SHARED ?? fileURLToPath(new URL('../../../shared', import.meta.url)), 'golden', 'formats');
const customObjects = { Scale: Scale as never };

const small = (semantics: 'keras2' | 'keras3'): ModelBase => {
  utils.clearSession();
  utils.setRandomSeed(3);
  const model = Sequential({
    semantics,
    layers: [
      Input([4], { semantics }),
      layers.Dense(6, { activation: 'relu', semantics }),
      layers.BatchNormalization({ semantics }),
      layers.Dense(2, { semantics }),
    ],
  });
  model.compile({ optimizer: 'adam', loss: 'mse', device: 'reference' });
  return model;
};

async function written(name: string, semantics: 'keras2' | 'keras3' = 'keras3'): Promise<Files> {
  const target = inMemory(name);
  if (/\.(h5|keras|json|yaml)$/.test(name) && name !== 'model.json' && !name.endsWith('.weights.h5')) await small(semantics).save(target);
  else await small(semantics).saveWeights(target, { keras: semantics === 'keras2' ? 2 : 3 });
  return new Map([...target.files].filter(([n]) => n !== 'checkpoint'));
}

/** Files of the real Keras: those of a folder of the golden cases, by names below it. Nothing where the golden cases are absent. */
async function real(folder: string, main: string, weights: boolean, semantics: 'keras2' | 'keras3' = 'keras2'): Promise<Base[]> {
  const at = path.join(shared, folder);
  if (!existsSync(at)) return [];
  const files = new Map<string, Uint8Array>();
  const take = (name: string): void => {
    const file = path.join(at, name);
    if (statSync(file).isDirectory()) for (const inner of readdirSync(file)) take(`${name}/${inner}`);
    else files.set(name, new Uint8Array(readFileSync(file)));
  };
  for (const name of readdirSync(at)) if (name === main || name.startsWith(`${main}.`)) take(name);
  if (files.size === 0) throw new Error(`${at} has no ${main}`);
  const architecture = path.join(at, 'architecture.json');
  const again = path.join(at, '..', 'architecture.json');
  const model = weights ? await loadModel(existsSync(architecture) ? architecture : again, { customObjects, semantics, device: 'reference' }) : null;
  model?.compile({ optimizer: 'adam', loss: 'mse', device: 'reference' });
  return [{ files, main, model }];
}

const own = async (name: string, main = name, semantics: 'keras2' | 'keras3' = 'keras3'): Promise<Base> => ({
  files: await written(name, semantics),
  main,
  model: /\.(h5|keras|json|yaml)$/.test(name) && name !== 'model.json' && !name.endsWith('.weights.h5') ? null : small(semantics),
});

/** Checksums of a table's blocks made good again, so that what lies behind them is reached. */
function mended(index: Uint8Array): Uint8Array {
  const out = index.slice();
  if (out.length <= 64) return out;
  const view = new DataView(out.buffer);
  let at = out.length - 48;
  const varint = (): number => {
    let v = 0;
    for (let shift = 0; at < out.length; shift += 7) {
      const b = out[at++]!;
      v += (b & 127) * 2 ** shift;
      if (b < 128) break;
    }
    return v;
  };
  const [, , offset, size] = [varint(), varint(), varint(), varint()];
  for (const [from, n] of [
    [0, Math.max(0, offset - 13)],
    [offset, size],
  ] as const)
    if (from + n + 5 <= out.length) view.setUint32(from + n + 1, masked(crc32c(out.subarray(from, from + n + 1))), true);
  return out;
}

const either =
  (...changes: readonly Change[]): Change =>
  (bytes, r) =>
    changes[Math.floor(r.uniform() * changes.length)]!(bytes, r);
const sameLength: Change = (b, r) => withOtherNumber(b, r, true);
const binary = either(mutated, mutated, withLie, sameLength);
const json = either(mutated, withOtherNumber, withOtherValue, withOtherValue);
const index = either(
  mutated,
  (b, r) => mended(mutated(b, r)),
  (b, r) => mended(withLie(b, r)),
  (b, r) => mended(sameLength(b, r) as Uint8Array),
);
/** Archives: as bytes, or an entry with good checksums. */
const zip = (inner: (name: string) => Change): Change =>
  either(mutated, withLie, async (b, r) => {
    const changed = new Map<string, Uint8Array>();
    const z = await openZip(await openSource(b));
    for (const name of z.entries.keys()) changed.set(name, await inner(name)(await z.read(name), r));
    return withOtherEntry(b, r, (name) => changed.get(name)!);
  });
/** A header of JSON, its length in front. */
const safetensors = either(mutated, withLie, sameLength, async (b, r) => {
  const n = new DataView(b.buffer, b.byteOffset).getUint32(0, true);
  const header = await json(b.slice(8, 8 + n), r);
  const out = new Uint8Array(8 + header.length + b.length - 8 - n);
  new DataView(out.buffer).setUint32(0, header.length, true);
  out.set(header, 8);
  out.set(b.subarray(8 + n), 8 + header.length);
  return out;
});

const alone =
  (change: Change): Kind['changes'] =>
  (base) => [[base.main, change]];
const list = async (...parts: readonly (Promise<Base> | Promise<Base[]>)[]): Promise<Base[]> => (await Promise.all(parts)).flat();

/** A SavedModel as Keras 2 writes it, without functions: metadata and a checkpoint. */
async function savedModel(): Promise<Base> {
  const model = small('keras2');
  const config = { class_name: 'Sequential', config: JSON.parse(model.toJson({ keras: 2 })).config as object, training_config: null };
  const metadata = { nodes: [{ node_id: 0, node_path: 'root', identifier: '_tf_keras_sequential', metadata: JSON.stringify(config) }] };
  const files = new Map<string, Uint8Array>([
    ['m/saved_model.pb', Uint8Array.from(tensorflow.SavedModel.encode({ meta_graphs: [] }).finish())],
    ['m/keras_metadata.pb', Uint8Array.from(tensorflow.SavedMetadata.encode(metadata).finish())],
  ]);
  for (const [name, bytes] of await written('variables', 'keras2')) files.set(`m/variables/${name}`, bytes);
  return { files, main: 'm', model: null };
}
const h5Bases = () =>
  list(
    own('m.h5'),
    own('k2.h5', 'k2.h5', 'keras2'),
    real('sequential_mlp', 'model.h5', false),
    real('recurrent', 'model.h5', false),
    real('nested', 'model.h5', false),
  );
const weightsBases = async () => {
  const inArchive = await openZip(await openSource([...(await written('m.keras')).values()][0]!));
  const ofArchive: Base = {
    files: new Map([['inner.weights.h5', await inArchive.read('model.weights.h5')]]),
    main: 'inner.weights.h5',
    model: small('keras3'),
  };
  return [
    ...(await list(own('m.weights.h5'), real('sequential_mlp__keras3', 'model.weights.h5', true, 'keras3'), real('sequential_mlp', 'weights.h5', true))),
    ofArchive,
  ];
};

export const kinds: Readonly<Record<string, Kind>> = {
  json: {
    bases: () =>
      list(
        own('m.json'),
        real('convolutional', 'architecture.json', false),
        real('shared_and_multi', 'architecture_legacy.json', false),
        real('keras1_cnn', 'architecture_old.json', false),
        real('recurrent__keras3', 'architecture.json', false),
      ),
    changes: alone(json),
  },
  yaml: {
    bases: () => list(own('m.yaml'), real('sequential_mlp', 'architecture_legacy.yaml', false), real('nested', 'architecture_legacy.yaml', false)),
    changes: alone(either(mutated, withOtherNumber)),
  },
  keras: {
    bases: () => list(own('m.keras'), real('sequential_mlp__keras3', 'model.keras', false), real('nested__keras3', 'model.keras', false)),
    // the HDF5 file inside is a kind of its own: here it is damaged less often
    changes: alone(zip((name) => (name.endsWith('.json') ? json : binary))),
  },
  checkpoint: {
    bases: () => list(own('ckpt', 'ckpt', 'keras2'), real('sequential_mlp/checkpoint', 'ckpt', true), real('recurrent/checkpoint', 'ckpt', true)),
    changes: (b) => [
      [`${b.main}.index`, index],
      [[...b.files.keys()].find((n) => n.includes('.data-'))!, binary],
    ],
  },
  'saved-model': {
    bases: () => list(savedModel(), real('sequential_mlp', 'saved_model', false)),
    changes: (b) => [
      [`${b.main}/keras_metadata.pb`, binary],
      [`${b.main}/variables/variables.index`, index],
      [`${b.main}/saved_model.pb`, binary],
      [[...b.files.keys()].find((n) => n.includes('.data-'))!, binary],
    ],
  },
  tfjs: {
    bases: () => list(own('model.json')),
    changes: (b) => [
      [b.main, json],
      [[...b.files.keys()].find((n) => n.endsWith('.bin'))!, binary],
    ],
  },
  safetensors: { bases: () => list(own('w.safetensors')), changes: alone(safetensors) },
  npz: { bases: () => list(own('w.npz')), changes: alone(zip(() => binary)) },
  h5: { bases: h5Bases, changes: alone(binary) },
  'weights-h5': { bases: weightsBases, changes: alone(binary) },
  'h5-library': { bases: h5Bases, changes: alone(binary), asBlob: true },
};

/** Loads the files of a base from a folder; gives the model where the file is one. */
export async function loadBase(kind: Kind, base: Base, folder: string): Promise<ModelBase | null> {
  const file = path.join(folder, base.main);
  const source = kind.asBlob ? new Blob([readFileSync(file)]) : file;
  if (!base.model) return loadModel(source, { name: base.main, customObjects, device: 'reference' });
  await base.model.loadWeights(source, { name: base.main });
  return null;
}
