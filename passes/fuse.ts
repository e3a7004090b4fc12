/**
 * Fusion: groups nodes into regions, each of which becomes one kernel.
 *
 * Every node that is not free (regions.ts) starts as a cluster of its own. Clusters then grow, in this order:
 *   1. a contraction takes the elementwise nodes that consume its result at the same index (epilogue);
 *   2. a reduction takes elementwise producers over its domain, other reductions of the same axes, and consumers per row; where a row is short enough to be
 *      computed twice from cache, also consumers over the whole domain (softmax, layer norm, cross entropy with its gradient are one kernel);
 *   3. elementwise nodes over one domain join, first along edges, then side by side;
 *   4. a cluster that is cheap to compute again is copied into all its consumers (prologue) when that moves fewer bytes than storing it.
 * A merge is legal when the clusters stay acyclic and every path inside keeps the index (axis-trace.ts). What is used outside a cluster is an output.
 */
import { equalShape, isStatic, type Shape, sizeAt } from '../ir/dim.js';
import { type Graph, maxBindings, type Node, rootsOf, type Value } from '../ir/graph.js';
import { identityMap, mapsOnto, sourceNodes, traceBack } from './axis-trace.js';
import { type Alias, type FusedGraph, isContraction, isElementwise, isFree, type Region, type RegionKind } from './regions.js';

export interface FuseOptions {
  /** Longest row (elements) that is walked more than once inside one kernel. */
  readonly maxRow: number;
  /** Most materialized values that one kernel may touch. */
  readonly maxValues: number;
  /** Most device buffers that one kernel may touch: intermediates share one, each state slot, input and output has its own. */
  readonly maxBuffers: number;
}

export const defaultFuseOptions: FuseOptions = { maxRow: 16384, maxValues: 24, maxBuffers: 8 };

interface Cluster {
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

const resolved = (c: Cluster): Cluster => (c.into ? resolved(c.into) : c);

const isReduction = (n: Node): boolean => n.op === 'reduce' || n.op === 'arg_reduce';
const reducedAxes = (n: Node): readonly number[] => (n.op === 'reduce' ? n.attrs.axes : n.op === 'arg_reduce' ? [n.attrs.axis] : []);
const sameList = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((x, i) => x === b[i]);

/** Rough scalar instructions to compute one element of a node's output. */
function nodeCost(n: Node): number {
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

const isLoop = (n: Node): boolean => n.op === 'scan' || n.op === 'while';

/** Nodes that may be copied into their consumers. */
const isInlinable = (n: Node): boolean => isElementwise(n) || n.op === 'pad' || n.op === 'gather' || n.op === 'random_bits' || n.op === 'concat';

function kindOf(n: Node): RegionKind {
  if (isContraction(n)) return 'contraction';
  if (isReduction(n)) return 'row';
  if (n.op === 'scatter') return 'scatter';
  if (n.op === 'cumulative') return 'cumulative';
  if (isLoop(n)) return 'loop';
  return 'map';
}

class Fuser {
  private readonly position = new Map<Node, number>();
  private readonly cluster = new Map<Node, Cluster>();
  private readonly sources = new Map<Node, Node[]>();
  private readonly users = new Map<Node, Node[]>();
  private readonly roots: Set<Value>;
  private readonly bindings: Record<string, number>;
  readonly aliases = new Map<Value, Alias>();
  /** The device buffer of what does not lie in the arena. */
  private readonly bufferOf = new Map<Value, string>();
  private readonly updatedSlot = new Map<Value, string>();
  /** Nodes that read a slot's contents. */
  private readonly readersOf = new Map<string, Set<Node>>();

  constructor(
    private readonly graph: Graph,
    private readonly options: FuseOptions,
  ) {
    this.bindings = maxBindings(graph);
    // scans and whiles read whole values, never elements of what could be inlined
    this.roots = new Set([...rootsOf(graph), ...graph.nodes.flatMap((n) => (isLoop(n) ? n.inputs : []))]);
    graph.nodes.forEach((n, i) => this.position.set(n, i));
    for (const s of graph.state) this.bufferOf.set(s.value, `state ${s.name}`);
    for (const o of graph.outputs) this.bufferOf.set(o.value, `output ${o.name}`);
    for (const u of graph.updates) {
      this.bufferOf.set(u.value, `state ${u.slot}`);
      this.updatedSlot.set(u.value, u.slot);
    }
    // a root that is a view lies where the value behind it is written
    for (const v of [...this.roots]) {
      const base = this.aliasTarget(v, 0)?.of;
      if (!base || base === v) continue;
      this.roots.add(base);
      const buffer = this.bufferOf.get(v);
      if (buffer) this.bufferOf.set(base, buffer);
    }
    const slots = new Map(graph.state.map((s) => [s.value, s.name] as const));
    for (const n of graph.nodes) {
      if (n.op === 'constant') continue;
      const free = isFree(n);
      // a free node whose value leaves the graph is computed by a kernel of its own unless it is a view
      if (free && !(n.outputs.some((v) => this.roots.has(v)) && !this.viewOf(n))) continue;
      const sources = sourceNodes(n).filter((s) => s.op !== 'constant');
      this.sources.set(n, sources);
      for (const v of n.inputs) for (const r of traceBack(v, null)) if (slots.has(r.value)) this.readersOf.set(slots.get(r.value)!, (this.readersOf.get(slots.get(r.value)!) ?? new Set<Node>()).add(n));
      for (const s of sources) this.users.set(s, [...(this.users.get(s) ?? []), n]);
      const domain = isReduction(n) ? n.inputs[0]!.shape : n.outputs[0]!.shape;
      this.cluster.set(n, { kind: kindOf(n), nodes: new Set([n]), hero: kindOf(n) === 'map' ? null : n, domain, axes: reducedAxes(n), alive: true, into: null });
    }
  }

  /** The value that a node's output is a view of, when it needs no kernel; null otherwise. */
  private viewOf(n: Node): Alias | null {
    if (n.op === 'reshape') return this.aliasTarget(n.inputs[0]!, 0);
    if (n.op !== 'slice') return null;
    const x = n.inputs[0]!;
    // contiguous: whole axes after the first sliced one, size 1 before it
    const first = x.shape.findIndex((d, i) => n.attrs.start[i] !== 0 || String(n.attrs.limit[i]) !== String(d));
    if (first < 0) return this.aliasTarget(x, 0);
    const whole = x.shape.every((d, i) => i <= first || (n.attrs.start[i] === 0 && String(n.attrs.limit[i]) === String(d)));
    const start = n.attrs.start[first]!;
    const inner = x.shape.slice(first + 1);
    if (!whole || n.attrs.stride[first] !== 1 || !isStatic(start) || !inner.every(isStatic) || !x.shape.slice(0, first).every((d) => d === 1)) return null;
    return this.aliasTarget(x, start * (inner as number[]).reduce((a, b) => a * b, 1));
  }

  private aliasTarget(v: Value, offset: number): Alias | null {
    if (v.producer && isFree(v.producer)) {
      const inner = this.viewOf(v.producer);
      return inner && { of: inner.of, offset: inner.offset + offset };
    }
    return { of: v, offset };
  }

  // ---- legality

  private readonly deps = new Map<Cluster, Set<Cluster>>();

  /** Clusters that `c` reads from. Kept between merges: clusters that were merged away are resolved to where they went. */
  private clusterDeps(c: Cluster): Set<Cluster> {
    const known = this.deps.get(c);
    if (known) {
      let stale = false;
      for (const d of known) if (d.into || d === c) stale = true;
      if (!stale) return known;
    }
    const out = new Set<Cluster>();
    if (known) for (const d of known) out.add(resolved(d));
    else for (const n of c.nodes) for (const s of this.sources.get(n)!) out.add(this.cluster.get(s)!);
    out.delete(c);
    this.deps.set(c, out);
    return out;
  }

  private minPosition(c: Cluster): number {
    let m = Number.POSITIVE_INFINITY;
    for (const n of c.nodes) m = Math.min(m, this.position.get(n)!);
    return m;
  }

  /** Whether any of `from` depends, directly or not, on `on`. */
  private depends(from: Iterable<Cluster>, on: Cluster): boolean {
    const seen = new Set<Cluster>();
    const stack = [...from];
    for (let c = stack.pop(); c; c = stack.pop()) {
      if (c === on) return true;
      if (seen.has(c)) continue;
      seen.add(c);
      for (const d of this.clusterDeps(c)) if (!seen.has(d)) stack.push(d);
    }
    return false;
  }

  /** Whether merging consumer `c` into producer `p` keeps the clusters acyclic. */
  private acyclic(p: Cluster, c: Cluster): boolean {
    const others = [...this.clusterDeps(c)].filter((d) => d !== p);
    if (this.depends(others, p)) return false;
    const back = [...this.clusterDeps(p)];
    return !this.depends(back, c);
  }

  private valuesOf(c: Iterable<Node>): Set<Value> {
    const nodes = new Set(c);
    const values = new Set<Value>();
    for (const n of nodes) {
      for (const v of n.inputs) for (const r of traceBack(v, null)) if (!r.value.producer || !nodes.has(r.value.producer)) values.add(r.value);
      for (const v of n.outputs) if (this.roots.has(v) || (this.users.get(n) ?? []).some((u) => !nodes.has(u))) values.add(v);
    }
    return values;
  }

  /** Whether a kernel of these nodes stays within the limits on values and buffers. */
  private fits(c: Iterable<Node>): boolean {
    const values = this.valuesOf(c);
    if (values.size > this.options.maxValues) return false;
    return new Set([...values].map((v) => this.bufferOf.get(v) ?? (v.producer ? 'arena' : v))).size <= this.options.maxBuffers;
  }

  /** 'full' when `v` is over the cluster's whole domain, 'row' when it is over its rows, else null. */
  private classOf(c: Cluster, v: Value): 'full' | 'row' | null {
    if (equalShape(v.shape, c.domain)) return 'full';
    if (c.kind !== 'row') return null;
    const rows = c.domain.filter((_, i) => !c.axes.includes(i));
    const squeezed = (s: Shape): Shape => s.filter((d) => d !== 1);
    return equalShape(squeezed(v.shape), squeezed(rows)) ? 'row' : null;
  }

  private domainMap(c: Cluster, v: Value, cls: 'full' | 'row'): (number | null)[] {
    if (cls === 'full') return [...identityMap(v)];
    const rows = c.domain.flatMap((d, i) => (c.axes.includes(i) || d === 1 ? [] : [i]));
    let at = 0;
    return v.shape.map((d) => (d === 1 ? null : rows[at++]!));
  }

  /** Whether all paths from node `n` (of cluster class `cls`) to nodes of `p` keep the index. */
  private aligned(p: Cluster, n: Node, cls: 'full' | 'row'): boolean {
    const map = isReduction(n) ? [...identityMap(n.inputs[0]!)] : this.domainMap(p, n.outputs[0]!, cls);
    const rows = p.domain.flatMap((_, i) => (p.axes.includes(i) ? [] : [i]));
    const all = p.domain.map((_, i) => i);
    return n.inputs.every((v) =>
      traceBack(v, map).every((r) => {
        if (!r.value.producer || !p.nodes.has(r.value.producer)) return true;
        const inner = this.classOf(p, r.value);
        if (inner === 'full') return mapsOnto(r.value, r.map, all, p.domain);
        return inner === 'row' && mapsOnto(r.value, r.map, rows, p.domain);
      }),
    );
  }

  private rowLength(c: Cluster): number {
    return sizeAt(c.domain.filter((_, i) => c.axes.includes(i)), this.bindings);
  }

  /** Whether rows may be walked more than once: short, and contiguous or few. */
  private rowsFit(c: Cluster): boolean {
    return this.rowLength(c) <= this.options.maxRow && c.axes.includes(c.domain.length - 1);
  }

  /** Whether a value over the whole domain depends on a reduction inside the cluster. */
  private afterReduction(c: Cluster, n: Node): boolean {
    const seen = new Set<Node>();
    const stack = [...(this.sources.get(n) ?? [])];
    for (let s = stack.pop(); s; s = stack.pop()) {
      if (!c.nodes.has(s) || seen.has(s)) continue;
      seen.add(s);
      if (isReduction(s)) return true;
      stack.push(...this.sources.get(s)!);
    }
    return false;
  }

  private merge(into: Cluster, from: Cluster): void {
    for (const n of from.nodes) {
      into.nodes.add(n);
      this.cluster.set(n, into);
    }
    const deps = new Set([...this.clusterDeps(into), ...this.clusterDeps(from)]);
    deps.delete(into);
    deps.delete(from);
    this.deps.set(into, deps);
    from.alive = false;
    from.into = into;
  }

  private usersOfCluster(c: Cluster): Cluster[] {
    const out = new Set<Cluster>();
    for (const n of c.nodes) for (const u of this.users.get(n) ?? []) if (!c.nodes.has(u)) out.add(this.cluster.get(u)!);
    return [...out].sort((a, b) => this.minPosition(a) - this.minPosition(b));
  }

  private clusters(): Cluster[] {
    return [...new Set(this.cluster.values())].filter((c) => c.alive);
  }

  // ---- growth

  private pointwiseNode(c: Cluster): Node | null {
    if (c.nodes.size !== 1 || c.kind !== 'map') return null;
    const n = [...c.nodes][0]!;
    return isElementwise(n) ? n : null;
  }

  /** Takes consumers into a contraction or window while they are elementwise at the same index. */
  private growEpilogue(c: Cluster): void {
    for (let again = true; again; ) {
      again = false;
      for (const u of this.usersOfCluster(c)) {
        const n = this.pointwiseNode(u);
        if (n && !this.floating.has(u) && this.recomputed(c, n)) this.floating.add(u);
        if (!n || this.floating.has(u) || this.classOf(c, n.outputs[0]!) !== 'full' || !this.aligned(c, n, 'full') || !this.acyclic(c, u)) continue;
        if (!this.fits([...c.nodes, n]) || this.overtakesReaders(c, u)) continue;
        this.merge(c, u);
        again = true;
      }
    }
  }

  /** Takes producers, sibling reductions and consumers into a reduction. */
  private growRow(c: Cluster): void {
    for (let again = true; again; ) {
      again = false;
      for (const u of this.usersOfCluster(c)) {
        const n = u.nodes.size === 1 && !this.floating.has(u) ? [...u.nodes][0]! : null;
        if (!n) continue;
        let ok = false;
        if (isReduction(n)) {
          ok = equalShape(n.inputs[0]!.shape, c.domain) && sameList(reducedAxes(n), c.axes) && this.aligned(c, n, 'full');
          if (ok && this.afterReduction(c, n)) ok = this.rowsFit(c);
        } else if (isElementwise(n)) {
          const cls = this.classOf(c, n.outputs[0]!);
          ok = cls !== null && this.aligned(c, n, cls);
          if (ok && cls === 'full' && this.afterReduction(c, n)) ok = this.rowsFit(c);
        }
        if (!ok || !this.acyclic(c, u) || !this.fits([...c.nodes, n])) continue;
        this.merge(c, u);
        again = true;
      }
      for (const p of [...this.clusterDeps(c)]) {
        const n = this.pointwiseNode(p);
        // a producer over the rows only is left alone: it is read once per row
        if (!n || this.floating.has(p) || !equalShape(n.outputs[0]!.shape, c.domain)) continue;
        const trial: Cluster = { ...c, nodes: new Set([...c.nodes, n]) };
        const users = (this.users.get(n) ?? []).filter((x) => c.nodes.has(x));
        const fine = users.every((x) => {
          const cls = isReduction(x) ? 'full' : this.classOf(c, x.outputs[0]!);
          return cls !== null && this.aligned(trial, x, cls);
        });
        if (!fine || !this.acyclic(p, c) || !this.fits(trial.nodes)) continue;
        this.merge(c, p);
        again = true;
      }
      // sibling reductions that read what this one reads
      if (!again && this.takeSibling(c)) again = true;
    }
  }

  private takeSibling(c: Cluster): boolean {
    const read = new Set<Node>();
    for (const n of c.nodes) for (const s of this.sources.get(n)!) if (!c.nodes.has(s)) read.add(s);
    const graphValues = new Set([...c.nodes].flatMap((n) => n.inputs.flatMap((v) => traceBack(v, null)).filter((r) => !r.value.producer).map((r) => r.value)));
    for (const other of this.clusters()) {
      if (other === c || other.kind !== 'row' || !equalShape(other.domain, c.domain) || !sameList(other.axes, c.axes)) continue;
      const shares = [...other.nodes].some((n) => this.sources.get(n)!.some((s) => read.has(s)) || n.inputs.some((v) => traceBack(v, null).some((r) => graphValues.has(r.value))));
      const small = sizeAt(c.domain, this.bindings) <= 65536;
      if (!shares && !small) continue;
      if (this.depends([other], c) || this.depends([c], other) || !this.fits([...c.nodes, ...other.nodes])) continue;
      this.merge(c, other);
      return true;
    }
    return false;
  }

  private growMap(c: Cluster): void {
    if (this.floating.has(c)) return;
    this.growEpilogue(c);
    const pointwise = (x: Cluster): boolean => x.kind === 'map' && !this.floating.has(x) && [...x.nodes].every(isElementwise);
    if (!pointwise(c)) return;
    // along edges: whole clusters that consume this one at the same index
    for (let again = true; again; ) {
      again = false;
      for (const u of this.usersOfCluster(c)) {
        if (!u.alive || !pointwise(u) || !equalShape(u.domain, c.domain)) continue;
        const trial: Cluster = { ...c, nodes: new Set([...c.nodes, ...u.nodes]) };
        if (![...u.nodes].every((n) => this.aligned(trial, n, 'full')) || !this.acyclic(c, u) || !this.fits(trial.nodes) || this.overtakesReaders(c, u)) continue;
        this.merge(c, u);
        again = true;
      }
    }
    // side by side; what only updates state waits until all have read the old contents, so it joins its like only
    const final = this.isFinal(c);
    for (const other of this.clusters()) {
      if (other === c || this.isFinal(other) !== final || !pointwise(other) || !equalShape(other.domain, c.domain)) continue;
      if (this.depends([other], c) || this.depends([c], other) || !this.fits([...c.nodes, ...other.nodes]) || this.overtakesReaders(c, other)) continue;
      this.merge(c, other);
    }
  }

  /**
   * Whether a merge would make an update of a state slot come before a reader of its old contents: the update could then not be written in place.
   */
  private overtakesReaders(a: Cluster, b: Cluster): boolean {
    const nodes = [...a.nodes, ...b.nodes];
    return nodes.some((n) =>
      n.outputs.some((v) => {
        const slot = this.updatedSlot.get(v);
        return slot !== undefined && this.lateReaders(slot).some((r) => !nodes.includes(r) && (this.depends([this.cluster.get(r)!], a) || this.depends([this.cluster.get(r)!], b)));
      }),
    );
  }

  /** Nodes that read a slot, directly or through cheap producers that will be copied into them. */
  private lateReaders(slot: string): Node[] {
    const out = new Set<Node>();
    const stack = [...(this.readersOf.get(slot) ?? [])];
    for (let n = stack.pop(); n; n = stack.pop()) {
      if (out.has(n)) continue;
      out.add(n);
      if (isInlinable(n) && nodeCost(n) <= 6 && !n.outputs.some((v) => this.roots.has(v))) stack.push(...(this.users.get(n) ?? []));
    }
    return [...out];
  }

  /** Whether all that a cluster makes are state updates. */
  private isFinal(c: Cluster): boolean {
    return [...c.nodes].every((n) => (this.users.get(n) ?? []).every((u) => c.nodes.has(u)));
  }

  /** Clusters of one cheap node that is computed again in its consumers rather than stored. */
  private readonly floating = new Set<Cluster>();

  /**
   * Whether node `n`, a consumer of cluster `c`, is cheaper to compute again from a value of `c` that is stored anyway than to store and load: the mask of a ReLU.
   */
  private recomputed(c: Cluster, n: Node): boolean {
    if (nodeCost(n) > 2 || n.outputs.some((v) => this.roots.has(v)) || (this.users.get(n) ?? []).some((u) => c.nodes.has(u))) return false;
    const reached = new Set(n.inputs.flatMap((v) => traceBack(v, null)).map((r) => r.value));
    const inside = [...reached].filter((v) => v.producer && c.nodes.has(v.producer));
    if (inside.length !== 1 || [...reached].some((v) => v !== inside[0] && sizeAt(v.shape, this.bindings) > 1)) return false;
    // its consumers could not join this cluster either: they wait for something computed later
    const later = (u: Node): boolean => {
      const of = this.cluster.get(u)!;
      return !isElementwise(u) || this.depends([...this.clusterDeps(of)].filter((d) => d !== c && !d.nodes.has(n)), c);
    };
    if (!(this.users.get(n) ?? []).every(later)) return false;
    const source = inside[0]!;
    return this.roots.has(source) || this.users.get(source.producer!)!.some((u) => u !== n && !c.nodes.has(u) && later(u));
  }

  /** Copies cheap clusters into their consumers. `copies`: nodes each cluster computes besides its own. */
  private inlinePrologues(): Map<Cluster, Set<Node>> {
    const copies = new Map<Cluster, Set<Node>>();
    const order = this.clusters().filter((c) => c.kind === 'map').sort((a, b) => this.minPosition(b) - this.minPosition(a));
    for (const c of order) {
      const nodes = [...c.nodes];
      if (nodes.some((n) => n.outputs.some((v) => this.roots.has(v)))) continue;
      if (nodes.some((n) => !isInlinable(n))) continue;
      const users = this.usersOfCluster(c);
      if (users.length === 0 || users.some((u) => !u.alive)) continue;
      const cost = nodes.reduce((s, n) => s + nodeCost(n), 0);
      const reads = this.valuesOf(nodes).size;
      const cheap = cost <= 6 && reads <= 4;
      const into = (u: Cluster): boolean => {
        if (u.kind === 'loop') return false;
        if (u.kind === 'contraction') return cheap;
        const overlapping = [...u.nodes].some((n) => n.op === 'reduce_window' || n.op === 'select_and_scatter' || n.op === 'cumulative');
        if (overlapping) return cheap && cost <= 3;
        return cheap || users.length === 1;
      };
      if (!users.every(into)) continue;
      const mine = new Set([...nodes, ...(copies.get(c) ?? [])]);
      if (users.some((u) => !this.fits([...u.nodes, ...(copies.get(u) ?? []), ...mine]))) continue;
      for (const u of users) {
        const set = copies.get(u) ?? new Set<Node>();
        for (const n of mine) set.add(n);
        copies.set(u, set);
        // what the copied nodes read is now read by the consumer
        for (const n of u.nodes) {
          const s = this.sources.get(n)!;
          if (s.some((x) => mine.has(x))) this.sources.set(n, [...new Set([...s.filter((x) => !mine.has(x)), ...[...mine].flatMap((m) => this.sources.get(m)!.filter((x) => !mine.has(x)))])]);
        }
      }
      for (const m of mine) {
        for (const s of this.sources.get(m) ?? []) {
          if (mine.has(s)) continue;
          const extra = users.flatMap((u) => [...u.nodes]).filter((n) => this.sources.get(n)!.includes(s));
          this.users.set(s, [...new Set([...(this.users.get(s) ?? []).filter((x) => !c.nodes.has(x)), ...extra])]);
        }
      }
      c.alive = false;
      this.deps.clear();
    }
    return copies;
  }

  /** Operands of a concat along a contiguous axis are written in place. */
  private placeConcats(): void {
    for (const n of [...this.graph.nodes].reverse()) {
      const c = this.cluster.get(n);
      if (n.op !== 'concat' || !c?.alive || c.nodes.size !== 1) continue;
      const out = n.outputs[0]!;
      if (!out.shape.slice(0, n.attrs.axis).every((d) => d === 1) || !out.shape.every(isStatic)) continue;
      const inner = (out.shape.slice(n.attrs.axis + 1) as number[]).reduce((a, b) => a * b, 1);
      let offset = 0;
      const placed: [Value, number][] = [];
      for (const v of n.inputs) {
        const t = this.aliasTarget(v, 0);
        const whole = t && t.offset === 0 && t.of.producer && sizeAt(t.of.shape, {}) === sizeAt(v.shape, {});
        if (!whole || this.aliases.has(t.of) || placed.some(([x]) => x === t.of) || t.of.producer?.op === 'constant' || t.of.producer?.op === 'concat') break;
        placed.push([t.of, offset]);
        offset += (v.shape[n.attrs.axis] as number) * inner;
      }
      if (placed.length !== n.inputs.length) continue;
      for (const [v, at] of placed) {
        this.aliases.set(v, { of: out, offset: at });
        this.roots.add(v);
      }
      c.alive = false;
    }
  }

  run(): FusedGraph {
    const byPosition = (): Cluster[] => this.clusters().sort((a, b) => this.minPosition(a) - this.minPosition(b));
    this.placeConcats();
    for (const c of byPosition()) if (c.alive && c.kind === 'contraction') this.growEpilogue(c);
    for (const c of byPosition()) if (c.alive && c.kind === 'row') this.growRow(c);
    for (const c of byPosition()) if (c.alive && c.kind === 'map') this.growMap(c);
    const copies = this.inlinePrologues();
    return this.finish(copies);
  }

  private finish(copies: Map<Cluster, Set<Node>>): FusedGraph {
    for (const v of this.roots) {
      const n = v.producer;
      if (n && isFree(n) && !this.cluster.has(n)) {
        const view = this.viewOf(n);
        if (view) this.aliases.set(v, view);
      }
    }
    const list = this.clusters();
    const computed = new Map<Cluster, Set<Node>>(list.map((c) => [c, new Set([...c.nodes, ...(copies.get(c) ?? [])])]));
    const materialInputs = (nodes: Set<Node>): Value[] => [
      ...new Set([...nodes].flatMap((n) => (isLoop(n) ? n.inputs : n.inputs.flatMap((v) => traceBack(v, null)).map((r) => r.value)).filter((v) => !v.producer || !nodes.has(v.producer)))),
    ];
    const read = new Set<Value>(this.roots);
    for (const c of list) for (const v of materialInputs(computed.get(c)!)) read.add(v);
    for (const a of this.aliases.values()) read.add(a.of);
    for (const [v, a] of this.aliases) if (read.has(a.of)) read.add(v);
    // values read through an in-place concat are written by the producers of its operands
    const writer = new Map<Value, Cluster[]>();
    for (const c of list) for (const n of c.nodes) for (const v of n.outputs) writer.set(v, [c]);
    for (const [v, a] of this.aliases) if (!writer.has(v) && writer.has(a.of)) writer.set(v, writer.get(a.of)!);
    for (const a of this.aliases.values()) if (!writer.has(a.of)) writer.set(a.of, []);
    for (const [v, a] of this.aliases) if (v.producer && this.cluster.get(v.producer)?.alive && a.of.producer?.op === 'concat') writer.get(a.of)!.push(this.cluster.get(v.producer)!);
    const deps = new Map<Cluster, Set<Cluster>>();
    for (const c of list) deps.set(c, new Set(materialInputs(computed.get(c)!).flatMap((v) => writer.get(v) ?? []).filter((d) => d !== c)));
    const done = new Set<Cluster>();
    const ordered: Cluster[] = [];
    const visit = (c: Cluster): void => {
      if (done.has(c)) return;
      done.add(c);
      for (const d of [...deps.get(c)!].sort((a, b) => this.minPosition(a) - this.minPosition(b))) visit(d);
      ordered.push(c);
    };
    for (const c of list.sort((a, b) => this.lastPosition(a) - this.lastPosition(b))) visit(c);
    const regions = ordered.map((c, id): Region => {
      const nodes = [...computed.get(c)!].sort((a, b) => this.position.get(a)! - this.position.get(b)!);
      const outputs = [...c.nodes].flatMap((n) => n.outputs).filter((v) => read.has(v));
      return { id, kind: c.kind, nodes, hero: c.hero, inputs: materialInputs(computed.get(c)!), outputs };
    });
    return { graph: this.graph, regions: regions.filter((r) => r.outputs.length > 0), aliases: this.aliases };
  }

  private lastPosition(c: Cluster): number {
    let m = -1;
    for (const n of c.nodes) m = Math.max(m, this.position.get(n)!);
    return m;
  }
}

/** Groups the nodes of a simplified, decomposed graph into regions. */
export const fuse = (graph: Graph, options: FuseOptions = defaultFuseOptions): FusedGraph => new Fuser(graph, options).run();
