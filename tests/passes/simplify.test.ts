/** The rewriter itself, and that simplification keeps the meaning of random graphs. The rules one by one: rules/. */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parse, print } from '../../ir/text.js';
import { verify } from '../../ir/verify.js';
import { cse } from '../../passes/cse.js';
import { dce } from '../../passes/dce.js';
import { decompose } from '../../passes/decompose.js';
import { foldConstants } from '../../passes/fold-constants.js';
import { any, binary, op, RuleSet, rewrite, rule, unary } from '../../passes/rewrite.js';
import { simplify } from '../../passes/simplify.js';
import { compareGraphs, randomArguments, randomGraph } from '../support/random-graph.js';

const chain = (fns: readonly string[]): string =>
  `graph "g"\n  %0 = input "x" : float32[3]\n${fns.map((f, i) => `  %${i + 1} = unary(%${i}) {fn=${f}} : float32[3]  // layer_${i}\n`).join('')}  output "y" = %${fns.length}\n`;

test('property: simplified graphs compute the same', () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const g = randomGraph(seed, 22);
      const h = simplify(decompose(g));
      verify(h, 'simplified');
      assert.is(compareGraphs(g, h, randomArguments(g, seed)), null);
      assert.is(simplify(h), h);
    }),
    { numRuns: 400, seed: 5 },
  );
});

test('property: the single passes keep the meaning too', () => {
  for (const [pass, stage] of [
    [decompose, 'decomposed'],
    [dce, 'traced'],
    [cse, 'traced'],
    [foldConstants, 'traced'],
  ] as const) {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const g = randomGraph(seed, 18);
        const h = pass(g);
        verify(h, stage);
        assert.is(compareGraphs(g, h, randomArguments(g, seed)), null);
      }),
      { numRuns: 60, seed: 11 },
    );
  }
});

test('rules that go round are named', () => {
  const round = new RuleSet([
    rule('exp-to-sin', unary('exp', any('x')), null, ({ x }, { b }) => b.unary('sin', x)),
    rule('sin-to-exp', unary('sin', any('x')), null, ({ x }, { b }) => b.unary('exp', x)),
  ]);
  assert.throws(() => rewrite(parse(chain(['exp'])), round), /rewrite rules go round: (exp-to-sin -> sin-to-exp|sin-to-exp -> exp-to-sin)/);
});

test('a rule that changes the type is named', () => {
  const wrong = new RuleSet([rule('wrong', unary('exp', any('x')), null, ({ x }, { b }) => b.sum(x))]);
  assert.throws(() => rewrite(parse(chain(['exp'])), wrong), /rule 'wrong' turns float32\[3\] into float32\[\] \(layer_0\)/);
});

test('the number of applications can be limited, for bisection', () => {
  const g = parse(chain(['neg', 'neg', 'abs', 'abs']));
  const seen: string[] = [];
  const once = simplify(g, { limit: 1, onRewrite: (r) => seen.push(r) });
  assert.equal(seen, ['neg-neg']);
  assert.is(once.nodes.length, 2);
});

test('replaced nodes keep their origin', () => {
  assert.is(
    print(simplify(parse(chain(['neg', 'abs'])))),
    'graph "g"\n  %0 = input "x" : float32[3]\n  %1 = unary(%0) {fn=abs} : float32[3]  // layer_1\n  output "y" = %1\n',
  );
});

test('a name used twice means the same value; commutative operands match in either order', () => {
  const applied: string[] = [];
  const set = new RuleSet([
    rule('double', binary('add', any('x'), any('x')), null, ({ x }, { b }) => b.mul(x, 2)),
    rule('mul-exp', binary('mul', unary('exp', any('x')), any('y')), null, ({ x }) => x),
    rule(
      'sin',
      op('unary', 'n', any('x')),
      ({ n }) => n.attrs.fn === 'sin',
      ({ x }) => x,
    ),
  ]);
  const text = `graph "g"
  %0 = input "x" : float32[3]
  %1 = input "y" : float32[3]
  %2 = binary(%0, %1) {fn=add}
  %3 = unary(%2) {fn=exp}
  %4 = binary(%1, %3) {fn=mul}
  %5 = unary(%4) {fn=sin}
  output "z" = %5
`;
  const h = rewrite(parse(text), set, { onRewrite: (r) => applied.push(r) });
  assert.equal(applied, ['mul-exp', 'sin']);
  assert.is(h.nodes.length, 1);
});

test('decompose opens nested composites and branches, and keeps provenance', () => {
  const text = `graph "g"
  %0 = input "c" : bool[]
  %1 = input "x" : float32[3]
  %2 = composite(%1) {name="gelu", attributes={approximate=true}, body={
    graph "gelu"
      %0 = input "x" : float32[3]
      %1 = composite(%0) {name="inner", attributes={}, body={
        graph "inner"
          %0 = input "x" : float32[3]
          %1 = unary(%0) {fn=exp} : float32[3]  // erf
          output "y" = %1
      }} : float32[3]
      output "y" = %1
  }} : float32[3]  // dense
  %3 = if(%0, %2) {then={
    graph "yes"
      %0 = input "x" : float32[3]
      %1 = unary(%0) {fn=neg} : float32[3]
      output "y" = %1
  }, else={
    graph "no"
      %0 = input "x" : float32[3]
      output "y" = %0
  }} : float32[3]  // branch
  output "y" = %3
`;
  const h = decompose(parse(text));
  verify(h, 'decomposed');
  assert.is(
    print(h),
    `graph "g"
  %0 = input "c" : bool[]
  %1 = input "x" : float32[3]
  %2 = unary(%1) {fn=exp} : float32[3]  // dense/erf
  %3 = unary(%2) {fn=neg} : float32[3]  // branch
  %4 = broadcast(%0) {shape=[3], axes=[]} : bool[3]  // branch
  %5 = select(%4, %3, %2) : float32[3]  // branch
  output "y" = %5
`,
  );
});

test('dead code goes, interfaces stay; equal nodes become one', () => {
  const text = `graph "g"
  %0 = input "x" : float32[3]
  %1 = input "unused" : float32[3]
  %2 = unary(%0) {fn=exp} : float32[3]  // first
  %3 = unary(%0) {fn=exp} : float32[3]  // second
  %4 = unary(%1) {fn=exp} : float32[3]
  %5 = binary(%2, %3) {fn=add} : float32[3]
  output "y" = %5
`;
  const expected = `graph "g"
  %0 = input "x" : float32[3]
  %1 = input "unused" : float32[3]
  %2 = unary(%0) {fn=exp} : float32[3]  // first
  %3 = binary(%2, %2) {fn=add} : float32[3]
  output "y" = %3
`;
  assert.is(print(cse(parse(text))), expected);
  assert.is(dce(parse(text)).nodes.length, 3);
});

test('constants fold, but not to large ones', () => {
  const text = `graph "g"
  %0 = constant() {value=float32[2](1,2)} : float32[2]
  %1 = constant() {value=float32[](0.1)} : float32[]
  %2 = broadcast(%1) {shape=[2], axes=[]} : float32[2]
  %3 = binary(%0, %2) {fn=add} : float32[2]
  %4 = broadcast(%3) {shape=[5,2], axes=[1]} : float32[5,2]
  %5 = iota() {shape=[100], axis=0, dtype=int32} : int32[100]
  %6 = unary(%2) {fn=exp} : float32[2]
  output "a" = %4
  output "b" = %5
  output "c" = %6
`;
  assert.is(
    print(foldConstants(parse(text))),
    `graph "g"
  %0 = constant() {value=float32[2](1.1,2.1)} : float32[2]
  %1 = broadcast(%0) {shape=[5,2], axes=[1]} : float32[5,2]
  %2 = iota() {shape=[100], axis=0, dtype=int32} : int32[100]
  %3 = constant() {value=float32[](1.105171)} : float32[]
  %4 = broadcast(%3) {shape=[2], axes=[]} : float32[2]
  output "a" = %1
  output "b" = %2
  output "c" = %4
`,
  );
});

test.run();
