/**
 * Element emitter: the value of any tensor at any index, as an expression. Operands are asked for at the index that the op maps to, so shape ops become index
 * arithmetic and producers are inlined wherever they are read. Materialized values become loads; a schedule binds the values that it computes itself (an
 * accumulator, a finished row reduction). Reductions that no schedule has bound are emitted as loops in front of the expression.
 */

import { type Dim, isStatic } from '../../ir/dim.js';
import { type DType, isFloat, limitsOf } from '../../ir/dtype.js';
import { InternalError } from '../../ir/errors.js';
import type { NodeOf, Value } from '../../ir/graph.js';
import {
  add,
  and,
  type BinaryFn,
  binary,
  bitcast,
  cast,
  compare,
  constant,
  div,
  type Expr,
  i32,
  load,
  mad,
  max,
  min,
  mul,
  or,
  rem,
  type Scalar,
  select,
  sub,
  truth,
  type UnaryFn,
  unary,
  variable,
} from '../kernel/expr.js';
import { assign, forLoop, type Memory, mutable, type Stmt } from '../kernel/ir.js';
import { contractionIndices } from './contraction-indices.js';
import { integerPower, integerQuotient, wrapSmall } from './integers.js';
import { argStep, combine, identityOf } from './reduction.js';
import { reshapeIndex } from './reshape-index.js';
import { scalarOf } from './scalar.js';
import { dimExpr, linearize, type SymbolMax } from './space.js';
import { threefry } from './threefry.js';

/** Where a materialized value lies: memory and the element index at which it begins (not 0 for slices of a sequence inside a loop). */
export interface Place {
  readonly memory: Memory;
  readonly base: Expr;
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
        return at(
          0,
          n.attrs.axes.map((a, i) => (n.inputs[0]!.shape[i] === 1 ? i32(0) : index[a]!)),
        );
      case 'reshape':
        return at(0, reshapeIndex(index, v.shape, n.inputs[0]!.shape, this.symbols));
      case 'transpose': {
        const to = new Array<Expr>(index.length);
        n.attrs.perm.forEach((p, i) => {
          to[p] = index[i]!;
        });
        return at(0, to);
      }
      case 'slice':
        return at(
          0,
          index.map((e, i) => add(mul(e, i32(n.attrs.stride[i]!)), this.dim(n.attrs.start[i]!))),
        );
      case 'reverse':
        return at(
          0,
          index.map((e, i) => (n.attrs.axes.includes(i) ? sub(sub(this.dim(v.shape[i]!), i32(1)), e) : e)),
        );
      case 'pad':
        return this.pad(n, index);
      case 'concat':
        return this.concat(n, index);
      case 'gather':
        return this.gather(n, index);
      case 'reduce': {
        const x = n.inputs[0]!;
        return this.loops(
          n.attrs.axes.map((a) => x.shape[a]!),
          identityOf(n.attrs.fn, v.dtype),
          (acc, r) => combine(n.attrs.fn, acc, this.value(x, mergeIndex(index, r, n.attrs.axes, x.shape.length))),
        );
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
      const next = step(
        acc,
        vars.map((x) => x.v),
      );
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
    const names: Record<typeof fn, BinaryFn> = {
      add: 'add',
      sub: 'sub',
      mul: 'mul',
      div: 'div',
      rem: 'rem',
      pow: 'pow',
      max: 'max',
      min: 'min',
      atan2: 'atan2',
      and: 'and',
      or: 'or',
      xor: 'xor',
      shift_left: 'shl',
      shift_right: 'shr',
    };
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
      parts.push({
        limit,
        value: this.value(
          v,
          index.map((e, i) => (i === axis ? local : e)),
        ),
      });
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
      inner.push(
        assign(
          acc,
          combine(
            fn,
            acc,
            this.value(
              x,
              index.map((e, i) => (i === axis ? k : e)),
            ),
          ),
        ),
      );
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

/** Index of an operand from the kept index and the reduced one. */
export function mergeIndex(kept: readonly Expr[], reduced: readonly Expr[], axes: readonly number[], rank: number): Expr[] {
  let k = 0;
  return Array.from({ length: rank }, (_, i) => {
    const r = axes.indexOf(i);
    return r >= 0 ? reduced[r]! : kept[k++]!;
  });
}
