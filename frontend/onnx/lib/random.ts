/** Keys of random numbers. */
import type { Value } from '../../../ir/graph.js';
import { foldKey } from '../../../ir/math.js';
import type { NodeContext } from '../context.js';

/** A key from the seed, or from the name of the node where it has none. */
export function keyOf(c: NodeContext, seed: number | null): Value {
  const text = seed === null ? c.where : String(seed);
  let hash = 2166136261;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 16777619);
  return foldKey(c.b, c.constant('uint32', [2], [0x6f6e6e78, hash >>> 0]), 0);
}
