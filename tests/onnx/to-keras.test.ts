/** ONNX graphs as Keras layers: every family of layers there and back, graphs as other exporters write them, errors with every node that is no layer. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { uniform } from '../../bench/workloads.js';
import { type ModelBase, modelFromJson, tensor, utils } from '../../frontend/keras/index.js';
import { exportModel, load } from '../../frontend/onnx/index.js';
import { OnnxModel } from '../../frontend/onnx/model.js';
import { families, familyModel, noLayers } from '../interop/onnx-families.js';
import { f32, floats, type GraphParts, info, longs, model, node } from './build.js';

const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const wave = (shape: readonly number[], seed = 1) => tensor(uniform(size(shape), seed), shape);
const classes = (m: ModelBase): string => m.layers.map((l) => l.className).join(' ');
const differs = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  a.length === b.length ? Array.from(a).reduce((worst, v, i) => Math.max(worst, Math.abs(v - b[i]!)), 0) : Number.POSITIVE_INFINITY;

/** Layers of a graph, which give on some inputs what the graph gives. */
async function converted(parts: GraphParts, shapes: readonly (readonly number[])[]): Promise<ModelBase> {
  const onnx = await OnnxModel.create(model(parts), { device: 'reference' });
  const keras = onnx.asLayers();
  const inputs = shapes.map((s, i) => wave(s, i + 1));
  const expected = await onnx.run(Object.fromEntries(onnx.inputs.map((p, i) => [p.name, { shape: shapes[i]!, data: inputs[i]!.data as Float32Array }])));
  keras.compile({ device: 'reference', loss: 'mse' });
  const found = await keras.predictAll(inputs);
  onnx.outputs.forEach((o, i) => {
    assert.equal(found[i]!.shape, expected[o.name]!.shape, `${o.name} of ${classes(keras)}`);
    assert.ok(differs(expected[o.name]!.data as Float32Array, found[i]!.data) < 1e-5, `${o.name} of ${classes(keras)}`);
  });
  return keras;
}
const refused = async (parts: GraphParts, pattern: RegExp): Promise<void> => {
  const onnx = await OnnxModel.create(model(parts), { device: 'reference' });
  assert.throws(() => onnx.asLayers(), pattern);
};
const random = (name: string, dims: readonly number[], seed: number) =>
  floats(
    name,
    dims,
    [...uniform(size(dims), seed)].map((x) => 0.5 * x),
  );

test('every family of layers comes back as layers with the same outputs, or says what is no layer', async () => {
  for (const opset of [13, 23])
    for (const f of families) {
      if ((f.since ?? 13) > opset) continue;
      utils.clearSession();
      utils.setRandomSeed(5);
      const there = familyModel(f);
      const onnx = await OnnxModel.create(await exportModel(there, { opset }), { device: 'reference' });
      const reason = noLayers[f.name];
      if (reason && (reason.from === undefined || opset < reason.from)) {
        assert.throws(() => onnx.asLayers(), reason.pattern, `${f.name}@${opset}`);
        continue;
      }
      const back = onnx.asLayers();
      assert.equal(back.outputNames.slice(0, 1), there.outputNames.slice(0, 1), f.name);
      const inputs = there.inputSpecs.map((s, i) => {
        const shape = s.shape.map((d) => d ?? f.batch ?? 2);
        return f.ids
          ? tensor(
              Int32Array.from(uniform(size(shape), i + 1), (v) => Math.floor(((v + 1) / 2) * f.ids!)),
              shape,
            )
          : wave(shape, i + 1);
      });
      there.compile({ device: 'reference', loss: 'mse' });
      back.compile({ device: 'reference', loss: 'mse' });
      const [expected, found] = [await there.predictAll(inputs), await back.predictAll(inputs)];
      expected.forEach((t, i) => {
        assert.equal(found[i]!.shape, t.shape, `${f.name}@${opset}: ${classes(back)}`);
        assert.ok(differs(t.data, found[i]!.data) < 1e-5, `${f.name}@${opset}: ${classes(back)}`);
      });
    }
});

test('a network as PyTorch writes it: channels first, shape chains, a dynamic batch', async () => {
  const keras = await converted(
    {
      opset: 17,
      inputs: [info('x', 'float32', ['batch', 3, 9, 8])],
      initializers: [
        random('stem.weight', [6, 3, 3, 3], 2),
        random('stem.bias', [6], 3),
        random('dw.weight', [6, 1, 3, 3], 4),
        ...['bn.weight', 'bn.bias', 'bn.running_mean'].map((n, i) => random(n, [6], 5 + i)),
        floats('bn.running_var', [6], [1, 2, 3, 1, 2, 3]),
        random('se.weight', [6, 6, 1, 1], 9),
        random('fc.weight', [5, 36], 10),
        random('fc.bias', [5], 11),
      ],
      nodes: [
        node('Conv', ['x', 'stem.weight', 'stem.bias'], ['/stem/Conv_output_0'], { pads: [1, 1, 1, 1], strides: [2, 2], kernel_shape: [3, 3] }),
        node('Constant', [], ['lo'], { value: { tensor: floats('', [], [0]) } }),
        node('Constant', [], ['hi'], { value: { tensor: floats('', [], [6]) } }),
        node('Clip', ['/stem/Conv_output_0', 'lo', 'hi'], ['r']),
        node('MaxPool', ['r'], ['p'], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }),
        node('Conv', ['p', 'dw.weight'], ['d'], { pads: [1, 1, 1, 1], group: 6 }),
        node('BatchNormalization', ['d', 'bn.weight', 'bn.bias', 'bn.running_mean', 'bn.running_var'], ['n']),
        node('Sigmoid', ['n'], ['gate']),
        node('Mul', ['n', 'gate'], ['silu']),
        node('GlobalAveragePool', ['silu'], ['g']),
        node('Conv', ['g', 'se.weight'], ['s']),
        node('HardSigmoid', ['s'], ['hs'], { alpha: { float: 1 / 6 }, beta: { float: 0.5 } }),
        node('Mul', ['hs', 'silu'], ['scaled']),
        node('Add', ['scaled', 'p'], ['sum']),
        // x.view(x.size(0), -1)
        node('Shape', ['sum'], ['shape']),
        node('Constant', [], ['zero'], { value: { tensor: longs('', [], [0]) } }),
        node('Gather', ['shape', 'zero'], ['n0'], { axis: 0 }),
        node('Constant', [], ['axes'], { value: { tensor: longs('', [1], [0]) } }),
        node('Unsqueeze', ['n0', 'axes'], ['n1']),
        node('Constant', [], ['rest'], { value: { tensor: longs('', [1], [-1]) } }),
        node('Concat', ['n1', 'rest'], ['target'], { axis: 0 }),
        node('Reshape', ['sum', 'target'], ['flat']),
        node('Gemm', ['flat', 'fc.weight', 'fc.bias'], ['logits'], { transB: 1 }),
        node('Softmax', ['logits'], ['y'], { axis: -1 }),
      ],
      outputs: ['y'],
    },
    [[2, 3, 9, 8]],
  );
  const names = keras.layers.map((l) => l.name);
  for (const n of ['stem', 'dw', 'bn', 'se', 'fc', 'y']) assert.ok(names.includes(n), names.join());
  assert.is(keras.layers.filter((l) => l.className === 'Permute').length, 2, 'one at the input, one before the features are laid in a row');
  assert.ok(classes(keras).includes('ZeroPadding2D MaxPooling2D DepthwiseConv2D BatchNormalization Activation'), classes(keras));
});

test('a transformer block as PyTorch writes it before opset 17', async () => {
  const norm = (x: string, to: string) => [
    node('ReduceMean', [x], [`${to}.m`], { axes: [-1] }),
    node('Sub', [x, `${to}.m`], [`${to}.d`]),
    node('Pow', [`${to}.d`, 'two'], [`${to}.q`]),
    node('ReduceMean', [`${to}.q`], [`${to}.v`], { axes: [-1] }),
    node('Add', [`${to}.v`, 'eps'], [`${to}.e`]),
    node('Sqrt', [`${to}.e`], [`${to}.r`]),
    node('Div', [`${to}.d`, `${to}.r`], [`${to}.n`]),
    node('Mul', [`${to}.n`, 'ln.weight'], [`${to}.g`]),
    node('Add', [`${to}.g`, 'ln.bias'], [to]),
  ];
  const keras = await converted(
    {
      opset: 14,
      inputs: [info('x', 'float32', ['batch', 5, 8])],
      initializers: [
        floats('two', [], [2]),
        floats('eps', [], [1e-5]),
        floats('root', [], [Math.SQRT2]),
        floats('one', [], [1]),
        floats('half', [], [0.5]),
        random('ln.weight', [8], 1),
        random('ln.bias', [8], 2),
        random('position', [8], 3),
        random('up', [8, 16], 4),
        random('up.bias', [16], 5),
        random('down', [16, 8], 6),
        random('q', [8, 8], 7),
        random('k', [8, 8], 8),
        floats('scale', [], [0.35]),
      ],
      nodes: [
        node('Add', ['x', 'position'], ['p']),
        ...norm('p', 'a'),
        node('MatMul', ['a', 'q'], ['qx']),
        node('MatMul', ['a', 'k'], ['kx']),
        node('Transpose', ['kx'], ['kt'], { perm: [0, 2, 1] }),
        node('MatMul', ['qx', 'kt'], ['scores']),
        node('Mul', ['scores', 'scale'], ['scaled']),
        node('Softmax', ['scaled'], ['weights'], { axis: -1 }),
        node('MatMul', ['weights', 'a'], ['mixed']),
        node('Add', ['p', 'mixed'], ['res']),
        ...norm('res', 'b'),
        node('MatMul', ['b', 'up'], ['u']),
        node('Add', ['up.bias', 'u'], ['ub']),
        node('Div', ['ub', 'root'], ['g0']),
        node('Erf', ['g0'], ['g1']),
        node('Add', ['g1', 'one'], ['g2']),
        node('Mul', ['ub', 'g2'], ['g3']),
        node('Mul', ['g3', 'half'], ['gelu']),
        node('MatMul', ['gelu', 'down'], ['f']),
        node('Add', ['res', 'f'], ['sum']),
        node('Constant', [], ['last'], { value: { tensor: longs('', [], [-1]) } }),
        node('ReduceMean', ['sum'], ['y'], { axes: [1], keepdims: 0 }),
      ],
      outputs: ['y'],
    },
    [[2, 5, 8]],
  );
  assert.is(classes(keras).match(/LayerNormalization/g)?.length, 2);
  assert.is(classes(keras).match(/Dense/g)?.length, 5, 'four products and the sum with the positions');
  assert.match(classes(keras), /Dot Rescaling Activation Dot/);
  const gelu = keras.layers.find((l) => l.name === 'gelu')!;
  assert.is(gelu.getConfig().activation, 'gelu');
});

test('recurrent layers as PyTorch writes them: time first, two directions, zero states', async () => {
  const keras = await converted(
    {
      opset: 14,
      inputs: [info('x', 'float32', ['batch', 6, 3])],
      initializers: [
        random('W', [2, 16, 3], 1),
        random('R', [2, 16, 4], 2),
        random('B', [2, 32], 3),
        random('GW', [1, 15, 8], 4),
        random('GR', [1, 15, 5], 5),
        random('GB', [1, 30], 6),
        longs('states', [3], [2, -1, 4]),
      ],
      nodes: [
        node('Transpose', ['x'], ['t'], { perm: [1, 0, 2] }),
        node('Shape', ['x'], ['xs']),
        node('Constant', [], ['zero'], { value: { tensor: longs('', [1], [0]) } }),
        node('Gather', ['xs', 'zero'], ['n'], { axis: 0 }),
        node('Constant', [], ['two'], { value: { tensor: longs('', [1], [2]) } }),
        node('Constant', [], ['four'], { value: { tensor: longs('', [1], [4]) } }),
        node('Concat', ['two', 'n', 'four'], ['ss'], { axis: 0 }),
        node('ConstantOfShape', ['ss'], ['h0']),
        node('LSTM', ['t', 'W', 'R', 'B', '', 'h0', 'h0'], ['l', '', ''], { hidden_size: 4, direction: 'bidirectional' }),
        node('Transpose', ['l'], ['lt'], { perm: [0, 2, 1, 3] }),
        node('Constant', [], ['merge'], { value: { tensor: longs('', [3], [0, 0, -1]) } }),
        node('Reshape', ['lt', 'merge'], ['lr']),
        node('GRU', ['lr', 'GW', 'GR', 'GB'], ['', 'gh'], { hidden_size: 5, linear_before_reset: 1 }),
        node('Squeeze', ['gh', 'zero'], ['y']),
      ],
      outputs: ['y'],
    },
    [[2, 6, 3]],
  );
  assert.is(classes(keras), 'InputLayer Bidirectional GRU');
});

test('pieces: padding, cutting, resizing, picking, blocks', async () => {
  const keras = await converted(
    {
      opset: 17,
      inputs: [info('x', 'float32', ['n', 4, 6, 6])],
      initializers: [
        longs('pads', [8], [0, 0, 1, 2, 0, 0, 0, 1]),
        floats('scales', [4], [1, 1, 2, 2]),
        longs('start', [1], [1]),
        longs('end', [1], [5]),
        longs('axis', [1], [3]),
        longs('halves', [2], [2, 2]),
        random('tw', [4, 3, 2, 2], 1),
      ],
      nodes: [
        node('Pad', ['x', 'pads'], ['a']),
        node('Resize', ['a', '', 'scales'], ['b'], { mode: 'nearest', nearest_mode: 'floor', coordinate_transformation_mode: 'asymmetric' }),
        node('Slice', ['b', 'start', 'end', 'axis'], ['c']),
        node('DepthToSpace', ['c'], ['d'], { blocksize: 2, mode: 'CRD' }),
        node('SpaceToDepth', ['d'], ['e'], { blocksize: 2 }),
        node('Split', ['e', 'halves'], ['f', 'g'], { axis: 1 }),
        node('LeakyRelu', ['f'], ['h'], { alpha: { float: 0.3 } }),
        node('Concat', ['g', 'h'], ['i'], { axis: 1 }),
        node('ConvTranspose', ['i', 'tw'], ['j'], { strides: [2, 2], kernel_shape: [2, 2] }),
        node('ReduceMax', ['j'], ['y'], { axes: [2, 3], keepdims: 0 }),
        node('AveragePool', ['j'], ['k'], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], count_include_pad: 1 }),
      ],
      outputs: ['y', 'k'],
    },
    [[2, 4, 6, 6]],
  );
  assert.is(keras.layers.filter((l) => l.className === 'UpSampling2D').length, 1);
});

test('errors name every node that is no layer, and why', async () => {
  await refused(
    {
      inputs: [f32([2, 3])],
      nodes: [node('Abs', ['x'], ['a']), node('Erf', ['x'], ['b']), node('Add', ['a', 'b'], ['y'])],
      outputs: ['y'],
    },
    /not made of Keras layers; 2 nodes:\n {2}Abs '.*': it is no layer\n {2}Erf '.*': it is no layer/,
  );
  await refused({ inputs: [f32([2, 3])], nodes: [node('ReduceMean', ['x'], ['y'], { axes: [0] })], outputs: ['y'] }, /a reduction over the batch/);
  await refused(
    { inputs: [f32([2, 3], 'x'), f32([3, 2], 'z')], nodes: [node('MatMul', ['x', 'z'], ['y'])], outputs: ['y'] },
    /of two computed tensors of rank 2 and 2/,
  );
  await refused({ inputs: [f32([])], nodes: [node('Relu', ['x'], ['y'])], outputs: ['y'] }, /no batch axis/);
  await refused(
    { inputs: [f32([1, 1, 4, 4])], nodes: [node('MaxPool', ['x'], ['y'], { kernel_shape: [2, 2], pads: [1, 1, 1, 1] })], outputs: ['y'] },
    /around values that may be negative/,
  );
});

const light = path.join(process.env.TENON_SHARED ?? path.join(path.dirname(fileURLToPath(import.meta.url)), '../../../shared'), 'onnx/light');
test('light ResNet50 and SqueezeNet become layers; LRN is none', async () => {
  if (!existsSync(light)) return console.log(`skip the light models: ${light} is not there`);
  for (const [name, layers] of [
    ['squeezenet', 26],
    ['resnet50', 53],
  ] as const) {
    const onnx = await load(path.join(light, `light_${name}.onnx`), { device: 'reference' });
    const keras = onnx.asLayers();
    assert.is(keras.layers.filter((l) => l.className === 'Conv2D').length, layers);
    assert.is(keras.layers.filter((l) => l.className === 'Permute').length, 1, 'at the input alone');
    // a round trip of the configuration
    const { className } = await modelFromJson(keras.toJson());
    assert.is(className, 'Functional');
  }
  const alexnet = await load(path.join(light, 'light_bvlc_alexnet.onnx'), { device: 'reference' });
  assert.throws(() => alexnet.asLayers(), /1 node:\n {2}LRN/);
});

test.run();
