/** Models and layers written as classes: the examples of Keras' guides, on WebAssembly, the reference evaluation and eagerly. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  backend,
  type CallArguments,
  Input,
  type KerasShape,
  Layer,
  type LayerOptions,
  layers,
  Model,
  metrics,
  ops,
  Sequential,
  type SymbolicTensor,
  tensor,
  utils,
  type Variable,
} from '../../frontend/keras/index.js';

const close = (a: ArrayLike<number>, b: ArrayLike<number>, tolerance = 1e-5) => {
  assert.is(a.length, b.length);
  for (let i = 0; i < a.length; i++) assert.ok(Math.abs(a[i]! - b[i]!) <= tolerance * Math.max(1, Math.abs(b[i]!)), `element ${i}: ${a[i]} and ${b[i]}`);
};
const x8 = tensor(
  Float32Array.from({ length: 24 }, (_, i) => Math.sin(i)),
  [8, 3],
);
const y8 = tensor(
  Float32Array.from({ length: 16 }, (_, i) => Math.cos(i)),
  [8, 2],
);
const silent = { verbose: 0, shuffle: false, batchSize: 4 } as const;

/** The guide's MyLayer, with the functions of backend as the guide writes it. */
class MyLayer extends Layer {
  static override readonly className = 'MyLayer';
  kernel!: Variable;
  readonly outputDim: number;
  constructor(outputDim: number, options: LayerOptions = {}) {
    super(options);
    this.outputDim = outputDim;
  }
  override build(inputShape: readonly (number | null)[]): void {
    this.kernel = this.addWeight({ name: 'kernel', shape: [inputShape[1]!, this.outputDim], initializer: 'uniform', trainable: true });
  }
  override call(x: SymbolicTensor): SymbolicTensor {
    return backend.dot(x, this.kernel);
  }
  override computeOutputShape(inputShape: readonly (number | null)[]): (number | null)[] {
    return [inputShape[0]!, this.outputDim];
  }
}

test('MyLayer: backend.dot with a weight of its own, in a model that trains', async () => {
  const layer = new MyLayer(2, { name: 'my' });
  const model = Sequential([layer], { name: 'm' });
  model.compile({ optimizer: 'sgd', loss: 'mse', device: 'wasm' });
  const x = tensor([
    [1, 2, 3],
    [3, 1, 0],
  ]);
  const y = tensor([
    [1, 0],
    [0, 1],
  ]);
  const { history } = await model.fit(x, y, { epochs: 30, verbose: 0 });
  assert.ok(history.loss!.at(-1)! < 0.5 * history.loss![0]!, `${history.loss}`);
  assert.equal(layer.kernel.path, 'my/kernel');
  assert.equal(layer.computeOutputShape([null, 3]), [null, 2]);
  const [k] = await model.getWeights();
  const predicted = await model.predict(x);
  const expected = [0, 1].flatMap((r) => [0, 1].map((c) => [0, 1, 2].reduce((sum, i) => sum + Number(x.data[3 * r + i]) * Number(k!.data[2 * i + c]), 0)));
  for (const [i, v] of expected.entries()) assert.ok(Math.abs(Number(predicted.data[i]) - v) < 1e-5);
  model.dispose();
});

/** The guide's MyModel: two dense layers and dropout. */
class MyModel extends Model {
  dense1 = layers.Dense(4, { activation: 'relu', kernelInitializer: 'ones' });
  dropout = layers.Dropout(0.5);
  dense2 = layers.Dense(2, { kernelInitializer: 'ones' });
  override call(inputs: SymbolicTensor, { training }: CallArguments): SymbolicTensor {
    let x = this.dense1(inputs);
    if (training) x = this.dropout(x, { training });
    return this.dense2(x);
  }
}

test('MyModel: trains on WebAssembly, weights in the order of the fields, names below the model', async () => {
  const model = new MyModel({ name: 'mine' });
  assert.ok(model instanceof Model && model instanceof Layer);
  assert.throws(() => model.summary(), /model 'mine' \(MyModel\) has no layers with weights yet: call it on data .*build\(inputShape\)/);
  assert.match(
    await model.getWeights().then(
      () => 'no error',
      (e: Error) => e.message,
    ),
    /'mine' \(MyModel\) has no weights yet: call it on data/,
  );
  model.compile({ optimizer: 'sgd', loss: 'mse', device: 'wasm' });
  const history = await model.fit(x8, y8, { ...silent, epochs: 3 });
  assert.is(history.history.loss!.length, 3);
  assert.equal(
    model.weights.map((w) => w.path),
    ['mine/dense1', 'mine/dense1', 'mine/dense2', 'mine/dense2'].map(
      (p, i) => p.replace(/dense\d/, model.layers[i < 2 ? 0 : 2]!.name) + (i % 2 === 0 ? '/kernel' : '/bias'),
    ),
  );
  assert.equal(
    model.layers.map((l) => l.className),
    ['Dense', 'Dropout', 'Dense'],
  );
  assert.is(model.countParams(), 3 * 4 + 4 + 4 * 2 + 2);
  const lines: string[] = [];
  model.summary({ printFn: (l) => lines.push(l) });
  assert.match(lines.join('\n'), /dense\w* \(Dense\)[^\n]*\(None, 4\)[^\n]*16/);
  const p = await model.predict(x8);
  assert.equal(p.shape, [8, 2]);
  model.dispose();
});

/** Linear, from "Making new layers and models via subclassing". */
class Linear extends Layer {
  w!: Variable;
  b!: Variable;
  readonly units: number;
  constructor({ units = 32, ...options }: { units?: number; name?: string } = {}) {
    super(options);
    this.units = units;
  }
  override build(inputShape: KerasShape): void {
    this.w = this.addWeight({ name: 'w', shape: [inputShape.at(-1)!, this.units], initializer: 'random_normal', trainable: true });
    this.b = this.addWeight({ name: 'b', shape: [this.units], initializer: 'zeros', trainable: true });
  }
  override call(inputs: SymbolicTensor): SymbolicTensor {
    return ops.add(ops.matmul(inputs, this.w), this.b);
  }
  override getConfig() {
    return { ...super.getConfig(), units: this.units };
  }
}

test('Linear: called on an array it computes at once', () => {
  const linear = new Linear({ units: 4 });
  const y = linear(
    tensor([
      [1, 1],
      [1, 1],
    ]),
  );
  assert.equal(y.shape, [2, 4]);
  assert.equal(
    linear.weights.map((w) => w.name),
    ['w', 'b'],
  );
  close(
    y.data.subarray(0, 4),
    Array.from({ length: 4 }, (_, i) => linear.w.value[i]! + linear.w.value[4 + i]!),
  );
  assert.is(Linear.fromConfig(linear.getConfig()).getConfig().units, 4);
});

/** ComputeSum: state that is not trained. */
class ComputeSum extends Layer {
  total: Variable;
  constructor(dim: number) {
    super();
    this.total = this.addWeight({ name: 'total', shape: [dim], initializer: 'zeros', trainable: false });
  }
  override call(inputs: SymbolicTensor): SymbolicTensor {
    this.total.assignAdd(ops.sum(inputs, [0]));
    return ops.add(ops.multiply(this.total, 1), 0);
  }
}

test('ComputeSum: an update stays', () => {
  const layer = new ComputeSum(2);
  const x = tensor([
    [1, 1],
    [1, 1],
  ]);
  close(layer(x).data, [2, 2]);
  close(layer(x).data, [4, 4]);
  assert.is(layer.weights.length, 1);
  assert.is(layer.nonTrainableWeights.length, 1);
  assert.is(layer.trainableWeights.length, 0);
});

/** MLPBlock: layers within a layer, in a list, made in the constructor. */
class MLPBlock extends Layer {
  blocks = [new Linear({ units: 4 }), new Linear({ units: 3 })];
  head = new Map([['out', new Linear({ units: 1 })]]);
  override call(inputs: SymbolicTensor): SymbolicTensor {
    let x = inputs;
    for (const b of this.blocks) x = ops.maximum(b(x), 0);
    return this.head.get('out')!(x);
  }
}

test('MLPBlock: inner weights are tracked through lists and maps', () => {
  const mlp = new MLPBlock({ name: 'mlp' });
  assert.is(mlp.weights.length, 0);
  mlp(
    tensor([
      [1, 2],
      [3, 4],
      [5, 6],
    ]),
  );
  assert.is(mlp.weights.length, 6);
  assert.is(mlp.trainableWeights.length, 6);
  assert.match(mlp.weights[0]!.path, /^mlp\/linear\w*\/w$/);
  mlp.trainable = false;
  assert.is(mlp.trainableWeights.length, 0);
  assert.not(mlp.blocks[0]!.trainable);
});

/** ActivityRegularizationLayer: a loss of the call, and one of the weights. */
class ActivityRegularizationLayer extends Layer {
  dense = layers.Dense(2, { kernelInitializer: 'ones', kernelRegularizer: 'l2' });
  override call(inputs: SymbolicTensor): SymbolicTensor {
    this.addLoss(ops.multiply(ops.sum(inputs), 0.01));
    return this.dense(inputs);
  }
}

test('addLoss: losses after a call on arrays, and in training', async () => {
  const layer = new ActivityRegularizationLayer();
  layer(tensor([[1, 2, 3]]));
  // 0.01 * 6, and 0.01 * 6 ones squared
  close(
    layer.losses.map((l) => Number((l as ReturnType<typeof tensor>).data[0])),
    [0.06, 0.06],
  );
  const x = Input([3]);
  const model = Model({ inputs: x, outputs: layer(x) });
  model.compile({ optimizer: 'sgd', loss: 'mse', device: 'wasm' });
  const ones = tensor(new Float32Array(12).fill(1), [4, 3]);
  const loss = (await model.evaluate(ones, tensor(new Float32Array(8).fill(3), [4, 2]), { verbose: 0 })) as number;
  close([loss], [0.12 + 0.06], 1e-4);
  model.dispose();
});

/** LogisticEndpoint: loss and metric of a layer that gets the targets. */
class LogisticEndpoint extends Layer {
  accuracy = metrics.Mean({ name: 'mean_logit' });
  override call(logits: SymbolicTensor, { targets }: CallArguments): SymbolicTensor {
    const t = targets as SymbolicTensor;
    const loss = ops.mean(ops.subtract(ops.softplus(logits), ops.multiply(t, logits)));
    this.addLoss(loss);
    this.addMetric(ops.mean(ops.cast(ops.equal(ops.cast(ops.greater(logits, 0), 'float32'), t), 'float32')), { name: 'accuracy' });
    this.accuracy.updateState(logits);
    return ops.sigmoid(logits);
  }
}

test('LogisticEndpoint: loss and metrics come from the layer', async () => {
  const [x, targets] = [Input({ shape: [3], name: 'inputs' }), Input({ shape: [1], name: 'targets' })];
  const logits = layers.Dense(1, { kernelInitializer: 'ones' })(x);
  const model = Model({ inputs: [x, targets], outputs: new LogisticEndpoint({ name: 'predictions' })(logits, { targets }) });
  model.compile({ optimizer: 'sgd', device: 'wasm' });
  const data = {
    inputs: tensor([
      [1, 1, 1],
      [-1, -1, 0],
      [1, 0, 0],
      [0, 0, -3],
    ]),
    targets: tensor([[1], [0], [0], [0]]),
  };
  const logs = await model.evaluate(data, null, { verbose: 0, returnDict: true });
  const z = [3, -2, 1, -3];
  const t = [1, 0, 0, 0];
  const loss = z.reduce((a, v, i) => a + Math.log1p(Math.exp(v)) - t[i]! * v, 0) / 4;
  close([logs.loss!, logs.accuracy!, logs.mean_logit!], [loss, 0.75, -0.25], 1e-4);
  const history = await model.fit(data, null, { verbose: 0, epochs: 3 });
  assert.ok(history.history.loss![2]! < history.history.loss![0]!);
  model.dispose();
});

test('the same numbers on WebAssembly, with the reference evaluation and eagerly', async () => {
  class Net extends Model {
    a = layers.Dense(4, { activation: 'tanh' });
    norm = layers.BatchNormalization();
    b = new Linear({ units: 2 });
    override call(inputs: SymbolicTensor, { training }: CallArguments): SymbolicTensor {
      return this.b(this.norm(this.a(inputs), { training }));
    }
  }
  const results: number[][] = [];
  for (const how of [{ device: 'wasm' }, { device: 'reference' }, { runEagerly: true }] as const) {
    utils.setRandomSeed(4);
    const model = new Net();
    model.compile({ optimizer: 'adam', loss: 'mse', metrics: ['mae'], ...how });
    const h = await model.fit(x8, y8, { ...silent, epochs: 2 });
    const w = (await model.getWeights()).flatMap((t) => [...t.data]);
    const p = await model.predict(x8);
    results.push([...h.history.loss!, ...h.history.mae!, ...w, ...p.data]);
    model.dispose();
  }
  close(results[1]!, results[0]!, 2e-5);
  close(results[2]!, results[1]!, 2e-5);
});

test('runEagerly: an asynchronous call reads values and goes on', async () => {
  const seen: number[][] = [];
  class Peek extends Model {
    dense = layers.Dense(2, { kernelInitializer: 'ones' });
    override async call(inputs: SymbolicTensor): Promise<SymbolicTensor> {
      const h = this.dense(inputs);
      seen.push([...(await h.data())]);
      return Number(ops.sum(h)) > 0 ? h : ops.negative(h);
    }
  }
  const model = new Peek();
  model.compile({ optimizer: 'sgd', loss: 'mse', runEagerly: true });
  const p = await model.predict(
    tensor([
      [1, 2, 3],
      [-1, -2, -6],
    ]),
  );
  close(
    p.data,
    [6, 6, -9, -9].map((v) => -v),
  );
  close(seen.at(-1)!, [6, 6, -9, -9]);
  await model.fit(tensor([[1, 2, 3]]), tensor([[1, 1]]), { verbose: 0 });
  const compiled = new Peek();
  compiled.compile({ optimizer: 'sgd', loss: 'mse', device: 'wasm' });
  assert.match(
    await compiled.predict(x8).then(
      () => '',
      (e: Error) => e.message,
    ),
    /call of 'peek\w*' \(Peek\) is asynchronous.*runEagerly: true.*ops\.cond or ops\.whileLoop/,
  );
});

test('JavaScript that wants values is an error that says what to use', async () => {
  const bad: readonly ((x: SymbolicTensor) => unknown)[] = [
    (x) => (x as unknown as number) > 0,
    (x) => [...(x as unknown as number[])],
    (x) => x.data(),
    (x) => Number(x),
    (x) => x.print(),
  ];
  for (const [i, use] of bad.entries()) {
    class Bad extends Layer {
      override call(x: SymbolicTensor): SymbolicTensor {
        use(x);
        return x;
      }
    }
    assert.throws(() => new Bad({ name: 'bad' })(Input([3])), /bad: .*ops\.(cond|scan|split).*ops\.whileLoop/, `use ${i}`);
  }
});

test.run();
