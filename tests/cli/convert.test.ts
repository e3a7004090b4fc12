/** `tenon convert` and `tenon summary` on files made here. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runCli } from '../../cli/program.js';
import { Input, layers, loadModel, type ModelBase, modelFromYaml, Sequential, utils } from '../../frontend/keras/index.js';
import { Scale } from '../support/custom-layer.js';

const folder = mkdtempSync(path.join(tmpdir(), 'tenon-convert-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => path.join(folder, name);
const customModule = fileURLToPath(new URL('../support/custom-layer.ts', import.meta.url));

async function tenon(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const code = await runCli(argv, { out: (t) => (out += t), err: (t) => (err += t) });
  return { code, out, err };
}
const bits = async (m: ModelBase) => (await m.getWeights()).map((t) => Array.from(new Uint32Array(t.data.slice().buffer)));

utils.setRandomSeed(1);
const model = Sequential({ name: 'net', layers: [Input([4]), layers.Dense(3, { activation: 'relu', name: 'a' }), layers.Dense(2, { name: 'b' })] });
model.compile({ optimizer: 'adam', loss: 'mse', device: 'reference' });
await model.save(at('m.h5'));

test('round trips through every format keep weights and configuration', async () => {
  let from = 'm.h5';
  for (const to of ['m.keras', 'n.h5', 'n.keras']) {
    const r = await tenon('convert', at(from), at(to), ...(to === 'n.h5' ? ['--keras', '2'] : []));
    assert.equal([r.code, r.err], [0, '']);
    assert.is(r.out, `${at(to)}: net, 2 layers, 23 parameters\n`);
    const again = await loadModel(at(to), { device: 'reference' });
    assert.equal(await bits(again), await bits(model));
    assert.equal(again.optimizer?.className, 'Adam');
    from = to;
  }
  const json = JSON.parse((await tenon('convert', at('m.h5'), at('w.weights.h5'), '--keras', '3', '--json')).out) as object;
  assert.equal(json, { from: at('m.h5'), to: at('w.weights.h5'), model: 'net', layers: 2, parameters: 23 });
  assert.is((await tenon('convert', at('m.h5'), at('m.json'))).code, 0);
  assert.is((await tenon('convert', at('m.json'), at('m.yaml'))).code, 0);
  assert.equal((await modelFromYaml(readFileSync(at('m.yaml'), 'utf8'))).layers.length, 2);
  assert.is((await tenon('convert', at('m.yaml'), at('o.h5'), '--weights', at('w.weights.h5'))).code, 0);
  assert.equal(await bits(await loadModel(at('o.h5'), { device: 'reference' })), await bits(model));
});

test('summary prints the layers, or JSON', async () => {
  const r = await tenon('summary', at('m.h5'));
  assert.is(r.code, 0, r.err);
  assert.match(r.out, /a \(Dense\)[\s\S]*b \(Dense\)[\s\S]*23/);
  const json = JSON.parse((await tenon('summary', at('m.h5'), '--json')).out) as {
    name: string;
    parameters: number;
    layers: { name: string; weights: object[] }[];
  };
  assert.equal([json.name, json.parameters, json.layers.map((l) => l.name)], ['net', 23, ['a', 'b']]);
  assert.equal(json.layers[0]!.weights[0], { name: 'a/kernel', shape: [4, 3], trainable: true });
});

test('--custom gives classes of a module', async () => {
  const own = Sequential([Input([3]), new Scale({ name: 's' })]);
  await own.save(at('own.keras'));
  const without = await tenon('summary', at('own.keras'));
  assert.is(without.code, 1);
  assert.match(without.err, /unknown classes: 's' \(Scale\)/);
  const r = await tenon('convert', at('own.keras'), at('own.h5'), '--custom', customModule);
  assert.equal([r.code, r.err], [0, '']);
  assert.match((await tenon('summary', at('own.h5'), '--custom', customModule)).out, /s \(Scale\)/);
});

test('what goes wrong is said', async () => {
  writeFileSync(at('bad.h5'), 'no');
  writeFileSync(at('empty.mjs'), '');
  for (const [argv, code, pattern] of [
    [['convert', at('none.h5'), at('x.h5')], 1, /none\.h5: there is no such file/],
    [['convert', at('bad.h5'), at('x.h5')], 1, /bad\.h5: is of no format that is known here/],
    [['convert', at('m.h5'), at('x.doc')], 1, /x\.doc' names no format/],
    [['convert', at('m.h5'), at('x.h5'), '--keras', '4'], 2, /--keras: expected 2 or 3, got '4'/],
    [['summary', at('m.h5'), '--custom', at('none.ts')], 2, /--custom: .*none\.ts: there is no such file/],
    [['summary', at('m.h5'), '--custom', at('empty.mjs')], 2, /--custom: .*empty\.mjs exports nothing by a name/],
  ] as const) {
    const r = await tenon(...argv);
    assert.match(r.err, pattern);
    assert.is(r.code, code, argv.join(' '));
  }
});

test.run();
