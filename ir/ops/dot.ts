/** General contraction of two tensors. */
import { AttrReader, attrText, listText } from '../attr-text.js';
import { equalDim } from '../dim.js';
import type { TensorType } from '../graph.js';
import { defineOp } from '../op.js';
import { describe, expectAxes, expectDType, expectInputs, expectSameDType, fail } from './check.js';
import { pendingEvaluate } from './pending.js';

/** The axes of an operand that are neither batch nor contracted. */
export const freeAxes = (rank: number, batch: readonly number[], contract: readonly number[]): number[] =>
  Array.from({ length: rank }, (_, i) => i).filter((i) => !batch.includes(i) && !contract.includes(i));

export const dot = defineOp({
  name: 'dot',
  kind: 'contraction',
  infer: (inputs, { batchLeft, batchRight, contractLeft, contractRight }) => {
    expectInputs('dot', inputs, 2);
    expectSameDType('dot', inputs);
    const [left, right] = inputs as [TensorType, TensorType];
    expectDType('dot', left, 'number');
    expectAxes('dot', [...batchLeft, ...contractLeft], left.shape.length, true);
    expectAxes('dot', [...batchRight, ...contractRight], right.shape.length, true);
    const match = (what: string, l: readonly number[], r: readonly number[]): void => {
      if (l.length !== r.length) fail('dot', `${l.length} ${what} axes on the left, ${r.length} on the right`);
      for (const [i, a] of l.entries()) {
        const b = r[i]!;
        if (!equalDim(left.shape[a]!, right.shape[b]!)) fail('dot', `${what} axis ${a} of the left operand has size ${left.shape[a]}, axis ${b} of the right ${right.shape[b]} (operands ${describe(inputs)})`);
      }
    };
    match('batch', batchLeft, batchRight);
    match('contracted', contractLeft, contractRight);
    const shape = [
      ...batchLeft.map((a) => left.shape[a]!),
      ...freeAxes(left.shape.length, batchLeft, contractLeft).map((a) => left.shape[a]!),
      ...freeAxes(right.shape.length, batchRight, contractRight).map((a) => right.shape[a]!),
    ];
    return [{ dtype: left.dtype, shape }];
  },
  evaluate: pendingEvaluate,
  gradient: { none: 'pending' },
  axes: (inputs, { batchLeft, batchRight, contractLeft, contractRight }) => {
    const [left, right] = inputs as [TensorType, TensorType];
    const freeLeft = freeAxes(left.shape.length, batchLeft, contractLeft);
    const freeRight = freeAxes(right.shape.length, batchRight, contractRight);
    const map = (rank: number, order: readonly number[], offset: (i: number) => number): (number | null)[] =>
      Array.from({ length: rank }, (_, a) => (order.includes(a) ? offset(order.indexOf(a)) : null));
    const n = batchLeft.length;
    return [map(left.shape.length, [...batchLeft, ...freeLeft], (i) => i), map(right.shape.length, [...batchRight, ...freeRight], (i) => (i < n ? i : i + freeLeft.length))];
  },
  print: (a) => attrText({ batchLeft: listText(a.batchLeft), batchRight: listText(a.batchRight), contractLeft: listText(a.contractLeft), contractRight: listText(a.contractRight) }),
  parse: (attrs) => {
    const a = new AttrReader(attrs);
    return { batchLeft: a.numbers('batchLeft'), batchRight: a.numbers('batchRight'), contractLeft: a.numbers('contractLeft'), contractRight: a.numbers('contractRight') };
  },
});
