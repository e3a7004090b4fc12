/** Channels-first networks keep transposes at their borders only; convolutions with holes are split; 1x1 convolutions are dots. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { GraphBuilder } from '../../ir/builder.js';
import { symbol } from '../../ir/dim.js';
import type { Graph, Value } from '../../ir/graph.js';
import { verify } from '../../ir/verify.js';
import { layout } from '../../passes/layout.js';
import { runPasses } from '../../passes/pipeline.js';
import { stateOnlyNodes } from '../../passes/prepare.js';
import { RuleSet, rewrite } from '../../passes/rewrite.js';
import { convAsDotRules } from '../../passes/rules/conv-as-dot.js';
import { stridedGradientRules } from '../../passes/rules/strided-gradient.js';
import { simplify, simplifyRules } from '../../passes/simplify.js';
import { conv, nchw, nhwc, relu } from '../support/nets.js';
import { compareGraphs, random, randomArguments, randomTensor } from '../support/random-graph.js';

const holes = new RuleSet([...simplifyRules.rules, ...stridedGradientRules]);
const dots = new RuleSet([...simplifyRules.rules, ...convAsDotRules]);
const opsOf = (g: Graph, op: string): number => g.nodes.filter((n) => n.op === op).length;

function same(g: Graph, h: Graph, tolerance = 1e-9): void {
  assert.is(compareGraphs(g, h, randomArguments(g, 3), tolerance), null);
}

function weights(b: GraphBuilder, name: string, shape: readonly number[], seed: number): Value {
  return b.stateSlot(name, 'float32', shape, { initial: randomTensor(random(seed), 'float32', shape) });
}

/** conv - batch norm - relu - pool - concat - residual add, channels first. */
function channelsFirst(): Graph {
  const b = new GraphBuilder('net');
  b.declareSymbol('n', 2);
  const x = b.input('x', 'float32', [symbol('n'), 3, 8, 8]);
  const channel = (v: Value): Value => b.reshape(v, [1, 4, 1, 1]);
  const c1 = conv(b, x, weights(b, 'k1', [4, 3, 3, 3], 1), nchw, {
    padding: [
      [1, 1],
      [1, 1],
    ],
  });
  const normal = b.add(b.mul(b.sub(c1, channel(weights(b, 'mean', [4], 2))), channel(weights(b, 'gamma', [4], 3))), channel(weights(b, 'beta', [4], 4)));
  const a = relu(b, normal);
  const pool = b.emit('reduce_window', [a], {
    fn: 'max',
    window: [1, 1, 2, 2],
    strides: [1, 1, 2, 2],
    padding: [
      [0, 0],
      [0, 0],
      [0, 0],
      [0, 0],
    ],
    baseDilation: [1, 1, 1, 1],
    windowDilation: [1, 1, 1, 1],
  });
  const c2 = conv(b, pool, weights(b, 'k2', [4, 4, 3, 3], 5), nchw, {
    padding: [
      [1, 1],
      [1, 1],
    ],
  });
  const joined = b.concat([pool, relu(b, c2)], 1);
  const c3 = conv(b, joined, weights(b, 'k3', [8, 8, 3, 3], 6), nchw, {
    padding: [
      [1, 1],
      [1, 1],
    ],
  });
  b.output('y', relu(b, b.add(joined, c3)));
  return b.build();
}

test('a channels-first network keeps two transposes, and its kernels are turned at load', () => {
  const g = channelsFirst();
  const h = layout(simplify(g));
  verify(h, 'laid-out');
  same(g, h);
  const early = stateOnlyNodes(h);
  const turns = h.nodes.filter((n) => n.op === 'transpose');
  assert.is(turns.filter((n) => !early.has(n)).length, 2);
  assert.is(turns.filter((n) => early.has(n)).length, 3);
});

test('global pooling leaves no transpose at the end', () => {
  const b = new GraphBuilder('net');
  const x = b.input('x', 'float32', [2, 3, 4, 4]);
  b.output('y', b.mean(relu(b, conv(b, x, weights(b, 'k', [5, 3, 3, 3], 1), nchw)), [2, 3]));
  const g = b.build();
  const h = layout(simplify(g));
  same(g, h);
  const early = stateOnlyNodes(h);
  assert.is(h.nodes.filter((n) => n.op === 'transpose' && !early.has(n)).length, 1);
});

test('channels-last networks are left alone', () => {
  const b = new GraphBuilder('net');
  b.output('y', conv(b, b.input('x', 'float32', [2, 4, 4, 3]), weights(b, 'k', [3, 3, 3, 5], 1), nhwc));
  const g = simplify(b.build());
  assert.is(layout(g), g);
});

test('max pooling and its gradient are turned together', () => {
  const b = new GraphBuilder('net');
  const x = b.input('x', 'float32', [2, 3, 4, 4]);
  const w = b.input('w', 'float32', [4, 3, 1, 1]);
  const y = conv(b, x, w, nchw);
  const window = {
    fn: 'max',
    window: [1, 1, 2, 2],
    strides: [1, 1, 2, 2],
    padding: [
      [0, 0],
      [0, 0],
      [0, 0],
      [0, 0],
    ],
  } as const;
  const p = b.emit('reduce_window', [y], { ...window, baseDilation: [1, 1, 1, 1], windowDilation: [1, 1, 1, 1] });
  b.output('dy', b.sum(b.emit('select_and_scatter', [y, b.exp(p)], window), [2, 3]));
  const g = b.build();
  const h = layout(simplify(g));
  same(g, h);
  assert.is(opsOf(h, 'transpose'), 2);
});

test('convolutions with holes are split into phases, for many sizes', () => {
  for (const stride of [2, 3]) {
    for (const k of [1, 2, 3, 5]) {
      for (const [lo, hi] of [
        [0, 0],
        [1, 2],
        [k - 1, k - 1],
        [2, 0],
        [0, -1],
      ] as const) {
        const b = new GraphBuilder('g');
        const size = (4 - 1) * stride + 1 + lo + hi - k + 1;
        if (size < 1) continue;
        const x = b.input('x', 'float32', [2, 4, 4, 3]);
        b.output(
          'y',
          conv(b, x, b.input('k', 'float32', [k, k, 3, 2]), nhwc, {
            inputDilation: [stride, stride],
            padding: [
              [lo, hi],
              [lo, hi],
            ],
          }),
        );
        const g = b.build();
        const h = rewrite(g, holes);
        verify(h, 'laid-out');
        same(g, h);
        assert.not.ok(h.nodes.some((n) => n.op === 'conv' && n.attrs.inputDilation.some((d) => d > 1)));
        assert.is(opsOf(h, 'conv'), Math.min(k, stride) ** 2);
      }
    }
  }
});

test('1x1 convolutions and their kernel gradients are dots', () => {
  const b = new GraphBuilder('g');
  const x = b.input('x', 'float32', [2, 4, 4, 3]);
  const k = b.input('k', 'float32', [1, 1, 3, 5]);
  const dy = b.input('dy', 'float32', [2, 4, 4, 5]);
  b.output('y', conv(b, x, k, nhwc));
  b.output(
    'dk',
    conv(b, x, dy, {
      input: { batch: 3, feature: 0, spatial: [1, 2] },
      kernel: { input: 0, output: 3, spatial: [1, 2] },
      output: { batch: 2, feature: 3, spatial: [0, 1] },
    }),
  );
  b.output('dx', conv(b, dy, k, { input: nhwc.input, kernel: { spatial: [0, 1], input: 3, output: 2 }, output: nhwc.output }));
  const g = b.build();
  const h = rewrite(g, dots);
  verify(h, 'laid-out');
  same(g, h);
  assert.is(opsOf(h, 'conv'), 0);
  assert.is(opsOf(h, 'dot'), 3);
});

test('the whole pipeline keeps the meaning of the network', () => {
  const g = channelsFirst();
  const h = runPasses(g, { target: 'wasm', training: false, verify: true });
  same(g, h, 1e-6);
});

test.run();
