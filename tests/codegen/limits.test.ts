/** Plans for WebGPU keep within the limits of their target: the default ones, and smaller ones. Read off plans and kernels; nothing runs. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compile } from '../../codegen/compile.js';
import { type TargetInfo, webgpuTarget } from '../../codegen/target.js';
import { GraphBuilder } from '../../ir/builder.js';
import type { Graph, Value } from '../../ir/graph.js';
import { convolution } from '../../ir/math.js';
import { evalSize } from '../../runtime/plan.js';
import { forEachDispatch } from '../../runtime/program.js';
import { lstmStep, residualStep } from '../support/train-graphs.js';

const one = (name: string, shape: readonly number[], f: (b: GraphBuilder, x: Value) => Value): Graph => {
  const b = new GraphBuilder(name);
  b.output('y', f(b, b.input('x', 'float32', shape)));
  return b.build();
};

/** Some of them need more than 65,535 groups, which a dimension does not have. */
const graphs: Readonly<Record<string, () => Graph>> = {
  'a training step of a residual network': () => residualStep(16, [8, 16], 32),
  'a training step of an LSTM': () => lstmStep(8, 16, 32, 32),
  '30 million elements': () => one('map', [30_000_000], (b, x) => b.exp(x)),
  'sums of 100,000 rows': () => one('rows', [100_000, 128], (b, x) => b.sum(x, [1])),
  'a sum of 30 million elements': () => one('sum', [30_000_000], (b, x) => b.sum(x)),
  'a softmax of long rows': () =>
    one('softmax', [64, 50_000], (b, x) => {
      const e = b.exp(b.sub(x, b.broadcast(b.reduce('max', x, [1]), [64, 50_000], [0])));
      return b.div(e, b.broadcast(b.sum(e, [1]), [64, 50_000], [0]));
    }),
  'a product of 2,000,000 x 4 by 4 x 4': () => {
    const b = new GraphBuilder('tall');
    b.output('y', b.matmul(b.input('x', 'float32', [2_000_000, 4]), b.input('w', 'float32', [4, 4])));
    return b.build();
  },
  'a product of 2,048 x 2,048': () => {
    const b = new GraphBuilder('square');
    b.output('y', b.matmul(b.input('x', 'float32', [2048, 2048]), b.input('w', 'float32', [2048, 2048])));
    return b.build();
  },
  'a convolution of a large image': () => {
    const b = new GraphBuilder('conv');
    b.output('y', convolution(b, b.input('x', 'float32', [1, 1024, 1024, 3]), b.input('k', 'float32', [3, 3, 3, 16])));
    return b.build();
  },
  'a concat of 30 inputs': () => {
    const b = new GraphBuilder('concat');
    b.output(
      'y',
      b.concat(
        Array.from({ length: 30 }, (_, i) => b.input(`x${i}`, 'float32', [8, 8])),
        1,
      ),
    );
    return b.build();
  },
};

const targets: Readonly<Record<string, TargetInfo>> = {
  'the default limits': webgpuTarget,
  'an adapter on the CPU': { ...webgpuTarget, stages: false },
  '128 threads and 8 KiB a workgroup': { ...webgpuTarget, maxWorkgroupSize: 128, maxWorkgroupStorage: 8192 },
};

/** Bytes of the workgroup variables that a kernel declares. */
function workgroupBytes(wgsl: string): number {
  const width = (type: string): number => 4 * Number(/^vec(\d)/.exec(type)?.[1] ?? 1);
  return [...wgsl.matchAll(/var<workgroup>\s+\w+\s*:\s*array<([\w<>]+),\s*(\d+)u?>/g)].reduce((sum, m) => sum + width(m[1]!) * Number(m[2]), 0);
}

for (const [label, target] of Object.entries(targets))
  for (const [name, make] of Object.entries(graphs))
    test(`${name} keeps within ${label}`, () => {
      const { plan, wgsl } = compile({ run: make() }, { target, name: 'limits' });
      const scope = Object.fromEntries(plan.symbols.map((s) => [s.name, s.max]));
      for (const k of plan.kernels) {
        assert.ok(k.workgroupSize.reduce((a, n) => a * n, 1) <= target.maxWorkgroupSize, `${k.name}: ${k.workgroupSize} threads`);
        assert.ok(k.bindings.length <= target.maxStorageBuffers, `${k.name}: ${k.bindings.length} bindings`);
        const bytes = workgroupBytes(wgsl[k.code]!);
        assert.ok(bytes <= target.maxWorkgroupStorage, `${k.name}: ${bytes} bytes of workgroup memory`);
        assert.is(/var<workgroup>/.test(wgsl[k.code]!), bytes > 0, 'the test reads workgroup variables');
      }
      for (const p of plan.programs)
        for (const steps of [p.prepare, p.steps])
          forEachDispatch(steps, (d) => {
            const groups = d.groups.map((g) =>
              evalSize(g, { ...scope, ...Object.fromEntries(plan.kernels[d.kernel]!.symbols.filter((s) => !(s in scope)).map((s) => [s, 0])) }),
            );
            assert.ok(Math.max(...groups) <= target.maxGroupsPerDimension, `${d.label}: ${groups} groups`);
          });
      for (const b of plan.buffers) assert.ok(b.bytes <= target.maxBufferSize, `${b.name}: ${b.bytes} bytes`);
    });

test.run();
