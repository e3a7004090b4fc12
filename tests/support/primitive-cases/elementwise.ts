/** Elementwise ops: functions of one and two operands, comparisons, select, casts, arithmetic of every dtype. */
import type { GraphBuilder } from '../../../ir/builder.js';
import type { DType } from '../../../ir/dtype.js';
import type { Value } from '../../../ir/graph.js';
import { binaryFunctions, compareFunctions, type UnaryFunction, unaryFunctions } from '../../../ir/op-attrs.js';
import type { Random } from '../random-graph.js';
import { inf, input, ordinary, type PrimitiveCase, pick, someShape, special } from './case.js';

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

export function elementwise(r: Random): PrimitiveCase[] {
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
