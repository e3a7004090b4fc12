/** Reductions in two steps: results, accuracy of long sums, and how many groups they give the device. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compile } from '../../codegen/compile.js';
import { webgpuTarget } from '../../codegen/target.js';
import { GraphBuilder } from '../../ir/builder.js';
import { type Dim, evalDim, symbol } from '../../ir/dim.js';
import { hostArray } from '../../ir/dtype.js';
import type { Graph, Value } from '../../ir/graph.js';
import { type TensorData, tensorData } from '../../ir/tensor-data.js';
import type { Device } from '../../runtime/device.js';
import { openWasmDevice } from '../../runtime/wasm/device.js';
import { deviation, runOnDevice, runReference, targetFor } from '../support/run-graph.js';
import { openSoftwareDevice } from '../support/webgpu.js';

const devices: [string, () => Promise<Device | null>, number][] = [
  ['WASM, 1 thread', () => openWasmDevice({ threads: 1 }), 1],
  ['WASM, 2 threads', () => openWasmDevice({ threads: 2 }), 2],
  ['WebGPU', () => openSoftwareDevice(), 1],
];

const now = { batch: 3 };

function graphOf(shape: readonly Dim[], build: (b: GraphBuilder, x: Value) => readonly Value[], dtype: 'float32' | 'int32' = 'float32'): Graph {
  const b = new GraphBuilder('g');
  b.declareSymbol('batch', 5);
  build(b, b.input('x', dtype, shape)).forEach((v, i) => {
    b.output(`y${i}`, v);
  });
  return b.build();
}

function data(shape: readonly Dim[], dtype: 'float32' | 'int32', at: (i: number) => number): TensorData {
  const sizes = shape.map((d) => evalDim(d, now));
  const values = hostArray(
    dtype,
    sizes.reduce((a, d) => a * d, 1),
  );
  for (let i = 0; i < values.length; i++) values[i] = at(i);
  return tensorData(dtype, sizes, values);
}

const wave = (i: number): number => Math.fround(Math.sin(i * 0.37) + 0.3);

interface Case {
  readonly name: string;
  readonly shape: readonly Dim[];
  readonly dtype?: 'float32' | 'int32';
  readonly build: (b: GraphBuilder, x: Value) => readonly Value[];
  readonly at?: (i: number) => number;
}
const batch = symbol('batch');
const cases: Case[] = [
  { name: 'one long row', shape: [70001], build: (b, x) => [b.sum(x), b.reduce('max', x)] },
  {
    name: 'a few long rows with a prologue, a second result and an epilogue',
    shape: [batch, 20000],
    build: (b, x) => [b.sqrt(b.mean(b.square(x), [1])), b.exp(x), b.reduce('min', x, [1])],
  },
  { name: 'several reduced axes of symbolic size', shape: [batch, 50, 7, 60], build: (b, x) => [b.mean(x), b.sum(x, [0, 1, 3])] },
  { name: 'few columns', shape: [batch, 60, 50, 6], build: (b, x) => [b.mean(x, [0, 1, 2]), b.mean(b.square(x), [0, 1, 2])] },
  { name: 'columns behind a kept axis', shape: [batch, 5000, 9], build: (b, x) => [b.sum(x, [1])] },
  { name: 'columns of symbolic width', shape: [20000, batch], build: (b, x) => [b.sum(x, [0])] },
  {
    name: 'integers',
    shape: [batch, 20000],
    dtype: 'int32',
    build: (b, x) => [b.sum(x, [1]), b.reduce('prod', x, [1]), b.reduce('max', x, [1])],
    at: (i) => (i * 2654435761) | 1,
  },
];

for (const [name, open, threads] of devices) {
  test(`two-step reductions on ${name}`, async () => {
    const device = await open();
    if (!device) return;
    const target = targetFor(device, threads);
    for (const c of cases) {
      const g = graphOf(c.shape, c.build, c.dtype);
      assert.match(
        compile({ main: g }, { target })
          .plan.kernels.map((k) => k.schedule)
          .join(),
        /two-step/,
        c.name,
      );
      const args = { inputs: { x: data(c.shape, c.dtype ?? 'float32', c.at ?? wave) }, bindings: now };
      const [found, expected] = [await runOnDevice(g, args, device, target), runReference(g, args)];
      for (const [key, t] of Object.entries(expected.outputs)) {
        const wanted = c.dtype === 'int32' ? { ...t, data: hostArray('int32', t.data) } : t;
        const d = deviation(found.outputs[key]!, wanted, c.dtype === 'int32' ? 0 : 2e-6, c.dtype === 'int32' ? 0 : 2e-6);
        assert.ok(d <= 1, `${c.name}, ${key}: ${d} (${found.outputs[key]!.data.slice(0, 4)} for ${wanted.data.slice(0, 4)})`);
      }
    }
    await device.dispose();
  });

  test(`the sum of a million tenths on ${name} is right to 1e-6, over rows and over columns`, async () => {
    const device = await open();
    if (!device) return;
    for (const [shape, axes] of [
      [[1000000], [0]],
      [[1000000 / 4, 4], [0]],
      [[2, 1000000], [1]],
      // one kernel, in blocks
      [[4000, 5], [0]],
      [[3, 130, 7], [1]],
      // one kernel, by a thread in blocks (WASM) or by 256 threads, 63 elements each (WebGPU)
      [[2, 16000], [1]],
    ] as const) {
      const g = graphOf(shape, (b, x) => [b.sum(x, axes)]);
      const { outputs } = await runOnDevice(g, { inputs: { x: data(shape, 'float32', () => Math.fround(0.1)) } }, device, targetFor(device, threads));
      const exact = Math.fround(0.1) * (shape[axes[0]!] as number);
      for (const y of outputs.y0!.data) assert.ok(Math.abs(Number(y) / exact - 1) < (shape[1] === 16000 ? 4e-6 : 1e-6), `[${shape}]: ${y} for ${exact}`);
    }
    await device.dispose();
  });
}

test('statistics of 16 channels over 32 images of 32x32 take many workgroups', () => {
  const g = graphOf([32, 32, 32, 16], (b, x) => [b.mean(x, [0, 1, 2])]);
  const { plan } = compile({ main: g }, { target: webgpuTarget });
  const groups = plan.programs[0]!.steps.map((s) => (s.kind === 'dispatch' ? s.groups[0] : 0));
  assert.is(groups.length, 2);
  assert.ok((groups[0] as number) >= 64, `${groups[0]} groups`);
});

test.run();
