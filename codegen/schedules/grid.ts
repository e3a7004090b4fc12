/** Helpers of schedules: linear group ids over a grid, and statements over merged axes. */
import type { SizeExpr } from '../../runtime/plan.js';
import { add, type Expr, i32, mul, substitute, type VarExpr, variable } from '../kernel/expr.js';
import { blocksOf, exprsOf, type Kernel, type Stmt } from '../kernel/ir.js';
import { substituteStmts } from '../kernel/walk.js';
import { type Axis, loadIndices, mergeable, sizeCeilDiv, sizeMin, valueUses } from '../lower/space.js';
import type { TargetInfo } from '../target.js';

/**
 * Threads of a workgroup: one size for all schedules that meet at barriers (but the loops, which own a device's whole dispatch), so that kernels can share a dispatch (merge-kernels.ts). Two
 * subgroups on most GPUs: a barrier among few threads is cheap, and work comes from many groups.
 */
export const groupThreads = 64;

/** Groups in x before a grid is folded into y. */
const fold = 32768;

/** A one-dimensional grid of `count` groups (at most `most`), folded where it is over the device's limit, and the linear group id. */
export function linearGrid(count: SizeExpr, most: number, target: TargetInfo): { grid: Kernel['grid']; id: Expr } {
  if (most <= target.maxGroupsPerDimension) return { grid: [count, 1, 1], id: variable('group0', 'group', 'i32', [0, Math.max(0, most - 1)]) };
  const x = variable('group0', 'group', 'i32', [0, fold - 1]);
  const y = variable('group1', 'group', 'i32', [0, Math.ceil(most / fold) - 1]);
  return { grid: [sizeMin(count, fold), sizeCeilDiv(count, fold), 1], id: add(mul(y, i32(fold)), x) };
}

/** Every load and store index, and everything else that is evaluated. */
function usesIn(stmts: readonly Stmt[], indices: Set<Expr>, others: Set<Expr>): void {
  for (const s of stmts) {
    if (s.kind === 'store') {
      indices.add(s.index);
      loadIndices(s.index, indices);
    }
    for (const e of exprsOf(s)) {
      loadIndices(e, indices);
      if (!(s.kind === 'store' && e === s.index)) valueUses(e, others);
    }
    for (const b of blocksOf(s)) usesIn(b, indices, others);
  }
}

/**
 * Merges neighbouring axes of a loop nest that all accesses treat as one: fewer divisions and longer inner loops. Gives the merged axes and the statements in terms of
 * their variables. Axes of extent 1 vanish. `barriers`: indices i such that axis i must not be merged with axis i-1.
 */
export function mergeAxes(axes: readonly Axis[], stmts: readonly Stmt[], barriers: readonly number[] = []): { axes: Axis[]; stmts: readonly Stmt[] } {
  const map = new Map<Expr, Expr>();
  const indices = new Set<Expr>();
  const others = new Set<Expr>();
  usesIn(stmts, indices, others);
  const out: Axis[] = [];
  let mayMerge = true;
  axes.forEach((axis, i) => {
    if (barriers.includes(i)) mayMerge = false;
    if (axis.extent.kind === 'const' && axis.extent.value === 1) {
      map.set(axis.v, i32(0));
      return;
    }
    const last = out.at(-1);
    if (!last || !mayMerge) {
      out.push(axis);
      mayMerge = true;
      return;
    }
    const at = (e: Expr): Expr => substitute(e, map);
    const now = [...indices].map(at);
    if (!mergeable(now, [...others].map(at), last, axis)) {
      out.push(axis);
      return;
    }
    const extent = mul(last.extent, axis.extent);
    const merged: VarExpr = variable(axis.v.name.replace(/_\d+$/, ''), 'loop', 'i32', [0, Math.max(0, extent.hi - 1)]);
    // earlier replacements that mention the two variables are rewritten, too
    const step = new Map<Expr, Expr>([
      [last.v, i32(0)],
      [axis.v, merged],
    ]);
    for (const [k, e] of map) map.set(k, substitute(e, step));
    map.set(last.v, i32(0));
    map.set(axis.v, merged);
    out[out.length - 1] = { v: merged, extent };
  });
  return { axes: out, stmts: map.size === 0 ? stmts : substituteStmts(stmts, map) };
}
