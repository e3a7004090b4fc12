/** Matrix products with weights, embeddings, and arithmetic with constants, as layers. */
import { equalShape, isStatic } from '../../../ir/dim.js';
import type { Value } from '../../../ir/graph.js';
import { Dense } from '../../keras/layers/core.js';
import { EinsumDense } from '../../keras/layers/einsum-dense.js';
import { Embedding } from '../../keras/layers/embedding.js';
import { Add, Average, Dot, Maximum, Minimum, Multiply, Subtract } from '../../keras/layers/merging.js';
import { Rescaling } from '../../keras/layers/preprocessing/image.js';
import type { Call } from '../import.js';
import { type ConversionContext, filled, int, type LayerMaker, permuted } from './context.js';
import type { Contents } from './graph.js';
import type { Held } from './tensors.js';

const letters = 'abcdefghijklmnopqrstuvwxyz';

/** kernel (in, out) over one axis of x, which becomes the last. */
function dense(c: ConversionContext, call: Call, x: Value, axis: number, kernel: Contents, bias: Float32Array | null, name: string): Held {
  const axes = c.tensors.order(x, axis).filter((a, i) => i === 0 || a === axis || x.shape[a] !== 1);
  if (axes[0] === axis || axes.length < 2) c.refuse('a product over the batch');
  const units = kernel.shape[1]!;
  const y = call.outputs[0]!;
  // axes in front that the product adds or x has in another number
  const shift = y.shape.length - x.shape.length;
  const layer = Dense(units, { useBias: bias !== null, name });
  return { tensor: c.apply(layer, c.tensors.get(x, axes), [kernel.values, ...(bias ? [bias] : [])]), axes: axes.map((a) => a + shift) };
}

const squeezed = (w: Contents): Contents => ({ shape: w.shape.slice(w.shape.findIndex((d, i) => d !== 1 || i >= w.shape.length - 2)), values: w.values });

export const matMul: LayerMaker = (c, call, bias) => {
  const [a, b] = [c.in(call, 0), c.in(call, 1)];
  if (c.isKnown(b)) {
    const w = squeezed(c.known(call, 1));
    if (w.shape.length !== 2) c.refuse(`weights of shape [${w.shape.join(', ')}]`);
    return dense(c, call, a, a.shape.length - 1, w, bias, c.layerName(call, 1));
  }
  if (c.isKnown(a)) {
    const w = squeezed(c.known(call, 0));
    if (w.shape.length !== 2 || b.shape.length < 2 || bias) c.refuse(`weights of shape [${w.shape.join(', ')}] on the left`);
    return dense(c, call, b, b.shape.length - 2, permuted(w, [1, 0]), null, c.layerName(call, 0));
  }
  if (a.shape.length !== 3 || b.shape.length !== 3)
    c.refuse(`a product of two computed tensors of rank ${a.shape.length} and ${b.shape.length}; a Dot layer has rank 3`);
  return { tensor: c.apply(Dot({ axes: [2, 1], name: c.layerName(call) }), [c.tensors.plain(a), c.tensors.plain(b)]), axes: [0, 1, 2] };
};

export const gemm: LayerMaker = (c, call, added) => {
  const x = c.in(call, 0);
  if (int(call, 'transA')) c.refuse('transA');
  let w = c.known(call, 1);
  if (int(call, 'transB')) w = permuted(w, [1, 0]);
  const [alpha, beta] = [call.attributes.alpha as number, call.attributes.beta as number];
  if (alpha !== 1) w = { shape: w.shape, values: Float32Array.from(w.values, (v) => v * alpha) };
  const units = w.shape[1]!;
  const own = c.knownOrNull(call, 2);
  if (own && own.values.length !== 1 && own.values.length !== units) c.refuse(`a bias of shape [${own.shape.join(', ')}]`);
  const bias = own ? Float32Array.from({ length: units }, (_, i) => beta * own.values[own.values.length === 1 ? 0 : i]!) : added;
  return dense(c, call, x, 1, w, bias, c.layerName(call, 1));
};

export const einsum: LayerMaker = (c, call, bias) => {
  const text = String(call.attributes.equation).replace(/\s/g, '');
  const parts = /^([A-Za-z]+),([A-Za-z]+)->([A-Za-z]+)$/.exec(text);
  if (!parts || call.inputs.length !== 2) return c.refuse(`the equation '${text}'`);
  const [, first, second, out] = parts as unknown as [string, string, string, string];
  const at = c.isKnown(call.inputs[1]) ? 0 : c.isKnown(call.inputs[0]) ? 1 : c.refuse(`the equation '${text}' of two computed tensors`);
  const x = c.in(call, at);
  const y = call.outputs[0]!;
  const [left, right] = at === 0 ? [first, second] : [second, first];
  if (c.tensors.batchAxis(x) !== 0 || out[0] !== left[0]) c.refuse(`the batch is not the first axis in '${text}'`);
  const outputShape = y.shape.slice(1).map((d) => (isStatic(d) ? d : null));
  const layer = EinsumDense(`${left},${right}->${out}`, outputShape, {
    biasAxes: bias ? out.at(-1)! : null,
    name: c.layerName(call, 1 - at),
  });
  return { tensor: c.apply(layer, c.tensors.plain(x), [c.known(call, 1 - at).values, ...(bias ? [bias] : [])]), axes: y.shape.map((_, i) => i) };
};

export const gather: LayerMaker = (c, call) => {
  const [table, ids] = [c.in(call, 0), c.in(call, 1)];
  if (!c.isKnown(table)) return c.refuse('a lookup in a computed tensor');
  const w = c.known(call, 0);
  if (w.shape.length !== 2 || int(call, 'axis') !== 0) c.refuse(`a lookup along axis ${int(call, 'axis')} of a table of shape [${w.shape.join(', ')}]`);
  const { tensor, axes } = c.tensors.first(ids);
  const [inputDim, outputDim] = w.shape as [number, number];
  return { tensor: c.apply(Embedding(inputDim, outputDim, { name: c.layerName(call, 0) }), tensor, [w.values]), axes: [...axes, ids.shape.length] };
};

/** x · scale + offset by numbers. */
export const rescaled = (c: ConversionContext, x: Value, scale: number, offset: number, name: string): Held =>
  scale === 1 && offset === 0 ? c.tensors.first(x) : c.map(x, Rescaling({ scale, offset, name }));

/** x times and plus tensors that are known, element by element: EinsumDense with an equation that sums nothing. */
function affine(c: ConversionContext, x: Value, factor: Contents | null, offset: Contents | null, name: string): Held {
  const { tensor, axes } = c.tensors.first(x);
  const rank = x.shape.length;
  /** The axes of the Keras tensor along which the constant changes, and its contents in their order. */
  const along = (k: Contents): { readonly at: number[]; readonly values: ArrayLike<number> } => {
    const shape = [...new Array<number>(Math.max(rank - k.shape.length, 0)).fill(1), ...k.shape];
    const wide = { shape: shape.slice(shape.length - rank), values: k.values };
    if (shape.length > rank) c.refuse(`a constant of shape [${k.shape.join(', ')}] beside rank ${rank}`);
    const at = axes.flatMap((a, i) => (a >= 0 && wide.shape[a] !== 1 ? [i] : []));
    const order = [...at.map((i) => axes[i]!), ...wide.shape.flatMap((d, a) => (d === 1 ? [a] : []))];
    if (order.length !== rank) c.refuse(`a constant of shape [${k.shape.join(', ')}] that widens the tensor`);
    return { at, values: permuted(wide, order).values };
  };
  const all = [...letters.slice(0, axes.length)];
  const [f, o] = [factor && along(factor), offset && along(offset)];
  const own = f ?? { at: [axes.length - 1], values: filled(c.size(x, axes.at(-1)!), 1) };
  if (own.at.includes(0) || o?.at.includes(0)) c.refuse('a constant that differs along the batch');
  const shape = tensor.shape.slice(1);
  const layer = EinsumDense(`${all.join('')},${own.at.map((i) => all[i]!).join('')}->${all.join('')}`, shape, {
    biasAxes: o ? o.at.map((i) => all[i]!).join('') : null,
    name,
  });
  return { tensor: c.apply(layer, tensor, [own.values, ...(o ? [o.values] : [])]), axes };
}

/** Layers that join computed tensors. */
const merges: Readonly<Record<string, (o: { name: string }) => ReturnType<typeof Add>>> = {
  Add,
  Sum: Add,
  Mul: Multiply,
  Max: Maximum,
  Min: Minimum,
  Mean: Average,
};

/** Tensors that broadcast, in the order of the first that is as large as the result. */
function together(c: ConversionContext, xs: readonly Value[], y: Value) {
  const rank = y.shape.length;
  const widest = xs.find((x) => equalShape(x.shape, y.shape)) ?? xs.find((x) => x.shape.length === rank) ?? xs[0]!;
  const axes = c.tensors.order(widest).filter((a, i) => i === 0 || y.shape[a] !== 1);
  const tensors = xs.map((x) => {
    const shift = rank - x.shape.length;
    return c.tensors.get(
      x,
      axes.map((a) => (a < shift ? -1 : a - shift)),
    );
  });
  return { tensors, axes };
}

export const arithmetic: LayerMaker = (c, call) => {
  const y = call.outputs[0]!;
  const xs = call.inputs.map((_, i) => c.in(call, i));
  const dynamic = xs.filter((x) => !c.isKnown(x));
  const { op } = call;
  if (dynamic.length === xs.length) {
    if (xs.length === 1) return c.tensors.first(xs[0]!);
    const { tensors, axes } = together(c, xs, y);
    const name = c.layerName(call);
    if (op === 'Sub') {
      if (equalShape(xs[0]!.shape, xs[1]!.shape)) return { tensor: c.apply(Subtract({ name }), tensors), axes };
      const minus = c.apply(Rescaling({ scale: -1, name: c.unique(`${name}_minus`) }), tensors[1]!);
      return { tensor: c.apply(Add({ name }), [tensors[0]!, minus]), axes };
    }
    const make = merges[op] ?? c.refuse('two computed tensors');
    return { tensor: c.apply(make({ name }), tensors), axes };
  }
  if (xs.length !== 2 || !['Add', 'Sum', 'Sub', 'Mul', 'Div'].includes(op)) return c.refuse('a constant beside computed tensors');
  const [x] = dynamic as [Value];
  const known = c.isKnown(xs[0]) ? 0 : 1;
  if (!equalShape(x.shape, y.shape)) c.refuse(`a constant that widens [${x.shape.join(', ')}] to [${y.shape.join(', ')}]`);
  const name = c.layerName(call);
  const number = c.graph.number(xs[known]!);
  if (number !== null) {
    if (op === 'Mul') return rescaled(c, x, number, 0, name);
    if (op === 'Div') return known === 1 ? rescaled(c, x, 1 / number, 0, name) : c.refuse('a division by a computed tensor');
    if (op === 'Sub') return known === 1 ? rescaled(c, x, 1, -number, name) : rescaled(c, x, -1, number, name);
    return rescaled(c, x, 1, number, name);
  }
  const k = c.known(call, known);
  const each = (f: (v: number) => number): Contents => ({ shape: k.shape, values: Float32Array.from(k.values, f) });
  if (op === 'Mul') return affine(c, x, k, null, name);
  if (op === 'Div')
    return known === 1
      ? affine(
          c,
          x,
          each((v) => 1 / v),
          null,
          name,
        )
      : c.refuse('a division by a computed tensor');
  if (op === 'Sub' && known === 0) {
    const minus: Contents = { shape: [c.size(x, x.shape.length - 1)], values: filled(c.size(x, x.shape.length - 1), -1) };
    return affine(c, x, minus, k, name);
  }
  return affine(c, x, null, op === 'Sub' ? each((v) => -v) : k, name);
};

export const negative: LayerMaker = (c, call) => rescaled(c, c.in(call, 0), -1, 0, c.layerName(call));

export const power: LayerMaker = (c, call) => {
  const exponent = c.graph.number(c.in(call, 1));
  if (exponent !== 2) c.refuse(`a power of ${exponent ?? 'a computed tensor'}`);
  const { tensor, axes } = c.tensors.first(c.in(call, 0));
  return { tensor: c.apply(Multiply({ name: c.layerName(call) }), [tensor, tensor]), axes };
};
