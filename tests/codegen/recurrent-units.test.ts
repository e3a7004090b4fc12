/** Loops over few rows whose steps are cut by units, on WASM: beside the reference evaluation on one and several threads, and in the interpreter without races between the groups of a phase. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compile } from '../../codegen/compile.js';
import { finishKernel } from '../../codegen/finish.js';
import { interpret } from '../../codegen/kernel/interpret.js';
import { lowerRegion } from '../../codegen/lower/region.js';
import { wasmTarget } from '../../codegen/target.js';
import { GraphBuilder } from '../../ir/builder.js';
import { symbol } from '../../ir/dim.js';
import { type Graph, maxBindings, type Value } from '../../ir/graph.js';
import { scan } from '../../ir/subgraph.js';
import { defaultFuseOptions, fuse } from '../../passes/fuse.js';
import { isolateRoots } from '../../passes/isolate-roots.js';
import { runPasses } from '../../passes/pipeline.js';
import { splitPrepared } from '../../passes/split-prepared.js';
import { openWasmDevice } from '../../runtime/wasm/device.js';
import { random, randomTensor } from '../support/random-graph.js';
import { deviation, runOnDevice, runReference } from '../support/run-graph.js';

interface Case {
  readonly cell: 'lstm' | 'gru' | 'gru before' | 'simple' | 'normalized' | 'two products' | 'stacked';
  readonly units: number;
  readonly rows: number;
  readonly steps: number;
  readonly turned?: boolean;
  readonly reverse?: boolean;
  readonly stages: number;
}

/** Products that a cell's step has of its state: gates of each. */
const gatesOf = { lstm: [4], gru: [3], 'gru before': [2, 1], simple: [1], normalized: [4], 'two products': [1, 1], stacked: [1, 1] } as const;

function recurrent({ cell, units, rows, steps, turned = false, reverse = false }: Case): Graph {
  const b = new GraphBuilder('recurrent');
  b.declareSymbol('batch', rows);
  const batch = symbol('batch');
  const slot = (name: string, shape: readonly number[], seed: number): Value => {
    const t = randomTensor(random(seed), 'float32', shape);
    return b.stateSlot(name, 'float32', shape, { initial: { ...t, data: t.data.map((x) => x / Math.sqrt(units)) } });
  };
  const weights = gatesOf[cell].map((g, i) => slot(`w${i}`, turned ? [g * units, units] : [units, g * units], i + 1));
  const all = Math.max(
    1,
    gatesOf[cell].reduce((a: number, g) => a + g, 0),
  );
  const x = b.input('x', 'float32', [steps, batch, all * units]);
  const h0 = b.input('h', 'float32', [batch, units]);
  const c0 = b.full([batch, units], 0.5);
  const { carries, ys } = scan(b, { carries: [h0, c0], xs: [x], constants: weights, reverse }, (s, [h, c], [xt], ws) => {
    const times = (v: Value, i: number): Value => s.dot(v, ws[i]!, { batchLeft: [], batchRight: [], contractLeft: [1], contractRight: [turned ? 1 : 0] });
    const part = (v: Value, i: number): Value => s.slice(v, [0, i * units], [batch, (i + 1) * units]);
    const sigmoid = (v: Value): Value => s.unary('sigmoid', v);
    const tanh = (v: Value): Value => s.unary('tanh', v);
    const mix = (z: Value, was: Value, now: Value): Value => s.add(s.mul(z, was), s.mul(s.sub(1, z), now));
    switch (cell) {
      case 'lstm':
      case 'normalized': {
        const sum = s.add(xt!, times(h!, 0));
        const z = cell === 'lstm' ? sum : s.div(sum, s.broadcastTo(s.add(s.reduce('max', s.unary('abs', sum), [1], true), 1), sum.shape));
        const next = s.add(s.mul(sigmoid(part(z, 1)), c!), s.mul(sigmoid(part(z, 0)), tanh(part(z, 2))));
        const out = s.mul(sigmoid(part(z, 3)), tanh(next));
        return { carries: [out, next], ys: [z] };
      }
      case 'gru': {
        const z = times(h!, 0);
        const reset = sigmoid(s.add(part(xt!, 1), part(z, 1)));
        const out = mix(sigmoid(s.add(part(xt!, 0), part(z, 0))), h!, tanh(s.add(part(xt!, 2), s.mul(reset, part(z, 2)))));
        return { carries: [out, c!], ys: [out] };
      }
      case 'gru before': {
        const z = times(h!, 0);
        const reset = sigmoid(s.add(part(xt!, 1), part(z, 1)));
        const out = mix(sigmoid(s.add(part(xt!, 0), part(z, 0))), h!, tanh(s.add(part(xt!, 2), times(s.mul(reset, h!), 1))));
        return { carries: [out, c!], ys: [out] };
      }
      case 'simple':
        return { carries: [tanh(s.add(xt!, times(h!, 0))), c!], ys: [] };
      case 'two products': {
        const out = s.mul(tanh(s.add(part(xt!, 0), times(h!, 0))), sigmoid(s.add(part(xt!, 1), times(c!, 1))));
        return { carries: [out, s.mul(s.add(c!, out), 0.5)], ys: [] };
      }
      case 'stacked': {
        const first = tanh(s.add(part(xt!, 0), times(h!, 0)));
        return { carries: [first, tanh(s.add(s.add(part(xt!, 1), c!), times(first, 1)))], ys: [first] };
      }
    }
  });
  carries.forEach((v, i) => b.output(`carry${i}`, v));
  ys.forEach((v, i) => b.output(`y${i}`, v));
  return b.build();
}

const cases: readonly Case[] = [
  { cell: 'lstm', units: 128, rows: 1, steps: 4, stages: 1 },
  { cell: 'lstm', units: 70, rows: 2, steps: 4, turned: true, stages: 1 },
  { cell: 'gru', units: 128, rows: 1, steps: 3, reverse: true, stages: 1 },
  { cell: 'gru before', units: 100, rows: 3, steps: 2, stages: 2 },
  { cell: 'simple', units: 200, rows: 1, steps: 3, stages: 1 },
  { cell: 'normalized', units: 96, rows: 4, steps: 3, stages: 2 },
  { cell: 'two products', units: 192, rows: 1, steps: 3, stages: 1 },
  { cell: 'stacked', units: 133, rows: 2, steps: 3, turned: true, reverse: true, stages: 2 },
];

/** The kernel of the loop for two threads, with arguments. */
function kernelOf(graph: Graph): { kernel: ReturnType<typeof finishKernel> } {
  const target = wasmTarget(2, false);
  const { main } = splitPrepared(runPasses(graph, { target: 'wasm', training: false }));
  const g = isolateRoots(main);
  const fused = fuse(g, { ...defaultFuseOptions, maxBuffers: target.maxStorageBuffers });
  const region = fused.regions.find((r) => r.kind === 'loop')!;
  const [step] = lowerRegion(region, { target, symbols: maxBindings(g), bases: new Map() }).steps;
  assert.ok(step?.kind === 'kernel');
  return { kernel: finishKernel(step.kernel.kernel, target) };
}

for (const c of cases) {
  const g = recurrent(c);
  const name = `${c.cell}, ${c.rows} x ${c.units}${c.turned ? ', weights turned' : ''}${c.reverse ? ', backwards' : ''}`;

  test(name, async () => {
    for (const threads of [1, 2, 3]) {
      const { plan } = compile({ main: g }, { target: wasmTarget(threads, false) });
      assert.ok(
        plan.kernels.some((k) => k.schedule.includes('recurrent-units')),
        'a step is cut by units',
      );
      const device = await openWasmDevice({ threads });
      for (const batch of new Set([c.rows, 1])) {
        const inputs = Object.fromEntries(
          g.inputs.map((i, k) => [
            i.name,
            randomTensor(
              random(9 + k),
              'float32',
              i.value.shape.map((d) => (typeof d === 'number' ? d : batch)),
            ),
          ]),
        );
        const given = { inputs, bindings: { batch } };
        const found = await runOnDevice(g, given, device, wasmTarget(threads, false));
        const expected = runReference(g, given);
        for (const o of g.outputs) {
          const d = deviation(found.outputs[o.name]!, expected.outputs[o.name]!, 1e-4, 1e-5);
          assert.ok(d < 1, `${o.name}, ${threads} threads, ${batch} samples: deviation ${d}`);
        }
      }
      device.dispose();
    }
  });

  test(`${name}: groups of a phase meet nowhere`, () => {
    const { kernel } = kernelOf(g);
    assert.is(kernel.phase, 2);
    assert.equal(kernel.grid, [2 * (c.steps * c.stages + 2), 1, 1], 'a phase for each stage of a step, and one before and after');
    const arrays = kernel.args.map((m) => new Float32Array(m.size).fill(0.25));
    const { errors } = interpret(kernel, arrays, { batch: c.rows });
    assert.equal(errors, []);
    // the same groups as one phase would meet
    assert.ok(interpret({ ...kernel, phase: undefined }, arrays, { batch: c.rows }).errors.some((e) => e.includes('race')));
  });
}

test.run();
