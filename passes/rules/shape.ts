/**
 * Rules for reshape, transpose, broadcast and elementwise ops on them. Normal form: one reshape, one transpose or one broadcast in a row; a broadcast's operand has no axes
 * of size 1; shape ops move down through elementwise ops whose operands agree, so that they meet and cancel.
 */
import { equalShape, equalSize, type Shape } from '../../ir/dim.js';
import type { Value } from '../../ir/graph.js';
import type { OpName } from '../../ir/op-attrs.js';
import { splatValue } from '../fold-constants.js';
import { compose, inverse, isIdentity, isOne, movesOnlyOnes, permuted } from '../permute.js';
import { any, op, type Rule, type RuleContext, rule } from '../rewrite.js';

/** A run of axes of one shape that holds the same elements as a run of axes of another. */
export interface AxisGroup {
  readonly from: readonly number[];
  readonly to: readonly number[];
}

const range = (start: number, end: number): number[] => Array.from({ length: end - start }, (_, i) => start + i);

/** The finest common grouping of a reshape's axes; null where sizes are symbolic and cannot be told apart. */
export function axisGroups(from: Shape, to: Shape): AxisGroup[] | null {
  const groups: AxisGroup[] = [];
  let [i, j] = [0, 0];
  while (i < from.length || j < to.length) {
    const found = nextGroup(from, to, i, j);
    if (!found) return null;
    groups.push({ from: range(i, found[0]), to: range(j, found[1]) });
    [i, j] = found;
  }
  return groups;
}

function nextGroup(from: Shape, to: Shape, i: number, j: number): [number, number] | null {
  // lone axes of size 1 make groups of their own
  if (i < from.length && isOne(from[i]!) && !(j < to.length && isOne(to[j]!))) return [i + 1, j];
  if (j < to.length && isOne(to[j]!) && !(i < from.length && isOne(from[i]!))) return [i, j + 1];
  for (let a = i + 1; a <= from.length; a++) {
    for (let b = j + 1; b <= to.length; b++) if (equalSize(from.slice(i, a), to.slice(j, b))) return [a, b];
  }
  return null;
}

/** reshape(broadcast(x, from, axes), to) as a broadcast of a reshape; null where a group of axes is broadcast in part. */
function reshapeOfBroadcast(x: Value, from: Shape, axes: readonly number[], to: Shape, { b }: RuleContext): Value | null {
  const groups = axisGroups(from, to);
  if (!groups) return null;
  const small: Shape[number][] = [];
  const newAxes: number[] = [];
  for (const g of groups) {
    const covered = g.from.filter((a) => axes.includes(a));
    if (covered.length === 0) continue;
    if (g.from.some((a) => !axes.includes(a) && !isOne(from[a]!))) return null;
    for (const t of g.to) {
      small.push(to[t]!);
      newAxes.push(t);
    }
  }
  return b.broadcast(b.reshape(x, small), to, newAxes);
}

/** transpose(broadcast(x, shape, axes), perm) as a broadcast of a transpose of the smaller x. */
function transposeOfBroadcast(x: Value, shape: Shape, axes: readonly number[], perm: readonly number[], { b }: RuleContext): Value {
  const to = inverse(perm);
  const target = axes.map((a) => to[a]!);
  const order = target.map((_, i) => i).sort((i, j) => target[i]! - target[j]!);
  return b.broadcast(b.transpose(x, order), permuted(shape, perm), permuted(target, order));
}

const isShapeOp = (v: Value, name: 'broadcast' | 'reshape'): boolean => v.producer?.op === name;

/** The operands of an elementwise node with one shape op taken off all of them; numbers take the smaller shape. */
function stripped(node: RuleContext['node'], name: 'broadcast' | 'reshape', b: RuleContext['b']): Value[] | null {
  const varying = node.inputs.filter((v) => splatValue(v) === null);
  const [first, ...rest] = varying;
  if (!first || !isShapeOp(first, name)) return null;
  const source = first.producer!.inputs[0]!;
  const axesOf = (v: Value): string => (v.producer?.op === 'broadcast' ? v.producer.attrs.axes.join() : '');
  if (!rest.every((v) => isShapeOp(v, name) && equalShape(v.producer!.inputs[0]!.shape, source.shape) && axesOf(v) === axesOf(first))) return null;
  return node.inputs.map((v) => {
    const x = splatValue(v);
    return x === null ? v.producer!.inputs[0]! : b.full(source.shape, x, v.dtype);
  });
}

const elementwise = ['unary', 'binary', 'compare', 'select', 'cast', 'bitcast'] as const satisfies readonly OpName[];

const throughElementwise: readonly Rule[] = elementwise.flatMap((name) => [
  rule(`${name}-of-broadcasts`, op(name, 'n'), null, (_, { node, b }) => {
    const inputs = stripped(node, 'broadcast', b);
    if (!inputs) return null;
    const from = node.inputs.find((v) => splatValue(v) === null)!.producer!;
    return from.op === 'broadcast' ? b.broadcast(b.emit(node.op, inputs, node.attrs), from.attrs.shape, from.attrs.axes) : null;
  }),
  rule(`${name}-of-reshapes`, op(name, 'n'), null, (_, { node, b, out }) => {
    const inputs = stripped(node, 'reshape', b);
    return inputs && b.reshape(b.emit(node.op, inputs, node.attrs), out.shape);
  }),
]);

export const shapeRules: readonly Rule[] = [
  // transpose
  rule(
    'transpose-identity',
    op('transpose', 'n', any('x')),
    ({ n }) => isIdentity(n.attrs.perm),
    ({ x }) => x,
  ),
  rule('transpose-of-transpose', op('transpose', 'n', op('transpose', 'inner', any('x'))), null, ({ n, inner, x }, { b }) =>
    b.transpose(x, compose(inner.attrs.perm, n.attrs.perm)),
  ),
  rule('transpose-of-broadcast', op('transpose', 'n', op('broadcast', 'inner', any('x'))), null, ({ n, inner, x }, ctx) =>
    transposeOfBroadcast(x, inner.attrs.shape, inner.attrs.axes, n.attrs.perm, ctx),
  ),
  rule(
    'transpose-of-ones',
    op('transpose', 'n', any('x')),
    ({ n, x }) => movesOnlyOnes(x.shape, n.attrs.perm),
    ({ x }, { b, out }) => b.reshape(x, out.shape),
  ),
  rule('transpose-of-iota', op('transpose', 'n', op('iota', 'i')), null, ({ n, i }, { b, out }) =>
    b.iota(out.shape, n.attrs.perm.indexOf(i.attrs.axis), i.attrs.dtype),
  ),

  // reshape
  rule(
    'reshape-identity',
    op('reshape', 'n', any('x')),
    ({ n, x }) => equalShape(n.attrs.shape, x.shape),
    ({ x }) => x,
  ),
  rule('reshape-of-reshape', op('reshape', 'n', op('reshape', 'inner', any('x'))), null, ({ n, x }, { b }) => b.reshape(x, n.attrs.shape)),
  rule('reshape-of-broadcast', op('reshape', 'n', op('broadcast', 'inner', any('x'))), null, ({ n, inner, x }, ctx) =>
    reshapeOfBroadcast(x, inner.attrs.shape, inner.attrs.axes, n.attrs.shape, ctx),
  ),

  // broadcast
  rule(
    'broadcast-as-reshape',
    op('broadcast', 'n', any('x')),
    ({ n, x }) => equalSize(x.shape, n.attrs.shape),
    ({ n, x }, { b }) => b.reshape(x, n.attrs.shape),
  ),
  rule('broadcast-of-broadcast', op('broadcast', 'n', op('broadcast', 'inner', any('x'))), null, ({ n, inner, x }, { b }) =>
    b.broadcast(
      x,
      n.attrs.shape,
      inner.attrs.axes.map((a) => n.attrs.axes[a]!),
    ),
  ),
  rule(
    'broadcast-of-ones',
    op('broadcast', 'n', any('x')),
    ({ x }) => x.shape.some(isOne),
    ({ n, x }, { b }) => {
      const keep = x.shape.flatMap((d, i) => (isOne(d) ? [] : [i]));
      return b.broadcast(b.reshape(x, permuted(x.shape, keep)), n.attrs.shape, permuted(n.attrs.axes, keep));
    },
  ),

  ...throughElementwise,
];
