/** The driver from graphs to a plan: runs the passes, fuses, lowers regions to kernels, plans memory, emits code. */
import type { Graph, Value } from '../ir/graph.js';
import { maxBindings, rootsOf } from '../ir/graph.js';
import { copyIntoConcat } from '../passes/copy-into-concat.js';
import { dce } from '../passes/dce.js';
import { carryElementTypes, type DoublePolicy, type NarrowedDoubles } from '../passes/element-types.js';
import { defaultFuseOptions, fuse } from '../passes/fuse.js';
import { fuseTails } from '../passes/fuse-tails.js';
import { isolateRoots } from '../passes/isolate-roots.js';
import { narrowConcats } from '../passes/narrow-concats.js';
import { runPasses } from '../passes/pipeline.js';
import type { FusedGraph, Region } from '../passes/regions.js';
import { splitPrepared } from '../passes/split-prepared.js';
import type { CompiledPlan } from '../runtime/plan.js';
import type { LowerContext } from './lower/frame.js';
import { type LoweredRegion, type LoweredStep, lowerRegion } from './lower/region.js';
import { mergeKernels } from './merge-kernels.js';
import { type Placement, place } from './place.js';
import { PlanBuilder } from './plan-builder.js';
import type { Schedule } from './schedule.js';
import { Schedules, type Surroundings } from './schedule-choice.js';
import { lowerMap } from './schedules/map.js';
import type { TargetInfo } from './target.js';

export interface CompileOptions {
  readonly target: TargetInfo;
  readonly name?: string;
  /** Called with the graph after each named pass. */
  readonly onPass?: (pass: string, program: string, graph: Graph) => void;
  /** Called with all schedules when the programs are compiled. */
  readonly onSchedules?: (schedules: Schedules) => void;
  /** Called with the regions of each program. */
  readonly onRegions?: (program: string, fused: FusedGraph) => void;
  /** Schedules by region, as a plan stores them (`plan.schedules`): the same kernels again. Regions that have none here get their default. Throws ValueError where one does not fit. */
  readonly schedules?: Readonly<Record<string, string>>;
  /** Verifies the graph after every pass. */
  readonly verify?: boolean;
  /** What becomes of float64 on WebGPU, which has none: 'float32' (the default) computes it in float32, with a warning; 'refuse' throws UnsupportedError. */
  readonly float64?: DoublePolicy;
  /** Called with what a user should know, at most once. Default: console.warn. */
  readonly onWarning?: (message: string) => void;
}

interface Part {
  readonly graph: Graph;
  readonly placement: Placement;
  readonly steps: readonly LoweredStep[];
}

function warnOfDoubles({ first, overflow }: NarrowedDoubles, options: CompileOptions): void {
  if (first === null) return;
  const infinite = overflow === null ? '' : `; ${overflow} became infinite`;
  const warn = options.onWarning ?? ((m: string) => console.warn(m));
  warn(
    `${first} is float64, which WebGPU does not have: it is computed in float32${infinite} (float64: 'refuse' makes this an error; the wasm device has float64)`,
  );
}

/** Compiles the programs of one model (they share state by slot name) to one plan. */
export function compile(programs: Readonly<Record<string, Graph>>, options: CompileOptions): CompiledPlan {
  const builder = new PlanBuilder(options.target);
  const schedules = new Schedules(options.schedules);
  const updated = new Set(Object.values(programs).flatMap((g) => g.updates.map((u) => u.slot)));
  let doubles: NarrowedDoubles = { first: null, overflow: null };
  for (const [name, given] of Object.entries(programs)) {
    // What nothing needs must not be refused: importers leave the constants of shapes behind.
    const { graph: traced, ports, doubles: found } = carryElementTypes(dce(given), options.target.kind, updated, options.float64);
    doubles = { first: doubles.first ?? found.first, overflow: doubles.overflow ?? found.overflow };
    const optimized = runPasses(traced, {
      target: options.target.kind,
      training: traced.updates.length > 0,
      verify: options.verify,
      onPass: (pass, g) => options.onPass?.(pass, name, g),
    });
    const { prepare, main } = splitPrepared(optimized);
    builder.addProgram(name, compilePart(name, main, options, schedules), prepare && compilePart(`${name}/prepare`, prepare, options, schedules), ports);
  }
  options.onSchedules?.(schedules);
  warnOfDoubles(doubles, options);
  return builder.finish(options.name ?? Object.values(programs)[0]?.name ?? 'model', schedules.used);
}

function compilePart(name: string, graph: Graph, options: CompileOptions, schedules: Schedules): Part {
  const { target } = options;
  const isolated = isolateRoots(copyIntoConcat(narrowConcats(graph, target.maxStorageBuffers)));
  const regions = fuse(isolated, { ...defaultFuseOptions, maxBuffers: target.maxStorageBuffers });
  const fused = target.kind === 'webgpu' ? fuseTails(regions, { maxBuffers: target.maxStorageBuffers }) : regions;
  options.onRegions?.(name, fused);
  return lowerPart(isolated, fused, target, schedules);
}

/** A plan that computes one region alone (program `region`, inputs `in0`, …), with the given schedule: what `--tune` measures. Throws ValueError where the schedule does not fit. */
export function compileRegion(region: Region, at: Surroundings, schedule: Schedule): CompiledPlan {
  const graph: Graph = {
    name: 'region',
    symbols: Object.entries(at.symbols).map(([name, max]) => ({ name, max })),
    inputs: region.inputs.map((value, i) => ({ name: `in${i}`, value, resident: false })),
    state: [],
    nodes: region.nodes,
    outputs: region.outputs.map((value, i) => ({ name: `out${i}`, value })),
    updates: [],
  };
  const builder = new PlanBuilder(at.target);
  builder.addProgram('region', lowerPart(graph, { graph, regions: [region], aliases: new Map() }, at.target, new Schedules({}, { region, schedule })), null);
  return builder.finish('region', {});
}

/** Kernels and places of the regions of a graph. */
function lowerPart(isolated: Graph, fused: FusedGraph, target: TargetInfo, schedules: Schedules): Part {
  const ctx: LowerContext = {
    target,
    symbols: maxBindings(isolated),
    bases: new Map<Value, never>(),
    unaligned: unalignedValues(fused),
    bufferOf: buffersBefore(fused),
    schedules,
  };
  const lowered = new Map<Region, LoweredRegion>(fused.regions.map((r) => [r, lowerRegion(r, ctx)]));
  const placement = place({ fused, lowered, target });
  const steps = placement.groups.flatMap((group): readonly LoweredStep[] => {
    if (group.length === 1) return lowered.get(group[0]!)!.steps;
    const parts = group.flatMap((r) => lowered.get(r)!.steps.flatMap((s) => (s.kind === 'kernel' ? [s.kernel] : [])));
    return [{ kind: 'kernel', kernel: mergeKernels(parts, ctx.symbols) }];
  });
  const copies = placement.copies.map((c): LoweredStep => {
    const slot = isolated.state.find((s) => s.name === c.slot)!;
    const node = { op: 'cast', attrs: { dtype: c.from.dtype }, inputs: [c.from], outputs: [slot.value], origin: c.slot } as const;
    const to: Value = { ...slot.value, producer: node };
    const region: Region = { id: -1, kind: 'map', nodes: [node], hero: null, inputs: [c.from], outputs: [to] };
    const kernel = lowerMap(region, ctx);
    return { kind: 'kernel', kernel: { ...kernel, args: kernel.args.map((a) => (a.value === to ? { ...a, value: slot.value } : a)) } };
  });
  return { graph: isolated, placement, steps: [...steps, ...copies] };
}

/** Views and parts of other values that do not begin at a multiple of four elements. */
function unalignedValues(fused: FusedGraph): ReadonlySet<Value> {
  const offsetOf = (v: Value): number => {
    const a = fused.aliases.get(v);
    return a ? a.offset + offsetOf(a.of) : 0;
  };
  return new Set([...fused.aliases.keys()].filter((v) => offsetOf(v) % 4 !== 0));
}

/** The buffer of a value as far as it is known before values have places: inputs, state, constants and what leaves the graph, or else the arena. */
function buffersBefore(fused: FusedGraph): (v: Value) => string {
  const base = (v: Value): Value => {
    const a = fused.aliases.get(v);
    return a ? base(a.of) : v;
  };
  const roots = new Set(rootsOf(fused.graph).map(base));
  return (v) => {
    const b = base(v);
    return b.producer?.op === 'constant' ? 'constants' : !b.producer || roots.has(b) ? `${b.id}` : 'arena';
  };
}
