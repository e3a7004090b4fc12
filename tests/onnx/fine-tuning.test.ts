/** An exported and imported network trains as the Keras model that it was: MNIST, step for step. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadMnist } from '../../examples/mnist/data.js';
import { Input, inMemory, layers as L, optimizers, Sequential, tensor, utils } from '../../frontend/keras/index.js';
import { load } from '../../frontend/onnx/index.js';
import type { Device } from '../../runtime/device.js';
import { openDevice } from '../../runtime/open.js';
import { openSoftwareDevice } from '../support/webgpu.js';

const cnn = () =>
  Sequential([
    Input({ shape: [28, 28, 1], name: 'image' }),
    L.Conv2D(8, 3, { strides: 2, activation: 'relu' }),
    L.BatchNormalization(),
    L.Conv2D(12, 3, { padding: 'same', useBias: false }),
    L.BatchNormalization(),
    L.ReLU(),
    L.MaxPooling2D(2),
    L.Flatten(),
    L.Dense(10, { activation: 'softmax', name: 'digit' }),
  ]);

async function trainsAlike(device: Device): Promise<void> {
  utils.setRandomSeed(3);
  const { train } = loadMnist();
  const model = cnn();
  const file = inMemory('cnn.onnx');
  await model.export(file);
  const imported = await load(file.bytes(), { device });
  const tuned = imported.asTrainable();
  assert.is(tuned.trainableWeights.length, model.trainableWeights.length);
  assert.is(tuned.nonTrainableWeights.length, 4, 'moving averages are weights that are not trained');
  for (const m of [model, tuned]) m.compile({ optimizer: optimizers.Adam({ learningRate: 0.003 }), loss: 'sparse_categorical_crossentropy', device });
  const losses: number[][] = [[], []];
  for (let step = 0; step < 20; step++) {
    const x = tensor(train.images.subarray(step * 32 * 784, (step + 1) * 32 * 784), [32, 28, 28, 1]);
    const y = tensor(train.labels.subarray(step * 32, (step + 1) * 32), [32]);
    losses[0]!.push((await model.trainOnBatch(x, y)) as number);
    losses[1]!.push((await tuned.trainOnBatch(x, y)) as number);
  }
  losses[0]!.forEach((l, i) => {
    assert.ok(Math.abs(l - losses[1]![i]!) <= 1e-4, `step ${i}: ${l} and ${losses[1]![i]}`);
  });
  assert.ok(losses[0]!.at(-1)! < losses[0]![0]! / 2, `it learns: ${losses[0]!.join(' ')}`);
  const x = tensor(train.images.subarray(0, 16 * 784), [16, 28, 28, 1]);
  const [p, q] = [await model.predict(x), await tuned.predict(x)];
  p.data.forEach((v, i) => {
    assert.ok(Math.abs(v - q.data[i]!) < 1e-3, `prediction ${i}: ${v} and ${q.data[i]}`);
  });
  // what was tuned can be written again
  const again = inMemory('tuned.onnx');
  await tuned.export(again);
  const back = await load(again.bytes(), { device });
  const { digit } = await back.run({ image: { shape: [16, 28, 28, 1], data: x.data as Float32Array } });
  q.data.forEach((v, i) => {
    assert.ok(Math.abs(v - Number(digit!.data[i])) < 1e-5);
  });
  for (const m of [model, tuned, imported, back]) m.dispose();
}

for (const [target, open] of [
  ['wasm', () => openDevice('wasm')],
  ['webgpu', openSoftwareDevice],
] as const)
  test(`20 steps of Adam on MNIST on ${target}: the losses of the Keras model, and its moving averages`, async () => {
    const device = await open();
    if (!device) return;
    await trainsAlike(device);
    device.dispose();
  });

test('which initializers are trained can be chosen', async () => {
  const file = inMemory('cnn.onnx');
  await cnn().export(file);
  const imported = await load(file.bytes(), { device: 'reference' });
  const head = imported.asTrainable({ trainable: (name) => name.startsWith('digit/') });
  assert.equal(
    head.trainableWeights.map((w) => w.path.split('/').slice(1).join('/')),
    ['digit/kernel', 'digit/bias'],
  );
  imported.dispose();
});

test.run();
