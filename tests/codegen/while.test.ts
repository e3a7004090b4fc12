/** while, compiled: as many steps as the data ask for, on both targets, also none; in the interpreter; loops in loops; more operands than buffers. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { finishKernel } from '../../codegen/finish.js';
import { interpret, type TypedArray } from '../../codegen/kernel/interpret.js';
import { lowerRegion } from '../../codegen/lower/region.js';
import { wasmTarget, webgpuTarget } from '../../codegen/target.js';
import { GraphBuilder } from '../../ir/builder.js';
import { symbol } from '../../ir/dim.js';
import { type Graph, maxBindings, type Value } from '../../ir/graph.js';
import { tensorData } from '../../ir/tensor-data.js';
import { fuse } from '../../passes/fuse.js';
import { isolateRoots } from '../../passes/isolate-roots.js';
import { liftConstants } from '../../passes/lift-constants.js';
import type { Device } from '../../runtime/device.js';
import { openWasmDevice } from '../../runtime/wasm/device.js';
import { deviation, runOnDevice, runReference } from '../support/run-graph.js';
import { openSoftwareDevice } from '../support/webgpu.js';

const batch = symbol('batch');

/** while over the carries, with constants behind them; both sub-graphs see all. */
function loop(
  b: GraphBuilder,
  operands: readonly Value[],
  carries: number,
  cond: (g: GraphBuilder, v: Value[]) => Value,
  body: (g: GraphBuilder, v: Value[]) => Value[],
): readonly Value[] {
  const part = (name: string, f: (g: GraphBuilder, v: Value[]) => readonly Value[]): Graph => {
    const g = new GraphBuilder(name);
    g.declareSymbol('batch', 6);
    f(
      g,
      operands.map((o, i) => g.input(`v${i}`, o.dtype, o.shape)),
    ).forEach((v, i) => {
      g.output(`o${i}`, v);
    });
    return g.build();
  };
  return b.withOrigin('loop', () => b.emitAll('while', operands, { cond: part('cond', (g, v) => [cond(g, v)]), body: part('body', body), carries }));
}

/** Newton's square roots until all are right to a tolerance: x, steps, a flag that is carried as it is. */
function roots(): Graph {
  const b = new GraphBuilder('roots');
  b.declareSymbol('batch', 6);
  const a = b.input('a', 'float32', [batch, 5]);
  const tolerance = b.input('tolerance', 'float32', []);
  const outs = loop(
    b,
    [b.add(b.mul(a, 0), 1), b.scalar(0, 'int32'), b.compare('lt', tolerance, 1), a, tolerance],
    3,
    (g, [x, , , of, most]) => g.compare('gt', g.reduce('max', g.unary('abs', g.sub(g.mul(x!, x!), of!))), most!),
    (g, [x, n, flag, of]) => [g.mul(g.add(x!, g.div(of!, x!)), 0.5), g.add(n!, 1), flag!],
  );
  outs.forEach((v, i) => {
    b.output(`y${i}`, v);
  });
  return b.build();
}

/** Power iteration with products, a reduction and a softmax, between other kernels; carries swap their places. */
function power(): Graph {
  const b = new GraphBuilder('power');
  b.declareSymbol('batch', 6);
  const m = b.exp(b.input('m', 'float32', [7, 7]));
  const x = b.input('x', 'float32', [batch, 7]);
  const outs = loop(
    b,
    [b.mul(x, 2), x, b.scalar(0, 'int32'), m, b.input('steps', 'int32', [])],
    3,
    (g, [, , n, , steps]) => g.compare('lt', n!, steps!),
    (g, [p, q, n, w]) => {
      const y = g.matmul(p!, w!);
      const e = g.exp(g.sub(y, g.reduce('max', y, [1], true)));
      return [g.add(q!, g.div(e, g.sum(e, [1], true))), g.mul(p!, 0.5), g.add(n!, 1)];
    },
  );
  b.output('p', b.add(outs[0]!, 1));
  b.output('q', b.sum(outs[1]!, [1]));
  return b.build();
}

/** A while in a while, a scan (backwards, with a sequence and a tensor constant) in both, and a table in body and condition. */
function nested(): Graph {
  const b = new GraphBuilder('nested');
  b.declareSymbol('batch', 6);
  const x = b.input('x', 'float32', [batch, 3]);
  const table = tensorData('float32', [3], [0.5, -0.25, 2]);
  const step = (g: GraphBuilder): Graph => {
    const s = g.child('step');
    const [h, row, w] = [s.input('h', 'float32', [3]), s.input('row', 'float32', [3]), s.input('w', 'float32', [3])];
    const next = s.tanh(s.add(s.mul(h, w), s.mul(row, s.constant(tensorData('float32', [3], [1, 2, 3])))));
    s.output('h', next);
    s.output('y', s.mul(next, 2));
    return s.build();
  };
  const sums = (g: GraphBuilder, rows: Value, h: Value): readonly Value[] =>
    g.emitAll('scan', [h, rows, g.constant(table)], { body: step(g), carries: 1, xs: 1, length: batch, reverse: true });
  const outs = loop(
    b,
    [b.mul(x, 1), b.scalar(0, 'int32'), b.input('steps', 'int32', [])],
    2,
    (g, [v, n, most]) => g.binary('and', g.compare('lt', n!, most!), g.compare('lt', g.sum(g.mul(g.reduce('max', v!, [0]), g.constant(table))), 100)),
    (g, [v, n]) => {
      const [last, stacked] = sums(g, v!, g.reduce('max', v!, [0]));
      // as many halvings as it takes
      const [small] = loop(
        g,
        [g.add(stacked!, g.mul(last!, 0.1))],
        1,
        (i, [w]) => i.compare('gt', i.reduce('max', i.unary('abs', w!)), 0.9),
        (i, [w]) => [i.add(i.mul(w!, 0.5), i.mul(i.broadcastTo(sums(i, w!, i.reduce('max', w!, [0]))[0]!, [batch, 3]), 0.01))],
      );
      return [small!, g.add(n!, 1)];
    },
  );
  b.output('x', outs[0]!);
  b.output('y1', b.add(outs[1]!, 0));
  return b.build();
}

/** More operands and results than a device binds buffers. */
function many(): Graph {
  const b = new GraphBuilder('many');
  b.declareSymbol('batch', 6);
  const xs = Array.from({ length: 7 }, (_, i) => b.input(`x${i}`, 'float32', [batch, 2]));
  const outs = loop(
    b,
    [...xs, b.input('n', 'int32', [])],
    8,
    (g, v) => g.compare('gt', v[7]!, 0),
    (g, v) => [...xs.map((_, i) => g.add(v[i]!, v[(i + 1) % 7]!)), g.sub(v[7]!, 1)],
  );
  outs.forEach((v, i) => {
    b.output(`o${i}`, v);
  });
  return b.build();
}

const wave = (shape: readonly number[], scale = 1) =>
  tensorData(
    'float32',
    shape,
    Float32Array.from({ length: shape.reduce((p, d) => p * d, 1) }, (_, i) => Math.abs(Math.sin(i + 1)) * scale + 0.1),
  );
const scalar = (t: 'float32' | 'int32', v: number) => tensorData(t, [], [v]);
const runs: [string, Graph, Record<string, ReturnType<typeof wave>>][] = [
  ['many steps', roots(), { a: wave([4, 5], 100), tolerance: scalar('float32', 1e-2) }],
  ['a few steps', roots(), { a: wave([4, 5], 2), tolerance: scalar('float32', 0.5) }],
  ['no step', roots(), { a: wave([4, 5], 2), tolerance: scalar('float32', 100) }],
  ['products, no step', power(), { m: wave([7, 7]), x: wave([4, 7]), steps: scalar('int32', 0) }],
  ['products, an odd number of steps', power(), { m: wave([7, 7]), x: wave([4, 7]), steps: scalar('int32', 7) }],
  ['products, an even number of steps', power(), { m: wave([7, 7]), x: wave([4, 7]), steps: scalar('int32', 4) }],
  ['loops in loops', nested(), { x: wave([4, 3]), steps: scalar('int32', 5) }],
  ['loops in loops, no step', nested(), { x: wave([4, 3]), steps: scalar('int32', 0) }],
  [
    'more buffers than a device binds',
    many(),
    { ...Object.fromEntries(Array.from({ length: 7 }, (_, i) => [`x${i}`, wave([4, 2], i)])), n: scalar('int32', 3) },
  ],
];

const devices: [string, () => Promise<Device | null>][] = [
  ['WASM', () => openWasmDevice({ threads: 2 })],
  ['WebGPU', () => openSoftwareDevice()],
];
for (const [name, open] of devices) {
  test(`while on ${name}`, async () => {
    const device = await open();
    if (!device) return;
    const target = device.info.kind === 'wasm' ? wasmTarget(2, false) : webgpuTarget;
    const counts: number[] = [];
    for (const [what, g, inputs] of runs) {
      const args = { inputs, bindings: { batch: 4 } };
      const [found, expected] = [await runOnDevice(g, args, device, target), runReference(g, args)];
      for (const [key, t] of Object.entries(expected.outputs)) {
        const d = deviation(found.outputs[key]!, t, 1e-4, 1e-5);
        assert.ok(d <= 1, `${what}, ${key}: ${d}`);
      }
      if (expected.outputs.y1) counts.push(Number(expected.outputs.y1.data[0]));
    }
    assert.ok(counts[0]! > counts[1]! && counts[1]! > counts[2]! && counts[2] === 0, `${counts} steps`);
    await device.dispose();
  });
}

test('the kernels are clean in the interpreter', () => {
  for (const target of [webgpuTarget, wasmTarget(1, false)])
    for (const graph of [roots(), nested()]) {
      const g = isolateRoots(liftConstants(graph));
      const region = fuse(g).regions.find((r) => r.kind === 'loop')!;
      const { steps } = lowerRegion(region, { target, symbols: maxBindings(g), bases: new Map(), bufferOf: () => 'arena' });
      const [only] = steps;
      assert.ok(steps.length === 1 && only?.kind === 'kernel');
      if (only?.kind !== 'kernel') return;
      const k = finishKernel(only.kernel.kernel, target);
      const arrays = k.args.map((m): TypedArray => {
        const ones = m.scalar === 'f32' ? new Float32Array(m.size).fill(1) : m.scalar === 'i32' ? new Int32Array(m.size) : new Uint32Array(m.size);
        return m.name.startsWith('in') && m.scalar === 'f32' && m.size === 30
          ? ones.map((_, i) => 1 + i / 3)
          : m.size === 1 && m.scalar === 'f32'
            ? ones.fill(0.01)
            : ones;
      });
      const { errors } = interpret(k, arrays, { batch: 4 });
      assert.equal(errors, [], `${graph.name} on ${target.kind}`);
    }
});

test.run();
