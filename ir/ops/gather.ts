/** Gather along one axis and its transpose, scatter. */
import { AttrReader, attrText } from '../attr-text.js';
import { equalShape, type Shape, shapeToString } from '../dim.js';
import { type TensorType, typeToString } from '../graph.js';
import { defineOp } from '../op.js';
import type { OpAttrs } from '../op-attrs.js';
import { sizeOf } from '../tensor-data.js';
import { expectAxis, expectInputs, expectSameDType, fail, failValue, is, sameAxes } from './check.js';
import { gatherGradient, scatterGradient } from './gather-gradient.js';
import { allocateFor, fill } from './loops.js';
import { binaryScalar } from './scalar.js';
import { chosen, merging, moving, type NumberEvaluate } from './wide.js';

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
  evaluate: moving(([x, indices], { axis }, [type], { bindings }) => {
    const out = allocateFor(type!, bindings);
    const [inner, n] = [sizeOf(x!.shape.slice(axis + 1)), x!.shape[axis]!];
    const [count, outer] = [indices!.data.length, sizeOf(x!.shape.slice(0, axis))];
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < count; i++) {
        const from = (o * n + Math.min(Math.max(indices!.data[i]!, 0), n - 1)) * inner;
        out.data.set(x!.data.subarray(from, from + inner), (o * count + i) * inner);
      }
    }
    return [out];
  }),
  gradient: gatherGradient,
  axes: (inputs, { axis }) => {
    const [operand, indices] = inputs as [TensorType, TensorType];
    const rank = indices.shape.length;
    return [operand.shape.map((_, i) => (i === axis ? null : i < axis ? i : i - 1 + rank)), indices.shape.map((_, i) => axis + i)];
  },
  print: ({ axis }) => attrText({ axis }),
  parse: (attrs) => ({ axis: new AttrReader(attrs).number('axis') }),
});

const scatterFunctions = ['add', 'set', 'mul', 'max', 'min'] as const;

const scatterNumbers: NumberEvaluate<OpAttrs['scatter']> = ([x, indices, updates], { axis, fn }, [type], { bindings }) => {
  const out = fill(allocateFor(type!, bindings), (i) => x!.data[i]!);
  const merge = fn === 'set' ? (_old: number, u: number) => u : binaryScalar(fn, x!.dtype);
  const [inner, n] = [sizeOf(x!.shape.slice(axis + 1)), x!.shape[axis]!];
  const [count, outer] = [indices!.data.length, sizeOf(x!.shape.slice(0, axis))];
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < count; i++) {
      const at = indices!.data[i]!;
      if (at < 0 || at >= n) continue;
      for (let j = 0, to = (o * n + at) * inner, from = (o * count + i) * inner; j < inner; j++, to++, from++)
        out.data[to] = merge(out.data[to]!, updates!.data[from]!);
    }
  }
  return [out];
};

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
  evaluate: chosen(({ fn }: OpAttrs['scatter']) => merging(fn, scatterNumbers)),
  gradient: scatterGradient,
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
