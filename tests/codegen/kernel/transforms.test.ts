/** Hoisting, unrolling, promotion and vectorization keep what a kernel computes, on random kernels. */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { hoist } from '../../../codegen/kernel/hoist.js';
import type { Kernel } from '../../../codegen/kernel/ir.js';
import { printKernel } from '../../../codegen/kernel/print.js';
import { promotePrivate, unrollLoops } from '../../../codegen/kernel/unroll.js';
import { vectorizeLoops } from '../../../codegen/kernel/vectorize.js';
import { floats, ints, randomKernel, randomLoop, run } from './kernels.js';

const args = [floats(64, (i) => (i * 7) % 23), ints(64, (i) => (i * 29) % 64), floats(64, (i) => (i % 5) - 2)];

function same(before: Kernel, after: Kernel, n: number, given = args): void {
  const [a, b] = [run(before, given, { n }), run(after, given, { n })];
  try {
    assert.equal(a.errors, [], 'the random kernel itself');
    assert.equal(b.errors, []);
    assert.equal(b.args, a.args);
  } catch (e) {
    throw new Error(`${(e as Error).message}\n${printKernel(before)}\n=>\n${printKernel(after)}`);
  }
}

const seeds = fc.integer({ min: 0, max: 1_000_000 });
const sizes = fc.constantFrom(0, 1, 3, 8);

test('hoist keeps results', () => {
  fc.assert(
    fc.property(seeds, sizes, (seed, n) => same(randomKernel(seed), hoist(randomKernel(seed)), n)),
    { seed: 3, numRuns: 300 },
  );
});

test('hoisting what is hoisted changes no results', () => {
  fc.assert(
    fc.property(seeds, sizes, (seed, n) => same(randomKernel(seed), hoist(hoist(randomKernel(seed))), n)),
    { seed: 4, numRuns: 100 },
  );
});

test('unroll and promotion to variables, then hoist, keep results', () => {
  fc.assert(
    fc.property(seeds, sizes, (seed, n) => same(randomKernel(seed), hoist(promotePrivate(unrollLoops(randomKernel(seed)))), n)),
    { seed: 5, numRuns: 200 },
  );
});

const wideArgs = [floats(256, (i) => (i * 7) % 11), ints(96, (i) => (i * 29) % 64), floats(256, () => -1)];

test('vectorized loops keep results', () => {
  let vectors = 0;
  let interleaved = 0;
  fc.assert(
    fc.property(seeds, fc.constantFrom(0, 1, 4, 7, 40, 75), (seed, n) => {
      const after = vectorizeLoops(randomLoop(seed));
      const text = printKernel(after);
      if (text.includes('x4')) vectors++;
      if (text.includes('/ 16') || text.includes('in 0..5 {')) interleaved++;
      same(randomLoop(seed), hoist(after), n, wideArgs);
    }),
    { seed: 6, numRuns: 400 },
  );
  assert.ok(vectors > 100, `only ${vectors} of 400 loops were vectorized`);
  assert.ok(interleaved > 20, `only ${interleaved} of 400 loops have several accumulators`);
});

test.run();
