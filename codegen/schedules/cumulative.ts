/** cumulative: every line along the axis is walked once by one thread. */
import { InternalError } from '../../ir/errors.js';
import type { Region } from '../../passes/regions.js';
import { add, compare, type Expr, i32, min, mul, sub, variable } from '../kernel/expr.js';
import { assign, forLoop, ifThen, letVar, mutable, type Stmt, store } from '../kernel/ir.js';
import { Frame, type LowerContext, type LoweredKernel } from '../lower/frame.js';
import { combine, identityOf } from '../lower/reduction.js';
import { scalarOf } from '../lower/scalar.js';
import { delinearize, exprSize, linearize, sizeCeilDiv } from '../lower/space.js';
import { lineChunks, lineThreads } from '../schedule-families.js';
import { linearGrid } from './grid.js';
import { axesOf } from './map.js';

export function lowerCumulative(region: Region, ctx: LowerContext): LoweredKernel {
  const f = new Frame(region, ctx);
  const n = region.hero;
  if (n?.op !== 'cumulative') throw new InternalError('cumulative region without cumulative');
  const { fn, axis, exclusive, reverse } = n.attrs;
  const out = n.outputs[0]!;
  const x = n.inputs[0]!;
  const domain = axesOf(out.shape, f);
  const lines = domain.filter((_, i) => i !== axis);
  const count = lines.reduce<Expr>((a, l) => mul(a, l.extent), i32(1));
  const gpu = ctx.target.kind === 'webgpu';
  const per = gpu
    ? f.schedule(lineThreads, () => ({ threads: 64 })).threads
    : f.schedule(lineChunks, () => ({ lines: Math.max(1, Math.floor(4096 / Math.max(1, domain[axis]!.extent.hi))) })).lines;
  const { grid, id } = linearGrid(sizeCeilDiv(exprSize(count), per), Math.ceil(Math.max(1, count.hi) / per), ctx.target);
  const line = variable('line', gpu ? 'let' : 'loop', 'i32', [0, Math.max(0, count.hi - 1)]);
  const at = delinearize(
    line,
    lines.map((l) => l.extent),
  );
  const acc = variable('acc', 'mutable', scalarOf(out.dtype));
  const step = variable('k', 'loop', 'i32', [0, Math.max(0, domain[axis]!.extent.hi - 1)]);
  const extent = domain[axis]!.extent;
  const position = reverse ? sub(sub(extent, i32(1)), step) : step;
  const index = domain.map((a, i) => (i === axis ? position : (a.v as Expr)));
  const inner: Stmt[] = [];
  f.em.within(inner, () => {
    const e = f.em.value(x, index);
    const next = combine(fn, acc, e);
    const address = add(f.baseOf(out), linearize(index, out.shape, ctx.symbols));
    inner.push(...(exclusive ? [store(f.memoryOf(out), address, acc), assign(acc, next)] : [assign(acc, next), store(f.memoryOf(out), address, acc)]));
  });
  const body: Stmt[] = [...lines.map((l, i) => letVar(l.v, at[i]!)), mutable(acc, identityOf(fn, out.dtype)), forLoop(step, i32(0), extent, inner)];
  if (gpu) {
    const local = variable('local0', 'local', 'i32', [0, per - 1]);
    // The guard asks the unbounded expression: the variable's range holds only behind the guard.
    const raw = add(mul(id, i32(per)), local);
    return f.finish([letVar(line, raw), ...ifThen(compare('lt', raw, count), body)], {
      grid,
      workgroupSize: [per, 1, 1],
    });
  }
  const begin = mul(id, i32(per));
  return f.finish([forLoop(line, begin, min(add(begin, i32(per)), count), body)], { grid });
}
