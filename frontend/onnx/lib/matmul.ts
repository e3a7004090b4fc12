/** Matrix products with NumPy's rules, as general dots. */
import { equalDim } from '../../../ir/dim.js';
import type { Value } from '../../../ir/graph.js';
import type { NodeContext } from '../context.js';

/** x @ y: the last two axes are matrices, axes before them broadcast, vectors are rows or columns that vanish again. */
export function matmul(c: NodeContext, x: Value, y: Value): Value {
  const { b } = c;
  if (x.shape.length === 0 || y.shape.length === 0) c.failShape('an operand is a scalar, expected at least a vector');
  if (x.shape.length === 1 && y.shape.length === 1) return b.dot(x, y, { batchLeft: [], batchRight: [], contractLeft: [0], contractRight: [0] });
  if (y.shape.length === 1) return b.dot(x, y, { batchLeft: [], batchRight: [], contractLeft: [x.shape.length - 1], contractRight: [0] });
  if (x.shape.length === 1) {
    const r = matmul(c, b.expandDims(x, 0), y);
    return b.squeeze(r, [r.shape.length - 2]);
  }
  if (y.shape.length === 2) return b.matmul(x, y);
  const batch = b.broadcastShapes(x.shape.slice(0, -2), y.shape.slice(0, -2));
  const n = batch.length;
  const spread = (v: Value): Value => b.broadcastTo(v, [...batch, ...v.shape.slice(-2)]);
  const axes = batch.map((_, i) => i);
  if (!equalDim(x.shape.at(-1)!, y.shape.at(-2)!))
    c.failShape(`[${x.shape.join(',')}] @ [${y.shape.join(',')}]: ${x.shape.at(-1)} columns meet ${y.shape.at(-2)} rows`);
  return b.dot(spread(x), spread(y), { batchLeft: axes, batchRight: axes, contractLeft: [n + 1], contractRight: [n] });
}
