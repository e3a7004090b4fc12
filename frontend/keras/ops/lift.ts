/**
 * What `ops` take and give. An op on tensors of a running call computes in its trace; on outputs of layers it becomes a layer of the functional model; on arrays of the host it is
 * evaluated at once. Numbers, arrays and variables may stand beside tensors.
 */
import type { Shape } from '../../../ir/dim.js';
import type { DType } from '../../../ir/dtype.js';
import { ValueError } from '../../../ir/errors.js';
import { runningTrace } from '../backend/context.js';
import { concrete, runEagerly } from '../backend/run-eagerly.js';
import { listOf, SymbolicTensor, type Tensors, type Trace } from '../backend/trace.js';
import { Variable } from '../backend/variable.js';
import { LambdaClass } from '../layers/identity.js';
import { KerasTensor } from '../layers/node.js';
import { type ArrayLikeInput, type NestedArray, type Tensor, toTensor } from '../tensor.js';
import { autoName } from '../utils/naming.js';
import { describe, isPlainObject } from '../utils/options.js';

export type S = SymbolicTensor;
/** What may stand for a tensor. */
export type TensorLike = SymbolicTensor | KerasTensor | Variable | ArrayLikeInput;
/** What an op gives for arguments of the type: a tensor of the call, of the functional model, or of the host. */
export type Result<A> = [Extract<A, SymbolicTensor | Variable>] extends [never]
  ? [Extract<A, KerasTensor>] extends [never]
    ? Tensor
    : KerasTensor
  : SymbolicTensor;
export type Results<A> = Result<A>[];

/** One axis, several, or null for all; negative ones count from the end. */
export type Axis = number | readonly number[] | null;

export const axesOf = (axis: Axis | undefined): readonly number[] | undefined =>
  axis === null || axis === undefined ? undefined : typeof axis === 'number' ? [axis] : axis;

const isScalar = (x: unknown): x is number | boolean => typeof x === 'number' || typeof x === 'boolean';

/** The innermost trace among the arguments and the running call. */
function traceAmong(xs: readonly unknown[]): Trace | null {
  const running = runningTrace();
  const own = xs.flatMap((x) => (x instanceof SymbolicTensor ? [x.trace] : []));
  if (own.length === 0) return xs.some((x) => x instanceof Variable) ? running : null;
  const deepest = own.reduce((a, t) => (t.depth > a.depth ? t : a));
  return running && running.depth > deepest.depth && isInside(running, deepest) ? running : deepest;
}

function isInside(inner: Trace, outer: Trace): boolean {
  for (let t: Trace | undefined = inner; t; t = (t as { parent?: Trace }).parent) if (t === outer) return true;
  return false;
}

/** The arguments as tensors of a trace. Scalars take the dtype of the first tensor, as in NumPy; whole nested arrays are float32. */
function bring(name: string, t: Trace, xs: readonly unknown[]): S[] {
  const first = xs.find((x) => !isScalar(x) && !Array.isArray(x)) as { dtype?: DType } | undefined;
  const like = first?.dtype ?? 'float32';
  return xs.map((x, i) => {
    if (x instanceof SymbolicTensor) return t.capture(x);
    if (x instanceof Variable) return t.read(x);
    if (isScalar(x))
      return t.tensor(
        t.b.scalar(Number(x), typeof x === 'boolean' ? (first ? like : 'bool') : Number.isInteger(x) || like.startsWith('float') ? like : 'float32'),
      );
    const h = toTensor(`ops.${name}: argument ${i}`, x);
    return t.constant({ dtype: h.dtype === 'float64' ? 'float32' : h.dtype, shape: h.shape, data: h.dtype === 'float64' ? Float32Array.from(h.data) : h.data });
  });
}

/** Runs an op on its tensor arguments. */
export function run(name: string, xs: readonly unknown[], body: (xs: S[], t: Trace) => Tensors): unknown {
  const bad = xs.findIndex((x) => x === undefined || x === null || typeof x === 'string' || (isPlainObject(x) && !('data' in x)));
  if (bad >= 0) throw new ValueError(`ops.${name}: argument ${bad} must be a tensor, an array or a number, got ${describe(xs[bad])}`);
  if (xs.some((x) => x instanceof KerasTensor)) return record(name, xs, body);
  const trace = traceAmong(xs);
  if (trace) return body(bring(name, trace, xs), trace);
  return runEagerly(name, false, (t) => concrete(body(bring(name, t, xs), t)));
}

/** The op as a layer of a functional model. */
function record(name: string, xs: readonly unknown[], body: (xs: S[], t: Trace) => Tensors): unknown {
  const tensors = xs.filter((x): x is KerasTensor => x instanceof KerasTensor);
  const layer = new LambdaClass(
    (given: Tensors) => {
      const traced = [...listOf(given)];
      const { trace } = traced[0]!;
      return body(
        bring(
          name,
          trace,
          xs.map((x) => (x instanceof KerasTensor ? traced.shift() : x)),
        ),
        trace,
      );
    },
    { name: autoName(name) },
  );
  return layer.apply(tensors.length === 1 ? tensors[0]! : tensors);
}

/** An op of one tensor. */
export const unary =
  (name: string, body: (x: S) => S) =>
  <X extends TensorLike>(x: X): Result<X> =>
    run(name, [x], ([s]) => body(s!)) as Result<X>;

/** An op of two tensors. */
export const binary =
  (name: string, body: (a: S, b: S) => S) =>
  <A extends TensorLike, B extends TensorLike>(a: A, b: B): Result<A | B> =>
    run(name, [a, b], ([s, u]) => body(s!, u!)) as Result<A | B>;

/** An op of one tensor with options; `check` may look at them before anything runs. */
export const withOptions =
  <O extends readonly unknown[]>(name: string, body: (x: S, ...options: O) => S) =>
  <X extends TensorLike>(x: X, ...options: O): Result<X> =>
    run(name, [x], ([s]) => body(s!, ...options)) as Result<X>;

/** Something made of no tensor: in a call a tensor of it where a size is symbolic, else of the host. */
export function make(name: string, shape: Shape, body: (t: Trace) => S): SymbolicTensor | Tensor {
  const trace = runningTrace();
  if (trace && shape.some((d) => typeof d !== 'number')) return body(trace);
  return runEagerly(name, false, (t) => body(t).toTensor());
}

export type { ArrayLikeInput, KerasTensor, NestedArray, Shape, SymbolicTensor, Tensor, Tensors, Trace, Variable };
