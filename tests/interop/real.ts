/** Trained models as they are published: onnxruntime's outputs to 1e-4, on both targets. The voice model silero-vad carries its state over 100 windows. */
import path from 'node:path';
import { load } from '../../frontend/onnx/index.js';
import type { Device } from '../../runtime/device.js';
import { openDevice } from '../../runtime/open.js';
import { openSoftwareDevice } from '../support/webgpu.js';
import { difference, readArrays } from './safetensors.js';

type Check = (name: string, fault: string | null) => void;
const tolerance = 1e-4;
export const silero = ['silero_vad', 'silero_vad_16k_op15', 'silero_vad_op18_ifless'] as const;

/** `models`: the .onnx files; `dir`: what real.py wrote. */
export async function runReal(models: string, dir: string, check: Check): Promise<void> {
  for (const target of ['wasm', 'webgpu'] as const) {
    const device: Device | null = target === 'wasm' ? await openDevice('wasm') : await openSoftwareDevice();
    if (!device) {
      check(`a ${target} device`, 'there is none');
      continue;
    }
    const attempt = async (name: string, body: () => Promise<string | null>): Promise<void> => {
      try {
        check(`${name} on ${target}`, await body());
      } catch (e) {
        check(`${name} on ${target}`, e instanceof Error ? `${e.name}: ${e.message}` : String(e));
      }
    };
    await attempt('magika', async () => {
      const { bytes, target_label: expected } = readArrays(path.join(dir, 'magika.safetensors'));
      const model = await load(path.join(models, 'magika.onnx'), { device });
      const { target_label: found } = await model.run({ bytes: bytes! });
      model.dispose();
      return difference(found!.data as Float32Array, expected!.data, tolerance);
    });
    for (const name of silero)
      await attempt(name, async () => {
        const { frames, probabilities, state: last } = readArrays(path.join(dir, `${name}.safetensors`));
        const [count, size] = frames!.shape as readonly [number, number];
        const model = await load(path.join(models, `${name}.onnx`), { device });
        let state = new Float32Array(256);
        const found: number[] = [];
        for (let i = 0; i < count; i++) {
          const input = { shape: [1, size], data: (frames!.data as Float32Array).subarray(i * size, (i + 1) * size) };
          const out = await model.run({ input, state: { shape: [2, 1, 128], data: state }, sr: { shape: [], data: BigInt64Array.of(16000n) } });
          found.push(Number(out.output!.data[0]));
          state = out.stateN!.data as Float32Array<ArrayBuffer>;
        }
        model.dispose();
        return difference(found, probabilities!.data, tolerance) ?? difference(state, last!.data, tolerance);
      });
    device.dispose();
  }
}
