/** Reductions over whole axes, index of the extreme, and running (cumulative) reductions. */
import { AttrReader, attrText, listText } from '../attr-text.js';
import { defineOp } from '../op.js';
import type { OpAttrs } from '../op-attrs.js';
import { sizeOf } from '../tensor-data.js';
import { expectAxes, expectAxis, expectDType, expectInputs, fail, is, sameAxes } from './check.js';
import { allocateFor, fill, permute } from './loops.js';
import { cumulativeGradient, reduceGradient } from './reduce-gradient.js';
import { reduction } from './scalar.js';
import { chosen, merging, type NumberEvaluate, ordering } from './wide.js';

const reduceFunctions = ['sum', 'prod', 'max', 'min', 'any', 'all'] as const;

/** Where each axis goes when `axes` are removed. */
const removedAxes = (rank: number, axes: readonly number[]): (number | null)[] => {
  let next = 0;
  return Array.from({ length: rank }, (_, i) => (axes.includes(i) ? null : next++));
};

const reduceNumbers: NumberEvaluate<OpAttrs['reduce']> = ([x], { fn, axes }, [type], { bindings }) => {
  const out = allocateFor(type!, bindings);
  const kept = x!.shape.map((_, i) => i).filter((i) => !axes.includes(i));
  const rows = permute(x!, [...kept, ...axes]);
  const n = sizeOf(axes.map((a) => x!.shape[a]!));
  const { identity, merge } = reduction(fn, x!.dtype);
  return [
    fill(out, (row) => {
      let acc = identity;
      for (let i = row * n; i < (row + 1) * n; i++) acc = merge(acc, rows.data[i]!);
      return acc;
    }),
  ];
};

export const reduce = defineOp({
  name: 'reduce',
  kind: 'reduction',
  infer: (inputs, { fn, axes }) => {
    expectInputs(`reduce ${fn}`, inputs, 1);
    const x = inputs[0]!;
    expectAxes(`reduce ${fn}`, axes, x.shape.length);
    expectDType(`reduce ${fn}`, x, fn === 'any' || fn === 'all' ? 'bool' : 'number');
    return [{ dtype: x.dtype, shape: x.shape.filter((_, i) => !axes.includes(i)) }];
  },
  evaluate: chosen(({ fn }: OpAttrs['reduce']) => merging(fn, reduceNumbers)),
  gradient: reduceGradient,
  axes: ([x], { axes }) => [removedAxes(x!.shape.length, axes)],
  print: ({ fn, axes }) => attrText({ fn, axes: listText(axes) }),
  parse: (attrs) => {
    const a = new AttrReader(attrs);
    return { fn: a.word('fn', reduceFunctions), axes: a.numbers('axes') };
  },
});

export const argReduce = defineOp({
  name: 'arg_reduce',
  kind: 'reduction',
  infer: (inputs, { fn, axis }) => {
    expectInputs(fn, inputs, 1);
    const x = inputs[0]!;
    expectAxis(fn, axis, x.shape.length);
    expectDType(fn, x, 'number');
    if (is(x.shape[axis]!, 0)) fail(fn, `axis ${axis} is empty`);
    return [{ dtype: 'int32', shape: x.shape.filter((_, i) => i !== axis) }];
  },
  evaluate: ordering(([x], { fn, axis }, [type], { bindings }) => {
    const better = fn === 'argmax' ? (a: number, b: number) => a > b : (a: number, b: number) => a < b;
    const [inner, n] = [sizeOf(x!.shape.slice(axis + 1)), x!.shape[axis]!];
    return [
      fill(allocateFor(type!, bindings), (row) => {
        const at = (i: number): number => x!.data[(Math.floor(row / inner) * n + i) * inner + (row % inner)]!;
        let best = 0;
        for (let i = 0; i < n && !Number.isNaN(at(best)); i++) if (Number.isNaN(at(i)) || better(at(i), at(best))) best = i;
        return best;
      }),
    ];
  }),
  gradient: { none: 'its result is an index' },
  axes: ([x], { axis }) => [removedAxes(x!.shape.length, [axis])],
  print: ({ fn, axis }) => attrText({ fn, axis }),
  parse: (attrs) => {
    const a = new AttrReader(attrs);
    return { fn: a.word('fn', ['argmax', 'argmin'] as const), axis: a.number('axis') };
  },
});

const cumulativeNumbers: NumberEvaluate<OpAttrs['cumulative']> = ([x], { fn, axis, exclusive, reverse }, [type], { bindings }) => {
  const out = allocateFor(type!, bindings);
  const { identity, merge } = reduction(fn, x!.dtype);
  const [inner, n] = [sizeOf(x!.shape.slice(axis + 1)), x!.shape[axis]!];
  for (let row = 0; row < sizeOf(x!.shape.slice(0, axis)) * inner; row++) {
    let acc = identity;
    for (let i = 0; i < n; i++) {
      const at = (Math.floor(row / inner) * n + (reverse ? n - 1 - i : i)) * inner + (row % inner);
      if (exclusive) out.data[at] = acc;
      acc = merge(acc, x!.data[at]!);
      if (!exclusive) out.data[at] = acc;
    }
  }
  return [out];
};

export const cumulative = defineOp({
  name: 'cumulative',
  kind: 'opaque',
  infer: (inputs, { fn, axis }) => {
    expectInputs(`cumulative ${fn}`, inputs, 1);
    const x = inputs[0]!;
    expectAxis(`cumulative ${fn}`, axis, x.shape.length);
    expectDType(`cumulative ${fn}`, x, 'number');
    return [{ dtype: x.dtype, shape: x.shape }];
  },
  evaluate: chosen(({ fn }: OpAttrs['cumulative']) => merging(fn, cumulativeNumbers)),
  gradient: cumulativeGradient,
  axes: ([x], { axis }) => [sameAxes(x!, [axis])],
  print: ({ fn, axis, exclusive, reverse }) => attrText({ fn, axis, exclusive, reverse }),
  parse: (attrs) => {
    const a = new AttrReader(attrs);
    return { fn: a.word('fn', ['sum', 'prod', 'max', 'min'] as const), axis: a.number('axis'), exclusive: a.bool('exclusive'), reverse: a.bool('reverse') };
  },
});
