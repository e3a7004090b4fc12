/** Whole training steps through all passes: the same results, what the passes promise, and how long they take. */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Graph } from '../../ir/graph.js';
import { parse, print } from '../../ir/text.js';
import { subgraphsOf } from '../../ir/transform.js';
import { passNames, runPasses } from '../../passes/pipeline.js';
import { compareGraphs, randomArguments, randomGraph } from '../support/random-graph.js';
import { randomConv, randomScan } from '../support/random-loops.js';
import { lstmStep, residualStep } from '../support/train-graphs.js';

const opsOf = (g: Graph, op: string): number => g.nodes.filter((n) => n.op === op).length;

function optimized(g: Graph): Graph {
  const h = runPasses(g, { target: 'wasm', training: true, verify: true });
  const args = randomArguments(g, 2);
  assert.is(compareGraphs(g, h, args, 1e-6), null);
  return h;
}

test('a residual network trains the same after all passes', () => {
  const h = optimized(residualStep(6, [2, 3], 2));
  assert.not.ok(h.nodes.some((n) => n.op === 'conv' && n.attrs.inputDilation.some((d) => d > 1)));
});

test('an LSTM trains the same: one dot in each loop, one for each set of weights outside', () => {
  const h = optimized(lstmStep(3, 4, 5, 2));
  const loops = h.nodes.filter((n) => n.op === 'scan');
  assert.is(loops.length, 2);
  for (const l of loops)
    assert.is(
      subgraphsOf(l).reduce((n, g) => n + opsOf(g, 'dot'), 0),
      1,
    );
  // projection, input weights, recurrent weights; classifier forward, its weights, its input
  assert.is(opsOf(h, 'dot'), 6);
});

test('property: random graphs, loops and convolutions compute the same after all passes', () => {
  for (const make of [(seed: number) => randomGraph(seed, 20), randomScan, randomConv]) {
    fc.assert(
      fc.property(fc.integer(), fc.boolean(), (seed, training) => {
        const g = make(seed);
        const h = runPasses(g, { target: 'wasm', training, verify: true });
        assert.is(compareGraphs(g, h, randomArguments(g, seed), 1e-6), null);
      }),
      { numRuns: 150, seed: 13 },
    );
  }
});

test('what passes leave prints and parses', () => {
  const h = runPasses(lstmStep(3, 4, 5, 2), { target: 'webgpu', training: true });
  assert.is(print(parse(print(h))), print(h));
});

test('each pass is reported once, in order', () => {
  const seen: string[] = [];
  runPasses(lstmStep(3, 4, 5, 2), { target: 'webgpu', training: true, onPass: (p) => seen.push(p) });
  assert.equal(seen, passNames);
});

test('a large training step takes little time', () => {
  const g = residualStep(32, [16, 16, 16, 16, 32, 32, 32, 64]);
  assert.ok(g.nodes.length > 1500, `${g.nodes.length} nodes`);
  runPasses(g, { target: 'wasm', training: true });
  const start = performance.now();
  runPasses(g, { target: 'wasm', training: true });
  const ms = performance.now() - start;
  // about 0.1 s alone on a core; the limit leaves room for a busy machine and still shows anything quadratic
  assert.ok(ms < 1500, `took ${ms} ms`);
});

test.run();
