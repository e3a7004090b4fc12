/** EinsumDense: a dense layer whose product is an Einstein sum. */
import { ShapeError, ValueError } from '../../../ir/errors.js';
import * as activations from '../activations.js';
import { einsum, letterSizes, parseEquation } from '../backend/einsum.js';
import * as ops from '../backend/ops.js';
import type { KerasDim, Tensors } from '../backend/trace.js';
import type { Variable } from '../backend/variable.js';
import type { ConstraintIdentifier } from '../constraints.js';
import type { InitializerIdentifier } from '../initializers/index.js';
import type { RegularizerIdentifier } from '../regularizers.js';
import { callable } from '../utils/callable.js';
import { describe, resolveOptions } from '../utils/options.js';
import type { Json, JsonObject } from '../utils/serialization.js';
import { type InputShape, Layer, type LayerOptions, layerDefaults, single, singleShape } from './layer.js';
import { regularizerJson, type WeightFields, weightConfig, weightFields } from './weight-fields.js';

export interface EinsumDenseConfig extends LayerOptions {
  /** Input, kernel and output, such as `abc,cd->abd` or `...x,xy->...y`. */
  equation: string;
  /** Shape of the output without the batch axis; null where it follows from the input. */
  outputShape: KerasDim | readonly KerasDim[];
  activation?: activations.ActivationIdentifier | null;
  /** Letters of the output that the bias has; default: no bias. */
  biasAxes?: string | null;
  kernelInitializer?: InitializerIdentifier;
  biasInitializer?: InitializerIdentifier;
  kernelRegularizer?: RegularizerIdentifier | null;
  biasRegularizer?: RegularizerIdentifier | null;
  kernelConstraint?: ConstraintIdentifier | null;
  biasConstraint?: ConstraintIdentifier | null;
}

/** activation(einsum(equation, x, kernel) + bias). */
export class EinsumDenseClass extends Layer {
  static override readonly className = 'EinsumDense';
  readonly equation: string;
  readonly outputShape: readonly KerasDim[];
  readonly activation: activations.Activation;
  readonly biasAxes: string | null;
  private readonly fields: { readonly kernel: WeightFields; readonly bias: WeightFields };
  kernel!: Variable;
  bias: Variable | null = null;

  constructor(
    equation: string | EinsumDenseConfig,
    outputShape?: EinsumDenseConfig['outputShape'],
    options?: Omit<EinsumDenseConfig, 'equation' | 'outputShape'>,
  ) {
    const o = resolveOptions<EinsumDenseConfig>('EinsumDense', [equation, outputShape, options], ['equation', 'outputShape'], {
      ...layerDefaults,
      activation: null,
      biasAxes: null,
      kernelInitializer: 'glorot_uniform',
      biasInitializer: 'zeros',
      kernelRegularizer: null,
      biasRegularizer: null,
      kernelConstraint: null,
      biasConstraint: null,
    });
    super(o);
    this.equation = o.equation;
    this.outputShape = typeof o.outputShape === 'number' || o.outputShape === null ? [o.outputShape] : o.outputShape;
    if (!Array.isArray(this.outputShape) || !this.outputShape.every((d) => d === null || (Number.isInteger(d) && d > 0)))
      throw new ValueError(`EinsumDense: 'outputShape' must be a positive integer or a list of them (null: of the input), got ${describe(o.outputShape)}`);
    this.activation = activations.get(o.activation, this.semantics);
    this.biasAxes = o.biasAxes || null;
    this.fields = { kernel: weightFields(o, 'kernel'), bias: weightFields(o, 'bias') };
  }
  override build(inputShape: InputShape): void {
    const shape = singleShape(inputShape, this);
    const e = parseEquation(this.equation, shape.length);
    const input = letterSizes(e.left, shape);
    if (this.outputShape.length + 1 > e.output.length || (!this.equation.includes('...') && this.outputShape.length + 1 !== e.output.length))
      throw new ShapeError(`${this.name}: outputShape [${this.outputShape.join(', ')}] does not fit the output of '${this.equation}'`);
    // outputShape counts from the end where the equation hides axes
    const output = letterSizes(e.output.slice(e.output.length - this.outputShape.length), this.outputShape);
    const size = (c: string): number => {
      const n = e.left.includes(c) ? input.get(c) : output.get(c);
      if (typeof n !== 'number') throw new ShapeError(`${this.name}: the size of '${c}' in '${this.equation}' must be known`);
      const wanted = output.get(c);
      if (typeof wanted === 'number' && wanted !== n)
        throw new ShapeError(`${this.name}: '${c}' in '${this.equation}' is ${n} in the input and ${wanted} in outputShape`);
      return n;
    };
    this.kernel = this.addWeight('kernel', e.right.map(size), this.fields.kernel);
    if (!this.biasAxes) return;
    const axes = [...this.biasAxes];
    const strange = axes.find((c) => !e.output.includes(c));
    if (strange !== undefined) throw new ValueError(`${this.name}: the bias axis '${strange}' is not in the output of '${this.equation}'`);
    const from = Math.min(...axes.map((c) => e.output.indexOf(c)));
    this.bias = this.addWeight(
      'bias',
      e.output.slice(from).map((c) => (axes.includes(c) ? size(c) : 1)),
      this.fields.bias,
    );
  }
  override call(inputs: Tensors): Tensors {
    let x = single(inputs, this);
    if (x.dtype !== 'float32') x = ops.cast(x, 'float32');
    const y = einsum(this.equation, x, x.trace.read(this.kernel));
    return this.activation.apply(this.bias ? ops.add(y, this.bias) : y);
  }
  override getConfig(): JsonObject {
    return {
      ...super.getConfig(),
      output_shape: this.outputShape as Json,
      equation: this.equation,
      activation: activations.activationJson(this.activation),
      bias_axes: this.biasAxes,
      ...weightConfig(this.fields),
      activity_regularizer: regularizerJson(this.activityRegularizer),
    };
  }
}

export const EinsumDense = callable(EinsumDenseClass);
