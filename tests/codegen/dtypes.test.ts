/**
 * Every family of ops in every element type, compiled for WASM and for WebGPU, beside the reference evaluation: integers exactly, with values at the ends of their ranges (64-bit
 * ones on WebGPU within 32 bits); floats to the precision of their type. Results leave in their own type.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compile } from '../../codegen/compile.js';
import { wasmTarget, webgpuTarget } from '../../codegen/target.js';
import { GraphBuilder } from '../../ir/builder.js';
import { type DType, dtypes, isFloat, isInteger, isUnsigned, isWide, limitsOf } from '../../ir/dtype.js';
import { UnsupportedError, ValueError } from '../../ir/errors.js';
import { toHost } from '../../ir/evaluate.js';
import type { Graph, Value } from '../../ir/graph.js';
import { convolution } from '../../ir/math.js';
import { type UnaryFunction, unaryFunctions } from '../../ir/op-attrs.js';
import { roundFloat } from '../../ir/ops/loops.js';
import { scan } from '../../ir/subgraph.js';
import { type TensorData, tensorData } from '../../ir/tensor-data.js';
import type { Device } from '../../runtime/device.js';
import { openWasmDevice } from '../../runtime/wasm/device.js';
import { type Arrays, deviation, runOnDevice, runReference } from '../support/run-graph.js';
import { openSoftwareDevice } from '../support/webgpu.js';

interface Case {
  readonly name: string;
  readonly build: (b: GraphBuilder, x: Record<string, Value>) => Value;
}

/** Deterministic noise in [0, 1). */
function noise(seed: number): () => number {
  let s = seed;
  return () => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return s / 4294967296;
  };
}

/** Elements of a type; `wild` integers go to the ends of the range, floats are then any number. */
function data(dtype: DType, shape: readonly number[], seed: number, kind: 'small' | 'wild' | 'positive' | 'unit', on: 'wasm' | 'webgpu'): TensorData {
  const r = noise(seed);
  const n = shape.reduce((a, d) => a * d, 1);
  const one = (): number => {
    const u = r();
    if (dtype === 'bool') return u < 0.5 ? 0 : 1;
    if (isFloat(dtype)) return roundFloat(dtype, kind === 'unit' ? u * 1.8 - 0.9 : kind === 'positive' ? 0.25 + 3 * u : (u - 0.5) * (kind === 'wild' ? 60 : 4));
    const low = isUnsigned(dtype) || kind === 'positive' ? 1 : -6;
    return Math.floor(low + u * (7 - low));
  };
  const values: (number | bigint)[] = Array.from({ length: n }, one);
  if (kind === 'wild' && isInteger(dtype)) {
    const { lowest, highest } = limitsOf(isWide(dtype) && on === 'webgpu' ? (dtype === 'int64' ? 'int32' : 'uint32') : dtype);
    values[0] = lowest;
    values[n - 1] = highest;
    if (isWide(dtype) && on === 'wasm') values[1] = 2n ** 53n + 1n;
  }
  return tensorData(
    dtype,
    shape,
    isWide(dtype) ? values.map((v) => (typeof v === 'bigint' ? v : BigInt.asIntN(64, BigInt(Math.trunc(v))))) : values.map(Number),
  );
}

const limited: Partial<Record<UnaryFunction, 'positive' | 'unit'>> = {
  log: 'positive',
  log1p: 'positive',
  sqrt: 'positive',
  rsqrt: 'positive',
  reciprocal: 'positive',
  acosh: 'positive',
  tan: 'unit',
  asin: 'unit',
  acos: 'unit',
  atanh: 'unit',
};

function casesOf(dtype: DType, on: 'wasm' | 'webgpu'): Case[] {
  const number = dtype !== 'bool';
  const integer = isInteger(dtype);
  const wildOps = !(isWide(dtype) && on === 'webgpu');
  const a = (x: Record<string, Value>): Value => (wildOps ? x.wild! : x.a!);
  const cases: Case[] = [
    { name: 'identity', build: (_b, x) => x.wild! },
    { name: 'transpose', build: (b, x) => b.transpose(x.wild!, [1, 0]) },
    { name: 'slice', build: (b, x) => b.sliceAxis(x.wild!, 1, 1, 4) },
    { name: 'pad', build: (b, x) => b.pad(x.wild!, [1, 0], [0, 2], 1) },
    { name: 'concat', build: (b, x) => b.concat([x.wild!, x.a!], 0) },
    { name: 'reverse', build: (b, x) => b.reverse(x.wild!, [1]) },
    { name: 'reshape', build: (b, x) => b.reshape(x.wild!, [5, 4]) },
    { name: 'gather', build: (b, x) => b.gather(x.wild!, x.index!, 1) },
    { name: 'select', build: (b, x) => b.select(x.mask!, x.wild!, x.a!) },
    { name: 'eq', build: (b, x) => b.compare('eq', x.a!, x.b!) },
    {
      name: 'scatter set',
      build: (b, x) => b.emit('scatter', [x.a!, x.index!, b.sliceAxis(x.b!, 1, 0, 3)], { axis: 1, fn: 'set' }),
    },
  ];
  for (const to of dtypes)
    if (to !== dtype)
      cases.push({
        name: `cast to ${to}`,
        build: (b, x) => b.cast(isFloat(dtype) ? (isUnsigned(to) ? x.positive! : x.a!) : isWide(dtype) || isWide(to) ? a(x) : x.wild!, to),
      });
  if (!number) {
    for (const fn of ['and', 'or', 'xor'] as const) cases.push({ name: fn, build: (b, x) => b.binary(fn, x.a!, x.b!) });
    cases.push({ name: 'any', build: (b, x) => b.reduce('any', x.a!, [1]) });
    return cases;
  }
  for (const fn of ['lt', 'ge'] as const) cases.push({ name: fn, build: (b, x) => b.compare(fn, x.wild!, x.a!) });
  for (const fn of ['add', 'sub', 'mul', 'max', 'min'] as const) cases.push({ name: fn, build: (b, x) => b.binary(fn, a(x), x.b!) });
  for (const fn of ['div', 'rem'] as const) cases.push({ name: fn, build: (b, x) => b.binary(fn, a(x), integer ? x.b! : x.positive!) });
  cases.push({ name: 'pow', build: (b, x) => b.binary('pow', x.positive!, x.small!) });
  for (const fn of ['neg', 'abs', 'sign'] as const) cases.push({ name: fn, build: (b, x) => b.unary(fn, a(x)) });
  if (integer) {
    for (const fn of ['and', 'or', 'xor'] as const) cases.push({ name: fn, build: (b, x) => b.binary(fn, a(x), x.b!) });
    for (const fn of ['shift_left', 'shift_right'] as const) cases.push({ name: fn, build: (b, x) => b.binary(fn, a(x), x.positive!) });
    cases.push({ name: 'bitwise_not', build: (b, x) => b.unary('bitwise_not', a(x)) });
  } else {
    for (const fn of unaryFunctions) {
      if (['neg', 'abs', 'sign', 'not', 'bitwise_not'].includes(fn)) continue;
      const kind = limited[fn] ?? 'small';
      cases.push({
        name: fn,
        build: (b, x) => b.unary(fn, kind === 'unit' ? x.unit! : kind === 'positive' ? (fn === 'acosh' ? b.add(x.positive!, 1) : x.positive!) : x.a!),
      });
    }
    cases.push({ name: 'atan2', build: (b, x) => b.binary('atan2', x.a!, x.b!) });
  }
  for (const fn of ['sum', 'prod', 'max', 'min'] as const) {
    cases.push({ name: `reduce ${fn}`, build: (b, x) => b.reduce(fn, fn === 'prod' ? x.b! : a(x), [1]) });
    cases.push({ name: `reduce ${fn} of columns`, build: (b, x) => b.reduce(fn, fn === 'prod' ? x.b! : a(x), [0]) });
    cases.push({
      name: `cumulative ${fn}`,
      build: (b, x) => b.emit('cumulative', [fn === 'prod' ? x.b! : a(x)], { fn, axis: 1, exclusive: !(isWide(dtype) && on === 'webgpu'), reverse: false }),
    });
    cases.push({
      name: `window ${fn}`,
      build: (b, x) =>
        b.emit('reduce_window', [x.b!], {
          fn,
          window: [2, 2],
          strides: [1, 1],
          padding: [
            [0, 0],
            [1, 0],
          ],
          baseDilation: [1, 1],
          windowDilation: [1, 1],
        }),
    });
  }
  cases.push({ name: 'long sum', build: (b, x) => b.sum(x.long!) });
  for (const fn of ['argmax', 'argmin'] as const) cases.push({ name: fn, build: (b, x) => b.emit('arg_reduce', [x.wild!], { fn, axis: 1 }) });
  for (const fn of ['add', 'max', 'min'] as const)
    cases.push({ name: `scatter ${fn}`, build: (b, x) => b.emit('scatter', [x.a!, x.index!, b.sliceAxis(x.b!, 1, 0, 3)], { axis: 1, fn }) });
  cases.push({ name: 'dot', build: (b, x) => b.matmul(x.a!, b.transpose(x.b!, [1, 0])) });
  cases.push({ name: 'larger dot', build: (b, x) => b.matmul(x.left!, x.right!) });
  cases.push({ name: 'conv', build: (b, x) => convolution(b, x.image!, x.kernel!, { padding: 'same' }) });
  cases.push({ name: 'iota', build: (b) => b.iota([3, 5], 1, dtype) });
  cases.push({ name: 'constant', build: (b, x) => b.add(x.a!, b.constant(data(dtype, [4, 5], 77, 'small', on))) });
  cases.push({
    name: 'large constant',
    build: (b, x) =>
      b.sliceAxis(
        b.add(b.constant(data(dtype, [300, 220], 78, 'small', on)), b.broadcastTo(b.sliceAxis(b.sliceAxis(x.a!, 0, 0, 1), 1, 0, 1), [300, 220])),
        0,
        7,
        9,
      ),
  });
  cases.push({
    name: 'scan',
    build: (b, x) =>
      scan(b, { carries: [b.reshape(b.sliceAxis(x.b!, 0, 0, 1), [5])], xs: [x.a!] }, (s, [c], [row]) => ({ carries: [s.add(c!, row!)], ys: [c!] })).ys[0]!,
  });
  const same = dtypes.filter((t) => t !== dtype && t !== 'bool' && { float16: 2, bfloat16: 2, int16: 2, uint16: 2 }[t as 'int16'] !== undefined);
  if (same.length > 0 && ['float16', 'bfloat16', 'int16', 'uint16'].includes(dtype))
    for (const to of same) cases.push({ name: `bitcast to ${to}`, build: (b, x) => b.bitcast(isFloat(to) ? x.positive! : x.a!, to) });
  return cases;
}

/** Types that kernels compute in on both devices have a test of their own (primitives.test.ts): only their casts are left. */
const computed: readonly DType[] = ['float32', 'int32', 'uint32', 'bool'];
/** On WebGPU, types that share all but their wrapping with another one are not taken through everything. */
const alike: readonly DType[] = ['bfloat16', 'int16', 'uint16', 'uint64'];
const telling = /^(identity|cast|bitcast|add|mul|neg|reduce|window max|cumulative max|dot|larger dot|conv|large constant|scan|pow)/;

const chosenCases = (dtype: DType, on: 'wasm' | 'webgpu'): Case[] =>
  casesOf(dtype, on).filter((c) =>
    computed.includes(dtype) ? c.name.startsWith('cast') : !(on === 'webgpu' && alike.includes(dtype)) || telling.test(c.name),
  );

const inputShapes: Record<string, readonly [readonly number[], 'small' | 'wild' | 'positive' | 'unit']> = {
  a: [[4, 5], 'small'],
  b: [[4, 5], 'small'],
  wild: [[4, 5], 'wild'],
  positive: [[4, 5], 'positive'],
  small: [[4, 5], 'positive'],
  unit: [[4, 5], 'unit'],
  long: [[40, 50], 'small'],
  left: [[17, 33], 'small'],
  right: [[33, 19], 'small'],
  image: [[2, 5, 6, 3], 'small'],
  kernel: [[3, 3, 3, 4], 'small'],
};

function graphOf(cases: readonly Case[], dtype: DType, on: 'wasm' | 'webgpu'): { graph: Graph; inputs: Arrays } {
  const b = new GraphBuilder('dtypes');
  const values: Record<string, Value> = {};
  const inputs: Arrays = {};
  Object.entries(inputShapes).forEach(([name, [shape, kind]], i) => {
    inputs[name] = data(dtype, shape, 10 + i, kind, on);
    values[name] = b.input(name, dtype, shape);
  });
  inputs.index = tensorData('int32', [3], [4, 0, 2]);
  inputs.mask = data('bool', [4, 5], 5, 'small', on);
  values.index = b.input('index', 'int32', [3]);
  values.mask = b.input('mask', 'bool', [4, 5]);
  for (const [i, c] of cases.entries()) b.output(`${i}`, c.build(b, values));
  return { graph: b.build(), inputs };
}

const tolerance: Partial<Record<DType, readonly [number, number]>> = {
  float64: [1e-12, 1e-13],
  float32: [3e-5, 3e-5],
  float16: [3e-3, 3e-3],
  bfloat16: [2e-2, 2e-2],
};

async function problemsOf(cases: readonly Case[], dtype: DType, device: Device): Promise<string[]> {
  const { graph, inputs } = graphOf(cases, dtype, device.info.kind);
  try {
    const found = await runOnDevice(graph, { inputs }, device);
    const expected = runReference(graph, { inputs });
    return cases.flatMap((c, i) => {
      const got = found.outputs[i]!;
      const want = toHost(expected.outputs[i]!);
      if (got.data.constructor !== want.data.constructor) return [`${c.name}: a ${got.data.constructor.name}, expected a ${want.data.constructor.name}`];
      // On WebGPU float64 is computed in float32.
      const computed = (t: DType): DType => (t === 'float64' && device.info.kind === 'webgpu' ? 'float32' : t);
      const loosest = isFloat(want.dtype) && want.dtype !== 'float64' ? want.dtype : isFloat(dtype) ? computed(dtype) : computed(want.dtype);
      const [rtol, atol] = isFloat(dtype) || isFloat(want.dtype) ? (tolerance[loosest] ?? [1e-6, 0]) : [0, 0];
      // A number of a type that rounds differs by one unit at most when it is cast to an integer.
      // On WebGPU 64-bit integers are computed modulo 2^32.
      const low = (v: number | bigint): number | bigint => (typeof v === 'bigint' && device.info.kind === 'webgpu' ? BigInt.asIntN(32, v) : v);
      const same = isFloat(want.dtype)
        ? deviation(got, want, rtol, atol) <= 1
        : Array.from<number | bigint>(got.data).every((v, k) => low(v) === low(want.data[k]!));
      return same ? [] : [`${c.name}: ${Array.from<number | bigint>(got.data).slice(0, 20)}, expected ${Array.from<number | bigint>(want.data).slice(0, 20)}`];
    });
  } catch (e) {
    if (cases.length === 1) return [`${cases[0]!.name}: ${(e as Error).stack!.split('\n').slice(0, 5).join(' | ')}`];
    const alone: string[] = [];
    for (const c of cases) alone.push(...(await problemsOf([c], dtype, device)));
    return alone.length > 0 ? alone : [`together only: ${(e as Error).stack}`];
  }
}

async function check(device: Device, types: readonly DType[]): Promise<void> {
  const problems: string[] = [];
  for (const dtype of types) for (const p of await problemsOf(chosenCases(dtype, device.info.kind), dtype, device)) problems.push(`${dtype} ${p}`);
  assert.is(problems.join('\n'), '');
}

test('all element types on WASM', async () => {
  const device = await openWasmDevice({ threads: 1 });
  try {
    await check(device, dtypes);
  } finally {
    device.dispose();
  }
});

test('all element types on WebGPU', async () => {
  const device = await openSoftwareDevice();
  if (!device) return;
  try {
    await check(device, dtypes);
  } finally {
    device.dispose();
  }
});

test('float64 on WebGPU: in float32 with one warning that names the first, or refused', async () => {
  const graph = (): Graph => {
    const b = new GraphBuilder('double');
    const wide = b.withOrigin('scale', () => b.cast(b.input('x', 'float32', [2]), 'float64'));
    const moved = b.add(b.mul(wide, b.input('k', 'float64', [2])), b.stateSlot('s', 'float64', [2], { initial: tensorData('float64', [2], [0.5, 2 ** -40]) }));
    b.output(
      'y',
      b.withOrigin('mask', () => b.concat([moved, b.constant(tensorData('float64', [2], [1e300, -Infinity]))], 0)),
    );
    return b.build();
  };
  const warnings: string[] = [];
  const onWarning = (m: string): void => {
    warnings.push(m);
  };
  const compiled = compile({ main: graph(), again: graph() }, { target: webgpuTarget, onWarning });
  assert.equal(warnings, [
    "input 'k' is float64, which WebGPU does not have: it is computed in float32; 1e+300 of 'mask' became infinite (float64: 'refuse' makes this an error; the wasm device has float64)",
  ]);
  assert.throws(
    () => compile({ main: graph() }, { target: webgpuTarget, float64: 'refuse' }),
    (e: Error) => e instanceof UnsupportedError && e.message.includes("input 'k' is float64"),
  );
  const b = new GraphBuilder('bits');
  b.output(
    'y',
    b.withOrigin('raw', () => b.bitcast(b.input('x', 'float64', [2]), 'int64')),
  );
  assert.throws(
    () => compile({ main: b.build() }, { target: webgpuTarget, onWarning }),
    (e: Error) => e instanceof UnsupportedError && e.message.includes("bitcast of 'raw' wants the bits of float64"),
  );
  compile({ main: graph() }, { target: wasmTarget(1, false), onWarning: (m) => assert.unreachable(m) });
  const device = await openSoftwareDevice();
  if (!device) return;
  const session = device.createSession();
  const plan = await session.load(compiled);
  plan.run('main', { inputs: { x: Float32Array.of(1.5, 2), k: Float64Array.of(0.1, 1 / 3) } });
  const y = await plan.read('main', 'y');
  assert.is(y.dtype, 'float64');
  const f = Math.fround;
  assert.ok(Math.abs((y.data as Float64Array)[0]! - (1.5 * f(0.1) + 0.5)) < 1e-6);
  assert.equal(Array.from(y.data as Float64Array).slice(2), [Infinity, -Infinity]);
  session.writeState('s', Float64Array.of(1 / 3, 7));
  assert.equal(await session.readState('s'), Float64Array.of(f(1 / 3), 7));
  const data = session.upload('float64', [2], Float64Array.of(0.1, 2));
  data.dispose();
  session.dispose();
  device.dispose();
});

test('WebGPU refuses 64-bit integers that do not fit, and says where', async () => {
  const c = new GraphBuilder('wide');
  const x = c.input('x', 'int64', [2]);
  c.output(
    'y',
    c.withOrigin('offset', () => c.add(x, c.constant(tensorData('int64', [2], [1n, 5000000000n])))),
  );
  assert.throws(
    () => compile({ main: c.build() }, { target: webgpuTarget }),
    (e: Error) => e instanceof ValueError && e.message.includes("int64 value 5000000000 of 'offset' does not fit 32 bits"),
  );
  const device = await openSoftwareDevice();
  if (!device) return;
  const d = new GraphBuilder('upload');
  d.output('y', d.add(d.input('x', 'int64', [2]), 1));
  const session = device.createSession();
  const plan = await session.load(compile({ main: d.build() }, { target: webgpuTarget }));
  assert.throws(() => plan.run('main', { inputs: { x: BigInt64Array.of(1n, 5000000000n) } }), /int64 value 5000000000 of 'x' does not fit 32 bits on webgpu/);
  plan.run('main', { inputs: { x: BigInt64Array.of(1n, -3n) } });
  assert.equal((await plan.read('main', 'y')).data, BigInt64Array.of(2n, -2n));
  session.dispose();
  device.dispose();
});

test.run();
