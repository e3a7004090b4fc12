/** Files of Keras 1 (1.2.2) built by hand: configurations with the old names, weights in the old layouts (a gate in three arrays, Theano's kernels), as Keras 2 documents their conversion. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type H5Array, H5Writer } from '../../frontend/formats/h5-writer.js';
import { ChunkSink } from '../../frontend/formats/sink.js';
import { loadModel, type ModelBase, modelFromConfig } from '../../frontend/keras/index.js';

type Weights = Readonly<Record<string, readonly (readonly [name: string, shape: readonly number[], data: H5Array])[]>>;
const counted = (n: number, from = 0): Float32Array => Float32Array.from({ length: n }, (_, i) => from + i);

async function file(config: object, weights: Weights, attributes: Readonly<Record<string, string>> = {}): Promise<Blob> {
  const sink = new ChunkSink('old.h5');
  const w = await H5Writer.create(sink);
  w.text('', 'model_config', JSON.stringify(config));
  for (const [k, v] of Object.entries(attributes)) w.text('', k, v);
  w.texts('model_weights', 'layer_names', Object.keys(weights));
  for (const [layer, arrays] of Object.entries(weights)) {
    w.texts(
      `model_weights/${layer}`,
      'weight_names',
      arrays.map((a) => a[0]),
    );
    for (const [name, shape, data] of arrays) w.array(`model_weights/${layer}`, name, shape, data);
  }
  w.close();
  return new Blob(sink.parts as BlobPart[]);
}
const load = async (...given: Parameters<typeof file>): Promise<ModelBase> => loadModel(await file(...given), { name: 'old.h5', device: 'reference' });
const values = async (m: ModelBase): Promise<number[][]> => (await m.getWeights()).map((t) => [...t.data]);

const conv = (ordering: 'th' | 'tf') => ({
  class_name: 'Convolution2D',
  config: {
    ...{
      name: 'conv',
      trainable: true,
      batch_input_shape: ordering === 'th' ? [null, 2, 5, 5] : [null, 5, 5, 2],
      input_dtype: 'float32',
      nb_filter: 2,
      nb_row: 2,
      nb_col: 2,
    },
    ...{ init: 'glorot_uniform', activation: 'relu', border_mode: 'same', subsample: [2, 1], dim_ordering: ordering, bias: true },
    ...{
      W_regularizer: { name: 'WeightRegularizer', l1: 0, l2: 0.5 },
      b_regularizer: null,
      activity_regularizer: null,
      W_constraint: { name: 'MaxNorm', m: 3, axis: 0 },
      b_constraint: null,
    },
  },
});
const sequential = (...layers: object[]) => ({ class_name: 'Sequential', config: layers });

test('a convolution: options by their old names', () => {
  const m = modelFromConfig(sequential(conv('tf')) as never);
  const config = m.layers[0]!.getConfig() as Record<string, unknown>;
  assert.equal([config.filters, config.kernel_size, config.strides, config.padding, config.data_format], [2, [2, 2], [2, 1], 'same', 'channels_last']);
  assert.is((config.kernel_regularizer as { config: { l2: number } }).config.l2, 0.5);
  assert.is((config.kernel_constraint as { config: { max_value: number } }).config.max_value, 3);
  assert.equal(m.outputShapes(), [[3, 5, 2]]);
});

test('a kernel of Theano: (filters, channels, rows, columns), turned around where Theano wrote it', async () => {
  const kernel = counted(16);
  const given: Weights = {
    conv: [
      ['conv_W', [2, 2, 2, 2], kernel],
      ['conv_b', [2], counted(2)],
    ],
  };
  const at = (y: number, x: number, c: number, f: number) => kernel[((f * 2 + c) * 2 + y) * 2 + x]!;
  const expected = (turned: boolean) =>
    [0, 1].flatMap((y) => [0, 1].flatMap((x) => [0, 1].flatMap((c) => [0, 1].map((f) => (turned ? at(1 - y, 1 - x, c, f) : at(y, x, c, f))))));
  assert.equal((await values(await load(sequential(conv('th')), given)))[0], expected(false));
  assert.equal((await values(await load(sequential(conv('th')), given, { keras_version: '1.2.2', backend: 'theano' })))[0], expected(true));
  // of Keras 2 only the turn is left
  const keras2 = { ...given, conv: [['conv/kernel:0', [2, 2, 2, 2], kernel], given.conv![1]!] as const };
  const now = { class_name: 'Conv2D', config: { name: 'conv', batch_input_shape: [null, 5, 5, 2], filters: 2, kernel_size: [2, 2] } };
  const m = await load(sequential(now), keras2, { keras_version: '2.0.8', backend: 'theano' });
  assert.equal((await values(m))[0], [12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3]);
});

const lstm = {
  ...{
    name: 'lstm',
    trainable: true,
    batch_input_shape: [null, 3, 1],
    input_dtype: 'float32',
    output_dim: 1,
    init: 'glorot_uniform',
    inner_init: 'orthogonal',
    forget_bias_init: 'one',
  },
  ...{
    activation: 'tanh',
    inner_activation: 'hard_sigmoid',
    return_sequences: false,
    go_backwards: false,
    stateful: false,
    unroll: false,
    consume_less: 'cpu',
    input_dim: 1,
    input_length: null,
  },
  ...{ W_regularizer: null, U_regularizer: null, b_regularizer: null, dropout_W: 0, dropout_U: 0 },
};
/** Twelve arrays: W, U and b of the gates i, c, f, o. */
const gates = (layer: string, from: number) =>
  ['i', 'c', 'f', 'o'].flatMap((g, k) =>
    (['W', 'U', 'b'] as const).map((part, j) => [`${layer}_${part}_${g}`, part === 'b' ? [1] : [1, 1], Float32Array.of(from + 10 * j + k)] as const),
  );

test('an LSTM of twelve arrays, in Bidirectional and TimeDistributed wrappers too; a GRU of nine', async () => {
  const m = await load(sequential({ class_name: 'LSTM', config: lstm }), { lstm: gates('lstm', 0) }, { keras_version: '1.2.2' });
  assert.equal(await values(m), [
    [0, 2, 1, 3],
    [10, 12, 11, 13],
    [20, 22, 21, 23],
  ]);
  assert.is((m.layers[0]!.getConfig() as { recurrent_activation: string }).recurrent_activation, 'hard_sigmoid');
  const both = {
    class_name: 'Bidirectional',
    config: { name: 'both', trainable: true, batch_input_shape: [null, 3, 1], merge_mode: 'concat', layer: { class_name: 'LSTM', config: lstm } },
  };
  const b = await load(sequential(both), { both: [...gates('forward', 0), ...gates('backward', 100)] }, { keras_version: '1.2.2' });
  assert.equal(
    (await values(b)).map((v) => v[1]),
    [2, 12, 22, 102, 112, 122],
  );
  const gru = { class_name: 'GRU', config: { ...lstm, name: 'gru', forget_bias_init: undefined } };
  const nine = ['z', 'r', 'h'].flatMap((g, k) =>
    (['W', 'U', 'b'] as const).map((part, j) => [`gru_${part}_${g}`, part === 'b' ? [1] : [1, 1], Float32Array.of(10 * j + k)] as const),
  );
  assert.equal(await values(await load(sequential(gru), { gru: nine }, { keras_version: '1.2.2' })), [
    [0, 1, 2],
    [10, 11, 12],
    [20, 21, 22],
  ]);
});

test('Merge, dense and embedding layers in a functional model of Keras 1', () => {
  const dense = (name: string, more = {}) => ({
    name,
    trainable: true,
    output_dim: 2,
    init: 'uniform',
    activation: 'linear',
    W_regularizer: null,
    bias: true,
    input_dim: null,
    ...more,
  });
  for (const [mode, class_name, width] of [
    ['sum', 'Add', 2],
    ['concat', 'Concatenate', 4],
    ['mul', 'Multiply', 2],
    ['ave', 'Average', 2],
    ['max', 'Maximum', 2],
  ] as const) {
    const m = modelFromConfig({
      class_name: 'Model',
      config: {
        name: 'm',
        layers: [
          {
            class_name: 'InputLayer',
            name: 'x',
            config: { name: 'x', batch_input_shape: [null, 3], input_dtype: 'float32', sparse: false },
            inbound_nodes: [],
          },
          { class_name: 'Dense', name: 'a', config: dense('a'), inbound_nodes: [[['x', 0, 0]]] },
          { class_name: 'Dense', name: 'b', config: dense('b', { bias: false }), inbound_nodes: [[['x', 0, 0]]] },
          {
            class_name: 'Merge',
            name: 'both',
            config: { name: 'both', mode, mode_type: 'raw', concat_axis: -1, dot_axes: -1, output_shape: null, output_shape_type: 'raw', arguments: {} },
            inbound_nodes: [
              [
                ['a', 0, 0],
                ['b', 0, 0],
              ],
            ],
          },
        ],
        input_layers: [['x', 0, 0]],
        output_layers: [['both', 0, 0]],
      },
    } as never);
    assert.is(m.layers.at(-1)!.className, class_name);
    assert.equal(m.outputShapes(), [[width]]);
    assert.is(m.countParams(), 14);
  }
  const e = modelFromConfig(
    sequential({
      class_name: 'Embedding',
      config: {
        name: 'e',
        trainable: true,
        batch_input_shape: [null, 5],
        input_dtype: 'int32',
        input_dim: 7,
        output_dim: 3,
        init: 'uniform',
        mask_zero: false,
        dropout: 0,
        input_length: 5,
        W_regularizer: null,
        activity_regularizer: null,
        W_constraint: null,
      },
    }) as never,
  );
  assert.equal(e.outputShapes(), [[5, 3]]);
});

test.run();
