/** Architectures alone, as JSON or YAML: what `toJson` and `toYaml` give, and what Keras 1 and 2 wrote. */
import { ModelFormatError } from '../../../ir/errors.js';
import { writeFile } from '../../formats/sink.js';
import { type OpenFile, readAll } from '../../formats/source.js';
import { parseJson, parseYaml, writeYaml } from '../../formats/text.js';
import { isPlainObject } from '../utils/options.js';
import type { SerializedObject } from '../utils/serialization.js';
import { kerasVersion } from './h5-format.js';
import type { ModelContents, ModelFormat, SavedModel } from './saved-model.js';
import { isTfjs } from './tfjs-format.js';

const largest = 256 << 20;

function architecture(file: OpenFile, value: unknown): SavedModel {
  if (!isPlainObject(value) || typeof value.class_name !== 'string')
    throw new ModelFormatError(`${file.name}: is not the architecture of a model: it has no class_name`);
  const config = value as unknown as SerializedObject;
  return { source: file.name, generation: null, config, weights: null, training: null, optimizer: null, extra: null, close: async () => undefined };
}

/** The tree that Keras' own `to_json` gives. */
function tree(m: ModelContents): object {
  if (m.generation === 'keras3') return m.config;
  return { class_name: m.config.class_name, config: m.config.config, keras_version: kerasVersion(m.generation), backend: 'tensorflow' };
}

const firstCharacter = (head: Uint8Array): string =>
  new TextDecoder()
    .decode(head)
    .replace(/^\uFEFF/, '')
    .trimStart()
    .slice(0, 1);

export const jsonFormat: ModelFormat = {
  name: 'json',
  extensions: ['.json'],
  parts: ['config'],
  recognizes: (head) => firstCharacter(head) === '{' && !isTfjs(head),
  read: async (file) => architecture(file, parseJson(file.name, await readAll(file, largest))),
  write: (m, target) =>
    writeFile(target, async (sink) => {
      sink.write(new TextEncoder().encode(JSON.stringify(tree(m))), 0);
    }),
  defaultGeneration: 'keras2',
};

export const yamlFormat: ModelFormat = {
  name: 'yaml',
  extensions: ['.yaml', '.yml'],
  parts: ['config'],
  recognizes: (head) => /^(?:%YAML|---|#|[a-z_]+:)/.test(new TextDecoder().decode(head)),
  read: async (file) => architecture(file, await parseYaml(file.name, await readAll(file, largest))),
  write: (m, target) =>
    writeFile(target, async (sink) => {
      sink.write(new TextEncoder().encode(await writeYaml(JSON.parse(JSON.stringify(tree(m))))), 0);
    }),
  defaultGeneration: 'keras2',
};
