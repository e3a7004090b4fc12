/** Packing for the matrix product on WASM (gemm-wasm.ts): operands are copied to scratch memory in the order in which the register tile reads them. */
import { add, and, compare, div, type Expr, i32, mul, rem, type VarExpr, variable } from '../kernel/expr.js';
import { forLoop, ifThen, letVar, type Memory, type Stmt, store } from '../kernel/ir.js';
import { type Axis, delinearize, dimExpr } from '../lower/space.js';
import type { ContractionSpec } from './contraction-spec.js';
import type { GemmEnv } from './gemm-epilogue.js';
import type { GemmBlock, GemmShape } from './gemm-wasm.js';
import { mergeAxes } from './grid.js';

export const loopVar = (hint: string, most: number): VarExpr => variable(hint, 'loop', 'i32', [0, Math.max(0, most - 1)]);

export const dimsOf = (ds: ContractionSpec['m'], env: GemmEnv): Expr[] => ds.map((d) => dimExpr(d, env.ctx.symbols));

/** Elements between two row tiles of a left operand packed k by k; not a power of two, so that tiles do not meet in the same lines of the cache. */
export const tileStride = (g: GemmShape, rows: number): number => rows * g.depth.size + 16;

/** Where the packed left operand holds row r of the block: row by row, or in tiles of a few rows, k by k. */
export const leftIndex = (g: GemmShape, rows: number, r: Expr, k: Expr): Expr =>
  g.kMajor ? add(mul(div(r, i32(rows)), i32(tileStride(g, rows))), add(mul(k, i32(rows)), rem(r, i32(rows)))) : add(mul(r, i32(g.depth.size)), k);

/** Packs the left operand of the block's rows. */
export function packLeftStmts(g: GemmShape, left: Memory, o: GemmBlock): Stmt[] {
  const { env, s, depth } = g;
  const axes = depth.inner.map((a) => ({ v: loopVar('k', Math.max(1, a.extent.hi)), extent: a.extent }));
  const flat = axes.reduce<Expr>((acc, a) => add(mul(acc, a.extent), a.v), i32(0));
  const dims = dimsOf(s.m, env);
  /** Statements that copy the row at `r` of the block, whose indices are `index`. */
  const copy = (index: readonly Expr[], r: Expr): Stmt[] => {
    const body: Stmt[] = [];
    env.em.within(body, () => {
      const e = s.left(g.batch, index, depth.index(axes.map((a) => a.v)));
      body.push(store(left, leftIndex(g, o.rows, r, flat), e));
    });
    return body;
  };
  if (!g.kMajor) {
    const r = loopVar('r', o.mBlock);
    const all = (index: readonly Expr[]): Stmt[] => {
      const merged = mergeAxes(axes, copy(index, r));
      return [...nest(merged.axes, merged.stmts, true)];
    };
    const index = delinearize(add(o.m0, r), dims);
    const ranges = s.interior.flatMap((range, a) => (range && range[1] >= range[0] ? [{ a, range }] : []));
    if (ranges.length === 0 || ranges.length < s.interior.filter(Boolean).length) return [forLoop(r, i32(0), o.mCount, all(index))];
    // Windows that meet no padding need no guards, and are longer runs of memory: the variables' ranges say so.
    const names = index.map((e) => variable('m', 'let', 'i32', [e.lo, e.hi]));
    const inside = new Map(ranges.map(({ a, range }) => [a, variable('in', 'let', 'i32', range)]));
    const test = ranges
      .map(({ a, range }) => and(compare('ge', names[a]!, i32(range[0])), compare('le', names[a]!, i32(range[1]))))
      .reduce((x, y) => and(x, y));
    const fast = [...[...inside].map(([a, v]) => letVar(v, names[a]!)), ...all(names.map((n, a) => inside.get(a) ?? n))];
    return [forLoop(r, i32(0), o.mCount, [...names.map((n, a) => letVar(n, index[a]!)), ...ifThen(test, fast, all(names))])];
  }
  // Rows come in runs along the last row axis: the other indices, and the guards that hang on them, are computed once a run.
  const last = dims.at(-1);
  const inner = last?.kind === 'const' ? last.value : 0;
  const run = inner > 0 && o.mBlock % inner === 0 ? inner : inner > 0 && inner % o.mBlock === 0 ? o.mBlock : 0;
  if (run === 0) {
    const r = loopVar('r', o.mBlock);
    const merged = mergeAxes(axes, copy(delinearize(add(o.m0, r), dims), r));
    return [...nest(merged.axes, [forLoop(r, i32(0), o.mCount, merged.stmts, { parallel: true })], false)];
  }
  const q = loopVar('run', o.mBlock / run);
  const i = loopVar('r', run);
  const first = delinearize(add(o.m0, mul(q, i32(run))), dims);
  const names = first.map((e) => variable('m', 'let', 'i32', [e.lo, e.hi]));
  const merged = mergeAxes(
    axes,
    copy(
      names.map((n, a) => (a === names.length - 1 ? add(n, i) : n)),
      add(mul(q, i32(run)), i),
    ),
  );
  const runs = o.mCount.kind === 'const' ? i32(o.mCount.value / run) : div(add(o.mCount, i32(run - 1)), i32(run));
  return [
    forLoop(q, i32(0), runs, [
      ...names.map((n, a) => letVar(n, first[a]!)),
      ...nest(merged.axes, [forLoop(i, i32(0), i32(run), merged.stmts, { parallel: true })], false),
    ]),
  ];
}

/** Loops over axes, outermost first. */
export const nest = (axes: readonly Axis[], body: readonly Stmt[], parallelInner: boolean): readonly Stmt[] =>
  [...axes].reverse().reduce<readonly Stmt[]>((b, a, i) => [forLoop(a.v, i32(0), a.extent, b, { parallel: parallelInner && i === 0 })], body);

/** right[k][width] for one panel of `span` columns from `column`, at element `base` of the memory. */
export function packRightStmts(g: GemmShape, right: Memory, width: number, span: number, column: Expr, base: Expr): Stmt[] {
  const { env, s, depth } = g;
  const n = loopVar('n', span);
  const axes = depth.inner.map((a) => ({ v: loopVar('k', Math.max(1, a.extent.hi)), extent: a.extent }));
  const flat = axes.reduce<Expr>((acc, a) => add(mul(acc, a.extent), a.v), i32(0));
  const body: Stmt[] = [];
  env.em.within(body, () => {
    const e = s.right(g.batch, delinearize(add(column, n), dimsOf(s.n, env)), depth.index(axes.map((a) => a.v)));
    body.push(store(right, add(base, add(mul(flat, i32(width)), n)), e));
  });
  const merged = mergeAxes(axes, body);
  if (g.rightContiguous) return [...nest(merged.axes, [forLoop(n, i32(0), i32(span), merged.stmts, { parallel: true })], false)];
  return [forLoop(n, i32(0), i32(span), nest(merged.axes, merged.stmts, true))];
}

/** Statements that pack the whole right operand as `[panel][k][width]`; the contraction must not be cut. */
export function packWholeRight(g: GemmShape, memory: Memory, width: number): Stmt[] {
  const p = loopVar('p', Math.ceil(g.nMax / width));
  const whole = Math.floor(g.nMax / width);
  const out: Stmt[] = [];
  if (whole > 0) out.push(forLoop(p, i32(0), i32(whole), packRightStmts(g, memory, width, width, mul(p, i32(width)), mul(p, i32(width * g.depth.size)))));
  if (g.nMax % width > 0) out.push(...packRightStmts(g, memory, width, g.nMax % width, i32(whole * width), i32(whole * width * g.depth.size)));
  return out;
}
