/** generated.js is what onnx.proto gives, and its messages are those of onnx-proto (an older schema) where both have them. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import proto from 'onnx-proto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeModel, encodeModel } from '../../frontend/onnx/schema/codec.js';
import { f32, floats, model, node } from './build.js';

const older = proto.onnx;

test('generated.js is up to date, and so is that of TensorFlow: npm run schema', () => {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'schema-'));
  try {
    const root = fileURLToPath(new URL('../../', import.meta.url));
    execFileSync(process.execPath, [path.join(root, 'scripts/schema.mjs'), path.join(dir, 'out.js'), path.join(dir, 'tensorflow.js')]);
    assert.is(readFileSync(path.join(dir, 'out.js'), 'utf8'), readFileSync(path.join(root, 'frontend/onnx/schema/generated.js'), 'utf8'));
    assert.is(readFileSync(path.join(dir, 'tensorflow.js'), 'utf8'), readFileSync(path.join(root, 'frontend/formats/tensorflow/generated.js'), 'utf8'));
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('another decoder reads what is written, and the other way round', () => {
  const m = model({
    nodes: [node('Conv', ['x', 'w'], ['y'], { pads: [1, 1, 1, 1], auto_pad: 'NOTSET', alpha: { float: 0.5 } })],
    inputs: [f32(['N', 3, 8, 8])],
    outputs: ['y'],
    initializers: [floats('w', [1, 3, 1, 1], [1, 2, 3])],
  });
  const bytes = encodeModel(m);
  const there = older.ModelProto.decode(bytes);
  assert.is(there.graph?.node?.[0]?.opType, 'Conv');
  assert.equal(there.graph?.initializer?.[0]?.floatData, [1, 2, 3]);
  const back = decodeModel(older.ModelProto.encode(there).finish());
  const attributes = (m: typeof back) => m.graph?.node?.[0]?.attribute?.map((a) => [a.name, a.type, (a.ints ?? []).map(Number), a.f]);
  assert.equal(attributes(back), attributes(decodeModel(bytes)));
  assert.is(back.graph?.input?.[0]?.type?.tensor_type?.shape?.dim?.[0]?.dim_param, 'N');
});

test('a model keeps the fields of the newest schema', () => {
  const m = {
    ...model({ nodes: [node('Relu', ['x'], ['y'])], inputs: [f32([1])], outputs: ['y'] }),
    functions: [{ name: 'f', domain: 'd', attribute_proto: [{ name: 'a', type: 2, i: 3 }], overload: 'o', metadata_props: [{ key: 'k', value: 'v' }] }],
    configuration: [{ name: 'c', num_devices: 2 }],
  };
  const bytes = encodeModel(m);
  assert.equal(encodeModel(decodeModel(bytes)), bytes);
  assert.is(decodeModel(bytes).functions?.[0]?.metadata_props?.[0]?.value, 'v');
});

test.run();
