/**
 * Singular values and eigenvalues of `keras.ops`, by Jacobi's rotations of two columns after the other, as a scan: meant for small matrices. All matrices before the last two axes go in step.
 * Signs of vectors differ from LAPACK's; gradients are not meant to be taken.
 */
import { ShapeError, UnsupportedError } from '../../../ir/errors.js';
import * as base from '../backend/ops.js';
import { scan } from '../backend/scan.js';
import { type Result, type Results, run, type S, type TensorLike, withOptions } from './lift.js';

/** Rounds over all pairs of columns: they converge quadratically, and float32 needs about six. */
const sweeps = 10;

function sizesOf(name: string, x: S): [rows: number, columns: number] {
  const [m, n] = x.shape.slice(-2);
  if (x.rank < 2 || typeof m !== 'number' || typeof n !== 'number')
    throw new ShapeError(`ops.${name}: expected matrices of known size, got shape [${x.shape.map(String).join(', ')}]`);
  return [m, n];
}

/** Tensors of all pairs p < q, `sweeps` times over: the steps of the scan. */
function pairsOf(x: S, n: number): [S, S] {
  const pairs = Array.from({ length: n }, (_, p) => Array.from({ length: n - 1 - p }, (__, i) => [p, p + 1 + i] as const)).flat();
  const all = Array.from({ length: sweeps }, () => pairs).flat();
  const column = (side: 0 | 1): S => x.trace.constant({ dtype: 'int32', shape: [all.length], data: Int32Array.from(all, (p) => p[side]) });
  return [column(0), column(1)];
}
const columnAt = (x: S, j: S): S => base.sum(base.where(base.equal(base.iota(x, x.shape, x.rank - 1), j), x, 0), [x.rank - 1], true);
const rowAt = (x: S, i: S): S => base.sum(base.where(base.equal(base.iota(x, x.shape, x.rank - 2), i), x, 0), [x.rank - 2], true);
const put = (x: S, axis: number, j: S, slice: S): S => base.where(base.equal(base.iota(x, x.shape, axis), j), base.broadcastTo(slice, x.shape), x);
/** Columns p and q of x turned by the angle. */
function turnColumns(x: S, p: S, q: S, c: S, s: S): S {
  const [a, b] = [columnAt(x, p), columnAt(x, q)];
  const first = base.subtract(base.multiply(c, a), base.multiply(s, b));
  const second = base.add(base.multiply(s, a), base.multiply(c, b));
  return put(put(x, x.rank - 1, p, first), x.rank - 1, q, second);
}
/** Cosine and sine of the rotation after which `both`, the product of two columns, is 0; `difference`: what the second has more than the first. */
function rotation(both: S, difference: S): [S, S] {
  const none = base.lessEqual(base.abs(both), 1e-30);
  const zeta = base.divide(difference, base.multiply(base.where(none, 1, both), 2));
  const sign = base.where(base.less(zeta, 0), base.full(zeta, zeta.shape, -1), 1);
  const t = base.divide(sign, base.add(base.abs(zeta), base.sqrt(base.add(base.square(zeta), 1))));
  const c = base.rsqrt(base.add(base.square(t), 1));
  return [base.where(none, base.full(c, c.shape, 1), c), base.where(none, 0, base.multiply(c, t))];
}
const identity = (x: S, n: number): S => {
  const shape = [...x.shape.slice(0, -2), n, n];
  return base.cast(base.equal(base.iota(x, shape, shape.length - 2), base.iota(x, shape, shape.length - 1)), 'float32');
};
const swapped = (x: S): S => base.transpose(x, [...x.shape.slice(0, -2).map((_, i) => i), x.rank - 1, x.rank - 2]);
const product = (a: S, b: S): S => {
  const lead = a.shape.slice(0, -2).map((_, i) => i);
  return base.dot(a, b, { batchLeft: lead, batchRight: lead, contractLeft: [a.rank - 1], contractRight: [b.rank - 2] });
};
/** Matrices (…, n, n) whose products bring columns into the order of the values (…, n). */
function ordering(values: S, descending: boolean): S {
  const n = values.shape.at(-1)!;
  const wide = [...values.shape, n];
  const own = base.broadcastTo(base.expandDims(values, -1), wide);
  const other = base.broadcastTo(base.expandDims(values, -2), wide);
  const earlier = base.less(base.iota(values, wide, wide.length - 1), base.iota(values, wide, wide.length - 2));
  const before = base.logicalOr(descending ? base.greater(other, own) : base.less(other, own), base.logicalAnd(base.equal(other, own), earlier));
  const place = base.sum(base.cast(before, 'int32'), [wide.length - 1], true);
  return base.cast(base.equal(base.broadcastTo(place, wide), base.iota(values, wide, wide.length - 1)), 'float32');
}

/** Of matrices with at least as many rows as columns: u (…, m, n), s (…, n) descending, v (…, n, n). */
function tall(x: S, n: number): [S, S, S] {
  const [p, q] = pairsOf(x, n);
  const { carries } =
    n < 2
      ? { carries: [x, identity(x, n)] }
      : scan(x.trace, {
          name: 'svd',
          carries: [x, identity(x, n)],
          xs: [p, q],
          constants: [],
          length: p.shape[0]!,
          reverse: false,
          step: ([u, v], [i, j]) => {
            const [a, b] = [columnAt(u!, i!), columnAt(u!, j!)];
            const total = (y: S) => base.sum(y, [y.rank - 2], true);
            const [c, s] = rotation(total(base.multiply(a, b)), base.subtract(total(base.square(b)), total(base.square(a))));
            return { carries: [turnColumns(u!, i!, j!, c, s), turnColumns(v!, i!, j!, c, s)], ys: [] };
          },
        });
  const values = base.sqrt(base.sum(base.square(carries[0]!), [x.rank - 2]));
  const order = ordering(values, true);
  const wide = base.expandDims(values, -2);
  const sorted = base.squeeze(product(wide, order), -2);
  const u = base.divide(carries[0]!, base.where(base.equal(wide, 0), 1, wide));
  return [product(u, order), sorted, product(carries[1]!, order)];
}

function decomposed(name: string, x: S): [u: S, s: S, vh: S] {
  const [m, n] = sizesOf(name, x);
  if (m >= n) {
    const [u, s, v] = tall(x, n);
    return [u, s, swapped(v)];
  }
  const [u, s, v] = tall(swapped(x), m);
  return [v, s, swapped(u)];
}

/**
 * [u (…, m, k), s (…, k), vh (…, k, n)] with u · diag(s) · vh = x, k = min(m, n), s descending. `fullMatrices` must be false where m and n differ; `computeUv` false: s alone. Columns of u
 * (rows of vh) of singular values that are 0 are 0.
 */
export function svd<X extends TensorLike>(x: X, fullMatrices: boolean, computeUv: false): Result<X>;
export function svd<X extends TensorLike>(x: X, fullMatrices?: boolean, computeUv?: true): Results<X>;
export function svd<X extends TensorLike>(x: X, fullMatrices = true, computeUv = true): Result<X> | Results<X> {
  return run('svd', [x], ([s]) => {
    const [m, n] = sizesOf('svd', s!);
    if (fullMatrices && computeUv && m !== n)
      throw new UnsupportedError(
        `ops.svd: full matrices of ${m} rows and ${n} columns are not computed: use svd(x, false), whose u and vh have ${Math.min(m, n)}`,
      );
    const [u, values, vh] = decomposed('svd', s!);
    return computeUv ? [u, values, vh] : values;
  }) as Result<X> | Results<X>;
}

/** The pseudo-inverse (…, n, m); singular values of at most `rcond` times the largest count as 0 (default: eps times the larger size). */
export const pinv = withOptions('pinv', (x, rcond?: number) => {
  const [u, s, vh] = decomposed('pinv', x);
  const kept = significant(x, s, rcond);
  const inverse = base.where(kept, base.divide(base.full(s, s.shape, 1), base.where(kept, s, 1)), 0);
  return product(base.multiply(swapped(vh), base.expandDims(inverse, -2)), swapped(u));
});
function significant(x: S, s: S, rcond: number | undefined): S {
  const [m, n] = sizesOf('pinv', x);
  const least = base.multiply(base.max(s, [s.rank - 1], true), rcond ?? Math.max(m, n) * 2 ** -23);
  return base.greater(s, base.broadcastTo(least, s.shape));
}
/** The number of singular values above `tol` times the largest, int32; default as `pinv`. */
export const matrixRank = withOptions('matrixRank', (x, tol?: number) => {
  const s = decomposed('matrixRank', x)[1];
  return base.sum(base.cast(significant(x, s, tol), 'int32'), [s.rank - 1]);
});

/** [values (…, n) ascending, vectors (…, n, n) in columns] of symmetric matrices. */
export const eigh = <X extends TensorLike>(x: X): Results<X> =>
  run('eigh', [x], ([a]) => {
    const [m, n] = sizesOf('eigh', a!);
    if (m !== n) throw new ShapeError(`ops.eigh: expected square matrices, got shape [${a!.shape.map(String).join(', ')}]`);
    const [p, q] = pairsOf(a!, n);
    const start = [a!, identity(a!, n)];
    const { carries } =
      n < 2
        ? { carries: start }
        : scan(a!.trace, {
            name: 'eigh',
            carries: start,
            xs: [p, q],
            constants: [],
            length: p.shape[0]!,
            reverse: false,
            step: ([d, v], [i, j]) => {
              const element = (r: S, k: S) => columnAt(rowAt(d!, r), k);
              const [c, s] = rotation(element(i!, j!), base.subtract(element(j!, j!), element(i!, i!)));
              const half = turnColumns(d!, i!, j!, c, s);
              return { carries: [swapped(turnColumns(swapped(half), i!, j!, c, s)), turnColumns(v!, i!, j!, c, s)], ys: [] };
            },
          });
    const values = base.sum(base.where(base.equal(base.iota(a!, a!.shape, a!.rank - 2), base.iota(a!, a!.shape, a!.rank - 1)), carries[0]!, 0), [a!.rank - 1]);
    const order = ordering(values, false);
    return [base.squeeze(product(base.expandDims(values, -2), order), -2), product(carries[1]!, order)];
  }) as Results<X>;
