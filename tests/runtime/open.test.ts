import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ArgumentError } from '../../runtime/errors.js';
import { type DeviceName, openDevice } from '../../runtime/open.js';
import { isSoftware } from '../../runtime/webgpu/adapter.js';
import { openSoftwareDevice } from '../support/webgpu.js';

test('auto never takes a software adapter', async () => {
  const device = await openDevice();
  if (device.info.kind === 'webgpu') assert.not.match(device.info.description, /software/);
  else assert.match(device.info.description, /^WebAssembly SIMD/);
  device.dispose();
});

test('webgpu by name takes the software adapter where there is no other', async () => {
  const software = await openSoftwareDevice();
  if (!software) return;
  software.dispose();
  const device = await openDevice('webgpu');
  assert.is(device.info.kind, 'webgpu');
  device.dispose();
});

test('unknown names are errors', async () => {
  try {
    await openDevice('cuda' as DeviceName);
    assert.unreachable();
  } catch (e) {
    assert.instance(e, ArgumentError);
    assert.is((e as Error).message, "unknown device 'cuda'; expected one of auto, webgpu, wasm");
  }
});

test('software adapters are told by flag and by name', () => {
  const adapter = (info: Partial<GPUAdapterInfo>) =>
    ({ info: { vendor: '', architecture: '', device: '', description: '', isFallbackAdapter: false, ...info } }) as unknown as GPUAdapter;
  assert.ok(isSoftware(adapter({ isFallbackAdapter: true })));
  assert.ok(isSoftware(adapter({ vendor: 'google', architecture: 'swiftshader' })));
  assert.ok(isSoftware(adapter({ description: 'llvmpipe (LLVM 15)' })));
  assert.ok(isSoftware(adapter({ description: 'Microsoft Basic Render Driver' })));
  assert.not(isSoftware(adapter({ vendor: 'nvidia', architecture: 'hopper' })));
});

test.run();
