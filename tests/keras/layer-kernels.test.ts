/** Fusion serves the layers: how many kernels an inference of typical blocks costs on WebGPU and on WebAssembly. The numbers are limits, reached when written. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compile } from '../../codegen/compile.js';
import { type TargetInfo, wasmTarget, webgpuTarget } from '../../codegen/target.js';
import { Input, type KerasTensor, layers, Model } from '../../frontend/keras/index.js';
import type { PlanStep } from '../../runtime/plan.js';

/** Kernels of the steps; `inLoops` counts those that run at every step of a loop. */
function kernelsOf(steps: readonly PlanStep[], loop = false): { readonly all: number; readonly inLoops: number } {
  let [all, inLoops] = [0, 0];
  for (const s of steps) {
    const inner = s.kind === 'loop' ? kernelsOf(s.body, true) : { all: 1, inLoops: loop ? 1 : 0 };
    all += inner.all;
    inLoops += inner.inLoops;
  }
  return { all, inLoops };
}

type Counts = ReturnType<typeof kernelsOf>;
const targets: Readonly<Record<'webgpu' | 'wasm', TargetInfo>> = { webgpu: webgpuTarget, wasm: wasmTarget(2, false) };

/** Kernels on both targets. */
function count(shape: readonly number[], block: (x: KerasTensor) => KerasTensor): Record<keyof typeof targets, Counts> {
  const x = Input(shape);
  const model = Model({ inputs: x, outputs: block(x) });
  const on = (target: TargetInfo): Counts => {
    const { plan } = compile(model.programs({ only: ['predict'], batchSize: 8 }), { target, name: 'block' });
    return kernelsOf(plan.programs[0]!.steps);
  };
  return { webgpu: on(targets.webgpu), wasm: on(targets.wasm) };
}

/** Limits on WebGPU and on WebAssembly. */
const atMost = (
  what: string,
  found: Record<keyof typeof targets, Counts>,
  limits: readonly [webgpu: number, wasm: number],
  part: keyof Counts = 'all',
): void => {
  const numbers = [found.webgpu[part], found.wasm[part]];
  assert.ok(
    numbers.every((n, i) => n <= limits[i]!),
    `${what}: ${numbers} kernels on WebGPU and WebAssembly, the limits are ${limits}`,
  );
};

test('attention: softmax(QKᵀ)V', () => {
  atMost(
    'Attention',
    count([16, 32], (x) => layers.Attention()([x, x])),
    [3, 3],
  );
  atMost(
    'MultiHeadAttention',
    count([16, 32], (x) => layers.MultiHeadAttention(4, 8)([x, x])),
    [5, 7],
  );
});

test('a transformer encoder block', () => {
  const encoder = (x: KerasTensor): KerasTensor => {
    const a = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(4, 8)([x, x])]));
    return layers.LayerNormalization()(layers.Add()([a, layers.Dense(32)(layers.Dense(64, { activation: 'gelu' })(a))]));
  };
  atMost('encoder', count([16, 32], encoder), [9, 12]);
});

test('a MobileNetV2 block', () => {
  const block = (x: KerasTensor): KerasTensor => {
    const relu6 = () => layers.ReLU({ maxValue: 6 });
    const wide = relu6()(layers.BatchNormalization()(layers.Conv2D(144, 1, { useBias: false })(x)));
    const deep = relu6()(layers.BatchNormalization()(layers.DepthwiseConv2D(3, { padding: 'same', useBias: false })(wide)));
    return layers.Add()([x, layers.BatchNormalization()(layers.Conv2D(24, 1, { useBias: false })(deep))]);
  };
  atMost('block', count([16, 16, 24], block), [3, 3]);
});

test('recurrent layers', () => {
  const gru = count([16, 32], (x) => layers.GRU(24)(x));
  atMost('GRU', gru, [2, 3]);
  const bidirectional = count([16, 32], (x) => layers.Bidirectional(layers.GRU(24))(x));
  atMost('Bidirectional GRU', bidirectional, [5, 6]);
  for (const size of [12, 64]) {
    const lstm = count([6, size, size, 3], (x) => layers.ConvLSTM2D(8, 3, { padding: 'same' })(x));
    atMost(`ConvLSTM2D on ${size}×${size}, each step`, lstm, [3, 3], 'inLoops');
    atMost(`ConvLSTM2D on ${size}×${size}`, lstm, [6, 6]);
  }
});

test.run();
