/** Whole networks, compiled and run on WASM, beside the reference evaluation: training steps, and inference whose batch norms are folded at load. */

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder } from '../../ir/builder.js';
import { symbol } from '../../ir/dim.js';
import { numbersOf } from '../../ir/dtype.js';
import type { Graph, Value } from '../../ir/graph.js';
import { type Device, openDevice } from '../../runtime/index.js';
import { conv, nchw, nhwc, relu } from '../support/nets.js';
import { random, randomArguments, randomTensor } from '../support/random-graph.js';
import { deviation, runOnDevice, runReference } from '../support/run-graph.js';
import { lstmStep, residualStep } from '../support/train-graphs.js';

let device: Device;
test.before(async () => {
  device = await openDevice('wasm');
});
test.after(async () => {
  await device.dispose();
});

async function check(g: Graph, batch: Record<string, number>): Promise<void> {
  const args = { inputs: { ...randomArguments(g, 2).inputs }, bindings: batch };
  const found = await runOnDevice(g, args, device);
  const expected = runReference(g, args);
  for (const kind of ['outputs', 'updates'] as const) {
    for (const [name, t] of Object.entries(expected[kind])) {
      const d = deviation(found[kind][name]!, t, 1e-4, 1e-5);
      assert.ok(d < 1, `${name}: deviation ${d}`);
    }
  }
}

test('a training step of a residual network', () => check(residualStep(6, [2, 3], 2), { batch: 2 }));

test('a training step of an LSTM', () => check(lstmStep(3, 4, 5, 2), { batch: 2 }));

/** Two convolutions and a 1x1 one, with batch norms, a residual, global pooling and a classifier. */
function classifier(first: boolean): Graph {
  const dims = first ? nchw : nhwc;
  const b = new GraphBuilder('net');
  b.declareSymbol('n', 4);
  let seed = 1;
  const slot = (name: string, shape: readonly number[]): Value => {
    const t = randomTensor(random(seed++), 'float32', shape);
    return b.stateSlot(name, 'float32', shape, { initial: { ...t, data: numbersOf(t.data).map((v) => Math.abs(v) * 0.3) } });
  };
  const norm = (x: Value, name: string): Value => {
    const channels = (v: Value): Value => (first ? b.reshape(v, [v.shape[0]!, 1, 1]) : v);
    const scale = b.mul(b.rsqrt(b.add(slot(`${name}/variance`, [8]), 1e-1)), slot(`${name}/gamma`, [8]));
    return relu(b, b.add(b.mul(b.sub(x, channels(slot(`${name}/mean`, [8]))), channels(scale)), channels(slot(`${name}/beta`, [8]))));
  };
  const layer = (x: Value, name: string, inputs: number, size: number): Value => {
    const kernel = slot(`${name}/kernel`, first ? [8, inputs, size, size] : [size, size, inputs, 8]);
    const side = [(size - 1) / 2, (size - 1) / 2] as const;
    return norm(conv(b, x, kernel, dims, { padding: [side, side] }), name);
  };
  const x = layer(b.input('x', 'float32', first ? [symbol('n'), 3, 8, 8] : [symbol('n'), 8, 8, 3]), 'a', 3, 3);
  const y = b.add(layer(layer(x, 'b', 8, 1), 'c', 8, 3), x);
  b.output('y', b.matmul(b.mean(y, first ? [2, 3] : [1, 2]), slot('dense', [8, 10])));
  return b.build();
}

test('a classifier with folded batch norms, channels last', () => check(classifier(false), { n: 2 }));

test('a classifier with folded batch norms, channels first', () => check(classifier(true), { n: 2 }));

test.run();
