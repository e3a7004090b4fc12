/**
 * Offsets in one arena. A tensor is alive from its first writer to its last user; tensors whose lives meet get ranges that do not.
 *
 * Views (reshapes, contiguous slices, operands of a concat written in place) lie at an offset inside another tensor: the root lives as long as any of its views.
 * An item that allows it writes an output over an input that dies with it: the two may then share their offset, though both are alive there; otherwise they are
 * disjoint like all others.
 *
 * Placing is offline dynamic storage allocation, which is NP-hard. Each tensor, in some order, gets the lowest offset (or the tightest gap) that fits among those placed
 * before. Several orders are tried (size, size times life, life, start, size at the fullest item); then the tensors at the top of the best plan are moved to
 * the front of its order and all is placed again, as long as that helps. It stops at the lower bound: the largest set alive at once.
 */
import { InternalError } from '../ir/errors.js';

export type TensorId = number;

export interface MemoryTensor {
  readonly id: TensorId;
  readonly bytes: number;
  /** A view: it lies at `offset` bytes inside another tensor (which may be a view itself). */
  readonly alias?: { readonly of: TensorId; readonly offset: number };
  /** Alive during the whole run. */
  readonly pinned?: boolean;
}

export interface MemoryItem {
  readonly reads: readonly TensorId[];
  readonly writes: readonly TensorId[];
  /** Outputs that may lie exactly where an input lies, if the input is not used later. */
  readonly inPlace?: readonly (readonly [output: TensorId, input: TensorId])[];
}

export interface MemoryPlan {
  /** Byte offset of each tensor that is used, views too. */
  readonly offsets: ReadonlyMap<TensorId, number>;
  readonly arenaBytes: number;
  /** Sum of the sizes of all roots: the arena without sharing. */
  readonly sumBytes: number;
  /** No plan can be smaller. */
  readonly lowerBound: number;
}

export interface MemoryOptions {
  /** Offsets are multiples of this. Default 256, WebGPU's alignment of bindings. */
  readonly alignment?: number;
  /** Rounds of improvement. Default 40. */
  readonly rounds?: number;
}

/** A root tensor with its life, in items. */
interface Block {
  readonly id: TensorId;
  readonly size: number;
  readonly start: number;
  readonly end: number;
  /** Blocks alive at the same time. */
  readonly meets: Block[];
  /** Of those, blocks that may have the same offset. */
  readonly mayShare: Set<Block>;
}

/** Life of each root, by the items that use it or its views: [first, last]. */
export function lifetimes(items: readonly MemoryItem[], tensors: readonly MemoryTensor[]): Map<TensorId, { start: number; end: number }> {
  const roots = rootsOfTensors(tensors);
  const lives = new Map<TensorId, { start: number; end: number }>();
  items.forEach((item, i) => {
    for (const t of [...item.writes, ...item.reads]) {
      const root = rootOf(roots, t).root;
      const life = lives.get(root);
      if (life) life.end = i;
      else lives.set(root, { start: i, end: i });
    }
  });
  for (const t of tensors) if (t.pinned) lives.set(rootOf(roots, t.id).root, { start: 0, end: Math.max(0, items.length - 1) });
  return lives;
}

interface Place {
  readonly root: TensorId;
  readonly offset: number;
}

function rootOf(roots: ReadonlyMap<TensorId, Place>, t: TensorId): Place {
  const r = roots.get(t);
  if (!r) throw new InternalError(`memory plan: tensor ${t} is not declared`);
  return r;
}

function rootsOfTensors(tensors: readonly MemoryTensor[]): Map<TensorId, Place> {
  const byId = new Map(tensors.map((t) => [t.id, t]));
  const places = new Map<TensorId, Place>();
  const find = (t: MemoryTensor, depth: number): Place => {
    const known = places.get(t.id);
    if (known) return known;
    if (depth > tensors.length) throw new InternalError(`memory plan: the views of tensor ${t.id} go round`);
    let place: Place = { root: t.id, offset: 0 };
    if (t.alias) {
      const of = byId.get(t.alias.of);
      if (!of) throw new InternalError(`memory plan: tensor ${t.id} is a view of ${t.alias.of}, which is not declared`);
      if (t.alias.offset < 0 || t.alias.offset + t.bytes > of.bytes)
        throw new InternalError(`memory plan: view ${t.id} (${t.bytes} bytes at ${t.alias.offset}) is not inside tensor ${of.id} of ${of.bytes} bytes`);
      const outer = find(of, depth + 1);
      place = { root: outer.root, offset: outer.offset + t.alias.offset };
    }
    places.set(t.id, place);
    return place;
  };
  for (const t of tensors) find(t, 0);
  return places;
}

export function planMemory(items: readonly MemoryItem[], tensors: readonly MemoryTensor[], options: MemoryOptions = {}): MemoryPlan {
  const alignment = options.alignment ?? 256;
  const places = rootsOfTensors(tensors);
  const byId = new Map(tensors.map((t) => [t.id, t]));
  const blocks = new Map<TensorId, Block>();
  for (const [id, { start, end }] of lifetimes(items, tensors)) {
    blocks.set(id, { id, size: Math.ceil(byId.get(id)!.bytes / alignment) * alignment, start, end, meets: [], mayShare: new Set() });
  }
  const list = [...blocks.values()];
  connect(list, items.length);
  const saved = shareInPlace(items, places, blocks);
  const live = liveBytes(list, items.length);
  const lowerBound = live.reduce((most, n, i) => Math.max(most, n - (saved[i] ?? 0)), 0);
  const placed = search(list, live, lowerBound, options.rounds ?? 40);
  const offsets = new Map<TensorId, number>();
  for (const [id, { root, offset }] of places) {
    const block = blocks.get(root);
    if (block) offsets.set(id, placed.offsets.get(block)! + offset);
  }
  return { offsets, arenaBytes: placed.top, sumBytes: list.reduce((n, b) => n + b.size, 0), lowerBound };
}

/** Fills `meets`: a sweep over the items with the set of living blocks. */
function connect(blocks: readonly Block[], items: number): void {
  const starting: Block[][] = Array.from({ length: items + 1 }, () => []);
  for (const b of blocks) starting[b.start]!.push(b);
  let alive: Block[] = [];
  for (let i = 0; i < items; i++) {
    if (starting[i]!.length === 0) continue;
    alive = alive.filter((b) => b.end >= i);
    for (const b of starting[i]!) {
      for (const other of alive) {
        b.meets.push(other);
        other.meets.push(b);
      }
      alive.push(b);
    }
  }
}

/** Fills `mayShare`, and gives for each item an upper limit of what sharing can save there. */
function shareInPlace(items: readonly MemoryItem[], places: ReadonlyMap<TensorId, Place>, blocks: ReadonlyMap<TensorId, Block>): number[] {
  return items.map((item, i) => {
    const byOutput = new Map<Block, number>();
    const byInput = new Map<Block, number>();
    for (const [output, input] of item.inPlace ?? []) {
      const [o, x] = [rootOf(places, output), rootOf(places, input)];
      const [out, inp] = [blocks.get(o.root)!, blocks.get(x.root)!];
      if (out === inp || o.offset !== 0 || x.offset !== 0 || inp.end !== i || out.start !== i) continue;
      out.mayShare.add(inp);
      inp.mayShare.add(out);
      const saved = Math.min(out.size, inp.size);
      byOutput.set(out, Math.max(saved, byOutput.get(out) ?? 0));
      byInput.set(inp, Math.max(saved, byInput.get(inp) ?? 0));
    }
    const sum = (m: Map<Block, number>): number => [...m.values()].reduce((a, b) => a + b, 0);
    return Math.min(sum(byOutput), sum(byInput));
  });
}

function liveBytes(blocks: readonly Block[], items: number): number[] {
  const change = new Array<number>(items + 1).fill(0);
  for (const b of blocks) {
    change[b.start]! += b.size;
    change[b.end + 1]! -= b.size;
  }
  let live = 0;
  return change.slice(0, items).map((c) => (live += c));
}

interface Placement {
  readonly offsets: ReadonlyMap<Block, number>;
  readonly top: number;
}

/** Places blocks in order; `tight` takes the smallest gap that fits, else the lowest. */
function place(order: readonly Block[], tight: boolean, limit: number): Placement | null {
  const offsets = new Map<Block, number>();
  let top = 0;
  for (const b of order) {
    const taken: { from: number; to: number; shared: boolean }[] = [];
    for (const m of b.meets) {
      const from = offsets.get(m);
      if (from !== undefined) taken.push({ from, to: from + m.size, shared: b.mayShare.has(m) });
    }
    taken.sort((p, q) => p.from - q.from);
    const at = shareOffset(b, taken) ?? gap(taken, b.size, tight);
    offsets.set(b, at);
    top = Math.max(top, at + b.size);
    if (top >= limit) return null;
  }
  return { offsets, top };
}

type Taken = readonly { readonly from: number; readonly to: number; readonly shared: boolean }[];

/** The offset of a block that this one may lie on, where nothing else is in the way. */
function shareOffset(b: Block, taken: Taken): number | null {
  for (const s of taken) {
    if (!s.shared) continue;
    const [from, to] = [s.from, s.from + b.size];
    if (taken.every((t) => t.to <= from || t.from >= to || (t.shared && t.from === from))) return from;
  }
  return null;
}

function gap(taken: Taken, size: number, tight: boolean): number {
  let end = 0;
  let best = -1;
  let least = Infinity;
  for (const t of taken) {
    const room = t.from - end;
    if (room >= size && room < least) {
      if (!tight) return end;
      [best, least] = [end, room];
    }
    end = Math.max(end, t.to);
  }
  return best >= 0 ? best : end;
}

function search(blocks: readonly Block[], live: readonly number[], lowerBound: number, rounds: number): Placement {
  if (blocks.length === 0) return { offsets: new Map(), top: 0 };
  const fullest = live.indexOf(Math.max(...live));
  const atPeak = (b: Block): number => (b.start <= fullest && b.end >= fullest ? 1 : 0);
  const life = (b: Block): number => b.end - b.start + 1;
  const orders: ((a: Block, b: Block) => number)[] = [
    (a, b) => b.size - a.size || life(b) - life(a) || a.start - b.start,
    (a, b) => b.size * life(b) - a.size * life(a) || a.start - b.start,
    (a, b) => life(b) - life(a) || b.size - a.size,
    (a, b) => atPeak(b) - atPeak(a) || b.size - a.size || a.start - b.start,
    (a, b) => a.start - b.start || b.size - a.size,
    (a, b) => b.end - a.end || b.size - a.size,
  ];
  let best: Placement = { offsets: new Map(), top: Infinity };
  let bestOrder: Block[] = [];
  for (const compare of orders) {
    const order = [...blocks].sort((a, b) => compare(a, b) || a.id - b.id);
    for (const tight of [false, true]) {
      if (best.top <= lowerBound) return best;
      const p = place(order, tight, best.top);
      if (p) [best, bestOrder] = [p, order];
    }
  }
  return improve(best, bestOrder, lowerBound, rounds);
}

/** Moves the blocks at the top of the plan (and what lies below them) to the front of the order, again and again. */
function improve(start: Placement, startOrder: readonly Block[], lowerBound: number, rounds: number): Placement {
  let best = start;
  let order = startOrder;
  let current = start;
  for (let round = 0; round < rounds && best.top > lowerBound; round++) {
    const front = new Set(order.filter((b) => current.offsets.get(b)! + b.size === current.top));
    order = [...order.filter((b) => front.has(b)), ...order.filter((b) => !front.has(b))];
    const next = place(order, round % 2 === 1, Infinity)!;
    if (next.top < best.top) best = next;
    current = next;
  }
  return best;
}
