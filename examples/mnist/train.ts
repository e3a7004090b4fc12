/**
 * Trains a small convolutional network on MNIST: npm start [-- --device auto|wasm|webgpu] [--epochs 4] [--batch 128] [--limit N] [--seed 1].
 * --limit trains on the first N images only (a look at a slow device). The last line is the accuracy on the 10,000 test images.
 */
import { parseArgs } from 'node:util';
import { type DeviceName, layers, optimizers, Sequential, tensor, utils } from '../../frontend/keras/index.js';
import { type Digits, loadMnist } from './data.js';
import { drawDigits } from './draw.js';
import { stepLine } from './step.js';

const { values: args } = parseArgs({
  options: {
    device: { type: 'string', default: 'auto' },
    epochs: { type: 'string', default: '4' },
    batch: { type: 'string', default: '128' },
    limit: { type: 'string' },
    seed: { type: 'string', default: '1' },
  },
});
const epochs = Number(args.epochs);
const batchSize = Number(args.batch);

utils.setRandomSeed(Number(args.seed));
const { train, test } = loadMnist();
const firstOf = (d: Digits, n: number) => ({ x: tensor(d.images.subarray(0, n * 784), [n, 28, 28, 1]), y: tensor(d.labels.subarray(0, n), [n]) });
const training = firstOf(train, Math.min(train.count, Number(args.limit ?? train.count)));
const testing = firstOf(test, test.count);

const model = Sequential([
  layers.Conv2D(16, 3, { activation: 'relu', inputShape: [28, 28, 1] }),
  layers.MaxPooling2D(2),
  layers.Conv2D(32, 3, { activation: 'relu' }),
  layers.MaxPooling2D(2),
  layers.Flatten(),
  layers.Dropout(0.25),
  layers.Dense(64, { activation: 'relu' }),
  layers.Dense(10, { activation: 'softmax' }),
]);
const rates = optimizers.schedules.PiecewiseConstantDecay([Math.floor(0.75 * epochs * Math.ceil(training.x.shape[0]! / batchSize))], [2e-3, 5e-4]);
model.compile({ optimizer: optimizers.Adam({ learningRate: rates }), loss: 'sparse_categorical_crossentropy', metrics: ['accuracy'], device: args.device as DeviceName });
model.summary();
