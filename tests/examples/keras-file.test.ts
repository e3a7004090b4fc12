/** The example that loads a Keras file. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { convertAndPredict } from '../../examples/keras-file.js';
import { Input, layers, loadModel, Sequential, utils } from '../../frontend/keras/index.js';

test('loads, predicts, saves for Keras 3', async () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'tenon-example-'));
  try {
    utils.setRandomSeed(4);
    const model = Sequential([Input([3]), layers.Dense(4, { activation: 'relu' }), layers.Dense(2, { biasInitializer: 'ones' })]);
    const [from, to] = [path.join(dir, 'm.h5'), path.join(dir, 'm.keras')];
    await model.save(from);
    assert.equal(await convertAndPredict(from, to), [1, 1]);
    const again = await loadModel(to);
    assert.equal(
      again.layers.map((l) => l.className),
      ['Dense', 'Dense'],
    );
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test.run();
