/**
 * `tf.keras.backend` in camelCase, upon `ops`, with the defaults and formulas of Keras 2. docs/keras-symbols.md lists all functions, and those that have no meaning here with the
 * reason.
 */
export {
  abs,
  arange,
  cast,
  cos,
  elu,
  equal,
  exp,
  eye,
  gradients,
  greater,
  greaterEqual,
  isTensor,
  less,
  lessEqual,
  log,
  logsumexp,
  maximum,
  minimum,
  notEqual,
  oneHot,
  reshape,
  round,
  sigmoid,
  sign,
  sin,
  softmax,
  softplus,
  softsign,
  square,
  squeeze,
  stack,
  stopGradient,
  tanh,
  tile,
} from '../ops/index.js';
export * from './functions/ctc.js';
export * from './functions/function.js';
export * from './functions/images.js';
export * from './functions/losses.js';
export * from './functions/math.js';
export * from './functions/random.js';
export * from './functions/sequences.js';
export * from './functions/settings.js';
export * from './functions/values.js';
