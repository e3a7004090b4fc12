/**
 * A schedule is data: a family of loop nests and the directives that fix its parameters. The default comes from sizes and facts about the target; a plan stores it as text, `inspect` prints it,
 * `--tune` varies it, and `compile` takes it back. A family (schedule-families.ts) declares its directives as slots; its code reads their values and decides nothing else.
 *
 *     matmul-tiles split(m, 64) split(n, 64) split(k, 16) bind(m, 16) bind(n, 16)
 */
import { didYouMean, ValueError } from '../ir/errors.js';
import type { TargetInfo } from './target.js';

/**
 * split: an axis is cut in pieces of so many elements. bind: an axis runs over so many threads of a workgroup. stage: an operand is copied to memory of the group, in a layout. vectorize: so many
 * neighbours at once. unroll: so many are written out side by side. group: a group takes so many pieces one after the other. reorder: which loop is outside.
 */
export const directiveKinds = ['split', 'bind', 'stage', 'vectorize', 'unroll', 'group', 'reorder'] as const;
export type DirectiveKind = (typeof directiveKinds)[number];

export interface Directive {
  readonly kind: DirectiveKind;
  /** An axis or an operand of the family. */
  readonly of: string;
  readonly value: number | string;
}

export interface Schedule {
  readonly family: string;
  readonly directives: readonly Directive[];
}

// ---- text

export const printSchedule = (s: Schedule): string => [s.family, ...s.directives.map((d) => `${d.kind}(${d.of}, ${d.value})`)].join(' ');

const word = '[a-z][a-z0-9-]*';
const directive = new RegExp(`^(${word})\\((${word}), (${word}|0|[1-9][0-9]{0,9})\\)$`);

/** Inverse of printSchedule. Throws ValueError on anything else. */
export function parseSchedule(text: string): Schedule {
  const fail = (why: string): never => {
    throw new ValueError(`schedule '${text.length > 200 ? `${text.slice(0, 200)}…` : text}': ${why}`);
  };
  const [family, ...parts] = text.split(/(?<![,]) /);
  if (!family || !new RegExp(`^${word}$`).test(family)) return fail('expected the name of a family and directives such as split(m, 64)');
  const directives = parts.map((part): Directive => {
    const found = directive.exec(part);
    if (!found) return fail(`'${part}' is no directive; expected one such as split(m, 64)`);
    const kind = directiveKinds.find((k) => k === found[1]);
    if (!kind) return fail(`there is no directive '${found[1]}'; expected ${directiveKinds.join(', ')}.${didYouMean(found[1]!, directiveKinds)}`);
    return { kind, of: found[2]!, value: /^\d/.test(found[3]!) ? Number(found[3]) : found[3]! };
  });
  return { family, directives };
}

// ---- families

/** A directive with a number to fill in. */
export interface NumberSlot {
  readonly kind: DirectiveKind;
  readonly of: string;
  readonly least: number;
  readonly most: number;
}
/** A directive with a word, or one of a few numbers, to fill in. */
export interface ChoiceSlot<V extends number | string = number | string> {
  readonly kind: DirectiveKind;
  readonly of: string;
  readonly values: readonly V[];
}
export type Slots = Readonly<Record<string, NumberSlot | ChoiceSlot>>;

/** The values of a family's slots. */
export type ParametersOf<S extends Slots> = { readonly [K in keyof S]: S[K] extends ChoiceSlot<infer V> ? V : number };

export interface Family<S extends Slots = Slots> {
  readonly name: string;
  readonly slots: S;
  /** What is wrong with a set of parameters, whatever the region; null: nothing. */
  readonly check: (p: ParametersOf<S>, target: TargetInfo) => string | null;
}

export const numberSlot = (kind: DirectiveKind, of: string, least = 1, most = 1 << 24): NumberSlot => ({ kind, of, least, most });
export const choiceSlot = <const V extends number | string>(kind: DirectiveKind, of: string, values: readonly V[]): ChoiceSlot<V> => ({ kind, of, values });

/** The schedule of a family with these parameters. */
export const scheduleOf = <S extends Slots>(family: Family<S>, p: ParametersOf<S>): Schedule => ({
  family: family.name,
  directives: Object.entries(family.slots).map(([name, s]) => ({ kind: s.kind, of: s.of, value: p[name as keyof S] as number | string })),
});

/** The parameters that a schedule gives a family, checked. Throws ValueError. */
export function parametersOf<S extends Slots>(family: Family<S>, schedule: Schedule, target: TargetInfo): ParametersOf<S> {
  const fail = (why: string): never => {
    throw new ValueError(`schedule '${printSchedule(schedule)}': ${why}`);
  };
  if (schedule.family !== family.name) fail(`expected family '${family.name}'`);
  const names = Object.entries(family.slots);
  const expected = (): string => names.map(([, s]) => `${s.kind}(${s.of})`).join(', ') || 'no directives';
  if (schedule.directives.length !== names.length) fail(`'${family.name}' takes ${expected()}`);
  const p: Record<string, number | string> = {};
  names.forEach(([name, s], i) => {
    const d = schedule.directives[i]!;
    if (d.kind !== s.kind || d.of !== s.of) fail(`'${family.name}' takes ${expected()}, in this order`);
    if ('values' in s) {
      if (!s.values.includes(d.value)) fail(`${d.kind}(${d.of}) must be ${s.values.join(' or ')}`);
    } else if (typeof d.value !== 'number' || !Number.isInteger(d.value) || d.value < s.least || d.value > s.most)
      fail(`${d.kind}(${d.of}) must be a whole number from ${s.least} to ${s.most}`);
    p[name] = d.value;
  });
  const wrong = family.check(p as ParametersOf<S>, target);
  return wrong === null ? (p as ParametersOf<S>) : fail(wrong);
}

/** The schedules next to one: a number doubled or halved, equal numbers of one kind together, one of two for the other's sake, another word. Those that the family or the target forbids are left out. */
export function neighbours<S extends Slots>(family: Family<S>, schedule: Schedule, target: TargetInfo): Schedule[] {
  const d = schedule.directives;
  const slots = Object.values(family.slots);
  const changed = (changes: ReadonlyMap<number, number | string>): Schedule => ({
    family: schedule.family,
    directives: d.map((x, i) => (changes.has(i) ? { ...x, value: changes.get(i)! } : x)),
  });
  const found: Schedule[] = [];
  const scale = (v: number, factor: number): number => Math.max(1, Math.floor(v * factor));
  slots.forEach((s, i) => {
    const v = d[i]!.value;
    if ('values' in s) {
      for (const other of s.values) if (other !== v) found.push(changed(new Map([[i, other]])));
      return;
    }
    if (typeof v !== 'number') return;
    for (const factor of [2, 0.5]) {
      found.push(changed(new Map([[i, scale(v, factor)]])));
      for (let j = i + 1; j < d.length; j++) {
        const w = d[j]!.value;
        if ('values' in slots[j]! || typeof w !== 'number' || d[j]!.kind !== d[i]!.kind) continue;
        if (v === w)
          found.push(
            changed(
              new Map([
                [i, scale(v, factor)],
                [j, scale(w, factor)],
              ]),
            ),
          );
        found.push(
          changed(
            new Map([
              [i, scale(v, factor)],
              [j, scale(w, 1 / factor)],
            ]),
          ),
        );
      }
    }
  });
  const texts = new Set([printSchedule(schedule)]);
  return found.filter((s) => {
    const text = printSchedule(s);
    if (texts.has(text)) return false;
    texts.add(text);
    try {
      parametersOf(family, s, target);
      return true;
    } catch (e) {
      if (e instanceof ValueError) return false;
      throw e;
    }
  });
}
