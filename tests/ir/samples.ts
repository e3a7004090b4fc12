/** Applications of every op to small data: what tests of all records walk over. */
import { GraphBuilder } from '../../ir/builder.js';
import type { OpAttrs, OpName } from '../../ir/op-attrs.js';
import { binaryFunctions, compareFunctions, unaryFunctions } from '../../ir/op-attrs.js';
import { subgraph } from '../../ir/subgraph.js';
import { type NumberData, type TensorData, tensorData } from '../../ir/tensor-data.js';
import { floats, generator, ints } from './check-gradient.js';

export type Sample = { [K in OpName]: { readonly op: K; readonly attrs: OpAttrs[K]; readonly inputs: readonly TensorData[] } }[OpName];

const random = generator(1);
const f = (...shape: number[]): TensorData => floats(shape, random, 0.1, 0.9);
const i = (lo: number, hi: number, ...shape: number[]): NumberData => ints(shape, random, lo, hi);
const bool = (...shape: number[]): TensorData => ({ dtype: 'bool', shape, data: Uint8Array.from(i(0, 1, ...shape).data) });
const key = tensorData('uint32', [2], [1, 2]);

const sample = <K extends OpName>(op: K, inputs: readonly TensorData[], attrs: OpAttrs[K]) => ({ op, inputs, attrs }) as unknown as Sample;

const unaryInput = (fn: (typeof unaryFunctions)[number]): TensorData =>
  fn === 'not' ? bool(2, 3) : fn === 'bitwise_not' ? i(-5, 5, 2, 3) : fn === 'acosh' ? floats([2, 3], random, 1, 2) : f(2, 3);
const integral = ['and', 'or', 'xor', 'shift_left', 'shift_right'];

const b = new GraphBuilder();
const step = subgraph(
  b,
  'step',
  { c: [{ dtype: 'float32', shape: [2] }], x: [{ dtype: 'float32', shape: [2] }], k: [{ dtype: 'float32', shape: [] }] },
  (s, { c, x, k }) => {
    const next = s.add(s.mul(c![0]!, k![0]!), x![0]!);
    return [next, s.sum(next), x![0]!];
  },
);
const vector = { x: [{ dtype: 'float32', shape: [3] }] } as const;
const double = subgraph(b, 'double', vector, (s, { x }) => [s.mul(x![0]!, 2)]);
const square = subgraph(b, 'square', vector, (s, { x }) => [s.square(x![0]!)]);
const below = subgraph(b, 'below', vector, (s, { x }) => [s.compare('lt', s.sum(x![0]!), 10)]);

const image = { batch: 0, feature: 3, spatial: [1, 2] };
const dims = { input: image, kernel: { input: 2, output: 3, spatial: [0, 1] }, output: image };
const conv = {
  strides: [2, 1],
  padding: [
    [1, -1],
    [0, 0],
  ] as const,
  inputDilation: [1, 2],
  kernelDilation: [1, 1],
  groups: 1,
  batchGroups: 1,
  dims,
};
const pool = {
  window: [1, 2, 3],
  strides: [1, 2, 1],
  padding: [
    [0, 0],
    [1, 0],
    [0, 2],
  ] as const,
};

export const samples: readonly Sample[] = [
  sample('constant', [], { value: tensorData('int32', [2], [3, -4]) }),
  sample('iota', [], { shape: [2, 3], axis: 1, dtype: 'float32' }),
  sample('dim_size', [], { dim: 7 }),
  sample('random_bits', [key], { shape: [3, 5] }),
  ...unaryFunctions.map((fn) => sample('unary', [unaryInput(fn)], { fn })),
  ...binaryFunctions.map((fn) => sample('binary', integral.includes(fn) ? [i(0, 9, 2, 3), i(0, 9, 2, 3)] : [f(2, 3), f(2, 3)], { fn })),
  ...compareFunctions.map((fn) => sample('compare', [i(0, 2, 4), i(0, 2, 4)], { fn })),
  sample('select', [bool(2, 3), f(2, 3), f(2, 3)], {}),
  sample('cast', [f(4)], { dtype: 'int32' }),
  sample('bitcast', [f(4)], { dtype: 'uint32' }),
  sample('broadcast', [f(1, 3)], { shape: [2, 4, 3, 2], axes: [1, 2] }),
  sample('reshape', [f(2, 3, 4)], { shape: [2, 12] }),
  sample('reshape', [f(6, 4)], { shape: [2, 3, 1, 4] }),
  sample('transpose', [f(2, 3, 4)], { perm: [2, 0, 1] }),
  sample('slice', [f(5, 4, 3)], { start: [1, 0, 0], limit: [5, 3, 3], stride: [2, 1, 1] }),
  sample('pad', [f(3, 2, 4)], { low: [1, 0, -1], high: [0, 0, 2], interior: [1, 0, 0], value: Number.POSITIVE_INFINITY }),
  sample('concat', [f(2, 3), f(2, 1), f(2, 0)], { axis: 1 }),
  sample('reverse', [f(2, 3, 2)], { axes: [0, 2] }),
  sample('gather', [f(3, 4, 2), i(-1, 4, 2, 3)], { axis: 1 }),
  ...(['add', 'set', 'mul', 'max', 'min'] as const).map((fn) => sample('scatter', [f(3, 4, 2), i(-1, 4, 2, 3), f(3, 2, 3, 2)], { axis: 1, fn })),
  ...(['sum', 'prod', 'max', 'min'] as const).map((fn) => sample('reduce', [f(2, 3, 4)], { fn, axes: [0, 2] })),
  ...(['any', 'all'] as const).map((fn) => sample('reduce', [bool(2, 3)], { fn, axes: [1] })),
  ...(['argmax', 'argmin'] as const).map((fn) => sample('arg_reduce', [f(2, 3, 4)], { fn, axis: 1 })),
  sample('cumulative', [f(2, 3, 4)], { fn: 'sum', axis: 1, exclusive: true, reverse: false }),
  ...(['sum', 'prod', 'max', 'min'] as const).map((fn) =>
    sample('reduce_window', [f(2, 4, 3)], { fn, ...pool, baseDilation: [1, 1, 2], windowDilation: [1, 2, 1] }),
  ),
  sample('select_and_scatter', [f(2, 4, 3), f(2, 2, 3)], { fn: 'max', ...pool }),
  sample('dot', [f(2, 3, 4), f(4, 5, 2)], { batchLeft: [0], batchRight: [2], contractLeft: [2], contractRight: [0] }),
  sample('dot', [f(2, 3), f(3, 2)], { batchLeft: [], batchRight: [], contractLeft: [1, 0], contractRight: [0, 1] }),
  sample('conv', [f(2, 5, 4, 3), f(2, 3, 3, 2)], conv),
  sample('conv', [f(2, 5, 4, 3), f(1, 1, 1, 3)], {
    ...conv,
    strides: [1, 1],
    padding: [
      [0, 0],
      [0, 0],
    ],
    inputDilation: [1, 1],
    groups: 3,
  }),
  sample('conv', [f(4, 5, 4, 3), f(2, 3, 3, 4)], { ...conv, batchGroups: 2 }),
  sample('scan', [f(2), f(3, 2), f()], { body: step, carries: 1, xs: 1, length: 3, reverse: true }),
  sample('if', [bool(), f(3)], { then: double, else: square }),
  sample('while', [f(3)], { cond: below, body: double, carries: 1 }),
  sample('composite', [f(3)], { name: 'double', attributes: { axis: -1, approximate: true, mode: 'a "b", c', sizes: [1, 2] }, body: double }),
];
