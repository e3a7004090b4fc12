/**
 * Trains a small convolutional network on MNIST: npm start [-- --device auto|wasm|webgpu] [--epochs 4] [--batch 128] [--limit N] [--seed 1].
 * --limit trains on the first N images only (a look at a slow device). The last line is the accuracy on the 10,000 test images.
 */
import { parseArgs } from 'node:util';
import { stepFigures } from '../../bench/plan-figures.js';
import { type DeviceName, optimizers, tensor, utils } from '../../frontend/keras/index.js';
import { type Digits, loadMnist } from './data.js';
import { drawDigits } from './draw.js';
import { digitsModel } from './model.js';

const { values: args } = parseArgs({
  options: {
    device: { type: 'string', default: 'auto' },
    epochs: { type: 'string', default: '4' },
    batch: { type: 'string', default: '128' },
    limit: { type: 'string' },
    seed: { type: 'string', default: '1' },
  },
});
const [epochs, batchSize] = [Number(args.epochs), Number(args.batch)];

utils.setRandomSeed(Number(args.seed));
const digits = loadMnist();
const firstOf = (d: Digits, n: number) => ({ x: tensor(d.images.subarray(0, n * 784), [n, 28, 28, 1]), y: tensor(d.labels.subarray(0, n), [n]), count: n });
const train = firstOf(digits.train, Math.min(digits.train.count, Number(args.limit ?? digits.train.count)));
const test = firstOf(digits.test, digits.test.count);
const steps = Math.ceil(train.count / batchSize);

const model = digitsModel();
// The last quarter of the training has a quarter of the rate: it settles.
const learningRate = optimizers.schedules.PiecewiseConstantDecay([Math.floor(0.75 * epochs * steps)], [2e-3, 5e-4]);
model.compile({
  optimizer: optimizers.Adam({ learningRate }),
  loss: 'sparse_categorical_crossentropy',
  metrics: ['accuracy'],
  device: args.device as DeviceName,
});
model.summary();

const start = performance.now();
await model.fit(train.x, train.y, { epochs, batchSize });
const seconds = (performance.now() - start) / 1000;

const { accuracy } = await model.evaluate(test.x, test.y, { batchSize: 500, verbose: 0, returnDict: true });
const plan = model.plans.train!;
const step = stepFigures(plan, 'train', { batch: batchSize, samples: train.count }, 0);
const mega = (n: number) => `${(n / 1e6).toFixed(1)} MB`;
console.log(`\n${model.deviceDescription}: trained in ${seconds.toFixed(1)} s`);
console.log(
  `a step of ${batchSize} images: ${step.kernels} kernels, ${mega(step.bytesRead)} read and ${mega(step.bytesWritten)} written by them, ` +
    `${Math.round((seconds / (epochs * steps)) * 1e6)} microseconds (compiling included)\n`,
);

// Some test digits with what the model makes of them: the first that it gets right, then the first that it gets wrong.
const shown = await model.predict(test.x.rows(0, 1000), { batchSize: 500 });
const answers = Array.from({ length: 1000 }, (_, i) => {
  const p = Array.from(shown.data.subarray(10 * i, 10 * i + 10));
  const guess = p.indexOf(Math.max(...p));
  return { i, guess, label: test.y.data[i]!, sure: `${(100 * p[guess]!).toFixed(1)} %` };
});
const image = (i: number) => digits.test.images.subarray(784 * i, 784 * (i + 1));
const colour = process.stdout.isTTY === true && !process.env.NO_COLOR;
for (const right of [true, false]) {
  const some = answers.filter((a) => (a.guess === a.label) === right).slice(0, 4);
  console.log(
    drawDigits(
      some.map((a) => image(a.i)),
      some.map((a) => (right ? `${a.guess} (${a.sure})` : `${a.guess} (${a.sure}), it is ${a.label}`)),
      colour,
    ),
  );
}
model.dispose();
console.log(`\ntest accuracy: ${accuracy!.toFixed(4)}`);
// WebGPU in Node keeps the event loop alive.
process.exit(0);
