/** Kernel IR to WASM: every construct against small expectations by hand. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as E from '../../../codegen/kernel/expr.js';
import { interpret, type TypedArray } from '../../../codegen/kernel/interpret.js';
import * as K from '../../../codegen/kernel/ir.js';
import { emitKernel } from '../../../codegen/wasm/emit.js';
import { moduleBytes, runKernel } from './run.js';

const memory = (name: string, access: K.Memory['access'], size: number, scalar: E.Scalar = 'f32', more: Partial<K.Memory> = {}): K.Memory => ({
  name,
  space: 'global',
  scalar,
  storage: scalar === 'bool' ? 'bool32' : 'same',
  access,
  size,
  ...more,
});
const kernel = (args: K.Memory[], body: K.Stmt[], more: Partial<K.Kernel> = {}): K.Kernel => ({
  name: 'k',
  notes: [],
  args,
  symbols: [],
  grid: [1, 1, 1],
  workgroupSize: [1, 1, 1],
  locals: [],
  body,
  ...more,
});
const i = E.i32;

/** Gives what expressions of lanes 1 or 4 over inputs come to. */
function values(
  scalar: E.Scalar,
  lanes: E.Lanes,
  inputs: readonly TypedArray[],
  inputScalars: readonly E.Scalar[],
  make: (...xs: E.Expr[]) => E.Expr,
): TypedArray {
  const mems = inputs.map((a, n) => memory(`x${n}`, 'read', a.length, inputScalars[n]));
  const n = inputs[0]!.length;
  const out = memory('out', 'write', n, scalar);
  const result: TypedArray =
    scalar === 'f32' ? new Float32Array(n) : scalar === 'f64' ? new Float64Array(n) : scalar === 'i32' ? new Int32Array(n) : new Uint32Array(n);
  const v = E.variable('v', 'loop', 'i32', [0, n - lanes]);
  const body = [K.forLoop(v, i(0), i(n), [K.store(out, v, make(...mems.map((m) => E.load(m, v, lanes))))], { step: lanes })];
  runKernel(kernel([...mems, out], body), [...inputs, result]);
  return result;
}
const f = (...xs: number[]): Float32Array => Float32Array.from(xs);
const s = (...xs: number[]): Int32Array => Int32Array.from(xs);
const u = (...xs: number[]): Uint32Array => Uint32Array.from(xs);
const nan = Number.NaN;

/** The same on scalars and on vectors. */
function both(
  expected: readonly number[],
  scalar: E.Scalar,
  inputs: readonly TypedArray[],
  inputScalars: readonly E.Scalar[],
  make: (...xs: E.Expr[]) => E.Expr,
): void {
  for (const lanes of [1, 4] as const)
    assert.equal(
      [...values(scalar, lanes, inputs, inputScalars, make)],
      [...expected].map((x) => (scalar === 'f32' ? Math.fround(x) : x)),
      `${lanes} lanes`,
    );
}

test('float operations', () => {
  const x = f(1.5, -2.5, nan, 0);
  const y = f(2, 4, 1, nan);
  const one = (fn: E.UnaryFn, expected: number[]): void => both(expected, 'f32', [x], ['f32'], (a) => E.unary(fn, a));
  one('neg', [-1.5, 2.5, nan, -0]);
  one('abs', [1.5, 2.5, nan, 0]);
  one('floor', [1, -3, nan, 0]);
  one('ceil', [2, -2, nan, 0]);
  one('round', [2, -2, nan, 0]);
  one('trunc', [1, -2, nan, 0]);
  one('sign', [1, -1, nan, 0]);
  both([2, 3, nan, 0], 'f32', [f(4, 9, -1, 0)], ['f32'], (a) => E.unary('sqrt', a));
  both([0.5, 0.25, 1, Number.POSITIVE_INFINITY], 'f32', [f(4, 16, 1, 0)], ['f32'], (a) => E.unary('rsqrt', a));
  const two = (fn: E.BinaryFn, expected: number[]): void => both(expected, 'f32', [x, y], ['f32', 'f32'], (a, b) => E.binary(fn, a, b));
  two('add', [3.5, 1.5, nan, nan]);
  two('sub', [-0.5, -6.5, nan, nan]);
  two('mul', [3, -10, nan, nan]);
  two('div', [0.75, -0.625, nan, nan]);
  two('min', [1.5, -2.5, nan, nan]);
  two('max', [2, 4, nan, nan]);
  both([1.5, 0, nan, 0], 'f32', [x], ['f32'], (a) => E.max(E.f32(0), a));
  both([0, -2.5, nan, 0], 'f32', [x], ['f32'], (a) => E.min(a, E.constant(0, 'f32', a.lanes)));
  both([4.5, 7.5, nan, nan], 'f32', [x, y, f(1.5, 17.5, 1, 1)], ['f32', 'f32', 'f32'], (a, b, c) => E.mad(a, b, c));
});

test('float comparisons, select, NaN and infinity', () => {
  const x = f(1, 2, 3, nan);
  const y = f(2, 2, 2, 2);
  const expect: Record<E.CompareFn, number[]> = { eq: [0, 1, 0, 0], ne: [1, 0, 1, 1], lt: [1, 0, 0, 0], le: [1, 1, 0, 0], gt: [0, 0, 1, 0], ge: [0, 1, 1, 0] };
  for (const fn of Object.keys(expect) as E.CompareFn[]) {
    both(expect[fn], 'bool', [x, y], ['f32', 'f32'], (a, b) => E.compare(fn, a, b));
    both(
      expect[fn].map((c) => (c ? 7 : 2)),
      'f32',
      [x, y],
      ['f32', 'f32'],
      (a, b) => E.select(E.compare(fn, a, b), E.f32(7), b),
    );
    both(expect[fn], 'i32', [x, y], ['f32', 'f32'], (a, b) => E.cast(E.compare(fn, a, b), 'i32'));
    both(expect[fn], 'f32', [x, y], ['f32', 'f32'], (a, b) => E.cast(E.compare(fn, a, b), 'f32'));
  }
  const odd = f(nan, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3);
  both([1, 0, 0, 0], 'bool', [odd], ['f32'], (a) => E.unary('is_nan', a));
  both([0, 1, 1, 0], 'bool', [odd], ['f32'], (a) => E.unary('is_inf', a));
});

test('integer operations', () => {
  const x = s(7, -7, 2147483647, 0);
  const y = s(2, 2, 3, 5);
  const two = (fn: E.BinaryFn, expected: number[]): void => both(expected, 'i32', [x, y], ['i32', 'i32'], (a, b) => E.binary(fn, a, b));
  two('add', [9, -5, -2147483646, 5]);
  two('sub', [5, -9, 2147483644, -5]);
  two('mul', [14, -14, 2147483645, 0]);
  two('div', [3, -3, 715827882, 0]);
  two('rem', [1, -1, 1, 0]);
  two('min', [2, -7, 3, 0]);
  two('max', [7, 2, 2147483647, 5]);
  two('and', [2, 0, 3, 0]);
  two('or', [7, -5, 2147483647, 5]);
  two('xor', [5, -5, 2147483644, 5]);
  two('shl', [28, -28, -8, 0]);
  two('shr', [1, -2, 268435455, 0]);
  both([14, -14, -2, 0], 'i32', [x], ['i32'], (a) => E.binary('shl', a, E.splat(i(1), a.lanes)));
  both([1, -1, 1, 0], 'i32', [x], ['i32'], (a) => E.unary('sign', a));
  both([7, 7, 2147483647, 0], 'i32', [x], ['i32'], (a) => E.unary('abs', a));
  both([-8, 6, -2147483648, -1], 'i32', [x], ['i32'], (a) => E.unary('bitnot', a));
  both([0, 1, 0, 0], 'bool', [x], ['i32'], (a) => E.compare('lt', a, E.splat(i(0), a.lanes)));
  const big = u(4294967295, 3000000000, 5, 0);
  const less = u(2, 3000000000, 6, 1);
  const unsigned = (fn: E.BinaryFn, expected: number[]): void => both(expected, 'u32', [big, less], ['u32', 'u32'], (a, b) => E.binary(fn, a, b));
  unsigned('div', [2147483647, 1, 0, 0]);
  unsigned('rem', [1, 0, 5, 0]);
  unsigned('max', [4294967295, 3000000000, 6, 1]);
  unsigned('min', [2, 3000000000, 5, 0]);
  unsigned('shr', [1073741823, 3000000000, 0, 0]);
  both([0, 1, 1, 1], 'bool', [big, less], ['u32', 'u32'], (a, b) => E.compare('le', a, b));
});

test('casts and bitcasts', () => {
  both([1, -2, 0, 2147483647], 'i32', [f(1.9, -2.9, nan, 1e20)], ['f32'], (a) => E.cast(a, 'i32'));
  both([1, 0, 0, 4294967295], 'u32', [f(1.9, -2.9, nan, 1e20)], ['f32'], (a) => E.cast(a, 'u32'));
  both([1, -2, 3, 0], 'f32', [s(1, -2, 3, 0)], ['i32'], (a) => E.cast(a, 'f32'));
  both([4294967295, 1, 2, 3], 'f32', [u(4294967295, 1, 2, 3)], ['u32'], (a) => E.cast(a, 'f32'));
  both([1, 1, 0, 1], 'bool', [f(1, -2, 0, nan)], ['f32'], (a) => E.cast(a, 'bool'));
  both([1, 0, 0, 1], 'bool', [s(3, 0, 0, -1)], ['i32'], (a) => E.cast(a, 'bool'));
  both([0x3f800000, 0, 0x40000000, 0xbf800000], 'u32', [f(1, 0, 2, -1)], ['f32'], (a) => E.bitcast(a, 'u32'));
  both([1, 0, 2, -1], 'f32', [u(0x3f800000, 0, 0x40000000, 0xbf800000)], ['u32'], (a) => E.bitcast(a, 'f32'));
  assert.equal([...values('f64', 1, [f(1.5, 2.5)], ['f32'], (a) => E.mul(E.cast(a, 'f64'), E.constant(3, 'f64')))], [4.5, 7.5]);
  assert.equal([...values('i32', 1, [f(1.5, 2.5)], ['f32'], (a) => E.cast(E.cast(a, 'f64'), 'i32'))], [1, 2]);
});

test('bool logic in bool32 storage', () => {
  const [x, y] = [u(0, 0, 1, 1), u(0, 1, 0, 1)];
  both([0, 0, 0, 1], 'bool', [x, y], ['bool', 'bool'], (a, b) => E.and(a, b));
  both([0, 1, 1, 1], 'bool', [x, y], ['bool', 'bool'], (a, b) => E.or(a, b));
  both([0, 1, 1, 0], 'bool', [x, y], ['bool', 'bool'], (a, b) => E.binary('xor', a, b));
  both([1, 1, 0, 0], 'bool', [x], ['bool'], (a) => E.unary('not', a));
  both([5, 5, 6, 6], 'i32', [x], ['bool'], (a) => E.select(a, i(6), i(5)));
  both([1, 0, 0, 1], 'bool', [x, y], ['bool', 'bool'], (a, b) => E.compare('eq', a, b));
});

test('packed bytes', () => {
  for (const [storage, data] of [
    ['u8', Uint8Array.from([0, 1, 128, 255])],
    ['i8', Int8Array.from([0, 1, -128, -1])],
  ] as const) {
    for (const scalar of ['f32', 'i32'] as const) {
      for (const lanes of [1, 4] as const) {
        const x = memory('x', 'read', 4, scalar, { storage });
        const out = memory('out', 'write', 4, scalar);
        const result = scalar === 'f32' ? new Float32Array(4) : new Int32Array(4);
        const v = E.variable('v', 'loop', 'i32', [0, 3]);
        runKernel(kernel([x, out], [K.forLoop(v, i(0), i(4), [K.store(out, v, E.load(x, v, lanes))], { step: lanes })]), [data, result]);
        assert.equal([...result], [...data], `${storage} as ${scalar}x${lanes}`);
      }
    }
  }
});

test('vectors: two lanes, splat, vector, extract', () => {
  const x = memory('x', 'read', 8);
  const out = memory('out', 'write', 8);
  const a = E.load(x, i(0), 2);
  const four = E.load(x, i(4), 4);
  const result = new Float32Array(8);
  runKernel(
    kernel(
      [x, out],
      [
        K.store(out, i(0), E.add(a, E.splat(E.load(x, i(3)), 2))),
        K.store(out, i(2), E.vector([E.extract(four, 3), E.extract(four, 0)])),
        K.store(out, i(4), E.vector([E.extract(four, 2), E.extract(four, 1), E.f32(9), E.extract(E.add(four, four), 3)])),
      ],
    ),
    [f(1, 2, 3, 4, 5, 6, 7, 8), result],
  );
  assert.equal([...result], [5, 6, 8, 5, 7, 6, 9, 16]);
  const mask = E.compare('gt', four, E.splat(E.f32(6), 4));
  const bits = memory('bits', 'write', 4, 'bool');
  const found = new Uint32Array(4);
  runKernel(kernel([x, bits], [K.store(bits, i(0), E.vector([E.extract(mask, 3), E.extract(mask, 0), E.truth(true), E.extract(mask, 1)]))]), [
    f(1, 2, 3, 4, 5, 6, 7, 8),
    found,
  ]);
  assert.equal([...found], [1, 0, 1, 0]);
});

test('loops: begin, step, empty, nested, unrolled, bounds from memory', () => {
  const n = memory('n', 'read', 2, 'i32');
  const out = memory('out', 'read_write', 64, 'i32');
  const v = E.variable('v', 'loop', 'i32', [3, 30]);
  const w = E.variable('w', 'loop', 'i32', [0, 3]);
  const at = E.variable('at', 'mutable', 'i32');
  const put = (x: E.Expr): K.Stmt[] => [K.store(out, at, x), K.assign(at, E.add(at, i(1)))];
  const run = (loop: K.Stmt, bounds: number[]): number[] => {
    const result = new Int32Array(64);
    runKernel(kernel([n, out], [K.mutable(at, i(1)), loop, K.store(out, i(0), at)]), [s(...bounds), result]);
    return [...result.subarray(1, result[0])];
  };
  assert.equal(run(K.forLoop(v, i(3), i(9), put(v), { step: 2 }), [0, 0]), [3, 5, 7]);
  assert.equal(run(K.forLoop(v, i(3), i(3), put(v)), [0, 0]), []);
  assert.equal(run(K.forLoop(v, i(3), i(4), put(E.mul(v, v))), [0, 0]), [9]);
  assert.equal(run(K.forLoop(v, i(3), i(9), put(E.mul(v, i(10))), { step: 4, unroll: true }), [0, 0]), [30, 70]);
  const [begin, end] = [E.load(n, i(0)), E.load(n, i(1))];
  assert.equal(run(K.forLoop(v, begin, end, put(v)), [5, 8]), [5, 6, 7]);
  assert.equal(run(K.forLoop(v, begin, end, put(v)), [8, 5]), []);
  assert.equal(run(K.forLoop(v, i(3), i(6), [K.forLoop(w, i(0), E.sub(v, i(3)), put(E.add(E.mul(v, i(10)), w)))]), [0, 0]), [40, 50, 51]);
});

test('a loop whose variable only forms addresses ends by comparing pointers', () => {
  // out[5 + 3 v - 6] for v = 2, 4, 6, ... with a symbolic end
  const x = memory('x', 'read', 100);
  const out = memory('out', 'write', 100);
  const n = E.symbolVar('n', 20);
  const v = E.variable('v', 'loop', 'i32', [2, 19]);
  const loop = K.forLoop(v, i(2), n, [K.store(out, E.sub(E.mul(v, i(3)), i(1)), E.load(x, E.sub(i(50), v)))], { step: 2 });
  const k = kernel([x, out], [loop], { symbols: ['n'] });
  const data = Float32Array.from({ length: 100 }, (_, j) => j);
  for (const bound of [1, 2, 3, 4, 9, 20]) {
    const result = new Float32Array(100);
    runKernel(k, [data, result], { n: bound });
    for (let j = 0; j < 100; j++)
      assert.is(result[j], (j + 1) % 6 === 0 && (j + 1) / 3 < bound && j > 0 ? 50 - (j + 1) / 3 : 0, `element ${j} for n = ${bound}`);
  }
});

test('negative constants and symbolic strides in addresses', () => {
  // A 3x3 sum over an image with a border of one, width w known at run time.
  const w = E.symbolVar('w', 16);
  const x = memory('x', 'read', 256);
  const out = memory('out', 'write', 256);
  const y = E.variable('y', 'loop', 'i32', [1, 14]);
  const c = E.variable('c', 'loop', 'i32', [1, 14]);
  const taps = [-1, 0, 1].flatMap((dy) => [-1, 0, 1].map((dx) => E.load(x, E.sum(E.mul(E.add(y, i(dy)), w), c, i(dx)))));
  const k = kernel(
    [x, out],
    [K.forLoop(y, i(1), E.sub(w, i(1)), [K.forLoop(c, i(1), E.sub(w, i(1)), [K.store(out, E.add(E.mul(y, w), c), E.sum(...taps))])])],
    { symbols: ['w'] },
  );
  const data = Float32Array.from({ length: 256 }, (_, j) => (j * 7) % 11);
  for (const width of [3, 4, 16]) {
    const expected = new Float32Array(256);
    assert.equal(interpret(k, [data, expected], { w: width }).errors, []);
    const result = new Float32Array(256);
    runKernel(k, [data, result], { w: width });
    assert.equal([...result], [...expected]);
  }
});

test('while, if and mutable variables', () => {
  // Collatz lengths
  const out = memory('out', 'write', 8, 'i32');
  const v = E.variable('v', 'loop', 'i32', [0, 7]);
  const n = E.variable('n', 'mutable', 'i32');
  const steps = E.variable('steps', 'mutable', 'i32');
  const body = [
    K.mutable(n, E.add(v, i(1))),
    K.mutable(steps, i(0)),
    {
      kind: 'while',
      cond: E.compare('ne', n, i(1)),
      body: [
        ...K.ifThen(E.compare('eq', E.binary('and', n, i(1)), i(0)), [K.assign(n, E.div(n, i(2)))], [K.assign(n, E.add(E.mul(n, i(3)), i(1)))]),
        K.assign(steps, E.add(steps, i(1))),
      ],
    } as K.Stmt,
    K.store(out, v, steps),
  ];
  const result = new Int32Array(8);
  runKernel(kernel([out], [K.forLoop(v, i(0), i(8), body)]), [result]);
  assert.equal([...result], [0, 1, 7, 2, 5, 8, 16, 3]);
});

test('values kept in a block are computed anew after assignments and stores', () => {
  const x = memory('x', 'read_write', 4);
  const a = E.variable('a', 'mutable', 'f32');
  const twice = E.add(E.load(x, i(0)), a);
  const out = memory('out', 'write', 4);
  const result = new Float32Array(4);
  runKernel(
    kernel(
      [x, out],
      [
        K.mutable(a, E.f32(1)),
        K.store(out, i(0), E.mul(twice, twice)),
        K.assign(a, E.f32(2)),
        K.store(out, i(1), twice),
        K.store(x, i(0), E.f32(10)),
        K.store(out, i(2), twice),
        ...K.ifThen(E.compare('gt', a, E.f32(1)), [K.assign(a, E.f32(5)), K.store(x, i(0), E.f32(20))]),
        K.store(out, i(3), twice),
      ],
    ),
    [f(3, 0, 0, 0), result],
  );
  assert.equal([...result], [16, 5, 12, 25]);
});

test('a branch not taken does not divide by zero', () => {
  const x = memory('x', 'read', 2, 'i32');
  const out = memory('out', 'write', 1, 'i32');
  const d = E.load(x, i(1));
  const result = new Int32Array([5]);
  runKernel(kernel([x, out], K.ifThen(E.compare('ne', d, i(0)), [K.store(out, i(0), E.div(E.load(x, i(0)), d))])), [s(1, 0), result]);
  assert.equal([...result], [5]);
});

test('groups: one, two and three dimensions', () => {
  const [gx, gy, gz] = [5, 3, 2];
  const g = [0, 1, 2].map((n) => E.variable(`group${n}`, 'group', 'i32', [0, 9])) as [E.VarExpr, E.VarExpr, E.VarExpr];
  const out = memory('out', 'write', 1000, 'i32');
  const index = E.sum(g[0], E.mul(g[1], i(10)), E.mul(g[2], i(100)));
  const result = new Int32Array(1000);
  runKernel(kernel([out], [K.store(out, index, E.add(index, i(1)))], { grid: [gx, gy, gz] }), [result]);
  for (let z = 0; z < 10; z++)
    for (let y = 0; y < 10; y++)
      for (let x = 0; x < 10; x++) assert.is(result[x + 10 * y + 100 * z], x < gx && y < gy && z < gz ? x + 10 * y + 100 * z + 1 : 0);
  const line = new Int32Array(1000);
  runKernel(kernel([out], [K.store(out, E.mul(g[0], i(3)), g[0])], { grid: [{ symbol: 'n' }, 1, 1], symbols: ['n'] }), [line], { n: 7 });
  assert.equal(
    [...line.subarray(0, 24)],
    Array.from({ length: 24 }, (_, j) => (j % 3 === 0 && j < 21 ? j / 3 : 0)),
  );
});

test('scratch memory: private and workgroup', () => {
  const p = memory('p', 'read_write', 5, 'f32', { space: 'private' });
  const q = memory('q', 'read_write', 4, 'i32', { space: 'workgroup' });
  const out = memory('out', 'write', 4);
  const v = E.variable('v', 'loop', 'i32', [0, 3]);
  const w = E.variable('w', 'loop', 'i32', [0, 3]);
  const k = kernel(
    [out],
    [
      K.forLoop(v, i(0), i(4), [K.store(p, v, E.cast(v, 'f32')), K.store(q, v, E.sub(i(3), v))]),
      K.barrier,
      K.forLoop(w, i(0), i(4), [K.store(out, w, E.load(p, E.load(q, w)))]),
    ],
    { locals: [p, q] },
  );
  const result = new Float32Array(4);
  runKernel(k, [result]);
  assert.equal([...result], [3, 2, 1, 0]);
  assert.is(emitKernel(k, { relaxedSimd: false }).scratchBytes, 48);
});

test('relaxed SIMD is used when asked for, and only then', () => {
  const x = memory('x', 'read', 4);
  const out = memory('out', 'read_write', 4);
  const k = kernel([x, out], [K.store(out, i(0), E.mad(E.load(x, i(0), 4), E.load(x, i(0), 4), E.load(out, i(0), 4)))]);
  const has = (b: Uint8Array): boolean => [...b.keys()].some((n) => b[n] === 0xfd && b[n + 1] === 0x85 && b[n + 2] === 2);
  assert.not(has(moduleBytes([k])));
  assert.ok(has(moduleBytes([k], true)));
});

test('what cannot be emitted is an error that names it', () => {
  const x = memory('x', 'read', 4);
  const out = memory('out', 'write', 4);
  assert.throws(() => moduleBytes([kernel([x, out], [K.store(out, i(0), E.unary('exp', E.load(x, i(0))))])]), /'exp' of f32x1 .*legalize/);
  assert.throws(() => moduleBytes([kernel([out], [K.store(out, i(0), E.load(x, i(0)))])]), /'x', which is not an argument/);
  assert.throws(() => moduleBytes([kernel([out], [K.store(out, E.symbolVar('n', 4), E.f32(0))])]), /symbol 'n'/);
  assert.throws(() => moduleBytes([kernel([out], [], { workgroupSize: [64, 1, 1] })]), /64x1x1/);
});

test.run();
