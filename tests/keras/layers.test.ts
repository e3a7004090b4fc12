/** Layers: shapes, configurations and their way back, weights in Keras' order, masks. Values are compared with real Keras by the golden cases. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Input, type Layer, layers, Model } from '../../frontend/keras/index.js';
import { deserialize, serialize } from '../../frontend/keras/layers/serialization.js';

interface Sample {
  readonly make: () => Layer;
  readonly input: readonly (number | null)[];
  readonly output: readonly (number | null)[];
  readonly weights?: Readonly<Record<string, readonly number[]>>;
}

const samples: readonly Sample[] = [
  { make: () => layers.Dense(4, { activation: 'relu', kernelRegularizer: 'l2' }), input: [3], output: [4], weights: { kernel: [3, 4], bias: [4] } },
  { make: () => layers.Dense({ units: 4, useBias: false, kernelInitializer: 'orthogonal' }), input: [5, 3], output: [5, 4], weights: { kernel: [3, 4] } },
  { make: () => layers.Activation('softmax'), input: [3], output: [3] },
  { make: () => layers.ReLU({ maxValue: 6 }), input: [3], output: [3] },
  { make: () => layers.Flatten(), input: [4, 3, 2], output: [24] },
  { make: () => layers.Reshape([6, -1]), input: [4, 3, 2], output: [6, 4] },
  { make: () => layers.Dropout(0.5, { seed: 3 }), input: [3], output: [3] },
  { make: () => layers.Conv2D(8, 3, { padding: 'same', strides: 2 }), input: [7, 8, 3], output: [4, 4, 8], weights: { kernel: [3, 3, 3, 8], bias: [8] } },
  {
    make: () => layers.Conv2D(8, [3, 1], { groups: 2, dataFormat: 'channels_first' }),
    input: [4, 7, 8],
    output: [8, 5, 8],
    weights: { kernel: [3, 1, 2, 8], bias: [8] },
  },
  { make: () => layers.DepthwiseConv2D(3, { depthMultiplier: 2 }), input: [7, 8, 3], output: [5, 6, 6], weights: { kernel: [3, 3, 3, 2], bias: [6] } },
  { make: () => layers.MaxPool2D(), input: [7, 8, 3], output: [3, 4, 3] },
  { make: () => layers.MaxPooling2D({ poolSize: 3, strides: 2, padding: 'same' }), input: [7, 8, 3], output: [4, 4, 3] },
  { make: () => layers.AveragePooling2D(2, { padding: 'same' }), input: [7, 8, 3], output: [4, 4, 3] },
  { make: () => layers.GlobalAveragePooling2D({ keepdims: true }), input: [7, 8, 3], output: [1, 1, 3] },
  {
    make: () => layers.BatchNormalization({ momentum: 0.9 }),
    input: [7, 8, 3],
    output: [7, 8, 3],
    weights: { gamma: [3], beta: [3], moving_mean: [3], moving_variance: [3] },
  },
  { make: () => layers.LayerNormalization({ axis: [1, 2] }), input: [4, 3], output: [4, 3], weights: { gamma: [4, 3], beta: [4, 3] } },
  { make: () => layers.Embedding(10, 4, { maskZero: true }), input: [5], output: [5, 4], weights: { embeddings: [10, 4] } },
  { make: () => layers.LSTM(4), input: [5, 3], output: [4], weights: { kernel: [3, 16], recurrent_kernel: [4, 16], bias: [16] } },
  {
    make: () => layers.LSTM(4, { returnSequences: true, goBackwards: true, dropout: 0.1 }),
    input: [null, 3],
    output: [null, 4],
    weights: { kernel: [3, 16], recurrent_kernel: [4, 16], bias: [16] },
  },
];

for (const [i, s] of samples.entries()) {
  test(`${s.make().className} (sample ${i}): shapes, weights and configuration`, () => {
    const layer = s.make();
    const y = layer(Input(s.input));
    assert.equal(y.shape, [null, ...s.output]);
    assert.equal(Object.fromEntries(layer.weights.map((w) => [w.name, w.shape])), s.weights ?? {});
    const again = deserialize(JSON.parse(JSON.stringify(serialize(layer))));
    assert.equal(again.getConfig(), layer.getConfig());
    assert.equal(again(Input(s.input)).shape, y.shape);
    assert.ok(!Object.keys(layer.getConfig()).some((k) => /[A-Z]/.test(k)), 'configurations are snake_case');
  });
}

test('classes work with and without new, instances are functions', () => {
  const a = new layers.Dense(3);
  const b = layers.Dense(3);
  assert.ok(a instanceof layers.Dense && b instanceof layers.Dense && b instanceof layers.Layer);
  assert.equal(b(Input([2])).shape, [null, 3]);
});

test('names are counted as Keras counts them', () => {
  const [a, b] = [layers.Conv2D(1, 1), layers.Conv2D(1, 1)];
  assert.match(a.name, /^conv2d(_\d+)?$/);
  assert.not.equal(a.name, b.name);
  assert.is(layers.LSTM(1, { name: 'memory' }).name, 'memory');
});

test('a layer that is called twice shares its weights', () => {
  const dense = layers.Dense(3);
  const [a, b] = [Input([2]), Input([2])];
  const model = Model({ inputs: [a, b], outputs: layers.Add()([dense(a), dense(b)]) });
  assert.is(model.weights.length, 2);
  assert.is(dense.inboundNodes.length, 2);
});

test('mistakes are errors that name layer or argument', () => {
  assert.throws(() => layers.Dense(3, { activaton: 'relu' } as object), /Dense: unknown option 'activaton'. Did you mean 'activation'\?/);
  assert.throws(() => layers.Dense(0), /Dense: 'units' must be a positive integer, got 0/);
  assert.throws(() => layers.Dense(3, { activation: 'rellu' }), /unknown activation 'rellu'. Did you mean 'relu'\?/);
  assert.throws(() => layers.Dense(3, { kernelInitializer: 'glorot_unifrom' }), /unknown initializer 'glorot_unifrom'. Did you mean 'glorot_uniform'\?/);
  assert.throws(() => layers.Conv2D(4, 3, { padding: 'sane' as 'same' }), /Conv2D: 'padding' must be 'valid' or 'same', got 'sane'/);
  assert.throws(() => layers.Conv2D(4, 3, { name: 'first' })(Input([28, 28])), /first: Conv2D expects an input of rank 4/);
  assert.throws(() => layers.Conv2D(4, 9, { name: 'big' })(Input([5, 5, 1])), /big: the kernel of size \[9,9\] does not fit/);
  assert.throws(() => layers.Reshape([5], { name: 'five' })(Input([4])), /five: cannot reshape samples of shape \(4,\)/);
  assert.throws(() => layers.Concatenate({ name: 'both' })([Input([2, 3]), Input([4, 5])]), /both: the inputs must agree on all axes but axis -1/);
  assert.throws(() => layers.LSTM(4, { stateful: true, name: 'memory' })(Input([5, 3])), /memory: a stateful layer needs a fixed batch size/);
  assert.throws(() => layers.Dropout(1.5), /Dropout: 'rate' must be between 0 and 1/);
  assert.throws(() => deserialize({ class_name: 'Dens', config: {} }), /unknown layer class 'Dens'. Did you mean 'Dense'\?/);
});

test.run();
