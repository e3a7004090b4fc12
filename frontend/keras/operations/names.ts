/** Which operation a layer of a file is: the classes of `keras.ops` (Keras 3), and the functions of TensorFlow by their exported names (Keras 2), brought to the names of table.ts. */
import { UnsupportedError } from '../../../ir/errors.js';
import * as activations from '../activations.js';
import * as ops from '../ops/index.js';
import type { JsonObject, SerializedObject } from '../utils/serialization.js';
import { snakeOfClass } from '../utils/serialization.js';
import { Arguments, Sizes, same } from './arguments.js';
import type { Written } from './call.js';
import { operations, type Run } from './table.js';

/** TensorFlow's names for operations that do the same. Namespaces (`math.`, `nn.`, …) are not looked at. */
const tensorflowNames: Readonly<Record<string, string>> = {
  acos: 'arccos',
  acosh: 'arccosh',
  asin: 'arcsin',
  asinh: 'arcsinh',
  atan: 'arctan',
  atanh: 'arctanh',
  avg_pool: 'average_pool',
  avg_pool1d: 'average_pool',
  avg_pool2d: 'average_pool',
  avg_pool3d: 'average_pool',
  batch_flatten: 'flatten',
  clip_by_value: 'clip',
  concat: 'concatenate',
  concatenate: 'concatenate',
  conv1d: 'conv',
  conv2d: 'conv',
  conv3d: 'conv',
  convolution: 'conv',
  depthwise_conv2d: 'depthwise_conv',
  diag_part: 'diagonal',
  div: 'divide',
  div_no_nan: 'divide_no_nan',
  ensure_shape: 'identity',
  floor_div: 'floor_divide',
  floordiv: 'floor_divide',
  floormod: 'mod',
  gather: 'take',
  getitem: 'get_item',
  is_finite: 'isfinite',
  is_inf: 'isinf',
  is_nan: 'isnan',
  max_pool1d: 'max_pool',
  max_pool2d: 'max_pool',
  max_pool3d: 'max_pool',
  multiply_no_nan: 'multiply',
  neg: 'negative',
  permute_dimensions: 'transpose',
  pow: 'power',
  realdiv: 'divide',
  reduce_all: 'all',
  reduce_any: 'any',
  reduce_logsumexp: 'logsumexp',
  reduce_max: 'max',
  reduce_mean: 'mean',
  reduce_min: 'min',
  reduce_prod: 'prod',
  reduce_std: 'std',
  reduce_sum: 'sum',
  reduce_variance: 'var',
  reverse: 'flip',
  sub: 'subtract',
  swish: 'silu',
  truediv: 'divide',
};
/** Namespaces in which a name is not another function of the same name. */
const namespaces = ['', 'math', 'nn', 'linalg', '__operators__', 'image', 'dtypes', 'bitwise', 'keras.backend', 'keras.activations', 'keras.ops'];

/** Functions of TensorFlow whose defaults, or whose arguments, are not those of the operation of the same name. */
const tensorflow: Readonly<Record<string, Run>> = {
  add_n: (a) => a.tensors(0, 'inputs').reduce((x, y) => ops.add(x, y)),
  argmax: (a) => ops.argmax(a.first, a.integer(0, 'axis', 'dimension')),
  argmin: (a) => ops.argmin(a.first, a.integer(0, 'axis', 'dimension')),
  atan2: (a) => ops.arctan2(...same(a.tensor(0, 'y'), a.tensor(1, 'x'))),
  cumprod: (a) => operations.cumprod!(withAxis(a, 0)),
  cumsum: (a) => operations.cumsum!(withAxis(a, 0)),
  gather: (a) => operations.take!(withAxis(a, a.integer(0, 'batch_dims'))),
  gelu: (a) => ops.gelu(a.first, a.flag(false, 'approximate')),
  hard_sigmoid: (a) => activations.hardSigmoidKeras2(a.first),
  rank: (a) => new Sizes(a.first.rank),
  silu: (a) => {
    const beta = a.number(1, 'beta');
    const x = a.first;
    return beta === 1 ? ops.silu(x) : ops.multiply(x, ops.sigmoid(ops.multiply(x, beta)));
  },
  split: (a) => {
    const given = a.sizes(1, 'num_or_size_splits', 'value');
    const list = a.integers(1, 'num_or_size_splits', 'value');
    const axis = a.integer(0, 'axis');
    if (given === null || !Array.isArray(given.value)) return ops.split(a.first, list[0]!, axis);
    const total = a.first.shape.at(axis);
    const rest = typeof total === 'number' ? total - list.reduce((n, d) => n + Math.max(d, 0), 0) : Number.NaN;
    let end = 0;
    const ends = list.map((d) => {
      end += d === -1 ? rest : d;
      return end;
    });
    return ops.split(a.first, ends.slice(0, -1), axis);
  },
};

/** The same arguments with a default for the axis. */
const withAxis = (a: Arguments, axis: number): Arguments => new Arguments(a.trace, a.positional, { ...a.named, axis: a.named.axis ?? axis });

/** Modules of Keras 3's operations, for files that do not say them. */
const modules: Readonly<Record<string, readonly string[]>> = {
  core: ['cast', 'unstack', 'stop_gradient', 'slice'],
  math: ['erf', 'logsumexp', 'rsqrt', 'top_k'],
  linalg: ['norm'],
  image: ['resize'],
  nn: [
    ...[
      'relu',
      'relu6',
      'sigmoid',
      'softplus',
      'softsign',
      'silu',
      'log_sigmoid',
      'leaky_relu',
      'hard_sigmoid',
      'hard_silu',
      'hard_tanh',
      'elu',
      'selu',
      'gelu',
      'celu',
      'glu',
      'mish',
    ],
    ...['softmax', 'log_softmax', 'max_pool', 'average_pool', 'conv', 'depthwise_conv', 'one_hot', 'moments', 'normalize', 'tanh_shrink', 'sparse_plus'],
    ...['binary_crossentropy', 'categorical_crossentropy', 'sparse_categorical_crossentropy'],
  ],
};
const moduleOf = (name: string): string => `keras.src.ops.${Object.keys(modules).find((m) => modules[m]!.includes(name)) ?? 'numpy'}`;

/** The class in snake_case, as the table has it: `GetItem` is `get_item`, `Arctan2` `arctan2`. */
const ofClass = (className: string): string => {
  const name = snakeOfClass(className);
  return Object.hasOwn(operations, name) ? name : name.replace(/_(\d)/g, '$1');
};

/** What a layer of a file computes, and the operation's name in table.ts. Throws UnsupportedError for others, with the layer and what to do. */
export function operationNamed(serialized: SerializedObject, written: Written): { readonly canonical: string; readonly run: Run } {
  const layer = String(serialized.config?.name ?? serialized.class_name);
  const unknown = (shown: string): UnsupportedError =>
    new UnsupportedError(
      `layer '${layer}' is the operation ${shown}, which cannot be read. Build the model with a layer in its place (a layer of one's own is given in 'customObjects'), or with operations of docs/ops.md`,
    );
  if (written === 'keras3') {
    const canonical = ofClass(serialized.class_name);
    const run = Object.hasOwn(operations, canonical) ? operations[canonical] : undefined;
    if (!run) throw unknown(`${serialized.class_name} of ${serialized.module ?? 'keras.ops'}`);
    return { canonical, run };
  }
  const full = serialized.config?.function;
  if (typeof full !== 'string') throw unknown(serialized.class_name);
  const bare = full.replace(/^(tf\.)?(compat\.v[12]\.)?/, '');
  const dot = bare.lastIndexOf('.');
  const [space, name] = [bare.slice(0, Math.max(0, dot)), bare.slice(dot + 1)];
  const canonical = Object.hasOwn(tensorflowNames, name) ? tensorflowNames[name]! : name;
  const own = Object.hasOwn(tensorflow, name) ? tensorflow[name] : undefined;
  const run = own ?? (Object.hasOwn(operations, canonical) ? operations[canonical] : undefined);
  if (!run || !namespaces.includes(space)) throw unknown(`tf.${full}`);
  return { canonical, run };
}

const tensorflowLayers = ['TFOpLambda', 'SlicingOpLambda', 'ClassMethod', 'InstanceMethod', 'InstanceProperty', 'TensorFlowOpLayer'];

/** Which Keras' operation an entry of a model's layers is; null for layers. */
export function operationKind(entry: SerializedObject & { readonly inbound_nodes?: unknown }): Written | null {
  const name = entry.class_name.slice(entry.class_name.indexOf('>') + 1);
  if (tensorflowLayers.includes(name)) return 'keras2';
  if (typeof entry.module === 'string') return entry.module.startsWith('keras.src.ops.') ? 'keras3' : null;
  // H5 files have no module beside the class: operations have neither dtype nor trainable
  const nodes = entry.inbound_nodes;
  const called = Array.isArray(nodes) && nodes.length > 0 && typeof nodes[0] === 'object' && nodes[0] !== null && 'args' in (nodes[0] as object);
  const config = (entry.config ?? {}) as JsonObject;
  return entry.module === undefined && called && !('trainable' in config) && Object.hasOwn(operations, ofClass(name)) ? 'keras3' : null;
}

/** The configuration with the module, which H5 files leave out. */
export const withModule = (s: SerializedObject, written: Written): SerializedObject =>
  written === 'keras3' && s.module === undefined
    ? { module: moduleOf(ofClass(s.class_name)), class_name: s.class_name, config: s.config, registered_name: s.class_name }
    : s;
