/** Convolutions that take Winograd's way on WASM (schedules/winograd.ts): they give what the reference gives, and the schedule is the one meant. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compile } from '../../codegen/compile.js';
import { wasmTarget } from '../../codegen/target.js';
import { GraphBuilder } from '../../ir/builder.js';
import { symbol } from '../../ir/dim.js';
import type { Graph, Value } from '../../ir/graph.js';
import type { ConvDims, Pair } from '../../ir/op-attrs.js';
import { openWasmDevice } from '../../runtime/wasm/device.js';
import { runOnDevice, runReference } from '../support/run-graph.js';

const channelsLast: ConvDims = {
  input: { batch: 0, feature: 3, spatial: [1, 2] },
  kernel: { spatial: [0, 1], input: 2, output: 3 },
  output: { batch: 0, feature: 3, spatial: [1, 2] },
};
const values = (n: number, seed: number): Float32Array => Float32Array.from({ length: n }, (_, i) => Math.sin(i * 12.9898 + seed * 78.233));

interface Case {
  readonly name: string;
  /** Height, width, channels. */
  readonly image: readonly [number, number, number];
  readonly features: number;
  readonly padding: Pair[];
  readonly dims?: ConvDims;
  /** Kernel as height, width, features, channels, reversed: how a gradient reads it. */
  readonly flipped?: boolean;
}

const same: Pair[] = [
  [1, 1],
  [1, 1],
];

function graphOf(c: Case): { graph: Graph; inputs: Record<string, { dtype: 'float32'; shape: number[]; data: Float32Array }>; batch: number } {
  const batch = 3;
  const b = new GraphBuilder('winograd');
  b.declareSymbol('batch', 4);
  const [h, w, ch] = c.image;
  const kernelShape = c.flipped ? [3, 3, c.features, ch] : [3, 3, ch, c.features];
  const x = b.input('x', 'float32', [symbol('batch'), h, w, ch]);
  const k = b.input('k', 'float32', kernelShape);
  const bias = b.input('bias', 'float32', [c.features]);
  const kernel: Value = c.flipped ? b.transpose(b.emit('reverse', [k], { axes: [0, 1] }), [0, 1, 3, 2]) : k;
  const ones = [1, 1];
  const y = b.emit('conv', [b.max(x, 0), kernel], {
    strides: ones,
    padding: c.padding,
    inputDilation: ones,
    kernelDilation: ones,
    groups: 1,
    batchGroups: 1,
    dims: channelsLast,
  });
  b.output('y', b.tanh(b.mul(b.add(y, bias), 0.1)));
  const input = (shape: number[], seed: number) => ({
    dtype: 'float32' as const,
    shape,
    data: values(
      shape.reduce((a, d) => a * d, 1),
      seed,
    ),
  });
  return { graph: b.build(), inputs: { x: input([batch, h, w, ch], 1), k: input(kernelShape, 2), bias: input([c.features], 3) }, batch };
}

const cases: readonly Case[] = [
  {
    name: 'even, no padding',
    image: [10, 12, 16],
    features: 16,
    padding: [
      [0, 0],
      [0, 0],
    ],
  },
  { name: 'odd, padded', image: [9, 7, 20], features: 24, padding: same },
  {
    name: 'odd in one axis, more padding than needed',
    image: [8, 9, 16],
    features: 32,
    padding: [
      [2, 2],
      [2, 1],
    ],
  },
  {
    name: 'cropped',
    image: [12, 11, 16],
    features: 16,
    padding: [
      [-1, 0],
      [0, -2],
    ],
  },
  { name: 'several groups of features', image: [8, 8, 128], features: 64, padding: same },
  {
    name: 'read as a gradient reads it',
    image: [8, 10, 16],
    features: 16,
    padding: [
      [2, 2],
      [2, 2],
    ],
    flipped: true,
  },
];

for (const c of cases) {
  test(c.name, async () => {
    const { graph, inputs, batch } = graphOf(c);
    for (const threads of [1, 2]) {
      const target = wasmTarget(threads, false);
      const schedules = compile({ run: graph }, { target }).plan.kernels.map((k) => k.schedule);
      assert.ok(
        schedules.some((s) => s.startsWith('winograd')),
        schedules.join('; '),
      );
      const device = await openWasmDevice({ threads });
      const args = { inputs, bindings: { batch } };
      const { outputs } = await runOnDevice(graph, args, device, target);
      device.dispose();
      const expected = runReference(graph, args).outputs.y!.data;
      const got = outputs.y!.data;
      assert.is(got.length, expected.length);
      for (let i = 0; i < got.length; i++) assert.ok(Math.abs(Number(got[i]) - Number(expected[i])) < 2e-5, `${i}: ${got[i]} for ${expected[i]}`);
    }
  });
}

/** The gradient for a 3x3 kernel, height x width x channels x features: the channels are the convolution's batch, the images are summed over. */
const gradient: ConvDims = {
  input: { batch: 3, feature: 0, spatial: [1, 2] },
  kernel: { spatial: [1, 2], input: 0, output: 3 },
  output: { batch: 2, feature: 3, spatial: [0, 1] },
};

for (const [name, image, window, channels, features, padding] of [
  [
    'even',
    [14, 12],
    [12, 10],
    16,
    24,
    [
      [0, 0],
      [0, 0],
    ],
  ],
  ['odd, padded', [11, 13], [11, 13], 8, 8, same],
  [
    'channels and features in several groups',
    [10, 11],
    [10, 10],
    64,
    128,
    [
      [1, 1],
      [1, 0],
    ],
  ],
] as const) {
  test(`gradient for the kernel: ${name}`, async () => {
    const b = new GraphBuilder('gradient');
    b.declareSymbol('batch', 7);
    const x = b.input('x', 'float32', [symbol('batch'), ...image, channels]);
    const dy = b.input('dy', 'float32', [symbol('batch'), ...window, features]);
    const [strides, dilation] = [
      [1, 1],
      [1, 1],
    ];
    const attrs = {
      strides,
      padding: padding as unknown as Pair[],
      inputDilation: dilation,
      kernelDilation: dilation,
      groups: 1,
      batchGroups: 1,
      dims: gradient,
    };
    b.output('dw', b.mul(b.emit('conv', [x, b.mul(dy, 0.5)], attrs), 0.1));
    const graph = b.build();
    const input = (shape: number[], seed: number) => ({
      dtype: 'float32' as const,
      shape,
      data: values(
        shape.reduce((a, d) => a * d, 1),
        seed,
      ),
    });
    const batch = 5;
    const args = { inputs: { x: input([batch, ...image, channels], 1), dy: input([batch, ...window, features], 2) }, bindings: { batch } };
    const expected = runReference(graph, args).outputs.dw!.data;
    for (const threads of [1, 2]) {
      const target = wasmTarget(threads, false);
      assert.match(
        compile({ run: graph }, { target })
          .plan.kernels.map((k) => k.schedule)
          .join(),
        /winograd-sums/,
      );
      const device = await openWasmDevice({ threads });
      const got = (await runOnDevice(graph, args, device, target)).outputs.dw!.data;
      device.dispose();
      assert.is(got.length, expected.length);
      for (let i = 0; i < got.length; i++) assert.ok(Math.abs(Number(got[i]) - Number(expected[i])) < 2e-5, `${i}: ${got[i]} for ${expected[i]}`);
    }
  });
}

test('few channels and strides are no such convolutions', () => {
  const b = new GraphBuilder('others');
  const conv = (x: Value, k: Value, strides: number[]): Value =>
    b.emit('conv', [x, k], { strides, padding: same, inputDilation: [1, 1], kernelDilation: [1, 1], groups: 1, batchGroups: 1, dims: channelsLast });
  b.output('few', conv(b.input('x', 'float32', [2, 8, 8, 4]), b.input('k', 'float32', [3, 3, 4, 16]), [1, 1]));
  b.output('strided', conv(b.input('z', 'float32', [2, 8, 8, 16]), b.input('l', 'float32', [3, 3, 16, 16]), [2, 2]));
  for (const k of compile({ run: b.build() }, { target: wasmTarget(1, false) }).plan.kernels) assert.not.match(k.schedule, /winograd/);
});

test.run();
