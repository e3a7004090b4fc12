/** Axes that are an attribute in old opsets and an input in new ones. */
import type { Value } from '../../../ir/graph.js';
import type { NodeContext } from '../context.js';

/** Axes from the attribute or from input i; null where neither is given. */
export function axesOf(c: NodeContext, attribute: readonly number[] | null, i: number, sinceInput: number): readonly number[] | null {
  if (c.version < sinceInput) return attribute;
  const v: Value | null = c.opt(i);
  return v ? c.numbers(v) : null;
}
