/** Golden cases: where they lie, what they hold, and how results are compared with them. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { DeviceOption } from '../../frontend/keras/models/device-option.js';
import type { Executor } from '../../frontend/keras/models/executor.js';
import type { Semantics } from '../../frontend/keras/utils/serialization.js';
import { UnsupportedError } from '../../ir/errors.js';
import { type NumberData, numberData, type TensorData } from '../../ir/tensor-data.js';
import { type Arrays, readNpz } from './npz.js';

/** An array that the JSON describes and the npz holds. */
export interface ArrayRef {
  readonly key: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly name?: string | null;
}

export interface CaseHeader {
  readonly family: string;
  readonly name: string;
  readonly semantics: Semantics;
  readonly tolerance: { readonly rtol: number; readonly atol: number };
}

/** What a case runs on. */
export interface Target {
  /** An executor of its own for each case. */
  readonly executor: () => Executor;
  /** The same device for whole models. */
  readonly device: DeviceOption;
}

/** The case needs something that does not exist yet. */
export class Skip extends Error {}

/** Runs `make`; what is not supported (unknown classes) skips the case. */
export function available<T>(make: () => T): T {
  try {
    return make();
  } catch (e) {
    if (e instanceof UnsupportedError)
      throw new Skip(
        e.message
          .split('. ')[0]!
          .split('.Did')[0]!
          .replace(/ Did you mean.*/, ''),
      );
    throw e;
  }
}

/** Compares results with the case and remembers what differs. */
export class Checker {
  readonly problems: string[] = [];
  compared = 0;
  constructor(
    private readonly arrays: Arrays,
    private readonly tolerance: CaseHeader['tolerance'],
  ) {}

  array(ref: ArrayRef): NumberData {
    const t = this.arrays.get(ref.key);
    if (!t) throw new Error(`the npz has no member '${ref.key}'`);
    return numberData(t);
  }

  /** Actual values against an array of the case. */
  equal(what: string, actual: TensorData | null, ref: ArrayRef): void {
    const expected = this.array(ref);
    this.compared++;
    if (!actual) {
      this.problems.push(`${what}: nothing, expected [${expected.shape}]`);
      return;
    }
    if (actual.shape.join() !== expected.shape.join()) {
      this.problems.push(`${what}: shape [${actual.shape}], expected [${expected.shape}]`);
      return;
    }
    this.numbers(what, actual.data, expected.data);
  }

  /** Lists of numbers, element by element; equal infinities and NaN agree. */
  numbers(what: string, actual: ArrayLike<number | bigint>, expected: ArrayLike<number>): void {
    this.compared++;
    if (actual.length !== expected.length) {
      this.problems.push(`${what}: ${actual.length} values, expected ${expected.length}`);
      return;
    }
    const { rtol, atol } = this.tolerance;
    let worst = 0;
    let at = -1;
    for (let i = 0; i < actual.length; i++) {
      const [a, e] = [Number(actual[i]), expected[i]!];
      if (Object.is(a, e) || a === e || (Number.isNaN(a) && Number.isNaN(e))) continue;
      const excess = Math.abs(a - e) / (atol + rtol * Math.abs(e));
      if (!(excess <= 1) && !(excess < worst)) {
        worst = Number.isNaN(excess) ? Infinity : excess;
        at = i;
      }
    }
    if (at >= 0) this.problems.push(`${what}: element ${at} is ${actual[at]}, expected ${expected[at]} (${worst.toFixed(1)} times the tolerance)`);
  }

  truth(what: string, actual: unknown, expected: unknown): void {
    this.compared++;
    if (JSON.stringify(actual) !== JSON.stringify(expected)) this.problems.push(`${what}: ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`);
  }
}

/** JSON numbers; strings stand for those that are not finite. */
export const finite = (x: number | string): number => (typeof x === 'number' ? x : Number(x));

export interface GoldenCase {
  readonly json: CaseHeader;
  readonly file: string;
}

/** The cases of a family's folder, by name. */
export function casesOf(dir: string, only: RegExp | null): GoldenCase[] {
  return readdirSync(dir)
    .filter((f) => f.endsWith('.json') && (!only || only.test(f.replace(/\.json$/, ''))))
    .sort()
    .map((f) => ({ file: path.join(dir, f), json: JSON.parse(readFileSync(path.join(dir, f), 'utf8')) as CaseHeader }));
}

export function arraysOf(c: GoldenCase): Arrays {
  const npz = c.file.replace(/\.json$/, '.npz');
  return existsSync(npz) ? readNpz(npz) : new Map();
}
