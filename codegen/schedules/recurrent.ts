/**
 * recurrent: a whole scan in one kernel. Where no step of the body mixes rows of the leading (batch) axis, a group can walk all time steps for its own rows with no other
 * group in sight: for every step it runs the body's regions one after the other, with a barrier between them; values live in the arena, which the group's cache holds.
 * WASM: a group is a block of rows, products use register tiles, and weights that do not change from step to step are packed once before the loop. WebGPU: a workgroup owns
 * one row; its threads share the elements of each region.
 */
import type { Dim, Shape } from '../../ir/dim.js';
import { evalDim } from '../../ir/dim.js';
import type { Graph, Node, Value } from '../../ir/graph.js';
import { opDef } from '../../ir/ops/index.js';
import { type FusedGraph, isContraction, type Region } from '../../passes/regions.js';
import { add, compare, div, type Expr, i32, min, mul, sub, variable } from '../kernel/expr.js';
import { barrier, forLoop, ifThen, type Memory, type Stmt, storeAll } from '../kernel/ir.js';
import { substituteStmts } from '../kernel/walk.js';
import { ElementEmitter, type Place } from '../lower/element.js';
import type { LowerContext } from '../lower/frame.js';
import { type Axis, delinearize, dimExpr, linearize, maxSize } from '../lower/space.js';
import { contractionSpec } from './contraction-spec.js';
import type { GemmEnv } from './gemm-epilogue.js';
import { packWholeRight } from './gemm-pack.js';
import { analyseGemm, emitGemmBlock } from './gemm-wasm.js';
import { mergeAxes } from './grid.js';

/** The batch axis of every value of the body that has one; null when some node mixes rows. */
export function rowsOf(body: Graph, carries: number, xs: number): { size: Dim; axis: ReadonlyMap<Value, number> } | null {
  const axis = new Map<Value, number>();
  const size = body.inputs[0]?.value.shape[0];
  if (size === undefined) return null;
  for (let i = 0; i < carries + xs; i++) {
    const v = body.inputs[i]!.value;
    if (v.shape.length === 0 || String(v.shape[0]) !== String(size)) {
      // a sequence of something else (a flag per step, say) is read by every row
      if (i < carries) return null;
      continue;
    }
    axis.set(v, 0);
  }
  for (const n of body.nodes) {
    const varying = n.inputs.some((v) => axis.has(v));
    if (!varying) continue;
    const to = batchAxisOf(n, axis);
    if (to === null) return null;
    for (const v of n.outputs) axis.set(v, to);
  }
  if (body.outputs.some((o) => axis.get(o.value) !== 0)) return null;
  return { size, axis };
}

/** Where the batch axis of a node's inputs lands in its output; null when it is reduced, reordered or met with itself. */
function batchAxisOf(n: Node, axis: ReadonlyMap<Value, number>): number | null {
  const def = opDef(n.op);
  if ('none' in def.axes || n.outputs.length !== 1) return null;
  const maps = (def.axes as (inputs: readonly Value[], attrs: Node['attrs']) => readonly (readonly (number | null)[])[])(n.inputs, n.attrs);
  let to: number | null = null;
  for (let i = 0; i < n.inputs.length; i++) {
    const a = axis.get(n.inputs[i]!);
    if (a === undefined) continue;
    const here = maps[i]?.[a] ?? null;
    if (here === null || (to !== null && here !== to)) return null;
    to = here;
  }
  return to;
}

/** Whether every region of the fused body can be computed row by row here. */
export function canRunInOneKernel(fused: FusedGraph, axis: ReadonlyMap<Value, number>): boolean {
  return fused.regions.every((r) => (r.kind === 'map' || r.kind === 'contraction' || r.kind === 'row') && r.outputs.every((v) => axis.get(v) === 0));
}

export interface BlockRegions {
  readonly fused: FusedGraph;
  readonly ctx: LowerContext;
  readonly places: ReadonlyMap<Value, Place>;
  readonly local: (name: string, space: 'private' | 'workgroup', scalar: Memory['scalar'], size: number) => Memory;
  /** Values that are the same at every step. */
  readonly invariant: (v: Value) => boolean;
}

/** Index of an output element with the leading index given. */
const innerAxes = (shape: Shape, ctx: LowerContext): Axis[] =>
  shape.slice(1).map((d) => {
    const extent = dimExpr(d, ctx.symbols);
    return { v: variable('i', 'loop', 'i32', [0, Math.max(0, extent.hi - 1)]), extent };
  });

const storesAt = (b: BlockRegions, em: ElementEmitter, outputs: readonly Value[], index: readonly Expr[], block: Stmt[]): void =>
  storesOf(
    b,
    em,
    outputs.map((v) => ({ v, index })),
    block,
  );

function storesOf(b: BlockRegions, em: ElementEmitter, targets: readonly { readonly v: Value; readonly index: readonly Expr[] }[], block: Stmt[]): void {
  em.within(block, () => {
    const values = targets.map((t) => em.value(t.v, t.index));
    block.push(
      ...storeAll(
        targets.map(({ v, index }, i) => {
          const place = b.places.get(v)!;
          return { memory: place.memory, index: add(place.base, linearize(index, v.shape, b.ctx.symbols)), value: values[i]! };
        }),
      ),
    );
  });
}

/** An emitter that computes the region's own outputs rather than loading them. */
export function emitterFor(b: BlockRegions, r: Region): ElementEmitter {
  const own = new Set(r.outputs);
  return new ElementEmitter(new Map([...b.places].filter(([v]) => !own.has(v))), b.ctx.symbols, []);
}

/** All regions for rows [r0, r0 + count) on one WASM thread; `before` takes statements that run once, ahead of the loop. */
export function regionsOnWasm(b: BlockRegions, r0: Expr, count: Expr, rowBlock: number, size: Dim, before: Stmt[]): Stmt[] {
  const out: Stmt[] = [];
  for (const r of b.fused.regions) {
    if (r.kind === 'contraction' && r.hero && isContraction(r.hero)) {
      const done = productRows(b, r, r0, count, rowBlock, size, before);
      if (done) {
        out.push(...done);
        continue;
      }
    }
    for (const { outputs, parts } of loopsOf(r)) {
      const em = emitterFor(b, r);
      const row = variable('row', 'loop', 'i32', [0, Math.max(0, evalDim(size, b.ctx.symbols) - 1)]);
      const axes = innerAxes(outputs[0]!.shape, b.ctx);
      const last = axes.at(-1);
      const part = last && parts > 1 ? { v: variable('i', 'loop', 'i32', [0, last.v.hi]), extent: div(last.extent, i32(parts)) } : last;
      const own = part ? [...axes.slice(0, -1), part] : axes;
      const index = own.map((x): Expr => x.v);
      const targets = outputs.flatMap((v) => {
        const pieces = part && v.shape.at(-1) === outputs[0]!.shape.at(-1) ? parts : 1;
        return Array.from({ length: pieces }, (_, i) => ({ v, index: [row, ...index.slice(0, -1), ...(part ? [add(part.v, mul(part.extent, i32(i)))] : [])] }));
      });
      const body: Stmt[] = [];
      storesOf(b, em, targets, body);
      const merged = mergeAxes(own, body);
      const nest = [...merged.axes].reverse().reduce<readonly Stmt[]>((x, y, i) => [forLoop(y.v, i32(0), y.extent, x, { parallel: i === 0 })], merged.stmts);
      out.push(forLoop(row, r0, add(r0, count), nest));
    }
  }
  return out;
}

/**
 * The loops of a region: its outputs by shape. A concat of equal parts along the last axis (the gradients of a cell's gates) is one loop over a part, with a store for each, and outputs of
 * a part's shape belong to it: what the parts have in common is computed once.
 */
function loopsOf(r: Region): { readonly outputs: readonly Value[]; readonly parts: number }[] {
  const groups = groupByShape(r.outputs);
  for (const whole of groups) {
    const shape = whole[0]!.shape;
    const concat = r.nodes.find((n) => n.op === 'concat' && whole.includes(n.outputs[0]!) && n.attrs.axis === shape.length - 1 && shape.length > 1);
    const [first] = concat?.inputs ?? [];
    if (!concat || !first || concat.inputs.some((v) => v.shape.at(-1) !== first.shape.at(-1)) || typeof first.shape.at(-1) !== 'number') continue;
    const beside = groups.find((g) => g !== whole && g[0]!.shape.length === shape.length && g[0]!.shape.every((d, i) => String(d) === String(first.shape[i])));
    const rest = groups.filter((g) => g !== whole && g !== beside);
    return [{ outputs: [...whole, ...(beside ?? [])], parts: concat.inputs.length }, ...rest.map((outputs) => ({ outputs, parts: 1 }))];
  }
  return groups.map((outputs) => ({ outputs, parts: 1 }));
}

export function groupByShape(values: readonly Value[]): Value[][] {
  const groups = new Map<string, Value[]>();
  for (const v of values) {
    const key = v.shape.map(String).join();
    groups.set(key, [...(groups.get(key) ?? []), v]);
  }
  return [...groups.values()];
}

function productRows(b: BlockRegions, r: Region, r0: Expr, count: Expr, rowBlock: number, size: Dim, before: Stmt[]): Stmt[] | null {
  const node = r.hero;
  if (!node || !isContraction(node)) return null;
  const em = emitterFor(b, r);
  const s = contractionSpec({ em, dim: (d) => dimExpr(d, b.ctx.symbols) }, node);
  if (!s || s.batch.length > 0 || String(s.m[0]) !== String(size)) return null;
  /** The forms below use the same scratch memory. */
  const scratch = new Map<string, Memory>();
  const env: GemmEnv = {
    em,
    ctx: b.ctx,
    outputs: r.outputs,
    memoryOf: (v) => b.places.get(v)!.memory,
    baseOf: (v) => b.places.get(v)!.base,
    local: (name, scalar, n) => {
      const m = scratch.get(name) ?? b.local(`${name}_${r.id}`, 'private', scalar, n);
      scratch.set(name, m);
      return m;
    },
  };
  const g = analyseGemm(env, s);
  const rest = maxSize(s.m.slice(1), b.ctx.symbols);
  const most = rowBlock * rest;
  const rows = most >= 3 ? 4 : most;
  const vectors = Math.max(1, Math.min(8 / rows, Math.ceil(g.nMax / 4)));
  const width = vectors * 4;
  const right = node.inputs[1]!;
  const panels = Math.ceil(g.nMax / width) * width * g.depth.size;
  let packedRight: Memory | null = null;
  if (b.invariant(right) && (most > 1 || !g.rightContiguous) && g.depth.outer.length === 0 && panels <= 786432) {
    packedRight = b.local(`weights_${r.id}`, 'private', 'f32', panels);
    before.push(...packWholeRight(g, packedRight, width));
  }
  const nBlock = Math.ceil(g.nMax / width) * width;
  const product = (whole: boolean): Stmt[] =>
    emitGemmBlock(g, {
      m0: mul(r0, i32(rest)),
      mCount: whole ? i32(most) : mul(count, i32(rest)),
      mBlock: Math.ceil(most / rows) * rows,
      n0: i32(0),
      nCount: i32(g.nMax),
      nBlock,
      rows,
      vectors,
      mEven: whole,
      lastPanel: null,
      packedRight,
    });
  // Only the last block of rows may be shorter: the others need no guards, and their rows lie at constant distances.
  return rows === 4 && most % 4 === 0 ? [...ifThen(compare('eq', count, i32(rowBlock)), product(true), product(false))] : product(false);
}

/** All regions for one row on a workgroup of `threads`; a barrier after each. */
export function regionsOnGpu(b: BlockRegions, row: Expr, thread: Expr, threads: number): Stmt[] {
  const out: Stmt[] = [];
  for (const r of b.fused.regions) {
    for (const group of groupByShape(r.outputs)) {
      const em = emitterFor(b, r);
      const axes = innerAxes(group[0]!.shape, b.ctx);
      const body: Stmt[] = [];
      storesAt(b, em, group, [row, ...axes.map((a) => a.v)], body);
      const total = axes.reduce<Expr>((a, x) => mul(a, x.extent), i32(1));
      const e = variable('e', 'loop', 'i32', [0, Math.max(0, total.hi - 1)]);
      const at = delinearize(
        e,
        axes.map((a) => a.extent),
      );
      out.push(forLoop(e, thread, total, substituteStmts(body, new Map<Expr, Expr>(axes.map((a, i) => [a.v, at[i]!]))), { step: threads }));
    }
    out.push(barrier);
  }
  return out;
}

/** Rows that one WASM group owns: enough groups for the threads. */
export function recurrentBlock(size: Dim, ctx: LowerContext): number {
  const most = evalDim(size, ctx.symbols);
  return Math.max(1, Math.min(32, Math.ceil(most / ctx.target.threads / 4) * 4, most));
}

/** Blocks of rows, one for each WASM group, and their number. */
export function rowBlocks(
  size: Dim,
  per: number,
  ctx: LowerContext,
): { rows: number; countFrom: (r0: Expr) => Expr; begin: (group: Expr) => Expr; groups: Expr } {
  const most = evalDim(size, ctx.symbols);
  const rows = Math.min(per, most);
  const total = dimExpr(size, ctx.symbols);
  return {
    rows,
    countFrom: (r0) => min(i32(rows), sub(total, r0)),
    begin: (g) => mul(g, i32(rows)),
    groups: total.kind === 'const' ? i32(Math.ceil(most / rows)) : div(add(total, i32(rows - 1)), i32(rows)),
  };
}
