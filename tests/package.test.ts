/** The package as its users see it: built, imported as ESM and as CommonJS by its own name, type-checked by a strict consumer of either kind, packed. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { version } from '../frontend/keras/version.js';
import { checkFilesInBrowser } from './support/files-in-browser.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const run = (args: string[], cwd = root) => {
  const r = spawnSync(process.execPath, args, { cwd, encoding: 'utf8' });
  return { code: r.status, output: `${r.stdout}${r.stderr}` };
};

interface Manifest {
  readonly sideEffects: boolean;
  readonly exports: Record<string, string | Record<'import' | 'require', Record<string, string>>>;
  readonly bin: Record<string, string>;
  readonly dependencies: Record<string, string>;
  readonly devDependencies: Record<string, string>;
  readonly peerDependenciesMeta: Record<string, { optional: boolean }>;
}
const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as Manifest;
const entries = Object.keys(manifest.exports).filter((e) => e !== './package.json');

// Not a hook: uvu swallows the message of one that fails.
test('builds', () => {
  const { code, output } = run(['scripts/build.mjs']);
  assert.is(code, 0, output);
});

test('every path of the exports map exists, types first', () => {
  for (const [entry, conditions] of Object.entries(manifest.exports)) {
    if (typeof conditions === 'string') continue;
    for (const kind of ['import', 'require'] as const) {
      assert.equal(Object.keys(conditions[kind]), ['types', 'default'], entry);
      for (const file of Object.values(conditions[kind])) assert.ok(existsSync(path.join(root, file)), `${entry}: ${file}`);
    }
  }
  for (const file of Object.values(manifest.bin)) assert.match(readFileSync(path.join(root, file), 'utf8'), /^#!\/usr\/bin\/env node\n/);
});

test('imports without side effects, the same names as ESM and as CommonJS', () => {
  // a host that knows no WebGPU at all: Node has no GPU classes, and later versions have a navigator
  const names = `delete globalThis.navigator; const out = {}; const before = Object.keys(globalThis).length;`;
  const esm = run([
    '--input-type=module',
    '-e',
    `${names} for (const e of ${JSON.stringify(entries)}) out[e] = Object.keys(await import(e.replace('.', 'tenon'))).sort(); out.added = Object.keys(globalThis).length - before; out.gpuGlobals = Object.getOwnPropertyNames(globalThis).filter((n) => n.startsWith('GPU')).length; console.log(JSON.stringify(out))`,
  ]);
  const cjs = run([
    '--input-type=commonjs',
    '-e',
    `${names} for (const e of ${JSON.stringify(entries)}) out[e] = Object.keys(require(e.replace('.', 'tenon'))).sort(); out.added = Object.keys(globalThis).length - before; out.gpuGlobals = Object.getOwnPropertyNames(globalThis).filter((n) => n.startsWith('GPU')).length; console.log(JSON.stringify(out))`,
  ]);
  assert.is(esm.code, 0, esm.output);
  assert.is(cjs.code, 0, cjs.output);
  const names1 = JSON.parse(esm.output) as Record<string, string[] | number>;
  assert.equal(JSON.parse(cjs.output), names1);
  assert.is(names1.added, 0);
  assert.is(names1.gpuGlobals, 0, 'nothing of WebGPU was there, and nothing was put there');
  for (const name of ['Sequential', 'Model', 'Input', 'layers']) assert.ok((names1['.'] as string[]).includes(name), name);
});

test('strict consumers of both kinds compile against the declarations', () => {
  const dir = path.join(root, '.cache', 'consumer');
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  const text = `import { Input, layers, Model, Sequential } from 'tenon';
import type { Plan } from 'tenon/runtime';
import type { Graph } from 'tenon/ir';
import { compile } from 'tenon/compiler';
const x = Input([4]);
const m: InstanceType<typeof Model> = Model({ inputs: x, outputs: layers.Dense(2, { activation: 'relu' })(x) });
export const s = Sequential([layers.Dense(3)]);
export const f = (plan: Plan, graph: Graph): string => plan.name + graph.name + m.name + typeof compile;
// @ts-expect-error a layer takes no such option
layers.Dense(2, { activatoin: 'relu' });
`;
  writeFileSync(path.join(dir, 'esm.mts'), text);
  writeFileSync(path.join(dir, 'cjs.cts'), text);
  const compilerOptions = {
    strict: true,
    noEmit: true,
    module: 'NodeNext',
    moduleResolution: 'NodeNext',
    target: 'ES2022',
    lib: ['ES2023', 'DOM'],
    types: [],
    skipLibCheck: false,
  };
  writeFileSync(path.join(dir, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['esm.mts', 'cjs.cts'] }));
  const { code, output } = run([path.join(root, 'node_modules/typescript/bin/tsc'), '-p', dir]);
  assert.is(code, 0, output);
});

test('version is that of the package', () => {
  assert.is(version, (JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string }).version);
});

test('the lock file names no registry host, versions are exact, webgpu is optional', () => {
  const lock = readFileSync(path.join(root, 'package-lock.json'), 'utf8');
  assert.not.match(lock, /"resolved"/);
  for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) assert.match(version, /^\d+\.\d+\.\d+$/, name);
  assert.is(manifest.sideEffects, false);
  assert.is(manifest.peerDependenciesMeta.webgpu?.optional, true);
});

test('the runtime build imports nothing but itself, and Node only lazily', () => {
  const seen = new Set<string>();
  const visit = (file: string) => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const m of readFileSync(file, 'utf8').matchAll(/^\s*(?:import|export)\b[^'"\n]*?from\s*["']([^"']+)["']|^\s*import\s*["']([^"']+)["']/gm)) {
      const what = (m[1] ?? m[2])!;
      assert.ok(what.startsWith('.'), `${path.basename(file)} imports ${what}`);
      visit(path.join(path.dirname(file), what));
    }
  };
  visit(path.join(root, 'dist/esm/runtime.js'));
});

test('what reads files comes with the first file, not with the package', () => {
  const seen = new Set<string>();
  const visit = (file: string) => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const m of readFileSync(file, 'utf8').matchAll(/^\s*(?:import|export)\b[^'"\n]*?from\s*["']([^"']+)["']|^\s*import\s*["']([^"']+)["']/gm)) {
      const what = (m[1] ?? m[2])!;
      assert.not.ok(/^(h5wasm|yaml|fflate|protobufjs|snappyjs)/.test(what), `${path.basename(file)} imports ${what}`);
      if (what.startsWith('.')) visit(path.join(path.dirname(file), what));
    }
  };
  visit(path.join(root, 'dist/esm/index.js'));
  assert.ok(existsSync(path.join(root, 'dist/esm/h5-worker.js')));
});

test('the built package saves and loads a model, as ESM and as CommonJS', () => {
  const body = `const m = t.Sequential([t.Input([3]), t.layers.Dense(2)]); const f = t.inMemory('m.keras');
    m.save(f).then(() => t.loadModel(f.bytes(), { name: 'm.keras', device: 'reference' })).then((l) => console.log(l.layers[0].name, l.countParams()));`;
  for (const r of [
    run(['--input-type=module', '-e', `import * as t from 'tenon'; ${body}`]),
    run(['--input-type=commonjs', '-e', `const t = require('tenon'); ${body}`]),
  ]) {
    assert.is(r.code, 0, r.output);
    assert.match(r.output, /^dense 8$/m);
  }
});

test('the built package reads and writes files in Chromium, HDF5 in its worker', async () => {
  await checkFilesInBrowser({ library: path.join(root, 'dist/esm/index.js'), worker: path.join(root, 'dist/esm/h5-worker.js') });
});

test.run();
