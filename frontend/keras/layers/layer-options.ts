/** Checks of options that many layers share, by name: each error names the layer's class, the option and what it got. */
import { ValueError } from '../../../ir/errors.js';
import * as activations from '../activations.js';
import * as constraints from '../constraints.js';
import * as initializers from '../initializers/index.js';
import * as regularizers from '../regularizers.js';
import { describe } from '../utils/options.js';

const integer = (x: unknown): boolean => Number.isInteger(x);
const integers = (x: unknown): boolean => integer(x) || (Array.isArray(x) && x.every(integer));
const finite = (x: unknown): boolean => typeof x === 'number' && Number.isFinite(x);

/** What an option may be, in words; null and undefined stand for its default. */
const kinds: Readonly<Record<string, readonly [fits: (x: unknown) => boolean, wanted: string]>> = {
  seed: [integer, 'a whole number'],
  axis: [integers, 'a whole number or a list of them'],
  sharedAxes: [integers, 'a whole number or a list of them'],
  noiseShape: [(x) => Array.isArray(x) && x.every((d) => d === null || integer(d)), 'a list of whole numbers or null'],
  momentum: [finite, 'a finite number'],
  epsilon: [finite, 'a finite number'],
  maxValue: [(x) => finite(x) || x === Infinity, 'a number'],
  negativeSlope: [finite, 'a finite number'],
  threshold: [finite, 'a finite number'],
  l1: [finite, 'a finite number'],
  l2: [finite, 'a finite number'],
};

/** Checks what a name stands for, with `look`, which throws where it stands for nothing. */
function known(className: string, option: string, x: unknown, look: (id: never) => unknown): void {
  if (x === null || x === undefined) return;
  try {
    look(x as never);
  } catch (e) {
    if (e instanceof Error && !e.message.includes(className)) e.message = `${className}: '${option}': ${e.message}`;
    throw e;
  }
}

/** Throws ValueError or UnsupportedError for the first impossible option. */
export function checkCommonOptions(className: string, options: object): void {
  for (const [option, x] of Object.entries(options)) {
    const kind = Object.hasOwn(kinds, option) ? kinds[option] : undefined;
    if (kind && x !== null && x !== undefined && !kind[0](x))
      throw new ValueError(`${className}: '${option}' must be ${kind[1]}, got ${Array.isArray(x) ? JSON.stringify(x) : describe(x)}`);
    if (option.endsWith('Initializer')) known(className, option, x, initializers.checkIdentifier);
    else if (option.endsWith('Regularizer')) known(className, option, x, regularizers.get);
    else if (option.endsWith('Constraint')) known(className, option, x, constraints.get);
    else if (option === 'activation' || option === 'recurrentActivation') known(className, option, x, activations.get);
  }
}
