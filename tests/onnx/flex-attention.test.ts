/** FlexAttention of ai.onnx.preview: products, groups of heads, and both modifiers, against the formula. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { f32, floats, type GraphParts, graph, node, numbers, ramp, run } from './build.js';

const [heads, queries, keys, width] = [2, 2, 3, 2];
const feeds = { q: ramp([1, heads, queries, width], 0.1), k: ramp([1, 1, keys, width], 0.2, -0.5), v: ramp([1, 1, keys, width], 1) };
const inputs = [f32([1, heads, queries, width], 'q'), f32([1, 1, keys, width], 'k'), f32([1, 1, keys, width], 'v')];

/** One group of keys and values for both heads. */
function expected(scale: number, score: (x: number) => number, prob: (x: number) => number): number[] {
  const out: number[] = [];
  for (let r = 0; r < heads * queries; r++) {
    const e = Array.from({ length: keys }, (_, j) => {
      let s = 0;
      for (let d = 0; d < width; d++) s += feeds.q.data[r * width + d]! * feeds.k.data[j * width + d]!;
      return Math.exp(score(s * scale));
    });
    const total = e.reduce((a, x) => a + x, 0);
    for (let d = 0; d < width; d++) out.push(e.reduce((a, x, j) => a + prob(x / total) * feeds.v.data[j * width + d]!, 0));
  }
  return out;
}

const modifier = (op: string, value: number): ReturnType<typeof graph> =>
  graph({ nodes: [node(op, ['s', 'c'], ['m'])], inputs: [f32(['B', 'H', 'L', 'S'], 's')], outputs: ['m'], initializers: [floats('c', [], [value])] });
const parts = (attributes: Parameters<typeof node>[3]): GraphParts => ({
  nodes: [node('FlexAttention', ['q', 'k', 'v'], ['y'], attributes, 'ai.onnx.preview')],
  inputs,
  outputs: ['y'],
  opset: 25,
  domains: { 'ai.onnx.preview': 1 },
});
const close = (a: readonly number[], b: readonly number[]): void => {
  assert.is(a.length, b.length);
  for (const [i, x] of b.entries()) assert.ok(Math.abs(a[i]! - x) < 1e-5, `element ${i} is ${a[i]}, expected ${x}`);
};

test('scaled products, softmax, products; a group of query heads shares keys and values', async () => {
  const same = (x: number): number => x;
  close(numbers((await run(parts({}), feeds)).y), expected(1 / Math.sqrt(width), same, same));
  close(numbers((await run(parts({ scale: { float: 2 } }), feeds)).y), expected(2, same, same));
});

test('score_mod changes the scores, prob_mod the probabilities', async () => {
  const attributes = { score_mod: { graph: modifier('Mul', 3) }, prob_mod: { graph: modifier('Add', 0.5) } };
  close(
    numbers((await run(parts(attributes), feeds)).y),
    expected(
      1 / Math.sqrt(width),
      (x) => 3 * x,
      (p) => p + 0.5,
    ),
  );
});

test('a modifier of another shape or type is refused', async () => {
  const body = graph({ nodes: [node('Shape', ['s'], ['m'])], inputs: [f32(['B', 'H', 'L', 'S'], 's')], outputs: ['m'] });
  let message = '';
  try {
    await run(parts({ score_mod: { graph: body } }), feeds);
  } catch (e) {
    message = (e as Error).message;
  }
  assert.match(message, /FlexAttention.*must give one tensor float32\[1,2,2,3\]/);
});

test.run();
