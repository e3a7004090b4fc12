/** Matrix products, Gemm, Einsum, determinants. */
import type { Value } from '../../../ir/graph.js';
import type { NodeContext } from '../context.js';
import { einsum } from '../lib/einsum.js';
import { matmul } from '../lib/matmul.js';
import { float, int, type OpEntry, op, text } from '../registry.js';

/** Determinants of small matrices by elimination with the largest pivot, unrolled over the columns. */
function determinant(c: NodeContext, x: Value): Value {
  const { b } = c;
  const rank = x.shape.length;
  const n = c.size(x.shape[rank - 1]!);
  if (rank < 2 || c.size(x.shape[rank - 2]!) !== n) c.failShape(`[${x.shape.join(',')}] is not of square matrices`);
  if (n > 64) c.unsupported(`matrices of ${n} rows; up to 64`);
  const batch = x.shape.slice(0, -2);
  const m = batch.length;
  let a = x;
  let det = b.full(batch, 1, x.dtype);
  for (let k = 0; k < n; k++) {
    const size = n - k;
    const column = b.squeeze(b.sliceAxis(a, m + 1, 0, 1), [m + 1]);
    const pivotRow = b.expandDims(b.emit('arg_reduce', [b.unary('abs', column)], { fn: 'argmax', axis: m }), m);
    const row = b.iota([...batch, size], m);
    const isPivot = b.compare('eq', row, pivotRow);
    const chosen = b.expandDims(b.sum(b.select(b.expandDims(isPivot, m + 1), a, 0), [m]), m);
    // The pivot row changes places with the first one.
    const first = b.sliceAxis(a, m, 0, 1);
    const swapped = b.select(b.expandDims(isPivot, m + 1), first, a);
    const pivot = b.squeeze(b.sliceAxis(chosen, m + 1, 0, 1), [m, m + 1]);
    const moved = b.compare('ne', b.squeeze(pivotRow, [m]), 0);
    det = b.mul(det, b.select(moved, b.neg(pivot), pivot));
    if (size === 1) break;
    const below = b.sliceAxis(swapped, m, 1, size);
    const safe = b.select(b.compare('eq', pivot, 0), 1, pivot);
    const factors = b.div(b.sliceAxis(below, m + 1, 0, 1), b.reshape(safe, [...batch, 1, 1]));
    a = b.sliceAxis(b.sub(below, b.mul(factors, chosen)), m + 1, 1, size);
  }
  return det;
}

export const linearOps: readonly OpEntry[] = [
  op('MatMul', [1, 9, 13], {}, (c) => matmul(c, c.in(0), c.in(1))),
  op('Gemm', [1, 6, 7, 9, 11, 13], { alpha: float(1), beta: float(1), transA: int(0), transB: int(0), broadcast: int(0) }, (c, a) => {
    const { b } = c;
    const [x, y] = [c.in(0), c.in(1)];
    if (x.shape.length !== 2 || y.shape.length !== 2) c.failShape(`operands of rank ${x.shape.length} and ${y.shape.length}, expected matrices`);
    let r = b.dot(x, y, { batchLeft: [], batchRight: [], contractLeft: [a.transA ? 0 : 1], contractRight: [a.transB ? 1 : 0] });
    if (a.alpha !== 1) r = b.mul(r, a.alpha);
    const bias = c.opt(2);
    if (!bias || a.beta === 0) return r;
    return b.add(r, a.beta === 1 ? bias : b.mul(bias, a.beta));
  }),
  op('Einsum', [12, 28], { equation: text() }, (c, a) => einsum(c, a.equation, c.all())),
  op('Det', [11, 22], {}, (c) => determinant(c, c.in(0))),
];
