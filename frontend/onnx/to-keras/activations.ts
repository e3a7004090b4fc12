/** Activations that are ops of ONNX, as layers. Those that exporters write as several ops are found by templates.ts. */
import { ELU, LeakyReLU, PReLU, Softmax, ThresholdedReLU } from '../../keras/layers/activation-layers.js';
import { Activation, ReLU } from '../../keras/layers/core.js';
import type { Call } from '../import.js';
import { axisOf, type ConversionContext, type LayerMaker, permuted } from './context.js';
import { rescaled } from './products.js';
import type { Held } from './tensors.js';

const near = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-6 * Math.max(Math.abs(b), 1);
const activate = (c: ConversionContext, call: Call, name: string): Held => c.map(c.in(call, 0), Activation(name, { name: c.layerName(call) }));

/** An activation without parameters. */
export const named =
  (name: string): LayerMaker =>
  (c, call) =>
    activate(c, call, name);

const alphaOf = (call: Call): number => call.attributes.alpha as number;

export const leakyRelu: LayerMaker = (c, call) => c.map(c.in(call, 0), LeakyReLU({ negativeSlope: alphaOf(call), name: c.layerName(call) }));
export const elu: LayerMaker = (c, call) =>
  alphaOf(call) === 1 ? activate(c, call, 'elu') : c.map(c.in(call, 0), ELU({ alpha: alphaOf(call), name: c.layerName(call) }));
/** x > theta ? x : 0. Keras 3 has no such layer, but ReLU with a threshold that x may equal: the next number. */
export const thresholdedRelu: LayerMaker = (c, call) => {
  const theta = alphaOf(call);
  if (theta < 0) return c.map(c.in(call, 0), ThresholdedReLU({ theta, name: c.layerName(call) }));
  const bits = new Int32Array(Float32Array.of(theta).buffer);
  bits[0] = bits[0]! + 1;
  return c.map(c.in(call, 0), ReLU({ threshold: new Float32Array(bits.buffer)[0]!, name: c.layerName(call) }));
};
export const selu: LayerMaker = (c, call) => {
  if (!near(alphaOf(call), 1.6732632) || !near(call.attributes.gamma as number, 1.050701)) c.refuse('parameters that are not those of SELU');
  return activate(c, call, 'selu');
};
export const celu: LayerMaker = (c, call) => (alphaOf(call) === 1 ? activate(c, call, 'celu') : c.refuse(`alpha = ${alphaOf(call)}`));
export const gelu: LayerMaker = (c, call) =>
  String(call.attributes.approximate ?? 'none') === 'none' ? activate(c, call, 'gelu') : c.refuse('the approximation by tanh');
export const swish: LayerMaker = (c, call) => (alphaOf(call) === 1 ? activate(c, call, 'silu') : c.refuse(`alpha = ${alphaOf(call)}`));
export const shrink: LayerMaker = (c, call) => {
  const [lambd, bias] = [call.attributes.lambd as number, call.attributes.bias as number];
  if (lambd !== 0.5 || (bias !== 0 && bias !== 0.5)) c.refuse(`lambd = ${lambd}, bias = ${bias}`);
  return activate(c, call, bias === 0 ? 'hard_shrink' : 'soft_shrink');
};

/** clip(alpha · x + beta, 0, 1). Keras 3's has a slope of 1/6; others are scaled to it. */
export const hardSigmoid: LayerMaker = (c, call) => {
  const beta = call.attributes.beta as number;
  if (near(alphaOf(call), 1 / 6) && near(beta, 0.5)) return activate(c, call, 'hard_sigmoid');
  const x = c.in(call, 0);
  const name = c.layerName(call);
  const h = rescaled(c, x, alphaOf(call), beta, c.unique(`${name}_line`));
  return { tensor: c.apply(ReLU({ maxValue: 1, name }), h.tensor), axes: h.axes };
};

export const clip: LayerMaker = (c, call) => {
  const x = c.in(call, 0);
  const bound = (i: number, attribute: string): number | null => {
    if (call.version < 11) return call.attributes[attribute] as number | null;
    return call.inputs[i] ? (c.graph.number(call.inputs[i]) ?? c.refuse('a computed bound')) : null;
  };
  return between(c, call, x, bound(1, 'min'), bound(2, 'max'));
};

/** max(least, min(x, most)). */
export function between(c: ConversionContext, call: Call, x: ReturnType<ConversionContext['in']>, least: number | null, most: number | null): Held {
  const low = least === null || least <= -3.4e38 ? null : least;
  const high = most === null || most >= 3.4e38 ? null : most;
  const name = c.layerName(call);
  if (low === null && high === null) return c.tensors.first(x);
  if (low === -1 && high === 1) return c.map(x, Activation('hard_tanh', { name }));
  // -relu(-(x - high)) + high, or relu(x - low) + low
  const [sign, from] = low === null ? [-1, high!] : [1, low];
  const line = rescaled(c, x, sign, from === 0 ? 0 : -sign * from, c.unique(`${name}_from`));
  const plain = sign === 1 && from === 0;
  const cut = c.apply(ReLU({ maxValue: low !== null && high !== null ? high - low : null, name: plain ? name : c.unique(`${name}_relu`) }), line.tensor);
  return { tensor: plain ? cut : c.apply(c.rescaling(sign, from, name), cut), axes: line.axes };
}

export const softmax: LayerMaker = (c, call) => {
  const x = c.in(call, 0);
  const rank = x.shape.length;
  const given = call.attributes.axis as number | null;
  const axis = axisOf(given ?? (call.version < 13 ? 1 : -1), rank);
  // before opset 13 all axes from this one on are one
  if (call.version < 13 && x.shape.slice(axis + 1).some((d) => d !== 1)) c.refuse('a softmax over several axes');
  const { tensor, axes } = c.tensors.first(x);
  const at = axes.indexOf(axis);
  const name = c.layerName(call);
  if (at === 0) c.refuse('a softmax over the batch');
  if (at < 0) {
    const order = c.tensors.order(x, axis);
    return { tensor: c.apply(Activation(call.op === 'Softmax' ? 'softmax' : 'log_softmax', { name }), c.tensors.get(x, order)), axes: order };
  }
  if (at === axes.length - 1) return { tensor: c.apply(Activation(call.op === 'Softmax' ? 'softmax' : 'log_softmax', { name }), tensor), axes };
  if (call.op === 'Softmax') return { tensor: c.apply(Softmax({ axis: at, name }), tensor), axes };
  const order = c.tensors.order(x, axis);
  return { tensor: c.apply(Activation('log_softmax', { name }), c.tensors.get(x, order)), axes: order };
};

export const prelu: LayerMaker = (c, call) => {
  const x = c.in(call, 0);
  const slope = c.known(call, 1);
  const { tensor, axes } = c.tensors.first(x);
  const rank = x.shape.length;
  const given = call.version < 7 && slope.shape.length === 1 ? [slope.shape[0]!, ...x.shape.slice(2).map(() => 1)] : slope.shape;
  const wide = [...new Array<number>(Math.max(rank - given.length, 0)).fill(1), ...given];
  if (wide.length !== rank || wide[axes[0]!] !== 1) c.refuse(`a slope of shape [${slope.shape.join(', ')}]`);
  const own = axes.slice(1).map((a) => (a < 0 ? 1 : wide[a]!));
  const order = [axes[0]!, ...axes.slice(1).filter((a) => a >= 0), ...wide.map((_, i) => i).filter((i) => !axes.includes(i))];
  const shared = own.flatMap((d, i) => (d === 1 && tensor.shape[i + 1] !== 1 ? [i + 1] : []));
  const layer = PReLU({ sharedAxes: shared, name: c.layerName(call, 1) });
  return { tensor: c.apply(layer, tensor, [permuted({ shape: wide, values: slope.values }, order).values]), axes };
};
