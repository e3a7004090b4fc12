/**
 * Gradients of windowed reductions. A sum's is another windowed sum, with stride and base dilation swapped. Max and min without dilation use
 * select_and_scatter. The rest goes tap by tap: tap k of a window is a strided slice of the padded operand, so windows become a few elementwise tensors.
 */
import type { GraphBuilder } from '../builder.js';
import { addDim, type Dim, isStatic, mulDim, type Shape, subDim } from '../dim.js';
import { limitsOf } from '../dtype.js';
import type { Value } from '../graph.js';
import type { GradientContext } from '../op.js';
import type { OpAttrs } from '../op-attrs.js';
import { dilatedDim, fail } from './check.js';
import { forEachIndex } from './loops.js';
import { embed, unpad } from './shape-gradient.js';

type WindowAttrs = OpAttrs['reduce_window'];

function sumGradient(b: GraphBuilder, g: Value, x: Value, a: WindowAttrs): Value {
  const padding = a.padding.map(([lo], i): [number, number] => {
    const span = (a.window[i]! - 1) * a.windowDilation[i]! + 1;
    const low = span - 1 - lo;
    const high: Dim = subDim(addDim(dilatedDim(x.shape[i]!, a.baseDilation[i]!), span - 1 - low), dilatedDim(g.shape[i]!, a.strides[i]!));
    if (!isStatic(high)) fail('reduce_window', `the gradient would need the symbolic padding ${high} on axis ${i}`);
    return [low, high];
  });
  return b.emit('reduce_window', [g], {
    fn: 'sum',
    window: a.window,
    strides: a.baseDilation,
    padding,
    baseDilation: a.strides,
    windowDilation: a.windowDilation,
  });
}

/** The windows of one operand, tap by tap. */
class Taps {
  private readonly low: number[];
  private readonly high: number[];
  private readonly interior: number[];
  readonly offsets: number[][] = [];

  constructor(
    private readonly b: GraphBuilder,
    private readonly windows: Shape,
    private readonly a: WindowAttrs,
  ) {
    this.low = a.padding.map((p) => p[0]);
    this.high = a.padding.map((p) => p[1]);
    this.interior = a.baseDilation.map((d) => d - 1);
    forEachIndex(a.window, (k) => this.offsets.push(k.map((t, i) => t * a.windowDilation[i]!)));
  }

  pad(x: Value, value: number): Value {
    return this.b.pad(x, this.low, this.high, value, this.interior);
  }

  /** The element of each window at the given offset. */
  read(padded: Value, offset: readonly number[]): Value {
    const limit = this.windows.map((m, i) => addDim(offset[i]! + 1, mulDim(subDim(m, 1), this.a.strides[i]!)));
    return this.b.slice(padded, offset, limit, this.a.strides);
  }

  /** The sum of every tap's contribution, put back where the tap read. */
  scatter(padded: Shape, contributions: readonly Value[]): Value {
    const parts = contributions.map((c, k) => embed(this.b, c, padded, this.offsets[k]!, this.a.strides));
    return unpad(
      this.b,
      parts.reduce((x, y) => this.b.add(x, y)),
      this.low,
      this.high,
      this.interior,
    );
  }

  /** For each tap: whether it is the first of its window that equals the extreme. */
  firstExtremes(x: Value, fn: 'max' | 'min'): Value[] {
    const { b } = this;
    const limits = limitsOf(x.dtype);
    const padded = this.pad(x, fn === 'max' ? limits.lowest : limits.highest);
    const taps = this.offsets.map((o) => this.read(padded, o));
    const extreme = taps.reduce((p, q) => b.binary(fn, p, q));
    let taken: Value | null = null;
    return taps.map((tap) => {
      const hit = b.compare('eq', tap, extreme);
      const first = taken ? b.and(hit, b.not(taken)) : hit;
      taken = taken ? b.or(taken, hit) : hit;
      return first;
    });
  }
}

function extremeGradient(b: GraphBuilder, g: Value, x: Value, a: WindowAttrs & { fn: 'max' | 'min' }): Value {
  if ([...a.baseDilation, ...a.windowDilation].every((d) => d === 1))
    return b.emit('select_and_scatter', [x, g], { fn: a.fn, window: a.window, strides: a.strides, padding: a.padding });
  const taps = new Taps(b, g.shape, a);
  return taps.scatter(
    taps.pad(x, 0).shape,
    taps.firstExtremes(x, a.fn).map((first) => b.select(first, g, 0)),
  );
}

/** The cotangent of a tap is that of its window times the product of the other taps (running products from both ends). */
function productGradient(b: GraphBuilder, g: Value, x: Value, a: WindowAttrs): Value {
  const taps = new Taps(b, g.shape, a);
  const padded = taps.pad(x, 1);
  const values = taps.offsets.map((o) => taps.read(padded, o));
  const after: Value[] = [];
  for (let k = values.length - 1, acc = b.full(g.shape, 1, g.dtype); k >= 0; acc = b.mul(acc, values[k]!), k--) after[k] = acc;
  let before = g;
  const contributions = values.map((v, k) => {
    const c = b.mul(before, after[k]!);
    before = b.mul(before, v);
    return c;
  });
  return taps.scatter(padded.shape, contributions);
}

export function reduceWindowGradient({ b, node, grads }: GradientContext<'reduce_window'>): (Value | null)[] {
  const x = node.inputs[0]!;
  const g = grads[0]!;
  const a = node.attrs;
  if (a.fn === 'sum') return [sumGradient(b, g, x, a)];
  if (a.fn === 'prod') return [productGradient(b, g, x, a)];
  return [extremeGradient(b, g, x, { ...a, fn: a.fn })];
}

/** Linear in the cotangents of the windows: each gets the value where its own went. Constant in the operand, almost everywhere. */
export function selectAndScatterGradient({ b, node, grads, wanted }: GradientContext<'select_and_scatter'>): (Value | null)[] {
  const [x, source] = node.inputs as [Value, Value];
  if (!wanted[1]) return [null, null];
  const ones = node.attrs.window.map(() => 1);
  const taps = new Taps(b, source.shape, { ...node.attrs, baseDilation: ones, windowDilation: ones });
  const padded = taps.pad(grads[0]!, 0);
  const parts = taps.firstExtremes(x, node.attrs.fn).map((first, k) => b.select(first, taps.read(padded, taps.offsets[k]!), 0));
  return [null, parts.reduce((p, q) => b.add(p, q))];
}
