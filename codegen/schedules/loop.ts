/**
 * loop: scan and while.
 *
 * A scan whose body is fused like any graph becomes a loop of the plan: the kernels of the body run once a step. Slices of sequences are read and written in place at
 * step * size; carried values alternate between two slots, so that no kernel reads what it writes. `t` is a symbol of the plan.
 */
import { InternalError, UnsupportedError } from '../../ir/errors.js';
import type { Value } from '../../ir/graph.js';
import { defaultFuseOptions, fuse } from '../../passes/fuse.js';
import { isolateRoots } from '../../passes/isolate-roots.js';
import type { Region } from '../../passes/regions.js';
import { evalDim } from '../../ir/dim.js';
import { add, type Expr, i32, mul, rem, resetExpressions, sub, symbolVar } from '../kernel/expr.js';
import type { LoweredArg, LoweredKernel, LowerContext, Temp } from '../lower/frame.js';
import { lowerRegion, type LoweredRegion, type LoweredStep } from '../lower/region.js';
import { dimExpr } from '../lower/space.js';
import { lowerMap } from './map.js';

/** Copies `from` to `to` (equal types) at the given element offsets. */
function copyKernel(from: Value, to: Value, ctx: LowerContext, bases: LowerContext['bases']): LoweredKernel {
  resetExpressions();
  const node = { op: 'cast', attrs: { dtype: from.dtype }, inputs: [from], outputs: [to], origin: to.producer?.origin ?? '' } as const;
  const copy: Value = { ...to, producer: node };
  const region: Region = { id: -1, kind: 'map', nodes: [node], hero: null, inputs: [from], outputs: [copy] };
  const k = lowerMap(region, { ...ctx, bases: new Map([...bases, [copy, bases.get(to) ?? (() => i32(0))]]) });
  return { ...k, args: k.args.map((a) => (a.value === copy ? { ...a, value: to } : a)) };
}

export function lowerLoop(region: Region, ctx: LowerContext): LoweredRegion {
  const n = region.hero;
  if (n?.op !== 'scan') throw new UnsupportedError(`${n?.origin ?? ''}: ${n?.op ?? 'this loop'} cannot be compiled yet`);
  const { carries, xs, length, reverse } = n.attrs;
  const body = isolateRoots(n.attrs.body, true);
  let depth = 0;
  while (`t${depth}` in ctx.symbols) depth++;
  const symbol = `t${depth}`;
  const steps = evalDim(length, ctx.symbols);
  const symbols = { ...ctx.symbols, [symbol]: Math.max(0, steps - 1) };
  const t = (): Expr => symbolVar(symbol, Math.max(0, steps - 1));
  // how many steps have been done
  const done = (): Expr => (reverse ? sub(sub(dimExpr(length, ctx.symbols), i32(1)), t()) : t());
  const bases = new Map<Value, () => Expr>();
  const storage = new Map<Value, Value | Temp>();
  const temps: Temp[] = [];
  const slot = (v: Value, at: () => Expr) => (): Expr => mul(at(), elements(v, ctx));
  const outerBase = (v: Value): Expr => ctx.bases.get(v)?.() ?? i32(0);
  const carried = body.inputs.slice(0, carries).map((p, i): Temp => ({ name: `carry${i}`, dtype: p.value.dtype, shape: [2, ...p.value.shape] }));
  temps.push(...carried);
  carried.forEach((temp, i) => {
    const [read, write] = [body.inputs[i]!.value, body.outputs[i]!.value];
    storage.set(read, temp);
    storage.set(write, temp);
    bases.set(read, slot(read, () => rem(done(), i32(2))));
    bases.set(write, slot(write, () => rem(add(done(), i32(1)), i32(2))));
  });
  for (let j = 0; j < xs; j++) {
    const [inner, outer] = [body.inputs[carries + j]!.value, n.inputs[carries + j]!];
    storage.set(inner, outer);
    bases.set(inner, () => add(outerBase(outer), mul(t(), elements(inner, ctx))));
  }
  for (let j = carries + xs; j < body.inputs.length; j++) {
    const [inner, outer] = [body.inputs[j]!.value, n.inputs[j]!];
    storage.set(inner, outer);
    bases.set(inner, () => outerBase(outer));
  }
  for (let j = carries; j < body.outputs.length; j++) {
    const [inner, outer] = [body.outputs[j]!.value, n.outputs[j]!];
    storage.set(inner, outer);
    bases.set(inner, () => add(outerBase(outer), mul(t(), elements(inner, ctx))));
  }
  const fused = fuse(body, { ...defaultFuseOptions, maxBuffers: ctx.target.maxStorageBuffers });
  for (const v of fused.aliases.keys()) if (storage.has(v)) throw new InternalError('a root of a loop body is an alias');
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
      if (alias) bases.set(v, () => i32(alias.offset));
    }
  }
  const inner: LowerContext = { ...ctx, symbols, bases };
  const redirect = (k: LoweredKernel): LoweredKernel => ({ ...k, args: k.args.map((a): LoweredArg => ({ ...a, value: 'id' in a.value ? (storage.get(a.value) ?? a.value) : a.value })) });
  const inSteps: LoweredStep[] = [];
  for (const r of fused.regions) {
    const lowered = lowerRegion(r, inner);
    temps.push(...lowered.temps);
    inSteps.push(...mapKernels(lowered.steps, redirect));
  }
  const before: LoweredStep[] = [];
  const after: LoweredStep[] = [];
  carried.forEach((temp, i) => {
    const v = body.inputs[i]!.value;
    const first = n.inputs[i]!;
    const into: Value = { ...v, producer: null };
    before.push({ kind: 'kernel', kernel: retarget(copyKernel(first, into, ctx, ctx.bases), into, temp) });
    const out = n.outputs[i]!;
    if (!region.outputs.includes(out)) return;
    const from: Value = { ...v, producer: null };
    const last = new Map([...ctx.bases, [from, (): Expr => mul(rem(dimExpr(length, ctx.symbols), i32(2)), elements(v, ctx))]] as const);
    after.push({ kind: 'kernel', kernel: retarget(copyKernel(from, out, ctx, last), from, temp) });
  });
  return { steps: [...before, { kind: 'loop', symbol, count: length, reverse, body: inSteps }, ...after], temps };
}

const retarget = (k: LoweredKernel, from: Value, to: Temp): LoweredKernel => ({ ...k, args: k.args.map((a) => (a.value === from ? { ...a, value: to } : a)) });

const mapKernels = (steps: readonly LoweredStep[], f: (k: LoweredKernel) => LoweredKernel): LoweredStep[] =>
  steps.map((s) => (s.kind === 'kernel' ? { ...s, kernel: f(s.kernel) } : { ...s, body: mapKernels(s.body, f) }));

/** Elements of a value, as an expression. */
function elements(v: Value, ctx: LowerContext): Expr {
  return v.shape.reduce<Expr>((a, d) => mul(a, dimExpr(d, ctx.symbols)), i32(1));
}
