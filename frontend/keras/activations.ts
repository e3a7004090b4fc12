/** Activation functions, as in `tf.keras.activations`. Where Keras 2 and 3 differ, the semantics of the layer that applies one decide. */
import { didYouMean, UnsupportedError, ValueError } from '../../ir/errors.js';
import * as nn from './backend/nn.js';
import * as ops from './backend/ops.js';
import type { SymbolicTensor } from './backend/trace.js';
import { StandsFor } from './layers/tracking.js';
import { getRegisteredName, getRegisteredObject } from './utils/custom-objects.js';
import { describe, toSnake } from './utils/options.js';
import { isSerialized, type Json, type Semantics, type SerializedObject } from './utils/serialization.js';

export type ActivationFunction = (x: SymbolicTensor) => SymbolicTensor;

export const linear: ActivationFunction = (x) => x;
export interface ReluOptions {
  /** Slope below the threshold; default 0. */
  readonly negativeSlope?: number | null;
  /** Largest output; default: no limit. */
  readonly maxValue?: number | null;
  /** Default 0. */
  readonly threshold?: number | null;
}

/** x from the threshold on, below it negativeSlope * (x - threshold), and at most maxValue. */
export function relu(x: SymbolicTensor, options: ReluOptions = {}): SymbolicTensor {
  const threshold = options.threshold ?? 0;
  const slope = options.negativeSlope ?? 0;
  const maxValue = options.maxValue ?? null;
  const rest = slope === 0 ? 0 : ops.multiply(ops.subtract(x, threshold), slope);
  const y = threshold === 0 && slope === 0 ? nn.relu(x) : ops.where(ops.greaterEqual(x, threshold), x, rest);
  return maxValue === null ? y : ops.minimum(y, maxValue);
}
export const relu6: ActivationFunction = (x) => nn.relu6(x);
export const tanh: ActivationFunction = (x) => ops.tanh(x);
export const exponential: ActivationFunction = (x) => ops.exp(x);
export const softsign: ActivationFunction = (x) => ops.divide(x, ops.add(ops.abs(x), 1));
export const silu: ActivationFunction = (x) => ops.multiply(x, ops.sigmoid(x));
export const swish = silu;

/** log(1 + exp(x)), exact for large |x|. */
export const softplus: ActivationFunction = (x) => ops.add(ops.maximum(x, 0), ops.log1p(ops.exp(ops.negative(ops.abs(x)))));
export const mish: ActivationFunction = (x) => ops.multiply(x, ops.tanh(softplus(x)));

/** x where positive, else alpha * (exp(x) - 1). */
export const elu = (x: SymbolicTensor, alpha = 1): SymbolicTensor => ops.where(ops.greater(x, 0), x, ops.multiply(ops.expm1(ops.minimum(x, 0)), alpha));

export const selu: ActivationFunction = (x) => ops.multiply(elu(x, 1.6732632423543772), 1.0507009873554805);

/** 0.5 x (1 + erf(x / sqrt 2)), or the tanh form. */
export const gelu = (x: SymbolicTensor, approximate = false): SymbolicTensor => nn.gelu(x, approximate);

export const leakyRelu = (x: SymbolicTensor, negativeSlope = 0.2): SymbolicTensor => ops.where(ops.greater(x, 0), x, ops.multiply(x, negativeSlope));

/** Keras 3: relu6(x + 3) / 6. */
export const hardSigmoid: ActivationFunction = (x) => ops.divide(relu6(ops.add(x, 3)), 6);
/** Keras 2: clip(0.2 x + 0.5, 0, 1). */
export const hardSigmoidKeras2: ActivationFunction = (x) => ops.clip(ops.add(ops.multiply(x, 0.2), 0.5), 0, 1);

/** Records the logits, so that crossentropy can go back to them. */
export function sigmoid(x: SymbolicTensor): SymbolicTensor {
  const y = ops.sigmoid(x);
  x.trace.logits.set(y.value, x);
  return y;
}

/** Over the last axis by default, or over several axes together. Records the logits, so that crossentropy can go back to them. */
export function softmax(x: SymbolicTensor, axis: number | readonly number[] = -1): SymbolicTensor {
  if (x.rank < 2) throw new ValueError(`softmax: the input must have at least 2 dimensions, got ${x}`);
  const axes = (typeof axis === 'number' ? [axis] : axis).map((a) => ops.axisOf(x, a));
  if (axes.length === 1) {
    const y = nn.softmax(x, axes[0]!);
    x.trace.logits.set(y.value, x);
    return y;
  }
  const e = ops.exp(ops.subtract(x, ops.max(x, axes, true)));
  return ops.divide(e, ops.sum(e, axes, true));
}

/** x where positive, else alpha * (exp(x / alpha) - 1). */
export const celu = (x: SymbolicTensor, alpha = 1): SymbolicTensor =>
  ops.where(ops.greater(x, 0), x, ops.multiply(ops.expm1(ops.minimum(ops.divide(x, alpha), 0)), alpha));
/** The first half along the axis times sigmoid of the second. */
export function glu(x: SymbolicTensor, axis = -1): SymbolicTensor {
  const [a, b] = ops.split(x, 2, axis) as [SymbolicTensor, SymbolicTensor];
  return ops.multiply(a, ops.sigmoid(b));
}
/** x where |x| > threshold, else 0. */
export const hardShrink = (x: SymbolicTensor, threshold = 0.5): SymbolicTensor => ops.where(ops.greater(ops.abs(x), threshold), x, 0);
/** x moved toward 0 by the threshold, and 0 within it. */
export const softShrink = (x: SymbolicTensor, threshold = 0.5): SymbolicTensor =>
  ops.where(ops.greater(x, threshold), ops.subtract(x, threshold), ops.where(ops.less(x, -threshold), ops.add(x, threshold), ops.full(x, x.shape, 0)));
/** x * relu6(x + 3) / 6. */
export const hardSilu: ActivationFunction = (x) => ops.multiply(x, hardSigmoid(x));
export const hardSwish = hardSilu;
/** x limited to [-1, 1]. */
export const hardTanh: ActivationFunction = (x) => ops.clip(x, -1, 1);
/** log(sigmoid(x)). */
export const logSigmoid: ActivationFunction = (x) => ops.negative(softplus(ops.negative(x)));
/** 0 up to -1, x from 1 on, (x + 1)² / 4 between. */
export const sparsePlus: ActivationFunction = (x) =>
  ops.where(ops.lessEqual(x, -1), 0, ops.where(ops.less(x, 1), ops.multiply(ops.square(ops.add(x, 1)), 0.25), x));
/** 0 up to -1, 1 from 1 on, (x + 1) / 2 between. */
export const sparseSigmoid: ActivationFunction = (x) => ops.clip(ops.multiply(ops.add(x, 1), 0.5), 0, 1);
/** (x + sqrt(x² + b)) / 2. */
export const squareplus = (x: SymbolicTensor, b = 4): SymbolicTensor => ops.divide(ops.add(x, ops.sqrt(ops.add(ops.square(x), b))), 2);
/** x - tanh(x). */
export const tanhShrink: ActivationFunction = (x) => ops.subtract(x, ops.tanh(x));
/** x above the threshold, else the default value. */
export const threshold = (x: SymbolicTensor, threshold: number, defaultValue: number): SymbolicTensor => ops.where(ops.greater(x, threshold), x, defaultValue);

/**
 * Sparse softmax (Martins and Astudillo, 2016), as Keras 3 computes it: its threshold comes from the sum of all partial sums of the support, not from the last one, so
 * that the results do not add up to 1 where the support has several elements. Ranks and partial sums come from comparing all pairs, without a sort.
 */
export function sparsemax(x: SymbolicTensor, axis = -1): SymbolicTensor {
  const a = ops.axisOf(x, axis);
  const [own, other] = [ops.expandDims(x, a + 1), ops.expandDims(x, a)];
  const place = ops.iota(x, x.shape, a);
  const earlier = ops.lessEqual(ops.expandDims(place, a), ops.expandDims(place, a + 1));
  const before = ops.logicalOr(ops.greater(other, own), ops.logicalAnd(ops.equal(other, own), earlier));
  const partial = ops.sum(ops.where(before, other, 0), [a + 1]);
  const rank = ops.sum(ops.cast(before, 'float32'), [a + 1]);
  const inSupport = ops.greater(ops.add(ops.multiply(rank, x), 1), partial);
  const size = ops.sum(ops.cast(inSupport, 'float32'), [a], true);
  const threshold = ops.divide(ops.subtract(ops.sum(ops.where(inSupport, partial, 0), [a], true), 1), size);
  return ops.maximum(ops.subtract(x, threshold), 0);
}

/** log(softmax(x)), computed without the quotient. */
export const logSoftmax = (x: SymbolicTensor, axis = -1): SymbolicTensor => nn.logSoftmax(x, ops.axisOf(x, axis));

const named: Readonly<Record<string, ActivationFunction>> = {
  linear,
  relu: (x) => relu(x),
  relu6,
  tanh,
  exponential,
  softsign,
  silu,
  swish,
  softplus,
  mish,
  elu: (x) => elu(x),
  selu,
  gelu: (x) => gelu(x),
  leaky_relu: (x) => leakyRelu(x),
  hard_sigmoid: hardSigmoid,
  celu: (x) => celu(x),
  glu: (x) => glu(x),
  hard_shrink: (x) => hardShrink(x),
  hard_silu: hardSilu,
  hard_swish: hardSilu,
  hard_tanh: hardTanh,
  log_sigmoid: logSigmoid,
  soft_shrink: (x) => softShrink(x),
  sparse_plus: sparsePlus,
  sparse_sigmoid: sparseSigmoid,
  sparsemax: (x) => sparsemax(x),
  squareplus: (x) => squareplus(x),
  tanh_shrink: tanhShrink,
  sigmoid,
  softmax: (x) => softmax(x),
  log_softmax: (x) => logSoftmax(x),
};

/** Functions with arguments beside x, as they are exported. */
const withOptions = {
  relu,
  gelu,
  elu,
  celu,
  glu,
  squareplus,
  sparsemax,
  softmax,
  threshold,
  leaky_relu: leakyRelu,
  hard_shrink: hardShrink,
  soft_shrink: softShrink,
  log_softmax: logSoftmax,
};

/** An activation with its name in configurations. */
export interface Activation {
  readonly name: string;
  readonly apply: ActivationFunction;
  /** A layer that is used as an activation: it is in a field of the layer that has it, which trains its weights and saves them. */
  readonly layer?: ActivationLayer;
}

/** What an activation needs of a layer. */
export interface ActivationLayer {
  readonly name: string;
  readonly isLayer: true;
  compute(x: SymbolicTensor): unknown;
}
const isActivationLayer = (x: unknown): x is ActivationLayer =>
  (typeof x === 'function' || typeof x === 'object') && x !== null && (x as { isLayer?: unknown }).isLayer === true;
class LayerActivation extends StandsFor<ActivationLayer> implements Activation {
  get name(): string {
    return this.layer.name;
  }
  readonly apply: ActivationFunction = (x) => this.layer.compute(x) as SymbolicTensor;
}

/** How layers are read from configurations and written, entered by layers/registry.ts: `activation` may be one. */
export const layerForms: {
  read: (serialized: SerializedObject, semantics: Semantics) => ActivationLayer | null;
  write: (layer: ActivationLayer) => Json;
} = { read: () => null, write: (layer) => layer.name };

/** An activation in a configuration: its name, or the layer's configuration. */
export const activationJson = (a: Activation): Json => (a.layer ? layerForms.write(a.layer) : a.name);

export type ActivationIdentifier = string | ActivationFunction | Activation | ActivationLayer;

/** The activation, with word to those who watch the trace. */
const observed =
  (name: string, f: ActivationFunction): ActivationFunction =>
  (x) => {
    const y = f(x);
    x.trace.observer?.activated(name, x, y);
    return y;
  };

/** The activation that a name or function stands for; null is linear. */
export function get(id: ActivationIdentifier | null | undefined | object, semantics: Semantics = 'keras3'): Activation {
  if (id === null || id === undefined) return { name: 'linear', apply: linear };
  if (isActivationLayer(id)) return new LayerActivation(id);
  if (typeof id === 'function') {
    const known = Object.entries({ ...named, ...withOptions }).find(([, f]) => f === id);
    return {
      name: known?.[0] ?? (id as ActivationFunction).name,
      apply: known ? observed(known[0], known[1] as ActivationFunction) : (id as ActivationFunction),
    };
  }
  const custom = typeof id === 'string' ? getRegisteredObject(id) : isSerialized(id) ? getRegisteredObject(id.registered_name ?? id.class_name) : null;
  if (typeof custom === 'function')
    return { name: typeof id === 'string' ? id : (getRegisteredName(custom) ?? custom.name), apply: custom as ActivationFunction };
  if (typeof id === 'string') {
    const name = id in named ? id : toSnake(id);
    const apply = Object.hasOwn(named, name) ? named[name] : undefined;
    if (!apply) throw new UnsupportedError(`unknown activation '${id}'.${didYouMean(id, Object.keys(named))} Known: ${Object.keys(named).join(', ')}`);
    return { name, apply: name === 'hard_sigmoid' && semantics === 'keras2' ? observed('hard_sigmoid_keras2', hardSigmoidKeras2) : observed(name, apply) };
  }
  const layer = isSerialized(id) ? layerForms.read(id, semantics) : null;
  if (layer) return new LayerActivation(layer);
  if (isSerialized(id)) return get(String((id.config as { name?: string } | undefined)?.name ?? id.class_name), semantics);
  if (typeof id === 'object' && 'apply' in id && 'name' in id) return id as Activation;
  throw new ValueError(`an activation must be a name or a function, got ${describe(id)}`);
}

/** The name of an activation in configurations: `serialize(relu)` is `relu`. */
export const serialize = (activation: ActivationIdentifier): string => get(activation).name;
/** The activation of a name. */
export const deserialize = (name: string): Activation => get(name);
