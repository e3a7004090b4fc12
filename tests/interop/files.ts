/** Files of every kind, written here and read by the real Keras: each loads, predicts the same, and training goes on from it along the same way. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { uniform } from '../../bench/workloads.js';
import { Input, layers, loadModel, Model, type ModelBase, optimizers, Sequential, tensor, utils } from '../../frontend/keras/index.js';
import { Scale } from '../support/scale-layer.js';
import { models } from './models.js';
import { difference, type NamedArray, numbered, readArrays, writeArrays } from './safetensors.js';

type Semantics = 'keras2' | 'keras3';
const steps = 3;
const tolerance = { predict: 1e-5, losses: 1e-4, weights: 1e-3 };

interface FileModel {
  readonly name: string;
  readonly build: (semantics: Semantics) => ModelBase;
  readonly data: () => { readonly x: readonly NamedArray[]; readonly y: readonly NamedArray[] };
  readonly optimizer: () => optimizers.OptimizerIdentifier;
  readonly loss: string;
  /** Which Keras has it; default both. */
  readonly keras?: readonly (2 | 3)[];
}

const array = (seed: number, ...shape: number[]): NamedArray => ({
  shape,
  data: uniform(
    shape.reduce((a, b) => a * b, 1),
    seed,
  ),
});
const regression = () => ({ x: [array(21, 8, 4)], y: [array(22, 8, 2)] });

const small = (semantics: Semantics): ModelBase =>
  Sequential({
    semantics,
    layers: [Input([4], { semantics, name: 'in' }), layers.Dense(5, { activation: 'tanh', semantics }), layers.Dense(2, { semantics })],
  });

/** Each optimizer on a small model, beside the models of `models.ts` and two with nested, shared, bidirectional and custom layers. */
const fileModels: readonly FileModel[] = [
  ...models.map((m): FileModel => ({ ...m, optimizer: () => m.optimizer })),
  ...(
    [
      ['sgd', () => optimizers.SGD(0.05)],
      ['sgd_momentum', () => optimizers.SGD(0.05, { momentum: 0.9, nesterov: true })],
      ['adam_amsgrad', () => optimizers.Adam(0.02, { amsgrad: true })],
      ['adamw', () => optimizers.AdamW(0.02)],
      ['rmsprop_centered', () => optimizers.RMSprop(0.01, { momentum: 0.5, centered: true })],
      ['adagrad', () => optimizers.Adagrad(0.05)],
      ['adamax', () => optimizers.Adamax(0.02)],
      ['adam_schedule', () => optimizers.Adam(optimizers.schedules.ExponentialDecay(0.02, 2, 0.5))],
      ['adam_clipped', () => optimizers.Adam(0.02, { clipnorm: 0.1 })],
      ['adam_restarts', () => optimizers.Adam(optimizers.schedules.CosineDecayRestarts(0.02, 2, { mMul: 0.8, alpha: 0.1 }))],
      ['adam_average', () => optimizers.Adam(0.02, { useEma: true, emaMomentum: 0.9, emaOverwriteFrequency: 2 })],
      ['adadelta', () => optimizers.Adadelta(0.5)],
      ['ftrl', () => optimizers.Ftrl(0.05, { l1RegularizationStrength: 0.001, l2RegularizationStrength: 0.01, beta: 0.1 })],
      ['lion', () => optimizers.Lion(0.01, { weightDecay: 0.01 })],
      ['adafactor', () => optimizers.Adafactor(0.02)],
      // a compiled step of tf_keras 2 multiplies Nadam's momentum product once for each weight
      ['nadam', () => optimizers.Nadam(0.02), [3]],
      ['lamb', () => optimizers.Lamb(0.02), [3]],
      ['muon', () => optimizers.Muon(0.02, { excludeLayers: ['dense_1'] }), [3]],
      ['schedule_free', () => optimizers.ScheduleFreeAdamW(0.02, { warmupSteps: 4 }), [3]],
      ['accumulating', () => optimizers.Adam(0.02, { gradientAccumulationSteps: 2 }), [3]],
    ] as const
  ).map(
    ([name, optimizer, keras]): FileModel => ({
      name: `optimizer_${name}`,
      build: small,
      data: regression,
      optimizer,
      loss: 'mse',
      ...(keras ? { keras } : {}),
    }),
  ),
  {
    name: 'nested',
    build: (semantics) => {
      const x = Input([4], { semantics, name: 'outer' });
      const inner = Sequential({
        name: 'inner',
        semantics,
        layers: [
          Input([4], { semantics }),
          layers.Dense(6, { activation: 'relu', semantics }),
          layers.BatchNormalization({ semantics }),
          layers.Dense(4, { semantics }),
        ],
      });
      const h = inner(inner(x) as typeof x) as typeof x;
      const sequence = layers.Reshape([2, 2], { semantics })(h);
      const r = layers.Bidirectional(layers.LSTM(3, { semantics }), { semantics })(sequence);
      return Model({ inputs: x, outputs: layers.Dense(2, { semantics, name: 'head' })(r), semantics });
    },
    data: regression,
    optimizer: () => optimizers.Adam(0.01),
    loss: 'mse',
  },
  {
    name: 'custom',
    build: (semantics) =>
      Sequential({
        semantics,
        layers: [Input([4], { semantics }), new Scale({ shift: 0.5, semantics, name: 'scale' }), layers.Dense(2, { semantics, name: 'd' })],
      }),
    data: regression,
    optimizer: () => optimizers.Adam(0.01),
    loss: 'mse',
  },
];

/** File names by kind, with the Keras that reads them. A checkpoint is named by its prefix. */
const kinds = [
  ['model', 'h5', 2],
  ['model', 'keras', 2],
  ['weights', 'h5', 2],
  ['checkpoint', 'ckpt', 2],
  ['tfjs', 'json', 2],
  ['npz', 'npz', 2],
  ['safetensors', 'safetensors', 2],
  ['model', 'keras', 3],
  // Keras 3 does not go on training from any H5 file: its optimizer starts anew
  ['untrained', 'h5', 3],
  ['weights', 'weights.h5', 3],
] as const;

const trains = (kind: string): boolean => kind === 'model' || kind === 'checkpoint';
const { serialize: serializeOptimizer } = optimizers;

type Check = (name: string, fault: string | null) => void;
interface Job {
  readonly name: string;
  readonly kind: 'model' | 'untrained' | 'weights' | 'checkpoint' | 'tfjs' | 'npz' | 'safetensors';
  readonly keras: 2 | 3;
}

/** Trains each model some steps, saves it in all ways, and trains on here. */
export async function writeFiles(dir: string, check: Check): Promise<void> {
  const file = (name: string) => path.join(dir, name);
  const jobs: (Job & { readonly file: string; readonly architecture: string; readonly steps: number })[] = [];
  for (const m of fileModels) {
    for (const keras of m.keras ?? ([2, 3] as const)) {
      try {
        utils.clearSession();
        utils.setRandomSeed(9);
        const model = m.build(keras === 2 ? 'keras2' : 'keras3');
        model.compile({ optimizer: m.optimizer(), loss: m.loss, device: 'wasm' });
        const { x, y } = m.data();
        const [xs, ys] = [x.map((a) => tensor(a.data, a.shape)), y.map((a) => tensor(a.data, a.shape))];
        for (let i = 0; i < steps; i++) await model.trainOnBatch(xs, ys);
        const architecture = `${m.name}.${keras}.json`;
        writeFileSync(file(architecture), model.toJson({ keras }));
        const optimizer = serializeOptimizer(model.optimizer!);
        writeFileSync(file(`${architecture}.compile`), JSON.stringify({ optimizer, loss: m.loss }));
        const mine: string[] = [];
        for (const [kind, ending, version] of kinds) {
          if (version !== keras) continue;
          // Keras 3 does not read Lamb from its own H5 files either
          if (kind === 'untrained' && m.name === 'optimizer_lamb') continue;
          // the shards of one model.json must not lie beside those of another
          const name = kind === 'tfjs' ? `${m.name}.tfjs/model.json` : `${m.name}.${kind}.${keras}.${ending}`;
          if (kind === 'tfjs') mkdirSync(path.dirname(file(name)));
          if (kind === 'model' || kind === 'untrained' || kind === 'tfjs') await model.save(file(name), { keras });
          else await model.saveWeights(file(name), { keras });
          jobs.push({ name, kind, keras, file: name, architecture, steps });
          mine.push(name);
        }
        const predictions = await model.predictAll(xs);
        const before = await model.getWeights();
        const losses: number[] = [];
        for (let i = 0; i < steps; i++) losses.push(((await model.trainOnBatch(xs, ys, { returnDict: true })) as Record<string, number>).loss!);
        const after = await model.getWeights();
        for (const name of mine) {
          const weights = trains(jobs.find((j) => j.name === name)!.kind) ? after : before;
          writeArrays(file(`${name}.safetensors`), {
            ...Object.fromEntries(x.map((a, i) => [`x${i}`, a])),
            ...Object.fromEntries(y.map((a, i) => [`y${i}`, a])),
            ...Object.fromEntries(predictions.map((t, i) => [`p${i}`, { shape: t.shape, data: t.data as Float32Array }])),
            ...Object.fromEntries(weights.map((t, i) => [`w${i}`, { shape: t.shape, data: t.data as Float32Array }])),
            losses: { shape: [steps], data: Float32Array.from(losses) },
          });
        }
        model.dispose();
      } catch (e) {
        check(`files of ${m.name} for Keras ${keras}: written`, e instanceof Error ? `${e.name}: ${e.message}` : String(e));
      }
    }
  }
  writeFileSync(file('files.json'), JSON.stringify(jobs));
}

/** What became of the files in the real Keras: a name and what is wrong, or null. */
export function fileJobs(dir: string, version: 2 | 3): [string, string | null][] {
  const file = (name: string) => path.join(dir, name);
  const faults = JSON.parse(readFileSync(file(`files${version}.json`), 'utf8')) as Record<string, string | null>;
  const jobs = (JSON.parse(readFileSync(file('files.json'), 'utf8')) as Job[]).filter((j) => j.keras === version);
  return jobs.map(({ name, kind }) => {
    const shown = `${name} in ${version === 2 ? 'tf_keras' : 'keras 3'}`;
    const fault = faults[name];
    if (fault !== null) return [shown, fault ?? 'was not read'];
    const [ours, theirs] = [readArrays(file(`${name}.safetensors`)), readArrays(file(`${name}.out.safetensors`))];
    const compare = (prefix: string, allowed: number): string | null => {
      const [a, b] = [numbered(ours, prefix), numbered(theirs, prefix)];
      if (a.length !== b.length) return `${prefix}: ${a.length} arrays, Keras has ${b.length}`;
      return a.map((x, i) => difference(x.data, b[i]!.data, allowed)?.replace(/^/, `${prefix}${i} `) ?? null).find((d) => d !== null) ?? null;
    };
    const losses = trains(kind) ? (difference(ours.losses!.data, theirs.losses!.data, tolerance.losses)?.replace(/^/, 'losses ') ?? null) : null;
    return [shown, compare('p', tolerance.predict) ?? losses ?? compare('w', trains(kind) ? tolerance.weights : 0)];
  });
}

/** Models of tf_keras, which it wrote after it had trained a model of ours on: as a checkpoint and, some of them, as a SavedModel. Here they are loaded and trained on along the same way. */
export async function loadTheirs(dir: string, check: Check): Promise<void> {
  const file = (name: string) => path.join(dir, name);
  for (const m of fileModels.filter((f) => f.keras?.includes(2) ?? true)) {
    const name = `${m.name}.model.2.h5`;
    for (const kind of ['checkpoint', 'savedmodel'] as const) {
      const theirs = file(`${name}.${kind}`);
      if (!existsSync(kind === 'checkpoint' ? `${theirs}.index` : theirs)) {
        if (kind === 'checkpoint') check(`${m.name}: checkpoint of tf_keras`, 'was not written');
        continue;
      }
      const shown = `${m.name}: ${kind} of tf_keras`;
      try {
        const arrays = readArrays(file(`${name}.out.safetensors`));
        utils.clearSession();
        const compile = { optimizer: m.optimizer(), loss: m.loss, device: 'wasm' } as const;
        let model: ModelBase;
        if (kind === 'checkpoint') {
          model = m.build('keras2');
          model.compile(compile);
          await model.loadWeights(theirs);
        } else {
          model = await loadModel(theirs, { device: 'wasm', customObjects: { Scale } });
        }
        const { x, y } = m.data();
        const [xs, ys] = [x.map((a) => tensor(a.data, a.shape)), y.map((a) => tensor(a.data, a.shape))];
        const weights = (await model.getWeights()).map((w, i) => difference(w.data, numbered(arrays, 'w')[i]!.data, 0)).find((d) => d !== null);
        check(`${shown}: weights bit for bit`, weights ?? null);
        const losses: number[] = [];
        for (let i = 0; i < steps; i++) losses.push(((await model.trainOnBatch(xs, ys, { returnDict: true })) as Record<string, number>).loss!);
        check(`${shown}: losses of the next steps`, difference(losses, arrays.more!.data, tolerance.losses));
        model.dispose();
      } catch (e) {
        check(shown, e instanceof Error ? `${e.name}: ${e.message}` : String(e));
      }
    }
  }
}
