/** What all forms of the matrix product on WebGPU share: its sizes, operands and epilogue, and loads and stores of four neighbours at once. */
import { evalDim } from '../../ir/dim.js';
import {
  add,
  compare,
  constant,
  type Expr,
  extract,
  i32,
  type Lanes,
  load,
  min,
  mul,
  select,
  splat,
  truth,
  type VarExpr,
  variable,
  vector,
} from '../kernel/expr.js';
import { ifThen, type Stmt, storeAll } from '../kernel/ir.js';
import { vectorize } from '../kernel/vectorize.js';
import type { Frame } from '../lower/frame.js';
import { delinearize, dimExpr, linearize, maxSize } from '../lower/space.js';
import type { ContractionSpec } from './contraction-spec.js';

export const letOf = (hint: string, most: number, lanes: Lanes = 1): VarExpr => variable(hint, 'let', 'i32', [0, Math.max(0, most - 1)], lanes);

/** The product of a region: sizes, operands and epilogue as expressions of row, column and contracted index. */
export class Product {
  readonly max;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly mTotal: Expr;
  readonly nTotal: Expr;
  readonly kTotal: Expr;
  readonly batch: VarExpr[];

  constructor(
    readonly f: Frame,
    readonly s: ContractionSpec,
  ) {
    this.max = f.ctx.symbols;
    [this.m, this.n, this.k] = [maxSize(s.m, this.max), maxSize(s.n, this.max), maxSize(s.k, this.max)];
    const total = (ds: ContractionSpec['m']): Expr => this.dims(ds).reduce<Expr>((a, e) => mul(a, e), i32(1));
    [this.mTotal, this.nTotal, this.kTotal] = [total(s.m), total(s.n), total(s.k)];
    this.batch = s.batch.map((d) => letOf('b', evalDim(d, this.max)));
  }

  dims(ds: ContractionSpec['m']): Expr[] {
    return ds.map((d) => dimExpr(d, this.max));
  }
  at(e: Expr, ds: ContractionSpec['m']): Expr[] {
    return delinearize(e, this.dims(ds));
  }
  left(m: Expr, k: Expr): Expr {
    return this.s.left(this.batch, this.at(m, this.s.m), this.at(k, this.s.k));
  }
  right(k: Expr, n: Expr): Expr {
    return this.s.right(this.batch, this.at(n, this.s.n), this.at(k, this.s.k));
  }

  /** The right operand at four neighbouring columns, all in range; `tile`: `first` is below the columns rounded up to it. */
  rightFours(k: Expr, first: Expr, tile: number): Expr {
    const whole = this.nTotal.kind === 'const' && this.n % 4 === 0;
    const start = whole && this.n % tile !== 0 ? min(first, i32(this.n - 4)) : first;
    return joinLoads([0, 1, 2, 3].map((j) => this.right(k, whole ? add(start, i32(j)) : this.clamp(add(first, i32(j)), this.nTotal, tile))));
  }

  /** Stores of the region's outputs at (m, n), with the product's element bound to `value`. */
  epilogue(m: Expr, n: Expr, value: Expr): Stmt[] {
    const body: Stmt[] = [];
    const index = this.s.out(this.batch, this.at(m, this.s.m), this.at(n, this.s.n));
    this.f.em.bind(this.s.output, () => value);
    this.f.em.within(body, () => {
      body.push(
        ...storeAll(
          this.f.region.outputs.map((v) => ({
            memory: this.f.memoryOf(v),
            index: add(this.f.baseOf(v), linearize(index, v.shape, this.max)),
            value: this.f.em.value(v, index),
          })),
        ),
      );
    });
    this.f.em.unbind(this.s.output);
    return body;
  }

  /** True for all indices below the tile when the size is a multiple of it. */
  guard(index: Expr, total: Expr, tile: number): Expr {
    return total.kind === 'const' && total.value % tile === 0 ? truth(true) : compare('lt', index, total);
  }
  /** An index that is in range even where the guard fails. */
  clamp(index: Expr, total: Expr, tile: number): Expr {
    return total.kind === 'const' && total.value % tile === 0 ? index : min(index, add(total, i32(-1)));
  }
}

export const zero = constant(0, 'f32');

/** The index of the first load of global memory in an expression. */
export function firstIndex(e: Expr): Expr | null {
  if (e.kind === 'load' && e.memory.space === 'global') return e.args[0]!;
  for (const a of e.args) {
    const found = firstIndex(a);
    if (found) return found;
  }
  return null;
}

/** The epilogue of four neighbouring columns: at once where it is the same for them all, else one by one. */
export function storeFour(p: Product, m: Expr, n: Expr, acc: VarExpr, tile: number): Stmt[] {
  if (p.nTotal.kind === 'const' && p.nTotal.value % 4 === 0) {
    const lane = variable('lane', 'loop', 'i32', [0, 3]);
    const one = variable('sum', 'let', 'f32');
    const wide = vectorize(p.epilogue(m, add(n, lane), one), lane, 4, i32(0), true, new Map([[one, acc]]));
    if (wide) return ifThen(p.guard(n, p.nTotal, tile), wide.body);
  }
  return [0, 1, 2, 3].flatMap((j) => ifThen(p.guard(add(n, i32(j)), p.nTotal, tile), p.epilogue(m, add(n, i32(j)), extract(acc, j))));
}

/** Four loads of consecutive elements as one vector load, also where all are guarded by one condition; else a vector of the four. */
export function joinLoads(xs: readonly Expr[]): Expr {
  const first = xs[0]!;
  if (first.kind === 'select' && xs.every((x) => x.kind === 'select' && x.args[0] === first.args[0] && x.args[2]!.kind === 'const' && x.args[2]!.value === 0)) {
    const joined = joinLoads(xs.map((x) => x.args[1]!));
    return joined.kind === 'load' || joined.kind === 'select' ? select(splat(first.args[0]!, 4), joined, splat(zero, 4)) : vector(xs);
  }
  if (first.kind === 'load' && first.memory.space === 'global') {
    const base = first.args[0]!;
    if (xs.every((x, j) => x.kind === 'load' && x.memory === first.memory && x.args[0] === add(base, i32(j)))) return load(first.memory, base, 4);
  }
  return vector(xs);
}
