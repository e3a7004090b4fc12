/**
 * Which schedule a region gets: the one handed in for it, or else the default. A region is known by a key made of its operations, shapes and place in memory, so that a plan's schedules fit the
 * same model compiled again, and equal layers share one.
 */
import { AffineDim } from '../ir/dim.js';
import { InternalError, ValueError } from '../ir/errors.js';
import type { Value } from '../ir/graph.js';
import { print } from '../ir/text.js';
import type { Region } from '../passes/regions.js';
import { type Family, type ParametersOf, parametersOf, parseSchedule, printSchedule, type Schedule, type Slots, scheduleOf } from './schedule.js';
import type { TargetInfo } from './target.js';

/** What a region's key depends on besides the region. */
export interface Surroundings {
  readonly target: TargetInfo;
  readonly symbols: Readonly<Record<string, number>>;
  readonly bases: ReadonlyMap<Value, unknown>;
  readonly unaligned?: ReadonlySet<Value>;
}

/** A schedule in use. */
export interface Choice<S extends Slots = Slots> {
  readonly p: ParametersOf<S>;
  readonly text: string;
}

/** Text of an attribute: equal for equal contents. */
function attrText(x: unknown): string {
  if (typeof x !== 'object' || x === null || x instanceof AffineDim) return Object.is(x, -0) ? '-0' : String(x);
  if (ArrayBuffer.isView(x)) return `[${Array.from(x as unknown as ArrayLike<number>).join()}]`;
  if (Array.isArray(x)) return `[${x.map(attrText).join()}]`;
  if ('nodes' in x) return print(x as Parameters<typeof print>[0]);
  return `{${Object.keys(x)
    .sort()
    .map((k) => `${k}:${attrText((x as Record<string, unknown>)[k])}`)
    .join()}}`;
}

/** FNV-1a, 32 bits. */
function hash(text: string, start: number): string {
  let h = start;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 16777619);
  return (h >>> 0).toString(16).padStart(8, '0');
}

/** The key of a region: the same for regions that compute the same, on operands of the same shapes that lie alike in memory. */
export function regionKey(r: Region, at: Surroundings): string {
  const ids = new Map<Value, number>();
  const name = (v: Value): string => {
    const known = ids.get(v);
    if (known !== undefined) return `%${known}`;
    ids.set(v, ids.size);
    const packed = !v.producer || v.producer.op === 'constant';
    return `%${ids.size - 1}:${v.dtype}[${v.shape.join()}]${packed ? '' : '*'}${at.unaligned?.has(v) ? '~' : ''}${at.bases.has(v) ? '+' : ''}`;
  };
  const lines = [
    r.kind,
    r.inputs.map(name).join(' '),
    ...r.nodes.map((n) => `${n.op} ${n.inputs.map(name).join(' ')} ${attrText(n.attrs)} ${n.outputs.map(name).join(' ')}`),
    r.outputs.map(name).join(' '),
    r.hero ? String(r.nodes.indexOf(r.hero)) : '',
  ];
  const text = lines.join('\n');
  const symbols = Object.entries(at.symbols)
    .filter(([s]) => new RegExp(`\\b${s}\\b`).test(text))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const whole = `${text}\n${symbols.map(([s, n]) => `${s}=${n}`).join()}`;
  return `${r.hero?.op ?? 'map'}-${hash(whole, 2166136261)}${hash(whole, 374761393)}`;
}

/** The schedules of a compilation. */
export class Schedules {
  private readonly given = new Map<string, Schedule>();
  private readonly chosen = new Map<string, string>();
  private readonly keys = new WeakMap<Region, string>();
  /** Keys of regions that chose differently though nothing here tells them apart: they have the default again. */
  private readonly ambiguous = new Set<string>();
  readonly regions = new Map<string, { readonly region: Region; readonly at: Surroundings; readonly family: Family }>();

  /** `given`: texts by key; `only`: a schedule for one region. */
  constructor(
    given: Readonly<Record<string, string>> = {},
    private readonly only: { readonly region: Region; readonly schedule: Schedule } | null = null,
  ) {
    for (const [key, text] of Object.entries(given)) this.given.set(key, parseSchedule(text));
  }

  private key(region: Region, at: Surroundings): string {
    let key = this.keys.get(region);
    if (key === undefined) {
      key = regionKey(region, at);
      this.keys.set(region, key);
    }
    return key;
  }

  /** The schedule handed in for a region. */
  wanted(region: Region, at: Surroundings): Schedule | null {
    return this.only?.region === region ? this.only.schedule : (this.given.get(this.key(region, at)) ?? null);
  }

  /** The parameters of a family for a region. `fits`: what is wrong with them for this region; null: nothing. Throws ValueError where those handed in do not fit. */
  pick<S extends Slots>(
    region: Region,
    at: Surroundings,
    family: Family<S>,
    choose: () => ParametersOf<S>,
    fits: (p: ParametersOf<S>) => string | null = () => null,
  ): Choice<S> {
    const key = this.key(region, at);
    const wanted = this.wanted(region, at);
    const schedule = wanted ?? scheduleOf(family, choose());
    const where = (): string => `${region.hero?.origin || region.nodes.at(-1)?.origin || 'region'} (${key})`;
    let p: ParametersOf<S>;
    try {
      p = parametersOf(family, schedule, at.target);
      const wrong = fits(p);
      if (wrong !== null) throw new ValueError(`schedule '${printSchedule(schedule)}': ${wrong}`);
    } catch (e) {
      if (wanted === null) throw new InternalError(`default of ${where()}: ${(e as Error).message}`);
      throw new ValueError(`${where()}: ${(e as Error).message}`);
    }
    const text = printSchedule(schedule);
    const old = this.chosen.get(key);
    if (old !== undefined && old !== text) this.ambiguous.add(key);
    this.chosen.set(key, text);
    if (!this.regions.has(key)) this.regions.set(key, { region, at, family: family as unknown as Family });
    return { p, text };
  }

  /** What was used, by key. */
  get used(): Record<string, string> {
    return Object.fromEntries([...this.chosen].filter(([key]) => !this.ambiguous.has(key)));
  }
}
