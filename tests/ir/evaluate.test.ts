/** Reference evaluation against values worked out by hand: the corners that the op documentation promises. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder } from '../../ir/builder.js';
import { addDim, mulDim, symbol } from '../../ir/dim.js';
import { type DType, numberAt, numbersOf } from '../../ir/dtype.js';
import { ShapeError, ValueError } from '../../ir/errors.js';
import { evaluate, toHost } from '../../ir/evaluate.js';
import type { Value } from '../../ir/graph.js';
import { convolution } from '../../ir/math.js';
import type { OpAttrs } from '../../ir/op-attrs.js';
import { scan, subgraph } from '../../ir/subgraph.js';
import { scalarData, type TensorData, tensorData } from '../../ir/tensor-data.js';

const t = (dtype: DType, shape: readonly number[], data: readonly number[]): TensorData => tensorData(dtype, shape, data);
const f32 = (...data: number[]): TensorData => t('float32', [data.length], data);
const i32 = (...data: number[]): TensorData => t('int32', [data.length], data);

function run(
  inputs: readonly TensorData[],
  f: (b: GraphBuilder, v: readonly Value[]) => Value | readonly Value[],
  precision: 'float64' | 'dtype' = 'float64',
): TensorData[] {
  const b = new GraphBuilder('test');
  const results = f(
    b,
    inputs.map((x, i) => b.input(`x${i}`, x.dtype, x.shape)),
  );
  const list = Array.isArray(results) ? (results as readonly Value[]) : [results as Value];
  for (const [i, v] of list.entries()) b.output(`y${i}`, v);
  const { outputs } = evaluate(b.build(), { inputs: Object.fromEntries(inputs.map((x, i) => [`x${i}`, x])), precision });
  return list.map((_, i) => outputs[`y${i}`]!);
}
const values = (...args: Parameters<typeof run>): number[] => [...numbersOf(run(...args)[0]!.data)];

test('integers wrap, divide toward zero and shift by their sign', () => {
  assert.equal(
    values([i32(2147483647, -2147483648, 65537), i32(1, -1, 65537)], (b, [x, y]) => b.add(x!, y!)),
    [-2147483648, 2147483647, 131074],
  );
  assert.equal(
    values([i32(65537, 123456789)], (b, [x]) => b.mul(x!, x!)),
    [131073, Math.imul(123456789, 123456789)],
  );
  assert.equal(
    values([i32(-7, 7), i32(2, -2)], (b, [x, y]) => b.div(x!, y!)),
    [-3, -3],
  );
  assert.equal(
    values([i32(-7, 7), i32(3, -3)], (b, [x, y]) => b.binary('rem', x!, y!)),
    [-1, 1],
  );
  assert.equal(
    values([i32(-8)], (b, [x]) => b.binary('shift_right', x!, 1)),
    [-4],
  );
  assert.equal(
    values([i32(-8)], (b, [x]) => b.binary('shift_right', b.cast(x!, 'uint32'), 1)),
    [2147483644],
  );
  assert.equal(
    values([i32(3, -2, 2), i32(4, 3, -1)], (b, [x, y]) => b.pow(x!, y!)),
    [81, -8, 0],
  );
  assert.equal(
    values([i32(1, 2, 300)], (b, [x]) => b.cast(x!, 'int8')),
    [1, 2, 44],
  );
});

test('casts truncate and saturate; round goes half to even', () => {
  assert.equal(
    values([f32(1.9, -1.9, 3e9, -3e9, Number.NaN)], (b, [x]) => b.cast(x!, 'int32')),
    [1, -1, 2147483647, -2147483648, 0],
  );
  assert.equal(
    values([f32(-1, 300)], (b, [x]) => b.cast(x!, 'uint8')),
    [0, 255],
  );
  assert.equal(
    values([f32(0, 0.5, Number.NaN)], (b, [x]) => b.cast(x!, 'bool')),
    [0, 1, 1],
  );
  assert.equal(
    values([f32(0.5, 1.5, 2.5, -0.5, -1.5, 2.4)], (b, [x]) => b.unary('round', x!)).map((x) => x + 0),
    [0, 2, 2, 0, -2, 2],
  );
  assert.equal(
    values([f32(1)], (b, [x]) => b.bitcast(x!, 'uint32')),
    [0x3f800000],
  );
});

test('NaN goes through max, min, reduce and arg_reduce, and stays in relu', () => {
  const x = f32(1, Number.NaN, 3);
  assert.ok(values([x], (b, [v]) => b.max(v!, 2)).map(Number.isNaN)[1]);
  assert.ok(Number.isNaN(values([x], (b, [v]) => b.reduce('max', v!))[0]));
  assert.equal(
    values([x], (b, [v]) => b.emit('arg_reduce', [v!], { fn: 'argmin', axis: 0 })),
    [1],
  );
  assert.equal(
    values([f32(2, 5, 5)], (b, [v]) => b.emit('arg_reduce', [v!], { fn: 'argmax', axis: 0 })),
    [1],
  );
  assert.equal(
    values([f32(-1, 0, 2)], (b, [v]) => b.relu(v!)),
    [0, 0, 2],
  );
  assert.ok(values([x], (b, [v]) => b.relu(v!)).map(Number.isNaN)[1]);
});

test('erf, sigmoid and friends have float64 accuracy', () => {
  const [y] = run([t('float64', [4], [0.5, -1, 3, 7])], (b, [x]) => b.unary('erf', x!));
  [0.5204998778130465, -0.8427007929497149, 0.9999779095030014, 1].forEach((e, i) => assert.ok(Math.abs(numberAt(y!.data, i) - e) < 1e-15));
  assert.equal(
    values([t('float64', [2], [-800, 800])], (b, [x]) => b.sigmoid(x!)),
    [0, 1],
  );
});

test('precision: float64 by default, each dtype on request', () => {
  assert.equal(
    values([f32(0.5)], (b, [x]) => b.add(x!, 2 ** -30)),
    [0.5 + 2 ** -30],
  );
  assert.equal(
    values([f32(0.5)], (b, [x]) => b.add(x!, 2 ** -30), 'dtype'),
    [0.5],
  );
  assert.equal(
    values([f32(1 / 3, 70000, 1e-8, 2049)], (b, [x]) => b.cast(x!, 'float16'), 'dtype'),
    [0.333251953125, Infinity, 0, 2048],
  );
  assert.equal([...toHost(t('float16', [1], [1 / 3])).data], [0.333251953125]);
});

test('gather clamps, scatter drops; the last of repeated sets wins', () => {
  assert.equal(
    values([f32(10, 20, 30), i32(-5, 1, 9)], (b, [x, i]) => b.gather(x!, i!)),
    [10, 20, 30],
  );
  const scatter = (fn: OpAttrs['scatter']['fn']) =>
    values([f32(1, 2, 3), i32(-1, 1, 1, 3), f32(10, 20, 30, 40)], (b, [x, i, u]) => b.emit('scatter', [x!, i!, u!], { axis: 0, fn }));
  assert.equal(scatter('add'), [1, 52, 3]);
  assert.equal(scatter('set'), [1, 30, 3]);
  assert.equal(scatter('mul'), [1, 1200, 3]);
  assert.equal(scatter('max'), [1, 30, 3]);
  assert.equal(scatter('min'), [1, 2, 3]);
});

test('shape ops: broadcast, strided slice, pad with holes and cropping', () => {
  assert.equal(
    values([f32(1, 2)], (b, [x]) => b.broadcast(x!, [2, 2], [0])),
    [1, 1, 2, 2],
  );
  assert.equal(
    values([f32(0, 1, 2, 3, 4)], (b, [x]) => b.sliceAxis(x!, 0, 1, 5, 3)),
    [1, 4],
  );
  assert.equal(
    values([f32(1, 2, 3)], (b, [x]) => b.pad(x!, [-1], [2], 9, [1])),
    [9, 2, 9, 3, 9, 9],
  );
  assert.equal(
    values([t('float32', [2, 2], [1, 2, 3, 4])], (b, [x]) => b.reverse(b.transpose(x!, [1, 0]), [1])),
    [3, 1, 4, 2],
  );
});

test('windows: padding is the identity, the first extreme wins', () => {
  const pool = (fn: 'sum' | 'max' | 'min' | 'prod') => ({ fn, window: [2], strides: [2], padding: [[1, 0]] as const, baseDilation: [1], windowDilation: [1] });
  assert.equal(
    values([f32(-3, 2, -5)], (b, [x]) => b.emit('reduce_window', [x!], pool('max'))),
    [-3, 2],
  );
  assert.equal(
    values([f32(-3, 2, -5)], (b, [x]) => b.emit('reduce_window', [x!], pool('sum'))),
    [-3, -3],
  );
  assert.equal(
    values([i32(3, 2, 5)], (b, [x]) => b.emit('reduce_window', [x!], pool('min'))),
    [3, 2],
  );
  const back = { fn: 'max' as const, window: [2], strides: [1], padding: [[0, 0]] as const };
  assert.equal(
    values([f32(4, 4, 1), f32(10, 20)], (b, [x, g]) => b.emit('select_and_scatter', [x!, g!], back)),
    [10, 20, 0],
  );
});

test('cumulative: exclusive and reverse', () => {
  const cumulate = (exclusive: boolean, reverse: boolean) =>
    values([f32(1, 2, 3)], (b, [x]) => b.emit('cumulative', [x!], { fn: 'sum', axis: 0, exclusive, reverse }));
  assert.equal(
    [cumulate(false, false), cumulate(true, false), cumulate(false, true), cumulate(true, true)],
    [
      [1, 3, 6],
      [0, 1, 3],
      [6, 5, 3],
      [5, 3, 0],
    ],
  );
});

test('convolution: TensorFlow same padding, stride, dilation, depthwise groups', () => {
  const x = t('float32', [1, 5, 1], [1, 2, 3, 4, 5]);
  const k = t('float32', [2, 1, 1], [1, 10]);
  const conv = (options: Parameters<typeof convolution>[3]) => values([x, k], (b, [v, w]) => convolution(b, v!, w!, options));
  assert.equal(conv({}), [21, 32, 43, 54]);
  assert.equal(conv({ padding: 'same' }), [21, 32, 43, 54, 5]);
  assert.equal(conv({ padding: 'same', strides: 2 }), [21, 43, 5]);
  assert.equal(conv({ dilation: 2 }), [31, 42, 53]);
  assert.equal(conv({ padding: [[1, -1]] }), [10, 21, 32, 43]);
  const two = t('float32', [1, 2, 2], [1, 2, 3, 4]);
  assert.equal(
    values([two, t('float32', [1, 1, 4], [1, 2, 3, 4])], (b, [v, w]) => convolution(b, v!, w!, { groups: 2 })),
    [1, 2, 6, 8, 3, 6, 12, 16],
  );
});

test('scan: order of steps, place of outputs; while', () => {
  const sums = (reverse: boolean) =>
    run([f32(1, 2, 3)], (b, [x]) => {
      const { carries, ys } = scan(b, { carries: [b.scalar(0)], xs: [x!], reverse }, (s, [c], [v]) => ({
        carries: [s.add(s.mul(c!, 10), v!)],
        ys: [s.add(c!, v!)],
      }));
      return [...carries, ...ys];
    }).map((y) => [...y.data]);
  assert.equal(sums(false), [[123], [1, 3, 15]]);
  assert.equal(sums(true), [[321], [33, 5, 3]]);
  const doubled = run([f32(3), f32(50)], (b, types) => {
    const cond = subgraph(b, 'below', { v: types }, (s, { v }) => [s.reshape(s.compare('lt', v![0]!, v![1]!), [])]);
    const body = subgraph(b, 'double', { v: types }, (s, { v }) => [s.mul(v![0]!, 2)]);
    return b.emit('while', types, { cond, body, carries: 1 });
  });
  assert.equal([...doubled[0]!.data], [96]);
});

test('symbols are bound by the data; shapes of results agree with inference', () => {
  const b = new GraphBuilder('symbolic');
  b.declareSymbol('batch', 16);
  const n = symbol('batch');
  const x = b.input('x', 'float32', [n, 6, 6, 2]);
  const conv = convolution(b, x, b.full([3, 3, 2, 4], 0.5), { padding: 'same', strides: 2 });
  const flat = b.reshape(conv, [n, -1]);
  const pooled = b.emit('reduce_window', [x], {
    fn: 'max',
    window: [1, 2, 2, 1],
    strides: [1, 2, 2, 1],
    padding: [
      [0, 0],
      [0, 0],
      [0, 0],
      [0, 0],
    ],
    baseDilation: [1, 1, 1, 1],
    windowDilation: [1, 1, 1, 1],
  });
  const both = b.concat([flat, flat], 0);
  const padded = b.pad(flat, [1, 0], [0, 0]);
  const tail = b.sliceAxis(padded, 0, 1, addDim(n, 1));
  const halves = b.sliceAxis(both, 0, 0, mulDim(n, 2), 2);
  const merged = b.reshape(x, [mulDim(n, 36), 2]);
  const gram = b.dot(flat, flat, { batchLeft: [], batchRight: [], contractLeft: [0], contractRight: [0] });
  const named = { conv, flat, pooled, both, padded, tail, halves, merged, gram, mean: b.mean(flat, [0]) };
  for (const [name, v] of Object.entries(named)) b.output(name, v);
  const graph = b.build();
  assert.equal(both.shape.map(String), ['2*batch', '36']);
  assert.equal(padded.shape.map(String), ['batch+1', '36']);
  for (const batch of [1, 5]) {
    const { outputs } = evaluate(graph, {
      inputs: {
        x: t(
          'float32',
          [batch, 6, 6, 2],
          Array.from({ length: batch * 72 }, (_, i) => Math.sin(i)),
        ),
      },
    });
    for (const [name, v] of Object.entries(named)) {
      assert.equal(
        outputs[name]!.shape,
        v.shape.map((d) => (typeof d === 'number' ? d : d.terms.reduce((s, [, c]) => s + c * batch, d.offset))),
        name,
      );
    }
    assert.equal([...outputs.tail!.data], [...outputs.flat!.data]);
  }
});

test('a symbolic axis passes windows of size 1, and says why others do not fit', () => {
  const b = new GraphBuilder();
  const x = b.input('x', 'float32', [symbol('batch'), symbol('time'), 4]);
  assert.equal(convolution(b, x, b.full([3, 4, 2], 1), { padding: 'same' }).shape.map(String), ['batch', 'time', '2']);
  assert.equal(convolution(b, x, b.full([3, 4, 2], 1)).shape.map(String), ['batch', 'time+-2', '2']);
  assert.throws(() => convolution(b, x, b.full([3, 4, 2], 1), { strides: 2 }), /conv: axis 1 has symbolic size time: stride 2/);
  assert.throws(
    () => convolution(b, x, b.full([3, 4, 2], 1), { strides: 2, padding: 'same' }),
    /padding 'same' with stride 2 on an axis of symbolic size time/,
  );
});

test('state: initial value, given value, update', () => {
  const b = new GraphBuilder('counter');
  const count = b.stateSlot('count', 'int32', [], { initial: scalarData('int32', 5) });
  b.update('count', b.add(count, 1));
  const graph = b.build();
  assert.equal([...evaluate(graph, { inputs: {} }).updates.count!.data], [6]);
  assert.equal([...evaluate(graph, { inputs: {}, state: { count: scalarData('int32', 9) } }).updates.count!.data], [10]);
});

test('bad data is named', () => {
  const b = new GraphBuilder('net');
  const n = symbol('batch');
  b.output('y', b.add(b.input('x', 'float32', [n, 2]), b.input('z', 'float32', [n, 2])));
  b.output('s', b.stateSlot('w', 'float32', [1]));
  const graph = b.build();
  const w = { w: f32(1) };
  const x = t('float32', [3, 2], [1, 2, 3, 4, 5, 6]);
  assert.throws(
    () => evaluate(graph, { inputs: { x }, state: w }),
    (e: unknown) => e instanceof ValueError && /graph 'net': no data for input 'z'; given: x/.test(e.message),
  );
  assert.throws(
    () => evaluate(graph, { inputs: { x, z: t('float32', [2, 2], [1, 2, 3, 4]) }, state: w }),
    (e: unknown) => e instanceof ShapeError && /'z': expected shape \[batch,2\], found \[2,2\] with batch=3/.test(e.message),
  );
  assert.throws(() => evaluate(graph, { inputs: { x, z: { ...x, dtype: 'int32' } }, state: w }), /'z': expected dtype float32, found int32/);
  assert.throws(() => evaluate(graph, { inputs: { x, z: x } }), /state 'w' has neither data nor an initial value/);
});

test.run();
