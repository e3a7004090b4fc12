/** Dense layers on WASM as inference compiles them: weights packed ahead, light and heavy epilogues, whole and partial row tiles, batches smaller than planned. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compile } from '../../codegen/compile.js';
import { finishKernel } from '../../codegen/finish.js';
import { printKernel } from '../../codegen/kernel/print.js';
import { lowerRegion } from '../../codegen/lower/region.js';
import { wasmTarget } from '../../codegen/target.js';
import { GraphBuilder } from '../../ir/builder.js';
import { symbol } from '../../ir/dim.js';
import { type Graph, maxBindings } from '../../ir/graph.js';
import { defaultFuseOptions, fuse } from '../../passes/fuse.js';
import { isolateRoots } from '../../passes/isolate-roots.js';
import { runPasses } from '../../passes/pipeline.js';
import { splitPrepared } from '../../passes/split-prepared.js';
import { openWasmDevice } from '../../runtime/wasm/device.js';
import { random, randomTensor } from '../support/random-graph.js';
import { deviation, runOnDevice, runReference, targetFor } from '../support/run-graph.js';

interface Dense {
  /** Largest batch, and rows for each sample. */
  readonly batch: number;
  readonly tokens: number;
  readonly k: number;
  readonly n: number;
  readonly activation: 'none' | 'max' | 'erf';
}

function dense({ batch, tokens, k, n, activation }: Dense): Graph {
  const b = new GraphBuilder('dense');
  b.declareSymbol('batch', batch);
  const x = b.input('x', 'float32', [symbol('batch'), tokens, k]);
  const w = b.stateSlot('w', 'float32', [k, n]);
  const bias = b.stateSlot('b', 'float32', [n]);
  const sum = b.dot(x, w, { batchLeft: [], batchRight: [], contractLeft: [2], contractRight: [0] });
  const y = b.add(sum, b.broadcastTo(bias, sum.shape));
  b.output('y', activation === 'none' ? y : activation === 'max' ? b.binary('max', y, b.full(y.shape, 0)) : b.mul(b.unary('erf', y), y));
  return b.build();
}

for (const d of [
  { batch: 1, tokens: 1, k: 96, n: 100, activation: 'none' },
  { batch: 3, tokens: 1, k: 130, n: 80, activation: 'max' },
  { batch: 7, tokens: 1, k: 257, n: 43, activation: 'none' },
  { batch: 33, tokens: 1, k: 130, n: 77, activation: 'erf' },
  { batch: 9, tokens: 6, k: 300, n: 64, activation: 'erf' },
  { batch: 3, tokens: 64, k: 160, n: 136, activation: 'max' },
  { batch: 5, tokens: 2, k: 1100, n: 24, activation: 'max' },
  { batch: 300, tokens: 4, k: 40, n: 256, activation: 'none' },
] as const) {
  for (const threads of [1, 2]) {
    test(`[${d.batch}, ${d.tokens}, ${d.k}] by [${d.k}, ${d.n}], epilogue ${d.activation}, ${threads} threads`, async () => {
      const graph = dense(d);
      const device = await openWasmDevice({ threads });
      const rand = random(d.k);
      const some = (shape: number[]) => {
        const t = randomTensor(rand, 'float32', shape);
        return { ...t, data: Float32Array.from(t.data as ArrayLike<number>, (v) => v / 8) };
      };
      const state = { w: some([d.k, d.n]), b: some([d.n]) };
      for (const batch of new Set([d.batch, Math.max(1, d.batch - 2), 1])) {
        const args = { inputs: { x: some([batch, d.tokens, d.k]) }, state, bindings: { batch } };
        const { outputs } = await runOnDevice(graph, args, device, targetFor(device, threads));
        assert.ok(deviation(outputs.y!, runReference(graph, args).outputs.y!, 1e-5, 1e-5) <= 1, `batch ${batch}`);
      }
      device.dispose();
    });
  }
}

/** The text of the kernels of a graph's main part, on WASM. */
function kernelTexts(graph: Graph): string[] {
  const target = wasmTarget(2, false);
  const { main } = splitPrepared(runPasses(graph, { target: 'wasm', training: false }));
  const { regions } = fuse(isolateRoots(main), { ...defaultFuseOptions, maxBuffers: target.maxStorageBuffers });
  return regions.flatMap((r) =>
    lowerRegion(r, { target, symbols: maxBindings(main), bases: new Map() }).steps.flatMap((s) =>
      s.kind === 'kernel' ? [printKernel(finishKernel(s.kernel.kernel, target))] : [],
    ),
  );
}

for (const n of [256, 1024]) {
  test(`the vectors of a tile share a pointer into packed weights of ${n} columns, with a symbolic batch`, () => {
    const [text] = kernelTexts(dense({ batch: 8, tokens: 128, k: 256, n, activation: 'none' }));
    const [, first, second] = text!.match(/let b = in1\[(.*) : 4\]\n +let b2 = in1\[(.*) : 4\]/) ?? [];
    assert.equal(second, `${first} + 4`, text);
  });
}

test('a heavy epilogue reads all vectors of a row before it stores one', () => {
  const [text] = kernelTexts(dense({ batch: 8, tokens: 128, k: 256, n: 256, activation: 'erf' }));
  const lines = text!.split('\n').slice(text!.split('\n').findIndex((l) => l.includes('for r in')));
  const reads = lines.flatMap((l, i) => (/= tile\[/.test(l) ? [i] : []));
  const writes = lines.flatMap((l, i) => (/^ *out0\[/.test(l) ? [i] : []));
  assert.is(reads.length, 2, text);
  assert.is(writes.length, 2, text);
  assert.ok(Math.max(...reads) < Math.min(...writes), text);
});

test('a row of hundreds of millions of outputs fits a schedule, whatever the depth', () => {
  for (const k of [1, 64, 120000])
    for (const n of [40, 3e8, 1e9]) {
      const b = new GraphBuilder('row');
      const [x, w] = [b.input('x', 'float32', [1, k]), b.input('w', 'float32', [k, n])];
      b.output('y', b.dot(x, w, { batchLeft: [], batchRight: [], contractLeft: [1], contractRight: [0] }));
      const { plan } = compile({ main: b.build() }, { target: wasmTarget(2, false), name: 'row' });
      assert.match(plan.kernels[0]!.schedule, /^matmul-/);
    }
});

test.run();
