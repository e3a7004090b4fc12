/** Data sets that are streamed to the device give the same numbers, bit for bit, as those that lie there whole. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type DeviceOption, Input, layers, optimizers, Sequential, tensor, utils } from '../../frontend/keras/index.js';
import { samplesAtOnce } from '../../frontend/keras/models/streaming.js';
import { RandomStream } from '../../frontend/keras/utils/random.js';
import { openSoftwareDevice } from '../support/webgpu.js';

const quiet = { verbose: 0 } as const;
const count = 101;
const data = () => {
  const r = new RandomStream(5);
  const y = Int32Array.from({ length: count }, (_, i) => i % 3);
  const x = Float32Array.from({ length: 4 * count }, (_, i) => (y[i >> 2] === i % 4 ? 2 : 0) + 0.5 * r.normal());
  return { x: tensor(x, [count, 4]), y: tensor(y, [count]), w: tensor(Float32Array.from(y, (c) => 1 + c / 4)) };
};

/** Losses of two shuffled epochs with validation, of an evaluation, and the weights. `bytes`: the limit; a batch of 16 has 384. */
async function run(device: DeviceOption, bytes: number | null) {
  utils.setRandomSeed(7);
  const { x, y, w } = data();
  const model = Sequential([Input({ shape: [4] }), layers.Dense(8, { activation: 'relu' }), layers.Dropout(0.2), layers.Dense(3, { activation: 'softmax' })]);
  model.compile({ optimizer: optimizers.Adam(0.05), loss: 'sparse_categorical_crossentropy', metrics: ['accuracy'], device });
  const seen: number[] = [];
  const fitted = await model.fit(x, y, {
    epochs: 2,
    batchSize: 16,
    sampleWeight: w,
    validationData: [x, y],
    residentBytes: bytes,
    callbacks: [{ onEpochEnd: (e: number) => void seen.push(e) }],
    ...quiet,
  });
  const results = await model.evaluate(x, y, { returnDict: true, batchSize: 10, residentBytes: bytes, ...quiet });
  const weights = (await model.getWeights()).map((t) => [...t.data]);
  model.dispose();
  return { history: fitted.history, results, weights, seen };
}

test('how many samples lie on the device: all, or whole batches of a half', () => {
  const { x, y } = data();
  const arrays = [['x_0', x] as const, ['y_0', y] as const];
  const free = { array: Infinity, total: Infinity };
  assert.is(samplesAtOnce(arrays, count, 16, free, null), count);
  assert.is(samplesAtOnce(arrays, count, 16, free, 20 * count), count);
  assert.is(samplesAtOnce(arrays, count, 16, free, 20 * count - 1), 48);
  assert.is(samplesAtOnce(arrays, count, 16, { array: 4 * count, total: Infinity }, null), 16);
  assert.is(samplesAtOnce(arrays, count, 16, free, 1), 16);
});

for (const device of ['reference', 'wasm', 'webgpu'] as const) {
  test(`${device}: the same losses, metrics and weights`, async () => {
    if (device === 'webgpu') {
      const found = await openSoftwareDevice();
      if (!found) return;
      found.dispose();
    }
    const whole = await run(device, null);
    // pieces of two batches, and of one
    for (const bytes of device === 'wasm' ? [1, 1700] : [1700]) assert.equal(await run(device, bytes), whole, `${bytes} bytes`);
  });
}

test('a limit that is no number of bytes is refused', async () => {
  const { x, y } = data();
  const model = Sequential([Input({ shape: [4] }), layers.Dense(3)]);
  model.compile({ loss: 'mse', device: 'reference' });
  try {
    await model.fit(x, utils.toCategorical(y, 3), { residentBytes: -5, ...quiet });
    assert.unreachable();
  } catch (e) {
    assert.match((e as Error).message, /fit: 'residentBytes' must be a positive integer, got -5/);
  }
  model.dispose();
});

test.run();
