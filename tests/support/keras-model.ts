/** A Keras model as users give it to `tenon compile`: convolution, batch normalization, an optimizer with slots. */
import { layers, Sequential } from '../../frontend/keras/index.js';

const model = Sequential(
  [
    layers.Conv2D(4, 3, { activation: 'relu', inputShape: [8, 8, 1] }),
    layers.BatchNormalization(),
    layers.MaxPool2D(2),
    layers.Flatten(),
    layers.Dense(3, { name: 'logits' }),
  ],
  { name: 'digits' },
);
model.compile({ optimizer: 'adam', loss: 'mse', metrics: ['mae'], device: 'reference' });

export default model;
