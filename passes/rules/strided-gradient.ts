/**
 * A convolution over an input with holes (the gradient of a strided convolution with respect to its input, a transposed convolution) multiplies mostly by zero: with dilation s
 * in d axes only one in s^d products counts. The outputs at positions s*q + r, for each phase r, see only every s-th tap of the kernel, at the same places of the dense input:
 *
 *     out[s*q + r] = sum over m of x[q + m + c] * k[j0 + s*m],   j0 = (low - r) mod s,   c = (r + j0 - low) / s
 *
 * So each phase is a convolution of the dense input with a part of the kernel, and the phases are interleaved. A phase without taps is zero; if one phase alone has taps (1x1
 * kernels), the result is that convolution with zeros between its elements.
 */
import { equalDim, isStatic } from '../../ir/dim.js';
import type { NodeOf, Value } from '../../ir/graph.js';
import type { Pair } from '../../ir/op-attrs.js';
import { op, type Rule, type RuleContext, rule } from '../rewrite.js';

/** One phase of one axis. */
interface Phase {
  readonly first: number;
  readonly taps: number;
  readonly padding: Pair;
}

interface Axis {
  readonly stride: number;
  /** Output positions of each phase, and of the whole axis. */
  readonly positions: number;
  readonly size: number;
  readonly phases: readonly Phase[];
}

function phasesOf(stride: number, size: number, input: number, kernel: number, low: number): Axis {
  const positions = Math.ceil(size / stride);
  const phases = Array.from({ length: stride }, (_, r): Phase => {
    const first = (((low - r) % stride) + stride) % stride;
    const taps = first < kernel ? Math.ceil((kernel - first) / stride) : 0;
    const lo = (low - r - first) / stride;
    return { first, taps, padding: [lo, positions - 1 + taps - input - lo] };
  });
  return { stride, positions, size, phases };
}

/** Every choice of one phase for each axis, the last axis fastest. */
const choices = (axes: readonly Axis[]): number[][] => axes.reduce<number[][]>((all, a) => all.flatMap((c) => a.phases.map((_, r) => [...c, r])), [[]]);

function split(n: NodeOf<'conv'>, ctx: RuleContext): Value | null {
  const { b, out } = ctx;
  const [x, k] = n.inputs as [Value, Value];
  const { dims } = n.attrs;
  const rank = dims.input.spatial.length;
  const at = (v: Value, axes: readonly number[]): number[] | null => {
    const sizes = axes.map((a) => v.shape[a]!);
    return sizes.every(isStatic) ? sizes : null;
  };
  const [input, kernel, output] = [at(x, dims.input.spatial), at(k, dims.kernel.spatial), at(out, dims.output.spatial)];
  if (!input || !kernel || !output) return null;
  const axes = input.map((size, i) => phasesOf(n.attrs.inputDilation[i]!, output[i]!, size, kernel[i]!, n.attrs.padding[i]![0]));
  const all = choices(axes);
  const hasTaps = (c: readonly number[]): boolean => c.every((r, i) => axes[i]!.phases[r]!.taps > 0);
  const filled = all.filter(hasTaps);
  if (filled.length === 0) return b.full(out.shape, 0, out.dtype);

  const phase = (c: readonly number[]): Value => {
    const picked = c.map((r, i) => axes[i]!.phases[r]!);
    const start = k.shape.map(() => 0);
    const stride = k.shape.map(() => 1);
    const limit = [...k.shape];
    dims.kernel.spatial.forEach((a, i) => {
      start[a] = picked[i]!.first;
      stride[a] = axes[i]!.stride;
      limit[a] = picked[i]!.first + (picked[i]!.taps - 1) * axes[i]!.stride + 1;
    });
    return b.emit('conv', [x, b.slice(k, start, limit, stride)], { ...n.attrs, inputDilation: axes.map(() => 1), padding: picked.map((p) => p.padding) });
  };

  if (filled.length === 1) return spreadOne(phase(filled[0]!), filled[0]!, axes, dims.output.spatial, b);
  const zero = (): Value =>
    b.full(
      out.shape.map((d, a) => (dims.output.spatial.includes(a) ? axes[dims.output.spatial.indexOf(a)]!.positions : d)),
      0,
      out.dtype,
    );
  const parts = all.map((c) => (hasTaps(c) ? phase(c) : zero()));
  // [.., positions, .., phases, channels] -> each phase axis behind its positions
  const outRank = rank + 2;
  const first = parts[0]!;
  const stacked = b.concat(
    parts.map((p) => b.reshape(p, [...p.shape, 1])),
    outRank,
  );
  const opened = b.reshape(stacked, [...first.shape, ...axes.map((a) => a.stride)]);
  const order = out.shape.flatMap((_, a) => (dims.output.spatial.includes(a) ? [a, outRank + dims.output.spatial.indexOf(a)] : [a]));
  const whole = first.shape.map((d, a) =>
    dims.output.spatial.includes(a) ? axes[dims.output.spatial.indexOf(a)]!.positions * axes[dims.output.spatial.indexOf(a)]!.stride : d,
  );
  const joined = b.reshape(b.transpose(opened, order), whole);
  return whole.every((d, a) => equalDim(d, out.shape[a]!))
    ? joined
    : b.slice(
        joined,
        out.shape.map(() => 0),
        out.shape,
      );
}

/** One phase among zeros. */
function spreadOne(y: Value, c: readonly number[], axes: readonly Axis[], spatial: readonly number[], b: RuleContext['b']): Value {
  const zeros = (): number[] => y.shape.map(() => 0);
  const [low, high, interior] = [zeros(), zeros(), zeros()];
  spatial.forEach((a, i) => {
    const { stride, positions, size } = axes[i]!;
    low[a] = c[i]!;
    interior[a] = stride - 1;
    high[a] = size - (c[i]! + (positions - 1) * stride + 1);
  });
  return b.pad(y, low, high, 0, interior);
}

export const stridedGradientRules: readonly Rule[] = [
  rule(
    'conv-with-holes',
    op('conv', 'n'),
    ({ n }) =>
      n.attrs.inputDilation.some((d) => d > 1) &&
      n.attrs.strides.every((s) => s === 1) &&
      n.attrs.kernelDilation.every((d) => d === 1) &&
      n.attrs.batchGroups === 1,
    ({ n }, ctx) => split(n, ctx),
  ),
];
