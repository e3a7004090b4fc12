/** The benchmark's own arithmetic: seeded numbers, the table, the model of GPUs, figures read off a plan. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Cell, isNoisy, measure } from '../../bench/cells.js';
import { gpus, modelledSeconds } from '../../bench/gpus.js';
import { stepFigures } from '../../bench/plan-figures.js';
import { markdown, rows } from '../../bench/report.js';
import { inputData, targetData, uniform, workloads } from '../../bench/workloads.js';
import type { CompiledPlan, PlanDispatch } from '../../runtime/plan.js';

test('seeded values are those of the definition', () => {
  // Taken from the definition in Python (numpy), seed 7777.
  const expected = [0.12956766784191132, -0.3088821470737457, -0.3482199013233185, -0.1717071235179901];
  assert.equal([...uniform(4, 7777)], expected);
  assert.ok(uniform(10000, 3, 0.5).every((v) => v >= -0.5 && v < 0.5));
  assert.is(inputData([3, 2], 4).length, 24);
});

test('targets are one-hot', () => {
  const t = targetData(10, 6);
  for (let i = 0; i < 6; i++)
    assert.is(
      t.subarray(10 * i, 10 * i + 10).reduce((a, b) => a + b, 0),
      1,
    );
});

test('workloads have the ids of the peers', () => {
  assert.equal(
    workloads.map((w) => w.id),
    [
      'i1-mlp-b1',
      'i1-mlp-b256',
      'i2-cnn-b1',
      'i2-cnn-b64',
      'i3-mobilenet-b1',
      'i4-resnet50-b1',
      'i5-lstm-b1',
      'i5-lstm-b32',
      'i6-encoder-b1',
      'i6-encoder-b8',
      't1-mlp-b128',
      't2-cnn-b64',
      't3-lstm-b32',
      't4-resnet8-b32',
    ],
  );
});

const cell = (runtime: string, median: number, more: Partial<Cell> = {}): Cell => ({
  workload: 't1-mlp-b128',
  runtime,
  median,
  p90: median,
  check: [2.3755],
  others_cores: 0,
  ...more,
});

test('ratios are taken against the fastest peer of the same kind, verdicts against what is wanted', () => {
  const [row] = rows([
    cell('tenon-wasm', 10),
    cell('tenon-wasm', 5),
    cell('jax-wasm', 20),
    cell('tfjs-wasm', 15),
    cell('jax-webgpu', 1),
    cell('keras-tf', 4),
    cell('keras-tf-xla', 6),
  ]);
  assert.is(row!.ms, 5);
  assert.is(row!.fastestPeer, 'tfjs-wasm');
  assert.is(row!.ratio, 3);
  assert.is(row!.native, 'keras-tf');
  assert.is(row!.ofNative, 1.25);
  assert.is(row!.met, true);
  assert.is(row!.agrees, true);
  const [slow] = rows([cell('tenon-wasm', 5, { check: [9] }), cell('tfjs-wasm', 10)]);
  assert.is(slow!.met, false);
  assert.is(slow!.agrees, false);
  assert.match(markdown([slow!]), /\| t1-mlp-b128 \| tenon-wasm \| 5\.00 \| tfjs-wasm \| 10\.0 \| 2 \| 2\.5 \|.*no \(numbers differ\)/);
});

test('a failed cell is an error in the table, and a long tail is noise', () => {
  const [row] = rows([{ workload: 'i1-mlp-b1', runtime: 'tenon-wasm', error: 'boom' }]);
  assert.is(row!.error, 'boom');
  assert.is(isNoisy(cell('x', 1, { p90: 2 })), true);
  assert.is(isNoisy(cell('x', 1, { others_cores: 0.5 })), true);
  assert.is(isNoisy(cell('x', 1)), false);
});

test('the protocol warms up, then measures at least five times', async () => {
  let n = 0;
  const r = await measure(async () => async () => ++n, 0);
  assert.is(r.iters, 5);
  assert.equal(r.check, [1, 2, 3]);
  assert.is(n, 8);
});

test('a kernel takes its launch, its bytes or its operations, whichever is longest', () => {
  const gpu = { ...gpus[0]!, launch: 1, bandwidth: 10, peak: 100 };
  assert.is(
    modelledSeconds(gpu, [
      { bytes: 1, flops: 1 },
      { bytes: 50, flops: 1 },
      { bytes: 1, flops: 1000 },
    ]),
    1 + 5 + 10,
  );
  for (const g of gpus) assert.ok(g.source.length > 20);
});

test('figures of a plan with a loop', () => {
  const dispatch = (kernel: number, label: string): PlanDispatch => ({
    kind: 'dispatch',
    kernel,
    label,
    groups: [1, 1, 1],
    buffers: [0],
    offsets: [label === 'adam' ? 16 : 64],
    parallel: false,
    figures: { flops: { op: 'mul', args: [{ symbol: 'batch' }, 10] }, bytesRead: { symbol: 't' }, bytesWritten: 4 },
  });
  const kernel = (code: number) => ({
    name: `k${code}`,
    args: [{ name: 'y', dtype: 'float32' as const, access: 'write' as const, binding: 0 }],
    bindings: [{ access: 'read_write' as const }],
    symbols: [],
    schedule: '',
    workgroupSize: [1, 1, 1] as const,
    code,
  });
  const compiled: CompiledPlan = {
    plan: {
      format: 'tenon-plan',
      version: 2,
      schedules: {},
      name: 'm',
      target: 'webgpu',
      symbols: [{ name: 'batch', max: 8 }],
      buffers: [],
      kernels: [kernel(0), kernel(1), kernel(0)],
      state: [{ name: 'parameters', dtype: 'float32', shape: [8], buffer: 0, offset: 16, trainable: true, views: [], initial: null }],
      programs: [
        {
          name: 'train',
          inputs: [],
          outputs: [],
          prepare: [],
          steps: [dispatch(1, 'adam'), { kind: 'loop', symbol: 't', count: 3, reverse: true, body: [dispatch(0, 'lstm'), dispatch(2, 'lstm')] }],
        },
      ],
      memory: { train: { arena: 100, sum: 300, lowerBound: 90 } },
      requiredLimits: {},
    },
    wgsl: [],
    wasm: null,
    blob: new Uint8Array(),
  };
  const f = stepFigures(compiled, 'train', { batch: 2, t: 0 }, 1);
  assert.is(f.kernels, 7);
  assert.is(f.flops, 140);
  assert.is(f.bytesRead, 2 * (0 + 1 + 2));
  assert.is(f.bytesWritten, 28);
  assert.is(f.pipelines, 2);
  assert.is(f.optimizerKernels, 1);
  assert.is(f.arena, 100);
  assert.throws(() => stepFigures(compiled, 'predict', {}, 1), /no program 'predict', only train/);
});

test.run();
