/**
 * Trains a small convolutional network on MNIST: npm start [-- --device auto|wasm|webgpu] [--epochs 4] [--batch 128] [--limit N] [--seed 1].
 * --limit trains on the first N images only (a look at a slow device). The last line is the accuracy on the 10,000 test images.
 */
import { parseArgs } from 'node:util';
import { callbacks, layers, optimizers, Sequential } from '../../frontend/keras/index.js';
import { loadMnist } from './data.js';
import { drawDigits } from './draw.js';

const { values: args } = parseArgs({
  options: {
    device: { type: 'string', default: 'auto' },
    epochs: { type: 'string', default: '4' },
    batch: { type: 'string', default: '128' },
    limit: { type: 'string' },
    seed: { type: 'string', default: '1' },
  },
});
