/**
 * scatter: a thread (WASM: a group) owns a range of the scattered axis and walks all updates, taking those that fall into its range. No atomics, the same sums in the
 * same order everywhere, and repeated indices are right by construction.
 */
import { InternalError } from '../../ir/errors.js';
import type { Region } from '../../passes/regions.js';
import { add, and, cast, compare, type Expr, i32, load, min, mul, variable } from '../kernel/expr.js';
import { forLoop, ifThen, letVar, type Stmt, store } from '../kernel/ir.js';
import { Frame, type LowerContext, type LoweredKernel } from '../lower/frame.js';
import { combine } from '../lower/reduction.js';
import { delinearize, exprSize, linearize, maxSize } from '../lower/space.js';
import { scatterOwners } from '../schedule-families.js';
import { linearGrid } from './grid.js';
import { axesOf } from './map.js';

export function lowerScatter(region: Region, ctx: LowerContext): LoweredKernel {
  const f = new Frame(region, ctx);
  const n = region.hero;
  if (n?.op !== 'scatter') throw new InternalError('scatter region without scatter');
  const [operand, indices, updates] = [n.inputs[0]!, n.inputs[1]!, n.inputs[2]!];
  const { axis, fn } = n.attrs;
  const out = n.outputs[0]!;
  const memory = f.memoryOf(out);
  const domain = axesOf(out.shape, f);
  const rank = indices.shape.length;
  const size = domain[axis]!.extent;
  const gpu = ctx.target.kind === 'webgpu';
  // axes of the output apart from the scattered one are independent
  const others = domain.filter((_, i) => i !== axis);
  const inner = gpu ? [] : others.slice(axis);
  const outer = gpu ? others : others.slice(0, axis);
  const { parts, threads } = f.schedule(
    scatterOwners,
    () => ({ parts: Math.max(1, Math.min(gpu ? 64 : ctx.target.threads * 2, size.hi)), threads: gpu ? 64 : 1 }),
    (p) => (p.parts <= Math.max(1, size.hi) ? null : `the axis has ${size.hi} elements`),
  );
  const per = Math.ceil(Math.max(1, size.hi) / parts);
  const block: Stmt[] = [];
  const part = variable('part', 'let', 'i32', [0, parts - 1]);
  const from = variable('from', 'let', 'i32', [0, Math.max(0, size.hi)]);
  const to = variable('to', 'let', 'i32', [0, Math.max(0, size.hi)]);
  const count = outer.reduce<Expr>((a, x) => mul(a, x.extent), i32(parts));
  const total = Math.max(1, count.hi);
  const { grid, id } = linearGrid(
    threads === 1 ? exprSize(count) : { op: 'ceildiv', args: [exprSize(count), threads] },
    Math.ceil(total / threads),
    ctx.target,
  );
  const thread = variable('thread', 'let', 'i32', [0, total - 1]);
  const ids = delinearize(thread, [i32(parts), ...outer.map((a) => a.extent)]);
  block.push(letVar(part, ids[0]!), ...outer.map((a, i) => letVar(a.v, ids[i + 1]!)));
  block.push(letVar(from, min(mul(part, i32(per)), size)), letVar(to, min(add(from, i32(per)), size)));
  const nest = (body: readonly Stmt[]): readonly Stmt[] =>
    [...inner].reverse().reduce<readonly Stmt[]>((b, a, i) => [forLoop(a.v, i32(0), a.extent, b, { parallel: i === 0 })], body);
  // start from the operand
  const start: Stmt[] = [];
  const index = domain.map((a) => a.v as Expr);
  f.em.within(start, () => {
    const e = f.em.value(operand, index);
    start.push(store(memory, add(f.baseOf(out), linearize(index, out.shape, ctx.symbols)), e));
  });
  block.push(forLoop(domain[axis]!.v, from, to, nest(start)));
  // every update that falls into the range
  const us = indices.shape.map((d) => {
    const extent = f.dim(d);
    return { v: variable('u', 'loop', 'i32', [0, Math.max(0, extent.hi - 1)]), extent };
  });
  const body: Stmt[] = [];
  const at = variable('at', 'let', 'i32', [0, Math.max(0, size.hi - 1)]);
  f.em.within(body, () => {
    body.push(
      letVar(
        at,
        cast(
          f.em.value(
            indices,
            us.map((u) => u.v),
          ),
          'i32',
        ),
      ),
    );
    const apply: Stmt[] = [];
    f.em.within(apply, () => {
      const u = f.em.value(updates, [...index.slice(0, axis), ...us.map((x) => x.v), ...index.slice(axis + 1)]);
      const address = add(
        f.baseOf(out),
        linearize(
          index.map((e, i) => (i === axis ? at : e)),
          out.shape,
          ctx.symbols,
        ),
      );
      apply.push(store(memory, address, fn === 'set' ? u : combine(fn === 'add' ? 'sum' : fn === 'mul' ? 'prod' : fn, load(memory, address), u)));
    });
    body.push(...ifThen(and(compare('ge', at, from), compare('lt', at, to)), nest(apply)));
  });
  block.push(...[...us].reverse().reduce<readonly Stmt[]>((b, u) => [forLoop(u.v, i32(0), u.extent, b)], body));
  if (rank !== us.length) throw new InternalError('scatter indices');
  // The guard asks the unbounded expression: the variable's range holds only behind the guard.
  const raw = add(mul(id, i32(threads)), variable('local0', 'local', 'i32', [0, threads - 1]));
  const whole = gpu ? [letVar(thread, raw), ...ifThen(compare('lt', raw, count), block)] : [letVar(thread, id), ...block];
  return f.finish(whole, { grid, workgroupSize: [threads, 1, 1], parallel: maxSize(updates.shape, ctx.symbols) > 20000 });
}
