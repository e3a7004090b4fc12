/** Element types in the reference evaluation: 64-bit integers exactly, narrow integers wrapping, short floats rounding, bits of every type; the text form of their constants. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder } from '../../ir/builder.js';
import { type DType, dtypes, hostArray, isFloat, isUnsigned, isWide, limitsOf, numbersOf, storageBytes, toWide, wideLimitsOf } from '../../ir/dtype.js';
import { UnsupportedError } from '../../ir/errors.js';
import { evaluate, toHost } from '../../ir/evaluate.js';
import type { Value } from '../../ir/graph.js';
import { scan } from '../../ir/subgraph.js';
import { type TensorData, tensorData } from '../../ir/tensor-data.js';
import { parse, print } from '../../ir/text.js';

const run = (inputs: readonly TensorData[], f: (b: GraphBuilder, ...v: Value[]) => Value): TensorData => {
  const b = new GraphBuilder('test');
  b.output('y', f(b, ...inputs.map((x, i) => b.input(`x${i}`, x.dtype, x.shape))));
  return toHost(evaluate(parse(print(b.build())), { inputs: Object.fromEntries(inputs.map((x, i) => [`x${i}`, x])) }).outputs.y!);
};
const list = (t: TensorData): (number | bigint)[] => Array.from<number | bigint>(t.data);
const i64 = (...data: (number | bigint)[]): TensorData => tensorData('int64', [data.length], data.map(BigInt));
const u64 = (...data: (number | bigint)[]): TensorData => tensorData('uint64', [data.length], data.map(BigInt));
const of = (dtype: DType, ...data: number[]): TensorData => tensorData(dtype, [data.length], data);
const [least, most] = wideLimitsOf('int64');

test('elementwise ops on int64 and uint64 are exact and wrap', () => {
  assert.equal(list(run([i64(most, 1, -7, least), i64(1, -3, 2, 1)], (b, x, y) => b.add(x, y))), [least, -2n, -5n, least + 1n]);
  assert.equal(list(run([i64(4294967297, -3), i64(4294967297, 5)], (b, x, y) => b.mul(x, y))), [BigInt.asIntN(64, 4294967297n ** 2n), -15n]);
  assert.equal(list(run([i64(-7, 7, 5), i64(2, -2, 0)], (b, x, y) => b.div(x, y))), [-3n, -3n, 0n]);
  assert.equal(list(run([i64(-7, 7), i64(3, -3)], (b, x, y) => b.binary('rem', x, y))), [-1n, 1n]);
  assert.equal(list(run([i64(3, -2, 2), i64(39, 63, -1)], (b, x, y) => b.pow(x, y))), [3n ** 39n, least, 0n]);
  assert.equal(list(run([u64(2n ** 64n - 1n, 5)], (b, x) => b.add(x, 1))), [0n, 6n]);
  assert.equal(list(run([u64(2n ** 63n, 5)], (b, x) => b.binary('shift_right', x, 1))), [2n ** 62n, 2n]);
  assert.equal(list(run([i64(least, 6)], (b, x) => b.binary('shift_right', x, 1))), [least / 2n, 3n]);
  assert.equal(list(run([i64(least + 1n, 3)], (b, x) => b.unary('abs', x))), [most, 3n]);
  assert.equal(list(run([i64(most, most - 1n)], (b, x) => b.compare('eq', x, b.broadcastTo(b.scalar(most, 'int64'), [2])))), [1, 0]);
  assert.equal(list(run([u64(2n ** 64n - 1n, 1), u64(1, 2)], (b, x, y) => b.compare('gt', x, y))), [1, 0]);
});

test('what moves, adds, multiplies or orders int64 elements is exact', () => {
  const x = tensorData('int64', [2, 3], [most, -1n, 2n ** 53n + 1n, least, 5n, -(2n ** 60n)]);
  assert.equal(list(run([x], (b, v) => b.transpose(v, [1, 0]))), [most, least, -1n, 5n, 2n ** 53n + 1n, -(2n ** 60n)]);
  assert.equal(list(run([x], (b, v) => b.sliceAxis(v, 1, 1, 3))), [-1n, 2n ** 53n + 1n, 5n, -(2n ** 60n)]);
  assert.equal(list(run([i64(most, 3)], (b, v) => b.pad(v, [1], [1], -7))), [-7n, most, 3n, -7n]);
  assert.equal(list(run([x, of('int32', 1, 0)], (b, v, i) => b.gather(v, i, 0))), [...list(x).slice(3), ...list(x).slice(0, 3)]);
  assert.equal(list(run([x], (b, v) => b.select(b.compare('gt', v, 0), v, 0))), [most, 0n, 2n ** 53n + 1n, 0n, 5n, 0n]);
  assert.equal(
    list(run([x], (b, v) => b.sum(v, [1]))),
    [BigInt.asIntN(64, most + 2n ** 53n), least + 5n - 2n ** 60n].map((v) => BigInt.asIntN(64, v)),
  );
  assert.equal(list(run([x], (b, v) => b.reduce('max', v, [0]))), [most, 5n, 2n ** 53n + 1n]);
  assert.equal(list(run([x], (b, v) => b.emit('arg_reduce', [v], { fn: 'argmin', axis: 1 }))), [1, 0]);
  assert.equal(list(run([i64(2n ** 60n, 1)], (b, v) => b.emit('cumulative', [v], { fn: 'max', axis: 0, exclusive: true, reverse: false }))), [
    least,
    2n ** 60n,
  ]);
  const a = tensorData('int64', [2, 2], [2n ** 33n, 3n, -1n, 7n]);
  const c = tensorData('int64', [2, 2], [2n ** 33n, 1n, 5n, -9n]);
  assert.equal(list(run([a, c], (b, p, q) => b.matmul(p, q))), [BigInt.asIntN(64, 2n ** 66n + 15n), 2n ** 33n - 27n, -(2n ** 33n) + 35n, -64n]);
  assert.equal(list(run([i64(most, 1, 1), of('int32', 2, 2), i64(5, most)], (b, t, i, u) => b.emit('scatter', [t, i, u], { axis: 0, fn: 'add' }))), [
    most,
    1n,
    BigInt.asIntN(64, most + 6n),
  ]);
  const sums = run([i64(most, 1, 1)], (b, v) => {
    const { carries } = scan(b, { carries: [b.scalar(0, 'int64')], xs: [v] }, (step, [total], [x]) => ({ carries: [step.add(total!, x!)], ys: [] }));
    return carries[0]!;
  });
  assert.equal(list(sums), [least + 1n]);
  assert.equal(list(run([i64(3, 5)], (b, v) => b.reduce('prod', v))), [15n]);
  assert.throws(
    () => run([i64(2n ** 40n, 2n ** 40n)], (b, v) => b.reduce('prod', v)),
    (e: Error) => e instanceof UnsupportedError && /prod of int64/.test(e.message),
  );
});

test('casts: floats truncate and saturate, integers wrap, short floats round to even', () => {
  assert.equal(list(run([of('float32', 1.9, -1.9, 1e20, Number.NaN)], (b, x) => b.cast(x, 'int64'))), [1n, -1n, most, 0n]);
  assert.equal(list(run([of('float32', -1.9, 300)], (b, x) => b.cast(x, 'uint64'))), [0n, 300n]);
  assert.equal(list(run([i64(2n ** 40n + 200n, -1)], (b, x) => b.cast(x, 'int8'))), [-56, -1]);
  assert.equal(list(run([i64(2n ** 40n + 70000n, -1)], (b, x) => b.cast(x, 'uint16'))), [4464, 65535]);
  assert.equal(list(run([i64(-1)], (b, x) => b.cast(x, 'uint64'))), [2n ** 64n - 1n]);
  assert.equal(list(run([i64(2n ** 53n + 1n)], (b, x) => b.cast(x, 'float64'))), [2 ** 53]);
  assert.equal(list(run([i64(0, 2n ** 40n)], (b, x) => b.cast(x, 'bool'))), [0, 1]);
  assert.equal(list(run([of('float32', 2049, 2051, 65520, 1e-8)], (b, x) => b.cast(b.cast(x, 'float16'), 'float32'))), [2048, 2052, Infinity, 0]);
  assert.equal(list(run([of('float32', 257, 259, 3.3895314e38)], (b, x) => b.cast(b.cast(x, 'bfloat16'), 'float32'))), [256, 260, Math.fround(3.3895314e38)]);
  assert.equal(list(run([of('int16', 32767)], (b, x) => b.add(x, 1))), [-32768]);
  assert.equal(list(run([of('uint16', 3)], (b, x) => b.sub(x, 4))), [65535]);
  assert.equal(list(run([of('uint8', 200, 100)], (b, x) => b.mul(x, 2))), [144, 200]);
});

test('bitcast sees the bits of every type, and its inverse gives them back', () => {
  assert.equal(list(run([of('float16', 1, -2, 2 ** -24, Infinity)], (b, x) => b.bitcast(x, 'uint16'))), [0x3c00, 0xc000, 1, 0x7c00]);
  assert.equal(list(run([of('bfloat16', 1, -2)], (b, x) => b.bitcast(x, 'uint16'))), [0x3f80, 0xc000]);
  assert.equal(list(run([of('float64', 1)], (b, x) => b.bitcast(x, 'int64'))), [0x3ff0000000000000n]);
  assert.equal(list(run([of('int8', -1)], (b, x) => b.bitcast(x, 'uint8'))), [255]);
  for (const from of dtypes)
    for (const to of dtypes) {
      if (from === 'bool' || to === 'bool' || storageBytes[from] !== storageBytes[to]) continue;
      const x = tensorData(from, [3], [1, 2, 100]);
      assert.equal(list(run([x], (b, v) => b.bitcast(b.bitcast(v, to), from))), list(x), `${from} as ${to}`);
    }
});

test('limits, host arrays and text of every dtype', () => {
  for (const dtype of dtypes) {
    const { lowest, highest } = limitsOf(dtype);
    assert.ok(lowest <= 0 && highest > 0);
    assert.is(isUnsigned(dtype) || dtype === 'bool', lowest === 0);
    const host = hostArray(dtype, [0, 1, 1]);
    assert.is(host.BYTES_PER_ELEMENT, isFloat(dtype) && storageBytes[dtype] === 2 ? 4 : dtype === 'bool' ? 1 : storageBytes[dtype]);
    assert.equal([...numbersOf(host)], [0, 1, 1]);
    for (const n of [3, 50]) {
      const b = new GraphBuilder('text');
      const values = Array.from({ length: n }, (_, i) => (isWide(dtype) ? i : dtype === 'bool' ? i % 2 : i));
      b.output('y', b.constant(tensorData(dtype, [n], values)));
      const text = print(b.build());
      assert.is(print(parse(text)), text);
      assert.equal(list(evaluate(parse(text), { inputs: {} }).outputs.y!), list(evaluate(b.build(), { inputs: {} }).outputs.y!));
    }
  }
  assert.is(toWide('int64', 2 ** 63), most);
  assert.is(toWide('uint64', -1), 0n);
  assert.throws(() => parse('graph "g"\n  %0 = constant() {value=uint64[1](-1)} : uint64[1]\n  output "y" = %0\n'), /does not fit uint64/);
});

test.run();
