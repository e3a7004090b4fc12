/**
 * LSTM. The input projection of all time steps is one matrix product; the recurrence is a `scan` over time-major slices of it, whose body is a sub-graph with the states as
 * carried values and the recurrent kernel as a constant.
 */
import { GraphBuilder } from '../../../ir/builder.js';
import type { Dim } from '../../../ir/dim.js';
import { ShapeError, ValueError } from '../../../ir/errors.js';
import type { Value } from '../../../ir/graph.js';
import * as activations from '../activations.js';
import * as ops from '../backend/ops.js';
import { type KerasShape, kerasShapeText, listOf, SymbolicTensor, separateLayout, type Tensors, Trace } from '../backend/trace.js';
import type { Variable } from '../backend/variable.js';
import type { ConstraintIdentifier } from '../constraints.js';
import * as initializers from '../initializers/index.js';
import type { RegularizerIdentifier } from '../regularizers.js';
import { callable } from '../utils/callable.js';
import { positiveInteger, resolveOptions } from '../utils/options.js';
import type { JsonObject } from '../utils/serialization.js';
import { dropout } from './core.js';
import { type CallArguments, checkRank, type InputShape, knownDim, Layer, type LayerOptions, layerDefaults } from './layer.js';
import { regularizerJson, type WeightFields, weightConfig, weightFields } from './weight-fields.js';

export interface LSTMConfig extends LayerOptions {
  /** Size of the state. */
  units: number;
  activation?: activations.ActivationIdentifier | null;
  recurrentActivation?: activations.ActivationIdentifier | null;
  useBias?: boolean;
  /** The bias of the forget gate starts at 1; default true. */
  unitForgetBias?: boolean;
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
  /** The output of every step, not of the last alone. */
  returnSequences?: boolean;
  /** The final states after the output. */
  returnState?: boolean;
  /** From the last step to the first; outputs are in the order of processing. */
  goBackwards?: boolean;
  /** The states of one run are the initial states of the next; needs a fixed batch size. */
  stateful?: boolean;
  /** Accepted: a scan is compiled either way. */
  unroll?: boolean;
  /** Keras 2: input and output are (time, batch, features). */
  timeMajor?: boolean;
  /** Keras 3: outputs at masked steps are 0, not the previous output. */
  zeroOutputForMask?: boolean;
  /** Keras 2: accepted, the results are the same. */
  implementation?: number;
}

const defaults: Partial<LSTMConfig> = {
  ...layerDefaults,
  activation: 'tanh',
  recurrentActivation: 'sigmoid',
  useBias: true,
  unitForgetBias: true,
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
  returnSequences: false,
  returnState: false,
  goBackwards: false,
  stateful: false,
  unroll: false,
  timeMajor: false,
  zeroOutputForMask: false,
  implementation: 2,
};

/** Zeros (or what the initializer gives), with ones for the forget gate. */
class ForgetBias extends initializers.Initializer {
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

/**
 * Long short-term memory. Input (batch, time, features); output (batch, units), or (batch, time, units) with returnSequences; with returnState also the states h and c.
 * kernel (features, 4·units), recurrent_kernel (units, 4·units), bias (4·units); gates in the order i, f, c, o.
 */
export class LSTMClass extends Layer {
  static override readonly className = 'LSTM';
  readonly units: number;
  readonly activation: activations.Activation;
  readonly recurrentActivation: activations.Activation;
  readonly options: Readonly<
    Required<
      Pick<
        LSTMConfig,
        | 'useBias'
        | 'unitForgetBias'
        | 'dropout'
        | 'recurrentDropout'
        | 'returnSequences'
        | 'returnState'
        | 'goBackwards'
        | 'stateful'
        | 'unroll'
        | 'timeMajor'
        | 'zeroOutputForMask'
        | 'implementation'
      >
    >
  > & { readonly seed: number | null };
  private readonly fields: { readonly kernel: WeightFields; readonly recurrent: WeightFields; readonly bias: WeightFields };
  kernel!: Variable;
  recurrentKernel!: Variable;
  bias: Variable | null = null;
  /** States h and c of a stateful layer. */
  states: readonly Variable[] | null = null;

  constructor(units: number | LSTMConfig, options?: Omit<LSTMConfig, 'units'>) {
    const o = resolveOptions<LSTMConfig>('LSTM', [units, options], ['units'], defaults) as Required<LSTMConfig>;
    super(o);
    this.units = positiveInteger('LSTM', 'units', o.units);
    this.activation = activations.get(o.activation, this.semantics);
    this.recurrentActivation = activations.get(o.recurrentActivation, this.semantics);
    for (const name of ['dropout', 'recurrentDropout'] as const) {
      if (!(o[name] >= 0 && o[name] < 1)) throw new ValueError(`LSTM: '${name}' must be at least 0 and below 1, got ${o[name]}`);
    }
    this.options = o;
    this.fields = { kernel: weightFields(o, 'kernel'), recurrent: weightFields(o, 'recurrent'), bias: weightFields(o, 'bias') };
    this.supportsMasking = true;
  }

  override build(inputShape: InputShape): void {
    const shape = (Array.isArray(inputShape[0]) ? inputShape[0] : inputShape) as KerasShape;
    checkRank(this, shape, 3, '(batch, time, features)');
    const { units } = this;
    this.kernel = this.addWeight('lstm_cell/kernel', [knownDim(this, shape, -1), 4 * units], this.fields.kernel);
    this.recurrentKernel = this.addWeight('lstm_cell/recurrent_kernel', [units, 4 * units], this.fields.recurrent);
    if (this.options.useBias) {
      const initializer = this.options.unitForgetBias ? new ForgetBias(this.fields.bias.initializer, units) : this.fields.bias.initializer;
      this.bias = this.addWeight('lstm_cell/bias', [4 * units], { ...this.fields.bias, initializer });
    }
    if (this.options.stateful) {
      const batch = shape[this.options.timeMajor ? 1 : 0];
      if (batch === null || batch === undefined)
        throw new ShapeError(
          `${this.name}: a stateful layer needs a fixed batch size (batchInputShape, or Input with batchSize), got shape ${kerasShapeText(shape)}`,
        );
      this.states = ['h', 'c'].map((s) => this.addState(`state_${s}`, [batch, units]));
    }
  }

  override call(inputs: Tensors, args: CallArguments): Tensors {
    const [input, ...given] = listOf(inputs);
    const { timeMajor, goBackwards, returnSequences, returnState } = this.options;
    let x = input!;
    const { trace } = x;
    if (x.dtype !== 'float32') x = ops.cast(x, 'float32');
    if (!timeMajor) x = ops.transpose(x, [1, 0, 2]);
    const [length, batch] = x.shape as [Dim, Dim, Dim];
    if (args.training && this.options.dropout > 0) x = dropout(x, this.options.dropout, `${this.name}/dropout`, this.options.seed, [1, null, null]);
    const z = ops.matmul(x, this.kernel);
    const projected = this.bias ? ops.add(z, this.bias) : z;

    const initial = this.initialStates(given, (args.initialState ?? []) as readonly SymbolicTensor[], x, batch);
    const mask = args.mask instanceof SymbolicTensor ? args.mask : ((args.mask?.[0] as SymbolicTensor | null | undefined) ?? null);
    const steps = mask && !timeMajor ? ops.transpose(mask, [1, 0]) : mask;
    const keep = args.training && this.options.recurrentDropout > 0 ? this.recurrentMask(initial[0]!) : null;

    const body = this.body(batch, steps !== null, keep !== null);
    const carries = steps ? [...initial, ops.zeros(x, [batch, this.units])] : initial;
    const operands: Value[] = [...carries, projected, ...(steps ? [steps] : [])].map((t) => t.value);
    const constants = [trace.read(this.recurrentKernel), ...(keep ? [keep] : [])].map((t) => t.value);
    const results = trace.b
      .emitAll('scan', [...operands, ...constants], { body, carries: carries.length, xs: steps ? 2 : 1, length, reverse: goBackwards })
      .map((v) => trace.tensor(v));

    const states = results.slice(0, 2);
    this.states?.forEach((v, i) => {
      trace.assign(v, states[i]!);
    });
    let output = steps ? results[2]! : states[0]!;
    if (returnSequences) {
      output = results[carries.length]!;
      if (goBackwards) output = ops.reverse(output, [0]);
      if (!timeMajor) output = ops.transpose(output, [1, 0, 2]);
    }
    return returnState ? [output, ...states] : output;
  }

  /** States given in the call, else those of the last run, else zeros. */
  private initialStates(inputs: readonly SymbolicTensor[], args: readonly SymbolicTensor[], x: SymbolicTensor, batch: Dim): readonly SymbolicTensor[] {
    const given = inputs.length > 0 ? inputs : args;
    if (given.length > 0) {
      if (given.length !== 2) throw new ValueError(`${this.name}: LSTM has two states (h, c), got ${given.length} initial states`);
      return given;
    }
    if (this.states) return this.states.map((v) => x.trace.read(v));
    return [0, 1].map(() => ops.zeros(x, [batch, this.units]));
  }

  private recurrentMask(h: SymbolicTensor): SymbolicTensor {
    const rate = this.options.recurrentDropout;
    const keep = ops.keepMask(h, h.shape, rate, this.options.seed);
    return ops.where(keep, ops.full(h, h.shape, 1 / (1 - rate)), 0);
  }

  /** One step. Inputs: h, c (and the last output when masked); the projected input (and the mask); the recurrent kernel (and the dropout mask). */
  private body(batch: Dim, masked: boolean, dropped: boolean) {
    const { units } = this;
    const b = new GraphBuilder(`${this.name}/step`);
    const t = new Trace(b, { training: false, layout: separateLayout });
    const state = (name: string) => t.tensor(b.input(name, 'float32', [batch, units]));
    const [h, c] = [state('h'), state('c')];
    const last = masked ? state('last') : null;
    const x = t.tensor(b.input('x', 'float32', [batch, 4 * units]));
    const mask = masked ? ops.expandDims(t.tensor(b.input('mask', 'bool', [batch])), 1) : null;
    const kernel = t.tensor(b.input('recurrent_kernel', 'float32', [units, 4 * units]));
    const kept = dropped ? ops.multiply(h, state('keep')) : h;

    const [zi, zf, zc, zo] = ops.split(ops.add(x, ops.matmul(kept, kernel)), 4, 1) as [SymbolicTensor, SymbolicTensor, SymbolicTensor, SymbolicTensor];
    const gate = this.recurrentActivation.apply;
    const newC = ops.add(ops.multiply(gate(zf), c), ops.multiply(gate(zi), this.activation.apply(zc)));
    const newH = ops.multiply(gate(zo), this.activation.apply(newC));

    b.output('h', (mask ? ops.where(mask, newH, h) : newH).value);
    b.output('c', (mask ? ops.where(mask, newC, c) : newC).value);
    const y = mask ? ops.where(mask, newH, this.options.zeroOutputForMask ? 0 : last!) : newH;
    if (mask) b.output('last', y.value);
    if (this.options.returnSequences) b.output('y', y.value);
    return b.build();
  }

  /** Sets the states of a stateful layer back to zero. They lie on the device once a model runs: use the model's `resetStates` there. */
  resetStates(): void {
    this.states?.forEach((v) => {
      v.assign(new Float32Array(v.size));
    });
  }

  override computeMask(_inputs: Tensors, mask: CallArguments['mask']): CallArguments['mask'] {
    const own = mask instanceof SymbolicTensor ? mask : ((mask?.[0] as SymbolicTensor | null | undefined) ?? null);
    const out = this.options.returnSequences ? own : null;
    return this.options.returnState ? [out, null, null] : out;
  }

  override getConfig(): JsonObject {
    const o = this.options;
    const keras2 = this.semantics === 'keras2';
    return {
      ...super.getConfig(),
      return_sequences: o.returnSequences,
      return_state: o.returnState,
      go_backwards: o.goBackwards,
      stateful: o.stateful,
      unroll: o.unroll,
      ...(keras2 ? { time_major: o.timeMajor } : { zero_output_for_mask: o.zeroOutputForMask }),
      units: this.units,
      activation: this.activation.name,
      recurrent_activation: this.recurrentActivation.name,
      use_bias: o.useBias,
      ...reordered(weightConfig(this.fields), o.unitForgetBias),
      activity_regularizer: regularizerJson(this.activityRegularizer),
      dropout: o.dropout,
      recurrent_dropout: o.recurrentDropout,
      ...(keras2 ? { implementation: o.implementation } : { seed: o.seed }),
    };
  }
}

/** Keras writes unit_forget_bias after the initializers. */
function reordered(config: JsonObject, unitForgetBias: boolean): JsonObject {
  const entries = Object.entries(config);
  return Object.fromEntries([...entries.slice(0, 3), ['unit_forget_bias', unitForgetBias] as const, ...entries.slice(3)]);
}

export const LSTM = callable(LSTMClass);
