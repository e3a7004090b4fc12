/** Products, convolutions and windows: Gemm, MatMul, Einsum, Conv, ConvTranspose, MaxPool, AveragePool. */
import { type Dim, isStatic } from '../../../../ir/dim.js';
import { UnsupportedError } from '../../../../ir/errors.js';
import type { NodeOf, Value } from '../../../../ir/graph.js';
import { sizeOf } from '../../../../ir/tensor-data.js';
import type { Static } from '../static.js';
import { channelsFirstPerm, type Form, transposed, type Writer } from '../writer.js';

// ---- products

const letters = 'abcdefghijklmnopqrstuvwxyz';

export function writeDot(w: Writer, node: NodeOf<'dot'>) {
  const [a, b] = node.inputs as readonly [Value, Value];
  const y = node.outputs[0]!;
  const { batchLeft, batchRight, contractLeft, contractRight } = node.attrs;
  const freeOf = (v: Value, ...taken: (readonly number[])[]): number[] => v.shape.map((_, i) => i).filter((i) => !taken.some((t) => t.includes(i)));
  const [freeA, freeB] = [freeOf(a, batchLeft, contractLeft), freeOf(b, batchRight, contractRight)];
  const one = contractLeft.length === 1;
  const inOrder = (list: readonly number[]): boolean => list.every((x, i) => x === i);
  const lastA = contractLeft[0] === a.shape.length - 1;
  if (one && batchLeft.length === 0 && b.shape.length === 2 && lastA) return w.emit(y, 'MatMul', [w.name(a), matrix(w, b, contractRight[0] === 0)]);
  // one free axis each, behind the same batch axes: matrices side by side
  if (one && freeA.length === 1 && freeB.length === 1 && inOrder(batchLeft) && inOrder(batchRight)) {
    const n = batchLeft.length;
    const side = (v: Value, straight: boolean): string =>
      straight
        ? w.name(v)
        : w.node(
            'Transpose',
            [w.name(v)],
            { perm: [...v.shape.keys()].map((i) => (i < n ? i : i === n ? n + 1 : n)) },
            { hint: `${node.origin}/transposed` },
          )[0]!;
    return w.emit(y, 'MatMul', [side(a, lastA), side(b, contractRight[0] === n)]);
  }
  const names = new Map<string, string>();
  let next = 0;
  const fresh = (): string => letters[next++]!;
  batchLeft.forEach((x, i) => {
    const l = fresh();
    names.set(`a${x}`, l).set(`b${batchRight[i]}`, l);
  });
  contractLeft.forEach((x, i) => {
    const l = fresh();
    names.set(`a${x}`, l).set(`b${contractRight[i]}`, l);
  });
  for (const x of freeA) names.set(`a${x}`, fresh());
  for (const x of freeB) names.set(`b${x}`, fresh());
  const text = (side: 'a' | 'b', axes: Iterable<number>): string => [...axes].map((x) => names.get(`${side}${x}`)!).join('');
  const equation = `${text('a', a.shape.keys())},${text('b', b.shape.keys())}->${text('a', batchLeft)}${text('a', freeA)}${text('b', freeB)}`;
  w.emit(y, 'Einsum', [w.name(a), w.name(b)], { equation });
}

/** A matrix, or its transpose: of weights at once, else by a node. */
function matrix(w: Writer, v: Value, straight: boolean): string {
  if (straight) return w.name(v);
  const s = w.static(v);
  return s ? w.initializer(transposed(s, [1, 0])) : w.node('Transpose', [w.name(v)], { perm: [1, 0] }, { hint: 'transposed' })[0]!;
}

/** `product + bias` on rank 2 as Gemm. False where it is another product. */
export function writeGemm(w: Writer, node: NodeOf<'dot'>, bias: Static, y: Value): boolean {
  const [a, b] = node.inputs as readonly [Value, Value];
  const { batchLeft, contractLeft, contractRight } = node.attrs;
  if (a.shape.length !== 2 || b.shape.length !== 2 || batchLeft.length > 0 || contractLeft.length !== 1 || y.dtype !== 'float32') return false;
  const inputs = [w.name(a), w.name(b), w.initializer(bias)];
  w.emit(y, 'Gemm', inputs, { ...(contractLeft[0] === 0 ? { transA: 1 } : {}), ...(contractRight[0] === 1 ? { transB: 1 } : {}) });
  return true;
}

/** A sum of a convolution or product that is used here alone, and a known vector along its features. */
export function biasOf(w: Writer, node: NodeOf<'binary'>): { readonly node: NodeOf<'conv'> | NodeOf<'dot'>; readonly bias: Static } | null {
  for (const [x, other] of [
    [node.inputs[0]!, node.inputs[1]!],
    [node.inputs[1]!, node.inputs[0]!],
  ] as const) {
    const p = x.producer;
    if ((p?.op !== 'conv' && p?.op !== 'dot') || w.isDefined(x) || !w.usedOnce(x)) continue;
    const feature = p.op === 'conv' ? p.attrs.dims.output.feature : x.shape.length - 1;
    const bias = vectorAlong(w, other, feature);
    if (bias) return { node: p, bias };
  }
  return null;
}

/** A known vector that is spread along one axis. */
function vectorAlong(w: Writer, v: Value, axis: number): Static | null {
  const p = w.resolve(v).producer;
  if (p?.op !== 'broadcast') return null;
  const s = w.static(p.inputs[0]!);
  const n = v.shape[axis]!;
  if (!s || !isStatic(n) || s.data.length !== n || n === 1) return null;
  const at = s.shape.indexOf(n);
  if (at < 0 || p.attrs.axes[at] !== axis || s.shape.some((d, i) => i !== at && d !== 1)) return null;
  return s.shape.length === 1 ? s : { ...s, shape: [n], key: `${s.key} as ${n}` };
}

// ---- convolutions

export const writeConv = (w: Writer, node: NodeOf<'conv'>) => convolution(w, node, null, node.outputs[0]!);
export const writeConvWithBias = (w: Writer, node: NodeOf<'conv'>, bias: Static, y: Value) => convolution(w, node, bias, y);

/** The name of a tensor with batch and channels first. */
function channelsFirst(w: Writer, v: Value, dims: { readonly batch: number; readonly feature: number; readonly spatial: readonly number[] }): string {
  const perm = [dims.batch, dims.feature, ...dims.spatial];
  if (perm.every((p, i) => p === i)) return w.name(v);
  if (perm.join() === channelsFirstPerm(perm.length).join()) return w.name(v, 'channelsFirst');
  return w.node('Transpose', [w.name(v)], { perm }, { hint: `${v.producer?.origin || 'x'}/channels_first` })[0]!;
}

/** The form of a result that is there with batch and channels first; null: another order. */
function resultForm(dims: NodeOf<'conv'>['attrs']['dims']['output']): Form | null {
  const perm = [dims.batch, dims.feature, ...dims.spatial];
  if (perm.every((p, i) => p === i)) return 'plain';
  return perm.join() === channelsFirstPerm(perm.length).join() ? 'channelsFirst' : null;
}

function convolution(w: Writer, node: NodeOf<'conv'>, bias: Static | null, y: Value) {
  const [x, k] = node.inputs as readonly [Value, Value];
  const { strides, padding, inputDilation, kernelDilation, groups, batchGroups, dims } = node.attrs;
  if (batchGroups !== 1) throw new UnsupportedError(`${node.origin}: a convolution with batch groups cannot be written as ONNX`);
  const form = resultForm(dims.output);
  if (!form) throw new UnsupportedError(`${node.origin}: a convolution whose result is neither channels first nor last cannot be written as ONNX`);
  const spread = inputDilation.some((d) => d !== 1);
  const kernel = spread ? mirrored(w, k, dims.kernel.spatial) : { value: k, known: w.static(k), backwards: false };
  const perm =
    spread && groups === 1 ? [dims.kernel.input, dims.kernel.output, ...dims.kernel.spatial] : [dims.kernel.output, dims.kernel.input, ...dims.kernel.spatial];
  let weight: string;
  if (kernel.known) weight = w.initializer(transposed(kernel.known, perm));
  else weight = w.node('Transpose', [w.name(kernel.value)], { perm }, { hint: `${node.origin}/kernel` })[0]!;
  const image = channelsFirst(w, x, dims.input);
  const inputs = [image, weight, ...(bias ? [w.initializer(bias)] : [])];
  const window = dims.kernel.spatial.map((a) => k.shape[a]!);
  if (!window.every(isStatic)) throw new UnsupportedError(`${node.origin}: a convolution with a kernel of unknown size cannot be written as ONNX`);
  if (!spread) {
    const pads = [...padding.map((p) => p[0]), ...padding.map((p) => p[1])];
    if (pads.some((p) => p < 0)) throw new UnsupportedError(`${node.origin}: a convolution that crops its input cannot be written as ONNX`);
    w.emit(y, 'Conv', inputs, { kernel_shape: window, strides, dilations: kernelDilation, group: groups, pads }, form);
    return;
  }
  if (strides.some((s) => s !== 1) || groups !== 1)
    throw new UnsupportedError(`${node.origin}: a convolution with strides, groups and a dilated input cannot be written as ONNX`);
  // the transposed convolution cuts what the convolution does not pad
  const extent = window.map((n, i) => (n - 1) * kernelDilation[i]! + 1);
  const begin = padding.map((p, i) => extent[i]! - 1 - p[0]);
  const end = padding.map((p, i) => extent[i]! - 1 - p[1]);
  const low = begin.map((n) => Math.max(-n, 0));
  const high = end.map((n) => Math.max(-n, 0));
  const fits = high.every((n, i) => n < Math.max(inputDilation[i]!, kernelDilation[i]!)) && low.every((n) => n === 0);
  const attrs = { kernel_shape: window, strides: inputDilation, dilations: kernelDilation, pads: [...begin, ...end].map((n) => Math.max(n, 0)) };
  if (fits) {
    w.emit(y, 'ConvTranspose', inputs, { ...attrs, ...(high.some((n) => n > 0) ? { output_padding: high } : {}) }, form);
    return;
  }
  // what lies beyond the last product is the bias alone
  const [core] = w.node('ConvTranspose', inputs.slice(0, 2), attrs, { hint: node.origin });
  const padded = w.node('Pad', [core!, w.int64([0, 0, ...low, 0, 0, ...high], 'pads')], {}, { hint: node.origin })[0]!;
  if (!bias) w.emit(y, 'Identity', [padded], {}, form);
  else {
    const shape = [bias.data.length, ...window.map(() => 1)];
    w.emit(y, 'Add', [padded, w.initializer({ ...bias, shape, key: `${bias.key} as ${shape.join(',')}` })], {}, form);
  }
}

/** The kernel from its last element to its first: where it is such a mirror image already, what is behind it. */
function mirrored(w: Writer, k: Value, spatial: readonly number[]): { readonly value: Value; readonly known: Static } {
  const p = w.resolve(k).producer;
  if (p?.op === 'reverse' && p.attrs.axes.length === spatial.length && spatial.every((a) => p.attrs.axes.includes(a))) {
    const known = w.static(p.inputs[0]!);
    if (known) return { value: p.inputs[0]!, known };
  }
  const s = w.static(k);
  if (!s) throw new UnsupportedError(`${p?.origin ?? 'the model'}: a transposed convolution whose kernel is computed cannot be written as ONNX`);
  const data = s.data.slice();
  const strides = s.shape.map((_, i) => sizeOf(s.shape.slice(i + 1)));
  for (let i = 0; i < data.length; i++) {
    let from = 0;
    s.shape.forEach((d, a) => {
      const at = Math.floor(i / strides[a]!) % d;
      from += (spatial.includes(a) ? d - 1 - at : at) * strides[a]!;
    });
    data[i] = s.data[from]!;
  }
  return { value: k, known: { ...s, data, key: `${s.key} mirrored` } };
}

// ---- windows

/** Max and mean over windows: the axes without a window come first, as batch and channels. */
export function writeReduceWindow(w: Writer, node: NodeOf<'reduce_window'>) {
  const [x, y] = [node.inputs[0]!, node.outputs[0]!];
  const { fn, window, strides, padding, baseDilation, windowDilation } = node.attrs;
  const refuse = (why: string): never => {
    throw new UnsupportedError(`${node.origin}: ${why} cannot be written as ONNX`);
  };
  if (fn !== 'max' && fn !== 'sum') refuse(`a window of '${fn}'`);
  if (baseDilation.some((d) => d !== 1)) refuse('a window over a dilated input');
  const rank = x.shape.length;
  const over = window.map((_, a) => a).filter((a) => window[a] !== 1 || strides[a] !== 1 || padding[a]!.some((p) => p !== 0));
  if (over.length === 0) return w.alias(y, x);
  if (padding.some((p) => p.some((n) => n < 0))) refuse('a window that crops its input');
  const attrs = (axes: readonly number[]) => ({
    kernel_shape: axes.map((a) => window[a]!),
    strides: axes.map((a) => strides[a]!),
    pads: [...axes.map((a) => padding[a]![0]), ...axes.map((a) => padding[a]![1])],
    ...(windowDilation.some((d) => d !== 1) ? { dilations: axes.map((a) => windowDilation[a]!) } : {}),
  });
  const area = sizeOf(window);
  const dilated = windowDilation.some((d) => d !== 1);
  if (fn === 'sum' && dilated && w.opset < 19) refuse('a sum over a dilated window before opset 19');
  const pool = (name: string, axes: readonly number[], value: Value | null, form: Form): string => {
    const o = value ? { value, form } : { hint: node.origin };
    if (fn === 'max') return w.node('MaxPool', [name], attrs(axes), o)[0]!;
    const [mean] = w.node('AveragePool', [name], { ...attrs(axes), count_include_pad: 1 }, { hint: node.origin });
    return w.node('Mul', [mean!, w.scalar(area, x.dtype)], {}, o)[0]!;
  };
  const last = rank >= 3 && !over.includes(0) && !over.includes(rank - 1);
  const first = rank >= 3 && !over.includes(0) && !over.includes(1);
  if (last) return w.define(y, pool(w.name(x, 'channelsFirst'), range(1, rank - 1), y, 'channelsFirst'), 'channelsFirst');
  if (first) return w.define(y, pool(w.name(x), range(2, rank), y, 'plain'));
  // any other axes: moved behind the rest, which becomes one axis of channels
  const rest = x.shape.map((_, a) => a).filter((a) => !over.includes(a));
  const perm = [...rest, ...over];
  const moved = w.node('Transpose', [w.name(x)], { perm }, { hint: node.origin })[0]!;
  const spatial = (v: Value): Dim[] => over.map((a) => v.shape[a]!);
  const flat = w.node(
    'Reshape',
    [moved, spatial(x).every(isStatic) ? w.int64([1, -1, ...(spatial(x) as number[])]) : refuse('a window over an axis of unknown size')],
    {},
    { hint: node.origin },
  )[0]!;
  const pooled = pool(flat, over, null, 'plain');
  const back = w.node('Reshape', [pooled, w.shape([...rest.map((a) => y.shape[a]!), ...spatial(y)])], {}, { hint: node.origin })[0]!;
  w.emit(y, 'Transpose', [back], { perm: perm.map((_, a) => perm.indexOf(a)) });
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
