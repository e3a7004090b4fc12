/** Clusters: the groups of nodes that fusion grows, and what it knows about single nodes. */
import type { Shape } from '../../ir/dim.js';
import type { Node } from '../../ir/graph.js';
import { isContraction, isElementwise, type RegionKind } from '../regions.js';

export interface FuseOptions {
  /** Longest row (elements) that is walked more than once inside one kernel. */
  readonly maxRow: number;
  /** Most materialized values that one kernel may touch. */
  readonly maxValues: number;
  /** Most device buffers that one kernel may touch: intermediates share one, each state slot, input and output has its own. */
  readonly maxBuffers: number;
}

export const defaultFuseOptions: FuseOptions = { maxRow: 16384, maxValues: 24, maxBuffers: 8 };

export interface Cluster {
  kind: RegionKind;
  readonly nodes: Set<Node>;
  hero: Node | null;
  /** The iteration space. */
  domain: Shape;
  /** kind row: reduced axes of the domain. */
  axes: readonly number[];
  alive: boolean;
  /** Where it was merged to. */
  into: Cluster | null;
}

export const resolved = (c: Cluster): Cluster => (c.into ? resolved(c.into) : c);

export const isReduction = (n: Node): boolean => n.op === 'reduce' || n.op === 'arg_reduce';
export const reducedAxes = (n: Node): readonly number[] => (n.op === 'reduce' ? n.attrs.axes : n.op === 'arg_reduce' ? [n.attrs.axis] : []);
export const sameList = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((x, i) => x === b[i]);

/** Rough scalar instructions to compute one element of a node's output. */
export function nodeCost(n: Node): number {
  switch (n.op) {
    case 'unary':
      return ['neg', 'abs', 'not', 'sign', 'floor', 'ceil', 'round', 'sqrt', 'reciprocal', 'bitwise_not', 'is_nan', 'is_inf'].includes(n.attrs.fn) ? 1 : 12;
    case 'binary':
      return n.attrs.fn === 'pow' || n.attrs.fn === 'atan2' ? 24 : n.attrs.fn === 'div' || n.attrs.fn === 'rem' ? 2 : 1;
    case 'random_bits':
      return 60;
    case 'gather':
    case 'pad':
      return 3;
    case 'concat':
      return 2 * n.inputs.length;
    case 'reduce_window':
      return n.attrs.window.reduce((a, b) => a * b, 1);
    case 'select_and_scatter':
      return 2 * n.attrs.window.reduce((a, b) => a * b, 1);
    default:
      return 1;
  }
}

export const isLoop = (n: Node): boolean => n.op === 'scan' || n.op === 'while';

/** Nodes that may be copied into their consumers. */
export const isInlinable = (n: Node): boolean => isElementwise(n) || n.op === 'pad' || n.op === 'gather' || n.op === 'random_bits' || n.op === 'concat';

export function kindOf(n: Node): RegionKind {
  if (isContraction(n)) return 'contraction';
  if (isReduction(n)) return 'row';
  if (n.op === 'scatter') return 'scatter';
  if (n.op === 'cumulative') return 'cumulative';
  if (isLoop(n)) return 'loop';
  return 'map';
}
