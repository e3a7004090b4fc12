/** The vocabulary of StringLookup, IntegerLookup and TextVectorization: tokens with their indices, learned by `adapt` or given, with Keras' rules. */
import { ValueError } from '../../../../ir/errors.js';
import { compareText } from '../../strings.js';
import { describe } from '../../utils/options.js';

export type Token = string | number;
export type LookupMode = 'int' | 'one_hot' | 'multi_hot' | 'count' | 'tf_idf';
export const lookupModes = ['int', 'one_hot', 'multi_hot', 'count', 'tf_idf'] as const;

export interface VocabularyRules<T extends Token> {
  /** For messages. */
  readonly name: string;
  readonly maxTokens: number | null;
  readonly numOovIndices: number;
  readonly maskToken: T | null;
  readonly oovToken: T;
  readonly outputMode: LookupMode;
  readonly padToMaxTokens: boolean;
  readonly invert: boolean;
  /** How many indices a vocabulary that is yet to come has, as configurations say; null: not known. */
  readonly announced: number | null;
}

/** Order of tokens that occur equally often: Keras takes the larger first. */
const compare = (a: Token, b: Token): number => (typeof a === 'number' ? a - (b as number) : compareText(a, b as string));

export class Vocabulary<T extends Token> {
  /** Without the mask and the tokens for what is not in the vocabulary; null before it is known. */
  tokens: readonly T[] | null = null;
  /** What each index counts for tf_idf. */
  weights: Float32Array | null = null;
  private index = new Map<T, number>();
  private counts = new Map<T, number>();
  private documents = new Map<T, number>();
  private documentCount = 0;

  constructor(readonly rules: VocabularyRules<T>) {}

  /** Index of the first token for what is not in the vocabulary. */
  get oovStart(): number {
    return this.rules.maskToken !== null && this.rules.outputMode === 'int' ? 1 : 0;
  }
  get tokenStart(): number {
    return this.oovStart + this.rules.numOovIndices;
  }
  get size(): number {
    return (this.tokens?.length ?? 0) + this.tokenStart;
  }
  /** Length of encoded rows. */
  get depth(): number {
    const { padToMaxTokens, maxTokens, name, announced } = this.rules;
    if (padToMaxTokens) return maxTokens!;
    if (!this.tokens && announced !== null) return announced;
    if (!this.tokens) throw new ValueError(`${name}: the vocabulary is not known yet: give 'vocabulary', or call adapt first`);
    return this.size;
  }
  /** All tokens by index. */
  list(special = true): T[] {
    const { maskToken, oovToken, numOovIndices } = this.rules;
    const front = [...new Array<T>(this.oovStart).fill(maskToken as T), ...new Array<T>(numOovIndices).fill(oovToken)];
    return special ? [...front, ...(this.tokens ?? [])] : [...(this.tokens ?? [])];
  }
  private get special(): T[] {
    return this.list().slice(0, this.tokenStart);
  }

  /** Sets the tokens, with or without the special ones in front. `weights`: one for each entry, for tf_idf. */
  set(vocabulary: readonly T[], weights: ArrayLike<number> | null): void {
    const { name, maskToken, oovToken, invert, maxTokens, outputMode, padToMaxTokens } = this.rules;
    if (outputMode === 'tf_idf' && weights === null) throw new ValueError(`${name}: outputMode 'tf_idf' needs 'idfWeights' with the vocabulary`);
    if (outputMode !== 'tf_idf' && weights !== null) throw new ValueError(`${name}: 'idfWeights' are for outputMode 'tf_idf', got '${outputMode}'`);
    if (vocabulary.length === 0) throw new ValueError(`${name}: the vocabulary is empty`);
    const front = this.special;
    const found = front.every((t, i) => vocabulary[i] === t);
    const tokens = found ? vocabulary.slice(front.length) : [...vocabulary];
    const index = new Map(tokens.map((t, i) => [t, this.tokenStart + i]));
    if (index.size !== tokens.length) {
      const seen = new Set<T>();
      const repeated = tokens.filter((t) => seen.size === seen.add(t).size);
      throw new ValueError(
        `${name}: the vocabulary has repeated tokens: ${repeated
          .slice(0, 5)
          .map((t) => JSON.stringify(t))
          .join(', ')}`,
      );
    }
    for (const [what, token] of [
      ['mask token', maskToken],
      ['token for unknown values', invert ? oovToken : null],
    ] as const)
      if (token !== null && index.has(token))
        throw new ValueError(
          `${name}: the ${what} ${JSON.stringify(token)} is at place ${vocabulary.lastIndexOf(token)} of the vocabulary: leave the special tokens out, or begin with ${JSON.stringify(front)}`,
        );
    const size = this.tokenStart + tokens.length;
    if (maxTokens !== null && size > maxTokens)
      throw new ValueError(`${name}: the vocabulary has ${size} entries with the special tokens, maxTokens is ${maxTokens}`);
    if (weights) {
      if (weights.length !== vocabulary.length)
        throw new ValueError(
          `${name}: 'idfWeights' must have one number for each of the ${vocabulary.length} entries of the vocabulary, got ${weights.length}`,
        );
      const given = Array.from(weights);
      const mean = given.reduce((a, b) => a + b, 0) / given.length;
      const all = found ? given : [...new Array<number>(this.tokenStart).fill(mean), ...given];
      this.weights = Float32Array.from({ length: padToMaxTokens ? maxTokens! : all.length }, (_, i) => all[i] ?? 0);
    }
    this.tokens = tokens;
    this.index = index;
  }

  // ---- learning

  reset(): void {
    this.counts = new Map();
    this.documents = new Map();
    this.documentCount = 0;
  }
  /** Counts the tokens of some documents. */
  count(documents: readonly (readonly T[])[]): void {
    const raise = (map: Map<T, number>, t: T) => map.set(t, (map.get(t) ?? 0) + 1);
    for (const d of documents) {
      for (const t of d) raise(this.counts, t);
      for (const t of new Set(d)) raise(this.documents, t);
    }
    this.documentCount += documents.length;
  }
  /** Makes the vocabulary of what was counted: the most frequent first. */
  learn(): void {
    const { maskToken, oovToken, maxTokens, outputMode, padToMaxTokens } = this.rules;
    if (maskToken !== null) this.counts.delete(maskToken);
    this.counts.delete(oovToken);
    const sorted = [...this.counts].sort(([a, m], [b, n]) => n - m || compare(b, a)).map(([t]) => t);
    this.tokens = maxTokens === null ? sorted : sorted.slice(0, Math.max(0, maxTokens - this.tokenStart));
    this.index = new Map(this.tokens.map((t, i) => [t, this.tokenStart + i]));
    if (outputMode === 'tf_idf') {
      const idf = this.tokens.map((t) => Math.log(1 + this.documentCount / (1 + this.documents.get(t)!)));
      const all = [...new Array<number>(this.tokenStart).fill(idf.reduce((a, b) => a + b, 0) / idf.length), ...idf];
      this.weights = Float32Array.from({ length: padToMaxTokens ? maxTokens! : all.length }, (_, i) => all[i] ?? 0);
    }
    this.reset();
  }

  // ---- looking up

  /** The index of a value, or -1 where it is masked out of encoded rows. `oov` tells which of several indices an unknown value has. */
  indexOf(value: T, oov: (value: T, count: number) => number): number {
    const { name, maskToken, outputMode, numOovIndices } = this.rules;
    if (maskToken !== null && value === maskToken) return outputMode === 'int' ? 0 : -1;
    const at = this.index.get(value);
    if (at !== undefined) return at;
    if (numOovIndices === 0)
      throw new ValueError(
        `${name}: ${JSON.stringify(value)} is not in the vocabulary, and numOovIndices is 0: set numOovIndices to 1, or leave such values out`,
      );
    return this.oovStart + (numOovIndices === 1 ? 0 : oov(value, numOovIndices));
  }
  /** The token of an index. */
  tokenAt(index: number): T {
    const { maskToken, oovToken } = this.rules;
    if (maskToken !== null && index === 0) return maskToken;
    return this.tokens![index - this.tokenStart] ?? oovToken;
  }
  /** All tokens as the lines of a file; null where lines cannot hold them, or where there is none. */
  get text(): string | null {
    const all = this.list().map(String);
    // Python's splitlines, by which Keras 3 reads them, knows more ends of lines than Unix does
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    const fits = all.length > 0 && all.at(-1) !== '' && !all.some((t) => /[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/.test(t));
    return fits ? all.join('\n') : null;
  }
  /** Throws before the vocabulary is known. */
  need(): void {
    if (!this.tokens) throw new ValueError(`${this.rules.name}: the vocabulary is not known yet: give 'vocabulary', or call adapt first`);
  }
}

/** The lines of a vocabulary file. */
export const linesOf = (text: string): string[] => {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.map((l) => l.replace(/\r$/, ''));
};

/** A vocabulary file by its path, at once: Node only. */
export function readVocabulary(what: string, path: string): string[] {
  const fs = typeof process === 'undefined' ? undefined : process.getBuiltinModule?.('node:fs');
  if (!fs) throw new ValueError(`${what}: a vocabulary file is read in Node alone: give the tokens as a list`);
  if (!fs.existsSync(path)) throw new ValueError(`${what}: the vocabulary file ${describe(path)} does not exist`);
  return linesOf(fs.readFileSync(path, 'utf8'));
}
