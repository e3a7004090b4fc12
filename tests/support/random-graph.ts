/** Random small graphs of many ops, and data for them. A function of the seed. Used by property tests of printing and of passes. */
import { GraphBuilder } from '../../ir/builder.js';
import { type Dim, equalDim, equalShape, isStatic, mulDim, type Shape, symbol } from '../../ir/dim.js';
import { hostArray, numberAt, numbersOf } from '../../ir/dtype.js';
import { type EvaluateArguments, evaluate } from '../../ir/evaluate.js';
import type { Graph, Value } from '../../ir/graph.js';
import { type NumberData, numberData, sizeOf, tensorData } from '../../ir/tensor-data.js';

export type Random = () => number;

/** mulberry32: uniform in [0, 1). */
export function random(seed: number): Random {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const pick = <T>(r: Random, xs: readonly T[]): T => xs[Math.floor(r() * xs.length)]!;
const int = (r: Random, low: number, high: number): number => low + Math.floor(r() * (high - low + 1));
const shuffled = <T>(r: Random, xs: readonly T[]): T[] =>
  xs
    .map((x) => [r(), x] as const)
    .sort((a, b) => a[0] - b[0])
    .map(([, x]) => x);

export function randomTensor(r: Random, dtype: Value['dtype'], shape: readonly number[]): NumberData {
  const data = numbersOf(hostArray(dtype, sizeOf(shape)));
  for (let i = 0; i < data.length; i++)
    data[i] = dtype === 'bool' ? int(r, 0, 1) : dtype === 'int32' || dtype === 'uint32' ? int(r, 0, 3) : Math.fround(r() * 4 - 2);
  return numberData(tensorData(dtype, shape, data));
}

const unaryNames = ['neg', 'abs', 'exp', 'tanh', 'sigmoid', 'floor', 'sin', 'sign'] as const;
const binaryNames = ['add', 'sub', 'mul', 'div', 'max', 'min'] as const;

/** One random op on values of the pool (all float32); null where the draw does not fit. */
function step(r: Random, b: GraphBuilder, pool: readonly Value[], depth: number): Value | null {
  const x = pick(r, pool);
  const rank = x.shape.length;
  const axis = int(r, 0, Math.max(0, rank - 1));
  const same = pool.filter((v) => equalShape(v.shape, x.shape));
  const constant = (): Value => b.scalar(pick(r, [0, 1, -1, 2, 0.5, 3]));
  switch (int(r, 0, 21)) {
    case 0:
      return b.unary(pick(r, unaryNames), x);
    case 1:
    case 2:
      return b.binary(pick(r, binaryNames), x, pick(r, same));
    case 3:
      return r() < 0.5 ? b.binary(pick(r, binaryNames), x, constant()) : b.binary(pick(r, ['add', 'sub', 'mul']), constant(), x);
    case 4:
      return b.select(b.compare(pick(r, ['lt', 'ge', 'eq', 'ne']), x, pick(r, same)), x, pick(r, same));
    case 5:
      return b.cast(b.cast(x, pick(r, ['float32', 'float64'])), 'float32');
    case 6:
    case 7:
      return b.transpose(
        x,
        shuffled(
          r,
          x.shape.map((_, i) => i),
        ),
      );
    case 8:
    case 9: {
      const dims = x.shape.filter((d) => d !== 1);
      if (r() < 0.4) return b.reshape(x, [...dims, 1]);
      if (r() < 0.4) return b.reshape(x, [1, ...x.shape]);
      const at = int(r, 0, rank - 2);
      return rank >= 2 && isStatic(x.shape[at]!) && isStatic(x.shape[at + 1]!)
        ? b.reshape(x, [...x.shape.slice(0, at), mulDim(x.shape[at]!, x.shape[at + 1]!), ...x.shape.slice(at + 2)])
        : null;
    }
    case 10:
    case 11:
      return rank < 4
        ? b.broadcast(
            x,
            [...x.shape.slice(0, axis), int(r, 1, 3), ...x.shape.slice(axis)],
            x.shape.map((_, i) => (i < axis ? i : i + 1)),
          )
        : null;
    case 12: {
      const d = x.shape[axis];
      if (rank === 0 || !isStatic(d!) || d < 2) return null;
      const start = int(r, 0, d - 1);
      return b.sliceAxis(x, axis, start, int(r, start + 1, d), int(r, 1, 2));
    }
    case 13: {
      if (rank === 0) return null;
      const at = (n: number) => x.shape.map((_, i) => (i === axis ? n : 0));
      return b.pad(x, at(int(r, 0, 2)), at(int(r, 0, 1)), pick(r, [0, 1]), r() < 0.2 ? at(1) : undefined);
    }
    case 14: {
      if (rank === 0) return null;
      const others = pool.filter((v) => v.shape.length === rank && v.shape.every((d, i) => i === axis || equalDim(d, x.shape[i]!)));
      const parts = [x, pick(r, others), pick(r, others)].slice(0, int(r, 2, 3));
      return parts.reduce<number>((n, p) => n + (isStatic(p.shape[axis]!) ? p.shape[axis] : 100), 0) > 30 ? null : b.concat(parts, axis);
    }
    case 15:
      return rank === 0 ? null : b.reverse(x, [axis]);
    case 16:
    case 17:
      return rank === 0 ? null : b.reduce(pick(r, ['sum', 'max', 'min'] as const), x, r() < 0.7 ? [axis] : x.shape.map((_, i) => i), r() < 0.3);
    case 18: {
      const y = pick(r, pool);
      const found = x.shape.flatMap((d, i) => y.shape.flatMap((e, j) => (equalDim(d, e) ? [[i, j] as const] : [])));
      if (found.length === 0 || rank + y.shape.length > 5) return null;
      const [i, j] = pick(r, found);
      return b.dot(x, y, { batchLeft: [], batchRight: [], contractLeft: [i], contractRight: [j] });
    }
    case 19:
      if (rank === 0 || !isStatic(x.shape[axis]!)) return null;
      return b.gather(x, b.constant(tensorData('int32', [2], [0, int(r, 0, x.shape[axis] - 1)])), axis);
    case 20: {
      if (depth > 0 || !isStaticSmall(x.shape)) return null;
      const body = new GraphBuilder('body');
      const inner = body.input('x', 'float32', x.shape);
      grow(r, body, [inner], 4, depth + 1);
      const last =
        body.nodes
          .flatMap((n) => n.outputs)
          .filter((v) => v.dtype === 'float32')
          .at(-1) ?? inner;
      body.output('y', last);
      return b.emit('composite', [x], { name: 'thing', attributes: { alpha: 0.5, kind: 'a "b" // c', axes: [1, 2], on: true }, body: body.build() });
    }
    default: {
      if (depth > 0 || rank < 2 || !isStaticSmall(x.shape)) return null;
      const body = new GraphBuilder('step');
      const carry = body.input('h', 'float32', x.shape.slice(1));
      const slice = body.input('x', 'float32', x.shape.slice(1));
      const fixed = body.input('w', 'float32', x.shape);
      const next = body.tanh(body.add(carry, body.mul(body.add(slice, 1), body.sum(body.exp(fixed), [0]))));
      body.output('h', next);
      body.output('y', body.add(next, slice));
      const start = b.sum(x, [0]);
      return pick(r, b.emitAll('scan', [start, x, x], { body: body.build(), carries: 1, xs: 1, length: x.shape[0]!, reverse: r() < 0.5 }));
    }
  }
}

const isStaticSmall = (s: Shape): boolean => s.every(isStatic);

function grow(r: Random, b: GraphBuilder, start: readonly Value[], steps: number, depth: number): Value[] {
  const pool = [...start];
  for (let i = 0; i < steps; i++) {
    const v = b.withOrigin(pick(r, ['dense', 'conv_1', 'odd "name" [1', '']), () => step(r, b, pool, depth));
    if (v && v.dtype === 'float32' && v.shape.length <= 5 && v.shape.reduce<number>((n, d) => n * (isStatic(d) ? d : 3), 1) <= 300) pool.push(v);
  }
  return pool;
}

/** A graph with two inputs (one with a symbolic batch), two state slots, an update and up to three outputs. */
export function randomGraph(seed: number, steps = 14): Graph {
  const r = random(seed);
  const b = new GraphBuilder('random');
  b.declareSymbol('batch', 4);
  const n: Dim = symbol('batch');
  const x = b.input('x', 'float32', [n, 3]);
  const y = b.input('y', 'float32', [2, 3, 2], { resident: r() < 0.5 });
  const w = b.stateSlot('w', 'float32', [3, 2], {
    trainable: true,
    initial: randomTensor(r, 'float32', [3, 2]),
    views: [{ name: 'a/b', offset: 1, shape: [2, 2] }],
  });
  const big = b.stateSlot('big', 'float32', [7, 7], { initial: randomTensor(r, 'float32', [7, 7]) });
  const k = b.constant(randomTensor(r, 'float32', r() < 0.3 ? [6, 7] : [3]));
  const pool = grow(r, b, [x, y, w, big, k], steps, 0);
  for (let i = 0; i < 3; i++) b.output(`out${i}`, pick(r, pool.slice(-5)));
  const same = pool.filter((v) => equalShape(v.shape, w.shape));
  if (r() < 0.5) b.update('w', pick(r, same));
  return b.build();
}

/** Data for every input of a random graph. */
export function randomArguments(graph: Graph, seed: number): EvaluateArguments {
  const r = random(seed ^ 0x5bd1e995);
  return {
    inputs: Object.fromEntries(
      graph.inputs.map((i) => [
        i.name,
        randomTensor(
          r,
          i.value.dtype,
          i.value.shape.map((d) => (isStatic(d) ? d : 2)),
        ),
      ]),
    ),
    bindings: { batch: 2 },
  };
}

/** Outputs and updates of two graphs, as pairs of plain arrays with a name. */
export function compareGraphs(a: Graph, b: Graph, args: EvaluateArguments, tolerance = 1e-6): string | null {
  const [x, y] = [evaluate(a, args), evaluate(b, args)];
  for (const kind of ['outputs', 'updates'] as const) {
    for (const name of Object.keys(x[kind])) {
      const [p, q] = [x[kind][name]!, y[kind][name]];
      if (!q) return `${name} is missing`;
      if (p.shape.join() !== q.shape.join() || p.dtype !== q.dtype) return `${name} is ${p.dtype}[${p.shape}] in one, ${q.dtype}[${q.shape}] in the other`;
      for (let i = 0; i < p.data.length; i++) {
        const [u, v] = [numberAt(p.data, i), numberAt(q.data, i)];
        if (!Object.is(u, v) && !(Math.abs(u - v) <= tolerance * Math.max(1, Math.abs(u)))) return `${name}[${i}] is ${u} in one, ${v} in the other`;
      }
    }
  }
  return null;
}
