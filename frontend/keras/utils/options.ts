/**
 * Options of Keras classes: required arguments first, then one options object, or a config object alone. Names are camelCase in JavaScript and
 * snake_case in files. Unknown names are errors with a suggestion.
 */
import { didYouMean, ValueError } from '../../../ir/errors.js';

export type Options = Readonly<Record<string, unknown>>;

/** `kernelInitializer` to `kernel_initializer`; digits stay with the letters before them (`beta1` is `beta_1` through `snakeNames`). */
export const toSnake = (name: string): string => snakeNames[name] ?? name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);

/** `kernel_initializer` to `kernelInitializer`. A model's layers have the same few names again and again: they are kept, up to a number that no honest file reaches. */
export function toCamel(name: string): string {
  const known = camelNames.get(name);
  if (known !== undefined) return known;
  const made = name.replace(/_([a-z0-9])/g, (_, c: string) => c.toUpperCase());
  if (camelNames.size < 2000) camelNames.set(name, made);
  return made;
}

/** Names where the two spellings do not follow from each other by the rule. */
const snakeNames: Readonly<Record<string, string>> = {
  beta1: 'beta_1',
  beta2: 'beta_2',
  beta2Decay: 'beta_2_decay',
  epsilon1: 'epsilon_1',
  epsilon2: 'epsilon_2',
  adamBeta1: 'adam_beta_1',
  adamBeta2: 'adam_beta_2',
  keepdims: 'keepdims',
};
const camelNames = new Map(Object.entries(snakeNames).map(([a, b]) => [b, a]));

export const isPlainObject = (x: unknown): x is Record<string, unknown> => typeof x === 'object' && x !== null && Object.getPrototypeOf(x) === Object.prototype;

/**
 * The named arguments of a call. `args` are the positional arguments as given: the required ones, then an options object; or a config object alone.
 * @param what name of the class, for messages
 * @param required names of the required arguments
 * @param defaults every optional argument with its default
 */
export function resolveOptions<T extends object>(what: string, args: readonly unknown[], required: readonly (keyof T & string)[], defaults: Partial<T>): T {
  const given: Record<string, unknown> = {};
  let rest = [...args];
  while (rest.length > 0 && rest.at(-1) === undefined) rest.pop();
  const configAlone = rest.length === 1 && isPlainObject(rest[0]) && required.length > 0;
  if (!configAlone) {
    required.forEach((name, i) => {
      if (rest[i] !== undefined) given[name] = rest[i];
    });
    rest = rest.slice(required.length);
  }
  const options = rest[0];
  if (rest.length > 1) throw new ValueError(`${what}: too many arguments: expected ${[...required, 'options'].join(', ')}`);
  if (options !== undefined && !isPlainObject(options))
    throw new ValueError(`${what}: the options must be an object such as { name: 'x' }, got ${describe(options)}`);
  const known: string[] = [...required, ...Object.keys(defaults)];
  for (const [key, value] of Object.entries(options ?? {})) {
    if (!known.includes(key)) throw new ValueError(`${what}: unknown option '${key}'.${didYouMean(key, known)} Known options: ${known.join(', ')}`);
    if (typeof defaults[key as keyof T] === 'boolean' && value !== null && value !== undefined) truth(what, key, value);
    if (value !== undefined) given[key] = value;
  }
  for (const name of required) {
    if (given[name] === undefined) throw new ValueError(`${what}: the argument '${name}' is required`);
  }
  return { ...defaults, ...given } as T;
}

/** A short description of a value for messages. */
export function describe(x: unknown): string {
  if (x === null || x === undefined) return String(x);
  if (Array.isArray(x)) return `an array of ${x.length}`;
  if (typeof x === 'string') return `'${x}'`;
  if (typeof x === 'function' && typeof x.prototype === 'object') return `the class ${x.name}`;
  if (typeof x === 'object' || typeof x === 'function') {
    const name = x.constructor?.name ?? 'object';
    return `${/^[AEIOU]/.test(name) ? 'an' : 'a'} ${name}`;
  }
  return String(x);
}

/** Checks a positive integer argument. */
export function positiveInteger(what: string, name: string, x: unknown): number {
  if (typeof x !== 'number' || !Number.isInteger(x) || x <= 0) throw new ValueError(`${what}: '${name}' must be a positive integer, got ${describe(x)}`);
  return x;
}

/** A number or list of numbers as a list of `rank` positive integers. */
export function integerList(what: string, name: string, x: unknown, rank: number): number[] {
  const list = typeof x === 'number' ? new Array<number>(rank).fill(x) : Array.isArray(x) ? (x as unknown[]) : null;
  if (list === null || list.length !== rank || !list.every((v) => typeof v === 'number' && Number.isInteger(v) && v > 0)) {
    throw new ValueError(
      `${what}: '${name}' must be a positive integer or a list of ${rank} positive integers, got ${Array.isArray(x) ? `[${x.join(', ')}]` : describe(x)}`,
    );
  }
  return list as number[];
}

/** One of a few words. */
export function oneOf<T extends string>(what: string, name: string, x: unknown, words: readonly T[]): T {
  if (typeof x === 'string' && (words as readonly string[]).includes(x.toLowerCase())) return x.toLowerCase() as T;
  const suggestion = typeof x === 'string' ? didYouMean(x, words) : '';
  throw new ValueError(`${what}: '${name}' must be ${words.map((w) => `'${w}'`).join(' or ')}, got ${describe(x)}${suggestion && `.${suggestion}`}`);
}

/** Checks a number argument with bounds, which belong to the range unless `open`: then the upper one does not. */
export function numberBetween(what: string, name: string, x: unknown, low: number, high: number, open = false): number {
  if (typeof x === 'number' && x >= low && (open ? x < high : x <= high)) return x;
  const range = high === Infinity ? `a number of at least ${low}` : open ? `at least ${low} and below ${high}` : `between ${low} and ${high}`;
  throw new ValueError(`${what}: '${name}' must be ${range}, got ${describe(x)}`);
}

/** Checks an argument that is true or false. */
export function truth(what: string, name: string, x: unknown): boolean {
  if (typeof x !== 'boolean') throw new ValueError(`${what}: '${name}' must be true or false, got ${describe(x)}`);
  return x;
}

/** Checks a finite number argument. */
export function finiteNumber(what: string, name: string, x: unknown): number {
  if (typeof x !== 'number' || !Number.isFinite(x)) throw new ValueError(`${what}: '${name}' must be a finite number, got ${describe(x)}`);
  return x;
}
