/** The MNIST loader, a few steps of the example's training on both targets, and the drawing of digits. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadMnist, parseIdx } from '../../examples/mnist/data.js';
import { digitRows, drawDigits } from '../../examples/mnist/draw.js';
import { digitsModel } from '../../examples/mnist/model.js';
import { type DeviceOption, tensor, utils } from '../../frontend/keras/index.js';
import { openSoftwareDevice } from '../support/webgpu.js';

const idx = (...bytes: number[]) => Uint8Array.from(bytes);

test('IDX files are read', () => {
  const { shape, data } = parseIdx(idx(0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6), 'f');
  assert.equal(shape, [2, 3]);
  assert.equal([...data], [1, 2, 3, 4, 5, 6]);
});

test('files that are not IDX are refused by name', () => {
  assert.throws(() => parseIdx(idx(1, 0, 8, 1, 0, 0, 0, 0), 'labels'), /labels: not an IDX file/);
  assert.throws(() => parseIdx(idx(0, 0, 13, 1, 0, 0, 0, 0), 'labels'), /element type 13, expected 8/);
  assert.throws(() => parseIdx(idx(0, 0, 8, 1, 0, 0, 0, 2, 9), 'labels'), /9 bytes, expected 10 for shape \[2\]/);
});

test('the package holds all of MNIST', () => {
  const { train, test: testing } = loadMnist();
  assert.is(train.count, 60000);
  assert.is(testing.count, 10000);
  assert.is(train.images.length, 60000 * 784);
  assert.is(Math.max(...train.images.subarray(0, 784)), 1);
  // The first training digits are 5, 0, 4, 1, 9; the first test digits 7, 2, 1, 0, 4.
  assert.equal([...train.labels.subarray(0, 5)], [5, 0, 4, 1, 9]);
  assert.equal([...testing.labels.subarray(0, 5)], [7, 2, 1, 0, 4]);
});

test('the example takes the same steps on WebAssembly and on WebGPU, dropout and a smaller last batch included', async () => {
  const webgpu = await openSoftwareDevice();
  if (!webgpu) return;
  const { train } = loadMnist();
  const n = 72;
  const [x, y] = [tensor(train.images.subarray(0, n * 784), [n, 28, 28, 1]), tensor(train.labels.subarray(0, n), [n])];
  const run = async (device: DeviceOption) => {
    utils.setRandomSeed(1);
    const model = digitsModel();
    model.compile({ optimizer: 'adam', loss: 'sparse_categorical_crossentropy', metrics: ['accuracy'], device });
    const { history } = await model.fit(x, y, { epochs: 3, batchSize: 32, verbose: 0 });
    const { loss, accuracy } = await model.evaluate(x, y, { verbose: 0, returnDict: true });
    model.dispose();
    return { losses: [...history.loss!, loss!], accuracy: accuracy! };
  };
  const [a, b] = [await run('wasm'), await run(webgpu)];
  a.losses.forEach((l, i) => {
    assert.ok(Math.abs(l - b.losses[i]!) < 1e-3 * l, `loss ${i}: ${l} and ${b.losses[i]}`);
  });
  assert.ok(a.losses.at(-1)! < a.losses[0]!);
  assert.ok(Math.abs(a.accuracy - b.accuracy) <= 1 / n);
  webgpu.dispose();
});

test('digits are drawn as half blocks or letters', () => {
  const image = new Float32Array(784);
  image[0] = 1;
  image[28] = 1;
  const letters = digitRows(image, false);
  assert.is(letters.length, 14);
  assert.is(letters[0], `@${' '.repeat(27)}`);
  const colour = digitRows(image, true);
  assert.ok(colour[0]!.startsWith('\x1b[38;5;255m\x1b[48;5;255m\u2580'));
  const drawn = drawDigits([image, image], ['7', '2 not 3'], false).split('\n');
  assert.is(drawn.length, 15);
  assert.is(drawn[14], `7${' '.repeat(29)}2 not 3${' '.repeat(21)}`);
});

test.run();
