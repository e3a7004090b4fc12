/** Resize: for each axis the source positions and weights of every output element are computed at import; an axis is then a gather, a few weighted gathers, or a product with a matrix. */
import type { Value } from '../../../ir/graph.js';
import type { NodeContext } from '../context.js';

export interface ResizeOptions {
  readonly mode: string;
  readonly coordinates: string;
  readonly nearest: string;
  readonly cubicA: number;
  readonly antialias: boolean;
  readonly excludeOutside: boolean;
  readonly extrapolation: number;
}

export interface ResizeAxis {
  readonly axis: number;
  readonly scale: number;
  readonly output: number;
  /** Start and end of the region, as parts of the axis (tf_crop_and_resize). */
  readonly roi: readonly [number, number];
}

/** Where output element i lies in the input. */
function sourceOf(c: NodeContext, o: ResizeOptions, a: ResizeAxis, size: number, i: number): number {
  const exact = a.scale * size;
  switch (o.coordinates) {
    case 'half_pixel':
      return (i + 0.5) / a.scale - 0.5;
    case 'half_pixel_symmetric':
      return (size / 2) * (1 - a.output / exact) + (i + 0.5) / a.scale - 0.5;
    case 'pytorch_half_pixel':
      return exact === 1 ? -0.5 : (i + 0.5) / a.scale - 0.5;
    case 'align_corners':
      return exact === 1 ? 0 : (i * (size - 1)) / (exact - 1);
    case 'asymmetric':
      return i / a.scale;
    case 'tf_half_pixel_for_nn':
      return (i + 0.5) / a.scale;
    case 'tf_crop_and_resize': {
      const [from, to] = a.roi;
      return exact === 1 ? 0.5 * (from + to) * (size - 1) : from * (size - 1) + (i * (to - from) * (size - 1)) / (exact - 1);
    }
    default:
      return c.fail(`coordinate_transformation_mode '${o.coordinates}'`);
  }
}

function nearestOf(c: NodeContext, mode: string, x: number): number {
  switch (mode) {
    case 'round_prefer_floor':
      return Math.ceil(x - 0.5);
    case 'round_prefer_ceil':
      return Math.floor(x + 0.5);
    case 'floor':
      return Math.floor(x);
    case 'ceil':
      return Math.ceil(x);
    default:
      return c.fail(`nearest_mode '${mode}'`);
  }
}

const cubic = (a: number, t: number): number => {
  const x = Math.abs(t);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
};
const triangle = (t: number): number => Math.max(1 - Math.abs(t), 0);

/** The elements of the input that make one output element, with weights that sum to 1. */
function taps(o: ResizeOptions, scale: number, x: number, size: number): Map<number, number> {
  const stretch = o.antialias ? Math.min(scale, 1) : 1;
  const reach = (o.mode === 'cubic' ? 2 : 1) / stretch;
  const kernel = (t: number): number => (o.mode === 'cubic' ? cubic(o.cubicA, t) : triangle(t));
  const list: [number, number][] = [];
  for (let k = Math.floor(x - reach) + 1; k < x + reach || k === Math.floor(x - reach) + 1; k++) {
    const w = kernel((k - x) * stretch);
    if (w !== 0 && !(o.excludeOutside && (k < 0 || k >= size))) list.push([k, w]);
  }
  const total = list.reduce((s, [, w]) => s + w, 0);
  const found = new Map<number, number>();
  for (const [k, w] of list) {
    const at = Math.min(Math.max(k, 0), size - 1);
    found.set(at, (found.get(at) ?? 0) + w / total);
  }
  return found;
}

function alongAxis(c: NodeContext, x: Value, o: ResizeOptions, a: ResizeAxis): { value: Value; outside: readonly boolean[] | null } {
  const { b } = c;
  const size = c.size(x.shape[a.axis]!);
  const sources = Array.from({ length: c.countable(a.output) }, (_, i) => sourceOf(c, o, a, size, i));
  const outside = o.coordinates === 'tf_crop_and_resize' ? sources.map((s) => s < 0 || s > size - 1) : null;
  const indices = (list: readonly number[]): Value => c.constant('int32', [list.length], list);
  if (o.mode === 'nearest') {
    const at = sources.map((s) => Math.min(Math.max(nearestOf(c, o.nearest, s), 0), size - 1));
    return { value: at.length === size && at.every((k, i) => k === i) ? x : b.gather(x, indices(at), a.axis), outside };
  }
  const all = sources.map((s) => taps(o, a.scale, s, size));
  const most = Math.max(...all.map((t) => t.size), 1);
  if (most > 8) {
    c.countable(a.output * size);
    const matrix = new Float64Array(a.output * size);
    for (const [i, t] of all.entries()) for (const [k, w] of t) matrix[i * size + k] = w;
    const last = x.shape.length - 1;
    const perm = [...x.shape.map((_, i) => i).filter((i) => i !== a.axis), a.axis];
    const y = b.dot(b.transpose(x, perm), c.constant(x.dtype, [a.output, size], matrix), {
      batchLeft: [],
      batchRight: [],
      contractLeft: [last],
      contractRight: [1],
    });
    return {
      value: b.transpose(
        y,
        perm.map((_, i) => perm.indexOf(i)),
      ),
      outside,
    };
  }
  let sum: Value | null = null;
  for (let j = 0; j < most; j++) {
    const part = all.map((t) => [...t][j] ?? ([0, 0] as const));
    const weights = b.broadcast(
      c.constant(
        x.dtype,
        [a.output],
        part.map(([, w]) => w),
      ),
      x.shape.map((d, i) => (i === a.axis ? a.output : d)),
      [a.axis],
    );
    const term = b.mul(b.gather(x, indices(part.map(([k]) => k)), a.axis), weights);
    sum = sum ? b.add(sum, term) : term;
  }
  return { value: sum!, outside };
}

/** Resizes the axes one after another. */
export function resize(c: NodeContext, x: Value, axes: readonly ResizeAxis[], o: ResizeOptions): Value {
  const { b } = c;
  if (!['nearest', 'linear', 'cubic'].includes(o.mode)) c.fail(`mode '${o.mode}', expected nearest, linear or cubic`);
  const float = x.dtype.startsWith('float') || o.mode === 'nearest' ? x : b.cast(x, 'float32');
  let y = float;
  const masks: Value[] = [];
  const full = x.shape.map((d, i) => axes.find((a) => a.axis === i)?.output ?? d);
  for (const a of axes) {
    const size = c.size(y.shape[a.axis]!);
    if (a.output === size && a.scale === 1 && o.coordinates !== 'tf_crop_and_resize') continue;
    if (a.output === 0) {
      y = b.sliceAxis(y, a.axis, 0, 0);
      continue;
    }
    const { value, outside } = alongAxis(c, y, o, a);
    y = value;
    if (outside?.some((v) => v)) masks.push(b.broadcast(c.constant('bool', [a.output], outside.map(Number)), full, [a.axis]));
  }
  for (const m of masks) y = b.select(m, o.extrapolation, y);
  return float === x ? y : b.cast(o.mode === 'nearest' ? y : b.unary('round', y), x.dtype);
}
