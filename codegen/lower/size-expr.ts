/** Sizes of the plan as expressions inside kernels. */
import type { SizeExpr } from '../../runtime/plan.js';
import { add, div, type Expr, i32, max, min, mul, rem, sub, symbolVar } from '../kernel/expr.js';
import type { SymbolMax } from './space.js';

export function sizeExprToExpr(e: SizeExpr, symbols: SymbolMax): Expr {
  if (typeof e === 'number') return i32(e);
  if ('symbol' in e) return symbolVar(e.symbol, symbols[e.symbol] ?? 2147483647);
  const [a, b] = e.args.map((x) => sizeExprToExpr(x, symbols)) as [Expr, Expr];
  switch (e.op) {
    case 'add':
      return add(a, b);
    case 'sub':
      return sub(a, b);
    case 'mul':
      return mul(a, b);
    case 'ceildiv':
      return div(add(a, sub(b, i32(1))), b);
    case 'floordiv':
      return div(a, b);
    case 'mod':
      return rem(a, b);
    case 'max':
      return max(a, b);
    case 'min':
      return min(a, b);
  }
}
