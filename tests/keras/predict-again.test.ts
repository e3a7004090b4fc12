/** A prediction like the one before takes a shortcut (models/predict.ts): it sees new data and new weights, and refuses what the long way refuses. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as tf from '../../frontend/keras/index.js';
import { openWasmDevice } from '../../runtime/wasm/device.js';

const row = (...xs: number[]) => tf.tensor([xs]);

test('new data, new weights, other shapes and bad values', async () => {
  const device = await openWasmDevice({ threads: 1 });
  const model = tf.Sequential([tf.Input({ shape: [2] }), tf.layers.Dense(1, { useBias: false })]);
  model.compile({ device });
  model.setWeights([[[2], [3]]]);
  assert.equal((await model.predict(row(1, 1))).array(), [[5]]);
  const calls = device.counters.submits;
  const [first, second] = [await model.predict(row(1, 0)), await model.predict(row(0, 1))];
  assert.equal([first.array(), second.array()], [[[2]], [[3]]], 'results of their own');
  assert.is(device.counters.submits, calls + 2);
  model.setWeights([[[10], [20]]]);
  assert.equal((await model.predict(row(1, 1))).array(), [[30]]);
  assert.equal(
    (
      await model.predict(
        tf.tensor([
          [1, 1],
          [0, 1],
        ]),
      )
    ).array(),
    [[30], [20]],
  );
  assert.equal((await model.predict(row(1, 2))).array(), [[50]]);
  for (const [x, text] of [
    [row(Number.NaN, 1), /must be finite/],
    [row(1, 2, 3), /expects shape/],
  ] as const) {
    try {
      await model.predict(x);
      assert.unreachable();
    } catch (e) {
      assert.match((e as Error).message, text);
    }
  }
  assert.equal((await model.predict(row(3, 0))).array(), [[30]], 'the model stays usable');
  device.dispose();
});

test('ids outside a table are refused', async () => {
  const device = await openWasmDevice({ threads: 1 });
  const model = tf.Sequential([tf.Input({ shape: [1], dtype: 'int32' }), tf.layers.Embedding(4, 2), tf.layers.Flatten()]);
  model.compile({ device });
  const ids = (i: number) => tf.tensor(Int32Array.of(i), [1, 1]);
  await model.predict(ids(0));
  await model.predict(ids(3));
  try {
    await model.predict(ids(4));
    assert.unreachable();
  } catch (e) {
    assert.match((e as Error).message, /has the id 4/);
  }
  device.dispose();
});

test('many batches: the inputs go to the device once, or in pieces; results are those of single batches, bit for bit', async () => {
  const device = await openWasmDevice({ threads: 1 });
  const model = tf.Sequential([tf.Input({ shape: [5] }), tf.layers.Dense(7, { activation: 'tanh' }), tf.layers.Dense(3, { activation: 'softmax' })]);
  model.compile({ device });
  const x = tf.tensor(
    Float32Array.from({ length: 55 }, (_, i) => Math.sin(7 * i)),
    [11, 5],
  );
  const single: number[] = [];
  for (let at = 0; at < 11; at += 4) single.push(...(await model.predict(x.rows(at, Math.min(11, at + 4)), { batchSize: 4 })).data);
  assert.equal([...(await model.predict(x, { batchSize: 4 })).data], single, 'at once');
  // 2 batches of 4 at a time: 11 samples are two pieces
  assert.equal([...(await model.predict(x, { batchSize: 4, residentBytes: 2 * 2 * 4 * 5 * 4 })).data], single, 'in pieces');
  const { pipelinesCreated } = device.counters;
  assert.equal([...(await model.predict(x.rows(0, 9), { batchSize: 4 })).data], single.slice(0, 27), 'another size');
  assert.equal([...(await model.predict(x, { batchSize: 4 })).data], single, 'again');
  assert.is(device.counters.pipelinesCreated, pipelinesCreated, 'neither another size nor a last smaller batch makes a pipeline');
  device.dispose();
});

test.run();
