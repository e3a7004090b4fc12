/** What the schedules of loops share: copies between values and scratch, scratch for what a body's regions write, and how many buffers a kernel would touch. */
import type { Value } from '../../ir/graph.js';
import type { FusedGraph, Region } from '../../passes/regions.js';
import { add, type Expr, i32, mul, resetExpressions } from '../kernel/expr.js';
import type { LowerContext, LoweredKernel, Temp } from '../lower/frame.js';
import { dimExpr } from '../lower/space.js';
import { lowerMap } from './map.js';

/** Copies `from` to `to` (equal types) at the given element offsets. */
export function copyKernel(from: Value, to: Value, ctx: LowerContext, bases: LowerContext['bases']): LoweredKernel {
  resetExpressions();
  const node = { op: 'cast', attrs: { dtype: from.dtype }, inputs: [from], outputs: [to], origin: to.producer?.origin ?? '' } as const;
  const copy: Value = { ...to, producer: node };
  const region: Region = { id: -1, kind: 'map', nodes: [node], hero: null, inputs: [from], outputs: [copy] };
  const k = lowerMap(region, { ...ctx, bases: new Map([...bases, [copy, bases.get(to) ?? (() => i32(0))]]) });
  return { ...k, args: k.args.map((a) => (a.value === copy ? { ...a, value: to } : a)) };
}

export const retarget = (k: LoweredKernel, from: Value, to: Temp): LoweredKernel => ({
  ...k,
  args: k.args.map((a) => (a.value === from ? { ...a, value: to } : a)),
});

/** Elements of a value, as an expression. */
export const elements = (v: Pick<Value, 'shape'>, ctx: LowerContext): Expr => v.shape.reduce<Expr>((a, d) => mul(a, dimExpr(d, ctx.symbols)), i32(1));

/** Scratch for what the regions of a body write besides its outputs; views lie in what they are views of. */
export function placeIntermediates(fused: FusedGraph, storage: Map<Value, Value | Temp>, bases: Map<Value, () => Expr>, temps: Temp[]): void {
  for (const r of fused.regions) {
    for (const v of r.outputs) {
      if (storage.has(v)) continue;
      const alias = fused.aliases.get(v);
      const owner = alias?.of ?? v;
      let temp = storage.get(owner);
      if (!temp) {
        temp = { name: `step${temps.length}`, dtype: owner.dtype, shape: owner.shape };
        temps.push(temp);
        storage.set(owner, temp);
      }
      storage.set(v, temp);
      // the owner may be a carried value or a slice of a sequence: its own place moves with the step
      if (alias) bases.set(v, () => add(bases.get(owner)?.() ?? i32(0), i32(alias.offset)));
    }
  }
}

/** How many buffers a kernel touches that reads or writes these values and scratch. */
export const buffersOf = (values: readonly Value[], ctx: LowerContext): number => new Set(['arena', ...values.map((v) => ctx.bufferOf?.(v) ?? `${v.id}`)]).size;
