/**
 * The clusters of a graph and what keeps merges legal: clusters stay acyclic, every path inside one keeps the index (axis-trace.ts), device limits hold, and no update of
 * state comes before a reader of the old contents.
 */
import { equalShape, isStatic, type Shape } from '../../ir/dim.js';
import { type Graph, maxBindings, type Node, rootsOf, type Value } from '../../ir/graph.js';
import { identityMap, mapsOnto, sourceNodes, traceBack } from '../axis-trace.js';
import { type Alias, isFree } from '../regions.js';
import { type Cluster, type FuseOptions, isInlinable, isLoop, isReduction, kindOf, nodeCost, reducedAxes, resolved } from './cluster.js';

export class ClusterGraph {
  readonly position = new Map<Node, number>();
  readonly cluster = new Map<Node, Cluster>();
  readonly sources = new Map<Node, Node[]>();
  readonly users = new Map<Node, Node[]>();
  readonly roots: Set<Value>;
  readonly bindings: Record<string, number>;
  readonly aliases = new Map<Value, Alias>();
  /** The device buffer of what does not lie in the arena. */
  readonly bufferOf = new Map<Value, string>();
  readonly updatedSlot = new Map<Value, string>();
  /** Nodes that read a slot's contents. */
  readonly readersOf = new Map<string, Set<Node>>();

  constructor(
    readonly graph: Graph,
    readonly options: FuseOptions,
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
      for (const v of n.inputs)
        for (const r of traceBack(v, null))
          if (slots.has(r.value)) this.readersOf.set(slots.get(r.value)!, (this.readersOf.get(slots.get(r.value)!) ?? new Set<Node>()).add(n));
      for (const s of sources) this.users.set(s, [...(this.users.get(s) ?? []), n]);
      const domain = isReduction(n) ? n.inputs[0]!.shape : n.outputs[0]!.shape;
      this.cluster.set(n, {
        kind: kindOf(n),
        nodes: new Set([n]),
        hero: kindOf(n) === 'map' ? null : n,
        domain,
        axes: reducedAxes(n),
        alive: true,
        into: null,
      });
    }
  }

  /** The value that a node's output is a view of, when it needs no kernel; null otherwise. */
  viewOf(n: Node): Alias | null {
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

  aliasTarget(v: Value, offset: number): Alias | null {
    if (v.producer && isFree(v.producer)) {
      const inner = this.viewOf(v.producer);
      return inner && { of: inner.of, offset: inner.offset + offset };
    }
    return { of: v, offset };
  }

  // ---- legality

  readonly deps = new Map<Cluster, Set<Cluster>>();

  /** Clusters that `c` reads from. Kept between merges: clusters that were merged away are resolved to where they went. */
  clusterDeps(c: Cluster): Set<Cluster> {
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

  /** Clusters on the ways from some to others, without those. */
  between(from: readonly Cluster[], to: readonly Cluster[]): Cluster[] {
    const reaches = new Map<Cluster, boolean>();
    const visit = (c: Cluster): boolean => {
      const known = reaches.get(c);
      if (known !== undefined) return known;
      reaches.set(c, false);
      let found = false;
      for (const d of this.clusterDeps(c)) if (visit(d) || from.includes(d)) found = true;
      reaches.set(c, found);
      return found;
    };
    for (const c of to) visit(c);
    return [...reaches].flatMap(([c, found]) => (found && !from.includes(c) && !to.includes(c) ? [c] : []));
  }

  /** Whether a cluster computes the new contents of a state slot. */
  updatesState(c: Cluster): boolean {
    return [...c.nodes].some((n) => n.outputs.some((v) => this.updatedSlot.has(v)));
  }

  minPosition(c: Cluster): number {
    let m = Number.POSITIVE_INFINITY;
    for (const n of c.nodes) m = Math.min(m, this.position.get(n)!);
    return m;
  }

  /** Whether any of `from` depends, directly or not, on `on`. */
  depends(from: Iterable<Cluster>, on: Cluster): boolean {
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
  acyclic(p: Cluster, c: Cluster): boolean {
    const others = [...this.clusterDeps(c)].filter((d) => d !== p);
    if (this.depends(others, p)) return false;
    const back = [...this.clusterDeps(p)];
    return !this.depends(back, c);
  }

  valuesOf(c: Iterable<Node>): Set<Value> {
    const nodes = new Set(c);
    const values = new Set<Value>();
    for (const n of nodes) {
      for (const v of n.inputs) for (const r of traceBack(v, null)) if (!r.value.producer || !nodes.has(r.value.producer)) values.add(r.value);
      for (const v of n.outputs) if (this.roots.has(v) || (this.users.get(n) ?? []).some((u) => !nodes.has(u))) values.add(v);
    }
    return values;
  }

  /** Whether a kernel of these nodes stays within the limits on values and buffers. */
  fits(c: Iterable<Node>): boolean {
    const values = this.valuesOf(c);
    if (values.size > this.options.maxValues) return false;
    return (
      new Set([...values].map((v) => this.bufferOf.get(v) ?? (v.producer ? (v.producer.op === 'constant' ? 'constants' : 'arena') : v))).size <=
      this.options.maxBuffers
    );
  }

  /** 'full' when `v` is over the cluster's whole domain, 'row' when it is over its rows, else null. */
  classOf(c: Cluster, v: Value): 'full' | 'row' | null {
    if (equalShape(v.shape, c.domain)) return 'full';
    if (c.kind !== 'row') return null;
    const rows = c.domain.filter((_, i) => !c.axes.includes(i));
    const squeezed = (s: Shape): Shape => s.filter((d) => d !== 1);
    return equalShape(squeezed(v.shape), squeezed(rows)) ? 'row' : null;
  }

  domainMap(c: Cluster, v: Value, cls: 'full' | 'row'): (number | null)[] {
    if (cls === 'full') return [...identityMap(v)];
    const rows = c.domain.flatMap((d, i) => (c.axes.includes(i) || d === 1 ? [] : [i]));
    let at = 0;
    return v.shape.map((d) => (d === 1 ? null : rows[at++]!));
  }

  /** Whether all paths from node `n` (of cluster class `cls`) to nodes of `p` keep the index. */
  aligned(p: Cluster, n: Node, cls: 'full' | 'row'): boolean {
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

  merge(into: Cluster, from: Cluster): void {
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

  usersOfCluster(c: Cluster): Cluster[] {
    const out = new Set<Cluster>();
    for (const n of c.nodes) for (const u of this.users.get(n) ?? []) if (!c.nodes.has(u)) out.add(this.cluster.get(u)!);
    return [...out].sort((a, b) => this.minPosition(a) - this.minPosition(b));
  }

  clusters(): Cluster[] {
    return [...new Set(this.cluster.values())].filter((c) => c.alive);
  }

  /**
   * Whether a merge would make an update of a state slot come before a reader of its old contents: the update could then not be written in place.
   */
  overtakesReaders(a: Cluster, b: Cluster): boolean {
    return this.overtaken([a, b]).length > 0;
  }

  /** The readers of old contents that would come after the update, were these clusters one. */
  overtaken(list: readonly Cluster[]): Node[] {
    const inside = (n: Node): boolean => list.some((c) => c.nodes.has(n));
    const found = new Set<Node>();
    for (const c of list)
      for (const n of c.nodes)
        for (const v of n.outputs) {
          const slot = this.updatedSlot.get(v);
          if (slot === undefined) continue;
          for (const r of this.lateReaders(slot)) if (!inside(r) && list.some((d) => this.depends([this.cluster.get(r)!], d))) found.add(r);
        }
    return [...found];
  }

  /** Nodes that read a slot, directly or through cheap producers that will be copied into them. */
  lateReaders(slot: string): Node[] {
    const out = new Set<Node>();
    const stack = [...(this.readersOf.get(slot) ?? [])];
    for (let n = stack.pop(); n; n = stack.pop()) {
      if (out.has(n)) continue;
      out.add(n);
      if (isInlinable(n) && nodeCost(n) <= 6 && !n.outputs.some((v) => this.roots.has(v))) stack.push(...(this.users.get(n) ?? []));
    }
    return [...out];
  }

  lastPosition(c: Cluster): number {
    let m = -1;
    for (const n of c.nodes) m = Math.max(m, this.position.get(n)!);
    return m;
  }
}
