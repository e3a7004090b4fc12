/**
 * Trains a model in a process of its own: `train-and-save.ts CASE first|rest FILE`. `first` trains, saves FILE in the middle of an epoch and trains on; `rest` loads the file and trains on.
 * Both print losses and the bits of all weights of what comes after the file.
 */
import { Input, layers, loadModel, type ModelBase, optimizers, Sequential, tensor, utils } from '../../frontend/keras/index.js';

const [name, part, file] = process.argv.slice(2) as [string, 'first' | 'rest', string];

const numbers = (n: number, seed: number) => Float32Array.from({ length: n }, (_, i) => Math.sin(seed * 7.1 + i * 1.7));
const image = Input([8, 4]);
const cases: Readonly<Record<string, () => ModelBase>> = {
  adam: () => compiled([image, layers.Flatten(), layers.Dense(6, { activation: 'tanh' }), layers.Dense(2)], optimizers.Adam(0.01)),
  momentum: () => compiled([image, layers.Flatten(), layers.Dense(6, { activation: 'relu' }), layers.Dense(2)], optimizers.SGD(0.01, { momentum: 0.9 })),
  dropout: () => compiled([image, layers.Flatten(), layers.Dense(16, { activation: 'relu' }), layers.Dropout(0.4), layers.Dense(2)], optimizers.Adam(0.01)),
  batchNorm: () => compiled([image, layers.Flatten(), layers.Dense(6), layers.BatchNormalization(), layers.Dense(2)], optimizers.RMSprop(0.01)),
  lstm: () => compiled([image, layers.LSTM(5, { returnSequences: true }), layers.LSTM(3), layers.Dense(2)], optimizers.Adam(0.01, { amsgrad: true })),
};
function compiled(list: Parameters<typeof Sequential>[0], optimizer: optimizers.Optimizer): ModelBase {
  const m = Sequential(list);
  m.compile({ optimizer, loss: 'mse', metrics: ['mae'], device: 'wasm' });
  return m;
}

const [x, y] = [tensor(numbers(20 * 32, 1), [20, 8, 4]), tensor(numbers(40, 2), [20, 2])];
const losses: unknown[] = [];
const fit = async (m: ModelBase, epochs: number) => {
  const { history } = await m.fit(x, y, { epochs, batchSize: 6, verbose: 0 });
  losses.push(...history.loss!, ...history.mae!);
};
/** Steps within an epoch: metrics are not reset, so they must come back as well. */
const steps = async (m: ModelBase, from: number, to: number) => {
  const rows = (t: typeof x, i: number) => t.rows((i * 4) % 20, ((i * 4) % 20) + 4);
  for (let i = from; i < to; i++) losses.push(await m.trainOnBatch(rows(x, i), rows(y, i), { resetMetrics: false }));
};

utils.setRandomSeed(part === 'rest' ? 999 : 17);
const model = part === 'rest' ? await loadModel(file, { device: 'wasm' }) : cases[name]!();
if (part !== 'rest') {
  await fit(model, 3);
  await steps(model, 0, 3);
}
if (part === 'first') await model.save(file);
losses.length = 0;
await steps(model, 3, 7);
await fit(model, 2);
const weights = (await model.getWeights()).map((t) => Array.from(new Uint32Array(t.data.slice().buffer)));
console.log(JSON.stringify({ losses, weights }));
model.dispose();
