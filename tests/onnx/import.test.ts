/** From graphs to plans: folding of shape chains, functions, subgraphs, sizes that depend on the data, inputs that decide shapes, errors that list everything. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkSupport } from '../../frontend/onnx/check.js';
import { OnnxModel } from '../../frontend/onnx/model.js';
import { ModelData } from '../../frontend/onnx/model-data.js';
import { FormatError } from '../../frontend/onnx/schema/codec.js';
import { ShapeError, UnsupportedError, ValueError } from '../../ir/errors.js';
import { f32, floats, type GraphParts, graph, info, longs, model, node, numbers, ramp, run } from './build.js';

async function failure(p: GraphParts, feeds: Parameters<typeof run>[1] = {}): Promise<Error> {
  try {
    await run(p, feeds);
  } catch (e) {
    return e as Error;
  }
  throw new Error('it must fail');
}
const shapeOf = (name: string, from: string) => node('Shape', [from], [name]);

test('a chain of shape ops leaves nothing for the run', async () => {
  const parts: GraphParts = {
    nodes: [
      shapeOf('s', 'x'),
      node('Gather', ['s', 'zero'], ['n']),
      node('Unsqueeze', ['n', 'axis'], ['n1']),
      node('Concat', ['n1', 'rest'], ['target'], { axis: 0 }),
      node('Reshape', ['x', 'target'], ['y']),
    ],
    inputs: [f32([2, 3, 4])],
    outputs: ['y'],
    initializers: [longs('zero', [], [0]), longs('axis', [1], [0]), longs('rest', [1], [-1])],
  };
  const m = await OnnxModel.create(model(parts), { device: 'reference' });
  const { graph: g } = m.trace({ x: { shape: [2, 3, 4] } });
  const live = g.nodes.filter((n) => n.outputs.some((v) => g.outputs.some((o) => o.value === v)));
  assert.equal(
    live.map((n) => n.op),
    ['reshape'],
  );
  assert.equal((await m.run({ x: ramp([2, 3, 4]) })).y!.shape, [2, 12]);
  await m.run({ x: ramp([2, 3, 4]) }).then((r) => assert.equal(numbers(r.y).slice(0, 3), [0, 1, 2]));
  m.dispose();
  try {
    await m.run({ x: ramp([2, 3, 4]) });
    assert.unreachable();
  } catch (e) {
    assert.match((e as Error).message, /disposed/);
  }
});

test('an input that decides a shape is compiled in, for each of its contents', async () => {
  const m = await OnnxModel.create(
    model({ nodes: [node('Reshape', ['x', 'shape'], ['y'])], inputs: [f32([6]), info('shape', 'int64', [2])], outputs: ['y'] }),
    { device: 'reference' },
  );
  assert.equal((await m.run({ x: ramp([6]), shape: [2, 3] })).y!.shape, [2, 3]);
  assert.equal((await m.run({ x: ramp([6]), shape: [3, -1] })).y!.shape, [3, 2]);
  m.dispose();
});

test('symbolic dimensions are bound by the data', async () => {
  const parts: GraphParts = {
    nodes: [node('ReduceMean', ['x'], ['y'], { axes: [1], keepdims: 0 })],
    inputs: [f32(['batch', 'time'])],
    outputs: ['y'],
    opset: 13,
  };
  assert.equal(numbers((await run(parts, { x: ramp([2, 3]) })).y), [1, 4]);
  assert.equal(numbers((await run(parts, { x: ramp([1, 4]) })).y), [1.5]);
});

test('everything that is not supported is listed in one error', async () => {
  const e = await failure({
    nodes: [node('Frobnicate', ['x'], ['a']), node('Relu', ['a'], ['b']), node('StringNormalizer', ['b'], ['c']), node('Foo', ['c'], ['y'], {}, 'my.domain')],
    inputs: [f32([1]), { name: 's', type: { tensor_type: { elem_type: 8 } } }],
    outputs: ['y'],
    domains: { 'my.domain': 1 },
  });
  assert.instance(e, UnsupportedError);
  for (const part of ['4 nodes', "Frobnicate 'Frobnicate_a'", 'StringNormalizer', 'my.domain.Foo', "input 's': tensors of string"])
    assert.match(e.message, part);
});

test('versions: an op newer than the opset, an opset that is not known', async () => {
  assert.match(
    (await failure({ nodes: [node('Gelu', ['x'], ['y'])], inputs: [f32([1])], outputs: ['y'], opset: 17 }, { x: [1] })).message,
    /came with opset 20/,
  );
  assert.match(
    (await failure({ nodes: [node('Relu', ['x'], ['y'])], inputs: [f32([1])], outputs: ['y'], opset: 99 }, { x: [1] })).message,
    /opset 99 is not supported/,
  );
  assert.match(
    (await failure({ nodes: [node('Relu', ['x'], ['y'], { slope: 3 })], inputs: [f32([1])], outputs: ['y'] }, { x: [1] })).message,
    /no attribute 'slope'/,
  );
  assert.match((await failure({ nodes: [node('Concat', ['x'], ['y'])], inputs: [f32([1])], outputs: ['y'] }, { x: [1] })).message, /'axis' is missing/);
});

test('broken graphs: cycles, missing names, names twice, missing outputs', async () => {
  const relu = (i: string, o: string) => node('Relu', [i], [o]);
  const cycle = await failure({ nodes: [relu('b', 'a'), relu('a', 'b')], inputs: [f32([1])], outputs: ['b'] }, { x: [1] });
  assert.instance(cycle, FormatError);
  assert.match(cycle.message, /cycle or are not sorted/);
  assert.match((await failure({ nodes: [relu('q', 'y')], inputs: [f32([1])], outputs: ['y'] }, { x: [1] })).message, /'q' is not defined/);
  assert.match((await failure({ nodes: [relu('x', 'y'), relu('x', 'y')], inputs: [f32([1])], outputs: ['y'] }, { x: [1] })).message, /'y' is defined twice/);
  assert.match((await failure({ nodes: [relu('x', 'y')], inputs: [f32([1])], outputs: ['z'] }, { x: [1] })).message, /output 'z' is not computed/);
});

test('inputs are checked before anything runs', async () => {
  const parts: GraphParts = { nodes: [node('Relu', ['x'], ['y'])], inputs: [f32([2, 3])], outputs: ['y'] };
  assert.instance(await failure(parts, { x: ramp([3, 2]) }), ShapeError);
  assert.instance(await failure(parts, { x: { dtype: 'int32', shape: [2, 3], data: new Int32Array(6) } }), ValueError);
  assert.match((await failure(parts, {})).message, /input 'x' \(float32\[2,3\]\) is missing/);
  assert.match((await failure(parts, { x: ramp([2, 3]), z: [1] })).message, /no input 'z'; it has 'x'/);
});

const twice = {
  name: 'Twice',
  domain: 'f',
  input: ['a', 'b'],
  output: ['c'],
  attribute: ['axis'],
  opset_import: [{ domain: '', version: 13 }],
  node: [node('Concat', ['a', 'a'], ['t'], { axis: { ref: 'axis', type: 2 } }), node('Identity', ['t'], ['c'])],
};

test('functions are inlined, with their own opset and attributes', async () => {
  const parts: GraphParts = {
    nodes: [node('Twice', ['x'], ['y'], { axis: 1 }, 'f')],
    inputs: [f32([1, 2])],
    outputs: ['y'],
    functions: [twice],
    domains: { f: 1 },
  };
  assert.equal((await run(parts, { x: ramp([1, 2]) })).y!.shape, [1, 4]);
  const loops = { ...twice, node: [node('Twice', ['a'], ['c'], { axis: 0 }, 'f')] };
  const e = await failure({ ...parts, functions: [loops] }, { x: ramp([1, 2]) });
  assert.instance(e, FormatError);
  assert.match(e.message, /calls itself/);
});

test('If: a known condition takes one branch, another both', async () => {
  const branch = (op: string) => graph({ nodes: [node(op, ['x'], [`${op}_out`])], outputs: [`${op}_out`] });
  const parts: GraphParts = {
    nodes: [node('If', ['c'], ['y'], { then_branch: { graph: branch('Neg') }, else_branch: { graph: branch('Abs') } })],
    inputs: [f32([2]), info('c', 'bool', [])],
    outputs: ['y'],
  };
  assert.equal(numbers((await run(parts, { x: [-1, 2], c: [1] })).y), [1, -2]);
  assert.equal(numbers((await run(parts, { x: [-1, 2], c: [0] })).y), [1, 2]);
  const { graph: g } = (await OnnxModel.create(model(parts), { device: 'reference' })).trace({ x: { shape: [2] }, c: { shape: [] } });
  assert.ok(
    g.nodes.some((n) => n.op === 'if'),
    'an unknown condition stays in the graph',
  );
});

test('Loop: a count, a condition that ends it, values from outside, stacked results', async () => {
  const body = graph({
    inputs: [info('i', 'int64', []), info('go', 'bool', []), f32([], 's')],
    nodes: [node('Add', ['s', 'step'], ['s2']), node('Less', ['s2', 'limit'], ['go2']), node('Identity', ['s2'], ['out'])],
    outputs: [info('go2', 'bool', []), f32([], 's2'), f32([], 'out')],
  });
  const parts: GraphParts = {
    nodes: [node('Loop', ['m', '', 'start'], ['last', 'all'], { body: { graph: body } })],
    inputs: [f32([], 'step'), f32([], 'limit'), f32([], 'start')],
    outputs: ['last', 'all'],
    initializers: [longs('m', [], [10])],
  };
  const r = await run(parts, { step: [2], limit: [7], start: [0] });
  assert.equal(numbers(r.last), [8]);
  assert.equal(numbers(r.all), [2, 4, 6, 8], 'cut to the steps that ran');
});

test('a Loop without a bound is a while', async () => {
  const body = graph({
    inputs: [info('i', 'int64', []), info('go', 'bool', []), f32([], 's')],
    nodes: [node('Mul', ['s', 'two'], ['s2']), node('Less', ['s2', 'limit'], ['go2'])],
    outputs: [info('go2', 'bool', []), f32([], 's2')],
    initializers: [floats('two', [], [2])],
  });
  const parts: GraphParts = {
    nodes: [node('Loop', ['', '', 'start'], ['last'], { body: { graph: body } })],
    inputs: [f32([], 'start'), f32([], 'limit')],
    outputs: ['last'],
  };
  assert.equal(numbers((await run(parts, { start: [1], limit: [100] })).last), [128]);
});

test('sizes that depend on the data: a bound, a count, and what may follow', async () => {
  const parts: GraphParts = {
    nodes: [node('NonZero', ['x'], ['at']), node('Transpose', ['at'], ['t']), node('GatherND', ['x', 't'], ['v']), node('Neg', ['v'], ['y'])],
    inputs: [f32([2, 3])],
    outputs: [info('at', 'int64', []), f32([], 'y')].map((o) => ({ ...o, type: { tensor_type: { elem_type: o.type!.tensor_type!.elem_type } } })),
  };
  const r = await run(parts, { x: { shape: [2, 3], data: [0, 5, 0, 7, 0, 9] } });
  assert.equal(r.at!.shape, [2, 3]);
  assert.equal(numbers(r.at), [0, 1, 1, 1, 0, 2]);
  assert.equal(numbers(r.y), [-5, -7, -9]);
  const e = await failure({ ...parts, nodes: [parts.nodes[0]!, node('ReduceMax', ['at'], ['y'])] }, { x: ramp([2, 3]) });
  assert.instance(e, UnsupportedError);
  assert.match(e.message, /depends on the data/);
});

test('custom ops, and every op of the table has versions in order', async () => {
  const { op, float } = await import('../../frontend/onnx/index.js');
  const scale = op('Scale', [1], { by: float(2) }, (c, a) => c.b.mul(c.in(0), a.by), { domain: 'my' });
  const parts: GraphParts = { nodes: [node('Scale', ['x'], ['y'], { by: { float: 3 } }, 'my')], inputs: [f32([1])], outputs: ['y'], domains: { my: 1 } };
  assert.equal(numbers((await run(parts, { x: [2] }, { customOps: [scale] })).y), [6]);
  const { families } = await import('../../frontend/onnx/ops/index.js');
  const names = new Set<string>();
  for (const e of Object.values(families).flat()) {
    assert.not(names.has(`${e.domain}:${e.name}`), `${e.name} is listed once`);
    names.add(`${e.domain}:${e.name}`);
    assert.equal(
      [...e.versions],
      [...new Set(e.versions)].sort((a, b) => a - b),
      e.name,
    );
  }
});

test('recursion in functions is found without running them', () => {
  const data = new ModelData(
    model({ nodes: [], outputs: [], functions: [{ ...twice, node: [node('Twice', ['a'], ['c'], { axis: 0 }, 'f')] }], domains: { f: 1 } }),
  );
  assert.throws(() => checkSupport(data), /calls itself/);
});

test('on WebAssembly a convolution of one position does not write over what its other groups still read', async () => {
  const wave = (n: number, k: number): number[] => Array.from({ length: n }, (_, i) => Math.sin(k * i + k) / 8);
  const proto = model({
    inputs: [info('x', 'float32', ['n', 64, 2, 2])],
    initializers: [floats('k1', [64, 64, 1, 1], wave(4096, 3)), floats('k2', [64, 64, 3, 3], wave(36864, 5)), floats('b', [64], wave(64, 7))],
    nodes: [
      node('Conv', ['x', 'k1', 'b'], ['a'], { strides: [2, 2] }),
      node('Relu', ['a'], ['r']),
      node('Conv', ['r', 'k2', 'b'], ['y'], { pads: [1, 1, 1, 1], kernel_shape: [3, 3] }),
    ],
    outputs: ['y'],
  });
  const x = { shape: [1, 64, 2, 2], data: Float32Array.from(wave(256, 11)) };
  const results: (readonly number[])[] = [];
  for (const device of ['wasm', 'reference'] as const) {
    const m = await OnnxModel.create(proto, { device });
    results.push(Array.from((await m.run({ x })).y!.data as Float32Array));
    m.dispose();
  }
  results[0]!.forEach((v, i) => {
    assert.ok(Math.abs(v - results[1]![i]!) < 1e-5, `element ${i}: ${v} and ${results[1]![i]}`);
  });
});

test.run();
