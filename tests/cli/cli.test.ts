import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runCli } from '../../cli/program.js';
import { version } from '../../cli/version.js';
import { parse } from '../../ir/text.js';
import { loadArtefact } from '../../runtime/load.js';
import { openDevice } from '../../runtime/open.js';
import { readSafetensors, tensorAs, writeSafetensors } from '../../runtime/safetensors.js';
import keras from '../support/keras-model.js';
import { mlp } from '../support/mlp.js';
import { openSoftwareDevice } from '../support/webgpu.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const model = path.join(root, 'tests/support/mlp.ts');
const folder = mkdtempSync(path.join(tmpdir(), 'tenon-cli-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => path.join(folder, name);

const escapes = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g');

async function tenon(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const code = await runCli(argv, { out: (t) => (out += t), err: (t) => (err += t) });
  return { code, out: out.replace(escapes, ''), err: err.replace(escapes, '') };
}

test('wrong calls exit with 2 and suggest', async () => {
  const cases: [string[], RegExp][] = [
    [['devics'], /unknown command 'devics'\s+\(Did you mean devices\?\)/],
    [['inspect', model, '--targt', 'wasm'], /unknown option '--targt'\s+\(Did you mean --target\?\)/],
    [['inspect', model, '--target', 'wasn'], /unknown target 'wasn'; expected webgpu or wasm\. Did you mean 'wasm'\?/],
    [['inspect', model, '--program', 'trainn'], /model 'mlp' has no program 'trainn'; it has predict, train\. Did you mean 'train'\?/],
    [['inspect', model, '--print-ir-after', 'simplfy'], /unknown pass 'simplfy'; expected all or one of .*Did you mean 'simplify'\?/],
    [['inspect', model, '--batch-size', '0'], /--batch-size must be a positive integer, found '0'/],
    [['compile', model], /required option '-o, --output <folder>' not specified/],
    [['compile', 'none.ts', '-o', at('x')], /none\.ts: there is no such file/],
    [['compile', model, '-o', at('x'), '--weights', at('none')], /--weights: ENOENT/],
    [
      ['compile', fileURLToPath(import.meta.resolve('../support/webgpu.ts')), '-o', at('x')],
      /expected a model as the default export.*the module exports .*openSoftwareDevice/,
    ],
    [['inspect'], /missing required argument 'model'/],
  ];
  for (const [argv, pattern] of cases) {
    const r = await tenon(...argv);
    assert.match(r.err, pattern);
    assert.is(r.code, 2, argv.join(' '));
    assert.is(r.out, '');
  }
  assert.not.ok(existsSync(at('x')));
});

test('help and version exit with 0', async () => {
  assert.equal(await tenon('--version'), { code: 0, out: `${version}\n`, err: '' });
  const help = await tenon('compile', '--help');
  assert.is(help.code, 0);
  assert.match(help.out, /--weights <file>/);
});

test('failures of the model exit with 1 and change nothing', async () => {
  const file = at('broken.mjs');
  writeFileSync(file, "export default { name: 'broken', programs() { throw new Error('dense_1: units must be positive'); } };");
  const r = await tenon('compile', file, '-o', at('broken'));
  assert.equal([r.code, r.out, r.err], [1, '', 'error: dense_1: units must be positive\n']);
  assert.not.ok(existsSync(at('broken')));
});

test('devices lists WASM, and auto takes no software adapter', async () => {
  const r = await tenon('devices', '--json');
  assert.is(r.code, 0);
  const rows = JSON.parse(r.out) as { device: string; available: boolean; auto: boolean; description: string }[];
  assert.equal(
    rows.map((d) => d.device),
    ['webgpu (GPU)', 'webgpu (software)', 'wasm'],
  );
  assert.ok(rows[2]!.available);
  assert.is(rows.filter((d) => d.auto).length, 1);
  assert.not(rows[1]!.auto);
  assert.match((await tenon('devices')).out, /wasm +yes .*WebAssembly SIMD/);
});

test('compile writes both targets with one weights file', async () => {
  const r = await tenon('compile', model, '-o', at('mlp'), '--batch-size', '8', '--json');
  assert.is(r.code, 0, r.err);
  const report = JSON.parse(r.out) as { programs: string[]; targets: string[]; files: Record<string, number> };
  assert.equal(
    [report.programs, report.targets],
    [
      ['predict', 'train'],
      ['webgpu', 'wasm'],
    ],
  );
  assert.equal(readdirSync(at('mlp')).sort(), [
    'constants.wasm.bin',
    'constants.webgpu.bin',
    'kernels.wasm',
    'kernels.webgpu',
    'model.weights.safetensors',
    'plan.wasm.json',
    'plan.webgpu.json',
  ]);
  const { tensors } = readSafetensors(readFileSync(at('mlp/model.weights.safetensors')));
  assert.equal([...tensors.keys()].sort(), ['head/bias', 'head/kernel', 'hidden/bias', 'hidden/kernel']);
  assert.ok(WebAssembly.validate(readFileSync(at('mlp/kernels.wasm'))));
  for (const f of readdirSync(at('mlp/kernels.webgpu'))) assert.match(readFileSync(at(`mlp/kernels.webgpu/${f}`), 'utf8'), /@compute/);
  const text = await tenon('compile', model, '-o', at('mlp'), '--target', 'wasm', '--programs', 'predict');
  assert.match(text.out, /^mlp: predict for wasm in \d+ ms\n {2}wasm: \d+ kernels, peak of intermediates/);
  assert.equal(readdirSync(at('mlp')).sort(), ['constants.wasm.bin', 'kernels.wasm', 'model.weights.safetensors', 'plan.wasm.json']);
});

test('compile takes weights from a file, by name', async () => {
  const tensor = (name: string, shape: number[], value: number) => ({
    name,
    dtype: 'float32' as const,
    shape,
    data: new Float32Array(shape.reduce((a, d) => a * d, 1)).fill(value),
  });
  const all = [tensor('hidden/kernel', [3, 8], 1), tensor('hidden/bias', [8], 2), tensor('head/kernel', [8, 2], 3), tensor('head/bias', [2], 4)];
  const compileWith = (tensors: typeof all) => {
    writeFileSync(at('w.safetensors'), writeSafetensors(tensors));
    return tenon('compile', model, '-o', at('given'), '--target', 'wasm', '--weights', at('w.safetensors'));
  };
  assert.is((await compileWith(all)).code, 0);
  const { tensors } = readSafetensors(readFileSync(at('given/model.weights.safetensors')));
  assert.equal([...tensorAs(tensors.get('head/bias')!, 'float32', '')], [4, 4]);
  for (const [bad, pattern] of [
    [all.slice(1), /weights are missing: hidden\/kernel/],
    [[...all, tensor('extra', [1], 0)], /tensor 'extra' is no weight of the model; it has hidden\/kernel/],
    [[tensor('hidden/kernel', [8, 3], 1), ...all.slice(1)], /'hidden\/kernel': expected shape \[3,8\], the file holds \[8,3\]/],
  ] as const) {
    const r = await compileWith([...bad]);
    assert.match(r.err, pattern);
    assert.is(r.code, 2);
  }
});

test('a Keras model compiles with its weights, predicts as Keras does, and trains in the folder', async () => {
  const r = await tenon('compile', path.join(root, 'tests/support/keras-model.ts'), '-o', at('keras'), '--batch-size', '4');
  assert.is(r.code, 0, r.err);
  const { tensors } = readSafetensors(readFileSync(at('keras/model.weights.safetensors')));
  for (const name of ['conv2d/kernel', 'conv2d/bias', 'batch_normalization/moving_variance', 'logits/kernel'])
    assert.ok(tensors.has(name), `${name} is among ${[...tensors.keys()].join(', ')}`);
  const x = Float32Array.from({ length: 4 * 64 }, (_, i) => Math.sin(i));
  const before = await keras.predict({ data: x, shape: [4, 8, 8, 1] }, { batchSize: 4, verbose: 0 });
  const target = before.data.map((v) => v + 1) as Float32Array;
  const loss = await keras.trainOnBatch({ data: x, shape: [4, 8, 8, 1] }, { data: target, shape: [4, 3] });
  const after = await keras.predict({ data: x, shape: [4, 8, 8, 1] }, { batchSize: 4, verbose: 0 });
  for (const device of [await openDevice('wasm'), await openSoftwareDevice()]) {
    if (!device) continue;
    const model = await loadArtefact(at('keras'), device);
    const close = async (expected: ArrayLike<number>) => {
      model.plan.run('predict', { symbols: { batch: 4 }, inputs: { x } });
      const found = (await model.plan.read('predict', 'logits')).data;
      found.forEach((v, i) => assert.ok(Math.abs(Number(v) - expected[i]!) < 1e-4, `${device.info.kind}: ${v}, expected ${expected[i]}`));
    };
    await close(before.data);
    model.plan.run('train', { symbols: { batch: 4 }, inputs: { x, y: target } });
    assert.ok(Math.abs(Number((await model.plan.read('train', 'loss')).data[0]) - Number(Array.isArray(loss) ? loss[0] : loss)) < 1e-4);
    await close(after.data);
    model.dispose();
    device.dispose();
  }
});

test('inspect prints graph, regions, kernels, memory and figures', async () => {
  const r = await tenon('inspect', model, '--program', 'train', '--target', 'wasm');
  assert.is(r.code, 0, r.err);
  for (const pattern of [
    /^mlp for wasm, code .*figures at batch=16/,
    /weights +float32\[50\] +200 B +trainable +hidden\/kernel \[3,8\]/,
    /program train\n {2}in {3}x float32\[batch,3\]/,
    /graph "train"/,
    /region +layers +ops/,
    /contraction +.*dot/,
    / {2}# +kernel +groups +flops/,
    /a run: \d+ dispatches of \d+ pipelines/,
    /intermediates: arena .* lower bound/,
  ])
    assert.match(r.out, pattern);
  assert.not.match(r.out, /program predict/);
  const json = JSON.parse((await tenon('inspect', model, '--target', 'wasm', '--json')).out) as {
    programs: { name: string; dispatches: number; flops: number; arena: number; lowerBound: number }[];
    regions: Record<string, unknown[]>;
  };
  assert.equal(
    json.programs.map((p) => p.name),
    ['predict', 'train'],
  );
  for (const p of json.programs) {
    assert.ok(p.dispatches > 0 && p.flops > 0 && p.arena >= p.lowerBound);
    assert.ok(json.regions[p.name]!.length > 0);
  }
});

test('--print-ir-after prints graphs that parse', async () => {
  const r = await tenon('inspect', model, '--program', 'predict', '--target', 'wasm', '--print-ir-after', 'simplify');
  assert.is(r.code, 0, r.err);
  const [, graph] = /^\/\/ predict after simplify\n([\s\S]*?)\n\n/.exec(r.out)!;
  assert.is(parse(`${graph!}\n`).outputs[0]!.name, 'y');
  const all = await tenon('inspect', model, '--target', 'wasm', '--print-ir-after', 'all');
  assert.match(all.out, /predict after decompose[\s\S]*predict after simplify[\s\S]*train after decompose/);
});

test('the program itself runs in a process, prints to pipes and ends', async () => {
  const run = (...argv: string[]) =>
    new Promise<{ code: number; out: string }>((resolve) => {
      execFile(process.execPath, ['--import', 'tsx', path.join(root, 'cli/main.ts'), ...argv], { cwd: root }, (e, out) =>
        resolve({ code: e ? Number(e.code) : 0, out }),
      );
    });
  assert.equal(await run('--version'), { code: 0, out: `${version}\n` });
  assert.is((await run('inspect', model, '--target', 'metal')).code, 2);
  const r = await run('inspect', model, '--target', 'wasm', '--json');
  assert.is(r.code, 0);
  assert.is((JSON.parse(r.out) as { name: string }).name, mlp.name);
});

test.run();
