/** Every optimizer: its update is one kernel where its rule is elementwise; files keep its state to the last bit; gradients that gather; bad options. Numbers: golden cases and test:interop. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { stepFigures } from '../../bench/plan-figures.js';
import { Input, layers, loadModel, type ModelBase, optimizers, Sequential, tensor, utils } from '../../frontend/keras/index.js';

const dir = mkdtempSync(path.join(tmpdir(), 'tenon-optimizers-'));
test.after(() => rmSync(dir, { recursive: true }));

const numbers = (seed: number, ...shape: number[]) =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(seed * 7.3 + i * 1.7)),
    shape,
  );
const [x, y] = [numbers(1, 8, 4), numbers(2, 8, 2)];

const build = (optimizer: optimizers.Optimizer, semantics: 'keras2' | 'keras3' = 'keras3'): ModelBase => {
  utils.clearSession();
  utils.setRandomSeed(5);
  const model = Sequential({
    semantics,
    layers: [Input([4], { semantics }), layers.Dense(6, { activation: 'tanh', semantics }), layers.Dense(2, { semantics })],
  });
  model.compile({ optimizer, loss: 'mse', device: 'wasm' });
  return model;
};
const step = async (model: ModelBase, a = x, b = y) => ((await model.trainOnBatch(a, b, { returnDict: true })) as Record<string, number>).loss!;
const weightsOf = async (model: ModelBase) => (await model.getWeights()).flatMap((w) => Array.from(w.data as Float32Array));

const elementwise: Readonly<Record<string, () => optimizers.Optimizer>> = {
  SGD: () => optimizers.SGD(0.05),
  momentum: () => optimizers.SGD(0.05, { momentum: 0.9, nesterov: true }),
  RMSprop: () => optimizers.RMSprop(0.01, { momentum: 0.5, centered: true }),
  Adam: () => optimizers.Adam(0.02),
  amsgrad: () => optimizers.Adam(0.02, { amsgrad: true }),
  AdamW: () => optimizers.AdamW(0.02),
  Adagrad: () => optimizers.Adagrad(0.05),
  Adamax: () => optimizers.Adamax(0.02),
  Adadelta: () => optimizers.Adadelta(0.5),
  Nadam: () => optimizers.Nadam(0.02),
  Ftrl: () => optimizers.Ftrl(0.05, { l1RegularizationStrength: 0.01, l2ShrinkageRegularizationStrength: 0.01, learningRatePower: -0.6 }),
  Lion: () => optimizers.Lion(0.01),
  ScheduleFreeAdamW: () => optimizers.ScheduleFreeAdamW(0.02, { warmupSteps: 3 }),
  restarts: () => optimizers.Adam(optimizers.schedules.CosineDecayRestarts(0.02, 3)),
  average: () => optimizers.Adam(0.02, { useEma: true, emaOverwriteFrequency: 2 }),
  gathering: () => optimizers.Adam(0.02, { gradientAccumulationSteps: 2 }),
};
const perWeight: Readonly<Record<string, () => optimizers.Optimizer>> = {
  Adafactor: () => optimizers.Adafactor(0.02),
  Lamb: () => optimizers.Lamb(0.02),
  Muon: () => optimizers.Muon(0.02, { excludeLayers: ['dense_1'] }),
};

for (const [name, make] of Object.entries(elementwise)) {
  test(`${name}: one kernel updates all weights`, async () => {
    const model = build(make());
    await step(model);
    const compiled = (await model.session()).plans.train!;
    const { plan } = compiled;
    assert.is(stepFigures(compiled, plan.programs[0]!.name, { batch: 8 }, 0).optimizerKernels, 1);
    // the slots are written by the same kernel
    const size = (shape: readonly number[]) => shape.reduce((a, d) => a * d, 1);
    const vectors = plan.state.filter((s) => size(s.shape) === size(plan.state.find((p) => p.name === 'params')!.shape));
    const writers = plan.programs[0]!.steps.filter(
      (s) =>
        s.kind !== 'loop' &&
        plan.kernels[s.kernel]!.args.some((a, i) => a.access !== 'read' && vectors.some((v) => v.buffer === s.buffers[a.binding] && v.offset === s.offsets[i])),
    );
    assert.is(writers.length, 1, writers.map((s) => s.kind !== 'loop' && plan.kernels[s.kernel]!.name).join());
    model.dispose();
  });
}

for (const [name, make] of [...Object.entries(elementwise), ...Object.entries(perWeight)]) {
  test(`${name}: configuration comes back, and the loss falls`, async () => {
    const o = make();
    assert.equal(optimizers.deserialize(optimizers.serialize(o), 'keras3').getConfig(), o.getConfig());
    const model = build(o);
    const first = await step(model);
    let last = first;
    for (let i = 0; i < 12; i++) last = await step(model);
    assert.ok(last < first, `${first} to ${last}`);
    model.dispose();
  });

  test(`${name}: files keep the state to the last bit`, async () => {
    for (const [ending, keras] of [
      ['keras', 3],
      ['h5', 3],
      ['h5', 2],
      ['ckpt', 2],
    ] as const) {
      if (keras === 2 && name === 'gathering') continue;
      const model = build(make());
      for (let i = 0; i < 3; i++) await step(model);
      const at = path.join(dir, `${name}.${keras}.${ending}`);
      if (ending === 'ckpt') await model.saveWeights(at, { keras });
      else await model.save(at, { keras });
      let again: ModelBase;
      if (ending === 'ckpt') {
        again = build(make());
        await again.loadWeights(at);
      } else again = await loadModel(at, { device: 'wasm' });
      for (let i = 0; i < 3; i++) assert.is(await step(again), await step(model), `${ending} of Keras ${keras}, step ${i}`);
      assert.equal(await weightsOf(again), await weightsOf(model));
      again.dispose();
      model.dispose();
    }
  });
}

test('gradients of two half batches make the step of the whole batch', async () => {
  const [gathering, whole] = [build(optimizers.Adam(0.02, { gradientAccumulationSteps: 2 })), build(optimizers.Adam(0.02))];
  const before = await weightsOf(gathering);
  const half = (t: typeof x, from: number) =>
    tensor((t.data as Float32Array).slice((from * t.data.length) / 2, ((from + 1) * t.data.length) / 2), [4, t.shape[1]!]);
  for (let round = 0; round < 2; round++) {
    const start = await weightsOf(gathering);
    await step(gathering, half(x, 0), half(y, 0));
    assert.equal(await weightsOf(gathering), start, 'nothing moves in the first step');
    await step(gathering, half(x, 1), half(y, 1));
    await step(whole);
  }
  const [a, b] = [await weightsOf(gathering), await weightsOf(whole)];
  assert.not.equal(a, before);
  a.forEach((v, i) => {
    assert.ok(Math.abs(v - b[i]!) < 1e-6, `${v} and ${b[i]}`);
  });
  gathering.dispose();
  whole.dispose();
});

test('the product of Nadam’s momenta follows from the number of steps', async () => {
  const o = optimizers.Nadam(0.02);
  const model = build(o);
  for (let i = 0; i < 4; i++) await step(model);
  const state = await model.exportState();
  const product = state.slots.get(o.stateName('u_product'))![0]!;
  assert.ok(Math.abs(Number(product) - o.scalarSlots(4).u_product!) < 1e-6);
  model.dispose();
});

test('legacy optimizers by their module', () => {
  for (const [name, make] of Object.entries(optimizers.legacy)) {
    if (name === 'Optimizer') continue;
    const o = (make as (rate: number) => optimizers.Optimizer)(0.01);
    assert.is(o.className, name);
    assert.is(o.api, 'legacy');
  }
  assert.is(optimizers.legacy.SGD(0.1, { decay: 0.5 }).decay, 0.5);
});

test('bad options are refused by name', () => {
  const refuses = (f: () => unknown, text: RegExp) => assert.throws(f, text);
  refuses(() => optimizers.Ftrl({ learningRatePower: 1 }), /Ftrl: 'learningRatePower'/);
  refuses(() => optimizers.Adadelta({ rho: 2 }), /Adadelta: 'rho' must be between 0 and 1/);
  refuses(() => optimizers.Muon({ excludeLayers: ['('] }), /Muon: 'excludeLayers' has '\('/);
  refuses(() => optimizers.Adam({ gradientAccumulationSteps: 1.5 }), /gradientAccumulationSteps/);
  refuses(() => optimizers.Adam({ gradientAccumulationSteps: 2, api: 'keras2' }), /belongs to the optimizers of Keras 3/);
  refuses(() => optimizers.Nadam({ api: 'legacy', learningRate: optimizers.schedules.CosineDecay(0.1, 5) }), /takes no schedule/);
  refuses(() => optimizers.get('adadelt'), /Did you mean 'adadelta'/);
  refuses(() => optimizers.schedules.CosineDecayRestarts(0.1, 5, { tMul: 0 }), /'tMul' must be above 0/);
});

test('accumulating gradients cannot be written for Keras 2', async () => {
  const model = build(optimizers.Adam(0.02, { gradientAccumulationSteps: 2 }));
  let message = '';
  try {
    await model.save(path.join(dir, 'no.h5'), { keras: 2 });
  } catch (e) {
    message = (e as Error).message;
  }
  assert.match(message, /gradientAccumulationSteps of Adam does not exist in Keras 2/);
  model.dispose();
});

test('pop takes the last layer away; a compiled model goes on with the others', async () => {
  const model = Sequential([Input([4]), layers.Dense(6, { activation: 'tanh' }), layers.Dense(2), layers.Dense(3)]);
  model.compile({ optimizer: 'sgd', loss: 'mse', device: 'wasm' });
  const [three] = await model.predictAll(x);
  assert.equal(three!.shape, [8, 3]);
  const kernel = (await model.getWeights())[0]!;
  const popped = model.pop();
  assert.is(popped.className, 'Dense');
  const [two] = await model.predictAll(x);
  assert.equal(two!.shape, [8, 2]);
  assert.equal((await model.getWeights())[0]!.data, kernel.data);
  assert.ok(Number.isFinite(await step(model)));
  model.add(layers.Dense(5));
  assert.equal((await model.predictAll(x))[0]!.shape, [8, 5]);
  model.dispose();
  const empty = Sequential([layers.Dense(2)]);
  empty.pop();
  assert.throws(() => empty.pop(), /has no layers to pop/);
});

test.run();
