/**
 * Approximate quantiles as Keras' Discretization computes them: each batch is summarized by every n-th of its sorted values with a weight; summaries are merged, and interpolated back to
 * 1 / epsilon values (float32 between the steps).
 */

import type { Semantics } from '../../utils/serialization.js';

interface Summary {
  readonly values: Float32Array;
  readonly weights: Float32Array;
}

/** np.interp. */
function interpolate(x: number, xs: ArrayLike<number>, ys: ArrayLike<number>): number {
  const last = xs.length - 1;
  if (x <= xs[0]!) return x === xs[0] ? ys[lastEqual(xs, x)]! : ys[0]!;
  if (x >= xs[last]!) return ys[last]!;
  let [low, high] = [0, last];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle]! <= x) low = middle;
    else high = middle;
  }
  const slope = (ys[high]! - ys[low]!) / (xs[high]! - xs[low]!);
  return slope * (x - xs[low]!) + ys[low]!;
}
function lastEqual(xs: ArrayLike<number>, x: number): number {
  let i = 0;
  while (i + 1 < xs.length && xs[i + 1] === x) i++;
  return i;
}

function summarize(values: Float32Array, epsilon: number, generation: Semantics): Summary {
  const sorted = values.slice().sort();
  const keras3 = generation === 'keras3';
  const increment = keras3 ? sorted.length / (1 / epsilon) : Math.trunc(Math.fround(sorted.length / Math.fround(1 / epsilon)));
  const step = Math.max(increment, 1);
  const kept: number[] = [];
  for (let i = Math.trunc(keras3 ? step - 1 : increment); i < sorted.length; i += Math.trunc(step)) kept.push(sorted[i]!);
  return { values: Float32Array.from(kept), weights: new Float32Array(kept.length).fill(step) };
}

function compress(s: Summary, epsilon: number): Summary {
  if (s.values.length * epsilon < 1) return s;
  let total = 0;
  const sums = s.weights.map((w) => {
    total = Math.fround(total + w);
    return total;
  });
  const shares = sums.map((w) => w / total);
  const count = Math.ceil(1 / epsilon);
  const values = new Float32Array(count);
  const weights = new Float32Array(count);
  let before = 0;
  for (let i = 0; i < count; i++) {
    const at = epsilon + i * epsilon;
    values[i] = interpolate(at, shares, s.values);
    const sum = interpolate(at, shares, sums);
    weights[i] = sum - before;
    before = sum;
  }
  return { values, weights };
}

function merge(a: Summary, b: Summary, epsilon: number): Summary {
  const values = [...a.values, ...b.values];
  const weights = [...a.weights, ...b.weights];
  const order = values.map((_, i) => i).sort((i, j) => values[i]! - values[j]! || i - j);
  return compress({ values: Float32Array.from(order, (i) => values[i]!), weights: Float32Array.from(order, (i) => weights[i]!) }, epsilon);
}

/** Boundaries of `bins` bins that hold about as many of the values each; the values are taken so many at a time. The generations of Keras summarize differently. */
export function quantiles(data: ArrayLike<number>, bins: number, epsilon: number, batch: number, generation: Semantics): number[] {
  const all = Float32Array.from(data);
  let summary: Summary = { values: new Float32Array(0), weights: new Float32Array(0) };
  for (let at = 0; at < all.length; at += batch) summary = merge(summarize(all.subarray(at, at + batch), epsilon, generation), summary, epsilon);
  return Array.from(compress(summary, 1 / bins).values.subarray(0, -1));
}
