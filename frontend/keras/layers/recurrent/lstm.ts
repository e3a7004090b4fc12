/** LSTM and its cell. */
import { ValueError } from '../../../../ir/errors.js';
import * as activations from '../../activations.js';
import * as ops from '../../backend/ops.js';
import type { SymbolicTensor } from '../../backend/trace.js';
import * as initializers from '../../initializers/index.js';
import { callable } from '../../utils/callable.js';
import { resolveOptions } from '../../utils/options.js';
import type { JsonObject } from '../../utils/serialization.js';
import { regularizerJson } from '../weight-fields.js';
import { cellOptions, DenseCell, type DenseCellOptions, gatedDefaults, type Masks, type StepResult } from './cell.js';
import { RecurrentLayer, type RecurrentOptions, recurrentDefaults } from './rnn.js';

export interface LSTMCellConfig extends DenseCellOptions {
  recurrentActivation?: activations.ActivationIdentifier | null;
  /** The bias of the forget gate starts at 1; default true. */
  unitForgetBias?: boolean;
  /** Keras 2: accepted, the results are the same. */
  implementation?: number;
}

const cellDefaults = { ...gatedDefaults, recurrentActivation: 'sigmoid', unitForgetBias: true, implementation: 2 } as const;

/** What the base gives, with ones for the forget gate, the second of four. */
export class ForgetBias extends initializers.Initializer {
  readonly className = 'ForgetBias';
  constructor(
    private readonly base: initializers.Initializer,
    private readonly units: number,
  ) {
    super();
  }
  values(shape: readonly number[]): Float32Array {
    return this.base.values(shape).fill(1, this.units, 2 * this.units);
  }
}

/** One step of an LSTM: input (batch, features), states h and c (batch, units). Gates in the order i, f, c, o. */
export class LSTMCellClass extends DenseCell {
  static override readonly className = 'LSTMCell';
  readonly recurrentActivation: activations.Activation;
  readonly unitForgetBias: boolean;
  readonly implementation: number;
  constructor(units: number | LSTMCellConfig, options?: Omit<LSTMCellConfig, 'units'>) {
    const o = resolveOptions<LSTMCellConfig>('LSTMCell', [units, options], ['units'], cellDefaults);
    super(o, 4, 2);
    this.recurrentActivation = activations.get(o.recurrentActivation, this.semantics);
    this.unitForgetBias = o.unitForgetBias ?? true;
    // as Keras 2 decides it; the results are the same
    this.implementation = this.recurrentDropout > 0 ? 1 : (o.implementation ?? 2);
  }
  protected override get biasInitializer(): initializers.Initializer {
    return this.unitForgetBias ? new ForgetBias(this.fields.bias.initializer, this.units) : this.fields.bias.initializer;
  }
  step(projected: SymbolicTensor, states: readonly SymbolicTensor[], masks: Masks): StepResult {
    const [h, c] = states as readonly [SymbolicTensor, SymbolicTensor];
    const gates = ops.add(projected, ops.matmul(this.keptState(h, masks), this.recurrentKernel));
    return lstmStep(gates, c, 1, this.recurrentActivation.apply, this.activation.apply);
  }
  protected override moreConfig(): JsonObject {
    return { unit_forget_bias: this.unitForgetBias };
  }
  override cellConfig(): JsonObject {
    const { units, activation, ...rest } = super.cellConfig();
    const keras2 = this.configFor === 'keras2' ? { implementation: this.implementation } : {};
    return { units, activation, recurrent_activation: activations.activationJson(this.recurrentActivation), ...rest, ...keras2 };
  }
}

/** The new states from the sums of the four gates, which lie side by side along an axis. */
export function lstmStep(
  gates: SymbolicTensor,
  c: SymbolicTensor,
  axis: number,
  gate: activations.ActivationFunction,
  activation: activations.ActivationFunction,
): StepResult {
  const [zi, zf, zc, zo] = ops.split(gates, 4, axis) as [SymbolicTensor, SymbolicTensor, SymbolicTensor, SymbolicTensor];
  const newC = ops.add(ops.multiply(gate(zf), c), ops.multiply(gate(zi), activation(zc)));
  const newH = ops.multiply(gate(zo), activation(newC));
  return { output: newH, states: [newH, newC] };
}

export interface LSTMConfig extends LSTMCellConfig, RecurrentOptions {}

const defaults = { ...cellDefaults, ...recurrentDefaults };

/**
 * Long short-term memory. Input (batch, time, features); output (batch, units), or (batch, time, units) with returnSequences; with returnState also the states h and c.
 * kernel (features, 4·units), recurrent_kernel (units, 4·units), bias (4·units); gates in the order i, f, c, o.
 */
export class LSTMClass extends RecurrentLayer {
  static override readonly className = 'LSTM';
  constructor(units: number | LSTMConfig, options?: Omit<LSTMConfig, 'units'>) {
    const o = resolveOptions<LSTMConfig>('LSTM', [units, options], ['units'], defaults);
    if (!(Number.isInteger(o.units) && o.units > 0)) throw new ValueError(`LSTM: 'units' must be a positive integer, got ${String(o.units)}`);
    super(o, new LSTMCellClass({ ...cellOptions<LSTMCellConfig>(o, cellDefaults, 'units'), name: 'lstm_cell' }));
  }
  override getConfig(): JsonObject {
    return { ...this.recurrentConfig(), ...this.cell.cellConfig(), activity_regularizer: regularizerJson(this.activityRegularizer) };
  }
}

export const LSTMCell = callable(LSTMCellClass);
export const LSTM = callable(LSTMClass);
