import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openWasmDevice } from '../../runtime/wasm/device.js';
import { openBrowser } from '../support/browser.js';
import { mlpArtefact } from '../support/mlp-artefact.js';
import { rows, target, x } from '../support/mlp-reference.js';
import { type MlpResult, useMlp } from '../support/use-artefact.js';
import { openSoftwareDevice } from '../support/webgpu.js';
import type { PageArgument } from './artefact.js';
import { type LinearResult, runLinear } from './linear.js';

const browser = await openBrowser();

test('a plan on WebGPU gives the same numbers in Chromium and in Node', async () => {
  const device = browser && (await openSoftwareDevice());
  if (!device) return;
  const inNode = await runLinear(device);
  device.dispose();
  const inPage = await browser.run<LinearResult>(new URL('./linear.ts', import.meta.url));
  assert.is(inPage.submits, 6);
  assert.match(inPage.description, /^WebGPU, .*\(software\)$/);
  assert.equal(inPage.steps, [10]);
  assert.equal({ ...inPage, description: '' }, { ...inNode, description: '' });
});

for (const kind of ['webgpu', 'wasm'] as const) {
  test(`a compiled model trains and predicts on ${kind} in Chromium as in Node`, async () => {
    const device = browser && (kind === 'webgpu' ? await openSoftwareDevice() : await openWasmDevice({ threads: 2 }));
    if (!device) return;
    const files = mlpArtefact();
    const data = { rows, x: [...x], target: [...target], steps: 4 };
    const inNode = await useMlp(async (name) => files.get(name)!, device, data);
    device.dispose();
    const argument: PageArgument = { kind, data, files: Object.fromEntries([...files].map(([name, bytes]) => [name, Buffer.from(bytes).toString('base64')])) };
    const { description, isolated, ...inPage } = await browser.run<MlpResult & { description: string; isolated: boolean }>(
      new URL('./artefact.ts', import.meta.url),
      argument,
    );
    assert.ok(isolated);
    assert.match(description, kind === 'webgpu' ? /^WebGPU/ : /^WebAssembly SIMD.*, 2 threads$/);
    assert.equal(inPage, inNode);
  });
}

test.after(() => browser?.close());
test.run();
