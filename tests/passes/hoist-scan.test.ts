/** What leaves a scan: the LSTM's input projection, input gradients, sums of weight gradients, invariants, dead carries. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder } from '../../ir/builder.js';
import type { Graph, NodeOf, Value } from '../../ir/graph.js';
import { parse, print } from '../../ir/text.js';
import { verify } from '../../ir/verify.js';
import { hoistScan } from '../../passes/hoist-scan.js';
import { simplify } from '../../passes/simplify.js';
import { compareGraphs, randomArguments } from '../support/random-graph.js';

const [T, B, I, H] = [4, 2, 3, 5];

/** An LSTM over time-major input; `emit` adds what the caller wants to see of the loop. */
function lstm(): Graph {
  const b = new GraphBuilder('lstm');
  const x = b.input('x', 'float32', [T, B, I]);
  const w = b.input('w', 'float32', [I, 4 * H]);
  const u = b.input('u', 'float32', [H, 4 * H]);
  const bias = b.input('bias', 'float32', [4 * H]);
  const s = new GraphBuilder('step');
  const [h, c] = [s.input('h', 'float32', [B, H]), s.input('c', 'float32', [B, H])];
  const xt = s.input('x', 'float32', [B, I]);
  const [wi, ui, bi] = [s.input('w', 'float32', [I, 4 * H]), s.input('u', 'float32', [H, 4 * H]), s.input('b', 'float32', [4 * H])];
  const z = s.add(s.add(s.matmul(xt, wi), bi), s.matmul(h, ui));
  const gate = (i: number): Value => s.slice(z, [0, i * H], [B, (i + 1) * H]);
  const next = s.add(s.mul(s.sigmoid(gate(1)), c), s.mul(s.sigmoid(gate(0)), s.tanh(gate(2))));
  const out = s.mul(s.sigmoid(gate(3)), s.tanh(next));
  s.output('h', out);
  s.output('c', next);
  s.output('y', out);
  const zero = b.full([B, H], 0);
  const [last, , ys] = b.withOrigin('lstm_1', () =>
    b.emitAll('scan', [zero, zero, x, w, u, bias], { body: s.build(), carries: 2, xs: 1, length: T, reverse: false }),
  );
  b.output('last', last!);
  b.output('ys', ys!);
  return b.build();
}

const scanOf = (g: Graph): NodeOf<'scan'> => g.nodes.find((n) => n.op === 'scan') as NodeOf<'scan'>;
const opsOf = (g: Graph, op: string): number => g.nodes.filter((n) => n.op === op).length;

function hoisted(g: Graph, seed = 1): Graph {
  const before = simplify(g);
  const after = simplify(hoistScan(before));
  verify(after, 'simplified');
  assert.is(compareGraphs(g, after, randomArguments(g, seed), 1e-9), null);
  return after;
}

test("an LSTM's input projection of all steps is one dot, the recurrent one stays", () => {
  const g = hoisted(lstm());
  const scan = scanOf(g);
  assert.is(opsOf(g, 'dot'), 1);
  assert.equal(g.nodes.find((n) => n.op === 'dot')!.outputs[0]!.shape, [T, B, 4 * H]);
  assert.is(opsOf(scan.attrs.body, 'dot'), 1);
  assert.is(scan.attrs.xs, 1);
  assert.equal(
    scan.attrs.body.inputs.map((i) => i.name),
    ['h', 'c', 'hoisted', 'u'],
  );
});

test('hoisting again changes nothing', () => {
  const once = hoisted(lstm());
  assert.is(print(simplify(hoistScan(once))), print(once));
});

test('sums of dots and of reductions are taken after the loop, gradients of slices too', () => {
  const b = new GraphBuilder('backward');
  const [x, dy, w] = [b.input('x', 'float32', [T, B, I]), b.input('dy', 'float32', [T, B, H]), b.input('w', 'float32', [I, H])];
  const s = new GraphBuilder('step');
  const dh = s.input('dh', 'float32', [B, H]);
  const [dw, db] = [s.input('dw', 'float32', [I, H]), s.input('db', 'float32', [H])];
  const [xt, dyt] = [s.input('x', 'float32', [B, I]), s.input('dy', 'float32', [B, H])];
  const wi = s.input('w', 'float32', [I, H]);
  const dz = s.tanh(s.add(dh, dyt));
  s.output('dh', dz);
  s.output('dw', s.add(dw, s.transpose(s.dot(dz, xt, { batchLeft: [], batchRight: [], contractLeft: [0], contractRight: [0] }), [1, 0])));
  s.output('db', s.add(s.sum(dz, [0]), db));
  s.output('dx', s.dot(dz, wi, { batchLeft: [], batchRight: [], contractLeft: [1], contractRight: [1] }));
  const outs = b.emitAll('scan', [b.full([B, H], 0), b.full([I, H], 0), b.full([H], 0), x, dy, w], {
    body: s.build(),
    carries: 3,
    xs: 2,
    length: T,
    reverse: true,
  });
  outs.forEach((v, i) => b.output(`o${i}`, v));
  const g = hoisted(b.build());
  const scan = scanOf(g);
  assert.is(scan.attrs.carries, 1);
  assert.is(opsOf(scan.attrs.body, 'dot'), 0);
  assert.is(scan.attrs.body.outputs.length, 2);
  assert.equal(
    scan.attrs.body.inputs.map((i) => i.name),
    ['dh', 'dy'],
  );
  assert.is(opsOf(g, 'dot'), 2);
  assert.is(opsOf(g, 'reduce'), 1);
});

test('invariants, unused carries and results, equal operands and numbers', () => {
  const text = `graph "g"
  %0 = input "x" : float32[4,3]
  %1 = input "w" : float32[3]
  %2 = constant() {value=float32[](0)} : float32[]
  %3 = broadcast(%2) {shape=[3], axes=[]} : float32[3]
  %4, %5, %6, %7 = scan(%3, %3, %0, %0, %1, %1) {carries=2, xs=2, length=4, reverse=false, body={
    graph "step"
      %0 = input "h" : float32[3]
      %1 = input "unused" : float32[3]
      %2 = input "x" : float32[3]
      %3 = input "same" : float32[3]
      %4 = input "w" : float32[3]
      %5 = input "w2" : float32[3]
      %6 = unary(%4) {fn=exp} : float32[3]
      %7 = binary(%3, %5) {fn=add} : float32[3]
      %8 = binary(%7, %6) {fn=mul} : float32[3]
      %9 = binary(%8, %0) {fn=max} : float32[3]
      %10 = binary(%1, %9) {fn=mul} : float32[3]
      output "h" = %9
      output "unused" = %10
      output "copy" = %2
      output "w" = %5
  }} : float32[3], float32[3], float32[4,3], float32[4,3]
  output "last" = %4
  output "copy" = %6
  output "ws" = %7
`;
  assert.is(
    print(hoisted(parse(text))),
    `graph "g"
  %0 = input "x" : float32[4,3]
  %1 = input "w" : float32[3]
  %2 = constant() {value=float32[](0)} : float32[]
  %3 = broadcast(%2) {shape=[3], axes=[]} : float32[3]
  %4 = unary(%1) {fn=exp} : float32[3]
  %5 = scan(%3, %0, %1, %4) {carries=1, xs=1, length=4, reverse=false, body={
    graph "step"
      %0 = input "h" : float32[3]
      %1 = input "same" : float32[3]
      %2 = input "w2" : float32[3]
      %3 = input "hoisted" : float32[3]
      %4 = binary(%1, %2) {fn=add} : float32[3]
      %5 = binary(%4, %3) {fn=mul} : float32[3]
      %6 = binary(%5, %0) {fn=max} : float32[3]
      output "h" = %6
  }} : float32[3]
  %6 = broadcast(%1) {shape=[4,3], axes=[1]} : float32[4,3]
  output "last" = %5
  output "copy" = %0
  output "ws" = %6
`,
  );
});

test('a sequence that is the same in each step becomes a number in the body; a loop with nothing left goes', () => {
  const b = new GraphBuilder('g');
  const x = b.input('x', 'float32', [T, 3]);
  const s = new GraphBuilder('step');
  const [h, n, xt, zero] = [s.input('h', 'float32', [3]), s.input('n', 'float32', []), s.input('x', 'float32', [3]), s.input('zero', 'float32', [3])];
  s.output('h', s.add(h, zero));
  s.output('n', n);
  s.output('sum', s.sum(s.add(xt, s.mul(zero, 3))));
  const outs = b.emitAll('scan', [x.shape.length ? b.sum(x, [0]) : x, b.scalar(2), x, b.full([T, 3], 0)], {
    body: s.build(),
    carries: 2,
    xs: 2,
    length: T,
    reverse: false,
  });
  outs.forEach((v, i) => b.output(`o${i}`, v));
  const g = b.build();
  const once = simplify(hoistScan(simplify(g)));
  const after = simplify(hoistScan(once));
  assert.is(compareGraphs(g, after, randomArguments(g, 1)), null);
  assert.is(opsOf(after, 'scan'), 0);
});

test.run();
