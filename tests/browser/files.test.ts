import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import { checkFilesInBrowser } from '../support/files-in-browser.js';

test('models load from File, Blob, URL and bytes, and are saved to a download and to OPFS', async () => {
  await checkFilesInBrowser({ worker: fileURLToPath(new URL('../../frontend/formats/h5-worker.ts', import.meta.url)) });
});

test.run();
