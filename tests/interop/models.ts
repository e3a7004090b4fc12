/** Models that are written here and read by the real Keras, with data and what they are trained with. */

import { uniform } from '../../bench/workloads.js';
import { Input, layers, Model, type ModelBase, Sequential } from '../../frontend/keras/index.js';
import type { NamedArray } from './safetensors.js';

type Semantics = 'keras2' | 'keras3';

export interface InteropModel {
  readonly name: string;
  readonly build: (semantics: Semantics) => ModelBase;
  readonly data: () => { x: NamedArray[]; y: NamedArray[] };
  /** As optimizers are serialized. */
  readonly optimizer: { readonly class_name: string; readonly config: Readonly<Record<string, number | boolean>> };
  readonly loss: string;
}

const array = (seed: number, ...shape: number[]): NamedArray => ({
  shape,
  data: uniform(
    shape.reduce((a, b) => a * b, 1),
    seed,
  ),
});
const classes = (seed: number, count: number, ...shape: number[]): NamedArray => ({
  shape,
  data: Int32Array.from(array(seed, ...shape).data, (v) => Math.floor(((v + 1) / 2) * count)),
});

export const models: readonly InteropModel[] = [
  {
    name: 'mlp',
    build: (semantics) =>
      Sequential({
        semantics,
        layers: [
          Input([12], { semantics, name: 'features' }),
          layers.Dense(16, { activation: 'relu', kernelRegularizer: 'l2', semantics }),
          layers.BatchNormalization({ semantics }),
          layers.Dropout(0, { semantics }),
          layers.Dense(5, { activation: 'softmax', kernelInitializer: 'he_normal', semantics }),
        ],
      }),
    data: () => ({ x: [array(1, 8, 12)], y: [classes(2, 5, 8)] }),
    optimizer: { class_name: 'Adam', config: { learning_rate: 0.01 } },
    loss: 'sparse_categorical_crossentropy',
  },
  {
    name: 'cnn',
    build: (semantics) =>
      Sequential({
        semantics,
        layers: [
          Input([10, 10, 3], { semantics, name: 'image' }),
          layers.Conv2D(8, 3, { padding: 'same', activation: 'relu', semantics }),
          layers.DepthwiseConv2D(3, { semantics }),
          layers.BatchNormalization({ semantics }),
          layers.Activation('relu', { semantics }),
          layers.MaxPooling2D(2, { semantics }),
          layers.Conv2D(6, [2, 3], { useBias: false, semantics }),
          layers.AveragePooling2D(2, { padding: 'same', semantics }),
          layers.Flatten({ semantics }),
          layers.Dense(3, { semantics }),
        ],
      }),
    data: () => ({ x: [array(3, 4, 10, 10, 3)], y: [array(4, 4, 3)] }),
    optimizer: { class_name: 'SGD', config: { learning_rate: 0.005, momentum: 0.9, nesterov: true } },
    loss: 'mse',
  },
  {
    name: 'functional',
    build: (semantics) => {
      const [a, b] = [Input([6], { semantics, name: 'left' }), Input([6], { semantics, name: 'right' })];
      const shared = layers.Dense(8, { activation: 'tanh', name: 'shared', semantics });
      const [u, v] = [shared(a), shared(b)];
      const h = layers.LayerNormalization({ semantics })(layers.Add({ semantics })([u, v]));
      const y = layers.Dense(1, { activation: 'sigmoid', semantics })(layers.Concatenate({ semantics })([h, u, v]));
      return Model({ inputs: [a, b], outputs: y, semantics });
    },
    data: () => ({ x: [array(5, 8, 6), array(6, 8, 6)], y: [{ shape: [8, 1], data: Float32Array.from(classes(7, 2, 8).data) }] }),
    optimizer: { class_name: 'RMSprop', config: { learning_rate: 0.01 } },
    loss: 'binary_crossentropy',
  },
  {
    name: 'sequence',
    build: (semantics) =>
      Sequential({
        semantics,
        layers: [
          Input([9], { semantics, name: 'tokens', dtype: 'int32' }),
          layers.Embedding(40, 6, { semantics }),
          layers.LSTM(7, { returnSequences: true, semantics }),
          layers.LSTM(5, { semantics }),
          layers.Reshape([5], { semantics }),
          layers.Dense(2, { semantics }),
        ],
      }),
    // No token occurs twice: Keras 3 on TensorFlow sums the squares of a repeated row's gradients where it should square their sum.
    data: () => ({ x: [{ shape: [4, 9], data: Int32Array.from({ length: 36 }, (_, i) => (7 * i) % 40) }], y: [array(9, 4, 2)] }),
    optimizer: { class_name: 'Adam', config: { learning_rate: 0.005 } },
    loss: 'mae',
  },
];
