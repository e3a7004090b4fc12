/** Matrix products and convolutions as a WebGPU adapter on the CPU computes them (gemm-direct.ts), on such an adapter, beside the reference evaluation. */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { webgpuTarget } from '../../codegen/target.js';
import { GraphBuilder } from '../../ir/builder.js';
import { symbol } from '../../ir/dim.js';
import type { Graph } from '../../ir/graph.js';
import { conv, nhwc, relu } from '../support/nets.js';
import { randomArguments } from '../support/random-graph.js';
import { deviation, runOnDevice, runReference } from '../support/run-graph.js';
import { openSoftwareDevice } from '../support/webgpu.js';

const device = await openSoftwareDevice();
test.after(() => device?.dispose());

async function check(g: Graph, bindings: Record<string, number>): Promise<void> {
  if (!device) return;
  const args = { inputs: randomArguments(g, 7).inputs, bindings };
  const [found, expected] = [await runOnDevice(g, args, device, { ...webgpuTarget, stages: false }), runReference(g, args)];
  for (const [name, t] of Object.entries(expected.outputs)) assert.ok(deviation(found.outputs[name]!, t, 1e-4, 1e-5) < 1, name);
}

const size = fc.integer({ min: 1, max: 19 });

test('products of all sizes, either operand transposed, most rows missing', () =>
  fc.assert(
    fc.asyncProperty(size, size, size, fc.boolean(), fc.boolean(), fc.integer({ min: 1, max: 3 }), async (m, n, k, left, right, batch) => {
      const b = new GraphBuilder('product');
      b.declareSymbol('rows', m + 1);
      const x = b.input('x', 'float32', left ? [batch, k, symbol('rows')] : [batch, symbol('rows'), k]);
      const w = b.input('w', 'float32', right ? [batch, n, k] : [batch, k, n]);
      const y = b.dot(x, w, { batchLeft: [0], batchRight: [0], contractLeft: [left ? 1 : 2], contractRight: [right ? 2 : 1] });
      b.output('y', relu(b, b.add(y, b.input('bias', 'float32', [n]))));
      await check(b.build(), { rows: 2 });
    }),
    { numRuns: 40, seed: 3 },
  ));

test('convolutions with padding', () =>
  fc.assert(
    fc.asyncProperty(size, fc.constantFrom(1, 3, 4, 8), fc.constantFrom(1, 4, 6, 8), fc.constantFrom(1, 2), async (spatial, channels, filters, stride) => {
      const b = new GraphBuilder('conv');
      const x = b.input('x', 'float32', [2, spatial, spatial, channels]);
      const w = b.input('w', 'float32', [3, 3, channels, filters]);
      const padding = [
        [1, 1],
        [1, 1],
      ] as const;
      b.output('y', conv(b, x, w, nhwc, { padding, strides: [stride, stride] }));
      await check(b.build(), {});
    }),
    { numRuns: 20, seed: 3 },
  ));

test.run();
