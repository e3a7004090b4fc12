/** Operations on sizes: what models compute from `tf.shape(x)` to make other shapes of. They are done when a plan is made, with symbols for sizes that are not known then. */
import { addDim, type Dim, floorDivDim, isStatic, mulDim, subDim } from '../../../ir/dim.js';
import { UnsupportedError } from '../../../ir/errors.js';
import { isPlainObject } from '../utils/options.js';
import { type Arguments, firstNames, Sizes, secondNames, sizesOf } from './arguments.js';

type Rule = (a: Arguments) => Sizes | readonly Sizes[];

const operand = (a: Arguments, at: 0 | 1): Sizes => sizesOf(a.get(at, ...(at === 0 ? firstNames : secondNames)) ?? null, at === 0 ? 'x' : 'y');

/** Element by element; one number stands beside a vector. */
const each =
  (f: (x: Dim, y: Dim) => Dim): Rule =>
  (a) => {
    const [x, y] = [operand(a, 0), operand(a, 1)];
    if (!Array.isArray(x.value) && !Array.isArray(y.value)) return new Sizes(f(x.value as Dim, y.value as Dim));
    const n = Math.max(x.list.length, y.list.length);
    const at = (s: Sizes, i: number): Dim => s.list[s.list.length === 1 ? 0 : i]!;
    return new Sizes(Array.from({ length: n }, (_, i) => f(at(x, i), at(y, i))));
  };
const known = (d: Dim, what: string): number => {
  if (!isStatic(d)) throw new UnsupportedError(`${what} of the size ${String(d)}, which is not known when the model is compiled, cannot be computed`);
  return d;
};
const product = (x: Dim, y: Dim): Dim => {
  if (!isStatic(x) && !isStatic(y))
    throw new UnsupportedError(`the product of the sizes ${String(x)} and ${String(y)}, which are not known when the model is compiled, cannot be computed`);
  return mulDim(x, y);
};
const quotient = (x: Dim, y: Dim): Dim => {
  const d = floorDivDim(x, known(y, 'division by'));
  if (d === null) throw new UnsupportedError(`the size ${String(x)} cannot be divided by ${String(y)} when the model is compiled`);
  return d;
};
const first: Rule = (a) => operand(a, 0);
const all = (a: Arguments): Sizes => {
  const x = a.get(0, 'values', 'xs', 'arrays');
  return new Sizes((Array.isArray(x) ? x : [x]).flatMap((e: unknown) => sizesOf(e, 'values').list));
};

/** By the names of operations in Keras 3, in snake_case. */
export const onSizes: Readonly<Record<string, Rule>> = {
  add: each(addDim),
  subtract: each(subDim),
  multiply: each(product),
  floor_divide: each(quotient),
  maximum: each((x, y) => Math.max(known(x, 'the maximum'), known(y, 'the maximum'))),
  minimum: each((x, y) => Math.min(known(x, 'the minimum'), known(y, 'the minimum'))),
  prod: (a) => new Sizes(operand(a, 0).list.reduce<Dim>(product, 1)),
  sum: (a) => new Sizes(operand(a, 0).list.reduce<Dim>(addDim, 0)),
  stack: all,
  concatenate: all,
  cast: first,
  identity: first,
  convert_to_tensor: first,
  stop_gradient: first,
  unstack: (a) => operand(a, 0).list.map((d) => new Sizes(d)),
  get_item: (a) => {
    const { list } = operand(a, 0);
    const given = a.get(1, 'slice_spec', 'key');
    const spec: unknown = Array.isArray(given) ? given[0] : given;
    if (typeof spec === 'number') return new Sizes(list.at(spec)!);
    const { start, stop, step } = (isPlainObject(spec) && isPlainObject(spec.config) ? spec.config : spec) as Record<'start' | 'stop' | 'step', number | null>;
    if ((step ?? 1) !== 1) throw new UnsupportedError(`a slice of a shape with step ${step} cannot be read`);
    return new Sizes(list.slice(start ?? 0, stop ?? undefined));
  },
};
