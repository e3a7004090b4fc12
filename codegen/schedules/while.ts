/**
 * while: one kernel with one group, since only the device knows how often it runs. The regions of condition and body run one after the other: on WASM on one thread, on WebGPU on one
 * workgroup, whose threads share the elements of each region, with a barrier after each. Carried values alternate between two slots, so that nothing reads what the same step writes.
 * The condition meets in workgroup memory, where all threads read it alike. Loops inside the body (scan or while) are loops inside the kernel, by the same means.
 * Where the operands lie in more buffers than the device binds, they are copied to the arena before and the results are copied out after.
 */
import { evalDim } from '../../ir/dim.js';
import { InternalError, UnsupportedError } from '../../ir/errors.js';
import type { Graph, NodeOf, Value } from '../../ir/graph.js';
import { defaultFuseOptions, fuse } from '../../passes/fuse.js';
import { isolateRoots } from '../../passes/isolate-roots.js';
import type { FusedGraph, Region } from '../../passes/regions.js';
import type { SizeExpr } from '../../runtime/plan.js';
import { add, cast, compare, type Expr, i32, load, mul, rem, resetExpressions, sub, type VarExpr, variable } from '../kernel/expr.js';
import { assign, barrier, forLoop, ifThen, type Kernel, type Memory, mutable, type Stmt, store, storeAll } from '../kernel/ir.js';
import { substituteStmts } from '../kernel/walk.js';
import { ElementEmitter, type Place } from '../lower/element.js';
import { figuresOf, globalMemory, kernelName, type LowerContext, type LoweredArg, scheduleFor, storageOf, symbolsIn, type Temp } from '../lower/frame.js';
import type { LoweredRegion, LoweredStep } from '../lower/region.js';
import { delinearize, dimExpr, linearize, sizeAdd } from '../lower/space.js';
import { whileGroup } from '../schedule-families.js';
import { mergeAxes } from './grid.js';
import { axesOf } from './map.js';
import { buffersOf, copyKernel, elements, placeIntermediates, retarget } from './nested.js';

type LoopNode = NodeOf<'scan'> | NodeOf<'while'>;

/** One group that runs loops: where values lie, the memories it touches, and the statements of regions and of loops. */
class OneGroup {
  readonly temps: Temp[] = [];
  readonly locals: Memory[] = [];
  readonly args: LoweredArg[] = [];
  readonly origins = new Set<string>();
  private readonly storage = new Map<Value, Value | Temp>();
  private readonly bases = new Map<Value, () => Expr>();
  private readonly memories = new Map<Value | Temp, Memory>();
  private readonly meet: readonly Stmt[];

  constructor(
    private readonly ctx: LowerContext,
    private readonly thread: Expr | null,
    private readonly threads: number,
    private readonly results: ReadonlySet<Value>,
  ) {
    this.meet = thread ? [barrier] : [];
  }

  /** A value from outside: it lies where the plan says, or in a copy of it. */
  outer(v: Value, at: Value | Temp): void {
    this.storage.set(v, at);
    const base = this.ctx.bases.get(v);
    if (base && at === v) this.bases.set(v, base);
  }

  memory(a: LoweredArg): Memory {
    return this.memories.get(a.value)!;
  }

  /** All steps of a loop whose operands have places. Results that have none are not wanted. */
  loop(n: LoopNode): Stmt[] {
    if (n.origin) this.origins.add(n.origin);
    return n.op === 'scan' ? this.scan(n) : this.while(n);
  }

  /** One step's operations, of the innermost loops. */
  flops: SizeExpr = 0;

  private fuse(graph: Graph): FusedGraph {
    // Reductions end their region: what reads one again for each element of a row would compute it again each time.
    const fused = fuse(isolateRoots(graph, true), { ...defaultFuseOptions, maxRow: 0, maxBuffers: this.ctx.target.maxStorageBuffers });
    for (const n of fused.graph.nodes) {
      if (n.op === 'constant' && n.attrs.value.data.length > 1)
        throw new InternalError(`${n.origin}: a tensor constant in a loop, which lift-constants takes out`);
      if (n.origin) this.origins.add(n.origin);
    }
    return fused;
  }

  private temp(name: string, like: Pick<Value, 'dtype' | 'shape'>, slots = 0): Temp {
    const t: Temp = { name: `${name}${this.temps.length}`, dtype: like.dtype, shape: slots > 0 ? [slots, ...like.shape] : like.shape };
    this.temps.push(t);
    return t;
  }

  private memoryOf(o: Value | Temp): Memory {
    let m = this.memories.get(o);
    if (!m) {
      const written = !('id' in o) || this.results.has(o);
      const access = written ? 'read_write' : 'read';
      m = globalMemory('id' in o ? `${written ? 'out' : 'in'}${this.memories.size}` : o.name, o, access, this.ctx);
      this.memories.set(o, m);
      this.args.push({ value: o, access });
    }
    return m;
  }

  private has(v: Value): boolean {
    return this.storage.has(v);
  }

  private place(v: Value): Place {
    const at = this.storage.get(v);
    if (!at) throw new InternalError(`${v.producer?.op ?? 'input'} ${v.producer?.origin ?? ''} has no place in its loop`);
    return { memory: this.memoryOf(at), base: this.bases.get(v)?.() ?? i32(0) };
  }

  /** A value inside a loop that is (a part of) one outside. */
  private bindInput(n: LoopNode, name: string, inside: Value, outer: Value, base: () => Expr): void {
    const at = this.storage.get(outer)!;
    if (storageOf(inside) !== storageOf(at))
      throw new UnsupportedError(`${n.origin || n.op}: operand '${name}' is a computed ${outer.dtype}; cast it to int32`);
    this.storage.set(inside, at);
    this.bases.set(inside, base);
  }

  private copy(from: Place, to: Place, v: Value): Stmt {
    const count = elements(v, this.ctx);
    const e = variable('e', 'loop', 'i32', [0, Math.max(0, count.hi - 1)]);
    const one = store(to.memory, add(to.base, e), load(from.memory, add(from.base, e)));
    return this.thread ? forLoop(e, this.thread, count, [one], { step: this.threads }) : forLoop(e, i32(0), count, [one], { parallel: true });
  }

  /** The carried values' two slots; copies of the initial values into the first, and of the last into the results. `done`: steps done so far. */
  private carry(n: LoopNode, graphs: readonly FusedGraph[], body: FusedGraph, done: () => Expr, total: () => Expr): { before: Stmt[]; after: () => Stmt[] } {
    const temps = body.graph.inputs.slice(0, n.attrs.carries).map((p) => this.temp('carry', p.value, 2));
    const slot = (offset: number, v: Value, at: () => Expr) => (): Expr => mul(rem(add(at(), i32(offset)), i32(2)), elements(v, this.ctx));
    temps.forEach((temp, i) => {
      for (const g of graphs) {
        const p = g.graph.inputs[i]!;
        if (storageOf(p.value) !== storageOf(temp))
          throw new UnsupportedError(`${n.origin || n.op}: operand '${p.name}' is a computed ${p.value.dtype}; cast it to int32`);
        this.storage.set(p.value, temp);
        this.bases.set(p.value, slot(0, p.value, done));
      }
      const out = body.graph.outputs[i]!.value;
      this.storage.set(out, temp);
      this.bases.set(out, slot(1, out, done));
    });
    const at = (i: number, base: Expr): Place => ({ memory: this.memoryOf(temps[i]!), base });
    return {
      before: [...temps.map((_, i) => this.copy(this.place(n.inputs[i]!), at(i, i32(0)), n.inputs[i]!)), ...this.meet],
      after: () => {
        const copies = temps.flatMap((_, i) =>
          this.has(n.outputs[i]!) ? [this.copy(at(i, slot(0, n.inputs[i]!, total)()), this.place(n.outputs[i]!), n.inputs[i]!)] : [],
        );
        return copies.length > 0 ? [...copies, ...this.meet] : [];
      },
    };
  }

  /** An operand that is the same in every step. */
  private constant(n: LoopNode, graph: Graph, i: number): void {
    const [p, outer] = [graph.inputs[i]!, n.inputs[i]!];
    this.bindInput(n, p.name, p.value, outer, () => this.bases.get(outer)?.() ?? i32(0));
  }

  private while(n: NodeOf<'while'>): Stmt[] {
    const { carries } = n.attrs;
    const [cond, body] = [this.fuse(n.attrs.cond), this.fuse(n.attrs.body)];
    const step = variable('step', 'mutable', 'i32');
    const { before, after } = this.carry(
      n,
      [cond, body],
      body,
      () => step,
      () => step,
    );
    for (const f of [cond, body]) for (let i = carries; i < n.inputs.length; i++) this.constant(n, f.graph, i);
    const result = cond.graph.outputs[0]!.value;
    const test = this.temp('test', result);
    this.storage.set(result, test);
    for (const f of [cond, body]) placeIntermediates(f, this.storage, this.bases, this.temps);
    const go: Memory = {
      name: this.locals.length === 0 ? 'go' : `go${this.locals.length}`,
      space: this.thread ? 'workgroup' : 'private',
      scalar: 'u32',
      storage: 'same',
      access: 'read_write',
      size: 1,
    };
    this.locals.push(go);
    const decide = (): Stmt[] => {
      const one = store(go, i32(0), cast(load(this.memoryOf(test), i32(0)), 'u32'));
      return [...this.regions(cond), ...(this.thread ? ifThen(compare('eq', this.thread, i32(0)), [one]) : [one]), ...this.meet];
    };
    return [
      mutable(step, i32(0)),
      ...before,
      ...decide(),
      {
        kind: 'while',
        cond: compare('ne', load(go, i32(0)), cast(i32(0), 'u32')),
        body: [...this.regions(body), assign(step, add(step, i32(1))), ...decide()],
      },
      ...after(),
    ];
  }

  private scan(n: NodeOf<'scan'>): Stmt[] {
    const { carries, xs, length, reverse } = n.attrs;
    const body = this.fuse(n.attrs.body);
    const total = dimExpr(length, this.ctx.symbols);
    const step: VarExpr = variable('step', 'loop', 'i32', [0, Math.max(0, evalDim(length, this.ctx.symbols) - 1)]);
    const t = (): Expr => (reverse ? sub(sub(total, i32(1)), step) : step);
    const { before, after } = this.carry(
      n,
      [body],
      body,
      () => step,
      () => total,
    );
    for (let i = carries; i < n.inputs.length; i++) {
      const [p, outer] = [body.graph.inputs[i]!, n.inputs[i]!];
      if (i < carries + xs) this.bindInput(n, p.name, p.value, outer, () => add(this.bases.get(outer)?.() ?? i32(0), mul(t(), elements(p.value, this.ctx))));
      else this.constant(n, body.graph, i);
    }
    body.graph.outputs.slice(carries).forEach((o, j) => {
      const outer = n.outputs[carries + j]!;
      // a sequence that nobody reads still needs memory
      const at = this.storage.get(outer) ?? this.temp('unread', outer);
      this.storage.set(o.value, at);
      this.bases.set(o.value, () => add(this.bases.get(outer)?.() ?? i32(0), mul(t(), elements(o.value, this.ctx))));
    });
    placeIntermediates(body, this.storage, this.bases, this.temps);
    return [...before, forLoop(step, i32(0), total, this.regions(body)), ...after()];
  }

  private regions(f: FusedGraph): Stmt[] {
    return f.regions.flatMap((r) => {
      if (r.kind === 'loop' && (r.hero?.op === 'scan' || r.hero?.op === 'while')) return this.loop(r.hero);
      this.flops = sizeAdd(this.flops, figuresOf(r).flops);
      return this.region(r);
    });
  }

  /** All elements of the outputs of a region. */
  private region(r: Region): Stmt[] {
    const { ctx, thread } = this;
    const shapes = new Map<string, Value[]>();
    for (const v of r.outputs) shapes.set(v.shape.join(), [...(shapes.get(v.shape.join()) ?? []), v]);
    const out = [...shapes.values()].map((group): Stmt[] => {
      const em = new ElementEmitter(new Map(r.inputs.map((v) => [v, this.place(v)])), ctx.symbols, []);
      const axes = axesOf(group[0]!.shape, em);
      const index = axes.map((a) => a.v);
      const inner: Stmt[] = [];
      em.within(inner, () => {
        const values = group.map((v) => em.value(v, index));
        inner.push(
          ...storeAll(
            group.map((v, i) => {
              const at = this.place(v);
              return { memory: at.memory, index: add(at.base, linearize(index, v.shape, ctx.symbols)), value: values[i]! };
            }),
          ),
        );
      });
      if (!thread) {
        const merged = mergeAxes(axes, inner);
        return [...[...merged.axes].reverse().reduce<readonly Stmt[]>((s, a, i) => [forLoop(a.v, i32(0), a.extent, s, { parallel: i === 0 })], merged.stmts)];
      }
      const total = axes.reduce<Expr>((a, x) => mul(a, x.extent), i32(1));
      const e = variable('e', 'loop', 'i32', [0, Math.max(0, total.hi - 1)]);
      const parts = delinearize(
        e,
        axes.map((a) => a.extent),
      );
      return [forLoop(e, thread, total, substituteStmts(inner, new Map<Expr, Expr>(axes.map((a, i) => [a.v, parts[i]!]))), { step: this.threads })];
    });
    return [...out.flat(), ...this.meet];
  }
}

export function lowerWhile(region: Region, ctx: LowerContext): LoweredRegion {
  const n = region.hero;
  if (n?.op !== 'while') throw new InternalError('while region without while');
  const gpu = ctx.target.kind === 'webgpu';
  const packed = gpu && buffersOf([...n.inputs, ...region.outputs], ctx) > ctx.target.maxStorageBuffers;
  const copies = new Map<Value, Temp>();
  const [before, after]: [LoweredStep[], LoweredStep[]] = [[], []];
  if (packed) {
    [...new Set([...n.inputs, ...region.outputs])].forEach((v, i) => copies.set(v, { name: `packed${i}`, dtype: v.dtype, shape: v.shape }));
    for (const [v, temp] of copies) {
      const stand: Value = { ...v, producer: null };
      if (region.outputs.includes(v)) after.push({ kind: 'kernel', kernel: retarget(copyKernel(stand, v, ctx, ctx.bases), stand, temp) });
      else before.push({ kind: 'kernel', kernel: retarget(copyKernel(v, stand, ctx, ctx.bases), stand, temp) });
    }
    resetExpressions();
  }
  const { p, text: schedule } = scheduleFor(
    region,
    ctx,
    whileGroup,
    () => ({ threads: gpu ? 256 : 1 }),
    ({ threads: t }) => (gpu || t === 1 ? null : 'one thread runs it'),
  );
  const { threads } = p;
  const group = new OneGroup(ctx, gpu ? variable('local0', 'local', 'i32', [0, threads - 1]) : null, threads, new Set(region.outputs));
  for (const v of [...n.inputs, ...region.outputs]) group.outer(v, copies.get(v) ?? v);
  const body = group.loop(n);
  const kernel: Kernel = {
    name: kernelName(region),
    notes: [group.origins.size > 0 ? `fuses ${[...group.origins].join(', ')}` : 'no origin', schedule],
    args: group.args.map((a) => group.memory(a)),
    symbols: [...symbolsIn(body)].sort(),
    grid: [1, 1, 1],
    workgroupSize: [threads, 1, 1],
    locals: group.locals,
    body,
  };
  // one step's work: how many there are is not known here
  const figures = { ...figuresOf({ ...region, inputs: [...new Set(n.inputs)] }), flops: group.flops };
  return {
    temps: [...copies.values(), ...group.temps],
    steps: [...before, { kind: 'kernel', kernel: { kernel, args: group.args, schedule, parallel: false, figures } }, ...after],
  };
}
