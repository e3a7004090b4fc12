/** Every metric: its configuration comes back; on a device it counts as it does on arrays, with weights, and begins anew each epoch; clear errors. Numbers: golden cases and test:interop. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Input, layers, metrics, Sequential, tensor, utils } from '../../frontend/keras/index.js';

const binary: readonly metrics.Metric[] = [
  metrics.Precision({ thresholds: [0.2, 0.6] }),
  metrics.Recall({ thresholds: 0.4 }),
  metrics.TruePositives(),
  metrics.FalsePositives(),
  metrics.TrueNegatives(),
  metrics.FalseNegatives(),
  metrics.AUC({ numThresholds: 20 }),
  metrics.AUC({ curve: 'PR' }),
  metrics.AUC({ curve: 'PRGAIN', summationMethod: 'majoring' }),
  metrics.AUC({ thresholds: [0.3, 0.31] }),
  metrics.PrecisionAtRecall(0.5),
  metrics.RecallAtPrecision({ precision: 0.5, numThresholds: 1 }),
  metrics.SensitivityAtSpecificity(0.5),
  metrics.SpecificityAtSensitivity(0.5, { numThresholds: 30 }),
  metrics.BinaryIoU({ threshold: 0.4 }),
  metrics.BinaryAccuracy({ threshold: 0.4 }),
  metrics.Hinge(),
  metrics.SquaredHinge(),
  metrics.BinaryCrossentropy({ labelSmoothing: 0.1 }),
];
const classes: readonly metrics.Metric[] = [
  metrics.Precision({ classId: 1 }),
  metrics.Recall({ topK: 2 }),
  metrics.AUC({ multiLabel: true, labelWeights: [0.5, 0.2, 0.3] }),
  metrics.F1Score({ average: 'macro' }),
  metrics.F1Score(),
  metrics.FBetaScore({ average: 'micro', beta: 2, threshold: 0.3 }),
  metrics.OneHotIoU(3, [0, 2]),
  metrics.OneHotMeanIoU(3),
  metrics.IoU(3, [1], { sparseYTrue: false, sparseYPred: false }),
  metrics.MeanIoU(3, { sparseYTrue: false, sparseYPred: false, ignoreClass: 1 }),
  metrics.TopKCategoricalAccuracy({ k: 2 }),
  metrics.CategoricalAccuracy(),
  metrics.CategoricalCrossentropy(),
  metrics.CategoricalHinge(),
  metrics.KLDivergence(),
  metrics.Poisson(),
  metrics.CosineSimilarity(),
  metrics.PearsonCorrelation(),
  metrics.ConcordanceCorrelation(),
  metrics.R2Score({ classAggregation: 'variance_weighted_average' }),
  metrics.RootMeanSquaredError(),
  metrics.MeanRelativeError([1, 2, 0]),
  metrics.LogCoshError(),
  metrics.MeanAbsolutePercentageError(),
  metrics.MeanSquaredLogarithmicError(),
];
const sparse: readonly metrics.Metric[] = [
  metrics.SparseTopKCategoricalAccuracy({ k: 2 }),
  metrics.SparseCategoricalAccuracy(),
  metrics.SparseCategoricalCrossentropy({ ignoreClass: 1 }),
];

test('every class of metrics is tried here, and every configuration comes back', () => {
  const others = [
    metrics.Mean(),
    metrics.Sum(),
    metrics.MeanTensor({ shape: [2] }),
    metrics.Accuracy(),
    metrics.MeanSquaredError(),
    metrics.MeanAbsoluteError(),
  ];
  const all = [...binary, ...classes, ...sparse, ...others];
  const tried = new Set(all.map((m) => m.className));
  for (const name of ['keras2', 'keras3'] as const)
    for (const m of all) {
      const again = metrics.deserialize(metrics.serialize(m), name);
      assert.is(again.className, m.className);
      if (name === 'keras3') assert.equal(again.getConfig(), m.getConfig());
    }
  const exported = Object.entries(metrics).flatMap(([name, x]) =>
    typeof x === 'function' && /^[A-Z]/.test(name) && x.prototype instanceof metrics.Metric ? [name] : [],
  );
  assert.equal(
    exported.filter((n) => !tried.has(n) && !['MeanClass', 'LastClass'].includes(n)),
    [],
  );
});

/** Random numbers that do not depend on anything. */
const numbers = (n: number, seed: number) => Float32Array.from({ length: n }, (_, i) => Math.abs(Math.sin(seed * 12.9 + i * 78.2) * 437.5) % 1);
const one = [1, 1] as const;

for (const [title, list, width, target] of [
  ['binary', binary, 1, (n: number) => tensor(numbers(n, 3).map(Math.round), [n, 1])],
  [
    'of classes',
    classes,
    3,
    (n: number) =>
      tensor(
        Float32Array.from(numbers(n, 4)).reduce(
          (a, v, i) => {
            a[i * 3 + Math.floor(v * 3)] = 1;
            return a;
          },
          new Float32Array(n * 3),
        ),
        [n, 3],
      ),
  ],
  [
    'of class numbers',
    sparse,
    3,
    (n: number) =>
      tensor(
        Int32Array.from(numbers(n, 5), (v) => Math.floor(v * 3)),
        [n],
      ),
  ],
] as const) {
  test(`metrics ${title}: evaluate on a device, with weights, gives what arrays give; each epoch begins anew`, async () => {
    utils.clearSession();
    const n = 10;
    const [x, y] = [
      tensor(
        numbers(n * width, 6).map((v) => 0.05 + 0.9 * v),
        [n, width],
      ),
      target(n),
    ];
    const w = tensor(
      numbers(n, 7).map((v) => Math.ceil(v * 4)),
      [n],
    );
    const model = Sequential([Input([width]), layers.Activation('linear')]);
    const configs = list.map((m, i) => ({ ...metrics.serialize(m), config: { ...m.getConfig(), name: `m${i}` } }));
    model.compile({ loss: title === 'of class numbers' ? 'sparse_categorical_crossentropy' : 'mse', weightedMetrics: configs, device: 'wasm' });
    for (let epoch = 0; epoch < 2; epoch++) {
      const logs = (await model.evaluate(x, y, { sampleWeight: w, batchSize: 4, verbose: 0, returnDict: true })) as Record<string, number>;
      for (const [i, config] of configs.entries()) {
        const eager = metrics.deserialize(config);
        eager.updateState(y, x, w);
        const expected = eager.result();
        assert.ok(expected.values.length >= one[0]);
        const actual = logs[`m${i}`]!;
        assert.ok(
          Object.is(actual, expected.value) || Math.abs(actual - expected.value) <= 1e-5 * (1 + Math.abs(expected.value)),
          `${config.class_name} ${JSON.stringify(config.config)}: ${actual} on the device, ${expected.value} on arrays`,
        );
        eager.resetState();
        assert.ok(eager.variables.every((v) => Array.from(v.value).every((s) => Number(s) === 0)));
      }
    }
    model.dispose();
  });
}

test('mean of tensors, element by element', () => {
  const m = metrics.MeanTensor();
  m.updateState([1, 2]);
  m.updateState([3, 4], [1, 3]);
  assert.equal(m.result().values, [2, 3.5]);
  assert.is(m.result().value, 2.75);
  assert.throws(() => m.updateState([1, 2, 3]), /expected values of shape \[2\] as before/);
});

test('thresholds are exclusive, top k takes the first of equal ones', () => {
  const p = metrics.Precision({ thresholds: 0.5 });
  p.updateState([[1], [0]], [[0.5], [0.6]]);
  assert.is(p.result().value, 0);
  const top = metrics.Recall({ topK: 1 });
  top.updateState([[0, 1]], [[0.5, 0.5]]);
  assert.is(top.result().value, 0);
  top.updateState([[1, 0]], [[0.5, 0.5]]);
  assert.is(top.result().value, 0.5);
});

test('metrics as functions', async () => {
  const x = tensor(Float32Array.of(0.1, 0.7, 0.2, 0.5, 0.3, 0.2), [2, 3]);
  const model = Sequential([Input([3]), layers.Activation('linear')]);
  const { sparseTopKCategoricalAccuracy: top, sparseCategoricalAccuracy: first } = metrics;
  model.compile({ loss: 'sparse_categorical_crossentropy', metrics: [first, (t, p) => top(t, p, { k: 2 })], device: 'wasm' });
  const logs = Object.values((await model.evaluate(x, tensor(Int32Array.of(1, 1), [2]), { verbose: 0, returnDict: true })) as Record<string, number>);
  assert.ok(logs.includes(0.5) && logs.includes(1), logs.join());
  model.dispose();
});

test('bad options and shapes are refused by name', () => {
  const refuses = (f: () => unknown, text: RegExp) => assert.throws(f, text);
  refuses(() => metrics.AUC({ curve: 'RoX' }), /AUC: 'curve' must be/);
  refuses(() => metrics.AUC({ numThresholds: 1 }), /'numThresholds' must be above 1/);
  refuses(() => metrics.AUC({ numLabels: 2 }), /'numLabels' belongs to multiLabel/);
  refuses(() => metrics.Precision({ thresholds: [0.5, 1.5] }), /Precision: 'thresholds' must be between 0 and 1/);
  refuses(() => metrics.PrecisionAtRecall(2), /PrecisionAtRecall: 'recall' must be between 0 and 1/);
  refuses(() => metrics.IoU(3, [3]), /IoU: 'targetClassIds' must be numbers of classes from 0 to 2/);
  refuses(() => metrics.F1Score({ average: 'mean' as 'macro' }), /F1Score: 'average' must be/);
  refuses(() => metrics.F1Score({ threshold: 0 }), /'threshold' must be above 0/);
  refuses(() => metrics.Precision({ classId: 4 }).updateState([[1, 0]], [[0.2, 0.8]]), /classId is 4/);
  refuses(() => metrics.F1Score().updateState([1, 0], [0.2, 0.8]), /expected targets and predictions of shape \(batch, classes\)/);
  refuses(() => metrics.get('precison', [1, 1], [1, 1]), /Did you mean 'precision'/);
});

test.run();
