/** Bisection names the pass and the rewrite that change what a graph computes, and nothing where all is well. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder } from '../../ir/builder.js';
import { symbol } from '../../ir/dim.js';
import type { Graph } from '../../ir/graph.js';
import { bisect } from '../../passes/bisect.js';
import { type Pass, passes } from '../../passes/pipeline.js';
import { any, RuleSet, rewrite, rule, unary } from '../../passes/rewrite.js';
import { simplify, simplifyRules } from '../../passes/simplify.js';
import { lstmStep, residualStep } from '../support/train-graphs.js';

/** tanh becomes sigmoid: wrong. exp(exp) stays as it is, wherever it stands. */
const wrong = rule('tanh-sigmoid', unary('tanh', any('x')), null, ({ x }, { b }) => b.unary('sigmoid', x));
const rules = new RuleSet([...simplifyRules.rules, wrong]);
const withWrongRule = passes.map((p): Pass => (p.name === 'simplify' ? { ...p, run: (g, o) => rewrite(g, rules, o.rewrite) } : p));

function graph(): Graph {
  const b = new GraphBuilder('g');
  b.declareSymbol('batch', 8);
  const x = b.input('x', 'float32', [symbol('batch'), 4]);
  const a = b.withOrigin('first', () => b.mul(b.add(x, 0), 1));
  const h = b.withOrigin('second', () => b.tanh(b.unary('neg', b.unary('neg', a))));
  b.output('y', b.add(h, x));
  b.output('z', b.exp(a));
  return b.build();
}

test('a wrong rule is found: its name, the node, where it comes from, and what differs', () => {
  const d = bisect(graph(), { target: 'wasm', training: false, passes: withWrongRule });
  assert.ok(d?.rewrite);
  assert.equal(
    [d!.pass, d!.rewrite!.rule, d!.rewrite!.node, d!.rewrite!.origin, d!.where],
    ['simplify', 'tanh-sigmoid', 'unary tanh float32[batch,4]', 'second', "output 'y'"],
  );
  assert.ok(d!.rewrite!.before >= 3, 'harmless rewrites come before');
  assert.ok(d!.difference > 0.01 && d!.difference < 1);
});

test('a pass that is wrong without its rewrites is named itself', () => {
  const lossy: Pass = {
    name: 'lossy',
    leaves: 'simplified',
    run: (g, o) => {
      const b = new GraphBuilder(g.name);
      b.declareSymbol('batch', 8);
      const x = b.input('x', 'float32', [symbol('batch'), 4]);
      b.output('y', b.mul(b.add(x, 0), 1));
      b.output('z', b.exp(x));
      return simplify(b.build(), o.rewrite);
    },
  };
  const d = bisect(graph(), { target: 'wasm', training: false, passes: [...passes.slice(0, 2), lossy] });
  assert.equal([d?.pass, d?.rewrite, d?.where], ['lossy', null, "output 'y'"]);
});

test('the pipeline departs nowhere, and bisection leaves no graph behind that counts as simplified', () => {
  for (const target of ['wasm', 'webgpu'] as const) {
    assert.is(bisect(graph(), { target, training: false }), null);
    assert.is(bisect(lstmStep(3, 4, 5, 2), { target, training: true }), null);
  }
  assert.is(bisect(residualStep(6, [2, 3], 2), { target: 'wasm', training: true }), null);
  const g = lstmStep(3, 4, 5, 2);
  simplify(g, { limit: 0 });
  simplify(g, { limit: 2 });
  const fresh = lstmStep(3, 4, 5, 2);
  assert.is(simplify(g).nodes.length, simplify(fresh).nodes.length);
});

test.run();
