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
 */ import type { Graph, Node, Value } from '../ir/graph.js';
import { traceBack } from './axis-trace.js';
import { type Cluster, defaultFuseOptions, type FuseOptions, isLoop } from './fusion/cluster.js';
import { ClusterGraph } from './fusion/cluster-graph.js';
import { Grower } from './fusion/grow.js';
import { Inliner } from './fusion/inline.js';
import { type FusedGraph, isFree, type Region } from './regions.js';

export { defaultFuseOptions, type FuseOptions };

/** Groups the nodes of a simplified, decomposed graph into regions. */
export function fuse(graph: Graph, options: FuseOptions = defaultFuseOptions): FusedGraph {
  const g = new ClusterGraph(graph, options);
  const grower = new Grower(g);
  const inliner = new Inliner(g);
  const ofKind = (kind: Cluster['kind']): Cluster[] =>
    g
      .clusters()
      .filter((c) => c.kind === kind)
      .sort((a, b) => g.minPosition(a) - g.minPosition(b));
  inliner.placeConcats();
  for (const c of ofKind('contraction')) if (c.alive) grower.growEpilogue(c);
  for (const c of ofKind('row')) if (c.alive) grower.growRow(c);
  for (const c of ofKind('map')) if (c.alive) grower.growMap(c);
  return finish(g, inliner.inlinePrologues());
}

/** Regions in an order that computes every value before it is read. */
function finish(g: ClusterGraph, copies: ReadonlyMap<Cluster, ReadonlySet<Node>>): FusedGraph {
  for (const v of g.roots) {
    const n = v.producer;
    if (n && isFree(n) && !g.cluster.has(n)) {
      const view = g.viewOf(n);
      if (view) g.aliases.set(v, view);
    }
  }
  const list = g.clusters();
  const computed = new Map<Cluster, Set<Node>>(list.map((c) => [c, new Set([...c.nodes, ...(copies.get(c) ?? [])])]));
  const materialInputs = (nodes: Set<Node>): Value[] => [
    ...new Set(
      [...nodes].flatMap((n) =>
        (isLoop(n) ? n.inputs : n.inputs.flatMap((v) => traceBack(v, null)).map((r) => r.value)).filter((v) => !v.producer || !nodes.has(v.producer)),
      ),
    ),
  ];
  const read = new Set<Value>(g.roots);
  for (const c of list) for (const v of materialInputs(computed.get(c)!)) read.add(v);
  for (const a of g.aliases.values()) read.add(a.of);
  for (const [v, a] of g.aliases) if (read.has(a.of)) read.add(v);
  // values read through an in-place concat are written by the producers of its operands
  const writer = new Map<Value, Cluster[]>();
  for (const c of list) for (const n of c.nodes) for (const v of n.outputs) writer.set(v, [c]);
  for (const [v, a] of g.aliases) if (!writer.has(v) && writer.has(a.of)) writer.set(v, writer.get(a.of)!);
  for (const a of g.aliases.values()) if (!writer.has(a.of)) writer.set(a.of, []);
  for (const [v, a] of g.aliases)
    if (v.producer && g.cluster.get(v.producer)?.alive && a.of.producer?.op === 'concat') writer.get(a.of)!.push(g.cluster.get(v.producer)!);
  const deps = new Map<Cluster, Set<Cluster>>();
  for (const c of list)
    deps.set(
      c,
      new Set(
        materialInputs(computed.get(c)!)
          .flatMap((v) => writer.get(v) ?? [])
          .filter((d) => d !== c),
      ),
    );
  const done = new Set<Cluster>();
  const ordered: Cluster[] = [];
  const visit = (c: Cluster): void => {
    if (done.has(c)) return;
    done.add(c);
    for (const d of [...deps.get(c)!].sort((a, b) => g.minPosition(a) - g.minPosition(b))) visit(d);
    ordered.push(c);
  };
  for (const c of list.sort((a, b) => g.lastPosition(a) - g.lastPosition(b))) visit(c);
  const regions = ordered.map((c, id): Region => {
    const nodes = [...computed.get(c)!].sort((a, b) => g.position.get(a)! - g.position.get(b)!);
    const outputs = [...c.nodes].flatMap((n) => n.outputs).filter((v) => read.has(v));
    return { id, kind: c.kind, nodes, hero: c.hero, inputs: materialInputs(computed.get(c)!), outputs };
  });
  return { graph: g.graph, regions: regions.filter((r) => r.outputs.length > 0), aliases: g.aliases };
}
