/**
 * Every kernel of two training steps, as scheduled for each target, runs in the interpreter without races, accesses out of bounds, divergent barriers or wrong ranges, at the
 * largest batch and at a smaller one. Values do not matter here.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { finishKernel } from '../../codegen/finish.js';
import { interpret, type TypedArray } from '../../codegen/kernel/interpret.js';
import type { Kernel, Memory } from '../../codegen/kernel/ir.js';
import { printKernel } from '../../codegen/kernel/print.js';
import { type LoweredStep, lowerRegion } from '../../codegen/lower/region.js';
import { type TargetInfo, wasmTarget, webgpuTarget } from '../../codegen/target.js';
import { GraphBuilder } from '../../ir/builder.js';
import { symbol } from '../../ir/dim.js';
import { type Graph, maxBindings } from '../../ir/graph.js';
import { defaultFuseOptions, fuse } from '../../passes/fuse.js';
import { isolateRoots } from '../../passes/isolate-roots.js';
import { runPasses } from '../../passes/pipeline.js';
import { lstmStep, residualStep } from '../support/train-graphs.js';

function kernelsOf(graph: Graph, target: TargetInfo): Kernel[] {
  const g = isolateRoots(runPasses(graph, { target: target.kind, training: true }));
  const fused = fuse(g, { ...defaultFuseOptions, maxBuffers: target.maxStorageBuffers });
  const out: Kernel[] = [];
  const collect = (steps: readonly LoweredStep[]): void => {
    for (const s of steps) {
      if (s.kind === 'kernel') out.push(finishKernel(s.kernel.kernel, target));
      else collect(s.body);
    }
  };
  for (const region of fused.regions) collect(lowerRegion(region, { target, symbols: maxBindings(g), bases: new Map() }).steps);
  return out;
}

function argument(m: Memory): TypedArray {
  const size = Number.isFinite(m.size) ? m.size : 65536;
  const a =
    m.storage === 'u8'
      ? new Uint8Array(size)
      : m.storage === 'i8'
        ? new Int8Array(size)
        : m.scalar === 'f32'
          ? new Float32Array(size)
          : m.scalar === 'i32'
            ? new Int32Array(size)
            : new Uint32Array(size);
  return a.map((_, i) => (i * 7) % 3);
}

/** Reductions that take two steps: of a row, of rows, of columns. */
function longSums(): Graph {
  const b = new GraphBuilder('sums');
  b.declareSymbol('batch', 3);
  const x = b.input('x', 'float32', [symbol('batch'), 30000]);
  const y = b.input('y', 'float32', [symbol('batch'), 8000, 5]);
  b.output('all', b.sum(x));
  b.output('rows', b.mean(b.square(x), [1]));
  b.output('columns', b.reduce('max', y, [0, 1]));
  b.output('product', b.exp(y));
  return b.build();
}

const cpuAdapter = { ...webgpuTarget, stages: false };

for (const target of [webgpuTarget, cpuAdapter, wasmTarget(1, false)]) {
  for (const [name, graph] of [
    ['long sums', longSums],
    ['a residual network', () => residualStep(6, [2, 3], 3)],
    ['an LSTM', () => lstmStep(3, 5, 6, 3)],
  ] as const) {
    test(`kernels of ${name} for ${target === cpuAdapter ? 'webgpu on a CPU' : target.kind} are clean`, () => {
      const kernels = kernelsOf(graph(), target);
      assert.ok(kernels.length > 3);
      for (const k of kernels) {
        for (const batch of [3, 2]) {
          const symbols = Object.fromEntries(k.symbols.map((s) => [s, s === 'batch' ? batch : 1]));
          const { errors } = interpret(k, k.args.map(argument), { ...symbols, batch });
          // Blocks packed for SIMD read past their last row, into scratch; what comes of it is not stored.
          const serious = errors.filter((e) => !(target.kind === 'wasm' && e.includes('which nothing wrote')));
          assert.equal(serious, [], `${serious.join('\n')}\n${printKernel(k)}`);
        }
      }
    });
  }
}

test.run();
