/**
 * Every layer with random numbers: the statistics are right, the same seed gives the same numbers on WebAssembly and WebGPU, each step gives others. All layers are branches of one model
 * that trains for some steps and keeps what each gave in a weight.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type CallArguments,
  type DeviceOption,
  Input,
  type KerasTensor,
  layers as L,
  Layer,
  Model,
  ops,
  Sequential,
  type SymbolicTensor,
  type Tensor,
  tensor,
  utils,
  type Variable,
} from '../../frontend/keras/index.js';
import { layerOf } from '../interop/layers.js';
import { configCases } from '../support/layer-configs.js';
import { openSoftwareDevice } from '../support/webgpu.js';

const batch = 256;
const steps = 3;

/** Keeps what it is given while training; gives one number for each sample. */
class Keep extends Layer {
  static override readonly className = 'Keep';
  kept!: Variable;
  override build(inputShape: readonly (number | null)[]): void {
    this.kept = this.addWeight('kept', [batch, ...(inputShape.slice(1) as number[])], { initializer: 'zeros', trainable: false });
  }
  override call(x: SymbolicTensor, args: CallArguments): SymbolicTensor {
    if (args.training) this.kept.assign(x);
    return ops.reshape(ops.mean(ops.reshape(x, [batch, -1]), 1), [batch, 1]);
  }
}

interface Found {
  /** What the layer gave at each step, (batch, …) without the batch's shape. */
  readonly given: readonly Float32Array[];
  /** What it gives in inference. */
  readonly still: ArrayLike<number>;
  readonly size: number;
}
interface Row {
  readonly shape: readonly number[];
  /** A layer that takes one tensor. */
  readonly layer: (seed: number | null) => (x: KerasTensor) => unknown;
  /** The value of an input element by its index in the sample; default 1. */
  readonly data?: (i: number) => number;
  /** Throws where the numbers are not distributed as they should be. */
  readonly check: (f: Found) => void;
  /** One draw for the whole batch. */
  readonly together?: boolean;
}

const mean = (x: ArrayLike<number>): number => Array.from(x).reduce((s, v) => s + v, 0) / x.length;
const deviation = (x: ArrayLike<number>): number => {
  const m = mean(x);
  return Math.sqrt(mean(Array.from(x, (v) => (v - m) ** 2)));
};
/** Within four standard errors, more or less. */
const near = (what: string, found: number, expected: number, within: number): void =>
  assert.ok(Math.abs(found - expected) <= within, `${what}: ${found}, expected ${expected} within ${within}`);
const samples = (f: Found, step = 0): Float32Array[] => Array.from({ length: batch }, (_, i) => f.given[step]!.subarray(i * f.size, (i + 1) * f.size));
/** Numbers that should be uniform in [low, high): one for each sample of all steps. */
function uniform(what: string, found: readonly number[], low: number, high: number): void {
  const width = high - low;
  assert.ok(
    found.every((v) => v >= low - 1e-3 * width && v <= high + 1e-3 * width),
    `${what}: between ${Math.min(...found)} and ${Math.max(...found)}, expected ${low} to ${high}`,
  );
  near(`${what}: mean`, mean(found), (low + high) / 2, (4 * width) / Math.sqrt(12 * found.length));
  near(`${what}: deviation`, deviation(found), width / Math.sqrt(12), 0.06 * width);
}
const eachSample = (f: Found, value: (s: Float32Array) => number): number[] => Array.from({ length: steps }, (_, k) => samples(f, k).map(value)).flat();

const dropped =
  (rate: number) =>
  (f: Found): void => {
    const all = f.given.flatMap((g) => Array.from(g));
    assert.ok(
      all.every((v) => v === 0 || Math.abs(v - 1 / (1 - rate)) < 1e-5),
      'kept elements are scaled',
    );
    near('dropped', all.filter((v) => v === 0).length / all.length, rate, (4 * Math.sqrt(rate * (1 - rate))) / Math.sqrt(all.length));
  };
/** (…space, 4): whole channels are dropped. */
const channels =
  (rate: number) =>
  (f: Found): void => {
    const kept = samples(f).flatMap((s) =>
      [0, 1, 2, 3].map((c) => {
        const own = s.filter((_, i) => i % 4 === c);
        assert.ok(
          own.every((v) => v === own[0]),
          'a channel is dropped as a whole',
        );
        return own[0]!;
      }),
    );
    near('dropped', kept.filter((v) => v === 0).length / kept.length, rate, 0.06);
    assert.ok(kept.every((v) => v === 0 || Math.abs(v - 1 / (1 - rate)) < 1e-5));
  };
const normal =
  (m: number, s: number) =>
  (f: Found): void => {
    const all = f.given.flatMap((g) => Array.from(g));
    near('mean', mean(all), m, (4 * s) / Math.sqrt(all.length));
    near('deviation', deviation(all), s, (4 * s) / Math.sqrt(2 * all.length));
    const inside = all.filter((v) => Math.abs(v - m) < s).length / all.length;
    near('within one deviation', inside, 0.6827, 0.03);
  };
/** With one input feature a dropped input gives one of two values. */
const twoValues =
  (rate: number) =>
  (f: Found): void => {
    const first = eachSample(f, (s) => Math.round(s[0]! * 1e5));
    const values = [...new Set(first)];
    assert.is(values.length, 2, `${values.length} different results for one input that is dropped or not`);
    const share = first.filter((v) => v === values[0]).length / first.length;
    near('dropped', Math.min(share, 1 - share), rate, 0.07);
  };
/** Dropout of weights that sum up values: the mean over many draws is the result without it. */
const unbiased = (f: Found): void => {
  const all = f.given.flatMap((g) => Array.from(g));
  for (let i = 0; i < f.size; i++) {
    const own = all.filter((_, k) => k % f.size === i);
    near(`element ${i}`, mean(own), f.still[i]!, (5 * deviation(own)) / Math.sqrt(own.length) + 1e-6);
    assert.ok(deviation(own) > 1e-4, 'varies');
  }
};

const side = 9;
const middle = (side - 1) / 2;
/** x + 10 y from the middle, so that the slope at the middle tells what was done. */
const ramp = (i: number): number => (i % side) - middle + 10 * (Math.floor(i / side) - middle);
const at = (s: Float32Array, y: number, x: number): number => s[y * side + x]!;
const slopes = (s: Float32Array): [x: number, y: number] => [
  (at(s, middle, middle + 1) - at(s, middle, middle - 1)) / 2,
  (at(s, middle + 1, middle) - at(s, middle - 1, middle)) / 2,
];
const images = { shape: [side, side, 1], data: ramp };
const sequence = { shape: [4, 3], data: (i: number) => Math.sin(i * 1.7) };
const recurrent = (cls: 'LSTM' | 'GRU' | 'SimpleRNN'): Row => ({ shape: [3, 1], layer: (seed) => L[cls](2, { dropout: 0.3, seed }), check: twoValues(0.3) });
const cellOf = (cls: 'LSTMCell' | 'GRUCell' | 'SimpleRNNCell'): Row => ({
  shape: [3, 1],
  layer: (seed) => L.RNN(L[cls](2, { dropout: 0.3, seed })),
  check: twoValues(0.3),
});
const convolved = (rank: 1 | 2 | 3): Row => ({
  shape: [3, ...[1, 1, 1].slice(0, rank), 1],
  layer: (seed) => [L.ConvLSTM1D, L.ConvLSTM2D, L.ConvLSTM3D][rank - 1]!(2, 1, { dropout: 0.3, seed }),
  check: twoValues(0.3),
});
const spatial = (rank: 1 | 2 | 3): Row => ({
  shape: [...[3, 2, 2].slice(0, rank), 4],
  layer: (seed) => [L.SpatialDropout1D, L.SpatialDropout2D, L.SpatialDropout3D][rank - 1]!(0.3, { seed }),
  check: channels(0.3),
});

const rows: Readonly<Record<string, Row>> = {
  Dropout: { shape: [40], layer: (seed) => L.Dropout(0.3, { seed }), check: dropped(0.3) },
  SpatialDropout1D: spatial(1),
  SpatialDropout2D: spatial(2),
  SpatialDropout3D: spatial(3),
  GaussianNoise: { shape: [40], layer: (seed) => L.GaussianNoise(0.5, { seed }), check: normal(1, 0.5) },
  GaussianDropout: { shape: [40], layer: (seed) => L.GaussianDropout(0.2, { seed }), check: normal(1, 0.5) },
  AlphaDropout: {
    shape: [40],
    data: (i) => (i % 2 ? 1 : -1),
    layer: (seed) => L.AlphaDropout(0.3, { seed }),
    check: (f) => {
      const all = f.given.flatMap((g) => Array.from(g));
      // inputs of mean 0 and deviation 1 keep both
      near('mean', mean(all), 0, 0.03);
      near('deviation', deviation(all), 1, 0.03);
      const values = [...new Set(all.map((v) => v.toFixed(4)))];
      assert.is(values.length, 3, `${values}: the limit, and each input`);
    },
  },
  LSTM: recurrent('LSTM'),
  GRU: recurrent('GRU'),
  SimpleRNN: recurrent('SimpleRNN'),
  LSTMCell: cellOf('LSTMCell'),
  GRUCell: cellOf('GRUCell'),
  SimpleRNNCell: cellOf('SimpleRNNCell'),
  ConvLSTM1D: convolved(1),
  ConvLSTM2D: convolved(2),
  ConvLSTM3D: convolved(3),
  Attention: { ...sequence, layer: (seed) => (x) => L.Attention({ dropout: 0.3, seed })([x, x]) as KerasTensor, check: unbiased },
  AdditiveAttention: { ...sequence, layer: (seed) => (x) => L.AdditiveAttention({ dropout: 0.3, seed })([x, x]) as KerasTensor, check: unbiased },
  MultiHeadAttention: { ...sequence, layer: (seed) => (x) => L.MultiHeadAttention(2, 3, { dropout: 0.3, seed })([x, x]) as KerasTensor, check: unbiased },
  GroupQueryAttention: { ...sequence, layer: (seed) => (x) => L.GroupQueryAttention(3, 4, 2, { dropout: 0.3, seed })([x, x]) as KerasTensor, check: unbiased },
  RandomFlip: {
    ...images,
    layer: (seed) => L.RandomFlip({ seed }),
    check: (f) => {
      const kinds = eachSample(f, (s) => {
        const [x, y] = slopes(s);
        assert.ok(Math.abs(x) === 1 && Math.abs(y) === 10, `slopes ${x} and ${y} are no flip`);
        return (x > 0 ? 0 : 1) + (y > 0 ? 0 : 2);
      });
      for (const k of [0, 1, 2, 3]) near(`flip ${k}`, kinds.filter((v) => v === k).length / kinds.length, 0.25, 0.07);
    },
  },
  RandomRotation: {
    shape: [side, side, 1],
    // a slope of one in x alone: its direction is the angle
    data: (i) => (i % side) - middle,
    layer: (seed) => L.RandomRotation(0.2, { fillMode: 'nearest', seed }),
    check: (f) =>
      uniform(
        'turns',
        eachSample(f, (s) => Math.atan2(slopes(s)[1], slopes(s)[0]) / (2 * Math.PI)),
        -0.2,
        0.2,
      ),
  },
  RandomTranslation: {
    ...images,
    layer: (seed) => L.RandomTranslation(0.3, [-0.1, 0.2], { fillMode: 'nearest', seed }),
    check: (f) => {
      // the middle shows what came from there: dx + 10 dy, and the next pixel's neighbours tell dx and dy apart only together
      const shift = eachSample(f, (s) => -at(s, middle, middle));
      const down = shift.map((v) => v / 10);
      near('mean', mean(down), (0.05 * side) / 10, 0.25);
      near('deviation', deviation(down), Math.hypot((0.6 * side) / Math.sqrt(12), (0.3 * side) / 10 / Math.sqrt(12)), 0.12);
      assert.ok(Math.max(...down.map(Math.abs)) <= 0.3 * side + (0.2 * side) / 10 + 1e-3);
    },
  },
  RandomZoom: {
    ...images,
    layer: (seed) => L.RandomZoom(0.4, { widthFactor: [-0.2, 0.1], fillMode: 'nearest', seed }),
    check: (f) => {
      uniform(
        'height',
        eachSample(f, (s) => slopes(s)[1] / 10),
        0.6,
        1.4,
      );
      uniform(
        'width',
        eachSample(f, (s) => slopes(s)[0]),
        0.8,
        1.1,
      );
    },
  },
  RandomCrop: {
    ...images,
    together: true,
    layer: (seed) => L.RandomCrop(4, 5, { seed }),
    check: (f) => {
      for (const [k, g] of f.given.entries()) {
        const corner = g[0]! + middle + 10 * middle;
        const [x, y] = [corner % 10, Math.floor(corner / 10)];
        assert.ok(x >= 0 && x <= 4 && y >= 0 && y <= 5, `step ${k} begins at ${x}, ${y}`);
        for (const s of samples(f, k)) s.forEach((v, i) => assert.ok(Math.abs(v - (g[0]! + (i % 5) + 10 * Math.floor(i / 5))) < 1e-4, 'a part of the image'));
      }
    },
  },
  RandomContrast: {
    shape: [side, side, 1],
    data: (i) => 100 + (i % side) - middle,
    layer: (seed) => L.RandomContrast([0.2, 0.6], { seed }),
    check: (f) =>
      uniform(
        'factor',
        eachSample(f, (s) => slopes(s)[0]),
        0.8,
        1.6,
      ),
  },
  RandomBrightness: {
    shape: [3, 3, 1],
    data: () => 100,
    layer: (seed) => L.RandomBrightness([-0.2, 0.1], { seed }),
    check: (f) =>
      uniform(
        'shift',
        eachSample(f, (s) => (s[4]! - 100) / 255),
        -0.2,
        0.1,
      ),
  },
};
/** Their sizes change from step to step: see the last test. */
const ofManySizes = ['RandomHeight', 'RandomWidth'];

test('the table has every layer whose configuration holds a seed', () => {
  const random = configCases
    .filter(
      (c) =>
        'seed' in layerOf(c, c.keras.includes(3) ? 'keras3' : 'keras2').getConfig() ||
        'seed' in layerOf(c, c.keras.includes(2) ? 'keras2' : 'keras3').getConfig(),
    )
    .map((c) => c.cls);
  // Keras writes no seed for SimpleRNN
  assert.equal([...new Set([...random, 'SimpleRNN'])].sort(), [...Object.keys(rows), ...ofManySizes].sort());
});

const run: { seeded?: Record<string, Found> } = {};

/** Trains all layers for some steps; what each gave. */
async function train(device: DeviceOption, seed: number | null, modelSeed: number): Promise<Record<string, Found>> {
  utils.clearSession();
  utils.setRandomSeed(modelSeed);
  const keeps: Keep[] = [];
  const inputs: KerasTensor[] = [];
  const still: KerasTensor[] = [];
  const outputs = Object.values(rows).map((row) => {
    const x = Input({ shape: row.shape, batchSize: batch });
    inputs.push(x);
    const keep = new Keep();
    keeps.push(keep);
    const y = row.layer(seed)(x) as KerasTensor;
    still.push(y);
    return keep.apply(y) as KerasTensor;
  });
  const model = Model({ inputs, outputs: L.Dense(1, { kernelInitializer: 'zeros' })(L.Concatenate()(outputs)) as KerasTensor });
  model.compile({ optimizer: { class_name: 'SGD', config: { learning_rate: 0 } }, loss: 'mse', device });
  const x = Object.values(rows).map(({ shape, data }) => {
    const size = shape.reduce((a, d) => a * d, 1);
    return tensor(
      Float32Array.from({ length: batch * size }, (_, i) => (data ? data(i % size) : 1)),
      [batch, ...shape],
    );
  });
  const given: Float32Array[][] = keeps.map(() => []);
  for (let k = 0; k < steps; k++) {
    await model.trainOnBatch(x, tensor(new Float32Array(batch), [batch, 1]));
    await model.getWeights();
    for (const [i, keep] of keeps.entries()) given[i]!.push(Float32Array.from(keep.kept.value));
  }
  const inference = Model({ inputs, outputs: still });
  // only the first run is looked at without training
  const calm = run.seeded ? null : await inference.predictAll(x, { batchSize: batch });
  const found = Object.fromEntries(
    Object.keys(rows).map((name, i): [string, Found] => [
      name,
      { given: given[i]!, still: calm ? (calm[i]!.data as Float32Array) : [], size: given[i]![0]!.length / batch },
    ]),
  );
  inference.dispose();
  model.dispose();
  return found;
}

test('all layers train together', async () => {
  run.seeded = await train('wasm', 5, 1);
});

for (const [name, row] of Object.entries(rows))
  test(`${name}: statistics, other numbers at each step and for each sample`, () => {
    const f = run.seeded![name]!;
    row.check(f);
    const different = f.given.filter((g, k) => k === 0 || g.some((v, i) => v !== f.given[k - 1]![i])).length;
    assert.is(different, steps, 'each step draws anew');
    if (!row.together) assert.ok(new Set(samples(f).map((s) => s.join())).size > 1, 'each sample draws its own');
  });

/** The layers that gave the same numbers. */
const same = (a: Record<string, Found>, b: Record<string, Found>, tolerance: number): string[] =>
  Object.keys(rows).filter((n) => a[n]!.given.every((g, k) => g.every((v, i) => Math.abs(v - b[n]!.given[k]![i]!) <= tolerance * (1 + Math.abs(v)))));

/** Their weights are drawn with the seed of the model. */
const dependsOnWeights = Object.keys(rows).filter((n) => /LSTM|GRU|RNN|Attention/.test(n));

test('seeds of their own: the same numbers again, whatever the seed of the model', async () => {
  const other = same(run.seeded!, await train('wasm', 5, 2), 0);
  assert.equal(
    Object.keys(rows).filter((n) => !other.includes(n) && !dependsOnWeights.includes(n)),
    [],
  );
});

test('without them the seed of the model decides; the same numbers on WebGPU', async () => {
  const first = await train('wasm', null, 1);
  assert.equal(same(first, run.seeded!, 0), []);
  assert.equal(same(first, await train('wasm', null, 2), 0), []);
  const device = await openSoftwareDevice();
  const again = await train(device ?? 'wasm', null, 1);
  device?.dispose();
  const equal = same(first, again, 2e-5);
  assert.equal(
    Object.keys(rows).filter((n) => !equal.includes(n)),
    [],
  );
});

test('RandomHeight and RandomWidth: sizes from step to step', async () => {
  for (const [make, axis] of [
    [() => L.RandomHeight(0.5, { seed: 3 }), 1],
    [() => L.RandomWidth(0.5, { seed: 3 }), 2],
  ] as const) {
    const sizes = (): number[] => {
      const seen: number[] = [];
      const layer = make();
      const x = tensor(new Float32Array(2 * 20 * 20).fill(1), [2, 20, 20, 1]);
      for (let i = 0; i < 60; i++) seen.push((layer.apply(x as never, { training: true }) as unknown as Tensor).shape[axis]!);
      return seen;
    };
    const seen = sizes();
    assert.ok(seen.every((n) => n >= 10 && n < 30) && new Set(seen).size > 8, seen.join());
    near('mean', mean(seen), 19.5, 3);
  }
  const model = Sequential([L.RandomHeight(0.5, { seed: 3 }), L.GlobalAveragePooling2D(), L.Dense(1)]);
  model.compile({ optimizer: 'sgd', loss: 'mse', runEagerly: true });
  await model.fit(tensor(new Float32Array(2 * 36).fill(1), [2, 6, 6, 1]), tensor([[1], [2]]), { verbose: 0, epochs: 2 });
  model.dispose();
});

test.run();
