/** The matrix product on WASM for a single row (gemm-wasm.ts): a dense layer on one sample. */
import { add, constant, div, type Expr, i32, load, mad, mul, splat, type VarExpr, variable } from '../kernel/expr.js';
import { forLoop, letVar, type Memory, type Stmt, store } from '../kernel/ir.js';
import { delinearize } from '../lower/space.js';
import { dimsOf, loopVar, nest } from './gemm-pack.js';
import type { GemmBlock, GemmShape } from './gemm-wasm.js';

/**
 * One row times a matrix whose rows are contiguous: reading the matrix in order is what counts. Four elements of the row at a time are spread over vectors, then all columns take
 * their multiples of four rows of the matrix, two vectors a turn; the sums wait in scratch memory.
 */
export function rowTimesMatrix(g: GemmShape, o: GemmBlock, sums: Memory): Stmt[] {
  const { env, s, depth, batch } = g;
  const indexOf = (k: Expr): readonly Expr[] =>
    depth.index(
      delinearize(
        k,
        depth.inner.map((a) => a.extent),
      ),
    );
  const lefts = (ks: readonly Expr[], lanes: 1 | 4, into: Stmt[]): Expr[] =>
    ks.map((k) => {
      const a = variable('a', 'let', 'f32', undefined, lanes);
      const e = env.em.within(into, () => s.left(batch, delinearize(o.m0, dimsOf(s.m, env)), indexOf(k)));
      into.push(letVar(a, lanes === 1 ? e : splat(e, lanes)));
      return a;
    });
  /** Adds the products of the given rows of the matrix to the sums of `lanes` columns. */
  const step = (as: readonly Expr[], ks: readonly Expr[], column: Expr, lanes: 1 | 4): Stmt[] => {
    const body: Stmt[] = [];
    const sum = ks.reduce<Expr>(
      (acc, k, i) => {
        const e = env.em.within(body, () => s.right(batch, delinearize(add(o.n0, column), dimsOf(s.n, env)), indexOf(k)));
        const w = e.kind === 'load' && lanes > 1 ? load(e.memory, e.args[0]!, lanes) : e;
        return mad(as[i]!, w, acc);
      },
      load(sums, column, lanes),
    );
    return [...body, store(sums, column, sum)];
  };
  const fours = loopVar('k', Math.ceil(depth.size / 4));
  const ks = [0, 1, 2, 3].map((j) => add(mul(fours, i32(4)), i32(j)));
  const body: Stmt[] = [];
  const wide = lefts(ks, 4, body);
  const pairs = loopVar('c', Math.ceil(o.nBlock / 8));
  const whole = div(o.nCount, i32(8));
  body.push(forLoop(pairs, i32(0), whole, [...step(wide, ks, mul(pairs, i32(8)), 4), ...step(wide, ks, add(mul(pairs, i32(8)), i32(4)), 4)]));
  const column = (): VarExpr => loopVar('c', o.nBlock);
  if (g.nMax % 8 !== 0) {
    const c = column();
    const narrow = lefts(ks, 1, body);
    body.push(forLoop(c, mul(whole, i32(8)), o.nCount, step(narrow, ks, c, 1)));
  }
  const inside: Stmt[] = [forLoop(fours, i32(0), div(depth.count, i32(4)), body)];
  if (depth.count.kind !== 'const' || depth.count.value % 4 !== 0) {
    const k = loopVar('k', depth.size);
    const rest: Stmt[] = [];
    const a = lefts([k], 1, rest);
    const c = column();
    rest.push(forLoop(c, i32(0), o.nCount, step(a, [k], c, 1), { parallel: true }));
    inside.push(forLoop(k, mul(div(depth.count, i32(4)), i32(4)), depth.count, rest));
  }
  const z = column();
  return [forLoop(z, i32(0), o.nCount, [store(sums, z, constant(0, 'f32'))], { parallel: true }), ...nest(depth.outer, inside, false)];
}
