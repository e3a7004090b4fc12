/** Pools over windows, over everything, and their inverses. */
import { isStatic } from '../../../ir/dim.js';
import { limitsOf } from '../../../ir/dtype.js';
import type { Value } from '../../../ir/graph.js';
import type { Pair } from '../../../ir/op-attrs.js';
import { forEachIndex } from '../../../ir/ops/loops.js';
import type { NodeContext } from '../context.js';
import { listOf, poolAttributes, type Windows, windowsOf } from '../lib/window.js';
import { float, int, ints, type OpEntry, op, opt } from '../registry.js';

const leading = <T>(x: T, list: readonly T[]): T[] => [x, x, ...list];

function pool(c: NodeContext, x: Value, w: Windows, fn: 'sum' | 'max'): Value {
  const ones = w.kernel.map(() => 1);
  return c.b.emit('reduce_window', [x], {
    fn,
    window: leading(1, w.kernel),
    strides: leading(1, w.strides),
    padding: leading<Pair>([0, 0], w.exact),
    baseDilation: leading(1, ones),
    windowDilation: leading(1, w.dilations),
  });
}

const windows = (c: NodeContext, x: Value, a: Parameters<typeof windowsOf>[1] & { readonly kernel_shape: readonly number[] | null }): Windows =>
  windowsOf(c, a, x.shape.slice(2), a.kernel_shape ?? c.fail("attribute 'kernel_shape' is missing"));

/** How many elements each window has along one axis: those of the input, or also those of the padding. */
function elementsOf(c: NodeContext, w: Windows, axis: number, size: number, withPads: boolean): number[] {
  const [low, high] = w.pads[axis]!;
  const [from, to] = withPads ? [-low, size + high] : [0, size];
  return Array.from({ length: c.countable(w.counts[axis]!) }, (_, o) => {
    let n = 0;
    for (let k = 0; k < w.kernel[axis]!; k++) {
      const at = o * w.strides[axis]! - low + k * w.dilations[axis]!;
      if (at >= from && at < to) n++;
    }
    return n;
  });
}

function average(c: NodeContext, x: Value, w: Windows, withPads: boolean): Value {
  const { b } = c;
  const total = pool(c, x, w, 'sum');
  let fixed = 1;
  let y = total;
  for (const [i, k] of w.kernel.entries()) {
    const d = x.shape[i + 2]!;
    if (!isStatic(d)) {
      if (w.exact[i]!.some((p) => p !== 0) && !withPads) c.unsupported(`padding on an axis of symbolic size ${d}`);
      fixed *= k;
      continue;
    }
    const counts = elementsOf(c, w, i, d, withPads);
    if (counts.every((n) => n === counts[0])) fixed *= counts[0] ?? 1;
    else y = b.div(y, b.reshape(c.constant(x.dtype, [counts.length], counts), [counts.length, ...w.kernel.slice(i + 1).map(() => 1)]));
  }
  return b.div(y, fixed);
}

/** The flat index of each window's first maximum, by choosing among the window's elements one after another. */
function argMax(c: NodeContext, x: Value, w: Windows, storageOrder: number): Value {
  const { b } = c;
  const shape = c.shape(x);
  const spatial = shape.slice(2);
  const n = spatial.length;
  const { lowest } = limitsOf(x.dtype);
  const padded = b.pad(
    x,
    leading(
      0,
      w.exact.map(([l]) => l),
    ),
    leading(
      0,
      w.exact.map(([, h]) => h),
    ),
    lowest,
  );
  const counts = w.counts as readonly number[];
  const out = [shape[0]!, shape[1]!, ...counts];
  const strides: number[] = [];
  for (let i = 0; i < n; i++) strides.push(storageOrder ? spatial.slice(0, i).reduce((p, d) => p * d, 1) : spatial.slice(i + 1).reduce((p, d) => p * d, 1));
  const size = spatial.reduce((p, d) => p * d, 1);
  let base = b.add(b.mul(b.iota(out, 0), shape[1]! * size), b.mul(b.iota(out, 1), size));
  for (let i = 0; i < n; i++) base = b.add(base, b.mul(b.add(b.mul(b.iota(out, i + 2), w.strides[i]!), -w.pads[i]![0]), strides[i]!));
  if (w.kernel.reduce((p, d) => p * d, 1) > 4096) c.unsupported(`indices of windows [${w.kernel.join(',')}]`);
  let best: Value | null = null;
  let where: Value | null = null;
  forEachIndex(w.kernel, (tap) => {
    const start = tap.map((t, i) => t * w.dilations[i]!);
    const value = b.slice(
      padded,
      leading(0, start),
      [shape[0]!, shape[1]!, ...start.map((s, i) => s + (counts[i]! - 1) * w.strides[i]! + 1)],
      leading(1, w.strides),
    );
    const offset = start.reduce((s, t, i) => s + t * strides[i]!, 0);
    if (!best || !where) {
      best = value;
      where = b.broadcastTo(b.scalar(offset, 'int32'), out);
    } else {
      const better = b.compare('gt', value, best);
      best = b.select(better, value, best);
      where = b.select(better, b.full(out, offset, 'int32'), where);
    }
  });
  return b.cast(b.add(base, where!), c.dtype(7));
}

function lpPool(c: NodeContext, x: Value, p: number, sum: (v: Value) => Value): Value {
  const { b } = c;
  const a = b.unary('abs', x);
  if (p === 1) return sum(a);
  if (p === 2) return b.sqrt(sum(b.square(x)));
  return b.pow(sum(b.pow(a, p)), 1 / p);
}

const spatialAxes = (x: Value): number[] => x.shape.map((_, i) => i).slice(2);

export const poolingOps: readonly OpEntry[] = [
  op('MaxPool', [1, 8, 10, 11, 12, 22], { ...poolAttributes, storage_order: int(0) }, (c, a) => {
    const x = c.in(0);
    const w = windows(c, x, a);
    return [pool(c, x, w, 'max'), c.wants(1) ? argMax(c, x, w, a.storage_order) : null];
  }),
  op('AveragePool', [1, 7, 10, 11, 19, 22], { ...poolAttributes, count_include_pad: int(0) }, (c, a) => {
    const x = c.in(0);
    return average(c, x, windows(c, x, a), a.count_include_pad !== 0);
  }),
  op('LpPool', [1, 2, 11, 18, 22], { ...poolAttributes, p: int(2) }, (c, a) => {
    const x = c.in(0);
    return lpPool(c, x, a.p, (v) => pool(c, v, windows(c, x, a), 'sum'));
  }),
  op('GlobalAveragePool', [1, 22], {}, (c) => c.b.mean(c.in(0), spatialAxes(c.in(0)), true)),
  op('GlobalMaxPool', [1, 22], {}, (c) => c.b.reduce('max', c.in(0), spatialAxes(c.in(0)), true)),
  op('GlobalLpPool', [1, 2, 22], { p: int(2) }, (c, a) => lpPool(c, c.in(0), a.p, (v) => c.b.sum(v, spatialAxes(v), true))),
  op('MaxUnpool', [9, 11, 22], { kernel_shape: ints(), pads: opt.ints, strides: opt.ints }, (c, a) => {
    const { b } = c;
    const x = c.in(0);
    const shape = c.shape(x);
    const n = shape.length - 2;
    const strides = listOf(c, 'strides', a.strides, n, 1, 1);
    const pads = listOf(c, 'pads', a.pads, 2 * n, 0, 0);
    const inferred = [shape[0]!, shape[1]!, ...a.kernel_shape.map((k, i) => (shape[i + 2]! - 1) * strides[i]! + k - pads[i]! - pads[i + n]!)];
    const size = inferred.reduce((p, d) => p * d, 1);
    const count = shape.reduce((p, d) => p * d, 1);
    const flat = b.emit('scatter', [b.full([size], 0, x.dtype), b.reshape(c.index(c.in(1)), [count]), b.reshape(x, [count])], { axis: 0, fn: 'set' });
    const y = b.reshape(flat, inferred);
    const wanted = c.opt(2) ? c.numbers(c.in(2)) : inferred;
    return b.pad(
      y,
      inferred.map(() => 0),
      wanted.map((d, i) => d - inferred[i]!),
    );
  }),
  op('MaxRoiPool', [1, 22], { pooled_shape: ints(), spatial_scale: float(1) }, (c, a) => {
    // Each bin is the maximum over a mask of rows and columns; regions hold [batch, x1, y1, x2, y2].
    const { b } = c;
    const [x, rois] = [c.in(0), c.in(1)];
    const [, , h, w] = c.shape(x) as [number, number, number, number];
    const [ph, pw] = a.pooled_shape as readonly [number, number];
    const r = c.size(rois.shape[0]!);
    const column = (i: number): Value => b.reshape(b.sliceAxis(rois, 1, i, i + 1), [r]);
    const scaled = (i: number): Value => b.unary('floor', b.add(b.mul(column(i), a.spatial_scale), 0.5));
    const mask = (from: Value, to: Value, bins: number, size: number): Value => {
      const length = b.max(b.add(b.sub(to, from), 1), 1);
      const bin = b.expandDims(b.div(length, bins), 1);
      const k = b.iota([1, bins], 1, x.dtype);
      const start = b.expandDims(from, 1);
      const limit = (v: Value): Value => b.max(b.min(b.add(v, start), size), 0);
      const low = limit(b.unary('floor', b.mul(k, bin)));
      const high = limit(b.unary('ceil', b.mul(b.add(k, 1), bin)));
      const at = b.iota([1, 1, size], 2, x.dtype);
      return b.and(b.compare('ge', at, b.expandDims(low, 2)), b.compare('lt', at, b.expandDims(high, 2)));
    };
    const columns = mask(scaled(1), scaled(3), pw, w);
    const rows = mask(scaled(2), scaled(4), ph, h);
    const picked = b.gather(x, c.index(column(0)), 0);
    const { lowest } = limitsOf(x.dtype);
    const overColumns = b.reduce('max', b.select(b.reshape(columns, [r, 1, 1, pw, w]), b.reshape(picked, [...c.shape(picked).slice(0, 3), 1, w]), lowest), [4]);
    const all = b.reduce('max', b.select(b.reshape(rows, [r, 1, ph, h, 1]), b.expandDims(overColumns, 2), lowest), [3]);
    return b.select(b.compare('eq', all, lowest), 0, all);
  }),
];
