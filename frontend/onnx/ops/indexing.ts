/** Gathers, scatters, one-hot, top-k, and ops whose result has a size that depends on the data. */
import { isStatic } from '../../../ir/dim.js';
import { numbersOf } from '../../../ir/dtype.js';
import type { Value } from '../../../ir/graph.js';
import { sizeOf } from '../../../ir/tensor-data.js';
import type { NodeContext } from '../context.js';
import { atRanks, elementPositions, flatten, ranksOf, selected, takeAlong, tuplePositions, wrapped } from '../lib/indexing.js';
import { nonMaxSuppression } from '../lib/suppression.js';
import { int, type OpEntry, op, opt, text } from '../registry.js';

const reductions: Readonly<Record<string, 'set' | 'add' | 'mul' | 'max' | 'min'>> = { none: 'set', add: 'add', mul: 'mul', max: 'max', min: 'min' };
const reductionOf = (c: NodeContext, name: string): 'set' | 'add' | 'mul' | 'max' | 'min' =>
  reductions[name] ?? c.fail(`reduction '${name}', expected none, add, mul, max or min`);

function scatterFlat(c: NodeContext, x: Value, at: Value, updates: Value, rows: number, fn: 'set' | 'add' | 'mul' | 'max' | 'min'): Value {
  const { b } = c;
  const shape = c.shape(x);
  const row = sizeOf(shape) / Math.max(rows, 1);
  const n = sizeOf(c.shape(at));
  const table = b.reshape(x, [rows, row]);
  return b.reshape(b.emit('scatter', [table, b.reshape(at, [n]), b.reshape(updates, [n, row])], { axis: 0, fn }), shape);
}

function scatterElements(c: NodeContext, axisAttribute: number, reduction: string): Value {
  const [x, indices, updates] = [c.in(0), c.in(1), c.in(2)];
  const shape = c.shape(x);
  const axis = c.axis(axisAttribute, shape.length);
  const at = elementPositions(c, wrapped(c, indices, shape[axis]!), shape, axis);
  return scatterFlat(c, x, at, updates, sizeOf(shape), reductionOf(c, reduction));
}

/** Rows (or elements) of a tensor in the order of their first occurrence, or sorted. */
function unique(c: NodeContext, axisAttribute: number | null, sorted: boolean): Value[] {
  const { b } = c;
  const x = c.in(0);
  const rank = x.shape.length;
  const axis = axisAttribute === null ? null : c.axis(axisAttribute, rank);
  const rest = axis === null ? [] : c.shape(x).filter((_, i) => i !== axis);
  const perm = axis === null ? [] : [axis, ...x.shape.map((_, i) => i).filter((i) => i !== axis)];
  const n = axis === null ? sizeOf(c.shape(x)) : c.size(x.shape[axis]!);
  const width = sizeOf(rest);
  const rows = b.reshape(axis === null ? x : b.transpose(x, perm), [n, width]);
  const cube = [n, n, width];
  const mine = b.broadcast(rows, cube, [0, 2]);
  const other = b.broadcast(rows, cube, [1, 2]);
  const equal = b.compare('eq', mine, other);
  const same = b.reduce('all', equal, [2]);
  // Element (i, j): whether row j comes before row i, at the first column where they differ.
  const less = (): Value => {
    const lt = b.compare('lt', other, mine);
    if (width === 1) return b.reshape(lt, [n, n]);
    const prefix = b.emit('cumulative', [b.cast(equal, 'int32')], { fn: 'prod', axis: 2, exclusive: true, reverse: false });
    return b.reduce('any', b.and(lt, b.compare('ne', prefix, 0)), [2]);
  };
  const first = b.emit('arg_reduce', [b.cast(same, 'int32')], { fn: 'argmax', axis: 1 });
  const isFirst = b.compare('eq', first, b.iota([n], 0));
  const ahead = sorted ? less() : b.compare('lt', b.iota([n, n], 1), b.broadcast(first, [n, n], [0]));
  const group = b.sum(b.cast(b.and(ahead, b.broadcast(isFirst, [n, n], [1])), 'int32'), [1]);
  const count = b.sum(b.cast(isFirst, 'int32'));
  const place = b.select(isFirst, group, -1);
  const indices = b.emit('scatter', [b.full([n], 0, 'int32'), place, b.iota([n], 0)], { axis: 0, fn: 'set' });
  const counts = b.emit('scatter', [b.full([n], 0, 'int32'), group, b.full([n], 1, 'int32')], { axis: 0, fn: 'add' });
  const values = b.gather(rows, indices, 0);
  const y =
    axis === null
      ? b.reshape(values, [n])
      : b.transpose(
          b.reshape(values, [n, ...rest]),
          perm.map((_, i) => perm.indexOf(i)),
        );
  const long = (v: Value): Value => b.cast(v, c.dtype(7));
  return [c.padded(y, axis ?? 0, count), c.padded(long(indices), 0, count), long(group), c.padded(long(counts), 0, count)];
}

export const indexingOps: readonly OpEntry[] = [
  op(
    'Gather',
    [1, 11, 13],
    { axis: int(0) },
    (c, a) => {
      const [x, indices] = [c.in(0), c.in(1)];
      const axis = c.axis(a.axis, x.shape.length);
      const d = x.shape[axis]!;
      const i = c.index(indices);
      const known = c.known(indices);
      const { b } = c;
      // Indices that are known to be in range need no wrapping.
      const direct = known !== null && Array.from(numbersOf(known.data)).every((k) => k >= 0);
      const at = direct ? i : b.select(b.compare('lt', i, 0), b.add(i, b.dimSize(d)), i);
      const y = b.gather(x, at, axis);
      const p = c.padding(indices);
      if (c.padding(x)) c.unsupported('the data has a size that depends on the data');
      return p ? c.padded(y, axis + p.axis, p.count) : y;
    },
    { padded: true },
  ),
  op('GatherElements', [11, 13], { axis: int(0) }, (c, a) => {
    const x = c.in(0);
    const axis = c.axis(a.axis, x.shape.length);
    return takeAlong(c, x, wrapped(c, c.in(1), c.size(x.shape[axis]!)), axis);
  }),
  op(
    'GatherND',
    [11, 12, 13],
    { batch_dims: int(0) },
    (c, a) => {
      const { b } = c;
      const [x, indices] = [c.in(0), c.in(1)];
      const shape = c.shape(x);
      const k = c.size(indices.shape.at(-1)!) + a.batch_dims;
      if (k > shape.length) c.failShape(`index tuples of length ${k} for rank ${shape.length}`);
      const at = tuplePositions(c, indices, shape, a.batch_dims);
      const y = b.gather(b.reshape(x, [sizeOf(shape.slice(0, k)), ...shape.slice(k)]), at, 0);
      const p = c.padding(indices);
      return p ? c.padded(y, p.axis, p.count) : y;
    },
    { padded: true },
  ),
  op('Scatter', [9, 11], { axis: int(0) }, (c, a) => scatterElements(c, a.axis, 'none')),
  op('ScatterElements', [11, 13, 16, 18], { axis: int(0), reduction: text('none') }, (c, a) => scatterElements(c, a.axis, a.reduction)),
  op('ScatterND', [11, 13, 16, 18], { reduction: text('none') }, (c, a) => {
    const [x, indices, updates] = [c.in(0), c.in(1), c.in(2)];
    const shape = c.shape(x);
    const k = c.size(indices.shape.at(-1)!);
    if (k > shape.length) c.failShape(`index tuples of length ${k} for rank ${shape.length}`);
    return scatterFlat(c, x, tuplePositions(c, indices, shape, 0), updates, sizeOf(shape.slice(0, k)), reductionOf(c, a.reduction));
  }),
  op('TensorScatter', [24], { axis: int(-2), mode: text('linear') }, (c, a) => {
    const { b } = c;
    const [past, update, indices] = [c.in(0), c.in(1), c.opt(2)];
    const shape = c.shape(past);
    const axis = c.axis(a.axis, shape.length);
    if (axis === 0) c.fail('axis 0 is the batch');
    const [n, m] = [shape[axis]!, c.size(update.shape[axis]!)];
    const start = indices ? b.broadcast(c.index(indices), shape, [0]) : b.full(shape, 0, 'int32');
    const offset = b.sub(b.iota(shape, axis), start);
    const step = a.mode === 'circular' ? b.select(b.compare('lt', offset, 0), b.add(offset, n), offset) : offset;
    const within = b.and(b.compare('ge', step, 0), b.compare('lt', step, m));
    const at = elementPositions(c, b.max(b.min(step, m - 1), 0), c.shape(update), axis);
    return b.select(within, b.gather(flatten(c, update), at, 0), past);
  }),
  op('OneHot', [9, 11, 28], { axis: int(-1) }, (c, a) => {
    const { b } = c;
    const [indices, values] = [c.in(0), c.in(2)];
    const depth = c.number(c.in(1));
    const axis = c.axis(a.axis, indices.shape.length + 1);
    const i = wrapped(c, indices, depth);
    const shape = [...indices.shape.slice(0, axis), depth, ...indices.shape.slice(axis)];
    const hit = b.compare('eq', b.iota(shape, axis), b.expandDims(i, axis));
    const value = (k: number): Value => b.broadcastTo(b.reshape(b.sliceAxis(values, 0, k, k + 1), []), shape);
    return b.select(hit, value(1), value(0));
  }),
  op('TopK', [1, 10, 11, 24], { axis: int(-1), k: opt.int, largest: int(1), sorted: int(1) }, (c, a) => {
    const { b } = c;
    const x = c.in(0);
    const rank = x.shape.length;
    const axis = c.axis(a.axis, rank);
    const k = c.version < 10 ? (a.k ?? c.fail("attribute 'k' is missing")) : c.number(c.in(1));
    if (isStatic(x.shape[axis]!) && k > Number(x.shape[axis])) c.fail(`k ${k} is larger than axis ${axis} of size ${x.shape[axis]}`);
    const perm = [...x.shape.map((_, i) => i).filter((i) => i !== axis), axis];
    const back = perm.map((_, i) => perm.indexOf(i));
    const rows = b.transpose(x, perm);
    const indices = atRanks(c, ranksOf(c, rows, a.largest !== 0), k);
    const values = takeAlong(c, rows, indices, rank - 1);
    return [b.transpose(values, back), b.cast(b.transpose(indices, back), c.dtype(7))];
  }),
  op('NonZero', [9, 13], {}, (c) => {
    const { b } = c;
    const given = c.in(0);
    const x = given.shape.length === 0 ? b.reshape(given, [1]) : given;
    const shape = c.shape(x);
    const mask = x.dtype === 'bool' ? x : b.compare('ne', x, 0);
    const { positions, count } = selected(c, flatten(c, mask));
    const n = sizeOf(shape);
    let rest = positions;
    const coordinates: Value[] = [];
    for (let i = shape.length - 1; i >= 0; i--) {
      coordinates.unshift(b.reshape(b.binary('rem', rest, Math.max(shape[i]!, 1)), [1, n]));
      rest = b.div(rest, Math.max(shape[i]!, 1));
    }
    return c.padded(b.cast(b.concat(coordinates, 0), c.dtype(7)), 1, count);
  }),
  op('Compress', [9, 11, 28], { axis: opt.int }, (c, a) => {
    const { b } = c;
    const x = a.axis === null ? flatten(c, c.in(0)) : c.in(0);
    const axis = a.axis === null ? 0 : c.axis(a.axis, x.shape.length);
    const n = c.size(x.shape[axis]!);
    const condition = c.in(1);
    const given = c.size(condition.shape[0]!);
    const mask = given > n ? b.sliceAxis(condition, 0, 0, n) : condition;
    const { positions, count } = selected(c, mask);
    return c.padded(b.gather(x, positions, axis), axis, count);
  }),
  op('Unique', [11, 28], { axis: opt.int, sorted: int(1) }, (c, a) => unique(c, a.axis, a.sorted !== 0)),
  op('NonMaxSuppression', [10, 11], { center_point_box: int(0) }, (c, a) => nonMaxSuppression(c, a.center_point_box !== 0)),
];
