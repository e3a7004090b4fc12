/** The network of the MNIST example: two convolutions, two dense layers, 10 classes. */
import { layers, Sequential } from '../../frontend/keras/index.js';

export const digitsModel = () =>
  Sequential([
    layers.Conv2D(16, 3, { activation: 'relu', inputShape: [28, 28, 1] }),
    layers.MaxPooling2D(2),
    layers.Conv2D(32, 3, { activation: 'relu' }),
    layers.MaxPooling2D(2),
    layers.Flatten(),
    layers.Dropout(0.25),
    layers.Dense(64, { activation: 'relu' }),
    layers.Dense(10, { activation: 'softmax' }),
  ]);
