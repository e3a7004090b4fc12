/** Models: order of layers and weights, configurations of both generations of Keras, summary, programs. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Input, layers, Model, modelFromConfig, Sequential, tensor, utils } from '../../frontend/keras/index.js';
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
  const again = modelFromConfig(JSON.parse(model.toJson({ keras: 3 })));
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
  const again = modelFromConfig(model.toJson({ keras: 3 }));
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
    /unknown classes: 'Foo' \(Foo\), 'Bar' \(Bar\)\. Give the classes: \{ customObjects/,
  );
  assert.throws(() => modelFromConfig({ class_name: '__proto__', config: {} }), /not the configuration/);
});

/** What the real Keras 3.15 prints in a terminal of 80 columns. */
const tables = {
  stack: `Model: "cnn"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓
┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩
│ batch_normalization             │ (None, 26, 26, 32)     │           128 │
│ (BatchNormalization)            │                        │               │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ flatten (Flatten)               │ (None, 21632)          │             0 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ a_rather_long_layer_name_for_t… │ (None, 2)              │        43,266 │
│ (Dense)                         │                        │               │
└─────────────────────────────────┴────────────────────────┴───────────────┘
 Total params: 43,394 (169.51 KB)
 Trainable params: 43,330 (169.26 KB)
 Non-trainable params: 64 (256.00 B)`,
  connected: `Model: "two"
┏━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━┓
┃ Layer (type)        ┃ Output Shape      ┃    Param # ┃ Connected to      ┃
┡━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━┩
│ left (InputLayer)   │ (None, 4)         │          0 │ -                 │
├─────────────────────┼───────────────────┼────────────┼───────────────────┤
│ right (InputLayer)  │ (None, 4)         │          0 │ -                 │
├─────────────────────┼───────────────────┼────────────┼───────────────────┤
│ shared (Dense)      │ (None, 5)         │         25 │ left[0][0],       │
│                     │                   │            │ right[0][0]       │
├─────────────────────┼───────────────────┼────────────┼───────────────────┤
│ joined              │ (None, 10)        │          0 │ shared[0][0],     │
│ (Concatenate)       │                   │            │ shared[1][0]      │
├─────────────────────┼───────────────────┼────────────┼───────────────────┤
│ score (Dense)       │ (None, 2)         │         22 │ joined[0][0]      │
├─────────────────────┼───────────────────┼────────────┼───────────────────┤
│ label (Dense)       │ (None, 3)         │         33 │ joined[0][0]      │
└─────────────────────┴───────────────────┴────────────┴───────────────────┘
 Total params: 242 (972.00 B)
 Trainable params: 80 (320.00 B)
 Non-trainable params: 0 (0.00 B)
 Optimizer params: 162 (652.00 B)`,
} as const;

test("summary is Keras 3's table", async () => {
  utils.clearSession();
  const print = (model: { summary(o: object): void }) => {
    const lines: string[] = [];
    model.summary({ lineLength: 76, printFn: (l: string) => lines.push(l) });
    return lines.join('\n');
  };
  const name = 'a_rather_long_layer_name_for_this';
  assert.is(
    print(Sequential([Input({ shape: [26, 26, 32] }), layers.BatchNormalization(), layers.Flatten(), layers.Dense(2, { name })], { name: 'cnn' })),
    tables.stack,
  );

  const [a, b] = [Input([4], { name: 'left' }), Input([4], { name: 'right' })];
  const shared = layers.Dense(5, { name: 'shared' });
  const joined = layers.Concatenate({ name: 'joined' })([shared(a), shared(b)]);
  const model = Model({ inputs: [a, b], outputs: [layers.Dense(2, { name: 'score' })(joined), layers.Dense(3, { name: 'label' })(joined)], name: 'two' });
  model.compile({ optimizer: 'adam', loss: ['mse', 'mse'], device: 'reference' });
  await model.trainOnBatch([[[1, 2, 3, 4]], [[1, 2, 3, 4]]], [[[1, 2]], [[1, 2, 3]]]);
  assert.is(print(model), tables.connected);
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
  assert.throws(() => m.compile({ loss: { nope: 'mse' } }), /names the output 'nope'/);
  assert.throws(() => m.getLayer('nope'), /has no layer "nope"/);
});

test('layers of nested models may have the names of outer ones: each trains for itself', async () => {
  const x = tensor(
    Float32Array.from({ length: 30 }, (_, i) => Math.sin(i)),
    [10, 3],
  );
  const y = tensor(
    Float32Array.from({ length: 10 }, (_, i) => Math.cos(i)),
    [10, 1],
  );
  const train = async (inside: string, outside: string, how: object): Promise<number[]> => {
    utils.setRandomSeed(1);
    const inner = Sequential([Input([3]), layers.Dense(4, { name: inside, activation: 'tanh' }), layers.BatchNormalization({ name: `${inside}_norm` })]);
    const input = Input([3]);
    const model = Model({ inputs: input, outputs: layers.Dense(1, { name: outside })(layers.BatchNormalization({ name: `${outside}_norm` })(inner(input))) });
    model.compile({ optimizer: 'adam', loss: 'mse', ...how });
    const { history } = await model.fit(x, y, { epochs: 2, verbose: 0, shuffle: false, batchSize: 5 });
    const weights = await model.getWeights();
    model.dispose();
    return [...history.loss!, ...weights.flatMap((t) => [...t.data])];
  };
  for (const how of [{ device: 'wasm' }, { device: 'reference' }, { runEagerly: true }]) assert.equal(await train('d', 'd', how), await train('d', 'e', how));
});

test.run();
