/** Weights of dense layers are packed once at load; what does not suit stays as it is. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder } from '../../ir/builder.js';
import { symbol } from '../../ir/dim.js';
import type { Graph } from '../../ir/graph.js';
import { scan } from '../../ir/subgraph.js';
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

/** A scan whose body multiplies its state with weights of so many gates, and cuts the product into them. */
function recurrent(gates: number, units: number, turned: boolean, rows = 1): Graph {
  const b = new GraphBuilder('recurrent');
  b.declareSymbol('batch', rows);
  const shape = turned ? [gates * units, units] : [units, gates * units];
  const w = b.stateSlot('w', 'float32', shape, { initial: randomTensor(random(1), 'float32', shape) });
  const x = b.input('x', 'float32', [3, symbol('batch'), units]);
  const { carries } = scan(b, { carries: [b.full([symbol('batch'), units], 1)], xs: [x], constants: [w] }, (s, [h], [xt], [ws]) => {
    const z = s.unary('tanh', s.dot(h!, ws!, { batchLeft: [], batchRight: [], contractLeft: [1], contractRight: [turned ? 1 : 0] }));
    const parts = Array.from({ length: gates }, (_, i) => s.slice(z, [0, i * units], [symbol('batch'), (i + 1) * units]));
    return { carries: [parts.reduce((a, v) => s.add(a, v), xt!)], ys: [] };
  });
  b.output('h', carries[0]!);
  return b.build();
}

for (const [gates, units, turned, shape] of [
  [4, 64, false, [8, 64, 4, 8]],
  [3, 70, true, [9, 70, 3, 8]],
  [1, 100, false, [4, 100, 1, 32]],
  [7, 50, true, [13, 50, 7, 4]],
] as const) {
  test(`a loop with ${gates} gates of ${units} units${turned ? ', weights turned' : ''}: panels of units with all their gates, and the meaning stays`, () => {
    const g = recurrent(gates, units, turned);
    const packed = packWeights(g);
    assert.is(compareGraphs(g, packed, randomArguments(g, 3), 1e-9), null);
    assert.equal(
      splitPrepared(packed).prepare!.outputs.map((o) => o.value.shape),
      [shape],
    );
  });
}

test('a loop over many rows, or with small weights, keeps them as they are', () => {
  assert.is(splitPrepared(packWeights(recurrent(4, 64, false, 5))).prepare, null);
  assert.is(splitPrepared(packWeights(recurrent(4, 40, false))).prepare, null);
});

test('few columns, small weights and weights that the run changes are left alone', () => {
  const good = { rows: 1, k: 256, n: 64 };
  assert.ok(packs(good));
  assert.not.ok(packs({ ...good, n: 31, k: 1000 }));
  assert.not.ok(packs({ ...good, k: 100 }));
  assert.not.ok(packs({ ...good, trained: true }));
});

test.run();
