/**
 * Recurrent layers: a cell repeated over the steps of a sequence. What the cell computes without its states is done for all steps at once; the rest is a `scan` over
 * time-major slices, whose body is a sub-graph with the states as carried values.
 */
import type { Dim, Shape } from '../../../../ir/dim.js';
import { ShapeError, ValueError } from '../../../../ir/errors.js';
import * as ops from '../../backend/ops.js';
import { scan } from '../../backend/scan.js';
import { type KerasShape, kerasShape, kerasShapeText, listOf, SymbolicTensor, type Tensors } from '../../backend/trace.js';
import type { Variable } from '../../backend/variable.js';
import { callable } from '../../utils/callable.js';
import { describe, resolveOptions } from '../../utils/options.js';
import type { Json, JsonObject, SerializedObject } from '../../utils/serialization.js';
import { type CallArguments, checkRank, type InputShape, Layer, type LayerOptions, layerDefaults, symbolOfAxis } from '../layer.js';
import { deserialize, isSerializedLayer, serialize } from '../registry.js';
import { type Masks, RecurrentCell, type StepResult } from './cell.js';

/** Options of all recurrent layers. */
export interface RecurrentOptions extends LayerOptions {
  /** The output of every step, not of the last alone. */
  returnSequences?: boolean;
  /** The final states after the output. */
  returnState?: boolean;
  /** From the last step to the first; outputs are in the order of processing. */
  goBackwards?: boolean;
  /** The states of one run are the initial states of the next; needs a fixed batch size. */
  stateful?: boolean;
  /** A scan is compiled either way. As in Keras it changes which steps `zeroOutputForMask` blanks where the layer goes backwards. */
  unroll?: boolean;
  /** Keras 2: input and output are (time, batch, …). */
  timeMajor?: boolean;
  /** Keras 3: outputs at masked steps are 0, not the previous output. */
  zeroOutputForMask?: boolean;
}

export const recurrentDefaults = {
  returnSequences: false,
  returnState: false,
  goBackwards: false,
  stateful: false,
  unroll: false,
  timeMajor: false,
  zeroOutputForMask: false,
} as const;

/** Input (batch, time, …); output of the last step, or (batch, time, …) with returnSequences; with returnState also the final states. */
export abstract class RecurrentLayer extends Layer {
  readonly returnSequences: boolean;
  readonly returnState: boolean;
  readonly goBackwards: boolean;
  readonly stateful: boolean;
  readonly unroll: boolean;
  readonly timeMajor: boolean;
  readonly zeroOutputForMask: boolean;
  readonly cell: RecurrentCell;
  /** States of a stateful layer. */
  states: readonly Variable[] | null = null;

  constructor(o: RecurrentOptions, cell: RecurrentCell, suffix?: string) {
    super(o);
    this.returnSequences = o.returnSequences ?? false;
    this.returnState = o.returnState ?? false;
    this.goBackwards = o.goBackwards ?? false;
    this.stateful = o.stateful ?? false;
    this.unroll = o.unroll ?? false;
    this.timeMajor = o.timeMajor ?? false;
    this.zeroOutputForMask = o.zeroOutputForMask ?? false;
    this.cell = this.hold(cell, suffix);
    this.supportsMasking = true;
  }

  override get trackedLayers(): Readonly<Record<string, Layer | readonly Layer[]>> {
    return { cell: this.cell };
  }

  /** Rank of the input. */
  protected get inputRank(): number {
    return 3;
  }

  override build(inputShape: InputShape): void {
    const shape = (Array.isArray(inputShape[0]) ? inputShape[0] : inputShape) as KerasShape;
    checkRank(this, shape, this.inputRank, this.inputRank === 3 ? '(batch, time, features)' : '(batch, time, …space and channels)');
    const batch = shape[this.timeMajor ? 1 : 0] ?? null;
    const step = [batch, ...shape.slice(2)];
    this.cell.ensureBuilt(step);
    if (!this.stateful) return;
    if (batch === null) {
      const text = kerasShapeText(shape);
      throw new ShapeError(`${this.name}: a stateful layer needs a fixed batch size (batchInputShape, or Input with batchSize), got shape ${text}`);
    }
    const known = step.map((d, i): Dim => d ?? symbolOfAxis(i));
    this.states = this.cell.stateShapes(known).map((s, i) => {
      if (!s.every((d) => typeof d === 'number')) throw new ShapeError(`${this.name}: a stateful layer needs states of known size, got [${s.join(', ')}]`);
      return this.addState(`state_${i}`, s as number[]);
    });
  }

  override call(inputs: Tensors, args: CallArguments): Tensors {
    const [input, ...given] = listOf(inputs);
    let x = input!;
    const { trace } = x;
    if (x.dtype !== 'float32') x = ops.cast(x, 'float32');
    if (!this.timeMajor) x = ops.transpose(x, swapped(x.rank));
    const length = x.shape[0]!;
    const step = x.shape.slice(1);
    const masks = args.training ? this.cell.dropoutMasks(x, step) : [];
    const hoisted = this.cell.projectsSequences(x.shape);
    const sequence = hoisted ? this.cell.project(x, masks) : x;
    const initial = this.initialStates(given, (args.initialState ?? []) as readonly SymbolicTensor[], x, step);

    const mask = args.mask instanceof SymbolicTensor ? args.mask : ((args.mask?.[0] as SymbolicTensor | null | undefined) ?? null);
    const steps = mask ? (this.timeMajor ? mask : ops.transpose(mask, [1, 0])) : null;
    const dropped = masks.filter((m): m is SymbolicTensor => m !== null);
    const result = scan(trace, {
      name: `${this.name}/step`,
      carries: steps ? [...initial, ops.zeros(x, this.cell.outputShape(step))] : initial,
      xs: steps ? [sequence, steps] : [sequence],
      constants: dropped,
      length,
      reverse: this.goBackwards,
      step: (carries, [now, keep], constants) => {
        let next = 0;
        const given = masks.map((m) => (m ? constants[next++]! : null));
        const old = carries.slice(0, initial.length);
        const projected = hoisted ? now! : this.cell.project(now!, given);
        const s = this.cell.step(projected, old, given);
        if (!keep) return { carries: s.states, ys: this.returnSequences ? [s.output] : [] };
        const last = this.zeroOutputForMask && !this.masksUnrolled ? 0 : carries[initial.length]!;
        const output = ops.where(fitted(keep, s.output), s.output, last);
        return {
          carries: [...s.states.map((n, i) => ops.where(fitted(keep, n), n, old[i]!)), output],
          ys: this.returnSequences ? [output] : [],
        };
      },
    });

    const states = result.carries.slice(0, initial.length);
    this.states?.forEach((v, i) => {
      trace.assign(v, states[i]!);
    });
    let output = this.returnSequences ? result.ys[0]! : steps ? result.carries[initial.length]! : this.cell.outputOfStates(states);
    if (this.returnSequences) {
      if (this.goBackwards) output = ops.reverse(output, [0]);
      // Keras lays the mask of unrolled steps over the outputs in the order of the input, also where they went backwards
      if (steps && this.masksUnrolled) output = ops.where(ops.reshape(steps, [...steps.shape, ...new Array<number>(output.rank - 2).fill(1)]), output, 0);
      if (!this.timeMajor) output = ops.transpose(output, swapped(output.rank));
    }
    return this.returnState ? [output, ...states] : output;
  }

  /** Whether the outputs of all steps are masked at the end, as Keras does it for unrolled steps. */
  private get masksUnrolled(): boolean {
    return this.zeroOutputForMask && this.unroll && this.returnSequences;
  }

  /** States given in the call, else those of the last run, else zeros. */
  private initialStates(inputs: readonly SymbolicTensor[], args: readonly SymbolicTensor[], x: SymbolicTensor, step: Shape): readonly SymbolicTensor[] {
    const shapes = this.cell.stateShapes(step);
    const given = inputs.length > 0 ? inputs : args;
    if (given.length > 0) {
      if (given.length !== shapes.length)
        throw new ValueError(`${this.name}: ${this.className} has ${shapes.length} states, got ${given.length} initial states`);
      given.forEach((s, i) => {
        const fits = s.rank === shapes[i]!.length && s.shape.every((d, a) => a === 0 || String(d) === String(shapes[i]![a]));
        if (!fits)
          throw new ShapeError(
            `${this.name}: the initial state ${i} has shape ${kerasShapeText(kerasShape(s.shape))}, expected ${kerasShapeText(kerasShape(shapes[i]!))}`,
          );
      });
      return given;
    }
    if (this.states) return this.states.map((v) => x.trace.read(v));
    return shapes.map((s) => ops.zeros(x, s));
  }

  /** Sets the states of a stateful layer back to zero. They lie on the device once a model runs: use the model's `resetStates` there. */
  resetStates(): void {
    this.states?.forEach((v) => {
      v.assign(new Float32Array(v.size));
    });
  }

  override computeMask(_inputs: Tensors, mask: CallArguments['mask'], outputs: Tensors): CallArguments['mask'] {
    const own = mask instanceof SymbolicTensor ? mask : ((mask?.[0] as SymbolicTensor | null | undefined) ?? null);
    const out = this.returnSequences ? own : null;
    return this.returnState
      ? [
          out,
          ...listOf(outputs)
            .slice(1)
            .map(() => null),
        ]
      : out;
  }

  /** The entries of all recurrent layers. */
  protected recurrentConfig(): JsonObject {
    return {
      ...super.getConfig(),
      return_sequences: this.returnSequences,
      return_state: this.returnState,
      go_backwards: this.goBackwards,
      stateful: this.stateful,
      unroll: this.unroll,
      ...(this.configFor === 'keras2' ? { time_major: this.timeMajor } : {}),
      ...(this.configFor === 'keras3' || this.zeroOutputForMask ? { zero_output_for_mask: this.zeroOutputForMask } : {}),
    };
  }
}

/** Batch and time change places. */
const swapped = (rank: number): number[] => [1, 0, ...Array.from({ length: rank - 2 }, (_, i) => i + 2)];

/** The mask of one step (batch) in the rank of `like`. */
const fitted = (mask: SymbolicTensor, like: SymbolicTensor): SymbolicTensor => ops.reshape(mask, [mask.shape[0]!, ...new Array<number>(like.rank - 1).fill(1)]);

export interface StackedRNNCellsConfig extends LayerOptions {
  cells: readonly RecurrentCell[] | readonly SerializedObject[];
}

/** Several cells, each on the output of the one before, as one cell. The states are those of the cells, in order. */
export class StackedRNNCellsClass extends RecurrentCell {
  static override readonly className = 'StackedRNNCells';
  readonly cells: readonly RecurrentCell[];
  constructor(cells: readonly RecurrentCell[] | StackedRNNCellsConfig, options?: LayerOptions) {
    const o = resolveOptions<StackedRNNCellsConfig>('StackedRNNCells', [cells, options], ['cells'], layerDefaults);
    super(o);
    if (!Array.isArray(o.cells) || o.cells.length === 0) throw new ValueError(`StackedRNNCells: 'cells' must be a list of cells, got ${describe(o.cells)}`);
    this.cells = o.cells.map((c) => this.hold(cellOf(this, c)));
  }
  override get trackedLayers(): Readonly<Record<string, Layer | readonly Layer[]>> {
    return { cells: this.cells };
  }
  /** Shapes of the inputs of the cells. */
  private inputs(step: Shape): Shape[] {
    const list = [step];
    for (const c of this.cells.slice(0, -1)) list.push(c.outputShape(list.at(-1)!));
    return list;
  }
  override build(inputShape: InputShape): void {
    const given = inputShape as KerasShape;
    const shapes = this.inputs(given.map((d, i): Dim => d ?? symbolOfAxis(i)));
    this.cells.forEach((c, i) => {
      c.ensureBuilt(i === 0 ? given : shapes[i]!.map((d) => (typeof d === 'number' ? d : null)));
    });
  }
  stateShapes(step: Shape): readonly Shape[] {
    const inputs = this.inputs(step);
    return this.cells.flatMap((c, i) => c.stateShapes(inputs[i]!));
  }
  override outputShape(step: Shape): Shape {
    return this.cells.at(-1)!.outputShape(this.inputs(step).at(-1)!);
  }
  override outputOfStates(states: readonly SymbolicTensor[]): SymbolicTensor {
    return this.cells.at(-1)!.outputOfStates(states.slice(-this.cells.at(-1)!.stateCount));
  }
  get stateCount(): number {
    return this.cells.reduce((n, c) => n + c.stateCount, 0);
  }
  override dropoutMasks(like: SymbolicTensor, step: Shape): Masks {
    const inputs = this.inputs(step);
    return this.cells.flatMap((c, i) => {
      const own = c.dropoutMasks(like, inputs[i]!);
      return [own[0] ?? null, own[1] ?? null];
    });
  }
  override project(x: SymbolicTensor, masks: Masks): SymbolicTensor {
    return this.cells[0]!.project(x, masks.slice(0, 2));
  }
  override projectsSequences(sequence: Shape): boolean {
    return this.cells[0]!.projectsSequences(sequence);
  }
  step(projected: SymbolicTensor, states: readonly SymbolicTensor[], masks: Masks): StepResult {
    const all: SymbolicTensor[] = [];
    let output = projected;
    let from = 0;
    this.cells.forEach((cell, i) => {
      const n = cell.stateCount;
      const own = masks.slice(2 * i, 2 * i + 2);
      const s = cell.step(i === 0 ? output : cell.project(output, own), states.slice(from, from + n), own);
      output = s.output;
      all.push(...s.states);
      from += n;
    });
    return { output, states: all };
  }
  override cellConfig(): JsonObject {
    return { cells: this.cells.map((c) => serialize(c) as unknown as Json) };
  }
}

/** A cell, or its configuration. */
function cellOf(layer: Layer, x: unknown): RecurrentCell {
  const cell = isSerializedLayer(x) ? deserialize(x, { semantics: layer.semantics }) : x;
  if (!(cell instanceof RecurrentCell)) throw new ValueError(`${layer.name}: expected a cell such as LSTMCell(8), got ${describe(x)}`);
  return cell;
}

export interface RNNConfig extends RecurrentOptions {
  /** A cell, or several that are stacked. */
  cell: RecurrentCell | readonly RecurrentCell[] | SerializedObject;
}

/** A recurrent layer with a cell of one's choice. */
export class RNNClass extends RecurrentLayer {
  static override readonly className = 'RNN';
  constructor(cell: RecurrentCell | readonly RecurrentCell[] | RNNConfig, options?: Omit<RNNConfig, 'cell'>) {
    const o = resolveOptions<RNNConfig>('RNN', [cell, options], ['cell'], { ...layerDefaults, ...recurrentDefaults });
    const semantics = o.semantics ?? 'keras3';
    const given = Array.isArray(o.cell) ? new StackedRNNCellsClass({ cells: o.cell, semantics }) : o.cell;
    const made = isSerializedLayer(given) ? deserialize(given, { semantics }) : given;
    if (!(made instanceof RecurrentCell)) throw new ValueError(`RNN: 'cell' must be a cell such as LSTMCell(8), or a list of cells, got ${describe(o.cell)}`);
    super(o, made);
  }
  override getConfig(): JsonObject {
    return { ...this.recurrentConfig(), cell: serialize(this.cell) as unknown as Json };
  }
}

export const StackedRNNCells = callable(StackedRNNCellsClass);
export const RNN = callable(RNNClass);
