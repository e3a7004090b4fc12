/** What every schedule starts from: the region's values as kernel arguments, an element emitter over them, and the finished kernel with its figures. */
import type { Dim, Shape } from '../../ir/dim.js';
import { type DType, storageBytes } from '../../ir/dtype.js';
import { InternalError } from '../../ir/errors.js';
import type { Node, Value } from '../../ir/graph.js';
import { isContraction, type Region } from '../../passes/regions.js';
import type { KernelFigures, SizeExpr } from '../../runtime/plan.js';
import { type Expr, i32, varsOf } from '../kernel/expr.js';
import { blocksOf, exprsOf, type Kernel, type Memory, type Stmt } from '../kernel/ir.js';
import type { Family, ParametersOf, Slots } from '../schedule.js';
import { type Choice, Schedules } from '../schedule-choice.js';
import type { TargetInfo } from '../target.js';
import { contractionIndices } from './contraction-indices.js';
import { ElementEmitter, type Place } from './element.js';
import { scalarOf } from './scalar.js';
import { dimExpr, dimSize, maxSize, type SymbolMax, shapeSize, sizeAdd, sizeMul } from './space.js';

/** What lowering needs to know about its surroundings. */
export interface LowerContext {
  readonly target: TargetInfo;
  readonly symbols: SymbolMax;
  /** Element index at which a value begins, where not 0 (slices of a sequence inside a loop). */
  readonly bases: ReadonlyMap<Value, () => Expr>;
  /** Values that begin inside another at an element whose number is no multiple of 4. */
  readonly unaligned?: ReadonlySet<Value>;
  /** The buffer that a value will lie in, by any name; scratch is in `arena`. Default: each value in one of its own. */
  readonly bufferOf?: (v: Value) => string;
  /** The schedules handed in and those in use; default: every region has the default of its family. */
  readonly schedules?: Schedules;
}

/** The schedule of a region. */
export const scheduleFor = <S extends Slots>(
  region: Region,
  ctx: LowerContext,
  family: Family<S>,
  choose: () => ParametersOf<S>,
  fits?: (p: ParametersOf<S>) => string | null,
): Choice<S> => (ctx.schedules ?? new Schedules()).pick(region, ctx, family, choose, fits);

/** Scratch in the arena that lives between two kernels of one region (partial sums). */
export interface Temp {
  readonly name: string;
  readonly dtype: Value['dtype'];
  readonly shape: Shape;
}

export interface LoweredArg {
  readonly value: Value | Temp;
  readonly access: 'read' | 'write' | 'read_write';
}

export interface LoweredKernel {
  readonly kernel: Kernel;
  readonly args: readonly LoweredArg[];
  /** The schedule as text (schedule.ts). */
  readonly schedule: string;
  readonly figures: KernelFigures;
  /** Worth splitting over threads. */
  readonly parallel: boolean;
}

/** 8- and 16-bit integers are packed where the host writes them (inputs, state, constants); what kernels compute of them lies in 32 bits, since parts of words cannot be stored everywhere. */
const packedStorage: Partial<Record<DType, Memory['storage']>> = { int8: 'i8', uint8: 'u8', int16: 'i16', uint16: 'u16' };

function isPacked(v: Value | Temp): boolean {
  if (!(v.dtype in packedStorage)) return false;
  if (!('id' in v)) return false;
  let base = v;
  while (base.producer?.op === 'reshape') base = base.producer.inputs[0]!;
  return !base.producer || base.producer.op === 'constant';
}

export const storageOf = (v: Value | Temp): Memory['storage'] => (v.dtype === 'bool' ? 'bool32' : isPacked(v) ? packedStorage[v.dtype]! : 'same');

/** The memory of a tensor argument. */
export const globalMemory = (name: string, v: Value | Temp, access: LoweredArg['access'], ctx: LowerContext): Memory => ({
  name,
  space: 'global',
  scalar: scalarOf(v.dtype),
  storage: storageOf(v),
  access,
  size: maxSize(v.shape, ctx.symbols),
  ...('id' in v && ctx.unaligned?.has(v) ? { unaligned: true } : {}),
});

/** Bytes of one element in memory. */
export const storedBytes = (v: Value | Temp): number => (isPacked(v) ? storageBytes[v.dtype] : Math.max(4, storageBytes[v.dtype]));

/** Symbols (plan symbols by name) that statements read. */
export function symbolsIn(stmts: readonly Stmt[], out = new Set<string>()): Set<string> {
  const note = (e: Expr): void => {
    for (const v of varsOf(e)) if (v.role === 'symbol') out.add(v.name);
  };
  for (const s of stmts) {
    for (const e of exprsOf(s)) note(e);
    for (const b of blocksOf(s)) symbolsIn(b, out);
  }
  return out;
}

/** Memories that statements load from or store to. */
export function memoriesIn(stmts: readonly Stmt[], read: Set<Memory>, written: Set<Memory>, seen = new Set<Expr>()): void {
  const note = (e: Expr): void => {
    if (seen.has(e)) return;
    seen.add(e);
    if (e.kind === 'load') read.add(e.memory);
    for (const a of e.args) note(a);
  };
  for (const s of stmts) {
    for (const e of exprsOf(s)) note(e);
    if (s.kind === 'store') written.add(s.memory);
    for (const b of blocksOf(s)) memoriesIn(b, read, written, seen);
  }
}

export class Frame {
  readonly places = new Map<Value, Place>();
  readonly block: Stmt[] = [];
  readonly em: ElementEmitter;
  private readonly memories: { memory: Memory; arg: LoweredArg }[] = [];
  private readonly outs = new Map<Value | Temp, Memory>();
  private readonly locals: Memory[] = [];
  private chosen: string | null = null;

  constructor(
    readonly region: Region,
    readonly ctx: LowerContext,
    extra: { readonly reads?: readonly Temp[]; readonly writes?: readonly Temp[] } = {},
  ) {
    region.inputs.forEach((v, i) => {
      const memory = this.global(`in${i}`, v, 'read');
      this.places.set(v, { memory, base: ctx.bases.get(v)?.() ?? i32(0) });
    });
    for (const t of extra.reads ?? []) this.outs.set(t, this.global(t.name, t, 'read'));
    for (const t of extra.writes ?? []) this.outs.set(t, this.global(t.name, t, 'write'));
    region.outputs.forEach((v, i) => this.outs.set(v, this.global(`out${i}`, v, 'write')));
    this.em = new ElementEmitter(this.places, ctx.symbols, this.block);
  }

  private global(name: string, v: Value | Temp, access: LoweredArg['access']): Memory {
    const memory = globalMemory(name, v, access, this.ctx);
    this.memories.push({ memory, arg: { value: v, access } });
    return memory;
  }

  /** Memory of an output or temp. */
  memoryOf(v: Value | Temp): Memory {
    const m = this.outs.get(v);
    if (!m) throw new InternalError('value is no output of the region');
    return m;
  }

  /** Element index in an output's memory. */
  baseOf(v: Value): Expr {
    return this.ctx.bases.get(v)?.() ?? i32(0);
  }

  local(name: string, space: 'workgroup' | 'private', scalar: Memory['scalar'], size: number): Memory {
    const memory: Memory = { name, space, scalar, storage: 'same', access: 'read_write', size };
    this.locals.push(memory);
    return memory;
  }

  dim(d: Dim): Expr {
    return dimExpr(d, this.ctx.symbols);
  }

  /** Decides the region's schedule (`finish` names it in the kernel) and gives its parameters. */
  schedule<S extends Slots>(family: Family<S>, choose: () => ParametersOf<S>, fits?: (p: ParametersOf<S>) => string | null): ParametersOf<S> {
    const { p, text } = scheduleFor(this.region, this.ctx, family, choose, fits);
    this.chosen = text;
    return p;
  }

  finish(body: readonly Stmt[], o: { grid: Kernel['grid']; workgroupSize?: Kernel['workgroupSize']; parallel?: boolean }): LoweredKernel {
    const schedule = this.chosen;
    if (schedule === null) throw new InternalError(`a ${this.region.kind} region without schedule`);
    const read = new Set<Memory>();
    const written = new Set<Memory>();
    memoriesIn(body, read, written);
    const used = this.memories.filter((m) => read.has(m.memory) || written.has(m.memory));
    const origins = [...new Set(this.region.nodes.map((n) => n.origin).filter(Boolean))];
    const work = workOf(this.region, this.ctx.symbols);
    const kernel: Kernel = {
      name: kernelName(this.region),
      notes: [origins.length > 0 ? `fuses ${origins.join(', ')}` : 'no origin', schedule],
      args: used.map((m) => m.memory),
      symbols: [...symbolsIn(body)].sort(),
      grid: o.grid,
      workgroupSize: o.workgroupSize ?? [1, 1, 1],
      locals: this.locals,
      body,
    };
    return {
      kernel,
      args: used.map((m) => m.arg),
      schedule,
      figures: figuresOf(this.region),
      parallel: o.parallel ?? work > 60000,
    };
  }
}

/** A readable name: what it mainly does and for which layer. */
export function kernelName(r: Region): string {
  const main = r.hero ?? r.nodes.at(-1)!;
  const clean = (s: string): string => s.replace(/[^A-Za-z0-9]+/g, '_').replace(/^_+|_+$/g, '');
  const origin = clean(main.origin.split('/').slice(0, 2).join('_'));
  const what = main.op === 'unary' || main.op === 'binary' || main.op === 'reduce' ? `${main.op === 'reduce' ? 'reduce_' : ''}${main.attrs.fn}` : main.op;
  return clean(`${origin}_${what}`) || 'kernel';
}

const cost = (n: Node): number => (n.op === 'random_bits' ? 60 : n.op === 'unary' && !['neg', 'abs', 'not'].includes(n.attrs.fn) ? 10 : 1);

/** Floating-point operations of one node; multiply-adds count two, transcendental functions one. */
function nodeFlops(n: Node): SizeExpr {
  const out = n.outputs[0]!;
  switch (n.op) {
    case 'dot':
    case 'conv': {
      const k = contractionIndices(n, { dim: () => i32(1) }).reduce.reduce<SizeExpr>((a, d) => sizeMul(a, dimSize(d)), 1);
      return sizeMul(sizeMul(shapeSize(out.shape), k), 2);
    }
    case 'reduce':
    case 'arg_reduce':
      return shapeSize(n.inputs[0]!.shape);
    case 'reduce_window':
    case 'select_and_scatter':
      return sizeMul(
        shapeSize(out.shape),
        n.attrs.window.reduce((a, b) => a * b, 1),
      );
    case 'unary':
    case 'binary':
    case 'compare':
    case 'select':
      return shapeSize(out.shape);
    case 'scatter':
      return shapeSize(n.inputs[2]!.shape);
    default:
      return 0;
  }
}

const bytesOf = (v: Value): SizeExpr => sizeMul(shapeSize(v.shape), storedBytes(v));

/** Bytes that a region reads of an input: gathered rows only, not the whole table. */
function bytesRead(r: Region, v: Value): SizeExpr {
  const readers = r.nodes.filter((n) => n.inputs.includes(v));
  const gathers = readers.filter((n) => n.op === 'gather' && n.inputs[0] === v && n.inputs[1] !== v);
  if (gathers.length > 0 && gathers.length === readers.length) return gathers.map((n) => bytesOf(n.outputs[0]!)).reduce((a, b) => sizeAdd(a, b));
  const slices = sliceReads(r, v);
  return slices ?? bytesOf(v);
}

/** Where an input is only read through slices (a layer's weight in the flat parameters): the bytes of the slices. */
function sliceReads(r: Region, v: Value): SizeExpr | null {
  let total: SizeExpr = 0;
  const seen = new Set<Value>();
  const walk = (x: Value): boolean => {
    if (x === v) return false;
    if (seen.has(x) || !x.producer) return true;
    seen.add(x);
    const n = x.producer;
    if (n.op === 'slice' && n.inputs[0] === v) {
      total = sizeAdd(total, bytesOf(x));
      return true;
    }
    return n.inputs.every(walk);
  };
  const inside = new Set(r.inputs);
  for (const n of r.nodes) for (const i of n.inputs) if (i === v ? true : !inside.has(i) && !walk(i)) return null;
  return total === 0 ? null : total;
}

export function figuresOf(r: Region): KernelFigures {
  return {
    flops: r.nodes.map(nodeFlops).reduce((a, b) => sizeAdd(a, b), 0),
    bytesRead: r.inputs.map((v) => bytesRead(r, v)).reduce((a, b) => sizeAdd(a, b), 0),
    bytesWritten: r.outputs.map(bytesOf).reduce((a, b) => sizeAdd(a, b), 0),
  };
}

/** Rough work of a region at the symbols' maximum, in scalar operations. */
export function workOf(r: Region, max: SymbolMax): number {
  return r.nodes.reduce((s, n) => {
    const f = nodeFlops(n);
    const size = typeof f === 'number' ? f : 0;
    const elements = maxSize((n.op === 'reduce' || n.op === 'arg_reduce' ? n.inputs[0]! : n.outputs[0]!).shape, max);
    return s + (isContraction(n) ? contractionWork(n, max) : Math.max(size, elements) * cost(n));
  }, 0);
}

function contractionWork(n: Node, max: SymbolMax): number {
  const k = contractionIndices(n, { dim: () => i32(1) }).reduce;
  return (maxSize(n.outputs[0]!.shape, max) * maxSize(k, max)) / 8;
}
