/** Where a model runs, as users say it. */
import { ValueError } from '../../../ir/errors.js';
import type { Device } from '../../../runtime/device.js';
import { type DeviceName, deviceNames, openDevice } from '../../../runtime/open.js';
import { describe } from '../utils/options.js';
import { CompiledExecutor } from './compiled-executor.js';
import type { Executor } from './executor.js';
import { ReferenceExecutor } from './reference-executor.js';

/** A name, or an open device that several models share. `reference` evaluates graphs on the host, slowly. */
export type DeviceOption = DeviceName | 'reference' | Device;

/** A new executor, and how to give its device back. */
export async function openExecutor(option: DeviceOption): Promise<{ readonly executor: Executor; readonly release: () => void }> {
  if (option === 'reference') return { executor: new ReferenceExecutor(), release: () => undefined };
  if (typeof option !== 'string' && typeof (option as Device | null)?.createSession !== 'function')
    throw new ValueError(
      `compile: 'device' must be ${[...deviceNames, 'reference'].map((n) => `'${n}'`).join(', ')} or an open device, got ${describe(option)}`,
    );
  if (typeof option === 'object') return { executor: new CompiledExecutor(option), release: () => undefined };
  const device = await openDevice(option);
  return { executor: new CompiledExecutor(device), release: () => device.dispose() };
}
