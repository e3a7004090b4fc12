/** One element of pad, concat and gather: which element of which operand it is. */
import type { NodeOf } from '../../ir/graph.js';
import { add, and, cast, compare, constant, div, type Expr, i32, max, min, mul, rem, select, sub, truth } from '../kernel/expr.js';
import type { Emission } from './emission.js';
import { scalarOf } from './scalar.js';

export function padAt(em: Emission, n: NodeOf<'pad'>, index: readonly Expr[]): Expr {
  const x = n.inputs[0]!;
  const { low, high, interior, value } = n.attrs;
  let inside: Expr = truth(true);
  const ix = index.map((e, i) => {
    if (low[i] === 0 && high[i] === 0 && interior[i] === 0) return e;
    const step = interior[i]! + 1;
    const size = em.dim(x.shape[i]!);
    const shifted = sub(e, i32(low[i]!));
    const last = mul(sub(size, i32(1)), i32(step));
    inside = and(inside, and(compare('ge', shifted, i32(0)), compare('le', shifted, last)));
    const clamped = min(max(shifted, i32(0)), max(last, i32(0)));
    if (step === 1) return clamped;
    inside = and(inside, compare('eq', rem(clamped, i32(step)), i32(0)));
    return div(clamped, i32(step));
  });
  const fill = constant(value, scalarOf(x.dtype));
  if (inside.kind === 'const') return inside.value ? em.value(x, ix) : fill;
  if (x.shape.some((d) => d === 0)) return fill;
  return select(inside, em.value(x, ix), fill);
}

export function concatAt(em: Emission, n: NodeOf<'concat'>, index: readonly Expr[]): Expr {
  const { axis } = n.attrs;
  const position = index[axis]!;
  let start: Expr = i32(0);
  const parts: { limit: Expr; value: Expr }[] = [];
  for (const v of n.inputs) {
    const size = em.dim(v.shape[axis]!);
    const limit = add(start, size);
    const here = and(compare('ge', position, start), compare('lt', position, limit));
    const local = min(max(sub(position, start), i32(0)), max(sub(size, i32(1)), i32(0)));
    start = limit;
    if (here.kind === 'const' && !here.value) continue;
    parts.push({
      limit,
      value: em.value(
        v,
        index.map((e, i) => (i === axis ? local : e)),
      ),
    });
  }
  return parts.slice(0, -1).reduceRight((rest, p) => select(compare('lt', position, p.limit), p.value, rest), parts.at(-1)!.value);
}

export function gatherAt(em: Emission, n: NodeOf<'gather'>, index: readonly Expr[]): Expr {
  const [x, indices] = [n.inputs[0]!, n.inputs[1]!];
  const { axis } = n.attrs;
  const rank = indices.shape.length;
  const raw = cast(em.value(indices, index.slice(axis, axis + rank)), 'i32');
  const at = min(max(raw, i32(0)), sub(em.dim(x.shape[axis]!), i32(1)));
  return em.value(x, [...index.slice(0, axis), at, ...index.slice(axis + rank)]);
}
