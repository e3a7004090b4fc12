/** GRU and its cell. */
import { ValueError } from '../../../../ir/errors.js';
import * as activations from '../../activations.js';
import * as ops from '../../backend/ops.js';
import type { SymbolicTensor } from '../../backend/trace.js';
import { callable } from '../../utils/callable.js';
import { resolveOptions } from '../../utils/options.js';
import type { JsonObject } from '../../utils/serialization.js';
import { regularizerJson } from '../weight-fields.js';
import { cellOptions, DenseCell, type DenseCellOptions, gatedDefaults, type Masks, type StepResult } from './cell.js';
import { RecurrentLayer, type RecurrentOptions, recurrentDefaults } from './rnn.js';

export interface GRUCellConfig extends DenseCellOptions {
  recurrentActivation?: activations.ActivationIdentifier | null;
  /** The reset gate acts after the product with the recurrent kernel (and the bias has a part for it); default true. */
  resetAfter?: boolean;
  /** Keras 2: accepted, the results are the same. */
  implementation?: number;
}

const cellDefaults = { ...gatedDefaults, recurrentActivation: 'sigmoid', resetAfter: true, implementation: 2 } as const;

/** One step of a GRU: input (batch, features), state h (batch, units). Gates in the order z, r, h. */
export class GRUCellClass extends DenseCell {
  static override readonly className = 'GRUCell';
  readonly recurrentActivation: activations.Activation;
  readonly resetAfter: boolean;
  readonly implementation: number;
  constructor(units: number | GRUCellConfig, options?: Omit<GRUCellConfig, 'units'>) {
    const o = resolveOptions<GRUCellConfig>('GRUCell', [units, options], ['units'], cellDefaults);
    super(o, 3, 1);
    this.recurrentActivation = activations.get(o.recurrentActivation, this.semantics);
    this.resetAfter = o.resetAfter ?? true;
    // as Keras 2 decides it; the results are the same
    this.implementation = this.recurrentDropout > 0 ? 1 : (o.implementation ?? 2);
  }
  protected override get biasShape(): number[] {
    return this.resetAfter ? [2, 3 * this.units] : [3 * this.units];
  }
  /** The bias of the input (0) or of the recurrent product (1). */
  private biasPart(like: SymbolicTensor, part: 0 | 1): SymbolicTensor | null {
    if (!this.bias) return null;
    const bias = like.trace.read(this.bias);
    return this.resetAfter ? ops.squeeze(ops.sliceAxis(bias, 0, part, part + 1), 0) : bias;
  }
  override project(x: SymbolicTensor, masks: Masks): SymbolicTensor {
    const y = ops.matmul(this.kept(x, masks), this.kernel);
    const bias = this.biasPart(x, 0);
    return bias ? ops.add(y, bias) : y;
  }
  step(projected: SymbolicTensor, states: readonly SymbolicTensor[], masks: Masks): StepResult {
    const h = states[0]!;
    const { units } = this;
    const gate = this.recurrentActivation.apply;
    const kept = this.keptState(h, masks);
    const [xz, xr, xh] = ops.split(projected, 3, 1) as [SymbolicTensor, SymbolicTensor, SymbolicTensor];
    let z: SymbolicTensor;
    let candidate: SymbolicTensor;
    if (this.resetAfter) {
      const product = ops.matmul(kept, this.recurrentKernel);
      const bias = this.biasPart(projected, 1);
      const [hz, hr, hh] = ops.split(bias ? ops.add(product, bias) : product, 3, 1) as [SymbolicTensor, SymbolicTensor, SymbolicTensor];
      z = gate(ops.add(xz, hz));
      candidate = ops.add(xh, ops.multiply(gate(ops.add(xr, hr)), hh));
    } else {
      const kernel = projected.trace.read(this.recurrentKernel);
      const [hz, hr] = ops.split(ops.matmul(kept, ops.sliceAxis(kernel, 1, 0, 2 * units)), 2, 1) as [SymbolicTensor, SymbolicTensor];
      z = gate(ops.add(xz, hz));
      const reset = ops.multiply(gate(ops.add(xr, hr)), kept);
      candidate = ops.add(xh, ops.matmul(reset, ops.sliceAxis(kernel, 1, 2 * units, 3 * units)));
    }
    const output = ops.add(ops.multiply(z, h), ops.multiply(ops.subtract(1, z), this.activation.apply(candidate)));
    return { output, states: [output] };
  }
  override cellConfig(): JsonObject {
    const { units, activation, ...rest } = super.cellConfig();
    const keras2 = this.configFor === 'keras2' ? { implementation: this.implementation } : {};
    return { units, activation, recurrent_activation: activations.activationJson(this.recurrentActivation), ...rest, ...keras2, reset_after: this.resetAfter };
  }
}

export interface GRUConfig extends GRUCellConfig, RecurrentOptions {}

const defaults = { ...cellDefaults, ...recurrentDefaults };

/**
 * Gated recurrent unit. Input (batch, time, features); output (batch, units), or (batch, time, units) with returnSequences; with returnState also the state.
 * kernel (features, 3·units), recurrent_kernel (units, 3·units), bias (2, 3·units), or (3·units) without resetAfter; gates in the order z, r, h.
 */
export class GRUClass extends RecurrentLayer {
  static override readonly className = 'GRU';
  constructor(units: number | GRUConfig, options?: Omit<GRUConfig, 'units'>) {
    const o = resolveOptions<GRUConfig>('GRU', [units, options], ['units'], defaults);
    if (!(Number.isInteger(o.units) && o.units > 0)) throw new ValueError(`GRU: 'units' must be a positive integer, got ${String(o.units)}`);
    super(o, new GRUCellClass({ ...cellOptions<GRUCellConfig>(o, cellDefaults, 'units'), name: 'gru_cell' }));
  }
  override getConfig(): JsonObject {
    return { ...this.recurrentConfig(), ...this.cell.cellConfig(), activity_regularizer: regularizerJson(this.activityRegularizer) };
  }
}

export const GRUCell = callable(GRUCellClass);
export const GRU = callable(GRUClass);
