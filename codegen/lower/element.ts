/**
 * Element emitter: the value of any tensor at any index, as an expression. Operands are asked for at the index that the op maps to, so shape ops become index
 * arithmetic and producers are inlined wherever they are read. Materialized values become loads; a schedule binds the values that it computes itself (an
 * accumulator, a finished row reduction). Reductions that no schedule has bound are emitted as loops in front of the expression.
 */
import { type DType, isFloat, limitsOf } from '../../ir/dtype.js';
import { type Dim, isStatic, mulDim, type Shape, sizeDim } from '../../ir/dim.js';
import { InternalError, UnsupportedError } from '../../ir/errors.js';
import type { Node, NodeOf, Value } from '../../ir/graph.js';
import type { ReduceFunction } from '../../ir/op-attrs.js';
import {
  add, and, binary, type BinaryFn, bitcast, cast, compare, constant, div, type Expr, i32, isFloatScalar, load, mad, max, min, mul, or, rem, type Scalar, select, sub, truth, unary, type UnaryFn, variable,
} from '../kernel/expr.js';
import { assign, forLoop, type Memory, mutable, type Stmt } from '../kernel/ir.js';
import { integerPower, integerQuotient, wrapSmall } from './integers.js';
import { delinearize, dimExpr, linearize, type SymbolMax } from './space.js';
import { threefry } from './threefry.js';

/** Where a materialized value lies: memory and the element index at which it begins (not 0 for slices of a sequence inside a loop). */
export interface Place {
  readonly memory: Memory;
  readonly base: Expr;
}

export const scalarOf = (t: DType): Scalar => {
  switch (t) {
    case 'float32':
      return 'f32';
    case 'float64':
      return 'f64';
    case 'int32':
    case 'int8':
      return 'i32';
    case 'uint32':
    case 'uint8':
      return 'u32';
    case 'bool':
      return 'bool';
    case 'float16':
      throw new UnsupportedError('float16 tensors cannot be computed with yet: cast to float32');
  }
};

/** Initial value of a reduction's accumulator. */
export function identityOf(fn: ReduceFunction | 'max' | 'min', t: DType): Expr {
  const s = scalarOf(t);
  switch (fn) {
    case 'sum':
    case 'any':
      return constant(0, s);
    case 'prod':
    case 'all':
      return constant(1, s);
    case 'max':
      return constant(limitsOf(t).lowest, s);
    case 'min':
      return constant(limitsOf(t).highest, s);
  }
}

/** What a float reduction starts with. Another constant is a partial result. */
const floatIdentity: Readonly<Record<ReduceFunction, number>> = { sum: 0, any: 0, prod: 1, all: 1, max: Number.NEGATIVE_INFINITY, min: Number.POSITIVE_INFINITY };

/** One step of a reduction; an accumulator that is still the constant identity is left out. */
export function combine(fn: ReduceFunction, acc: Expr, x: Expr): Expr {
  if (acc.kind === 'const' && isFloatScalar(acc.scalar) && acc.value === floatIdentity[fn]) return x;
  switch (fn) {
    case 'sum':
      return add(acc, x);
    case 'prod':
      return mul(acc, x);
    case 'max':
      return acc.scalar === 'bool' ? or(acc, x) : max(acc, x);
    case 'min':
      return acc.scalar === 'bool' ? and(acc, x) : min(acc, x);
    case 'any':
      return or(acc, x);
    case 'all':
      return and(acc, x);
  }
}

/** Loops of at most this many iterations in all are written out. */
const unrollLimit = 32;

export class ElementEmitter {
  private readonly bound = new Map<Value, (index: readonly Expr[]) => Expr>();
  private scopes: Map<string, Expr>[] = [new Map()];

  constructor(
    readonly places: ReadonlyMap<Value, Place>,
    readonly symbols: SymbolMax,
    /** Statements that must run before the expression; loops of inlined reductions are put here. */
    public block: Stmt[],
  ) {}

  /** The schedule computes `v` itself. */
  bind(v: Value, at: (index: readonly Expr[]) => Expr): void {
    this.bound.set(v, at);
    this.scopes = [new Map()];
  }

  unbind(v: Value): void {
    this.bound.delete(v);
    this.scopes = [new Map()];
  }

  /** Emits `body` with its own statement list; what it remembers is forgotten afterwards. */
  within<T>(block: Stmt[], body: () => T): T {
    const outer = this.block;
    this.block = block;
    this.scopes.push(new Map());
    try {
      return body();
    } finally {
      this.scopes.pop();
      this.block = outer;
    }
  }

  dim(d: Dim): Expr {
    return dimExpr(d, this.symbols);
  }

  /** Address (element index) of a materialized value's element. */
  address(v: Value, index: readonly Expr[]): Expr {
    const place = this.places.get(v);
    if (!place) throw new InternalError(`no memory for value ${v.id}`);
    return add(place.base, linearize(index, v.shape, this.symbols));
  }

  value(v: Value, index: readonly Expr[]): Expr {
    const hook = this.bound.get(v);
    if (hook) return hook(index);
    const key = `${v.id}:${index.map((e) => e.id).join()}`;
    for (const s of this.scopes) {
      const known = s.get(key);
      if (known) return known;
    }
    const place = this.places.get(v);
    const e = place ? load(place.memory, this.address(v, index)) : this.compute(v, index);
    this.scopes.at(-1)!.set(key, e);
    return e;
  }

  private compute(v: Value, index: readonly Expr[]): Expr {
    const n = v.producer;
    if (!n) throw new InternalError(`graph input ${v.id} has no memory`);
    const at = (i: number, ix: readonly Expr[] = index): Expr => this.value(n.inputs[i]!, ix);
    const s = (): Scalar => scalarOf(v.dtype);
    switch (n.op) {
      case 'constant':
        return constant(Number(n.attrs.value.data[0]), s());
      case 'iota':
        return cast(index[n.attrs.axis]!, s());
      case 'dim_size':
        return this.dim(n.attrs.dim);
      case 'random_bits':
        return this.randomBits(n, index);
      case 'unary':
        return this.unary(n, at(0));
      case 'binary':
        return this.binary(n, at(0), at(1));
      case 'compare':
        return compare(n.attrs.fn, at(0), at(1));
      case 'select':
        return select(at(0), at(1), at(2));
      case 'cast':
        return this.convert(at(0), n.inputs[0]!.dtype, n.attrs.dtype);
      case 'bitcast':
        return bitcast(at(0), s());
      case 'broadcast':
        return at(0, n.attrs.axes.map((a, i) => (n.inputs[0]!.shape[i] === 1 ? i32(0) : index[a]!)));
      case 'reshape':
        return at(0, this.reshapeIndex(index, v.shape, n.inputs[0]!.shape));
      case 'transpose': {
        const to = new Array<Expr>(index.length);
        n.attrs.perm.forEach((p, i) => {
          to[p] = index[i]!;
        });
        return at(0, to);
      }
      case 'slice':
        return at(0, index.map((e, i) => add(mul(e, i32(n.attrs.stride[i]!)), this.dim(n.attrs.start[i]!))));
      case 'reverse':
        return at(0, index.map((e, i) => (n.attrs.axes.includes(i) ? sub(sub(this.dim(v.shape[i]!), i32(1)), e) : e)));
      case 'pad':
        return this.pad(n, index);
      case 'concat':
        return this.concat(n, index);
      case 'gather':
        return this.gather(n, index);
      case 'reduce': {
        const x = n.inputs[0]!;
        return this.loops(n.attrs.axes.map((a) => x.shape[a]!), identityOf(n.attrs.fn, v.dtype), (acc, r) => combine(n.attrs.fn, acc, this.value(x, mergeIndex(index, r, n.attrs.axes, x.shape.length))));
      }
      case 'arg_reduce':
        return this.argReduce(n, index);
      case 'reduce_window':
        return this.window(n, index);
      case 'select_and_scatter':
        return this.selectAndScatter(n, index);
      case 'cumulative':
        return this.cumulative(n, index);
      case 'dot':
      case 'conv':
        return this.contraction(n, index);
      case 'scatter':
        return this.scatter(n, index);
      default:
        throw new InternalError(`${n.op} cannot be computed element by element (${n.origin})`);
    }
  }

  // ---- loops

  /** Reduces over axes of the given sizes; short constant loops are written out as an expression. */
  private loops(extents: readonly Dim[], identity: Expr, step: (acc: Expr, index: Expr[]) => Expr): Expr {
    const total = extents.reduce<number>((a, d) => (isStatic(d) ? a * d : Number.POSITIVE_INFINITY), 1);
    if (total <= unrollLimit) {
      let acc: Expr | null = null;
      for (let i = 0; i < total; i++) {
        let rest = i;
        const ix = new Array<Expr>(extents.length);
        for (let k = extents.length - 1; k >= 0; k--) {
          const d = extents[k] as number;
          ix[k] = i32(rest % d);
          rest = Math.trunc(rest / d);
        }
        acc = step(acc ?? identity, ix);
      }
      return acc ?? identity;
    }
    const acc = variable('acc', 'mutable', identity.scalar);
    this.block.push(mutable(acc, identity));
    const vars = extents.map((d) => {
      const e = this.dim(d);
      return { v: variable('r', 'loop', 'i32', [0, Math.max(0, e.hi - 1)]), extent: e };
    });
    const inner: Stmt[] = [];
    this.within(inner, () => {
      const next = step(acc, vars.map((x) => x.v));
      inner.push(assign(acc, next));
    });
    const nest = [...vars].reverse().reduce<Stmt[]>((body, x) => [forLoop(x.v, i32(0), x.extent, body)], inner);
    this.block.push(...nest);
    return acc;
  }

  // ---- ops

  private unary(n: NodeOf<'unary'>, x: Expr): Expr {
    const { fn } = n.attrs;
    if (fn === 'reciprocal') return div(constant(1, x.scalar), x);
    if (fn === 'bitwise_not') return unary('bitnot', x);
    return unary(fn as UnaryFn, x);
  }

  private binary(n: NodeOf<'binary'>, a: Expr, b: Expr): Expr {
    const { fn } = n.attrs;
    const names: Record<typeof fn, BinaryFn> = { add: 'add', sub: 'sub', mul: 'mul', div: 'div', rem: 'rem', pow: 'pow', max: 'max', min: 'min', atan2: 'atan2', and: 'and', or: 'or', xor: 'xor', shift_left: 'shl', shift_right: 'shr' };
    if (a.scalar === 'bool' && (fn === 'max' || fn === 'add')) return or(a, b);
    if (a.scalar === 'bool' && (fn === 'min' || fn === 'mul')) return and(a, b);
    const integers = a.scalar === 'i32' || a.scalar === 'u32';
    const e = integers && (fn === 'div' || fn === 'rem') ? integerQuotient(fn, a, b) : integers && fn === 'pow' ? integerPower(a, b) : binary(names[fn], a, b);
    return wrapSmall(e, n.outputs[0]!.dtype);
  }

  private convert(x: Expr, from: DType, to: DType): Expr {
    if (to === 'int8' || to === 'uint8') {
      const wide = to === 'int8' ? 'i32' : 'u32';
      if (!isFloat(from)) return wrapSmall(cast(x, wide), to);
      const { lowest, highest } = limitsOf(to);
      return cast(min(max(x, constant(lowest, x.scalar)), constant(highest, x.scalar)), wide);
    }
    return cast(x, scalarOf(to));
  }

  private randomBits(n: NodeOf<'random_bits'>, index: readonly Expr[]): Expr {
    const key = n.inputs[0]!;
    const i = linearize(index, n.attrs.shape, this.symbols);
    const [w0, w1] = threefry(this.value(key, [i32(0)]), this.value(key, [i32(1)]), cast(div(i, i32(2)), 'u32'), constant(0, 'u32'));
    return select(compare('eq', rem(i, i32(2)), i32(0)), w0, w1);
  }

  /** Input index of a reshape: axes are matched in groups of equal size, so that simple reshapes stay simple. */
  private reshapeIndex(index: readonly Expr[], from: Shape, to: Shape): Expr[] {
    const out: Expr[] = [];
    let i = 0;
    let j = 0;
    while (i < from.length || j < to.length) {
      const i0 = i;
      const j0 = j;
      const grow = (s: Shape, a: number, b: number): Dim | null => {
        try {
          return sizeDim(s.slice(a, b));
        } catch {
          return null;
        }
      };
      if (i < from.length) i++;
      if (j < to.length) j++;
      for (;;) {
        const a = grow(from, i0, i);
        const b = grow(to, j0, j);
        if (a !== null && b !== null && String(a) === String(b)) break;
        const smaller = a !== null && b !== null && compareDims(a, b);
        if (smaller === 'less' && i < from.length) i++;
        else if (smaller === 'more' && j < to.length) j++;
        else if (i === from.length && j === to.length) break;
        else {
          i = from.length;
          j = to.length;
        }
      }
      const e = linearize(index.slice(i0, i), from.slice(i0, i), this.symbols);
      const group = to.slice(j0, j);
      out.push(...delinearizeOnes(e, group, (d) => this.dim(d)));
    }
    return out;
  }

  private pad(n: NodeOf<'pad'>, index: readonly Expr[]): Expr {
    const x = n.inputs[0]!;
    const { low, high, interior, value } = n.attrs;
    let inside: Expr = truth(true);
    const ix = index.map((e, i) => {
      if (low[i] === 0 && high[i] === 0 && interior[i] === 0) return e;
      const step = interior[i]! + 1;
      const size = this.dim(x.shape[i]!);
      const shifted = sub(e, i32(low[i]!));
      const last = mul(sub(size, i32(1)), i32(step));
      inside = and(inside, and(compare('ge', shifted, i32(0)), compare('le', shifted, last)));
      const clamped = min(max(shifted, i32(0)), max(last, i32(0)));
      if (step === 1) return clamped;
      inside = and(inside, compare('eq', rem(clamped, i32(step)), i32(0)));
      return div(clamped, i32(step));
    });
    const fill = constant(value, scalarOf(x.dtype));
    if (inside.kind === 'const') return inside.value ? this.value(x, ix) : fill;
    if (x.shape.some((d) => d === 0)) return fill;
    return select(inside, this.value(x, ix), fill);
  }

  private concat(n: NodeOf<'concat'>, index: readonly Expr[]): Expr {
    const { axis } = n.attrs;
    const position = index[axis]!;
    let start: Expr = i32(0);
    const parts: { limit: Expr; value: Expr }[] = [];
    for (const v of n.inputs) {
      const size = this.dim(v.shape[axis]!);
      const limit = add(start, size);
      const here = and(compare('ge', position, start), compare('lt', position, limit));
      const local = min(max(sub(position, start), i32(0)), max(sub(size, i32(1)), i32(0)));
      start = limit;
      if (here.kind === 'const' && !here.value) continue;
      parts.push({ limit, value: this.value(v, index.map((e, i) => (i === axis ? local : e))) });
    }
    return parts.slice(0, -1).reduceRight((rest, p) => select(compare('lt', position, p.limit), p.value, rest), parts.at(-1)!.value);
  }

  private gather(n: NodeOf<'gather'>, index: readonly Expr[]): Expr {
    const [x, indices] = [n.inputs[0]!, n.inputs[1]!];
    const { axis } = n.attrs;
    const rank = indices.shape.length;
    const raw = cast(this.value(indices, index.slice(axis, axis + rank)), 'i32');
    const at = min(max(raw, i32(0)), sub(this.dim(x.shape[axis]!), i32(1)));
    return this.value(x, [...index.slice(0, axis), at, ...index.slice(axis + rank)]);
  }

  private argReduce(n: NodeOf<'arg_reduce'>, index: readonly Expr[]): Expr {
    const x = n.inputs[0]!;
    const { axis, fn } = n.attrs;
    const zero = mergeIndex(index, [i32(0)], [axis], x.shape.length);
    const first = this.value(x, zero);
    const best = variable('best', 'mutable', first.scalar);
    const where = variable('at', 'mutable', 'i32');
    this.block.push(mutable(best, first), mutable(where, i32(0)));
    const extent = this.dim(x.shape[axis]!);
    const k = variable('r', 'loop', 'i32', [0, Math.max(0, extent.hi - 1)]);
    const inner: Stmt[] = [];
    this.within(inner, () => {
      const e = this.value(x, mergeIndex(index, [k], [axis], x.shape.length));
      inner.push(...argStep(fn, best, where, e, k));
    });
    this.block.push(forLoop(k, i32(1), extent, inner));
    return where;
  }

  private window(n: NodeOf<'reduce_window'>, index: readonly Expr[]): Expr {
    const x = n.inputs[0]!;
    const { fn, window, strides, padding, baseDilation, windowDilation } = n.attrs;
    return this.loops(window, identityOf(fn, x.dtype), (acc, w) => {
      let inside: Expr = truth(true);
      const ix = index.map((o, i) => {
        const position = sub(add(mul(o, i32(strides[i]!)), mul(w[i]!, i32(windowDilation[i]!))), i32(padding[i]![0]));
        const r = this.guarded(position, x.shape[i]!, baseDilation[i]!);
        inside = and(inside, r.inside);
        return r.index;
      });
      return combine(fn, acc, select(inside, this.value(x, ix), identityOf(fn, x.dtype)));
    });
  }

  /** Coordinate in an operand with dilation: clamped into range, and whether it was a real element. */
  guarded(position: Expr, size: Dim, dilation: number): { index: Expr; inside: Expr } {
    const last = mul(sub(this.dim(size), i32(1)), i32(dilation));
    let inside = and(compare('ge', position, i32(0)), compare('le', position, last));
    const clamped = min(max(position, i32(0)), last);
    if (dilation === 1) return { index: clamped, inside };
    inside = and(inside, compare('eq', rem(clamped, i32(dilation)), i32(0)));
    return { index: div(clamped, i32(dilation)), inside };
  }

  private selectAndScatter(n: NodeOf<'select_and_scatter'>, index: readonly Expr[]): Expr {
    const [x, dy] = [n.inputs[0]!, n.inputs[1]!];
    const { fn, window, strides, padding } = n.attrs;
    // windows that contain this element: o*stride <= i + pad < o*stride + window
    const counts = window.map((w, i) => Math.ceil(w / strides[i]!));
    return this.loops(counts, constant(0, scalarOf(dy.dtype)), (acc, c) => {
      let inside: Expr = truth(true);
      const o = index.map((e, i) => {
        const p = add(e, i32(padding[i]![0]));
        const at = sub(div(p, i32(strides[i]!)), c[i]!);
        const offset = sub(p, mul(at, i32(strides[i]!)));
        inside = and(inside, and(and(compare('ge', at, i32(0)), compare('lt', at, this.dim(dy.shape[i]!))), compare('lt', offset, i32(window[i]!))));
        return min(max(at, i32(0)), sub(this.dim(dy.shape[i]!), i32(1)));
      });
      const mine = this.value(x, index);
      // this element is the window's first extreme: none before it is as good, none after it is better
      let first: Expr = truth(true);
      const total = window.reduce((a, b) => a * b, 1);
      for (let k = 0; k < total; k++) {
        let rest = k;
        const w = new Array<number>(window.length);
        for (let i = window.length - 1; i >= 0; i--) {
          w[i] = rest % window[i]!;
          rest = Math.trunc(rest / window[i]!);
        }
        let real: Expr = truth(true);
        const at = o.map((oo, i) => {
          const r = this.guarded(sub(add(mul(oo, i32(strides[i]!)), i32(w[i]!)), i32(padding[i]![0])), x.shape[i]!, 1);
          real = and(real, r.inside);
          return r.index;
        });
        const other = this.value(x, at);
        const better = compare(fn === 'max' ? 'gt' : 'lt', other, mine);
        const equal = compare('eq', other, mine);
        // before: position in the window smaller than mine
        const position = at.reduce<Expr>((a, e, i) => add(mul(a, this.dim(x.shape[i]!)), e), i32(0));
        const own = index.reduce<Expr>((a, e, i) => add(mul(a, this.dim(x.shape[i]!)), e), i32(0));
        const beats = or(better, and(equal, compare('lt', position, own)));
        first = and(first, unary('not', and(real, beats)));
      }
      return add(acc, select(and(inside, first), this.value(dy, o), constant(0, scalarOf(dy.dtype))));
    });
  }

  private cumulative(n: NodeOf<'cumulative'>, index: readonly Expr[]): Expr {
    const x = n.inputs[0]!;
    const { fn, axis, exclusive, reverse } = n.attrs;
    const acc = variable('acc', 'mutable', scalarOf(x.dtype));
    this.block.push(mutable(acc, identityOf(fn, x.dtype)));
    const size = this.dim(x.shape[axis]!);
    const k = variable('r', 'loop', 'i32', [0, Math.max(0, size.hi - 1)]);
    const inner: Stmt[] = [];
    this.within(inner, () => {
      inner.push(assign(acc, combine(fn, acc, this.value(x, index.map((e, i) => (i === axis ? k : e))))));
    });
    const here = index[axis]!;
    const [begin, end] = reverse ? [exclusive ? add(here, i32(1)) : here, size] : [i32(0), exclusive ? here : add(here, i32(1))];
    this.block.push(forLoop(k, begin, end, inner));
    return acc;
  }

  private scatter(n: NodeOf<'scatter'>, index: readonly Expr[]): Expr {
    const [x, indices, updates] = [n.inputs[0]!, n.inputs[1]!, n.inputs[2]!];
    const { axis, fn } = n.attrs;
    const acc = variable('acc', 'mutable', scalarOf(x.dtype));
    this.block.push(mutable(acc, this.value(x, index)));
    const vars = indices.shape.map((d) => {
      const extent = this.dim(d);
      return { v: variable('u', 'loop', 'i32', [0, Math.max(0, extent.hi - 1)]), extent };
    });
    const inner: Stmt[] = [];
    this.within(inner, () => {
      const at = vars.map((x2) => x2.v);
      const hit = compare('eq', cast(this.value(indices, at), 'i32'), index[axis]!);
      const update = this.value(updates, [...index.slice(0, axis), ...at, ...index.slice(axis + 1)]);
      const next = fn === 'set' ? update : combine(fn === 'add' ? 'sum' : fn === 'mul' ? 'prod' : fn, acc, update);
      inner.push(assign(acc, select(hit, next, acc)));
    });
    this.block.push(...[...vars].reverse().reduce<Stmt[]>((body, v) => [forLoop(v.v, i32(0), v.extent, body)], inner));
    return acc;
  }

  private contraction(n: NodeOf<'dot'> | NodeOf<'conv'>, index: readonly Expr[]): Expr {
    const f = contractionIndices(n, this);
    const zero = constant(0, scalarOf(n.outputs[0]!.dtype));
    return this.loops(f.reduce, zero, (acc, k) => {
      const { left, right, inside } = f.at(index, k);
      const a = this.value(n.inputs[0]!, left);
      if (inside.kind === 'const' && !inside.value) return acc;
      const guarded = inside.kind === 'const' ? a : select(inside, a, constant(0, a.scalar));
      const [l, r] = [this.contractionOperand(guarded, zero), this.contractionOperand(this.value(n.inputs[1]!, right), zero)];
      return acc.kind === 'const' ? mul(l, r) : mad(l, r, acc);
    });
  }

  private contractionOperand = (e: Expr, like: Expr): Expr => (e.scalar === like.scalar ? e : cast(e, like.scalar));
}

/** Unit axes of a group get index 0; the others share the linear index. */
function delinearizeOnes(e: Expr, group: Shape, dim: (d: Dim) => Expr): Expr[] {
  const real = group.flatMap((d, i) => (d === 1 ? [] : [i]));
  const parts = delinearize(e, real.map((i) => dim(group[i]!)));
  return group.map((d, i) => (d === 1 ? i32(0) : parts[real.indexOf(i)]!));
}

/** Whether a is less than b for all values of the symbols, where that is clear. */
function compareDims(a: Dim, b: Dim): 'less' | 'more' | null {
  if (isStatic(a) && isStatic(b)) return a < b ? 'less' : 'more';
  if (isStatic(a)) return 'less';
  if (isStatic(b)) return 'more';
  const [x, y] = [a.terms[0]![1], b.terms[0]![1]];
  return a.terms.length === b.terms.length && String(mulDim(a, y)) === String(mulDim(b, x)) ? (x < y ? 'less' : 'more') : null;
}

/** Index of an operand from the kept index and the reduced one. */
export function mergeIndex(kept: readonly Expr[], reduced: readonly Expr[], axes: readonly number[], rank: number): Expr[] {
  let k = 0;
  return Array.from({ length: rank }, (_, i) => {
    const r = axes.indexOf(i);
    return r >= 0 ? reduced[r]! : kept[k++]!;
  });
}

/** Whether `e` beats `best` in an argmax or argmin: NaN is the extreme. With positions, the first of equals wins; a negative position is that of no element. */
export function beats(fn: 'argmax' | 'argmin', e: Expr, best: Expr, positions?: { readonly e: Expr; readonly best: Expr }): Expr {
  const floats = isFloatScalar(e.scalar);
  const [nan, bestNan] = floats ? [unary('is_nan', e), unary('is_nan', best)] : [truth(false), truth(false)];
  const better = or(compare(fn === 'argmax' ? 'gt' : 'lt', e, best), and(nan, unary('not', bestNan)));
  if (!positions) return better;
  const same = or(compare('eq', e, best), and(nan, bestNan));
  // where the best is NaN, no comparison with it holds
  const first = and(same, compare('lt', positions.e, positions.best));
  return and(compare('ge', positions.e, i32(0)), or(compare('lt', positions.best, i32(0)), or(better, first)));
}

/** One step of an argmax/argmin over mutable best value and position: the first extreme wins, NaN is the extreme. */
export function argStep(fn: 'argmax' | 'argmin', best: Expr, where: Expr, e: Expr, k: Expr): Stmt[] {
  const take = variable('take', 'let', 'bool');
  const [b, w] = [best, where];
  if (b.kind !== 'var' || w.kind !== 'var') throw new InternalError('argStep wants variables');
  return [
    { kind: 'let', v: take, value: beats(fn, e, best) },
    assign(w, select(take, k, w)),
    assign(b, select(take, e, b)),
  ];
}

/** How a contraction's operands are indexed from its output index and the contracted index. */
export interface ContractionIndices {
  /** Sizes of the contracted axes, in loop order. */
  readonly reduce: readonly Dim[];
  readonly at: (output: readonly Expr[], k: readonly Expr[]) => { left: Expr[]; right: Expr[]; inside: Expr };
}

export function contractionIndices(n: Node, em: { guarded: ElementEmitter['guarded']; dim: (d: Dim) => Expr }): ContractionIndices {
  if (n.op === 'dot') {
    const { batchLeft, batchRight, contractLeft, contractRight } = n.attrs;
    const [l, r] = [n.inputs[0]!.shape, n.inputs[1]!.shape];
    const freeLeft = l.map((_, i) => i).filter((i) => !batchLeft.includes(i) && !contractLeft.includes(i));
    const freeRight = r.map((_, i) => i).filter((i) => !batchRight.includes(i) && !contractRight.includes(i));
    return {
      reduce: contractLeft.map((a) => l[a]!),
      at: (o, k) => {
        const left = new Array<Expr>(l.length);
        const right = new Array<Expr>(r.length);
        batchLeft.forEach((a, i) => {
          left[a] = o[i]!;
        });
        batchRight.forEach((a, i) => {
          right[a] = o[i]!;
        });
        freeLeft.forEach((a, i) => {
          left[a] = o[batchLeft.length + i]!;
        });
        freeRight.forEach((a, i) => {
          right[a] = o[batchLeft.length + freeLeft.length + i]!;
        });
        contractLeft.forEach((a, i) => {
          left[a] = k[i]!;
        });
        contractRight.forEach((a, i) => {
          right[a] = k[i]!;
        });
        return { left, right, inside: truth(true) };
      },
    };
  }
  if (n.op !== 'conv') throw new InternalError(`${n.op} is no contraction`);
  const { strides, padding, inputDilation, kernelDilation, groups, batchGroups, dims } = n.attrs;
  const [x, w] = [n.inputs[0]!, n.inputs[1]!];
  const perGroup = w.shape[dims.kernel.input]!;
  const outFeatures = w.shape[dims.kernel.output] as number;
  const outBatch = n.outputs[0]!.shape[dims.output.batch]!;
  return {
    reduce: [...dims.kernel.spatial.map((a) => w.shape[a]!), perGroup],
    at: (o, k) => {
      const left = new Array<Expr>(x.shape.length);
      const right = new Array<Expr>(w.shape.length);
      const feature = o[dims.output.feature]!;
      const channel = k.at(-1)!;
      let inside: Expr = truth(true);
      dims.input.spatial.forEach((a, i) => {
        const position = sub(add(mul(o[dims.output.spatial[i]!]!, i32(strides[i]!)), mul(k[i]!, i32(kernelDilation[i]!))), i32(padding[i]![0]));
        const r = em.guarded(position, x.shape[a]!, inputDilation[i]!);
        inside = and(inside, r.inside);
        left[a] = r.index;
        right[dims.kernel.spatial[i]!] = k[i]!;
      });
      left[dims.input.feature] = groups === 1 ? channel : add(mul(div(feature, i32(outFeatures / groups)), em.dim(perGroup)), channel);
      // batch groups: output feature g*F/G + f reads batch rows g*N + n
      left[dims.input.batch] = batchGroups === 1 ? o[dims.output.batch]! : add(mul(div(feature, i32(outFeatures / batchGroups)), em.dim(outBatch)), o[dims.output.batch]!);
      right[dims.kernel.input] = channel;
      right[dims.kernel.output] = feature;
      return { left, right, inside };
    },
  };
}
