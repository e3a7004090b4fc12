/** How clusters grow: epilogues of contractions and windows, reductions with their producers and consumers, elementwise nodes among themselves. */
import { equalShape, sizeAt } from '../../ir/dim.js';
import type { Node } from '../../ir/graph.js';
import { traceBack } from '../axis-trace.js';
import { isElementwise } from '../regions.js';
import { type Cluster, isReduction, nodeCost, reducedAxes, sameList } from './cluster.js';
import type { ClusterGraph } from './cluster-graph.js';

export class Grower {
  constructor(private readonly g: ClusterGraph) {}

  private rowLength(c: Cluster): number {
    return sizeAt(
      c.domain.filter((_, i) => c.axes.includes(i)),
      this.g.bindings,
    );
  }

  /** Whether rows may be walked more than once: short, and contiguous or few. */
  private rowsFit(c: Cluster): boolean {
    return this.rowLength(c) <= this.g.options.maxRow && c.axes.includes(c.domain.length - 1);
  }

  /** Whether a value over the whole domain depends on a reduction inside the cluster. */
  private afterReduction(c: Cluster, n: Node): boolean {
    const seen = new Set<Node>();
    const stack = [...(this.g.sources.get(n) ?? [])];
    for (let s = stack.pop(); s; s = stack.pop()) {
      if (!c.nodes.has(s) || seen.has(s)) continue;
      seen.add(s);
      if (isReduction(s)) return true;
      stack.push(...this.g.sources.get(s)!);
    }
    return false;
  }

  private pointwiseNode(c: Cluster): Node | null {
    if (c.nodes.size !== 1 || c.kind !== 'map') return null;
    const n = [...c.nodes][0]!;
    return isElementwise(n) ? n : null;
  }

  /** Takes consumers into a contraction or window while they are elementwise at the same index. */
  growEpilogue(c: Cluster): void {
    for (let again = true; again; ) {
      again = false;
      for (const u of this.g.usersOfCluster(c)) {
        const n = this.pointwiseNode(u);
        if (n && !this.floating.has(u) && this.recomputed(c, n)) this.floating.add(u);
        if (!n || this.floating.has(u) || this.g.classOf(c, n.outputs[0]!) !== 'full' || !this.g.aligned(c, n, 'full') || !this.g.acyclic(c, u)) continue;
        if (!this.g.fits([...c.nodes, n]) || this.g.overtakesReaders(c, u)) continue;
        this.g.merge(c, u);
        again = true;
      }
    }
  }

  /** Takes producers, sibling reductions and consumers into a reduction. */
  growRow(c: Cluster): void {
    for (let again = true; again; ) {
      again = false;
      for (const u of this.g.usersOfCluster(c)) {
        const n = u.nodes.size === 1 && !this.floating.has(u) ? [...u.nodes][0]! : null;
        if (!n) continue;
        let ok = false;
        if (isReduction(n)) {
          ok = equalShape(n.inputs[0]!.shape, c.domain) && sameList(reducedAxes(n), c.axes) && this.g.aligned(c, n, 'full');
          if (ok && this.afterReduction(c, n)) ok = this.rowsFit(c);
        } else if (isElementwise(n)) {
          const cls = this.g.classOf(c, n.outputs[0]!);
          ok = cls !== null && this.g.aligned(c, n, cls);
          if (ok && cls === 'full' && this.afterReduction(c, n)) ok = this.rowsFit(c);
        }
        if (!ok || !this.g.acyclic(c, u) || !this.g.fits([...c.nodes, n])) continue;
        this.g.merge(c, u);
        again = true;
      }
      for (const p of [...this.g.clusterDeps(c)]) {
        const n = this.pointwiseNode(p);
        // a producer over the rows only is left alone: it is read once per row
        if (!n || this.floating.has(p) || !equalShape(n.outputs[0]!.shape, c.domain)) continue;
        const trial: Cluster = { ...c, nodes: new Set([...c.nodes, n]) };
        const users = (this.g.users.get(n) ?? []).filter((x) => c.nodes.has(x));
        const fine = users.every((x) => {
          const cls = isReduction(x) ? 'full' : this.g.classOf(c, x.outputs[0]!);
          return cls !== null && this.g.aligned(trial, x, cls);
        });
        if (!fine || !this.g.acyclic(p, c) || !this.g.fits(trial.nodes)) continue;
        this.g.merge(c, p);
        again = true;
      }
      // sibling reductions that read what this one reads
      if (!again && this.takeSibling(c)) again = true;
    }
  }

  private takeSibling(c: Cluster): boolean {
    const read = new Set<Node>();
    for (const n of c.nodes) for (const s of this.g.sources.get(n)!) if (!c.nodes.has(s)) read.add(s);
    const graphValues = new Set(
      [...c.nodes].flatMap((n) =>
        n.inputs
          .flatMap((v) => traceBack(v, null))
          .filter((r) => !r.value.producer)
          .map((r) => r.value),
      ),
    );
    for (const other of this.g.clusters()) {
      if (other === c || other.kind !== 'row' || !equalShape(other.domain, c.domain) || !sameList(other.axes, c.axes)) continue;
      const shares = [...other.nodes].some(
        (n) => this.g.sources.get(n)!.some((s) => read.has(s)) || n.inputs.some((v) => traceBack(v, null).some((r) => graphValues.has(r.value))),
      );
      const small = sizeAt(c.domain, this.g.bindings) <= 65536;
      if (!shares && !small) continue;
      if (this.g.depends([other], c) || this.g.depends([c], other) || !this.g.fits([...c.nodes, ...other.nodes])) continue;
      this.g.merge(c, other);
      return true;
    }
    return false;
  }

  growMap(c: Cluster): void {
    if (this.floating.has(c)) return;
    this.growEpilogue(c);
    const pointwise = (x: Cluster): boolean => x.kind === 'map' && !this.floating.has(x) && [...x.nodes].every(isElementwise);
    if (!pointwise(c)) return;
    // along edges: whole clusters that consume this one at the same index
    for (let again = true; again; ) {
      again = false;
      for (const u of this.g.usersOfCluster(c)) {
        if (!u.alive || !pointwise(u) || !equalShape(u.domain, c.domain)) continue;
        const trial: Cluster = { ...c, nodes: new Set([...c.nodes, ...u.nodes]) };
        if (![...u.nodes].every((n) => this.g.aligned(trial, n, 'full'))) continue;
        if (this.g.acyclic(c, u) && this.g.fits(trial.nodes) && !this.g.overtakesReaders(c, u)) this.g.merge(c, u);
        else if (!this.mergeAround(c, u)) continue;
        again = true;
      }
    }
    // side by side; what only updates state waits until all have read the old contents, so it joins its like only
    const final = this.isFinal(c);
    for (const other of this.g.clusters()) {
      if (other === c || this.isFinal(other) !== final || !pointwise(other) || !equalShape(other.domain, c.domain)) continue;
      if (this.g.depends([other], c) || this.g.depends([c], other) || !this.g.fits([...c.nodes, ...other.nodes]) || this.g.overtakesReaders(c, other)) continue;
      this.g.merge(c, other);
    }
  }

  /**
   * Merges two clusters, of which one updates a state slot, together with all that lies between them and all that read the slot's old contents after them: alone they would make
   * a circle or overtake the readers, together they are one kernel that reads each element before it writes it. False where they cannot all be one.
   */
  private mergeAround(c: Cluster, u: Cluster): boolean {
    const list = [c, u];
    if (!list.some((x) => this.g.updatesState(x))) return false;
    for (let grown = true; grown; ) {
      const readers = this.g.overtaken(list).map((n) => this.g.cluster.get(n)!);
      const between = this.g.between(list, [...list, ...readers]);
      const more = [...new Set([...readers, ...between])].filter((x) => !list.includes(x));
      if (more.some((x) => !x.alive || x.kind !== 'map' || ![...x.nodes].every(isElementwise) || !equalShape(x.domain, c.domain))) return false;
      list.push(...more);
      grown = more.length > 0;
    }
    const trial: Cluster = { ...c, nodes: new Set(list.flatMap((x) => [...x.nodes])) };
    if (!this.g.fits(trial.nodes) || ![...trial.nodes].every((n) => c.nodes.has(n) || this.g.aligned(trial, n, 'full'))) return false;
    for (const x of list.slice(1)) this.g.merge(c, x);
    return true;
  }

  /** Whether all that a cluster makes are state updates. */
  private isFinal(c: Cluster): boolean {
    return [...c.nodes].every((n) => (this.g.users.get(n) ?? []).every((u) => c.nodes.has(u)));
  }

  /** Clusters of one cheap node that is computed again in its consumers rather than stored. */
  private readonly floating = new Set<Cluster>();

  /**
   * Whether node `n`, a consumer of cluster `c`, is cheaper to compute again from a value of `c` that is stored anyway than to store and load: the mask of a ReLU.
   */
  private recomputed(c: Cluster, n: Node): boolean {
    if (nodeCost(n) > 2 || n.outputs.some((v) => this.g.roots.has(v)) || (this.g.users.get(n) ?? []).some((u) => c.nodes.has(u))) return false;
    const reached = new Set(n.inputs.flatMap((v) => traceBack(v, null)).map((r) => r.value));
    const inside = [...reached].filter((v) => v.producer && c.nodes.has(v.producer));
    if (inside.length !== 1 || [...reached].some((v) => v !== inside[0] && sizeAt(v.shape, this.g.bindings) > 1)) return false;
    // its consumers could not join this cluster either: they wait for something computed later
    const later = (u: Node): boolean => {
      const of = this.g.cluster.get(u)!;
      return (
        !isElementwise(u) ||
        this.g.depends(
          [...this.g.clusterDeps(of)].filter((d) => d !== c && !d.nodes.has(n)),
          c,
        )
      );
    };
    if (!(this.g.users.get(n) ?? []).every(later)) return false;
    const source = inside[0]!;
    return this.g.roots.has(source) || this.g.users.get(source.producer!)!.some((u) => u !== n && !c.nodes.has(u) && later(u));
  }
}
