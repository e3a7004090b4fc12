/** Shape ops: each output element is at most one input element, at an index that follows from the output's. */
import { AttrReader, attrText, listText } from '../attr-text.js';
import { addDim, type Dim, equalDim, equalShape, equalSize, evalShape, floorDivDim, isStatic, mulDim, type Shape, shapeToString, subDim } from '../dim.js';
import { toWide } from '../dtype.js';
import type { TensorType } from '../graph.js';
import { defineOp } from '../op.js';
import type { OpAttrs } from '../op-attrs.js';
import { sizeOf, stridesOf } from '../tensor-data.js';
import { describe, expectAxes, expectAxis, expectInputs, expectInts, expectList, expectSameDType, fail, is, sameAxes, surelyNegative } from './check.js';
import { allocateFor, dot as dotProduct, fill, forEachIndex, permute, stridedRead } from './loops.js';
import { broadcastGradient, concatGradient, padGradient, reshapeGradient, reverseGradient, sliceGradient, transposeGradient } from './shape-gradient.js';
import { moving } from './wide.js';

export const broadcast = defineOp({
  name: 'broadcast',
  kind: 'injective',
  infer: (inputs, { shape, axes }) => {
    expectInputs('broadcast', inputs, 1);
    const x = inputs[0]!;
    expectList('broadcast', 'axes', axes, x.shape.length);
    expectAxes('broadcast', axes, shape.length);
    for (const [i, a] of axes.entries()) {
      if (!is(x.shape[i]!, 1) && !equalDim(x.shape[i]!, shape[a]!))
        fail('broadcast', `axis ${i} of ${shapeToString(x.shape)} is neither 1 nor ${shape[a]}, the size of axis ${a} of ${shapeToString(shape)}`);
    }
    return [{ dtype: x.dtype, shape }];
  },
  evaluate: moving(([x], { axes }, [type], { bindings }) => {
    const shape = evalShape(type!.shape, bindings);
    const from = stridesOf(x!.shape);
    const strides = shape.map(() => 0);
    for (const [i, a] of axes.entries()) if (x!.shape[i] !== 1) strides[a] = from[i]!;
    return [stridedRead(x!, shape, 0, strides)];
  }),
  gradient: broadcastGradient,
  axes: ([x], { shape, axes }) => [axes.map((a, i) => (equalDim(x!.shape[i]!, shape[a]!) ? a : null))],
  print: ({ shape, axes }) => attrText({ shape: shapeToString(shape), axes: listText(axes) }),
  parse: (attrs) => {
    const a = new AttrReader(attrs);
    return { shape: a.shape('shape'), axes: a.numbers('axes') };
  },
});

/** Axes that a reshape keeps: equal size, and as many elements before them on both sides. */
function keptAxes(from: Shape, to: Shape): (number | null)[] {
  let next = 0;
  return from.map((d, i) => {
    for (let j = next; j < to.length; j++) {
      if (equalDim(d, to[j]!) && equalSize(from.slice(0, i), to.slice(0, j))) {
        next = j + 1;
        return j;
      }
    }
    return null;
  });
}

export const reshape = defineOp({
  name: 'reshape',
  kind: 'view',
  infer: (inputs, { shape }) => {
    expectInputs('reshape', inputs, 1);
    const x = inputs[0]!;
    if (shape.some((d) => isStatic(d) && (d < 0 || !Number.isInteger(d)))) fail('reshape', `${shapeToString(shape)} is not a shape`);
    if (!equalSize(x.shape, shape)) fail('reshape', `${shapeToString(x.shape)} and ${shapeToString(shape)} have different numbers of elements`);
    return [{ dtype: x.dtype, shape }];
  },
  evaluate: ([x], _attrs, [type], { bindings }) => [{ ...x!, shape: evalShape(type!.shape, bindings) }],
  gradient: reshapeGradient,
  axes: ([x], { shape }) => [keptAxes(x!.shape, shape)],
  print: ({ shape }) => attrText({ shape: shapeToString(shape) }),
  parse: (attrs) => ({ shape: new AttrReader(attrs).shape('shape') }),
});

export const transpose = defineOp({
  name: 'transpose',
  kind: 'injective',
  infer: (inputs, { perm }) => {
    expectInputs('transpose', inputs, 1);
    const x = inputs[0]!;
    expectList('transpose', 'perm', perm, x.shape.length);
    expectAxes('transpose', perm, x.shape.length, true);
    return [{ dtype: x.dtype, shape: perm.map((p) => x.shape[p]!) }];
  },
  evaluate: moving(([x], { perm }) => [permute(x!, perm)]),
  gradient: transposeGradient,
  axes: (_, { perm }) => [perm.map((_p, i) => perm.indexOf(i))],
  print: ({ perm }) => attrText({ perm: listText(perm) }),
  parse: (attrs) => ({ perm: new AttrReader(attrs).numbers('perm') }),
});

/** Number of elements from start to limit in steps of stride. */
function sliceDim(axis: number, start: Dim, limit: Dim, stride: number): Dim {
  const n = floorDivDim(addDim(subDim(limit, start), stride - 1), stride);
  if (n === null) fail('slice', `axis ${axis}: (${limit} - ${start}) / ${stride} is not an affine size`);
  return n;
}

export const slice = defineOp({
  name: 'slice',
  kind: 'injective',
  infer: (inputs, { start, limit, stride }) => {
    expectInputs('slice', inputs, 1);
    const x = inputs[0]!;
    const rank = x.shape.length;
    expectList('slice', 'start', start, rank);
    expectList('slice', 'limit', limit, rank);
    expectInts('slice', 'stride', stride, rank, 1);
    const shape = x.shape.map((d, i) => {
      const [lo, hi] = [start[i]!, limit[i]!];
      if (surelyNegative(lo) || surelyNegative(subDim(hi, lo)) || surelyNegative(subDim(d, hi)))
        fail('slice', `axis ${i}: [${lo}, ${hi}) is not inside [0, ${d}) of ${shapeToString(x.shape)}`);
      return sliceDim(i, lo, hi, stride[i]!);
    });
    return [{ dtype: x.dtype, shape }];
  },
  evaluate: moving(([x], { start, limit, stride }, _types, { bindings }) => {
    const [lo, hi] = [evalShape(start, bindings), evalShape(limit, bindings)];
    const strides = stridesOf(x!.shape);
    const shape = x!.shape.map((d, i) => {
      if (lo[i]! < 0 || hi[i]! < lo[i]! || hi[i]! > d) fail('slice', `axis ${i}: [${lo[i]}, ${hi[i]}) is not inside [0, ${d})`);
      return Math.ceil((hi[i]! - lo[i]!) / stride[i]!);
    });
    return [
      stridedRead(
        x!,
        shape,
        dotProduct(lo, strides),
        strides.map((s, i) => s * stride[i]!),
      ),
    ];
  }),
  gradient: sliceGradient,
  axes: ([x], { start, limit, stride }) => [x!.shape.map((d, i) => (is(start[i]!, 0) && stride[i] === 1 && equalDim(limit[i]!, d) ? i : null))],
  print: ({ start, limit, stride }) => attrText({ start: listText(start), limit: listText(limit), stride: listText(stride) }),
  parse: (attrs) => {
    const a = new AttrReader(attrs);
    return { start: a.shape('start'), limit: a.shape('limit'), stride: a.numbers('stride') };
  },
});

/** The padding value's bits, for 64-bit integers. */
const padBits = (attrs: OpAttrs['pad'], from: number): OpAttrs['pad'] => ({
  ...attrs,
  value: Number((toWide('int64', attrs.value) >> BigInt(from)) & 0xffffffffn),
});

export const pad = defineOp({
  name: 'pad',
  kind: 'injective',
  infer: (inputs, { low, high, interior }) => {
    expectInputs('pad', inputs, 1);
    const x = inputs[0]!;
    const rank = x.shape.length;
    expectInts('pad', 'low', low, rank);
    expectInts('pad', 'high', high, rank);
    expectInts('pad', 'interior', interior, rank, 0);
    const shape = x.shape.map((d, i) => {
      const spread = is(d, 0) ? 0 : addDim(d, mulDim(subDim(d, 1), interior[i]!));
      const n = addDim(spread, low[i]! + high[i]!);
      if (surelyNegative(n)) fail('pad', `axis ${i} of ${shapeToString(x.shape)} with low ${low[i]} and high ${high[i]} would have negative size`);
      return n;
    });
    return [{ dtype: x.dtype, shape }];
  },
  evaluate: moving(([x], { low, interior, value }, [type], { bindings }) => {
    const out = allocateFor(type!, bindings);
    const strides = stridesOf(out.shape);
    fill(out, () => value);
    forEachIndex(x!.shape, (index, flat) => {
      let to = 0;
      for (let a = 0; a < index.length; a++) {
        const i = low[a]! + index[a]! * (interior[a]! + 1);
        if (i < 0 || i >= out.shape[a]!) return;
        to += i * strides[a]!;
      }
      out.data[to] = x!.data[flat]!;
    });
    return [out];
  }, padBits),
  gradient: padGradient,
  axes: ([x], { low, high, interior }) => [x!.shape.map((_, i) => (low[i] === 0 && high[i] === 0 && interior[i] === 0 ? i : null))],
  print: ({ low, high, interior, value }) => attrText({ low: listText(low), high: listText(high), interior: listText(interior), value }),
  parse: (attrs) => {
    const a = new AttrReader(attrs);
    return { low: a.numbers('low'), high: a.numbers('high'), interior: a.numbers('interior'), value: a.number('value') };
  },
});

export const concat = defineOp({
  name: 'concat',
  kind: 'injective',
  infer: (inputs, { axis }) => {
    if (inputs.length === 0) fail('concat', 'expected at least one input');
    expectSameDType('concat', inputs);
    const first = inputs[0]!;
    expectAxis('concat', axis, first.shape.length);
    const rest = (t: TensorType): Shape => t.shape.filter((_, i) => i !== axis);
    for (const t of inputs) {
      if (t.shape.length !== first.shape.length || !equalShape(rest(t), rest(first)))
        fail('concat', `inputs may differ on axis ${axis} only, found ${describe(inputs)}`);
    }
    const size = inputs.reduce<Dim>((n, t) => addDim(n, t.shape[axis]!), 0);
    return [{ dtype: first.dtype, shape: first.shape.map((d, i) => (i === axis ? size : d)) }];
  },
  evaluate: moving((inputs, { axis }, [type], { bindings }) => {
    const out = allocateFor(type!, bindings);
    const inner = sizeOf(out.shape.slice(axis + 1));
    const outer = sizeOf(out.shape.slice(0, axis));
    let at = 0;
    for (let o = 0; o < outer; o++) {
      for (const x of inputs) {
        const n = x.shape[axis]! * inner;
        out.data.set(x.data.subarray(o * n, (o + 1) * n), at);
        at += n;
      }
    }
    return [out];
  }),
  gradient: concatGradient,
  axes: (inputs, { axis }) => inputs.map((t) => sameAxes(t, [axis])),
  print: ({ axis }) => attrText({ axis }),
  parse: (attrs) => ({ axis: new AttrReader(attrs).number('axis') }),
});

export const reverse = defineOp({
  name: 'reverse',
  kind: 'injective',
  infer: (inputs, { axes }) => {
    expectInputs('reverse', inputs, 1);
    expectAxes('reverse', axes, inputs[0]!.shape.length);
    return [{ dtype: inputs[0]!.dtype, shape: inputs[0]!.shape }];
  },
  evaluate: moving(([x], { axes }) => {
    const strides = stridesOf(x!.shape);
    const offset = x!.data.length === 0 ? 0 : axes.reduce((o, a) => o + (x!.shape[a]! - 1) * strides[a]!, 0);
    return [
      stridedRead(
        x!,
        x!.shape,
        offset,
        strides.map((s, a) => (axes.includes(a) ? -s : s)),
      ),
    ];
  }),
  gradient: reverseGradient,
  axes: ([x], { axes }) => [sameAxes(x!, axes)],
  print: ({ axes }) => attrText({ axes: listText(axes) }),
  parse: (attrs) => ({ axes: new AttrReader(attrs).numbers('axes') }),
});
