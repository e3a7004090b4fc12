/** Attention (Luong) and AdditiveAttention (Bahdanau): one head, the queries, values and keys as they are. */
import { type Dim, isStatic } from '../../../../ir/dim.js';
import { ShapeError, ValueError } from '../../../../ir/errors.js';
import * as activations from '../../activations.js';
import * as ops from '../../backend/ops.js';
import { type KerasShape, kerasShape, kerasShapeText, listOf, type SymbolicTensor, type Tensors } from '../../backend/trace.js';
import type { Variable } from '../../backend/variable.js';
import { callable } from '../../utils/callable.js';
import { oneOf, resolveOptions } from '../../utils/options.js';
import type { JsonObject } from '../../utils/serialization.js';
import { maskedScores } from '../activation-layers.js';
import { dropout } from '../core.js';
import { type CallArguments, type InputShape, Layer, type LayerOptions, layerDefaults } from '../layer.js';
import { causalMask } from './masks.js';

interface DotAttentionOptions extends LayerOptions {
  /** Fraction of the weights to drop; default 0. */
  dropout?: number;
  useScale?: boolean;
  seed?: number | null;
  /** Keras 2: as the call argument useCausalMask. */
  causal?: boolean;
}

type Mask = SymbolicTensor | null;

/** softmax(scores(query, key)) · value. Inputs [query (b, q, d), value (b, v, e), key (b, v, d)], the key defaults to the value; output (b, q, e). */
abstract class DotAttention extends Layer {
  readonly dropout: number;
  readonly useScale: boolean;
  readonly seed: number | null;
  readonly causal: boolean;
  scale: Variable | null = null;
  constructor(o: DotAttentionOptions) {
    super(o);
    this.dropout = o.dropout ?? 0;
    if (!(this.dropout >= 0 && this.dropout < 1)) throw new ValueError(`${this.className}: 'dropout' must be at least 0 and below 1, got ${this.dropout}`);
    this.useScale = o.useScale ?? false;
    this.seed = o.seed ?? null;
    this.causal = o.causal ?? false;
    this.supportsMasking = true;
  }
  protected abstract scores(query: SymbolicTensor, key: SymbolicTensor): SymbolicTensor;
  protected dotConfig(): JsonObject {
    return { ...super.getConfig(), dropout: this.dropout, use_scale: this.useScale, ...(this.configFor === 'keras3' ? { seed: this.seed } : {}) };
  }

  override call(inputs: Tensors, args: CallArguments): Tensors {
    const [query, value, key] = this.three(listOf(inputs));
    const scores = this.scores(query, key);
    const [queryMask, valueMask] = Array.isArray(args.mask) ? (args.mask as readonly Mask[]) : [];
    const causal = this.causal || args.useCausalMask ? causalMask(query, query.shape[1]!, value.shape[1]!) : null;
    const padding = valueMask ? ops.expandDims(valueMask, 1) : null;
    const mask = padding && causal ? ops.logicalAnd(padding, causal) : (padding ?? causal);
    let weights = activations.softmax(mask ? maskedScores(scores, mask) : scores);
    if (args.training && this.dropout > 0) weights = dropout(weights, this.dropout, this.name, this.seed);
    let result = ops.dot(weights, value, { batchLeft: [0], batchRight: [0], contractLeft: [2], contractRight: [1] });
    if (queryMask) result = ops.multiply(result, ops.cast(ops.expandDims(queryMask, 2), 'float32'));
    return args.returnAttentionScores ? [result, weights] : result;
  }
  private three(list: readonly SymbolicTensor[]): [SymbolicTensor, SymbolicTensor, SymbolicTensor] {
    if (list.length !== 2 && list.length !== 3)
      throw new ValueError(`${this.name}: ${this.className} takes [query, value] or [query, value, key], got ${list.length} inputs`);
    const bad = list.find((x) => x.rank !== 3);
    if (bad) throw new ShapeError(`${this.name}: ${this.className} expects inputs of rank 3 (batch, steps, features), got ${bad}`);
    const [query, value, key] = [list[0]!, list[1]!, list[2] ?? list[1]!];
    const text = (x: SymbolicTensor) => kerasShapeText(kerasShape(x.shape));
    const differ = (a: Dim, b: Dim) => isStatic(a) && isStatic(b) && a !== b && !(this.broadcasts && (a === 1 || b === 1));
    if (differ(query.shape[2]!, key.shape[2]!))
      throw new ShapeError(`${this.name}: query and key must have the same number of features, got shapes ${text(query)} and ${text(key)}`);
    if (isStatic(key.shape[1]!) && isStatic(value.shape[1]!) && key.shape[1] !== value.shape[1])
      throw new ShapeError(`${this.name}: value and key must have the same number of steps, got shapes ${text(value)} and ${text(key)}`);
    return [query, value, key];
  }
  /** Whether one feature of the query or of the key meets all of the other. */
  protected get broadcasts(): boolean {
    return true;
  }
  override computeMask(_inputs: Tensors, mask: CallArguments['mask'], outputs: Tensors): CallArguments['mask'] {
    const own = Array.isArray(mask) ? ((mask as readonly Mask[])[0] ?? null) : null;
    return listOf(outputs).length > 1 ? [own, null] : own;
  }
}

/** The shapes of the inputs. */
function shapesOf(layer: Layer, inputShape: InputShape): readonly KerasShape[] {
  if (!Array.isArray(inputShape[0])) throw new ValueError(`${layer.name}: ${layer.className} takes a list of inputs, got one`);
  return inputShape as readonly KerasShape[];
}

export interface AttentionConfig extends DotAttentionOptions {
  /** `dot` (the default), or `concat`: the sum of tanh(query + key), with a weight. */
  scoreMode?: 'dot' | 'concat';
}

/** Dot-product attention: query · key, times a trained scalar with useScale. */
export class AttentionClass extends DotAttention {
  static override readonly className = 'Attention';
  readonly scoreMode: 'dot' | 'concat';
  concatScoreWeight: Variable | null = null;
  constructor(options?: AttentionConfig) {
    const o = resolveOptions<AttentionConfig>('Attention', [options], [], {
      ...layerDefaults,
      dropout: 0,
      useScale: false,
      seed: null,
      causal: false,
      scoreMode: 'dot',
    });
    super(o);
    this.scoreMode = oneOf('Attention', 'scoreMode', o.scoreMode, ['dot', 'concat']);
  }
  override build(inputShape: InputShape): void {
    shapesOf(this, inputShape);
    if (this.useScale) this.scale = this.addWeight('scale', [], { initializer: 'ones' });
    if (this.scoreMode === 'concat') this.concatScoreWeight = this.addWeight('concat_score_weight', [], { initializer: 'ones' });
  }
  protected override get broadcasts(): boolean {
    return this.scoreMode === 'concat';
  }
  protected scores(query: SymbolicTensor, key: SymbolicTensor): SymbolicTensor {
    if (this.concatScoreWeight) {
      const both = ops.add(ops.expandDims(query, 2), ops.expandDims(key, 1));
      return ops.multiply(ops.sum(ops.tanh(this.scale ? ops.multiply(both, this.scale) : both), [-1]), this.concatScoreWeight);
    }
    const products = ops.dot(query, key, { batchLeft: [0], batchRight: [0], contractLeft: [2], contractRight: [2] });
    return this.scale ? ops.multiply(products, this.scale) : products;
  }
  override getConfig(): JsonObject {
    return { ...this.dotConfig(), score_mode: this.scoreMode };
  }
}

export type AdditiveAttentionConfig = DotAttentionOptions;

/** Additive attention: the sum of scale · tanh(query + key) over the features; useScale is true by default. */
export class AdditiveAttentionClass extends DotAttention {
  static override readonly className = 'AdditiveAttention';
  constructor(options?: AdditiveAttentionConfig) {
    super(
      resolveOptions<AdditiveAttentionConfig>('AdditiveAttention', [options], [], { ...layerDefaults, dropout: 0, useScale: true, seed: null, causal: false }),
    );
  }
  override build(inputShape: InputShape): void {
    // Keras 2 counts the features of the value
    const features = shapesOf(this, inputShape)[this.semantics === 'keras2' ? 1 : 0]!.at(-1);
    if (!this.useScale) return;
    if (typeof features !== 'number')
      throw new ShapeError(`${this.name}: the number of features must be known, got shapes ${shapesOf(this, inputShape).map(kerasShapeText).join(', ')}`);
    this.scale = this.addWeight('scale', [features], { initializer: 'glorot_uniform' });
  }
  protected scores(query: SymbolicTensor, key: SymbolicTensor): SymbolicTensor {
    const sums = ops.tanh(ops.add(ops.expandDims(query, 2), ops.expandDims(key, 1)));
    return ops.sum(this.scale ? ops.multiply(sums, this.scale) : sums, [-1]);
  }
  override getConfig(): JsonObject {
    return this.dotConfig();
  }
}

export const Attention = callable(AttentionClass);
export const AdditiveAttention = callable(AdditiveAttentionClass);
