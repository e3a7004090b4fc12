/**
 * SavedModels of Keras 2 (`model.save('folder')`), read only: the configuration from `keras_metadata.pb` (Keras from 2.5 on) or from the object graph in `saved_model.pb` (before), the
 * weights from the checkpoint in `variables`. The graphs of functions in the file are not looked at.
 */
import { ModelFormatError } from '../../../ir/errors.js';
import { type OpenFile, readAll } from '../../formats/source.js';
import { type Bundle, openBundle } from '../../formats/tensorflow/bundle.js';
import { decodeMetadata, decodeSavedModel } from '../../formats/tensorflow/messages.js';
import { parseJson } from '../../formats/text.js';
import { isPlainObject } from '../utils/options.js';
import type { Json, JsonObject, SerializedObject } from '../utils/serialization.js';
import { nodesOf } from './checkpoint-files.js';
import { trainingOfH5 } from './file-training.js';
import type { SavedModel } from './saved-model.js';

const metadataName = 'keras_metadata.pb';
const largest = 512 << 20;

/** Tuples and shapes, which this metadata writes as objects, as lists. */
function plainLists(x: Json): Json {
  if (Array.isArray(x)) return x.map(plainLists);
  if (!isPlainObject(x)) return x;
  const { class_name, items } = x as JsonObject;
  if ((class_name === '__tuple__' || class_name === 'TensorShape') && Array.isArray(items)) return items.map(plainLists);
  return Object.fromEntries(Object.entries(x).map(([k, v]) => [k, plainLists(v as Json)]));
}

async function beside<T>(file: OpenFile, name: string, use: (f: OpenFile) => Promise<T>): Promise<T> {
  const other = await file.beside(name);
  try {
    return await use(other);
  } finally {
    await other.close();
  }
}

/** The metadata of the model itself. */
async function rootMetadata(file: OpenFile): Promise<string> {
  const none = `${file.name}: has no metadata of Keras: it was not saved by Keras 2, and has no layers to read`;
  let metadata: Uint8Array | null = null;
  try {
    metadata = await beside(file, metadataName, (f) => readAll(f, largest));
  } catch (e) {
    // Keras before 2.5 has no such file
    if (e instanceof Error && !/no such file|not among the given|answered 404/.test(e.message)) throw e;
  }
  if (metadata) {
    const { nodes } = decodeMetadata(`${file.name}: ${metadataName}`, metadata);
    const root = nodes.find((n) => n.node_path === 'root') ?? nodes.find((n) => (n.node_id ?? 0) === 0);
    if (!root?.metadata) throw new ModelFormatError(none);
    return root.metadata;
  }
  const { meta_graphs } = decodeSavedModel(file.name, await readAll(file, largest));
  const root = meta_graphs[0]?.object_graph_def?.nodes[0]?.user_object;
  if (!root?.metadata || !root.identifier?.startsWith('_tf_keras')) throw new ModelFormatError(none);
  return root.metadata;
}

/** The model that a `saved_model.pb` and the files beside it hold. */
export async function readSavedModel(file: OpenFile): Promise<SavedModel> {
  const m = plainLists(parseJson(`${file.name}: the model's metadata`, await rootMetadata(file)) as Json);
  if (!isPlainObject(m) || typeof m.class_name !== 'string') throw new ModelFormatError(`${file.name}: the model's metadata has no class_name`);
  const metadata = m as JsonObject;
  const config = metadata.config;
  // a class of the user's own may have no configuration: its weights can still be loaded
  const whole = isPlainObject(config) && Array.isArray(config.layers);
  const index = await file.beside('variables/variables.index');
  const contents = async (bundle: Bundle): Promise<SavedModel> => ({
    source: file.name,
    generation: 'keras2',
    config: whole ? ({ class_name: metadata.class_name, config, keras_version: '2.15.0' } as unknown as SerializedObject) : null,
    weights: { kind: 'tracked', root: await nodesOf(bundle) },
    training: trainingOfH5(`${file.name}: training_config`, metadata.training_config, 'keras2'),
    optimizer: null,
    extra: null,
    close: async () => {
      await bundle.close();
      await index.close();
    },
  });
  try {
    const bundle = await openBundle(index);
    try {
      return await contents(bundle);
    } catch (e) {
      await bundle.close();
      throw e;
    }
  } catch (e) {
    await index.close();
    throw e;
  }
}
