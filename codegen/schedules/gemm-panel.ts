/**
 * The matrix product on WASM for few rows and a matrix packed in panels (passes/pack-weights.ts): a dense layer on one sample. Reading the matrix is the limit, so it is read as one stream: panel by
 * panel, a few cache lines a step (longer steps have more load instructions than the prefetcher follows), each row's sums of the panel's columns in registers.
 */
import { panelColumns as columns, mostPackedRows } from '../../passes/pack-weights.js';
import { add, coefficient, compare, constant, type Expr, i32, load, mad, min, mul, splat, sub, variable } from '../kernel/expr.js';
import { assign, forLoop, ifThen, letVar, type Memory, mutable, type Stmt, store } from '../kernel/ir.js';
import type { Frame, LoweredKernel } from '../lower/frame.js';
import { delinearize, maxSize } from '../lower/space.js';
import { matmulPanels } from '../schedule-families.js';
import type { ContractionSpec } from './contraction-spec.js';
import { epilogueStmt, type GemmEnv } from './gemm-epilogue.js';
import { dimsOf, loopVar } from './gemm-pack.js';

const vectors = columns / 4;
/** Rows that share a step: two times four vectors of sums, and four of weights, fit the registers. */
const rowsTogether = 2;
/** Elements of products that are worth other threads. */
const worthThreads = 150000;

/** Whether the right operand lies in memory as `[panel][k][column]`, in panels of so many columns. */
export function liesInPanels(env: GemmEnv, s: ContractionSpec, columns: number): boolean {
  const max = env.ctx.symbols;
  const [n, depth] = [maxSize(s.n, max), maxSize(s.k, max)];
  if (s.batch.length > 0 || n < 2 * columns || s.k.length !== 1 || s.n.length !== 1 || typeof s.k[0] !== 'number') return false;
  const [p, j, k] = [loopVar('p', Math.ceil(n / columns)), loopVar('j', columns), loopVar('k', depth)];
  const e = env.em.within([], () => s.right([], [add(mul(p, i32(columns)), j)], [k]));
  if (e.kind !== 'load' || e.memory.space !== 'global') return false;
  const steps = [p, k, j].map((v) => coefficient(e.args[0]!, v));
  return steps.every((c, i) => c === [columns * depth, columns, 1][i]);
}

/** Whether the right operand lies in panels, and rows are few. */
export const readsPanels = (env: GemmEnv, s: ContractionSpec): boolean => maxSize(s.m, env.ctx.symbols) <= mostPackedRows && liesInPanels(env, s, columns);

/** The left operand's element: where it lies, or a copy in scratch memory where it is computed. */
export function leftOperand(
  env: GemmEnv,
  s: ContractionSpec,
  rows: number,
  depth: number,
  rowAt: (r: number) => Expr[],
  block: Stmt[],
): (r: number, k: Expr) => Expr {
  const k = loopVar('k', depth);
  const element = (r: number, at: Expr): Expr => s.left([], rowAt(r), [at]);
  const probe = env.em.within([], () => element(0, k));
  if (probe.kind === 'load' && coefficient(probe.args[0]!, k) === 1) return element;
  const copy = env.local('left', 'f32', rows * depth);
  for (let r = 0; r < rows; r++) {
    const body: Stmt[] = [];
    env.em.within(body, () => {
      body.push(store(copy, add(i32(r * depth), k), element(r, k)));
    });
    block.push(forLoop(k, i32(0), i32(depth), body, { parallel: true }));
  }
  return (r, at) => load(copy, add(i32(r * depth), at));
}

export function lowerPanels(f: Frame, env: GemmEnv, s: ContractionSpec): LoweredKernel {
  const max = env.ctx.symbols;
  const [rows, n, depth] = [maxSize(s.m, max), maxSize(s.n, max), maxSize(s.k, max)];
  const mTotal = dimsOf(s.m, env).reduce<Expr>((a, e) => mul(a, e), i32(1));
  const panels = Math.ceil(n / columns);
  const { threads } = env.ctx.target;
  const { perGroup } = f.schedule(matmulPanels, () => ({ perGroup: threads === 1 ? Math.min(panels, 64) : Math.max(1, Math.ceil(panels / (threads * 4))) }));
  const groups = Math.ceil(panels / perGroup);
  const width = perGroup * columns;
  const group = variable('group0', 'group', 'i32', [0, 2147483646]);
  const n0 = variable('n0', 'let', 'i32', [0, (groups - 1) * width]);
  const block: Stmt[] = [letVar(n0, mul(group, i32(width)))];
  const rowAt = (r: number): Expr[] => delinearize(mTotal.kind === 'const' ? i32(r) : min(i32(r), sub(mTotal, i32(1))), dimsOf(s.m, env));
  const left = leftOperand(env, s, rows, depth, rowAt, block);
  const sums = env.local('sums', 'f32', rows * width);
  const p = loopVar('p', perGroup);
  const inPanel: Stmt[] = [];
  for (let r = 0; r < rows; r += rowsTogether) {
    const some = Array.from({ length: Math.min(rowsTogether, rows - r) }, (_, i) => r + i);
    inPanel.push(...panelSums(env, s, some, depth, add(n0, mul(p, i32(columns))), left, sums, (row) => add(i32(row * width), mul(p, i32(columns)))));
  }
  const count = panels % perGroup === 0 ? i32(perGroup) : min(i32(perGroup), sub(i32(panels), mul(group, i32(perGroup))));
  block.push(forLoop(p, i32(0), count, inPanel));
  const nCount = n % width === 0 ? i32(width) : min(i32(width), sub(i32(n), n0));
  for (let r = 0; r < rows; r++) {
    const done = epilogueStmt(env, s, [], i32(r), n0, nCount, width, (lane) => load(sums, add(i32(r * width), lane)));
    block.push(...(mTotal.kind === 'const' || r === 0 ? [done] : ifThen(compare('lt', i32(r), mTotal), [done])));
  }
  return f.finish(block, {
    grid: [groups, 1, 1],
    parallel: rows * n * depth > worthThreads,
  });
}

/**
 * The sums of a panel's columns for one or two rows, into scratch memory. One row takes two steps of k a turn. They add to the same sums: with sums of their own, loads run so far ahead of one another
 * that the prefetcher loses the stream (measured: 40 GB/s against 67).
 */
function panelSums(
  env: GemmEnv,
  s: ContractionSpec,
  rows: readonly number[],
  depth: number,
  column: Expr,
  left: (r: number, k: Expr) => Expr,
  sums: Memory,
  place: (row: number) => Expr,
): Stmt[] {
  const steps = rows.length === 1 ? 2 : 1;
  const accs = rows.map(() => Array.from({ length: vectors }, () => variable('acc', 'mutable', 'f32', undefined, 4)));
  const out: Stmt[] = accs.flat().map((acc) => mutable(acc, constant(0, 'f32', 4)));
  const step = (k: Expr, body: Stmt[]): void => {
    const as = rows.map((r) => {
      const a = variable('a', 'let', 'f32', undefined, 4);
      const e = env.em.within(body, () => left(r, k));
      body.push(letVar(a, splat(e, 4)));
      return a;
    });
    for (let v = 0; v < vectors; v++) {
      const w = variable('w', 'let', 'f32', undefined, 4);
      const e = env.em.within(body, () => s.right([], [add(column, i32(4 * v))], [k]));
      body.push(letVar(w, e.kind === 'load' ? load(e.memory, e.args[0]!, 4) : e));
      rows.forEach((_, i) => body.push(assign(accs[i]![v]!, mad(as[i]!, w, accs[i]![v]!))));
    }
  };
  const k = loopVar('k', Math.floor(depth / steps));
  const body: Stmt[] = [];
  for (let u = 0; u < steps; u++) step(add(mul(k, i32(steps)), i32(u)), body);
  out.push(forLoop(k, i32(0), i32(Math.floor(depth / steps)), body));
  if (depth % steps > 0) step(i32(depth - 1), out);
  rows.forEach((row, i) => {
    for (let v = 0; v < vectors; v++) out.push(store(sums, add(place(row), i32(4 * v)), accs[i]![v]!));
  });
  return out;
}
