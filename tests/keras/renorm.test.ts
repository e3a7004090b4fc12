/**
 * BatchNormalization with `renorm` against tf_keras and Keras 3: three training steps on sines, the gradient of the third, inference, and all weights; each as the sum of the elements times
 * cos(0), cos(1), … and the sum of their sizes.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { backend, Layer, layers, ops, Sequential, type SymbolicTensor, type Tensor, tensor } from '../../frontend/keras/index.js';

type Print = readonly [number, number];
interface Row {
  readonly name: string;
  readonly semantics: 'keras2' | 'keras3';
  readonly shape: readonly number[];
  readonly options: object;
  readonly output: Print;
  readonly gradient: Print;
  readonly still: Print;
  readonly weights: readonly Print[];
}
const rows: readonly Row[] = [
  {
    name: 'vectors',
    semantics: 'keras2',
    shape: [4, 3],
    options: {},
    output: [1.147667, 14.96833],
    gradient: [-0.9136642, 10.56341],
    still: [1.074491, 14.7388],
    weights: [
      [1.124155, 3],
      [0, 0],
      [0.2678634, 0.9824413],
      [1.506003, 4.061792],
      [1.305839, 3.50323],
      [0.6153878, 1.819016],
      [1.42217, 3.839961],
    ],
  },
  {
    name: 'images, clipped',
    semantics: 'keras2',
    shape: [2, 3, 2, 3],
    options: { renormClipping: { rmin: 0.9, rmax: 1.1, dmax: 0.1 } },
    output: [0.4696687, 35.19611],
    gradient: [0.2058574, 27.45864],
    still: [0.5268933, 40.52547],
    weights: [
      [1.124155, 3],
      [0, 0],
      [0.4235325, 0.8659644],
      [1.606001, 4.294968],
      [1.348338, 3.602053],
      [0.7698302, 1.585928],
      [1.485524, 3.973383],
    ],
  },
  {
    name: 'without beta',
    semantics: 'keras3',
    shape: [4, 3],
    options: { center: false },
    output: [1.147667, 14.96833],
    gradient: [-0.9136646, 10.56341],
    still: [1.074492, 14.7388],
    weights: [
      [1.124155, 3],
      [0.2678633, 0.9824413],
      [1.506003, 4.061792],
      [1.305839, 3.50323],
      [0.6153878, 1.819016],
      [1.42217, 3.839961],
    ],
  },
  {
    name: 'axis 1, clipped, without gamma',
    semantics: 'keras3',
    shape: [4, 3, 2],
    options: { axis: 1, scale: false, renormClipping: { rmax: 1.5, dmax: 0.3 } },
    output: [-2.06352, 25.3085],
    gradient: [-0.3951369, 19.86734],
    still: [-1.482665, 27.13689],
    weights: [
      [0, 0],
      [0.3309458, 0.948644],
      [1.585411, 4.237521],
      [1.339734, 3.578066],
      [0.6253296, 1.726878],
      [1.470005, 3.93198],
    ],
  },
];
const waves = (shape: readonly number[], phase: number, scale = 1, shift = 0): Tensor =>
  tensor(
    Float32Array.from({ length: shape.reduce((a, d) => a * d, 1) }, (_, i) => scale * Math.fround(Math.sin(i * 1.7 + phase)) + shift),
    shape,
  );
const print = (x: ArrayLike<number>): Print => {
  const list = Array.from(x);
  return [list.reduce((s, v, i) => s + v * Math.cos(i), 0), list.reduce((s, v) => s + Math.abs(v), 0)];
};
const near = (what: string, x: ArrayLike<number>, expected: Print): void => {
  for (const [i, v] of print(x).entries())
    assert.ok(Math.abs(v - expected[i]!) < 2e-5 * (1 + Math.abs(expected[1])), `${what}: ${print(x)}, expected ${expected}`);
};

for (const { name, semantics, shape, options, ...expected } of rows) {
  const make = () => layers.BatchNormalization({ renorm: true, momentum: 0.8, renormMomentum: 0.6, epsilon: 0.01, semantics, ...options });
  const batch = (step: number) => waves(shape, step, 2, 0.5 * step);
  test(`${name}, as ${semantics}: layer by layer`, () => {
    const norm = make();
    class Gradient extends Layer {
      static override readonly className = 'Gradient';
      override call(x: SymbolicTensor): SymbolicTensor[] {
        const y = norm.compute(x, { training: true }) as SymbolicTensor;
        const loss = ops.sum(ops.multiply(ops.square(y), waves(shape, 9)));
        return [y, backend.gradients(loss, [x])[0]!];
      }
    }
    const both = new Gradient();
    let last: readonly Tensor[] = [];
    for (let step = 0; step < 3; step++) last = both.apply(batch(step) as never) as unknown as readonly Tensor[];
    near('output', last[0]!.data as Float32Array, expected.output);
    near('gradient', last[1]!.data as Float32Array, expected.gradient);
    near('inference', (norm.apply(batch(2) as never) as unknown as Tensor).data as Float32Array, expected.still);
    assert.is(norm.weights.length, expected.weights.length);
    for (const [i, w] of norm.weights.entries()) near(w.path, w.value, expected.weights[i]!);
  });
  test(`${name}, as ${semantics}: compiled`, async () => {
    const model = Sequential([make()]);
    model.compile({ optimizer: { class_name: 'SGD', config: { learning_rate: 0 } }, loss: 'mse', device: 'wasm' });
    for (let step = 0; step < 3; step++) await model.trainOnBatch(batch(step), waves(shape, 0));
    near('inference', (await model.predict(batch(2))).data as Float32Array, expected.still);
    // the model's weights are the trainable ones first, as the layer's are
    for (const [i, w] of (await model.getWeights()).entries()) near(`weight ${i}`, w.data as Float32Array, expected.weights[i]!);
    model.dispose();
  });
}

test.run();
