/**
 * Second part of the scan's gradient: which values of the forward step are stacked for the backward step. It starts from those that gradient nodes read, drops
 * each that follows from the others by cheap (elementwise, shape) ops, and replaces several by one ancestor where that stacks no more bytes: the four gates
 * of an LSTM by the sum that they are cut from.
 */
import { sizeAt } from '../dim.js';
import { storageBytes } from '../dtype.js';
import type { Node, Value } from '../graph.js';
import type { FusionKind } from '../op.js';

export interface ResidualQuestion {
  /** Primal values that the gradient reads. */
  readonly read: ReadonlySet<Value>;
  /** Values that the backward step has anyway: parameters, what follows from them, slices of the forward sequences. */
  readonly isGiven: (v: Value) => boolean;
  /** Values whose stack exists already: they cost nothing. */
  readonly free: ReadonlySet<Value>;
  /** Primal nodes in order. */
  readonly nodes: readonly Node[];
  /** Whether a node is rather computed again. */
  readonly isCheap: (node: Node) => boolean;
}

const cheapKinds: readonly FusionKind[] = ['source', 'elementwise', 'injective', 'view'];

/** Whether a value of this kind is rather computed again than stacked. */
export const isCheap = (kind: FusionKind): boolean => cheapKinds.includes(kind);

/** Bytes of one step, with every symbol at a typical value. */
function bytesOf(v: Value): number {
  const typical = new Proxy<Record<string, number>>({}, { get: () => 32 });
  return sizeAt(v.shape, typical) * storageBytes[v.dtype];
}

export function chooseResiduals(q: ResidualQuestion): Set<Value> {
  const order = new Map<Value, number>();
  for (const [i, n] of q.nodes.entries()) for (const o of n.outputs) order.set(o, i);
  const at = (v: Value): number => order.get(v) ?? -1;

  const follows = (v: Value, have: ReadonlySet<Value>, known: Map<Value, boolean>): boolean => {
    if (q.isGiven(v) || have.has(v)) return true;
    const old = known.get(v);
    if (old !== undefined) return old;
    const p = v.producer;
    const result = p !== null && q.isCheap(p) && p.inputs.every((x) => follows(x, have, known));
    known.set(v, result);
    return result;
  };
  /** Drops, last first, what follows from the rest. */
  const reduce = (set: ReadonlySet<Value>, kept?: Value): Set<Value> => {
    const have = new Set([...set, ...q.free]);
    for (const v of [...set].sort((x, y) => at(y) - at(x))) {
      if (v === kept || q.free.has(v)) continue;
      have.delete(v);
      if (!follows(v, have, new Map())) have.add(v);
    }
    return have;
  };
  const cost = (set: ReadonlySet<Value>): number => [...set].reduce((n, v) => n + (q.free.has(v) ? 0 : bytesOf(v)), 0);
  /** Values above the set through cheap ops. */
  const ancestors = (set: ReadonlySet<Value>): Set<Value> => {
    const seen = new Set<Value>();
    const visit = (v: Value): void => {
      const p = v.producer;
      if (p === null || !q.isCheap(p)) return;
      for (const x of p.inputs) {
        if (q.isGiven(x) || seen.has(x)) continue;
        seen.add(x);
        visit(x);
      }
    };
    for (const v of set) visit(v);
    for (const v of set) seen.delete(v);
    return seen;
  };

  let best = reduce(q.read);
  for (;;) {
    let better: Set<Value> | null = null;
    for (const v of ancestors(best)) {
      const next = reduce(new Set([...best, v]), v);
      const limit = better ?? best;
      if (next.size < limit.size && cost(next) <= cost(limit)) better = next;
    }
    if (!better) return best;
    best = better;
  }
}
