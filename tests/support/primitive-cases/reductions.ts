/** Reductions, arg-reductions and cumulative ops. */
import type { ReduceFunction } from '../../../ir/op-attrs.js';
import type { Random } from '../random-graph.js';
import { inf, input, int, ordinary, type PrimitiveCase, pick, someShape, special } from './case.js';

export function reductions(r: Random): PrimitiveCase[] {
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
