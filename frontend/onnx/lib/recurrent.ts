/** RNN, GRU and LSTM: the input projection of all steps is one product, the steps are a scan; directions are computed one by one. */
import type { GraphBuilder } from '../../../ir/builder.js';
import type { Value } from '../../../ir/graph.js';
import { scan } from '../../../ir/subgraph.js';
import type { NodeContext } from '../context.js';

export type Activation = (b: GraphBuilder, x: Value) => Value;

/** Activations with what they take from the lists of alphas and betas when those are given, and their defaults. */
const activations: Readonly<Record<string, { readonly alpha?: number; readonly beta?: number; readonly make: (alpha: number, beta: number) => Activation }>> = {
  relu: { make: () => (b, x) => b.relu(x) },
  tanh: { make: () => (b, x) => b.tanh(x) },
  sigmoid: { make: () => (b, x) => b.sigmoid(x) },
  softsign: { make: () => (b, x) => b.div(x, b.add(b.unary('abs', x), 1)) },
  softplus: { make: () => (b, x) => b.add(b.max(x, 0), b.unary('log1p', b.exp(b.neg(b.unary('abs', x))))) },
  affine: { alpha: 1, beta: 0, make: (p, q) => (b, x) => b.add(b.mul(x, p), q) },
  leakyrelu: { alpha: Math.fround(0.01), make: (p) => (b, x) => b.select(b.compare('lt', x, 0), b.mul(x, p), x) },
  thresholdedrelu: { alpha: 1, make: (p) => (b, x) => b.select(b.compare('ge', x, p), x, 0) },
  scaledtanh: { alpha: 1, beta: 1, make: (p, q) => (b, x) => b.mul(b.tanh(b.mul(x, q)), p) },
  hardsigmoid: { alpha: Math.fround(0.2), beta: 0.5, make: (p, q) => (b, x) => b.max(b.min(b.add(b.mul(x, p), q), 1), 0) },
  elu: { alpha: 1, make: (p) => (b, x) => b.select(b.compare('lt', x, 0), b.mul(b.unary('expm1', b.min(x, 0)), p), x) },
};

/** The activations of all directions, one after another; alphas and betas go to those that take one, in order. */
export function activationsOf(c: NodeContext, names: readonly string[], alphas: readonly number[] | null, betas: readonly number[] | null): Activation[] {
  let [ai, bi] = [0, 0];
  return names.map((name) => {
    const entry = activations[name.toLowerCase()] ?? c.unsupported(`activation '${name}'`);
    const alpha = entry.alpha === undefined ? 0 : (alphas?.[ai++] ?? entry.alpha);
    const beta = entry.beta === undefined ? 0 : (betas?.[bi++] ?? entry.beta);
    return entry.make(alpha, beta);
  });
}

export interface RecurrentOptions {
  readonly direction: string;
  readonly layout: number;
  readonly hidden_size: number | null;
  readonly clip: number | null;
  readonly activations: readonly string[] | null;
  readonly activation_alpha: readonly number[] | null;
  readonly activation_beta: readonly number[] | null;
}

/** One step of a cell: from the projected input and the state to the new state; the first state is what is put out. */
export type Step = (s: GraphBuilder, projected: Value, state: readonly Value[], constants: readonly Value[]) => Value[];

export interface Cell {
  /** Gates, and state tensors. */
  readonly gates: number;
  readonly states: number;
  readonly defaults: readonly string[];
  /** Constants of the steps of direction d: recurrent weights, biases, peepholes. And the projection of the input [T, B, I] to [T, B, gates * H]. */
  readonly prepare: (
    d: number,
    x: Value,
    act: readonly Activation[],
  ) => { readonly projected: Value; readonly constants: readonly Value[]; readonly step: Step };
}

/** Part d of a tensor whose first axis is the direction. */
export const directionOf = (c: NodeContext, v: Value, d: number): Value => c.b.squeeze(c.b.sliceAxis(v, 0, d, d + 1), [0]);

/** x [T, B, I] times w [G, I], transposed: [T, B, G]. */
export const project = (b: GraphBuilder, x: Value, w: Value): Value =>
  b.dot(x, w, { batchLeft: [], batchRight: [], contractLeft: [x.shape.length - 1], contractRight: [w.shape.length - 1] });

export const clipped = (b: GraphBuilder, x: Value, clip: number | null): Value => (clip === null ? x : b.max(b.min(x, clip), -clip));

/** Y and the final states, in ONNX's layouts. `initial` gives state k as [D, B, H] (or [B, D, H]), or null. */
export function recurrent(c: NodeContext, a: RecurrentOptions, cell: Cell, lengths: Value | null, initial: readonly (Value | null)[]): Value[] {
  const { b } = c;
  const given = c.in(0);
  const x = a.layout ? b.transpose(given, [1, 0, 2]) : given;
  const [steps, batch] = [x.shape[0]!, x.shape[1]!];
  const recurrence = c.in(2);
  const hidden = c.size(recurrence.shape[2]!);
  if (a.hidden_size !== null && a.hidden_size !== hidden) c.failShape(`hidden_size ${a.hidden_size}, the recurrent weights have ${hidden}`);
  if (!['forward', 'reverse', 'bidirectional'].includes(a.direction)) c.fail(`direction '${a.direction}', expected forward, reverse or bidirectional`);
  const directions = a.direction === 'bidirectional' ? 2 : 1;
  if (c.size(recurrence.shape[0]!) !== directions) c.failShape(`the weights have ${recurrence.shape[0]} directions, expected ${directions}`);
  const names = a.activations && a.activations.length > 0 ? a.activations : Array.from({ length: directions }, () => cell.defaults).flat();
  if (names.length !== directions * cell.defaults.length) c.fail(`${names.length} activations for ${directions} directions of ${cell.defaults.length}`);
  const acts = activationsOf(c, names, a.activation_alpha, a.activation_beta);
  const ys: Value[] = [];
  const finals: Value[][] = [];
  for (let d = 0; d < directions; d++) {
    const backward = a.direction === 'reverse' || d === 1;
    const { projected, constants, step } = cell.prepare(d, x, acts.slice(d * cell.defaults.length, (d + 1) * cell.defaults.length));
    const start = initial.map((v) => {
      if (!v) return b.full([batch, hidden], 0, x.dtype);
      return directionOf(c, a.layout ? b.transpose(v, [1, 0, 2]) : v, d);
    });
    const masks = lengths ? [b.compare('lt', b.iota([steps, batch], 0), b.broadcast(c.index(lengths), [steps, batch], [1]))] : [];
    const r = scan(
      b,
      { name: 'step', carries: start, xs: [projected, ...masks.map((m) => b.cast(m, 'int32'))], constants, length: steps, reverse: backward },
      (s, state, xs, own) => {
        const next = step(s, xs[0]!, state, own);
        if (!lengths) return { carries: next, ys: [next[0]!] };
        const live = s.broadcast(s.compare('ne', xs[1]!, 0), [batch, hidden], [0]);
        return { carries: next.map((v, i) => s.select(live, v, state[i]!)), ys: [s.select(live, next[0]!, 0)] };
      },
    );
    ys.push(b.expandDims(r.ys[0]!, 1));
    finals.push(r.carries);
  }
  const y = b.concat(ys, 1);
  const states = Array.from({ length: cell.states }, (_, k) =>
    b.concat(
      finals.map((f) => b.expandDims(f[k]!, 0)),
      0,
    ),
  );
  return a.layout ? [b.transpose(y, [2, 0, 1, 3]), ...states.map((s) => b.transpose(s, [1, 0, 2]))] : [y, ...states];
}
