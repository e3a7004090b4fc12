/** What training costs beside its kernels: nothing is created or kept by a step after the first, and a model that is disposed leaves nothing behind. */
import { existsSync, readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type DeviceOption, Input, layers, optimizers, Sequential, tensor, utils } from '../../frontend/keras/index.js';
import { RandomStream } from '../../frontend/keras/utils/random.js';
import type { Device } from '../../runtime/device.js';
import { openWasmDevice } from '../../runtime/wasm/device.js';
import { buffersAlive, openSoftwareDevice } from '../support/webgpu.js';

const quiet = { verbose: 0 } as const;

/** Every memory that WebAssembly is given from here on. */
const memories: WebAssembly.Memory[] = [];
const OwnMemory = WebAssembly.Memory;
WebAssembly.Memory = class extends OwnMemory {
  constructor(descriptor: WebAssembly.MemoryDescriptor) {
    super(descriptor);
    memories.push(this);
  }
};
const memoryBytes = () => memories.reduce((sum, m) => sum + m.buffer.byteLength, 0);

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const heapNow = () => {
  collect();
  return process.memoryUsage().heapUsed;
};

const count = 100;
function data() {
  const r = new RandomStream(5);
  const y = Int32Array.from({ length: count }, (_, i) => i % 3);
  return {
    x: tensor(
      Float32Array.from({ length: 4 * count }, (_, i) => (y[i >> 2] === i % 4 ? 2 : 0) + 0.5 * r.normal()),
      [count, 4],
    ),
    y: tensor(y, [count]),
  };
}

function classifier(device: DeviceOption) {
  utils.setRandomSeed(7);
  const model = Sequential([
    Input({ shape: [4] }),
    layers.Dense(16, { activation: 'relu' }),
    layers.BatchNormalization(),
    layers.Dropout(0.2),
    layers.Dense(3, { activation: 'softmax' }),
  ]);
  model.compile({ optimizer: optimizers.Adam(0.01), loss: 'sparse_categorical_crossentropy', metrics: ['accuracy'], device });
  return model;
}

const open: Record<'wasm' | 'webgpu', () => Promise<Device | null>> = { wasm: () => openWasmDevice({ threads: 2 }), webgpu: openSoftwareDevice };

for (const kind of ['wasm', 'webgpu'] as const) {
  test(`${kind}: 1,000 steps create no buffers and no pipelines, and the heap stays`, async () => {
    const device = await open[kind]();
    if (!device) return;
    const model = classifier(device);
    const { x, y } = data();
    const { counters } = device;
    // 7 steps an epoch; the last batch has 4 samples instead of 16
    const fit = (epochs: number) => model.fit(x, y, { epochs, batchSize: 16, ...quiet });
    await fit(2);
    let before = { ...counters };
    await fit(1);
    // the data set, its targets and the order of samples
    const perFit = counters.buffersCreated - before.buffersCreated;
    assert.ok(perFit <= 3, `${perFit} buffers`);
    const [heap, memory] = [heapNow(), memoryBytes()];
    before = { ...counters };
    await fit(143);
    assert.is(counters.buffersCreated - before.buffersCreated, perFit, 'as many as of one epoch');
    assert.is(counters.pipelinesCreated, before.pipelinesCreated);
    const submits = counters.submits - before.submits;
    assert.ok(submits < 1001, `${submits} submits for 1,001 steps`);
    assert.is(memoryBytes(), memory);
    const grown = heapNow() - heap;
    assert.ok(grown < 2 ** 20, `the heap has grown by ${grown} bytes`);
    model.dispose();
    device.dispose();
  });

  test(`${kind}: batches that the caller brings, of two sizes, create nothing either`, async () => {
    const device = await open[kind]();
    if (!device) return;
    const model = classifier(device);
    const { x, y } = data();
    const step = async (n: number) => {
      await model.trainOnBatch(x.rows(0, n), y.rows(0, n));
      await model.predict(x.rows(0, n));
    };
    for (const n of [16, 9, 16]) await step(n);
    const before = { ...device.counters };
    const [heap, memory] = [heapNow(), memoryBytes()];
    for (let i = 0; i < 50; i++) await step(i % 2 ? 16 : 9);
    assert.is(device.counters.buffersCreated, before.buffersCreated);
    assert.is(device.counters.pipelinesCreated, before.pipelinesCreated);
    assert.is(device.counters.submits - before.submits, 100);
    assert.is(memoryBytes(), memory);
    const grown = heapNow() - heap;
    assert.ok(grown < 2 ** 20, `the heap has grown by ${grown} bytes`);
    model.dispose();
    device.dispose();
  });
}

/** Threads of this process, workers among them. */
const status = '/proc/self/status';
const threads = () => Number(/^Threads:\s+(\d+)$/m.exec(readFileSync(status, 'utf8'))![1]);

async function useAndDispose(device: DeviceOption): Promise<void> {
  const model = Sequential([layers.Dense(8, { activation: 'relu', inputShape: [4] }), layers.Dense(1)]);
  model.compile({ optimizer: 'adam', loss: 'mse', device });
  const { x, y } = data();
  await model.fit(x, y, { batchSize: 50, ...quiet });
  model.dispose();
}

test('wasm: 50 models on one device, made, trained and disposed, use the same memory and workers', async () => {
  const device = await openWasmDevice({ threads: 2 });
  // the engine's own compiled code settles
  for (let i = 0; i < 20; i++) await useAndDispose(device);
  const [made, bytes, heap] = [memories.length, memoryBytes(), heapNow()];
  for (let i = 0; i < 30; i++) await useAndDispose(device);
  assert.is(memories.length, made);
  assert.is(memoryBytes(), bytes);
  const grown = heapNow() - heap;
  assert.ok(grown < 2 * 2 ** 20, `the heap has grown by ${grown} bytes`);
  device.dispose();
});

test('wasm: models with a device of their own leave no worker', async () => {
  if (!existsSync(status)) {
    console.log(`Workers are not counted here: there is no ${status}`);
    return;
  }
  await useAndDispose('wasm');
  const before = threads();
  for (let i = 0; i < 10; i++) await useAndDispose('wasm');
  // threads end a little after they are told to
  for (let i = 0; i < 50 && threads() > before; i++) await new Promise((resolve) => setTimeout(resolve, 100));
  assert.ok(threads() <= before, `${threads()} threads, ${before} after the first model`);
});

test('webgpu: a model that is disposed destroys every buffer that it made', async () => {
  const device = await openSoftwareDevice();
  if (!device) return;
  const alive = buffersAlive(device.gpu);
  for (let i = 0; i < 3; i++) {
    await useAndDispose(device);
    assert.is(alive(), 0);
  }
  device.dispose();
});

test.run();
