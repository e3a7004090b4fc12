/** A small model built with the graph builder alone, as `tenon compile` and the loader's tests take it: a hidden layer, mean squared error, momentum; `predict` and `train` share the weights. */
import { gradients } from '../../ir/autodiff.js';
import { GraphBuilder } from '../../ir/builder.js';
import { symbol } from '../../ir/dim.js';
import type { Graph, StateView, Value } from '../../ir/graph.js';
import { tensorData } from '../../ir/tensor-data.js';

const sizes = { inputs: 3, hidden: 8, outputs: 2 };
const views: StateView[] = [
  { name: 'hidden/kernel', offset: 0, shape: [3, 8] },
  { name: 'hidden/bias', offset: 24, shape: [8] },
  { name: 'head/kernel', offset: 32, shape: [8, 2] },
  { name: 'head/bias', offset: 48, shape: [2] },
];
const initial = tensorData(
  'float32',
  [50],
  Array.from({ length: 50 }, (_, i) => Math.sin(3 * i + 1) / 2),
);

function layers(b: GraphBuilder, weights: Value, x: Value): Value {
  const part = (i: number) => {
    const v = views[i]!;
    const n = v.shape.reduce((a, d) => a * d, 1);
    return b.reshape(b.slice(weights, [v.offset], [v.offset + n]), v.shape);
  };
  const hidden = b.withOrigin('hidden', () => b.max(b.add(b.matmul(x, part(0)), part(1)), 0));
  return b.withOrigin('head', () => b.add(b.matmul(hidden, part(2)), part(3)));
}

function predict(batchSize: number): Graph {
  const b = new GraphBuilder('predict');
  b.declareSymbol('batch', batchSize);
  const x = b.input('x', 'float32', [symbol('batch'), sizes.inputs]);
  const weights = b.stateSlot('weights', 'float32', [50], { trainable: true, initial, views });
  b.output('y', layers(b, weights, x));
  return b.build();
}

function train(batchSize: number): Graph {
  const b = new GraphBuilder('train');
  b.declareSymbol('batch', batchSize);
  const x = b.input('x', 'float32', [symbol('batch'), sizes.inputs]);
  const target = b.input('target', 'float32', [symbol('batch'), sizes.outputs]);
  const weights = b.stateSlot('weights', 'float32', [50], { trainable: true, initial, views });
  const momentum = b.stateSlot('momentum', 'float32', [50], { views });
  const steps = b.stateSlot('steps', 'int32', []);
  const error = b.withOrigin('loss', () => b.mean(b.square(b.sub(layers(b, weights, x), target))));
  const [gradient] = gradients(b, error, [weights]);
  b.withOrigin('optimizer', () => {
    const m = b.add(b.mul(momentum, 0.9), gradient!);
    b.update('momentum', m);
    b.update('weights', b.sub(weights, b.mul(m, 0.1)));
    b.update('steps', b.add(steps, 1));
  });
  b.output('loss', error);
  return b.build();
}

export const mlp = {
  name: 'mlp',
  programs: ({ batchSize = 16 }: { readonly batchSize?: number } = {}): Record<string, Graph> => ({ predict: predict(batchSize), train: train(batchSize) }),
};

export default mlp;
