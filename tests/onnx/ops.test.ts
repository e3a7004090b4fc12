/** Ops in the forms that old opsets give them, and values by hand for what the conformance cases do not show. On the reference and on WebAssembly. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDevice } from '../../runtime/open.js';
import { f32, floats, type GraphParts, info, longs, node, numbers, ramp, run } from './build.js';

const wasm = await openDevice('wasm');

/** The output y of one node over x and initializers, on both. */
async function check(p: Omit<GraphParts, 'outputs'>, feeds: Parameters<typeof run>[1], expected: readonly number[], shape?: readonly number[]): Promise<void> {
  for (const device of ['reference', wasm] as const) {
    const { y } = await run({ ...p, outputs: [info('y', 'float32', [])].map((o) => ({ name: o.name, type: { tensor_type: { elem_type: 1 } } })) }, feeds, {
      device,
    });
    if (shape) assert.equal(y!.shape, [...shape]);
    assert.is(y!.data.length, expected.length);
    for (const [i, e] of expected.entries())
      assert.ok(Math.abs(numbers(y)[i]! - e) <= 1e-5 * Math.max(1, Math.abs(e)), `element ${i}: ${numbers(y)[i]}, expected ${e}`);
  }
}

test('Add of opset 6: the second operand stands at an axis', () =>
  check(
    { nodes: [node('Add', ['x', 'v'], ['y'], { broadcast: 1, axis: 0 })], inputs: [f32([2, 3])], initializers: [floats('v', [2], [10, 20])], opset: 6 },
    { x: ramp([2, 3]) },
    [10, 11, 12, 23, 24, 25],
  ));

test('Clip: attributes before opset 11, inputs since', async () => {
  const inputs = [f32([3])];
  await check({ nodes: [node('Clip', ['x'], ['y'], { min: { float: 0 }, max: { float: 1 } })], inputs, opset: 6 }, { x: [-1, 0.5, 2] }, [0, 0.5, 1]);
  await check({ nodes: [node('Clip', ['x', '', 'hi'], ['y'])], inputs, initializers: [floats('hi', [], [1])], opset: 13 }, { x: [-1, 0.5, 2] }, [-1, 0.5, 1]);
});

test('Softmax before opset 13 is over all axes from its axis on', async () => {
  const e = Math.exp(1);
  await check({ nodes: [node('Softmax', ['x'], ['y'])], inputs: [f32([1, 2, 1])], opset: 11 }, { x: ramp([1, 2, 1]) }, [1 / (1 + e), e / (1 + e)]);
  await check({ nodes: [node('Softmax', ['x'], ['y'])], inputs: [f32([1, 2, 1])], opset: 13 }, { x: ramp([1, 2, 1]) }, [1, 1]);
});

test('axes as attributes and as inputs', async () => {
  const inputs = [f32([1, 2])];
  await check({ nodes: [node('Squeeze', ['x'], ['y'], { axes: [0] })], inputs, opset: 9 }, { x: [1, 2] }, [1, 2], [2]);
  await check({ nodes: [node('Unsqueeze', ['x', 'a'], ['y'])], inputs, initializers: [longs('a', [1], [-1])], opset: 13 }, { x: [1, 2] }, [1, 2], [1, 2, 1]);
  await check({ nodes: [node('ReduceSum', ['x'], ['y'], { axes: [1], keepdims: 0 })], inputs, opset: 11 }, { x: [1, 2] }, [3], [1]);
  await check({ nodes: [node('Slice', ['x'], ['y'], { starts: [1], ends: [9], axes: [1] })], inputs, opset: 6 }, { x: [1, 2] }, [2], [1, 1]);
  await check({ nodes: [node('Split', ['x'], ['', 'y'], { axis: 1, split: [1, 1] })], inputs, opset: 6 }, { x: [1, 2] }, [2], [1, 1]);
  await check({ nodes: [node('Pad', ['x'], ['y'], { pads: [0, 1, 0, -1], value: { float: 7 } })], inputs, opset: 6 }, { x: [1, 2] }, [7, 1], [1, 2]);
});

test('Upsample by attribute and by input; TopK with k as an attribute', async () => {
  const inputs = [f32([1, 1, 1, 2])];
  const expected = [1, 1, 2, 2];
  await check({ nodes: [node('Upsample', ['x'], ['y'], { scales: { floats: [1, 1, 1, 2] } })], inputs, opset: 7 }, { x: [1, 2] }, expected, [1, 1, 1, 4]);
  await check({ nodes: [node('Upsample', ['x', 's'], ['y'])], inputs, initializers: [floats('s', [4], [1, 1, 1, 2])], opset: 9 }, { x: [1, 2] }, expected);
  await check({ nodes: [node('TopK', ['x'], ['y', 'at'], { k: 2 })], inputs: [f32([4])], opset: 9 }, { x: [3, 9, 1, 9] }, [9, 9]);
});

test('BatchNormalization of opset 6 and average pools whose windows reach into padding', async () => {
  const parts = { inputs: [f32([1, 2, 1])], initializers: [floats('o', [2], [1, 2]), floats('z', [2], [0, 1]), floats('v', [2], [1, 4])] };
  const bn = (opset: number, attributes: Record<string, number | { float: number }>) =>
    check(
      { ...parts, nodes: [node('BatchNormalization', ['x', 'o', 'z', 'z', 'v'], ['y'], { epsilon: { float: 0 }, ...attributes })], opset },
      { x: [3, 5] },
      [3, 5],
    );
  await bn(6, { is_test: 1 });
  await bn(15, {});
  const pool = (count: number, expected: number[]) =>
    check(
      { nodes: [node('AveragePool', ['x'], ['y'], { kernel_shape: [2], pads: [1, 1], count_include_pad: count })], inputs: [f32([1, 1, 2])], opset: 11 },
      { x: [2, 4] },
      expected,
    );
  await pool(0, [2, 3, 4]);
  await pool(1, [1, 3, 2]);
});

test('com.microsoft: FusedConv and SkipLayerNormalization', async () => {
  const domains = { 'com.microsoft': 1 };
  await check(
    {
      nodes: [node('FusedConv', ['x', 'w'], ['y'], { activation: 'Relu', kernel_shape: [1] }, 'com.microsoft')],
      inputs: [f32([1, 1, 2])],
      initializers: [floats('w', [1, 1, 1], [-2])],
      domains,
    },
    { x: [-1, 1] },
    [2, 0],
  );
  await check(
    {
      nodes: [node('SkipLayerNormalization', ['x', 's', 'g'], ['y'], {}, 'com.microsoft')],
      inputs: [f32([1, 2])],
      initializers: [floats('s', [1, 2], [1, 1]), floats('g', [2], [1, 3])],
      domains,
    },
    { x: [0, 2] },
    [-1, 3],
  );
});

test('the device is given back', () => wasm.dispose());

test.run();
