/**
 * Element emitter: the value of any tensor at any index, as an expression. Operands are asked for at the index that the op maps to, so shape ops become index
 * arithmetic and producers are inlined wherever they are read. Materialized values become loads; a schedule binds the values that it computes itself (an
 * accumulator, a finished row reduction). Reductions that no schedule has bound are emitted as loops in front of the expression.
 */

import { type Dim, isStatic } from '../../ir/dim.js';
import { InternalError } from '../../ir/errors.js';
import type { NodeOf, Value } from '../../ir/graph.js';
import { add, bitcast, cast, compare, constant, type Expr, i32, load, mad, mul, type Scalar, select, sub, variable } from '../kernel/expr.js';
import { assign, forLoop, type Memory, mutable, type Stmt } from '../kernel/ir.js';
import { contractionIndices } from './contraction-indices.js';
import { argReduceAt, cumulativeAt, mergeIndex, scatterAt } from './element-loops.js';
import { binaryOp, convertTo, randomBits, unaryOp } from './element-math.js';
import { concatAt, gatherAt, padAt } from './element-shape.js';
import { selectAndScatterAt, windowAt } from './element-windows.js';
import type { Emission } from './emission.js';
import { wideConstant } from './integers.js';
import { combine, identityOf } from './reduction.js';
import { reshapeIndex } from './reshape-index.js';
import { scalarOf } from './scalar.js';
import { dimExpr, linearize, type SymbolMax } from './space.js';

/** Where a materialized value lies: memory and the element index at which it begins (not 0 for slices of a sequence inside a loop). */
export interface Place {
  readonly memory: Memory;
  readonly base: Expr;
}

const splatConstant = (value: number | bigint, s: Scalar): Expr => (typeof value === 'bigint' ? wideConstant(value, s) : constant(value, s));

/** Loops of at most this many iterations in all are written out. */
const unrollLimit = 32;

export class ElementEmitter implements Emission {
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
        return splatConstant(n.attrs.value.data[0]!, s());
      case 'iota':
        return cast(index[n.attrs.axis]!, s());
      case 'dim_size':
        return this.dim(n.attrs.dim);
      case 'random_bits':
        return randomBits(this, n, index);
      case 'unary':
        return unaryOp(n, at(0));
      case 'binary':
        return binaryOp(n, at(0), at(1));
      case 'compare':
        return compare(n.attrs.fn, at(0), at(1));
      case 'select':
        return select(at(0), at(1), at(2));
      case 'cast':
        return convertTo(at(0), n.inputs[0]!.dtype, n.attrs.dtype);
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
        return padAt(this, n, index);
      case 'concat':
        return concatAt(this, n, index);
      case 'gather':
        return gatherAt(this, n, index);
      case 'reduce': {
        const x = n.inputs[0]!;
        return this.loops(
          n.attrs.axes.map((a) => x.shape[a]!),
          identityOf(n.attrs.fn, v.dtype),
          (acc, r) => combine(n.attrs.fn, acc, this.value(x, mergeIndex(index, r, n.attrs.axes, x.shape.length))),
        );
      }
      case 'arg_reduce':
        return argReduceAt(this, n, index);
      case 'reduce_window':
        return windowAt(this, n, index);
      case 'select_and_scatter':
        return selectAndScatterAt(this, n, index);
      case 'cumulative':
        return cumulativeAt(this, n, index);
      case 'dot':
      case 'conv':
        return this.contraction(n, index);
      case 'scatter':
        return scatterAt(this, n, index);
      default:
        throw new InternalError(`${n.op} cannot be computed element by element (${n.origin})`);
    }
  }

  // ---- loops

  /** Reduces over axes of the given sizes; short constant loops are written out as an expression. */
  loops(extents: readonly Dim[], identity: Expr, step: (acc: Expr, index: Expr[]) => Expr): Expr {
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
