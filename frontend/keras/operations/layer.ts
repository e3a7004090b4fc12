/**
 * Operations in functional models that were read from files: `x + 1`, `tf.reshape(x, …)`, `x[:, 0]`, `keras.ops.mean(x)`. Keras writes each as a layer (2: TFOpLambda and SlicingOpLambda)
 * or an operation (3) with its arguments; here it is a layer that computes the same from `ops`, and writes what it was read from. Sizes of tensors that later operations make shapes of are
 * followed through (sizes.ts), since shapes must be known when a plan is made.
 */
import { UnsupportedError, ValueError } from '../../../ir/errors.js';
import type { SymbolicTensor, Tensors } from '../backend/trace.js';
import type { CallArguments } from '../layers/layer.js';
import { Layer } from '../layers/layer.js';
import { KerasTensor, type LayerNode } from '../layers/node.js';
import { isPlainObject } from '../utils/options.js';
import type { Json, JsonObject, Semantics, SerializedObject } from '../utils/serialization.js';
import { writtenGeneration } from '../utils/serialization.js';
import { Arguments, type Operand, type Result, Sizes } from './arguments.js';
import { type Call, mapTensors, type Written, writeCall } from './call.js';
import { operationNamed } from './names.js';
import { onSizes } from './sizes.js';

/** What a recorded call keeps: its arguments, and the tensors that its node's inputs stand for. */
interface Recorded {
  readonly call: Call;
  /** In the order of the call's own tensors. */
  readonly own: readonly KerasTensor[];
  /** In the order of the node's inputs. */
  readonly inputs: readonly KerasTensor[];
}

/** Tensors that are sizes, with the call that gives them. */
const sizesFrom = new WeakMap<KerasTensor, { readonly layer: OperationClass; readonly recorded: Recorded; readonly index: number }>();

const isSlice = (x: Operand): boolean => isPlainObject(x) && x.class_name === '__slice__';

export class OperationClass extends Layer {
  static override readonly className: string = 'Operation';
  private readonly operation: (a: Arguments) => Result;
  private readonly canonical: string;
  /** What the last call gave is sizes. */
  private gaveSizes = false;

  constructor(
    readonly serialized: SerializedObject,
    readonly written: Written,
    semantics: Semantics,
  ) {
    super({ name: String(serialized.config?.name ?? serialized.class_name), semantics });
    const { canonical, run } = operationNamed(serialized, written);
    this.canonical = canonical;
    this.operation = run;
  }

  /** Another of the same. */
  again(): OperationClass {
    return new OperationClass(this.serialized, this.written, this.semantics);
  }

  /** Records the call. `own` are the tensors of the call, in its order. */
  applyCall(call: Call, own: readonly KerasTensor[]): void {
    if (own.length === 0) throw new ValueError(`layer '${this.name}' (${this.describes}) has no tensor among its arguments`);
    const inputs = new Set(own);
    const visit = (t: KerasTensor): void => {
      const from = sizesFrom.get(t);
      for (const x of from?.recorded.own ?? []) {
        if (!sizesFrom.has(x)) inputs.add(x);
        visit(x);
      }
    };
    for (const t of own) visit(t);
    const recorded: Recorded = { call, own, inputs: [...inputs] };
    const out = this.apply([...inputs], { operation: recorded });
    if (this.gaveSizes)
      (out instanceof KerasTensor ? [out] : (out as readonly KerasTensor[])).forEach((t, index) => sizesFrom.set(t, { layer: this, recorded, index }));
  }

  private get describes(): string {
    return this.written === 'keras2' ? `tf.${String(this.serialized.config?.function)}` : `keras.ops ${this.serialized.class_name}`;
  }

  override call(given: Tensors, args: CallArguments): Tensors {
    const recorded = args.operation as Recorded;
    const values = new Map(recorded.inputs.map((t, i) => [t, (given as readonly SymbolicTensor[])[i]!]));
    const result = this.evaluate(recorded, values);
    const list = Array.isArray(result) ? (result as readonly (SymbolicTensor | Sizes)[]) : [result as SymbolicTensor | Sizes];
    this.gaveSizes = list.every((r) => r instanceof Sizes);
    const { trace } = (given as readonly SymbolicTensor[])[0]!;
    const lift = new Arguments(trace, [], {});
    const tensors = list.map((r) => lift.lift(r));
    return Array.isArray(result) ? tensors : tensors[0]!;
  }

  private evaluate(recorded: Recorded, values: ReadonlyMap<KerasTensor, SymbolicTensor>): Result {
    const { call, own } = recorded;
    let next = 0;
    let tensors = 0;
    const operand = (): Operand => {
      const t = own[next++]!;
      const from = sizesFrom.get(t);
      if (!from) {
        tensors++;
        return values.get(t)!;
      }
      const sizes = from.layer.evaluate(from.recorded, values);
      return Array.isArray(sizes) ? (sizes as readonly Sizes[])[from.index] : sizes;
    };
    const positional = call.args.map((x) => mapTensors<Operand>(x, call.written, operand));
    const named = mapTensors<Operand>(call.kwargs, call.written, operand) as Record<string, Operand>;
    const { name: _, trainable: __, function: ___, ...config } = this.serialized.config ?? {};
    const { dtype: policy, ...rest } = config;
    // the dtype of a Keras 2 layer is its policy; Keras 3's operations have none but as an argument
    const options = this.written === 'keras2' ? {} : { ...rest, ...(typeof policy === 'string' ? { dtype: policy } : {}) };
    const a = new Arguments([...values.values()][0]!.trace, positional.map(unwrapped), { ...options, ...named });
    try {
      const rule = tensors === 0 && Object.hasOwn(onSizes, this.canonical) ? onSizes[this.canonical] : undefined;
      return rule ? rule(a) : this.operation(a);
    } catch (e) {
      if (e instanceof Error && !e.message.startsWith(`layer '${this.name}'`)) e.message = `layer '${this.name}' (${this.describes}): ${e.message}`;
      throw e;
    }
  }

  /** A node of a configuration, as the operation was read. */
  override writeCall(node: LayerNode, reference: (t: KerasTensor) => Json): Json {
    const { call, own } = node.args.operation as Recorded;
    // the tensors of this node, which need not be those that the call was recorded with (clones)
    const { inputs } = node.args.operation as Recorded;
    let next = 0;
    return writeCall(call, () => reference(node.inputs[inputs.indexOf(own[next++]!)]!));
  }
  override get writtenForm(): SerializedObject {
    if (writtenGeneration(this.semantics) !== this.written) {
      const other = this.written === 'keras2' ? 3 : 2;
      throw new UnsupportedError(
        `layer '${this.name}' is the operation ${this.describes}, which Keras ${other} has no form of: save with { keras: ${5 - other} }`,
      );
    }
    return this.serialized;
  }
  override getConfig(): JsonObject {
    return this.serialized.config;
  }
}

/** Slices without their wrapping. */
const unwrapped = (x: Operand): Operand => (isSlice(x) ? (x as { config: unknown }).config : x);
