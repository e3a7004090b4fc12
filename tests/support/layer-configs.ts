/**
 * For every layer class arguments as Python's Keras takes them: the configurations that come of them are compared with the real ones (tests/interop/layers.ts), and go round
 * (tests/keras/layer-configs.test.ts). Layers as arguments are `{ layer: class, ...arguments }`.
 */
import type { JsonObject } from '../../frontend/keras/utils/serialization.js';

export interface ConfigCase {
  readonly cls: string;
  readonly args: JsonObject;
  /** The generations of Keras that know it; default both. */
  readonly keras: readonly (2 | 3)[];
}

const all: ConfigCase[] = [];
const both = [2, 3] as const;
/** Cases of a class: with what it requires alone, and with each of the further arguments. */
const add = (classes: string | readonly string[], required: JsonObject, more: readonly JsonObject[] = [], keras: readonly (2 | 3)[] = both): void => {
  for (const cls of typeof classes === 'string' ? [classes] : classes)
    for (const args of [{}, ...more]) all.push({ cls, args: { ...required, ...args } as JsonObject, keras });
};
const only2 = (classes: string | readonly string[], required: JsonObject, more: readonly JsonObject[] = []) => add(classes, required, more, [2]);
const only3 = (classes: string | readonly string[], required: JsonObject, more: readonly JsonObject[] = []) => add(classes, required, more, [3]);

const l2 = { class_name: 'L2', config: { l2: 0.25 } };
const maxNorm = { class_name: 'MaxNorm', config: { max_value: 3, axis: 0 } };
const constant = { class_name: 'Constant', config: { value: 2 } };
const orthogonal = { class_name: 'Orthogonal', config: { gain: 0.5, seed: 7 } };
const kernelAndBias = {
  kernel_initializer: orthogonal,
  bias_initializer: constant,
  kernel_regularizer: l2,
  bias_regularizer: { class_name: 'L1L2', config: { l1: 0.5, l2: 0.25 } },
  kernel_constraint: maxNorm,
  bias_constraint: 'non_neg',
};
const common = { trainable: false };
const space = (rank: number, n: number): number[] => Array.from({ length: rank }, (_, i) => n + (i % 2));

add('Dense', { units: 3 }, [
  { activation: 'relu', use_bias: false, ...common },
  { ...kernelAndBias, activity_regularizer: l2, activation: 'softmax' },
]);
add('EinsumDense', { equation: 'abc,cd->abd', output_shape: [null, 4] }, [{ activation: 'relu', bias_axes: 'd', ...kernelAndBias }]);
add('Activation', { activation: 'relu' }, [{ activation: 'gelu' }, { activation: 'hard_sigmoid' }]);
add('Embedding', { input_dim: 10, output_dim: 4 }, [
  { mask_zero: true, embeddings_initializer: orthogonal, embeddings_regularizer: l2, embeddings_constraint: maxNorm },
]);
only2('Embedding', { input_dim: 10, output_dim: 4, input_length: 5 });
add('Masking', {}, [{ mask_value: -1 }]);
add('Flatten', {}, [{ data_format: 'channels_first' }]);
add('Reshape', { target_shape: [3, 4] }, [{ target_shape: [-1, 2] }]);
add('Permute', { dims: [2, 1] });
add('RepeatVector', { n: 3 });
add('Identity', {}, [common]);
add('ActivityRegularization', {}, [{ l1: 0.5, l2: 0.25 }]);
only2('InputLayer', { batch_input_shape: [null, 3, null] }, [{ dtype: 'int32' }, { batch_input_shape: [4, 3] }]);
only3('InputLayer', { shape: [3, null] }, [{ dtype: 'int32' }, { batch_size: 4 }]);
add('ReLU', {}, [{ max_value: 6, negative_slope: 0.25, threshold: 1 }]);
only2(['LeakyReLU', 'ELU'], {}, [{ alpha: 0.5 }]);
only3('LeakyReLU', {}, [{ negative_slope: 0.5 }]);
only3('ELU', {}, [{ alpha: 0.5 }]);
add('PReLU', {}, [{ alpha_initializer: constant, alpha_regularizer: l2, alpha_constraint: maxNorm, shared_axes: [1, 2] }, { shared_axes: [1] }]);
only2('ThresholdedReLU', {}, [{ theta: 0.5 }]);
add('Softmax', {}, [{ axis: 1 }]);

for (const rank of [1, 2, 3]) {
  const strided = { strides: space(rank, 2), padding: 'same', data_format: 'channels_first', activation: 'relu', use_bias: false };
  add(`Conv${rank}D`, { filters: 4, kernel_size: 3 }, [
    { ...strided, groups: 2 },
    { dilation_rate: 2, ...kernelAndBias, activity_regularizer: l2 },
    ...(rank === 1 ? [{ padding: 'causal' }] : []),
  ]);
  add(`Conv${rank}DTranspose`, { filters: 4, kernel_size: space(rank, 2) }, [{ ...strided, output_padding: space(rank, 0).map((n) => n % 2) }, kernelAndBias]);
  add([`MaxPooling${rank}D`, `AveragePooling${rank}D`], { pool_size: 2 }, [
    { pool_size: 3, strides: 1, padding: 'same' },
    { pool_size: space(rank, 2), data_format: 'channels_first' },
  ]);

  only2([`MaxPooling${rank}D`, `AveragePooling${rank}D`], {});
  add([`GlobalMaxPooling${rank}D`, `GlobalAveragePooling${rank}D`], {}, [{ data_format: 'channels_first', keepdims: true }]);
  add(`ConvLSTM${rank}D`, { filters: 3, kernel_size: 2 }, [
    { padding: 'same', return_sequences: true, go_backwards: true, stateful: true, dropout: 0.25, recurrent_dropout: 0.5, unit_forget_bias: false },
    {
      ...kernelAndBias,
      recurrent_regularizer: l2,
      activation: 'relu',
      recurrent_activation: 'sigmoid',
      return_state: true,
      use_bias: false,
      data_format: 'channels_first',
    },
  ]);
  add(`UpSampling${rank}D`, {}, [{ size: rank === 1 ? 3 : space(rank, 2) }, ...(rank > 1 ? [{ data_format: 'channels_first' }] : [])]);
  add(`ZeroPadding${rank}D`, {}, [
    { padding: 2 },
    { padding: rank === 1 ? [1, 2] : space(rank, 1).map((n) => [n, 2]) },
    ...(rank > 1 ? [{ padding: space(rank, 1), data_format: 'channels_first' }] : []),
  ]);
  add(`Cropping${rank}D`, {}, [
    { cropping: rank === 1 ? [1, 2] : space(rank, 1).map((n) => [n, 2]) },
    ...(rank > 1 ? [{ cropping: 2, data_format: 'channels_first' }] : []),
  ]);
  add(`SpatialDropout${rank}D`, { rate: 0.25 }, rank === 1 ? [] : [{ data_format: 'channels_first' }]);
}
const depthwise = { depthwise_initializer: orthogonal, depthwise_regularizer: l2, depthwise_constraint: maxNorm };
for (const rank of [1, 2]) {
  add(`DepthwiseConv${rank}D`, { kernel_size: 3 }, [
    { depth_multiplier: 2, strides: 2, padding: 'same', ...depthwise, use_bias: false },
    { dilation_rate: 2, activation: 'relu', data_format: 'channels_first' },
  ]);
  add(`SeparableConv${rank}D`, { filters: 4, kernel_size: 3 }, [
    {
      depth_multiplier: 2,
      strides: 2,
      padding: 'same',
      ...depthwise,
      pointwise_initializer: constant,
      pointwise_regularizer: l2,
      pointwise_constraint: 'non_neg',
    },
    { dilation_rate: 2, activation: 'relu', data_format: 'channels_first', use_bias: false },
  ]);
  only2(`LocallyConnected${rank}D`, { filters: 4, kernel_size: 3 }, [
    { strides: 2, implementation: 2, padding: 'same', data_format: 'channels_first', ...kernelAndBias },
    { implementation: 3, activation: 'relu', use_bias: false },
  ]);
}
add('UpSampling2D', { size: 2, interpolation: 'bilinear' });

const recurrent = { recurrent_initializer: 'glorot_uniform', recurrent_regularizer: l2, recurrent_constraint: maxNorm };
const running = { return_sequences: true, return_state: true, go_backwards: true, stateful: true, unroll: true, dropout: 0.25, recurrent_dropout: 0.5 };
add('SimpleRNN', { units: 4 }, [running, { ...kernelAndBias, ...recurrent, activation: 'relu', use_bias: false }]);
add('GRU', { units: 4 }, [running, { ...kernelAndBias, ...recurrent, reset_after: false, activation: 'relu', recurrent_activation: 'hard_sigmoid' }]);
add('LSTM', { units: 4 }, [running, { ...kernelAndBias, ...recurrent, unit_forget_bias: false, recurrent_activation: 'hard_sigmoid' }]);
add('SimpleRNNCell', { units: 4 }, [{ ...kernelAndBias, ...recurrent, dropout: 0.25, recurrent_dropout: 0.5 }]);
add('GRUCell', { units: 4 }, [{ ...kernelAndBias, ...recurrent, reset_after: false, dropout: 0.25 }]);
add('LSTMCell', { units: 4 }, [{ ...kernelAndBias, ...recurrent, unit_forget_bias: false, recurrent_dropout: 0.5 }]);
const cell = (units: number): JsonObject => ({ layer: 'GRUCell', units, name: `cell_${units}` });
add('StackedRNNCells', { cells: [cell(3), cell(4)] });
add('RNN', { cell: cell(3) }, [{ return_sequences: true, return_state: true, go_backwards: true, stateful: true, unroll: true }]);
add('Bidirectional', { layer: { layer: 'LSTM', units: 3, return_sequences: true, name: 'inner' } }, [
  { merge_mode: 'sum' },
  { merge_mode: null, backward_layer: { layer: 'LSTM', units: 3, return_sequences: true, go_backwards: true, name: 'other' } },
]);
add('TimeDistributed', { layer: { layer: 'Dense', units: 3, name: 'inner' } });

add('BatchNormalization', {}, [
  { axis: 1, momentum: 0.5, epsilon: 0.25, center: false, scale: false },
  {
    beta_initializer: constant,
    gamma_initializer: 'zeros',
    moving_mean_initializer: 'ones',
    moving_variance_initializer: constant,
    beta_regularizer: l2,
    gamma_regularizer: l2,
    beta_constraint: 'non_neg',
    gamma_constraint: maxNorm,
  },
]);
add('BatchNormalization', { synchronized: true });
add('BatchNormalization', { renorm: true }, [{ renorm_clipping: { rmax: 2, dmax: 3 }, renorm_momentum: 0.5 }]);
const affine = {
  center: false,
  scale: false,
  beta_initializer: constant,
  gamma_initializer: 'zeros',
  beta_regularizer: l2,
  gamma_regularizer: l2,
  beta_constraint: 'non_neg',
  gamma_constraint: maxNorm,
};
add('LayerNormalization', {}, [
  { axis: 1, epsilon: 0.25 },
  { axis: [1, 2], ...affine },
]);
add('GroupNormalization', {}, [{ groups: 2, axis: 1, epsilon: 0.25, ...affine }]);
only3('RMSNormalization', {}, [{ axis: 1, epsilon: 0.25 }]);
add('UnitNormalization', {}, [{ axis: 1 }, { axis: [1, 2] }]);
add('SpectralNormalization', { layer: { layer: 'Dense', units: 3, name: 'inner' } }, [{ power_iterations: 3 }]);
add(['Add', 'Subtract', 'Multiply', 'Average', 'Maximum', 'Minimum', 'Concatenate'], {}, [common]);
add('Concatenate', { axis: 1 });
add('Dot', { axes: 1 }, [{ axes: [2, 1], normalize: true }]);

add(['Attention', 'AdditiveAttention'], {}, [{ use_scale: true, dropout: 0.25 }, { use_scale: false }]);
add('Attention', { score_mode: 'concat' });
add('MultiHeadAttention', { num_heads: 2, key_dim: 3 }, [
  { value_dim: 4, dropout: 0.25, use_bias: false, output_shape: [5], attention_axes: [1], ...kernelAndBias },
]);
only3('GroupQueryAttention', { head_dim: 3, num_query_heads: 4, num_key_value_heads: 2 }, [{ dropout: 0.25, use_bias: false, ...kernelAndBias }]);

add('Dropout', { rate: 0.25 }, [{ noise_shape: [null, 1, 3], seed: 7 }]);
add('AlphaDropout', { rate: 0.25 }, [{ noise_shape: [null, 1, 3], seed: 7 }]);
add('GaussianDropout', { rate: 0.25 }, [{ seed: 7 }]);
add('GaussianNoise', { stddev: 0.25 }, [{ seed: 7 }]);

add('Rescaling', { scale: 0.5 }, [{ offset: 1 }]);
add('Resizing', { height: 3, width: 4 }, [{ interpolation: 'nearest', crop_to_aspect_ratio: true }]);
only3('Resizing', { height: 3, width: 4, pad_to_aspect_ratio: true, fill_mode: 'constant', fill_value: 0.5, data_format: 'channels_first' });
add('CenterCrop', { height: 3, width: 4 });
add('CategoryEncoding', { num_tokens: 4 }, [{ output_mode: 'one_hot' }, { output_mode: 'count' }]);
add('Discretization', { bin_boundaries: [0, 1.5, 3] }, [{ output_mode: 'one_hot' }]);
add('Normalization', {}, [
  { axis: null, mean: 2, variance: 4 },
  { axis: 1, mean: [1, 2], variance: [3, 4] },
  { invert: true, mean: 2, variance: 4 },
]);
add('IntegerLookup', { vocabulary: [5, 7, 9] }, [
  { num_oov_indices: 2, output_mode: 'multi_hot', max_tokens: 6 },
  { mask_token: 0, oov_token: -2 },
]);
add('StringLookup', { vocabulary: ['a', 'b'] }, [
  { num_oov_indices: 2, output_mode: 'count', max_tokens: 6, pad_to_max_tokens: true },
  { mask_token: '', oov_token: '[OTHER]' },
]);
add('TextVectorization', { vocabulary: ['a', 'b'] }, [
  { max_tokens: 9, standardize: 'lower', split: 'character', ngrams: 2, output_sequence_length: 5 },
  { output_mode: 'multi_hot', pad_to_max_tokens: true, max_tokens: 9 },
]);
add('Hashing', { num_bins: 4 }, [
  { mask_value: 'x', salt: [1, 2] },
  { output_mode: 'one_hot', salt: 3 },
]);
add('HashedCrossing', { num_bins: 4 }, [{ output_mode: 'one_hot' }]);
add('RandomFlip', {}, [{ mode: 'vertical', seed: 7 }]);
const filled = { fill_mode: 'constant', interpolation: 'nearest', fill_value: 0.5, seed: 7 };
add('RandomRotation', { factor: 0.25 }, [{ factor: [-0.25, 0.5], ...filled }]);
add('RandomTranslation', { height_factor: 0.25, width_factor: 0.5 }, [{ height_factor: [-0.25, 0.5], ...filled }]);
add('RandomZoom', { height_factor: 0.25 }, [{ width_factor: [-0.25, 0.5], ...filled }]);
// Keras 3 makes a seed where none is given
add('RandomCrop', { height: 3, width: 4, seed: 7 });
only2('RandomCrop', { height: 3, width: 4 });
add('RandomContrast', { factor: 0.25 }, [{ factor: [0.25, 0.5], seed: 7 }]);
add('RandomBrightness', { factor: 0.25 }, [{ factor: [-0.25, 0.5], value_range: [0, 1], seed: 7 }]);
only2(['RandomHeight', 'RandomWidth'], { factor: 0.25 }, [{ factor: [-0.25, 0.5], interpolation: 'nearest', seed: 7 }]);

/** Every case with a name of its own. */
export const configCases: readonly (ConfigCase & { readonly name: string })[] = all.map((c, i) => ({ ...c, name: `c${i}_${c.cls.toLowerCase()}` }));
/** Without a configuration that Keras and we could share: Lambda's function is Python's; SyncBatchNormalization is written as a BatchNormalization with `synchronized`. */
export const withoutConfigs: readonly string[] = ['Lambda', 'SyncBatchNormalization'];
