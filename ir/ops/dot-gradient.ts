/** Gradient of dot: two dots. Each is written so that for a plain matrix product no operand is transposed. */
import type { Value } from '../graph.js';
import type { GradientContext } from '../op.js';
import { freeAxes } from './check.js';

const range = (from: number, n: number): number[] => Array.from({ length: n }, (_, i) => from + i);
const ascending = (xs: readonly number[]): number[] => [...xs].sort((a, b) => a - b);

export function dotGradient({ b, node, grads, wanted }: GradientContext<'dot'>): (Value | null)[] {
  const g = grads[0]!;
  const [left, right] = node.inputs as [Value, Value];
  const { batchLeft, batchRight, contractLeft, contractRight } = node.attrs;
  const freeLeft = freeAxes(left.shape.length, batchLeft, contractLeft);
  const freeRight = freeAxes(right.shape.length, batchRight, contractRight);
  const n = batchLeft.length;
  const batch = range(0, n);
  /** The result's axis j belongs at axis order[j] of the operand. */
  const arrange = (v: Value, order: readonly number[]): Value =>
    b.transpose(
      v,
      order.map((_, i) => order.indexOf(i)),
    );
  const dLeft = (): Value => {
    const d = b.dot(g, right, { batchLeft: batch, batchRight, contractLeft: range(n + freeLeft.length, freeRight.length), contractRight: freeRight });
    return arrange(d, [...batchLeft, ...freeLeft, ...ascending(contractRight).map((a) => contractLeft[contractRight.indexOf(a)]!)]);
  };
  const dRight = (): Value => {
    const d = b.dot(left, g, { batchLeft, batchRight: batch, contractLeft: freeLeft, contractRight: range(n, freeLeft.length) });
    return arrange(d, [...batchRight, ...ascending(contractLeft).map((a) => contractRight[contractLeft.indexOf(a)]!), ...freeRight]);
  };
  return [wanted[0] ? dLeft() : null, wanted[1] ? dRight() : null];
}
