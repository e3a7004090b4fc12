/** Concats of more buffers than a kernel may bind become concats of concats. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder } from '../../ir/builder.js';
import { defaultFuseOptions, fuse } from '../../passes/fuse.js';
import { narrowConcats } from '../../passes/narrow-concats.js';
import { compareGraphs, randomArguments } from '../support/random-graph.js';

function wide(count: number) {
  const b = new GraphBuilder('wide');
  const xs = Array.from({ length: count }, (_, i) => b.input(`x${i}`, 'float32', [3, 2]));
  b.output('y', b.concat(xs, 1));
  return b.build();
}

test('what fits is left alone', () => {
  const g = wide(6);
  assert.is(narrowConcats(g, 8), g);
});

for (const count of [7, 11, 40]) {
  test(`${count} inputs: no region reads more buffers than there are bindings`, () => {
    const g = wide(count);
    const narrow = narrowConcats(g, 8);
    assert.is(compareGraphs(g, narrow, randomArguments(g, 1), 0), null);
    for (const r of fuse(narrow, defaultFuseOptions).regions) {
      const buffers = new Set(r.inputs.map((v) => (v.producer ? 'arena' : v))).size;
      assert.ok(buffers <= 7, `${buffers} inputs`);
    }
  });
}

test.run();
