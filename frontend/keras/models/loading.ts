/** Models from files. What reads files is loaded when it is first used. */
import type { FileTarget } from '../../formats/sink.js';
import type { FileSource } from '../../formats/source.js';
import type { DeserializeOptions } from '../layers/serialization.js';
import type { LoadOptions, SaveOptions } from '../saving/options.js';
import type { ModelBase } from './base.js';
import { modelFromConfig } from './serialization.js';

/**
 * A model from a file: H5 of Keras 1 and 2, `.keras`, or an architecture alone (JSON, YAML). `source`: a path (Node), a URL, a File or Blob, or bytes. The model comes compiled, with
 * its optimizer's state, where the file has it. Nothing in a file is run; files may come from anywhere.
 */
export async function loadModel(source: FileSource, options: LoadOptions = {}): Promise<ModelBase> {
  return (await import('../saving/index.js')).loadModel(source, options);
}

/** A model from the JSON of `toJson`, of Keras 1.2, 2.0 to 2.15 or 3. */
export const modelFromJson = (json: string, options: DeserializeOptions = {}): ModelBase => modelFromConfig(json, options);

/** A model from YAML, as Keras 1 and 2 wrote it; it is read as plain data. */
export async function modelFromYaml(yaml: string, options: DeserializeOptions = {}): Promise<ModelBase> {
  return (await import('../saving/index.js')).modelFromYaml(yaml, options);
}

/** Writes the model: `model.save(target, options)`. */
export const saveModel = (model: ModelBase, target: FileTarget, options: SaveOptions = {}): Promise<void> => model.save(target, options);
