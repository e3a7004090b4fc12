/**
 * An order of work with a low peak of memory. Items (nodes or regions) read and write tensors; a tensor is alive from its writer to its last reader.
 *
 * The best order is hard to find; three candidates are built and the one with the lowest peak is taken, the given order on a tie:
 * - the given order;
 * - list scheduling: of all items whose operands are there, the one that frees most for what it writes (ties: the given order);
 * - depth first from the results, the operand with the larger need first, as in Sethi-Ullman numbering.
 */
import { InternalError } from '../ir/errors.js';

export type TensorId = number;

export interface OrderItem {
  readonly reads: readonly TensorId[];
  readonly writes: readonly TensorId[];
  /** Indices of items that must come before, beside the writers of what it reads (an update in place comes after the readers of the old value). */
  readonly after?: readonly number[];
}

interface Problem {
  readonly items: readonly OrderItem[];
  readonly before: readonly (readonly number[])[];
  readonly bytes: (t: TensorId) => number;
  /** Tensors that nobody frees. */
  readonly kept: (t: TensorId) => boolean;
}

/** Largest sum of live bytes over the items in this order. */
export function peakOf(
  items: readonly OrderItem[],
  order: readonly number[],
  bytes: (t: TensorId) => number,
  kept: (t: TensorId) => boolean = () => false,
): number {
  const readers = readerCounts(items);
  const alive = new Set<TensorId>();
  let live = 0;
  let peak = 0;
  for (const i of order) {
    for (const t of items[i]!.writes) {
      if (!alive.has(t)) live += bytes(t);
      alive.add(t);
    }
    peak = Math.max(peak, live);
    for (const t of new Set(items[i]!.reads)) readers.set(t, readers.get(t)! - 1);
    for (const t of new Set([...items[i]!.reads, ...items[i]!.writes])) {
      if (!alive.has(t) || (readers.get(t) ?? 0) > 0 || kept(t)) continue;
      alive.delete(t);
      live -= bytes(t);
    }
  }
  return peak;
}

function readerCounts(items: readonly OrderItem[]): Map<TensorId, number> {
  const readers = new Map<TensorId, number>();
  for (const item of items) for (const t of new Set(item.reads)) readers.set(t, (readers.get(t) ?? 0) + 1);
  return readers;
}

/** For each item, the items that must come before it. A tensor may be written by several items (parts of one buffer): a reader comes after those that precede it. */
function dependencies(items: readonly OrderItem[]): number[][] {
  const writers = new Map<TensorId, number[]>();
  return items.map((item, i) => {
    const before = new Set(item.after);
    for (const t of item.reads) for (const w of writers.get(t) ?? []) before.add(w);
    for (const t of item.writes) {
      const list = writers.get(t);
      if (list) list.push(i);
      else writers.set(t, [i]);
    }
    before.delete(i);
    return [...before];
  });
}

function listSchedule(p: Problem): number[] {
  const { items, before } = p;
  const readers = readerCounts(items);
  const written = new Set<TensorId>();
  const missing = before.map((b) => b.length);
  const after: number[][] = items.map(() => []);
  before.forEach((list, i) => list.forEach((j) => after[j]!.push(i)));
  const ready = items.map((_, i) => i).filter((i) => missing[i] === 0);
  const order: number[] = [];
  const cost = (i: number): number => {
    let delta = 0;
    for (const t of items[i]!.writes) if (!written.has(t)) delta += p.bytes(t);
    for (const t of new Set(items[i]!.reads)) if (written.has(t) && readers.get(t) === 1 && !p.kept(t)) delta -= p.bytes(t);
    return delta;
  };
  while (ready.length > 0) {
    let best = 0;
    let least = Infinity;
    for (let k = 0; k < ready.length; k++) {
      const c = cost(ready[k]!);
      if (c < least || (c === least && ready[k]! < ready[best]!)) [best, least] = [k, c];
    }
    const i = ready[best]!;
    ready[best] = ready.at(-1)!;
    ready.pop();
    order.push(i);
    for (const t of items[i]!.writes) written.add(t);
    for (const t of new Set(items[i]!.reads)) readers.set(t, readers.get(t)! - 1);
    for (const j of after[i]!) if (--missing[j]! === 0) ready.push(j);
  }
  return order;
}

function depthFirst(p: Problem): number[] {
  const { items, before } = p;
  // what computing an item alone takes at its peak, as if its operands were a tree
  const need: number[] = [];
  const size = items.map((item) => item.writes.reduce((n, t) => n + p.bytes(t), 0));
  const sorted = before.map((list) => [...list]);
  items.forEach((_, i) => {
    sorted[i]!.sort((a, b) => need[b]! - size[b]! - (need[a]! - size[a]!) || a - b);
    let held = 0;
    let peak = 0;
    for (const j of sorted[i]!) {
      peak = Math.max(peak, held + need[j]!);
      held += size[j]!;
    }
    need[i] = Math.max(peak, held + size[i]!);
  });
  // results first: what no result needs early is computed as late as can be
  const needed = new Set(before.flat());
  const roots = items.map((_, i) => i).filter((i) => !needed.has(i));
  const done = new Set<number>();
  const order: number[] = [];
  for (const root of roots) {
    const stack = [{ item: root, next: 0 }];
    while (stack.length > 0) {
      const top = stack.at(-1)!;
      if (done.has(top.item)) {
        stack.pop();
        continue;
      }
      const list = sorted[top.item]!;
      while (top.next < list.length && done.has(list[top.next]!)) top.next++;
      if (top.next < list.length) stack.push({ item: list[top.next]!, next: 0 });
      else {
        done.add(top.item);
        order.push(top.item);
        stack.pop();
      }
    }
  }
  return order;
}

export interface OrderResult {
  /** Indices of items. */
  readonly order: readonly number[];
  readonly peak: number;
}

/** Items are given in a valid order. `kept`: tensors that stay alive to the end. */
export function orderItems(items: readonly OrderItem[], bytes: (t: TensorId) => number, kept: (t: TensorId) => boolean = () => false): OrderResult {
  const before = dependencies(items);
  before.forEach((list, i) => {
    if (list.some((j) => j > i)) throw new InternalError(`item ${i} comes before item ${Math.max(...list)}, which it depends on`);
  });
  const p: Problem = { items, before, bytes, kept };
  const given = items.map((_, i) => i);
  let best: OrderResult = { order: given, peak: peakOf(items, given, bytes, kept) };
  for (const order of [listSchedule(p), depthFirst(p)]) {
    const peak = peakOf(items, order, bytes, kept);
    if (peak < best.peak) best = { order, peak };
  }
  return best;
}
