/** General N-d convolution. Dimension roles print as in XLA: `b01f_01io->b01f`. */
import { AttrReader, attrText, listText, pairsText } from '../attr-text.js';
import { type Dim, divDimExact, equalDim, evalShape, mulDim, shapeToString } from '../dim.js';
import { isInteger } from '../dtype.js';
import { ValueError } from '../errors.js';
import type { TensorType } from '../graph.js';
import { type AxesMap, defineOp } from '../op.js';
import type { ConvDims, OpAttrs } from '../op-attrs.js';
import { type NumberData, sizeOf, stridesOf } from '../tensor-data.js';
import {
  describe,
  expectAxes,
  expectDType,
  expectInputs,
  expectInts,
  expectList,
  expectSameDType,
  fail,
  is,
  trivialWindow,
  type WindowAxis,
  windowOutput,
} from './check.js';
import { convGradient } from './conv-gradient.js';
import { allocate, forEachIndex, permute } from './loops.js';
import { bilinear } from './wide.js';

type ConvAttrs = OpAttrs['conv'];

export function convDimsText(d: ConvDims): string {
  const put = (spatial: readonly number[], roles: readonly (readonly [string, number])[]): string => {
    const out: string[] = [];
    for (const [i, a] of spatial.entries()) out[a] = String(i);
    for (const [r, a] of roles) out[a] = r;
    return out.join('');
  };
  const data = (x: ConvDims['input']): string =>
    put(x.spatial, [
      ['b', x.batch],
      ['f', x.feature],
    ]);
  return `${data(d.input)}_${put(d.kernel.spatial, [
    ['i', d.kernel.input],
    ['o', d.kernel.output],
  ])}->${data(d.output)}`;
}

export function parseConvDims(text: string): ConvDims {
  const m = /^([bf\d]+)_([io\d]+)->([bf\d]+)$/.exec(text);
  if (!m) throw new ValueError(`'${text}' is not of the form b01f_01io->b01f`);
  const spatial = (t: string): number[] => Array.from({ length: t.length - 2 }, (_, i) => t.indexOf(String(i)));
  const data = (t: string): ConvDims['input'] => ({ batch: t.indexOf('b'), feature: t.indexOf('f'), spatial: spatial(t) });
  const [, x, k, y] = m as unknown as [string, string, string, string];
  return { input: data(x), kernel: { input: k.indexOf('i'), output: k.indexOf('o'), spatial: spatial(k) }, output: data(y) };
}

const windowAxis = (input: TensorType, kernel: TensorType, a: ConvAttrs, i: number): WindowAxis => ({
  size: input.shape[a.dims.input.spatial[i]!]!,
  window: kernel.shape[a.dims.kernel.spatial[i]!]!,
  stride: a.strides[i]!,
  padding: a.padding[i]!,
  baseDilation: a.inputDilation[i]!,
  windowDilation: a.kernelDilation[i]!,
});

/** Direct loops over batch-spatial-feature input and output and a spatial-input-output kernel. */
function convolve(x: NumberData, k: NumberData, y: NumberData, a: ConvAttrs): void {
  const n = a.strides.length;
  const spatial = x.shape.slice(1, n + 1);
  const channels = x.shape[n + 1]!;
  const [perGroup, features] = [k.shape[n]!, k.shape[n + 1]!];
  const window = k.shape.slice(0, n);
  const places = y.shape.slice(1, n + 1);
  const strides = stridesOf(spatial);
  const batch = y.shape[0]!;
  const [inputSize, outputSize] = [sizeOf(spatial), sizeOf(places)];
  const multiply = isInteger(y.dtype) ? Math.imul : (p: number, q: number): number => p * q;
  const perFeatureGroup = features / a.groups;
  const perBatchGroup = features / a.batchGroups;
  forEachIndex(places, (at, place) => {
    forEachIndex(window, (tap, tapFlat) => {
      let position = 0;
      for (let i = 0; i < n; i++) {
        const p = at[i]! * a.strides[i]! - a.padding[i]![0] + tap[i]! * a.kernelDilation[i]!;
        if (p < 0 || p % a.inputDilation[i]! !== 0 || p / a.inputDilation[i]! >= spatial[i]!) return;
        position += (p / a.inputDilation[i]!) * strides[i]!;
      }
      for (let b = 0; b < batch; b++) {
        const to = (b * outputSize + place) * features;
        for (let o = 0; o < features; o++) {
          const row = Math.floor(o / perBatchGroup) * batch + b;
          const from = (row * inputSize + position) * channels + Math.floor(o / perFeatureGroup) * perGroup;
          let acc = 0;
          for (let c = 0; c < perGroup; c++) acc += multiply(x.data[from + c]!, k.data[(tapFlat * perGroup + c) * features + o]!);
          y.data[to + o]! += acc;
        }
      }
    });
  });
}

export const conv = defineOp({
  name: 'conv',
  kind: 'contraction',
  infer: (inputs, a) => {
    expectInputs('conv', inputs, 2);
    expectSameDType('conv', inputs);
    const [input, kernel] = inputs as [TensorType, TensorType];
    expectDType('conv', input, 'number');
    const n = a.dims.input.spatial.length;
    expectList('conv', "the input's shape", input.shape, n + 2);
    expectList('conv', "the kernel's shape", kernel.shape, n + 2);
    for (const [name, x] of [
      ['input', a.dims.input],
      ['output', a.dims.output],
    ] as const) {
      expectList('conv', `the ${name}'s spatial dimensions`, x.spatial, n);
      expectAxes('conv', [x.batch, x.feature, ...x.spatial], n + 2, true);
    }
    expectList('conv', "the kernel's spatial dimensions", a.dims.kernel.spatial, n);
    expectAxes('conv', [a.dims.kernel.input, a.dims.kernel.output, ...a.dims.kernel.spatial], n + 2, true);
    expectInts('conv', 'strides', a.strides, n, 1);
    expectInts('conv', 'inputDilation', a.inputDilation, n, 1);
    expectInts('conv', 'kernelDilation', a.kernelDilation, n, 1);
    expectList('conv', 'padding', a.padding, n);
    expectInts('conv', 'padding', a.padding.flat(), 2 * n);
    expectInts('conv', 'groups and batchGroups', [a.groups, a.batchGroups], 2, 1);
    if (a.groups > 1 && a.batchGroups > 1) fail('conv', `groups ${a.groups} and batchGroups ${a.batchGroups} cannot both be above 1`);
    const channels = input.shape[a.dims.input.feature]!;
    const perGroup = kernel.shape[a.dims.kernel.input]!;
    if (!equalDim(mulDim(perGroup, a.groups), channels)) {
      const takes = `${perGroup}${a.groups > 1 ? ` in each of ${a.groups} groups` : ''}`;
      fail('conv', `the input has ${channels} channels, the kernel ${shapeToString(kernel.shape)} takes ${takes} (operands ${describe(inputs)})`);
    }
    const features = kernel.shape[a.dims.kernel.output]!;
    if (divDimExact(features, a.groups * a.batchGroups) === null)
      fail('conv', `${features} output channels are not a multiple of ${a.groups > 1 ? `groups ${a.groups}` : `batchGroups ${a.batchGroups}`}`);
    const batch = divDimExact(input.shape[a.dims.input.batch]!, a.batchGroups);
    if (batch === null) fail('conv', `the batch ${input.shape[a.dims.input.batch]} is not a multiple of batchGroups ${a.batchGroups}`);
    const shape: Dim[] = [];
    shape[a.dims.output.batch] = batch;
    shape[a.dims.output.feature] = features;
    for (let i = 0; i < n; i++) shape[a.dims.output.spatial[i]!] = windowOutput('conv', a.dims.input.spatial[i]!, windowAxis(input, kernel, a, i));
    return [{ dtype: input.dtype, shape }];
  },
  evaluate: bilinear(([input, kernel], a, [type], { bindings }) => {
    const { dims } = a;
    const x = permute(input!, [dims.input.batch, ...dims.input.spatial, dims.input.feature]);
    const k = permute(kernel!, [...dims.kernel.spatial, dims.kernel.input, dims.kernel.output]);
    const order = [dims.output.batch, ...dims.output.spatial, dims.output.feature];
    const shape = evalShape(type!.shape, bindings);
    const y = allocate(
      type!.dtype,
      order.map((d) => shape[d]!),
    );
    convolve(x, k, y, a);
    return [
      permute(
        y,
        shape.map((_, i) => order.indexOf(i)),
      ),
    ];
  }),
  gradient: convGradient,
  axes: (inputs, a): AxesMap => {
    const [input, kernel] = inputs as [TensorType, TensorType];
    const x: (number | null)[] = input.shape.map(() => null);
    const k: (number | null)[] = kernel.shape.map(() => null);
    if (a.batchGroups === 1) x[a.dims.input.batch] = a.dims.output.batch;
    const depthwise =
      is(kernel.shape[a.dims.kernel.input]!, 1) && equalDim(kernel.shape[a.dims.kernel.output]!, input.shape[a.dims.input.feature]!) && a.batchGroups === 1;
    if (depthwise) x[a.dims.input.feature] = a.dims.output.feature;
    k[a.dims.kernel.output] = a.dims.output.feature;
    for (const [i, s] of a.dims.input.spatial.entries()) if (trivialWindow(windowAxis(input, kernel, a, i))) x[s] = a.dims.output.spatial[i]!;
    return [x, k];
  },
  print: (a) =>
    attrText({
      strides: listText(a.strides),
      padding: pairsText(a.padding),
      inputDilation: listText(a.inputDilation),
      kernelDilation: listText(a.kernelDilation),
      groups: a.groups,
      batchGroups: a.batchGroups,
      dims: convDimsText(a.dims),
    }),
  parse: (attrs) => {
    const a = new AttrReader(attrs);
    return {
      strides: a.numbers('strides'),
      padding: a.pairs('padding'),
      inputDilation: a.numbers('inputDilation'),
      kernelDilation: a.numbers('kernelDilation'),
      groups: a.number('groups'),
      batchGroups: a.number('batchGroups'),
      dims: parseConvDims(a.text('dims')),
    };
  },
});
