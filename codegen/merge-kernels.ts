/**
 * Side-by-side fusion: kernels that do not depend on each other become one dispatch whose grid is the concatenation of theirs; each workgroup finds by its id which part it runs.
 * The parts share workgroup memory, since no workgroup runs two of them. This is how sibling projections, and the kernel and input gradients of one layer, become one kernel.
 */
import { InternalError } from '../ir/errors.js';
import type { SizeExpr } from '../runtime/plan.js';
import { add, compare, div, type Expr, i32, load, rem, type Scalar, sub, type VarExpr, variable } from './kernel/expr.js';
import { ifThen, type Kernel, letVar, type Memory, type Stmt, store } from './kernel/ir.js';
import { mapExpr, mapStmts, visitExprs, visitStmts } from './kernel/walk.js';
import type { LoweredArg, LoweredKernel } from './lower/frame.js';
import { sizeExprToExpr } from './lower/size-expr.js';
import { sizeAdd } from './lower/space.js';
import type { TargetInfo } from './target.js';

const threadsOf = (k: Kernel): number => k.workgroupSize[0] * k.workgroupSize[1] * k.workgroupSize[2];

function hasBarrier(body: readonly Stmt[]): boolean {
  let found = false;
  visitStmts(body, (s) => {
    if (s.kind === 'barrier') found = true;
  });
  return found;
}

const bytesOf: Record<Scalar, number> = { f32: 4, i32: 4, u32: 4, bool: 4, f16: 2, f64: 8, i64: 8, u64: 8 };

/** Workgroup memory that the merged kernel needs, by scalar type. */
function pooled(kernels: readonly Kernel[]): Map<Scalar, number> {
  const sizes = new Map<Scalar, number>();
  for (const k of kernels) {
    const own = new Map<Scalar, number>();
    for (const m of k.locals) if (m.space === 'workgroup') own.set(m.scalar, (own.get(m.scalar) ?? 0) + Math.ceil(m.size / 4) * 4);
    for (const [s, n] of own) sizes.set(s, Math.max(n, sizes.get(s) ?? 0));
  }
  return sizes;
}

/** Whether the kernels can share a dispatch on the target. */
export function canMerge(kernels: readonly LoweredKernel[], target: TargetInfo): boolean {
  if (kernels.some((k) => k.kernel.grid[1] !== 1 || k.kernel.grid[2] !== 1)) return false;
  const most = Math.max(...kernels.map((k) => threadsOf(k.kernel)));
  if (kernels.some((k) => threadsOf(k.kernel) !== most && hasBarrier(k.kernel.body))) return false;
  const storage = [...pooled(kernels.map((k) => k.kernel))].reduce((s, [scalar, n]) => s + n * bytesOf[scalar], 0);
  return storage <= target.maxWorkgroupStorage && kernels.reduce((s, k) => s + k.args.length, 0) <= 32;
}

export function mergeKernels(parts: readonly LoweredKernel[], symbols: Readonly<Record<string, number>>): LoweredKernel {
  if (parts.length === 1) return parts[0]!;
  const threads = Math.max(...parts.map((p) => threadsOf(p.kernel)));
  const pools = new Map<Scalar, Memory>(
    [...pooled(parts.map((p) => p.kernel))].map(([s, size]) => [
      s,
      { name: `shared_${s}`, space: 'workgroup', scalar: s, storage: 'same', access: 'read_write', size },
    ]),
  );
  const locals: Memory[] = [...pools.values()];
  const args: LoweredArg[] = [];
  const memories: Memory[] = [];
  const group = variable('group0', 'group', 'i32', [0, 2147483646]);
  const local = variable('local0', 'local', 'i32', [0, threads - 1]);
  let before: SizeExpr = 0;
  const branches = parts.map((p, i) => {
    const k = p.kernel;
    const renamed = new Map<Memory, { memory: Memory; offset: number }>();
    k.args.forEach((m, j) => {
      const memory: Memory = { ...m, name: `${m.name}_${i}` };
      renamed.set(m, { memory, offset: 0 });
      memories.push(memory);
      args.push(p.args[j]!);
    });
    const used = new Map<Scalar, number>();
    for (const m of k.locals) {
      if (m.space === 'private') {
        const memory: Memory = { ...m, name: `${m.name}_${i}` };
        renamed.set(m, { memory, offset: 0 });
        locals.push(memory);
        continue;
      }
      const offset = used.get(m.scalar) ?? 0;
      used.set(m.scalar, offset + Math.ceil(m.size / 4) * 4);
      renamed.set(m, { memory: pools.get(m.scalar)!, offset });
    }
    const start = sizeExprToExpr(before, symbols);
    const mine = variable('group', 'let', 'i32', [0, 2147483646]);
    const ids = new Map<Expr, Expr>();
    visitExprs(k.body, (e) => {
      if (e.kind !== 'var' || (e.role !== 'group' && e.role !== 'local')) return;
      ids.set(e, idOf(e, mine, local, k.workgroupSize));
    });
    const memo = new Map<Expr, Expr>();
    const at = (e: Expr): Expr => mapExpr(e, (x) => ids.get(x) ?? (x.kind === 'load' ? moved(x, renamed) : x), memo);
    const body = mapStmts(k.body, {
      expr: at,
      stmt: (s) => {
        if (s.kind !== 'store') return [s];
        const to = renamed.get(s.memory);
        return [to ? store(to.memory, to.offset === 0 ? s.index : add(s.index, i32(to.offset)), s.value) : s];
      },
    });
    const guarded = threadsOf(k) === threads ? body : ifThen(compare('lt', local, i32(threadsOf(k))), body);
    before = sizeAdd(before, k.grid[0]);
    return { body: [letVar(mine, sub(group, start)), ...guarded], end: sizeExprToExpr(before, symbols) };
  });
  const body = branches.slice(0, -1).reduceRight<Stmt[]>((rest, b) => ifThen(compare('lt', group, b.end), b.body, rest), branches.at(-1)!.body);
  const names = [...new Set(parts.map((p) => p.kernel.name))];
  const kernel: Kernel = {
    name: names.slice(0, 2).join('__') + (names.length > 2 ? `__and_${names.length - 2}` : ''),
    notes: [`fuses ${parts.map((p) => p.kernel.notes[0]!.replace(/^fuses /, '')).join(' | ')}`, ...parts.map((p) => `part: ${p.schedule}`)],
    args: memories,
    symbols: [...new Set(parts.flatMap((p) => [...p.kernel.symbols, ...symbolsOf(p.kernel.grid[0])]))].sort(),
    grid: [before, 1, 1],
    workgroupSize: [threads, 1, 1],
    locals,
    body,
  };
  return {
    kernel,
    args,
    schedule: parts.map((p) => p.schedule).join(' | '),
    parallel: parts.some((p) => p.parallel),
    figures: {
      flops: parts.map((p) => p.figures.flops).reduce((a, b) => sizeAdd(a, b)),
      bytesRead: parts.map((p) => p.figures.bytesRead).reduce((a, b) => sizeAdd(a, b)),
      bytesWritten: parts.map((p) => p.figures.bytesWritten).reduce((a, b) => sizeAdd(a, b)),
    },
  };
}

function symbolsOf(e: SizeExpr): string[] {
  if (typeof e === 'number') return [];
  return 'symbol' in e ? [e.symbol] : e.args.flatMap(symbolsOf);
}

/** A part's own group and local ids in terms of the merged ones. */
function idOf(v: VarExpr, group: Expr, local: Expr, size: readonly [number, number, number]): Expr {
  switch (v.name) {
    case 'group0':
      return group;
    case 'local0':
      return size[1] === 1 ? local : rem(local, i32(size[0]));
    case 'local1':
      return size[1] === 1 ? i32(0) : rem(div(local, i32(size[0])), i32(size[1]));
    default:
      throw new InternalError(`merged kernel uses ${v.name}`);
  }
}

const moved = (e: Extract<Expr, { kind: 'load' }>, renamed: ReadonlyMap<Memory, { memory: Memory; offset: number }>): Expr => {
  const to = renamed.get(e.memory);
  return to ? load(to.memory, to.offset === 0 ? e.args[0]! : add(e.args[0]!, i32(to.offset)), e.lanes) : e;
};
