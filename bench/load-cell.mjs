/**
 * Loads a model file with the built package in a process of its own: `load-cell.mjs INDEX FILE`, INDEX being dist/esm/index.js. Prints milliseconds for the import and for `loadModel`, the
 * process's peak memory, and a digest of each weight.
 */
import { createHash } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const [index, file] = process.argv.slice(2);
const started = performance.now();
const { loadModel } = await import(pathToFileURL(index).href);
const imported = performance.now();
const model = await loadModel(file);
const loaded = performance.now();
const peak = process.resourceUsage().maxRSS * 1024;
const digests = model.weights.map((w) => createHash('md5').update(w.value).digest('hex')).sort();
console.log(JSON.stringify({ kind: 'load', importMs: imported - started, ms: loaded - imported, peak, digests }));
