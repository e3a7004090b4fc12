/** Signals: Fourier transforms as products with exact matrices, windows, mel filters. */
import type { Value } from '../../../ir/graph.js';
import type { NodeContext } from '../context.js';
import { int, type OpEntry, op, opt } from '../registry.js';

/** Largest matrix of a transform, in elements. */
const maxMatrix = 2 ** 26;

/** cos and sin of 2 pi m / n, exact (0, 1, -1, 0.5) where they are, symmetric everywhere. */
function circle(m: number, n: number): [number, number] {
  const k = ((m % n) + n) % n;
  // Within the first eighth of the circle; the rest follows by symmetry.
  const eighth = (j: number): [number, number] => {
    if (j === 0) return [1, 0];
    if (8 * j === n) return [Math.SQRT1_2, Math.SQRT1_2];
    const angle = (2 * Math.PI * j) / n;
    return [12 * j === n ? Math.sqrt(3) / 2 : Math.cos(angle), 12 * j === n ? 0.5 : Math.sin(angle)];
  };
  const quarter = (j: number): [number, number] => {
    // j counts quarter turns times n/4; the complement swaps sine and cosine.
    if (8 * j <= n) return eighth(j);
    const [x, y] = eighth(n / 4 - j);
    return [y, x];
  };
  const turns = Math.floor((4 * k) / n);
  const [x, y] = quarter(k - (turns * n) / 4);
  return turns === 0 ? [x, y] : turns === 1 ? [-y, x] : turns === 2 ? [-x, -y] : [y, -x];
}

const zero = (x: number): number => (x === 0 ? 0 : x);

/**
 * The matrix of a transform of `inputs` samples (of p numbers each) to `outputs` (of q numbers), of length n. `sign` is that of the exponent; `weight` scales input k.
 */
function matrix(n: number, inputs: number, p: number, outputs: number, q: number, sign: 1 | -1, weight: (k: number) => number): Float64Array {
  const w = new Float64Array(inputs * p * outputs * q);
  const table = Array.from({ length: n }, (_, m) => circle(m, n));
  for (let i = 0; i < inputs; i++) {
    for (let o = 0; o < outputs; o++) {
      const [re, im] = table[(i * o) % n]!;
      const f = weight(i);
      for (let a = 0; a < p; a++) {
        for (let z = 0; z < q; z++) {
          // (x + iy)(cos + i sign sin): real and imaginary parts.
          const v = a === 0 ? (z === 0 ? re : sign * im) : z === 0 ? -sign * im : re;
          w[((i * p + a) * outputs + o) * q + z] = zero(v * f);
        }
      }
    }
  }
  return w;
}

/** Transforms the axis before the last of x [..., samples, p]. */
function transform(c: NodeContext, x: Value, n: number, inverse: boolean, onesided: boolean): Value {
  const { b } = c;
  const rank = x.shape.length;
  const p = c.size(x.shape[rank - 1]!);
  const have = c.size(x.shape[rank - 2]!);
  const real = onesided && inverse;
  const wanted = real ? Math.floor(n / 2) + 1 : n;
  const inputs = Math.min(have, wanted);
  const cut = have > inputs ? b.sliceAxis(x, rank - 2, 0, inputs) : x;
  const outputs = onesided && !inverse ? Math.floor(n / 2) + 1 : n;
  const q = real ? 1 : 2;
  if (inputs * p * outputs * q > maxMatrix || !(n >= 1)) c.unsupported(`a transform of length ${n}; up to ${Math.floor(Math.sqrt(maxMatrix) / 2)}`);
  // Of a real signal the spectrum is symmetric: all bins but the first and the middle one count twice.
  const weight = (k: number): number => (inverse ? (real && k !== 0 && 2 * k !== n ? 2 : 1) / n : 1);
  const w = c.constant(x.dtype, [inputs * p, outputs * q], matrix(n, inputs, p, outputs, q, inverse ? 1 : -1, weight));
  const rows = b.reshape(cut, [...x.shape.slice(0, -2), inputs * p]);
  const y = b.dot(rows, w, { batchLeft: [], batchRight: [], contractLeft: [rank - 2], contractRight: [0] });
  return b.reshape(y, [...x.shape.slice(0, -2), outputs, q]);
}

const window = (name: string, terms: readonly number[]): OpEntry =>
  op(name, [17], { output_datatype: int(1), periodic: int(1) }, (c, a) => {
    const n = c.countable(c.number(c.in(0)));
    const d = a.periodic ? n : n - 1;
    const values = Array.from({ length: n }, (_, i) => terms.reduce((s, t, k) => s + t * (d === 0 ? 1 : circle(k * i, d)[0]), 0));
    return c.constant(c.dtype(a.output_datatype), [n], values);
  });

export const signalOps: readonly OpEntry[] = [
  op('DFT', [17, 20], { axis: opt.int, inverse: int(0), onesided: int(0) }, (c, a) => {
    const { b } = c;
    const x = c.in(0);
    const rank = x.shape.length;
    const axis = c.axis(c.version < 20 ? (a.axis ?? 1) : c.opt(2) ? c.number(c.in(2)) : -2, rank);
    if (axis === rank - 1) c.fail('the axis is that of real and imaginary parts');
    const real = a.inverse !== 0 && a.onesided !== 0;
    const size = c.size(x.shape[axis]!);
    const n = c.opt(1) ? c.number(c.in(1)) : real ? 2 * (size - 1) : size;
    const perm = [...x.shape.map((_, i) => i).filter((i) => i !== axis && i !== rank - 1), axis, rank - 1];
    const y = transform(c, b.transpose(x, perm), n, a.inverse !== 0, a.onesided !== 0);
    return b.transpose(
      y,
      perm.map((_, i) => perm.indexOf(i)),
    );
  }),
  op('STFT', [17], { onesided: int(1) }, (c, a) => {
    const { b } = c;
    const signal = c.in(0);
    const rank2 = signal.shape.length === 2 ? b.expandDims(signal, 2) : signal;
    const [batch, length, p] = [rank2.shape[0]!, c.size(rank2.shape[1]!), c.size(rank2.shape[2]!)];
    const step = c.number(c.in(1));
    const win = c.opt(2);
    const n = c.opt(3) ? c.number(c.in(3)) : win ? c.size(win.shape[0]!) : length;
    const frames = Math.floor((length - n) / step) + 1;
    if (step < 1 || frames < 1) c.fail(`frames of ${n} with step ${step} in a signal of ${length}`);
    const at = Array.from({ length: c.countable(frames * n) }, (_, i) => Math.floor(i / n) * step + (i % n));
    const cut = b.gather(rank2, c.constant('int32', [frames, n], at), 1);
    const scaled = win ? b.mul(cut, b.broadcast(win, [batch, frames, n, p], [2])) : cut;
    return transform(c, scaled, n, false, a.onesided !== 0);
  }),
  window('HannWindow', [0.5, -0.5]),
  window('HammingWindow', [25 / 46, -21 / 46]),
  window('BlackmanWindow', [0.42, -0.5, 0.08]),
  op('MelWeightMatrix', [17], { output_datatype: int(1) }, (c, a) => {
    const [bins, length, rate, low, high] = [0, 1, 2, 3, 4].map((i) => c.number(c.in(i))) as [number, number, number, number, number];
    const rows = Math.floor(length / 2) + 1;
    c.countable(rows * bins);
    const mel = (hz: number): number => 2595 * Math.log10(1 + hz / 700);
    const step = (mel(high) - mel(low)) / (bins + 2);
    const edge = Array.from({ length: bins + 2 }, (_, i) => Math.floor(((length + 1) * 700 * (10 ** ((mel(low) + i * step) / 2595) - 1)) / rate));
    const values = new Float64Array(rows * bins);
    for (let m = 0; m < bins; m++) {
      const [from, peak, to] = [edge[m]!, edge[m + 1]!, edge[m + 2]!];
      for (let k = from; k < to && k < rows; k++) {
        if (k < peak) values[k * bins + m] = (k - from) / (peak - from);
        else values[k * bins + m] = (to - k) / (to - peak);
      }
      if (peak < rows) values[peak * bins + m] = 1;
    }
    return c.constant(c.dtype(a.output_datatype), [rows, bins], values);
  }),
];
