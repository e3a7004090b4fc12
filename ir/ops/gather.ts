/** Gather along one axis and its transpose, scatter. */
import { AttrReader, attrText } from '../attr-text.js';
import { equalShape, type Shape, shapeToString } from '../dim.js';
import { type TensorType, typeToString } from '../graph.js';
import { defineOp } from '../op.js';
import { expectAxis, expectInputs, expectSameDType, fail, failValue, is, sameAxes } from './check.js';
import { pendingEvaluate } from './pending.js';

function gatheredShape(op: string, operand: TensorType, indices: TensorType, axis: number): Shape {
  expectAxis(op, axis, operand.shape.length);
  if (indices.dtype !== 'int32') fail(op, `indices must be int32, found ${typeToString(indices)}`);
  return [...operand.shape.slice(0, axis), ...indices.shape, ...operand.shape.slice(axis + 1)];
}

export const gather = defineOp({
  name: 'gather',
  kind: 'injective',
  infer: (inputs, { axis }) => {
    expectInputs('gather', inputs, 2);
    const [operand, indices] = inputs as [TensorType, TensorType];
    const shape = gatheredShape('gather', operand, indices, axis);
    if (is(operand.shape[axis]!, 0) && !indices.shape.some((d) => is(d, 0))) fail('gather', `nothing to take from axis ${axis} of ${typeToString(operand)}`);
    return [{ dtype: operand.dtype, shape }];
  },
  evaluate: pendingEvaluate,
  gradient: { none: 'pending' },
  axes: (inputs, { axis }) => {
    const [operand, indices] = inputs as [TensorType, TensorType];
    const rank = indices.shape.length;
    return [operand.shape.map((_, i) => (i === axis ? null : i < axis ? i : i - 1 + rank)), indices.shape.map((_, i) => axis + i)];
  },
  print: ({ axis }) => attrText({ axis }),
  parse: (attrs) => ({ axis: new AttrReader(attrs).number('axis') }),
});

const scatterFunctions = ['add', 'set', 'mul', 'max', 'min'] as const;

export const scatter = defineOp({
  name: 'scatter',
  kind: 'scatter',
  infer: (inputs, { axis, fn }) => {
    expectInputs('scatter', inputs, 3);
    const [operand, indices, updates] = inputs as [TensorType, TensorType, TensorType];
    const shape = gatheredShape('scatter', operand, indices, axis);
    expectSameDType('scatter', [operand, updates]);
    if (!equalShape(shape, updates.shape)) fail('scatter', `updates must have shape ${shapeToString(shape)}, found ${shapeToString(updates.shape)}`);
    if (operand.dtype === 'bool' && fn !== 'set') failValue('scatter', `fn=${fn} wants numbers, found bool; use fn=set`);
    return [{ dtype: operand.dtype, shape: operand.shape }];
  },
  evaluate: pendingEvaluate,
  gradient: { none: 'pending' },
  axes: (inputs, { axis }) => {
    const [operand, indices, updates] = inputs as [TensorType, TensorType, TensorType];
    const rank = indices.shape.length;
    return [sameAxes(operand, [axis]), indices.shape.map(() => null), updates.shape.map((_, i) => (i < axis ? i : i < axis + rank ? null : i - rank + 1))];
  },
  print: ({ axis, fn }) => attrText({ axis, fn }),
  parse: (attrs) => {
    const a = new AttrReader(attrs);
    return { axis: a.number('axis'), fn: a.word('fn', scatterFunctions) };
  },
});
