/** dot and conv. */
import type { DType } from '../../../ir/dtype.js';
import type { ConvDims, Pair } from '../../../ir/op-attrs.js';
import { input, ordinary, type PrimitiveCase } from './case.js';

export function contractions(): PrimitiveCase[] {
  const out: PrimitiveCase[] = [];
  const dot = (
    name: string,
    x: readonly number[],
    y: readonly number[],
    attrs: { batchLeft: number[]; batchRight: number[]; contractLeft: number[]; contractRight: number[] },
    t: DType = 'float32',
  ): void =>
    void out.push({
      op: 'dot',
      name: `dot ${name} ${t}`,
      inputs: [input(t, x), input(t, y, ordinary(t, 2))],
      build: (b, [p, q]) => b.dot(p!, q!, attrs),
      rtol: 1e-5,
      atol: 1e-4,
    });
  const plain = { batchLeft: [], batchRight: [] };
  for (const [m, k, n] of [
    [-1, 36, 20],
    [1, 300, 7],
    [33, 5, 70],
    [70, 70, 66],
    [-1, 3, 1],
    [1, 1, 1],
  ] as const) {
    dot(`NN ${m}x${k}x${n}`, [m, k], [k, n], { ...plain, contractLeft: [1], contractRight: [0] });
    dot(`NT ${m}x${k}x${n}`, [m, k], [n, k], { ...plain, contractLeft: [1], contractRight: [1] });
    if (m !== 1) dot(`TN ${m}x${k}x${n}`, [m, k], [m, n], { ...plain, contractLeft: [0], contractRight: [0] });
  }
  for (const t of ['int32', 'uint32'] as const) dot('NN', [-1, 9], [9, 5], { ...plain, contractLeft: [1], contractRight: [0] }, t);
  dot('batched', [-1, 7, 4, 16], [-1, 4, 9, 16], { batchLeft: [0, 2], batchRight: [0, 1], contractLeft: [3], contractRight: [3] });
  dot('two contracted axes', [-1, 4, 6], [6, 4, 10], { ...plain, contractLeft: [1, 2], contractRight: [1, 0] });
  dot('outer product', [12], [9], { ...plain, contractLeft: [], contractRight: [] });
  dot('inner product', [300], [300], { ...plain, contractLeft: [0], contractRight: [0] });
  dot('large', [130, 140], [140, 150], { ...plain, contractLeft: [1], contractRight: [0] });
  const nhwc: ConvDims = {
    input: { batch: 0, feature: 3, spatial: [1, 2] },
    kernel: { spatial: [0, 1], input: 2, output: 3 },
    output: { batch: 0, feature: 3, spatial: [1, 2] },
  };
  const nchw: ConvDims = {
    input: { batch: 0, feature: 1, spatial: [2, 3] },
    kernel: { output: 0, input: 1, spatial: [2, 3] },
    output: { batch: 0, feature: 1, spatial: [2, 3] },
  };
  const one: ConvDims = {
    input: { batch: 0, feature: 2, spatial: [1] },
    kernel: { spatial: [0], input: 1, output: 2 },
    output: { batch: 0, feature: 2, spatial: [1] },
  };
  const three: ConvDims = {
    input: { batch: 0, feature: 4, spatial: [1, 2, 3] },
    kernel: { spatial: [0, 1, 2], input: 3, output: 4 },
    output: { batch: 0, feature: 4, spatial: [1, 2, 3] },
  };
  const conv = (
    name: string,
    x: readonly number[],
    w: readonly number[],
    dims: ConvDims,
    a: { strides?: number[]; padding?: Pair[]; inputDilation?: number[]; kernelDilation?: number[]; groups?: number; batchGroups?: number } = {},
  ): void => {
    const ones = dims.input.spatial.map(() => 1);
    out.push({
      op: 'conv',
      name: `conv ${name}`,
      inputs: [input('float32', x), input('float32', w, ordinary('float32', 2))],
      rtol: 1e-5,
      atol: 1e-4,
      build: (b, [p, q]) =>
        b.emit('conv', [p!, q!], {
          strides: a.strides ?? ones,
          padding: a.padding ?? ones.map((): Pair => [0, 0]),
          inputDilation: a.inputDilation ?? ones,
          kernelDilation: a.kernelDilation ?? ones,
          groups: a.groups ?? 1,
          batchGroups: a.batchGroups ?? 1,
          dims,
        }),
    });
  };
  const same: Pair[] = [
    [1, 1],
    [1, 1],
  ];
  conv('3x3 same', [-1, 9, 8, 4], [3, 3, 4, 12], nhwc, { padding: same });
  conv('3x3 strided', [-1, 9, 8, 3], [3, 3, 3, 10], nhwc, {
    strides: [2, 2],
    padding: [
      [0, 1],
      [1, 1],
    ],
  });
  conv('dilated kernel', [-1, 9, 8, 3], [3, 3, 3, 10], nhwc, { kernelDilation: [2, 1], padding: same });
  conv('dilated input (transposed)', [-1, 5, 4, 6], [3, 3, 6, 8], nhwc, {
    inputDilation: [2, 2],
    padding: [
      [2, 1],
      [1, 2],
    ],
  });
  conv('cropping', [-1, 9, 8, 4], [3, 3, 4, 5], nhwc, {
    padding: [
      [-1, 0],
      [0, -2],
    ],
  });
  conv('1x1', [-1, 5, 5, 8], [1, 1, 8, 16], nhwc);
  conv('depthwise', [-1, 9, 8, 8], [3, 3, 1, 8], nhwc, { groups: 8, padding: same });
  conv('depthwise with a multiplier', [-1, 6, 6, 4], [3, 3, 1, 8], nhwc, { groups: 4, strides: [2, 1] });
  conv('grouped', [-1, 9, 8, 8], [3, 3, 4, 8], nhwc, { groups: 2, padding: same });
  conv('batch groups', [6, 5, 5, 3], [2, 2, 3, 8], nhwc, { batchGroups: 2 });
  conv('channels first', [-1, 4, 9, 8], [12, 4, 3, 3], nchw, { padding: same });
  conv('one axis', [-1, 20, 5], [4, 5, 6], one, { strides: [2], padding: [[3, 0]] });
  conv('one axis, cropping, few taps', [-1, 5, 2], [3, 2, 5], one, { padding: [[-1, 2]] });
  conv('one axis, cropping, no window inside', [-1, 3, 2], [3, 2, 5], one, { padding: [[-1, 1]] });
  conv('three axes', [2, 5, 5, 4, 3], [2, 3, 2, 3, 4], three);
  out.push({
    op: 'conv',
    name: 'conv, bias, relu',
    inputs: [input('float32', [-1, 9, 8, 4]), input('float32', [3, 3, 4, 12], ordinary('float32', 2)), input('float32', [12])],
    rtol: 1e-5,
    atol: 1e-4,
    build: (b, [x, w, c]) =>
      b.max(
        b.add(
          b.emit('conv', [x!, w!], { strides: [1, 1], padding: same, inputDilation: [1, 1], kernelDilation: [1, 1], groups: 1, batchGroups: 1, dims: nhwc }),
          c!,
        ),
        0,
      ),
  });
  return out;
}
