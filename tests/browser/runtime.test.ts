import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openBrowser } from '../support/browser.js';
import { openSoftwareDevice } from '../support/webgpu.js';
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

test.after(() => browser?.close());
test.run();
