/**
 * map: every output element is computed on its own, over the region's domain. Axes that all accesses treat alike are merged first.
 * WebGPU: a thread computes four neighbours where the innermost axis allows, else one. WASM: a group is a chunk of rows; the innermost loop runs four lanes at once.
 */

import type { Shape } from '../../ir/dim.js';
import type { Region } from '../../passes/regions.js';
import { add, compare, div, type Expr, i32, min, mul, type VarExpr, variable } from '../kernel/expr.js';
import { forLoop, ifThen, type Stmt, storeAll } from '../kernel/ir.js';
import { vectorize } from '../kernel/vectorize.js';
import { substituteStmts } from '../kernel/walk.js';
import { Frame, type LowerContext, type LoweredKernel } from '../lower/frame.js';
import { type Axis, delinearize, exprSize, linearize, maxSize, shapeSize, sizeCeilDiv } from '../lower/space.js';
import { mapChunks, mapScalar, mapThreads } from '../schedule-families.js';
import { groupThreads, linearGrid, mergeAxes } from './grid.js';

/** Loop axes over a shape. */
export function axesOf(shape: Shape, f: Pick<Frame, 'dim'>, hint = 'i'): Axis[] {
  return shape.map((d) => {
    const extent = f.dim(d);
    return { v: variable(hint, 'loop', 'i32', [0, Math.max(0, extent.hi - 1)]), extent };
  });
}

const product = (axes: readonly Axis[]): Expr => axes.reduce<Expr>((a, x) => mul(a, x.extent), i32(1));

export function lowerMap(region: Region, ctx: LowerContext): LoweredKernel {
  const f = new Frame(region, ctx);
  const domain = region.outputs[0]!.shape;
  const raw = axesOf(domain, f);
  const index = raw.map((a) => a.v);
  const values = region.outputs.map((v) => f.em.value(v, index));
  f.block.push(
    ...storeAll(region.outputs.map((v, i) => ({ memory: f.memoryOf(v), index: add(f.baseOf(v), linearize(index, v.shape, ctx.symbols)), value: values[i]! }))),
  );
  const { axes, stmts } = mergeAxes(raw, f.block);
  return ctx.target.kind === 'wasm' ? onWasm(f, axes, stmts, domain) : onGpu(f, axes, stmts, domain, ctx);
}

function onWasm(f: Frame, axes: readonly Axis[], stmts: readonly Stmt[], domain: Shape): LoweredKernel {
  const inner = axes.at(-1);
  if (!inner) return scalar(f, stmts);
  // elements that a group computes, about
  const { chunk } = f.schedule(mapChunks, () => ({ chunk: 8192 }));
  const outer = axes.slice(0, -1);
  const group = variable('group0', 'group', 'i32', [0, 2147483646]);
  if (outer.length === 0) {
    const begin = mul(group, i32(chunk));
    const body = forLoop(inner.v, begin, min(add(begin, i32(chunk)), inner.extent), stmts, { parallel: true });
    return f.finish([body], { grid: [sizeCeilDiv(shapeSize(domain), chunk), 1, 1] });
  }
  const innerMax = inner.extent.hi;
  const rows = Math.max(1, Math.floor(chunk / Math.max(1, innerMax)));
  const count = product(outer);
  const row = variable('row', 'loop', 'i32', [0, Math.max(0, count.hi - 1)]);
  const at = delinearize(
    row,
    outer.map((a) => a.extent),
  );
  const body = substituteStmts([forLoop(inner.v, i32(0), inner.extent, stmts, { parallel: true })], new Map<Expr, Expr>(outer.map((a, i) => [a.v, at[i]!])));
  const begin = mul(group, i32(rows));
  return f.finish([forLoop(row, begin, min(add(begin, i32(rows)), count), body)], {
    grid: [sizeCeilDiv(exprSize(count), rows), 1, 1],
  });
}

function scalar(f: Frame, stmts: readonly Stmt[]): LoweredKernel {
  f.schedule(mapScalar, () => ({}));
  return f.finish(stmts, { grid: [1, 1, 1] });
}

function onGpu(f: Frame, axes: readonly Axis[], stmts: readonly Stmt[], domain: Shape, ctx: LowerContext): LoweredKernel {
  const inner = axes.at(-1);
  if (!inner) return scalar(f, stmts);
  const lane = variable('lane', 'loop', 'i32', [0, 3]);
  const thread = (width: 1 | 4): VarExpr => variable('i', 'let', 'i32', [0, Math.max(0, Math.ceil(product(axes).hi / width) - 1)]);
  /** What a thread does for `width` neighbours, the first of them at `width` times the thread's number. */
  const work = (v: VarExpr, width: 1 | 4): readonly Stmt[] | null => {
    // the innermost index is 4*part + lane, so that lanes stay contiguous through the division
    const parts = delinearize(
      v,
      axes.map((a, i) => (i === axes.length - 1 ? div(a.extent, i32(width)) : a.extent)),
    );
    const at = parts.map((p, i) => (i === axes.length - 1 && width > 1 ? add(mul(p, i32(width)), lane) : p));
    const body = substituteStmts(stmts, new Map<Expr, Expr>(axes.map((a, i) => [a.v, at[i]!])));
    return width === 1 ? body : (vectorize(body, lane, 4, i32(0), true)?.body ?? null);
  };
  const four = inner.extent.kind === 'const' && inner.extent.value % 4 === 0 ? { v: thread(4), width: 4 as const } : null;
  const wide = four && work(four.v, 4);
  const { threads: size, width } = f.schedule(
    mapThreads,
    () => ({ threads: groupThreads, width: wide ? (4 as const) : (1 as const) }),
    (p) => (p.width === 4 && !wide ? 'neighbours cannot be computed four at a time' : null),
  );
  const v = four && width === 4 ? four.v : thread(1);
  const total = div(product(axes), i32(width));
  const { grid, id } = linearGrid(sizeCeilDiv(sizeCeilDiv(shapeSize(domain), width), size), Math.ceil(maxSize(domain, ctx.symbols) / width / size), ctx.target);
  const local = variable('local0', 'local', 'i32', [0, size - 1]);
  // The guard asks the unbounded expression: the variable's range holds only behind the guard.
  const raw = add(mul(id, i32(size)), local);
  return f.finish([{ kind: 'let', v, value: raw }, ...ifThen(compare('lt', raw, total), wide && width === 4 ? wide : work(v, 1)!)], {
    grid,
    workgroupSize: [size, 1, 1],
  });
}
