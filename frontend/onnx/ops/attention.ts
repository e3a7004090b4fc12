/** Attention and what stands around it in transformers and state-space models. */
import { equalShape } from '../../../ir/dim.js';
import type { Value } from '../../../ir/graph.js';
import { softmax } from '../../../ir/math.js';
import { scan } from '../../../ir/subgraph.js';
import type { NodeContext } from '../context.js';
import { attend, causalMask, joinHeads, repeatHeads, splitHeads, totalLength, widenMask } from '../lib/attention.js';
import { float, int, isValue, type OpEntry, op, opt, text } from '../registry.js';
import type { GraphProto } from '../schema/types.js';

const attentionAttributes = {
  is_causal: int(0),
  kv_num_heads: opt.int,
  left_window_size: int(-1),
  q_num_heads: opt.int,
  qk_matmul_output_mode: int(0),
  right_window_size: int(-1),
  scale: opt.float,
  softcap: float(0),
  softmax_precision: opt.int,
} as const;

const silu = (c: NodeContext, x: Value): Value => c.b.mul(x, c.b.sigmoid(x));

export const attentionOps: readonly OpEntry[] = [
  op('Attention', [23, 24, 25], attentionAttributes, (c, a) => {
    const { b } = c;
    const flat = c.rank(0) === 3;
    const heads = (v: Value, n: number | null): Value => (flat ? splitHeads(c, v, n ?? c.fail('3-D inputs need q_num_heads and kv_num_heads')) : v);
    const q = heads(c.in(0), a.q_num_heads);
    const [newK, newV] = [heads(c.in(1), a.kv_num_heads), heads(c.in(2), a.kv_num_heads)];
    const [pastK, pastV, lengths] = [c.opt(4), c.opt(5), c.opt(6)];
    const k = pastK ? b.concat([pastK, newK], 2) : newK;
    const v = pastV ? b.concat([pastV, newV], 2) : newV;
    const [queries, keys] = [q.shape[2]!, totalLength(pastK, newK)];
    const mask = c.opt(3) ? widenMask(c, c.in(3), keys) : null;
    const offset = lengths && !pastK ? b.sub(c.index(lengths), b.dimSize(queries)) : pastK ? pastK.shape[2]! : 0;
    const allowed = causalMask(c, queries, keys, offset, [a.left_window_size, a.right_window_size], a.is_causal !== 0);
    if (mask?.dtype === 'bool') allowed.push(mask);
    if (lengths) {
      const shape = [lengths.shape[0]!, 1, 1, keys];
      allowed.push(b.compare('lt', b.iota(shape, 3), b.broadcast(c.index(lengths), shape, [0])));
    }
    const { y, stages } = attend(c, {
      q,
      k,
      v,
      scale: a.scale ?? 1 / Math.sqrt(c.size(q.shape[3]!)),
      softcap: a.softcap,
      allowed,
      bias: mask && mask.dtype !== 'bool' ? b.cast(mask, q.dtype) : null,
      precision: a.softmax_precision === null ? q.dtype : c.dtype(a.softmax_precision),
    });
    return [
      flat ? joinHeads(c, y) : y,
      k,
      v,
      c.wants(3) ? b.cast(stages[a.qk_matmul_output_mode] ?? c.fail(`qk_matmul_output_mode ${a.qk_matmul_output_mode}`), q.dtype) : null,
    ];
  }),
  op(
    'FlexAttention',
    [1],
    { scale: opt.float, softmax_precision: opt.int, score_mod: opt.graph, prob_mod: opt.graph },
    (c, a) => {
      const { b } = c;
      const [q, k, v] = [c.in(0), c.in(1), c.in(2)];
      for (const [i, x] of [q, k, v].entries()) if (x.shape.length !== 4) c.failShape(`input ${i} has rank ${x.shape.length}, expected 4`);
      const heads = c.size(q.shape[1]!);
      const precision = a.softmax_precision === null ? (q.dtype === 'float64' ? 'float64' : 'float32') : c.dtype(a.softmax_precision);
      const modified = (body: GraphProto | null, x: Value): Value => {
        if (!body) return x;
        const [y, ...rest] = c.importer.lowerBody(body, c.scope.child(), [x], c.where);
        if (!isValue(y) || rest.length > 0 || y.dtype !== x.dtype || !equalShape(y.shape, x.shape))
          c.failShape(`its subgraph '${body.name ?? ''}' must give one tensor ${x.dtype}[${x.shape.join(',')}]`);
        return y as Value;
      };
      const wide = (x: Value): Value => b.cast(x, precision);
      const keys = wide(repeatHeads(c, k, heads));
      const products = b.dot(wide(q), keys, { batchLeft: [0, 1], batchRight: [0, 1], contractLeft: [3], contractRight: [3] });
      const scores = modified(a.score_mod, b.mul(products, a.scale ?? 1 / Math.sqrt(c.size(q.shape[3]!))));
      const weights = modified(a.prob_mod, softmax(b, scores, -1));
      const values = repeatHeads(c, v, heads);
      return b.dot(b.cast(weights, q.dtype), values, { batchLeft: [0, 1], batchRight: [0, 1], contractLeft: [3], contractRight: [2] });
    },
    { domain: 'ai.onnx.preview' },
  ),
  op('RotaryEmbedding', [23], { interleaved: int(0), num_heads: opt.int, rotary_embedding_dim: int(0) }, (c, a) => {
    const { b } = c;
    const given = c.in(0);
    const flat = given.shape.length === 3;
    // [B, S, H, D]
    const d = flat ? c.size(given.shape[2]!) / (a.num_heads || c.fail('3-D inputs need num_heads')) : c.size(given.shape[3]!);
    const x = flat ? b.reshape(given, [given.shape[0]!, given.shape[1]!, a.num_heads!, d]) : b.transpose(given, [0, 2, 1, 3]);
    const rotary = a.rotary_embedding_dim || d;
    const half = rotary / 2;
    const positions = c.opt(3);
    const table = (v: Value): Value => {
      const rows = positions ? b.gather(v, c.index(positions), 0) : v;
      const used = b.sliceAxis(rows, 2, 0, half);
      return b.expandDims(used, 2);
    };
    const [cos, sin] = [table(c.in(1)), table(c.in(2))];
    const turned = b.sliceAxis(x, 3, 0, rotary);
    const rest = rotary < d ? [b.sliceAxis(x, 3, rotary, d)] : [];
    const [n, s, h] = [x.shape[0]!, x.shape[1]!, x.shape[2]!];
    let rotated: Value;
    if (a.interleaved) {
      const pairs = b.reshape(turned, [n, s, h, half, 2]);
      const part = (k: number): Value => b.squeeze(b.sliceAxis(pairs, 4, k, k + 1), [4]);
      const [re, im] = [b.sub(b.mul(cos, part(0)), b.mul(sin, part(1))), b.add(b.mul(sin, part(0)), b.mul(cos, part(1)))];
      rotated = b.reshape(b.concat([b.expandDims(re, 4), b.expandDims(im, 4)], 4), [n, s, h, rotary]);
    } else {
      const [x1, x2] = [b.sliceAxis(turned, 3, 0, half), b.sliceAxis(turned, 3, half, rotary)];
      rotated = b.concat([b.sub(b.mul(cos, x1), b.mul(sin, x2)), b.add(b.mul(sin, x1), b.mul(cos, x2))], 3);
    }
    const y = b.concat([rotated, ...rest], 3);
    return flat ? b.reshape(y, given.shape) : b.transpose(y, [0, 2, 1, 3]);
  }),
  op('CausalConvWithState', [27], { activation: text('none') }, (c, a) => {
    const { b } = c;
    const [x, w] = [c.in(0), c.in(1)];
    const [n, ch] = [x.shape[0]!, c.size(x.shape[1]!)];
    const k = c.size(w.shape[2]!);
    const past = c.opt(3);
    const long = k === 1 ? x : past ? b.concat([past, x], 2) : b.pad(x, [0, 0, k - 1], [0, 0, 0]);
    const roles = { batch: 0, feature: 1, spatial: [2] };
    const y = b.emit('conv', [long, w], {
      strides: [1],
      padding: [[0, 0]],
      inputDilation: [1],
      kernelDilation: [1],
      groups: ch,
      batchGroups: 1,
      dims: { input: roles, kernel: { output: 0, input: 1, spatial: [2] }, output: roles },
    });
    const biased = c.opt(2) ? b.add(y, b.reshape(c.in(2), [ch, 1])) : y;
    const length = c.size(long.shape[2]!);
    if (!['none', 'silu', 'swish'].includes(a.activation)) c.fail(`activation '${a.activation}', expected none, silu or swish`);
    return [a.activation === 'none' ? biased : silu(c, biased), k === 1 ? b.full([n, ch, 0], 0, x.dtype) : b.sliceAxis(long, 2, length - k + 1, length)];
  }),
  op('LinearAttention', [27], { chunk_size: int(64), kv_num_heads: int(), q_num_heads: int(), scale: float(0), update_rule: text('gated_delta') }, (c, a) => {
    const { b } = c;
    const rules = ['linear', 'gated', 'delta', 'gated_delta'];
    if (!rules.includes(a.update_rule)) c.fail(`update_rule '${a.update_rule}', expected ${rules.join(', ')}`);
    const [hq, hk] = [a.q_num_heads, a.kv_num_heads];
    const [q, k, v] = [splitHeads(c, c.in(0), hq), splitHeads(c, c.in(1), hk), splitHeads(c, c.in(2), hk)];
    const [n, t] = [q.shape[0]!, q.shape[2]!];
    const [dk, dv] = [c.size(k.shape[3]!), c.size(v.shape[3]!)];
    const gated = a.update_rule.startsWith('gated');
    const delta = a.update_rule.endsWith('delta');
    const dtype = q.dtype === 'float16' ? 'float32' : q.dtype;
    const state = c.opt(3) ? b.cast(c.in(3), dtype) : b.full([n, hk, dk, dv], 0, dtype);
    const stepFirst = (x: Value): Value => b.cast(b.transpose(x, [2, 0, 1, 3]), dtype);
    const decay = gated ? splitHeads(c, c.in(4), hk) : null;
    const beta = delta ? c.in(5) : null;
    const rates = beta && b.broadcastTo(b.expandDims(b.cast(b.transpose(beta, [1, 0, 2]), dtype), 3), [t, n, hk, 1]);
    const xs = [stepFirst(repeatHeads(c, k, hk)), stepFirst(v), stepFirst(q), ...(decay ? [b.exp(stepFirst(decay))] : []), ...(rates ? [rates] : [])];
    const scale = a.scale || 1 / Math.sqrt(c.size(q.shape[3]!));
    const r = scan(b, { name: 'token', carries: [state], xs, length: t }, (s, [old], all) => {
      const [key, value, query] = all as [Value, Value, Value];
      const gate = decay ? all[3]! : null;
      const rate = rates ? all.at(-1)! : null;
      const kept = gate ? s.mul(old!, s.expandDims(gate, 3)) : old!;
      // [B, H, dv]: what the state answers to the key.
      const recall = (): Value => s.dot(key, kept, { batchLeft: [0, 1], batchRight: [0, 1], contractLeft: [2], contractRight: [2] });
      const write = rate ? s.mul(s.sub(value, recall()), rate) : value;
      const next = s.add(kept, s.mul(s.expandDims(key, 3), s.expandDims(write, 2)));
      const groups = hq / hk;
      const grouped = s.reshape(query, [n, hk, groups, dk]);
      const out = s.dot(grouped, next, { batchLeft: [0, 1], batchRight: [0, 1], contractLeft: [3], contractRight: [2] });
      return { carries: [next], ys: [s.mul(s.reshape(out, [n, hq * dv]), scale)] };
    });
    return [b.cast(b.transpose(r.ys[0]!, [1, 0, 2]), q.dtype), b.cast(r.carries[0]!, c.opt(3)?.dtype ?? q.dtype)];
  }),
];
