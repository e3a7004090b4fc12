/** Training that is saved in the middle of an epoch, loaded in another process and gone on with: losses, metrics and weights to the last bit as without the stop. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const dir = mkdtempSync(path.join(tmpdir(), 'tenon-resume-'));
test.after(() => rmSync(dir, { recursive: true }));
const script = fileURLToPath(new URL('../support/train-and-save.ts', import.meta.url));

const run = (...argv: string[]) =>
  new Promise<string>((resolve, reject) => {
    const child = spawn(process.execPath, ['--import', 'tsx', script, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] });
    let [out, err] = ['', ''];
    child.stdout.on('data', (d) => {
      out += d;
    });
    child.stderr.on('data', (d) => {
      err += d;
    });
    child.on('close', (code) => (code === 0 ? resolve(out) : reject(new Error(err))));
  });

for (const [name, file] of [
  ['adam', 'a.h5'],
  ['momentum', 'm.keras'],
  ['dropout', 'd.keras'],
  ['batchNorm', 'b.h5'],
  ['lstm', 'l.keras'],
] as const) {
  test(`${name} through ${file}`, async () => {
    const at = path.join(dir, file);
    const expected = JSON.parse(await run(name, 'first', at)) as { losses: unknown[]; weights: number[][] };
    assert.is(expected.losses.length, 8);
    assert.equal(JSON.parse(await run(name, 'rest', at)), expected);
  });
}

test.run();
