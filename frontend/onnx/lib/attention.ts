/** Scaled dot-product attention over heads, with masks, caches, soft caps and groups of query heads. */
import { addDim, type Dim, isStatic } from '../../../ir/dim.js';
import type { DType } from '../../../ir/dtype.js';
import type { Value } from '../../../ir/graph.js';
import { softmax } from '../../../ir/math.js';
import type { NodeContext } from '../context.js';

/** [B, S, H * D] to [B, H, S, D]. */
export function splitHeads(c: NodeContext, x: Value, heads: number): Value {
  const { b } = c;
  const [n, s, width] = x.shape as [Dim, Dim, Dim];
  const d = c.size(width) / heads;
  if (!Number.isInteger(d)) c.failShape(`width ${width} is not a multiple of ${heads} heads`);
  return b.transpose(b.reshape(x, [n, s, heads, d]), [0, 2, 1, 3]);
}

/** [B, H, S, D] to [B, S, H * D]. */
export function joinHeads(c: NodeContext, x: Value): Value {
  const [n, h, s, d] = x.shape as [Dim, Dim, Dim, Dim];
  return c.b.reshape(c.b.transpose(x, [0, 2, 1, 3]), [n, s, c.size(h) * c.size(d)]);
}

/** Each head of keys and values for a group of query heads. */
export function repeatHeads(c: NodeContext, x: Value, heads: number): Value {
  const { b } = c;
  const [n, h, s, d] = x.shape as [Dim, Dim, Dim, Dim];
  const groups = heads / c.size(h);
  if (groups === 1) return x;
  if (!Number.isInteger(groups)) c.failShape(`${heads} query heads are not a multiple of ${h} heads of keys`);
  return b.reshape(b.broadcast(x, [n, h, groups, s, d], [0, 1, 3, 4]), [n, heads, s, d]);
}

/** Softmax over the last axis in which a row of -inf gives zeros. */
export function guardedSoftmax(c: NodeContext, x: Value): Value {
  const { b } = c;
  const axis = x.shape.length - 1;
  const top = b.reduce('max', x, [axis], true);
  const empty = b.compare('eq', top, Number.NEGATIVE_INFINITY);
  const e = b.exp(b.sub(x, b.select(empty, 0, top)));
  const total = b.sum(e, [axis], true);
  return b.div(e, b.select(empty, 1, total));
}

export interface AttentionParts {
  /** [B, H, S, D] each; keys and values may have fewer heads. */
  readonly q: Value;
  readonly k: Value;
  readonly v: Value;
  readonly scale: number;
  readonly softcap: number;
  /** What is allowed: bool masks, each broadcast to the scores. */
  readonly allowed: readonly Value[];
  /** What is added to the scores. */
  readonly bias: Value | null;
  readonly precision: DType;
}

export interface AttentionResult {
  readonly y: Value;
  /** Scores, scores after the cap, scores with the masks, probabilities. */
  readonly stages: readonly [Value, Value, Value, Value];
}

export function attend(c: NodeContext, p: AttentionParts): AttentionResult {
  const { b } = c;
  const heads = c.size(p.q.shape[1]!);
  const [k, v] = [repeatHeads(c, p.k, heads), repeatHeads(c, p.v, heads)];
  const root = Math.sqrt(p.scale);
  const raw = b.dot(b.mul(p.q, root), b.mul(k, root), { batchLeft: [0, 1], batchRight: [0, 1], contractLeft: [3], contractRight: [3] });
  const capped = p.softcap > 0 ? b.mul(b.tanh(b.div(raw, p.softcap)), p.softcap) : raw;
  let masked = p.bias ? b.add(capped, b.broadcastTo(p.bias, raw.shape)) : capped;
  for (const m of p.allowed) masked = b.select(b.broadcastTo(m, raw.shape), masked, Number.NEGATIVE_INFINITY);
  const guarded = p.allowed.length > 0 || p.bias !== null;
  const wide = b.cast(masked, p.precision);
  const weights = b.cast(guarded ? guardedSoftmax(c, wide) : softmax(b, wide, -1), p.q.dtype);
  const y = b.dot(weights, v, { batchLeft: [0, 1], batchRight: [0, 1], contractLeft: [3], contractRight: [2] });
  return { y, stages: [raw, capped, masked, weights] };
}

/** Query i may see key j for j <= i + offset; offset is a number or one for each sample [B]. */
export function causalMask(c: NodeContext, queries: Dim, keys: Dim, offset: Dim | Value, window: readonly [number, number], causal: boolean): Value[] {
  const { b } = c;
  const perSample = typeof offset === 'object' && 'dtype' in offset;
  const shape = perSample ? [offset.shape[0]!, 1, queries, keys] : [queries, keys];
  const r = shape.length;
  const [i, j] = [b.iota(shape, r - 2), b.iota(shape, r - 1)];
  const at = perSample ? b.add(i, b.broadcast(offset, shape, [0])) : isStatic(offset as Dim) ? b.add(i, offset as number) : b.add(i, b.dimSize(offset as Dim));
  const masks: Value[] = [];
  if (causal) masks.push(b.compare('le', j, at));
  if (window[0] >= 0) masks.push(b.compare('ge', j, b.sub(at, window[0])));
  if (window[1] >= 0) masks.push(b.compare('le', j, b.add(at, window[1])));
  return masks;
}

/** A mask whose last axis is shorter than the keys: what is missing is not allowed. */
export function widenMask(c: NodeContext, mask: Value, keys: Dim): Value {
  const { b } = c;
  const last = mask.shape.length - 1;
  const have = mask.shape[last]!;
  if (!isStatic(have) || !isStatic(keys) || have >= keys || have === 1) return mask;
  const high = mask.shape.map((_, i) => (i === last ? keys - have : 0));
  const low = high.map(() => 0);
  return mask.dtype === 'bool' ? b.cast(b.pad(b.cast(mask, 'int32'), low, high, 0), 'bool') : b.pad(mask, low, high, Number.NEGATIVE_INFINITY);
}

export const totalLength = (past: Value | null, x: Value): Dim => (past ? addDim(past.shape[2]!, x.shape[2]!) : x.shape[2]!);
