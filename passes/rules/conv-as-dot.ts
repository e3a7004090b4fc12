/** Convolutions that are matrix products: a kernel of one tap, and a kernel as large as its input (the gradient of the former with respect to its kernel). */
import { equalDim } from '../../ir/dim.js';
import type { NodeOf, Value } from '../../ir/graph.js';
import { isOne } from '../permute.js';
import { op, type Rule, type RuleContext, rule } from '../rewrite.js';

const plain = (n: NodeOf<'conv'>): boolean =>
  n.attrs.groups === 1 &&
  n.attrs.batchGroups === 1 &&
  n.attrs.padding.every(([lo, hi]) => lo === 0 && hi === 0) &&
  n.attrs.inputDilation.every((d) => d === 1) &&
  n.attrs.kernelDilation.every((d) => d === 1);

/** conv with a 1x1 kernel and stride 1 is a dot over the channels, where the axes keep their order and the channels come out last. */
function pointwise(n: NodeOf<'conv'>, { b, out }: RuleContext): Value | null {
  const [x, k] = n.inputs as [Value, Value];
  const { input, kernel, output } = n.attrs.dims;
  if (!plain(n) || n.attrs.strides.some((s) => s !== 1) || !kernel.spatial.every((a) => isOne(k.shape[a]!))) return null;
  if (output.feature !== out.shape.length - 1) return null;
  const order = x.shape.map((_, a) => a).filter((a) => a !== input.feature);
  const lands = (a: number): number => (a === input.batch ? output.batch : output.spatial[input.spatial.indexOf(a)]!);
  if (!order.every((a, i) => lands(a) === i)) return null;
  const first = kernel.input < kernel.output;
  const weights = b.reshape(k, first ? [k.shape[kernel.input]!, k.shape[kernel.output]!] : [k.shape[kernel.output]!, k.shape[kernel.input]!]);
  return b.dot(x, weights, { batchLeft: [], batchRight: [], contractLeft: [input.feature], contractRight: [first ? 0 : 1] });
}

/** conv whose kernel covers the whole input is a dot over channels and positions. */
function fullWindow(n: NodeOf<'conv'>, { b, out }: RuleContext): Value | null {
  const [x, k] = n.inputs as [Value, Value];
  const { input, kernel, output } = n.attrs.dims;
  const covers = input.spatial.every((a, i) => equalDim(x.shape[a]!, k.shape[kernel.spatial[i]!]!) && isOne(out.shape[output.spatial[i]!]!));
  if (!plain(n) || !covers || output.batch > output.feature) return null;
  const y = b.dot(x, k, { batchLeft: [], batchRight: [], contractLeft: [input.feature, ...input.spatial], contractRight: [kernel.input, ...kernel.spatial] });
  return b.reshape(y, out.shape);
}

export const convAsDotRules: readonly Rule[] = [
  rule('pointwise-conv', op('conv', 'n'), null, ({ n }, ctx) => pointwise(n, ctx)),
  rule('full-window-conv', op('conv', 'n'), null, ({ n }, ctx) => fullWindow(n, ctx)),
];
