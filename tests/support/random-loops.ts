/** Random scans and convolutions, for property tests of the passes that move them about. Functions of the seed. */
import { GraphBuilder } from '../../ir/builder.js';
import { equalShape } from '../../ir/dim.js';
import type { Graph, Value } from '../../ir/graph.js';
import type { ConvDims, Pair } from '../../ir/op-attrs.js';
import { type Random, random } from './random-graph.js';

const pick = <T>(r: Random, xs: readonly T[]): T => xs[Math.floor(r() * xs.length)]!;
const int = (r: Random, low: number, high: number): number => low + Math.floor(r() * (high - low + 1));

/** One op on [2,3] matrices (and a few of other shapes on the way back to it). */
function bodyStep(r: Random, s: GraphBuilder, pool: readonly Value[], square: Value): Value {
  const [x, y] = [pick(r, pool), pick(r, pool)];
  switch (int(r, 0, 9)) {
    case 0:
      return s.tanh(x);
    case 1:
      return s.add(x, y);
    case 2:
      return s.mul(x, s.sigmoid(y));
    case 3:
      return s.matmul(x, square);
    case 4:
      return s.broadcastTo(s.sum(x, [0]), [2, 3]);
    case 5:
      return s.transpose(s.dot(square, x, { batchLeft: [], batchRight: [], contractLeft: [0], contractRight: [1] }), [1, 0]);
    case 6:
      return s.matmul(s.dot(x, y, { batchLeft: [], batchRight: [], contractLeft: [1], contractRight: [1] }), y);
    case 7:
      return s.concat([s.sliceAxis(x, 1, 0, 1), s.sliceAxis(y, 1, 1, 3)], 1);
    case 8:
      return s.gather(x, s.cast(s.mul(s.sum(s.tanh(y), [0]), 0), 'int32'), 1);
    default:
      return s.reverse(s.neg(x), [1]);
  }
}

/** A scan with random carries, some of which only add something up, random sequences, constants and results. */
export function randomScan(seed: number): Graph {
  const r = random(seed);
  const [b, s] = [new GraphBuilder('g'), new GraphBuilder('step')];
  const length = int(r, 1, 4);
  const shape = [2, 3];
  const [carries, xs] = [int(r, 1, 4), int(r, 0, 2)];
  const operands: Value[] = [];
  const inputs: Value[] = [];
  for (let i = 0; i < carries; i++) {
    operands.push(r() < 0.4 ? b.full(shape, 0) : b.input(`init${i}`, 'float32', shape));
    inputs.push(s.input(`c${i}`, 'float32', shape));
  }
  for (let i = 0; i < xs; i++) {
    operands.push(r() < 0.2 ? b.full([length, ...shape], 0.5) : b.input(`x${i}`, 'float32', [length, ...shape]));
    inputs.push(s.input(`x${i}`, 'float32', shape));
  }
  const fixed = b.input('w', 'float32', [3, 3]);
  operands.push(fixed, r() < 0.3 ? b.full(shape, 2) : b.input('k', 'float32', shape));
  const square = s.input('w', 'float32', [3, 3]);
  inputs.push(s.input('k', 'float32', shape));
  const free = inputs.filter((_, i) => i >= carries || r() < 0.6);
  const pool = [...free];
  for (let i = int(r, 2, 10); i > 0; i--) pool.push(bodyStep(r, s, pool, square));
  const sums = (v: Value): Value =>
    pick(r, [(): Value => v, () => s.sum(v, [0]), () => s.dot(v, pick(r, pool), { batchLeft: [], batchRight: [], contractLeft: [0], contractRight: [0] })])();
  for (let i = 0; i < carries; i++) {
    const carry = inputs[i]!;
    if (free.includes(carry)) s.output(`c${i}`, r() < 0.1 ? carry : pick(r, pool));
    else {
      const g = sums(pick(r, pool));
      s.output(`c${i}`, s.add(carry, equalShape(g.shape, shape) ? g : s.broadcastTo(g.shape.length === 1 ? g : s.sum(g, [0]), shape)));
    }
  }
  for (let i = int(r, 0, 3); i > 0; i--) s.output(`y${i}`, pick(r, pool));
  const outs = b.emitAll('scan', operands, { body: s.build(), carries, xs, length, reverse: r() < 0.5 });
  outs.forEach((v, i) => {
    if (i === 0 || r() < 0.8) b.output(`o${i}`, v);
  });
  return b.build();
}

const shuffled = (r: Random, n: number): number[] =>
  Array.from({ length: n }, (_, i) => [r(), i] as const)
    .sort((p, q) => p[0] - q[0])
    .map(([, i]) => i);

/** A convolution with random dimension numbers, padding, strides, dilations and groups, with transposes, pads and elementwise ops around it. */
export function randomConv(seed: number): Graph {
  const r = random(seed);
  const b = new GraphBuilder('g');
  const n = int(r, 1, 2);
  const groups = pick(r, [1, 1, 1, 2]);
  const batchGroups = groups === 1 ? pick(r, [1, 1, 1, 2]) : 1;
  const spatial = Array.from({ length: n }, (_, i) => i);
  const axes = (): number[] => (r() < 0.4 ? [0, ...spatial.map((i) => i + 1), n + 1] : shuffled(r, n + 2));
  const [xa, ka, ya] = [axes(), r() < 0.4 ? [n, ...spatial, n + 1] : axes(), axes()];
  const dims: ConvDims = {
    input: { batch: xa[0]!, feature: xa[n + 1]!, spatial: xa.slice(1, n + 1) },
    kernel: { input: ka[0]!, output: ka[n + 1]!, spatial: ka.slice(1, n + 1) },
    output: { batch: ya[0]!, feature: ya[n + 1]!, spatial: ya.slice(1, n + 1) },
  };
  const [batch, perGroup, features] = [batchGroups * int(r, 1, 2), int(r, 1, 3), 2 * int(r, 1, 2)];
  const sizes = spatial.map(() => int(r, 3, 6));
  const window = spatial.map((i) => (r() < 0.3 ? 1 : r() < 0.2 ? sizes[i]! : int(r, 1, 3)));
  const at = (order: readonly number[], parts: readonly number[]): number[] => {
    const out: number[] = [];
    order.forEach((a, i) => {
      out[a] = parts[i]!;
    });
    return out;
  };
  const holes = r() < 0.4;
  const padding = window.map((k): Pair => (r() < 0.4 ? [0, 0] : [int(r, -1, k), int(r, 0, k)]));
  let x = b.input('x', 'float32', at(xa, [batch, ...sizes, perGroup * groups]));
  if (r() < 0.3) x = b.transpose(b.exp(b.transpose(x, [...x.shape.keys()].reverse())), [...x.shape.keys()].reverse());
  if (r() < 0.3)
    x = b.pad(
      x,
      x.shape.map((_, a) => (dims.input.spatial.includes(a) ? 1 : 0)),
      x.shape.map(() => 0),
    );
  const k = b.input('k', 'float32', at(ka, [perGroup, ...window, features]));
  const y = b.emit('conv', [x, k], {
    strides: window.map(() => (holes ? 1 : int(r, 1, 2))),
    padding,
    inputDilation: window.map(() => (holes ? int(r, 1, 3) : 1)),
    kernelDilation: window.map(() => (r() < 0.15 ? 2 : 1)),
    groups,
    batchGroups,
    dims,
  });
  b.output('y', r() < 0.5 ? b.transpose(y, shuffled(r, n + 2)) : b.tanh(y));
  if (r() < 0.3) b.output('sum', b.sum(y, [0]));
  return b.build();
}
