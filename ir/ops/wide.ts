/**
 * 64-bit integers in the reference evaluation, exactly. The plain loops of the op records work on numbers, which are exact to 2^53 only; each of the functions here makes
 * of such a loop one that takes int64 and uint64 too, by what the op does with its elements:
 *
 * - `moving`: elements are only moved. Runs once on the low and once on the high 32 bits.
 * - `linear`: elements are only added. Runs on each of the four 16-bit limbs; the sums are put together modulo 2^64.
 * - `bilinear`: sums of products of two operands. Runs on each pair of limbs that reaches the low 64 bits.
 * - `ordering`: elements are only compared. Runs on their ranks.
 * - `smallNumbers`: runs on numbers; throws UnsupportedError where a result is not exact.
 */
import { type Bindings, evalShape } from '../dim.js';
import { type DType, hostArray, isBigArray, isWide, wideLimitsOf } from '../dtype.js';
import { UnsupportedError } from '../errors.js';
import type { TensorType } from '../graph.js';
import type { EvaluateContext } from '../op.js';
import { isNumberData, type NumberData, numberData, sizeOf, type TensorData } from '../tensor-data.js';

/** The evaluation of an op whose operands and results all hold numbers. */
export type NumberEvaluate<A> = (inputs: readonly NumberData[], attrs: A, outputs: readonly TensorType[], ctx: EvaluateContext) => NumberData[];
type Evaluate<A> = (inputs: readonly TensorData[], attrs: A, outputs: readonly TensorType[], ctx: EvaluateContext) => TensorData[];

const isWideType = (t: TensorType): boolean => isWide(t.dtype);
const anyWide = (inputs: readonly TensorData[], outputs: readonly TensorType[]): boolean => inputs.some(isWideType) || outputs.some(isWideType);

/** The elements as bigints. */
export const bigOf = (t: TensorData): BigInt64Array | BigUint64Array => (isBigArray(t.data) ? t.data : hostArray('int64', t.data));

/** The bits [from, from + bits) of each element, as unsigned numbers. */
function bitsOf(t: TensorData, from: number, bits: number, dtype: DType): NumberData {
  const mask = (1n << BigInt(bits)) - 1n;
  return { dtype, shape: t.shape, data: Float64Array.from(bigOf(t), (x) => Number((x >> BigInt(from)) & mask)) };
}

/** The wide inputs replaced, others as they are. */
const replaced = (inputs: readonly TensorData[], f: (t: TensorData) => NumberData): NumberData[] => inputs.map((t) => (isNumberData(t) ? t : f(t)));
const retyped = (outputs: readonly TensorType[], dtype: DType): TensorType[] => outputs.map((t) => (isWide(t.dtype) ? { ...t, dtype } : t));

/** Wide results put together from the results of several runs: element i is the sum of the parts, each shifted. */
function joined(outputs: readonly TensorType[], runs: readonly { readonly shift: number; readonly results: readonly NumberData[] }[]): TensorData[] {
  return outputs.map((type, k): TensorData => {
    const first = runs[0]!.results[k]!;
    if (!isWide(type.dtype)) return first;
    const data = hostArray(type.dtype, first.data.length);
    for (let i = 0; i < data.length; i++) {
      let sum = 0n;
      for (const { shift, results } of runs) sum += BigInt(results[k]!.data[i]!) << BigInt(shift);
      data[i] = sum;
    }
    return { dtype: type.dtype, shape: first.shape, data };
  });
}

/** Attributes may hold a number that becomes an element: `attrsOf` gives its bits [from, from + 32). */
export function moving<A>(f: NumberEvaluate<A>, attrsOf: (attrs: A, from: number) => A = (a) => a): Evaluate<A> {
  return (inputs, attrs, outputs, ctx) => {
    if (!anyWide(inputs, outputs)) return f(inputs.map(numberData), attrs, outputs, ctx);
    const run = (from: number) => ({
      shift: from,
      results: f(
        replaced(inputs, (t) => bitsOf(t, from, 32, 'float64')),
        attrsOf(attrs, from),
        retyped(outputs, 'float64'),
        ctx,
      ),
    });
    return joined(outputs, [run(0), run(32)]);
  };
}

const limbShifts = [0, 16, 32, 48];

export function linear<A>(f: NumberEvaluate<A>): Evaluate<A> {
  return (inputs, attrs, outputs, ctx) => {
    if (!anyWide(inputs, outputs)) return f(inputs.map(numberData), attrs, outputs, ctx);
    const run = (shift: number) => ({
      shift,
      results: f(
        replaced(inputs, (t) => bitsOf(t, shift, 16, 'float64')),
        attrs,
        retyped(outputs, 'float64'),
        ctx,
      ),
    });
    return joined(outputs, limbShifts.map(run));
  };
}

export function bilinear<A>(f: NumberEvaluate<A>): Evaluate<A> {
  return (inputs, attrs, outputs, ctx) => {
    if (!anyWide(inputs, outputs)) return f(inputs.map(numberData), attrs, outputs, ctx);
    const [left, right] = inputs.map((t) => limbShifts.map((s) => bitsOf(t, s, 16, 'float64')));
    const runs = limbShifts.flatMap((i) =>
      limbShifts
        .filter((j) => i + j < 64)
        .map((j) => ({ shift: i + j, results: f([left![i / 16]!, right![j / 16]!], attrs, retyped(outputs, 'float64'), ctx) })),
    );
    return joined(outputs, runs);
  };
}

export function ordering<A>(f: NumberEvaluate<A>): Evaluate<A> {
  return (inputs, attrs, outputs, ctx) => {
    if (!anyWide(inputs, outputs)) return f(inputs.map(numberData), attrs, outputs, ctx);
    const known = new Set<bigint>();
    for (const t of inputs) if (isBigArray(t.data)) for (const x of t.data) known.add(x);
    const sorted = [...known].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
    const ranks = new Map(sorted.map((x, i) => [x, i]));
    const results = f(
      replaced(inputs, (t) => ({ dtype: 'float64', shape: t.shape, data: Float64Array.from(bigOf(t), (x) => ranks.get(x)!) })),
      attrs,
      retyped(outputs, 'float64'),
      ctx,
    );
    return results.map((r, k): TensorData => {
      const { dtype } = outputs[k]!;
      if (!isWide(dtype)) return r;
      const [lowest, highest] = wideLimitsOf(dtype);
      const data = hostArray(dtype, r.data.length);
      // The identities of max and min are infinities in float64.
      for (let i = 0; i < data.length; i++) data[i] = r.data[i] === -Infinity ? lowest : r.data[i] === Infinity ? highest : sorted[r.data[i]!]!;
      return { dtype, shape: r.shape, data };
    });
  };
}

export function smallNumbers<A>(what: string, f: NumberEvaluate<A>): Evaluate<A> {
  return (inputs, attrs, outputs, ctx) => {
    if (!anyWide(inputs, outputs)) return f(inputs.map(numberData), attrs, outputs, ctx);
    const results = f(
      replaced(inputs, (t) => ({ dtype: 'float64', shape: t.shape, data: Float64Array.from(bigOf(t), Number) })),
      attrs,
      retyped(outputs, 'float64'),
      ctx,
    );
    return results.map((r, k): TensorData => {
      const { dtype } = outputs[k]!;
      if (!isWide(dtype)) return r;
      if (r.data.some((x) => !Number.isSafeInteger(x)))
        throw new UnsupportedError(`${what} of ${dtype} has results beyond 2^53, which the reference evaluation does not hold`);
      return { dtype, shape: r.shape, data: hostArray(dtype, r.data) };
    });
  };
}

/** A tensor of 64-bit integers; element i is f(i), wrapped. */
export function wideElements(type: TensorType, bindings: Bindings, f: (i: number) => bigint): TensorData {
  const shape = evalShape(type.shape, bindings);
  const dtype = type.dtype === 'uint64' ? 'uint64' : 'int64';
  const data = hostArray(dtype, sizeOf(shape));
  for (let i = 0; i < data.length; i++) data[i] = f(i);
  return { dtype, shape, data };
}

/** Chooses an evaluation by the attributes. */
export const chosen =
  <A>(choose: (attrs: A) => Evaluate<A>): Evaluate<A> =>
  (inputs, attrs, outputs, ctx) =>
    choose(attrs)(inputs, attrs, outputs, ctx);

/** The way for a merge function: sums, extremes, others. */
export function merging<A>(fn: string, f: NumberEvaluate<A>): Evaluate<A> {
  if (fn === 'sum' || fn === 'add') return linear(f);
  if (fn === 'max' || fn === 'min') return ordering(f);
  return fn === 'set' ? moving(f) : smallNumbers(fn, f);
}
