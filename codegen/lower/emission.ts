/** What the emitters of single ops (element-*.ts) need of the element emitter. */
import type { Dim } from '../../ir/dim.js';
import type { Value } from '../../ir/graph.js';
import type { Expr } from '../kernel/expr.js';
import type { Stmt } from '../kernel/ir.js';
import type { SymbolMax } from './space.js';

export interface Emission {
  readonly symbols: SymbolMax;
  /** Statements that run before the expression. */
  readonly block: Stmt[];
  value(v: Value, index: readonly Expr[]): Expr;
  dim(d: Dim): Expr;
  /** Emits `body` with its own statement list. */
  within<T>(block: Stmt[], body: () => T): T;
  /** Reduces over axes of the given sizes; short constant loops are written out as an expression. */
  loops(extents: readonly Dim[], identity: Expr, step: (acc: Expr, index: Expr[]) => Expr): Expr;
}
