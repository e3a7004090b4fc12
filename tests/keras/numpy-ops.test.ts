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
  fft2: [
    [
      [
        [0.0, 0.992, -0.256, -0.926],
        [0.494, 0.798, -0.7, -0.618],
        [0.859, 0.397, -0.961, -0.149],
      ],
      [
        [0.841, 0.427, -0.952, -0.182],
        [0.999, -0.075, -0.979, 0.327],
        [0.895, -0.558, -0.751, 0.752],
      ],
    ],
    (re, im) => ops.concatenate(ops.fft2([re, im])),
    [
      -0.07, 2.167, -1.058, 4.373, -0.307158, -0.251922, -0.111617, -1.675037, -0.192842, 0.679922, 0.203617, -3.756963, 0.744, 1.537, -0.638, 9.297, -0.022044,
      -1.200219, -0.183823, 2.246483, -0.319956, -0.711781, -0.246177, -0.410483,
    ],
  ],
  ifft2: [
    [
      [
        [0.0, 0.992, -0.256, -0.926],
        [0.494, 0.798, -0.7, -0.618],
        [0.859, 0.397, -0.961, -0.149],
      ],
      [
        [0.841, 0.427, -0.952, -0.182],
        [0.999, -0.075, -0.979, 0.327],
        [0.895, -0.558, -0.751, 0.752],
      ],
    ],
    (re, im) => ops.concatenate(ops.ifft2([re, im])),
    [
      -0.005833, 0.364417, -0.088167, 0.180583, -0.01607, -0.31308, 0.016968, 0.05666, -0.025596, -0.139586, -0.009301, -0.020993, 0.062, 0.77475, -0.053167,
      0.128083, -0.026663, -0.034207, -0.020515, -0.059315, -0.001837, 0.187207, -0.015319, -0.100018,
    ],
  ],
  irfft: [
    [
      [
        [0.0, 0.992, -0.256, -0.926],
        [0.494, 0.798, -0.7, -0.618],
        [0.859, 0.397, -0.961, -0.149],
      ],
      [
        [0.841, 0.427, -0.952, -0.182],
        [0.999, -0.075, -0.979, 0.327],
        [0.895, -0.558, -0.751, 0.752],
      ],
    ],
    (re, im) => ops.concatenate([ops.irfft([re, im]), ops.irfft([re, im], 7), ops.irfft([re, im], 4)], -1),
    [
      0.091, 0.513888, -0.675083, -0.261667, 0.121083, 0.210779, -0.054286, 0.62372, -0.43974, -0.456987, -0.027196, 0.115486, 0.239002, 0.432, -0.1495, -0.56,
      0.2775, 0.012, 0.739264, -0.297962, -0.314, 0.223962, 0.130736, -0.078, 0.665234, 0.062513, -0.520735, 0.080221, 0.117367, 0.167399, 0.3475, 0.336,
      -0.4505, 0.261, -0.069667, 0.772209, 0.156619, -0.284667, 0.268048, 0.016458, -0.081, 0.533504, 0.548626, -0.449256, 0.166855, 0.087997, 0.052274, 0.173,
      0.734, -0.224, 0.176,
    ],
  ],
  svd: [
    [
      [
        [2.041, -2.556, 0.418],
        [-0.568, -0.453, -0.216],
        [-2.02, -0.232, -0.865],
        [3.323, 0.226, -0.353],
      ],
    ],
    (x) => {
      const [u, s, vh] = ops.svd(x, false) as [Operand, Operand, Operand];
      const t = ops.svd(ops.transpose(x), false) as [Operand, Operand, Operand];
      const parts = [
        s,
        ops.svd(x, false, false),
        ops.matmul(ops.multiply(u, s), vh),
        ops.matmul(ops.transpose(u), u),
        ops.matmul(ops.multiply(t[0], t[1]), t[2]),
      ];
      return ops.concatenate(parts.map((v) => ops.ravel(v)));
    },
    [
      4.558066, 2.421354, 0.953713, 4.558066, 2.421354, 0.953713, 2.041, -2.556, 0.418, -0.568, -0.453, -0.216, -2.02, -0.232, -0.865, 3.323, 0.226, -0.353,
      1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 2.041, -0.568, -2.02, 3.323, -2.556, -0.453, -0.232, 0.226, 0.418, -0.216, -0.865, -0.353,
    ],
  ],
  pinv: [
    [
      [
        [2.041, -2.556, 0.418],
        [-0.568, -0.453, -0.216],
        [-2.02, -0.232, -0.865],
        [3.323, 0.226, -0.353],
      ],
      [
        [1.0, 2.0, 3.0],
        [2.0, 4.0, 6.0],
        [1.0, 0.0, 1.0],
      ],
    ],
    (x, y) => ops.concatenate([ops.ravel(ops.pinv(x)), ops.ravel(ops.pinv(y))]),
    [
      0.032587, -0.031548, -0.071161, 0.232267, -0.347502, -0.113324, -0.17533, 0.087486, 0.066009, -0.240705, -0.825856, -0.583712, -0.033333, -0.066667,
      0.833333, 0.066667, 0.133333, -0.666667, 0.033333, 0.066667, 0.166667,
    ],
  ],
  matrixRank: [
    [
      [
        [2.041, -2.556, 0.418],
        [-0.568, -0.453, -0.216],
        [-2.02, -0.232, -0.865],
        [3.323, 0.226, -0.353],
      ],
      [
        [1.0, 2.0, 3.0],
        [2.0, 4.0, 6.0],
        [1.0, 0.0, 1.0],
      ],
    ],
    (x, y) => ops.cast(ops.stack([ops.matrixRank(x), ops.matrixRank(y), ops.matrixRank(y, 0.5)]), 'float32'),
    [3, 2, 1],
  ],
  eigh: [
    [
      [
        [0.02, 0.567, 0.296, 0.0165],
        [0.567, -0.766, -0.312, 0.261],
        [0.296, -0.312, -0.833, -0.4545],
        [0.0165, 0.261, -0.4545, 0.05],
      ],
    ],
    (x) => {
      const [w, v] = ops.eigh(x) as [Operand, Operand];
      return ops.concatenate([w, ops.ravel(ops.matmul(ops.multiply(v, w), ops.transpose(v))), ops.ravel(ops.matmul(v, ops.transpose(v)))]);
    },
    [
      -1.389999, -0.820483, 0.274136, 0.407345, 0.02, 0.567, 0.296, 0.0165, 0.567, -0.766, -0.312, 0.261, 0.296, -0.312, -0.833, -0.4545, 0.0165, 0.261,
      -0.4545, 0.05, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0,
    ],
  ],
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
