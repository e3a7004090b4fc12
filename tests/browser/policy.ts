/** Runs a compiled model, and compiles one, in a page under a Content-Security-Policy; see policy.test.ts. */
import { layers, Sequential, tensor, utils } from '../../frontend/keras/index.js';
import { openWasmDevice, openWebGpuDevice } from '../../runtime/index.js';
import { useMlp } from '../support/use-artefact.js';
import type { PageArgument } from './artefact.js';

export interface PolicyResult {
  /** Predictions of the model compiled ahead of time. */
  readonly y: number[];
  /** Of a model that is compiled and trained in the page. */
  readonly loss: number | null;
  readonly error: string | null;
  readonly warnings: string[];
  readonly evalIsBlocked: boolean;
}

export default async function page({ kind, files, data }: PageArgument): Promise<PolicyResult> {
  const warnings: string[] = [];
  console.warn = (...a: unknown[]) => void warnings.push(a.join(' '));
  let evalIsBlocked = false;
  // What the test calls may use eval by itself; what runs later is the page's own.
  await new Promise((resolve) => setTimeout(resolve, 0));
  try {
    new Function('return 1')();
  } catch {
    evalIsBlocked = true;
  }
  const result = { y: [] as number[], loss: null as number | null, error: null as string | null };
  try {
    const device = await (kind === 'webgpu' ? openWebGpuDevice({ software: true }) : openWasmDevice({ threads: 2 }));
    const read = async (name: string) => Uint8Array.from(atob(files[name]!), (c) => c.charCodeAt(0));
    result.y = (await useMlp(read, device, data)).y;
    // on WebAssembly large enough for kernels to be split over threads
    const n = kind === 'wasm' ? 128 : 8;
    utils.setRandomSeed(1);
    const model = Sequential([layers.Dense(n, { inputShape: [n], activation: 'relu' }), layers.Dense(1)]);
    model.compile({ optimizer: 'adam', loss: 'mse', device });
    const { history } = await model.fit(tensor(new Float32Array(n * n).fill(0.1), [n, n]), tensor(new Float32Array(n).fill(1), [n, 1]), {
      epochs: 2,
      batchSize: n,
      verbose: 0,
    });
    result.loss = history.loss!.at(-1)!;
    model.dispose();
    device.dispose();
  } catch (e) {
    result.error = `${(e as Error).name}: ${(e as Error).message}`;
  }
  return { ...result, warnings, evalIsBlocked };
}
