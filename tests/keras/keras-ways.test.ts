/** Ways of Keras that are easily missed, with numbers computed by hand or by the real Keras. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  callbacks,
  Input,
  layers,
  losses,
  Model,
  type ModelBase,
  metrics,
  modelFromConfig,
  optimizers,
  Sequential,
  tensor,
} from '../../frontend/keras/index.js';
import type { ModelConfig } from '../../frontend/keras/models/functional.js';
import type { Json } from '../../frontend/keras/utils/serialization.js';

const near = (actual: number, expected: number, tolerance = 1e-5) =>
  assert.ok(Math.abs(actual - expected) <= tolerance * (1 + Math.abs(expected)), `${actual} is not ${expected}`);
const quiet = { verbose: 0, shuffle: false } as const;

/** Passes two numbers through an activation. */
function activated(activation: string): ModelBase {
  const model = Sequential([Input({ shape: [2] }), layers.Dense(2, { activation, useBias: false, kernelInitializer: 'identity' })]);
  return model;
}

test('crossentropy goes back to the logits behind sigmoid and softmax, whichever it is', async () => {
  const logits = [[1, -1]];
  const lossOf = async (activation: string, loss: string | losses.Loss, y: number[][]) => {
    const model = activated(activation);
    model.compile({ optimizer: 'sgd', loss, device: 'reference' });
    return (await model.evaluate(logits, y, { verbose: 0 })) as number;
  };
  const softmaxed = Math.log(1 + Math.exp(-2));
  const sigmoided = Math.log(1 + Math.exp(-1));
  for (const activation of ['softmax', 'sigmoid']) {
    near(await lossOf(activation, 'categorical_crossentropy', [[1, 0]]), softmaxed);
    near(await lossOf(activation, losses.CategoricalCrossentropy({ fromLogits: true }), [[1, 0]]), softmaxed);
    near(await lossOf(activation, 'sparse_categorical_crossentropy', [[0]]), softmaxed);
    near(await lossOf(activation, 'binary_crossentropy', [[1, 0]]), sigmoided);
  }
});

test('binary crossentropy takes the mean over its axis: one weight for each value that is left', async () => {
  const model = Sequential([Input({ shape: [2, 3] }), layers.Activation('linear')]);
  model.compile({ optimizer: 'sgd', loss: losses.BinaryCrossentropy({ axis: 1, fromLogits: true }), device: 'reference' });
  const sampleWeight = tensor(Float32Array.of(1, 0, 0), [1, 3]);
  const x = [
    [
      [1, 9, 9],
      [3, 9, 9],
    ],
  ];
  const loss = await model.evaluate(
    x,
    [
      [
        [1, 0, 0],
        [1, 0, 0],
      ],
    ],
    { verbose: 0, sampleWeight },
  );
  near(loss as number, (Math.log(1 + Math.exp(-1)) + Math.log(1 + Math.exp(-3))) / 2 / 3);
});

test('an optimizer with a moving average leaves the average in the weights', async () => {
  const model = Sequential([Input({ shape: [1] }), layers.Dense(1, { useBias: false, kernelInitializer: 'zeros' })]);
  model.compile({ optimizer: optimizers.SGD(0.25, { useEma: true, emaMomentum: 0.5 }), loss: 'mse', device: 'reference' });
  // w: 0, 0.5, 0.75; the average starts at the first new weight
  await model.fit([[1]], [[1]], { ...quiet, epochs: 2 });
  near((await model.getWeights())[0]!.data[0]!, 0.5 * 0.5 + 0.5 * 0.75);
});

test('classes without a weight weigh 1', async () => {
  const model = Sequential([Input({ shape: [1] }), layers.Dense(1, { useBias: false, kernelInitializer: 'zeros' })]);
  model.compile({ optimizer: optimizers.SGD(0), loss: 'mse', device: 'reference' });
  const { history } = await model.fit([[1], [1]], [[1], [2]], { ...quiet, classWeight: { 2: 10 } });
  near(history.loss![0]!, (1 * 1 + 10 * 4) / 2);
});

test('metrics: Keras 3 has one number for each sample, Keras 2 one for each value', async () => {
  const build = (semantics: 'keras2' | 'keras3') => {
    const x = Input({ shape: [2], name: 'x', semantics });
    const model = Model({ inputs: x, outputs: layers.Activation('linear', { name: 'y', semantics })(x), semantics });
    model.compile({ optimizer: 'sgd', loss: 'mse', weightedMetrics: [metrics.BinaryAccuracy({ name: 'hits', semantics })], device: 'reference' });
    return model;
  };
  // hits: 1 of 2, 2 of 2; weights 1 and 3
  for (const semantics of ['keras2', 'keras3'] as const) {
    const logs = await build(semantics).evaluate(
      [
        [1, 0],
        [1, 1],
      ],
      [
        [1, 1],
        [1, 1],
      ],
      { verbose: 0, sampleWeight: [1, 3], returnDict: true },
    );
    near(logs.hits!, (1 * 0.5 + 3 * 1) / 4);
  }
});

test('names of metrics in logs: instances take the name of the output in Keras 3', async () => {
  const x = Input({ shape: [2] });
  const model = Model({ inputs: x, outputs: [layers.Dense(1, { name: 'a' })(x), layers.Dense(2, { name: 'b' })(x)] });
  model.compile({ optimizer: 'sgd', loss: ['mse', 'mse'], metrics: { b: [metrics.MeanAbsoluteError({ name: 'mine' }), 'mae'] }, device: 'reference' });
  const logs = await model.evaluate([[1, 2]], [[[1]], [[1, 2]]], { verbose: 0, returnDict: true });
  assert.equal(Object.keys(logs).sort(), ['a_loss', 'b_loss', 'b_mae', 'b_mine', 'loss']);
});

test('lists of results have the loss first, logs are in alphabetical order', async () => {
  const model = Sequential([Input({ shape: [1] }), layers.Dense(1, { useBias: false, kernelInitializer: 'ones' })]);
  model.compile({ optimizer: 'sgd', loss: 'mse', metrics: ['mae', 'accuracy'], device: 'reference' });
  const list = (await model.evaluate([[3]], [[1]], { verbose: 0 })) as number[];
  assert.equal(list, [4, 2, 1]);
  assert.equal(model.metricsNames, ['loss', 'mae', 'accuracy']);
  const logs = await model.evaluate([[3]], [[1]], { verbose: 0, returnDict: true });
  assert.equal(Object.keys(logs), ['accuracy', 'loss', 'mae']);
  assert.equal(await model.testOnBatch([[3]], [[1]]), list);
});

test('EarlyStopping restores the best weights after the last epoch, too', async () => {
  const model = Sequential([Input({ shape: [1] }), layers.Dense(1, { useBias: false, kernelInitializer: 'ones' })]);
  // the rate is too high: every step makes the loss worse
  model.compile({ optimizer: optimizers.SGD(2), loss: 'mse', device: 'reference' });
  await model.fit([[1]], [[0]], { ...quiet, epochs: 2, callbacks: [callbacks.EarlyStopping({ monitor: 'loss', patience: 5, restoreBestWeights: true })] });
  near((await model.getWeights())[0]!.data[0]!, 1 - 2 * 2);
});

test('metrics are resolved anew after targets that did not fit', async () => {
  const model = Sequential([Input({ shape: [2] }), layers.Dense(3, { activation: 'softmax' })]);
  model.compile({ optimizer: 'sgd', loss: 'categorical_crossentropy', metrics: ['accuracy'], device: 'reference' });
  try {
    await model.fit([[1, 2]], [2], quiet);
    assert.unreachable();
  } catch (e) {
    assert.match((e as Error).message, /use sparse_categorical_crossentropy/);
  }
  const { history } = await model.fit([[1, 2]], [[0, 0, 1]], quiet);
  assert.ok(history.accuracy![0] === 0 || history.accuracy![0] === 1);
});

// A functional model has a node of its own. Keras 2 counts it everywhere (a Sequential's too), Keras 3 in output_layers alone (functional.py, serialize_node and node_reindexing_map).
test('calls of a model inside a model are counted from 1 in Keras 2; in Keras 3 from 0, but in output_layers', async () => {
  const inner = (functional: boolean): ModelBase => {
    if (!functional) return Sequential([Input({ shape: [3] }), layers.Dense(3, { name: 'inside' })], { name: 'inner' });
    const z = Input([3], { name: 'z' });
    return Model({ inputs: z, outputs: layers.Dense(3, { name: 'inside' })(z), name: 'inner' });
  };
  for (const functional of [false, true]) {
    const block = inner(functional);
    const x = Input([3], { name: 'x' });
    const second = block(layers.Dense(3, { name: 'pre' })(x));
    const model = Model({ inputs: x, outputs: [layers.Add({ name: 'sum' })([block(x), second]), second], name: 'outer' });
    const called = (keras: 2 | 3) => {
      const { config } = JSON.parse(model.toJson({ keras })) as { config: { layers: { name: string; inbound_nodes: Json }[]; output_layers: Json } };
      const numbers = (x: Json | undefined) => [...JSON.stringify(x).matchAll(/"inner",(\d)/g)].map((m) => Number(m[1]));
      return [numbers(config.layers.find((l) => l.name === 'sum')!.inbound_nodes), numbers(config.output_layers)];
    };
    // the second call was made first
    assert.equal(called(2), [[2, 1], [1]]);
    assert.equal(called(3), [[1, 0], [functional ? 1 : 0]]);
    for (const keras of [2, 3] as const) {
      const again = modelFromConfig(model.toJson({ keras }));
      again.setWeights(await model.getWeights());
      for (const m of [model, again]) m.compile({ device: 'reference' });
      const [got, wanted] = [await again.predictAll([[1, 2, 3]]), await model.predictAll([[1, 2, 3]])];
      assert.equal(
        got.map((t) => t.array()),
        wanted.map((t) => t.array()),
      );
    }
  }
});

test('initial states survive the configuration, as arguments of the call', async () => {
  const x = Input([4, 2], { name: 'x' });
  const [y, h, c] = layers.LSTM(3, { returnSequences: true, returnState: true, name: 'first' })(x) as unknown as ModelConfig['outputs'] & [never, never, never];
  const model = Model({ inputs: x, outputs: layers.LSTM(3, { name: 'second' })(y, { initialState: [h, c] }) });
  const config = JSON.stringify(model.getConfig());
  assert.match(config, /"kwargs":\{"initial_state":\[\{"class_name":"__keras_tensor__"/);
  const again = modelFromConfig(model.toJson());
  again.setWeights(await model.getWeights());
  for (const m of [model, again]) m.compile({ device: 'reference' });
  const data = [
    [
      [1, 2],
      [3, 4],
      [5, 6],
      [7, 8],
    ],
  ];
  assert.equal((await again.predict(data)).array(), (await model.predict(data)).array());
});

test('batch normalization leaves masked steps out of its moments', async () => {
  const model = Sequential([
    Input({ shape: [3], dtype: 'int32' }),
    layers.Embedding(4, 1, { maskZero: true, name: 'e' }),
    layers.BatchNormalization({ momentum: 0, name: 'n' }),
  ]);
  model.compile({ optimizer: optimizers.SGD(0), loss: 'mse', device: 'reference' });
  const [table, gamma, beta] = (await model.getWeights()).map((t) => t);
  model.setWeights([tensor(Float32Array.of(100, 1, 2, 6), table!.shape), gamma!, beta!, tensor([0]), tensor([1])]);
  await model.fit(
    [
      [1, 2, 0],
      [3, 0, 0],
    ],
    [
      [[0], [0], [0]],
      [[0], [0], [0]],
    ],
    quiet,
  );
  const moved = (await model.getWeights()).slice(3).map((t) => t.data[0]!);
  near(moved[0]!, 3);
  near(moved[1]!, (4 + 1 + 9) / 3);
});

test('recurrent layers of one unit and a fixed batch of one: WASM takes the steps of the reference', async () => {
  for (const [units, time] of [
    [1, 1],
    [1, 5],
    [2, 3],
  ] as const) {
    const make = () => Sequential([Input({ shape: [time, 1], batchSize: 1 }), layers.LSTM(units, { returnSequences: time === 5 })]);
    const [a, b] = [make(), make()];
    b.setWeights(await a.getWeights());
    const x = tensor(
      Float32Array.from({ length: time }, (_, i) => Math.sin(i)),
      [1, time, 1],
    );
    const y = tensor(new Float32Array(units * (time === 5 ? 5 : 1)).fill(9), time === 5 ? [1, 5, units] : [1, units]);
    a.compile({ optimizer: 'sgd', loss: 'mse', device: 'reference' });
    b.compile({ optimizer: 'sgd', loss: 'mse', device: 'wasm' });
    for (const m of [a, b]) for (let s = 0; s < 2; s++) await m.trainOnBatch(x, y);
    const [p, q] = [await a.getWeights(), await b.getWeights()];
    p.forEach((t, i) => {
      t.data.forEach((v, j) => {
        near(q[i]!.data[j]!, v, 1e-4);
      });
    });
    a.dispose();
    b.dispose();
  }
});

test('a layer normalization for Keras 3 says that it does not scale by the root mean square, one for Keras 2 does not know of it', () => {
  assert.is(layers.LayerNormalization({ semantics: 'keras3' }).getConfig().rms_scaling, false);
  assert.is('rms_scaling' in layers.LayerNormalization({ semantics: 'keras2' }).getConfig(), false);
});

test.run();
