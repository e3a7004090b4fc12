import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { artefactFiles, weightsFile, writeFolder } from '../../cli/artefact.js';
import { ArgumentError, ModelFormatError } from '../../runtime/errors.js';
import { type ArtefactFile, loadArtefact } from '../../runtime/load.js';
import { openDevice } from '../../runtime/open.js';
import { readSafetensors, writeSafetensors } from '../../runtime/safetensors.js';
import { mlpArtefact } from '../support/mlp-artefact.js';
import { x as mlpX, reference, rows, target } from '../support/mlp-reference.js';
import { moduleGraph } from '../support/module-graph.js';
import { linearPlan } from '../support/plans.js';
import { type MlpResult, useMlp } from '../support/use-artefact.js';
import { openSoftwareDevice } from '../support/webgpu.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const device = await openSoftwareDevice();
const temporary = mkdtempSync(path.join(tmpdir(), 'tenon-load-'));
const folder = path.join(temporary, 'linear');
const files = artefactFiles([linearPlan()], null);
await writeFolder(folder, files);
test.after(() => {
  device?.dispose();
  rmSync(temporary, { recursive: true, force: true });
});

const x = Float32Array.from({ length: 8 }, (_, i) => i - 3);
const dot = (w: readonly number[]) => [0, 1].map((i) => w.reduce((s, v, k) => s + 2 * v * x[i * 4 + k]!, 0));

async function rejects(promise: Promise<unknown>, type: new (message: string) => Error, pattern: RegExp): Promise<void> {
  let error: unknown = null;
  try {
    await promise;
  } catch (e) {
    error = e;
  }
  assert.instance(error, type);
  assert.match((error as Error).message, pattern);
}

test('the folder holds readable files, and the weights by name', () => {
  assert.equal([...files.keys()].sort(), [
    'constants.webgpu.bin',
    'kernels.webgpu/predict_dot.wgsl',
    'kernels.webgpu/prepare_scale.wgsl',
    'kernels.webgpu/train_count.wgsl',
    'kernels.webgpu/train_even.wgsl',
    'kernels.webgpu/train_mean.wgsl',
    'kernels.webgpu/train_update.wgsl',
    weightsFile,
    'plan.webgpu.json',
  ]);
  const { tensors } = readSafetensors(readFileSync(path.join(folder, weightsFile)));
  assert.equal(
    [...tensors].map(([n, t]) => [n, t.shape]),
    [
      ['dense/bias', [1]],
      ['dense/kernel', [3, 1]],
    ],
  );
  const { plan } = JSON.parse(readFileSync(path.join(folder, 'plan.webgpu.json'), 'utf8')) as ArtefactFile;
  assert.ok(
    plan.state.every((s) => s.initial === null),
    'weights are stored once',
  );
});

test('loads from a path, a file URL, http and a function; trains, saves and loads weights', async () => {
  if (!device) return;
  const server = createServer((request, response) => {
    const file = files.get((request.url ?? '').replace('/models/linear/', ''));
    response.writeHead(file ? 200 : 404);
    response.end(file);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const http = `http://127.0.0.1:${(server.address() as AddressInfo).port}/models/linear`;
  for (const source of [folder, pathToFileURL(folder), pathToFileURL(folder).href, http, new URL(`${http}/`), async (name: string) => files.get(name)!]) {
    const model = await loadArtefact(source, device);
    model.plan.run('predict', { symbols: { batch: 2 }, inputs: { x } });
    assert.equal([...(await model.plan.read('predict', 'y')).data], dot([1, 2, 3, 4]));
    model.dispose();
  }
  await rejects(loadArtefact(`${http}-other`, device), ArgumentError, /plan\.webgpu\.json cannot be read: http.*404/);
  await new Promise((resolve) => server.close(resolve));
  const model = await loadArtefact(folder, device);
  const data = model.session.upload('float32', [1, 4], new Float32Array([1, 1, 1, 1]));
  model.plan.run('train', { symbols: { batch: 1, rows: 1 }, inputs: { index: new Int32Array(1) }, resident: { data } });
  const saved = await model.saveWeights();
  model.dispose();
  const again = await loadArtefact(folder, device, { weights: saved });
  again.plan.run('predict', { symbols: { batch: 2 }, inputs: { x } });
  assert.equal([...(await again.plan.read('predict', 'y')).data], dot([7, 8, 9, 10]));
  assert.equal([...(await again.session.readState('steps'))], [1]);
  again.dispose();
});

test('files that do not belong together or are malformed are refused, and leave nothing behind', async () => {
  if (!device) return;
  const change = (name: string, edit: (text: string) => string) => async (file: string) =>
    file === name ? new TextEncoder().encode(edit(new TextDecoder().decode(files.get(file)))) : files.get(file)!;
  const load = (name: string, edit: (text: string) => string) => loadArtefact(change(name, edit), device);
  await rejects(
    load('plan.webgpu.json', () => '{'),
    ModelFormatError,
    /plan\.webgpu\.json is not JSON/,
  );
  await rejects(
    load('plan.webgpu.json', () => '{"format":"x"}'),
    ModelFormatError,
    /format is not 'tenon-artefact'/,
  );
  await rejects(
    load('plan.webgpu.json', (t) => t.replace('"version": 1', '"version": 7')),
    ModelFormatError,
    /version 7 is not known/,
  );
  for (const bad of ['../secret', '/etc/passwd', 'a/../../b', 'https://x/y', '.hidden', 'a\\\\b', ''])
    await rejects(
      load('plan.webgpu.json', (t) => t.replace('constants.webgpu.bin', bad)),
      ModelFormatError,
      /expected the name of a file in the artefact's folder/,
    );
  await rejects(
    load('kernels.webgpu/train_mean.wgsl', (t) => `${t}\n`),
    ModelFormatError,
    /train_mean\.wgsl does not belong to plan\.webgpu\.json/,
  );
  await rejects(
    load(weightsFile, (t) => t.replace('dense', 'dance')),
    ModelFormatError,
    /does not belong/,
  );
  const weights = (tensors: Parameters<typeof writeSafetensors>[0]) => loadArtefact(folder, device, { weights: writeSafetensors(tensors) });
  const bias = { name: 'dense/bias', dtype: 'float32' as const, shape: [1], data: new Float32Array(1) };
  const kernel = { name: 'dense/kernel', dtype: 'float32' as const, shape: [3, 1], data: new Float32Array(3) };
  await rejects(weights([bias]), ModelFormatError, /weights are missing: 'dense\/kernel'/);
  await rejects(
    weights([bias, kernel, { ...bias, name: 'x' }]),
    ModelFormatError,
    /tensor 'x' is no part of the model's state; it has 'dense\/kernel', 'dense\/bias', 'steps'/,
  );
  await rejects(weights([bias, { ...kernel, shape: [1, 3] }]), ModelFormatError, /'dense\/kernel': expected shape \[3,1\], the file holds \[1,3\]/);
  await rejects(
    weights([kernel, { ...bias, dtype: 'int32', data: new Int32Array(1) }]),
    ModelFormatError,
    /'dense\/bias': expected float32, the file holds I32/,
  );
  await rejects(loadArtefact(path.join(temporary, 'none'), device), ArgumentError, /plan\.webgpu\.json cannot be read: ENOENT/);
});

test('a folder is replaced whole, and only where it is an artefact', async () => {
  const target = path.join(temporary, 'again');
  await writeFolder(
    target,
    new Map([
      ['plan.wasm.json', new Uint8Array(3)],
      ['old.bin', new Uint8Array(1)],
    ]),
  );
  await writeFolder(target, files);
  assert.not.ok(existsSync(path.join(target, 'old.bin')));
  const foreign = path.join(temporary, 'foreign');
  mkdirSync(foreign);
  writeFileSync(path.join(foreign, 'thesis.tex'), 'x');
  await rejects(writeFolder(foreign, files), Error, /exists and holds other files/);
  assert.is(readFileSync(path.join(foreign, 'thesis.tex'), 'utf8'), 'x');
  // A file name that cannot be written: the old folder stays and no temporary one is left.
  await rejects(
    writeFolder(
      target,
      new Map([
        ['plan.webgpu.json', new Uint8Array(1)],
        ['plan.webgpu.json/x', new Uint8Array(1)],
      ]),
    ),
    Error,
    /E(EXIST|NOTDIR)/,
  );
  assert.ok(existsSync(path.join(target, 'kernels.webgpu/train_mean.wgsl')));
  assert.equal(
    readdirSync(temporary).filter((n) => /\.(new|old)-/.test(n)),
    [],
  );
});

test('the runtime imports nothing outside its folder', () => {
  const { files: found, packages } = moduleGraph(path.join(root, 'runtime/index.ts'));
  assert.ok(found.length > 8);
  for (const f of found) assert.ok(f.startsWith(path.join(root, 'runtime/')), `${f} is outside of runtime/`);
  // Packages and node: modules are reached by names that bundlers do not see.
  assert.equal(packages, []);
});

const data = { rows, x: [...mlpX], target: [...target], steps: 4 };

function agrees(result: MlpResult): void {
  const expected = reference(data.steps);
  const close = (a: readonly number[], b: readonly number[]) =>
    a.length === b.length && a.every((v, i) => Math.abs(v - b[i]!) <= 1e-5 + 1e-4 * Math.abs(b[i]!));
  assert.ok(close(result.losses, expected.losses), `losses ${result.losses}, expected ${expected.losses}`);
  assert.ok(close(result.y, expected.y), `y ${result.y}, expected ${expected.y}`);
  assert.equal(result.steps, [data.steps]);
  assert.is(result.submits, data.steps + 1);
}

for (const kind of ['webgpu', 'wasm'] as const) {
  test(`a compiled model trains and predicts on ${kind} as the reference does`, async () => {
    const own = kind === 'webgpu' ? await openSoftwareDevice() : await openDevice('wasm');
    if (!own) return;
    const compiled = mlpArtefact();
    agrees(await useMlp(async (name) => compiled.get(name)!, own, data));
    own.dispose();
  });
}

test('a copy of runtime/ and the folder alone predict and train in another process, on both targets', async () => {
  const alone = path.join(temporary, 'alone');
  cpSync(path.join(root, 'runtime'), path.join(alone, 'runtime'), { recursive: true });
  await writeFolder(path.join(alone, 'model'), mlpArtefact());
  // Outside of the folder only the optional package of WebGPU in Node is to be found; tsx strips the types.
  const require = createRequire(import.meta.url);
  mkdirSync(path.join(alone, 'node_modules'));
  symlinkSync(path.dirname(require.resolve('webgpu/package.json')), path.join(alone, 'node_modules/webgpu'));
  writeFileSync(path.join(alone, 'package.json'), '{"type":"module"}');
  const use = readFileSync(path.join(root, 'tests/support/use-artefact.ts'), 'utf8').replace('../../runtime/index.js', './runtime/index.js');
  writeFileSync(path.join(alone, 'use.ts'), use);
  const main = [
    "import { openWasmDevice, openWebGpuDevice } from './runtime/index.js';",
    "import { useMlp } from './use.js';",
    "const device = await (process.argv[2] === 'wasm' ? openWasmDevice() : openWebGpuDevice({ software: true }));",
    `console.log(JSON.stringify(await useMlp(new URL('./model/', import.meta.url), device, ${JSON.stringify(data)})));`,
    'device.dispose();',
  ];
  writeFileSync(path.join(alone, 'main.ts'), main.join('\n'));
  for (const kind of device ? ['wasm', 'webgpu'] : ['wasm']) {
    const { stdout } = await promisify(execFile)(process.execPath, ['--import', pathToFileURL(require.resolve('tsx')).href, 'main.ts', kind], { cwd: alone });
    agrees(JSON.parse(stdout) as MlpResult);
  }
});

test.run();
