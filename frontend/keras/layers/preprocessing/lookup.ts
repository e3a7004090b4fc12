/** StringLookup (on the host) and IntegerLookup (in the graph): values to indices of a vocabulary and back. */
import { ShapeError, UnsupportedError, ValueError } from '../../../../ir/errors.js';
import * as ops from '../../backend/ops.js';
import { kerasShape, kerasShapeText, type SymbolicTensor, type Tensors } from '../../backend/trace.js';
import { bytesOf, type HostArray, StringTensor } from '../../strings.js';
import { Tensor } from '../../tensor.js';
import { callable } from '../../utils/callable.js';
import { fingerprint64 } from '../../utils/fingerprint.js';
import { describe, oneOf, resolveOptions } from '../../utils/options.js';
import { type Json, type JsonObject, writesAssets } from '../../utils/serialization.js';
import { Layer, type LayerOptions, layerDefaults, single } from '../layer.js';
import { asNumbers, asStrings, batchesOf, encodedShape, encodeOnHost, HostLayer, type HostSpec } from './host.js';
import { encoded } from './numeric.js';
import { type LookupMode, lookupModes, readVocabulary, type Token, Vocabulary } from './vocabulary.js';

export interface LookupConfig<T extends Token> extends LayerOptions {
  /** Largest size of the vocabulary, special tokens included; null: no limit. */
  maxTokens?: number | null;
  /** How many indices values outside of the vocabulary share (by hash, or remainder); 0: they are an error. Default 1. */
  numOovIndices?: number;
  /** Has index 0 (outputMode int) or is left out (other modes); null: none. */
  maskToken?: T | null;
  /** Stands for unknown values when `invert` is true. */
  oovToken?: T;
  /** Tokens in the order of their indices, or the path of a file with one in each line (Node). Default: learned by `adapt`. */
  vocabulary?: readonly T[] | string | null;
  /** For outputMode tf_idf: one for each token. */
  idfWeights?: readonly number[] | null;
  /** Indices to tokens instead. */
  invert?: boolean;
  /** int (the default): indices. one_hot: a row for each value. multi_hot, count, tf_idf: one row for each sample. */
  outputMode?: LookupMode | 'binary' | 'tf-idf';
  /** Rows of maxTokens numbers, whatever the vocabulary's size. */
  padToMaxTokens?: boolean;
  /** Of StringLookup: only utf-8. */
  encoding?: string;
  /** Of IntegerLookup. */
  vocabularyDtype?: string;
  /** Keras 3; only floormod. */
  oovMethod?: string;
  salt?: null;
  /** As Keras writes them. */
  sparse?: false;
  vocabularySize?: number | null;
  hasInputVocabulary?: boolean;
}

const lookupDefaults = {
  ...layerDefaults,
  maxTokens: null,
  numOovIndices: 1,
  maskToken: null,
  vocabulary: null,
  idfWeights: null,
  invert: false,
  outputMode: 'int',
  padToMaxTokens: false,
  oovMethod: 'floormod',
  salt: null,
  sparse: false,
  vocabularySize: null,
  hasInputVocabulary: true,
} as const;

/** Options of both lookups, checked. */
class LookupOptions<T extends Token> {
  readonly vocabulary: Vocabulary<T>;
  readonly mode: LookupMode;
  /** What the constructor was given. */
  readonly given: boolean;
  private readonly dtype: unknown;
  constructor(
    className: string,
    private readonly o: LookupConfig<T>,
    readonly isToken: (x: unknown) => x is T,
    name: string,
  ) {
    const { maxTokens = null, numOovIndices = 1, maskToken = null } = o;
    if (maxTokens !== null && !(Number.isInteger(maxTokens) && maxTokens > 1))
      throw new ValueError(`${className}: 'maxTokens' must be a whole number greater than 1, got ${describe(maxTokens)}`);
    if (o.padToMaxTokens && maxTokens === null) throw new ValueError(`${className}: 'padToMaxTokens' needs 'maxTokens'`);
    if (!(Number.isInteger(numOovIndices) && numOovIndices >= 0))
      throw new ValueError(`${className}: 'numOovIndices' must be a whole number from 0, got ${describe(numOovIndices)}`);
    const named = o.outputMode === 'binary' ? 'multi_hot' : o.outputMode === 'tf-idf' ? 'tf_idf' : o.outputMode;
    this.mode = oneOf(className, 'outputMode', named, lookupModes);
    if (o.invert && this.mode !== 'int') throw new ValueError(`${className}: 'outputMode' must be 'int' when 'invert' is true, got '${this.mode}'`);
    if (o.idfWeights && this.mode !== 'tf_idf') throw new ValueError(`${className}: 'idfWeights' are for outputMode 'tf_idf', got '${this.mode}'`);
    if (o.sparse) throw new UnsupportedError(`${className}: sparse outputs are not supported`);
    if ((o.oovMethod ?? 'floormod') !== 'floormod' || (o.salt ?? null) !== null)
      throw new UnsupportedError(`${className}: 'oovMethod' must be 'floormod' and 'salt' null, got ${describe(o.oovMethod)} and ${describe(o.salt)}`);
    for (const [what, t] of [
      ['maskToken', maskToken],
      ['oovToken', o.oovToken],
    ] as const)
      if (t !== null && !isToken(t)) throw new ValueError(`${className}: '${what}' must be a token like those of the vocabulary, got ${describe(t)}`);
    this.dtype = o.dtype ?? null;
    this.vocabulary = new Vocabulary<T>({
      name,
      maxTokens,
      numOovIndices,
      maskToken,
      oovToken: o.oovToken as T,
      outputMode: this.mode,
      padToMaxTokens: o.padToMaxTokens ?? false,
      invert: o.invert ?? false,
      announced: typeof o.vocabularySize === 'number' && Number.isSafeInteger(o.vocabularySize) && o.vocabularySize > 0 ? o.vocabularySize : null,
    });
    this.given = (o.vocabulary ?? null) !== null;
  }
  /** Sets the vocabulary from a list or a file. */
  set(vocabulary: unknown, weights: readonly number[] | null, parse: (line: string) => T): void {
    const { name } = this.vocabulary.rules;
    const list = typeof vocabulary === 'string' ? readVocabulary(name, vocabulary).map(parse) : vocabulary;
    if (!Array.isArray(list) || !list.every(this.isToken))
      throw new ValueError(
        `${name}: 'vocabulary' must be a list of ${this.isToken('') ? 'strings' : 'whole numbers'} or the path of a file, got ${describe(vocabulary)}`,
      );
    if (typeof vocabulary === 'string' && this.mode === 'tf_idf') throw new ValueError(`${name}: outputMode 'tf_idf' does not take a vocabulary from a file`);
    this.vocabulary.set(list, weights);
  }
  /** The vocabulary as the text file that Keras keeps beside the configuration: one that was learned, and is not in the configuration. */
  get asset(): string | null {
    // Keras 3 cannot read such files of weights with zeros at their end
    const padded = this.mode === 'tf_idf' && this.vocabulary.rules.padToMaxTokens;
    return this.given || padded ? null : this.vocabulary.text;
  }
  /** Sets the vocabulary from such a file. `weights`: for tf_idf, one for each entry and perhaps more. */
  restore(lines: readonly T[], weights: ArrayLike<number> | null): void {
    const v = this.vocabulary;
    if (this.given || lines.length === 0) return;
    v.set(lines, weights && Array.from(weights).slice(0, lines.length));
    const { announced, name } = v.rules;
    if (announced !== null && v.size !== announced)
      throw new ValueError(`${name}: the vocabulary has ${v.size} entries, the configuration says that there are ${announced}`);
  }
  /** The entries of a configuration. An adapted vocabulary is written as if it had been given, so that no file loses it; but not where a file beside it has it. */
  config(generation: 'keras2' | 'keras3'): JsonObject {
    const { vocabulary: v, o } = this;
    const { maxTokens, numOovIndices, oovToken, maskToken, padToMaxTokens, invert } = v.rules;
    const list = typeof o.vocabulary === 'object' ? (o.vocabulary ?? null) : null;
    const current = v.tokens === null || (writesAssets() && this.asset !== null) ? null : (list ?? v.list(this.mode === 'tf_idf'));
    const weights =
      v.weights === null || (current === null && v.tokens !== null) ? null : list && o.idfWeights ? o.idfWeights : Array.from(v.weights.subarray(0, v.size));
    return {
      dtype: (this.dtype as Json) ?? (generation === 'keras2' && this.mode === 'int' ? 'int64' : 'float32'),
      invert,
      max_tokens: maxTokens,
      num_oov_indices: numOovIndices,
      oov_token: oovToken,
      mask_token: maskToken,
      output_mode: this.mode,
      sparse: false,
      pad_to_max_tokens: padToMaxTokens,
      idf_weights: weights,
      vocabulary: current,
      vocabulary_size: v.tokens ? v.size : null,
      ...(generation === 'keras3' ? { oov_method: 'floormod', salt: null } : {}),
    };
  }
  adaptDocuments(documents: readonly (readonly T[])[]): void {
    this.begin();
    this.vocabulary.count(documents);
    this.vocabulary.learn();
  }
  private begin(): void {
    if (this.given) throw new ValueError(`${this.vocabulary.rules.name}: the vocabulary was given, there is nothing to adapt`);
    this.vocabulary.reset();
  }
  adapt(data: unknown, batchSize: number): void {
    const v = this.vocabulary;
    this.begin();
    for (const batch of batchesOf(v.rules.name, data, batchSize)) {
      const bad = (batch.data as ArrayLike<unknown>)[0];
      if (!this.isToken(bad)) throw new ValueError(`${v.rules.name}: adapt needs ${this.isToken('') ? 'strings' : 'whole numbers'}, got ${describe(bad)}`);
      const all = Array.from(batch.data as unknown as ArrayLike<T>);
      // a batch of single values is one document
      const row = batch.rank === 1 ? all.length : all.length / batch.shape[0]!;
      v.count(Array.from({ length: row === 0 ? 0 : all.length / row }, (_, i) => all.slice(i * row, (i + 1) * row)));
    }
    v.learn();
  }
}

/** Rank of rows in Keras 2. */
function checkEncodable(layer: Layer, mode: LookupMode, shape: readonly (number | null)[]): void {
  const rank = shape.length + (mode === 'one_hot' && shape.at(-1) !== 1 ? 1 : 0);
  if (mode !== 'int' && rank > 2 && layer.semantics === 'keras2')
    throw new ShapeError(
      `${layer.name}: outputMode '${mode}' gives rank 2 at most in Keras 2, the input of shape ${kerasShapeText(shape)} would give rank ${rank}`,
    );
}

export interface AdaptOptions {
  /** Rows in a batch; matters for tf_idf on single values, where a batch is a document. Default 32. */
  readonly batchSize?: number;
}

const isString = (x: unknown): x is string => typeof x === 'string';
const isWhole = (x: unknown): x is number => Number.isInteger(x);

/** Strings to indices of a vocabulary, or (invert) indices to strings. Works on the host: see the class HostLayer. */
export class StringLookupClass extends HostLayer {
  static override readonly className = 'StringLookup';
  private readonly lookup: LookupOptions<string>;
  constructor(options: LookupConfig<string> = {}) {
    const o = resolveOptions<LookupConfig<string>>('StringLookup', [options], [], { ...lookupDefaults, oovToken: '[UNK]', encoding: 'utf-8' });
    const dtype = o.dtype === 'string' ? null : o.dtype;
    super({ ...o, dtype: o.outputMode === 'int' ? 'int32' : dtype });
    if (o.encoding !== 'utf-8') throw new UnsupportedError(`StringLookup: 'encoding' must be 'utf-8', got ${describe(o.encoding)}`);
    this.lookup = new LookupOptions('StringLookup', { ...o, dtype }, isString, this.name);
    if (this.lookup.given) this.setVocabulary(o.vocabulary!, o.idfWeights);
  }
  /** Learns the vocabulary from strings: the most frequent first. */
  adapt(data: unknown, options: AdaptOptions = {}): void {
    this.lookup.adapt(data, options.batchSize ?? 32);
  }
  /** The same from the tokens of each document. */
  adaptDocuments(documents: readonly (readonly string[])[]): void {
    this.lookup.adaptDocuments(documents);
  }
  /** The text file that holds a learned vocabulary; null where there is none. */
  get vocabularyAsset(): string | null {
    return this.lookup.asset;
  }
  /** What each index counts for tf_idf. */
  get vocabularyWeights(): Float32Array | null {
    return this.lookup.vocabulary.weights;
  }
  /** The vocabulary of such a file, unless one was given. */
  restoreVocabulary(lines: readonly string[], weights: ArrayLike<number> | null): void {
    this.lookup.restore(lines, weights);
  }
  /** Length of encoded rows. */
  get depth(): number {
    return this.lookup.vocabulary.depth;
  }
  setVocabulary(vocabulary: readonly string[] | string, idfWeights: readonly number[] | null = null): void {
    this.lookup.set(vocabulary, idfWeights, (line) => line);
  }
  /** All tokens by index; without the special ones where `includeSpecialTokens` is false. */
  getVocabulary(includeSpecialTokens = true): string[] {
    return this.lookup.vocabulary.list(includeSpecialTokens);
  }
  get vocabularySize(): number {
    return this.lookup.vocabulary.size;
  }
  /** What a row of indices becomes. */
  encode(ids: Int32Array, shape: readonly number[]): Tensor {
    const { mode, vocabulary } = this.lookup;
    if (mode === 'int') return new Tensor(ids, shape);
    checkEncodable(this, mode, shape);
    return encodeOnHost(ids, shape, vocabulary.depth, mode, mode === 'tf_idf' ? vocabulary.weights : null);
  }
  /** The indices of strings, -1 where they are masked out of encoded rows. */
  indices(strings: readonly string[]): Int32Array {
    const v = this.lookup.vocabulary;
    v.need();
    return Int32Array.from(strings, (s) => v.indexOf(s, (t, n) => Number(fingerprint64(bytesOf(t)) % BigInt(n))));
  }
  override onHost([x]: readonly HostArray[]): HostArray {
    const v = this.lookup.vocabulary;
    if (v.rules.invert) {
      v.need();
      const ids = asNumbers(this, x!);
      return new StringTensor(
        Array.from(ids.data, (i) => v.tokenAt(i)),
        ids.shape,
      );
    }
    const strings = asStrings(this, x!);
    return this.encode(this.indices(strings.data), strings.shape);
  }
  override hostSpec([x]: readonly HostSpec[]): HostSpec {
    const { mode, vocabulary: v } = this.lookup;
    if (v.rules.invert) return { shape: x!.shape, dtype: 'string' };
    if (x!.dtype !== 'string') throw new ValueError(`${this.name}: StringLookup takes strings: give the input the dtype 'string', got ${x!.dtype}`);
    if (mode === 'int') return { shape: x!.shape, dtype: 'int32' };
    checkEncodable(this, mode, x!.shape);
    return { shape: encodedShape(x!.shape, v.depth, mode), dtype: 'float32' };
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), ...this.lookup.config(this.configFor), encoding: 'utf-8' };
  }
}

/** Whole numbers (32 bits) to indices of a vocabulary, or (invert) back. Part of the graph: each value is compared with all tokens. With numOovIndices 0 an unknown value gives -1. */
export class IntegerLookupClass extends Layer {
  static override readonly className = 'IntegerLookup';
  private readonly lookup: LookupOptions<number>;
  private readonly vocabularyDtype: string;
  constructor(options: LookupConfig<number> = {}) {
    const o = resolveOptions<LookupConfig<number>>('IntegerLookup', [options], [], { ...lookupDefaults, oovToken: -1, vocabularyDtype: 'int64' });
    super({ ...o, dtype: o.outputMode === 'int' ? 'int32' : o.dtype });
    this.vocabularyDtype = oneOf('IntegerLookup', 'vocabularyDtype', o.vocabularyDtype, [
      'int64',
      'int32',
      'int16',
      'int8',
      'uint8',
      'uint16',
      'uint32',
      'uint64',
    ]);
    this.lookup = new LookupOptions('IntegerLookup', o, isWhole, this.name);
    if (this.lookup.given) this.setVocabulary(o.vocabulary!, o.idfWeights);
  }
  /** Learns the vocabulary from whole numbers: the most frequent first. */
  adapt(data: unknown, options: AdaptOptions = {}): void {
    this.lookup.adapt(data, options.batchSize ?? 32);
  }
  setVocabulary(vocabulary: readonly number[] | string, idfWeights: readonly number[] | null = null): void {
    this.lookup.set(vocabulary, idfWeights, Number);
  }
  /** All tokens by index; without the special ones where `includeSpecialTokens` is false. */
  getVocabulary(includeSpecialTokens = true): number[] {
    return this.lookup.vocabulary.list(includeSpecialTokens);
  }
  get vocabularySize(): number {
    return this.lookup.vocabulary.size;
  }
  /** The text file that holds a learned vocabulary; null where there is none. */
  get vocabularyAsset(): string | null {
    return this.lookup.asset;
  }
  /** What each index counts for tf_idf. */
  get vocabularyWeights(): Float32Array | null {
    return this.lookup.vocabulary.weights;
  }
  /** The vocabulary of such a file, unless one was given. */
  restoreVocabulary(lines: readonly string[], weights: ArrayLike<number> | null): void {
    const bad = lines.find((l) => !/^[+-]?\d+$/.test(l.trim()) || !Number.isSafeInteger(Number(l)));
    if (bad !== undefined) throw new ValueError(`${this.name}: the vocabulary of an IntegerLookup has whole numbers, got ${describe(bad)}`);
    this.lookup.restore(lines.map(Number), weights);
  }
  override call(inputs: Tensors): Tensors {
    const x = ops.cast(single(inputs, this), 'int32');
    const { mode, vocabulary: v } = this.lookup;
    // a model may be made before the layer has its vocabulary
    if (x.trace.shapesOnly && v.tokens === null) return mode === 'int' ? x : encoded(x, v.depth, mode === 'tf_idf' ? 'count' : mode);
    v.need();
    const table = (values: readonly number[]) => x.trace.constant(new Tensor(Int32Array.from(values), [values.length]));
    const { maskToken, numOovIndices, invert, oovToken } = v.rules;
    if (invert) {
      const all = table([...v.list().map((t, i) => (i < v.tokenStart ? (maskToken !== null && i === 0 ? maskToken : oovToken) : t)), oovToken]);
      const inside = ops.logicalAnd(ops.greaterEqual(x, 0), ops.less(x, v.size));
      return ops.take(all, ops.where(inside, x, v.size), 0);
    }
    let ids = this.unknown(x, numOovIndices, v.oovStart);
    if (v.tokens!.length > 0) {
      const hits = ops.equal(ops.expandDims(x, -1), table(v.tokens!));
      const places = ops.iota(x, [...new Array<number>(x.rank).fill(1), v.tokens!.length], x.rank);
      const at = ops.max(ops.where(hits, ops.add(places, v.tokenStart), ops.full(x, [], -1, 'int32')), [-1]);
      ids = ops.where(ops.greaterEqual(at, 0), at, ids);
    }
    if (maskToken !== null) ids = ops.where(ops.equal(x, maskToken), ops.full(x, x.shape, mode === 'int' ? 0 : -1, 'int32'), ids);
    if (mode === 'int') return ids;
    checkEncodable(this, mode, kerasShape(x.shape));
    const rows = encoded(ids, v.depth, mode === 'tf_idf' ? 'count' : mode);
    return mode === 'tf_idf' ? ops.multiply(rows, x.trace.constant(new Tensor(v.weights!, [v.depth]))) : rows;
  }
  /** Indices of values that are not in the vocabulary. */
  private unknown(x: SymbolicTensor, count: number, start: number): SymbolicTensor {
    if (count === 0) return ops.full(x, x.shape, -1, 'int32');
    if (count === 1) return ops.full(x, x.shape, start, 'int32');
    return ops.add(ops.mod(ops.add(ops.mod(x, count), count), count), start);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), ...this.lookup.config(this.configFor), vocabulary_dtype: this.vocabularyDtype };
  }
}

export const StringLookup = callable(StringLookupClass);
export const IntegerLookup = callable(IntegerLookupClass);
