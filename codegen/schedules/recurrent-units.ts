/**
 * recurrent, for few rows on WASM: a step is cut by units, not by rows. The weights of its products lie packed by gates (passes/pack-gates.ts); a group owns a range of units, sums all their gates
 * in registers panel by panel, and goes on with what follows the product for these units alone (gates, cell, state) while the sums lie in its first-level cache. Other units of the step before are
 * needed only by the next product, so the groups of a step are a phase of the kernel (Kernel.phase): threads share a phase and meet once a step for each product that needs another's result.
 *
 * A body may have several such stages (GRU with the reset before the product has two); regions that fit in none are stages of their own, which one group computes. The first phase copies the
 * initial carries, the last one copies the results.
 */
import type { Dim } from '../../ir/dim.js';
import { evalDim } from '../../ir/dim.js';
import type { Value } from '../../ir/graph.js';
import { panelUnits } from '../../passes/pack-gates.js';
import { mostPackedRows } from '../../passes/pack-weights.js';
import { isContraction, type Region } from '../../passes/regions.js';
import { add, coefficient, compare, constant, div, type Expr, i32, load, mad, max, min, mul, rem, splat, sub, substitute, variable } from '../kernel/expr.js';
import { assign, forLoop, ifThen, letVar, type Memory, mutable, type Stmt, store, storeAll } from '../kernel/ir.js';
import { substituteStmts } from '../kernel/walk.js';
import { ElementEmitter, type Place } from '../lower/element.js';
import { dimExpr, linearize, maxSize } from '../lower/space.js';
import { type ContractionSpec, contractionSpec } from './contraction-spec.js';
import type { GemmEnv } from './gemm-epilogue.js';
import { loopVar } from './gemm-pack.js';
import { leftOperand } from './gemm-panel.js';
import { type BlockRegions, emitterFor, groupByShape, regionsOnWasm } from './recurrent.js';

/** A product whose weights are packed by gates. */
interface UnitProduct {
  readonly region: Region;
  readonly env: GemmEnv;
  readonly s: ContractionSpec;
  readonly depth: number;
  /** The packed weights and their first element. */
  readonly weights: Place;
  /** Sums of a group: [row][gate][unit]. */
  readonly sums: { memory: Memory | null };
}

interface UnitStage {
  readonly gates: number;
  readonly units: number;
  readonly products: UnitProduct[];
  /** Regions that follow the products, unit by unit. */
  readonly maps: Region[];
}

type Stage = UnitStage | { readonly alone: Region[] };

/** What the body asks of a product cannot be told unit by unit. */
class NotByUnits extends Error {}

/** The most gates that are looked for. */
const mostGates = 8;
/** Multiply-adds of a group, at least: threads meet once a phase, which must be worth it. */
const worthGroup = 16384;

export interface UnitSteps {
  readonly stages: readonly Stage[];
  /** The most groups that a phase is worth. */
  readonly groups: number;
}

/** The stages of a step; null where no product of the body can be cut by units. */
export function unitSteps(b: BlockRegions, size: Dim): UnitSteps | null {
  const rows = evalDim(size, b.ctx.symbols);
  if (rows > mostPackedRows) return null;
  const stages: Stage[] = [];
  for (const r of b.fused.regions) {
    const last = stages.at(-1);
    const found = productOf(b, r, rows);
    if (found) {
      const { product, gates, units } = found;
      if (last && 'products' in last && last.gates === gates && last.units === units && joins(b, product, last)) last.products.push(product);
      else stages.push({ gates, units, products: [product], maps: [] });
    } else if (last && 'products' in last && r.kind === 'map' && followsByUnits(b, r, last)) last.maps.push(r);
    else if (last && 'alone' in last) last.alone.push(r);
    else stages.push({ alone: [r] });
  }
  const byUnits = stages.flatMap((s) => ('products' in s ? [s] : []));
  if (byUnits.length === 0) return null;
  const work = byUnits.map((s) => s.products.reduce((a, p) => a + s.gates * s.units * p.depth, 0) * rows);
  const panels = byUnits.map((s) => Math.ceil(s.units / panelUnits(s.gates)));
  return { stages, groups: Math.max(1, Math.min(16, ...panels, Math.floor(Math.max(...work) / worthGroup))) };
}

function productOf(b: BlockRegions, region: Region, rows: number): { product: UnitProduct; gates: number; units: number } | null {
  const node = region.hero;
  if (region.kind !== 'contraction' || !node || !isContraction(node)) return null;
  const em = emitterFor(b, region);
  const s = contractionSpec({ em, dim: (d) => dimExpr(d, b.ctx.symbols) }, node);
  if (!s || s.batch.length > 0 || s.m.length !== 1 || s.n.length !== 1 || s.k.length !== 1 || typeof s.k[0] !== 'number') return null;
  if (maxSize(s.m, b.ctx.symbols) !== rows || region.outputs.some((v) => v.shape.length !== 2)) return null;
  const [n, depth] = [s.n[0] as number, s.k[0]];
  for (let gates = 1; gates <= mostGates; gates++) {
    const units = n / gates;
    const each = panelUnits(gates);
    if (!Number.isInteger(units) || units < 2 * each) continue;
    const axes = [
      [Math.floor(units / each), depth * gates * each],
      [depth, gates * each],
      [gates, each],
      [each, 1],
    ].map(([size, step]) => ({ v: size === 1 ? null : loopVar('x', size!), step: step! }));
    const [p, k, g, j] = axes.map((a) => a.v ?? i32(0)) as [Expr, Expr, Expr, Expr];
    const e = em.within([], () => s.right([], [add(mul(g, i32(units)), add(mul(p, i32(each)), j))], [k]));
    if (e.kind !== 'load' || e.memory.space !== 'global') continue;
    const at = e.args[0]!;
    if (!axes.every(({ v, step }) => v === null || coefficient(at, v) === step)) continue;
    const base = substitute(at, new Map(axes.flatMap(({ v }) => (v ? [[v as Expr, i32(0)] as const] : []))));
    const env: GemmEnv = {
      em,
      ctx: b.ctx,
      outputs: region.outputs,
      memoryOf: (v) => b.places.get(v)!.memory,
      baseOf: (v) => b.places.get(v)!.base,
      local: (name, scalar, size) => b.local(`${name}_${region.id}`, 'private', scalar, size),
    };
    return { product: { region, env, s, depth, weights: { memory: e.memory, base }, sums: { memory: null } }, gates, units };
  }
  return null;
}

/** Values that a stage writes, and views of them: memory that other groups of the same phase write. */
function writtenBy(b: BlockRegions, stage: UnitStage): Set<Value> {
  const written = new Set([...stage.products.map((p) => p.region), ...stage.maps].flatMap((r) => r.outputs));
  const owner = (v: Value): Value => {
    const a = b.fused.aliases.get(v);
    return a ? owner(a.of) : v;
  };
  for (const v of b.fused.aliases.keys()) if (written.has(owner(v))) written.add(v);
  return written;
}

/** Whether a product can be summed before anything of the stage is written, and what follows it needs the same unit alone of the products before. */
function joins(b: BlockRegions, product: UnitProduct, stage: UnitStage): boolean {
  const written = writtenBy(b, stage);
  const { region, s, depth } = product;
  if (!region.inputs.some((v) => written.has(v))) return true;
  if (stage.maps.length > 0) return false;
  const em = new ElementEmitter(new Map([...b.places].filter(([v]) => !written.has(v))), b.ctx.symbols, []);
  for (const p of stage.products) {
    em.bind(p.s.output, () => {
      throw new NotByUnits();
    });
  }
  const spec = contractionSpec({ em, dim: (d) => dimExpr(d, b.ctx.symbols) }, s.node)!;
  return (
    isByUnits(() => em.within([], () => spec.left([], [loopVar('row', mostPackedRows)], [loopVar('k', depth)]))) &&
    followsByUnits(b, region, { ...stage, products: [...stage.products, product] })
  );
}

/** Whether `emit` asks for nothing that cannot be told unit by unit. */
function isByUnits(emit: () => unknown): boolean {
  try {
    emit();
    return true;
  } catch (e) {
    if (e instanceof NotByUnits) return false;
    throw e;
  }
}

/** Where a stage's sums are, for an emitter: scratch of so many units for a gate, of which a group's begin at `first`. */
interface Sums {
  readonly width: number;
  readonly first: Expr;
  readonly unit: Expr;
}

/** An emitter of what follows the products of a stage, at one unit: sums come from scratch memory, and what regions before have written from the same unit. Throws NotByUnits where others are asked for. */
function emitterOfUnits(b: BlockRegions, stage: UnitStage, r: Region, at: Sums): ElementEmitter {
  const stale = writtenBy(b, stage);
  for (const v of r.outputs) stale.add(v);
  const em = new ElementEmitter(new Map([...b.places].filter(([v]) => !stale.has(v))), b.ctx.symbols, []);
  for (const p of stage.products) {
    em.bind(p.s.output, ([row, column]) => {
      const offset = sub(column!, at.unit);
      if (offset.kind !== 'const' || offset.value % stage.units !== 0) throw new NotByUnits();
      const place = add(mul(row!, i32(stage.gates * at.width)), add(i32((offset.value / stage.units) * at.width), sub(at.unit, at.first)));
      return load(p.sums.memory ?? p.weights.memory, place);
    });
  }
  for (const map of stage.maps) {
    if (map === r) break;
    for (const v of map.outputs) {
      const place = b.places.get(v)!;
      em.bind(v, (index) => {
        if (index.at(-1) !== at.unit) throw new NotByUnits();
        return load(place.memory, add(place.base, linearize(index, v.shape, b.ctx.symbols)));
      });
    }
  }
  return em;
}

/** Whether a region computes unit by unit what it needs of the stage. */
function followsByUnits(b: BlockRegions, r: Region, stage: UnitStage): boolean {
  if (!r.outputs.every((v) => v.shape.length === 2 && v.shape[1] === stage.units)) return false;
  const unit = loopVar('u', stage.units);
  const row = loopVar('row', mostPackedRows);
  const em = emitterOfUnits(b, stage, r, { width: stage.units, first: i32(0), unit });
  return isByUnits(() => em.within([], () => r.outputs.map((v) => em.value(v, [row, unit]))));
}

/** The kernel's body: all phases. `step`: the variable of the step that places are written in. `edge`: the copies before and after. */
export function unitPhases(
  b: BlockRegions,
  { stages }: UnitSteps,
  o: {
    readonly groups: number;
    readonly size: Dim;
    readonly length: Dim;
    readonly step: Expr;
    readonly edge: { readonly before: readonly Stmt[]; readonly after: readonly Stmt[] };
  },
): { body: Stmt[]; phases: Expr } {
  const { symbols } = b.ctx;
  const total = dimExpr(o.length, symbols);
  const most = evalDim(o.length, symbols) * stages.length;
  const group = variable('group0', 'group', 'i32', [0, 2147483646]);
  const phase = variable('phase', 'let', 'i32', [0, most + 1]);
  const part = variable('part', 'let', 'i32', [0, o.groups - 1]);
  const steps = mul(total, i32(stages.length));
  const done = variable('done', 'let', 'i32', [0, Math.max(0, most - 1)]);
  const step = variable('step', 'let', 'i32', [0, Math.max(0, evalDim(o.length, symbols) - 1)]);
  const first = (stmts: readonly Stmt[]): Stmt[] => ifThen(compare('eq', part, i32(0)), stmts);
  const rows = dimExpr(o.size, symbols);
  const bodies = stages.map((s) =>
    'alone' in s
      ? first(regionsOnWasm({ ...b, fused: { ...b.fused, regions: s.alone }, invariant: () => false }, i32(0), rows, evalDim(o.size, symbols), o.size, []))
      : unitsOfGroup(b, s, o.size, part, o.groups),
  );
  const oneOf = (i: number): Stmt[] =>
    i === stages.length - 1 ? [...bodies[i]!] : ifThen(compare('eq', rem(done, i32(stages.length)), i32(i)), bodies[i]!, oneOf(i + 1));
  const inside = substituteStmts(oneOf(0), new Map([[o.step, step]]));
  const work = [letVar(done, sub(phase, i32(1))), letVar(step, div(done, i32(stages.length))), ...inside];
  const ends = ifThen(compare('eq', phase, i32(0)), first(o.edge.before), first(o.edge.after));
  const isEnd = compare('eq', rem(phase, add(steps, i32(1))), i32(0));
  return {
    body: [letVar(phase, div(group, i32(o.groups))), letVar(part, rem(group, i32(o.groups))), ...ifThen(isEnd, ends, work)],
    phases: add(steps, i32(2)),
  };
}

/** What one group does in a stage. */
function unitsOfGroup(b: BlockRegions, stage: UnitStage, size: Dim, part: Expr, groups: number): Stmt[] {
  const { symbols } = b.ctx;
  const rows = evalDim(size, symbols);
  const total = dimExpr(size, symbols);
  const each = panelUnits(stage.gates);
  const panels = Math.ceil(stage.units / each);
  const per = Math.ceil(panels / groups);
  const width = per * each;
  const even = panels % groups === 0;
  const firstPanel = variable('panel0', 'let', 'i32', [0, per * (groups - 1)]);
  const first = variable('unit0', 'let', 'i32', [0, width * (groups - 1)]);
  const panelCount = even ? i32(per) : max(i32(0), min(i32(per), sub(i32(panels), firstPanel)));
  const unitCount = even && stage.units % each === 0 ? i32(width) : max(i32(0), min(i32(width), sub(i32(stage.units), first)));
  const out: Stmt[] = [letVar(firstPanel, mul(part, i32(per))), letVar(first, mul(part, i32(width)))];
  for (const p of stage.products) {
    const sums = p.env.local('sums', 'f32', rows * stage.gates * width);
    p.sums.memory = sums;
    const left = leftOperand(p.env, p.s, rows, p.depth, (r) => [total.kind === 'const' ? i32(r) : min(i32(r), sub(total, i32(1)))], out);
    const panel = loopVar('p', per);
    const inPanel: Stmt[] = [];
    for (let r = 0; r < rows; r++) {
      const one = panelOfRow(
        p,
        stage.gates,
        each,
        add(firstPanel, panel),
        (k) => left(r, k),
        sums,
        (gate) => add(i32((r * stage.gates + gate) * width), mul(panel, i32(each))),
      );
      inPanel.push(...(r === 0 || total.kind === 'const' ? one : ifThen(compare('lt', i32(r), total), one)));
    }
    out.push(forLoop(panel, i32(0), panelCount, inPanel));
  }
  const row = loopVar('row', rows);
  const i = loopVar('u', width);
  const unit = add(first, i);
  const kept = (v: Value): boolean =>
    b.fused.graph.outputs.some((x) => x.value === v) ||
    b.fused.regions.some((r) => !stage.maps.includes(r) && [v, ...viewsOf(b, v)].some((x) => r.inputs.includes(x)));
  const write = (r: Region, values: readonly Value[], column: Expr): Stmt => {
    const em = emitterOfUnits(b, stage, r, { width, first, unit });
    const body: Stmt[] = [];
    em.within(body, () => {
      const found = values.map((v) => em.value(v, [row, column]));
      body.push(
        ...storeAll(
          values.map((v, x) => {
            const place = b.places.get(v)!;
            return { memory: place.memory, index: add(place.base, linearize([row, column], v.shape, symbols)), value: found[x]! };
          }),
        ),
      );
    });
    return forLoop(i, i32(0), unitCount, body, { parallel: true });
  };
  const after = [
    ...stage.products.flatMap((p) => {
      const values = p.region.outputs.filter(kept);
      return values.length === 0 ? [] : Array.from({ length: stage.gates }, (_, g) => write(p.region, values, add(unit, i32(g * stage.units))));
    }),
    ...stage.maps.flatMap((r) => groupByShape(r.outputs).map((values) => write(r, values, unit))),
  ];
  out.push(forLoop(row, i32(0), total, after));
  return out;
}

const viewsOf = (b: BlockRegions, of: Value): Value[] => [...b.fused.aliases].flatMap(([v, a]) => (a.of === of ? [v, ...viewsOf(b, v)] : []));

/** The sums of a panel for one row. */
function panelOfRow(p: UnitProduct, gates: number, each: number, panel: Expr, left: (k: Expr) => Expr, sums: Memory, place: (gate: number) => Expr): Stmt[] {
  const vectors = Array.from({ length: gates }, (_, g) => Array.from({ length: each / 4 }, (_, v) => ({ g, v }))).flat();
  const accs = vectors.map(() => variable('acc', 'mutable', 'f32', undefined, 4));
  const k = loopVar('k', p.depth);
  const a = variable('a', 'let', 'f32');
  const body: Stmt[] = [];
  const e = p.env.em.within(body, () => left(k));
  body.push(letVar(a, e));
  const base = add(p.weights.base, add(mul(panel, i32(p.depth * gates * each)), mul(k, i32(gates * each))));
  vectors.forEach(({ g, v }, x) => {
    body.push(assign(accs[x]!, mad(splat(a, 4), load(p.weights.memory, add(base, i32(g * each + 4 * v)), 4), accs[x]!)));
  });
  return [
    ...accs.map((acc) => mutable(acc, constant(0, 'f32', 4))),
    forLoop(k, i32(0), i32(p.depth), body),
    ...vectors.map(({ g, v }, x) => store(sums, add(place(g), i32(4 * v)), accs[x]!)),
  ];
}
