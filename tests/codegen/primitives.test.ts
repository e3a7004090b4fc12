/**
 * Every primitive with all functions, attributes, dtypes and special values, compiled for WASM with one and two threads and for WebGPU, beside the reference evaluation. Cases are
 * put into graphs of many, so that they also meet each other in fusion; a graph that cannot be compiled or run is tried case by case.
 */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { hostArray } from '../../ir/dtype.js';
import type { OpName } from '../../ir/op-attrs.js';
import { ops } from '../../ir/ops/index.js';
import type { Device } from '../../runtime/device.js';
import { openWasmDevice } from '../../runtime/wasm/device.js';
import { batchNow, graphOf, type PrimitiveCase, primitiveCases } from '../support/primitive-cases/index.js';
import { deviation, runOnDevice, runReference, targetFor } from '../support/run-graph.js';
import { openSoftwareDevice } from '../support/webgpu.js';

const together = 60;
const seeds = (n: number): number[] => fc.sample(fc.integer({ min: 1, max: 1000000 }), { numRuns: n, seed: 20 });

async function problemsOf(cases: readonly PrimitiveCase[], device: Device, threads: number): Promise<string[]> {
  const { graph, inputs } = graphOf(cases);
  const args = { inputs, bindings: { batch: batchNow } };
  try {
    const found = await runOnDevice(graph, args, device, targetFor(device, threads));
    const expected = runReference(graph, args);
    return Object.entries(expected.outputs).flatMap(([name, wide]) => {
      const c = cases[Number(name.split('.')[0])]!;
      // the reference is float64: its result as the dtype can hold it
      const dtype = graph.outputs.find((o) => o.name === name)!.value.dtype;
      const t = { ...wide, data: hostArray(dtype, wide.data) };
      const got = found.outputs[name]!;
      const d = deviation(got, t, c.rtol, c.atol);
      if (d <= 1) return [];
      const at = t.data.findIndex(
        (_, i) => !(deviation({ ...t, data: got.data.slice(i, i + 1) }, { ...t, data: t.data.slice(i, i + 1) }, c.rtol, c.atol) <= 1),
      );
      const from = c.inputs.map((x) => (x.shape.join() === c.inputs[0]!.shape.join() ? x.data(at) : '…'));
      return [`${c.name}: element ${at} of [${t.shape}] is ${got.data[at]}, expected ${t.data[at]} (inputs there: ${from})`];
    });
  } catch (e) {
    if (cases.length === 1) return [`${cases[0]!.name}: ${(e as Error).stack!.split('\n').slice(0, 4).join(' | ')}`];
    const alone: string[] = [];
    for (const c of cases) alone.push(...(await problemsOf([c], device, threads)));
    return alone.length > 0 ? alone : [`together only: ${(e as Error).stack}`];
  }
}

async function check(device: Device, threads: number, runs: number): Promise<void> {
  const problems: string[] = [];
  for (const seed of seeds(runs)) {
    const cases = primitiveCases(seed);
    for (let i = 0; i < cases.length; i += together) problems.push(...(await problemsOf(cases.slice(i, i + together), device, threads)));
  }
  assert.equal(problems, []);
}

test('there is a case for every primitive', () => {
  const covered = new Set<OpName>(primitiveCases(1).map((c) => c.op));
  assert.equal(
    (Object.keys(ops) as OpName[]).filter((n) => !covered.has(n)),
    [],
  );
});

for (const threads of [1, 2]) {
  test(`primitives on WASM, ${threads} thread${threads === 1 ? '' : 's'}`, async () => {
    const device = await openWasmDevice({ threads });
    try {
      await check(device, threads, 2);
    } finally {
      await device.dispose();
    }
  });
}

test('primitives on WebGPU', async () => {
  const device = await openSoftwareDevice();
  if (!device) return;
  try {
    await check(device, 1, 1);
  } finally {
    await device.dispose();
  }
});

test.run();
