/**
 * The discrete Fourier transform of `keras.ops`, as a product with the matrix of roots of unity: meant for some thousand points. Complex tensors are pairs [real, imaginary].
 * QR and least squares, by Gram-Schmidt in two rounds, which keeps the columns orthogonal to rounding.
 */
import { ShapeError } from '../../../ir/errors.js';
import * as base from '../backend/ops.js';
import { scan } from '../backend/scan.js';
import { type Result, type Results, run, type S, type TensorLike } from './lift.js';
import { solve } from './solving.js';

const sizeOf = (name: string, x: S, axis: number): number => {
  const n = x.shape[base.axisOf(x, axis)];
  if (typeof n !== 'number') throw new ShapeError(`ops.${name}: the size of axis ${axis} must be known`);
  return n;
};

/** Products over the last axis with cos and sin of 2π j k / n: [cosines, sines], each (…, columns). */
function waves(x: S, n: number, columns: number): [S, S] {
  const rows = x.shape.at(-1) as number;
  const matrix = (f: (angle: number) => number): S =>
    x.trace.constant({
      dtype: 'float32',
      shape: [rows, columns],
      data: Float32Array.from({ length: rows * columns }, (_, i) => f((2 * Math.PI * ((Math.floor(i / columns) * (i % columns)) % n)) / n)),
    });
  return [base.matmul(x, matrix(Math.cos)), base.matmul(x, matrix(Math.sin))];
}

type Pair<X extends TensorLike> = readonly [X, X];
/** Transform of a complex tensor along the last axis: [real, imaginary]. */
export const fft = <X extends TensorLike>(x: Pair<X>): Results<X> =>
  run('fft', x, ([re, im]) => {
    const n = sizeOf('fft', re!, -1);
    const [[c, s], [d, t]] = [waves(re!, n, n), waves(im!, n, n)];
    return [base.add(c, t), base.subtract(d, s)];
  }) as Results<X>;
/** The inverse of `fft`. */
export const ifft = <X extends TensorLike>(x: Pair<X>): Results<X> =>
  run('ifft', x, ([re, im]) => {
    const n = sizeOf('ifft', re!, -1);
    const [[c, s], [d, t]] = [waves(re!, n, n), waves(im!, n, n)];
    return [base.divide(base.subtract(c, t), n), base.divide(base.add(d, s), n)];
  }) as Results<X>;
/** Transform of a real tensor along the last axis, its first n / 2 + 1 frequencies: [real, imaginary]. */
export const rfft = <X extends TensorLike>(x: X): Results<X> =>
  run('rfft', [x], ([s]) => {
    const n = sizeOf('rfft', s!, -1);
    const [c, t] = waves(s!, n, Math.floor(n / 2) + 1);
    return [c, base.negative(t)];
  }) as Results<X>;

/** The real tensor of `length` points (default 2 (n - 1)) whose `rfft` the n frequencies [real, imaginary] are. */
export const irfft = <X extends TensorLike>(x: Pair<X>, length: number | null = null): Result<X> =>
  run('irfft', x, ([re, im]) => {
    const given = sizeOf('irfft', re!, -1);
    const n = length ?? 2 * (given - 1);
    if (!Number.isInteger(n) || n < 1) throw new ShapeError(`ops.irfft: 'length' must be a positive whole number, got ${n}`);
    const count = Math.min(given, Math.floor(n / 2) + 1);
    // every frequency but the first (and the middle one) stands for its mirror image, too
    const weights = Float32Array.from({ length: count }, (_, k) => (k === 0 || 2 * k === n ? 1 : 2) / n);
    const scaled = (v: S): S => base.multiply(base.sliceAxis(v, v.rank - 1, 0, count), v.trace.constant({ dtype: 'float32', shape: [count], data: weights }));
    return base.subtract(waves(scaled(re!), n, n)[0], waves(scaled(im!), n, n)[1]);
  }) as Result<X>;
/** Over the last two axes: [real, imaginary]. */
const twice =
  (name: 'fft2' | 'ifft2', along: (x: Pair<S>) => S[]) =>
  <X extends TensorLike>(x: Pair<X>): Results<X> =>
    run(name, x, ([re, im]) => {
      sizeOf(name, re!, -2);
      const turn = (v: S): S => base.transpose(v, [...v.shape.slice(0, -2).map((_, i) => i), v.rank - 1, v.rank - 2]);
      const rows = along([re!, im!]) as [S, S];
      return along([turn(rows[0]), turn(rows[1])]).map(turn);
    }) as Results<X>;
export const fft2 = twice('fft2', (x) => fft(x));
/** The inverse of `fft2`. */
export const ifft2 = twice('ifft2', (x) => ifft(x));

/** Orthonormal columns Q (…, m, k) and R (…, k, n) with Q R = x, k = min(m, n). The diagonal of R is not negative (LAPACK's signs differ); columns must be independent. */
export const qr = <X extends TensorLike>(x: X): Results<X> => run('qr', [x], ([s]) => factors('qr', s!)) as Results<X>;

function factors(name: string, x: S): [S, S] {
  if (x.rank < 2) throw new ShapeError(`ops.${name}: expected matrices, got rank ${x.rank}`);
  const lead = x.shape.slice(0, -2);
  const [m, n] = [sizeOf(name, x, -2), sizeOf(name, x, -1)];
  const k = Math.min(m, n);
  const batch = lead.map((_, i) => i);
  const r = x.rank;
  const product = (a: S, b: S, left: number, right: number): S =>
    base.dot(a, b, { batchLeft: batch, batchRight: batch, contractLeft: [left], contractRight: [right] });
  const { carries } = scan(x.trace, {
    name,
    carries: [base.full(x, [...lead, m, k], 0)],
    xs: [base.iota(x, [k], 0)],
    constants: [x],
    length: k,
    reverse: false,
    step: ([q], [j], [all]) => {
      const here = base.equal(base.iota(all!, all!.shape, r - 1), j!);
      let column = base.sum(base.where(here, all!, 0), [r - 1], true);
      for (let round = 0; round < 2; round++) column = base.subtract(column, product(q!, product(q!, column, r - 2, r - 2), r - 1, r - 2));
      const unit = base.divide(column, base.sqrt(base.sum(base.square(column), [r - 2], true)));
      const place = base.equal(base.iota(q!, q!.shape, r - 1), j!);
      return { carries: [base.where(place, base.broadcastTo(unit, q!.shape), q!)], ys: [] };
    },
  });
  const q = carries[0]!;
  const upper = product(q, x, r - 2, r - 2);
  const triangle = base.lessEqual(base.iota(upper, upper.shape, r - 2), base.iota(upper, upper.shape, r - 1));
  return [q, base.where(triangle, upper, 0)];
}

/** x (n, …) with the smallest |a x - b| for a (m, n) of full rank, m at least n; b (m) or (m, k). */
export const lstsq = <A extends TensorLike, B extends TensorLike>(a: A, b: B): Result<A | B> =>
  run('lstsq', [a, b], ([s, u]) => {
    if (s!.rank !== 2 || sizeOf('lstsq', s!, 0) < sizeOf('lstsq', s!, 1))
      throw new ShapeError(`ops.lstsq: expected a matrix with at least as many rows as columns, got shape [${s!.shape.map(String).join(', ')}]`);
    const [q, r] = factors('lstsq', s!);
    return solve(r, base.dot(q, u!, { batchLeft: [], batchRight: [], contractLeft: [0], contractRight: [0] }));
  }) as Result<A | B>;
