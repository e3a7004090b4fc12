/** The functions of tf.keras.metrics, against the numbers of the real tf_keras. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Layer, layers, metrics, ops, Sequential, type SymbolicTensor, type Tensor, tensor } from '../../frontend/keras/index.js';

const wave = (phase: number, scale: number): Tensor =>
  tensor(
    Float32Array.from({ length: 24 }, (_, i) => scale * Math.sin(i * 1.7 + phase)),
    [4, 6],
  );
const p = ops.softmax(wave(0, 2));
const y = ops.softmax(wave(1, 3));
const bits = ops.cast(ops.greater(wave(2, 1), 0), 'float32');
const classes = tensor(Int32Array.of(1, 5, 0, 3), [4]);

type Fn = (target: SymbolicTensor, prediction: SymbolicTensor) => SymbolicTensor;
const divergence = [1.007657, 0.528964, 1.025439, 0.506278];
const absolute = [0.216756, 0.112193, 0.203056, 0.139084];
const percent = [681.277832, 854.09021, 583.707764, 464.361908];
const squared = [0.067562, 0.022807, 0.086255, 0.026737];
const logarithmic = [0.043464, 0.016591, 0.047541, 0.017225];
const cosh = [0.033191, 0.01129, 0.041285, 0.013275];
const rows: readonly (readonly [name: string, fn: Fn, target: Tensor, expected: readonly number[]])[] = [
  ...(['KLD', 'kld', 'klDivergence', 'kullbackLeiblerDivergence'] as const).map((n) => [n, metrics[n] as Fn, y, divergence] as const),
  ...(['MAE', 'mae', 'meanAbsoluteError'] as const).map((n) => [n, metrics[n] as Fn, y, absolute] as const),
  ...(['MAPE', 'mape', 'meanAbsolutePercentageError'] as const).map((n) => [n, metrics[n] as Fn, y, percent] as const),
  ...(['MSE', 'mse', 'meanSquaredError'] as const).map((n) => [n, metrics[n] as Fn, y, squared] as const),
  ...(['MSLE', 'msle', 'meanSquaredLogarithmicError'] as const).map((n) => [n, metrics[n] as Fn, y, logarithmic] as const),
  ...(['logCosh', 'logcosh'] as const).map((n) => [n, metrics[n] as Fn, y, cosh] as const),
  ['poisson', metrics.poisson, y, [0.515076, 0.420922, 0.46946, 0.452248]],
  ['hinge', metrics.hinge, bits, [1.089713, 0.922267, 1.122344, 1.046849]],
  ['squaredHinge', metrics.squaredHinge, bits, [1.231016, 0.916593, 1.30176, 1.14929]],
  ['binaryCrossentropy', (t, q) => metrics.binaryCrossentropy(t, q), bits, [1.710405, 1.820386, 1.321356, 2.358063]],
  ['binaryFocalCrossentropy', (t, q) => metrics.binaryFocalCrossentropy(t, q), bits, [1.414026, 1.57968, 1.072767, 2.06756]],
  ['categoricalCrossentropy', (t, q) => metrics.categoricalCrossentropy(t, q), y, [2.090455, 1.525535, 1.816759, 1.713489]],
  ['categoricalFocalCrossentropy', (t, q) => metrics.categoricalFocalCrossentropy(t, q), y, [0.405964, 0.283647, 0.329263, 0.304454]],
  ['sparseCategoricalCrossentropy', (t, q) => metrics.sparseCategoricalCrossentropy(t, q), classes, [0.828976, 2.518492, 0.803679, 4.573372]],
  ['binaryAccuracy', (t, q) => metrics.binaryAccuracy(t, q, { threshold: 0.2 }), bits, [0.166667, 0.333333, 0.333333, 0.333333]],
  ['categoricalAccuracy', metrics.categoricalAccuracy, y, [0, 1, 0, 0]],
  ['topKCategoricalAccuracy', (t, q) => metrics.topKCategoricalAccuracy(t, q, { k: 3 }), y, [1, 1, 1, 1]],
  ['topKCategoricalAccuracy, k = 1', (t, q) => metrics.topKCategoricalAccuracy(t, q, { k: 1 }), y, [0, 1, 0, 0]],
  ['sparseCategoricalAccuracy', metrics.sparseCategoricalAccuracy, classes, [1, 0, 1, 0]],
  ['sparseTopKCategoricalAccuracy', (t, q) => metrics.sparseTopKCategoricalAccuracy(t, q, { k: 3 }), classes, [1, 1, 1, 0]],
];
for (const [name, fn, target, expected] of rows)
  test(name, () => {
    class Call extends Layer {
      static override readonly className = 'MetricCall';
      override call([t, q]: readonly [SymbolicTensor, SymbolicTensor]): SymbolicTensor {
        return fn(t, q);
      }
    }
    const found = (new Call().apply([target, p] as never) as unknown as Tensor).data;
    assert.is(found.length, expected.length);
    for (const [i, x] of expected.entries()) assert.ok(Math.abs(Number(found[i]) - x) < 2e-5 * (1 + Math.abs(x)), `${found[i]}, expected ${x}`);
  });

test('in compile', async () => {
  const model = Sequential([layers.Dense(3, { activation: 'softmax' })]);
  model.compile({ optimizer: 'sgd', loss: 'sparse_categorical_crossentropy', metrics: [metrics.sparseCategoricalAccuracy], device: 'wasm' });
  const { history } = await model.fit(wave(0, 1), ops.cast(ops.equal(classes, 1), 'int32'), { epochs: 1, verbose: 0 });
  const [name] = Object.keys(history).filter((n) => n !== 'loss');
  assert.ok(name && [0, 0.25, 0.5, 0.75, 1].includes(history[name]![0]!), JSON.stringify(history));
  model.dispose();
});

test.run();
