/**
 * sequence: a small product and the row region behind it, in one kernel on WebGPU. A workgroup owns one row: its threads share the columns (and, where there are few, slices of the
 * contracted axis, whose partial sums meet in workgroup memory), write the row of the product to memory, and then walk it as a row in a workgroup.
 */

import { InternalError } from '../../ir/errors.js';
import type { Value } from '../../ir/graph.js';
import { isContraction, type Region } from '../../passes/regions.js';
import { add, and, compare, constant, div, type Expr, i32, load, mad, min, mul, rem, sub, variable } from '../kernel/expr.js';
import { assign, barrier, forLoop, ifThen, type Kernel, letVar, type Memory, mutable, type Stmt, store, storeAll } from '../kernel/ir.js';
import { ElementEmitter, type Place } from '../lower/element.js';
import { figuresOf, globalMemory, kernelName, type LowerContext, type LoweredArg, type LoweredKernel, scheduleFor, symbolsIn } from '../lower/frame.js';
import { delinearize, dimExpr, exprSize, linearize, maxSize } from '../lower/space.js';
import { sequence } from '../schedule-families.js';
import { contractionSpec } from './contraction-spec.js';
import { groupThreads, linearGrid } from './grid.js';
import type { RowEnv } from './row-plan.js';
import { rowStatements } from './row-whole.js';

export function lowerSequence(region: Region, ctx: LowerContext): LoweredKernel {
  const [product, row] = region.parts ?? [];
  if (!product || !row) throw new InternalError('sequence without parts');
  const memories = new Map<Value, Memory>();
  const args: LoweredArg[] = [];
  const inner = new Set(product.outputs);
  const note = (v: Value, access: LoweredArg['access']): void => {
    if (memories.has(v)) return;
    memories.set(v, globalMemory(`${access === 'read' ? 'in' : 'out'}${memories.size}`, v, access, ctx));
    args.push({ value: v, access });
  };
  for (const v of region.inputs) note(v, 'read');
  for (const v of region.outputs) note(v, inner.has(v) && row.inputs.includes(v) ? 'read_write' : 'write');
  const place = (v: Value): Place => ({ memory: memories.get(v)!, base: ctx.bases.get(v)?.() ?? i32(0) });
  const locals: Memory[] = [];
  const envOf = (r: Region): RowEnv => ({
    region: r,
    ctx,
    em: new ElementEmitter(new Map(r.inputs.map((v) => [v, place(v)])), ctx.symbols, []),
    memoryOf: (v) => memories.get(v as Value)!,
    baseOf: (v) => place(v).base,
    dim: (d) => dimExpr(d, ctx.symbols),
    local: (name, space, scalar, size) => {
      const m: Memory = { name: `${name}_${locals.length}`, space, scalar, storage: 'same', access: 'read_write', size };
      locals.push(m);
      return m;
    },
  });
  const hero = product.hero;
  if (!hero || !isContraction(hero)) throw new InternalError('sequence without product');
  const rows = dimExpr(hero.outputs[0]!.shape[0]!, ctx.symbols);
  const size = maxSize(hero.outputs[0]!.shape.slice(1), ctx.symbols);
  const { p, text: schedule } = scheduleFor(
    region,
    ctx,
    sequence,
    () => {
      let columns = 1;
      while (columns < size && columns < groupThreads) columns *= 2;
      return { threads: groupThreads, columns };
    },
    (c) => (c.columns >= size || c.columns === c.threads ? null : `bind(n) is less than both the ${size} columns and bind(row)`),
  );
  const { threads } = p;
  const { grid, id } = linearGrid(exprSize(rows), Math.max(1, rows.hi), ctx.target);
  const local = variable('local0', 'local', 'i32', [0, threads - 1]);
  const m = variable('row', 'let', 'i32', [0, Math.max(0, rows.hi - 1)]);
  const body: Stmt[] = [letVar(m, grid[1] === 1 ? id : min(id, sub(rows, i32(1))))];
  body.push(...productRow(envOf(product), m, local, p), barrier, ...rowStatements(envOf(row), m, local, threads));
  const origins = [...new Set(region.nodes.map((n) => n.origin).filter(Boolean))];
  const used = args.filter((a) => memories.has(a.value as Value));
  const kernel: Kernel = {
    name: `${kernelName(product)}__${kernelName(row)}`,
    notes: [origins.length > 0 ? `fuses ${origins.join(', ')}` : 'no origin', schedule],
    args: used.map((a) => memories.get(a.value as Value)!),
    symbols: [...symbolsIn(body)].sort(),
    grid,
    workgroupSize: [threads, 1, 1],
    locals,
    body,
  };
  return { kernel, args: used, schedule, figures: figuresOf(region), parallel: true };
}

/** One row of the product by a workgroup. */
function productRow(f: RowEnv, m: Expr, local: Expr, { threads, columns }: { readonly threads: number; readonly columns: number }): Stmt[] {
  const hero = f.region.hero;
  if (!hero || !isContraction(hero)) throw new InternalError('no product');
  const s = contractionSpec(f, hero);
  if (!s) throw new InternalError(`product of ${hero.outputs[0]!.dtype} in a sequence`);
  const dims = (ds: typeof s.n): Expr[] => ds.map((d) => dimExpr(d, f.ctx.symbols));
  const total = (ds: typeof s.n): Expr => dims(ds).reduce<Expr>((a, e) => mul(a, e), i32(1));
  const [nTotal, kTotal] = [total(s.n), total(s.k)];
  const slices = threads / columns;
  const column = variable('n', slices === 1 ? 'loop' : 'let', 'i32', [0, Math.max(0, nTotal.hi - 1)]);
  const k = variable('k', 'loop', 'i32', [0, Math.max(0, kTotal.hi - 1)]);
  const acc = variable('acc', 'mutable', 'f32');
  const sum: Stmt[] = [mutable(acc, constant(0, 'f32'))];
  const inner: Stmt[] = [];
  const slice = slices === 1 ? i32(0) : div(local, i32(columns));
  f.em.within(inner, () => {
    const at = (e: Expr, ds: typeof s.n): Expr[] => delinearize(e, dims(ds));
    inner.push(assign(acc, mad(s.left([], [m], at(k, s.k)), s.right([], at(column, s.n), at(k, s.k)), acc)));
  });
  sum.push(forLoop(k, slice, kTotal, inner, { step: slices }));
  const finish = (value: Expr): Stmt[] => {
    const body: Stmt[] = [];
    const index = s.out([], [m], delinearize(column, dims(s.n)));
    f.em.bind(s.output, () => value);
    f.em.within(body, () => {
      body.push(
        ...storeAll(
          f.region.outputs.map((v) => ({
            memory: f.memoryOf(v),
            index: add(f.baseOf(v), linearize(index, v.shape, f.ctx.symbols)),
            value: f.em.value(v, index),
          })),
        ),
      );
    });
    f.em.unbind(s.output);
    return body;
  };
  if (slices === 1) return [forLoop(column, local, nTotal, [...sum, ...finish(acc)], { step: threads })];
  const shared = f.local('partial', 'workgroup', 'f32', threads);
  const raw = rem(local, i32(columns));
  const others = variable('s', 'loop', 'i32', [1, slices - 1]);
  const whole = variable('sum', 'mutable', 'f32');
  return [
    letVar(column, min(raw, sub(nTotal, i32(1)))),
    ...sum,
    store(shared, local, acc),
    barrier,
    ...ifThen(and(compare('lt', local, i32(columns)), compare('lt', raw, nTotal)), [
      mutable(whole, acc),
      forLoop(others, i32(1), i32(slices), [assign(whole, add(whole, load(shared, add(mul(others, i32(columns)), local))))]),
      ...finish(whole),
    ]),
  ];
}
