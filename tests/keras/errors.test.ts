/** Mistakes of users: each is an error that names layer or argument, and the model trains afterwards. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Input, layers, Model, type ModelBase, Sequential, tensor, utils } from '../../frontend/keras/index.js';

const rows = (n: number, width: number, value = 0.5) => tensor(new Float32Array(n * width).fill(value), [n, width]);
const quiet = { verbose: 0, epochs: 1, batchSize: 4 } as const;

function classifier(loss = 'sparse_categorical_crossentropy'): ModelBase {
  const model = Sequential([Input({ shape: [3], name: 'features' }), layers.Dense(4, { activation: 'softmax', name: 'head' })], { name: 'net' });
  model.compile({ optimizer: 'sgd', loss, metrics: ['accuracy'], device: 'reference' });
  return model;
}
const labels = (...y: number[]) => tensor(Int32Array.from(y), [y.length]);

async function message(run: () => unknown): Promise<string> {
  try {
    await run();
  } catch (e) {
    return (e as Error).message;
  }
  return 'no error';
}

/** The error of `run` matches, and the model trains before and after it. */
async function refused(model: ModelBase, run: () => unknown, pattern: RegExp, good: () => Promise<unknown>): Promise<void> {
  for (const started of [false, true]) {
    assert.match(await message(run), pattern, started ? 'after a first fit' : 'before the first fit');
    await good();
  }
  for (const w of await model.getWeights()) assert.ok(w.data.every(Number.isFinite), 'weights are finite');
}

const cases: readonly [string, (m: ModelBase) => unknown, RegExp][] = [
  ['features', (m) => m.fit(rows(4, 5), labels(0, 1, 2, 3), quiet), /fit: 'x'.*'features' expects shape \(None, 3\), got \(4, 5\)/],
  ['rank', (m) => m.fit(tensor(new Float32Array(24), [4, 3, 2]), labels(0, 1, 2, 3), quiet), /'features' expects shape \(None, 3\), got \(4, 3, 2\)/],
  [
    'ragged rows',
    (m) =>
      m.fit(
        [
          [1, 2, 3],
          [1, 2],
        ],
        labels(0, 1),
        quiet,
      ),
    /fit: 'x': the nested array is ragged: expected 3 elements at depth 2, got 2/,
  ],
  ['words', (m) => m.fit([['a', 'b', 'c']] as unknown as number[][], labels(0), quiet), /fit: 'x': expected numbers, got the string 'a'/],
  ['64-bit labels', (m) => m.fit(rows(2, 3), new BigInt64Array(2) as unknown as Int32Array, quiet), /fit: 'y': arrays of 64-bit integers are not supported/],
  ['counts', (m) => m.fit(rows(4, 3), labels(0, 1, 2), quiet), /fit: 'y': expected 4 samples as in 'x', got 3/],
  ['class too large', (m) => m.fit(rows(2, 3), labels(0, 4), quiet), /fit: 'y': sample 1 has the class 4, expected whole numbers from 0 to 3/],
  ['negative class', (m) => m.evaluate(rows(2, 3), labels(-1, 0), quiet0), /evaluate: 'y': sample 0 has the class -1/],
  ['class with a fraction', (m) => m.trainOnBatch(rows(2, 3), [0, 1.5]), /trainOnBatch: 'y': sample 1 has the class 1\.5/],
  [
    'NaN',
    (m) =>
      m.fit(
        [
          [1, 2, 3],
          [1, Number.NaN, 3],
        ],
        labels(0, 1),
        quiet,
      ),
    /fit: 'x': found NaN in sample 1 \(element 1\): data must be finite/,
  ],
  ['infinity', (m) => m.predict([[1, Number.POSITIVE_INFINITY, 3]]), /predict: 'x': found Infinity in sample 0/],
  ['NaN weights', (m) => m.fit(rows(2, 3), labels(0, 1), { ...quiet, sampleWeight: [1, Number.NaN] }), /'sampleWeight': found NaN in sample 1/],
  ['number of weights', (m) => m.fit(rows(2, 3), labels(0, 1), { ...quiet, sampleWeight: [1] }), /'sampleWeight': expected 2 weights as in 'x', got 1/],
  ['empty data', (m) => m.fit(tensor(new Float32Array(0), [0, 3]), labels(), quiet), /fit: the data set is empty/],
  ['empty list', (m) => m.fit([], [], quiet), /fit: the data set is empty/],
  ['empty prediction', (m) => m.predict(tensor(new Float32Array(0), [0, 3])), /predict: the data set is empty/],
  ['no data', (m) => m.fit(null as never, labels(0), quiet), /fit: 'x' is required/],
  ['no target', (m) => m.fit(rows(2, 3), null, quiet), /fit: 'y' is required: the output 'head' has a loss/],
  ['option', (m) => m.fit(rows(2, 3), labels(0, 1), { epoch: 3 } as never), /fit: unknown option 'epoch'\. Did you mean 'epochs'\?/],
  ['batch size', (m) => m.fit(rows(2, 3), labels(0, 1), { ...quiet, batchSize: 0 }), /fit: 'batchSize' must be a positive integer, got 0/],
  ['epochs', (m) => m.fit(rows(2, 3), labels(0, 1), { ...quiet, epochs: -1 }), /fit: 'epochs' must be a positive integer, got -1/],
  ['split', (m) => m.fit(rows(2, 3), labels(0, 1), { ...quiet, validationSplit: 1.5 }), /'validationSplit' must be at least 0 and below 1, got 1\.5/],
  ['split of one', (m) => m.fit(rows(1, 3), labels(0), { ...quiet, validationSplit: 0.5 }), /'validationSplit' of 0\.5 leaves no samples for training/],
  [
    'validation labels',
    (m) => m.fit(rows(2, 3), labels(0, 1), { ...quiet, validationData: [rows(1, 3), labels(9)] }),
    /fit: validationData: 'y': sample 0 has the class 9/,
  ],
  ['callback', (m) => m.fit(rows(2, 3), labels(0, 1), { ...quiet, callbacks: [7 as never] }), /callbacks\[0\] must be a Callback, got 7/],
  ['failing callback', (m) => m.fit(rows(2, 3), labels(0, 1), { ...quiet, callbacks: [{ onEpochEnd: () => fail('mine') }] }), /mine/],
  ['verbose', (m) => m.fit(rows(2, 3), labels(0, 1), { ...quiet, verbose: 7 as never }), /fit: 'verbose' must be/],
  ['number of set weights', (m) => m.setWeights([rows(3, 4)]), /setWeights: model 'net' has 2 weights, got 1/],
  ['shape of set weights', (m) => m.setWeights([rows(4, 3), tensor(new Float32Array(5), [5])]), /head\/(kernel|bias): expected shape \[/],
  ['layer', (m) => m.getLayer('heat'), /model 'net' has no layer "heat"\. Layers: .*head/],
];
const quiet0 = { verbose: 0 } as const;
function fail(text: string): never {
  throw new Error(text);
}

for (const [name, run, pattern] of cases) {
  test(`data and arguments: ${name}`, async () => {
    const model = classifier();
    await refused(
      model,
      () => run(model),
      pattern,
      () => model.fit(rows(4, 3), labels(0, 1, 2, 3), quiet),
    );
    model.dispose();
  });
}

test('shapes of targets: each loss says what it was given', async () => {
  const one = classifier('categorical_crossentropy');
  const good = () => one.fit(rows(2, 3), rows(2, 4, 0.25), quiet);
  await refused(
    one,
    () => one.fit(rows(2, 3), labels(0, 1), quiet),
    /target has shape \(None, 1\), the output of the model \(None, 4\).*sparse_categorical_crossentropy/,
    good,
  );
  const sparse = classifier();
  await refused(
    sparse,
    () => sparse.fit(rows(2, 3), tensor(new Int32Array(8), [2, 4]), quiet),
    /sparse_categorical_crossentropy: the target has shape \(None, 4\).*categorical_crossentropy/,
    () => sparse.fit(rows(2, 3), labels(0, 1), quiet),
  );
  for (const loss of ['mse', 'mae', 'binary_crossentropy']) {
    const model = classifier(loss);
    await refused(
      model,
      () => model.fit(rows(2, 3), rows(2, 3), quiet),
      /\(None, 3\).*\(None, 4\)/,
      () => model.fit(rows(2, 3), rows(2, 4), quiet),
    );
  }
});

test('ids outside of an embedding name the layer', async () => {
  const model = Sequential([Input({ shape: [2], dtype: 'int32' }), layers.Embedding(5, 2, { name: 'words' }), layers.Flatten(), layers.Dense(1)]);
  model.compile({ optimizer: 'sgd', loss: 'mse', device: 'reference' });
  const good = () => model.fit([[0, 4]], [[1]], quiet);
  await refused(model, () => model.fit([[0, 5]], [[1]], quiet), /'words'|words/, good);
  await refused(model, () => model.predict([[0, -1]]), /words/, good);
});

test('unknown names come with a suggestion', async () => {
  const model = classifier();
  const compile = (o: object) => message(() => model.compile({ device: 'reference', optimizer: 'sgd', loss: 'mse', ...o }));
  assert.match(await compile({ optimizer: 'adan' }), /unknown optimizer 'adan'\. Did you mean 'adam/);
  assert.match(await compile({ loss: 'mean_square_error' }), /unknown loss 'mean_square_error'\. Did you mean 'mean_squared_error'/);
  assert.match(await compile({ los: 'mse' }), /compile: unknown option 'los'\. Did you mean 'loss'/);
  assert.match(await compile({ loss: { heads: 'mse' } }), /'loss' names the output 'heads'.*Did you mean 'head'/);
  assert.match(await compile({ metrics: ['acuracy'] }), /unknown metric 'acuracy'\. Did you mean 'accuracy'/);
  assert.match(await compile({ optimizer: { class_name: 'Adm', config: {} } }), /unknown optimizer 'Adm'\. Did you mean 'adam|Adam'/);
  assert.match(await message(() => layers.Dense(3, { activation: 'rleu' })), /unknown activation 'rleu'\. Did you mean 'relu'/);
  assert.match(
    await message(() => layers.Dense(3, { kernelInitializer: 'glorot_unifrom' })),
    /unknown initializer 'glorot_unifrom'\. Did you mean 'glorot_uniform'/,
  );
  assert.match(await message(() => layers.Dense(3, { kernelRegularizer: 'l3' })), /unknown regularizer 'l3'/);
  assert.match(
    await message(() => layers.Dense(3, { units: 4, activatoin: 'relu' } as never)),
    /Dense: unknown option 'activatoin'\. Did you mean 'activation'/,
  );
  assert.match(await message(() => layers.Conv2D(3, 3, { padding: 'smae' as never })), /Conv2D: 'padding' must be .*'same'/);
  await model.fit(rows(4, 3), labels(0, 1, 2, 3), quiet);
});

test('a missing device says so, and another may be chosen then', async () => {
  const model = classifier();
  model.compile({ optimizer: 'sgd', loss: 'sparse_categorical_crossentropy', device: 'cuda' as never });
  assert.match(await message(() => model.fit(rows(4, 3), labels(0, 1, 2, 3), quiet)), /device 'cuda'|'cuda'/);
  model.compile({ optimizer: 'sgd', loss: 'sparse_categorical_crossentropy', device: 'reference' });
  await model.fit(rows(4, 3), labels(0, 1, 2, 3), quiet);
});

test('a model that is not compiled, or has no input shape, says what to do', async () => {
  const model = Sequential([layers.Dense(2)], { name: 'bare' });
  assert.match(await message(() => model.inputSpecs), /model 'bare' has no input shape yet/);
  assert.match(await message(() => model.fit(rows(2, 3), rows(2, 2), quiet)), /model 'bare' is not compiled: call compile/);
  model.compile({ optimizer: 'sgd', loss: 'mse', device: 'reference' });
  await model.fit(rows(2, 3), rows(2, 2), quiet);
});

test('shapes that do not fit name the layer', async () => {
  const image = () => Input([8, 8, 3]);
  assert.match(
    await message(() => layers.Conv2D(4, 9, { name: 'wide' })(image())),
    /wide: the kernel of size \[9,9\] does not fit into an input of size \[8,8\]/,
  );
  assert.match(await message(() => layers.Conv2D(4, 3, { name: 'conv' })(Input([8]))), /conv: Conv2D expects an input of rank 4/);
  assert.match(await message(() => layers.MaxPooling2D({ poolSize: 9, name: 'pool' })(image())), /pool: the pool of size \[9,9\]/);
  assert.match(
    await message(() => layers.Reshape([5, 5], { name: 'shape' })(image())),
    /shape: cannot reshape samples of shape \(8, 8, 3\) \(192 elements\) to \[5, 5\]/,
  );
  assert.match(await message(() => layers.Add({ name: 'sum' })([Input([3]), Input([4])])), /sum: /);
  assert.match(
    await message(() => layers.Concatenate({ name: 'join', axis: 1 })([Input([3, 2]), Input([3, 4])])),
    /join: the inputs must agree on all axes but axis 1/,
  );
  assert.match(await message(() => layers.LSTM(3, { name: 'seq' })(Input([4]))), /seq: LSTM expects an input of rank 3/);
  const shared = layers.Dense(2, { name: 'twice' });
  shared(Input([3]));
  assert.match(await message(() => shared(Input([4]))), /twice: expected 3 features/);
  assert.match(await message(() => layers.Dense(2, { name: 'odd' })([Input([3]), Input([3])])), /odd: Dense takes one input, got 2/);
  const [a, b] = [Input([3], { name: 'a' }), Input([3], { name: 'b' })];
  assert.match(await message(() => Model({ inputs: a, outputs: layers.Add()([a, b]) })), /depends on the input 'b', which is not among the model's inputs/);
  assert.match(await message(() => Sequential([layers.Dense(2, { name: 'd' }), layers.Dense(2, { name: 'd' })])), /already a layer named 'd'/);
});

test('a layer too large for the memory is named, with the limit', async () => {
  const model = Sequential([Input([1]), layers.Dense(2e9, { useBias: false, name: 'huge' })]);
  model.compile({ loss: 'mse', device: 'wasm' });
  assert.match(
    await message(() => model.predict([[1]])),
    /its largest part is 'huge\/kernel' of shape \[1,2000000000\]\) needs 8000000000 bytes.*at most 4294967296/,
  );
});

test('loss that is not finite stops nothing: it is reported as it is', async () => {
  utils.setRandomSeed(1);
  const model = Sequential([Input({ shape: [1] }), layers.Dense(1)]);
  model.compile({ optimizer: 'sgd', loss: 'mse', device: 'reference' });
  const history = await model.fit([[1e30]], [[0]], { verbose: 0 });
  assert.not(Number.isFinite(history.history.loss![0]!));
});

test.run();
