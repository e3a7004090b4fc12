/**
 * Placement: where every materialized value of a program lies. Updates are written straight into their state slot where nothing reads the old contents later (in place),
 * outputs into their output buffer, constants into the blob; everything else shares the arena by lifetime.
 */
import { isStatic, sizeAt } from '../ir/dim.js';
import { storageBytes } from '../ir/dtype.js';
import { InternalError, UnsupportedError } from '../ir/errors.js';
import { maxBindings, type Node, type Value } from '../ir/graph.js';
import { sizeOf } from '../ir/tensor-data.js';
import { mapsOnto, sourceNodes, traceBack } from '../passes/axis-trace.js';
import { type OrderItem, orderItems } from '../passes/order.js';
import { type MemoryItem, type MemoryTensor, planMemory } from '../passes/plan-memory.js';
import { type FusedGraph, isElementwise, isFree, type Region } from '../passes/regions.js';
import type { MemoryFigures } from '../runtime/plan.js';
import { type LoweredKernel, storedBytes, type Temp } from './lower/frame.js';
import type { LoweredRegion } from './lower/region.js';
import { canMerge } from './merge-kernels.js';
import type { TargetInfo } from './target.js';

/** A buffer of the plan before it has a number. */
export type BufferKey = 'arena' | `state:${string}` | `in:${string}` | `out:${string}` | `prepared:${string}` | `constant:${number}`;

export interface Location {
  readonly buffer: BufferKey;
  /** Bytes. */
  readonly offset: number;
}

export interface Placement {
  /** Regions in order; those of one group share a dispatch. */
  readonly groups: readonly (readonly Region[])[];
  readonly location: (v: Value | Temp) => Location;
  /** Copies at the end: updates that could not be written in place. */
  readonly copies: readonly { readonly from: Value; readonly slot: string }[];
  readonly memory: MemoryFigures;
}

const alignment = 64;

/** Stored size of a value at the symbols' maximum. */
export const bytesOf = (v: Value | Temp, max: Readonly<Record<string, number>>): number => Math.ceil((sizeAt(v.shape, max) * storedBytes(v)) / 4) * 4;

/** The nodes of a region that the operands of its product or convolution are computed by. */
function beforeHeavy(r: Region): ReadonlySet<Node> {
  const inside = new Set(r.nodes);
  const found = new Set<Node>();
  // reshapes and the like belong to no region: they are looked through
  const open = r.nodes.filter((n) => n.op === 'conv' || n.op === 'dot').flatMap(sourceNodes);
  for (let n = open.pop(); n; n = open.pop()) {
    if (found.has(n) || !inside.has(n)) continue;
    found.add(n);
    open.push(...sourceNodes(n));
  }
  return found;
}

/** Reads of `old` in region `r` happen only at the element that is then written. */
function readsInPlace(r: Region, old: Value, update: Value): boolean {
  if (r.kind !== 'map' && r.kind !== 'row' && r.kind !== 'contraction') return false;
  const size = (v: Value): string =>
    v.shape
      .filter((d) => d !== 1)
      .map(String)
      .join();
  const before = r.kind === 'contraction' ? beforeHeavy(r) : new Set<Node>();
  for (const n of r.nodes) {
    for (const input of n.inputs) {
      // a free node reads as its own way says: from its result, so that what it reverses or transposes is seen
      const reached = traceBack(
        isFree(n) ? n.outputs[0]! : input,
        n.outputs[0]!.shape.map((d, i) => (d === 1 ? null : i)),
      ).filter((x) => x.value === old);
      for (const x of reached) {
        // what a product is made of is read for every element of its rows and columns
        if (before.has(n)) return false;
        if (!isElementwise(n) && !(r.kind === 'map' && isFree(n))) return false;
        if (size(n.outputs[0]!) !== size(old) || size(update) !== size(old)) return false;
        const axes = n.outputs[0]!.shape.map((_, i) => i);
        if (!mapsOnto(old, x.map, axes, n.outputs[0]!.shape)) return false;
      }
    }
  }
  return true;
}

export interface PlaceInput {
  readonly fused: FusedGraph;
  readonly lowered: ReadonlyMap<Region, LoweredRegion>;
  readonly target: TargetInfo;
}

export function place(input: PlaceInput): Placement {
  const { fused, lowered } = input;
  const { graph } = fused;
  const max = maxBindings(graph);
  const fixed = new Map<Value, Location>();
  for (const i of graph.inputs) fixed.set(i.value, { buffer: i.name.startsWith('prepared:') ? (i.name as BufferKey) : `in:${i.name}`, offset: 0 });
  for (const s of graph.state) fixed.set(s.value, { buffer: `state:${s.name}`, offset: 0 });
  for (const n of graph.nodes) if (n.op === 'constant') fixed.set(n.outputs[0]!, { buffer: `constant:${n.outputs[0]!.id}`, offset: 0 });
  /** The value whose memory `v` is part of, and the offset in bytes. */
  const rootOf = (v: Value): { root: Value; offset: number } => {
    let offset = 0;
    let root = v;
    for (let a = fused.aliases.get(root); a; a = fused.aliases.get(root)) {
      offset += a.offset * storedBytes(v);
      root = a.of;
    }
    return { root, offset };
  };
  for (const { name, dtype } of [
    ...graph.outputs.map((o) => ({ name: `output '${o.name}'`, dtype: o.value.dtype })),
    ...graph.updates.map((u) => ({ name: `update of '${u.slot}'`, dtype: u.value.dtype })),
  ])
    if (storageBytes[dtype] < 4) throw new UnsupportedError(`${graph.name}: ${name} is ${dtype}, which kernels read but do not write; cast it to int32`);
  for (const o of graph.outputs) {
    const { root, offset } = rootOf(o.value);
    if (offset !== 0 || fixed.has(root)) throw new InternalError(`output '${o.name}' is a part of another value`);
    fixed.set(root, { buffer: o.name.startsWith('prepared:') ? (o.name as BufferKey) : `out:${o.name}`, offset: 0 });
  }
  const { regions, after, copies } = placeUpdates(fused, fixed, rootOf);
  const bufferOf = (v: Value | Temp): string => ('id' in v ? (fixed.get(rootOf(v).root)?.buffer ?? 'arena') : 'arena').replace(/^constant:.*/, 'constants');
  // the arena
  const tensors: MemoryTensor[] = [];
  const ids = new Map<Value | Temp, number>();
  const idOf = (v: Value | Temp): number | null => {
    const root = 'id' in v ? rootOf(v).root : v;
    if ('id' in root && fixed.has(root)) return null;
    let id = ids.get(root);
    if (id === undefined) {
      id = tensors.length;
      ids.set(root, id);
      tensors.push({ id, bytes: bytesOf(root, max) });
    }
    return id;
  };
  const arenaTensors = (values: readonly (Value | Temp)[]): number[] => values.map(idOf).filter((t) => t !== null);
  const numbers = new Map(regions.map((r, i) => [r, i]));
  const work = regions.map(
    (r): OrderItem => ({
      reads: arenaTensors(r.inputs),
      writes: arenaTensors([...r.outputs, ...(lowered.get(r)?.temps ?? [])]),
      after: [...after.get(r)!].map((d) => numbers.get(d)!),
    }),
  );
  const ordered = orderItems(work, (t) => tensors[t]!.bytes).order.map((i) => regions[i]!);
  const groups = input.target.kind === 'webgpu' ? groupRegions(ordered, after, lowered, bufferOf, input.target) : ordered.map((r) => [r]);
  const items: MemoryItem[] = groups.map((group) => {
    const reads = new Set<number>();
    const writes = new Set<number>();
    const inPlace: [number, number][] = [];
    const note = (set: Set<number>, v: Value | Temp): void => {
      const t = idOf(v);
      if (t !== null) set.add(t);
    };
    for (const r of group) {
      const low = lowered.get(r);
      if (!low) throw new InternalError('region without kernels');
      for (const v of r.inputs) note(reads, v);
      for (const v of r.outputs) note(writes, v);
      for (const t of low.temps) note(writes, t);
      if (r.kind !== 'map' && r.kind !== 'contraction') continue;
      for (const out of r.outputs) {
        for (const v of r.inputs) {
          const [o, i] = [idOf(out), idOf(v)];
          if (o === null || i === null || fused.aliases.has(v) || fused.aliases.has(out)) continue;
          // another region of the group may still read what this one would overwrite
          if (group.some((other) => other !== r && other.inputs.some((x) => idOf(x) === i))) continue;
          if (
            v.shape.length === out.shape.length &&
            v.shape.every((d, k) => String(d) === String(out.shape[k])) &&
            storedBytes(v) === storedBytes(out) &&
            readsInPlace(r, v, out)
          )
            inPlace.push([o, i]);
        }
      }
    }
    return { reads: [...reads], writes: [...writes], inPlace };
  });
  for (const c of copies) {
    const t = idOf(c.from);
    if (t !== null) items.push({ reads: [t], writes: [] });
  }
  const plan = planMemory(items, tensors, { alignment });
  const location = (v: Value | Temp): Location => {
    if (!('id' in v)) return { buffer: 'arena', offset: plan.offsets.get(ids.get(v)!)! };
    const { root, offset } = rootOf(v);
    const f = fixed.get(root);
    if (f) return { buffer: f.buffer, offset: f.offset + offset };
    const id = ids.get(root);
    if (id === undefined) throw new InternalError(`value ${v.id} (${v.producer?.op ?? 'input'} ${v.producer?.origin ?? ''}) has no place`);
    return { buffer: 'arena', offset: plan.offsets.get(id)! + offset };
  };
  return { groups, location, copies, memory: { arena: plan.arenaBytes, sum: plan.sumBytes, lowerBound: plan.lowerBound } };
}

/** Bytes of a buffer: first, and past the last. */
type Range = readonly [number, number];

/**
 * Puts updates into their slots. The region that writes a slot must come after all that read the old contents; where the dependencies forbid that, the update is copied at the end.
 */
function placeUpdates(
  fused: FusedGraph,
  fixed: Map<Value, Location>,
  rootOf: (v: Value) => { root: Value; offset: number },
): { regions: Region[]; after: Map<Region, Set<Region>>; copies: { from: Value; slot: string }[] } {
  const { graph, regions } = fused;
  const writer = new Map<Value, Region[]>();
  const written = new Map<Value, { readonly region: Region; readonly range: Range }[]>();
  const rangeOf = (v: Value): { readonly root: Value; readonly range: Range } => {
    const { root, offset } = rootOf(v);
    return { root, range: [offset, v.shape.every(isStatic) ? offset + sizeOf(v.shape as readonly number[]) * storedBytes(v) : Infinity] };
  };
  for (const region of regions) {
    for (const v of region.outputs) {
      const { root, range } = rangeOf(v);
      writer.set(root, [...(writer.get(root) ?? []), region]);
      written.set(root, [...(written.get(root) ?? []), { region, range }]);
    }
  }
  // a region that reads a piece of a buffer waits for those alone that write to that piece
  const writersOf = (v: Value): Region[] => {
    const { root, range } = rangeOf(v);
    return (written.get(root) ?? []).filter((w) => w.range[0] < range[1] && range[0] < w.range[1]).map((w) => w.region);
  };
  const after = new Map<Region, Set<Region>>(regions.map((r) => [r, new Set(r.inputs.flatMap(writersOf).filter((d) => d !== r))]));
  const dependsOn = (r: Region, on: Region): boolean => {
    const seen = new Set<Region>();
    const stack = [r];
    for (let x = stack.pop(); x; x = stack.pop()) {
      if (x === on) return true;
      if (seen.has(x)) continue;
      seen.add(x);
      stack.push(...after.get(x)!);
    }
    return false;
  };
  const copies: { from: Value; slot: string }[] = [];
  for (const u of graph.updates) {
    const { root, offset } = rootOf(u.value);
    const old = graph.state.find((s) => s.name === u.slot)!.value;
    const writers = writer.get(root) ?? [];
    const readers = regions.filter((r) => r.inputs.some((v) => rootOf(v).root === old));
    // several regions that write parts and read the old contents would each have to come after the others
    const crossed = writers.filter((w) => readers.includes(w)).length > 1;
    const direct =
      offset === 0 &&
      !crossed &&
      !fixed.has(root) &&
      isStatic(old.shape[0] ?? 1) &&
      writers.every((w) => readers.every((r) => r === w || !dependsOn(r, w)) && (!readers.includes(w) || readsInPlace(w, old, u.value)));
    if (!direct || writers.length === 0) {
      copies.push({ from: u.value, slot: u.slot });
      continue;
    }
    fixed.set(root, { buffer: `state:${u.slot}`, offset: 0 });
    for (const w of writers) for (const r of readers) if (r !== w) after.get(w)!.add(r);
  }
  const ordered: Region[] = [];
  const state = new Map<Region, 'open' | 'done'>();
  const visit = (r: Region): void => {
    if (state.get(r) === 'done') return;
    if (state.get(r) === 'open') throw new InternalError('the order of state updates is cyclic');
    state.set(r, 'open');
    for (const d of [...after.get(r)!].sort((a, b) => a.id - b.id)) visit(d);
    state.set(r, 'done');
    ordered.push(r);
  };
  for (const r of regions) visit(r);
  return { regions: ordered, after, copies };
}

/**
 * Groups regions that share a dispatch: always the first that is ready, with all others that are ready too and fit beside it.
 */
function groupRegions(
  regions: readonly Region[],
  after: ReadonlyMap<Region, ReadonlySet<Region>>,
  lowered: ReadonlyMap<Region, LoweredRegion>,
  bufferOf: (v: Value | Temp) => string,
  target: TargetInfo,
): Region[][] {
  const done = new Set<Region>();
  const open = new Set(regions);
  const out: Region[][] = [];
  const single = (r: Region): LoweredKernel | null => {
    const { steps } = lowered.get(r)!;
    const [s] = steps;
    return steps.length === 1 && s?.kind === 'kernel' ? s.kernel : null;
  };
  const buffers = (ks: readonly LoweredKernel[]): number => new Set(ks.flatMap((k) => k.args.map((a) => bufferOf(a.value)))).size;
  while (open.size > 0) {
    const ready = [...open].filter((r) => [...after.get(r)!].every((d) => done.has(d)));
    const [first] = ready;
    if (!first) throw new InternalError('regions wait for each other');
    const group = [first];
    const kernels = single(first) ? [single(first)!] : [];
    if (kernels.length > 0) {
      for (const r of ready.slice(1)) {
        const k = single(r);
        if (!k || buffers([...kernels, k]) > target.maxStorageBuffers || !canMerge([...kernels, k], target)) continue;
        group.push(r);
        kernels.push(k);
      }
    }
    for (const r of group) {
      open.delete(r);
      done.add(r);
    }
    out.push(group);
  }
  return out;
}
