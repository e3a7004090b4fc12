/** Variables, constants and their values, of `tf.keras.backend`. */
import type { Dim } from '../../../../ir/dim.js';
import type { DType } from '../../../../ir/dtype.js';
import { ValueError } from '../../../../ir/errors.js';
import * as initializers from '../../initializers/index.js';
import { Input } from '../../layers/core.js';
import { type KerasDType, KerasTensor } from '../../layers/node.js';
import * as ops from '../../ops/index.js';
import { type ArrayLikeInput, Tensor, toTensor } from '../../tensor.js';
import { uniqueNumber } from '../../utils/naming.js';
import { SymbolicTensor } from '../trace.js';
import { Variable } from '../variable.js';

export interface VariableForm {
  readonly dtype?: DType;
  readonly name?: string;
}
const pathOf = (name: string | undefined): string => name ?? `variable_${uniqueNumber('variable')}`;
const hostTensor = (what: string, value: ArrayLikeInput): Tensor => (typeof value === 'number' ? new Tensor([value], []) : toTensor(what, value));

/** A variable with this value. */
export function variable(value: ArrayLikeInput, options: VariableForm & { readonly trainable?: boolean } = {}): Variable {
  const t = hostTensor('backend.variable', value);
  const v = new Variable({ path: pathOf(options.name), shape: t.shape, dtype: options.dtype ?? t.dtype, trainable: options.trainable ?? true });
  v.assign(t.data);
  return v;
}
const made = (shape: readonly number[], initializer: initializers.InitializerIdentifier, options: VariableForm): Variable =>
  new Variable({ path: pathOf(options.name), shape, dtype: options.dtype ?? 'float32', initializer: initializers.get(initializer) });
/** A variable of zeros, as in tf.keras.backend. */
export const zeros = (shape: readonly number[], options: VariableForm = {}): Variable => made(shape, 'zeros', options);
/** A variable of ones. */
export const ones = (shape: readonly number[], options: VariableForm = {}): Variable => made(shape, 'ones', options);
/** A variable of uniform numbers in [low, high). */
export const randomUniformVariable = (
  shape: readonly number[],
  low: number,
  high: number,
  options: VariableForm & { readonly seed?: number | null } = {},
): Variable => made(shape, initializers.RandomUniform({ minval: low, maxval: high, seed: options.seed ?? null }), options);
/** A variable of normal numbers with this mean and standard deviation. */
export const randomNormalVariable = (
  shape: readonly number[],
  mean: number,
  scale: number,
  options: VariableForm & { readonly seed?: number | null } = {},
): Variable => made(shape, initializers.RandomNormal({ mean, stddev: scale, seed: options.seed ?? null }), options);

export const constant = (value: ArrayLikeInput, dtype?: DType, shape?: readonly number[]): Tensor => {
  const t = typeof value === 'number' ? new Tensor([value], []) : ops.convertToTensor(value);
  const data = shape && t.size === 1 ? new Float32Array(shape.reduce((a, d) => a * d, 1)).fill(t.data[0]!) : t.data;
  return ops.cast(new Tensor(data, shape ?? t.shape, t.size === 1 && shape ? 'float32' : t.dtype), dtype ?? 'float32');
};

/** An input of a functional model by its whole shape, whose first size is the batch (null: any). */
export function placeholder(shape: readonly (number | null)[], options: { readonly dtype?: KerasDType; readonly name?: string } = {}): KerasTensor {
  if (!Array.isArray(shape) || shape.length === 0) throw new ValueError('backend.placeholder: expected a shape with the batch first, such as [null, 3]');
  const [batch, ...rest] = shape as (number | null)[];
  return Input({ shape: rest, ...(typeof batch === 'number' ? { batchSize: batch } : {}), dtype: options.dtype ?? 'float32', name: options.name });
}

/** The value of a variable on the host. */
export const getValue = (x: Variable): Tensor => ops.convertToTensor(x);
/** The value of a variable, or of a tensor that has one. */
const evalOf = (x: Variable | Tensor | SymbolicTensor): Tensor =>
  x instanceof Variable ? getValue(x) : x instanceof SymbolicTensor ? x.toTensor('backend.eval') : x;

export { evalOf as eval };
export const setValue = (x: Variable, value: ArrayLikeInput): void => x.assign(typeof value === 'number' ? value : toTensor('backend.setValue', value).data);
export const batchGetValue = (xs: readonly Variable[]): Tensor[] => xs.map(getValue);
export const batchSetValue = (pairs: readonly (readonly [Variable, ArrayLikeInput])[]): void => {
  for (const [x, value] of pairs) setValue(x, value);
};

type Change = SymbolicTensor | ArrayLikeInput;
/** What variables take: a tensor of the call, a number, or elements. */
const changeOf = (what: string, x: Change): SymbolicTensor | number | ArrayLike<number> =>
  x instanceof SymbolicTensor || typeof x === 'number' ? x : toTensor(what, x).data;
/** Gives the variable a new value, in a call or on the host; gives the variable back. */
export function update(x: Variable, value: Change): Variable {
  x.assign(changeOf('backend.update', value));
  return x;
}
export function updateAdd(x: Variable, by: Change): Variable {
  x.assignAdd(changeOf('backend.updateAdd', by));
  return x;
}
export function updateSub(x: Variable, by: Change): Variable {
  x.assignSub(changeOf('backend.updateSub', by));
  return x;
}
/** x * momentum + value * (1 - momentum) becomes the variable's value. */
export function movingAverageUpdate(x: Variable, value: Change, momentum: number): Variable {
  x.assignSub(changeOf('backend.movingAverageUpdate', ops.multiply(ops.subtract(x, value), 1 - momentum)));
  return x;
}

type Shaped = SymbolicTensor | KerasTensor | Tensor | Variable;
/** The sizes of the axes; null where unknown. */
export const intShape = (x: Shaped): (number | null)[] => x.shape.map((d: Dim | null) => (typeof d === 'number' ? d : null));
/** The sizes of the axes; in a call an unknown one is a symbol. */
export const shape = ops.shape;
export const ndim = (x: Shaped): number => x.shape.length;
export const dtype = (x: Shaped): KerasDType => x.dtype;
export const countParams = (x: Shaped): number => intShape(x).reduce<number>((a, d) => a * (d ?? 1), 1);
export const isKerasTensor = (x: unknown): x is KerasTensor => x instanceof KerasTensor;
/** Always false: there are no sparse tensors. */
export const isSparse = (_: Shaped): boolean => false;
/** x as it is: there are no sparse tensors. */
export const toDense = <X extends Shaped>(x: X): X => x;
/** Prints the message and the elements, and gives x back. In a call it needs values: `runEagerly`. */
export function printTensor<X extends Variable | Tensor | SymbolicTensor>(x: X, message = ''): X {
  console.log(`${message}${message ? ' ' : ''}${(x instanceof SymbolicTensor ? x.toTensor('backend.printTensor') : evalOf(x)).toString()}`);
  return x;
}
