/**
 * `tenon compile --tune`: schedules by measurement. Each distinct region of a model, the largest first, is compiled alone and timed on the device with its default schedule and with the neighbours of
 * the best so far, until none is better or the time is up. The plan is then compiled with what was found.
 */
import { compile, compileRegion } from '../codegen/compile.js';
import { workOf } from '../codegen/lower/frame.js';
import { neighbours, parseSchedule, printSchedule, type Schedule } from '../codegen/schedule.js';
import type { Schedules } from '../codegen/schedule-choice.js';
import type { TargetInfo } from '../codegen/target.js';
import { sizeAt } from '../ir/dim.js';
import { hostArray } from '../ir/dtype.js';
import { ValueError } from '../ir/errors.js';
import type { Graph } from '../ir/graph.js';
import type { Device, HostArray, Session } from '../runtime/device.js';
import type { CompiledPlan } from '../runtime/plan.js';

/** A measured time must be this much shorter to count as better. */
const better = 0.97;
/** Milliseconds that a region must gain: less is noise. */
const leastGain = 0.001;
/** Milliseconds that one measurement takes, about. */
const measured = 4;

export interface TuneOptions {
  readonly target: TargetInfo;
  /** Seconds for all of it. */
  readonly seconds: number;
  /** Milliseconds; default performance.now. */
  readonly now?: () => number;
  readonly name?: string;
}

export interface TunedRegion {
  readonly key: string;
  readonly origin: string;
  readonly from: string;
  readonly to: string;
  /** Milliseconds of the default and of the best. */
  readonly before: number;
  readonly after: number;
}

export interface Tuned {
  readonly compiled: CompiledPlan;
  /** Regions that got another schedule than the default. */
  readonly changed: readonly TunedRegion[];
  /** Distinct regions, and those that there was time for. */
  readonly regions: number;
  readonly tried: number;
}

export async function tune(programs: Readonly<Record<string, Graph>>, device: Device, options: TuneOptions): Promise<Tuned> {
  const { target, now = () => performance.now(), name } = options;
  const end = now() + 1000 * options.seconds;
  let all: Schedules | null = null;
  const plain = compile(programs, { target, name, onSchedules: (s) => (all = s) });
  const regions = [...(all as Schedules | null)!.regions].flatMap(([key, r]) => {
    const text = plain.plan.schedules[key];
    // a kernel alone has all its operands in buffers of their own
    const fits = new Set([...r.region.inputs, ...r.region.outputs]).size < target.maxStorageBuffers;
    return text !== undefined && fits && r.family !== null ? [{ key, text, ...r }] : [];
  });
  regions.sort((a, b) => workOf(b.region, b.at.symbols) - workOf(a.region, a.at.symbols));
  const schedules: Record<string, string> = {};
  const changed: TunedRegion[] = [];
  let tried = 0;
  for (const { key, text, region, at, family } of regions) {
    if (now() >= end) break;
    tried++;
    const session = device.createSession();
    try {
      const inputs = Object.fromEntries(region.inputs.map((v, i) => [`in${i}`, hostArray(v.dtype, sizeAt(v.shape, at.symbols)) as HostArray]));
      const time = async (s: Schedule): Promise<number> => timeOf(session, compileRegion(region, at, s), inputs, at.symbols, now);
      const first = parseSchedule(text);
      const before = await time(first);
      let best = { schedule: first, time: before };
      for (let again = true; again && now() < end; ) {
        again = false;
        for (const s of neighbours(family, best.schedule, target)) {
          if (now() >= end) break;
          let t: number;
          try {
            t = await time(s);
          } catch (e) {
            // it fits the family, and not this region
            if (e instanceof ValueError) continue;
            throw e;
          }
          if (t < better * best.time) {
            best = { schedule: s, time: t };
            again = true;
            break;
          }
        }
      }
      if (best.schedule !== first && before - best.time > leastGain) {
        schedules[key] = printSchedule(best.schedule);
        const origin = region.hero?.origin || region.nodes.at(-1)?.origin || '';
        changed.push({ key, origin, from: text, to: schedules[key], before, after: best.time });
      }
    } finally {
      session.dispose();
    }
  }
  return { ...compileWith(programs, { target, name }, schedules, changed), regions: regions.length, tried };
}

/** Compiles with the schedules found; one that does not fit where the region lies in the whole (a kernel alone has its operands at even places) is left out. */
function compileWith(
  programs: Readonly<Record<string, Graph>>,
  options: { readonly target: TargetInfo; readonly name?: string | undefined },
  schedules: Record<string, string>,
  changed: readonly TunedRegion[],
): Pick<Tuned, 'compiled' | 'changed'> {
  for (;;) {
    try {
      return { compiled: compile(programs, { ...options, schedules }), changed: changed.filter((c) => c.key in schedules) };
    } catch (e) {
      const key = e instanceof ValueError ? Object.keys(schedules).find((k) => (e as Error).message.includes(`(${k})`)) : undefined;
      if (key === undefined) throw e;
      delete schedules[key];
    }
  }
}

/** Milliseconds of one run: the least of three. */
async function timeOf(
  session: Session,
  compiled: CompiledPlan,
  inputs: Readonly<Record<string, HostArray>>,
  symbols: Readonly<Record<string, number>>,
  now: () => number,
): Promise<number> {
  const plan = await session.load(compiled);
  const run = async (repeat: number): Promise<number> => {
    const start = now();
    plan.run('region', { inputs, symbols, repeat });
    await session.finish();
    return (now() - start) / repeat;
  };
  await run(1);
  const once = await run(1);
  const repeat = Math.max(1, Math.min(1000, Math.round(measured / Math.max(once, 0.001))));
  const times = [await run(repeat), await run(repeat), await run(repeat)];
  plan.dispose();
  return Math.min(...times);
}
