/**
 * The rows of compile times that do not depend on a machine: memory of networks of keras.applications beside the sum of all activations (their configurations lie outside the repository), and what
 * decides that two runtimes agree. Times are measured by `npm run bench -- --compile`.
 */
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { activationBytes, agree, architectureFile, architectures } from '../../bench/compile.js';
import { inputFor, sample } from '../../bench/compile-inputs.js';
import { compile } from '../../codegen/compile.js';
import { wasmTarget } from '../../codegen/target.js';
import { Input, layers, Model, modelFromConfig } from '../../frontend/keras/index.js';
import type { SerializedObject } from '../../frontend/keras/utils/serialization.js';

test('inputs: free dimensions are 1, other types are refused', () => {
  assert.equal(inputFor({ name: 'x', dtype: 'int32', shape: ['batch', 3] }), { name: 'x', dtype: 'int32', shape: [1, 3], data: Int32Array.of(0, 37, 74) });
  assert.is(inputFor({ name: 'x', dtype: 'float32', shape: [2, null] }).data.length, 2);
  assert.throws(() => inputFor({ name: 'x', dtype: 'int64', shape: [1] }), /input 'x' is int64/);
});

test('outputs agree by their first numbers', () => {
  assert.equal(sample(Float32Array.of(1 / 3, 2)), [0.33333, 2]);
  assert.ok(agree([1, 2], [1.0005, 2]));
  assert.not(agree([1, 2], [1.01, 2]));
  assert.not(agree([], []));
  assert.not(agree([1], [1, 2]));
  assert.not(agree([Number.NaN], [Number.NaN]));
});

test('activations of a model: what every layer gives for one sample', () => {
  const x = Input([4, 4, 2]);
  const model = Model({ inputs: x, outputs: layers.Flatten()(layers.Conv2D(3, 3)(x)) });
  assert.is(activationBytes(model), 4 * (32 + 12 + 12));
});

/** Kernels and per cent of all activations that the arena takes at most, on WASM for one sample. */
const most = { mobilenet: [29, 7], mobilenet_v2: [54, 8], resnet50: [55, 4], inception_v3: [121, 9] } as const;

for (const name of architectures) {
  if (!existsSync(architectureFile(name))) {
    console.log(`${name}: skipped, its configuration is absent (set TENON_SHARED)`);
    continue;
  }
  test(`${name}: kernels and memory`, () => {
    const model = modelFromConfig(JSON.parse(readFileSync(architectureFile(name), 'utf8')) as SerializedObject);
    const { plan } = compile({ main: (model as Model).programs({ batchSize: 1, only: ['predict'] }).predict! }, { target: wasmTarget(2, false) });
    const [kernels, percent] = most[name];
    assert.ok(plan.programs[0]!.steps.length <= kernels, `${plan.programs[0]!.steps.length} kernels, at most ${kernels}`);
    const found = (100 * plan.memory.main!.arena) / activationBytes(model);
    assert.ok(found <= percent, `the arena is ${found.toFixed(1)} % of all activations, at most ${percent}`);
  });
}

test.run();
