/** Automatic names as Keras gives them: `dense`, `dense_1`, … counted per process until `clearSession`. */
import { snakeOfClass } from './serialization.js';

const counts = new Map<string, number>();

/** A new name for an object of the class. */
export function autoName(className: string): string {
  const base = snakeOfClass(className);
  const n = counts.get(base) ?? 0;
  counts.set(base, n + 1);
  return n === 0 ? base : `${base}_${n}`;
}

const numbers = new Map<string, number>();

/** Starts all automatic names and numbers from the beginning. */
export function clearSession(): void {
  counts.clear();
  numbers.clear();
}

/** 1, 2, … for each prefix. */
export function uniqueNumber(prefix: string): number {
  const n = (numbers.get(prefix) ?? 0) + 1;
  numbers.set(prefix, n);
  return n;
}

/** Names of arrays where two may be the same: the second `dense/kernel` is `dense/kernel_1`. */
export function uniqueNames(names: readonly string[]): string[] {
  const used = new Set<string>();
  return names.map((name) => {
    let own = name;
    for (let n = 1; used.has(own); n++) own = `${name}_${n}`;
    used.add(own);
    return own;
  });
}
