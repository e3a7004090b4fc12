/** Shape, layout and constants: what moves elements and makes them, without arithmetic. */
import { addDim, type Dim, divDimExact, equalDim, isStatic, mulDim, sizeDim } from '../../../ir/dim.js';
import { hostArray } from '../../../ir/dtype.js';
import type { Value } from '../../../ir/graph.js';
import { scalarData } from '../../../ir/tensor-data.js';
import type { NodeContext } from '../context.js';
import { axesOf } from '../lib/axes.js';
import { padTensor } from '../lib/pad.js';
import { int, Nothing, type OpEntry, op, opt, text } from '../registry.js';
import { smallTypeOfData } from '../small-types.js';

const clampIndex = (i: number, low: number, high: number): number => Math.min(Math.max(i, low), high);

/** The dimensions that Reshape asks for: 0 copies, -1 is what is left. */
function reshapeTo(c: NodeContext, x: Value, wanted: readonly Dim[], allowZero: boolean): Value {
  const { b } = c;
  const copied = wanted.map((d, i) =>
    d === 0 && !allowZero ? (x.shape[i] ?? c.failShape(`dimension ${i} is 0 (copy), the input has rank ${x.shape.length}`)) : d,
  );
  const open = copied.flatMap((d, i) => (d === -1 ? [i] : []));
  if (open.length > 1) c.failShape(`shape [${wanted.join(',')}] has more than one -1`);
  if (copied.some((d) => isStatic(d) && d < -1)) c.failShape(`shape [${wanted.join(',')}] has a negative dimension`);
  if (open.length === 1 && copied.some((d) => d === 0)) {
    // Nothing to divide by: the size is 0 anyway.
    return b.reshape(
      x,
      copied.map((d) => (d === -1 ? 0 : d)),
    );
  }
  return b.reshape(x, copied);
}

/** Slices of one axis with any step, as ONNX's (and Python's) rules clamp them. */
function sliceAxes(c: NodeContext, x: Value, starts: readonly Dim[], ends: readonly Dim[], axes: readonly number[], steps: readonly number[]): Value {
  const { b } = c;
  let y = x;
  for (const [k, axis] of axes.entries()) {
    const step = steps[k]!;
    const size = y.shape[axis]!;
    const [s, e] = [starts[k]!, ends[k]!];
    if (step === 0) c.fail('a step of 0');
    if (!isStatic(size) || !isStatic(s) || !isStatic(e)) {
      // On a symbolic axis: from the start, or whole, or symbolic limits that are surely inside.
      const from: Dim = isStatic(s) && s < 0 ? addDim(size, s) : s;
      const far = isStatic(e) && e > 2 ** 30;
      const to: Dim = far ? size : isStatic(e) && e < 0 ? addDim(size, e) : e;
      if (step === -1 && isStatic(s) && (s === -1 || s > 2 ** 30) && isStatic(e) && e < -(2 ** 30)) {
        y = b.reverse(y, [axis]);
        continue;
      }
      if (step !== 1) c.unsupported(`step ${step} on an axis of symbolic size ${size}`);
      y = b.sliceAxis(y, axis, from, to);
      continue;
    }
    if (step > 0) {
      const from = clampIndex(s < 0 ? s + size : s, 0, size);
      const to = clampIndex(e < 0 ? e + size : e, from, size);
      y = b.sliceAxis(y, axis, from, to, step);
    } else {
      const from = clampIndex(s < 0 ? s + size : s, -1, size - 1);
      const to = clampIndex(e < 0 ? e + size : e, -1, from);
      const n = Math.ceil((from - to) / -step);
      if (step === -1 && n === size) {
        y = b.reverse(y, [axis]);
        continue;
      }
      // The elements from, from+step, … are a strided slice of the reversed axis.
      y = n <= 0 ? b.sliceAxis(y, axis, 0, 0) : b.sliceAxis(b.reverse(y, [axis]), axis, size - 1 - from, size - to - 1, -step);
    }
  }
  return y;
}

function unsqueeze(c: NodeContext, x: Value, axes: readonly number[]): Value {
  const rank = x.shape.length + axes.length;
  const at = c.axes(axes, rank);
  let next = 0;
  const shape = Array.from({ length: rank }, (_, i) => (at.includes(i) ? 1 : x.shape[next++]!));
  const y = c.b.reshape(x, shape);
  const p = c.padding(x);
  if (!p) return y;
  let old = -1;
  return c.padded(
    y,
    shape.findIndex((_, i) => !at.includes(i) && ++old === p.axis),
    p.count,
  );
}

function squeeze(c: NodeContext, x: Value, given: readonly number[] | null): Value {
  const axes = given ? c.axes(given, x.shape.length) : x.shape.flatMap((d, i) => (d === 1 ? [i] : []));
  const bad = axes.find((a) => x.shape[a] !== 1);
  if (bad !== undefined) c.failShape(`axis ${bad} has size ${x.shape[bad]}, expected 1`);
  const y = c.b.squeeze(x, axes);
  const p = c.padding(x);
  return p ? c.padded(y, p.axis - axes.filter((a) => a < p.axis).length, p.count) : y;
}

/** Lengths of the parts of a Split. */
function splitSizes(c: NodeContext, a: { readonly split: readonly number[] | null; readonly num_outputs: number | null }, size: Dim): readonly Dim[] {
  const given = axesOf(c, a.split, 1, 13);
  if (given) return given;
  const n = a.num_outputs ?? c.outputCount;
  if (n < 1 || n > 2 ** 20) c.fail(`num_outputs ${n}`);
  if (isStatic(size)) {
    const part = Math.ceil(size / n);
    return Array.from({ length: n }, (_, i) => Math.max(Math.min(part, size - i * part), 0));
  }
  const part = divDimExact(size, n) ?? c.unsupported(`${n} equal parts of an axis of symbolic size ${size}`);
  return Array.from({ length: n }, () => part);
}

const layoutVersions = [1, 13, 21, 23, 24, 25];

export const shapeOps: readonly OpEntry[] = [
  op('Shape', [1, 13, 15, 19, 21, 23, 24, 25], { start: int(0), end: opt.int }, (c, a) => {
    const x = c.in(0);
    const rank = x.shape.length;
    const at = (i: number): number => clampIndex(i < 0 ? i + rank : i, 0, rank);
    return c.dimensions(x.shape.slice(at(a.start), Math.max(at(a.end ?? rank), at(a.start))));
  }),
  op('Size', [1, 13, 19, 21, 23, 24, 25], {}, (c) => c.dimensions([sizeDim(c.in(0).shape)], true)),
  op('Reshape', [1, 5, 13, 14, 19, 21, 23, 24, 25], { shape: opt.ints, allowzero: int(0), consumed_inputs: opt.ints }, (c, a) =>
    reshapeTo(c, c.in(0), c.version < 5 ? (a.shape ?? []) : c.dims(c.in(1)), a.allowzero !== 0),
  ),
  op('Flatten', [1, 9, 11, 13, 21, 23, 24, 25], { axis: int(1) }, (c, a) => {
    const x = c.in(0);
    const at = a.axis < 0 ? a.axis + x.shape.length : a.axis;
    return c.b.reshape(x, [sizeDim(x.shape.slice(0, at)), sizeDim(x.shape.slice(at))]);
  }),
  op(
    'Transpose',
    layoutVersions,
    { perm: opt.ints },
    (c, a) => {
      const x = c.in(0);
      const perm = a.perm ?? x.shape.map((_, i) => x.shape.length - 1 - i);
      const y = c.b.transpose(x, perm);
      const p = c.padding(x);
      return p ? c.padded(y, perm.indexOf(p.axis), p.count) : y;
    },
    { padded: true },
  ),
  op('Squeeze', [1, 11, 13, 21, 23, 24, 25], { axes: opt.ints }, (c, a) => squeeze(c, c.in(0), axesOf(c, a.axes, 1, 13)), { padded: true }),
  op('Unsqueeze', [1, 11, 13, 21, 23, 24, 25], { axes: opt.ints }, (c, a) => unsqueeze(c, c.in(0), axesOf(c, a.axes, 1, 13) ?? c.fail('axes are missing')), {
    padded: true,
  }),
  op('Concat', [1, 4, 11, 13], { axis: opt.int }, (c, a) => {
    const xs = c.all();
    const axis = c.axis(a.axis ?? (c.version < 4 ? 1 : c.fail("attribute 'axis' is missing")), xs[0]?.shape.length ?? 0);
    const rest = xs.filter((x) => x.shape[axis] !== 0);
    return c.b.concat(rest.length > 0 ? rest : xs.slice(0, 1), axis);
  }),
  op('Split', [1, 2, 11, 13, 18], { axis: int(0), split: opt.ints, num_outputs: opt.int }, (c, a) => {
    const x = c.in(0);
    const axis = c.axis(a.axis, x.shape.length);
    const sizes = splitSizes(c, a, x.shape[axis]!);
    let at: Dim = 0;
    const parts = sizes.map((n) => {
      const from = at;
      at = addDim(at, n);
      return [from, at] as const;
    });
    if (!equalDim(at, x.shape[axis]!)) c.failShape(`the parts [${sizes.join(',')}] do not add up to axis ${axis} of size ${x.shape[axis]}`);
    return parts.map(([from, to]) => c.b.sliceAxis(x, axis, from, to));
  }),
  op('Slice', [1, 10, 11, 13], { starts: opt.ints, ends: opt.ints, axes: opt.ints }, (c, a) => {
    const x = c.in(0);
    const byInput = c.version >= 10;
    const starts = byInput ? c.dims(c.in(1)) : (a.starts ?? c.fail("attribute 'starts' is missing"));
    const ends = byInput ? c.dims(c.in(2)) : (a.ends ?? c.fail("attribute 'ends' is missing"));
    const given = byInput ? (c.opt(3) ? c.numbers(c.in(3)) : null) : a.axes;
    const axes = c.axes(given ?? starts.map((_, i) => i), x.shape.length);
    const steps = byInput && c.opt(4) ? c.numbers(c.in(4)) : starts.map(() => 1);
    if (starts.length !== ends.length || axes.length !== starts.length || steps.length !== starts.length)
      c.fail('starts, ends, axes and steps differ in length');
    return sliceAxes(c, x, starts, ends, axes, steps);
  }),
  op('Pad', [1, 2, 11, 13, 18, 19, 21, 23, 24, 25], { mode: text('constant'), pads: opt.ints, paddings: opt.ints, value: opt.float }, (c, a) => {
    const x = c.in(0);
    const rank = x.shape.length;
    const pads = c.version < 11 ? (a.pads ?? a.paddings ?? c.fail("attribute 'pads' is missing")) : c.numbers(c.in(1));
    const axes = c.opt(3) && c.version >= 18 ? c.axes(c.numbers(c.in(3)), rank) : x.shape.map((_, i) => i);
    if (pads.length !== 2 * axes.length) c.failShape(`${pads.length} pads for ${axes.length} axes`);
    const [low, high] = [x.shape.map(() => 0), x.shape.map(() => 0)];
    for (const [i, axis] of axes.entries()) {
      low[axis] = pads[i]!;
      high[axis] = pads[i + axes.length]!;
    }
    const fill = c.version < 11 ? (a.value ?? 0) : c.opt(2);
    return padTensor(c, x, low, high, a.mode, fill);
  }),
  op('Expand', [8, 13], {}, (c) => {
    const x = c.in(0);
    return c.b.broadcastTo(x, c.b.broadcastShapes(x.shape, c.dims(c.in(1))));
  }),
  op('Tile', [1, 6, 13], {}, (c) => {
    const { b } = c;
    const x = c.in(0);
    const repeats = c.dims(c.in(1));
    if (repeats.length !== x.shape.length) c.failShape(`${repeats.length} repeats for rank ${x.shape.length}`);
    const wide = x.shape.flatMap((d, i) => [repeats[i]!, d]);
    const spread = b.broadcast(
      x,
      wide,
      x.shape.map((_, i) => 2 * i + 1),
    );
    return b.reshape(
      spread,
      x.shape.map((d, i) => mulDim(d, repeats[i]!)),
    );
  }),
  op('Identity', [1, 13, 14, 16, 19, 21, 23, 24, 25], {}, (c) => c.item(0), { padded: true }),
  op(
    'Constant',
    [1, 9, 11, 12, 13, 19, 21, 23, 24, 25],
    {
      value: opt.tensor,
      sparse_value: opt.sparse,
      value_float: opt.float,
      value_floats: opt.floats,
      value_int: opt.big,
      value_ints: opt.bigs,
      value_string: opt.text,
      value_strings: opt.texts,
    },
    (c, a) => {
      if (a.value_string !== null || a.value_strings !== null) c.unsupported('string tensors are not supported');
      const data = a.value ?? a.sparse_value;
      if (data) return c.b.constant(data);
      if (a.value_float !== null) return c.b.constant(scalarData('float32', a.value_float));
      if (a.value_floats !== null) return c.constant('float32', [a.value_floats.length], a.value_floats);
      if (a.value_int !== null) return c.constant(c.dtype(7), [], [Number(a.value_int)]);
      if (a.value_ints !== null) return c.constant(c.dtype(7), [a.value_ints.length], a.value_ints.map(Number));
      return c.fail('it has no value');
    },
  ),
  op('ConstantOfShape', [9, 20, 21, 23, 24, 25], { value: opt.tensor }, (c, a) => {
    const value = a.value ?? { dtype: 'float32', shape: [1], data: hostArray('float32', [0]) };
    if (value.data.length !== 1) c.fail('its value must have one element');
    const dims = c.dims(c.in(0));
    const filled = c.b.broadcastTo(c.b.constant({ ...value, shape: [] }), dims);
    const small = smallTypeOfData(value);
    return small === undefined ? filled : c.ofSmallType(filled, small);
  }),
  op('EyeLike', [9, 22], { dtype: opt.int, k: int(0) }, (c, a) => {
    const { b } = c;
    const x = c.in(0);
    if (x.shape.length !== 2) c.failShape('the input must be a matrix');
    const on = b.compare('eq', b.iota(x.shape, 1), b.add(b.iota(x.shape, 0), a.k));
    return b.cast(on, a.dtype === null ? x.dtype : c.dtype(a.dtype));
  }),
  op('Trilu', [14], { upper: int(1) }, (c, a) => {
    const { b } = c;
    const x = c.in(0);
    const rank = x.shape.length;
    const k = c.opt(1) ? c.index(b.reshape(c.in(1), [])) : b.scalar(0, 'int32');
    const diagonal = b.add(b.iota(x.shape, rank - 2), k);
    return b.select(b.compare(a.upper ? 'ge' : 'le', b.iota(x.shape, rank - 1), diagonal), x, b.full(x.shape, 0, x.dtype));
  }),
  op('Range', [11, 27], { stash_type: int(1) }, (c) => {
    const [start, limit, delta] = [c.number(c.in(0)), c.number(c.in(1)), c.number(c.in(2))];
    const n = c.countable(Math.max(Math.ceil((limit - start) / delta), 0));
    const { dtype } = c.in(0);
    return c.constant(
      dtype,
      [n],
      Array.from({ length: n }, (_, i) => start + i * delta),
    );
  }),
  op('DepthToSpace', [1, 11, 13, 28], { blocksize: int(), mode: text('DCR') }, (c, a) => {
    const { b } = c;
    const x = c.in(0);
    const s = a.blocksize;
    const [n, ch, h, w] = x.shape as [Dim, Dim, Dim, Dim];
    const depth = divDimExact(ch, s * s) ?? c.failShape(`${ch} channels are not a multiple of ${s * s}`);
    const y =
      a.mode === 'CRD'
        ? b.transpose(b.reshape(x, [n, depth, s, s, h, w]), [0, 1, 4, 2, 5, 3])
        : b.transpose(b.reshape(x, [n, s, s, depth, h, w]), [0, 3, 4, 1, 5, 2]);
    return b.reshape(y, [n, depth, mulDim(h, s), mulDim(w, s)]);
  }),
  op('SpaceToDepth', [1, 13, 28], { blocksize: int(), mode: text('DCR') }, (c, a) => {
    const { b } = c;
    const x = c.in(0);
    const s = a.blocksize;
    const [n, ch, h, w] = x.shape as [Dim, Dim, Dim, Dim];
    const [hs, ws] = [divDimExact(h, s), divDimExact(w, s)];
    if (hs === null || ws === null) c.failShape(`${h} x ${w} is not a multiple of the block ${s}`);
    const y = b.transpose(b.reshape(x, [n, ch, hs!, s, ws!, s]), a.mode === 'CRD' ? [0, 1, 3, 5, 2, 4] : [0, 3, 5, 1, 2, 4]);
    return b.reshape(y, [n, mulDim(ch, s * s), hs!, ws!]);
  }),
  op('ReverseSequence', [10, 28], { batch_axis: int(1), time_axis: int(0) }, (c, a) => {
    const { b } = c;
    const x = c.in(0);
    const [batch, time] = [c.axis(a.batch_axis, x.shape.length), c.axis(a.time_axis, x.shape.length)];
    // Element t of a row with length n comes from n-1-t for t < n: a matrix of positions, then one gather per row.
    const perm = [batch, time, ...x.shape.map((_, i) => i).filter((i) => i !== batch && i !== time)];
    const y = b.transpose(x, perm);
    const [rows, steps] = [c.size(y.shape[0]!), c.size(y.shape[1]!)];
    const t = b.iota([rows, steps], 1);
    const n = b.expandDims(c.index(c.in(1)), 1);
    const from = b.select(b.compare('lt', t, n), b.sub(b.sub(n, 1), t), t);
    const flat = b.add(from, b.mul(b.iota([rows, steps], 0), steps));
    const picked = b.gather(b.reshape(y, [rows * steps, ...y.shape.slice(2)]), flat, 0);
    return b.transpose(
      picked,
      perm.map((_, i) => perm.indexOf(i)),
    );
  }),
  op('CenterCropPad', [18], { axes: opt.ints }, (c, a) => {
    const { b } = c;
    const x = c.in(0);
    const axes = a.axes ? c.axes(a.axes, x.shape.length) : x.shape.map((_, i) => i);
    const sizes = c.numbers(c.in(1));
    let y = x;
    for (const [i, axis] of axes.entries()) {
      const [have, want] = [c.size(y.shape[axis]!), sizes[i]!];
      if (want < have) y = b.sliceAxis(y, axis, Math.floor((have - want) / 2), Math.floor((have - want) / 2) + want);
      else if (want > have) {
        const low = Math.floor((want - have) / 2);
        y = b.pad(
          y,
          y.shape.map((_, k) => (k === axis ? low : 0)),
          y.shape.map((_, k) => (k === axis ? want - have - low : 0)),
        );
      }
    }
    return y;
  }),
  op('Optional', [15, 28], { type: opt.type }, (c) => (c.inputCount > 0 ? c.item(0) : new Nothing())),
  op('OptionalHasElement', [15, 18, 28], {}, (c) => c.b.constant(scalarData('bool', c.item(0) instanceof Nothing ? 0 : 1))),
  op('OptionalGetElement', [15, 18, 28], {}, (c) => (c.item(0) instanceof Nothing ? c.fail('the optional is empty') : c.item(0))),
];
