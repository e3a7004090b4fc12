/** What every form of the matrix product on WASM shares: its surroundings, and the epilogue over a piece of a row. */
import type { Value } from '../../ir/graph.js';
import { add, type Expr, i32, isFloatScalar, type VarExpr, variable } from '../kernel/expr.js';
import { forLoop, type Memory, type Stmt, storeAll } from '../kernel/ir.js';
import { costly, vectorize } from '../kernel/vectorize.js';
import { visitExprs } from '../kernel/walk.js';
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

/** The epilogue at one row and column; `value` is the product's element there. */
function epilogueAt(env: GemmEnv, s: ContractionSpec, batch: readonly Expr[], row: Expr, column: Expr, value: Expr): Stmt[] {
  const max = env.ctx.symbols;
  const body: Stmt[] = [];
  const index = s.out(batch, delinearize(row, dimsOf(s.m, env)), delinearize(column, dimsOf(s.n, env)));
  env.em.bind(s.output, () => value);
  env.em.within(body, () => {
    body.push(
      ...storeAll(
        env.outputs.map((v) => ({ memory: env.memoryOf(v), index: add(env.baseOf(v), linearize(index, v.shape, max)), value: env.em.value(v, index) })),
      ),
    );
  });
  env.em.unbind(s.output);
  return body;
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
  const lane = loopVar('n', most);
  return forLoop(lane, i32(0), count, epilogueAt(env, s, batch, row, add(column, lane), value(lane)), { parallel: true });
}

/**
 * The epilogue for one row of a register tile, whose sums (`accs`, from `column` on) are in registers. Null where it is not the same with neighbours or, unless `heavy`, where it does much with each
 * element: its code is repeated for every vector. All vectors are read before the first is stored, so that long chains of operations (GELU) run side by side.
 */
export function epilogueOfRegisters(
  env: GemmEnv,
  s: ContractionSpec,
  batch: readonly Expr[],
  row: Expr,
  column: Expr,
  accs: readonly VarExpr[],
  heavy = false,
): Stmt[] | null {
  const out: Stmt[] = [];
  let offset = 0;
  for (const acc of accs) {
    const start = add(column, i32(offset));
    offset += acc.lanes;
    if (acc.lanes === 1) {
      const body = epilogueAt(env, s, batch, row, start, acc);
      if (!heavy && !isLight(body)) return null;
      out.push(...body);
      continue;
    }
    const lane = loopVar('n', 4);
    const one = variable('sum', 'let', 'f32');
    const body = epilogueAt(env, s, batch, row, add(start, lane), one);
    const wide = heavy || isLight(body) ? vectorize(body, lane, 4, i32(0), true, new Map([[one, acc]])) : null;
    if (!wide) return null;
    out.push(...wide.body);
  }
  return out;
}

/** Whether statements compute little: a bias, an activation of one instruction, a residual. */
function isLight(stmts: readonly Stmt[]): boolean {
  let work = 0;
  visitExprs(stmts, (e) => {
    if (isFloatScalar(e.scalar) && e.kind !== 'const' && e.kind !== 'var') work += (e.kind === 'unary' || e.kind === 'binary') && costly.has(e.fn) ? 100 : 1;
  });
  return work <= 12;
}
