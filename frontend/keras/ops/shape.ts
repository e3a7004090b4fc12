/** Shapes, joining and splitting, indexing, sorting and making of tensors, of `keras.ops`. */
import { addDim, type Dim, isStatic, mulDim, type Shape } from '../../../ir/dim.js';
import { type DType, hostArray, numbersOf } from '../../../ir/dtype.js';
import { ShapeError, ValueError } from '../../../ir/errors.js';
import * as irMath from '../../../ir/math.js';
import * as base from '../backend/ops.js';
import { SymbolicTensor } from '../backend/trace.js';
import { Variable } from '../backend/variable.js';
import { KerasTensor } from '../layers/node.js';
import { type ArrayLikeInput, Tensor, tensor, toTensor } from '../tensor.js';
import { make, type Result, type Results, run, type S, type TensorLike, unary, withOptions } from './lift.js';

// ---- looking

/** The sizes of the axes. In a call an unknown size is a symbol, which shapes may be made of; of a functional model's tensor it is null. */
export function shape(x: SymbolicTensor): Shape;
export function shape(x: Tensor | Variable): readonly number[];
export function shape(x: KerasTensor): readonly (number | null)[];
export function shape(x: SymbolicTensor | Tensor | Variable | KerasTensor): readonly (Dim | null)[] {
  return x.shape;
}
/** Number of axes. */
export const ndim = (x: SymbolicTensor | Tensor | Variable | KerasTensor): number => x.shape.length;
/** Number of elements, as a scalar. */
export const size = unary('size', (x) => base.cast(base.count(x), 'int32'));

// ---- changing

export const cast = withOptions('cast', (x, dtype: DType) => base.cast(x, dtype));
/** One size may be -1. */
export const reshape = withOptions('reshape', (x, to: Shape) => base.reshape(x, to));
export const ravel = unary('ravel', (x) => base.reshape(x, [-1]));
/** Without `axes` the order is reversed. */
export const transpose = withOptions('transpose', (x, axes?: readonly number[] | null) =>
  base.transpose(
    x,
    (axes ?? x.shape.map((_, i) => i).reverse()).map((a) => base.axisOf(x, a)),
  ),
);
export const swapaxes = withOptions('swapaxes', (x, a: number, b: number) => {
  const [i, j] = [base.axisOf(x, a), base.axisOf(x, b)];
  return base.transpose(
    x,
    x.shape.map((_, k) => (k === i ? j : k === j ? i : k)),
  );
});
export const moveaxis = withOptions('moveaxis', (x, from: number, to: number) => {
  const [i, j] = [base.axisOf(x, from), base.axisOf(x, to)];
  const rest = x.shape.map((_, k) => k).filter((k) => k !== i);
  rest.splice(j, 0, i);
  return base.transpose(x, rest);
});
export const expandDims = withOptions('expandDims', (x, axis: number) => base.expandDims(x, axis));
/** Takes out axes of size 1: one, or all. */
export const squeeze = withOptions('squeeze', (x, axis?: number | null) => {
  if (axis === null || axis === undefined)
    return base.reshape(
      x,
      x.shape.filter((d) => d !== 1),
    );
  const at = base.axisOf(x, axis);
  if (x.shape[at] !== 1) throw new ShapeError(`ops.squeeze: axis ${axis} has size ${String(x.shape[at])}, only axes of size 1 can be taken out`);
  return base.squeeze(x, at);
});
export const broadcastTo = withOptions('broadcastTo', (x, to: Shape) => base.broadcastTo(x, to));
/** Repeats the whole tensor along each axis. */
export const tile = withOptions('tile', (x, repeats: number | readonly number[]) => {
  const list = typeof repeats === 'number' ? [repeats] : repeats;
  const n = Math.max(list.length, x.rank);
  const times = [...new Array<number>(n - list.length).fill(1), ...list];
  const wide = base.reshape(x, [...new Array<number>(n - x.rank).fill(1), ...x.shape]);
  return times.reduce((y, k, axis) => (k === 1 ? y : base.concatenate(new Array<S>(k).fill(y), axis)), wide);
});
/** Repeats each element along the axis (null: of the flattened tensor). */
export const repeat = withOptions('repeat', (x, repeats: number, axis?: number | null) => {
  const flat = axis === null || axis === undefined ? base.reshape(x, [-1]) : x;
  const at = base.axisOf(flat, axis ?? 0);
  const wide = base.expandDims(flat, at + 1);
  const to = [...flat.shape.slice(0, at + 1), repeats, ...flat.shape.slice(at + 1)];
  return base.reshape(base.broadcastTo(wide, to), [...flat.shape.slice(0, at), mulDim(flat.shape[at]!, repeats), ...flat.shape.slice(at + 1)]);
});
/** Reverses the axes (absent: all). */
export const flip = withOptions('flip', (x, axis?: number | readonly number[] | null) => {
  const list = axis === null || axis === undefined ? x.shape.map((_, i) => i) : typeof axis === 'number' ? [axis] : axis;
  return base.reverse(
    x,
    list.map((a) => base.axisOf(x, a)),
  );
});
/** Moves elements along the axis by `by`; what leaves at one end comes in at the other. */
export const roll = withOptions('roll', (x, by: number, axis?: number | null) => {
  const flat = axis === null || axis === undefined ? base.reshape(x, [-1]) : x;
  const at = base.axisOf(flat, axis ?? 0);
  const n = known('roll', flat, at);
  const k = ((by % n) + n) % n;
  if (k === 0) return x;
  return base.reshape(base.concatenate([base.sliceAxis(flat, at, n - k, n), base.sliceAxis(flat, at, 0, n - k)], at), x.shape);
});
/** Pads each axis by [before, after]. Modes: constant, reflect, symmetric. */
export const pad = withOptions('pad', (x, width: readonly (readonly [number, number])[], mode?: 'constant' | 'reflect' | 'symmetric', value?: number) => {
  if (width.length !== x.rank) throw new ShapeError(`ops.pad: expected a pair for each of ${x.rank} axes, got ${width.length}`);
  if ((mode ?? 'constant') === 'constant')
    return base.pad(
      x,
      width.map((w) => w[0]),
      width.map((w) => w[1]),
      value ?? 0,
    );
  return width.reduce((y, [before, after], axis) => {
    if (before === 0 && after === 0) return y;
    const n = known('pad', y, axis);
    const edge = mode === 'reflect' ? 1 : 0;
    if (Math.max(before, after) > n - edge)
      throw new ShapeError(`ops.pad: ${mode} padding of [${before}, ${after}] is more than axis ${axis} of size ${n} has`);
    const mirrored = (from: number, to: number) => base.reverse(base.sliceAxis(y, axis, from, to), [axis]);
    const parts = [before > 0 ? mirrored(edge, edge + before) : null, y, after > 0 ? mirrored(n - edge - after, n - edge) : null];
    return base.concatenate(
      parts.filter((p) => p !== null),
      axis,
    );
  }, x);
});

function known(op: string, x: S, axis: number): number {
  const d = x.shape[axis]!;
  if (!isStatic(d)) throw new ShapeError(`ops.${op}: the size of axis ${axis} must be known, the shape is [${x.shape.map(String).join(', ')}]`);
  return d;
}

// ---- several tensors

type Item<L> = L extends readonly (infer E)[] ? E : never;

/** Joins tensors along an axis. */
export const concatenate = <L extends readonly TensorLike[]>(xs: L, axis = 0): Result<Item<L>> =>
  run('concatenate', xs, (s) => base.concatenate(s, axis)) as Result<Item<L>>;
/** Joins tensors along a new axis. */
export const stack = <L extends readonly TensorLike[]>(xs: L, axis = 0): Result<Item<L>> =>
  run('stack', xs, (s) => {
    const at = axis < 0 ? axis + s[0]!.rank + 1 : axis;
    return base.concatenate(
      s.map((x) => base.expandDims(x, at)),
      at,
    );
  }) as Result<Item<L>>;
/** Parts along an axis: so many equal ones, or split before these indices. */
export const split = <X extends TensorLike>(x: X, parts: number | readonly number[], axis = 0): Results<X> =>
  run('split', [x], ([s]) => {
    if (typeof parts === 'number') return base.split(s!, parts, axis);
    const at = base.axisOf(s!, axis);
    const ends: Dim[] = [...parts, s!.shape[at]!];
    return ends.map((end, i) => base.sliceAxis(s!, at, i === 0 ? 0 : parts[i - 1]!, end));
  }) as Results<X>;
/** The elements along an axis, without it. */
export const unstack = <X extends TensorLike>(x: X, axis = 0): Results<X> =>
  run('unstack', [x], ([s]) => {
    const at = base.axisOf(s!, axis);
    return base.split(s!, known('unstack', s!, at), at).map((p) => base.squeeze(p, at));
  }) as Results<X>;

// ---- indexing

/** Elements at int32 indices along the axis (null: of the flattened tensor); negative indices count from the end. */
export const take = <X extends TensorLike, I extends TensorLike>(x: X, indices: I, axis: number | null = null): Result<X | I> =>
  run('take', [x, indices], ([s, i]) => {
    const flat = axis === null ? base.reshape(s!, [-1]) : s!;
    const at = base.axisOf(flat, axis ?? 0);
    return base.take(flat, fromEnd(base.cast(i!, 'int32'), flat.shape[at]!), at);
  }) as Result<X | I>;

const fromEnd = (i: S, n: Dim): S => base.where(base.less(i, 0), base.add(i, base.size(i, n, 'int32')), i);

/** For each place the element of its row at the index there: indices have the shape of x but on the axis. */
export const takeAlongAxis = <X extends TensorLike, I extends TensorLike>(x: X, indices: I, axis = -1): Result<X | I> =>
  run('takeAlongAxis', [x, indices], ([s, i]) => alongAxis(s!, base.cast(i!, 'int32'), base.axisOf(s!, axis))) as Result<X | I>;

/** By positions in the flattened tensor. */
function alongAxis(x: S, given: S, axis: number): S {
  if (given.rank !== x.rank) throw new ShapeError(`ops.takeAlongAxis: the indices have rank ${given.rank}, the tensor ${x.rank}`);
  const i = fromEnd(given, x.shape[axis]!);
  const strides = x.shape.map((_, a) => x.shape.slice(a + 1).reduce<Dim>((n, d) => mulDim(n, d), 1));
  const flat = i.shape.reduce<S>(
    (at, _, a) => {
      const position = a === axis ? i : base.iota(i, i.shape, a);
      return base.add(at, base.multiply(position, base.size(i, strides[a]!, 'int32')));
    },
    base.zeros(i, i.shape, 'int32'),
  );
  return base.take(base.reshape(x, [-1]), flat, 0);
}

/** Elements [start, start + size) of every axis; size -1 is the rest. */
export const slice = withOptions('slice', (x, start: readonly Dim[], size: readonly Dim[]) =>
  start.reduce<S>((y, from, axis) => base.sliceAxis(y, axis, from, size[axis] === -1 ? y.shape[axis]! : addDim(from, size[axis]!)), x),
);
/** Classes to one-hot vectors along a new axis; classes out of range give zeros. */
export const oneHot = withOptions('oneHot', (x, numClasses: number, axis?: number, dtype?: DType) =>
  x.trace.tensor(irMath.oneHot(x.trace.b, base.cast(x, 'int32').value, numClasses, { axis: axis ?? -1, dtype: dtype ?? 'float32' })),
);

// ---- sorting: by counting, with n² comparisons along the axis

/** For each element its place in ascending order; equal elements keep their order. */
function ranks(x: S, at: number): S {
  const n = known('sort', x, at);
  const mine = base.expandDims(x, at + 1);
  const other = base.expandDims(x, at);
  const wide = [...x.shape.slice(0, at + 1), n, ...x.shape.slice(at + 1)];
  const earlier = base.less(base.iota(x, wide, at + 1), base.iota(x, wide, at));
  const before = base.logicalOr(base.less(other, mine), base.logicalAnd(base.equal(other, mine), earlier));
  return base.sum(base.cast(before, 'int32'), [at + 1]);
}

function order(x: S, axis: number): S {
  const at = base.axisOf(x, axis);
  const place = ranks(x, at);
  const n = known('argsort', x, at);
  const wide = [...x.shape.slice(0, at), n, ...x.shape.slice(at)];
  // row k holds the index of the element whose place is k
  const hit = base.equal(base.broadcastTo(base.expandDims(place, at), wide), base.iota(x, wide, at));
  return base.sum(base.multiply(base.cast(hit, 'int32'), base.iota(x, wide, at + 1)), [at + 1]);
}

/** int32 indices that sort the axis, ascending; equal elements keep their order. Needs n² comparisons. */
export const argsort = withOptions('argsort', (x, axis?: number) => order(x, axis ?? -1));
/** Ascending along the axis. Needs n² comparisons. */
export const sort = withOptions('sort', (x, axis?: number) => alongAxis(x, order(x, axis ?? -1), base.axisOf(x, axis ?? -1)));
/** The k largest elements of the last axis, descending, and their indices. */
export const topK = <X extends TensorLike>(x: X, k: number): { readonly values: Result<X>; readonly indices: Result<X> } => {
  const [values, indices] = run('topK', [x], ([s]) => {
    const n = known('topK', s!, s!.rank - 1);
    if (!(Number.isInteger(k) && k > 0 && k <= n)) throw new ValueError(`ops.topK: k must be a whole number from 1 to ${n}, got ${k}`);
    const at = base.sliceAxis(order(base.negative(s!), -1), -1, 0, k);
    return [alongAxis(s!, at, s!.rank - 1), at];
  }) as Results<X>;
  return { values: values!, indices: indices! };
};
/** Whether each target class is among the k largest predictions of its row. */
export const inTopK = <T extends TensorLike, P extends TensorLike>(targets: T, predictions: P, k: number): Result<T | P> =>
  run('inTopK', [predictions, targets], ([p, t]) => {
    const own = alongAxis(p!, base.expandDims(base.cast(t!, 'int32'), -1), 1);
    return base.less(base.sum(base.cast(base.greater(p!, own), 'int32'), [1]), k);
  }) as Result<T | P>;
const segment =
  (name: string, fn: 'add' | 'max' | 'min', start: number) =>
  <X extends TensorLike, I extends TensorLike>(data: X, ids: I, numSegments: number): Result<X | I> =>
    run(name, [data, ids], ([s, i]) => {
      const zero = base.full(s!, [numSegments, ...s!.shape.slice(1)], start, s!.dtype);
      return s!.trace.tensor(s!.trace.b.emit('scatter', [zero.value, base.cast(i!, 'int32').value, s!.value], { axis: 0, fn }));
    }) as Result<X | I>;
/** Sums of the rows of each segment (0 where there is none); ids out of range are left out. */
export const segmentSum = segment('segmentSum', 'add', 0);
export const segmentMax = segment('segmentMax', 'max', -Infinity);
/** Triangles of the last two axes: elements above (tril) or below (triu) diagonal k become 0. */
const triangle = (name: string, keep: (row: S, column: S) => S) =>
  withOptions(name, (x, k?: number) => {
    const [row, column] = [base.iota(x, x.shape, x.rank - 2), base.iota(x, x.shape, x.rank - 1)];
    return base.where(keep(base.add(row, k ?? 0), column), x, base.zeros(x, x.shape, x.dtype));
  });
export const tril = triangle('tril', (row, column) => base.greaterEqual(row, column));
export const triu = triangle('triu', (row, column) => base.lessEqual(row, column));
/** The diagonal of the last two axes. */
export const diagonal = unary('diagonal', (x) => {
  const n = Math.min(known('diagonal', x, x.rank - 2), known('diagonal', x, x.rank - 1));
  const square = base.sliceAxis(base.sliceAxis(x, -2, 0, n), -1, 0, n);
  const eyeLike = base.equal(base.iota(x, square.shape, x.rank - 2), base.iota(x, square.shape, x.rank - 1));
  return base.sum(base.where(eyeLike, square, base.zeros(x, square.shape, x.dtype)), [-1]);
});
/** A matrix with the vector on its diagonal. */
export const diag = unary('diag', (x) => {
  const n = known('diag', x, 0);
  const wide = base.broadcastTo(x, [n, n]);
  return base.where(base.equal(base.iota(x, [n, n], 0), base.iota(x, [n, n], 1)), wide, base.zeros(x, [n, n], x.dtype));
});
/** Sum of the diagonal of the last two axes. */
export const trace = unary('trace', (x) => base.sum(diagonal(x), [-1]));

// ---- making

/** All elements equal. With a size that is a symbol (`x.shape[0]`) a tensor of the running call. */
export function full(shape: readonly number[], value: number, dtype?: DType): Tensor;
export function full(shape: Shape, value: number, dtype?: DType): SymbolicTensor | Tensor;
export function full(shape: Shape, value: number, dtype: DType = 'float32'): SymbolicTensor | Tensor {
  return make('full', shape, (t) => t.tensor(t.b.full(shape, value, dtype)));
}
export function zeros(shape: readonly number[], dtype?: DType): Tensor;
export function zeros(shape: Shape, dtype?: DType): SymbolicTensor | Tensor;
export function zeros(shape: Shape, dtype: DType = 'float32'): SymbolicTensor | Tensor {
  return full(shape, 0, dtype);
}
export function ones(shape: readonly number[], dtype?: DType): Tensor;
export function ones(shape: Shape, dtype?: DType): SymbolicTensor | Tensor;
export function ones(shape: Shape, dtype: DType = 'float32'): SymbolicTensor | Tensor {
  return full(shape, 1, dtype);
}
const like = (name: string, value: number) => withOptions(name, (x, dtype?: DType) => base.full(x, x.shape, value, dtype ?? x.dtype));
export const zerosLike = like('zerosLike', 0);
export const onesLike = like('onesLike', 1);
export const fullLike = withOptions('fullLike', (x, value: number, dtype?: DType) => base.full(x, x.shape, value, dtype ?? x.dtype));
/** Ones on diagonal k. */
export const eye = (rows: number, columns = rows, k = 0, dtype: DType = 'float32'): Tensor =>
  tensor(
    Float32Array.from({ length: rows * columns }, (_, i) => ((i % columns) - Math.floor(i / columns) === k ? 1 : 0)),
    [rows, columns],
    dtype,
  );
export const identity = (n: number, dtype: DType = 'float32'): Tensor => eye(n, n, 0, dtype);
/** start, start + step, … below stop; `arange(n)` is 0 to n - 1. int32 where all are whole numbers. */
export function arange(start: number, stop?: number, step = 1, dtype?: DType): Tensor {
  if (step === 0) throw new ValueError('ops.arange: step must not be 0');
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  const n = Math.max(0, Math.ceil((to - from) / step));
  const whole = [from, to, step].every(Number.isInteger);
  const type = dtype ?? (whole ? 'int32' : 'float32');
  return new Tensor(
    numbersOf(
      hostArray(
        type,
        Float64Array.from({ length: n }, (_, i) => from + i * step),
      ),
    ),
    [n],
    type,
  );
}
/** `num` numbers from start to stop, both included unless endpoint is false. */
export function linspace(start: number, stop: number, num = 50, endpoint = true): Tensor {
  const parts = Math.max(1, endpoint ? num - 1 : num);
  return new Tensor(
    Float32Array.from({ length: num }, (_, i) => start + ((stop - start) * i) / parts),
    [num],
  );
}
/** Powers of the base between its powers start and stop. */
export const logspace = (start: number, stop: number, num = 50, endpoint = true, by = 10): Tensor => {
  const t = linspace(start, stop, num, endpoint);
  return new Tensor(
    Float32Array.from(t.data, (v) => by ** v),
    t.shape,
  );
};
/** An array as a tensor of the host; of a variable, its value there. */
export const convertToTensor = (x: ArrayLikeInput | Variable, dtype?: DType): Tensor =>
  x instanceof Variable
    ? tensor(new Tensor(x.value.slice(), x.shape, x.dtype), undefined, dtype)
    : tensor(toTensor('ops.convertToTensor', x), undefined, dtype);
/** The elements of a tensor of the host, or of a call that runs eagerly. */
export const convertToNumpy = (x: Tensor | SymbolicTensor): Tensor['data'] => (x instanceof Tensor ? x : x.toTensor('ops.convertToNumpy')).data;
export const isTensor = (x: unknown): x is Tensor | SymbolicTensor | KerasTensor =>
  x instanceof Tensor || x instanceof SymbolicTensor || x instanceof KerasTensor;
