/** Checkpoints, models of TensorFlow.js, safetensors and npz: weights come back bit for bit, training goes on from a checkpoint to the last bit, and saving over an old one is atomic. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  FileSet,
  Input,
  inMemory,
  latestCheckpoint,
  layers,
  loadModel,
  Model,
  type ModelBase,
  optimizers,
  Sequential,
  tensor,
  utils,
} from '../../frontend/keras/index.js';

const dir = mkdtempSync(path.join(tmpdir(), 'tenon-checkpoints-'));
test.after(() => rmSync(dir, { recursive: true }));

const numbers = (n: number, seed: number) => Float32Array.from({ length: n }, (_, i) => Math.sin(seed * 7.1 + i * 1.7));

/** Shared and nested layers whose inner names repeat outer ones, batch norm, dropout, attention and recurrent layers. */
function mixed(semantics: 'keras2' | 'keras3' = 'keras2', inner = 'inner'): ModelBase {
  const o = { semantics };
  const [a, b] = [Input([4], { ...o, name: 'left' }), Input([4], { ...o, name: 'right' })];
  const shared = layers.Dense(6, { ...o, activation: 'tanh', name: 'shared' });
  const block = Sequential({
    ...o,
    name: 'block',
    layers: [Input([6], o), layers.Dense(6, { ...o, name: inner }), layers.BatchNormalization(o), layers.Dropout(0.3, o)],
  });
  const h = layers.Concatenate(o)([block(shared(a)) as typeof a, block(shared(b)) as typeof a]);
  const steps = layers.Reshape([4, 3], o)(h);
  const attended = layers.MultiHeadAttention(2, 3, o)(steps, { value: steps }) as typeof steps;
  const r = layers.Bidirectional(layers.LSTM(3, o), o)(attended);
  return Model({ ...o, name: 'mixed', inputs: [a, b], outputs: layers.Dense(2, { ...o, name: 'out' })(r) });
}
const data = () => ({ x: [tensor(numbers(40, 1), [10, 4]), tensor(numbers(40, 2), [10, 4])], y: tensor(numbers(20, 3), [10, 2]) });
const bits = async (m: ModelBase) => (await m.getWeights()).map((t) => Array.from(new Uint32Array(t.data.slice().buffer)));
const fresh = (semantics: 'keras2' | 'keras3' = 'keras2', seed = 11, inner = 'inner'): ModelBase => {
  utils.clearSession();
  utils.setRandomSeed(seed);
  return mixed(semantics, inner);
};
const rejects = async (p: Promise<unknown>, message: RegExp): Promise<void> => {
  let fault: unknown = null;
  await p.catch((e: unknown) => {
    fault = e;
  });
  assert.match(String(fault), message);
};

for (const semantics of ['keras2', 'keras3'] as const) {
  test(`weights of a model of ${semantics} come back bit for bit from each kind of file, on a disk and in memory`, async () => {
    const from = fresh(semantics, 11, 'shared');
    for (const name of ['ckpt', 'w.safetensors', 'w.npz', 'web/model.json']) {
      const folder = path.join(dir, semantics);
      mkdirSync(path.join(folder, 'web'), { recursive: true });
      await from.saveWeights(path.join(folder, name));
      const to = fresh(semantics, 12, 'shared');
      assert.not.equal(await bits(to), await bits(from));
      await to.loadWeights(path.join(folder, name));
      assert.equal(await bits(to), await bits(from), name);
      const target = inMemory(name);
      await from.saveWeights(target);
      const again = fresh(semantics, 12, 'shared');
      const main = name === 'ckpt' ? 'ckpt.index' : name === 'web/model.json' ? name : null;
      await again.loadWeights(main ? new FileSet(main, target.files) : target.bytes());
      assert.equal(await bits(again), await bits(from), `${name} in memory`);
    }
  });
}

test('a model of TensorFlow.js comes back with its configuration, and what compile was given', async () => {
  const from = fresh();
  from.compile({ optimizer: optimizers.Adam(0.02), loss: 'mse', metrics: ['mae'], device: 'wasm' });
  const folder = path.join(dir, 'tfjs');
  mkdirSync(folder);
  const file = path.join(folder, 'model.json');
  await from.save(file);
  assert.equal(readdirSync(folder).sort(), ['group1-shard1of1.bin', 'model.json']);
  const json = JSON.parse(readFileSync(file, 'utf8')) as { format: string; modelTopology: { model_config: { class_name: string } }; weightsManifest: object[] };
  assert.is(json.format, 'layers-model');
  assert.is(json.modelTopology.model_config.class_name, 'Functional');
  const to = await loadModel(file, { device: 'wasm' });
  assert.equal(to.getConfig(), from.getConfig());
  assert.equal(await bits(to), await bits(from));
  assert.is(to.optimizer?.learningRate, 0.02);
  // saved again, the old shards go when the new model.json is there
  await to.save(file);
  assert.equal(readdirSync(folder).sort(), ['group1-shard1of1-2.bin', 'model.json']);
  assert.equal(await bits(await loadModel(file)), await bits(from));
});

test('quantized shards of TensorFlow.js are widened', async () => {
  const m = Sequential([Input([2]), layers.Dense(2, { name: 'd' })]);
  const bytes = new Uint8Array(4 + 4);
  bytes.set([0, 1, 2, 255]);
  new DataView(bytes.buffer).setUint16(4, 0x3c00, true);
  new DataView(bytes.buffer).setUint16(6, 0xc000, true);
  const weights = [
    { name: 'd/kernel', shape: [2, 2], dtype: 'float32', quantization: { dtype: 'uint8', scale: 0.5, min: -1, original_dtype: 'float32' } },
    { name: 'd/bias', shape: [2], dtype: 'float32', quantization: { dtype: 'float16', original_dtype: 'float32' } },
  ];
  const json = { format: 'layers-model', modelTopology: { class_name: 'Sequential', config: {} }, weightsManifest: [{ paths: ['a.bin', 'b.bin'], weights }] };
  const text = new TextEncoder().encode(JSON.stringify(json));
  await m.loadWeights(new FileSet('model.json', { 'model.json': text, 'a.bin': bytes.subarray(0, 3), 'b.bin': bytes.subarray(3) }));
  const values = (await m.getWeights()).map((t) => [...t.data]);
  assert.equal(values, [
    [-1, -0.5, 0, 126.5],
    [1, -2],
  ]);
});

for (const [name, optimizer] of [
  ['Adam', () => optimizers.Adam(0.01, { amsgrad: true })],
  ['RMSprop', () => optimizers.RMSprop(0.01, { momentum: 0.5, centered: true })],
  ['legacy Adam', () => optimizers.get('adam', 'legacy')],
  ['SGD', () => optimizers.SGD(0.01)],
] as const) {
  test(`training goes on to the last bit from a checkpoint: ${name}`, async () => {
    const make = (seed: number) => {
      const m = fresh('keras2', seed);
      m.compile({ optimizer: optimizer(), loss: 'mse', metrics: ['mae'], device: 'wasm' });
      return m;
    };
    const { x, y } = data();
    const fit = { batchSize: 4, verbose: 0 } as const;
    const whole = make(11);
    const expected = [...(await whole.fit(x, y, { ...fit, epochs: 3 })).history.loss!, ...(await whole.fit(x, y, { ...fit, epochs: 2 })).history.loss!];
    const first = make(11);
    const losses = [...(await first.fit(x, y, { ...fit, epochs: 3 })).history.loss!];
    const prefix = path.join(dir, `resume-${name.replace(' ', '-')}`);
    await first.saveWeights(prefix);
    const second = make(99);
    await second.loadWeights(prefix);
    losses.push(...(await second.fit(x, y, { ...fit, epochs: 2 })).history.loss!);
    assert.equal(losses, expected);
    assert.equal(await bits(second), await bits(whole));
    for (const m of [whole, first, second]) m.dispose();
  });
}

test('a learning rate that was changed comes back from a checkpoint', async () => {
  const make = () => {
    const m = fresh();
    m.compile({ optimizer: optimizers.Adam(0.01), loss: 'mse', device: 'wasm' });
    return m;
  };
  const { x, y } = data();
  const from = make();
  await from.trainOnBatch(x, y);
  from.optimizer!.learningRate = 0.5;
  const prefix = path.join(dir, 'rate');
  await from.saveWeights(prefix);
  const to = make();
  await to.loadWeights(prefix);
  assert.is(to.optimizer!.learningRate, 0.5);
});

test('a checkpoint saved over an old one takes other shards, and leaves none of the old behind', async () => {
  const folder = path.join(dir, 'over');
  mkdirSync(folder);
  const prefix = path.join(folder, 'w');
  const [a, b] = [fresh('keras2', 1), fresh('keras2', 2)];
  await a.saveWeights(prefix);
  assert.equal(readdirSync(folder).sort(), ['checkpoint', 'w.data-00000-of-00001', 'w.index']);
  // what lies there between the two renames: the old index with its own shard, and the new shard
  const [index, shard] = ['w.index', 'w.data-00000-of-00001'].map((f) => readFileSync(path.join(folder, f)));
  await b.saveWeights(prefix);
  assert.equal(readdirSync(folder).sort(), ['checkpoint', 'w.data-00000-of-00002', 'w.index']);
  const to = fresh('keras2', 3);
  await to.loadWeights(prefix);
  assert.equal(await bits(to), await bits(b));
  writeFileSync(path.join(folder, 'w.index'), index!);
  writeFileSync(path.join(folder, 'w.data-00000-of-00001'), shard!);
  await to.loadWeights(prefix);
  assert.equal(await bits(to), await bits(a));
  await rejects(to.saveWeights(prefix, { overwrite: false }), /exists already/);
});

test('latestCheckpoint follows the file of the folder, and not out of it', async () => {
  const folder = path.join(dir, 'latest');
  mkdirSync(folder);
  assert.is(await latestCheckpoint(folder), null);
  const m = fresh();
  for (const name of ['ck-1', 'ck-2']) await m.saveWeights(path.join(folder, name));
  assert.is(readFileSync(path.join(folder, 'checkpoint'), 'utf8'), 'model_checkpoint_path: "ck-2"\nall_model_checkpoint_paths: "ck-2"\n');
  assert.is(await latestCheckpoint(folder), path.join(folder, 'ck-2'));
  await m.loadWeights((await latestCheckpoint(folder))!);
  rmSync(path.join(folder, 'ck-2.index'));
  assert.is(await latestCheckpoint(folder), null);
  writeFileSync(path.join(folder, 'checkpoint'), `model_checkpoint_path: ${JSON.stringify(path.resolve(folder, 'ck-1'))}\n`);
  assert.is(await latestCheckpoint(folder), path.resolve(folder, 'ck-1'));
  for (const name of ['../other/ck', '/etc/passwd', 'a/../../b', '.']) {
    writeFileSync(path.join(folder, 'checkpoint'), `model_checkpoint_path: "${name}"\n`);
    await rejects(latestCheckpoint(folder), /not in its folder/);
  }
});

test('what does not fit is named: the weight, the shape, the place; nothing changes', async () => {
  const from = Sequential([Input([4]), layers.Dense(6, { name: 'd' }), layers.Dense(2, { name: 'e' })]);
  const other = Sequential([Input([4]), layers.Dense(5, { name: 'd' }), layers.Dense(2, { name: 'e' })]);
  const more = Sequential([Input([4]), layers.Dense(6, { name: 'd' }), layers.Dense(2, { name: 'e' }), layers.Dense(2, { name: 'f' })]);
  for (const name of ['fit', 'fit.npz', 'fit.safetensors']) {
    const file = path.join(dir, name);
    await from.saveWeights(file);
    const before = await bits(other);
    await rejects(other.loadWeights(file), /fit.*d\/kernel: expected shape \[4,5\], the file holds \[4,6\]/);
    assert.equal(await bits(other), before);
    await rejects(
      more.loadWeights(file),
      name === 'fit' ? /'layer_with_weights-2' of the model is not in the checkpoint at \(root\)/ : /has no array 'f\/kernel'/,
    );
  }
  await rejects(loadModel(path.join(dir, 'fit')), /holds weights alone \(checkpoint\), no architecture/);
  await rejects(from.save(path.join(dir, 'x.npz')), /npz files hold weights only/);
  await rejects(from.saveWeights(path.join(dir, 'nowhere', 'w')), /the folder .* does not exist/);
});

test('a link beside a checkpoint that leads out of its folder is refused', async () => {
  const folder = path.join(dir, 'links');
  mkdirSync(folder);
  const m = fresh();
  await m.saveWeights(path.join(folder, 'w'));
  const shard = path.join(folder, 'w.data-00000-of-00001');
  const outside = path.join(dir, 'outside.bin');
  writeFileSync(outside, readFileSync(shard));
  rmSync(shard);
  symlinkSync(outside, shard);
  await rejects(m.loadWeights(path.join(folder, 'w')), /is a link that leads out of its folder/);
  assert.ok(existsSync(outside));
});

test.run();
