/** Regions: groups of nodes that become one kernel. Made by fuse.ts, lowered by codegen/. */
import type { Graph, Node, NodeOf, Value } from '../ir/graph.js';

/**
 * map: every output is computed element by element over one domain (its shape). row: reductions over the same axes of one domain, with what produces and
 * consumes them. contraction: one dot or conv with prologue and epilogue. scatter, cumulative: one such node with a prologue. loop: a scan or while.
 * sequence: regions that a workgroup runs one after the other for one row (`parts`).
 */
export type RegionKind = 'map' | 'row' | 'contraction' | 'scatter' | 'cumulative' | 'loop' | 'sequence';

export interface Region {
  readonly id: number;
  readonly kind: RegionKind;
  /** In topological order. A cheap node may be in several regions: it is computed again in each. */
  readonly nodes: readonly Node[];
  /** The node that decides the schedule; null for map. For row, the first reduction. */
  readonly hero: Node | null;
  /** Materialized values that it reads. */
  readonly inputs: readonly Value[];
  /** Values that it writes to memory. */
  readonly outputs: readonly Value[];
  /** kind sequence: what runs, in order. */
  readonly parts?: readonly Region[];
}

/** Regions in topological order; the values between them, the graph's inputs and its state are in memory. */
export interface FusedGraph {
  readonly graph: Graph;
  readonly regions: readonly Region[];
  /** Materialized values that are another's memory seen otherwise: reshapes, contiguous slices, and operands written in place into a concat. */
  readonly aliases: ReadonlyMap<Value, Alias>;
}

export interface Alias {
  readonly of: Value;
  /** In elements. */
  readonly offset: number;
}

/** Nodes that cost nothing where they are read: they only compute an index or a constant. */
export function isFree(n: Node): boolean {
  switch (n.op) {
    case 'reshape':
    case 'slice':
    case 'transpose':
    case 'broadcast':
    case 'reverse':
    case 'iota':
    case 'dim_size':
      return true;
    case 'constant':
      return n.attrs.value.data.length === 1;
    default:
      return false;
  }
}

/** Nodes computed element by element from elements of their inputs. */
export const isElementwise = (n: Node): boolean =>
  n.op === 'unary' || n.op === 'binary' || n.op === 'compare' || n.op === 'select' || n.op === 'cast' || n.op === 'bitcast';

export type Contraction = NodeOf<'dot'> | NodeOf<'conv'>;
export const isContraction = (n: Node): n is Contraction => n.op === 'dot' || n.op === 'conv';
