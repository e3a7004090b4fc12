/** Models: order of layers and weights, configurations of both generations of Keras, summary, programs. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Input, layers, Model, modelFromConfig, Sequential, utils } from '../../frontend/keras/index.js';
import { verify } from '../../ir/verify.js';

const twoInputs = () => {
  const a = Input([4], { name: 'a' });
  const b = Input([3], { name: 'b' });
  const shared = layers.Dense(5, { name: 'shared' });
  const first = shared(layers.Dense(6, { name: 'left' })(a));
  const second = shared(layers.Dense(6, { name: 'right' })(b));
  const sum = layers.Add({ name: 'sum' })([first, second]);
  return Model({
    inputs: [a, b],
    outputs: [layers.Dense(1, { name: 'price' })(sum), layers.Dense(3, { name: 'kind', activation: 'softmax' })(sum)],
    name: 'two',
  });
};

test('layers and weights are in the order of Keras: by depth, inputs first', () => {
  const model = twoInputs();
  assert.equal(
    model.layers.map((l) => l.name),
    ['a', 'b', 'left', 'right', 'shared', 'sum', 'price', 'kind'],
  );
  assert.equal(model.weights.map((w) => w.path).slice(0, 5), ['left/kernel', 'left/bias', 'right/kernel', 'right/bias', 'shared/kernel']);
  assert.equal(model.outputNames, ['price', 'kind']);
});

test('a functional model survives its configuration, shared layers and all', async () => {
  const model = twoInputs();
  const again = modelFromConfig(JSON.parse(model.toJson()));
  assert.equal(again.getConfig(), model.getConfig());
  again.setWeights(await model.getWeights());
  const x = [[[1, 2, 3, 4]], [[1, 2, 3]]];
  for (const m of [model, again]) m.compile({ device: 'reference' });
  const [p, q] = [await model.predictAll(x), await again.predictAll(x)];
  assert.equal(
    p.map((t) => t.array()),
    q.map((t) => t.array()),
  );
});

test('a Sequential survives its configuration', () => {
  const model = Sequential([Input({ shape: [6, 6, 1] }), layers.Conv2D(2, 3), layers.BatchNormalization(), layers.Flatten(), layers.Dense(2)]);
  const again = modelFromConfig(model.toJson());
  assert.equal(again.getConfig(), model.getConfig());
  assert.equal(
    again.weights.map((w) => w.path),
    model.weights.map((w) => w.path),
  );
});

test('configurations of Keras 2 keep its semantics', () => {
  const config = {
    class_name: 'Sequential',
    keras_version: '2.15.0',
    config: {
      name: 'old',
      layers: [
        { class_name: 'InputLayer', config: { batch_input_shape: [null, 3], dtype: 'float32', sparse: false, ragged: false, name: 'in' } },
        { class_name: 'Dense', config: { name: 'd', trainable: true, dtype: 'float32', units: 2, activation: 'hard_sigmoid', use_bias: true } },
      ],
    },
  };
  const model = modelFromConfig(config);
  assert.is(model.layers[0]!.semantics, 'keras2');
  assert.ok('batch_input_shape' in (model.getConfig().layers as { config: object }[])[0]!.config);
});

test('one error lists all unknown classes of a configuration', () => {
  const layer = (class_name: string) => ({ class_name, config: { name: class_name } });
  assert.throws(
    () => modelFromConfig({ class_name: 'Sequential', config: { name: 's', layers: [layer('Foo'), layer('Dropout'), layer('Bar')] } }),
    /unknown classes: Foo, Bar/,
  );
  assert.throws(() => modelFromConfig({ class_name: '__proto__', config: {} }), /not the configuration/);
});

test("summary is Keras 3's table", () => {
  utils.clearSession();
  const lines: string[] = [];
  const model = Sequential([Input({ shape: [784] }), layers.Dense(128, { activation: 'relu' }), layers.BatchNormalization(), layers.Dense(10)], {
    name: 'digits',
  });
  model.summary({ printFn: (l) => lines.push(l) });
  assert.is(
    lines.join('\n'),
    `Model: "digits"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓
┃ Layer (type)                             ┃ Output Shape           ┃       Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩
│ dense (Dense)                            │ (None, 128)            │       100,480 │
├──────────────────────────────────────────┼────────────────────────┼───────────────┤
│ batch_normalization (BatchNormalization) │ (None, 128)            │           512 │
├──────────────────────────────────────────┼────────────────────────┼───────────────┤
│ dense_1 (Dense)                          │ (None, 10)             │         1,290 │
└──────────────────────────────────────────┴────────────────────────┴───────────────┘
 Total params: 102,282 (399.54 KB)
 Trainable params: 102,026 (398.54 KB)
 Non-trainable params: 256 (1.00 KB)`,
  );
});

test('programs are valid graphs that share state, with trainable weights in one flat slot', () => {
  const model = Sequential([
    Input({ shape: [4, 4, 1] }),
    layers.Conv2D(3, 3),
    layers.BatchNormalization(),
    layers.Flatten(),
    layers.Dropout(0.2),
    layers.Dense(5, { activation: 'softmax' }),
  ]);
  model.compile({ optimizer: 'adam', loss: 'sparse_categorical_crossentropy', metrics: ['accuracy'] });
  const graphs = model.programs({ batchSize: 8 });
  assert.equal(Object.keys(graphs), ['train', 'evaluate', 'predict']);
  for (const g of Object.values(graphs)) verify(g);
  const slot = (name: string) => graphs.train!.state.find((s) => s.name === name)!;
  const params = slot('params');
  assert.is(
    params.value.shape[0],
    model.trainableWeights.reduce((n, w) => n + w.size, 0),
  );
  // weights whose size is a multiple of 4 come first, so that each starts at a multiple of 16 bytes
  const odd = params.views.findIndex((v) => v.shape.reduce((a, d) => a * d, 1) % 4 !== 0);
  assert.ok(params.views.slice(0, odd).every((v) => v.offset % 4 === 0));
  for (const name of ['adam/m', 'adam/v']) assert.equal(slot(name).value.shape, params.value.shape);
  assert.ok(graphs.train!.updates.some((u) => u.slot === 'params') && !graphs.evaluate!.updates.some((u) => u.slot === 'params'));
  assert.ok(
    graphs.train!.nodes.some((n) => n.origin.startsWith('conv2d')),
    'nodes know their layer',
  );
  const initial = model.initialState(graphs);
  assert.equal(initial.params!.shape, params.value.shape);
  assert.ok(initial['batch_normalization/moving_variance']?.data.every((v) => v === 1) ?? Object.keys(initial).some((k) => k.endsWith('moving_variance')));
});

test('mistakes in models are errors', () => {
  const x = Input([3], { name: 'x' });
  const other = Input([3], { name: 'other' });
  const y = layers.Add()([layers.Dense(2)(x), layers.Dense(2)(other)]);
  assert.throws(() => Model({ inputs: x, outputs: y }), /depends on the input 'other', which is not among the model's inputs/);
  assert.throws(() => Sequential([layers.Dense(1, { name: 'd' }), layers.Dense(1, { name: 'd' })]), /already a layer named 'd'/);
  const m = Sequential([Input([3]), layers.Dense(1)]);
  assert.throws(() => m.compile({ optimizer: 'adamm', loss: 'mse' }), /unknown optimizer 'adamm'. Did you mean 'adam'\?/);
  assert.throws(() => m.compile({ loss: 'msee' }), /unknown loss 'msee'. Did you mean 'mse'\?/);
  assert.throws(() => m.compile({ loss: 'mse', lossWeight: 1 } as object), /unknown option 'lossWeight'. Did you mean 'lossWeights'\?/);
  assert.throws(() => m.compile({ loss: 'mse', runEagerly: true }), /runEagerly is not supported/);
  assert.throws(() => m.compile({ loss: { nope: 'mse' } }), /names the output 'nope'/);
  assert.throws(() => m.getLayer('nope'), /has no layer "nope"/);
});

test.run();
