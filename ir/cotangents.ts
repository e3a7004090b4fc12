/** What autodiff and the gradient rules of control flow share about cotangents. */
import type { GraphBuilder } from './builder.js';
import { isFloat } from './dtype.js';
import type { Node, Value } from './graph.js';

/** A value and the cotangent that flows into it from outside. */
export interface Seed {
  readonly value: Value;
  readonly cotangent: Value;
}

/** Differentiates nodes: for each wanted value the contributions to its cotangent. See ir/autodiff.ts, which gives it to the rules. */
export type Pullback = (b: GraphBuilder, nodes: readonly Node[], seeds: readonly Seed[], wanted: readonly Value[]) => Value[][];

/** The sum of values of one type; null for none. */
export function sumAll(b: GraphBuilder, values: readonly Value[]): Value | null {
  return values.length === 0 ? null : values.reduce((x, y) => b.add(x, y));
}

/** The values that depend on `wanted` through floats, among those that `nodes` (in topological order) compute. */
export function dependents(nodes: readonly Node[], wanted: Iterable<Value>): Set<Value> {
  const depends = new Set<Value>(wanted);
  for (const n of nodes) if (n.inputs.some((v) => depends.has(v))) for (const o of n.outputs) if (isFloat(o.dtype)) depends.add(o);
  return depends;
}

/** pullback, added up, for values that may repeat in `wanted`: each gets its gradient at its first place only. */
export function pullbackOnce(
  pullback: Pullback,
  b: GraphBuilder,
  nodes: readonly Node[],
  seeds: readonly Seed[],
  wanted: readonly (Value | null)[],
): (Value | null)[] {
  const distinct = [...new Set(wanted.filter((v) => v !== null))];
  const found = new Map(pullback(b, nodes, seeds, distinct).map((list, i) => [distinct[i]!, sumAll(b, list)]));
  return wanted.map((v, i) => (v === null || wanted.indexOf(v) !== i ? null : (found.get(v) ?? null)));
}
