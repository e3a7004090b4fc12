/** Reading: tensors in every encoding, sources, external data, limits. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readModel } from '../../frontend/onnx/read.js';
import { decodeModel, encodeModel, FormatError } from '../../frontend/onnx/schema/codec.js';
import type { TensorProto } from '../../frontend/onnx/schema/types.js';
import { halfOf, readSparse, readTensor } from '../../frontend/onnx/tensors.js';
import { UnsupportedError, ValueError } from '../../ir/errors.js';
import { f32, floats, model, node } from './build.js';

const list = (t: TensorProto): (number | bigint)[] => Array.from(readTensor(t, 'tensor').data as ArrayLike<number | bigint>);
const raw = (data_type: number, dims: number[], view: ArrayBufferView): TensorProto => ({
  data_type,
  dims,
  raw_data: new Uint8Array(view.buffer, view.byteOffset, view.byteLength),
});

async function rejects(f: () => Promise<unknown>, kind: new (...a: never[]) => Error, pattern: RegExp): Promise<void> {
  try {
    await f();
  } catch (e) {
    assert.instance(e, kind, String(e));
    assert.match((e as Error).message, pattern);
    return;
  }
  assert.unreachable('it must throw');
}

test('tensors as raw bytes', () => {
  assert.equal(list(raw(1, [2], Float32Array.of(1.5, -2))), [1.5, -2]);
  assert.equal(list(raw(11, [2], Float64Array.of(0.1, 1e300))), [0.1, 1e300]);
  assert.equal(list(raw(7, [2], BigInt64Array.of(2n ** 62n, -1n))), [2n ** 62n, -1n]);
  assert.equal(list(raw(13, [1], BigUint64Array.of(2n ** 64n - 1n))), [2n ** 64n - 1n]);
  assert.equal(list(raw(6, [], Int32Array.of(-7))), [-7]);
  assert.equal(list(raw(4, [2], Uint16Array.of(65535, 1))), [65535, 1]);
  assert.equal(list(raw(9, [3], Uint8Array.of(0, 1, 255))), [0, 1, 1]);
  assert.equal(list(raw(10, [3], Uint16Array.of(0x3c00, 0xc000, 0x0001))), [1, -2, 2 ** -24]);
  assert.equal(list(raw(16, [2], Uint16Array.of(0x3f80, 0xc040))), [1, -3]);
  assert.equal(list(raw(21, [3], Uint8Array.of(0xf1, 0x02))), [1, 15, 2], 'uint4, the first in the low bits');
  assert.equal(list(raw(22, [3], Uint8Array.of(0xf1, 0x07))), [1, -1, 7], 'int4');
  // an odd place in a buffer
  const bytes = new Uint8Array(9);
  bytes.set(new Uint8Array(Float32Array.of(3, 4).buffer), 1);
  assert.equal(list({ data_type: 1, dims: [2], raw_data: bytes.subarray(1) }), [3, 4]);
});

test('tensors in typed fields', () => {
  assert.equal(list({ data_type: 1, dims: [2], float_data: [1, 2] }), [1, 2]);
  assert.equal(list({ data_type: 3, dims: [2], int32_data: [-3, 4] }), [-3, 4]);
  assert.equal(list({ data_type: 10, dims: [1], int32_data: [0x4200] }), [3]);
  assert.equal(list({ data_type: 7, dims: [1], int64_data: [{ low: 1, high: -1, unsigned: false }] }), [-4294967295n]);
  assert.equal(list({ data_type: 12, dims: [1], uint64_data: [4000000000] }), [4000000000]);
  assert.equal(list({ data_type: 11, dims: [1], double_data: [0.1] }), [0.1]);
  assert.equal(list({ data_type: 1, dims: [0, 3] }), []);
});

test('sparse tensors become dense', () => {
  const s = { dims: [2, 3], values: floats('', [2], [5, 6]), indices: { data_type: 7, dims: [2], int64_data: [1, 5] } };
  assert.equal(Array.from(readSparse(s, 's').data as Float32Array), [0, 5, 0, 0, 0, 6]);
  const pairs = { ...s, indices: { data_type: 7, dims: [2, 2], int64_data: [0, 1, 1, 2] } };
  assert.equal(Array.from(readSparse(pairs, 's').data as Float32Array), [0, 5, 0, 0, 0, 6]);
  assert.throws(() => readSparse({ ...s, indices: { data_type: 7, dims: [2], int64_data: [1, 6] } }, 's'), /outside of 6 elements/);
});

test('sizes that do not fit are refused before anything is allocated', () => {
  assert.throws(() => readTensor({ data_type: 1, dims: [3], float_data: [1] }, 'w'), /w: float_data holds 1 values, the shape wants 3/);
  assert.throws(() => readTensor(raw(1, [3], Float32Array.of(1)), 'w'), /raw_data holds 4 bytes, float\[3\] wants 12/);
  assert.throws(() => readTensor({ data_type: 1, dims: [2 ** 40, 2 ** 40] }, 'w'), /more than/);
  assert.throws(() => readTensor({ data_type: 1, dims: [-1] }, 'w'), /not a size/);
  assert.throws(
    () => readTensor({ data_type: 99, dims: [1] }, 'w'),
    (e: Error) => e instanceof UnsupportedError && /element type 99/.test(e.message),
  );
  assert.throws(() => readTensor({ data_type: 8, dims: [1] }, 'w'), /string are not supported/);
});

test('halfOf is the inverse of reading a float16', () => {
  for (let bits = 0; bits < 0x7c00; bits += 7) {
    const x = Number(list(raw(10, [1], Uint16Array.of(bits)))[0]);
    assert.is(halfOf(x), bits);
    assert.is(halfOf(-x), bits | 0x8000);
  }
  assert.is(halfOf(65520), 0x7c00);
  assert.is(halfOf(1 + 2 ** -11), 0x3c00, 'half to even');
});

const small = encodeModel(model({ nodes: [node('Relu', ['x'], ['y'])], inputs: [f32([2])], outputs: ['y'] }));

test('a model from bytes, a buffer, a blob, a stream', async () => {
  const exact = small.slice().buffer;
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < small.length; i += 7) yield small.subarray(i, i + 7);
  }
  const sources = [small, exact, new Blob([exact]), pieces(), new Blob([exact]).stream()];
  for (const s of sources) assert.is((await readModel(s)).graph?.node?.[0]?.op_type, 'Relu');
  await rejects(() => readModel(small, { maxBytes: 10 }), FormatError, /maxBytes/);
  await rejects(() => readModel(pieces(), { maxBytes: 10 }), FormatError, /maxBytes/);
  await rejects(() => readModel('/no/such/file.onnx'), ValueError, /cannot read/);
  await rejects(() => readModel(new Uint8Array([1, 2, 3])), FormatError, /not a valid protobuf|no graph/);
  await rejects(() => readModel(encodeModel({ ...decodeModel(small), ir_version: 99 })), UnsupportedError, /IR version 99/);
});

test('unknown metadata does not change Object.prototype', async () => {
  const m = await readModel(encodeModel({ ...decodeModel(small), metadata_props: [{ key: '__proto__', value: 'x' }] }));
  assert.is(m.metadata_props?.[0]?.key, '__proto__');
  assert.is(({} as Record<string, unknown>).x, undefined);
});

test('external data lies inside the folder of the model', async () => {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'onnx-'));
  try {
    const folder = path.join(dir, 'model');
    mkdirSync(folder);
    writeFileSync(path.join(folder, 'w.bin'), new Uint8Array(Float32Array.of(9, 1, 2, 3).buffer));
    writeFileSync(path.join(dir, 'secret.bin'), new Uint8Array(64));
    symlinkSync(path.join(dir, 'secret.bin'), path.join(folder, 'link.bin'));
    const withData = (entries: Record<string, string>): Uint8Array =>
      encodeModel(
        model({
          nodes: [node('Add', ['x', 'w'], ['y'])],
          inputs: [f32([3])],
          outputs: ['y'],
          initializers: [
            { name: 'w', dims: [3], data_type: 1, data_location: 1, external_data: Object.entries(entries).map(([key, value]) => ({ key, value })) },
          ],
        }),
      );
    const at = path.join(folder, 'm.onnx');
    const open = async (entries: Record<string, string>) => {
      writeFileSync(at, withData(entries));
      return readModel(at);
    };
    const good = await open({ location: 'w.bin', offset: '4', length: '12' });
    assert.equal(list(good.graph!.initializer![0]!), [1, 2, 3]);
    await rejects(() => open({ location: '../secret.bin' }), FormatError, /inside the folder/);
    await rejects(() => open({ location: '/etc/passwd' }), FormatError, /inside the folder/);
    await rejects(() => open({ location: 'a/../../secret.bin' }), FormatError, /inside the folder/);
    await rejects(() => open({ location: 'link.bin' }), FormatError, /leads out/);
    await rejects(() => open({ location: 'none.bin' }), FormatError, /not in the folder/);
    await rejects(() => open({ location: 'w.bin', offset: '8', length: '12' }), FormatError, /outside of 'w.bin'/);
    await rejects(() => open({ location: 'w.bin', offset: '-1' }), FormatError, /expected a number/);
    await rejects(() => open({ location: '.' }), FormatError, /regular file|EISDIR/);
    // without a folder the caller passes the contents
    const bytes = withData({ location: 'w.bin', offset: '0', length: '12' });
    await rejects(() => readModel(bytes), ValueError, /externalData/);
    const given = await readModel(bytes, { externalData: { 'w.bin': Float32Array.of(4, 5, 6).buffer } });
    assert.equal(list(given.graph!.initializer![0]!), [4, 5, 6]);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test.run();
