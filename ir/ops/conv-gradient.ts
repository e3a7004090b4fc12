/**
 * Gradients of conv: both are convolutions. With respect to the input: the cotangent, dilated by the stride, with the kernel reversed and its channel roles
 * swapped. With respect to the kernel: the input with batch and features swapped, and the cotangent, dilated by the stride, as the kernel; feature groups
 * become batch groups. Where the stride does not divide, the padding grows or crops so that the sizes come out (as in JAX's transpose rules).
 */
import type { GraphBuilder } from '../builder.js';
import { addDim, type Dim, divDimExact, isStatic, mulDim, subDim } from '../dim.js';
import type { Value } from '../graph.js';
import type { GradientContext } from '../op.js';
import type { OpAttrs, Pair } from '../op-attrs.js';
import { dilatedDim, fail } from './check.js';

type ConvAttrs = OpAttrs['conv'];

/** Splits axis `from`, of size groups*n (group first), and joins the groups to the front of axis `to`. */
function moveGroups(b: GraphBuilder, x: Value, from: number, to: number, groups: number): Value {
  if (groups === 1) return x;
  const n = divDimExact(x.shape[from]!, groups);
  if (n === null) fail('conv', `axis of size ${x.shape[from]} is not a multiple of ${groups} groups`);
  const split = b.reshape(x, [...x.shape.slice(0, from), groups, n, ...x.shape.slice(from + 1)]);
  const at = to < from ? to : to + 1;
  const rest = split.shape.map((_, i) => i).filter((i) => i !== from);
  const moved = b.transpose(
    split,
    rest.flatMap((i) => (i === at ? [from, i] : [i])),
  );
  return b.reshape(
    moved,
    x.shape.map((d, i) => (i === from ? n : i === to ? mulDim(d, groups) : d)),
  );
}

function staticPair(low: Dim, high: Dim): Pair {
  if (!isStatic(low) || !isStatic(high)) fail('conv', `the gradient would need the symbolic padding [${low},${high}]`);
  return [low, high];
}

/** Sizes of one spatial dimension with their dilations: input, kernel, output. */
function spans(a: ConvAttrs, input: Value, kernel: Value, output: Value): { input: Dim; kernel: Dim; output: Dim }[] {
  return a.strides.map((stride, i) => ({
    input: dilatedDim(input.shape[a.dims.input.spatial[i]!]!, a.inputDilation[i]!),
    kernel: dilatedDim(kernel.shape[a.dims.kernel.spatial[i]!]!, a.kernelDilation[i]!),
    output: dilatedDim(output.shape[a.dims.output.spatial[i]!]!, stride),
  }));
}

function inputGradient(b: GraphBuilder, g: Value, input: Value, kernel: Value, a: ConvAttrs): Value {
  const swapped = moveGroups(b, kernel, a.dims.kernel.output, a.dims.kernel.input, a.groups);
  const padding = spans(a, input, kernel, g).map((s, i) => {
    const low = subDim(s.kernel, 1 + a.padding[i]![0]);
    return staticPair(low, subDim(subDim(addDim(s.input, subDim(s.kernel, 1)), s.output), low));
  });
  return b.emit(
    'conv',
    [
      g,
      b.reverse(
        swapped,
        [...a.dims.kernel.spatial].sort((x, y) => x - y),
      ),
    ],
    {
      strides: a.inputDilation,
      padding,
      inputDilation: a.strides,
      kernelDilation: a.kernelDilation,
      groups: a.groups,
      batchGroups: 1,
      dims: {
        input: a.dims.output,
        kernel: { input: a.dims.kernel.output, output: a.dims.kernel.input, spatial: a.dims.kernel.spatial },
        output: a.dims.input,
      },
    },
  );
}

function kernelGradient(b: GraphBuilder, g: Value, input: Value, kernel: Value, a: ConvAttrs): Value {
  const padding = spans(a, input, kernel, g).map((s, i) => {
    const total = subDim(addDim(s.output, s.kernel), addDim(s.input, 1));
    return staticPair(a.padding[i]![0], subDim(total, a.padding[i]![0]));
  });
  const { dims } = a;
  return b.emit('conv', [input, g], {
    strides: a.kernelDilation,
    padding,
    inputDilation: a.inputDilation,
    kernelDilation: a.strides,
    groups: 1,
    batchGroups: a.groups,
    dims: {
      input: { batch: dims.input.feature, feature: dims.input.batch, spatial: dims.input.spatial },
      kernel: { input: dims.output.batch, output: dims.output.feature, spatial: dims.output.spatial },
      output: { batch: dims.kernel.input, feature: dims.kernel.output, spatial: dims.kernel.spatial },
    },
  });
}

export function convGradient({ b, node, grads, wanted }: GradientContext<'conv'>): (Value | null)[] {
  const [given, kernel] = node.inputs as [Value, Value];
  const { dims, batchGroups } = node.attrs;
  // Batch groups are feature groups of an input whose groups have moved from the batch to the features.
  const input = moveGroups(b, given, dims.input.batch, dims.input.feature, batchGroups);
  const a: ConvAttrs = batchGroups === 1 ? node.attrs : { ...node.attrs, groups: batchGroups, batchGroups: 1 };
  const g = grads[0]!;
  return [
    wanted[0] ? moveGroups(b, inputGradient(b, g, input, kernel, a), dims.input.feature, dims.input.batch, batchGroups) : null,
    wanted[1] ? kernelGradient(b, g, input, kernel, a) : null,
  ];
}
