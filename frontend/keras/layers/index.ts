/** tf.keras.layers. */

export { Conv2D, DepthwiseConv2D } from './convolutional.js';
export { Activation, type DataFormat, Dense, Dropout, Flatten, Input, InputLayer, ReLU, Reshape } from './core.js';
export { Embedding } from './embedding.js';
export { type CallArguments, type InputShape, Layer, type LayerOptions, type WeightOptions } from './layer.js';
export { Add, add, Concatenate, concatenate } from './merging.js';
export { KerasTensor } from './node.js';
export { BatchNormalization, LayerNormalization } from './normalization.js';
export { AveragePooling2D, AvgPool2D, GlobalAveragePooling2D, GlobalAvgPool2D, MaxPool2D, MaxPooling2D } from './pooling.js';
export { LSTM } from './recurrent.js';
export { type DeserializeOptions, deserialize, serialize } from './serialization.js';
