/**
 * Tail fusion: a product whose rows are short, and the row region that reads it (softmax after the last dense layer, cross entropy with its gradient), become one
 * sequence: a workgroup computes one row of the product, and then the reductions over that row, without another kernel in between. Pays where the product is too small to
 * fill tiles: few columns, or few rows.
 */
import { equalShape, sizeAt } from '../ir/dim.js';
import { maxBindings, type Value } from '../ir/graph.js';
import { traceBack } from './axis-trace.js';
import type { FusedGraph, Region } from './regions.js';

export interface TailOptions {
  readonly maxBuffers: number;
}

/** Rows of the product that one workgroup each may compute, by how much a row costs. */
const pays = (m: number, n: number, k: number): boolean => n <= 2048 && n * k <= 524288 && (n <= 32 || m <= 8);

/** Whether `row` reads the outputs of `product` at its own row only. */
function rowAligned(row: Region, product: Region): boolean {
  const made = new Set(product.outputs);
  return row.nodes.every((n) => {
    const reducing = n.op === 'reduce' || n.op === 'arg_reduce';
    return n.inputs.every((v) => {
      const domain = reducing ? n.inputs[0]! : n.outputs[0]!;
      return traceBack(
        v,
        domain.shape.map((_, i) => i),
      ).every((r) => !made.has(r.value) || (r.map !== null && r.map[0] === 0));
    });
  });
}

export function fuseTails(fused: FusedGraph, options: TailOptions): FusedGraph {
  const max = maxBindings(fused.graph);
  const rootOf = (v: Value): Value => {
    let root = v;
    for (let a = fused.aliases.get(root); a; a = fused.aliases.get(root)) root = a.of;
    return root;
  };
  const writers = new Map<Value, Region>();
  for (const r of fused.regions) for (const v of r.outputs) writers.set(v, r);
  const deps = new Map(
    fused.regions.map((r) => [
      r,
      new Set(
        r.inputs
          .flatMap((v) => [writers.get(v), ...fused.regions.filter((w) => w.outputs.some((o) => o !== v && rootOf(o) === rootOf(v)))])
          .filter((d) => d !== undefined),
      ),
    ]),
  );
  const reaches = (from: Region, to: Region, without: Region): boolean => {
    const seen = new Set<Region>();
    const stack = [...deps.get(from)!].filter((d) => d !== without);
    for (let r = stack.pop(); r; r = stack.pop()) {
      if (r === to) return true;
      if (seen.has(r)) continue;
      seen.add(r);
      stack.push(...deps.get(r)!);
    }
    return false;
  };
  const replaced = new Map<Region, Region | null>();
  for (const product of fused.regions) {
    const hero = product.hero;
    if (product.kind !== 'contraction' || hero?.op !== 'dot' || hero.attrs.batchLeft.length > 0 || hero.outputs[0]!.shape.length !== 2) continue;
    const shape = hero.outputs[0]!.shape;
    const [m, n] = [sizeAt(shape.slice(0, 1), max), sizeAt(shape.slice(1), max)];
    const k = sizeAt(
      hero.attrs.contractLeft.map((a) => hero.inputs[0]!.shape[a]!),
      max,
    );
    if (!pays(m, n, k) || product.outputs.some((v) => fused.aliases.has(v))) continue;
    const row = fused.regions.find((r) => {
      const h = r.hero;
      if (r.kind !== 'row' || replaced.has(r) || (h?.op !== 'reduce' && h?.op !== 'arg_reduce') || !equalShape(h.inputs[0]!.shape, shape)) return false;
      const axes = h.op === 'reduce' ? h.attrs.axes : [h.attrs.axis];
      return axes.length === 1 && axes[0] === 1 && r.inputs.some((v) => product.outputs.includes(v)) && rowAligned(r, product) && !reaches(r, product, product);
    });
    if (!row) continue;
    const inner = new Set(product.outputs);
    const inputs = [...new Set([...product.inputs, ...row.inputs.filter((v) => !inner.has(v))])];
    const outputs = [...product.outputs, ...row.outputs];
    const buffers = new Set([
      ...inputs.map((v) => (v.producer ? (v.producer.op === 'constant' ? 'constants' : 'arena') : v)),
      ...outputs.map((v) => (fused.graph.outputs.some((o) => o.value === v) || fused.graph.updates.some((u) => u.value === v) ? v : 'arena')),
    ]);
    if (buffers.size > options.maxBuffers) continue;
    const nodes = [...new Set([...product.nodes, ...row.nodes])];
    replaced.set(product, null);
    replaced.set(row, { id: row.id, kind: 'sequence', nodes, hero, inputs, outputs, parts: [product, row] });
  }
  if (replaced.size === 0) return fused;
  return { ...fused, regions: fused.regions.flatMap((r) => (replaced.has(r) ? (replaced.get(r) ?? []) : [r])) };
}
