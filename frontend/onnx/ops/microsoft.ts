/** The fused ops of the domain com.microsoft that exporters and optimizers of other runtimes write. */
import type { Value } from '../../../ir/graph.js';
import { gelu } from '../../../ir/math.js';
import type { NodeContext } from '../context.js';
import { attend, joinHeads, splitHeads } from '../lib/attention.js';
import { matmul } from '../lib/matmul.js';
import { activationsOf } from '../lib/recurrent.js';
import { windowAttributes } from '../lib/window.js';
import { float, int, type OpEntry, op, opt, text } from '../registry.js';
import { addBias, convolve } from './convolution.js';
import { layerNormalization } from './normalization.js';

const domain = 'com.microsoft';

/** An activation by name with its parameters in order. */
const activate = (c: NodeContext, x: Value, name: string | null, params: readonly number[] | null): Value => {
  if (!name) return x;
  if (name === 'Clip') return c.b.max(c.b.min(x, params?.[1] ?? Infinity), params?.[0] ?? -Infinity);
  const [f] = activationsOf(c, [name], params?.slice(0, 1) ?? null, params?.slice(1) ?? null);
  return f!(c.b, x);
};

/** x scaled to a root mean square of 1 over the last axis. */
function rms(c: NodeContext, x: Value, epsilon: number): Value {
  const { b } = c;
  return b.mul(x, b.rsqrt(b.add(b.mean(b.square(x), [x.shape.length - 1], true), epsilon)));
}

const last = (x: Value): number => x.shape.length - 1;
const plus = (c: NodeContext, x: Value, y: Value | null): Value => (y ? c.b.add(x, y) : x);

export const microsoftOps: readonly OpEntry[] = [
  op('Gelu', [1], {}, (c) => gelu(c.b, c.in(0)), { domain }),
  op('BiasGelu', [1], {}, (c) => gelu(c.b, c.b.add(c.in(0), c.in(1))), { domain }),
  op('FastGelu', [1], {}, (c) => gelu(c.b, plus(c, c.in(0), c.opt(1)), true), { domain }),
  op('QuickGelu', [1], { alpha: float(Math.fround(1.702)) }, (c, a) => c.b.mul(c.in(0), c.b.sigmoid(c.b.mul(c.in(0), a.alpha))), { domain }),
  op(
    'LayerNormalization',
    [1],
    { axis: int(-1), epsilon: float(Math.fround(1e-5)), stash_type: int(1) },
    (c, a) => layerNormalization(c, c.in(0), c.in(1), c.opt(2), c.axis(a.axis, c.rank(0)), a.epsilon, a.stash_type),
    { domain },
  ),
  op('SimplifiedLayerNormalization', [1], { axis: int(-1), epsilon: float(Math.fround(1e-5)), stash_type: int(1) }, (c, a) =>
    c.b.mul(rms(c, c.in(0), a.epsilon), c.in(1)),
  ),
  op(
    'SkipLayerNormalization',
    [1],
    { epsilon: float(Math.fround(1e-12)) },
    (c, a) => {
      const x = plus(c, c.b.add(c.in(0), c.in(1)), c.opt(4));
      const [y, mean, factor] = layerNormalization(c, x, c.in(2), c.opt(3), last(x), a.epsilon, 1);
      return [y!, mean!, factor!, x];
    },
    { domain },
  ),
  op(
    'SkipSimplifiedLayerNormalization',
    [1],
    { epsilon: float(Math.fround(1e-12)) },
    (c, a) => {
      const x = plus(c, c.b.add(c.in(0), c.in(1)), c.opt(3));
      const y = c.b.mul(rms(c, x, a.epsilon), c.in(2));
      return [y, null, null, x];
    },
    { domain },
  ),
  op(
    'FusedConv',
    [1],
    { ...windowAttributes, activation: opt.text, activation_params: opt.floats, group: int(1) },
    (c, a) => activate(c, plus(c, addBias(c, convolve(c, c.in(0), c.in(1), a), c.opt(2)), c.opt(3)), a.activation, a.activation_params),
    { domain },
  ),
  op(
    'FusedMatMul',
    [1],
    { alpha: float(1), transA: int(0), transB: int(0), transBatchA: int(0), transBatchB: int(0) },
    (c, a) => {
      if (a.transBatchA || a.transBatchB) c.unsupported('transBatchA and transBatchB');
      const turn = (v: Value, on: number): Value => {
        if (!on || v.shape.length < 2) return v;
        const n = v.shape.length;
        return c.b.transpose(v, [...v.shape.map((_, i) => i).slice(0, -2), n - 1, n - 2]);
      };
      const y = matmul(c, turn(c.in(0), a.transA), turn(c.in(1), a.transB));
      return a.alpha === 1 ? y : c.b.mul(y, a.alpha);
    },
    { domain },
  ),
  op(
    'FusedGemm',
    [1],
    { activation: text(), activation_alpha: opt.float, activation_beta: opt.float, alpha: float(1), beta: float(1), transA: int(0), transB: int(0) },
    (c, a) => {
      const { b } = c;
      const product = b.dot(c.in(0), c.in(1), { batchLeft: [], batchRight: [], contractLeft: [a.transA ? 0 : 1], contractRight: [a.transB ? 1 : 0] });
      const scaled = a.alpha === 1 ? product : b.mul(product, a.alpha);
      const bias = c.opt(2);
      const sum = bias ? b.add(scaled, a.beta === 1 ? bias : b.mul(bias, a.beta)) : scaled;
      const params = [a.activation_alpha, a.activation_beta].filter((p) => p !== null);
      return activate(c, sum, a.activation, params.length > 0 ? params : null);
    },
    { domain },
  ),
  op(
    'Attention',
    [1],
    {
      num_heads: int(),
      unidirectional: int(0),
      qkv_hidden_sizes: opt.ints,
      mask_filter_value: float(-10000),
      scale: opt.float,
      do_rotary: int(0),
      past_present_share_buffer: int(0),
      rotary_embedding_dim: int(0),
    },
    (c, a) => {
      // One product for queries, keys and values; the mask is [B] lengths, [B, T], [B, S, T] or [B, 1, S, T] of 0 and 1.
      const { b } = c;
      const x = c.in(0);
      if (c.opt(4) || a.do_rotary) c.unsupported('a past state or rotary embeddings');
      const all = plus(c, matmul(c, x, c.in(1)), c.opt(2));
      const width = c.size(all.shape[2]!);
      const sizes = a.qkv_hidden_sizes ?? [width / 3, width / 3, width / 3];
      const part = (from: number, size: number): Value => splitHeads(c, b.sliceAxis(all, 2, from, from + size), a.num_heads);
      const [q, k, v] = [part(0, sizes[0]!), part(sizes[0]!, sizes[1]!), part(sizes[0]! + sizes[1]!, sizes[2]!)];
      const [s, t] = [q.shape[2]!, k.shape[2]!];
      const filter = (on: Value): Value => b.select(on, b.full(on.shape, 0, x.dtype), a.mask_filter_value);
      let bias: Value | null = c.opt(5);
      const mask = c.opt(3);
      if (mask) {
        const m = c.index(mask);
        const n = m.shape[0]!;
        const on =
          m.shape.length === 1
            ? b.compare('lt', b.iota([n, 1, 1, t], 3), b.broadcast(m, [n, 1, 1, t], [0]))
            : b.compare('ne', m.shape.length === 2 ? b.reshape(m, [n, 1, 1, t]) : m.shape.length === 3 ? b.expandDims(m, 1) : m, 0);
        bias = plus(c, filter(on), bias);
      }
      if (a.unidirectional) bias = plus(c, filter(b.compare('le', b.iota([s, t], 1), b.iota([s, t], 0))), bias);
      const scale = a.scale || 1 / Math.sqrt(c.size(q.shape[3]!));
      const { y } = attend(c, { q, k, v, scale, softcap: 0, allowed: [], bias, precision: q.dtype });
      return joinHeads(c, y);
    },
    { domain },
  ),
];
