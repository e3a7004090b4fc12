/** Files of odd models that the real Keras wrote (odd.py): each loads here, has the same weights, predicts the same and trains on along the same way. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { loadModel, type ModelBase, modelFromJson, tensor, utils } from '../../frontend/keras/index.js';
import { difference, type NamedArray, numbered, readArrays } from './safetensors.js';

/** What odd.py says of a model. */
interface Entry {
  readonly name: string;
  readonly files: readonly string[];
  /** What Keras itself could not write. */
  readonly faults: Readonly<Record<string, string>>;
  readonly steps: number;
  /** Names of inputs that are given by name. */
  readonly inputs?: readonly string[];
  /** What `evaluate` gives in batches of 5. */
  readonly logs?: Readonly<Record<string, number>>;
}

type Check = (name: string, fault: string | null) => void;

/** Half precision keeps eleven bits. */
const loose = ['mixed_precision'];
const tolerance = { predict: 1e-5, losses: 1e-4, weights: 1e-3 };

const first = (faults: readonly (string | null)[]): string | null => faults.find((f) => f !== null) ?? null;
const differences = (actual: readonly ArrayLike<number>[], expected: readonly NamedArray[], allowed: number): string | null =>
  actual.length === expected.length
    ? first(actual.map((a, i) => difference(a, expected[i]!.data, allowed)?.replace(/^/, `${i} `) ?? null))
    : `${actual.length} arrays, Keras has ${expected.length}`;

async function compareWith(
  shown: string,
  e: Entry,
  model: ModelBase,
  arrays: Readonly<Record<string, NamedArray>>,
  trains: boolean,
  check: Check,
): Promise<void> {
  const tensors = (prefix: string) => numbered(arrays, prefix).map((a) => tensor(a.data, a.shape));
  const weights = await model.getWeights();
  const expected = numbered(arrays, 'w');
  check(
    `${shown}: weights`,
    differences(
      weights.map((w) => w.data),
      expected,
      0,
    ),
  );
  const xs = tensors('x');
  const given = e.inputs ? Object.fromEntries(e.inputs.map((n, i) => [n, xs[i]!])) : xs;
  const batchSize = xs[0]!.shape[0]!;
  const predicted = (await model.predictAll(given, { batchSize })).map((t) => t.data);
  const allowed = loose.includes(e.name) ? 2e-3 : tolerance.predict;
  check(`${shown}: predictions`, differences(predicted as ArrayLike<number>[], numbered(arrays, 'p'), allowed));
  if (!trains) return;
  const ys = tensors('y');
  const losses: number[] = [];
  for (let i = 0; i < e.steps; i++) losses.push(((await model.trainOnBatch(given, ys, { returnDict: true })) as Record<string, number>).loss!);
  check(`${shown}: losses of the next steps`, difference(losses, arrays.losses!.data, tolerance.losses));
  check(
    `${shown}: weights after them`,
    differences(
      (await model.getWeights()).map((w) => w.data),
      numbered(arrays, 'a'),
      tolerance.weights,
    ),
  );
  if (!e.logs) return;
  const logs = (await model.evaluate(given, ys, { batchSize: 5, verbose: 0, returnDict: true })) as Record<string, number>;
  check(
    `${shown}: names of metrics`,
    Object.keys(logs).sort().join() === Object.keys(e.logs).sort().join() ? null : `${Object.keys(logs)}, Keras has ${Object.keys(e.logs)}`,
  );
  for (const [name, value] of Object.entries(e.logs)) check(`${shown}: ${name}`, difference([logs[name] ?? Number.NaN], [value], 1e-4));
}

/** Reads the files of one Keras. `only`: models whose names hold this. */
export async function readOdd(dir: string, version: 2 | 3, check: Check, only = ''): Promise<void> {
  const entries = JSON.parse(readFileSync(path.join(dir, `odd${version}.json`), 'utf8')) as Entry[];
  for (const e of entries.filter((x) => x.name.includes(only))) {
    if (e.files.length === 0) check(`${e.name} of keras ${version}`, `was not written: ${Object.values(e.faults).join('; ')}`);
    else {
      const arrays = readArrays(path.join(dir, `${e.name}.odd${version}.safetensors`));
      for (const file of e.files) {
        utils.clearSession();
        let model: ModelBase | null = null;
        try {
          const at = path.join(dir, file);
          const whole = /odd\d\.(h5|keras)$/.test(file);
          // tf_keras itself does not go on from .keras files with its legacy optimizers
          const trains = whole && e.steps > 0 && !(e.name.startsWith('legacy_') && file.endsWith('.keras'));
          if (whole) model = await loadModel(at, { device: 'wasm' });
          else {
            model = modelFromJson(readFileSync(path.join(dir, `${e.name}.odd${version}.json`), 'utf8'));
            await model.loadWeights(at);
          }
          if (!model.optimizer) model.compile({ device: 'wasm' });
          await compareWith(file, e, model, arrays, trains, check);
        } catch (error) {
          check(file, error instanceof Error ? `${error.name}: ${error.message}` : String(error));
        }
        model?.dispose();
      }
    }
  }
}
