/**
 * loop: scan.
 *
 * The body is fused like any graph. Slices of sequences are read and written in place at step * size; carried values alternate between two slots, so that nothing reads what the
 * same step writes. Where rows are independent, all steps run inside one kernel (recurrent.ts); else the scan is a loop of the plan: the kernels of the body run once a step, and
 * the step is a symbol of the plan.
 */
import { evalDim } from '../../ir/dim.js';
import { InternalError, UnsupportedError } from '../../ir/errors.js';
import type { Graph, NodeOf, Value } from '../../ir/graph.js';
import { defaultFuseOptions, fuse } from '../../passes/fuse.js';
import { isolateRoots } from '../../passes/isolate-roots.js';
import type { FusedGraph, Region } from '../../passes/regions.js';
import { add, type Expr, i32, load, mul, rem, resetExpressions, sub, symbolVar, variable } from '../kernel/expr.js';
import { barrier, forLoop, type Kernel, letVar, type Memory, type Stmt, store } from '../kernel/ir.js';
import type { Place } from '../lower/element.js';
import {
  figuresOf,
  globalMemory,
  kernelName,
  type LowerContext,
  type LoweredArg,
  type LoweredKernel,
  memoriesIn,
  scheduleFor,
  storageOf,
  symbolsIn,
  type Temp,
  workOf,
} from '../lower/frame.js';
import type { LoweredRegion, LoweredStep } from '../lower/region.js';
import { dimExpr, dimSize, exprSize, sizeMul } from '../lower/space.js';
import { recurrentRows, recurrentUnits, recurrentWorkgroup } from '../schedule-families.js';
import { linearGrid } from './grid.js';
import { buffersOf, copyKernel, elements, placeIntermediates, retarget } from './nested.js';
import { canRunInOneKernel, recurrentBlock, regionsOnGpu, regionsOnWasm, rowBlocks, rowsOf } from './recurrent.js';
import { unitPhases, unitSteps } from './recurrent-units.js';

/** Multiply-adds a step and row above which a workgroup alone would be too slow on WebGPU. */
const workgroupWork = 4_000_000;

const mapKernels = (steps: readonly LoweredStep[], f: (k: LoweredKernel) => LoweredKernel): LoweredStep[] =>
  steps.map((s) => (s.kind === 'kernel' ? { ...s, kernel: f(s.kernel) } : { ...s, body: mapKernels(s.body, f) }));

/** Where the body's values lie. */
interface Layout {
  readonly body: Graph;
  readonly fused: FusedGraph;
  readonly storage: ReadonlyMap<Value, Value | Temp>;
  readonly bases: ReadonlyMap<Value, () => Expr>;
  readonly carried: readonly Temp[];
  readonly temps: readonly Temp[];
  readonly unaligned: ReadonlySet<Value>;
}

function layOut(n: NodeOf<'scan'>, ctx: LowerContext, t: () => Expr): Layout {
  const { carries, xs, length, reverse } = n.attrs;
  const body = isolateRoots(n.attrs.body, true);
  // how many steps have been done
  const done = (): Expr => (reverse ? sub(sub(dimExpr(length, ctx.symbols), i32(1)), t()) : t());
  const bases = new Map<Value, () => Expr>();
  const storage = new Map<Value, Value | Temp>();
  const outerBase = (v: Value): Expr => ctx.bases.get(v)?.() ?? i32(0);
  const carried = body.inputs.slice(0, carries).map((p, i): Temp => ({ name: `carry${i}`, dtype: p.value.dtype, shape: [2, ...p.value.shape] }));
  const temps: Temp[] = [...carried];
  for (const [i, outer] of n.inputs.entries()) {
    const inside = body.inputs[i]!.value;
    if (storageOf(inside) !== (i < carries ? storageOf(carried[i]!) : storageOf(outer)))
      throw new UnsupportedError(`${n.origin || 'scan'}: operand '${body.inputs[i]!.name}' is a computed ${outer.dtype}; cast it to int32`);
  }
  carried.forEach((temp, i) => {
    const [read, write] = [body.inputs[i]!.value, body.outputs[i]!.value];
    storage.set(read, temp);
    storage.set(write, temp);
    bases.set(read, () => mul(rem(done(), i32(2)), elements(read, ctx)));
    bases.set(write, () => mul(rem(add(done(), i32(1)), i32(2)), elements(write, ctx)));
  });
  body.inputs.slice(carries).forEach((p, j) => {
    const outer = n.inputs[carries + j]!;
    storage.set(p.value, outer);
    bases.set(p.value, () => (j < xs ? add(outerBase(outer), mul(t(), elements(p.value, ctx))) : outerBase(outer)));
  });
  body.outputs.slice(carries).forEach((p, j) => {
    const outer = n.outputs[carries + j]!;
    storage.set(p.value, outer);
    bases.set(p.value, () => add(outerBase(outer), mul(t(), elements(p.value, ctx))));
  });
  const fused = fuse(body, { ...defaultFuseOptions, maxBuffers: ctx.target.maxStorageBuffers });
  for (const v of fused.aliases.keys()) if (storage.has(v)) throw new InternalError('a root of a loop body is an alias');
  placeIntermediates(fused, storage, bases, temps);
  const unaligned = new Set([...storage].filter(([, at]) => 'id' in at && ctx.unaligned?.has(at)).map(([v]) => v));
  return { body, fused, storage, bases, carried, temps, unaligned };
}

/** Lowers a region of the body; handed in, since lowering regions is what calls this. */
type LowerRegion = (region: Region, ctx: LowerContext) => LoweredRegion;

export function lowerLoop(region: Region, ctx: LowerContext, lowerRegion: LowerRegion): LoweredRegion {
  const n = region.hero;
  if (n?.op !== 'scan') throw new InternalError(`${n?.origin || 'graph'}: ${n?.op ?? 'a loop'} is no scan`);
  return inOneKernel(region, n, ctx) ?? stepByStep(region, n, ctx, lowerRegion);
}

// ---- all steps in one kernel

function inOneKernel(region: Region, n: NodeOf<'scan'>, ctx: LowerContext): LoweredRegion | null {
  const { carries, xs, length, reverse } = n.attrs;
  resetExpressions();
  const steps = evalDim(length, ctx.symbols);
  const i = variable('step', 'loop', 'i32', [0, Math.max(0, steps - 1)]);
  const total = dimExpr(length, ctx.symbols);
  const t: Expr = reverse ? sub(sub(total, i32(1)), i) : i;
  const layout = layOut(n, ctx, () => t);
  const rows = rowsOf(layout.body, carries, xs);
  if (!rows || !canRunInOneKernel(layout.fused, rows.axis)) return null;
  const gpu = ctx.target.kind === 'webgpu';
  if (gpu && buffersOf([...n.inputs, ...region.outputs], ctx) > ctx.target.maxStorageBuffers) return null;
  const work = layout.fused.regions.reduce((s, r) => s + workOf(r, ctx.symbols), 0);
  if (gpu && (work * 8) / Math.max(1, evalDim(rows.size, ctx.symbols)) > workgroupWork) return null;
  // one memory for each place, read and written
  const memories = new Map<Value | Temp, Memory>();
  const written = new Set<Value | Temp>(layout.temps);
  for (let j = carries; j < layout.body.outputs.length; j++) written.add(n.outputs[j]!);
  for (let j = 0; j < carries; j++) written.add(n.outputs[j]!);
  const args: LoweredArg[] = [];
  const memoryOf = (o: Value | Temp): Memory => {
    let m = memories.get(o);
    if (!m) {
      const access = written.has(o) ? 'read_write' : 'read';
      m = globalMemory('id' in o ? `${written.has(o) ? 'out' : 'in'}${memories.size}` : o.name, o, access, ctx);
      memories.set(o, m);
      args.push({ value: o, access });
    }
    return m;
  };
  const places = new Map<Value, Place>();
  const placeOf = (v: Value): Place => ({ memory: memoryOf(layout.storage.get(v)!), base: layout.bases.get(v)?.() ?? i32(0) });
  for (const r of layout.fused.regions) for (const v of [...r.inputs, ...r.outputs]) if (layout.storage.has(v)) places.set(v, placeOf(v));
  for (const node of layout.body.nodes) if (node.op === 'constant' && node.attrs.value.data.length > 1) return null;
  const locals: Memory[] = [];
  const local = (name: string, space: 'private' | 'workgroup', scalar: Memory['scalar'], size: number): Memory => {
    const m: Memory = { name, space, scalar, storage: 'same', access: 'read_write', size };
    locals.push(m);
    return m;
  };
  const varying = new Set(layout.body.inputs.slice(0, carries + xs).map((p) => p.value));
  for (const node of layout.body.nodes) if (node.inputs.some((v) => varying.has(v))) for (const v of node.outputs) varying.add(v);
  const block = { fused: layout.fused, ctx, places, local, invariant: (v: Value): boolean => !varying.has(v) };
  /** Copies rows of one place to another. */
  const copyRows = (from: Place, to: Place, per: Expr, r0: Expr, count: Expr, thread: Expr | null, threads: number): Stmt => {
    const e = variable('e', 'loop', 'i32', [0, 2147483646]);
    const first = mul(r0, per);
    const one = store(to.memory, add(to.base, add(first, e)), load(from.memory, add(from.base, add(first, e))));
    return thread ? forLoop(e, thread, mul(count, per), [one], { step: threads }) : forLoop(e, i32(0), mul(count, per), [one], { parallel: true });
  };
  const perRow = (v: Value): Expr => v.shape.slice(1).reduce<Expr>((a, d) => mul(a, dimExpr(d, ctx.symbols)), i32(1));
  const outerPlace = (v: Value): Place => ({ memory: memoryOf(v), base: ctx.bases.get(v)?.() ?? i32(0) });
  const around = (r0: Expr, count: Expr, thread: Expr | null, threads: number): { before: Stmt[]; after: Stmt[] } => {
    const before: Stmt[] = [];
    const after: Stmt[] = [];
    layout.carried.forEach((temp, c) => {
      const v = layout.body.inputs[c]!.value;
      before.push(copyRows(outerPlace(n.inputs[c]!), { memory: memoryOf(temp), base: i32(0) }, perRow(v), r0, count, thread, threads));
      if (region.outputs.includes(n.outputs[c]!))
        after.push(
          copyRows(
            { memory: memoryOf(temp), base: mul(rem(total, i32(2)), elements(v, ctx)) },
            outerPlace(n.outputs[c]!),
            perRow(v),
            r0,
            count,
            thread,
            threads,
          ),
        );
    });
    return { before, after };
  };
  let body: Stmt[];
  let grid: Kernel['grid'];
  let threads = 1;
  let schedule: string;
  let phase: number | undefined;
  if (gpu) {
    const { p, text } = scheduleFor(region, ctx, recurrentWorkgroup, () => ({ threads: Math.min(256, ctx.target.maxWorkgroupSize) }));
    threads = p.threads;
    schedule = text;
    const { grid: g, id } = linearGrid(dimSize(rows.size), evalDim(rows.size, ctx.symbols), ctx.target);
    const row = variable('row', 'let', 'i32', [0, Math.max(0, evalDim(rows.size, ctx.symbols) - 1)]);
    const thread = variable('local0', 'local', 'i32', [0, threads - 1]);
    const edge = around(row, i32(1), thread, threads);
    body = [letVar(row, id), ...edge.before, barrier, forLoop(i, i32(0), total, regionsOnGpu(block, row, thread, threads)), ...edge.after];
    grid = g;
  } else {
    const units = unitSteps(block, rows.size);
    if (units) {
      const { p, text } = scheduleFor(region, ctx, recurrentUnits, () => ({ parts: Math.min(units.groups, ctx.target.threads) }));
      schedule = text;
      const edge = around(i32(0), dimExpr(rows.size, ctx.symbols), null, 1);
      const made = unitPhases(block, units, { groups: p.parts, size: rows.size, length, step: i, edge });
      body = made.body;
      grid = [sizeMul(exprSize(made.phases), p.parts), 1, 1];
      phase = p.parts;
    } else {
      const { p, text } = scheduleFor(region, ctx, recurrentRows, () => ({ rows: recurrentBlock(rows.size, ctx) }));
      schedule = text;
      const blocks = rowBlocks(rows.size, p.rows, ctx);
      const group = variable('group0', 'group', 'i32', [0, 2147483646]);
      const r0 = variable('r0', 'let', 'i32', [0, Math.max(0, evalDim(rows.size, ctx.symbols) - 1)]);
      const count = variable('rows', 'let', 'i32', [1, blocks.rows]);
      const before: Stmt[] = [];
      const inside = regionsOnWasm(block, r0, count, blocks.rows, rows.size, before);
      const edge = around(r0, count, null, 1);
      body = [
        letVar(r0, blocks.begin(group)),
        letVar(count, blocks.countFrom(r0)),
        ...before,
        ...edge.before,
        forLoop(i, i32(0), total, inside),
        ...edge.after,
      ];
      grid = [exprSize(blocks.groups), 1, 1];
    }
  }
  const count = dimSize(length);
  const inner = layout.fused.regions
    .map((r) => figuresOf(r).flops)
    .reduce((a, b) => (typeof a === 'number' && typeof b === 'number' ? a + b : { op: 'add', args: [a, b] }), 0);
  const touched = new Set<Memory>();
  memoriesIn(body, touched, touched);
  const used = args.filter((a) => touched.has(memories.get(a.value)!));
  const whole = figuresOf({ ...region, inputs: [...new Set(n.inputs)] });
  const kernel: Kernel = {
    name: kernelName(region),
    notes: [`fuses ${[...new Set([...layout.body.nodes.map((x) => x.origin), n.origin].filter(Boolean))].join(', ')}`, schedule],
    args: used.map((a) => memories.get(a.value)!),
    symbols: [...symbolsIn(body)].sort(),
    grid,
    phase,
    workgroupSize: [threads, 1, 1],
    locals,
    body,
  };
  return {
    temps: layout.temps.filter((t) => used.some((a) => a.value === t)),
    steps: [
      {
        kind: 'kernel',
        kernel: { kernel, args: used, schedule, parallel: phase === undefined && work * steps > 60000, figures: { ...whole, flops: sizeMul(inner, count) } },
      },
    ],
  };
}

// ---- a loop of the plan

function stepByStep(region: Region, n: NodeOf<'scan'>, ctx: LowerContext, lowerRegion: LowerRegion): LoweredRegion {
  const { length, reverse } = n.attrs;
  let depth = 0;
  while (`t${depth}` in ctx.symbols) depth++;
  const symbol = `t${depth}`;
  const last = Math.max(0, evalDim(length, ctx.symbols) - 1);
  const layout = layOut(n, ctx, () => symbolVar(symbol, last));
  const temps = [...layout.temps];
  const bufferOf = (v: Value): string => {
    const at = layout.storage.get(v) ?? v;
    return 'id' in at ? (ctx.bufferOf?.(at) ?? `${at.id}`) : 'arena';
  };
  const inner: LowerContext = { ...ctx, symbols: { ...ctx.symbols, [symbol]: last }, bases: layout.bases, unaligned: layout.unaligned, bufferOf };
  const redirect = (k: LoweredKernel): LoweredKernel => ({
    ...k,
    args: k.args.map((a): LoweredArg => ({ ...a, value: 'id' in a.value ? (layout.storage.get(a.value) ?? a.value) : a.value })),
  });
  const inSteps: LoweredStep[] = [];
  for (const r of layout.fused.regions) {
    const lowered = lowerRegion(r, inner);
    temps.push(...lowered.temps);
    inSteps.push(...mapKernels(lowered.steps, redirect));
  }
  const before: LoweredStep[] = [];
  const after: LoweredStep[] = [];
  layout.carried.forEach((temp, i) => {
    const v = layout.body.inputs[i]!.value;
    const into: Value = { ...v, producer: null };
    before.push({ kind: 'kernel', kernel: retarget(copyKernel(n.inputs[i]!, into, ctx, ctx.bases), into, temp) });
    const out = n.outputs[i]!;
    if (!region.outputs.includes(out)) return;
    const from: Value = { ...v, producer: null };
    const final = new Map([...ctx.bases, [from, (): Expr => mul(rem(dimExpr(length, ctx.symbols), i32(2)), elements(v, ctx))]] as const);
    after.push({ kind: 'kernel', kernel: retarget(copyKernel(from, out, ctx, final), from, temp) });
  });
  return { steps: [...before, { kind: 'loop', symbol, count: length, reverse, body: inSteps }, ...after], temps };
}
