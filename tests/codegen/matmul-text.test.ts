/** Products on paper and in text: the WGSL of a matrix product, a convolution and its gradients, and what their Kernel IR says of loads, vectors, banks and limits. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compile } from '../../codegen/compile.js';
import { finishKernel } from '../../codegen/finish.js';
import type { Expr } from '../../codegen/kernel/expr.js';
import { blocksOf, exprsOf, type Kernel, type Stmt } from '../../codegen/kernel/ir.js';
import { tripCount } from '../../codegen/kernel/walk.js';
import { type LoweredStep, lowerRegion } from '../../codegen/lower/region.js';
import { webgpuTarget } from '../../codegen/target.js';
import { gradients } from '../../ir/autodiff.js';
import { GraphBuilder } from '../../ir/builder.js';
import { type Graph, maxBindings } from '../../ir/graph.js';
import { fuse } from '../../passes/fuse.js';
import { isolateRoots } from '../../passes/isolate-roots.js';
import { runPasses } from '../../passes/pipeline.js';
import { expectText } from '../support/golden-text.js';
import { conv, nhwc } from '../support/nets.js';

function product(): Graph {
  const b = new GraphBuilder('product');
  b.output(
    'c',
    b.withOrigin('matmul', () => b.matmul(b.input('a', 'float32', [512, 512]), b.input('b', 'float32', [512, 512]))),
  );
  return b.build();
}

/** A 3x3 convolution of 32 images of 32x32 with 64 channels, or one of its gradients. */
function convolution(part: 'forward' | 'input' | 'kernel'): Graph {
  const b = new GraphBuilder(`conv_${part}`);
  const [x, w] = [b.input('x', 'float32', [32, 32, 32, 64]), b.input('w', 'float32', [3, 3, 64, 64])];
  const y = b.withOrigin('conv', () =>
    conv(b, x, w, nhwc, {
      padding: [
        [1, 1],
        [1, 1],
      ],
    }),
  );
  if (part === 'forward') b.output('y', y);
  else b.output('g', gradients(b, b.sum(b.mul(y, b.input('dy', 'float32', [32, 32, 32, 64]))), [part === 'input' ? x : w])[0]!);
  return b.build();
}

const cases: [string, Graph][] = [
  ['matmul-512', product()],
  ['conv-3x3', convolution('forward')],
  ['conv-3x3-input-gradient', convolution('input')],
  ['conv-3x3-kernel-gradient', convolution('kernel')],
];

/** The kernels that hold the contraction. */
function kernelsOf(graph: Graph): Kernel[] {
  const g = isolateRoots(runPasses(graph, { target: 'webgpu', training: false }));
  const out: Kernel[] = [];
  const collect = (steps: readonly LoweredStep[]): void => {
    for (const s of steps) {
      if (s.kind === 'kernel') out.push(finishKernel(s.kernel.kernel, webgpuTarget));
      else collect(s.body);
    }
  };
  for (const r of fuse(g).regions.filter((x) => x.kind === 'contraction'))
    collect(lowerRegion(r, { target: webgpuTarget, symbols: maxBindings(g), bases: new Map() }).steps);
  return out;
}

/** Elements that a thread loads of each memory and lanes that it multiplies and adds, for all turns of its loops. */
function count(body: readonly Stmt[], turns = 1, totals = { loads: new Map<string, number>(), widest: new Map<string, number>(), fused: 0 }): typeof totals {
  for (const s of body) {
    const seen = new Set<Expr>();
    const note = (e: Expr): void => {
      if (seen.has(e)) return;
      seen.add(e);
      if (e.kind === 'mad' && e.scalar === 'f32') totals.fused += e.lanes * turns;
      if (e.kind === 'load') {
        const key = `${e.memory.space} ${e.memory.name}`;
        totals.loads.set(key, (totals.loads.get(key) ?? 0) + e.lanes * turns);
        totals.widest.set(key, Math.max(totals.widest.get(key) ?? 0, e.lanes));
      }
      e.args.forEach(note);
    };
    exprsOf(s).forEach(note);
    const inner = s.kind === 'for' ? turns * (tripCount(s) ?? Number.NaN) : turns;
    for (const b of blocksOf(s)) count(b, inner, totals);
  }
  return totals;
}

for (const [name, graph] of cases) {
  test(`${name} as text`, () => {
    const { plan, wgsl } = compile({ main: graph }, { target: webgpuTarget });
    for (const k of plan.kernels) assert.ok(k.bindings.length <= 8);
    expectText(`${name}.wgsl`, wgsl.join('\n// ---- next kernel\n'));
  });

  test(`${name} on paper`, () => {
    const [k] = kernelsOf(graph);
    assert.ok(k);
    const { loads, widest, fused } = count(k!.body);
    assert.ok(Number.isFinite(fused) && fused > 0);
    const globals = [...loads].filter(([key]) => key.startsWith('global'));
    assert.ok(globals.length >= 2);
    for (const [key, n] of globals) assert.ok(n / fused <= 1 / 32, `${key}: ${n} elements for ${fused} multiply-adds of a thread`);
    for (const tile of ['workgroup left_tile', 'workgroup right_tile']) assert.is(widest.get(tile), 4, tile);
    for (const [key] of globals) assert.is(widest.get(key), 4, key);
    // 4-byte elements of workgroup memory, arguments, threads
    assert.ok(k!.locals.filter((m) => m.space === 'workgroup').reduce((a, m) => a + 4 * m.size, 0) <= webgpuTarget.maxWorkgroupStorage);
    assert.ok(k!.args.length <= webgpuTarget.maxStorageBuffers && k!.workgroupSize.reduce((a, n) => a * n, 1) <= webgpuTarget.maxWorkgroupSize);
  });
}

test('threads that store along k hit banks of their own', () => {
  // quads of k lie 4 * tile + 8 elements apart; 32 threads store eight rows by four quads
  for (const tile of [32, 64]) {
    const banks = new Set<number>();
    for (let t = 0; t < 32; t++) banks.add(((t % 4) * (4 * tile + 8) + Math.floor(t / 4)) % 32);
    assert.is(banks.size, 32);
    const [k] = kernelsOf(product());
    assert.ok(tile !== 64 || k!.locals.every((m) => m.size === 4 * (4 * tile + 8)), 'the layout that the kernel has');
  }
});

test.run();
