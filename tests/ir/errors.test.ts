/** Inference refuses what does not fit, with a message that names the op, what was expected and what was found. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { gradients } from '../../ir/autodiff.js';
import { GraphBuilder } from '../../ir/builder.js';
import { addDim, symbol } from '../../ir/dim.js';
import { ShapeError } from '../../ir/errors.js';
import type { Value } from '../../ir/graph.js';
import { convolution } from '../../ir/math.js';
import { scan, subgraph } from '../../ir/subgraph.js';

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

test.run();
