/** Trains and predicts with a compiled mlp.ts, by the runtime alone: in this process, in another one, in a page. */
import { type Device, loadArtefact } from '../../runtime/index.js';

export interface MlpResult {
  readonly losses: number[];
  readonly y: number[];
  readonly steps: number[];
  /** Of the runs: submits or calls. */
  readonly submits: number;
}

export async function useMlp(
  source: Parameters<typeof loadArtefact>[0],
  device: Device,
  data: { readonly rows: number; readonly x: readonly number[]; readonly target: readonly number[]; readonly steps: number },
): Promise<MlpResult> {
  const model = await loadArtefact(source, device);
  const [x, target] = [Float32Array.from(data.x), Float32Array.from(data.target)];
  const symbols = { batch: data.rows };
  const before = device.counters.submits;
  const losses: number[] = [];
  for (let i = 0; i < data.steps; i++) {
    model.plan.run('train', { symbols, inputs: { x, target } });
    losses.push(Number((await model.plan.read('train', 'loss')).data[0]));
  }
  model.plan.run('predict', { symbols, inputs: { x } });
  const submits = device.counters.submits - before;
  const y = Array.from<number | bigint, number>((await model.plan.read('predict', 'y')).data, Number);
  const steps = Array.from<number | bigint, number>(await model.session.readState('steps'), Number);
  model.dispose();
  return { losses, y, steps, submits };
}
