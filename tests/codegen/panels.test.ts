/** Products of few rows with packed weights, on WASM, beside the reference evaluation. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compile } from '../../codegen/compile.js';
import { wasmTarget } from '../../codegen/target.js';
import { GraphBuilder } from '../../ir/builder.js';
import { symbol } from '../../ir/dim.js';
import type { Graph } from '../../ir/graph.js';
import { openWasmDevice } from '../../runtime/wasm/device.js';
import { random, randomTensor } from '../support/random-graph.js';
import { deviation, runOnDevice, runReference } from '../support/run-graph.js';

interface Case {
  readonly rows: number;
  readonly k: number;
  readonly n: number;
  readonly turned?: boolean;
  /** The left operand is computed where it is read. */
  readonly prologue?: boolean;
}

function dense({ rows, k, n, turned = false, prologue = false }: Case): Graph {
  const b = new GraphBuilder('dense');
  b.declareSymbol('batch', rows);
  const x = b.input('x', 'float32', [symbol('batch'), k]);
  const slot = (name: string, shape: readonly number[], seed: number) =>
    b.stateSlot(name, 'float32', shape, { initial: randomTensor(random(seed), 'float32', shape) });
  const w = slot('w', turned ? [n, k] : [k, n], 1);
  const y = b.dot(prologue ? b.reverse(x, [1]) : x, w, { batchLeft: [], batchRight: [], contractLeft: [1], contractRight: [turned ? 1 : 0] });
  b.output('y', b.max(b.add(y, slot('bias', [n], 2)), 0));
  return b.build();
}

const cases: readonly Case[] = [
  { rows: 1, k: 512, n: 512 },
  { rows: 1, k: 257, n: 40 },
  { rows: 2, k: 257, n: 1000, turned: true },
  { rows: 3, k: 256, n: 48, prologue: true },
  { rows: 4, k: 129, n: 70 },
];

for (const c of cases) {
  test(`${c.rows} x ${c.k} x ${c.n}${c.turned ? ', weights turned' : ''}${c.prologue ? ', computed operand' : ''}`, async () => {
    const g = dense(c);
    for (const threads of [1, 2]) {
      assert.ok(
        compile({ main: g }, { target: wasmTarget(threads, false) }).plan.kernels.some((k) => k.schedule.includes('matmul-panels')),
        'the weights are packed',
      );
      const device = await openWasmDevice({ threads });
      for (const batch of new Set([c.rows, 1])) {
        const given = { inputs: { x: randomTensor(random(9), 'float32', [batch, c.k]) }, bindings: { batch } };
        const found = await runOnDevice(g, given, device, wasmTarget(threads, false));
        const d = deviation(found.outputs.y!, runReference(g, given).outputs.y!, 1e-4, 1e-4);
        assert.ok(d < 1, `${threads} threads, ${batch} samples: deviation ${d}`);
      }
      device.dispose();
    }
  });
}

test.run();
