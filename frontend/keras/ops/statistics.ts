/** Order statistics and counting, of `keras.ops`. */
import { ValueError } from '../../../ir/errors.js';
import * as base from '../backend/ops.js';
import { type Result, run, type S, type TensorLike, withOptions } from './lift.js';
import { sort } from './shape.js';

function quantileOf(x: S, q: number, axis: number | null, keepdims: boolean): S {
  if (!(q >= 0 && q <= 1)) throw new ValueError(`ops.quantile: 'q' must be between 0 and 1, got ${q}`);
  const flat = axis === null ? base.reshape(x, [-1]) : x;
  const at = base.axisOf(flat, axis ?? 0);
  const n = flat.shape[at];
  if (typeof n !== 'number') throw new ValueError('ops.quantile: the size of the axis must be known');
  const sorted = sort(flat, at);
  const place = q * (n - 1);
  const [low, high] = [Math.floor(place), Math.ceil(place)];
  const element = (i: number) => base.sliceAxis(sorted, at, i, i + 1);
  const between = low === high ? element(low) : base.add(base.multiply(element(low), high - place), base.multiply(element(high), place - low));
  if (!keepdims) return base.squeeze(between, at);
  return axis === null
    ? base.reshape(
        between,
        x.shape.map(() => 1),
      )
    : between;
}
/** The value below which the share q (0 to 1) of the elements lies, along an axis (null: all), linear between neighbours. */
export const quantile = withOptions('quantile', (x, q: number, axis?: number | null, keepdims?: boolean) => quantileOf(x, q, axis ?? null, keepdims ?? false));
/** The middle value; between two of them their mean. */
export const median = withOptions('median', (x, axis?: number | null, keepdims?: boolean) => quantileOf(x, 0.5, axis ?? null, keepdims ?? false));

/** Where values would be inserted into a sorted vector: int32; `left` (default): before equal ones. */
export const searchsorted = <X extends TensorLike, V extends TensorLike>(sorted: X, values: V, side: 'left' | 'right' = 'left'): Result<X | V> =>
  run('searchsorted', [sorted, values], ([s, v]) => {
    const each = base.expandDims(v!, -1);
    return base.sum(base.cast(side === 'left' ? base.less(s!, each) : base.lessEqual(s!, each), 'int32'), [v!.rank]);
  }) as Result<X | V>;
/** How often each of 0 … length - 1 occurs in a vector of whole numbers: int32. */
export const bincount = withOptions('bincount', (x, length: number) => {
  const hits = base.equal(base.expandDims(base.cast(x, 'int32'), -1), base.iota(x, [...x.shape, length], x.rank));
  return base.sum(base.cast(hits, 'int32'), [x.rank - 1]);
});
