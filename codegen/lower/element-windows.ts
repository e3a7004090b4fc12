/** One element of reduce-window and of its transpose, computed on its own: reads its window, or the windows that hold it. */
import type { Dim } from '../../ir/dim.js';
import type { NodeOf } from '../../ir/graph.js';
import { add, and, compare, constant, div, type Expr, i32, max, min, mul, or, rem, select, sub, truth, unary } from '../kernel/expr.js';
import type { Emission } from './emission.js';
import { combine, identityOf } from './reduction.js';
import { scalarOf } from './scalar.js';

/** Coordinate in an operand with dilation: clamped into range, and whether it was a real element. */
export function guarded(em: Pick<Emission, 'dim'>, position: Expr, size: Dim, dilation: number): { index: Expr; inside: Expr } {
  const last = mul(sub(em.dim(size), i32(1)), i32(dilation));
  let inside = and(compare('ge', position, i32(0)), compare('le', position, last));
  const clamped = min(max(position, i32(0)), last);
  if (dilation === 1) return { index: clamped, inside };
  inside = and(inside, compare('eq', rem(clamped, i32(dilation)), i32(0)));
  return { index: div(clamped, i32(dilation)), inside };
}

export function windowAt(em: Emission, n: NodeOf<'reduce_window'>, index: readonly Expr[]): Expr {
  const x = n.inputs[0]!;
  const { fn, window, strides, padding, baseDilation, windowDilation } = n.attrs;
  return em.loops(window, identityOf(fn, x.dtype), (acc, w) => {
    let inside: Expr = truth(true);
    const ix = index.map((o, i) => {
      const position = sub(add(mul(o, i32(strides[i]!)), mul(w[i]!, i32(windowDilation[i]!))), i32(padding[i]![0]));
      const r = guarded(em, position, x.shape[i]!, baseDilation[i]!);
      inside = and(inside, r.inside);
      return r.index;
    });
    return combine(fn, acc, select(inside, em.value(x, ix), identityOf(fn, x.dtype)));
  });
}

export function selectAndScatterAt(em: Emission, n: NodeOf<'select_and_scatter'>, index: readonly Expr[]): Expr {
  const [x, dy] = [n.inputs[0]!, n.inputs[1]!];
  const { fn, window, strides, padding } = n.attrs;
  // windows that contain this element: o*stride <= i + pad < o*stride + window
  const counts = window.map((w, i) => Math.ceil(w / strides[i]!));
  return em.loops(counts, constant(0, scalarOf(dy.dtype)), (acc, c) => {
    let inside: Expr = truth(true);
    const o = index.map((e, i) => {
      const p = add(e, i32(padding[i]![0]));
      const at = sub(div(p, i32(strides[i]!)), c[i]!);
      const offset = sub(p, mul(at, i32(strides[i]!)));
      inside = and(inside, and(and(compare('ge', at, i32(0)), compare('lt', at, em.dim(dy.shape[i]!))), compare('lt', offset, i32(window[i]!))));
      return min(max(at, i32(0)), sub(em.dim(dy.shape[i]!), i32(1)));
    });
    const mine = em.value(x, index);
    // this element is the window's first extreme: none before it is as good, none after it is better
    let first: Expr = truth(true);
    const total = window.reduce((a, b) => a * b, 1);
    for (let k = 0; k < total; k++) {
      let rest = k;
      const w = new Array<number>(window.length);
      for (let i = window.length - 1; i >= 0; i--) {
        w[i] = rest % window[i]!;
        rest = Math.trunc(rest / window[i]!);
      }
      let real: Expr = truth(true);
      const at = o.map((oo, i) => {
        const r = guarded(em, sub(add(mul(oo, i32(strides[i]!)), i32(w[i]!)), i32(padding[i]![0])), x.shape[i]!, 1);
        real = and(real, r.inside);
        return r.index;
      });
      const other = em.value(x, at);
      const better = compare(fn === 'max' ? 'gt' : 'lt', other, mine);
      const equal = compare('eq', other, mine);
      // before: position in the window smaller than mine
      const position = at.reduce<Expr>((a, e, i) => add(mul(a, em.dim(x.shape[i]!)), e), i32(0));
      const own = index.reduce<Expr>((a, e, i) => add(mul(a, em.dim(x.shape[i]!)), e), i32(0));
      const beats = or(better, and(equal, compare('lt', position, own)));
      first = and(first, unary('not', and(real, beats)));
    }
    return add(acc, select(and(inside, first), em.value(dy, o), constant(0, scalarOf(dy.dtype))));
  });
}
