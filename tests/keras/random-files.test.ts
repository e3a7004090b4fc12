/** Random models through every format: weights bit for bit, the configuration equal, and the same predictions. Fixed seed. YAML and JSON give the models that weights go into. */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  FileSet,
  Input,
  inMemory,
  layers,
  loadModel,
  Model,
  type ModelBase,
  modelFromJson,
  modelFromYaml,
  Sequential,
  tensor,
  utils,
} from '../../frontend/keras/index.js';
import type { KerasTensor } from '../../frontend/keras/layers/node.js';

type Semantics = 'keras2' | 'keras3';
const width = 6;

/** A step of a model from (batch, 6) to (batch, 6). */
const steps: Readonly<Record<string, (x: KerasTensor, semantics: Semantics) => KerasTensor>> = {
  dense: (x, semantics) => layers.Dense(width, { activation: 'tanh', semantics })(x),
  norm: (x, semantics) => layers.BatchNormalization({ semantics })(x),
  layerNorm: (x, semantics) => layers.LayerNormalization({ semantics })(x),
  branches: (x, semantics) => layers.Add({ semantics })([layers.Dense(width, { useBias: false, semantics })(x), x]),
  shared: (x, semantics) => {
    const d = layers.Dense(width, { semantics });
    return d(layers.Activation('relu', { semantics })(d(x)));
  },
  nested: (x, semantics) => {
    const i = Input([width], { semantics });
    return Model({ inputs: i, outputs: layers.Dense(width, { semantics })(layers.BatchNormalization({ semantics })(i)), semantics })(x) as KerasTensor;
  },
  sequential: (x, semantics) =>
    Sequential({ semantics, layers: [Input([width], { semantics }), layers.Dense(4, { semantics }), layers.Dense(width, { semantics })] })(x) as KerasTensor,
  lstm: (x, semantics) => layers.LSTM(width, { semantics })(layers.Reshape([3, 2], { semantics })(x)),
  both: (x, semantics) => layers.Bidirectional(layers.GRU(3, { semantics }), { semantics })(layers.Reshape([2, 3], { semantics })(x)),
  conv: (x, semantics) => layers.Flatten({ semantics })(layers.Conv1D(2, 2, { padding: 'same', semantics })(layers.Reshape([3, 2], { semantics })(x))),
};

function build(names: readonly string[], semantics: Semantics, sequentialOnly: boolean): ModelBase {
  utils.clearSession();
  const x = Input([width], { semantics, name: 'x' });
  if (sequentialOnly)
    return Sequential({ semantics, layers: [Input([width], { semantics }), ...names.map(() => layers.Dense(width, { activation: 'relu', semantics }))] });
  return Model({ inputs: x, outputs: names.reduce<KerasTensor>((y, n) => steps[n]!(y, semantics), x), semantics });
}

const bits = async (m: ModelBase) => (await m.getWeights()).map((t) => [t.shape, Array.from(new Uint32Array(t.data.slice().buffer))]);
const data = tensor(
  Float32Array.from({ length: 12 }, (_, i) => Math.sin(i)),
  [2, width],
);
const predicted = async (m: ModelBase) => {
  if (!m.optimizer) m.compile({ device: 'reference' });
  return [...(await m.predict(data, { verbose: 0 })).data];
};

test('every format keeps weights to the bit, the configuration, and what is predicted', async () => {
  const model = fc.record({
    names: fc.array(fc.constantFrom(...Object.keys(steps)), { minLength: 1, maxLength: 4 }),
    semantics: fc.constantFrom<Semantics>('keras2', 'keras3'),
    trained: fc.boolean(),
    sequential: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(model, async ({ names, semantics, trained, sequential }) => {
      const m = build(names, semantics, sequential);
      m.compile({ optimizer: 'adam', loss: 'mse', device: 'reference' });
      if (trained) await m.trainOnBatch(data, data);
      const keras = semantics === 'keras2' ? 2 : 3;
      const config = m.toJson({ keras });
      const [expected, result] = [await bits(m), await predicted(m)];
      const same = async (what: string, again: ModelBase) => {
        assert.equal(again.toJson({ keras }), config, `${what}: configuration`);
        assert.equal(await bits(again), expected, `${what}: weights`);
        assert.equal(await predicted(again), result, `${what}: predictions`);
        again.dispose();
      };
      for (const name of ['m.h5', 'm.keras', 'model.json']) {
        const target = inMemory(name);
        await m.save(target, { keras });
        await same(
          name,
          await loadModel(new FileSet(name, Object.fromEntries([...target.files].map(([n, b]) => [n, new Blob([b as BlobPart])]))), {
            device: 'reference',
            semantics,
          }),
        );
      }
      for (const name of ['w.h5', 'w.weights.h5', 'w.safetensors', 'w.npz', 'ckpt']) {
        const target = inMemory(name);
        await m.saveWeights(target, { keras });
        const again = name === 'w.npz' ? await modelFromYaml(await m.toYaml({ keras })) : modelFromJson(config);
        await again.loadWeights(
          new FileSet(name === 'ckpt' ? 'ckpt.index' : name, Object.fromEntries([...target.files].map(([n, b]) => [n, new Blob([b as BlobPart])]))),
        );
        await same(name, again);
      }
      m.dispose();
    }),
    { numRuns: 30, seed: 5 },
  );
});

test.run();
