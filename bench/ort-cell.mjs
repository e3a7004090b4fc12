// ONNX Runtime Web, cold: node bench/ort-cell.mjs PEERS NAME FILE INPUTS. InferenceSession.create and the first run on two threads; prints one JSON line. PEERS is the peers' folder, INPUTS what compile-cell.ts printed.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [peers, name, file, inputs] = process.argv.slice(2);
const dist = path.dirname(createRequire(path.join(peers, 'package.json')).resolve('onnxruntime-web'));
const ort = await import(pathToFileURL(`${dist}/ort.node.min.mjs`).href);
const { inputFor, sample } = await import('./compile-inputs.ts');
ort.env.wasm.numThreads = 2;
const feeds = JSON.parse(inputs).map((i) => inputFor(i));
const start = performance.now();
const session = await ort.InferenceSession.create(readFileSync(file), { graphOptimizationLevel: 'all', executionProviders: ['wasm'] });
const build = Math.round(performance.now() - start);
const out = await session.run(Object.fromEntries(feeds.map((i) => [i.name, new ort.Tensor(i.dtype, i.data, i.shape)])));
const check = sample(await out[session.outputNames[0]].getData());
process.stdout.write(`${JSON.stringify({ kind: 'ort', name, ms: Math.round(performance.now() - start), build, check })}\n`, () => process.exit(0));
