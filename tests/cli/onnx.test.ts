/** The command line on ONNX files: convert writes them, inspect reads them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runCli } from '../../cli/program.js';
import { Input, layers as L, loadModel, Model, Sequential, tensor } from '../../frontend/keras/index.js';
import { load } from '../../frontend/onnx/index.js';
import { encodeModel } from '../../frontend/onnx/schema/codec.js';
import { floats, info, model, node } from '../onnx/build.js';

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
  const made21 = await load(at('m.onnx'), { device: 'reference' });
  assert.is(made21.info.opsets[''], 21);
  made21.dispose();
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

test('inspect finds sizes for open axes, takes them from the command line, and says why a model is not compiled', async () => {
  // a valid convolution from size 5 on
  const conv = model({
    inputs: [info('x', 'float32', ['n', 2, 'h', 'w'])],
    initializers: [floats('k', [1, 2, 5, 5], new Array(50).fill(0.1))],
    nodes: [node('Conv', ['x', 'k'], ['y'])],
    outputs: ['y'],
  });
  writeFileSync(at('open.onnx'), encodeModel(conv));
  const figures = async (...argv: string[]) => {
    const { code, out, err } = await tenon('inspect', ...argv, '--target', 'wasm', '--json');
    assert.is(code, 0, err);
    return JSON.parse(out) as { sizes: object | null; kernels: number | null; notCompiled: string | null };
  };
  assert.equal((await figures(at('open.onnx'))).sizes, { x: [1, 2, 8, 8] });
  assert.equal((await figures(at('open.onnx'), '--batch-size', '3', '--shape', 'x=2,2,6,9')).sizes, { x: [2, 2, 6, 9] });
  const small = await figures(at('open.onnx'), '--shape', 'x=1,2,3,3');
  assert.equal([small.sizes, small.kernels], [null, null]);
  assert.match(small.notCompiled!, /Conv/);
  assert.match((await tenon('inspect', at('open.onnx'), '--shape', 'x=1,2,3,3')).out, /not compiled; give the sizes of the inputs with --shape/);
  for (const [argv, pattern] of [
    [['--shape', 'z=1'], /no input 'z'; it has 'x'/],
    [['--shape', 'x=1,3,8,8'], /input 'x' is float32\[n, 2, h, w\], got \[1, 3, 8, 8\]/],
    [['--shape', 'x'], /expected NAME=1,2,3, got 'x'/],
  ] as const) {
    const r = await tenon('inspect', at('open.onnx'), ...argv);
    assert.is(r.code, 2);
    assert.match(r.err, pattern);
  }
  // the target of a Reshape is an input: its contents are ones, or as given
  const shape = model({ inputs: [info('x', 'float32', [4]), info('to', 'int64', [2])], nodes: [node('Reshape', ['x', 'to'], ['y'])], outputs: ['y'] });
  writeFileSync(at('shape.onnx'), encodeModel(shape));
  assert.match((await figures(at('shape.onnx'))).notCompiled!, /contents of the inputs 'to' decide shapes/);
  assert.is((await figures(at('shape.onnx'), '--value', 'to=2,2')).notCompiled, null);
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
