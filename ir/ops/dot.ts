/** General contraction of two tensors. */
import { AttrReader, attrText, listText } from '../attr-text.js';
import { equalDim } from '../dim.js';
import { isInteger } from '../dtype.js';
import type { TensorType } from '../graph.js';
import { defineOp } from '../op.js';
import { sizeOf } from '../tensor-data.js';
import { describe, expectAxes, expectDType, expectInputs, expectSameDType, fail, freeAxes } from './check.js';
import { dotGradient } from './dot-gradient.js';
import { allocateFor, permute } from './loops.js';
import { bilinear } from './wide.js';

export { freeAxes };

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
        if (!equalDim(left.shape[a]!, right.shape[b]!))
          fail(
            'dot',
            `${what} axis ${a} of the left operand has size ${left.shape[a]}, axis ${b} of the right ${right.shape[b]} (operands ${describe(inputs)})`,
          );
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
  evaluate: bilinear(([left, right], a, [type], { bindings }) => {
    const out = allocateFor(type!, bindings);
    const x = permute(left!, [...a.batchLeft, ...freeAxes(left!.shape.length, a.batchLeft, a.contractLeft), ...a.contractLeft]).data;
    const y = permute(right!, [...a.batchRight, ...freeAxes(right!.shape.length, a.batchRight, a.contractRight), ...a.contractRight]).data;
    const batch = sizeOf(a.batchLeft.map((i) => left!.shape[i]!));
    const depth = sizeOf(a.contractLeft.map((i) => left!.shape[i]!));
    if (batch * depth === 0) return [out];
    const [rows, columns] = [x.length / batch / depth, y.length / batch / depth];
    const integer = isInteger(left!.dtype);
    for (let b = 0, to = 0; b < batch; b++) {
      for (let i = 0; i < rows; i++) {
        for (let j = 0; j < columns; j++, to++) {
          let acc = 0;
          for (let k = 0, p = (b * rows + i) * depth, q = (b * columns + j) * depth; k < depth; k++, p++, q++)
            acc += integer ? Math.imul(x[p]!, y[q]!) : x[p]! * y[q]!;
          out.data[to] = acc;
        }
      }
    }
    return [out];
  }),
  gradient: dotGradient,
  axes: (inputs, { batchLeft, batchRight, contractLeft, contractRight }) => {
    const [left, right] = inputs as [TensorType, TensorType];
    const freeLeft = freeAxes(left.shape.length, batchLeft, contractLeft);
    const freeRight = freeAxes(right.shape.length, batchRight, contractRight);
    const map = (rank: number, order: readonly number[], offset: (i: number) => number): (number | null)[] =>
      Array.from({ length: rank }, (_, a) => (order.includes(a) ? offset(order.indexOf(a)) : null));
    const n = batchLeft.length;
    return [
      map(left.shape.length, [...batchLeft, ...freeLeft], (i) => i),
      map(right.shape.length, [...batchRight, ...freeRight], (i) => (i < n ? i : i + freeLeft.length)),
    ];
  },
  print: (a) =>
    attrText({
      batchLeft: listText(a.batchLeft),
      batchRight: listText(a.batchRight),
      contractLeft: listText(a.contractLeft),
      contractRight: listText(a.contractRight),
    }),
  parse: (attrs) => {
    const a = new AttrReader(attrs);
    return {
      batchLeft: a.numbers('batchLeft'),
      batchRight: a.numbers('batchRight'),
      contractLeft: a.numbers('contractLeft'),
      contractRight: a.numbers('contractRight'),
    };
  },
});
