/** `tenon convert` between all pairs of formats: weights bit for bit, whatever the file is called; weights alone give no model, and the error says so. */
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runCli } from '../../cli/program.js';
import { Input, layers, loadModel, Model, type ModelBase, modelFromJson, utils } from '../../frontend/keras/index.js';

const folder = mkdtempSync(path.join(tmpdir(), 'tenon-matrix-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));
const at = (...name: string[]) => path.join(folder, ...name);
async function tenon(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const code = await runCli(argv, { out: (t) => (out += t), err: (t) => (err += t) });
  return { code, out, err };
}
const bits = async (m: ModelBase) => (await m.getWeights()).map((t) => Array.from(new Uint32Array(t.data.slice().buffer)));

utils.setRandomSeed(4);
const x = Input([6], { name: 'x' });
const shared = layers.Dense(4, { activation: 'tanh', name: 'shared' });
const h = layers.Dense(6, { name: 'first' })(x);
const model = Model({
  name: 'net',
  inputs: x,
  outputs: layers.Dense(2, { name: 'last' })(layers.BatchNormalization({ name: 'bn' })(layers.Add({ name: 'both' })([shared(x), shared(h)]))),
});
const expected = await bits(model);
await model.save(at('from.keras'));

/** Files that are models with weights, and those that are weights. */
const whole = ['m.h5', 'm.keras', 'm.tfjs.json'] as const;
const architectures = ['m.json', 'm.yaml'] as const;
const weightsAlone = ['m.weights.h5', 'm.safetensors', 'm.npz', 'ckpt'] as const;

for (const generation of ['2', '3'])
  for (const from of whole) {
    test(`${from} of Keras ${generation} to every format`, async () => {
      const first = at(`${generation}-${from}`);
      const made = await tenon('convert', at('from.keras'), first, '--keras', generation);
      assert.equal([made.code, made.err], [0, '']);
      for (const to of [...whole, ...architectures, ...weightsAlone]) {
        const target = at(`${generation}-${from.replaceAll('.', '_')}-${to}`);
        const r = await tenon('convert', first, target);
        assert.equal([r.code, r.err], [0, ''], to);
        if ((whole as readonly string[]).includes(to)) assert.equal(await bits(await loadModel(target, { device: 'reference' })), expected, to);
        else if ((architectures as readonly string[]).includes(to)) {
          const again = at(`${generation}-${from.replaceAll('.', '_')}-${to}.again.keras`);
          assert.is((await tenon('convert', target, again, '--weights', first)).code, 0, to);
          assert.equal(await bits(await loadModel(again, { device: 'reference' })), expected, to);
        } else {
          const empty = modelFromJson(model.toJson());
          await empty.loadWeights(target);
          assert.equal(await bits(empty), expected, to);
        }
      }
    });
  }

test('formats are known by their contents where a name says nothing', async () => {
  for (const name of ['2-m.h5', '3-m.h5', '2-m.keras', '3-m.keras']) {
    copyFileSync(at(name), at('nameless'));
    const r = await tenon('convert', at('nameless'), at('named.h5'));
    assert.equal([r.code, r.err], [0, ''], name);
    assert.equal(await bits(await loadModel(at('named.h5'), { device: 'reference' })), expected, name);
    assert.match((await tenon('summary', at('nameless'))).out, /shared \(Dense\)/);
  }
});

test('weights alone are no model: the error names the file and says how to go on', async () => {
  for (const name of weightsAlone) {
    const file = at(`2-m_h5-${name}`);
    for (const argv of [
      ['convert', file, at('never.keras')],
      ['summary', file],
    ]) {
      const r = await tenon(...argv);
      assert.is(r.code, 1, name);
      assert.ok(r.err.includes(path.basename(file)), r.err);
      assert.match(r.err, /weights/, `${name}: ${r.err}`);
    }
  }
});

test.run();
