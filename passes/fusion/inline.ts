/** What is not stored at all: cheap producers that are copied into their consumers, and concats whose operands are written in place. */
import { isStatic, sizeAt } from '../../ir/dim.js';
import type { Node, Value } from '../../ir/graph.js';
import { type Cluster, isInlinable, nodeCost } from './cluster.js';
import type { ClusterGraph } from './cluster-graph.js';

export class Inliner {
  constructor(private readonly g: ClusterGraph) {}

  /** Copies cheap clusters into their consumers. `copies`: nodes each cluster computes besides its own. */
  inlinePrologues(): Map<Cluster, Set<Node>> {
    const copies = new Map<Cluster, Set<Node>>();
    const order = this.g
      .clusters()
      .filter((c) => c.kind === 'map')
      .sort((a, b) => this.g.minPosition(b) - this.g.minPosition(a));
    for (const c of order) {
      const nodes = [...c.nodes];
      if (nodes.some((n) => n.outputs.some((v) => this.g.roots.has(v)))) continue;
      if (nodes.some((n) => !isInlinable(n))) continue;
      const users = this.g.usersOfCluster(c);
      if (users.length === 0 || users.some((u) => !u.alive)) continue;
      const cost = nodes.reduce((s, n) => s + nodeCost(n), 0);
      const reads = this.g.valuesOf(nodes).size;
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
      if (users.some((u) => !this.g.fits([...u.nodes, ...(copies.get(u) ?? []), ...mine]))) continue;
      for (const u of users) {
        const set = copies.get(u) ?? new Set<Node>();
        for (const n of mine) set.add(n);
        copies.set(u, set);
        // what the copied nodes read is now read by the consumer
        for (const n of u.nodes) {
          const s = this.g.sources.get(n)!;
          if (s.some((x) => mine.has(x)))
            this.g.sources.set(n, [
              ...new Set([...s.filter((x) => !mine.has(x)), ...[...mine].flatMap((m) => this.g.sources.get(m)!.filter((x) => !mine.has(x)))]),
            ]);
        }
      }
      for (const m of mine) {
        for (const s of this.g.sources.get(m) ?? []) {
          if (mine.has(s)) continue;
          const extra = users.flatMap((u) => [...u.nodes]).filter((n) => this.g.sources.get(n)!.includes(s));
          this.g.users.set(s, [...new Set([...(this.g.users.get(s) ?? []).filter((x) => !c.nodes.has(x)), ...extra])]);
        }
      }
      c.alive = false;
      this.g.deps.clear();
    }
    return copies;
  }

  /** Operands of a concat along a contiguous axis are written in place. */
  placeConcats(): void {
    // an output has memory of its own: it cannot be a part of a concat
    const outputs = new Set(this.g.graph.outputs.map((o) => this.g.aliasTarget(o.value, 0)?.of ?? o.value));
    for (const n of [...this.g.graph.nodes].reverse()) {
      const c = this.g.cluster.get(n);
      if (n.op !== 'concat' || !c?.alive || c.nodes.size !== 1) continue;
      const out = n.outputs[0]!;
      if (!out.shape.slice(0, n.attrs.axis).every((d) => d === 1) || !out.shape.every(isStatic)) continue;
      const inner = (out.shape.slice(n.attrs.axis + 1) as number[]).reduce((a, b) => a * b, 1);
      let offset = 0;
      const placed: [Value, number][] = [];
      for (const v of n.inputs) {
        const t = this.g.aliasTarget(v, 0);
        const whole = t && t.offset === 0 && t.of.producer && sizeAt(t.of.shape, {}) === sizeAt(v.shape, {});
        if (
          !whole ||
          outputs.has(t.of) ||
          this.g.aliases.has(t.of) ||
          placed.some(([x]) => x === t.of) ||
          t.of.producer?.op === 'constant' ||
          t.of.producer?.op === 'concat'
        )
          break;
        placed.push([t.of, offset]);
        offset += (v.shape[n.attrs.axis] as number) * inner;
      }
      if (placed.length !== n.inputs.length) continue;
      for (const [v, at] of placed) {
        this.g.aliases.set(v, { of: out, offset: at });
        this.g.roots.add(v);
      }
      c.alive = false;
    }
  }
}
