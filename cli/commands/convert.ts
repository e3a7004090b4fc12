/** `tenon convert A B`: a model from one file format to another; and `tenon summary FILE`. */
import { statSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ModelBase } from '../../frontend/keras/index.js';
import { loadModel } from '../../frontend/keras/index.js';
import { UnsupportedError } from '../../ir/errors.js';
import { type CliIo, UsageError } from '../io.js';
import { positiveInteger } from '../targets.js';

export interface ConvertFlags {
  readonly keras?: string;
  readonly weights?: string;
  /** A module whose exports are the classes and functions that the file names and Keras does not have. */
  readonly custom?: string;
  /** Of an .onnx file. */
  readonly opset?: string;
  readonly json?: boolean;
}

/** The model of a file, with the weights of another one where it is an architecture alone. */
async function load(file: string, flags: ConvertFlags): Promise<ModelBase> {
  if (file.toLowerCase().endsWith('.onnx')) return layersOf(file, flags);
  const customObjects = flags.custom === undefined ? {} : await customObjectsIn(flags.custom);
  const model = await loadModel(file, { device: 'reference', customObjects });
  if (flags.weights !== undefined) await model.loadWeights(flags.weights);
  return model;
}

/** An ONNX graph as layers. */
async function layersOf(file: string, flags: ConvertFlags): Promise<ModelBase> {
  for (const [option, given] of [
    ['--weights', flags.weights],
    ['--custom', flags.custom],
  ] as const)
    if (given !== undefined) throw new UsageError(`${option}: an .onnx file holds its weights and ops; the option is for Keras files`);
  const { load: loadOnnx } = await import('../../frontend/onnx/index.js');
  const onnx = await loadOnnx(file, { device: 'reference' });
  try {
    return onnx.asLayers();
  } catch (e) {
    if (e instanceof UnsupportedError) e.message = `${file}: ${e.message}\nRun it with tenon/onnx, or train it with asTrainable()`;
    throw e;
  } finally {
    onnx.dispose();
  }
}

/** The exports of the user's module, by name; those of an object that is the default export, too. */
async function customObjectsIn(file: string): Promise<Record<string, unknown>> {
  if (!statSync(file, { throwIfNoEntry: false })?.isFile()) throw new UsageError(`--custom: ${file}: there is no such file`);
  const { default: main, ...named } = (await import(pathToFileURL(path.resolve(file)).href)) as Record<string, unknown>;
  const objects = { ...(typeof main === 'object' && main !== null ? (main as Record<string, unknown>) : {}), ...named };
  if (Object.keys(objects).length === 0) throw new UsageError(`--custom: ${file} exports nothing by a name`);
  return objects;
}

export async function convertCommand(from: string, to: string, flags: ConvertFlags, io: CliIo): Promise<void> {
  if (flags.keras !== undefined && flags.keras !== '2' && flags.keras !== '3') throw new UsageError(`--keras: expected 2 or 3, got '${flags.keras}'`);
  const toOnnx = to.toLowerCase().endsWith('.onnx');
  if (flags.opset !== undefined && !toOnnx) throw new UsageError(`--opset: ${to} is not an .onnx file`);
  const model = await load(from, flags);
  const options = flags.keras === undefined ? {} : { keras: Number(flags.keras) as 2 | 3 };
  const { holdsWeightsAlone } = await import('../../frontend/keras/saving/index.js');
  if (toOnnx) await model.export(to, flags.opset === undefined ? {} : { opset: positiveInteger(flags.opset, '--opset') });
  else if (holdsWeightsAlone(to)) await model.saveWeights(to, options);
  else await model.save(to, options);
  const parameters = model.countParams();
  io.out(
    flags.json
      ? `${JSON.stringify({ from, to, model: model.name, layers: model.layers.length, parameters })}\n`
      : `${to}: ${model.name}, ${model.layers.length} layers, ${parameters} parameters\n`,
  );
}

export async function summaryCommand(file: string, flags: ConvertFlags, io: CliIo): Promise<void> {
  const model = await load(file, flags);
  if (!flags.json) {
    model.summary({ printFn: (line: string) => io.out(`${line}\n`) });
    return;
  }
  const rows = model.layers.map((l) => ({
    name: l.name,
    class: l.className,
    weights: l.weights.map((w) => ({ name: w.path, shape: w.shape, trainable: w.trainable })),
  }));
  io.out(`${JSON.stringify({ name: model.name, class: model.className, parameters: model.countParams(), layers: rows })}\n`);
}
