/** Shared functions: values, stable gradients of composites, random numbers, and what gradients cost. */

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { gradients } from '../../ir/autodiff.js';
import { GraphBuilder } from '../../ir/builder.js';
import { numbersOf } from '../../ir/dtype.js';
import { evaluate } from '../../ir/evaluate.js';
import type { Value } from '../../ir/graph.js';
import * as m from '../../ir/math.js';
import { type TensorData, tensorData } from '../../ir/tensor-data.js';
import { checkGradient, distinct, floats, generator, ints } from './check-gradient.js';

const random = generator(31);

function run(inputs: readonly TensorData[], f: (b: GraphBuilder, v: readonly Value[]) => Value): number[] {
  const b = new GraphBuilder();
  b.output(
    'y',
    f(
      b,
      inputs.map((x, i) => b.input(`x${i}`, x.dtype, x.shape)),
    ),
  );
  return [...numbersOf(evaluate(b.build(), { inputs: Object.fromEntries(inputs.map((x, i) => [`x${i}`, x])) }).outputs.y!.data)];
}
const close = (a: readonly number[], e: readonly number[], tolerance = 1e-12): void => {
  assert.is(a.length, e.length);
  a.forEach((x, i) => assert.ok(Math.abs(x - e[i]!) <= tolerance, `element ${i}: ${x}, expected ${e[i]}`));
};
const f32 = (shape: readonly number[], ...data: number[]): TensorData => tensorData('float32', shape, data);

test('softmax family: values, also for large logits', () => {
  const e = Math.E;
  close(
    run([f32([1, 2], 0, 1)], (b, [x]) => m.softmax(b, x!)),
    [1 / (1 + e), e / (1 + e)],
  );
  close(
    run([f32([2], 1000, 0)], (b, [x]) => m.softmax(b, x!)),
    [1, 0],
  );
  close(
    run([f32([2], 1000, 0)], (b, [x]) => m.logSoftmax(b, x!)),
    [0, -1000],
  );
  close(
    run([f32([2], 1000, 1000)], (b, [x]) => m.logsumexp(b, x!)),
    [1000 + Math.log(2)],
  );
  close(
    run([f32([2], 0, 1), f32([2], 0.25, 0.75)], (b, [x, y]) => m.softmaxCrossEntropy(b, x!, y!)),
    [Math.log(1 + e) - 0.75],
  );
  close(
    run([f32([1, 2], 0, 1), tensorData('int32', [1], [1])], (b, [x, y]) => m.sparseSoftmaxCrossEntropy(b, x!, y!)),
    [Math.log(1 + e) - 1],
  );
  close(
    run([f32([3], -800, 0, 2), f32([3], 1, 0.5, 0)], (b, [x, y]) => m.sigmoidCrossEntropy(b, x!, y!)),
    [800, Math.log(2), 2 + Math.log1p(Math.exp(-2))],
  );
});

const composites: Record<string, readonly [inputs: readonly TensorData[], f: (b: GraphBuilder, v: readonly Value[]) => Value, order: 1 | 2]> = {
  softmax: [[floats([2, 3], random)], (b, [x]) => m.softmax(b, x!), 2],
  'softmax on another axis': [[floats([2, 3, 2], random)], (b, [x]) => m.softmax(b, x!, 1), 1],
  log_softmax: [[floats([2, 3], random)], (b, [x]) => m.logSoftmax(b, x!), 2],
  logsumexp: [[floats([2, 3], random)], (b, [x]) => m.logsumexp(b, x!, 0), 2],
  softmax_cross_entropy: [[floats([2, 3], random), floats([2, 3], random)], (b, [x, y]) => m.softmaxCrossEntropy(b, x!, m.softmax(b, y!)), 1],
  sparse_softmax_cross_entropy: [[floats([4, 3], random), ints([4], random, 0, 2)], (b, [x, y]) => m.sparseSoftmaxCrossEntropy(b, x!, y!), 2],
  sigmoid_cross_entropy: [[floats([2, 3], random), floats([2, 3], random)], (b, [x, y]) => m.sigmoidCrossEntropy(b, x!, y!), 2],
  gelu: [[floats([5], random)], (b, [x]) => m.gelu(b, x!), 2],
  'gelu, approximate': [[floats([5], random)], (b, [x]) => m.gelu(b, x!, true), 2],
  relu6: [[distinct([8], random)], (b, [x]) => m.relu6(b, b.mul(x!, 20)), 1],
  clip: [[distinct([8], random)], (b, [x]) => m.clip(b, x!, -0.1, 0.12), 1],
};
for (const [name, [inputs, f, order]] of Object.entries(composites)) {
  test(`gradient of ${name}`, () => checkGradient(f, inputs, { order, tolerance: 1e-6 }));
}

function gradientAt(x: readonly number[], f: (b: GraphBuilder, x: Value) => Value): number[] {
  return run([f32([x.length], ...x)], (b, [v]) => gradients(b, b.sum(f(b, v!)), [v!])[0]!);
}

test('gradients at kinks are those of TensorFlow', () => {
  assert.equal(
    gradientAt([-1, 0, 1], (b, x) => b.relu(x)),
    [0, 0, 1],
  );
  assert.equal(
    gradientAt([0, 3, 6], (b, x) => m.relu6(b, x)),
    [0, 1, 0],
  );
  assert.equal(
    gradientAt([0, 1, 2], (b, x) => m.clip(b, x, 0, 1)),
    [1, 1, 0],
  );
  assert.equal(
    gradientAt([2, 2], (b, x) => b.max(x, 2)),
    [1, 1],
  );
  assert.equal(
    gradientAt([3, 1, 3], (b, x) => b.reduce('max', x)),
    [0.5, 0, 0.5],
  );
  assert.equal(
    gradientAt([0, 2], (b, x) => b.pow(x, 0)),
    [0, 0],
  );
  const dilated = { fn: 'max' as const, window: [2], strides: [1], padding: [[0, 0]] as const, baseDilation: [1], windowDilation: [2] };
  assert.equal(
    gradientAt([4, 0, 4, 0, 5], (b, x) => b.emit('reduce_window', [x], dilated)),
    [1, 1, 0, 0, 1],
  );
  assert.equal(
    gradientAt([2, 3], (b, x) => b.mul(m.stopGradient(b, x), x)),
    [2, 3],
  );
});

test('the gradient of relu reads its result, not its argument', () => {
  const b = new GraphBuilder();
  const x = b.input('x', 'float32', [4]);
  const y = b.relu(x);
  gradients(b, b.sum(b.square(y)), [x]);
  const last = b.nodes.findLast((n) => n.op === 'compare');
  assert.is(last?.inputs[0], y);
});

test('gradients keep the origin of the forward node, and zero where nothing flows', () => {
  const b = new GraphBuilder();
  const [x, unused] = [b.input('x', 'float32', [2]), b.input('unused', 'float32', [3])];
  const y = b.withOrigin('dense_1', () => b.withOrigin('Tanh', () => b.tanh(x)));
  const start = b.nodes.length;
  const [, zeros] = gradients(b, b.sum(y), [x, unused]);
  assert.ok(b.nodes.slice(start).some((n) => n.op === 'binary' && n.origin === 'dense_1/Tanh'));
  assert.equal(zeros!.shape, [3]);
  assert.is(gradients(b, b.sum(y), [unused], { missing: 'null' })[0], null);
});

test('oneHot and argmax', () => {
  assert.equal(
    run([tensorData('int32', [3], [1, 0, 5])], (b, [i]) => m.oneHot(b, i!, 2)),
    [0, 1, 1, 0, 0, 0],
  );
  assert.equal(
    run([tensorData('int32', [3], [1, 0, 1])], (b, [i]) => m.oneHot(b, i!, 2, { axis: 0, dtype: 'int32' })),
    [0, 1, 0, 1, 0, 1],
  );
  assert.equal(
    run([f32([2, 3], 1, 5, 2, 7, 0, 7)], (b, [x]) => m.argmax(b, x!)),
    [1, 0],
  );
});

test('random numbers: range, mean, variance, and a different stream for each folded key', () => {
  const key = tensorData('uint32', [2], [12, 34]);
  const u = run([key], (b, [k]) => m.uniform(b, k!, [4000]));
  assert.ok(u.every((x) => x >= 0 && x < 1 && x * 2 ** 24 === Math.floor(x * 2 ** 24)));
  const mean = (xs: readonly number[]): number => xs.reduce((s, x) => s + x, 0) / xs.length;
  assert.ok(Math.abs(mean(u) - 0.5) < 0.02);
  const z = run([key], (b, [k]) => m.normal(b, k!, [4000]));
  assert.ok(Math.abs(mean(z)) < 0.05 && Math.abs(mean(z.map((x) => x * x)) - 1) < 0.06);
  const folded = (n: number): number[] => run([key], (b, [k]) => m.uniform(b, m.foldKey(b, k!, n), [50]));
  assert.equal(folded(1), folded(1));
  assert.ok(folded(1).every((x, i) => x !== folded(2)[i]));
});

test.run();
