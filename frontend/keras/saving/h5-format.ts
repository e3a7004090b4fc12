/**
 * H5 files: whole models and weights in the layout of Keras 1 and 2 (`model_config`, `model_weights/<layer>`, `optimizer_weights`), and the `.weights.h5` of Keras 3
 * (`layers/<class>/vars/<n>`), which is also what `.keras` archives hold. Tenon's own state lies in the group `tenon`, which Keras does not look at.
 */
import { ModelFormatError } from '../../../ir/errors.js';
import { type H5File, openH5 } from '../../formats/h5-reader.js';
import { H5Writer } from '../../formats/h5-writer.js';
import { type FileTarget, type Sink, writeFile } from '../../formats/sink.js';
import type { OpenFile } from '../../formats/source.js';
import { parseJson } from '../../formats/text.js';
import type { Semantics, SerializedObject } from '../utils/serialization.js';
import { withoutModules } from './contents.js';
import { readExtra } from './extra-state.js';
import { trainingForH5, trainingOfH5 } from './file-training.js';
import type {
  ArrayContents,
  ExtraState,
  FilePart,
  ModelContents,
  ModelFormat,
  ReadOptions,
  SavedArray,
  SavedModel,
  SavedWeights,
  TrainingConfig,
} from './saved-model.js';

const extraGroup = 'tenon';
/** Weights of a model that is a class and has some beside those of its layers. */
const ownGroup = 'top_level_model_weights';
const hiddenOptimizer = `${extraGroup}/optimizer_weights`;
const signature = [0x89, 0x48, 0x44, 0x46];

// ---- reading

/** A dataset, to be read when it is asked for. */
function arrayOf(h5: H5File, path: string): SavedArray {
  const d = h5.dataset(path);
  if (!d) throw new ModelFormatError(`${h5.name}: has no dataset ${path}`);
  return { name: path, shape: d.shape, read: () => h5.read(path) };
}

/** The arrays of a group that lists them in `weight_names`. */
const listed = (h5: H5File, group: string): SavedArray[] => (h5.texts(group, 'weight_names') ?? []).map((name) => arrayOf(h5, `${group}/${name}`));

function layersOf(h5: H5File, root: string, names: readonly string[], version: string | null): SavedWeights {
  const at = root === '/' ? '' : root;
  return {
    kind: 'layers',
    layers: names.map((name) => {
      if (!h5.hasGroup(`${at}/${name}`)) throw new ModelFormatError(`${h5.name}: lists the layer '${name}', which has no group`);
      return { name, weights: listed(h5, `${at}/${name}`) };
    }),
    // as Keras does it: a file without a version is one of Keras 1
    by: { keras1: version === null || version.startsWith('1.'), theano: (h5.text('/', 'backend') ?? h5.text(root, 'backend')) === 'theano' },
    own: h5.hasGroup(`${at}/${ownGroup}`) ? listed(h5, `${at}/${ownGroup}`) : [],
  };
}

/** Arrays under `…/vars/<n>`, by the path before it. */
export function objectsIn(h5: H5File): ReadonlyMap<string, ReadonlyMap<string, SavedArray>> {
  const out = new Map<string, Map<string, SavedArray>>();
  for (const d of h5.allDatasets) {
    const m = /^\/(?:(.*)\/)?vars\/([^/]+)$/.exec(d.path);
    if (!m || d.path.startsWith(`/${extraGroup}/`)) continue;
    const path = m[1] ?? '';
    const found = out.get(path) ?? new Map<string, SavedArray>();
    found.set(m[2]!, arrayOf(h5, d.path));
    out.set(path, found);
  }
  return out;
}

/** Starts to read a model's weights, not the optimizer's variables. */
export function readWeightsAhead(h5: H5File, weights: SavedWeights): void {
  const arrays =
    weights.kind === 'layers'
      ? weights.layers.flatMap((l) => l.weights)
      : weights.kind === 'objects'
        ? [...weights.objects].flatMap(([path, found]) => (path === 'optimizer' ? [] : [...found.values()]))
        : [];
  h5.readAhead(arrays.map((a) => a.name));
}

/** The optimizer's variables among the objects. */
export function optimizerIn(objects: ReadonlyMap<string, ReadonlyMap<string, SavedArray>>): SavedArray[] | null {
  const found = objects.get('optimizer');
  return found ? [...found].sort(([a], [b]) => Number(a) - Number(b)).map(([, a]) => a) : null;
}

/** What Tenon wrote beside what Keras reads. */
export function extraIn(h5: H5File): ExtraState | null {
  const text = h5.text(`/${extraGroup}`, 'state');
  if (text === null) return null;
  return readExtra(h5.name, text, (name) => arrayOf(h5, `/${extraGroup}/${name}`));
}

const generationOf = (version: string | null): Semantics | null => (version === null ? null : /^[012]\./.test(version) ? 'keras2' : 'keras3');

function trainingIn(h5: H5File, generation: Semantics | null): TrainingConfig | null {
  const text = h5.text('/', 'training_config');
  return text === null ? null : trainingOfH5(`${h5.name}: training_config`, parseJson(`${h5.name}: training_config`, text), generation);
}

function optimizerWeights(h5: H5File): SavedArray[] | null {
  const group = ['/optimizer_weights', `/${hiddenOptimizer}`].find((g) => h5.hasGroup(g));
  return group ? listed(h5, group) : null;
}

async function read(file: OpenFile, options: ReadOptions): Promise<SavedModel> {
  const h5 = await openH5(file, options);
  try {
    const config = h5.text('/', 'model_config');
    const root = h5.hasGroup('/model_weights') ? '/model_weights' : '/';
    const version = h5.text('/', 'keras_version') ?? h5.text(root, 'keras_version');
    const layers = h5.texts(root, 'layer_names');
    const objects = layers ? null : objectsIn(h5);
    // a model without weights has groups, and no arrays
    if (!layers && objects?.size === 0 && !['/layers', '/vars', '/_layer_checkpoint_dependencies'].some((g) => h5.hasGroup(g)))
      throw new ModelFormatError(`${file.name}: is an HDF5 file, but none of Keras: it has neither layer_names nor layers/…/vars`);
    const generation = generationOf(version) ?? (objects ? 'keras3' : null);
    const weights: SavedWeights = layers ? layersOf(h5, root, layers, version) : { kind: 'objects', objects: objects! };
    const parsed = config === null ? null : (parseJson(`${file.name}: model_config`, config) as SerializedObject & { keras_version?: string });
    return {
      source: file.name,
      generation,
      config: parsed && version !== null && parsed.keras_version === undefined ? ({ ...parsed, keras_version: version } as SerializedObject) : parsed,
      weights,
      training: trainingIn(h5, generation),
      optimizer: objects ? optimizerIn(objects) : optimizerWeights(h5),
      extra: extraIn(h5),
      readAhead: () => readWeightsAhead(h5, weights),
      close: () => h5.close(),
    };
  } catch (e) {
    await h5.close();
    throw e;
  }
}

// ---- writing

const put = (w: H5Writer, group: string, name: string, a: ArrayContents): void => w.array(group, name, a.shape, a.data);

function writeExtra(w: H5Writer, m: ModelContents): void {
  w.text(extraGroup, 'state', JSON.stringify(m.extra.json));
  for (const a of m.extra.arrays) put(w, extraGroup, a.name, a);
}

/** The layers' weights below `root` (`''` or `model_weights`). */
function writeLayers(w: H5Writer, root: string, m: ModelContents): void {
  const at = (name: string): string => (root === '' ? name : `${root}/${name}`);
  w.texts(
    root,
    'layer_names',
    m.layers.map((l) => l.name),
  );
  w.text(root, 'backend', 'tensorflow');
  w.text(root, 'keras_version', kerasVersion(m.generation));
  for (const l of m.layers) {
    const names = new Set<string>();
    const named = l.weights.map((a) => {
      let name = a.name;
      for (let n = 1; names.has(name); n++) name = `${a.name}_${n}`;
      names.add(name);
      return m.generation === 'keras2' ? `${name}:0` : name;
    });
    w.texts(at(l.name), 'weight_names', named);
    l.weights.forEach((a, i) => {
      put(w, at(l.name), named[i]!, a);
    });
  }
  const own = m.ownWeights.map((a) => (m.generation === 'keras2' ? `${a.name}:0` : a.name));
  w.texts(at(ownGroup), 'weight_names', own);
  m.ownWeights.forEach((a, i) => {
    put(w, at(ownGroup), own[i]!, a);
  });
}

export const kerasVersion = (generation: Semantics): string => (generation === 'keras2' ? '2.15.0' : '3.0.0');

function writeModel(w: H5Writer, m: ModelContents): void {
  w.text('', 'keras_version', kerasVersion(m.generation));
  w.text('', 'backend', 'tensorflow');
  w.text('', 'model_config', JSON.stringify(withoutModules(m.config)));
  writeLayers(w, 'model_weights', m);
  const training = trainingForH5(m);
  if (training) w.text('', 'training_config', JSON.stringify(training));
  if (m.optimizer) {
    const suffix = m.generation === 'keras2' ? ':0' : '';
    // Keras 3 builds the optimizer for no weights when it meets optimizer_weights, and cannot train then: without them it starts the optimizer anew
    const group = m.generation === 'keras2' ? 'optimizer_weights' : hiddenOptimizer;
    w.texts(
      group,
      'weight_names',
      m.optimizer.variables.map((v) => `${v.name}${suffix}`),
    );
    for (const v of m.optimizer.variables) put(w, group, `${v.name}${suffix}`, v);
  }
}

/** The layout of Keras 3: every object has a group `vars`. */
export function writeObjects(w: H5Writer, m: ModelContents): void {
  for (const x of m.objects) {
    const group = x.path === '' ? 'vars' : `${x.path}/vars`;
    if (m.generation === 'keras3') w.text(group, 'name', x.title);
    else w.makeGroup(group);
    x.variables.forEach((a, i) => {
      put(w, group, String(i), a);
    });
    for (const a of x.named) put(w, group, a.name, a);
  }
  if (!m.optimizer) return;
  w.makeGroup('optimizer/vars');
  if (m.generation === 'keras3') w.text('optimizer/vars', 'name', String(m.optimizer.config.config.name ?? 'optimizer'));
  m.optimizer.variables.forEach((v, i) => {
    put(w, 'optimizer/vars', String(i), v);
  });
}

/** Writes an H5 file into a sink at a position; gives its size. */
export async function writeH5(sink: Sink, base: number, m: ModelContents, body: (w: H5Writer) => void): Promise<number> {
  const w = await H5Writer.create(sink, base);
  try {
    body(w);
    writeExtra(w, m);
  } finally {
    w.close();
  }
  return sink.size - base;
}

const recognizes = (head: Uint8Array): boolean => signature.every((b, i) => head[i] === b);

export const h5Format: ModelFormat = {
  name: 'h5',
  extensions: ['.h5', '.hdf5'],
  parts: ['model', 'weights'],
  recognizes,
  read,
  write: (m: ModelContents, target: FileTarget, part: FilePart) =>
    writeFile(target, async (sink) => {
      await writeH5(sink, 0, m, (w) => (part === 'model' ? writeModel(w, m) : writeLayers(w, '', m)));
    }),
  defaultGeneration: 'keras2',
};

export const weightsH5Format: ModelFormat = {
  name: 'weights.h5',
  extensions: ['.weights.h5'],
  parts: ['weights'],
  recognizes,
  read,
  write: (m: ModelContents, target: FileTarget) =>
    writeFile(target, async (sink) => {
      await writeH5(sink, 0, m, (w) => writeObjects(w, m));
    }),
  defaultGeneration: 'own',
};
