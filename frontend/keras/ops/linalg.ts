/** Products and norms of matrices, of `keras.ops`. */
import { ShapeError, ValueError } from '../../../ir/errors.js';
import { einsum as einsum2 } from '../backend/einsum.js';
import * as base from '../backend/ops.js';
import { type Axis, axesOf, binary, type Result, run, type S, type TensorLike, withOptions } from './lift.js';

/** The axes before the last two, broadcast to each other and the same for both. */
function batched(a: S, b: S): [S, S] {
  const lead = a.trace.b.broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const to = (x: S): S => base.broadcastTo(x, [...lead, ...x.shape.slice(-2)]);
  return [to(a), to(b)];
}

/** The product of matrices in the last two axes, the others broadcast, as NumPy's `matmul`. */
export const matmul = binary('matmul', (a, b) => {
  if (a.rank === 0 || b.rank === 0) throw new ShapeError('ops.matmul: a scalar has no matrix product; use ops.multiply');
  if (b.rank <= 2) return a.rank === 1 ? base.squeeze(base.dot(base.expandDims(a, 0), b, contract(1, 0)), 0) : base.dot(a, b, contract(a.rank - 1, 0));
  const [x, y] = batched(a.rank === 1 ? base.expandDims(a, 0) : a, b);
  const batch = x.shape.slice(0, -2).map((_, i) => i);
  const product = base.dot(x, y, { batchLeft: batch, batchRight: batch, contractLeft: [x.rank - 1], contractRight: [y.rank - 2] });
  return a.rank === 1 ? base.squeeze(product, -2) : product;
});
const contract = (left: number, right: number) => ({ batchLeft: [], batchRight: [], contractLeft: [left], contractRight: [right] });
/** NumPy's `dot`: the last axis of a with the last but one of b; scalars multiply. */
export const dot = binary('dot', (a, b) =>
  a.rank === 0 || b.rank === 0 ? base.multiply(a, b) : base.dot(a, b, contract(a.rank - 1, Math.max(b.rank - 2, 0))),
);
/** Contracts the last axes of both. */
export const inner = binary('inner', (a, b) => base.dot(a, b, contract(a.rank - 1, b.rank - 1)));
/** Products of all pairs of elements. */
export const outer = binary('outer', (a, b) => base.multiply(base.reshape(a, [-1, 1]), base.reshape(b, [1, -1])));
export const vdot = binary('vdot', (a, b) => base.sum(base.multiply(base.reshape(a, [-1]), base.reshape(b, [-1]))));
/** Contracts so many axes (the last of a, the first of b), or the axes listed for each. */
export const tensordot = <A extends TensorLike, B extends TensorLike>(
  a: A,
  b: B,
  axes: number | readonly [readonly number[], readonly number[]] = 2,
): Result<A | B> =>
  run('tensordot', [a, b], ([s, u]) => {
    const left = typeof axes === 'number' ? Array.from({ length: axes }, (_, i) => s!.rank - axes + i) : axes[0].map((x) => base.axisOf(s!, x));
    const right = typeof axes === 'number' ? Array.from({ length: axes }, (_, i) => i) : axes[1].map((x) => base.axisOf(u!, x));
    return base.dot(s!, u!, { batchLeft: [], batchRight: [], contractLeft: left, contractRight: right });
  }) as Result<A | B>;

/** Einstein's summation over one tensor or more: `ops.einsum('bij,bjk->bik', a, b)`. */
export const einsum = <L extends readonly TensorLike[]>(equation: string, ...operands: L): Result<L[number]> =>
  run('einsum', operands, (xs) => {
    const [inputs, output] = equation.replace(/\s/g, '').split('->') as [string, string | undefined];
    const terms = inputs.split(',');
    if (output === undefined || terms.length !== xs.length)
      throw new ValueError(`ops.einsum: the equation '${equation}' does not fit ${xs.length} tensors; expected a form such as 'ij,jk->ik'`);
    if (xs.length === 1) return one(equation, terms[0]!, output, xs[0]!);
    // from the left: an intermediate keeps the letters that a later term or the output has
    let [letters, x] = [terms[0]!, xs[0]!];
    for (let i = 1; i < xs.length; i++) {
      const later = terms.slice(i + 1).join('') + output;
      const kept = i === xs.length - 1 ? output : [...new Set(`${letters}${terms[i]!}`)].filter((c) => later.includes(c)).join('');
      x = einsum2(`${letters},${terms[i]!}->${kept}`, x, xs[i]!);
      letters = kept;
    }
    return x;
  }) as Result<L[number]>;

function one(equation: string, letters: string, output: string, x: S): S {
  if (letters.length !== x.rank || new Set(letters).size !== letters.length)
    throw new ValueError(`ops.einsum: the equation '${equation}' does not fit a tensor of rank ${x.rank} with each letter once`);
  const gone = [...letters].flatMap((c, i) => (output.includes(c) ? [] : [i]));
  const rest = [...letters].filter((c) => output.includes(c));
  const summed = gone.length > 0 ? base.sum(x, gone) : x;
  return base.transpose(
    summed,
    [...output].map((c) => rest.indexOf(c)),
  );
}

/** Vector norm: order 2 (default), 1, Infinity or any number; `fro` is 2 over all axes. */
export const norm = withOptions('norm', (x, order?: number | 'fro' | null, axis?: Axis, keepdims?: boolean) => {
  const [p, axes, keep] = [order === 'fro' ? 2 : (order ?? 2), axesOf(axis), keepdims ?? false];
  if (p === 2) return base.sqrt(base.sum(base.square(x), axes, keep));
  const size = base.abs(x);
  if (p === 1) return base.sum(size, axes, keep);
  if (p === Infinity) return base.max(size, axes, keep);
  if (p === -Infinity) return base.min(size, axes, keep);
  return base.power(base.sum(base.power(size, p), axes, keep), 1 / p);
});
/** x divided by its Euclidean norm along the axes. */
export const l2Normalize = withOptions('l2Normalize', (x, axis?: Axis) => base.l2Normalize(x, axesOf(axis)));
/** The product of a 3-vector in the last axis with another. */
export const cross = binary('cross', (a, b) => {
  if (a.shape.at(-1) !== 3 || b.shape.at(-1) !== 3) throw new ShapeError('ops.cross: the last axes must have size 3');
  const part = (x: S, i: number) => base.sliceAxis(x, -1, i, i + 1);
  const term = (i: number, j: number) => base.subtract(base.multiply(part(a, i), part(b, j)), base.multiply(part(a, j), part(b, i)));
  return base.concatenate([term(1, 2), term(2, 0), term(0, 1)], -1);
});
