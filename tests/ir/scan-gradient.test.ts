/** Gradients through control flow: scan (LSTM, reverse, nested, shared parameters, twice), if, composites. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { gradients } from '../../ir/autodiff.js';
import { GraphBuilder } from '../../ir/builder.js';
import { symbol } from '../../ir/dim.js';
import { UnsupportedError } from '../../ir/errors.js';
import { evaluate } from '../../ir/evaluate.js';
import type { NodeOf, Value } from '../../ir/graph.js';
import { composite, scan, subgraph } from '../../ir/subgraph.js';
import { removeDead } from '../../ir/transform.js';
import { checkedOps, checkGradient, floats, generator } from './check-gradient.js';

const [T, B, I, U] = [4, 2, 3, 2];

/** x [T,B,I], h0 [B,U], c0 [B,U], W [I,4U], R [U,4U], bias [4U] -> last h, last c, all h. */
function lstm(reverse: boolean) {
  return (b: GraphBuilder, [x, h0, c0, w, r, bias]: readonly Value[]): Value[] => {
    const { carries, ys } = scan(b, { name: 'lstm', carries: [h0!, c0!], xs: [x!], constants: [w!, r!, bias!], reverse }, (s, [h, c], [xt], [wi, ri, bi]) => {
      const units = h!.shape[1] as number;
      const z = s.add(s.add(s.matmul(xt!, wi!), s.matmul(h!, ri!)), bi!);
      const gate = (k: number): Value => s.sliceAxis(z, 1, k * units, (k + 1) * units);
      const [i, f, g, o] = [s.sigmoid(gate(0)), s.sigmoid(gate(1)), s.tanh(gate(2)), s.sigmoid(gate(3))];
      const next = s.add(s.mul(f, c!), s.mul(i, g));
      const out = s.mul(o, s.tanh(next));
      return { carries: [out, next], ys: [out] };
    });
    return [...carries, ...ys];
  };
}

const lstmData = (seed: number) => {
  const random = generator(seed);
  return [
    floats([T, B, I], random),
    floats([B, U], random),
    floats([B, U], random),
    floats([I, 4 * U], random),
    floats([U, 4 * U], random),
    floats([4 * U], random),
  ];
};

for (const reverse of [false, true]) {
  test(`LSTM${reverse ? ', reversed' : ''}, twice`, () => checkGradient(lstm(reverse), lstmData(3), { order: 2, tolerance: 1e-5 }));
}

test('LSTM: carries cotangents only, saves three tensors a step, sums parameters in one contraction each', () => {
  const b = new GraphBuilder();
  b.declareSymbol('batch', 8);
  const n = symbol('batch');
  const inputs = [b.input('x', 'float32', [T, n, I]), b.input('h0', 'float32', [n, U]), b.input('c0', 'float32', [n, U])];
  const weights = [b.input('w', 'float32', [I, 4 * U]), b.input('r', 'float32', [U, 4 * U]), b.input('bias', 'float32', [4 * U])];
  const [h] = lstm(false)(b, [...inputs, ...weights]);
  gradients(b, b.sum(h!), [...weights, inputs[0]!]).forEach((g, i) => b.output(`g${i}`, g));
  const graph = removeDead(b.build());
  const scans = graph.nodes.filter((node): node is NodeOf<'scan'> => node.op === 'scan');
  assert.is(scans.length, 2);
  const [forward, backward] = scans as [NodeOf<'scan'>, NodeOf<'scan'>];
  // z (the sum before the gates), the cell before the step, and the hidden state before it for R's gradient.
  assert.is(forward.outputs.length - forward.attrs.carries, 1 + 3);
  assert.is(backward.attrs.carries, 2);
  assert.ok(backward.attrs.reverse);
  assert.is(backward.outputs.length, 3);
  const body = backward.attrs.body.nodes.filter((node) => node.op === 'dot');
  assert.is(body.length, 1, 'only dz · Rᵀ stays in the loop');
  const outside = graph.nodes.filter((node): node is NodeOf<'dot'> => node.op === 'dot');
  assert.is(outside.length, 3, 'gradients of W, R and x');
  assert.is(outside.filter((d) => d.attrs.contractLeft.length === 2).length, 2);
});

test('a parameter that is transformed inside the body, and one used elementwise', () => {
  const random = generator(5);
  checkGradient(
    (b, [x, h0, w, scale]) => {
      const { carries } = scan(b, { carries: [h0!], xs: [x!], constants: [w!, scale!] }, (s, [h], [xt], [wi, sc]) => {
        const norm = s.rsqrt(s.sum(s.square(wi!)));
        const z = s.add(xt!, s.matmul(h!, s.mul(s.transpose(wi!, [1, 0]), norm)));
        return { carries: [s.tanh(s.mul(z, s.exp(sc!)))], ys: [] };
      });
      return carries;
    },
    [floats([3, 2, 3], random), floats([2, 3], random), floats([3, 3], random), floats([2, 3], random, -0.5, 0.5)],
    { order: 2, tolerance: 1e-5 },
  );
});

test('the same value as two constants, as sequence and as carry', () => {
  const random = generator(6);
  checkGradient(
    (b, [x]) => {
      const { carries, ys } = scan(b, { carries: [x!], xs: [x!], constants: [x!, x!] }, (s, [c], [xt], [k, l]) => {
        const next = s.mul(s.add(c!, xt!), s.sigmoid(s.mul(k!, s.tanh(l!))));
        return { carries: [next], ys: [s.sum(s.mul(next, xt!)), k!] };
      });
      return [...carries, ...ys];
    },
    [floats([2, 2], random)],
    { order: 2, tolerance: 1e-5 },
  );
});

test('a carry that counts and an embedding table that the body gathers from', () => {
  const random = generator(7);
  checkGradient(
    (b, [table, h0]) => {
      const { carries } = scan(b, { carries: [b.scalar(0, 'int32'), h0!], xs: [], constants: [table!], length: 5 }, (s, [i, h], _xs, [t]) => {
        const row = s.gather(t!, s.emit('binary', [i!, s.scalar(3, 'int32')], { fn: 'rem' }));
        return { carries: [s.add(i!, 1), s.tanh(s.add(s.mul(h!, row), row))], ys: [] };
      });
      return carries[1]!;
    },
    [floats([3, 2], random), floats([2], random)],
    { order: 2, tolerance: 1e-5 },
  );
});

test('a scan inside a scan', () => {
  const random = generator(8);
  checkGradient(
    (b, [x, h0, w]) => {
      const { carries, ys } = scan(b, { carries: [h0!], xs: [x!], constants: [w!] }, (s, [h], [xt], [wi]) => {
        const inner = scan(s, { carries: [h!], xs: [xt!], constants: [wi!] }, (r, [c], [v], [k]) => {
          const next = r.tanh(r.add(r.mul(c!, k!), v!));
          return { carries: [next], ys: [r.square(next)] };
        });
        return { carries: inner.carries, ys: [s.sum(inner.ys[0]!)] };
      });
      return [...carries, ...ys];
    },
    [floats([3, 4, 2], random), floats([2], random), floats([2], random)],
    { tolerance: 1e-5 },
  );
});

test('a convolution inside a scan: the kernel gradient is one convolution after the loop', () => {
  const random = generator(9);
  const roles = { batch: 0, feature: 2, spatial: [1] };
  const conv = {
    strides: [1],
    padding: [[1, 1]] as const,
    inputDilation: [1],
    kernelDilation: [1],
    groups: 1,
    batchGroups: 1,
    dims: { input: roles, kernel: { input: 1, output: 2, spatial: [0] }, output: roles },
  };
  const build = (b: GraphBuilder, [x, h0, k]: readonly Value[]): readonly Value[] =>
    scan(b, { carries: [h0!], xs: [x!], constants: [k!] }, (s, [h], [xt], [kernel]) => ({
      carries: [s.tanh(s.add(s.emit('conv', [h!, kernel!], conv), xt!))],
      ys: [],
    })).carries;
  const data = [floats([3, 2, 4, 2], random), floats([2, 4, 2], random), floats([3, 2, 2], random)];
  checkGradient(build, data, { tolerance: 1e-5 });
  const b = new GraphBuilder();
  const inputs = data.map((d, i) => b.input(`x${i}`, d.dtype, d.shape));
  gradients(b, b.sum(build(b, inputs)[0]!), [inputs[2]!]).forEach((g) => b.output('g', g));
  assert.is(removeDead(b.build()).nodes.filter((n) => n.op === 'conv').length, 1);
});

test('no gradient of a sequence or carry that has no influence', () => {
  const b = new GraphBuilder();
  const [x, unused, h0] = [b.input('x', 'float32', [3, 2]), b.input('unused', 'float32', [3, 2]), b.input('h0', 'float32', [2])];
  const { ys } = scan(b, { carries: [h0], xs: [x, unused] }, (s, [h], [xt, u]) => ({ carries: [s.add(h!, u!)], ys: [s.square(xt!)] }));
  const found = gradients(b, b.sum(ys[0]!), [x, unused, h0], { missing: 'null' });
  assert.ok(found[0]);
  assert.is(found[1], null);
  assert.is(found[2], null);
});

test('if', () => {
  const random = generator(10);
  for (const flag of [-1, 1]) {
    checkGradient(
      (b, [x, y]) => {
        const types = [x!, y!];
        const then = subgraph(b, 'then', { x: types }, (s, { x: v }) => [s.mul(v![0]!, v![1]!)]);
        const other = subgraph(b, 'else', { x: types }, (s, { x: v }) => [s.tanh(v![0]!)]);
        return b.emit('if', [b.compare('gt', b.scalar(flag), 0), x!, y!], { then, else: other });
      },
      [floats([2, 3], random), floats([2, 3], random)],
      { order: 2 },
    );
  }
});

test('a composite without a rule is differentiated through its body, once per use of a value', () => {
  const random = generator(11);
  checkGradient((b, [x]) => composite(b, 'product', [x!, b.tanh(x!), x!], {}, (s, [p, q, r]) => s.mul(s.mul(p!, q!), r!)), [floats([3], random)], { order: 2 });
});

test('while has no gradient, and says why and where', () => {
  const b = new GraphBuilder();
  const x = b.input('x', 'float32', []);
  const cond = subgraph(b, 'cond', { x: [x] }, (s, { x: v }) => [s.compare('lt', v![0]!, 10)]);
  const body = subgraph(b, 'body', { x: [x] }, (s, { x: v }) => [s.mul(v![0]!, 2)]);
  const y = b.withOrigin('loop_1', () => b.emit('while', [x], { cond, body, carries: 1 }));
  b.output('y', y);
  assert.is(evaluate(b.build(), { inputs: { x: { dtype: 'float32', shape: [], data: Float32Array.of(3) } } }).outputs.y!.data[0], 12);
  assert.throws(
    () => gradients(b, y, [x]),
    (e: unknown) => e instanceof UnsupportedError && /loop_1: while has no gradient: .*use scan/.test(e.message),
  );
});

test('every kind of control flow that has a gradient has been checked', () => {
  assert.equal(
    ['scan', 'if', 'composite'].filter((op) => !checkedOps.has(op)),
    [],
  );
});

test.run();
