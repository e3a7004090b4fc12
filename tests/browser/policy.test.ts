/**
 * Pages under a Content-Security-Policy: WebGPU needs nothing, WebAssembly needs 'wasm-unsafe-eval', worker threads need `worker-src blob:`. What is missing is said, and nothing hangs.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openBrowser } from '../support/browser.js';
import { mlpArtefact } from '../support/mlp-artefact.js';
import { reference, rows, target, x } from '../support/mlp-reference.js';
import type { PageArgument } from './artefact.js';
import type { PolicyResult } from './policy.js';

const browser = await openBrowser();
const files = Object.fromEntries([...mlpArtefact()].map(([name, bytes]) => [name, Buffer.from(bytes).toString('base64')]));
const data = { rows, x: [...x], target: [...target], steps: 4 };
const open = (kind: PageArgument['kind'], policy: string) =>
  browser!.run<PolicyResult>(new URL('./policy.ts', import.meta.url), { kind, files, data }, { policy });
const expected = reference(data.steps).y;
const close = (a: readonly number[]) => a.length === expected.length && a.every((v, i) => Math.abs(v - expected[i]!) <= 1e-5 + 1e-4 * Math.abs(expected[i]!));

for (const [name, kind, policy, warning] of [
  ['WebGPU needs no permission', 'webgpu', "script-src 'self'", null],
  ["WebAssembly with threads needs 'wasm-unsafe-eval' and workers from blobs", 'wasm', "script-src 'self' 'wasm-unsafe-eval'; worker-src blob:", null],
  [
    'without workers WebAssembly runs on one thread and says so',
    'wasm',
    "script-src 'self' 'wasm-unsafe-eval'",
    /worker-src blob:\)?; kernels run on one thread/,
  ],
] as const)
  test(`${name}: ${policy}`, async () => {
    if (!browser) return;
    const result = await open(kind, policy);
    assert.ok(result.evalIsBlocked);
    assert.is(result.error, null);
    assert.ok(close(result.y), `${result.y}`);
    assert.ok(Number.isFinite(result.loss));
    assert.is(result.warnings.length, warning ? 1 : 0, result.warnings.join());
    if (warning) assert.match(result.warnings[0]!, warning);
  });

test("without 'wasm-unsafe-eval' opening the device is an error that says what to add", async () => {
  if (!browser) return;
  const { error, loss } = await open('wasm', "script-src 'self'");
  assert.match(error!, /^DeviceError: the page's Content-Security-Policy does not allow WebAssembly: add 'wasm-unsafe-eval' to its script-src/);
  assert.is(loss, null);
});

test.after(() => browser?.close());
test.run();
