/**
 * Kernel IR to a WASM function. Holds no decision about schedules: what the kernel says is what runs.
 *
 * The function's parameters are (block: address of the argument block, begin, end): it runs workgroups begin..end-1 of the grid, linearised with x fastest. The argument block
 * is u32 words: the byte address of each argument, the value of each symbol, and the group counts x, y, z. Values are in values.ts, addresses in addresses.ts.
 *
 * Loops run their test at the end, behind a guard where the trip count may be 0. A loop whose variable only forms addresses has no counter: one of its pointers is compared
 * with its last value.
 */
import { InternalError, UnsupportedError } from '../../ir/errors.js';
import * as E from '../kernel/expr.js';
import { dependsOn, type Expr, type VarExpr } from '../kernel/expr.js';
import { exprsOf, type Kernel, type Memory, type Stmt } from '../kernel/ir.js';
import { effectsOf, loadsOf, substituteStmts, visitExprs, visitStmts } from '../kernel/walk.js';
import { Addresses } from './addresses.js';
import type { FunctionBody, ValueType } from './encoder.js';
import { canLoadSplat, elementBytes, loadSplatCode, storeCode, typeOf } from './instructions.js';
import { op } from './opcodes.js';
import type { Loop, Scope } from './scope.js';
import { countUses, type EmitOptions, isFixed } from './values.js';

export type { EmitOptions } from './values.js';

/** Parameters of every kernel function. */
export const kernelParameters: readonly ValueType[] = ['i32', 'i32', 'i32'];
const [blockParameter, beginParameter, endParameter] = [0, 1, 2];
/** Index of the imported global that holds the address of the running thread's scratch memory. */
export const scratchGlobal = 0;

export interface EmittedKernel extends FunctionBody {
  /** Bytes of scratch memory that a thread needs. */
  readonly scratchBytes: number;
}

/** Emits one kernel. It must be legal for WASM: no functions that WASM lacks, workgroups of one thread. */
export function emitKernel(kernel: Kernel, options: EmitOptions): EmittedKernel {
  return new KernelEmitter(kernel, options).run();
}

class KernelEmitter extends Addresses {
  private readonly scratch = new Map<Memory, number>();
  private scratchBytes = 0;

  constructor(
    private readonly kernel: Kernel,
    options: EmitOptions,
  ) {
    const words = new Map<number, number>();
    /** Local that holds a word of the argument block. */
    const word = (i: number): number => {
      let local = words.get(i);
      if (local === undefined) {
        local = this.root.allocate('i32');
        this.root.code
          .get(blockParameter)
          .memory(op.i32Load, 2, 4 * i)
          .set(local);
        words.set(i, local);
      }
      return local;
    };
    let scratchLocal: number | null = null;
    const base = (m: Memory): { local: number; offset: number } => {
      if (m.space === 'global') {
        const i = kernel.args.indexOf(m);
        if (i < 0) throw new InternalError(`kernel '${kernel.name}' uses '${m.name}', which is not an argument`);
        return { local: word(i), offset: 0 };
      }
      const offset = this.scratch.get(m);
      if (offset === undefined) throw new InternalError(`kernel '${kernel.name}' uses '${m.name}', which is not among its locals`);
      if (scratchLocal === null) {
        scratchLocal = this.root.allocate('i32');
        this.root.code.global(scratchGlobal).set(scratchLocal);
      }
      return { local: scratchLocal, offset };
    };
    const symbol = (name: string): number => {
      const i = kernel.symbols.indexOf(name);
      if (i < 0) throw new InternalError(`kernel '${kernel.name}' reads symbol '${name}', which it does not list`);
      return word(kernel.args.length + i);
    };
    super(options, kernelParameters.length, symbol, base);
    this.word = word;
    this.splatted = splattedLets(kernel.body);
    if (kernel.workgroupSize.some((n) => n !== 1))
      throw new UnsupportedError(`kernel '${kernel.name}': workgroups of ${kernel.workgroupSize.join('x')} on WASM; expected one thread`);
    for (const m of kernel.locals) {
      this.scratch.set(m, this.scratchBytes);
      this.scratchBytes += Math.ceil((m.size * elementBytes(m)) / 16) * 16;
    }
  }

  private readonly word: (i: number) => number;
  /** Scalar lets that are only used as splats of four lanes. */
  private readonly splatted: ReadonlyMap<Expr, readonly Expr[]>;

  run(): EmittedKernel {
    const code = this.root.code;
    const linear = this.kernel.grid[1] === 1 && this.kernel.grid[2] === 1;
    const used = new Map<string, VarExpr>();
    visitExprs(this.kernel.body, (e) => {
      if (e.kind === 'var' && e.role === 'group') used.set(e.name, e);
    });
    const inner = this.root.nested(true);
    const body = inner.nested();
    const finish: (() => void)[] = [];
    // The group number counts up in the parameter; one-dimensional grids use it as it is, so that pointers can move with it.
    const first = E.variable('first', 'let');
    this.bind(first, { kind: 'local', scope: this.root, local: beginParameter });
    if (linear) {
      const g = used.get('group0');
      if (g) {
        body.loop = { v: g, begin: first, step: 1, preheader: inner, inductions: [], counter: beginParameter };
        this.bind(g, { kind: 'loop', scope: body, loop: body.loop });
      }
      for (const n of ['group1', 'group2']) {
        const v = used.get(n);
        if (v) this.bind(v, { kind: 'alias', scope: this.root, value: E.i32(0) });
      }
    } else {
      // x, y and z start by division and then count with carry.
      const size = [0, 1].map((i) => this.word(this.kernel.args.length + this.kernel.symbols.length + i)) as [number, number];
      const [x, y, z] = [0, 1, 2].map(() => inner.allocate('i32')) as [number, number, number];
      inner.code.get(beginParameter).get(size[0]).op(op.i32RemU).set(x);
      inner.code.get(beginParameter).get(size[0]).op(op.i32DivU).tee(y).get(size[1]).op(op.i32DivU).set(z);
      inner.code.get(y).get(size[1]).op(op.i32RemU).set(y);
      [x, y, z].forEach((local, i) => {
        const v = used.get(`group${i}`);
        if (v) this.bind(v, { kind: 'local', scope: body, local });
      });
      finish.push(() => {
        body.code.get(x).i32(1).op(op.i32Add).tee(x).get(size[0]).op(op.i32Eq).if();
        body.code.i32(0).set(x).get(y).i32(1).op(op.i32Add).tee(y).get(size[1]).op(op.i32Eq).if();
        body.code.i32(0).set(y).get(z).i32(1).op(op.i32Add).set(z).end().end();
      });
    }
    this.withScope(body, () => this.block(this.kernel.body));
    if (body.loop) this.moveInductions(body.loop, body);
    for (const f of finish) f();
    body.code.get(beginParameter).i32(1).op(op.i32Add).tee(beginParameter).get(endParameter).op(op.i32LtU).brIf(0);
    inner.code.loop().append(body.code);
    inner.code.end();
    code.get(beginParameter).get(endParameter).op(op.i32LtU).if().append(inner.code);
    code.end();
    return { locals: this.types, code, scratchBytes: this.scratchBytes };
  }

  // ---- statements

  private block(stmts: readonly Stmt[]): void {
    const outer = this.counts;
    this.counts = new Map();
    for (const s of stmts) {
      countUses(s.kind === 'store' ? [s.value] : s.kind === 'while' ? [] : exprsOf(s), this.counts);
      if (s.kind === 'store') for (const atom of E.linear(s.index).terms.keys()) if (!isFixed(atom)) countUses([atom], this.counts);
    }
    for (const s of stmts) this.statement(s);
    this.counts = outer;
  }

  private statement(s: Stmt): void {
    const scope = this.current;
    const { code } = scope;
    switch (s.kind) {
      case 'barrier':
      case 'comment':
        return;
      case 'let': {
        if (isFixed(s.value)) {
          this.bind(s.v, { kind: 'alias', scope, value: s.value });
          return;
        }
        const splats = this.splatted.get(s.v);
        if (splats && s.value.kind === 'load' && canLoadSplat(s.value.memory)) {
          // The load repeats the element at no cost; a splat of its own is one more instruction.
          loadSplatCode(code, this.address(s.value.memory, s.value.args[0]!));
          const local = scope.allocate('v128');
          code.set(local);
          this.bind(s.v, { kind: 'local', scope, local });
          for (const e of splats) scope.values.set(e, local);
          return;
        }
        this.value(s.value);
        const local = scope.allocate(typeOf(s.v));
        code.set(local);
        this.bind(s.v, { kind: 'local', scope, local });
        return;
      }
      case 'mutable': {
        this.value(s.init);
        const local = scope.allocate(typeOf(s.v));
        code.set(local);
        this.bind(s.v, { kind: 'local', scope, local });
        return;
      }
      case 'assign':
        this.value(s.value);
        code.set(this.localOf(s.v));
        this.forget(new Set([s.v]), false);
        return;
      case 'store': {
        const offset = this.address(s.memory, s.index);
        this.value(s.value);
        storeCode(code, s.memory, s.value.lanes, offset);
        this.forget(new Set(), true);
        return;
      }
      case 'if':
        this.branch(s.cond, s.then, s.else);
        break;
      case 'for':
        this.loop(s);
        break;
      case 'while': {
        const inner = scope.nested(true);
        const body = inner.nested();
        this.withScope(body, () => {
          this.value(s.cond);
          body.code.op(op.i32Eqz).brIf(1);
          this.block(s.body);
        });
        body.close();
        inner.close();
        code.append(inner.code).block().loop().append(body.code);
        code.br(0).end().end();
      }
    }
    const { assigned, stored } = effectsOf([s]);
    this.forget(assigned, stored.size > 0);
  }

  private branch(cond: Expr, then: readonly Stmt[], otherwise: readonly Stmt[]): void {
    const scope = this.current;
    this.value(cond);
    const branches = [then, otherwise].map((b) => {
      const inner = scope.nested(true);
      this.withScope(inner, () => this.block(b));
      return inner;
    }) as [Scope, Scope];
    // What the branches hoisted stands before them, above the condition's value, which waits on the stack.
    scope.code.if().append(branches[0].code);
    if (otherwise.length > 0) scope.code.else().append(branches[1].code);
    scope.code.end();
    // Only now may their locals serve others: what the second hoisted is alive while the first runs.
    for (const b of branches) b.close();
  }

  private loop(s: Extract<Stmt, { kind: 'for' }>): void {
    const scope = this.current;
    const begin = this.settled(s.begin, 'begin');
    const end = this.settled(s.end, 'end');
    const span = E.sub(end, begin);
    const trip = span.kind === 'const' ? Math.max(0, Math.ceil(span.value / s.step)) : null;
    if (trip !== null && (trip <= 1 || s.unroll)) {
      for (let i = 0; i < trip; i++) this.copy(s.body, new Map([[s.v, E.add(begin, E.i32(i * s.step))]]));
      return;
    }
    const guarded = !(begin.hi < end.lo);
    if (guarded) this.value(E.compare('lt', begin, end));
    const preheader = scope.nested(guarded);
    const body = preheader.nested();
    const loop: Loop = { v: s.v, begin, step: s.step, preheader, inductions: [], counter: null };
    body.loop = loop;
    this.bind(s.v, { kind: 'loop', scope: body, loop });
    this.withScope(body, () => this.block(s.body));
    this.closeLoop(loop, body, end);
    body.close();
    preheader.code.loop().append(body.code);
    preheader.code.end();
    preheader.close();
    if (guarded) scope.code.if().append(preheader.code).end();
    else scope.code.append(preheader.code);
  }

  /** Writes the end of the body: pointers move, then the test. */
  private closeLoop(loop: Loop, body: Scope, end: Expr): void {
    const { preheader } = loop;
    const last = loop.inductions.find((p) => typeof p.step === 'number' && p.step !== 0);
    if (loop.counter === null && last) {
      const trips = E.div(E.add(E.sub(end, loop.begin), E.i32(loop.step - 1)), E.i32(loop.step));
      const stop = preheader.allocate('i32');
      this.withScope(preheader, () => {
        this.value(E.mul(trips, E.i32(last.step as number)));
        preheader.code.get(last.local).op(op.i32Add).set(stop);
      });
      this.moveInductions(loop, body, last.local);
      body.code
        .get(last.local)
        .i32(last.step as number)
        .op(op.i32Add)
        .tee(last.local)
        .get(stop)
        .op(op.i32Ne)
        .brIf(0);
      return;
    }
    loop.counter ??= preheader.allocate('i32');
    const { counter } = loop;
    this.withScope(preheader, () => this.value(loop.begin));
    preheader.code.set(counter);
    this.moveInductions(loop, body);
    this.withScope(body, () => {
      body.code.get(counter).i32(loop.step).op(op.i32Add).tee(counter);
      this.value(end);
    });
    body.code.op(op.i32LtS).brIf(0);
  }

  /** Writes the steps of a loop's pointers, but one, at the end of its body. */
  private moveInductions(loop: Loop, body: Scope, except = -1): void {
    for (const p of loop.inductions) {
      if (p.local === except) continue;
      this.withScope(body, () => {
        body.code.get(p.local);
        if (typeof p.step === 'number') body.code.i32(p.step);
        else this.value(p.step);
        body.code.op(op.i32Add).set(p.local);
      });
    }
  }

  /** A copy of a block with variables replaced, in a scope of its own. */
  private copy(stmts: readonly Stmt[], map: ReadonlyMap<Expr, Expr>): void {
    const scope = this.current;
    const inner = scope.nested();
    this.withScope(inner, () => this.block(substituteStmts(stmts, map)));
    inner.close();
    scope.code.append(inner.code);
  }

  /** A value that can be asked for anywhere below: fixed, or named by a variable that holds it. */
  private settled(e: Expr, hint: string): Expr {
    if (isFixed(e)) return e;
    this.value(e);
    const local = this.current.allocate('i32');
    this.current.code.set(local);
    const v = E.variable(hint, 'let', 'i32', [e.lo, e.hi]);
    this.bind(v, { kind: 'local', scope: this.current, local });
    return v;
  }

  /** Drops kept values that an assignment or a store may have changed. */
  private forget(assigned: ReadonlySet<VarExpr>, stores: boolean): void {
    for (const [e, kept] of this.current.volatile) {
      if (!(stores && loadsOf(e).size > 0) && ![...assigned].some((v) => dependsOn(e, v))) continue;
      this.current.volatile.delete(e);
      this.current.release(kept.local);
    }
  }
}

/** Scalar lets whose every use is a splat of four lanes, with those splats. */
function splattedLets(body: readonly Stmt[]): Map<Expr, Expr[]> {
  const splats = new Map<Expr, Expr[]>();
  const others = new Set<Expr>();
  visitExprs(body, (e) => {
    for (const a of e.args) {
      if (a.kind !== 'var' || a.role !== 'let') continue;
      if (e.kind === 'splat' && e.lanes === 4) splats.set(a, [...(splats.get(a) ?? []), e]);
      else others.add(a);
    }
  });
  visitStmts(body, (s) => exprsOf(s).forEach((e) => others.add(e)));
  for (const v of others) splats.delete(v);
  return splats;
}
