/**
 * Configurations of old Keras in the form of Keras 2: Keras 1 (`nb_filter`, `output_dim`, `border_mode`, …) has other names for almost everything; Keras 2.0 wrote the layers of a
 * Sequential as a bare list, and a GRU without `reset_after`. Sources: the Keras 1.2.2 layer documentation and the Keras 2.0 release notes.
 */
import { UnsupportedError, ValueError } from '../../../ir/errors.js';
import { isPlainObject } from '../utils/options.js';
import { isSerialized, type Json, type JsonObject, type SerializedObject } from '../utils/serialization.js';

type Config = Record<string, Json>;

/** Keys that only Keras 1 wrote. */
const keras1Keys = [
  'output_dim',
  'nb_filter',
  'border_mode',
  'inner_init',
  'W_regularizer',
  'subsample',
  'dim_ordering',
  'inner_activation',
  'init',
  'input_dtype',
];

/** Layers whose names changed. */
const renamedClasses: Readonly<Record<string, string>> = {
  Convolution1D: 'Conv1D',
  Convolution2D: 'Conv2D',
  Convolution3D: 'Conv3D',
  AtrousConvolution1D: 'Conv1D',
  AtrousConvolution2D: 'Conv2D',
  AtrousConv1D: 'Conv1D',
  AtrousConv2D: 'Conv2D',
  Deconvolution2D: 'Conv2DTranspose',
  Deconvolution3D: 'Conv3DTranspose',
  SeparableConvolution2D: 'SeparableConv2D',
};

const mergeModes: Readonly<Record<string, string>> = {
  sum: 'Add',
  mul: 'Multiply',
  ave: 'Average',
  max: 'Maximum',
  concat: 'Concatenate',
  dot: 'Dot',
  cos: 'Dot',
};

/** Options that changed their name wherever they occur. */
const renamedKeys: Readonly<Record<string, string>> = {
  init: 'kernel_initializer',
  inner_init: 'recurrent_initializer',
  bias: 'use_bias',
  W_regularizer: 'kernel_regularizer',
  U_regularizer: 'recurrent_regularizer',
  b_regularizer: 'bias_regularizer',
  W_constraint: 'kernel_constraint',
  b_constraint: 'bias_constraint',
  border_mode: 'padding',
  inner_activation: 'recurrent_activation',
  dropout_W: 'dropout',
  dropout_U: 'recurrent_dropout',
  input_dtype: 'dtype',
  atrous_rate: 'dilation_rate',
  beta_init: 'beta_initializer',
  gamma_init: 'gamma_initializer',
  depthwise_init: 'depthwise_initializer',
  pointwise_init: 'pointwise_initializer',
};

/** Renames keys; null drops one. */
function rename(config: Config, names: Readonly<Record<string, string | null>>): Config {
  const out: Config = {};
  for (const [key, value] of Object.entries(config)) {
    if (!Object.hasOwn(names, key)) out[key] = value;
    else if (names[key] !== null) out[names[key]] = value;
  }
  return out;
}

/** Keras 1 wrote regularizers and constraints as `{ name, … }`. */
function nested(value: Json): Json {
  if (!isPlainObject(value) || typeof value.name !== 'string' || 'class_name' in value) return value;
  const { name, ...config } = value as Config & { name: string };
  const regularizers: Readonly<Record<string, string>> = { WeightRegularizer: 'L1L2', ActivityRegularizer: 'L1L2', L1L2Regularizer: 'L1L2' };
  return { class_name: regularizers[name] ?? name, config: rename(config, { m: 'max_value' }) };
}

const orderings: Readonly<Record<string, string>> = { tf: 'channels_last', th: 'channels_first' };

/** What classes did beside the common renames. `config` has the new names already. */
const perClass: Readonly<Record<string, (config: Config) => Config>> = {
  Dense: (c) => rename(c, { output_dim: 'units', input_dim: null }),
  Dropout: (c) => rename(c, { p: 'rate' }),
  SpatialDropout1D: (c) => rename(c, { p: 'rate' }),
  SpatialDropout2D: (c) => rename(c, { p: 'rate' }),
  SpatialDropout3D: (c) => rename(c, { p: 'rate' }),
  GaussianDropout: (c) => rename(c, { p: 'rate' }),
  GaussianNoise: (c) => rename(c, { sigma: 'stddev' }),
  Conv1D: (c) => {
    const { filter_length, subsample_length, input_dim: _, input_length: __, ...rest } = rename(c, { nb_filter: 'filters' });
    return { ...rest, kernel_size: rest.kernel_size ?? [filter_length], strides: rest.strides ?? [subsample_length ?? 1] };
  },
  Conv2D: convolution,
  Conv2DTranspose: convolution,
  SeparableConv2D: convolution,
  Conv3D: convolution,
  Conv3DTranspose: convolution,
  MaxPooling1D: (c) => rename(c, { pool_length: 'pool_size', stride: 'strides' }),
  AveragePooling1D: (c) => rename(c, { pool_length: 'pool_size', stride: 'strides' }),
  UpSampling1D: (c) => rename(c, { length: 'size' }),
  BatchNormalization: (c) => {
    if (c.mode !== undefined && c.mode !== 0)
      throw new UnsupportedError(`BatchNormalization of Keras 1 with mode=${JSON.stringify(c.mode)} does not exist any more`);
    return rename(c, { mode: null });
  },
  Embedding: (c) => {
    if (c.dropout) throw new UnsupportedError('Embedding of Keras 1 with dropout does not exist any more: use SpatialDropout1D after it');
    return rename(c, {
      kernel_initializer: 'embeddings_initializer',
      kernel_regularizer: 'embeddings_regularizer',
      kernel_constraint: 'embeddings_constraint',
      dropout: null,
    });
  },
  LSTM: recurrent,
  GRU: (c) => ({ ...recurrent(c), reset_after: false }),
  SimpleRNN: recurrent,
};

function convolution(c: Config): Config {
  const { nb_row, nb_col, kernel_dim1, kernel_dim2, kernel_dim3, subsample, output_shape: _, ...rest } = rename(c, { nb_filter: 'filters' });
  const size = kernel_dim1 !== undefined ? [kernel_dim1, kernel_dim2, kernel_dim3] : nb_row !== undefined ? [nb_row, nb_col] : rest.kernel_size;
  return { ...rest, kernel_size: size as Json, ...(subsample !== undefined ? { strides: subsample } : {}) };
}

function recurrent(c: Config): Config {
  const { forget_bias_init, consume_less, input_dim: _, input_length: __, ...rest } = rename(c, { output_dim: 'units' });
  return {
    ...rest,
    ...(forget_bias_init !== undefined ? { unit_forget_bias: forget_bias_init === 'one' } : {}),
    ...(consume_less !== undefined ? { implementation: consume_less === 'gpu' ? 2 : 1 } : {}),
  };
}

/** The input shape that a first layer of Keras 1 implies by `input_dim`. */
function impliedShape(className: string, c: Config): Config {
  if (c.batch_input_shape !== undefined || typeof c.input_dim !== 'number') return {};
  if (className === 'Dense') return { batch_input_shape: [null, c.input_dim] };
  if (['LSTM', 'GRU', 'SimpleRNN', 'Conv1D'].includes(className)) return { batch_input_shape: [null, c.input_length ?? null, c.input_dim] };
  return {};
}

function layer1(serialized: SerializedObject & { readonly inbound_nodes?: Json; readonly name?: string }, first: boolean): SerializedObject {
  const className = renamedClasses[serialized.class_name] ?? serialized.class_name;
  const old = (serialized.config ?? {}) as Config;
  if (className === 'TimeDistributedDense')
    return {
      class_name: 'TimeDistributed',
      config: {
        name: old.name,
        trainable: old.trainable ?? true,
        layer: layer1({ class_name: 'Dense', config: { ...old, name: `${String(old.name)}_dense` } }, false) as unknown as Json,
      },
    };
  if (className === 'Merge') return { ...serialized, ...merge(old) };
  const inner = isSerialized(old.layer) ? { layer: layer1(old.layer, false) as unknown as Json } : {};
  let config: Config = Object.fromEntries(Object.entries(old).map(([k, v]) => [k, nested(v)]));
  if (first) config = { ...config, ...impliedShape(className, config) };
  const kept = rename(config, renamedKeys);
  if (typeof kept.dim_ordering === 'string') {
    if (className !== 'Flatten' && kept.dim_ordering !== 'default') kept.data_format = orderings[kept.dim_ordering] ?? null;
    delete kept.dim_ordering;
  }
  const change = perClass[className];
  return { ...serialized, class_name: className, config: { ...(change ? change(kept) : kept), ...inner } };
}

function merge(c: Config): SerializedObject {
  const mode = typeof c.mode === 'string' ? c.mode : '';
  const className = mergeModes[mode];
  if (!className) throw new UnsupportedError(`a Merge layer of Keras 1 with mode ${JSON.stringify(c.mode)} cannot be read: a function in a file is not run`);
  const own: Config =
    className === 'Concatenate' ? { axis: c.concat_axis ?? -1 } : className === 'Dot' ? { axes: c.dot_axes ?? -1, normalize: mode === 'cos' } : {};
  return { class_name: className, config: { name: c.name, trainable: c.trainable ?? true, ...own } };
}

/** Whether a tree of layers has marks of Keras 1. */
function isKeras1(layers: readonly SerializedObject[]): boolean {
  return layers.some((l) => {
    if (typeof l !== 'object' || l === null || typeof l.class_name !== 'string') return false;
    const config = isPlainObject(l.config) ? (l.config as JsonObject) : undefined;
    if (l.class_name in renamedClasses && config && 'nb_filter' in config) return true;
    if (Array.isArray(config?.layers)) return isKeras1(config.layers as unknown as SerializedObject[]);
    return config !== undefined && keras1Keys.filter((k) => k in config).length >= 2;
  });
}

const isModel = (x: SerializedObject): boolean => ['Sequential', 'Model', 'Functional'].includes(x.class_name);

function upgrade(model: SerializedObject, keras1: boolean, beforeResetAfter: boolean): SerializedObject {
  const raw = model.config as JsonObject | readonly Json[];
  const config = (Array.isArray(raw) ? { layers: raw } : raw) as Config;
  if (!Array.isArray(config.layers)) throw new ValueError(`the configuration of a ${model.class_name} needs a list of layers`);
  const layers = (config.layers as unknown as SerializedObject[]).map((l, i) => {
    if (!isPlainObject(l) || typeof l.class_name !== 'string') throw new ValueError(`layer ${i} of the configuration has no class_name`);
    if (isModel(l)) return upgrade(l, keras1, beforeResetAfter);
    const changed = keras1 ? layer1(l, i === 0) : l;
    const isOldGru = beforeResetAfter && changed.class_name === 'GRU' && changed.config && !('reset_after' in changed.config);
    return isOldGru ? { ...changed, config: { ...changed.config, reset_after: false } } : changed;
  });
  return { ...model, config: { ...config, layers: layers as unknown as Json } };
}

/** A configuration in the form of Keras 2; newer ones come back as they are. */
export function upgraded(model: SerializedObject): SerializedObject {
  const version = (model as { keras_version?: unknown }).keras_version;
  const raw = model.config as JsonObject | readonly Json[];
  const listed = (Array.isArray(raw) ? raw : (raw as JsonObject | undefined)?.layers) as readonly SerializedObject[] | undefined;
  if (!Array.isArray(listed)) return model;
  const keras1 =
    (typeof version === 'string' && /^[01]\./.test(version)) ||
    (version === undefined && isKeras1(listed.filter((l): l is SerializedObject => isPlainObject(l))));
  const beforeResetAfter = typeof version === 'string' && /^([01]\.|2\.[0-5](\.|$))/.test(version);
  if (!keras1 && !Array.isArray(raw) && !beforeResetAfter) return model;
  const out = upgrade(model, keras1, beforeResetAfter);
  // what Keras 1 computed is what Keras 2 computes
  return keras1 && version === undefined ? ({ ...out, keras_version: '1.2' } as SerializedObject) : out;
}
