/** Every primitive's gradient against central differences, over generated shapes and attributes. */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type BinaryFunction, binaryFunctions, type OpAttrs, type UnaryFunction, unaryFunctions } from '../../ir/op-attrs.js';
import { ops } from '../../ir/ops/index.js';
import { checkedOps, checkGradient, distinct, floats, generator, ints } from './check-gradient.js';

const seeds = fc.integer({ min: 0, max: 1 << 20 });
const dims = (maxRank: number, maxSize = 4, minRank = 0): fc.Arbitrary<number[]> =>
  fc.array(fc.integer({ min: 1, max: maxSize }), { minLength: minRank, maxLength: maxRank });
const subset = (n: number): fc.Arbitrary<number[]> => fc.subarray(Array.from({ length: n }, (_, i) => i));
const permutation = (n: number): fc.Arbitrary<number[]> =>
  fc.shuffledSubarray(
    Array.from({ length: n }, (_, i) => i),
    { minLength: n },
  );
const int = (min: number, max: number): fc.Arbitrary<number> => fc.integer({ min, max });

const check = <T>(name: string, arbitrary: fc.Arbitrary<T>, property: (value: T, random: () => number) => void, numRuns = 25): void => {
  test(name, () => {
    fc.assert(
      fc.property(arbitrary, seeds, (value, seed) => property(value, generator(seed))),
      { seed: 20, numRuns },
    );
  });
};

const unaryRanges: Partial<Record<UnaryFunction, readonly [number, number]>> = {
  neg: [-2, 2],
  abs: [0.2, 2],
  sign: [0.2, 2],
  floor: [0.2, 0.8],
  ceil: [0.2, 0.8],
  round: [0.6, 0.9],
  exp: [-2, 2],
  expm1: [-2, 2],
  log: [0.3, 3],
  log1p: [-0.5, 3],
  sqrt: [0.3, 3],
  rsqrt: [0.3, 3],
  reciprocal: [0.4, 3],
  sin: [-3, 3],
  cos: [-3, 3],
  tan: [-1, 1],
  asin: [-0.8, 0.8],
  acos: [-0.8, 0.8],
  atan: [-3, 3],
  sinh: [-2, 2],
  cosh: [-2, 2],
  tanh: [-2, 2],
  asinh: [-3, 3],
  acosh: [1.3, 3],
  atanh: [-0.8, 0.8],
  sigmoid: [-3, 3],
  erf: [-2, 2],
};

for (const [fn, [lo, hi]] of Object.entries(unaryRanges) as [UnaryFunction, readonly [number, number]][]) {
  check(`unary ${fn}, twice`, dims(2), (shape, random) => checkGradient((b, [x]) => b.unary(fn, x!), [floats(shape, random, lo, hi)], { order: 2 }), 6);
}

const smooth: readonly BinaryFunction[] = ['add', 'sub', 'mul', 'div', 'pow', 'atan2'];
for (const fn of smooth) {
  check(
    `binary ${fn}, twice, with broadcasting`,
    dims(3),
    (shape, random) => {
      const small = shape.map((d, i) => (i % 2 ? 1 : d));
      checkGradient((b, [x, y]) => b.binary(fn, x!, y!), [floats(shape, random, 0.5, 2), floats(small, random, 0.5, 2)], { order: 2 });
    },
    10,
  );
}
for (const fn of ['max', 'min'] as const) {
  check(`binary ${fn}`, dims(3), (shape, random) => {
    const both = distinct([2, ...shape], random);
    checkGradient((b, [x]) => b.binary(fn, b.squeeze(b.sliceAxis(x!, 0, 0, 1), [0]), b.squeeze(b.sliceAxis(x!, 0, 1, 2), [0])), [both]);
  });
}
check(
  'binary rem',
  dims(2),
  (shape, random) => checkGradient((b, [x, y]) => b.binary('rem', b.add(b.mul(y!, 3), x!), y!), [floats(shape, random, 0.2, 0.8), floats(shape, random, 1, 2)]),
  10,
);

check(
  'select, relu, cast',
  dims(3),
  (shape, random) => {
    checkGradient(
      (b, [x, y]) => b.select(b.compare('gt', x!, 0), b.mul(x!, y!), b.cast(b.cast(y!, 'float64'), 'float32')),
      [distinct(shape, random), floats(shape, random)],
    );
    checkGradient((b, [x]) => b.relu(x!), [distinct(shape, random)]);
  },
  10,
);

check(
  'broadcast',
  dims(4).chain((shape) => fc.record({ shape: fc.constant(shape), axes: subset(shape.length), ones: fc.nat(15) })),
  ({ shape, axes, ones }, random) => {
    const from = axes.map((a, i) => ((ones >> i) & 1 ? 1 : shape[a]!));
    checkGradient((b, [x]) => b.broadcast(x!, shape, axes), [floats(from, random)]);
  },
);

check(
  'reshape and transpose',
  dims(4).chain((shape) => fc.record({ shape: fc.constant(shape), perm: permutation(shape.length) })),
  ({ shape, perm }, random) => {
    checkGradient((b, [x]) => b.reshape(b.transpose(x!, perm), [-1]), [floats(shape, random)]);
  },
);

const sliceAxis = int(1, 6).chain((d) => fc.tuple(fc.constant(d), int(0, d), int(0, d), int(1, 3)));
check('slice', fc.array(sliceAxis, { maxLength: 3 }), (axes, random) => {
  const start = axes.map(([, a, z]) => Math.min(a, z));
  const limit = axes.map(([, a, z]) => Math.max(a, z));
  checkGradient(
    (b, [x]) =>
      b.slice(
        x!,
        start,
        limit,
        axes.map((s) => s[3]),
      ),
    [
      floats(
        axes.map((s) => s[0]),
        random,
      ),
    ],
  );
});

check('pad, also negative and interior', fc.array(fc.tuple(int(1, 4), int(-2, 2), int(-2, 2), int(0, 2)), { maxLength: 3 }), (axes, random) => {
  const usable = axes.filter(([d, lo, hi, i]) => d + (d - 1) * i + lo + hi >= 0);
  checkGradient(
    (b, [x]) =>
      b.pad(
        x!,
        usable.map((p) => p[1]),
        usable.map((p) => p[2]),
        0.5,
        usable.map((p) => p[3]),
      ),
    [
      floats(
        usable.map((p) => p[0]),
        random,
      ),
    ],
  );
});

check(
  'concat and reverse',
  fc.record({ shape: dims(3, 3, 1), sizes: fc.array(int(0, 3), { minLength: 1, maxLength: 3 }), axis: fc.nat(2) }),
  ({ shape, sizes, axis }, random) => {
    const at = axis % shape.length;
    const parts = sizes.map((n) =>
      floats(
        shape.map((d, i) => (i === at ? n : d)),
        random,
      ),
    );
    checkGradient((b, xs) => b.reverse(b.concat(xs, at), [at]), parts);
  },
);

check('gather, with indices out of range', fc.record({ shape: dims(3, 4, 1), indices: dims(2, 3), axis: fc.nat(2) }), ({ shape, indices, axis }, random) => {
  const at = axis % shape.length;
  checkGradient((b, [x, i]) => b.gather(x!, i!, at), [floats(shape, random), ints(indices, random, -2, shape[at]! + 1)], { order: 2 });
});

for (const fn of ['add', 'set', 'mul', 'max', 'min'] as const) {
  check(
    `scatter ${fn}, with repeated indices and some out of range`,
    fc.record({ shape: dims(3, 4, 1), indices: dims(2, 3), axis: fc.nat(2) }),
    ({ shape, indices, axis }, random) => {
      const at = axis % shape.length;
      const updates = [...shape.slice(0, at), ...indices, ...shape.slice(at + 1)];
      const split = shape.reduce((a, d) => a * d, 1);
      const all = distinct([split + updates.reduce((a, d) => a * d, 1)], random);
      const index = ints(indices, random, -1, shape[at]!);
      checkGradient(
        (b, [v, i]) => {
          const x = b.reshape(b.sliceAxis(v!, 0, 0, split), shape);
          const u = b.reshape(b.sliceAxis(v!, 0, split, v!.shape[0]!), updates);
          return b.emit('scatter', [x, i!, u], { axis: at, fn });
        },
        [all, index],
      );
    },
  );
}

for (const fn of ['sum', 'prod', 'max', 'min'] as const) {
  const shaped = dims(3).chain((shape) => fc.record({ shape: fc.constant(shape), axes: subset(shape.length) }));
  check(`reduce ${fn}`, shaped, ({ shape, axes }, random) =>
    checkGradient((b, [x]) => b.reduce(fn, x!, axes), [distinct(shape, random)], { order: fn === 'sum' ? 2 : 1 }),
  );
  const running = dims(3, 4, 1).chain((shape) =>
    fc.record({ shape: fc.constant(shape), axis: int(0, shape.length - 1), exclusive: fc.boolean(), reverse: fc.boolean() }),
  );
  check(`cumulative ${fn}`, running, ({ shape, axis, exclusive, reverse }, random) => {
    checkGradient(
      (b, [x]) => {
        const y = b.emit('cumulative', [x!], { fn, axis, exclusive, reverse });
        return exclusive && (fn === 'max' || fn === 'min') ? b.select(b.unary('is_inf', y), 0, y) : y;
      },
      [distinct(shape, random)],
    );
  });
}

const windowAxis = fc.record({ size: int(3, 6), window: int(1, 3), stride: int(1, 3), low: int(0, 1), high: int(0, 1), base: int(1, 2), dilation: int(1, 2) });
for (const fn of ['sum', 'max', 'min', 'prod'] as const) {
  check(`reduce_window ${fn}`, fc.array(windowAxis, { minLength: 1, maxLength: 2 }), (axes, random) => {
    // Padding after the end and holes between elements would make windows without any element, whose max is infinite.
    const extreme = fn === 'max' || fn === 'min';
    const usable = axes.map((a) => (extreme ? { ...a, base: 1, low: Math.min(a.low, a.window - 1), high: 0 } : a));
    const fits = usable.filter((a) => (a.size - 1) * a.base + 1 + a.low + a.high >= (a.window - 1) * a.dilation + 1);
    const attrs: OpAttrs['reduce_window'] = {
      fn,
      window: fits.map((a) => a.window),
      strides: fits.map((a) => a.stride),
      padding: fits.map((a) => [a.low, a.high]),
      baseDilation: fits.map((a) => a.base),
      windowDilation: fits.map((a) => a.dilation),
    };
    checkGradient(
      (b, [x]) => b.emit('reduce_window', [x!], attrs),
      [
        distinct(
          fits.map((a) => a.size),
          random,
        ),
      ],
      { order: fn === 'sum' ? 2 : 1 },
    );
  });
}

check(
  'select_and_scatter (second order of max pooling)',
  fc.record({ size: int(3, 6), window: int(1, 3), stride: int(1, 3) }),
  ({ size, window, stride }, random) => {
    const pool = {
      fn: 'max' as const,
      window: [1, window],
      strides: [1, stride],
      padding: [
        [0, 0],
        [window - 1, 0],
      ] as const,
      baseDilation: [1, 1],
      windowDilation: [1, 1],
    };
    checkGradient((b, [x]) => b.emit('reduce_window', [x!], pool), [distinct([2, size], random)], { order: 2 });
  },
);

const dotShape = fc.record({ batch: dims(2, 2), left: dims(2, 3), right: dims(2, 3), contract: dims(2, 3) });
check(
  'dot, twice, with any axis order',
  dotShape.chain((s) =>
    fc.record({
      s: fc.constant(s),
      l: permutation(s.batch.length + s.left.length + s.contract.length),
      r: permutation(s.batch.length + s.right.length + s.contract.length),
    }),
  ),
  ({ s, l, r }, random) => {
    const left = [...s.batch, ...s.contract, ...s.left];
    const right = [...s.batch, ...s.contract, ...s.right];
    const place = (perm: readonly number[], from: number, n: number): number[] => Array.from({ length: n }, (_, i) => perm.indexOf(from + i));
    const [n, k] = [s.batch.length, s.contract.length];
    const attrs = { batchLeft: place(l, 0, n), batchRight: place(r, 0, n), contractLeft: place(l, n, k), contractRight: place(r, n, k) };
    checkGradient(
      (b, [x, y]) => b.dot(x!, y!, attrs),
      [
        floats(
          l.map((i) => left[i]!),
          random,
        ),
        floats(
          r.map((i) => right[i]!),
          random,
        ),
      ],
      { order: 2 },
    );
  },
);

const convAxis = fc.record({ size: int(2, 5), window: int(1, 3), stride: int(1, 3), low: int(-1, 2), high: int(-1, 2), base: int(1, 2), dilation: int(1, 2) });
const convCase = fc.record({
  axes: fc.array(convAxis, { minLength: 1, maxLength: 2 }),
  batch: int(1, 2),
  inputs: int(1, 2),
  outputs: int(1, 2),
  groups: int(1, 3),
  batchGroups: fc.boolean(),
  roles: permutation(4),
});
check(
  'conv, twice: strides, dilations, groups, batch groups, negative padding, any dimension order',
  convCase,
  (c, random) => {
    const axes = c.axes.filter((a) => (a.size - 1) * a.base + 1 + a.low + a.high >= (a.window - 1) * a.dilation + 1);
    const n = axes.length;
    const order = c.roles.filter((r) => r < n + 2);
    const at = (role: number): number => order.indexOf(role);
    const spatial = axes.map((_, i) => at(i + 2));
    const [groups, batchGroups] = c.batchGroups ? [1, c.groups] : [c.groups, 1];
    const input: number[] = [];
    const kernel: number[] = [];
    input[at(0)] = c.batch * batchGroups;
    input[at(1)] = c.inputs * groups;
    kernel[at(0)] = c.inputs;
    kernel[at(1)] = c.outputs * c.groups;
    for (const [i, a] of axes.entries()) {
      input[at(i + 2)] = a.size;
      kernel[at(i + 2)] = a.window;
    }
    const data = { batch: at(0), feature: at(1), spatial };
    const attrs: OpAttrs['conv'] = {
      strides: axes.map((a) => a.stride),
      padding: axes.map((a) => [a.low, a.high]),
      inputDilation: axes.map((a) => a.base),
      kernelDilation: axes.map((a) => a.dilation),
      groups,
      batchGroups,
      dims: { input: data, kernel: { input: at(0), output: at(1), spatial }, output: data },
    };
    checkGradient((b, [x, k]) => b.emit('conv', [x!, k!], attrs), [floats(input, random), floats(kernel, random)], { order: 2 });
  },
  60,
);

test('every primitive that has a gradient has been checked, with each of its functions; control flow is in scan-gradient.test.ts', () => {
  const control = ['scan', 'if', 'composite'];
  const missing = Object.values(ops).filter((def) => typeof def.gradient === 'function' && !checkedOps.has(def.name) && !control.includes(def.name));
  assert.equal(
    missing.map((def) => def.name),
    [],
  );
  // of bools and integers
  const discrete = ['not', 'bitwise_not', 'is_nan', 'is_inf', 'and', 'or', 'xor', 'shift_left', 'shift_right'];
  const functions = [...unaryFunctions.map((f) => `unary ${f}`), ...binaryFunctions.map((f) => `binary ${f}`)];
  assert.equal(
    functions.filter((f) => !checkedOps.has(f) && !discrete.includes(f.split(' ')[1]!)),
    [],
  );
});

test.run();
