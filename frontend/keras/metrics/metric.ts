/** What a metric is: state on the device, an update that is traced into train and evaluate graphs, a result that the host computes from the state. Means and sums of values. */
import { equalDim, type Shape } from '../../../ir/dim.js';
import type { TypedArray } from '../../../ir/dtype.js';
import { ShapeError } from '../../../ir/errors.js';
import * as ops from '../backend/ops.js';
import { runEagerly } from '../backend/run-eagerly.js';
import { kerasShape, kerasShapeText, SymbolicTensor, type Trace } from '../backend/trace.js';
import { Variable } from '../backend/variable.js';
import { squeezeOrExpand } from '../losses/reduction.js';
import { type ArrayLikeInput, Tensor, toTensor } from '../tensor.js';
import { autoName } from '../utils/naming.js';
import { resolveOptions } from '../utils/options.js';
import type { JsonObject, Semantics } from '../utils/serialization.js';

export interface MetricOptions {
  readonly name?: string | null;
  readonly dtype?: string | null | object;
  readonly semantics?: Semantics;
}

export const metricDefaults: MetricOptions = { name: null, dtype: null, semantics: 'keras3' };

/** What a metric is given: a tensor of the call, or an array of the host. */
export type MetricInput = SymbolicTensor | ArrayLikeInput;

/** A result of a metric: a number; of several numbers their mean, as logs show it. */
export class MetricResult {
  constructor(readonly metric: Metric) {}
  /** As the host knows it. */
  get value(): number {
    return this.metric.resultOf(this.metric.variables.map((v) => v.value));
  }
  /** All numbers of the result. */
  get values(): readonly number[] {
    return this.metric.resultsOf(this.metric.variables.map((v) => v.value));
  }
  valueOf(): number {
    return this.value;
  }
  toString(): string {
    return String(this.value);
  }
}

/** The other arguments beside a tensor of a call. */
const inCall = (beside: SymbolicTensor, x: MetricInput): SymbolicTensor => (x instanceof SymbolicTensor ? x : hostTensor(beside.trace, x));
function hostTensor(t: Trace, x: MetricInput): SymbolicTensor {
  const h = typeof x === 'number' ? new Tensor([x], []) : toTensor('updateState', x);
  return t.constant({ dtype: h.dtype === 'float64' ? 'float32' : h.dtype, shape: h.shape, data: h.dtype === 'float64' ? Float32Array.from(h.data) : h.data });
}

/** Base class. A metric has variables, an update that is traced into the graph, and a result computed on the host. */
export abstract class Metric {
  static readonly className: string = '';
  name: string;
  readonly semantics: Semantics;
  readonly variables: Variable[] = [];
  constructor(options: MetricOptions = {}, defaultName?: string) {
    this.name = options.name ?? defaultName ?? autoName(this.className);
    this.semantics = options.semantics ?? 'keras3';
  }
  get className(): string {
    const cls = this.constructor as typeof Metric;
    return cls.className || cls.name;
  }
  /** Makes a variable (float32 unless said) that starts at 0 and is reset to 0. */
  protected addVariable(name: string, shape: readonly number[] = [], dtype: 'float32' | 'int32' = 'float32'): Variable {
    const v = new Variable({ path: `metrics/${this.name}/${name}`, shape, dtype, trainable: false });
    this.variables.push(v);
    return v;
  }
  /** Adds a batch to the state. */
  abstract update(target: SymbolicTensor, prediction: SymbolicTensor, sampleWeight: SymbolicTensor | null): void;
  /**
   * Adds values (Mean, Sum; then perhaps weights), or targets and predictions (then perhaps weights). In a call: counts in training and evaluation, not in prediction. On arrays of the host: at once.
   */
  updateState(values: MetricInput, prediction: MetricInput = values, sampleWeight: MetricInput | null = null): void {
    if (values instanceof SymbolicTensor) {
      if (values.trace.metrics) this.update(values, inCall(values, prediction), sampleWeight === null ? null : inCall(values, sampleWeight));
      return;
    }
    runEagerly(this.name, false, (t) => {
      const [y, p, w] = [values, prediction, sampleWeight].map((x) => (x === null ? null : hostTensor(t, x)));
      this.update(y!, prediction === values ? y! : p!, w!);
    });
  }
  /** The result so far. In `trainStep` and `testStep` it stands for the result at the time when the logs are read. */
  result(): MetricResult {
    return new MetricResult(this);
  }
  /** Begins anew. */
  resetState(): void {
    for (const v of this.variables) v.assign(0);
  }
  /** The result for the variables' values; of several numbers their mean. */
  abstract resultOf(state: readonly TypedArray[]): number;
  /** All numbers of the result. */
  resultsOf(state: readonly TypedArray[]): readonly number[] {
    return [this.resultOf(state)];
  }
  getConfig(): JsonObject {
    return { name: this.name, dtype: 'float32' };
  }
}

export const shapeText = (s: Shape): string => kerasShapeText(kerasShape(s));

/**
 * Values times weights, and the weights, as Keras brings them together. Keras 3 reduces both to one number for each sample; Keras 2 repeats the weights over the values, and
 * reduces values only where weights lack more than one axis.
 */
function weightedValues(
  metric: { readonly name: string; readonly semantics: Semantics },
  values: SymbolicTensor,
  sampleWeight: SymbolicTensor | null,
  reduce: (x: SymbolicTensor, axes: readonly number[]) => SymbolicTensor,
): { readonly values: SymbolicTensor; readonly weights: SymbolicTensor | null } {
  const keras3 = metric.semantics === 'keras3';
  const over = (x: SymbolicTensor, from: number) =>
    x.rank > from
      ? reduce(
          x,
          Array.from({ length: x.rank - from }, (_, i) => from + i),
        )
      : x;
  let v = ops.cast(values, 'float32');
  if (!sampleWeight) return { values: keras3 ? over(v, 1) : v, weights: null };
  let w = ops.cast(sampleWeight, 'float32');
  if (keras3) [v, w] = squeezeOrExpand(v, w, 'keras3');
  else if (w.rank === v.rank + 1 && w.shape.at(-1) === 1) w = ops.squeeze(w, -1);
  else if (w.rank > 0 && w.rank === v.rank - 1) w = ops.expandDims(w, -1);
  if (w.rank < v.rank && (keras3 || w.rank > 0)) v = over(v, w.rank);
  if (v.rank > 0 && w.rank > 0 && !(w.rank === v.rank && w.shape.every((d, i) => d === 1 || equalDim(d, v.shape[i]!)))) {
    throw new ShapeError(`${metric.name}: the sample weights have shape ${shapeText(sampleWeight.shape)}, the values ${shapeText(values.shape)}`);
  }
  if (v.rank === 0) v = ops.broadcastTo(v, w.shape);
  else w = ops.broadcastTo(w, v.shape);
  v = ops.multiply(v, w);
  return keras3 ? { values: over(v, 1), weights: over(w, 1) } : { values: v, weights: w };
}

/** Weighted mean of values: total and count. */
export class MeanClass extends Metric {
  static override readonly className: string = 'Mean';
  protected readonly total: Variable;
  protected readonly count: Variable;
  constructor(options?: MetricOptions, defaultName = 'mean') {
    const o = resolveOptions<MetricOptions>('Mean', [options], [], metricDefaults);
    super(o, defaultName);
    this.total = this.addVariable('total');
    this.count = this.addVariable('count');
  }
  /** Adds values with weights. Weights of lower rank weigh whole samples. */
  updateValues(values: SymbolicTensor, sampleWeight: SymbolicTensor | null): void {
    const { values: v, weights: w } = weightedValues(this, values, sampleWeight, ops.mean);
    const t = v.trace;
    const samples = () => (v.rank > 0 ? ops.size(v, v.shape[0]!) : ops.full(v, [], 1));
    const n = w ? ops.sum(w) : this.semantics === 'keras3' ? samples() : ops.count(v);
    t.assign(this.total, ops.add(t.read(this.total), ops.sum(v)));
    t.assign(this.count, ops.add(t.read(this.count), n));
  }
  override update(values: SymbolicTensor, prediction: SymbolicTensor, sampleWeight: SymbolicTensor | null): void {
    // weights follow the values where there is nothing to predict
    this.updateValues(values, sampleWeight ?? (prediction === values ? null : prediction));
  }
  override resultOf([total, count]: readonly TypedArray[]): number {
    return count![0] === 0 ? 0 : total![0]! / count![0]!;
  }
}

/** Sum of values. */
export class SumClass extends Metric {
  static override readonly className = 'Sum';
  private readonly total: Variable;
  constructor(options?: MetricOptions) {
    const o = resolveOptions<MetricOptions>('Sum', [options], [], metricDefaults);
    super(o, 'sum');
    this.total = this.addVariable('total');
  }
  override update(values: SymbolicTensor, prediction: SymbolicTensor, sampleWeight: SymbolicTensor | null): void {
    const { values: v } = weightedValues(this, values, sampleWeight ?? (prediction === values ? null : prediction), ops.sum);
    v.trace.assign(this.total, ops.add(v.trace.read(this.total), ops.sum(v)));
  }
  override resultOf([total]: readonly TypedArray[]): number {
    return total![0]!;
  }
}

/** The last scalar that it was given: what a step of one's own shows of a tensor. */
export class LastClass extends Metric {
  static override readonly className = 'Last';
  private readonly last: Variable;
  constructor(name: string) {
    super({ name });
    this.last = this.addVariable('last');
  }
  override update(value: SymbolicTensor): void {
    value.trace.assign(this.last, ops.cast(value, 'float32'));
  }
  override resultOf([last]: readonly TypedArray[]): number {
    return last![0]!;
  }
}

/** Adds to a variable. */
export function addTo(variable: Variable, x: SymbolicTensor): void {
  x.trace.assign(variable, ops.add(x.trace.read(variable), x));
}

/** The weights with the mask of the prediction in them: masked values count nothing. */
export function maskedWeights(prediction: SymbolicTensor, sampleWeight: SymbolicTensor | null): SymbolicTensor | null {
  if (!prediction.mask) return sampleWeight;
  const mask = ops.cast(prediction.mask, 'float32');
  if (!sampleWeight) return mask;
  const missing = Math.max(0, mask.rank - sampleWeight.rank);
  const weight = missing > 0 ? ops.reshape(sampleWeight, [...sampleWeight.shape, ...new Array<number>(missing).fill(1)]) : sampleWeight;
  return ops.multiply(mask, ops.cast(weight, 'float32'));
}

/** One weight for each value. Weights may lack the last axis, or have axes of size 1. */
export function weightsFor(metric: Metric, sampleWeight: SymbolicTensor, values: SymbolicTensor): SymbolicTensor {
  let w = ops.cast(sampleWeight, 'float32');
  if (w.rank > 0 && w.rank === values.rank + 1 && w.shape.at(-1) === 1) w = ops.squeeze(w, -1);
  else if (w.rank > 0 && w.rank === values.rank - 1) w = ops.expandDims(w, -1);
  if (w.rank > 0 && !(w.rank === values.rank && w.shape.every((d, i) => d === 1 || equalDim(d, values.shape[i]!))))
    throw new ShapeError(`${metric.name}: the sample weights have shape ${shapeText(sampleWeight.shape)}, the values ${shapeText(values.shape)}`);
  return ops.broadcastTo(w, values.shape);
}

/** The size of an axis that must be known. */
export function knownSize(metric: Metric, what: string, x: SymbolicTensor, axis: number): number {
  const d = x.shape.at(axis);
  if (typeof d !== 'number') throw new ShapeError(`${metric.name}: ${what} must have a known size along axis ${axis}, its shape is ${shapeText(x.shape)}`);
  return d;
}

/** a / b, and 0 where b is 0, in float32. */
export const ratio = (a: number, b: number): number => (b === 0 ? 0 : Math.fround(a / b));

/** The mean of numbers. */
export const meanOfNumbers = (x: readonly number[]): number => x.reduce((a, v) => a + v, 0) / x.length;

/** Mean of tensors, element by element. Their shape is that of the first. */
export class MeanTensorClass extends Metric {
  static override readonly className = 'MeanTensor';
  private readonly given: readonly number[] | null;
  private state: readonly [total: Variable, count: Variable] | null = null;
  constructor(options?: MetricOptions & { readonly shape?: readonly number[] | null }) {
    const o = resolveOptions<MetricOptions & { readonly shape?: readonly number[] | null }>('MeanTensor', [options], [], { ...metricDefaults, shape: null });
    super(o, 'mean_tensor');
    this.given = o.shape ?? null;
    if (this.given) this.made(this.given);
  }
  private made(shape: readonly number[]): readonly [Variable, Variable] {
    this.state ??= [this.addVariable('total', shape), this.addVariable('count', shape)];
    const [{ shape: first }] = this.state;
    if (first.join() !== shape.join()) throw new ShapeError(`${this.name}: expected values of shape [${first.join(',')}] as before, got [${shape.join(',')}]`);
    return this.state;
  }
  override update(values: SymbolicTensor, prediction: SymbolicTensor, sampleWeight: SymbolicTensor | null): void {
    const weight = sampleWeight ?? (prediction === values ? null : prediction);
    let v = ops.cast(values, 'float32');
    const [total, count] = this.made(v.shape.map((_, i) => knownSize(this, 'values', v, i)));
    let n = ops.full(v, v.shape, 1);
    if (weight) {
      n = weightsFor(this, weight, v);
      v = ops.multiply(v, n);
    }
    addTo(total, v);
    addTo(count, n);
  }
  override resultOf(state: readonly TypedArray[]): number {
    return meanOfNumbers(this.resultsOf(state));
  }
  override resultsOf([total, count]: readonly TypedArray[]): readonly number[] {
    return Array.from(total ?? [], (x, i) => ratio(Number(x), Number(count![i])));
  }
  override getConfig(): JsonObject {
    return this.given ? { ...super.getConfig(), shape: [...this.given] } : super.getConfig();
  }
}
