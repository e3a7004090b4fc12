/**
 * Runs a kernel on the host, workgroup by workgroup, thread by thread between barriers, and reports what a device would leave undefined: data races in a workgroup and between
 * workgroups, reads of memory that nothing wrote, accesses out of bounds, barriers that not all threads reach, integer division by zero, and variables outside the range that
 * index simplification believed. For tests: it is slow and exact.
 */
import { evalSize } from '../../runtime/plan.js';
import { halfBits, halfValue, runTape, type Tape, tapeOf, type Value } from './evaluate.js';
import { type Expr, isInt, type VarExpr } from './expr.js';
import type { Kernel, Memory, Stmt } from './ir.js';
import { printExpr } from './print.js';
import { effectsOf } from './walk.js';

export type TypedArray = Float32Array | Float64Array | Int32Array | Uint32Array | Uint16Array | Uint8Array | Int8Array;

export interface Interpretation {
  /** Empty when the kernel is well-behaved. */
  readonly errors: string[];
}

export interface InterpretOptions {
  /** Statements after which the run is given up. Default 50 million. */
  readonly maxSteps?: number;
}

/** Runs all workgroups; results are in `args` (one array for each of kernel.args; arrays over the same ArrayBuffer alias). */
export function interpret(
  kernel: Kernel,
  args: readonly TypedArray[],
  symbols: Readonly<Record<string, number>> = {},
  options: InterpretOptions = {},
): Interpretation {
  return new Machine(kernel, args, symbols, options.maxSteps ?? 50_000_000).run();
}

const MANY = -2;
const NONE = -1;

/** Who touched each element: `writer` and `reader` are ids or NONE, or MANY readers; they count only where `when` is now. */
class Shadow {
  private readonly writers: Int32Array;
  private readonly writtenAt: Int32Array;
  private readonly readers: Int32Array;
  private readonly readAt: Int32Array;

  constructor(size: number) {
    this.writers = new Int32Array(size).fill(NONE);
    this.writtenAt = new Int32Array(size);
    this.readers = new Int32Array(size).fill(NONE);
    this.readAt = new Int32Array(size);
  }

  /** The other party of a race, or null. */
  read(i: number, who: number, now: number): number | null {
    const clash = this.writtenAt[i] === now && this.writers[i] !== who && this.writers[i] !== NONE ? this.writers[i]! : null;
    if (this.readAt[i] !== now || this.readers[i] === NONE) this.readers[i] = who;
    else if (this.readers[i] !== who) this.readers[i] = MANY;
    this.readAt[i] = now;
    return clash;
  }

  write(i: number, who: number, now: number): number | null {
    let clash: number | null = null;
    if (this.writtenAt[i] === now && this.writers[i] !== who && this.writers[i] !== NONE) clash = this.writers[i]!;
    else if (this.readAt[i] === now && this.readers[i] !== who && this.readers[i] !== NONE) clash = this.readers[i]!;
    this.writers[i] = who;
    this.writtenAt[i] = now;
    return clash;
  }
}

interface Global {
  readonly array: TypedArray;
  /** Shadows are shared by arrays over one buffer. */
  readonly threads: Shadow;
  readonly groups: Shadow;
  readonly first: number;
  readonly scale: number;
}

interface Local {
  readonly values: Float64Array;
  readonly written: Uint8Array;
}

interface Thread {
  readonly id: number;
  readonly vars: (Value | undefined)[];
  readonly privates: Map<Memory, Local>;
}

const emptyLocal = (m: Memory): Local => ({ values: new Float64Array(m.size), written: new Uint8Array(m.size) });

class Machine {
  private readonly errors: string[] = [];
  private readonly seen = new Map<string, number>();
  private readonly globals = new Map<Memory, Global>();
  private workgroup = new Map<Memory, Local>();
  private workgroupShadow = new Map<Memory, Shadow>();
  private readonly slots = new Map<VarExpr, number>();
  private readonly tapes = new Map<Expr, Tape>();
  private readonly hasBarrier = new Map<readonly Stmt[], boolean>();
  private group = 0;
  /** Groups of other phases are no party of a race. */
  private groupPhase = 0;
  private phase = 1;
  private steps = 0;
  /** The statement under way is a `let`. */
  private binding = false;
  private thread!: Thread;
  private readonly builtin: Record<string, number> = {};

  constructor(
    private readonly kernel: Kernel,
    args: readonly TypedArray[],
    private readonly symbols: Readonly<Record<string, number>>,
    private readonly maxSteps: number,
  ) {
    if (args.length !== kernel.args.length) throw new Error(`${kernel.name}: ${kernel.args.length} arguments expected, ${args.length} given`);
    const buffers = new Map<ArrayBufferLike, { unit: number; threads: Shadow; groups: Shadow }>();
    for (const a of args) {
      const unit = args.filter((b) => b.buffer === a.buffer).reduce((u, b) => Math.min(u, b.BYTES_PER_ELEMENT), 8);
      if (!buffers.has(a.buffer))
        buffers.set(a.buffer, { unit, threads: new Shadow(a.buffer.byteLength / unit), groups: new Shadow(a.buffer.byteLength / unit) });
    }
    kernel.args.forEach((m, i) => {
      const array = args[i]!;
      const { unit, threads, groups } = buffers.get(array.buffer)!;
      this.globals.set(m, { array, threads, groups, first: array.byteOffset / unit, scale: array.BYTES_PER_ELEMENT / unit });
    });
  }

  run(): Interpretation {
    const { kernel } = this;
    const grid = kernel.grid.map((g) => evalSize(g, this.symbols));
    for (const s of kernel.symbols) if (this.symbols[s] === undefined) this.report('symbol', `symbol '${s}' has no value`);
    try {
      for (let z = 0; z < grid[2]!; z++) for (let y = 0; y < grid[1]!; y++) for (let x = 0; x < grid[0]!; x++) this.runGroup(x, y, z);
    } catch (e) {
      if (!(e instanceof GiveUp)) throw e;
    }
    return { errors: this.errors };
  }

  private runGroup(x: number, y: number, z: number): void {
    const { kernel } = this;
    const [sx, sy, sz] = kernel.workgroupSize;
    Object.assign(this.builtin, { group0: x, group1: y, group2: z });
    this.groupPhase = kernel.phase === undefined ? 0 : Math.floor(x / kernel.phase);
    this.workgroup = new Map();
    this.workgroupShadow = new Map();
    for (const m of kernel.locals) {
      if (m.space !== 'workgroup') continue;
      this.workgroup.set(m, emptyLocal(m));
      this.workgroupShadow.set(m, new Shadow(m.size));
    }
    this.phase++;
    const threads: { t: Thread; run: Generator<Stmt, void, void>; ids: [number, number, number] }[] = [];
    for (let k = 0; k < sz; k++) {
      for (let j = 0; j < sy; j++) {
        for (let i = 0; i < sx; i++) {
          const privates = new Map(kernel.locals.filter((m) => m.space === 'private').map((m) => [m, emptyLocal(m)]));
          const t: Thread = { id: threads.length, vars: [], privates };
          threads.push({ t, run: this.block(kernel.body), ids: [i, j, k] });
        }
      }
    }
    for (let done = false; !done; this.phase++) {
      const stops = threads.map(({ t, run, ids }) => {
        this.thread = t;
        Object.assign(this.builtin, { local0: ids[0], local1: ids[1], local2: ids[2] });
        return run.next().value ?? null;
      });
      done = stops.every((s) => s === null);
      const odd = stops.findIndex((s) => s !== stops[0]);
      if (odd > 0) {
        this.report(
          'barrier',
          `divergent barrier in ${this.where()}: thread 0 ${stops[0] ? 'waits' : 'has ended'}, thread ${odd} ${stops[odd] ? 'waits at another' : 'has ended'}`,
        );
        throw new GiveUp();
      }
    }
    this.group++;
  }

  private where(): string {
    return `group ${this.builtin['group0']},${this.builtin['group1']},${this.builtin['group2']}`;
  }

  private report(kind: string, message: string): void {
    const n = this.seen.get(kind) ?? 0;
    this.seen.set(kind, n + 1);
    if (n < 3) this.errors.push(message);
    if (n > 1000) throw new GiveUp();
  }

  // ---- statements

  private waits(stmts: readonly Stmt[]): boolean {
    let b = this.hasBarrier.get(stmts);
    if (b === undefined) {
      b = effectsOf(stmts).barrier;
      this.hasBarrier.set(stmts, b);
    }
    return b;
  }

  private *block(stmts: readonly Stmt[]): Generator<Stmt, void, void> {
    for (const s of stmts) {
      if (s.kind === 'barrier') {
        yield s;
        continue;
      }
      if (s.kind === 'for' && this.waits(s.body)) {
        const [begin, end] = [this.integer(s.begin), this.integer(s.end)];
        for (let i = begin; i < end; i += s.step) {
          this.bind(s.v, i);
          yield* this.block(s.body);
        }
      } else if (s.kind === 'while' && this.waits(s.body)) {
        while (this.value(s.cond)) yield* this.block(s.body);
      } else if (s.kind === 'if' && (this.waits(s.then) || this.waits(s.else))) {
        yield* this.block(this.value(s.cond) ? s.then : s.else);
      } else this.statement(s);
    }
  }

  private statement(s: Stmt): void {
    if (++this.steps > this.maxSteps) {
      this.report('steps', `given up after ${this.maxSteps} statements`);
      throw new GiveUp();
    }
    switch (s.kind) {
      case 'for': {
        const [begin, end] = [this.integer(s.begin), this.integer(s.end)];
        for (let i = begin; i < end; i += s.step) {
          this.bind(s.v, i);
          for (const t of s.body) this.statement(t);
        }
        return;
      }
      case 'while':
        while (this.value(s.cond)) for (const t of s.body) this.statement(t);
        return;
      case 'if':
        for (const t of this.value(s.cond) ? s.then : s.else) this.statement(t);
        return;
      case 'let':
        this.binding = true;
        this.bind(s.v, this.value(s.value));
        this.binding = false;
        return;
      case 'assign':
        this.bind(s.v, this.value(s.value));
        return;
      case 'mutable':
        this.bind(s.v, this.value(s.init));
        return;
      case 'store': {
        const at = this.integer(s.index);
        const v = this.value(s.value);
        if (typeof v === 'number') this.store(s.memory, at, v);
        else v.forEach((x, l) => this.store(s.memory, at + l, x));
        return;
      }
      case 'barrier':
      case 'comment':
        return;
    }
  }

  private slot(v: VarExpr): number {
    let i = this.slots.get(v);
    if (i === undefined) {
      i = this.slots.size;
      this.slots.set(v, i);
    }
    return i;
  }

  private bind(v: VarExpr, value: Value): void {
    this.thread.vars[this.slot(v)] = value;
  }

  /**
   * Variables are checked where statements other than lets read them: schedules bind indices of threads past the end, too, under the range that holds behind the guard.
   */
  private checkRange(v: VarExpr, x: number): void {
    if (isInt(v.scalar) && v.lanes === 1 && v.role !== 'mutable' && (x < v.lo || x > v.hi))
      this.report(`range ${v.name}`, `'${v.name}' is ${x} in ${this.where()}; its range was said to be [${v.lo}, ${v.hi}]`);
  }

  // ---- expressions

  private integer(e: Expr): number {
    return this.value(e) as number;
  }

  private value(e: Expr): Value {
    if (e.kind === 'const' && e.lanes === 1) return e.value;
    let tape = this.tapes.get(e);
    if (!tape) {
      tape = tapeOf(e);
      this.tapes.set(e, tape);
    }
    return runTape(
      tape,
      (x, index) => {
        if (x.kind === 'load') return this.load(x.memory, index, x.lanes);
        return x.kind === 'var' ? this.variable(x) : 0;
      },
      (x, args) => {
        if (x.kind === 'binary' && isInt(x.scalar) && (x.fn === 'div' || x.fn === 'rem') && (args[1] === 0 || (args[1] as readonly number[]).includes?.(0))) {
          this.report('zero', `integer division by zero: ${printExpr(x)} in ${this.where()}`);
        }
      },
    );
  }

  private variable(v: VarExpr): Value {
    if (v.role === 'symbol' || v.role === 'group' || v.role === 'local') {
      const x = (v.role === 'symbol' ? this.symbols[v.name] : this.builtin[v.name]) ?? 0;
      this.checkRange(v, x);
      return x;
    }
    const x = this.thread.vars[this.slot(v)];
    if (!this.binding && typeof x === 'number') this.checkRange(v, x);
    if (x === undefined) {
      this.report(`unbound ${v.name}`, `'${v.name}' is read before it is bound`);
      return v.lanes === 1 ? 0 : new Array<number>(v.lanes).fill(0);
    }
    return x;
  }

  // ---- memory

  private load(m: Memory, at: number, lanes: number): Value {
    if (lanes === 1) return this.loadOne(m, at);
    return Array.from({ length: lanes }, (_, l) => this.loadOne(m, at + l));
  }

  private inBounds(m: Memory, at: number, size: number, what: string): boolean {
    if (at >= 0 && at < size) return true;
    this.report(`bounds ${m.name}`, `${what} ${m.name}[${at}], which has ${size} elements, by thread ${this.thread.id} of ${this.where()}`);
    return false;
  }

  private race(m: Memory, at: number, who: string, other: number, what: string): void {
    const second = other === MANY ? 'several others' : String(other);
    this.report(
      `race ${m.name}`,
      `race on ${m.name}[${at}]: ${who} ${what} what ${second} ${what === 'reads' ? 'wrote' : 'touched'} (${this.where()}, thread ${this.thread.id})`,
    );
  }

  private loadOne(m: Memory, at: number): number {
    if (m.space === 'global') {
      const g = this.globals.get(m);
      if (!g) throw new Error(`${this.kernel.name}: '${m.name}' is not an argument`);
      if (m.access === 'write') this.report(`access ${m.name}`, `load from '${m.name}', which is declared write-only`);
      if (!this.inBounds(m, at, g.array.length, 'load of')) return 0;
      const cell = g.first + at * g.scale;
      for (let u = 0; u < g.scale; u++) {
        const inside = g.threads.read(cell + u, this.thread.id, this.phase);
        if (inside !== null) this.race(m, at, `thread ${this.thread.id}`, inside, 'reads');
        const between = g.groups.read(cell + u, this.group, this.groupPhase);
        if (between !== null) this.race(m, at, `group ${this.group}`, between, 'reads');
      }
      const x = g.array[at]!;
      return m.scalar === 'f16' && g.array instanceof Uint16Array ? halfValue(x) : m.scalar === 'bool' ? (x ? 1 : 0) : x;
    }
    const local = (m.space === 'workgroup' ? this.workgroup : this.thread.privates).get(m);
    if (!local) throw new Error(`${this.kernel.name}: '${m.name}' is not among the kernel's locals`);
    if (!this.inBounds(m, at, m.size, 'load of')) return 0;
    if (!local.written[at]) this.report(`unwritten ${m.name}`, `read of ${m.name}[${at}], which nothing wrote, by thread ${this.thread.id} of ${this.where()}`);
    const clash = m.space === 'workgroup' ? this.workgroupShadow.get(m)!.read(at, this.thread.id, this.phase) : null;
    if (clash !== null) this.race(m, at, `thread ${this.thread.id}`, clash, 'reads');
    return local.values[at]!;
  }

  private store(m: Memory, at: number, x: number): void {
    if (m.space === 'global') {
      const g = this.globals.get(m);
      if (!g) throw new Error(`${this.kernel.name}: '${m.name}' is not an argument`);
      if (m.access === 'read') this.report(`access ${m.name}`, `store to '${m.name}', which is declared read-only`);
      if (!this.inBounds(m, at, g.array.length, 'store to')) return;
      const cell = g.first + at * g.scale;
      for (let u = 0; u < g.scale; u++) {
        const inside = g.threads.write(cell + u, this.thread.id, this.phase);
        if (inside !== null) this.race(m, at, `thread ${this.thread.id}`, inside, 'writes');
        const between = g.groups.write(cell + u, this.group, this.groupPhase);
        if (between !== null) this.race(m, at, `group ${this.group}`, between, 'writes');
      }
      g.array[at] = m.scalar === 'f16' && g.array instanceof Uint16Array ? halfBits(x) : x;
      return;
    }
    const local = (m.space === 'workgroup' ? this.workgroup : this.thread.privates).get(m);
    if (!local) throw new Error(`${this.kernel.name}: '${m.name}' is not among the kernel's locals`);
    if (!this.inBounds(m, at, m.size, 'store to')) return;
    const clash = m.space === 'workgroup' ? this.workgroupShadow.get(m)!.write(at, this.thread.id, this.phase) : null;
    if (clash !== null) this.race(m, at, `thread ${this.thread.id}`, clash, 'writes');
    local.values[at] = x;
    local.written[at] = 1;
  }
}

class GiveUp extends Error {}
