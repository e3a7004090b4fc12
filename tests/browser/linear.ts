/** Runs the hand-written plan in a page; see runtime.test.ts. Also called in Node, for the numbers to compare with. */
import type { Device } from '../../runtime/device.js';
import { openWebGpuDevice } from '../../runtime/webgpu/device.js';
import { linearPlan } from '../support/plans.js';

export interface LinearResult {
  readonly description: string;
  readonly y: number[];
  readonly weights: number[];
  readonly steps: number[];
  readonly even: number[];
  readonly submits: number;
}

export async function runLinear(device: Device): Promise<LinearResult> {
  const session = device.createSession();
  const plan = await session.load(linearPlan());
  const data = Float32Array.from({ length: 80 }, (_, i) => Math.sin(i) / 3);
  const resident = session.upload('float32', [20, 4], data);
  for (let i = 0; i < 5; i++)
    plan.run('train', { symbols: { batch: 3, rows: 20 }, inputs: { index: new Int32Array([i, 2 * i + 1, 19 - i]) }, resident: { data: resident }, repeat: 2 });
  plan.run('predict', { symbols: { batch: 20 }, inputs: { x: data } });
  const read = async (program: string, output: string) => Array.from<number | bigint, number>((await plan.read(program, output)).data, Number);
  const result = {
    y: await read('predict', 'y'),
    steps: await read('train', 'steps'),
    even: await read('train', 'even'),
    weights: Array.from<number | bigint, number>(await session.readState('weights'), Number),
  };
  await session.finish();
  session.dispose();
  return { description: device.info.description, submits: device.counters.submits, ...result };
}

export default async function page(): Promise<LinearResult> {
  const device = await openWebGpuDevice({ software: true });
  try {
    return await runLinear(device);
  } finally {
    device.dispose();
  }
}
