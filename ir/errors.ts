/** Error classes of the compiler. A message says what is wrong, where (layer, node, argument), what was expected and found, and a way out. */

/** Base class of all errors that Tenon throws on purpose. */
export class TenonError extends Error {
  override name = 'TenonError';
}

/** A shape, rank or dtype does not fit. */
export class ShapeError extends TenonError {
  override name = 'ShapeError';
}

/** An argument or option has a value that is not allowed. */
export class ValueError extends TenonError {
  override name = 'ValueError';
}

/** Something that Tenon knows about and does not support (yet, or on this target). */
export class UnsupportedError extends TenonError {
  override name = 'UnsupportedError';
}

/** A file is not what it should be: damaged, hostile, or of a form that is not known. The message names the file and the place. */
export class ModelFormatError extends TenonError {
  override name = 'ModelFormatError';
}

/** A fault of Tenon itself: please report it. */
export class InternalError extends TenonError {
  override name = 'InternalError';
  constructor(message: string) {
    super(`internal: ${message} (this is a bug in Tenon, please report it)`);
  }
}

/** Throws InternalError unless `condition` holds. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InternalError(message);
}

/** The edit distance of two words, for 'did you mean'; two neighbours swapped are one edit. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) next[j] = Math.min(next[j]!, before[j - 2]! + 1);
    }
    [before, row] = [row, next];
  }
  return row[b.length]!;
}

/** ` Did you mean 'x'?` for the known name closest to `word`, or an empty string when none is close. */
export function didYouMean(word: string, known: readonly string[]): string {
  let best: string | undefined;
  let score = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const k of known) {
    const d = distance(word.toLowerCase(), k.toLowerCase());
    if (d < score) [best, score] = [k, d];
  }
  return best === undefined ? '' : ` Did you mean '${best}'?`;
}
