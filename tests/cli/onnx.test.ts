/** The command line on ONNX files: convert writes them, inspect reads them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runCli } from '../../cli/program.js';
import { Input, layers as L, Sequential } from '../../frontend/keras/index.js';
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

test('what cannot be converted says so', async () => {
  const back = await tenon('convert', at('m.onnx'), at('n.h5'));
  assert.is(back.code, 1);
  assert.match(back.err, /not made back into Keras layers[\s\S]*Gemm/);
  assert.is((await tenon('convert', at('m.keras'), at('n.h5'), '--opset', '13')).code, 2);
  assert.match((await tenon('convert', at('m.keras'), at('n.onnx'), '--opset', '7')).err, /opset 7 cannot be written; expected 13 to 28/);
});

test.run();
