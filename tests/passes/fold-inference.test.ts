/** Batch norm folds into the convolution or dot before it; what is folded runs at load. */

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder } from '../../ir/builder.js';
import { symbol } from '../../ir/dim.js';
import { numberAt, numbersOf } from '../../ir/dtype.js';
import { evaluate } from '../../ir/evaluate.js';
import type { Graph, Value } from '../../ir/graph.js';
import { verify } from '../../ir/verify.js';
import { foldInference } from '../../passes/fold-inference.js';
import { stateOnlyNodes } from '../../passes/prepare.js';
import { simplify } from '../../passes/simplify.js';
import { splitPrepared } from '../../passes/split-prepared.js';
import { conv, nhwc, relu } from '../support/nets.js';
import { compareGraphs, random, randomArguments, randomTensor } from '../support/random-graph.js';

function slot(b: GraphBuilder, name: string, shape: readonly number[], seed: number): Value {
  const t = randomTensor(random(seed), 'float32', shape);
  return b.stateSlot(name, 'float32', shape, { initial: { ...t, data: numbersOf(t.data).map(Math.abs) } });
}

/** (x - mean) / sqrt(variance + eps) * gamma + beta, as Keras computes it. */
function batchNorm(b: GraphBuilder, x: Value, c: number, name: string): Value {
  const scale = b.mul(b.rsqrt(b.add(slot(b, `${name}/variance`, [c], 2), 1e-3)), slot(b, `${name}/gamma`, [c], 3));
  return b.add(b.mul(b.sub(x, slot(b, `${name}/mean`, [c], 4)), scale), slot(b, `${name}/beta`, [c], 5));
}

/** Nodes of each run, shape ops aside. */
function atRun(g: Graph): string[] {
  const early = stateOnlyNodes(g);
  const free = ['broadcast', 'reshape', 'constant'];
  return g.nodes.filter((n) => !early.has(n) && !free.includes(n.op)).map((n) => (n.op === 'binary' || n.op === 'unary' ? n.attrs.fn : n.op));
}

function fold(g: Graph): Graph {
  const h = simplify(foldInference(simplify(g)));
  verify(h, 'simplified');
  assert.is(compareGraphs(g, h, randomArguments(g, 1), 1e-6), null);
  return h;
}

test('conv, bias and batch norm become conv and bias', () => {
  const b = new GraphBuilder('net');
  b.declareSymbol('n', 4);
  const x = b.input('x', 'float32', [symbol('n'), 4, 4, 3]);
  const y = b.add(conv(b, x, slot(b, 'k', [3, 3, 3, 5], 1), nhwc), slot(b, 'bias', [5], 6));
  b.output('y', relu(b, batchNorm(b, y, 5, 'bn')));
  assert.equal(atRun(fold(b.build())), ['conv', 'add', 'max']);
});

test('depthwise convolutions and dots fold too', () => {
  const b = new GraphBuilder('net');
  const x = b.input('x', 'float32', [2, 4, 4, 3]);
  const y = batchNorm(b, conv(b, x, slot(b, 'k', [3, 3, 1, 3], 1), nhwc, { groups: 3 }), 3, 'bn1');
  b.output('y', batchNorm(b, b.matmul(y, slot(b, 'w', [3, 7], 7)), 7, 'bn2'));
  assert.equal(atRun(fold(b.build())), ['conv', 'add', 'dot', 'add']);
});

test('division, negation and reversed subtraction fold', () => {
  const b = new GraphBuilder('net');
  const y = b.matmul(b.input('x', 'float32', [2, 3]), slot(b, 'w', [3, 4], 1));
  b.output('y', b.sub(slot(b, 'a', [4], 2), b.neg(b.div(y, b.add(slot(b, 'd', [4], 3), 1)))));
  assert.equal(atRun(fold(b.build())), ['dot', 'add']);
});

test('a result with other users keeps its scale outside', () => {
  const b = new GraphBuilder('net');
  const y = conv(b, b.input('x', 'float32', [2, 4, 4, 3]), slot(b, 'k', [3, 3, 3, 5], 1), nhwc);
  b.output('y', batchNorm(b, y, 5, 'bn'));
  b.output('raw', y);
  assert.equal(atRun(fold(b.build())), ['conv', 'sub', 'mul', 'add']);
});

test('a bias alone, and one number for all channels, stay as they are', () => {
  const b = new GraphBuilder('net');
  const w = slot(b, 'w', [3, 4], 1);
  b.output('y', b.mul(b.add(b.matmul(b.input('x', 'float32', [2, 3]), w), slot(b, 'bias', [4], 2)), 3));
  const g = b.build();
  const h = fold(g);
  assert.equal(atRun(h), ['dot', 'add', 'mul']);
  assert.is(h.nodes.find((n) => n.op === 'dot')!.inputs[1], h.state[0]!.value);
});

test('state that the graph updates is not folded', () => {
  const b = new GraphBuilder('net');
  const w = slot(b, 'w', [3, 4], 1);
  b.output('y', b.mul(b.matmul(b.input('x', 'float32', [2, 3]), w), slot(b, 's', [4], 2)));
  b.update('w', b.add(w, 1));
  assert.equal(atRun(fold(b.build())), ['dot', 'mul', 'add']);
});

test('what runs at load is heavy work and what it needs', () => {
  const b = new GraphBuilder('net');
  const [w, s] = [slot(b, 'w', [3, 4], 1), slot(b, 's', [4], 2)];
  const scaled = b.mul(w, s);
  b.output('y', b.add(b.matmul(b.input('x', 'float32', [2, 3]), scaled), b.reshape(s, [1, 4])));
  const g = simplify(b.build());
  assert.equal([...stateOnlyNodes(g)].map((n) => n.op).sort(), ['binary', 'broadcast']);
});

test('the prepared part gives dense weights and vectors, the rest spreads them', () => {
  const b = new GraphBuilder('net');
  b.declareSymbol('n', 4);
  const x = b.input('x', 'float32', [symbol('n'), 4, 4, 3]);
  b.output('y', batchNorm(b, conv(b, x, slot(b, 'k', [3, 3, 3, 5], 1), nhwc), 5, 'bn'));
  const g = b.build();
  const { prepare, main } = splitPrepared(fold(g));
  verify(prepare!, 'simplified');
  verify(main, 'simplified');
  assert.equal(
    prepare!.outputs.map((o) => [o.name, o.value.shape]),
    [
      ['prepared:0', [5]],
      ['prepared:1', [3, 3, 3, 5]],
    ],
  );
  const args = randomArguments(g, 4);
  const ready = evaluate(prepare!, { inputs: {} }).outputs;
  const expected = evaluate(g, args).outputs.y!;
  const found = evaluate(main, { ...args, inputs: { ...args.inputs, ...ready } }).outputs.y!;
  numbersOf(expected.data).forEach((v, i) => assert.ok(Math.abs(v - numberAt(found.data, i)) < 1e-6));
});

test('masks made of indices alone stay in the run, tables of constants are turned at load', () => {
  const b = new GraphBuilder('net');
  const x = b.input('x', 'float32', [3, 3]);
  const mask = b.compare('lt', b.iota([3, 3], 0), b.iota([3, 3], 1));
  const table = b.exp(b.slice(slot(b, 'w', [4, 3], 1), [0, 0], [3, 3]));
  b.output('y', b.select(mask, b.add(x, table), 0));
  const g = simplify(b.build());
  assert.equal([...stateOnlyNodes(g)].map((n) => n.op).sort(), ['slice', 'unary']);
});

test('a training step has nothing to prepare', () => {
  const b = new GraphBuilder('net');
  const w = slot(b, 'w', [3, 4], 1);
  b.update('w', b.sub(w, b.exp(w)));
  const g = b.build();
  assert.is(splitPrepared(g).main, g);
  assert.is(splitPrepared(g).prepare, null);
});

test.run();
