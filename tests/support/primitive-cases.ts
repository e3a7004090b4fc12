/**
 * One small case or more for every primitive: all functions, attributes that matter to schedules, dtypes, special values, and shapes (with the symbol batch on some axis) from a
 * seed. Used to hold compiled code against the reference evaluation.
 */
import { GraphBuilder } from '../../ir/builder.js';
import { type Shape, symbol } from '../../ir/dim.js';
import { type DType, hostArray, isFloat } from '../../ir/dtype.js';
import type { Value } from '../../ir/graph.js';
import {
  binaryFunctions,
  type ConvDims,
  compareFunctions,
  type OpName,
  type Pair,
  type ReduceFunction,
  type UnaryFunction,
  unaryFunctions,
} from '../../ir/op-attrs.js';
import { type TensorData, tensorData } from '../../ir/tensor-data.js';
import { type Random, random } from './random-graph.js';

/** Largest and bound value of the symbol. */
export const batchMax = 5;
export const batchNow = 3;

/** -1 in a shape stands for the symbol batch. */
export interface CaseInput {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: (i: number) => number;
}

export interface PrimitiveCase {
  readonly op: OpName;
  readonly name: string;
  readonly inputs: readonly CaseInput[];
  readonly build: (b: GraphBuilder, inputs: readonly Value[]) => Value | readonly Value[];
  readonly rtol: number;
  readonly atol: number;
}

const pick = <T>(r: Random, xs: readonly T[]): T => xs[Math.floor(r() * xs.length)]!;
const int = (r: Random, low: number, high: number): number => low + Math.floor(r() * (high - low + 1));
const shuffled = (r: Random, n: number): number[] =>
  Array.from({ length: n }, (_, i) => [r(), i] as const)
    .sort((a, b) => a[0] - b[0])
    .map(([, i]) => i);
export const dimsOf = (shape: readonly number[]): Shape => shape.map((d) => (d === -1 ? symbol('batch') : d));
export const sizesOf = (shape: readonly number[]): number[] => shape.map((d) => (d === -1 ? batchNow : d));
export const valuesOf = (x: CaseInput): TensorData => {
  const shape = sizesOf(x.shape);
  const data = hostArray(
    x.dtype,
    shape.reduce((a, d) => a * d, 1),
  );
  for (let i = 0; i < data.length; i++) data[i] = x.data(i);
  return tensorData(x.dtype, shape, data);
};

const inf = Number.POSITIVE_INFINITY;
/** No denormals: GPUs may flush them. */
const specialFloats = [
  0,
  -0,
  1,
  -1,
  0.5,
  -0.5,
  1.5,
  2.5,
  -2.5,
  3.5,
  1e-7,
  -1e-7,
  1e-30,
  0.7,
  -0.3,
  20,
  -20,
  87,
  -87,
  90,
  -90,
  1e10,
  -1e10,
  3e38,
  -3e38,
  inf,
  -inf,
  Number.NaN,
];
const specialInts = [0, 1, -1, 2, -2, 3, 7, -7, 31, 100, -100, 65535, 65537, 1 << 30, 2147483647, -2147483647, -2147483648];
const specialUints = [0, 1, 2, 3, 7, 31, 100, 255, 65535, 65537, 2147483647, 2147483648, 4294967295, 4294967294];

/** Values of a dtype: a scrambled walk through its special values, or ordinary ones. */
const special = (t: DType, step = 1): ((i: number) => number) => {
  const list =
    t === 'float32'
      ? specialFloats
      : t === 'uint32'
        ? specialUints
        : t === 'bool'
          ? [0, 1, 1]
          : t === 'uint8'
            ? [0, 1, 2, 127, 128, 255]
            : t === 'int8'
              ? [0, 1, -1, 127, -128, 5]
              : specialInts;
  return (i) => list[(i * step + Math.floor(i / list.length)) % list.length]!;
};
const ordinary =
  (t: DType, seed = 1): ((i: number) => number) =>
  (i) => {
    const x = Math.sin(i * 12.9898 + seed * 78.233) * 43758.5453;
    const u = x - Math.floor(x);
    return isFloat(t) ? Math.fround(u * 4 - 2) : t === 'bool' ? (u < 0.6 ? 1 : 0) : t === 'int32' || t === 'int8' ? Math.floor(u * 17) - 8 : Math.floor(u * 17);
  };
const input = (dtype: DType, shape: readonly number[], data = ordinary(dtype)): CaseInput => ({ dtype, shape, data });

/** A shape of rank 1 to 4, sometimes with the symbol, at most about a thousand elements. */
function someShape(r: Random, rank = int(r, 1, 4), least = 1): number[] {
  const sizes = rank <= 1 ? [3, 8, 33, 130, 300] : rank === 2 ? [1, 3, 4, 8, 17, 40] : [1, 2, 3, 4, 7];
  const s = Array.from({ length: rank }, () => Math.max(least, pick(r, sizes)));
  if (rank > 0 && r() < 0.6) s[int(r, 0, rank - 1)] = -1;
  return s;
}

/** Domains on which a function is finite and well conditioned, for the tight tolerance; special values are tested besides. */
const domain: Partial<Record<UnaryFunction, (u: number) => number>> = {
  log: (u) => Math.abs(u) + 0.01,
  log1p: (u) => Math.abs(u) - 0.9,
  sqrt: Math.abs,
  rsqrt: (u) => Math.abs(u) + 0.01,
  asin: (u) => u / 2.1,
  acos: (u) => u / 2.1,
  atanh: (u) => u / 2.2,
  acosh: (u) => Math.abs(u) + 1,
  tan: (u) => u * 0.7,
  reciprocal: (u) => u + Math.sign(u) * 0.1,
};
const exactUnary: readonly UnaryFunction[] = ['neg', 'abs', 'sign', 'floor', 'ceil', 'round', 'not', 'bitwise_not', 'is_nan', 'is_inf'];

function elementwise(r: Random): PrimitiveCase[] {
  const out: PrimitiveCase[] = [];
  const both = (t: DType): ((i: number) => number)[] => [special(t), ordinary(t)];
  for (const fn of unaryFunctions) {
    const types: DType[] =
      fn === 'not' ? ['bool'] : fn === 'bitwise_not' ? ['int32', 'uint32'] : fn === 'neg' || fn === 'abs' || fn === 'sign' ? ['float32', 'int32'] : ['float32'];
    for (const t of types) {
      both(t).forEach((data, i) => {
        const exact = exactUnary.includes(fn);
        const inside = i === 1 && t === 'float32' ? (n: number) => Math.fround((domain[fn] ?? ((u: number) => u * 2))(data(n))) : data;
        // sines of huge arguments have no meaning in float32
        const bounded = ['sin', 'cos', 'tan'].includes(fn) ? (n: number) => (Math.abs(inside(n)) > 100 && Number.isFinite(inside(n)) ? 50 : inside(n)) : inside;
        out.push({
          op: 'unary',
          name: `${fn} ${t} ${i === 0 ? 'special' : 'ordinary'}`,
          inputs: [input(t, i === 0 ? pick(r, [[-1, 30], [60], [8, 5, 4]]) : someShape(r), bounded)],
          build: (b, [x]) => b.unary(fn, x!),
          rtol: exact ? 0 : 1e-5,
          atol: exact ? 0 : 1e-6,
        });
      });
    }
  }
  for (const fn of binaryFunctions) {
    const types: DType[] =
      fn === 'and' || fn === 'or' || fn === 'xor'
        ? ['bool', 'int32', 'uint32']
        : fn === 'shift_left' || fn === 'shift_right'
          ? ['int32', 'uint32']
          : fn === 'atan2'
            ? ['float32']
            : ['float32', 'int32', 'uint32'];
    for (const t of types) {
      const exact = t !== 'float32' || ['add', 'sub', 'mul', 'max', 'min'].includes(fn);
      for (const kind of ['special', 'ordinary'] as const) {
        const make = kind === 'special' ? special : ordinary;
        let [x, y] = [make(t), make(t, 5)];
        // the remainder of a quotient above 2^24 has no digits left; powers of -1 to infinity are 1 in C and NaN in JavaScript
        if (t === 'float32' && fn === 'rem') y = (i) => (kind === 'special' ? [0, 1, -3, inf, Number.NaN][i % 5]! : ordinary(t, 5)(i) + 3);
        if (t === 'float32' && fn === 'rem') x = (i) => (Math.abs(make(t)(i)) > 1e7 && Number.isFinite(make(t)(i)) ? 12345.5 : make(t)(i));
        if (t === 'float32' && fn === 'pow' && kind === 'special') y = (i) => [0, 1, 2, -1, 0.5, 3, -2.5, 7][(i + Math.floor(i / 28)) % 8]!;
        if (t !== 'float32' && fn === 'pow') y = (i) => [0, 1, 2, 3, 5, 31, 32, 7][i % 8]! * (t === 'int32' && i % 11 === 0 ? -1 : 1);
        const shape = kind === 'special' ? [700] : someShape(r);
        out.push({
          op: 'binary',
          name: `${fn} ${t} ${kind}`,
          inputs: [input(t, shape, x), input(t, shape, y)],
          build: (b, [p, q]) => b.binary(fn, p!, q!),
          rtol: exact ? 0 : 1e-5,
          atol: exact ? 0 : 1e-6,
        });
      }
    }
  }
  // index arithmetic is simplified; arithmetic on data wraps
  const chains: [string, (b: GraphBuilder, x: Value) => Value][] = [
    ['x * 1103515245 * 1103515245 + 12345', (b, x) => b.add(b.mul(b.mul(x, 1103515245), 1103515245), 12345)],
    ['x * 4 / 4', (b, x) => b.div(b.mul(x, 4), 4)],
    ['(x * 6 + 5) rem 6', (b, x) => b.binary('rem', b.add(b.mul(x, 6), 5), b.broadcastTo(b.scalar(6, x.dtype), x.shape))],
    ['x + 2147483647 - 2147483640 + x', (b, x) => b.add(b.sub(b.add(x, 2147483647), 2147483640), x)],
    ['x / 0', (b, x) => b.div(x, 0)],
    ['x rem 7', (b, x) => b.binary('rem', x, b.broadcastTo(b.scalar(7, x.dtype), x.shape))],
    ['x ** 5', (b, x) => b.binary('pow', x, b.broadcastTo(b.scalar(5, x.dtype), x.shape))],
  ];
  for (const t of ['int32', 'uint32'] as const)
    for (const [name, f] of chains)
      out.push({ op: 'binary', name: `${name} of ${t}`, inputs: [input(t, [90], special(t))], build: (b, [x]) => f(b, x!), rtol: 0, atol: 0 });
  for (const fn of compareFunctions) {
    for (const t of ['float32', 'int32', 'uint32', ...(fn === 'eq' || fn === 'ne' ? (['bool'] as const) : [])] as const) {
      out.push({
        op: 'compare',
        name: `${fn} ${t}`,
        inputs: [input(t, [300], special(t)), input(t, [300], special(t, 3))],
        build: (b, [p, q]) => b.compare(fn, p!, q!),
        rtol: 0,
        atol: 0,
      });
    }
  }
  for (const t of ['float32', 'int32', 'uint32', 'bool'] as const) {
    const shape = someShape(r);
    out.push({
      op: 'select',
      name: `select ${t}`,
      inputs: [input('bool', shape), input(t, shape, special(t)), input(t, shape, special(t, 3))],
      build: (b, [c, p, q]) => b.select(c!, p!, q!),
      rtol: 0,
      atol: 0,
    });
  }
  for (const from of ['float32', 'int32', 'uint32', 'bool', 'uint8', 'int8'] as const) {
    for (const to of ['float32', 'int32', 'uint32', 'bool'] as const) {
      out.push({
        op: 'cast',
        name: `cast ${from} to ${to}`,
        inputs: [input(from, pick(r, [[-1, 40], [128], [7, 9]]), special(from))],
        build: (b, [x]) => b.cast(x!, to),
        rtol: 1e-7,
        atol: 0,
      });
    }
    if (from !== 'uint8' && from !== 'int8') {
      for (const to of ['uint8', 'int8'] as const)
        out.push({
          op: 'cast',
          name: `cast ${from} to ${to} and back`,
          inputs: [input(from, [130], special(from))],
          build: (b, [x]) => b.cast(b.cast(x!, to), 'int32'),
          rtol: 0,
          atol: 0,
        });
    }
  }
  for (const t of ['uint8', 'int8'] as const) {
    for (const fn of ['add', 'mul', 'max', 'shift_left', 'xor'] as const) {
      const y = fn === 'shift_left' ? (i: number) => i % 8 : special(t, 5);
      out.push({
        op: 'binary',
        name: `${fn} ${t}`,
        inputs: [input(t, [-1, 24], special(t)), input(t, [-1, 24], y)],
        build: (b, [p, q]) => b.cast(b.binary(fn, p!, q!), 'int32'),
        rtol: 0,
        atol: 0,
      });
    }
    out.push({
      op: 'compare',
      name: `lt ${t}`,
      inputs: [input(t, [77], special(t)), input(t, [77], special(t, 5))],
      build: (b, [p, q]) => b.compare('lt', p!, q!),
      rtol: 0,
      atol: 0,
    });
    out.push({
      op: 'reduce',
      name: `mean of ${t}`,
      inputs: [input(t, [-1, 50])],
      build: (b, [x]) => b.mean(b.cast(x!, 'float32'), [1]),
      rtol: 1e-6,
      atol: 1e-6,
    });
  }
  for (const [from, to] of [
    ['float32', 'int32'],
    ['float32', 'uint32'],
    ['int32', 'float32'],
    ['uint32', 'int32'],
  ] as const) {
    // bits that are no NaN, whose payload need not survive
    out.push({
      op: 'bitcast',
      name: `bitcast ${from} to ${to}`,
      inputs: [input(from, [-1, 30], ordinary(from))],
      build: (b, [x]) => b.bitcast(x!, to),
      rtol: 0,
      atol: 0,
    });
  }
  return out;
}

function sources(r: Random): PrimitiveCase[] {
  const out: PrimitiveCase[] = [];
  for (const t of ['float32', 'int32', 'uint32'] as const) {
    const shape = someShape(r);
    const axis = int(r, 0, shape.length - 1);
    out.push({ op: 'iota', name: `iota ${t}`, inputs: [], build: (b) => b.iota(dimsOf(shape), axis, t), rtol: 0, atol: 0 });
    out.push({
      op: 'iota',
      name: `${t} plus iota`,
      inputs: [input(t, shape)],
      build: (b, [x]) => b.add(x!, b.iota(dimsOf(shape), axis, t)),
      rtol: 1e-7,
      atol: 0,
    });
    out.push({
      op: 'constant',
      name: `constant ${t}`,
      inputs: [input(t, [4, 6])],
      build: (b, [x]) => b.add(x!, b.constant(tensorData(t, [6], [0, 1, 2, 3, 4, 5]))),
      rtol: 1e-7,
      atol: 0,
    });
  }
  out.push({ op: 'constant', name: 'a constant as output', inputs: [], build: (b) => b.constant(tensorData('bool', [3], [1, 0, 1])), rtol: 0, atol: 0 });
  out.push({ op: 'dim_size', name: 'dim_size', inputs: [input('int32', [-1, 3])], build: (b, [x]) => b.mul(x!, b.dimSize(symbol('batch'))), rtol: 0, atol: 0 });
  for (const shape of [[7], [-1, 33], [2, 3, 4]]) {
    out.push({
      op: 'random_bits',
      name: `random_bits ${shape}`,
      inputs: [input('uint32', [2], (i) => [0x12345678, 0x9abcdef0][i]!)],
      build: (b, [key]) => b.emit('random_bits', [key!], { shape: dimsOf(shape) }),
      rtol: 0,
      atol: 0,
    });
  }
  return out;
}

function shapes(r: Random): PrimitiveCase[] {
  const out: PrimitiveCase[] = [];
  const add = (op: OpName, name: string, inputs: readonly CaseInput[], build: PrimitiveCase['build']): void =>
    void out.push({ op, name, inputs, build, rtol: 1e-6, atol: 1e-7 });
  for (let k = 0; k < 4; k++) {
    const t = pick(r, ['float32', 'int32', 'uint32', 'bool'] as const);
    const shape = someShape(r);
    const rank = shape.length;
    const x = input(t, shape);
    // alone, and in front of and behind arithmetic
    const around = (f: (b: GraphBuilder, x: Value) => Value): PrimitiveCase['build'] =>
      k % 2 === 0 ? (b, [v]) => f(b, v!) : (b, [v]) => b.cast(f(b, b.cast(v!, 'float32')), 'int32');
    const wide = [...shape.slice(0, 1), 3, ...shape.slice(1)];
    add(
      'broadcast',
      `broadcast ${shape} into ${wide}`,
      [x],
      around((b, v) =>
        b.broadcast(
          v,
          dimsOf(wide),
          shape.map((_, i) => (i === 0 ? 0 : i + 1)),
        ),
      ),
    );
    add(
      'broadcast',
      `stretch to ${shape}`,
      [
        input(
          t,
          shape.map((d, i) => (i === 0 ? 1 : d)),
        ),
      ],
      around((b, v) =>
        b.broadcast(
          v,
          dimsOf(shape),
          shape.map((_, i) => i),
        ),
      ),
    );
    add(
      'reshape',
      `flatten ${shape}`,
      [x],
      around((b, v) => b.reshape(v, [-1])),
    );
    add(
      'reshape',
      `split ${shape}`,
      [input(t, [-1, 12, ...shape.filter((d) => d !== -1).slice(0, 1)])],
      around((b, v) => b.reshape(v, [-1, 3, 2, 2, ...dimsOf(shape.filter((d) => d !== -1).slice(0, 1))])),
    );
    const perm = shuffled(r, rank);
    add(
      'transpose',
      `transpose ${shape} by ${perm}`,
      [x],
      around((b, v) => b.transpose(v, perm)),
    );
    const static_ = someShape(r, int(r, 1, 3), 2).map((d) => (d === -1 ? 6 : d));
    const start = static_.map((d) => int(r, 0, d - 1));
    const limit = static_.map((d, i) => int(r, start[i]! + 1, d));
    add(
      'slice',
      `slice ${static_} from ${start} to ${limit}`,
      [input(t, static_)],
      around((b, v) =>
        b.slice(
          v,
          start,
          limit,
          static_.map(() => int(random(k), 1, 3)),
        ),
      ),
    );
    add(
      'slice',
      `slice rows of [batch, 9]`,
      [input(t, [-1, 9])],
      around((b, v) => b.slice(v, [0, k], [symbol('batch'), 9 - k], [1, 1 + (k % 3)])),
    );
    add(
      'reverse',
      `reverse ${shape}`,
      [x],
      around((b, v) =>
        b.reverse(
          v,
          shape.flatMap((_, i) => (i % 2 === k % 2 || rank === 1 ? [i] : [])),
        ),
      ),
    );
    const sides = shape.map((d) => (d === -1 ? [0, 0, 0] : [int(r, -Math.min(1, d - 1), 2), int(r, 0, 3), int(r, 0, 2)]));
    add(
      'pad',
      `pad ${shape} with ${sides.join(' | ')}`,
      [x],
      around((b, v) =>
        b.pad(
          v,
          sides.map((s) => s[0]!),
          sides.map((s) => s[1]!),
          1,
          sides.map((s) => s[2]!),
        ),
      ),
    );
    const axis = int(r, 0, rank - 1);
    const parts = [0, 1, 2].map((i) =>
      input(
        t,
        shape.map((d, a) => (a === axis && d !== -1 ? i + 1 : d)),
        ordinary(t, i),
      ),
    );
    if (shape[axis] !== -1)
      add('concat', `concat on ${axis} of ${shape}`, parts, (b, vs) => b.concat(k % 2 === 0 ? vs : vs.map((v) => b.cast(v, 'float32')), axis));
  }
  add('concat', 'concat of the symbol and a size', [input('float32', [-1, 4]), input('float32', [2, 4])], (b, vs) =>
    b.concat(
      vs.map((v) => b.mul(v, 2)),
      0,
    ),
  );
  add('concat', 'concat of one-row vectors, in place', [input('float32', [300]), input('float32', [5])], (b, vs) =>
    b.concat(
      vs.map((v) => b.exp(v)),
      0,
    ),
  );
  return out;
}

function gathers(r: Random): PrimitiveCase[] {
  const out: PrimitiveCase[] = [];
  for (const t of ['float32', 'int32', 'uint32', 'bool'] as const) {
    const shape = [pick(r, [5, 9]), 4, pick(r, [1, 6])];
    const axis = int(r, 0, 2);
    // out of range: clamped
    const indices = pick(r, [[-1], [3, -1], [7], []]);
    out.push({
      op: 'gather',
      name: `gather ${t} axis ${axis} by ${indices}`,
      inputs: [input(t, shape), input('int32', indices, (i) => [0, 3, -2, 100, 2, 1][i % 6]!)],
      build: (b, [x, i]) => b.gather(x!, i!, axis),
      rtol: 0,
      atol: 0,
    });
  }
  for (const t of ['uint8', 'int8'] as const) {
    out.push({
      op: 'gather',
      name: `rows of ${t}`,
      inputs: [input(t, [20, 16]), input('int32', [-1], (i) => (i * 7) % 20)],
      build: (b, [x, i]) => b.mul(b.cast(b.gather(x!, i!, 0), 'float32'), 1 / 255),
      rtol: 1e-6,
      atol: 1e-6,
    });
  }
  for (const fn of ['add', 'set', 'mul', 'max', 'min'] as const) {
    for (const t of ['float32', 'int32'] as const) {
      const axis = int(r, 0, 1);
      const shape = axis === 0 ? [9, 6] : [3, 11];
      const updates = axis === 0 ? [-1, 2, 6] : [3, -1, 2];
      out.push({
        op: 'scatter',
        name: `scatter ${fn} ${t} axis ${axis}`,
        inputs: [input(t, shape), input('int32', [-1, 2], (i) => [0, 3, 3, -1, 40, 5][i % 6]!), input(t, updates, ordinary(t, 3))],
        build: (b, [x, i, u]) => b.emit('scatter', [x!, i!, u!], { axis, fn }),
        rtol: 1e-6,
        atol: 1e-6,
      });
    }
  }
  return out;
}

function reductions(r: Random): PrimitiveCase[] {
  const out: PrimitiveCase[] = [];
  const some = (n: number): number[] => {
    const axes = Array.from({ length: n }, (_, i) => i).filter(() => r() < 0.5);
    return axes.length > 0 ? axes : [int(r, 0, n - 1)];
  };
  for (const fn of ['sum', 'prod', 'max', 'min', 'any', 'all'] as readonly ReduceFunction[]) {
    for (const t of fn === 'any' || fn === 'all' ? (['bool'] as const) : (['float32', 'int32', 'uint32'] as const)) {
      const shape = someShape(r);
      const longRow = [3, pick(r, [257, 500])];
      const small = fn === 'prod' ? (i: number) => [1, 2, 0.5, -1][i % 4]! : undefined;
      const data = small && t === 'float32' ? small : ordinary(t);
      for (const [s, axes] of [
        [shape, some(shape.length)],
        [longRow, [1]],
        [
          [-1, 12, 5],
          [0, 1],
        ],
        [[pick(r, [70, 130]), 20], [0]],
        [
          [-1, 4],
          [0, 1],
        ],
        [
          [40, 3, 9],
          [0, 2],
        ],
      ] as const)
        out.push({
          op: 'reduce',
          name: `${fn} ${t} of ${s} over ${axes}`,
          inputs: [input(t, s, data)],
          build: (b, [x]) => b.reduce(fn, x!, axes),
          rtol: 1e-5,
          atol: 1e-5,
        });
    }
  }
  for (const fn of ['max', 'min', 'sum'] as const)
    out.push({
      op: 'reduce',
      name: `${fn} of special floats`,
      inputs: [input('float32', [28, 40], (i) => (i < 400 ? 1 + i : special('float32')(i)))],
      build: (b, [x]) => b.reduce(fn, x!, [1]),
      rtol: 1e-5,
      atol: 1e-5,
    });
  for (const fn of ['sum', 'max', 'prod'] as const)
    out.push({
      op: 'reduce',
      name: `${fn} over an axis of size 0`,
      inputs: [input('float32', [3, 0])],
      build: (b, [x]) => b.reduce(fn, x!, [1]),
      rtol: 0,
      atol: 0,
    });
  for (const fn of ['argmax', 'argmin'] as const) {
    for (const t of ['float32', 'int32'] as const) {
      for (const [s, axis] of [
        [someShape(r, 3), 1],
        [[-1, 200], 1],
        [[70, 9], 0],
        [[6, 20], 1],
      ] as const)
        out.push({
          op: 'arg_reduce',
          name: `${fn} ${t} of ${s} over ${axis}`,
          inputs: [input(t, s, (i) => Math.round(ordinary(t)(i)))],
          build: (b, [x]) => b.emit('arg_reduce', [x!], { fn, axis }),
          rtol: 0,
          atol: 0,
        });
      if (t === 'float32') {
        out.push({
          op: 'arg_reduce',
          name: `${fn} with NaN, long rows`,
          inputs: [input(t, [3, 100], (i) => (i === 37 || i === 140 || i === 150 ? Number.NaN : i === 5 ? inf : -inf))],
          build: (b, [x]) => b.emit('arg_reduce', [x!], { fn, axis: 1 }),
          rtol: 0,
          atol: 0,
        });
        out.push({
          op: 'arg_reduce',
          name: `${fn} with NaN, columns`,
          inputs: [input(t, [100, 3], (i) => (i === 37 || i === 140 || i === 150 ? Number.NaN : i === 5 ? inf : -inf))],
          build: (b, [x]) => b.emit('arg_reduce', [x!], { fn, axis: 0 }),
          rtol: 0,
          atol: 0,
        });
      }
    }
  }
  for (const fn of ['sum', 'prod', 'max', 'min'] as const) {
    for (const exclusive of [false, true]) {
      for (const reverse of [false, true]) {
        const t = pick(r, ['float32', 'int32'] as const);
        const shape = someShape(r, int(r, 1, 3));
        const axis = int(r, 0, shape.length - 1);
        out.push({
          op: 'cumulative',
          name: `cumulative ${fn} ${t} of ${shape} on ${axis}${exclusive ? ' exclusive' : ''}${reverse ? ' reverse' : ''}`,
          inputs: [input(t, shape, fn === 'prod' && t === 'float32' ? (i) => [1, 2, 0.5, -1][i % 4]! : ordinary(t))],
          build: (b, [x]) => b.emit('cumulative', [x!], { fn, axis, exclusive, reverse }),
          rtol: 1e-5,
          atol: 1e-5,
        });
      }
    }
  }
  return out;
}

function windows(r: Random): PrimitiveCase[] {
  const out: PrimitiveCase[] = [];
  for (const fn of ['sum', 'max', 'min', 'prod'] as const) {
    for (let k = 0; k < 3; k++) {
      const window = [1, int(r, 1, 3), int(r, 1, 3), 1];
      const strides = [1, int(r, 1, 3), int(r, 1, 2), 1];
      const dilated = k === 1;
      const padding: Pair[] = [
        [0, 0],
        [int(r, 0, 1), int(r, 0, 2)],
        [0, int(r, 0, 1)],
        [0, 0],
      ];
      const ones = [1, 1, 1, 1];
      out.push({
        op: 'reduce_window',
        name: `window ${fn} ${window} strides ${strides}${dilated ? ' dilated' : ''}`,
        inputs: [input('float32', [-1, 7, 6, pick(r, [3, 8])])],
        rtol: 1e-5,
        atol: 1e-5,
        build: (b, [x]) =>
          b.emit('reduce_window', [x!], {
            fn,
            window,
            strides,
            padding,
            baseDilation: dilated ? [1, 2, 1, 1] : ones,
            windowDilation: dilated ? [1, 1, 2, 1] : ones,
          }),
      });
    }
  }
  out.push({
    op: 'reduce_window',
    name: 'window max over one axis of int32',
    inputs: [input('int32', [5, 20])],
    build: (b, [x]) =>
      b.emit('reduce_window', [x!], {
        fn: 'max',
        window: [1, 4],
        strides: [1, 2],
        padding: [
          [0, 0],
          [1, 1],
        ],
        baseDilation: [1, 1],
        windowDilation: [1, 1],
      }),
    rtol: 0,
    atol: 0,
  });
  for (const fn of ['max', 'min'] as const) {
    for (const overlap of [false, true]) {
      const window = overlap ? [1, 3, 3, 1] : [1, 2, 2, 1];
      const padding: Pair[] = overlap
        ? [
            [0, 0],
            [1, 1],
            [0, 1],
            [0, 0],
          ]
        : [
            [0, 0],
            [0, 0],
            [0, 0],
            [0, 0],
          ];
      const windows_ = overlap ? [-1, 4, 3, 5] : [-1, 3, 3, 5];
      // ties: each window's first extreme
      out.push({
        op: 'select_and_scatter',
        name: `select_and_scatter ${fn}${overlap ? ' overlapping' : ''}`,
        inputs: [input('float32', [-1, 7, 6, 5], (i) => Math.round(ordinary('float32')(i))), input('float32', windows_, ordinary('float32', 4))],
        build: (b, [x, dy]) => b.emit('select_and_scatter', [x!, dy!], { fn, window, strides: [1, 2, 2, 1], padding }),
        rtol: 1e-5,
        atol: 1e-5,
      });
    }
  }
  return out;
}

function contractions(r: Random): PrimitiveCase[] {
  const out: PrimitiveCase[] = [];
  const dot = (
    name: string,
    x: readonly number[],
    y: readonly number[],
    attrs: { batchLeft: number[]; batchRight: number[]; contractLeft: number[]; contractRight: number[] },
    t: DType = 'float32',
  ): void =>
    void out.push({
      op: 'dot',
      name: `dot ${name} ${t}`,
      inputs: [input(t, x), input(t, y, ordinary(t, 2))],
      build: (b, [p, q]) => b.dot(p!, q!, attrs),
      rtol: 1e-5,
      atol: 1e-4,
    });
  const plain = { batchLeft: [], batchRight: [] };
  for (const [m, k, n] of [
    [-1, 36, 20],
    [1, 300, 7],
    [33, 5, 70],
    [70, 70, 66],
    [-1, 3, 1],
    [1, 1, 1],
  ] as const) {
    dot(`NN ${m}x${k}x${n}`, [m, k], [k, n], { ...plain, contractLeft: [1], contractRight: [0] });
    dot(`NT ${m}x${k}x${n}`, [m, k], [n, k], { ...plain, contractLeft: [1], contractRight: [1] });
    if (m !== 1) dot(`TN ${m}x${k}x${n}`, [m, k], [m, n], { ...plain, contractLeft: [0], contractRight: [0] });
  }
  for (const t of ['int32', 'uint32'] as const) dot('NN', [-1, 9], [9, 5], { ...plain, contractLeft: [1], contractRight: [0] }, t);
  dot('batched', [-1, 7, 4, 16], [-1, 4, 9, 16], { batchLeft: [0, 2], batchRight: [0, 1], contractLeft: [3], contractRight: [3] });
  dot('two contracted axes', [-1, 4, 6], [6, 4, 10], { ...plain, contractLeft: [1, 2], contractRight: [1, 0] });
  dot('outer product', [12], [9], { ...plain, contractLeft: [], contractRight: [] });
  dot('inner product', [300], [300], { ...plain, contractLeft: [0], contractRight: [0] });
  dot('large', [130, 140], [140, 150], { ...plain, contractLeft: [1], contractRight: [0] });
  const nhwc: ConvDims = {
    input: { batch: 0, feature: 3, spatial: [1, 2] },
    kernel: { spatial: [0, 1], input: 2, output: 3 },
    output: { batch: 0, feature: 3, spatial: [1, 2] },
  };
  const nchw: ConvDims = {
    input: { batch: 0, feature: 1, spatial: [2, 3] },
    kernel: { output: 0, input: 1, spatial: [2, 3] },
    output: { batch: 0, feature: 1, spatial: [2, 3] },
  };
  const one: ConvDims = {
    input: { batch: 0, feature: 2, spatial: [1] },
    kernel: { spatial: [0], input: 1, output: 2 },
    output: { batch: 0, feature: 2, spatial: [1] },
  };
  const three: ConvDims = {
    input: { batch: 0, feature: 4, spatial: [1, 2, 3] },
    kernel: { spatial: [0, 1, 2], input: 3, output: 4 },
    output: { batch: 0, feature: 4, spatial: [1, 2, 3] },
  };
  const conv = (
    name: string,
    x: readonly number[],
    w: readonly number[],
    dims: ConvDims,
    a: { strides?: number[]; padding?: Pair[]; inputDilation?: number[]; kernelDilation?: number[]; groups?: number; batchGroups?: number } = {},
  ): void => {
    const ones = dims.input.spatial.map(() => 1);
    out.push({
      op: 'conv',
      name: `conv ${name}`,
      inputs: [input('float32', x), input('float32', w, ordinary('float32', 2))],
      rtol: 1e-5,
      atol: 1e-4,
      build: (b, [p, q]) =>
        b.emit('conv', [p!, q!], {
          strides: a.strides ?? ones,
          padding: a.padding ?? ones.map((): Pair => [0, 0]),
          inputDilation: a.inputDilation ?? ones,
          kernelDilation: a.kernelDilation ?? ones,
          groups: a.groups ?? 1,
          batchGroups: a.batchGroups ?? 1,
          dims,
        }),
    });
  };
  const same: Pair[] = [
    [1, 1],
    [1, 1],
  ];
  conv('3x3 same', [-1, 9, 8, 4], [3, 3, 4, 12], nhwc, { padding: same });
  conv('3x3 strided', [-1, 9, 8, 3], [3, 3, 3, 10], nhwc, {
    strides: [2, 2],
    padding: [
      [0, 1],
      [1, 1],
    ],
  });
  conv('dilated kernel', [-1, 9, 8, 3], [3, 3, 3, 10], nhwc, { kernelDilation: [2, 1], padding: same });
  conv('dilated input (transposed)', [-1, 5, 4, 6], [3, 3, 6, 8], nhwc, {
    inputDilation: [2, 2],
    padding: [
      [2, 1],
      [1, 2],
    ],
  });
  conv('cropping', [-1, 9, 8, 4], [3, 3, 4, 5], nhwc, {
    padding: [
      [-1, 0],
      [0, -2],
    ],
  });
  conv('1x1', [-1, 5, 5, 8], [1, 1, 8, 16], nhwc);
  conv('depthwise', [-1, 9, 8, 8], [3, 3, 1, 8], nhwc, { groups: 8, padding: same });
  conv('depthwise with a multiplier', [-1, 6, 6, 4], [3, 3, 1, 8], nhwc, { groups: 4, strides: [2, 1] });
  conv('grouped', [-1, 9, 8, 8], [3, 3, 4, 8], nhwc, { groups: 2, padding: same });
  conv('batch groups', [6, 5, 5, 3], [2, 2, 3, 8], nhwc, { batchGroups: 2 });
  conv('channels first', [-1, 4, 9, 8], [12, 4, 3, 3], nchw, { padding: same });
  conv('one axis', [-1, 20, 5], [4, 5, 6], one, { strides: [2], padding: [[3, 0]] });
  conv('three axes', [2, 5, 5, 4, 3], [2, 3, 2, 3, 4], three);
  out.push({
    op: 'conv',
    name: 'conv, bias, relu',
    inputs: [input('float32', [-1, 9, 8, 4]), input('float32', [3, 3, 4, 12], ordinary('float32', 2)), input('float32', [12])],
    rtol: 1e-5,
    atol: 1e-4,
    build: (b, [x, w, c]) =>
      b.max(
        b.add(
          b.emit('conv', [x!, w!], { strides: [1, 1], padding: same, inputDilation: [1, 1], kernelDilation: [1, 1], groups: 1, batchGroups: 1, dims: nhwc }),
          c!,
        ),
        0,
      ),
  });
  void r;
  return out;
}

function control(): PrimitiveCase[] {
  const scan = (reverse: boolean): PrimitiveCase => ({
    op: 'scan',
    name: `scan${reverse ? ' reversed' : ''}`,
    inputs: [input('float32', [-1, 6]), input('float32', [4, -1, 6], ordinary('float32', 2)), input('float32', [6, 6], ordinary('float32', 3))],
    rtol: 1e-5,
    atol: 1e-5,
    build: (b, operands) => {
      const s = new GraphBuilder('step');
      s.declareSymbol('batch', batchMax);
      const [h, x, w] = [s.input('h', 'float32', dimsOf([-1, 6])), s.input('x', 'float32', dimsOf([-1, 6])), s.input('w', 'float32', [6, 6])];
      const next = s.tanh(s.add(s.matmul(h, w), x));
      s.output('h', next);
      s.output('y', s.mul(next, 2));
      return b.emitAll('scan', operands, { body: s.build(), carries: 1, xs: 1, length: 4, reverse });
    },
  });
  const branch = (f: (b: GraphBuilder, x: Value) => Value) => {
    const b = new GraphBuilder('branch');
    b.output('y', f(b, b.input('x', 'float32', [7])));
    return b.build();
  };
  const choose = (taken: number): PrimitiveCase => ({
    op: 'if',
    name: `if ${taken === 1}`,
    inputs: [input('bool', [], () => taken), input('float32', [7])],
    rtol: 1e-5,
    atol: 1e-6,
    build: (b, operands) => b.emitAll('if', operands, { then: branch((s, x) => s.exp(x)), else: branch((s, x) => s.neg(x)) }),
  });
  const composite: PrimitiveCase = {
    op: 'composite',
    name: 'composite',
    inputs: [input('float32', [7])],
    rtol: 1e-5,
    atol: 1e-6,
    build: (b, [x]) => b.emitAll('composite', [x!], { name: 'twice', attributes: { times: 2 }, body: branch((s, v) => s.add(v, v)) }),
  };
  /** Doubles until the sum is large: as many steps as the data ask for. */
  const loop = (limit: number, start: number): PrimitiveCase => ({
    op: 'while',
    name: `while up to ${limit} from ${start}`,
    inputs: [input('float32', [7], (i) => start * (i + 1)), input('int32', [], () => 0), input('float32', [], () => limit)],
    rtol: 1e-5,
    atol: 1e-6,
    build: (b, operands) => {
      const [c, s] = [new GraphBuilder('cond'), new GraphBuilder('body')];
      for (const [g, isBody] of [
        [c, false],
        [s, true],
      ] as const) {
        const [x, n, most] = [g.input('x', 'float32', [7]), g.input('n', 'int32', []), g.input('most', 'float32', [])];
        if (isBody) {
          g.output('x', g.mul(x, 1.5));
          g.output('n', g.add(n, 1));
        } else g.output('go', g.compare('lt', g.sum(x), most));
      }
      return b.emitAll('while', operands, { cond: c.build(), body: s.build(), carries: 2 });
    },
  });
  return [scan(false), scan(true), choose(1), choose(0), composite, loop(1000, 0.5), loop(1, 5)];
}

/** All cases for a seed. */
export function primitiveCases(seed: number): PrimitiveCase[] {
  const r = random(seed);
  return [...elementwise(r), ...sources(r), ...shapes(r), ...gathers(r), ...reductions(r), ...windows(r), ...contractions(r), ...control()];
}

/** Several cases as one graph: inputs and outputs are named by the case's number. */
export function graphOf(cases: readonly PrimitiveCase[]): { graph: ReturnType<GraphBuilder['build']>; inputs: Record<string, TensorData> } {
  const b = new GraphBuilder('primitives');
  b.declareSymbol('batch', batchMax);
  const inputs: Record<string, TensorData> = {};
  cases.forEach((c, i) => {
    const operands = c.inputs.map((x, j) => {
      inputs[`${i}.${j}`] = valuesOf(x);
      return b.input(`${i}.${j}`, x.dtype, dimsOf(x.shape));
    });
    const made = b.withOrigin(`case ${c.name}`, () => c.build(b, operands));
    [made].flat().forEach((v, j) => {
      b.output(`${i}.${j}`, v as Value);
    });
  });
  return { graph: b.build(), inputs };
}
