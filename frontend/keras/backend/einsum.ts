/** Einstein summation of two tensors, as one general `dot` and a transposition. */
import type { Dim } from '../../../ir/dim.js';
import { ShapeError, ValueError } from '../../../ir/errors.js';
import * as ops from './ops.js';
import type { SymbolicTensor } from './trace.js';

export interface Equation {
  readonly left: readonly string[];
  readonly right: readonly string[];
  readonly output: readonly string[];
}

/** Reads an equation such as `abc,cd->abd`. `...` on the left and in the output stands for as many axes as `leftRank` leaves. */
export function parseEquation(equation: string, leftRank: number): Equation {
  const match = /^\s*(\.\.\.)?([A-Za-z]*)(\.\.\.)?\s*,\s*([A-Za-z]+)\s*->\s*(\.\.\.)?([A-Za-z]*)(\.\.\.)?\s*$/.exec(equation);
  if (!match) throw new ValueError(`einsum: cannot read the equation '${equation}': expected a form such as 'abc,cd->abd' or '...x,xy->...y'`);
  const [, front, left, back, right, outFront, output, outBack] = match as unknown as [string, ...(string | undefined)[]];
  const hidden = front || back ? leftRank - left!.length : 0;
  if (hidden < 0 || (!front && !back && left!.length !== leftRank))
    throw new ShapeError(`einsum: the equation '${equation}' does not fit a tensor of rank ${leftRank}`);
  const rest = Array.from({ length: hidden }, (_, i) => `*${i}`);
  const letters = (s: string | undefined): string[] => [...(s ?? '')];
  return {
    left: front ? [...rest, ...letters(left)] : [...letters(left), ...(back ? rest : [])],
    right: letters(right),
    output: outFront ? [...rest, ...letters(output)] : [...letters(output), ...(outBack ? rest : [])],
  };
}

/** Sum of products over the letters that the output lacks. */
export function einsum(equation: string, a: SymbolicTensor, b: SymbolicTensor): SymbolicTensor {
  const e = parseEquation(equation, a.rank);
  for (const [list, x] of [
    [e.left, a],
    [e.right, b],
  ] as const) {
    if (list.length !== x.rank) throw new ShapeError(`einsum: the equation '${equation}' does not fit a tensor of rank ${x.rank}`);
    if (new Set(list).size !== list.length) throw new ValueError(`einsum: a letter occurs twice in one operand of '${equation}'`);
  }
  const unknown = e.output.find((c) => !e.left.includes(c) && !e.right.includes(c));
  if (unknown !== undefined) throw new ValueError(`einsum: the letter '${unknown}' of the output of '${equation}' is in neither operand`);
  // letters of one operand alone that the output lacks are summed first
  const alone = (own: readonly string[], other: readonly string[]) => own.filter((c) => !other.includes(c) && !e.output.includes(c));
  const summed = (x: SymbolicTensor, own: readonly string[], gone: readonly string[]) =>
    gone.length === 0
      ? x
      : ops.sum(
          x,
          gone.map((c) => own.indexOf(c)),
        );
  const [goneLeft, goneRight] = [alone(e.left, e.right), alone(e.right, e.left)];
  const left = e.left.filter((c) => !goneLeft.includes(c));
  const right = e.right.filter((c) => !goneRight.includes(c));
  const shared = left.filter((c) => right.includes(c));
  const batch = shared.filter((c) => e.output.includes(c));
  const contract = shared.filter((c) => !e.output.includes(c));
  const at = (own: readonly string[], list: readonly string[]) => list.map((c) => own.indexOf(c));
  const product = ops.dot(summed(a, e.left, goneLeft), summed(b, e.right, goneRight), {
    batchLeft: at(left, batch),
    batchRight: at(right, batch),
    contractLeft: at(left, contract),
    contractRight: at(right, contract),
  });
  const order = [...batch, ...left.filter((c) => !shared.includes(c)), ...right.filter((c) => !shared.includes(c))];
  return ops.transpose(product, at(order, e.output));
}

/** Sizes of the letters of an equation, as far as the operands' shapes tell. */
export function letterSizes(letters: readonly string[], shape: readonly (Dim | null)[]): Map<string, Dim | null> {
  return new Map(letters.map((c, i) => [c, shape[i] ?? null]));
}
