/** Files: what is saved and loaded again is the same model, bit for bit, and goes on training as if nothing had happened. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  Input,
  inMemory,
  layers,
  loadModel,
  Model,
  type ModelBase,
  modelFromJson,
  modelFromYaml,
  optimizers,
  Sequential,
  tensor,
  utils,
} from '../../frontend/keras/index.js';

const dir = mkdtempSync(path.join(tmpdir(), 'tenon-saving-'));
test.after(() => rmSync(dir, { recursive: true }));

const numbers = (n: number, seed: number) => Float32Array.from({ length: n }, (_, i) => Math.sin(seed * 7.1 + i * 1.7));

/** A model with all that has to survive: shared and nested layers, batch norm, dropout, an embedding and a recurrent layer. */
function mixed(): ModelBase {
  const [a, b] = [Input([4], { name: 'left' }), Input([4], { name: 'right' })];
  const shared = layers.Dense(6, { activation: 'tanh', name: 'shared' });
  const block = Sequential({
    name: 'block',
    layers: [Input([6]), layers.Dense(5, { activation: 'relu' }), layers.BatchNormalization(), layers.Dropout(0.3)],
  });
  const h = layers.Concatenate()([block(shared(a)) as typeof a, block(shared(b)) as typeof a]);
  const r = layers.Bidirectional(layers.LSTM(3))(layers.Reshape([5, 2])(h));
  return Model({ name: 'mixed', inputs: [a, b], outputs: layers.Dense(2, { name: 'out' })(r) });
}
const data = () => ({ x: [tensor(numbers(40, 1), [10, 4]), tensor(numbers(40, 2), [10, 4])], y: tensor(numbers(20, 3), [10, 2]) });

const bits = async (m: ModelBase) => (await m.getWeights()).map((t) => Array.from(new Uint32Array(t.data.slice().buffer)));

for (const [file, keras] of [
  ['m.h5', 2],
  ['m.h5', 3],
  ['m.keras', 2],
  ['m.keras', 3],
] as const) {
  test(`training goes on to the last bit through ${file} for Keras ${keras}`, async () => {
    const make = () => {
      utils.clearSession();
      utils.setRandomSeed(11);
      const m = mixed();
      m.compile({ optimizer: optimizers.Adam(0.01, { amsgrad: true }), loss: 'mse', metrics: ['mae'], device: 'wasm' });
      return m;
    };
    const { x, y } = data();
    const fit = { batchSize: 4, verbose: 0 } as const;
    const whole = make();
    const expected = [...(await whole.fit(x, y, { ...fit, epochs: 3 })).history.loss!, ...(await whole.fit(x, y, { ...fit, epochs: 2 })).history.loss!];
    const first = make();
    const losses = [...(await first.fit(x, y, { ...fit, epochs: 3 })).history.loss!];
    const target = inMemory(file);
    await first.save(target, { keras });
    first.dispose();
    utils.setRandomSeed(99);
    const second = await loadModel(target.bytes(), { name: file, device: 'wasm' });
    assert.equal(second.getConfig(), whole.getConfig());
    losses.push(...(await second.fit(x, y, { ...fit, epochs: 2 })).history.loss!);
    assert.equal(losses, expected);
    assert.equal(await bits(second), await bits(whole));
    whole.dispose();
    second.dispose();
  });
}

test('weights alone survive bit for bit, by order and by name', async () => {
  for (const file of ['w.h5', 'w.weights.h5']) {
    const from = mixed();
    const name = path.join(dir, file);
    await from.saveWeights(name);
    utils.clearSession();
    const to = mixed();
    await to.loadWeights(name);
    assert.equal(await bits(to), await bits(from), file);
  }
  const other = Sequential([Input([4]), layers.Dense(6, { name: 'shared' }), layers.Dense(9, { name: 'out' })]);
  const before = (await other.getWeights()).map((t) => Array.from(t.data));
  let fault: Error | null = null;
  await other.loadWeights(path.join(dir, 'w.h5'), { byName: true }).catch((e: Error) => {
    fault = e;
  });
  assert.match(String(fault), /out\/kernel: expected shape \[6,9\], the file holds \[6,2\]/);
  assert.equal(
    (await other.getWeights()).map((t) => Array.from(t.data)),
    before,
    'nothing changes when something does not fit',
  );
  await other.loadWeights(path.join(dir, 'w.h5'), { byName: true, skipMismatch: true });
  assert.not.equal(Array.from((await other.getWeights())[0]!.data), before[0]);
});

test('JSON and YAML for Keras 2 and 3 give the same model back', async () => {
  const model = mixed();
  for (const keras of [2, 3] as const) {
    const again = modelFromJson(model.toJson({ keras }), { semantics: 'keras3' });
    assert.equal(again.getConfig(), model.getConfig());
    assert.equal((await modelFromYaml(await model.toYaml({ keras }), { semantics: 'keras3' })).getConfig(), model.getConfig());
  }
  assert.match(model.toJson(), /"batch_input_shape".*"keras_version":"2\.15\.0"/);
  assert.match(model.toJson({ keras: 3 }), /"module":"keras\.src\.models\.functional".*"keras_history"/);
});

test('a failed save leaves the old file and no other', async () => {
  const name = path.join(dir, 'kept.keras');
  writeFileSync(name, 'old');
  const model = mixed();
  // found out while the arrays are written
  Object.defineProperty(model.weights.at(-1)!, 'value', { value: new Float32Array(1) });
  const before = readdirSync(dir);
  let failed = false;
  await model.save(name).catch(() => {
    failed = true;
  });
  assert.ok(failed);
  assert.equal(readdirSync(dir), before);
  assert.is(readFileSync(name, 'utf8'), 'old');
});

test.run();
