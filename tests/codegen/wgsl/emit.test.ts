/** Emitted WGSL: text, validators, and results on a software adapter against the interpreter. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { operation } from '../../../codegen/kernel/evaluate.js';
import {
  add,
  binary,
  bitcast,
  cast,
  compare,
  constant,
  div,
  extract,
  f32,
  i32,
  load,
  mul,
  rem,
  select,
  sub,
  type UnaryFn,
  unary,
  variable,
  vector,
} from '../../../codegen/kernel/expr.js';
import type { TypedArray } from '../../../codegen/kernel/interpret.js';
import { assign, forLoop, type Kernel, letVar, mutable, type Stmt, store } from '../../../codegen/kernel/ir.js';
import { divideBy4 } from '../../../codegen/wgsl/access.js';
import { emitWgsl, type WgslLayout } from '../../../codegen/wgsl/emit.js';
import { floats, global, groupId, ints, kernel, localId, loopVar, mapKernel, matmulKernel, randomKernel, rowReduceKernel, run } from '../kernel/kernels.js';
import { complaints, missingValidators, openGpu, runOnGpu, separate, together } from './gpu.js';

const device = await openGpu();

const close = (a: TypedArray, b: TypedArray, tolerance: number): void => {
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i]!, b[i]!];
    const same = Object.is(x, y) || x === y || Math.abs(x - y) <= tolerance * Math.max(1, Math.abs(y));
    if (!same) throw new Error(`element ${i}: ${x} instead of ${y}`);
  }
};

/** Checks a kernel: clean in the interpreter, accepted by validators, and the same on the GPU with each layout. */
async function check(
  k: Kernel,
  args: readonly TypedArray[],
  symbols: Record<string, number> = {},
  tolerance = 1e-6,
  layouts: ((k: Kernel) => WgslLayout)[] = [separate, together],
): Promise<void> {
  const host = run(k, args, symbols);
  assert.equal(host.errors, []);
  for (const layout of layouts) {
    const text = emitWgsl(k, layout(k));
    assert.is(complaints(text), '', text);
    if (!device) continue;
    const got = await runOnGpu(device, k, layout(k), args, symbols);
    try {
      got.forEach((g, i) => close(g, host.args[i]!, tolerance));
    } catch (e) {
      throw new Error(`${(e as Error).message}\n${text}`);
    }
  }
}

test('a map of four elements a thread, as text', () => {
  assert.snapshot(
    emitWgsl(mapKernel(8, 32), separate(mapKernel(8, 32))),
    `// y = tanh(max(x * 0.5 + bias, 0))

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(3) var<uniform> block: array<vec4<u32>, 1>;

fn is_nan_4(x: vec4<f32>) -> vec4<bool> {
  return (bitcast<vec4<u32>>(x) & vec4<u32>(2147483647u)) > vec4<u32>(2139095040u);
}

fn exp_f32_4(x: vec4<f32>) -> vec4<f32> {
  return select(exp(x), x, is_nan_4(x));
}

fn tanh_f32_4(x: vec4<f32>) -> vec4<f32> {
  let t = abs(x);
  let t2 = x * x;
  let t3 = select(t, vec4<f32>(10.0), t > vec4<f32>(10.0));
  let t4 = 1.0 - 2.0 / (exp_f32_4(t3 + t3) + 1.0);
  return select(select(t4, -t4, x < vec4<f32>(0.0)), x * t2 * ((((-0.006096714 * t2 + 0.02099718) * t2 + -0.053850908) * t2 + 0.1333277) * t2 + -0.33333328) + x, t < vec4<f32>(0.625));
}

@compute @workgroup_size(64, 1, 1)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let group0 = i32(group.x);
  let local0 = i32(local.x);
  let at4_x = i32(block[0].x >> 2u);
  let at4_bias = i32(block[0].y >> 2u);
  let at4_y = i32(block[0].z >> 2u);
  let at = group0 * 64 + local0;
  let t = x[at4_x + at] * 0.5 + bias[at4_bias + (local0 & 7)];
  y[at4_y + at] = tanh_f32_4(select(t, vec4<f32>(0.0), t <= vec4<f32>(0.0)));
}
`,
  );
});

test('a tiled matmul, as text: vec4 staging, private arrays in registers, row addresses outside the loops', () => {
  assert.snapshot(
    emitWgsl(matmulKernel(32, 48, 64), separate(matmulKernel(32, 48, 64))),
    `// c[32,48] = a[32,64] @ b[64,48]

@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
@group(0) @binding(3) var<uniform> block: array<vec4<u32>, 1>;
var<workgroup> tile_a: array<vec4<f32>, 64>;
var<workgroup> tile_b: array<vec4<f32>, 64>;

@compute @workgroup_size(8, 8, 1)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let group0 = i32(group.x);
  let group1 = i32(group.y);
  let local0 = i32(local.x);
  let local1 = i32(local.y);
  let at4_a = i32(block[0].x >> 2u);
  let at4_b = i32(block[0].y >> 2u);
  let at_c = i32(block[0].z);
  var acc0: f32 = 0.0;
  var acc1: f32 = 0.0;
  var acc2: f32 = 0.0;
  var acc3: f32 = 0.0;
  let at = local0 + local1 * 8;
  let n = local0 >> 2u;
  let n2 = local0 & 3;
  let at2 = group1 * 256 + local1 * 32 + n * 16 + n2;
  let at3 = group0 * 4 + local1 * 24 + n * 12 + n2;
  let at4 = local1 * 32;
  let at5 = local0 * 2;
  for (var k0: i32 = 0; k0 < 4; k0 += 1) {
    tile_a[at] = a[at4_a + k0 * 4 + at2];
    tile_b[at] = b[at4_b + k0 * 192 + at3];
    workgroupBarrier();
    for (var kk: i32 = 0; kk < 16; kk += 1) {
      let at6 = kk + at4;
      let tile_a2 = tile_a[at6 >> 2u][at6 & 3];
      let at7 = kk * 16 + at5;
      let tile_b2 = tile_b[at7 >> 2u][at7 & 3];
      acc0 = tile_a2 * tile_b2 + acc0;
      let i = at7 + 1;
      let tile_b3 = tile_b[i >> 2u][i & 3];
      acc1 = tile_a2 * tile_b3 + acc1;
      let i2 = at6 + 16;
      let tile_a3 = tile_a[i2 >> 2u][i2 & 3];
      acc2 = tile_a3 * tile_b2 + acc2;
      acc3 = tile_a3 * tile_b3 + acc3;
    }
    workgroupBarrier();
  }
  let at8 = group0 * 16 + group1 * 768 + local0 * 2 + local1 * 96;
  c[at_c + at8] = acc0;
  c[at_c + at8 + 1] = acc1;
  c[at_c + at8 + 48] = acc2;
  c[at_c + at8 + 49] = acc3;
}
`,
  );
});

test('hand-made kernels run as the interpreter says', async () => {
  await check(mapKernel(12, 32), [floats(384, (i) => (i % 13) / 3 - 2), floats(32, (i) => i / 16 - 1), floats(384, () => 0)]);
  await check(rowReduceKernel(50, 8), [floats(400, (i) => ((i * 37) % 41) / 7), floats(8, () => 0)], { batch: 6 }, 1e-5);
  await check(matmulKernel(32, 48, 64), [floats(32 * 64, (i) => ((i * 7) % 11) - 5), floats(64 * 48, (i) => ((i * 5) % 13) - 6), floats(32 * 48, () => 0)]);
});

test('random kernels run as the interpreter says', async () => {
  for (let seed = 0; seed < 30; seed++) {
    const k = randomKernel(seed * 7919);
    const args = [floats(64, (i) => (i * 7) % 23), ints(64, (i) => (i * 29) % 64), floats(64, (i) => (i % 5) - 2)];
    const shared: WgslLayout = { bindings: [{ access: 'read' }, { access: 'read_write' }], argBinding: [1, 0, 1] };
    await check(k, args, { n: 5 }, 0, [seed % 2 ? separate : () => shared]);
  }
});

test('elementary functions are as accurate as float32 on the device, at special values too', async () => {
  if (!device) return;
  const fns: [UnaryFn, number, number, number][] = [
    ['exp', -20, 20, 3e-6],
    ['expm1', -5, 5, 1e-6],
    ['log', 0.001, 100, 1e-6],
    ['log1p', -0.9, 50, 1e-6],
    ['sin', -50, 50, 1e-6],
    ['cos', -50, 50, 1e-6],
    ['tan', -1.5, 1.5, 1e-6],
    ['asin', -1, 1, 1e-6],
    ['acos', -1, 1, 1e-6],
    ['atan', -20, 20, 1e-6],
    ['sinh', -10, 10, 3e-6],
    ['cosh', -10, 10, 3e-6],
    ['tanh', -12, 12, 1e-6],
    ['asinh', -50, 50, 1e-6],
    ['acosh', 1, 50, 1e-6],
    ['atanh', -0.99, 0.99, 1e-6],
    ['sigmoid', -80, 80, 1e-5],
    ['erf', -5, 5, 1e-6],
    ['round', -4, 4, 0],
    ['sign', -2, 2, 0],
    ['rsqrt', 0.01, 50, 1e-6],
  ];
  const n = 256;
  for (const lanes of [1, 4] as const) {
    const x = global('x', 'read', n * fns.length);
    const y = global('y', 'write', n * fns.length);
    const at = mul(add(mul(groupId(0, n / 64), i32(64)), localId(0, 64)), i32(lanes));
    const body: Stmt[] = fns.map(([fn], i) => store(y, add(at, i32(i * n)), unary(fn, load(x, add(at, i32(i * n)), lanes))));
    const k = kernel('functions', { args: [x, y], grid: [n / 64 / lanes, 1, 1], workgroupSize: [64, 1, 1], body });
    const input = floats(n * fns.length, (i) => {
      const [, lo, hi] = fns[Math.floor(i / n)]!;
      return lo + ((hi - lo) * (i % n)) / (n - 1);
    });
    assert.is(complaints(emitWgsl(k, separate(k))), '');
    const [, out] = await runOnGpu(device, k, separate(k), [input, floats(input.length, () => 0)]);
    fns.forEach(([fn, , , bound], f) => {
      const exact = operation(unary(fn, variable('v', 'let', 'f64')));
      for (let i = f * n; i < (f + 1) * n; i++) {
        const want = exact([input[i]!]) as number;
        const error = Math.abs(out![i]! - want) / Math.max(Math.abs(want), fn === 'sin' || fn === 'cos' || fn === 'log' || fn === 'acos' ? 1 : 1e-30);
        assert.ok(error <= bound || out![i] === want, `${fn}(${input[i]}) = ${out![i]} instead of ${want} (${lanes} lanes)`);
      }
    });
  }
});

test('infinities, NaN, minima, conversions and powers', async () => {
  const n = 12;
  const x = global('x', 'read', n);
  const outs = ['is_nan', 'is_inf', 'most', 'least', 'relu', 'to_int', 'to_uint', 'power', 'inf', 'half'].map((name) =>
    global(
      name,
      'write',
      n,
      name === 'to_int' ? 'i32' : name === 'to_uint' ? 'u32' : name.startsWith('is_') ? 'bool' : 'f32',
      name.startsWith('is_') ? 'bool32' : 'same',
    ),
  );
  const i = loopVar('i', n);
  const v = load(x, i);
  const w = load(x, rem(add(i, i32(1)), i32(n)));
  const values = [
    unary('is_nan', v),
    unary('is_inf', v),
    binary('max', v, w),
    binary('min', v, w),
    binary('max', v, f32(0)),
    cast(v, 'i32'),
    cast(v, 'u32'),
    binary('pow', v, f32(3)),
    select(compare('lt', v, f32(0)), constant(-Infinity, 'f32'), select(compare('gt', v, f32(1)), constant(Infinity, 'f32'), constant(NaN, 'f32'))),
    binary('pow', v, f32(-0.75)),
  ];
  const k = kernel('specials', {
    args: [x, ...outs],
    body: [
      forLoop(
        i,
        i32(0),
        i32(n),
        outs.map((m, o) => store(m, i, values[o]!)),
      ),
    ],
  });
  const input = Float32Array.of(0, 1.5, -2.5, NaN, Infinity, -Infinity, 3e9, -3e9, 5e9, 0.25, -1, 7);
  const args = [input, ...outs.map((m) => (m.scalar === 'f32' ? new Float32Array(n) : m.scalar === 'i32' ? new Int32Array(n) : new Uint32Array(n)))];
  // Fits the device's eight storage buffers only in one.
  await check(k, args, {}, 1e-6, [together]);
});

test('bytes are unpacked, bits and shifts are as in C, mixed types share a buffer', async () => {
  const n = 32;
  const [u, s, w, y, z] = [
    global('u', 'read', n, 'f32', 'u8'),
    global('s', 'read', n, 'i32', 'i8'),
    global('w', 'read', n, 'u32'),
    global('y', 'write', n),
    global('z', 'write', n, 'i32'),
  ];
  const [i, j] = [loopVar('i', n / 4), loopVar('j', n)];
  const at = mul(i, i32(4));
  const k = kernel('bytes', {
    args: [u, s, w, y, z],
    body: [
      forLoop(i, i32(0), i32(n / 4), [store(y, at, binary('add', load(u, at, 4), cast(load(s, at, 4), 'f32')))]),
      forLoop(j, i32(0), i32(n), [
        store(
          z,
          j,
          add(
            add(load(s, sub(i32(n - 1), j)), cast(load(u, sub(i32(n - 1), j)), 'i32')),
            bitcast(binary('xor', binary('shr', load(w, j), constant(3, 'u32')), binary('shl', load(w, j), constant(5, 'u32'))), 'i32'),
          ),
        ),
      ]),
    ],
  });
  const args = [
    Uint8Array.from({ length: n }, (_, a) => a * 8),
    Int8Array.from({ length: n }, (_, a) => a * 8 - 128),
    Uint32Array.from({ length: n }, (_, a) => Math.imul(a + 1, 2654435769) >>> 0),
    new Float32Array(n),
    new Int32Array(n),
  ];
  await check(k, args);
});

test('vectors: unaligned loads, lanes, while loops, shared subexpressions', async () => {
  const n = 32;
  const [x, y] = [global('x', 'read', n), global('y', 'read_write', n)];
  const [i, c, t, m] = [loopVar('i', 6), variable('c', 'mutable', 'i32', [0, 100]), variable('t', 'let', 'f32', undefined, 4), variable('m', 'mutable', 'f32')];
  const e = binary('mul', load(x, add(mul(i, i32(4)), i32(1)), 4), load(x, mul(i, i32(4)), 4));
  const k = kernel('lanes', {
    args: [x, y],
    body: [
      forLoop(i, i32(0), i32(6), [
        letVar(t, e),
        store(y, add(mul(i, i32(4)), i32(2)), vector([extract(t, 3), extract(t, 2), extract(t, 1), binary('add', extract(e, 0), extract(e, 3))])),
      ]),
      mutable(c, i32(0)),
      mutable(m, f32(0)),
      {
        kind: 'while',
        cond: compare('lt', div(mul(c, c), i32(3)), i32(20)),
        body: [assign(c, add(c, i32(1))), assign(m, binary('add', m, load(y, rem(c, i32(8)))))],
      },
      store(y, i32(0), m),
      store(y, i32(1), cast(c, 'f32')),
    ],
  });
  await check(k, [floats(n, (a) => a - 9), floats(n, () => 1)]);
});

test('float16 storage and arithmetic are accepted by the validators', () => {
  const [x, b, y] = [global('x', 'read', 256, 'f16'), global('b', 'read', 256), global('y', 'write', 256, 'f16')];
  const at = mul(localId(0, 64), i32(4));
  const v = binary('add', unary('tanh', load(x, at, 4)), binary('mul', constant(0.5, 'f16', 4), cast(load(b, at, 4), 'f16')));
  const k = kernel('half', { args: [x, b, y], workgroupSize: [64, 1, 1], body: [store(y, at, binary('max', v, constant(-Infinity, 'f16', 4)))] });
  const text = emitWgsl(k, separate(k));
  assert.match(text, /^enable f16;/m);
  assert.is(complaints(text), '');
});

test('constants of nested sums cannot be joined: 1 - x + 1e-7 keeps the small one', async () => {
  const [x, y] = [global('x', 'read', 16), global('y', 'write', 16)];
  const i = variable('at', 'let', 'i32', [0, 15]);
  const rest = variable('rest', 'let', 'f32');
  const k = kernel('sums', {
    args: [x, y],
    workgroupSize: [16, 1, 1],
    body: [letVar(i, localId(0, 16)), letVar(rest, sub(f32(1), load(x, i))), store(y, i, add(rest, f32(1e-7)))],
  });
  assert.match(emitWgsl(k, separate(k)), /rest \+ exact\(1e-7\)/);
  await check(k, [Float32Array.from({ length: 16 }, (_, n) => 1 - 2 ** -24 * n), new Float32Array(16)], {}, 1e-9);
});

test('text is the same for the same kernel, whatever was compiled before', () => {
  const first = emitWgsl(matmulKernel(32, 32, 32), separate(matmulKernel(32, 32, 32)));
  randomKernel(5);
  assert.is(emitWgsl(matmulKernel(32, 32, 32), separate(matmulKernel(32, 32, 32))), first);
});

test('multiples of 4 are recognised through sums, products, selects and aligned loops', () => {
  const [a, b] = [loopVar('a', 8), loopVar('b', 8)];
  assert.is(divideBy4(add(mul(a, i32(8)), i32(12))), add(mul(a, i32(2)), i32(3)));
  assert.is(divideBy4(add(mul(a, i32(8)), i32(2))), null);
  assert.is(divideBy4(b), null);
  assert.is(divideBy4(add(b, mul(a, i32(4))), new Set([b])), add(div(b, i32(4)), a));
  assert.is(divideBy4(select(compare('lt', a, b), mul(a, i32(4)), mul(b, i32(12)))), select(compare('lt', a, b), a, mul(b, i32(3))));
});

test.after(() => {
  if (missingValidators().length) console.log(`not installed, so not asked: ${missingValidators().join(', ')}`);
  device?.destroy();
});

test.run();
