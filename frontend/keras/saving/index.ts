/** Saving and loading models: the formats are registered here, and here is what `loadModel`, `save`, `saveWeights` and `loadWeights` do. Loaded lazily: programs that read no files do not have it. */
import { InternalError, ModelFormatError, TenonError, UnsupportedError, ValueError } from '../../../ir/errors.js';
import type { FileTarget } from '../../formats/sink.js';
import { type FileSource, isNode, type OpenFile, openSource } from '../../formats/source.js';
import { parseYaml } from '../../formats/text.js';
import type { DeserializeOptions } from '../layers/serialization.js';
import type { ModelBase } from '../models/base.js';
import { modelFromConfig } from '../models/serialization.js';
import { SubclassedClass } from '../models/subclassed.js';
import { describe, resolveOptions } from '../utils/options.js';
import type { Semantics, SerializedObject } from '../utils/serialization.js';
import { applyAll, applyExtra, applySavedOptimizer, applyWeights } from './apply.js';
import { npzFormat, safetensorsFormat } from './arrays-format.js';
import { applyVocabularies } from './assets.js';
import { checkpointFormat, resolvePrefix } from './checkpoint-format.js';
import { jsonFormat, yamlFormat } from './config-format.js';
import { contentsOfModel } from './contents.js';
import { h5Format, weightsH5Format } from './h5-format.js';
import { kerasFormat } from './keras-format.js';
import type { LoadOptions, LoadWeightsOptions, SaveOptions } from './options.js';
import {
  type FilePart,
  formatNamed,
  formatNames,
  formatOf,
  formatOfName,
  type ModelFormat,
  registerFormat,
  registerResolver,
  resolveSource,
  type SavedModel,
} from './saved-model.js';
import { resolveSavedModel, savedModelFormat } from './tensorflow-format.js';
import { tfjsFormat } from './tfjs-format.js';
import { compileOptions } from './training-config.js';

const known = [h5Format, weightsH5Format, npzFormat, kerasFormat, tfjsFormat, jsonFormat, safetensorsFormat, checkpointFormat, savedModelFormat, yamlFormat];
for (const format of known) registerFormat(format);
for (const resolver of [resolvePrefix, resolveSavedModel]) registerResolver(resolver);

const saveDefaults: SaveOptions = { keras: undefined, includeOptimizer: true, format: undefined, overwrite: true };
const limits = { timeLimit: undefined, maxBytes: undefined, maxObjects: undefined };

/** What a file holds, without a model being made of it. The caller closes it. */
export async function readSaved(
  source: FileSource,
  options: LoadOptions = {},
): Promise<{ readonly saved: SavedModel; readonly format: ModelFormat; readonly file: OpenFile }> {
  const claimed = await resolveSource(source);
  const file = claimed?.file ?? (await openSource(source, options.name));
  try {
    const format = claimed?.format ?? (await formatOf(file));
    return { saved: await format.read(file, options), format, file };
  } catch (e) {
    await file.close();
    throw faultOf(file.name, e);
  }
}

type ErrorClass = new (message: string, options?: ErrorOptions) => TenonError;

/** The error with the name of the file that it comes from. A value of a wrong kind deep in a file may trip the code that uses it: that is the file's fault, and said so. */
function faultOf(source: string, e: unknown): unknown {
  if (e instanceof TypeError || e instanceof RangeError)
    return new ModelFormatError(`${source}: holds something that cannot be used: ${e.message}`, { cause: e });
  if (!(e instanceof TenonError) || e instanceof InternalError || e.message.includes(source)) return e;
  return new (e.constructor as ErrorClass)(`${source}: ${e.message}`, { cause: e });
}

/** A model from a file: `.h5`, `.keras`, or an architecture alone (`.json`, `.yaml`). See `LoadOptions`. */
export async function loadModel(source: FileSource, options: LoadOptions = {}): Promise<ModelBase> {
  const o = resolveOptions<LoadOptions>('loadModel', [options], [], {
    ...limits,
    customObjects: undefined,
    compile: true,
    device: 'auto',
    semantics: undefined,
    name: undefined,
  });
  const { saved, file, format } = await readSaved(source, o);
  try {
    if (!saved.config)
      throw new ModelFormatError(`${saved.source}: holds weights alone (${format.name}), no architecture: make the model and call loadWeights`);
    const objects = o.customObjects ?? {};
    const semantics = o.semantics ?? saved.extra?.semantics ?? saved.generation ?? undefined;
    saved.readAhead?.();
    const model = modelFromConfig(saved.config, { semantics, customObjects: objects as DeserializeOptions['customObjects'] });
    await applyVocabularies(model, saved);
    if (o.compile && saved.training?.optimizer) model.compile({ ...compileOptions(saved.training, model.semantics, objects), device: o.device });
    await applyAll(model, saved);
    return model;
  } catch (e) {
    throw faultOf(saved.source, e);
  } finally {
    await saved.close();
    await file.close();
  }
}

/** A model from the YAML that Keras 1 and 2 wrote. */
export async function modelFromYaml(text: string, options: DeserializeOptions = {}): Promise<ModelBase> {
  return modelFromConfig((await parseYaml('the configuration', text)) as SerializedObject, options);
}

/** The name that the ending of a target is taken from. */
function nameOf(what: string, target: FileTarget): string {
  const name: unknown = typeof target === 'string' ? target : (target as Exclude<FileTarget, string> | undefined)?.name;
  if (typeof name === 'string') return name;
  throw new ValueError(`${what}: expected a path, or a target such as download('m.keras') or inMemory('m.keras'), got ${describe(target)}`);
}

function chosenFormat(what: string, target: FileTarget, o: SaveOptions, part: FilePart): ModelFormat {
  const name = nameOf(what, target);
  // as in Keras 2, weights at a path without an ending of another format are a checkpoint of TensorFlow
  const format = o.format ? formatNamed(o.format) : (formatOfName(name) ?? (part === 'weights' ? checkpointFormat : null));
  if (!format)
    throw new ValueError(
      `${what}: '${o.format ?? name}' names no format: expected an ending such as .h5 or .keras, or the option format (${formatNames().join(', ')})`,
    );
  if (!format.write) throw new ValueError(`${what}: the format ${format.name} can only be read`);
  if (!format.parts.includes(part) && part !== 'config')
    throw new ValueError(`${what}: ${format.name} files hold ${format.parts.join(' or ')} only: use ${part === 'model' ? 'saveWeights, or toJson' : 'save'}`);
  return format;
}

async function write(what: string, model: ModelBase, target: FileTarget, options: SaveOptions, part: FilePart): Promise<void> {
  const o = resolveOptions<SaveOptions>(what, [options], [], saveDefaults);
  const format = chosenFormat(what, target, o, part);
  if (o.overwrite === false && typeof target === 'string' && isNode() && (await import('node:fs')).existsSync(format.mainName?.(target) ?? target))
    throw new ValueError(`${what}: ${target} exists already`);
  const generation: Semantics = o.keras ? (o.keras === 2 ? 'keras2' : 'keras3') : format.defaultGeneration === 'own' ? model.semantics : 'keras2';
  await format.write!(
    await contentsOfModel(model, { generation, includeOptimizer: o.includeOptimizer ?? true, assets: format.hasAssets ?? false }),
    target,
    part,
  );
}

/** Whether files of this name hold weights and no architecture: a name without any ending is a checkpoint of TensorFlow. */
export function holdsWeightsAlone(name: string): boolean {
  const format = formatOfName(name);
  if (format) return format.parts.every((p) => p === 'weights');
  return !(name.split(/[\\/]/).at(-1) ?? '').includes('.');
}

/** See `model.save`. */
export async function saveModel(model: ModelBase, target: FileTarget, options: SaveOptions): Promise<void> {
  if (model instanceof SubclassedClass)
    throw new UnsupportedError(
      `save: model '${model.name}' is of the class ${model.className}, whose call a file cannot hold: save its weights with saveWeights, and make the model in code before loadWeights`,
    );
  const format = options.format ? formatNamed(options.format) : formatOfName(nameOf('save', target));
  await write('save', model, target, options, format && !format.parts.includes('model') && format.parts.includes('config') ? 'config' : 'model');
}
/** See `model.saveWeights`. */
export const saveWeights = (model: ModelBase, target: FileTarget, options: SaveOptions): Promise<void> =>
  write('saveWeights', model, target, options, 'weights');

/** See `model.loadWeights`. */
export async function loadWeights(model: ModelBase, source: FileSource, options: LoadWeightsOptions): Promise<void> {
  const o = resolveOptions<LoadWeightsOptions>('loadWeights', [options], [], { ...limits, byName: false, skipMismatch: false, name: undefined });
  if (!model.hasInputs) throw new ValueError(`loadWeights: model '${model.name}' has no weights yet: call buildFor(shape) first`);
  const { saved, file, format } = await readSaved(source, o);
  try {
    if (!saved.weights) throw new ModelFormatError(`${saved.source}: holds no weights (${format.name})`);
    saved.readAhead?.();
    await model.exportState();
    await applyWeights(model, saved.source, saved.weights, o);
    // what a file holds beside weights is taken where it fits: as in Keras, a model compiled otherwise keeps its own
    const fault = saved.weights.kind !== 'layers' && !o.skipMismatch ? await applySavedOptimizer(model, saved) : undefined;
    // a checkpoint is there to go on from: with the optimizer comes the rest of the state
    if (fault === null && saved.weights.kind === 'tracked' && saved.extra) await applyExtra(model, saved.extra, true);
    else model.restoreState({});
  } catch (e) {
    throw faultOf(saved.source, e);
  } finally {
    await saved.close();
    await file.close();
  }
}
