/** A layer and a model as classes: learns a ring of points from noise. Run with `node --import tsx examples/subclassing.ts`. */
import { type CallArguments, type KerasShape, Layer, layers, Model, ops, type SymbolicTensor, tensor, type Variable } from '../frontend/keras/index.js';

/** Distances to points that are learned. */
class Distances extends Layer {
  centres!: Variable;
  readonly points: number;
  constructor({ points = 8, ...options }: { points?: number; name?: string } = {}) {
    super(options);
    this.points = points;
  }
  override build(inputShape: KerasShape): void {
    this.centres = this.addWeight({ name: 'centres', shape: [this.points, inputShape.at(-1)!], initializer: 'random_normal' });
  }
  override call(x: SymbolicTensor): SymbolicTensor {
    const difference = ops.subtract(ops.expandDims(x, 1), this.centres);
    // centres far out are pulled in
    this.addLoss(ops.multiply(ops.mean(ops.square(this.centres)), 1e-3));
    return ops.sum(ops.square(difference), -1);
  }
  override getConfig() {
    return { ...super.getConfig(), points: this.points };
  }
}

class RingModel extends Model {
  distances = new Distances({ points: 8 });
  hidden = [layers.Dense(16, { activation: 'relu' }), layers.Dense(16, { activation: 'relu' })];
  dropout = layers.Dropout(0.1);
  head = layers.Dense(1, { activation: 'sigmoid' });
  override call(inputs: SymbolicTensor, { training }: CallArguments): SymbolicTensor {
    let x = this.distances(inputs);
    for (const layer of this.hidden) x = layer(x);
    return this.head(this.dropout(x, { training }));
  }
}

const n = 512;
const points = Float32Array.from({ length: 2 * n }, (_, i) => Math.sin(12.9898 * i + 1) * 2);
const inRing = Float32Array.from({ length: n }, (_, i) => {
  const r = Math.hypot(points[2 * i]!, points[2 * i + 1]!);
  return r > 0.8 && r < 1.8 ? 1 : 0;
});
const [x, y] = [tensor(points, [n, 2]), tensor(inRing, [n, 1])];

const model = new RingModel({ name: 'ring' });
model.compile({ optimizer: 'adam', loss: 'binary_crossentropy', metrics: ['accuracy'], device: 'wasm' });
await model.fit(x, y, { epochs: 40, verbose: 0 });
model.summary();
console.log(await model.evaluate(x, y, { verbose: 0, returnDict: true }));
model.dispose();
