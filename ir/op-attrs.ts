/**
 * The primitives and their typed attributes: one line per op. Axes are non-negative here. Elementwise ops want equal shapes; broadcasting is the
 * op `broadcast`. Each op's record (shape inference, reference evaluation, gradient, axes, printing) is in ir/ops/.
 */

import type { Dim, Shape } from './dim.js';
import type { DType } from './dtype.js';
import type { Graph } from './graph.js';
import type { TensorData } from './tensor-data.js';

export const unaryFunctions = [
  'neg',
  'abs',
  'sign',
  'floor',
  'ceil',
  'round',
  'exp',
  'expm1',
  'log',
  'log1p',
  'sqrt',
  'rsqrt',
  'reciprocal',
  'sin',
  'cos',
  'tan',
  'asin',
  'acos',
  'atan',
  'sinh',
  'cosh',
  'tanh',
  'asinh',
  'acosh',
  'atanh',
  'sigmoid',
  'erf',
  'not',
  'bitwise_not',
  'is_nan',
  'is_inf',
] as const;
/** round is half to even; not is for bool; is_nan and is_inf give bool. */
export type UnaryFunction = (typeof unaryFunctions)[number];

export const binaryFunctions = ['add', 'sub', 'mul', 'div', 'rem', 'pow', 'max', 'min', 'atan2', 'and', 'or', 'xor', 'shift_left', 'shift_right'] as const;
/** div truncates on integers; rem has the sign of the dividend; and/or/xor are logical on bool and bitwise on integers; max and min propagate NaN; shift_right is logical on unsigned, arithmetic on signed. */
export type BinaryFunction = (typeof binaryFunctions)[number];

export const compareFunctions = ['eq', 'ne', 'lt', 'le', 'gt', 'ge'] as const;
export type CompareFunction = (typeof compareFunctions)[number];

export type ReduceFunction = 'sum' | 'prod' | 'max' | 'min' | 'any' | 'all';
export type Pair = readonly [number, number];

/** Which dimension of each operand plays which role in a convolution (XLA's dimension numbers). */
export interface ConvDims {
  readonly input: { readonly batch: number; readonly feature: number; readonly spatial: readonly number[] };
  readonly kernel: { readonly input: number; readonly output: number; readonly spatial: readonly number[] };
  readonly output: { readonly batch: number; readonly feature: number; readonly spatial: readonly number[] };
}

export interface OpAttrs {
  // sources
  constant: { readonly value: TensorData };
  iota: { readonly shape: Shape; readonly axis: number; readonly dtype: DType };
  /** The value of a dimension, as an int32 scalar (so that means divide by the real batch size). */
  dim_size: { readonly dim: Dim };
  /** Threefry-2x32-20. Input: key uint32[2]. Element i (row-major) is word i%2 of the block with counter (i/2, 0): the same bits on every target. */
  random_bits: { readonly shape: Shape };
  // elementwise
  unary: { readonly fn: UnaryFunction };
  binary: { readonly fn: BinaryFunction };
  compare: { readonly fn: CompareFunction };
  /** Inputs: condition bool, then, else; equal shapes. */
  select: Record<never, never>;
  /** Floats to integers truncate toward zero and saturate, NaN is 0; integers to integers wrap; to 16-bit floats rounds to nearest even; to bool is `!= 0`. */
  cast: { readonly dtype: DType };
  /** The same bits as another dtype of the same size; not for bool. */
  bitcast: { readonly dtype: DType };
  // shape
  /** Input axis i becomes output axis axes[i] (ascending); it must be 1 or equal the output's dimension. */
  broadcast: { readonly shape: Shape; readonly axes: readonly number[] };
  reshape: { readonly shape: Shape };
  /** Output axis i is input axis perm[i]. */
  transpose: { readonly perm: readonly number[] };
  slice: { readonly start: readonly Dim[]; readonly limit: readonly Dim[]; readonly stride: readonly number[] };
  /** low/high may be negative (crop); interior puts that many values between elements. */
  pad: { readonly low: readonly number[]; readonly high: readonly number[]; readonly interior: readonly number[]; readonly value: number };
  concat: { readonly axis: number };
  reverse: { readonly axes: readonly number[] };
  // gather and scatter
  /** Inputs: operand, indices (int32, any rank). Output: operand[:axis] + indices.shape + operand[axis+1:]. Indices out of range are clamped. */
  gather: { readonly axis: number };
  /** Inputs: operand, indices (int32), updates shaped as gather's output. Out-of-range indices are dropped. `set` with repeated indices: the last wins. */
  scatter: { readonly axis: number; readonly fn: 'add' | 'set' | 'mul' | 'max' | 'min' };
  // reductions (reduced axes are removed)
  reduce: { readonly fn: ReduceFunction; readonly axes: readonly number[] };
  /** int32 index of the first extreme value; NaN counts as the extreme. */
  arg_reduce: { readonly fn: 'argmax' | 'argmin'; readonly axis: number };
  cumulative: { readonly fn: 'sum' | 'prod' | 'max' | 'min'; readonly axis: number; readonly exclusive: boolean; readonly reverse: boolean };
  /** Over every axis of the input; padding is with the identity of fn. */
  reduce_window: {
    readonly fn: 'sum' | 'max' | 'min' | 'prod';
    readonly window: readonly number[];
    readonly strides: readonly number[];
    readonly padding: readonly Pair[];
    readonly baseDilation: readonly number[];
    readonly windowDilation: readonly number[];
  };
  /** Transpose of max/min reduce_window. Inputs: operand, cotangent of the windows. Each window's cotangent goes to its first extreme (row-major). */
  select_and_scatter: {
    readonly fn: 'max' | 'min';
    readonly window: readonly number[];
    readonly strides: readonly number[];
    readonly padding: readonly Pair[];
  };
  // contractions
  /** Output axes: batch, then free of the left, then free of the right operand. */
  dot: {
    readonly batchLeft: readonly number[];
    readonly batchRight: readonly number[];
    readonly contractLeft: readonly number[];
    readonly contractRight: readonly number[];
  };
  /**
   * General N-d convolution (cross-correlation). Negative padding crops. `groups`: features; `batchGroups`: batch groups (XLA's batch_group_count), used by the
   * gradient of grouped convolutions with respect to the kernel.
   */
  conv: {
    readonly strides: readonly number[];
    readonly padding: readonly Pair[];
    readonly inputDilation: readonly number[];
    readonly kernelDilation: readonly number[];
    readonly groups: number;
    readonly batchGroups: number;
    readonly dims: ConvDims;
  };
  // control flow
  /**
   * Inputs: `carries` initial carried values, `xs` sequences (axis 0 is the step), then constants. The body has inputs (carries, x slices, constants) and
   * outputs (new carries, y slices). Outputs: final carries, then ys stacked on axis 0. reverse runs from the last step to the first (ys stay in place).
   */
  scan: { readonly body: Graph; readonly carries: number; readonly xs: number; readonly length: Dim; readonly reverse: boolean };
  /** Inputs: condition (bool scalar), then the operands of both branches. */
  if: { readonly then: Graph; readonly else: Graph };
  /** Inputs: carried values, then constants. cond and body have inputs (carries, constants). */
  while: { readonly cond: Graph; readonly body: Graph; readonly carries: number };
  /** A named sub-graph: `decompose` replaces it by its body. `attributes` are for exporters and printers. */
  composite: { readonly name: string; readonly attributes: Readonly<Record<string, string | number | boolean | readonly number[]>>; readonly body: Graph };
}

export type OpName = keyof OpAttrs;
