/**
 * Follows an operand back through free nodes (broadcast, transpose, reshapes that only add or drop axes of size 1) and says which axis of the consumer's
 * domain each axis of the reached value is. Fusion merges a consumer only where every path to a value inside the region keeps its axes in place.
 */
import type { Node, Value } from '../ir/graph.js';
import { isFree } from './regions.js';

/** For each axis of a value: the domain axis that it is, or null for axes of size 1. */
export type AxisMap = readonly (number | null)[];

/** A value that is not made by a free node, with its axis map; map null: reached by another way (slice, reverse, general reshape). */
export interface Reached {
  readonly value: Value;
  readonly map: AxisMap | null;
}

/** Axis map of the input of a reshape whose output axes have `map`; null when it does more than add or drop axes of size 1. */
function throughReshape(input: Value, output: Value, map: AxisMap): AxisMap | null {
  const kept = output.shape.flatMap((d, i) => (d === 1 ? [] : [{ d, axis: map[i] ?? null }]));
  let at = 0;
  const result: (number | null)[] = [];
  for (const d of input.shape) {
    if (d === 1) {
      result.push(null);
      continue;
    }
    const k = kept[at++];
    if (!k || String(k.d) !== String(d)) return null;
    result.push(k.axis);
  }
  return at === kept.length ? result : null;
}

/** Non-free values that `v` is read from, where `v`'s axes are the domain axes `map`. */
export function traceBack(v: Value, map: AxisMap | null): Reached[] {
  const out: Reached[] = [];
  /** The axis map of a free node's input, from that of its output. */
  const back = (n: Node, x: Value, m: AxisMap): AxisMap | null => {
    const input = n.inputs[0]!;
    switch (n.op) {
      case 'broadcast':
        return n.attrs.axes.map((a, i) => (input.shape[i] === 1 ? null : m[a]!));
      case 'transpose': {
        const to: (number | null)[] = [];
        n.attrs.perm.forEach((p, i) => {
          to[p] = m[i]!;
        });
        return to;
      }
      case 'reshape':
        return throughReshape(input, x, m);
      default:
        return null;
    }
  };
  const walk = (x: Value, m: AxisMap | null): void => {
    const n = x.producer;
    if (n === null || !isFree(n)) out.push({ value: x, map: m });
    else if (n.inputs.length > 0) walk(n.inputs[0]!, m === null ? null : back(n, x, m));
  };
  walk(v, map);
  return out;
}

export const identityMap = (v: Value): AxisMap => v.shape.map((d, i) => (d === 1 ? null : i));

/** Whether `map` puts the axes of `v` (those not of size 1) exactly on `axes`, in order. */
export function mapsOnto(v: Value, map: AxisMap | null, axes: readonly number[], domain: readonly unknown[]): boolean {
  if (map === null) return false;
  const want = axes.filter((a) => domain[a] !== 1);
  const have = map.filter((_, i) => v.shape[i] !== 1);
  return have.length === want.length && have.every((a, i) => a === want[i]);
}

/** Non-free producers of a node's inputs. */
export function sourceNodes(n: Node): Node[] {
  return [...new Set(n.inputs.flatMap((v) => traceBack(v, null)).flatMap((r) => (r.value.producer ? [r.value.producer] : [])))];
}
