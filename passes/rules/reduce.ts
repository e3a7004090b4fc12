/** Rules for reductions. */
import { type Dim, isStatic } from '../../ir/dim.js';
import type { NodeOf, Value } from '../../ir/graph.js';
import { isOne, throughTranspose } from '../permute.js';
import { any, op, type Rule, type RuleContext, rule } from '../rewrite.js';
import { axisGroups } from './shape.js';

/** Axes that only a broadcast made: a sum over them multiplies by their size, max and the like change nothing. The rest is reduced before the broadcast. */
function reduceOfBroadcast(n: NodeOf<'reduce'>, inner: NodeOf<'broadcast'>, x: Value, { b, out }: RuleContext): Value | null {
  const { fn, axes } = n.attrs;
  if (fn === 'prod' || x.shape.some(isOne)) return null;
  const added = axes.filter((a) => !inner.attrs.axes.includes(a));
  if (added.length === 0) return null;
  const own = inner.attrs.axes.flatMap((a, i) => (axes.includes(a) ? [i] : []));
  let y = b.reduce(fn, x, own);
  if (fn === 'sum') for (const a of added) y = b.mul(y, b.dimSize(inner.attrs.shape[a]!, x.dtype));
  const left = inner.attrs.shape.flatMap((_, a) => (axes.includes(a) ? [] : [a]));
  return b.broadcast(
    y,
    out.shape,
    inner.attrs.axes.filter((a) => !axes.includes(a)).map((a) => left.indexOf(a)),
  );
}

/** A reduction of whole groups of a reshape's axes reduces the axes that they came from. */
function reduceOfReshape(n: NodeOf<'reduce'>, x: Value, { b, out }: RuleContext): Value | null {
  const shape = n.inputs[0]!.shape;
  const groups = axisGroups(x.shape, shape);
  if (!groups) return null;
  const from: number[] = [];
  for (const g of groups) {
    const inside = g.to.filter((a) => n.attrs.axes.includes(a));
    if (inside.length === 0) continue;
    if (g.to.some((a) => !n.attrs.axes.includes(a) && !isOne(shape[a]!))) return null;
    from.push(...g.from);
  }
  return b.reshape(b.reduce(n.attrs.fn, x, from), out.shape);
}

const isSize = (d: Dim): boolean => isStatic(d) && d > 0;

export const reduceRules: readonly Rule[] = [
  rule(
    'reduce-nothing',
    op('reduce', 'n', any('x')),
    ({ n }) => n.attrs.axes.length === 0,
    ({ x }) => x,
  ),
  rule(
    'reduce-of-ones',
    op('reduce', 'n', any('x')),
    ({ n, x }) => n.attrs.axes.every((a) => isOne(x.shape[a]!)),
    ({ x }, { b, out }) => b.reshape(x, out.shape),
  ),
  rule(
    'reduce-of-broadcast',
    op('reduce', 'n', op('broadcast', 'inner', any('x'))),
    ({ n, inner }) => n.attrs.fn === 'sum' || n.attrs.axes.every((a) => isSize(inner.attrs.shape[a]!)),
    ({ n, inner, x }, ctx) => reduceOfBroadcast(n, inner, x, ctx),
  ),
  rule('reduce-of-reshape', op('reduce', 'n', op('reshape', 'r', any('x'))), null, ({ n, x }, ctx) => reduceOfReshape(n, x, ctx)),
  rule('reduce-of-transpose', op('reduce', 'n', op('transpose', 't', any('x'))), null, ({ n, t, x }, { b }) => {
    const { attrs, perm } = throughTranspose(n, t.attrs.perm);
    return 'axes' in attrs ? b.transpose(b.reduce(n.attrs.fn, x, attrs.axes), perm) : null;
  }),
  rule(
    'reduce-of-reduce',
    op('reduce', 'n', op('reduce', 'inner', any('x'))),
    ({ n, inner }, { uses }) => n.attrs.fn === inner.attrs.fn && uses(inner.outputs[0]!) === 1,
    ({ n, inner, x }, { b }) => {
      const left = x.shape.flatMap((_, a) => (inner.attrs.axes.includes(a) ? [] : [a]));
      return b.reduce(n.attrs.fn, x, [...inner.attrs.axes, ...n.attrs.axes.map((a) => left[a]!)]);
    },
  ),
];
