/** Padding in ONNX's modes. */
import { isStatic } from '../../../ir/dim.js';
import type { Value } from '../../../ir/graph.js';
import type { NodeContext } from '../context.js';

/** Pads each axis; negative pads crop. `fill` is a number, or a value that may be known at run time only. */
export function padTensor(c: NodeContext, x: Value, low: readonly number[], high: readonly number[], mode: string, fill: number | Value | null): Value {
  const { b } = c;
  if (mode === 'constant') {
    if (typeof fill === 'number' || fill === null) return padBool(c, x, low, high, fill ?? 0);
    const known = c.known(fill);
    if (known) return padBool(c, x, low, high, Number(known.data[0]));
    // A fill known only at run time: pad with zeros and choose by a mask.
    const inside = b.pad(b.full(x.shape, 1, 'int32'), low, high, 0);
    return b.select(b.compare('ne', inside, 0), padBool(c, x, low, high, 0), b.broadcastTo(b.reshape(fill, []), inside.shape));
  }
  if (mode !== 'reflect' && mode !== 'edge' && mode !== 'wrap') return c.unsupported(`mode '${mode}'`);
  let y = x;
  for (let axis = 0; axis < x.shape.length; axis++) {
    const [lo, hi] = [low[axis]!, high[axis]!];
    if (lo === 0 && hi === 0) continue;
    const d = y.shape[axis]!;
    const n = isStatic(d) ? d : c.unsupported(`mode '${mode}' on an axis of symbolic size ${d}`);
    const indices = Array.from({ length: c.countable(n + lo + hi) }, (_, i) => sourceIndex(i - lo, n, mode));
    y = b.gather(y, c.constant('int32', [indices.length], indices), axis);
  }
  return y;
}

/** Which element stands at position i outside of [0, n). */
function sourceIndex(i: number, n: number, mode: 'reflect' | 'edge' | 'wrap'): number {
  if (mode === 'edge' || n === 1) return Math.min(Math.max(i, 0), n - 1);
  if (mode === 'wrap') return ((i % n) + n) % n;
  const period = 2 * (n - 1);
  const k = ((i % period) + period) % period;
  return k < n ? k : period - k;
}

/** The primitive pads numbers; bool goes by way of int32. */
const padBool = (c: NodeContext, x: Value, low: readonly number[], high: readonly number[], value: number): Value =>
  x.dtype === 'bool' ? c.b.cast(c.b.pad(c.b.cast(x, 'int32'), low, high, value ? 1 : 0), 'bool') : c.b.pad(x, low, high, value);
