/**
 * Files that may come from anywhere: damaged copies of good files of every format, 2,000 of each with fixed seeds (`npm run mutations`; here fewer of those that take long: workers with
 * the HDF5 library are started and lost). See tests/support/load-mutations.ts for what must hold of each. Files made by hand to do harm: hostile-files.test.ts, hostile-checkpoints.test.ts.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { kinds } from '../support/mutation-kinds.js';
import { watchMutations } from '../support/watch-mutations.js';

const all = process.argv.includes('--all');
const only = process.argv.find((a) => a.startsWith('--only='))?.slice('--only='.length);
/** How many where not all are run: those that take longer. */
const fewer: Readonly<Record<string, number>> = { yaml: 1000, keras: 600, 'saved-model': 800, npz: 1000, h5: 100, 'weights-h5': 100, 'h5-library': 60 };

for (const kind of Object.keys(kinds)) {
  if (only !== undefined && only !== kind) continue;
  const count = all ? 2000 : (fewer[kind] ?? 2000);
  test(`${count} damaged files: ${kind}`, async () => {
    const w = await watchMutations(kind, count);
    if (all) {
      console.log(`${kind}: ${w.loaded} loaded, ${w.refused} refused, slowest ${w.slowest.toFixed(0)} ms, process grew by ${(w.grown / 1e6).toFixed(0)} MB`);
      if (process.argv.includes('--messages')) console.log(w.messages.join('\n'));
    }
    assert.equal(w.wrong, []);
    assert.is(w.loaded + w.refused, count);
    assert.ok(w.refused > count / 5, `only ${w.refused} of ${count} were refused: are they damaged at all?`);
  });
}

if (only === undefined)
  test('readers that break the rules are found', async () => {
    const { wrong } = await watchMutations('faulty', 5);
    const expected = [/took \d+ bytes of memory/, /files changed/, /x is not a function/, /does not name .*something is wrong/, /took more than 5000 ms/];
    assert.is(wrong.length, expected.length);
    for (const [i, message] of expected.entries()) assert.match(wrong[i]!, message);
  });

test.run();
