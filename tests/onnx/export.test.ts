/** Export: compact ops, names and sizes kept, every opset, the same outputs when read back, external data, clear errors. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Input, inMemory, layers as L, Layer, Model, type ModelBase, ops, Sequential, type SymbolicTensor, tensor } from '../../frontend/keras/index.js';
import { layerClasses } from '../../frontend/keras/layers/registry.js';
import { exportModel, load, save } from '../../frontend/onnx/index.js';
import type { ModelProto } from '../../frontend/onnx/schema/types.js';
import { families, familyModel, notWritten } from '../interop/onnx-families.js';

const opsOf = (m: ModelProto): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const n of m.graph!.node!) counts[n.op_type!] = (counts[n.op_type!] ?? 0) + 1;
  return counts;
};
const cnn = (): ModelBase =>
  Sequential([
    Input({ shape: [8, 8, 3], name: 'image' }),
    L.Conv2D(16, 3, { padding: 'same', activation: 'relu', name: 'first' }),
    L.BatchNormalization(),
    L.MaxPooling2D(2),
    L.Conv2D(6, 3, { name: 'second' }),
    L.GlobalAveragePooling2D(),
    L.Dropout(0.5),
    L.Dense(3, { activation: 'softmax', name: 'probabilities' }),
  ]);
const wave = (n: number): Float32Array => Float32Array.from({ length: n }, (_, i) => Math.sin(i));

test('a convolutional network: one op for each layer, one transpose at the border', async () => {
  const m = await exportModel(cnn());
  assert.equal(opsOf(m), { Transpose: 1, Conv: 2, Relu: 1, BatchNormalization: 1, MaxPool: 1, GlobalAveragePool: 1, Flatten: 1, Gemm: 1, Softmax: 1 });
  const names = m.graph!.initializer!.map((t) => t.name);
  assert.ok(names.includes('first/kernel') && names.includes('second/bias'), names.join());
  assert.is(m.graph!.input![0]!.name, 'image');
  assert.equal(m.graph!.input![0]!.type!.tensor_type!.shape!.dim, [{ dim_param: 'batch' }, { dim_value: 8 }, { dim_value: 8 }, { dim_value: 3 }]);
  assert.is(m.graph!.output![0]!.name, 'probabilities');
  assert.ok(m.graph!.value_info!.length >= 8);
});

test('opsets from 13 to 28, each with the lowest IR version', async () => {
  for (const [opset, ir] of [
    [13, 7],
    [17, 8],
    [21, 10],
    [28, 14],
  ] as const) {
    const m = await exportModel(cnn(), { opset });
    assert.is(m.ir_version, ir);
    assert.equal(m.opset_import, [{ domain: '', version: opset }]);
  }
  for (const opset of [12, 29, 17.5]) {
    try {
      await exportModel(cnn(), { opset });
      assert.unreachable();
    } catch (e) {
      assert.match((e as Error).message, /opset/);
    }
  }
});

test('read back: the same outputs for several batch sizes, in one file and in two', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'tenon-export-'));
  try {
    const model = cnn();
    model.compile({ device: 'wasm', loss: 'mse' });
    for (const externalData of ['inside', 'beside'] as const) {
      const file = path.join(folder, `${externalData}.onnx`);
      await model.export(file, { externalData });
      assert.is(existsSync(`${file}.data`), externalData === 'beside' && statSync(`${file}.data`).size > 0);
      const again = await load(file, { device: 'wasm' });
      for (const n of [1, 3]) {
        const x = wave(n * 192);
        const expected = await model.predict(tensor(x, [n, 8, 8, 3]));
        const { probabilities } = await again.run({ image: { shape: [n, 8, 8, 3], data: x } });
        assert.equal(probabilities!.shape, expected.shape);
        expected.data.forEach((v, i) => {
          assert.ok(Math.abs(v - Number(probabilities!.data[i])) < 1e-6);
        });
      }
      again.dispose();
    }
    assert.equal(readdirSync(folder).sort(), ['beside.onnx', 'beside.onnx.data', 'inside.onnx'], 'no temporary files are left');
    model.dispose();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('an imported model is written as it was read', async () => {
  const t = inMemory('m.onnx');
  await cnn().export(t, { metadata: { author: 'someone' } });
  const first = await load(t.bytes(), { device: 'reference' });
  assert.equal(first.info.metadata, { author: 'someone' });
  const u = inMemory('n.onnx');
  await save(first, u);
  assert.equal(u.bytes(), t.bytes());
});

test('every family of layers can be written in its lowest and in the newest opset', async () => {
  for (const f of families)
    for (const opset of [f.since ?? 13, 28]) {
      const m = await exportModel(familyModel(f), { opset });
      assert.ok(
        m.graph!.node!.every((n) => n.name),
        f.name,
      );
      const given = new Set<string>();
      for (const t of [...m.graph!.input!, ...m.graph!.initializer!]) given.add(t.name!);
      for (const n of m.graph!.node!) for (const o of n.output!) assert.ok(o === '' || !given.has(o) || !given.add(o), `${f.name}: ${o} is defined once`);
    }
});

test('every class of layers is in a family, or has a reason why it cannot be written', () => {
  const written = new Set<string>();
  const visit = (l: Layer): void => {
    written.add(l.className);
    for (const inner of l.sublayers) visit(inner);
  };
  for (const f of families) for (const l of familyModel(f).layers) visit(l);
  const missing = Object.entries(layerClasses).filter(([, c]) => {
    const { className } = c as unknown as typeof Layer;
    return !written.has(className) && !Object.hasOwn(notWritten, className);
  });
  assert.equal(
    missing.map(([name]) => name),
    [],
  );
});

test('one op for each layer that ONNX has an op for', async () => {
  const one = async (name: string, opset: number): Promise<string> => {
    const m = await exportModel(familyModel(families.find((f) => f.name === name)!), { opset });
    return Object.entries(opsOf(m))
      .filter(([op]) => !['Transpose', 'Squeeze', 'Unsqueeze', 'Identity', 'Reshape', 'Slice', 'Flatten'].includes(op))
      .map(([op, n]) => (n === 1 ? op : `${op}*${n}`))
      .sort()
      .join(' ');
  };
  for (const [opset, list] of [
    [
      13,
      {
        dense: 'Gemm Relu',
        'einsum-dense': 'Add MatMul',
        conv1d: 'Conv',
        'conv2d-groups': 'Conv',
        conv3d: 'Conv',
        depthwise2d: 'Conv',
        separable2d: 'Conv*2 Elu',
        'conv2d-transpose': 'ConvTranspose',
        'max-pool2d': 'MaxPool',
        'average-pool2d': 'AveragePool',
        'global-average2d': 'GlobalAveragePool',
        'global-max1d': 'GlobalMaxPool',
        'batch-norm': 'BatchNormalization',
        'layer-norm': 'Add*2 Div Mul*2 ReduceMean*2 Sqrt Sub',
        'unit-norm': 'LpNormalization',
        embedding: 'Gather',
        lstm: 'LSTM',
        'lstm-sequences': 'LSTM',
        'lstm-backwards': 'LSTM',
        gru: 'GRU',
        'gru-before': 'GRU',
        'simple-rnn': 'RNN',
        bidirectional: 'LSTM',
        'softmax-layer': 'Softmax',
        prelu: 'PRelu',
        'up-sampling2d': 'Resize',
        'zero-padding2d': 'Pad',
        'merge-concatenate': 'Concat',
        'activation-selu': 'Selu',
        'activation-softplus': 'Softplus',
        'activation-hard_sigmoid': 'HardSigmoid',
      },
    ],
    [17, { 'layer-norm': 'LayerNormalization', resizing: 'Concat Gather Resize Shape' }],
    [18, { 'activation-mish': 'Mish' }],
    [23, { 'rms-norm': 'RMSNormalization', 'group-norm': 'GroupNormalization' }],
  ] as const)
    for (const [name, expected] of Object.entries(list)) assert.is(await one(name, opset), expected, `${name}@${opset}`);
});

test('states of stateful layers are inputs with defaults: carried by hand they give what the layer gives over two runs', async () => {
  const model = familyModel(families.find((f) => f.name === 'lstm-stateful')!);
  model.compile({ device: 'reference', loss: 'mse' });
  const t = inMemory('m.onnx');
  await model.export(t);
  const [a, b] = [wave(60), wave(60).map((x) => x / 2)];
  const run = async (x: Float32Array) => (await model.predict(tensor(x, [3, 5, 4]), { batchSize: 3 })).data;
  const expected = [await run(a), await run(b)];
  const onnx = await load(t.bytes(), { device: 'reference' });
  assert.is(onnx.optionalInputs.length, 2);
  const x = onnx.inputs[0]!.name;
  const result = onnx.outputs[0]!.name;
  const first = await onnx.run({ [x]: { shape: [3, 5, 4], data: a } });
  const states = Object.fromEntries(onnx.optionalInputs.map((i) => [i.name, first[`${i.name}/next`]!]));
  const second = await onnx.run({ [x]: { shape: [3, 5, 4], data: b }, ...states });
  [first, second].forEach((r, i) => {
    expected[i]!.forEach((v, k) => {
      assert.ok(Math.abs(v - Number(r[result]!.data[k])) < 1e-6, `run ${i}`);
    });
  });
  try {
    await onnx.run({ [x]: { shape: [3, 5, 4], data: a }, other: 1 });
    assert.unreachable();
  } catch (e) {
    assert.match((e as Error).message, /no input 'other'; it has 'input_0', '.*'/);
  }
});

test('what ONNX cannot say is an error with the layer', async () => {
  class Noise extends Layer {
    static override readonly className = 'AlwaysNoise';
    override call(x: SymbolicTensor): SymbolicTensor {
      return ops.add(x, ops.random.normal(x.shape));
    }
  }
  const x = Input([3]);
  try {
    await exportModel(Model({ inputs: x, outputs: new Noise({ name: 'hiss' })(x) }));
    assert.unreachable();
  } catch (e) {
    assert.match((e as Error).message, /random numbers/);
  }
});

test('a target that is no path cannot have a second file', async () => {
  try {
    await cnn().export(inMemory('m.onnx'), { externalData: 'beside' });
    assert.unreachable();
  } catch (e) {
    assert.match((e as Error).message, /two files/);
  }
  assert.throws(() => readFileSync('m.onnx.data'));
});

test.run();
