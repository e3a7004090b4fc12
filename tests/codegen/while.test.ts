/** while, compiled: as many steps as the data ask for, on both targets, also none; in the interpreter; what a body cannot hold. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compile } from '../../codegen/compile.js';
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
  for (const target of [webgpuTarget, wasmTarget(1, false)]) {
    const g = isolateRoots(roots());
    const region = fuse(g).regions.find((r) => r.kind === 'loop')!;
    const { steps } = lowerRegion(region, { target, symbols: maxBindings(g), bases: new Map() });
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
    assert.equal(errors, [], target.kind);
  }
});

test('a scan inside a while is refused with the place and the reason', () => {
  const b = new GraphBuilder('g');
  const x = b.input('x', 'float32', [3]);
  const step = new GraphBuilder('step');
  step.output('h', step.add(step.input('h', 'float32', [3]), 1));
  const inner = step.build();
  const [y] = loop(
    b,
    [x],
    1,
    (g, [v]) => g.compare('lt', g.sum(v!), 10),
    (g, [v]) => [g.tanh(g.emitAll('scan', [g.tanh(v!)], { body: inner, carries: 1, xs: 0, length: 3, reverse: false })[0]!)],
  );
  b.output('y', y!);
  assert.throws(() => compile({ main: b.build() }, { target: webgpuTarget }), /loop: its body holds a scan, which cannot be compiled inside a while/);
});

test.run();
