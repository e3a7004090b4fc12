/** One element of ops that walk a whole axis: arg-reduce, cumulative sums and scatter, each with a loop of its own in front of the expression. */
import type { NodeOf } from '../../ir/graph.js';
import { add, cast, compare, type Expr, i32, select, variable } from '../kernel/expr.js';
import { assign, forLoop, mutable, type Stmt } from '../kernel/ir.js';
import type { Emission } from './emission.js';
import { argStep, combine, identityOf } from './reduction.js';
import { scalarOf } from './scalar.js';

/** Index of an operand from the kept index and the reduced one. */
export function mergeIndex(kept: readonly Expr[], reduced: readonly Expr[], axes: readonly number[], rank: number): Expr[] {
  let k = 0;
  return Array.from({ length: rank }, (_, i) => {
    const r = axes.indexOf(i);
    return r >= 0 ? reduced[r]! : kept[k++]!;
  });
}

export function argReduceAt(em: Emission, n: NodeOf<'arg_reduce'>, index: readonly Expr[]): Expr {
  const x = n.inputs[0]!;
  const { axis, fn } = n.attrs;
  const zero = mergeIndex(index, [i32(0)], [axis], x.shape.length);
  const first = em.value(x, zero);
  const best = variable('best', 'mutable', first.scalar);
  const where = variable('at', 'mutable', 'i32');
  em.block.push(mutable(best, first), mutable(where, i32(0)));
  const extent = em.dim(x.shape[axis]!);
  const k = variable('r', 'loop', 'i32', [0, Math.max(0, extent.hi - 1)]);
  const inner: Stmt[] = [];
  em.within(inner, () => {
    const e = em.value(x, mergeIndex(index, [k], [axis], x.shape.length));
    inner.push(...argStep(fn, best, where, e, k));
  });
  em.block.push(forLoop(k, i32(1), extent, inner));
  return where;
}

export function cumulativeAt(em: Emission, n: NodeOf<'cumulative'>, index: readonly Expr[]): Expr {
  const x = n.inputs[0]!;
  const { fn, axis, exclusive, reverse } = n.attrs;
  const acc = variable('acc', 'mutable', scalarOf(x.dtype));
  em.block.push(mutable(acc, identityOf(fn, x.dtype)));
  const size = em.dim(x.shape[axis]!);
  const k = variable('r', 'loop', 'i32', [0, Math.max(0, size.hi - 1)]);
  const inner: Stmt[] = [];
  em.within(inner, () => {
    inner.push(
      assign(
        acc,
        combine(
          fn,
          acc,
          em.value(
            x,
            index.map((e, i) => (i === axis ? k : e)),
          ),
        ),
      ),
    );
  });
  const here = index[axis]!;
  const [begin, end] = reverse ? [exclusive ? add(here, i32(1)) : here, size] : [i32(0), exclusive ? here : add(here, i32(1))];
  em.block.push(forLoop(k, begin, end, inner));
  return acc;
}

export function scatterAt(em: Emission, n: NodeOf<'scatter'>, index: readonly Expr[]): Expr {
  const [x, indices, updates] = [n.inputs[0]!, n.inputs[1]!, n.inputs[2]!];
  const { axis, fn } = n.attrs;
  const acc = variable('acc', 'mutable', scalarOf(x.dtype));
  em.block.push(mutable(acc, em.value(x, index)));
  const vars = indices.shape.map((d) => {
    const extent = em.dim(d);
    return { v: variable('u', 'loop', 'i32', [0, Math.max(0, extent.hi - 1)]), extent };
  });
  const inner: Stmt[] = [];
  em.within(inner, () => {
    const at = vars.map((x2) => x2.v);
    const hit = compare('eq', cast(em.value(indices, at), 'i32'), index[axis]!);
    const update = em.value(updates, [...index.slice(0, axis), ...at, ...index.slice(axis + 1)]);
    const next = fn === 'set' ? update : combine(fn === 'add' ? 'sum' : fn === 'mul' ? 'prod' : fn, acc, update);
    inner.push(assign(acc, select(hit, next, acc)));
  });
  em.block.push(...[...vars].reverse().reduce<Stmt[]>((body, v) => [forLoop(v.v, i32(0), v.extent, body)], inner));
  return acc;
}
