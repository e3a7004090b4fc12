/** SimpleRNN and its cell: the output is fed back. */
import { ValueError } from '../../../../ir/errors.js';
import * as ops from '../../backend/ops.js';
import type { SymbolicTensor } from '../../backend/trace.js';
import { callable } from '../../utils/callable.js';
import { resolveOptions } from '../../utils/options.js';
import type { JsonObject } from '../../utils/serialization.js';
import { regularizerJson } from '../weight-fields.js';
import { cellOptions, DenseCell, type DenseCellOptions, gatedDefaults, type Masks, type StepResult } from './cell.js';
import { RecurrentLayer, type RecurrentOptions, recurrentDefaults } from './rnn.js';

export type SimpleRNNCellConfig = DenseCellOptions;

/** activation(x · kernel + h · recurrent_kernel + bias): input (batch, features), state (batch, units). */
export class SimpleRNNCellClass extends DenseCell {
  static override readonly className = 'SimpleRNNCell';
  constructor(units: number | SimpleRNNCellConfig, options?: Omit<SimpleRNNCellConfig, 'units'>) {
    super(resolveOptions<SimpleRNNCellConfig>('SimpleRNNCell', [units, options], ['units'], gatedDefaults), 1, 1);
  }
  step(projected: SymbolicTensor, states: readonly SymbolicTensor[], masks: Masks): StepResult {
    const output = this.activation.apply(ops.add(projected, ops.matmul(this.keptState(states[0]!, masks), this.recurrentKernel)));
    return { output, states: [output] };
  }
}

export interface SimpleRNNConfig extends SimpleRNNCellConfig, RecurrentOptions {}

const defaults = { ...gatedDefaults, ...recurrentDefaults };

/**
 * Input (batch, time, features); output (batch, units), or (batch, time, units) with returnSequences; with returnState also the state.
 * kernel (features, units), recurrent_kernel (units, units), bias (units); activation tanh.
 */
export class SimpleRNNClass extends RecurrentLayer {
  static override readonly className = 'SimpleRNN';
  constructor(units: number | SimpleRNNConfig, options?: Omit<SimpleRNNConfig, 'units'>) {
    const o = resolveOptions<SimpleRNNConfig>('SimpleRNN', [units, options], ['units'], defaults);
    if (!(Number.isInteger(o.units) && o.units > 0)) throw new ValueError(`SimpleRNN: 'units' must be a positive integer, got ${String(o.units)}`);
    super(o, new SimpleRNNCellClass({ ...cellOptions<SimpleRNNCellConfig>(o, gatedDefaults, 'units'), name: 'simple_rnn_cell' }));
  }
  override getConfig(): JsonObject {
    // Keras 3 writes no seed for this one
    const { seed: _, ...cell } = this.cell.cellConfig();
    return { ...this.recurrentConfig(), ...cell, activity_regularizer: regularizerJson(this.activityRegularizer) };
  }
}

export const SimpleRNNCell = callable(SimpleRNNCellClass);
export const SimpleRNN = callable(SimpleRNNClass);
