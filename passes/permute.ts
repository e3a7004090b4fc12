/** Permutations of axes, and what a permutation of an operand's axes does to the attributes of the op: shared by the rules for transposes and the layout pass. */
import { isStatic, type Shape } from '../ir/dim.js';
import type { Node, NodeOf } from '../ir/graph.js';
import type { OpAttrs } from '../ir/op-attrs.js';

export type Perm = readonly number[];

export const isIdentity = (p: Perm): boolean => p.every((a, i) => a === i);
export const inverse = (p: Perm): number[] => p.map((_, i) => p.indexOf(i));
/** transpose(transpose(x, inner), outer) is transpose(x, compose(inner, outer)). */
export const compose = (inner: Perm, outer: Perm): number[] => outer.map((a) => inner[a]!);
export const permuted = <T>(xs: readonly T[], p: Perm): T[] => p.map((a) => xs[a]!);
export const isOne = (d: Shape[number]): boolean => isStatic(d) && d === 1;

/** Whether a transpose moves only axes of size 1: then it is a reshape. */
export function movesOnlyOnes(shape: Shape, p: Perm): boolean {
  const kept = p.filter((a) => !isOne(shape[a]!));
  return kept.every((a, i) => i === 0 || kept[i - 1]! < a);
}

const ascending = (xs: readonly number[]): number[] => [...xs].sort((a, b) => a - b);

/** Ops of one operand that treat each axis on its own: they commute with transposes. */
export type AxiswiseOp = 'unary' | 'cast' | 'slice' | 'pad' | 'reverse' | 'reduce' | 'cumulative' | 'reduce_window' | 'arg_reduce';

const axiswise: readonly string[] = [
  'unary',
  'cast',
  'slice',
  'pad',
  'reverse',
  'reduce',
  'cumulative',
  'reduce_window',
  'arg_reduce',
] satisfies readonly AxiswiseOp[];
export const isAxiswise = (n: Node): n is NodeOf<AxiswiseOp> & Node => axiswise.includes(n.op);

/**
 * For a node on transpose(x, p): the attributes of the same op on x, and the permutation of the result's axes that gives the node's output. The op is unchanged.
 */
export function throughTranspose(n: NodeOf<AxiswiseOp> & Node, p: Perm): { attrs: OpAttrs[AxiswiseOp]; perm: number[] } {
  const back = <T>(xs: readonly T[]): T[] => permuted(xs, inverse(p));
  switch (n.op) {
    case 'unary':
    case 'cast':
      return { attrs: n.attrs, perm: [...p] };
    case 'slice':
      return { attrs: { start: back(n.attrs.start), limit: back(n.attrs.limit), stride: back(n.attrs.stride) }, perm: [...p] };
    case 'pad':
      return { attrs: { ...n.attrs, low: back(n.attrs.low), high: back(n.attrs.high), interior: back(n.attrs.interior) }, perm: [...p] };
    case 'reverse':
      return { attrs: { axes: ascending(n.attrs.axes.map((a) => p[a]!)) }, perm: [...p] };
    case 'cumulative':
      return { attrs: { ...n.attrs, axis: p[n.attrs.axis]! }, perm: [...p] };
    case 'reduce_window':
      return {
        attrs: {
          fn: n.attrs.fn,
          window: back(n.attrs.window),
          strides: back(n.attrs.strides),
          padding: back(n.attrs.padding),
          baseDilation: back(n.attrs.baseDilation),
          windowDilation: back(n.attrs.windowDilation),
        },
        perm: [...p],
      };
    case 'reduce':
      return { attrs: { ...n.attrs, axes: ascending(n.attrs.axes.map((a) => p[a]!)) }, perm: withoutAxes(p, n.attrs.axes) };
    case 'arg_reduce':
      return { attrs: { ...n.attrs, axis: p[n.attrs.axis]! }, perm: withoutAxes(p, [n.attrs.axis]) };
  }
}

/** The permutation of the axes that are left when output axes `removed` go. */
export function withoutAxes(p: Perm, removed: readonly number[]): number[] {
  const rest = p.filter((_, i) => !removed.includes(i));
  const order = ascending(rest);
  return rest.map((a) => order.indexOf(a));
}
