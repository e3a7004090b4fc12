/**
 * Values of a WASM kernel.
 *
 * A value that depends on nothing that is loaded or assigned ("fixed") has a home: the innermost scope that defines one of its variables. It is computed once there, however deep the
 * loop that asks for it, and kept in a local. Fixed `let`s are only names for such values. Other values are computed where they stand; those used several times in a block are
 * kept in a local until a store or an assignment may change them.
 */
import { InternalError } from '../../ir/errors.js';
import * as E from '../kernel/expr.js';
import { type Expr, type VarExpr, varsOf } from '../kernel/expr.js';
import type { Memory } from '../kernel/ir.js';
import type { ValueType } from './encoder.js';
import {
  binaryCode,
  bitcastCode,
  canLoadSplat,
  castCode,
  compareCode,
  constantCode,
  hasBinary,
  loadCode,
  loadSplatCode,
  selectCode,
  typeOf,
  unaryCode,
} from './instructions.js';
import { op, simd } from './opcodes.js';
import { type Loop, Scope } from './scope.js';

/** A fixed value of more operations is not hoisted out of a condition that may be false. */
const costOfSpeculation = 12;

type Binding =
  | { readonly kind: 'local'; readonly scope: Scope; readonly local: number }
  | { readonly kind: 'alias'; readonly scope: Scope; readonly value: Expr }
  | { readonly kind: 'loop'; readonly scope: Scope; readonly loop: Loop };

const fixedMemo = new WeakMap<Expr, boolean>();
/** Whether a value never changes once its variables are defined, and computing it cannot trap. */
export function isFixed(e: Expr): boolean {
  let r = fixedMemo.get(e);
  if (r === undefined) {
    r = e.kind !== 'load' && !(e.kind === 'var' && e.role === 'mutable') && !mayTrap(e) && e.args.every(isFixed);
    fixedMemo.set(e, r);
  }
  return r;
}
const mayTrap = (e: Expr): boolean =>
  e.kind === 'binary' &&
  (e.fn === 'div' || e.fn === 'rem') &&
  (E.isInt(e.scalar) || E.isWideInt(e.scalar)) &&
  !(e.args[1]!.lo > 0 || (e.args[1]!.kind === 'const' && e.args[1]!.value !== 0));
const isLeaf = (e: Expr): boolean => e.kind === 'var' || (e.kind === 'const' && (e.lanes === 1 || e.value === 0));

function cost(e: Expr, limit: number): number {
  let n = 1;
  for (const a of e.args) {
    if (n > limit) break;
    n += cost(a, limit - n);
  }
  return n;
}

/** How often each value is asked for when these expressions are computed and every repeated value is kept. */
export function countUses(roots: readonly Expr[], counts = new Map<Expr, number>()): Map<Expr, number> {
  const visit = (e: Expr): void => {
    const n = counts.get(e) ?? 0;
    counts.set(e, n + 1);
    if (n > 0) return;
    if (e.kind === 'load') visitIndex(e.args[0]!);
    else for (const a of e.args) visit(a);
  };
  // Fixed parts of an index become pointers, not values.
  const visitIndex = (index: Expr): void => {
    for (const atom of E.linear(index).terms.keys()) if (!isFixed(atom)) visit(atom);
  };
  for (const r of roots) visit(r);
  return counts;
}

export interface EmitOptions {
  readonly relaxedSimd: boolean;
}

export abstract class Values {
  protected readonly types: ValueType[] = [];
  readonly root: Scope;
  protected current: Scope;
  protected counts = new Map<Expr, number>();
  private readonly bindings = new Map<VarExpr, Binding>();

  constructor(
    protected readonly options: EmitOptions,
    parameters: number,
    /** Local that holds a symbol. */
    private readonly symbol: (name: string) => number,
  ) {
    this.root = new Scope(null, this.types, parameters);
    this.current = this.root;
  }

  /** Pushes an address of element `index`; returns the offset that belongs to it. */
  protected abstract address(m: Memory, index: Expr): number;

  protected bind(v: VarExpr, binding: Binding): void {
    this.bindings.set(v, binding);
  }

  protected binding(v: VarExpr): Binding {
    const b = this.bindings.get(v);
    if (!b) throw new InternalError(`variable '${v.name}' is not defined here`);
    return b;
  }

  protected localOf(v: VarExpr): number {
    const b = this.binding(v);
    if (b.kind !== 'local') throw new InternalError(`'${v.name}' is assigned but not declared mutable`);
    return b.local;
  }

  protected withScope<T>(scope: Scope, run: () => T): T {
    const before = this.current;
    this.current = scope;
    try {
      return run();
    } finally {
      this.current = before;
    }
  }

  /** Innermost scope that defines a variable of a fixed value. */
  protected home(e: Expr): Scope {
    let h = this.root;
    for (const v of varsOf(e)) {
      if (v.role === 'symbol' || v.role === 'local') continue;
      const s = this.binding(v).scope;
      if (s.depth > h.depth) h = s;
    }
    return h;
  }

  /** Runs `emit` with a source of locals that are free again afterwards. */
  private withTemporaries(emit: (temporary: (type: ValueType) => number) => void): void {
    const scope = this.current;
    const taken: number[] = [];
    emit((type) => {
      const local = scope.allocate(type);
      taken.push(local);
      return local;
    });
    for (const l of taken) scope.release(l);
  }

  // ---- values

  /** Pushes a value; `keep`: it will be asked for again. */
  value(e: Expr, keep = false): void {
    const code = this.current.code;
    if (e.kind === 'var') {
      this.variable(e);
      return;
    }
    if (isLeaf(e)) {
      this.raw(e);
      return;
    }
    if (!isFixed(e)) {
      const kept = this.current.volatile.get(e);
      if (kept) {
        code.get(kept.local);
        if (--kept.uses === 0) {
          this.current.volatile.delete(e);
          this.current.release(kept.local);
        }
        return;
      }
      this.raw(e);
      const uses = (this.counts.get(e) ?? 1) - 1;
      if (uses > 0) {
        const local = this.current.allocate(typeOf(e));
        this.current.code.tee(local);
        this.current.volatile.set(e, { local, uses });
      }
      return;
    }
    const found = this.find((s) => s.values.get(e));
    if (found !== undefined) return void code.get(found);
    const place = this.placeFor(e);
    if (place !== this.current) {
      const local = this.withScope(place, () => {
        const outer = this.counts;
        this.counts = countUses([e]);
        this.raw(e);
        this.counts = outer;
        const l = place.allocate(typeOf(e));
        place.code.set(l);
        place.values.set(e, l);
        return l;
      });
      code.get(local);
      return;
    }
    this.raw(e);
    if (keep || (this.counts.get(e) ?? 1) > 1) {
      const local = this.current.allocate(typeOf(e));
      code.tee(local);
      this.current.values.set(e, local);
    }
  }

  protected find(at: (s: Scope) => number | undefined): number | undefined {
    for (let s: Scope | null = this.current; s; s = s.parent) {
      const local = at(s);
      if (local !== undefined) return local;
    }
    return undefined;
  }

  /** The outermost scope to compute a fixed value in: its home, or the last condition on the way there if it is dear. */
  private placeFor(e: Expr): Scope {
    const home = this.home(e);
    if (home === this.current || cost(e, costOfSpeculation) <= costOfSpeculation) return home;
    for (let s = this.current; s !== home; s = s.parent!) if (s.guarded) return s;
    return home;
  }

  private variable(v: VarExpr): void {
    const code = this.current.code;
    if (v.role === 'symbol') return void code.get(this.symbol(v.name));
    if (v.role === 'local') return void code.i32(0);
    const b = this.binding(v);
    if (b.kind === 'local') code.get(b.local);
    else if (b.kind === 'alias') this.value(b.value, true);
    else {
      b.loop.counter ??= b.loop.preheader.allocate('i32');
      code.get(b.loop.counter);
    }
  }

  /** Pushes a value that is not kept anywhere yet. */
  private raw(e: Expr): void {
    const code = (): Scope['code'] => this.current.code;
    const lanes = e.lanes;
    switch (e.kind) {
      case 'const':
        constantCode(code(), e.value, e.scalar, lanes);
        return;
      case 'var':
        this.variable(e);
        return;
      case 'unary':
        this.value(e.args[0]!);
        this.withTemporaries((t) => unaryCode(code(), e.fn, e.args[0]!.scalar, lanes, t));
        return;
      case 'binary':
        this.binary(e.fn, e.args[0]!, e.args[1]!);
        return;
      case 'compare':
        this.value(e.args[0]!);
        this.value(e.args[1]!);
        if (e.args[0]!.scalar === 'bool' && !['eq', 'ne'].includes(e.fn)) throw new InternalError(`'${e.fn}' of bool`);
        compareCode(code(), e.fn, e.args[0]!.scalar, lanes);
        return;
      case 'select': {
        const [c, a, b] = e.args as readonly [Expr, Expr, Expr];
        this.value(a);
        this.value(b);
        const whole = lanes > 1 && c.kind === 'splat';
        this.value(whole ? c.args[0]! : c);
        selectCode(code(), whole ? 1 : lanes, this.options.relaxedSimd);
        return;
      }
      case 'mad':
        this.value(e.args[0]!);
        this.value(e.args[1]!);
        if (lanes > 1 && this.options.relaxedSimd) {
          this.value(e.args[2]!);
          code().simd(simd.f32x4RelaxedMadd);
        } else {
          binaryCode(code(), 'mul', e.scalar, lanes);
          this.value(e.args[2]!);
          binaryCode(code(), 'add', e.scalar, lanes);
        }
        return;
      case 'cast':
        this.value(e.args[0]!);
        castCode(code(), e.args[0]!.scalar, e.scalar, lanes);
        return;
      case 'bitcast':
        this.value(e.args[0]!);
        bitcastCode(code(), e.args[0]!.scalar, e.scalar, lanes);
        return;
      case 'load': {
        const offset = this.address(e.memory, e.args[0]!);
        loadCode(code(), e.memory, lanes, offset);
        return;
      }
      case 'splat':
        this.splat(e.args[0]!);
        return;
      case 'vector':
        this.vector(e.args);
        return;
      case 'extract':
        this.value(e.args[0]!);
        code().lane(e.scalar === 'f32' ? simd.f32x4ExtractLane : simd.i32x4ExtractLane, e.lane);
        if (e.scalar === 'bool') code().i32(1).op(op.i32And);
    }
  }

  private splat(a: Expr): void {
    const seen = this.current.volatile.has(a) || (this.counts.get(a) ?? 1) > 1;
    if (a.kind === 'load' && canLoadSplat(a.memory) && !seen) {
      const offset = this.address(a.memory, a.args[0]!);
      loadSplatCode(this.current.code, offset);
      return;
    }
    this.value(a);
    if (a.scalar === 'bool') this.current.code.i32(-1).op(op.i32Mul);
    this.current.code.simd(a.scalar === 'f32' ? simd.f32x4Splat : simd.i32x4Splat);
  }

  private vector(xs: readonly Expr[]): void {
    const f = xs[0]!.scalar === 'f32';
    xs.forEach((x, i) => {
      this.value(x);
      if (i === 0) this.current.code.simd(f ? simd.f32x4Splat : simd.i32x4Splat);
      else this.current.code.lane(f ? simd.f32x4ReplaceLane : simd.i32x4ReplaceLane, i);
    });
    if (xs[0]!.scalar === 'bool') this.current.code.simd(simd.i32x4Neg);
  }

  private binary(fn: E.BinaryFn, a: Expr, b: Expr): void {
    const { scalar, lanes } = a;
    const code = (): Scope['code'] => this.current.code;
    const shift = fn === 'shl' || fn === 'shr';
    if (lanes > 1 && (!hasBinary(fn, scalar, lanes) || (shift && b.kind !== 'splat' && b.kind !== 'const'))) {
      this.lanewise(fn, a, b);
      return;
    }
    if ((fn === 'min' || fn === 'max') && scalar === 'f32' && lanes > 1) {
      // pmin and pmax are one instruction each and give their first operand when it is NaN: right where the second cannot be.
      for (const [x, y] of [
        [a, b],
        [b, a],
      ] as const) {
        if (y.kind !== 'const' || Number.isNaN(y.value)) continue;
        this.value(x);
        this.value(y);
        return void code().simd(fn === 'min' ? simd.f32x4Pmin : simd.f32x4Pmax);
      }
    }
    this.value(a);
    if (shift && lanes > 1) {
      if (b.kind === 'const') code().i32(b.value);
      else this.value(b.args[0]!);
      binaryCode(code(), fn, scalar, lanes);
      return;
    }
    // Unsigned division is cheaper, and by powers of two a shift.
    if (lanes === 1 && (fn === 'div' || fn === 'rem') && E.isInt(scalar) && a.lo >= 0 && b.lo >= 0) {
      const bits = b.kind === 'const' ? Math.log2(b.value) : Number.NaN;
      if (Number.isInteger(bits))
        return void code()
          .i32(fn === 'div' ? bits : b.lo - 1)
          .op(fn === 'div' ? op.i32ShrU : op.i32And);
      this.value(b);
      return void code().op(fn === 'div' ? op.i32DivU : op.i32RemU);
    }
    this.value(b);
    if (lanes === 1 && (fn === 'min' || fn === 'max') && (E.isInt(scalar) || E.isWideInt(scalar))) {
      this.withTemporaries((temporary) => {
        const type = E.isWideInt(scalar) ? 'i64' : 'i32';
        const [x, y] = [temporary(type), temporary(type)];
        code().set(y).tee(x).get(y).get(x).get(y);
        compareCode(code(), fn === 'min' ? 'lt' : 'gt', scalar, 1);
        code().op(op.select);
      });
      return;
    }
    binaryCode(code(), fn, scalar === 'bool' ? 'i32' : scalar, lanes);
  }

  /** Vector operations that WASM has for scalars only. */
  private lanewise(fn: E.BinaryFn, a: Expr, b: Expr): void {
    const { code } = this.current;
    const f = a.scalar === 'f32';
    this.withTemporaries((temporary) => {
      const kept = [a, b].map((x) => {
        this.value(x);
        const t = temporary('v128');
        code.set(t);
        return t;
      });
      for (let i = 0; i < a.lanes; i++) {
        for (const t of kept) code.get(t).lane(f ? simd.f32x4ExtractLane : simd.i32x4ExtractLane, i);
        binaryCode(code, fn, a.scalar, 1);
        if (i === 0) code.simd(f ? simd.f32x4Splat : simd.i32x4Splat);
        else code.lane(f ? simd.f32x4ReplaceLane : simd.i32x4ReplaceLane, i);
      }
    });
  }
}
