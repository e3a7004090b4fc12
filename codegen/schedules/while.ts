/**
 * while: one kernel with one group, since only the device knows how often it runs. The regions of condition and body run one after the other: on WASM on one thread, on WebGPU on one
 * workgroup, whose threads share the elements of each region, with a barrier after each. Carried values alternate between two slots, so that nothing reads what the same step writes.
 * The condition meets in workgroup memory, where all threads read it alike.
 */
import { InternalError, UnsupportedError } from '../../ir/errors.js';
import type { Graph, NodeOf, Value } from '../../ir/graph.js';
import { defaultFuseOptions, fuse } from '../../passes/fuse.js';
import { isolateRoots } from '../../passes/isolate-roots.js';
import type { FusedGraph, Region } from '../../passes/regions.js';
import { add, cast, compare, type Expr, i32, load, mul, rem, variable } from '../kernel/expr.js';
import { assign, barrier, forLoop, ifThen, type Kernel, type Memory, mutable, type Stmt, store, storeAll } from '../kernel/ir.js';
import { substituteStmts } from '../kernel/walk.js';
import { ElementEmitter, type Place } from '../lower/element.js';
import { figuresOf, globalMemory, kernelName, type LowerContext, type LoweredArg, storageOf, symbolsIn, type Temp } from '../lower/frame.js';
import type { LoweredRegion } from '../lower/region.js';
import { delinearize, linearize } from '../lower/space.js';
import { mergeAxes } from './grid.js';
import { elements, placeIntermediates } from './loop.js';
import { axesOf } from './map.js';

/** The body or the condition, fused. Reductions end their region: what reads one again for each element of a row would compute it again each time. */
function fuseInside(what: string, graph: Graph, n: NodeOf<'while'>, ctx: LowerContext): FusedGraph {
  const where = `${n.origin || 'while'}: its ${what}`;
  const fused = fuse(isolateRoots(graph, true), { ...defaultFuseOptions, maxRow: 0, maxBuffers: ctx.target.maxStorageBuffers });
  for (const node of fused.graph.nodes) {
    if (node.op === 'scan' || node.op === 'while') throw new UnsupportedError(`${where} holds a ${node.op}, which cannot be compiled inside a while`);
    if (node.op === 'constant' && node.attrs.value.data.length > 1)
      throw new UnsupportedError(`${where} holds a constant of ${node.attrs.value.data.length} elements; hand it in as an operand`);
  }
  return fused;
}

export function lowerWhile(region: Region, ctx: LowerContext): LoweredRegion {
  const n = region.hero;
  if (n?.op !== 'while') throw new InternalError('while region without while');
  const { carries } = n.attrs;
  const gpu = ctx.target.kind === 'webgpu';
  const threads = gpu ? 256 : 1;
  const thread = gpu ? variable('local0', 'local', 'i32', [0, threads - 1]) : null;
  const step = variable('step', 'mutable', 'i32');
  const [cond, body] = [fuseInside('condition', n.attrs.cond, n, ctx), fuseInside('body', n.attrs.body, n, ctx)];
  // where values lie
  const storage = new Map<Value, Value | Temp>();
  const bases = new Map<Value, () => Expr>();
  const carried = body.graph.inputs.slice(0, carries).map((p, i): Temp => ({ name: `carry${i}`, dtype: p.value.dtype, shape: [2, ...p.value.shape] }));
  const test: Temp = { name: 'test', dtype: 'bool', shape: [] };
  const temps: Temp[] = [...carried, test];
  const slot = (offset: number, v: Value) => (): Expr => mul(rem(add(step, i32(offset)), i32(2)), elements(v, ctx));
  for (const graph of [cond.graph, body.graph]) {
    graph.inputs.forEach((p, i) => {
      const outer = n.inputs[i]!;
      if (storageOf(p.value) !== (i < carries ? storageOf(carried[i]!) : storageOf(outer)))
        throw new UnsupportedError(`${n.origin || 'while'}: operand '${p.name}' is a computed ${outer.dtype}; cast it to int32`);
      storage.set(p.value, i < carries ? carried[i]! : outer);
      bases.set(p.value, i < carries ? slot(0, p.value) : (ctx.bases.get(outer) ?? (() => i32(0))));
    });
  }
  body.graph.outputs.forEach((o, i) => {
    storage.set(o.value, carried[i]!);
    bases.set(o.value, slot(1, o.value));
  });
  storage.set(cond.graph.outputs[0]!.value, test);
  for (const f of [cond, body]) placeIntermediates(f, storage, bases, temps);
  // memory for each place
  const memories = new Map<Value | Temp, Memory>();
  const args: LoweredArg[] = [];
  const written = new Set<Value | Temp>([...temps, ...n.outputs]);
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
  const placeOf = (v: Value): Place => ({ memory: memoryOf(storage.get(v)!), base: bases.get(v)?.() ?? i32(0) });
  const meet = gpu ? [barrier] : [];

  /** All elements of the outputs of a region. */
  const regionStatements = (r: Region): Stmt[] => {
    const shapes = new Map<string, Value[]>();
    for (const v of r.outputs) shapes.set(v.shape.join(), [...(shapes.get(v.shape.join()) ?? []), v]);
    const out = [...shapes.values()].map((group): Stmt[] => {
      const em = new ElementEmitter(new Map(r.inputs.map((v) => [v, placeOf(v)])), ctx.symbols, []);
      const axes = axesOf(group[0]!.shape, em);
      const index = axes.map((a) => a.v);
      const inner: Stmt[] = [];
      em.within(inner, () => {
        const values = group.map((v) => em.value(v, index));
        inner.push(
          ...storeAll(
            group.map((v, i) => ({ memory: placeOf(v).memory, index: add(placeOf(v).base, linearize(index, v.shape, ctx.symbols)), value: values[i]! })),
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
      return [forLoop(e, thread, total, substituteStmts(inner, new Map<Expr, Expr>(axes.map((a, i) => [a.v, parts[i]!]))), { step: threads })];
    });
    return [...out.flat(), ...meet];
  };
  const copy = (from: Place, to: Place, v: Value): Stmt => {
    const count = elements(v, ctx);
    const e = variable('e', 'loop', 'i32', [0, Math.max(0, count.hi - 1)]);
    const one = store(to.memory, add(to.base, e), load(from.memory, add(from.base, e)));
    return thread ? forLoop(e, thread, count, [one], { step: threads }) : forLoop(e, i32(0), count, [one], { parallel: true });
  };
  const outerPlace = (v: Value): Place => ({ memory: memoryOf(v), base: ctx.bases.get(v)?.() ?? i32(0) });

  const go: Memory = { name: 'go', space: gpu ? 'workgroup' : 'private', scalar: 'u32', storage: 'same', access: 'read_write', size: 1 };
  const decide = (): Stmt[] => {
    const one = store(go, i32(0), cast(load(memoryOf(test), i32(0)), 'u32'));
    return [...cond.regions.flatMap(regionStatements), ...(thread ? ifThen(compare('eq', thread, i32(0)), [one]) : [one]), ...meet];
  };
  const statements: Stmt[] = [
    mutable(step, i32(0)),
    ...carried.map((temp, i) => copy(outerPlace(n.inputs[i]!), { memory: memoryOf(temp), base: i32(0) }, n.inputs[i]!)),
    ...meet,
    ...decide(),
    {
      kind: 'while',
      cond: compare('ne', load(go, i32(0)), cast(i32(0), 'u32')),
      body: [...body.regions.flatMap(regionStatements), assign(step, add(step, i32(1))), ...decide()],
    },
    ...carried.flatMap((temp, i) =>
      region.outputs.includes(n.outputs[i]!) ? [copy({ memory: memoryOf(temp), base: slot(0, n.inputs[i]!)() }, outerPlace(n.outputs[i]!), n.inputs[i]!)] : [],
    ),
  ];
  const schedule = gpu ? `while, a workgroup(${threads}) runs all steps` : 'while, one thread runs all steps';
  const origins = [...new Set([...body.graph.nodes, ...cond.graph.nodes, n].map((x) => x.origin).filter(Boolean))];
  const kernel: Kernel = {
    name: kernelName(region),
    notes: [origins.length > 0 ? `fuses ${origins.join(', ')}` : 'no origin', schedule],
    args: args.map((a) => memories.get(a.value)!),
    symbols: [...symbolsIn(statements)].sort(),
    grid: [1, 1, 1],
    workgroupSize: [threads, 1, 1],
    locals: [go],
    body: statements,
  };
  // one step's work: how many there are is not known here
  const flops = body.regions
    .map((r) => figuresOf(r).flops)
    .reduce((a, b) => (typeof a === 'number' && typeof b === 'number' ? a + b : { op: 'add', args: [a, b] }), 0);
  const figures = { ...figuresOf({ ...region, inputs: [...new Set(n.inputs)] }), flops };
  return { temps, steps: [{ kind: 'kernel', kernel: { kernel, args, schedule, parallel: false, figures } }] };
}
