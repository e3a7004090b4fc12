/** Losses against plain numbers, their configurations, and `setEpsilon`. The golden cases compare them with Keras. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { backend, losses, type Tensor, tensor } from '../../frontend/keras/index.js';

const y = tensor([
  [0, 1, 0],
  [1, 0, 0],
]);
const p = tensor([
  [0.2, 0.7, 0.1],
  [0.5, 0.2, 0.3],
]);
const near = (found: Tensor, expected: number, what: string) =>
  assert.ok(Math.abs(found.data[0]! - expected) < 1e-5, `${what}: ${found.data[0]} and ${expected}`);
const mean = (f: (t: number, p: number) => number) => [...y.data].reduce((a, t, i) => a + f(t, p.data[i]!), 0) / 6;

test('losses of arrays', () => {
  near(
    losses.Huber({ delta: 0.25 })(y, p),
    mean((t, v) => (Math.abs(t - v) <= 0.25 ? (t - v) ** 2 / 2 : 0.25 * (Math.abs(t - v) - 0.125))),
    'Huber',
  );
  near(
    losses.LogCosh()(y, p),
    mean((t, v) => Math.log(Math.cosh(v - t))),
    'LogCosh',
  );
  near(
    losses.Poisson()(y, p),
    mean((t, v) => v - t * Math.log(v + 1e-7)),
    'Poisson',
  );
  near(
    losses.Hinge()(y, p),
    mean((t, v) => Math.max(0, 1 - (2 * t - 1) * v)),
    'Hinge',
  );
  near(
    losses.SquaredHinge()(y, p),
    mean((t, v) => Math.max(0, 1 - (2 * t - 1) * v) ** 2),
    'SquaredHinge',
  );
  near(losses.CategoricalHinge()(y, p), (1 + 0.2 - 0.7 + (1 + 0.3 - 0.5)) / 2, 'CategoricalHinge');
  near(losses.KLDivergence()(y, p), -(Math.log(0.7) + Math.log(0.5)) / 2, 'KLDivergence');
  near(losses.CosineSimilarity()(y, p), -(0.7 / Math.sqrt(0.54) + 0.5 / Math.sqrt(0.38)) / 2, 'CosineSimilarity');
  near(
    losses.MeanSquaredLogarithmicError()(y, p),
    mean((t, v) => (Math.log1p(t) - Math.log1p(v)) ** 2),
    'MeanSquaredLogarithmicError',
  );
  near(losses.CategoricalFocalCrossentropy()(y, p), (-0.25 * (0.3 ** 2 * Math.log(0.7) + 0.5 ** 2 * Math.log(0.5))) / 2, 'CategoricalFocalCrossentropy');
  near(losses.Dice()(y, p), 1 - 2.4 / 4, 'Dice');
  near(losses.Tversky({ alpha: 0.3, beta: 0.7 })(y, p), 1 - 1.2 / (1.2 + 0.3 * 0.8 + 0.7 * 0.8), 'Tversky');
});

test('the least norm of the cosine is that of each generation of Keras', () => {
  const config = { class_name: 'CosineSimilarity', config: {} };
  const short = [[5e-7, 0]];
  near(losses.deserialize(config, 'keras3')([[1, 0]], short), -1, 'Keras 3: 1e-7');
  near(losses.deserialize(config, 'keras2')([[1, 0]], short), -0.5, 'Keras 2: 1e-6');
});

test('every loss has a configuration that gives it back, and a name', () => {
  for (const name of [
    'Huber',
    'LogCosh',
    'BinaryFocalCrossentropy',
    'CategoricalFocalCrossentropy',
    'Dice',
    'Tversky',
    'CosineSimilarity',
    'MeanSquaredError',
  ]) {
    const loss = losses.get(name);
    assert.equal(losses.deserialize(losses.serialize(loss)).getConfig(), loss.getConfig(), name);
  }
  for (const [alias, name] of Object.entries({
    mape: 'MeanAbsolutePercentageError',
    kld: 'KLDivergence',
    huber: 'Huber',
    logcosh: 'LogCosh',
    squared_hinge: 'SquaredHinge',
  }))
    assert.is(losses.get(alias).className, name);
  assert.equal(losses.Huber({ delta: 2 }).getConfig(), { name: 'huber_loss', reduction: 'sum_over_batch_size', delta: 2 });
});

test('setEpsilon reaches losses', () => {
  const loss = () => losses.BinaryCrossentropy()([[1]], [[0]]);
  near(loss(), -Math.log(1e-7), 'default');
  backend.setEpsilon(0.01);
  try {
    near(loss(), -Math.log(0.01), 'set');
    assert.is(backend.epsilon(), 0.01);
  } finally {
    backend.setEpsilon(1e-7);
  }
  assert.throws(() => backend.setEpsilon(0), /backend.setEpsilon: expected a positive number/);
});

test.run();
