/** Inference refuses what does not fit, with a message that names the op, what was expected and what was found. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { gradients } from '../../ir/autodiff.js';
import { GraphBuilder } from '../../ir/builder.js';
import { addDim, symbol } from '../../ir/dim.js';
import { ShapeError } from '../../ir/errors.js';
import type { Value } from '../../ir/graph.js';
import { convolution } from '../../ir/math.js';
import { ops } from '../../ir/ops/index.js';
import { scan, subgraph } from '../../ir/subgraph.js';

/** Primitives whose inference has refused something in this process. */
const refusing = new Set<string>();
for (const def of Object.values(ops) as { infer: (...args: unknown[]) => unknown; readonly name: string }[]) {
  const { infer } = def;
  def.infer = (...args) => {
    try {
      return infer(...args);
    } catch (e) {
      refusing.add(def.name);
      throw e;
    }
  };
}

const b = new GraphBuilder();
let names = 0;
const f = (...shape: (number | ReturnType<typeof symbol>)[]): Value => b.input(`f${names++}`, 'float32', shape);
const i = (...shape: number[]): Value => b.input(`i${names++}`, 'int32', shape);
const n = symbol('batch');

const cases: readonly (readonly [name: string, build: () => unknown, message: RegExp])[] = [
  [
    'operands of different dtypes',
    () => b.emit('binary', [f(2), i(2)], { fn: 'add' }),
    /^add: operands must have the same type, found float32\[2\] and int32\[2\]/,
  ],
  [
    'operands of different shapes',
    () => b.emit('binary', [f(2), f(3)], { fn: 'mul' }),
    /^mul: operands must have the same type, found float32\[2\] and float32\[3\]/,
  ],
  ['exp of an integer', () => b.exp(i(2)), /^exp: expected a float tensor, found int32\[2\]/],
  ['and of floats', () => b.and(f(2), f(2)), /^and: expected a bool or integer tensor, found float32\[2\]/],
  ['select on a float', () => b.emit('select', [f(2), f(2), f(2)], {}), /^select: expected a bool tensor, found float32\[2\]/],
  ['bitcast to another size', () => b.bitcast(f(2), 'int8'), /^bitcast: float32\[2\] cannot be seen as int8/],
  ['broadcast', () => b.broadcast(f(2), [3], [0]), /^broadcast: axis 0 of \[2\] is neither 1 nor 3/],
  ['broadcast with descending axes', () => b.broadcast(f(2, 3), [3, 2], [1, 0]), /^broadcast: axes \[1,0\] must be ascending and distinct/],
  ['reshape', () => b.reshape(f(n, 6), [n, 4]), /^reshape: \[batch,6\] and \[batch,4\] have different numbers of elements/],
  ['transpose', () => b.transpose(f(2, 3), [1, 1]), /^transpose: axes \[1,1\] must be distinct/],
  ['slice beyond the end', () => b.sliceAxis(f(4), 0, 2, 5), /^slice: axis 0: \[2, 5\) is not inside \[0, 4\)/],
  ['slice beyond a symbolic end', () => b.sliceAxis(f(n), 0, 0, addDim(n, 1)), /^slice: axis 0: \[0, batch\+1\) is not inside \[0, batch\)/],
  ['pad to a negative size', () => b.pad(f(2), [-2], [-1]), /^pad: axis 0 of \[2\] with low -2 and high -1 would have negative size/],
  ['concat', () => b.concat([f(2, 3), f(3, 3)], 1), /^concat: inputs may differ on axis 1 only, found float32\[2,3\], float32\[3,3\]/],
  ['gather with float indices', () => b.gather(f(2), f(2)), /^gather: indices must be int32, found float32\[2\]/],
  ['scatter', () => b.emit('scatter', [f(4, 2), i(3), f(3, 3)], { axis: 0, fn: 'add' }), /^scatter: updates must have shape \[3,2\], found \[3,3\]/],
  ['reduce over a missing axis', () => b.sum(f(2), [1]), /^reduce sum: axis 1 is not an axis of a tensor of rank 1/],
  ['any of floats', () => b.reduce('any', f(2)), /^reduce any: expected a bool tensor/],
  [
    'dot',
    () => b.matmul(f(2, 3), f(4, 5)),
    /^dot: contracted axis 1 of the left operand has size 3, axis 0 of the right 4 \(operands float32\[2,3\], float32\[4,5\]\)/,
  ],
  ['conv channels', () => convolution(b, f(1, 8, 8, 3), f(3, 3, 4, 8)), /^conv: the input has 3 channels, the kernel \[3,3,4,8\] takes 4/],
  ['conv groups', () => convolution(b, f(1, 8, 8, 4), f(3, 3, 2, 3), { groups: 2 }), /^conv: 3 output channels are not a multiple of groups 2/],
  ['random key', () => b.emit('random_bits', [i(2)], { shape: [3] }), /^random_bits: the key must be uint32\[2\], found int32\[2\]/],
  [
    'scan carry',
    () => scan(b, { carries: [f(2)], xs: [f(3, 2)] }, (s, [c]) => ({ carries: [s.sum(c!)], ys: [] })),
    /^scan: carry 0 \('carry0'\) is float32\[2\], after a step float32\[\]/,
  ],
  [
    'scan length',
    () => scan(b, { carries: [], xs: [f(3, 2), f(4, 2)] }, (_s, _c, [x]) => ({ carries: [], ys: [x!] })),
    /^scan: sequence 1 is float32\[4,2\]; its axis 0 must have the scan's length 3/,
  ],
  [
    'if',
    () => {
      const branch = subgraph(b, 'same', { x: [{ dtype: 'float32', shape: [2] }] }, (_s, { x }) => x!);
      return b.emit('if', [f(), f(2)], { then: branch, else: branch });
    },
    /^if: the condition must be a bool scalar, found float32\[\]/,
  ],
  [
    'constant with an input',
    () => b.emit('constant', [f(2)], { value: { dtype: 'float32', shape: [], data: new Float32Array(1) } }),
    /^constant: expected 0 inputs, found 1/,
  ],
  ['iota of bools', () => b.emit('iota', [], { shape: [3], axis: 0, dtype: 'bool' }), /^iota: dtype must be numeric, found bool/],
  ['iota over a missing axis', () => b.emit('iota', [], { shape: [3], axis: 1, dtype: 'int32' }), /^iota: axis 1/],
  ['dim_size with an input', () => b.emit('dim_size', [f(2)], { dim: n }), /^dim_size: expected 0 inputs, found 1/],
  ['compare', () => b.emit('compare', [f(2), f(3)], { fn: 'lt' }), /^compare lt: operands must have the same type, found float32\[2\] and float32\[3\]/],
  ['cast of two values', () => b.emit('cast', [f(2), f(2)], { dtype: 'int32' }), /^cast: expected 1 input, found 2/],
  ['reverse', () => b.emit('reverse', [f(2, 3)], { axes: [0, 0] }), /^reverse: axes \[0,0\] must be ascending and distinct/],
  ['argmax of nothing', () => b.emit('arg_reduce', [f(2, 0)], { fn: 'argmax', axis: 1 }), /^argmax: axis 1 is empty/],
  ['argmin over a missing axis', () => b.emit('arg_reduce', [f(2)], { fn: 'argmin', axis: 1 }), /^argmin: axis 1 is not an axis of a tensor of rank 1/],
  ['cumulative', () => b.emit('cumulative', [f(2)], { fn: 'sum', axis: 2, exclusive: false, reverse: false }), /^cumulative sum: axis 2/],
  [
    'a window of another rank',
    () => b.emit('reduce_window', [f(3, 3)], { fn: 'max', window: [2], strides: [1], padding: [[0, 0]], baseDilation: [1], windowDilation: [1] }),
    /^reduce_window: /,
  ],
  [
    'select_and_scatter',
    () => b.emit('select_and_scatter', [f(4), f(3)], { fn: 'max', window: [2], strides: [2], padding: [[0, 0]] }),
    /^select_and_scatter: the windows of \[4\] have shape \[2\], their cotangent \[3\]/,
  ],
  [
    'while',
    () => {
      const x = [{ dtype: 'float32' as const, shape: [2] }];
      const cond = subgraph(b, 'go', { x }, (s, { x: [v] }) => [s.compare('gt', s.sum(v!), 0)]);
      const body = subgraph(b, 'step', { x }, (s, { x: [v] }) => [s.sum(v!)]);
      return b.emit('while', [f(2)], { cond, body, carries: 1 });
    },
    /^while: carry 0 \('\w+'\) is float32\[2\], after a step float32\[\]/,
  ],
  [
    'composite',
    () => {
      const body = subgraph(b, 'twice', { x: [{ dtype: 'float32', shape: [2] }] }, (s, { x: [v] }) => [s.add(v!, v!)]);
      return b.emit('composite', [f(3)], { name: 'twice', attributes: {}, body });
    },
    /^composite twice: .*float32\[3\]/,
  ],
  ['gradient of a vector', () => gradients(b, f(3), []), /^gradients: the loss must be a float scalar, found float32\[3\]/],
  ['gradient with respect to an integer', () => gradients(b, f(), [i(2)]), /^gradients: no gradient with respect to %\d+, it is int32\[2\]/],
];

for (const [name, build, message] of cases) {
  test(name, () => assert.throws(build, (e: unknown) => e instanceof Error && message.test(e.message)));
}

test('messages carry the origin, once', () => {
  assert.throws(
    () => b.withOrigin('model', () => b.withOrigin('dense_1', () => b.matmul(f(2, 3), f(4, 5)))),
    (e: unknown) => e instanceof ShapeError && e.message.startsWith('model/dense_1: dot: contracted axis'),
  );
});

test('every primitive has refused something here', () => {
  assert.equal(
    Object.keys(ops).filter((op) => !refusing.has(op)),
    [],
  );
});

test.run();
