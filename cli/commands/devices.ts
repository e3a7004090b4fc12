/** `tenon devices`: what this machine can run on, and which of it `auto` takes. */
import type { Device } from '../../runtime/device.js';
import { messageOf } from '../../runtime/errors.js';
import { openWasmDevice } from '../../runtime/wasm/device.js';
import { openWebGpuDevice } from '../../runtime/webgpu/device.js';
import { type CliIo, table } from '../io.js';

interface Row {
  readonly device: string;
  readonly available: boolean;
  readonly description: string;
  readonly auto: boolean;
}

async function probe(device: string, open: () => Promise<Device>): Promise<Row> {
  try {
    const d = await open();
    const { description } = d.info;
    d.dispose();
    return { device, available: true, description, auto: false };
  } catch (e) {
    return { device, available: false, description: messageOf(e), auto: false };
  }
}

export async function devicesCommand(flags: { readonly json?: boolean }, io: CliIo): Promise<void> {
  const found = [
    await probe('webgpu (GPU)', () => openWebGpuDevice({ software: false })),
    await probe('webgpu (software)', () => openWebGpuDevice({ software: true })),
    await probe('wasm', async () => openWasmDevice()),
  ];
  const best = found.find((r) => r.available && r.device !== 'webgpu (software)');
  const rows = found.map((r) => ({ ...r, auto: r === best }));
  if (flags.json) {
    io.out(`${JSON.stringify(rows)}\n`);
    return;
  }
  for (const line of table(rows.map((r) => [r.device, r.available ? 'yes' : 'no', r.auto ? 'auto' : '', r.description]))) io.out(`${line}\n`);
}
