/** Metrics with sums of their own: overlap of classes (IoU), F-scores, and the coefficient of determination. */
import type { TypedArray } from '../../../ir/dtype.js';
import { ShapeError, ValueError } from '../../../ir/errors.js';
import { epsilon } from '../backend/fuzz.js';
import * as ops from '../backend/ops.js';
import type { SymbolicTensor } from '../backend/trace.js';
import type { Variable } from '../backend/variable.js';
import { squeezeOrExpand } from '../losses/reduction.js';
import { describe, finiteNumber, numberBetween, oneOf, positiveInteger, resolveOptions } from '../utils/options.js';
import type { JsonObject } from '../utils/serialization.js';
import { addTo, knownSize, Metric, type MetricOptions, maskedWeights, meanOfNumbers, metricDefaults, ratio, shapeText, weightsFor } from './metric.js';

type S = SymbolicTensor;
const asFloat = (x: S): S => ops.cast(x, 'float32');

export interface IoUOptions extends MetricOptions {
  readonly numClasses: number;
  /** Classes whose mean is taken. */
  readonly targetClassIds: readonly number[];
  /** Samples of this class count nothing. */
  readonly ignoreClass?: number | null;
  /** Targets are class numbers; false: scores of classes along `axis`. Default true. */
  readonly sparseYTrue?: boolean;
  readonly sparseYPred?: boolean;
  /** Default -1. */
  readonly axis?: number;
}
export type MeanIoUOptions = Omit<IoUOptions, 'targetClassIds'>;
export type OneHotIoUOptions = Omit<IoUOptions, 'sparseYTrue'>;
export type OneHotMeanIoUOptions = Omit<OneHotIoUOptions, 'targetClassIds'>;

const overlap = { ...metricDefaults, ignoreClass: null, sparseYTrue: true, sparseYPred: true, axis: -1 } as const;

/** Intersection over union: of each class the share of samples that are it in target and prediction among those that are it in either. */
export class IoUClass extends Metric {
  static override readonly className: string = 'IoU';
  protected readonly o: Required<Omit<IoUOptions, keyof MetricOptions>>;
  private readonly matrix: Variable;
  /** Keras 3 counts whole numbers unless a type is given: weights lose their fractions. */
  private readonly whole: boolean;
  constructor(numClasses: number | IoUOptions, targetClassIds?: readonly number[], options?: Omit<IoUOptions, 'numClasses' | 'targetClassIds'>, what = 'IoU') {
    const o = resolveOptions<IoUOptions>(what, [numClasses, targetClassIds, options], ['numClasses', 'targetClassIds'], overlap);
    super(o);
    const n = positiveInteger(what, 'numClasses', o.numClasses);
    const ids = o.targetClassIds;
    if (!Array.isArray(ids) || ids.length === 0 || !ids.every((x) => Number.isInteger(x) && x >= 0 && x < n))
      throw new ValueError(
        `${what}: 'targetClassIds' must be numbers of classes from 0 to ${n - 1}, got ${Array.isArray(ids) ? `[${ids.join(', ')}]` : describe(ids)}`,
      );
    this.o = {
      numClasses: n,
      targetClassIds: [...ids],
      ignoreClass: o.ignoreClass ?? null,
      sparseYTrue: o.sparseYTrue ?? true,
      sparseYPred: o.sparseYPred ?? true,
      axis: o.axis ?? -1,
    };
    this.whole = this.semantics === 'keras3' && (o.dtype === null || o.dtype === undefined || /int/.test(String(o.dtype)));
    this.matrix = this.addVariable('total_confusion_matrix', [n, n]);
  }
  override update(target: S, prediction: S, sampleWeight: S | null): void {
    const { numClasses, ignoreClass, sparseYTrue, sparseYPred, axis } = this.o;
    const flat = (x: S, sparse: boolean) => ops.reshape(ops.cast(sparse ? x : ops.argmax(x, axis), 'int32'), [-1]);
    const [t, p] = [flat(target, sparseYTrue), flat(prediction, sparseYPred)];
    const given = this.semantics === 'keras2' ? maskedWeights(prediction, sampleWeight) : sampleWeight;
    let w = given ? weightsFor(this, given.rank > 1 ? ops.reshape(given, [-1]) : given, t) : ops.full(t, t.shape, 1);
    if (given && this.whole) w = asFloat(ops.cast(w, 'int32'));
    if (ignoreClass !== null) w = ops.where(ops.equal(t, ignoreClass), 0, w);
    const shape = [...t.shape, numClasses];
    const oneHot = (x: S) => asFloat(ops.equal(ops.broadcastTo(ops.expandDims(x, -1), shape), ops.iota(x, shape, 1)));
    const weighed = ops.multiply(oneHot(t), ops.broadcastTo(ops.expandDims(w, -1), shape));
    addTo(this.matrix, ops.matmul(ops.transpose(weighed, [1, 0]), oneHot(p)));
  }
  override resultOf([matrix]: readonly TypedArray[]): number {
    const { numClasses: n, targetClassIds } = this.o;
    const keras3 = this.semantics === 'keras3';
    const at = (i: number, j: number) => Number(matrix![i * n + j]);
    const classes = Array.from({ length: n }, (_, i) => i);
    let [sum, valid] = [0, 0];
    for (const c of targetClassIds) {
      const either = classes.reduce((a, i) => a + at(i, c) + at(c, i), 0) - at(c, c);
      if (keras3 ? either <= 1e-9 : either === 0) continue;
      valid++;
      sum += at(c, c) / (keras3 ? either + epsilon() : either);
    }
    return keras3 ? sum / (valid + epsilon()) : ratio(sum, valid);
  }
  /** Keras 3 writes the type that it counts in. */
  private get counted(): string {
    return this.whole ? 'int32' : 'float32';
  }
  override getConfig(): JsonObject {
    const { numClasses, targetClassIds, ignoreClass, sparseYTrue, sparseYPred, axis } = this.o;
    const rest = { ignore_class: ignoreClass, sparse_y_true: sparseYTrue, sparse_y_pred: sparseYPred, axis };
    return { ...super.getConfig(), dtype: this.counted, num_classes: numClasses, target_class_ids: targetClassIds, ...rest };
  }
}

const without = (config: JsonObject, ...keys: readonly string[]): JsonObject => Object.fromEntries(Object.entries(config).filter(([k]) => !keys.includes(k)));
const allClasses = (what: string, n: unknown): number[] => Array.from({ length: positiveInteger(what, 'numClasses', n) }, (_, i) => i);

/** The mean over all classes. */
export class MeanIoUClass extends IoUClass {
  static override readonly className: string = 'MeanIoU';
  constructor(numClasses: number | MeanIoUOptions, options?: Omit<MeanIoUOptions, 'numClasses'>) {
    const o = resolveOptions<MeanIoUOptions>('MeanIoU', [numClasses, options], ['numClasses'], overlap);
    super({ ...o, targetClassIds: allClasses('MeanIoU', o.numClasses) }, undefined, undefined, 'MeanIoU');
  }
  override getConfig(): JsonObject {
    return without(super.getConfig(), 'target_class_ids');
  }
}

const { sparseYTrue: _, ...oneHotOverlap } = { ...overlap, sparseYPred: false } as const;

/** IoU of one-hot targets and scores of classes. */
export class OneHotIoUClass extends IoUClass {
  static override readonly className: string = 'OneHotIoU';
  constructor(numClasses: number | OneHotIoUOptions, targetClassIds?: readonly number[], options?: Omit<OneHotIoUOptions, 'numClasses' | 'targetClassIds'>) {
    const o = resolveOptions<OneHotIoUOptions>('OneHotIoU', [numClasses, targetClassIds, options], ['numClasses', 'targetClassIds'], oneHotOverlap);
    super({ ...o, sparseYTrue: false }, undefined, undefined, 'OneHotIoU');
  }
  override getConfig(): JsonObject {
    return without(super.getConfig(), 'sparse_y_true');
  }
}

/** MeanIoU of one-hot targets and scores of classes. */
export class OneHotMeanIoUClass extends IoUClass {
  static override readonly className: string = 'OneHotMeanIoU';
  constructor(numClasses: number | OneHotMeanIoUOptions, options?: Omit<OneHotMeanIoUOptions, 'numClasses'>) {
    const o = resolveOptions<OneHotMeanIoUOptions>('OneHotMeanIoU', [numClasses, options], ['numClasses'], oneHotOverlap);
    super({ ...o, sparseYTrue: false, targetClassIds: allClasses('OneHotMeanIoU', o.numClasses) }, undefined, undefined, 'OneHotMeanIoU');
  }
  override getConfig(): JsonObject {
    return without(super.getConfig(), 'sparse_y_true', 'target_class_ids');
  }
}

export interface BinaryIoUOptions extends MetricOptions {
  /** Default [0, 1]. */
  readonly targetClassIds?: readonly number[];
  /** Predictions of at least this are class 1; default 0.5. */
  readonly threshold?: number;
}

/** IoU of two classes, predictions being scores. */
export class BinaryIoUClass extends IoUClass {
  static override readonly className: string = 'BinaryIoU';
  private readonly threshold: number;
  constructor(options?: BinaryIoUOptions) {
    const { threshold, targetClassIds, ...o } = resolveOptions<BinaryIoUOptions>('BinaryIoU', [options], [], {
      ...metricDefaults,
      targetClassIds: [0, 1],
      threshold: 0.5,
    });
    super({ ...o, numClasses: 2, targetClassIds: targetClassIds! }, undefined, undefined, 'BinaryIoU');
    this.threshold = finiteNumber('BinaryIoU', 'threshold', threshold);
  }
  override update(target: S, prediction: S, sampleWeight: S | null): void {
    const p = ops.cast(ops.greaterEqual(asFloat(prediction), this.threshold), 'int32');
    p.mask = prediction.mask;
    super.update(target, p, sampleWeight);
  }
  override getConfig(): JsonObject {
    const config = without(super.getConfig(), 'num_classes', 'ignore_class', 'sparse_y_true', 'sparse_y_pred', 'axis');
    return { ...config, threshold: this.threshold };
  }
}

export interface F1ScoreOptions extends MetricOptions {
  /** null (default): a score for each class; 'micro': of all together; 'macro': their mean; 'weighted': their mean by the number of samples. */
  readonly average?: 'micro' | 'macro' | 'weighted' | null;
  /** Predictions above are positive; null (default): the largest of each sample is. */
  readonly threshold?: number | null;
}
export interface FBetaScoreOptions extends F1ScoreOptions {
  /** Weight of recall; default 1. */
  readonly beta?: number;
}

/** The weighted harmonic mean of precision and recall, for one-hot or multi-hot targets of shape (batch, classes). */
export class FBetaScoreClass extends Metric {
  static override readonly className: string = 'FBetaScore';
  private readonly o: Required<Omit<FBetaScoreOptions, keyof MetricOptions>>;
  private state: readonly Variable[] | null = null;
  constructor(options?: FBetaScoreOptions, what = 'FBetaScore', name = 'fbeta_score') {
    const o = resolveOptions<FBetaScoreOptions>(what, [options], [], { ...metricDefaults, average: null, beta: 1, threshold: null });
    super(o, name);
    const average = o.average === null || o.average === undefined ? null : oneOf(what, 'average', o.average, ['micro', 'macro', 'weighted']);
    const beta = finiteNumber(what, 'beta', o.beta);
    if (!(beta > 0)) throw new ValueError(`${what}: 'beta' must be above 0, got ${beta}`);
    const threshold = o.threshold ?? null;
    if (threshold !== null && !(numberBetween(what, 'threshold', threshold, 0, 1) > 0)) throw new ValueError(`${what}: 'threshold' must be above 0, got 0`);
    this.o = { average, beta, threshold };
  }
  override update(target: S, prediction: S, sampleWeight: S | null): void {
    if (prediction.rank !== 2 || target.rank !== 2)
      throw new ShapeError(
        `${this.name}: expected targets and predictions of shape (batch, classes), got ${shapeText(target.shape)} and ${shapeText(prediction.shape)}`,
      );
    const shape = this.o.average === 'micro' ? [] : [knownSize(this, 'predictions', prediction, -1)];
    this.state ??= ['true_positives', 'false_positives', 'false_negatives', 'intermediate_weights'].map((n) => this.addVariable(n, shape));
    const t = asFloat(target);
    const p = asFloat(this.positive(prediction));
    const given = this.semantics === 'keras2' ? maskedWeights(prediction, sampleWeight) : sampleWeight;
    const w = given ? weightsFor(this, given, p) : null;
    const sum = (x: S) => ops.sum(w ? ops.multiply(x, w) : x, this.o.average === 'micro' ? undefined : [0]);
    const parts = [ops.multiply(p, t), ops.multiply(p, ops.subtract(1, t)), ops.multiply(ops.subtract(1, p), t), t];
    for (const [i, v] of this.state.entries()) addTo(v, sum(parts[i]!));
  }
  private positive(p: S): S {
    const { threshold } = this.o;
    if (threshold !== null) return ops.greater(p, threshold);
    const largest = ops.broadcastTo(ops.max(p, [1], true), p.shape);
    return ops.logicalAnd(ops.greaterEqual(p, largest), ops.greater(ops.abs(p), 1e-9));
  }
  override resultOf(state: readonly TypedArray[]): number {
    return meanOfNumbers(this.resultsOf(state));
  }
  override resultsOf([tp, fp, fn, weights]: readonly TypedArray[]): readonly number[] {
    const keras3 = this.semantics === 'keras3';
    const share = (a: number, b: number) => (keras3 ? a / (b + epsilon()) : ratio(a, b));
    const squared = this.o.beta ** 2;
    const scores = Array.from(tp ?? [], (x, i) => {
      const [precision, recall] = [share(Number(x), Number(x) + Number(fp![i])), share(Number(x), Number(x) + Number(fn![i]))];
      return share(precision * recall, squared * precision + recall) * (1 + squared);
    });
    if (this.o.average === null) return scores;
    if (this.o.average !== 'weighted') return [meanOfNumbers(scores)];
    const total = Array.from(weights ?? [], Number).reduce((a, b) => a + b, 0);
    return [scores.reduce((a, x, i) => a + x * share(Number(weights![i]), total), 0)];
  }
  override getConfig(): JsonObject {
    const { average, beta, threshold } = this.o;
    return { ...super.getConfig(), average, beta, threshold };
  }
}

/** The harmonic mean of precision and recall. */
export class F1ScoreClass extends FBetaScoreClass {
  static override readonly className: string = 'F1Score';
  constructor(options?: F1ScoreOptions) {
    super(resolveOptions<F1ScoreOptions>('F1Score', [options], [], { ...metricDefaults, average: null, threshold: null }), 'F1Score', 'f1_score');
  }
  override getConfig(): JsonObject {
    return without(super.getConfig(), 'beta');
  }
}

export interface R2ScoreOptions extends MetricOptions {
  /** 'uniform_average' (default), 'variance_weighted_average', or null: a score for each output. */
  readonly classAggregation?: 'uniform_average' | 'variance_weighted_average' | null;
  /** Number of predictors for the adjusted score; default 0: not adjusted. */
  readonly numRegressors?: number;
}

/** The share of the targets' variance that predictions explain, for shapes (batch, outputs). */
export class R2ScoreClass extends Metric {
  static override readonly className: string = 'R2Score';
  private readonly classAggregation: 'uniform_average' | 'variance_weighted_average' | null;
  private readonly numRegressors: number;
  private readonly samples: Variable;
  private sums: readonly Variable[] | null = null;
  constructor(options?: R2ScoreOptions) {
    const o = resolveOptions<R2ScoreOptions>('R2Score', [options], [], { ...metricDefaults, classAggregation: 'uniform_average', numRegressors: 0 });
    super(o, 'r2_score');
    this.classAggregation =
      o.classAggregation === null || o.classAggregation === undefined
        ? null
        : oneOf<'uniform_average' | 'variance_weighted_average'>('R2Score', 'classAggregation', o.classAggregation, [
            'uniform_average',
            'variance_weighted_average',
          ]);
    this.numRegressors = numberBetween('R2Score', 'numRegressors', o.numRegressors, 0, Infinity);
    this.samples = this.addVariable('num_samples', [], this.semantics === 'keras2' ? 'int32' : 'float32');
  }
  override update(target: S, prediction: S, sampleWeight: S | null): void {
    const [p, t] = squeezeOrExpand(prediction, asFloat(target), this.semantics);
    if (p.rank !== 2 || t.rank !== 2)
      throw new ShapeError(
        `${this.name}: expected targets and predictions of shape (batch, outputs), got ${shapeText(target.shape)} and ${shapeText(prediction.shape)}`,
      );
    const n = knownSize(this, 'predictions', p, -1);
    this.sums ??= ['squared_sum', 'sum', 'residual', 'count'].map((name) => this.addVariable(name, [n]));
    const w = sampleWeight ? weightsFor(this, sampleWeight, t) : ops.full(t, t.shape, 1);
    const weighed = ops.multiply(t, w);
    const parts = [ops.multiply(t, weighed), weighed, ops.multiply(ops.square(ops.subtract(t, p)), w), w];
    for (const [i, v] of this.sums.entries()) addTo(v, ops.sum(parts[i]!, [0]));
    addTo(this.samples, ops.cast(ops.count(t), this.samples.dtype));
  }
  override resultOf(state: readonly TypedArray[]): number {
    return meanOfNumbers(this.resultsOf(state));
  }
  override resultsOf([samples, squares, sums, residuals, counts]: readonly TypedArray[]): readonly number[] {
    const totals = Array.from(squares ?? [], (q, i) => Number(q) - Number(sums![i]) * (Number(sums![i]) / Number(counts![i])));
    const raw = totals.map((total, i) => {
      const score = 1 - Number(residuals![i]) / total;
      return Math.abs(score) === Infinity ? 0 : score;
    });
    let scores: readonly number[] = raw;
    if (this.classAggregation === 'uniform_average') scores = [meanOfNumbers(raw)];
    if (this.classAggregation === 'variance_weighted_average') scores = [raw.reduce((a, x, i) => a + x * totals[i]!, 0) / totals.reduce((a, b) => a + b, 0)];
    const [n, p] = [Number(samples?.[0] ?? 0), this.numRegressors];
    if (p === 0 || p >= n - 1) return scores;
    return scores.map((x) => 1 - ((1 - x) * (n - 1)) / (n - p - 1));
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), class_aggregation: this.classAggregation, num_regressors: this.numRegressors };
  }
}
