/** Metrics that count true and false positives and negatives at thresholds: the counts, precision, recall, one at a level of the other, and the area under curves. */
import type { TypedArray } from '../../../ir/dtype.js';
import { ShapeError, ValueError } from '../../../ir/errors.js';
import { epsilon } from '../backend/fuzz.js';
import * as ops from '../backend/ops.js';
import type { SymbolicTensor } from '../backend/trace.js';
import type { Variable } from '../backend/variable.js';
import { squeezeOrExpand } from '../losses/reduction.js';
import { describe, numberBetween, oneOf, positiveInteger, resolveOptions, truth } from '../utils/options.js';
import { type JsonObject, writtenGeneration } from '../utils/serialization.js';
import { addTo, knownSize, Metric, type MetricOptions, maskedWeights, meanOfNumbers, metricDefaults, ratio, shapeText, weightsFor } from './metric.js';

type S = SymbolicTensor;
type Cell = 'true_positives' | 'false_positives' | 'true_negatives' | 'false_negatives';

const asFloat = (x: S): S => ops.cast(x, 'float32');
const numbers = (x: TypedArray | undefined): number[] => Array.from(x ?? [], Number);

/** Whether thresholds are i / (n - 1): Keras then puts predictions, brought into [0, 1], into buckets. */
function evenlySpaced(thresholds: readonly number[]): boolean {
  const n = thresholds.length;
  return n >= 3 && thresholds.every((t, i) => Math.abs(t - i / (n - 1)) <= epsilon() + 1e-5 * Math.abs(i / (n - 1)));
}

/** The k largest of the last axis keep their values, of equal ones the first; all others fall below every threshold. */
function topKOnly(x: S, k: number): S {
  const axis = x.rank;
  const shape = [...x.shape, x.shape.at(-1)!];
  const [self, other] = [ops.broadcastTo(ops.expandDims(x, -1), shape), ops.broadcastTo(ops.expandDims(x, -2), shape)];
  const before = ops.less(ops.iota(x, shape, axis), ops.iota(x, shape, axis - 1));
  const ahead = ops.logicalOr(ops.greater(other, self), ops.logicalAnd(ops.equal(other, self), before));
  return ops.where(ops.less(ops.sum(asFloat(ahead), [axis]), k), x, -1e10);
}

interface Selection {
  readonly topK?: number | null;
  readonly classId?: number | null;
  /** Labels are counted apart: the state has a column for each. */
  readonly apart?: boolean;
  readonly labelWeights?: readonly number[] | null;
}

/** Cells of the confusion matrix at thresholds: their state, and how a batch adds to them. */
abstract class ConfusionMetric extends Metric {
  protected thresholds: readonly number[] = [];
  /** Thresholds are evenly spaced; null: they are not. Else whether the outer two lie beyond 0 and 1. */
  private spacing: { readonly beyond: boolean } | null = null;
  protected cells = new Map<Cell, Variable>();

  protected setThresholds(thresholds: readonly number[], even: boolean): void {
    this.thresholds = thresholds;
    this.spacing = even ? { beyond: thresholds[0]! < 0 || thresholds.at(-1)! > 1 } : null;
  }
  protected addCells(cells: readonly Cell[], columns: number | null = null): void {
    const shape = columns === null ? [this.thresholds.length] : [this.thresholds.length, columns];
    for (const c of cells) this.cells.set(c, this.addVariable(cells.length === 1 ? 'accumulator' : c, shape));
  }

  protected countCells(target: S, prediction: S, sampleWeight: S | null, how: Selection = {}): void {
    const given = this.semantics === 'keras2' ? maskedWeights(prediction, sampleWeight) : sampleWeight;
    let [p, t] = squeezeOrExpand(asFloat(prediction), asFloat(target), this.semantics);
    if (p.rank !== t.rank)
      throw new ShapeError(`${this.name}: the targets have shape ${shapeText(target.shape)}, the predictions ${shapeText(prediction.shape)}`);
    if (how.topK) {
      if (p.rank < 2) throw new ShapeError(`${this.name}: topK needs predictions of several classes, their shape is ${shapeText(prediction.shape)}`);
      p = topKOnly(p, how.topK);
    }
    const id = how.classId ?? null;
    if (id !== null) {
      const classes = p.shape.at(-1);
      if (p.rank < 2 || (typeof classes === 'number' && id >= classes))
        throw new ShapeError(`${this.name}: classId is ${id}, the predictions have shape ${shapeText(prediction.shape)}`);
      [p, t] = [ops.sliceAxis(p, -1, id, id + 1), ops.sliceAxis(t, -1, id, id + 1)];
    }
    let w = given ? weightsFor(this, given, p) : null;
    if (how.labelWeights) {
      const l = p.trace.constant({ dtype: 'float32', shape: [how.labelWeights.length], data: Float32Array.from(how.labelWeights) });
      const spread = ops.broadcastTo(l, p.shape);
      w = w ? ops.multiply(w, spread) : spread;
    }
    const one = (x: S) => (how.apart ? x : ops.reshape(x, [-1]));
    this.addBatch(one(asFloat(ops.notEqual(t, 0))), one(p), w && one(w));
  }

  /** Targets of 0 and 1, predictions and weights: vectors, or columns that are counted apart. */
  private addBatch(t: S, p: S, w: S | null): void {
    const n = this.thresholds.length;
    const shape = [n, ...p.shape];
    const wide = (x: S) => ops.broadcastTo(ops.expandDims(x, 0), shape);
    let above: S;
    if (this.spacing) {
      // the number of the last threshold below, as Keras finds it
      const place = ops.multiply(ops.clip(p, 0, 1), n - 1);
      const bucket = ops.subtract(ops.negative(ops.floor(ops.negative(place))), 1);
      above = ops.greaterEqual(wide(this.spacing.beyond ? ops.maximum(bucket, 0) : bucket), ops.iota(p, shape, 0, 'float32'));
    } else {
      const list = p.trace.constant({ dtype: 'float32', shape: [n, ...p.shape.map(() => 1)], data: Float32Array.from(this.thresholds) });
      above = ops.greater(wide(p), ops.broadcastTo(list, shape));
    }
    const weigh = (x: S) => (w ? ops.multiply(x, w) : x);
    const [right, wrong] = [weigh(t), weigh(ops.subtract(1, t))];
    const counted = (where: S, x: S) => ops.sum(ops.where(where, wide(x), 0), [1]);
    const below = ops.logicalNot(above);
    const sums: Readonly<Record<Cell, () => S>> = {
      true_positives: () => counted(above, right),
      false_positives: () => counted(above, wrong),
      true_negatives: () => counted(below, wrong),
      false_negatives: () => counted(below, right),
    };
    for (const [cell, variable] of this.cells) addTo(variable, sums[cell]());
  }

  /** The counts in the state, by cell. */
  protected counts(state: readonly TypedArray[]): Readonly<Record<Cell, number[]>> {
    const order = [...this.cells.keys()];
    const of = (cell: Cell) => numbers(state[order.indexOf(cell)]);
    return {
      true_positives: of('true_positives'),
      false_positives: of('false_positives'),
      true_negatives: of('true_negatives'),
      false_negatives: of('false_negatives'),
    };
  }
}

export interface ThresholdOptions extends MetricOptions {
  /** A number in [0, 1] or several; default 0.5. */
  readonly thresholds?: number | readonly number[] | null;
}

/** Thresholds as they were given, as a list. */
function thresholdList(what: string, given: number | readonly number[] | null | undefined, otherwise: number): readonly number[] {
  if (given === null || given === undefined) return [otherwise];
  const list = Array.isArray(given) ? (given as readonly unknown[]) : [given];
  if (list.length === 0) throw new ValueError(`${what}: 'thresholds' must not be empty`);
  return list.map((x) => numberBetween(what, 'thresholds', x, 0, 1));
}

/** A count of one cell. */
abstract class CountClass extends ConfusionMetric {
  private readonly given: ThresholdOptions['thresholds'];
  constructor(what: string, cell: Cell, options?: ThresholdOptions) {
    const o = resolveOptions<ThresholdOptions>(what, [options], [], { ...metricDefaults, thresholds: null });
    super(o);
    this.given = o.thresholds ?? null;
    const list = thresholdList(what, o.thresholds, 0.5);
    this.setThresholds(list, evenlySpaced(list));
    this.addCells([cell]);
  }
  override update(target: S, prediction: S, sampleWeight: S | null): void {
    this.countCells(target, prediction, sampleWeight);
  }
  override resultOf(state: readonly TypedArray[]): number {
    return meanOfNumbers(this.resultsOf(state));
  }
  override resultsOf([count]: readonly TypedArray[]): readonly number[] {
    return numbers(count);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), thresholds: this.given as JsonObject[string] };
  }
}

const countOf = (className: string, cell: Cell): (new (options?: ThresholdOptions) => Metric) =>
  class extends CountClass {
    static override readonly className: string = className;
    constructor(options?: ThresholdOptions) {
      super(className, cell, options);
    }
  };

export const TruePositivesClass = countOf('TruePositives', 'true_positives');
export const FalsePositivesClass = countOf('FalsePositives', 'false_positives');
export const TrueNegativesClass = countOf('TrueNegatives', 'true_negatives');
export const FalseNegativesClass = countOf('FalseNegatives', 'false_negatives');

export interface PrecisionOptions extends ThresholdOptions {
  /** Only the k largest predictions of a sample count as positive. */
  readonly topK?: number | null;
  /** Only this class is looked at. */
  readonly classId?: number | null;
}

const wholeNumber = (what: string, name: string, x: unknown): number | null => {
  if (x === null || x === undefined) return null;
  if (typeof x === 'number' && Number.isInteger(x) && x >= 0) return x;
  throw new ValueError(`${what}: '${name}' must be a whole number of at least 0, got ${describe(x)}`);
};

/** True positives over them and another cell. */
abstract class ShareClass extends ConfusionMetric {
  private readonly o: PrecisionOptions;
  constructor(
    what: string,
    private readonly other: Cell,
    options?: PrecisionOptions,
  ) {
    const o = resolveOptions<PrecisionOptions>(what, [options], [], { ...metricDefaults, thresholds: null, topK: null, classId: null });
    super(o);
    const topK = o.topK === null || o.topK === undefined ? null : positiveInteger(what, 'topK', o.topK);
    this.o = { thresholds: o.thresholds ?? null, topK, classId: wholeNumber(what, 'classId', o.classId) };
    const list = thresholdList(what, o.thresholds, topK === null ? 0.5 : -1e10);
    this.setThresholds(list, evenlySpaced(list));
    this.addCells(['true_positives', other]);
  }
  override update(target: S, prediction: S, sampleWeight: S | null): void {
    this.countCells(target, prediction, sampleWeight, this.o);
  }
  override resultOf(state: readonly TypedArray[]): number {
    return meanOfNumbers(this.resultsOf(state));
  }
  override resultsOf(state: readonly TypedArray[]): readonly number[] {
    const c = this.counts(state);
    return c.true_positives.map((tp, i) => ratio(tp, tp + c[this.other][i]!));
  }
  override getConfig(): JsonObject {
    const { thresholds, topK, classId } = this.o;
    return { ...super.getConfig(), thresholds: thresholds as JsonObject[string], top_k: topK, class_id: classId };
  }
}

/** The share of what is true among what was predicted positive. */
export class PrecisionClass extends ShareClass {
  static override readonly className: string = 'Precision';
  constructor(options?: PrecisionOptions) {
    super('Precision', 'false_positives', options);
  }
}
/** The share of what was predicted positive among what is true. */
export class RecallClass extends ShareClass {
  static override readonly className: string = 'Recall';
  constructor(options?: PrecisionOptions) {
    super('Recall', 'false_negatives', options);
  }
}

const all: readonly Cell[] = ['true_positives', 'true_negatives', 'false_positives', 'false_negatives'];
type Counts = Readonly<Record<Cell, number[]>>;
const quotient = (a: Cell, b: Cell) => (c: Counts) => c[a].map((x, i) => ratio(x, x + c[b][i]!));
const rates = {
  sensitivity: quotient('true_positives', 'false_negatives'),
  recall: quotient('true_positives', 'false_negatives'),
  specificity: quotient('true_negatives', 'false_positives'),
  precision: quotient('true_positives', 'false_positives'),
} as const;
type Rate = keyof typeof rates;

export interface LevelOptions extends MetricOptions {
  /** Default 200. */
  readonly numThresholds?: number;
  readonly classId?: number | null;
}

/** The largest of one rate where another is at least at a level. */
abstract class AtLevelClass extends ConfusionMetric {
  private readonly numThresholds: number;
  private readonly classId: number | null;
  private readonly level: number;
  constructor(
    what: string,
    private readonly wanted: Rate,
    private readonly bound: Rate,
    level: number | (LevelOptions & Readonly<Partial<Record<Rate, number>>>),
    options?: LevelOptions,
  ) {
    type All = LevelOptions & Partial<Record<Rate, number>>;
    const o = resolveOptions<All>(what, [level, options], [bound], { ...metricDefaults, numThresholds: 200, classId: null });
    super(o);
    this.level = numberBetween(what, bound, o[bound], 0, 1);
    this.numThresholds = positiveInteger(what, 'numThresholds', o.numThresholds);
    this.classId = wholeNumber(what, 'classId', o.classId);
    const n = this.numThresholds;
    this.setThresholds(n === 1 ? [0.5] : Array.from({ length: n }, (_, i) => i / (n - 1)), n > 1);
    this.addCells(all);
  }
  override update(target: S, prediction: S, sampleWeight: S | null): void {
    this.countCells(target, prediction, sampleWeight, { classId: this.classId });
  }
  override resultOf(state: readonly TypedArray[]): number {
    const c = this.counts(state);
    const [bounds, found] = [rates[this.bound](c), rates[this.wanted](c)];
    const level = Math.fround(this.level);
    return found.reduce((best, x, i) => (bounds[i]! >= level ? Math.max(best, x) : best), 0);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), num_thresholds: this.numThresholds, class_id: this.classId, [this.bound]: this.level };
  }
}

type LevelArguments<R extends Rate> = [level: number | (LevelOptions & Readonly<Record<R, number>>), options?: LevelOptions];
const atLevel = <R extends Rate>(className: string, wanted: Rate, bound: R): (new (...given: LevelArguments<R>) => Metric) =>
  class extends AtLevelClass {
    static override readonly className: string = className;
    constructor(...[level, options]: LevelArguments<R>) {
      super(className, wanted, bound, level, options);
    }
  };

export const SensitivityAtSpecificityClass = atLevel('SensitivityAtSpecificity', 'sensitivity', 'specificity');
export const SpecificityAtSensitivityClass = atLevel('SpecificityAtSensitivity', 'specificity', 'sensitivity');
export const PrecisionAtRecallClass = atLevel('PrecisionAtRecall', 'precision', 'recall');
export const RecallAtPrecisionClass = atLevel('RecallAtPrecision', 'recall', 'precision');

export interface AUCOptions extends MetricOptions {
  /** Default 200. */
  readonly numThresholds?: number;
  /** 'ROC' (default), 'PR', or 'PRGAIN'. */
  readonly curve?: string;
  /** 'interpolation' (default), 'minoring' or 'majoring'. */
  readonly summationMethod?: string;
  /** In place of numThresholds; 0 and 1 are added. */
  readonly thresholds?: readonly number[] | null;
  /** Labels are curves of their own, of which the mean is taken. */
  readonly multiLabel?: boolean;
  readonly numLabels?: number | null;
  readonly labelWeights?: readonly number[] | null;
  readonly fromLogits?: boolean;
}

/** The area under a curve through the rates at many thresholds. */
export class AUCClass extends ConfusionMetric {
  static override readonly className: string = 'AUC';
  private readonly o: Required<Omit<AUCOptions, keyof MetricOptions>>;
  private labels: number | null = null;
  constructor(options?: AUCOptions) {
    const o = resolveOptions<AUCOptions>('AUC', [options], [], {
      ...metricDefaults,
      numThresholds: 200,
      curve: 'ROC',
      summationMethod: 'interpolation',
      thresholds: null,
      multiLabel: false,
      numLabels: null,
      labelWeights: null,
      fromLogits: false,
    });
    super(o);
    const curve = oneOf('AUC', 'curve', o.curve, ['roc', 'pr', 'prgain']).toUpperCase();
    const summationMethod = oneOf('AUC', 'summationMethod', o.summationMethod, ['interpolation', 'minoring', 'majoring']);
    const given = o.thresholds ?? null;
    const inner = given && thresholdList('AUC', given, 0).toSorted((a, b) => a - b);
    const n = inner ? inner.length + 2 : positiveInteger('AUC', 'numThresholds', o.numThresholds);
    if (n < 2) throw new ValueError(`AUC: 'numThresholds' must be above 1, got ${n}`);
    const middle = inner ?? Array.from({ length: n - 2 }, (_, i) => (i + 1) / (n - 1));
    this.setThresholds([-epsilon(), ...middle, 1 + epsilon()], inner ? evenlySpaced([0, ...inner, 1]) : true);
    const multiLabel = truth('AUC', 'multiLabel', o.multiLabel);
    const numLabels = o.numLabels === null || o.numLabels === undefined || o.numLabels === 0 ? null : positiveInteger('AUC', 'numLabels', o.numLabels);
    if (numLabels !== null && !multiLabel) throw new ValueError("AUC: 'numLabels' belongs to multiLabel");
    const labelWeights = o.labelWeights ? o.labelWeights.map((x) => numberBetween('AUC', 'labelWeights', x, 0, Infinity)) : null;
    this.o = {
      numThresholds: n,
      curve,
      summationMethod,
      thresholds: inner,
      multiLabel,
      numLabels,
      labelWeights,
      fromLogits: truth('AUC', 'fromLogits', o.fromLogits),
    };
    if (!multiLabel) this.addCells(all);
    else if (numLabels) this.made(numLabels);
  }
  private made(labels: number): void {
    if (this.labels === null) {
      this.labels = labels;
      this.addCells(all, labels);
    }
    const given = this.o.labelWeights?.length ?? labels;
    if (this.labels !== labels || given !== labels)
      throw new ShapeError(`${this.name}: the predictions have ${labels} labels, expected ${this.labels === labels ? given : this.labels}`);
  }
  override update(target: S, prediction: S, sampleWeight: S | null): void {
    const { multiLabel, labelWeights, fromLogits } = this.o;
    if (multiLabel) {
      if (prediction.rank !== 2)
        throw new ShapeError(`${this.name}: with multiLabel predictions must have rank 2, their shape is ${shapeText(prediction.shape)}`);
      this.made(knownSize(this, 'predictions', prediction, -1));
    }
    let p = prediction;
    if (fromLogits) {
      p = ops.sigmoid(p);
      p.mask = prediction.mask;
    }
    this.countCells(target, p, sampleWeight, { apart: multiLabel, labelWeights: multiLabel ? null : labelWeights });
  }
  override resultOf(state: readonly TypedArray[]): number {
    const c = this.counts(state);
    const columns = this.labels ?? 1;
    const column = (x: readonly number[], i: number) => x.filter((_, k) => k % columns === i);
    const areas = Array.from({ length: columns }, (_, i) =>
      this.area({
        true_positives: column(c.true_positives, i),
        false_positives: column(c.false_positives, i),
        true_negatives: column(c.true_negatives, i),
        false_negatives: column(c.false_negatives, i),
      }),
    );
    const weights = this.o.multiLabel ? this.o.labelWeights : null;
    if (!weights) return meanOfNumbers(areas);
    const total = weights.reduce((a, b) => a + b, 0);
    return ratio(
      areas.reduce((a, x, i) => a + x * weights[i]!, 0),
      total,
    );
  }
  private area(c: Counts): number {
    const { curve, summationMethod } = this.o;
    if (curve === 'PR' && summationMethod === 'interpolation') return interpolatedPrecision(c);
    const recall = rates.recall(c);
    let [x, y]: [number[], number[]] = [recall, rates.precision(c)];
    if (curve === 'ROC') [x, y] = [c.false_positives.map((fp, i) => ratio(fp, fp + c.true_negatives[i]!)), recall];
    if (curve === 'PRGAIN') [x, y] = gains(c);
    const height = { interpolation: (a: number, b: number) => (a + b) / 2, minoring: Math.min, majoring: Math.max }[summationMethod]!;
    let sum = 0;
    for (let i = 0; i + 1 < x.length; i++) sum += (x[i]! - x[i + 1]!) * height(y[i]!, y[i + 1]!);
    return sum;
  }
  override getConfig(): JsonObject {
    const { numThresholds, curve, summationMethod, thresholds, multiLabel, numLabels, labelWeights, fromLogits } = this.o;
    return {
      ...super.getConfig(),
      num_thresholds: numThresholds,
      curve,
      summation_method: summationMethod,
      multi_label: multiLabel,
      num_labels: numLabels,
      label_weights: labelWeights,
      ...(thresholds ? { thresholds } : {}),
      ...(fromLogits || writtenGeneration(this.semantics) === 'keras3' ? { from_logits: fromLogits } : {}),
    };
  }
}

/** Recall and precision, as gains over always saying yes (Flach and Kull 2015). */
function gains(c: Counts): [number[], number[]] {
  const scale = c.true_positives.map((tp, i) => ratio(tp + c.false_negatives[i]!, c.false_positives[i]! + c.true_negatives[i]!));
  const gain = (cell: Cell, none: number) => c.true_positives.map((tp, i) => (tp === 0 ? none : 1 - scale[i]! * ratio(c[cell][i]!, tp)));
  return [gain('false_negatives', 0).map((x) => Math.max(x, 0)), gain('false_positives', 1)];
}

/** The area under the precision-recall curve, positives being interpolated between thresholds (Davis and Goadrich 2006). */
function interpolatedPrecision(c: Counts): number {
  const { true_positives: tp, false_positives: fp, false_negatives: fn } = c;
  let area = 0;
  for (let i = 0; i + 1 < tp.length; i++) {
    const [p, next] = [tp[i]! + fp[i]!, tp[i + 1]! + fp[i + 1]!];
    const gained = tp[i]! - tp[i + 1]!;
    const slope = ratio(gained, Math.max(p - next, 0));
    const intercept = tp[i + 1]! - slope * next;
    const grown = p > 0 && next > 0 ? p / next : 1;
    area += ratio(slope * (gained + intercept * Math.log(grown)), Math.max(tp[i + 1]! + fn[i + 1]!, 0));
  }
  return area;
}
