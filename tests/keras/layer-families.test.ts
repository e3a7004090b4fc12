/** All families of layers: shapes, weights and configurations with their way back, random layers, nested layers in models, errors. Values are compared with real Keras by the golden cases. */
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as ops from '../../frontend/keras/backend/ops.js';
import { Input, type Layer, layers, Model, modelFromConfig, Sequential, type SymbolicTensor, tensor } from '../../frontend/keras/index.js';
import { deserialize, layerClasses, serialize } from '../../frontend/keras/layers/serialization.js';
import type { Shape } from '../../ir/dim.js';

type Sizes = readonly (number | null)[];
/** Layer, shapes of the inputs, shape of the output, weights. */
type Sample = readonly [make: () => Layer, inputs: readonly Sizes[], output: Sizes, weights?: Readonly<Record<string, readonly number[]>>];

const samples: readonly Sample[] = [
  [() => layers.LeakyReLU({ negativeSlope: 0.1 }), [[3]], [3]],
  [() => layers.PReLU({ sharedAxes: [1, 2] }), [[4, 5, 3]], [4, 5, 3], { alpha: [1, 1, 3] }],
  [() => layers.ELU({ alpha: 0.5 }), [[3]], [3]],
  [() => layers.ThresholdedReLU({ theta: 0.5 }), [[3]], [3]],
  [() => layers.Softmax({ axis: [1, 2] }), [[3, 4]], [3, 4]],
  [() => layers.Identity(), [[3]], [3]],
  [() => layers.Masking({ maskValue: -1 }), [[3, 2]], [3, 2]],
  [() => layers.Subtract(), [[3], [3]], [3]],
  [() => layers.Multiply(), [[3, 4], [4]], [3, 4]],
  [() => layers.Average(), [[3], [1], [3]], [3]],
  [() => layers.Maximum(), [[3], [3]], [3]],
  [() => layers.Minimum(), [[3], [3]], [3]],
  [
    () => layers.Dot([2, 1], { normalize: true }),
    [
      [3, 4],
      [4, 5],
    ],
    [3, 5],
  ],
  [() => layers.Permute([2, 1]), [[3, null]], [null, 3]],
  [() => layers.RepeatVector(4), [[3]], [4, 3]],
  [() => layers.Cropping1D([1, 2]), [[6, 2]], [3, 2]],
  [
    () =>
      layers.Cropping2D([
        [1, 0],
        [2, 1],
      ]),
    [[null, 6, 2]],
    [null, 3, 2],
  ],
  [() => layers.Cropping3D(), [[3, 4, 5, 2]], [1, 2, 3, 2]],
  [() => layers.ZeroPadding1D(2), [[6, 2]], [10, 2]],
  [() => layers.ZeroPadding2D({ padding: [1, 2], dataFormat: 'channels_first' }), [[2, 4, 6]], [2, 6, 10]],
  [() => layers.ZeroPadding3D(), [[1, 2, 3, 4]], [3, 4, 5, 4]],
  [() => layers.UpSampling1D(3), [[null, 2]], [null, 2]],
  [() => layers.UpSampling2D([2, 3], { interpolation: 'bilinear' }), [[3, 4, 2]], [6, 12, 2]],
  [() => layers.UpSampling3D(), [[1, 2, 3, 4]], [2, 4, 6, 4]],
  [() => layers.MaxPooling1D(), [[7, 3]], [3, 3]],
  [() => layers.AveragePooling3D(2, { padding: 'same' }), [[3, 4, 5, 2]], [2, 2, 3, 2]],
  [() => layers.GlobalMaxPool1D(), [[null, 3]], [3]],
  [() => layers.GlobalAveragePooling3D({ dataFormat: 'channels_first', keepdims: true }), [[2, 3, 4, 5]], [2, 1, 1, 1]],
  [() => layers.Conv1D(4, 3, { padding: 'causal', dilationRate: 2 }), [[7, 2]], [7, 4], { kernel: [3, 2, 4], bias: [4] }],
  [() => layers.Conv3D(4, 2, { strides: 2 }), [[4, 5, 6, 2]], [2, 2, 3, 4], { kernel: [2, 2, 2, 2, 4], bias: [4] }],
  [() => layers.Conv1DTranspose(4, 3, { strides: 2 }), [[5, 2]], [11, 4], { kernel: [3, 4, 2], bias: [4] }],
  [() => layers.Conv2DTranspose(4, 3, { strides: 2, padding: 'same' }), [[5, 6, 2]], [10, 12, 4], { kernel: [3, 3, 4, 2], bias: [4] }],
  [() => layers.Conv3DTranspose(1, 2, { useBias: false }), [[2, 2, 2, 2]], [3, 3, 3, 1], { kernel: [2, 2, 2, 1, 2] }],
  [() => layers.DepthwiseConv1D(3, { depthMultiplier: 2 }), [[7, 2]], [5, 4], { kernel: [3, 2, 2], bias: [4] }],
  [
    () => layers.SeparableConv2D(5, 3, { depthMultiplier: 2 }),
    [[7, 7, 2]],
    [5, 5, 5],
    { depthwise_kernel: [3, 3, 2, 2], pointwise_kernel: [1, 1, 4, 5], bias: [5] },
  ],
  [() => layers.SeparableConv1D(5, 3, { padding: 'causal' }), [[7, 2]], [7, 5], { depthwise_kernel: [3, 2, 1], pointwise_kernel: [1, 2, 5], bias: [5] }],
  [() => layers.LocallyConnected1D(3, 2), [[5, 2]], [4, 3], { kernel: [4, 4, 3], bias: [4, 3] }],
  [() => layers.LocallyConnected2D(3, 2, { strides: 2 }), [[4, 5, 2]], [2, 2, 3], { kernel: [4, 8, 3], bias: [2, 2, 3] }],
  [() => layers.SimpleRNN(4, { returnSequences: true }), [[null, 3]], [null, 4], { kernel: [3, 4], recurrent_kernel: [4, 4], bias: [4] }],
  [() => layers.GRU(4), [[5, 3]], [4], { kernel: [3, 12], recurrent_kernel: [4, 12], bias: [2, 12] }],
  [() => layers.GRU(4, { resetAfter: false, dropout: 0.2, recurrentDropout: 0.1 }), [[5, 3]], [4], { kernel: [3, 12], recurrent_kernel: [4, 12], bias: [12] }],
  [() => layers.RNN(layers.LSTMCell(4), { returnSequences: true }), [[5, 3]], [5, 4], { kernel: [3, 16], recurrent_kernel: [4, 16], bias: [16] }],
  [() => layers.RNN([layers.GRUCell(4), layers.SimpleRNNCell(2, { useBias: false })]), [[5, 3]], [2]],
  [() => layers.ConvLSTM1D(3, 2), [[4, 6, 2]], [5, 3], { kernel: [2, 2, 12], recurrent_kernel: [2, 3, 12], bias: [12] }],
  [() => layers.ConvLSTM2D(3, 3, { padding: 'same', returnSequences: true }), [[null, 5, 6, 2]], [null, 5, 6, 3]],
  [() => layers.ConvLSTM3D(2, 2), [[2, 3, 3, 3, 1]], [2, 2, 2, 2]],
  [() => layers.Bidirectional(layers.LSTM(4, { returnSequences: true })), [[null, 3]], [null, 8]],
  [() => layers.Bidirectional(layers.GRU(4), { mergeMode: 'sum', backwardLayer: layers.SimpleRNN(4, { goBackwards: true }) }), [[5, 3]], [4]],
  [() => layers.TimeDistributed(layers.Conv2D(2, 2)), [[3, 4, 4, 1]], [3, 3, 3, 2], { kernel: [2, 2, 1, 2], bias: [2] }],
  [
    () => layers.Attention({ useScale: true }),
    [
      [3, 4],
      [5, 4],
    ],
    [3, 4],
    { scale: [] },
  ],
  [
    () => layers.AdditiveAttention(),
    [
      [3, 4],
      [5, 4],
      [5, 4],
    ],
    [3, 4],
    { scale: [4] },
  ],
  [
    () => layers.MultiHeadAttention(2, 3, { valueDim: 5, outputShape: 7 }),
    [
      [4, 6],
      [5, 6],
    ],
    [4, 7],
  ],
  [
    () => layers.GroupQueryAttention(3, 4, 2),
    [
      [4, 6],
      [5, 6],
    ],
    [4, 6],
  ],
  [() => layers.EinsumDense('...x,xy->...y', 6, { biasAxes: 'y' }), [[3, 4]], [3, 6], { kernel: [4, 6], bias: [6] }],
  [() => layers.GroupNormalization({ groups: 2 }), [[3, 4]], [3, 4], { gamma: [4], beta: [4] }],
  [() => layers.UnitNormalization({ axis: [1, 2] }), [[3, 4]], [3, 4]],
  [() => layers.RMSNormalization(), [[3, 4]], [3, 4], { scale: [4] }],
  [() => layers.SpectralNormalization(layers.Dense(5)), [[4]], [5], { kernel: [4, 5], vector_u: [1, 5], bias: [5] }],
  [() => layers.SpatialDropout1D(0.2), [[3, 4]], [3, 4]],
  [() => layers.SpatialDropout2D(0.2, { dataFormat: 'channels_first' }), [[3, 4, 4]], [3, 4, 4]],
  [() => layers.SpatialDropout3D(0.2), [[2, 2, 2, 4]], [2, 2, 2, 4]],
  [() => layers.GaussianNoise(0.1, { seed: 3 }), [[3]], [3]],
  [() => layers.GaussianDropout(0.1), [[3]], [3]],
  [() => layers.AlphaDropout(0.1), [[3]], [3]],
  [() => layers.ActivityRegularization({ l1: 0.1 }), [[3]], [3]],
  [() => layers.Rescaling(1 / 255, { offset: -1 }), [[4, 4, 3]], [4, 4, 3]],
  [() => layers.Resizing(5, 6, { interpolation: 'bicubic' }), [[4, 4, 3]], [5, 6, 3]],
  [() => layers.Resizing(4, 2, { padToAspectRatio: true, fillValue: 1 }), [[4, 4, 3]], [4, 2, 3]],
  [() => layers.CenterCrop(2, 3), [[4, 5, 3]], [2, 3, 3]],
  [() => layers.Normalization({ mean: [1, 2], variance: [1, 4] }), [[3, 2]], [3, 2]],
  [() => layers.Normalization({ axis: null }), [[3]], [3], { mean: [], variance: [], count: [] }],
  [() => layers.Discretization([0, 1, 2]), [[3]], [3]],
  [() => layers.CategoryEncoding(5, { outputMode: 'count' }), [[3]], [5]],
];

for (const [i, [make, inputs, output, weights]] of samples.entries()) {
  test(`${make().className} (sample ${i}): shapes, weights and configuration`, () => {
    const call = (layer: Layer) => (inputs.length === 1 ? layer(Input(inputs[0]!)) : layer(inputs.map((s) => Input(s))));
    const layer = make();
    const y = call(layer);
    assert.equal(y.shape, [null, ...output]);
    if (weights) assert.equal(Object.fromEntries(layer.weights.map((w) => [w.name, w.shape])), weights);
    assert.is(new Set(layer.weights.map((w) => w.path)).size, layer.weights.length, 'paths of weights are unique');
    assert.ok(layer.weights.every((w) => w.path.startsWith(`${layer.name}/`)));
    const again = deserialize(JSON.parse(JSON.stringify(serialize(layer))));
    assert.equal(again.getConfig(), layer.getConfig());
    assert.equal(call(again).shape, y.shape);
    assert.equal(
      again.weights.map((w) => [w.path, w.shape]),
      layer.weights.map((w) => [w.path, w.shape]),
    );
  });
}

test('every class of the registry is exported under its name', () => {
  const missing = Object.keys(layerClasses).filter((name) => !(name in layers));
  assert.equal(missing, []);
});

test('docs/keras-symbols.md names every layer', () => {
  const text = readFileSync(new URL('../../docs/keras-symbols.md', import.meta.url), 'utf8');
  // pooling is named by families there
  const unnamed = Object.keys(layerClasses).filter(
    (name) => !/Pool|^Convolution|^SeparableConvolution|^Grouped/.test(name) && !new RegExp(`\\b${name}\\b`).test(text),
  );
  assert.equal(unnamed, []);
});

test('Lambda applies a function, and says that it cannot be saved', async () => {
  const layer = layers.Lambda((x: SymbolicTensor) => ops.square(x));
  const model = Sequential([layers.Identity({ inputShape: [2] }), layer]);
  model.compile({ optimizer: 'sgd', loss: 'mse', device: 'reference' });
  assert.equal(Array.from((await model.predict(tensor([[2, 3]]))).data), [4, 9]);
  assert.throws(() => layer.getConfig(), /the function of a Lambda layer cannot be written/);
  assert.throws(() => deserialize({ class_name: 'Lambda', config: {} }), /a Lambda layer of a file holds Python code/);
});

/** Mean and deviation. */
const moments = (x: ArrayLike<number>): [number, number] => {
  const list = Array.from(x);
  const mean = list.reduce((a, v) => a + v, 0) / list.length;
  return [mean, Math.sqrt(list.reduce((a, v) => a + (v - mean) ** 2, 0) / list.length)];
};

/** What a layer gives for ones in a training call, for some seeds of the model. */
async function trained(layer: Layer, shape: readonly number[], steps: number): Promise<Float32Array[]> {
  const x = Input(shape);
  const model = Model({ inputs: x, outputs: layer(x, { training: true }) });
  model.compile({ optimizer: 'sgd', loss: 'mse', device: 'reference' });
  const ones = tensor(new Float32Array(shape.reduce((a, d) => a * d, 4)).fill(1), [4, ...shape]);
  const out: Float32Array[] = [];
  for (let i = 0; i < steps; i++) out.push(Float32Array.from((await model.predict(ones)).data));
  return out;
}

test('random layers: statistics, whole channels, the same seed gives the same numbers', async () => {
  const [noise] = await trained(layers.GaussianNoise(0.5, { seed: 1 }), [1000], 1);
  const [mean, deviation] = moments(noise!);
  assert.ok(Math.abs(mean - 1) < 0.03 && Math.abs(deviation - 0.5) < 0.02, `${mean} ${deviation}`);
  const [again] = await trained(layers.GaussianNoise(0.5, { seed: 1 }), [1000], 1);
  assert.equal(again, noise);
  const [other] = await trained(layers.GaussianNoise(0.5, { seed: 2 }), [1000], 1);
  assert.not.equal(other, noise);

  const [dropped] = await trained(layers.GaussianDropout(0.2, { seed: 1 }), [1000], 1);
  assert.ok(Math.abs(moments(dropped!)[0] - 1) < 0.03 && Math.abs(moments(dropped!)[1] - 0.5) < 0.02);

  const [spatial] = await trained(layers.SpatialDropout1D(0.5, { seed: 1 }), [3, 100], 1);
  for (let b = 0; b < 4; b++) for (let c = 0; c < 100; c++) assert.is(spatial![(b * 3 + 2) * 100 + c], spatial![b * 300 + c]);
  assert.equal([...new Set(spatial)].sort(), [0, 2]);
  assert.is(new Set(await Promise.all([trained(layers.AlphaDropout(0.3, { seed: 1 }), [50], 1)]).then(([[v]]) => v!)).size, 2);
});

/** A cell of one's own: a running sum with a factor that is trained. */
class Decay extends layers.RecurrentCell {
  static override readonly className = 'Decay';
  readonly stateCount = 1;
  factor!: ReturnType<Layer['addWeight']>;
  override build(): void {
    this.factor = this.addWeight('factor', [], { initializer: 'ones' });
  }
  stateShapes(step: Shape): readonly Shape[] {
    return [step];
  }
  step(x: SymbolicTensor, states: readonly SymbolicTensor[]): { output: SymbolicTensor; states: readonly SymbolicTensor[] } {
    const sum = ops.add(x, ops.multiply(states[0]!, this.factor));
    return { output: sum, states: [sum] };
  }
}

test('RNN runs a cell of one’s own', async () => {
  const model = Sequential([layers.RNN(new Decay(), { inputShape: [3, 1], returnSequences: true })]);
  model.compile({ optimizer: 'sgd', loss: 'mse', device: 'reference' });
  model.layers[0]!.weights[0]!.assign([2]);
  assert.equal(Array.from((await model.predict(tensor([[[1], [1], [3]]]))).data), [1, 3, 9]);
});

test('attention in a functional model: masks and arguments, and its configuration, as Keras 2 and 3 write it', async () => {
  for (const semantics of ['keras2', 'keras3'] as const) {
    const [x, mask] = [Input({ shape: [3, 4], semantics }), Input({ shape: [3, 3], dtype: 'bool', semantics })];
    const attention = layers.MultiHeadAttention(2, 2, { name: 'attention', semantics });
    const y = attention(x, { value: x, attentionMask: mask, useCausalMask: true });
    const model = Model({ inputs: [x, mask], outputs: y, semantics });
    const node = JSON.stringify((model.getConfig().layers as { name: string; inbound_nodes: unknown }[]).find((l) => l.name === 'attention')!.inbound_nodes);
    assert.match(node, /"use_causal_mask":true/);
    assert.match(node, /"value":/);
    assert.match(node, /"attention_mask":/);
    const again = modelFromConfig(JSON.parse(JSON.stringify({ class_name: 'Functional', config: model.getConfig() })), { semantics });
    assert.is(JSON.stringify(again.getConfig()), JSON.stringify(model.getConfig()));
    const data = [
      tensor(
        Float32Array.from({ length: 12 }, (_, i) => Math.sin(i)),
        [1, 3, 4],
      ),
      tensor(new Float32Array(9).fill(1), [1, 3, 3]),
    ];
    const results: number[][] = [];
    for (const m of [model, again]) {
      m.compile({ optimizer: 'sgd', loss: 'mse', device: 'reference' });
      m.weights.forEach((w, i) => {
        w.assign(Float32Array.from({ length: w.size }, (_, k) => Math.cos(k + i)));
      });
      results.push(Array.from(((await m.predict(data)) as { data: ArrayLike<number> }).data));
    }
    assert.equal(results[0], results[1]);
  }
});

test('SpectralNormalization trains: the kernel is divided by its largest singular value before the step', async () => {
  const model = Sequential([layers.SpectralNormalization(layers.Dense(2, { useBias: false }), { inputShape: [2], powerIterations: 20 })]);
  model.compile({ optimizer: { class_name: 'SGD', config: { learning_rate: 0 } }, loss: 'mse', device: 'reference' });
  const kernel = model.weights.find((w) => w.name === 'kernel')!;
  kernel.assign([3, 0, 0, 1]);
  model.weights.find((w) => w.name === 'vector_u')!.assign([1, 1]);
  await model.fit(tensor([[1, 1]]), tensor([[0, 0]]), { epochs: 1, verbose: 0 });
  await model.predict(tensor([[1, 1]]));
  const [first, , , last] = Array.from(
    (
      await model.predict(
        tensor([
          [1, 0],
          [0, 1],
        ]),
      )
    ).data,
  );
  assert.ok(Math.abs(first! - 1) < 1e-5 && Math.abs(last! - 1 / 3) < 1e-5, `${first} ${last}`);
});

test('Normalization and Discretization adapt to data', () => {
  const norm = layers.Normalization();
  norm.adapt(
    tensor([
      [1, 10],
      [3, 30],
    ]),
  );
  assert.equal(
    norm.weights.map((w) => Array.from(w.value)),
    [[2, 20], [1, 100], [2]],
  );
  const bins = layers.Discretization({ numBins: 2 });
  bins.adapt(tensor([1, 2, 3, 4]));
  assert.equal(bins.binBoundaries, [2]);
});

test('mistakes are errors that name the layer, what it got and what it wanted', () => {
  const cases: readonly [() => unknown, RegExp][] = [
    [() => layers.Permute([1, 3]), /Permute: 'dims' must be a permutation of 1, 2, …, got \[1,3\]/],
    [() => layers.Cropping1D(3, { name: 'crop' })(Input([6, 2])), /crop: cropping \[\[3,3\]\] leaves nothing of axis 1/],
    [() => layers.ZeroPadding2D([1, 2, 3]), /ZeroPadding2D: 'padding' must be .*got \[1,2,3\]/],
    [() => layers.Subtract({ name: 'minus' })([Input([2]), Input([2]), Input([2])]), /minus: Subtract takes exactly two inputs, got 3/],
    [() => layers.Multiply({ name: 'times' })([Input([2]), Input([3])]), /times: inputs of shapes \(None, 2\), \(None, 3\) cannot be merged/],
    [() => layers.Dot(1, { name: 'dot' })([Input([2]), Input([3])]), /dot: axes \[1,1\] of inputs .* have different sizes/],
    [() => layers.Conv2DTranspose(2, 3, { outputPadding: 2 }), /'outputPadding' must be whole numbers below the strides \[1,1\], got \[2,2\]/],
    [() => layers.Bidirectional(layers.Dense(3)), /Bidirectional: the layer must be recurrent, such as LSTM\(8\), got Dense/],
    [() => layers.MultiHeadAttention(2, 2, { name: 'heads' })(Input([3, 4])), /heads: MultiHeadAttention takes a list of inputs, got one/],
    [() => layers.GroupQueryAttention(2, 3, 2), /'numQueryHeads' \(3\) must be a multiple of 'numKeyValueHeads' \(2\)/],
    [() => layers.EinsumDense('ab,bc', 3, { name: 'sum' })(Input([2])), /cannot read the equation 'ab,bc'/],
    [() => layers.GroupNormalization({ groups: 3, name: 'norm' })(Input([4])), /norm: 'groups' \(3\) must divide the 4 channels/],
    [() => layers.RNN(layers.Dense(3) as never), /RNN: 'cell' must be a cell such as LSTMCell\(8\)/],
    [() => layers.SpectralNormalization(layers.ReLU(), { name: 'spectral' })(Input([4])), /spectral: ReLU has neither a kernel nor embeddings/],
    [() => layers.GaussianNoise(-1), /GaussianNoise: 'stddev' must not be negative, got -1/],
    [() => layers.UpSampling3D({ size: [1, 2] }), /UpSampling3D: 'size' must be/],
  ];
  for (const [make, message] of cases) assert.throws(make, message);
});

test.run();
