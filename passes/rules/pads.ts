/**
 * Sums of padded parts. The gradient of a split (an LSTM's gates, queries, keys and values) is a sum of parts, each padded with zeros to the whole. Where the parts lie side by
 * side on one axis the sum is a concat: a kernel then computes each element from one part instead of from all.
 */
import { addDim, type Dim, isStatic } from '../../ir/dim.js';
import type { NodeOf, Value } from '../../ir/graph.js';
import { splatValue } from '../fold-constants.js';
import { any, binary, op, type Rule, type RuleContext, rule } from '../rewrite.js';

/** Elements [start, end) of one axis. */
interface Part {
  readonly value: Value;
  readonly start: number;
  readonly end: number;
}

/** What a pad of zeros along one axis holds, and where. */
function partOf(p: NodeOf<'pad'>): { axis: number; part: Part } | null {
  const { low, high, interior, value } = p.attrs;
  const padded = low.flatMap((l, i) => (l !== 0 || high[i] !== 0 ? [i] : []));
  const [axis] = padded;
  if (value !== 0 || axis === undefined || padded.length > 1 || interior.some((i) => i !== 0) || low[axis]! < 0 || high[axis]! < 0) return null;
  const size = p.inputs[0]!.shape[axis]!;
  return isStatic(size) ? { axis, part: { value: p.inputs[0]!, start: low[axis]!, end: low[axis]! + size } } : null;
}

/** Parts in order, with zeros in between, joined. */
function join(parts: readonly Part[], axis: number, out: Value, b: RuleContext['b']): Value {
  const operands: Value[] = [];
  const zeros = (from: number, to: number): void => {
    const shape = out.shape.map((d: Dim, i) => (i === axis ? to - from : d));
    if (to > from) operands.push(b.full(shape, 0, out.dtype));
  };
  let at = 0;
  for (const p of [...parts].sort((x, y) => x.start - y.start)) {
    zeros(at, p.start);
    operands.push(p.value);
    at = p.end;
  }
  zeros(at, out.shape[axis] as number);
  return b.concat(operands, axis);
}

function sumOfPads(p: NodeOf<'pad'>, q: NodeOf<'pad'>, { b, out }: RuleContext): Value | null {
  const [x, y] = [partOf(p), partOf(q)];
  if (!x || !y || x.axis !== y.axis) return null;
  return x.part.end <= y.part.start || y.part.end <= x.part.start ? join([x.part, y.part], x.axis, out, b) : null;
}

/** A padded part that falls on zeros of a concat takes their place. */
function sumWithConcat(c: NodeOf<'concat'>, p: NodeOf<'pad'>, { b, out }: RuleContext): Value | null {
  const found = partOf(p);
  if (!found || found.axis !== c.attrs.axis) return null;
  const { axis, part } = found;
  const parts: Part[] = [];
  let at: Dim = 0;
  let fits = false;
  for (const v of c.inputs) {
    const end: Dim = addDim(at, v.shape[axis]!);
    if (!isStatic(at) || !isStatic(end)) return null;
    if (splatValue(v) !== 0) parts.push({ value: v, start: at, end });
    else if (at <= part.start && part.end <= end) fits = true;
    at = end;
  }
  return fits ? join([...parts, part], axis, out, b) : null;
}

export const padRules: readonly Rule[] = [
  rule('add-of-pads', binary('add', op('pad', 'p', any('x')), op('pad', 'q', any('y'))), null, ({ p, q }, ctx) => sumOfPads(p, q, ctx)),
  rule('add-of-concat-and-pad', binary('add', op('concat', 'c'), op('pad', 'p', any('x'))), null, ({ c, p }, ctx) => sumWithConcat(c, p, ctx)),
];
