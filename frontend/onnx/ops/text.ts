/** N-grams of integer sequences. */
import type { Value } from '../../../ir/graph.js';
import { int, ints, type OpEntry, op, opt, text } from '../registry.js';

export const textOps: readonly OpEntry[] = [
  op(
    'TfIdfVectorizer',
    [9],
    {
      max_gram_length: int(),
      max_skip_count: int(),
      min_gram_length: int(),
      mode: text(),
      ngram_counts: ints(),
      ngram_indexes: ints(),
      pool_int64s: opt.ints,
      pool_strings: opt.texts,
      weights: opt.floats,
    },
    (c, a) => {
      const { b } = c;
      if (a.pool_strings !== null) c.unsupported('n-grams of strings');
      const pool = a.pool_int64s ?? c.fail("attribute 'pool_int64s' is missing");
      const given = c.in(0);
      const vector = given.shape.length === 1;
      const x = vector ? b.reshape(given, [1, given.shape[0]!]) : given;
      const [rows, length] = c.shape(x) as [number, number];
      const width = Math.max(...a.ngram_indexes, -1) + 1;
      let total = b.full([rows, width], 0, 'float32');
      let first = 0;
      for (let n = 1; n <= a.ngram_counts.length; n++) {
        const from = a.ngram_counts[n - 1]!;
        const to = a.ngram_counts[n] ?? pool.length;
        const count = (to - from) / n;
        const places = a.ngram_indexes.slice(first, first + count);
        first += count;
        if (n < a.min_gram_length || n > a.max_gram_length || count <= 0) continue;
        // Single elements have no gaps: they are counted once.
        for (let skip = 0; skip <= (n === 1 ? 0 : a.max_skip_count); skip++) {
          const span = (n - 1) * (skip + 1) + 1;
          if (span > length) break;
          const starts = length - span + 1;
          let hit: Value | null = null;
          for (let k = 0; k < n; k++) {
            const item = b.sliceAxis(x, 1, k * (skip + 1), k * (skip + 1) + starts);
            const wanted = c.constant(
              x.dtype,
              [count],
              Array.from({ length: count }, (_, g) => pool[from + g * n + k]!),
            );
            const shape = [rows, starts, count];
            const same = b.compare('eq', b.broadcast(item, shape, [0, 1]), b.broadcast(wanted, shape, [2]));
            hit = hit ? b.and(hit, same) : same;
          }
          const found = b.sum(b.cast(hit!, 'float32'), [1]);
          total = b.emit('scatter', [total, c.constant('int32', [count], places), found], { axis: 1, fn: 'add' });
        }
      }
      const weights = a.weights
        ? b.broadcast(
            c.constant(
              'float32',
              [width],
              Array.from({ length: width }, (_, i) => a.weights![a.ngram_indexes.indexOf(i)] ?? 1),
            ),
            [rows, width],
            [1],
          )
        : null;
      const present = (): Value => b.cast(b.compare('gt', total, 0), 'float32');
      let y = a.mode === 'TF' || a.mode === 'TFIDF' ? total : a.mode === 'IDF' ? present() : c.fail(`mode '${a.mode}', expected TF, IDF or TFIDF`);
      if (weights && a.mode !== 'TF') y = b.mul(y, weights);
      return vector ? b.reshape(y, [width]) : y;
    },
  ),
];
