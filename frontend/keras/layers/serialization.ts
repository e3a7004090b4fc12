/** The registry of layer classes: every class that a configuration may name. `deserialize` and `serialize` are in `registry.ts`. */
import * as activationLayers from './activation-layers.js';
import * as dotAttention from './attention/dot-attention.js';
import * as multiHead from './attention/multi-head.js';
import { kerasClasses } from './config-options.js';
import * as convolutional from './convolutional.js';
import * as core from './core.js';
import * as depthwise from './depthwise-convolution.js';
import * as einsumDense from './einsum-dense.js';
import { EmbeddingClass } from './embedding.js';
import * as identity from './identity.js';
import * as locallyConnected from './locally-connected.js';
import * as merging from './merging.js';
import * as noise from './noise.js';
import * as normalization from './normalization.js';
import * as pooling from './pooling.js';
import * as hashing from './preprocessing/hashing.js';
import * as image from './preprocessing/image.js';
import * as lookup from './preprocessing/lookup.js';
import * as numeric from './preprocessing/numeric.js';
import * as randomImages from './preprocessing/random-images.js';
import * as randomTransforms from './preprocessing/random-transforms.js';
import * as textVectorization from './preprocessing/text-vectorization.js';
import * as convLSTM from './recurrent/conv-lstm.js';
import * as gru from './recurrent/gru.js';
import * as lstm from './recurrent/lstm.js';
import * as rnn from './recurrent/rnn.js';
import * as simpleRNN from './recurrent/simple-rnn.js';
import * as registry from './registry.js';
import * as reshaping from './reshaping.js';
import * as norms from './scaling-norms.js';
import * as transposed from './transposed-convolution.js';
import * as upSampling from './up-sampling.js';
import * as wrappers from './wrappers.js';

export { type DeserializeOptions, isSerializedLayer, type LayerConstructor, serialize } from './registry.js';

/** Every exported class of a module that ends in `Class`, under its name in Keras. */
function classesOf(module: Readonly<Record<string, unknown>>): Record<string, registry.LayerConstructor> {
  const entries = Object.entries(module).filter(([name]) => name.endsWith('Class'));
  return Object.fromEntries(entries.map(([name, cls]) => [name.slice(0, -'Class'.length), cls as registry.LayerConstructor]));
}

// Not re-exported but bound here: a bundler that drops unused modules must keep the registration below.
export const { layerClasses, deserialize } = registry;

Object.assign(
  layerClasses,
  classesOf(core),
  classesOf(identity),
  classesOf(activationLayers),
  classesOf(convolutional),
  classesOf(depthwise),
  classesOf(transposed),
  classesOf(locallyConnected),
  classesOf(pooling),
  classesOf(normalization),
  classesOf(merging),
  classesOf(reshaping),
  classesOf(noise),
  classesOf(lstm),
  classesOf(gru),
  classesOf(simpleRNN),
  classesOf(convLSTM),
  classesOf(rnn),
  classesOf(wrappers),
  classesOf(image),
  classesOf(numeric),
  classesOf(lookup),
  classesOf(hashing),
  classesOf(textVectorization),
  classesOf(randomImages),
  classesOf(randomTransforms),
  classesOf(norms),
  classesOf(upSampling),
  classesOf(dotAttention),
  classesOf(multiHead),
  classesOf(einsumDense),
  { Embedding: EmbeddingClass },
);

/** Names of Keras for the same classes. */
const aliases: Readonly<Record<string, string>> = {
  Convolution1D: 'Conv1D',
  Convolution2D: 'Conv2D',
  Convolution3D: 'Conv3D',
  Convolution1DTranspose: 'Conv1DTranspose',
  Convolution2DTranspose: 'Conv2DTranspose',
  Convolution3DTranspose: 'Conv3DTranspose',
  SeparableConvolution1D: 'SeparableConv1D',
  SeparableConvolution2D: 'SeparableConv2D',
  GroupedQueryAttention: 'GroupQueryAttention',
  ...Object.fromEntries(
    [1, 2, 3].flatMap((n) => [
      [`MaxPool${n}D`, `MaxPooling${n}D`],
      [`AvgPool${n}D`, `AveragePooling${n}D`],
      [`GlobalMaxPool${n}D`, `GlobalMaxPooling${n}D`],
      [`GlobalAvgPool${n}D`, `GlobalAveragePooling${n}D`],
    ]),
  ),
};
for (const cls of Object.values(layerClasses)) kerasClasses.add(cls);
for (const [alias, name] of Object.entries(aliases)) if (layerClasses[name]) layerClasses[alias] = layerClasses[name];
