/**
 * The assets of `.keras` archives: `assets/layers/string_lookup/vocabulary.txt` holds the vocabulary that a lookup layer has learned, a token in each line with the special ones in front.
 * The weights of tf_idf lie with the weights of the model.
 */
import { ModelFormatError } from '../../../ir/errors.js';
import type { Layer } from '../layers/layer.js';
import { IntegerLookupClass, StringLookupClass } from '../layers/preprocessing/lookup.js';
import { TextVectorizationClass } from '../layers/preprocessing/text-vectorization.js';
import type { ModelBase } from '../models/base.js';
import { type ModelObject, objectsFor } from './objects.js';
import type { ArrayContents, ObjectContents, SavedModel } from './saved-model.js';

type VocabularyLayer = InstanceType<typeof StringLookupClass | typeof IntegerLookupClass | typeof TextVectorizationClass>;

const hasVocabulary = (layer: Layer | null): layer is VocabularyLayer =>
  layer instanceof StringLookupClass || layer instanceof IntegerLookupClass || layer instanceof TextVectorizationClass;

/** TextVectorization looks words up in a layer of its own, which Keras reads a second time. */
const innerLookup = '_lookup_layer';

/** What is written for the objects of a model. */
export function vocabulariesOf(objects: readonly ModelObject[]): [path: string, text: string][] {
  return objects.flatMap(({ layer, path }): [string, string][] => {
    const text = hasVocabulary(layer) ? layer.vocabularyAsset : null;
    if (text === null) return [];
    return layer instanceof TextVectorizationClass
      ? [
          [path, text],
          [`${path}/${innerLookup}`, text],
        ]
      : [[path, text]];
  });
}

const idfName = 'idf_weights';

/** The weights of tf_idf among what is written for an object. */
export function idfOf({ layer }: ModelObject): ArrayContents[] {
  const data = hasVocabulary(layer) ? layer.vocabularyWeights : null;
  return data ? [{ name: idfName, shape: [data.length], data }] : [];
}
export function innerIdfOf(x: ModelObject): ObjectContents[] {
  const named = x.layer instanceof TextVectorizationClass ? idfOf(x) : [];
  return named.length > 0 ? [{ path: `${x.path}/${innerLookup}`, title: 'string_lookup', variables: [], named }] : [];
}

/** As Keras of that generation takes the file apart: Keras 3 drops empty lines at the end. */
function linesOf(text: string, generation: SavedModel['generation']): string[] {
  const lines = text.replaceAll('\r\n', '\n').split('\n');
  while (generation !== 'keras2' && lines.at(-1) === '') lines.pop();
  return lines;
}

/** Gives the layers of a model that was just made from its configuration the vocabularies of the file. */
export async function applyVocabularies(model: ModelBase, saved: SavedModel): Promise<void> {
  const { vocabularies, weights, source } = saved;
  if (!vocabularies || weights?.kind !== 'objects') return;
  for (const { path, layer } of objectsFor(model, weights)) {
    if (!hasVocabulary(layer)) continue;
    const [at, inner] = [path, `${path}/${innerLookup}`];
    const read = vocabularies.get(at) ?? vocabularies.get(inner);
    if (!read) continue;
    const idf = (weights.objects.get(at) ?? weights.objects.get(inner))?.get(idfName) ?? null;
    try {
      layer.restoreVocabulary(linesOf(await read(), saved.generation), idf && (await idf.read()));
    } catch (e) {
      throw e instanceof ModelFormatError ? e : new ModelFormatError(`${source}: assets/${at}/vocabulary.txt: ${e instanceof Error ? e.message : String(e)}`);
    }
  }
}
