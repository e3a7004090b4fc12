/** Embedding. */
import * as ops from '../backend/ops.js';
import type { KerasShape, Tensors } from '../backend/trace.js';
import type { Variable } from '../backend/variable.js';
import type { ConstraintIdentifier } from '../constraints.js';
import type { InitializerIdentifier } from '../initializers/index.js';
import type { RegularizerIdentifier } from '../regularizers.js';
import { callable } from '../utils/callable.js';
import { positiveInteger, resolveOptions } from '../utils/options.js';
import type { JsonObject } from '../utils/serialization.js';
import { type CallArguments, Layer, type LayerOptions, layerDefaults, single } from './layer.js';
import { regularizerJson, type WeightFields, weightConfig, weightFields } from './weight-fields.js';

export interface EmbeddingConfig extends LayerOptions {
  /** Number of rows: ids are 0 … inputDim - 1. */
  inputDim: number;
  /** Length of a row. */
  outputDim: number;
  embeddingsInitializer?: InitializerIdentifier;
  embeddingsRegularizer?: RegularizerIdentifier | null;
  embeddingsConstraint?: ConstraintIdentifier | null;
  /** Id 0 is padding: layers that know masks skip it. */
  maskZero?: boolean;
  /** Keras 2: number of steps, where it is fixed. */
  inputLength?: number | readonly number[] | null;
}

/** Rows of a table: ids (batch, …) to (batch, …, outputDim). embeddings (inputDim, outputDim) start uniform in ±0.05. */
export class EmbeddingClass extends Layer {
  static override readonly className = 'Embedding';
  readonly inputDim: number;
  readonly outputDim: number;
  readonly maskZero: boolean;
  readonly inputLength: EmbeddingConfig['inputLength'];
  private readonly fields: { readonly embeddings: WeightFields };
  embeddings!: Variable;

  constructor(inputDim: number | EmbeddingConfig, outputDim?: number, options?: Omit<EmbeddingConfig, 'inputDim' | 'outputDim'>) {
    const o = resolveOptions<EmbeddingConfig>('Embedding', [inputDim, outputDim, options], ['inputDim', 'outputDim'], {
      ...layerDefaults,
      embeddingsInitializer: 'uniform',
      embeddingsRegularizer: null,
      embeddingsConstraint: null,
      maskZero: false,
      inputLength: null,
    });
    const length = o.inputLength ?? null;
    const steps: KerasShape | null = length === null ? null : typeof length === 'number' ? [length] : length;
    super({ ...o, inputShape: o.inputShape ?? steps });
    this.inputDim = positiveInteger('Embedding', 'inputDim', o.inputDim);
    this.outputDim = positiveInteger('Embedding', 'outputDim', o.outputDim);
    this.maskZero = o.maskZero ?? false;
    this.inputLength = length;
    this.fields = { embeddings: weightFields(o, 'embeddings') };
  }
  override build(): void {
    this.embeddings = this.addWeight('embeddings', [this.inputDim, this.outputDim], this.fields.embeddings);
  }
  override call(inputs: Tensors): Tensors {
    const ids = ops.cast(single(inputs, this), 'int32');
    const { trace } = ids;
    trace.sparseReads.set(this.embeddings, [...(trace.sparseReads.get(this.embeddings) ?? []), ids]);
    return ops.take(this.embeddings, ids, 0);
  }
  override computeMask(inputs: Tensors): CallArguments['mask'] {
    return this.maskZero ? ops.notEqual(single(inputs, this), 0) : null;
  }
  override getConfig(): JsonObject {
    const keras2 = this.configFor === 'keras2';
    return {
      ...super.getConfig(),
      // Keras 2 gives an Embedding without one the shape of a sequence
      ...(keras2 && !this.batchInputShape ? { batch_input_shape: [null, null] } : {}),
      input_dim: this.inputDim,
      output_dim: this.outputDim,
      ...weightConfig(this.fields),
      activity_regularizer: regularizerJson(this.activityRegularizer),
      mask_zero: this.maskZero,
      ...(keras2 ? { input_length: this.inputLength as number | null } : {}),
    };
  }
}

export const Embedding = callable(EmbeddingClass);
