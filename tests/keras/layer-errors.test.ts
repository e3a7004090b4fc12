/** Every layer refuses impossible arguments and inputs, with its name, what it got and what it wanted. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Input, type KerasTensor, type Layer, layers } from '../../frontend/keras/index.js';
import { layerClasses } from '../../frontend/keras/layers/serialization.js';

type Shape = readonly (number | null)[];
interface Row {
  /** The inputs are strings. */
  readonly text?: boolean;
  /** A configuration that works. */
  readonly good: Readonly<Record<string, unknown>>;
  /** Shapes of samples that work: one, or several inputs. */
  readonly input: Shape | readonly Shape[];
  /** Impossible values by option. */
  readonly options?: Readonly<Record<string, readonly unknown[]>>;
  /** Shapes of samples that do not fit; lists for several inputs. */
  readonly inputs?: readonly (Shape | readonly Shape[])[];
}

const nothing = {};
const conv = (rank: number, good: Record<string, unknown> = { filters: 2, kernelSize: 2 }): Row => {
  const space = new Array<number>(rank).fill(5);
  return {
    good,
    input: [...space, 2],
    options: {
      ...('filters' in good ? { filters: [0, -1, 1.5, 'x', null] } : {}),
      kernelSize: [0, [1, 1, 1, 1], 'x', 2.5],
      strides: [0, -1, [1, 1, 1, 1], 'x'],
      padding: ['sane', 3],
      dataFormat: ['middle'],
      activation: ['rellu'],
      ...('depthMultiplier' in good ? { depthMultiplier: [0, 'x'] } : {}),
      ...('filters' in good ? { biasInitializer: ['zeross'] } : {}),
    },
    inputs: [[], [...space, 2, 2, 2], [...space.slice(1), 2].slice(0, rank), [...space.map(() => 1), 2], [...space, null]],
  };
};
const pool = (rank: number): Row => {
  const space = new Array<number>(rank).fill(5);
  return {
    good: nothing,
    input: [...space, 2],
    options: { poolSize: [0, -1, [1, 1, 1, 1], 'x'], strides: [0, 'x'], padding: ['sane'], dataFormat: ['middle'] },
    inputs: [[], [...space, 2, 2], space.slice(0, rank), [...space.map(() => 1), 2]],
  };
};
const globalPool = (rank: number): Row => {
  const space = new Array<number>(rank).fill(5);
  return { good: nothing, input: [...space, 2], options: { dataFormat: ['middle'] }, inputs: [[], [...space, 2, 2], space] };
};
const merging: Row = { good: nothing, input: [[3], [3]], inputs: [[[3], [4]], [3]] };
const recurrent = (extra: Record<string, readonly unknown[]> = {}): Row => ({
  good: { units: 2 },
  input: [4, 3],
  options: { units: [0, 1.5, 'x'], activation: ['rellu'], dropout: [-0.1, 1.5, 'x'], recurrentDropout: [2], kernelInitializer: ['glorot'], ...extra },
  inputs: [[], [3], [4, 3, 2], [4, null]],
});
const convRecurrent = (rank: number): Row => ({
  good: { filters: 2, kernelSize: 2 },
  input: [3, ...new Array<number>(rank).fill(5), 2],
  options: { filters: [0, 'x'], kernelSize: [0, 'x'], strides: [0], padding: ['sane'], dropout: [2] },
  inputs: [[], new Array<number>(rank + 1).fill(5), new Array<number>(rank + 3).fill(5)],
});
const rate = (rank: number): Row => ({
  good: { rate: 0.5 },
  input: new Array<number>(rank).fill(3),
  options: { rate: [-0.1, 1.5, 'x', Number.NaN], seed: ['x', 0.5] },
});
const spatial = (rank: number): Row => ({ ...rate(rank + 1), inputs: [[], [3], new Array<number>(rank + 2).fill(3)] });
const space = (rank: number, good: Record<string, unknown>, options: Row['options']): Row => {
  const sizes = new Array<number>(rank).fill(5);
  return { good, input: [...sizes, 2], options, inputs: [[], sizes, [...sizes, 2, 2]] };
};
const attention: Row = {
  good: nothing,
  input: [
    [4, 3],
    [5, 3],
  ],
  options: { dropout: [-1, 2, 'x'] },
  inputs: [
    [4, 3],
    [
      [4, 3],
      [5, 3],
      [5, 3],
      [5, 3],
    ],
    [
      [4, 3],
      [5, 4],
    ],
    [
      [4, 3],
      [5, 3],
      [6, 3],
    ],
    [[3], [3]],
  ],
};
const multiHead: Row = {
  good: { numHeads: 2, keyDim: 2 },
  input: [
    [4, 3],
    [5, 3],
  ],
  options: { numHeads: [0, 'x'], keyDim: [0, 'x'], valueDim: [0], dropout: [-1, 2], kernelInitializer: ['glorot'] },
  inputs: [
    [4, 3],
    [[3], [3]],
    [
      [4, 3],
      [5, 3],
      [6, 3],
    ],
  ],
};
const cell = { good: { units: 2 }, input: [3], options: { units: [0, 'x'], activation: ['rellu'], dropout: [2] }, inputs: [[null]] };

const rows: Readonly<Record<string, Row>> = {
  Activation: { good: { activation: 'relu' }, input: [3], options: { activation: ['rellu', 5] } },
  Dense: {
    good: { units: 2 },
    input: [3],
    options: { units: [0, -1, 1.5, 'x', null], activation: ['rellu'], kernelInitializer: ['glorot', 3], kernelRegularizer: ['l3'], kernelConstraint: ['max'] },
    inputs: [[], [null]],
  },
  Dropout: { ...rate(1), options: { rate: [-0.1, 1.5, 'x'], noiseShape: ['x'], seed: ['x'] } },
  Flatten: { good: nothing, input: [3, 2], options: { dataFormat: ['middle'] }, inputs: [[null, 2]] },
  InputLayer: { good: { shape: [3] }, input: [3], options: { shape: [[0], [-1], ['x'], 3.5], dtype: ['float33'], batchSize: [0, 'x'] } },
  ReLU: { good: nothing, input: [3], options: { maxValue: [-1, 'x'], negativeSlope: ['x', -1], threshold: ['x', -1] } },
  Reshape: { good: { targetShape: [3, 2] }, input: [6], options: { targetShape: [[-1, -1], 'x', [0], [1.5]] }, inputs: [[5], [2, 2]] },
  Identity: { good: nothing, input: [3] },
  Lambda: { good: { function: (x: never) => x }, input: [3], options: { function: ['x', 3] } },
  Masking: { good: nothing, input: [3, 2], options: { maskValue: ['x', Number.NaN] } },
  ELU: { good: nothing, input: [3], options: { alpha: ['x', Number.NaN] } },
  LeakyReLU: { good: nothing, input: [3], options: { negativeSlope: ['x', Number.NaN] } },
  PReLU: { good: nothing, input: [3], options: { sharedAxes: ['x', [7]], alphaInitializer: ['zeross'] }, inputs: [[null]] },
  Softmax: { good: nothing, input: [3], options: { axis: ['x', 7] } },
  ThresholdedReLU: { good: nothing, input: [3], options: { theta: ['x', -1] } },
  Conv1D: conv(1),
  Conv2D: conv(2),
  Conv3D: conv(3),
  DepthwiseConv1D: conv(1, { kernelSize: 2, depthMultiplier: 1 }),
  DepthwiseConv2D: conv(2, { kernelSize: 2, depthMultiplier: 1 }),
  SeparableConv1D: conv(1, { filters: 2, kernelSize: 2, depthMultiplier: 1 }),
  SeparableConv2D: conv(2, { filters: 2, kernelSize: 2, depthMultiplier: 1 }),
  Conv1DTranspose: { ...conv(1), inputs: [[], [5, 2, 2, 2], [5], [5, null]] },
  Conv2DTranspose: { ...conv(2), inputs: [[], [5, 2], [5, 2, 2, 2, 2], [5, 5, null]] },
  Conv3DTranspose: { ...conv(3), inputs: [[], [5, 2, 2], [5, 5, 5, null]] },
  LocallyConnected1D: conv(1),
  LocallyConnected2D: conv(2),
  AveragePooling1D: pool(1),
  AveragePooling2D: pool(2),
  AveragePooling3D: pool(3),
  MaxPooling1D: pool(1),
  MaxPooling2D: pool(2),
  MaxPooling3D: pool(3),
  GlobalAveragePooling1D: globalPool(1),
  GlobalAveragePooling2D: globalPool(2),
  GlobalAveragePooling3D: globalPool(3),
  GlobalMaxPooling1D: globalPool(1),
  GlobalMaxPooling2D: globalPool(2),
  GlobalMaxPooling3D: globalPool(3),
  BatchNormalization: {
    good: nothing,
    input: [3],
    options: {
      axis: [7, 'x', 0.5],
      momentum: ['x'],
      epsilon: ['x'],
      gammaInitializer: ['oness'],
      renorm: ['x'],
      renormClipping: [3, { rmid: 1 }, { rmin: 2, rmax: 1 }, { dmax: -1 }],
      renormMomentum: ['x', 2],
    },
    inputs: [[null]],
  },
  SyncBatchNormalization: {
    good: nothing,
    input: [3],
    options: { axis: [7, 'x', 0.5], momentum: ['x'], epsilon: ['x'], gammaInitializer: ['oness'] },
    inputs: [[null]],
  },
  LayerNormalization: { good: nothing, input: [3], options: { axis: [7, 'x'], epsilon: ['x'] }, inputs: [[null]] },
  GroupNormalization: { good: { groups: 2 }, input: [4], options: { groups: [0, -2, 3, 'x'], axis: [7], epsilon: ['x'] }, inputs: [[3], [null]] },
  RMSNormalization: { good: nothing, input: [3], options: { axis: [7, 'x'], epsilon: ['x'] }, inputs: [[null]] },
  UnitNormalization: { good: nothing, input: [3], options: { axis: [7, 'x'] } },
  SpectralNormalization: { good: { layer: layers.Dense(2) }, input: [3], options: { layer: ['x'], powerIterations: [0, 'x'] }, inputs: [[null]] },
  Add: merging,
  Average: merging,
  Maximum: merging,
  Minimum: merging,
  Multiply: merging,
  Subtract: { ...merging, inputs: [[[3], [4]], [3], [[3], [3], [3]]] },
  Concatenate: {
    good: nothing,
    input: [[3], [3]],
    options: { axis: [7, 'x'] },
    inputs: [
      [
        [2, 3],
        [3, 3],
      ],
      [[3], [3, 3]],
    ],
  },
  Dot: { good: { axes: 1 }, input: [[3], [3]], options: { axes: [7, 'x', [1, 2, 3]] }, inputs: [[[3], [4]], [3], [[3], [3], [3]]] },
  Cropping1D: space(1, nothing, { cropping: [-1, 'x', [1, 2, 3], 3] }),
  Cropping2D: space(2, nothing, { cropping: [-1, 'x', [1, 2, 3], 3], dataFormat: ['middle'] }),
  Cropping3D: space(3, nothing, { cropping: [-1, 'x', 3], dataFormat: ['middle'] }),
  ZeroPadding1D: space(1, nothing, { padding: [-1, 'x', [1, 2, 3]] }),
  ZeroPadding2D: space(2, nothing, { padding: [-1, 'x', [1, 2, 3]], dataFormat: ['middle'] }),
  ZeroPadding3D: space(3, nothing, { padding: [-1, 'x'], dataFormat: ['middle'] }),
  UpSampling1D: space(1, nothing, { size: [0, 'x', 1.5] }),
  UpSampling2D: space(2, nothing, { size: [0, 'x', [1, 2, 3]], interpolation: ['nearby'], dataFormat: ['middle'] }),
  UpSampling3D: space(3, nothing, { size: [0, 'x'], dataFormat: ['middle'] }),
  Permute: { good: { dims: [2, 1] }, input: [3, 2], options: { dims: [[1, 1], [0, 1], 'x', [1, 3]] }, inputs: [[3], [3, 2, 1]] },
  RepeatVector: { good: { n: 2 }, input: [3], options: { n: [0, 'x', 1.5] }, inputs: [[3, 2], []] },
  ActivityRegularization: { good: nothing, input: [3], options: { l1: ['x', Number.NaN], l2: ['x'] } },
  AlphaDropout: rate(1),
  GaussianDropout: rate(1),
  GaussianNoise: { good: { stddev: 0.5 }, input: [3], options: { stddev: [-1, 'x'], seed: ['x'] } },
  SpatialDropout1D: spatial(1),
  SpatialDropout2D: spatial(2),
  SpatialDropout3D: spatial(3),
  LSTM: recurrent(),
  GRU: recurrent(),
  SimpleRNN: recurrent(),
  LSTMCell: cell,
  GRUCell: cell,
  SimpleRNNCell: cell,
  ConvLSTM1D: convRecurrent(1),
  ConvLSTM2D: convRecurrent(2),
  ConvLSTM3D: convRecurrent(3),
  RNN: { good: { cell: layers.LSTMCell(2) }, input: [4, 3], options: { cell: ['x', layers.Dense(2)] }, inputs: [[3], []] },
  StackedRNNCells: { good: { cells: [layers.LSTMCell(2)] }, input: [3], options: { cells: ['x', [], [layers.Dense(2)]] } },
  Bidirectional: { good: { layer: layers.LSTM(2) }, input: [4, 3], options: { layer: ['x', layers.Dense(2)], mergeMode: ['add'] }, inputs: [[3], []] },
  TimeDistributed: { good: { layer: layers.Dense(2) }, input: [4, 3], options: { layer: ['x', 3] }, inputs: [[3], []] },
  RandomFlip: { good: nothing, input: [4, 4, 2], options: { mode: ['sideways'], seed: [1.5] }, inputs: [[4], [2, 4, 4, 2]] },
  RandomRotation: {
    good: { factor: 0.1 },
    input: [4, 4, 2],
    options: { factor: [-0.1, [0.2, 0.1], 'x', [1, 2, 3]], fillMode: ['mirror'], interpolation: ['bicubic'], fillValue: ['x'], dataFormat: ['middle'] },
    inputs: [[4], [2, 4, 4, 2]],
  },
  RandomZoom: {
    good: { heightFactor: 0.1 },
    input: [4, 4, 2],
    options: { heightFactor: [1.5, [0.2, 0.1], 'x'], widthFactor: [-3, [0.2, 0.1]] },
    inputs: [[4]],
  },
  RandomTranslation: {
    good: { heightFactor: 0.1, widthFactor: 0.1 },
    input: [4, 4, 2],
    options: { heightFactor: [2, [0.3, 0.1]], widthFactor: [-1.5, 'x'] },
    inputs: [[4]],
  },
  RandomCrop: { good: { height: 2, width: 2 }, input: [4, 4, 2], options: { height: [0, 1.5], width: [-1, 'x'] }, inputs: [[4], [2, 4, 4, 2]] },
  RandomContrast: { good: { factor: 0.1 }, input: [4, 4, 2], options: { factor: [-0.1, 1.5, 'x'], valueRange: [1, [1, 2, 3]] }, inputs: [[4], [2, 4, 4, 2]] },
  RandomBrightness: { good: { factor: 0.1 }, input: [4, 4, 2], options: { factor: [1.5, 'x'], valueRange: [1, ['a', 2]] }, inputs: [[4], [2, 4, 4, 2]] },
  RandomHeight: { good: { factor: 0.1 }, input: [4, 4, 2], options: { factor: [-2, 'x'], interpolation: ['cubic'] }, inputs: [[4], [2, 4, 4, 2]] },
  RandomWidth: { good: { factor: 0.1 }, input: [4, 4, 2], options: { factor: [-2, 'x'], interpolation: ['cubic'] }, inputs: [[4], [2, 4, 4, 2]] },
  IntegerLookup: {
    good: { vocabulary: [1, 2] },
    input: [3],
    options: {
      vocabulary: [[], [1, 1], ['a'], 3, 'no such file'],
      maxTokens: [1, 2, 'x'],
      numOovIndices: [-1, 0.5],
      outputMode: ['rows', 'tf_idf'],
      idfWeights: [[1, 2]],
      padToMaxTokens: [true],
      maskToken: ['x', 2],
      sparse: [true],
      oovMethod: ['other'],
    },
  },
  StringLookup: {
    good: { vocabulary: ['a', 'b'] },
    input: [3],
    text: true,
    options: {
      vocabulary: [[], ['a', 'a'], [1], 3, 'no such file'],
      maxTokens: [1, 2, 'x'],
      numOovIndices: [-1, 0.5],
      outputMode: ['rows', 'tf_idf'],
      idfWeights: [[1, 2]],
      padToMaxTokens: [true],
      maskToken: [4, 'b'],
      encoding: ['latin-1'],
    },
  },
  TextVectorization: {
    good: { vocabulary: ['a', 'b'] },
    input: [1],
    text: true,
    options: {
      split: ['x'],
      standardize: ['x'],
      ngrams: ['a', 0],
      outputMode: ['one_hot'],
      outputSequenceLength: [0, 1.5],
      ragged: [true],
      vocabulary: [['a', 'a']],
    },
  },
  Hashing: { good: { numBins: 3 }, input: [1], text: true, options: { numBins: [0, 'x'], salt: ['a', [1]], outputMode: ['tf_idf'], sparse: [true] } },
  HashedCrossing: { good: { numBins: 3 }, input: [[1], [1]], text: true, options: { numBins: [0], outputMode: ['count'] }, inputs: [[[1]], [[2], [2]]] },
  CenterCrop: {
    good: { height: 2, width: 2 },
    input: [4, 4, 1],
    options: { height: [0, 'x'], width: [0], dataFormat: ['middle'] },
    inputs: [[4]],
  },
  Rescaling: { good: { scale: 2 }, input: [3], options: { scale: ['x'], offset: ['x'] } },
  Resizing: {
    good: { height: 2, width: 2 },
    input: [4, 4, 1],
    options: { height: [0, 'x'], width: [0], interpolation: ['nearby'] },
    inputs: [[4], [null, 4, 1]],
  },
  CategoryEncoding: { good: { numTokens: 3 }, input: [2], options: { numTokens: [0, 'x'], outputMode: ['hot'] } },
  Discretization: { good: { binBoundaries: [0, 1] }, input: [2], options: { binBoundaries: ['x', [1, 0]], outputMode: ['hot'] } },
  Normalization: { good: { mean: 0, variance: 1 }, input: [3], options: { axis: [7, 'x'], variance: [-1] } },
  AdditiveAttention: attention,
  Attention: { ...attention, options: { ...attention.options, scoreMode: ['sum'] } },
  MultiHeadAttention: multiHead,
  GroupQueryAttention: {
    good: { headDim: 2, numQueryHeads: 4, numKeyValueHeads: 2 },
    input: [
      [4, 3],
      [5, 3],
    ],
    options: { headDim: [0, 'x'], numQueryHeads: [0, 3], numKeyValueHeads: [0, 3], dropout: [2] },
    inputs: [
      [4, 3],
      [[3], [3]],
    ],
  },
  EinsumDense: {
    good: { equation: 'ab,bc->ac', outputShape: 4 },
    input: [3],
    options: { equation: ['ab,bc', 'abc->a', 5], outputShape: ['x', [1, 2, 3]], activation: ['rellu'] },
    inputs: [[3, 3]],
  },
  Embedding: { good: { inputDim: 4, outputDim: 2 }, input: [3], options: { inputDim: [0, 'x', -1], outputDim: [0, 1.5], embeddingsInitializer: ['uniformm'] } },
};

const isList = (s: Row['input']): s is readonly Shape[] => Array.isArray(s[0]);
const make = (name: string, options: object): Layer =>
  new (layerClasses[name] as unknown as new (o: object) => Layer)({ ...options, ...(name === 'InputLayer' ? {} : { name: `my_${name.toLowerCase()}` }) });
const call = (layer: Layer, shape: Row['input'], text = false): unknown => {
  if (layer.className === 'InputLayer') return layer;
  const inputs: KerasTensor[] = (isList(shape) ? shape : [shape]).map((s) => Input({ shape: s, dtype: text ? 'string' : 'float32' }));
  if (layer.className.endsWith('Cell')) return layer.ensureBuilt([null, ...(shape as Shape)]);
  if (layer.className === 'StackedRNNCells') return layer;
  return layer.apply(isList(shape) ? inputs : inputs[0]!);
};

/** Recurrent layers are made of cells, which may be what refuses. */
const cellNames = (name: string): string[] => (/^(Conv)?(LSTM|GRU|SimpleRNN)/.test(name) ? [`${name.replace(/\dD$/, '')}Cell`] : []);

const errorOf = (run: () => unknown): Error | null => {
  try {
    run();
    return null;
  } catch (e) {
    return e as Error;
  }
};

/** Forms in which errors say what was expected. */
const wanted =
  /\bmust\b|expect|takes|Known|needs?\b|fits?\b|cannot|supported|leaves nothing|out of range|different|does not exist|are for|repeated|empty|not an axis|is at place|, maxTokens is/;
const letters = (text: string): string => text.replace(/['"\s]/g, '').toLowerCase();
/** Whether the message tells the value that an option had. */
const tellsValue = (message: string, option: string, value: unknown): boolean =>
  [typeof value === 'function' ? 'Dense' : JSON.stringify(value), String(value)].some((v) => letters(message).includes(letters(v))) ||
  letters(message).includes(letters(option));
/** Whether it tells the shapes: one of them, or its rank or one of its sizes. */
const tellsShape = (message: string, shape: Row['input']): boolean => {
  const list = isList(shape) ? shape : [shape as Shape];
  return (
    list.some(
      (s) =>
        s.every((d) => d !== null && message.includes(String(d))) || (s.includes(null) && message.includes('None')) || message.includes(`rank ${s.length + 1}`),
    ) || /got (one|\d+)/.test(message)
  );
};

test('the table has every layer', () => {
  const own = Object.entries(layerClasses).flatMap(([name, cls]) => ((cls as unknown as { className: string }).className === name ? [name] : []));
  assert.equal(
    own.filter((n) => !(n in rows)),
    [],
  );
  // elementwise, or of any number of axes: no shape is impossible
  const anyShape =
    `Activation ActivityRegularization AlphaDropout CategoryEncoding Discretization Dropout ELU Embedding GaussianDropout GaussianNoise Hashing Identity InputLayer IntegerLookup
    Lambda LeakyReLU Masking Normalization ReLU Rescaling Softmax StringLookup TextVectorization ThresholdedReLU UnitNormalization
    StackedRNNCells`.split(/\s+/);
  assert.equal(
    own.filter((n) => !anyShape.includes(n) && (rows[n]!.inputs ?? []).length === 0),
    [],
  );
  assert.equal(
    own.filter((n) => Object.keys(rows[n]!.options ?? {}).length === 0 && rows[n]!.good === nothing && !rows[n]!.inputs && n !== 'Identity'),
    [],
  );
});

for (const [name, row] of Object.entries(rows)) {
  test(`${name}: impossible options and inputs`, () => {
    const faults: string[] = [];
    const good = errorOf(() => call(make(name, row.good), row.input, row.text));
    if (good) faults.push(`the working configuration fails: ${good.message}`);
    const check = (what: string, run: () => unknown, tells: (message: string) => boolean) => {
      const e = errorOf(run);
      if (!e) faults.push(`${what} passes`);
      else if (!['ValueError', 'ShapeError', 'UnsupportedError'].includes(e.name)) faults.push(`${what} gives ${e.name}: ${e.message}`);
      else if (!(name === 'InputLayer' ? ['input'] : [name, ...cellNames(name)]).some((n) => e.message.toLowerCase().includes(n.toLowerCase())))
        faults.push(`${what} does not name the layer: ${e.message}`);
      else if (!wanted.test(e.message)) faults.push(`${what} does not say what was wanted: ${e.message}`);
      else if (!tells(e.message)) faults.push(`${what} does not say what it got: ${e.message}`);
    };
    for (const [option, values] of Object.entries(row.options ?? {}))
      for (const v of values)
        check(
          `${option} = ${JSON.stringify(v)}`,
          () => call(make(name, { ...row.good, [option]: v }), row.input, row.text),
          (m) => tellsValue(m, option, v),
        );
    check(
      'an unknown option',
      () => make(name, { ...row.good, nonsense: 1 }),
      (m) => m.includes('nonsense'),
    );
    for (const shape of row.inputs ?? [])
      check(
        `input ${JSON.stringify(shape)}`,
        () => call(make(name, row.good), shape, row.text),
        (m) => tellsShape(m, shape),
      );
    assert.equal(faults, []);
  });
}

test.run();
