/** Masks of attention. */
import type { Dim } from '../../../../ir/dim.js';
import * as ops from '../../backend/ops.js';
import type { SymbolicTensor } from '../../backend/trace.js';

/** True where a query may look at a key that is not after it: (1, queries, keys). */
export const causalMask = (like: SymbolicTensor, queries: Dim, keys: Dim): SymbolicTensor =>
  ops.greaterEqual(ops.iota(like, [1, queries, keys], 1), ops.iota(like, [1, queries, keys], 2));

/** True where a key is less than `window` steps away from a query: (1, queries, keys). */
export const windowMask = (like: SymbolicTensor, queries: Dim, keys: Dim, window: number): SymbolicTensor =>
  ops.less(ops.abs(ops.subtract(ops.iota(like, [1, queries, keys], 1), ops.iota(like, [1, queries, keys], 2))), window);

/** Both masks, where there are two. */
export const both = (a: SymbolicTensor | null, b: SymbolicTensor | null): SymbolicTensor | null => (a && b ? ops.logicalAnd(a, b) : (a ?? b));
