/** Written-out window sums with constant elements: a constant partial sum is not the identity that a sum starts with. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder } from '../../ir/builder.js';
import { openWasmDevice } from '../../runtime/wasm/device.js';
import { runOnDevice, runReference } from '../support/run-graph.js';

test('windows over constants count only what is inside', async () => {
  for (const fn of ['sum', 'prod', 'max', 'min'] as const) {
    const b = new GraphBuilder('counts');
    const ones = b.full([1, 3, 2, 1], 2);
    const window = {
      fn,
      window: [1, 2, 2, 1],
      strides: [1, 2, 2, 1],
      padding: [
        [0, 0],
        [0, 1],
        [0, 0],
        [0, 0],
      ] as [number, number][],
      baseDilation: [1, 1, 1, 1],
      windowDilation: [1, 1, 1, 1],
    };
    b.output('y', b.add(b.emit('reduce_window', [ones], window), b.input('x', 'float32', [1, 2, 1, 1])));
    const graph = b.build();
    const args = { inputs: { x: { dtype: 'float32' as const, shape: [1, 2, 1, 1], data: new Float32Array(2) } } };
    const device = await openWasmDevice({ threads: 1 });
    const { outputs } = await runOnDevice(graph, args, device);
    device.dispose();
    assert.equal([...outputs.y!.data], [...runReference(graph, args).outputs.y!.data], fn);
  }
});

test.run();
