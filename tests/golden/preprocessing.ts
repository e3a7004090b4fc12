/** Family `preprocessing`: layers that look up, vectorize, normalize and discretize, with what `adapt` learns. */
import { type LayerConstructor, layerClasses } from '../../frontend/keras/layers/serialization.js';
import { StringTensor } from '../../frontend/keras/strings.js';
import { Tensor } from '../../frontend/keras/tensor.js';
import { type JsonObject, optionsOfConfig } from '../../frontend/keras/utils/serialization.js';
import { type ArrayRef, type CaseHeader, type Checker, Skip } from './cases.js';

interface PreprocessingCase extends CaseHeader {
  readonly kind: string;
  readonly kwargs: JsonObject;
  readonly given: Readonly<Record<string, unknown>>;
  readonly arrays: Readonly<Record<string, ArrayRef>>;
  readonly vocabulary?: readonly string[];
  readonly full_vocabulary?: readonly string[];
  readonly bin_boundaries?: readonly number[];
}

interface Adaptable {
  (x: unknown): Tensor;
  adapt(data: unknown): void;
  getVocabulary(): unknown[];
  readonly binBoundaries: readonly number[];
  getWeights(): Promise<Tensor[]>;
}

const shapeOf = (x: unknown): number[] => (Array.isArray(x) ? [x.length, ...shapeOf(x[0])] : []);
const flat = <T>(x: unknown): T[] => (Array.isArray(x) ? x.flatMap((v) => flat<T>(v)) : [x as T]);
const strings = (x: unknown): StringTensor => new StringTensor(flat<string>(x), shapeOf(x));
const integers = (x: unknown): Tensor => new Tensor(Int32Array.from(flat<number>(x)), shapeOf(x));

export async function runPreprocessingCase(json: CaseHeader, check: Checker): Promise<void> {
  const c = json as PreprocessingCase;
  const make = (className: string, more: JsonObject = {}): Adaptable => {
    const cls = layerClasses[className] as LayerConstructor as unknown as new (o: object) => unknown;
    return new cls({ ...optionsOfConfig({ ...c.kwargs, ...more }), semantics: c.semantics }) as Adaptable;
  };
  const array = (key: string): Tensor => {
    const { data, shape, dtype } = check.array(c.arrays[key]!);
    return new Tensor(data as Float32Array, shape, dtype);
  };
  const compare = (what: string, x: Tensor) => check.equal(what, x, c.arrays[what]!);
  const kinds: Readonly<Record<string, () => void | Promise<void>>> = {
    text_vectorization: () => {
      const layer = make('TextVectorization');
      layer.adapt(c.given.texts);
      check.truth('vocabulary', layer.getVocabulary(), c.vocabulary);
      compare('output', layer(strings(c.given.more)));
    },
    string_lookup: () => {
      const layer = make('StringLookup', { vocabulary: c.given.vocabulary as string[] });
      check.truth('full_vocabulary', layer.getVocabulary(), c.full_vocabulary);
      compare('output', layer(strings(c.given.values)));
    },
    integer_lookup: () => compare('output', make('IntegerLookup', { vocabulary: c.given.vocabulary as number[] })(integers(c.given.values))),
    adapt_discretization: () => {
      const layer = make('Discretization');
      layer.adapt(array('input'));
      check.numbers('bin_boundaries', layer.binBoundaries, c.bin_boundaries!);
      compare('output', layer(array('input')));
    },
    adapt_normalization: async () => {
      const layer = make('Normalization');
      layer.adapt(array('input'));
      const [mean, variance] = await layer.getWeights();
      compare('mean', mean!.reshape(c.arrays.mean!.shape));
      compare('variance', variance!.reshape(c.arrays.variance!.shape));
      compare('output', layer(array('input')));
    },
  };
  const run = Object.hasOwn(kinds, c.kind) ? kinds[c.kind] : undefined;
  if (!run) throw new Skip(`no part of layers: ${c.kind}`);
  await run();
}
