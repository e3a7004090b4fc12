/** Element types of 8 bits and fewer: every code is read, casts round to the nearest value of the type, quantization gives them, and what cannot hold one says so. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { OnnxModel } from '../../frontend/onnx/model.js';
import type { TensorProto, ValueInfoProto } from '../../frontend/onnx/schema/types.js';
import { decodeSmall, isSmallType, smallFloat, smallInteger } from '../../frontend/onnx/small-types.js';
import { readTensor } from '../../frontend/onnx/tensors.js';
import { openDevice } from '../../runtime/open.js';
import { type AttributeValue, f32, model, node, numbers, run } from './build.js';

const floats = [17, 18, 19, 20, 23];
const typed = (name: string, elem_type: number, shape: readonly number[]): ValueInfoProto => ({
  name,
  type: { tensor_type: { elem_type, shape: { dim: shape.map((d) => ({ dim_value: d })) } } },
});
const codesOf = (t: number): number[] => Array.from({ length: t === 23 ? 16 : 256 }, (_, k) => k);
const same = (a: readonly number[], b: readonly number[], what: string): void => {
  for (const [i, x] of b.entries()) assert.ok(Object.is(a[i], x), `${what}: element ${i} is ${a[i]}, expected ${x}`);
};

const device = await openDevice('wasm');
const cast = async (to: number, x: readonly number[], attributes: Record<string, AttributeValue> = {}): Promise<number[]> => {
  const parts = { nodes: [node('Cast', ['x'], ['y'], { to, ...attributes })], inputs: [f32([x.length])], outputs: [typed('y', to, [x.length])], opset: 25 };
  const [a, b] = [
    numbers((await run(parts, { x: { shape: [x.length], data: x } })).y),
    numbers((await run(parts, { x: { shape: [x.length], data: x } }, { device })).y),
  ];
  same(b, a, `cast to ${to} on wasm, against the reference evaluation`);
  return a;
};

test('known codes of each type', () => {
  same(
    [0x7e, 0x01, 0x88].map((c) => decodeSmall(17, c)),
    [448, 2 ** -9, -(2 ** -6)],
    'float8e4m3fn',
  );
  same(
    [0x7f, 0x01, 0x80].map((c) => decodeSmall(18, c)),
    [240, 2 ** -10, Number.NaN],
    'float8e4m3fnuz',
  );
  same(
    [0x7b, 0x7c, 0xfc, 0x7d, 0x01].map((c) => decodeSmall(19, c)),
    [57344, Infinity, -Infinity, Number.NaN, 2 ** -16],
    'float8e5m2',
  );
  same(
    [0x7f, 0x80, 0x01].map((c) => decodeSmall(20, c)),
    [57344, Number.NaN, 2 ** -17],
    'float8e5m2fnuz',
  );
  same(
    codesOf(23).map((c) => decodeSmall(23, c)),
    [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6],
    'float4e2m1',
  );
  same(
    [0, 127, 254, 255].map((c) => decodeSmall(24, c)),
    [2 ** -127, 1, 2 ** 127, Number.NaN],
    'float8e8m0',
  );
});

test('tensors are read from raw data and from int32_data, packed where elements are small', () => {
  const read = (t: TensorProto): number[] => numbers(readTensor(t, 'tensor'));
  same(read({ data_type: 17, dims: [2], raw_data: Uint8Array.of(0x38, 0xb8) }), [1, -1], 'float8');
  same(read({ data_type: 17, dims: [2], int32_data: [0x38, 0xb8] }), [1, -1], 'float8 in int32_data');
  same(read({ data_type: 23, dims: [3], raw_data: Uint8Array.of(0x72, 0x0f) }), [1, 6, -6], 'float4');
  same(read({ data_type: 23, dims: [3], int32_data: [0x72, 0x0f] }), [1, 6, -6], 'float4 in int32_data');
  assert.throws(() => readTensor({ data_type: 23, dims: [3], raw_data: Uint8Array.of(1) }, 'w'), /raw_data holds 1 bytes/);
});

for (const t of floats)
  test(`casts to type ${t} keep its values and round others to the nearest, ties to the even code`, async () => {
    const { max } = smallFloat(t)!;
    const values = codesOf(t)
      .map((c) => decodeSmall(t, c))
      .filter((v) => Number.isFinite(v));
    same(await cast(t, values), values, 'values of the type');
    const up = codesOf(t)
      .slice(0, codesOf(t).length / 2)
      .map((c) => decodeSmall(t, c))
      .filter((v) => Number.isFinite(v));
    const between = up.slice(1).flatMap((hi, i) => {
      const lo = up[i]!;
      const middle = (lo + hi) / 2;
      return [
        { x: middle, y: i % 2 === 0 ? lo : hi },
        { x: lo + (hi - lo) * 0.49, y: lo },
        { x: lo + (hi - lo) * 0.51, y: hi },
      ];
    });
    same(
      await cast(
        t,
        between.map((p) => p.x),
      ),
      between.map((p) => p.y),
      'numbers between',
    );
    same(await cast(t, [1e6, -1e6, Infinity, -Infinity]), [max, -max, max, -max], 'saturated');
    const beyond = { nan: [Number.NaN, Number.NaN], infinity: [Infinity, -Infinity], max: [max, -max] }[smallFloat(t)!.beyond];
    same(await cast(t, [1e6, -1e6, Infinity, -Infinity], { saturate: 0 }), [...beyond, ...beyond], 'not saturated');
    same(await cast(t, [-0, Number.NaN]), [smallFloat(t)!.unsignedZero ? 0 : -0, t === 23 ? -0 : Number.NaN], 'zero and NaN');
  });

test('casts to float8e8m0 give powers of two by the rounding mode', async () => {
  const x = [1, 1.25, 1.5, 1.75, -3, 0, Infinity, 3e38];
  same(await cast(24, x), [1, 2, 2, 2, 4, 2 ** -127, Number.NaN, 2 ** 127], 'up');
  same(await cast(24, x, { round_mode: 'down' }), [1, 1, 1, 1, 2, 2 ** -127, Number.NaN, 2 ** 127], 'down');
  same(await cast(24, x, { round_mode: 'nearest' }), [1, 1, 2, 2, 4, 2 ** -127, Number.NaN, 2 ** 127], 'nearest');
  same(await cast(24, [3e38], { saturate: 0 }), [Number.NaN], 'not saturated');
  try {
    await cast(24, [1], { round_mode: 'even' });
    assert.unreachable();
  } catch (e) {
    assert.match((e as Error).message, /round_mode 'even', expected up, down or nearest/);
  }
});

for (const t of [21, 22, 25, 26])
  test(`casts and quantization to the integers of type ${t}`, async () => {
    const { bits, signed } = smallInteger(t)!;
    const [low, high] = signed ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1];
    same(await cast(t, [low, high, 0.9, high + 1, low - 1]), [low, high, 0, low, high], 'cast, modulo the range');
    const q = await run(
      {
        nodes: [node('QuantizeLinear', ['x', 's'], ['q'], { output_dtype: t }), node('DequantizeLinear', ['q', 's'], ['y'])],
        inputs: [f32([4]), f32([], 's')],
        outputs: ['y'],
        opset: 25,
      },
      { x: { shape: [4], data: [-100, 100, 0.5, 0.6] }, s: 0.5 },
    );
    same(numbers(q.y), [low / 2, high / 2, 0.5, 0.5], 'quantized and back');
  });

test('what is moved keeps its type; CastLike follows it, initializers and branches too', async () => {
  const initializers: TensorProto[] = [{ name: 'like', data_type: 23, dims: [2, 1], raw_data: Uint8Array.of(0x11) }];
  const parts = {
    nodes: [node('Transpose', ['like'], ['t'], { perm: [1, 0] }), node('Identity', ['t'], ['i']), node('CastLike', ['x', 'i'], ['y'])],
    inputs: [f32([3])],
    outputs: [typed('y', 23, [3])],
    initializers,
    opset: 25,
  };
  same(numbers((await run(parts, { x: { shape: [3], data: [0.7, 5.1, 100] } })).y), [0.5, 6, 6], 'like float4');
});

const refused = async (f: () => Promise<unknown>, message: RegExp): Promise<void> => {
  try {
    await f();
  } catch (e) {
    return assert.match((e as Error).message, message);
  }
  assert.unreachable();
};

test('ops on small types, foreign elements and outputs of another type are refused', async () => {
  const inputs = [typed('x', 22, [2])];
  const x = { shape: [2], data: [1, 2] };
  await refused(
    () => run({ nodes: [node('Add', ['x', 'x'], ['y'])], inputs, outputs: [typed('y', 22, [2])], opset: 25 }, { x }),
    /Add.*inputs of int4 are not supported/,
  );
  const same4 = { nodes: [node('Identity', ['x'], ['y'])], inputs, outputs: [typed('y', 22, [2])], opset: 25 };
  same(numbers((await run(same4, { x })).y), [1, 2], 'int4');
  await refused(() => run(same4, { x: { shape: [2], data: [1, 9] } }), /input 'x': 9 is not a value of int4/);
  const wrong = { ...same4, outputs: [typed('y', 3, [2])] };
  await refused(() => run(wrong, { x }), /output 'y' is declared as int8 and is int4/);
  const eye = { nodes: [node('EyeLike', ['e'], ['y'], { dtype: 17 })], inputs: [f32([2, 2], 'e')], outputs: ['y'], opset: 25 };
  await refused(() => run(eye, { e: { shape: [2, 2], data: [1, 2, 3, 4] } }), /results of float8e4m3fn/);
  const m = await OnnxModel.create(model(same4), { device: 'reference' });
  assert.equal([m.inputs[0]!.dtype, m.inputs[0]!.elementType, isSmallType(22)], ['int8', 'int4', true]);
});

test.after(() => device.dispose());
test.run();
