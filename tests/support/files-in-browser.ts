/** Keras files in a real Chromium: every kind of source and target gives the model that was saved in Node. */
import * as assert from 'uvu/assert';
import { Input, inMemory, layers, Sequential, tensor, utils } from '../../frontend/keras/index.js';
import { openBrowser, type PageOptions } from './browser.js';
import type { FilesResult } from './files-page.js';

export async function checkFilesInBrowser(options: PageOptions): Promise<void> {
  const browser = await openBrowser();
  if (!browser) return;
  try {
    utils.clearSession();
    utils.setRandomSeed(8);
    const model = Sequential([Input([4]), layers.Dense(6, { activation: 'relu' }), layers.BatchNormalization(), layers.Dense(2)]);
    model.compile({ optimizer: 'adam', loss: 'mse', device: 'wasm' });
    const files: Record<string, string> = {};
    for (const name of ['m.h5', 'm.keras', 'm.json']) {
      const target = inMemory(name);
      await model.save(target);
      files[name] = Buffer.from(target.bytes()).toString('base64');
    }
    const expected = [...(await model.predict(tensor(Float32Array.of(1, -2, 3, 0.5), [1, 4]), { verbose: 0 })).data];
    model.dispose();
    const { predictions, error, workers } = await browser.run<FilesResult>(new URL('./files-page.ts', import.meta.url), null, { ...options, files });
    assert.is(Object.keys(predictions).length, 15);
    for (const [way, found] of Object.entries(predictions)) assert.equal(found, expected, way);
    assert.match(error, /^ModelFormatError: broken\.h5: /);
    assert.ok(workers >= 1, 'Blobs are read in a worker');
  } finally {
    await browser.close();
  }
}
