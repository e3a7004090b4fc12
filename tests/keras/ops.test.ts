/** `ops` and `backend`: against plain numbers on arrays of the host, the same functions on WebAssembly within a model, and their gradients. */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { backend, Input, KerasTensor, Layer, layers, Model, ops, type SymbolicTensor, Tensor, tensor } from '../../frontend/keras/index.js';
import { numpyOps } from '../support/numpy-ops.js';
import { cases } from '../support/op-cases/index.js';

const flat = (x: unknown): number[] => (Array.isArray(x) ? x.flatMap(flat) : [Number(x)]);
const m = [
  [1, 2, 3],
  [4, -5, 6],
];

const close = (found: ArrayLike<number>, expected: readonly number[], what: string, tolerance = 1e-5) => {
  assert.is(found.length, expected.length, `${what}: number of elements`);
  expected.forEach((e, i) => assert.ok(Math.abs(found[i]! - e) <= tolerance * Math.max(1, Math.abs(e)), `${what}: element ${i} is ${found[i]}, expected ${e}`));
};

test('each op on arrays of the host', () => {
  for (const [name, [inputs, op, expected]] of Object.entries(cases)) {
    const out = op(...inputs.map((x) => tensor(x as number[])));
    assert.instance(out, Tensor, name);
    close((out as Tensor).data, flat(expected), name);
  }
});

test('each op on WebAssembly, as the call of a model', async () => {
  const all = Object.entries(cases);
  const inputs = all.flatMap(([, [xs]]) => xs.map((x) => tensor(x as number[])));
  class Every extends Model {
    override call(xs: readonly SymbolicTensor[]): SymbolicTensor[] {
      let at = 0;
      return all.map(([, [given, op]]) => {
        const own = given.map((x) => {
          const { shape } = tensor(x as number[]);
          return ops.reshape(ops.slice(xs[at++]!, [0, ...shape.map(() => 0)], [1, ...shape]), shape);
        });
        return ops.cast(ops.reshape(op(...own) as SymbolicTensor, [1, -1]), 'float32');
      });
    }
  }
  const model = new Every();
  model.compile({ device: 'wasm' });
  const out = await model.predictAll(
    inputs.map((t) => t.reshape([1, ...t.shape])),
    { batchSize: 1 },
  );
  out.forEach((o, i) => close(o.data, flat(all[i]![1][2]), `${all[i]![0]} on WebAssembly`, 1e-4));
  model.dispose();
});

test('every function of ops has a case, or is tested below', () => {
  const elsewhere = [
    'absolute',
    'amax',
    'amin',
    'trueDivide',
    'var',
    'stopGradient',
    'isnan',
    'isinf',
    'isfinite',
    'nanToNum',
    'shape',
    'ndim',
    'size',
    'cast',
    'ravel',
    'expandDims',
    'squeeze',
    'broadcastTo',
    'gradients',
  ];
  const made = [
    'full',
    'zeros',
    'ones',
    'zerosLike',
    'onesLike',
    'fullLike',
    'eye',
    'identity',
    'arange',
    'linspace',
    'logspace',
    'convertToTensor',
    'convertToNumpy',
    'isTensor',
  ];
  const known = new Set([...Object.keys(cases), ...elsewhere, ...made, ...numpyOps, 'random']);
  assert.equal(
    Object.keys(ops).filter((n) => !known.has(n)),
    [],
  );
});

test('ops that look, make and mark', () => {
  const t = tensor([
    [1, Number.NaN],
    [Infinity, -Infinity],
  ]);
  close(ops.isnan(t).data, [0, 1, 0, 0], 'isnan');
  close(ops.isinf(t).data, [0, 0, 1, 1], 'isinf');
  close(ops.isfinite(t).data, [1, 0, 0, 0], 'isfinite');
  close(ops.nanToNum(t, 5, 6, 7).data, [1, 5, 6, 7], 'nanToNum');
  assert.equal(ops.shape(t), [2, 2]);
  assert.is(ops.ndim(t), 2);
  close(ops.size(t).data, [4], 'size');
  assert.equal(ops.cast(tensor([1.7]), 'int32').data, Int32Array.of(1));
  assert.equal(ops.expandDims(t, -1).shape, [2, 2, 1]);
  assert.equal(ops.squeeze(tensor([[1], [2]]), 1).shape, [2]);
  assert.equal(ops.broadcastTo(tensor([1, 2]), [3, 2]).shape, [3, 2]);
  assert.equal([...ops.arange(2, 8, 3).data], [2, 5]);
  assert.is(ops.arange(3).dtype, 'int32');
  close(ops.linspace(0, 1, 5).data, [0, 0.25, 0.5, 0.75, 1], 'linspace');
  close(ops.logspace(0, 2, 3).data, [1, 10, 100], 'logspace');
  close(ops.eye(2, 3, 1).data, [0, 1, 0, 0, 0, 1], 'eye');
  close(ops.identity(2).data, [1, 0, 0, 1], 'identity');
  close(ops.full([2], 3).data, [3, 3], 'full');
  close(
    [...ops.zeros([1]).data, ...ops.ones([1]).data, ...ops.zerosLike(t).data, ...ops.onesLike(tensor([5])).data, ...ops.fullLike(tensor([5]), 7).data],
    [0, 1, 0, 0, 0, 0, 1, 7],
    'likes',
  );
  assert.ok(ops.isTensor(t) && !ops.isTensor(3));
  assert.is(ops.convertToNumpy(ops.convertToTensor([1, 2])).length, 2);
  const k = ops.add(Input([3]), 1);
  assert.instance(k, KerasTensor);
  assert.equal(k.shape, [null, 3]);
});

test('ops against plain numbers for random arrays', () => {
  const numbers = fc.array(fc.integer({ min: -8, max: 8 }), { minLength: 1, maxLength: 9 });
  fc.assert(
    fc.property(numbers, (xs) => {
      const t = tensor(xs);
      close(
        ops.sort(t).data,
        [...xs].sort((x, y) => x - y),
        'sort',
      );
      const order = [...ops.argsort(t).data];
      assert.equal(
        order,
        xs.map((_, i) => i).sort((i, j) => xs[i]! - xs[j]! || i - j),
      );
      close(
        ops.cumsum(t).data,
        xs.map((_, i) => xs.slice(0, i + 1).reduce((p, q) => p + q, 0)),
        'cumsum',
      );
      close(ops.flip(ops.roll(t, 2)).data, [...xs.map((_, i) => xs[(((i - 2) % xs.length) + xs.length) % xs.length]!)].reverse(), 'roll');
      close(ops.take(t, tensor(Int32Array.of(0, -1))).data, [xs[0]!, xs.at(-1)!], 'take');
    }),
    { numRuns: 40, seed: 7 },
  );
});

test('gradients of a sample of ops against finite differences', () => {
  const point = [0.7, -1.2, 2.1, 0.4];
  const sample: Readonly<Record<string, (x: SymbolicTensor) => SymbolicTensor>> = {
    softmax: (x) => ops.softmax(x),
    sort: (x) => ops.sort(x),
    logsumexp: (x) => ops.logsumexp(x),
    takeAlongAxis: (x) => ops.takeAlongAxis(x, tensor(Int32Array.of(3, 0, 0, 1)), 0),
    scan: (x) => ops.scan((c, v) => [ops.multiply(c, ops.sin(v)), c], ops.sum(x), x).carry,
    cond: (x) =>
      ops.cond(
        ops.greater(ops.sum(x), 0),
        () => ops.square(x),
        () => x,
      ),
    foriLoop: (x) => ops.foriLoop(0, 3, (_, v) => ops.sin(v), x),
    norm: (x) => ops.norm(x),
    einsum: (x) => ops.einsum('i,j->ij', x, x),
  };
  for (const [name, f] of Object.entries(sample)) {
    const weighted = (x: SymbolicTensor) => {
      const y = ops.reshape(f(x), [-1]);
      return ops.sum(ops.multiply(y, ops.add(ops.cast(ops.cumsum(ops.onesLike(y)), 'float32'), 0.5)));
    };
    class Value extends Layer {
      override call(x: SymbolicTensor): SymbolicTensor {
        return weighted(x);
      }
    }
    class Gradient extends Layer {
      override call(x: SymbolicTensor): SymbolicTensor {
        return ops.gradients(weighted(x), [x])[0]!;
      }
    }
    const found = new Gradient()(tensor(point)).data;
    const value = new Value();
    const numeric = point.map((_, i) => {
      const at = (d: number) => value(tensor(point.map((p, j) => (j === i ? p + d : p)))).data[0]!;
      return (at(1e-2) - at(-1e-2)) / 2e-2;
    });
    close(found, numeric, `gradient of ${name}`, 5e-3);
  }
  assert.is(
    new (class extends Layer {
      override call(x: SymbolicTensor): SymbolicTensor {
        return ops.gradients(ops.sum(ops.stopGradient(ops.square(x))), [x])[0]!;
      }
    })()(tensor([3])).data[0],
    0,
  );
});

test('backend: settings, variables, uids', () => {
  assert.is(backend.epsilon(), 1e-7);
  backend.setEpsilon(1e-5);
  assert.is(backend.epsilon(), 1e-5);
  backend.setEpsilon(1e-7);
  assert.throws(() => backend.setFloatx('float64'), /setFloatx: computing in 'float64' is not supported/);
  assert.throws(() => backend.setImageDataFormat('channels_first'), /given to each layer as dataFormat/);
  backend.resetUids();
  assert.equal([backend.getUid('x'), backend.getUid('x'), backend.getUid('y')], [1, 2, 1]);
  const v = backend.variable([[1, 2]]);
  backend.updateAdd(v, 1);
  close(backend.getValue(v).data, [2, 3], 'variable');
  backend.batchSetValue([[v, [[5, 6]]]]);
  close(backend.batchGetValue([v])[0]!.data, [5, 6], 'batchSetValue');
  assert.equal(backend.intShape(Input([3])), [null, 3]);
  assert.is(backend.countParams(v), 2);
  close(backend.constant(2, 'float32', [2]).data, [2, 2], 'constant');
  assert.is(backend.inTrainPhase(1, 2, true), 1);
  assert.is(backend.inTestPhase(1, 2, true), 2);
});

test('ops refuse what they cannot do, with their name', () => {
  const t = tensor(m);
  const wrong: readonly [() => unknown, RegExp][] = [
    [() => ops.add(undefined as never, 1), /ops\.add: argument 0 must be a tensor, an array or a number, got undefined/],
    [() => ops.add('a' as never, 1), /ops\.add: argument 0 .* got 'a'/],
    [() => ops.squeeze(t, 0), /ops\.squeeze: axis 0 has size 2/],
    [() => ops.topK(t, 4), /ops\.topK: k must be a whole number from 1 to 3, got 4/],
    [() => ops.sum(t, 2), /axis 2 is out of range/],
    [() => ops.einsum('ij,jk', t, t), /ops\.einsum: the equation 'ij,jk' does not fit/],
    [
      () =>
        ops.cond(
          t,
          () => 1,
          () => 2,
        ),
      /ops\.cond: the condition must be a scalar, got shape \[2, 3\]/,
    ],
    [() => ops.pad(t, [[1, 1]]), /ops\.pad: expected a pair for each of 2 axes, got 1/],
    [() => ops.det(tensor([1, 2])), /ops\.det: expected square matrices/],
    [() => ops.random.normal([2]), /ops\.random\.normal: random tensors are made in a call/],
    [() => layers.Dense(3)('x' as never), /was called on 'x'/],
  ];
  for (const [run, pattern] of wrong) assert.throws(run, pattern);
});

test('random numbers: moments, bounds, seeds; within a repeated step they are refused', async () => {
  class Draw extends Model {
    override call(x: SymbolicTensor): SymbolicTensor[] {
      const shape = [20000];
      const r = ops.random;
      const one = (y: SymbolicTensor) => ops.add(ops.reshape(ops.cast(y, 'float32'), [1, -1]), ops.multiply(ops.sum(x), 0)) as SymbolicTensor;
      return [
        one(r.normal(shape, { mean: 2, stddev: 3 })),
        one(r.uniform(shape, { minval: -1, maxval: 3 })),
        one(r.randint(shape, 2, 6)),
        one(r.binomial(shape, 0.3)),
        one(r.categorical(ops.zeros([1, 1]), 8) as unknown as SymbolicTensor),
        one(r.dropout(ops.add(ops.zeros(shape), ops.sum(x)) as SymbolicTensor, 0.25)),
        one(r.normal([4], { seed: 7 })),
        one(r.normal([4], { seed: 7 })),
      ];
    }
  }
  const model = new Draw();
  model.compile({ device: 'wasm' });
  const out = await model.predictAll(tensor([[1]]), { batchSize: 1 });
  const mean = (d: ArrayLike<number>) => Array.from(d).reduce((p, q) => p + q, 0) / d.length;
  const deviation = (d: ArrayLike<number>) => {
    const middle = mean(d);
    return Math.sqrt(mean(Array.from(d, (v) => (v - middle) ** 2)));
  };
  const [normal, uniform, whole, coin, , dropped, first, second] = out.map((t) => t.data);
  close([mean(normal!), deviation(normal!)], [2, 3], 'normal', 0.05);
  close([mean(uniform!), deviation(uniform!)], [1, 4 / Math.sqrt(12)], 'uniform', 0.05);
  assert.ok(Math.min(...uniform!) >= -1 && Math.max(...uniform!) < 3);
  assert.equal([...new Set(whole!)].sort(), [2, 3, 4, 5]);
  close([mean(coin!)], [0.3], 'binomial', 0.02);
  close([mean(dropped!)], [1], 'dropout keeps the mean', 0.05);
  assert.equal([...new Set(dropped!)].length, 2);
  assert.is.not([...first!].join(), [...second!].join(), 'two draws of one seed in a call differ by their place');
  model.dispose();
  class Inside extends Layer {
    override call(x: SymbolicTensor): SymbolicTensor {
      return ops.scan((c, v) => [ops.add(c, ops.random.normal([])), v], ops.sum(x), x).carry;
    }
  }
  assert.throws(() => new Inside()(tensor([1, 2])), /random numbers cannot be drawn within a repeated step or a branch: draw them before it/);
  class Assigns extends Layer {
    count = this.addWeight({ name: 'count', trainable: false, initializer: 'zeros' });
    override call(x: SymbolicTensor): SymbolicTensor {
      return ops.cond(
        ops.greater(ops.sum(x), 0),
        () => {
          this.count.assign(1);
          return x;
        },
        () => x,
      );
    }
  }
  assert.throws(() => new Assigns()(tensor([1, 2])), /count' cannot be assigned within a repeated step or a branch/);
});

test.run();
