/** Images: resizing, sampling on grids, regions of interest, deformable convolution. */
import { equalDim, isStatic } from '../../../ir/dim.js';
import type { Value } from '../../../ir/graph.js';
import { sizeOf } from '../../../ir/tensor-data.js';
import type { NodeContext } from '../context.js';
import { type ResizeAxis, resize } from '../lib/resize.js';
import { gatherPoints, sample, type Tap, tapAt, tapsOf } from '../lib/sampling.js';
import { windowsOf } from '../lib/window.js';
import { float, int, type OpEntry, op, opt, text } from '../registry.js';
import { addBias } from './convolution.js';

/** Size, scale and region of each resized axis, from the inputs of Resize. */
function resizeAxes(
  c: NodeContext,
  x: Value,
  axesAttribute: readonly number[] | null,
  policy: string,
  at: { roi: number; scales: number; sizes: number },
): ResizeAxis[] {
  const rank = x.shape.length;
  const every = axesAttribute ? c.axes(axesAttribute, rank) : x.shape.map((_, i) => i);
  const list = <T>(i: number, read: (v: Value) => readonly T[]): readonly T[] | null => {
    const v = i < 0 ? null : c.opt(i);
    const values = v ? read(v) : [];
    return values.length > 0 ? values : null;
  };
  const numbers = (v: Value): number[] => c.numbers(v);
  const [roi, allScales, allSizes] = [list(at.roi, numbers), list(at.scales, numbers), list(at.sizes, (v) => c.dims(v))];
  const given = allSizes ?? allScales ?? c.fail('neither scales nor sizes are given');
  if (given.length !== every.length) c.fail(`${given.length} ${allSizes ? 'sizes' : 'scales'} for ${every.length} axes`);
  // an axis of open size, such as the batch, stays as it is
  const kept = every.map((a, i) => isStatic(x.shape[a]!) || !(allSizes ? equalDim(allSizes[i]!, x.shape[a]!) : allScales![i] === 1));
  const axes = every.filter((_, i) => kept[i]);
  const scales = allScales?.filter((_, i) => kept[i]);
  const sizes = allSizes?.filter((_, i) => kept[i]).map((d) => c.size(d));
  const input = axes.map((a) => c.size(x.shape[a]!));
  let results = input.map((n, i) => (sizes ? { scale: sizes[i]! / n, output: sizes[i]! } : { scale: scales![i]!, output: Math.floor(n * scales![i]!) }));
  if (sizes && policy !== 'stretch') {
    const ratios = input.map((n, i) => sizes[i]! / n);
    const scale =
      policy === 'not_larger' ? Math.min(...ratios) : policy === 'not_smaller' ? Math.max(...ratios) : c.fail(`keep_aspect_ratio_policy '${policy}'`);
    results = input.map((n) => ({ scale, output: Math.floor(scale * n + 0.5) }));
  }
  const k = every.length;
  if (roi && roi.length !== 2 * k) c.fail(`roi has ${roi.length} values for ${k} axes`);
  return axes.map((axis, i) => ({ axis, ...results[i]!, roi: [roi?.[every.indexOf(axis)] ?? 0, roi?.[every.indexOf(axis) + k] ?? 1] }));
}

const plain = { antialias: false, excludeOutside: false, extrapolation: 0, cubicA: -0.75 } as const;
/** Resize of opset 10 and Upsample: positions are output positions divided by the scale. */
const simple = (mode: string) => ({ ...plain, mode: mode === 'bilinear' ? 'linear' : mode, coordinates: 'asymmetric', nearest: 'floor' });

const outsideOf = (c: NodeContext, mode: string): 'zeros' | 'border' | 'reflection' =>
  mode === 'zeros' || mode === 'border' || mode === 'reflection' ? mode : c.fail(`padding_mode '${mode}', expected zeros, border or reflection`);
const modes: Readonly<Record<string, 'linear' | 'nearest' | 'cubic'>> = {
  linear: 'linear',
  bilinear: 'linear',
  nearest: 'nearest',
  cubic: 'cubic',
  bicubic: 'cubic',
};

/** Deformable convolution in two dimensions: samples at the moved taps, then a product with the weights of each group. */
function deformable(
  c: NodeContext,
  a: {
    readonly dilations: readonly number[] | null;
    readonly group: number;
    readonly kernel_shape: readonly number[] | null;
    readonly offset_group: number;
    readonly pads: readonly number[] | null;
    readonly strides: readonly number[] | null;
  },
): Value {
  const { b } = c;
  const [x, w, offset] = [c.in(0), c.in(1), c.in(2)];
  const [n, ch, ...spatial] = c.shape(x) as [number, number, ...number[]];
  const [m, perGroup, ...kernel] = c.shape(w) as [number, number, ...number[]];
  const r = spatial.length;
  const win = windowsOf(c, { auto_pad: 'NOTSET', dilations: a.dilations, pads: a.pads, strides: a.strides }, spatial, kernel);
  const out = win.counts as readonly number[];
  const [og, k, places] = [a.offset_group, sizeOf(kernel), sizeOf(out)];
  // Offsets are [N, og * k * r, ...out]: for each tap one number per axis.
  const moves = b.reshape(offset, [n * og, k, r, places]);
  const points = c.countable(k * places);
  const axes = spatial.map((size, axis): Tap[] => {
    const base: number[] = [];
    const step = kernel.slice(axis + 1).reduce((p, d) => p * d, 1);
    const stride = out.slice(axis + 1).reduce((p, d) => p * d, 1);
    for (let t = 0; t < k; t++) {
      for (let p = 0; p < places; p++) {
        const tap = Math.floor(t / step) % kernel[axis]!;
        const place = Math.floor(p / stride) % out[axis]!;
        base.push(place * win.strides[axis]! - win.pads[axis]![0] + tap * win.dilations[axis]!);
      }
    }
    const move = b.reshape(b.sliceAxis(moves, 2, axis, axis + 1), [n * og, points]);
    return tapsOf(c, b.add(move, c.constant(x.dtype, [1, points], base)), size, 'linear', 'zeros', true);
  });
  let sampled = sample(c, b.reshape(x, [n * og, ch / og, ...spatial]), axes);
  const mask = c.opt(4);
  if (mask) sampled = b.mul(sampled, b.reshape(mask, [n * og, 1, points]));
  const g = a.group;
  const columns = b.reshape(sampled, [n, g, perGroup * k, places]);
  const weights = b.reshape(w, [g, m / g, perGroup * k]);
  // [g, n, places, m/g] from batch g.
  const y = b.dot(columns, weights, { batchLeft: [1], batchRight: [0], contractLeft: [2], contractRight: [2] });
  return addBias(c, b.reshape(b.transpose(y, [1, 0, 3, 2]), [n, m, ...out]), c.opt(3));
}

/** Regions [R, 4] as x1, y1, x2, y2 averaged (or maximised) over a grid of samples in each bin. */
function roiAlign(
  c: NodeContext,
  a: { readonly mode: string; readonly output_height: number; readonly output_width: number; readonly sampling_ratio: number; readonly spatial_scale: number },
  halfPixel: boolean,
): Value {
  const { b } = c;
  const [x, rois, batch] = [c.in(0), c.in(1), c.in(2)];
  const [, ch, h, w] = c.shape(x) as [number, number, number, number];
  const r = c.size(rois.shape[0]!);
  const offset = halfPixel ? 0.5 : 0;
  const edge = (i: number): Value => b.sub(b.mul(b.reshape(b.sliceAxis(rois, 1, i, i + 1), [r]), a.spatial_scale), offset);
  /** Taps, number of samples and mask along one axis: [R, bins * grid]. */
  const along = (from: Value, to: Value, bins: number, size: number) => {
    const length = halfPixel ? b.sub(to, from) : b.max(b.sub(to, from), 1);
    const bin = b.div(length, bins);
    // The number of samples depends on the region: a bound, and a mask.
    const most = a.sampling_ratio > 0 ? a.sampling_ratio : Math.ceil((2 * size) / bins) + 1;
    const grid = a.sampling_ratio > 0 ? b.full([r], a.sampling_ratio, x.dtype) : b.unary('ceil', bin);
    const shape = [r, bins, most];
    const wide = (v: Value): Value => b.broadcast(v, shape, [0]);
    const i = b.iota(shape, 2, x.dtype);
    const p = b.add(b.add(wide(from), b.mul(b.iota(shape, 1, x.dtype), wide(bin))), b.div(b.mul(b.add(i, 0.5), wide(bin)), wide(b.max(grid, 1))));
    const live = b.compare('lt', i, wide(grid));
    const near = b.and(b.compare('ge', p, -1), b.compare('le', p, size));
    const at = b.max(p, 0);
    const low = b.min(b.unary('floor', at), size - 1);
    const t = b.select(b.compare('ge', low, size - 1), 0, b.sub(at, low));
    const valid = b.cast(b.and(live, near), x.dtype);
    const flat = (v: Value): Value => b.reshape(v, [r, bins * most]);
    const taps = [
      tapAt(c, flat(low), flat(b.mul(b.sub(1, t), valid)), size, 'border', true),
      tapAt(c, flat(b.min(b.add(low, 1), size - 1)), flat(b.mul(t, valid)), size, 'border', true),
    ];
    return { taps, grid, most, live: flat(b.cast(live, x.dtype)) };
  };
  const cols = along(edge(0), edge(2), a.output_width, w);
  const rows = along(edge(1), edge(3), a.output_height, h);
  const [py, px] = [a.output_height * rows.most, a.output_width * cols.most];
  const picked = b.reshape(b.gather(x, c.index(batch), 0), [r, ch, h * w]);
  const bins = [r, ch, a.output_height, rows.most, a.output_width, cols.most];
  const grid = (v: Value, along: 1 | 2): Value => b.broadcast(v, [r, py, px], [0, along]);
  const terms = rows.taps.flatMap((ty) =>
    cols.taps.map((tx) => {
      const at = b.reshape(b.add(b.mul(grid(ty.index, 1), w), grid(tx.index, 2)), [r, py * px]);
      const weight = b.reshape(b.mul(grid(ty.weight, 1), grid(tx.weight, 2)), [r, 1, py * px]);
      return b.reshape(b.mul(gatherPoints(c, picked, at), weight), bins);
    }),
  );
  if (a.mode === 'max') {
    // The largest weighted tap, as the operator was first built.
    const live = b.reshape(b.mul(grid(rows.live, 1), grid(cols.live, 2)), [r, 1, ...bins.slice(2)]);
    const best = terms.reduce((m, t) => b.max(m, t));
    return b.reduce('max', b.select(b.compare('ne', b.broadcastTo(live, bins), 0), best, Number.NEGATIVE_INFINITY), [3, 5]);
  }
  if (a.mode !== 'avg') c.fail(`mode '${a.mode}', expected avg or max`);
  const total = b.sum(
    terms.reduce((m, t) => b.add(m, t)),
    [3, 5],
  );
  const count = b.max(b.mul(b.max(rows.grid, 0), b.max(cols.grid, 0)), 1);
  return b.div(total, b.reshape(count, [r, 1, 1, 1]));
}

export const imageOps: readonly OpEntry[] = [
  op(
    'Resize',
    [10, 11, 13, 18, 19],
    {
      antialias: int(0),
      axes: opt.ints,
      coordinate_transformation_mode: text('half_pixel'),
      cubic_coeff_a: float(-0.75),
      exclude_outside: int(0),
      extrapolation_value: float(0),
      keep_aspect_ratio_policy: text('stretch'),
      mode: text('nearest'),
      nearest_mode: text('round_prefer_floor'),
    },
    (c, a) => {
      const x = c.in(0);
      if (c.version < 11) return resize(c, x, resizeAxes(c, x, null, 'stretch', { roi: -1, scales: 1, sizes: -1 }), simple(a.mode));
      const axes = resizeAxes(c, x, a.axes, a.keep_aspect_ratio_policy, {
        roi: a.coordinate_transformation_mode === 'tf_crop_and_resize' ? 1 : -1,
        scales: 2,
        sizes: 3,
      });
      return resize(c, x, axes, {
        mode: a.mode,
        coordinates: a.coordinate_transformation_mode,
        nearest: a.nearest_mode,
        cubicA: a.cubic_coeff_a,
        antialias: a.antialias !== 0,
        excludeOutside: a.exclude_outside !== 0,
        extrapolation: a.extrapolation_value,
      });
    },
  ),
  op(
    'Upsample',
    [1, 7, 9, 10],
    { mode: text('nearest'), scales: opt.floats, height_scale: opt.float, width_scale: opt.float },
    (c, a) => {
      const x = c.in(0);
      if (c.version >= 9) return resize(c, x, resizeAxes(c, x, null, 'stretch', { roi: -1, scales: 1, sizes: -1 }), simple(a.mode));
      const scales = a.scales ?? [1, 1, a.height_scale ?? 1, a.width_scale ?? 1];
      if (scales.length !== x.shape.length) c.fail(`${scales.length} scales for rank ${x.shape.length}`);
      const axes = scales.map((scale, axis): ResizeAxis => ({ axis, scale, output: Math.floor(c.size(x.shape[axis]!) * scale), roi: [0, 1] }));
      return resize(c, x, axes, simple(a.mode));
    },
    { until: 9 },
  ),
  op('GridSample', [16, 20, 22], { align_corners: int(0), mode: text('linear'), padding_mode: text('zeros') }, (c, a) => {
    const { b } = c;
    const [x, grid] = [c.in(0), c.in(1)];
    const [n, ch, ...spatial] = c.shape(x) as [number, number, ...number[]];
    const out = c.shape(grid).slice(1, -1);
    const points = sizeOf(out);
    const align = a.align_corners !== 0;
    const mode = modes[a.mode] ?? c.fail(`mode '${a.mode}', expected linear, nearest or cubic`);
    const axes = spatial.map((size, i) => {
      // The last number of a grid point is the first axis.
      const k = spatial.length - 1 - i;
      const g = b.reshape(b.sliceAxis(grid, grid.shape.length - 1, k, k + 1), [n, points]);
      const p = align ? b.mul(b.mul(b.add(g, 1), 0.5), size - 1) : b.mul(b.sub(b.mul(b.add(g, 1), size), 1), 0.5);
      return tapsOf(c, b.cast(p, x.dtype), size, mode, outsideOf(c, a.padding_mode), align);
    });
    return b.reshape(sample(c, x, axes), [n, ch, ...out]);
  }),
  op('AffineGrid', [20], { align_corners: int(0) }, (c, a) => {
    const { b } = c;
    const theta = c.in(0);
    const [n, , ...spatial] = c.numbers(c.in(1)) as [number, number, ...number[]];
    const r = spatial.length;
    const points = c.countable(sizeOf(spatial));
    // Homogeneous base points [points, r + 1]: x, y(, z), 1.
    const base: number[] = [];
    for (let p = 0; p < points; p++) {
      const row = new Array<number>(r + 1).fill(1);
      let rest = p;
      for (let i = r - 1; i >= 0; i--) {
        const size = spatial[i]!;
        const k = rest % size;
        rest = Math.floor(rest / size);
        row[r - 1 - i] = a.align_corners ? (size === 1 ? -1 : -1 + (2 * k) / (size - 1)) : -1 + (2 * k + 1) / size;
      }
      base.push(...row);
    }
    const grid = b.dot(theta, c.constant(theta.dtype, [points, r + 1], base), { batchLeft: [], batchRight: [], contractLeft: [2], contractRight: [1] });
    return b.reshape(b.transpose(grid, [0, 2, 1]), [n, ...spatial, r]);
  }),
  op(
    'RoiAlign',
    [10, 16, 22],
    {
      coordinate_transformation_mode: text('half_pixel'),
      mode: text('avg'),
      output_height: int(1),
      output_width: int(1),
      sampling_ratio: int(0),
      spatial_scale: float(1),
    },
    (c, a) => roiAlign(c, a, c.version >= 16 && a.coordinate_transformation_mode === 'half_pixel'),
  ),
  op(
    'DeformConv',
    [19, 22],
    { dilations: opt.ints, group: int(1), kernel_shape: opt.ints, offset_group: int(1), pads: opt.ints, strides: opt.ints },
    deformable,
  ),
];
