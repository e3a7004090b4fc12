import type { Expr } from './expr.js';
export function expand(e: Expr, target: 'wgsl' | 'wasm'): Expr | null {
  void e; void target;
  return null;
}
