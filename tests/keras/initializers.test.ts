/** Initializers: exact values, orthogonality, and the moments of the random ones. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { initializers, utils } from '../../frontend/keras/index.js';

const shape = [40, 50];

function moments(values: Float32Array): { mean: number; std: number; low: number; high: number } {
  const mean = values.reduce((a, v) => a + v, 0) / values.length;
  const std = Math.sqrt(values.reduce((a, v) => a + (v - mean) ** 2, 0) / values.length);
  return { mean, std, low: Math.min(...values), high: Math.max(...values) };
}

test('exact ones', () => {
  assert.equal(Array.from(initializers.Zeros().values([2])), [0, 0]);
  assert.equal(Array.from(initializers.get('ones').values([2])), [1, 1]);
  assert.equal(Array.from(initializers.Constant(3).values([2])), [3, 3]);
  assert.equal(Array.from(initializers.Identity({ gain: 2 }).values([2, 3])), [2, 0, 0, 0, 2, 0]);
  assert.equal(Array.from(initializers.get((s: readonly number[]) => [s[0]!, 5]).values([2])), [2, 5]);
});

const fanIn = 40;
const average = 45;
const cases: readonly [string, number, number | null][] = [
  ['glorot_uniform', Math.sqrt(1 / average), Math.sqrt(3 / average)],
  ['glorot_normal', Math.sqrt(1 / average), null],
  ['he_uniform', Math.sqrt(2 / fanIn), Math.sqrt(6 / fanIn)],
  ['he_normal', Math.sqrt(2 / fanIn), null],
  ['lecun_uniform', Math.sqrt(1 / fanIn), Math.sqrt(3 / fanIn)],
  ['lecun_normal', Math.sqrt(1 / fanIn), null],
  ['random_normal', 0.05, null],
  ['random_uniform', 0.05 / Math.sqrt(3), 0.05],
];
for (const [name, std, limit] of cases) {
  test(`${name}: mean 0, the right standard deviation, within its limits`, () => {
    utils.setRandomSeed(11);
    const m = moments(initializers.get(name).values(shape));
    assert.ok(Math.abs(m.mean) < 0.1 * std && Math.abs(m.std / std - 1) < 0.06, `${JSON.stringify(m)}, expected ${std}`);
    if (limit !== null) assert.ok(m.low >= -limit && m.high <= limit && m.high > 0.95 * limit);
  });
}

test('convolution kernels count their window in the fans', () => {
  const m = moments(initializers.HeUniform({ seed: 1 }).values([3, 3, 4, 8]));
  assert.ok(m.high <= Math.sqrt(6 / 36) && m.high > 0.9 * Math.sqrt(6 / 36));
});

for (const s of [
  [6, 4],
  [4, 6],
  [2, 3, 4],
]) {
  test(`orthogonal [${s}]: rows or columns, whichever are fewer, are orthonormal times the gain`, () => {
    const cols = s.at(-1)!;
    const rows = s.slice(0, -1).reduce((a, d) => a * d, 1);
    const q = initializers.Orthogonal({ gain: 2, seed: 3 }).values(s);
    const n = Math.min(rows, cols);
    const at = (i: number, k: number) => (rows < cols ? q[i * cols + k]! : q[k * cols + i]!);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        let dot = 0;
        for (let k = 0; k < Math.max(rows, cols); k++) dot += at(i, k) * at(j, k);
        assert.ok(Math.abs(dot - (i === j ? 4 : 0)) < 1e-5);
      }
    }
  });
}

test('a seed gives the same values again; setRandomSeed makes all of them repeat', () => {
  const values = () => Array.from(initializers.GlorotUniform({ seed: 5 }).values([3]));
  assert.equal(values(), values());
  const drawn = () => {
    utils.setRandomSeed(9);
    return [initializers.get('he_normal'), initializers.get('uniform')].map((i) => Array.from(i.values([3])));
  };
  assert.equal(drawn(), drawn());
});

test.run();
