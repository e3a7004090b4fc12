/** The set-up that `npm start` and `npm test` do: Debian packages for software WebGPU, on systems that have some, none or no rights to install them. */

import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const setup = pathToFileURL(fileURLToPath(new URL('../scripts/setup.mjs', import.meta.url))).href;
const folder = mkdtempSync(path.join(tmpdir(), 'tenon-setup-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));
let systems = 0;

interface System {
  /** Files that are there before. */
  readonly has?: readonly ('icd' | 'loader')[];
  readonly root?: boolean;
  /** What the stand-in for apt-get does at `install`. */
  readonly install?: 'works' | 'fails';
  readonly driver?: string;
}

/** Runs `ensureGpu` on a system of its own: what it printed, what apt-get was called with, and the driver that was chosen. */
function ensure({ has = [], root = true, install, driver }: System) {
  const at = path.join(folder, String(systems++));
  const places = { icd: path.join(at, 'icd.json'), loader: path.join(at, 'libvulkan.so.1'), apt: path.join(at, 'apt-get'), log: path.join(at, 'log') };
  mkdirSync(at);
  writeFileSync(places.log, '');
  for (const f of has) writeFileSync(places[f], '');
  if (install) {
    const effect = install === 'works' ? `touch '${places.icd}' '${places.loader}'` : 'exit 100';
    writeFileSync(places.apt, `#!/bin/sh\necho "$@" >> '${places.log}'\nif [ "$1" = install ]; then ${effect}; fi\n`);
    chmodSync(places.apt, 0o755);
  }
  const system = `{ icd: ${JSON.stringify(places.icd)}, loaders: [${JSON.stringify(places.loader)}], apt: ${JSON.stringify(places.apt)}, isRoot: () => ${root} }`;
  const code = `import { ensureGpu } from ${JSON.stringify(setup)}; ensureGpu(${system}); console.log('driver ' + process.env.VK_ICD_FILENAMES);`;
  const env = { ...process.env };
  delete env.VK_ICD_FILENAMES;
  const r = spawnSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8', env: driver ? { ...env, VK_ICD_FILENAMES: driver } : env });
  assert.is(r.status, 0, r.stderr);
  return { out: `${r.stdout}${r.stderr}`, calls: readFileSync(places.log, 'utf8').trim().split('\n').filter(Boolean), places };
}

if (process.platform === 'linux') {
  test('root on Debian: what is missing is installed, and the driver is chosen', () => {
    const { out, calls, places } = ensure({ install: 'works' });
    assert.equal(calls, ['update -q', 'install -q -y --no-install-recommends chromium libvulkan1']);
    assert.match(out, /Installing chromium libvulkan1 \(for software WebGPU\)/);
    assert.ok(out.includes(`driver ${places.icd}`));
    assert.equal(ensure({ has: ['loader'], install: 'works' }).calls.at(-1), 'install -q -y --no-install-recommends chromium');
  });

  test('nothing is installed where all is there, or where a driver was named', () => {
    const all = ensure({ has: ['icd', 'loader'], install: 'works' });
    assert.equal(all.calls, []);
    assert.ok(all.out.includes(`driver ${all.places.icd}`));
    const named = ensure({ install: 'works', driver: '/my/icd.json' });
    assert.equal([named.calls, named.out.trim()], [[], 'driver /my/icd.json']);
  });

  test('without rights, without apt-get, or when it fails: a line says what is missing, and the rest goes on', () => {
    for (const system of [{ root: false, install: 'works' }, {}] as const) {
      const { out, calls } = ensure(system);
      assert.equal(calls, []);
      assert.match(out, /Missing: chromium, libvulkan1 \(Debian: apt-get install chromium libvulkan1\)/);
      assert.match(out, /driver undefined/);
    }
    const failed = ensure({ install: 'fails' });
    assert.match(failed.out, /apt-get failed\. WebGPU has no software driver here\. Missing: chromium, libvulkan1/);
  });
} else {
  test('other systems install nothing', () => {
    assert.equal(ensure({ install: 'works' }).calls, []);
  });
}

test.run();
