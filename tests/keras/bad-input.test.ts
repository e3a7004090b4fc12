/** What callers without types (JavaScript) may pass: each is an error that names the argument, what was expected and what was found, and nothing changes. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as keras from '../../frontend/keras/index.js';

/** The public names without their types. */
interface Untyped {
  (...args: unknown[]): Untyped;
  [name: string]: Untyped;
}
const { Input, layers, losses, metrics, Model, optimizers, callbacks, initializers, Sequential, tensor, utils } = keras as unknown as Untyped;
const { schedules } = optimizers as unknown as Untyped;

const x = keras.tensor(new Float32Array(12).fill(0.5), [4, 3]);
const y = keras.tensor(Int32Array.of(0, 1, 2, 3), [4]);
const quiet = { verbose: 0 };

function classifier(options: object = {}): keras.ModelBase {
  const model = keras.Sequential([keras.Input({ shape: [3], name: 'features' }), keras.layers.Dense(4, { activation: 'softmax', name: 'head' })], {
    name: 'net',
  });
  model.compile({ optimizer: 'sgd', loss: 'sparse_categorical_crossentropy', metrics: ['accuracy'], device: 'wasm', ...options });
  return model;
}

async function message(run: () => unknown): Promise<string> {
  try {
    await run();
  } catch (e) {
    const error = e as Error;
    assert.not.ok(/^(Type|Range|Internal)Error$/.test(error.constructor.name), `${error.constructor.name}: ${error.message}`);
    return error.message;
  }
  return 'no error';
}

const model = classifier();
const loose = model as unknown as Untyped;
const fit = (options: unknown) => () => loose.fit!(x, y, options);
const compiled = (options: object) => () => classifier(options).fit(x, y, { verbose: 0 });

const calls: readonly [string, () => unknown, RegExp][] = [
  ['fit()', () => loose.fit!(), /fit: 'x' is required/],
  ['no targets', () => loose.fit!(x), /fit: 'y' is required: the output 'head' has a loss/],
  ['a word as data', () => loose.fit!('abc', y, quiet), /fit: 'x': expected a nested array, a typed array, a Tensor or \{ data, shape \}, got 'abc'/],
  ['a promise as data', () => loose.fit!(Promise.resolve([[1, 2, 3]]), y, quiet), /fit: 'x': .*got a Promise/],
  ['an ArrayBuffer as data', () => loose.fit!(new ArrayBuffer(48), y, quiet), /fit: 'x': .*got an ArrayBuffer/],
  ['null among numbers', () => loose.fit!([[1, null, 3]], [0], quiet), /fit: 'x': expected numbers, got null/],
  ['a hole among rows', () => loose.fit!([[1, 2, 3], undefined], [0, 1], quiet), /fit: 'x': .*got undefined/],
  ['rows of several depths', () => loose.fit!([[1, 2, 3], 4], [0, 1], quiet), /fit: 'x': the nested array is ragged/],
  ['a typed array without its shape', () => loose.fit!(new Float32Array(12), y, quiet), /'features' expects shape \(None, 3\), got \(12,\)/],
  ['one sample without the batch', () => loose.predict!([1, 2, 3]), /'features' expects shape \(None, 3\), got \(3,\)/],
  ['a wrong name of an input', () => loose.fit!({ feature: x }, y, quiet), /fit: 'x': unknown name 'feature'\. Did you mean 'features'\?/],
  ['labels that are words', () => loose.fit!(x, ['a', 'b', 'c', 'd'], quiet), /fit: 'y': expected numbers, got the string 'a'/],
  ['a data object with a wrong shape', () => loose.predict!({ data: new Float32Array(3), shape: [2, 3] }), /shape \[2, 3\] has 6 elements, the data has 3/],
  ['options that are a number', fit(5), /fit: the options must be an object such as \{ name: 'x' \}, got 5/],
  ['options that are null', fit(null), /fit: the options must be an object .*got null/],
  ["Python's spelling", fit({ batch_size: 2 }), /fit: unknown option 'batch_size'\. Did you mean 'batchSize'\?/],
  ['epochs', fit({ ...quiet, epochs: '3' }), /'epochs' must be a positive integer, got '3'/],
  ['endless epochs', fit({ ...quiet, epochs: Infinity }), /'epochs' must be a positive integer, got Infinity/],
  ['batchSize', fit({ ...quiet, batchSize: Number.NaN }), /'batchSize' must be a positive integer, got NaN/],
  ['validationData', fit({ ...quiet, validationData: x }), /'validationData' must be \[x, y\] or \[x, y, sampleWeight\], got a Tensor/],
  ['validationSplit', fit({ ...quiet, validationSplit: '0.5' }), /'validationSplit' must be at least 0 and below 1, got '0\.5'/],
  ['negative validationSplit', fit({ ...quiet, validationSplit: -0.5 }), /'validationSplit' must be at least 0 and below 1, got -0\.5/],
  ['validationFreq', fit({ ...quiet, validationFreq: 0, validationData: [x, y] }), /'validationFreq' must be a positive integer, got 0/],
  ['validationBatchSize', fit({ ...quiet, validationBatchSize: 0, validationData: [x, y] }), /'validationBatchSize' must be a positive integer, got 0/],
  ['initialEpoch', fit({ ...quiet, initialEpoch: -1 }), /'initialEpoch' must be a number of at least 0, got -1/],
  ['shuffle', fit({ ...quiet, shuffle: 'batch' }), /'shuffle' must be true or false, got 'batch'/],
  ['classWeight', fit({ ...quiet, classWeight: 'balanced' }), /'classWeight' must be an object .*got 'balanced'/],
  ['a class weight', fit({ ...quiet, classWeight: { 0: Number.NaN } }), /'classWeight\[0\]' must be a finite number, got NaN/],
  ['a class', fit({ ...quiet, classWeight: { cat: 1 } }), /'classWeight' names the class 'cat'/],
  ['sampleWeight', fit({ ...quiet, sampleWeight: 'auto' }), /'sampleWeight': expected a nested array.*got 'auto'/],
  ['verbose', fit({ verbose: 'silent' }), /fit: 'verbose' must be .*got 'silent'/],
  ['callbacks', fit({ ...quiet, callbacks: keras.callbacks.EarlyStopping() }), /'callbacks' must be a list of Callbacks, got an? EarlyStopping/],
  ['a callback', fit({ ...quiet, callbacks: ['early'] }), /callbacks\[0\] must be a Callback, got 'early'/],
  ['an event', fit({ ...quiet, callbacks: [{ onEpochend: () => undefined }] }), /there is no event 'onEpochend'\. Did you mean 'onEpochEnd'\?/],
  ['setWeights', () => loose.setWeights!(null), /setWeights: expected a list of arrays as getWeights gives it, got null/],
  ['save', () => loose.save!(), /save: expected a path, or a target .*got undefined/],
  ['a format', () => loose.save!('m.foo'), /save: 'm\.foo' names no format/],
  ['a missing file', () => (keras as unknown as Untyped).loadModel!('none.keras'), /none\.keras: there is no such file/],
  ['trainOnBatch', () => loose.trainOnBatch!([], []), /trainOnBatch: the data set is empty/],
  ['optimizer', compiled({ optimizer: 5 }), /an optimizer must be a name, a config or an instance, got 5/],
  ['loss', compiled({ loss: 5 }), /a loss must be a name, a function or a Loss, got 5/],
  ['a loss function without a result', compiled({ loss: () => undefined }), /the loss function 'loss' must return a tensor .*got undefined/],
  ['metrics', compiled({ metrics: 'accuracy' }), /'metrics' must be a list of metrics, .*got 'accuracy'/],
  ['a metric function that gives a number', compiled({ metrics: [() => 3] }), /the metric function '' must return a tensor .*got 3/],
  ['lossWeights', compiled({ lossWeights: ['a'] }), /'lossWeights' must be a finite number, got 'a'/],
  ['one loss weight', compiled({ lossWeights: 2 }), /'lossWeights' must be a list of numbers or an object by output names, got 2/],
  ['stepsPerExecution', compiled({ stepsPerExecution: -1 }), /'stepsPerExecution' must be a positive integer, got -1/],
  ['device object', compiled({ device: {} }), /compile: 'device' must be 'auto', 'webgpu', 'wasm', 'reference' or an open device, got an Object/],
  ['device null', compiled({ device: null }), /compile: 'device' must be .*got null/],
  ['device name', compiled({ device: 'webgl' }), /unknown device 'webgl'/],
];

for (const [name, run, pattern] of calls)
  test(`the model stays as it is: ${name}`, async () => {
    const before = (await model.getWeights()).map((w) => Array.from(w.data));
    assert.match(await message(run), pattern);
    assert.equal(
      (await model.getWeights()).map((w) => Array.from(w.data)),
      before,
    );
    await model.trainOnBatch(x, y);
  });

const makers: readonly [string, () => unknown, RegExp][] = [
  ['learning rate', () => optimizers.Adam!(Number.NaN), /Adam: 'learningRate' must be a number of at least 0 or a schedule, got NaN/],
  ['two numbers', () => optimizers.SGD!(0.1, 0.9), /second argument must be an options object such as \{ momentum: 0\.9 \}, got 0\.9/],
  ['momentum', () => optimizers.SGD!(0.1, { momentum: '0.9' }), /SGD: 'momentum' must be between 0 and 1, got '0\.9'/],
  ['beta', () => optimizers.Adam!(0.1, { beta1: '0.9' }), /Adam: 'beta1' must be at least 0 and below 1, got '0\.9'/],
  ['epsilon', () => optimizers.Adam!(0.1, { epsilon: Number.NaN }), /Adam: 'epsilon' must be a number of at least 0, got NaN/],
  ['rho', () => optimizers.RMSprop!(0.1, { rho: 2 }), /RMSprop: 'rho' must be between 0 and 1, got 2/],
  ['weight decay', () => optimizers.SGD!(0.1, { weightDecay: Number.NaN }), /SGD: 'weightDecay' must be a finite number, got NaN/],
  ['moving average', () => optimizers.SGD!(0.1, { useEma: true, emaMomentum: 7 }), /SGD: 'emaMomentum' must be between 0 and 1, got 7/],
  ['schedule', () => schedules!.ExponentialDecay!(0.1, 0, 0.9), /ExponentialDecay: 'decaySteps' must be above 0, got 0/],
  ['schedule of words', () => schedules!.ExponentialDecay!('0.1', 10, 0.9), /ExponentialDecay: 'initialLearningRate' must be a finite number, got '0\.1'/],
  ['boundaries', () => schedules!.PiecewiseConstantDecay!([5, 2], [0.1, 0.2, 0.3]), /'boundaries' must ascend, got \[5, 2\]/],
  ['smoothing', () => losses.CategoricalCrossentropy!({ labelSmoothing: 2 }), /CategoricalCrossentropy: 'labelSmoothing' must be between 0 and 1, got 2/],
  ['reduction', () => losses.MeanSquaredError!({ reduction: 'avg' }), /MeanSquaredError: 'reduction' must be .*got 'avg'/],
  ['patience', () => callbacks.EarlyStopping!({ patience: -1 }), /EarlyStopping: 'patience' must be a number of at least 0, got -1/],
  ['mode', () => callbacks.EarlyStopping!({ mode: 'maxx' }), /EarlyStopping: 'mode' must be .*got 'maxx'\. Did you mean 'max'\?/],
  ['Input of a number', () => Input!(5), /Input: expected a shape such as \[28, 28, 1\], or \{ shape \}, got 5/],
  ['Input of no size', () => Input!([0]), /Input: dimension 1 of the shape must be a positive integer or null, got 0/],
  ['units', () => layers.Dense!('10'), /Dense: 'units' must be a positive integer, got '10'/],
  ['useBias', () => layers.Dense!(3, { useBias: 'no' }), /Dense: 'useBias' must be true or false, got 'no'/],
  ['inputShape', () => layers.Dense!(3, { inputShape: 5 }), /Dense: 'inputShape' must be a list such as \[28, 28, 1\], got 5/],
  ['momentum of a norm', () => layers.BatchNormalization!({ momentum: 2 }), /BatchNormalization: 'momentum' must be between 0 and 1, got 2/],
  ['rate', () => layers.Dropout!(Number.NaN), /Dropout: 'rate' must be between 0 and 1, got NaN/],
  [
    'initial states',
    () => layers.LSTM!(3, { name: 'seq' })(keras.Input([5, 4]), { initialState: [keras.Input([2]), keras.Input([2])] }),
    /seq: the initial state 0 has shape \(None, 2\), expected \(None, 3\)/,
  ],
  ['a layer that was called', () => Sequential!([layers.Dense!(2)(keras.Input([3]))]), /expected a layer, got the output of '.*': pass the layer itself/],
  ['a class for a layer', () => Sequential!([layers.Dense]), /Sequential: expected a layer, got the class/],
  ['Model()', () => Model!(), /Model: 'inputs' must be one or more outputs of Input or of layers, got undefined/],
  ['outputs', () => Model!({ inputs: keras.Input([3]) }), /Model: 'outputs' must be .*got undefined/],
  ['dtype', () => tensor!([1], [1], 'float99'), /unknown dtype 'float99'\. Did you mean 'float32'\?/],
  ['shape', () => tensor!([1, 2], '2'), /a tensor's shape must be a list of whole numbers, got '2'/],
  ['rows', () => keras.tensor([1, 2, 3]).rows(2, 9), /rows: \[2, 9\) is not inside the 3 rows/],
  ['initializer', () => initializers.RandomNormal!({ stddev: 'a' }), /RandomNormal: 'stddev' must be a finite number, got 'a'/],
  ['classes', () => utils.toCategorical!([0, 5], 3), /toCategorical: element 1 is 5, expected a whole number from 0 to 2/],
  ['seed', () => utils.setRandomSeed!('a'), /setRandomSeed: the seed must be a whole number, got 'a'/],
];

for (const [name, run, pattern] of makers) test(`objects: ${name}`, async () => assert.match(await message(run), pattern));

test('a batch that memory cannot hold is refused before it is uploaded, and smaller ones run', async () => {
  const large = keras.Sequential([keras.Input([1]), keras.layers.Dense(65536, { activation: 'relu' }), keras.layers.Dense(1)]);
  large.compile({ optimizer: 'sgd', loss: 'mse', device: 'wasm' });
  const many = keras.tensor(new Float32Array(32768), [32768, 1]);
  assert.match(
    await message(() => large.fit(many, many, { batchSize: 32768, verbose: 0 })),
    /the arena needs \d+ bytes; .*use a smaller batch or a smaller model/,
  );
  assert.equal((await large.predict(many.rows(0, 4))).shape, [4, 1]);
  large.dispose();
});

test('classes stand for what they make without arguments; Model takes its parts one by one', async () => {
  const net = classifier({ optimizer: keras.optimizers.Adam, loss: losses.SparseCategoricalCrossentropy, metrics: [metrics.SparseCategoricalAccuracy] });
  const { history } = await net.fit(x, y, { verbose: 0 });
  assert.equal(Object.keys(history).sort(), ['loss', 'sparse_categorical_accuracy']);
  assert.is(net.optimizer!.className, 'Adam');
  net.dispose();
  const a = keras.Input([3]);
  const functional = keras.Model(a, keras.layers.Dense(2)(a), { name: 'parts' });
  assert.equal([functional.name, functional.outputShapes()], ['parts', [[2]]]);
});

test.after(() => model.dispose());
test.run();
