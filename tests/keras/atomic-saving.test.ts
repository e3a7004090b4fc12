/** A process that is killed while it saves leaves the old file or the new one, whole, whenever it dies. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Input, layers, loadModel, Sequential, utils } from '../../frontend/keras/index.js';

const script = fileURLToPath(new URL('../support/save-and-die.ts', import.meta.url));

test('killed at any write, the file is the old one or the new one', async () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'tenon-atomic-'));
  try {
    utils.setRandomSeed(1);
    const old = Sequential([Input([4]), layers.Dense(3, { name: 'd' })]);
    const [before, file] = [path.join(dir, 'before.keras'), path.join(dir, 'm.keras')];
    await old.save(before);
    const first = async (m: typeof old) => (await m.getWeights())[0]!.data[0]!;
    const oldValue = await first(old);
    const found = new Set<string>();
    // a process takes long to start: writes are sampled, the last ones (flush, rename) all tried
    const points: number[] = [];
    const total = (() => {
      copyFileSync(before, file);
      const r = spawnSync(process.execPath, ['--import', 'tsx', script, file, '1000000'], { encoding: 'utf8' });
      assert.is(r.status, 0, r.stderr);
      return Number(/points (\d+)/.exec(r.stdout)?.[1] ?? 0);
    })();
    assert.ok(total > 10);
    for (let i = 0; i < total; i += Math.ceil(total / 6)) points.push(i);
    for (let i = total - 10; i < total; i += 2) points.push(i);
    for (const at of points) {
      copyFileSync(before, file);
      const r = spawnSync(process.execPath, ['--import', 'tsx', script, file, String(at)], { encoding: 'utf8' });

      assert.ok(r.status === 0 || r.signal === 'SIGKILL', r.stderr);
      found.add((await first((await loadModel(file, { device: 'reference' })) as typeof old)) === oldValue ? 'old' : 'new');
      for (const f of readdirSync(dir)) if (f.endsWith('.tmp')) rmSync(path.join(dir, f));
    }
    assert.equal([...found].sort(), ['new', 'old']);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test.run();
