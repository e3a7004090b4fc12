/** A contraction as a matrix product: batch, row (m), column (n) and contracted (k) axes, and the operands' elements as expressions of their indices. */
import { type Dim, evalDim, isStatic } from '../../ir/dim.js';
import type { Value } from '../../ir/graph.js';
import type { Contraction } from '../../passes/regions.js';
import { constant, type Expr, i32, select } from '../kernel/expr.js';
import { contractionIndices } from '../lower/contraction-indices.js';
import type { Frame } from '../lower/frame.js';

export interface ContractionSpec {
  readonly node: Contraction;
  readonly output: Value;
  readonly batch: readonly Dim[];
  readonly m: readonly Dim[];
  readonly n: readonly Dim[];
  readonly k: readonly Dim[];
  /** By row axis: the first and last index at which no window of a convolution meets padding; null where that is everywhere. */
  readonly interior: readonly (readonly [number, number] | null)[];
  /** Index in the output. */
  readonly out: (b: readonly Expr[], m: readonly Expr[], n: readonly Expr[]) => Expr[];
  readonly left: (b: readonly Expr[], m: readonly Expr[], k: readonly Expr[]) => Expr;
  readonly right: (b: readonly Expr[], n: readonly Expr[], k: readonly Expr[]) => Expr;
}

/**
 * Null for grouped convolutions, whose groups are too thin for a matrix product (they are computed element by element), and for dtypes other than float32. `byStride`: the rows and the
 * contracted axes of a convolution come in the order in which its left operand lies in memory (a weight gradient's do not of themselves: its rows are channels first, and it sums over the
 * batch last), so that packing walks memory in order.
 */
export function contractionSpec(f: Pick<Frame, 'em' | 'dim'>, node: Contraction, byStride = false): ContractionSpec | null {
  const output = node.outputs[0]!;
  const [x, w] = [node.inputs[0]!, node.inputs[1]!];
  if (output.dtype !== 'float32' || x.dtype !== 'float32' || w.dtype !== 'float32') return null;
  const indices = contractionIndices(node, f.em);
  if (node.op === 'dot') {
    const { batchLeft, contractLeft, contractRight, batchRight } = node.attrs;
    const free = (v: Value, a: readonly number[], c: readonly number[]): Dim[] => v.shape.filter((_, i) => !a.includes(i) && !c.includes(i));
    const m = free(x, batchLeft, contractLeft);
    const n = free(w, batchRight, contractRight);
    const zeros = (d: readonly Dim[]): Expr[] => d.map(() => i32(0));
    const out = (b: readonly Expr[], mi: readonly Expr[], ni: readonly Expr[]): Expr[] => [...b, ...mi, ...ni];
    return {
      node,
      output,
      batch: batchLeft.map((a) => x.shape[a]!),
      m,
      n,
      k: indices.reduce,
      interior: m.map(() => null),
      out,
      left: (b, mi, k) => f.em.value(x, indices.at(out(b, mi, zeros(n)), k).left),
      right: (b, ni, k) => f.em.value(w, indices.at(out(b, zeros(m), ni), k).right),
    };
  }
  const { groups, batchGroups, dims, strides, padding, inputDilation, kernelDilation } = node.attrs;
  if (groups !== 1 || batchGroups !== 1) return null;
  const stride = (axis: number): number => x.shape.slice(axis + 1).reduce<number>((a, d) => a * evalDim(d, f.em.symbols), 1);
  const sorted = <T extends { readonly input: number }>(axes: readonly T[]): readonly T[] =>
    byStride ? [...axes].sort((a, b) => stride(b.input) - stride(a.input)) : axes;
  const rows = sorted([
    { output: dims.output.batch, input: dims.input.batch },
    ...dims.output.spatial.map((a, i) => ({ output: a, input: dims.input.spatial[i]! })),
  ]);
  const order = rows.map((r) => r.output);
  const interior = new Map<number, readonly [number, number]>();
  dims.output.spatial.forEach((axis, i) => {
    const [size, extent, window] = [x.shape[dims.input.spatial[i]!]!, output.shape[axis]!, w.shape[dims.kernel.spatial[i]!]!];
    if (!isStatic(size) || !isStatic(extent) || !isStatic(window) || inputDilation[i] !== 1) return;
    const before = padding[i]![0];
    const range = [
      // padding may be negative: the input's edge is left out, and no window meets padding there
      Math.max(0, Math.ceil(before / strides[i]!)),
      Math.min(extent - 1, Math.floor((size - 1 + before - (window - 1) * kernelDilation[i]!) / strides[i]!)),
    ] as const;
    if (range[0] > 0 || range[1] < extent - 1) interior.set(axis, range);
  });
  const contracted = sorted([...dims.input.spatial, dims.input.feature].map((input, position) => ({ input, position })));
  const unsorted = (k: readonly Expr[]): Expr[] => {
    const out = new Array<Expr>(k.length);
    contracted.forEach((c, i) => {
      out[c.position] = k[i]!;
    });
    return out;
  };
  const out = (_b: readonly Expr[], mi: readonly Expr[], ni: readonly Expr[]): Expr[] => {
    const o = new Array<Expr>(output.shape.length);
    order.forEach((a, i) => {
      o[a] = mi[i]!;
    });
    o[dims.output.feature] = ni[0]!;
    return o;
  };
  return {
    node,
    output,
    batch: [],
    m: order.map((a) => output.shape[a]!),
    n: [output.shape[dims.output.feature]!],
    k: contracted.map((c) => indices.reduce[c.position]!),
    interior: rows.map((r) => interior.get(r.output) ?? null),
    out,
    left: (b, mi, k) => {
      const at = indices.at(out(b, mi, [i32(0)]), unsorted(k));
      const e = f.em.value(x, at.left);
      return at.inside.kind === 'const' && at.inside.value ? e : select(at.inside, e, constant(0, e.scalar));
    },
    right: (b, ni, k) =>
      f.em.value(
        w,
        indices.at(
          out(
            b,
            order.map(() => i32(0)),
            ni,
          ),
          unsorted(k),
        ).right,
      ),
  };
}

export const staticSize = (dims: readonly Dim[]): number | null => dims.reduce<number | null>((a, d) => (a !== null && isStatic(d) ? a * d : null), 1);
