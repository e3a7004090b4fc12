/** The command line on ONNX files: convert writes them, inspect reads them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runCli } from '../../cli/program.js';
import { Input, layers as L, loadModel, Model, Sequential, tensor } from '../../frontend/keras/index.js';
import { load } from '../../frontend/onnx/index.js';

const folder = mkdtempSync(path.join(tmpdir(), 'tenon-cli-onnx-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => path.join(folder, name);
async function tenon(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const code = await runCli(argv, { out: (t) => (out += t), err: (t) => (err += t) });
  return { code, out, err };
}

test('convert writes ONNX of an opset, inspect tells what is in it', async () => {
  await Sequential([Input({ shape: [4], name: 'x' }), L.Dense(3, { activation: 'relu' }), L.Dense(2, { name: 'y' })]).save(at('m.keras'));
  const made = await tenon('convert', at('m.keras'), at('m.onnx'), '--opset', '21');
  assert.is(made.code, 0, made.err);
  const model = await load(at('m.onnx'), { device: 'reference' });
  assert.is(model.info.opsets[''], 21);
  model.dispose();
  const { code, out, err } = await tenon('inspect', at('m.onnx'), '--target', 'wasm', '--json');
  assert.is(code, 0, err);
  const report = JSON.parse(out) as Record<string, unknown>;
  assert.equal(report.ops, { Gemm: 2, Relu: 1 });
  assert.is(report.parameters, 23);
  assert.is(report.kernels, 2);
  assert.equal(report.unsupported, []);
  assert.equal(report.inputs, [{ name: 'x', dtype: 'float32', shape: ['batch', 4] }]);
  assert.match((await tenon('inspect', at('m.onnx'))).out, /ops: Gemm ×2, Relu\nIR version 10, opset 21, written by tenon/);
});

test('convert makes layers of ONNX nodes again', async () => {
  for (const name of ['n.h5', 'n.keras']) {
    const { code, out, err } = await tenon('convert', at('m.onnx'), at(name), '--json');
    assert.is(code, 0, err);
    assert.is((JSON.parse(out) as { parameters: number }).parameters, 23);
    const [a, b] = await Promise.all([loadModel(at('m.keras'), { device: 'reference' }), loadModel(at(name), { device: 'reference' })]);
    const x = tensor([1, -2, 3, 4], [1, 4]);
    assert.equal((await b.predict(x)).data, (await a.predict(x)).data);
    assert.equal(b.outputNames, ['y']);
  }
  assert.match((await tenon('summary', at('m.onnx'))).out, /\(Dense\)[\s\S]*\(Dense\)/);
});

test('what cannot be converted says so', async () => {
  const x = Input([4]);
  await Model({ inputs: x, outputs: L.Discretization({ binBoundaries: [0] })(x) }).export(at('bins.onnx'));
  const back = await tenon('convert', at('bins.onnx'), at('o.h5'));
  assert.is(back.code, 1);
  assert.match(back.err, /bins\.onnx: the graph is not made of Keras layers; 1 node:\n {2}GreaterOrEqual '.*': it is no layer\nRun it with tenon\/onnx/);
  assert.is((await tenon('convert', at('m.onnx'), at('o.h5'), '--weights', at('n.h5'))).code, 2);
  assert.is((await tenon('convert', at('m.keras'), at('n.h5'), '--opset', '13')).code, 2);
  assert.match((await tenon('convert', at('m.keras'), at('n.onnx'), '--opset', '7')).err, /opset 7 cannot be written; expected 13 to 28/);
});

test.run();
