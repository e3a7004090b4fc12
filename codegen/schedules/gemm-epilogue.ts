/** What every form of the matrix product on WASM shares: its surroundings, and the epilogue over a piece of a row. */
import type { Value } from '../../ir/graph.js';
import { add, type Expr, i32 } from '../kernel/expr.js';
import { forLoop, type Memory, type Stmt, storeAll } from '../kernel/ir.js';
import type { Frame } from '../lower/frame.js';
import { delinearize, linearize } from '../lower/space.js';
import type { ContractionSpec } from './contraction-spec.js';
import { dimsOf, loopVar } from './gemm-pack.js';

/** What the product needs of its surroundings: a frame, or a region inside a block kernel. */
export interface GemmEnv {
  readonly em: Frame['em'];
  readonly ctx: Frame['ctx'];
  readonly outputs: readonly Value[];
  readonly memoryOf: (v: Value) => Memory;
  readonly baseOf: (v: Value) => Expr;
  readonly local: (name: string, scalar: 'f32', size: number) => Memory;
}

/** The epilogue for one row and `count` (at most `most`) columns from `column` on: `value` gives the product's element at a column of these. */
export function epilogueStmt(
  env: GemmEnv,
  s: ContractionSpec,
  batch: readonly Expr[],
  row: Expr,
  column: Expr,
  count: Expr,
  most: number,
  value: (lane: Expr) => Expr,
): Stmt {
  const max = env.ctx.symbols;
  const lane = loopVar('n', most);
  const body: Stmt[] = [];
  const index = s.out(batch, delinearize(row, dimsOf(s.m, env)), delinearize(add(column, lane), dimsOf(s.n, env)));
  env.em.bind(s.output, () => value(lane));
  env.em.within(body, () => {
    body.push(
      ...storeAll(
        env.outputs.map((v) => ({ memory: env.memoryOf(v), index: add(env.baseOf(v), linearize(index, v.shape, max)), value: env.em.value(v, index) })),
      ),
    );
  });
  env.em.unbind(s.output);
  return forLoop(lane, i32(0), count, body, { parallel: true });
}
