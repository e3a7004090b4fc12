/** tf.keras.layers. */

export { ELU, LeakyReLU, PReLU, Softmax, ThresholdedReLU } from './activation-layers.js';
export { AdditiveAttention, Attention } from './attention/dot-attention.js';
export { GroupedQueryAttention, GroupQueryAttention, MultiHeadAttention } from './attention/multi-head.js';
export { Conv1D, Conv2D, Conv3D, Convolution1D, Convolution2D, Convolution3D } from './convolutional.js';
export { Activation, type DataFormat, Dense, Dropout, Flatten, Input, InputLayer, ReLU, Reshape } from './core.js';
export { DepthwiseConv1D, DepthwiseConv2D, SeparableConv1D, SeparableConv2D, SeparableConvolution1D, SeparableConvolution2D } from './depthwise-convolution.js';
export { EinsumDense } from './einsum-dense.js';
export { Embedding } from './embedding.js';
export { Identity, Lambda, Masking } from './identity.js';
export { type CallArguments, type InputShape, Layer, type LayerOptions, type WeightOptions } from './layer.js';
export { LocallyConnected1D, LocallyConnected2D } from './locally-connected.js';
export {
  Add,
  Average,
  add,
  average,
  Concatenate,
  concatenate,
  Dot,
  dot,
  Maximum,
  Minimum,
  Multiply,
  maximum,
  minimum,
  multiply,
  Subtract,
  subtract,
} from './merging.js';
export { KerasTensor } from './node.js';
export {
  ActivityRegularization,
  AlphaDropout,
  GaussianDropout,
  GaussianNoise,
  SpatialDropout1D,
  SpatialDropout2D,
  SpatialDropout3D,
} from './noise.js';
export { BatchNormalization, LayerNormalization, SyncBatchNormalization } from './normalization.js';
export {
  AveragePooling1D,
  AveragePooling2D,
  AveragePooling3D,
  AvgPool1D,
  AvgPool2D,
  AvgPool3D,
  GlobalAveragePooling1D,
  GlobalAveragePooling2D,
  GlobalAveragePooling3D,
  GlobalAvgPool1D,
  GlobalAvgPool2D,
  GlobalAvgPool3D,
  GlobalMaxPool1D,
  GlobalMaxPool2D,
  GlobalMaxPool3D,
  GlobalMaxPooling1D,
  GlobalMaxPooling2D,
  GlobalMaxPooling3D,
  MaxPool1D,
  MaxPool2D,
  MaxPool3D,
  MaxPooling1D,
  MaxPooling2D,
  MaxPooling3D,
} from './pooling.js';
export { HashedCrossing, Hashing } from './preprocessing/hashing.js';
export { CenterCrop, Rescaling, Resizing } from './preprocessing/image.js';
export { IntegerLookup, StringLookup } from './preprocessing/lookup.js';
export { CategoryEncoding, Discretization, Normalization } from './preprocessing/numeric.js';
export { RandomBrightness, RandomContrast, RandomCrop, RandomHeight, RandomWidth } from './preprocessing/random-images.js';
export { RandomFlip, RandomRotation, RandomTranslation, RandomZoom } from './preprocessing/random-transforms.js';
export { TextVectorization } from './preprocessing/text-vectorization.js';
export { RecurrentCell } from './recurrent/cell.js';
export { ConvLSTM1D, ConvLSTM2D, ConvLSTM3D } from './recurrent/conv-lstm.js';
export { GRU, GRUCell } from './recurrent/gru.js';
export { LSTM, LSTMCell } from './recurrent/lstm.js';
export { RNN, StackedRNNCells } from './recurrent/rnn.js';
export { SimpleRNN, SimpleRNNCell } from './recurrent/simple-rnn.js';
export {
  Cropping1D,
  Cropping2D,
  Cropping3D,
  Permute,
  RepeatVector,
  ZeroPadding1D,
  ZeroPadding2D,
  ZeroPadding3D,
} from './reshaping.js';
export { GroupNormalization, RMSNormalization, SpectralNormalization, UnitNormalization } from './scaling-norms.js';
export { type DeserializeOptions, deserialize, serialize } from './serialization.js';
export {
  Conv1DTranspose,
  Conv2DTranspose,
  Conv3DTranspose,
  Convolution1DTranspose,
  Convolution2DTranspose,
  Convolution3DTranspose,
} from './transposed-convolution.js';
export { UpSampling1D, UpSampling2D, UpSampling3D } from './up-sampling.js';
export { Bidirectional, TimeDistributed, Wrapper } from './wrappers.js';
