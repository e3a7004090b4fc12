/** The WASM device: sessions, programs, state, data sets, threads and errors, on a plan written by hand. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ArgumentError, DeviceError, DisposedError, LimitError, ModelFormatError } from '../../runtime/errors.js';
import { openWasmDevice, type WasmDevice } from '../../runtime/wasm/device.js';
import { withSharing } from '../../runtime/wasm/engine.js';
import { canShareMemory, hasSimd } from '../../runtime/wasm/features.js';
import { Heap } from '../../runtime/wasm/heap.js';
import { wasmLinearPlan } from '../support/wasm-plan.js';

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

/** On one thread and on three. */
function deviceTest(name: string, body: (d: WasmDevice, plan: typeof wasmLinearPlan) => Promise<void>): void {
  for (const threads of [1, 3]) {
    test(`${name} (${threads === 1 ? 'one thread' : 'threads'})`, async () => {
      const d = await openWasmDevice({ threads });
      try {
        await body(d, (changes) => wasmLinearPlan(changes, threads > 1));
      } finally {
        d.dispose();
      }
    });
  }
}

deviceTest('predicts with prepared weights, at several batch sizes, and allocates nothing after the first run', async (d, linear) => {
  const s = d.createSession();
  const plan = await s.load(linear());
  plan.run('predict', { symbols: { batch: 64 }, inputs: { x } });
  const y = await plan.read('predict', 'y');
  assert.equal([y.dtype, y.shape, [...y.data]], ['float32', [64], dot([1, 2, 3, 4], 64)]);
  const before = { ...d.counters };
  plan.run('predict', { symbols: { batch: 3 }, inputs: { x: x.subarray(0, 12) } });
  const short = await plan.read('predict', 'y');
  assert.equal([short.shape, [...short.data]], [[3], dot([1, 2, 3, 4], 3)]);
  assert.is(d.counters.buffersCreated, before.buffersCreated);
  assert.is(d.counters.submits, before.submits + 1);
  assert.is(d.counters.dispatches, before.dispatches + 1, 'prepare steps are not run again');
});

deviceTest('prepares again after the host or another program wrote state', async (d, linear) => {
  const s = d.createSession();
  const plan = await s.load(linear());
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
});

deviceTest('trains: data set on the device, reversed loop, several runs in one call, state and bool outputs', async (d, linear) => {
  const s = d.createSession();
  const plan = await s.load(linear());
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
  assert.is(d.counters.buffersCreated, steady.buffersCreated);
  assert.is(d.counters.uploads, steady.uploads + 20, 'the indices only');
  const other = s.upload('float32', [10, 4], new Float32Array(40).fill(1));
  s.writeState('weights', new Float32Array(4));
  plan.run('train', { symbols, inputs: { index: new Int32Array([0, 1]) }, resident: { data: other } });
  assert.equal([...(await s.readState('weights'))], [6, 6, 6, 6]);
  resident.dispose();
  throws(() => plan.run('train', { symbols, inputs: { index: new Int32Array([0, 1]) }, resident: { data: resident } }), DisposedError, /'data' was disposed/);
  plan.run('train', { symbols, inputs: { index: new Int32Array([0, 1]) }, resident: { data: other } });
  assert.equal([...(await s.readState('weights'))], [12, 12, 12, 12]);
});

deviceTest('plans of one session share state and the arena, which grows', async (d, linear) => {
  const s = d.createSession();
  const first = await s.load(linear());
  first.run('predict', { symbols: { batch: 2 }, inputs: { x: x.subarray(0, 8) } });
  const buffers = linear().plan.buffers.map((b) => (b.kind === 'arena' ? { ...b, bytes: 1 << 20 } : b));
  const second = await s.load(linear({ name: 'second', buffers }));
  assert.equal([...(await first.read('predict', 'y')).data], dot([1, 2, 3, 4], 2), 'results survive the growth');
  s.writeState('weights', new Float32Array([1, 1, 1, 1]));
  for (let round = 0; round < 3; round++) {
    for (const p of [first, second]) {
      p.run('predict', { symbols: { batch: 64 }, inputs: { x } });
      assert.equal([...(await p.read('predict', 'y')).data], dot([1, 1, 1, 1], 64));
    }
  }
  await rejects(first.read('predict', 'y'), ArgumentError, /another program has used since/);
  second.dispose();
  throws(() => second.run('predict'), DisposedError, /'second' was disposed/);
  first.run('predict', { symbols: { batch: 64 }, inputs: { x } });
  assert.equal([...(await first.read('predict', 'y')).data], dot([1, 1, 1, 1], 64));
  const third = await s.load(linear({ name: 'third' }));
  third.run('predict', { symbols: { batch: 64 }, inputs: { x } });
  assert.equal([...(await third.read('predict', 'y')).data], dot([1, 1, 1, 1], 64));
  const state = linear().plan.state.map((t) => (t.name === 'steps' ? { ...t, dtype: 'float32' as const } : t));
  await rejects(s.load(linear({ state })), ModelFormatError, /state 'steps' as float32\[\].*holds it as int32\[\]/);
});

deviceTest('names wrong arguments and stays usable', async (d, linear) => {
  const s = d.createSession();
  const plan = await s.load(linear());
  const inputs = { x: x.subarray(0, 8) };
  throws(() => plan.run('fit'), ArgumentError, /no program 'fit'; it has 'predict', 'train'/);
  throws(() => plan.run('predict', { inputs }), ArgumentError, /needs a value for symbol 'batch' \(1 to 64\)/);
  for (const bad of [0, 65, 1.5, Number.NaN])
    throws(() => plan.run('predict', { symbols: { batch: bad }, inputs }), ArgumentError, /'batch' must be an integer from 1 to 64/);
  throws(() => plan.run('predict', { symbols: { batch: 3 }, inputs }), ArgumentError, /shape \[3,4\] has 12 elements, the data has 8/);
  throws(() => plan.run('predict', { symbols: { batch: 2 }, inputs: { ...inputs, z: x } }), ArgumentError, /no input 'z'; it has 'x'/);
  const resident = s.upload('float32', [5, 8], data);
  throws(
    () => plan.run('train', { symbols: { batch: 1, rows: 10 }, inputs: { index: new Int32Array(1) }, resident: { data: resident } }),
    ArgumentError,
    /expected float32\[10,4\], found float32\[5,8\]/,
  );
  throws(() => s.writeState('weights', data), ArgumentError, /4 elements; 40 from element 0 on do not fit/);
  await rejects(plan.read('predict', 'y'), ArgumentError, /has not run yet/);
  plan.run('predict', { symbols: { batch: 2 }, inputs });
  assert.equal([...(await plan.read('predict', 'y')).data], dot([1, 2, 3, 4], 2));
});

deviceTest('create, run and dispose many times; loads at once; runs while another plan loads', async (d, linear) => {
  for (let i = 0; i < 50; i++) {
    const s = d.createSession();
    const plan = await s.load(linear());
    plan.run('predict', { symbols: { batch: 64 }, inputs: { x } });
    const loading = Promise.all([s.load(linear({ name: 'b' })), s.load(linear({ name: 'c' }))]);
    plan.run('predict', { symbols: { batch: 64 }, inputs: { x } });
    assert.equal([...(await plan.read('predict', 'y')).data], dot([1, 2, 3, 4], 64));
    for (const p of await loading) {
      p.run('predict', { symbols: { batch: 64 }, inputs: { x } });
      assert.equal([...(await p.read('predict', 'y')).data], dot([1, 2, 3, 4], 64));
    }
    s.dispose();
    s.dispose();
    throws(() => plan.run('predict'), DisposedError, /disposed/);
  }
});

test('many small forks in a row give what one thread gives', async () => {
  const d = await openWasmDevice({ threads: 4 });
  const s = d.createSession();
  const plan = await s.load(wasmLinearPlan({}, true));
  const y = new Float32Array(64);
  for (let round = 0; round < 200; round++) {
    const batch = 1 + ((round * 7) % 64);
    s.writeState('weights', new Float32Array([round, 1, 2, 3]));
    plan.run('predict', { symbols: { batch }, inputs: { x: x.subarray(0, 4 * batch) }, repeat: 50 });
    y.set((await plan.read('predict', 'y')).data as Float32Array);
    assert.equal([...y.subarray(0, batch)], dot([round, 1, 2, 3], batch));
  }
  d.dispose();
});

test('modules take the memory there is: shared or not', async () => {
  const shared = wasmLinearPlan({}, true);
  const plain = wasmLinearPlan({}, false);
  for (const [threads, compiled] of [
    [1, shared],
    [2, plain],
  ] as const) {
    const d = await openWasmDevice({ threads });
    const p = await d.createSession().load(compiled);
    p.run('predict', { symbols: { batch: 64 }, inputs: { x } });
    assert.equal([...(await p.read('predict', 'y')).data], dot([1, 2, 3, 4], 64));
    d.dispose();
  }
  assert.throws(() => withSharing(new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]), true), /not one that Tenon made/);
  assert.ok(hasSimd() && canShareMemory());
});

test('plans that do not fit are refused by name', async () => {
  const d = await openWasmDevice({ threads: 1, relaxedSimd: 'off' });
  const s = d.createSession();
  await rejects(s.load(wasmLinearPlan({ wasm: { threads: false, relaxedSimd: true, scratchBytes: 0 } })), LimitError, /relaxed SIMD/);
  await rejects(s.load({ ...wasmLinearPlan(), wasm: null }), ModelFormatError, /module is missing/);
  const broken = wasmLinearPlan();
  broken.wasm!.fill(0xff, broken.wasm!.length - 40);
  await rejects(s.load(broken), ModelFormatError, /does not fit this host/);
  const p = await s.load(wasmLinearPlan());
  p.run('predict', { symbols: { batch: 1 }, inputs: { x: x.subarray(0, 4) } });
  await rejects(openWasmDevice({ threads: 0 }), ArgumentError, /threads must be an integer from 1/);
  d.dispose();
  throws(() => d.createSession(), DisposedError, /disposed/);
});

deviceTest('a kernel that fails is an error that names the program', async (d, linear) => {
  const s = d.createSession();
  // A kernel that the module does not have.
  const plan = await s.load(linear({ kernels: linear().plan.kernels.map((k) => (k.name === 'predict/dot' ? { ...k, code: 99 } : k)) }));
  throws(() => plan.run('predict', { symbols: { batch: 64 }, inputs: { x } }), DeviceError, /program 'predict' failed: .*table index/);
});

test('the heap reuses and joins what is released, aligned and zeroed', () => {
  const h = new Heap(false);
  const [a, b, c] = [h.allocate(100, 'a'), h.allocate(5000, 'b'), h.allocate(1, 'c')];
  assert.ok([a, b, c].every((r) => r.address % 64 === 0 && r.address >= 65536));
  assert.ok(a.address + a.bytes <= b.address && b.address + b.bytes <= c.address);
  h.bytes.fill(255, a.address, a.address + a.bytes);
  h.release(a);
  h.release(b);
  const d = h.allocate(5100, 'd');
  assert.is(d.address, a.address, 'the two ranges have become one');
  assert.ok(h.bytes.subarray(d.address, d.address + 100).every((v) => v === 0));
  const big = h.allocate(10 << 20, 'big');
  assert.ok(big.address + big.bytes <= h.bytes.length);
  assert.throws(() => h.allocate(8 * 2 ** 30, 'a huge tensor'), /a huge tensor needs 8589934592 bytes/);
});

test.run();
