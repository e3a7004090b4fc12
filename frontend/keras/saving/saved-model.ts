/**
 * What a saved Keras model is, whatever the format: a configuration, weights, how it is trained, the optimizer's variables in Keras' order, and what Tenon keeps beside them.
 * A format reads a file into a `SavedModel` and writes a `ModelContents`; it is one object in the registry here, and knows nothing of layers and devices.
 */
import type { TypedArray } from '../../../ir/dtype.js';
import { ModelFormatError } from '../../../ir/errors.js';
import type { FileTarget } from '../../formats/sink.js';
import type { FileSource, OpenFile } from '../../formats/source.js';
import type { RandomState } from '../utils/random.js';
import type { Json, JsonObject, Semantics, SerializedObject } from '../utils/serialization.js';

/** One array of a file. */
export interface SavedArray {
  /** As the file names it. */
  readonly name: string;
  readonly shape: readonly number[];
  /** The elements; the array belongs to the caller. 64-bit integers come as 32-bit ones, checked. */
  read(): Promise<TypedArray>;
}

/** An object of a TensorFlow checkpoint: others by the names of attributes, in circles too; a variable's numbers, and what optimizers of the old kind keep for it. */
export interface SavedNode {
  readonly children: ReadonlyMap<string, SavedNode>;
  readonly array: SavedArray | null;
  readonly slots: ReadonlyMap<string, SavedArray>;
}

/** Where the weights of a file belong. */
export type SavedWeights =
  /** By the layers of the model, each with its weights in Keras' order (trainable ones first): H5 of Keras 1 and 2. */
  | {
      readonly kind: 'layers';
      readonly layers: readonly { readonly name: string; readonly weights: readonly SavedArray[] }[];
      /** Weights of the model itself, beside those of its layers. */
      readonly own?: readonly SavedArray[];
      /** Who wrote them, where the layout differs: Keras 1, Theano. */
      readonly by?: { readonly keras1: boolean; readonly theano: boolean };
    }
  /** By the path of objects, such as `layers/dense` or `layers/bidirectional/forward_layer/cell`, and a number in it: `.keras` and `.weights.h5`. */
  | { readonly kind: 'objects'; readonly objects: ReadonlyMap<string, ReadonlyMap<string, SavedArray>> }
  /** In the order of `model.weights`. */
  | { readonly kind: 'ordered'; readonly arrays: readonly SavedArray[] }
  /** By the paths of weights, such as `dense/kernel`. `inOrder`: where no name is that of a weight, they are in the order of layers, within a layer trainable ones first. */
  | { readonly kind: 'names'; readonly arrays: ReadonlyMap<string, SavedArray>; readonly inOrder?: boolean }
  /** By attributes from the root of a checkpoint down. The optimizer's variables are there, too. */
  | { readonly kind: 'tracked'; readonly root: SavedNode };

/** What `compile` was given, as Keras writes it. */
export interface TrainingConfig {
  readonly optimizer: SerializedObject | string | null;
  /** The optimizer is one of tf.keras.optimizers.legacy, or of a Keras that had no others. */
  readonly legacyOptimizer: boolean;
  readonly loss: Json;
  readonly lossWeights: Json;
  readonly metrics: Json;
  readonly weightedMetrics: Json;
}

/** What Tenon keeps in a file beside what Keras knows, so that training goes on to the last bit. Keras does not see it. */
export interface ExtraState {
  readonly semantics: Semantics;
  readonly seed: number;
  readonly shuffle: RandomState | null;
  /** Contents of state slots (metrics, what Keras' optimizer variables do not hold), by slot name. */
  readonly slots: ReadonlyMap<string, SavedArray>;
  /** States of layers (stateful recurrent ones), in the order of the model. */
  readonly states: readonly SavedArray[];
}

/** A model as a file holds it. What the file lacks is null. */
export interface SavedModel {
  /** For messages. */
  readonly source: string;
  /** Which Keras wrote it, where the file says so. */
  readonly generation: Semantics | null;
  readonly config: SerializedObject | null;
  readonly weights: SavedWeights | null;
  readonly training: TrainingConfig | null;
  /** In Keras' order: iteration, perhaps the learning rate, slots. */
  readonly optimizer: readonly SavedArray[] | null;
  readonly extra: ExtraState | null;
  /** Text files beside the weights, by the path of the object that they are for. */
  readonly vocabularies?: ReadonlyMap<string, () => Promise<string>>;
  /** Starts to read the weights, where that can go on beside other work: they will be asked for. */
  readAhead?(): void;
  close(): Promise<void>;
}

/** An array to write. */
export interface ArrayContents {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: TypedArray | BigInt64Array;
}

export interface OptimizerContents {
  readonly config: SerializedObject;
  readonly legacy: boolean;
  readonly learningRate: number;
  /** A schedule gives the learning rate. */
  readonly scheduled: boolean;
  /** In Keras' order. `name` as the H5 files of Keras 2 have it (`Adam/m/dense/kernel`), without `:0`; `slot` and the weight it is for, where it is a slot. */
  readonly variables: readonly (ArrayContents & { readonly slot: string | null; readonly weight: string | null; readonly of: ArrayContents | null })[];
}

/** The model as TensorFlow's checkpoints see it; see `tracked.ts`. */
export interface TrackedContents {
  readonly children: readonly (readonly [string, TrackedContents])[];
  readonly array: ArrayContents | null;
}

export interface ObjectContents {
  readonly path: string;
  readonly title: string;
  readonly variables: readonly ArrayContents[];
  /** Arrays beside the variables, which have no names. */
  readonly named: readonly ArrayContents[];
}

/** A model that is to be written, for one generation of Keras. Arrays are views of the model's own: they must not be changed. */
export interface ModelContents {
  readonly name: string;
  readonly generation: Semantics;
  /** The serialized model with all keys of `.keras` files. */
  readonly config: SerializedObject;
  /** Null where the model is not compiled, or it was not to be written. */
  readonly training: JsonObject | null;
  /** Weights by layer of the model, trainable ones first; `name` is the weight's path. */
  readonly layers: readonly { readonly name: string; readonly weights: readonly ArrayContents[] }[];
  /** Weights of the model itself, beside those of its layers. */
  readonly ownWeights: readonly ArrayContents[];
  /** Weights by the path of objects; every object of the model is there, those without weights too. `title` is the object's own name. */
  readonly objects: readonly ObjectContents[];
  /** All weights, in the order of `model.weights`. Here, in `layers`, `objects` and `tracked` a weight is the same object. */
  readonly weights: readonly ArrayContents[];
  readonly tracked: TrackedContents;
  readonly optimizer: OptimizerContents | null;
  /** Vocabularies that layers have learned, by the path of their objects, where the format keeps them apart. */
  readonly vocabularies: readonly (readonly [path: string, text: string])[];
  readonly extra: { readonly json: JsonObject; readonly arrays: readonly ArrayContents[] };
}

export interface ReadOptions {
  /** Limits for files that may come from anywhere; see the formats. */
  readonly timeLimit?: number;
  readonly maxBytes?: number;
  readonly maxObjects?: number;
}

/** What a file is for: a whole model, weights alone, or the architecture alone. */
export type FilePart = 'model' | 'weights' | 'config';

export interface ModelFormat {
  readonly name: string;
  /** Endings of file names, with the dot; the longest that fits wins. */
  readonly extensions: readonly string[];
  /** What the format can hold. */
  readonly parts: readonly FilePart[];
  /** Whether the content looks like this format: its first and last 64 bytes. */
  recognizes(head: Uint8Array, file: OpenFile, tail: Uint8Array): boolean;
  /** The file that a target of this name is found by, where that is another one. */
  readonly mainName?: (name: string) => string;
  read(file: OpenFile, options: ReadOptions): Promise<SavedModel>;
  /** Null: this format is only read. */
  readonly write: ((model: ModelContents, target: FileTarget, part: FilePart) => Promise<void>) | null;
  /** Which Keras a file is written for when nothing is said: 2, or that of the model. */
  readonly defaultGeneration: 'keras2' | 'own';
  /** Learned vocabularies have files of their own beside the configuration. */
  readonly hasAssets?: boolean;
}

const formats: ModelFormat[] = [];

/** Adds a format. */
export function registerFormat(format: ModelFormat): void {
  if (!formats.includes(format)) formats.push(format);
}

/** Formats of several files, or of a folder, claim a source before it is opened: checkpoints are named by a prefix. */
export type SourceResolver = (source: FileSource) => Promise<{ readonly format: ModelFormat; readonly file: OpenFile } | null>;
const resolvers: SourceResolver[] = [];
export function registerResolver(resolver: SourceResolver): void {
  resolvers.push(resolver);
}
export async function resolveSource(source: FileSource): Promise<{ readonly format: ModelFormat; readonly file: OpenFile } | null> {
  for (const r of resolvers) {
    const found = await r(source);
    if (found) return found;
  }
  return null;
}

/** The format that a name's ending stands for; null when none does. */
export function formatOfName(name: string): ModelFormat | null {
  // an ending that begins with a slash is a whole name
  const lower = `/${name.toLowerCase().replaceAll('\\', '/')}`;
  const fits = formats.flatMap((f) => f.extensions.filter((e) => lower.endsWith(e)).map((e) => ({ f, e })));
  return fits.sort((a, b) => b.e.length - a.e.length)[0]?.f ?? null;
}

export const formatNamed = (name: string): ModelFormat | null => formats.find((f) => f.name === name) ?? null;
export const formatNames = (): string[] => formats.map((f) => f.name);

/** The format of a file, by its content first: endings lie. */
export async function formatOf(file: OpenFile): Promise<ModelFormat> {
  const [head, tail] = [await file.read(0, 64), await file.read(Math.max(0, file.size - 64), 64)];
  const byName = formatOfName(file.name);
  if (byName?.recognizes(head, file, tail)) return byName;
  const found = formats.find((f) => f.recognizes(head, file, tail));
  if (found) return found;
  throw new ModelFormatError(`${file.name}: is of no format that is known here (${formatNames().join(', ')})`);
}
