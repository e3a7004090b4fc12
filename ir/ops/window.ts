/** Windowed reductions (pooling) and the transpose of max and min pooling. */
import { AttrReader, attrText, listText, pairsText } from '../attr-text.js';
import { equalShape, type Shape, shapeToString } from '../dim.js';
import type { TensorType } from '../graph.js';
import { defineOp } from '../op.js';
import type { OpAttrs } from '../op-attrs.js';
import { expectDType, expectInputs, expectInts, expectList, expectSameDType, fail, trivialWindow, type WindowAxis, windowOutput } from './check.js';
import { pendingEvaluate } from './pending.js';

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

export const reduceWindow = defineOp({
  name: 'reduce_window',
  kind: 'window',
  infer: (inputs, attrs) => {
    expectInputs('reduce_window', inputs, 1);
    return [{ dtype: inputs[0]!.dtype, shape: windowsOf('reduce_window', inputs[0]!, attrs) }];
  },
  evaluate: pendingEvaluate,
  gradient: { none: 'pending' },
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
    if (!equalShape(windows, source.shape)) fail('select_and_scatter', `the windows of ${shapeToString(x.shape)} have shape ${shapeToString(windows)}, their cotangent ${shapeToString(source.shape)}`);
    return [{ dtype: x.dtype, shape: x.shape }];
  },
  evaluate: pendingEvaluate,
  gradient: { none: 'pending' },
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
