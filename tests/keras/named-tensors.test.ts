/** Objects of tensors as inputs and outputs, options by output names, and losses and metrics of tensors between a functional model's layers. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Input, Layer, layers, Model, modelFromJson, models, ops, type SymbolicTensor, type Tensor, tensor } from '../../frontend/keras/index.js';
import type { StepData, StepLogs } from '../../frontend/keras/models/index.js';

const close = (a: ArrayLike<number>, b: ArrayLike<number>, tolerance = 1e-5) => {
  assert.is(a.length, b.length);
  for (let i = 0; i < a.length; i++) assert.ok(Math.abs(a[i]! - b[i]!) <= tolerance * Math.max(1, Math.abs(b[i]!)), `element ${i}: ${a[i]} and ${b[i]}`);
};
const a = tensor([
  [1, 2],
  [3, 4],
]);
const b = tensor([[10], [20]]);
const data = { b, a };

/** a: sum of its features plus b; z: twice b. */
const functional = () => {
  const inputs = { b: Input({ shape: [1], name: 'second' }), a: Input({ shape: [2], name: 'first' }) };
  const sum = layers.Dense(1, { kernelInitializer: 'ones', name: 'sum' })(inputs.a);
  return Model({ inputs, outputs: { z: layers.Rescaling(2)(inputs.b), both: layers.Add()([sum, inputs.b]) } });
};

test('a functional model of objects: data, targets, losses, metrics and weights by name; files keep the names', async () => {
  const model = functional();
  assert.equal(
    model.inputSpecs.map((s) => s.name),
    ['a', 'b'],
  );
  assert.equal(model.outputNames, ['both', 'z']);
  model.compile({ optimizer: 'sgd', loss: { z: 'mae', both: 'mse' }, lossWeights: { z: 3, both: 0.5 }, metrics: { z: ['mse'] }, device: 'reference' });
  const out = await model.predictByName(data);
  close(out.both!.data, [13, 27]);
  close(out.z!.data, [20, 40]);
  const logs = await model.evaluate(data, { z: tensor([[21], [43]]), both: tensor([[13], [25]]) }, { verbose: 0, returnDict: true });
  close([logs.both_loss!, logs.z_loss!, logs.loss!, logs.z_mse!], [2, 2, 7, 5]);
  const { history } = await model.fit(data, { both: tensor([[1], [2]]), z: b }, { verbose: 0, epochs: 2, sampleWeight: { z: [1, 0], both: [1, 1] } });
  assert.ok(history.loss![1]! < history.loss![0]!);
  // called on objects it gives objects
  const [x, y] = [Input([2]), Input([1])];
  const inner = functional();
  const outer = Model({ inputs: [x, y], outputs: (inner({ a: x, b: y }) as unknown as Record<string, typeof x>).both! });
  outer.compile({ device: 'reference' });
  close((await outer.predict([a, b])).data, [13, 27]);
  for (const keras of [2, 3] as const) {
    const again = modelFromJson(model.toJson({ keras }));
    assert.equal(
      again.inputSpecs.map((s) => s.name),
      ['a', 'b'],
    );
    assert.equal(again.outputNames, ['both', 'z']);
  }
  assert.equal(models.cloneModel(functional()).outputNames, ['both', 'z']);
  const wrong = await model.predict({ a, c: b } as never).then(
    () => '',
    (e: Error) => e.message,
  );
  assert.match(wrong, /unknown name 'c'.*Expected: a, b/);
  assert.throws(() => inner({ a: x } as never), /the input 'b' is missing, got a/);
  model.dispose();
});

/** A layer and a model whose calls take and give objects. */
class Mix extends Layer {
  scale = layers.Rescaling(10);
  override call({ left, right }: { left: SymbolicTensor; right: SymbolicTensor }): { difference: SymbolicTensor; total: SymbolicTensor } {
    return { total: ops.add(this.scale(left), right), difference: ops.subtract(left, right) };
  }
}
class Named extends Model {
  mix = new Mix();
  dense = layers.Dense(1, { kernelInitializer: 'ones' });
  override call(inputs: { a: SymbolicTensor; b: SymbolicTensor }): { total: SymbolicTensor; d: SymbolicTensor } {
    const m = this.mix({ left: this.dense(inputs.a), right: inputs.b }) as unknown as { total: SymbolicTensor; difference: SymbolicTensor };
    return { total: m.total, d: m.difference };
  }
}

test('call with objects: layers, subclassed models, steps; compiled, eagerly, on arrays', async () => {
  const mixed = new Mix()({ left: b, right: b }) as unknown as Record<string, Tensor>;
  close([...mixed.total!.data, ...mixed.difference!.data], [110, 220, 0, 0]);
  for (const how of [{ device: 'wasm' }, { runEagerly: true }] as const) {
    const model = new Named();
    model.compile({ optimizer: 'sgd', loss: { total: 'mse', d: 'mae' }, ...how });
    const out = await model.predictByName(data);
    close([...out.d!.data, ...out.total!.data], [-7, -13, 40, 90]);
    const { history } = await model.fit(data, { total: b, d: b }, { verbose: 0, epochs: 1, batchSize: 2 });
    close(history.d_loss!, [25]);
    model.dispose();
  }
  class Steps extends Named {
    override trainStep({ x, y }: StepData<{ a: SymbolicTensor; b: SymbolicTensor }, { t: SymbolicTensor }>): StepLogs {
      const { total } = this(x) as unknown as { total: SymbolicTensor };
      return { error: ops.mean(ops.subtract(total, y.t)) };
    }
  }
  const steps = new Steps();
  steps.build({ a: [null, 2], b: [null, 1] } as never);
  steps.compile({ device: 'reference' });
  const { history } = await steps.fit(data, { t: b }, { verbose: 0 });
  close(history.error!, [50]);
});

test('addLoss and addMetric of tensors of a functional model', async () => {
  const x = Input([2]);
  const h = layers.Dense(2, { kernelInitializer: 'ones', name: 'h' })(x);
  const y = layers.Dense(1, { kernelInitializer: 'ones' })(h);
  const model = Model({ inputs: x, outputs: y });
  model.addLoss(ops.multiply(ops.mean(ops.square(h)), 0.1));
  model.addMetric(ops.mean(h), { name: 'activation' });
  model.compile({ optimizer: 'sgd', loss: 'mse', device: 'wasm' });
  const logs = await model.evaluate(a, tensor([[6], [14]]), { verbose: 0, returnDict: true });
  close([logs.loss!, logs.activation!], [0.1 * 29, 5]);
  // a loss alone is enough to train
  const alone = Model({ inputs: x, outputs: y });
  alone.addLoss(ops.mean(ops.square(y)));
  alone.compile({ optimizer: 'sgd', device: 'wasm' });
  const { history } = await alone.fit(a, null, { verbose: 0, epochs: 2 });
  assert.ok(history.loss![1]! < history.loss![0]!);
  model.dispose();
  alone.dispose();
});

test.run();
