/** Windowed reductions (pooling) and the transpose of max and min pooling. */
import { AttrReader, attrText, listText, pairsText } from '../attr-text.js';
import { equalShape, type Shape, shapeToString } from '../dim.js';
import type { TensorType } from '../graph.js';
import { defineOp } from '../op.js';
import type { OpAttrs } from '../op-attrs.js';
import { stridesOf } from '../tensor-data.js';
import { expectDType, expectInputs, expectInts, expectList, expectSameDType, fail, trivialWindow, type WindowAxis, windowOutput } from './check.js';
import { allocateFor, fill, forEachIndex } from './loops.js';
import { reduction } from './scalar.js';
import { chosen, merging, type NumberEvaluate, smallNumbers } from './wide.js';
import { reduceWindowGradient, selectAndScatterGradient } from './window-gradient.js';

type WindowAttrs = OpAttrs['reduce_window'];

const axisOf = (shape: Shape, a: WindowAttrs, i: number): WindowAxis => ({
  size: shape[i]!,
  window: a.window[i]!,
  stride: a.strides[i]!,
  padding: a.padding[i]!,
  baseDilation: a.baseDilation[i]!,
  windowDilation: a.windowDilation[i]!,
});

/** select_and_scatter's attributes as those of the reduce_window that it transposes. */
const undilated = (a: OpAttrs['select_and_scatter']): WindowAttrs => ({ ...a, baseDilation: a.window.map(() => 1), windowDilation: a.window.map(() => 1) });

function windowsOf(op: string, x: TensorType, a: WindowAttrs): Shape {
  const rank = x.shape.length;
  expectDType(op, x, 'number');
  expectInts(op, 'window', a.window, rank, 1);
  expectInts(op, 'strides', a.strides, rank, 1);
  expectInts(op, 'baseDilation', a.baseDilation, rank, 1);
  expectInts(op, 'windowDilation', a.windowDilation, rank, 1);
  expectList(op, 'padding', a.padding, rank);
  expectInts(op, 'padding', a.padding.flat(), 2 * rank);
  return x.shape.map((_, i) => windowOutput(op, i, axisOf(x.shape, a, i)));
}

const keptAxes = (x: TensorType, a: WindowAttrs): (number | null)[] => x.shape.map((_, i) => (trivialWindow(axisOf(x.shape, a, i)) ? i : null));

/** Visits (flat output index, flat input index) for every element of every window, windows and their elements in row-major order. */
function forEachInWindow(input: readonly number[], output: readonly number[], a: WindowAttrs, visit: (to: number, from: number) => void): void {
  const strides = stridesOf(input);
  forEachIndex(output, (at, to) => {
    forEachIndex(a.window, (k) => {
      let from = 0;
      for (let i = 0; i < at.length; i++) {
        const p = at[i]! * a.strides[i]! - a.padding[i]![0] + k[i]! * a.windowDilation[i]!;
        if (p < 0 || p % a.baseDilation[i]! !== 0 || p / a.baseDilation[i]! >= input[i]!) return;
        from += (p / a.baseDilation[i]!) * strides[i]!;
      }
      visit(to, from);
    });
  });
}

const windowNumbers: NumberEvaluate<WindowAttrs> = ([x], attrs, [type], { bindings }) => {
  const out = allocateFor(type!, bindings);
  const { identity, merge } = reduction(attrs.fn, x!.dtype);
  fill(out, () => identity);
  forEachInWindow(x!.shape, out.shape, attrs, (to, from) => {
    out.data[to] = merge(out.data[to]!, x!.data[from]!);
  });
  return [out];
};

export const reduceWindow = defineOp({
  name: 'reduce_window',
  kind: 'window',
  infer: (inputs, attrs) => {
    expectInputs('reduce_window', inputs, 1);
    return [{ dtype: inputs[0]!.dtype, shape: windowsOf('reduce_window', inputs[0]!, attrs) }];
  },
  evaluate: chosen(({ fn }: WindowAttrs) => merging(fn, windowNumbers)),
  gradient: reduceWindowGradient,
  axes: ([x], attrs) => [keptAxes(x!, attrs)],
  print: (a) =>
    attrText({
      fn: a.fn,
      window: listText(a.window),
      strides: listText(a.strides),
      padding: pairsText(a.padding),
      baseDilation: listText(a.baseDilation),
      windowDilation: listText(a.windowDilation),
    }),
  parse: (attrs) => {
    const a = new AttrReader(attrs);
    return {
      fn: a.word('fn', ['sum', 'max', 'min', 'prod'] as const),
      window: a.numbers('window'),
      strides: a.numbers('strides'),
      padding: a.pairs('padding'),
      baseDilation: a.numbers('baseDilation'),
      windowDilation: a.numbers('windowDilation'),
    };
  },
});

export const selectAndScatter = defineOp({
  name: 'select_and_scatter',
  kind: 'window',
  infer: (inputs, attrs) => {
    expectInputs('select_and_scatter', inputs, 2);
    expectSameDType('select_and_scatter', inputs);
    const [x, source] = inputs as [TensorType, TensorType];
    const windows = windowsOf('select_and_scatter', x, undilated(attrs));
    if (!equalShape(windows, source.shape))
      fail(
        'select_and_scatter',
        `the windows of ${shapeToString(x.shape)} have shape ${shapeToString(windows)}, their cotangent ${shapeToString(source.shape)}`,
      );
    return [{ dtype: x.dtype, shape: x.shape }];
  },
  evaluate: smallNumbers('select_and_scatter', ([x, source], attrs, [type], { bindings }) => {
    const out = allocateFor(type!, bindings);
    const better = attrs.fn === 'max' ? (a: number, b: number) => a > b : (a: number, b: number) => a < b;
    const chosen = new Int32Array(source!.data.length).fill(-1);
    forEachInWindow(x!.shape, source!.shape, undilated(attrs), (window, from) => {
      const best = chosen[window]!;
      if (best < 0 || better(x!.data[from]!, x!.data[best]!) || (Number.isNaN(x!.data[from]!) && !Number.isNaN(x!.data[best]!))) chosen[window] = from;
    });
    for (const [window, at] of chosen.entries()) if (at >= 0) out.data[at]! += source!.data[window]!;
    return [out];
  }),
  gradient: selectAndScatterGradient,
  axes: ([x], attrs) => {
    const kept = keptAxes(x!, undilated(attrs));
    return [kept, kept];
  },
  print: (a) => attrText({ fn: a.fn, window: listText(a.window), strides: listText(a.strides), padding: pairsText(a.padding) }),
  parse: (attrs) => {
    const a = new AttrReader(attrs);
    return { fn: a.word('fn', ['max', 'min'] as const), window: a.numbers('window'), strides: a.numbers('strides'), padding: a.pairs('padding') };
  },
});
