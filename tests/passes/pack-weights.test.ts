/** Weights of dense layers are packed once at load; what does not suit stays as it is. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder } from '../../ir/builder.js';
import { symbol } from '../../ir/dim.js';
import type { Graph } from '../../ir/graph.js';
import { packWeights } from '../../passes/pack-weights.js';
import { splitPrepared } from '../../passes/split-prepared.js';
import { compareGraphs, random, randomArguments, randomTensor } from '../support/random-graph.js';

interface Dense {
  readonly rows: number;
  readonly k: number;
  readonly n: number;
  /** The weights are [n, k]. */
  readonly turned?: boolean;
  readonly trained?: boolean;
}

function dense({ rows, k, n, turned = false, trained = false }: Dense): Graph {
  const b = new GraphBuilder('dense');
  b.declareSymbol('batch', rows);
  const x = b.input('x', 'float32', [symbol('batch'), k]);
  const shape = turned ? [n, k] : [k, n];
  const w = b.stateSlot('w', 'float32', shape, { initial: randomTensor(random(1), 'float32', shape), trainable: true });
  const y = b.dot(x, w, { batchLeft: [], batchRight: [], contractLeft: [1], contractRight: [turned ? 1 : 0] });
  b.output('y', y);
  if (trained) b.update('w', b.sub(w, 1));
  return b.build();
}

const packs = (d: Dense): boolean => {
  const g = dense(d);
  return packWeights(g).nodes.length !== g.nodes.length;
};

for (const d of [
  { rows: 1, k: 129, n: 64 },
  { rows: 4, k: 257, n: 40 },
  { rows: 2, k: 257, n: 40, turned: true },
  { rows: 5, k: 257, n: 43 },
  { rows: 32, k: 256, n: 64, turned: true },
]) {
  const columns = d.rows > 4 ? 8 : 16;
  test(`${d.rows} rows, ${d.k} to ${d.n}${d.turned ? ', weights turned' : ''}: the memory holds panels of ${columns} columns, and the meaning stays`, () => {
    const g = dense(d);
    const packed = packWeights(g);
    assert.is(compareGraphs(g, packed, randomArguments(g, 3), 1e-9), null);
    const { prepare, main } = splitPrepared(packed);
    const panels = Math.ceil(d.n / columns);
    assert.equal(
      prepare!.outputs.map((o) => o.value.shape),
      [[panels, d.k, columns]],
    );
    assert.not.ok(main.state.length > 0 && main.nodes.some((n) => n.inputs.includes(main.state[0]!.value)), 'the run reads the packed memory');
  });
}

test('few columns, small weights and weights that the run changes are left alone', () => {
  const good = { rows: 1, k: 256, n: 64 };
  assert.ok(packs(good));
  assert.not.ok(packs({ ...good, n: 31, k: 1000 }));
  assert.not.ok(packs({ ...good, k: 100 }));
  assert.not.ok(packs({ ...good, trained: true }));
});

test.run();
