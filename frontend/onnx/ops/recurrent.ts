/** RNN, GRU, LSTM. */
import type { GraphBuilder } from '../../../ir/builder.js';
import type { Value } from '../../../ir/graph.js';
import type { NodeContext } from '../context.js';
import { clipped, directionOf, project, recurrent } from '../lib/recurrent.js';
import { int, type OpEntry, op, opt, text } from '../registry.js';

const shared = {
  activation_alpha: opt.floats,
  activation_beta: opt.floats,
  activations: opt.texts,
  clip: opt.float,
  direction: text('forward'),
  hidden_size: opt.int,
  layout: int(0),
  output_sequence: int(0),
} as const;

/** Weights of direction d: w [G, I], r [G, H], and both biases [G] where there are any. */
function weights(c: NodeContext, d: number): { w: Value; r: Value; wb: Value | null; rb: Value | null } {
  const { b } = c;
  const bias = c.opt(3);
  const both = bias ? directionOf(c, bias, d) : null;
  const half = both ? c.size(both.shape[0]!) / 2 : 0;
  return {
    w: directionOf(c, c.in(1), d),
    r: directionOf(c, c.in(2), d),
    wb: both && b.sliceAxis(both, 0, 0, half),
    rb: both && b.sliceAxis(both, 0, half, 2 * half),
  };
}

const plus = (b: GraphBuilder, x: Value, y: Value | null): Value => (y ? b.add(x, y) : x);
const gate = (b: GraphBuilder, x: Value, k: number, h: number): Value => b.sliceAxis(x, x.shape.length - 1, k * h, (k + 1) * h);

export const recurrentOps: readonly OpEntry[] = [
  op('RNN', [1, 7, 14, 22], shared, (c, a) =>
    recurrent(
      c,
      a,
      {
        gates: 1,
        states: 1,
        defaults: ['Tanh'],
        prepare: (d, x, [f]) => {
          const { w, r, wb, rb } = weights(c, d);
          return {
            projected: plus(c.b, plus(c.b, project(c.b, x, w), wb), rb),
            constants: [r],
            step: (s, px, [h], [rw]) => [f!(s, clipped(s, s.add(px, project(s, h!, rw!)), a.clip))],
          };
        },
      },
      c.opt(4),
      [c.opt(5)],
    ),
  ),
  op('GRU', [1, 3, 7, 14, 22], { ...shared, linear_before_reset: int(0) }, (c, a) =>
    recurrent(
      c,
      a,
      {
        gates: 3,
        states: 1,
        defaults: ['Sigmoid', 'Tanh'],
        // Gates: update z, reset r, hidden h.
        prepare: (d, x, [f, g]) => {
          const { w, r, wb, rb } = weights(c, d);
          const n = c.size(r.shape[1]!);
          const { b } = c;
          const projected = plus(b, project(b, x, w), wb);
          const zr = b.sliceAxis(r, 0, 0, 2 * n);
          const candidate = b.sliceAxis(r, 0, 2 * n, 3 * n);
          const zrBias = rb && b.sliceAxis(rb, 0, 0, 2 * n);
          const hBias = rb && b.sliceAxis(rb, 0, 2 * n, 3 * n);
          const biases = zrBias && hBias ? [zrBias, hBias] : [];
          return {
            projected,
            constants: a.linear_before_reset ? [r, ...(rb ? [rb] : [])] : [zr, candidate, ...biases],
            step: (s, px, [h], own) => {
              const px2 = s.sliceAxis(px, 1, 0, 2 * n);
              const pxh = gate(s, px, 2, n);
              if (a.linear_before_reset) {
                const all = plus(s, project(s, h!, own[0]!), own[1] ?? null);
                const gates = f!(s, clipped(s, s.add(px2, s.sliceAxis(all, 1, 0, 2 * n)), a.clip));
                const [z, reset] = [gate(s, gates, 0, n), gate(s, gates, 1, n)];
                const next = g!(s, clipped(s, s.add(pxh, s.mul(reset, gate(s, all, 2, n))), a.clip));
                return [s.add(s.mul(s.sub(1, z), next), s.mul(z, h!))];
              }
              const gates = f!(s, clipped(s, s.add(px2, plus(s, project(s, h!, own[0]!), own[2] ?? null)), a.clip));
              const [z, reset] = [gate(s, gates, 0, n), gate(s, gates, 1, n)];
              const next = g!(s, clipped(s, s.add(pxh, plus(s, project(s, s.mul(reset, h!), own[1]!), own[3] ?? null)), a.clip));
              return [s.add(s.mul(s.sub(1, z), next), s.mul(z, h!))];
            },
          };
        },
      },
      c.opt(4),
      [c.opt(5)],
    ),
  ),
  op('LSTM', [1, 7, 14, 22], { ...shared, input_forget: int(0) }, (c, a) =>
    recurrent(
      c,
      a,
      {
        gates: 4,
        states: 2,
        defaults: ['Sigmoid', 'Tanh', 'Tanh'],
        // Gates: input i, output o, forget f, cell c. Peepholes: i, o, f.
        prepare: (d, x, [f, g, h]) => {
          const { w, r, wb, rb } = weights(c, d);
          const n = c.size(r.shape[1]!);
          const peep = c.opt(7);
          const p = peep ? directionOf(c, peep, d) : null;
          return {
            projected: plus(c.b, plus(c.b, project(c.b, x, w), wb), rb),
            constants: [r, ...(p ? [p] : [])],
            step: (s, px, [hidden, cell], [rw, pw]) => {
              const all = s.add(px, project(s, hidden!, rw!));
              const look = (k: number, v: Value): Value =>
                pw ? s.add(gate(s, all, k, n), s.mul(s.sliceAxis(pw, 0, k * n, (k + 1) * n), v)) : gate(s, all, k, n);
              const input = f!(s, clipped(s, look(0, cell!), a.clip));
              const forget = a.input_forget ? s.sub(1, input) : f!(s, clipped(s, look(2, cell!), a.clip));
              const next = s.add(s.mul(forget, cell!), s.mul(input, g!(s, clipped(s, gate(s, all, 3, n), a.clip))));
              const output = f!(s, clipped(s, look(1, next), a.clip));
              return [s.mul(output, h!(s, next)), next];
            },
          };
        },
      },
      c.opt(4),
      [c.opt(5), c.opt(6)],
    ),
  ),
];
