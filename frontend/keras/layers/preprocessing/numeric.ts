/** Normalization, Discretization and CategoryEncoding. */
import { ShapeError, UnsupportedError, ValueError } from '../../../../ir/errors.js';
import * as ops from '../../backend/ops.js';
import { type KerasShape, kerasShapeText, SymbolicTensor, type Tensors } from '../../backend/trace.js';
import type { Variable } from '../../backend/variable.js';
import { type ArrayLikeInput, toTensor } from '../../tensor.js';
import { callable } from '../../utils/callable.js';
import { describe, finiteNumber, oneOf, positiveInteger, resolveOptions } from '../../utils/options.js';
import type { Json, JsonObject } from '../../utils/serialization.js';
import { type CallArguments, type InputShape, knownDim, Layer, type LayerOptions, layerDefaults, single, singleShape } from '../layer.js';
import { quantiles } from './quantiles.js';

export interface NormalizationConfig extends LayerOptions {
  /** The axes with statistics of their own; null: one mean and variance for all. Default -1. */
  axis?: number | readonly number[] | null;
  /** Numbers, or lists (nested as the axes are); default: learned by `adapt`. */
  mean?: Json;
  variance?: Json;
  /** Multiplies by the deviation and adds the mean instead. */
  invert?: boolean;
}

/** All numbers of a nested list. */
const flat = (x: Json): number[] => (Array.isArray(x) ? (x as Json[]).flatMap(flat) : [finiteNumber('Normalization', 'mean and variance', x)]);

/** (x - mean) / max(sqrt(variance), 1e-7). Without given statistics it has the weights mean, variance and count, which `adapt` sets. */
export class NormalizationClass extends Layer {
  static override readonly className = 'Normalization';
  readonly invert: boolean;
  private readonly given: { readonly mean: readonly number[]; readonly variance: readonly number[] } | null;
  private readonly options: { readonly axis: readonly number[]; readonly mean: Json; readonly variance: Json };
  private mean: Variable | null = null;
  private variance: Variable | null = null;
  private count: Variable | null = null;

  constructor(options?: NormalizationConfig) {
    const o = resolveOptions<NormalizationConfig>('Normalization', [options], [], { ...layerDefaults, axis: -1, mean: null, variance: null, invert: false });
    super(o);
    const axis = o.axis === null || o.axis === undefined ? [] : typeof o.axis === 'number' ? [o.axis] : o.axis;
    const [mean, variance] = [o.mean ?? null, o.variance ?? null];
    if ((mean === null) !== (variance === null)) throw new ValueError("Normalization: give both 'mean' and 'variance', or neither");
    if (variance !== null && flat(variance).some((v) => !(v >= 0)))
      throw new ValueError(`Normalization: 'variance' must not be negative, got ${JSON.stringify(variance)}`);
    this.invert = o.invert ?? false;
    this.options = { axis, mean, variance };
    this.given = mean === null ? null : { mean: flat(mean), variance: flat(variance) };
  }
  /** The kept axes of an input, in ascending order. */
  private axes(rank: number): number[] {
    return this.options.axis
      .map((a) => {
        const at = a < 0 ? a + rank : a;
        if (!Number.isInteger(at) || at < 0 || at >= rank) throw new ValueError(`${this.name}: axis ${a} is out of range for an input of rank ${rank}`);
        return at;
      })
      .sort((a, b) => a - b);
  }
  override build(inputShape: InputShape): void {
    const shape = singleShape(inputShape, this);
    if (this.given) return;
    const dims = this.axes(shape.length).map((a) => knownDim(this, shape, a));
    this.mean = this.addWeight('mean', dims, { initializer: 'zeros', trainable: false });
    this.variance = this.addWeight('variance', dims, { initializer: 'ones', trainable: false });
    this.count = this.addWeight('count', [], { initializer: 'zeros', trainable: false, dtype: 'int32' });
  }
  override call(inputs: Tensors): Tensors {
    let x = single(inputs, this);
    if (x.dtype !== 'float32') x = ops.cast(x, 'float32');
    const axes = this.axes(x.rank);
    const shape = x.shape.map((d, a) => (axes.includes(a) ? d : 1));
    const size = axes.reduce((n, a) => n * knownDim(this, x.shape as KerasShape, a), 1);
    const statistic = (name: 'mean' | 'variance'): SymbolicTensor => {
      const v = this[name];
      if (v) return ops.reshape(v, shape, x.trace);
      const values = this.given![name];
      if (values.length !== 1 && values.length !== size)
        throw new ShapeError(
          `${this.name}: '${name}' has ${values.length} numbers, expected ${size} for an input of shape ${kerasShapeText(x.shape as KerasShape)}`,
        );
      const data = Float32Array.from({ length: size }, (_, i) => values[values.length === 1 ? 0 : i]!);
      return x.trace.tensor(x.trace.b.constant({ dtype: 'float32', shape: shape as number[], data }));
    };
    const deviation = ops.maximum(ops.sqrt(statistic('variance')), 1e-7);
    return this.invert ? ops.add(statistic('mean'), ops.multiply(x, deviation)) : ops.divide(ops.subtract(x, statistic('mean')), deviation);
  }
  /** Sets mean and variance to those of the data, whose first axis is the batch. */
  adapt(data: ArrayLikeInput): void {
    if (this.given) throw new ValueError(`${this.name}: mean and variance were given, there is nothing to adapt`);
    const t = toTensor('adapt', data);
    this.ensureBuilt([null, ...t.shape.slice(1)]);
    const axes = this.axes(t.shape.length);
    const size = this.mean!.size;
    const [sums, squares] = [new Float64Array(size), new Float64Array(size)];
    const place = placesOf(t.shape, axes);
    t.data.forEach((v, i) => {
      sums[place(i)]! += v;
    });
    const n = t.size / size;
    t.data.forEach((v, i) => {
      squares[place(i)]! += (v - sums[place(i)]! / n) ** 2;
    });
    this.mean!.assign(sums.map((s) => s / n));
    this.variance!.assign(squares.map((s) => s / n));
    this.count!.assign([n]);
  }
  override getConfig(): JsonObject {
    const { axis, mean, variance } = this.options;
    return { ...super.getConfig(), axis, invert: this.invert, mean, variance };
  }
}

/** From the index of an element to that in the axes that are kept. */
function placesOf(shape: readonly number[], axes: readonly number[]): (i: number) => number {
  const strides = shape.map((_, a) => shape.slice(a + 1).reduce((n, d) => n * d, 1));
  return (i) => axes.reduce((at, a) => at * shape[a]! + (Math.floor(i / strides[a]!) % shape[a]!), 0);
}

export interface CategoryEncodingConfig extends LayerOptions {
  /** Number of categories. */
  numTokens: number;
  /** multi_hot (the default), one_hot or count. */
  outputMode?: 'multi_hot' | 'one_hot' | 'count';
}

/**
 * Integers to rows of numTokens numbers: `one_hot` each by itself, (…, 1) or (…) to (…, numTokens); `multi_hot` 1 for each that occurs along the last axis, and `count` how often,
 * (…, n) to (…, numTokens).
 */
export class CategoryEncodingClass extends Layer {
  static override readonly className = 'CategoryEncoding';
  readonly numTokens: number;
  readonly outputMode: 'multi_hot' | 'one_hot' | 'count';
  constructor(numTokens: number | CategoryEncodingConfig, options?: Omit<CategoryEncodingConfig, 'numTokens'>) {
    const o = resolveOptions<CategoryEncodingConfig>('CategoryEncoding', [numTokens, options], ['numTokens'], { ...layerDefaults, outputMode: 'multi_hot' });
    super(o);
    this.numTokens = positiveInteger('CategoryEncoding', 'numTokens', o.numTokens);
    this.outputMode = oneOf('CategoryEncoding', 'outputMode', o.outputMode, ['multi_hot', 'one_hot', 'count']);
  }
  override call(inputs: Tensors, args: CallArguments): Tensors {
    const weights = args.countWeights instanceof SymbolicTensor ? args.countWeights : null;
    if (weights && this.outputMode !== 'count') throw new ValueError(`${this.name}: countWeights need outputMode 'count', got '${this.outputMode}'`);
    return encoded(ops.cast(single(inputs, this), 'int32'), this.numTokens, this.outputMode, weights);
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), num_tokens: this.numTokens, output_mode: this.outputMode };
  }
}

/** int32 categories as rows of numbers. */
export function encoded(ids: SymbolicTensor, tokens: number, mode: CategoryEncodingClass['outputMode'], weights: SymbolicTensor | null = null): SymbolicTensor {
  const single = mode === 'one_hot' && ids.rank > 1 && ids.shape.at(-1) === 1;
  const list = single ? ops.squeeze(ids, -1) : ids;
  const wide = ops.expandDims(list, -1);
  const hits = ops.cast(ops.equal(ops.iota(ids, [...new Array<number>(list.rank).fill(1), tokens], list.rank), wide), 'float32');
  if (mode === 'one_hot') return hits;
  if (mode === 'multi_hot') return ops.max(hits, [-2]);
  return ops.sum(weights ? ops.multiply(hits, ops.expandDims(weights, -1)) : hits, [-2]);
}

export interface DiscretizationConfig extends LayerOptions {
  /** Ascending; the first bin is below the first boundary. */
  binBoundaries?: readonly number[] | null;
  /** How many bins `adapt` makes. */
  numBins?: number | null;
  /** How exactly `adapt` finds the quantiles; default 0.01. */
  epsilon?: number;
  /** int (the default), one_hot, multi_hot or count. */
  outputMode?: 'int' | 'one_hot' | 'multi_hot' | 'count';
  sparse?: false;
}

/** The number of the bin that each value lies in: how many boundaries are at most the value. */
export class DiscretizationClass extends Layer {
  static override readonly className = 'Discretization';
  binBoundaries: readonly number[] | null;
  readonly numBins: number | null;
  readonly epsilon: number;
  readonly outputMode: 'int' | 'one_hot' | 'multi_hot' | 'count';
  constructor(options?: readonly number[] | DiscretizationConfig, more?: Omit<DiscretizationConfig, 'binBoundaries'>) {
    const args = Array.isArray(options) ? [{ ...more, binBoundaries: options }] : [options];
    const o = resolveOptions<DiscretizationConfig>('Discretization', args, [], {
      ...layerDefaults,
      binBoundaries: null,
      numBins: null,
      epsilon: 0.01,
      outputMode: 'int',
      sparse: false,
    });
    if (o.sparse) throw new UnsupportedError('Discretization: sparse outputs are not supported');
    super({ ...o, dtype: o.dtype ?? (o.outputMode === 'int' ? 'int64' : null) });
    const bins = o.binBoundaries ?? null;
    if (bins !== null && !(Array.isArray(bins) && bins.every((b, i) => typeof b === 'number' && (i === 0 || b >= (bins[i - 1] as number)))))
      throw new ValueError(`Discretization: 'binBoundaries' must be an ascending list of numbers, got ${JSON.stringify(bins)}`);
    if (bins !== null && (o.numBins ?? null) !== null) throw new ValueError("Discretization: give either 'binBoundaries' or 'numBins', not both");
    if (bins === null && o.numBins === null) throw new ValueError("Discretization: give 'binBoundaries', or 'numBins' and call adapt");
    this.binBoundaries = bins;
    this.numBins = o.numBins === null || o.numBins === undefined ? null : positiveInteger('Discretization', 'numBins', o.numBins);
    this.epsilon = finiteNumber('Discretization', 'epsilon', o.epsilon);
    this.outputMode = oneOf('Discretization', 'outputMode', o.outputMode, ['int', 'one_hot', 'multi_hot', 'count']);
  }
  private adapted = false;
  /** Sets the boundaries so that each of numBins bins holds about as many of the values, as exactly as `epsilon` says: the approximation is that of Keras. */
  adapt(data: ArrayLikeInput): void {
    const bins = this.numBins;
    if (bins === null) throw new ValueError(`${this.name}: the boundaries were given, there is nothing to adapt`);
    const t = toTensor('adapt', data);
    if (t.size === 0) throw new ValueError(`${this.name}: adapt needs data, got ${describe(data)}`);
    // Keras 2 takes batches of 32, Keras 3 all at once
    this.binBoundaries = quantiles(t.data, bins, this.epsilon, this.semantics === 'keras2' ? (32 * t.size) / t.shape[0]! : t.size, this.semantics);
    this.adapted = true;
  }
  override call(inputs: Tensors): Tensors {
    const bins = this.binBoundaries;
    if (!bins) throw new ValueError(`${this.name}: Discretization has no boundaries yet: call adapt first`);
    let x = single(inputs, this);
    if (x.dtype !== 'float32') x = ops.cast(x, 'float32');
    if (bins.length === 0) return ops.zeros(x, x.shape, 'int32');
    const limits = x.trace.tensor(x.trace.b.constant({ dtype: 'float32', shape: [bins.length], data: Float32Array.from(bins) }));
    const ids = ops.sum(ops.cast(ops.greaterEqual(ops.expandDims(x, -1), limits), 'int32'), [-1]);
    return this.outputMode === 'int' ? ids : encoded(ids, bins.length + 1, this.outputMode);
  }
  override getConfig(): JsonObject {
    // Keras counts bins in 64 bits; here they have 32
    const dtype = this.configFor === 'keras3' ? 'float32' : this.dtype === 'int32' ? 'int64' : this.dtype;
    const { trainable, ...config } = super.getConfig();
    return {
      ...config,
      ...(this.configFor === 'keras2' ? { trainable } : {}),
      dtype,
      bin_boundaries: this.binBoundaries,
      // boundaries that adapt found are written as if they had been given: Keras refuses both
      num_bins: this.adapted ? null : this.numBins,
      epsilon: this.epsilon,
      output_mode: this.outputMode,
      sparse: false,
    };
  }
}

export const Normalization = callable(NormalizationClass);
export const Discretization = callable(DiscretizationClass);
export const CategoryEncoding = callable(CategoryEncodingClass);
