/** One small model for each family of layers, for the tests of ONNX export: name, shapes of the inputs (without the batch), and what is built on them. */
import { Input, type KerasTensor, layers as L, Layer, Model, type ModelBase, ops, type SymbolicTensor } from '../../frontend/keras/index.js';

export interface Family {
  readonly name: string;
  readonly inputs: readonly (readonly number[])[];
  readonly dtype?: 'float32' | 'int32';
  /** Ids are below this. */
  readonly ids?: number;
  readonly batch?: number;
  /** The lowest opset that can say it; default 13. */
  readonly since?: number;
  readonly build: (...x: KerasTensor[]) => KerasTensor | readonly KerasTensor[];
}

const vector = [[6]];
const sequence = [[5, 4]];
const image = [[8, 9, 3]];
const volume = [[5, 6, 4, 2]];
type Build = (x: KerasTensor) => KerasTensor | readonly KerasTensor[];
const family = (name: string, inputs: readonly (readonly number[])[], build: Family['build'], more: Partial<Family> = {}): Family => ({
  name,
  inputs,
  build,
  ...more,
});
const one = (name: string, inputs: readonly (readonly number[])[], layer: () => Layer, more: Partial<Family> = {}): Family =>
  family(name, inputs, ((x) => layer()(x)) as Build, more);

/** A layer of one's own: written as the primitives that its call is. */
class Gate extends Layer {
  static override readonly className = 'Gate';
  private readonly inner = L.Dense(6, { activation: 'relu' });
  private scale!: ReturnType<Layer['addWeight']>;
  override build(): void {
    this.scale = this.addWeight('scale', [6], { initializer: 'ones' });
  }
  override call(x: SymbolicTensor): SymbolicTensor {
    const t = x;
    const h = this.inner(t);
    const centred = ops.subtract(h, ops.mean(h, 1, true));
    return ops.where(ops.greater(t, 0), ops.multiply(ops.tanh(centred), this.scale), ops.log1p(ops.abs(t)));
  }
}

/** A loop, a branch and sums along an axis. */
class Loops extends Layer {
  static override readonly className = 'Loops';
  override call(x: SymbolicTensor): SymbolicTensor {
    const t = x;
    const [doubled] = ops.whileLoop(
      (y: SymbolicTensor) => ops.less(ops.max(ops.abs(y)), 8),
      (y: SymbolicTensor) => [ops.multiply(y, 2)],
      [t],
      { maximumIterations: 10 },
    ) as [SymbolicTensor];
    return ops.cond(
      ops.greater(ops.sum(t), 0),
      () => ops.cumsum(doubled, 1),
      () => ops.negative(doubled),
    );
  }
}

const activations = [
  'linear relu relu6 tanh exponential softsign silu softplus mish elu selu gelu leaky_relu hard_sigmoid celu glu hard_shrink hard_silu hard_tanh log_sigmoid',
  'soft_shrink sparse_plus sparse_sigmoid squareplus tanh_shrink sigmoid softmax log_softmax sparsemax',
].flatMap((line) => line.split(' '));

export const families: readonly Family[] = [
  one('dense', vector, () => L.Dense(5, { activation: 'relu' })),
  one('dense-no-bias', vector, () => L.Dense(5, { useBias: false })),
  one('dense-sequence', sequence, () => L.Dense(5, { activation: 'softmax' })),
  one('einsum-dense', sequence, () => L.EinsumDense('abc,cd->abd', [null, 7], { biasAxes: 'd' })),
  ...activations.map((a) => one(`activation-${a}`, vector, () => L.Activation(a))),
  one('relu-layer', vector, () => L.ReLU({ maxValue: 1, negativeSlope: 0.1, threshold: 0.2 })),
  one('relu6-layer', image, () => L.ReLU({ maxValue: 6 })),
  one('leaky-relu', vector, () => L.LeakyReLU({ negativeSlope: 0.2 })),
  one('elu', vector, () => L.ELU({ alpha: 0.7 })),
  one('prelu', image, () => L.PReLU({ sharedAxes: [1, 2], alphaInitializer: 'uniform' })),
  one('prelu-full', sequence, () => L.PReLU({ alphaInitializer: 'uniform' })),
  one('softmax-layer', sequence, () => L.Softmax({ axis: 1 })),
  one('conv1d', [[12, 3]], () => L.Conv1D(4, 3, { strides: 2, padding: 'same' })),
  one('conv1d-causal', [[12, 3]], () => L.Conv1D(4, 3, { padding: 'causal', dilationRate: 2 })),
  one('conv2d', image, () => L.Conv2D(4, 3, { padding: 'same', activation: 'relu' })),
  one('conv2d-strides', image, () => L.Conv2D(4, [3, 2], { strides: 2, padding: 'same', useBias: false })),
  one('conv2d-first', [[3, 8, 9]], () => L.Conv2D(4, 3, { dataFormat: 'channels_first' })),
  one('conv2d-groups', [[8, 9, 4]], () => L.Conv2D(6, 3, { groups: 2 })),
  one('conv2d-dilated', image, () => L.Conv2D(4, 3, { dilationRate: 2 })),
  one('conv3d', volume, () => L.Conv3D(3, 2, { padding: 'same' })),
  one('depthwise1d', [[12, 3]], () => L.DepthwiseConv1D(3, { depthMultiplier: 2 })),
  one('depthwise2d', image, () => L.DepthwiseConv2D(3, { padding: 'same', depthMultiplier: 2 })),
  one('separable1d', [[12, 3]], () => L.SeparableConv1D(4, 3)),
  one('separable2d', image, () => L.SeparableConv2D(4, 3, { padding: 'same', activation: 'elu' })),
  one('conv1d-transpose', [[6, 3]], () => L.Conv1DTranspose(4, 3, { strides: 2, padding: 'same' })),
  one('conv2d-transpose', image, () => L.Conv2DTranspose(4, 3, { strides: 2, padding: 'same' })),
  one('conv2d-transpose-valid', image, () => L.Conv2DTranspose(4, 2, { strides: 3, activation: 'relu' })),
  one('conv2d-transpose-dilated', image, () => L.Conv2DTranspose(4, 3, { dilationRate: 2 })),
  one('conv3d-transpose', volume, () => L.Conv3DTranspose(3, 3, { strides: 2 })),
  one('locally-connected-2d', [[5, 6, 2]], () => L.LocallyConnected2D(3, 2)),
  one('locally-connected', [[8, 3]], () => L.LocallyConnected1D(4, 3)),
  one('max-pool1d', [[12, 3]], () => L.MaxPooling1D(2)),
  one('max-pool2d', image, () => L.MaxPooling2D(2, { padding: 'same' })),
  one('max-pool2d-first', [[3, 8, 9]], () => L.MaxPooling2D(3, { strides: 2, dataFormat: 'channels_first' })),
  one('max-pool3d', volume, () => L.MaxPooling3D(2)),
  one('average-pool1d', [[12, 3]], () => L.AveragePooling1D(2)),
  one('average-pool2d', image, () => L.AveragePooling2D(2, { padding: 'same' })),
  one('average-pool3d', volume, () => L.AveragePooling3D(2)),
  one('global-average1d', sequence, () => L.GlobalAveragePooling1D()),
  one('global-average2d', image, () => L.GlobalAveragePooling2D({ keepdims: true })),
  one('global-average3d', volume, () => L.GlobalAveragePooling3D()),
  one('global-max1d', sequence, () => L.GlobalMaxPooling1D()),
  one('global-max2d', image, () => L.GlobalMaxPooling2D()),
  one('global-max3d', volume, () => L.GlobalMaxPooling3D()),
  one('batch-norm', image, () => L.BatchNormalization({ betaInitializer: 'uniform', movingMeanInitializer: 'uniform' })),
  one('batch-norm-vector', vector, () => L.BatchNormalization({ center: false })),
  one('batch-norm-axis', image, () => L.BatchNormalization({ axis: 2 })),
  one('sync-batch-norm', image, () => L.SyncBatchNormalization()),
  one('layer-norm', sequence, () => L.LayerNormalization({ betaInitializer: 'uniform' })),
  one('layer-norm-axes', image, () => L.LayerNormalization({ axis: [1, 2] })),
  one('group-norm', [[8, 9, 4]], () => L.GroupNormalization({ groups: 2 })),
  one('rms-norm', sequence, () => L.RMSNormalization()),
  one('unit-norm', sequence, () => L.UnitNormalization()),
  family('embedding', [[7]], ((x) => L.Embedding(20, 6)(x)) as Build, { dtype: 'int32', ids: 20 }),
  family('embedding-masked', [[7]], ((x) => L.LSTM(5, { returnSequences: true })(L.Embedding(4, 6, { maskZero: true })(x) as KerasTensor)) as Build, {
    dtype: 'int32',
    ids: 4,
  }),
  family('masked-average', [[7]], ((x) => L.GlobalAveragePooling1D()(L.Embedding(4, 6, { maskZero: true })(x) as KerasTensor)) as Build, {
    dtype: 'int32',
    ids: 4,
  }),
  one('lstm', sequence, () => L.LSTM(6)),
  one('lstm-sequences', sequence, () => L.LSTM(6, { returnSequences: true, returnState: true })),
  one('lstm-backwards', sequence, () => L.LSTM(6, { returnSequences: true, goBackwards: true, activation: 'relu', recurrentActivation: 'sigmoid' })),
  one('lstm-hard', sequence, () => L.LSTM(6, { recurrentActivation: 'hard_sigmoid' })),
  family('lstm-states', [[5, 4], [6], [6]], (x, h, c) => L.LSTM(6)(x, { initialState: [h, c] })),
  one('lstm-stateful', sequence, () => L.LSTM(6, { stateful: true }), { batch: 3 }),
  one('gru', sequence, () => L.GRU(6, { returnState: true })),
  one('gru-before', sequence, () => L.GRU(6, { resetAfter: false, returnSequences: true })),
  one('simple-rnn', sequence, () => L.SimpleRNN(6, { returnSequences: true, activation: 'relu' })),
  one('bidirectional', sequence, () => L.Bidirectional(L.LSTM(4, { returnSequences: true }))),
  one('bidirectional-sum', sequence, () => L.Bidirectional(L.GRU(4), { mergeMode: 'sum' })),
  one('rnn-cells', sequence, () => L.RNN([L.GRUCell(4), L.LSTMCell(3)])),
  one('conv-lstm', [[3, 6, 5, 2]], () => L.ConvLSTM2D(3, 3, { padding: 'same', returnSequences: true })),
  one('conv-lstm-1d', [[3, 6, 2]], () => L.ConvLSTM1D(3, 3)),
  one('conv-lstm-3d', [[2, 4, 3, 3, 2]], () => L.ConvLSTM3D(2, 2, { padding: 'same' })),
  one('masking', sequence, () => L.Masking({ maskValue: 0 })),
  one('time-distributed', [[3, 6, 5, 2]], () => L.TimeDistributed(L.Conv2D(3, 3))),
  family(
    'attention',
    [
      [5, 4],
      [6, 4],
    ],
    (q, v) => L.Attention()([q, v]),
  ),
  family(
    'additive-attention',
    [
      [5, 4],
      [6, 4],
    ],
    (q, v) => L.AdditiveAttention()([q, v]),
  ),
  family(
    'multi-head',
    [
      [5, 8],
      [6, 8],
    ],
    (q, v) => L.MultiHeadAttention(2, 4)([q, v]),
  ),
  family('multi-head-causal', [[5, 8]], (q) => L.MultiHeadAttention(2, 4)([q, q], { useCausalMask: true })),
  family('grouped-query', [[5, 8]], (q) => L.GroupedQueryAttention(4, 4, 2)([q, q])),
  ...(['Add', 'Subtract', 'Multiply', 'Average', 'Maximum', 'Minimum', 'Concatenate'] as const).map((n) =>
    family(
      `merge-${n.toLowerCase()}`,
      [
        [4, 3],
        [4, 3],
      ],
      (a, b) => L[n]()([a, b]),
    ),
  ),
  family(
    'dot',
    [
      [4, 3],
      [5, 3],
    ],
    (a, b) => L.Dot({ axes: 2 })([a, b]),
  ),
  one('flatten', image, () => L.Flatten()),
  one('reshape', sequence, () => L.Reshape([2, -1])),
  one('permute', sequence, () => L.Permute([2, 1])),
  one('repeat-vector', vector, () => L.RepeatVector(3)),
  one('cropping1d', sequence, () => L.Cropping1D([1, 2])),
  one('cropping3d', volume, () => L.Cropping3D(1)),
  one('zero-padding1d', sequence, () => L.ZeroPadding1D([1, 2])),
  one('zero-padding3d', volume, () => L.ZeroPadding3D([1, 0, 2])),
  one('cropping2d', image, () =>
    L.Cropping2D([
      [1, 2],
      [0, 1],
    ]),
  ),
  one('zero-padding2d', image, () =>
    L.ZeroPadding2D([
      [1, 2],
      [0, 1],
    ]),
  ),
  one('up-sampling1d', sequence, () => L.UpSampling1D(2)),
  one('up-sampling3d', volume, () => L.UpSampling3D([2, 1, 2])),
  one('up-sampling2d', image, () => L.UpSampling2D([2, 3])),
  one('up-sampling2d-bilinear', image, () => L.UpSampling2D(2, { interpolation: 'bilinear' })),
  one('up-sampling2d-bicubic', image, () => L.UpSampling2D(2, { interpolation: 'bicubic' })),
  one('resizing', image, () => L.Resizing(5, 7)),
  one('rescaling', image, () => L.Rescaling(1 / 127.5, { offset: -1 })),
  one('center-crop', image, () => L.CenterCrop(5, 5)),
  one('normalization', vector, () => L.Normalization({ mean: [1, 2, 3, 4, 5, 6], variance: [1, 2, 1, 2, 1, 2] })),
  one('discretization', vector, () => L.Discretization({ binBoundaries: [-0.5, 0, 0.5] })),
  one('category-encoding', [[4]], () => L.CategoryEncoding({ numTokens: 6, outputMode: 'multi_hot' }), { dtype: 'int32', ids: 6 }),
  one('dropout', vector, () => L.Dropout(0.4)),
  one('noise', vector, () => L.GaussianNoise(0.4)),
  family('dropouts', [[5, 4]], ((x) => L.AlphaDropout(0.3)(L.GaussianDropout(0.3)(L.SpatialDropout1D(0.3)(x) as KerasTensor) as KerasTensor)) as Build),
  one('spatial-dropout2d', image, () => L.SpatialDropout2D(0.3)),
  one('spatial-dropout3d', volume, () => L.SpatialDropout3D(0.3)),
  one('activity-regularization', vector, () => L.ActivityRegularization({ l2: 0.1 })),
  one('lambda', vector, () => L.Lambda((x: SymbolicTensor) => ops.multiply(ops.tanh(x), 3))),
  one('thresholded-relu', vector, () => L.ThresholdedReLU({ theta: 0.3 })),
  ...Object.entries({
    brightness: () => L.RandomBrightness(0.2),
    contrast: () => L.RandomContrast(0.2),
    crop: () => L.RandomCrop(5, 6),
    height: () => L.RandomHeight(0.2),
    width: () => L.RandomWidth(0.2),
    flip: () => L.RandomFlip(),
    rotation: () => L.RandomRotation(0.1),
    translation: () => L.RandomTranslation(0.1, 0.1),
    zoom: () => L.RandomZoom(0.1),
  }).map(([name, layer]) => one(`random-${name}`, image, layer)),
  one('spectral-norm', vector, () => L.SpectralNormalization(L.Dense(5))),
  one('identity', vector, () => L.Identity()),
  one('custom', vector, () => new Gate()),
  one('custom-loops', vector, () => new Loops(), { batch: 4 }),
  family('block', [[12, 10, 3]], ((x) => {
    const conv = (t: KerasTensor, n: number) => L.ReLU({ maxValue: 6 })(L.BatchNormalization()(L.Conv2D(n, 3, { padding: 'same', useBias: false })(t)));
    const a = conv(x, 8);
    const b = L.Add()([conv(a, 8), a]);
    const c = L.Concatenate()([L.MaxPooling2D(2)(b), L.AveragePooling2D(2)(a)]);
    return L.Dense(4, { activation: 'softmax' })(L.GlobalAveragePooling2D()(conv(L.ZeroPadding2D(1)(c) as KerasTensor, 6) as KerasTensor) as KerasTensor);
  }) as Build),
];

/** The model of a family. */
export function familyModel(f: Family): ModelBase {
  const inputs = f.inputs.map((shape, i) => Input({ shape, batchSize: f.batch ?? null, dtype: f.dtype ?? 'float32', name: `input_${i}` }));
  return Model({ inputs, outputs: f.build(...inputs), name: f.name.replaceAll('-', '_') });
}

/** Families whose graph is made of more than layers, and what the conversion back says; `from`: the opset from which on it is layers. */
export const noLayers: Readonly<Record<string, { readonly pattern: RegExp; readonly from?: number }>> = {
  'activation-sparsemax': { pattern: /Greater '.*': it is no layer/ },
  'relu-layer': { pattern: /GreaterOrEqual '.*': it is no layer/ },
  'locally-connected-2d': { pattern: /Slice '.*': elements are taken with a step/ },
  'locally-connected': { pattern: /Einsum '.*': the batch is not the first axis/ },
  'group-norm': { pattern: /Sqrt '.*': it is no layer/, from: 21 },
  'embedding-masked': { pattern: /Equal '.*': it is no layer/ },
  'masked-average': { pattern: /Equal '.*': it is no layer/ },
  'lstm-hard': { pattern: /Scan '.*': it is no layer/ },
  'lstm-stateful': { pattern: /a constant that differs along the batch/ },
  'rnn-cells': { pattern: /Scan '.*': it is no layer/ },
  'conv-lstm': { pattern: /mixes the batch/ },
  'conv-lstm-1d': { pattern: /mixes the batch/ },
  'conv-lstm-3d': { pattern: /mixes the batch/ },
  masking: { pattern: /Equal '.*': it is no layer/ },
  'time-distributed': { pattern: /mixes the batch/ },
  'multi-head': { pattern: /a Dot layer has rank 3/ },
  'multi-head-causal': { pattern: /a Dot layer has rank 3/ },
  'grouped-query': { pattern: /a Dot layer has rank 3/ },
  'up-sampling2d-bicubic': { pattern: /entries of an axis are taken/ },
  discretization: { pattern: /GreaterOrEqual '.*': it is no layer/ },
  'category-encoding': { pattern: /Equal '.*': it is no layer/ },
  custom: { pattern: /Greater '.*': it is no layer\n.*Abs '.*': it is no layer/ },
  'custom-loops': { pattern: /a reduction over the batch/ },
};

/** Layer classes that cannot be written as ONNX, and why. */
export const notWritten: Readonly<Record<string, string>> = {
  IntegerLookup: 'tables of vocabularies are looked up on the host, before the model',
  StringLookup: 'strings become numbers on the host, before the model',
  TextVectorization: 'text becomes numbers on the host, before the model',
  Hashing: 'hashes are computed on the host, before the model',
  HashedCrossing: 'hashes are computed on the host, before the model',
};
