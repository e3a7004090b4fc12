/**
 * The golden cases of real Keras, on the reference evaluation and on WASM: families training, layers, losses, optimizers and metrics. The fixtures lie outside the repository
 * (TENON_SHARED, or ../shared); without them this file says so and checks only the reader of .npz files.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readNpz } from '../golden/npz.js';
import { families, openTarget, runFamily } from '../golden/run.js';

const root = path.resolve(fileURLToPath(new URL('../../', import.meta.url)));
const shared = path.join(process.env.TENON_SHARED ?? path.join(root, '../shared'), 'golden');

/** An uncompressed zip member with a .npy header. */
function member(name: string, descr: string, shape: string, data: Buffer): Buffer {
  const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape}), }\n`;
  const npy = Buffer.concat([
    Buffer.from('\x93NUMPY\x01\x00', 'latin1'),
    Buffer.from(Uint16Array.of(header.length).buffer),
    Buffer.from(header, 'latin1'),
    data,
  ]);
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50, 0);
  local.writeUInt32LE(npy.length, 18);
  local.writeUInt32LE(npy.length, 22);
  local.writeUInt16LE(name.length, 26);
  return Buffer.concat([local, Buffer.from(name), npy]);
}

test('npz: members, shapes and element types', () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'tenon-npz-'));
  const file = path.join(dir, 'a.npz');
  writeFileSync(
    file,
    Buffer.concat([member('a.npy', '<f4', '2, 2', Buffer.from(Float32Array.of(1, 2, 3, 4).buffer)), member('b.npy', '|b1', '', Buffer.of(1))]),
  );
  const arrays = readNpz(file);
  assert.equal(arrays.get('a'), { dtype: 'float32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) });
  assert.equal(arrays.get('b'), { dtype: 'bool', shape: [], data: Uint8Array.of(1) });
  rmSync(dir, { recursive: true });
});

/** At least so many cases pass: a fault that skips cases must not look like success. */
const least: Readonly<Record<string, number>> = {
  training: 20,
  layers: 300,
  formats: 20,
  preprocessing: 9,
  losses: 20,
  optimizers: 80,
  metrics: 15,
  activations: 35,
  initializers: 40,
  regularizers: 8,
  constraints: 9,
  schedules: 11,
  architectures: 4,
};

if (!existsSync(shared)) console.log(`golden cases: skipped, ${path.relative(root, shared)} is absent (set TENON_SHARED)`);
else {
  for (const device of ['reference', 'wasm'] as const) {
    for (const family of Object.keys(families)) {
      // whole networks take minutes in the reference evaluation
      if (family === 'architectures' && device === 'reference') continue;
      test(`${family} on ${device}`, async () => {
        const { target, close } = await openTarget(device);
        let passed = 0;
        for await (const o of runFamily(path.join(shared, family), target, null)) {
          if (o.result === 'failed') assert.unreachable(`${o.name}: ${o.notes.slice(0, 3).join('; ')}`);
          if (o.result === 'passed') passed++;
        }
        close();
        assert.ok(passed >= least[family]!, `${passed} passed, expected at least ${least[family]}`);
      });
    }
  }
}

test.run();
