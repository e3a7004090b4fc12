/** Schedules as data: text and back, checks, neighbours, and plans compiled again from the schedules that they store. */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { graphOf } from '../../bench/figures.js';
import { workloads } from '../../bench/workloads.js';
import { type CompileOptions, compile, compileRegion } from '../../codegen/compile.js';
import { directiveKinds, neighbours, parametersOf, parseSchedule, printSchedule, type Schedule, scheduleOf } from '../../codegen/schedule.js';
import type { Schedules } from '../../codegen/schedule-choice.js';
import { families, matmulBlocks, matmulTiles } from '../../codegen/schedule-families.js';
import { type TargetInfo, wasmTarget, webgpuTarget } from '../../codegen/target.js';
import { Input, type KerasTensor, layers, Model } from '../../frontend/keras/index.js';
import { ValueError } from '../../ir/errors.js';
import type { Graph } from '../../ir/graph.js';
import type { CompiledPlan } from '../../runtime/plan.js';
import { openWasmDevice } from '../../runtime/wasm/device.js';
import { randomArguments } from '../support/random-graph.js';
import { deviation, runOnDevice, runReference } from '../support/run-graph.js';
import { lstmStep, residualStep } from '../support/train-graphs.js';
import { openSoftwareDevice } from '../support/webgpu.js';

const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/);
const own = { noNullPrototype: true };
const directive = fc.record({ kind: fc.constantFrom(...directiveKinds), of: name, value: fc.oneof(name, fc.integer({ min: 0, max: 9_999_999_999 })) }, own);
const schedule: fc.Arbitrary<Schedule> = fc.record({ family: name, directives: fc.array(directive, { maxLength: 6 }) }, own);

test('property: text and back', () => {
  fc.assert(
    fc.property(schedule, (s) => assert.equal(parseSchedule(printSchedule(s)), s)),
    { numRuns: 300, seed: 5 },
  );
});

test('other texts are refused, and say why', () => {
  const cases: [string, RegExp][] = [
    ['', /expected the name of a family/],
    ['Matmul split(m, 64)', /expected the name of a family/],
    ['matmul-tiles splt(m, 64)', /there is no directive 'splt'.*Did you mean 'split'/],
    ['matmul-tiles split(m,64)', /'split\(m,64\)' is no directive/],
    ['matmul-tiles split(m, 064)', /is no directive/],
    ['matmul-tiles  split(m, 64)', /is no directive/],
    ['matmul-tiles split(m, -1)', /is no directive/],
  ];
  for (const [text, why] of cases) assert.throws(() => parseSchedule(text), why, text);
});

test('a family takes its own directives, in range and in order, that fit the device', () => {
  const tiles = (text: string, target: TargetInfo = webgpuTarget) => parametersOf(matmulTiles, parseSchedule(`matmul-tiles ${text}`), target);
  const good = 'split(m, 64) split(n, 64) split(k, 16) bind(m, 8) bind(n, 8)';
  assert.equal(tiles(good), { mTile: 64, nTile: 64, depth: 16, mThreads: 8, nThreads: 8 });
  assert.equal(printSchedule(scheduleOf(matmulTiles, tiles(good))), `matmul-tiles ${good}`);
  assert.throws(() => tiles('split(m, 64)'), /takes split\(m\), split\(n\), split\(k\), bind\(m\), bind\(n\)/);
  assert.throws(() => tiles('split(n, 64) split(m, 64) split(k, 16) bind(m, 8) bind(n, 8)'), /in this order/);
  assert.throws(() => tiles(good.replace('k, 16', 'k, 1000')), /split\(k\) must be a whole number from 4 to 64/);
  assert.throws(() => tiles(good.replace('k, 16', 'k, 64')), /33792 bytes of memory a group, the target allows 16384/);
  assert.throws(() => tiles(good, { ...webgpuTarget, maxWorkgroupSize: 32 }), /64 threads a workgroup, the device allows 32/);
  assert.throws(() => parametersOf(matmulBlocks, parseSchedule(`matmul-tiles ${good}`), webgpuTarget), /expected family 'matmul-blocks'/);
  assert.is(new Set(families.map((f) => f.name)).size, families.length);
});

const large: ReadonlySet<string> = new Set(['mobilenet', 'resnet50', 'resnet8']);
const targets = [webgpuTarget, wasmTarget(2, false)];

function same(a: CompiledPlan, b: CompiledPlan, what: string): void {
  assert.equal(JSON.stringify(a.plan), JSON.stringify(b.plan), what);
  assert.equal(a.wgsl, b.wgsl, what);
  assert.ok(Buffer.compare(a.wasm ?? new Uint8Array(), b.wasm ?? new Uint8Array()) === 0, `${what}: the module`);
  assert.ok(Buffer.compare(a.blob, b.blob) === 0, `${what}: the constants`);
}

/** Compiles with every region's schedule moved to a neighbour, where one fits the region. */
function compileMoved(programs: Record<string, Graph>, target: TargetInfo, random: () => number): CompiledPlan {
  let all: Schedules | undefined;
  const options: CompileOptions = { target, onSchedules: (s) => (all = s) };
  const { plan } = compile(programs, options);
  const moved: Record<string, string> = {};
  for (const [key, { region, at, family }] of all!.regions) {
    const old = plan.schedules[key];
    // Alone, each operand has a buffer of its own: regions that share them are left as they are, as --tune does.
    const alone = new Set([...region.inputs, ...region.outputs]).size < target.maxStorageBuffers;
    if (old === undefined || !alone) continue;
    const others = neighbours(family, parseSchedule(old), target);
    if (others.length === 0) continue;
    const other = others[Math.floor(random() * others.length)]!;
    try {
      compileRegion(region, at, other);
    } catch (e) {
      // it fits the family and not the region
      if (!(e instanceof ValueError)) throw e;
      continue;
    }
    moved[key] = printSchedule(other);
  }
  return compile(programs, { target, schedules: moved });
}

const seeded = (seed: number) => () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 4294967296;
};

/** One block of each kind that the large networks repeat: strided, depthwise, pointwise and grouped convolutions, batch normalization, a residual sum, pooling. */
function blocks(): Graph {
  const conv = (x: KerasTensor, filters: number, size: number, strides = 1) =>
    layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(filters, size, { strides, padding: 'same', useBias: false })(x)));
  const x = Input({ shape: [32, 32, 3] });
  const stem = layers.MaxPooling2D({ poolSize: 3, strides: 2, padding: 'same' })(conv(x, 32, 3, 2));
  const separable = (y: KerasTensor, strides: number) =>
    conv(layers.ReLU({ maxValue: 6 })(layers.BatchNormalization()(layers.DepthwiseConv2D(3, { strides, padding: 'same' })(y))), 64, 1);
  const narrow = separable(separable(stem, 1), 2);
  const bottleneck = layers.Conv2D(64, 1)(conv(conv(narrow, 16, 1), 16, 3));
  const joined = layers.ReLU()(layers.Add()([bottleneck, narrow]));
  const model = new Model({ inputs: x, outputs: layers.Dense(100, { activation: 'softmax' })(layers.GlobalAveragePooling2D()(joined)) });
  return model.programs({ batchSize: 1, only: ['predict'] }).predict!;
}

/** What the small workloads and `blocks` compile, compiled again. The large networks repeat the blocks. */
const compiledAgain: [string, () => { program: string; graph: Graph }][] = [
  ...workloads
    .filter((x, i) => !large.has(x.model) && workloads.findIndex((y) => y.model === x.model && y.kind === x.kind) === i)
    .map((w): [string, () => { program: string; graph: Graph }] => [w.id, () => graphOf(w)]),
  ['blocks of MobileNet and ResNet', () => ({ program: 'predict', graph: blocks() })],
];
for (const [what, make] of compiledAgain) {
  test(`${what}: the schedules of the plan give the plan again, on both targets`, () => {
    const { program, graph } = make();
    for (const target of targets) {
      const first = compile({ [program]: graph }, { target });
      assert.ok(Object.keys(first.plan.schedules).length > 0);
      for (const k of first.plan.kernels) for (const text of k.schedule.split(' | ')) assert.is(printSchedule(parseSchedule(text)), text);
      same(compile({ [program]: graph }, { target, schedules: first.plan.schedules }), first, target.kind);
    }
  });
}

const small: [string, () => Graph][] = [
  ['LSTM', () => lstmStep(6, 8, 16)],
  ['residual network', () => residualStep(6, [2, 4], 2)],
];
for (const [what, make] of small) {
  test(`${what}: other schedules give other kernels, the same again from their plan, and compute the same`, async () => {
    const graph = make();
    const args = randomArguments(graph, 3);
    const expected = runReference(graph, args);
    for (const target of targets) {
      const plain = compile({ main: graph }, { target });
      const device = target.kind === 'wasm' ? await openWasmDevice({ threads: 2 }) : await openSoftwareDevice();
      // A software driver takes long to compile a plan's pipelines: it runs one of the two.
      for (const seed of [1, 2]) {
        const moved = compileMoved({ main: graph }, target, seeded(seed));
        assert.not.equal(
          moved.plan.kernels.map((k) => k.schedule),
          plain.plan.kernels.map((k) => k.schedule),
        );
        same(compile({ main: graph }, { target, schedules: moved.plan.schedules }), moved, `${target.kind}, seed ${seed}`);
        if (!device || (target.kind === 'webgpu' && seed > 1)) continue;
        const found = await runOnDevice(graph, args, device, target, moved.plan.schedules);
        for (const [key, t] of [...Object.entries(expected.outputs), ...Object.entries(expected.updates)]) {
          // Adam's step has the size of the learning rate where a gradient is next to nothing: its sign hangs on the order of the sum. Moments are compared instead.
          if (key === 'params') continue;
          const d = deviation(found.outputs[key] ?? found.updates[key]!, t, 2e-3, 2e-4);
          assert.ok(d <= 1, `${target.kind}, seed ${seed}, ${key}: ${d}`);
        }
      }
      await device?.dispose();
    }
  });
}

test('a schedule that does not fit its region is refused with place and reason; keys of other models are ignored', () => {
  const graph = lstmStep(6, 8, 32);
  const { plan } = compile({ main: graph }, { target: webgpuTarget });
  const [key] = Object.entries(plan.schedules).find(([, text]) => text.startsWith('matmul-tiles'))!;
  const with_ = (k: string, text: string) => () => compile({ main: graph }, { target: webgpuTarget, schedules: { [k]: text } });
  assert.throws(with_(key, 'row-walk split(rows, 4)'), new RegExp(`\\(${key}\\): schedule 'row-walk split\\(rows, 4\\)': expected family 'matmul-tiles'`));
  assert.throws(with_(key, 'matmul tiles'), /'tiles' is no directive/);
  with_('dot-0000000000000000', 'row-walk split(rows, 4)')();
});

test.run();
