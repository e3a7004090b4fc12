/** TextVectorization: texts to indices of words, or to one row of counts each, on the host. */
import { ShapeError, UnsupportedError, ValueError } from '../../../../ir/errors.js';
import { kerasShapeText } from '../../backend/trace.js';
import { type HostArray, StringTensor } from '../../strings.js';
import type { Tensor } from '../../tensor.js';
import { callable } from '../../utils/callable.js';
import { describe, oneOf, positiveInteger, resolveOptions } from '../../utils/options.js';
import type { Json, JsonObject } from '../../utils/serialization.js';
import { type LayerOptions, layerDefaults } from '../layer.js';
import { asStrings, batchesOf, HostLayer, type HostSpec } from './host.js';
import { type AdaptOptions, StringLookupClass } from './lookup.js';

type Standardize = 'lower_and_strip_punctuation' | 'lower' | 'strip_punctuation';
type TextMode = 'int' | 'multi_hot' | 'count' | 'tf_idf';

export interface TextVectorizationConfig extends LayerOptions {
  /** Largest size of the vocabulary, special tokens included; null: no limit. */
  maxTokens?: number | null;
  /** What is done to each text first: a name, null for nothing, or a function. Lower case is that of ASCII, as in TensorFlow. */
  standardize?: Standardize | null | ((text: string) => string);
  /** Where texts are split: whitespace (the default), character, null (each string is a token), or a function. */
  split?: 'whitespace' | 'character' | null | ((text: string) => readonly string[]);
  /** Also runs of 2 … n tokens; a list gives the lengths of runs themselves. */
  ngrams?: number | readonly number[] | null;
  /** int (the default): indices, 0 where a text ends. multi_hot, count, tf_idf: one row for each text. null: the tokens themselves. */
  outputMode?: TextMode | 'binary' | 'tf-idf' | null;
  /** Indices of each text: cut or filled with 0 to this length; default: the longest text of the data. */
  outputSequenceLength?: number | null;
  padToMaxTokens?: boolean;
  /** Words in the order of their indices, or the path of a file with one in each line (Node). Default: learned by `adapt`. */
  vocabulary?: readonly string[] | string | null;
  /** For outputMode tf_idf: one for each word. */
  idfWeights?: readonly number[] | null;
  /** Only utf-8. */
  encoding?: string;
  /** As Keras writes them. */
  sparse?: false;
  ragged?: false;
  vocabularySize?: number | null;
  hasInputVocabulary?: boolean;
}

const punctuation = /[!"#$%&()*+,\-./:;<=>?@[\\\]^_`{|}~']/g;
const lower = (text: string): string => text.replace(/[A-Z]+/g, (s) => s.toLowerCase());
const standards: Readonly<Record<Standardize, (text: string) => string>> = {
  lower_and_strip_punctuation: (t) => lower(t).replace(punctuation, ''),
  lower,
  strip_punctuation: (t) => t.replace(punctuation, ''),
};

/**
 * Texts of shape (batch) or (batch, 1) to indices (batch, length), or to rows (batch, vocabulary size). Index 0 fills, 1 is any unknown word. With `split: null` the input (batch, n) has
 * tokens already. Works on the host: see the class HostLayer.
 */
export class TextVectorizationClass extends HostLayer {
  static override readonly className = 'TextVectorization';
  private readonly standardize: NonNullable<TextVectorizationConfig['standardize']> | null;
  private readonly split: NonNullable<TextVectorizationConfig['split']> | null;
  private readonly ngrams: number | readonly number[] | null;
  private readonly outputMode: TextMode | null;
  private readonly outputSequenceLength: number | null;
  private readonly lookup: StringLookupClass;
  private readonly givenDtype: unknown;

  constructor(options: TextVectorizationConfig = {}) {
    const what = 'TextVectorization';
    const o = resolveOptions<TextVectorizationConfig>(what, [options], [], {
      ...layerDefaults,
      maxTokens: null,
      standardize: 'lower_and_strip_punctuation',
      split: 'whitespace',
      ngrams: null,
      outputMode: 'int',
      outputSequenceLength: null,
      padToMaxTokens: false,
      vocabulary: null,
      idfWeights: null,
      encoding: 'utf-8',
      sparse: false,
      ragged: false,
      vocabularySize: null,
      hasInputVocabulary: true,
    });
    super({ ...o, dtype: null });
    this.givenDtype = o.dtype ?? null;
    const names = ['lower_and_strip_punctuation', 'lower', 'strip_punctuation'] as const;
    this.standardize =
      typeof o.standardize === 'function' || (o.standardize ?? null) === null ? (o.standardize ?? null) : oneOf(what, 'standardize', o.standardize, names);
    this.split =
      typeof o.split === 'function' || (o.split ?? null) === null ? (o.split ?? null) : oneOf(what, 'split', o.split, ['whitespace', 'character'] as const);
    const named = o.outputMode === 'binary' ? 'multi_hot' : o.outputMode === 'tf-idf' ? 'tf_idf' : o.outputMode;
    this.outputMode = (named ?? null) === null ? null : oneOf(what, 'outputMode', named, ['int', 'multi_hot', 'count', 'tf_idf'] as const);
    const { ngrams = null, outputSequenceLength: length = null } = o;
    if (ngrams !== null) for (const n of typeof ngrams === 'number' ? [ngrams] : ngrams) positiveInteger(what, 'ngrams', n);
    this.ngrams = ngrams;
    if (length !== null) {
      positiveInteger(what, 'outputSequenceLength', length);
      if (this.outputMode !== 'int') throw new ValueError(`${what}: 'outputSequenceLength' is for outputMode 'int', got ${describe(this.outputMode)}`);
    }
    this.outputSequenceLength = length;
    if (o.sparse || o.ragged) throw new UnsupportedError(`${what}: sparse and ragged outputs are not supported`);
    this.lookup = new StringLookupClass({
      name: this.name,
      maxTokens: o.maxTokens ?? null,
      vocabulary: o.vocabulary ?? null,
      idfWeights: o.idfWeights ?? null,
      padToMaxTokens: o.padToMaxTokens ?? false,
      maskToken: '',
      outputMode: this.outputMode ?? 'int',
      semantics: this.semantics,
      vocabularySize: o.vocabularySize ?? null,
      ...(o.encoding === undefined ? {} : { encoding: o.encoding }),
    });
  }
  /** Learns the vocabulary from texts: the most frequent words first. */
  adapt(data: unknown, options: AdaptOptions = {}): void {
    const batches = [...batchesOf(this.name, data, options.batchSize ?? 32)];
    this.lookup.adaptDocuments(batches.flatMap((batch) => this.tokens(asStrings(this, batch))));
  }
  setVocabulary(vocabulary: readonly string[] | string, idfWeights: readonly number[] | null = null): void {
    this.lookup.setVocabulary(vocabulary, idfWeights);
  }
  getVocabulary(includeSpecialTokens = true): string[] {
    return this.lookup.getVocabulary(includeSpecialTokens);
  }
  get vocabularySize(): number {
    return this.lookup.vocabularySize;
  }
  /** The text file that holds a learned vocabulary; null where there is none. */
  get vocabularyAsset(): string | null {
    return this.lookup.vocabularyAsset;
  }
  /** What each index counts for tf_idf. */
  get vocabularyWeights(): Float32Array | null {
    return this.lookup.vocabularyWeights;
  }
  /** The vocabulary of such a file, unless one was given. */
  restoreVocabulary(lines: readonly string[], weights: ArrayLike<number> | null): void {
    this.lookup.restoreVocabulary(lines, weights);
  }

  /** The tokens of each text. */
  private tokens(x: StringTensor): string[][] {
    const shape = kerasShapeText(x.shape);
    const { split, standardize } = this;
    if (split !== null && x.rank > 1 && x.shape.at(-1) !== 1)
      throw new ShapeError(
        `${this.name}: TextVectorization splits texts of shape (batch) or (batch, 1), got ${shape}; tokens that are split already need split: null`,
      );
    if (x.rank > 2) throw new ShapeError(`${this.name}: TextVectorization takes inputs of rank 2 at most, got shape ${shape}`);
    const clean = standardize === null ? (t: string) => t : typeof standardize === 'function' ? standardize : standards[standardize];
    const texts = x.data.map(clean);
    const row = split === null && x.rank === 2 ? x.shape[1]! : 1;
    const words =
      split === null
        ? Array.from({ length: row === 0 ? x.shape[0]! : texts.length / row }, (_, i) => texts.slice(i * row, (i + 1) * row))
        : texts.map((t) => (typeof split === 'function' ? [...split(t)] : split === 'character' ? [...t] : t.split(/[ \t\n\v\f\r]+/).filter((w) => w !== '')));
    if (this.ngrams === null) return words;
    const widths = typeof this.ngrams === 'number' ? Array.from({ length: this.ngrams }, (_, i) => i + 1) : this.ngrams;
    return words.map((w) => widths.flatMap((n) => Array.from({ length: Math.max(0, w.length - n + 1) }, (_, i) => w.slice(i, i + n).join(' '))));
  }
  override onHost([x]: readonly HostArray[]): HostArray {
    const strings = asStrings(this, x!);
    const rows = this.tokens(strings);
    const scalar = strings.rank === 0;
    const longest = rows.reduce((n, r) => Math.max(n, r.length), 0);
    const length = this.outputSequenceLength ?? longest;
    const flat = (n: number) => rows.flatMap((r) => [...r.slice(0, n), ...new Array<string>(Math.max(0, n - r.length)).fill('')]);
    const shape = (n: number) => (scalar ? [n] : [rows.length, n]);
    if (this.outputMode === null) return new StringTensor(flat(longest), shape(longest));
    if (this.outputMode === 'int') return this.lookup.encode(this.lookup.indices(flat(length)), shape(length));
    return this.lookup.encode(this.lookup.indices(flat(longest)), shape(longest)) as Tensor;
  }
  override hostSpec([x]: readonly HostSpec[]): HostSpec {
    if (x!.dtype !== 'string') throw new ValueError(`${this.name}: TextVectorization takes strings: give the input the dtype 'string', got ${x!.dtype}`);
    const batch = x!.shape[0] ?? null;
    const dense = this.split === null && this.ngrams === null && x!.shape.length > 1 ? (x!.shape[1] ?? null) : null;
    if (this.outputMode === null) return { shape: [batch, dense], dtype: 'string' };
    if (this.outputMode === 'int') return { shape: [batch, this.outputSequenceLength ?? dense], dtype: 'int32' };
    return { shape: [batch, this.lookup.depth], dtype: 'float32' };
  }
  override getConfig(): JsonObject {
    const { max_tokens, pad_to_max_tokens, vocabulary, idf_weights } = this.lookup.getConfig();
    const named = (option: string, x: unknown): Json => {
      if (typeof x === 'function')
        throw new UnsupportedError(`${this.name}: TextVectorization with a function for '${option}' cannot be written to a configuration`);
      return x as Json;
    };
    return {
      ...super.getConfig(),
      dtype: (this.givenDtype as Json) ?? (this.configFor === 'keras2' ? 'string' : 'float32'),
      max_tokens,
      standardize: named('standardize', this.standardize),
      split: named('split', this.split),
      ngrams: this.ngrams,
      output_mode: this.outputMode,
      output_sequence_length: this.outputSequenceLength,
      pad_to_max_tokens,
      sparse: false,
      ragged: false,
      vocabulary,
      idf_weights,
      encoding: 'utf-8',
      vocabulary_size: this.vocabularySize,
    };
  }
}

export const TextVectorization = callable(TextVectorizationClass);
