/** Sampling of images at computed positions: taps along each axis, and gathers of their products. */
import type { Value } from '../../../ir/graph.js';
import { sizeOf } from '../../../ir/tensor-data.js';
import type { NodeContext } from '../context.js';

/** x [N, C, S] at positions [N, P] (int32, in range): [N, C, P]. */
export function gatherPoints(c: NodeContext, x: Value, at: Value): Value {
  const { b } = c;
  const [n, ch, s] = c.shape(x) as [number, number, number];
  const p = c.size(at.shape[1]!);
  const base = b.add(b.mul(b.iota([n, ch, p], 0), ch * s), b.mul(b.iota([n, ch, p], 1), s));
  return b.gather(b.reshape(x, [n * ch * s]), b.add(base, b.expandDims(at, 1)), 0);
}

/** One element along an axis: index (int32, in range) and weight, both [N, P]. The weight is 0 where the padding is of zeros. */
export interface Tap {
  readonly index: Value;
  readonly weight: Value;
}

export type Outside = 'zeros' | 'border' | 'reflection';

/** Reflects positions at the borders of an axis, as often as needed. */
function reflect(c: NodeContext, x: Value, low: number, high: number): Value {
  const { b } = c;
  const span = high - low;
  if (span <= 0) return b.full(x.shape, 0, x.dtype);
  const t = b.sub(x, low);
  const m = b.sub(t, b.mul(b.unary('floor', b.div(t, 2 * span)), 2 * span));
  return b.add(b.select(b.compare('gt', m, span), b.sub(2 * span, m), m), low);
}

/** A tap at an integral float position of an axis of the given size. */
export function tapAt(c: NodeContext, position: Value, weight: Value, size: number, outside: Outside, align: boolean): Tap {
  const { b } = c;
  const inside = b.and(b.compare('ge', position, 0), b.compare('le', position, size - 1));
  const folded = outside === 'reflection' ? b.select(inside, position, reflect(c, position, align ? 0 : -0.5, align ? size - 1 : size - 0.5)) : position;
  const index = b.cast(b.max(b.min(folded, size - 1), 0), 'int32');
  return { index, weight: outside === 'zeros' ? b.select(inside, weight, 0) : weight };
}

/** The taps of a real position: 1, 2 or 4 of them. */
export function tapsOf(c: NodeContext, given: Value, size: number, mode: 'nearest' | 'linear' | 'cubic', outside: Outside, align: boolean): Tap[] {
  const { b } = c;
  const [low, high] = align ? [0, size - 1] : [-0.5, size - 0.5];
  let x = given;
  if (outside !== 'zeros' && mode !== 'cubic') {
    const beyond = b.or(b.compare('lt', x, low), b.compare('gt', x, high));
    x = b.select(beyond, outside === 'border' ? b.max(b.min(x, size - 1), 0) : reflect(c, x, low, high), x);
  }
  if (mode === 'nearest') return [tapAt(c, b.unary('round', x), b.full(x.shape, 1, x.dtype), size, outside, align)];
  const base = b.unary('floor', x);
  const t = b.sub(x, base);
  if (mode === 'linear') return [tapAt(c, base, b.sub(1, t), size, outside, align), tapAt(c, b.add(base, 1), t, size, outside, align)];
  const a = -0.75;
  const near = (d: Value): Value => b.add(b.mul(b.mul(b.sub(b.mul(d, a + 2), a + 3), d), d), 1);
  const far = (d: Value): Value => b.sub(b.mul(b.add(b.mul(b.sub(b.mul(d, a), 5 * a), d), 8 * a), d), 4 * a);
  const rest = b.sub(1, t);
  const weights = [far(b.add(t, 1)), near(t), near(rest), far(b.add(rest, 1))];
  return weights.map((w, k) => tapAt(c, b.add(base, k - 1), w, size, outside, align));
}

/** Sum over the products of the taps of all axes: x [N, C, ...spatial] at [N, P] points gives [N, C, P]. */
export function sample(c: NodeContext, x: Value, axes: readonly (readonly Tap[])[]): Value {
  const { b } = c;
  const [n, ch, ...spatial] = c.shape(x) as [number, number, ...number[]];
  const flat = b.reshape(x, [n, ch, sizeOf(spatial)]);
  let sum: Value | null = null;
  const visit = (axis: number, index: Value | null, weight: Value | null): void => {
    if (axis === axes.length) {
      const term = b.mul(gatherPoints(c, flat, index!), b.expandDims(weight!, 1));
      sum = sum ? b.add(sum, term) : term;
      return;
    }
    for (const tap of axes[axis]!) {
      visit(axis + 1, index ? b.add(b.mul(index, spatial[axis]!), tap.index) : tap.index, weight ? b.mul(weight, tap.weight) : tap.weight);
    }
  };
  visit(0, null, null);
  return sum!;
}
