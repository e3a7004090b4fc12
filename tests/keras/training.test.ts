/** fit, evaluate, predict: loops, callbacks, logs, and bad data. On the reference evaluation and, where plans matter, on WASM. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { callbacks, type DeviceOption, Input, layers, Model, optimizers, Sequential, tensor, utils } from '../../frontend/keras/index.js';
import { RandomStream } from '../../frontend/keras/utils/random.js';

const quiet = { verbose: 0 } as const;

/** Points in three groups. */
function points(n: number): { x: ReturnType<typeof tensor>; y: ReturnType<typeof tensor> } {
  const r = new RandomStream(5);
  const y = Int32Array.from({ length: n }, (_, i) => i % 3);
  const x = Float32Array.from({ length: 4 * n }, (_, i) => (y[i >> 2] === i % 4 ? 2 : 0) + 0.5 * r.normal());
  return { x: tensor(x, [n, 4]), y: tensor(y, [n]) };
}

function classifier(device: DeviceOption = 'reference') {
  utils.setRandomSeed(7);
  const model = Sequential([Input({ shape: [4] }), layers.Dense(8, { activation: 'relu' }), layers.Dense(3, { activation: 'softmax' })]);
  model.compile({ optimizer: optimizers.Adam(0.05), loss: 'sparse_categorical_crossentropy', metrics: ['accuracy'], device });
  return model;
}

for (const device of ['reference', 'wasm'] as const) {
  test(`${device}: a classifier learns; logs, history and validation are as in Keras`, async () => {
    const { x, y } = points(100);
    const model = classifier(device);
    const { history, epoch } = await model.fit(x, y, { epochs: 6, batchSize: 16, validationSplit: 0.2, ...quiet });
    assert.equal(epoch, [0, 1, 2, 3, 4, 5]);
    assert.equal(Object.keys(history), ['accuracy', 'loss', 'val_accuracy', 'val_loss']);
    assert.ok(history.loss![5]! < history.loss![0]! / 2, `loss ${history.loss}`);
    const results = await model.evaluate(x, y, { returnDict: true, ...quiet });
    assert.ok(results.accuracy! > 0.9);
    const p = await model.predict(x, { batchSize: 32 });
    assert.equal(p.shape, [100, 3]);
    const hits = Array.from({ length: 100 }, (_, i) => p.data.subarray(3 * i, 3 * i + 3)).filter(
      (row, i) => row.indexOf(Math.max(...row)) === y.data[i],
    ).length;
    assert.ok(Math.abs(hits / 100 - results.accuracy!) < 1e-6, 'the accuracy counts what predict says');
    model.dispose();
  });
}

test('both targets take the same steps: losses agree over an epoch with a smaller last batch, dropout and batch norm', async () => {
  const { x, y } = points(50);
  const losses: number[][] = [];
  for (const device of ['reference', 'wasm'] as const) {
    utils.setRandomSeed(3);
    const model = Sequential([Input({ shape: [4] }), layers.Dense(16), layers.BatchNormalization(), layers.ReLU(), layers.Dropout(0.3), layers.Dense(3)]);
    model.compile({ optimizer: optimizers.SGD(0.1, { momentum: 0.9, nesterov: true, clipnorm: 1 }), loss: 'mse', device });
    const onehot = utils.toCategorical(y, 3);
    losses.push((await model.fit(x, onehot, { epochs: 3, batchSize: 16, ...quiet })).history.loss!);
    model.dispose();
  }
  losses[0]!.forEach((l, i) => {
    assert.ok(Math.abs(l - losses[1]![i]!) < 1e-4 * Math.abs(l), `epoch ${i}: ${l} and ${losses[1]![i]}`);
  });
});

test('the same seed gives the same weights and losses', async () => {
  const { x, y } = points(30);
  const run = async () => (await classifier().fit(x, y, { epochs: 2, batchSize: 8, ...quiet })).history.loss;
  assert.equal(await run(), await run());
});

test('callbacks hear every event in order, may be plain objects, and may stop training', async () => {
  const { x, y } = points(20);
  const model = classifier();
  const events: string[] = [];
  const note = (name: string) => (i: unknown) => void events.push(typeof i === 'number' ? `${name} ${i}` : name);
  const watcher = {
    onTrainBegin: note('train'),
    onEpochBegin: note('epoch'),
    onTrainBatchBegin: note('batch'),
    onTrainBatchEnd: note('end of batch'),
    onTestBegin: note('test'),
    onTestEnd: note('end of test'),
    onEpochEnd: (epoch: number, logs: Readonly<Record<string, number>>) => {
      events.push(`end of epoch ${epoch} ${Object.keys(logs).join()}`);
      model.stopTraining = true;
    },
    onTrainEnd: note('end of train'),
  };
  await model.fit(x, y, { epochs: 5, batchSize: 8, validationData: [x, y], callbacks: [watcher], ...quiet });
  const batches = [0, 1, 2].flatMap((b) => [`batch ${b}`, `end of batch ${b}`]);
  assert.equal(events, ['train', 'epoch 0', ...batches, 'test', 'end of test', 'end of epoch 0 accuracy,loss,val_accuracy,val_loss', 'end of train']);
});

test('callbacks set the learning rate, EarlyStopping restores the best weights', async () => {
  const { x, y } = points(20);
  const model = classifier();
  const schedule = callbacks.LearningRateScheduler((epoch, rate) => (epoch === 1 ? 0 : rate));
  const before: number[][] = [];
  const weights = { onEpochEnd: async () => void before.push(Array.from((await model.getWeights())[0]!.data)) };
  const { history } = await model.fit(x, y, { epochs: 3, batchSize: 8, callbacks: [schedule, weights], ...quiet });
  assert.equal(
    history.learning_rate!.map((r) => Math.round(r * 100) / 100),
    [0.05, 0, 0],
  );
  assert.equal(before[1], before[0], 'a rate of 0 leaves the weights as they are');
  const worse = classifier();
  worse.optimizer!.learningRate = 50;
  const stop = callbacks.EarlyStopping({ monitor: 'loss', patience: 1, restoreBestWeights: true });
  const h = await worse.fit(x, y, { epochs: 20, batchSize: 20, callbacks: [stop], ...quiet });
  assert.ok(h.epoch.length < 20);
});

test('weights come back from the device, and set weights go there', async () => {
  const { x, y } = points(20);
  const model = classifier();
  const start = await model.getWeights();
  await model.fit(x, y, quiet);
  const trained = await model.getWeights();
  assert.not.equal(Array.from(trained[0]!.data), Array.from(start[0]!.data));
  const p = (await model.predict(x)).array();
  model.setWeights(start);
  assert.not.equal((await model.predict(x)).array(), p);
  model.setWeights(trained);
  assert.equal((await model.predict(x)).array(), p);
  model.compile({ loss: 'mse', device: 'reference' });
  assert.equal((await model.predict(x)).array(), p, 'compile keeps the weights');
});

test('trainOnBatch takes a step; several outputs, weights of losses and class weights', async () => {
  const a = Input([2], { name: 'a' });
  const h = layers.Dense(3, { name: 'h' })(a);
  const model = Model({ inputs: a, outputs: [layers.Dense(1, { name: 'p' })(h), layers.Dense(2, { name: 'q' })(h)] });
  model.compile({ optimizer: 'sgd', loss: { p: 'mse', q: 'mae' }, lossWeights: { p: 2, q: 0.5 }, metrics: { p: ['mae'] }, device: 'reference' });
  const data = [
    [
      [1, 2],
      [3, 4],
    ],
    {
      p: [1, 2],
      q: [
        [1, 2],
        [3, 4],
      ],
    },
  ] as const;
  const first = (await model.trainOnBatch(...data, { returnDict: true })) as Record<string, number>;
  assert.equal(Object.keys(first), ['loss', 'p_loss', 'p_mae', 'q_loss']);
  assert.ok(Math.abs(first.loss! - (2 * first.p_loss! + 0.5 * first.q_loss!)) < 1e-4);
  const second = (await model.testOnBatch(...data, { returnDict: true })) as Record<string, number>;
  assert.ok(second.loss! < first.loss!);
  const weighted = Sequential([Input([4]), layers.Dense(3, { activation: 'softmax' })]);
  weighted.compile({ loss: 'sparse_categorical_crossentropy', device: 'reference' });
  const { x, y } = points(9);
  const plain = await weighted.evaluate(x, y, quiet);
  const doubled = await weighted.evaluate(x, y, { sampleWeight: new Float32Array(9).fill(2), ...quiet });
  assert.ok(Math.abs(Number(doubled) - 2 * Number(plain)) < 1e-5);
});

test('integer data stays small: uint8 images are cast in the graph', async () => {
  const model = Sequential([Input([4]), layers.Dense(1, { kernelInitializer: 'ones' })]);
  model.compile({ loss: 'mse', device: 'reference' });
  const graph = model.programs().predict!;
  assert.is(graph.inputs[0]!.value.dtype, 'float32');
  const p = await model.predict({ data: Uint8Array.of(1, 2, 3, 250), shape: [1, 4] });
  assert.equal(p.array(), [[256]]);
});

test('bad data are errors that name the argument, and the model stays usable', async () => {
  const model = classifier();
  const { x, y } = points(12);
  const rejects = async (run: () => Promise<unknown>, message: RegExp) => {
    try {
      await run();
    } catch (e) {
      assert.match((e as Error).message, message);
      return;
    }
    assert.unreachable(`no error like ${message}`);
  };
  await rejects(() => model.fit([[1, 2, 3]], [0], quiet), /fit: 'x': the input '.*' expects shape \(None, 4\), got \(1, 3\)/);
  await rejects(() => model.fit([], [], quiet), /fit: .*(empty|shape)/);
  await rejects(() => model.fit(tensor(new Float32Array(0), [0, 4]), [], quiet), /fit: the data set is empty/);
  await rejects(() => model.fit([[1, 2, 3, Number.NaN]], [0], quiet), /fit: 'x': found NaN in sample 0 \(element 3\)/);
  await rejects(() => model.fit([[1, 2, 3, Infinity]], [0], quiet), /found Infinity/);
  await rejects(() => model.fit([[1, 2, 3, 4]], [3], quiet), /fit: 'y': sample 0 has the class 3, expected whole numbers from 0 to 2/);
  await rejects(() => model.fit([[1, 2, 3, 4]], [-1], quiet), /has the class -1/);
  await rejects(() => model.fit(x, [0, 1], quiet), /fit: 'y': expected 12 samples as in 'x', got 2/);
  await rejects(() => model.fit(x, null, quiet), /fit: 'y' is required/);
  await rejects(() => model.fit([[1, 2], [3]], [0, 1], quiet), /ragged/);
  await rejects(() => model.fit([['a']] as never, [0], quiet), /expected numbers, got the string 'a'/);
  await rejects(() => model.fit(x, y, { epoch: 3 } as object), /fit: unknown option 'epoch'. Did you mean 'epochs'\?/);
  await rejects(() => model.fit(x, y, { epochs: 0, ...quiet }), /'epochs' must be a positive integer/);
  await rejects(() => model.fit(x, y, { validationSplit: 1, ...quiet }), /validationSplit/);
  await rejects(() => model.predict([[1, 2]]), /predict: 'x'/);
  await rejects(() => Sequential([layers.Dense(1)]).fit([[1]], [1], quiet), /is not compiled/);
  const table = Sequential([Input([2], { dtype: 'int32' }), layers.Embedding(5, 2, { name: 'table' })]);
  await rejects(() => table.predict([[1, 7]]), /sample 0 has the id 7, layer 'table' has 5 rows/);
  const elsewhere = classifier('gpu' as DeviceOption);
  await rejects(() => elsewhere.fit(x, y, quiet), /unknown device 'gpu'/);
  const onehot = Sequential([Input([4]), layers.Dense(3, { activation: 'softmax' })]);
  onehot.compile({ loss: 'categorical_crossentropy', device: 'reference' });
  await rejects(() => onehot.fit(x, y, quiet), /categorical_crossentropy.*for integer class labels use sparse_categorical_crossentropy/);
  await model.fit(x, y, quiet);
});

test.run();
