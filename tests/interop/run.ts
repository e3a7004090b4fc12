/**
 * npm run test:interop: the same models here and in the real Keras (tf_keras and keras 3), both ways. Configurations and weights written here are loaded there, predict the same
 * to 1e-5 and train along the same trajectory; and the other way round. The last line is `N passed, N failed, N skipped`.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ModelBase, modelFromConfig, optimizers, tensor, utils } from '../../frontend/keras/index.js';
import { ensurePython, publishedModels } from '../../scripts/python.js';
import { fileJobs, loadTheirs, writeFiles } from './files.js';
import { compareLayerConfigs, writeLayerConfigs } from './layers.js';
import { checkLoading } from './load.js';
import { type InteropModel, models } from './models.js';
import { readOdd } from './odd.js';
import { layerResults, onnxResults, writeOnnx } from './onnx.js';
import { comparePreprocessing, writePreprocessing } from './preprocessing.js';
import { runReal } from './real.js';
import { difference, type NamedArray, numbered, readArrays, writeArrays } from './safetensors.js';

const here = path.dirname(fileURLToPath(import.meta.url));
const steps = 5;
/** |actual - expected| <= tolerance * (1 + |expected|). Training multiplies differences of rounding. */
const tolerance = { predict: 1e-5, losses: 1e-4, weights: 1e-3 };

let [passed, failed] = [0, 0];
const check = (name: string, fault: string | null) => {
  console.log(`${fault === null ? 'ok  ' : 'FAIL'} ${name}${fault === null ? '' : `: ${fault}`}`);
  if (fault === null) passed++;
  else failed++;
};

type Serialized = InteropModel['optimizer'];

interface Trained {
  readonly predictions: ArrayLike<number>[];
  readonly losses: number[];
  readonly weights: ArrayLike<number>[];
}

/** Predictions, then some steps on one batch, here. */
async function runHere(model: ModelBase, x: readonly NamedArray[], y: readonly NamedArray[], optimizer: Serialized, loss: string): Promise<Trained> {
  // As an identifier, so that the model's generation of Keras decides about the optimizer, too.
  model.compile({ optimizer, loss, device: 'wasm' });
  const inputs = x.map((a) => tensor(a.data, a.shape));
  const targets = y.map((a) => tensor(a.data, a.shape));
  const predictions = (await model.predictAll(inputs)).map((t) => t.data);
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) {
    const logs = await model.trainOnBatch(inputs, targets, { returnDict: true });
    losses.push((logs as Record<string, number>).loss!);
  }
  const weights = (await model.getWeights()).map((t) => t.data);
  model.dispose();
  return { predictions, losses, weights };
}

function compare(name: string, ours: Trained, theirs: Readonly<Record<string, NamedArray>>): void {
  const expected = numbered(theirs, 'p');
  check(`${name}: predictions`, ours.predictions.map((p, i) => difference(p, expected[i]!.data, tolerance.predict)).find((d) => d !== null) ?? null);
  check(`${name}: losses of ${steps} steps`, difference(ours.losses, theirs.losses!.data, tolerance.losses));
  const weights = numbered(theirs, 'w');
  check(
    `${name}: weights after them`,
    weights.length !== ours.weights.length
      ? `${ours.weights.length} weights, expected ${weights.length}`
      : (ours.weights.map((w, i) => difference(w, weights[i]!.data, tolerance.weights)?.replace(/^/, `number ${i} `) ?? null).find((d) => d !== null) ?? null),
  );
}

function oracle(python: string, dir: string, version: 2 | 3, script = 'oracle.py'): Promise<string | null> {
  return new Promise((resolve) => {
    const child = spawn(python, [path.join(here, script), dir, String(version)], { stdio: ['ignore', 'ignore', 'pipe'] });
    let err = '';
    child.stderr.on('data', (d) => {
      err += d;
    });
    child.on('close', (code) => resolve(code === 0 ? null : err.trim().split('\n').slice(-6).join('\n')));
  });
}

const attempt = async (name: string, body: () => Promise<void>): Promise<void> => {
  try {
    await body();
  } catch (e) {
    check(name, e instanceof Error ? `${e.name}: ${e.message}` : String(e));
  }
};

async function main(): Promise<void> {
  const python = ensurePython();
  const dir = mkdtempSync(path.join(tmpdir(), 'tenon-interop-'));
  const file = (name: string) => path.join(dir, name);
  const ours = new Map<string, Trained>();
  const jobs: object[] = [{ kind: 'write', steps }];
  for (const version of [2, 3] as const) {
    for (const m of models) {
      const name = `${m.name}.to${version}`;
      await attempt(`${name}: written`, async () => {
        utils.clearSession();
        utils.setRandomSeed(5);
        const model = m.build(version === 2 ? 'keras2' : 'keras3');
        const { x, y } = m.data();
        writeFileSync(file(`${name}.json`), model.toJson({ keras: version }));
        const weights = (await model.getWeights()).map((t): NamedArray => ({ shape: t.shape, data: t.data as Float32Array }));
        writeArrays(file(`${name}.safetensors`), {
          ...Object.fromEntries(x.map((a, i) => [`x${i}`, a])),
          ...Object.fromEntries(y.map((a, i) => [`y${i}`, a])),
          ...Object.fromEntries(weights.map((a, i) => [`w${i}`, a])),
        });
        const optimizer = optimizers.get(m.optimizer);
        jobs.push({
          kind: 'read',
          keras: [version],
          name,
          compile: { optimizer: { class_name: optimizer.className, config: plainConfig(optimizer.getConfig()) }, loss: m.loss },
          steps,
        });
        ours.set(name, await runHere(model, x, y, m.optimizer, m.loss));
      });
    }
  }
  writeFileSync(file('jobs.json'), JSON.stringify(jobs));
  for (const version of [2, 3] as const) {
    const fault = await oracle(python, dir, version);
    check(`${version === 2 ? 'tf_keras' : 'keras 3'} reads what was written here`, fault);
    if (fault !== null) continue;
    for (const [name, trained] of ours)
      if (name.endsWith(`.to${version}`)) await attempt(name, async () => compare(name, trained, readArrays(file(`${name}.keras${version}.safetensors`))));
    for (const model of ['mlp', 'cnn', 'functional', 'sequence']) {
      const name = `${model}.from${version}`;
      await attempt(name, async () => {
        const { model: config, compile } = JSON.parse(readFileSync(file(`${name}.json`), 'utf8')) as {
          model: { class_name: string; config: never };
          compile: { optimizer: Serialized; loss: string };
        };
        const arrays = readArrays(file(`${name}.safetensors`));
        const loaded = modelFromConfig(config, { semantics: version === 2 ? 'keras2' : 'keras3' });
        loaded.setWeights(numbered(arrays, 'v').map((w) => tensor(w.data, w.shape)));
        compare(name, await runHere(loaded, numbered(arrays, 'x'), numbered(arrays, 'y'), compile.optimizer, compile.loss), arrays);
      });
    }
  }
  await writeFiles(dir, check);
  for (const version of [2, 3] as const) {
    const fault = await oracle(python, dir, version, 'files.py');
    if (fault !== null) check(`${version === 2 ? 'tf_keras' : 'keras 3'} reads files`, fault);
    else for (const [name, why] of fileJobs(dir, version)) check(name, why);
  }
  await loadTheirs(dir, check);
  await attempt("ResNet50's H5", async () => checkLoading(python, dir, check));
  for (const version of [2, 3] as const) {
    const fault = await oracle(python, dir, version, 'odd.py');
    if (fault !== null) check(`${version === 2 ? 'tf_keras' : 'keras 3'} writes odd models`, fault);
    else await readOdd(dir, version, check);
  }
  await attempt('published models', async () => {
    const folder = publishedModels(python);
    const wrong = spawnSync(python, [path.join(here, 'real.py'), folder, dir], { encoding: 'utf8' });
    if (wrong.status === 0) await runReal(folder, dir, check);
    else check('published models in onnxruntime', wrong.stderr.trim().split('\n').slice(-3).join('\n'));
  });
  await writeOnnx(dir, check);
  const fault = await oracle(python, dir, 3, 'onnx.py');
  if (fault !== null) check('onnx and onnxruntime read models', fault);
  else for (const [name, why] of onnxResults(dir)) check(`${name}: onnx.checker, and the same outputs`, why);
  const unread = await oracle(python, dir, 3, 'onnx_layers.py');
  if (unread !== null) check('keras 3 reads layers made of ONNX graphs', unread);
  else for (const [name, why] of layerResults(dir)) check(`${name}: its layers in keras 3`, why);
  writeLayerConfigs(dir);
  for (const version of [2, 3] as const) {
    const fault = await oracle(python, dir, version, 'layers.py');
    if (fault !== null) check(`${version === 2 ? 'tf_keras' : 'keras 3'} writes configurations of layers`, fault);
    else for (const [name, why] of compareLayerConfigs(dir, version)) check(name, why);
  }
  await writePreprocessing(dir);
  for (const version of [2, 3] as const) {
    const fault = await oracle(python, dir, version, 'preprocessing.py');
    if (fault !== null) check(`${version === 2 ? 'tf_keras' : 'keras 3'} runs preprocessing layers`, fault);
    else for (const [name, why] of await comparePreprocessing(dir, version)) check(name, why);
  }
  rmSync(dir, { recursive: true });
  console.log(`${passed} passed, ${failed} failed, 0 skipped`);
  process.exit(failed ? 1 : 0);
}

/** The part of a configuration that every version of an optimizer takes. */
const plainConfig = (config: object): object =>
  Object.fromEntries(
    Object.entries(config).filter(([k]) => ['learning_rate', 'momentum', 'nesterov', 'rho', 'epsilon', 'centered', 'beta_1', 'beta_2', 'amsgrad'].includes(k)),
  );

await main();
