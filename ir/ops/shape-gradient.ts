/** Gradients of the shape ops: each is the transpose of a copy. */
import type { GraphBuilder } from '../builder.js';
import { addDim, type Dim, isStatic, mulDim, type Shape, subDim } from '../dim.js';
import type { Value } from '../graph.js';
import type { GradientContext } from '../op.js';
import { is } from './check.js';

type Flow = (Value | null)[];

export function broadcastGradient({ b, node, grads }: GradientContext<'broadcast'>): Flow {
  const x = node.inputs[0]!;
  const { axes, shape } = node.attrs;
  const summed = shape.map((_, a) => a).filter((a) => !axes.includes(a) || (is(x.shape[axes.indexOf(a)]!, 1) && !is(shape[a]!, 1)));
  return [b.reshape(b.sum(grads[0]!, summed), x.shape)];
}

export const reshapeGradient = ({ b, node, grads }: GradientContext<'reshape'>): Flow => [b.reshape(grads[0]!, node.inputs[0]!.shape)];

export const transposeGradient = ({ b, node, grads }: GradientContext<'transpose'>): Flow => [
  b.transpose(
    grads[0]!,
    node.attrs.perm.map((_, i) => node.attrs.perm.indexOf(i)),
  ),
];

export const reverseGradient = ({ b, node, grads }: GradientContext<'reverse'>): Flow => [b.reverse(grads[0]!, node.attrs.axes)];

/** Pads one axis with zeros of symbolic width by joining blocks of zeros. */
function padSymbolic(b: GraphBuilder, x: Value, axis: number, low: Dim, high: Dim): Value {
  const block = (n: Dim): Value[] =>
    is(n, 0)
      ? []
      : [
          b.full(
            x.shape.map((d, i) => (i === axis ? n : d)),
            0,
            x.dtype,
          ),
        ];
  return b.concat([...block(low), x, ...block(high)], axis);
}

/** Puts x into zeros of the given shape: element i of an axis goes to start + i*stride. The transpose of a slice. */
export function embed(b: GraphBuilder, x: Value, shape: Shape, start: readonly Dim[], stride: readonly number[]): Value {
  const low: number[] = [];
  const high: number[] = [];
  const symbolic: [axis: number, low: Dim, high: Dim][] = [];
  for (const [i, d] of shape.entries()) {
    const covered = is(x.shape[i]!, 0) ? 0 : addDim(mulDim(subDim(x.shape[i]!, 1), stride[i]!), 1);
    const rest = subDim(subDim(d, start[i]!), covered);
    const lo = start[i]!;
    const plain = isStatic(lo) && isStatic(rest);
    low.push(plain ? lo : 0);
    high.push(plain ? rest : 0);
    if (!plain) symbolic.push([i, lo, rest]);
  }
  const interior = stride.map((s) => s - 1);
  const padded = [...low, ...high, ...interior].every((p) => p === 0) ? x : b.pad(x, low, high, 0, interior);
  return symbolic.reduce((y, [axis, lo, hi]) => padSymbolic(b, y, axis, lo, hi), padded);
}

export function sliceGradient({ b, node, grads }: GradientContext<'slice'>): Flow {
  return [embed(b, grads[0]!, node.inputs[0]!.shape, node.attrs.start, node.attrs.stride)];
}

/** The elements of a padded tensor that came from the operand; those cropped away get 0. */
export function unpad(b: GraphBuilder, x: Value, low: readonly number[], high: readonly number[], interior: readonly number[]): Value {
  const cut = [...low, ...high].every((p) => p === 0)
    ? x
    : b.pad(
        x,
        low.map((p) => 0 - p),
        high.map((p) => 0 - p),
      );
  return interior.every((p) => p === 0)
    ? cut
    : b.slice(
        cut,
        cut.shape.map(() => 0),
        cut.shape,
        interior.map((p) => p + 1),
      );
}

export const padGradient = ({ b, node, grads }: GradientContext<'pad'>): Flow => [unpad(b, grads[0]!, node.attrs.low, node.attrs.high, node.attrs.interior)];

export function concatGradient({ b, node, grads, wanted }: GradientContext<'concat'>): Flow {
  const { axis } = node.attrs;
  let at: Dim = 0;
  return node.inputs.map((x, i) => {
    const start = at;
    at = addDim(at, x.shape[axis]!);
    return wanted[i] ? b.sliceAxis(grads[0]!, axis, start, at) : null;
  });
}
