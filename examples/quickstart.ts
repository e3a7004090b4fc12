/** A first model: learns the exclusive or of two numbers. Run with `node --import tsx examples/quickstart.ts`. */
import { layers, Sequential, tensor } from '../frontend/keras/index.js';

const x = tensor([
  [0, 0],
  [0, 1],
  [1, 0],
  [1, 1],
]);
const y = tensor([[0], [1], [1], [0]]);

const model = Sequential([layers.Dense(16, { activation: 'tanh', inputShape: [2] }), layers.Dense(1, { activation: 'sigmoid' })]);
model.compile({ optimizer: 'adam', loss: 'binary_crossentropy', metrics: ['accuracy'] });
await model.fit(x, y, { epochs: 1000, verbose: 0 });

(await model.predict(x)).print();
console.log(await model.evaluate(x, y, { verbose: 0 }));
model.dispose();
