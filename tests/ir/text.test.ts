/** print and parse are exact inverses; messages name the line. */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder } from '../../ir/builder.js';
import { symbol } from '../../ir/dim.js';
import { tensorData } from '../../ir/tensor-data.js';
import { parse, print } from '../../ir/text.js';
import { verify } from '../../ir/verify.js';
import { compareGraphs, randomArguments, randomGraph } from '../support/random-graph.js';

const example = `graph "predict"
  symbol batch <= 128
  %0 = input "x" : float32[batch,4]
  %1 = input "data" : int32[60000] resident
  %2 = state "dense/kernel" : float32[4,2] trainable initial=float32[4,2](0,1,0.1,-0,inf,-inf,nan,3.5) views=["a"@0[2,2], "b"@4[4]]
  %3 = dot(%0, %2) {batchLeft=[], batchRight=[], contractLeft=[1], contractRight=[0]} : float32[batch,2]  // dense/MatMul
  %4 = unary(%3) {fn=tanh} : float32[batch,2]  // "act [1"
  output "y" = %4
  update "dense/kernel" = %2
`;

test('the example prints as it was parsed', () => {
  assert.is(print(parse(example)), example);
  const g = parse(example);
  assert.is(g.inputs[1]!.resident, true);
  assert.is(g.state[0]!.trainable, true);
  assert.equal(g.state[0]!.views[1], { name: 'b', offset: 4, shape: [4] });
  assert.ok(Object.is(g.state[0]!.initial!.data[3], -0));
  assert.is(g.nodes[1]!.origin, 'act [1');
  assert.equal(g.symbols, [{ name: 'batch', max: 128 }]);
});

test('types may be left out', () => {
  const text = print(parse(example), { types: false });
  assert.not.match(text, /: float32\[batch,2\]/);
  assert.is(print(parse(text)), example);
});

test('sub-graphs are indented and keep their lines', () => {
  const b = new GraphBuilder('g');
  b.declareSymbol('n', 9);
  const body = new GraphBuilder('step');
  const [h, x] = [body.input('h', 'float32', [2]), body.input('x', 'float32', [2])];
  body.output(
    'h',
    body.withOrigin('lstm', () => body.add(h, x)),
  );
  const xs = b.input('xs', 'float32', [symbol('n'), 2]);
  b.output('y', b.emit('scan', [b.full([2], 0), xs], { body: body.build(), carries: 1, xs: 1, length: symbol('n'), reverse: false }));
  const text = print(b.build());
  assert.match(text, /body=\{\n {4}graph "step"\n {6}%0 = input "h" : float32\[2\]\n/);
  assert.is(print(parse(text)), text);
});

test('big constants go to the side table', () => {
  const b = new GraphBuilder('g');
  const big = tensorData(
    'float32',
    [40],
    Array.from({ length: 40 }, (_, i) => i / 3),
  );
  b.output('y', b.add(b.constant(big), b.constant(big)));
  const g = b.build();
  const text = print(g);
  assert.match(text, /value=float32\[40\]#0/);
  assert.match(text, /\ntensors\n {2}#0 = float32\[40\] /);
  assert.is(print(parse(text)), text);
  const tensors: (typeof big)[] = [];
  const short = print(g, { tensors });
  assert.not.match(short, /tensors/);
  assert.is(tensors.length, 1);
  const back = parse(short, { tensors });
  const node = back.nodes[0]!;
  assert.ok(node.op === 'constant' && node.attrs.value === big);
});

test('property: parse is the inverse of print, and means the same', () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const g = randomGraph(seed);
      verify(g);
      const text = print(g);
      const back = parse(text);
      verify(back);
      assert.is(print(back), text);
      assert.is(compareGraphs(g, back, randomArguments(g, seed), 0), null);
    }),
    { numRuns: 150, seed: 1 },
  );
});

test('errors name the line and what was expected', () => {
  const bad = (from: string, to: string) => parse(example.replace(from, to));
  assert.throws(() => bad('unary(%3)', 'unarry(%3)'), /line 7: there is no op 'unarry'\. Did you mean 'unary'\?/);
  assert.throws(() => bad('unary(%3)', 'unary(%9)'), /line 7: %9 is not defined here/);
  assert.throws(
    () => bad('fn=tanh} : float32[batch,2]', 'fn=tanh} : float32[batch,3]'),
    /line 7: unary gives float32\[batch,2\], the text says float32\[batch,3\]/,
  );
  assert.throws(() => bad('contractLeft=[1], ', ''), /line 6: .*'contractLeft' is missing/);
  assert.throws(() => bad('trainable', 'trainabel'), /line 5: 'trainabel' is not one of/);
  assert.throws(() => bad('%4 = unary', '%3 = unary'), /line 7: %3 is defined twice/);
  assert.throws(() => parse('%0 = input'), /line 1: expected graph/);
});

test.run();
