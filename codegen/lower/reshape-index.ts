/** The input index of a reshape. Axes are matched in groups of equal size, so that simple reshapes stay simple. */
import { type Dim, isStatic, mulDim, type Shape, sizeDim } from '../../ir/dim.js';
import { type Expr, i32 } from '../kernel/expr.js';
import { delinearize, dimExpr, linearize, type SymbolMax } from './space.js';

/** Input index of a reshape: axes are matched in groups of equal size, so that simple reshapes stay simple. */
export function reshapeIndex(index: readonly Expr[], from: Shape, to: Shape, symbols: SymbolMax): Expr[] {
  const out: Expr[] = [];
  let i = 0;
  let j = 0;
  while (i < from.length || j < to.length) {
    const i0 = i;
    const j0 = j;
    const grow = (s: Shape, a: number, b: number): Dim | null => {
      try {
        return sizeDim(s.slice(a, b));
      } catch {
        return null;
      }
    };
    if (i < from.length) i++;
    if (j < to.length) j++;
    for (;;) {
      const a = grow(from, i0, i);
      const b = grow(to, j0, j);
      if (a !== null && b !== null && String(a) === String(b)) break;
      const smaller = a !== null && b !== null && compareDims(a, b);
      if (smaller === 'less' && i < from.length) i++;
      else if (smaller === 'more' && j < to.length) j++;
      else if (i === from.length && j === to.length) break;
      else {
        i = from.length;
        j = to.length;
      }
    }
    const e = linearize(index.slice(i0, i), from.slice(i0, i), symbols);
    const group = to.slice(j0, j);
    out.push(...delinearizeOnes(e, group, (d) => dimExpr(d, symbols)));
  }
  return out;
}

/** Unit axes of a group get index 0; the others share the linear index. */
function delinearizeOnes(e: Expr, group: Shape, dim: (d: Dim) => Expr): Expr[] {
  const real = group.flatMap((d, i) => (d === 1 ? [] : [i]));
  const parts = delinearize(
    e,
    real.map((i) => dim(group[i]!)),
  );
  return group.map((d, i) => (d === 1 ? i32(0) : parts[real.indexOf(i)]!));
}

/** Whether a is less than b for all values of the symbols, where that is clear. */
function compareDims(a: Dim, b: Dim): 'less' | 'more' | null {
  if (isStatic(a) && isStatic(b)) return a < b ? 'less' : 'more';
  if (isStatic(a)) return 'less';
  if (isStatic(b)) return 'more';
  const [x, y] = [a.terms[0]![1], b.terms[0]![1]];
  return a.terms.length === b.terms.length && String(mulDim(a, y)) === String(mulDim(b, x)) ? (x < y ? 'less' : 'more') : null;
}
