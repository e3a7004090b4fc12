/** The example that fine-tunes an ONNX file. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { uniform } from '../../bench/workloads.js';
import { fineTune } from '../../examples/onnx-model.js';
import { Input, layers, loadModel, Sequential, tensor, utils } from '../../frontend/keras/index.js';

test('runs, trains on, writes ONNX and Keras files that predict the same', async () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'tenon-example-'));
  try {
    utils.setRandomSeed(4);
    const file = (name: string): string => path.join(dir, name);
    await Sequential([Input([6, 6, 2]), layers.Conv2D(4, 3, { activation: 'relu' }), layers.Flatten(), layers.Dense(3, { activation: 'softmax' })]).export(
      file('m.onnx'),
    );
    const x = tensor(uniform(12 * 72, 3), [12, 6, 6, 2]);
    const y = tensor(Int32Array.from({ length: 12 }, (_, i) => i % 3));
    const { losses, prediction } = await fineTune(file('m.onnx'), file('tuned.onnx'), file('tuned.keras'), x, y);
    assert.is(losses.length, 5);
    assert.ok(losses.at(-1)! < losses[0]!, losses.join());
    const again = await loadModel(file('tuned.keras'));
    const found = (await again.predict(x)).data.slice(0, 3);
    prediction.forEach((p, i) => {
      assert.ok(Math.abs(p - found[i]!) < 1e-5, `${prediction} and ${found}`);
    });
    again.dispose();
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test.run();
