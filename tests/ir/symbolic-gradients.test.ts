/** Gradients of a graph with a symbolic batch are those of the same graph with the batch written out. */

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { gradients } from '../../ir/autodiff.js';
import { GraphBuilder } from '../../ir/builder.js';
import { addDim, type Dim, mulDim, symbol } from '../../ir/dim.js';
import { numberAt, numbersOf } from '../../ir/dtype.js';
import { evaluate } from '../../ir/evaluate.js';
import type { Value } from '../../ir/graph.js';
import { convolution, sparseSoftmaxCrossEntropy } from '../../ir/math.js';
import { scan } from '../../ir/subgraph.js';
import type { TensorData } from '../../ir/tensor-data.js';
import { floats, generator, ints } from './check-gradient.js';

interface Model {
  /** Shapes of the inputs for a batch; names that start with i are int32. */
  readonly inputs: (n: Dim) => Record<string, readonly Dim[]>;
  readonly loss: (b: GraphBuilder, v: Record<string, Value>, n: Dim) => Value;
}

const ones = (n: number): number[] => Array.from({ length: n }, () => 1);

const models: Record<string, Model> = {
  'convolution, batch norm, pooling, dense, cross entropy': {
    inputs: (n) => ({ x: [n, 6, 6, 2], k: [3, 3, 2, 4], d: [3, 3, 1, 4], gamma: [4], w: [36, 3], ilabels: [n] }),
    loss: (b, v) => {
      const y = convolution(b, convolution(b, v.x!, v.k!, { padding: 'same' }), v.d!, { padding: 'same', strides: 2, groups: 4 });
      const centered = b.sub(y, b.mean(y, [0, 1, 2]));
      const normal = b.relu(b.mul(b.mul(centered, b.rsqrt(b.add(b.mean(b.square(centered), [0, 1, 2]), 1e-3))), v.gamma!));
      const pooled = b.emit('reduce_window', [normal], {
        fn: 'max',
        window: [1, 2, 2, 1],
        strides: ones(4),
        padding: [
          [0, 0],
          [1, 0],
          [1, 0],
          [0, 0],
        ],
        baseDilation: ones(4),
        windowDilation: ones(4),
      });
      return b.mean(sparseSoftmaxCrossEntropy(b, b.matmul(b.reshape(pooled, [v.x!.shape[0]!, -1]), v.w!), v.ilabels!));
    },
  },
  'embedding, recurrence over time, attention over a symbolic axis': {
    inputs: (n) => ({ itokens: [n, 5], table: [7, 3], r: [3, 3], q: [n, 3] }),
    loss: (b, v, n) => {
      const x = b.transpose(b.gather(v.table!, v.itokens!), [1, 0, 2]);
      const { carries, ys } = scan(b, { carries: [b.full([n, 3], 0)], xs: [x], constants: [v.r!] }, (s, [h], [xt], [r]) => {
        const next = s.tanh(s.add(xt!, s.matmul(h!, r!)));
        return { carries: [next], ys: [next] };
      });
      const scores = b.dot(ys[0]!, v.q!, { batchLeft: [1], batchRight: [0], contractLeft: [2], contractRight: [1] });
      return b.add(b.mean(b.square(scores)), b.mean(carries[0]!));
    },
  },
  'slices, padding and joins of the batch axis': {
    inputs: (n) => ({ x: [n, 3] }),
    loss: (b, v, n) => {
      const x = v.x!;
      const both = b.concat([x, b.square(x)], 0);
      const second = b.sliceAxis(both, 0, n, mulDim(n, 2));
      const odd = b.sliceAxis(both, 0, 0, mulDim(n, 2), 2);
      const tail = b.sliceAxis(b.pad(x, [2, 0], [0, 1], 1), 0, 1, addDim(n, 2));
      const merged = b.reshape(x, [mulDim(n, 3)]);
      return [second, odd, tail, merged].map((y) => b.mean(b.tanh(y))).reduce((p, q) => b.add(p, q));
    },
  },
};

function gradientsOf(model: Model, n: Dim, data: Record<string, TensorData>): Record<string, TensorData> {
  const b = new GraphBuilder();
  const inputs = Object.fromEntries(
    Object.entries(model.inputs(n)).map(([name, shape]) => [name, b.input(name, name.startsWith('i') ? 'int32' : 'float32', shape)]),
  );
  const wrt = Object.entries(inputs).filter(([name]) => !name.startsWith('i'));
  gradients(
    b,
    model.loss(b, inputs, n),
    wrt.map(([, v]) => v),
  ).forEach((g, i) => b.output(wrt[i]![0], g));
  return evaluate(b.build(), { inputs: data }).outputs;
}

for (const [name, model] of Object.entries(models)) {
  test(name, () => {
    for (const batch of [2, 3]) {
      const random = generator(batch);
      const data = Object.fromEntries(
        Object.entries(model.inputs(batch)).map(([key, shape]) => [
          key,
          key.startsWith('i') ? ints(shape as number[], random, 0, 2) : floats(shape as number[], random),
        ]),
      );
      const expected = gradientsOf(model, batch, data);
      const found = gradientsOf(model, symbol('batch'), data);
      for (const [key, e] of Object.entries(expected)) {
        assert.equal(found[key]!.shape, e.shape, key);
        numbersOf(e.data).forEach((x, i) =>
          assert.ok(Math.abs(x - numberAt(found[key]!.data, i)) <= 1e-12 * (1 + Math.abs(x)), `${key}[${i}]: ${found[key]!.data[i]}, expected ${x}`),
        );
      }
      assert.ok(Object.values(expected).every((e) => numbersOf(e.data).some((x) => x !== 0)));
    }
  });
}

test.run();
