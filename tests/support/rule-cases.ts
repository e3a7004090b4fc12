/** Cases of rewrite rules: text in, text out. Each case must apply the rule that it names, and keep the graph's meaning. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parse, print } from '../../ir/text.js';
import { verify } from '../../ir/verify.js';
import { type Rule, type RuleSet, rewrite } from '../../passes/rewrite.js';
import { compareGraphs, randomArguments } from './random-graph.js';

/** Types of the inputs %0, %1, …; then nodes and outputs before and after (types left out). */
export type RuleCase = readonly [rule: string, inputs: readonly string[], before: string, after: string];

const lines = (text: string): string[] =>
  text
    .split('\n')
    .map((l) => l.trim())
    .filter(Boolean);

function graphOf(inputs: readonly string[], body: string): string {
  const ports = inputs.map((t, i) => `  %${i} = input "x${i}" : ${t}`);
  return ['graph "g"', '  symbol n <= 4', ...ports, ...lines(body).map((l) => `  ${l}`), ''].join('\n');
}

/** One test a case, and one that every rule has a case. */
export function testRules(set: RuleSet, rules: readonly Rule[], cases: readonly RuleCase[]): void {
  test('every rule has a case, and its name is its own', () => {
    const names = rules.map((r) => r.name);
    assert.equal(
      names.filter((n) => !cases.some(([rule]) => rule === n)),
      [],
    );
    assert.is(new Set(names).size, names.length);
  });
  for (const [name, inputs, before, after] of cases) {
    test(name, () => {
      const g = parse(graphOf(inputs, before));
      const applied: string[] = [];
      const h = rewrite(g, set, { onRewrite: (rule) => applied.push(rule) });
      verify(h);
      assert.is(print(h, { types: false }), print(parse(graphOf(inputs, after)), { types: false }));
      assert.ok(applied.includes(name), `applied ${applied.join(', ')}`);
      const args = randomArguments(g, 1);
      assert.is(compareGraphs(g, h, { ...args, bindings: { n: 2 } }), null);
    });
  }
}
