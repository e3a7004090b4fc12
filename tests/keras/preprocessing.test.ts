/** Text models (strings become numbers on the host), and layers that vary their input while training: statistics, seeds, targets. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ChunkSink } from '../../frontend/formats/sink.js';
import { openSource } from '../../frontend/formats/source.js';
import { openZip, ZipWriter } from '../../frontend/formats/zip.js';
import { separateLayout, Trace } from '../../frontend/keras/backend/trace.js';
import type { Layer } from '../../frontend/keras/index.js';
import { Input, inMemory, layers, loadModel, Model, modelFromConfig, Sequential, StringTensor, Tensor, tensor, utils } from '../../frontend/keras/index.js';
import type { IntegerLookupClass } from '../../frontend/keras/layers/preprocessing/lookup.js';
import { CompiledExecutor } from '../../frontend/keras/models/compiled-executor.js';
import { GraphBuilder } from '../../ir/builder.js';
import { openDevice } from '../../runtime/open.js';

type Device = Awaited<ReturnType<typeof openDevice>>;

const texts = ['the cat sat', 'a dog ran', 'the dog sat', 'a cat'];
const errorOf = (run: () => unknown): string => {
  try {
    run();
  } catch (e) {
    return `${(e as Error).name}: ${(e as Error).message}`;
  }
  return 'no error';
};

test('a text layer in a functional model: trained and predicted with strings', async () => {
  utils.setRandomSeed(1);
  const vectorize = layers.TextVectorization({ outputSequenceLength: 4 });
  vectorize.adapt(texts);
  const text = Input({ shape: [1], dtype: 'string', name: 'text' });
  const color = Input({ shape: [1], dtype: 'string', name: 'color' });
  const size = Input({ shape: [2], name: 'size' });
  const words = layers.GlobalAveragePooling1D()(layers.Embedding(vectorize.vocabularySize, 3)(vectorize(text)));
  const hot = layers.StringLookup({ vocabulary: ['red', 'blue'], outputMode: 'multi_hot' })(color);
  const y = layers.Dense(1)(layers.Concatenate()([words, hot, size]));
  const model = Model({ inputs: [text, color, size], outputs: y });
  model.compile({ optimizer: 'adam', loss: 'mse', device: 'wasm' });
  const x = { text: texts, color: ['red', 'blue', 'pink', 'red'], size: tensor([1, 2, 3, 4, 5, 6, 7, 8], [4, 2]) };
  const history = await model.fit(x, [[1], [2], [3], [4]], { epochs: 3, verbose: 0 });
  assert.ok(history.history.loss!.at(-1)! < history.history.loss![0]!);
  const before = await model.predict(x);
  assert.equal(before.shape, [4, 1]);
  const other = await model.predict({ ...x, text: ['the cat sat', 'a dog ran', 'the dog sat', 'unknown words'] });
  assert.equal([...other.data.slice(0, 3)], [...before.data.slice(0, 3)]);
  assert.not.equal(other.data[3], before.data[3]);
  // the vocabulary is part of the configuration
  const copy = modelFromConfig(JSON.parse(model.toJson()) as never);
  copy.setWeights(await model.getWeights());
  copy.compile({ loss: 'mse', device: 'wasm' });
  assert.equal([...(await copy.predict(x)).data], [...before.data]);
  copy.dispose();
  model.dispose();
});

test('a Sequential that begins with a text layer; hashing of numbers on the host', async () => {
  const vectorize = layers.TextVectorization({ outputMode: 'multi_hot' });
  vectorize.adapt(texts);
  const model = Sequential([vectorize, layers.Dense(2, { kernelInitializer: 'ones' })]);
  model.compile({ loss: 'mse', device: 'wasm' });
  assert.equal([...(await model.predict(['the cat sat', 'xyz', '', 'a dog ran'])).data], [3, 3, 1, 1, 0, 0, 3, 3]);
  model.dispose();
  const hash = layers.Hashing(5);
  const hashed = Sequential([Input({ shape: [1], dtype: 'int32' }), hash, layers.Rescaling(1)]);
  const ids = new Tensor(Int32Array.of(1, 2, 3, 99), [4, 1]);
  const expected = [...(hash(ids) as Tensor).data];
  hashed.compile({ device: 'wasm' });
  for (let i = 0; i < 2; i++) assert.equal([...(await hashed.predict(ids)).data], expected);
  hashed.dispose();
});

test('where text layers cannot work, they say so', () => {
  const text = Input({ shape: [1], dtype: 'string' });
  const number = Input({ shape: [3] });
  assert.match(
    errorOf(() => layers.Dense(2)(text)),
    /cannot take strings/,
  );
  assert.match(
    errorOf(() => layers.StringLookup({ vocabulary: ['a'] })(number)),
    /takes strings/,
  );
  assert.match(
    errorOf(() => layers.Hashing(3)(layers.Dense(2)(number))),
    /works on the host.*'dense/,
  );
  assert.match(
    errorOf(() => layers.TextVectorization()(['a b'])),
    /adapt/,
  );
  assert.match(
    errorOf(() => layers.StringLookup({ vocabulary: ['a'], numOovIndices: 0 })(['b'])),
    /not in the vocabulary/,
  );
  assert.match(
    errorOf(() => Model({ inputs: text, outputs: layers.StringLookup({ vocabulary: ['a'], invert: true })(layers.StringLookup({ vocabulary: ['a'] })(text)) })),
    /made of strings/,
  );
  assert.match(
    errorOf(() =>
      modelFromConfig({ class_name: 'Sequential', config: { layers: [{ class_name: 'StringLookup', config: { vocabulary: '/etc/passwd' } }] } } as never),
    ),
    /files that a configuration names are not read/,
  );
});

test('lookups there and back', () => {
  const lookup = layers.StringLookup({ vocabulary: ['a', 'b'], maskToken: '' });
  const ids = lookup([['a', '', 'z', 'b']]) as Tensor;
  assert.equal([...ids.data], [2, 0, 1, 3]);
  const back = layers.StringLookup({ vocabulary: ['a', 'b'], maskToken: '', invert: true })(ids) as StringTensor;
  assert.equal(back.array(), [['a', '', '[UNK]', 'b']]);
});

/** Two training steps of a layer on a device. */
async function steps(device: Device, layer: Layer, x: Tensor, seed: number): Promise<Float32Array[]> {
  const executor = new CompiledExecutor(device);
  const b = new GraphBuilder('random');
  const t = new Trace(b, { training: true, layout: separateLayout });
  const out = layer.compute(t.tensor(b.input('x', 'float32', x.shape)), { training: true });
  b.output('y', (out as unknown as { value: never }).value);
  const program = await executor.load('random', b.build());
  if (executor.hasState('seed')) executor.writeState('seed', Uint32Array.of(seed));
  const results: Float32Array[] = [];
  for (const step of [0, 1]) {
    executor.writeState('iteration', Int32Array.of(step));
    program.run({ inputs: { x } });
    results.push(Float32Array.from((await program.read('y')).data as Float32Array));
  }
  executor.dispose();
  return results;
}

const n = 64 * 64 * 4;
const flat = new Tensor(new Float32Array(n).fill(2), [64, 64, 4]);
const images = new Tensor(
  Float32Array.from({ length: 8 * 6 * 6 * 2 }, (_, i) => (i * 37) % 251),
  [8, 6, 6, 2],
);
const moments = (x: ArrayLike<number>): [number, number] => {
  const mean = Array.from(x).reduce((a, b) => a + b, 0) / x.length;
  return [mean, Math.sqrt(Array.from(x).reduce((a, b) => a + (b - mean) ** 2, 0) / x.length)];
};

/** Mean and deviation of the output for an input of 2 everywhere, and how many of the values are drawn independently. */
const noisy: readonly (readonly [string, () => Layer, number, number, number])[] = [
  ['Dropout', () => layers.Dropout(0.25), 2, 2 * Math.sqrt(1 / 3), n],
  ['SpatialDropout1D', () => layers.SpatialDropout1D(0.5), 2, 2, 64 * 4],
  ['GaussianNoise', () => layers.GaussianNoise(0.7), 2, 0.7, n],
  ['GaussianDropout', () => layers.GaussianDropout(0.2), 2, 2 * 0.5, n],
];

const others: readonly (readonly [string, () => Layer])[] = [
  ['AlphaDropout', () => layers.AlphaDropout(0.3)],
  ['RandomFlip', () => layers.RandomFlip()],
  ['RandomRotation', () => layers.RandomRotation(0.3)],
  ['RandomZoom', () => layers.RandomZoom(0.4, { widthFactor: 0.2, fillMode: 'constant' })],
  ['RandomTranslation', () => layers.RandomTranslation(0.4, 0.4, { fillMode: 'wrap' })],
  ['RandomCrop', () => layers.RandomCrop(2, 3)],
  ['RandomContrast', () => layers.RandomContrast(0.5)],
  ['RandomBrightness', () => layers.RandomBrightness(0.5)],
];

async function devices(): Promise<Device[]> {
  const wasm = await openDevice('wasm');
  try {
    return [wasm, await openDevice('webgpu')];
  } catch {
    console.log('no WebGPU adapter: WASM alone');
    return [wasm];
  }
}

test('random layers: statistics, other numbers at each step, the same on both targets', async () => {
  const open = await devices();
  for (const [name, make, mean, deviation, count] of noisy) {
    const [first, second] = await steps(open[0]!, make(), flat, 7);
    const [m, d] = moments(first!);
    // five standard errors
    assert.ok(Math.abs(m - mean) < (5 * deviation) / Math.sqrt(count), `${name}: mean ${m}, expected ${mean}`);
    assert.ok(Math.abs(d - deviation) < (5 * deviation) / Math.sqrt(count), `${name}: deviation ${d}, expected ${deviation}`);
    assert.not.equal([...first!], [...second!], `${name} draws other numbers at the next step`);
  }
  const normal = new Tensor(
    Float32Array.from({ length: n }, (_, i) => Math.sqrt(-2 * Math.log((i + 0.5) / n)) * Math.cos(i * 2.399963)),
    [64, 64, 4],
  );
  const [alpha] = await steps(open[0]!, layers.AlphaDropout(0.3), normal, 7);
  const [m, d] = moments(alpha!);
  assert.ok(Math.abs(m) < 0.06 && Math.abs(d - 1) < 0.06, `AlphaDropout keeps mean 0 and deviation 1: ${m}, ${d}`);
  for (const [name, make] of [...noisy.map(([a, b]) => [a, b] as const), ...others]) {
    const x = name.startsWith('Random') ? images : new Tensor(flat.data.slice(0, 512), [8, 16, 4]);
    const all = [];
    for (const device of open) all.push(await steps(device, make(), x, 11));
    const [here, there = here] = all;
    assert.not.equal([...here![0]!], [...here![1]!], `${name}: other numbers at the next step`);
    const worst = here!.flatMap((s, k) => Array.from(s, (v, i) => Math.abs(v - there![k]![i]!))).reduce((a, b) => Math.max(a, b), 0);
    assert.ok(worst < 0.02, `${name}: the same numbers on both targets, they differ by ${worst}`);
    const again = await steps(open[0]!, make(), x, 11);
    assert.equal([...again[0]!], [...here![0]!], `${name}: the same seed gives the same numbers`);
    const other = await steps(open[0]!, make(), x, 12);
    assert.not.equal([...other[0]!, ...other[1]!], [...here![0]!, ...here![1]!], `${name}: another seed gives others`);
  }
  for (const device of open) device.dispose();
});

test('RandomFlip mirrors about half of the images in each direction', async () => {
  const device = await openDevice('wasm');
  const x = new Tensor(
    Float32Array.from({ length: 400 * 4 }, (_, i) => i % 4),
    [400, 2, 2, 1],
  );
  const [y] = await steps(device, layers.RandomFlip(), x, 3);
  const counts = new Map<string, number>();
  for (let i = 0; i < 400; i++) {
    const key = y!.slice(i * 4, i * 4 + 4).join('');
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  assert.equal([...counts.keys()].sort(), ['0123', '1032', '2301', '3210']);
  // a binomial of 400 and 1/4 has the deviation 8.7
  for (const c of counts.values()) assert.ok(Math.abs(c - 100) < 44);
  device.dispose();
});

test('learned vocabularies are assets of .keras files, and learn anew after loading; hostile ones are refused', async () => {
  const learn = () => {
    const words = layers.TextVectorization({ outputMode: 'tf_idf', ngrams: 2 });
    words.adapt(['a b', 'b c é', '']);
    const ids = layers.IntegerLookup({ numOovIndices: 2, maskToken: 0 });
    ids.adapt([[5, -7, 5]]);
    const line = layers.StringLookup({ outputMode: 'count' });
    line.adapt([['x\ny', 'z', 'z']]);
    const [text, number] = [Input([1], { dtype: 'string', name: 'text' }), Input([3], { dtype: 'int32', name: 'number' })];
    return Model({ inputs: [text, number], outputs: [layers.Dense(2)(words(text)), ids(number), line(text)] });
  };
  const target = inMemory('v.keras');
  const model = learn();
  await model.save(target);
  const zip = await openZip(await openSource(target.bytes()));
  const asset = async (of: string) => new TextDecoder().decode(await zip.read(`assets/layers/${of}/vocabulary.txt`));
  assert.is(await asset('text_vectorization'), '[UNK]\nb\né\nc é\nc\nb c\na b\na');
  assert.is(await asset('integer_lookup'), '0\n-1\n-1\n5\n-7');
  // lines cannot hold a line break: that one is in the configuration
  assert.not(zip.entries.has('assets/layers/string_lookup/vocabulary.txt'));
  const again = await loadModel(target.bytes(), { name: 'v.keras', device: 'reference' });
  const x = [new StringTensor(['b c', 'q a', 'z'], [3, 1]), new Tensor(Int32Array.from([5, 0, 9, -7, 1, 2, 0, 0, 5]), [3, 3])];
  const [before, after] = [await model.predictAll(x), await again.predictAll(x)];
  assert.equal(
    after.map((t) => [...t.data]),
    before.map((t) => [...t.data]),
  );
  const ids = again.layers.find((l) => l.className === 'IntegerLookup') as IntegerLookupClass;
  ids.adapt([[3, 3, 4]]);
  assert.equal(ids.getVocabulary(), [0, -1, -1, 3, 4]);
  for (const [text, message] of [
    ['0\n-1\n-1\n5\nx', /whole numbers/],
    ['0\n-1\n-1\n5\n5', /repeated/],
    ['0\n-1\n-1\n5\n6\n7', /has 6 entries, the configuration says that there are 5/],
  ] as const) {
    const sink = new ChunkSink('h.keras');
    const out = new ZipWriter(sink);
    for (const name of zip.entries.keys()) await out.add(name, name.includes('integer_lookup') ? new TextEncoder().encode(text) : await zip.read(name));
    out.finish();
    await loadModel(Uint8Array.from(sink.parts.flatMap((p) => [...p])), { name: 'h.keras' }).then(
      () => assert.unreachable(text),
      (e: Error) => {
        assert.is(e.name, 'ModelFormatError');
        assert.match(e.message, message);
      },
    );
  }
});

test('in inference RandomCrop takes the middle as Keras 2 does, and passes images on as Keras 3 does', () => {
  const x = new Tensor(images.data.slice(0, 72), [1, 6, 6, 2]);
  assert.equal(layers.RandomCrop(4, 5, { semantics: 'keras2' })(x).shape, [1, 4, 5, 2]);
  assert.equal([...layers.RandomCrop(4, 5)(x).data], [...x.data]);
  assert.equal(Sequential([Input([6, 6, 2]), layers.RandomCrop(4, 5), layers.Flatten(), layers.Dense(1)]).weights[0]!.shape, [40, 1]);
});

test('layers that vary images do nothing in inference; sizes that change need eager runs', () => {
  const x = new Tensor(images.data.slice(0, 72), [1, 6, 6, 2]);
  for (const layer of [layers.RandomFlip(), layers.RandomRotation(0.2), layers.RandomContrast(0.3), layers.RandomHeight(0.3)])
    assert.equal([...layer(x).data], [...x.data]);
  const tall = layers.RandomHeight([0.5, 0.5]);
  assert.equal(tall(x, { training: true }).shape, [1, 9, 6, 2]);
  assert.match(
    errorOf(() => tall.compute(new Trace(new GraphBuilder('t'), { training: true, layout: separateLayout }).constant(x), { training: true })),
    /runEagerly/,
  );
});

test.run();
