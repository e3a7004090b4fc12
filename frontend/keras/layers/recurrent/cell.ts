/** Cells: what a recurrent layer computes at one step. */
import type { Shape } from '../../../../ir/dim.js';
import { ValueError } from '../../../../ir/errors.js';
import * as activations from '../../activations.js';
import * as ops from '../../backend/ops.js';
import { listOf, type SymbolicTensor, type Tensors } from '../../backend/trace.js';
import type { Variable } from '../../backend/variable.js';
import type { ConstraintIdentifier } from '../../constraints.js';
import type * as initializers from '../../initializers/index.js';
import type { RegularizerIdentifier } from '../../regularizers.js';
import { positiveInteger } from '../../utils/options.js';
import type { Json, JsonObject } from '../../utils/serialization.js';
import { type InputShape, knownDim, Layer, type LayerOptions, layerDefaults, singleShape } from '../layer.js';
import { type WeightFields, weightConfig, weightFields } from '../weight-fields.js';

/** Dropout masks of a run, the same at all steps: values 0 or 1 / (1 - rate); null where nothing is dropped. */
export type Masks = readonly (SymbolicTensor | null)[];

export interface StepResult {
  readonly output: SymbolicTensor;
  readonly states: readonly SymbolicTensor[];
}

/**
 * Base class of cells. A cell of one's own gives the shapes of its states and `step`; weights are made in `build`, whose shape is that of one step's input. What does not
 * depend on the states belongs into `project`: it is then computed for all steps at once.
 */
export abstract class RecurrentCell extends Layer {
  abstract get stateCount(): number;
  /** Shapes of the states for a step's input of this shape (batch, …). */
  abstract stateShapes(step: Shape): readonly Shape[];
  /** One step from the projected input. */
  abstract step(projected: SymbolicTensor, states: readonly SymbolicTensor[], masks: Masks): StepResult;

  /** Shape of the output for a step's input of this shape; default: that of the first state. */
  outputShape(step: Shape): Shape {
    return this.stateShapes(step)[0]!;
  }
  /** The last output, given the states after it; default: the first state. */
  outputOfStates(states: readonly SymbolicTensor[]): SymbolicTensor {
    return states[0]!;
  }
  /** The part of a step that needs no states, for one step (batch, …) or for a sequence (time, batch, …). */
  project(x: SymbolicTensor, _masks: Masks): SymbolicTensor {
    return x;
  }
  /** Whether `project` takes a sequence of this shape. */
  projectsSequences(_sequence: Shape): boolean {
    return true;
  }
  /** Masks for a run while training: so many for each cell, whatever the rates. */
  dropoutMasks(_like: SymbolicTensor, _step: Shape): Masks {
    return [];
  }
  /** One step by itself: inputs (x, states…), outputs (output, new states…). */
  override call(inputs: Tensors): Tensors {
    const [x, ...states] = listOf(inputs);
    const wanted = this.stateCount;
    if (states.length !== wanted) throw new ValueError(`${this.name}: ${this.className} takes an input and ${wanted} states, got ${states.length} states`);
    const result = this.step(this.project(x!, []), states, []);
    return [result.output, ...result.states];
  }
  /** The entries of `getConfig` that a layer with this cell shows as its own. */
  cellConfig(): JsonObject {
    return {};
  }
  override getConfig(): JsonObject {
    return { ...super.getConfig(), ...this.cellConfig() };
  }
}

/** The options of a layer that are its cell's: those in `defaults`, and those named. */
export function cellOptions<T extends object>(options: object, defaults: object, ...names: readonly string[]): T {
  const known = [...Object.keys(defaults).filter((k) => !(k in layerDefaults)), ...names];
  return Object.fromEntries(Object.entries(options).filter(([k]) => k === 'semantics' || known.includes(k))) as T;
}

/** Options of all cells with a kernel, a recurrent kernel and a bias. */
export interface GatedOptions extends LayerOptions {
  activation?: activations.ActivationIdentifier | null;
  useBias?: boolean;
  kernelInitializer?: initializers.InitializerIdentifier;
  recurrentInitializer?: initializers.InitializerIdentifier;
  biasInitializer?: initializers.InitializerIdentifier;
  kernelRegularizer?: RegularizerIdentifier | null;
  recurrentRegularizer?: RegularizerIdentifier | null;
  biasRegularizer?: RegularizerIdentifier | null;
  kernelConstraint?: ConstraintIdentifier | null;
  recurrentConstraint?: ConstraintIdentifier | null;
  biasConstraint?: ConstraintIdentifier | null;
  /** Fraction of the inputs to drop, one mask for all steps. */
  dropout?: number;
  /** Fraction of the state to drop, one mask for all steps. */
  recurrentDropout?: number;
  seed?: number | null;
}

export const gatedDefaults = {
  ...layerDefaults,
  activation: 'tanh',
  useBias: true,
  kernelInitializer: 'glorot_uniform',
  recurrentInitializer: 'orthogonal',
  biasInitializer: 'zeros',
  kernelRegularizer: null,
  recurrentRegularizer: null,
  biasRegularizer: null,
  kernelConstraint: null,
  recurrentConstraint: null,
  biasConstraint: null,
  dropout: 0,
  recurrentDropout: 0,
  seed: null,
} as const;

/** A cell with a kernel, a recurrent kernel and a bias. */
export abstract class GatedCell extends RecurrentCell {
  readonly activation: activations.Activation;
  readonly useBias: boolean;
  readonly dropout: number;
  readonly recurrentDropout: number;
  readonly seed: number | null;
  protected readonly fields: { readonly kernel: WeightFields; readonly recurrent: WeightFields; readonly bias: WeightFields };
  kernel!: Variable;
  recurrentKernel!: Variable;
  bias: Variable | null = null;

  constructor(o: GatedOptions) {
    super(o);
    this.activation = activations.get(o.activation, this.semantics);
    this.useBias = o.useBias ?? true;
    this.dropout = this.rate('dropout', o.dropout);
    this.recurrentDropout = this.rate('recurrentDropout', o.recurrentDropout);
    this.seed = o.seed ?? null;
    this.fields = { kernel: weightFields(o, 'kernel'), recurrent: weightFields(o, 'recurrent'), bias: weightFields(o, 'bias') };
  }
  private rate(name: string, x: number | undefined): number {
    const r = x ?? 0;
    if (!(r >= 0 && r < 1)) throw new ValueError(`${this.className}: '${name}' must be at least 0 and below 1, got ${r}`);
    return r;
  }
  /** A mask of this shape: 0 with the given probability, else what keeps the mean. */
  private mask(like: SymbolicTensor, shape: Shape, rate: number): SymbolicTensor | null {
    if (rate === 0) return null;
    return ops.where(ops.keepMask(like, shape, rate, this.seed), ops.full(like, shape, 1 / (1 - rate)), 0);
  }
  /** Of the inputs, then of the state. */
  override dropoutMasks(like: SymbolicTensor, step: Shape): Masks {
    return [this.mask(like, step, this.dropout), this.mask(like, this.stateShapes(step)[0]!, this.recurrentDropout)];
  }
  /** The input without what is dropped. */
  protected kept(x: SymbolicTensor, masks: Masks): SymbolicTensor {
    return masks[0] ? ops.multiply(x, masks[0]) : x;
  }
  /** The state without what is dropped. */
  protected keptState(h: SymbolicTensor, masks: Masks): SymbolicTensor {
    return masks[1] ? ops.multiply(h, masks[1]) : h;
  }
  /** Entries after the initializers, such as unit_forget_bias. */
  protected moreConfig(): JsonObject {
    return {};
  }
  protected gatedConfig(first: JsonObject): JsonObject {
    const weights = Object.entries(weightConfig(this.fields));
    return {
      ...first,
      activation: activations.activationJson(this.activation),
      use_bias: this.useBias,
      ...Object.fromEntries(weights.slice(0, 3)),
      ...this.moreConfig(),
      ...Object.fromEntries(weights.slice(3)),
      dropout: this.dropout,
      recurrent_dropout: this.recurrentDropout,
      ...(this.semantics === 'keras3' ? { seed: this.seed as Json } : {}),
    };
  }
}

export interface DenseCellOptions extends GatedOptions {
  /** Size of the state. */
  units: number;
}

/** A cell on vectors: kernel (features, gates · units), recurrent kernel (units, gates · units). */
export abstract class DenseCell extends GatedCell {
  readonly units: number;
  constructor(
    o: DenseCellOptions,
    private readonly gates: number,
    readonly stateCount: number,
  ) {
    super(o);
    this.units = positiveInteger(this.className, 'units', o.units);
  }
  protected get biasShape(): number[] {
    return [this.gates * this.units];
  }
  protected get biasInitializer(): initializers.Initializer {
    return this.fields.bias.initializer;
  }
  override build(inputShape: InputShape): void {
    const width = this.gates * this.units;
    this.kernel = this.addWeight('kernel', [knownDim(this, singleShape(inputShape, this), -1), width], this.fields.kernel);
    this.recurrentKernel = this.addWeight('recurrent_kernel', [this.units, width], this.fields.recurrent);
    if (this.useBias) this.bias = this.addWeight('bias', this.biasShape, { ...this.fields.bias, initializer: this.biasInitializer });
  }
  stateShapes(step: Shape): readonly Shape[] {
    return Array.from({ length: this.stateCount }, () => [step[0]!, this.units]);
  }
  override project(x: SymbolicTensor, masks: Masks): SymbolicTensor {
    const y = ops.matmul(this.kept(x, masks), this.kernel);
    return this.bias ? ops.add(y, this.bias) : y;
  }
  override cellConfig(): JsonObject {
    return this.gatedConfig({ units: this.units });
  }
}
