/** Steps of one's own: the examples of Keras' guide "Customizing what happens in fit", on WebAssembly and eagerly, against the steps that `fit` takes by itself and against plain numbers. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Input, layers, losses, Model, metrics, ops, optimizers, Sequential, type SymbolicTensor, tensor, utils } from '../../frontend/keras/index.js';
import type { CompileOptions } from '../../frontend/keras/models/compiled.js';
import type { StepData, StepLogs } from '../../frontend/keras/models/index.js';
import { openSoftwareDevice } from '../support/webgpu.js';

const close = (a: ArrayLike<number>, b: ArrayLike<number>, tolerance = 1e-5) => {
  assert.is(a.length, b.length);
  for (let i = 0; i < a.length; i++) assert.ok(Math.abs(a[i]! - b[i]!) <= tolerance * Math.max(1, Math.abs(b[i]!)), `element ${i}: ${a[i]} and ${b[i]}`);
};
const rows = (n: number, width: number, f: (i: number) => number) =>
  tensor(
    Float32Array.from({ length: n * width }, (_, i) => f(i)),
    [n, width],
  );
const x = rows(10, 3, Math.sin);
const y = rows(10, 1, Math.cos);
const w = tensor(
  Float32Array.from({ length: 10 }, (_, i) => 0.5 + i / 10),
  [10],
);
const silent = { verbose: 0, shuffle: false, batchSize: 4, epochs: 3 } as const;
const zip = (gradients: readonly SymbolicTensor[], variables: Model['trainableWeights']) => gradients.map((g, i) => [g, variables[i]!] as const);

/** The guide's first example. */
class CustomModel extends Model {
  override trainStep({ x: input, y: target, sampleWeight }: StepData): StepLogs {
    const yPred = this(input, { training: true });
    const loss = this.computeLoss({ y: target, yPred, sampleWeight });
    const variables = this.trainableWeights;
    this.optimizer!.applyGradients(zip(ops.gradients(loss, variables), variables));
    for (const m of this.metrics) {
      if (m.name === 'loss') m.updateState(loss);
      else m.updateState(target, yPred, sampleWeight);
    }
    return Object.fromEntries(this.metrics.map((m) => [m.name, m.result()]));
  }
}

const network = (cls: new (config: { inputs: never; outputs: never }) => Model): Model => {
  utils.setRandomSeed(3);
  const inputs = Input([3]);
  const h = layers.Dense(4, { activation: 'tanh', kernelRegularizer: 'l2' })(inputs);
  return new cls({ inputs, outputs: layers.Dense(1)(layers.Dropout(0.3)(h)) } as never);
};

async function trained(model: Model, compile: CompileOptions, options: object = {}): Promise<number[]> {
  model.compile({ loss: 'mse', metrics: ['mae'], ...compile });
  const { history } = await model.fit(x, y, { ...silent, ...options });
  const weights = await model.getWeights();
  model.dispose();
  return [...history.loss!, ...history.mae!, ...weights.flatMap((t) => [...t.data])];
}

test("the guide's trainStep gives the numbers of fit: compiled, with sample weights, with a clipped optimizer, eagerly", async () => {
  const clipped = () => optimizers.Adam(0.05, { clipnorm: 0.1 });
  for (const [compile, options] of [
    [{ device: 'wasm', optimizer: 'adam' }, {}],
    [{ device: 'reference', optimizer: clipped() }, {}],
    [{ runEagerly: true, optimizer: 'sgd' }, {}],
  ] as const) {
    const plain = await trained(
      network(Model as never),
      { ...compile, optimizer: compile.optimizer === 'adam' || compile.optimizer === 'sgd' ? compile.optimizer : clipped() },
      options,
    );
    // fit weighs the mean of the loss by batch sizes, a tracker in a step does not
    const own = await trained(network(CustomModel as never), compile, options);
    close(own.slice(6), plain.slice(6), 1e-5);
    close(own.slice(3, 6), plain.slice(3, 6), 1e-5);
    assert.ok(own.slice(0, 3).every(Number.isFinite));
  }
  const weighted = { sampleWeight: w };
  const a = await trained(network(Model as never), { device: 'wasm', optimizer: 'sgd', metrics: [], weightedMetrics: ['mae'] }, weighted);
  const b = await trained(network(CustomModel as never), { device: 'wasm', optimizer: 'sgd', metrics: [], weightedMetrics: ['mae'] }, weighted);
  close(b.slice(3), a.slice(3), 1e-5);
});

test('super.trainStep and super.testStep do what fit does', async () => {
  class Same extends Model {
    override trainStep(data: StepData): StepLogs {
      return super.trainStep(data) as StepLogs;
    }
    override testStep(data: StepData): StepLogs {
      return super.testStep(data) as StepLogs;
    }
  }
  const a = await trained(network(Model as never), { device: 'wasm', optimizer: 'adam' });
  const b = await trained(network(Same as never), { device: 'wasm', optimizer: 'adam' });
  close(b, a, 1e-6);
});

/** The guide's second example: a loss and trackers of one's own, compile without a loss. */
class LowLevel extends Model {
  dense = layers.Dense(1, { kernelInitializer: 'ones' });
  lossTracker = metrics.Mean({ name: 'loss' });
  maeMetric = metrics.MeanAbsoluteError({ name: 'mae' });
  lossFn = losses.MeanSquaredError();
  override call(inputs: SymbolicTensor): SymbolicTensor {
    return this.dense(inputs);
  }
  override trainStep({ x: input, y: target }: StepData): StepLogs {
    const yPred = this(input, { training: true });
    const loss = this.lossFn(target, yPred);
    this.optimizer!.applyGradients(zip(ops.gradients(loss, this.trainableWeights), this.trainableWeights));
    this.lossTracker.updateState(loss);
    this.maeMetric.updateState(target, yPred);
    return { loss: this.lossTracker.result(), mae: this.maeMetric, half: ops.multiply(loss, 0.5) };
  }
  override testStep({ x: input, y: target }: StepData): StepLogs {
    const yPred = this(input, { training: false });
    this.maeMetric.updateState(target, yPred);
    return [this.maeMetric];
  }
  override predictStep({ x: input }: StepData): { twice: SymbolicTensor; input: SymbolicTensor } {
    return { twice: ops.multiply(this(input), 2), input };
  }
  override get metrics() {
    return [this.lossTracker, this.maeMetric];
  }
}

test("trackers of one's own begin anew at each epoch; scalars show the last batch; evaluation and prediction have steps, too", async () => {
  const model = new LowLevel();
  model.compile({ optimizer: optimizers.SGD(0), device: 'wasm' });
  const { history } = await model.fit(x, y, { ...silent, epochs: 2, validationData: [x, y] });
  const p = Array.from({ length: 10 }, (_, i) => x.data[3 * i]! + x.data[3 * i + 1]! + x.data[3 * i + 2]!);
  const mse = (from: number, to: number) => p.slice(from, to).reduce((a, v, i) => a + (v - y.data[from + i]!) ** 2, 0) / (to - from);
  const loss = (mse(0, 4) + mse(4, 8) + mse(8, 10)) / 3;
  const mae = p.reduce((a, v, i) => a + Math.abs(v - y.data[i]!), 0) / 10;
  close(history.loss!, [loss, loss]);
  close(history.mae!, [mae, mae]);
  close(history.half!, [mse(8, 10) / 2, mse(8, 10) / 2]);
  close(history.val_mae!, [mae, mae]);
  assert.equal(Object.keys(history), ['loss', 'mae', 'half', 'val_mae']);
  close([(await model.evaluate(x, y, { verbose: 0 })) as number], [mae]);
  close(Object.values((await model.trainOnBatch(x, y, { returnDict: true })) as object) as number[], [mse(0, 10), mae, mse(0, 10) / 2]);
  const [twice, input] = await model.predictAll(x);
  close(
    twice!.data,
    p.map((v) => 2 * v),
  );
  close(input!.data, x.data);
  model.dispose();
});

/** The guide's GAN: two optimizers, each for its own weights, random latent vectors, no call. */
class GAN extends Model {
  dOptimizer!: optimizers.Optimizer;
  gOptimizer!: optimizers.Optimizer;
  dLoss = metrics.Mean({ name: 'd_loss' });
  gLoss = metrics.Mean({ name: 'g_loss' });
  constructor(
    readonly discriminator: Model,
    readonly generator: Model,
    readonly latent: number,
  ) {
    super({ name: 'gan' });
  }
  override trainStep({ x: real }: StepData): StepLogs {
    const lossFn = losses.BinaryCrossentropy({ fromLogits: true });
    const [batch] = ops.shape(real) as [number];
    const noise = () => ops.random.normal([batch, this.latent]);
    const generated = this.generator(noise());
    const both = ops.concatenate([generated, real], 0);
    const labels = ops.concatenate([ops.ones([batch, 1]), ops.zeros([batch, 1])], 0);
    const dLoss = lossFn(labels, this.discriminator(both));
    this.dOptimizer.applyGradients(zip(ops.gradients(dLoss, this.discriminator.trainableWeights), this.discriminator.trainableWeights));
    // against the discriminator as it is now
    const gLoss = lossFn(ops.zeros([batch, 1]), this.discriminator(this.generator(noise())));
    this.gOptimizer.applyGradients(zip(ops.gradients(gLoss, this.generator.trainableWeights), this.generator.trainableWeights));
    this.dLoss.updateState(dLoss);
    this.gLoss.updateState(gLoss);
    return { d_loss: this.dLoss.result(), g_loss: this.gLoss.result() };
  }
}

test('a GAN: two optimizers in one step', async () => {
  const results: number[][] = [];
  for (const how of [{ device: 'wasm' }, { device: 'reference' }] as const) {
    utils.setRandomSeed(5);
    const dense = (units: number, activation: string, n: number) => layers.Dense(units, { activation, inputShape: [n] });
    const gan = new GAN(Sequential([dense(6, 'relu', 3), layers.Dense(1)]), Sequential([dense(5, 'tanh', 2), layers.Dense(3)]), 2);
    gan.dOptimizer = optimizers.Adam(0.02);
    gan.gOptimizer = optimizers.Adam(0.01, { beta1: 0.5 });
    gan.compile(how);
    const before = (await gan.getWeights()).map((t) => [...t.data]);
    assert.is(before.length, 8);
    const { history } = await gan.fit(x, null, silent);
    const after = await gan.getWeights();
    after.forEach((t, i) =>
      assert.ok(
        [...t.data].some((v, j) => v !== before[i]![j]),
        `weight ${i} was trained`,
      ),
    );
    results.push([...history.d_loss!, ...history.g_loss!, ...after.flatMap((t) => [...t.data])]);
    gan.dispose();
  }
  close(results[1]!, results[0]!, 2e-4);
});

test('what a step must not do is an error that says so', async () => {
  const message = async (step: (model: CustomModel, data: StepData) => StepLogs): Promise<string> => {
    class Bad extends CustomModel {
      override trainStep(data: StepData): StepLogs {
        return step(this, data);
      }
    }
    const model = network(Bad as never);
    model.compile({ loss: 'mse', device: 'reference' });
    return model.fit(x, y, silent).then(
      () => 'no error',
      (e: Error) => e.message,
    );
  };
  assert.match(await message(() => ({})), /trainStep must give an object of metrics or scalars by name/);
  assert.match(
    await message((_, { x: input }) => ({ loss: input })),
    /trainStep: 'loss' must be a metric or a scalar tensor, got SymbolicTensor\(float32\[batch,3\]\)/,
  );
  const twice = await message((model, { x: input }) => {
    const loss = ops.mean(model(input));
    const pairs = zip(ops.gradients(loss, model.trainableWeights), model.trainableWeights);
    model.optimizer!.applyGradients(pairs);
    model.optimizer!.applyGradients(pairs);
    return { loss };
  });
  assert.match(twice, /RMSprop.applyGradients: this optimizer has updated variables in this step already/);
  const model = network(CustomModel as never);
  model.compile({ loss: 'mse' });
  assert.throws(() => model.computeLoss({ yPred: [] }), /computeLoss belongs into trainStep or testStep/);
});

test('metrics and losses on arrays, outside of models', () => {
  const m = metrics.Mean();
  m.updateState([1, 3, 5, 7]);
  assert.is(m.result().value, 4);
  m.resetState();
  m.updateState([1, 3, 5, 7], [1, 1, 0, 0]);
  assert.is(m.result().value, 2);
  const accuracy = metrics.BinaryAccuracy();
  accuracy.updateState([[1], [1], [0], [0]], [[0.98], [1], [0], [0.6]]);
  assert.is(Number(accuracy.result()), 0.75);
  close(
    losses.MeanSquaredError({ reduction: 'none' })(
      tensor([
        [0, 1],
        [0, 0],
      ]),
      tensor([
        [1, 1],
        [1, 0],
      ]),
    ).data,
    [0.5, 0.5],
  );
  close(losses.MeanSquaredError()([[0], [2]], [[1], [2]]).data, [0.5]);
});

test("steps of one's own on WebGPU give the numbers of WebAssembly", async () => {
  const gpu = await openSoftwareDevice();
  if (!gpu) return;
  const run = async (device: CompileOptions['device']): Promise<number[]> => {
    const adam = await trained(network(CustomModel as never), { device, optimizer: optimizers.Adam(0.05, { clipnorm: 0.1 }) }, { sampleWeight: w });
    const model = new LowLevel();
    model.compile({ optimizer: optimizers.SGD(0.1), device });
    const { history } = await model.fit(x, y, { ...silent, validationData: [x, y] });
    const evaluated = (await model.evaluate(x, y, { verbose: 0 })) as number;
    const predicted = await model.predictAll(x);
    model.dispose();
    return [...adam, ...Object.values(history).flat(), evaluated, ...predicted.flatMap((t) => [...t.data])] as number[];
  };
  close(await run(gpu), await run('wasm'), 1e-4);
  gpu.dispose();
});

test.run();
