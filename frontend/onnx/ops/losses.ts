/** Losses over class scores, and the optimizers of the training domain. */

import { gradients } from '../../../ir/autodiff.js';
import type { Value } from '../../../ir/graph.js';
import { logSoftmax } from '../../../ir/math.js';
import type { NodeContext } from '../context.js';
import { float, isValue, type OpEntry, op, opt, text, texts } from '../registry.js';

/** -logp[n, target[n]] with class weights; targets equal to ignore_index count nothing. logp: [N, C, d1, …], target: [N, d1, …]. */
function likelihood(c: NodeContext, logp: Value, target: Value, weight: Value | null, ignore: number | null, reduction: string): Value {
  const { b } = c;
  const t = c.index(target);
  const hit = b.compare('eq', b.iota(logp.shape, 1), b.expandDims(t, 1));
  const picked = b.neg(b.sum(b.select(hit, logp, 0), [1]));
  let w: Value | null = null;
  if (weight) w = b.sum(b.select(hit, b.broadcast(weight, logp.shape, [1]), 0), [1]);
  if (ignore !== null) {
    const counts = b.compare('ne', t, ignore);
    w = b.select(counts, w ?? b.full(t.shape, 1, logp.dtype), 0);
  }
  // What is ignored adds 0, even where its score is infinite.
  const loss = w ? b.select(b.compare('eq', w, 0), 0, b.mul(picked, w)) : picked;
  switch (reduction) {
    case 'none':
      return loss;
    case 'sum':
      return b.sum(loss);
    case 'mean':
      return w ? b.div(b.sum(loss), b.sum(w)) : b.mean(loss);
    default:
      return c.fail(`reduction '${reduction}', expected none, sum or mean`);
  }
}

const training = 'ai.onnx.preview.training';

/** The tensors of each kind, for any number of variables: R, T, then all X, all G, … */
function groups(c: NodeContext, kinds: number): { r: Value; t: Value; variables: Value[][] } {
  const rest = c.inputs.slice(2).map((_, i) => c.in(i + 2));
  const n = rest.length / kinds;
  if (!Number.isInteger(n)) c.fail(`${rest.length} tensors are not ${kinds} for each variable`);
  return {
    r: c.b.reshape(c.in(0), []),
    t: c.b.cast(c.b.reshape(c.in(1), []), 'float32'),
    variables: Array.from({ length: n }, (_, i) => Array.from({ length: kinds }, (_, k) => rest[k * n + i]!)),
  };
}
/** New values in the order of the inputs: all X, then the next kind, … */
const ordered = (results: readonly (readonly Value[])[]): Value[] => (results[0] ?? []).flatMap((_, k) => results.map((r) => r[k]!));

export const lossOps: readonly OpEntry[] = [
  op('NegativeLogLikelihoodLoss', [12, 13, 22], { ignore_index: opt.int, reduction: text('mean') }, (c, a) =>
    likelihood(c, c.in(0), c.in(1), c.opt(2), a.ignore_index, a.reduction),
  ),
  op('SoftmaxCrossEntropyLoss', [12, 13], { ignore_index: opt.int, reduction: text('mean') }, (c, a) => {
    const logp = logSoftmax(c.b, c.in(0), 1);
    return [likelihood(c, logp, c.in(1), c.opt(2), a.ignore_index, a.reduction), c.wants(1) ? logp : null];
  }),
  op(
    'Adagrad',
    [1],
    { decay_factor: float(0), epsilon: float(Math.fround(1e-6)), norm_coefficient: float(0) },
    (c, a) => {
      const { b } = c;
      const { r, t, variables } = groups(c, 3);
      const rate = b.div(r, b.add(b.mul(t, a.decay_factor), 1));
      return ordered(
        variables.map(([x, g, h]) => {
          const grad = b.add(b.mul(x!, a.norm_coefficient), g!);
          const next = b.add(h!, b.square(grad));
          return [b.sub(x!, b.div(b.mul(rate, grad), b.add(b.sqrt(next), a.epsilon))), next];
        }),
      );
    },
    { domain: training },
  ),
  op(
    'Adam',
    [1],
    {
      alpha: float(Math.fround(0.9)),
      beta: float(Math.fround(0.999)),
      epsilon: float(Math.fround(1e-6)),
      norm_coefficient: float(0),
      norm_coefficient_post: float(0),
    },
    (c, a) => {
      const { b } = c;
      const { r, t, variables } = groups(c, 4);
      const power = (x: number): Value => b.pow(b.scalar(x), t);
      const corrected = b.div(b.mul(r, b.sqrt(b.sub(1, power(a.beta)))), b.sub(1, power(a.alpha)));
      const rate = b.select(b.compare('gt', t, 0), corrected, r);
      return ordered(
        variables.map(([x, g, v, h]) => {
          const grad = b.add(b.mul(x!, a.norm_coefficient), g!);
          const first = b.add(b.mul(v!, a.alpha), b.mul(grad, 1 - a.alpha));
          const second = b.add(b.mul(h!, a.beta), b.mul(b.square(grad), 1 - a.beta));
          const moved = b.sub(x!, b.div(b.mul(rate, first), b.add(b.sqrt(second), a.epsilon)));
          return [b.mul(moved, 1 - a.norm_coefficient_post), first, second];
        }),
      );
    },
    { domain: training },
  ),
  op(
    'Momentum',
    [1],
    { alpha: float(), beta: float(), mode: text(), norm_coefficient: float() },
    (c, a) => {
      const { b } = c;
      const { r, t, variables } = groups(c, 3);
      if (a.mode !== 'standard' && a.mode !== 'nesterov') c.fail(`mode '${a.mode}', expected standard or nesterov`);
      const beta = b.select(b.compare('gt', t, 0), b.scalar(a.beta), 1);
      return ordered(
        variables.map(([x, g, v]) => {
          const grad = b.add(b.mul(x!, a.norm_coefficient), g!);
          const next = b.add(b.mul(v!, a.alpha), b.mul(beta, grad));
          const direction = a.mode === 'nesterov' ? b.add(grad, b.mul(next, a.alpha)) : next;
          return [b.sub(x!, b.mul(r, direction)), next];
        }),
      );
    },
    { domain: training },
  ),
  op(
    'Gradient',
    [1],
    { xs: texts(), y: text(), zs: opt.texts },
    (c, a) => {
      const { b } = c;
      const find = (name: string): Value => {
        const item = c.scope.find(name);
        return isValue(item as Value | undefined) && item !== undefined && 'dtype' in item ? item : c.fail(`'${name}' is not a tensor of this graph`);
      };
      const names = [...a.xs, ...(a.zs ?? [])];
      const [xs, y] = [a.xs.map(find), find(a.y)];
      // Fed with the named tensors themselves: other values at the same place would need the graph again.
      for (const [i, name] of names.entries()) if (c.in(i) !== find(name)) c.unsupported(`input ${i} is another tensor than '${name}'`);
      const seed = b.full(y.shape, 1, y.dtype);
      return gradients(b, [{ value: y, cotangent: seed }], xs);
    },
    { domain: training },
  ),
];
