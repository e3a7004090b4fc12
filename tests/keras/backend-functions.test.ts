/** Every function of tf.keras.backend: it gives what the real tf_keras gives (support/backend-expected.ts), or the documentation says why it is not here. */
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type DeviceOption,
  backend as K,
  Layer,
  layers,
  ops,
  optimizers,
  Sequential,
  type SymbolicTensor,
  type Tensor,
  tensor,
  utils,
  Variable,
} from '../../frontend/keras/index.js';
import { expected } from '../support/backend-expected.js';
import { openSoftwareDevice } from '../support/webgpu.js';

/** The public functions of tf.keras.backend (Keras 2.16). */
const ofKeras =
  `abs all any arange argmax argmin backend batch_dot batch_flatten batch_get_value batch_normalization batch_set_value bias_add binary_crossentropy
  binary_focal_crossentropy cast cast_to_floatx categorical_crossentropy categorical_focal_crossentropy clear_session clip concatenate constant conv1d conv2d conv2d_transpose
  conv3d cos count_params ctc_batch_cost ctc_decode ctc_label_dense_to_sparse cumprod cumsum depthwise_conv2d dot dropout dtype elu epsilon equal eval exp expand_dims experimental
  eye flatten floatx foldl foldr function gather get_uid get_value gradients greater greater_equal hard_sigmoid image_data_format in_test_phase in_top_k in_train_phase int_shape
  is_keras_tensor is_sparse l2_normalize learning_phase learning_phase_scope less less_equal local_conv1d local_conv2d log manual_variable_initialization map_fn max maximum mean
  min minimum moving_average_update name_scope ndim normalize_batch_in_training not_equal one_hot ones ones_like permute_dimensions placeholder pool2d pool3d pow print_tensor prod
  random_bernoulli random_binomial random_normal random_normal_variable random_uniform random_uniform_variable relu repeat repeat_elements reset_uids reshape resize_images
  resize_volumes reverse rnn round separable_conv2d set_epsilon set_floatx set_image_data_format set_learning_phase set_value shape sigmoid sign sin softmax softplus softsign
  sparse_categorical_crossentropy spatial_2d_padding spatial_3d_padding sqrt square squeeze stack std stop_gradient sum switch tanh temporal_padding tile to_dense transpose
  truncated_normal update update_add update_sub var variable zeros zeros_like`
    .split(/\s+/)
    .map((n) => n.replace(/_([a-z0-9])/g, (_, c: string) => c.toUpperCase()));
/** Without a meaning here; docs/keras-symbols.md says why. */
const notHere = ['experimental', 'learningPhase', 'learningPhaseScope', 'manualVariableInitialization', 'setLearningPhase'];

const sizeOf = (shape: readonly number[]) => shape.reduce((a, d) => a * d, 1);
const wave = (shape: readonly number[], phase = 0): Tensor =>
  tensor(
    Float32Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(i * 1.7 + phase)),
    shape,
  );
const ints = (...x: number[]) => tensor(Int32Array.from(x), [x.length]);
const column = (...x: number[]) => tensor(Int32Array.from(x), [x.length, 1]);
const probabilities = (x: Tensor, scale = 2) => ops.softmax(ops.multiply(x, scale));

const a = wave([2, 3]);
const b = wave([2, 3], 1);
const c3 = wave([2, 3, 4]);
const pos = ops.add(ops.abs(a), 0.1);
const image = wave([1, 4, 5, 2]);
const first = wave([1, 2, 4, 5]);
const volume = wave([1, 3, 4, 3, 2]);
const steps = wave([2, 6, 3]);
const stepsFirst = ops.transpose(steps, [0, 2, 1]);
const y01 = tensor([
  [1, 0, 1],
  [0, 0, 1],
]);
const p = ops.sigmoid(a);
const rows = probabilities(a);
const oneHot = tensor([
  [0, 1, 0],
  [1, 0, 0],
]);
const kernels = { one: wave([3, 3, 2], 3), two: wave([2, 3, 2, 3], 3), three: wave([2, 2, 2, 2, 2], 3), transposed: wave([2, 3, 3, 2], 3) };
const [depth, point] = [wave([2, 2, 2, 2], 3), wave([1, 1, 4, 3], 4)];
const images = ops.add(0.3, ops.abs(wave([2])));
const labels = tensor(Int32Array.of(1, 1, 2, 0, 3, 0, 0, 0, 2, 1, 3, 0), [3, 4]);
const [inputLength, labelLength] = [column(8, 6, 7), column(4, 1, 3)];
const path = probabilities(wave([3, 8, 5]));
const narrow = probabilities(wave([3, 8, 4], 0.7), 4);
const mask = tensor(Float32Array.of(1, 1, 0, 1, 0, 1, 0, 1, 1, 0, 1, 0), [2, 6]);
const stepOf = (x: SymbolicTensor, [s]: readonly SymbolicTensor[]) => [ops.add(ops.multiply(x, s!), 0.1), [ops.add(ops.multiply(s!, 0.5), x)]] as const;
const half = (s: SymbolicTensor, x: SymbolicTensor) => ops.add(ops.multiply(s, 0.5), x);
const less = (s: SymbolicTensor, x: SymbolicTensor) => ops.subtract(ops.multiply(s, x), x);

/** What a call on symbolic tensors gives, run eagerly on arrays: for functions that want tensors of a call. */
const inCall = (x: Tensor, body: (x: SymbolicTensor) => SymbolicTensor | readonly SymbolicTensor[], training = false): Tensor => {
  class Own extends Layer {
    static override readonly className = 'OwnCall';
    override call(inputs: SymbolicTensor): SymbolicTensor | readonly SymbolicTensor[] {
      return body(inputs);
    }
  }
  return new Own().apply(x as never, { training }) as unknown as Tensor;
};
const flatRnn = (x: Tensor, options: object, more: readonly Tensor[] = []) => {
  const r = K.rnn(stepOf, x, [wave([2, 3], 2)], options);
  return [r.lastOutput, r.outputs, ...r.states, ...more];
};

type Value = Tensor | Variable | readonly (Tensor | Variable)[];
const cases: Readonly<Record<string, () => Value>> = {
  ...Object.fromEntries(
    (['abs', 'cos', 'exp', 'sign', 'sin', 'softplus', 'softsign', 'square', 'tanh', 'sigmoid', 'round', 'hardSigmoid', 'sqrt'] as const).map((n) => [
      n,
      () => K[n](a),
    ]),
  ),
  log: () => K.log(pos),
  elu: () => K.elu(a),
  softmax: () => K.softmax(a),
  onesLike: () => K.onesLike(a),
  zerosLike: () => K.zerosLike(a),
  'elu alpha': () => K.elu(a, 0.5),
  'softmax axis': () => K.softmax(c3, 1),
  'softmax axes': () => K.softmax(c3, [1, 2]),
  ...Object.fromEntries(
    (['equal', 'greater', 'greaterEqual', 'less', 'lessEqual', 'maximum', 'minimum', 'notEqual'] as const).map((n) => [n, () => K[n](a, b)]),
  ),
  ...Object.fromEntries(
    (['sum', 'mean', 'max', 'min', 'prod', 'std', 'var'] as const).flatMap((n) => [
      [n, () => K[n](c3)],
      [`${n} axis`, () => K[n](c3, 1, true)],
      [`${n} axes`, () => K[n](c3, [0, 2])],
    ]),
  ),
  any: () => K.any(ops.greater(a, 0.9), 1),
  all: () => K.all(ops.greater(a, -0.9), 0),
  argmax: () => K.argmax(c3),
  argmin: () => K.argmin(c3),
  'argmax axis': () => K.argmax(c3, 1),
  cumsum: () => K.cumsum(a),
  cumprod: () => K.cumprod(a, 1),
  pow: () => K.pow(pos, 1.5),
  arange: () => K.arange(1, 9, 3),
  cast: () => K.cast(ops.multiply(a, 2), 'int32'),
  castToFloatx: () => K.castToFloatx(ints(1, 2)),
  clip: () => K.clip(a, -0.2, 0.5),
  concatenate: () => K.concatenate([a, b]),
  'concatenate axis': () => K.concatenate([a, b], 0),
  expandDims: () => K.expandDims(a),
  reshape: () => K.reshape(c3, [4, -1]),
  squeeze: () => K.squeeze(wave([2, 1, 3]), 1),
  stack: () => K.stack([a, b], 1),
  tile: () => K.tile(a, [2, 1]),
  transpose: () => K.transpose(c3),
  permuteDimensions: () => K.permuteDimensions(c3, [1, 2, 0]),
  eye: () => K.eye(3),
  oneHot: () => K.oneHot(ints(2, 0, 3), 4),
  gather: () => K.gather(c3, ints(1, 0)),
  repeat: () => K.repeat(a, 2),
  repeatElements: () => K.repeatElements(c3, 2, 1),
  flatten: () => K.flatten(c3),
  batchFlatten: () => K.batchFlatten(c3),
  reverse: () => K.reverse(c3, [1, 2]),
  slice: () => K.slice(c3, [0, 1, 1], [2, 2, 3]),
  l2Normalize: () => K.l2Normalize(c3, 2),
  inTopK: () => K.inTopK(ops.squeeze(ops.slice(c3, [0, 0, 0], [1, 3, 4]), 0), ints(0, 1, 3), 2),
  relu: () => K.relu(a),
  'relu all': () => K.relu(ops.multiply(a, 3), 0.1, 1.5, 0.3),
  'relu leaky': () => K.relu(a, 0.2),
  'relu edge': () => K.relu(tensor([0.5, -1, 2]), 0, null, 0.5),
  dot: () => K.dot(c3, wave([4, 2], 2)),
  'dot 3d': () => K.dot(a, wave([2, 3, 4], 2)),
  batchDot: () => K.batchDot(c3, wave([2, 4, 2], 2)),
  'batchDot axes': () => K.batchDot(c3, wave([2, 5, 4], 2), [2, 2]),
  'batchDot vectors': () => K.batchDot(a, b, 1),
  'batchDot mixed': () => K.batchDot(c3, wave([2, 4], 2), [2, 1]),
  batchNormalization: () => K.batchNormalization(c3, wave([4]), ops.add(0.1, ops.abs(wave([4]))), wave([4], 1), wave([4], 2), -1, 0.01),
  'batchNormalization images': () => K.batchNormalization(image, wave([2]), images, wave([2], 1), wave([2], 2), -1, 0.01),
  normalizeBatchInTraining: () => K.normalizeBatchInTraining(a, wave([3], 1), wave([3], 2), [0]),
  'normalizeBatchInTraining images': () => K.normalizeBatchInTraining(image, wave([2], 1), wave([2], 2), [0, 1, 2]),
  'normalizeBatchInTraining first': () => K.normalizeBatchInTraining(first, wave([2], 1), wave([2], 2), [0, 2, 3]),
  'normalizeBatchInTraining plain': () => K.normalizeBatchInTraining(c3, null, null, [0, 1]),
  binaryCrossentropy: () => K.binaryCrossentropy(y01, p),
  'binaryCrossentropy logits': () => K.binaryCrossentropy(y01, a, true),
  'binaryCrossentropy edge': () => K.binaryCrossentropy(tensor([1, 0, 1, 0]), tensor([0, 1, 1, 0])),
  binaryFocalCrossentropy: () => K.binaryFocalCrossentropy(y01, p),
  'binaryFocalCrossentropy logits': () => K.binaryFocalCrossentropy(y01, a, false, 0.25, 2, true),
  'binaryFocalCrossentropy balanced': () => K.binaryFocalCrossentropy(y01, p, true, 0.3, 1.5),
  categoricalCrossentropy: () => K.categoricalCrossentropy(oneHot, rows),
  'categoricalCrossentropy logits': () => K.categoricalCrossentropy(oneHot, a, true),
  'categoricalCrossentropy axis': () => K.categoricalCrossentropy(ops.transpose(oneHot), ops.transpose(rows), false, 0),
  categoricalFocalCrossentropy: () => K.categoricalFocalCrossentropy(oneHot, rows),
  'categoricalFocalCrossentropy logits': () => K.categoricalFocalCrossentropy(oneHot, a, 0.4, 1, true),
  sparseCategoricalCrossentropy: () => K.sparseCategoricalCrossentropy(ints(1, 0), rows),
  'sparseCategoricalCrossentropy logits': () => K.sparseCategoricalCrossentropy(ints(1, 0), a, true),
  'sparseCategoricalCrossentropy ignore': () => K.sparseCategoricalCrossentropy(ints(1, 2), rows, false, -1, 2),
  conv1d: () => K.conv1d(steps, kernels.one),
  'conv1d causal': () => K.conv1d(steps, kernels.one, 1, 'causal', null, 2),
  'conv1d first': () => K.conv1d(stepsFirst, kernels.one, 2, 'same', 'channels_first'),
  conv2d: () => K.conv2d(image, kernels.two, [2, 1], 'same'),
  'conv2d dilated': () => K.conv2d(image, kernels.two, 1, 'valid', null, [2, 1]),
  'conv2d first': () => K.conv2d(first, kernels.two, 1, 'valid', 'channels_first'),
  conv3d: () => K.conv3d(volume, kernels.three),
  'conv3d same': () => K.conv3d(volume, kernels.three, [1, 2, 1], 'same'),
  conv2dTranspose: () => K.conv2dTranspose(image, kernels.transposed, [1, 8, 10, 3], 2, 'same'),
  'conv2dTranspose valid': () => K.conv2dTranspose(image, kernels.transposed, [null, 9, 7, 3], [2, 1]),
  'conv2dTranspose dilated': () => K.conv2dTranspose(image, wave([3, 3, 3, 2], 3), [1, 4, 5, 3], 1, 'same', null, 2),
  'conv2dTranspose first': () => K.conv2dTranspose(first, kernels.transposed, [1, 3, 8, 10], 2, 'same', 'channels_first'),
  'conv2dTranspose odd': () => K.conv2dTranspose(image, kernels.transposed, [1, 7, 9, 3], 2, 'same'),
  depthwiseConv2d: () => K.depthwiseConv2d(image, depth),
  'depthwiseConv2d same': () => K.depthwiseConv2d(image, depth, 2, 'same'),
  'depthwiseConv2d first': () => K.depthwiseConv2d(first, depth, 1, 'valid', 'channels_first', 2),
  separableConv2d: () => K.separableConv2d(image, depth, point),
  'separableConv2d first': () => K.separableConv2d(first, depth, point, 2, 'same', 'channels_first'),
  localConv1d: () => K.localConv1d(steps, wave([3, 6, 2], 3), 2, 2),
  'localConv1d first': () => K.localConv1d(stepsFirst, wave([3, 6, 2], 3), 2, 2, 'channels_first'),
  localConv2d: () => K.localConv2d(image, wave([4, 12, 3], 3), [3, 2], [1, 2], [2, 2]),
  'localConv2d first': () => K.localConv2d(first, wave([4, 12, 3], 3), [3, 2], [1, 2], [2, 2], 'channels_first'),
  pool2d: () => K.pool2d(image, 2),
  'pool2d avg': () => K.pool2d(image, [2, 3], 2, 'same', null, 'avg'),
  'pool2d first': () => K.pool2d(first, 2, 2, 'valid', 'channels_first'),
  pool3d: () => K.pool3d(volume, 2, [1, 2, 1], 'same'),
  'pool3d avg': () => K.pool3d(volume, 2, [1, 2, 1], 'same', null, 'avg'),
  temporalPadding: () => K.temporalPadding(steps, [1, 2]),
  spatial2dPadding: () =>
    K.spatial2dPadding(image, [
      [1, 0],
      [0, 2],
    ]),
  'spatial2dPadding first': () =>
    K.spatial2dPadding(
      first,
      [
        [1, 0],
        [0, 2],
      ],
      'channels_first',
    ),
  spatial3dPadding: () =>
    K.spatial3dPadding(volume, [
      [1, 0],
      [0, 1],
      [1, 1],
    ]),
  'spatial3dPadding first': () =>
    K.spatial3dPadding(
      volume,
      [
        [1, 0],
        [0, 1],
        [1, 1],
      ],
      'channels_first',
    ),
  biasAdd: () => K.biasAdd(image, wave([2])),
  'biasAdd first': () => K.biasAdd(first, wave([2]), 'channels_first'),
  'biasAdd places': () => K.biasAdd(first, wave([4, 5, 2]), 'channels_first'),
  resizeImages: () => K.resizeImages(image, 2, 3, 'channels_last'),
  'resizeImages bilinear': () => K.resizeImages(first, 2, 2, 'channels_first', 'bilinear'),
  'resizeImages bicubic': () => K.resizeImages(image, 2, 1, 'channels_last', 'bicubic'),
  resizeVolumes: () => K.resizeVolumes(volume, 2, 1, 2, 'channels_last'),
  'resizeVolumes first': () => K.resizeVolumes(volume, 1, 2, 1, 'channels_first'),
  foldl: () => K.foldl(half, steps),
  'foldl start': () => K.foldl(half, steps, wave([6, 3], 5)),
  foldr: () => K.foldr(less, c3),
  'foldr start': () => K.foldr(less, steps, wave([6, 3], 5)),
  mapFn: () => K.mapFn((x) => ops.add(ops.multiply(x, x), 1), a),
  rnn: () => flatRnn(steps, {}),
  'rnn mask': () => inCallRnn({ goBackwards: true, mask: true }),
  'rnn zero': () => inCallRnn({ mask: true, zeroOutputForMask: true }),
  'rnn constants': () => inCallRnn({ constants: true, timeMajor: true }),
  movingAverageUpdate: () => K.movingAverageUpdate(K.variable(a), b, 0.9),
  update: () => K.update(K.variable(a), b),
  updateAdd: () => K.updateAdd(K.variable(a), b),
  updateSub: () => K.updateSub(K.variable(a), b),
  constant: () =>
    K.constant([
      [1, 2],
      [3, 4],
    ]),
  'constant filled': () => K.constant(3, 'float32', [2, 2]),
  ctcBatchCost: () => K.ctcBatchCost(labels, path, inputLength, labelLength),
  'ctcBatchCost gradient': () => inCall(path, (x) => K.gradients(ops.sum(K.ctcBatchCost(labels, x, inputLength, labelLength)), [x])[0]!),
  ctcDecode: () => {
    const { decoded, logProbability } = K.ctcDecode(narrow, ints(8, 6, 7));
    return [...decoded, logProbability];
  },
  'ctcDecode search': () => {
    const { decoded, logProbability } = K.ctcDecode(narrow, ints(8, 6, 7), false, 20, 3);
    return [...decoded, logProbability];
  },
  ctcLabelDenseToSparse: () => {
    const s = K.ctcLabelDenseToSparse(labels, ints(4, 1, 3));
    return [tensor(s.indices), tensor(s.values), tensor(s.denseShape)];
  },
  gradients: () => inCall(a, (x) => K.gradients(K.sum(ops.multiply(K.square(x), b)), [x])[0]!),
  switch: () => inCall(a, (x) => K.switch(K.greater(K.sum(x), 0), x, () => ops.multiply(x, 0))),
};
function inCallRnn(o: {
  readonly goBackwards?: boolean;
  readonly mask?: boolean;
  readonly zeroOutputForMask?: boolean;
  readonly constants?: boolean;
  readonly timeMajor?: boolean;
}): Value {
  return inCall(steps, (x) => {
    const { goBackwards, zeroOutputForMask, timeMajor } = o;
    const constant = o.constants ? [ops.add(ops.multiply(ops.sum(x), 0), wave([2, 3], 3))] : [];
    const step = o.constants
      ? (v: SymbolicTensor, [s, k]: readonly SymbolicTensor[]) => [ops.add(ops.multiply(v, s!), k!), [ops.add(ops.multiply(s!, 0.5), v)]] as const
      : stepOf;
    const given = o.mask ? ops.greater(ops.add(ops.multiply(ops.sum(x), 0), mask), 0.5) : null;
    const r = K.rnn(step, timeMajor ? ops.transpose(x, [1, 0, 2]) : x, [wave([2, 3], 2)], {
      goBackwards,
      zeroOutputForMask,
      timeMajor,
      constants: constant,
      mask: given,
    });
    return [r.lastOutput, r.outputs, ...r.states];
  }) as unknown as Tensor[];
}

for (const [name, [shape, waved, size]] of Object.entries(expected))
  test(name, () => {
    const run = cases[name];
    assert.ok(run, `no call for ${name}`);
    const given = run();
    const list = (Array.isArray(given) ? given : [given]) as readonly (Tensor | Variable)[];
    assert.equal(list.length === 1 ? [...list[0]!.shape] : list.map((t) => [...t.shape]), shape, 'shape');
    const numbers = list.flatMap((t) => Array.from(t instanceof Variable ? t.value : t.data, Number));
    const found = [numbers.reduce((s, x, i) => s + x * Math.cos(i), 0), numbers.reduce((s, x) => s + Math.abs(x), 0)];
    for (const [i, x] of [waved, size].entries()) assert.ok(Math.abs(found[i]! - x) < 2e-5 * (1 + size), `${found[i]}, expected ${x}`);
  });

// ---- what gives no numbers that could be compared

const others: Readonly<Record<string, () => void | Promise<void>>> = {
  backend: () => assert.is(K.backend(), 'tenon'),
  floatx: () => assert.is(K.floatx(), 'float32'),
  setFloatx: () => {
    K.setFloatx('float32');
    assert.throws(() => K.setFloatx('float16'), /setFloatx: computing in 'float16' is not supported/);
  },
  imageDataFormat: () => assert.is(K.imageDataFormat(), 'channels_last'),
  setImageDataFormat: () => {
    K.setImageDataFormat('channels_last');
    assert.throws(() => K.setImageDataFormat('channels_first'), /setImageDataFormat: 'channels_first'/);
  },
  epsilon: () => assert.is(K.epsilon(), 1e-7),
  setEpsilon: () => {
    K.setEpsilon(1e-3);
    assert.is(K.epsilon(), 1e-3);
    K.setEpsilon(1e-7);
  },
  getUid: () => assert.equal([K.getUid('some'), K.getUid('some')], [1, 2]),
  resetUids: () => {
    K.getUid('other');
    K.resetUids();
    assert.is(K.getUid('other'), 1);
  },
  clearSession: () => {
    K.getUid('other');
    K.clearSession();
    assert.is(K.getUid('other'), 1);
  },
  nameScope: () => {
    assert.is(
      K.nameScope('outside', () => 3),
      3,
    );
    assert.throws(() => inCall(a, (x) => K.nameScope('inner', () => ops.matmul(x, x))), /inner/);
  },
  variable: () => {
    const v = K.variable([[1, 2]], { name: 'v', dtype: 'int32', trainable: false });
    assert.equal([v.path, v.dtype, v.trainable, v.shape, [...v.value]], ['v', 'int32', false, [1, 2], [1, 2]]);
  },
  zeros: () => assert.equal([...K.zeros([2, 2]).value], [0, 0, 0, 0]),
  ones: () => assert.equal([...K.ones([3]).value], [1, 1, 1]),
  randomUniformVariable: () => {
    const v = K.randomUniformVariable([1000], 2, 3, { seed: 1 }).value;
    assert.ok(v.every((x) => x >= 2 && x < 3) && Math.abs(mean(v) - 2.5) < 0.05);
  },
  randomNormalVariable: () => {
    const v = K.randomNormalVariable([2000], 4, 0.5, { seed: 1 }).value;
    assert.ok(Math.abs(mean(v) - 4) < 0.05 && Math.abs(deviation(v) - 0.5) < 0.05);
  },
  placeholder: () => {
    const x = K.placeholder([null, 3], { dtype: 'int32', name: 'given' });
    assert.equal([x.shape, x.dtype, x.name], [[null, 3], 'int32', 'given']);
    assert.equal(K.placeholder([4, 3]).shape, [4, 3]);
  },
  getValue: () => assert.equal([...K.getValue(K.variable([1, 2])).data], [1, 2]),
  eval: () => {
    assert.equal([...K.eval(K.variable([1, 2])).data], [1, 2]);
    assert.is(K.eval(a), a);
  },
  setValue: () => {
    const v = K.variable([1, 2]);
    K.setValue(v, [3, 4]);
    assert.equal([...v.value], [3, 4]);
  },
  batchGetValue: () =>
    assert.equal(
      K.batchGetValue([K.variable([1]), K.variable([2])]).map((t) => t.data[0]),
      [1, 2],
    ),
  batchSetValue: () => {
    const [v, w] = [K.variable([1]), K.variable([2])];
    K.batchSetValue([
      [v, [5]],
      [w, [6]],
    ]);
    assert.equal([v.value[0], w.value[0]], [5, 6]);
  },
  intShape: () => assert.equal(K.intShape(K.placeholder([null, 3])), [null, 3]),
  shape: () => assert.equal(K.shape(a), [2, 3]),
  ndim: () => assert.is(K.ndim(c3), 3),
  dtype: () => assert.is(K.dtype(ints(1)), 'int32'),
  countParams: () => assert.is(K.countParams(K.zeros([3, 4])), 12),
  isKerasTensor: () => assert.equal([K.isKerasTensor(K.placeholder([null, 1])), K.isKerasTensor(a)], [true, false]),
  isSparse: () => assert.is(K.isSparse(a), false),
  toDense: () => assert.is(K.toDense(a), a),
  printTensor: () => {
    const lines: string[] = [];
    const { log } = console;
    console.log = (x: string) => lines.push(x);
    try {
      assert.is(K.printTensor(a, 'here:'), a);
      inCall(a, (x) => K.printTensor(x, 'inside:'));
    } finally {
      console.log = log;
    }
    assert.match(lines.join('\n'), /here: Tensor[\s\S]*0\.99[\s\S]*inside: Tensor[\s\S]*0\.99/);
  },
  stopGradient: () => assert.equal([...inCall(a, (x) => K.gradients(K.sum(ops.multiply(x, K.stopGradient(x))), [x])[0]!).data], [...a.data]),
  inTrainPhase: () => assert.equal([K.inTrainPhase(1, 2, true), K.inTrainPhase(1, () => 2)], [1, 2]),
  inTestPhase: () => assert.equal([K.inTestPhase(1, 2, true), K.inTestPhase(() => 1, 2)], [2, 1]),
  function: async () => {
    const x = K.placeholder([null, 3]);
    const hidden = layers.Dense(3, { kernelInitializer: 'identity' })(x);
    const out = layers.Dropout(0.5)(layers.ReLU()(hidden));
    const [h, y] = await K.function([x], [hidden, out])([a]);
    assert.equal([[...h!.data], [...y!.data]], [[...a.data], [...a.data].map((v) => Math.max(v, 0))]);
    assert.equal([...(await K.function([x], hidden)([a])).data], [...a.data]);
  },
  randomNormal: () => {
    const x = drawn(() => K.randomNormal([4000], 2, 3, 5));
    assert.ok(Math.abs(mean(x) - 2) < 0.2 && Math.abs(deviation(x) - 3) < 0.2);
  },
  randomUniform: () => {
    const x = drawn(() => K.randomUniform([4000], -1, 3, 5));
    assert.ok(x.every((v) => v >= -1 && v < 3) && Math.abs(mean(x) - 1) < 0.1);
  },
  randomBernoulli: () => assert.ok(Math.abs(mean(drawn(() => K.randomBernoulli([4000], 0.3, 5))) - 0.3) < 0.03),
  randomBinomial: () => assert.ok(Math.abs(mean(drawn(() => K.randomBinomial([4000], 0.3, 5))) - 0.3) < 0.03),
  truncatedNormal: () => {
    const x = drawn(() => K.truncatedNormal([20000], 1, 0.5, 5));
    assert.ok(x.every((v) => Math.abs(v - 1) <= 1 + 1e-6));
    // the standard deviation of normal numbers cut off at two of theirs
    assert.ok(Math.abs(mean(x) - 1) < 0.01 && Math.abs(deviation(x) - 0.5 * 0.8796) < 0.01, `${mean(x)} ${deviation(x)}`);
    // quartiles of that distribution: 0.6394 at three quarters
    const sorted = [...x].sort((p, q) => p - q);
    assert.ok(Math.abs(sorted[15000]! - (1 + 0.5 * 0.6394)) < 0.015, String(sorted[15000]));
  },
  dropout: () => {
    const x = inCall(tensor(new Float32Array(4000).fill(1), [50, 80]), (v) => K.dropout(v, 0.4, null, 5)).data;
    assert.ok(Array.from(x).every((v) => v === 0 || Math.abs(v - 1 / 0.6) < 1e-6) && Math.abs(mean(x) - 1) < 0.06);
    const rows = inCall(tensor(new Float32Array(60).fill(1), [20, 3]), (v) => K.dropout(v, 0.5, [20, 1], 3)).data;
    for (let i = 0; i < 20; i++) assert.ok(rows[3 * i] === rows[3 * i + 1] && rows[3 * i] === rows[3 * i + 2]);
    assert.ok(rows.includes(0) && rows.includes(2));
  },
};
const mean = (x: ArrayLike<number>) => Array.from(x).reduce((s, v) => s + v, 0) / x.length;
const deviation = (x: ArrayLike<number>) => {
  const middle = mean(x);
  return Math.sqrt(mean(Array.from(x, (v) => (v - middle) ** 2)));
};
const drawn = (make: () => SymbolicTensor): number[] => Array.from(inCall(tensor([0]), () => make()).data);

for (const [name, run] of Object.entries(others)) test(name, run);

test('every function of tf.keras.backend is here with a call above, or has a reason in the documentation', () => {
  const called = new Set([...Object.keys(cases).map((n) => n.split(' ')[0]!), ...Object.keys(others)]);
  assert.equal(
    ofKeras.filter((n) => !notHere.includes(n) && !(n in K && called.has(n))),
    [],
  );
  assert.equal(
    Object.keys(cases).filter((n) => !(n in expected)),
    [],
  );
  const page = readFileSync(new URL('../../docs/keras-symbols.md', import.meta.url), 'utf8');
  const reasons = page.split('Not in `backend`')[1]!.split('\n## ')[0]!;
  assert.equal(
    notHere.filter((n) => n in K || !reasons.includes(n)),
    [],
  );
  const documented = page.split('`backend` has')[1]!.split('Not in `backend`')[0]!;
  assert.equal(
    Object.keys(K).filter((n) => !new RegExp(`\\b${n}\\b`).test(documented)),
    [],
  );
});

test('in compiled models: functions of backend are part of the plan, and the CTC loss trains alike on both targets', async () => {
  const gpu = await openSoftwareDevice();
  const train = async (device: DeviceOption): Promise<readonly number[]> => {
    utils.setRandomSeed(3);
    const model = Sequential([layers.Dense(5, { activation: 'softmax' })]);
    const loss = (y: SymbolicTensor, predicted: SymbolicTensor) => {
      const all = ops.add(ops.multiply(ops.sum(y, [1], true), 0), 8);
      return K.ctcBatchCost(y, predicted, all, ops.subtract(all, 5));
    };
    model.compile({ optimizer: optimizers.Adam({ learningRate: 0.02 }), loss, device });
    const y = tensor([
      [1, 1, 2],
      [3, 0, 2],
    ]);
    const { history } = await model.fit(wave([2, 8, 6]), y, { epochs: 20, verbose: 0 });
    model.dispose();
    return history.loss!;
  };
  const losses = await train('wasm');
  assert.ok(losses.at(-1)! < losses[0]! * 0.8, `${losses[0]} to ${losses.at(-1)}`);
  if (!gpu) return;
  const there = await train(gpu);
  for (const [i, x] of losses.entries()) assert.ok(Math.abs(x - there[i]!) < 1e-3, `epoch ${i}: ${x} on WASM, ${there[i]} on WebGPU`);
  gpu.dispose();
});

test('errors name the function, what it got and what it wanted', () => {
  const wrong: readonly [() => unknown, RegExp][] = [
    [() => K.conv2d(a, kernels.two), /backend\.conv2d: expected an input of rank 4 \(channels_last\), got shape \[2, 3\]/],
    [() => K.conv2d(image, kernels.one), /backend\.conv2d: expected a kernel of rank 4, got shape \[3, 3, 2\]/],
    [() => K.conv2d(image, kernels.two, 0), /backend\.conv2d: 'strides' must be .*got 0/],
    [() => K.conv2d(image, kernels.two, 1, 'sane' as 'same'), /backend\.conv2d: 'padding' must be 'valid' or 'same', got 'sane'/],
    [() => K.conv2dTranspose(image, kernels.transposed, [1, 20, 10, 3], 2, 'same'), /backend\.conv2dTranspose: .*gives 10 places, the input has 4/],
    [() => K.depthwiseConv2d(image, kernels.one), /backend\.depthwiseConv2d: expected a depthwise kernel/],
    [() => K.pool2d(image, 2, 1, 'valid', null, 'mean' as 'avg'), /backend\.pool2d: 'poolMode' must be 'max' or 'avg', got 'mean'/],
    [() => K.resizeImages(image, 2, 2, 'channels_last', 'cubic' as 'bicubic'), /backend\.resizeImages: 'interpolation' must be .*got 'cubic'/],
    [() => K.biasAdd(image, c3.shape.length === 3 ? wave([5, 2]) : a), /backend\.biasAdd: a bias has 1 or 3 axes .*got 2/],
    [() => K.ctcBatchCost(labels, a, inputLength, labelLength), /backend\.ctcBatchCost: expected yTrue \(samples, labels\)/],
    [() => K.ctcDecode(narrow, ints(8, 6), false), /backend\.ctcDecode: .*one length for each sample/],
    [
      () => inCall(narrow, (x) => K.ctcDecode(x, ints(8, 6, 7), false).logProbability),
      /backend\.ctcDecode: the search of prefixes works on arrays of the host/,
    ],
    [() => K.placeholder(3 as unknown as number[]), /backend\.placeholder: expected a shape/],
    [() => ops.bitwiseAnd(tensor([1.5]), tensor([1])), /bitwiseAnd: expected int32 or uint32, got float32/],
  ];
  for (const [run, pattern] of wrong) assert.throws(run, pattern);
});

test.run();
