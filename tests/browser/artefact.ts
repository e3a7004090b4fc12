/** Loads a compiled model in a page and runs it; see runtime.test.ts. */
import { openWasmDevice, openWebGpuDevice } from '../../runtime/index.js';
import { type MlpResult, useMlp } from '../support/use-artefact.js';

export interface PageArgument {
  readonly kind: 'webgpu' | 'wasm';
  /** Contents in base64. */
  readonly files: Readonly<Record<string, string>>;
  readonly data: Parameters<typeof useMlp>[2];
}

export default async function page({ kind, files, data }: PageArgument): Promise<MlpResult & { description: string; isolated: boolean }> {
  const device = await (kind === 'webgpu' ? openWebGpuDevice({ software: true }) : openWasmDevice({ threads: 2 }));
  try {
    const read = async (name: string) => Uint8Array.from(atob(files[name]!), (c) => c.charCodeAt(0));
    return { ...(await useMlp(read, device, data)), description: device.info.description, isolated: crossOriginIsolated };
  } finally {
    device.dispose();
  }
}
