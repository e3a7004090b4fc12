/** Checks that shape inference of several ops shares. Every message starts with the op's name. */

import { addDim, type Dim, equalDim, equalShape, floorDivDim, isStatic, mulDim, shapeToString, subDim } from '../dim.js';
import { type DType, isFloat, isInteger } from '../dtype.js';
import { ShapeError, ValueError } from '../errors.js';
import { type TensorType, typeToString } from '../graph.js';

export function fail(op: string, message: string): never {
  throw new ShapeError(`${op}: ${message}`);
}
export function failValue(op: string, message: string): never {
  throw new ValueError(`${op}: ${message}`);
}

export function expectInputs(op: string, inputs: readonly TensorType[], n: number): void {
  if (inputs.length !== n) fail(op, `expected ${n} input${n === 1 ? '' : 's'}, found ${inputs.length}`);
}

export function expectAxis(op: string, axis: number, rank: number): void {
  if (!Number.isInteger(axis) || axis < 0 || axis >= rank) fail(op, `axis ${axis} is not an axis of a tensor of rank ${rank}`);
}

/** Axes in range, each at most once; ascending unless `anyOrder`. */
export function expectAxes(op: string, axes: readonly number[], rank: number, anyOrder = false): void {
  for (const [i, a] of axes.entries()) {
    expectAxis(op, a, rank);
    if (anyOrder ? axes.indexOf(a) !== i : i > 0 && axes[i - 1]! >= a)
      fail(op, `axes [${axes.join(',')}] must be ${anyOrder ? 'distinct' : 'ascending and distinct'}`);
  }
}

export function expectList(op: string, name: string, list: readonly unknown[], n: number): void {
  if (list.length !== n) fail(op, `${name} has ${list.length} entries, expected ${n}`);
}

export function expectInts(op: string, name: string, list: readonly number[], n: number, lowest = -Infinity): void {
  expectList(op, name, list, n);
  for (const x of list)
    if (!Number.isInteger(x) || x < lowest) fail(op, `${name} [${list.join(',')}] must hold integers${lowest === -Infinity ? '' : ` of at least ${lowest}`}`);
}

export function expectSameTypes(op: string, inputs: readonly TensorType[]): void {
  const [first, ...rest] = inputs as [TensorType, ...TensorType[]];
  for (const t of rest) {
    if (t.dtype !== first.dtype || !equalShape(t.shape, first.shape))
      fail(op, `operands must have the same type, found ${inputs.map(typeToString).join(' and ')}`);
  }
}

export function expectSameDType(op: string, inputs: readonly TensorType[]): void {
  if (inputs.some((t) => t.dtype !== inputs[0]!.dtype)) fail(op, `operands must have the same dtype, found ${inputs.map((t) => t.dtype).join(' and ')}`);
}

export type DTypeClass = 'float' | 'integer' | 'number' | 'bool' | 'logical';
const classes: Record<DTypeClass, (t: DType) => boolean> = {
  float: isFloat,
  integer: isInteger,
  number: (t) => t !== 'bool',
  bool: (t) => t === 'bool',
  logical: (t) => t === 'bool' || isInteger(t),
};
const classNames: Record<DTypeClass, string> = { float: 'a float', integer: 'an integer', number: 'a numeric', bool: 'a bool', logical: 'a bool or integer' };

export function expectDType(op: string, t: TensorType, kind: DTypeClass): void {
  if (!classes[kind](t.dtype)) fail(op, `expected ${classNames[kind]} tensor, found ${typeToString(t)}`);
}

export const is = (d: Dim, n: number): boolean => isStatic(d) && d === n;

/** Whether `d` is below 0 for every value of its (non-negative) symbols. */
export const surelyNegative = (d: Dim): boolean => (isStatic(d) ? d < 0 : d.offset < 0 && d.terms.every(([, c]) => c <= 0));

/** Size of a dimension with `dilation - 1` holes between elements. */
export const dilatedDim = (d: Dim, dilation: number): Dim => (is(d, 0) ? 0 : addDim(mulDim(subDim(d, 1), dilation), 1));

/** One axis of a window: sizes may be symbolic where the division by the stride stays affine. */
export interface WindowAxis {
  readonly size: Dim;
  readonly window: Dim;
  readonly stride: number;
  readonly padding: readonly [number, number];
  readonly baseDilation: number;
  readonly windowDilation: number;
}

/** Number of window positions along one axis. */
export function windowOutput(op: string, axis: number, w: WindowAxis): Dim {
  const padded = addDim(dilatedDim(w.size, w.baseDilation), w.padding[0] + w.padding[1]);
  const room = subDim(padded, dilatedDim(w.window, w.windowDilation));
  if (surelyNegative(room)) {
    if (isStatic(room) && isStatic(padded) && padded >= 0) return 0;
    fail(op, `the window ${w.window} (dilation ${w.windowDilation}) does not fit axis ${axis} of size ${w.size} with padding [${w.padding.join(',')}]`);
  }
  const steps = floorDivDim(room, w.stride);
  if (steps === null)
    fail(op, `axis ${axis} has symbolic size ${w.size}: stride ${w.stride} would give a size that is not affine; use stride 1 or a static size`);
  return addDim(steps, 1);
}

/** The axis is passed through unchanged: window 1, stride 1, no padding, no dilation. */
export const trivialWindow = (w: WindowAxis): boolean => is(w.window, 1) && w.stride === 1 && w.padding[0] === 0 && w.padding[1] === 0 && w.baseDilation === 1;

/** `axis i -> axis i` for all axes of `t` but those in `except`. */
export const sameAxes = (t: TensorType, except: readonly number[] = []): (number | null)[] => t.shape.map((_, i) => (except.includes(i) ? null : i));

export function expectEqualDim(op: string, what: string, a: Dim, b: Dim): void {
  if (!equalDim(a, b)) fail(op, `${what}: ${a} and ${b} differ`);
}

export const describe = (inputs: readonly TensorType[]): string => inputs.map((t) => `${t.dtype}${shapeToString(t.shape)}`).join(', ');

/** The axes of a dot's operand that are neither batch nor contracted. */
export const freeAxes = (rank: number, batch: readonly number[], contract: readonly number[]): number[] =>
  Array.from({ length: rank }, (_, i) => i).filter((i) => !batch.includes(i) && !contract.includes(i));
