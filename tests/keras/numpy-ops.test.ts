/** The rest of NumPy's functions in `ops`, transforms and least squares: against NumPy's numbers, on arrays of the host and on WebAssembly within a model. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Model, ops, type SymbolicTensor, type Tensor, tensor } from '../../frontend/keras/index.js';
import { numpyOps } from '../support/numpy-ops.js';

type Operand = SymbolicTensor | Tensor;
type Op = (...xs: Operand[]) => Operand;

/** The op on whole numbers, of arguments that are floats. */
const onInts =
  (op: Op): Op =>
  (...xs) =>
    ops.cast(op(...xs.map((x) => ops.cast(x, 'int32'))), 'float32');

/** Name: arguments, the call, what NumPy gives. */
const cases: Readonly<Record<string, readonly [inputs: readonly unknown[], op: Op, expected: readonly number[]]>> = {
  bitwiseAnd: [
    [
      [12, -1, 7],
      [10, 5, 8],
    ],
    onInts(ops.bitwiseAnd),
    [8, 5, 0],
  ],
  bitwiseOr: [
    [
      [12, -8, 7],
      [10, 5, 8],
    ],
    onInts(ops.bitwiseOr),
    [14, -3, 15],
  ],
  bitwiseXor: [
    [
      [12, -1, 7],
      [10, 5, 8],
    ],
    onInts(ops.bitwiseXor),
    [6, -6, 15],
  ],
  bitwiseLeftShift: [
    [
      [1, 3, -2],
      [4, 1, 2],
    ],
    onInts(ops.bitwiseLeftShift),
    [16, 6, -8],
  ],
  bitwiseRightShift: [
    [
      [16, 7, -8],
      [4, 1, 1],
    ],
    onInts(ops.bitwiseRightShift),
    [1, 3, -4],
  ],
  bitwiseNot: [[[0, 5, -1]], onInts(ops.bitwiseNot), [-1, -6, 0]],
  cbrt: [[[8, -27, 2]], ops.cbrt, [2, -3, 1.259921]],
  fabs: [[[0.5, -1.5, 2, 3]], ops.fabs, [0.5, 1.5, 2, 3]],
  deg2rad: [[[180, 90]], ops.deg2rad, [Math.PI, Math.PI / 2]],
  rad2deg: [[[1, 2]], ops.rad2deg, [57.2957795, 114.591559]],
  erfc: [[[0, 1]], ops.erfc, [1, 0.1572992]],
  sinc: [[[0, 0.5, 1.5]], ops.sinc, [1, 0.6366198, -0.2122066]],
  isposinf: [[[1, Infinity, -Infinity]], ops.isposinf, [0, 1, 0]],
  isneginf: [[[1, Infinity, -Infinity]], ops.isneginf, [0, 0, 1]],
  ptp: [
    [
      [
        [1, 2, 3],
        [4, -5, 6],
      ],
    ],
    (x) => ops.ptp(x, 1),
    [2, 11],
  ],
  percentile: [[[0.5, -1.5, 2, 3]], (x) => ops.percentile(x, 30), [0.3]],
  fmax: [
    [
      [1, Number.NaN, 3],
      [2, 5, Number.NaN],
    ],
    ops.fmax,
    [2, 5, 3],
  ],
  fmin: [
    [
      [1, Number.NaN, 3],
      [2, 5, Number.NaN],
    ],
    ops.fmin,
    [1, 5, 3],
  ],
  fmod: [
    [
      [5, -5, 5.5],
      [3, 3, -2],
    ],
    ops.fmod,
    [2, -2, 1.5],
  ],
  heaviside: [
    [
      [-1, 0, 2],
      [0.5, 0.5, 0.5],
    ],
    ops.heaviside,
    [0, 0.5, 1],
  ],
  ldexp: [
    [
      [1.5, -2],
      [3, -1],
    ],
    ops.ldexp,
    [12, -1],
  ],
  logaddexp2: [
    [
      [0.5, -1.5, 2, 3],
      [2, -0.5, 2, -4],
    ],
    ops.logaddexp2,
    [2.4367518, 0.0849625, 3, 3.0112273],
  ],
  allclose: [
    [
      [0.5, -1.5, 2, 3],
      [0.5, -1.5, 2, 3],
    ],
    (x, y) => ops.allclose(x, y),
    [1],
  ],
  isin: [
    [
      [1, 2, 3],
      [3, 1],
    ],
    ops.isin,
    [1, 0, 1],
  ],
  kron: [
    [
      [
        [1, 2],
        [3, 4],
      ],
      [
        [1, 2, 3],
        [4, -5, 6],
      ],
    ],
    ops.kron,
    [1, 2, 3, 2, 4, 6, 4, -5, 6, 8, -10, 12, 3, 6, 9, 4, 8, 12, 12, -15, 18, 16, -20, 24],
  ],
  correlate: [
    [
      [0.5, -1.5, 2, 3],
      [1, 2],
    ],
    (x, v) => ops.concatenate([ops.correlate(x, v, 'full'), ops.correlate(x, v), ops.correlate(x, v, 'same')]),
    [1, -2.5, 2.5, 8, 3, -2.5, 2.5, 8, 1, -2.5, 2.5, 8],
  ],
  'correlate with the longer one behind': [
    [
      [1, 2],
      [0.5, -1.5, 2, 3],
    ],
    (x, v) => ops.concatenate([ops.correlate(x, v, 'full'), ops.correlate(x, v), ops.correlate(x, v, 'same')]),
    [3, 8, 2.5, -2.5, 1, 8, 2.5, -2.5, 8, 2.5, -2.5, 1],
  ],
  nansum: [
    [
      [
        [1, Number.NaN, 3],
        [Number.NaN, 5, -2],
      ],
    ],
    (x) => ops.nansum(x, 1),
    [4, 3],
  ],
  nanprod: [
    [
      [
        [1, Number.NaN, 3],
        [Number.NaN, 5, -2],
      ],
    ],
    (x) => ops.nanprod(x, 1),
    [3, -10],
  ],
  nanmax: [
    [
      [
        [1, Number.NaN, 3],
        [Number.NaN, 5, -2],
      ],
    ],
    (x) => ops.nanmax(x, 1),
    [3, 5],
  ],
  nanmin: [
    [
      [
        [1, Number.NaN, 3],
        [Number.NaN, 5, -2],
      ],
    ],
    (x) => ops.nanmin(x, 1),
    [1, -2],
  ],
  nanmean: [
    [
      [
        [1, Number.NaN, 3],
        [Number.NaN, 5, -2],
      ],
    ],
    (x) => ops.nanmean(x, 1),
    [2, 1.5],
  ],
  nanvar: [
    [
      [
        [1, Number.NaN, 3],
        [Number.NaN, 5, -2],
      ],
    ],
    (x) => ops.nanvar(x, 1),
    [1, 12.25],
  ],
  nanstd: [
    [
      [
        [1, Number.NaN, 3],
        [Number.NaN, 5, -2],
      ],
    ],
    (x) => ops.nanstd(x, 1),
    [1, 3.5],
  ],
  hstack: [
    [
      [
        [1, 2, 3],
        [4, -5, 6],
      ],
      [
        [1, 2, 3],
        [4, -5, 6],
      ],
    ],
    (x, y) => ops.hstack([x, y]),
    [1, 2, 3, 1, 2, 3, 4, -5, 6, 4, -5, 6],
  ],
  vstack: [
    [
      [0.5, -1.5, 2, 3],
      [2, -0.5, 2, -4],
    ],
    (x, y) => ops.vstack([x, y]),
    [0.5, -1.5, 2, 3, 2, -0.5, 2, -4],
  ],
  dstack: [
    [
      [0.5, -1.5, 2, 3],
      [2, -0.5, 2, -4],
    ],
    (x, y) => ops.dstack([x, y]),
    [0.5, 2, -1.5, -0.5, 2, 2, 3, -4],
  ],
  append: [
    [
      [
        [1, 2, 3],
        [4, -5, 6],
      ],
      [7, 8],
    ],
    (x, y) => ops.append(x, y),
    [1, 2, 3, 4, -5, 6, 7, 8],
  ],
  fliplr: [
    [
      [
        [1, 2, 3],
        [4, -5, 6],
      ],
    ],
    ops.fliplr,
    [3, 2, 1, 6, -5, 4],
  ],
  flipud: [
    [
      [
        [1, 2, 3],
        [4, -5, 6],
      ],
    ],
    ops.flipud,
    [4, -5, 6, 1, 2, 3],
  ],
  rot90: [
    [
      [
        [1, 2, 3],
        [4, -5, 6],
      ],
    ],
    (x) => ops.rot90(x),
    [3, 6, 2, -5, 1, 4],
  ],
  'rot90 three times': [
    [
      [
        [1, 2, 3],
        [4, -5, 6],
      ],
    ],
    (x) => ops.rot90(x, -1),
    [4, 1, -5, 2, 6, 3],
  ],
  diagflat: [[[1, 2]], ops.diagflat, [1, 0, 0, 2]],
  meshgrid: [
    [
      [1, 2, 3],
      [4, 5],
    ],
    (x, y) => ops.stack(ops.meshgrid([x, y])),
    [1, 2, 3, 1, 2, 3, 4, 4, 4, 5, 5, 5],
  ],
  'meshgrid ij': [
    [
      [1, 2, 3],
      [4, 5],
    ],
    (x, y) => ops.stack(ops.meshgrid([x, y], 'ij')),
    [1, 1, 2, 2, 3, 3, 4, 5, 4, 5, 4, 5],
  ],
  vander: [[[1, 2, -3]], (x) => ops.vander(x), [1, 1, 1, 4, 2, 1, 9, -3, 1]],
  trapezoid: [
    [
      [
        [1, 2, 3],
        [4, -5, 6],
      ],
    ],
    (x) => ops.trapezoid(x, 0.5),
    [2, 0],
  ],
  digitize: [
    [
      [0.5, 1, 3.5, -1],
      [0, 1, 2],
    ],
    ops.digitize,
    [1, 2, 3, 0],
  ],
  histogram: [
    [[1, 2, 2.5, 4, 4]],
    (x) => {
      const h = ops.histogram(x, 3);
      return ops.concatenate([ops.cast(h.counts, 'float32'), h.edges]);
    },
    [1, 2, 2, 1, 2, 3, 4],
  ],
  unravelIndex: [[[0, 7, 22]], (x) => ops.stack(ops.unravelIndex(x, [2, 3, 4])), [0, 0, 1, 0, 1, 2, 0, 3, 2]],
  corrcoef: [
    [
      [
        [1, 2, 4],
        [3, 1, 0],
      ],
    ],
    ops.corrcoef,
    [1, -0.9285714, -0.9285714, 1],
  ],
  saturateCast: [[[300, -4, 7.9]], (x) => ops.saturateCast(x, 'uint8'), [255, 0, 7]],
  fft: [
    [
      [0.5, -1.5, 2, 3],
      [2, -0.5, 2, -4],
    ],
    (x, y) => ops.stack(ops.fft([x, y])),
    [4, 2, 1, -5, -0.5, 4.5, 8.5, -4.5],
  ],
  ifft: [
    [
      [0.5, -1.5, 2, 3],
      [2, -0.5, 2, -4],
    ],
    (x, y) => ops.stack(ops.ifft([x, y])),
    [1, -1.25, 0.25, 0.5, -0.125, -1.125, 2.125, 1.125],
  ],
  rfft: [
    [
      [
        [1, 2, 3],
        [4, -5, 6],
      ],
    ],
    (x) => ops.stack(ops.rfft(x)),
    [6, -1.5, 5, 3.5, 0, 0.8660254, 0, 9.5262794],
  ],
  qr: [
    [
      [
        [1, 2],
        [3, -4],
        [5, 6.5],
      ],
    ],
    (x) => {
      const [q, r] = ops.qr(x);
      return ops.concatenate([q!, r!]);
    },
    [0.1690309, 0.1963254, 0.5070926, -0.8576321, 0.8451543, 0.4753142, 5.9160798, 3.8031941, 0, 6.9127212],
  ],
  lstsq: [
    [
      [
        [1, 2],
        [3, -4],
        [5, 6.5],
      ],
      [1, 2, 3],
    ],
    (x, y) => ops.lstsq(x, y),
    [0.6372197, -0.0134529],
  ],
};

const close = (found: ArrayLike<number>, expected: readonly number[], what: string, tolerance: number) => {
  assert.is(found.length, expected.length, `${what}: number of elements`);
  expected.forEach((e, i) => {
    assert.ok(Math.abs(found[i]! - e) <= tolerance * Math.max(1, Math.abs(e)), `${what}: element ${i} is ${found[i]}, expected ${e}`);
  });
};

test('each on arrays of the host', () => {
  for (const [name, [inputs, op, expected]] of Object.entries(cases))
    close((op(...inputs.map((x) => tensor(x as number[]))) as Tensor).data, expected, name, 1e-5);
  close(ops.geomspace(1, 8, 4).data, [1, 2, 4, 8], 'geomspace', 1e-5);
});

/** `predict` refuses what is not finite: these numbers stand for it, and become it in the call. */
const stands = [
  [1e9, Number.NaN],
  [2e9, Infinity],
  [-2e9, -Infinity],
] as const;
const finite = (x: unknown): unknown => (Array.isArray(x) ? x.map(finite) : (stands.find(([, v]) => Object.is(v, x))?.[0] ?? x));
const restored = (x: Operand): Operand => stands.reduce<Operand>((y, [mark, v]) => ops.where(ops.equal(x, mark), v, y) as Operand, x);

test('each on WebAssembly, as the call of a model', async () => {
  const all = Object.entries(cases);
  const inputs = all.flatMap(([, [xs]]) => xs.map((x) => tensor(finite(x) as number[])));
  class Every extends Model {
    override call(xs: readonly SymbolicTensor[]): SymbolicTensor[] {
      let at = 0;
      return all.map(([, [given, op]]) => {
        const own = given.map((x) => {
          const { shape } = tensor(x as number[]);
          const own = ops.reshape(ops.slice(xs[at++]!, [0, ...shape.map(() => 0)], [1, ...shape]), shape);
          return finite(x) === x || !JSON.stringify(x).includes('null') ? own : restored(own);
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
  out.forEach((o, i) => {
    close(o.data, all[i]![1][2], `${all[i]![0]} on WebAssembly`, 1e-4);
  });
  model.dispose();
});

test('every name has a case', () => {
  assert.equal(
    numpyOps.filter((n) => !(n in cases) && n !== 'geomspace'),
    [],
  );
});

test.run();
