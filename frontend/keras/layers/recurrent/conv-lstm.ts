/** ConvLSTM1D/2D/3D: an LSTM whose products are convolutions. The convolution of the inputs is one for all time steps; that of the state is in the scan. */
import { type Dim, isStatic, mulDim, type Shape } from '../../../../ir/dim.js';
import { ShapeError } from '../../../../ir/errors.js';
import * as activations from '../../activations.js';
import * as ops from '../../backend/ops.js';
import type { SymbolicTensor } from '../../backend/trace.js';
import type { Variable } from '../../backend/variable.js';
import { type Callable, callable } from '../../utils/callable.js';
import { integerList, oneOf, positiveInteger, resolveOptions } from '../../utils/options.js';
import type { JsonObject } from '../../utils/serialization.js';
import { channelAxis, type Padding, paddingOf, spatialAxes } from '../convolutional.js';
import { type DataFormat, dataFormatOf } from '../core.js';
import { type InputShape, knownDim, singleShape } from '../layer.js';
import { regularizerJson } from '../weight-fields.js';
import { cellOptions, GatedCell, type GatedOptions, gatedDefaults, type Masks, type StepResult } from './cell.js';
import { ForgetBias, lstmStep } from './lstm.js';
import { RecurrentLayer, type RecurrentOptions, recurrentDefaults } from './rnn.js';

interface ConvLSTMCellConfig extends GatedOptions {
  /** Number of channels of the state. */
  filters: number;
  kernelSize: number | readonly number[];
  strides?: number | readonly number[];
  padding?: Padding;
  dataFormat?: DataFormat | null;
  dilationRate?: number | readonly number[];
  /** Default sigmoid; in Keras 2 hard_sigmoid. */
  recurrentActivation?: activations.ActivationIdentifier | null;
  /** The bias of the forget gate starts at 1; default true. */
  unitForgetBias?: boolean;
}

const cellDefaults = {
  ...gatedDefaults,
  strides: 1,
  padding: 'valid',
  dataFormat: null,
  dilationRate: 1,
  recurrentActivation: undefined,
  unitForgetBias: true,
} as const;

class ConvLSTMCell extends GatedCell {
  static override readonly className: string = 'ConvLSTMCell';
  readonly stateCount = 2;
  readonly filters: number;
  readonly kernelSize: readonly number[];
  readonly strides: readonly number[];
  readonly padding: Padding;
  readonly dataFormat: DataFormat;
  readonly dilationRate: readonly number[];
  readonly recurrentActivation: activations.Activation;
  readonly unitForgetBias: boolean;
  constructor(
    private readonly rank: number,
    what: string,
    o: ConvLSTMCellConfig,
  ) {
    super(o);
    this.filters = positiveInteger(what, 'filters', o.filters);
    this.kernelSize = integerList(what, 'kernelSize', o.kernelSize, rank);
    this.strides = integerList(what, 'strides', o.strides, rank);
    this.padding = oneOf(what, 'padding', o.padding, ['valid', 'same']);
    this.dataFormat = dataFormatOf(what, o.dataFormat);
    this.dilationRate = integerList(what, 'dilationRate', o.dilationRate, rank);
    this.recurrentActivation = activations.get(o.recurrentActivation ?? (this.semantics === 'keras2' ? 'hard_sigmoid' : 'sigmoid'), this.semantics);
    this.unitForgetBias = o.unitForgetBias ?? true;
  }
  override build(inputShape: InputShape): void {
    const channels = knownDim(this, singleShape(inputShape, this), channelAxis(this.dataFormat, this.rank));
    const { filters } = this;
    this.kernel = this.addWeight('kernel', [...this.kernelSize, channels, 4 * filters], this.fields.kernel);
    this.recurrentKernel = this.addWeight('recurrent_kernel', [...this.kernelSize, filters, 4 * filters], this.fields.recurrent);
    if (!this.useBias) return;
    const { initializer } = this.fields.bias;
    this.bias = this.addWeight('bias', [4 * filters], {
      ...this.fields.bias,
      initializer: this.unitForgetBias ? new ForgetBias(initializer, filters) : initializer,
    });
  }
  stateShapes(step: Shape): readonly Shape[] {
    const shape: Dim[] = [...step];
    spatialAxes(this.dataFormat, this.rank).forEach((a, i) => {
      const size = shape[a]!;
      if (!isStatic(size)) throw new ShapeError(`${this.name}: the spatial sizes of the input must be known, got [${step.join(', ')}]`);
      const extent = (this.kernelSize[i]! - 1) * this.dilationRate[i]! + 1;
      const [low, high] = paddingOf(this.padding, size, this.kernelSize[i]!, this.strides[i]!, this.dilationRate[i]!);
      if (size + low + high < extent) throw new ShapeError(`${this.name}: the kernel of size [${this.kernelSize}] does not fit into an input of size ${size}`);
      shape[a] = Math.floor((size + low + high - extent) / this.strides[i]!) + 1;
    });
    shape[channelAxis(this.dataFormat, this.rank)] = this.filters;
    return [shape, shape];
  }
  private conv(x: SymbolicTensor, kernel: Variable, strides: readonly number[], padding: Padding, dilation: readonly number[]): SymbolicTensor {
    const spatial = spatialAxes(this.dataFormat, this.rank);
    const axes = { batch: 0, feature: channelAxis(this.dataFormat, this.rank), spatial };
    return ops.conv(x, kernel, {
      strides,
      padding: spatial.map((a, i) => paddingOf(padding, x.shape[a] as number, this.kernelSize[i]!, strides[i]!, dilation[i]!)),
      inputDilation: spatial.map(() => 1),
      kernelDilation: dilation,
      groups: 1,
      batchGroups: 1,
      dims: { input: axes, kernel: { input: this.rank, output: this.rank + 1, spatial: spatial.map((_, i) => i) }, output: axes },
    });
  }
  override projectsSequences(sequence: Shape): boolean {
    return isStatic(sequence[0]!) || isStatic(sequence[1]!);
  }
  override project(x: SymbolicTensor, masks: Masks): SymbolicTensor {
    const kept = this.kept(x, masks);
    const isSequence = x.rank === this.rank + 3;
    const flat = isSequence ? ops.reshape(kept, [mulDim(x.shape[0]!, x.shape[1]!), ...x.shape.slice(2)]) : kept;
    let y = this.conv(flat, this.kernel, this.strides, this.padding, this.dilationRate);
    if (this.bias) {
      const ones = new Array<number>(this.rank).fill(1);
      y = ops.add(y, this.dataFormat === 'channels_last' ? this.bias : ops.reshape(this.bias, [this.bias.size, ...ones], x.trace));
    }
    return isSequence ? ops.reshape(y, [x.shape[0]!, x.shape[1]!, ...y.shape.slice(1)]) : y;
  }
  step(projected: SymbolicTensor, states: readonly SymbolicTensor[], masks: Masks): StepResult {
    const [h, c] = states as readonly [SymbolicTensor, SymbolicTensor];
    const ones = this.kernelSize.map(() => 1);
    const gates = ops.add(projected, this.conv(this.keptState(h, masks), this.recurrentKernel, ones, 'same', ones));
    return lstmStep(gates, c, channelAxis(this.dataFormat, this.rank), this.recurrentActivation.apply, this.activation.apply);
  }
  protected override moreConfig(): JsonObject {
    return { unit_forget_bias: this.unitForgetBias };
  }
  override cellConfig(): JsonObject {
    const { activation, ...rest } = this.gatedConfig({
      filters: this.filters,
      kernel_size: this.kernelSize,
      strides: this.strides,
      padding: this.padding,
      data_format: this.dataFormat,
      dilation_rate: this.dilationRate,
    });
    return { ...rest, activation, recurrent_activation: activations.activationJson(this.recurrentActivation) };
  }
}

export interface ConvLSTMConfig extends ConvLSTMCellConfig, RecurrentOptions {}

abstract class ConvLSTM extends RecurrentLayer {
  constructor(
    private readonly rank: number,
    what: string,
    o: ConvLSTMConfig,
  ) {
    const cell = new ConvLSTMCell(rank, what, { ...cellOptions<ConvLSTMCellConfig>(o, cellDefaults, 'filters', 'kernelSize'), name: 'conv_lstm_cell' });
    // Keras 2 leaves the cell out of the weights' names
    super(o, cell, o.semantics === 'keras2' ? '' : undefined);
  }
  protected override get inputRank(): number {
    return this.rank + 3;
  }
  override getConfig(): JsonObject {
    return { ...this.recurrentConfig(), ...this.cell.cellConfig(), activity_regularizer: regularizerJson(this.activityRegularizer) };
  }
}

export type ConvLSTMConstructor = new (
  filters: number | ConvLSTMConfig,
  kernelSize?: number | readonly number[],
  options?: Omit<ConvLSTMConfig, 'filters' | 'kernelSize'>,
) => ConvLSTM;

function convLSTMClass(rank: number): ConvLSTMConstructor {
  const className = `ConvLSTM${rank}D`;
  const defaults = { ...cellDefaults, ...recurrentDefaults };
  return class extends ConvLSTM {
    static override readonly className = className;
    constructor(filters: number | ConvLSTMConfig, kernelSize?: number | readonly number[], options?: Omit<ConvLSTMConfig, 'filters' | 'kernelSize'>) {
      super(rank, className, resolveOptions<ConvLSTMConfig>(className, [filters, kernelSize, options], ['filters', 'kernelSize'], defaults));
    }
  };
}

/**
 * Input (batch, time, …space, channels), output (batch, …space', filters), or (batch, time, …space', filters) with returnSequences; with returnState also the states h and c.
 * kernel (…window, channels, 4·filters), recurrent_kernel (…window, filters, 4·filters), bias (4·filters). The state is convolved with padding same.
 */
export const ConvLSTM1DClass = convLSTMClass(1);
export const ConvLSTM2DClass = convLSTMClass(2);
export const ConvLSTM3DClass = convLSTMClass(3);

export const ConvLSTM1D: Callable<ConvLSTMConstructor> = callable(ConvLSTM1DClass);
export const ConvLSTM2D: Callable<ConvLSTMConstructor> = callable(ConvLSTM2DClass);
export const ConvLSTM3D: Callable<ConvLSTMConstructor> = callable(ConvLSTM3DClass);
