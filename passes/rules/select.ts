/** Rules for ops that select elements: slice, pad, concat, reverse, gather. */

import { addDim, type Dim, equalDim, isStatic, mulDim, subDim } from '../../ir/dim.js';
import { numberAt } from '../../ir/dtype.js';
import type { NodeOf, Value } from '../../ir/graph.js';
import { constantOf, splatValue } from '../fold-constants.js';
import { isOne } from '../permute.js';
import { any, op, type Rule, type RuleContext, rule } from '../rewrite.js';

const isZero = (d: Dim): boolean => isStatic(d) && d === 0;
const wholeAxis = (n: NodeOf<'slice'>, i: number): boolean =>
  isZero(n.attrs.start[i]!) && n.attrs.stride[i] === 1 && equalDim(n.attrs.limit[i]!, n.inputs[0]!.shape[i]!);
/** a <= b, where that is known for every value of the symbols. */
function atMost(a: Dim, b: Dim): boolean {
  const d = subDim(b, a);
  return isStatic(d) ? d >= 0 : d.offset >= 0 && d.terms.every(([, c]) => c >= 0);
}

function sliceOfSlice(n: NodeOf<'slice'>, inner: NodeOf<'slice'>, x: Value, { b, out }: RuleContext): Value | null {
  if (out.shape.some(isZero)) return null;
  const start = n.attrs.start.map((s, i) => addDim(inner.attrs.start[i]!, mulDim(s, inner.attrs.stride[i]!)));
  const limit = n.attrs.limit.map((l, i) => addDim(inner.attrs.start[i]!, addDim(mulDim(addDim(l, -1), inner.attrs.stride[i]!), 1)));
  return b.slice(
    x,
    start,
    limit,
    n.attrs.stride.map((s, i) => s * inner.attrs.stride[i]!),
  );
}

/** A slice that lies in one operand of the concat reads that operand. */
function sliceOfConcat(n: NodeOf<'slice'>, inner: NodeOf<'concat'>, { b }: RuleContext): Value | null {
  const { axis } = inner.attrs;
  const [start, limit] = [n.attrs.start[axis]!, n.attrs.limit[axis]!];
  let offset: Dim = 0;
  for (const v of inner.inputs) {
    const end: Dim = addDim(offset, v.shape[axis]!);
    if (atMost(offset, start) && atMost(limit, end)) {
      const shift = (xs: readonly Dim[]): Dim[] => xs.map((d, i) => (i === axis ? subDim(d, offset) : d));
      return b.slice(v, shift(n.attrs.start), shift(n.attrs.limit), n.attrs.stride);
    }
    offset = end;
  }
  return null;
}

function sliceOfBroadcast(n: NodeOf<'slice'>, inner: NodeOf<'broadcast'>, x: Value, { b, out }: RuleContext): Value | null {
  const { axes } = inner.attrs;
  if (x.shape.some(isOne)) return null;
  const at = <T>(xs: readonly T[]): T[] => axes.map((a) => xs[a]!);
  return b.broadcast(b.slice(x, at(n.attrs.start), at(n.attrs.limit), at(n.attrs.stride)), out.shape, axes);
}

/** A slice inside what was padded reads the operand. */
function sliceOfPad(n: NodeOf<'slice'>, inner: NodeOf<'pad'>, x: Value, { b }: RuleContext): Value | null {
  const { low, interior } = inner.attrs;
  const inside = x.shape.every((d, i) => interior[i] === 0 && atMost(low[i]!, n.attrs.start[i]!) && atMost(n.attrs.limit[i]!, addDim(d, low[i]!)));
  if (!inside) return null;
  const shift = (xs: readonly Dim[]): Dim[] => xs.map((d, i) => subDim(d, low[i]!));
  return b.slice(x, shift(n.attrs.start), shift(n.attrs.limit), n.attrs.stride);
}

/** Operands that are neighbouring slices of one value become one slice; nested concats of the same axis become one. */
function joinOperands(n: NodeOf<'concat'>, { b }: RuleContext): Value | null {
  const { axis } = n.attrs;
  const flat = n.inputs
    .flatMap((v) => (v.producer?.op === 'concat' && v.producer.attrs.axis === axis ? v.producer.inputs : [v]))
    .filter((v) => !isZero(v.shape[axis]!));
  if (flat.length === 0) return n.inputs[0]!;
  const joined: Value[] = [];
  for (const v of flat) {
    const merged = joined.length > 0 ? mergeSlices(joined.at(-1)!, v, axis, b) : null;
    if (merged) joined[joined.length - 1] = merged;
    else joined.push(v);
  }
  return joined.length < n.inputs.length || flat.length !== n.inputs.length ? b.concat(joined, axis) : null;
}

function mergeSlices(v: Value, w: Value, axis: number, b: RuleContext['b']): Value | null {
  const [p, q] = [v.producer, w.producer];
  if (p?.op !== 'slice' || q?.op !== 'slice' || p.inputs[0] !== q.inputs[0]) return null;
  const sameElsewhere = p.attrs.start.every(
    (s, i) => i === axis || (equalDim(s, q.attrs.start[i]!) && equalDim(p.attrs.limit[i]!, q.attrs.limit[i]!) && p.attrs.stride[i] === q.attrs.stride[i]),
  );
  if (!sameElsewhere || p.attrs.stride[axis] !== 1 || q.attrs.stride[axis] !== 1 || !equalDim(p.attrs.limit[axis]!, q.attrs.start[axis]!)) return null;
  return b.slice(
    p.inputs[0]!,
    p.attrs.start,
    p.attrs.limit.map((l, i) => (i === axis ? q.attrs.limit[axis]! : l)),
    p.attrs.stride,
  );
}

/** gather(x, i) with a constant scalar index is a slice. */
function gatherConstant(n: NodeOf<'gather'>, x: Value, indices: Value, { b, out }: RuleContext): Value | null {
  const index = constantOf(indices);
  const size = x.shape[n.attrs.axis]!;
  if (!index || index.shape.length > 0 || !isStatic(size) || size === 0) return null;
  const at = Math.min(Math.max(numberAt(index.data, 0), 0), size - 1);
  return b.reshape(b.sliceAxis(x, n.attrs.axis, at, at + 1), out.shape);
}

export const selectRules: readonly Rule[] = [
  // slice
  rule(
    'slice-identity',
    op('slice', 'n', any('x')),
    ({ n, x }) => x.shape.every((_, i) => wholeAxis(n, i)),
    ({ x }) => x,
  ),
  rule('slice-of-slice', op('slice', 'n', op('slice', 'inner', any('x'))), null, ({ n, inner, x }, ctx) => sliceOfSlice(n, inner, x, ctx)),
  rule('slice-of-concat', op('slice', 'n', op('concat', 'inner')), null, ({ n, inner }, ctx) => sliceOfConcat(n, inner, ctx)),
  rule('slice-of-broadcast', op('slice', 'n', op('broadcast', 'inner', any('x'))), null, ({ n, inner, x }, ctx) => sliceOfBroadcast(n, inner, x, ctx)),
  rule('slice-of-pad', op('slice', 'n', op('pad', 'inner', any('x'))), null, ({ n, inner, x }, ctx) => sliceOfPad(n, inner, x, ctx)),
  rule(
    'slice-of-iota',
    op('slice', 'n', op('iota', 'i')),
    ({ n, i }) => isZero(n.attrs.start[i.attrs.axis]!) && n.attrs.stride[i.attrs.axis] === 1,
    ({ i }, { b, out }) => b.iota(out.shape, i.attrs.axis, i.attrs.dtype),
  ),

  // pad
  rule(
    'pad-nothing',
    op('pad', 'n', any('x')),
    ({ n, x }) => x.shape.every((d, i) => n.attrs.low[i] === 0 && n.attrs.high[i] === 0 && (n.attrs.interior[i] === 0 || isOne(d))),
    ({ x }) => x,
  ),
  rule(
    'pad-of-pad',
    op('pad', 'n', op('pad', 'inner', any('x'))),
    ({ n, inner, x }) =>
      Object.is(n.attrs.value, inner.attrs.value) &&
      x.shape.every((_, i) => n.attrs.interior[i] === 0 && [n, inner].every((p) => p.attrs.low[i]! >= 0 && p.attrs.high[i]! >= 0)),
    ({ n, inner, x }, { b }) =>
      b.pad(
        x,
        n.attrs.low.map((l, i) => l + inner.attrs.low[i]!),
        n.attrs.high.map((h, i) => h + inner.attrs.high[i]!),
        n.attrs.value,
        inner.attrs.interior,
      ),
  ),
  rule(
    'pad-of-same-number',
    op('pad', 'n', any('x')),
    ({ n, x }) => Object.is(splatValue(x), n.attrs.value),
    ({ n, x }, { b, out }) => b.full(out.shape, n.attrs.value, x.dtype),
  ),

  // concat
  rule(
    'concat-of-one',
    op('concat', 'n'),
    ({ n }) => n.inputs.length === 1,
    ({ n }) => n.inputs[0]!,
  ),
  rule('concat-join', op('concat', 'n'), null, ({ n }, ctx) => joinOperands(n, ctx)),
  rule(
    'concat-of-same-number',
    op('concat', 'n'),
    ({ n }) => splatValue(n.inputs[0]!) !== null && n.inputs.every((v) => Object.is(splatValue(v), splatValue(n.inputs[0]!))),
    ({ n }, { b, out }) => b.full(out.shape, splatValue(n.inputs[0]!)!, out.dtype),
  ),

  // reverse
  rule('reverse-of-reverse', op('reverse', 'n', op('reverse', 'inner', any('x'))), null, ({ n, inner, x }, { b }) => {
    const axes = [...n.attrs.axes.filter((a) => !inner.attrs.axes.includes(a)), ...inner.attrs.axes.filter((a) => !n.attrs.axes.includes(a))].sort(
      (p, q) => p - q,
    );
    return axes.length === 0 ? x : b.reverse(x, axes);
  }),
  rule(
    'reverse-of-ones',
    op('reverse', 'n', any('x')),
    ({ n, x }) => n.attrs.axes.some((a) => isOne(x.shape[a]!)),
    ({ n, x }, { b }) => {
      const axes = n.attrs.axes.filter((a) => !isOne(x.shape[a]!));
      return axes.length === 0 ? x : b.reverse(x, axes);
    },
  ),
  rule(
    'reverse-nothing',
    op('reverse', 'n', any('x')),
    ({ n }) => n.attrs.axes.length === 0,
    ({ x }) => x,
  ),
  rule(
    'reverse-of-broadcast',
    op('reverse', 'n', op('broadcast', 'inner', any('x'))),
    ({ x }) => !x.shape.some(isOne),
    ({ n, inner, x }, { b }) => {
      const axes = inner.attrs.axes.flatMap((a, i) => (n.attrs.axes.includes(a) ? [i] : []));
      return b.broadcast(axes.length === 0 ? x : b.reverse(x, axes), inner.attrs.shape, inner.attrs.axes);
    },
  ),

  // gather
  rule('gather-constant', op('gather', 'n', any('x'), any('i')), null, ({ n, x, i }, ctx) => gatherConstant(n, x, i, ctx)),
  rule(
    'gather-all',
    op('gather', 'n', any('x'), op('iota', 'i')),
    ({ n, x, i }) => i.attrs.shape.length === 1 && equalDim(i.attrs.shape[0]!, x.shape[n.attrs.axis]!),
    ({ x }) => x,
  ),
  rule(
    'gather-of-gather',
    op('gather', 'n', op('gather', 'inner', any('x'), any('i')), any('j')),
    ({ n, inner, i }) => n.attrs.axis === inner.attrs.axis && i.shape.length === 1,
    ({ n, x, i, j }, { b }) => b.gather(x, b.gather(i, j), n.attrs.axis),
  ),
  rule(
    'gather-of-broadcast-axis',
    op('gather', 'n', op('broadcast', 'inner', any('x')), any('j')),
    ({ n, inner, x }) => !inner.attrs.axes.includes(n.attrs.axis) && !x.shape.some(isOne),
    ({ n, inner, x, j }, { b, out }) =>
      b.broadcast(
        x,
        out.shape,
        inner.attrs.axes.map((a) => (a < n.attrs.axis ? a : a + j.shape.length - 1)),
      ),
  ),
];
