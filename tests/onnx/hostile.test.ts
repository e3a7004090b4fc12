/** Hostile files: thousands of damaged models end in an error of ours or load, soon and without taking the process down. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { inMemory } from '../../frontend/keras/index.js';
import { OnnxModel } from '../../frontend/onnx/model.js';
import { readModel } from '../../frontend/onnx/read.js';
import { decodeModel, encodeModel } from '../../frontend/onnx/schema/codec.js';
import { NeedsValue } from '../../frontend/onnx/static.js';
import { TenonError } from '../../ir/errors.js';
import { families, familyModel } from '../interop/onnx-families.js';
import { random } from '../support/random-graph.js';
import { f32, floats, type GraphParts, graph, info, longs, model, node } from './build.js';

const body = graph({
  inputs: [info('i', 'int64', []), info('go', 'bool', []), f32([2, 2], 's')],
  nodes: [node('Add', ['s', 'x2'], ['s2']), node('Identity', ['go'], ['go2'])],
  outputs: [info('go2', 'bool', []), f32([2, 2], 's2')],
});
/** Models that use most parts of the format. */
const models: readonly GraphParts[] = [
  {
    nodes: [
      node('Conv', ['x', 'w', 'b'], ['c'], { pads: [1, 1, 1, 1], strides: [2, 2], kernel_shape: [3, 3] }),
      node('BatchNormalization', ['c', 'b', 'b', 'b', 'b'], ['n'], { epsilon: { float: 0.1 } }),
      node('Relu', ['n'], ['r']),
      node('MaxPool', ['r'], ['p'], { kernel_shape: [2, 2], ceil_mode: 1 }),
      node('Flatten', ['p'], ['f']),
      node('Gemm', ['f', 'g'], ['y'], { transB: 1 }),
    ],
    inputs: [f32([1, 2, 8, 8])],
    outputs: ['y'],
    initializers: [floats('w', [2, 2, 3, 3], new Array(36).fill(0.5)), floats('b', [2], [1, 2]), floats('g', [3, 18], new Array(54).fill(1))],
  },
  {
    nodes: [
      node('Shape', ['x'], ['s']),
      node('Slice', ['s', 'one', 'two'], ['d']),
      node('Concat', ['d', 'd'], ['t'], { axis: 0 }),
      node('Expand', ['x', 'k'], ['e']),
      node('Tile', ['e', 'k'], ['tile']),
      node('Range', ['z', 'lim', 'o'], ['range']),
      node('ConstantOfShape', ['k'], ['cs']),
      node('Resize', ['x', '', 'sc'], ['rs'], { mode: 'linear' }),
      node('Pad', ['x', 'pads'], ['y']),
    ],
    inputs: [f32([2, 2])],
    outputs: ['y', 'tile', 'rs', 'cs'],
    initializers: [
      longs('one', [1], [0]),
      longs('two', [1], [2]),
      longs('k', [2], [2, 2]),
      longs('z', [], [0]),
      longs('lim', [], [5]),
      longs('o', [], [1]),
      longs('pads', [4], [1, 0, 0, 1]),
      floats('sc', [2], [2, 2]),
    ],
  },
  {
    nodes: [
      node('Twice', ['x'], ['x2'], { axis: 0 }, 'f'),
      node('Loop', ['m', '', 'x2'], ['l'], { body: { graph: { ...body, input: body.input! } } }),
      node('If', ['cond'], ['y'], {
        then_branch: { graph: graph({ nodes: [node('Neg', ['l'], ['t'])], outputs: ['t'] }) },
        else_branch: { graph: graph({ nodes: [node('Abs', ['l'], ['e'])], outputs: ['e'] }) },
      }),
      node('TopK', ['x', 'kk'], ['v', 'at']),
      node('NonZero', ['x'], ['nz']),
    ],
    inputs: [f32([2, 2]), info('cond', 'bool', [])],
    outputs: ['y', 'v', 'nz'],
    initializers: [longs('m', [], [3]), longs('kk', [1], [1])],
    functions: [
      {
        name: 'Twice',
        domain: 'f',
        input: ['a'],
        output: ['b'],
        attribute: ['axis'],
        opset_import: [{ domain: '', version: 13 }],
        node: [node('Add', ['a', 'a'], ['b'])],
      },
    ],
    domains: { f: 1 },
  },
];

/** One damaged copy: bytes changed, removed, put in, doubled, or cut off. */
function damage(bytes: Uint8Array, r: () => number): Uint8Array {
  const out = Array.from(bytes);
  const times = 1 + Math.floor(r() * 4);
  for (let k = 0; k < times; k++) {
    const at = Math.floor(r() * out.length);
    const kind = Math.floor(r() * 6);
    if (kind === 0) out[at] = Math.floor(r() * 256);
    else if (kind === 1) out[at] = out[at]! ^ (1 << Math.floor(r() * 8));
    else if (kind === 2) out.splice(at, 1 + Math.floor(r() * 8));
    else if (kind === 3) out.splice(at, 0, ...Array.from({ length: 1 + Math.floor(r() * 8) }, () => Math.floor(r() * 256)));
    else if (kind === 4) out.splice(at, 0, ...out.slice(at, at + Math.floor(r() * 40)));
    else out[at] = [0x7f, 0xff, 0x80, 0x00][Math.floor(r() * 4)]!;
  }
  return Uint8Array.from(r() < 0.05 ? out.slice(0, Math.floor(r() * out.length)) : out);
}

/** Loads and traces; the error, if any. */
async function attempt(bytes: Uint8Array): Promise<Error | null> {
  try {
    const m = await OnnxModel.create(decodeModel(bytes), { device: 'reference' });
    m.trace(Object.fromEntries(m.inputs.map((i) => [i.name, { shape: (i.shape ?? []).map((d) => (typeof d === 'number' ? d : 2)) }])));
    m.dispose();
    return null;
  } catch (e) {
    return e as Error;
  }
}

test('2000 damaged models: errors of ours, each soon, memory bounded', async () => {
  const r = random(20261123);
  const seeds = models.map((p) => encodeModel(model(p)));
  for (const s of seeds) assert.is((await attempt(s))?.stack, undefined, 'the model itself is sound');
  const before = process.memoryUsage().rss;
  let [failed, slowest] = [0, 0];
  for (let i = 0; i < 2000; i++) {
    const bytes = damage(seeds[i % seeds.length]!, r);
    const start = performance.now();
    const e = await attempt(bytes);
    slowest = Math.max(slowest, performance.now() - start);
    if (e === null) continue;
    failed++;
    assert.ok(e instanceof TenonError && !/internal:/.test(e.message), `mutation ${i}: ${e.stack}`);
    assert.ok(e.message.length < 20_000, `mutation ${i}: the message has ${e.message.length} characters`);
  }
  assert.ok(failed > 500, `${failed} of 2000 were refused`);
  // Far more than a slow machine needs; a hang or a size taken at its word would pass it.
  assert.ok(slowest < 5000, `the slowest took ${slowest.toFixed(0)} ms`);
  assert.ok(process.memoryUsage().rss - before < 1e9, 'memory is bounded');
});

/** Whole files: networks that are written here, and a published one where it is. Damage is in the structure, not in weights. */
test('2000 damaged copies of real files: read, traced, made into layers', async () => {
  const shared = path.join(
    process.env.TENON_SHARED ?? path.join(path.dirname(fileURLToPath(import.meta.url)), '../../../shared'),
    'onnx/light/light_squeezenet.onnx',
  );
  const files: [string, Uint8Array, number][] = [];
  for (const name of ['block', 'lstm-sequences', 'custom-loops', 'conv-lstm', 'multi-head']) {
    const target = inMemory('m.onnx');
    await familyModel(families.find((f) => f.name === name)!).export(target);
    files.push([name, target.bytes(), 380]);
  }
  if (existsSync(shared)) files.push(['squeezenet', new Uint8Array(readFileSync(shared)), 100]);
  else console.log(`skip a published file: ${shared} is not there`);
  const r = random(7);
  const before = process.memoryUsage().rss;
  let [failed, layers, slowest] = [0, 0, 0];
  for (const [name, bytes, times] of files)
    for (let i = 0; i < times; i++) {
      const start = performance.now();
      try {
        const m = await OnnxModel.create(await readModel(damage(bytes, r)), { device: 'reference' });
        m.trace(Object.fromEntries(m.inputs.map((x) => [x.name, { shape: (x.shape ?? []).map((d) => (typeof d === 'number' ? d : 2)) }])));
        m.asLayers();
        layers++;
      } catch (e) {
        failed++;
        assert.ok(e instanceof TenonError && !/internal:/i.test(e.message), `${name}, mutation ${i}: ${(e as Error).stack}`);
        assert.ok(e.message.length < 20_000, `${name}, mutation ${i}: the message has ${e.message.length} characters`);
      }
      slowest = Math.max(slowest, performance.now() - start);
    }
  assert.ok(failed > 500 && layers > 20, `${failed} refused, ${layers} made into layers`);
  assert.ok(slowest < 5000, `the slowest took ${slowest.toFixed(0)} ms`);
  assert.ok(process.memoryUsage().rss - before < 1e9, 'memory is bounded');
});

const refused = async (p: GraphParts, pattern: RegExp): Promise<void> => {
  const e = await attempt(encodeModel(model(p)));
  assert.ok(e instanceof TenonError, String(e));
  assert.not.instance(e, NeedsValue);
  assert.match(e.message, pattern);
};

test('sizes that a file only claims', async () => {
  const huge = longs('k', [2], [2 ** 40, 2 ** 40]);
  await refused({ nodes: [node('ConstantOfShape', ['k'], ['y'])], outputs: ['y'], initializers: [huge] }, /more than 2147483647 elements/);
  await refused(
    { nodes: [node('Range', ['a', 'b', 'c'], ['y'])], outputs: ['y'], initializers: [longs('a', [], [0]), longs('b', [], [2 ** 50]), longs('c', [], [1])] },
    /elements/,
  );
  await refused({ nodes: [node('HannWindow', ['k'], ['y'])], outputs: ['y'], initializers: [longs('k', [], [2 ** 40])] }, /elements/);
  await refused({ nodes: [node('Split', ['x'], ['y'], { num_outputs: 2 ** 40 })], inputs: [f32([4])], outputs: ['y'], opset: 18 }, /num_outputs/);
  await refused(
    { nodes: [node('MaxPool', ['x'], ['y'], { kernel_shape: [1, 1], pads: [0, 0, 2 ** 50, 0] })], inputs: [f32([1, 1, 4, 4])], outputs: ['y'] },
    /pads/,
  );
  await refused(
    { nodes: [node('Conv', ['x', 'w'], ['y'], { group: 0 })], inputs: [f32([1, 1, 4, 4])], outputs: ['y'], initializers: [floats('w', [1, 1, 1, 1], [1])] },
    /group/,
  );
});

test('subgraphs nested without end', async () => {
  let g = graph({ nodes: [node('Relu', ['x'], ['y'])], outputs: ['y'] });
  for (let i = 0; i < 20; i++)
    g = graph({
      nodes: [node('If', ['c'], ['y'], { then_branch: { graph: g }, else_branch: { graph: graph({ nodes: [], outputs: ['x'] }) } })],
      outputs: ['y'],
    });
  const deep = { ...model({ nodes: [], outputs: [] }), graph: { ...g, input: [f32([1]), info('c', 'bool', [])] } };
  try {
    await readModel(encodeModel(deep), { maxDepth: 10 });
    assert.unreachable();
  } catch (e) {
    assert.ok(e instanceof TenonError, String(e));
    assert.match((e as Error).message, /nested deeper than 10/);
  }
});

test.run();
