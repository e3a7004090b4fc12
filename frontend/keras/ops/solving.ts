/**
 * Equations of matrices, of `keras.ops`: elimination and Cholesky's algorithm as a scan over the rows, one after the other. All matrices before the last two axes go in step. Gradients flow.
 */
import type { Dim } from '../../../ir/dim.js';
import { ShapeError } from '../../../ir/errors.js';
import * as base from '../backend/ops.js';
import { scan } from '../backend/scan.js';
import { type Result, type Results, run, type S, type TensorLike, unary } from './lift.js';

function rowsOf(name: string, x: S): number {
  const n = x.shape.at(-1);
  if (x.rank < 2 || x.shape.at(-2) !== n || typeof n !== 'number')
    throw new ShapeError(`ops.${name}: expected square matrices of known size, got shape [${x.shape.map(String).join(', ')}]`);
  return n;
}

/** The element, row or column at `j` of an axis, the axis kept. */
const at = (x: S, axis: number, j: S): S => {
  const here = base.equal(base.iota(x, x.shape, axis), j);
  return base.sum(base.where(here, x, 0), [axis], true);
};

/** What the steps gave, (rows, …, rest), with the rows as the last axis of the lead. */
const stacked = (ys: S, lead: readonly Dim[]): S => base.transpose(base.reshape(ys, [ys.shape[0]!, ...lead]), [...lead.map((_, i) => i + 1), 0]);

/** Lower triangular L with L Lᵀ = x, for symmetric positive definite x; NaN where it is not. */
export const cholesky = unary('cholesky', (x) => {
  const n = rowsOf('cholesky', x);
  const [rowAxis, columnAxis] = [x.rank - 2, x.rank - 1];
  const { ys } = scan(x.trace, {
    name: 'cholesky',
    carries: [x],
    xs: [base.iota(x, [n], 0)],
    constants: [],
    length: n,
    reverse: false,
    step: ([rest], [j]) => {
      const column = at(rest!, columnAxis, j!);
      const scaled = base.divide(column, base.sqrt(at(column, rowAxis, j!)));
      const c = base.where(base.greaterEqual(base.iota(scaled, scaled.shape, rowAxis), j!), scaled, 0);
      return { carries: [base.subtract(rest!, base.multiply(c, base.reshape(c, [...c.shape.slice(0, -2), 1, n])))], ys: [c] };
    },
  });
  return stacked(ys[0]!, x.shape.slice(0, -1));
});

/** Elimination with the largest pivot of each column: the rows that are left, the sign of the row changes, the pivots (…, n). */
function eliminated(x: S, n: number): { readonly rows: S; readonly sign: S; readonly pivots: S } {
  const lead = x.shape.slice(0, -2);
  const [rowAxis, columnAxis] = [x.rank - 2, x.rank - 1];
  const { carries, ys } = scan(x.trace, {
    name: 'elimination',
    carries: [x, base.full(x, [...lead, 1, 1], 1)],
    xs: [base.iota(x, [n], 0)],
    constants: [],
    length: n,
    reverse: false,
    step: ([m, sign], [j]) => {
      const column = at(m!, columnAxis, j!);
      const indices = base.iota(m!, column.shape, rowAxis);
      const sizes = base.where(base.greaterEqual(indices, j!), base.abs(column), -1);
      const best = base.reshape(base.argmax(base.squeeze(sizes, -1), -1), [...lead, 1, 1]);
      // rows j and best change places
      const wide = (c: S) => base.broadcastTo(c, m!.shape);
      const rows = base.iota(m!, m!.shape, rowAxis);
      const isBest = base.equal(rows, wide(best));
      const top = base.sum(base.where(isBest, m!, 0), [rowAxis], true);
      const moved = base.where(base.equal(rows, j!), wide(top), base.where(isBest, wide(at(m!, rowAxis, j!)), m!));
      const pivot = at(top, columnAxis, j!);
      const factors = base.where(base.equal(indices, j!), 0, at(moved, columnAxis, j!));
      const next = base.subtract(moved, base.multiply(factors, base.divide(top, pivot)));
      return { carries: [next, base.where(base.equal(best, j!), sign!, base.negative(sign!))], ys: [pivot] };
    },
  });
  return { rows: carries[0]!, sign: base.reshape(carries[1]!, lead), pivots: stacked(ys[0]!, lead) };
}

function solved(name: string, a: S, b: S): S {
  const n = rowsOf(name, a);
  const { rows, pivots } = eliminated(base.concatenate([a, b], -1), n);
  return base.divide(base.sliceAxis(rows, -1, n, rows.shape.at(-1) as number), base.expandDims(pivots, -1));
}

/** x with a x = b, where b is one column (…, n), with one axis less than a, or several (…, n, k). */
export const solve = <A extends TensorLike, B extends TensorLike>(a: A, b: B): Result<A | B> =>
  run('solve', [a, b], ([s, u]) => {
    const vector = u!.rank === s!.rank - 1;
    const found = solved('solve', s!, vector ? base.expandDims(u!, -1) : u!);
    return vector ? base.squeeze(found, -1) : found;
  }) as Result<A | B>;
/** The inverse. */
export const inv = unary('inv', (x) => {
  const diagonal = base.equal(base.iota(x, x.shape, x.rank - 2), base.iota(x, x.shape, x.rank - 1));
  return solved('inv', x, base.cast(diagonal, 'float32'));
});
const signAndLog = (name: string, x: S): [S, S] => {
  const { sign, pivots } = eliminated(x, rowsOf(name, x));
  const last = [pivots.rank - 1];
  return [base.multiply(sign, base.prod(base.sign(pivots), last)), base.sum(base.log(base.abs(pivots)), last)];
};
/** Sign of the determinant, and logarithm of its size. */
export const slogdet = <X extends TensorLike>(x: X): Results<X> => run('slogdet', [x], ([s]) => signAndLog('slogdet', s!)) as Results<X>;
/** Logarithm of the determinant's size. */
export const logdet = unary('logdet', (x) => signAndLog('logdet', x)[1]);
/** Determinant. */
export const det = unary('det', (x) => {
  const { sign, pivots } = eliminated(x, rowsOf('det', x));
  return base.multiply(sign, base.prod(pivots, [pivots.rank - 1]));
});
