/** Layers and models written as classes, in files: paths come from the fields, as the real Keras names them (recorded from tf_keras 2.21 and keras 3.15). */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openH5 } from '../../frontend/formats/h5-reader.js';
import { openSource } from '../../frontend/formats/source.js';
import { openZip } from '../../frontend/formats/zip.js';
import {
  Input,
  inMemory,
  type KerasShape,
  Layer,
  layers,
  loadModel,
  Model,
  type ModelBase,
  ops,
  Sequential,
  type SymbolicTensor,
  utils,
  type Variable,
} from '../../frontend/keras/index.js';

class Inner extends Layer {
  static override readonly className = 'Inner';
  proj = layers.Dense(2);
  blocks = [layers.Dense(3), layers.Dense(2)];
  table = { b: layers.Dense(2), a: layers.LayerNormalization() };
  private w!: Variable;
  override build(_: KerasShape): void {
    this.w = this.addWeight('w', [2]);
  }
  override call(x: SymbolicTensor): SymbolicTensor {
    let h = this.proj(x) as SymbolicTensor;
    for (const b of this.blocks) h = b(h) as SymbolicTensor;
    return ops.multiply(this.table.a(this.table.b(h) as SymbolicTensor) as SymbolicTensor, this.w);
  }
}

class Net extends Model {
  zebra = layers.Dense(4);
  dense1 = layers.Dense(4);
  inner = new Inner();
  bn = layers.BatchNormalization();
  stack = Sequential([layers.Dense(2)]);
  override call(x: SymbolicTensor): SymbolicTensor {
    return this.bn(this.stack(this.inner(this.dense1(this.zebra(x))) as SymbolicTensor) as SymbolicTensor) as SymbolicTensor;
  }
}

/** A model with a weight of its own. */
class Shifted extends Model {
  d = layers.Dense(2);
  private shift!: Variable;
  override build(): void {
    this.shift = this.addWeight('shift', [2], { initializer: 'random_normal' });
  }
  override call(x: SymbolicTensor): SymbolicTensor {
    return ops.add(this.d(x) as SymbolicTensor, this.shift);
  }
}

const inner = ['proj 2', 'blocks/dense 2', 'blocks/dense_1 2', 'table/dense 2', 'table/layer_normalization 2'];
const expected = {
  2: ['zebra 2', 'stack/layers/dense 2', 'layers/dense 2', 'layers/batch_normalization 4', 'layers/inner 1', ...inner.map((p) => `layers/inner/${p}`)],
  3: ['bn 4', 'dense1 2', 'inner 1', ...inner.map((p) => `inner/${p}`), 'layers/dense 2', 'layers/sequential/layers/dense 2'],
};
const bits = async (m: ModelBase) => (await m.getWeights()).map((t) => Array.from(new Uint32Array(t.data.slice().buffer)));

/** Groups of arrays and how many they have. */
async function paths(bytes: Uint8Array): Promise<string[]> {
  const h5 = await openH5(await openSource(bytes));
  const counts = new Map<string, number>();
  for (const { path } of h5.allDatasets) {
    const m = /^\/(.*)\/vars\/\d+$/.exec(path);
    if (m) counts.set(m[1]!, (counts.get(m[1]!) ?? 0) + 1);
  }
  await h5.close();
  return [...counts].map(([p, n]) => `${p} ${n}`).sort();
}

const made = (seed: number): ModelBase => {
  utils.clearSession();
  utils.setRandomSeed(seed);
  const m = new Net({ name: 'm' });
  m.buildFor([null, 3]);
  return m;
};

test('weights of a model that is a class, in every layout, under the paths of Keras', async () => {
  for (const [name, keras] of [
    ['w.weights.h5', 2],
    ['w.weights.h5', 3],
    ['w.h5', 2],
    ['w.h5', 3],
  ] as const) {
    const [from, to] = [made(1), made(2)];
    assert.not.equal(await bits(from), await bits(to));
    const target = inMemory(name);
    await from.saveWeights(target, { keras });
    if (name === 'w.weights.h5') assert.equal(await paths(target.bytes()), [...expected[keras]].sort());
    await to.loadWeights(target.bytes(), { name });
    assert.equal(await bits(to), await bits(from), `${name} for Keras ${keras}`);
  }
});

test("a model's own weights are in the file, too", async () => {
  for (const name of ['w.weights.h5', 'w.h5']) {
    const [from, to] = [new Shifted({ name: 's' }), new Shifted({ name: 's' })];
    for (const m of [from, to]) m.buildFor([null, 3]);
    const target = inMemory(name);
    await from.saveWeights(target);
    await to.loadWeights(target.bytes(), { name });
    assert.is(from.weights.length, 3);
    assert.equal(await bits(to), await bits(from), name);
  }
});

test('save says what to do with a model that is a class', async () => {
  for (const name of ['m.keras', 'm.h5', 'm.json'])
    await made(1)
      .save(inMemory(name))
      .then(
        () => assert.unreachable(),
        (e: Error) => assert.match(e.message, /model 'm' is of the class Net, whose call a file cannot hold: save its weights with saveWeights/),
      );
});

test('layers in fields of a custom layer, in a .keras archive', async () => {
  const model = Sequential([Input([3]), new Inner({ name: 'i' })]);
  for (const keras of [2, 3] as const) {
    const target = inMemory('m.keras');
    await model.save(target, { keras });
    const zip = await openZip(await openSource(target.bytes()));
    assert.equal(await paths(await zip.read('model.weights.h5')), ['layers/inner 1', ...inner.map((p) => `layers/inner/${p}`)].sort());
    const again = await loadModel(target.bytes(), { name: 'm.keras', device: 'reference', customObjects: { Inner } });
    assert.equal(await bits(again), await bits(model));
  }
});

test.run();
