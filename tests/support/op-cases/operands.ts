/** What the cases of ops work on. */
import type { SymbolicTensor, Tensor } from '../../../frontend/keras/index.js';

export type Operand = SymbolicTensor | Tensor;
export type Op = (...xs: Operand[]) => Operand;

export const a = [0.5, -1.5, 2, 3];
export const b = [2, -0.5, 2, -4];
export const m = [
  [1, 2, 3],
  [4, -5, 6],
];
export const n = [
  [1, -1],
  [0, 2],
  [3, 1],
];
export const spd = [
  [0, 2, 1, 3],
  [5, 1, 4, 2],
  [3, 6, 2, 1],
  [9, 4, 7, 8],
];
export const each = (f: (x: number) => number, xs: readonly number[] = a) => xs.map(f);
export const pair = (f: (x: number, y: number) => number) => a.map((x, i) => f(x, b[i]!));
export const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

/** Arguments, the call, and what it gives, by the name of the function. */
export type OpCases = Readonly<Record<string, readonly [inputs: readonly unknown[], op: Op, expected: unknown]>>;
