/** MultiHeadAttention and GroupQueryAttention: projections to heads, softmax(query · key) · value for each head, a projection back. */
import { type Dim, mulDim } from '../../../../ir/dim.js';
import { ShapeError, ValueError } from '../../../../ir/errors.js';
import * as ops from '../../backend/ops.js';
import { type KerasShape, kerasShapeText, listOf, SymbolicTensor, type Tensors } from '../../backend/trace.js';
import type { Variable } from '../../backend/variable.js';
import type { ConstraintIdentifier } from '../../constraints.js';
import type { InitializerIdentifier } from '../../initializers/index.js';
import type { RegularizerIdentifier } from '../../regularizers.js';
import { callable } from '../../utils/callable.js';
import { positiveInteger, resolveOptions } from '../../utils/options.js';
import type { Json, JsonObject } from '../../utils/serialization.js';
import { type Masking, maskedSoftmax, maskingOf } from '../activation-layers.js';
import { dropout } from '../core.js';
import { type CallArguments, type InputShape, Layer, type LayerData, type LayerOptions, layerDefaults } from '../layer.js';
import type { KerasTensor } from '../node.js';
import { regularizerJson, type WeightFields, weightConfig, weightFields } from '../weight-fields.js';
import { both, causalMask, windowMask } from './masks.js';

interface HeadsOptions extends LayerOptions {
  /** Fraction of the weights to drop; default 0. */
  dropout?: number;
  useBias?: boolean;
  seed?: number | null;
  kernelInitializer?: InitializerIdentifier;
  biasInitializer?: InitializerIdentifier;
  kernelRegularizer?: RegularizerIdentifier | null;
  biasRegularizer?: RegularizerIdentifier | null;
  kernelConstraint?: ConstraintIdentifier | null;
  biasConstraint?: ConstraintIdentifier | null;
  /** Keras 3: what each head gives is multiplied by sigmoid(query · gate/kernel + gate/bias). Default false. */
  useGate?: boolean;
  /** Keras 3: each query looks at keys less than so many steps away. Default null, at all. */
  slidingWindow?: number | null;
  /** Keras 3: which kernel computes it; has no effect. */
  flashAttention?: boolean | null;
}

const headsDefaults = {
  ...layerDefaults,
  dropout: 0,
  useBias: true,
  seed: null,
  kernelInitializer: 'glorot_uniform',
  biasInitializer: 'zeros',
  kernelRegularizer: null,
  biasRegularizer: null,
  kernelConstraint: null,
  biasConstraint: null,
  useGate: false,
  slidingWindow: null,
  flashAttention: null,
} as const;

/** One of the projections. */
interface Projection {
  readonly kernel: Variable;
  readonly bias: Variable | null;
}

/** What both layers have in common. Inputs [query, value, key]; the key defaults to the value. */
abstract class HeadsAttention extends Layer {
  protected robustMasking = false;
  readonly dropout: number;
  readonly useBias: boolean;
  readonly seed: number | null;
  protected readonly fields: { readonly kernel: WeightFields; readonly bias: WeightFields };
  protected readonly useGate: boolean;
  protected readonly slidingWindow: number | null;
  protected projections!: {
    readonly query: Projection;
    readonly key: Projection;
    readonly gate?: Projection;
    readonly value: Projection;
    readonly output: Projection;
  };
  constructor(o: HeadsOptions) {
    super(o);
    const what = this.className;
    this.dropout = o.dropout ?? 0;
    if (!(this.dropout >= 0 && this.dropout < 1)) throw new ValueError(`${what}: 'dropout' must be at least 0 and below 1, got ${this.dropout}`);
    this.useGate = o.useGate ?? false;
    this.slidingWindow = o.slidingWindow === null || o.slidingWindow === undefined ? null : positiveInteger(what, 'slidingWindow', o.slidingWindow);
    this.useBias = o.useBias ?? true;
    this.seed = o.seed ?? null;
    this.fields = { kernel: weightFields(o, 'kernel'), bias: weightFields(o, 'bias') };
    this.supportsMasking = true;
  }
  override get trackedWeights(): Readonly<Record<string, readonly Variable[]>> {
    if (!this.built) return {};
    const entries = Object.entries(this.projections).map(([name, p]) => [`_${name}_dense`, p.bias ? [p.kernel, p.bias] : [p.kernel]]);
    return Object.fromEntries(entries) as Record<string, Variable[]>;
  }
  /** Weights `name/kernel` (…inputs, …outputs) and `name/bias` (…outputs). */
  protected projection(name: string, inputs: readonly number[], outputs: readonly number[]): Projection {
    const kernel = this.addWeight(`${name}/kernel`, [...inputs, ...outputs], this.fields.kernel);
    return { kernel, bias: this.useBias ? this.addWeight(`${name}/bias`, outputs, this.fields.bias) : null };
  }
  /** The product over the last `axes` axes of the input. */
  protected project(x: SymbolicTensor, p: Projection, axes = 1): SymbolicTensor {
    const contract = Array.from({ length: axes }, (_, i) => i);
    const product = ops.dot(x, p.kernel, { batchLeft: [], batchRight: [], contractLeft: contract.map((i) => x.rank - axes + i), contractRight: contract });
    const y = p.bias ? ops.add(product, p.bias) : product;
    return p === this.projections.gate ? ops.sigmoid(y) : y;
  }
  /** A projection that Keras 3 keeps as a layer with the same activity regularizer. */
  protected regularized(y: SymbolicTensor): SymbolicTensor {
    if (this.semantics === 'keras3' && this.activityRegularizer) y.trace.losses.push(ops.divide(this.activityRegularizer.call(y), ops.size(y, y.shape[0]!)));
    return y;
  }
  /** Keras 3 regularizes what the projections give, and the result as the last of them. */
  override compute(inputs: Tensors, args: CallArguments = {}): Tensors {
    return this.semantics === 'keras3' ? super.computeWithin(inputs, args) : super.compute(inputs, args);
  }
  override get inputNames(): readonly string[] {
    return ['value', 'key'];
  }
  /** `layer([query, value, key])`, or `layer(query, { value, key })`. */
  override apply(inputs: LayerData, args: CallArguments = {}): LayerData {
    const { value, key, ...rest } = args;
    if (!value) return super.apply(inputs, rest);
    const query = (Array.isArray(inputs) ? inputs : [inputs]) as readonly KerasTensor[];
    return super.apply([...query, value as KerasTensor, ...(key ? [key as KerasTensor] : [])], rest);
  }
  protected three<T>(list: readonly T[]): readonly [T, T, T] {
    if (list.length !== 2 && list.length !== 3)
      throw new ValueError(`${this.name}: ${this.className} takes [query, value] or [query, value, key], got ${list.length} inputs`);
    return [list[0]!, list[1]!, list[2] ?? list[1]!];
  }
  protected shapes(inputShape: InputShape): readonly [KerasShape, KerasShape, KerasShape] {
    if (!Array.isArray(inputShape[0])) throw new ValueError(`${this.name}: ${this.className} takes a list of inputs, got one`);
    return this.three(inputShape as readonly KerasShape[]);
  }
  protected features(shape: KerasShape): number {
    const n = shape.at(-1);
    if (typeof n !== 'number') throw new ShapeError(`${this.name}: the number of features must be known, got shape ${kerasShapeText(shape)}`);
    return n;
  }

  /** softmax(query · key / sqrt(size)) over the last axis and its product with the values; the operands are (…batch, steps, size). */
  protected attend(
    query: SymbolicTensor,
    key: SymbolicTensor,
    value: SymbolicTensor,
    mask: SymbolicTensor | null,
    training: boolean,
    masking: Masking,
  ): { result: SymbolicTensor; weights: SymbolicTensor } {
    const rank = query.rank;
    const batch = Array.from({ length: rank - 2 }, (_, i) => i);
    const scaled = ops.multiply(query, 1 / Math.sqrt(query.shape[rank - 1] as number));
    const scores = ops.dot(scaled, key, { batchLeft: batch, batchRight: batch, contractLeft: [rank - 1], contractRight: [rank - 1] });
    const weights = maskedSoftmax(scores, mask, masking);
    const dropped = training && this.dropout > 0 ? dropout(weights, this.dropout, this.name, this.seed) : weights;
    const result = ops.dot(dropped, value, { batchLeft: batch, batchRight: batch, contractLeft: [rank - 1], contractRight: [rank - 2] });
    return { result, weights };
  }

  /**
   * Keras 3 has a fused kernel for inputs of rank 3 without dropout, unless the weights are asked for: rows without a key that may be looked at are then even, and 0 otherwise.
   */
  protected masking(query: SymbolicTensor, args: CallArguments): Masking {
    const fused = this.dropout === 0 && !args.returnAttentionScores && query.rank === 3;
    return fused && this.semantics === 'keras3' ? 'replace' : maskingOf(this.semantics, this.robustMasking);
  }

  /** Which keys each query may look at, (batch, queries, keys) or with 1 for an axis: from the argument, the inputs' masks and causality. */
  protected allowed(inputs: readonly [SymbolicTensor, SymbolicTensor, SymbolicTensor], args: CallArguments, hasKey: boolean): SymbolicTensor | null {
    const [query, value, key] = inputs;
    const [q, v, k] = Array.isArray(args.mask) ? (args.mask as readonly (SymbolicTensor | null)[]) : [query.mask, value.mask, key.mask];
    let mask: SymbolicTensor | null = null;
    if (q) mask = both(mask, ops.expandDims(q, 2));
    if (v) mask = both(mask, ops.expandDims(v, 1));
    if (k && hasKey) mask = both(mask, ops.expandDims(k, 1));
    if (this.slidingWindow !== null) mask = both(mask, windowMask(query, query.shape[1]!, value.shape[1]!, this.slidingWindow));
    if (args.useCausalMask) mask = both(mask, causalMask(query, query.shape[1]!, value.shape[1]!));
    const given = args.attentionMask;
    if (given instanceof SymbolicTensor) mask = both(given.dtype === 'bool' ? given : ops.notEqual(given, 0), mask);
    return mask;
  }
  override computeMask(_inputs: Tensors, mask: CallArguments['mask'], outputs: Tensors): CallArguments['mask'] {
    const own = Array.isArray(mask) ? ((mask as readonly (SymbolicTensor | null)[])[0] ?? null) : null;
    return listOf(outputs).length > 1 ? [own, null] : own;
  }
  protected headsConfig(): JsonObject {
    const keras3 = this.semantics === 'keras3';
    return {
      dropout: this.dropout,
      use_bias: this.useBias,
      ...weightConfig(this.fields),
      activity_regularizer: regularizerJson(this.activityRegularizer),
      ...(keras3 ? { use_gate: this.useGate, sliding_window: this.slidingWindow, seed: this.seed as Json } : {}),
    };
  }
}

export interface MultiHeadAttentionConfig extends HeadsOptions {
  numHeads: number;
  /** Size of each head for query and key. */
  keyDim: number;
  /** Size of each head for the value; default keyDim. */
  valueDim?: number | null;
  /** Features of the output; default those of the query. */
  outputShape?: number | readonly number[] | null;
  /** The axes that attention runs over; default: all but the batch and the features. */
  attentionAxes?: number | readonly number[] | null;
  /** As Keras 2 writes them; the inputs tell. */
  queryShape?: KerasShape | null;
  valueShape?: KerasShape | null;
  keyShape?: KerasShape | null;
  /** Keras 2: masked scores are replaced, not lowered. */
  softmaxRobustMasking?: boolean;
}

/**
 * Inputs [query (b, …q, d), value (b, …v, e), key (b, …v, f)]; output (b, …q, outputShape or d); with returnAttentionScores also the weights (b, heads, …q, …v).
 * Weights query/kernel (d, heads, keyDim), key/kernel, value/kernel (e, heads, valueDim), attention_output/kernel (heads, valueDim, out), and biases.
 */
export class MultiHeadAttentionClass extends HeadsAttention {
  static override readonly className = 'MultiHeadAttention';
  readonly numHeads: number;
  readonly keyDim: number;
  readonly valueDim: number;
  readonly outputShape: number | readonly number[] | null;
  private attentionAxes: readonly number[] | null;
  private inputShapes: readonly [KerasShape, KerasShape, KerasShape] | null = null;

  constructor(numHeads: number | MultiHeadAttentionConfig, keyDim?: number, options?: Omit<MultiHeadAttentionConfig, 'numHeads' | 'keyDim'>) {
    const o = resolveOptions<MultiHeadAttentionConfig>('MultiHeadAttention', [numHeads, keyDim, options], ['numHeads', 'keyDim'], {
      ...headsDefaults,
      valueDim: null,
      outputShape: null,
      attentionAxes: null,
      queryShape: null,
      valueShape: null,
      keyShape: null,
      softmaxRobustMasking: false,
    });
    super(o);
    this.numHeads = positiveInteger('MultiHeadAttention', 'numHeads', o.numHeads);
    this.keyDim = positiveInteger('MultiHeadAttention', 'keyDim', o.keyDim);
    this.valueDim = positiveInteger('MultiHeadAttention', 'valueDim', o.valueDim ?? o.keyDim);
    this.outputShape = o.outputShape ?? null;
    const axes = o.attentionAxes ?? null;
    this.attentionAxes = axes === null ? null : typeof axes === 'number' ? [axes] : axes;
    this.robustMasking = o.softmaxRobustMasking ?? false;
  }
  override build(inputShape: InputShape): void {
    const [query, value, key] = this.shapes(inputShape);
    if (query.length < 3)
      throw new ShapeError(`${this.name}: ${this.className} expects inputs of rank 3 or more (batch, steps, features), got shape ${kerasShapeText(query)}`);
    this.inputShapes = [query, value, key];
    const axes = this.attentionAxes ?? Array.from({ length: query.length - 2 }, (_, i) => i + 1);
    this.attentionAxes = axes.map((a) => (a < 0 ? a + query.length : a));
    const bad = this.attentionAxes.find((a) => !Number.isInteger(a) || a < 1 || a >= query.length - 1);
    if (bad !== undefined) throw new ShapeError(`${this.name}: attention axis ${bad} is out of range for a query of shape ${kerasShapeText(query)}`);
    const apart = [...this.attentionAxes].find((a) => typeof value[a] === 'number' && typeof key[a] === 'number' && value[a] !== key[a]);
    if (apart !== undefined)
      throw new ShapeError(`${this.name}: value and key must have the same number of steps, got shapes ${kerasShapeText(value)} and ${kerasShapeText(key)}`);
    const outputs = this.outputShape === null ? [this.features(query)] : typeof this.outputShape === 'number' ? [this.outputShape] : this.outputShape;
    const { numHeads, keyDim, valueDim } = this;
    this.projections = {
      query: this.projection('query', [this.features(query)], [numHeads, keyDim]),
      key: this.projection('key', [this.features(key)], [numHeads, keyDim]),
      ...(this.useGate ? { gate: this.projection('gate', [this.features(query)], [numHeads, valueDim]) } : {}),
      value: this.projection('value', [this.features(value)], [numHeads, valueDim]),
      output: this.projection('attention_output', [numHeads, valueDim], outputs),
    };
  }
  override call(inputs: Tensors, args: CallArguments): Tensors {
    const list = listOf(inputs);
    const [query, value, key] = this.three(list);
    const axes = this.attentionAxes!;
    const p = this.projections;
    const others = Array.from({ length: query.rank - 1 }, (_, i) => i).filter((a) => !axes.includes(a));
    const heads = query.rank - 1;
    // (batch, …, heads, steps, size), the attention axes as one
    const arranged = (x: SymbolicTensor): SymbolicTensor => {
      const moved = ops.transpose(x, [...others, heads, ...axes, heads + 1]);
      const steps = axes.map((a) => x.shape[a]!).reduce<Dim>(mulDim, 1);
      return axes.length === 1 ? moved : ops.reshape(moved, [...moved.shape.slice(0, others.length + 1), steps, x.shape[heads + 1]!]);
    };
    const part = (x: SymbolicTensor, by: Projection): SymbolicTensor => this.regularized(this.project(x, by));
    const gate = p.gate && part(query, p.gate);
    const [q, k, v] = [arranged(part(query, p.query)), arranged(part(key, p.key)), arranged(part(value, p.value))];
    const allowed = this.allowed([query, value, key], args, list.length > 2);
    const mask = allowed && this.fitted(allowed, query.rank, q, k);
    const { result, weights } = this.attend(q, k, v, mask, args.training ?? false, this.masking(query, args));
    const sizes = axes.map((a) => query.shape[a]!);
    const split = axes.length === 1 ? result : ops.reshape(result, [...result.shape.slice(0, others.length + 1), ...sizes, this.valueDim]);
    // back to (batch, …space, heads, size)
    const from = [...others, heads, ...axes, heads + 1];
    const heads4 = ops.transpose(
      split,
      from.map((_, i) => from.indexOf(i)),
    );
    const y = this.regularized(this.project(gate ? ops.multiply(heads4, gate) : heads4, p.output, 2));
    if (!args.returnAttentionScores) return y;
    const shape = [...weights.shape.slice(0, others.length + 1), ...sizes, ...axes.map((a) => key.shape[a]!)];
    return [y, ops.reshape(weights, shape)];
  }
  /** A mask (batch, …, …queries, …keys) in the rank of the scores (batch, …, heads, queries, keys). */
  private fitted(mask: SymbolicTensor, rank: number, q: SymbolicTensor, k: SymbolicTensor): SymbolicTensor {
    const n = this.attentionAxes!.length;
    const front = mask.shape.slice(0, mask.rank - 2 * n);
    const ones = new Array<number>(Math.max(rank - 1 - n + 1 - front.length, 0)).fill(1);
    const steps = (from: number, like: SymbolicTensor): Dim => (mask.shape.slice(from, from + n).every((d) => d === 1) ? 1 : like.shape[like.rank - 2]!);
    return ops.reshape(mask, [...front, ...ones, steps(mask.rank - 2 * n, q), steps(mask.rank - n, k)]);
  }
  override getConfig(): JsonObject {
    const shapes = this.inputShapes;
    return {
      ...super.getConfig(),
      num_heads: this.numHeads,
      key_dim: this.keyDim,
      value_dim: this.valueDim,
      output_shape: this.outputShape as Json,
      attention_axes: this.attentionAxes as Json,
      ...this.headsConfig(),
      ...(this.configFor === 'keras2'
        ? {
            query_shape: (shapes?.[0] ?? null) as Json,
            key_shape: (shapes?.[2] ?? null) as Json,
            value_shape: (shapes?.[1] ?? null) as Json,
            softmax_robust_masking: this.robustMasking,
          }
        : {}),
    };
  }
}

export interface GroupQueryAttentionConfig extends HeadsOptions {
  headDim: number;
  numQueryHeads: number;
  /** A divisor of numQueryHeads: each key head serves several query heads. */
  numKeyValueHeads: number;
}

/** Attention whose query heads share key and value heads (Keras 3's GroupedQueryAttention). Inputs and outputs as MultiHeadAttention over one axis. */
export class GroupQueryAttentionClass extends HeadsAttention {
  static override readonly className = 'GroupQueryAttention';
  readonly headDim: number;
  readonly numQueryHeads: number;
  readonly numKeyValueHeads: number;
  constructor(
    headDim: number | GroupQueryAttentionConfig,
    numQueryHeads?: number,
    numKeyValueHeads?: number,
    options?: Omit<GroupQueryAttentionConfig, 'headDim' | 'numQueryHeads' | 'numKeyValueHeads'>,
  ) {
    const required = ['headDim', 'numQueryHeads', 'numKeyValueHeads'] as const;
    const o = resolveOptions<GroupQueryAttentionConfig>('GroupQueryAttention', [headDim, numQueryHeads, numKeyValueHeads, options], required, headsDefaults);
    super(o);
    this.headDim = positiveInteger('GroupQueryAttention', 'headDim', o.headDim);
    this.numQueryHeads = positiveInteger('GroupQueryAttention', 'numQueryHeads', o.numQueryHeads);
    this.numKeyValueHeads = positiveInteger('GroupQueryAttention', 'numKeyValueHeads', o.numKeyValueHeads);
    if (this.numQueryHeads % this.numKeyValueHeads !== 0)
      throw new ValueError(`GroupQueryAttention: 'numQueryHeads' (${this.numQueryHeads}) must be a multiple of 'numKeyValueHeads' (${this.numKeyValueHeads})`);
  }
  override build(inputShape: InputShape): void {
    const shapes = this.shapes(inputShape);
    const bad = shapes.find((s) => s.length !== 3);
    if (bad) throw new ShapeError(`${this.name}: GroupQueryAttention expects inputs of rank 3 (batch, steps, features), got shape ${kerasShapeText(bad)}`);
    if (typeof shapes[1]![1] === 'number' && typeof shapes[2]![1] === 'number' && shapes[1]![1] !== shapes[2]![1])
      throw new ShapeError(
        `${this.name}: value and key must have the same number of steps, got shapes ${kerasShapeText(shapes[1]!)} and ${kerasShapeText(shapes[2]!)}`,
      );
    const [query, value, key] = shapes.map((s) => this.features(s)) as [number, number, number];
    const { headDim, numQueryHeads, numKeyValueHeads } = this;
    this.projections = {
      query: this.projection('query', [query], [numQueryHeads, headDim]),
      key: this.projection('key', [key], [numKeyValueHeads, headDim]),
      ...(this.useGate ? { gate: this.projection('gate', [query], [numQueryHeads, headDim]) } : {}),
      value: this.projection('value', [value], [numKeyValueHeads, headDim]),
      output: this.projection('attention_output', [numQueryHeads, headDim], [query]),
    };
  }
  override call(inputs: Tensors, args: CallArguments): Tensors {
    const list = listOf(inputs);
    const three = this.three(list);
    const [query, value, key] = three;
    const p = this.projections;
    const repeats = this.numQueryHeads / this.numKeyValueHeads;
    const [batch, steps] = query.shape as readonly [Dim, Dim];
    // (batch, key heads, query heads of each, steps, size)
    const gate = p.gate && this.regularized(this.project(query, p.gate));
    const q = ops.transpose(
      ops.reshape(this.regularized(this.project(query, p.query)), [batch, steps, this.numKeyValueHeads, repeats, this.headDim]),
      [0, 2, 3, 1, 4],
    );
    const shared = (x: SymbolicTensor, by: Projection): SymbolicTensor => {
      const y = ops.expandDims(ops.transpose(this.regularized(this.project(x, by)), [0, 2, 1, 3]), 2);
      return ops.broadcastTo(y, [y.shape[0]!, this.numKeyValueHeads, repeats, y.shape[3]!, this.headDim]);
    };
    const allowed = this.allowed(three, args, list.length > 2);
    const mask = allowed && this.byHead(allowed, repeats);
    const { result, weights } = this.attend(q, shared(key, p.key), shared(value, p.value), mask, args.training ?? false, this.masking(query, args));
    const merged = ops.reshape(ops.transpose(result, [0, 3, 1, 2, 4]), [batch, steps, this.numQueryHeads, this.headDim]);
    const y = this.regularized(this.project(gate ? ops.multiply(merged, gate) : merged, p.output, 2));
    return args.returnAttentionScores ? [y, ops.reshape(weights, [batch, this.numQueryHeads, ...weights.shape.slice(3)])] : y;
  }
  /** A mask (batch, queries, keys), or (batch, query heads, queries, keys), for scores (batch, key heads, query heads of each, queries, keys). */
  private byHead(mask: SymbolicTensor, repeats: number): SymbolicTensor {
    const [batch, heads] = mask.shape as readonly [Dim, Dim];
    const steps = mask.shape.slice(-2);
    if (mask.rank === 3 || heads === 1) return ops.reshape(mask, [batch, 1, 1, ...steps]);
    return ops.reshape(mask, [batch, this.numKeyValueHeads, repeats, ...steps]);
  }
  override getConfig(): JsonObject {
    return {
      ...super.getConfig(),
      head_dim: this.headDim,
      num_query_heads: this.numQueryHeads,
      num_key_value_heads: this.numKeyValueHeads,
      ...this.headsConfig(),
    };
  }
}

export const MultiHeadAttention = callable(MultiHeadAttentionClass);
export const GroupQueryAttention = callable(GroupQueryAttentionClass);
export { GroupQueryAttention as GroupedQueryAttention };
