/** Memory that reading takes, whole files and cut ones: at most twice the file and 64 MB; large weights are never held twice. Each in a process of its own. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Input, layers, Sequential } from '../../frontend/keras/index.js';

const dir = mkdtempSync(path.join(tmpdir(), 'tenon-memory-'));
test.after(() => rmSync(dir, { recursive: true }));
const script = fileURLToPath(new URL('../support/load-and-measure.ts', import.meta.url));
const at = (name: string) => path.join(dir, name);
const model = (units: number) => Sequential([Input([1000]), layers.Dense(units), layers.Dense(10)]);

for (const format of ['h5', 'keras', 'json', 'yaml']) {
  test(format, async () => {
    await model(4).save(at(`small.${format}`));
    await model(20000).save(at(`large.${format}`));
    if (format === 'json' || format === 'yaml') {
      // a configuration is small: a long list of numbers in it
      const text = readFileSync(at(`large.${format}`), 'utf8');
      const list = `[${Array.from({ length: 300_000 }, (_, i) => i).join(', ')}]`;
      writeFileSync(at(`large.${format}`), format === 'json' ? text.replace('{', `{"extra": ${list}, `) : `extra: ${list.slice(0, 200_000)}0]\n${text}`);
    }
    const whole = readFileSync(at(`large.${format}`));
    writeFileSync(at(`cut.${format}`), whole.subarray(0, Math.floor(whole.length * 0.9)));
    whole.fill(255, 0x200, 0x280);
    writeFileSync(at(`damaged.${format}`), whole);
    for (const name of ['large', 'cut', 'damaged']) {
      const file = at(`${name}.${format}`);
      const r = spawnSync(process.execPath, ['--import', 'tsx', script, at(`small.${format}`), file], { encoding: 'utf8' });
      assert.is(r.status, 0, r.stderr);
      const { grown, loaded } = JSON.parse(r.stdout) as { grown: number; loaded: boolean };
      if (name !== 'damaged') assert.is(loaded, name === 'large');
      const { size } = statSync(file);
      if (process.env.TENON_MUTATIONS) console.log(`${name}.${format}: ${(size / 1e6).toFixed(1)} MB, grew by ${(grown / 1e6).toFixed(0)} MB`);
      assert.ok(grown <= 2 * size + (64 << 20), `${name}.${format} of ${size} bytes: the process grew by ${grown}`);
    }
  });
}

test('weights of 96 MB in H5: saved with no copy of them, loaded with one', () => {
  const file = at('weights.h5');
  const measured = (name: string) => {
    const r = spawnSync(process.execPath, ['--import', 'tsx', fileURLToPath(new URL(`../support/${name}.ts`, import.meta.url)), at('small.h5'), file], {
      encoding: 'utf8',
    });
    assert.is(r.status, 0, r.stderr);
    return (JSON.parse(r.stdout) as { grown: number }).grown;
  };
  const saved = measured('save-and-measure');
  const { size } = statSync(file);
  assert.ok(size >= 96e6);
  const loaded = measured('load-and-measure');
  if (process.env.TENON_MUTATIONS) console.log(`saving grew the process by ${(saved / 1e6).toFixed(0)} MB, loading by ${(loaded / 1e6).toFixed(0)}`);
  assert.ok(saved <= 0.4 * size, `saving ${size} bytes made the process grow by ${saved}`);
  assert.ok(loaded <= 1.4 * size, `loading ${size} bytes made the process grow by ${loaded}`);
});

test.run();
