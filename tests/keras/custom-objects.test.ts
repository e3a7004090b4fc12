/** Classes of one's own in configurations, cloneModel, trainable flags, and the variational autoencoder of Keras' guide. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type CallArguments,
  Input,
  type KerasShape,
  Layer,
  layers,
  Model,
  modelFromConfig,
  models,
  ops,
  Sequential,
  type SymbolicTensor,
  tensor,
  utils,
  type Variable,
} from '../../frontend/keras/index.js';
import { BatchNormalizationClass, SyncBatchNormalizationClass } from '../../frontend/keras/layers/normalization.js';
import { deserialize, serialize } from '../../frontend/keras/layers/serialization.js';

class Scale extends Layer {
  factor!: Variable;
  readonly shift: number;
  constructor({ shift = 0, ...options }: { shift?: number; name?: string } = {}) {
    super(options);
    this.shift = shift;
  }
  override build(inputShape: KerasShape): void {
    this.factor = this.addWeight({ name: 'factor', shape: [inputShape.at(-1)!], initializer: 'ones' });
  }
  override call(x: SymbolicTensor): SymbolicTensor {
    return ops.add(ops.multiply(x, this.factor), this.shift);
  }
  override getConfig() {
    return { ...super.getConfig(), shift: this.shift };
  }
}

test('a custom layer in a configuration: given, in a scope, registered', () => {
  const config = JSON.parse(Sequential([Input([3]), new Scale({ shift: 2, name: 's' })]).toJson()) as object;
  const again = () => modelFromConfig(config as never);
  assert.throws(again, /layers of unknown classes: 's' \(Scale\)/);
  const check = (m: ReturnType<typeof again>) => {
    assert.instance(m.layers[0], Scale);
    assert.is((m.layers[0] as Scale).shift, 2);
  };
  check(modelFromConfig(config as never, { customObjects: { Scale } }));
  check(utils.customObjectScope({ Scale }, again));
  assert.throws(again, /layers of unknown classes: 's' \(Scale\)/);
  utils.registerKerasSerializable('tests')(Scale);
  check(again());
  assert.is(utils.getRegisteredName(Scale), 'tests>Scale');
  assert.is(utils.getRegisteredObject('tests>Scale'), Scale);
  // Keras 2 names the class by its registered name, Keras 3 by its own
  for (const [keras, className] of [
    [2, 'tests>Scale'],
    [3, 'Scale'],
  ] as const) {
    const written = JSON.parse(Sequential([Input([3]), new Scale()]).toJson({ keras })) as {
      config: { layers: { registered_name: string; class_name: string; module: string | null }[] };
    };
    const { registered_name, class_name, module } = written.config.layers[1]!;
    assert.equal([registered_name, class_name, module], ['tests>Scale', className, null]);
    assert.instance(modelFromConfig(written as never).layers[0], Scale);
  }
  assert.throws(() => utils.registerKerasSerializable('tests', 'Scale')(class Other extends Scale {}), /'tests>Scale' is registered already/);
});

test('fromConfig of a class gets the configuration as it is; functions and classes may be named in configurations of layers', () => {
  class Pair extends Scale {
    static override fromConfig(config: { readonly [key: string]: unknown }): Layer {
      return new Pair({ shift: Number(config.shift) * 10 });
    }
  }
  const layer = utils.customObjectScope({ Pair }, () => layers.deserialize({ class_name: 'Pair', config: { shift: 3 } })) as Scale;
  assert.is(layer.shift, 30);
  const twice = (x: SymbolicTensor) => ops.multiply(x, 2);
  const dense = utils.customObjectScope({ twice }, () => layers.Dense(1, { activation: 'twice', kernelInitializer: 'ones' }));
  assert.equal([...dense(tensor([[1, 2]])).data], [6]);
});

test('callable lets a class of one s own be called without new', () => {
  const Called = utils.callable(Scale);
  assert.instance(Called({ shift: 1 }), Scale);
  assert.equal([...Called({ shift: 1 })(tensor([[1, 2]])).data], [2, 3]);
});

test('cloneModel: same architecture, other weights; with a function for layers', async () => {
  const x = Input({ shape: [4], name: 'x' });
  const shared = layers.Dense(4, { activation: 'relu' });
  const square = layers.Lambda((t: SymbolicTensor) => ops.square(t));
  const y = layers.Add()([shared(shared(x)), square(x), ops.multiply(x, 2)]);
  const model = Model({ inputs: x, outputs: layers.Dropout(0.5)(y) });
  const clone = models.cloneModel(model);
  assert.is(clone.weights.length, 2);
  assert.not.equal(clone.weights[0], model.weights[0]);
  clone.setWeights(await model.getWeights());
  const data = tensor([[1, -2, 3, 0.5]]);
  for (const m of [model, clone]) m.compile({ device: 'wasm' });
  assert.equal([...(await clone.predict(data)).data], [...(await model.predict(data)).data]);
  const seen: string[] = [];
  const other = models.cloneModel(Sequential([Input([4]), layers.Dense(2, { name: 'a' }), layers.Dropout(0.5)]), {
    cloneFunction: (l) => {
      seen.push(l.className);
      return l.className === 'Dropout' ? layers.Identity() : layers.Dense(3);
    },
  });
  assert.equal(seen, ['Dense', 'Dropout']);
  assert.equal(other.outputShapes(), [[3]]);
  assert.throws(() => models.cloneModel(new (class Mine extends Model {})()), /is a subclassed model/);
});

test('trainable of a model sets its layers; BatchNormalization then uses its moving statistics', async () => {
  const inner = Sequential([Input([2]), layers.Dense(2), layers.BatchNormalization()]);
  const model = Sequential([Input([2]), inner, layers.Dense(1)]);
  assert.is(model.trainableWeights.length, 6);
  assert.is(model.nonTrainableWeights.length, 2);
  inner.trainable = false;
  assert.ok(inner.layers.every((l) => !l.trainable));
  assert.is(model.trainableWeights.length, 2);
  assert.is(model.nonTrainableWeights.length, 6);
  assert.is(model.weights.length, 8);
  model.compile({ optimizer: 'sgd', loss: 'mse', device: 'wasm' });
  const before = await model.getWeights();
  await model.fit(
    tensor([
      [1, 2],
      [3, 4],
    ]),
    tensor([[1], [2]]),
    { verbose: 0, epochs: 2 },
  );
  const after = await model.getWeights();
  const changed = after.map((w, i) => w.data.some((v, k) => v !== before[i]!.data[k]));
  assert.equal(changed, [false, false, false, false, false, false, true, true]);
  model.dispose();
});

/** Sampling, Encoder, Decoder and VariationalAutoEncoder of "Making new layers and models via subclassing". */
class Sampling extends Layer {
  override call(inputs: readonly SymbolicTensor[]): SymbolicTensor {
    const [mean, logVariance] = inputs as [SymbolicTensor, SymbolicTensor];
    const noise = ops.random.normal(ops.shape(mean), { seed: 1 });
    return ops.add(mean, ops.multiply(ops.exp(ops.multiply(logVariance, 0.5)), noise));
  }
}
class Encoder extends Layer {
  project = layers.Dense(8, { activation: 'relu' });
  mean = layers.Dense(2);
  logVariance = layers.Dense(2);
  sampling = new Sampling();
  override call(inputs: SymbolicTensor): SymbolicTensor[] {
    const x = this.project(inputs);
    const [mean, logVariance] = [this.mean(x), this.logVariance(x)];
    return [mean, logVariance, this.sampling([mean, logVariance])];
  }
}
class VariationalAutoEncoder extends Model {
  encoder = new Encoder({ name: 'encoder' });
  decoder = Sequential([layers.Dense(8, { activation: 'relu' }), layers.Dense(6, { activation: 'sigmoid' })], { name: 'decoder' });
  override call(inputs: SymbolicTensor, _args: CallArguments): SymbolicTensor {
    const [mean, logVariance, z] = this.encoder.compute(inputs) as [SymbolicTensor, SymbolicTensor, SymbolicTensor];
    const kl = ops.multiply(ops.mean(ops.add(ops.subtract(ops.subtract(logVariance, ops.square(mean)), ops.exp(logVariance)), 1)), -0.5);
    this.addLoss(kl);
    return this.decoder(z);
  }
}

test('VAE: trains with its own loss, the same on WebAssembly and eagerly', async () => {
  const x = tensor(
    Float32Array.from({ length: 96 }, (_, i) => (i % 6 === i % 4 ? 1 : 0)),
    [16, 6],
  );
  const losses: number[][] = [];
  for (const how of [{ device: 'wasm' }, { runEagerly: true }] as const) {
    utils.setRandomSeed(2);
    const vae = new VariationalAutoEncoder({ name: 'vae' });
    vae.compile({ optimizer: 'adam', loss: 'mse', ...how });
    const epochs = how === undefined || 'runEagerly' in how ? 2 : 60;
    const h = await vae.fit(x, x, { epochs, verbose: 0, batchSize: 8, shuffle: false });
    losses.push(h.history.loss as number[]);
    assert.is(vae.weights.length, 10);
    assert.is(vae.weights[0]!.path, `vae/encoder/${vae.encoder.project.name}/kernel`);
    vae.dispose();
  }
  assert.ok(losses[0]!.at(-1)! < losses[0]![0]!, 'the loss falls');
  for (const i of [0, 1]) assert.ok(Math.abs(losses[0]![i]! - losses[1]![i]!) < 1e-4 * losses[0]![i]!, `epoch ${i}: ${losses[0]![i]} and ${losses[1]![i]}`);
});

test('SyncBatchNormalization is BatchNormalization with synchronized: the moving variance is not that of the sample', () => {
  const x = tensor(
    Float32Array.from({ length: 24 }, (_, i) => Math.sin(i)),
    [2, 2, 3, 2],
  );
  const moved = (layer: BatchNormalizationClass): number[] => {
    (layer as unknown as (x: unknown, args: object) => unknown)(x, { training: true });
    return [...layer.movingVariance.value];
  };
  const [sync, same, plain] = [
    new SyncBatchNormalizationClass({ semantics: 'keras2' }),
    new BatchNormalizationClass({ semantics: 'keras2', synchronized: true }),
    new BatchNormalizationClass({ semantics: 'keras2' }),
  ].map(moved);
  assert.equal(sync, same);
  assert.not.equal(sync, plain);
  for (const [semantics, name] of [
    ['keras2', 'SyncBatchNormalization'],
    ['keras3', 'BatchNormalization'],
  ] as const) {
    const written = serialize(new SyncBatchNormalizationClass({ semantics, name: 'n' }));
    assert.is(written.class_name, name);
    assert.equal(serialize(deserialize(written, { semantics })), written);
    assert.is((deserialize(written, { semantics }) as BatchNormalizationClass).synchronized, true);
  }
});

test.run();
