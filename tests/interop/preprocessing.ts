/** Preprocessing layers against the real Keras: vocabularies that adapt learns, encodings, hashes, quantiles, and augmentation with factors that leave nothing to chance. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { uniform } from '../../bench/workloads.js';
import { Input, type KerasTensor, loadModel, Model, StringTensor, tensor } from '../../frontend/keras/index.js';
import { deserialize } from '../../frontend/keras/layers/serialization.js';
import type { HostArray } from '../../frontend/keras/strings.js';
import type { JsonObject } from '../../frontend/keras/utils/serialization.js';

type Nested = number | string | readonly Nested[];

export interface PreprocessingCase {
  readonly name: string;
  readonly class: string;
  readonly config: JsonObject;
  readonly dtype: 'string' | 'int' | 'float';
  readonly dtypes?: readonly string[];
  readonly adapt?: Nested;
  readonly inputs: readonly Nested[];
  readonly training?: boolean;
  /** Of layers that learn a vocabulary: the shape of a sample in the model whose files go both ways. */
  readonly shape?: readonly number[];
  readonly keras: readonly (2 | 3)[];
}

const texts = [
  'The cat sat on the mat.',
  'The dog ate my homework! Really?',
  'A cat and a dog, the end',
  'Ünïcode Äpfel — naïve café',
  "don't   stop; it's [fine] {ok} `yes` ~no~ \\ a|b",
  '',
];
const more = ['the cat ate the mat', 'an unknown dog, the END', "äpfel café don't", '  '];
const words = [
  ['red', 'green', 'red'],
  ['blue', 'pink', 'blue'],
  ['red', 'blue', 'violet'],
];
const unseen = [
  ['red', 'black', 'violet'],
  ['white', 'pink', '[UNK]'],
];
const column = (list: readonly Nested[]): Nested => list.map((x) => [x]);
const ids = [
  [12, 36, 12],
  [5, 36, 1138],
  [-7, 12, 0],
];
const long = [
  '',
  'a',
  'ab',
  'abc',
  'abcd',
  'abcdefg',
  'abcdefgh',
  'exactly sixteen!',
  'seventeen letters',
  'a text of thirty-two characters!!',
  'x'.repeat(33),
  'y'.repeat(64),
  'z'.repeat(65),
  'longer than that: '.repeat(12),
  'Grüße, 世界 🎉',
];

const image = (...shape: number[]): Nested => {
  const data = uniform(
    shape.reduce((a, b) => a * b, 1),
    71,
  ).map((v) => Math.fround((v + 1) * 127));
  const nest = (axis: number, at: number, size: number): Nested =>
    axis === shape.length ? data[at]! : Array.from({ length: shape[axis]! }, (_, i) => nest(axis + 1, at + (i * size) / shape[axis]!, size / shape[axis]!));
  return nest(0, 0, data.length);
};
const normal = Array.from(uniform(200, 5), (v, i) => Math.fround(v * 3 + Math.sin(i)));

const cases: PreprocessingCase[] = [];
const both = [2, 3] as const;
const add = (
  name: string,
  cls: string,
  config: JsonObject,
  rest: Omit<PreprocessingCase, 'name' | 'class' | 'config' | 'keras'> & { keras?: readonly (2 | 3)[] },
) => {
  const learns = rest.adapt !== undefined && ['StringLookup', 'IntegerLookup', 'TextVectorization'].includes(cls);
  const row = rest.inputs[0];
  const width = cls !== 'TextVectorization' && Array.isArray(row) && Array.isArray(row[0]) ? row[0].length : 1;
  cases.push({ name: name.replace(/\W+/g, '_'), class: cls, config, keras: both, ...(learns ? { shape: [width] } : {}), ...rest });
};

for (const output_mode of ['int', 'one_hot', 'multi_hot', 'count', 'tf_idf'])
  for (const extra of [{}, { num_oov_indices: 3 }, { mask_token: 'red' }, { max_tokens: 4 }, { max_tokens: 9, pad_to_max_tokens: true }] as JsonObject[]) {
    const one = output_mode === 'one_hot';
    // Keras 2 fails on documents with different numbers of distinct words
    const documents = output_mode === 'tf_idf' ? ([3] as const) : both;
    const label = `${output_mode}_${Object.keys(extra).join('_')}`;
    add(
      `string_lookup_adapt_${label}`,
      'StringLookup',
      { output_mode, ...extra },
      { dtype: 'string', adapt: words, inputs: [one ? unseen[0]! : unseen], keras: documents },
    );
    if (output_mode !== 'tf_idf')
      add(
        `string_lookup_given_${label}`,
        'StringLookup',
        { output_mode, vocabulary: ['violet', 'blue', 'pink'], ...extra },
        { dtype: 'string', inputs: [one ? column(unseen[0]!) : unseen] },
      );
    const number = 'mask_token' in extra ? { mask_token: 12 } : extra;
    add(
      `integer_lookup_adapt_${label}`,
      'IntegerLookup',
      { output_mode, ...number },
      {
        dtype: 'int',
        adapt: ids,
        inputs: [
          one
            ? [12, 99, -7]
            : [
                [12, 99, -7],
                [0, 1138, -1],
              ],
        ],
        keras: documents,
      },
    );
  }
add(
  'string_lookup_documents',
  'StringLookup',
  { output_mode: 'tf_idf' },
  {
    dtype: 'string',
    adapt: [
      ['a', 'b'],
      ['c', 'a'],
      ['d', 'a'],
    ],
    inputs: [[['a', 'c', 'q']]],
  },
);
add('string_lookup_ranked', 'StringLookup', {}, { dtype: 'string', adapt: [['b', 'a', 'é', 'z', '🎉', '￿']], inputs: [['b', 'a', 'é', 'z', '🎉', '￿']] });
add('string_lookup_special_given', 'StringLookup', { vocabulary: ['', '[UNK]', 'x', 'y'], mask_token: '' }, { dtype: 'string', inputs: [['x', '', 'q', 'y']] });
add(
  'string_lookup_idf_given',
  'StringLookup',
  { vocabulary: ['x', 'y'], idf_weights: [0.5, 2], output_mode: 'tf_idf' },
  { dtype: 'string', inputs: [[['x', 'q', 'y', 'x']]] },
);
add('string_lookup_invert', 'StringLookup', { vocabulary: ['x', 'y'], invert: true, mask_token: '' }, { dtype: 'int', inputs: [[[0, 1, 2, 3, 9]]] });
add(
  'string_lookup_tf_idf_single_values',
  'StringLookup',
  { output_mode: 'tf_idf' },
  { dtype: 'string', adapt: Array.from({ length: 70 }, (_, i) => ['a', 'b', 'c', 'd', 'e'][(i * i) % 5]!), inputs: [[['a', 'c', 'q']]], keras: [2] },
);
add(
  'integer_lookup_invert',
  'IntegerLookup',
  { vocabulary: [12, 36], invert: true, mask_token: 0, oov_token: -5 },
  { dtype: 'int', inputs: [[[0, 1, 2, 3, 9]]] },
);

for (const config of [
  {},
  { max_tokens: 8, output_sequence_length: 6 },
  { output_sequence_length: 3 },
  { output_mode: 'tf_idf' },
  { output_mode: 'count', max_tokens: 6 },
  { output_mode: 'multi_hot', ngrams: 2 },
  { output_mode: 'multi_hot', max_tokens: 40, pad_to_max_tokens: true },
  { output_mode: 'tf_idf', max_tokens: 40, pad_to_max_tokens: true, ngrams: 3 },
  { standardize: 'lower' },
  { standardize: 'strip_punctuation' },
  { standardize: null },
  { split: 'character' },
  { split: 'character', ngrams: 2, max_tokens: 20 },
  { split: null },
  { ngrams: 3, output_sequence_length: 9 },
] as JsonObject[])
  add(`text_vectorization_${JSON.stringify(config)}`, 'TextVectorization', config, {
    dtype: 'string',
    adapt: texts,
    inputs: [config.split === null ? column(more) : more],
  });
add('text_vectorization_given', 'TextVectorization', { vocabulary: ['the', 'cat'], output_sequence_length: 4 }, { dtype: 'string', inputs: [column(more)] });
add(
  'text_vectorization_idf_given',
  'TextVectorization',
  { vocabulary: ['the', 'cat'], idf_weights: [0.25, 3], output_mode: 'tf_idf' },
  { dtype: 'string', inputs: [column(more)] },
);

for (const config of [{}, { salt: 133 }, { salt: [133, 137] }, { mask_value: 'abc' }, { output_mode: 'multi_hot' }, { output_mode: 'count' }] as JsonObject[])
  add(
    `hashing_${JSON.stringify(config)}`,
    'Hashing',
    { num_bins: 97, ...config },
    { dtype: 'string', inputs: ['output_mode' in config ? [long] : column(long)] },
  );
add('hashing_one_hot', 'Hashing', { num_bins: 5, output_mode: 'one_hot' }, { dtype: 'string', inputs: [['a', 'b', 'cde']] });
add(
  'hashing_integers',
  'Hashing',
  { num_bins: 11, mask_value: 0 },
  {
    dtype: 'int',
    inputs: [
      [
        [0, 1, -2, 123456],
        [7, 8, 9, 10],
      ],
    ],
  },
);
add(
  'hashed_crossing',
  'HashedCrossing',
  { num_bins: 13 },
  {
    dtype: 'string',
    dtypes: ['string', 'int'],
    inputs: [
      ['A', 'B', 'A', 'B', 'A'],
      [101, 101, 101, 102, -102],
    ],
  },
);
add(
  'hashed_crossing_column',
  'HashedCrossing',
  { num_bins: 7, output_mode: 'one_hot' },
  { dtype: 'string', dtypes: ['int', 'string', 'string'], inputs: [column([1, 2, 3]), column(['x', 'y', 'z']), column(['k', 'l', 'm'])] },
);

for (const num_bins of [2, 4, 7])
  for (const epsilon of [0.01, 0.1])
    add(`discretization_${num_bins}_${epsilon}`, 'Discretization', { num_bins, epsilon }, { dtype: 'float', adapt: normal, inputs: [normal.slice(0, 20)] });
add('discretization_few', 'Discretization', { num_bins: 3 }, { dtype: 'float', adapt: column([5, 1, 3, 2, 4]), inputs: [column([0, 1.5, 2.5, 9])] });
for (const output_mode of ['one_hot', 'multi_hot', 'count'])
  add(
    `discretization_${output_mode}`,
    'Discretization',
    { bin_boundaries: [0, 1, 2], output_mode },
    {
      dtype: 'float',
      inputs: [
        output_mode === 'one_hot'
          ? column([-1, 0, 3])
          : [
              [-1, 0, 1.5],
              [3, 3, 0.5],
            ],
      ],
    },
  );
for (const config of [{}, { axis: null }, { axis: 1 }, { axis: [1, 2] }, { invert: true }, { mean: 2, variance: 4 }] as JsonObject[])
  add(`normalization_${JSON.stringify(config)}`, 'Normalization', config, {
    dtype: 'float',
    ...('mean' in config ? {} : { adapt: image(4, 3, 2) }),
    inputs: [image(4, 3, 2)],
  });

for (const fill_mode of ['reflect', 'wrap', 'constant', 'nearest'])
  for (const interpolation of ['bilinear', 'nearest']) {
    const options = { fill_mode, interpolation, fill_value: fill_mode === 'constant' ? 33 : 0 };
    const given = { dtype: 'float' as const, inputs: [image(2, 6, 7, 2)], training: true };
    for (const turn of [0.0617, -0.213, 0.37])
      add(`random_rotation_${turn}_${fill_mode}_${interpolation}`, 'RandomRotation', { factor: [turn, turn], ...options }, given);
    add(`random_zoom_in_${fill_mode}_${interpolation}`, 'RandomZoom', { height_factor: [-0.33, -0.33], ...options }, given);
    add(`random_zoom_out_${fill_mode}_${interpolation}`, 'RandomZoom', { height_factor: [0.83, 0.83], width_factor: [0.93, 0.93], ...options }, given);
    add(
      `random_translation_${fill_mode}_${interpolation}`,
      'RandomTranslation',
      { height_factor: [0.37, 0.37], width_factor: [-0.91, -0.91], ...options },
      given,
    );
  }
const photo = { dtype: 'float' as const, inputs: [image(2, 6, 7, 3)] };
add('random_rotation_one_image', 'RandomRotation', { factor: [0.1, 0.1] }, { dtype: 'float', inputs: [image(6, 7, 3)], training: true });
add('random_rotation_still', 'RandomRotation', { factor: 0.2, seed: 4 }, { ...photo, training: false });
for (const size of [4, 9]) add(`random_crop_still_${size}`, 'RandomCrop', { height: size, width: 5, seed: 3 }, { ...photo, training: false });
add('random_flip_still', 'RandomFlip', { mode: 'vertical' }, { ...photo, training: false });
add('random_brightness', 'RandomBrightness', { factor: [0.3, 0.3] }, { ...photo, training: true });
add('random_brightness_range', 'RandomBrightness', { factor: [-0.2, -0.2], value_range: [10, 200] }, { ...photo, training: true });
add('random_contrast', 'RandomContrast', { factor: [0, 0] }, { ...photo, training: true, keras: [3] });
add('random_contrast_config', 'RandomContrast', { factor: 0.25, seed: 1 }, { ...photo, training: false });
for (const [height, width] of [
  [6, 7],
  [9, 5],
  [8, 20],
] as const)
  add(`random_crop_${height}_${width}`, 'RandomCrop', { height, width, seed: 2 }, { ...photo, training: true, keras: [2] });
add('random_crop_resized', 'RandomCrop', { height: 9, width: 5, seed: 2 }, { ...photo, training: true, keras: [3] });
add(
  'random_zoom_channels_first',
  'RandomZoom',
  { height_factor: [0.4, 0.4], data_format: 'channels_first' },
  { dtype: 'float', inputs: [image(2, 3, 6, 7)], training: true, keras: [3] },
);
for (const interpolation of ['bilinear', 'nearest', 'bicubic', 'area', 'lanczos3'])
  for (const crop_to_aspect_ratio of [false, true])
    add(
      `resizing_${interpolation}_${crop_to_aspect_ratio}`,
      'Resizing',
      { height: 4, width: 9, interpolation, crop_to_aspect_ratio },
      { ...photo, keras: interpolation === 'area' ? [2] : both },
    );
for (const interpolation of ['bilinear', 'bicubic', 'lanczos3', 'lanczos5', 'nearest'])
  for (const [height, width] of [
    [3, 3],
    [4, 11],
  ] as const)
    add(`resizing_antialias_${interpolation}_${height}_${width}`, 'Resizing', { height, width, interpolation, antialias: true }, { ...photo, keras: [3] });

export const preprocessingCases: readonly PreprocessingCase[] = cases;

interface Result {
  readonly error?: string;
  readonly config: Record<string, unknown>;
  readonly output: Nested;
  readonly shape: readonly number[];
  readonly vocabulary?: readonly unknown[];
  readonly boundaries?: readonly number[];
  /** Why Keras cannot save the layer, or not load what it saved. */
  readonly not_saved?: string;
  /** What the layer of our file gives in Keras. */
  readonly of_tenon?: { readonly error?: string; readonly output: Nested; readonly vocabulary: readonly unknown[] };
}

/** A layer as its class-specific methods are used here. */
interface AnyLayer {
  (x: unknown, args: object): { readonly data: ArrayLike<number | string>; readonly shape: readonly number[] };
  (x: KerasTensor): KerasTensor;
  adapt(data: unknown): void;
  getVocabulary?(): unknown[];
  readonly binBoundaries?: readonly number[];
  getConfig(): Record<string, unknown>;
}

function array(x: Nested, dtype: string): HostArray {
  const shape: number[] = [];
  for (let at: Nested = x; Array.isArray(at); at = at[0] as Nested) shape.push(at.length);
  return dtype === 'string' ? new StringTensor(flat(x) as string[], shape) : tensor(flat(x) as number[], shape, dtype === 'int' ? 'int32' : 'float32');
}

function layerOf(c: PreprocessingCase, version: 2 | 3): AnyLayer {
  const layer = deserialize({ class_name: c.class, config: c.config }, { semantics: version === 2 ? 'keras2' : 'keras3' }) as unknown as AnyLayer;
  if (c.adapt !== undefined) layer.adapt(array(c.adapt, c.dtype));
  return layer;
}

/** The cases, and files of the layers that learn. */
export async function writePreprocessing(dir: string): Promise<void> {
  writeFileSync(path.join(dir, 'preprocessing.json'), JSON.stringify(cases));
  for (const c of cases.filter((x) => x.shape))
    for (const version of c.keras) {
      const semantics = version === 2 ? 'keras2' : 'keras3';
      const x = Input(c.shape!, { dtype: c.dtype === 'string' ? 'string' : 'int32', semantics });
      await Model({ inputs: x, outputs: layerOf(c, version)(x), semantics }).save(path.join(dir, `${c.name}.tenon${version}.keras`));
    }
}

const flat = (x: Nested): (number | string)[] => (Array.isArray(x) ? x.flatMap(flat) : [x as number | string]);

/** Keys in order, numbers as float32; names that count through the process, and what only Keras needs, left out. */
function comparable(x: unknown): unknown {
  if (Array.isArray(x)) return x.map(comparable);
  if (typeof x === 'number') return Math.fround(x);
  if (typeof x !== 'object' || x === null) return x;
  const o = x as Record<string, unknown>;
  if (o.class_name === 'DTypePolicy') return (o.config as Record<string, unknown>).name;
  const entries = Object.entries(o).filter(([k]) => k !== 'name');
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, v]) => [k, comparable(v)]));
}

const near = (a: unknown, b: unknown) => a === b || (typeof a === 'number' && typeof b === 'number' && Math.abs(a - b) <= 2e-4 * (1 + Math.abs(b)));

function unequal(actual: ArrayLike<number | string>, expected: Nested): string | null {
  const wanted = flat(expected);
  const bad = wanted.findIndex((v, i) => !near(actual[i], v));
  return bad < 0 ? null : `element ${bad} is ${actual[bad]}, expected ${wanted[bad]}`;
}

/** What goes wrong with the files of a layer that learned its vocabulary: Keras' here, ours in Keras. */
async function fileFaults(dir: string, c: PreprocessingCase, version: 2 | 3, expected: Result): Promise<[name: string, fault: string | null][]> {
  const of = `keras ${version} ${c.name}`;
  const vocabulary = JSON.stringify(expected.vocabulary);
  const { of_tenon: back } = expected;
  const words = JSON.stringify(back?.vocabulary);
  const out: [string, string | null][] = [
    [
      `${of}: our file there`,
      !back || back.error ? `Keras: ${back?.error}` : words === vocabulary ? unequal(flat(back.output), expected.output) : `${words}, expected ${vocabulary}`,
    ],
  ];
  // the file is there even where Keras itself cannot read it
  const file = path.join(dir, `${c.name}.${version}.keras`);
  if (!existsSync(file)) return [...out, [`${of}: its file here`, `Keras: ${expected.not_saved}`]];
  const layer = (await loadModel(file)).layers.at(-1)! as unknown as AnyLayer;
  const mine = JSON.stringify(layer.getVocabulary?.());
  const fault = mine === vocabulary ? unequal(layer(array(c.inputs[0]!, c.dtype), {}).data, expected.output) : `${mine}, expected ${vocabulary}`;
  return [...out, [`${of}: its file here`, fault]];
}

/** What differs from the real Keras, or null. */
function fault(c: PreprocessingCase, version: 2 | 3, expected: Result): string | null {
  if (expected.error) return `Keras: ${expected.error}`;
  const layer = layerOf(c, version);
  const inputs = c.inputs.map((x, i) => array(x, c.dtypes?.[i] ?? c.dtype));
  const out = layer(inputs.length > 1 ? inputs : inputs[0]!, c.training === undefined ? {} : { training: c.training });
  if (expected.vocabulary && JSON.stringify(layer.getVocabulary?.()) !== JSON.stringify(expected.vocabulary))
    return `vocabulary ${JSON.stringify(layer.getVocabulary?.())}, expected ${JSON.stringify(expected.vocabulary)}`;
  if (expected.boundaries?.some((b, i) => !near(layer.binBoundaries![i], b)))
    return `boundaries ${layer.binBoundaries!.join()}, expected ${expected.boundaries.join()}`;
  if (out.shape.join() !== expected.shape.join()) return `shape [${out.shape.join()}], expected [${expected.shape.join()}]`;
  const bad = unequal(out.data, expected.output);
  if (bad) return bad;
  // what adapt learned is written into our configurations, so that no file loses it
  const learned = c.adapt === undefined ? [] : ['batch_input_shape', 'vocabulary', 'idf_weights', 'bin_boundaries', 'num_bins'];
  const [mine, theirs] = [layer.getConfig(), expected.config].map((x) =>
    JSON.stringify(comparable(Object.fromEntries(Object.entries(x).filter(([k]) => !learned.includes(k))))),
  );
  return mine === theirs ? null : `configuration ${mine}, expected ${theirs}`;
}

/** Names of the cases of one version of Keras, with what differs. */
export async function comparePreprocessing(dir: string, version: 2 | 3): Promise<[name: string, fault: string | null][]> {
  const results = JSON.parse(readFileSync(path.join(dir, `preprocessing.keras${version}.json`), 'utf8')) as Record<string, Result>;
  const out: [string, string | null][] = [];
  for (const c of cases.filter((x) => x.keras.includes(version))) {
    const name = `keras ${version} ${c.name}`;
    const expected = results[c.name]!;
    try {
      out.push([name, fault(c, version, expected)]);
      if (c.shape) out.push(...(await fileFaults(dir, c, version, expected)));
    } catch (e) {
      out.push([name, e instanceof Error ? `${e.name}: ${e.message}` : String(e)]);
    }
  }
  return out;
}
