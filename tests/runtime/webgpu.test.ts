import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ArgumentError, DeviceLostError, DisposedError, LimitError, ModelFormatError, RuntimeInternalError } from '../../runtime/errors.js';
import type { CompiledPlan, PlanStep } from '../../runtime/plan.js';
import { openWebGpuDevice, type WebGpuDevice, type WebGpuOptions } from '../../runtime/webgpu/device.js';
import { linearPlan } from '../support/plans.js';
import { buffersAlive, openSoftwareDevice } from '../support/webgpu.js';

const device = await openSoftwareDevice();

/** A test on a fresh device where `own`, else on the shared one. */
function gpuTest(name: string, body: (d: WebGpuDevice) => Promise<void>, own: boolean | WebGpuOptions = false): void {
  test(name, async () => {
    const d = own ? await openSoftwareDevice(own === true ? {} : own) : device;
    if (!d) return;
    try {
      await body(d);
    } finally {
      if (own) d.dispose();
    }
  });
}

async function rejects(promise: Promise<unknown>, type: new (message: string) => Error, pattern: RegExp): Promise<void> {
  let error: unknown = null;
  try {
    await promise;
  } catch (e) {
    error = e;
  }
  assert.instance(error, type);
  assert.match((error as Error).message, pattern);
}
const throws = (body: () => void, type: new (message: string) => Error, pattern: RegExp) =>
  assert.throws(body, (e: unknown) => e instanceof type && pattern.test((e as Error).message));

const x = Float32Array.from({ length: 64 * 4 }, (_, i) => (i % 7) - 3);
const dot = (w: readonly number[], rows: number) => Array.from({ length: rows }, (_, i) => w.reduce((s, v, k) => s + 2 * v * x[i * 4 + k]!, 0));
const data = Float32Array.from({ length: 40 }, (_, i) => i);

gpuTest('predicts with prepared weights, at several batch sizes, and creates nothing after the first run', async (d) => {
  const s = d.createSession();
  const plan = await s.load(linearPlan());
  plan.run('predict', { symbols: { batch: 64 }, inputs: { x } });
  const y = await plan.read('predict', 'y');
  assert.equal([...y.data], dot([1, 2, 3, 4], 64));
  assert.equal([y.dtype, y.shape], ['float32', [64]]);
  const before = { ...d.counters };
  plan.run('predict', { symbols: { batch: 3 }, inputs: { x: x.subarray(0, 12) } });
  const short = await plan.read('predict', 'y');
  assert.equal([short.shape, [...short.data]], [[3], dot([1, 2, 3, 4], 3)]);
  assert.is(d.counters.buffersCreated, before.buffersCreated);
  assert.is(d.counters.pipelinesCreated, before.pipelinesCreated);
  assert.is(d.counters.submits, before.submits + 1);
  assert.is(d.counters.dispatches, before.dispatches + 1, 'prepare steps are not run again');
  s.dispose();
});

gpuTest('prepares again after the host or another program wrote state', async (d) => {
  const s = d.createSession();
  const plan = await s.load(linearPlan());
  const predict = async () => {
    plan.run('predict', { symbols: { batch: 2 }, inputs: { x: x.subarray(0, 8) } });
    return [...(await plan.read('predict', 'y')).data];
  };
  assert.equal(await predict(), dot([1, 2, 3, 4], 2));
  s.writeState('weights', new Float32Array([7, 8]), 1);
  assert.equal(await predict(), dot([1, 7, 8, 4], 2));
  const resident = s.upload('float32', [10, 4], data);
  plan.run('train', { symbols: { batch: 1, rows: 10 }, inputs: { index: new Int32Array([1]) }, resident: { data: resident } });
  assert.equal(await predict(), dot([1 + 6 * 4, 7 + 6 * 5, 8 + 6 * 6, 4 + 6 * 7], 2));
  s.dispose();
});

gpuTest('trains: data set on the device, reversed loop, several runs in one submit, state and bool outputs', async (d) => {
  const s = d.createSession();
  const plan = await s.load(linearPlan());
  const resident = s.upload('float32', [10, 4], data);
  const symbols = { batch: 2, rows: 10 };
  const before = { ...d.counters };
  plan.run('train', { symbols, inputs: { index: new Int32Array([1, 4]) }, resident: { data: resident }, repeat: 3 });
  assert.is(d.counters.submits, before.submits + 1);
  assert.is(d.counters.dispatches, before.dispatches + 3 * 6);
  await s.finish();
  // Rows 1 and 4 are [4..7] and [16..19]: the mean is [10..13]; three steps of (3 + 2 + 1) times that.
  assert.equal([...(await s.readState('weights'))], [1 + 180, 2 + 198, 3 + 216, 4 + 234]);
  const steps = await plan.read('train', 'steps');
  assert.equal([steps.dtype, steps.shape, [...steps.data]], ['int32', [], [3]]);
  const even = await plan.read('train', 'even');
  assert.equal([even.dtype, [...even.data]], ['bool', [0, 1]]);
  const steady = { ...d.counters };
  for (let i = 0; i < 20; i++) plan.run('train', { symbols, inputs: { index: new Int32Array([i % 10, 0]) }, resident: { data: resident } });
  await s.finish();
  assert.is(d.counters.buffersCreated, steady.buffersCreated);
  assert.is(d.counters.uploads, steady.uploads + 20, 'the indices only: argument blocks stay');
  // Another data set of the same shape.
  const other = s.upload('float32', [10, 4], new Float32Array(40).fill(1));
  s.writeState('weights', new Float32Array(4));
  plan.run('train', { symbols, inputs: { index: new Int32Array([0, 1]) }, resident: { data: other } });
  assert.equal([...(await s.readState('weights'))], [6, 6, 6, 6]);
  resident.dispose();
  throws(() => plan.run('train', { symbols, inputs: { index: new Int32Array([0, 1]) }, resident: { data: resident } }), DisposedError, /'data' was disposed/);
  plan.run('train', { symbols, inputs: { index: new Int32Array([0, 1]) }, resident: { data: other } });
  assert.equal([...(await s.readState('weights'))], [12, 12, 12, 12]);
  s.dispose();
});

gpuTest('plans of one session share state and the arena, which grows', async (d) => {
  const s = d.createSession();
  const first = await s.load(linearPlan());
  first.run('predict', { symbols: { batch: 2 }, inputs: { x: x.subarray(0, 8) } });
  const base = linearPlan();
  const buffers = base.plan.buffers.map((b) => (b.kind === 'arena' ? { ...b, bytes: 4096 } : b));
  const second = await s.load({ ...base, plan: { ...base.plan, name: 'second', buffers } });
  assert.equal([...(await first.read('predict', 'y')).data], dot([1, 2, 3, 4], 2), 'results survive the growth');
  s.writeState('weights', new Float32Array([1, 1, 1, 1]));
  for (const p of [first, second]) {
    p.run('predict', { symbols: { batch: 2 }, inputs: { x: x.subarray(0, 8) } });
    assert.equal([...(await p.read('predict', 'y')).data], dot([1, 1, 1, 1], 2));
  }
  await rejects(first.read('predict', 'y'), ArgumentError, /another program has used since/);
  second.dispose();
  throws(() => second.run('predict'), DisposedError, /'second' was disposed/);
  first.run('predict', { symbols: { batch: 1 }, inputs: { x: x.subarray(0, 4) } });
  const clash = linearPlan();
  const state = clash.plan.state.map((t) => (t.name === 'steps' ? { ...t, dtype: 'float32' as const } : t));
  await rejects(s.load({ ...clash, plan: { ...clash.plan, state } }), ModelFormatError, /state 'steps' as float32\[\].*holds it as int32\[\]/);
  s.dispose();
});

gpuTest('names wrong arguments and stays usable', async (d) => {
  const s = d.createSession();
  const plan = await s.load(linearPlan());
  const inputs = { x: x.subarray(0, 8) };
  throws(() => plan.run('fit'), ArgumentError, /no program 'fit'; it has 'predict', 'train'/);
  throws(() => plan.run('predict', { inputs }), ArgumentError, /needs a value for symbol 'batch' \(1 to 64\)/);
  for (const bad of [0, 65, 1.5, Number.NaN])
    throws(() => plan.run('predict', { symbols: { batch: bad }, inputs }), ArgumentError, /'batch' must be an integer from 1 to 64/);
  throws(() => plan.run('predict', { symbols: { batch: 2 } }), ArgumentError, /input 'x' \(float32\[2,4\]\) is missing/);
  throws(() => plan.run('predict', { symbols: { batch: 3 }, inputs }), ArgumentError, /shape \[3,4\] has 12 elements, the data has 8/);
  throws(
    () => plan.run('predict', { symbols: { batch: 2 }, inputs: { x: new Int32Array(8) } }),
    ArgumentError,
    /float32 data must be a Float32Array, found Int32Array/,
  );
  throws(() => plan.run('predict', { symbols: { batch: 2 }, inputs: { ...inputs, z: x } }), ArgumentError, /no input 'z'; it has 'x'/);
  throws(() => plan.run('predict', { symbols: { batch: 2 }, inputs, repeat: 0 }), ArgumentError, /repeat/);
  const resident = s.upload('float32', [5, 8], data);
  throws(
    () => plan.run('train', { symbols: { batch: 1, rows: 10 }, inputs: { index: new Int32Array(1) }, resident: { data: resident } }),
    ArgumentError,
    /expected float32\[10,4\], found float32\[5,8\]/,
  );
  throws(() => s.writeState('weight', data), ArgumentError, /no state 'weight'; it has 'weights', 'steps'/);
  throws(() => s.writeState('weights', data), ArgumentError, /4 elements; 40 from element 0 on do not fit/);
  throws(() => s.upload('float32', [3, 4], data), ArgumentError, /12 elements, the data has 40/);
  await rejects(plan.read('predict', 'y'), ArgumentError, /has not run yet/);
  await rejects(plan.read('predict', 'z'), ArgumentError, /no output 'z'; it has 'y'/);
  plan.run('predict', { symbols: { batch: 2 }, inputs });
  assert.equal([...(await plan.read('predict', 'y')).data], dot([1, 2, 3, 4], 2));
  s.dispose();
});

gpuTest('bad kernels, limits and group counts are clear errors; equal sources share a pipeline', async (d) => {
  const s = d.createSession();
  const good = linearPlan();
  const made = d.counters.pipelinesCreated;
  await s.load(good);
  const again = await d.createSession().load(good);
  assert.ok(again.compiled === good);
  assert.ok(d.counters.pipelinesCreated - made <= 6);
  const wgsl = [...good.wgsl];
  wgsl[1] = wgsl[1]!.replace('var s = 0.0', 'var s = oops');
  await rejects(d.createSession().load({ ...good, wgsl }), RuntimeInternalError, /kernel 'predict\/dot': line \d+:\d+: unresolved value 'oops'/);
  await rejects(d.createSession().load(linearPlan({ requiredLimits: { maxBufferSize: 2 ** 40 } })), LimitError, /needs maxBufferSize 1099511627776/);
  const huge: CompiledPlan = linearPlan({ buffers: good.plan.buffers.map((b) => (b.kind === 'arena' ? { ...b, bytes: 2 ** 33 } : b)) });
  await rejects(d.createSession().load(huge), LimitError, /the largest are 'arena' \(arena, 8589934592 bytes\), 'io'/);
  const programs = good.plan.programs.map((p) => ({ ...p, steps: p.steps.map((t) => (t.kind === 'dispatch' ? { ...t, groups: [70000, 1, 1] as const } : t)) }));
  await rejects(d.createSession().load(linearPlan({ programs })), RuntimeInternalError, /'predict\/dot' \(predict\) is dispatched with 70000 x 1 x 1 groups/);
  await rejects(
    d.createSession().load(linearPlan({ target: 'wasm', wasm: { threads: false, relaxedSimd: false, scratchBytes: 0 } })),
    ModelFormatError,
    /module is missing/,
  );
  s.dispose();
});

gpuTest(
  'a lost device is an error of every later call, and a new device works',
  async (d) => {
    const s = d.createSession();
    const plan = await s.load(linearPlan());
    plan.run('predict', { symbols: { batch: 2 }, inputs: { x: x.subarray(0, 8) } });
    const pending = plan.read('predict', 'y');
    // The loss of a GPU, seen from here: the device is destroyed behind the runtime's back.
    d.gpu.destroy();
    await rejects(pending, DeviceLostError, /lost.*Open a new device/);
    throws(() => plan.run('predict', { symbols: { batch: 2 }, inputs: { x: x.subarray(0, 8) } }), DeviceLostError, /lost/);
    await rejects(s.finish(), DeviceLostError, /lost/);
    await rejects(s.readState('weights'), DeviceLostError, /lost/);
    s.dispose();
    const fresh = (await openSoftwareDevice())!;
    const t = fresh.createSession();
    const p = await t.load(linearPlan());
    p.run('predict', { symbols: { batch: 1 }, inputs: { x: x.subarray(0, 4) } });
    assert.equal([...(await p.read('predict', 'y')).data], dot([1, 2, 3, 4], 1));
    fresh.dispose();
    throws(() => fresh.createSession(), DisposedError, /disposed/);
    throws(() => p.run('predict'), DisposedError, /disposed/);
  },
  true,
);

gpuTest(
  'errors that WebGPU reports late come with the next finish, once',
  async (d) => {
    const s = d.createSession();
    d.gpu.createBuffer({ size: 64, usage: 0xffff });
    await rejects(s.finish(), Error, /WebGPU reported an error/);
    await s.finish();
    s.dispose();
  },
  true,
);

gpuTest(
  'create, run and dispose many times: no buffer is left',
  async (d) => {
    const alive = buffersAlive(d.gpu);
    for (let i = 0; i < 50; i++) {
      const s = d.createSession();
      const plan = await s.load(linearPlan());
      s.upload('float32', [10, 4], data);
      plan.run('predict', { symbols: { batch: 4 }, inputs: { x: x.subarray(0, 16) } });
      if (i % 10 === 0) assert.equal([...(await plan.read('predict', 'y')).data], dot([1, 2, 3, 4], 4));
      assert.ok(alive() > 0);
      s.dispose();
      s.dispose();
      assert.is(alive(), 0);
    }
  },
  true,
);

gpuTest(
  'a buffer above the binding limit is bound from its arguments on',
  async (d) => {
    const base = linearPlan();
    const shift = 130 * 2 ** 20;
    const move = (steps: readonly PlanStep[]): PlanStep[] =>
      steps.map((t) => {
        if (t.kind === 'loop') return { ...t, body: move(t.body) };
        const { args } = base.plan.kernels[t.kernel]!;
        return { ...t, offsets: t.offsets.map((o, i) => (t.buffers[args[i]!.binding] === 0 ? o + shift : o)) };
      });
    const plan = linearPlan({
      buffers: base.plan.buffers.map((b, i) => (i === 0 ? { ...b, bytes: shift + 32 } : b)),
      state: base.plan.state.map((t) => ({ ...t, offset: t.offset + shift })),
      programs: base.plan.programs.map((p) => ({
        ...p,
        outputs: p.outputs.map((o) => (o.buffer === 0 ? { ...o, offset: o.offset + shift } : o)),
        prepare: move(p.prepare),
        steps: move(p.steps),
      })),
    });
    const s = d.createSession();
    const loaded = await s.load(plan);
    loaded.run('train', { symbols: { batch: 1, rows: 10 }, inputs: { index: new Int32Array([1]) }, resident: { data: s.upload('float32', [10, 4], data) } });
    assert.equal([...(await s.readState('weights'))], [25, 32, 39, 46]);
    loaded.run('predict', { symbols: { batch: 2 }, inputs: { x: x.subarray(0, 8) } });
    assert.equal([...(await loaded.read('predict', 'y')).data], dot([25, 32, 39, 46], 2));
    s.dispose();
  },
  { requiredLimits: {} },
);

gpuTest('limits: the largest buffers by default, or what is asked for', async (d) => {
  assert.ok(d.limits.maxBufferSize >= 2 ** 28 && d.limits.maxStorageBufferBindingSize >= 2 ** 27);
  assert.is(d.limits.maxStorageBuffersPerShaderStage, 8);
  const plain = (await openSoftwareDevice({ requiredLimits: {} }))!;
  assert.equal([plain.limits.maxBufferSize, plain.limits.maxStorageBufferBindingSize], [2 ** 28, 2 ** 27]);
  await rejects(
    plain.createSession().load(linearPlan({ requiredLimits: { maxStorageBufferBindingSize: 2 ** 28 } })),
    LimitError,
    /needs maxStorageBufferBindingSize 268435456, this device was opened with 134217728/,
  );
  plain.dispose();
  await rejects(
    openWebGpuDevice({ software: true, requiredLimits: { maxBufferSize: 2 ** 50 } }),
    LimitError,
    /offers maxBufferSize \d+, 1125899906842624 is needed/,
  );
  await rejects(openWebGpuDevice({ software: true, requiredLimits: { maxBuffers: 1 } }), LimitError, /no limit 'maxBuffers'/);
});

gpuTest('half precision state travels as float32', async (d) => {
  const s = d.createSession();
  const base = linearPlan();
  const values = [1.5, -2, 65504, 6e-8, 1 / 3];
  const state = [
    ...base.plan.state,
    { name: 'half', dtype: 'float16' as const, shape: [5], buffer: 0, offset: 20, trainable: false, views: [], initial: null },
  ];
  await s.load(linearPlan({ state }));
  s.writeState('half', new Float32Array(values));
  const read = Array.from((await s.readState('half')) as Float32Array);
  assert.equal(read.slice(0, 3), [1.5, -2, 65504]);
  assert.ok(Math.abs(read[3]! - 2 ** -24) < 1e-12 && Math.abs(read[4]! - 1 / 3) < 2e-4);
  s.dispose();
});

test.after(() => device?.dispose());
test.run();
