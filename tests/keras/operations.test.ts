/** Operations in configurations: tf_keras' TFOpLambda and SlicingOpLambda, Keras 3's keras.ops, and layers as activations. The real Keras' own models: tests/interop/odd_models.py. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { inMemory, layers, loadModel, type ModelBase, modelFromConfig, models, Sequential, tensor } from '../../frontend/keras/index.js';

const input = { class_name: 'InputLayer', name: 'x', config: { batch_input_shape: [null, 4], dtype: 'float32', name: 'x' }, inbound_nodes: [] };
const tf = (name: string, fn: string, ...nodes: unknown[]) => ({
  class_name: fn.endsWith('getitem') ? 'SlicingOpLambda' : 'TFOpLambda',
  name,
  config: { name, trainable: true, dtype: 'float32', function: fn },
  inbound_nodes: nodes,
});
const all = { start: null, stop: null, step: null };
const model = (output: string, ...entries: object[]): ModelBase =>
  modelFromConfig({
    class_name: 'Functional',
    keras_version: '2.15.0',
    config: { name: 'm', trainable: true, layers: [input, ...entries], input_layers: [['x', 0, 0]], output_layers: [[output, 0, 0]] },
  } as never);
const data = tensor([
  [1, -2, 3, -4],
  [0.5, 6, -7, 8],
]);
const values = async (m: ModelBase): Promise<number[]> => [...((await m.predict(data)) as { data: ArrayLike<number> & Iterable<number> }).data];

test('functions of TensorFlow: constants on either side, tensors among the arguments, slices', async () => {
  const plus = tf('plus', '__operators__.add', ['x', 0, 0, { y: 1, name: null }]);
  assert.equal(await values(model('plus', plus)), [2, -1, 4, -3, 1.5, 7, -6, 9]);
  const from = tf('from', 'math.subtract', ['_CONSTANT_VALUE', -1, 1, { y: ['x', 0, 0], name: null }]);
  assert.equal(await values(model('from', from)), [0, 3, -2, 5, 0.5, -5, 8, -7]);
  const at = tf('at', '__operators__.getitem', ['x', 0, 0, { slice_spec: [all, -1] }]);
  assert.equal(await values(model('at', at)), [-4, 8]);
  const back = tf('back', '__operators__.getitem', ['x', 0, 0, { slice_spec: [{ class_name: '__ellipsis__' }, { start: null, stop: null, step: -2 }] }]);
  assert.equal(await values(model('back', back)), [-4, -2, 8, 6]);
  const joined = tf('joined', 'concat', [
    ['plus', 0, 0, { axis: 1 }],
    ['x', 0, 0, { axis: 1 }],
  ]);
  assert.equal((await values(model('joined', plus, joined))).slice(0, 8), [2, -1, 4, -3, 1, -2, 3, -4]);
});

test('shapes that are made of tf.shape keep the batch size a symbol', async () => {
  const m = model(
    'again',
    tf('shape', 'compat.v1.shape', ['x', 0, 0, { out_type: 'int32' }]),
    tf('first', '__operators__.getitem', ['shape', 0, 0, { slice_spec: 0 }]),
    tf('second', '__operators__.getitem', ['shape', 0, 0, { slice_spec: 1 }]),
    tf('half', 'math.floordiv', ['second', 0, 0, { y: 2, name: null }]),
    tf('again', 'reshape', ['x', 0, 0, { shape: [['first', 0, 0], 2, ['half', 0, 0]] }]),
  );
  assert.equal(m.outputShapes(), [[2, 2]]);
  assert.equal(await values(m), [...data.data]);
  const bad = () => model('r', tf('s', 'math.reduce_sum', ['x', 0, 0, {}]), tf('r', 'reshape', ['x', 0, 0, { shape: [-1, ['s', 0, 0]] }]));
  assert.throws(bad, /layer 'r' \(tf\.reshape\).*shapes must be known when it is compiled/);
});

test('configurations are written as they were read, clones compute the same, and files keep both', async () => {
  const m = model(
    'at',
    tf('plus', '__operators__.add', ['x', 0, 0, { y: 1, name: null }]),
    tf('at', '__operators__.getitem', ['plus', 0, 0, { slice_spec: [all, 0] }]),
  );
  const entries = (x: ModelBase) =>
    (JSON.parse(x.toJson()) as { config: { layers: { class_name: string; config: object; inbound_nodes: object }[] } }).config.layers.slice(1);
  assert.equal(entries(m)[0]!.config, { name: 'plus', trainable: true, dtype: 'float32', function: '__operators__.add' });
  assert.equal(
    entries(m).map((e) => e.inbound_nodes),
    [[['x', 0, 0, { y: 1, name: null }]], [['plus', 0, 0, { slice_spec: [all, 0] }]]],
  );
  assert.throws(() => m.toJson({ keras: 3 }), /layer 'plus' is the operation tf\.__operators__\.add, which Keras 3 has no form of: save with \{ keras: 2 \}/);
  assert.equal(await values(models.cloneModel(m)), [2, 1.5]);
  for (const name of ['m.h5', 'm.keras', 'm.json', 'm.yaml']) {
    const target = inMemory(name);
    await m.save(target);
    const again = await loadModel(new Blob([...target.files.values()] as BlobPart[]), { name });
    assert.equal(entries(again), entries(m), name);
    assert.equal(await values(again), [2, 1.5], name);
  }
});

const tensorAt = (layer: string) => ({ class_name: '__keras_tensor__', config: { shape: [null, 4], dtype: 'float32', keras_history: [layer, 0, 0] } });
const keras3 = (module: string | undefined, class_name: string, config: object, ...args: unknown[]): ModelBase =>
  modelFromConfig({
    class_name: 'Functional',
    config: {
      name: 'm',
      trainable: true,
      layers: [
        {
          module: 'keras.layers',
          class_name: 'InputLayer',
          name: 'x',
          config: { batch_shape: [null, 4], dtype: 'float32', sparse: false, name: 'x' },
          inbound_nodes: [],
        },
        { ...(module ? { module } : {}), class_name, name: 'op', config: { name: 'op', ...config }, inbound_nodes: [{ args, kwargs: {} }] },
      ],
      input_layers: [['x', 0, 0]],
      output_layers: [['op', 0, 0]],
    },
  } as never);

test('operations of keras.ops, also of H5 files, which have no module', async () => {
  assert.equal(await values(keras3('keras.src.ops.numpy', 'Add', {}, tensorAt('x'), 1)), [2, -1, 4, -3, 1.5, 7, -6, 9]);
  assert.equal(await values(keras3(undefined, 'Power', {}, tensorAt('x'), 2)), [1, 4, 9, 16, 0.25, 36, 49, 64]);
  // a class of operations that has a layer's name
  const joined = keras3(undefined, 'Concatenate', { axis: 0 }, [tensorAt('x'), tensorAt('x')]);
  assert.equal((await values(joined)).length, 16);
  const sliced = keras3('keras.src.ops.numpy', 'GetItem', {}, tensorAt('x'), [
    { class_name: '__slice__', config: all },
    { class_name: '__slice__', config: { start: 1, stop: 3, step: null } },
    null,
  ]);
  assert.equal(sliced.outputShapes(), [[2, 1]]);
  assert.equal(await values(sliced), [-2, 3, 6, -7]);
  const constant = keras3('keras.src.ops.numpy', 'Multiply', {}, tensorAt('x'), { class_name: '__numpy__', config: { value: [1, 0, 2, 0], dtype: 'float64' } });
  assert.equal(await values(constant), [1, -0, 6, -0, 0.5, 0, -14, 0]);
  const again = modelFromConfig(JSON.parse(constant.toJson({ keras: 3 })) as never);
  assert.equal(await values(again), await values(constant));
});

test('operations that do not exist here: the error names the layer, the operation and what to do', () => {
  const what = /layer 'spectrum' is the operation tf\.signal\.rfft, which cannot be read\. Build the model with a layer in its place.*customObjects/;
  assert.throws(() => model('spectrum', tf('spectrum', 'signal.rfft', ['x', 0, 0, {}])), what);
  assert.throws(
    () => keras3('keras.src.ops.numpy', 'Nonzero', {}, tensorAt('x')),
    /layer 'op' is the operation Nonzero of keras\.src\.ops\.numpy, which cannot be read/,
  );
  const einsum = () => model('e', tf('e', 'einsum', ['_CONSTANT_VALUE', -1, 'bi,bj->bij', {}]));
  assert.throws(einsum, /layer 'e' \(tf\.einsum\) has no tensor among its arguments/);
  assert.throws(() => model('s', tf('s', 'where', ['x', 0, 0, {}])), /layer 's' \(tf\.where\): where with a condition alone/);
  for (const node of [null, 3, [], [[]], ['x'], ['x', 0, 0, 5], { args: 1 }])
    assert.throws(() => model('a', tf('a', 'abs', node)), /the layer 'a' of the model's config has a call that is none/, JSON.stringify(node));
});

test('two outputs of one operation beside another operation of the name that would be its second', () => {
  const split = (name: string) => tf(name, 'split', ['x', 0, 0, { num_or_size_splits: 2, axis: 1 }]);
  const m = modelFromConfig({
    class_name: 'Functional',
    keras_version: '2.15.0',
    config: {
      name: 'm',
      layers: [input, split('s'), split('s_1')],
      input_layers: [['x', 0, 0]],
      output_layers: [
        ['s', 0, 0],
        ['s', 0, 1],
        ['s_1', 0, 0],
      ],
    },
  } as never);
  assert.is(new Set((m as { outputNames: readonly string[] } & ModelBase).outputNames).size, 3);
});

test('layers as activations: read, written, given', async () => {
  const dense = (activation: unknown) => Sequential([layers.Input([4]), layers.Dense(2, { activation: activation as never, name: 'd' })]);
  const m = dense(layers.LeakyReLU({ negativeSlope: 0.25 }));
  const written = JSON.parse(m.toJson({ keras: 3 })) as {
    config: { layers: { config: { activation?: { class_name: string; config: { negative_slope: number } } } }[] };
  };
  assert.is(written.config.layers[1]!.config.activation!.class_name, 'LeakyReLU');
  const again = modelFromConfig(written as never);
  again.setWeights(await m.getWeights());
  assert.equal(await values(again), await values(m));
  const linear = dense(null);
  linear.setWeights(await m.getWeights());
  assert.equal(
    await values(m),
    (await values(linear)).map((v) => (v > 0 ? v : Math.fround(v * 0.25))),
  );
  // one with a weight, which is the layer's
  const p = dense(layers.PReLU({ alphaInitializer: 'ones' }));
  assert.equal(p.weights.length, 3);
  const kept = inMemory('p.keras');
  await p.save(kept);
  const loaded = await loadModel(new Blob([...kept.files.values()] as BlobPart[]), { name: 'p.keras' });
  assert.equal(await values(loaded), await values(p));
});

test('an activation that does not exist: the error names the layer', () => {
  const config = {
    class_name: 'Sequential',
    config: { name: 's', layers: [{ class_name: 'Dense', config: { name: 'second', units: 2, activation: 'wavy' } }] },
  };
  assert.throws(() => modelFromConfig(config as never), /layer 'second' \(Dense\): .*unknown activation 'wavy'/);
  const nested = structuredClone(config) as { config: { layers: { config: { activation: unknown } }[] } };
  nested.config.layers[0]!.config.activation = { class_name: 'Wavy', config: {} };
  assert.throws(() => modelFromConfig(nested as never), /layer 'second' \(Dense\): .*unknown activation 'Wavy'/);
});

test.run();
