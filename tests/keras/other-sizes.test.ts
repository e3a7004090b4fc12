/** Layers at sizes and with options that once came out wrong: compiled for both targets against the reference evaluation, and against numbers of the real Keras. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { separateLayout, Trace } from '../../frontend/keras/backend/trace.js';
import { Input, type Layer, layers, Model, tensor } from '../../frontend/keras/index.js';
import { CompiledExecutor } from '../../frontend/keras/models/compiled-executor.js';
import type { Executor } from '../../frontend/keras/models/executor.js';
import { ReferenceExecutor } from '../../frontend/keras/models/reference-executor.js';
import { gradients } from '../../ir/autodiff.js';
import { GraphBuilder } from '../../ir/builder.js';
import type { TensorData } from '../../ir/tensor-data.js';
import type { Device } from '../../runtime/device.js';
import { openDevice } from '../../runtime/open.js';
import { openSoftwareDevice } from '../support/webgpu.js';

const numbers = (shape: readonly number[]): TensorData & { readonly data: Float32Array } => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from({ length: shape.reduce((a, d) => a * d, 1) }, (_, i) => Math.sin(i * 1.7 + 1)),
});

/** Output and gradients of input and weights. */
async function results(executor: Executor, layer: Layer, shape: readonly number[], mask: readonly number[] | null): Promise<number[]> {
  const b = new GraphBuilder('case');
  const t = new Trace(b, { training: false, layout: separateLayout });
  const x = t.tensor(b.input('x', 'float32', shape));
  const y = layer.compute(x, mask ? { mask: t.tensor(b.input('mask', 'bool', shape.slice(0, 2))) } : {});
  if (Array.isArray(y)) throw new Error('one output expected');
  const { value } = y as typeof x;
  const cotangent = b.input('c', 'float32', value.shape);
  const found = gradients(b, [{ value, cotangent }], [x.value, ...layer.weights.map((w) => t.firstRead(w)!)]);
  const names = found.map((_, i) => `g${i}`);
  b.output('y', value);
  found.forEach((g, i) => {
    b.output(names[i]!, g);
  });
  const program = await executor.load('case', b.build());
  for (const w of layer.weights) executor.writeState(w.path, numbers(w.shape).data);
  program.run({
    inputs: {
      x: numbers(shape),
      c: numbers(value.shape as number[]),
      ...(mask ? { mask: { dtype: 'bool' as const, shape: shape.slice(0, 2), data: Uint8Array.from(mask) } } : {}),
    },
  });
  const out: number[] = [];
  for (const n of ['y', ...names]) out.push(...Array.from((await program.read(n)).data, Number));
  return out;
}

const cases: readonly (readonly [what: string, layer: () => Layer, shape: readonly number[], mask?: readonly number[]])[] = [
  ['a kernel below the stride: windows of the gradient leave the edge out', () => layers.Conv1DTranspose(4, 2, { strides: 3, outputPadding: 1 }), [1, 3, 4]],
  ['one tap and a stride', () => layers.Conv3DTranspose(4, 1, { strides: 3, activation: 'relu' }), [1, 2, 2, 2, 4]],
  [
    'unrolled steps backwards, blanked: what is reversed is not written over what it reads',
    () => layers.SimpleRNN(1, { returnSequences: true, goBackwards: true, unroll: true, zeroOutputForMask: true }),
    [2, 2, 2],
    [1, 1, 1, 0],
  ],
  ['a matrix for each place', () => layers.LocallyConnected1D(2, 2, { implementation: 3, padding: 'same', strides: 2 }), [2, 5, 3]],
];

test('both targets give what the reference gives', async () => {
  const devices: Device[] = [await openDevice('wasm')];
  const gpu = await openSoftwareDevice();
  if (gpu) devices.push(gpu);
  for (const [what, make, shape, mask] of cases) {
    const reference = new ReferenceExecutor();
    const expected = await results(reference, make(), shape, mask ?? null);
    reference.dispose();
    for (const device of devices) {
      const executor = new CompiledExecutor(device);
      const found = await results(executor, make(), shape, mask ?? null);
      const worst = Math.max(...found.map((v, i) => Math.abs(v - expected[i]!)));
      assert.ok(worst < 1e-4, `${what}, on ${device.info.kind}: differs by ${worst}`);
      executor.dispose();
    }
  }
  for (const device of devices) device.dispose();
});

test('Softmax of a row without a true element: even in Keras 2, zero in Keras 3', () => {
  const x = tensor([[1, 2]]);
  const mask = tensor([[0, 0]]);
  const give = (semantics: 'keras2' | 'keras3') => [...(layers.Softmax({ semantics })(x, { mask } as never).data as Float32Array)];
  assert.equal(give('keras3'), [0, 0]);
  assert.ok(give('keras2').every((v) => v > 0.2));
});

test('MultiHeadAttention: gate and window', async () => {
  const input = Input([4, 3]);
  const windowed = layers.MultiHeadAttention(1, 2, { slidingWindow: 1, useGate: true });
  const [y, scores] = windowed([input, input], { returnAttentionScores: true }) as unknown as [typeof input, typeof input];
  const model = Model({ inputs: input, outputs: [y, scores] });
  assert.equal(
    windowed.weights.map((w) => w.path.replace(/^[^/]*\//, '')),
    [
      'query/kernel',
      'query/bias',
      'key/kernel',
      'key/bias',
      'gate/kernel',
      'gate/bias',
      'value/kernel',
      'value/bias',
      'attention_output/kernel',
      'attention_output/bias',
    ],
  );
  model.compile({ device: 'wasm' });
  const out = await model.predictAll(tensor(numbers([1, 4, 3]).data, [1, 4, 3]));
  // a window of one step: each query sees itself alone
  assert.equal(
    [...out[1]!.data].map((v) => Math.round(v * 1e6) / 1e6),
    Array.from({ length: 16 }, (_, i) => (i % 5 === 0 ? 1 : 0)),
  );
  const { use_gate: gate, sliding_window: window } = windowed.getConfig();
  assert.equal([gate, window], [true, 1]);
  model.dispose();
});

test.run();
