/** `tenon convert A B`: a model from one file format to another; and `tenon summary FILE`. */
import type { ModelBase } from '../../frontend/keras/index.js';
import { loadModel } from '../../frontend/keras/index.js';
import { type CliIo, UsageError } from '../io.js';

export interface ConvertFlags {
  readonly keras?: string;
  readonly weights?: string;
  readonly json?: boolean;
}

/** The model of a file, with the weights of another one where it is an architecture alone. */
async function load(file: string, weights: string | undefined): Promise<ModelBase> {
  const model = await loadModel(file, { device: 'reference' });
  if (weights !== undefined) await model.loadWeights(weights);
  return model;
}

export async function convertCommand(from: string, to: string, flags: ConvertFlags, io: CliIo): Promise<void> {
  if (flags.keras !== undefined && flags.keras !== '2' && flags.keras !== '3') throw new UsageError(`--keras: expected 2 or 3, got '${flags.keras}'`);
  const model = await load(from, flags.weights);
  const options = flags.keras === undefined ? {} : { keras: Number(flags.keras) as 2 | 3 };
  if (to.toLowerCase().endsWith('.weights.h5')) await model.saveWeights(to, options);
  else await model.save(to, options);
  const parameters = model.countParams();
  io.out(
    flags.json
      ? `${JSON.stringify({ from, to, model: model.name, layers: model.layers.length, parameters })}\n`
      : `${to}: ${model.name}, ${model.layers.length} layers, ${parameters} parameters\n`,
  );
}

export async function summaryCommand(file: string, flags: ConvertFlags, io: CliIo): Promise<void> {
  const model = await load(file, flags.weights);
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
